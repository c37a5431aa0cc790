"""Films whose clock does not begin at 0: what is said of an instant stands at it, in Chromium."""

import re
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote

import av
import pytest
from av.video.frame import VideoFrame
from command_line import reelshelf
from file_server import served
from playwright.sync_api import Browser, Page

from generator.adapters.media_worker.subtitles import embedded_subtitles
from generator.adapters.media_worker.video_file import VideoFile
from generator.core.media.webvtt import Cue, shift_cues, write_cues

SECONDS, LATE_S = 12, 5
SRT = "1\n00:00:07,000 --> 00:00:08,000\nSeven\n"
# The picture of second n is as light as that: what is seen tells the second.
DARKEST, STEP = 20, 15
SEEN = """async ([source, track, second]) => {
    const video = document.createElement("video");
    video.muted = true;
    video.src = source;
    const text = document.createElement("track");
    text.src = track;
    text.default = true;
    video.append(text);
    document.body.replaceChildren(video);
    const once = (what, event) =>
        new Promise((done) => what.addEventListener(event, done, { once: true }));
    const read = once(text, "load");
    await once(video, "loadeddata");
    text.track.mode = "hidden";
    await read;
    const cue = text.track.cues[0];
    const sought = once(video, "seeked");
    video.currentTime = (cue.startTime + cue.endTime) / 2;
    await sought;
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 8;
    const brush = canvas.getContext("2d");
    brush.drawImage(video, 0, 0, 8, 8);
    return [brush.getImageData(4, 4, 1, 1).data[0], text.track.activeCues.length];
}"""


def counted(file: Path, late_s: float = LATE_S, codec: str = "libx264") -> Path:
    """Write a film whose seconds can be told apart, and whose clock begins late."""
    with av.open(file, "w") as container:
        stream = container.add_stream(codec, rate=10, options={"g": "10", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        late = round(late_s * 10)
        for number in range(SECONDS * 10):
            frame = VideoFrame(64, 64, "yuv420p")
            light = DARKEST + STEP * (number // 10)
            for plane, value in zip(frame.planes, (light, 128, 128), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            frame.pts, frame.time_base = number + late, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file


def with_subtitles(film: Path, second: int) -> Path:
    """Put a cue over a second of the picture into a Matroska."""
    whole = film.with_name(f"with-{film.name}")
    start = f"00:00:{LATE_S + second:02}"
    lines = f"1\n{start},000 --> {start},900\nSeven\n".encode()
    with (
        av.open(film) as source,
        av.open(BytesIO(lines), format="srt") as text,
        av.open(whole, "w") as container,
    ):
        picture = container.add_stream_from_template(source.streams.video[0])
        said = container.add_stream_from_template(text.streams.subtitles[0])
        packets = [(piece, said) for piece in text.demux() if piece.size]
        packets += [(piece, picture) for piece in source.demux() if piece.size]
        for piece, stream in sorted(packets, key=lambda one: one[0].pts * one[0].time_base):
            piece.stream = stream
            container.mux(piece)
    whole.replace(film)
    return film


@pytest.fixture
def page(browser: Browser) -> Page:
    return browser.new_page()


@pytest.mark.system("chromium")
@pytest.mark.parametrize("renditions", ["off", "remux"])
def test_a_cue_stands_over_its_picture_in_originals_and_in_copies(
    tmp_path: Path, page: Page, renditions: str
) -> None:
    library = tmp_path / "videos"
    library.mkdir()
    for name in ("late.mkv", "late.mp4", "zero.mkv"):
        counted(library / name, 0 if name == "zero.mkv" else LATE_S)
        (library / name).with_suffix(f"{Path(name).suffix}.srt").write_text(SRT)
    counted(library / "late.webm", codec="libvpx")
    (library / "late.webm.srt").write_text(SRT)
    with_subtitles(counted(library / "inside.mkv"), 7)
    env = {"HOME": str(tmp_path), "REELSHELF_RENDITIONS": renditions}

    built = reelshelf(tmp_path, "build", "-l", "videos", "-o", "out", **env)

    assert built.returncode == 0, built.stderr
    out = tmp_path / "out"
    files: list[Path] = []
    for watch in sorted((out / "watch").glob("*.html")):
        text = watch.read_text()
        source = re.search(r'<(?:source|video)\b[^>]* src="([^"]+)"', text)
        track = re.search(r'<track kind="subtitles"[^>]* src="([^"]+)"', text)
        assert source
        assert track
        played = unquote(source[1].partition("#")[0])
        if played.startswith("/video/"):
            files.append(library / Path(played).name)
        else:
            files.append(out / played.lstrip("/"))
        files.append(out / track[1].lstrip("/"))
    assert len(files) == 10
    with served(files) as base:
        page.goto(base)
        seen = [
            page.evaluate(SEEN, [f"{base}/{number}", f"{base}/{number + 1}", 7])
            for number in range(0, len(files), 2)
        ]
    lightest = round((DARKEST - 16 + STEP * 7) * 255 / 219)
    for file, (light, active) in zip(files[::2], seen, strict=True):
        assert light == pytest.approx(lightest, abs=6), file
        assert active == 1


def test_what_is_inside_counts_from_where_the_film_begins(tmp_path: Path) -> None:
    with VideoFile(str(with_subtitles(counted(tmp_path / "film.mkv"), 7))) as film:
        assert film.start_s == LATE_S
        assert film.duration_s == pytest.approx(SECONDS, abs=0.1)
        (track,) = embedded_subtitles(film)

    assert b"00:00:07.000 --> 00:00:07.900" in track.content


def test_of_containers_that_no_browser_plays_the_copies_begin_at_0(tmp_path: Path) -> None:
    with VideoFile(str(counted(tmp_path / "film.ts", 3600))) as film:
        assert film.start_s == 0
        assert [key.start_s for key in film.keys(0)][:2] == [0, 1]


def test_only_times_are_moved() -> None:
    cues = [Cue(1, 2, "00:00:01.000 --&gt; 00:00:02.000"), Cue(3599.5, 3600, "x", "line:0")]

    moved = shift_cues(write_cues(cues), 5.5)

    assert moved == write_cues(
        [
            Cue(6.5, 7.5, "00:00:01.000 --&gt; 00:00:02.000"),
            Cue(3605, 3605.5, "x", "line:0"),
        ]
    )
