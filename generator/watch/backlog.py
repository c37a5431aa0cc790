"""The backlog: what takes longer than a refresh, done beside it, and stopped at any moment.

Storyboards, and the subtitles inside of files, come first; playable copies, one at a time, beside
them. What is still to be done is read from the catalogue, newest videos first; what is done becomes
events there. So nothing is lost by a stop, and nothing that was recorded is done twice.
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
from generator.adapters.catalogue.todo import RenditionScope
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
from generator.render.owned_files import MadeFile, OwnedFiles
from generator.scan.probe import keep_tracks
from generator.scan.sources import led_to

log = logging.getLogger(__name__)

_AT_ONCE = 32  # videos given to the workers together
_PATIENCE = 4  # times the limit of one file: a storyboard reads more of it than a poster
_LOOK_S = 0.5  # between two looks at the copy that is being made
_LEFT_FREE = 1 << 30  # bytes that a copy leaves on the disk
_BEHIND = 10  # how much it stands back behind other programs at least
_SOURCE = "backlog"


@dataclass(frozen=True, slots=True)
class _Job:
    """A video, its file as it was when the work on it began, and the work."""

    video: Video
    known: KnownFile
    request: ProbeRequest | RenditionRequest


@dataclass(frozen=True, slots=True)
class _Finished:
    job: _Job
    found: EnrichmentResult | FinishedCopy | Rejected


class Backlog:
    """The work beside one builder. All but `ready` is for the builder's own thread.

    Args:
        settings: what is wanted, and how much of the machine may be taken.
        wake: called in a thread of the backlog's own whenever something is finished.
    """

    def __init__(self, settings: Settings, wake: Callable[[], None] = lambda: None) -> None:
        self._settings = settings
        self._finished: SimpleQueue[_Finished] = SimpleQueue()
        self._under_way: dict[VideoId, _Job] = {}
        self._boards = _Boards(settings, self._finished, wake)
        self._copies = _Copies(settings, self._finished, wake)
        self._is_starved = False  # of room on the disk; told once
        self._is_full = False  # no more copies in this run: the disk took one of them not
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
        """Stop all work at once; what was not recorded is done again some time."""
        self._boards.close()
        self._copies.close()

    def ready(self) -> bool:
        """Tell whether something is finished and waits to be recorded."""
        return not self._finished.empty()

    @property
    def progress(self) -> RenditionProgress | None:
        """Return how far the copy is that is being made, None while none is."""
        return self._copies.progress

    def left(self, catalogue: Catalogue) -> int:
        """Return how many videos still want a storyboard, or the subtitles inside them."""
        return catalogue.longer.count_to_enrich(
            boards=self._settings.storyboards, roots=self._readable
        )

    def feed(self, catalogue: Catalogue) -> bool:
        """Hand out work where there is room for more; tell whether any is under way.

        Raises:
            ReelshelfError: the workers cannot be started.
        """
        for lane in (self._boards, self._copies):
            if lane.failure is not None:
                raise lane.failure
        if not self._boards.busy:
            self._feed_boards(catalogue)
        if not self._copies.busy and not self._is_full and self._settings.renditions != "off":
            self._feed_copies(catalogue)
        return bool(self._under_way)

    @property
    def _readable(self) -> list[str] | None:
        """Return the roots of which files are read as a whole: folders; None for all there are."""
        return list(self._settings.roots) if self._settings.buckets else None

    def _feed_boards(self, catalogue: Catalogue) -> None:
        most = _AT_ONCE + len(self._under_way)
        wanted = catalogue.longer.to_enrich(
            most, boards=self._settings.storyboards, roots=self._readable
        )
        wishes = {one.video: one for one in wanted if one.video not in self._under_way}
        jobs = []
        for video, known in _with_file(catalogue, list(wishes)[:_AT_ONCE], self._settings.roots):
            wish = wishes[video.id]
            request = ProbeRequest(
                known.place, self._file(known.place), board=wish.board, texts=wish.texts
            )
            jobs.append(_Job(video, known, request))
        self._give(self._boards, jobs)

    def _feed_copies(self, catalogue: Catalogue) -> None:
        most = 1 + len(self._under_way)
        wanted = catalogue.longer.to_render(wish_of(self._settings), most, self._readable)
        for number in wanted:
            if number in self._under_way:
                continue
            for video, known in _with_file(catalogue, [number], self._settings.roots):
                request = request_for(self._settings, video, self._file(known.place))
                if self._has_room(video, request):
                    self._give(self._copies, [_Job(video, known, request)])
            return

    def _give(self, lane: "_Lane", jobs: list[_Job]) -> None:
        if jobs:
            self._under_way.update((job.video.id, job) for job in jobs)
            lane.give(jobs)

    def _has_room(self, video: Video, request: RenditionRequest) -> bool:
        needed = estimate_bytes(video.probe, video.size_bytes, request.made_by)
        free = shutil.disk_usage(self._settings.state).free
        enough = free >= 2 * needed + _LEFT_FREE  # pieces and the whole, for a moment
        if not enough and not self._is_starved:
            log.warning(
                "no playable copy of %s: it needs some %s beside a reserve of %s, and %s are free",
                formatting.readable(video.place.path),
                formatting.file_size(2 * needed),
                formatting.file_size(_LEFT_FREE),
                formatting.file_size(free),
            )
        self._is_starved = not enough
        return enough

    def _file(self, place: Place) -> str:
        file = f"{self._settings.roots[place.root]}/{place.path}"
        return led_to(file) if self._settings.follow_links else file

    def record(self, catalogue: Catalogue, output: OwnedFiles, now: int) -> int:
        """Put what is finished into the output folder and the log; return how many videos it was.

        What belongs to a file that changed meanwhile is thrown away.

        Raises:
            OSError: the disk is full; what was not recorded is done again some time.
        """
        done: list[_Finished] = []
        with suppress(Empty):
            while True:
                done.append(self._finished.get_nowait())
        for one in done:
            self._under_way.pop(one.job.video.id, None)
        known = {one.video: one for one in catalogue.known([one.job.video.id for one in done])}
        events: list[Event] = []
        files: list[MadeFile] = []
        for one in done:
            if isinstance(one.found, DiskFull):  # the file is not to blame
                log.warning("no more playable copies for now: %s", one.found.reason)
                self._is_full = True
            elif _is_same(one.job.known, known.get(one.job.video.id)):
                events += _events(output, files, one, now)
                self.enriched += isinstance(one.found, EnrichmentResult)
                self.rendered += isinstance(one.found, FinishedCopy)
            elif isinstance(one.found, FinishedCopy):
                one.found.file.unlink(missing_ok=True)
        output.make(files)
        catalogue.append(events)
        return len(done)


def _with_file(
    catalogue: Catalogue, wanted: list[VideoId], roots: Container[str]
) -> Iterator[tuple[Video, KnownFile]]:
    """Yield those of some videos that have pages and a file, in their order."""
    videos = {video.id: video for video in catalogue.shown(wanted)}
    files = {
        known.video: known
        for known in catalogue.known(wanted)
        if not known.missing and known.place.root in roots
    }
    for number in wanted:
        if number in videos and number in files:
            yield videos[number], files[number]


def _is_same(before: KnownFile, now: KnownFile | None) -> bool:
    return now is not None and not now.missing and before.fingerprint == now.fingerprint


def wish_of(settings: Settings) -> RenditionScope:
    """Return of which videos playable copies are wanted."""
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


def _events(output: OwnedFiles, files: list[MadeFile], one: _Finished, now: int) -> Iterator[Event]:
    """Yield the events that tell of what was made, which is put among `files`, to be written."""
    yield _event(output, files, one, now)
    if isinstance(one.found, FinishedCopy) and one.found.complaint:
        yield _told(EventKind.RENDITION_FAILED, now, one.job.video, {"reason": one.found.complaint})


def _event(output: OwnedFiles, files: list[MadeFile], one: _Finished, now: int) -> Event:
    video, found = one.job.video, one.found
    if isinstance(found, EnrichmentResult):
        value: dict[str, object] = {}
        request = one.job.request
        assert isinstance(request, ProbeRequest)
        if request.board:
            value["storyboard"] = found.board and _keep_board(files, video, found.board)
        if request.texts:
            value["tracks"] = keep_tracks(files, video.id, found.subtitles, video.probe.start_s)
        return _told(EventKind.BOARD_MADE, now, video, value)
    if isinstance(found, FinishedCopy):
        kept = _keep_copy(output, files, video, found)
        return _told(EventKind.RENDITION_MADE, now, video, {"rendition": kept})
    kind = (
        EventKind.BOARD_FAILED
        if isinstance(one.job.request, ProbeRequest)
        else EventKind.RENDITION_FAILED
    )
    return _told(kind, now, video, {"reason": found.reason})


def _told(kind: EventKind, now: int, video: Video, value: dict[str, object]) -> Event:
    return Event(uuid4().hex, kind, now, _SOURCE, video.id, value)


def _keep_board(files: list[MadeFile], video: Video, board: EncodedStoryboard) -> dict[str, object]:
    starts = repr(board.starts_s).encode()
    sides = (len(board.starts_s), board.columns, board.tile_width_px, board.tile_height_px)
    storyboard = Storyboard(Output.digest_name([board.content, starts]), *sides)
    sprite, track = urls.board_files(video.id, storyboard)
    name = sprite.rpartition("/")[2]  # beside the track, so that it holds wherever the site is
    content = board_vtt(board.starts_s, video.probe.duration_s, *sides[1:], name)
    files += [(sprite, board.content), (track, content)]
    if start_s := video.probe.start_s:
        files.append((urls.late_file(track, start_s), shift_cues(content, start_s)))
    return asdict(storyboard)


def _keep_copy(
    output: OwnedFiles, files: list[MadeFile], video: Video, made: FinishedCopy
) -> dict[str, object]:
    container = made.file.suffix.removeprefix(".")
    kept = Rendition(
        made.digest, made.size_bytes, made.made_by, container, made.codecs, made.is_hls
    )
    film, *playlist = urls.rendition_files(video.id, kept)
    output.adopt(film, made.file)
    for path in playlist:
        name = film.rpartition("/")[2]
        files.append((path, made.playlist.replace(made.file.name, name).encode()))
    return asdict(kept)


class _Lane:
    """A thread that works on what it is given; it begins with the first work.

    `failure` is why it cannot go on.
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
        """Tell whether it works on what it was given last."""
        return not self._idle.is_set()

    def give(self, jobs: list[_Job]) -> None:
        """Have it do some jobs after those it has."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)
            self._thread.start()
        self._idle.clear()
        self._given.put(jobs)

    def close(self) -> None:
        """Stop it, whatever it is at."""
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

    def _tell(self, job: _Job, found: EnrichmentResult | FinishedCopy | Rejected) -> None:
        self._finished.put(_Finished(job, found))
        self._wake()

    def _interrupt(self) -> None:
        """Wake what waits for a program; whoever looks often needs nothing."""

    def _work(self) -> None:
        raise NotImplementedError


class _Boards(_Lane):
    """Storyboards and inner subtitles, by workers of its own."""

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
            nice=max(settings.nice, _BEHIND),
        ) as self._workers:
            for jobs in self._batches():
                by_place = {job.known.place: job for job in jobs}
                requests = [job.request for job in jobs if isinstance(job.request, ProbeRequest)]
                for found in self._workers.answer(requests):
                    if not isinstance(found, ProbeResult):
                        self._tell(by_place[found.place], found)


class _Copies(_Lane):
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
                    told = renditions.poll(_LOOK_S)
                    if isinstance(told, FinishedCopy | Rejected):
                        self.progress = None
                        self._tell(job, told)
                        break
                    self.progress = told or self.progress
