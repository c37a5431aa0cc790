"""The catalogue: an event is there once, with what it changed, or not at all."""

import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.core.errors import SettingsError
from generator.core.model import Happening, Kind, Place, Problem, VideoId


def event(key: str, kind: Kind, video: int = 1, **value: object) -> Happening:
    return Happening(key, kind, trial.NOW, "test", VideoId(video), value)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    made = Catalogue(tmp_path / "catalogue.db")
    trial.fill(made, 3, seed=1)
    return made


deeds = st.sampled_from(
    [
        event("a", Kind.RATED, stars=5),
        event("b", Kind.RATED, stars=2),
        event("c", Kind.VIEWED),
        event("d", Kind.VIEWED, count=7),
        event("e", Kind.FAVORITED),
        event("f", Kind.UNFAVORITED),
        event("g", Kind.TAGGED, name="x"),
        event("h", Kind.UNTAGGED, name="x"),
        event("i", Kind.UNRATED),
    ]
)


@given(told=st.lists(deeds, max_size=12))
def test_an_event_told_again_changes_nothing(told: list[Happening]) -> None:
    once, again = (Catalogue(Path(":memory:")) for _ in range(2))
    for one in (once, again):
        trial.fill(one, 2, seed=1)
    first_time = {one.id: one for one in reversed(told)}
    in_order = sorted(first_time.values(), key=told.index)

    once.append(in_order)
    again.append(told)

    assert list(once.shown()) == list(again.shown())
    assert once.counts() == again.counts()
    for one in (once, again):
        one.close()


def test_an_id_that_is_known_answers_with_the_event_of_before(catalogue: Catalogue) -> None:
    (first,) = catalogue.append([event("same", Kind.VIEWED)])
    (second,) = catalogue.append([event("same", Kind.VIEWED)])

    assert (first.new, second.new) == (True, False)
    assert first.seq == second.seq
    catalogue.close()


def test_events_that_come_together_stand_together_or_not_at_all(catalogue: Catalogue) -> None:
    before, last = list(catalogue.shown()), catalogue.last_event()

    with pytest.raises(KeyError):
        catalogue.append([event("ok", Kind.RATED, stars=1), event("bad", Kind.RATED)])

    assert list(catalogue.shown()) == before
    assert catalogue.last_event() == last
    catalogue.close()


def test_a_tag_that_a_user_removed_stays_removed(catalogue: Catalogue) -> None:
    file: dict[str, object] = {
        "root": "", "path": "Norway/x.mp4", "title": "x", "size_bytes": 1, "mtime_ns": 1,
        "fingerprint": "f",
    }  # fmt: skip
    catalogue.append([event("1", Kind.VIDEO_MOVED, folder_tags=["norway", "old"], **file)])
    catalogue.append([event("2", Kind.UNTAGGED, name="norway"), event("3", Kind.TAGGED, name="me")])

    catalogue.append([event("4", Kind.VIDEO_MOVED, folder_tags=["norway", "new"], **file)])

    (video,) = catalogue.shown([VideoId(1)])
    given_by_trial = {name for name in video.tags if name not in {"norway", "old", "new", "me"}}
    assert set(video.tags) - given_by_trial == {"new", "me"}
    catalogue.close()


def test_a_path_that_is_not_utf8_is_kept_to_the_byte(catalogue: Catalogue) -> None:
    path = os.fsdecode(b"x/caf\xe9.mp4")
    value: dict[str, object] = {
        "root": "", "path": path, "size_bytes": 1, "mtime_ns": 2, "stage": "probe", "reason": "r",
    }  # fmt: skip

    catalogue.append([Happening("p", Kind.FILE_REFUSED, trial.NOW, "test", None, value)])

    assert catalogue.problems() == [Problem(Place("", path), 1, 2, "probe", "r", trial.NOW)]
    catalogue.close()


def test_two_connections_may_write_at_once(tmp_path: Path) -> None:
    one, other = (Catalogue(tmp_path / "catalogue.db") for _ in range(2))
    trial.fill(one, 1, seed=3)
    (video,) = one.shown()

    for number in range(50):
        (one if number % 2 else other).append([event(f"v{number}", Kind.VIEWED)])

    (after,) = other.shown()
    assert after.views == video.views + 50
    one.close()
    other.close()


def test_a_file_that_is_no_catalogue_is_left_alone_and_told(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.db"
    file.write_bytes(b"something else entirely, and long enough to be read as a page" * 40)

    with pytest.raises(SettingsError, match="cannot open the catalogue"):
        Catalogue(file)

    assert file.read_bytes().startswith(b"something else")


def test_a_catalogue_of_a_newer_reelshelf_is_refused(tmp_path: Path, catalogue: Catalogue) -> None:
    catalogue.close()
    with sqlite3.connect(tmp_path / "catalogue.db") as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('catalogue', 'from_the_future', '2030-01-01')"
        )
    connection.close()

    with pytest.raises(SettingsError, match="newer reelshelf"):
        Catalogue(tmp_path / "catalogue.db")


def test_a_copy_for_a_dry_run_leaves_the_catalogue_as_it_is(catalogue: Catalogue) -> None:
    twin = catalogue.copy()

    twin.append([event("x", Kind.RATED, stars=1)])

    assert twin.last_event() == catalogue.last_event() + 1
    twin.close()
    catalogue.close()
