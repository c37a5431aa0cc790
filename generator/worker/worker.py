"""The worker: what waits in a queue is recorded, shown, published, and only then let go.

A thread takes messages and records their events, through a connection of its own. The builder hears
of that as of any other writer, and refreshes; then the site is published. A message is deleted when
its event is on published pages, and kept from other workers until then. Killed anywhere, all that
was not deleted comes again, and happens once all the same.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from typing_extensions import override

from generator.adapters.catalogue import Catalogue
from generator.adapters.settings import Settings
from generator.build.engine import Engine
from generator.core.errors import OwnedByAnotherError, QueueError
from generator.core.queue.messages import ObjectNotification
from generator.core.queue.queue import Queue, ReceivedMessage
from generator.core.receipt import Receipt
from generator.watch.build_loop import BackgroundWork, BuildLoop, RefreshTask
from generator.worker.backoff import Backoff
from generator.worker.consume import take
from generator.worker.in_flight import USUAL_PACE, InFlight, WorkerTiming
from generator.worker.publish_schedule import (
    PublishingBackgroundWork,
    PublishSchedule,
    SitePublisher,
)
from generator.worker.shared_state import SharedStateSync

log = logging.getLogger(__name__)

_AT_ONCE = 100  # messages recorded in one transaction
_A_ROUND = 1_000  # of `drain`


class SiteBuilder(Protocol):
    """What refreshes the site whenever it should be: `BuildLoop`."""

    beside: BackgroundWork | None

    def receipts(self) -> Iterator[Receipt]:
        """Yield a receipt of the first refresh, and of each one that did something."""

    def stop(self) -> None:
        """End `receipts` soon; may be called from another thread."""


class EventLoop(BuildLoop):
    """Watches for events, templates and time, where there is no library to look at.

    It never looks, so it never misses anything; every video stays as it was recorded.
    """

    @override
    def _refreshed(self, task: RefreshTask) -> Receipt:
        return self.engine.refresh(int(time.time()), full=task.full)


@dataclass(slots=True)
class Worker:
    """One worker: a queue, a builder, and where it publishes. For one thread.

    `own` makes sure that the site is ours (OwnerError if not), now and then. `on_notices` is told,
    in a thread, what changed in buckets; `on_published` gets the publisher's account.
    """

    settings: Settings
    engine: Engine
    queue: Queue
    publisher: SitePublisher | None = None
    sharing: SharedStateSync | None = None
    own: Callable[[], object] = lambda: None
    on_notices: Callable[[Sequence[ObjectNotification]], None] = lambda _: None
    on_published: Callable[[object], None] = lambda _: None
    pace: WorkerTiming = USUAL_PACE
    taken: int = 0  # messages whose event was recorded
    refused: int = 0
    unreadable: int = 0
    _held: InFlight = field(init=False)
    _beat: PublishSchedule = field(init=False)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _lost: OwnedByAnotherError | None = None

    def __post_init__(self) -> None:
        self._held = InFlight(self.queue, self.pace)
        every_s = self.settings.publish_every_s
        self._beat = PublishSchedule(self.engine, self.publisher, every_s, self.pace.retry_s)

    # -- as long as it is wanted

    def run(self, builds: SiteBuilder) -> Iterator[Receipt]:
        """Work until `builds` is stopped; yield a receipt of each refresh, published if possible.

        Raises:
            OwnerError: the site became another's; what was in hand is given back.
        """

        def retry() -> None:
            if self._beat.is_due(at_once=self._held.is_full()):
                self._show(builds)

        self._prepare()
        builds.beside = PublishingBackgroundWork(builds.beside, retry)
        with self._beside_threads(builds.stop, self._held.look_after, self._consume):
            for receipt in builds.receipts():
                self._show(builds)
                yield receipt
        if self._lost is not None:
            raise self._lost

    def _prepare(self) -> None:
        self._beat.own, self._beat.on_published = self.own, self.on_published

    def _show(self, builds: SiteBuilder) -> None:
        try:
            self._held.show(self._beat.publish(at_once=self._held.is_full()))
        except OwnedByAnotherError as error:
            self._lost = error
            builds.stop()

    @contextmanager
    def _beside_threads(
        self, stop: Callable[[], None], *deeds: Callable[[], None]
    ) -> Iterator[None]:
        """Let threads work beside the block; where one of them breaks down, `stop` is called."""
        broken: list[BaseException] = []

        def watched(deed: Callable[[], None]) -> None:
            try:
                deed()
            except BaseException as error:  # noqa: BLE001 (raised again, where it is seen)
                broken.append(error)
                stop()

        threads = [threading.Thread(target=watched, args=(deed,)) for deed in deeds]
        for one in threads:
            one.start()
        try:
            yield
        finally:
            self._stopped.set()
            self._held.stop()
            for one in threads:
                one.join()
            self._finish()
        if broken:
            raise broken[0]

    def _finish(self) -> None:
        """Let go of what is published, and give back the rest."""
        try:
            self._held.let_go()
            self._held.give_back()
        except QueueError as error:
            log.warning("%s\n  what is in hand comes back by itself: %s", error, error.hint)

    def _consume(self) -> None:
        """Take messages and record their events, until stopped: what a thread does."""
        trouble = Backoff(self.pace.retry_s)
        with self._catalogue() as catalogue:
            while not self._stopped.is_set():
                try:
                    self._take_some(catalogue, trouble)
                    self._share(catalogue)
                    trouble.over()
                except (QueueError, sqlite3.OperationalError) as error:
                    trouble.tell(error)
                    self._stopped.wait(trouble.wait_s)

    def _take_some(self, catalogue: Catalogue, trouble: Backoff) -> None:
        if not self._held.wait_for_room(1.0):
            return
        poll_s = self.pace.poll_s
        if self.sharing is not None:
            poll_s = min(poll_s, self.sharing.every_s)
        messages = self.queue.receive(_AT_ONCE, poll_s)
        self._held.hold(messages)
        while messages and not self._stopped.is_set():
            try:
                self._record(catalogue, messages)
            except sqlite3.OperationalError as error:
                # Kept, not given back: a message that comes five times is put aside.
                trouble.tell(error)
                self._stopped.wait(trouble.wait_s)
            else:
                return

    def _record(self, catalogue: Catalogue, messages: list[ReceivedMessage]) -> None:
        taken = take(catalogue, messages, time.time_ns() // 1000)
        catalogue.require_current()  # before any of them is let go of
        self.taken += len(taken.seqs)
        self.refused += len(taken.refused)
        self.unreadable += len(taken.unreadable)
        if taken.notices:  # lost with us, they cost time: a look at everything finds the same
            self.on_notices(taken.notices)
        self._held.settle(taken)
        log.debug("%d messages: %d repeated", len(messages), taken.repeated)

    def _share(self, catalogue: Catalogue) -> None:
        if self.sharing is not None:
            self.sharing.bring(catalogue)

    def _catalogue(self) -> Catalogue:
        return Catalogue(self.settings.state / "catalogue.db")

    # -- once

    def drain(self, look: Callable[[], Receipt]) -> Receipt:
        """Take all there is, show it, publish it, let go of it; return one receipt of it all.

        Args:
            look: the first refresh, which may look at the library.

        Raises:
            PublishError: the site is not published; what was not let go of is given back.
            QueueError: likewise.
        """
        catalogue, seen = self.engine.catalogue, set[str]()
        self._prepare()
        with self._beside_threads(self._held.stop, self._held.look_after):
            messages = self._a_round(catalogue, seen)
            receipt = look()
            while True:
                self._held.show(self._beat.publish_now())
                self._held.let_go()
                self._share(catalogue)
                if not messages:
                    return receipt
                messages = self._a_round(catalogue, seen)
                receipt.add(self.engine.refresh(int(time.time())))

    def _a_round(self, catalogue: Catalogue, seen: set[str]) -> int:
        """Take what comes, up to a round's; return how many were new and can be read.

        What a queue gives again too soon is let go of with the rest, and keeps no round going.
        """
        count = 0
        while count < _A_ROUND:
            messages = self.queue.receive(_AT_ONCE, 1.0)
            if not messages:
                break
            self._held.hold(messages)
            before, known = self.unreadable, len(seen)
            self._record(catalogue, messages)
            seen.update(one.id for one in messages)
            readable = len(messages) - (self.unreadable - before)
            fresh = min(readable, len(seen) - known)
            count += fresh
            if not fresh:
                break
        return count
