"""Examining: workers look into files, and what they find becomes events in the log.

A file that is new or has other content is probed, given a poster, and what is said of it, in it and
beside it, is read. What was made of it is in the output folder before the log tells of it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import uuid4

from generator.adapters.catalogue import Catalogue
from generator.adapters.output import Output
from generator.core.library import unfinished
from generator.core.library.bucket_objects import StoreUnavailableError, is_address, unsigned
from generator.core.library.file_filter import may_be_sound
from generator.core.library.identity import FingerprintedFile, KnownFile
from generator.core.library.sidecar_files import sidecar_digest
from generator.core.media.dates import Moment, moment_in_name, placed
from generator.core.media.remedies import remedy_of
from generator.core.media.stills import PROBE_VERSION
from generator.core.media.webvtt import shift_cues
from generator.core.media.worker_protocol import Found, ProbeRequest, SidecarRef
from generator.core.model import (
    NO_VIDEO,
    SOUND,
    EnrichmentResult,
    Event,
    EventKind,
    FileStat,
    Metadata,
    MetadataSource,
    Place,
    Poster,
    Probe,
    ProbeResult,
    RecordedEvent,
    Rejected,
    Sidecar,
    Stills,
    Subtitles,
    VideoId,
)
from generator.core.receipt import Receipt
from generator.core.site import urls
from generator.render.owned_files import MadeFile, OwnedFiles

SCAN = "scan"  # the source of what a look at the library finds
_TOGETHER = 32  # results recorded in one transaction


class ProbeWorkers(Protocol):
    """What examines files; a dry run has one that only guesses."""

    def answer(self, requests: Iterable[ProbeRequest]) -> Iterator[Found]:
        """Yield one answer for each request, in any order."""


class ScanTarget(Protocol):
    """What of the engine an observation needs."""

    @property
    def catalogue(self) -> Catalogue:
        """Return where events go."""

    @property
    def output(self) -> Output:
        """Return where what is made is."""

    @property
    def files(self) -> OwnedFiles:
        """Return how what is made gets there."""


@dataclass(frozen=True, slots=True)
class ProbeTask:
    """A file to examine: a new video (no `known`), other content (both), or once more (no `seen`).

    `facts` is what an event about the file itself tells of it. `is_outdated`: an older version of
    the probe looked into it last.
    """

    place: Place
    seen: FingerprintedFile | None
    known: KnownFile | None
    facts: Mapping[str, object]
    is_outdated: bool = False


@dataclass(frozen=True, slots=True)
class _Answered:
    wanted: ProbeTask
    answer: ProbeResult | Rejected


@dataclass(frozen=True, slots=True)
class ProbeRun:
    """Files to examine, and where what is found goes; `file` gives what a place is found by.

    `put_off` is told of files that could not be had: nothing is recorded of them.
    `is_first`: the library is seen for the first time, so that files were added when they were
    written. `embedded_titles`: those inside the files are taken.
    """

    builder: ScanTarget
    workers: ProbeWorkers
    receipt: Receipt
    companions: Mapping[Place, tuple[Sidecar, ...]]
    file: Callable[[Place], str]
    is_first: bool
    embedded_titles: bool
    progress: Callable[[str, int, int], None]
    put_off: Callable[[Place, str], None] = lambda *_: None

    def examine(self, wanted: Iterable[ProbeTask]) -> None:
        """Examine files and record what they hold; results so far are kept if it is stopped."""
        by_place = {one.place: one for one in wanted}
        batch: list[_Answered] = []
        for done, answered in enumerate(self._answers(by_place), 1):
            batch.append(answered)
            if len(batch) >= _TOGETHER:
                self._record(batch)
                batch = []
            self.progress("posters", done, len(by_place))
        self._record(batch)

    def _answers(self, wanted: Mapping[Place, ProbeTask]) -> Iterator[_Answered]:
        """Yield what each file gives; one that fails with its companions is tried without them."""
        failed: dict[Place, Rejected] = {}
        for found in self.workers.answer(self._requests(wanted)):
            if self._is_put_off(found):
                continue
            if isinstance(found, Rejected) and self.companions.get(found.place):
                failed[found.place] = found
            elif not isinstance(found, EnrichmentResult):
                yield _Answered(wanted[found.place], found)
        alone = (ProbeRequest(place, self.file(place)) for place in failed)
        for found in self.workers.answer(alone) if failed else ():
            if isinstance(found, ProbeResult):
                reason = f"could not be read: {failed[found.place].reason}"
                files = [self.file(one.place) for one in self.companions[found.place]]
                complaints = tuple((file, reason) for file in files)
                yield _Answered(wanted[found.place], replace(found, complaints=complaints))
            elif isinstance(found, Rejected) and not self._is_put_off(found):
                yield _Answered(wanted[found.place], found)

    def _is_put_off(self, found: Found) -> bool:
        if not isinstance(found, Rejected) or not found.passing:
            return False
        self.put_off(found.place, found.reason)
        return True

    def _requests(self, places: Iterable[Place]) -> Iterator[ProbeRequest]:
        for place in places:
            try:
                yield self._request(place)
            except StoreUnavailableError as error:  # nothing to sign its address with
                self.put_off(place, str(error.strerror))

    def _request(self, place: Place) -> ProbeRequest:
        companions = self.companions.get(place, ())
        beside = tuple(self._beside(one) for one in companions)
        return ProbeRequest(place, self.file(place), beside)

    def _beside(self, companion: Sidecar) -> SidecarRef:
        file = self.file(companion.place)
        name = companion.place.path.rpartition("/")[2]
        is_other = not is_address(file) and not file.endswith(f"/{name}")
        return SidecarRef(companion.kind, file, name if is_other else "")

    def _record(self, batch: list[_Answered]) -> None:
        """Record videos first, which gives them their ids, and then what was made of them."""
        now, append = self.receipt.at, self.builder.catalogue.append
        events = [self._video_event(one, now) for one in batch]
        recorded = iter(append([event for event in events if event is not None]))
        made: list[Event] = []
        files: list[MadeFile] = []
        for one, event in zip(batch, events, strict=True):
            told = next(recorded) if event is not None else None
            known = one.wanted.known
            video = known.video if known is not None else _subject(told)
            if video is not None:
                made += _made_events(files, video, one, now)
            made += self._complaints(one, now)
            if _waits(one, now):
                self.receipt.still_copied += 1
            else:
                _count(self.receipt, one)
        self.builder.files.make(files)
        append(made)

    def _complaints(self, one: _Answered, now: int) -> Iterator[Event]:
        if isinstance(one.answer, Rejected):
            return
        reasons = {unsigned(file): reason for file, reason in one.answer.complaints}
        if not reasons:
            return
        for companion in self.companions.get(one.wanted.place, ()):
            reason = reasons.get(unsigned(self.file(companion.place)))
            if reason is not None:
                sighting = FileStat(companion.place, companion.size_bytes, companion.mtime_ns)
                yield problem_event(sighting, "sidecar", reason, now)

    def _video_event(self, one: _Answered, now: int) -> Event | None:
        wanted, answer, known = one.wanted, one.answer, one.wanted.known
        mark = sidecar_digest(wanted.place.path, self.companions.get(wanted.place, ()))
        if isinstance(answer, ProbeResult):
            answer = _with_dates(answer, wanted.place, titles=self.embedded_titles)
        if wanted.seen is None:
            assert known is not None
            if isinstance(answer, Rejected):
                told: dict[str, object] = {"companions": mark, "probed": PROBE_VERSION}
            else:
                told = {"companions": mark} | _probe_value(wanted, answer) | _details_value(answer)
            return event_of(EventKind.VIDEO_DESCRIBED, now, known.video, told)
        value = dict(wanted.facts)
        if _waits(one, now):
            return _cut_short(one, now)
        if isinstance(answer, Rejected):
            if known is None:
                stage = SOUND if _is_sound(one) else "probe"
                return problem_event(wanted.seen.stat, stage, answer.reason, now)
            value["other_content"] = True
            return event_of(EventKind.VIDEO_CHANGED, now, known.video, value)
        value |= {"companions": mark} | _probe_value(wanted, answer) | _details_value(answer)
        value["recorded_at"] = file_at = wanted.seen.stat.mtime_ns // 10**9
        value["recorded_offset_min"] = 0  # of whom the clock was nobody knows
        if known is not None:
            value["other_content"] = True
            kind = EventKind.VIDEO_RETURNED if known.missing else EventKind.VIDEO_CHANGED
            return event_of(kind, now, known.video, value)
        value["slug"] = urls.slug_of(_title(answer) or str(value["title"]))
        value["added_at"] = min(file_at, now) if self.is_first else now
        return event_of(EventKind.VIDEO_FOUND, now, None, value)


def event_of(
    kind: EventKind, now: int, video: VideoId | None, value: Mapping[str, object] | None = None
) -> Event:
    """Return an event that a look at the library brings about."""
    return Event(uuid4().hex, kind, now, SCAN, video, value or {})


def problem_event(sighting: FileStat, stage: str, reason: str, now: int) -> Event:
    """Return the event that tells of a file that is not, or not wholly, as it should be."""
    value = {
        "root": sighting.place.root,
        "path": sighting.place.path,
        "size_bytes": sighting.size_bytes,
        "mtime_ns": sighting.mtime_ns,
        "stage": stage,
        "reason": reason,
    }
    return event_of(EventKind.FILE_REFUSED, now, None, value)


def _is_sound(one: _Answered) -> bool:
    """Tell whether a file that might have been a film is sound alone."""
    return (
        isinstance(one.answer, Rejected)
        and one.wanted.known is None
        and one.answer.reason in NO_VIDEO
        and may_be_sound(one.wanted.place.path)
    )


def _waits(one: _Answered, now: int) -> bool:
    """Tell whether a new file is to be left until it is whole: nothing of it is known yet."""
    seen = one.wanted.seen
    return (
        isinstance(one.answer, ProbeResult)
        and one.answer.cut_short != ""
        and one.wanted.known is None
        and seen is not None
        and unfinished.may_grow(seen.stat.mtime_ns, now)
    )


def _cut_short(one: _Answered, now: int) -> Event:
    """Return the event that tells of a file that is cut short, taken or not."""
    assert isinstance(one.answer, ProbeResult)
    reason, seen, known = one.answer.cut_short, one.wanted.seen, one.wanted.known
    if seen is not None:
        complaint = unfinished.complaint(reason, waits=_waits(one, now))
        return problem_event(seen.stat, unfinished.STAGE, complaint, now)
    assert known is not None
    sighting = FileStat(known.place, known.size_bytes, known.mtime_ns)
    return problem_event(sighting, unfinished.STAGE, unfinished.complaint(reason, waits=False), now)


def _subject(recorded: RecordedEvent | None) -> VideoId | None:
    return recorded.video if recorded is not None else None


def _made_events(
    files: list[MadeFile], video: VideoId, one: _Answered, now: int
) -> Iterator[Event]:
    """Yield what tells of what was made of a video, and put that among `files`, to be written."""
    answer = one.answer
    if isinstance(answer, Rejected):
        yield event_of(EventKind.POSTER_FAILED, now, video, {"reason": answer.reason})
        return
    if answer.stills is None:  # its problem is the graver: it keeps the poster from being retried
        reason = answer.poster_problem
        if answer.cut_short:
            reason += f"; it {unfinished.complaint(answer.cut_short, waits=False)}"
        yield event_of(EventKind.POSTER_FAILED, now, video, {"reason": reason})
    else:
        poster = _keep(files, video, answer.stills)
        yield event_of(EventKind.POSTER_MADE, now, video, {"poster": poster})
        if answer.cut_short:
            yield _cut_short(one, now)
    if one.wanted.is_outdated:
        dropped = {"board": EventKind.BOARD_DROPPED, "copy": EventKind.RENDITION_DROPPED}
        for what in answer.outdated:
            yield event_of(dropped[what], now, video)
    if answer.subtitles or one.wanted.known is not None:
        beside: dict[str, object] = {
            "tracks": keep_tracks(files, video, answer.subtitles, answer.probe.start_s)
        }
        details = {MetadataSource.BESIDE: beside}
        value = {"read": [MetadataSource.BESIDE], "details": details}
        yield event_of(EventKind.VIDEO_DESCRIBED, now, video, value)


def _keep(files: list[MadeFile], video: VideoId, stills: Stills) -> dict[str, object]:
    """Put the stills of a poster among `files`; return what the catalogue keeps of it."""
    contents = [*(still.content for still in stills.webp), stills.jpeg]
    poster = Poster(
        Output.digest_name(contents),
        tuple(still.width_px for still in stills.webp),
        stills.webp[0].width_px,
        stills.webp[0].height_px,
        stills.colour,
    )
    files += zip(urls.still_files(video, poster), contents, strict=True)
    return {
        "digest": poster.digest,
        "widths_px": list(poster.widths_px),
        "width_px": poster.width_px,
        "height_px": poster.height_px,
        "colour": poster.colour,
    }


def keep_tracks(
    files: list[MadeFile], video: VideoId, subtitles: Iterable[Subtitles], start_s: float
) -> list[list[object]]:
    """Put subtitles among `files`; return what the catalogue keeps of them: labels are unique.

    Of a film whose own clock begins late (`start_s`) there are some for that clock as well.
    """
    rows: list[list[object]] = []
    labels: set[str] = set()
    for one in subtitles:
        label, number = one.label, 1
        while label in labels:
            number += 1
            label = f"{one.label} {number}"
        labels.add(label)
        digest = Output.digest_name([one.content])
        path = urls.track_file(video, digest)
        files.append((path, one.content))
        if start_s:
            files.append((urls.late_file(path, start_s), shift_cues(one.content, start_s)))
        rows.append([one.language, label, one.forced, one.sdh, digest])
    return rows


def _count(receipt: Receipt, one: _Answered) -> None:
    if isinstance(one.answer, Rejected):
        receipt.refused += not _is_sound(one)
        return
    receipt.posters += one.answer.stills is not None
    if one.wanted.seen is not None:
        receipt.found += one.wanted.known is None
        receipt.changed += one.wanted.known is not None


def _probe_value(wanted: ProbeTask, answer: ProbeResult) -> dict[str, object]:
    probe = answer.probe
    of = wanted.seen.stat if wanted.seen is not None else wanted.known
    assert of is not None
    return {
        "container": probe.container,
        "duration_s": probe.duration_s,
        "width_px": probe.width_px,
        "height_px": probe.height_px,
        "fps": probe.fps,
        "video_codec": probe.video_codec,
        "audio_codec": probe.audio_codec,
        "codecs": probe.codecs,
        "pixel_format": probe.pixel_format,
        "fast_start": probe.fast_start,
        "text_streams": probe.text_streams,
        "start_s": probe.start_s,
        "probed": PROBE_VERSION,
        "need": remedy_of(probe, of.size_bytes),
    }


_READ = (
    MetadataSource.OWN, MetadataSource.NFO, MetadataSource.YTDLP, MetadataSource.JSON,
    MetadataSource.EMBEDDED, MetadataSource.NAME,
)  # fmt: skip


def _with_dates(answer: ProbeResult, place: Place, *, titles: bool) -> ProbeResult:
    """Let what the file says of itself have the probe's date, and its title only if wanted.

    What its name says comes beside.
    """
    told = dict(answer.details)
    embedded, probe = told.get(MetadataSource.EMBEDDED, Metadata()), answer.probe
    if embedded.recorded_at is None:
        embedded = replace(
            embedded,
            recorded_at=probe.recorded_at,
            recorded_offset_min=probe.recorded_offset_min,
        )
    by_name = moment_in_name(place.path.rpartition("/")[2])
    if by_name is not None and embedded.recorded_at is not None:
        clock = Moment(embedded.recorded_at, embedded.recorded_offset_min)
        moment = placed(clock, by_name, probe.duration_s)
        embedded = replace(embedded, recorded_offset_min=moment.offset_min)
    told[MetadataSource.EMBEDDED] = replace(embedded, title=embedded.title if titles else None)
    told[MetadataSource.NAME] = _named(place)
    return replace(answer, details=tuple(told.items()))


def _named(place: Place) -> Metadata:
    """Return what the name of a file says of it, besides its title."""
    moment = moment_in_name(place.path.rpartition("/")[2])
    if moment is None:
        return Metadata()
    return Metadata(recorded_at=moment.at, recorded_offset_min=moment.offset_min)


def named(place: Place) -> dict[str, object]:
    """Return what an event tells of the name of a file."""
    return _said(_named(place))


def _details_value(answer: ProbeResult) -> dict[str, object]:
    """Return what each source says; those that say nothing are named, to be forgotten."""
    said = {source: _said(details) for source, details in answer.details}
    return {"read": list(_READ), "details": {source: one for source, one in said.items() if one}}


def _said(details: Metadata) -> dict[str, object]:
    said: dict[str, object] = {
        "title": details.title,
        "description": details.description,
        "is_markdown": details.is_markdown or None,
        "recorded_at": details.recorded_at,
        "creator": details.creator,
        "url": details.url,
        "tags": list(details.tags) or None,
        "chapters": [[one.start_s, one.title] for one in details.chapters] or None,
        "recorded_offset_min": details.recorded_offset_min,
        "season": details.season,
        "episode": details.episode,
        "playlist_index": details.playlist_index,
        "is_other_cut": details.is_other_cut or None,
    }
    return {name: value for name, value in said.items() if value is not None}


def _title(answer: ProbeResult) -> str | None:
    """Return the title that the strongest source gives."""
    told = dict(answer.details)
    return next(
        (told[one].title for one in MetadataSource if one in told and told[one].title), None
    )


class DryRunWorkers:
    """Workers of a dry run: they open nothing and take every file for a video without poster."""

    def answer(self, requests: Iterable[ProbeRequest]) -> Iterator[Found]:
        """Yield what a file would give at least."""
        for request in requests:
            yield ProbeResult(request.place, Probe("unknown"), None, "not tried in a dry run")
