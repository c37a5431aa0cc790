"""Renditions: lossless copies, transcodes that lose no frame, HLS; all by the real program."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread

import av
import pytest
from numbered_films import WIDTH, Maker, film, made, near, numbered, reason, shown, times_of
from playwright.sync_api import Browser
from typing_extensions import override

from generator.core.media.renditions import MP4, REMUX, TRANSCODE, WEBM
from generator.core.model import Rejected


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path / "scratch")


Packets = dict[str, list[tuple[bytes, float, float, bool]]]


def packets_of(file: Path) -> Packets:
    """Return payload, times and key of every packet by codec and number, from 0 on."""
    packets: Packets = {}
    with av.open(file, metadata_errors="replace") as container:
        for packet in container.demux():
            if packet.size and packet.stream.type in {"video", "audio"}:
                assert packet.pts is not None
                dts = packet.pts if packet.dts is None else packet.dts  # of Matroska's first
                base = float(packet.time_base)
                name = f"{packet.stream.codec_context.codec.canonical_name}"
                row = (bytes(packet), packet.pts * base, dts * base, packet.is_keyframe)
                packets.setdefault(name, []).append(row)
    return packets


def assert_same_packets(source: Packets, copy: Packets, within: float = 1e-4) -> None:
    """Compare all but a shift that all packets have in common."""
    assert list(copy) == [name for name in source if name in copy]
    shifts = []
    for name, packets in copy.items():
        assert [row[0] for row in packets] == [row[0] for row in source[name]]
        assert [row[3] for row in packets] == [row[3] for row in source[name]]
        shifts += [
            one[moment] - other[moment]
            for one, other in zip(packets, source[name], strict=True)
            for moment in (1, 2)
        ]
    assert max(shifts) - min(shifts) <= within


# -- remux


def boxes_of(file: Path) -> list[bytes]:
    content, at, kinds = file.read_bytes(), 0, []
    while at < len(content):
        kinds.append(content[at + 4 : at + 8])
        at += int.from_bytes(content[at : at + 4], "big") or len(content)
    return kinds


@pytest.mark.parametrize("is_hls", [False, True])
def test_a_remux_holds_the_same_packets_at_the_same_times(
    make: Maker, tmp_path: Path, *, is_hls: bool
) -> None:
    source = film(tmp_path / "film.mov", codec="libx264", sound="aac")

    copy = made(make(source, REMUX, is_hls=is_hls))

    assert copy.made_by == REMUX
    assert copy.codecs.startswith("avc1.64")
    assert copy.codecs.endswith(",mp4a.40.2")
    assert_same_packets(packets_of(source), packets_of(copy.file))
    assert copy.size_bytes == copy.file.stat().st_size


def test_a_remux_begins_with_what_a_player_needs_first(make: Maker, tmp_path: Path) -> None:
    source = film(tmp_path / "film.mov", codec="libx264", sound="aac")
    assert boxes_of(source).index(b"mdat") < boxes_of(source).index(b"moov")

    copy = made(make(source, REMUX))

    assert boxes_of(copy.file).index(b"moov") < boxes_of(copy.file).index(b"mdat")


def test_vp8_and_vorbis_become_webm(make: Maker, shared: Path) -> None:
    source = shared / "media/videos/mdn/elf.webm"

    copy = made(make(source, REMUX, WEBM))

    assert (copy.file.name, copy.codecs) == ("result.webm", "vp8,vorbis")
    assert_same_packets(packets_of(source), packets_of(copy.file), 0.0011)
    content = copy.file.read_bytes()
    assert content.index(b"\x1c\x53\xbb\x6b") < content.index(b"\x1f\x43\xb6\x75")  # cues first


def test_hevc_gets_the_name_that_all_players_know(make: Maker, shared: Path) -> None:
    source = shared / "media/videos/androidx/h265_bframes.mp4"

    copy = made(make(source, REMUX))

    assert b"hvc1" in copy.file.read_bytes()
    assert copy.codecs.startswith("hvc1.")
    assert_same_packets(packets_of(source), packets_of(copy.file))


def test_a_matroska_of_reordered_frames_keeps_every_time(make: Maker, tmp_path: Path) -> None:
    source = film(tmp_path / "film.mkv", codec="libx264", sound="aac")

    copy = made(make(source, REMUX))

    assert near(times_of(copy.file), times_of(source))
    assert [number for _, number in shown(copy.file).frames] == list(range(75))


def test_the_sound_that_players_take_comes_first_and_covers_stay_out(
    make: Maker, shared: Path
) -> None:
    source = shared / "media/videos/synthetic/cover_art.mp4"
    copy = made(make(source, REMUX))
    with av.open(copy.file) as container:
        assert [stream.type for stream in container.streams] == ["video"]

    source = shared / "media/videos/synthetic/multi_audio_subs.mkv"
    copy = made(make(source, REMUX))
    with av.open(source) as before, av.open(copy.file) as after:
        languages = [stream.language for stream in before.streams.audio]
        assert [stream.type for stream in after.streams] == ["video", *["audio"] * len(languages)]
        assert sorted(stream.language or "" for stream in after.streams.audio) == sorted(
            language or "" for language in languages
        )


def test_a_rotated_film_stays_rotated(make: Maker, shared: Path) -> None:
    source = shared / "media/videos/synthetic/rotate_90.mp4"

    copy = made(make(source, REMUX))

    with av.open(source) as before, av.open(copy.file) as after:
        turns = [next(one.decode(video=0)).rotation for one in (before, after)]
    assert turns[0] == turns[1] != 0


def test_where_it_was_filmed_does_not_come_along(make: Maker, tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4", codec="libx264")
    with av.open(source) as before, av.open(tmp_path / "told.mp4", "w") as after:
        after.metadata["comment"] = "at 51.5, -0.12"
        stream = after.add_stream_from_template(before.streams.video[0])
        for packet in before.demux(video=0):
            if packet.size:
                packet.stream = stream
                after.mux(packet)

    copy = made(make(tmp_path / "told.mp4", REMUX))

    assert b"51.5" in (tmp_path / "told.mp4").read_bytes()
    assert b"51.5" not in copy.file.read_bytes()


@pytest.mark.parametrize(
    ("codec", "sound", "container", "why"),
    [
        ("mpeg4", None, MP4, "its picture (mpeg4) cannot be copied into MP4"),
        ("libx264", "ac3", MP4, "its sound (ac3) cannot be copied into MP4"),
        ("libx264", None, WEBM, "its picture (h264) cannot be copied into WebM"),
    ],
)
def test_what_a_container_cannot_hold_is_told_not_encoded(
    make: Maker, tmp_path: Path, codec: str, sound: str | None, container: str, why: str
) -> None:
    source = film(tmp_path / "film.mkv", codec=codec, sound=sound)

    assert reason(make(source, REMUX, container)) == f"{why}: it needs a transcode"


REMUXABLE = [
    "abema/sample_fragmented.mp4", "androidx/edit_list_positive_shift.mp4",
    "androidx/hdr10-av1.mp4", "androidx/sample_partially_fragmented.mp4",
    "rails/video_without_audio_stream.mp4", "slhck/test.mp4", "streamio/ios9.mov",
    "synthetic/moov_at_end.mp4", "zulko/chaplin.mp4",
]  # fmt: skip


@pytest.mark.parametrize("name", REMUXABLE)
def test_real_films_are_remuxed_without_a_loss(make: Maker, shared: Path, name: str) -> None:
    source = shared / "media/videos" / name

    copy = made(make(source, REMUX))

    assert_same_packets(packets_of(source), packets_of(copy.file), 1e-3)


@pytest.mark.parametrize(
    "name",
    ["synthetic/start_time_100000s.ts", "videojs/sintel-captions.ts", "androidx/sample.flv"],
)
def test_a_film_that_begins_late_begins_at_once(make: Maker, shared: Path, name: str) -> None:
    source = shared / "media/videos" / name

    copy = made(make(source, REMUX))

    assert near(times_of(copy.file), times_of(source), 1e-4)
    assert 0 <= shown(copy.file).frames[0][0] < 0.2


# -- transcode


@pytest.mark.parametrize(
    "times_s",
    [
        [Fraction(number, 25) for number in range(80)],
        [Fraction(number * 1001, 30_000) for number in range(100)],
        [Fraction(number * number, 1000) for number in range(60)],  # ever slower
        [Fraction(number, 10) + Fraction(7, 2) for number in range(30)],  # begins late
        [Fraction(0), Fraction(1, 25), Fraction(9, 2), Fraction(27, 5)],  # whole chunks without any
        [Fraction(0)],
    ],
)
def test_a_transcode_shows_every_frame_once_and_when_the_source_did(
    make: Maker, tmp_path: Path, times_s: list[Fraction]
) -> None:
    source = film(tmp_path / "film.mp4", times_s=times_s)

    copy = made(make(source))

    frames = shown(copy.file).frames
    assert copy.made_by == TRANSCODE
    assert [number for _, number in frames] == list(range(len(times_s)))
    expected = [float(time - times_s[0]) for time in times_s]
    assert near([time - frames[0][0] for time, _ in frames], expected, 1e-4)


@pytest.mark.parametrize(
    ("name", "codec", "sound"),
    [
        ("film.avi", "mpeg4", "mp2"),
        ("film.mkv", "libvpx", "libopus"),
        ("film.ts", "mpeg2video", "mp2"),
        ("film.mov", "mjpeg", "pcm_s16le"),
        ("film.wmv", "wmv2", "wmav2"),
        ("film.mpg", "mpeg1video", "mp2"),
    ],
)
def test_any_container_gives_the_same_frames_and_sound_in_step(
    make: Maker, tmp_path: Path, name: str, codec: str, sound: str
) -> None:
    source = film(tmp_path / name, codec=codec, sound=sound)

    copy = made(make(source))

    before, after = shown(source), shown(copy.file)
    assert [number for _, number in after.frames] == [number for _, number in before.frames]
    assert near(times_of(copy.file), times_of(source), 2e-3)
    assert copy.codecs.endswith(",mp4a.40.2")
    # The beep is at 1 s; a sound frame is 21 ms or more long.
    assert (
        abs(after.sounds_s[0] - before.sounds_s[0] - after.frames[0][0] + before.frames[0][0])
        < 0.06
    )


def test_a_picture_that_plays_is_kept_and_the_sound_alone_encoded(
    make: Maker, tmp_path: Path
) -> None:
    source = film(tmp_path / "film.mkv", codec="libx264", sound="ac3")

    copy = made(make(source))

    before, after = packets_of(source), packets_of(copy.file)
    assert copy.made_by == TRANSCODE
    assert [row[0] for row in after["h264"]] == [row[0] for row in before["h264"]]
    assert "aac" in after
    assert abs(shown(copy.file).sounds_s[0] - 1.0) < 0.05


def test_nothing_is_encoded_where_all_is_well_and_that_is_told(make: Maker, tmp_path: Path) -> None:
    source = film(tmp_path / "film.mkv", codec="libx264", sound="aac")

    assert made(make(source)).made_by == REMUX


def test_key_frames_come_every_few_seconds(make: Maker, tmp_path: Path) -> None:
    times = [Fraction(number, 5) for number in range(60)]
    source = film(tmp_path / "film.mp4", times_s=times, key_every=1000)

    copy = made(make(source, chunk_s=7.0))

    keys = [row[1] for row in packets_of(copy.file)["h264"] if row[3]]
    assert all(later - earlier <= 3.01 for earlier, later in pairwise(keys))
    assert len(keys) >= 4


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("synthetic/rotate_270.mp4", (240, 320)),
        ("synthetic/odd_101x67.webm", (100, 66)),
        ("streamio/weird_aspect.small.mpg", None),
        ("synthetic/bluray_interlaced.m2ts", None),
        ("synthetic/prores_422hq.mov", (640, 360)),
        ("synthetic/ffv1_gray16.mkv", (160, 120)),
        ("synthetic/xvid_mp3.avi", (320, 240)),
        ("androidx/roadtrip-vp92-10bit.webm", (426, 240)),
    ],
)
def test_real_films_become_even_upright_and_square(
    make: Maker, shared: Path, name: str, size: tuple[int, int] | None
) -> None:
    source = shared / "media/videos" / name

    copy = made(make(source))

    with av.open(copy.file) as container:
        picture = container.streams.video[0]
        if copy.made_by == TRANSCODE and picture.codec_context.pix_fmt != "yuvj420p":
            assert picture.codec_context.pix_fmt == "yuv420p"
        aspect = picture.sample_aspect_ratio
    assert aspect in {None, 0, 1}
    assert near(times_of(copy.file), times_of(source))
    if size is not None:
        assert shown(copy.file).size in {size, size[::-1]}


def test_a_film_of_many_colors_and_much_light_becomes_a_plain_one(
    make: Maker, shared: Path
) -> None:
    source = shared / "media/videos/synthetic/hdr10_pq.mp4"

    copy = made(make(source, chunk_s=60.0))

    with av.open(copy.file) as container:
        frame = next(container.decode(video=0))
    assert frame.format.name == "yuv420p"
    assert (frame.colorspace, frame.color_trc, frame.color_primaries) == (1, 1, 1)


def test_a_film_that_changes_its_size_keeps_the_first(make: Maker, tmp_path: Path) -> None:
    parts = []
    for number, (width, height) in enumerate([(96, 32), (64, 64), (192, 64)]):
        part = tmp_path / f"{number}.ts"
        with av.open(part, "w") as container:
            stream = container.add_stream("mpeg2video", rate=25)
            stream.width, stream.height = width, height
            for at in range(25):
                frame = numbered(number * 25 + at).reformat(width, height)
                frame.pts, frame.time_base = number * 25 + at, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        parts.append(part.read_bytes())
    source = tmp_path / "film.ts"
    source.write_bytes(b"".join(parts))

    copy = made(make(source))

    assert shown(copy.file).size == (96, 32)
    assert near(times_of(copy.file), times_of(source))
    with av.open(copy.file) as container:
        frames = list(container.decode(video=0))
    lit = [[frame.to_image().getpixel((x, 16)) != (0, 0, 0) for x in (8, 88)] for frame in frames]
    assert all(not any(sides) for sides in lit[30:40])  # a square stands in the middle


def test_recordings_that_were_joined_play_through(make: Maker, tmp_path: Path) -> None:
    parts = [
        film(
            tmp_path / f"{start}.ts",
            times_s=[Fraction(number, 25) + start for number in range(50)],
            codec="mpeg2video",
            sound="mp2",
        ).read_bytes()
        for start in (5000, 3, 80_000)
    ]
    source = tmp_path / "joined.ts"
    source.write_bytes(b"".join(parts))

    copy = made(make(source))

    after = shown(copy.file)
    assert len(after.frames) == 150
    gaps = [later[0] - earlier[0] for earlier, later in pairwise(after.frames)]
    assert max(gaps) < 0.5
    assert after.frames[-1][0] < 8


# -- damage


def test_a_film_damaged_in_the_middle_ends_with_a_copy(make: Maker, tmp_path: Path) -> None:
    for name in ("film.mp4", "film.mkv", "film.ts", "film.avi"):
        source = film(tmp_path / name, codec="mpeg4", sound="mp2")
        content = bytearray(source.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 3000] = os.urandom(3000)
        source.write_bytes(content)

        copy = made(make(source))

        assert len(shown(copy.file).frames) > 20, name


def test_a_film_that_breaks_off_ends_with_what_there_is(make: Maker, tmp_path: Path) -> None:
    source = film(tmp_path / "film.mkv", sound="mp2")
    content = source.read_bytes()
    source.write_bytes(content[: len(content) // 2])

    copy = made(make(source))

    numbers = [number for _, number in shown(copy.file).frames]
    assert 10 < len(numbers) < 75
    assert numbers == [number for _, number in shown(source).frames]


def test_sound_may_outlast_the_picture_and_the_picture_the_sound(
    make: Maker, tmp_path: Path
) -> None:
    for sound_s in (6.0, 1.5):
        source = film(tmp_path / "film.mkv", sound="mp2", sound_s=sound_s)

        after = shown(made(make(source)).file)

        assert len(after.frames) == 75
        assert abs(after.ends_s - sound_s) < 0.1


def test_a_sound_that_cannot_be_read_leaves_a_silent_film_and_a_word_about_it(
    make: Maker, tmp_path: Path
) -> None:
    source = film(tmp_path / "film.avi", sound="ac3")
    content = source.read_bytes()
    source.write_bytes(re.sub(rb"\x0b\x77", b"\x00\x00", content))

    copy = made(make(source))

    assert copy.complaint == "its sound could not be read"
    assert len(shown(copy.file).frames) == 75


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("streamio/broken.mp4", "is damaged, or not a video"),
        ("zulko/result.webm", "is empty"),
        ("synthetic/audio_with_cover.m4a", "holds a cover picture but no video"),
        ("exiftool/RIFF.avi", "nothing of its picture can be decoded"),
        ("androidx/video_dovi_3840x2160_30fps_dav1_10.mp4", "its codec is unknown"),
    ],
)
def test_what_no_copy_can_be_made_of_is_told(
    make: Maker, shared: Path, name: str, why: str
) -> None:
    assert why in reason(make(shared / "media/videos" / name))
    assert not (make.scratch / "7").exists()


def test_a_playlist_that_calls_itself_a_film_leads_nowhere(make: Maker, tmp_path: Path) -> None:
    inside = film(tmp_path / "inside.ts", codec="mpeg2video")
    trap = tmp_path / "trap.mp4"
    trap.write_text(f"#EXTM3U\n#EXTINF:3,\n{inside}\n#EXT-X-ENDLIST\n", encoding="utf-8")

    for made_by in (REMUX, TRANSCODE):
        assert isinstance(make(trap, made_by), Rejected)


def test_a_link_is_not_followed(make: Maker, tmp_path: Path) -> None:
    link = tmp_path / "link.mp4"
    link.symlink_to(film(tmp_path / "film.mp4"))

    assert reason(make(link)) == "is a symbolic link, not a file"


# -- HLS


@dataclass(frozen=True)
class Segment:
    start: int
    size: int
    length_s: float


def segments_of(playlist: str) -> tuple[tuple[int, int], list[Segment]]:
    head = re.search(r'#EXT-X-MAP:URI="result.mp4",BYTERANGE="(\d+)@(\d+)"', playlist)
    assert head
    found = re.findall(r"#EXTINF:([\d.]+),\n#EXT-X-BYTERANGE:(\d+)@(\d+)\nresult.mp4\n", playlist)
    rows = [Segment(int(start), int(size), float(span)) for span, size, start in found]
    return (int(head[2]), int(head[1])), rows


@pytest.mark.parametrize("made_by", [REMUX, TRANSCODE])
def test_the_playlist_cuts_the_film_itself_into_parts_that_play(
    make: Maker, tmp_path: Path, made_by: str
) -> None:
    codec = "libx264" if made_by == REMUX else "mpeg4"
    times = [Fraction(number, 10) for number in range(200)]
    source = film(tmp_path / "film.mkv", times_s=times, codec=codec, sound="aac")

    copy = made(make(source, made_by, is_hls=True, chunk_s=60.0))

    content = copy.file.read_bytes()
    (start, size), segments = segments_of(copy.playlist)
    assert copy.is_hls
    assert (start, content[size + 4 : size + 8]) == (0, b"sidx")
    assert segments[-1].start + segments[-1].size == len(content)
    assert all(one.start + one.size == other.start for one, other in pairwise(segments))
    assert sum(one.length_s for one in segments) == pytest.approx(20, abs=0.2)
    assert all(4 < one.length_s < 8 for one in segments[:-1])
    seen: list[int] = []
    for segment in segments:
        alone = tmp_path / "alone.mp4"
        part = content[segment.start : segment.start + segment.size]
        alone.write_bytes(content[:size] + part)
        frames = shown(alone).frames
        assert frames[0][0] == pytest.approx(
            sum(one.length_s for one in segments[: segments.index(segment)]), abs=0.25
        )
        seen += [number for _, number in frames]
    assert seen == list(range(200))


def test_a_cut_film_tells_how_long_it_is_where_players_look(make: Maker, tmp_path: Path) -> None:
    source = film(tmp_path / "film.mkv", codec="libx264", sound="aac")

    content = made(make(source, REMUX, is_hls=True)).file.read_bytes()

    at = content.index(b"mehd")
    scale = int.from_bytes(content[content.index(b"mvhd") + 16 :][:4], "big")
    assert int.from_bytes(content[at + 8 : at + 16], "big") / scale == pytest.approx(3, abs=0.1)
    assert b"mfra" not in content


TYPES = {".mp4": "video/mp4", ".webm": "video/webm", ".m3u8": "application/vnd.apple.mpegurl"}
WATCH = """async (address) => {
  const film = document.querySelector("video");
  const after = (name) => new Promise((done, fail) => {
    film.addEventListener(name, done, { once: true });
    film.addEventListener("error", () => fail(new Error(film.error.message)), { once: true });
  });
  let next = after("loadeddata");
  film.src = address;
  await next;
  next = after("seeked");
  film.currentTime = 15;
  await next;
  next = after("timeupdate");
  await film.play();
  await next;
  film.pause();
  return [film.duration, film.videoWidth, film.currentTime];
}"""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder with ranges, as any server of films does."""

    class Handler(BaseHTTPRequestHandler):
        @override
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            file = folder / self.path.lstrip("/")
            page = b"<!doctype html><link rel=icon href=data:,><video muted></video>"
            content = file.read_bytes() if file.is_file() else page
            kind = TYPES.get(file.suffix, "text/html")
            byte_range = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            first = int(byte_range[1]) if byte_range else 0
            last = int(byte_range[2]) if byte_range and byte_range[2] else len(content) - 1
            last = min(last, len(content) - 1)
            self.send_response(206 if byte_range else 200)
            if byte_range:
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(last + 1 - first))
            self.end_headers()
            with suppress(OSError):  # the browser has seen enough
                self.wfile.write(content[first : last + 1])

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("made_by", "is_hls"), [(REMUX, False), (REMUX, True), (TRANSCODE, False), (TRANSCODE, True)]
)
def test_a_browser_plays_seeks_and_knows_the_length(
    make: Maker, tmp_path: Path, browser: Browser, made_by: str, *, is_hls: bool
) -> None:
    codec = "libx264" if made_by == REMUX else "mpeg4"
    times = [Fraction(number, 10) for number in range(200)]
    source = film(tmp_path / "film.mkv", times_s=times, codec=codec, sound="aac")
    copy = made(make(source, made_by, is_hls=is_hls))
    copy.file.with_name("list.m3u8").write_text(copy.playlist, encoding="ascii")

    with served(copy.file.parent) as address:
        page = browser.new_page()
        page.goto(address)
        can = page.evaluate(
            "document.createElement('video').canPlayType(`${'" + TYPES[".m3u8"] + "'}`)"
        )
        names = [copy.file.name, *(["list.m3u8"] if is_hls and can else [])]
        states = {name: page.evaluate(WATCH, address + name) for name in names}
        page.close()

    for length_s, width, at_s in states.values():
        assert length_s == pytest.approx(20, abs=0.2)
        assert width == WIDTH
        assert 15 <= at_s < 16


# -- whose the files in the folder of a job are


def test_what_others_put_into_the_folder_of_a_job_stays(make: Maker, tmp_path: Path) -> None:
    folder = tmp_path / "scratch/7"
    (folder / "000001.mp4").mkdir(parents=True)  # a folder is none of ours, whatever its name
    for name in ("notes.txt", "unfinished-notes", "000000.mp4", "plan.json", "result.mp4"):
        (folder / name).write_bytes(b"a")
    source = film(tmp_path / "film.mov", codec="libx264")

    made(make(source, REMUX))  # of another plan: it begins with nothing

    left = {"notes.txt", "unfinished-notes", "000001.mp4"}
    assert {one.name for one in folder.iterdir()} >= left
    make.renditions().discard("7")
    assert {one.name for one in folder.iterdir()} == left
