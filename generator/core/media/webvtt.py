"""WebVTT: the output is valid, whatever the input.

Cues are untrusted: markup is rebuilt and closed, unknown tags are dropped and their content kept,
all else is escaped, and impossible times are left out.
"""

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import quote

from generator.core.model import Chapter

_HEADER = "WEBVTT\n"
_MAX_S = 10_000 * 3600.0
_DAY_S = 86_400.0
_IN_URLS = "/:?#[]@!$&'()*+,;=%~"

_TAG = re.compile(r"<(/?[A-Za-z!?][^<>]{0,500}|/?|\d{1,6}:[\d:.]{0,20}\s?)>")
_INNER = re.compile(r"(/?)([A-Za-z]\w*)((?:\.[^\s.]+)*)[\s./]*(.*)", re.DOTALL)
_REFERENCE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_SPACES = re.compile(r"[ \t\n]+")
_COLOR = re.compile(r"\bcolor\s*=\s*[\"']?#?(\w{3,7})", re.IGNORECASE | re.ASCII)
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,5}", re.ASCII)

_LINE_ENDS = dict.fromkeys([*range(0x0A, 0x0E), 0x1C, 0x1D, 0x1E, 0x85, 0x2028, 0x2029], "\n")
_CONTROL = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), 0xFEFF, 0xFFFE, 0xFFFF])
_PLAIN = {**_CONTROL, 0x09: "\t", **_LINE_ENDS}
_SURROGATES = re.compile("[\ud800-\udfff]")

_COLORS = {  # those with classes in browsers; white and black are left to the page
    "00ff00": "lime",
    "00ffff": "cyan",
    "ff0000": "red",
    "ffff00": "yellow",
    "ff00ff": "magenta",
    "0000ff": "blue",
}
_CLASSES = {*_COLORS.values(), "white", "black"}
_CLASSES |= {f"bg_{name}" for name in _CLASSES}
_ALIASES = {"em": "i", "strong": "b"}
_REOPENED = {"i", "b", "u", "c", "font"}  # reopened where their parent is closed too early
_DEEPEST = 8
_MAX_ANNOTATION = 100  # characters

_WRITTEN_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d)\.(\d{3})", re.ASCII)
_WRITTEN_TIMES = re.compile(  # escaped text has no ">" of its own
    rf"^{_WRITTEN_CLOCK.pattern} --> {_WRITTEN_CLOCK.pattern}", re.ASCII | re.MULTILINE
)

_PERCENT = r"(?:100(?:\.0{1,6})?|\d{1,2}(?:\.\d{1,6})?)%"
_SETTINGS = {
    name: re.compile(pattern)
    for name, pattern in (
        ("vertical", "rl|lr"),
        ("line", rf"(?:-?\d{{1,3}}|{_PERCENT})(?:,(?:start|center|end))?"),
        ("position", rf"{_PERCENT}(?:,(?:line-left|center|line-right))?"),
        ("size", _PERCENT),
        ("align", "start|center|end|left|right"),
    )
}


@dataclass(frozen=True, slots=True)
class Cue:
    """A text from `start_s` to `end_s`.

    `text` is WebVTT markup: plain text goes through `escape_cue_text` first. `settings` are those
    of the cue ("line:0 align:start"). The writer repairs both, and drops what shows nothing.
    """

    start_s: float
    end_s: float
    text: str
    settings: str = ""


def write_cues(cues: Iterable[Cue]) -> bytes:
    """Return a WebVTT file of all cues that can be shown, by ascending start.

    Left out are cues without text, those shorter than a millisecond, and times beyond 10,000 hours;
    what starts before 0 starts at 0.
    """
    timed = ((_span_ms(cue.start_s, cue.end_s), cue) for cue in cues)
    lasting = sorted(
        ((span_ms, cue) for span_ms, cue in timed if span_ms is not None), key=_by_start
    )
    return _file(
        (span_ms, f" {settings}" if settings else "", text)
        for span_ms, settings, text in (
            (span_ms, tidy_settings(cue.settings), tidy(cue.text)) for span_ms, cue in lasting
        )
        if text
    )


def shift_cues(content: bytes, by_s: float) -> bytes:
    """Return a file that was written here with all its cues shifted by `by_s`."""

    def moved(line: re.Match[str]) -> str:
        return _WRITTEN_CLOCK.sub(lambda clock: _clock(_ms_of(clock) + _ms(by_s)), line[0])

    return _WRITTEN_TIMES.sub(moved, content.decode()).encode()


def chapters_vtt(chapters: tuple[Chapter, ...], duration_s: float | None) -> bytes:
    """Return a WebVTT file of chapters, each lasting until the next.

    Args:
        chapters: ascending by start.
        duration_s: of the video; where it is unknown, the last chapter lasts a day.
    """
    starts_s = [chapter.start_s for chapter in chapters]
    ends_s = _ends_s(starts_s, duration_s, _DAY_S)
    return write_cues(
        Cue(chapter.start_s, end_s, escape_cue_text(" ".join(chapter.title.split())))
        for chapter, end_s in zip(chapters, ends_s, strict=True)
    )


def board_vtt(
    starts_s: Sequence[float],
    duration_s: float | None,
    columns: int,
    tile_width_px: int,
    tile_height_px: int,
    url: str,
) -> bytes:
    """Return a WebVTT file that maps time ranges to the tiles of a sprite.

    Args:
        starts_s: of the tiles, ascending, row by row.
        duration_s: of the video; where it is unknown, the last tile lasts as long as the one
            before.
        columns: how many tiles a row has.
        tile_width_px: of each.
        tile_height_px: of each.
        url: of the sprite, relative to the file.
    """
    address = quote(url, safe=_IN_URLS)
    last_s = starts_s[-1] - starts_s[-2] if len(starts_s) > 1 else _DAY_S
    rows = []
    for number, end_s in enumerate(_ends_s(starts_s, duration_s, last_s)):
        row, column = divmod(number, columns)
        corner = f"{column * tile_width_px},{row * tile_height_px}"
        span_ms = _span_ms(starts_s[number], end_s)
        if span_ms is not None:
            rows.append((span_ms, "", f"{address}#xywh={corner},{tile_width_px},{tile_height_px}"))
    return _file(rows)


def escape_cue_text(plain: str) -> str:
    """Return plain text as markup that shows it."""
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def tidy(markup: str) -> str:
    """Return markup that is valid and looks the same; "" where nothing would be seen.

    i, b, u, ruby, rt, v, lang and c with the classes of standard colors are kept; so is the color
    of an HTML font, if it has such a class. Spaces are collapsed, empty lines dropped. Tidy markup
    stays as it is.
    """
    writer = _MarkupWriter()
    at = 0
    for tag in _TAG.finditer(markup):
        writer.add_text(markup[at : tag.start()])
        writer.add_tag(tag[1])
        at = tag.end()
    writer.add_text(markup[at:])
    return writer.finished()


def tidy_settings(settings: str) -> str:
    """Return the valid cue settings, each once, without those of regions."""
    kept: dict[str, str] = {}
    for setting in settings.split():
        name, _, value = setting.partition(":")
        pattern = _SETTINGS.get(name)
        if pattern is not None and name not in kept and pattern.fullmatch(value):
            kept[name] = setting
    return " ".join(kept.values())


_Row = tuple[tuple[int, int], str, str]  # span_ms, what follows the times, payload


def _file(rows: Iterable[_Row]) -> bytes:
    blocks = [
        f"\n{_clock(start_ms)} --> {_clock(end_ms)}{rest}\n{payload}\n"
        for (start_ms, end_ms), rest, payload in rows
    ]
    return (_HEADER + "".join(blocks)).encode()


def _by_start(timed: tuple[tuple[int, int], Cue]) -> int:
    return timed[0][0]


def _span_ms(start_s: float, end_s: float) -> tuple[int, int] | None:
    if not (abs(start_s) < _MAX_S and abs(end_s) < _MAX_S):  # NaN compares with nothing
        return None
    start_ms, end_ms = max(_ms(start_s), 0), _ms(end_s)
    return (start_ms, end_ms) if start_ms < end_ms else None


def _ms(instant_s: float) -> int:
    return round(instant_s * 1000)


def _ms_of(clock: re.Match[str]) -> int:
    hours, minutes, seconds, milliseconds = map(int, clock.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds


def _clock(instant_ms: int) -> str:
    seconds, milliseconds = divmod(instant_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}"


def _ends_s(starts_s: Sequence[float], duration_s: float | None, last_s: float) -> Iterator[float]:
    """Yield the ends of consecutive ranges; the last lasts `last_s` if the duration is unknown."""
    for _, end_s in pairwise(starts_s):
        yield end_s
    if starts_s:
        start_s = starts_s[-1]
        if duration_s is not None and _ms(duration_s) > _ms(start_s):
            yield duration_s
        else:
            yield start_s + last_s


@dataclass(frozen=True, slots=True, eq=False)
class _Element:
    """An element of the markup; `opening` is "" where it is not written."""

    name: str
    opening: str

    @property
    def closing(self) -> str:
        name = "c" if self.name == "font" else self.name
        return f"</{name}>" if self.opening else ""


class _MarkupWriter:
    """Writes markup. Tags are written only around text, so that none is empty."""

    def __init__(self) -> None:
        self._written: list[str] = []
        self._open: list[_Element] = []  # as written
        self._nested: list[_Element] = []  # as read
        self._gap = ""
        self._is_seen = False

    def add_text(self, markup: str) -> None:
        """Add the text between two tags."""
        if not markup:
            return
        plain = _plain(markup)
        at = 0
        for gap in _SPACES.finditer(plain):
            self._add_word(plain[at : gap.start()])
            if self._gap != "\n":
                self._gap = "\n" if "\n" in gap[0] else " "
            at = gap.end()
        self._add_word(plain[at:])

    def add_tag(self, inner: str) -> None:
        """Add a tag, given without its brackets."""
        match = _INNER.match(inner)
        if match is None:
            return
        closes, name, classes, annotation = match.groups()
        name = _ALIASES.get(name.lower(), name.lower())
        if name == "br":
            self._gap = "\n"
        elif closes:
            self._close(name)
        elif len(self._nested) < _DEEPEST:
            self._open_one(name, classes, annotation)

    def finished(self) -> str:
        """Return all of it, closed; "" where there is nothing but spaces of any kind."""
        self._close_down_to(0)
        return "".join(self._written) if self._is_seen else ""

    def _open_one(self, name: str, classes: str, annotation: str) -> None:
        names = [element.name for element in self._nested]
        match name:
            case "i" | "b" | "u":
                opening = f"<{name}>"
            case "c":
                kept = dict.fromkeys(one for one in classes.split(".") if one in _CLASSES)
                opening = f"<c.{'.'.join(kept)}>" if kept else ""
            case "font":
                opening = _font(annotation)
            case "v":
                self._close("v")  # often missing before the next speaker
                speaker = " ".join(_plain(annotation).split())[:_MAX_ANNOTATION].rstrip(" -")
                opening = f"<v {escape_cue_text(speaker)}>" if speaker else ""
            case "lang":
                tag = annotation.strip()
                opening = f"<lang {tag}>" if _LANGUAGE.fullmatch(tag) else ""
            case "ruby" if "ruby" not in names:
                opening = "<ruby>"
            case "rt" if names and names[-1] == "ruby":
                opening = "<rt>"
            case _:
                return
        self._nested.append(_Element(name, opening))

    def _close(self, name: str) -> None:
        """Close the innermost element of a name, if any; some of those within are reopened."""
        for at in range(len(self._nested) - 1, -1, -1):
            if self._nested[at].name == name:
                within = self._nested[at + 1 :]
                self._nested[at:] = [one for one in within if one.name in _REOPENED]
                return

    def _add_word(self, word: str) -> None:
        if not word:
            return
        same = 0
        for is_open, element in zip(self._open, self._nested, strict=False):
            if is_open is not element:
                break
            same += 1
        self._close_down_to(same)
        if self._gap and self._written:
            self._written.append(self._gap)
        self._gap = ""
        for element in self._nested[same:]:
            self._written.append(element.opening)
            self._open.append(element)
        self._written.append(escape_cue_text(word))
        self._is_seen = self._is_seen or not word.isspace()

    def _close_down_to(self, depth: int) -> None:
        while len(self._open) > depth:
            self._written.append(self._open.pop().closing)


def _plain(markup: str) -> str:
    """Return text without tags as plain text, without control characters but line breaks."""
    if "&" in markup:
        markup = _REFERENCE.sub(lambda reference: html.unescape(reference[0]), markup)
    return _SURROGATES.sub("\ufffd", markup).translate(_PLAIN)


def _font(attributes: str) -> str:
    match = _COLOR.search(attributes)
    if match is None:
        return ""
    color = match[1].lower()
    name = _COLORS.get(color, color)
    return f"<c.{name}>" if name in _COLORS.values() else ""
