"""Of several sounds and pictures the one counts that plays: what is told of it, and its copies."""

import io
from pathlib import Path

import av
import pytest
from numbered_films import Maker, made
from PIL import Image
from sounds import all_off, many_sounds
from wide import ORIENTATIONS, SDR, SHOWN_AT, Tags, corner, film_of, held, red_corner

from generator.adapters.media_worker.stills import poster
from generator.adapters.media_worker.video_file import VideoFile, played_first
from generator.core.media.playability import Playability, badge, source_type, verdicts
from generator.core.media.renditions import REMUX, TRANSCODE
from generator.core.model import Probe


def probed(film: Path) -> Probe:
    with VideoFile(str(film)) as opened:
        return opened.probe()


@pytest.mark.parametrize(
    ("name", "codecs", "on", "heard"),
    [
        ("film.mp4", "aac ac3", (False, True), "ac3"),
        ("film.mp4", "ac3 aac", (False, True), "aac"),
        ("film.mov", "ac3 aac", (False, True), "aac"),
        ("film.mp4", "ac3 aac", (True, True), "ac3"),
        ("film.mkv", "aac ac3", (False, True), "aac"),
        ("film.mkv", "ac3 aac", (False, True), "ac3"),
        ("film.ts", "ac3 aac", (False, False), "ac3"),
    ],
)
def test_the_sound_that_is_told_of_is_the_one_that_plays(
    tmp_path: Path, name: str, codecs: str, on: tuple[bool, ...], heard: str
) -> None:
    probe = probed(many_sounds(tmp_path / name, codecs.split(), on))

    assert probe.audio_codec == heard
    assert probe.codecs.endswith("ac-3" if heard == "ac3" else "mp4a.40.2")
    if name.endswith((".mp4", ".mkv")):
        plays = verdicts(probe)["Chromium"] is Playability.PLAYS
        assert plays == (heard == "aac")
        assert probe.codecs in source_type(name, probe)


def test_where_all_tracks_are_off_the_first_plays(tmp_path: Path) -> None:
    film = all_off(many_sounds(tmp_path / "film.mp4", ["aac", "ac3"], [True, False]))

    assert probed(film).audio_codec == "aac"


def test_a_picture_that_is_off_is_not_the_one_that_is_shown(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    with av.open(film, "w") as container:
        for width in (64, 96):
            stream = container.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = width, 64, "yuv420p"
        for stream in container.streams.video:
            frame = av.VideoFrame(stream.width, 64, "yuv420p")
            for packet in (*stream.encode(frame), *stream.encode(None)):
                container.mux(packet)
    content = bytearray(film.read_bytes())
    first = content.index(b"tkhd")
    content[first + 7] &= ~1
    content[content.index(b"tkhd", first + 1) + 7] |= 1
    film.write_bytes(content)

    assert probed(film).width_px == 96


@pytest.mark.parametrize("made_by", [REMUX, TRANSCODE])
@pytest.mark.parametrize(("name", "first"), [("film.mkv", 0), ("film.mov", 1)])
def test_a_copy_plays_the_sound_that_its_original_plays(
    tmp_path: Path, name: str, first: int, made_by: str
) -> None:
    source = many_sounds(tmp_path / name, ["aac", "aac"], [False, True])
    with av.open(source) as container:
        sound = container.streams.audio[first]
        packets = [bytes(packet) for packet in container.demux(sound) if packet.size]

    copy = made(Maker(tmp_path / "scratch")(source, made_by))

    with av.open(copy.file) as container:
        heard = played_first(container, container.streams.audio)[0]
        assert packets == [bytes(packet) for packet in container.demux(heard) if packet.size]


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])  # is copied; is coded anew
@pytest.mark.parametrize("name", ["mirror", "transpose", "left"])
def test_copies_stand_as_a_screen_shows_their_originals(
    tmp_path: Path, name: str, codec: str
) -> None:
    tags = Tags(SDR, primaries=1, matrix=6, bits=8)
    source = film_of(tmp_path / "film.mp4", corner(), tags, codec=codec, seconds=1)
    held(source, ORIENTATIONS[name])

    copy = made(Maker(tmp_path / "scratch")(source, TRANSCODE))

    assert copy.made_by == (REMUX if codec == "libx264" else TRANSCODE)
    with VideoFile(str(copy.file)) as film:
        stills = poster(film)
    picture = Image.open(io.BytesIO(stills.jpeg))
    assert red_corner(picture) == SHOWN_AT[name]


def test_what_is_shared_is_told_as_chromium_plays_it(shared: Path) -> None:
    folder = shared / "cases" / "16-two-sounds"

    silent, heard = (
        probed(folder / f"{name}.mp4") for name in ("aac-off-ac3-on", "ac3-off-aac-on")
    )

    assert badge(silent, has_rendition=False)
    assert badge(heard, has_rendition=False) is None
