"""Pictures: a frame becomes the stills of a poster, in YUV all the way and small from the first.

A full-size RGB picture is never made: swscale shrinks the decoder's planes into the preview box,
and whatever else is needed is made from that.
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
    color_stats,
    colour_of,
    fit,
    poster_times,
    shows_something,
    still_sizes,
)
from generator.core.media.tonemap import RGB, ColorSpace, to_srgb
from generator.core.model import Still, Stills

_DARK_THROUGHOUT = 3  # key frames that show nothing: what lies between does not either
_EVERY = 12  # frames; half a second apart where a fade is sought through
_TINY = Size(32, 18)  # enough to judge a frame by
_HD_HEIGHT_PX = 720  # from here on, what says nothing of its colours means BT.709
_MATRICES = {  # AVColorSpace of a frame: how its YUV was made of RGB
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
}
# Chosen by PSNR, size and CPU over real frames. At equal PSNR method 1 is 6 % smaller than 0 for a
# third more time, 2 another 8 % for as much again: spent on the card, which every visitor loads.
# A JPEG quantised by 3 (of 31) is as good as libjpeg's at quality 80, and smaller.
_CARD = {"quality": "75", "compression_level": "1"}
_DENSE = {"quality": "75", "compression_level": "0"}
_JPEG = {"qmin": "3", "qmax": "3", "huffman": "default"}
_UPRIGHT = Orientation()
_MIRROR: tuple[tuple[str, str | None], ...] = (("hflip", None),)
_TURNS: dict[int, tuple[tuple[str, str | None], ...]] = {
    90: (("transpose", "clock"),),
    180: (("hflip", None), ("vflip", None)),
    270: (("transpose", "cclock"),),
}


@dataclass(frozen=True, slots=True)
class PreviewFrame:
    """A frame shrunk to the preview's size, still lying and in its own colours; how it looks."""

    small: VideoFrame
    matrix: Colorspace
    orientation: Orientation
    displayed: Size
    look: ColorStats


def poster(film: VideoFile) -> Stills:
    """Return the stills of the first candidate that shows something, else of the lightest.

    Raises:
        UnfitError: no picture can be had.
        MemoryError: it would need more than allowed.
    """
    try:
        shot = _choice(_shots(film))
        if shot is None:
            raise UnusableFileError("no picture can be decoded")
        return stills_of(shot)
    except MemoryError:
        raise
    except av.FFmpegError as error:
        raise UnusableFileError(f"no picture can be made: {error.strerror}") from error


def _choice(shots: Iterator[PreviewFrame]) -> PreviewFrame | None:
    best: PreviewFrame | None = None
    for shot in shots:
        if shows_something(shot.look):
            return shot
        if best is None or shot.look.light > best.look.light:
            best = shot
    return best


def _shots(film: VideoFile) -> Iterator[PreviewFrame]:
    seen: set[int | None] = set()
    for instant_s in poster_times(film.duration_s):
        frame = film.key_frame(instant_s)
        if frame is not None and frame.pts not in seen:
            seen.add(frame.pts)
            yield _shot(film, frame)
    if len(seen) >= _DARK_THROUGHOUT:
        return
    for frame in islice(film.frames(), 0, None, _EVERY):
        yield _shot(film, frame)


def _shot(film: VideoFile, frame: VideoFrame) -> PreviewFrame:
    displayed = film.displayed or Size(frame.width, frame.height)
    small, matrix = shrunk(film, frame, fit(displayed, PREVIEW_BOX))
    return shot_of(small, matrix, displayed, film.orientation)


def shrunk(film: VideoFile, frame: VideoFrame, upright: Size) -> tuple[VideoFrame, Colorspace]:
    """Return a frame of a film, of the size that makes `upright` once turned; and its matrix.

    Colours are its own where a plain screen shows them, and else made such.
    """
    lying = upright.turned() if film.orientation.is_lying else upright
    colours = film.colours(frame)
    if colours.is_wide:
        return _mapped(frame, lying, colours), Colorspace.ITU601
    matrix = _MATRICES.get(frame.colorspace, _unsaid_matrix(frame))
    # Shrunk first, converted later: swscale does both at once through RGB, at thrice the cost.
    halves = frame.width >= 2 * lying.width_px and frame.height >= 2 * lying.height_px
    small = scaled(
        frame,
        lying,
        "yuv420p",
        interpolation=Interpolation.AREA if halves else Interpolation.BICUBIC,
        src_colorspace=matrix,
        dst_colorspace=matrix,
    )
    return small, matrix


def _mapped(frame: VideoFrame, size: Size, colours: ColorSpace) -> VideoFrame:
    """Return a frame in this size, in colours of a plain screen, by BT.601's matrix."""
    graph = _mapping(
        frame.format.name, frame.width, frame.height, frame.colorspace, frame.color_range,
        size, colours,
    )  # fmt: skip
    try:
        graph.vpush(frame)
        return graph.vpull()
    except BaseException:
        _mapping.cache_clear()  # who knows what it still holds
        raise


@lru_cache(maxsize=4)  # a poster and a storyboard of what the same telephone took
def _mapping(  # noqa: PLR0913, PLR0917 - each is a part of the key
    layout: str,
    width_px: int,
    height_px: int,
    matrix: int,
    range_: int,
    size: Size,
    colours: ColorSpace,
) -> Graph:
    """Return the graph that maps frames like this one; its tables take a tenth of a second."""
    halves = width_px >= 2 * size.width_px and height_px >= 2 * size.height_px
    matrix = RGB if colours.matrix == RGB else matrix
    source = (
        f"video_size={width_px}x{height_px}:pix_fmt={layout}:time_base=1/1:pixel_aspect=1/1"
        f":colorspace={matrix}:range={range_}"
    )
    graph = Graph()
    graph.threads = 1
    steps = (
        ("buffer", source),
        *to_srgb(colours, size, "area" if halves else "bicubic"),
        ("scale", "out_color_matrix=smpte170m:out_range=limited"),
        ("format", "yuv420p"),
        ("buffersink", None),
    )
    graph.link_nodes(*(graph.add(name, args) for name, args in steps)).configure()
    return graph


def shot_of(
    small: VideoFrame,
    matrix: Colorspace,
    displayed: Size,
    orientation: Orientation = _UPRIGHT,
) -> PreviewFrame:
    """Return the shot that a frame of the preview's size makes."""
    tiny = scaled(small, _TINY, "rgb24", interpolation=Interpolation.AREA, src_colorspace=matrix)
    return PreviewFrame(small, matrix, orientation, displayed, color_stats(bytes(tiny.planes[0])))


def _unsaid_matrix(frame: VideoFrame) -> Colorspace:
    return Colorspace.ITU709 if frame.height >= _HD_HEIGHT_PX else Colorspace.ITU601


def turned(frame: VideoFrame, orientation: Orientation) -> VideoFrame:
    """Return a frame upright: as a mirror shows it, if so, and turned clockwise."""
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


def stills_of(shot: PreviewFrame) -> Stills:
    """Return the stills that a shot makes."""
    small = shot.small
    preview = scaled(
        small,
        Size(small.width, small.height),
        "yuvj420p",
        interpolation=Interpolation.BILINEAR,  # of chroma alone, for the size stays
        src_colorspace=shot.matrix,
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=ColorRange.JPEG,
    )
    frame = preview = turned(preview, shot.orientation)
    webp: list[Still] = []
    sizes = still_sizes(shot.displayed)
    for size in reversed(sizes):
        frame = scaled(frame, size, "yuv420p", dst_color_range=ColorRange.MPEG)
        content = encoded(frame, "libwebp", _CARD if size == sizes[0] else _DENSE)
        webp.append(Still(size.width_px, size.height_px, content))
    jpeg = encoded(preview, "mjpeg", _JPEG)
    return Stills(tuple(reversed(webp)), jpeg, colour_of(shot.look))


def scaled(
    frame: VideoFrame,
    size: Size,
    layout: str,
    *,
    interpolation: Interpolation = Interpolation.BICUBIC,
    **colours: int,
) -> VideoFrame:
    """Return a frame in another size and layout; `colours` as `VideoFrame.reformat` has them."""
    return frame.reformat(
        size.width_px,
        size.height_px,
        layout,
        interpolation=interpolation,
        threads=1,  # its own threads cost more than they bring, and memory
        **colours,
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
