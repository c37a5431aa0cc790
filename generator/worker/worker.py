"""The worker: messages of a queue are recorded, shown, published, and only then deleted.

A thread receives messages and records their events, through a connection of its own. The builder
sees that as it sees any other writer, and builds; then the site is published. A message is
deleted when its event is on published pages, and invisible to other workers until then. After a
crash, messages that were not deleted are delivered again; recording them is idempotent.
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
from generator.core.build_receipt import Receipt
from generator.core.errors import OwnedByAnotherError, QueueError
from generator.core.queue.messages import ObjectNotification
from generator.core.queue.queue import Queue, ReceivedMessage
from generator.watch.build_loop import BackgroundWork, BuildLoop, RefreshTask
from generator.worker.api_state_sync import SharedStateSync
from generator.worker.backoff import Backoff
from generator.worker.consume import consume
from generator.worker.in_flight import USUAL_TIMING, InFlight, WorkerTiming
from generator.worker.publish_schedule import (
    PublishingBackgroundWork,
    PublishSchedule,
    SitePublisher,
)

log = logging.getLogger(__name__)

_AT_ONCE = 100  # messages recorded in one transaction
_BATCH = 1_000  # messages between two builds of `drain`


class SiteBuilder(Protocol):
    """Builds the site whenever due: `BuildLoop`."""

    background: BackgroundWork | None

    def receipts(self) -> Iterator[Receipt]:
        """Yield the receipt of the first build, and of each one that changed something."""

    def stop(self) -> None:
        """End `receipts` soon; may be called from another thread."""


class EventLoop(BuildLoop):
    """Watches events, templates and the clock, without a library.

    It never scans, so no video can be missing; every video stays as it was recorded.
    """

    @override
    def _refreshed(self, task: RefreshTask) -> Receipt:
        return self.engine.refresh(int(time.time()), full=task.full)


@dataclass(slots=True)
class Worker:
    """One worker: a queue, a builder, and a publisher. For one thread.

    `own` checks now and then that this process owns the site (OwnedByAnotherError if not).
    `on_notices` gets, in a thread, what changed in buckets; `on_published` gets the receipt.
    """

    settings: Settings
    engine: Engine
    queue: Queue
    publisher: SitePublisher | None = None
    sharing: SharedStateSync | None = None
    own: Callable[[], object] = lambda: None
    on_notices: Callable[[Sequence[ObjectNotification]], None] = lambda _: None
    on_published: Callable[[object], None] = lambda _: None
    timing: WorkerTiming = USUAL_TIMING
    recorded: int = 0  # messages whose event was recorded
    refused: int = 0
    unreadable: int = 0
    _in_flight: InFlight = field(init=False)
    _schedule: PublishSchedule = field(init=False)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _lost: OwnedByAnotherError | None = None

    def __post_init__(self) -> None:
        self._in_flight = InFlight(self.queue, self.timing)
        every_s = self.settings.publish_every_s
        self._schedule = PublishSchedule(self.engine, self.publisher, every_s, self.timing.retry_s)

    # -- until stopped

    def run(self, builder: SiteBuilder) -> Iterator[Receipt]:
        """Work until `builder` is stopped; yield a receipt of each build, published if possible.

        Raises:
            OwnedByAnotherError: another builder took the site; messages in flight are returned.
        """

        def retry() -> None:
            if self._schedule.is_due(at_once=self._in_flight.is_full()):
                self._show(builder)

        self._prepare()
        builder.background = PublishingBackgroundWork(builder.background, retry)
        with self._running_threads(builder.stop, self._in_flight.run, self._consume):
            for receipt in builder.receipts():
                self._show(builder)
                yield receipt
        if self._lost is not None:
            raise self._lost

    def _prepare(self) -> None:
        self._schedule.own, self._schedule.on_published = self.own, self.on_published

    def _show(self, builder: SiteBuilder) -> None:
        try:
            self._in_flight.mark_published(
                self._schedule.publish(at_once=self._in_flight.is_full())
            )
        except OwnedByAnotherError as error:
            self._lost = error
            builder.stop()

    @contextmanager
    def _running_threads(
        self, stop: Callable[[], None], *targets: Callable[[], None]
    ) -> Iterator[None]:
        """Run threads during the block; if one of them fails, call `stop`."""
        broken: list[BaseException] = []

        def watched(target: Callable[[], None]) -> None:
            try:
                target()
            except BaseException as error:  # noqa: BLE001 (raised again below)
                broken.append(error)
                stop()

        threads = [threading.Thread(target=watched, args=(target,)) for target in targets]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            self._in_flight.stop()
            for thread in threads:
                thread.join()
            self._finish()
        if broken:
            raise broken[0]

    def _finish(self) -> None:
        """Delete published messages, and return the rest to the queue."""
        try:
            self._in_flight.delete_published()
            self._in_flight.return_all()
        except QueueError as error:
            log.warning("%s\n  messages in flight will be delivered again: %s", error, error.hint)

    def _consume(self) -> None:
        """Receive messages and record their events until stopped: the loop of a thread."""
        backoff = Backoff(self.timing.retry_s)
        with self._catalogue() as catalogue:
            while not self._stopped.is_set():
                try:
                    self._receive(catalogue, backoff)
                    self._share(catalogue)
                    backoff.succeeded()
                except (QueueError, sqlite3.OperationalError) as error:
                    backoff.failed(error)
                    self._stopped.wait(backoff.wait_s)

    def _receive(self, catalogue: Catalogue, backoff: Backoff) -> None:
        if not self._in_flight.wait_for_room(1.0):
            return
        poll_s = self.timing.poll_s
        if self.sharing is not None:
            poll_s = min(poll_s, self.sharing.every_s)
        messages = self.queue.receive(_AT_ONCE, poll_s)
        self._in_flight.add(messages)
        while messages and not self._stopped.is_set():
            try:
                self._record(catalogue, messages)
            except sqlite3.OperationalError as error:
                # Kept, not returned: a message received five times becomes a dead letter.
                backoff.failed(error)
                self._stopped.wait(backoff.wait_s)
            else:
                return

    def _record(self, catalogue: Catalogue, messages: list[ReceivedMessage]) -> None:
        consumed = consume(catalogue, messages, time.time_ns() // 1000)
        catalogue.require_current()  # before any of them is deleted
        self.recorded += len(consumed.seqs)
        self.refused += len(consumed.refused)
        self.unreadable += len(consumed.unreadable)
        if consumed.notices:  # if lost in a crash, the next full scan finds the same
            self.on_notices(consumed.notices)
        self._in_flight.record(consumed)
        log.debug("%d messages: %d repeated", len(messages), consumed.repeated)

    def _share(self, catalogue: Catalogue) -> None:
        if self.sharing is not None:
            self.sharing.push(catalogue)

    def _catalogue(self) -> Catalogue:
        return Catalogue(self.settings.state / "catalogue.db")

    # -- once

    def drain(self, refresh: Callable[[], Receipt]) -> Receipt:
        """Receive all messages, show, publish and delete them; return one receipt for all.

        Args:
            refresh: the first build, which may scan the library.

        Raises:
            PublishError: the site is not published; messages not deleted are returned.
            QueueError: likewise.
        """
        catalogue, seen = self.engine.catalogue, set[str]()
        self._prepare()
        with self._running_threads(self._in_flight.stop, self._in_flight.run):
            messages = self._receive_batch(catalogue, seen)
            receipt = refresh()
            while True:
                self._in_flight.mark_published(self._schedule.publish_now())
                self._in_flight.delete_published()
                self._share(catalogue)
                if not messages:
                    return receipt
                messages = self._receive_batch(catalogue, seen)
                receipt.add(self.engine.refresh(int(time.time())))

    def _receive_batch(self, catalogue: Catalogue, seen: set[str]) -> int:
        """Receive up to a batch of messages; return how many were new and readable.

        Messages redelivered too soon are deleted with the rest, and do not prolong a batch.
        """
        count = 0
        while count < _BATCH:
            messages = self.queue.receive(_AT_ONCE, 1.0)
            if not messages:
                break
            self._in_flight.add(messages)
            before, seen_before = self.unreadable, len(seen)
            self._record(catalogue, messages)
            seen.update(message.id for message in messages)
            readable = len(messages) - (self.unreadable - before)
            fresh = min(readable, len(seen) - seen_before)
            count += fresh
            if not fresh:
                break
        return count
