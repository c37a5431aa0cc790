"""The API's one sender: a thread that sends all waiting messages to the queue in one batch."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from api_lambda.batcher import Batcher
from generator.core.errors import QueueError
from generator.core.queue.queue import Queue

log = logging.getLogger(__name__)
_LATELY_S = 60.0  # how long a queue counts as down after a failure, if nothing is sent meanwhile


@dataclass(slots=True)
class SenderState:
    """When the last send failed, by a monotonic clock; None: it succeeded."""

    refused_s: float | None = None


class EventSender:
    """Sends messages; its thread starts with the first."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._state = SenderState()
        self._batcher = Batcher("sender", lambda: _Sender(queue, self._state), _stopped)

    def refused_lately(self) -> bool:
        """Return whether the last send failed within the last minute."""
        refused_s = self._state.refused_s
        return refused_s is not None and time.monotonic() < refused_s + _LATELY_S

    async def send(self, message: str) -> None:
        """Send a message; when this returns, the queue has it.

        Raises:
            QueueError: the queue did not acknowledge it. It may have it all the same.
        """
        await self._batcher.submit(message)

    def close(self) -> None:
        """Send what was accepted, accept no more, and close the queue."""
        self._batcher.close()
        self._queue.close()


def _stopped() -> Exception:
    return QueueError("the API is being stopped", hint="send it again")


class _Sender:
    def __init__(self, queue: Queue, state: SenderState) -> None:
        self._queue, self._state = queue, state

    def run(self, messages: Sequence[Any]) -> Sequence[object]:
        """Send all at once: either all are acknowledged, or none."""
        try:
            self._queue.send([str(message) for message in messages])
        except QueueError as error:
            log.warning("not sent: %s", error)
            self._state.refused_s = time.monotonic()
            return [error] * len(messages)
        except Exception as error:  # noqa: BLE001 (raised at the caller, traceback and all)
            return [error] * len(messages)
        self._state.refused_s = None
        return [None] * len(messages)

    def close(self) -> None:
        """Leave the queue open: `EventSender` owns it."""
