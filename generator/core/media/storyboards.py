"""Boards: how many tiles a storyboard has, how large they are, and which instants they show.

Geometry only: frames are decoded, and put side by side, elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from generator.core.media.stills import Size, fit

TILE_BOX = Size(160, 90)
FEWEST_TILES, MOST_TILES = 2, 100
LEAST_APART_S = 2.0
MOST_PX = 1_000_000_000  # decoded for one storyboard: 100 tiles of 4K, 30 of 8K; seconds of work
_MOST_COLUMNS = 10  # a sprite is 1600x900 at most; WebP ends at 16,383


@dataclass(frozen=True, slots=True)
class Corner:
    """Where a picture stands within a larger one, counted from the upper left."""

    left_px: int
    top_px: int


def board_times(duration_s: float, frame: Size) -> tuple[float, ...]:
    """Return the instants to show, evenly spaced from the start on; the fewer the larger frames.

    Args:
        duration_s: positive.
        frame: how large a decoded frame is.

    Returns:
        None, or `FEWEST_TILES` to `MOST_TILES`, at least `LEAST_APART_S` apart.
    """
    affordable = max(FEWEST_TILES, MOST_PX // (frame.width_px * frame.height_px))
    count = min(MOST_TILES, affordable, int(duration_s / LEAST_APART_S))
    if count < FEWEST_TILES:
        return ()
    return tuple(number * duration_s / count for number in range(count))


def stops_short(starts_s: Sequence[float], times_s: Sequence[float]) -> bool:
    """Tell whether what was found ends so early that seeking seems to have led nowhere.

    Args:
        starts_s: when the frames begin that were found, ascending.
        times_s: the instants they were sought at, at least two.
    """
    if len(starts_s) < FEWEST_TILES:
        return True
    widest_s = max(later - earlier for earlier, later in pairwise(starts_s))
    return times_s[-1] - starts_s[-1] > 2 * (widest_s + times_s[1] - times_s[0])


def far_apart(starts_s: Sequence[float], apart_s: float) -> tuple[int, ...]:
    """Return which of ascending starts to keep, so that each is as far from the kept one before.

    Args:
        starts_s: in seconds, ascending.
        apart_s: how far at least.

    Returns:
        Their numbers, counted from 0; the first is always kept.
    """
    kept: list[int] = []
    for number, start_s in enumerate(starts_s):
        if not kept or start_s - starts_s[kept[-1]] >= apart_s:
            kept.append(number)
    return tuple(kept)


def tile_size(displayed: Size, box: Size = TILE_BOX) -> Size:
    """Return the size of a tile: of the picture's shape, within a box of even sides, and even.

    A tile is no larger than the picture, but for evenness: colours are told for 2x2 pixels.
    """
    size = fit(displayed, box)
    return Size(size.width_px + size.width_px % 2, size.height_px + size.height_px % 2)


def columns_of(count: int) -> int:
    """Return how many of so many tiles stand in a row, so that few places stay empty."""
    rows = -(-count // _MOST_COLUMNS)
    return -(-count // rows)


def sprite_size(count: int, cell: Size) -> Size:
    """Return the size of a sprite of so many tiles."""
    columns = columns_of(count)
    return Size(columns * cell.width_px, -(-count // columns) * cell.height_px)


def corner(number: int, columns: int, cell: Size, tile: Size) -> Corner:
    """Return where in a sprite a tile stands: in the middle of its cell, on even pixels.

    Args:
        number: which cell, counted from 0 in rows.
        columns: how many cells make a row.
        cell: how large a cell is; like all sizes here, even.
        tile: no larger than a cell.
    """
    row, column = divmod(number, columns)
    left_px = (cell.width_px - tile.width_px) // 4 * 2
    top_px = (cell.height_px - tile.height_px) // 4 * 2
    return Corner(column * cell.width_px + left_px, row * cell.height_px + top_px)
