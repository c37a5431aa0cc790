"""The one writer of the API: a thread that puts everything that waits into one transaction.

It belongs to no event loop: whoever awaits is told in the loop that he awaits in. So it serves a
server with one loop for ever, and a Lambda with a new one for every call.
"""

import asyncio
import logging
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

from generator.adapters.catalogue import Catalogue
from generator.core.errors import ReelshelfError
from generator.core.model import Happening, Outcome

log = logging.getLogger(__name__)
_AT_ONCE = 512  # events in one transaction, so that none waits long for the others
_MANY = 4  # in one transaction: then more are on their way, and are waited for
_LINGER_S = 0.0005  # what a transaction costs beside its events, on a fast disk
_TRIES = 6  # each as patient with another writer as the catalogue is
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_T = TypeVar("_T")


class NotRecordedError(ReelshelfError):
    """Nothing of what was to be recorded was: the disk is full, or the catalogue out of reach."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Somebody awaits what becomes of an event, or what another question to the catalogue gives."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    what: Happening | Callable[[Catalogue], object]


_Answer = tuple[_Waiting, object]


class Recorder:
    """What writes to a catalogue; its thread begins with the first that there is to write."""

    def __init__(self, opened: Callable[[], Catalogue]) -> None:
        self._opened = opened
        self._queue: SimpleQueue[list[_Waiting] | None] = SimpleQueue()
        self._gathered: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
        self._thread: Thread | None = None
        self._lock = Lock()
        self._closed = False
        self._last = 0  # how many were in the last transaction

    async def record(self, happening: Happening) -> Outcome:
        """Record an event; when this returns, it is where the catalogue keeps things.

        Raises:
            NotRecordedError: it could not be written, and was not.
        """
        outcome: Outcome = await self._ask(happening)
        return outcome

    async def do(self, question: Callable[[Catalogue], _T]) -> _T:
        """Return what `question` gives, asked between two transactions.

        Raises:
            NotRecordedError: the catalogue is out of reach.
        """
        answer: _T = await self._ask(question)
        return answer

    def close(self) -> None:
        """Finish what was accepted, take nothing more, and let go of the file."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
            thread = self._thread
        if thread is not None:
            thread.join()

    def _ask(self, what: Happening | Callable[[Catalogue], object]) -> asyncio.Future[Any]:
        """Put something beside what else this turn of the loop brings; it is handed over at once.

        One by one, the thread would begin with the first, and the loop and the thread would take
        Python's lock from each other all the time.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(loop, loop.create_future(), what)
        gathered = self._gathered.get(loop)
        if gathered is None:
            self._gathered[loop] = [waiting]
            loop.call_soon(self._hand_over, loop)
        else:
            gathered.append(waiting)
        return waiting.future

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        gathered = self._gathered.pop(loop)
        with self._lock:
            if self._closed:
                refusal = NotRecordedError("the API is being stopped", hint="send it again")
                _settle((one, refusal) for one in gathered)
                return
            if self._thread is None:
                self._thread = Thread(target=self._run, name="recorder", daemon=True)
                self._thread.start()
            self._queue.put(gathered)

    # -- in the thread

    def _run(self) -> None:
        writer = _Writer(self._opened)
        try:
            while batch := self._batch():
                _tell(writer.answers(batch))
        finally:
            writer.close()

    def _batch(self) -> list[_Waiting]:
        """Wait for something, and return it with all that came meanwhile; nothing at the end."""
        batch: list[_Waiting] = []
        some = self._queue.get()
        if self._last >= _MANY:
            time.sleep(_LINGER_S)
        while some is not None:
            batch += some
            if len(batch) >= _AT_ONCE:
                break
            try:
                some = self._queue.get_nowait()
            except Empty:
                break
        if some is None and batch:
            self._queue.put(None)  # this batch first, then the end
        self._last = len(batch)
        return batch


class _Writer:
    """The catalogue of the recording thread: opened when needed, and anew after it failed."""

    def __init__(self, opened: Callable[[], Catalogue]) -> None:
        self._opened = opened
        self._catalogue: Catalogue | None = None

    def answers(self, batch: Iterable[_Waiting]) -> list[_Answer]:
        """Return what becomes of everything in a batch: a result, or an exception to raise."""
        events: list[_Waiting] = []
        answers: list[_Answer] = []
        for one in batch:
            if isinstance(one.what, Happening):
                events.append(one)
            else:
                answers.append((one, self._result(one.what)))
        happenings = [one.what for one in events if isinstance(one.what, Happening)]
        if happenings:
            found = self._result(lambda catalogue: catalogue.record(happenings))
            several = found if isinstance(found, list) else [found] * len(events)
            answers += zip(events, several, strict=True)
        return answers

    def close(self) -> None:
        """Let go of the file."""
        if self._catalogue is not None:
            self._catalogue.close()
            self._catalogue = None

    def _result(self, question: Callable[[Catalogue], object]) -> object:
        failure = NotRecordedError("another program keeps the catalogue to itself")
        for _ in range(_TRIES):
            try:
                if self._catalogue is None:
                    self._catalogue = self._opened()
                return question(self._catalogue)
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY:
                    continue
                self.close()
                failure = NotRecordedError(f"cannot write to the catalogue: {error}")
                break
            except (ReelshelfError, OSError) as error:
                failure = NotRecordedError(str(error))
                break
            except Exception as error:  # noqa: BLE001 (whoever awaits gets it, traceback and all)
                return error
        log.warning("nothing recorded: %s", failure)
        return failure


def _tell(answers: Iterable[_Answer]) -> None:
    """Tell everybody, waking each loop once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Answer]] = defaultdict(list)
    for answer in answers:
        by_loop[answer[0].loop].append(answer)
    for loop, some in by_loop.items():
        with suppress(RuntimeError):  # it has ended, and with it whoever awaited there
            loop.call_soon_threadsafe(_settle, some)


def _settle(answers: Iterable[_Answer]) -> None:
    for waiting, result in answers:
        if waiting.future.done():  # whoever awaited it is gone
            continue
        if isinstance(result, Exception):
            waiting.future.set_exception(result)
        else:
            waiting.future.set_result(result)
