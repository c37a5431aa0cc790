"""The queue that an address names: SQS by its URL, or a stream of a Redis."""

from urllib.parse import urlsplit

from generator.core.errors import SettingsError
from generator.core.queueing import Queue

__all__ = ["open_queue"]

_REDIS = frozenset({"redis", "rediss", "unix"})


def open_queue(address: str) -> Queue:
    """Return the queue at an address; nothing is asked of it before it is used.

    Args:
        address: the URL of an SQS standard queue (http or https), or of a Redis (redis, rediss or
            unix), where `?stream=NAME` names another stream than "reelshelf:events".

    Raises:
        SettingsError: it is neither.
    """
    try:
        queue = _named(address)
    except ValueError as error:
        raise _no_queue(address, f": {error}") from error
    if queue is None:
        raise _no_queue(address)
    return queue


def _named(address: str) -> Queue | None:
    parts = urlsplit(address)
    if parts.port == 0:
        raise ValueError("its port is 0")
    if parts.scheme in _REDIS and (parts.netloc or parts.path):
        from generator.adapters.queues.stream import StreamQueue  # noqa: PLC0415 (loads redis)

        return StreamQueue(address)
    if parts.scheme in {"http", "https"} and parts.netloc and parts.path.count("/") >= 1:
        from generator.adapters.queues.sqs import SqsQueue  # noqa: PLC0415 (loads boto3)

        return SqsQueue(address)
    return None


def _no_queue(address: str, reason: str = "") -> SettingsError:
    return SettingsError(
        f"no queue has the address {address!r}{reason}",
        hint="queue is the URL of an SQS queue (https://…), or of a Redis (redis://host:6379/0)",
    )
