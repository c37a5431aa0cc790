"""Watching: refresh after refresh, whenever hints say that something may have changed.

A hint only tells where to look. What was missed is found by a scan from time to time, so that lost,
doubled and reordered hints cost time and nothing else.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from generator.adapters.settings import Settings
from generator.adapters.watcher import USUAL_PACE, Watcher
from generator.core.batching import Hints
from generator.core.errors import GuardError, TemplateError
from generator.core.intake import compile_intake
from generator.core.model import Place
from generator.core.receipt import Receipt
from generator.engine import Engine
from generator.observing import Observation, Where, Workers
from generator.packing import pack_some

log = logging.getLogger(__name__)

_IDLE_S = 1.0  # how long nothing happens before compressed copies are made
_AT_ONCE = 20  # copies, so that a change never waits long for them
_RETRY_S = 30.0  # after a refresh that failed
_BURST_S = 0.3  # changes that follow each other sooner are one batch


@dataclass(slots=True)
class Watch:
    """Refreshes until stopped. A refresh that fails is told, and tried again at the next hint."""

    engine: Engine
    settings: Settings
    workers: Workers
    accept_loss: bool = False
    _stopped: bool = False
    _watcher: Watcher | None = None
    _scanned: float = 0.0
    _again: set[Place] = field(default_factory=set)
    _devices: dict[str, str] = field(default_factory=dict)

    def receipts(self) -> Iterator[Receipt]:
        """Yield a receipt of the first refresh, and of each one that did something."""
        settings, self._scanned = self.settings, time.monotonic()
        pace = replace(USUAL_PACE, quiet_s=_BURST_S, poll_s=settings.poll_every_s)
        with Watcher(settings.roots, compile_intake(settings.ignore), pace) as self._watcher:
            for name, mode in self._watcher.modes.items():
                log.info("watching %s by %s", settings.roots[name], mode.reason or mode.means)
            yield self._refresh(None)
            while not self._stopped:
                where, ask = self._next()
                receipt = self._try(where) if ask else None
                if receipt is not None and _did_something(receipt):
                    yield receipt

    def stop(self) -> None:
        """End `receipts` soon; may be called from another thread."""
        self._stopped = True
        if self._watcher is not None:
            self._watcher.wake()

    def _next(self) -> tuple[Where | None, bool]:
        """Wait; return where to look (None: everywhere), and whether to look at all."""
        left_s = self._scanned + self.settings.scan_every_s - time.monotonic()
        hints = self._hints(min(left_s, self.settings.quiet_s) if self._again else left_s)
        if self._stopped:
            return None, False
        if hints.everything or left_s <= 0:
            self._scanned = time.monotonic()
            return None, True
        where = self._where(hints)
        return where, bool(where.folders or where.trees)

    def _hints(self, wait_s: float) -> Hints:
        """Wait for hints; meanwhile make compressed copies, and bring pages to the disk."""
        assert self._watcher is not None
        end_s = time.monotonic() + max(wait_s, 0.0)
        hints = self._watcher.next_hints(min(max(wait_s, 0.0), _IDLE_S))
        while not hints and not self._stopped and self._pack():
            hints = self._watcher.next_hints(0)
        if hints or self._stopped:
            return hints
        return self._watcher.next_hints(max(end_s - time.monotonic(), 0.0))

    def _pack(self) -> bool:
        """Do a little of what can wait; tell whether there may be more of it."""
        engine = self.engine
        if self.settings.compress != "off" and pack_some(engine.ledger, engine.output, _AT_ONCE):
            return True
        if engine.ledger.fact("sealed") != "1":
            engine.seal(Receipt())
        return False

    def _where(self, hints: Hints) -> Where:
        folders, self._again = frozenset(hints.folders | self._again), set()
        return Where(folders, hints.trees)

    def _try(self, where: Where | None) -> Receipt | None:
        try:
            return self._refresh(where)
        except (GuardError, TemplateError, OSError) as error:
            log.warning("%s %s", error, getattr(error, "hint", ""))
            # what the hints were about is looked at again before long
            self._scanned = time.monotonic() - self.settings.scan_every_s + _RETRY_S
            return None

    def _refresh(self, where: Where | None) -> Receipt:
        look = Observation(self.settings, self.workers, time.time, where)
        look.accept_loss, look.devices = self.accept_loss, self._devices
        receipt = self.engine.refresh(int(time.time()), look)
        self._again |= look.unsettled
        self._devices = look.devices
        return receipt


def _did_something(receipt: Receipt) -> bool:
    return bool(
        receipt.written or receipt.removed or receipt.missing or receipt.refused or receipt.events
    )
