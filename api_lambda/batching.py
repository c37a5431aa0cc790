"""A thread that does together what comes together: one transaction or one sending for all.

It belongs to no event loop: whoever awaits is told in the loop that he awaits in. So it serves a
server with one loop for ever, and a Lambda with a new one for every call.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Protocol

_AT_ONCE = 512  # in one turn, so that none waits long for the others
_MANY = 4  # in one turn: then more are on their way, and are waited for
_LINGER_S = 0.0005  # what a turn costs beside what is in it, on a fast disk


class BatchHandler(Protocol):
    """What does the work, in the thread: made there, and closed there."""

    def answers(self, asked: Sequence[Any]) -> Sequence[object]:
        """Return what becomes of each: a result, or an exception for whoever awaits it."""

    def close(self) -> None:
        """Let go of everything."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Somebody who awaits something, and what."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    what: object


_Answer = tuple[_Waiting, object]


class Batcher:
    """The thread, which begins with the first that there is to do."""

    def __init__(
        self, name: str, made: Callable[[], BatchHandler], refusal: Callable[[], Exception]
    ) -> None:
        """Begin nothing yet.

        Args:
            name: the thread's.
            made: makes what does the work.
            refusal: makes what those get who come after the end.
        """
        self._name, self._made, self._refusal = name, made, refusal
        self._queue: SimpleQueue[list[_Waiting] | None] = SimpleQueue()
        self._gathered: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
        self._thread: Thread | None = None
        self._lock = Lock()
        self._closed = False
        self._last = 0  # how many were in the last turn

    def ask(self, what: object) -> asyncio.Future[Any]:
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

    def close(self) -> None:
        """Finish what was accepted, and take nothing more."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
            thread = self._thread
        if thread is not None:
            thread.join()

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        gathered = self._gathered.pop(loop)
        with self._lock:
            if self._closed:
                refusal = self._refusal()
                _settle((one, refusal) for one in gathered)
                return
            if self._thread is None:
                self._thread = Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._queue.put(gathered)

    # -- in the thread

    def _run(self) -> None:
        doer = self._made()
        try:
            while batch := self._batch():
                _tell(zip(batch, doer.answers([one.what for one in batch]), strict=True))
        finally:
            doer.close()

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
