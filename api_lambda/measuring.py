"""Counts and times every request, by the template of its path.

What it costs is an addition in memory: see `generator.adapters.request_counters`, and
`python -m benchmarks measuring`. Nothing is opened before the first request was answered, so that
a state folder that is gone is never made.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock

from api_lambda.dispatch import Operation
from generator.adapters.request_counters import RequestCounters

OTHER = ("other", "ANY")  # paths that do not exist, and methods that they do not have
CACHE_HITS, CACHE_MISSES, CACHE_REFRESHES = "cache_hits", "cache_misses", "cache_refreshes"
LONG_POLLS = frozenset({"/api/receipts/{event}"})  # they wait for a build, and say nothing of us


class RequestMeasuring:
    """The counters of this process, opened when they are first needed."""

    def __init__(self, state: Path | None) -> None:
        """Open nothing yet; `state` is None for counters in memory."""
        self._state = state
        self._routes: Sequence[Operation] = ()
        self._opened: RequestCounters | None = None
        self._places: Mapping[int, int] = {}
        self._other = -1
        self._lock = Lock()

    def declare(self, routes: Sequence[Operation]) -> None:
        """Set what there is to count; called once, before the first request."""
        self._routes = routes

    @property
    def counters(self) -> RequestCounters:
        """Return the counters."""
        return self._opened if self._opened is not None else self._open()

    def _open(self) -> RequestCounters:
        with self._lock:
            if self._opened is None:
                state = self._state
                exists = state is not None and state.is_dir()
                folder = state if exists else None  # never made here: it may be lost
                keys = [*dict.fromkeys((route.path, route.method) for route in self._routes), OTHER]
                names = (CACHE_HITS, CACHE_MISSES, CACHE_REFRESHES)
                opened = RequestCounters(folder, keys, names)
                self._places = {
                    id(route): opened.place(route.path, route.method) for route in self._routes
                }
                self._other = opened.place(*OTHER)
                self._opened = opened
            return self._opened

    def observe(self, route: Operation | None, seconds: float, status: int) -> None:
        """Count a request; `route` is None where there was none."""
        counters = self._opened if self._opened is not None else self._open()
        counters.observe(self._places.get(id(route), self._other), seconds, status)

    def count_read(self, outcome: str) -> None:
        """Count a read of the cache, a "hit" or a "miss"."""
        self.counters.add(CACHE_HITS if outcome == "hit" else CACHE_MISSES)

    def close(self) -> None:
        """Give the counters' file back."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None
