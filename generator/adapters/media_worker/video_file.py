"""Film: one video file, opened once, that tells about itself and gives frames.

FFmpeg gets an open descriptor and no name, is held to real containers, and may open nothing else:
a playlist that calls itself .mp4 leads nowhere, and no name can be taken for an address.
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
from generator.core.library.bucket_objects import is_address
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

# Demuxers for what intake.VIDEO_SUFFIXES names; none of them opens a second file.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,asf,mpegts,mpeg,mpegvideo,ogg,rm,mxf,wtv,dv"
)
_SAFE = {"protocol_whitelist": "fd", "format_whitelist": _CONTAINERS}
_NO_PROTOCOL = {"protocol_whitelist": "none"}  # what is read through us needs not even that one
# Finding out what streams there are decodes a few frames that nobody sees: as roughly as can be.
_ROUGH = {"skip_frame": "nokey", "skip_loop_filter": "all", "skip_idct": "all"}
READ_ONLY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_COUNTED = {"mov", "mp4", "matroska", "webm", "ogg"}  # what browsers play, by its own clock
_LEAST_LATE_S, _MOST_LATE_S = 0.1, 31 * 86_400.0
_SWITCHED = {"mp4", "mov"}  # in these a track is on or off
_Heard = TypeVar("_Heard", VideoStream, AudioStream)
_MATRIX = struct.Struct("=9i")  # of displays, in a container: rows of three
_FULL = 2  # AVCOL_RANGE_JPEG
_DOLBY_VISION = {"dvh1", "dvhe", "dav1"}
_MICROSECONDS = 1_000_000  # av.time_base
_KEY_WITHIN_BYTES = 1 << 26
_KEY_WITHIN = 1_000  # packets; a key frame comes every 10 s at most where seeking shall work
_START_WITHIN = 50  # packets of picture and sound
_COVER_WITHIN = 100  # packets of all kinds; attached pictures come first
_DECODE_PACKETS = 3_000
_DECODE_PX = 60_000_000  # 1 s of 1080p and more, where key frames show nothing; some 0.2 s of work


class UnusableFileError(Exception):
    """The file, or its poster, cannot be had; the message says why, to a person."""


@dataclass(frozen=True, slots=True)
class KeyPacket:
    """A packet that a key frame is in, still encoded.

    `start_s` counts from where the video starts, in whole milliseconds; None where the file does
    not say, or what it says cannot be.
    """

    start_s: float | None
    packet: "Packet[VideoStream]"


class VideoFile:
    """A video file, open until the `with` block ends; behind an address, it is read by range.

    What frames say of their size and rotation is believed over what the header says. `read_bytes`
    counts what was read of the pictures, decoded or not.

    Raises:
        UnfitError: it is no file, or no video.
        MemoryError: opening it needs more than allowed.
        OSError: it is behind an address, and cannot be fetched; see `settle`.
    """

    def __init__(self, file: str) -> None:
        self._source: HttpRangeFile | None = None
        if is_address(file):
            self._outline, self._container = self._opened_by_range(file)
        else:
            self._outline, self._container = _opened(file)
        try:
            self._stream = video_stream(self._container)
        except UnusableFileError:
            self.close()
            self.settle()
            raise
        self._codec = _codec(self._stream)
        self._coded = self._claimed_size()
        self._orientation, self._is_wide = Orientation(), False
        self._colours = colours_of(self._codec) if self._codec else None
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
        """Let go of it."""
        self._container.close()
        if self._source is not None:
            self._source.close()

    def settle(self) -> None:
        """Tell of what FFmpeg may have taken for the end, or for damage: that it was not fetched.

        Raises:
            AwayError: the store could not be reached.
            ShiftedError: the file was replaced or removed meanwhile.
            BarredError: it may not be read.
        """
        if self._source is not None:
            self._source.settle()

    @property
    def duration_s(self) -> float | None:
        """Return how long it says it is."""
        if self._container.duration is not None:
            length_s = self._container.duration / _MICROSECONDS
            if self._is_matroska and length_s > self.start_s:
                length_s -= self.start_s  # it counts from 0 to the end, others from the start
            return plausible_duration(length_s)
        if self._stream.duration is None or self._stream.time_base is None:
            return None
        return plausible_duration(float(self._stream.duration * self._stream.time_base))

    @property
    def start_s(self) -> float:
        """Return what the clock of browsers shows when it begins: they do not set it to 0.

        0 where they do not play the container, or it begins almost at once.
        """
        if _COUNTED.isdisjoint(self._container.format.name.split(",")):
            return 0.0
        start_s = round(self._origin_s, 3)
        return start_s if _LEAST_LATE_S <= start_s <= _MOST_LATE_S else 0.0

    @property
    def tags(self) -> dict[str, str]:
        """Return what it says of itself in words; the container's word before the picture's."""
        return {**self._stream.metadata, **self._container.metadata}

    @property
    def chapters(self) -> tuple[tuple[float, float, str], ...]:
        """Return (start_s, end_s, title) of its chapters, as they are told."""
        found = []
        for chapter in self._container.chapters():
            base = chapter["time_base"]
            if base is not None:
                start_s, end_s = float(chapter["start"] * base), float(chapter["end"] * base)
                start_s, end_s = start_s - self._origin_s, end_s - self._origin_s
                found.append((start_s, end_s, chapter["metadata"].get("title", "")))
        return tuple(found)

    @property
    def cut_short(self) -> str:
        """Return what of the file is missing, "" for nothing."""
        return self._outline.cut_short

    @property
    def orientation(self) -> Orientation:
        """Return how its frames come to stand upright; known once one was decoded."""
        return self._orientation

    @property
    def outdated(self) -> tuple[str, ...]:
        """Return what was made wrongly of such a film before `PROBE_VERSION` 2."""
        sounds = self._container.streams.audio
        marked = sorted(sounds, key=lambda one: not one.disposition & Disposition.default)
        is_seen_anew = self._orientation.is_mirrored or self._is_wide
        is_heard_anew = marked[:1] != played_first(self._container, sounds)[:1]
        has_texts = probe.text_streams(self._container) > 0
        board = ("board",) if is_seen_anew or self.start_s or has_texts else ()
        return (*board, "copy") if is_seen_anew or is_heard_anew else board

    def colours(self, frame: VideoFrame) -> ColorSpace:
        """Return what the colours of a frame mean."""
        return frame_colours(frame, self._colours, self._stream)

    @property
    def displayed(self) -> Size | None:
        """Return how large it is on a screen."""
        if self._coded is None:
            return None
        return displayed_size(
            self._coded, self._stream.sample_aspect_ratio, self._orientation.turn_deg
        )

    def probe(self) -> Probe:
        """Return what it says of itself."""
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
        """Return the first picture that is attached to it, encoded as it is; None without one."""
        attached = [
            one.index
            for one in self._container.streams.video
            if one.disposition & Disposition.attached_pic
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
        """Return the key frame before an instant; None where none is near."""
        return next(filter(None, map(self.picture, self.keys(instant_s))), None)

    def keys(
        self, instant_s: float, within: int = _KEY_WITHIN, within_bytes: int = _KEY_WITHIN_BYTES
    ) -> Iterator[KeyPacket]:
        """Yield the keys among so many packets and bytes, from the one before an instant on.

        Other streams are passed over, by some containers without being read. That cannot be had
        for what lies between two keys (Discard.nonkey): MP4's timestamps go wrong by it.
        """
        self._decoder().skip_frame = "NONKEY"
        self._seek(instant_s)
        others = [one for one in self._container.streams if one is not self._stream]
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
        """Return the key's frame, or None where it is damaged."""
        self._decoder().flush_buffers()
        frames = self._decode(key.packet) or self._decode(None)  # None: give what you hold back
        return self._noted(frames[0]) if frames else None

    def frames(self) -> Iterator[VideoFrame]:
        """Yield frames from the start on, not without end."""
        self._decoder().skip_frame = "NONREF"  # as good to look at, at half the cost
        self._seek(0)
        left_px = _DECODE_PX
        for packet in islice(self._packets(), _DECODE_PACKETS):
            for frame in self._decode(packet):
                yield self._noted(frame)
                left_px -= frame.width * frame.height
            if left_px <= 0:
                return

    def text_packets(
        self, codecs: Collection[str]
    ) -> Iterator[tuple[float, "Packet[SubtitleStream]"]]:
        """Yield the packets of subtitles in these codecs, with their starts in seconds, in a pass.

        Whatever else the file holds is passed over, by some containers without being read.
        """
        streams = self._container.streams
        wanted = tuple(one for one in streams.subtitles if _codec_name(one) in codecs)
        others = [one for one in streams if one not in wanted] if wanted else []
        origin_s = self._origin_s
        with suppress(UnusableFileError):  # of pictures that cannot be decoded
            self._seek(0)
        try:
            for stream in others:
                stream.discard = Discard.all
            for packet in self._container.demux(wanted) if wanted else ():
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

    def _opened_by_range(self, address: str) -> tuple[Outline, InputContainer]:
        from generator.adapters.media_worker.http_range import HttpRangeFile  # noqa: PLC0415 (TLS)

        self._source = HttpRangeFile(address)
        told = outline(self._source)
        try:
            return told, open_container(self._source)
        except UnusableFileError as error:
            self._source.close()
            self.settle()
            raise UnusableFileError(_with_missing(str(error), told.cut_short)) from error

    def _first_start_s(self) -> float:
        """Return when the first of picture and sounds begins; `open_container` looks too roughly.

        It leaves those of Matroska to guesses: the first packets tell.
        """
        sounds = self._container.streams.audio
        if not self._is_matroska:
            return first_start(self._stream, sounds)
        starts_s: dict[int, float] = {}
        counted = {self._stream.index, *(sound.index for sound in sounds[:1])}
        with suppress(av.FFmpegError):
            for packet in islice(self._container.demux(self._stream, *sounds[:1]), _START_WITHIN):
                if packet.pts is not None:
                    start_s = float(packet.pts * packet.time_base)
                    starts_s.setdefault(packet.stream_index, start_s)
                if counted <= starts_s.keys():
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
        # Winding to where a transport stream starts lands behind its first key frame.
        offset = start + int(instant_s * _MICROSECONDS) if instant_s else min(start, 0)
        try:
            self._container.seek(offset)
        except MemoryError:
            raise
        except (av.FFmpegError, OverflowError):
            self._decoder().flush_buffers()  # a stream that cannot be wound goes on where it is

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

    def _noted(self, frame: VideoFrame) -> VideoFrame:
        self._coded = plausible_size(frame.width, frame.height)
        self._orientation = frame_orientation(frame)
        self._is_wide = self.colours(frame).is_wide
        return frame


def _opened(file: str) -> tuple[Outline, InputContainer]:
    descriptor = open_regular(file)
    told = Outline()
    try:
        told = probe.outline_of(descriptor)
        return told, open_container(descriptor)
    except UnusableFileError as error:
        raise UnusableFileError(_with_missing(str(error), told.cut_short)) from error
    finally:
        os.close(descriptor)  # FFmpeg has a copy


def open_regular(file: str) -> int:
    """Return a descriptor of a regular file; nothing else is so much as opened.

    Raises:
        UnfitError: it is something else, is empty, or cannot be opened.
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
    raise UnusableFileError(
        "is empty" if stat.S_ISREG(status.st_mode) else "is not a file any more"
    )


def _with_missing(reason: str, missing: str) -> str:
    return f"{reason} ({missing})" if missing else reason


def open_container(source: "int | HttpRangeFile", *, is_rough: bool = True) -> InputContainer:
    """Return the container behind a descriptor, of which FFmpeg keeps a copy.

    Args:
        source: the descriptor; or what is read in its place, and stays the caller's. It stands
            where the container begins.
        is_rough: streams are looked into as cheaply as can be; it leaves the order of frames to
            guesses, which is no harm as long as nothing is copied.

    Raises:
        UnfitError: it is damaged, or of a kind that is not taken as video.
    """
    options = {**_SAFE, **(_ROUGH if is_rough else {})}
    try:
        if not isinstance(source, int):
            options |= _NO_PROTOCOL
            return av.open(source, "r", options=options, metadata_errors="replace")
        options["fd"] = str(source)
        return av.open("fd:", options=options, metadata_errors="replace")
    except MemoryError:
        raise
    except av.ArgumentError as error:  # what FFmpeg says of a kind that is not on our list
        raise UnusableFileError("is of a kind that is not taken as video") from error
    except av.FFmpegError as error:
        raise UnusableFileError(f"is damaged, or not a video: {error.strerror}") from error


def video_stream(container: InputContainer) -> VideoStream:
    """Return the picture that players show: no cover, and one that can be decoded, if any can.

    Raises:
        UnfitError: there is none.
    """
    pictures = container.streams.video
    videos = [
        one
        for one in played_first(container, pictures)
        if not one.disposition & Disposition.attached_pic
    ]
    if not videos:
        raise UnusableFileError(NO_VIDEO[bool(pictures)])
    return next((one for one in videos if _context(one) is not None), videos[0])


def played_first(container: InputContainer, streams: Iterable[_Heard]) -> list[_Heard]:
    """Return streams of one kind with that in front which plays unless somebody chooses another.

    Measured of Chromium: in an MP4 or MOV it is the first that is enabled, in all else the first,
    whatever is marked as default.
    """
    if _SWITCHED.isdisjoint(container.format.name.split(",")):
        return list(streams)
    return sorted(streams, key=lambda one: not one.disposition & Disposition.default)


def _codec(stream: VideoStream) -> VideoCodecContext | None:
    """Return the decoder, set up for single frames that are scaled down, on one core."""
    codec = _context(stream)
    if codec is None:
        return None
    codec.thread_count = 1  # threads cost more than they bring where few frames are wanted
    codec.thread_type = ThreadType.NONE
    if codec.width > PREVIEW_BOX.width_px or codec.height > PREVIEW_BOX.height_px:
        codec.options = {"skip_loop_filter": "all"}  # scaling down smooths blocks as well
    return codec


def first_start(picture: VideoStream, sounds: Iterable[AudioStream]) -> float:
    """Return when the first of picture and sounds begins, by the clock of the file, in seconds."""
    starts = [
        float(stream.start_time * stream.time_base)
        for stream in (picture, *sounds)
        if stream.start_time is not None and stream.time_base is not None
    ]
    return min(starts, default=0.0)


def frame_orientation(frame: VideoFrame) -> Orientation:
    """Return how a frame comes to stand upright."""
    found = frame.side_data.get("DISPLAYMATRIX")
    matrix = bytes(found) if isinstance(found, SideData) else b""
    if len(matrix) < _MATRIX.size:
        return Orientation()
    right_x, right_y, _, down_x, down_y, *_ = _MATRIX.unpack_from(matrix)
    return orientation_of((right_x, right_y), (down_x, down_y))


def colours_of(codec: VideoCodecContext) -> ColorSpace:
    """Return what a container says of colours; to be asked before anything is decoded."""
    return ColorSpace(codec.color_primaries, codec.color_trc, codec.colorspace)


def frame_colours(frame: VideoFrame, told: ColorSpace | None, stream: VideoStream) -> ColorSpace:
    """Return what the colours of a frame mean, in the light of what its container says."""
    inner = ColorSpace(
        frame.color_primaries,
        frame.color_trc,
        RGB if frame.format.is_rgb else frame.colorspace,
        is_full=frame.format.is_rgb
        or frame.color_range == _FULL
        or frame.format.name.startswith("yuvj"),
    )
    colours = completed(inner, told) if told else inner
    says_nothing = colours.curve == colours.matrix == UNSPECIFIED
    is_dolby = says_nothing and probe.sample_entry(stream) in _DOLBY_VISION
    return unmapped(colours) if is_dolby else colours


def _context(stream: VideoStream) -> VideoCodecContext | None:
    return stream.codec_context  # None without a decoder, which PyAV's stubs do not tell


def _codec_name(stream: VideoStream | AudioStream | SubtitleStream) -> str | None:
    context: CodecContext | None = stream.codec_context  # likewise
    return None if context is None else context.codec.canonical_name
