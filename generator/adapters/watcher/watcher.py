"""The watcher itself: collects hints, and sets watches again that are no longer reliable.

A hint proves nothing, and no file is opened. Links are not followed: changes behind one are left to
the periodic walk. Where inotify has no events or is unavailable, "everything" is hinted from time
to time instead.
"""

import errno
import math
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from generator.adapters.watcher.protocol import FolderWatch, Observe, WatchListener
from generator.adapters.watcher.root_state import RootFolder, advice, survey_root
from generator.core.library.file_filter import FileFilter
from generator.core.library.rescan_hints import HintBatch, Hints
from generator.core.model import Place


class WatchMethod(StrEnum):
    """How a root is watched."""

    EVENTS = "events"
    POLLING = "polling"
    BOTH = "events and polling"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class WatchMode:
    """How a root is watched and, if not by events, why."""

    method: WatchMethod
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WatchTiming:
    """The delays and intervals of the watcher.

    A batch of hints is ready `quiet_s` after the last one and `limit_s` after the first. Roots
    without events are polled every `poll_s`; every `check_s` it checks whether a root was mounted,
    unmounted or replaced.
    """

    quiet_s: float = 1.0
    limit_s: float = 10.0
    poll_s: float = 30.0
    check_s: float = 5.0


USUAL_PACE = WatchTiming()
Survey = Callable[[Path], RootFolder | None]
"""Return the current state of a root, None if there is no folder."""


def inotify(path: str, listener: WatchListener) -> FolderWatch:
    """Watch a tree by inotify; raise OSError on other systems than Linux."""
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, "only inotify, the file events of Linux, is supported")
    from generator.adapters.watcher.inotify import InotifyTree  # noqa: PLC0415 - Linux only

    return InotifyTree(path, listener)


class Watcher:
    """Watches library roots while it is entered; one thread takes its hints.

    Enter it before the first walk, so that no change between the two is missed. Links are not
    followed: changes behind one are left to the walk.
    """

    def __init__(
        self,
        roots: Mapping[str, Path],
        intake: FileFilter,
        pace: WatchTiming = USUAL_PACE,
        observe: Observe = inotify,
        survey: Survey = survey_root,
    ) -> None:
        self._intake = intake
        self._pace = pace
        self._observe = observe
        self._survey = survey
        self._changed = threading.Condition()
        self._batch = HintBatch(quiet_s=pace.quiet_s, limit_s=pace.limit_s)
        self._woken = False
        self._roots = [_Root(name, path) for name, path in roots.items()]
        self._check_s = self._poll_s = math.inf

    def __enter__(self) -> Self:
        for root in self._roots:
            self._open(root)
        now_s = time.monotonic()
        self._check_s, self._poll_s = now_s + self._pace.check_s, now_s + self._pace.poll_s
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop watching, and end all threads. Not while another thread waits for hints."""
        for root in self._roots:
            self._close(root)

    def wake(self) -> None:
        """Make the current or next `next_hints` return at once; from any thread."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    @property
    def modes(self) -> dict[str, WatchMode]:
        """Return how each root is watched now."""
        return {root.name: root.mode for root in self._roots}

    def next_hints(self, timeout_s: float) -> Hints:
        """Wait for a batch of hints, and return it, or none after `timeout_s` or a `wake`.

        Hints that arrive before the next call go into the next batch. After a watch was set again,
        `everything` is hinted.
        """
        if not self._wait_ready(time.monotonic() + timeout_s):
            return Hints()
        for root in self._roots:
            if root.unreliable:
                self._open(root)
            elif root.watch:
                root.watch.listen()  # before taking: events it dropped are in this batch
        with self._changed:
            hints = self._batch.take()
        for root in self._roots:
            if root.unreliable:  # unreliable again already
                self._invalidate(root, root.turn, "it changed while its watch was set")
        return hints

    def _wait_ready(self, end_s: float) -> bool:
        """Wait until a batch is ready; False when woken, or at `end_s`."""
        while True:
            now_s = time.monotonic()
            self._check_roots(now_s)
            with self._changed:
                if self._woken:
                    self._woken = False
                    return False
                due_s = self._batch.due_s()
                if due_s is not None and due_s <= now_s:
                    return True
                if now_s >= end_s:
                    return False
                self._changed.wait(self._next_wakeup_s(end_s, due_s) - now_s)

    def _next_wakeup_s(self, end_s: float, due_s: float | None) -> float:
        return min(end_s, self._check_s, self._poll_s, math.inf if due_s is None else due_s)

    def _check_roots(self, now_s: float) -> None:
        """Run the periodic tasks: check the roots, and poll those without events."""
        if now_s >= self._check_s:
            self._check_s = now_s + self._pace.check_s
            for root in self._roots:
                if not root.unreliable and (why := root.change(self._survey(root.path))):
                    self._invalidate(root, root.turn, why)
        if now_s >= self._poll_s:
            self._poll_s = now_s + self._pace.poll_s
            for root in self._roots:
                if root.mode.method in {WatchMethod.POLLING, WatchMethod.BOTH}:
                    self._add_hint(partial(self._batch.everything, root.mode.reason))

    def _add_hint(self, hint: Callable[[float], None]) -> None:
        """Add a hint to the batch; the first one of a batch wakes the waiting thread."""
        with self._changed:
            first = self._batch.due_s() is None
            hint(time.monotonic())
            if first:
                self._changed.notify_all()

    def _busy(self) -> None:
        with self._changed:
            self._batch.stir(time.monotonic())

    def _invalidate(self, root: "_Root", turn: int, why: str) -> None:
        with self._changed:
            if turn != root.turn:
                return  # a watch that is being closed
            root.unreliable = True
        self._add_hint(partial(self._batch.everything, f"{root.path}: {why}"))

    def _open(self, root: "_Root") -> None:
        """Set the watch of a root, replacing an old one."""
        self._close(root)
        root.unreliable = False
        root.folder = self._survey(root.path)  # first: a change meanwhile is then noticed
        root.mode, root.watch = self._start_watch(root)
        if root.watch is None:
            root.unreliable = False

    def _close(self, root: "_Root") -> None:
        root.turn += 1
        if root.watch:
            root.watch.close()
            root.watch = None

    def _start_watch(self, root: "_Root") -> tuple[WatchMode, FolderWatch | None]:
        if root.folder is None:
            return WatchMode(WatchMethod.ABSENT, f"{root.path} is not there"), None
        if remote := root.folder.remote:
            return self._polling(
                f"{remote.point} is on another machine ({remote.kind}), whose changes cause "
                "no events here"
            ), None
        mode = WatchMode(WatchMethod.EVENTS)
        if mount := root.folder.unreliable:
            mode = self._polling(
                f"{mount.point} is a file system ({mount.kind}) that reports no changes below it",
                WatchMethod.BOTH,
            )
        try:
            watch = self._observe(root.folder.path, self._listener(root, root.folder.path))
        except OSError as error:
            return self._polling(advice(root.path, error)), None
        return mode, watch

    def _polling(self, reason: str, means: WatchMethod = WatchMethod.POLLING) -> WatchMode:
        return WatchMode(means, f"{reason}; everything is scanned every {self._pace.poll_s:g} s")

    def _listener(self, root: "_Root", base: str) -> WatchListener:
        """Return the listener of one watch of a root; it counts only while the watch lasts."""
        start = len(base.rstrip("/")) + 1
        takes = self._intake.takes_folder_at

        def file(path: str) -> None:
            folder, _, name = path[start:].rpartition("/")
            if not self._intake.passes_over(name) and takes(folder):
                self._add_hint(partial(self._batch.folder, Place(root.name, folder)))

        def tree(path: str) -> None:
            if takes(path[start:]):
                self._add_hint(partial(self._batch.tree, Place(root.name, path[start:])))

        return WatchListener(
            wants=lambda path: takes(path[start:]),
            ignores=self._intake.passes_over,
            file=file,
            tree=tree,
            busy=self._busy,
            unreliable=partial(self._invalidate, root, root.turn),
        )


@dataclass(slots=True)
class _Root:
    """A root and how it is watched now; `turn` counts its watches."""

    name: str
    path: Path
    mode: WatchMode = WatchMode(WatchMethod.ABSENT, "not watched yet")
    folder: RootFolder | None = None
    watch: FolderWatch | None = None
    turn: int = 0
    unreliable: bool = False

    def change(self, current: RootFolder | None) -> str:
        """Return why its watch has to be set again, "" if it need not."""
        if current is None and self.folder is not None:
            return "it is not there any more"
        if current is not None and self.folder is None:
            return "it is there again"
        if current != self.folder:
            return "another folder, disk or limit is there"
        if self.watch and not self.watch.alive:
            return "the watch ended"
        return ""
