"""Calls back when certain files are written, by whatever process.

A notification is only a hint. Where the system has none, there is no callback, so that callers also
have to poll from time to time.
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

_MODIFIED: list[type[FileSystemEvent]] = [FileModifiedEvent]
_REPLACED: list[type[FileSystemEvent]] = [
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileDeletedEvent,
]


class FileNotifier:
    """Calls back, in a thread of its own, at each change of watched files, until `close`."""

    def __init__(self) -> None:
        self._observer = Observer()
        self._observer.start()

    def on_writing(self, file: Path, callback: Callable[[], None]) -> None:
        """Call back at each write to an SQLite file or its WAL."""
        self._schedule(
            file.parent, _NameHandler({file.name, f"{file.name}-wal"}, callback), _MODIFIED
        )

    def on_change(self, file: Path, callback: Callable[[], None]) -> None:
        """Call back when a file was closed after writing, created, replaced or removed."""
        self._schedule(file.parent, _NameHandler({file.name}, callback), _REPLACED)

    def on_change_below(self, folder: Path, callback: Callable[[], None]) -> None:
        """Call back when a file in a folder or its subfolders is created, removed or written."""
        self._schedule(folder, _AnyHandler(callback), _REPLACED, recursive=True)

    def close(self) -> None:
        """Stop watching, and end the thread."""
        self._observer.stop()
        self._observer.join()

    def _schedule(
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
            log.warning("%s is polled, not watched: %s", folder, error)


class _NameHandler(FileSystemEventHandler):
    def __init__(self, names: Iterable[str], callback: Callable[[], None]) -> None:
        super().__init__()
        self._names, self._callback = frozenset(names), callback

    def dispatch(self, event: FileSystemEvent) -> None:  # type: ignore[explicit-override]  # 3.12
        """Call back if the event is about one of the names; both ends of a move count."""
        ends = (event.src_path, event.dest_path)
        if any(os.path.basename(os.fsdecode(end)) in self._names for end in ends if end):  # noqa: PTH119 (hot)
            self._callback()


class _AnyHandler(FileSystemEventHandler):
    def __init__(self, callback: Callable[[], None]) -> None:
        super().__init__()
        self._callback = callback

    def dispatch(self, event: FileSystemEvent) -> None:  # type: ignore[explicit-override]  # 3.12
        """Call back at any event."""
        del event
        self._callback()
