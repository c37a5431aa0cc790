"""When to show events recorded by others: at once, debounced, or, if only views, later."""

import threading
import time

from generator.adapters.settings import Settings
from generator.build.engine import Engine

_PROMISE_S = 3.0  # a commit follows its notification within this time, even on a slow disk
_SOON_S, _LOOK_S = 0.1, 0.002  # how often to poll for it at first,
_LATER_LOOK_S = 0.02  # and later


class PendingEvents:
    """Events after the engine's cursor: whether there are any, and when they are due."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine, self._settings = engine, settings
        self._notified = threading.Event()
        self._version = -1
        self._promised_s: float | None = None  # when a commit was announced that is not there yet
        self._views_s: float | None = None  # since when there are only views
        self._rest_s = 0.0
        self._is_restored = False  # pages show events that the catalogue does not have
        self._checked = engine.cursor  # the last event that was checked for requests
        self._requested, self._requested_full = False, False

    def notify(self) -> None:
        """Announce a write to the catalogue; the commit may exist already, or follow."""
        self._notified.set()

    def ready(self) -> bool:
        """Return whether there is something to show now."""
        now_s = time.monotonic()
        waiting = self._is_waiting(now_s)
        if not waiting or now_s < self._rest_s:
            return False
        catalogue, cursor = self._engine.catalogue, self._engine.cursor
        if self._is_restored or not catalogue.only_views_since(cursor):
            return True
        self._views_s = self._views_s or now_s
        return now_s >= self._views_s + self._settings.views_debounce_s

    def gather(self) -> None:
        """Wait for events that follow at once, but not for long."""
        end_s = time.monotonic() + self._settings.max_wait_ms / 1000
        while time.monotonic() < end_s and self._notified.wait(self._settings.debounce_ms / 1000):
            self._notified.clear()
        self._views_s = None

    def is_scan_requested(self) -> bool:
        """Return whether somebody requests a scan of the library.

        It stays true until a scan begins, whatever pages show meanwhile: a request that comes
        during a scan, or with other events, requests the next.
        """
        last = self._engine.catalogue.last_event()
        if last > self._checked:
            scan, full = self._engine.catalogue.asked_since(self._checked)
            self._requested, self._requested_full = (
                self._requested or scan,
                self._requested_full or full,
            )
            self._checked = last
        return self._requested

    def begin_scan(self) -> bool:
        """Record that a full scan begins; return whether a full render was requested, too."""
        full, self._requested, self._requested_full = self._requested_full, False, False
        return full

    def request_again(self, *, full: bool) -> None:
        """Record that the requested scan failed."""
        self._requested, self._requested_full = True, self._requested_full or full

    def wait_s(self, longest_s: float) -> float:
        """Return how long to wait before checking again, without a notification."""
        if self._notified.is_set():
            return _LOOK_S
        if self._promised_s is not None:
            is_young = time.monotonic() < self._promised_s + _SOON_S
            return _LOOK_S if is_young else _LATER_LOOK_S
        if self._views_s is None:
            return longest_s
        due_s = self._views_s + self._settings.views_debounce_s - time.monotonic()
        return min(max(due_s, 0.0), longest_s)

    def rest(self, seconds: float) -> None:
        """Delay events: the build that was to show them failed."""
        self._rest_s = time.monotonic() + seconds

    def _is_waiting(self, now_s: float) -> bool:
        if self._notified.is_set():
            self._notified.clear()
            self._promised_s = now_s
        version = self._engine.catalogue.foreign_version()
        is_changed = version != self._version or (
            self._promised_s is not None and now_s > self._promised_s + _PROMISE_S
        )
        if is_changed:
            self._version, self._promised_s = version, None
        if is_changed or self._is_restored:  # the latter: until a build compared everything
            self._is_restored = self._engine.shows_another_history()
        if self._is_restored:
            self._checked = 0  # events have other numbers now
        waiting = self._is_restored or self._engine.catalogue.last_event() > self._engine.cursor
        if not waiting:
            self._views_s = None
        return waiting
