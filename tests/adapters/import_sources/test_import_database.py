"""The database of a video server."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from generator.adapters.import_sources.find_sources import ImportSources, read_sources
from generator.core.errors import SettingsError
from generator.core.library.import_entries import ImportEntry, ImportField

SCHEMA = """
CREATE TABLE videos (filename TEXT PRIMARY KEY, added_date REAL);
CREATE TABLE Ratings (Filename TEXT PRIMARY KEY, rating INTEGER, updated_at TIMESTAMP);
CREATE TABLE views (filename TEXT PRIMARY KEY, view_count INTEGER, last_viewed TIMESTAMP);
CREATE TABLE video_tags (id INTEGER PRIMARY KEY, filename TEXT, tag TEXT, created_at TIMESTAMP);
CREATE TABLE favorites (filename TEXT PRIMARY KEY, created_at TIMESTAMP);
"""
NAME = "video_metadata.db"


@contextmanager
def database(folder: Path, schema: str = SCHEMA) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(folder / NAME)) as connection:
        connection.executescript(schema)
        yield connection
        connection.commit()


def state_of(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def lines(sources: ImportSources) -> list[tuple[str, str]]:
    return [(line.key, line.reason) for line in sources.rejected]


def test_all_tables_are_read_with_their_times(tmp_path: Path) -> None:
    with database(tmp_path) as connection:
        connection.executescript(
            """
            INSERT INTO videos VALUES ('a.mp4', 1714557600.75), ('b.mp4', NULL), ('c.mp4', -5);
            INSERT INTO ratings VALUES ('a.mp4', 4, '2024-05-01 10:00:00');
            INSERT INTO views VALUES ('a.mp4', 7, 1714557600), ('b.mp4', 0, NULL);
            INSERT INTO video_tags (filename, tag) VALUES
                ('a.mp4', '#Trip'), ('b.mp4', '#x'), ('a.mp4', 'trip'), ('a.mp4', '#two words');
            INSERT INTO favorites VALUES ('a.mp4', '2024-05-01T12:00:00+02:00');
            """
        )

    sources = read_sources(tmp_path / NAME, {})

    assert sources.entries == (
        ImportEntry(NAME, "a.mp4", ImportField.ADDED, 1714557600),
        ImportEntry(NAME, "a.mp4", ImportField.STARS, 4, 1714557600),
        ImportEntry(NAME, "a.mp4", ImportField.VIEWS, 7, 1714557600),
        ImportEntry(NAME, "a.mp4", ImportField.TAGS, ("trip", "two words")),
        ImportEntry(NAME, "b.mp4", ImportField.TAGS, ("x",)),
        ImportEntry(NAME, "a.mp4", ImportField.FAVORITE, value=True, at=1714557600),
    )
    assert lines(sources) == [("c.mp4", "-5.0 is no date"), ("b.mp4", "0 is no views")]


def test_columns_may_hold_anything(tmp_path: Path) -> None:
    with database(tmp_path) as connection:
        connection.executescript(
            """
            INSERT INTO ratings VALUES ('a.mp4', '4', 'yesterday'), ('b.mp4', 4.5, x'00'),
                ('c.mp4', x'04', 1), (NULL, 4, 1), (x'ff', 4, 1), (7, 4, 1), ('d.mp4', NULL, 1),
                (CAST(x'e92e6d7034' AS TEXT), 3, NULL);
            INSERT INTO video_tags (filename, tag) VALUES ('a.mp4', 5), ('a.mp4', x'41');
            """
        )

    sources = read_sources(tmp_path, {})

    assert [(entry.key, entry.value) for entry in sources.entries] == [
        ("a.mp4", 4),
        ("\udce9.mp4", 3),
        ("a.mp4", ("5",)),
    ]
    assert lines(sources) == [
        ("b.mp4", "4.5 is no whole number of stars"),
        ("c.mp4", "binary is no number of stars"),
        ("", "null is no file name"),
        ("", "binary is no file name"),
        ("7", "is no video, by its name"),
        ("d.mp4", "no rating"),
        ("a.mp4", "binary is no tag"),
    ]


def test_the_database_counts_more_than_the_files_it_took_over(tmp_path: Path) -> None:
    (tmp_path / "ratings.json").write_text('{"a.mp4": 4, "b.mp4": 2, "c.mp4": 1}', "utf-8")
    (tmp_path / "tags.json").write_text('{"a.mp4": ["x"], "b.mp4": ["y"]}', "utf-8")
    with database(tmp_path) as connection:
        connection.executescript(
            """
            INSERT INTO ratings VALUES ('a.mp4', 5, NULL), ('b.mp4', 2, NULL);
            INSERT INTO video_tags (filename, tag) VALUES ('a.mp4', 'z'), ('b.mp4', 'y');
            """
        )

    sources = read_sources(tmp_path, {})

    assert {(e.source, e.key, str(e.field)): e.value for e in sources.entries} == {
        (NAME, "a.mp4", "stars"): 5,
        (NAME, "b.mp4", "stars"): 2,
        ("ratings.json", "c.mp4", "stars"): 1,
        (NAME, "a.mp4", "tags"): ("z",),
        (NAME, "b.mp4", "tags"): ("y",),
    }
    assert lines(sources) == [
        ("a.mp4", "stars 4: video_metadata.db has 5"),
        ("a.mp4", "tags x: video_metadata.db has z"),
    ]


def test_a_write_ahead_log_is_read_and_nothing_beside_the_database_changes(tmp_path: Path) -> None:
    with database(tmp_path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT INTO ratings VALUES ('a.mp4', 4, NULL)")
        connection.commit()
        (tmp_path / f"{NAME}-shm").unlink()  # as on a copy of the folder
        before = state_of(tmp_path)

        sources = read_sources(tmp_path, {})

        assert [(entry.key, entry.value) for entry in sources.entries] == [("a.mp4", 4)]
        assert state_of(tmp_path) == before
        assert before.keys() == {NAME, f"{NAME}-wal"}


def test_a_database_that_was_closed_in_wal_mode_gets_no_files_beside_it(tmp_path: Path) -> None:
    with database(tmp_path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT INTO ratings VALUES ('a.mp4', 4, NULL)")
    before = state_of(tmp_path)

    assert len(read_sources(tmp_path, {}).entries) == 1
    assert state_of(tmp_path) == before


def test_a_transaction_that_was_killed_is_rolled_back_in_a_copy(tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    (tmp_path / "killed").mkdir()
    with database(tmp_path / "live") as connection:
        connection.execute("INSERT INTO ratings VALUES ('a.mp4', 4, NULL)")
        connection.commit()
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("PRAGMA cache_spill = 1")
        connection.execute("UPDATE ratings SET rating = 1")
        connection.executemany(
            "INSERT INTO ratings VALUES (?, 1, NULL)", [(f"{n}.mp4",) for n in range(5000)]
        )
        for path in (tmp_path / "live").iterdir():
            (tmp_path / "killed" / path.name).write_bytes(path.read_bytes())
        connection.rollback()
    before = state_of(tmp_path / "killed")

    sources = read_sources(tmp_path / "killed", {})

    assert before.keys() == {NAME, f"{NAME}-journal"}
    assert [(entry.key, entry.value) for entry in sources.entries] == [("a.mp4", 4)]
    assert state_of(tmp_path / "killed") == before


def test_a_damaged_database_is_read_up_to_its_damage(tmp_path: Path) -> None:
    with database(tmp_path) as connection:
        connection.executemany(
            "INSERT INTO ratings VALUES (?, 3, NULL)", [(f"{n:05}.mp4",) for n in range(5000)]
        )
    content = bytearray((tmp_path / NAME).read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 8192] = bytes(8192)
    (tmp_path / NAME).write_bytes(content)

    sources = read_sources(tmp_path, {})

    assert 0 < len(sources.entries) < 5000
    assert {entry.value for entry in sources.entries} == {3}
    assert any("table ratings is damaged" in reason for _, reason in lines(sources))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is no SQLite database"),
        (b"encrypted" * 1000, "is no SQLite database"),
        (b"SQLite format 3\0" + b"\xff" * 5000, "is no readable SQLite database"),
    ],
)
def test_what_is_no_database_is_listed(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / NAME).write_bytes(content)

    ((key, listed),) = lines(read_sources(tmp_path, {}))

    assert key == ""
    assert listed.startswith(reason)


def test_views_in_a_database_are_not_executed(tmp_path: Path) -> None:
    endless = """
        CREATE TABLE favorites (filename TEXT);
        CREATE VIEW ratings AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
            SELECT i || '.mp4' AS filename, 5 AS rating FROM n;
        INSERT INTO favorites VALUES ('a.mp4');
    """
    with database(tmp_path, endless):
        pass

    assert [entry.field for entry in read_sources(tmp_path, {}).entries] == ["favorite"]


def test_other_databases_are_not_ours(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "catalogue.db")) as connection:
        connection.execute("CREATE TABLE views (video INTEGER PRIMARY KEY, count INTEGER)")
        connection.commit()

    with pytest.raises(SettingsError, match=r"it has catalogue\.db"):
        read_sources(tmp_path, {})
    sources = read_sources(tmp_path / "catalogue.db", {})

    assert sources.entries == ()
    assert "has none of the tables" in lines(sources)[0][1]


def test_a_database_with_another_name_is_recognized(tmp_path: Path) -> None:
    with database(tmp_path) as connection:
        connection.execute("INSERT INTO ratings VALUES ('a.mp4', 4, NULL)")
    (tmp_path / NAME).rename(tmp_path / "old copy.sqlite3")

    assert len(read_sources(tmp_path, {}).entries) == 1
