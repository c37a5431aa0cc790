"""Wide colors and mirrored pictures: posters, storyboards and copies show what a screen shows."""

import io
import struct
from pathlib import Path

import av
import pytest
from PIL import Image
from wide import (
    HLG,
    ORIENTATIONS,
    PQ,
    SDR,
    SHOWN_AT,
    UNSAID,
    Tags,
    bars,
    corner,
    film_of,
    held,
    red_corner,
)

from generator.adapters.media_worker import storyboard
from generator.adapters.media_worker.stills import poster
from generator.adapters.media_worker.video_file import VideoFile
from generator.core.media.stills import Orientation, Size, orientation_of
from generator.core.media.tonemap import ColorSpace, completed, to_srgb

WANTED = ((255, 255, 255), (255, 0, 0), (0, 0, 0))


def pictures(film: Path) -> list[Image.Image]:
    """Return all stills and the first tile of a storyboard."""
    with VideoFile(str(film)) as opened:
        stills, board = poster(opened), storyboard.board(opened)
    files = [*(still.content for still in stills.webp), stills.jpeg, board.content]
    shown = [Image.open(io.BytesIO(content)).convert("RGB") for content in files]
    shown[-1] = shown[-1].crop((0, 0, board.tile_width_px, board.tile_height_px))
    return shown


def shows(film: Path, expected: tuple[tuple[int, int, int], ...] = WANTED, within: int = 8) -> bool:
    for picture in pictures(film):
        width, height = picture.size
        for number, color in enumerate(expected):
            seen = picture.getpixel((width * (2 * number + 1) // 6, height // 2))
            assert isinstance(seen, tuple)
            assert max(abs(a - b) for a, b in zip(seen, color, strict=True)) <= within, seen
    return True


@pytest.mark.parametrize("curve", [PQ, HLG])
@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_paper_white_is_white_and_red_is_red(
    tmp_path: Path, curve: int, bits: int, *, is_full: bool
) -> None:
    tags = Tags(curve, bits=bits, is_full=is_full)

    film = film_of(tmp_path / "film.mkv", bars(tags), tags)

    assert shows(film, within=8 if bits > 8 else 14)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("stream.ts", "libx265"), ("stream.avi", "libx264"), ("box.mp4", "libx265")],
)
def test_it_is_one_whether_the_stream_or_the_container_tells(
    tmp_path: Path, name: str, codec: str
) -> None:
    tags = Tags(PQ, bits=10 if codec == "libx265" else 8)
    frame = bars(tags).reformat(format="yuv420p10le" if codec == "libx265" else "yuv420p")

    film = film_of(tmp_path / name, frame, tags, codec=codec)

    assert shows(film, within=14)


def test_a_container_alone_tells_it(tmp_path: Path) -> None:
    tags = Tags(HLG, bits=8)
    frame = bars(tags).reformat(format="yuv420p")

    film = film_of(tmp_path / "film.mp4", frame, tags, codec="mpeg4")  # which says nothing of them

    assert shows(film, within=14)


def test_wide_colors_of_plain_brightness_are_brought_into_the_gamut(tmp_path: Path) -> None:
    tags = Tags(SDR)

    assert shows(film_of(tmp_path / "film.mkv", bars(tags), tags))


def test_hdr_that_does_not_say_of_which_primaries_is_of_bt2020s(tmp_path: Path) -> None:
    tags = Tags(PQ, primaries=UNSAID, matrix=UNSAID)

    assert shows(film_of(tmp_path / "film.mkv", bars(tags), tags))


def test_of_dolby_visions_own_colors_only_the_light_is_shown(tmp_path: Path) -> None:
    tags = Tags(PQ, matrix=15)  # IPT-PQ-C2, as profile 5 has it

    for picture in pictures(film_of(tmp_path / "film.mkv", bars(tags), tags)):
        spread = [max(pixel) - min(pixel) for pixel in picture.get_flattened_data()]
        assert max(spread) <= 6


def test_a_frame_is_believed_before_its_container() -> None:
    assert completed(ColorSpace(9, 16, 9), ColorSpace(1, 1, 1)) == ColorSpace(9, 16, 9)
    assert completed(ColorSpace(2, 2, 2), ColorSpace(9, 18, 9)) == ColorSpace(9, 18, 9)
    assert not ColorSpace(1, 1, 1).is_wide
    assert not ColorSpace(2, 2, 9).is_wide  # the matrix alone is undone as any other
    assert ("format", "gray14le") in to_srgb(ColorSpace(9, 16, 14), Size(2, 2), "area")


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_stills_and_storyboards_stand_as_a_screen_shows_them(tmp_path: Path, name: str) -> None:
    tags = Tags(SDR, primaries=1, matrix=6, bits=8)
    film = film_of(tmp_path / "film.mp4", corner(), tags, codec="libx264")
    held(film, ORIENTATIONS[name])

    stills = pictures(film)

    lying = ORIENTATIONS[name][0] == 0
    for picture in stills:
        width, height = picture.size
        assert (width < height) == lying
        assert red_corner(picture) == SHOWN_AT[name]
    with VideoFile(str(film)) as opened:
        poster(opened)
        probe = opened.probe()
    assert (probe.width_px, probe.height_px) == ((48, 96) if lying else (96, 48))


@pytest.mark.parametrize(
    "matrix",
    [
        (0.7, 0.7, -0.7, 0.7), (-0.7, 0.7, 0.7, 0.7), (0, 0, 0, 0), (1, 0, 0, 0), (1, 0, 1, 0),
        (1, 0.3, 0, 1), (0, 0, 1, 0),
    ],
)  # fmt: skip
def test_other_matrices_do_no_harm(
    tmp_path: Path, matrix: tuple[float, float, float, float]
) -> None:
    tags = Tags(SDR, primaries=1, matrix=6, bits=8)
    film = film_of(tmp_path / "film.mp4", corner(), tags, codec="libx264")
    held(film, matrix)

    for picture in pictures(film):
        assert picture.width > picture.height


def test_sizes_in_a_matrix_are_no_orientation() -> None:
    assert orientation_of((-3.0, 0.0), (0.0, 0.5)) == Orientation(0, is_mirrored=True)
    assert orientation_of((0.0, 2.0), (-1.0, 0.0)) == Orientation(90)
    assert orientation_of((1.0, 0.01), (0.01, 1.0)) == Orientation()
    assert orientation_of((float("nan"), 0.0), (0.0, 1.0)) == Orientation()


def test_what_is_shared_is_as_the_standards_have_it(shared: Path) -> None:
    folder = shared / "cases" / "11-hdr-poster"
    for name in ("hlg.mov", "vp9-hdr10.webm"):
        with VideoFile(str(folder / name)) as film:
            stills = poster(film)
        for content in (*(still.content for still in stills.webp), stills.jpeg):
            picture = Image.open(io.BytesIO(content)).convert("RGB")
            y, thirds = picture.height // 2, picture.width // 6
            white, red, black = (picture.getpixel((thirds * part, y)) for part in (1, 3, 5))
            assert isinstance(white, tuple)
            assert isinstance(red, tuple)
            assert min(white) >= (245 if name == "hlg.mov" else 250)
            assert red[0] >= 235
            assert max(red[1:]) <= 6
            assert black == (0, 0, 0)


def test_the_matrix_that_is_written_is_the_one_that_is_read(tmp_path: Path) -> None:
    tags = Tags(SDR, primaries=1, matrix=6, bits=8)
    film = film_of(tmp_path / "film.mp4", corner(), tags, codec="libx264", seconds=1)
    held(film, (-1, 0, 0, 1))

    with av.open(str(film)) as container:
        frame = next(container.decode(video=0))
    matrix = frame.side_data.get("DISPLAYMATRIX")

    assert matrix is not None
    assert struct.unpack("=9i", bytes(matrix))[:5] == (-65_536, 0, 0, 0, 65_536)
