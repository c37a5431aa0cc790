"""Chapters: whatever is claimed, what comes out is plausible; descriptions are read as meant."""

import math
from itertools import pairwise
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.core.formatting import readable
from generator.core.media.chapters import (
    MAX_CHAPTERS,
    chapter_in,
    chapters_in,
    seconds_in,
    tidy_chapters,
)
from generator.core.model import Chapter

texts = st.text(st.characters(codec=None), max_size=40)
claims = st.builds(Chapter, st.floats() | st.integers(-5, 400).map(float), texts)
durations = st.none() | st.floats(0.001, 31 * 86_400)
titles = st.from_regex(r"[A-Za-z][A-Za-z' ]{0,20}[A-Za-z]", fullmatch=True)
FRONTS = ["{t} {n}", "({t}) {n}", "[{t}] - {n}", "- {t}: {n}", "{t} \u2013 {n}", "3. {t} {n}",
          "\u25b6\ufe0f {t} | {n}", "**{t}** {n}", "[{t}](https://a.example/x?t=1) {n}",
          "{t} - 9:59:59 {n}", "{t} --> 9:59:59 {n}"]  # fmt: skip
BACKS = ["{n} {t}", "{n} ({t})", "* {n} - {t}", "{n}: {t}", "{n} [{t} - 9:59:59]"]


def clock(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    return (
        f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
        if minutes >= 60
        else f"{minutes}:{rest:02d}"
    )


def plausible(chapters: tuple[Chapter, ...], duration_s: float | None = None) -> bool:
    starts_s = [chapter.start_s for chapter in chapters]
    return (
        len(chapters) <= MAX_CHAPTERS
        and all(math.isfinite(start_s) and start_s >= 0 for start_s in starts_s)
        and all(earlier < later for earlier, later in pairwise(starts_s))
        and all(readable(one.title) == one.title and 0 < len(one.title) <= 200 for one in chapters)
        and (duration_s is None or all(start_s < duration_s for start_s in starts_s))
    )


@given(chapters=st.lists(claims, max_size=30), duration_s=durations)
def test_whatever_is_claimed_chapters_are_plausible(
    chapters: list[Chapter], duration_s: float | None
) -> None:
    assert plausible(tidy_chapters(chapters, duration_s), duration_s)


@given(chapters=st.lists(claims, max_size=30))
def test_what_is_tidy_stays_as_it_is(chapters: list[Chapter]) -> None:
    tidy = tidy_chapters(chapters)

    assert tidy_chapters(tidy) == tidy


@given(starts=st.sets(st.integers(0, 10**6), min_size=2, max_size=20), title=titles)
def test_chapters_that_can_be_are_kept_in_the_order_of_time(starts: set[int], title: str) -> None:
    chapters = [Chapter(start / 1000, readable(title)) for start in starts]

    assert tidy_chapters(chapters) == tuple(sorted(chapters, key=lambda one: one.start_s))


@pytest.mark.parametrize("start_s", [-1, -0.01, math.nan, math.inf, -math.inf, 1e300, 60.0, 61.0])
def test_a_chapter_outside_the_video_is_left_out(start_s: float) -> None:
    whole = (Chapter(0.0, "a"), Chapter(59.9, "b"))

    assert tidy_chapters([*whole, Chapter(start_s, "no")], 60.0) == whole


def test_of_two_chapters_at_one_time_the_first_is_kept() -> None:
    claimed = [Chapter(0.0, "a"), Chapter(5.0, "b"), Chapter(5.0001, "c"), Chapter(-0.0, "d")]

    assert tidy_chapters(claimed) == (Chapter(0.0, "a"), Chapter(5.0, "b"))


def test_a_chapter_without_a_title_is_named_by_its_number() -> None:
    claimed = [Chapter(0.0, "\u202e\n"), Chapter(5.0, "Song\nof two\tlines"), Chapter(9.0, "")]

    told = [chapter.title for chapter in tidy_chapters(claimed)]

    assert told == ["Chapter 1", "Song of two lines", "Chapter 3"]


def test_a_lone_chapter_from_the_start_on_divides_nothing() -> None:
    assert tidy_chapters([Chapter(0.0, "All of it"), Chapter(99.0, "Beyond")], 50.0) == ()
    assert tidy_chapters([Chapter(7.0, "Song")]) == (Chapter(7.0, "Song"),)


def test_of_thousands_of_chapters_the_first_are_kept() -> None:
    tidy = tidy_chapters(Chapter(float(number), "x" * 999) for number in range(10**5))

    assert plausible(tidy)
    assert (len(tidy), tidy[-1].start_s) == (MAX_CHAPTERS, MAX_CHAPTERS - 1)


@given(
    form=st.sampled_from(FRONTS + BACKS),
    starts=st.sets(st.integers(1, 9 * 3600), min_size=2, max_size=9),
    title=titles,
    prose=st.lists(st.sampled_from(["", "Thanks for watching!", "Doors at 20:15, be early"])),
)
def test_chapters_are_found_in_every_form_that_people_write(
    form: str, starts: set[int], title: str, prose: list[str]
) -> None:
    expected = [Chapter(float(start), f"{title} {start} x") for start in (0, *sorted(starts))]
    lines = [form.format(t=clock(int(one.start_s)), n=one.title) for one in expected]

    assert chapters_in("\n".join([*prose, *lines, *prose])) == tuple(
        Chapter(one.start_s, readable(one.title)) for one in expected
    )


@given(text=st.text(max_size=300) | st.text("0123456789:.- ()ab\n", max_size=300))
def test_no_description_breaks_the_search(text: str) -> None:
    chapters = chapters_in(text)

    assert plausible(chapters)
    assert not chapters or (chapters[0].start_s == 0 and len(chapters) >= 3)


@pytest.mark.parametrize(
    "text",
    [
        "0:00 Intro\n1:00 Song",
        "0:30 Intro\n1:00 Song\n2:00 End",
        "0:00 a\n1:00 b\n1:00 c",
        "0:00 a\n1:00 b\nc 2:00",
        "0:00\n1:00\n2:00",
        "00:00:01,000 --> 00:00:02,000\nhello\n00:00:03,000 --> 00:00:04,000\nyou",
        "Open 9:00 to 17:00\nMonday 10:00\nSunday 11:00",
        "0:00 a\n1:75 b\n2:99:00 c",
        "16:9 or 4:3",
    ],
    ids=["too few", "not from the start", "not ascending", "two forms", "no titles", "subtitles",
         "opening hours", "no times", "shapes"],
)  # fmt: skip
def test_times_that_are_no_chapters_are_left_alone(text: str) -> None:
    assert chapters_in(text) == ()


def test_a_real_description_gives_its_chapters() -> None:
    text = """Recorded at the harbour, doors 19:30.

Tracks:
00:00 Intro (feat. A-Z)
03:25 "Quoted" & <b>bold</b>
1:02:03 \u2013 C#: the song 2
thanks to 12:00 Uhr everybody
1:02:03 again
75:30 End \U0001f3b8

Other list
0:00 x
0:01 y
0:02 z"""

    assert chapters_in(text) == (
        Chapter(0.0, "Intro (feat. A-Z)"),
        Chapter(205.0, '"Quoted" & <b>bold</b>'),
        Chapter(3723.0, "C#: the song 2"),
        Chapter(4530.0, "End \U0001f3b8"),
    )


def test_one_line_is_a_chapter_without_others() -> None:
    assert chapter_in("1:23.5 - Song") == Chapter(83.5, "Song")
    assert chapter_in("no time") is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1:23", 83), (" 01:02:03 ", 3723), ("0:00", 0), ("1:23.5", 83.5), ("1:23,25", 83.25),
     ("83", 83), ("83.5", 83.5), ("75:30", 4530), ("1\uff1a23", 83), ("", None), ("1:2", None),
     ("1:60", None), ("1:60:00", None), ("-1", None), ("1e9", None), ("nan", None),
     ("\u0661:\u0662\u0663", None), ("1:23 x", None), ("9" * 5000, None)],
)  # fmt: skip
def test_times_are_read_as_people_write_them(text: str, seconds: float | None) -> None:
    assert seconds_in(text) == seconds


@pytest.mark.parametrize(
    "piece", ["0:00 ", "0:00:", "1", ":", "0:00,", "(", "0:00 a ", " ", "\uff1a1"]
)
def test_no_long_line_takes_long(piece: str) -> None:
    began = process_time()

    chapters = chapters_in(piece * (2_000_000 // len(piece)))

    assert plausible(chapters)
    assert process_time() - began < 2
