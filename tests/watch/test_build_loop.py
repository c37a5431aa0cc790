"""From event to page: what others record is shown at once, in batches, by the pages it is on."""

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from histories import full_render, tree
from paths import TEMPLATES
from running_loop import LONG_S, running, watch_page
from typing_extensions import override

from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.adapters.output import Output
from generator.build.engine import Engine
from generator.core.errors import GuardError
from generator.core.media.worker_protocol import ProbeAnswer, ProbeRequest
from generator.core.model import Event, EventKind, OutPath, VideoId
from generator.scan.observe import LibraryScan
from generator.scan.probe import DryRunWorkers


def test_an_event_of_another_process_is_on_its_pages_and_told_of(tmp_path: Path) -> None:
    with running(tmp_path) as builder:
        page = watch_page(builder, 3)
        before = tree(builder.settings.out)

        builder.tell(EventKind.TAGGED, 3, name="harvest")

        receipt = builder.next()
        after = tree(builder.settings.out)
        assert receipt.events == 1
        assert "harvest" in builder.page(page)
        assert page in {path for path in after if before.get(path) != after[path]}
        assert sum(before.get(path) != after[path] for path in after) == receipt.written


def test_views_alone_wait_and_go_with_the_first_other_event(tmp_path: Path) -> None:
    with running(tmp_path, views_debounce_s=3600.0) as builder:
        builder.tell(EventKind.VIEWED, 2, count=7)
        builder.tell(EventKind.RATED, 4, stars=5)

        receipts = [builder.next()]
        while sum(receipt.events for receipt in receipts) < 2:
            receipts.append(builder.next())

        assert len(receipts) == 1


def test_views_are_shown_once_they_have_waited(tmp_path: Path) -> None:
    with running(tmp_path, views_debounce_s=0.2) as builder:
        builder.tell(EventKind.VIEWED, 2, count=77)

        assert builder.next().events == 1
        assert "77" in builder.page(watch_page(builder, 2))


def test_events_that_come_together_are_one_refresh(tmp_path: Path) -> None:
    with running(tmp_path, debounce_ms=2000.0, max_wait_ms=5000.0) as builder:
        for video in (1, 2, 3, 4):
            builder.tell(EventKind.RATED, video, stars=3)

        assert builder.next().events == 4


def test_somebody_who_asks_for_a_rebuild_gets_a_look_at_the_library(tmp_path: Path) -> None:
    with running(tmp_path) as builder:
        (tmp_path / "library" / "new.mp4").write_bytes(b"x")
        builder.tell(EventKind.REBUILD_ASKED, full=False)

        receipt = builder.next()
        while not receipt.walked:
            receipt = builder.next()
        assert receipt.walked == 1


def test_a_disk_that_is_away_keeps_no_rating_from_its_pages(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "library").mkdir(exist_ok=True)
        (tmp_path / "library" / f"film {number}.mp4").write_bytes(bytes([number]))
    with running(tmp_path, 0, max_loss_share=0.5, settle_s=0) as builder:
        (tmp_path / "library").rename(tmp_path / "elsewhere")
        (tmp_path / "library").mkdir()
        assert isinstance(builder.failures.get(timeout=LONG_S), GuardError)

        builder.tell(EventKind.REBUILD_ASKED, full=True)
        builder.tell(EventKind.TAGGED, 2, name="harvest")

        while "harvest" not in builder.page(watch_page(builder, 2)):
            builder.next()
        assert builder.failures.qsize() < 3  # who asks for a look is not heard again and again


def test_a_full_disk_ends_no_watch_and_what_waited_is_shown_when_there_is_room(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as builder:
        assert builder.watch is not None
        ledger = builder.watch.engine.ledger._connection  # noqa: SLF001 (as a full disk would)
        ledger.execute("PRAGMA max_page_count = 1")  # no page more than there are
        for number in range(40):
            builder.tell(EventKind.TAGGED, 1 + number % 5, name=f"a long name of a tag {number}")
        assert isinstance(builder.failures.get(timeout=LONG_S), OSError)
        ledger.execute("PRAGMA max_page_count = 1000000")

        while "of a tag 39" not in builder.page(watch_page(builder, 5)):
            builder.next()


def test_an_edited_template_is_seen_at_once_and_a_wrong_one_leaves_all_as_it_was(
    tmp_path: Path,
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    with running(tmp_path, templates=own) as builder:
        before = tree(builder.settings.out)
        (own / "404.html").write_text("gone {{ nothing.at_all }}", encoding="utf-8")
        assert "404.html, line 1" in str(builder.failures.get(timeout=LONG_S))
        assert tree(builder.settings.out) == before

        (own / "404.html").write_text("gone away", encoding="utf-8")

        assert builder.next().written == 1
        assert builder.page("404.html") == "gone away"


def test_changed_settings_end_the_watch(tmp_path: Path) -> None:
    with running(tmp_path) as builder:
        (tmp_path / "reelshelf.toml").write_text('title = "Other"', encoding="utf-8")

        assert builder.receipts.get(timeout=LONG_S) is None
        assert builder.watch is not None
        assert builder.watch.outdated


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    own = tmp_path / "own"
    own.mkdir()
    with Engine(trial.settings(tmp_path, templates=own), TEMPLATES) as engine:
        trial.fill(engine.catalogue, 9)
        watch = (TEMPLATES / "watch.html").read_text(encoding="utf-8")
        wrong = (
            "{% for tag in tags %}{% if tag.name == 'odd' %}{{ no.such }}{% endif %}{% endfor %}"
        )
        (own / "watch.html").write_text(watch.replace("<h1>", wrong + "<h1>"), encoding="utf-8")
        engine.refresh(trial.NOW)
        yield engine


def test_a_page_that_fails_keeps_its_old_bytes_is_told_and_tried_again(
    engine: Engine, tmp_path: Path
) -> None:
    before = tree(tmp_path / "out")
    event = Event("e1", EventKind.TAGGED, trial.NOW, "test", VideoId(4), {"name": "odd"})
    engine.catalogue.append([event])

    receipt = engine.refresh(trial.NOW + 1)

    after = tree(tmp_path / "out")
    (page,) = receipt.failures
    assert receipt.failed == 1
    assert "no" in receipt.failures[page]
    assert after[page] == before[page]
    assert "odd" in after["tags.html"].decode()  # all others are as they should be

    (tmp_path / "own" / "watch.html").unlink()
    receipt = engine.refresh(trial.NOW + 2)

    assert not receipt.failed
    assert tree(tmp_path / "out") == full_render(engine, tmp_path / "full")


def test_a_file_that_cannot_be_written_is_told_and_tried_again_at_the_next_look(
    engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "out" / "best.html").unlink()
    (tmp_path / "out" / "best.html" / "in the way").mkdir(parents=True)
    event = Event("e1", EventKind.RATED, trial.NOW, "test", VideoId(4), {"stars": 5})
    engine.catalogue.append([event])

    receipt = engine.refresh(trial.NOW + 1)

    assert list(receipt.failures) == ["best.html"]
    assert "best.html" in receipt.failures["best.html"]

    (tmp_path / "out" / "best.html" / "in the way").rmdir()
    (tmp_path / "out" / "best.html").rmdir()
    receipt = engine.refresh(trial.NOW + 2, lambda *_, **__: None)

    assert not receipt.failed
    assert tree(tmp_path / "out") == full_render(engine, tmp_path / "full")


def test_tags_of_folders_follow_their_setting_and_those_of_people_stay(tmp_path: Path) -> None:
    file = tmp_path / "library" / "Norway" / "fjord.mp4"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")

    def tags(number: int, *, folder_tags: bool) -> tuple[str, ...]:
        settings = trial.settings(tmp_path, folder_tags=folder_tags, settle_s=0)
        with Engine(settings, TEMPLATES) as engine:
            engine.refresh(trial.NOW + number, LibraryScan(settings, DryRunWorkers(), lambda: 2e9))
            if not number:
                value = {"name": "mine"}
                event = Event("e", EventKind.TAGGED, trial.NOW, "test", VideoId(1), value)
                engine.catalogue.append([event])
                engine.refresh(trial.NOW + 1)
            assert tree(tmp_path / "out") == full_render(engine, tmp_path / f"full{number}")
            (video,) = engine.catalogue.shown()
            return video.tags

    assert tags(0, folder_tags=True) == ("mine", "norway")
    assert tags(2, folder_tags=False) == ("mine",)
    assert tags(3, folder_tags=True) == ("mine", "norway")


def test_a_page_that_failed_is_whole_again_when_another_video_on_it_changes(
    engine: Engine, tmp_path: Path
) -> None:
    page = tmp_path / "out" / "all.html"
    former = page.read_bytes()
    page.unlink()
    (page / "in the way").mkdir(parents=True)
    for number, video in enumerate((4, 5)):
        event = Event(f"e{video}", EventKind.RATED, trial.NOW, "test", VideoId(video), {"stars": 5})
        engine.catalogue.append([event])
        failures = engine.refresh(trial.NOW + number).failures
        assert list(failures) == ([] if number else ["all.html"])
        if not number:
            (page / "in the way").rmdir()
            page.rmdir()
            page.write_bytes(former)

    assert tree(tmp_path / "out") == full_render(engine, tmp_path / "full")


@pytest.mark.parametrize("number", [1, 5, 40])
def test_what_is_recorded_while_all_pages_are_rendered_is_shown_by_the_next_refresh(
    tmp_path: Path, number: int
) -> None:
    class Interrupted(Output):
        left = number

        def write(self, path: OutPath, content: bytes, **more: Any) -> None:  # noqa: ANN401
            super().write(path, content, **more)
            self.left -= 1
            if not self.left:
                for video in (3, 60):
                    event = Event(
                        f"e{video}", EventKind.RATED, 1, "t", VideoId(video), {"stars": 5}
                    )
                    other.append([event])

    settings = trial.settings(tmp_path)
    with (
        Engine(settings, TEMPLATES) as engine,
        Catalogue(settings.state / "catalogue.db") as other,
    ):
        trial.fill(engine.catalogue, 70)
        engine.refresh(trial.NOW)
        for page in (tmp_path / "out").rglob("*.html"):
            page.write_bytes(b"lost")  # so that a full build writes each
        room, engine.output = engine.output, Interrupted(tmp_path / "out")

        engine.refresh(trial.NOW + 1, full=True)
        engine.output = room
        engine.refresh(trial.NOW + 2)

        assert tree(tmp_path / "out") == full_render(engine, tmp_path / "full")


class Slow(DryRunWorkers):
    """Workers that take their time."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    @override
    def answer(self, requests: Iterable[ProbeRequest]) -> Iterator[ProbeAnswer]:
        asked = list(requests)
        if asked:
            self.begun.set()
            assert self.go_on.wait(LONG_S)
        yield from super().answer(asked)


def refused(file: Path) -> dict[str, object]:
    stat = file.stat()
    return {
        "root": "", "path": file.name, "size_bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns,
        "stage": "probe", "reason": "is no video",
    }  # fmt: skip


def test_a_wish_that_comes_while_a_look_is_under_way_asks_for_the_next(tmp_path: Path) -> None:
    other = tmp_path / "library" / "other.mp4"
    other.parent.mkdir()
    other.write_bytes(b"x")
    with Catalogue(tmp_path / "state/catalogue.db") as catalogue:
        event = Event("refused", EventKind.FILE_REFUSED, trial.NOW, "test", None, refused(other))
        catalogue.append([event])
    with running(tmp_path, settle_s=0) as builder:
        assert builder.watch is not None
        builder.watch.workers = slow = Slow()
        (tmp_path / "library" / "new.mp4").write_bytes(b"x")
        assert slow.begun.wait(LONG_S)

        builder.tell(EventKind.FILE_CLEARED, root="", path="other.mp4")
        builder.tell(EventKind.REBUILD_ASKED, full=False)
        slow.go_on.set()

        first, second = builder.next(), builder.receipts.get(timeout=LONG_S)
        assert second is not None
        assert (first.found, second.found) == (1, 1)
