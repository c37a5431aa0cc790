"""The bell: rings when certain files are written, whoever writes them.

What rings is a hint and no more. Where the system cannot tell of changes nothing rings, and whoever
waits for the bell looks by itself from time to time.
"""

import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from watchdog.events import (
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

log = logging.getLogger(__name__)

_WRITTEN: list[type[FileSystemEvent]] = [FileModifiedEvent]
_WHOLE: list[type[FileSystemEvent]] = [
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileDeletedEvent,
]


class FileNotifier:
    """Calls back, in a thread of its own, whenever what it listens for happens; until `close`."""

    def __init__(self) -> None:
        self._observer = Observer()
        self._observer.start()

    def on_writing(self, file: Path, ring: Callable[[], None]) -> None:
        """Ring at each write to a SQLite file: to itself, or to the log beside it."""
        self._listen(file.parent, _Named({file.name, f"{file.name}-wal"}, ring), _WRITTEN)

    def on_change(self, file: Path, ring: Callable[[], None]) -> None:
        """Ring when a file was written as a whole, put in another's place, or removed."""
        self._listen(file.parent, _Named({file.name}, ring), _WHOLE)

    def on_change_below(self, folder: Path, ring: Callable[[], None]) -> None:
        """Ring when a file in a folder, or in one below it, came, went or was written."""
        self._listen(folder, _Any(ring), _WHOLE, recursive=True)

    def close(self) -> None:
        """Stop listening; no thread is left."""
        self._observer.stop()
        self._observer.join()

    def _listen(
        self,
        folder: Path,
        handler: FileSystemEventHandler,
        events: list[type[FileSystemEvent]],
        *,
        recursive: bool = False,
    ) -> None:
        try:
            self._observer.schedule(handler, str(folder), recursive=recursive, event_filter=events)
        except OSError as error:
            log.warning("%s is looked at from time to time only: %s", folder, error)


class _Named(FileSystemEventHandler):
    def __init__(self, names: Iterable[str], ring: Callable[[], None]) -> None:
        super().__init__()
        self._names, self._ring = frozenset(names), ring

    def dispatch(self, event: FileSystemEvent) -> None:  # type: ignore[explicit-override]  # 3.12
        """Ring if it is about one of the names; both ends of a move count."""
        ends = (event.src_path, event.dest_path)
        if any(os.path.basename(os.fsdecode(end)) in self._names for end in ends if end):  # noqa: PTH119 (hot)
            self._ring()


class _Any(FileSystemEventHandler):
    def __init__(self, ring: Callable[[], None]) -> None:
        super().__init__()
        self._ring = ring

    def dispatch(self, event: FileSystemEvent) -> None:  # type: ignore[explicit-override]  # 3.12
        """Ring, whatever it is about."""
        del event
        self._ring()
