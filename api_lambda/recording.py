"""The one writer of the API: a thread that puts everything that waits into one transaction."""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from api_lambda.gathering import Gatherer
from generator.adapters.catalogue import Catalogue
from generator.core.errors import ReelshelfError
from generator.core.model import Happening, Outcome

log = logging.getLogger(__name__)
_TRIES = 6  # each as patient with another writer as the catalogue is
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_T = TypeVar("_T")


class NotRecordedError(ReelshelfError):
    """Nothing of what was to be recorded was: the disk is full, or the catalogue out of reach."""


class Recorder:
    """What writes to a catalogue; its thread begins with the first that there is to write."""

    def __init__(self, opened: Callable[[], Catalogue]) -> None:
        self._gatherer = Gatherer("recorder", lambda: _Writer(opened), _stopped)

    async def record(self, happening: Happening) -> Outcome:
        """Record an event; when this returns, it is where the catalogue keeps things.

        Raises:
            NotRecordedError: it could not be written, and was not.
        """
        outcome: Outcome = await self._gatherer.ask(happening)
        return outcome

    async def do(self, question: Callable[[Catalogue], _T]) -> _T:
        """Return what `question` gives, asked between two transactions.

        Raises:
            NotRecordedError: the catalogue is out of reach.
        """
        answer: _T = await self._gatherer.ask(question)
        return answer

    def close(self) -> None:
        """Finish what was accepted, take nothing more, and let go of the file."""
        self._gatherer.close()


def _stopped() -> Exception:
    return NotRecordedError("the API is being stopped", hint="send it again")


class _Writer:
    """The catalogue of the recording thread: opened when needed, and anew after it failed."""

    def __init__(self, opened: Callable[[], Catalogue]) -> None:
        self._opened = opened
        self._catalogue: Catalogue | None = None

    def answers(self, asked: Sequence[Any]) -> Sequence[object]:
        """Return what becomes of everything: questions first, then all events in one."""
        happenings = [one for one in asked if isinstance(one, Happening)]
        told = [None if isinstance(one, Happening) else self._result(one) for one in asked]
        if happenings:
            found = self._result(lambda catalogue: catalogue.record(happenings))
            outcomes = iter(found if isinstance(found, list) else [found] * len(happenings))
            return [
                next(outcomes) if isinstance(one, Happening) else answer
                for one, answer in zip(asked, told, strict=True)
            ]
        return told

    def close(self) -> None:
        """Let go of the file."""
        if self._catalogue is not None:
            self._catalogue.close()
            self._catalogue = None

    def _result(self, question: Callable[[Catalogue], object]) -> object:
        failure = NotRecordedError("another program keeps the catalogue to itself")
        for _ in range(_TRIES):
            try:
                if self._catalogue is None:
                    self._catalogue = self._opened()
                return question(self._catalogue)
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY:
                    continue
                self.close()
                failure = NotRecordedError(f"cannot write to the catalogue: {error}")
                break
            except (ReelshelfError, OSError) as error:
                failure = NotRecordedError(str(error))
                break
            except Exception as error:  # noqa: BLE001 (whoever awaits gets it, traceback and all)
                return error
        log.warning("nothing recorded: %s", failure)
        return failure
