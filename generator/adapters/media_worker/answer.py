"""Looking at one file and what lies beside it: a request becomes an answer."""

import os
import stat
from dataclasses import replace

from generator.adapters.media_worker import cover_art, sidecars, storyboard, subtitles
from generator.adapters.media_worker.stills import poster
from generator.adapters.media_worker.video_file import READ_ONLY, UnusableFileError, VideoFile
from generator.core.library.bucket_objects import (
    EMPTY,
    ForbiddenError,
    ObjectChangedError,
    StoreUnavailableError,
    file_name,
    is_address,
)
from generator.core.library.sidecar_files import between
from generator.core.media.chapters import all_within
from generator.core.media.subtitle_names import SubtitleSuffix, suffix_of
from generator.core.media.worker_protocol import Found, ProbeRequest, SidecarRef
from generator.core.model import (
    EnrichmentResult,
    Metadata,
    MetadataSource,
    ProbeResult,
    Rejected,
    SidecarKind,
    Stills,
    Subtitles,
)

_SOURCES = {
    SidecarKind.OWN: MetadataSource.OWN,
    SidecarKind.NFO: MetadataSource.NFO,
    SidecarKind.YTDLP: MetadataSource.YTDLP,
    SidecarKind.JSON: MetadataSource.JSON,
}


def look_at(request: ProbeRequest, memory_mb: int) -> Found:
    """Return what was asked for; a file that needs too much memory is refused."""
    too_much = f"needed more than {memory_mb} MB"
    look = _enriched if request.board or request.texts else _examined
    try:
        with VideoFile(request.file) as film:
            found = look(request, film, too_much)
            film.settle()
            return found
    except UnusableFileError as error:
        return Rejected(request.place, str(error))
    except ForbiddenError as error:
        return Rejected(request.place, str(error.strerror))
    except (StoreUnavailableError, ObjectChangedError) as error:
        return Rejected(request.place, str(error.strerror), passing=True)
    except MemoryError:
        return Rejected(request.place, too_much)


def _enriched(request: ProbeRequest, film: VideoFile, too_much: str) -> EnrichmentResult:
    board, problem = None, ""
    if request.board:
        try:
            board = storyboard.board(film)
        except UnusableFileError as error:
            problem = str(error)
        except MemoryError:
            problem = too_much
    texts = subtitles.embedded_subtitles(film) if request.texts else ()
    return EnrichmentResult(request.place, board, problem, texts)


def _examined(request: ProbeRequest, film: VideoFile, too_much: str) -> ProbeResult:
    reading = _Reading(request.place.path, film, too_much)
    for companion in request.companions:
        reading.read(companion)
    stills, problem = reading.stills, ""
    try:
        stills = stills or cover_art.from_cover(film) or poster(film)
    except UnusableFileError as error:
        problem = str(error)
    except MemoryError:
        problem = too_much
    probe = film.probe()
    told = sidecars.embedded_details(film.tags, film.chapters, film.duration_s)
    return ProbeResult(
        request.place,
        probe,
        stills,
        problem,
        (*reading.details.items(), (MetadataSource.EMBEDDED, told)),
        tuple(reading.subtitles),
        tuple(reading.complaints),
        film.cut_short,
        film.outdated,
    )


class _Reading:
    """Companions, read one after another; of a kind that tells the same, the first is believed."""

    def __init__(self, video: str, film: VideoFile, too_much: str) -> None:
        self._video, self._film, self._too_much = video, film, too_much
        self.details: dict[MetadataSource, Metadata] = {}
        self.subtitles: list[Subtitles] = []
        self.complaints: list[tuple[str, str]] = []
        self.stills: Stills | None = None

    def read(self, companion: SidecarRef) -> None:
        """Read one; what is wrong with it is a complaint and no more."""
        try:
            self._read(companion)
        except sidecars.OtherVideoError:
            pass  # whose it is, it says itself
        except UnusableFileError as error:
            self.complaints.append((companion.file, str(error)))
        except MemoryError:
            self.complaints.append((companion.file, self._too_much))

    def _read(self, companion: SidecarRef) -> None:
        kind, name = companion.kind, companion.name or file_name(companion.file)
        if kind is SidecarKind.SUBTITLES:
            content = _content(companion.file, subtitles.MOST_BYTES)
            told = suffix_of(between(self._video, name)) or SubtitleSuffix(
                "", forced=False, sdh=False, label="Subtitles"
            )
            self.subtitles.append(
                Subtitles(
                    told.language,
                    told.label,
                    told.forced,
                    told.sdh,
                    MetadataSource.BESIDE,
                    subtitles.to_webvtt(name, content),
                )
            )
        elif kind is SidecarKind.PICTURE:
            if self.stills is None:
                content = _content(companion.file, cover_art.MOST_BYTES)
                self.stills = cover_art.from_picture(content)
        elif _SOURCES[kind] not in self.details:
            content = _content(companion.file, sidecars.max_sidecar_bytes(kind))
            details = sidecars.read_details(
                kind,
                name,
                content,
                video=self._video.rpartition("/")[2],
                duration_s=self._film.duration_s,
            )
            self.details[_SOURCES[kind]] = self._fitting(details)

    def _fitting(self, details: Metadata) -> Metadata:
        """Return details without the chapters of another cut, but for those that may be right.

        The chapters of the film itself are of this cut.
        """
        if not details.is_other_cut:
            return details
        is_fitting = all_within(details.chapters, self._film.duration_s)
        if is_fitting and not self._film.chapters:
            return details
        return replace(details, chapters=())


def _content(file: str, most_bytes: int) -> bytes:
    if is_address(file):
        return _fetched(file, most_bytes)
    try:
        descriptor = os.open(file, READ_ONLY)
    except OSError as error:
        raise UnusableFileError(f"cannot be opened: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnusableFileError("is not a file")
        if status.st_size > most_bytes:
            raise UnusableFileError(f"is larger than {most_bytes >> 20} MB, and is not read")
        parts = []
        while piece := os.read(descriptor, most_bytes):
            parts.append(piece)
        return b"".join(parts)
    except OSError as error:
        raise UnusableFileError(f"cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _fetched(address: str, most_bytes: int) -> bytes:
    from generator.adapters.media_worker.http_range import HttpRangeFile  # noqa: PLC0415 (TLS)

    try:
        file = HttpRangeFile(address)
    except ForbiddenError as error:
        if error.strerror == EMPTY:
            return b""
        raise UnusableFileError(f"cannot be read: {error.strerror}") from error
    try:
        if file.size_bytes > most_bytes:
            raise UnusableFileError(f"is larger than {most_bytes >> 20} MB, and is not read")
        content = file.read()
        file.settle()
    except ForbiddenError as error:
        raise UnusableFileError(f"cannot be read: {error.strerror}") from error
    else:
        return content
    finally:
        file.close()
