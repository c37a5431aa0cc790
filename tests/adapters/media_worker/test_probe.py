"""Probing: what films say of their codecs and their ends, against FFmpeg's own word for it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from av.video.frame import VideoFrame
from coded import coded_clip

from generator.adapters.media_worker.probe import OpenFile
from generator.adapters.media_worker.video_file import UnusableFileError, VideoFile
from generator.core.model import Probe

# Files that FFmpeg's DASH muxer takes and names the codecs of.
NAMED = [
    "abema/sample_fragmented.mp4",
    "androidx/bear-vp9-odd-dimensions.webm",
    "androidx/bt601.mp4",
    "androidx/sample_with_chapters.mkv",
    "imageio/test.webm",
    "mdn/crystal.webm",
    "mdn/rabbit320.mp4",
    "php-ffmpeg/portrait.MOV",
    "rails/rotated_video.mp4",
    "rails/video.webm",
    "synthetic/faststart.mp4",
    "synthetic/h264_interlaced.mp4",
    "videojs/sintel-captions.ts",
    "zulko/big_buck_bunny_432_433.webm",
]


def probed(file: Path) -> Probe:
    with VideoFile(str(file)) as film:
        return film.probe()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    file = tmp_path / "some"
    file.write_bytes(bytes(range(100)))
    descriptor = os.open(file, os.O_RDONLY)
    yield file, descriptor
    os.close(descriptor)


def test_an_open_file_is_read_anywhere_and_stays_where_it_was(opened: tuple[Path, int]) -> None:
    _, descriptor = opened
    file = OpenFile(descriptor)

    assert file.size_bytes == 100
    assert file.read_at(10, 5) == bytes(range(10, 15))
    assert file.read_at(98, 16) == b"\x62\x63"
    assert [file.read_at(at, 4) for at in (100, 1 << 62, 1 << 70)] == [b"", b"", b""]
    assert os.lseek(descriptor, 0, os.SEEK_CUR) == 0


def test_what_cannot_be_read_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)  # a folder cannot be read
    try:
        assert OpenFile(descriptor).read_at(0, 10) == b""
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("name", "picture", "sound", "container", "codecs"),
    [
        ("a.mp4", "libx264", "aac", "mov,mp4,m4a,3gp,3g2,mj2", "avc1.64000a,mp4a.40.2"),
        ("a.mkv", "libx264", "flac", "matroska", "avc1.64000a,flac"),
        ("a.mkv", "libx264", "pcm_s16le", "matroska", "avc1.64000a,lpcm"),
        ("a.mov", "libx264", "pcm_s16le", "mov,mp4,m4a,3gp,3g2,mj2", "avc1.64000a,sowt"),
        ("a.ts", "libx264", "aac", "mpegts", "avc1.64000a,mp4a.40.2"),
        ("a.ts", "libx264", "mp2", "mpegts", "avc1.64000a,mp4a.40.33"),
        ("a.webm", "libvpx", "libopus", "webm", "vp8,opus"),
        ("a.webm", "libvpx-vp9", "libopus", "webm", "vp09.00.10.08,opus"),
        ("a.mp4", "libvpx-vp9", "libmp3lame", "mov,mp4,m4a,3gp,3g2,mj2", "vp09.00.10.08,mp4a.6B"),
        ("a.mp4", "mpeg4", "ac3", "mov,mp4,m4a,3gp,3g2,mj2", "mp4v.20.1,ac-3"),
        ("a.avi", "mpeg4", "", "avi", "mp4v.20.1"),
        ("a.mkv", "ffv1", "", "matroska", ""),
    ],
)
def test_a_film_says_what_it_is_coded_with(
    tmp_path: Path, name: str, picture: str, sound: str, container: str, codecs: str
) -> None:
    probe_result = probed(coded_clip(tmp_path / name, picture, sound))

    assert (probe_result.container, probe_result.codecs, probe_result.pixel_format) == (
        container,
        codecs,
        "yuv420p",
    )
    assert probe_result.fast_start == (False if "mov" in container else None)


@pytest.mark.parametrize("tag", ["hvc1", "hev1"])
def test_hevc_is_called_what_the_file_calls_it(tmp_path: Path, tag: str) -> None:
    quiet = {"x265-params": "log-level=none"}
    file = tmp_path / "a.mp4"
    with av.open(file, "w") as container:
        stream = container.add_stream("libx265", rate=10, options=quiet)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
        stream.codec_context.codec_tag = tag
        for _ in range(3):
            container.mux(stream.encode(VideoFrame(64, 64, "yuv420p10le")))
        container.mux(stream.encode(None))

    probe_result = probed(file)

    assert re.fullmatch(tag + r"\.2\.4\.L30(\.[0-9A-F]+)+", probe_result.codecs)
    assert probe_result.pixel_format == "yuv420p10le"


def test_av1_is_named_with_its_depth(tmp_path: Path) -> None:
    told = probed(coded_clip(tmp_path / "a.mp4", "libsvtav1", pixel_format="yuv420p10le"))

    assert re.fullmatch(r"av01\.0\.\d\dM\.10", told.codecs)
    assert os.sched_getscheduler(0) == os.SCHED_OTHER  # else all tests after this one starve


def test_a_film_that_tells_first_what_is_in_it_starts_fast(tmp_path: Path) -> None:
    coded_clip(tmp_path / "slow.mp4")
    coded_clip(tmp_path / "fast.mp4", movflags="faststart")
    coded_clip(tmp_path / "live.mp4", movflags="frag_keyframe+empty_moov")

    told = [probed(tmp_path / f"{name}.mp4").fast_start for name in ("slow", "fast", "live")]

    assert told == [False, True, True]


def test_an_encrypted_film_has_no_names_that_a_browser_would_believe(tmp_path: Path) -> None:
    key = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
        "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
    }

    told = probed(coded_clip(tmp_path / "a.mp4", **key))

    assert (told.video_codec, told.codecs) == ("h264", "encv")


def test_a_sample_entry_that_is_no_text_is_no_name(tmp_path: Path) -> None:
    whole = coded_clip(tmp_path / "a.mp4", "mjpeg", pixel_format="yuvj420p").read_bytes()
    at = whole.index(b"stsd")
    entry = whole.index(b"mp4v", at)
    (tmp_path / "b.mp4").write_bytes(whole[:entry] + b"\xa9j\xff\x00" + whole[entry + 4 :])

    told = probed(tmp_path / "b.mp4")

    assert re.fullmatch(r"[A-Za-z0-9.,-]*", told.codecs)


def test_a_film_that_is_cut_says_so_whether_it_can_be_opened_or_not(tmp_path: Path) -> None:
    fast = coded_clip(tmp_path / "fast.mp4", movflags="faststart")
    slow = coded_clip(tmp_path / "slow.mp4")
    for file in (fast, slow):
        at = file.read_bytes().index(b"mdat") + 4
        file.write_bytes(file.read_bytes()[: at + 20])

    with VideoFile(str(fast)) as film:
        assert re.fullmatch(r".+ of .+ are there", film.cut_short)
    with pytest.raises(
        UnusableFileError, match=r"^is damaged, or not a video: .* \(.+ of .+ are there\)$"
    ):
        VideoFile(str(slow))


def test_a_whole_film_is_not_cut(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv", "a.webm", "a.avi", "a.mov", "a.ts"):
        file = coded_clip(tmp_path / name, "libvpx" if name == "a.webm" else "mpeg4")
        with VideoFile(str(file)) as film:
            assert film.cut_short == ""


def test_names_are_those_that_ffmpeg_gives(shared: Path, tmp_path: Path) -> None:
    videos = shared / "media" / "videos"

    told = {name: probed(videos / name).codecs for name in NAMED}

    assert told == {name: named_by_ffmpeg(videos / name, tmp_path) for name in NAMED}


def named_by_ffmpeg(file: Path, folder: Path) -> str:
    """Return the names that FFmpeg's DASH muxer writes for the first picture and sound."""
    with av.open(file) as source, av.open(folder / "it.mpd", "w", format="dash") as target:
        streams = [*source.streams.video[:1], *source.streams.audio[:1]]
        copies = {one.index: target.add_stream_from_template(one) for one in streams}
        for packet in source.demux(*streams):
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
    return ",".join(re.findall(r'codecs="([^"]*)"', (folder / "it.mpd").read_text("utf-8")))


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("synthetic/multi_audio_subs.mkv", 2),
        ("androidx/sample_with_ass_subtitles.mkv", 1),
        ("androidx/sample_with_vobsub.mp4", 0),  # pictures of text
        ("mdn/elf.webm", 0),
    ],
)
def test_subtitles_that_are_text_are_counted(shared: Path, name: str, count: int) -> None:
    assert probed(shared / "media" / "videos" / name).text_streams == count


def test_every_real_film_has_names_that_are_names(shared: Path) -> None:
    names = set()
    for file in (shared / "media" / "videos").glob("*/*"):
        try:
            names.add(probed(file).codecs)
        except UnusableFileError:
            continue

    assert len(names) > 50
    assert [one for one in names if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.,-]*|", one)] == []
