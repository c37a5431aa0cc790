"""One poll of the ledger for all requests that wait for a receipt, however many.

A waiting request costs a place in a table and no read of its own. It belongs to no event loop: each
has a watcher of its own as long as a request waits in it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from generator.adapters.ledger import ShownEvents, shown_events

_POLL_S = 0.05
# A waiting request costs some 15 KB of memory, most of it the connection's. One without a place is
# answered at once, and a rude client retries at once; hence more places than anybody needs.
MAX_WAITING = 4000
MAX_WAITING_EACH = 2000  # so that no client has all of them


@dataclass(eq=False, slots=True)
class _Waiter:
    seq: int
    future: asyncio.Future[str]


@dataclass(slots=True)
class _Watcher:
    """The requests that wait in one loop, and the task that polls for them."""

    waiters: set[_Waiter] = field(default_factory=set)
    task: asyncio.Task[None] | None = None


class ReceiptWatch:
    """Returns receipts, at once or as soon as there are any.

    Args:
        ledger: its file.
        event_id: returns the id of the event with a number; a ledger that knows it by another id is
            that of the catalogue before it was restored, and has shown none of its events.
        most: the number of requests that may wait,
        most_each: and of one client.
    """

    def __init__(
        self,
        ledger: Path,
        event_id: Callable[[int], str],
        most: int = MAX_WAITING,
        most_each: int = MAX_WAITING_EACH,
    ) -> None:
        self._ledger, self._most, self._most_each = ledger, most, most_each
        self._event_id = event_id
        self._watchers: dict[asyncio.AbstractEventLoop, _Watcher] = {}
        self._clients: Counter[str] = Counter()
        self._last_read = (0, 0.0)  # the last event that was shown, and until when that is cached

    def now(self, event: int, *, may_wait: bool) -> str | None:
        """Return the receipt of the first build that showed an event, None while none did.

        With `may_wait`, a request right after another one gets None without a read: many that come
        together cost one.
        """
        shown, until_s = self._last_read
        now_s = time.monotonic()
        if may_wait and event > shown and now_s < until_s:
            return None
        read = self._checked(shown_events(self._ledger, [event]))
        self._last_read = read.last, now_s + _POLL_S
        return read.receipts.get(event)

    def _checked(self, read: ShownEvents) -> ShownEvents:
        return read if read.key in {"", self._event_id(read.cursor)} else ShownEvents()

    def has_room(self, client: str) -> bool:
        """Return whether one more request may wait."""
        return self._clients.total() < self._most and self._clients[client] < self._most_each

    async def wait(self, event: int, seconds: float, client: str) -> str | None:
        """Return the receipt as soon as there is one, None if there is none after `seconds`."""
        loop = asyncio.get_running_loop()
        watcher = self._watchers.setdefault(loop, _Watcher())
        waiter = _Waiter(event, loop.create_future())
        watcher.waiters.add(waiter)
        self._clients[client] += 1
        if watcher.task is None:
            watcher.task = loop.create_task(self._watch(watcher))
        try:
            async with asyncio.timeout(seconds):
                return await waiter.future
        except TimeoutError:
            return None
        finally:
            watcher.waiters.discard(waiter)
            self._clients[client] -= 1
            if not self._clients[client]:
                del self._clients[client]
            if not watcher.waiters:
                self._watchers.pop(loop, None)
                with suppress(RuntimeError):  # the loop is about to end, and the task with it
                    watcher.task.cancel()

    async def _watch(self, watcher: _Watcher) -> None:
        while True:
            await asyncio.sleep(_POLL_S)
            events = {waiter.seq for waiter in watcher.waiters}
            try:
                read = await asyncio.to_thread(shown_events, self._ledger, events)
                receipts = self._checked(read).receipts
            except Exception as error:  # noqa: BLE001 (raised at the waiting requests)
                for waiter in watcher.waiters:
                    if not waiter.future.done():
                        waiter.future.set_exception(error)
                continue
            for waiter in watcher.waiters:
                receipt = receipts.get(waiter.seq)
                if receipt is not None and not waiter.future.done():
                    waiter.future.set_result(receipt)
