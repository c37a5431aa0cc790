"""Figures of routes as JSON has them: counts, percentiles and rates."""

from collections.abc import Mapping, Sequence

from api_lambda.measuring import CACHE_HITS, CACHE_MISSES, LONG_POLLS
from generator.adapters.request_counters import RouteCounts
from generator.core.measurements import QUANTILES, percentile


def milliseconds(seconds: float | None) -> float | None:
    """Return seconds in milliseconds."""
    return None if seconds is None else round(seconds * 1000, 3)


def route_json(counts: RouteCounts) -> dict[str, object]:
    """Return the figures of one route as /admin/stats has them; times in milliseconds."""
    quantiles = {
        f"p{round(share * 100)}_ms": milliseconds(percentile(counts.buckets, share))
        for share in QUANTILES
    }
    mean = counts.seconds / counts.count if counts.count else None
    return {
        "route": counts.route, "method": counts.method, "count": counts.count,
        "errors": counts.errors, "refused": counts.refused, "mean_ms": milliseconds(mean),
        **quantiles,
    }  # fmt: skip


def all_routes(routes: Sequence[RouteCounts]) -> RouteCounts:
    """Return several routes as one, without those that wait on purpose."""
    counted = [route for route in routes if route.route not in LONG_POLLS]
    buckets = tuple(map(sum, zip(*(route.buckets for route in counted), strict=True)))
    return RouteCounts(
        "all", "", buckets, sum(route.seconds for route in counted),
        sum(route.errors for route in counted), sum(route.refused for route in counted),
    )  # fmt: skip


def hit_rate(counters: Mapping[str, int]) -> float | None:
    """Return the share of reads that a cache answered, None before there was any."""
    hits, misses = counters.get(CACHE_HITS, 0), counters.get(CACHE_MISSES, 0)
    return round(hits / (hits + misses), 4) if hits + misses else None
