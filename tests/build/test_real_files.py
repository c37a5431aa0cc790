"""Real files on a real disk: after any history of changes the output equals a full render."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from clips import make_clip
from effort import examples
from histories import full_render, tree
from hypothesis import given, settings
from hypothesis import strategies as st
from real_library import NAMES, Library, change, find

from generator.adapters.media.worker_pool import MediaWorkers
from generator.core.errors import GuardError, SettingsError, TemplateError
from generator.core.model import Event, EventKind


@pytest.fixture(scope="module")
def workers() -> Iterator[MediaWorkers]:
    with MediaWorkers(jobs=2) as made:
        yield made


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def library(tmp_path: Path, workers: MediaWorkers, clip: Path) -> Library:
    return Library(tmp_path, workers, clip)


@settings(max_examples=examples(4, thorough=10))
@given(seed=st.integers(0, 10**6), bursts=st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_the_site_equals_a_full_render_after_any_history_of_files(
    workers: MediaWorkers, clip: Path, seed: int, bursts: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        library, chance = Library(Path(name), workers, clip), Random(seed)
        for first in NAMES[:5]:
            library.put(first)
        with library.engine() as engine:
            for number, burst in enumerate(bursts):
                for _ in range(burst):
                    change(library, chance)

                library.build(engine)

                site = tree(library.folder / "out")
                stills = {path: content for path, content in site.items() if path[:6] == "thumb/"}
                pages = full_render(engine, library.folder / f"full{number}")
                assert site == {**pages, **stills}
                here = sum(1 for path in library.library.rglob("*") if path.is_file())
                assert sum(path.startswith("watch/") for path in site) == here


def test_a_video_keeps_its_id_state_and_address_when_it_is_renamed(library: Library) -> None:
    library.put("one.mp4")
    library.put("two.mp4")
    with library.engine() as engine:
        library.build(engine)
        video = find(engine, "one.mp4")
        engine.catalogue.append(
            [Event("r", EventKind.RATED, library.now, "test", video, {"stars": 4})]
        )
        pages = sorted((library.folder / "out/watch").iterdir())
        (library.library / "one.mp4").rename(library.library / "renamed & moved.mp4")

        receipt = library.build(engine, accept_loss=False)

        assert (receipt.moved, receipt.found, receipt.missing, receipt.posters) == (1, 0, 0, 0)
        assert sorted((library.folder / "out/watch").iterdir()) == pages
        (after,) = engine.catalogue.shown([video])
        assert (after.stars, after.title) == (4, "renamed & moved")


def test_two_names_that_are_swapped_take_their_ratings_along(library: Library) -> None:
    for name in ("a.mp4", "b.mp4"):
        library.put(name)
    with library.engine() as engine:
        library.build(engine)
        first = find(engine, "a.mp4")
        (library.library / "a.mp4").rename(library.library / "c.mp4")
        (library.library / "b.mp4").rename(library.library / "a.mp4")
        (library.library / "c.mp4").rename(library.library / "b.mp4")

        library.build(engine)

        assert find(engine, "b.mp4") == first


def test_a_new_cut_under_the_old_name_stays_the_same_video(library: Library) -> None:
    library.put("film.mp4")
    with library.engine() as engine:
        library.build(engine)
        before = find(engine, "film.mp4")
        library.put("film.mp4")

        receipt = library.build(engine)

        assert (receipt.changed, receipt.posters) == (1, 1)
        assert find(engine, "film.mp4") == before


def test_a_video_that_comes_back_has_everything_it_had(library: Library) -> None:
    file = library.put("gone.mp4", salt=7)
    library.put("other.mp4")
    with library.engine() as engine:
        library.build(engine)
        video = find(engine, "gone.mp4")
        engine.catalogue.append([Event("f", EventKind.FAVORITED, library.now, "test", video)])
        content = file.read_bytes()
        file.unlink()
        library.build(engine)
        assert not list(engine.catalogue.shown([video]))
        file.write_bytes(content)

        receipt = library.build(engine)

        assert receipt.returned == 1
        (back,) = engine.catalogue.shown([video])
        assert back.favorite
        assert back.poster is not None


def test_a_copy_is_a_video_of_its_own(library: Library) -> None:
    file = library.put("one.mp4")
    with library.engine() as engine:
        library.build(engine)
        shutil.copy2(file, library.library / "copy.mp4")

        receipt = library.build(engine)

        assert (receipt.found, receipt.moved) == (1, 0)


def test_an_emptied_library_changes_nothing_and_says_so(library: Library) -> None:
    library.put("one.mp4")
    with library.engine() as engine:
        library.build(engine)
        before = tree(library.folder / "out")
        (library.library / "one.mp4").unlink()

        with pytest.raises(GuardError, match="is empty, and 1 video should be there"):
            library.build(engine, accept_loss=False)

        assert tree(library.folder / "out") == before


def test_losing_most_of_the_library_changes_nothing_and_says_so(library: Library) -> None:
    files = [library.put(f"{number}.mp4") for number in range(24)]
    with library.engine() as engine:
        library.build(engine)
        for file in files[:20]:
            file.unlink()

        with pytest.raises(GuardError, match="20 of 24 videos would be lost"):
            library.build(engine, accept_loss=False)

        assert library.build(engine, accept_loss=True).missing == 20


def test_a_library_that_is_not_there_is_a_mistake_in_the_settings(library: Library) -> None:
    library.library.rmdir()

    with library.engine() as engine, pytest.raises(SettingsError, match="cannot read the library"):
        library.build(engine)


def test_pages_of_a_missing_video_stay_for_the_grace_time(
    tmp_path: Path, workers: MediaWorkers, clip: Path
) -> None:
    library = Library(tmp_path, workers, clip)
    library.settings = library.settings.model_copy(update={"missing_grace_s": 25})
    file = library.put("one.mp4")
    library.put("two.mp4")
    with library.engine() as engine:
        library.build(engine)
        file.unlink()

        shown = [library.build(engine).missing, library.build(engine).dropped]
        dropped = [library.build(engine).dropped for _ in range(3)]

        assert shown == [1, 0]
        assert sum(dropped) == 1


def test_stills_that_were_deleted_are_made_again_by_a_full_build(library: Library) -> None:
    library.put("one.mp4")
    with library.engine() as engine:
        library.build(engine)
        before = tree(library.folder / "out")
        shutil.rmtree(library.folder / "out" / "thumb")

        library.build(engine, full=True)

        assert tree(library.folder / "out") == before


def test_an_output_folder_that_is_gone_is_built_again(library: Library) -> None:
    library.put("one.mp4")
    with library.engine() as engine:
        library.build(engine)
        before = tree(library.folder / "out")
        shutil.rmtree(library.folder / "out")

        library.build(engine)

        assert tree(library.folder / "out") == before


def test_a_folder_of_somebody_elses_files_is_not_built_into(library: Library) -> None:
    library.put("one.mp4")
    site = library.folder / "out"
    site.mkdir()
    (site / "thesis.txt").write_text("precious", encoding="utf-8")

    with pytest.raises(SettingsError, match="did not write"), library.engine():
        pass

    assert (site / "thesis.txt").read_text(encoding="utf-8") == "precious"


def test_rubbish_is_told_once_and_tried_again_only_when_it_changes(library: Library) -> None:
    library.put("good.mp4")
    (library.library / "bad.mp4").write_bytes(b"no video at all")
    with library.engine() as engine:
        refused = [library.build(engine).refused for _ in range(2)]
        (problem,) = engine.catalogue.problems()
        library.put("bad.mp4")

        receipt = library.build(engine)

        assert refused == [1, 0]
        assert problem.place.path == "bad.mp4"
        assert (receipt.found, engine.catalogue.problems()) == (1, [])


def test_no_two_files_share_a_page_or_a_thumbnail(library: Library) -> None:
    names = [*NAMES, "same.mp4", "same.mkv", "same.MP4", "sub/same.mp4", "a-b.mp4", "a_b.mp4"]
    for name in names:
        library.put(name)
    with library.engine() as engine:
        library.build(engine)

        videos = list(engine.catalogue.shown())

        assert len(videos) == len(names)
        site = tree(library.folder / "out")
        assert sum(path.startswith("watch/") for path in site) == len(names)
        assert sum(path.endswith(".jpg") for path in site) == len(names)


def test_a_second_root_keeps_what_people_did_with_the_first(library: Library) -> None:
    library.put("one.mp4")
    with library.engine() as engine:
        library.build(engine)
        video = find(engine, "one.mp4")
        engine.catalogue.append(
            [Event("r", EventKind.RATED, library.now, "test", video, {"stars": 4})]
        )
    second = library.folder / "second"
    second.mkdir()
    library.settings = library.settings.model_copy(update={"library": (library.library, second)})

    with library.engine() as engine:
        receipt = library.build(engine)

        assert (receipt.moved, receipt.found) == (1, 0)
        (after,) = engine.catalogue.shown()
        assert (after.id, after.stars, after.place.root) == (video, 4, "library")


def test_an_own_template_is_shown_and_a_wrong_one_leaves_the_site_as_it_was(
    library: Library,
) -> None:
    library.put("one.mp4")
    own = library.folder / "own"
    own.mkdir()
    library.settings = library.settings.model_copy(update={"templates": own})
    with library.engine() as engine:
        library.build(engine)
        (own / "404.html").write_text("mine: {{ page.title }}", encoding="utf-8")
        changed = library.build(engine)
        before = tree(library.folder / "out")
        (own / "404.html").write_text("mine: {% if %}", encoding="utf-8")

        with pytest.raises(TemplateError, match="line 1"):
            library.build(engine)

        assert changed.written == 1
        assert before["404.html"] == b"mine: Not found"
        assert tree(library.folder / "out") == before


def test_a_new_title_of_the_site_is_on_every_page(library: Library) -> None:
    library.put("one.mp4")
    with library.engine() as engine:
        library.build(engine)
    library.settings = library.settings.model_copy(update={"title": "Another name"})

    with library.engine() as engine:
        library.build(engine)

        site = tree(library.folder / "out")
        pages = [content for path, content in site.items() if path.endswith(".html")]
        assert all(b"Another name" in content for content in pages)
        stills = {path: content for path, content in site.items() if path[:6] == "thumb/"}
        assert site == {**full_render(engine, library.folder / "full"), **stills}
