"""The one sender of the API: a thread that puts everything that waits into the queue in one go."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from api_lambda.batching import Batcher
from generator.core.errors import QueueError
from generator.core.queue.queue import Queue

log = logging.getLogger(__name__)
_LATELY_S = 60.0  # for so long a queue that refused counts as away, if nobody sends meanwhile


@dataclass(slots=True)
class SenderState:
    """When the queue refused what was sent last, by a monotonic clock; None: it took it."""

    refused_s: float | None = None


class EventSender:
    """What sends letters; its thread begins with the first."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._state = SenderState()
        self._gatherer = Batcher("sender", lambda: _Post(queue, self._state), _stopped)

    def refused_lately(self) -> bool:
        """Tell whether the last that was sent was refused, and not long ago."""
        refused_s = self._state.refused_s
        return refused_s is not None and time.monotonic() < refused_s + _LATELY_S

    async def send(self, letter: str) -> None:
        """Send a letter; when this returns, the queue keeps it.

        Raises:
            QueueError: the queue did not say that it has it. It may have it all the same.
        """
        await self._gatherer.ask(letter)

    def close(self) -> None:
        """Finish what was accepted, take nothing more, and let go of the queue."""
        self._gatherer.close()
        self._queue.close()


def _stopped() -> Exception:
    return QueueError("the API is being stopped", hint="send it again")


class _Post:
    def __init__(self, queue: Queue, state: SenderState) -> None:
        self._queue, self._state = queue, state

    def answers(self, asked: Sequence[Any]) -> Sequence[object]:
        """Send everything at once: all of it is in the queue, or none may be believed to be."""
        try:
            self._queue.send([str(letter) for letter in asked])
        except QueueError as error:
            log.warning("not sent: %s", error)
            self._state.refused_s = time.monotonic()
            return [error] * len(asked)
        except Exception as error:  # noqa: BLE001 (whoever awaits gets it, traceback and all)
            return [error] * len(asked)
        self._state.refused_s = None
        return [None] * len(asked)

    def close(self) -> None:
        """Leave the queue to whoever lent it."""
