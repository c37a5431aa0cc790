"""`import`: twice, before or after the build, interrupted, undone, and there and back."""

import json
import sqlite3
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from random import Random
from typing import Any

import pytest
from commanded import command
from effort import examples
from hypothesis import given, settings
from opinions import catalogue_with, opinions, people_state

from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.adapters.catalogue.importing import ImportOutcome, ImportTarget
from generator.core.library.import_entries import ImportEntry, ImportField
from generator.core.model import Event, EventKind, VideoId

NOW = trial.NOW + 1000
TARGET = ImportTarget({"": "/srv/films"}, {}, NOW)
RATINGS = {"one.mp4": 5, "sub/two.mp4": "4", "late.mp4": 3, "./one.mp4": 2, "odd.mp4": "five"}
VIEWS = {"one.mp4": 7, "late.mp4": 9}
TAGS = {"one.mp4": ["#Chess", "#chess", 1], "late.mp4": ["#x"]}
FAVORITES = {"favorites": ["two.mp4", "late.mp4", "../etc/passwd"]}


def video(number: int, path: str) -> Event:
    event = trial.found(number, Random(number))
    return Event(
        f"found-{number}", event.kind, event.at, "scan", None, {**event.value, "path": path}
    )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """Yield the folder of a site with two videos, and what an old server had in `old`."""
    (tmp_path / "reelshelf.toml").write_text('library = ["films"]\n', encoding="utf-8")
    for folder in ("films", "state", "old"):
        (tmp_path / folder).mkdir()
    with Catalogue(tmp_path / "state/catalogue.db") as catalogue:
        catalogue.append([video(1, "one.mp4"), video(2, "sub/two.mp4")])
    for name, value in (
        ("ratings", RATINGS), ("views", VIEWS), ("tags", TAGS), ("favorites", FAVORITES),
    ):  # fmt: skip
        (tmp_path / f"old/{name}.json").write_text(json.dumps(value), encoding="utf-8")
    return tmp_path


def answer(site: Path, *arguments: str) -> Any:  # noqa: ANN401 (JSON)
    done = command(site, *arguments, "--json")
    assert done.code == 0, done.text
    return json.loads(done.out)


def exported(site: Path) -> dict[str, Any]:
    done = command(site, "export")
    assert done.code == 0, done.text
    return {entry["path"]: entry for entry in json.loads(done.out)["videos"]}


def shown(entry: dict[str, Any]) -> tuple[object, ...]:
    return entry["stars"], entry["favorite"], entry["views"], entry["tags"]


def add_late(site: Path) -> None:
    with Catalogue(site / "state/catalogue.db") as catalogue:
        catalogue.append([video(3, "late.mp4")])


def test_what_can_be_told_is_imported_and_the_rest_is_listed(site: Path) -> None:
    done = answer(site, "import", "old")

    assert done["imported"] == {"favorite": 1, "stars": 2, "tags": 1, "views": 1}
    assert {(row["key"], row["field"]) for row in done["waiting"]} == {
        ("late.mp4", field) for field in ("stars", "views", "tags", "favorite")
    }
    assert {(row["file"], row["key"]) for row in done["rejected"]} == {
        ("ratings.json", "./one.mp4"), ("ratings.json", "odd.mp4"), ("tags.json", "one.mp4"),
        ("favorites.json", "../etc/passwd"),
    }  # fmt: skip
    assert all(row["reason"] for row in done["rejected"])
    assert shown(exported(site)["one.mp4"]) == (5, False, 7, ["chess"])
    assert shown(exported(site)["sub/two.mp4"]) == (4, True, 0, [])


def test_a_second_import_changes_nothing(site: Path) -> None:
    answer(site, "import", "old")
    with Catalogue(site / "state/catalogue.db") as catalogue:
        last = catalogue.last_event()
    again = answer(site, "import", "old")
    with Catalogue(site / "state/catalogue.db") as catalogue:
        assert catalogue.last_event() == last
    assert (again["imported"], again["waiting"], again["batch"]) == ({}, [], None)
    assert again["unchanged"] == 9


def test_what_waits_counts_when_its_file_comes_and_is_undone_with_the_rest(site: Path) -> None:
    before = exported(site)
    answer(site, "import", "old")
    add_late(site)
    assert shown(exported(site)["late.mp4"]) == (3, True, 9, ["x"])
    assert answer(site, "import", "old")["imported"] == {}
    answer(site, "undo")
    after = exported(site)
    assert shown(after.pop("late.mp4")) == (None, False, 0, [])
    assert after == before


def test_an_undone_import_waits_for_nothing(site: Path) -> None:
    answer(site, "import", "old")
    answer(site, "undo")
    add_late(site)
    assert shown(exported(site)["late.mp4"]) == (None, False, 0, [])
    answer(site, "redo")


def test_a_dry_run_tells_the_same_and_writes_nothing(site: Path) -> None:
    with Catalogue(site / "state/catalogue.db") as catalogue:
        last = catalogue.last_event()
    dry = answer(site, "import", "old", "--dry-run")
    with Catalogue(site / "state/catalogue.db") as catalogue:
        assert catalogue.last_event() == last
    assert not list(site.glob("state/backups/*"))
    done = answer(site, "import", "old")
    assert {**dry, "backup": None, "dry_run": None} == {**done, "backup": None, "dry_run": None}
    assert Path(done["backup"]).is_file()


def test_a_later_rating_given_here_stays(site: Path) -> None:
    with Catalogue(site / "state/catalogue.db") as catalogue:
        later = Event("later", EventKind.RATED, 4_000_000_000, "owner", VideoId(1), {"stars": 1})
        catalogue.append([later])
    done = answer(site, "import", "old")
    assert [(row["key"], row["value"]) for row in done["overruled"]] == [("one.mp4", 5)]
    assert exported(site)["one.mp4"]["stars"] == 1


@pytest.mark.parametrize("order", list(permutations(["ratings", "views", "favorites"])))
def test_the_order_of_imports_does_not_matter(site: Path, order: tuple[str, ...]) -> None:
    for number, name in enumerate(order):
        if number == 1:
            add_late(site)
        answer(site, "import", f"old/{name}.json")
    assert [shown(entry) for entry in exported(site).values()] == [
        (3, True, 9, []), (5, False, 7, []), (4, True, 0, []),
    ]  # fmt: skip


def test_more_views_of_the_same_server_add_only_what_is_more(site: Path) -> None:
    answer(site, "import", "old/views.json")
    with Catalogue(site / "state/catalogue.db") as catalogue:
        catalogue.append([Event("here", EventKind.VIEWED, trial.NOW, "owner", VideoId(1))])
    (site / "old/views.json").write_text(json.dumps({"one.mp4": 10}), encoding="utf-8")
    answer(site, "import", "old/views.json")
    assert exported(site)["one.mp4"]["views"] == 11


def test_an_import_that_is_killed_is_completed_by_the_next() -> None:
    entries = [ImportEntry("f", f"film {n}.mp4", ImportField.STARS, 4) for n in range(30)]
    with Catalogue(Path(":memory:")) as catalogue, Catalogue(Path(":memory:")) as other:
        for one in (catalogue, other):
            one.append([video(n + 1, f"film {n}.mp4") for n in range(20)])
        connection: sqlite3.Connection = catalogue._connection  # noqa: SLF001
        connection.set_progress_handler(_after(900), 1)
        with pytest.raises(sqlite3.OperationalError):
            catalogue.import_entries(entries, TARGET)
        connection.set_progress_handler(None, 1)
        catalogue.import_entries(entries, TARGET)
        other.import_entries(entries, TARGET)
        assert people_state(catalogue) == people_state(other)
        assert list(catalogue.waiting_imports()) == list(other.waiting_imports())


def _after(steps: int) -> Any:  # noqa: ANN401 (a handler of SQLite)
    count = iter(range(steps))
    return lambda: next(count, None) is None


@settings(max_examples=examples(15, thorough=100))
@given(events=opinions())
def test_an_export_there_and_back_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event]
) -> None:
    folder = tmp_path_factory.mktemp("there")
    from generator.adapters.import_sources.find_sources import read_sources  # noqa: PLC0415

    with catalogue_with(events) as catalogue, catalogue_with([]) as fresh:
        content = _export_of(catalogue)
        (folder / "mine.json").write_bytes(content)
        outcome: ImportOutcome = fresh.import_entries(
            read_sources(folder / "mine.json", {"": folder}).entries, TARGET
        )
        assert outcome.rejected == []
        assert _export_of(fresh) == content
        again = catalogue.import_entries(
            read_sources(folder / "mine.json", {"": folder}).entries, TARGET
        )
        assert again.imported == []
        assert _export_of(catalogue) == content


def _export_of(catalogue: Catalogue) -> bytes:
    from generator.core.library.export_format import json_export, waiting_row  # noqa: PLC0415

    with catalogue.snapshot() as reader:
        return b"".join(json_export(reader.videos(), map(waiting_row, reader.waiting())))
