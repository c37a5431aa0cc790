"""When events that others recorded are to be shown: at once, in batches, or, if views, later."""

import threading
import time

from generator.adapters.settings import Settings
from generator.build.engine import Engine

_PROMISE_S = 3.0  # so soon after a ring the commit behind it is there, on a disk that stalls too
_SOON_S, _LOOK_S = 0.1, 0.002  # at first it is looked for every so often,
_LATER_LOOK_S = 0.02  # and then less often


class PendingEvents:
    """The events behind the engine's cursor: whether there are some, and when they are due."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine, self._settings = engine, settings
        self._rang = threading.Event()
        self._version = -1
        self._promised_s: float | None = None  # when a commit was told of that is not there yet
        self._views_s: float | None = None  # since when there is nothing but views
        self._rest_s = 0.0
        self._heard = engine.cursor  # the last event that was asked whether it is a wish
        self._asked, self._asked_full = False, False

    def ring(self) -> None:
        """Tell that somebody writes to the catalogue; the commit may be there, or follow."""
        self._rang.set()

    def ready(self) -> bool:
        """Tell whether there is something to show now."""
        now_s = time.monotonic()
        waiting = self._is_waiting(now_s)
        if not waiting or now_s < self._rest_s:
            return False
        catalogue, cursor = self._engine.catalogue, self._engine.cursor
        if not catalogue.only_views_since(cursor):
            return True
        self._views_s = self._views_s or now_s
        return now_s >= self._views_s + self._settings.views_wait_s

    def gather(self) -> None:
        """Wait for what comes right behind, but not for long."""
        end_s = time.monotonic() + self._settings.batch_limit_ms / 1000
        while time.monotonic() < end_s and self._rang.wait(self._settings.batch_ms / 1000):
            self._rang.clear()
        self._views_s = None

    def is_asked_for_a_look(self) -> bool:
        """Tell whether somebody asks for a look at the library.

        It is told until a look begins, whatever pages show meanwhile: a wish that comes while one
        is under way, or with other events, asks for the next.
        """
        last = self._engine.catalogue.last_event()
        if last > self._heard:
            asked, full = self._engine.catalogue.asked_since(self._heard)
            self._asked, self._asked_full = self._asked or asked, self._asked_full or full
            self._heard = last
        return self._asked

    def begin_a_look(self) -> bool:
        """Note that all is looked at now; tell whether every page anew was asked for, too."""
        full, self._asked, self._asked_full = self._asked_full, False, False
        return full

    def ask_again(self, *, full: bool) -> None:
        """Note that the look that was asked for failed."""
        self._asked, self._asked_full = True, self._asked_full or full

    def wait_s(self, longest_s: float) -> float:
        """Return how long to wait before asking again, if nobody rings."""
        if self._rang.is_set():
            return _LOOK_S
        if self._promised_s is not None:
            is_young = time.monotonic() < self._promised_s + _SOON_S
            return _LOOK_S if is_young else _LATER_LOOK_S
        if self._views_s is None:
            return longest_s
        due_s = self._views_s + self._settings.views_wait_s - time.monotonic()
        return min(max(due_s, 0.0), longest_s)

    def rest(self, seconds: float) -> None:
        """Let events wait: the refresh that was to show them failed."""
        self._rest_s = time.monotonic() + seconds

    def _is_waiting(self, now_s: float) -> bool:
        if self._rang.is_set():
            self._rang.clear()
            self._promised_s = now_s
        version = self._engine.catalogue.foreign_version()
        if version != self._version or (
            self._promised_s is not None and now_s > self._promised_s + _PROMISE_S
        ):
            self._version, self._promised_s = version, None
        waiting = self._engine.catalogue.last_event() > self._engine.cursor
        if not waiting:
            self._views_s = None
        return waiting
