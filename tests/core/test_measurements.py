"""Histograms, forecasts and totals."""

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.core.build_receipt import Receipt
from generator.core.measurements import (
    BOUNDS_S,
    Totals,
    add_refresh,
    disk_forecast,
    per_minute,
    percentile,
)

HOUR_S, DAY_S, NOW = 3600, 86400, 1_800_000_000


def histogram(values: list[float]) -> list[int]:
    counts = [0] * (len(BOUNDS_S) + 1)
    for value in values:
        counts[bisect_left(BOUNDS_S, value)] += 1
    return counts


@given(
    st.lists(st.floats(0.0001, 99.0), min_size=1, max_size=200),
    st.sampled_from([0.5, 0.95, 0.99]),
)
def test_a_percentile_is_as_exact_as_its_bucket_is_wide(values: list[float], share: float) -> None:
    ordered = sorted(values)
    rank = max(-(-share * len(ordered) // 1), 1)
    exact = ordered[int(rank) - 1]

    answer = percentile(histogram(values), share)

    bucket = bisect_left(BOUNDS_S, exact)
    low = BOUNDS_S[bucket - 1] if bucket else 0.0
    assert answer is not None
    assert low <= answer <= BOUNDS_S[bucket] * 1.000001


def test_without_observations_there_is_no_percentile_and_above_all_bounds_it_is_the_last() -> None:
    assert percentile(histogram([]), 0.5) is None
    assert percentile(histogram([500.0]), 0.5) == BOUNDS_S[-1]


@pytest.mark.parametrize("days", [3.0, 40.0])
def test_a_disk_that_fills_up_evenly_is_full_when_it_is(days: float) -> None:
    rate = 1e9 / days / DAY_S  # bytes a second; a billion is free now
    samples = [(NOW - h * HOUR_S, int(1e9 + rate * h * HOUR_S)) for h in range(96, -1, -1)]

    answer = disk_forecast(samples, NOW)

    assert answer.days == pytest.approx(days, rel=0.01)
    assert answer.reason == ""


def test_a_forecast_is_honest_where_it_cannot_know() -> None:
    steady = [(NOW - h * HOUR_S, 10**9) for h in range(96, -1, -1)]
    short = [(NOW - h * HOUR_S, 10**9 + h) for h in range(40, -1, -1)]
    few = [(NOW - h * DAY_S, 10**9 + h) for h in range(6, -1, -1)]
    old = [(NOW - 30 * DAY_S - h * HOUR_S, 10**9 + h) for h in range(96, -1, -1)]

    assert disk_forecast(steady, NOW).reason == "not filling up"
    for samples in (short, few, old, []):
        assert disk_forecast(samples, NOW).days is None
        assert disk_forecast(samples, NOW).reason == "unknown"


def test_totals_are_the_sum_of_all_refreshes() -> None:
    totals: Totals = {}
    for number in (1, 2, 3):
        receipt = Receipt(number=number, written=number, seconds={"plan": 0.5, "render": 1.0})
        totals = add_refresh(totals, receipt.as_dict(), {"Rated": 2})

    assert (totals["refreshes"], totals["written"]) == (3, 6)
    assert totals["events"] == {"Rated": 6}
    assert totals["phases"] == {"plan": [3, 1.5], "render": [3, 3.0], "total": [3, 4.5]}


def test_what_happened_is_counted_by_its_minute() -> None:
    stamped = [(NOW, 1), (NOW - 60, 2), (NOW - 60, 3), (NOW - 3600, 9), (NOW + 60, 7)]

    assert per_minute(stamped, NOW, 3) == [0, 5, 1]
