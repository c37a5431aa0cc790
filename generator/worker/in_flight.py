"""Messages in flight: hidden from other workers, and deleted once their events are published."""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from generator.core.errors import QueueError
from generator.core.queue.queue import Queue, ReceivedMessage
from generator.worker.backoff import RETRY_S, Backoff
from generator.worker.consume import ConsumedMessages

_MAX = 10_000  # in flight; more wait in the queue until these are published
_NEVER = 1 << 62  # the number of an event that is not recorded yet


@dataclass(frozen=True, slots=True)
class WorkerTiming:
    """Intervals in seconds; tests use short ones.

    A worker waits `poll_s` for messages: a container has ten seconds to stop. `keep_s` is the
    visibility timeout, `again_s` how often it is extended (sooner than the queue's own timeout). An
    unreadable message comes back after `unreadable_s`, times how often it was received.
    """

    poll_s: float = 8.0
    keep_s: int = 60
    again_s: float = 10.0
    unreadable_s: float = 5.0
    retry_s: float = RETRY_S


USUAL_TIMING = WorkerTiming()


class InFlight:
    """The messages in flight, each with the number of its event. Thread-safe."""

    def __init__(self, queue: Queue, timing: WorkerTiming = USUAL_TIMING) -> None:
        self._queue, self._timing = queue, timing
        self._changed = threading.Condition()
        self._messages: dict[str, tuple[ReceivedMessage, int]] = {}
        self._extend_at: dict[str, float] = {}  # when to extend the visibility of each
        self._published = 0  # the last event that is published
        self._stopped = False

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, messages: Iterable[ReceivedMessage]) -> None:
        """Add messages whose events are not recorded yet."""
        due_s = time.monotonic() + self._timing.again_s
        with self._changed:
            for message in messages:  # of one received again, only the last handle is valid
                self._messages[message.id] = (message, _NEVER)
                self._extend_at[message.id] = due_s
            self._changed.notify_all()

    def record(self, consumed: ConsumedMessages) -> None:
        """Store the numbers of recorded events; return unreadable messages to the queue."""
        back: dict[int, list[ReceivedMessage]] = {}
        with self._changed:
            for message, seq in consumed.seqs:
                self._messages[message.id] = (message, seq)
            for message in [*(refused for refused, _ in consumed.refused), *consumed.noticed]:
                self._messages[message.id] = (message, 0)
            for message, _ in consumed.unreadable:
                self._forget([message])
                wait_s = round(self._timing.unreadable_s * message.times)
                back.setdefault(min(wait_s, self._timing.keep_s), []).append(message)
            self._changed.notify_all()
        for wait_s, messages in back.items():
            self._queue.extend(messages, wait_s)

    def mark_published(self, event: int) -> None:
        """Mark the messages of all events up to this one for deletion."""
        with self._changed:
            self._published = max(self._published, event)
            self._changed.notify_all()

    def delete_published(self) -> int:
        """Delete the marked messages; return how many. QueueError: they are kept."""
        with self._changed:
            done = [message for message, seq in self._messages.values() if seq <= self._published]
        if done:
            self._queue.delete(done)
            with self._changed:
                self._forget(done)
                self._changed.notify_all()
        return len(done)

    def extend_visibility(self) -> None:
        """Extend the visibility timeout of messages that are due."""
        now_s = time.monotonic()
        with self._changed:
            due = [self._messages[key][0] for key, at in self._extend_at.items() if at <= now_s]
        if due:
            self._queue.extend(due, self._timing.keep_s)
            with self._changed:
                for message in due:
                    if message.id in self._extend_at:
                        self._extend_at[message.id] = now_s + self._timing.again_s

    def return_all(self) -> None:
        """Make all messages visible to other workers at once."""
        with self._changed:
            rest = [message for message, _ in self._messages.values()]
            self._forget(rest)
        if rest:
            self._queue.extend(rest, 0)

    def is_full(self) -> bool:
        """Return whether the limit of messages is reached."""
        return len(self._messages) >= _MAX

    def wait_for_room(self, seconds: float) -> bool:
        """Wait up to `seconds` for room for more; return whether there is any."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.is_full(), seconds)

    def run(self) -> None:
        """Delete and extend messages until stopped: the loop of a thread."""
        backoff = Backoff(self._timing.retry_s)
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work, max(self._next_s() - time.monotonic(), 0.0))
                if self._stopped:
                    return
            try:
                self.delete_published()
                self.extend_visibility()
                backoff.succeeded()
            except QueueError as error:
                backoff.failed(error)
                with self._changed:
                    self._changed.wait_for(lambda: self._stopped, backoff.wait_s)

    def stop(self) -> None:
        """End `run`."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _has_work(self) -> bool:
        return self._stopped or any(seq <= self._published for _, seq in self._messages.values())

    def _next_s(self) -> float:
        return min(self._extend_at.values(), default=time.monotonic() + self._timing.again_s)

    def _forget(self, messages: Iterable[ReceivedMessage]) -> None:
        for message in messages:
            kept = self._messages.get(message.id)
            if kept is not None and kept[0].handle == message.handle:
                del self._messages[message.id], self._extend_at[message.id]
