"""Encodes video: upright, of even size and 8-bit, in chunks that are stored one by one."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from fractions import Fraction

import av
from av.codec.context import ThreadType
from av.filter import Graph
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from generator.adapters.media_worker.video_file import (
    UnusableFileError,
    colors_of,
    frame_colors,
    frame_orientation,
)
from generator.adapters.rendition_worker import job_folder
from generator.adapters.rendition_worker.audio_encoder import AudioSurvey
from generator.adapters.rendition_worker.heartbeat import Heartbeat
from generator.adapters.rendition_worker.source import Piece, SourceFile
from generator.core.media.renditions import (
    CRF,
    KEY_EVERY_S,
    LOOK,
    PRESET,
    FrameClock,
    chunk_file,
    chunk_note,
    chunk_of,
    filled,
    peak_bps,
    picture_size,
)
from generator.core.media.stills import Size, displayed_size, plausible_fps
from generator.core.media.tonemap import ColorSpace, to_srgb

_MAX_TICKS_PER_S = 1_000_000
_DEFAULT_BASE = Fraction(1, 90_000)
_DEFAULT_FPS = 25
_MAX_FPS = 240.0
_MAX_KEY_FRAMES_APART, _MIN_KEY_FRAMES_APART = 1000, 25

# As ITU-T H.273 numbers them.
_BT709, _UNSPECIFIED = 1, 2
_WIDE_MATRICES = {9, 10}
_PLAIN_MATRICES = {1, 4, 5, 6, 7}
_LIMITED = 1
_DEPENDENT = {PictureType.P, PictureType.B, PictureType.S, PictureType.SP}  # on other frames


@dataclass(frozen=True, slots=True)
class FrameFormat:
    """The format of all frames of a copy.

    `primaries`, `curve` and `matrix` are numbers of H.273. `fps` is what its encoder expects;
    `base` is its time base in seconds, a fraction.
    """

    width_px: int
    height_px: int
    primaries: int
    curve: int
    matrix: int
    fps: float
    base: str

    @property
    def size(self) -> Size:
        """Return the frame size."""
        return Size(self.width_px, self.height_px)


class StartedLateError(Exception):
    """A packet marked as a key frame is none: the chunk's first frame cannot be decoded."""


class VideoEncoder:
    """Encodes the missing chunks of video.

    Args:
        source: at its start.
        survey: of an earlier pass.
        heartbeat: counts every frame.
        chunk_s: length of a chunk.
        threads: of the decoder and the encoder each.
    """

    def __init__(
        self,
        source: SourceFile,
        survey: AudioSurvey,
        heartbeat: Heartbeat,
        *,
        chunk_s: float,
        threads: int,
    ) -> None:
        self._source = source
        self._survey = survey
        self._heartbeat = heartbeat
        self._chunk_s = chunk_s
        self._threads = threads
        base = source.picture.time_base
        self._base = base if base and base.denominator <= _MAX_TICKS_PER_S else _DEFAULT_BASE
        self._format = stored_format()
        picture: VideoCodecContext | None = source.picture.codec_context
        self._container_colors = colors_of(picture) if picture else None
        self._chunk: _Chunk | None = None
        self._next = 0

    def encode(self, first: int, packet: int) -> None:
        """Encode all chunks from `first` on.

        Args:
            first: the number of a chunk; all before it are finished.
            packet: the number of the video packet to decode from, at a key frame.

        Raises:
            StartedLateError: the start of the chunk cannot be decoded from there: begin with an
                earlier packet. Nothing was written.
            UnusableFileError: there is no decoder.
        """
        chunks = len(self._survey.first_packets)
        self._next, is_sure = first, packet == 0
        written = job_folder.total_bytes()
        self._heartbeat.done_s, self._heartbeat.size_bytes = first * self._chunk_s, written
        try:
            for ticks, frame in self._frames(packet):
                at_s = float(ticks * self._base)
                if not is_sure and (at_s > first * self._chunk_s or frame.pict_type in _DEPENDENT):
                    raise StartedLateError
                is_sure = True
                number = chunk_of(at_s, self._chunk_s, chunks)
                if number < self._next:
                    continue
                if self._chunk is None or number > self._chunk.number:
                    written += self._finish_before(number)
                    self._chunk = self._begin(number, frame)
                self._chunk.add(ticks, frame)
                self._heartbeat.done_s = max(self._heartbeat.done_s, at_s)
                self._heartbeat.size_bytes = written + self._chunk.size_bytes
                self._heartbeat.beat()
            if not is_sure:
                raise StartedLateError
            self._finish_before(chunks)
        finally:
            if self._chunk is not None:
                self._chunk.abandon()

    def _begin(self, number: int, frame: VideoFrame) -> "_Chunk":
        assert self._format is not None
        assert frame.width == self._format.width_px
        return _Chunk(number, self._format, self._threads)

    def _finish_before(self, number: int) -> int:
        """Finish the current chunk, and empty ones up to `number`; return its size."""
        size_bytes = 0
        if self._chunk is not None:
            size_bytes, self._next = self._chunk.finish(), self._chunk.number + 1
            self._chunk = None
        while self._next < number:
            job_folder.write_note(chunk_note(self._next), {"times": [], "size_bytes": 0})
            self._next += 1
        return size_bytes

    def _frames(self, packet: int) -> Iterator[tuple[int, VideoFrame]]:
        """Yield (ticks, frame) to encode, in display order."""
        base = self._source.picture.time_base or self._base
        fps = self._fps()
        clock = FrameClock(max(1, round(1 / (fps * base))))
        filter_graph: _FilterGraph | None = None
        last: int | None = None
        for frame in self._decode_from(packet):
            timestamp = frame.pts if frame.pts is not None else frame.dts
            time = clock.time_of(timestamp, frame.duration)
            if time is None:
                continue
            frame.pts, frame.time_base = time, base
            if filter_graph is None:
                filter_graph = self._filter_graph(frame, fps)
            for filtered in filter_graph.filter(frame):
                last, is_later = self._ticks(filtered, last)
                if is_later:
                    yield last, filtered
        for filtered in filter_graph.drain() if filter_graph else ():
            last, is_later = self._ticks(filtered, last)
            if is_later:
                yield last, filtered

    def _ticks(self, frame: VideoFrame, last: int | None) -> tuple[int, bool]:
        """Return the time of a frame, and whether it is later than the previous one."""
        assert frame.pts is not None
        assert frame.time_base is not None
        ticks = round(frame.pts * frame.time_base / self._base)
        if last is not None and ticks <= last:
            return last, False
        return ticks, True

    def _filter_graph(self, frame: VideoFrame, fps: float) -> "_FilterGraph":
        if self._format is None:
            aspect = self._source.picture.sample_aspect_ratio
            colors = frame_colors(frame, self._container_colors, self._source.picture)
            self._format = _format_of(frame, colors, aspect, fps, self._base)
            job_folder.write_note(LOOK, asdict(self._format))
        return _FilterGraph(
            self._format, self._source.picture, self._container_colors, self._threads
        )

    def _fps(self) -> float:
        picture = self._source.picture
        fps = plausible_fps(picture.average_rate, picture.guessed_rate)
        return min(fps or _DEFAULT_FPS, _MAX_FPS)

    def _decode_from(self, first: int) -> Iterator[VideoFrame]:
        decoder = self._decoder()
        # Fixed timestamps depend on the audio packets between.
        streams = (
            self._source.main_streams if self._survey.breaks else self._source.main_streams[:1]
        )
        number = -1
        for packet in self._source.packets(*streams):
            if packet.stream_index != self._source.picture.index:
                continue
            number += 1
            if number >= first:
                yield from _decode(decoder, packet)
        yield from _decode(decoder, None)

    def _decoder(self) -> VideoCodecContext:
        decoder: VideoCodecContext | None = self._source.picture.codec_context
        if decoder is None:
            raise UnusableFileError("its codec is unknown")
        decoder.thread_count = self._threads
        decoder.thread_type = ThreadType.NONE if self._threads == 1 else ThreadType.AUTO
        return decoder


class _FilterGraph:
    """Makes frames upright, of one size, of limited range and progressive."""

    def __init__(
        self,
        frame_format: FrameFormat,
        picture: VideoStream,
        container_colors: ColorSpace | None,
        threads: int,
    ) -> None:
        self._format = frame_format
        self._picture, self._container_colors = picture, container_colors
        self._aspect = picture.sample_aspect_ratio
        self._threads = threads
        self._graph: Graph | None = None
        self._shape: tuple[object, ...] = ()
        self._is_interlaced = False

    def filter(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        """Filter a frame; yield the frames that come out, now or later."""
        self._is_interlaced = self._is_interlaced or frame.interlaced_frame
        shape = (
            frame.format.name, frame.width, frame.height, frame_orientation(frame),
            frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries,
            self._is_interlaced,
        )  # fmt: skip
        if self._graph is None or shape != self._shape:
            yield from self.drain()
            self._graph, self._shape = self._graph_for(frame), shape
        self._graph.push(frame)
        yield from _pull(self._graph)

    def drain(self) -> Iterator[VideoFrame]:
        """Yield buffered frames."""
        if self._graph is not None:
            self._graph.push(None)
            yield from _pull(self._graph)
            self._graph = None

    def _graph_for(self, frame: VideoFrame) -> Graph:
        orientation = frame_orientation(frame)
        size = filled(
            displayed_size(Size(frame.width, frame.height), self._aspect, orientation.turn_deg),
            self._format.size,
        )
        stored_size = size.turned() if orientation.is_lying else size
        graph = Graph()
        graph.threads = self._threads
        steps = [("buffer", _buffer(frame))]
        if self._is_interlaced:
            steps.append(("bwdif", "mode=send_frame:deint=interlaced"))
        colors = frame_colors(frame, self._container_colors, self._picture)
        steps += _scale_steps(colors, stored_size, self._format)
        steps += [("hflip", "")] * orientation.is_mirrored + _TURNS[orientation.turn_deg]
        if size != self._format.size:
            width, height = self._format.width_px, self._format.height_px
            steps.append(("pad", f"{width}:{height}:(ow-iw)/2:(oh-ih)/2"))
        steps += [("format", "yuv420p"), ("buffersink", "")]
        graph.link_nodes(*(graph.add(name, args or None) for name, args in steps)).configure()
        return graph


class _Chunk:
    """A video file of about a minute while it is written; its timestamps begin at 0."""

    def __init__(self, number: int, frame_format: FrameFormat, threads: int) -> None:
        self.number = number
        self.size_bytes = 0
        self._base = Fraction(frame_format.base)
        self._times: list[int] = []
        self._first: int | None = None
        self._key_due = Fraction(0)
        self._container = av.open(job_folder.unfinished(chunk_file(number)), "w", format="mp4")
        peak = peak_bps(frame_format.size, frame_format.fps)
        self._stream = self._container.add_stream(
            "libx264",
            rate=Fraction(frame_format.fps).limit_denominator(1001),
            options={
                "preset": PRESET,
                "crf": str(CRF),
                "profile": "high",
                "maxrate": str(peak),
                "bufsize": str(2 * peak),
                "forced-idr": "1",
                "g": str(_MAX_KEY_FRAMES_APART),
                "keyint_min": str(_MIN_KEY_FRAMES_APART),
            },
        )
        encoder = self._stream.codec_context
        encoder.width, encoder.height, encoder.pix_fmt = (
            frame_format.width_px,
            frame_format.height_px,
            "yuv420p",
        )
        encoder.time_base = self._base
        encoder.thread_count = threads
        encoder.color_range = _LIMITED
        encoder.color_primaries, encoder.color_trc = frame_format.primaries, frame_format.curve
        encoder.colorspace = frame_format.matrix

    def add(self, ticks: int, frame: VideoFrame) -> None:
        """Encode a frame."""
        if self._first is None:
            self._first = ticks
        frame.pts, frame.time_base = ticks - self._first, self._base
        frame.duration = 0
        is_key = frame.pts * self._base >= self._key_due
        # The encoder would take the source's frame type for a request.
        frame.pict_type = PictureType.I if is_key else PictureType.NONE
        if is_key:
            self._key_due = frame.pts * self._base + KEY_EVERY_S
        self._keep(self._stream.encode(frame))

    def finish(self) -> int:
        """Complete it; return its size."""
        self._keep(self._stream.encode(None))
        self._container.close()
        size_bytes = job_folder.keep(chunk_file(self.number))
        note = {"times": self._times, "size_bytes": size_bytes}
        job_folder.write_note(chunk_note(self.number), note)
        return size_bytes

    def abandon(self) -> None:
        """Close an unfinished file."""
        with suppress(av.FFmpegError, OSError):  # it is discarded anyway
            self._container.close()

    def _keep(self, packets: "list[Packet[VideoStream]]") -> None:
        for packet in packets:
            assert packet.pts is not None
            assert self._first is not None
            self._times.append(packet.pts + self._first)
            self.size_bytes += packet.size
            self._container.mux_one(packet)


_TURNS = {
    0: [],
    90: [("transpose", "clock")],
    180: [("hflip", ""), ("vflip", "")],
    270: [("transpose", "cclock")],
}


def stored_format() -> FrameFormat | None:
    """Return the stored frame format, None before the first chunk."""
    fields = job_folder.read_note(LOOK)
    return None if fields is None else FrameFormat(**fields)


def _format_of(
    frame: VideoFrame, colors: ColorSpace, aspect: Fraction | None, fps: float, base: Fraction
) -> FrameFormat:
    turn_deg = frame_orientation(frame).turn_deg
    size = picture_size(displayed_size(Size(frame.width, frame.height), aspect, turn_deg))
    if _is_tone_mapped(colors) or frame.format.is_rgb:
        return FrameFormat(size.width_px, size.height_px, _BT709, _BT709, _BT709, fps, str(base))
    matrix = frame.colorspace if frame.colorspace in _PLAIN_MATRICES else _UNSPECIFIED
    return FrameFormat(
        size.width_px,
        size.height_px,
        frame.color_primaries,
        frame.color_trc,
        matrix,
        fps,
        str(base),
    )


def _is_tone_mapped(colors: ColorSpace) -> bool:
    """Return whether colors are mapped: wide ones, and matrices that few players support."""
    return colors.is_wide or colors.matrix in _WIDE_MATRICES


def _buffer(frame: VideoFrame) -> str:
    base = frame.time_base or _DEFAULT_BASE
    color_args = "" if frame.format.is_rgb else f":colorspace={frame.colorspace}"
    return (
        f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}"
        f":time_base={base.numerator}/{base.denominator}:pixel_aspect=1/1"
        f"{color_args}:range={frame.color_range}"
    )


def _scale_steps(
    colors: ColorSpace, size: Size, frame_format: FrameFormat
) -> list[tuple[str, str]]:
    output = "out_range=limited"
    if frame_format.matrix != _UNSPECIFIED:
        output += f":out_color_matrix={_MATRIX_NAMES[frame_format.matrix]}"
    if _is_tone_mapped(colors):
        return [*to_srgb(colors, size, "bicubic"), ("scale", output)]
    return [("scale", f"{size.width_px}:{size.height_px}:flags=bicubic:{output}")]


_MATRIX_NAMES = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m"}


def _pull(graph: Graph) -> Iterator[VideoFrame]:
    while True:
        try:
            frame = graph.vpull()
        except (BlockingIOError, EOFError):
            return
        yield frame


def _decode(decoder: VideoCodecContext, packet: "Piece | None") -> list[VideoFrame]:
    try:
        return decoder.decode(packet)
    except MemoryError:
        raise
    except av.FFmpegError:
        return []  # damaged; the previous frame is shown for longer
