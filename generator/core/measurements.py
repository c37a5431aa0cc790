"""Measurements: histograms of fixed buckets, totals of all refreshes, and when a disk will be full.

A histogram is a list of counts, one for each bound and one for what is above the last. Histograms
of several processes, or of several minutes, are added and subtracted bucket by bucket; percentiles
are read from the result, as exact as a bucket is wide: 12 to 60 % of the value.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_STEPS = (1.0, 1.6, 2.5, 4.0, 6.3)
_TOP_S = 100.0
# seconds; five to a decade, from a tenth of a millisecond on
BOUNDS_S = (
    *(round(step * 10.0**power, 7) for power in range(-4, 2) for step in _STEPS),
    _TOP_S,
)
QUANTILES = (0.5, 0.95, 0.99)

_DAY_S = 86400
_FORECAST_S = 7 * _DAY_S  # the trend of so long
_LEAST_SAMPLES, _LEAST_S = 12, 2 * _DAY_S
_MAX_DAYS = 3650.0


def percentile(counts: Sequence[int], share: float) -> float | None:
    """Return the value that a share (0 to 1) of all observations do not exceed; None without any.

    In seconds, interpolated within its bucket; the last bound for what is above all bounds.
    """
    total = sum(counts)
    if not total:
        return None
    rank, below = share * total, 0
    for number, count in enumerate(counts):
        if count and below + count >= rank:
            if number == len(BOUNDS_S):
                return BOUNDS_S[-1]
            low = BOUNDS_S[number - 1] if number else 0.0
            return low + (BOUNDS_S[number] - low) * max(rank - below, 0.0) / count
        below += count
    return BOUNDS_S[-1]


@dataclass(frozen=True, slots=True)
class DiskForecast:
    """When a disk will be full, in days from now; None: not within ten years, or not known.

    `reason` says which: "" for a number of days, "not filling up", or "unknown".
    """

    days: float | None
    reason: str


def disk_forecast(samples: Sequence[tuple[int, int]], now: int) -> DiskForecast:
    """Return when a disk will be full, by a straight line through what was free in the last days.

    Args:
        samples: (instant, free bytes), ascending by instant.
        now: the current instant.
    """
    recent = [sample for sample in samples if now - _FORECAST_S <= sample[0] <= now]
    if len(recent) < _LEAST_SAMPLES or recent[-1][0] - recent[0][0] < _LEAST_S:
        return DiskForecast(None, "unknown")
    count = len(recent)
    mean_at = sum(at for at, _ in recent) / count
    mean_free = sum(free for _, free in recent) / count
    spread = sum((at - mean_at) ** 2 for at, _ in recent)
    slope = sum((at - mean_at) * (free - mean_free) for at, free in recent) / spread
    if slope >= 0:
        return DiskForecast(None, "not filling up")
    days = recent[-1][1] / -slope / _DAY_S
    return DiskForecast(days, "") if days < _MAX_DAYS else DiskForecast(None, "not filling up")


Totals = dict[str, Any]  # as JSON has it; see `add_refresh`


def add_refresh(before: Totals, receipt: Mapping[str, Any], kinds: Mapping[str, int]) -> Totals:
    """Return the totals of all refreshes, with one more.

    Args:
        before: the totals up to the refresh before; {} for none.
        receipt: the receipt of the refresh, as JSON has it.
        kinds: how many events of each kind it showed.
    """
    events = dict(before.get("events", {}))
    for kind, count in kinds.items():
        events[kind] = events.get(kind, 0) + count
    phases = dict(before.get("phases", {}))
    for name, seconds in (*receipt["seconds"].items(), ("total", receipt["total_s"])):
        count, total_s = phases.get(name, (0, 0.0))
        phases[name] = [count + 1, round(total_s + seconds, 4)]
    counted = {
        name: before.get(name, 0) + receipt[name]
        for name in ("written", "unchanged", "removed", "bytes_written")
    }
    return {
        **counted, "refreshes": before.get("refreshes", 0) + 1, "events": events, "phases": phases,
    }  # fmt: skip


def per_minute(stamped: Iterable[tuple[int, int]], now: int, minutes: int) -> list[int]:
    """Return sums for each of the last minutes, oldest first; the current one is the last.

    Args:
        stamped: (instant, count).
        now: the current instant.
        minutes: how many.
    """
    sums = [0] * minutes
    last = now // 60
    for at, count in stamped:
        place = minutes - 1 - (last - at // 60)
        if 0 <= place < minutes:
            sums[place] += count
    return sums
