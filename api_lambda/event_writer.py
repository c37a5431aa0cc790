"""The API's one writer: a thread that records all waiting events in one transaction."""

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from api_lambda.batcher import Batcher
from api_lambda.catalogue_reopening import CatalogueFile, OpenCatalogue
from generator.adapters.catalogue import Catalogue
from generator.core.errors import ReelshelfError
from generator.core.model import Event, EventOutcome

log = logging.getLogger(__name__)
_TRIES = 6  # each with the catalogue's own busy timeout
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_OUT_OF_REACH = "the catalogue is unavailable"
_T = TypeVar("_T")


class NotRecordedError(ReelshelfError):
    """Nothing was recorded: the disk is full, or the catalogue out of reach.

    `public` is the message for everybody: without paths, and without SQLite's words.
    """

    def __init__(self, message: str, *, hint: str = "", public: str = _OUT_OF_REACH) -> None:
        super().__init__(message, hint=hint)
        self.public = public


@dataclass(slots=True)
class WriterState:
    """The writer's state: since when it is busy, by a monotonic clock, and its last error."""

    busy_since_s: float | None = None
    refusal: str = ""

    def busy_s(self) -> float:
        """Return how long the current batch has taken so far."""
        since_s = self.busy_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s


class EventWriter:
    """Writes to a catalogue; its thread starts with the first event."""

    def __init__(self, opened: Callable[[], Catalogue], file: CatalogueFile | None = None) -> None:
        """Start nothing yet.

        Args:
            opened: opens the catalogue, in the thread.
            file: its file; None: it is not checked whether it was replaced.
        """
        self.state = WriterState()
        self._batcher = Batcher("recorder", lambda: _Writer(opened, file, self.state), _stopped)

    async def record(self, event: Event) -> EventOutcome:
        """Record an event; when this returns, it is committed.

        Raises:
            NotRecordedError: it was not written.
        """
        outcome: EventOutcome = await self._batcher.submit(event)
        return outcome

    async def do(self, question: Callable[[Catalogue], _T]) -> _T:
        """Return the result of `question`, called between two transactions.

        It is called again if the catalogue was replaced meanwhile.

        Raises:
            NotRecordedError: the catalogue is out of reach.
        """
        answer: _T = await self._batcher.submit(question)
        return answer

    def close(self) -> None:
        """Record what was accepted, accept no more, and close the file."""
        self._batcher.close()


def _stopped() -> Exception:
    return NotRecordedError(
        "the API is being stopped", hint="send it again", public="the API is being stopped"
    )


class _Writer:
    """The catalogue of the writer thread: opened when needed, and again after a failure."""

    def __init__(
        self, opened: Callable[[], Catalogue], file: CatalogueFile | None, state: WriterState
    ) -> None:
        self._open, self._file, self._state = opened, file, state
        self._opened: OpenCatalogue | None = None
        self._catalogue: Catalogue | None = None
        self._version = -1  # changes with whatever other connections write
        self._last = (0, "")  # the newest event that was acknowledged: number and id
        self._generation = 0  # grows when acknowledged events are lost: another catalogue

    def run(self, items: Sequence[Any]) -> Sequence[object]:
        """Return the results of all items: questions first, then all events in one transaction."""
        self._state.busy_since_s = time.monotonic()
        try:
            return self._run(items)
        finally:
            self._state.busy_since_s = None

    def _run(self, items: Sequence[Any]) -> Sequence[object]:
        events = [item for item in items if isinstance(item, Event)]
        results = [None if isinstance(item, Event) else self._attempt(item) for item in items]
        if events:
            recorded = self._attempt(lambda catalogue: self._recorded(catalogue, events))
            outcomes = iter(recorded if isinstance(recorded, list) else [recorded] * len(events))
            return [
                next(outcomes) if isinstance(item, Event) else result
                for item, result in zip(items, results, strict=True)
            ]
        return results

    def close(self) -> None:
        """Close the catalogue."""
        if self._catalogue is not None:
            self._catalogue.close()
            self._catalogue = self._opened = None

    def _recorded(self, catalogue: Catalogue, events: Sequence[Event]) -> list[EventOutcome]:
        outcomes = catalogue.record(events)
        self._last = max(
            [self._last, *((outcome.seq, outcome.id) for outcome in outcomes if outcome.seq)]
        )
        if self._file is not None:
            self._file.note_state(catalogue)
        self._state.refusal = ""
        return outcomes

    def _attempt(self, question: Callable[[Catalogue], object]) -> object:
        failure = NotRecordedError(
            "the catalogue is locked by another program",
            public="the catalogue is locked by another program",
        )
        for _ in range(_TRIES):
            try:
                catalogue, generation = self._current(), self._generation
                answer = question(catalogue)
                self._current()  # again: the write must have gone to the file at the path
                if self._generation == generation:
                    return answer
                failure = NotRecordedError("the catalogue keeps being replaced")
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
            except Exception as error:  # noqa: BLE001 (raised at the caller, traceback and all)
                return error
        if str(failure) != self._state.refusal:  # once, however many requests fail
            log.warning("nothing recorded: %s  %s", failure, failure.hint)
        self._state.refusal = str(failure)
        return failure

    def _current(self) -> Catalogue:
        """Return the catalogue that is at its path now.

        Raises:
            ReelshelfError: it is gone.
        """
        if self._file is None:
            if self._catalogue is None:
                self._catalogue = self._open()
            return self._catalogue
        if self._opened is None or not self._opened.is_current():
            self._reopen(self._file)
        assert self._catalogue is not None, "it was opened just now"
        version = self._catalogue.foreign_version()
        if version != self._version:
            self._version = version
            if self._catalogue.is_before(*self._last):
                self._last = (0, "")
                self._generation += 1
                self._file.note_restored()
        return self._catalogue

    def _reopen(self, file: CatalogueFile) -> None:
        former, opened = self._opened, file.open(self._open)  # both: see CatalogueFile.open
        if former is not None:
            self._generation += opened.file != former.file
            former.catalogue.close()
        self._opened, self._catalogue, self._version = opened, opened.catalogue, -1
