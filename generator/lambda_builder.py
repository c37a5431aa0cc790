"""The builder of a small site as a Lambda: woken once a minute, it shows what waits in the queue.

One run fetches the state, takes events and notices from the queue, records them, refreshes, puts
the state back if nobody did so meanwhile, lets go of the messages, publishes, and puts the state
back once more with what was published. Killed anywhere, or raced by another run, the next one ends
at the same site.
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
from generator.core.errors import DamagedError, OwnedByAnotherError
from generator.core.library.bucket_roots import places_of
from generator.core.model import OutPath
from generator.core.queue.queue import Queue, ReceivedMessage
from generator.publish import Publisher, publisher_of
from generator.scan.observe import LibraryScan, ScanScope
from generator.worker.consume import ConsumedMessages, take
from generator.worker.remote_state import STATE, Lease, RemoteState

log = logging.getLogger(__name__)

_MOST = 5_000  # messages in one run
_AT_ONCE = 500  # and to ask for at once
_GATHER_S = 60.0  # so long may messages come in before they are shown
_TRIES = 50  # states that others put back before we could
_LOOK_S = 86_400  # how often all of the library is looked at, notices or not
_LOOKED = "looked_at"  # the fact that tells when that was last


@dataclass(slots=True)
class LambdaRun:
    """The account of one run; `state` is "built", "idle" or "busy" (another one builds)."""

    state: str = "idle"
    messages: int = 0
    recorded: int = 0
    refused: int = 0
    unreadable: int = 0
    pages: int = 0
    tries: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class LambdaBuilder:
    """One builder: a queue, a state in a bucket, and a local folder that may be lost at any time.

    `on_step` is told how far a run is. `lease_s` has to be longer than a run can take.
    """

    settings: Settings
    shipped: Path
    queue: Queue
    state: Bucket
    clock: Callable[[], float] = time.time
    lease_s: float = 960.0
    on_step: Callable[[str], None] = lambda _: None
    _carried: RemoteState | None = None
    _engine: Engine | None = None
    _publisher: Publisher | None = None
    _is_put_off: bool = False  # a part of the library could not be looked at

    def run(self) -> LambdaRun:
        """Show and publish what waits; return what was done.

        Raises:
            OwnerError: a worker with a disk owns the site; nothing was taken from the queue.
            ReelshelfError: what was not done is done by the next run; no message is lost.
        """
        run, begun_s = LambdaRun(), self.clock()
        try:
            # before anything is taken from a queue that is a worker's with a disk
            self._own(int(begun_s))
            self._follow()
            messages = self._received()
            run.messages = len(messages)
            if messages or self._is_behind():
                run.state = "built" if self._build_alone(run, messages) else "busy"
        except DamagedError:
            self._let_go_of_the_copy()
            raise
        finally:
            self.close()
        run.seconds = round(self.clock() - begun_s, 3)
        return run

    def close(self) -> None:
        """Let go of the local files; they stay for the next run."""
        if self._engine is not None:
            self._engine.close()
            self._engine = self._publisher = None

    def _own(self, now: int) -> None:
        """Own the site in the bucket of the state: no worker, and no Lambda of another site.

        Raises:
            OwnerError: another one owns it.
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
        mark.claim("lambda", site, now, take_over=is_older)

    # -- the state

    def _follow(self) -> None:
        """Have the newest state here."""
        if self._carried is None:
            self._carried = RemoteState(self.state, self.settings.state)
        if not self._carried.is_current():
            self._fetch()
        if self._engine is None:
            self._open(is_new=False)

    def _fetch(self) -> None:
        assert self._carried is not None
        self.close()
        self._carried.fetch()
        self._open(is_new=True)

    def _open(self, *, is_new: bool) -> None:
        # the local folders may tell of a catalogue that was never put into the bucket
        is_first = self._carried is not None and self._carried.is_first
        self._engine = Engine(self.settings, self.shipped, new_catalogue=is_first)
        self._publisher = publisher_of(self._engine, self.clock)
        if is_new:  # whoever put this state back may be publishing it at this moment
            self._publisher.mark_doubtful()

    def _let_go_of_the_copy(self) -> None:
        """Have the next run fetch the state anew: what is damaged may be the copy here alone."""
        self.close()
        if self._carried is not None:
            self._carried.drop()
            self._carried = None

    def _is_behind(self) -> bool:
        engine, publisher = self._opened()
        waits = engine.catalogue.last_event() > engine.cursor or not engine.ledger.fact("begun")
        return waits or publisher.is_behind() or self._is_time_to_look()

    def _opened(self) -> tuple[Engine, Publisher]:
        assert self._engine is not None
        assert self._publisher is not None
        return self._engine, self._publisher

    # -- a run

    def _received(self) -> list[ReceivedMessage]:
        messages: list[ReceivedMessage] = []
        end_s = self.clock() + _GATHER_S
        while len(messages) < _MOST and self.clock() < end_s:
            some = self.queue.receive(min(_AT_ONCE, _MOST - len(messages)), 0)
            if not some:
                break
            messages += some
        return messages

    def _build_alone(self, run: LambdaRun, messages: Sequence[ReceivedMessage]) -> bool:
        """Build if nobody else does; tell whether we did."""
        lease = Lease(self.state, self.lease_s, self.clock)
        if not lease.take():
            self.queue.extend(messages, 0)
            return False
        self.on_step("leased")
        try:
            self._follow()  # it may have been put back since
            self._build(run, messages)
        finally:
            lease.release()
        return True

    def _build(self, run: LambdaRun, messages: Sequence[ReceivedMessage]) -> None:
        taken = self._committed(run, messages)
        self.on_step("committed")
        done = taken.done
        if self._is_put_off:  # their notices come again by themselves, as if nobody had seen them
            done = [one for one in done if one not in taken.noticed]
        self.queue.delete(done)
        self.on_step("deleted")
        _, publisher = self._opened()
        publisher.publish()
        self.on_step("published")
        self._commit_published(publisher.put)

    def _committed(self, run: LambdaRun, messages: Sequence[ReceivedMessage]) -> ConsumedMessages:
        """Record and show messages on top of the newest state, and put that back."""
        assert self._carried is not None
        for run.tries in range(1, _TRIES + 1):
            engine, _ = self._opened()
            taken = take(engine.catalogue, messages, int(self.clock() * 1_000_000))
            self.on_step("recorded")
            run.recorded, run.refused = len(taken.seqs), len(taken.refused)
            run.unreadable = len(taken.unreadable)
            run.pages = self._refreshed(taken)
            self.on_step("refreshed")
            try:
                self._carried.commit(engine)
            except PreconditionFailedError:
                self._fetch()
            else:
                return taken
        raise AssertionError("the state changes all the time")

    def _refreshed(self, taken: ConsumedMessages) -> int:
        """Refresh, and look at the library where that is wanted; return how many pages changed."""
        engine, _ = self._opened()
        now = int(self.clock())
        asked, full = engine.catalogue.asked_since(engine.cursor)
        self._is_put_off = False
        pages = engine.refresh(now).written  # before any look: a new folder lacks stills, too
        for where in self._looks(taken, asked=asked):
            with MediaWorkers(
                jobs=self.settings.workers,
                time_limit_s=self.settings.file_limit_s,
                memory_mb=self.settings.file_memory_mb,
                nice=0,
            ) as workers:
                look = LibraryScan(self.settings, workers, self.clock, where)
                everywhere = where is None
                pages += engine.refresh(now, look, full=full, verify=everywhere).written
            self._is_put_off = self._is_put_off or bool(look.put_off)
            if where is None and not look.put_off:
                engine.catalogue.note(_LOOKED, str(now))
        return pages

    def _looks(self, taken: ConsumedMessages, *, asked: bool) -> tuple[ScanScope | None, ...]:
        """Return where to look: nowhere, at some folders, or everywhere (None)."""
        if not self.settings.library:
            return ()
        if asked or self._is_time_to_look():
            return (None,)
        folders = places_of(taken.notices, self.settings.buckets)
        return (ScanScope(folders=folders),) if folders else ()

    def _is_time_to_look(self) -> bool:
        engine, _ = self._opened()
        last = int(engine.catalogue.noted(_LOOKED) or 0)
        return bool(self.settings.library) and self.clock() >= last + _LOOK_S

    def _commit_published(self, paths: Sequence[OutPath]) -> None:
        """Put the state back with what was published.

        If another one put a newer state back meanwhile, his pages are the right ones, and ours may
        have come after them: it is noted there that nobody knows what the bucket has of these.
        """
        assert self._carried is not None
        for _ in range(_TRIES):
            engine, _ = self._opened()
            try:
                self._carried.commit(engine)
            except PreconditionFailedError:
                self._fetch()
                self._opened()[1].mark_doubtful(paths)
            else:
                return
        raise AssertionError("the state changes all the time")


@lru_cache(maxsize=1)
def _builder() -> LambdaBuilder:
    settings = load(None, {})
    state = Bucket(
        settings.state_bucket or settings.bucket,
        endpoint=settings.endpoint,
        region=settings.region,
    )
    return LambdaBuilder(settings, _shipped_templates(), open_queue(settings.queue), state)


def _shipped_templates() -> Path:
    here = Path(__file__).resolve().parent
    inside = here / "_shipped" / "templates"
    return inside if inside.is_dir() else here.parent / "templates"


def handler(event: object, context: object) -> dict[str, Any]:
    """Show and publish what waits in the queue; what is returned is the account of it."""
    del event, context
    logging.getLogger().setLevel(logging.INFO)
    return asdict(_builder().run())
