"""The one writer of the API: a thread that puts everything that waits into one transaction."""

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from api_lambda.batching import Batcher
from api_lambda.catalogue_file import CatalogueFile, OpenCatalogue
from generator.adapters.catalogue import Catalogue
from generator.core.errors import ReelshelfError
from generator.core.model import Event, EventOutcome

log = logging.getLogger(__name__)
_TRIES = 6  # each as patient with another writer as the catalogue is
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_OUT_OF_REACH = "the catalogue is out of reach"
_T = TypeVar("_T")


class NotRecordedError(ReelshelfError):
    """Nothing of what was to be recorded was: the disk is full, or the catalogue out of reach.

    `public` is what everybody may be told of it: without paths, and without SQLite's words.
    """

    def __init__(self, message: str, *, hint: str = "", public: str = _OUT_OF_REACH) -> None:
        super().__init__(message, hint=hint)
        self.public = public


@dataclass(slots=True)
class WriterState:
    """How writing goes: seconds of a monotonic clock since when it is busy, and what refused it."""

    busy_since_s: float | None = None
    refusal: str = ""

    def busy_s(self) -> float:
        """Return for how long the writer has been at what it does now."""
        since_s = self.busy_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s


class EventWriter:
    """What writes to a catalogue; its thread begins with the first that there is to write."""

    def __init__(self, opened: Callable[[], Catalogue], file: CatalogueFile | None = None) -> None:
        """Begin nothing yet.

        Args:
            opened: opens the catalogue, in the thread.
            file: where it is; None: it is not looked whether it stays there.
        """
        self.state = WriterState()
        self._gatherer = Batcher("recorder", lambda: _Writer(opened, file, self.state), _stopped)

    async def record(self, happening: Event) -> EventOutcome:
        """Record an event; when this returns, it is where the catalogue keeps things.

        Raises:
            NotRecordedError: it could not be written, and was not.
        """
        outcome: EventOutcome = await self._gatherer.ask(happening)
        return outcome

    async def do(self, question: Callable[[Catalogue], _T]) -> _T:
        """Return what `question` gives, asked between two transactions.

        It is asked again where the catalogue was replaced meanwhile.

        Raises:
            NotRecordedError: the catalogue is out of reach.
        """
        answer: _T = await self._gatherer.ask(question)
        return answer

    def close(self) -> None:
        """Finish what was accepted, take nothing more, and let go of the file."""
        self._gatherer.close()


def _stopped() -> Exception:
    return NotRecordedError(
        "the API is being stopped", hint="send it again", public="the API is being stopped"
    )


class _Writer:
    """The catalogue of the recording thread: opened when needed, and anew after it failed."""

    def __init__(
        self, opened: Callable[[], Catalogue], file: CatalogueFile | None, state: WriterState
    ) -> None:
        self._open, self._file, self._state = opened, file, state
        self._opened: OpenCatalogue | None = None
        self._catalogue: Catalogue | None = None
        self._version = -1  # changes with whatever other connections write
        self._last = (0, "")  # the newest event that was acknowledged: number and id
        self._course = 0  # counts the catalogues that do not hold what was acknowledged before

    def answers(self, asked: Sequence[Any]) -> Sequence[object]:
        """Return what becomes of everything: questions first, then all events in one."""
        self._state.busy_since_s = time.monotonic()
        try:
            return self._answers(asked)
        finally:
            self._state.busy_since_s = None

    def _answers(self, asked: Sequence[Any]) -> Sequence[object]:
        happenings = [one for one in asked if isinstance(one, Event)]
        told = [None if isinstance(one, Event) else self._result(one) for one in asked]
        if happenings:
            found = self._result(lambda catalogue: self._recorded(catalogue, happenings))
            outcomes = iter(found if isinstance(found, list) else [found] * len(happenings))
            return [
                next(outcomes) if isinstance(one, Event) else answer
                for one, answer in zip(asked, told, strict=True)
            ]
        return told

    def close(self) -> None:
        """Let go of the file."""
        if self._catalogue is not None:
            self._catalogue.close()
            self._catalogue = self._opened = None

    def _recorded(self, catalogue: Catalogue, happenings: Sequence[Event]) -> list[EventOutcome]:
        outcomes = catalogue.record(happenings)
        self._last = max([self._last, *((one.seq, one.id) for one in outcomes if one.seq)])
        if self._file is not None:
            self._file.looked(catalogue)
        self._state.refusal = ""
        return outcomes

    def _result(self, question: Callable[[Catalogue], object]) -> object:
        failure = NotRecordedError(
            "another program keeps the catalogue to itself",
            public="another program keeps the catalogue to itself",
        )
        for _ in range(_TRIES):
            try:
                catalogue, course = self._current(), self._course
                answer = question(catalogue)
                self._current()  # once more: what was written has to lie where it is looked for
                if self._course == course:
                    return answer
                failure = NotRecordedError("the catalogue is replaced again and again")
            except sqlite3.Error as error:
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                if code in _BUSY:
                    continue
                self.close()
                failure = NotRecordedError(
                    f"cannot write to the catalogue: {error}",
                    public="the disk is full" if code == sqlite3.SQLITE_FULL else _OUT_OF_REACH,
                )
                break
            except (ReelshelfError, OSError) as error:
                failure = NotRecordedError(str(error), hint=getattr(error, "hint", ""))
                break
            except Exception as error:  # noqa: BLE001 (whoever awaits gets it, traceback and all)
                return error
        if str(failure) != self._state.refusal:  # once, however many ask
            log.warning("nothing recorded: %s  %s", failure, failure.hint)
        self._state.refusal = str(failure)
        return failure

    def _current(self) -> Catalogue:
        """Return the catalogue that lies at its path now.

        Raises:
            ReelshelfError: there is none any more.
        """
        if self._file is None:
            if self._catalogue is None:
                self._catalogue = self._open()
            return self._catalogue
        if self._opened is None or not self._opened.is_current():
            self._open_anew(self._file)
        assert self._catalogue is not None, "it was opened just now"
        version = self._catalogue.foreign_version()
        if version != self._version:
            self._version = version
            if self._catalogue.is_before(*self._last):
                self._last = (0, "")
                self._course += 1
                self._file.restored()
        return self._catalogue

    def _open_anew(self, file: CatalogueFile) -> None:
        former, opened = self._opened, file.open(self._open)  # both: see CatalogueFile.open
        if former is not None:
            self._course += opened.file != former.file
            former.catalogue.close()
        self._opened, self._catalogue, self._version = opened, opened.catalogue, -1
