"""Descriptions of videos as safe HTML.

The only markup is what is made here: paragraphs, links to http and https URLs, links to times of
the video ("1:23"), and that of Markdown, without its HTML and its images. Every external link is
"nofollow noopener ugc".
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape, unescape
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from generator.core import formatting
from generator.core.model import Chapter

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

MAX_CHARACTERS = 20_000  # of a description; the rest is left out
SUMMARY_CHARACTERS = 200

_FIRST_HEADING, _LAST_HEADING = 3, 6  # below the page's own h1 and h2
_LEADS_AWAY = 'rel="nofollow noopener ugc"'
_MAX_PORT = 65_535
_MORE = "…"

# What HTML or XML forbids, and what changes the direction of the text around it.
_NO_CHARACTERS = "".join(
    chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(17)
)
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\ufdd0-\ufdef\ufeff"
    f"{_NO_CHARACTERS}]"
)
_LINE_END = re.compile("\r\n?|[\x85\u2028\u2029]")
_NO_TEXT = re.compile("[\ud800-\udfff]")
_BLANK_LINES = re.compile(r"\n\s*\n")
_WORTH_A_LINK = re.compile(
    r"(?P<url>https?://[^\s<>\"]{1,2000})"
    r"|(?<![\w:.,/#])(?P<time>[0-9]{1,3}(?::[0-5][0-9]){1,2})(?![\w:]|[.,][0-9])",
    re.IGNORECASE,
)
_ENDS_NO_ADDRESS = ".,;:!?'\"*_~…)]}>»”\u2019"
_PAIRS = {")": "(", "]": "[", "}": "{"}
_HOST = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)*[^\W_](?:[\w-]{0,61}[^\W_])?\.?")
_IN_ADDRESSES = "/?:@!$&'()*+,;=-._~%"
_STRAY_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
_PARTS_WORDS = re.compile(r"</(?:p|h[3-6]|li|pre|blockquote)>|<[bh]r>")
_TAG = re.compile("<[^>]*>")
_CUT_APART = re.compile("&[#0-9A-Za-z]*$")


@dataclass(frozen=True, slots=True)
class SeekTarget:
    """The target of times in a text: the URL of the video, and its duration if it is known.

    `clock_s` is `currentTime` at its first frame.
    """

    url: str
    length_s: float | None = None
    clock_s: float = 0.0

    def moment(self, start_s: float) -> str:
        """Return the URL that plays the video from an instant on, in seconds."""
        return f"{self.url}#t={seconds(start_s + self.clock_s)}"


def seconds(instant_s: float) -> str:
    """Return "83" or "83.5": seconds, to the millisecond."""
    return f"{instant_s:.3f}".rstrip("0").rstrip(".")


def as_html(text: str, film: SeekTarget, *, is_markdown: bool = False) -> str:
    """Return a description as blocks of HTML; "" where it is empty.

    Its headings, if it has any, are h3 to h6. Links to times have the class "t".
    """
    shown = _clean(text[:MAX_CHARACTERS]).strip()
    if not shown:
        return ""
    if len(text) > MAX_CHARACTERS:
        shown += _MORE
    return _markdown(shown, film) if is_markdown else _plain(shown, film)


def summary(html: str) -> str:
    """Return the first 200 characters of HTML from `as_html`, as one line of text."""
    start = _TAG.sub("", _PARTS_WORDS.sub(" ", html))[: 20 * SUMMARY_CHARACTERS]
    text = formatting.readable(unescape(_CUT_APART.sub("", start)))
    if len(text) <= SUMMARY_CHARACTERS:
        return text
    cut = text[: SUMMARY_CHARACTERS - len(_MORE)]
    words, space, _ = cut.rpartition(" ")
    return (words if space and 2 * len(words) > len(cut) else cut).rstrip(" ,.;:") + _MORE


def plain_text(html: str) -> str:
    """Return HTML from `as_html` as plain text, one line for each of its own, none empty."""
    lines = unescape(_TAG.sub("", _PARTS_WORDS.sub("\n", html))).split("\n")
    return "\n".join(line.rstrip() for line in lines if line.strip())


def chapter_list(chapters: Iterable[Chapter], film: SeekTarget) -> str:
    """Return the items of a list: a link to each chapter, its time and its title."""
    return "".join(
        f'<li><a class="t" href="{escape(film.moment(chapter.start_s))}">'
        f"<small>{formatting.duration(int(chapter.start_s))}</small> "
        f"<bdi>{escape(formatting.readable(chapter.title))}</bdi></a></li>"
        for chapter in chapters
    )


def address_of(url: str) -> str | None:
    """Return a URL as a page can link it; None where it is invalid, or hides its target."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname or ""
    # A name or a password in front of the host looks like another host.
    if parts.scheme not in {"http", "https"} or "@" in parts.netloc or not _HOST.fullmatch(host):
        return None
    if port is not None and port > _MAX_PORT:
        return None
    place = host if port is None else f"{host}:{port}"
    query = f"?{_encoded(parts.query)}" if parts.query else ""
    fragment = f"#{_encoded(parts.fragment)}" if parts.fragment else ""
    return f"{parts.scheme}://{place}{_encoded(parts.path)}{query}{fragment}"


def host_of(url: str) -> str:
    """Return the host of a URL, for people: without "www."."""
    return (urlsplit(url).hostname or "").removeprefix("www.")


def _encoded(part: str) -> str:
    return _STRAY_PERCENT.sub("%25", quote(part, safe=_IN_ADDRESSES))


def _clean(text: str) -> str:
    if text.replace("\n", "").isprintable():  # as most texts are; many times faster
        return text
    text = _NO_TEXT.sub("\ufffd", _LINE_END.sub("\n", text))
    return _FORBIDDEN.sub("", text)


# -- plain text


def _plain(text: str, film: SeekTarget) -> str:
    paragraphs = (one.strip() for one in _BLANK_LINES.split(text))
    return "".join(
        f"<p>{'<br>'.join(_linked(line.strip(), film) for line in paragraph.split(chr(10)))}</p>"
        for paragraph in paragraphs
    )


def _linked(text: str, film: SeekTarget) -> str:
    """Return text as HTML, with URLs and times in it as links: both have a colon."""
    return "".join(_pieces(text, film)) if ":" in text else escape(text)


def _pieces(text: str, film: SeekTarget) -> Iterator[str]:
    end = 0
    for match in _WORTH_A_LINK.finditer(text):
        shown = match[0]
        if match["time"]:
            start_s = _instant(shown)
            if film.length_s is None or start_s <= film.length_s:
                yield escape(text[end : match.start()])
                yield f'<a class="t" href="{escape(film.moment(start_s))}">{shown}</a>'
                end = match.end()
            continue
        shown = _without_end(shown)
        address = address_of(shown)
        if address is not None:
            yield escape(text[end : match.start()])
            yield f'<a href="{escape(address)}" {_LEADS_AWAY}>{escape(shown)}</a>'
            end = match.start() + len(shown)
    yield escape(text[end:])


def _instant(time: str) -> int:
    """Return the seconds that "1:02:03" or "62:03" means."""
    instant_s = 0
    for part in time.split(":"):
        instant_s = 60 * instant_s + int(part)
    return instant_s


def _without_end(url: str) -> str:
    """Return a URL without trailing punctuation that belongs to the sentence around it."""
    while url and url[-1] in _ENDS_NO_ADDRESS:
        opening = _PAIRS.get(url[-1])
        if opening and url.count(opening) >= url.count(url[-1]):
            break
        url = url[:-1]
    return url


# -- Markdown


@cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt  # noqa: PLC0415 (75 ms, and few libraries have any)

    return MarkdownIt("commonmark", {"html": False, "xhtmlOut": False})


def _markdown(text: str, film: SeekTarget) -> str:
    parser = _parser()
    tokens = parser.parse(text)
    levels = [int(token.tag[1]) for token in tokens if token.type == "heading_open"]
    lower = _FIRST_HEADING - min(levels, default=_FIRST_HEADING)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1]) + lower, _LAST_HEADING)}"
        token.info = ""  # of a fence; would become a class
        if token.children:
            token.children = list(_harmless(token.children, film))
    return str(parser.renderer.render(tokens, parser.options, {})).rstrip("\n")


def _harmless(tokens: Sequence["Token"], film: SeekTarget) -> Iterator["Token"]:
    """Yield the tokens of a paragraph, with safe links only, and images as links."""
    links: list[bool] = []
    for token in tokens:
        match token.type:
            case "link_open":
                address = address_of(str(token.attrs.get("href", "")))
                links.append(address is not None and not any(links))  # none within another
                if links[-1] and address is not None:
                    yield _raw(token, f'<a href="{escape(address)}" {_LEADS_AWAY}>')
            case "link_close":
                if links.pop():
                    yield token
            case "image":
                address = address_of(str(token.attrs.get("src", "")))
                about = escape(_clean(_text_of(token.children or ())).strip()) or "picture"
                if address is None or any(links):
                    yield _raw(token, about)
                else:
                    yield _raw(token, f'<a href="{escape(address)}" {_LEADS_AWAY}>{about}</a>')
            case "text":
                text = _clean(token.content)  # once more: entities are characters now
                yield _raw(token, escape(text) if any(links) else _linked(text, film))
            case _:
                yield token


def _text_of(tokens: Iterable["Token"]) -> str:
    return "".join(
        _text_of(token.children) if token.children else token.content for token in tokens
    )


def _raw(token: "Token", html: str) -> "Token":
    token.type, token.content, token.children = "html_inline", html, None
    return token
