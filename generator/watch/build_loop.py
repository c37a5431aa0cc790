"""The build loop: build whenever something may have changed.

Files of the library, events recorded by others, templates and settings are treated alike: a hint
that comes early, late, twice or not at all costs only time. Periodic scans find what hints missed.
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
from generator.adapters.heartbeat_file import HeartbeatWriter
from generator.adapters.settings import Settings
from generator.adapters.watcher import USUAL_PACE, Watcher, WatchMethod, WatchMode
from generator.build.engine import Engine
from generator.core.build_receipt import Receipt
from generator.core.errors import DamagedError, GuardError, ReelshelfError, TemplateError
from generator.core.library.file_filter import compile_filter
from generator.core.library.rescan_hints import Hints
from generator.core.model import Place
from generator.render.owned_files import OwnedFiles
from generator.scan.observe import LibraryScan, ScanScope
from generator.scan.probe import ProbeWorkers
from generator.watch.compression import compress_some
from generator.watch.pending_events import PendingEvents

log = logging.getLogger(__name__)

_IDLE_S = 1.0  # idle time before background work, such as compression, starts
_AT_ONCE = 20  # copies, so that a change never waits long for them
_COMPACT_S = 3600.0
_RETRY_S = 30.0  # after a failed scan
_EVENTS_RETRY_S = 2.0  # after a failed build for events alone, which is cheap
_BURST_S = 0.3  # file changes that follow each other faster are one batch
_AGAIN_S = 0.2  # minimum before a file that was not stable is checked again
_EDIT_S = 0.05  # an editor may write a file in several steps
_GATHER_S = 1.0  # results that finish within this time are recorded together

Failure = DamagedError | GuardError | TemplateError | OSError


@dataclass(frozen=True, slots=True)
class RefreshTask:
    """A pending build: whether to scan the library, and which part (None: all of it)."""

    scan: bool = False
    scope: ScanScope | None = None
    full: bool = False


class BackgroundWork(Protocol):
    """Work that takes longer than a build, done in the background, a little at a time."""

    def ready(self) -> bool:
        """Return whether something is finished."""

    def enqueue(self, catalogue: Catalogue) -> bool:
        """Start more work; return whether any is in progress."""

    def record(self, catalogue: Catalogue, output: OwnedFiles, now: int) -> int:
        """Move finished work into the output folder and the log; return the count."""


@dataclass(slots=True)
class BuildLoop:
    """Builds until stopped. A failed one is logged, and retried at the next hint.

    `config` is the settings file: when it changes, `receipts` ends and `outdated` is true.
    """

    engine: Engine
    settings: Settings
    workers: ProbeWorkers
    accept_loss: bool = False
    config: Path | None = None
    on_failure: Callable[[Failure], None] = lambda _: None
    background: BackgroundWork | None = None
    outdated: bool = False
    has_built: bool = False  # with these settings: then a failing first build is retried, too
    _stopped: bool = False
    _edited: bool = False  # perhaps a template
    _is_failing: bool = False
    _logged: str = ""  # the last failure, until a build succeeds
    _background_s: float = 0.0  # no background work until then
    _watcher: Watcher | None = None
    _heartbeat: HeartbeatWriter = field(init=False)
    _events: PendingEvents = field(init=False)
    _scanned: float = 0.0
    _compacted_s: float = 0.0  # when the log is compacted next
    _gathered_s: float = 0.0  # when finished work was recorded last
    _ignore_requests_s: float = 0.0  # requested scans are ignored until then: the last one failed
    _unsettled: set[Place] = field(default_factory=set)
    _hinted: set[Place] = field(default_factory=set)  # set by other threads
    _hinting: Lock = field(default_factory=Lock)
    _file_states: tuple[Hashable, Hashable] = (None, None)  # of settings file and templates
    _poll_files_s: float = 0.0  # when these are checked next
    _put_off: set[Place] = field(default_factory=set)  # folders that could not be read
    _put_off_s: float = 0.0  # when to retry them

    def __post_init__(self) -> None:
        self._events = PendingEvents(self.engine, self.settings)
        self._heartbeat = HeartbeatWriter(self.settings.state)

    def receipts(self) -> Iterator[Receipt]:
        """Yield the receipt of the first build, and of each one that changed something."""
        settings, self._scanned = self.settings, time.monotonic()
        pace = replace(USUAL_PACE, quiet_s=_BURST_S, poll_s=settings.poll_every_s)
        with (
            Watcher(settings.roots, compile_filter(settings.ignore), pace) as self._watcher,
            closing(FileNotifier()) as notifier,
            self._heartbeat,
        ):
            self._listen(notifier)
            for name, mode in self._watcher.modes.items():
                log.info("%s", _describe_mode(settings.roots[name], mode))
            for root in settings.buckets.values():
                log.info(
                    "watching %s by notifications, full scan every %d s",
                    root,
                    settings.scan_every_s,
                )
            first = RefreshTask(scan=True)
            receipt = self._try(first) if self.has_built else self._refresh(first)
            if receipt is not None:
                yield receipt
            while not self._stopped and not self.outdated:
                if self.engine.catalogue.is_replaced():
                    log.warning("the catalogue was replaced: opening the new one")
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
        """Request a scan of folders of the library; may be called from another thread.

        A hint lost at the end of the process does no harm: a build loop starts with a full scan.
        """
        with self._hinting:
            self._hinted.update(folders)
        self.wake()

    def wake(self) -> None:
        """Check for something to do now; may be called from another thread."""
        if self._watcher is not None:
            self._watcher.wake()

    def _listen(self, notifier: FileNotifier) -> None:
        self._file_states = _file_state(self.config), self.engine.renderer.present()
        notifier.on_writing(self.settings.state / "catalogue.db", self._mark_catalogue_changed)
        for folder in self.engine.template_folders:
            notifier.on_change_below(folder, self._mark_edited)
        if self.config is not None:
            notifier.on_change(self.config, self._mark_outdated)

    def _mark_catalogue_changed(self) -> None:
        self._events.notify()
        self.wake()

    def _mark_edited(self) -> None:
        self._edited = True
        self.wake()

    def _mark_outdated(self) -> None:
        self.outdated = True
        self.wake()

    def _poll_files(self) -> None:
        """Poll for changes of settings and templates that cause no notification.

        They are behind symlinks (dotfiles, volumes of Kubernetes), or on a file system without
        notifications. A settings file that is gone may be about to come back.
        """
        if time.monotonic() < self._poll_files_s:
            return
        self._poll_files_s = time.monotonic() + _IDLE_S
        config, templates = self._file_states
        now = _file_state(self.config)
        self._file_states = config if now is None else now, self.engine.renderer.present()
        self.outdated = self.outdated or self._file_states[0] != config
        self._edited = self._edited or self._file_states[1] != templates

    # -- the next task

    def _next(self) -> RefreshTask | None:
        """Wait, and return the build that is due; None if none is."""
        left_s = self._scanned + self.settings.scan_every_s - time.monotonic()
        again_s = max(self.settings.settle_s, _AGAIN_S)
        put_off_s = self._put_off_s - time.monotonic() if self._put_off else left_s
        hints = self._hints(min(left_s, put_off_s, again_s if self._unsettled else left_s))
        if self._stopped or self.outdated:
            return None
        requested = self._is_scan_requested()
        now_s = time.monotonic()
        is_due = now_s >= self._scanned + self.settings.scan_every_s
        if hints.everything or is_due or requested:
            self._scanned = now_s
            return RefreshTask(scan=True, full=self._events.begin_scan())
        scope = self._scope(hints)
        if scope.folders or scope.trees:
            return RefreshTask(scan=True, scope=scope)
        if self._take_edit():
            return RefreshTask()
        if self._events.ready():
            self._events.gather()
            return RefreshTask()
        return RefreshTask() if self._has_finished() and self._record() else None

    def _hints(self, wait_s: float) -> Hints:
        """Wait for something to do; meanwhile compress pages, and sync the disk."""
        assert self._watcher is not None
        end_s = time.monotonic() + max(wait_s, 0.0)
        while True:
            self._heartbeat.turn()
            idle_s = self._events.wait_s(_IDLE_S)
            left_s = min(end_s - time.monotonic(), idle_s)
            hints = self._watcher.next_hints(max(left_s, 0.0))
            self._poll_files()
            is_idle = idle_s == _IDLE_S
            if is_idle and not hints and not self._is_interrupted():
                self._enqueue()
            while (
                is_idle and not hints and not self._is_interrupted() and self._work_in_background()
            ):
                hints = self._watcher.next_hints(0)
            if hints or self._is_interrupted() or time.monotonic() >= end_s:
                return hints

    def _is_interrupted(self) -> bool:
        called = self._stopped or self.outdated or self._edited or self._events.ready()
        called = called or bool(self._hinted)
        return called or self._is_scan_requested() or self._has_finished()

    def _is_scan_requested(self) -> bool:
        return time.monotonic() >= self._ignore_requests_s and self._events.is_scan_requested()

    def _has_finished(self) -> bool:
        is_time = time.monotonic() >= max(self._gathered_s + _GATHER_S, self._background_s)
        return is_time and self.background is not None and self.background.ready()

    def _enqueue(self) -> None:
        """Start background work; if that fails for good, go on without it."""
        try:
            if self.background is not None:
                with self.engine.storage():
                    self.background.enqueue(self.engine.catalogue)
        except (DamagedError, OSError) as error:
            self._postpone_background(error)
        except ReelshelfError as error:
            log.warning("%s\n  %s", error, error.hint)
            self.background = None

    def _record(self) -> bool:
        """Record finished background work; return whether there was any."""
        assert self.background is not None
        self._gathered_s = time.monotonic()
        engine = self.engine
        try:
            with engine.storage():
                return bool(
                    self.background.record(engine.catalogue, engine.files, int(time.time()))
                )
        except (DamagedError, OSError) as error:
            self._postpone_background(error)
            return False

    def _postpone_background(self, error: Failure) -> None:
        """Log why background work is postponed; if the ledger was lost, rebuild."""
        self._log_failure(error)
        self._background_s = time.monotonic() + _RETRY_S
        if isinstance(error, DamagedError) and error.is_rebuilt:
            self._mark_edited()

    def _take_edit(self) -> bool:
        """Return whether a template may have changed, after it was written."""
        edited = self._edited
        while self._edited and not self._stopped:
            self._edited = False
            time.sleep(_EDIT_S)
        return edited

    def _work_in_background(self) -> bool:
        """Do a little background work; return whether there may be more."""
        if time.monotonic() < self._background_s:
            return False
        try:
            with self.engine.storage():
                return self._compress_some()
        except (DamagedError, OSError) as error:
            self._postpone_background(error)
            return False

    def _compress_some(self) -> bool:
        engine = self.engine
        if self.settings.compress != "off" and compress_some(
            engine.ledger, engine.output, _AT_ONCE
        ):
            return True
        if engine.ledger.fact("sealed") != "1":
            engine.seal(Receipt())
        return self._compact()

    def _compact(self) -> bool:
        """Compact the log a little, once an hour until done; return whether there is more."""
        if time.monotonic() < self._compacted_s:
            return False
        if self.engine.catalogue.compact(int(time.time()), self.engine.cursor):
            return True
        self._compacted_s = time.monotonic() + _COMPACT_S
        return False

    def _scope(self, hints: Hints) -> ScanScope:
        folders, self._unsettled = hints.folders | self._unsettled, set()
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
            self._log_failure(error)
            # scan again soon: the hints are used up
            self._scanned = time.monotonic() - self.settings.scan_every_s + _RETRY_S
            if task.scan:  # a rejected scan must not delay ratings
                self._ignore_requests_s = time.monotonic() + _RETRY_S
                self._events.request_again(full=task.full)
            else:
                self._events.rest(_EVENTS_RETRY_S)
            self._is_failing = True
            self.on_failure(error)
            return None

    def _log_failure(self, error: Failure) -> None:
        """Log a failure, once as long as it is the same."""
        message = str(error)
        hint = getattr(error, "hint", "")
        if isinstance(error, OSError):
            where = error.filename or self.settings.out
            message = f"cannot continue at {where}: {error.strerror or error}"
            hint = "files on disk are consistent, and recorded events are kept; it will be retried"
        if message != self._logged:
            log.warning("%s\n  %s", message, hint)
        self._logged = message

    def _refresh(self, task: RefreshTask) -> Receipt:
        self._heartbeat.build()
        receipt = self._refreshed(task)
        self._events.rest(0)
        self._logged = ""
        return receipt

    def _refreshed(self, task: RefreshTask) -> Receipt:
        now = int(time.time())
        if not task.scan:
            return self.engine.refresh(now)
        scan = LibraryScan(self.settings, self.workers, time.time, task.scope)
        scan.accept_loss = self.accept_loss
        everywhere = task.scope is None
        receipt = self.engine.refresh(now, scan, full=task.full, verify=everywhere)
        self._unsettled |= scan.unsettled
        if scan.put_off:
            self._put_off |= scan.put_off
            self._put_off_s = time.monotonic() + _RETRY_S
        return receipt


def _file_state(file: Path | None) -> Hashable:
    """Return a value that changes when a file, or the target of its links, changes."""
    try:
        status = file.stat() if file is not None else None
    except OSError:
        return None
    return status and (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _describe_mode(root: Path, mode: WatchMode) -> str:
    """Return how a root is watched, for the log."""
    if mode.method is WatchMethod.ABSENT:
        return f"{root} does not exist; it will be watched once it does"
    return f"watching {root} by {mode.method}" + (f": {mode.reason}" if mode.reason else "")


def _did_something(receipt: Receipt) -> bool:
    return bool(
        receipt.written
        or receipt.removed
        or receipt.missing
        or receipt.refused
        or receipt.events
        or receipt.failed
    )
