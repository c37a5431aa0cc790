"""Micro-batching in a thread: items that arrive together share one transaction or one send.

It belongs to no event loop: each caller gets its result in its own loop. So it serves a server with
one loop for its whole life, and a Lambda with a new one for every call.
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

_AT_ONCE = 512  # items in one batch, so that none waits long for the others
_MANY = 4  # items in one batch: then more are on their way, and worth a wait
_LINGER_S = 0.0005  # the fixed cost of a batch on a fast disk


class BatchHandler(Protocol):
    """Does the work of a batch; made, called and closed in the thread."""

    def run(self, items: Sequence[Any]) -> Sequence[object]:
        """Return for each item its result, or the exception to raise for its caller."""

    def close(self) -> None:
        """Release all resources."""


@dataclass(frozen=True, slots=True)
class _PendingItem:
    """An item, and the future that its caller awaits."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    item: object


_Result = tuple[_PendingItem, object]


class Batcher:
    """The batching thread, which starts with the first item."""

    def __init__(
        self,
        name: str,
        make_handler: Callable[[], BatchHandler],
        closed_error: Callable[[], Exception],
    ) -> None:
        """Start nothing yet.

        Args:
            name: the thread's.
            make_handler: builds the handler, in the thread.
            closed_error: builds the exception raised for items submitted after `close()`.
        """
        self._name, self._make_handler, self._closed_error = name, make_handler, closed_error
        self._queue: SimpleQueue[list[_PendingItem] | None] = SimpleQueue()
        self._pending: dict[asyncio.AbstractEventLoop, list[_PendingItem]] = {}
        self._thread: Thread | None = None
        self._lock = Lock()
        self._closed = False
        self._last = 0  # how many items were in the last batch

    def submit(self, item: object) -> asyncio.Future[Any]:
        """Submit an item; all items of one turn of the loop are handed over together.

        One by one, the thread would start on the first, and the loop and the thread would contend
        for the GIL all the time.
        """
        loop = asyncio.get_running_loop()
        entry = _PendingItem(loop, loop.create_future(), item)
        pending = self._pending.get(loop)
        if pending is None:
            self._pending[loop] = [entry]
            loop.call_soon(self._hand_over, loop)
        else:
            pending.append(entry)
        return entry.future

    def close(self) -> None:
        """Finish accepted items, and accept no more."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
            thread = self._thread
        if thread is not None:
            thread.join()

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        pending = self._pending.pop(loop)
        with self._lock:
            if self._closed:
                closed_error = self._closed_error()
                _resolve((entry, closed_error) for entry in pending)
                return
            if self._thread is None:
                self._thread = Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._queue.put(pending)

    # -- in the thread

    def _run(self) -> None:
        handler = self._make_handler()
        try:
            while batch := self._batch():
                _deliver(
                    zip(
                        batch,
                        handler.run([entry.item for entry in batch]),
                        strict=True,
                    )
                )
        finally:
            handler.close()

    def _batch(self) -> list[_PendingItem]:
        """Wait for an item, and return it with all that came meanwhile; [] once closed."""
        batch: list[_PendingItem] = []
        items = self._queue.get()
        if self._last >= _MANY:
            time.sleep(_LINGER_S)
        while items is not None:
            batch += items
            if len(batch) >= _AT_ONCE:
                break
            try:
                items = self._queue.get_nowait()
            except Empty:
                break
        if items is None and batch:
            self._queue.put(None)  # this batch first, then the end
        self._last = len(batch)
        return batch


def _deliver(results: Iterable[_Result]) -> None:
    """Resolve all futures, waking each loop once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Result]] = defaultdict(list)
    for result in results:
        by_loop[result[0].loop].append(result)
    for loop, batch in by_loop.items():
        with suppress(RuntimeError):  # the loop has ended, and its callers with it
            loop.call_soon_threadsafe(_resolve, batch)


def _resolve(results: Iterable[_Result]) -> None:
    for entry, outcome in results:
        if entry.future.done():  # its caller was cancelled
            continue
        if isinstance(outcome, Exception):
            entry.future.set_exception(outcome)
        else:
            entry.future.set_result(outcome)
