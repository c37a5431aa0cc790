"""Muxes packets, in order, into the file of a finished copy."""

from contextlib import suppress
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from generator.adapters.media_worker.video_file import UnusableFileError
from generator.adapters.rendition_worker import job_folder, mp4_boxes
from generator.adapters.rendition_worker.heartbeat import Heartbeat
from generator.adapters.rendition_worker.source import Piece
from generator.core.media.codecs import Coding, codecs_of
from generator.core.media.renditions import (
    FRAGMENT_MOST_S,
    FRAGMENT_S,
    MADE,
    MP4,
    PLAN,
    FinishedRendition,
    MonotonicTimestamps,
    Mp4Fragment,
    RenditionRequest,
    pack_finished,
    result_file,
)

_EARLY_KEY_S = 0.5  # by how much a fragment may be shorter, to end at a key frame
_MP4_OPTIONS = {"movflags": "+faststart", "write_tmcd": "0"}
_FRAGMENTED_OPTIONS = {
    "movflags": "+frag_keyframe+delay_moov+default_base_moof+global_sidx+skip_trailer",
    "min_frag_duration": str(round((FRAGMENT_S - _EARLY_KEY_S) * 1_000_000)),
    "frag_duration": str(FRAGMENT_MOST_S * 1_000_000),
    "write_tmcd": "0",
}
_WEBM_OPTIONS = {"cues_to_front": "1"}
_READ_BYTES = 1 << 20


class Muxer:
    """The copy while it is written; `finish` completes it.

    Metadata of the source is not copied: it may have private data such as GPS positions.
    """

    def __init__(self, request: RenditionRequest, heartbeat: Heartbeat) -> None:
        self._request = request
        self._heartbeat = heartbeat
        self._name = result_file(request.container)
        options = _MP4_OPTIONS if request.container == MP4 else _WEBM_OPTIONS
        if request.is_hls:
            options = _FRAGMENTED_OPTIONS
        self._container = av.open(
            job_folder.unfinished(self._name), "w", format=request.container, options=options
        )
        self._streams: list[Any] = []  # of PyAV, whose stubs only declare one kind
        self._timestamps: list[MonotonicTimestamps] = []
        self._codings: list[Coding] = []
        self._is_open = True
        self.end_s = 0.0
        self.pictures = 0

    def add(self, template: VideoStream | AudioStream, time_base: Fraction | None = None) -> int:
        """Add a stream with the coding of another; return its number.

        Args:
            template: of a source that may be closed afterwards.
            time_base: of the packets to come; the template's if None.
        """
        try:
            stream = self._container.add_stream_from_template(template, opaque=True)
        except ValueError as error:
            raise UnusableFileError(
                f"cannot be copied into {self._request.container}: {error}"
            ) from error
        codec = template.codec_context.codec.canonical_name
        if codec == "hevc":
            stream.codec_context.codec_tag = "hvc1"  # the only tag that all browsers accept
        if time_base is not None:
            stream.time_base = time_base
        if language := template.metadata.get("language"):
            stream.metadata["language"] = language
        self._streams.append(stream)
        self._timestamps.append(MonotonicTimestamps())
        self._codings.append(_coding(template))
        return len(self._timestamps) - 1

    def mux(self, number: int, packet: Piece) -> None:
        """Write a packet, which must have pts and dts."""
        assert packet.pts is not None
        assert packet.dts is not None
        packet.pts, packet.dts = self._timestamps[number].step(packet.pts, packet.dts)
        end = packet.pts + (packet.duration or 0)
        self.end_s = max(self.end_s, float(end * packet.time_base))
        self.pictures += number == 0
        self._heartbeat.size_bytes += packet.size
        packet.stream = self._streams[number]
        self._container.mux_one(packet)
        self._heartbeat.beat()

    def abandon(self) -> None:
        """Close an unfinished file."""
        if self._is_open:
            self._is_open = False
            with suppress(av.FFmpegError, OSError):  # it is discarded anyway
                self._container.close()

    def finish(self, made_by: str, complaint: str = "") -> None:
        """Complete the copy, and write the file that describes it."""
        self._is_open = False
        self._container.close()
        size_bytes = max(0, job_folder.size_of(job_folder.unfinished(self._name)))
        head_bytes, fragments = 0, list[Mp4Fragment]()
        if self._request.is_hls:
            with Path(job_folder.unfinished(self._name)).open("r+b") as file:
                mp4_boxes.write_duration(file, size_bytes, self.end_s)
                head_bytes, fragments = mp4_boxes.fragments_of(file, size_bytes, self.end_s)
        digest = self._digest()
        job_folder.keep(self._name)
        finished = FinishedRendition(
            digest,
            size_bytes,
            codecs_of(*self._codings[:2]),
            made_by,
            head_bytes,
            tuple(fragments),
            complaint,
        )
        job_folder.write(MADE, pack_finished(finished))
        job_folder.keep_only(self._name, MADE, PLAN)

    def _digest(self) -> str:
        digest = sha256()
        with Path(job_folder.unfinished(self._name)).open("rb") as file:
            while part := file.read(_READ_BYTES):
                digest.update(part)
                self._heartbeat.beat()
        return sha256(digest.digest()).hexdigest()[:12]


def _coding(stream: VideoStream | AudioStream) -> Coding:
    """Return the coding of a stream in the MP4 or WebM that is made."""
    context = stream.codec_context
    picture = stream if isinstance(stream, VideoStream) else None
    return Coding(
        context.codec.canonical_name,
        context.extradata or b"",
        "",
        context.profile or "",
        picture.codec_context.level if picture else -1,
        (picture.codec_context.pix_fmt or "") if picture else "",
        picture.codec_context.width if picture else 0,
        picture.codec_context.height if picture else 0,
        float(picture.average_rate or 0) if picture else 0.0,
    )
