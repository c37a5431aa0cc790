"""A folder tree under watchdog's inotify observer, with the errors that watchdog hides.

watchdog 7.1 silently skips folders when the limit of watches is reached, rebuilds its watches after
an overflow in a way that overflows again beyond 16,384 folders, loses track of folders that were
moved out, and ignores unmounts. A proxy between its emitter and its inotify reader detects all
four.
"""

import errno
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyFullEmitter
from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchCallback,
    WatchDescriptor,
)

from generator.adapters.watcher.protocol import LIMITS, WatchListener

# Without a filter every open and close for reading is an event too: the queue of 16,384 overflows
# at each walk, and an idle library of 20,000 folders keeps a core busy (measured).
_EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileClosedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
]
# Events of a single file; watchdog has to pair the two ends of a move.
_FILE_EVENTS = (
    InotifyConstants.IN_CREATE | InotifyConstants.IN_CLOSE_WRITE | InotifyConstants.IN_DELETE
)


class InotifyTree:
    """Watches a folder with all subfolders, from its construction until `close`.

    Raises:
        OSError: the folder cannot be watched, or a limit is reached somewhere below it; then no
            watch and no thread is left.
    """

    def __init__(self, path: str, listener: WatchListener) -> None:
        # A folder seen twice, as by `mkdir -p` or moved out and back, is registered under its new
        # path, which is right; the warning is attributed to this module, so no other is hidden.
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning, re.escape(__name__))
        self._inotify = InotifyFD()
        self._reported: set[WatchDescriptor] = set()
        proxy = _InotifyProxy(self._inotify, listener, self._reported)
        # The full emitter distinguishes a folder that was moved out from a deleted one.
        self._observer = BaseObserver(InotifyFullEmitter, inotify_fd=proxy)
        self._inotify.start()
        self._observer.start()
        try:
            self._observer.schedule(
                _EventHandler(path, listener), path, recursive=True, event_filter=_EVENTS
            )
            if proxy.exhausted:
                raise proxy.exhausted
        except OSError:
            self.close()
            raise

    @property
    def alive(self) -> bool:
        """Return whether all its threads run: an error in one ends it silently."""
        threads = [self._inotify, self._observer, *self._observer.emitters]
        return all(thread.is_alive() for thread in threads)

    def listen(self) -> None:
        """Report every folder again, also those reported since the last call."""
        self._reported.clear()

    def close(self) -> None:
        """Stop watching, and join all threads."""
        for thread in (self._inotify, self._observer):  # the source first: no events pile up
            thread.stop()
            thread.join()


class _InotifyProxy:
    """The part of InotifyFD that emitters use; it filters folders and keeps errors."""

    def __init__(
        self, inotify: InotifyFD, listener: WatchListener, reported: set[WatchDescriptor]
    ) -> None:
        self._inotify = inotify
        self._listener = listener
        self._reported = reported
        self._callback: _Callback | None = None
        self.exhausted: OSError | None = None

    def add_callback(
        self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId
    ) -> WatchDescriptor:
        """Watch one folder. An OSError makes watchdog skip it, unless it is the first."""
        if self.exhausted:
            raise self.exhausted
        if not self._listener.wants(os.fsdecode(path)):
            raise FileNotFoundError(errno.ENOENT, "is not wanted", path)
        if not os.access(path, os.R_OK, effective_ids=True):
            Path(os.fsdecode(path)).stat()  # raises if it is gone
            # watchdog would register it under the descriptor -1
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        if self._callback is None:
            self._callback = _Callback(callback, self._listener, self._reported)
        try:
            return self._inotify.add_callback(path, mask, self._callback, id_)
        except OSError as error:
            if error.errno in LIMITS:
                self.exhausted = error
                self._listener.unreliable("the system's limit of watched folders is reached")
            raise

    def remove_callbacks(self, callbacks: list[tuple[WatchDescriptor, CallbackId]]) -> None:
        """Stop watching these folders."""
        self._inotify.remove_callbacks(callbacks)


@dataclass(frozen=True, slots=True)
class _Callback:
    """Forwards events of folders, and reports when they are no longer reliable.

    Events of files in a folder in `reported` are dropped: its hint is already on the way. It makes
    bursts cheap enough for the queue not to overflow.
    """

    callback: WatchCallback
    listener: WatchListener
    reported: set[WatchDescriptor]

    def on_event(self, event: InotifyEvent) -> None:
        """Forward an event, if it is new."""
        if event.mask & _FILE_EVENTS and not event.mask & InotifyConstants.IN_ISDIR:
            if self.listener.ignores(os.fsdecode(event.name)):
                return
            if event.wd in self.reported:
                self.listener.busy()
                return
            self.reported.add(event.wd)
        elif event.mask & InotifyConstants.IN_UNMOUNT:
            self.listener.unreliable("a disk was unmounted")
        try:
            self.callback.on_event(event)
        except KeyError as error:
            self.listener.unreliable(f"watchdog lost track of a folder: {error!r}")

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Forward the end of a watch. watchdog may have lost a folder that was moved out."""
        try:
            self.callback.on_watch_deleted(wd)
        except KeyError as error:
            self.listener.unreliable(f"watchdog lost track of a folder: {error!r}")

    def on_queue_overflow(self) -> None:
        """Report it, and keep watchdog from rebuilding: the watcher sets all watches again."""
        self.listener.unreliable("the event queue of the system overflowed")


class _EventHandler(FileSystemEventHandler):
    def __init__(self, path: str, listener: WatchListener) -> None:
        super().__init__()
        self._path = path
        self._listener = listener

    def dispatch(self, event: FileSystemEvent) -> None:  # type: ignore[explicit-override]  # 3.12
        """Report the paths of an event; both ends of a move count."""
        report = self._listener.tree if event.is_directory else self._listener.file
        ends = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        if isinstance(event, DirDeletedEvent) and ends == [self._path]:
            self._listener.unreliable("the library's own folder was deleted")
            return
        for path in ends:
            report(path)
        is_moved_out = isinstance(event, DirMovedEvent) and not event.dest_path
        if is_moved_out and self._listener.wants(ends[0]):
            self._listener.unreliable("a folder was moved out of the library")
