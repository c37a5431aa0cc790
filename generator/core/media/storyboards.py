"""Storyboards: how many tiles they have, how large, and which instants they show.

Geometry only: frames are decoded and tiled elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from generator.core.media.stills import Size, fit

TILE_BOX = Size(160, 90)
FEWEST_TILES, MAX_TILES = 2, 100
MIN_APART_S = 2.0
MAX_PX = 1_000_000_000  # decoded for one storyboard: 100 tiles of 4K, 30 of 8K; seconds of work
_MAX_COLUMNS = 10  # a sprite is 1600x900 at most; WebP ends at 16,383


@dataclass(frozen=True, slots=True)
class Corner:
    """The position of a picture within a larger one, from the upper left."""

    left_px: int
    top_px: int


def board_times(duration_s: float, frame: Size) -> tuple[float, ...]:
    """Return the instants to show, evenly spaced from the start; the larger the frames, the fewer.

    Args:
        duration_s: positive.
        frame: how large a decoded frame is.

    Returns:
        (), or `FEWEST_TILES` to `MAX_TILES`, at least `MIN_APART_S` apart.
    """
    affordable = max(FEWEST_TILES, MAX_PX // (frame.width_px * frame.height_px))
    count = min(MAX_TILES, affordable, int(duration_s / MIN_APART_S))
    if count < FEWEST_TILES:
        return ()
    return tuple(number * duration_s / count for number in range(count))


def stops_short(starts_s: Sequence[float], times_s: Sequence[float]) -> bool:
    """Return whether the frames end so early that seeking seems to have failed.

    Args:
        starts_s: the timestamps of the decoded frames, ascending.
        times_s: the instants that were seeked to, at least two.
    """
    if len(starts_s) < FEWEST_TILES:
        return True
    widest_s = max(later - earlier for earlier, later in pairwise(starts_s))
    return times_s[-1] - starts_s[-1] > 2 * (widest_s + times_s[1] - times_s[0])


def far_apart(starts_s: Sequence[float], apart_s: float) -> tuple[int, ...]:
    """Return which of ascending starts to keep, so that they are far enough apart.

    Args:
        starts_s: in seconds, ascending.
        apart_s: the least distance.

    Returns:
        Their indexes; the first is always kept.
    """
    kept: list[int] = []
    for number, start_s in enumerate(starts_s):
        if not kept or start_s - starts_s[kept[-1]] >= apart_s:
            kept.append(number)
    return tuple(kept)


def tile_size(displayed: Size, box: Size = TILE_BOX) -> Size:
    """Return the size of a tile: with the video's aspect, within a box of even sides, and even.

    A tile is no larger than the video, but for evenness: chroma is stored for 2x2 pixels.
    """
    size = fit(displayed, box)
    return Size(size.width_px + size.width_px % 2, size.height_px + size.height_px % 2)


def columns_of(count: int) -> int:
    """Return the number of columns for n tiles, so that few cells stay empty."""
    rows = -(-count // _MAX_COLUMNS)
    return -(-count // rows)


def sprite_size(count: int, cell: Size) -> Size:
    """Return the size of a sprite of n tiles."""
    columns = columns_of(count)
    return Size(columns * cell.width_px, -(-count // columns) * cell.height_px)


def corner(number: int, columns: int, cell: Size, tile: Size) -> Corner:
    """Return the position of a tile in a sprite: centered in its cell, on even pixels.

    Args:
        number: the index of the cell, row by row.
        columns: how many cells a row has.
        cell: the size of a cell; like all sizes here, even.
        tile: no larger than a cell.
    """
    row, column = divmod(number, columns)
    left_px = (cell.width_px - tile.width_px) // 4 * 2
    top_px = (cell.height_px - tile.height_px) // 4 * 2
    return Corner(column * cell.width_px + left_px, row * cell.height_px + top_px)
