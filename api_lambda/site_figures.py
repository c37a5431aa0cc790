"""All figures of a site at one moment: of requests, builds, the queue, the machine and the disk.

Requests are counted here; what the builder did is read from the state that it writes anyway. The
JSON of /admin/stats, /metrics, the performance page and the health check are views of this.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock

from api_lambda.health_checks import HealthInputs
from api_lambda.measuring import CACHE_HITS, CACHE_MISSES, LONG_POLLS, RequestMeasuring
from api_lambda.route_figures import all_routes, hit_rate, milliseconds, route_json
from generator.adapters.catalogue import Catalogue
from generator.adapters.heartbeat_file import (
    WatchHeartbeat,
    read_disk_samples,
    read_heartbeat,
)
from generator.adapters.ledger import BuildFigures, build_figures
from generator.adapters.request_counters import CountsRead
from generator.adapters.system_stats import SystemStats, system_stats
from generator.core.measurements import (
    DiskForecast,
    disk_forecast,
    per_minute,
    percentile,
)

RECENT_MINUTES = 15
SERIES_MINUTES = 60
_MAX_EVENTS = 20_000  # read for what there is in a minute
_RECEIPTS = 1000  # kept by the ledger
_ALIVE_S = 120
_KEPT_S = 1.0  # several readers at one time share figures
BACKUP_FACT = "backup_at"


@dataclass(frozen=True, slots=True)
class MinuteSeries:
    """Figures of each of the last minutes, oldest first; None: nothing was measured in it."""

    requests: tuple[int, ...]
    p95_ms: tuple[float | None, ...]
    events: tuple[int, ...]
    pages: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SiteFigures:
    """Everything that is measured. Instants in seconds since 1970.

    `requests` are all since counting began, `recent` those of the last quarter of an hour;
    `behind` is how many events pages do not show, `lag_s` the age of the oldest of them.
    """

    at: int
    requests: CountsRead
    recent: CountsRead
    series: MinuteSeries
    build: BuildFigures
    last_event: int
    behind: int
    lag_s: int
    problems: int
    disks: Mapping[str, int]
    forecast: DiskForecast
    system: SystemStats
    heartbeat: WatchHeartbeat | None
    backup_at: int | None


class FiguresReader:
    """Reads the figures of a site beside its catalogue. It is thread-safe."""

    def __init__(
        self,
        folders: Mapping[str, Path],
        measuring: RequestMeasuring,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Read nothing yet.

        Args:
            folders: whose disks count: "state", and "out" if it is known.
            measuring: the requests.
            clock: returns seconds since 1970.
        """
        self._folders, self._measuring, self._clock = folders, measuring, clock
        self._state = folders["state"]
        self._lock = Lock()
        self._figures: SiteFigures | None = None
        self._read_s = 0.0

    def read(self, catalogue: Catalogue) -> SiteFigures:
        """Return the figures, at most a second old."""
        with self._lock:
            now_s = time.monotonic()
            if self._figures is None or now_s >= self._read_s + _KEPT_S:
                self._figures = self._read(catalogue)
                self._read_s = now_s
            return self._figures

    def health(self, catalogue: Catalogue) -> HealthInputs:
        """Return what the health of the site depends on; it reads little."""
        now = int(self._clock())
        build = build_figures(self._state / "ledger.db", 1)
        heartbeat = read_heartbeat(self._state)
        return HealthInputs(
            now,
            _lag_s(catalogue, build, now),
            None if heartbeat is None else _silent_s(heartbeat, now),
            heartbeat is not None and heartbeat.stopped,
            min(self._free().values(), default=None),
            backup_instant(catalogue),
        )

    def _free(self) -> dict[str, int]:
        import shutil  # noqa: PLC0415 (with what it imports, 10 ms that no Lambda needs)

        free = {}
        for name, folder in self._folders.items():
            with suppress(OSError):
                free[name] = shutil.disk_usage(folder).free
        return free

    def _read(self, catalogue: Catalogue) -> SiteFigures:
        now, counters = int(self._clock()), self._measuring.counters
        requests, build = counters.read(), build_figures(self._state / "ledger.db", _RECEIPTS)
        heartbeat = read_heartbeat(self._state)
        pids = list(requests.pids)
        if heartbeat is not None and _is_alive(heartbeat, now):
            pids.append(heartbeat.pid)
        last = catalogue.last_event()
        histograms = counters.by_minute(SERIES_MINUTES, LONG_POLLS)
        events = [(at, 1) for _, at in catalogue.instants_of_last(_MAX_EVENTS)]
        pages = [(int(receipt["at"]), int(receipt["written"])) for receipt in build.receipts]
        return SiteFigures(
            now,
            requests,
            counters.read(RECENT_MINUTES),
            MinuteSeries(
                tuple(map(sum, histograms)),
                tuple(milliseconds(percentile(histogram, 0.95)) for histogram in histograms),
                tuple(per_minute(events, now, SERIES_MINUTES)),
                tuple(per_minute(pages, now, SERIES_MINUTES)),
            ),
            build,
            last,
            max(last - _shown(catalogue, build), 0),
            _lag_s(catalogue, build, now),
            len(catalogue.problems()),
            self._free(),
            disk_forecast(read_disk_samples(self._state), now),
            system_stats(self._state, pids),
            heartbeat,
            backup_instant(catalogue),
        )


def backup_instant(catalogue: Catalogue) -> int | None:
    """Return when the catalogue was backed up last, None if that is not recorded."""
    text = catalogue.fact_of(BACKUP_FACT)
    return int(text) if text.isascii() and text.isdigit() else None


def _shown(catalogue: Catalogue, build: BuildFigures) -> int:
    """Return the last event that pages show; 0 if they are of another history."""
    is_same = build.cursor_event in {"", catalogue.event_id(build.cursor)}
    return build.cursor if is_same else 0


def _lag_s(catalogue: Catalogue, build: BuildFigures, now: int) -> int:
    """Return for how long pages have not shown an event that is recorded.

    An event may be of a time long before it was recorded, as an imported one is: but the last
    refresh, which ended before that, did not meet it.
    """
    oldest = catalogue.oldest_after(_shown(catalogue, build))
    if oldest is None:
        return 0
    last = int(build.receipts[0]["at"]) if build.receipts else 0
    return max(now - max(oldest, last), 0)


def _silent_s(heartbeat: WatchHeartbeat, now: int) -> int:
    """Return for how long a builder has been silent; not while it writes pages."""
    signs = heartbeat.at if heartbeat.building_since else min(heartbeat.at, heartbeat.turned_at)
    return max(now - signs, 0)


def _is_alive(heartbeat: WatchHeartbeat, now: int) -> bool:
    return not heartbeat.stopped and now - heartbeat.at < _ALIVE_S


def stats_body(figures: SiteFigures) -> dict[str, object]:
    """Return /admin/stats."""
    build, heartbeat, forecast = figures.build, figures.heartbeat, figures.forecast
    counters = figures.requests.counters
    return {
        "at": figures.at,
        "processes": len(figures.requests.pids),
        "requests": {
            "recent_minutes": RECENT_MINUTES,
            "recent": route_json(all_routes(figures.recent.routes)),
            "since_begin": route_json(all_routes(figures.requests.routes)),
            "routes": [route_json(route) for route in figures.recent.routes],
            "routes_since_begin": [route_json(route) for route in figures.requests.routes],
        },
        "cache": {
            "hits": counters.get(CACHE_HITS, 0),
            "misses": counters.get(CACHE_MISSES, 0),
            "hit_rate": hit_rate(counters),
        },
        "minutes": asdict(figures.series),
        "build": {
            "totals": build.totals,
            "last": build.receipts[0] if build.receipts else None,
            "recent": [summary_of(receipt) for receipt in build.receipts[:20]],
            "failed_pages": dict(build.failed),
        },
        "events": {
            "last": figures.last_event, "behind": figures.behind, "lag_s": figures.lag_s,
        },
        "problems": figures.problems,
        "watch": None if heartbeat is None else asdict(heartbeat),
        "system": asdict(figures.system),
        "disk": {
            "free_bytes": dict(figures.disks),
            "full_in_days": None if forecast.days is None else round(forecast.days, 1),
            "forecast": forecast.reason or "known",
        },
        "backup_at": figures.backup_at,
    }  # fmt: skip


def summary_of(receipt: Mapping[str, object]) -> dict[str, object]:
    """Return the part of a receipt about what a refresh did, and why."""
    names = ("number", "at", "events", "written", "unchanged", "removed", "failed", "total_s")
    return {
        **{name: receipt.get(name) for name in names},
        "seconds": receipt.get("seconds", {}),
        "why": receipt.get("reasons", {}),
    }
