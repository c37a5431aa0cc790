"""Pictures as posters: what lies beside a video, or in it, becomes stills, or says why not."""

import struct
import subprocess
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import av
import pytest
from av.video.frame import VideoFrame
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from generator.adapters.media_worker.cover_art import MAX_BYTES, from_cover, from_picture
from generator.adapters.media_worker.stills import poster
from generator.adapters.media_worker.video_file import UnusableFileError, VideoFile
from generator.core.model import Stills

Color = tuple[int, int, int]
RED, GREEN, BLUE, BLACK = (200, 30, 30), (30, 160, 60), (30, 30, 200), (0, 0, 0)
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
ORIENTATION = 0x0112
LAID = {  # how a picture must lie so that EXIF's orientation sets it upright
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def plain(color: Color = GREEN, size: tuple[int, int] = (320, 180)) -> Image.Image:
    return Image.new("RGB", size, color)


def corners(size: tuple[int, int]) -> Image.Image:
    """Return a picture with another color in each corner, to see how it was turned."""
    picture = plain(BLACK, size)
    draw, (wide, high) = ImageDraw.Draw(picture), (size[0] // 2, size[1] // 2)
    for color, left, top in ((RED, 0, 0), (GREEN, wide, 0), (BLUE, 0, high)):
        draw.rectangle((left, top, left + wide - 1, top + high - 1), fill=color)
    return picture


def busy(size: tuple[int, int] = (90, 60)) -> Image.Image:
    """Return a picture that no encoder makes small."""
    noise = bytes((x * x * 7 + x // 3) % 251 for x in range(size[0] * size[1] * 3))
    return Image.frombytes("RGB", size, noise)


def saved(picture: Image.Image, kind: str, **how: object) -> bytes:
    file = BytesIO()
    picture.save(file, kind, **how)
    return file.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(BytesIO(content)).convert("RGB")


def near(color: object, expected: Color, *, within: int = 16) -> bool:
    assert isinstance(color, tuple)
    return all(abs(one - other) <= within for one, other in zip(color, expected, strict=True))


def mean_of(stills: Stills) -> Color:
    return (
        int(stills.color[:2], 16),
        int(stills.color[2:4], 16),
        int(stills.color[4:], 16),
    )


def assert_plain(stills: Stills, color: Color) -> None:
    for content in (*(still.content for still in stills.webp), stills.jpeg):
        picture = opened(content)
        assert near(picture.getpixel((picture.width // 2, picture.height // 2)), color)
    assert near(mean_of(stills), color)


def problem_of(content: bytes) -> str:
    with pytest.raises(UnusableFileError) as raised:
        from_picture(content)
    return str(raised.value)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("size", "widths", "preview"),
    [
        ((1920, 1080), [(320, 180), (640, 360)], (960, 540)),
        ((1200, 1800), [(120, 180), (240, 360)], (360, 540)),
        ((500, 281), [(320, 180), (500, 281)], (500, 281)),
        ((64, 36), [(64, 36)], (64, 36)),
        ((1, 1), [(1, 1)], (1, 1)),
    ],
)
def test_a_picture_makes_the_stills_that_a_frame_of_its_size_would(
    kind: str,
    size: tuple[int, int],
    widths: list[tuple[int, int]],
    preview: tuple[int, int],
) -> None:
    stills = from_picture(saved(plain(GREEN, size), kind))

    assert [(still.width_px, still.height_px) for still in stills.webp] == widths
    assert [opened(still.content).size for still in stills.webp] == widths
    assert {Image.open(BytesIO(still.content)).format for still in stills.webp} == {"WEBP"}
    assert opened(stills.jpeg).size == preview
    assert_plain(stills, GREEN)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", LAID)
def test_a_picture_stands_as_exif_says(kind: str, orientation: int) -> None:
    upright, how = corners((640, 480)), LAID[orientation]
    lying = upright if how is None else upright.transpose(how)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation

    stills = from_picture(saved(lying, kind, exif=exif))

    assert opened(stills.jpeg).size == (640, 480)
    for content in (stills.webp[0].content, stills.jpeg):
        picture = opened(content)
        left, top = picture.width // 4, picture.height // 4
        assert near(picture.getpixel((left, top)), RED)
        assert near(picture.getpixel((3 * left, top)), GREEN)
        assert near(picture.getpixel((left, 3 * top)), BLUE)
        assert near(picture.getpixel((3 * left, 3 * top)), BLACK)


@pytest.mark.parametrize(
    ("kind", "count", "value"),
    [
        (3, 1, b"\0\0\0\0"),
        (3, 1, b"\0\x09\0\0"),
        (4, 1, b"\xff\xff\xff\xff"),
        (2, 4, b"666\0"),
        (1, 1, b"\x06\0\0\0"),
        (5, 1, b"\xff\0\0\0"),
        (99, 1, b"\0\x06\0\0"),
    ],
)
def test_an_orientation_there_is_not_turns_nothing(kind: int, count: int, value: bytes) -> None:
    tag = struct.pack(">HHI", ORIENTATION, kind, count) + value
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + tag + bytes(4)

    stills = from_picture(saved(plain(GREEN, (64, 36)), "JPEG", exif=exif))

    assert opened(stills.jpeg).size == (64, 36)
    assert_plain(stills, GREEN)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0MM\0*\0", b"Exif\0\0", b"Exif\0\0junk and more"],
)
def test_damaged_exif_costs_no_picture(kind: str, exif: bytes) -> None:
    assert_plain(from_picture(saved(plain(), kind, exif=exif)), GREEN)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "AVIF"])
def test_what_shines_through_lies_on_grey(kind: str) -> None:
    picture = plain().convert("RGBA")
    picture.paste((255, 0, 255, 0), (0, 0, 160, 180))

    jpeg = opened(from_picture(saved(picture, kind)).jpeg)

    assert near(jpeg.getpixel((40, 90)), (128, 128, 128))
    assert near(jpeg.getpixel((280, 90)), GREEN)


def test_what_half_shines_through_is_half_grey() -> None:
    picture = Image.new("RGBA", (320, 180), (0, 255, 0, 128))

    assert_plain(from_picture(saved(picture, "PNG")), (64, 192, 64))


@pytest.mark.parametrize("mode", ["RGB", "P", "L"])
def test_a_color_that_stands_for_nothing_lies_on_grey(mode: str) -> None:
    picture = Image.new(mode, (64, 36))

    content = saved(picture, "PNG", transparency=picture.getpixel((0, 0)))

    assert_plain(from_picture(content), (128, 128, 128))


@pytest.mark.parametrize(
    ("mode", "kind", "value", "color"),
    [
        ("CMYK", "JPEG", (0, 255, 255, 51), (204, 0, 0)),
        ("L", "JPEG", 90, (90, 90, 90)),
        ("L", "PNG", 90, (90, 90, 90)),
        ("LA", "PNG", (90, 255), (90, 90, 90)),
        ("1", "PNG", 1, (255, 255, 255)),
        ("I;16", "PNG", 90 << 8, (90, 90, 90)),
        ("P", "PNG", GREEN, GREEN),
        ("P", "GIF", GREEN, GREEN),
        ("L", "WEBP", 90, (90, 90, 90)),
        ("L", "AVIF", 90, (90, 90, 90)),
    ],
)
def test_every_way_of_telling_colors_ends_in_the_same_colors(
    mode: str, kind: str, value: int | tuple[int, ...], color: Color
) -> None:
    picture = Image.new(mode, (64, 36), value)

    assert_plain(from_picture(saved(picture, kind)), color)


@pytest.mark.system("ffmpeg")
@pytest.mark.parametrize("layout", ["rgb48be", "rgba64be", "ya16be", "gray16be", "monob", "pal8"])
def test_pngs_of_every_depth_are_read(program: Callable[[str], str], layout: str) -> None:
    source = "color=0x808080:size=64x36"
    if layout == "monob":
        source = "color=white:size=64x36"
    command = [program("ffmpeg"), "-v", "error", "-f", "lavfi", "-i", source, "-frames:v", "1"]
    command += ["-pix_fmt", layout, "-c:v", "png", "-f", "image2pipe", "-"]

    made = subprocess.run(command, check=True, capture_output=True).stdout

    grey = 255 if layout == "monob" else 128
    assert_plain(from_picture(made), (grey, grey, grey))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "AVIF"])
def test_the_poster_of_an_animation_is_its_first_picture(kind: str) -> None:
    content = saved(plain(), kind, save_all=True, append_images=[plain(RED), plain(BLUE)])

    assert_plain(from_picture(content), GREEN)


def test_a_progressive_jpeg_and_one_that_holds_several_are_read() -> None:
    progressive = saved(plain(GREEN, (2000, 1500)), "JPEG", progressive=True)
    several = saved(plain(), "MPO", save_all=True, append_images=[plain(RED)])

    assert_plain(from_picture(progressive), GREEN)
    assert_plain(from_picture(several), GREEN)


@pytest.mark.parametrize("side", [700, 1000, 1919, 1920, 1921, 3840, 4001])
def test_a_jpeg_that_is_decoded_small_is_as_sharp(side: int) -> None:
    lines = Image.new("L", (side, side))
    draw = ImageDraw.Draw(lines)
    for left in range(0, side, side // 10):
        draw.rectangle((left, 0, left + side // 20, side), fill=255)

    jpeg, png = (opened(from_picture(saved(lines, kind)).jpeg) for kind in ("JPEG", "PNG"))

    pairs = zip(jpeg.tobytes(), png.tobytes(), strict=True)
    assert jpeg.size == (540, 540)
    assert sum(abs(one - other) for one, other in pairs) / len(png.tobytes()) < 3


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_what_was_cut_short_is_refused(kind: str, share: float) -> None:
    whole = saved(busy((640, 360)), kind)

    assert problem_of(whole[: int(len(whole) * share)]) in {
        "is damaged or truncated",
        "is damaged, or not a JPEG, PNG, WebP, GIF or AVIF",
    }


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "PPM", "ICO", "TGA", "PCX", "EPS", "PDF", "DDS"])
def test_no_other_format_is_opened(kind: str) -> None:
    assert problem_of(saved(plain(), kind)) == "is damaged, or not a JPEG, PNG, WebP, GIF or AVIF"


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\x89PNG\r\n\x1a\n"]
)
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    assert problem_of(content) == "is damaged, or not a JPEG, PNG, WebP, GIF or AVIF"


def png_chunk(name: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def png_of(wide: int, high: int, *, whole: bool = False) -> bytes:
    """Return a black PNG of a size, or one that claims it and holds next to nothing."""
    deflate = zlib.compressobj(1)
    row = bytes(1 + -(-wide // 8) if whole else 100)
    rows = (deflate.compress(row) for _ in range(high if whole else 1))
    head = struct.pack(">IIBBBBB", wide, high, 1, 0, 0, 0, 0)
    pixels = png_chunk(b"IDAT", b"".join(rows) + deflate.flush())
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + pixels + png_chunk(b"IEND", b"")


def gif_of(wide: int, high: int) -> bytes:
    content = bytearray(saved(plain(GREEN, (2, 2)), "GIF"))
    content[6:10] = struct.pack("<HH", wide, high)
    return bytes(content)


def jpeg_of(wide: int, high: int) -> bytes:
    content = bytearray(saved(plain(GREEN, (16, 16)), "JPEG"))
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", high, wide)
    return bytes(content)


def webp_of(wide: int, high: int) -> bytes:
    content = bytearray(
        saved(plain().convert("RGBA"), "WEBP", save_all=True, append_images=[plain(RED)])
    )
    content[24:30] = (wide - 1).to_bytes(3, "little") + (high - 1).to_bytes(3, "little")
    return bytes(content)


def avif_of(wide: int, high: int) -> bytes:
    content = saved(plain(), "AVIF")
    return content.replace(struct.pack(">II", 320, 180), struct.pack(">II", wide, high))


@pytest.mark.parametrize(
    ("claiming", "wide", "high"),
    [
        (png_of, 30_000, 30_000),
        (png_of, 9_000, 9_000),
        (png_of, 7_100, 7_100),
        (gif_of, 65_535, 65_535),
        (gif_of, 8_000, 7_000),
        (jpeg_of, 65_500, 65_500),
        (jpeg_of, 10_000, 6_000),
        (webp_of, 16_383, 16_383),
        (webp_of, 9_000, 9_000),
    ],
)
def test_a_bomb_is_refused_by_what_its_header_claims(
    claiming: Callable[[int, int], bytes], wide: int, high: int
) -> None:
    assert problem_of(claiming(wide, high)) == "has more than 50 million pixels"


@pytest.mark.parametrize(("wide", "high"), [(8_000, 8_000), (65_535, 1_000), (100_000, 100_000)])
def test_an_avif_that_claims_too_much_is_refused(wide: int, high: int) -> None:
    assert problem_of(avif_of(wide, high))


@pytest.mark.parametrize(("wide", "high"), [(70_000, 1), (1, 70_000), (2**31 - 1, 1)])
def test_a_side_that_no_picture_has_is_refused(wide: int, high: int) -> None:
    assert problem_of(png_of(wide, high)) in {
        "has a width or height that is zero or too large",
        "has more than 50 million pixels",
    }


def test_a_long_thin_picture_is_made_small_at_little_cost() -> None:
    stills = from_picture(saved(Image.new("L", (65_535, 3), 90), "PNG"))

    assert [(still.width_px, still.height_px) for still in stills.webp] == [(320, 1), (640, 1)]
    assert_plain(stills, (90, 90, 90))


def test_a_bomb_that_keeps_its_promise_is_refused_and_one_just_below_is_read() -> None:
    assert problem_of(png_of(30_000, 30_000, whole=True)) == "has more than 50 million pixels"
    assert_plain(from_picture(png_of(8_000, 6_250, whole=True)), BLACK)


def test_a_file_that_is_too_large_is_not_even_looked_at() -> None:
    picture = saved(plain(), "JPEG")

    assert problem_of(picture + bytes(MAX_BYTES)) == "is larger than 20 MB"
    assert_plain(from_picture(picture + bytes(MAX_BYTES - len(picture))), GREEN)


def test_a_jpeg_of_endless_layers_is_refused() -> None:
    content = saved(plain(GREEN, (2000, 1500)), "JPEG", progressive=True)
    layer = content[content.rindex(b"\xff\xda") : -2]

    assert problem_of(content[:-2] + layer[:40] * 400 + content[-2:]) == ("has too many layers")


def test_a_jpeg_of_endless_notes_is_refused() -> None:
    content = saved(plain(), "JPEG")
    note = b"\xff\xe1\x00\x09Exif\0\0x"

    assert problem_of(content[:2] + note * 100_000 + content[2:]) == "has too much metadata"


@pytest.mark.parametrize("name", [b"iTXt", b"zTXt", b"iCCP"])
def test_a_note_that_is_a_bomb_is_refused(name: bytes) -> None:
    content = saved(plain(), "PNG")
    bomb = zlib.compress(bytes(100 << 20), 9)
    note = b"a\0\x01\0\0\0" + bomb if name == b"iTXt" else b"a\0\0" + bomb

    assert (
        problem_of(content[:33] + png_chunk(name, note) + content[33:]) == "is damaged or truncated"
    )


def _seeds() -> list[bytes]:
    picture, grey = busy(), busy().convert("L")
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    see_through = picture.convert("RGBA")
    see_through.putalpha(grey)
    return [
        saved(picture, "JPEG", exif=exif),
        saved(picture, "JPEG", progressive=True),
        saved(picture.convert("CMYK"), "JPEG"),
        saved(grey, "JPEG"),
        saved(picture, "MPO", save_all=True, append_images=[picture]),
        saved(see_through, "PNG", exif=exif),
        saved(picture.convert("P"), "PNG", transparency=3),
        saved(Image.new("I;16", (90, 60), 999), "PNG"),
        saved(picture, "PNG", save_all=True, append_images=[grey.convert("RGB")]),
        saved(picture, "GIF", save_all=True, append_images=[grey.convert("RGB")]),
        saved(see_through, "WEBP", exif=exif),
        saved(picture, "WEBP", lossless=True),
        saved(picture, "WEBP", save_all=True, append_images=[grey.convert("RGB")]),
        saved(see_through, "AVIF", exif=exif),
        saved(picture, "AVIF", save_all=True, append_images=[grey.convert("RGB")]),
    ]


SEEDS = _seeds()
edits = st.tuples(
    st.floats(0, 1),
    st.integers(0, 8),
    st.one_of(
        st.binary(max_size=8),
        st.sampled_from([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0\0\0\1", b"\x80\0"]),
        st.tuples(st.sampled_from(SEEDS), st.integers(0, 9000)).map(
            lambda piece: piece[0][piece[1] : piece[1] + 32]
        ),
    ),
)


def mutated(content: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    for share, gone, come in changes:
        at = int(share**2 * len(content))  # more often in the head
        content = content[:at] + come + content[at + gone :]
    return content


@settings(max_examples=examples(60, thorough=200))
@given(content=st.sampled_from(SEEDS), changes=st.lists(edits, max_size=6))
def test_no_picture_however_damaged_raises_anything_but_that_it_is_unfit(
    content: bytes, changes: list[tuple[float, int, bytes]]
) -> None:
    try:
        stills = from_picture(mutated(content, changes))
    except UnusableFileError as error:
        reason = str(error)
        assert reason
    else:
        assert stills.webp


@given(
    head=st.sampled_from(
        [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\0\0\0 ftypavif"]
        + [b"RIFF\xff\0\0\0WEBP" + kind for kind in (b"VP8 ", b"VP8L", b"VP8X")]
    ),
    rest=st.binary(max_size=300),
)
def test_no_bytes_raise_anything_but_that_they_are_unfit(head: bytes, rest: bytes) -> None:
    with pytest.raises(UnusableFileError):
        from_picture(head + rest)


def frame_of(picture: Image.Image) -> VideoFrame:
    frame = VideoFrame(*picture.size, "rgb24")
    pixels, row = picture.tobytes(), picture.width * 3
    padding = bytes(frame.planes[0].line_size - row)
    rows = (pixels[start : start + row] + padding for start in range(0, len(pixels), row))
    frame.planes[0].update(b"".join(rows))
    return frame


def film_with(file: Path, cover: bytes | None, codec: str = "mjpeg") -> Path:
    """Write a red video, and into it a picture, if any."""
    with av.open(file, "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        attached = None
        if cover is not None and file.suffix == ".mkv":
            container.add_attachment(f"cover.{codec}", f"image/{codec}", cover)
        elif cover is not None:
            attached = container.add_stream(codec, rate=1)
            attached.width, attached.height, attached.pix_fmt = 320, 180, "yuvj420p"
            attached.disposition = 0x400  # attached picture
        for _ in range(20):
            container.mux(stream.encode(frame_of(plain(RED))))
        container.mux(stream.encode(None))
        if attached is not None and cover is not None:
            packet = av.Packet(cover)
            packet.stream, packet.pts, packet.dts = attached, 0, 0
            container.mux(packet)
    return file


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_the_cover_of_a_video_makes_stills(tmp_path: Path, name: str) -> None:
    codec = "jpeg" if name == "film.mkv" else "mjpeg"
    file = film_with(tmp_path / name, saved(plain(GREEN, (1200, 1800)), "JPEG"), codec)

    with VideoFile(str(file)) as film:
        before, stills, after = poster(film), from_cover(film), poster(film)

    assert stills is not None
    assert_plain(stills, GREEN)
    assert opened(stills.jpeg).size == (360, 540)
    assert_plain(before, RED)
    assert before == after


@pytest.mark.parametrize("cover", [None, b"\xff\xd8\xff\xe0no picture at all"])
def test_a_video_without_a_cover_that_can_be_shown_has_none(
    tmp_path: Path, cover: bytes | None
) -> None:
    file = film_with(tmp_path / "film.mkv", cover, "jpeg")

    with VideoFile(str(file)) as film:
        assert from_cover(film) is None
        assert_plain(poster(film), RED)


def test_real_covers_are_found(shared: Path) -> None:
    videos = shared / "media" / "videos"
    with VideoFile(str(videos / "synthetic" / "cover_art.mp4")) as film:
        stills = from_cover(film)

    assert stills is not None
    assert stills.webp
