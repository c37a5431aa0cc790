"""What is promised of Chromium, kept by Chromium: real films and made ones, loaded and played."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from coded import coded_clip
from file_server import served
from playwright.sync_api import Browser, Page

from generator.adapters.media_worker.video_file import UnusableFileError, VideoFile
from generator.core.media.playability import Playability, source_type, verdicts
from generator.core.model import Probe

AT_ONCE = 5  # a page has six connections to a host
LIMIT_MS = 10_000
PICTURES = {"h264": "libx264", "vp8": "libvpx", "vp9": "libvpx-vp9", "av1": "libsvtav1"}
SOUNDS = {"aac": "aac", "mp3": "libmp3lame", "opus": "libopus", "vorbis": "vorbis", "flac": "flac"}
TAKES = {  # what Chromium is promised to play
    "mp4": ("h264 vp9 av1", "aac mp3 opus flac"),
    "webm": ("vp8 vp9 av1", "vorbis opus"),
    "mkv": ("h264 vp8 vp9 av1", "aac mp3 opus vorbis flac"),
}
PLAY = """async ([sources, limit]) => Promise.all(sources.map(async (source) => {
    const video = document.createElement("video");
    const told = { plays: false, why: "" };
    video.muted = true;
    document.body.append(video);
    await new Promise((done) => {
        video.onerror = () => { told.why = video.error.message; done(); };
        video.onended = done;
        video.ontimeupdate = () => { if (video.currentTime > 0) done(); };
        setTimeout(() => { told.why = "nothing within the limit"; done(); }, limit);
        video.src = source;
        video.play().catch(() => {});
    });
    told.picture = video.videoWidth > 0 && video.getVideoPlaybackQuality().totalVideoFrames > 0;
    told.sound = video.webkitAudioDecodedByteCount > 0;
    video.removeAttribute("src");
    video.load();
    video.remove();
    return told;
}))"""


@dataclass(frozen=True)
class Played:
    picture: bool
    sound: bool
    why: str

    def all_of(self, probe: Probe) -> bool:
        return self.picture and (self.sound or probe.audio_codec is None)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


def play(page: Page, files: list[Path]) -> list[Played]:
    """Return what becomes of each file in a <video src>."""
    plays: list[Played] = []
    with served(files) as address:
        page.goto(address)
        for first in range(0, len(files), AT_ONCE):
            some = range(first, min(first + AT_ONCE, len(files)))
            told = page.evaluate(PLAY, [[f"/{number}" for number in some], LIMIT_MS])
            plays += [Played(one["picture"], one["sound"], one["why"]) for one in told]
        page.goto("about:blank")  # so that nothing is asked of a server that is gone
    return plays


def probes(files: list[Path]) -> dict[Path, Probe]:
    """Return what files say of themselves; what is no video is left out."""
    by_name = {}
    for file in files:
        try:
            with VideoFile(os.fspath(file)) as film:
                by_name[file] = film.probe()
        except UnusableFileError:
            continue
    return by_name


@pytest.fixture(scope="module")
def films(shared: Path) -> dict[Path, Probe]:
    videos = shared / "media" / "videos"
    return probes(sorted(file for file in videos.glob("*/*") if file.is_file()))


def test_every_real_film_that_is_promised_to_play_plays(
    films: dict[Path, Probe], page: Page, shared: Path
) -> None:
    videos = shared / "media" / "videos"
    names = {file: file.relative_to(videos).as_posix() for file in films}
    promised = {
        file for file, probe in films.items() if verdicts(probe)["Chromium"] is Playability.PLAYS
    }

    played = dict(zip(films, play(page, list(films)), strict=True))

    plays = {file for file, probe in films.items() if played[file].all_of(probe)}
    anyway = sorted(names[file] for file in plays - promised)
    sys.stdout.write(
        f"{len(films)} films: {len(promised)} promised to play in Chromium, "
        f"{len(anyway)} more play: {', '.join(anyway)}\n"
    )
    assert {names[file]: played[file] for file in promised - plays} == {}
    assert len(promised) > 80


def test_every_type_of_a_film_that_plays_is_one_that_is_tried(
    films: dict[Path, Probe], page: Page
) -> None:
    types = {
        source_type(file.name, probe)
        for file, probe in films.items()
        if verdicts(probe)["Chromium"] is Playability.PLAYS
    }

    tried = page.evaluate(
        "types => types.filter(type => document.createElement('video').canPlayType(type))",
        sorted(types),
    )

    assert tried == sorted(types)


def test_every_line_of_the_tables_is_kept(tmp_path: Path, page: Page) -> None:
    expected = [
        (container, picture, sound)
        for container, (pictures, sounds) in TAKES.items()
        for picture, sound in [
            *((one, sounds.split()[0]) for one in pictures.split()),
            *((pictures.split()[0], one) for one in sounds.split()[1:]),
            (pictures.split()[0], ""),
        ]
    ]
    files = [
        coded_clip(
            tmp_path / f"{picture}-{sound}.{container}", PICTURES[picture], SOUNDS.get(sound, "")
        )
        for container, picture, sound in expected
    ]
    probed = probes(files)

    played = dict(zip(files, play(page, files), strict=True))

    verdict = {file.name: verdicts(probed[file])["Chromium"] for file in files}
    assert set(verdict.values()) == {Playability.PLAYS}
    assert [file.name for file in files if not played[file].all_of(probed[file])] == []
    assert {(probed[file].video_codec, probed[file].audio_codec or "") for file in files} == {
        (picture, sound) for _, picture, sound in expected
    }


def test_a_browser_takes_the_first_source_that_it_can_play(
    films: dict[Path, Probe], page: Page
) -> None:
    by_name = {file.name: file for file in films}
    prores, silent, plain = (
        by_name[name] for name in ("prores_422hq.mov", "sample.mkv", "faststart.mp4")
    )
    with served([prores, silent, plain]) as address:
        page.goto(address)
        sources = [
            (f"/{number}", source_type(file.name, films[file]))
            for number, file in enumerate((prores, silent, plain))
        ]

        taken = page.evaluate(
            """async (sources) => {
                const video = document.createElement("video");
                for (const [address, type] of sources) {
                    const source = document.createElement("source");
                    source.src = address;
                    source.type = type;
                    video.append(source);
                }
                document.body.append(video);
                await new Promise((done) => { video.onloadeddata = done; });
                return new URL(video.currentSrc).pathname;
            }""",
            sources,
        )
        page.goto("about:blank")

    assert taken == "/2"
