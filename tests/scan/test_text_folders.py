"""Folders of subtitles beside films, and names that go on without a point."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from clips import make_clip
from histories import full_render, tree
from real_library import Library

from generator.adapters.media.worker_pool import MediaWorkers
from generator.core.library.sidecar_files import between, sidecars_of
from generator.core.model import Place
from generator.scan.observe import LibraryScan, ScanScope

SRT = "1\n00:00:00,000 --> 00:00:01,000\nHallo\n"


def owners(videos: str, *subtitles: str, **more: bool) -> dict[str, list[str]]:
    """Return the subtitles of each video, all given by their paths."""
    found = sidecars_of("r", videos.split("|"), dict.fromkeys(subtitles, (1, 1)), **more)
    return {video: [one.place.path for one in some] for video, some in found.items()}


@pytest.mark.parametrize("folder", ["Subs", "subs", "Subtitles", "SUBTITLES", "sub"])
def test_subtitles_in_a_folder_belong_to_the_only_film_above_it(folder: str) -> None:
    files = (f"A/{folder}/2_English.srt", f"A/{folder}/3_German (SDH).srt")

    assert owners("A/film.mp4", *files) == {"A/film.mp4": sorted(files)}
    assert owners("A/film.mp4|A/other.mp4", *files) == {}
    assert owners("A/film.mp4", *files, has_subtitle_folders=False) == {}


def test_a_folder_within_is_that_of_the_film_it_is_named_like() -> None:
    files = ("S/Subs/Show.S01E01/2_English.srt", "S/Subs/Show.S01E02/2_English.srt")

    found = owners("S/Show.S01E01.mkv|S/Show.S01E02.mkv|S/Show.S01E03.mkv", *files)

    assert found == {"S/Show.S01E01.mkv": [files[0]], "S/Show.S01E02.mkv": [files[1]]}


def test_in_a_folder_of_subtitles_names_tell_films_apart() -> None:
    files = ("S/subs/one.en.srt", "S/subs/two (German).srt", "S/subs/who knows.srt")

    found = owners("S/one.mp4|S/two.mp4", *files)

    assert found == {"S/one.mp4": [files[0]], "S/two.mp4": [files[1]]}


def test_pictures_and_notes_in_such_a_folder_are_nobodys() -> None:
    assert owners("A/film.mp4", "A/Subs/folder.jpg", "A/Subs/film.nfo", "A/Subs/movie.nfo") == {}


@pytest.mark.parametrize(
    ("name", "rest"),
    [
        ("film (English).srt", "English"), ("film_en.srt", "en"), ("film - Deutsch.srt", "Deutsch"),
        ("film [eng].srt", "eng"), ("film-en-US.srt", "en-US"),
        ("film_forced.srt", "forced"),
    ],
)  # fmt: skip
def test_a_language_may_follow_without_a_point(name: str, rest: str) -> None:
    assert owners("film.mp4", name) == {"film.mp4": [name]}
    assert between("film.mp4", name) == rest


@pytest.mark.parametrize(
    "name",
    ["film 2.srt", "film II.srt", "film_II.srt", "film is.srt", "film noir.srt", "filmen.srt"],
)
def test_another_film_is_no_language(name: str) -> None:
    assert owners("film.mp4", name) == {}


def test_the_longest_name_owns_subtitles() -> None:
    videos = "film.mp4|film - German.mp4"

    assert owners(videos, "film - German.srt") == {"film - German.mp4": ["film - German.srt"]}
    assert owners(videos, "film - German (English).srt") == {
        "film - German.mp4": ["film - German (English).srt"]
    }


@pytest.fixture(scope="module")
def workers() -> Iterator[MediaWorkers]:
    with MediaWorkers(jobs=1) as made:
        yield made


def test_what_changes_in_such_a_folder_is_seen_by_a_look_at_it_alone(
    tmp_path: Path, workers: MediaWorkers
) -> None:
    library = Library(tmp_path, workers, make_clip(tmp_path / "clip.mp4"))
    library.put("A/film.mp4")
    library.put("B/other.mp4")
    subs = library.library / "A" / "Subs"
    subs.mkdir()
    (subs / "2_English.srt").write_text(SRT)
    root = next(iter(library.settings.roots))
    with library.engine() as engine:

        def looked(folder: str) -> list[str]:
            library.now += 10
            look = LibraryScan(
                library.settings, workers, lambda: float(library.now),
                ScanScope(frozenset({Place(root, folder)})),
            )  # fmt: skip
            engine.refresh(library.now, look)
            shown = {video.title: video for video in engine.catalogue.shown()}
            return [track.label for track in shown["film"].tracks]

        library.build(engine)
        assert looked("A") == ["English"]
        (subs / "3_German.srt").write_text(SRT)
        assert looked("A/Subs") == ["English", "Deutsch"]
        (subs / "2_English.srt").unlink()
        assert looked("A/Subs") == ["Deutsch"]
        assert looked("B") == ["Deutsch"]
        (subs / "film").mkdir()
        (subs / "3_German.srt").rename(subs / "film" / "4_French.srt")
        assert looked("A/Subs/film") == ["Français"]
        pages = full_render(engine, tmp_path / "full")
        assert pages.items() <= tree(library.folder / "out").items()
