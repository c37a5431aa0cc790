"""The messages in hand: kept from others, and let go once everybody sees their events."""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from generator.core.errors import QueueError
from generator.core.queue.queue import Queue, ReceivedMessage
from generator.worker.backoff import RETRY_S, Backoff
from generator.worker.consume import ConsumedMessages

_MOST = 10_000  # in hand; more wait in the queue until these are published
_NEVER = 1 << 62  # the number of an event that is not recorded yet


@dataclass(frozen=True, slots=True)
class WorkerTiming:
    """How long things take, in seconds; tests are in a hurry.

    A worker waits `poll_s` for messages: a container that is told to end has ten seconds.
    `keep_s` is how long messages are kept from others at a time, `again_s` when they are kept again
    (before the queue's own visibility is over). A message that nobody can read comes back after
    `unreadable_s`, times how often it came.
    """

    poll_s: float = 8.0
    keep_s: int = 60
    again_s: float = 10.0
    unreadable_s: float = 5.0
    retry_s: float = RETRY_S


USUAL_PACE = WorkerTiming()


class InFlight:
    """The messages in hand, each with the number of its event. For any thread."""

    def __init__(self, queue: Queue, pace: WorkerTiming = USUAL_PACE) -> None:
        self._queue, self._pace = queue, pace
        self._changed = threading.Condition()
        self._messages: dict[str, tuple[ReceivedMessage, int]] = {}
        self._keep_at: dict[str, float] = {}  # when each is to be kept again
        self._shown = 0  # the last event that everybody sees
        self._stopped = False

    def __len__(self) -> int:
        return len(self._messages)

    def hold(self, messages: Iterable[ReceivedMessage]) -> None:
        """Keep messages whose events are not recorded yet."""
        due_s = time.monotonic() + self._pace.again_s
        with self._changed:
            for one in messages:  # one that came again is let go of as it came last
                self._messages[one.id] = (one, _NEVER)
                self._keep_at[one.id] = due_s
            self._changed.notify_all()

    def settle(self, taken: ConsumedMessages) -> None:
        """Note the numbers of their events; give back what nobody can read."""
        back: dict[int, list[ReceivedMessage]] = {}
        with self._changed:
            for message, seq in taken.seqs:
                self._messages[message.id] = (message, seq)
            for message in [*(one for one, _ in taken.refused), *taken.noticed]:
                self._messages[message.id] = (message, 0)
            for message, _ in taken.unreadable:
                self._forget([message])
                wait_s = round(self._pace.unreadable_s * message.times)
                back.setdefault(min(wait_s, self._pace.keep_s), []).append(message)
            self._changed.notify_all()
        for wait_s, messages in back.items():
            self._queue.extend(messages, wait_s)

    def show(self, event: int) -> None:
        """Let go of the messages whose events are not after this one."""
        with self._changed:
            self._shown = max(self._shown, event)
            self._changed.notify_all()

    def let_go(self) -> int:
        """Delete the messages that are shown; return how many. QueueError: they are kept."""
        with self._changed:
            done = [one for one, seq in self._messages.values() if seq <= self._shown]
        if done:
            self._queue.delete(done)
            with self._changed:
                self._forget(done)
                self._changed.notify_all()
        return len(done)

    def keep(self) -> None:
        """Keep from others what is due to be."""
        now_s = time.monotonic()
        with self._changed:
            due = [self._messages[key][0] for key, at in self._keep_at.items() if at <= now_s]
        if due:
            self._queue.extend(due, self._pace.keep_s)
            with self._changed:
                for one in due:
                    if one.id in self._keep_at:
                        self._keep_at[one.id] = now_s + self._pace.again_s

    def give_back(self) -> None:
        """Let others have at once what is in hand."""
        with self._changed:
            rest = [one for one, _ in self._messages.values()]
            self._forget(rest)
        if rest:
            self._queue.extend(rest, 0)

    def is_full(self) -> bool:
        """Tell whether there is no room for more."""
        return len(self._messages) >= _MOST

    def wait_for_room(self, seconds: float) -> bool:
        """Return whether there is room for more, after waiting so long for it."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.is_full(), seconds)

    def look_after(self) -> None:
        """Let go and keep, until stopped: what the thread beside the others does."""
        trouble = Backoff(self._pace.retry_s)
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work, max(self._next_s() - time.monotonic(), 0.0))
                if self._stopped:
                    return
            try:
                self.let_go()
                self.keep()
                trouble.over()
            except QueueError as error:
                trouble.tell(error)
                with self._changed:
                    self._changed.wait_for(lambda: self._stopped, trouble.wait_s)

    def stop(self) -> None:
        """End `look_after`."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _has_work(self) -> bool:
        return self._stopped or any(seq <= self._shown for _, seq in self._messages.values())

    def _next_s(self) -> float:
        return min(self._keep_at.values(), default=time.monotonic() + self._pace.again_s)

    def _forget(self, messages: Iterable[ReceivedMessage]) -> None:
        for one in messages:
            kept = self._messages.get(one.id)
            if kept is not None and kept[0].handle == one.handle:
                del self._messages[one.id], self._keep_at[one.id]
