"""Libraries as they really are: every file is shown or told, nothing outside is read."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from histories import full_render, tree
from paths import TEMPLATES

from generator.adapters.media.worker_pool import MediaWorkers
from generator.adapters.settings import Settings
from generator.build.engine import Engine
from generator.core.library.file_filter import compile_filter
from generator.core.model import Place
from generator.core.site import urls
from generator.scan.observe import LibraryScan

NOW = 1_790_000_000


def build(library: Path, folder: Path) -> tuple[Engine, Settings]:
    settings = Settings(
        library=(library,), out=folder / "out", state=folder / "state", settle_s=0, file_limit_s=20
    )
    engine = Engine(settings, TEMPLATES)
    with MediaWorkers(jobs=2, time_limit_s=20, memory_mb=1024) as workers:
        engine.refresh(NOW, LibraryScan(settings, workers, lambda: float(NOW)))
    return engine, settings


def reasons_of(engine: Engine) -> dict[str, str]:
    return {problem.place.path: problem.reason for problem in engine.catalogue.problems()}


@pytest.fixture(scope="module")
def real(
    shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Engine, Path, Path]]:
    library, folder = shared / "media" / "videos", tmp_path_factory.mktemp("real")
    engine, _ = build(library, folder)
    with engine:
        yield engine, library, folder


def test_every_real_file_is_shown_or_told(real: tuple[Engine, Path, Path]) -> None:
    engine, library, _ = real
    intake = compile_filter()
    files = {
        str(path.relative_to(library))
        for path in library.rglob("*")
        if path.is_file() and intake.takes_file_at(str(path.relative_to(library)))
    }

    shown = {video.place.path for video in engine.catalogue.shown()}

    assert files
    assert files == shown | (reasons_of(engine).keys() & files)


def test_a_frame_that_can_be_had_is_a_poster(real: tuple[Engine, Path, Path], shared: Path) -> None:
    """Where ffmpeg gave a frame near the start, the video has one too, or the reason says why."""
    engine, library, _ = real
    entries = json.loads((shared / "media/manifest.json").read_text("utf-8"))["files"]
    posters = {v.place.path for v in engine.catalogue.shown() if v.poster is not None}
    frames = {
        name
        for entry in entries
        if entry.get("frame_at_10pct") is True
        and (library / (name := entry["path"].removeprefix("videos/"))).is_file()
    }

    without = {name: reasons_of(engine).get(name, "") for name in frames - posters}

    assert all(without.values()), without


def test_the_site_of_real_files_equals_a_full_render(real: tuple[Engine, Path, Path]) -> None:
    engine, _, folder = real

    pages = full_render(engine, folder / "full")

    site, made = tree(folder / "out"), made_files(engine)
    assert {p: c for p, c in site.items() if p not in made} == pages


@pytest.fixture(scope="module")
def hostile(
    hostile: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Engine, list[dict[str, str]], Path]]:
    folder = tmp_path_factory.mktemp("of-hostile")
    engine, _ = build(hostile, folder)
    manifest = json.loads(hostile.with_name("library.manifest.json").read_text("utf-8"))
    with engine:
        yield engine, manifest, folder


def made_files(engine: Engine) -> set[str]:
    """Return what was made for videos and is no page: stills, subtitles."""
    return {path for video in engine.catalogue.shown() for path in urls.made_files(video)}


def path_of(entry: dict[str, str]) -> str:
    return os.fsdecode(base64.b64decode(entry["path_b64"]))


def test_every_hostile_file_is_shown_told_or_rightly_passed_over(
    hostile: tuple[Engine, list[dict[str, str]], Path],
) -> None:
    engine, manifest, _ = hostile
    videos = {video.place.path: video for video in engine.catalogue.shown()}
    problems = reasons_of(engine)
    intake = compile_filter()

    for entry in manifest:
        if entry["expect"].startswith("not made"):
            continue
        path = path_of(entry)
        outcome = (entry["trait"], path, problems.get(path))
        if entry["expect"] == "video" and path not in problems and not is_hidden(path):
            assert path in videos, outcome
            assert videos[path].poster is not None, outcome
        elif entry["expect"] == "ignore":
            assert path not in videos, outcome
        elif intake.takes_file_at(path) and entry["kind"] != "sidecars":
            assert path in videos or path in problems or under(path, problems), outcome


def is_hidden(path: str) -> bool:
    """Tell whether a name on the way begins with a dot ("..;" and "..\\" do): hidden on Unix."""
    return any(name.startswith(".") for name in path.split("/"))


def under(path: str, problems: dict[str, str]) -> bool:
    """Tell whether a folder around a path was told."""
    return any(path.startswith(f"{folder}/") for folder in problems)


def test_sound_videos_of_the_hostile_library_all_have_a_poster(
    hostile: tuple[Engine, list[dict[str, str]], Path],
) -> None:
    engine, manifest, _ = hostile
    posters = {video.place.path for video in engine.catalogue.shown() if video.poster}

    missing = {
        path_of(entry): entry["trait"]
        for entry in manifest
        if entry["expect"] == "video"
        and path_of(entry) not in posters
        and not is_hidden(path_of(entry))
    }

    assert missing == {}


def test_nothing_outside_the_library_is_read(
    hostile: tuple[Engine, list[dict[str, str]], Path],
) -> None:
    engine, _, folder = hostile
    site = tree(folder / "out")
    videos = {video.place.path for video in engine.catalogue.shown() if video.poster}

    assert not any(b"SECRET-DO-NOT-PUBLISH" in content for content in site.values())
    for trap in ("playlist_lfi", "playlist_lfi_video", "ffconcat_lfi", "ffconcat_lfi_same_dir"):
        assert f"corrupt/{trap}.mp4" not in videos
    assert not any(name.startswith(("fs/escape", "fs/passwd")) for name in videos)


def test_no_name_becomes_markup(hostile: tuple[Engine, list[dict[str, str]], Path]) -> None:
    _, _, folder = hostile
    for path, content in tree(folder / "out").items():
        if path.endswith(".html"):
            assert b"<script>alert" not in content, path
            assert b"<img src=x" not in content, path
            assert b"<svg onload" not in content, path


def test_the_hostile_site_equals_a_full_render(
    hostile: tuple[Engine, list[dict[str, str]], Path],
) -> None:
    engine, _, folder = hostile

    pages = full_render(engine, folder / "full")

    site, made = tree(folder / "out"), made_files(engine)
    assert {p: c for p, c in site.items() if p not in made} == pages


def test_a_hostile_video_is_found_by_its_very_bytes(
    hostile: tuple[Engine, list[dict[str, str]], Path],
) -> None:
    engine, manifest, _ = hostile
    odd = [path_of(e) for e in manifest if e["trait"] == "not utf-8" and e["kind"] == "names"]

    videos = [engine.catalogue.find(Place("", path)) for path in odd]

    assert odd
    assert all(videos) or all(path in reasons_of(engine) for path in odd)
