"""What a queue is to those who send and those who work: SQS, a Redis stream, or one in a test."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from generator.core.errors import QueueError


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """One letter as a queue brings it; `handle` lets go of it, `times` it was brought so far."""

    id: str
    body: str
    handle: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How many messages wait, are with a worker, and were put aside because they came too often.

    `oldest_s` is how long the oldest waits; None where the queue does not tell.
    """

    waiting: int
    under_way: int
    dead: int
    oldest_s: float | None = None


class OwnerMarkUnsupportedError(QueueError):
    """The queue keeps no mark of who works for it, or does not let us leave one."""


class Queue(Protocol):
    """A queue that brings each message at least once, in any order.

    Every method raises QueueError where the queue cannot be reached or refuses.
    """

    def send(self, bodies: Sequence[str]) -> None:
        """Put letters in; when this returns the queue keeps them."""

    def receive(self, most: int, wait_s: float) -> list[ReceivedMessage]:
        """Return up to `most` messages, after waiting so long for the first."""

    def delete(self, messages: Sequence[ReceivedMessage]) -> None:
        """Let go of messages for good."""

    def extend(self, messages: Sequence[ReceivedMessage], seconds: int) -> None:
        """Keep messages from others for so much longer; 0 gives them back at once."""

    def depth(self) -> QueueDepth:
        """Return how full it is."""

    def dead(self, most: int) -> list[ReceivedMessage]:
        """Return some of the messages that were put aside; they stay there."""

    def put_back(self) -> int:
        """Put what was put aside back into the queue; return how many that were."""

    def close(self) -> None:
        """Let go of connections."""
