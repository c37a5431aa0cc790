"""Normalizes untrusted metadata of any type to plausible values or None.

All results can be written as JSON and valid UTF-8, within the limits below.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import time
from itertools import islice
from typing import TypeVar
from urllib.parse import urlsplit

from generator.core.formatting import normalize_tag, readable
from generator.core.library.file_filter import VIDEO_SUFFIXES
from generator.core.media.chapters import chapter_in, seconds_in, tidy_chapters
from generator.core.model import Chapter

MAX_LINE = 300  # characters
MAX_PROSE = 10_000
MAX_ADDRESS = 2_000
MAX_TAG = 100
MAX_TAGS = 200

_Value = TypeVar("_Value")
_MAX_MEMBERS = 10_000  # members of a list
_MAX_NAMES = 10
_MAX_NUMBER = 10**18
_MAX_TIME = 64  # characters
_MAX_INDEX = 99_999  # of an episode, a season, an entry of a list
_ZERO_WIDTH_JOINERS = "\u200c\u200d"
_BREAKS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_BLANK_LINES = re.compile(r"\A(?: *\n)+")
_NOT_IN_URL = re.compile(r"[\s\\<>\"`{}|^]")
_INTEGER = re.compile(r"\d{1,9}", re.ASCII)
_TAG_SEPARATORS = re.compile(r"[,;\n]|\s(?=#)")


def first(read: Callable[[object], _Value | None], *values: object) -> _Value | None:
    """Return the first result of `read` that is not None."""
    return next((result for result in map(read, values) if result is not None), None)


def one_line(value: object) -> str | None:
    """Return one line of at most `MAX_LINE` characters, from text or an integer."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MAX_NUMBER:
        return str(value)
    if not isinstance(value, str):
        return None
    return readable(value.lstrip()[: 4 * MAX_LINE])[:MAX_LINE].rstrip() or None


def title(value: object) -> str | None:
    """Return a line that is a title, and not merely the name of a video file."""
    text = one_line(value)
    _, dot, suffix = (text or "").rpartition(".")
    return None if dot and suffix.lower() in VIDEO_SUFFIXES else text


def names(value: object) -> str | None:
    """Return one line with all names of a list."""
    if not isinstance(value, list):
        return one_line(value)
    lines = filter(None, map(one_line, value[:_MAX_MEMBERS]))
    return one_line(", ".join(islice(dict.fromkeys(lines), _MAX_NAMES)))


def prose(value: object) -> str | None:
    """Return text of at most `MAX_PROSE` characters, without controls other than line feeds."""
    if not isinstance(value, str):
        return None
    text = _BREAKS.sub("\n", value[: 4 * MAX_PROSE]).replace("\t", "    ")
    shown = "".join(filter(None, map(_clean_character, text)))[:MAX_PROSE]
    text = unicodedata.normalize("NFC", shown)[:MAX_PROSE]  # NFC can make it longer
    return _BLANK_LINES.sub("", text.rstrip()) or None


def _clean_character(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cs":
        return "\ufffd"  # a lone surrogate
    return "" if category[0] == "C" and character not in "\n" + _ZERO_WIDTH_JOINERS else character


def address(value: object) -> str | None:
    """Return an http or https URL that browsers accept and that has no credentials."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ADDRESS * 2:
        return None
    text = value.strip()
    if len(text) > MAX_ADDRESS or _NOT_IN_URL.search(text) or readable(text) != text:
        return None
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts.scheme + text[len(parts.scheme) :] if sound and "@" not in parts.netloc else None


def number(value: object) -> int | None:
    """Return a number from 0 on, such as that of an episode."""
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= _MAX_INDEX else None


def clean_tags(*values: object) -> tuple[str, ...]:
    """Return tags of lists, and of texts with separators such as commas."""
    tags: dict[str, None] = {}
    for value in values:
        for tag in map(_tag, islice(_members(value), _MAX_MEMBERS)):
            if tag and len(tags) < MAX_TAGS:
                tags[tag] = None
    return tuple(tags)


def _members(value: object) -> Iterable[object]:
    if isinstance(value, str):
        return _TAG_SEPARATORS.split(value[: MAX_TAG * MAX_TAGS])
    return value if isinstance(value, list) else ()


def _tag(value: object) -> str:
    text = one_line(value)
    return normalize_tag(normalize_tag(text or "")[:MAX_TAG])


def chapters(value: object) -> tuple[Chapter, ...]:
    """Return tidy chapters of tables, of lines ("1:23 Title"), or of titles by time."""
    if isinstance(value, str):
        value = value[:MAX_PROSE].splitlines()
    if isinstance(value, Mapping):
        value = [
            {"start": start, "title": name} for start, name in islice(value.items(), _MAX_MEMBERS)
        ]
    if not isinstance(value, list):
        return ()
    parsed = map(_chapter, value[:_MAX_MEMBERS])
    return tidy_chapters(chapter for chapter in parsed if chapter is not None)


def _chapter(value: object) -> Chapter | None:
    if isinstance(value, str):
        return chapter_in(value)
    if not isinstance(value, Mapping):
        return None
    if len(value) == 1:  # - 1:23: Title
        ((start, name),) = value.items()
    else:
        start = next((value[key] for key in ("start_time", "start", "time") if key in value), None)
        name = value.get("title")
    start_s = _seconds(start)
    return None if start_s is None else Chapter(start_s, one_line(name) or "")


def _seconds(value: object) -> float | None:
    if isinstance(value, time):  # TOML parses 00:01:23 as a time of day
        value = value.isoformat()
    if isinstance(value, str):
        return seconds_in(value[:_MAX_TIME])
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MAX_NUMBER:
        return float(value)  # NaN compares False above
    return None
