"""The media worker: what it finds in real, odd, broken and hostile files."""

import base64
import json
import os
import socket
from collections.abc import Iterable, Iterator
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from PIL import Image, ImageDraw

from generator.adapters.media.worker_pool import MediaWorkers
from generator.core.model import Place, ProbeResult, Rejected, Stills

RED, GREEN, BLUE, BLACK = (200, 30, 30), (30, 160, 60), (0, 0, 255), (0, 0, 0)
Color = tuple[int, int, int]

# Where the picture of ffmpeg is one that we do not want.
NOT_VIDEO = {
    "sindresorhus/fixture.gif",  # no container on our list: browsers show it as a picture
    "synthetic/audio_with_cover.m4a",  # a song; ffmpeg took its cover
}


def plain(color: Color, size: tuple[int, int]) -> Image.Image:
    return Image.new("RGB", size, color)


def corners(size: tuple[int, int]) -> Image.Image:
    """Return a picture with another color in each corner, to see how it was turned."""
    picture = plain(BLACK, size)
    draw, (width, height) = ImageDraw.Draw(picture), size
    for color, left, top in ((RED, 0, 0), (GREEN, 1, 0), (BLUE, 0, 1)):
        x, y = left * width // 2, top * height // 2
        draw.rectangle((x, y, x + width // 2, y + height // 2), fill=color)
    return picture


def film(  # noqa: PLR0913 - what clips differ in
    file: Path,
    pictures: Iterable[Image.Image],
    *,
    codec: str = "libx264",
    rate: int = 5,
    key_every: int = 5,
    rotation: int = 0,
    aspect: Fraction | None = None,
    matrix: Colorspace | None = None,
    recorded: str = "",
) -> Path:
    """Write a clip of these pictures, all of one size."""
    with av.open(file, "w") as container:
        if recorded:
            container.metadata["creation_time"] = recorded
        stream = container.add_stream(codec, rate=rate)
        for number, picture in enumerate(pictures):
            if number == 0:
                stream.width, stream.height = picture.size
                stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
                stream.codec_context.gop_size = key_every
                if aspect is not None:
                    stream.codec_context.sample_aspect_ratio = aspect
                if rotation:
                    stream.set_display_rotation(rotation)
            frame = frame_of(picture)
            if matrix is not None:
                frame = frame.reformat(format=stream.pix_fmt, dst_colorspace=matrix)
                stream.codec_context.colorspace = frame.colorspace
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file


def frame_of(picture: Image.Image) -> VideoFrame:
    frame = VideoFrame(*picture.size, "rgb24")
    pixels, row = picture.tobytes(), picture.width * 3
    padding = bytes(frame.planes[0].line_size - row)
    rows = (pixels[start : start + row] + padding for start in range(0, len(pixels), row))
    frame.planes[0].update(b"".join(rows))
    return frame


def looked_into(workers: MediaWorkers, file: Path | str) -> ProbeResult | Rejected:
    (found,) = workers.examine([(Place("", "it"), str(file))])
    return found


def stills_of(outcome: ProbeResult | Rejected) -> Stills:
    assert isinstance(outcome, ProbeResult)
    assert outcome.stills is not None, outcome.poster_problem
    return outcome.stills


def reason_of(found: ProbeResult | Rejected) -> str:
    assert isinstance(found, Rejected)
    return found.reason


def problem_of(found: ProbeResult | Rejected) -> str:
    return found.reason if isinstance(found, Rejected) else found.poster_problem


def picture_of(content: bytes) -> Image.Image:
    return Image.open(BytesIO(content)).convert("RGB")


def near(color: object, expected: Color, *, within: int = 24) -> bool:
    assert isinstance(color, tuple)
    return all(abs(one - other) < within for one, other in zip(color, expected, strict=True))


def mean_of(stills: Stills) -> Color:
    return (
        int(stills.color[:2], 16),
        int(stills.color[2:4], 16),
        int(stills.color[4:], 16),
    )


@pytest.fixture(scope="session")
def workers() -> Iterator[MediaWorkers]:
    with MediaWorkers(jobs=2) as workers:
        yield workers


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return film(file, [plain(GREEN, (64, 36))] * 10, recorded="2019-07-05T12:00:00Z")


def test_a_clip_says_what_it_is(workers: MediaWorkers, clip: Path) -> None:
    outcome = looked_into(workers, clip)

    assert isinstance(outcome, ProbeResult)
    assert outcome.place == Place("", "it")
    assert outcome.probe.container == "mov,mp4,m4a,3gp,3g2,mj2"
    assert outcome.probe.duration_s == pytest.approx(2, abs=0.05)
    assert (outcome.probe.width_px, outcome.probe.height_px) == (64, 36)
    assert outcome.probe.fps == 5
    assert (outcome.probe.video_codec, outcome.probe.audio_codec) == ("h264", None)
    assert outcome.probe.recorded_at == 1_562_328_000
    assert outcome.poster_problem == ""


@pytest.mark.parametrize(
    ("size", "widths", "preview"),
    [
        ((1920, 1080), [(320, 180), (640, 360)], (960, 540)),
        ((1080, 1920), [(101, 180), (202, 360)], (304, 540)),
        ((640, 480), [(240, 180), (480, 360)], (640, 480)),
        ((64, 36), [(64, 36)], (64, 36)),
        ((2, 2), [(2, 2)], (2, 2)),
    ],
)
def test_stills_fit_their_boxes_and_are_never_enlarged(
    workers: MediaWorkers,
    tmp_path: Path,
    size: tuple[int, int],
    widths: list[tuple[int, int]],
    preview: tuple[int, int],
) -> None:
    clip = film(tmp_path / "clip.mkv", [plain(RED, size)] * 2, codec="mpeg4")

    stills = stills_of(looked_into(workers, clip))

    assert [(still.width_px, still.height_px) for still in stills.webp] == widths
    assert [picture_of(still.content).size for still in stills.webp] == widths
    assert picture_of(stills.jpeg).size == preview
    assert near(picture_of(stills.webp[-1].content).getpixel((1, 1)), RED)
    assert near(picture_of(stills.jpeg).getpixel((1, 1)), RED)
    assert near(mean_of(stills), RED)


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_a_rotated_video_stands_upright(
    workers: MediaWorkers, tmp_path: Path, rotation: int
) -> None:
    upright = corners((320, 240))
    lying = upright.rotate(-rotation, expand=True)
    clip = film(tmp_path / "clip.mp4", [lying] * 2, rotation=rotation)

    outcome = looked_into(workers, clip)

    assert isinstance(outcome, ProbeResult)
    assert (outcome.probe.width_px, outcome.probe.height_px) == (320, 240)
    for content in (stills_of(outcome).webp[0].content, stills_of(outcome).jpeg):
        picture = picture_of(content)
        wide, high = picture.width * 3 // 4, picture.height * 3 // 4
        assert near(picture.getpixel((wide // 3, high // 3)), RED)
        assert near(picture.getpixel((wide, high // 3)), GREEN)
        assert near(picture.getpixel((wide // 3, high)), BLUE)
        assert near(picture.getpixel((wide, high)), BLACK)


@pytest.mark.parametrize("matrix", [Colorspace.ITU709, Colorspace.ITU601, Colorspace.BT2020])
def test_colors_stay_what_they_are_whatever_made_yuv_of_them(
    workers: MediaWorkers, tmp_path: Path, matrix: Colorspace
) -> None:
    clip = film(tmp_path / "clip.mp4", [plain((40, 200, 90), (640, 360))] * 2, matrix=matrix)

    stills = stills_of(looked_into(workers, clip))

    for content in (*(still.content for still in stills.webp), stills.jpeg):
        assert near(picture_of(content).getpixel((9, 9)), (40, 200, 90), within=8)
    assert near(mean_of(stills), (40, 200, 90), within=8)


def test_wide_pixels_make_a_wide_picture(workers: MediaWorkers, tmp_path: Path) -> None:
    pictures = [plain(GREEN, (240, 240))] * 2
    clip = film(tmp_path / "clip.mp4", pictures, aspect=Fraction(4, 3))

    outcome = looked_into(workers, clip)

    assert isinstance(outcome, ProbeResult)
    assert (outcome.probe.width_px, outcome.probe.height_px) == (320, 240)
    assert picture_of(stills_of(outcome).jpeg).size == (320, 240)


@pytest.mark.parametrize("key_every", [5, 100])
def test_a_black_beginning_is_no_poster(
    workers: MediaWorkers, tmp_path: Path, key_every: int
) -> None:
    pictures = [plain(BLACK, (320, 180))] * 20 + [plain(GREEN, (320, 180))] * 40
    clip = film(tmp_path / "clip.mp4", pictures, rate=10, key_every=key_every)

    assert near(mean_of(stills_of(looked_into(workers, clip))), GREEN)


def test_a_plain_blue_beginning_is_a_poster(workers: MediaWorkers, tmp_path: Path) -> None:
    pictures = [plain(BLUE, (320, 180))] * 20 + [plain(GREEN, (320, 180))] * 40
    clip = film(tmp_path / "clip.mp4", pictures, rate=10)

    assert near(mean_of(stills_of(looked_into(workers, clip))), BLUE)


def test_a_black_video_has_a_black_poster(workers: MediaWorkers, tmp_path: Path) -> None:
    clip = film(tmp_path / "clip.mp4", [plain(BLACK, (320, 180))] * 10)

    assert stills_of(looked_into(workers, clip)).color == "000000"


def test_a_video_cut_off_in_its_head_is_probed_or_refused_but_never_lost(
    workers: MediaWorkers, clip: Path, tmp_path: Path
) -> None:
    whole = clip.read_bytes()
    cut = tmp_path / "cut.mp4"
    for end in range(0, len(whole), 61):
        cut.write_bytes(whole[:end])
        assert isinstance(looked_into(workers, cut), ProbeResult | Rejected)


def test_a_video_without_a_picture_to_show_is_probed_all_the_same(
    workers: MediaWorkers, clip: Path, tmp_path: Path
) -> None:
    whole = clip.read_bytes()
    start = whole.index(b"mdat") + 4
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(
        whole[:start] + bytes(whole.index(b"moov") - 4 - start) + whole[whole.index(b"moov") - 4 :]
    )

    outcome = looked_into(workers, noise)

    assert isinstance(outcome, ProbeResult)
    assert (outcome.stills, outcome.poster_problem) == (None, "no picture can be decoded")
    assert outcome.probe.width_px == 64


def test_a_file_that_needs_too_much_memory_has_no_poster_and_says_so(
    clip: Path, tmp_path: Path
) -> None:
    large = film(tmp_path / "large.mp4", [plain(RED, (7680, 4320))], codec="mjpeg")

    with MediaWorkers(jobs=1, memory_mb=24) as workers:
        outcome, after = looked_into(workers, large), looked_into(workers, clip)

    assert isinstance(outcome, ProbeResult)
    assert (outcome.stills, outcome.poster_problem) == (None, "needed more than 24 MB")
    assert (outcome.probe.width_px, outcome.probe.height_px) == (7680, 4320)
    assert stills_of(after)


def test_a_song_with_a_cover_is_refused_for_that(workers: MediaWorkers, tmp_path: Path) -> None:
    song = tmp_path / "song.m4a"
    with av.open(song, "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=8000)
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = 0x400  # attached picture
        container.mux(cover.encode(frame_of(plain(RED, (64, 64)))))
        container.mux(cover.encode(None))
        silence = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        silence.sample_rate = 8000
        for plane in silence.planes:
            plane.update(bytes(plane.buffer_size))
        container.mux(sound.encode(silence))
        container.mux(sound.encode(None))

    assert reason_of(looked_into(workers, song)) == "holds a cover picture but no video"


def test_playlists_lead_nowhere(workers: MediaWorkers, clip: Path, tmp_path: Path) -> None:
    beside = tmp_path / "beside.mp4"
    beside.write_bytes(clip.read_bytes())
    texts = (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2.0,\nfile://{clip}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2.0,\nbeside.mp4\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{clip}'\n",
        "ffconcat version 1.0\nfile 'beside.mp4'\n",
        f"ffconcat version 1.0\nfile '{beside}'\n",
    )
    for name in ("list.mp4", "list.m3u8", "list.ffconcat"):
        for text in texts:
            (tmp_path / name).write_text(text)
            assert isinstance(looked_into(workers, tmp_path / name), Rejected)


def test_another_kind_of_file_is_refused_for_that(workers: MediaWorkers, tmp_path: Path) -> None:
    picture = tmp_path / "picture.mp4"
    plain(RED, (64, 64)).save(picture, "PNG")

    assert reason_of(looked_into(workers, picture)) == "unsupported format"


def test_only_regular_files_are_opened(
    workers: MediaWorkers, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    (tmp_path / "link.mp4").symlink_to(clip)
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "empty.mp4").touch()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.mp4")

    reasons = {
        name: reason_of(looked_into(workers, tmp_path / name))
        for name in ("link.mp4", "folder.mp4", "pipe.mp4", "socket.mp4", "empty.mp4", "no.mp4")
    }

    assert reasons == {
        "link.mp4": "is a symbolic link, not a file",
        "folder.mp4": "is a folder, not a file",
        "pipe.mp4": "is a pipe, not a file",
        "socket.mp4": "is a socket, not a file",
        "empty.mp4": "is empty",
        "no.mp4": "cannot be opened: No such file or directory",
    }
    assert reason_of(looked_into(workers, "/dev/zero")) == "is a device, not a file"


@pytest.mark.parametrize(
    "name",
    [
        b"concat:x|y.mp4",
        b"http:evil.mp4",
        b"file:x.mp4",
        b"fd:.mp4",
        b"pipe:0.mp4",
        b"%03d.mp4",
        b"-rf.mp4",
        b"new\nline.mp4",
        b"caf\xe9.mp4",
        b"\xff\xfe\x80.mp4",
        b"L" * 251 + b".mp4",
        "\U0001f469\u200d\U0001f680 \u202egpj.mp4".encode(),
    ],
    ids=repr,
)
def test_no_name_is_taken_for_anything_but_a_name(
    workers: MediaWorkers, clip: Path, tmp_path: Path, name: bytes
) -> None:
    file = tmp_path / os.fsdecode(name)
    file.write_bytes(clip.read_bytes())

    (outcome,) = workers.examine([(Place("", file.name), str(file))])

    assert outcome.place == Place("", file.name)
    assert stills_of(outcome).webp


def test_a_path_no_file_can_have_is_refused(workers: MediaWorkers) -> None:
    for path in ("/a\0b.mp4", "/" + "x" * 5000, "/x" * 100_000):
        assert reason_of(looked_into(workers, path)).startswith("cannot be opened: ")


def test_every_real_file_is_examined_or_refused(workers: MediaWorkers, shared: Path) -> None:
    videos = shared / "media" / "videos"
    files = [file for file in videos.glob("*/*") if file.is_file()]
    paths = [(Place("", str(file.relative_to(videos))), str(file)) for file in files]

    outcomes = list(workers.examine(paths))

    broken = [one for one in outcomes if "decoder" in problem_of(one) or "took" in problem_of(one)]
    assert {one.place for one in outcomes} == {place for place, _ in paths}
    assert len(outcomes) == len(paths)
    assert broken == []


def test_there_is_a_poster_wherever_ffmpeg_got_a_picture(
    workers: MediaWorkers, shared: Path
) -> None:
    manifest = json.loads((shared / "media" / "manifest.json").read_text())
    with_poster = {
        entry["file"].removeprefix("videos/")
        for entry in manifest["files"]
        if "ok" in (entry.get("frame_at_10pct"), entry.get("frame_at_0"))
    }
    paths = [(Place("", name), str(shared / "media" / "videos" / name)) for name in with_poster]

    outcomes = workers.examine(paths)

    missing = {
        one.place.path for one in outcomes if not isinstance(one, ProbeResult) or not one.stills
    }
    assert missing == NOT_VIDEO


def test_probes_agree_with_ffprobe(workers: MediaWorkers, shared: Path) -> None:
    manifest = json.loads((shared / "media" / "manifest.json").read_text())
    by_ffprobe = {
        entry["file"]: (sorted((entry["width"], entry["height"])), entry["vcodec"][0])
        for entry in manifest["files"]
        if entry.get("frame_at_10pct") == "ok"
        and entry.get("sar") in (None, "1:1", "N/A")
        and entry["file"].startswith("videos/")
    }
    paths = [(Place("", name), str(shared / "media" / name)) for name in by_ffprobe]

    probes = {
        one.place.path: (
            sorted((one.probe.width_px or 0, one.probe.height_px or 0)),
            one.probe.video_codec,
        )
        for one in workers.examine(paths)
        if isinstance(one, ProbeResult)
    }

    assert probes == by_ffprobe


@pytest.mark.system("ffmpeg")
def test_every_hostile_file_passes_through_and_nothing_outside_is_read(
    workers: MediaWorkers, hostile: Path
) -> None:
    entries = json.loads(hostile.with_name("library.manifest.json").read_text())
    outside = [path for path in hostile.parent.glob("library.outside/**/*") if path.is_file()]
    for path in outside:
        os.utime(path, (0, 0))  # whatever reads it moves its access time forward
    expected = {
        os.fsdecode(base64.b64decode(entry["path_b64"])): entry["expect"]
        for entry in entries
        if "path_b64" in entry
    }
    paths = [(Place("", path), str(hostile / path)) for path in expected]

    outcomes = {one.place.path: one for one in workers.examine(paths)}

    assert set(outcomes) == set(expected)
    assert [path for path in outcomes if "decoder" in problem_of(outcomes[path])] == []
    assert [
        path
        for path, expect in expected.items()
        if expect == "video"
        and (isinstance(outcomes[path], Rejected) or problem_of(outcomes[path]))
    ] == []
    assert [
        path
        for path in outcomes
        if "playlist" in path or "concat_lfi" in path
        if isinstance(outcomes[path], ProbeResult)
    ] == []
    assert outside
    assert [path for path in outside if path.stat().st_atime != 0] == []
