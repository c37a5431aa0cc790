"""Dates: when a video was recorded, as people, programs, containers and file names write it.

A date keeps the offset that was written with it, so that the day shown is the local one. What a
person or a sidecar writes counts, however long ago; only the clock of a container can be unset.
Nothing is raised, whatever the input: what is not a date is None.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

FIRST_YEAR, LAST_YEAR = 1800, 2100  # before the first there were no moving pictures

_DAY_S = 86_400
_WESTMOST_MIN = 14 * 60  # the widest offset there is, to either side
_MAX = 64  # characters of a date
_MAX_NAME = 255
_QUARTER_S, _SAME_START_S = 900, 60  # offsets are quarters of hours; phones start with a delay
_MAX_NUMBER = 10**18
_UNSET = (0, -1)  # seconds that programs write for "none"
_MILLISECONDS_FROM, _MICROSECONDS_FROM = 10**11, 10**14  # as seconds: the years 5138 and beyond
_DECEMBER, _NOON, _LAST_SECOND, _LEAP_SECOND, _END_OF_DAY, _SIXTY = 12, 12, 59, 60, 24, 60


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant in seconds since 1970, and its offset in minutes east of UTC.

    Where `offset_min` is None the zone is unknown, and `at` is the local time as if it were UTC.
    """

    at: int
    offset_min: int | None = None


def at_of(moment: Moment | None) -> int | None:
    """Return the instant of a moment that may be none."""
    return None if moment is None else moment.at


def offset_of(moment: Moment | None) -> int | None:
    """Return the offset of a moment that may be none."""
    return None if moment is None else moment.offset_min


# -- what people and programs write

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
_CLOCK = (  # after a day: a time, perhaps with its zone
    r"(?:\s*T\s*|[\s,]+(?:at\s+)?)"
    r"(?:(?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,]\d+)?)?"
    r"|(?<=T)(?P<hour_>\d\d)(?:(?P<minute_>\d\d)(?:(?P<second_>\d\d)(?:[.,]\d+)?)?)?)(?!\d)"
    r"(?:\s*(?P<half>[ap])\.?m\b\.?)?"
    r"\s*(?P<utc>Z\b|UTC\b|GMT\b)?\s*(?P<offset>[+-]\d\d?(?::?\d\d)?(?!\d))?"
)
_FLAGS = re.ASCII | re.IGNORECASE
_TIME = re.compile(_CLOCK, _FLAGS)
_YEAR_FIRST = re.compile(
    r"(?P<year>\d{4})(?:[-/.:](?P<month>\d\d?)(?:[-/.:](?P<day>\d\d?))?)?(?!\d)", _FLAGS
)
_COMPACT = re.compile(
    r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)"
    r"(?:(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d))?(?!\d)",
    _FLAGS,
)
_NUMBERS = re.compile(r"(?P<one>\d\d?)([-/.])(?P<two>\d\d?)\2(?P<year>\d{4})(?!\d)", _FLAGS)
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
_NAMED = tuple(
    re.compile(_WEEKDAY + pattern + r"(?!\d)", _FLAGS)
    for pattern in (
        r"(?P<day>\d\d?)(?:st|nd|rd|th)?\.?[\s-]+(?P<month>[a-z]{3,9})\.?,?[\s-]+(?P<year>\d{4})",
        r"(?P<month>[a-z]{3,9})\.?\s+(?P<day>\d\d?)(?:st|nd|rd|th)?,?\s+(?P<year>\d{4})",
        r"(?P<month>[a-z]{3,9})\.?,?\s+(?P<year>\d{4})",
    )
)
_SECONDS = re.compile(r"-?\d{1,18}(?:\.\d{1,18})?", re.ASCII)
_BARE_SECONDS = re.compile(r"-?\d{9,10}(?:\.\d{1,18})?|\d{12,13}", re.ASCII)
_DASHES = re.compile(r"[\u2010-\u2015\u2212]|[年月년월]\s*")
_MARKS = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")  # directions and the like


def moment_of(value: object) -> Moment | None:  # noqa: PLR0911 (one for each way to write it)
    """Return the date in a value of any kind.

    A year is its first day, a month likewise. Invalid times and offsets are left out; days in
    numbers alone count where they are not ambiguous.

    Args:
        value: a date, a time of a date, a text, or seconds or milliseconds since 1970.
    """
    if isinstance(value, date):  # and datetime
        value = value.isoformat()
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not abs(value) < _MAX_NUMBER:  # NaN too
            return None
        value = str(int(value))
    if not isinstance(value, str):
        return None
    text = _plain(value)
    if _BARE_SECONDS.fullmatch(text):
        return _since_1970(text)
    match = _YEAR_FIRST.match(text)
    if match is not None:
        rest = text[match.end() :]
        if match["day"] is None and rest.strip():
            return None
        return _timed(_day(match["year"], match["month"], match["day"]), rest)
    match = _COMPACT.match(text)
    if match is not None:
        day = _day(match["year"], match["month"], match["day"])
        if match["hour"] is not None:
            return _clocked(day, match["hour"], match["minute"], match["second"], None)
        return _timed(day, text[match.end() :])
    return _by_numbers(text) or _by_name(text)


def moment_of_seconds(value: object) -> Moment | None:
    """Return the instant of seconds (or milliseconds) since 1970; 0 and -1 mean "unset".

    Text in place of such a number is read by `moment_of`.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not abs(value) < _MAX_NUMBER:
            return None
        value = str(int(value))
    if not isinstance(value, str):
        return None
    text = _plain(value)
    return _since_1970(text) if _SECONDS.fullmatch(text) else moment_of(text)


def _since_1970(text: str) -> Moment | None:
    number = float(text)
    for least, share in ((_MICROSECONDS_FROM, 1_000_000), (_MILLISECONDS_FROM, 1000)):
        if abs(number) >= least:
            number /= share
            break
    if int(number) in _UNSET or not _RANGE[0] <= number < _RANGE[1]:
        return None
    return Moment(int(number // 1), 0)


def _plain(text: str) -> str:
    """Return the beginning of a text with ASCII digits and dashes."""
    text = text[: 4 * _MAX].strip()
    if not text.isascii():
        text = _MARKS.sub("", _DASHES.sub("-", unicodedata.normalize("NFKC", text)))
        text = text.replace("日", " ").replace("일", " ").strip()
        text = _digits(text)
    return text[:_MAX].rstrip()


def _digits(text: str) -> str:
    """Return a text with the digits of all scripts in ASCII."""
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)


def _day(year: str, month: str | int | None, day: str | int | None) -> int | None:
    """Return the midnight with which a day begins, None where it does not exist."""
    if not FIRST_YEAR <= int(year) <= LAST_YEAR:
        return None
    try:
        return int(datetime(int(year), int(month or 1), int(day or 1), tzinfo=UTC).timestamp())
    except ValueError:
        return None


_RANGE = (
    int(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC).timestamp()),
    int(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC).timestamp()),
)


def _timed(day: int | None, rest: str) -> Moment | None:
    """Return a day with the time that follows it, if any."""
    match = _TIME.match(rest)
    if match is None:
        return None if day is None else Moment(day)
    hour = match["hour"] or match["hour_"]
    if match["half"] and int(hour) <= _NOON:
        hour = str(int(hour) % _NOON + (_NOON if match["half"].lower() == "p" else 0))
    offset_min = 0 if match["utc"] else None
    if match["offset"]:
        offset_min = _offset(match["offset"])
    minute, second = match["minute"] or match["minute_"], match["second"] or match["second_"]
    return _clocked(day, hour, minute, second, offset_min)


def _offset(text: str) -> int | None:
    digits = text[1:].replace(":", "")
    hours, minutes = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "0")  # noqa: PLR2004
    east_min = int(hours) * _SIXTY + int(minutes)
    if int(minutes) >= _SIXTY or east_min > _WESTMOST_MIN:
        return None
    return -east_min if text[0] == "-" else east_min


def _clocked(
    day: int | None, hour: str, minute: str | None, second: str | None, offset_min: int | None
) -> Moment | None:
    if day is None:
        return None
    hours, minutes, seconds = int(hour), int(minute or 0), int(second or 0)
    if seconds == _LEAP_SECOND:
        seconds = _LAST_SECOND
    is_midnight = hours == _END_OF_DAY and not minutes and not seconds
    if not is_midnight and (hours >= _END_OF_DAY or max(minutes, seconds) >= _SIXTY):
        return Moment(day)
    at = day + (hours * _SIXTY + minutes) * _SIXTY + seconds
    return Moment(at - (offset_min or 0) * _SIXTY, offset_min)


def _by_numbers(text: str) -> Moment | None:
    """Return the day of "24.12.1962" or "12/24/1962", where it is not ambiguous."""
    match = _NUMBERS.match(text)
    if match is None:
        return None
    first, second = int(match["one"]), int(match["two"])
    if first != second and max(first, second) <= _DECEMBER:
        return None
    month, day = (first, second) if second > _DECEMBER else (second, first)
    return _timed(_day(match["year"], month, day), text[match.end() :])


def _by_name(text: str) -> Moment | None:
    """Return the day of "24 December 1962", "Dec 24, 1962" or "December 1962"."""
    for pattern in _NAMED:
        match = pattern.match(text)
        month = match and _month(match["month"].lower())
        if match is None or month is None:
            continue
        rest = text[match.end() :]
        if "day" not in pattern.groupindex:
            return None if rest.strip() else _timed(_day(match["year"], month, None), "")
        return _timed(_day(match["year"], month, match["day"]), rest)
    return None


def _month(name: str) -> int | None:
    name = "sep" if name == "sept" else name
    return next((n for n, whole in enumerate(_MONTHS, 1) if whole.startswith(name)), None)


# -- from a container

_CLOCK_TAGS = ("com.apple.quicktime.creationdate", "creation_time")  # most exact first
_TEXT_TAGS = ("date_recorded", "date", "year")
_UNSET_S = (-2_082_844_800, 0)  # 1904-01-01, 1970-01-01: the epochs of clocks that were never set
_YEAR_ALONE = re.compile(r"\d{4}", re.ASCII)
_YEAR_AND_MONTH = re.compile(r"\d{4}-\d\d", re.ASCII)


def moment_of_tags(tags: Mapping[str, str]) -> Moment | None:
    """Return the recording date in a container's tags.

    A date in text takes precedence over the clock where they are of different days: a person tagged
    the file, and whatever program encoded it last set the clock. On the same day the clock is more
    exact, unless only the text has a zone.

    Args:
        tags: the container's own, with FFmpeg's names, in any case.
    """
    lower = {name.lower(): value for name, value in tags.items()}
    clock = next(filter(None, (_of_clock(lower.get(name)) for name in _CLOCK_TAGS)), None)
    for name in _TEXT_TAGS:
        text = (lower.get(name) or "").strip()
        words = moment_of(text)
        if words is None or (_has_time(text) and _is_unset(words)):
            continue
        if clock is None or not _agrees(words, clock, text):
            return words
        return words if words.offset_min and not clock.offset_min else clock
    return clock


def _of_clock(text: str | None) -> Moment | None:
    moment = moment_of(text)
    return None if moment is None or _is_unset(moment) else moment


def _is_unset(moment: Moment) -> bool:
    """Return whether an instant is on the first day of an epoch, in any time zone."""
    shift_s = _WESTMOST_MIN * _SIXTY
    return any(zero - shift_s <= moment.at < zero + _DAY_S + shift_s for zero in _UNSET_S)


def _has_time(text: str) -> bool:
    return ":" in text


def _agrees(words: Moment, clock: Moment, text: str) -> bool:
    """Return whether a text means the same day (year, month) as a clock, or an adjacent one."""
    length = next(
        (n for n, pattern in ((4, _YEAR_ALONE), (7, _YEAR_AND_MONTH)) if pattern.fullmatch(text)), 0
    )
    if not length:
        return abs(words.at - clock.at) <= _DAY_S
    around = (datetime.fromtimestamp(clock.at + shift, UTC) for shift in (-_DAY_S, 0, _DAY_S))
    return any(day.isoformat()[:length] == text for day in around)


def placed(clock: Moment, named: Moment, duration_s: float | None) -> Moment:
    """Return a UTC instant with the offset that follows from the local time in the file's name.

    A phone names a video by the local time of its start, and stores its start or its end in UTC. If
    the difference is not a valid offset, they are of different events, and nothing follows.
    """
    if clock.offset_min != 0 or named.offset_min is not None or not named.at % _DAY_S:
        return clock
    for start_s in (clock.at, clock.at - round(duration_s or 0)):
        quarters = round((named.at - start_s) / _QUARTER_S)
        off_s = abs(named.at - start_s - quarters * _QUARTER_S)
        if off_s <= _SAME_START_S and abs(quarters) * _QUARTER_S <= _WESTMOST_MIN * _SIXTY:
            return Moment(clock.at, quarters * _QUARTER_S // _SIXTY)
    return clock


# -- from a file name

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", _FLAGS)
_YOUTUBE_ID = re.compile(r"\[[\w-]{11}\]", re.ASCII)
_START, _END = r"(?<![^\W_])(?<!\d[.-])", r"(?![^\W_])"
_DIGITS_OF_DAY = r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)"
_DIGITS_OF_TIME = r"(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)"
_NAME_CLOCKS = tuple(
    r"(?:[\s_.,T-]+(?:at\s+|um\s+|à\s+|kl\.?\s+)?"
    + digits
    + r"(?!\d)(?:[\s\u202f]*(?P<half>[ap])\.?m\b)?"
    r"(?:\s*(?P<offset>[+-]\d\d:?\d\d)(?!\d)|[\s_]*(?P<utc>UTC|Z)(?![^\W_]))?)?"
    for digits in (
        (
            r"(?P<hour>\d\d?)(?P<dot>[.:\-_h])(?P<minute>\d\d)(?P=dot)(?P<second>\d\d)"
            r"(?:[.,_-]\d{3})?"
        ),
        # without separators: other counts of digits are a number, but for a Pixel's milliseconds
        _DIGITS_OF_TIME + r"(?:(?:[.,_-]|(?<=_\d{6}))\d{3})?",
    )
)
_IN_NAMES = tuple(
    re.compile(pattern, _FLAGS)
    for pattern in (
        # as of screen recordings, messengers and people: 2021-07-04 at 15.30.00
        *(
            _START
            + r"(?P<year>\d{4})(?P<sign>[-._])(?P<month>\d\d)(?P=sign)(?P<day>\d\d)(?!\d)"
            + clock
            for clock in _NAME_CLOCKS
        ),
        # as of most cameras: VID_20210704_153000
        *(_START + _DIGITS_OF_DAY + r"(?![^\W_T]|T(?!\d))" + clock for clock in _NAME_CLOCKS),
        # 2021_0704_153000 of dashboard cameras
        _START + r"(?P<year>\d{4})_(?P<month>\d\d)(?P<day>\d\d)_" + _DIGITS_OF_TIME + _END,
        # with a prefix that is not separated, as in VID20210704153000 and GMT20210704-153000
        r"(?:(?<![^\W_])|(?<![a-z])(?:vid|mvi|img|dji|mov|rec))_?"
        + _DIGITS_OF_DAY
        + _DIGITS_OF_TIME
        + r"(?:\d{3})?"
        + _END,
        r"(?<![^\W_])(?P<utc>GMT)" + _DIGITS_OF_DAY + "-" + _DIGITS_OF_TIME + r"(?!\d)",
        # 24.07.2021, where it is not ambiguous
        _START + r"(?P<one>\d\d?)(?P<sign>[.-])(?P<two>\d\d?)(?P=sign)(?P<year>\d{4})" + _END,
    )
)
_MILLISECONDS = re.compile(r"[a-z]*[\s_-]*(1\d{12})(?:\s?\(\d+\))?", _FLAGS)
_IN_UTC = re.compile(r"pxl_", re.IGNORECASE)  # what Google's phones write
_FIRST_NAMED_YEAR, _LAST_NAMED_YEAR = 1888, 2099


def moment_in_name(name: str) -> Moment | None:
    """Return the date in a file's name, as cameras, phones, programs and people write it.

    Numbers that may be something else do not count: those amid letters or more digits, in a UUID or
    an id, days that do not exist or are ambiguous, and a year alone.

    Args:
        name: of the file, without its folder, with or without its suffix.
    """
    stem = _digits(name.rpartition(".")[0] or name)
    stem = _YOUTUBE_ID.sub(_unless_a_date, _UUID.sub(" ", stem[:_MAX_NAME]))
    whole = _MILLISECONDS.fullmatch(stem)
    if whole is not None:
        return _since_1970(whole[1])
    candidates = [
        candidate for pattern in _IN_NAMES if (candidate := _first_in(pattern, stem)) is not None
    ]
    if not candidates:
        return None
    _, moment = min(candidates, key=lambda pair: pair[0])  # at one position, the one with a time
    if _IN_UTC.match(stem) and moment.offset_min is None:
        return Moment(moment.at, 0)
    return moment


def _unless_a_date(match: re.Match[str]) -> str:
    return match[0] if match[0][1:-1].replace("-", "").isdecimal() else " "


def _first_in(pattern: re.Pattern[str], stem: str) -> tuple[tuple[int, bool], Moment] | None:
    for match in pattern.finditer(stem):
        parts = match.groupdict()
        if not _FIRST_NAMED_YEAR <= int(parts["year"]) <= _LAST_NAMED_YEAR:
            continue
        moment = _named(parts)
        if moment is not None:
            return (match.start("year"), parts.get("hour") is None), moment
    return None


def _named(parts: Mapping[str, str | None]) -> Moment | None:
    year, month, day = parts["year"] or "", parts.get("month"), parts.get("day")
    if "one" in parts:
        return _by_numbers(f"{parts['one']}.{parts['two']}.{year}")
    midnight, hour = _day(year, month, day), parts.get("hour")
    if hour is None:
        return None if midnight is None else Moment(midnight)
    half, offset = parts.get("half"), parts.get("offset")
    if half and int(hour) <= _NOON:
        hour = str(int(hour) % _NOON + (_NOON if half.lower() == "p" else 0))
    offset_min = 0 if parts.get("utc") else None
    if offset:
        offset_min = _offset(offset)
    return _clocked(midnight, hour, parts.get("minute"), parts.get("second"), offset_min)
