"""Values of an import: what the values of other programs mean, or why they mean nothing.

A value means something only where it leaves no choice: "4" and 4.0 are four stars, 3.7 and true are
none. Texts with lone surrogates are no names and no tags; `import_key` allows those of bytes.
"""

import json
import re
from datetime import UTC, datetime
from functools import lru_cache

from generator.core.formatting import escape_controls, normalize_tag
from generator.core.library.file_filter import VIDEO_SUFFIXES
from generator.core.library.import_entries import UnusableKeyError, parts_of
from generator.core.media.dates import Moment, moment_of

MAX_STARS, MAX_VIEWS = 5, 10**12
MAX_TAG = 200  # characters, as of every other tag of a person
_MAX_SHOWN = 60  # characters
_MAX_KEY = 10_000  # likewise; longer than any path
_MAX_EXACT = 10**20
_WHOLE = re.compile(r"\s*([+-]?\d{1,20})(?:\.0{0,20})?\s*", re.ASCII)
_NOT_UNICODE = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # not even bytes in disguise
_SURROGATE = re.compile("[\ud800-\udfff]")
_EARLIEST, _LATEST = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (1980, 2101))

_normalized = lru_cache(maxsize=4096)(normalize_tag)  # many videos have few tags


class UnusableValueError(Exception):
    """A value that means nothing; the message says why."""


def import_key(value: object) -> str:
    """Return the key of an entry.

    Raises:
        UnusableKeyError: it can be no video's.
    """
    if not isinstance(value, str):
        raise UnusableKeyError(f"{shown_value(value)} is no file name")
    if _NOT_UNICODE.search(value):
        raise UnusableKeyError("is no file name: some of its letters are damaged")
    if len(value) > _MAX_KEY:
        raise UnusableKeyError("is no file name: it is too long")
    name = parts_of(value)[-1]
    suffix = name.rpartition(".")[2]
    if not suffix.isascii() or suffix.lower() not in VIDEO_SUFFIXES or "." not in name:
        raise UnusableKeyError("is no video, by its name")
    return value


def stars_in(value: object) -> int:
    """Return the stars that a value means.

    Raises:
        UnusableValueError: it is no rating.
    """
    stars = _whole(value, "stars", "no rating")
    if not 1 <= stars <= MAX_STARS:
        raise UnusableValueError(f"{shown_value(value)} is not between 1 and {MAX_STARS} stars")
    return stars


def halved_stars_in(value: object) -> int:
    """Return the stars that a rating from 1 to 10 means.

    Raises:
        UnusableValueError: it is none, or between two.
    """
    return _scaled(value, 2)


def stars_of_hundred(value: object) -> int:
    """Return the stars that a rating from 1 to 100 means.

    Raises:
        UnusableValueError: it is none, or between two.
    """
    return _scaled(value, 20)


def views_in(value: object) -> int:
    """Return the views that a value means.

    Raises:
        UnusableValueError: it is no number of views.
    """
    views = _whole(value, "views", "no views")
    if not 1 <= views <= MAX_VIEWS:
        raise UnusableValueError(f"{shown_value(value)} is no number of views")
    return views


def tags_in(value: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the tags that a value means, each once, and why others in it mean nothing.

    A list has one in each element, a text has them between commas.

    Raises:
        UnusableValueError: it is neither, or has no tags.
    """
    if isinstance(value, str):
        value = value.split(",") if value.strip() else None
    if value is None or value == []:
        raise UnusableValueError("no tags")
    if not isinstance(value, list | tuple):
        raise UnusableValueError(f"{shown_value(value)} is no list of tags")
    tags: dict[str, None] = {}
    reasons: list[str] = []
    for element in value:
        try:
            tags[_tag_in(element)] = None
        except UnusableValueError as error:
            reasons.append(str(error))
    return tuple(tags), tuple(reasons)


def _tag_in(value: object) -> str:
    if not isinstance(value, str) or _SURROGATE.search(value):
        raise UnusableValueError(f"{shown_value(value)} is no tag")
    tag = _normalized(value) if len(value) <= 4 * MAX_TAG else value
    if not tag:
        raise UnusableValueError(f"{shown_value(value)} is no tag")
    if len(tag) > MAX_TAG:
        raise UnusableValueError(f"{shown_value(value)} is longer than {MAX_TAG} characters")
    return tag


def instant_in(value: object) -> int | None:
    """Return the instant that a value means, in seconds since 1970; None if it means none.

    It is a text as of ISO 8601, or seconds or milliseconds since 1970. Without a zone it is UTC.
    """
    if isinstance(value, str):
        return _instant_of(value) if len(value) <= _MAX_SHOWN else None
    return _plausible(moment_of(value))


@lru_cache(maxsize=4096)  # imports of imports have one instant in all their rows
def _instant_of(text: str) -> int | None:
    return _plausible(moment_of(text))


def _plausible(moment: Moment | None) -> int | None:
    return moment.at if moment is not None and _EARLIEST <= moment.at < _LATEST else None


def shown_value(value: object) -> str:
    """Return a value as JSON in one short line; of lists and objects what they are."""
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, bytes):
        return "binary"
    if isinstance(value, str):
        text = escape_controls(json.dumps(value[: 2 * _MAX_SHOWN], ensure_ascii=False))
        return text if len(text) <= _MAX_SHOWN else f'{text[: _MAX_SHOWN - 2].rstrip()}…"'
    if isinstance(value, int) and not -_MAX_EXACT < value < _MAX_EXACT:
        return "a number of more than 20 digits"
    return json.dumps(value)  # null, true, NaN, numbers


def _whole(value: object, unit: str, nothing: str) -> int:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise UnusableValueError(nothing)
    number: int | None = None
    if isinstance(value, str) and (match := _WHOLE.fullmatch(value)):
        number = int(match[1])
    elif isinstance(value, float):
        if value.is_integer():
            number = int(value)
        elif abs(value) < _MAX_EXACT:  # no infinity, no NaN
            raise UnusableValueError(f"{shown_value(value)} is no whole number of {unit}")
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    if number is None:
        raise UnusableValueError(f"{shown_value(value)} is no number of {unit}")
    if number == 0:
        raise UnusableValueError(f"{shown_value(value)} is {nothing}")
    return number


def _scaled(value: object, scale: int) -> int:
    rating = _whole(value, "stars", "no rating")
    if not 1 <= rating <= MAX_STARS * scale:
        raise UnusableValueError(f"{shown_value(value)} is no rating from 1 to {MAX_STARS * scale}")
    if rating % scale:
        raise UnusableValueError(f"{rating} of {MAX_STARS * scale} is no whole number of stars")
    return rating // scale
