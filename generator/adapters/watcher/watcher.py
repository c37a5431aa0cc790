"""The watcher proper: gathers hints, and watches anew whatever it came to doubt.

A hint proves nothing, and no file is opened. Links are not followed: what changes behind one is
left to the periodic walk. Where inotify sees nothing or is not to be had, "everything" is hinted
from time to time instead.
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
from generator.adapters.watcher.root_state import RootFolder, advice, ground
from generator.core.library.file_filter import FileFilter
from generator.core.library.hints import HintBatch, Hints
from generator.core.model import Place


class WatchMethod(StrEnum):
    """How a root is kept in view."""

    EVENTS = "events"
    POLLING = "polling"
    BOTH = "events and polling"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class WatchMode:
    """How a root is kept in view and, where it is not by events, why."""

    means: WatchMethod
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WatchTiming:
    """How patient the watcher is.

    A batch of hints is ready `quiet_s` after the last one and `limit_s` after the first. Roots
    without events are hinted at every `poll_s`; whether a root was mounted, unmounted or replaced
    is looked up every `check_s`.
    """

    quiet_s: float = 1.0
    limit_s: float = 10.0
    poll_s: float = 30.0
    check_s: float = 5.0


USUAL_PACE = WatchTiming()
Survey = Callable[[Path], RootFolder | None]
"""Tell what a root stands on now, or that no folder is there."""


def inotify(path: str, listener: WatchListener) -> FolderWatch:
    """Watch a tree by inotify; on other systems than Linux that cannot be done."""
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, "only Linux tells of changes in a way that is understood here")
    from generator.adapters.watcher.inotify import InotifyTree  # noqa: PLC0415 - Linux only

    return InotifyTree(path, listener)


class Watcher:
    """Watches library roots while it is entered; one thread asks it for hints.

    Enter it before the first walk, so that nothing happens between the two unseen. Links are not
    followed: what changes behind one is left to the walk.
    """

    def __init__(
        self,
        roots: Mapping[str, Path],
        intake: FileFilter,
        pace: WatchTiming = USUAL_PACE,
        observe: Observe = inotify,
        survey: Survey = ground,
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
        """Stop watching; no thread is left. Not while another thread waits for hints."""
        for root in self._roots:
            self._close(root)

    def wake(self) -> None:
        """Let `next_hints` return at once, this time or the next; from any thread."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    @property
    def modes(self) -> dict[str, WatchMode]:
        """Return how each root is kept in view now."""
        return {root.name: root.mode for root in self._roots}

    def next_hints(self, timeout_s: float) -> Hints:
        """Wait for a batch of hints, and return it, or none after `timeout_s` or a `wake`.

        What comes in before the next call waits in the next batch. Where watching began anew,
        `everything` is hinted after it did.
        """
        if not self._ready(time.monotonic() + timeout_s):
            return Hints()
        for root in self._roots:
            if root.doubtful:
                self._open(root)
            elif root.watch:
                root.watch.listen()  # before taking: what it keeps back is in this batch
        with self._changed:
            hints = self._batch.take()
        for root in self._roots:
            if root.doubtful:  # in doubt again already
                self._doubt(root, root.turn, "it could not be watched in peace")
        return hints

    def _ready(self, end_s: float) -> bool:
        """Wait until a batch is ready; False when woken, or at `end_s`."""
        while True:
            now_s = time.monotonic()
            self._keep(now_s)
            with self._changed:
                if self._woken:
                    self._woken = False
                    return False
                due_s = self._batch.due_s()
                if due_s is not None and due_s <= now_s:
                    return True
                if now_s >= end_s:
                    return False
                self._changed.wait(self._until(end_s, due_s) - now_s)

    def _until(self, end_s: float, due_s: float | None) -> float:
        return min(end_s, self._check_s, self._poll_s, math.inf if due_s is None else due_s)

    def _keep(self, now_s: float) -> None:
        """Do what is due by the clock: look after the roots, hint at those without events."""
        if now_s >= self._check_s:
            self._check_s = now_s + self._pace.check_s
            for root in self._roots:
                if not root.doubtful and (why := root.change(self._survey(root.path))):
                    self._doubt(root, root.turn, why)
        if now_s >= self._poll_s:
            self._poll_s = now_s + self._pace.poll_s
            for root in self._roots:
                if root.mode.means in {WatchMethod.POLLING, WatchMethod.BOTH}:
                    self._note(partial(self._batch.everything, root.mode.reason))

    def _note(self, hint: Callable[[float], None]) -> None:
        """Put a hint into the batch; the first one of a batch wakes who waits."""
        with self._changed:
            first = self._batch.due_s() is None
            hint(time.monotonic())
            if first:
                self._changed.notify_all()

    def _busy(self) -> None:
        with self._changed:
            self._batch.stir(time.monotonic())

    def _doubt(self, root: "_Root", turn: int, why: str) -> None:
        with self._changed:
            if turn != root.turn:
                return  # a watch that is being closed
            root.doubtful = True
        self._note(partial(self._batch.everything, f"{root.path}: {why}"))

    def _open(self, root: "_Root") -> None:
        """Watch a root, anew if it was watched."""
        self._close(root)
        root.doubtful = False
        root.ground = self._survey(root.path)  # first: what changes meanwhile is seen to differ
        root.mode, root.watch = self._watched(root)
        if root.watch is None:
            root.doubtful = False

    def _close(self, root: "_Root") -> None:
        root.turn += 1
        if root.watch:
            root.watch.close()
            root.watch = None

    def _watched(self, root: "_Root") -> tuple[WatchMode, FolderWatch | None]:
        if root.ground is None:
            return WatchMode(WatchMethod.ABSENT, f"{root.path} is not there"), None
        if remote := root.ground.remote:
            return self._polling(
                f"{remote.point} is on another machine ({remote.kind}), and what is changed "
                "there is not told here"
            ), None
        mode = WatchMode(WatchMethod.EVENTS)
        if doubtful := root.ground.doubtful:
            mode = self._polling(
                f"{doubtful.point} is a file system ({doubtful.kind}) that does not tell of what "
                "is changed beneath it",
                WatchMethod.BOTH,
            )
        try:
            watch = self._observe(root.ground.path, self._listener(root, root.ground.path))
        except OSError as error:
            return self._polling(advice(root.path, error)), None
        return mode, watch

    def _polling(self, reason: str, means: WatchMethod = WatchMethod.POLLING) -> WatchMode:
        return WatchMode(means, f"{reason}; all is looked at every {self._pace.poll_s:g} s")

    def _listener(self, root: "_Root", base: str) -> WatchListener:
        """Return what listens to one watch of a root, and doubts only as long as it lasts."""
        start = len(base.rstrip("/")) + 1
        takes = self._intake.takes_folder_at

        def file(path: str) -> None:
            folder, _, name = path[start:].rpartition("/")
            if not self._intake.passes_over(name) and takes(folder):
                self._note(partial(self._batch.folder, Place(root.name, folder)))

        def tree(path: str) -> None:
            if takes(path[start:]):
                self._note(partial(self._batch.tree, Place(root.name, path[start:])))

        return WatchListener(
            wants=lambda path: takes(path[start:]),
            ignores=self._intake.passes_over,
            file=file,
            tree=tree,
            busy=self._busy,
            doubt=partial(self._doubt, root, root.turn),
        )


@dataclass(slots=True)
class _Root:
    """A root and how it is watched now; `turn` counts its watches."""

    name: str
    path: Path
    mode: WatchMode = WatchMode(WatchMethod.ABSENT, "not watched yet")
    ground: RootFolder | None = None
    watch: FolderWatch | None = None
    turn: int = 0
    doubtful: bool = False

    def change(self, now: RootFolder | None) -> str:
        """Return why it has to be watched anew, or "" if it need not."""
        if now is None and self.ground is not None:
            return "it is not there any more"
        if now is not None and self.ground is None:
            return "it is there again"
        if now != self.ground:
            return "another folder, disk or limit is there"
        if self.watch and not self.watch.alive:
            return "the watch ended"
        return ""
