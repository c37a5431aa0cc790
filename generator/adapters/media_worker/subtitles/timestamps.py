"""Timestamps of all subtitle formats."""

import re
from collections.abc import Sequence

_CLOCK = r"(-?)(?:(\d{1,4}):)?(\d{1,3}):(\d{1,2})(?:([.,:])(\d{1,9}))?"
CLOCK = re.compile(_CLOCK, re.ASCII)
TIMINGS = re.compile(rf"\s*{_CLOCK}\s*-{{1,3}}>\s*{_CLOCK}(?!\d)(.*)", re.ASCII)
_PARTS = CLOCK.groups
_MILLI = 3  # digits


def seconds_of(parts: Sequence[str | None]) -> float:
    """Return a timestamp in seconds, negative with a sign.

    Minutes and seconds over 59 carry over. A short fraction after a comma is in milliseconds, as
    players read SubRip; after a point or a colon it is decimal.

    Args:
        parts: the groups of `CLOCK`.
    """
    sign, hours, minutes, seconds, mark, fraction = parts
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    digits = fraction or "0"
    if mark == "," and len(digits) < _MILLI:
        digits = digits.zfill(_MILLI)
    moment_s = whole + float(f"0.{digits}")
    return -moment_s if sign else moment_s


def span_s(timings: "re.Match[str]") -> tuple[float, float]:
    """Return start and end of a line that `TIMINGS` matches."""
    parts = timings.groups()
    return seconds_of(parts[:_PARTS]), seconds_of(parts[_PARTS : 2 * _PARTS])
