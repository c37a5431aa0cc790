"""Makes the stills of a poster from a frame, in YUV throughout.

There is never a full-size RGB picture: swscale shrinks the decoder's planes into the preview box,
and everything else is made from that.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import islice

import av
from av.filter import Graph
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from generator.adapters.media_worker.video_file import UnusableFileError, VideoFile
from generator.core.media.stills import (
    PREVIEW_BOX,
    ColorStats,
    Orientation,
    Size,
    color_of,
    color_stats,
    fit,
    poster_times,
    shows_something,
    still_sizes,
)
from generator.core.media.tonemap import RGB, ColorSpace, to_srgb
from generator.core.model import Still, Stills

_MAX_DARK_KEYS = 3  # dark key frames; the frames between are dark, too
_FRAME_STEP = 12  # frames; half a second apart, to get through a fade
_TINY = Size(32, 18)  # enough to judge a frame by
_HD_HEIGHT_PX = 720  # from this height on, unspecified means BT.709
_MATRICES = {  # by AVColorSpace of a frame
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
}
# Chosen by PSNR, size and CPU on real frames. At equal PSNR method 1 is 6 % smaller than 0 for a
# third more time, 2 another 8 % for as much again: spent on the card, which every visitor loads.
# A JPEG with quantizer 3 (of 31) is as good as libjpeg's at quality 80, and smaller.
_CARD_WEBP = {"quality": "75", "compression_level": "1"}
_DENSE_WEBP = {"quality": "75", "compression_level": "0"}
_JPEG = {"qmin": "3", "qmax": "3", "huffman": "default"}
_IDENTITY = Orientation()
_MIRROR: tuple[tuple[str, str | None], ...] = (("hflip", None),)
_TURNS: dict[int, tuple[tuple[str, str | None], ...]] = {
    90: (("transpose", "clock"),),
    180: (("hflip", None), ("vflip", None)),
    270: (("transpose", "cclock"),),
}


@dataclass(frozen=True, slots=True)
class PreviewFrame:
    """A frame shrunk to preview size, not yet rotated or converted, with its color statistics."""

    small: VideoFrame
    matrix: Colorspace
    orientation: Orientation
    displayed: Size
    color_stats: ColorStats


def poster(video: VideoFile) -> Stills:
    """Return the stills of the first candidate that shows something, else of the lightest.

    Raises:
        UnusableFileError: no frame can be decoded.
        MemoryError: it would need more than allowed.
    """
    try:
        preview = _choose(_candidates(video))
        if preview is None:
            raise UnusableFileError("no picture can be decoded")
        return stills_of(preview)
    except MemoryError:
        raise
    except av.FFmpegError as error:
        raise UnusableFileError(f"no picture can be made: {error.strerror}") from error


def _choose(candidates: Iterator[PreviewFrame]) -> PreviewFrame | None:
    best: PreviewFrame | None = None
    for preview in candidates:
        if shows_something(preview.color_stats):
            return preview
        if best is None or preview.color_stats.light > best.color_stats.light:
            best = preview
    return best


def _candidates(video: VideoFile) -> Iterator[PreviewFrame]:
    seen: set[int | None] = set()
    for instant_s in poster_times(video.duration_s):
        frame = video.key_frame(instant_s)
        if frame is not None and frame.pts not in seen:
            seen.add(frame.pts)
            yield _preview(video, frame)
    if len(seen) >= _MAX_DARK_KEYS:
        return
    for frame in islice(video.frames(), 0, None, _FRAME_STEP):
        yield _preview(video, frame)


def _preview(video: VideoFile, frame: VideoFrame) -> PreviewFrame:
    displayed = video.displayed or Size(frame.width, frame.height)
    small, matrix = shrink(video, frame, fit(displayed, PREVIEW_BOX))
    return preview_of(small, matrix, displayed, video.orientation)


def shrink(video: VideoFile, frame: VideoFrame, upright: Size) -> tuple[VideoFrame, Colorspace]:
    """Return a frame shrunk to the size that is `upright` after rotation, and its color matrix.

    Wide colors are mapped to those of an sRGB screen; others stay.
    """
    stored_size = upright.turned() if video.orientation.is_lying else upright
    colors = video.colors(frame)
    if colors.is_wide:
        return _tone_map(frame, stored_size, colors), Colorspace.ITU601
    matrix = _MATRICES.get(frame.colorspace, _default_matrix(frame))
    # Shrink first, convert later: swscale does both at once through RGB, at three times the cost.
    halves = frame.width >= 2 * stored_size.width_px and frame.height >= 2 * stored_size.height_px
    small = scaled(
        frame,
        stored_size,
        "yuv420p",
        interpolation=Interpolation.AREA if halves else Interpolation.BICUBIC,
        src_colorspace=matrix,
        dst_colorspace=matrix,
    )
    return small, matrix


def _tone_map(frame: VideoFrame, size: Size, colors: ColorSpace) -> VideoFrame:
    """Return a frame of this size, in sRGB colors, with the matrix of BT.601."""
    graph = _tone_map_graph(
        frame.format.name, frame.width, frame.height, frame.colorspace, frame.color_range,
        size, colors,
    )  # fmt: skip
    try:
        graph.vpush(frame)
        return graph.vpull()
    except BaseException:
        _tone_map_graph.cache_clear()  # it may still hold frames
        raise


@lru_cache(maxsize=4)  # for poster and storyboard of videos from one phone
def _tone_map_graph(  # noqa: PLR0913, PLR0917 - each is a part of the key
    layout: str,
    width_px: int,
    height_px: int,
    matrix: int,
    range_: int,
    size: Size,
    colors: ColorSpace,
) -> Graph:
    """Return the filter graph for such frames; building its tables takes a tenth of a second."""
    halves = width_px >= 2 * size.width_px and height_px >= 2 * size.height_px
    matrix = RGB if colors.matrix == RGB else matrix
    source = (
        f"video_size={width_px}x{height_px}:pix_fmt={layout}:time_base=1/1:pixel_aspect=1/1"
        f":colorspace={matrix}:range={range_}"
    )
    graph = Graph()
    graph.threads = 1
    steps = (
        ("buffer", source),
        *to_srgb(colors, size, "area" if halves else "bicubic"),
        ("scale", "out_color_matrix=smpte170m:out_range=limited"),
        ("format", "yuv420p"),
        ("buffersink", None),
    )
    graph.link_nodes(*(graph.add(name, args) for name, args in steps)).configure()
    return graph


def preview_of(
    small: VideoFrame,
    matrix: Colorspace,
    displayed: Size,
    orientation: Orientation = _IDENTITY,
) -> PreviewFrame:
    """Return the preview frame of a frame of that size."""
    tiny = scaled(small, _TINY, "rgb24", interpolation=Interpolation.AREA, src_colorspace=matrix)
    return PreviewFrame(small, matrix, orientation, displayed, color_stats(bytes(tiny.planes[0])))


def _default_matrix(frame: VideoFrame) -> Colorspace:
    return Colorspace.ITU709 if frame.height >= _HD_HEIGHT_PX else Colorspace.ITU601


def turned(frame: VideoFrame, orientation: Orientation) -> VideoFrame:
    """Return a frame upright: mirrored if needed, and rotated clockwise."""
    steps = _MIRROR * orientation.is_mirrored + _TURNS.get(orientation.turn_deg, ())
    if not steps:
        return frame
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1)
    )
    turns = [graph.add(name, how) for name, how in steps]
    graph.link_nodes(source, *turns, graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()


def stills_of(chosen: PreviewFrame) -> Stills:
    """Encode the stills of a preview frame."""
    small = chosen.small
    preview = scaled(
        small,
        Size(small.width, small.height),
        "yuvj420p",
        interpolation=Interpolation.BILINEAR,  # of chroma only: the size stays
        src_colorspace=chosen.matrix,
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.JPEG,
    )
    frame = preview = turned(preview, chosen.orientation)
    webp: list[Still] = []
    sizes = still_sizes(chosen.displayed)
    for size in reversed(sizes):
        frame = scaled(frame, size, "yuv420p", dst_color_range=ColorRange.MPEG)
        content = encoded(frame, "libwebp", _CARD_WEBP if size == sizes[0] else _DENSE_WEBP)
        webp.append(Still(size.width_px, size.height_px, content))
    jpeg = encoded(preview, "mjpeg", _JPEG)
    return Stills(tuple(reversed(webp)), jpeg, color_of(chosen.color_stats))


def scaled(
    frame: VideoFrame,
    size: Size,
    layout: str,
    *,
    interpolation: Interpolation = Interpolation.BICUBIC,
    **color_options: int,
) -> VideoFrame:
    """Return a frame in another size and pixel format; colors as of `VideoFrame.reformat`."""
    return frame.reformat(
        size.width_px,
        size.height_px,
        layout,
        interpolation=interpolation,
        threads=1,  # more threads cost more than they gain, and memory
        **color_options,
    )


def encoded(frame: VideoFrame, encoder: str, options: dict[str, str]) -> bytes:
    """Return a frame encoded as one picture."""
    context = av.CodecContext.create(encoder, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height = frame.width, frame.height
    context.pix_fmt = frame.format.name
    context.time_base = Fraction(1, 1)
    context.thread_count = 1
    context.options = options
    frame.pts = 0
    packets = [*context.encode(frame), *context.encode(None)]
    return b"".join(bytes(packet) for packet in packets)
