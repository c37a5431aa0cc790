"""Probing: workers read files, and the results become events in the log.

A file that is new or has new content is probed and gets a poster, and its metadata, embedded and in
sidecars, is read. Generated files are in the output folder before the log mentions them.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol
from uuid import uuid4

from generator.adapters.catalogue import Catalogue
from generator.adapters.output import Output
from generator.core.build_receipt import Receipt
from generator.core.library import unfinished
from generator.core.library.bucket_listing import StoreUnavailableError, is_address, unsigned
from generator.core.library.file_filter import may_be_sound
from generator.core.library.identity import FingerprintedFile, KnownFile
from generator.core.library.sidecar_files import sidecar_digest
from generator.core.media.dates import Moment, moment_in_name, placed
from generator.core.media.remedies import remedy_of
from generator.core.media.stills import PROBE_VERSION
from generator.core.media.webvtt import shift_cues
from generator.core.media.worker_protocol import ProbeAnswer, ProbeRequest, SidecarRef
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
from generator.core.site import urls
from generator.render.owned_files import MadeFile, OwnedFiles

SCAN = "scan"  # the source of events that a scan records
_TOGETHER = 32  # results recorded in one transaction
_RECORD_S = 1.0  # none waits longer for others: a build that is killed keeps it


class ProbeWorkers(Protocol):
    """Probes files; the one of a dry run only guesses."""

    def answer(self, requests: Iterable[ProbeRequest]) -> Iterator[ProbeAnswer]:
        """Yield one result for each request, in any order."""


class ScanTarget(Protocol):
    """The part of the engine that a scan needs."""

    @property
    def catalogue(self) -> Catalogue:
        """Return the catalogue to record events in."""

    @property
    def output(self) -> Output:
        """Return the output folder."""

    @property
    def files(self) -> OwnedFiles:
        """Return the writer of files to the output folder."""


@dataclass(frozen=True, slots=True)
class ProbeTask:
    """A file to probe: a new video (no `former`), new content (both), or a repeat (no `seen`).

    `facts` is the value of an event about the file itself. `is_outdated`: it was last probed by an
    older version of the probe.
    """

    place: Place
    seen: FingerprintedFile | None
    former: KnownFile | None
    facts: Mapping[str, object]
    is_outdated: bool = False


@dataclass(frozen=True, slots=True)
class _Probed:
    task: ProbeTask
    answer: ProbeResult | Rejected


@dataclass(frozen=True, slots=True)
class ProbeRun:
    """Files to probe, and where the results go; `file` returns the path or URL of a place.

    `put_off` is called with files that could not be read: nothing is recorded of them.
    `is_first`: this is the first scan of the library, so files count as added at their mtime.
    `embedded_titles`: use the titles inside the files.
    """

    builder: ScanTarget
    workers: ProbeWorkers
    receipt: Receipt
    sidecars: Mapping[Place, tuple[Sidecar, ...]]
    file: Callable[[Place], str]
    is_first: bool
    embedded_titles: bool
    progress: Callable[[str, int, int], None]
    put_off: Callable[[Place, str], None] = lambda *_: None

    def run(self, tasks: Iterable[ProbeTask]) -> None:
        """Probe files and record the results; results so far are kept if it is stopped."""
        by_place = {task.place: task for task in tasks}
        batch: list[_Probed] = []
        recorded_s = time.monotonic()
        for done, probed in enumerate(self._results(by_place), 1):
            batch.append(probed)
            if len(batch) >= _TOGETHER or time.monotonic() - recorded_s > _RECORD_S:
                self._record(batch)
                batch, recorded_s = [], time.monotonic()
            self.progress("posters", done, len(by_place))
        self._record(batch)

    def _results(self, tasks: Mapping[Place, ProbeTask]) -> Iterator[_Probed]:
        """Yield the result of each file; retry a failing one without its sidecars."""
        failed: dict[Place, Rejected] = {}
        for result in self.workers.answer(self._requests(tasks)):
            if self._is_put_off(result):
                continue
            if isinstance(result, Rejected) and self.sidecars.get(result.place):
                failed[result.place] = result
            elif not isinstance(result, EnrichmentResult):
                yield _Probed(tasks[result.place], result)
        alone = (ProbeRequest(place, self.file(place)) for place in failed)
        for result in self.workers.answer(alone) if failed else ():
            if isinstance(result, ProbeResult):
                reason = f"could not be read: {failed[result.place].reason}"
                files = [self.file(sidecar.place) for sidecar in self.sidecars[result.place]]
                complaints = tuple((file, reason) for file in files)
                yield _Probed(tasks[result.place], replace(result, complaints=complaints))
            elif isinstance(result, Rejected) and not self._is_put_off(result):
                yield _Probed(tasks[result.place], result)

    def _is_put_off(self, result: ProbeAnswer) -> bool:
        if not isinstance(result, Rejected) or not result.passing:
            return False
        self.put_off(result.place, result.reason)
        return True

    def _requests(self, places: Iterable[Place]) -> Iterator[ProbeRequest]:
        for place in places:
            try:
                yield self._request(place)
            except StoreUnavailableError as error:  # no credentials to sign its URL with
                self.put_off(place, str(error.strerror))

    def _request(self, place: Place) -> ProbeRequest:
        sidecars = self.sidecars.get(place, ())
        beside = tuple(self._sidecar_ref(sidecar) for sidecar in sidecars)
        return ProbeRequest(place, self.file(place), beside)

    def _sidecar_ref(self, sidecar: Sidecar) -> SidecarRef:
        file = self.file(sidecar.place)
        name = sidecar.place.path.rpartition("/")[2]
        is_other = not is_address(file) and not file.endswith(f"/{name}")
        return SidecarRef(sidecar.kind, file, name if is_other else "")

    def _record(self, batch: list[_Probed]) -> None:
        """Record videos first, which gives them their ids, and then the files made for them."""
        now, append = self.receipt.at, self.builder.catalogue.append
        events = [self._video_event(probed, now) for probed in batch]
        recorded = iter(append([event for event in events if event is not None]))
        made: list[Event] = []
        files: list[MadeFile] = []
        events_of: list[tuple[list[Event], list[MadeFile]]] = []
        for probed, event in zip(batch, events, strict=True):
            stored = next(recorded) if event is not None else None
            former = probed.task.former
            video = former.video if former is not None else _subject(stored)
            if video is not None:
                own: list[MadeFile] = []
                events_of.append((list(_made_events(own, video, probed, now)), own))
                files += own
            made += self._complaints(probed, now)
            if _waits(probed, now):
                self.receipt.still_copied += 1
            else:
                _count(self.receipt, probed)
        refused = self.builder.files.make(files)
        for video_events, own in events_of:
            made += _without_refused(video_events, [refused[p] for p, _ in own if p in refused])
        append(made)

    def _complaints(self, probed: _Probed, now: int) -> Iterator[Event]:
        if isinstance(probed.answer, Rejected):
            return
        reasons = {unsigned(file): reason for file, reason in probed.answer.complaints}
        if not reasons:
            return
        for sidecar in self.sidecars.get(probed.task.place, ()):
            reason = reasons.get(unsigned(self.file(sidecar.place)))
            if reason is not None:
                file = FileStat(sidecar.place, sidecar.size_bytes, sidecar.mtime_ns)
                yield problem_event(file, "sidecar", reason, now)

    def _video_event(self, probed: _Probed, now: int) -> Event | None:
        task, answer, former = probed.task, probed.answer, probed.task.former
        digest = sidecar_digest(task.place.path, self.sidecars.get(task.place, ()))
        if isinstance(answer, ProbeResult):
            answer = _with_dates(answer, task.place, titles=self.embedded_titles)
        if task.seen is None:
            assert former is not None
            if isinstance(answer, Rejected):
                value: dict[str, object] = {"sidecar_digest": digest, "probed": PROBE_VERSION}
            else:
                value = (
                    {"sidecar_digest": digest}
                    | _probe_value(task, answer)
                    | _metadata_value(answer)
                )
            return event_of(EventKind.VIDEO_DESCRIBED, now, former.video, value)
        value = dict(task.facts)
        if _waits(probed, now):
            return _cut_short(probed, now)
        if isinstance(answer, Rejected):
            if former is None:
                stage = SOUND if _is_sound(probed) else "probe"
                return problem_event(task.seen.stat, stage, answer.reason, now)
            value["other_content"] = True
            return event_of(EventKind.VIDEO_CHANGED, now, former.video, value)
        value |= {"sidecar_digest": digest} | _probe_value(task, answer) | _metadata_value(answer)
        value["recorded_at"] = file_at = task.seen.stat.mtime_ns // 10**9
        value["recorded_offset_min"] = 0  # the time zone is unknown
        if former is not None:
            value["other_content"] = True
            kind = EventKind.VIDEO_RETURNED if former.missing else EventKind.VIDEO_CHANGED
            return event_of(kind, now, former.video, value)
        value["slug"] = urls.slug_of(_title(answer) or str(value["title"]))
        value["added_at"] = min(file_at, now) if self.is_first else now
        return event_of(EventKind.VIDEO_FOUND, now, None, value)


def event_of(
    kind: EventKind, now: int, video: VideoId | None, value: Mapping[str, object] | None = None
) -> Event:
    """Return an event of a scan."""
    return Event(uuid4().hex, kind, now, SCAN, video, value or {})


def problem_event(file: FileStat, stage: str, reason: str, now: int) -> Event:
    """Return the event that reports a problem with a file."""
    value = {
        "root": file.place.root,
        "path": file.place.path,
        "size_bytes": file.size_bytes,
        "mtime_ns": file.mtime_ns,
        "stage": stage,
        "reason": reason,
    }
    return event_of(EventKind.FILE_REFUSED, now, None, value)


def _is_sound(probed: _Probed) -> bool:
    """Return whether a file that might have been a video has only audio."""
    return (
        isinstance(probed.answer, Rejected)
        and probed.task.former is None
        and probed.answer.reason in NO_VIDEO
        and may_be_sound(probed.task.place.path)
    )


def _waits(probed: _Probed, now: int) -> bool:
    """Return whether a new, truncated file is left until it is complete."""
    seen = probed.task.seen
    return (
        isinstance(probed.answer, ProbeResult)
        and probed.answer.cut_short != ""
        and probed.task.former is None
        and seen is not None
        and unfinished.may_grow(seen.stat.mtime_ns, now)
    )


def _cut_short(probed: _Probed, now: int) -> Event:
    """Return the event that reports a truncated file, taken or not."""
    assert isinstance(probed.answer, ProbeResult)
    reason, seen, former = probed.answer.cut_short, probed.task.seen, probed.task.former
    if seen is not None:
        complaint = unfinished.complaint(reason, waits=_waits(probed, now))
        return problem_event(seen.stat, unfinished.STAGE, complaint, now)
    assert former is not None
    file = FileStat(former.place, former.size_bytes, former.mtime_ns)
    return problem_event(file, unfinished.STAGE, unfinished.complaint(reason, waits=False), now)


def _subject(recorded: RecordedEvent | None) -> VideoId | None:
    return recorded.video if recorded is not None else None


def _made_events(
    files: list[MadeFile], video: VideoId, probed: _Probed, now: int
) -> Iterator[Event]:
    """Yield the events of the files made for a video, and add those to `files`."""
    answer = probed.answer
    if isinstance(answer, Rejected):
        yield event_of(EventKind.POSTER_FAILED, now, video, {"reason": answer.reason})
        return
    if answer.stills is None:  # this problem matters more: it keeps the poster from being retried
        reason = answer.poster_problem
        if answer.cut_short:
            reason += f"; it {unfinished.complaint(answer.cut_short, waits=False)}"
        yield event_of(EventKind.POSTER_FAILED, now, video, {"reason": reason})
    else:
        poster = _add_stills(files, video, answer.stills)
        yield event_of(EventKind.POSTER_MADE, now, video, {"poster": poster})
        if answer.cut_short:
            yield _cut_short(probed, now)
    if probed.task.is_outdated:
        dropped = {"board": EventKind.BOARD_DROPPED, "copy": EventKind.RENDITION_DROPPED}
        for what in answer.outdated:
            yield event_of(dropped[what], now, video)
    if answer.subtitles or probed.task.former is not None:
        tracks: dict[str, object] = {
            "tracks": add_tracks(files, video, answer.subtitles, answer.probe.start_s)
        }
        metadata = {MetadataSource.BESIDE: tracks}
        value = {"read": [MetadataSource.BESIDE], "details": metadata}
        yield event_of(EventKind.VIDEO_DESCRIBED, now, video, value)


def _without_refused(events: list[Event], reasons: list[str]) -> Iterator[Event]:
    """Yield the events of a video; for `reasons` its files were not written, that they were not."""
    if not reasons:
        yield from events
        return
    lost = {EventKind.POSTER_MADE, EventKind.VIDEO_DESCRIBED}
    yield from (event for event in events if event.kind not in lost)
    event = events[0]
    assert event.video is not None
    yield event_of(EventKind.POSTER_FAILED, event.at, event.video, {"reason": reasons[0]})


def _add_stills(files: list[MadeFile], video: VideoId, stills: Stills) -> dict[str, object]:
    """Add the stills of a poster to `files`; return its value for the catalogue."""
    contents = [*(still.content for still in stills.webp), stills.jpeg]
    poster = Poster(
        Output.digest_name(contents),
        tuple(still.width_px for still in stills.webp),
        stills.webp[0].width_px,
        stills.webp[0].height_px,
        stills.color,
    )
    files += zip(urls.still_files(video, poster), contents, strict=True)
    return {
        "digest": poster.digest,
        "widths_px": list(poster.widths_px),
        "width_px": poster.width_px,
        "height_px": poster.height_px,
        "color": poster.color,
    }


def add_tracks(
    files: list[MadeFile], video: VideoId, subtitles: Iterable[Subtitles], start_s: float
) -> list[list[object]]:
    """Add subtitles to `files`; return their value for the catalogue: labels are unique.

    A video whose timestamps begin late (`start_s`) gets a copy with shifted cues as well.
    """
    rows: list[list[object]] = []
    labels: set[str] = set()
    for track in subtitles:
        label, number = track.label, 1
        while label in labels:
            number += 1
            label = f"{track.label} {number}"
        labels.add(label)
        digest = Output.digest_name([track.content])
        path = urls.track_file(video, digest)
        files.append((path, track.content))
        if start_s:
            files.append((urls.late_file(path, start_s), shift_cues(track.content, start_s)))
        rows.append([track.language, label, track.forced, track.sdh, digest])
    return rows


def _count(receipt: Receipt, probed: _Probed) -> None:
    if isinstance(probed.answer, Rejected):
        receipt.refused += not _is_sound(probed)
        return
    receipt.posters += probed.answer.stills is not None
    if probed.task.seen is not None:
        receipt.found += probed.task.former is None
        receipt.changed += probed.task.former is not None


def _probe_value(task: ProbeTask, answer: ProbeResult) -> dict[str, object]:
    probe = answer.probe
    file = task.seen.stat if task.seen is not None else task.former
    assert file is not None
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
        "playability": remedy_of(probe, file.size_bytes),
    }


_READ = (
    MetadataSource.OWN, MetadataSource.NFO, MetadataSource.YTDLP, MetadataSource.JSON,
    MetadataSource.EMBEDDED, MetadataSource.NAME,
)  # fmt: skip


def _with_dates(answer: ProbeResult, place: Place, *, titles: bool) -> ProbeResult:
    """Add the date of the probe and of the file name; keep the embedded title if `titles`."""
    by_source = dict(answer.details)
    embedded, probe = by_source.get(MetadataSource.EMBEDDED, Metadata()), answer.probe
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
    by_source[MetadataSource.EMBEDDED] = replace(embedded, title=embedded.title if titles else None)
    by_source[MetadataSource.NAME] = _named(place)
    return replace(answer, details=tuple(by_source.items()))


def _named(place: Place) -> Metadata:
    """Return the metadata in the name of a file, without the title."""
    moment = moment_in_name(place.path.rpartition("/")[2])
    if moment is None:
        return Metadata()
    return Metadata(recorded_at=moment.at, recorded_offset_min=moment.offset_min)


def named(place: Place) -> dict[str, object]:
    """Return the metadata in the name of a file as the value of an event."""
    return _metadata_fields(_named(place))


def _metadata_value(answer: ProbeResult) -> dict[str, object]:
    """Return the metadata by source; sources without any are named, to be cleared."""
    by_source = {source: _metadata_fields(metadata) for source, metadata in answer.details}
    return {
        "read": list(_READ),
        "details": {source: fields for source, fields in by_source.items() if fields},
    }


def _metadata_fields(metadata: Metadata) -> dict[str, object]:
    fields: dict[str, object] = {
        "title": metadata.title,
        "description": metadata.description,
        "is_markdown": metadata.is_markdown or None,
        "recorded_at": metadata.recorded_at,
        "creator": metadata.creator,
        "url": metadata.url,
        "tags": list(metadata.tags) or None,
        "chapters": [[chapter.start_s, chapter.title] for chapter in metadata.chapters] or None,
        "recorded_offset_min": metadata.recorded_offset_min,
        "season": metadata.season,
        "episode": metadata.episode,
        "playlist_index": metadata.playlist_index,
        "is_other_cut": metadata.is_other_cut or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _title(answer: ProbeResult) -> str | None:
    """Return the title of the strongest source."""
    by_source = dict(answer.details)
    return next(
        (
            by_source[source].title
            for source in MetadataSource
            if source in by_source and by_source[source].title
        ),
        None,
    )


class DryRunWorkers:
    """Workers of a dry run: they open nothing and treat every file as a video without poster."""

    def answer(self, requests: Iterable[ProbeRequest]) -> Iterator[ProbeAnswer]:
        """Yield a minimal result for each file."""
        for request in requests:
            yield ProbeResult(request.place, Probe("unknown"), None, "not tried in a dry run")
