"""Films and what belongs to them that are links, where links are followed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from clips import make_clip
from real_library import Library

from generator.adapters.media.worker_pool import MediaWorkers
from generator.scan.library_roots import follow_link


@pytest.fixture(scope="module")
def workers() -> Iterator[MediaWorkers]:
    with MediaWorkers(jobs=1) as made:
        yield made


@pytest.fixture
def library(tmp_path: Path, workers: MediaWorkers) -> Library:
    library = Library(tmp_path, workers, make_clip(tmp_path / "clip.mp4"))
    library.settings = library.settings.model_copy(update={"follow_links": True})
    return library


def test_a_film_that_is_a_link_has_a_poster_and_what_lies_beside_it(
    tmp_path: Path, library: Library
) -> None:
    store = tmp_path / "store"  # as git-annex has it: names that say nothing
    store.mkdir()
    make_clip(tmp_path / "clip.mp4").rename(store / "b1946ac9.mp4")
    (store / "591785b7").write_text("1\n00:00:00,000 --> 00:00:01,000\nHallo\n")
    (store / "e59ff979").write_text('title = "A linked film"\n')
    (library.library / "film.mp4").symlink_to(store / "b1946ac9.mp4")
    (library.library / "film.de.srt").symlink_to(store / "591785b7")
    (library.library / "film.toml").symlink_to(store / "e59ff979")
    (library.library / "to-nothing.mp4").symlink_to(store / "nothing")
    (library.library / "to-a-device.mp4").symlink_to("/dev/zero")

    with library.engine() as engine:
        library.build(engine)
        (video,) = engine.catalogue.shown()
        problems = {problem.place.path for problem in engine.catalogue.problems()}

    assert video.title == "A linked film"
    assert video.poster is not None
    assert [(track.language, track.label) for track in video.tracks] == [("de", "Deutsch")]
    assert problems == {"to-nothing.mp4", "to-a-device.mp4"}


def test_what_belongs_to_a_film_and_is_a_link_is_seen_when_what_it_leads_to_changes(
    tmp_path: Path, library: Library
) -> None:
    library.put("film.mp4")
    notes = tmp_path / "told"
    notes.write_text('title = "One"\n')
    (library.library / "film.toml").symlink_to(notes)
    with library.engine() as engine:
        library.build(engine)
        notes.write_text('title = "Another"\n')

        library.build(engine)

        assert [video.title for video in engine.catalogue.shown()] == ["Another"]


def test_without_follow_links_nothing_is_led_anywhere(tmp_path: Path, library: Library) -> None:
    library.settings = library.settings.model_copy(update={"follow_links": False})
    library.put("film.mp4")
    (tmp_path / "told").write_text('title = "Secret"\n')
    (library.library / "film.toml").symlink_to(tmp_path / "told")

    with library.engine() as engine:
        library.build(engine)

        assert [video.title for video in engine.catalogue.shown()] == ["film"]


def test_a_link_that_leads_nowhere_is_left_to_the_worker(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("link")
    (tmp_path / "file").write_text("x")

    assert follow_link(str(tmp_path / "link")) == str(tmp_path / "link")
    assert follow_link(str(tmp_path / "file")) == str(tmp_path / "file")
