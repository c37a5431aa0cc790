"""Boards: tiles stand side by side within what WebP can hold, and show what is worth showing."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.core.media.stills import Size
from generator.core.media.storyboards import (
    FEWEST_TILES,
    MAX_PX,
    MAX_TILES,
    MIN_APART_S,
    TILE_BOX,
    Corner,
    board_times,
    columns_of,
    corner,
    far_apart,
    sprite_size,
    stops_short,
    tile_size,
)

WEBP_MOST_PX = 16_383

sides = st.integers(1, 65_535)
sizes = st.builds(Size, sides, sides)
cells = sizes.map(tile_size)
counts = st.integers(FEWEST_TILES, MAX_TILES)
seconds = st.floats(0.001, 31 * 86_400)
ascending = st.lists(st.floats(0, 1e6), unique=True, max_size=150).map(sorted)


@given(duration=seconds, frame=sizes)
def test_instants_are_evenly_spaced_from_the_start_to_before_the_end(
    duration: float, frame: Size
) -> None:
    times = board_times(duration, frame)

    assert len(times) == 0 or FEWEST_TILES <= len(times) <= MAX_TILES
    for number, instant in enumerate(times):
        assert instant == pytest.approx(number * duration / len(times))
        assert instant < duration
    assert all(later - earlier > MIN_APART_S - 0.001 for earlier, later in pairwise(times))


@given(duration=seconds, frame=sizes)
def test_no_more_is_to_be_decoded_than_a_storyboard_is_worth(duration: float, frame: Size) -> None:
    count = len(board_times(duration, frame))

    assert count <= FEWEST_TILES or count * frame.width_px * frame.height_px <= MAX_PX


@pytest.mark.parametrize(
    ("duration", "frame", "count"),
    [
        (3.99, Size(1920, 1080), 0),
        (4.0, Size(1920, 1080), 2),
        (60.0, Size(1920, 1080), 30),
        (7200.0, Size(1920, 1080), 100),
        (7200.0, Size(3840, 2160), 100),
        (7200.0, Size(7680, 4320), 30),
        (7200.0, Size(16_128, 16_128), 3),
        (7200.0, Size(65_535, 65_535), 2),
    ],
)
def test_how_many_tiles_common_and_odd_videos_want(
    duration: float, frame: Size, count: int
) -> None:
    assert len(board_times(duration, frame)) == count


@given(displayed=sizes, box=cells)
def test_a_tile_is_even_within_its_box_and_no_larger_than_the_picture(
    displayed: Size, box: Size
) -> None:
    tile = tile_size(displayed, box)

    assert tile.width_px % 2 == tile.height_px % 2 == 0
    assert 2 <= tile.width_px <= min(box.width_px, displayed.width_px + 1)
    assert 2 <= tile.height_px <= min(box.height_px, displayed.height_px + 1)


@pytest.mark.parametrize(
    ("displayed", "tile"),
    [
        (Size(1920, 1080), Size(160, 90)),
        (Size(1080, 1920), Size(52, 90)),
        (Size(640, 480), Size(120, 90)),
        (Size(500, 500), Size(90, 90)),
        (Size(64, 36), Size(64, 36)),
        (Size(4096, 16), Size(160, 2)),
        (Size(1, 1), Size(2, 2)),
    ],
)
def test_a_tile_keeps_the_shape_of_the_picture(displayed: Size, tile: Size) -> None:
    assert tile_size(displayed) == tile


@given(count=counts, cell=cells)
def test_a_sprite_is_one_that_webp_can_hold(count: int, cell: Size) -> None:
    sprite = sprite_size(count, cell)

    assert max(sprite.width_px, sprite.height_px) <= WEBP_MOST_PX
    assert columns_of(count) <= 10
    assert sprite.width_px == columns_of(count) * cell.width_px


@given(count=counts, cell=cells, smaller=sizes)
def test_every_tile_has_a_cell_of_its_own_within_the_sprite(
    count: int, cell: Size, smaller: Size
) -> None:
    sprite, columns, tile = sprite_size(count, cell), columns_of(count), tile_size(smaller, cell)

    places = [corner(number, columns, cell, tile) for number in range(count)]

    owned = {(at.left_px // cell.width_px, at.top_px // cell.height_px) for at in places}
    assert len(owned) == count
    for at in places:
        assert at.left_px % 2 == at.top_px % 2 == 0
        assert at.left_px % cell.width_px + tile.width_px <= cell.width_px
        assert at.top_px % cell.height_px + tile.height_px <= cell.height_px
        assert at.left_px + tile.width_px <= sprite.width_px
        assert at.top_px + tile.height_px <= sprite.height_px


@given(count=counts)
def test_fewer_places_stay_empty_than_there_are_rows(count: int) -> None:
    columns = columns_of(count)
    rows = -(-count // columns)

    assert 0 <= rows * columns - count < rows


def test_tiles_stand_in_rows_and_smaller_ones_in_the_middle() -> None:
    assert corner(0, 10, TILE_BOX, TILE_BOX) == Corner(0, 0)
    assert corner(12, 10, TILE_BOX, TILE_BOX) == Corner(320, 90)
    assert corner(1, 10, TILE_BOX, Size(52, 90)) == Corner(160 + 54, 0)


@given(starts=ascending, apart=st.floats(0.001, 1e5))
def test_what_is_kept_is_far_apart_and_what_goes_was_too_near(
    starts: list[float], apart: float
) -> None:
    kept = far_apart(starts, apart)

    assert kept[:1] == ((0,) if starts else ())
    for earlier, later in pairwise(kept):
        assert starts[later] - starts[earlier] >= apart
    for number, start in enumerate(starts):
        before = max(one for one in kept if one <= number)
        assert before == number or start - starts[before] < apart


@given(
    duration=st.floats(4, 31 * 86_400),
    shares=st.lists(st.floats(0, 1), max_size=100),
    lag=st.floats(0, 1.99),
)
def test_what_was_found_up_to_about_the_last_instant_does_not_stop_short(
    duration: float, shares: list[float], lag: float
) -> None:
    times = board_times(duration, TILE_BOX)
    last = times[-1] - min(1.0, lag) * times[1] if len(times) == 2 else times[-1] - lag * times[1]
    starts = sorted({0.0, last, *(share * last for share in shares)})

    assert len(starts) == 1 or not stops_short(starts, times)


@pytest.mark.parametrize(
    ("starts", "short"),
    [
        ([], True),
        ([0.0], True),
        ([0.0, 2.0, 4.0, 6.0], True),  # a seek went on where it was
        ([0.0, 25.0, 50.0, 75.0], False),  # key frames are rare
        ([0.0, 90.0], False),
        ([*(2.0 * number for number in range(46))], False),
    ],
)
def test_where_seeking_seems_to_have_led_nowhere(starts: list[float], short: bool) -> None:  # noqa: FBT001
    assert stops_short(starts, board_times(100, TILE_BOX)) is short
