"""A folder tree under watchdog's inotify observer, with an ear for what watchdog keeps to itself.

watchdog 7.1 passes over folders it may not watch because the system's limit is reached, rebuilds
its watches after an overflow in a way that overflows again beyond 16,384 folders, loses its books
over folders that were moved out, and takes no notice of an unmounting. A gate between its emitter
and its reader of inotify sees all four.
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
# Happenings to one file alone; a move has two ends that watchdog brings together.
_FILE_EVENTS = (
    InotifyConstants.IN_CREATE | InotifyConstants.IN_CLOSE_WRITE | InotifyConstants.IN_DELETE
)


class InotifyTree:
    """Watches a folder and all below it, from its making until `close`.

    Raises:
        OSError: the folder cannot be watched, or a limit is reached somewhere below it; then no
            watch and no thread is left.
    """

    def __init__(self, path: str, listener: WatchListener) -> None:
        # A folder met twice, as by `mkdir -p` or moved out and back, is booked under its new path,
        # which is right; watchdog's warning is put down to its caller, so no other is hidden.
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning, re.escape(__name__))
        self._inotify = InotifyFD()
        self._told: set[WatchDescriptor] = set()
        gate = _Gate(self._inotify, listener, self._told)
        # The full emitter tells a folder moved out from one deleted.
        self._observer = BaseObserver(InotifyFullEmitter, inotify_fd=gate)
        self._inotify.start()
        self._observer.start()
        try:
            self._observer.schedule(
                _Ears(path, listener), path, recursive=True, event_filter=_EVENTS
            )
            if gate.exhausted:
                raise gate.exhausted
        except OSError:
            self.close()
            raise

    @property
    def alive(self) -> bool:
        """Tell whether all its threads run: an error in one ends it silently."""
        threads = [self._inotify, self._observer, *self._observer.emitters]
        return all(thread.is_alive() for thread in threads)

    def listen(self) -> None:
        """Tell of every folder again, also of those told of since the last call."""
        self._told.clear()

    def close(self) -> None:
        """Stop watching, and wait until every thread has ended."""
        for thread in (self._inotify, self._observer):  # the source first: nothing piles up
            thread.stop()
            thread.join()


class _Gate:
    """The part of InotifyFD that emitters use, which says no and tells why others did."""

    def __init__(
        self, inotify: InotifyFD, listener: WatchListener, told: set[WatchDescriptor]
    ) -> None:
        self._inotify = inotify
        self._listener = listener
        self._told = told
        self._relay: _Relay | None = None
        self.exhausted: OSError | None = None

    def add_callback(
        self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId
    ) -> WatchDescriptor:
        """Watch one folder. An OSError makes watchdog pass over it, unless it is the first."""
        if self.exhausted:
            raise self.exhausted
        if not self._listener.wants(os.fsdecode(path)):
            raise FileNotFoundError(errno.ENOENT, "is not wanted", path)
        if not os.access(path, os.R_OK, effective_ids=True):
            Path(os.fsdecode(path)).stat()  # or it is no more
            # watchdog would book it under the descriptor -1
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        if self._relay is None:
            self._relay = _Relay(callback, self._listener, self._told)
        try:
            return self._inotify.add_callback(path, mask, self._relay, id_)
        except OSError as error:
            if error.errno in LIMITS:
                self.exhausted = error
                self._listener.doubt("the system's limit of watched folders is reached")
            raise

    def remove_callbacks(self, callbacks: list[tuple[WatchDescriptor, CallbackId]]) -> None:
        """Stop watching these folders."""
        self._inotify.remove_callbacks(callbacks)


@dataclass(frozen=True, slots=True)
class _Relay:
    """Passes on what happens in folders, and tells what shakes the trust in what is passed on.

    What happens to files of a folder in `told` is not passed on: the hint that is on its way, or
    waits to be taken, says the same. It makes bursts cheap enough for the queue not to overflow.
    """

    callback: WatchCallback
    listener: WatchListener
    told: set[WatchDescriptor]

    def on_event(self, event: InotifyEvent) -> None:
        """Pass on an event, if it says anything new."""
        if event.mask & _FILE_EVENTS and not event.mask & InotifyConstants.IN_ISDIR:
            if self.listener.ignores(os.fsdecode(event.name)):
                return
            if event.wd in self.told:
                self.listener.busy()
                return
            self.told.add(event.wd)
        elif event.mask & InotifyConstants.IN_UNMOUNT:
            self.listener.doubt("a disk was unmounted")
        try:
            self.callback.on_event(event)
        except KeyError as error:
            self.listener.doubt(f"watchdog lost its books: {error!r}")

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Pass on that a watch ended. Of a folder moved out it may know nothing any more."""
        try:
            self.callback.on_watch_deleted(wd)
        except KeyError as error:
            self.listener.doubt(f"watchdog lost its books: {error!r}")

    def on_queue_overflow(self) -> None:
        """Tell of it, and keep watchdog from rebuilding: all is watched anew, from outside."""
        self.listener.doubt("more happened at once than the system keeps in mind")


class _Ears(FileSystemEventHandler):
    def __init__(self, path: str, listener: WatchListener) -> None:
        super().__init__()
        self._path = path
        self._listener = listener

    def dispatch(self, event: FileSystemEvent) -> None:  # type: ignore[explicit-override]  # 3.12
        """Tell where something happened; both ends of a move count."""
        tell = self._listener.tree if event.is_directory else self._listener.file
        ends = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        if isinstance(event, DirDeletedEvent) and ends == [self._path]:
            self._listener.doubt("the library's own folder was deleted")
            return
        for path in ends:
            tell(path)
        out = isinstance(event, DirMovedEvent) and not event.dest_path
        if out and self._listener.wants(ends[0]):
            self._listener.doubt("a folder was moved out of the library")
