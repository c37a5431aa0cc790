"""The builder of a small site as a Lambda: invoked once a minute, it shows what is in the queue.

One run fetches the state, receives events and notices from the queue, records them, builds,
writes the state back if no other run did so meanwhile, deletes the messages, publishes, and writes
the state back once more with the result. After a crash or a race with another run, the next one
ends at the same site.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from generator.adapters.media.worker_pool import MediaWorkers
from generator.adapters.queues import open_queue
from generator.adapters.s3.bucket import Bucket, PreconditionFailedError
from generator.adapters.s3.owner_mark import KEY, OwnerMark
from generator.adapters.settings import Settings, load
from generator.build.engine import Engine
from generator.core.errors import DamagedError, OwnedByAnotherError, PublishError
from generator.core.library.bucket_roots import places_of
from generator.core.model import OutPath
from generator.core.queue.queue import Queue, ReceivedMessage
from generator.publish import Publisher, publisher_of
from generator.scan.observe import LibraryScan, ScanScope
from generator.worker.consume import ConsumedMessages, consume
from generator.worker.remote_state import STATE, Lease, RemoteState

log = logging.getLogger(__name__)

_MAX = 5_000  # messages in one run
_AT_ONCE = 500  # messages per request
_GATHER_S = 60.0  # how long messages are received before they are shown
_TRIES = 50  # attempts to write the state back
_SCAN_S = 86_400  # interval of full scans, notices or not
_SCANNED = "looked_at"  # the fact that holds the time of the last one


@dataclass(slots=True)
class LambdaRun:
    """The report of one run; `state` is "built", "idle" or "busy" (another run builds)."""

    state: str = "idle"
    messages: int = 0
    recorded: int = 0
    refused: int = 0
    unreadable: int = 0
    pages: int = 0
    tries: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class BuilderLambda:
    """One builder: a queue, a state in a bucket, and a local folder that may be lost at any time.

    `on_step` is called with each step of a run. `lease_s` must be longer than a run can take.
    """

    settings: Settings
    shipped: Path
    queue: Queue
    state: Bucket
    clock: Callable[[], float] = time.time
    lease_s: float = 960.0
    on_step: Callable[[str], None] = lambda _: None
    _remote_state: RemoteState | None = None
    _engine: Engine | None = None
    _publisher: Publisher | None = None
    _is_scan_incomplete: bool = False  # a part of the library could not be scanned
    _newest: int = 0  # the number of the newest state that was ever written

    def run(self) -> LambdaRun:
        """Show and publish what is in the queue; return a report.

        Raises:
            OwnedByAnotherError: a worker with a disk owns the site; nothing was received.
            PublishError: the state is gone, or cannot be read; nothing was received.
            ReelshelfError: the next run does the rest; no message is lost.
        """
        run, begun_s = LambdaRun(), self.clock()
        try:
            # before anything is received: the queue may belong to a worker with a disk
            self._own(int(begun_s))
            self._sync()
            self._run(run)
        except DamagedError:
            self._drop_local_copy()
            raise
        finally:
            self.close()
        run.seconds = round(self.clock() - begun_s, 3)
        return run

    def close(self) -> None:
        """Close the local files; they stay for the next run."""
        if self._engine is not None:
            self._engine.close()
            self._engine = self._publisher = None

    def _own(self, now: int) -> None:
        """Claim the site in the state bucket, so that no worker or Lambda of another site does.

        Raises:
            OwnedByAnotherError: another one owns it.
        """
        settings, mark = self.settings, OwnerMark(self.state)
        site = f"{STATE} of {settings.bucket}{settings.site.base}"
        owner = mark.read()
        is_older = owner is not None and (owner.who, owner.site) == ("lambda", STATE)
        if owner is not None and owner.who == "lambda" and owner.site not in {site, STATE}:
            raise OwnedByAnotherError(
                f"the bucket {self.state.name} holds the state of another site: {owner.site}",
                hint=f"give each site a state_bucket of its own; if this site moved, delete {KEY}"
                " there",
            )
        self._newest = mark.claim("lambda", site, now, take_over=is_older).state

    # -- the state

    def _sync(self) -> None:
        """Fetch the newest state, unless it is here already."""
        if self._remote_state is None:
            self._remote_state = RemoteState(self.state, self.settings.state)
        if not self._remote_state.is_current():
            self._fetch()
        if self._engine is None:
            self._open(is_new=False)

    def _fetch(self) -> None:
        assert self._remote_state is not None
        self.close()
        self._remote_state.fetch()
        if self._remote_state.is_first and self._newest:
            raise PublishError(
                f"{STATE} in the bucket {self.state.name} is gone: the catalogue of the site",
                hint="copy a former version of the object to its key (`aws s3api"
                f" list-object-versions`); to begin without it, delete {KEY} there, too; events"
                " stay in the queue",
            )
        self._open(is_new=True)
        if self._remote_state.number < self._newest:
            log.warning(
                "the state in %s is older than what was published: comparing every object",
                self.state.name,
            )
            self._current()[1].mark_restored()

    def _open(self, *, is_new: bool) -> None:
        # the local folders may name a catalogue that was never written to the bucket
        is_first = self._remote_state is not None and self._remote_state.is_first
        self._engine = Engine(self.settings, self.shipped, new_catalogue=is_first)
        self._publisher = publisher_of(self._engine, self.clock)
        if is_new:  # the run that wrote this state may be publishing it right now
            self._publisher.mark_suspect()

    def _drop_local_copy(self) -> None:
        """Make the next run fetch the state again: only the local copy may be damaged."""
        self.close()
        if self._remote_state is not None:
            self._remote_state.drop()
            self._remote_state = None

    def _is_behind(self) -> bool:
        engine, publisher = self._current()
        waits = engine.catalogue.last_event() > engine.cursor or not engine.ledger.fact("begun")
        return waits or publisher.is_behind() or self._is_scan_due()

    def _current(self) -> tuple[Engine, Publisher]:
        assert self._engine is not None
        assert self._publisher is not None
        return self._engine, self._publisher

    # -- a run

    def _run(self, run: LambdaRun) -> None:
        lease = Lease(self.state, self.lease_s, self.clock)
        # Not even received: what is received too often becomes a dead letter.
        if lease.is_held():
            run.state = "busy"
            return
        messages = self._received()
        run.messages = len(messages)
        if messages or self._is_behind():
            run.state = "built" if self._build_alone(lease, run, messages) else "busy"

    def _received(self) -> list[ReceivedMessage]:
        messages: list[ReceivedMessage] = []
        end_s = self.clock() + _GATHER_S
        while len(messages) < _MAX and self.clock() < end_s:
            batch = self.queue.receive(min(_AT_ONCE, _MAX - len(messages)), 0)
            if not batch:
                break
            messages += batch
        return messages

    def _build_alone(
        self, lease: Lease, run: LambdaRun, messages: Sequence[ReceivedMessage]
    ) -> bool:
        """Build if no other run does; return whether we did."""
        if not lease.take():
            self.queue.extend(messages, 0)
            return False
        self.on_step("leased")
        try:
            self._sync()  # another run may have written it since
            self._build(run, messages)
        finally:
            lease.release()
        return True

    def _build(self, run: LambdaRun, messages: Sequence[ReceivedMessage]) -> None:
        consumed = self._committed(run, messages)
        self.on_step("committed")
        self._note_state()  # before anything of it is published
        done = consumed.done
        if self._is_scan_incomplete:  # their notices stay in the queue and are delivered again
            done = [message for message in done if message not in consumed.noticed]
        self.queue.delete(done)
        self.on_step("deleted")
        _, publisher = self._current()
        publisher.publish()
        self.on_step("published")
        self._commit_published(publisher.put)

    def _committed(self, run: LambdaRun, messages: Sequence[ReceivedMessage]) -> ConsumedMessages:
        """Record and show messages on top of the newest state, and write it back."""
        assert self._remote_state is not None
        for run.tries in range(1, _TRIES + 1):
            engine, _ = self._current()
            consumed = consume(engine.catalogue, messages, int(self.clock() * 1_000_000))
            self.on_step("recorded")
            run.recorded, run.refused = len(consumed.seqs), len(consumed.refused)
            run.unreadable = len(consumed.unreadable)
            run.pages = self._refreshed(consumed)
            self.on_step("refreshed")
            try:
                self._remote_state.commit(engine, self._newest + 1)
            except PreconditionFailedError:
                self._fetch()
            else:
                return consumed
        raise AssertionError("the state keeps changing")

    def _note_state(self) -> None:
        assert self._remote_state is not None
        self._newest = max(self._newest, self._remote_state.number)
        OwnerMark(self.state).note_state(self._newest)

    def _refreshed(self, consumed: ConsumedMessages) -> int:
        """Build, and scan the library where needed; return how many pages changed."""
        engine, _ = self._current()
        now = int(self.clock())
        requested, full = engine.catalogue.asked_since(engine.cursor)
        self._is_scan_incomplete = False
        # before any scan: a new output folder lacks stills, too
        pages = engine.refresh(now).written
        for scope in self._scopes(consumed, requested=requested):
            with MediaWorkers(
                jobs=self.settings.workers,
                time_limit_s=self.settings.file_limit_s,
                memory_mb=self.settings.file_memory_mb,
                nice=0,
            ) as workers:
                scan = LibraryScan(self.settings, workers, self.clock, scope)
                everywhere = scope is None
                pages += engine.refresh(now, scan, full=full, verify=everywhere).written
            self._is_scan_incomplete = self._is_scan_incomplete or bool(scan.put_off)
            if scope is None and not scan.put_off:
                engine.catalogue.note(_SCANNED, str(now))
        return pages

    def _scopes(
        self, consumed: ConsumedMessages, *, requested: bool
    ) -> tuple[ScanScope | None, ...]:
        """Return what to scan: nothing, some folders, or everything (None)."""
        if not self.settings.library:
            return ()
        if requested or self._is_scan_due():
            return (None,)
        folders = places_of(consumed.notices, self.settings.buckets)
        return (ScanScope(folders=folders),) if folders else ()

    def _is_scan_due(self) -> bool:
        engine, _ = self._current()
        last = int(engine.catalogue.noted(_SCANNED) or 0)
        return bool(self.settings.library) and self.clock() >= last + _SCAN_S

    def _commit_published(self, paths: Sequence[OutPath]) -> None:
        """Write the state back with what was published.

        If another run wrote a newer state meanwhile, its pages are right, and those of this run may
        have overwritten them: they are marked there as unverified.
        """
        assert self._remote_state is not None
        for _ in range(_TRIES):
            engine, _ = self._current()
            try:
                self._remote_state.commit(engine)
            except PreconditionFailedError:
                self._fetch()
                self._current()[1].mark_suspect(paths)
            else:
                return
        raise AssertionError("the state keeps changing")


@lru_cache(maxsize=1)
def _builder() -> BuilderLambda:
    settings = load(None, {})
    state = Bucket(
        settings.state_bucket or settings.bucket,
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
    )
    return BuilderLambda(settings, _shipped_templates(), open_queue(settings.queue), state)


def _shipped_templates() -> Path:
    here = Path(__file__).resolve().parent
    inside = here / "_shipped" / "templates"
    return inside if inside.is_dir() else here.parent / "templates"


def handler(event: object, context: object) -> dict[str, Any]:
    """Show and publish what is in the queue; return the report."""
    del event, context
    logging.getLogger().setLevel(logging.INFO)
    return asdict(_builder().run())
