"""Observing: a scan of the library becomes events in the log.

New and changed files are identified by content; files that are gone are recorded as missing.
Nothing is recorded before the guard has agreed.
"""

import errno
import logging
import os
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from generator.adapters import scanner
from generator.adapters.catalogue import Catalogue, ScanComparison, stamp
from generator.adapters.scanner import Walk
from generator.adapters.settings import Settings
from generator.core import formatting
from generator.core.build_receipt import Receipt
from generator.core.errors import GuardError, SettingsError
from generator.core.library import guard, unfinished
from generator.core.library.bucket_listing import ObjectChangedError, StoreUnavailableError
from generator.core.library.bucket_roots import SCHEME
from generator.core.library.guard import Device, RootChange, objection
from generator.core.library.identity import FingerprintedFile, Identities, KnownFile, identify
from generator.core.library.sidecar_files import home_of, sidecar_digest, sidecars_of
from generator.core.media.stills import PROBE_VERSION
from generator.core.model import (
    SIDECAR,
    Event,
    EventKind,
    FileProblem,
    FileStat,
    Place,
    Sidecar,
    VideoId,
)
from generator.core.site import urls
from generator.core.site.scopes import folder_of
from generator.scan.library_roots import Sources
from generator.scan.probe import (
    ProbeRun,
    ProbeTask,
    ProbeWorkers,
    ScanTarget,
    event_of,
    named,
    problem_event,
)

log = logging.getLogger(__name__)

_DEVICES = "devices"  # the fact that holds the devices of the roots at the last accepted scan
_DAY_S = 86400
_WEEK_S = 7 * _DAY_S  # at most so much of the time between two scans counts
_SCAN = "scan"  # the stage of a problem with a file that was seen, but not opened
_READ_AGAIN_S = 5.0  # for unreadable files, except those without permission
_DENIED = tuple(os.strerror(code) for code in (errno.EACCES, errno.EPERM))
_SEE = "see docs/howto/library-in-a-bucket.md, and try again"


@dataclass(frozen=True, slots=True)
class ScanScope:
    """Which folders to scan: `folders` not recursively, `trees` recursively."""

    folders: frozenset[Place] = frozenset()
    trees: frozenset[Place] = frozenset()


@dataclass(slots=True)
class LibraryScan:
    """One scan of the library: call it with the engine.

    Afterwards `unsettled` are the folders of files that were still changing, and `put_off` those
    of files in a bucket that could not be read, or not completely: nothing was recorded of them.
    `scope`: None scans everything. `pause` waits that many seconds for files to become stable;
    None: they are left for later.
    """

    settings: Settings
    workers: ProbeWorkers
    clock: Callable[[], float]
    scope: ScanScope | None = None
    pause: Callable[[float], None] | None = None
    accept_loss: bool = False
    progress: Callable[[str, int, int], None] = lambda *_: None
    unsettled: set[Place] = field(default_factory=set)
    put_off: set[Place] = field(default_factory=set)
    _sources: Sources = field(init=False)

    def __post_init__(self) -> None:
        self._sources = Sources(self.settings)

    def __call__(self, builder: ScanTarget, receipt: Receipt, *, full: bool) -> None:
        """Scan, and record the differences.

        Raises:
            GuardError: the scan would lose too much; nothing was recorded.
            SettingsError: a folder of the library does not exist.
        """
        if self.scope is not None:
            self.scope = _with_video_folders(self.scope)
        is_first = builder.catalogue.last_event() == 0
        with receipt.phase("scan"):
            walk = self._sources.walk(self.scope)
            sidecars = _sidecars(walk, self.settings.buckets)
            builder.catalogue.append(self._readable_again(builder.catalogue, walk, receipt.at))
            compared = builder.catalogue.compare(
                walk, None if self.scope is None else walk, _sidecar_digests(sidecars), receipt.at
            )
            receipt.walked = sum(map(len, walk.files.values()))
        with receipt.phase("identify"):
            changed = self._stable([file for _, file in compared.changed], receipt)
            new = self._stable(compared.new, receipt)
            identities, refused = self._identify(builder.catalogue, compared, changed, new)
            self._guard(builder.catalogue, walk, identities)
            if self.scope is None and (days := self.settings.forget_missing_days):
                builder.catalogue.advance_scan_clock(receipt.at, min(_WEEK_S, days * _DAY_S // 4))
            self._record_events(builder.catalogue, receipt, walk, identities, refused)
            if self.scope is None:
                self._forget(builder.catalogue, walk, identities, receipt.at)
                self._follow_settings(builder.catalogue, receipt.at)
        with receipt.phase("media"):
            tasks = self._probe_tasks(
                builder, identities, sidecars, compared.beside, now=receipt.at, full=full
            )
            ProbeRun(
                builder,
                self.workers,
                receipt,
                sidecars,
                self._sources.file,
                is_first,
                self.settings.embedded_titles,
                self.progress,
                self._put_off,
            ).run(tasks)

    # -- scanning

    def _stable(self, files: Iterable[FileStat], receipt: Receipt) -> list[FileStat]:
        """Return the files that are not being written any more."""
        quiet_s, now = self.settings.settle_s, self.clock()
        settled: list[FileStat] = []
        fresh: list[FileStat] = []
        for file in files:
            age_s = abs(now - file.mtime_ns / 1e9)
            if self._waits_for_audio(file, now):
                receipt.still_copied += 1
            elif self._sources.is_whole_at_once(file.place):
                settled.append(file)
            else:
                is_quiet = age_s >= quiet_s and not self._sources.is_being_written(file.place)
                (settled if is_quiet else fresh).append(file)
        if fresh and self.pause is not None:
            self.pause(quiet_s)
            again = [(file, self._seen_again(file)) for file in fresh]
            settled += [file for file, is_same in again if is_same]
            fresh = [file for file, is_same in again if is_same is False]
        for file in fresh:
            being_written = self._sources.is_being_written(file.place)
            repeats = self.scope is not None and being_written  # maybe for days
            write_log = log.debug if repeats else log.info
            write_log(
                "%s is still being written; it will be read once it stops changing", file.place.path
            )
            self.unsettled.add(_folder(file.place))
        receipt.still_copied += len(fresh)
        return settled

    def _seen_again(self, before: FileStat) -> bool | None:
        """Return whether a file is stable now; None if it is gone."""
        seen = self._sources.stat(before.place)
        is_being_written = self._sources.is_being_written(before.place)
        return None if seen is None else seen == before and not is_being_written

    def _waits_for_audio(self, seen: FileStat, now: float) -> bool:
        """Return whether a file is a video stream that is still to be merged with its audio."""
        name = seen.place.path.rpartition("/")[2]
        return unfinished.is_part_of_a_film(name) and unfinished.may_grow(seen.mtime_ns, now)

    def _readable_again(self, catalogue: Catalogue, walk: Walk, now: int) -> Iterator[Event]:
        """Yield events that clear the problems of files that can be read again.

        The cause may lie outside of the file (permissions, also of a folder, or a disk that did
        not respond), so that its size and mtime are unchanged. Each file is read as far as a scan
        reads it; a disk that still does not respond is not waited for long.
        """
        until = self.clock() + _READ_AGAIN_S
        for problem in catalogue.problems():
            place = problem.place
            is_denied = any(reason in problem.reason for reason in _DENIED)
            is_unread = problem.stage in {_SCAN, SIDECAR} and "cannot be " in problem.reason
            files = walk.sidecars if problem.stage == SIDECAR else walk.files
            if place.path not in files.get(place.root, ()) or not (is_denied or is_unread):
                continue
            if not is_denied and self.clock() >= until:
                continue
            # where reading it was not what failed, only a change of permissions can help
            is_hopeful = is_unread or self._sources.changed_at(place) >= problem.at
            if is_hopeful and self._sources.reads(place):
                yield event_of(
                    EventKind.FILE_CLEARED, now, None, {"root": place.root, "path": place.path}
                )

    # -- identity

    def _identify(
        self,
        catalogue: Catalogue,
        compared: ScanComparison,
        changed: list[FileStat],
        new: list[FileStat],
    ) -> tuple[Identities, list[tuple[FileStat, str]]]:
        known_files = {seen.place: file for file, seen in compared.changed}
        refused: list[tuple[FileStat, str]] = []
        seen_changed = [(known_files[s.place], s) for s in self._fingerprinted(changed, refused)]
        seen_new = list(self._fingerprinted(new, refused))
        gone = list(compared.gone)
        named = {file.video for file in gone} | {file.video for file, _ in seen_changed}
        elsewhere = catalogue.present_with(s.fingerprint for s in seen_new)
        gone += [
            file
            for file in elsewhere
            if file.video not in named and self._sources.is_gone(file.place)
        ]
        everything = [*seen_new, *(seen for _, seen in seen_changed)]
        missing = catalogue.missing_like([(s.place, s.fingerprint) for s in everything])
        named.update(file.video for file in gone)
        present = self._present_like(catalogue, gone, named)
        return identify(gone, seen_changed, seen_new, missing, present), refused

    def _present_like(
        self, catalogue: Catalogue, gone: Iterable[KnownFile], named: Container[VideoId]
    ) -> list[KnownFile]:
        """Return the videos that exist for certain and are like some that are gone."""
        gone = list(gone)
        similar = catalogue.present_with(file.fingerprint for file in gone)
        similar += catalogue.present_beside([file.place for file in gone])
        unique = {file.video: file for file in similar if file.video not in named}
        current = [self._as_it_is(file) for file in unique.values()]
        return [file for file in current if file is not None]

    def _as_it_is(self, file: KnownFile) -> KnownFile | None:
        """Return the current state of a video's file, if it exists with unchanged content."""
        seen = self._sources.stat(file.place)
        if seen is None:
            return None
        now = replace(file, size_bytes=seen.size_bytes, mtime_ns=stamp(seen.mtime_ns))
        if now == file:
            return file
        again = next(self._fingerprinted([seen], []), None)
        return now if again is not None and again.fingerprint == file.fingerprint else None

    def _fingerprinted(
        self, files: Iterable[FileStat], refused: list[tuple[FileStat, str]]
    ) -> Iterator[FingerprintedFile]:
        for file, result in self._sources.fingerprints(files):
            if isinstance(result, str):
                yield FingerprintedFile(file, result)
            elif isinstance(result, StoreUnavailableError):
                raise GuardError(
                    f"{self.settings.buckets[file.place.root]} cannot be read"
                    f" ({result.strerror}), and nothing was changed",
                    hint=_SEE,
                ) from result
            elif isinstance(result, ObjectChangedError):
                self._put_off(file.place, str(result.strerror))
            else:
                refused.append((file, f"cannot be read: {result.strerror or result}"))

    def _put_off(self, place: Place, reason: str) -> None:
        log.warning("%s: %s; it will be read again", formatting.readable(place.path), reason)
        self.put_off.add(_folder(place))

    def _guard(self, catalogue: Catalogue, walk: Walk, identities: Identities) -> None:
        present = catalogue.present_by_root()
        lost = Counter(file.place.root for file in identities.missing)
        copied = Counter(file.place.root for _, file in identities.merged)
        devices, before = scanner.devices(walk), guard.decode_devices(catalogue.noted(_DEVICES))
        changes = {
            root: RootChange(
                state.path,
                present.get(root, 0),
                lost[root],
                state.trouble.removeprefix("cannot be read: "),
                is_empty=not state.entries,
                other_device=_is_other(before.get(state.path), devices.get(state.path)),
                copied=copied[root],
            )
            for root, state in walk.roots.items()
        }
        for change in changes.values():
            if change.trouble and not change.videos and change.path.startswith(SCHEME):
                raise GuardError(
                    f"cannot read the library {change.path}: {change.trouble}", hint=_SEE
                )
            if change.trouble and not change.videos:
                raise SettingsError(
                    f"cannot read the library {change.path}: {change.trouble}",
                    hint="name an existing folder: --library DIR, or library in reelshelf.toml",
                )
        reason = "" if self.accept_loss else objection(changes, self.settings.max_loss_share)
        if reason:
            raise GuardError(
                f"the scan was rejected, and nothing was changed: {reason}",
                hint=self._advice(is_read=not any(change.trouble for change in changes.values())),
            )
        kept = guard.encode_devices({**before, **devices})
        if kept != guard.encode_devices(before):
            catalogue.note(_DEVICES, kept)

    def _advice(self, *, is_read: bool) -> str:
        """Return what to do about a rejected scan; `is_read`: every root could be read."""
        front = _SEE if self.settings.buckets else "mount the missing disk or share"
        if is_read:
            return f"{front}; if this is intended, run `reelshelf build --accept-loss`"
        return (
            f"{front}, or make it readable; if it is gone for good, remove it from `library`:"
            " its videos then count as missing"
        )

    # -- recording

    def _record_events(
        self,
        catalogue: Catalogue,
        receipt: Receipt,
        walk: Walk,
        identities: Identities,
        refused: list[tuple[FileStat, str]],
    ) -> None:
        now = receipt.at
        events = [event_of(EventKind.VIDEO_MISSING, now, file.video) for file in identities.missing]
        events += [
            event_of(EventKind.VIDEO_MERGED, now, copy.video, {"into": file.video})
            for copy, file in identities.merged
        ]
        for kind, pairs in (
            (EventKind.VIDEO_CHANGED, identities.touched),
            (EventKind.VIDEO_MOVED, identities.moved),
            (EventKind.VIDEO_RETURNED, identities.returned),
        ):
            events += [
                event_of(kind, now, file.video, self._file_value(seen)) for file, seen in pairs
            ]
        events += _problem_events(catalogue, now, walk, refused)
        catalogue.append(events)
        grace_over = catalogue.missing_until(now - self.settings.missing_grace_s)
        catalogue.append([event_of(EventKind.VIDEO_DROPPED, now, video) for video in grace_over])
        receipt.missing, receipt.moved = len(identities.missing), len(identities.moved)
        receipt.returned, receipt.dropped = len(identities.returned), len(grace_over)

    def _forget(self, catalogue: Catalogue, walk: Walk, identities: Identities, now: int) -> None:
        """Forget videos missing for too long, where it is certain that the file does not exist."""
        if not self.settings.forget_missing_days:
            return
        back = {known.video for known, _ in identities.replaced}
        catalogue.append(
            event_of(EventKind.VIDEO_FORGOTTEN, now, file.video)
            for file in catalogue.missing_for(self.settings.forget_missing_days * _DAY_S)
            if file.video not in back
            and (file.place.root not in walk.roots or walk.covers(file.place))
        )

    def _follow_settings(self, catalogue: Catalogue, now: int) -> None:
        """Add or remove the folder tags of known videos if the setting changed."""
        setting = "on" if self.settings.folder_tags else "off"
        before = catalogue.noted("folder_tags")
        if before not in {"", setting}:
            catalogue.append(
                event_of(
                    EventKind.FOLDER_TAGGED,
                    now,
                    file.video,
                    {"folder_tags": self._folder_tags(file.place)},
                )
                for file in catalogue.present()
            )
        if before != setting:
            catalogue.note("folder_tags", setting)

    def _folder_tags(self, place: Place) -> list[str]:
        tags = [formatting.normalize_tag(part) for part in folder_of(place).split("/")]
        return sorted({t for t in tags if t}) if self.settings.folder_tags else []

    def _file_value(self, file: FingerprintedFile) -> dict[str, object]:
        place = file.place
        return {
            "root": place.root,
            "path": place.path,
            "size_bytes": file.stat.size_bytes,
            "mtime_ns": file.stat.mtime_ns,
            "fingerprint": file.fingerprint,
            "title": formatting.title_of(place.path.rpartition("/")[2]),
            "named": named(place),
            "folder_tags": self._folder_tags(place),
        }

    # -- what to probe

    def _probe_tasks(
        self,
        builder: ScanTarget,
        identities: Identities,
        sidecars: Mapping[Place, tuple[Sidecar, ...]],
        beside: Iterable[KnownFile],
        *,
        now: int,
        full: bool,
    ) -> list[ProbeTask]:
        """Return the files to probe, each once: those with new content before the rest."""
        catalogue = builder.catalogue
        tasks = [
            ProbeTask(seen.place, seen, None, self._file_value(seen)) for seen in identities.new
        ]
        tasks += [
            ProbeTask(seen.place, seen, file, self._file_value(seen))
            for file, seen in identities.replaced
        ]
        merged = {copy.video for copy, _ in identities.merged}
        again = [file for file in beside if file.video not in merged]
        again += catalogue.without_poster()
        for file, seen in (*identities.touched, *identities.moved, *identities.returned):
            if file.sidecar_digest != sidecar_digest(seen.place.path, sidecars.get(seen.place, ())):
                again.append(replace(file, place=seen.place))
        outdated: set[VideoId] = set()
        if self.scope is None:
            old = catalogue.todo.with_old_probe(PROBE_VERSION)
            outdated.update(old)
            again += catalogue.files_of(old)
        if full:
            again += catalogue.files_of(_with_lost_files(builder, now))
        places = {task.place for task in tasks}
        for file in again:
            if file.place not in places and self._covers_sidecars(file.place):
                places.add(file.place)
                tasks.append(
                    ProbeTask(file.place, None, file, {}, is_outdated=file.video in outdated)
                )
        return tasks

    def _covers_sidecars(self, place: Place) -> bool:
        """Return whether the folder of a file was scanned, so its sidecars can be read again."""
        if self.scope is None:
            return True
        folder = place.path.rpartition("/")[0]
        return Place(place.root, folder) in self.scope.folders or any(
            tree.root == place.root
            and (not tree.path or folder == tree.path or folder.startswith(tree.path + "/"))
            for tree in self.scope.trees
        )


def _folder(place: Place) -> Place:
    return Place(place.root, place.path.rpartition("/")[0])


def _is_other(before: Device | None, now: Device | None) -> bool:
    return before is not None and now is not None and guard.is_other(before, now)


def _with_video_folders(scope: ScanScope) -> ScanScope:
    """Return the scope, with the folders of the videos whose subtitle folders are in it."""
    homes = {
        Place(place.root, home[0])
        for place in (*scope.folders, *scope.trees)
        if (home := home_of(place.path)) is not None
    }
    return replace(scope, folders=scope.folders | homes) if homes else scope


def _sidecars(walk: Walk, buckets: Container[str]) -> dict[Place, tuple[Sidecar, ...]]:
    return {
        Place(root, video): sidecars
        for root, files in walk.files.items()
        for video, sidecars in sidecars_of(
            root, files, walk.sidecars.get(root, {}), has_subtitle_folders=root not in buckets
        ).items()
    }


def _sidecar_digests(
    sidecars: Mapping[Place, tuple[Sidecar, ...]],
) -> dict[str, dict[str, str]]:
    digests: dict[str, dict[str, str]] = {}
    for place, files in sidecars.items():
        digests.setdefault(place.root, {})[place.path] = sidecar_digest(place.path, files)
    return digests


def _with_lost_files(builder: ScanTarget, now: int) -> list[VideoId]:
    """Return the videos of which a generated file is missing on the disk.

    Events record that slow work is lost, so that it is done again.
    """
    has = builder.output.has
    lost: list[VideoId] = []
    events = []
    for video in builder.catalogue.shown():
        if all(map(has, urls.made_files(video))):
            continue
        lost.append(video.id)
        storyboard, copy = video.storyboard, video.rendition
        storyboard_files = urls.board_files(video.id, storyboard) if storyboard else ()
        if not all(map(has, (*storyboard_files, *urls.text_files(video)))):
            events.append(event_of(EventKind.BOARD_DROPPED, now, video.id))
        if copy and not all(map(has, urls.rendition_files(video.id, copy))):
            events.append(event_of(EventKind.RENDITION_DROPPED, now, video.id))
    builder.catalogue.append(events)
    return lost


def _problem_events(
    catalogue: Catalogue, now: int, walk: Walk, refused: list[tuple[FileStat, str]]
) -> Iterator[Event]:
    former = {problem.place: problem for problem in catalogue.problems(of_sounds=True)}
    current = {file.place: (FileStat(file.place, 0, 0), file.reason) for file in walk.unwanted}
    current |= {file.place: (file, reason) for file, reason in refused}
    for place, (file, reason) in current.items():
        before = former.get(place)
        if before is None or (before.reason, before.mtime_ns) != (reason, file.mtime_ns):
            yield problem_event(file, _SCAN, reason, now)
    for place in former.keys() - current.keys():
        if walk.covers(place) and not _is_there(walk, former[place]):
            value: dict[str, object] = {"root": place.root, "path": place.path}
            yield event_of(EventKind.FILE_CLEARED, now, None, value)


def _is_there(walk: Walk, problem: FileProblem) -> bool:
    """Return whether the file of a problem still exists; a sidecar also has to be unchanged."""
    place = problem.place
    if problem.stage != SIDECAR:
        return place.path in walk.files.get(place.root, {})
    stat = walk.sidecars.get(place.root, {}).get(place.path)
    return stat == (problem.size_bytes, problem.mtime_ns)
