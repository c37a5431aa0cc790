"""Watching: refresh after refresh, whenever something may have changed.

Files of the library, events that others recorded, templates and settings are the same here: a hint
that comes early, late, twice or not at all costs time and nothing else. What hints missed is found
by looking from time to time.
"""

import logging
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Protocol

from generator.adapters.catalogue import Catalogue
from generator.adapters.file_notifier import FileNotifier
from generator.adapters.settings import Settings
from generator.adapters.watcher import USUAL_PACE, Watcher, WatchMethod, WatchMode
from generator.build.engine import Engine
from generator.core.errors import DamagedError, GuardError, ReelshelfError, TemplateError
from generator.core.library.file_filter import compile_filter
from generator.core.library.hints import Hints
from generator.core.model import Place
from generator.core.receipt import Receipt
from generator.render.owned_files import OwnedFiles
from generator.scan.observe import LibraryScan, ScanScope
from generator.scan.probe import ProbeWorkers
from generator.watch.compression import pack_some
from generator.watch.pending_events import PendingEvents

log = logging.getLogger(__name__)

_IDLE_S = 1.0  # how long nothing happens before compressed copies are made, and the log looked at
_AT_ONCE = 20  # copies, so that a change never waits long for them
_THIN_S = 3600.0
_RETRY_S = 30.0  # after a look that failed
_EVENTS_RETRY_S = 2.0  # after a refresh for events alone, which costs little
_BURST_S = 0.3  # changes of files that follow each other sooner are one batch
_AGAIN_S = 0.2  # at least so long passes until a file that was not quiet is looked at again
_EDIT_S = 0.05  # an editor writes a file in more than one step
_GATHER_S = 1.0  # what is finished so soon after another is recorded with it

Failure = DamagedError | GuardError | TemplateError | OSError


@dataclass(frozen=True, slots=True)
class RefreshTask:
    """A refresh to come: whether to look at the library, and where (None: everywhere)."""

    look: bool = False
    where: ScanScope | None = None
    full: bool = False


class BackgroundWork(Protocol):
    """Work that takes longer than a refresh, done beside this, a little at a time."""

    def ready(self) -> bool:
        """Tell whether something is finished."""

    def feed(self, catalogue: Catalogue) -> bool:
        """Hand out more work; tell whether any is under way."""

    def record(self, catalogue: Catalogue, output: OwnedFiles, now: int) -> int:
        """Put what is finished into the output folder and the log; return how much it was."""


@dataclass(slots=True)
class BuildLoop:
    """Refreshes until stopped. One that fails is told, and tried again at the next hint.

    `config` is the settings file: when it changes, `receipts` ends and `outdated` is true.
    """

    engine: Engine
    settings: Settings
    workers: ProbeWorkers
    accept_loss: bool = False
    config: Path | None = None
    on_failure: Callable[[Failure], None] = lambda _: None
    beside: BackgroundWork | None = None
    outdated: bool = False
    has_built: bool = False  # with these settings: then the first refresh may fail, too
    _stopped: bool = False
    _edited: bool = False  # a template, maybe
    _is_failing: bool = False
    _told: str = ""  # the last failure, until something succeeds
    _spare_s: float = 0.0  # until when nothing is done that can wait
    _watcher: Watcher | None = None
    _events: PendingEvents = field(init=False)
    _scanned: float = 0.0
    _thinned_s: float = 0.0  # when the log is thinned next
    _gathered_s: float = 0.0  # when something finished was recorded last
    _deaf_s: float = 0.0  # until when nobody who asks for a look is heard: the last one failed
    _again: set[Place] = field(default_factory=set)
    _hinted: set[Place] = field(default_factory=set)  # by other threads
    _hinting: Lock = field(default_factory=Lock)
    _marks: tuple[Hashable, Hashable] = (None, None)  # of the settings file, and the templates
    _marked_s: float = 0.0  # when these are looked at next
    _put_off: set[Place] = field(default_factory=set)  # what could not be had, and when to try
    _put_off_s: float = 0.0

    def __post_init__(self) -> None:
        self._events = PendingEvents(self.engine, self.settings)

    def receipts(self) -> Iterator[Receipt]:
        """Yield a receipt of the first refresh, and of each one that did something."""
        settings, self._scanned = self.settings, time.monotonic()
        pace = replace(USUAL_PACE, quiet_s=_BURST_S, poll_s=settings.poll_every_s)
        with (
            Watcher(settings.roots, compile_filter(settings.ignore), pace) as self._watcher,
            closing(FileNotifier()) as bell,
        ):
            self._listen(bell)
            for name, mode in self._watcher.modes.items():
                log.info("%s", _how(settings.roots[name], mode))
            for root in settings.buckets.values():
                log.info("watching %s by notices, and all every %d s", root, settings.scan_every_s)
            first = RefreshTask(look=True)
            receipt = self._try(first) if self.has_built else self._refresh(first)
            if receipt is not None:
                yield receipt
            while not self._stopped and not self.outdated:
                if self.engine.catalogue.is_replaced():
                    log.warning("the catalogue was replaced: opening what is there now")
                    self.outdated = True
                    break
                task = self._next()
                receipt = self._try(task) if task is not None else None
                if receipt is not None and (_did_something(receipt) or self._is_failing):
                    self._is_failing = bool(receipt.failed)
                    yield receipt

    def stop(self) -> None:
        """End `receipts` soon; may be called from another thread."""
        self._stopped = True
        self.wake()

    def hint(self, folders: Iterable[Place]) -> None:
        """Have it look into folders of the library; may be called from another thread.

        A hint that the end of the process overtakes is not missed: what begins to watch looks at
        everything first.
        """
        with self._hinting:
            self._hinted.update(folders)
        self.wake()

    def wake(self) -> None:
        """Have it look whether there is something to do; may be called from another thread."""
        if self._watcher is not None:
            self._watcher.wake()

    def _listen(self, bell: FileNotifier) -> None:
        self._marks = _mark(self.config), self.engine.renderer.present()
        bell.on_writing(self.settings.state / "catalogue.db", self._ring)
        for folder in self.engine.template_folders:
            bell.on_change_below(folder, self._edit)
        if self.config is not None:
            bell.on_change(self.config, self._outdate)

    def _ring(self) -> None:
        self._events.ring()
        self.wake()

    def _edit(self) -> None:
        self._edited = True
        self.wake()

    def _outdate(self) -> None:
        self.outdated = True
        self.wake()

    def _look_around(self) -> None:
        """Notice changes of settings and templates that nothing tells of.

        They lie behind links that lead elsewhere (dotfiles, volumes of Kubernetes), or where the
        system cannot tell. A settings file that is gone may be on its way back.
        """
        if time.monotonic() < self._marked_s:
            return
        self._marked_s = time.monotonic() + _IDLE_S
        config, templates = self._marks
        now = _mark(self.config)
        self._marks = config if now is None else now, self.engine.renderer.present()
        self.outdated = self.outdated or self._marks[0] != config
        self._edited = self._edited or self._marks[1] != templates

    # -- what is next

    def _next(self) -> RefreshTask | None:
        """Wait, and return the refresh that is due; None where none is."""
        left_s = self._scanned + self.settings.scan_every_s - time.monotonic()
        again_s = max(self.settings.quiet_s, _AGAIN_S)
        put_off_s = self._put_off_s - time.monotonic() if self._put_off else left_s
        hints = self._hints(min(left_s, put_off_s, again_s if self._again else left_s))
        if self._stopped or self.outdated:
            return None
        asked = self._is_asked()
        now_s = time.monotonic()
        is_due = now_s >= self._scanned + self.settings.scan_every_s
        if hints.everything or is_due or asked:
            self._scanned = now_s
            return RefreshTask(look=True, full=self._events.begin_a_look())
        where = self._where(hints)
        if where.folders or where.trees:
            return RefreshTask(look=True, where=where)
        if self._take_edit():
            return RefreshTask()
        if self._events.ready():
            self._events.gather()
            return RefreshTask()
        return RefreshTask() if self._has_finished() and self._record() else None

    def _hints(self, wait_s: float) -> Hints:
        """Wait for something to do; meanwhile make compressed copies, and sync the disk."""
        assert self._watcher is not None
        end_s = time.monotonic() + max(wait_s, 0.0)
        while True:
            idle_s = self._events.wait_s(_IDLE_S)
            left_s = min(end_s - time.monotonic(), idle_s)
            hints = self._watcher.next_hints(max(left_s, 0.0))
            self._look_around()
            is_idle = idle_s == _IDLE_S
            if is_idle and not hints and not self._is_called():
                self._feed()
            while is_idle and not hints and not self._is_called() and self._pack():
                hints = self._watcher.next_hints(0)
            if hints or self._is_called() or time.monotonic() >= end_s:
                return hints

    def _is_called(self) -> bool:
        asked = self._stopped or self.outdated or self._edited or self._events.ready()
        asked = asked or bool(self._hinted)
        return asked or self._is_asked() or self._has_finished()

    def _is_asked(self) -> bool:
        return time.monotonic() >= self._deaf_s and self._events.is_asked_for_a_look()

    def _has_finished(self) -> bool:
        is_time = time.monotonic() >= max(self._gathered_s + _GATHER_S, self._spare_s)
        return is_time and self.beside is not None and self.beside.ready()

    def _feed(self) -> None:
        """Hand out work that takes longer; where that cannot be done, do without from now on."""
        try:
            if self.beside is not None:
                with self.engine.storage():
                    self.beside.feed(self.engine.catalogue)
        except (DamagedError, OSError) as error:
            self._put_by(error)
        except ReelshelfError as error:
            log.warning("%s\n  %s", error, error.hint)
            self.beside = None

    def _record(self) -> bool:
        """Record what is finished; tell whether there was anything."""
        assert self.beside is not None
        self._gathered_s = time.monotonic()
        engine = self.engine
        try:
            with engine.storage():
                return bool(self.beside.record(engine.catalogue, engine.files, int(time.time())))
        except (DamagedError, OSError) as error:
            self._put_by(error)
            return False

    def _put_by(self, error: Failure) -> None:
        """Tell why what can wait is not done now; where the ledger was lost for it, build anew."""
        self._tell(error)
        self._spare_s = time.monotonic() + _RETRY_S
        if isinstance(error, DamagedError) and error.begun_anew:
            self._edit()

    def _take_edit(self) -> bool:
        """Tell whether a template may have changed, once it is written."""
        edited = self._edited
        while self._edited and not self._stopped:
            self._edited = False
            time.sleep(_EDIT_S)
        return edited

    def _pack(self) -> bool:
        """Do a little of what can wait; tell whether there may be more of it."""
        if time.monotonic() < self._spare_s:
            return False
        try:
            with self.engine.storage():
                return self._pack_some()
        except (DamagedError, OSError) as error:
            self._put_by(error)
            return False

    def _pack_some(self) -> bool:
        engine = self.engine
        if self.settings.compress != "off" and pack_some(engine.ledger, engine.output, _AT_ONCE):
            return True
        if engine.ledger.fact("sealed") != "1":
            engine.seal(Receipt())
        return self._thin()

    def _thin(self) -> bool:
        """Thin the log a little, once an hour until all is done; tell whether there is more."""
        if time.monotonic() < self._thinned_s:
            return False
        if self.engine.catalogue.thin(int(time.time()), self.engine.cursor):
            return True
        self._thinned_s = time.monotonic() + _THIN_S
        return False

    def _where(self, hints: Hints) -> ScanScope:
        folders, self._again = hints.folders | self._again, set()
        with self._hinting:
            folders |= self._hinted
            self._hinted.clear()
        if time.monotonic() >= self._put_off_s:
            folders |= self._put_off
            self._put_off = set()
        return ScanScope(frozenset(folders), hints.trees)

    # -- refreshing

    def _try(self, task: RefreshTask) -> Receipt | None:
        try:
            return self._refresh(task)
        except (DamagedError, GuardError, TemplateError, OSError) as error:
            self._tell(error)
            # what the hints were about is looked at again before long
            self._scanned = time.monotonic() - self.settings.scan_every_s + _RETRY_S
            if task.look:  # a scan that is not believed keeps no rating from its pages
                self._deaf_s = time.monotonic() + _RETRY_S
                self._events.ask_again(full=task.full)
            else:
                self._events.rest(_EVENTS_RETRY_S)
            self._is_failing = True
            self.on_failure(error)
            return None

    def _tell(self, error: Failure) -> None:
        """Log what failed, once as long as it is the same."""
        message = str(error)
        hint = getattr(error, "hint", "")
        if isinstance(error, OSError):
            where = error.filename or self.settings.out
            message = f"cannot go on at {where}: {error.strerror or error}"
            hint = "what is on the disk is whole, and what was recorded is kept; it is tried again"
        if message != self._told:
            log.warning("%s\n  %s", message, hint)
        self._told = message

    def _refresh(self, task: RefreshTask) -> Receipt:
        receipt = self._refreshed(task)
        self._events.rest(0)
        self._told = ""
        return receipt

    def _refreshed(self, task: RefreshTask) -> Receipt:
        now = int(time.time())
        if not task.look:
            return self.engine.refresh(now)
        look = LibraryScan(self.settings, self.workers, time.time, task.where)
        look.accept_loss = self.accept_loss
        everywhere = task.where is None
        receipt = self.engine.refresh(now, look, full=task.full, verify=everywhere)
        self._again |= look.unsettled
        if look.put_off:
            self._put_off |= look.put_off
            self._put_off_s = time.monotonic() + _RETRY_S
        return receipt


def _mark(file: Path | None) -> Hashable:
    """Return what is another value when a file, or what its links lead to, is another one."""
    try:
        status = file.stat() if file is not None else None
    except OSError:
        return None
    return status and (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _how(root: Path, mode: WatchMode) -> str:
    """Return how a root is kept in view, for the log."""
    if mode.means is WatchMethod.ABSENT:
        return f"{root} is not there; it is watched as soon as it is"
    return f"watching {root} by {mode.means}" + (f": {mode.reason}" if mode.reason else "")


def _did_something(receipt: Receipt) -> bool:
    return bool(
        receipt.written
        or receipt.removed
        or receipt.missing
        or receipt.refused
        or receipt.events
        or receipt.failed
    )
