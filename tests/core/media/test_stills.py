"""Stills: geometry stays within its boxes, claims that cannot be true are not believed."""

import math
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.core.media.stills import (
    PREVIEW_BOX,
    STILL_BOXES,
    ColorStats,
    Orientation,
    Size,
    color_of,
    color_stats,
    displayed_size,
    fit,
    orientation_of,
    plausible_aspect,
    plausible_duration,
    plausible_fps,
    plausible_size,
    poster_times,
    shows_something,
    still_sizes,
)

sides = st.integers(1, 65_535)
sizes = st.builds(Size, sides, sides)
boxes = st.sampled_from((*STILL_BOXES, PREVIEW_BOX))
turns = st.sampled_from((0, 90, 180, 270))
seconds = st.floats(0.001, 31 * 86_400)
BLACK, BLUE, WHITE = b"\x05\x04\x06", b"\x00\x00\xff", b"\xff\xff\xff"


@given(size=sizes, box=boxes)
def test_a_fitted_size_is_within_the_box_and_no_larger_than_it_was(size: Size, box: Size) -> None:
    fitted = fit(size, box)

    assert 1 <= fitted.width_px <= min(box.width_px, size.width_px)
    assert 1 <= fitted.height_px <= min(box.height_px, size.height_px)


@given(size=sizes, box=boxes)
def test_a_fitted_size_touches_the_box_or_is_the_size_it_was(size: Size, box: Size) -> None:
    fitted = fit(size, box)

    assert fitted == size or (fitted.width_px == box.width_px or fitted.height_px == box.height_px)


@given(size=sizes, box=boxes)
def test_a_fitted_size_keeps_its_shape_to_the_pixel(size: Size, box: Size) -> None:
    fitted = fit(size, box)
    shrink = min(1, box.width_px / size.width_px, box.height_px / size.height_px)

    assert abs(fitted.width_px - size.width_px * shrink) <= 1
    assert abs(fitted.height_px - size.height_px * shrink) <= 1


@given(size=sizes)
def test_there_is_at_least_one_still_and_they_ascend(size: Size) -> None:
    stills = still_sizes(size)

    longest = [max(still.width_px, still.height_px) for still in stills]
    assert stills
    assert stills[0] == fit(size, STILL_BOXES[0])
    assert all(more >= 1.25 * less for less, more in pairwise(longest))


@pytest.mark.parametrize(
    ("size", "stills"),
    [
        (Size(1920, 1080), ((320, 180), (640, 360))),
        (Size(1080, 1920), ((101, 180), (202, 360))),
        (Size(640, 480), ((240, 180), (480, 360))),
        (Size(500, 281), ((320, 180), (500, 281))),
        (Size(330, 186), ((319, 180),)),
        (Size(160, 90), ((160, 90),)),
        (Size(4096, 16), ((320, 1), (640, 2))),
        (Size(1, 1), ((1, 1),)),
    ],
)
def test_stills_of_common_and_odd_sizes(size: Size, stills: tuple[tuple[int, int], ...]) -> None:
    assert still_sizes(size) == tuple(Size(*one) for one in stills)


@given(coded=sizes, turn=turns)
def test_a_quarter_turn_swaps_the_sides(coded: Size, turn: int) -> None:
    expected = coded.turned() if turn % 180 else coded

    assert displayed_size(coded, None, turn) == expected


@given(coded=sizes, aspect=st.none() | st.fractions(-10, 100), turn=turns)
def test_a_displayed_size_is_never_nothing(coded: Size, aspect: Fraction | None, turn: int) -> None:
    displayed = displayed_size(coded, aspect, turn)

    assert min(displayed.width_px, displayed.height_px) >= 1


def test_pixel_aspect_widens_the_frame_before_it_is_turned() -> None:
    assert displayed_size(Size(1440, 1080), Fraction(4, 3), 0) == Size(1920, 1080)
    assert displayed_size(Size(1440, 1080), Fraction(4, 3), 90) == Size(1080, 1920)


@pytest.mark.parametrize("aspect", [None, Fraction(0), Fraction(-1), Fraction(9), Fraction(1, 9)])
def test_an_absurd_pixel_aspect_is_square(aspect: Fraction | None) -> None:
    assert plausible_aspect(aspect) == 1


@given(quarter=st.integers(0, 3), mirrored=st.booleans(), scale=st.floats(0.1, 9))
def test_a_matrix_says_how_a_frame_stands(quarter: int, scale: float, *, mirrored: bool) -> None:
    right, down = [((1, 0), (0, 1)), ((0, 1), (-1, 0)), ((-1, 0), (0, -1)), ((0, -1), (1, 0))][
        quarter
    ]
    side = -scale if mirrored else scale

    found = orientation_of((right[0] * side, right[1] * side), down)

    assert found == Orientation(quarter * 90, is_mirrored=mirrored)


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, 45.0])
def test_an_absurd_matrix_says_nothing(value: float) -> None:
    assert orientation_of((value, value), (-value, value)) == Orientation()


@pytest.mark.parametrize(("width", "height"), [(0, 9), (9, 0), (-1, 9), (65_536, 9), (9, 1 << 31)])
def test_an_absurd_size_is_none(width: int, height: int) -> None:
    assert plausible_size(width, height) is None


def test_a_size_that_can_be_is_believed() -> None:
    assert plausible_size(7680, 4320) == Size(7680, 4320)


@given(duration=seconds)
def test_poster_times_begin_at_a_tenth_and_end_at_the_start(duration: float) -> None:
    times = poster_times(duration)

    assert times[0] == pytest.approx(duration / 10)
    assert times[-1] == 0
    assert all(0 <= instant < duration for instant in times)


def test_without_a_duration_only_the_start_is_tried() -> None:
    assert poster_times(None) == (0.0,)


@given(claim=st.none() | st.floats())
def test_a_duration_is_positive_and_finite_or_none(claim: float | None) -> None:
    duration = plausible_duration(claim)

    assert duration is None or 0 < duration <= 31 * 86_400


@given(duration=seconds)
def test_a_duration_that_can_be_is_kept_to_the_millisecond(duration: float) -> None:
    assert plausible_duration(duration) == pytest.approx(duration, abs=0.0006)


@given(rates=st.lists(st.none() | st.fractions(-5, 5000), max_size=3))
def test_frames_per_second_are_the_lowest_plausible_rate(rates: list[Fraction | None]) -> None:
    plausible = [rate for rate in rates if rate is not None and Fraction(1, 1000) <= rate <= 1000]

    fps = plausible_fps(*rates)

    assert fps == (pytest.approx(float(min(plausible)), abs=0.0006) if plausible else None)


@given(pixels=st.binary(min_size=1, max_size=600).map(lambda plane: plane * 3))
def test_a_look_is_within_its_bounds(pixels: bytes) -> None:
    look = color_stats(pixels)

    assert all(0 <= value <= 255 for value in (look.red, look.green, look.blue, look.light))
    assert 0 <= look.spread <= 127.5


@given(pixel=st.binary(min_size=3, max_size=3), count=st.integers(1, 600))
def test_a_plain_picture_has_its_color_and_no_spread(pixel: bytes, count: int) -> None:
    look = color_stats(pixel * count)

    assert look == ColorStats(*pixel, spread=0)
    assert color_of(look) == pixel.hex()


@pytest.mark.parametrize(
    ("pixels", "shows"),
    [
        (BLACK * 576, False),
        (BLUE * 576, True),
        (WHITE * 576, True),
        (BLACK * 560 + WHITE * 16, True),
        (BLACK * 400 + b"\x0f\x0f\x0f" * 176, False),
    ],
    ids=["black", "plain blue", "white", "white letters on black", "noise in the dark"],
)
def test_black_is_no_poster_but_plain_blue_is(pixels: bytes, shows: bool) -> None:  # noqa: FBT001
    assert shows_something(color_stats(pixels)) is shows
