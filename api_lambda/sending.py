"""The one sender of the API: a thread that puts everything that waits into the queue in one go."""

import logging
from collections.abc import Sequence
from typing import Any

from api_lambda.gathering import Gatherer
from generator.core.errors import QueueError
from generator.core.queueing import Queue

log = logging.getLogger(__name__)


class Sender:
    """What sends letters; its thread begins with the first."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._gatherer = Gatherer("sender", lambda: _Post(queue), _stopped)

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
    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def answers(self, asked: Sequence[Any]) -> Sequence[object]:
        """Send everything at once: all of it is in the queue, or none may be believed to be."""
        try:
            self._queue.send([str(letter) for letter in asked])
        except QueueError as error:
            log.warning("not sent: %s", error)
            return [error] * len(asked)
        except Exception as error:  # noqa: BLE001 (whoever awaits gets it, traceback and all)
            return [error] * len(asked)
        return [None] * len(asked)

    def close(self) -> None:
        """Leave the queue to whoever lent it."""
