"""Films of wide colors and of every orientation, small; imported by tests.

What the right samples are is computed from ITU-R BT.2100, BT.2020 and BT.2408, not by our code.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import log, sqrt
from pathlib import Path

import av
from av.video.frame import VideoFrame
from PIL import Image

PQ, HLG, SDR, UNSAID = 16, 18, 1, 2
WHITE, RED, BLACK = (1.0, 1.0, 1.0), (1.0, 0.0, 0.0), (0.0, 0.0, 0.0)
PAPER_WHITE_NITS = 203
_TO_BT2020 = (  # from BT.709, linear
    (0.627404, 0.329283, 0.043313),
    (0.069097, 0.919540, 0.011362),
    (0.016391, 0.088013, 0.895595),
)
Rgb = tuple[float, float, float]


def _pq(light: float) -> float:
    power = (light * PAPER_WHITE_NITS / 10_000) ** (2610 / 16_384)
    return float(((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32))


def _hlg(light: float) -> float:
    scene = (light * PAPER_WHITE_NITS / 1000) ** (1 / 1.2)
    if scene <= 1 / 12:
        return sqrt(3 * scene)
    return 0.17883277 * log(12 * scene - 0.28466892) + 0.55991073


def _srgb(light: float) -> float:
    return 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


_CURVES: dict[int, Callable[[float], float]] = {PQ: _pq, HLG: _hlg, SDR: _srgb}


@dataclass(frozen=True)
class Tags:
    """How colors are told; `bits` and `is_full` of the samples."""

    curve: int
    primaries: int = 9
    matrix: int = 9
    bits: int = 10
    is_full: bool = False


def _samples(rgb: Rgb, tags: Tags) -> tuple[int, int, int]:
    wide = [sum(w * part for w, part in zip(row, rgb, strict=True)) for row in _TO_BT2020]
    red, green, blue = (_CURVES[tags.curve](max(0.0, part)) for part in wide)
    luma = 0.2627 * red + 0.678 * green + 0.0593 * blue
    signed = luma, (blue - luma) / 1.8814, (red - luma) / 1.4746
    half, most = 1 << tags.bits - 1, (1 << tags.bits) - 1
    step = 1 << tags.bits - 8
    if tags.is_full:
        return (round(signed[0] * most), *(round(half + part * most) for part in signed[1:]))
    return (
        round((16 + 219 * signed[0]) * step),
        round(half + 224 * step * signed[1]),
        round(half + 224 * step * signed[2]),
    )


def bars(tags: Tags, width_px: int = 96, height_px: int = 54) -> VideoFrame:
    """Return a frame of three bars: paper white, red of BT.709, black."""
    layout = "yuv444p" if tags.bits == 8 else f"yuv444p{tags.bits}le"
    frame = VideoFrame(width_px, height_px, layout)
    colors = [_samples(rgb, tags) for rgb in (WHITE, RED, BLACK)]
    kind = "B" if tags.bits == 8 else "H"
    for number, plane in enumerate(frame.planes):
        third = width_px // 3
        values = [colors[min(x // third, 2)][number] for x in range(width_px)]
        row = struct.pack(f"<{width_px}{kind}", *values).ljust(plane.line_size, b"\0")
        plane.update(row * height_px)
    return frame


def film_of(
    file: Path, frame: VideoFrame, tags: Tags, *, seconds: int = 5, codec: str = "ffv1"
) -> Path:
    """Write a film that shows one frame; tags go where its codec and container have them."""
    with av.open(file, "w") as container:
        stream = container.add_stream(codec, rate=2, options={"crf": "4", "g": "2"})
        context = stream.codec_context
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, frame.format.name
        context.color_primaries, context.color_trc = tags.primaries, tags.curve
        context.colorspace, context.color_range = tags.matrix, 1 + tags.is_full
        for number in range(seconds * 2):
            frame.pts, frame.time_base = number, Fraction(1, 2)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file


# The eight ways to hold a screen, as (a, b, c, d) of a display matrix.
ORIENTATIONS = {
    "plain": (1, 0, 0, 1), "mirror": (-1, 0, 0, 1), "flip": (1, 0, 0, -1), "half": (-1, 0, 0, -1),
    "right": (0, 1, -1, 0), "left": (0, -1, 1, 0), "transpose": (0, 1, 1, 0),
    "transverse": (0, -1, -1, 0),
}  # fmt: skip
_TKHD_MATRIX = 44  # bytes behind the name of the box, of version 0


def held(film: Path, matrix: tuple[float, float, float, float], number: int = 0) -> Path:
    """Give the picture of an MP4 a display matrix."""
    content = bytearray(film.read_bytes())
    at = -1
    for _ in range(number + 1):
        at = content.index(b"tkhd", at + 1)
    fixed = [round(part * 65_536) for part in matrix]
    told = struct.pack(">9i", fixed[0], fixed[1], 0, fixed[2], fixed[3], 0, 0, 0, 1 << 30)
    content[at + _TKHD_MATRIX : at + _TKHD_MATRIX + len(told)] = told
    film.write_bytes(content)
    return film


def corner(width_px: int = 96, height_px: int = 48) -> VideoFrame:
    """Return a blue frame of which the upper left quarter is red."""
    red, blue = b"\xff\0\0", b"\0\0\xff"
    frame = VideoFrame(width_px, height_px, "rgb24")
    plane = frame.planes[0]
    halves = width_px // 2
    top = (red * halves + blue * halves).ljust(plane.line_size, b"\0")
    bottom = (blue * width_px).ljust(plane.line_size, b"\0")
    plane.update(top * (height_px // 2) + bottom * (height_px - height_px // 2))
    return frame.reformat(format="yuv420p")


def red_corner(picture: Image.Image) -> str:
    """Return in which quarter a picture is red: "top left" and so on; "" for none or many."""
    width, height = picture.size
    red = [
        f"{row} {side}"
        for row, y in (("top", height // 4), ("bottom", height * 3 // 4))
        for side, x in (("left", width // 4), ("right", width * 3 // 4))
        if picture.convert("RGB").getpixel((x, y))[0] > 150  # type: ignore[index]
    ]
    return red[0] if len(red) == 1 else ""


SHOWN_AT = {
    "plain": "top left", "mirror": "top right", "flip": "bottom left", "half": "bottom right",
    "right": "top right", "left": "bottom left", "transpose": "top left",
    "transverse": "bottom right",
}  # fmt: skip
