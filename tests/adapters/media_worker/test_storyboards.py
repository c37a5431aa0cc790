"""Storyboards: what a tile shows is what the video shows then, whatever the file is like."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from random import Random

import av
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image, ImageDraw

from generator.adapters.media_worker import storyboard
from generator.adapters.media_worker.storyboard import board
from generator.adapters.media_worker.video_file import UnusableFileError, VideoFile
from generator.core.media.storyboards import MAX_TILES
from generator.core.model import EncodedStoryboard

Color = tuple[int, int, int]
RED, GREEN, BLUE, BLACK = (200, 30, 30), (30, 160, 60), (30, 30, 200), (0, 0, 0)
WHEEL = (RED, GREEN, BLUE, (200, 200, 30), (30, 200, 200), (200, 30, 200), (240, 240, 240))
SIZE = (320, 180)


def frame_of(picture: Image.Image) -> VideoFrame:
    frame = VideoFrame(*picture.size, "rgb24")
    pixels, row = picture.tobytes(), picture.width * 3
    padding = bytes(frame.planes[0].line_size - row)
    rows = (pixels[start : start + row] + padding for start in range(0, len(pixels), row))
    frame.planes[0].update(b"".join(rows))
    return frame


def plain(color: Color, size: tuple[int, int] = SIZE) -> VideoFrame:
    return frame_of(Image.new("RGB", size, color))


def clip(  # noqa: PLR0913 - what clips differ in
    file: Path,
    frames: Sequence[VideoFrame],
    *,
    codec: str = "mpeg4",
    rate: int = 5,
    key_every: int = 10,
    b_frames: int = 0,
    rotation: int = 0,
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a clip of these frames; by default with a key frame every two seconds."""
    with av.open(file, "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = frames[0].width, frames[0].height
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = key_every
        stream.codec_context.max_b_frames = b_frames
        stream.codec_context.colorspace = frames[0].colorspace
        stream.codec_context.color_range = frames[0].color_range
        stream.codec_context.thread_count = 1
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation:
            stream.set_display_rotation(rotation)
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file


def colors(count: int, rate: int = 5) -> list[VideoFrame]:
    """Return frames of that many times two seconds, each of its own color."""
    return [plain(WHEEL[number % len(WHEEL)]) for number in range(count) for _ in range(2 * rate)]


def board_of(file: Path) -> EncodedStoryboard:
    with VideoFile(str(file)) as film:
        made = board(film)
    sprite = Image.open(BytesIO(made.content))
    rows = -(-len(made.starts_s) // made.columns)
    assert sprite.format == "WEBP"
    assert sprite.size == (made.columns * made.tile_width_px, rows * made.tile_height_px)
    assert made.starts_s[0] == 0
    assert all(earlier < later for earlier, later in pairwise(made.starts_s))
    assert 2 <= len(made.starts_s) <= MAX_TILES
    return made


def tiles_of(made: EncodedStoryboard) -> Iterator[Image.Image]:
    sprite = Image.open(BytesIO(made.content)).convert("RGB")
    wide, high = made.tile_width_px, made.tile_height_px
    for number in range(len(made.starts_s)):
        top, left = number // made.columns * high, number % made.columns * wide
        yield sprite.crop((left, top, left + wide, top + high))


def middle_of(tile: Image.Image) -> Color:
    color = tile.getpixel((tile.width // 2, tile.height // 2))
    assert isinstance(color, tuple)
    return color[0], color[1], color[2]


def near(color: object, expected: Color, *, within: int = 24) -> bool:
    assert isinstance(color, tuple)
    return all(abs(one - other) < within for one, other in zip(color, expected, strict=True))


def assert_true_to_time(made: EncodedStoryboard) -> None:
    """Every tile has the color that the clip of `colors` has from when the tile begins."""
    for start_s, tile in zip(made.starts_s, tiles_of(made), strict=True):
        number = round(start_s / 2)
        assert abs(start_s - 2 * number) < 0.1
        assert near(middle_of(tile), WHEEL[number % len(WHEEL)]), start_s


def problem_of(file: Path) -> str:
    with VideoFile(str(file)) as film, pytest.raises(UnusableFileError) as raised:
        board(film)
    return str(raised.value)


@pytest.fixture(scope="module")
def wheel() -> list[VideoFrame]:
    return colors(12)


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("film.mp4", "mpeg4", 5),
        ("film.mov", "mjpeg", 5),
        ("film.mkv", "libx264", 5),
        ("film.mp4", "libx265", 5),
        ("film.avi", "mpeg4", 5),
        ("film.ts", "mpeg2video", 25),
        ("film.mpg", "mpeg2video", 25),
        ("film.flv", "flv", 5),
        ("film.wmv", "wmv2", 5),
        ("film.webm", "libvpx", 5),
    ],
)
def test_each_tile_shows_what_the_video_shows_when_it_begins(
    tmp_path: Path, name: str, codec: str, rate: int
) -> None:
    frames = colors(12, rate)

    made = board_of(clip(tmp_path / name, frames, codec=codec, rate=rate, key_every=2 * rate))

    assert (made.tile_width_px, made.tile_height_px) == (160, 90)
    assert (6 if codec == "wmv2" else 11) <= len(made.starts_s) <= 12
    assert_true_to_time(made)


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.ts", "film.flv"])
def test_keys_are_told_in_time_when_a_film_is_gone_through(
    tmp_path: Path, wheel: list[VideoFrame], name: str
) -> None:
    file = clip(tmp_path / name, wheel, codec="libx264", b_frames=2)

    with VideoFile(str(file)) as film:
        starts = [key.start_s for key in film.keys(0.0, 1000)]

    assert starts == list(range(0, 24, 2))


def test_the_same_file_makes_the_same_bytes(tmp_path: Path, wheel: list[VideoFrame]) -> None:
    file = clip(tmp_path / "film.mp4", wheel)

    assert board_of(file) == board_of(file)


def test_a_long_take_is_one_tile_however_often_it_is_met(tmp_path: Path) -> None:
    file = clip(tmp_path / "film.mp4", [plain(GREEN)] * 200, key_every=70)

    assert board_of(file).starts_s == (0, 14, 28)


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_tiles_of_a_rotated_video_stand_upright(tmp_path: Path, rotation: int) -> None:
    upright = Image.new("RGB", (320, 240), BLACK)
    draw = ImageDraw.Draw(upright)
    for color, left, top in ((RED, 0, 0), (GREEN, 160, 0), (BLUE, 0, 120)):
        draw.rectangle((left, top, left + 159, top + 119), fill=color)
    lying = upright.rotate(-rotation, expand=True)

    made = board_of(clip(tmp_path / "film.mp4", [frame_of(lying)] * 30, rotation=rotation))

    assert (made.tile_width_px, made.tile_height_px) == (120, 90)
    for tile in tiles_of(made):
        assert near(tile.getpixel((30, 22)), RED)
        assert near(tile.getpixel((90, 22)), GREEN)
        assert near(tile.getpixel((30, 68)), BLUE)
        assert near(tile.getpixel((90, 68)), BLACK)


@pytest.mark.parametrize(
    ("size", "tile"),
    [
        ((1080, 1920), (52, 90)),
        ((500, 500), (90, 90)),
        ((64, 36), (64, 36)),
        ((34, 18), (34, 18)),
        ((640, 32), (160, 8)),
    ],
)
def test_tiles_keep_the_shape_of_the_picture_and_are_never_enlarged(
    tmp_path: Path, size: tuple[int, int], tile: tuple[int, int]
) -> None:
    made = board_of(clip(tmp_path / "film.mp4", [plain(GREEN, size)] * 30))

    assert (made.tile_width_px, made.tile_height_px) == tile
    assert all(near(middle_of(one), GREEN) for one in tiles_of(made))


def test_wide_pixels_make_wide_tiles(tmp_path: Path) -> None:
    file = clip(tmp_path / "film.mp4", [plain(GREEN, (240, 240))] * 30, aspect=Fraction(4, 3))

    made = board_of(file)

    assert (made.tile_width_px, made.tile_height_px) == (120, 90)


@pytest.mark.parametrize("wide", [ColorRange.MPEG, ColorRange.JPEG])
@pytest.mark.parametrize("matrix", [Colorspace.ITU709, Colorspace.ITU601, Colorspace.BT2020])
def test_colors_stay_what_they_are_whatever_made_yuv_of_them(
    tmp_path: Path, matrix: Colorspace, wide: ColorRange
) -> None:
    frame = plain((40, 200, 90), (640, 360)).reformat(
        format="yuv420p", dst_colorspace=matrix, dst_color_range=wide
    )

    made = board_of(clip(tmp_path / "film.mp4", [frame] * 30, codec="libx264"))

    for tile in tiles_of(made):
        assert near(middle_of(tile), (40, 200, 90), within=8)


@pytest.mark.parametrize(
    ("sizes", "tile", "fitted"),
    [
        (((320, 180), (180, 320), (320, 180)), (160, 90), (52, 90)),
        (((180, 320), (320, 180), (180, 320)), (52, 90), (52, 30)),
    ],
)
def test_a_picture_that_becomes_another_is_fitted_into_the_tiles_of_the_first(
    tmp_path: Path,
    sizes: tuple[tuple[int, int], ...],
    tile: tuple[int, int],
    fitted: tuple[int, int],
) -> None:
    file = tmp_path / "film.ts"
    with av.open(file, "w") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = *sizes[0], "yuv420p"
        for part, size in enumerate(sizes):
            encoder = av.CodecContext.create("mpeg2video", "w")
            encoder.width, encoder.height = size
            encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 25)
            encoder.gop_size = 50
            for number in range(100):
                frame = plain(WHEEL[part], size).reformat(format="yuv420p")
                frame.pts, frame.time_base = part * 100 + number, Fraction(1, 25)
                for packet in encoder.encode(frame):
                    packet.stream = stream
                    container.mux(packet)

    made = board_of(file)

    assert (made.tile_width_px, made.tile_height_px) == tile
    shown = dict(zip(made.starts_s, tiles_of(made), strict=True))
    for part, size in enumerate((tile, fitted, tile)):
        still = next(shown[start] for start in shown if part * 4 <= start < (part + 1) * 4)
        assert near(middle_of(still), WHEEL[part])
        assert near(still.getpixel((tile[0] // 2, (tile[1] - size[1]) // 2 + 5)), WHEEL[part])
        if size[0] < tile[0]:
            assert near(still.getpixel((20, 45)), BLACK)
        if size[1] < tile[1]:
            assert near(still.getpixel((26, 15)), BLACK)


def test_a_video_without_a_length_is_gone_through_once(
    tmp_path: Path, wheel: list[VideoFrame]
) -> None:
    file = clip(tmp_path / "film.mkv", wheel, options={"live": "1"})
    with VideoFile(str(file)) as film:
        assert film.duration_s is None

    made = board_of(file)

    assert made.starts_s == tuple(range(0, 24, 2))
    assert_true_to_time(made)


@pytest.mark.parametrize(("count", "apart"), [(100, 2), (101, 4), (200, 4), (350, 8)])
def test_tiles_of_a_long_video_without_a_length_are_spread_over_all_of_it(
    tmp_path: Path, count: int, apart: int
) -> None:
    frames = colors(count, rate=1)
    file = clip(tmp_path / "film.mkv", frames, rate=1, key_every=1, options={"live": "1"})

    made = board_of(file)

    assert made.starts_s == tuple(range(0, 2 * count, apart))
    assert_true_to_time(made)


@pytest.mark.parametrize("sound", [False, True])
def test_an_avi_that_lost_its_index_is_gone_through(
    tmp_path: Path,
    sound: bool,  # noqa: FBT001
) -> None:
    file = tmp_path / "film.avi"
    frames = colors(60)
    if sound:
        _clip_with_sound(file, frames)
    else:
        clip(file, frames, key_every=2)
    whole = file.read_bytes()
    file.write_bytes(whole[: whole.rindex(b"idx1")])

    made = board_of(file)

    assert made.starts_s[-1] > 100
    assert len(made.starts_s) >= 30
    assert_true_to_time(made)


def _clip_with_sound(file: Path, frames: Sequence[VideoFrame]) -> None:
    with av.open(file, "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.gop_size = 2
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        silence = av.AudioFrame(format="s16", layout="mono", samples=1600)
        silence.sample_rate = 8000
        silence.planes[0].update(bytes(silence.planes[0].buffer_size))
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, Fraction(1, 5)
            container.mux(stream.encode(frame))
            silence.pts = number * 1600
            container.mux(sound.encode(silence))
        container.mux(stream.encode(None))


def test_a_damaged_middle_costs_the_tiles_there_and_no_other(
    tmp_path: Path, wheel: list[VideoFrame]
) -> None:
    file = clip(tmp_path / "film.mkv", wheel)
    whole = dict(zip((sound := board_of(file)).starts_s, tiles_of(sound), strict=True))
    content = bytearray(file.read_bytes())
    start, end = len(content) * 2 // 5, len(content) * 3 // 5
    content[start:end] = Random(1).randbytes(end - start)
    file.write_bytes(content)

    made = board_of(file)

    assert len(made.starts_s) >= len(whole) // 2
    for start_s, tile in zip(made.starts_s, tiles_of(made), strict=True):
        if not 8 <= start_s <= 16:
            assert near(middle_of(tile), middle_of(whole[start_s]), within=8)


def test_a_download_that_broke_off_has_the_tiles_of_what_came(
    tmp_path: Path, wheel: list[VideoFrame]
) -> None:
    faststart = {"movflags": "faststart"}
    file = clip(tmp_path / "film.mp4", wheel, codec="libx264", b_frames=2, options=faststart)
    whole = file.read_bytes()
    start = whole.index(b"mdat")
    file.write_bytes(whole[: start + (len(whole) - start) * 7 // 10])

    made = board_of(file)

    assert 6 <= len(made.starts_s) <= 10
    assert made.starts_s == tuple(range(0, 2 * len(made.starts_s), 2))
    assert_true_to_time(made)


def test_a_length_that_is_claimed_costs_no_tiles(tmp_path: Path) -> None:
    file = clip(tmp_path / "film.mp4", colors(30))
    content = bytearray(file.read_bytes())
    for box in (b"mvhd", b"mdhd"):
        at = content.index(box) + 20
        content[at : at + 4] = (20 * 86_400 * 1000).to_bytes(4, "big")
    file.write_bytes(content)

    made = board_of(file)

    assert len(made.starts_s) >= 29
    assert_true_to_time(made)


def test_no_more_is_decoded_than_a_storyboard_is_worth(
    tmp_path: Path, wheel: list[VideoFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storyboard, "MAX_PX", 4 * SIZE[0] * SIZE[1])

    made = board_of(clip(tmp_path / "film.mp4", wheel))

    assert made.starts_s == (0, 2, 4, 6)


def test_what_has_nothing_to_scrub_through_says_so(tmp_path: Path) -> None:
    frames = [plain(GREEN)] * 60
    short = clip(tmp_path / "short.mp4", frames[:18])
    one_take = clip(tmp_path / "one_take.mp4", frames, key_every=600)
    live = clip(tmp_path / "live.mkv", frames[:8], options={"live": "1"})
    noise = clip(tmp_path / "noise.mp4", frames)
    content = bytearray(noise.read_bytes())
    start, end = content.index(b"mdat") + 4, content.rindex(b"moov") - 4
    content[start:end] = bytes(end - start)
    noise.write_bytes(content)

    assert problem_of(short) == "is too short for a storyboard"
    for file in (one_take, live, noise):
        assert problem_of(file) == "has fewer than two key frames to make a storyboard of"


def test_every_real_file_has_a_storyboard_or_a_reason(shared: Path) -> None:
    made: dict[str, EncodedStoryboard] = {}
    reasons: list[str] = []
    for file in sorted((shared / "media" / "videos").glob("*/*")):
        try:
            made[file.name] = board_of(file)
        except UnusableFileError as error:
            reasons.append(str(error))

    assert all(reasons)
    assert len(made) >= 35
    assert made["long_4k_av1.mp4"].starts_s[-1] > 350
    assert len(made["Test.ogv"].starts_s) == 12
    assert all(len(one.content) < 4096 * len(one.starts_s) for one in made.values())


def test_tiles_of_real_files_are_the_frames_that_ffmpeg_has_there(
    shared: Path, tmp_path: Path, program: Callable[[str], str]
) -> None:
    for name in (
        "intel-iot-devkit/bottle-detection.mp4",
        "zulko/big_buck_bunny_0_30.webm",
        "saimn/example video.ogv",
    ):
        file = shared / "media" / "videos" / name
        made = board_of(file)
        for start_s, tile in zip(made.starts_s, tiles_of(made), strict=True):
            seen = tmp_path / "seen.png"
            size = f"scale={tile.width}:{tile.height}:flags=area"
            command = [
                program("ffmpeg"),
                "-v",
                "error",
                "-y",
                "-ss",
                f"{start_s + 0.002:.3f}",
                "-i",
                str(file),
            ]
            command += ["-frames:v", "1", "-vf", size, str(seen)]
            subprocess.run(command, check=True)

            with Image.open(seen) as picture:
                assert _difference(picture.convert("RGB"), tile) < 8


def _difference(one: Image.Image, other: Image.Image) -> float:
    pairs = zip(one.tobytes(), other.tobytes(), strict=True)
    return sum(abs(first - second) for first, second in pairs) / len(one.tobytes())


@pytest.mark.system("ffmpeg")
def test_nothing_but_its_own_errors_leave_for_hostile_files(
    shared: Path, tmp_path: Path, program: Callable[[str], str]
) -> None:
    program("ffmpeg")
    maker, library = shared / "media" / "hostile" / "make_hostile.py", tmp_path / "library"
    command = [sys.executable, str(maker), str(library), "--only", "corrupt,bombs"]
    subprocess.run(command, check=True, capture_output=True)
    entries = json.loads((tmp_path / "library.manifest.json").read_text())

    reasons: dict[str, str] = {}
    for entry in entries:
        try:
            board_of(library / entry["path"])
            reasons[entry["path"]] = "made"
        except UnusableFileError as error:
            reasons[entry["path"]] = str(error)

    assert len(reasons) > 40
    assert reasons["bombs/fps_1000.mp4"] == "made"
    assert [path for path in reasons if "lfi" in path and reasons[path] == "made"] == []
