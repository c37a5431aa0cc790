"""SubStation Alpha (.ass, .ssa): the readable text of its lines.

Positions, colors, effects and drawings are dropped; italics, bold, underlines and the top edge are
kept. A sign that was typeset frame by frame, or in layers, becomes one cue again.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from generator.adapters.media_worker.subtitles.timestamps import CLOCK, seconds_of
from generator.core.media.webvtt import Cue, escape_cue_text

_STYLE_FIELDS = (
    "name,fontname,fontsize,primarycolour,secondarycolour,outlinecolour,backcolour,bold,italic,"
    "underline,strikeout,scalex,scaley,spacing,angle,borderstyle,outline,shadow,alignment"
)
_OLD_STYLE_FIELDS = (
    "name,fontname,fontsize,primarycolour,secondarycolour,tertiarycolour,backcolour,bold,italic,"
    "borderstyle,outline,shadow,alignment"
)
_EVENT_FIELDS = "layer,start,end,style,name,marginl,marginr,marginv,effect,text"
_PACKET_FIELDS = "readorder,layer,style,name,marginl,marginr,marginv,effect,text"
_SPECIAL = re.compile(r"\\([{}Nnh])|\{([^{}]*)\}")
_OVERRIDE = re.compile(r"\\(?:([biu])(\d{0,4})(?![\da-z(])|p(\d{1,4})|r([^\\]*)|an(\d))", re.ASCII)
_ESCAPED = {"N": "\n", "n": "\n", "h": "\xa0", "{": "{", "}": "}"}
_TOP_ALIGNMENTS = {"7", "8", "9"}  # on the number pad
_OLD_TOP_ALIGNMENTS = {"5", "6", "7"}
_BOLD_FROM = 600  # a weight
_APART_S = 0.05  # between two frames of one sign, at 20 a second


@dataclass(frozen=True, slots=True)
class TextStyle:
    """The style of text, as far as WebVTT supports it."""

    bold: bool = False
    italic: bool = False
    underline: bool = False
    at_top: bool = False
    drawing: bool = False


_PLAIN_STYLE = TextStyle()


class AssScript:
    """A script that is read line by line; styles apply to the lines below them."""

    def __init__(self) -> None:
        self._styles: dict[str, TextStyle] = {}
        self._is_old = False
        self._style_fields = _STYLE_FIELDS.split(",")
        self._event_fields = _EVENT_FIELDS.split(",")
        self._in_styles = False

    def cues(self, text: str) -> Iterator[Cue]:
        """Yield the cues of dialogue lines."""
        for line in text.split("\n"):
            key, _, rest = line.strip().lstrip("\ufeff").partition(":")
            key = key.rstrip().lower()
            if key.startswith("["):
                self._start_section(key)
            elif key == "format":
                fields = [name.strip().lower() for name in rest.split(",")]
                if self._in_styles:
                    self._style_fields = fields
                else:
                    self._event_fields = fields
            elif key == "style":
                self._add_style(rest)
            elif key == "dialogue":
                yield from self._dialogue(rest)

    def cue_of_packet(self, start_s: float, end_s: float, text: str) -> Cue:
        """Return the cue of a packet of a stream; its header has to be read by `cues` first."""
        return self._cue(start_s, end_s, _event(text, _PACKET_FIELDS.split(",")))

    def _start_section(self, section: str) -> None:
        self._in_styles = "styles" in section
        if self._in_styles:
            self._is_old = "v4+" not in section
            self._style_fields = (_OLD_STYLE_FIELDS if self._is_old else _STYLE_FIELDS).split(",")

    def _add_style(self, rest: str) -> None:
        style = dict(zip(self._style_fields, rest.split(","), strict=False))
        bold, italic, underline = (
            style.get(name, "").strip() not in ("", "0") for name in ("bold", "italic", "underline")
        )
        upper = _OLD_TOP_ALIGNMENTS if self._is_old else _TOP_ALIGNMENTS
        at_top = style.get("alignment", "").strip() in upper
        self._styles[_style_key(style.get("name", ""))] = TextStyle(bold, italic, underline, at_top)

    def _dialogue(self, rest: str) -> Iterator[Cue]:
        event = _event(rest, self._event_fields)
        start, end = (CLOCK.fullmatch(event.get(name, "").strip()) for name in ("start", "end"))
        if start is not None and end is not None:
            yield self._cue(seconds_of(start.groups()), seconds_of(end.groups()), event)

    def _cue(self, start_s: float, end_s: float, event: Mapping[str, str]) -> Cue:
        face = self._styles.get(_style_key(event.get("style", "")), _PLAIN_STYLE)
        markup, at_top = _markup(event.get("text", ""), face, self._styles)
        return Cue(start_s, end_s, markup, "line:0" if at_top else "")


def _event(rest: str, fields: list[str]) -> dict[str, str]:
    values = rest.split(",", len(fields) - 1)
    return dict(zip(fields, values, strict=False))


def _style_key(style: str) -> str:
    return style.strip().lstrip("*").lower()


def _markup(text: str, style: TextStyle, styles: Mapping[str, TextStyle]) -> tuple[str, bool]:
    """Return the markup of text with overrides, and whether it is at the top edge."""
    face, shown = style, _PLAIN_STYLE
    parts: list[str] = []
    at = 0
    for special in _SPECIAL.finditer(text):
        shown = _append(parts, text[at : special.start()], face, shown)
        at = special.end()
        character, overrides = special.groups()
        if character:
            shown = _append(parts, _ESCAPED[character], face, shown)
        else:
            face = _apply_overrides(face, overrides, style, styles)
    shown = _append(parts, text[at:], face, shown)
    parts.append(_tags(shown, closing=True))
    return "".join(parts), face.at_top


def markup_of(text: str) -> str:
    """Return the markup of text with overrides, without styles."""
    return _markup(text, _PLAIN_STYLE, {})[0]


def _append(parts: list[str], text: str, face: TextStyle, shown: TextStyle) -> TextStyle:
    """Add text and, if the style changed, tags; return the style of the last text."""
    if not text or face.drawing:
        return shown
    if _tags(face) != _tags(shown):
        parts += (_tags(shown, closing=True), _tags(face))
    parts.append(escape_cue_text(text))
    return face


def _tags(face: TextStyle, *, closing: bool = False) -> str:
    names = "b" * face.bold + "i" * face.italic + "u" * face.underline
    if closing:
        return "".join(f"</{name}>" for name in reversed(names))
    return "".join(f"<{name}>" for name in names)


def _apply_overrides(
    face: TextStyle, overrides: str, style: TextStyle, styles: Mapping[str, TextStyle]
) -> TextStyle:
    for letter, number, scale, name, place in _OVERRIDE.findall(overrides):
        if letter == "b":
            bold = int(number) == 1 or int(number) >= _BOLD_FROM if number else style.bold
            face = replace(face, bold=bold)
        elif letter == "i":
            face = replace(face, italic=number != "0" if number else style.italic)
        elif letter == "u":
            face = replace(face, underline=number != "0" if number else style.underline)
        elif scale:
            face = replace(face, drawing=int(scale) > 0)
        elif place:
            face = replace(face, at_top=place in _TOP_ALIGNMENTS)
        else:
            face = replace(styles.get(_style_key(name), style), at_top=face.at_top)
    return face


def merge_cues(cues: Iterable[Cue]) -> list[Cue]:
    """Merge cues that show the same text at once or one after the other."""
    merged: list[Cue] = []
    last: dict[tuple[str, str], int] = {}
    for cue in sorted(cues, key=_start_s):
        key = (cue.text, cue.settings)
        number = last.get(key)
        if number is not None and cue.start_s <= merged[number].end_s + _APART_S:
            end_s = max(merged[number].end_s, cue.end_s)
            merged[number] = replace(merged[number], end_s=end_s)
        else:
            last[key] = len(merged)
            merged.append(cue)
    return merged


def _start_s(cue: Cue) -> float:
    return cue.start_s
