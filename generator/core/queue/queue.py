"""The queue interface: SQS, a Redis stream, or in memory for tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from generator.core.errors import QueueError


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """One delivered message; `handle` deletes it, `times` counts its deliveries so far."""

    id: str
    body: str
    handle: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How many messages wait, are in flight, and are in the dead-letter queue.

    `oldest_s` is the age of the oldest that waits; None where the queue does not report it.
    """

    waiting: int
    in_flight: int
    dead: int
    oldest_s: float | None = None


class OwnerMarkUnsupportedError(QueueError):
    """The queue cannot store an owner mark, or denies us to write one."""


class Queue(Protocol):
    """A queue that delivers each message at least once, in any order.

    Every method raises QueueError where the queue cannot be reached or refuses.
    """

    def send(self, bodies: Sequence[str]) -> None:
        """Send messages; when this returns, the queue has them."""

    def receive(self, most: int, wait_s: float) -> list[ReceivedMessage]:
        """Return up to `most` messages, after waiting up to `wait_s` for the first."""

    def delete(self, messages: Sequence[ReceivedMessage]) -> None:
        """Delete messages that were processed."""

    def extend(self, messages: Sequence[ReceivedMessage], seconds: int) -> None:
        """Extend the visibility timeout of messages; 0 returns them to the queue at once."""

    def depth(self) -> QueueDepth:
        """Return how many messages there are."""

    def dead(self, most: int) -> list[ReceivedMessage]:
        """Return up to `most` messages of the dead-letter queue; they stay there."""

    def redrive(self) -> int:
        """Redrive the dead-letter queue; return how many messages that were."""

    def close(self) -> None:
        """Close connections."""
