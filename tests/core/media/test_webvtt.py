"""What is written as WebVTT: valid whatever was put in, and nothing of it lost."""

import html
import re
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from webvtt_judges import Referee, Shown, referee, shown, words

from generator.core.media.webvtt import (
    Cue,
    board_vtt,
    chapters_vtt,
    escape_cue_text,
    tidy,
    tidy_settings,
    write_cues,
)
from generator.core.model import Chapter

TAG = re.compile(r"</?([a-z]+)[^>]*>")
PIECES = [
    "<i>", "</i>", "<b>", "</b>", "<u>", "<c.yellow>", "<c.own>", "</c>", "<v Bob>", "<v <script>>",
    "</v>", "<v>", "<ruby>", "<rt>", "</rt>", "</ruby>", "<lang en>", "<lang *>", "</lang>",
    "<font color='#ff0000'>", "</font>", "<script>", "</script>", "<br/>", "<00:01.000>", "<", ">",
    "-->", "&", "&amp;", "&lt;", "&nbsp;", "&#0;", "&#55296;", "&#x2028;", "\n", "\r\n", "\n\n",
    " ", "\0", "\u2028", "\ufeff", "\ud800", "a", "one two", "NOTE", "WEBVTT", "</",
    "<3 you>", "\u05e9\u05dc\u05d5\u05dd",
]  # fmt: skip

texts = st.text(st.characters(codec=None), max_size=40)
markup = st.lists(st.sampled_from(PIECES) | texts, max_size=12).map("".join)
settings = st.lists(
    st.sampled_from(
        ["line:0", "line:-1", "line:50%,end", "line:101%", "line:1.5", "position:10%,line-left",
         "position:10", "size:100%", "size:100.5%", "align:start", "align:middle", "vertical:rl",
         "region:a", "line:", "-->", "x", "line:0\n\n", "\u2003"]
    )
    | texts,
    max_size=5,
).map(" ".join)  # fmt: skip
times = st.floats() | st.floats(-1, 100_000) | st.sampled_from([0.0, 59.9996, 3599.9995, 1e9])
cues = st.builds(Cue, times, times, markup, settings)
# What people can see: no controls, and no spaces but those that are drawn together.
seen = st.characters(
    codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"], exclude_characters="\ufeff\ufffe\uffff"
)
visible = st.text(seen, max_size=60)


@pytest.fixture(scope="module")
def judge(program: Callable[[str], str]) -> Iterator[Referee]:
    with referee(program("node")) as judge:
        yield judge


@given(st.lists(cues, max_size=8))
def test_whatever_is_written_is_valid(judge: Referee, cues: list[Cue]) -> None:
    content = write_cues(cues)

    assert judge.complaints(content) == []
    assert content.endswith(b"\n")
    assert len(shown(content)) <= len(cues)
    assert write_cues(iter(cues)) == content


@given(markup)
@example("<i><b>a</i>b</b>c")
@example("<v A>a<v B>b</v>c")
@example("<ruby>a<rt>b<rt>c</ruby>d</rt>")
def test_tidy_markup_is_balanced_and_stays_as_it_is(text: str) -> None:
    tidied = tidy(text)
    depth: list[str] = []
    for tag in TAG.finditer(tidied):
        if tag[0].startswith("</"):
            assert depth.pop() == tag[1]
        else:
            depth.append(tag[1])

    assert depth == []
    assert set(TAG.findall(tidied)) <= {"i", "b", "u", "c", "v", "lang", "ruby", "rt"}
    assert tidy(tidied) == tidied
    assert "\n\n" not in tidied
    assert tidied == tidied.strip("\n ")


@given(visible)
def test_escaped_text_is_seen_as_it_was(text: str) -> None:
    tidied = tidy(escape_cue_text(text))

    assert "<" not in tidied
    assert words(html.unescape(tidied)) == words(text)


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 10**7), visible), max_size=8))
def test_times_are_kept_to_the_millisecond_and_texts_in_their_order(
    rows: list[tuple[int, int, str]],
) -> None:
    content = write_cues(
        Cue(start_ms / 1000, (start_ms + lasts_ms) / 1000, escape_cue_text(text))
        for start_ms, lasts_ms, text in rows
    )

    expected = [
        (start_ms, start_ms + lasts_ms, words(text))
        for start_ms, lasts_ms, text in sorted(rows, key=lambda row: row[0])
        if text.strip()
    ]
    assert [(cue.start_ms, cue.end_ms, words(cue.text)) for cue in shown(content)] == expected


@pytest.mark.parametrize(
    ("text", "tidied"),
    [
        ("Hello <i>you</i>", "Hello <i>you</i>"),
        ("1 < 2 & 3 --> 4", "1 &lt; 2 &amp; 3 --&gt; 4"),
        ("I <3 you", "I &lt;3 you"),
        ("<b><i>a</b>b</i> c", "<b><i>a</i></b><i>b</i> c"),
        ("<i>a <b>b", "<i>a <b>b</b></i>"),
        ("a</i> b</ruby>", "a b"),
        ("<i></i> <b> </b>", ""),
        ("&nbsp;", ""),
        ("<I>a</I> <EM>b</EM>", "<i>a</i> <i>b</i>"),
        ("<v Bob>Hi <v.loud Ann  Lee>Ho", "<v Bob>Hi</v> <v Ann Lee>Ho</v>"),
        ("<v R&amp;B>a", "<v R&amp;B>a</v>"),
        ("<v Bob -->a", "<v Bob>a</v>"),
        ("<c.yellow.bg_blue.mine>a</c> <c>b</c>", "<c.yellow.bg_blue>a</c> b"),
        ("<font color='#FFFF00' face=x>a</font> b", "<c.yellow>a</c> b"),
        ("<font color=#123456>a</font>", "a"),
        ("<ruby>a<rt>b</ruby> c", "<ruby>a<rt>b</rt></ruby> c"),
        ("<lang fr-CA>a</lang> <lang ?>b</lang>", "<lang fr-CA>a</lang> b"),
        ("<script>alert(1)</script><img src=x onerror=y>", "alert(1)"),
        ("a <00:19.000>b <00:20.000>c", "a b c"),
        ("a<br>b<BR />c", "a\nb\nc"),
        ("a\r\n \r\nb\x0b\x00c\u2028d", "a\nb\nc\nd"),
        ("AT&T &copy=1 &bogus; &eacute;", "AT&amp;T &amp;copy=1 &amp;bogus; \xe9"),
        ("&lt;b&gt; &amp;lt;", "&lt;b&gt; &amp;lt;"),
        ("<v <script>>hi", "&lt;v &gt;hi"),
        ("<c.first That's awesome!</c>", "&lt;c.first That's awesome!"),
    ],
)
def test_markup_is_tidied(text: str, tidied: str) -> None:
    assert tidy(text) == tidied


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ("align:start position:0%", "align:start position:0%"),
        ("line:-10 align:middle", "line:-10"),
        ("line:45%,end size:35%", "line:45%,end size:35%"),
        ("line:0 line:1", "line:0"),
        ("position:101% size:-1% vertical:up region:a", ""),
        ("X1:40 X2:600 line:0-->", ""),
    ],
)
def test_settings_are_kept_where_they_are_valid(settings: str, kept: str) -> None:
    assert tidy_settings(settings) == kept


def test_seconds_are_never_sixty() -> None:
    (cue,) = shown(write_cues([Cue(59.9996, 3599.9999, "a")]))

    assert cue == Shown(60_000, 3_600_000, "a", "")
    assert b"\n00:01:00.000 --> 01:00:00.000\na\n" in write_cues([Cue(59.9996, 3599.9999, "a")])


def test_cues_that_cannot_be_shown_are_left_out() -> None:
    nowhere = [
        (1, 1),
        (2, 1),
        (0, 0.0004),
        (-2, -1),
        (float("nan"), 1),
        (0, float("inf")),
        (0, 4e7),
    ]

    assert write_cues(Cue(start_s, end_s, "a") for start_s, end_s in nowhere) == b"WEBVTT\n"
    assert shown(write_cues([Cue(-1, 2, "a")])) == [Shown(0, 2000, "a", "")]


@given(st.lists(st.floats(0, 10**5), unique_by=lambda one: round(one, 3), max_size=9), texts)
def test_chapters_follow_each_other(judge: Referee, starts_s: list[float], title: str) -> None:
    starts_s.sort()
    content = chapters_vtt(tuple(Chapter(one, f"{title} x") for one in starts_s), None)

    cues = shown(content)
    assert judge.complaints(content, "chapters") == []
    assert [cue.start_ms for cue in cues] == [round(one * 1000) for one in starts_s]
    assert all(one.end_ms == following.start_ms for one, following in pairwise(cues))
    assert all("\n" not in cue.text and cue.text.endswith("x") for cue in cues)


def test_the_last_chapter_lasts_until_the_end_of_the_video() -> None:
    chapters = (Chapter(0, "Q & <A>"), Chapter(61.5, "End"))

    assert chapters_vtt(chapters, 70.25).decode() == (
        "WEBVTT\n\n00:00:00.000 --> 00:01:01.500\nQ &amp; &lt;A&gt;\n"
        "\n00:01:01.500 --> 00:01:10.250\nEnd\n"
    )
    assert shown(chapters_vtt(chapters, 10))[-1].end_ms == 61_500 + 86_400_000
    assert chapters_vtt((), 70) == b"WEBVTT\n"


def test_a_board_tells_where_each_tile_is() -> None:
    assert board_vtt((0.0, 2.0, 4.0), 5.0, 2, 160, 90, "a b.webp").decode() == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\na%20b.webp#xywh=0,0,160,90\n"
        "\n00:00:02.000 --> 00:00:04.000\na%20b.webp#xywh=160,0,160,90\n"
        "\n00:00:04.000 --> 00:00:05.000\na%20b.webp#xywh=0,90,160,90\n"
    )


@given(
    st.lists(st.integers(1, 10**6), min_size=1, max_size=30),
    st.none() | st.floats(0, 10**5),
    st.integers(1, 10),
    st.text(min_size=1),
)
def test_any_board_is_valid_and_has_all_its_tiles(
    judge: Referee, lasts_ms: list[int], duration_s: float | None, columns: int, url: str
) -> None:
    starts_s = [sum(lasts_ms[:number]) / 1000 for number in range(len(lasts_ms))]
    content = board_vtt(starts_s, duration_s, columns, 160, 90, url)

    assert judge.complaints(content, "metadata") == []
    places = [cue.text.rpartition("#xywh=")[2].split(",") for cue in shown(content)]
    assert places == [
        [str(number % columns * 160), str(number // columns * 90), "160", "90"]
        for number in range(len(starts_s))
    ]
