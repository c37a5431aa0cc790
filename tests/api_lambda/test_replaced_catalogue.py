"""The catalogue is taken away, replaced or restored while the API runs: no promise is in vain."""

import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest
from asking import Asker, fill, until

from generator.adapters.catalogue import Catalogue

Make = Callable[..., object]
Deed = Callable[[Path, Path], None]


@pytest.fixture
def backup(state: Path, tmp_path: Path) -> Path:
    """Return a backup of the catalogue as it is before anything is done."""
    file = tmp_path / "backup.db"
    with closing(sqlite3.connect(state / "catalogue.db")) as catalogue:
        catalogue.execute("VACUUM INTO ?", (str(file),))
    return file


def remove(state: Path) -> None:
    for name in ("catalogue.db", "catalogue.db-wal", "catalogue.db-shm"):
        (state / name).unlink(missing_ok=True)


def as_the_page_says(state: Path, backup: Path) -> None:
    remove(state)
    shutil.copy(backup, state / "catalogue.db")


def whole_folder(state: Path, backup: Path) -> None:
    shutil.rmtree(state)
    state.mkdir()
    shutil.copy(backup, state / "catalogue.db")


def renamed_over(state: Path, backup: Path) -> None:
    for name in ("catalogue.db-wal", "catalogue.db-shm"):
        (state / name).unlink()
    shutil.copy(backup, state / "beside.db")
    (state / "beside.db").rename(state / "catalogue.db")


def through_sqlite(state: Path, backup: Path) -> None:
    with (
        closing(sqlite3.connect(backup)) as source,
        closing(sqlite3.connect(state / "catalogue.db")) as target,
    ):
        source.backup(target)


def stars(state: Path) -> dict[int, int]:
    with closing(sqlite3.connect(state / "catalogue.db")) as catalogue:
        return dict(catalogue.execute("SELECT video, stars FROM rating"))


WAYS = [as_the_page_says, whole_folder, renamed_over, through_sqlite]


@pytest.mark.parametrize("restore", WAYS)
def test_what_is_answered_is_in_the_catalogue_that_lies_at_its_path(
    restore: Deed, state: Path, backup: Path, owner: Asker, caplog: pytest.LogCaptureFixture
) -> None:
    before = stars(state)
    owner("PUT", "/api/videos/3/rating", {"stars": 1})
    owner("PUT", "/api/videos/4/rating", {"stars": 1})

    restore(state, backup)
    responses = [owner("PUT", f"/api/videos/{n}/rating", {"stars": 5}) for n in (5, 6)]
    shown = owner("GET", "/api/videos/3").json["stars"]

    assert [one.status for one in responses] == [200, 200]
    assert stars(state) == {**before, 5: 5, 6: 5}
    assert shown == before.get(3)
    assert "is now in use" in caplog.text


def test_while_there_is_no_catalogue_everything_is_refused_and_none_is_made(
    state: Path, backup: Path, owner: Asker, caplog: pytest.LogCaptureFixture
) -> None:
    owner("PUT", "/api/videos/3/rating", {"stars": 1})
    asked = [
        ("PUT", "/api/videos/3/rating", {"stars": 2}),
        ("POST", "/api/videos/3/views", None),
        ("GET", "/api/videos/3", None),
        ("GET", "/api/changes?since=0", None),
        ("GET", "/api/health", None),
        ("POST", "/api/session", {"token": "rs_x"}),
    ]

    shutil.rmtree(state)
    gone = [owner(*one) for one in asked * 3]
    made = state.exists()
    state.mkdir()
    (state / "catalogue.db").touch()
    empty = [owner(*one) for one in asked]
    size = (state / "catalogue.db").stat().st_size
    as_the_page_says(state, backup)
    back = [owner(*one).status for one in asked[:-1]]

    assert {one.status for one in gone + empty} == {503}
    assert (made, size) == (False, 0)
    assert all(int(one.header("retry-after") or 0) > 0 for one in gone)
    assert str(state) not in "".join(one.body.decode() for one in gone + empty)
    assert back == [200] * 5
    assert [r.message.count("is gone") for r in caplog.records if "no catalogue" in r.message] == [
        1,
        0,
    ]


def test_a_catalogue_that_is_moved_away_and_back_goes_on(state: Path, owner: Asker) -> None:
    owner("PUT", "/api/videos/3/rating", {"stars": 1})

    state.rename(state.with_name("away"))
    away = owner("PUT", "/api/videos/4/rating", {"stars": 2}, key="a-key-of-mine")
    state.with_name("away").rename(state)
    back = owner("PUT", "/api/videos/4/rating", {"stars": 2}, key="a-key-of-mine")

    assert (away.status, back.status) == (503, 200)
    assert (stars(state)[3], stars(state)[4]) == (1, 2)


def test_a_log_that_was_left_beside_another_file_is_not_written_into_it(
    state: Path, backup: Path, owner: Asker, caplog: pytest.LogCaptureFixture
) -> None:
    """rsync and editors put another file in place, and leave SQLite's log of the former beside."""
    owner("PUT", "/api/videos/3/rating", {"stars": 1})
    shutil.copy(backup, state / "beside.db")
    (state / "beside.db").rename(state / "catalogue.db")

    refused = owner("PUT", "/api/videos/4/rating", {"stars": 2})
    content = (state / "catalogue.db").read_bytes()
    remove(state)
    shutil.copy(backup, state / "catalogue.db")
    taken = owner("PUT", "/api/videos/4/rating", {"stars": 2})

    assert (refused.status, taken.status) == (503, 200)
    assert content == backup.read_bytes()
    assert "the write-ahead log of a former catalogue" in caplog.text
    assert stars(state)[4] == 2


def test_a_first_catalogue_is_made_and_its_loss_is_noticed(tmp_path: Path, make: Make) -> None:
    app = make(tmp_path / "new")
    owner = Asker(app)  # type: ignore[arg-type]

    first = owner("GET", "/api/health").status
    remove(tmp_path / "new")

    assert (first, owner("GET", "/api/health").status) == (200, 503)


@pytest.fixture
def make() -> Iterator[Make]:
    """Return a function that makes an app over any state folder."""
    from api_lambda.app import ApiConfig, create_app  # noqa: PLC0415 (only here)

    made = []

    def app(state: Path) -> object:
        made.append(create_app(ApiConfig(state, durable=False)))
        return made[-1]

    yield app
    for one in made:
        one.state.close()


def test_a_view_that_left_the_log_is_no_earlier_state(
    state: Path, owner: Asker, caplog: pytest.LogCaptureFixture
) -> None:
    owner("POST", "/api/videos/3/views")
    with closing(sqlite3.connect(state / "catalogue.db", isolation_level=None)) as catalogue:
        catalogue.execute("DELETE FROM event WHERE seq = (SELECT max(seq) FROM event)")

    told = owner("PUT", "/api/videos/3/rating", {"stars": 2})

    assert told.status == 200
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


def test_what_was_acknowledged_after_the_last_of_many_restores_is_there(
    state: Path, backup: Path, owner: Asker
) -> None:
    """Writes go on while the file is replaced; what the last catalogue lacks was never promised."""
    stop, acknowledged = Event(), []

    def write() -> None:
        for n in range(100_000):
            if stop.is_set():
                return
            answer = owner("PUT", f"/api/videos/{n % 19 + 1}/rating", {"stars": n % 5 + 1})
            if answer.status == 200:
                acknowledged.append(answer.json["event"])

    writer = Thread(target=write)
    writer.start()
    before = 0
    for restore in WAYS * 3:
        reached = len(acknowledged) + 5
        until(lambda: len(acknowledged) >= reached)  # noqa: B023 (it is asked before the next round)
        restore(state, backup)
        before = len(acknowledged) + 1  # one may be under way
    reached = len(acknowledged) + 20
    until(lambda: len(acknowledged) >= reached)
    stop.set()
    writer.join()

    with Catalogue(state / "catalogue.db") as catalogue:
        lost = [key for key in acknowledged[before:] if catalogue.event_by_id(key) is None]
    assert lost == []


@pytest.mark.parametrize("is_carried_home", [False, True])
@pytest.mark.parametrize("kind", ["packed", "cold"])
def test_a_copy_over_the_open_file_promises_nothing_that_is_not_to_be_found(
    kind: str, state: Path, backup: Path, tmp_path: Path, owner: Asker, *, is_carried_home: bool
) -> None:
    """No backup is to be restored so while something runs; whoever does is told no lies."""
    fill(tmp_path / "other")
    source = backup if kind == "packed" else tmp_path / "other" / "catalogue.db"
    for n in range(30):
        owner("POST", f"/api/videos/{n % 19 + 1}/views", key=f"a-view-{n:04}")
    if is_carried_home:
        with closing(sqlite3.connect(state / "catalogue.db")) as catalogue:
            catalogue.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    shutil.copyfile(source, state / "catalogue.db")
    responses = [owner("PUT", f"/api/videos/{n}/rating", {"stars": 5}) for n in (5, 6)]

    promised = [one.json["event"] for one in responses if one.status == 200]
    assert {one.status for one in responses} <= {200, 503}
    if promised:
        with Catalogue(state / "catalogue.db") as catalogue:
            assert [key for key in promised if catalogue.event_by_id(key) is None] == []
