"""Picture: decoded, made upright, even and 8-bit, encoded in chunks that are kept one by one."""

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
    colours_of,
    frame_colours,
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

_MOST_TICKS_A_S = 1_000_000
_USUAL_BASE = Fraction(1, 90_000)
_USUAL_FPS = 25
_MOST_FPS = 240.0
_KEY_AT_MOST_FRAMES, _KEY_AT_LEAST_FRAMES = 1000, 25

# As ITU-T H.273 numbers them.
_BT709, _UNSPECIFIED = 1, 2
_WIDE_MATRICES = {9, 10}
_PLAIN_MATRICES = {1, 4, 5, 6, 7}
_LIMITED = 1
_LEANING = {PictureType.P, PictureType.B, PictureType.S, PictureType.SP}  # on other frames


@dataclass(frozen=True, slots=True)
class FrameFormat:
    """What all frames of a copy have in common.

    `primaries`, `curve` and `matrix` are numbers of H.273. `fps` is what its encoder expects;
    `base` is the length of a tick of its clock in seconds, a fraction.
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
        """Return how large it is."""
        return Size(self.width_px, self.height_px)


class StartedLateError(Exception):
    """What was called a key frame was none: nothing whole came before what was wanted."""


class VideoEncoder:
    """Encodes what is missing of a picture, chunk by chunk.

    Args:
        source: a fresh reading.
        seen: what an earlier reading told.
        pulse: told of every frame.
        chunk_s: how much of the video a chunk holds.
        threads: for the decoder and the encoder each.
    """

    def __init__(
        self,
        source: SourceFile,
        seen: AudioSurvey,
        pulse: Heartbeat,
        *,
        chunk_s: float,
        threads: int,
    ) -> None:
        self._source = source
        self._seen = seen
        self._pulse = pulse
        self._chunk_s = chunk_s
        self._threads = threads
        base = source.picture.time_base
        self._base = base if base and base.denominator <= _MOST_TICKS_A_S else _USUAL_BASE
        self._look = kept_look()
        picture: VideoCodecContext | None = source.picture.codec_context
        self._told = colours_of(picture) if picture else None
        self._chunk: _Chunk | None = None
        self._next = 0

    def encode(self, first: int, packet: int) -> None:
        """Encode all chunks from `first` on.

        Args:
            first: the number of a chunk; all before it are finished.
            packet: the number of the picture's packet to decode from, at a key frame.

        Raises:
            StartedLateError: what the chunk begins with cannot be decoded from there: begin with
                an earlier packet. Nothing was written.
            UnfitError: there is no decoder.
        """
        chunks = len(self._seen.first_packets)
        self._next, is_sure = first, packet == 0
        written = job_folder.total_bytes()
        self._pulse.done_s, self._pulse.size_bytes = first * self._chunk_s, written
        try:
            for ticks, frame in self._frames(packet):
                at_s = float(ticks * self._base)
                if not is_sure and (at_s > first * self._chunk_s or frame.pict_type in _LEANING):
                    raise StartedLateError
                is_sure = True
                number = chunk_of(at_s, self._chunk_s, chunks)
                if number < self._next:
                    continue
                if self._chunk is None or number > self._chunk.number:
                    written += self._finish_before(number)
                    self._chunk = self._begin(number, frame)
                self._chunk.add(ticks, frame)
                self._pulse.done_s = max(self._pulse.done_s, at_s)
                self._pulse.size_bytes = written + self._chunk.size_bytes
                self._pulse.beat()
            if not is_sure:
                raise StartedLateError
            self._finish_before(chunks)
        finally:
            if self._chunk is not None:
                self._chunk.abandon()

    def _begin(self, number: int, frame: VideoFrame) -> "_Chunk":
        assert self._look is not None
        assert frame.width == self._look.width_px
        return _Chunk(number, self._look, self._threads)

    def _finish_before(self, number: int) -> int:
        """Finish the chunk that is being written, and those without a frame; return its bytes."""
        size_bytes = 0
        if self._chunk is not None:
            size_bytes, self._next = self._chunk.finish(), self._chunk.number + 1
            self._chunk = None
        while self._next < number:
            job_folder.write_note(chunk_note(self._next), {"times": [], "size_bytes": 0})
            self._next += 1
        return size_bytes

    def _frames(self, packet: int) -> Iterator[tuple[int, VideoFrame]]:
        """Yield frames as they are to be encoded, and when each is shown, ascending."""
        base = self._source.picture.time_base or self._base
        fps = self._fps()
        clock = FrameClock(max(1, round(1 / (fps * base))))
        strainer: _Strainer | None = None
        last: int | None = None
        for frame in self._decoded(packet):
            told = frame.pts if frame.pts is not None else frame.dts
            time = clock.time_of(told, frame.duration)
            if time is None:
                continue
            frame.pts, frame.time_base = time, base
            if strainer is None:
                strainer = self._strainer(frame, fps)
            for strained in strainer.strain(frame):
                last, is_later = self._ticks(strained, last)
                if is_later:
                    yield last, strained
        for strained in strainer.drain() if strainer else ():
            last, is_later = self._ticks(strained, last)
            if is_later:
                yield last, strained

    def _ticks(self, frame: VideoFrame, last: int | None) -> tuple[int, bool]:
        """Return when a frame is shown, and whether that is later than the one before."""
        assert frame.pts is not None
        assert frame.time_base is not None
        ticks = round(frame.pts * frame.time_base / self._base)
        if last is not None and ticks <= last:
            return last, False
        return ticks, True

    def _strainer(self, frame: VideoFrame, fps: float) -> "_Strainer":
        if self._look is None:
            aspect = self._source.picture.sample_aspect_ratio
            colours = frame_colours(frame, self._told, self._source.picture)
            self._look = _look_of(frame, colours, aspect, fps, self._base)
            job_folder.write_note(LOOK, asdict(self._look))
        return _Strainer(self._look, self._source.picture, self._told, self._threads)

    def _fps(self) -> float:
        picture = self._source.picture
        fps = plausible_fps(picture.average_rate, picture.guessed_rate)
        return min(fps or _USUAL_FPS, _MOST_FPS)

    def _decoded(self, first: int) -> Iterator[VideoFrame]:
        decoder = self._decoder()
        # Where the clock was mended, what was mended hangs on the sound between the pictures.
        wanted = self._source.heard if self._seen.breaks else self._source.heard[:1]
        number = -1
        for packet in self._source.packets(*wanted):
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


class _Strainer:
    """Lets frames through that are upright, of one size, limited in colour and not interlaced."""

    def __init__(
        self, look: FrameFormat, picture: VideoStream, told: ColorSpace | None, threads: int
    ) -> None:
        self._look = look
        self._picture, self._told = picture, told
        self._aspect = picture.sample_aspect_ratio
        self._threads = threads
        self._graph: Graph | None = None
        self._shape: tuple[object, ...] = ()
        self._is_interlaced = False

    def strain(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        """Yield the frames that come out for one that goes in, now or later."""
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
        yield from _pulled(self._graph)

    def drain(self) -> Iterator[VideoFrame]:
        """Yield what was held back."""
        if self._graph is not None:
            self._graph.push(None)
            yield from _pulled(self._graph)
            self._graph = None

    def _graph_for(self, frame: VideoFrame) -> Graph:
        orientation = frame_orientation(frame)
        size = filled(
            displayed_size(Size(frame.width, frame.height), self._aspect, orientation.turn_deg),
            self._look.size,
        )
        lying = size.turned() if orientation.is_lying else size
        graph = Graph()
        graph.threads = self._threads
        steps = [("buffer", _buffer(frame))]
        if self._is_interlaced:
            steps.append(("bwdif", "mode=send_frame:deint=interlaced"))
        colours = frame_colours(frame, self._told, self._picture)
        steps += _scale(colours, lying, self._look)
        steps += [("hflip", "")] * orientation.is_mirrored + _TURNS[orientation.turn_deg]
        if size != self._look.size:
            width, height = self._look.width_px, self._look.height_px
            steps.append(("pad", f"{width}:{height}:(ow-iw)/2:(oh-ih)/2"))
        steps += [("format", "yuv420p"), ("buffersink", "")]
        graph.link_nodes(*(graph.add(name, args or None) for name, args in steps)).configure()
        return graph


class _Chunk:
    """A film of about a minute while it is written; its times begin at 0."""

    def __init__(self, number: int, look: FrameFormat, threads: int) -> None:
        self.number = number
        self.size_bytes = 0
        self._base = Fraction(look.base)
        self._times: list[int] = []
        self._first: int | None = None
        self._key_due = Fraction(0)
        self._container = av.open(job_folder.unfinished(chunk_file(number)), "w", format="mp4")
        peak = peak_bps(look.size, look.fps)
        self._stream = self._container.add_stream(
            "libx264",
            rate=Fraction(look.fps).limit_denominator(1001),
            options={
                "preset": PRESET,
                "crf": str(CRF),
                "profile": "high",
                "maxrate": str(peak),
                "bufsize": str(2 * peak),
                "forced-idr": "1",
                "g": str(_KEY_AT_MOST_FRAMES),
                "keyint_min": str(_KEY_AT_LEAST_FRAMES),
            },
        )
        encoder = self._stream.codec_context
        encoder.width, encoder.height, encoder.pix_fmt = look.width_px, look.height_px, "yuv420p"
        encoder.time_base = self._base
        encoder.thread_count = threads
        encoder.color_range = _LIMITED
        encoder.color_primaries, encoder.color_trc = look.primaries, look.curve
        encoder.colorspace = look.matrix

    def add(self, ticks: int, frame: VideoFrame) -> None:
        """Encode a frame."""
        if self._first is None:
            self._first = ticks
        frame.pts, frame.time_base = ticks - self._first, self._base
        frame.duration = 0
        is_key = frame.pts * self._base >= self._key_due
        # What a frame was in the source would be taken for a wish.
        frame.pict_type = PictureType.I if is_key else PictureType.NONE
        if is_key:
            self._key_due = frame.pts * self._base + KEY_EVERY_S
        self._keep(self._stream.encode(frame))

    def finish(self) -> int:
        """Complete it; return how large it is."""
        self._keep(self._stream.encode(None))
        self._container.close()
        size_bytes = job_folder.keep(chunk_file(self.number))
        note = {"times": self._times, "size_bytes": size_bytes}
        job_folder.write_note(chunk_note(self.number), note)
        return size_bytes

    def abandon(self) -> None:
        """Close what is not to be finished."""
        with suppress(av.FFmpegError, OSError):  # it is not wanted any more
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


def kept_look() -> FrameFormat | None:
    """Return what was settled on before the first chunk, None if nothing was."""
    said = job_folder.read_note(LOOK)
    return None if said is None else FrameFormat(**said)


def _look_of(
    frame: VideoFrame, colours: ColorSpace, aspect: Fraction | None, fps: float, base: Fraction
) -> FrameFormat:
    turn_deg = frame_orientation(frame).turn_deg
    size = picture_size(displayed_size(Size(frame.width, frame.height), aspect, turn_deg))
    if _is_mapped(colours) or frame.format.is_rgb:
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


def _is_mapped(colours: ColorSpace) -> bool:
    """Tell whether frames get other colours: wide ones, and what few players know."""
    return colours.is_wide or colours.matrix in _WIDE_MATRICES


def _buffer(frame: VideoFrame) -> str:
    base = frame.time_base or _USUAL_BASE
    colours = "" if frame.format.is_rgb else f":colorspace={frame.colorspace}"
    return (
        f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}"
        f":time_base={base.numerator}/{base.denominator}:pixel_aspect=1/1"
        f"{colours}:range={frame.color_range}"
    )


def _scale(colours: ColorSpace, size: Size, look: FrameFormat) -> list[tuple[str, str]]:
    wanted = "out_range=limited"
    if look.matrix != _UNSPECIFIED:
        wanted += f":out_color_matrix={_MATRIX_NAMES[look.matrix]}"
    if _is_mapped(colours):
        return [*to_srgb(colours, size, "bicubic"), ("scale", wanted)]
    return [("scale", f"{size.width_px}:{size.height_px}:flags=bicubic:{wanted}")]


_MATRIX_NAMES = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m"}


def _pulled(graph: Graph) -> Iterator[VideoFrame]:
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
        return []  # damaged; the frame before is shown for longer
