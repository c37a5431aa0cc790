"""Result: the file that is played: packets go in, in order, and a finished copy comes out."""

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

_EARLY_S = 0.5  # by which a key frame may come before a fragment is as long as wished
_WHOLE = {"movflags": "+faststart", "write_tmcd": "0"}
_FRAGMENTED = {
    "movflags": "+frag_keyframe+delay_moov+default_base_moof+global_sidx+skip_trailer",
    "min_frag_duration": str(round((FRAGMENT_S - _EARLY_S) * 1_000_000)),
    "frag_duration": str(FRAGMENT_MOST_S * 1_000_000),
    "write_tmcd": "0",
}
_WEBM = {"cues_to_front": "1"}
_AT_ONCE = 1 << 20


class Muxer:
    """The copy while it is written; `finish` makes it whole.

    Nothing that the source says in words comes along: where a phone was is nobody's business.
    """

    def __init__(self, request: RenditionRequest, pulse: Heartbeat) -> None:
        self._request = request
        self._pulse = pulse
        self._name = result_file(request.container)
        options = _WHOLE if request.container == MP4 else _WEBM
        if request.is_hls:
            options = _FRAGMENTED
        self._container = av.open(
            job_folder.unfinished(self._name), "w", format=request.container, options=options
        )
        self._streams: list[Any] = []  # of PyAV, whose stubs know but one kind
        self._ladders: list[MonotonicTimestamps] = []
        self._codings: list[Coding] = []
        self._is_open = True
        self.end_s = 0.0
        self.pictures = 0

    def add(self, template: VideoStream | AudioStream, time_base: Fraction | None = None) -> int:
        """Return the number of a new stream that is coded like another.

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
            stream.codec_context.codec_tag = "hvc1"  # the only one that all browsers take
        if time_base is not None:
            stream.time_base = time_base
        if language := template.metadata.get("language"):
            stream.metadata["language"] = language
        self._streams.append(stream)
        self._ladders.append(MonotonicTimestamps())
        self._codings.append(_coding(template))
        return len(self._ladders) - 1

    def mux(self, number: int, packet: Piece) -> None:
        """Write a packet, which must tell when it is shown and decoded."""
        assert packet.pts is not None
        assert packet.dts is not None
        packet.pts, packet.dts = self._ladders[number].step(packet.pts, packet.dts)
        end = packet.pts + (packet.duration or 0)
        self.end_s = max(self.end_s, float(end * packet.time_base))
        self.pictures += number == 0
        self._pulse.size_bytes += packet.size
        packet.stream = self._streams[number]
        self._container.mux_one(packet)
        self._pulse.beat()

    def abandon(self) -> None:
        """Close what is not to be finished."""
        if self._is_open:
            self._is_open = False
            with suppress(av.FFmpegError, OSError):  # it is not wanted any more
                self._container.close()

    def finish(self, made_by: str, complaint: str = "") -> None:
        """Complete the copy, and the file that tells of it."""
        self._is_open = False
        self._container.close()
        size_bytes = max(0, job_folder.size_of(job_folder.unfinished(self._name)))
        head_bytes, fragments = 0, list[Mp4Fragment]()
        if self._request.is_hls:
            with Path(job_folder.unfinished(self._name)).open("r+b") as file:
                mp4_boxes.tell_length(file, size_bytes, self.end_s)
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
        whole = sha256()
        with Path(job_folder.unfinished(self._name)).open("rb") as file:
            while part := file.read(_AT_ONCE):
                whole.update(part)
                self._pulse.beat()
        return sha256(whole.digest()).hexdigest()[:12]


def _coding(stream: VideoStream | AudioStream) -> Coding:
    """Return what names a stream in an MP4 or WebM of ours."""
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
