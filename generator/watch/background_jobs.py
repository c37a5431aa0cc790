"""The backlog: background work that takes longer than a build, and can be stopped at any moment.

Storyboards and embedded subtitles come first; playable copies are made one at a time, in parallel.
The work to do is read from the catalogue, newest videos first; results become events there. So a
stop loses nothing, and nothing that was recorded is done twice.
"""

import logging
import shutil
import threading
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self
from uuid import uuid4

from typing_extensions import override

from generator.adapters.catalogue import Catalogue
from generator.adapters.catalogue.pending_jobs import RenditionScope
from generator.adapters.media.rendition_runner import (
    DiskFull,
    FinishedCopy,
    RenditionProgress,
    RenditionRequest,
    RenditionRunner,
)
from generator.adapters.media.worker_pool import MediaWorkers
from generator.adapters.output import Output
from generator.adapters.settings import Settings
from generator.core import formatting
from generator.core.errors import ReelshelfError
from generator.core.library.identity import KnownFile
from generator.core.media.remedies import WANTED, remedy_of, way_of
from generator.core.media.renditions import estimate_bytes
from generator.core.media.webvtt import board_vtt, shift_cues
from generator.core.media.worker_protocol import ProbeRequest
from generator.core.model import (
    EncodedStoryboard,
    EnrichmentResult,
    Event,
    EventKind,
    Place,
    ProbeResult,
    Rejected,
    Rendition,
    Storyboard,
    Video,
    VideoId,
)
from generator.core.site import urls
from generator.render.owned_files import MadeFile, OwnedFiles, why_not_written
from generator.scan.library_roots import follow_link
from generator.scan.probe import add_tracks

log = logging.getLogger(__name__)

_AT_ONCE = 32  # videos given to the workers together
_PATIENCE = 4  # times the time limit of a file: a storyboard reads more than a poster
_POLL_S = 0.5  # between two polls of the rendition process
_LEFT_FREE = 1 << 30  # bytes of disk space that a copy leaves free
_MIN_NICE = 10  # niceness of the workers, at least
_SOURCE = "backlog"


@dataclass(frozen=True, slots=True)
class _Job:
    """A video, its file when the work began, and the request."""

    video: Video
    file: KnownFile
    request: ProbeRequest | RenditionRequest


@dataclass(frozen=True, slots=True)
class _Finished:
    job: _Job
    result: EnrichmentResult | FinishedCopy | Rejected


class Backlog:
    """The background work of one builder. All but `ready` is for the builder's own thread.

    Args:
        settings: what to make, and how much of the machine to use.
        wake: called in a thread of the backlog whenever something is finished.
    """

    def __init__(self, settings: Settings, wake: Callable[[], None] = lambda: None) -> None:
        self._settings = settings
        self._finished: SimpleQueue[_Finished] = SimpleQueue()
        self._running: dict[VideoId, _Job] = {}
        self._storyboards = _StoryboardLane(settings, self._finished, wake)
        self._renditions = _RenditionLane(settings, self._finished, wake)
        self._is_starved = False  # of disk space; logged once
        self._is_full = False  # no more copies in this run: the disk was full
        self.enriched = self.rendered = 0  # recorded so far

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop all work at once; unrecorded work is done again later."""
        self._storyboards.close()
        self._renditions.close()

    def ready(self) -> bool:
        """Return whether something is finished and not recorded yet."""
        return not self._finished.empty()

    @property
    def progress(self) -> RenditionProgress | None:
        """Return the progress of the current copy, None if there is none."""
        return self._renditions.progress

    def left(self, catalogue: Catalogue) -> int:
        """Return how many videos still need a storyboard, or their embedded subtitles."""
        return catalogue.todo.count_to_enrich(
            boards=self._settings.storyboards, roots=self._readable
        )

    def enqueue(self, catalogue: Catalogue) -> bool:
        """Start work where there is capacity; return whether any is in progress.

        Raises:
            ReelshelfError: the workers cannot be started.
        """
        for lane in (self._storyboards, self._renditions):
            if lane.failure is not None:
                raise lane.failure
        if not self._storyboards.busy:
            self._enqueue_storyboards(catalogue)
        if not self._renditions.busy and not self._is_full and self._settings.renditions != "off":
            self._enqueue_renditions(catalogue)
        return bool(self._running)

    @property
    def _readable(self) -> list[str] | None:
        """Return the roots whose files are read completely: folders; None for all roots."""
        return list(self._settings.roots) if self._settings.buckets else None

    def _enqueue_storyboards(self, catalogue: Catalogue) -> None:
        most = _AT_ONCE + len(self._running)
        due = catalogue.todo.to_enrich(
            most, boards=self._settings.storyboards, roots=self._readable
        )
        missing = {task.video: task for task in due if task.video not in self._running}
        jobs = []
        for video, file in _with_file(catalogue, list(missing)[:_AT_ONCE], self._settings.roots):
            task = missing[video.id]
            request = ProbeRequest(
                file.place, self._file(file.place), board=task.board, texts=task.texts
            )
            jobs.append(_Job(video, file, request))
        self._give(self._storyboards, jobs)

    def _enqueue_renditions(self, catalogue: Catalogue) -> None:
        most = 1 + len(self._running)
        due = catalogue.todo.without_rendition(
            rendition_scope(self._settings), most, self._readable
        )
        for number in due:
            if number in self._running:
                continue
            for video, file in _with_file(catalogue, [number], self._settings.roots):
                request = request_for(self._settings, video, self._file(file.place))
                if self._has_room(video, request):
                    self._give(self._renditions, [_Job(video, file, request)])
            return

    def _give(self, lane: "_Lane", jobs: list[_Job]) -> None:
        if jobs:
            self._running.update((job.video.id, job) for job in jobs)
            lane.give(jobs)

    def _has_room(self, video: Video, request: RenditionRequest) -> bool:
        needed = estimate_bytes(video.probe, video.size_bytes, request.made_by)
        free = shutil.disk_usage(self._settings.state).free
        enough = free >= 2 * needed + _LEFT_FREE  # segments and the complete file, for a moment
        if not enough and not self._is_starved:
            log.warning(
                "no playable copy of %s: it needs about %s plus a reserve of %s, and %s are free",
                formatting.readable(video.place.path),
                formatting.file_size(2 * needed),
                formatting.file_size(_LEFT_FREE),
                formatting.file_size(free),
            )
        self._is_starved = not enough
        return enough

    def _file(self, place: Place) -> str:
        file = f"{self._settings.roots[place.root]}/{place.path}"
        return follow_link(file) if self._settings.follow_links else file

    def record(self, catalogue: Catalogue, output: OwnedFiles, now: int) -> int:
        """Move finished work into the output folder and the log; return the number of videos.

        Results for a file that changed meanwhile are discarded.

        Raises:
            OSError: the disk is full; unrecorded work is done again later.
        """
        done: list[_Finished] = []
        with suppress(Empty):
            while True:
                done.append(self._finished.get_nowait())
        for finished in done:
            self._running.pop(finished.job.video.id, None)
        files_now = {
            file.video: file
            for file in catalogue.files_of([finished.job.video.id for finished in done])
        }
        events: list[Event] = []
        jobs: list[tuple[_Finished, list[Event], list[MadeFile]]] = []
        for finished in done:
            if isinstance(finished.result, DiskFull):  # the file is not to blame
                log.warning("no more playable copies for now: %s", finished.result.reason)
                self._is_full = True
            elif _is_same(finished.job.file, files_now.get(finished.job.video.id)):
                files: list[MadeFile] = []
                jobs.append((finished, list(_events(output, files, finished, now)), files))
                self.enriched += isinstance(finished.result, EnrichmentResult)
                self.rendered += isinstance(finished.result, FinishedCopy)
            elif isinstance(finished.result, FinishedCopy):
                finished.result.file.unlink(missing_ok=True)
        refused = output.make([file for *_, files in jobs for file in files])
        for finished, job_events, files in jobs:
            reasons = [refused[path] for path, _ in files if path in refused]
            events += [_failed(finished, reasons[0], now)] if reasons else job_events
        catalogue.append(events)
        return len(done)


def _with_file(
    catalogue: Catalogue, ids: list[VideoId], roots: Container[str]
) -> Iterator[tuple[Video, KnownFile]]:
    """Yield those of some videos that have pages and a file, in the order of the ids."""
    videos = {video.id: video for video in catalogue.shown(ids)}
    files = {
        file.video: file
        for file in catalogue.files_of(ids)
        if not file.missing and file.place.root in roots
    }
    for number in ids:
        if number in videos and number in files:
            yield videos[number], files[number]


def _is_same(before: KnownFile, now: KnownFile | None) -> bool:
    return now is not None and not now.missing and before.fingerprint == now.fingerprint


def rendition_scope(settings: Settings) -> RenditionScope:
    """Return which videos get playable copies."""
    minutes, megabytes = settings.hls_from_minutes, settings.hls_from_mb
    return RenditionScope(WANTED[settings.renditions], minutes * 60.0, megabytes << 20)


def request_for(settings: Settings, video: Video, file: str) -> RenditionRequest:
    """Return how a playable copy of a video is made."""
    remedy = remedy_of(video.probe, video.size_bytes)
    made_by, container = way_of(remedy, video.probe, transcodes=settings.renditions == "all")
    minutes, megabytes = settings.hls_from_minutes, settings.hls_from_mb
    is_long = minutes > 0 and (video.probe.duration_s or 0) >= minutes * 60
    is_large = megabytes > 0 and video.size_bytes >= megabytes << 20
    is_hls = (is_long or is_large) and container == "mp4"
    return RenditionRequest(video.place, file, made_by, container, is_hls=is_hls, job=f"{video.id}")


def _events(
    output: OwnedFiles, files: list[MadeFile], finished: _Finished, now: int
) -> Iterator[Event]:
    """Yield the events of a result, and add its files to `files`."""
    yield _event(output, files, finished, now)
    if isinstance(finished.result, FinishedCopy) and finished.result.complaint:
        yield _event_of(
            EventKind.RENDITION_FAILED,
            now,
            finished.job.video,
            {"reason": finished.result.complaint},
        )


def _event(output: OwnedFiles, files: list[MadeFile], finished: _Finished, now: int) -> Event:
    video, result = finished.job.video, finished.result
    if isinstance(result, EnrichmentResult):
        value: dict[str, object] = {}
        request = finished.job.request
        assert isinstance(request, ProbeRequest)
        if request.board:
            value["storyboard"] = result.board and _add_storyboard(files, video, result.board)
        if request.texts:
            value["tracks"] = add_tracks(files, video.id, result.subtitles, video.probe.start_s)
        return _event_of(EventKind.BOARD_MADE, now, video, value)
    if isinstance(result, FinishedCopy):
        try:
            kept = _add_rendition(output, files, video, result)
        except OSError as error:
            reason = why_not_written(str(error.filename), error)
            result.file.unlink(missing_ok=True)
            return _failed(finished, reason, now)
        return _event_of(EventKind.RENDITION_MADE, now, video, {"rendition": kept})
    return _failed(finished, result.reason, now)


def _failed(finished: _Finished, reason: str, now: int) -> Event:
    kind = (
        EventKind.BOARD_FAILED
        if isinstance(finished.job.request, ProbeRequest)
        else EventKind.RENDITION_FAILED
    )
    return _event_of(kind, now, finished.job.video, {"reason": reason})


def _event_of(kind: EventKind, now: int, video: Video, value: dict[str, object]) -> Event:
    return Event(uuid4().hex, kind, now, _SOURCE, video.id, value)


def _add_storyboard(
    files: list[MadeFile], video: Video, encoded: EncodedStoryboard
) -> dict[str, object]:
    starts = repr(encoded.starts_s).encode()
    sides = (len(encoded.starts_s), encoded.columns, encoded.tile_width_px, encoded.tile_height_px)
    storyboard = Storyboard(Output.digest_name([encoded.content, starts]), *sides)
    sprite, track = urls.board_files(video.id, storyboard)
    name = sprite.rpartition("/")[2]  # relative to the track: valid wherever the site is
    content = board_vtt(encoded.starts_s, video.probe.duration_s, *sides[1:], name)
    files += [(sprite, encoded.content), (track, content)]
    if start_s := video.probe.start_s:
        files.append((urls.late_file(track, start_s), shift_cues(content, start_s)))
    return asdict(storyboard)


def _add_rendition(
    output: OwnedFiles, files: list[MadeFile], video: Video, made: FinishedCopy
) -> dict[str, object]:
    container = made.file.suffix.removeprefix(".")
    rendition = Rendition(
        made.digest, made.size_bytes, made.made_by, container, made.codecs, made.is_hls
    )
    video_file, *playlist = urls.rendition_files(video.id, rendition)
    output.adopt(video_file, made.file)
    for path in playlist:
        name = video_file.rpartition("/")[2]
        files.append((path, made.playlist.replace(made.file.name, name).encode()))
    return asdict(rendition)


class _Lane:
    """A thread that works on jobs; it starts with the first one.

    `failure` is why it stopped.
    """

    def __init__(
        self, settings: Settings, finished: "SimpleQueue[_Finished]", wake: Callable[[], None]
    ) -> None:
        self._settings, self._finished, self._wake = settings, finished, wake
        self._given: SimpleQueue[list[_Job] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._idle = threading.Event()
        self._idle.set()
        self._is_stopped = False
        self.failure: ReelshelfError | None = None

    @property
    def busy(self) -> bool:
        """Return whether it is still working on its jobs."""
        return not self._idle.is_set()

    def give(self, jobs: list[_Job]) -> None:
        """Queue some jobs."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)
            self._thread.start()
        self._idle.clear()
        self._given.put(jobs)

    def close(self) -> None:
        """Stop it, whatever it is doing."""
        if self._thread is not None:
            self._is_stopped = True
            self._given.put(None)
            self._interrupt()
            self._thread.join()

    def _run(self) -> None:
        try:
            self._work()
        except ReelshelfError as error:
            self.failure = error
            self._wake()

    def _batches(self) -> Iterator[list[_Job]]:
        while (jobs := self._given.get()) is not None and not self._is_stopped:
            yield jobs
            self._idle.set()
            self._wake()

    def _finish(self, job: _Job, result: EnrichmentResult | FinishedCopy | Rejected) -> None:
        self._finished.put(_Finished(job, result))
        self._wake()

    def _interrupt(self) -> None:
        """Interrupt a wait for a child process; a lane that polls needs nothing."""

    def _work(self) -> None:
        raise NotImplementedError


class _StoryboardLane(_Lane):
    """Storyboards and embedded subtitles, by workers of its own."""

    _workers: MediaWorkers | None = None

    @override
    def _interrupt(self) -> None:
        if self._workers is not None:
            self._workers.stop()

    @override
    def _work(self) -> None:
        settings = self._settings
        with MediaWorkers(
            jobs=settings.workers,
            time_limit_s=settings.file_limit_s * _PATIENCE,
            memory_mb=settings.file_memory_mb,
            nice=max(settings.nice, _MIN_NICE),
        ) as self._workers:
            for jobs in self._batches():
                by_place = {job.file.place: job for job in jobs}
                requests = [job.request for job in jobs if isinstance(job.request, ProbeRequest)]
                for result in self._workers.answer(requests):
                    if not isinstance(result, ProbeResult):
                        self._finish(by_place[result.place], result)


class _RenditionLane(_Lane):
    """Playable copies, one after another."""

    progress: RenditionProgress | None = None

    @override
    def _work(self) -> None:
        settings = self._settings
        scratch = settings.state / "renditions"
        with RenditionRunner(scratch, memory_mb=2 * settings.file_memory_mb) as renditions:
            for (job,) in self._batches():
                assert isinstance(job.request, RenditionRequest)
                renditions.start(job.request)
                while not self._is_stopped:
                    result = renditions.poll(_POLL_S)
                    if isinstance(result, FinishedCopy | Rejected):
                        self.progress = None
                        self._finish(job, result)
                        break
                    self.progress = result or self.progress
