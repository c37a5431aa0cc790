"""Stills: which instant of a video, how large, and sanitizing what a container says.

Rules only: pictures are decoded and encoded elsewhere. All metadata of a file are untrusted: an
implausible value is None, or treated as missing.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from operator import mul


@dataclass(frozen=True, slots=True)
class Size:
    width_px: int
    height_px: int

    def turned(self) -> "Size":
        """Return the size of the same picture turned by 90 degrees."""
        return Size(self.height_px, self.width_px)


@dataclass(frozen=True, slots=True)
class ColorStats:
    """Statistics of a tiny copy of a frame: mean red, green and blue, and the spread.

    All within 0..255; the spread is the standard deviation of the channel that varies most.
    """

    red: float
    green: float
    blue: float
    spread: float

    @property
    def light(self) -> float:
        """Return the mean of the brightest channel, so that plain blue is as light as white."""
        return max(self.red, self.green, self.blue)


@dataclass(frozen=True, slots=True)
class Orientation:
    """How to display a frame: mirrored horizontally, if so, and then rotated clockwise.

    `turn_deg` is 0, 90, 180 or 270.
    """

    turn_deg: int = 0
    is_mirrored: bool = False

    @property
    def is_lying(self) -> bool:
        """Return whether width and height are swapped."""
        return self.turn_deg in (90, 270)


PROBE_VERSION = 2  # raised when the probe returns more: files with an older one are probed again

STILL_BOXES = (Size(320, 180), Size(640, 360))  # a card, and a card on a dense screen
PREVIEW_BOX = Size(960, 540)  # link previews; the largest still

_WORTH_ANOTHER = Fraction(5, 4)  # a still this much wider than the one before, or none
_SQUARE = Fraction(1)
_MIN_ASPECT, _MAX_ASPECT = Fraction(1, 8), Fraction(8)  # real ones: 8:9 to 64:45
_TURN_SLACK_DEG = 1  # as the ffmpeg command has it
_CANDIDATES = (0.1, 0.3, 0.5, 0.7)  # of the duration; before the first are titles and fades
_DARK = 16.0  # of 255: noisy black stays below it, a starry sky is above one of the two
_FLAT = 8.0
_MAX_SECONDS = 31 * 86_400.0  # surveillance runs for days; 32-bit overflows claim 49
_MIN_FPS, _MAX_FPS = Fraction(1, 1000), Fraction(1000)
_SIDE_MOST_PX = 65_535


def displayed_size(coded: Size, aspect: Fraction | None, turn_deg: int) -> Size:
    """Return the display size of a frame: pixel aspect applied to its width, then rotated."""
    wide = max(1, round(coded.width_px * plausible_aspect(aspect)))
    size = Size(wide, max(1, coded.height_px))
    return size.turned() if turn_deg in (90, 270) else size


def plausible_aspect(aspect: Fraction | None) -> Fraction:
    """Return the pixel aspect, or 1 where it is missing or absurd."""
    if aspect is None or not _MIN_ASPECT <= aspect <= _MAX_ASPECT:
        return _SQUARE
    return aspect


def orientation_of(right: tuple[float, float], down: tuple[float, float]) -> Orientation:
    """Return the orientation by a display matrix; scale and translation in it are ignored.

    All but mirrors and multiples of 90 degrees (within a degree) are ignored.

    Args:
        right: the screen vector (right, down) to the next pixel of a row.
        down: that to the pixel of the next row.
    """
    if not (any(right) and any(down) and all(map(math.isfinite, (*right, *down)))):
        return Orientation()
    is_mirrored = right[0] * down[1] < right[1] * down[0]
    sign = -1 if is_mirrored else 1
    turns = (
        math.degrees(math.atan2(sign * right[1], sign * right[0])),
        math.degrees(math.atan2(-down[0], down[1])),
    )
    quarters = [round(turn / 90) for turn in turns]
    is_right = all(
        abs(turn - quarter * 90) <= _TURN_SLACK_DEG
        for turn, quarter in zip(turns, quarters, strict=True)
    )
    if not is_right or (quarters[0] - quarters[1]) % 4:
        return Orientation()
    return Orientation(quarters[0] % 4 * 90, is_mirrored)


def plausible_size(width_px: int, height_px: int) -> Size | None:
    """Return the coded size, or None where a side is 0 or more than any format has."""
    if 1 <= width_px <= _SIDE_MOST_PX and 1 <= height_px <= _SIDE_MOST_PX:
        return Size(width_px, height_px)
    return None


def fit(size: Size, box: Size) -> Size:
    """Return the largest size of the same aspect within the box, never upscaled."""
    shrink = min(
        _SQUARE,
        Fraction(box.width_px, size.width_px),
        Fraction(box.height_px, size.height_px),
    )
    return Size(max(1, round(size.width_px * shrink)), max(1, round(size.height_px * shrink)))


def still_sizes(displayed: Size) -> tuple[Size, ...]:
    """Return the sizes of the stills, ascending; at least one, none larger than the source."""
    sizes: list[Size] = []
    for box in STILL_BOXES:
        size = fit(displayed, box)
        if not sizes or _wider(size) >= _WORTH_ANOTHER * _wider(sizes[-1]):
            sizes.append(size)
    return tuple(sizes)


def _wider(size: Size) -> int:
    return max(size.width_px, size.height_px)


def poster_times(duration_s: float | None) -> tuple[float, ...]:
    """Return candidate instants for the poster, the best first and the very start last.

    Returns:
        Seconds within [0, 0.7] * duration_s; the start alone where the duration is unknown.
    """
    if duration_s is None:
        return (0.0,)
    return (*(share * duration_s for share in _CANDIDATES), 0.0)


def color_stats(rgb: bytes) -> ColorStats:
    """Return the statistics of a tiny picture.

    Args:
        rgb: at least one pixel, three bytes each.
    """
    planes = rgb[0::3], rgb[1::3], rgb[2::3]
    red, green, blue = (sum(plane) / len(plane) for plane in planes)
    return ColorStats(red, green, blue, max(map(_deviation, planes)))


def _deviation(plane: bytes) -> float:
    count, total, squares = len(plane), sum(plane), sum(map(mul, plane, plane))
    return math.sqrt(count * squares - total * total) / count


def shows_something(stats: ColorStats) -> bool:
    """Return whether a frame can be a poster: black cannot, plain blue can."""
    return stats.light >= _DARK or stats.spread >= _FLAT


def color_of(stats: ColorStats) -> str:
    """Return the mean color as six hex digits, RGB."""
    return f"{round(stats.red):02x}{round(stats.green):02x}{round(stats.blue):02x}"


def plausible_duration(seconds: float | None) -> float | None:
    """Return a duration in seconds to the millisecond, or None where it cannot be one."""
    if seconds is None or not 0 < seconds <= _MAX_SECONDS:  # NaN compares with nothing
        return None
    return round(seconds, 3) or None


def plausible_fps(*rates: Fraction | None) -> float | None:
    """Return the lowest plausible rate, to three places, or None.

    The lowest, for wrong ones are those of a timebase that is finer than the frames.
    """
    plausible = [rate for rate in rates if rate is not None and _MIN_FPS <= rate <= _MAX_FPS]
    return round(float(min(plausible)), 3) if plausible else None
