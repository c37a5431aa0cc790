"""/metrics in the text format of Prometheus, by its own client library."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from api_lambda.measuring import CACHE_HITS, CACHE_MISSES, CACHE_REFRESHES
from generator import __version__
from generator.adapters.request_counters import CountsRead
from generator.core.measurements import BOUNDS_S
from generator.core.queue.queue import QueueDepth

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from api_lambda.site_figures import SiteFigures

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(
    requests: CountsRead, figures: "SiteFigures | None" = None, depth: QueueDepth | None = None
) -> bytes:
    """Return the metrics that there are figures for.

    Args:
        requests: what all processes counted.
        figures: of a site beside its catalogue; None before a queue.
        depth: of the queue; None without one.
    """
    import prometheus_client  # noqa: PLC0415 (takes 170 ms, and only /metrics needs it)

    class Figures:
        def collect(self) -> Iterator["Metric"]:
            yield from _of_requests(requests)
            if figures is not None:
                yield from _of_site(figures)
            if depth is not None:
                yield from _of_queue(depth)

    registry = prometheus_client.CollectorRegistry(auto_describe=False)
    registry.register(Figures())
    return bytes(prometheus_client.generate_latest(registry))


def _gauge(name: str, about: str, value: float) -> "Metric":
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 (as above)

    return GaugeMetricFamily(f"reelshelf_{name}", about, value=value)


def _counter(name: str, about: str, value: float) -> "Metric":
    from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415 (as above)

    return CounterMetricFamily(f"reelshelf_{name}", about, value=value)


def _of_requests(requests: CountsRead) -> Iterator["Metric"]:
    from prometheus_client.core import (  # noqa: PLC0415 (as above)
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    version = GaugeMetricFamily("reelshelf_build_info", "Version of the API.", labels=["version"])
    version.add_metric([__version__], 1)
    yield version
    yield _gauge("api_processes", "Processes of the API that are alive.", len(requests.pids))
    labels = ["route", "method"]
    times = HistogramMetricFamily(
        "reelshelf_http_request_duration_seconds", "Time of requests to the API.", labels=labels
    )
    errors = CounterMetricFamily(
        "reelshelf_http_request_errors",
        "Requests answered with an error.",
        labels=[*labels, "status"],
    )
    for route in requests.routes:
        key, total = [route.route, route.method], 0
        buckets: list[Any] = []
        for bound, count in zip((*BOUNDS_S, float("inf")), route.buckets, strict=True):
            total += count
            buckets.append(("+Inf" if bound == float("inf") else str(bound), total))
        times.add_metric(key, buckets, sum_value=route.seconds)
        errors.add_metric([*key, "4xx"], route.refused)
        errors.add_metric([*key, "5xx"], route.errors)
    yield times
    yield errors
    for name, about in (
        (CACHE_HITS, "Reads that the cache answered."),
        (CACHE_MISSES, "Reads that the catalogue answered."),
        (CACHE_REFRESHES, "Forced refreshes of the cache."),
    ):
        yield _counter(name, about, requests.counters.get(name, 0))


def _of_site(figures: "SiteFigures") -> Iterator["Metric"]:
    from prometheus_client.core import (  # noqa: PLC0415 (as above)
        CounterMetricFamily,
        GaugeMetricFamily,
        SummaryMetricFamily,
    )

    totals, system = figures.build.totals, figures.system
    phases = SummaryMetricFamily(
        "reelshelf_build_duration_seconds", "Time of refreshes by phase.", labels=["phase"]
    )
    for phase, (count, seconds) in totals.get("phases", {}).items():
        phases.add_metric([phase], count, seconds)
    yield phases
    kinds = CounterMetricFamily(
        "reelshelf_events", "Events that pages show, by kind.", labels=["kind"]
    )
    for kind, count in totals.get("events", {}).items():
        kinds.add_metric([kind], count)
    yield kinds
    for name, key, about in (
        ("builds", "refreshes", "Refreshes of the site."),
        ("pages_written", "written", "Pages written."),
        ("pages_unchanged", "unchanged", "Pages rendered that were as before."),
        ("pages_removed", "removed", "Pages removed."),
        ("page_bytes_written", "bytes_written", "Bytes of pages written."),
    ):
        yield _counter(name, about, totals.get(key, 0))
    receipts, heartbeat = figures.build.receipts, figures.heartbeat
    yield _gauge("last_event", "Number of the last event.", figures.last_event)
    yield _gauge("events_behind", "Events that pages do not show.", figures.behind)
    yield _gauge("events_lag_seconds", "Age of the oldest of them.", figures.lag_s)
    yield _gauge("problems", "Files that are not, or not completely, shown.", figures.problems)
    yield _gauge("failed_pages", "Pages that cannot be written.", len(figures.build.failed))
    if receipts:
        at = int(receipts[0]["at"])
        yield _gauge("last_build_timestamp_seconds", "When the last refresh was.", at)
    if heartbeat is not None:
        alive = 0 if heartbeat.stopped else 1
        yield _gauge("watch_up", "Whether a builder watches, by its own word.", alive)
        about = "When the watching builder last gave a sign of life."
        yield _gauge("watch_heartbeat_timestamp_seconds", about, heartbeat.at)
    if figures.backup_at is not None:
        about = "When the catalogue was backed up last."
        yield _gauge("last_backup_timestamp_seconds", about, figures.backup_at)
    disks = GaugeMetricFamily(
        "reelshelf_disk_free_bytes", "Free on the disk of.", labels=["folder"]
    )
    for name, free in figures.disks.items():
        disks.add_metric([name], free)
    yield disks
    if figures.forecast.days is not None:
        about = "When the disk of the state will be full."
        yield _gauge("disk_full_in_seconds", about, figures.forecast.days * 86400)
    about = "Memory of the API and of the watching builder."
    yield _gauge("processes_memory_bytes", about, system.process_memory_bytes)
    yield _gauge("memory_available_bytes", "Memory available.", system.memory_available_bytes)
    yield _gauge("load1", "Load average of a minute.", system.load_1m)


def _of_queue(depth: QueueDepth) -> Iterator["Metric"]:
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 (as above)

    messages = GaugeMetricFamily("reelshelf_queue_messages", "Messages.", labels=["state"])
    for state, count in (
        ("waiting", depth.waiting), ("in_flight", depth.in_flight), ("dead", depth.dead),
    ):  # fmt: skip
        messages.add_metric([state], count)
    yield messages
    about = "Age of the oldest message that waits."
    yield _gauge("queue_oldest_message_seconds", about, depth.oldest_s or 0)
