"""One video file, opened once: its properties, frames and packets.

FFmpeg gets an open descriptor and no name, only accepts real containers, and may open nothing else:
a playlist with the name .mp4 is rejected, and no file name can be taken for a URL.
"""

import os
import stat
import struct
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import av
from av.audio.stream import AudioStream
from av.codec.context import CodecContext, ThreadType
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import SideData
from av.stream import Discard, Disposition
from av.subtitles.stream import SubtitleStream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from generator.adapters.media_worker import probe
from generator.core.library.bucket_listing import is_address
from generator.core.media.dates import at_of, moment_of_tags, offset_of
from generator.core.media.stills import (
    PREVIEW_BOX,
    Orientation,
    Size,
    displayed_size,
    orientation_of,
    plausible_duration,
    plausible_fps,
    plausible_size,
)
from generator.core.media.tonemap import RGB, UNSPECIFIED, ColorSpace, completed, unmapped
from generator.core.media.truncation import Outline, outline
from generator.core.model import NO_VIDEO, Probe

if TYPE_CHECKING:
    from generator.adapters.media_worker.http_range import HttpRangeFile

# Demuxers for file_filter.VIDEO_SUFFIXES; none of them opens a second file.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,asf,mpegts,mpeg,mpegvideo,ogg,rm,mxf,wtv,dv"
)
_OPEN_OPTIONS = {"protocol_whitelist": "fd", "format_whitelist": _CONTAINERS}
_NO_PROTOCOLS = {"protocol_whitelist": "none"}  # a Python file object needs none
# Probing streams decodes a few frames that nobody sees: as cheaply as possible.
_FAST_PROBE_OPTIONS = {"skip_frame": "nokey", "skip_loop_filter": "all", "skip_idct": "all"}
READ_ONLY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_BROWSER_FORMATS = {
    "mov",
    "mp4",
    "matroska",
    "webm",
    "ogg",
}  # browsers play these, with their own timestamps
_MIN_START_S, _MAX_START_S = 0.1, 31 * 86_400.0
_ENABLED_FLAG_FORMATS = {"mp4", "mov"}  # formats whose tracks have an "enabled" flag
_AvStream = TypeVar("_AvStream", VideoStream, AudioStream)
_DISPLAY_MATRIX = struct.Struct("=9i")  # of a container: rows of three
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_DOLBY_VISION = {"dvh1", "dvhe", "dav1"}
_MICROSECONDS = 1_000_000  # av.time_base
_KEY_WITHIN_BYTES = 1 << 26
_KEY_WITHIN = 1_000  # packets; seekable files have a key frame at least every 10 s
_START_WITHIN = 50  # video and audio packets
_COVER_WITHIN = 100  # packets of all streams; attached pictures come first
_DECODE_PACKETS = 3_000
_DECODE_PX = 60_000_000  # 1 s of 1080p, if key frames show nothing; takes some 0.2 s


class UnusableFileError(Exception):
    """The file or its poster is unusable; the message says why, and is shown to the user."""


@dataclass(frozen=True, slots=True)
class KeyPacket:
    """A packet with a key frame, still encoded.

    `start_s` counts from the start of the video, in whole milliseconds; None if the file has no
    timestamp, or an implausible one.
    """

    start_s: float | None
    packet: "Packet[VideoStream]"


class VideoFile:
    """A video file, open until the `with` block ends; a URL is read by HTTP ranges.

    Size and rotation of decoded frames win over those of the header. `read_bytes` counts the bytes
    of video packets that were read, decoded or not.

    Raises:
        UnusableFileError: it is not a file, or not a video.
        MemoryError: opening it needs more than allowed.
        OSError: it is at a URL, and cannot be fetched; see `raise_failure`.
    """

    def __init__(self, file: str) -> None:
        self._source: HttpRangeFile | None = None
        if is_address(file):
            self._outline, self._container = self._open_by_range(file)
        else:
            self._outline, self._container = _open(file)
        try:
            self._stream = video_stream(self._container)
        except UnusableFileError:
            self.close()
            self.raise_failure()
            raise
        self._codec = _codec(self._stream)
        self._coded_size = self._claimed_size()
        self._orientation, self._is_wide = Orientation(), False
        self._colors = colors_of(self._codec) if self._codec else None
        self._is_matroska = "matroska" in self._container.format.name
        self._origin_s = max(self._first_start_s(), 0.0)
        self.read_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._container.close()
        if self._source is not None:
            self._source.close()

    def raise_failure(self) -> None:
        """Raise the error of a failed fetch, which FFmpeg takes for the end or for damage.

        Raises:
            StoreUnavailableError: the store could not be reached.
            ObjectChangedError: the file was replaced or removed meanwhile.
            ForbiddenError: it may not be read.
        """
        if self._source is not None:
            self._source.raise_failure()

    @property
    def duration_s(self) -> float | None:
        """Return the duration in the container, None if it is missing or implausible."""
        if self._container.duration is not None:
            length_s = self._container.duration / _MICROSECONDS
            if self._is_matroska and length_s > self.start_s:
                length_s -= self.start_s  # Matroska counts from 0, others from the start
            return plausible_duration(length_s)
        if self._stream.duration is None or self._stream.time_base is None:
            return None
        return plausible_duration(float(self._stream.duration * self._stream.time_base))

    @property
    def start_s(self) -> float:
        """Return the `currentTime` of browsers at its start, which is not always 0.

        0 if they do not play the container, or it starts almost at 0.
        """
        if _BROWSER_FORMATS.isdisjoint(self._container.format.name.split(",")):
            return 0.0
        start_s = round(self._origin_s, 3)
        return start_s if _MIN_START_S <= start_s <= _MAX_START_S else 0.0

    @property
    def tags(self) -> dict[str, str]:
        """Return its metadata tags; those of the container win over the video stream's."""
        return {**self._stream.metadata, **self._container.metadata}

    @property
    def chapters(self) -> tuple[tuple[float, float, str], ...]:
        """Return (start_s, end_s, title) of its chapters, unchecked."""
        chapters = []
        for chapter in self._container.chapters():
            base = chapter["time_base"]
            if base is not None:
                start_s, end_s = float(chapter["start"] * base), float(chapter["end"] * base)
                start_s, end_s = start_s - self._origin_s, end_s - self._origin_s
                chapters.append((start_s, end_s, chapter["metadata"].get("title", "")))
        return tuple(chapters)

    @property
    def cut_short(self) -> str:
        """Return what of the file is missing, "" if nothing is."""
        return self._outline.cut_short

    @property
    def orientation(self) -> Orientation:
        """Return the orientation of its frames; known once one was decoded."""
        return self._orientation

    @property
    def outdated(self) -> tuple[str, ...]:
        """Return what was made wrongly of such a video before `PROBE_VERSION` 2."""
        sounds = self._container.streams.audio
        by_default = sorted(sounds, key=lambda stream: not stream.disposition & Disposition.default)
        looks_changed = self._orientation.is_mirrored or self._is_wide
        sounds_changed = by_default[:1] != played_first(self._container, sounds)[:1]
        has_texts = probe.text_streams(self._container) > 0
        board = ("board",) if looks_changed or self.start_s or has_texts else ()
        return (*board, "copy") if looks_changed or sounds_changed else board

    def colors(self, frame: VideoFrame) -> ColorSpace:
        """Return the color space of a frame."""
        return frame_colors(frame, self._colors, self._stream)

    @property
    def displayed(self) -> Size | None:
        """Return its display size."""
        if self._coded_size is None:
            return None
        return displayed_size(
            self._coded_size, self._stream.sample_aspect_ratio, self._orientation.turn_deg
        )

    def probe(self) -> Probe:
        """Return its properties."""
        displayed = self.displayed
        sounds = played_first(self._container, self._container.streams.audio)
        moment = moment_of_tags(self.tags)
        return Probe(
            container=probe.container_name(self._container, self._outline),
            duration_s=self.duration_s,
            width_px=displayed.width_px if displayed else None,
            height_px=displayed.height_px if displayed else None,
            fps=plausible_fps(self._stream.average_rate, self._stream.guessed_rate),
            video_codec=_codec_name(self._stream),
            audio_codec=_codec_name(sounds[0]) if sounds else None,
            recorded_at=at_of(moment),
            codecs=probe.codecs(self._container, self._stream, sounds[:1], self._outline),
            pixel_format=self._codec.pix_fmt if self._codec else None,
            fast_start=self._outline.fast_start,
            text_streams=probe.text_streams(self._container),
            start_s=self.start_s,
            recorded_offset_min=offset_of(moment),
        )

    def cover(self) -> bytes | None:
        """Return the first attached picture, still encoded; None without one."""
        attached = [
            stream.index
            for stream in self._container.streams.video
            if stream.disposition & Disposition.attached_pic
        ]
        if not attached:
            return None
        self._seek(0)
        try:
            for packet in islice(self._container.demux(), _COVER_WITHIN):
                if packet.stream_index in attached and packet.size:
                    return bytes(packet)
        except MemoryError:
            raise
        except av.FFmpegError:
            return None
        return None

    def key_frame(self, instant_s: float) -> VideoFrame | None:
        """Return the key frame before an instant, None if none is near."""
        return next(filter(None, map(self.picture, self.keys(instant_s))), None)

    def keys(
        self, instant_s: float, within: int = _KEY_WITHIN, within_bytes: int = _KEY_WITHIN_BYTES
    ) -> Iterator[KeyPacket]:
        """Yield key packets, from the one before an instant on, up to a limit of packets and bytes.

        Other streams are skipped, by some demuxers without reading them. That is impossible for
        packets between two keys: Discard.nonkey breaks the timestamps of MP4.
        """
        self._decoder().skip_frame = "NONKEY"
        self._seek(instant_s)
        others = [other for other in self._container.streams if other is not self._stream]
        try:
            for stream in others:
                stream.discard = Discard.all
            end_bytes = self.read_bytes + within_bytes
            for packet in islice(self._packets(), within):
                if packet.is_keyframe and packet.size:
                    yield KeyPacket(self._start_s(packet), packet)
                if self.read_bytes >= end_bytes:
                    return
        finally:
            for stream in others:
                stream.discard = Discard.default

    def picture(self, key: KeyPacket) -> VideoFrame | None:
        """Return the frame of a key packet, None if it is damaged."""
        self._decoder().flush_buffers()
        frames = self._decode(key.packet) or self._decode(None)  # None: flush
        return self._remember(frames[0]) if frames else None

    def frames(self) -> Iterator[VideoFrame]:
        """Yield frames from the start on, up to a limit."""
        self._decoder().skip_frame = "NONREF"  # looks as good, at half the cost
        self._seek(0)
        left_px = _DECODE_PX
        for packet in islice(self._packets(), _DECODE_PACKETS):
            for frame in self._decode(packet):
                yield self._remember(frame)
                left_px -= frame.width * frame.height
            if left_px <= 0:
                return

    def text_packets(
        self, codecs: Collection[str]
    ) -> Iterator[tuple[float, "Packet[SubtitleStream]"]]:
        """Yield (start in seconds, packet) of subtitles in these codecs, in one pass.

        Other streams are skipped, by some demuxers without reading them.
        """
        streams = self._container.streams
        chosen = tuple(text for text in streams.subtitles if _codec_name(text) in codecs)
        others = [other for other in streams if other not in chosen] if chosen else []
        origin_s = self._origin_s
        with suppress(UnusableFileError):  # of a video stream without a decoder
            self._seek(0)
        try:
            for stream in others:
                stream.discard = Discard.all
            for packet in self._container.demux(chosen) if chosen else ():
                ticks = packet.dts if packet.pts is None else packet.pts
                if packet.size and ticks is not None and packet.time_base:
                    yield float(ticks * packet.time_base) - origin_s, packet
        except MemoryError:
            raise
        except av.FFmpegError:  # damaged from here on
            return
        finally:
            for stream in others:
                stream.discard = Discard.default

    def _open_by_range(self, url: str) -> tuple[Outline, InputContainer]:
        from generator.adapters.media_worker.http_range import HttpRangeFile  # noqa: PLC0415 (TLS)

        self._source = HttpRangeFile(url)
        boxes = outline(self._source)
        try:
            return boxes, open_container(self._source)
        except UnusableFileError as error:
            self._source.close()
            self.raise_failure()
            raise UnusableFileError(_with_missing(str(error), boxes.cut_short)) from error

    def _first_start_s(self) -> float:
        """Return when the first of video and audio begins.

        For Matroska, the fast probe of `open_container` only guesses it: read the first packets.
        """
        sounds = self._container.streams.audio
        if not self._is_matroska:
            return first_start(self._stream, sounds)
        starts_s: dict[int, float] = {}
        expected = {self._stream.index, *(sound.index for sound in sounds[:1])}
        with suppress(av.FFmpegError):
            for packet in islice(self._container.demux(self._stream, *sounds[:1]), _START_WITHIN):
                if packet.pts is not None:
                    start_s = float(packet.pts * packet.time_base)
                    starts_s.setdefault(packet.stream_index, start_s)
                if expected <= starts_s.keys():
                    break
        with suppress(av.FFmpegError):
            self._container.seek(0)
        return min(starts_s.values(), default=0.0)

    def _claimed_size(self) -> Size | None:
        if self._codec is None:
            return None
        return plausible_size(self._codec.width, self._codec.height)

    def _decoder(self) -> VideoCodecContext:
        if self._codec is None:
            raise UnusableFileError("its codec is unknown")
        return self._codec

    def _start_s(self, packet: "Packet[VideoStream]") -> float | None:
        ticks = packet.dts if packet.pts is None else packet.pts
        if ticks is None or not packet.time_base:
            return None
        start_s = float(ticks * packet.time_base) - self._origin_s
        return max(0.0, round(start_s, 3)) if start_s < 1 else plausible_duration(start_s)

    def _seek(self, instant_s: float) -> None:
        start = self._container.start_time or 0
        # Seeking to the start of a transport stream lands after its first key frame.
        offset = start + int(instant_s * _MICROSECONDS) if instant_s else min(start, 0)
        try:
            self._container.seek(offset)
        except MemoryError:
            raise
        except (av.FFmpegError, OverflowError):
            self._decoder().flush_buffers()  # an unseekable stream goes on where it is

    def _packets(self) -> Iterator["Packet[VideoStream]"]:
        try:
            for packet in self._container.demux(self._stream):
                self.read_bytes += packet.size
                yield packet
        except MemoryError:
            raise
        except av.FFmpegError:
            return  # damaged from here on

    def _decode(self, packet: "Packet[VideoStream] | None") -> list[VideoFrame]:
        try:
            return self._decoder().decode(packet)
        except MemoryError:
            raise
        except av.FFmpegError:
            return []

    def _remember(self, frame: VideoFrame) -> VideoFrame:
        self._coded_size = plausible_size(frame.width, frame.height)
        self._orientation = frame_orientation(frame)
        self._is_wide = self.colors(frame).is_wide
        return frame


def _open(file: str) -> tuple[Outline, InputContainer]:
    descriptor = open_regular(file)
    boxes = Outline()
    try:
        boxes = probe.outline_of(descriptor)
        return boxes, open_container(descriptor)
    except UnusableFileError as error:
        raise UnusableFileError(_with_missing(str(error), boxes.cut_short)) from error
    finally:
        os.close(descriptor)  # FFmpeg has a copy


def open_regular(file: str) -> int:
    """Return a descriptor of a regular file; other kinds are not even opened.

    Raises:
        UnusableFileError: it is not a regular file, is empty, or cannot be opened.
    """
    try:
        mode = os.lstat(file).st_mode
        for is_kind, kind in _KINDS:
            if is_kind(mode):
                raise UnusableFileError(f"is {kind}, not a file")
        descriptor = os.open(file, READ_ONLY)
    except OSError as error:
        raise UnusableFileError(f"cannot be opened: {error.strerror}") from error
    except ValueError as error:
        raise UnusableFileError(f"cannot be opened: {error}") from error
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size > 0:
        return descriptor
    os.close(descriptor)
    raise UnusableFileError("is empty" if stat.S_ISREG(status.st_mode) else "is no longer a file")


def _with_missing(reason: str, missing: str) -> str:
    return f"{reason} ({missing})" if missing else reason


def open_container(source: "int | HttpRangeFile", *, is_rough: bool = True) -> InputContainer:
    """Return the container behind a descriptor, of which FFmpeg keeps a copy.

    Args:
        source: the descriptor, or a file object that the caller closes; at the start of the
            container.
        is_rough: probe streams as cheaply as possible; the order of frames is then guessed, which
            is fine unless packets are copied.

    Raises:
        UnusableFileError: it is damaged, or its format is not accepted as video.
    """
    options = {**_OPEN_OPTIONS, **(_FAST_PROBE_OPTIONS if is_rough else {})}
    try:
        if not isinstance(source, int):
            options |= _NO_PROTOCOLS
            return av.open(source, "r", options=options, metadata_errors="replace")
        options["fd"] = str(source)
        return av.open("fd:", options=options, metadata_errors="replace")
    except MemoryError:
        raise
    except av.ArgumentError as error:  # the format is not on our whitelist
        raise UnusableFileError("unsupported format") from error
    except av.FFmpegError as error:
        raise UnusableFileError(f"is damaged, or not a video: {error.strerror}") from error


def video_stream(container: InputContainer) -> VideoStream:
    """Return the video stream that players show: no cover, and decodable if any is.

    Raises:
        UnusableFileError: there is none.
    """
    pictures = container.streams.video
    videos = [
        video
        for video in played_first(container, pictures)
        if not video.disposition & Disposition.attached_pic
    ]
    if not videos:
        raise UnusableFileError(NO_VIDEO[bool(pictures)])
    return next((video for video in videos if _context(video) is not None), videos[0])


def played_first(container: InputContainer, streams: Iterable[_AvStream]) -> list[_AvStream]:
    """Return streams of one kind, the one that plays by default first.

    Measured in Chromium: in MP4 and MOV it is the first that is enabled, elsewhere the first,
    whatever is marked as default.
    """
    if _ENABLED_FLAG_FORMATS.isdisjoint(container.format.name.split(",")):
        return list(streams)
    return sorted(streams, key=lambda stream: not stream.disposition & Disposition.default)


def _codec(stream: VideoStream) -> VideoCodecContext | None:
    """Return the decoder, set up for single frames that are scaled down, in one thread."""
    codec = _context(stream)
    if codec is None:
        return None
    codec.thread_count = 1  # threads cost more than they gain for few frames
    codec.thread_type = ThreadType.NONE
    if codec.width > PREVIEW_BOX.width_px or codec.height > PREVIEW_BOX.height_px:
        codec.options = {"skip_loop_filter": "all"}  # scaling down smooths blocks as well
    return codec


def first_start(picture: VideoStream, sounds: Iterable[AudioStream]) -> float:
    """Return the least start time of video and audio, in timestamps of the file, in seconds."""
    starts = [
        float(stream.start_time * stream.time_base)
        for stream in (picture, *sounds)
        if stream.start_time is not None and stream.time_base is not None
    ]
    return min(starts, default=0.0)


def frame_orientation(frame: VideoFrame) -> Orientation:
    """Return the orientation of a frame, from its display matrix."""
    side_data = frame.side_data.get("DISPLAYMATRIX")
    matrix = bytes(side_data) if isinstance(side_data, SideData) else b""
    if len(matrix) < _DISPLAY_MATRIX.size:
        return Orientation()
    right_x, right_y, _, down_x, down_y, *_ = _DISPLAY_MATRIX.unpack_from(matrix)
    return orientation_of((right_x, right_y), (down_x, down_y))


def colors_of(codec: VideoCodecContext) -> ColorSpace:
    """Return the color space in a container; call it before anything is decoded."""
    return ColorSpace(codec.color_primaries, codec.color_trc, codec.colorspace)


def frame_colors(
    frame: VideoFrame, of_container: ColorSpace | None, stream: VideoStream
) -> ColorSpace:
    """Return the color space of a frame, completed by that of its container."""
    of_frame = ColorSpace(
        frame.color_primaries,
        frame.color_trc,
        RGB if frame.format.is_rgb else frame.colorspace,
        is_full=frame.format.is_rgb
        or frame.color_range == _FULL_RANGE
        or frame.format.name.startswith("yuvj"),
    )
    colors = completed(of_frame, of_container) if of_container else of_frame
    is_unspecified = colors.curve == colors.matrix == UNSPECIFIED
    is_dolby = is_unspecified and probe.sample_entry(stream) in _DOLBY_VISION
    return unmapped(colors) if is_dolby else colors


def _context(stream: VideoStream) -> VideoCodecContext | None:
    return stream.codec_context  # None without a decoder, which PyAV's stubs do not declare


def _codec_name(stream: VideoStream | AudioStream | SubtitleStream) -> str | None:
    context: CodecContext | None = stream.codec_context  # likewise
    return None if context is None else context.codec.canonical_name
