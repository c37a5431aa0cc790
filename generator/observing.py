"""Observing: a look at the library becomes events in the log.

What is new or changed is identified by content, probed and given a poster; what is gone is noted
as missing. Nothing is recorded before the guard has agreed.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

from generator.adapters import fingerprint, scanner
from generator.adapters.catalogue import Catalogue, Compared
from generator.adapters.output import Output
from generator.adapters.scanner import Walk
from generator.adapters.settings import Settings
from generator.core import addresses, wording
from generator.core.errors import GuardError, SettingsError
from generator.core.guard import RootLook, objection
from generator.core.identity import Identities, Known, Seen, identify
from generator.core.intake import compile_intake
from generator.core.model import (
    Examined,
    Happening,
    Kind,
    Place,
    Poster,
    Probe,
    Recorded,
    Refused,
    Sighting,
    Stills,
    VideoId,
)
from generator.core.receipt import Receipt
from generator.core.scopes import folder_of

log = logging.getLogger(__name__)

_TOGETHER = 32  # results recorded in one transaction
_SOURCE = "scan"


class Workers(Protocol):
    """What examines files; a dry run has one that only guesses."""

    def examine(self, paths: Iterable[tuple[Place, str]]) -> Iterator[Examined | Refused]:
        """Yield one answer for each file, in any order."""


class Builder(Protocol):
    """What of the engine an observation needs."""

    @property
    def catalogue(self) -> Catalogue:
        """Return where events go."""

    @property
    def output(self) -> Output:
        """Return where stills go."""


@dataclass(frozen=True, slots=True)
class Where:
    """Which folders to look into: `folders` alone, `trees` with all below; None of both: all."""

    folders: frozenset[Place] = frozenset()
    trees: frozenset[Place] = frozenset()


@dataclass(slots=True)
class Observation:
    """One look at the library: call it with what builds.

    Afterwards `unsettled` are the folders of files that were still changing.
    `pause` waits so many seconds for files to become quiet; None: they are left for later.
    """

    settings: Settings
    workers: Workers
    clock: Callable[[], float]
    where: Where | None = None
    pause: Callable[[float], None] | None = None
    accept_loss: bool = False
    progress: Callable[[str, int, int], None] = lambda *_: None
    devices: dict[str, str] = field(default_factory=dict)
    unsettled: set[Place] = field(default_factory=set)

    def __call__(self, builder: Builder, receipt: Receipt, *, full: bool) -> None:
        """Look, and record what differs.

        Raises:
            GuardError: too much would be lost; nothing was recorded.
            SettingsError: a folder of the library does not exist.
        """
        is_first = builder.catalogue.last_event() == 0
        with receipt.phase("scan"):
            walk = self._walk()
            compared = builder.catalogue.compare(walk, None if self.where is None else walk)
            receipt.walked = sum(map(len, walk.files.values()))
        with receipt.phase("identify"):
            changed = self._quiet([sighting for _, sighting in compared.changed], receipt)
            new = self._quiet(compared.new, receipt)
            told, refused = self._identify(builder.catalogue, compared, changed, new)
            self._guard(builder.catalogue, walk, told)
            self._tell(builder.catalogue, receipt, walk, told, refused)
            if self.where is None:
                self._follow_settings(builder.catalogue, receipt.at)
        with receipt.phase("media"):
            wanted = list(self._wanted(builder, told, full=full))
            self._examine(builder, receipt, wanted, is_first=is_first)

    # -- looking

    def _walk(self) -> Walk:
        intake = compile_intake(self.settings.ignore)
        roots, follow = self.settings.roots, self.settings.follow_links
        if self.where is None:
            return scanner.walk(roots, intake, follow_links=follow)
        return scanner.look(
            roots, intake, folders=self.where.folders, trees=self.where.trees, follow_links=follow
        )

    def _quiet(self, sightings: Iterable[Sighting], receipt: Receipt) -> list[Sighting]:
        """Return the files that nobody writes to any more."""
        quiet_s, now = self.settings.quiet_s, self.clock()
        settled: list[Sighting] = []
        fresh: list[Sighting] = []
        for sighting in sightings:
            age_s = abs(now - sighting.mtime_ns / 1e9)
            (settled if age_s >= quiet_s else fresh).append(sighting)
        if fresh and self.pause is not None:
            self.pause(quiet_s)
            again = [(one, self._stat(one.place)) for one in fresh]
            settled += [one for one, now_seen in again if now_seen == one]
            fresh = [one for one, now_seen in again if now_seen not in (one, None)]
        for one in fresh:
            log.info("%s is still being written; it is taken when it is quiet", one.place.path)
            self.unsettled.add(Place(one.place.root, one.place.path.rpartition("/")[0]))
        receipt.still_copied += len(fresh)
        return settled

    def _stat(self, place: Place) -> Sighting | None:
        root = self.settings.roots.get(place.root)
        if root is None:
            return None
        return scanner.stat_one(root, place, follow_links=self.settings.follow_links)

    def _is_gone(self, place: Place) -> bool:
        """Tell whether a file is certainly not there: its root is, and nothing hides it."""
        root = self.settings.roots.get(place.root)
        return root is None or scanner.is_gone(root, place)

    # -- identity

    def _identify(
        self,
        catalogue: Catalogue,
        compared: Compared,
        changed: list[Sighting],
        new: list[Sighting],
    ) -> tuple[Identities, list[tuple[Sighting, str]]]:
        known = {sighting.place: one for one, sighting in compared.changed}
        refused: list[tuple[Sighting, str]] = []
        seen_changed = [(known[s.place], s) for s in self._seen(changed, refused)]
        seen_new = list(self._seen(new, refused))
        gone = list(compared.gone)
        named = {one.video for one in gone} | {one.video for one, _ in seen_changed}
        elsewhere = catalogue.present_with(s.fingerprint for s in seen_new)
        gone += [one for one in elsewhere if one.video not in named and self._is_gone(one.place)]
        everything = [*seen_new, *(seen for _, seen in seen_changed)]
        missing = catalogue.missing_like([(s.place, s.fingerprint) for s in everything])
        return identify(gone, seen_changed, seen_new, missing), refused

    def _seen(
        self, sightings: Iterable[Sighting], refused: list[tuple[Sighting, str]]
    ) -> Iterator[Seen]:
        for sighting in sightings:
            try:
                print_ = fingerprint.fingerprint(
                    self._file(sighting.place), follow_links=self.settings.follow_links
                )
            except OSError as error:
                refused.append((sighting, f"cannot be read: {error.strerror or error}"))
            else:
                yield Seen(sighting, print_)

    def _file(self, place: Place) -> str:
        return f"{self.settings.roots[place.root]}/{place.path}"

    def _guard(self, catalogue: Catalogue, walk: Walk, told: Identities) -> None:
        known = catalogue.present_by_root()
        lost = dict.fromkeys(walk.roots, 0)
        for one in told.missing:
            lost[one.place.root] = lost.get(one.place.root, 0) + 1
        looks = {
            root: RootLook(
                state.path,
                known.get(root, 0),
                lost[root],
                state.trouble.removeprefix("cannot be read: "),
                is_empty=not state.entries,
                other_device=self.devices.get(root, str(state.device)) != str(state.device),
            )
            for root, state in walk.roots.items()
        }
        for look in looks.values():
            if look.trouble and not look.known:
                raise SettingsError(
                    f"cannot read the library {look.path}: {look.trouble}",
                    hint="name an existing folder: --library DIR, or library in reelshelf.toml",
                )
        reason = "" if self.accept_loss else objection(looks, self.settings.loss_limit)
        if reason:
            raise GuardError(
                f"the scan is not believed, and nothing was changed: {reason}",
                hint="mount what is not mounted; if it is meant, `reelshelf build --accept-loss`",
            )
        self.devices = {root: str(state.device) for root, state in walk.roots.items()}

    # -- recording

    def _tell(
        self,
        catalogue: Catalogue,
        receipt: Receipt,
        walk: Walk,
        told: Identities,
        refused: list[tuple[Sighting, str]],
    ) -> None:
        now = receipt.at
        events = [_event(Kind.VIDEO_MISSING, now, known.video) for known in told.missing]
        for kind, pairs in (
            (Kind.VIDEO_CHANGED, told.touched),
            (Kind.VIDEO_MOVED, told.moved),
            (Kind.VIDEO_RETURNED, told.returned),
        ):
            events += [
                _event(kind, now, known.video, self._file_value(seen)) for known, seen in pairs
            ]
        events += _problem_events(catalogue, now, walk, refused)
        catalogue.append(events)
        grace_over = catalogue.missing_until(now - self.settings.missing_grace_s)
        catalogue.append([_event(Kind.VIDEO_DROPPED, now, video) for video in grace_over])
        receipt.missing, receipt.moved = len(told.missing), len(told.moved)
        receipt.returned, receipt.dropped = len(told.returned), len(grace_over)

    def _follow_settings(self, catalogue: Catalogue, now: int) -> None:
        """Give known videos the tags of their folders, or take them, if the setting changed."""
        wanted = "on" if self.settings.folder_tags else "off"
        before = catalogue.noted("folder_tags")
        if before not in {"", wanted}:
            catalogue.append(
                _event(
                    Kind.FOLDER_TAGGED,
                    now,
                    known.video,
                    {"folder_tags": self._folder_tags(known.place)},
                )
                for known in catalogue.present()
            )
        if before != wanted:
            catalogue.note("folder_tags", wanted)

    def _folder_tags(self, place: Place) -> list[str]:
        tags = [wording.tag_of(part) for part in folder_of(place).split("/")]
        return sorted({t for t in tags if t}) if self.settings.folder_tags else []

    def _file_value(self, seen: Seen) -> dict[str, object]:
        place = seen.place
        return {
            "root": place.root,
            "path": place.path,
            "size_bytes": seen.sighting.size_bytes,
            "mtime_ns": seen.sighting.mtime_ns,
            "fingerprint": seen.fingerprint,
            "title": wording.title_of(place.path.rpartition("/")[2]),
            "folder_tags": self._folder_tags(place),
        }

    # -- media

    def _wanted(self, builder: Builder, told: Identities, *, full: bool) -> Iterator["_Wanted"]:
        for seen in told.found:
            yield _Wanted(seen.place, seen, None)
        for known, seen in told.replaced:
            yield _Wanted(seen.place, seen, known)
        for known in builder.catalogue.without_poster():
            yield _Wanted(known.place, None, known)
        if full:
            lost = [
                number
                for number, poster in builder.catalogue.posters()
                if not all(map(builder.output.has, addresses.still_files(number, poster)))
            ]
            for known in builder.catalogue.known(lost):
                yield _Wanted(known.place, None, known)

    def _examine(
        self, builder: Builder, receipt: Receipt, wanted: list["_Wanted"], *, is_first: bool
    ) -> None:
        by_place = {one.place: one for one in wanted}
        answers = self.workers.examine((place, self._file(place)) for place in by_place)
        batch: list[tuple[_Wanted, Examined | Refused]] = []
        for done, answer in enumerate(answers, 1):
            batch.append((by_place[answer.place], answer))
            if len(batch) >= _TOGETHER:
                self._record(builder, receipt, batch, is_first=is_first)
                batch = []
            self.progress("posters", done, len(by_place))
        self._record(builder, receipt, batch, is_first=is_first)

    def _record(
        self,
        builder: Builder,
        receipt: Receipt,
        batch: list[tuple["_Wanted", Examined | Refused]],
        *,
        is_first: bool,
    ) -> None:
        """Record videos first, which gives them their ids, and then their posters."""
        now = receipt.at
        events = [
            self._video_event(wanted, answer, now, is_first=is_first) for wanted, answer in batch
        ]
        recorded = iter(builder.catalogue.append([event for event in events if event is not None]))
        posters: list[Happening] = []
        for (wanted, answer), event in zip(batch, events, strict=True):
            told = next(recorded) if event is not None else None
            video = wanted.known.video if wanted.known is not None else _subject(told)
            posters += _poster_events(builder.output, video, answer, now)
            _count(receipt, wanted, answer)
        builder.catalogue.append(posters)

    def _video_event(
        self, wanted: "_Wanted", answer: Examined | Refused, now: int, *, is_first: bool
    ) -> Happening | None:
        if wanted.seen is None:
            return None
        value = self._file_value(wanted.seen)
        if isinstance(answer, Refused):
            if wanted.known is None:
                return _refusal(wanted.seen.sighting, "probe", answer.reason, now)
            value["other_content"] = True
            return _event(Kind.VIDEO_CHANGED, now, wanted.known.video, value)
        file_at = wanted.seen.sighting.mtime_ns // 10**9
        value |= _probe_value(answer.probe, file_at)
        if wanted.known is not None:
            value["other_content"] = True
            kind = Kind.VIDEO_RETURNED if wanted.known.missing else Kind.VIDEO_CHANGED
            return _event(kind, now, wanted.known.video, value)
        value["slug"] = addresses.slug_of(str(value["title"]))
        value["added_at"] = min(file_at, now) if is_first else now
        return _event(Kind.VIDEO_FOUND, now, None, value)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A file to examine: a new video (no `known`), other content (both), or only a poster."""

    place: Place
    seen: Seen | None
    known: Known | None


def _poster_events(
    output: Output, video: VideoId | None, answer: Examined | Refused, now: int
) -> Iterator[Happening]:
    if video is None:
        return
    if isinstance(answer, Refused):
        yield _event(Kind.POSTER_FAILED, now, video, {"reason": answer.reason})
    elif answer.stills is None:
        yield _event(Kind.POSTER_FAILED, now, video, {"reason": answer.poster_problem})
    else:
        poster = _keep(output, video, answer.stills)
        yield _event(Kind.POSTER_MADE, now, video, {"poster": poster})


def _keep(output: Output, video: VideoId, stills: Stills) -> dict[str, object]:
    """Write the stills of a poster and return what the catalogue keeps of it."""
    contents = [*(still.content for still in stills.webp), stills.jpeg]
    poster = Poster(
        output.digest_name(contents),
        tuple(still.width_px for still in stills.webp),
        stills.webp[0].width_px,
        stills.webp[0].height_px,
        stills.colour,
    )
    for path, content in zip(addresses.still_files(video, poster), contents, strict=True):
        output.write(path, content)
    return {
        "digest": poster.digest,
        "widths_px": list(poster.widths_px),
        "width_px": poster.width_px,
        "height_px": poster.height_px,
        "colour": poster.colour,
    }


def _count(receipt: Receipt, wanted: _Wanted, answer: Examined | Refused) -> None:
    if isinstance(answer, Refused):
        receipt.refused += 1
        return
    receipt.posters += answer.stills is not None
    if wanted.seen is not None:
        receipt.found += wanted.known is None
        receipt.changed += wanted.known is not None


def _problem_events(
    catalogue: Catalogue, now: int, walk: Walk, refused: list[tuple[Sighting, str]]
) -> Iterator[Happening]:
    known = {problem.place: problem for problem in catalogue.problems()}
    current = {one.place: (Sighting(one.place, 0, 0), one.reason) for one in walk.unwanted}
    current |= {sighting.place: (sighting, reason) for sighting, reason in refused}
    for place, (sighting, reason) in current.items():
        before = known.get(place)
        if before is None or (before.reason, before.mtime_ns) != (reason, sighting.mtime_ns):
            yield _refusal(sighting, "scan", reason, now)
    for place in known.keys() - current.keys():
        if walk.covers(place) and place.path not in walk.files.get(place.root, {}):
            value: dict[str, object] = {"root": place.root, "path": place.path}
            yield _event(Kind.FILE_CLEARED, now, None, value)


def _refusal(sighting: Sighting, stage: str, reason: str, now: int) -> Happening:
    value = {
        "root": sighting.place.root,
        "path": sighting.place.path,
        "size_bytes": sighting.size_bytes,
        "mtime_ns": sighting.mtime_ns,
        "stage": stage,
        "reason": reason,
    }
    return _event(Kind.FILE_REFUSED, now, None, value)


def _probe_value(probe: Probe, file_at: int) -> dict[str, object]:
    recorded_at = file_at if probe.recorded_at is None else probe.recorded_at
    return {
        "container": probe.container,
        "duration_s": probe.duration_s,
        "width_px": probe.width_px,
        "height_px": probe.height_px,
        "fps": probe.fps,
        "video_codec": probe.video_codec,
        "audio_codec": probe.audio_codec,
        "recorded_at": recorded_at,
    }


def _event(
    kind: Kind, now: int, video: VideoId | None, value: dict[str, object] | None = None
) -> Happening:
    return Happening(uuid4().hex, kind, now, _SOURCE, video, value or {})


def _subject(recorded: Recorded | None) -> VideoId | None:
    return recorded.video if recorded is not None else None


class Guesses:
    """Workers of a dry run: they open nothing and take every file for a video without poster."""

    def examine(self, paths: Iterable[tuple[Place, str]]) -> Iterator[Examined | Refused]:
        """Yield what a file would give at least."""
        for place, _ in paths:
            yield Examined(place, Probe("unknown"), None, "not tried in a dry run")
