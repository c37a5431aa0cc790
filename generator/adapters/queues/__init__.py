"""The queue at an address: SQS by its URL, or a Redis stream."""

from typing import Protocol
from urllib.parse import urlsplit

from generator.core.errors import SettingsError
from generator.core.queue.queue import Queue

__all__ = ["MarkStore", "MarkedQueue", "open_queue"]

_REDIS = frozenset({"redis", "rediss", "unix"})


class QueueMark(Protocol):
    """A stored mark."""

    @property
    def etag(self) -> str:
        """Return the version of the mark."""


class MarkStore(Protocol):
    """Where the owner mark of a queue is stored: see `s3.owner_mark`."""

    @property
    def name(self) -> str:
        """Return the queue's name."""

    def get(self, key: str) -> tuple[bytes, QueueMark] | None:
        """Return the mark or None; OwnerMarkUnsupportedError if the queue cannot store one."""

    def put(self, key: str, body: bytes, headers: object, match: str) -> QueueMark:
        """Replace the mark whose version is `match` ("*": none)."""


class MarkedQueue(Queue, Protocol):
    """A queue that can store an owner mark."""

    @property
    def mark(self) -> MarkStore:
        """Return the store of its owner mark."""

    def check(self) -> None:
        """Warn of queue settings that duplicate or lose messages."""


def open_queue(address: str, *, visibility_s: int | None = None) -> MarkedQueue:
    """Return the queue at an address; it is connected on first use.

    Args:
        address: the URL of an SQS standard queue (http or https), or of a Redis (redis, rediss or
            unix), where `?stream=NAME` names another stream than "reelshelf:events".
        visibility_s: visibility timeout of received messages; None: the default of the queue.

    Raises:
        SettingsError: it is neither.
    """
    try:
        queue = _queue_at(address, visibility_s)
    except ValueError as error:
        raise _no_queue(address, f": {error}") from error
    if queue is None:
        raise _no_queue(address)
    return queue


def _queue_at(address: str, visibility_s: int | None) -> MarkedQueue | None:
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
        f"{address!r} is not the address of a queue{reason}",
        hint="queue is the URL of an SQS queue (https://…), or of a Redis (redis://host:6379/0)",
    )
