"""What takes longer is done beside a refresh: stopped at any moment, it goes on where it was."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import pytest
from av.video.frame import VideoFrame
from background import LONG_S, watching
from histories import tree
from real_library import Library

from generator.adapters.media.rendition_runner import DiskFull, FinishedCopy
from generator.adapters.media.worker_pool import MediaWorkers
from generator.build.engine import Engine
from generator.core.model import Event, EventKind, Video, VideoId
from generator.watch.background_jobs import Backlog, rendition_scope

_SECONDS, _RATE = 12, 5


@pytest.fixture(scope="module")
def workers() -> Iterator[MediaWorkers]:
    with MediaWorkers(jobs=2) as made:
        yield made


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a film of twelve seconds with a key frame each second."""
    file = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with av.open(file, "w") as container:
        stream = container.add_stream("mpeg4", rate=_RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"
        stream.gop_size = _RATE
        for number in range(_SECONDS * _RATE):
            frame = VideoFrame(64, 36, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([40 + 3 * number % 200]) * plane.line_size * plane.height)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file


@pytest.fixture
def library(tmp_path: Path, workers: MediaWorkers, clip: Path) -> Library:
    return Library(tmp_path, workers, clip)


def video(engine: Engine, number: int = 1) -> Video:
    (found,) = engine.catalogue.shown([VideoId(number)])
    return found


def work_off(engine: Engine, library: Library, most: int = 10**9) -> int:
    """Do what is to be done, at most so many videos; return how many were done."""
    finished, done = threading.Event(), 0
    with Backlog(library.settings, finished.set) as backlog:
        while backlog.enqueue(engine.catalogue) and done < most:
            assert finished.wait(LONG_S)
            finished.clear()
            done += backlog.record(engine.catalogue, engine.files, library.now)
    return done


def boards(library: Library) -> set[str]:
    files = tree(library.settings.out)
    return {path for path in files if path.startswith("board/") and not path.endswith(".json")}


def test_a_storyboard_shows_on_the_watch_page_and_in_its_part_and_on_nothing_else(
    library: Library,
) -> None:
    library.put("film.mp4")
    library.put("other.mp4")
    with library.engine() as engine:
        library.build(engine)
        before = tree(library.settings.out)

        assert work_off(engine, library) == 2
        receipt = engine.refresh(library.now)

        after = tree(library.settings.out)
        changed = {path for path in after if before.get(path) != after[path]}
        made = boards(library)
        pages = {path for path in after if path.startswith("watch/")}
        assert changed - made == {"board/0.json", *pages}
        assert receipt.written == 3
        board = video(engine).storyboard
        assert board is not None
        assert board.count > 2
        assert len(made) == 4


def test_with_nothing_to_do_nothing_is_started(library: Library) -> None:
    library.put("film.mp4")
    with library.engine() as engine:
        library.build(engine)
        work_off(engine, library)

        assert work_off(engine, library) == 0


def test_what_was_stopped_goes_on_and_nothing_is_done_twice(library: Library) -> None:
    for number in range(6):
        library.put(f"{number}.mp4")
    with library.engine() as engine:
        library.build(engine)
        first = work_off(engine, library, most=1)
    with library.engine() as engine:
        second = work_off(engine, library)
        engine.refresh(library.now)

        kinds = [
            kind for number in range(1, 7)
            for _, kind, *_ in engine.catalogue.events_of(VideoId(number), 20)
        ]  # fmt: skip
        assert first + second == 6
        assert kinds.count(EventKind.BOARD_MADE) == 6
        assert len(boards(library)) == 12


def test_the_newest_come_first(library: Library) -> None:
    for number in range(3):
        library.put(f"{number}.mp4")
    with library.engine() as engine:
        library.build(engine)

        newest = engine.catalogue.todo.to_enrich(2, boards=True)

        assert [video(engine, one.video).title for one in newest] == ["2", "1"]
        assert all(one.board and not one.texts for one in newest)


def test_without_storyboards_nothing_is_to_be_done(library: Library) -> None:
    library.settings = library.settings.model_copy(update={"storyboards": False})
    library.put("film.mp4")
    with library.engine() as engine:
        library.build(engine)

        assert work_off(engine, library) == 0


def test_a_file_that_changed_meanwhile_gives_the_storyboard_of_what_it_is_now(
    library: Library,
) -> None:
    library.put("film.mp4")
    with library.engine() as engine, Backlog(library.settings) as backlog:
        library.build(engine)
        assert backlog.enqueue(engine.catalogue)
        library.put("film.mp4", salt=77)
        library.build(engine)
        while backlog.enqueue(engine.catalogue):
            backlog.record(engine.catalogue, engine.files, library.now)

        kinds = [kind for _, kind, *_ in engine.catalogue.events_of(VideoId(1), 20)]
        assert kinds.count(EventKind.BOARD_MADE) == 1
        assert kinds.index(EventKind.BOARD_MADE) < kinds.index(EventKind.VIDEO_CHANGED), (
            "newest first"
        )


def test_storyboards_go_with_their_videos_and_come_back_with_them(library: Library) -> None:
    film = library.put("film.mp4")
    library.put("other.mp4")
    with library.engine() as engine:
        library.build(engine)
        work_off(engine, library)
        engine.refresh(library.now)
        assert len(boards(library)) == 4

        away = film.rename(library.folder / "film.mp4")
        library.build(engine)
        library.build(engine)
        assert len(boards(library)) == 2

        away.rename(film)
        library.build(engine)
        work_off(engine, library)
        engine.refresh(library.now)
        assert len(boards(library)) == 4


def test_a_lost_storyboard_is_made_again_by_a_full_build(library: Library) -> None:
    library.put("film.mp4")
    with library.engine() as engine:
        library.build(engine)
        work_off(engine, library)
        engine.refresh(library.now)
        before = boards(library)
        for path in before:
            (library.settings.out / path).unlink()

        library.build(engine, full=True)
        work_off(engine, library)
        engine.refresh(library.now)

        assert boards(library) == before


def test_a_builder_that_watches_makes_storyboards_when_it_is_idle(library: Library) -> None:
    library.put("film.mp4")
    page = library.settings.out / "watch/film-1.html"
    with watching(library) as receipts:
        while receipts.get(timeout=LONG_S).events:
            if page.is_file() and "board/0/1-" in page.read_text(encoding="utf-8"):
                break

    assert len(boards(library)) == 2


def test_a_retry_makes_a_storyboard_that_failed_wanted_again(library: Library) -> None:
    library.put("film.mp4")
    with library.engine() as engine:
        library.build(engine)
        failed = Event("f", EventKind.BOARD_FAILED, 1, "test", VideoId(1), {"reason": "too slow"})
        engine.catalogue.append([failed])
        assert work_off(engine, library) == 0
        (problem,) = engine.catalogue.problems()
        assert (problem.stage, problem.reason) == ("storyboard", "too slow")

        engine.catalogue.forget_problems([problem], library.now)

        assert work_off(engine, library) == 1
        assert engine.catalogue.problems() == []


def test_a_full_disk_is_no_fault_of_the_file_whose_copy_it_does_not_take(library: Library) -> None:
    library.settings = library.settings.model_copy(update={"renditions": "all"})
    library.put("film.mp4")
    with library.engine() as engine, Backlog(library.settings) as backlog:
        library.build(engine)
        while backlog.enqueue(engine.catalogue) and backlog.rendered == 0:
            outcome = backlog._finished.get(timeout=LONG_S)  # noqa: SLF001 (before it is recorded)
            if isinstance(outcome.result, FinishedCopy):
                refused = DiskFull(outcome.job.file.place, "the disk is full")
                outcome = replace(outcome, result=refused)
            backlog._finished.put(outcome)  # noqa: SLF001
            backlog.record(engine.catalogue, engine.files, library.now)

        assert engine.catalogue.problems() == []
        assert engine.catalogue.todo.without_rendition(rendition_scope(library.settings), 9) == [1]
        assert not backlog.enqueue(engine.catalogue), "it is not tried again and again"
