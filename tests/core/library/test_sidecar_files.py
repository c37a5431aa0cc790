"""Companions: what lies beside a video belongs to it by its name, and to no other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.core.library.sidecar_files import between, is_sidecar, sidecar_digest, sidecars_of
from generator.core.model import SidecarKind


def owned_by(videos: list[str], files: list[str]) -> dict[str, list[tuple[str, str]]]:
    found = sidecars_of("", videos, {file: (1, 1) for file in files if is_sidecar(file)})
    return {
        video: [(one.kind.value, one.place.path) for one in some] for video, some in found.items()
    }


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("film.nfo", "nfo"),
        ("film.mp4.nfo", "nfo"),
        ("film.toml", "own"),
        ("film.md", "own"),
        ("film.info.json", "ytdlp"),
        ("film.INFO.JSON", "ytdlp"),
        ("film.mp4.json", "json"),
        ("film.srt", "subtitles"),
        ("film.de.srt", "subtitles"),
        ("film.de.forced.ass", "subtitles"),
        ("film.mp4.en.vtt", "subtitles"),
        ("film.en.sbv", "subtitles"),
        ("film.ttml", "subtitles"),
        ("film.jpg", "picture"),
        ("film.WEBP", "picture"),
        ("film-poster.png", "picture"),
        ("film-thumb.jpeg", "picture"),
        ("film.mp4.jpg", "picture"),
        ("folder.jpg", "picture"),
        ("Poster.PNG", "picture"),
        ("movie.nfo", "nfo"),
    ],
)
def test_a_file_named_like_a_video_belongs_to_it(file: str, kind: str) -> None:
    assert owned_by(["film.mp4"], [file]) == {"film.mp4": [(kind, file)]}


@pytest.mark.parametrize(
    "file",
    [
        "other.nfo", "films.nfo", "film2.srt", "fil.jpg", "film.json", "film.mkv.json", ".film.nfo",
        "film-behind.jpg", "film.en.nfo", "film.txt", "film", "film.mp4", "sub/film.nfo", "nfo",
    ],
)  # fmt: skip
def test_a_file_named_otherwise_belongs_to_nobody(file: str) -> None:
    assert owned_by(["film.mp4"], [file]) == {}


def test_of_two_videos_that_begin_alike_the_longer_name_has_the_subtitles() -> None:
    assert owned_by(["a.mp4", "a.b.mp4"], ["a.b.en.srt", "a.en.srt"]) == {
        "a.b.mp4": [("subtitles", "a.b.en.srt")],
        "a.mp4": [("subtitles", "a.en.srt")],
    }


def test_a_companion_with_the_whole_name_belongs_to_one_of_two_with_the_same_stem() -> None:
    found = owned_by(["same.mp4", "same.mkv"], ["same.mkv.jpg", "same.nfo"])

    assert found == {
        "same.mp4": [("nfo", "same.nfo")],
        "same.mkv": [("nfo", "same.nfo"), ("picture", "same.mkv.jpg")],
    }


def test_the_picture_of_a_folder_belongs_to_a_video_that_is_alone_there() -> None:
    assert owned_by(
        ["a/one.mp4", "b/two.mp4", "b/three.mp4"], ["a/folder.jpg", "b/folder.jpg"]
    ) == {"a/one.mp4": [("picture", "a/folder.jpg")]}


def test_the_best_picture_comes_first() -> None:
    files = ["folder.jpg", "film-poster.jpg", "film-thumb.jpg", "film.png"]

    assert [path for _, path in owned_by(["film.mp4"], files)["film.mp4"]] == [
        "film.png",
        "film-thumb.jpg",
        "film-poster.jpg",
        "folder.jpg",
    ]


def test_of_our_own_two_the_stricter_comes_first() -> None:
    assert owned_by(["film.mp4"], ["film.md", "film.toml"]) == {
        "film.mp4": [("own", "film.toml"), ("own", "film.md")]
    }


names = st.text(st.sampled_from("aB.-_ é\udcff"), min_size=1, max_size=8)
suffixes = st.sampled_from([".nfo", ".info.json", ".mp4.json", ".en.srt", ".jpg", "-thumb.png"])


@given(
    stems=st.sets(names, max_size=6),
    files=st.sets(st.builds(str.__add__, names, suffixes), max_size=20),
    folder=st.sampled_from(["", "x/", "x/y/"]),
)
def test_what_belongs_lies_in_the_same_folder_and_begins_alike(
    stems: set[str], files: set[str], folder: str
) -> None:
    videos = [f"{folder}{stem}.mp4" for stem in stems]
    sizes = {folder + file: (1, 2) for file in files if is_sidecar(file)}

    for video, owned in sidecars_of("", videos, sizes).items():
        stem = video.removesuffix(".mp4")
        assert video in videos
        for one in owned:
            assert one.place.path.startswith(stem)
            assert one.place.path in sizes


@pytest.mark.parametrize(
    ("companion", "middle"),
    [
        ("film.srt", ""),
        ("film.de.srt", "de"),
        ("film.mp4.srt", ""),
        ("film.mp4.de.forced.srt", "de.forced"),
        ("else.srt", "else"),
    ],
)
def test_what_stands_between_the_names_is_told(companion: str, middle: str) -> None:
    assert between("folder/film.mp4", f"/far/folder/{companion}") == middle


def signed(video: str, files: dict[str, tuple[int, int]]) -> str:
    return sidecar_digest(video, sidecars_of("", [video], files).get(video, ()))


def test_a_signature_is_the_same_when_all_is_renamed_together() -> None:
    before = signed("film.mp4", {"film.nfo": (1, 2), "film.en.srt": (3, 4)})
    after = signed("sub/movie.mp4", {"sub/movie.nfo": (1, 2), "sub/movie.en.srt": (3, 4)})

    assert before == after != ""


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"film.nfo": (1, 3)},
        {"film.nfo": (2, 2)},
        {"film.mp4.nfo": (1, 2)},
        {"film.toml": (1, 2)},
        {"film.nfo": (1, 2), "film.srt": (1, 2)},
    ],
)
def test_a_signature_is_another_when_anything_beside_changed(
    files: dict[str, tuple[int, int]],
) -> None:
    assert signed("film.mp4", files) != signed("film.mp4", {"film.nfo": (1, 2)})


def test_every_kind_has_a_name_by_which_it_is_found() -> None:
    files = ["f.toml", "f.nfo", "f.info.json", "f.mp4.json", "f.srt", "f.jpg"]

    assert {kind for kind, _ in owned_by(["f.mp4"], files)["f.mp4"]} == set(SidecarKind)
