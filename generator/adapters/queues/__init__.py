"""The queue that an address names: SQS by its URL, or a stream of a Redis."""

from typing import Protocol
from urllib.parse import urlsplit

from generator.core.errors import SettingsError
from generator.core.queue.queue import Queue

__all__ = ["MarkStore", "MarkedQueue", "open_queue"]

_REDIS = frozenset({"redis", "rediss", "unix"})


class QueueMark(Protocol):
    """A mark as a queue has it."""

    @property
    def etag(self) -> str:
        """Return what tells it from others."""


class MarkStore(Protocol):
    """Where the mark of who works for a queue is kept: see `s3.owner_mark`."""

    @property
    def name(self) -> str:
        """Return the queue's name."""

    def get(self, key: str) -> tuple[bytes, QueueMark] | None:
        """Return the mark, None if there is none; NoMarkError where the queue keeps none."""

    def put(self, key: str, body: bytes, headers: object, match: str) -> QueueMark:
        """Leave the mark in place of another ("*": of none)."""


class MarkedQueue(Queue, Protocol):
    """A queue that can be told who works for it."""

    @property
    def mark(self) -> MarkStore:
        """Return where its mark is kept."""

    def check(self) -> None:
        """Warn of settings of the queue with which messages come twice, or go."""


def open_queue(address: str, *, visibility_s: int | None = None) -> MarkedQueue:
    """Return the queue at an address; nothing is asked of it before it is used.

    Args:
        address: the URL of an SQS standard queue (http or https), or of a Redis (redis, rediss or
            unix), where `?stream=NAME` names another stream than "reelshelf:events".
        visibility_s: how long a message is kept from others after it came; None: as the queue has
            it.

    Raises:
        SettingsError: it is neither.
    """
    try:
        queue = _named(address, visibility_s)
    except ValueError as error:
        raise _no_queue(address, f": {error}") from error
    if queue is None:
        raise _no_queue(address)
    return queue


def _named(address: str, visibility_s: int | None) -> MarkedQueue | None:
    parts = urlsplit(address)
    if parts.port == 0:
        raise ValueError("its port is 0")
    if parts.scheme in _REDIS and (parts.netloc or parts.path):
        from generator.adapters.queues.redis_stream import RedisStreamQueue  # noqa: PLC0415 (loads redis)

        return (
            RedisStreamQueue(address)
            if visibility_s is None
            else RedisStreamQueue(address, visibility_s=visibility_s)
        )
    if parts.scheme in {"http", "https"} and parts.netloc and parts.path.count("/") >= 1:
        from generator.adapters.queues.sqs import SqsQueue  # noqa: PLC0415 (loads boto3)

        return SqsQueue(address, visibility_s=visibility_s)
    return None


def _no_queue(address: str, reason: str = "") -> SettingsError:
    return SettingsError(
        f"no queue has the address {address!r}{reason}",
        hint="queue is the URL of an SQS queue (https://…), or of a Redis (redis://host:6379/0)",
    )
