"""Reads JSON that programs were killed in the middle of writing, or people have edited by hand.

Whole JSON is read by Python's own reader. The rest is read up to the first character that leaves a
choice, with comments and trailing commas allowed; what is open there is marked as cut.
"""

import codecs
import json
import math
import re
from dataclasses import dataclass, field

from generator.adapters.import_sources.source_files import UnreadableSourceError

_BOMS = (  # UTF-32 first: its marks begin like those of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UNMARKED = {(True, False): "utf-16-be", (False, True): "utf-16-le"}  # by which byte is zero
_MAX_DEPTH = 64  # of lists and objects in each other
_MAX_INT = 20  # digits
_DAMAGED_LETTER = "\ud800"  # of no text and no name
_SKIP = re.compile(r"(?:[\s\ufeff]+|//[^\r\n]*|#[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_WORD = re.compile(r"[-+.\w]+", re.ASCII)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?", re.ASCII)
_WORDS: dict[str, object] = {
    "true": True,
    "false": False,
    "null": None,
    "NaN": math.nan,
    "Infinity": math.inf,
    "-Infinity": -math.inf,
}


@dataclass(frozen=True, slots=True)
class JsonText:
    """The value of a JSON text, and what is wrong with the text; "" for nothing."""

    value: object
    damage: str


class MarkedObject(dict[str, object]):
    """An object that is cut, or in which keys are doubled: `replaced` are their earlier values."""

    is_cut: bool = False
    replaced: tuple[tuple[str, object], ...] = ()


class CutList(list[object]):
    """A list that is cut."""


def is_cut(value: object) -> bool:
    """Return whether the end of a list or an object is missing."""
    return isinstance(value, CutList) or (isinstance(value, MarkedObject) and value.is_cut)


def decode_source(content: bytes) -> tuple[str, str]:
    """Return the text of a file, and what is wrong with it: letters that are none, or nothing."""
    if not content.strip(b"\0 \t\r\n"):
        raise UnreadableSourceError("holds only zeros" if b"\0" in content else "is empty")
    encoding = next((name for mark, name in _BOMS if content.startswith(mark)), "")
    if not encoding:
        encoding = _UNMARKED.get((content[:1] == b"\0", content[1:2] == b"\0"), "utf-8")
    try:
        return content.decode(encoding), ""
    except UnicodeDecodeError as error:
        text = content.decode(encoding, "replace").replace("\ufffd", _DAMAGED_LETTER)
        name = encoding.upper().removesuffix("-SIG")
        return text, f"is not {name} from its byte {error.start} on"


def read_json(content: bytes) -> JsonText:
    """Return the value of a JSON text.

    Raises:
        UnreadableSourceError: it is empty, or no JSON from the first letter on.
    """
    text, damage = decode_source(content)
    start = _end_of_space(text, 0)
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        value, end, cause = _JsonScan(text).value()
        if cause:
            return JsonText(value, f"{cause} ({_position(text, end)})")
    rest = _end_of_space(text, end)
    if rest < len(text):
        damage = damage or f"has more after its end ({_position(text, rest)}), which was not read"
    return JsonText(value, damage)


def _end_of_space(text: str, at: int) -> int:
    match = _SKIP.match(text, at)
    return match.end() if match else at


def _position(text: str, at: int) -> str:
    line = text.count("\n", 0, at) + 1
    return f"line {line}, column {at - text.rfind(chr(10), 0, at)}"


def _object_of(pairs: list[tuple[str, object]]) -> dict[str, object]:
    unmarked = dict(pairs)
    if len(unmarked) == len(pairs):
        return unmarked
    marked = MarkedObject(unmarked)
    last = {key: position for position, (key, _) in enumerate(pairs)}
    marked.replaced = tuple(
        pair
        for position, pair in enumerate(pairs)
        if last[pair[0]] != position and not _is_same(pair[1], marked[pair[0]])
    )
    return marked


def _is_same(value: object, other: object) -> bool:
    try:
        return type(value) is type(other) and value == other
    except RecursionError:
        return False


def _int_of(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_INT else float(digits)


_DECODER = json.JSONDecoder(object_pairs_hook=_object_of, parse_int=_int_of, strict=False)


class _DamageError(Exception):
    """The text is no JSON at a position."""

    def __init__(self, cause: str, at: int) -> None:
        super().__init__(cause)
        self.at = at


@dataclass(slots=True)
class _Container:
    """A list or an object that is still open."""

    closing: str
    values: list[object] = field(default_factory=list)
    pairs: list[tuple[str, object]] = field(default_factory=list)
    key: str | None = None
    wants_comma: bool = False

    def put(self, value: object) -> None:
        """Take a value, under the key that was read last."""
        if self.key is None:
            self.values.append(value)
        else:
            self.pairs.append((self.key, value))
        self.key, self.wants_comma = None, True

    def closed(self, *, is_cut: bool = False) -> object:
        """Return it as a value."""
        if self.closing == "]":
            return CutList(self.values) if is_cut else self.values
        whole = _object_of(self.pairs)
        if not is_cut:
            return whole
        marked = MarkedObject(whole)
        marked.is_cut = True
        marked.replaced = whole.replaced if isinstance(whole, MarkedObject) else ()
        return marked


class _JsonScan:
    """Reads a text up to its end or its first damage."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._open: list[_Container] = []

    def value(self) -> tuple[object, int, str]:
        """Return the value, where it ends, and what is wrong there; "" for nothing."""
        try:
            value, at = self._whole()
        except _DamageError as error:
            if not self._open:
                raise UnreadableSourceError("is no JSON") from error
            return self._cut(), error.at, str(error)
        return value, at, ""

    def _cut(self) -> object:
        value = self._open.pop().closed(is_cut=True)
        while self._open:
            container = self._open.pop()
            container.put(value)
            value = container.closed(is_cut=True)
        return value

    def _whole(self) -> tuple[object, int]:
        at = 0
        while True:
            at = _end_of_space(self._text, at)
            top = self._open[-1] if self._open else None
            if top is not None and top.key is None and self._text.startswith(top.closing, at):
                value: object = self._open.pop().closed()
                at += 1
            elif top is not None and top.wants_comma:
                at = self._past(",", at)
                top.wants_comma = False
                continue
            elif top is not None and top.closing == "}" and top.key is None:
                key, at = self._string(at)
                at = self._past(":", _end_of_space(self._text, at))
                top.key = key
                continue
            elif self._text[at : at + 1] in ("{", "["):
                self._begin(at)
                at += 1
                continue
            else:
                value, at = self._scalar(at)
            if not self._open:
                return value, at
            self._open[-1].put(value)

    def _begin(self, at: int) -> None:
        if len(self._open) >= _MAX_DEPTH:
            raise _DamageError("is nested too deeply", at)
        self._open.append(_Container("}" if self._text[at] == "{" else "]"))

    def _past(self, sign: str, at: int) -> int:
        if not self._text.startswith(sign, at):
            raise self._damage(at)
        return at + 1

    def _string(self, at: int) -> tuple[str, int]:
        if not self._text.startswith('"', at):
            raise self._damage(at)
        try:
            value, end = _DECODER.raw_decode(self._text, at)
        except json.JSONDecodeError as error:
            is_open = error.msg.startswith("Unterminated")
            raise self._damage(len(self._text) if is_open else error.pos) from error
        return str(value), end

    def _scalar(self, at: int) -> tuple[object, int]:
        if self._text.startswith('"', at):
            return self._string(at)
        match = _WORD.match(self._text, at)
        if match is None or match.end() == len(self._text):  # more of it may be missing
            raise self._damage(at if match is None else match.end())
        word = match[0]
        if word in _WORDS:
            return _WORDS[word], match.end()
        number = _NUMBER.fullmatch(word)
        if number is None:
            raise self._damage(at)
        is_whole = number[1] is None and number[2] is None
        return (_int_of(word) if is_whole else float(word)), match.end()

    def _damage(self, at: int) -> _DamageError:
        cause = "is cut off" if not self._text[at:].strip() else "is damaged"
        return _DamageError(f"{cause}: only what comes before was read", at)
