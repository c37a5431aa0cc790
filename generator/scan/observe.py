"""Observing: a look at the library becomes events in the log.

What is new or changed is identified by content; what is gone is noted as missing. Nothing is
recorded before the guard has agreed.
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
from generator.core.errors import GuardError, SettingsError
from generator.core.library import guard, unfinished
from generator.core.library.bucket_objects import ObjectChangedError, StoreUnavailableError
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
from generator.core.receipt import Receipt
from generator.core.site import urls
from generator.core.site.scopes import folder_of
from generator.scan.probe import (
    ProbeRun,
    ProbeTask,
    ProbeWorkers,
    ScanTarget,
    event_of,
    named,
    problem_event,
)
from generator.scan.sources import Sources

log = logging.getLogger(__name__)

_DEVICES = "devices"  # the fact that tells where the roots were at the last look that was believed
_DAY_S = 86400
_SCAN = "scan"  # the stage of a problem with a file that was seen, and not opened
_READ_AGAIN_S = 5.0  # for files that could not be read, other than for their rights
_DENIED = tuple(os.strerror(code) for code in (errno.EACCES, errno.EPERM))
_SEE = "see docs/howto/library-in-a-bucket.md, and try again"


@dataclass(frozen=True, slots=True)
class ScanScope:
    """Which folders to look into: `folders` alone, `trees` with all below; None of both: all."""

    folders: frozenset[Place] = frozenset()
    trees: frozenset[Place] = frozenset()


@dataclass(slots=True)
class LibraryScan:
    """One look at the library: call it with what builds.

    Afterwards `unsettled` are the folders of files that were still changing, and `put_off` those
    of files in a bucket that could not be had, or not to the end: nothing was recorded of them.
    `pause` waits so many seconds for files to become quiet; None: they are left for later.
    """

    settings: Settings
    workers: ProbeWorkers
    clock: Callable[[], float]
    where: ScanScope | None = None
    pause: Callable[[float], None] | None = None
    accept_loss: bool = False
    progress: Callable[[str, int, int], None] = lambda *_: None
    unsettled: set[Place] = field(default_factory=set)
    put_off: set[Place] = field(default_factory=set)
    _library: Sources = field(init=False)

    def __post_init__(self) -> None:
        self._library = Sources(self.settings)

    def __call__(self, builder: ScanTarget, receipt: Receipt, *, full: bool) -> None:
        """Look, and record what differs.

        Raises:
            GuardError: too much would be lost; nothing was recorded.
            SettingsError: a folder of the library does not exist.
        """
        if self.where is not None:
            self.where = _with_films(self.where)
        is_first = builder.catalogue.last_event() == 0
        with receipt.phase("scan"):
            walk = self._library.walk(self.where)
            companions = _companions(walk, self.settings.buckets)
            builder.catalogue.append(self._readable_again(builder.catalogue, walk, receipt.at))
            compared = builder.catalogue.compare(
                walk, None if self.where is None else walk, _signatures(companions), receipt.at
            )
            receipt.walked = sum(map(len, walk.files.values()))
        with receipt.phase("identify"):
            changed = self._quiet([sighting for _, sighting in compared.changed], receipt)
            new = self._quiet(compared.new, receipt)
            told, refused = self._identify(builder.catalogue, compared, changed, new)
            self._guard(builder.catalogue, walk, told)
            self._tell(builder.catalogue, receipt, walk, told, refused)
            if self.where is None:
                self._forget(builder.catalogue, walk, told, receipt.at)
                self._follow_settings(builder.catalogue, receipt.at)
        with receipt.phase("media"):
            wanted = self._wanted(
                builder, told, companions, compared.beside, now=receipt.at, full=full
            )
            ProbeRun(
                builder,
                self.workers,
                receipt,
                companions,
                self._library.file,
                is_first,
                self.settings.embedded_titles,
                self.progress,
                self._put_off,
            ).examine(wanted)

    # -- looking

    def _quiet(self, sightings: Iterable[FileStat], receipt: Receipt) -> list[FileStat]:
        """Return the files that nobody writes to any more."""
        quiet_s, now = self.settings.quiet_s, self.clock()
        settled: list[FileStat] = []
        fresh: list[FileStat] = []
        for sighting in sightings:
            age_s = abs(now - sighting.mtime_ns / 1e9)
            if self._waits_for_sound(sighting, now):
                receipt.still_copied += 1
            elif self._library.is_whole_at_once(sighting.place):
                settled.append(sighting)
            else:
                is_quiet = age_s >= quiet_s and not self._library.is_under_way(sighting.place)
                (settled if is_quiet else fresh).append(sighting)
        if fresh and self.pause is not None:
            self.pause(quiet_s)
            again = [(one, self._seen_again(one)) for one in fresh]
            settled += [one for one, is_same in again if is_same]
            fresh = [one for one, is_same in again if is_same is False]
        for one in fresh:
            under_way = self._library.is_under_way(one.place)
            repeats = self.where is not None and under_way  # maybe for days
            tell = log.debug if repeats else log.info
            tell("%s is still being written; it is taken when it is quiet", one.place.path)
            self.unsettled.add(_folder(one.place))
        receipt.still_copied += len(fresh)
        return settled

    def _seen_again(self, before: FileStat) -> bool | None:
        """Tell whether a file is at rest now; None where it is gone."""
        seen = self._library.stat(before.place)
        is_under_way = self._library.is_under_way(before.place)
        return None if seen is None else seen == before and not is_under_way

    def _waits_for_sound(self, seen: FileStat, now: float) -> bool:
        """Tell whether a file is the pictures of a film that is to get its sound soon."""
        name = seen.place.path.rpartition("/")[2]
        return unfinished.is_part_of_a_film(name) and unfinished.may_grow(seen.mtime_ns, now)

    def _readable_again(self, catalogue: Catalogue, walk: Walk, now: int) -> Iterator[Event]:
        """Yield that problems are over with files that could not be read, and can be.

        What kept a file from being read may lie outside of it (rights, of a folder too, a disk
        that did not answer), so that size and time stay as they were. Each is read as far as it
        was; a disk that still does not answer is not waited for long.
        """
        until = self.clock() + _READ_AGAIN_S
        for problem in catalogue.problems():
            place = problem.place
            is_denied = any(reason in problem.reason for reason in _DENIED)
            is_unread = problem.stage in {_SCAN, SIDECAR} and "cannot be " in problem.reason
            files = walk.companions if problem.stage == SIDECAR else walk.files
            if place.path not in files.get(place.root, ()) or not (is_denied or is_unread):
                continue
            if not is_denied and self.clock() >= until:
                continue
            # where reading it was not what failed, only a change of its rights gives hope
            is_hopeful = is_unread or self._library.changed_at(place) >= problem.at
            if is_hopeful and self._library.reads(place):
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
        known = {sighting.place: one for one, sighting in compared.changed}
        refused: list[tuple[FileStat, str]] = []
        seen_changed = [(known[s.place], s) for s in self._seen(changed, refused)]
        seen_new = list(self._seen(new, refused))
        gone = list(compared.gone)
        named = {one.video for one in gone} | {one.video for one, _ in seen_changed}
        elsewhere = catalogue.present_with(s.fingerprint for s in seen_new)
        gone += [
            one for one in elsewhere if one.video not in named and self._library.is_gone(one.place)
        ]
        everything = [*seen_new, *(seen for _, seen in seen_changed)]
        missing = catalogue.missing_like([(s.place, s.fingerprint) for s in everything])
        named.update(one.video for one in gone)
        present = self._present_like(catalogue, gone, named)
        return identify(gone, seen_changed, seen_new, missing, present), refused

    def _present_like(
        self, catalogue: Catalogue, gone: Iterable[KnownFile], named: Container[VideoId]
    ) -> list[KnownFile]:
        """Return the videos, certainly there, that are like some that are gone."""
        gone = list(gone)
        found = catalogue.present_with(one.fingerprint for one in gone)
        found += catalogue.present_beside([one.place for one in gone])
        unique = {one.video: one for one in found if one.video not in named}
        there = [self._as_it_is(one) for one in unique.values()]
        return [one for one in there if one is not None]

    def _as_it_is(self, known: KnownFile) -> KnownFile | None:
        """Return a video's file as it is now, if it is there and holds what it held."""
        seen = self._library.stat(known.place)
        if seen is None:
            return None
        now = replace(known, size_bytes=seen.size_bytes, mtime_ns=stamp(seen.mtime_ns))
        if now == known:
            return known
        again = next(self._seen([seen], []), None)
        return now if again is not None and again.fingerprint == known.fingerprint else None

    def _seen(
        self, sightings: Iterable[FileStat], refused: list[tuple[FileStat, str]]
    ) -> Iterator[FingerprintedFile]:
        for sighting, told in self._library.fingerprints(sightings):
            if isinstance(told, str):
                yield FingerprintedFile(sighting, told)
            elif isinstance(told, StoreUnavailableError):
                raise GuardError(
                    f"{self.settings.buckets[sighting.place.root]} cannot be read"
                    f" ({told.strerror}), and nothing was changed",
                    hint=_SEE,
                ) from told
            elif isinstance(told, ObjectChangedError):
                self._put_off(sighting.place, str(told.strerror))
            else:
                refused.append((sighting, f"cannot be read: {told.strerror or told}"))

    def _put_off(self, place: Place, reason: str) -> None:
        log.warning("%s: %s; it is looked at again", formatting.readable(place.path), reason)
        self.put_off.add(_folder(place))

    def _guard(self, catalogue: Catalogue, walk: Walk, told: Identities) -> None:
        known = catalogue.present_by_root()
        lost = Counter(one.place.root for one in told.missing)
        copied = Counter(one.place.root for _, one in told.merged)
        devices, before = scanner.devices(walk), guard.decode_devices(catalogue.noted(_DEVICES))
        looks = {
            root: RootChange(
                state.path,
                known.get(root, 0),
                lost[root],
                state.trouble.removeprefix("cannot be read: "),
                is_empty=not state.entries,
                other_device=_is_other(before.get(state.path), devices.get(state.path)),
                copied=copied[root],
            )
            for root, state in walk.roots.items()
        }
        for look in looks.values():
            if look.trouble and not look.videos and look.path.startswith(SCHEME):
                raise GuardError(f"cannot read the library {look.path}: {look.trouble}", hint=_SEE)
            if look.trouble and not look.videos:
                raise SettingsError(
                    f"cannot read the library {look.path}: {look.trouble}",
                    hint="name an existing folder: --library DIR, or library in reelshelf.toml",
                )
        reason = "" if self.accept_loss else objection(looks, self.settings.loss_limit)
        if reason:
            raise GuardError(
                f"the scan is not believed, and nothing was changed: {reason}",
                hint=self._advice(is_read=not any(look.trouble for look in looks.values())),
            )
        kept = guard.encode_devices({**before, **devices})
        if kept != guard.encode_devices(before):
            catalogue.note(_DEVICES, kept)

    def _advice(self, *, is_read: bool) -> str:
        """Return what to do about a scan that is not believed; `is_read`: every root could be."""
        front = _SEE if self.settings.buckets else "mount what is not mounted"
        if is_read:
            return f"{front}; if it is meant, `reelshelf build --accept-loss`"
        return (
            f"{front}, or give the right to read it; a root that is gone for good leaves the"
            " setting library: what was in it counts as missing then"
        )

    # -- recording

    def _tell(
        self,
        catalogue: Catalogue,
        receipt: Receipt,
        walk: Walk,
        told: Identities,
        refused: list[tuple[FileStat, str]],
    ) -> None:
        now = receipt.at
        events = [event_of(EventKind.VIDEO_MISSING, now, known.video) for known in told.missing]
        events += [
            event_of(EventKind.VIDEO_MERGED, now, copy.video, {"into": known.video})
            for copy, known in told.merged
        ]
        for kind, pairs in (
            (EventKind.VIDEO_CHANGED, told.touched),
            (EventKind.VIDEO_MOVED, told.moved),
            (EventKind.VIDEO_RETURNED, told.returned),
        ):
            events += [
                event_of(kind, now, known.video, self._file_value(seen)) for known, seen in pairs
            ]
        events += _problem_events(catalogue, now, walk, refused)
        catalogue.append(events)
        grace_over = catalogue.missing_until(now - self.settings.missing_grace_s)
        catalogue.append([event_of(EventKind.VIDEO_DROPPED, now, video) for video in grace_over])
        receipt.missing, receipt.moved = len(told.missing), len(told.moved)
        receipt.returned, receipt.dropped = len(told.returned), len(grace_over)

    def _forget(self, catalogue: Catalogue, walk: Walk, told: Identities, now: int) -> None:
        """Forget what is missing for too long, where it is certain that it is not there."""
        if not self.settings.forget_missing_days:
            return
        back = {known.video for known, _ in told.replaced}
        catalogue.append(
            event_of(EventKind.VIDEO_FORGOTTEN, now, one.video)
            for one in catalogue.missing_since(now - self.settings.forget_missing_days * _DAY_S)
            if one.video not in back
            and (one.place.root not in walk.roots or walk.covers(one.place))
        )

    def _follow_settings(self, catalogue: Catalogue, now: int) -> None:
        """Give known videos the tags of their folders, or take them, if the setting changed."""
        wanted = "on" if self.settings.folder_tags else "off"
        before = catalogue.noted("folder_tags")
        if before not in {"", wanted}:
            catalogue.append(
                event_of(
                    EventKind.FOLDER_TAGGED,
                    now,
                    known.video,
                    {"folder_tags": self._folder_tags(known.place)},
                )
                for known in catalogue.present()
            )
        if before != wanted:
            catalogue.note("folder_tags", wanted)

    def _folder_tags(self, place: Place) -> list[str]:
        tags = [formatting.normalize_tag(part) for part in folder_of(place).split("/")]
        return sorted({t for t in tags if t}) if self.settings.folder_tags else []

    def _file_value(self, seen: FingerprintedFile) -> dict[str, object]:
        place = seen.place
        return {
            "root": place.root,
            "path": place.path,
            "size_bytes": seen.stat.size_bytes,
            "mtime_ns": seen.stat.mtime_ns,
            "fingerprint": seen.fingerprint,
            "title": formatting.title_of(place.path.rpartition("/")[2]),
            "named": named(place),
            "folder_tags": self._folder_tags(place),
        }

    # -- what is to be examined

    def _wanted(
        self,
        builder: ScanTarget,
        told: Identities,
        companions: Mapping[Place, tuple[Sidecar, ...]],
        beside: Iterable[KnownFile],
        *,
        now: int,
        full: bool,
    ) -> list[ProbeTask]:
        """Return the files to examine, each once: those with other content before the rest."""
        catalogue = builder.catalogue
        wanted = [ProbeTask(seen.place, seen, None, self._file_value(seen)) for seen in told.new]
        wanted += [
            ProbeTask(seen.place, seen, known, self._file_value(seen))
            for known, seen in told.replaced
        ]
        merged = {copy.video for copy, _ in told.merged}
        again = [one for one in beside if one.video not in merged]
        again += catalogue.without_poster()
        for known, seen in (*told.touched, *told.moved, *told.returned):
            if known.companions != sidecar_digest(seen.place.path, companions.get(seen.place, ())):
                again.append(replace(known, place=seen.place))
        outdated: set[VideoId] = set()
        if self.where is None:
            old = catalogue.longer.with_old_probe(PROBE_VERSION)
            outdated.update(old)
            again += catalogue.known(old)
        if full:
            again += catalogue.known(_with_lost_files(builder, now))
        places = {one.place for one in wanted}
        for known in again:
            if known.place not in places and self._sees_beside(known.place):
                places.add(known.place)
                wanted.append(
                    ProbeTask(known.place, None, known, {}, is_outdated=known.video in outdated)
                )
        return wanted

    def _sees_beside(self, place: Place) -> bool:
        """Tell whether what lies beside a file was looked at, so that it can be read again."""
        if self.where is None:
            return True
        folder = place.path.rpartition("/")[0]
        return Place(place.root, folder) in self.where.folders or any(
            one.root == place.root
            and (not one.path or folder == one.path or folder.startswith(one.path + "/"))
            for one in self.where.trees
        )


def _folder(place: Place) -> Place:
    return Place(place.root, place.path.rpartition("/")[0])


def _is_other(before: Device | None, now: Device | None) -> bool:
    return before is not None and now is not None and guard.is_other(before, now)


def _with_films(where: ScanScope) -> ScanScope:
    """Return where to look, and the folders whose films subtitles that changed there are for."""
    homes = {
        Place(place.root, home[0])
        for place in (*where.folders, *where.trees)
        if (home := home_of(place.path)) is not None
    }
    return replace(where, folders=where.folders | homes) if homes else where


def _companions(walk: Walk, buckets: Container[str]) -> dict[Place, tuple[Sidecar, ...]]:
    return {
        Place(root, video): some
        for root, files in walk.files.items()
        for video, some in sidecars_of(
            root, files, walk.companions.get(root, {}), has_subtitle_folders=root not in buckets
        ).items()
    }


def _signatures(
    companions: Mapping[Place, tuple[Sidecar, ...]],
) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for place, some in companions.items():
        found.setdefault(place.root, {})[place.path] = sidecar_digest(place.path, some)
    return found


def _with_lost_files(builder: ScanTarget, now: int) -> list[VideoId]:
    """Return the videos of which some file that was made is not on the disk.

    What took longer to make is noted as lost, that it is made again.
    """
    has = builder.output.has
    lost: list[VideoId] = []
    events = []
    for video in builder.catalogue.shown():
        if all(map(has, urls.made_files(video))):
            continue
        lost.append(video.id)
        board, copy = video.storyboard, video.rendition
        boards = urls.board_files(video.id, board) if board else ()
        if not all(map(has, (*boards, *urls.text_files(video)))):
            events.append(event_of(EventKind.BOARD_DROPPED, now, video.id))
        if copy and not all(map(has, urls.rendition_files(video.id, copy))):
            events.append(event_of(EventKind.RENDITION_DROPPED, now, video.id))
    builder.catalogue.append(events)
    return lost


def _problem_events(
    catalogue: Catalogue, now: int, walk: Walk, refused: list[tuple[FileStat, str]]
) -> Iterator[Event]:
    known = {problem.place: problem for problem in catalogue.problems(of_sounds=True)}
    current = {one.place: (FileStat(one.place, 0, 0), one.reason) for one in walk.unwanted}
    current |= {sighting.place: (sighting, reason) for sighting, reason in refused}
    for place, (sighting, reason) in current.items():
        before = known.get(place)
        if before is None or (before.reason, before.mtime_ns) != (reason, sighting.mtime_ns):
            yield problem_event(sighting, _SCAN, reason, now)
    for place in known.keys() - current.keys():
        if walk.covers(place) and not _is_there(walk, known[place]):
            value: dict[str, object] = {"root": place.root, "path": place.path}
            yield event_of(EventKind.FILE_CLEARED, now, None, value)


def _is_there(walk: Walk, problem: FileProblem) -> bool:
    """Tell whether the file of a problem is still there; beside a video, still as it was."""
    place = problem.place
    if problem.stage != SIDECAR:
        return place.path in walk.files.get(place.root, {})
    found = walk.companions.get(place.root, {}).get(place.path)
    return found == (problem.size_bytes, problem.mtime_ns)
