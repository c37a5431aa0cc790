"""Answers one request: probes a file and reads its sidecars."""

import os
import stat
from dataclasses import replace

from generator.adapters.media_worker import cover_art, sidecars, storyboard, subtitles
from generator.adapters.media_worker.stills import poster
from generator.adapters.media_worker.video_file import READ_ONLY, UnusableFileError, VideoFile
from generator.core.library.bucket_listing import (
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
from generator.core.media.worker_protocol import ProbeAnswer, ProbeRequest, SidecarRef
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


def answer_request(request: ProbeRequest, memory_mb: int) -> ProbeAnswer:
    """Return the answer to a request; a file that needs too much memory is rejected."""
    too_much = f"needed more than {memory_mb} MB"
    answer = _enrich if request.board or request.texts else _probe
    try:
        with VideoFile(request.file) as video:
            result = answer(request, video, too_much)
            video.raise_failure()
            return result
    except UnusableFileError as error:
        return Rejected(request.place, str(error))
    except ForbiddenError as error:
        return Rejected(request.place, str(error.strerror))
    except (StoreUnavailableError, ObjectChangedError) as error:
        return Rejected(request.place, str(error.strerror), passing=True)
    except MemoryError:
        return Rejected(request.place, too_much)


def _enrich(request: ProbeRequest, video: VideoFile, too_much: str) -> EnrichmentResult:
    board, problem = None, ""
    if request.board:
        try:
            board = storyboard.board(video)
        except UnusableFileError as error:
            problem = str(error)
        except MemoryError:
            problem = too_much
    texts = subtitles.embedded_subtitles(video) if request.texts else ()
    return EnrichmentResult(request.place, board, problem, texts)


def _probe(request: ProbeRequest, video: VideoFile, too_much: str) -> ProbeResult:
    reader = _SidecarReader(request.place.path, video, too_much)
    for sidecar in request.sidecars:
        reader.read(sidecar)
    stills, problem = reader.stills, ""
    try:
        stills = stills or cover_art.from_cover(video) or poster(video)
    except UnusableFileError as error:
        problem = str(error)
    except MemoryError:
        problem = too_much
    probe = video.probe()
    embedded = sidecars.embedded_metadata(video.tags, video.chapters, video.duration_s)
    return ProbeResult(
        request.place,
        probe,
        stills,
        problem,
        (*reader.details.items(), (MetadataSource.EMBEDDED, embedded)),
        tuple(reader.subtitles),
        tuple(reader.complaints),
        video.cut_short,
        video.outdated,
    )


class _SidecarReader:
    """Reads sidecars one after another; of several with the same source, the first counts."""

    def __init__(self, path: str, video: VideoFile, too_much: str) -> None:
        self._path, self._video, self._too_much = path, video, too_much
        self.details: dict[MetadataSource, Metadata] = {}
        self.subtitles: list[Subtitles] = []
        self.complaints: list[tuple[str, str]] = []
        self.stills: Stills | None = None

    def read(self, sidecar: SidecarRef) -> None:
        """Read one; if it is invalid, it only adds a complaint."""
        try:
            self._read(sidecar)
        except sidecars.OtherVideoError:
            pass  # its content names another video, or it is our own export
        except UnusableFileError as error:
            self.complaints.append((sidecar.file, str(error)))
        except MemoryError:
            self.complaints.append((sidecar.file, self._too_much))

    def _read(self, sidecar: SidecarRef) -> None:
        kind, name = sidecar.kind, sidecar.name or file_name(sidecar.file)
        if kind is SidecarKind.SUBTITLES:
            content = _content(sidecar.file, subtitles.MAX_BYTES)
            suffix = suffix_of(between(self._path, name)) or SubtitleSuffix(
                "", forced=False, sdh=False, label="Subtitles"
            )
            self.subtitles.append(
                Subtitles(
                    suffix.language,
                    suffix.label,
                    suffix.forced,
                    suffix.sdh,
                    MetadataSource.BESIDE,
                    subtitles.to_webvtt(name, content),
                )
            )
        elif kind is SidecarKind.PICTURE:
            if self.stills is None:
                content = _content(sidecar.file, cover_art.MAX_BYTES)
                self.stills = cover_art.from_picture(content)
        elif _SOURCES[kind] not in self.details:
            content = _content(sidecar.file, sidecars.max_sidecar_bytes(kind))
            metadata = sidecars.read_metadata(
                kind,
                name,
                content,
                video=self._path.rpartition("/")[2],
                duration_s=self._video.duration_s,
            )
            self.details[_SOURCES[kind]] = self._own_chapters(metadata)

    def _own_chapters(self, metadata: Metadata) -> Metadata:
        """Return metadata without the chapters of another cut, unless they may fit.

        Embedded chapters are of this cut, and win.
        """
        if not metadata.is_other_cut:
            return metadata
        is_fitting = all_within(metadata.chapters, self._video.duration_s)
        if is_fitting and not self._video.chapters:
            return metadata
        return replace(metadata, chapters=())


def _content(file: str, most_bytes: int) -> bytes:
    if is_address(file):
        return _fetch(file, most_bytes)
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


def _fetch(url: str, most_bytes: int) -> bytes:
    from generator.adapters.media_worker.http_range import HttpRangeFile  # noqa: PLC0415 (TLS)

    try:
        file = HttpRangeFile(url)
    except ForbiddenError as error:
        if error.strerror == EMPTY:
            return b""
        raise UnusableFileError(f"cannot be read: {error.strerror}") from error
    try:
        if file.size_bytes > most_bytes:
            raise UnusableFileError(f"is larger than {most_bytes >> 20} MB, and is not read")
        content = file.read()
        file.raise_failure()
    except ForbiddenError as error:
        raise UnusableFileError(f"cannot be read: {error.strerror}") from error
    else:
        return content
    finally:
        file.close()
