"""What people wrote becomes HTML: all of it is there, and none of it does anything."""

import re
from collections.abc import Iterable
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from effort import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typing_extensions import override

from generator.core.formatting import readable
from generator.core.model import Chapter
from generator.core.site.descriptions import (
    MAX_CHARACTERS,
    SeekTarget,
    address_of,
    as_html,
    chapter_list,
    host_of,
    summary,
)

FILM = SeekTarget("/video/a%20film.mp4", 4000)
AWAY = {"rel": "nofollow noopener ugc"}
BLOCKS = {"p", "h3", "h4", "h5", "h6", "ul", "ol", "li", "pre", "code", "blockquote", "hr"}
INLINE = {"a", "br", "em", "strong", "code"}
VOID = {"br", "hr"}
ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert`1`)",
    "[x](&#106;avascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](//evil.example/)",
    "[x](vbscript:x)",
    "![x](javascript:alert(1))",
    '![x" onerror="alert(1)](https://a.example/x.png)',
    '[x](https://a.example/"onmouseover="alert(1))',
    "[x](<https://a.example/ \"'> 'y\" z')",
    "<https://a.example/'onclick='x>",
    "<javascript:alert(1)>",
    'https://a.example/"><script>alert(1)</script>',
    "https://a.example/'onmouseover='alert(1)",
    "http://good.example@evil.example/",
    "http://good.example\\@evil.example/",
    '```"><script>\n</pre></code><script>\n```',
    "[a]: javascript:alert(1)\n\n[a]",
    '1:00" onclick="alert(1)',
    "&lt;script&gt;&#x202e;&#0;&#xD800;&#xFFFF;",
    "\u202eevil\u202c \x00\x07\x1b[31m \ud800 \ufeff \U0001ffff",
]  # fmt: skip

wild = st.text(
    st.sampled_from("abc 0123456789:./#[]()<>!*_`&\"'\\\n\r\t-+=~|{}@?%;\u202e\u2028é😀\x00\ud800")
    | st.characters(),
    max_size=300,
)
pieces = st.sampled_from(
    [
        *ATTACKS,
        "https://a.example/b_(c)?d=1&e=2",
        "1:23",
        "1:02:03",
        "# ",
        "\n\n",
        "\n",
        "- ",
        "> ",
        "    ",
        "**",
        "_",
        "`",
        "```",
        "[",
        "](",
        ")",
        "![",
        " ",
        "word",
        "&amp;",
    ]
)
written = wild | st.lists(pieces | wild, max_size=30).map("".join)


class Reader(HTMLParser):
    """Elements with their attributes, the text, and whether all that was opened was closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        assert tag != "a" or "a" not in self.open
        if tag not in VOID:
            self.open.append(tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag in BLOCKS:
            self.text += "\n"

    @override
    def handle_data(self, data: str) -> None:
        self.text += data

    def links(self) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == "a"]


def is_harmless(html: str) -> Reader:
    html.encode()
    read = Reader(html)
    for tag, attributes in read.tags:
        assert tag in BLOCKS | INLINE
        if tag != "a":
            assert attributes.keys() <= ({"start"} if tag == "ol" else set())
        elif attributes.get("class") == "t":
            assert re.fullmatch(re.escape(FILM.url) + "#t=[0-9]+", attributes["href"] or "")
            assert attributes.keys() == {"class", "href"}
        else:
            parts = urlsplit(attributes["href"] or "")
            assert parts.scheme in {"http", "https"}
            assert "@" not in parts.netloc
            assert attributes == AWAY | {"href": attributes["href"]}
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ufffe\uffff]", html)
    return read


def squeezed(text: str) -> str:
    return "".join(text.split())


@given(text=written, is_markdown=st.booleans())
def test_whatever_is_written_does_nothing(text: str, *, is_markdown: bool) -> None:
    is_harmless(as_html(text, FILM, is_markdown=is_markdown))


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("is_markdown", [True, False])
def test_no_attack_does_anything(attack: str, *, is_markdown: bool) -> None:
    for text in (attack, f"a *{attack}* b", f"- {attack}\n- [{attack}](https://a.example/)"):
        read = is_harmless(as_html(text, FILM, is_markdown=is_markdown))
        hosts = {urlsplit(link["href"] or "").hostname for link in read.links()}
        assert hosts <= {"a.example", None}


@given(text=written)
def test_plain_text_is_all_there(text: str) -> None:
    kept = re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\ufeff\ufdd0-\ufdef]", "", text)
    kept = "".join(c for c in kept if ord(c) & 0xFFFE != 0xFFFE)
    kept = re.sub("[\ud800-\udfff]", "\ufffd", kept)

    assert squeezed(Reader(as_html(text, FILM)).text) == squeezed(kept)


@given(text=written, is_markdown=st.booleans())
def test_a_summary_is_a_short_line_of_the_beginning(text: str, *, is_markdown: bool) -> None:
    html = as_html(text, FILM, is_markdown=is_markdown)
    short = summary(html)

    assert len(short) <= 200
    assert short == readable(short)
    if not is_markdown:
        shown = squeezed(readable(Reader(html).text))
        assert shown.startswith(squeezed(short.removesuffix("…")))


@given(words=st.lists(st.sampled_from(["a", "word", "some", "&", "<b>"]), min_size=90))
def test_a_summary_of_a_long_text_is_long_and_ends_with_a_word(words: list[str]) -> None:
    short = summary(as_html(" ".join(words), FILM))

    if len(" ".join(words)) > 200:
        assert 100 < len(short) <= 200
        assert short.endswith("…")
        assert short[:-1].split() == words[: len(short.split())]
    else:
        assert short == " ".join(words)


def test_a_summary_of_one_long_word_or_address_is_still_one() -> None:
    assert summary(as_html("x" * 5000, FILM)) == "x" * 199 + "…"
    assert summary(as_html("https://a.example/" + "&" * 1500 + "x", FILM)).endswith("…")
    assert summary("") == ""


def test_paragraphs_and_lines_stay() -> None:
    assert as_html("one\ntwo\r\nthree\n \n\n\nfour\n", FILM) == (
        "<p>one<br>two<br>three</p><p>four</p>"
    )
    assert as_html(" \n\t\n", FILM) == as_html("", FILM) == ""
    assert as_html("[a]: /b", FILM, is_markdown=True) == ""


@example(minutes=50, seconds=0)
@given(minutes=st.integers(0, 999), seconds=st.integers(0, 59))
def test_a_time_within_the_film_leads_there(minutes: int, seconds: int) -> None:
    instant = 60 * minutes + seconds
    hours, rest = divmod(minutes, 60)
    for text in (f"{minutes}:{seconds:02}", f"{hours}:{rest:02}:{seconds:02}"):
        for length_s in (3000, None):
            film = SeekTarget("/f.mp4", length_s)
            for is_markdown in (False, True):
                html = as_html(f"see {text}.", film, is_markdown=is_markdown)
                expected = f'<p>see <a class="t" href="/f.mp4#t={instant}">{text}</a>.</p>'
                is_within = length_s is None or instant <= length_s
                assert (html == expected) == is_within
                assert is_within or html == f"<p>see {text}.</p>"


@pytest.mark.parametrize(
    "text",
    ["4:3", "1:60", "v1:23", "1:23.5", "1:23:45:00", "1:2", ":12", "a/1:23", "#1:23", "1234:00"],
)
def test_what_is_no_time_is_no_link(text: str) -> None:
    assert as_html(text, SeekTarget("/f.mp4")) == f"<p>{text}</p>"


@pytest.mark.parametrize(
    "text", ["(0:00)", "0:00-0:30", "[0:00] Intro", "0:00\u2013 Intro", "0:00|"]
)
def test_times_are_found_among_the_marks_that_people_put_around_them(text: str) -> None:
    assert '<a class="t" href="/f.mp4#t=0">0:00</a>' in as_html(text, SeekTarget("/f.mp4"))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://a.example", "https://a.example"),
        ("HTTPS://A.example/B", "https://a.example/B"),
        ("https://a.example/b.", "https://a.example/b"),
        ("(https://a.example/b)", "https://a.example/b"),
        ("https://a.example/b_(c)", "https://a.example/b_(c)"),
        ("https://a.example/b_(c))!", "https://a.example/b_(c)"),
        ("https://a.example/?b=1&c=%20,", "https://a.example/?b=1&c=%20"),
        ("https://a.example:8080/#b", "https://a.example:8080/#b"),
        ("https://a.example/ä|[b]%zz#c#d", "https://a.example/%C3%A4%7C%5Bb%5D%25zz#c%23d"),
        ("https://zoë.example/", "https://zoë.example/"),
        ("<https://a.example/>", "https://a.example/"),
        ("“https://a.example/”", "https://a.example/"),
    ],
)
def test_an_address_is_found_among_what_stands_around_it(text: str, address: str) -> None:
    (link,) = Reader(as_html(f"see {text} and so on", FILM)).links()

    assert link["href"] == address


@pytest.mark.parametrize(
    "url",
    [
        "http://", "https:///x", "http://[::1", "http://user@a.example/",
        "http://a.example:99999/", "http://a.example:x/", "http://.", "http://-a-/",
        "ftp://a.example/", "javascript://a.example/%0aalert(1)", "//a.example/", "/x", "",
        "http://a.example\\.evil.example/", "http://%61.example/",
    ],
)  # fmt: skip
def test_what_is_no_address_is_none(url: str) -> None:
    assert address_of(url) is None
    assert Reader(as_html(url, FILM)).links() == []


@given(url=st.sampled_from(["http://", "https://", ""]).flatmap(lambda s: wild.map(s.__add__)))
def test_an_address_leads_where_it_says(url: str) -> None:
    address = address_of(url)

    if address is not None:
        assert address_of(address) == address
        assert urlsplit(address).hostname == urlsplit(url).hostname
        assert not re.search(r"[\s\"<>\\\x00-\x1f]", address)


def test_the_host_is_told_as_people_say_it() -> None:
    assert host_of("https://www.example.org/watch?v=1") == "example.org"
    assert host_of("https://WWW2.Example.org:8080/") == "www2.example.org"


@given(levels=st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_headings_of_markdown_stand_below_those_of_the_page(levels: list[int]) -> None:
    text = "\n\n".join(f"{'#' * level} heading" for level in levels)
    tags = [int(tag[1]) for tag, _ in Reader(as_html(text, FILM, is_markdown=True)).tags]

    assert min(tags) == 3
    assert max(tags) <= 6
    assert tags == [min(level - min(levels) + 3, 6) for level in levels]


def test_markdown_is_shown_as_such_with_its_links_and_without_its_pictures() -> None:
    text = """A *b* **c** `1:00` [d *e* 1:00](https://a.example/ "title")
![f **g**](https://a.example/p.png) ![](https://a.example/q.png) ![h](q.png) [i](film.mp4)
[![j](https://a.example/r.png)](https://b.example/)

    1:00
"""

    assert as_html(text, FILM, is_markdown=True) == (
        "<p>A <em>b</em> <strong>c</strong> <code>1:00</code> "
        '<a href="https://a.example/" rel="nofollow noopener ugc">d <em>e</em> 1:00</a>\n'
        '<a href="https://a.example/p.png" rel="nofollow noopener ugc">f g</a> '
        '<a href="https://a.example/q.png" rel="nofollow noopener ugc">picture</a> h i\n'
        '<a href="https://b.example/" rel="nofollow noopener ugc">j</a></p>\n'
        "<pre><code>1:00\n</code></pre>"
    )


@settings(max_examples=examples(6, thorough=12))
@given(piece=pieces, is_markdown=st.booleans())
def test_a_text_without_end_has_one_on_the_page(piece: str, *, is_markdown: bool) -> None:
    html = as_html(piece * MAX_CHARACTERS, FILM, is_markdown=is_markdown)

    assert len(Reader(html).text) <= 2 * MAX_CHARACTERS + 100


@given(
    starts=st.lists(st.floats(0, 1e6), min_size=1, max_size=9),
    titles=st.lists(wild | st.sampled_from(ATTACKS), min_size=9, max_size=9),
)
def test_each_chapter_is_a_link_to_where_it_begins(starts: list[float], titles: list[str]) -> None:
    chapters = [Chapter(start, title) for start, title in zip(starts, titles, strict=False)]
    html = chapter_list(chapters, FILM)
    html.encode()

    found = _items(html)
    assert len(found) == len(chapters)
    for (href, text), chapter in zip(found, chapters, strict=True):
        address, _, instant = href.partition("#t=")
        assert address == FILM.url
        assert float(instant) == pytest.approx(chapter.start_s, abs=0.0006)
        assert text.partition(" ")[2] == readable(chapter.title)


def _items(html: str) -> Iterable[tuple[str, str]]:
    class Items(HTMLParser):
        links: list[tuple[str, str]]

        @override
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag in {"li", "a", "small", "bdi"}
            if tag == "a":
                self.links.append((dict(attrs)["href"] or "", ""))

        @override
        def handle_data(self, data: str) -> None:
            href, text = self.links.pop()
            self.links.append((href, text + data))

    reader = Items()
    reader.links = []
    reader.feed(html)
    reader.close()
    return reader.links
