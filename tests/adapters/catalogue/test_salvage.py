"""Salvage: whatever page is damaged, all that is whole is there, and nothing else."""

import json
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle
from pathlib import Path

import pytest
from commanded import command

from benchmarks import trial
from generator.adapters.catalogue import (
    Catalogue,
    make_backup,
    restore_backup,
    salvage_catalogue,
)
from generator.adapters.catalogue.page_reader import read_pages
from generator.adapters.catalogue.salvage import salvage_rows
from generator.core.errors import SettingsError
from generator.core.model import Event, EventKind, Token, VideoId

NOW = trial.NOW + 100 * 86400
PAGE = 4096
VIDEOS = 12
Row = tuple[object, ...]


class Damaged:
    """A catalogue with all that a log may hold, and copies of it to be damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.whole = folder / "whole/catalogue.db"
        with Catalogue(self.whole, durable=False) as catalogue:
            trial.fill(catalogue, VIDEOS)
            long = {"names": [f"{'long ' * 300}{n}" for n in range(5)]}
            catalogue.append(
                [
                    Event("long", EventKind.TAGGED, trial.NOW, "owner", VideoId(1), long),
                    Event(
                        "merged", EventKind.VIDEO_MERGED, trial.NOW, "scan", VideoId(3), {"into": 4}
                    ),
                ]
            )
            backup = make_backup(self.whole, folder / "backups", keep=1, now=NOW)
            self.backup = backup.file
            catalogue.append(
                Event(f"old {n}", EventKind.VIEWED, trial.NOW, "visitor", VideoId(n % 8 + 4))
                for n in range(700)
            )
            while catalogue.compact(NOW, catalogue.last_event()):
                pass
            catalogue.append(
                Event(f"new {n}", EventKind.RATED, NOW, "owner", VideoId(n + 1), {"stars": 5})
                for n in range(VIDEOS)
            )
            catalogue.tokens.add(Token("t1", "owner", "0" * 64, NOW))
            catalogue.tokens.revoke("t1", NOW)
            self.views = self._views(catalogue)
        with closing(sqlite3.connect(self.whole)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            self.log = rows_of(connection)
        self.pages = self.whole.stat().st_size // PAGE

    def _views(self, catalogue: Catalogue) -> dict[int, int]:
        return {stats.id: stats.views for stats in catalogue.stats(map(VideoId, range(1, 99)))}

    def copy(self) -> Path:
        file = self.folder / "state/catalogue.db"
        shutil.rmtree(file.parent, ignore_errors=True)
        file.parent.mkdir()
        shutil.copyfile(self.whole, file)
        return file

    def damaged(self, page: int, kind: str, numbers: random.Random) -> Path:
        file = self.copy()
        with file.open("r+b") as opened:
            if kind == "cut":
                opened.truncate(max(page, 1) * PAGE)
            else:
                opened.seek(page * PAGE)
                opened.write(bytes(PAGE) if kind == "zeros" else numbers.randbytes(PAGE))
        return file


def rows_of(connection: sqlite3.Connection) -> dict[int, Row]:
    query = "SELECT seq, id, kind, video, value, at, source FROM event ORDER BY seq"
    return {row[0]: row for row in connection.execute(query)}


def log_of(file: Path) -> dict[int, Row]:
    with closing(sqlite3.connect(file)) as connection:
        return rows_of(connection)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Damaged:
    return Damaged(tmp_path_factory.mktemp("salvage"))


def whole_events(damaged: Damaged) -> Iterator[tuple[int, frozenset[int]]]:
    """Yield each event of the log with all pages that it is on."""
    for row in read_pages(damaged.whole).rows():
        if row.number in damaged.log and damaged.log[row.number][1] == row.values[1]:
            yield row.number, frozenset(row.pages)


def test_a_whole_file_is_read_as_sqlite_reads_it(damaged: Damaged) -> None:
    rows = salvage_rows(damaged.whole)

    assert sorted(rows.events) == sorted(damaged.log)
    with closing(sqlite3.connect(damaged.whole)) as connection:
        assert rows.facts == dict(connection.execute("SELECT * FROM fact"))
        days = connection.execute("SELECT video, day, count FROM views_by_day").fetchall()
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    assert rows.views_by_day == {(video, day): count for video, day, count in days}
    assert rows.tokens["t1"].revoked_at == NOW
    assert not rows.conflicts
    assert free, "no page was freed, so that nothing shows that they are left out"
    assert dict(whole_events(damaged)).keys() == damaged.log.keys()


def lost_pages(damaged: Damaged, page: int, kind: str) -> set[int]:
    return set(range(max(page, 1) + 1, damaged.pages + 1)) if kind == "cut" else {page + 1}


def test_damaged_at_any_page_what_is_whole_is_read_and_nothing_else(damaged: Damaged) -> None:
    numbers, places = random.Random(1), dict(whole_events(damaged))
    for page in range(damaged.pages):
        for kind in ("zeros", "random", "cut"):
            lost = lost_pages(damaged, page, kind)
            rows = salvage_rows(damaged.damaged(page, kind, numbers))

            assert {seq for seq, pages in places.items() if not pages & lost} <= rows.events.keys()
            for seq, row in rows.events.items():
                is_old_view = row.event.id.startswith("old ")
                assert is_old_view or damaged.log[seq][1] == row.event.id
                assert is_old_view or json.loads(str(damaged.log[seq][4])) == row.event.value


def test_damaged_at_any_page_a_catalogue_is_rebuilt_of_what_is_whole(damaged: Damaged) -> None:
    numbers, kinds = random.Random(1), cycle(("zeros", "random", "cut"))
    places = dict(whole_events(damaged))
    salvaged = 0
    for page, kind in zip([*range(3), *range(3, damaged.pages, 5)], kinds, strict=False):
        file = damaged.damaged(page, kind, numbers)
        try:
            result = salvage_catalogue(file, None, NOW)
        except SettingsError:  # it was a free page: nothing is damaged
            with Catalogue(file) as catalogue:
                assert catalogue.damage_found() is None
            continue
        salvaged += 1
        log, lost = log_of(file), lost_pages(damaged, page, kind)
        expected = {seq for seq, pages in places.items() if not pages & lost}
        failed = {key for key, _ in result.report.failed}
        for seq, row in log.items():
            assert row[6] == "salvage" or row == damaged.log[seq]
        missing = {damaged.log[seq][1] for seq in expected - log.keys()}
        assert missing <= failed, f"page {page + 1}, {kind}"
        assert result.kept is not None
        with Catalogue(file) as catalogue:
            assert catalogue.damage_found() is None
    assert salvaged > 5


def test_on_top_of_a_backup_it_is_all_there_but_what_was_lost_since(damaged: Damaged) -> None:
    numbers = random.Random(2)
    backup = log_of(damaged.backup)
    for page in range(0, damaged.pages, 9):
        file = damaged.damaged(page, "random", numbers)
        try:
            salvage_catalogue(file, damaged.backup, NOW)
        except SettingsError:  # as above
            continue
        log = log_of(file)
        assert {row[1:] for row in backup.values()} <= {row[1:] for row in log.values()}
        assert all(
            row[6] == "salvage" or row == damaged.log.get(seq, row) for seq, row in log.items()
        )


def test_what_is_salvaged_whole_is_the_catalogue_that_was(damaged: Damaged) -> None:
    for backup in (None, damaged.backup):
        file = damaged.copy()
        content = bytearray(file.read_bytes())
        at = content.index(b"CREATE INDEX video_place")
        content[at : at + 6] = b"DAMAGE"  # the schema cannot be read, all rows can
        file.write_bytes(content)

        result = salvage_catalogue(file, backup, NOW)

        assert not result.report.failed
        with Catalogue(file) as catalogue, Catalogue(damaged.whole) as whole:
            assert catalogue.identity() == whole.identity()
            assert list(catalogue.shown()) == list(whole.shown())
            ids = [VideoId(n) for n in range(1, VIDEOS + 1)]
            assert [s.views for s in catalogue.stats(ids)] == [s.views for s in whole.stats(ids)]
            assert not catalogue.tokens.valid()
        assert damaged.log.items() <= log_of(file).items()


def test_what_is_in_the_log_of_the_database_only_is_read_too(damaged: Damaged) -> None:
    file = damaged.copy()
    with closing(sqlite3.connect(file)) as reader:
        reader.execute("PRAGMA journal_mode = WAL")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM event").fetchone()  # so that nothing is checkpointed
        with Catalogue(file) as catalogue:
            event = Event("last", EventKind.RATED, NOW, "owner", VideoId(9), {"stars": 1})
            catalogue.append([event])
            pages = (file.read_bytes(), Path(f"{file}-wal").read_bytes())
    file.write_bytes(bytes(PAGE) + pages[0][PAGE:])
    torn = bytearray(pages[1])
    torn[-PAGE - 8] ^= 1  # in the checksum of the last frame
    Path(f"{file}-wal").write_bytes(torn)

    before = {row.event.id for row in salvage_rows(file).events.values()}
    Path(f"{file}-wal").write_bytes(pages[1])
    after = {row.event.id for row in salvage_rows(file).events.values()}

    assert "last" not in before  # its transaction is not whole
    assert "last" in after


def test_a_number_of_a_lost_video_stays_taken_and_its_row_is_used(damaged: Damaged) -> None:
    rows = salvage_rows(damaged.whole)
    for seq in [seq for seq, row in rows.events.items() if row.event.id in {"found-5", "found-6"}]:
        del rows.events[seq]
    del rows.videos[VideoId(6)]
    with Catalogue(damaged.folder / "numbers/catalogue.db", durable=False) as catalogue:
        report = catalogue.add_salvaged(rows)

        assert report.videos_lost == 2
        with Catalogue(damaged.whole) as whole:
            lost = {video.id: video for video in whole.shown()}
            here = {video.id: video for video in catalogue.shown()}
        assert sorted(here) == [number for number in sorted(lost) if number != 6]
        assert here[VideoId(5)].place == lost[VideoId(5)].place
        assert here[VideoId(5)].stars == lost[VideoId(5)].stars
        assert all(here[number] == lost[number] for number in here if number != 5)


def test_a_backup_of_another_catalogue_or_history_is_refused(damaged: Damaged) -> None:
    numbers = random.Random(3)
    other = damaged.folder / "other/catalogue.db"
    with Catalogue(other, durable=False) as catalogue:
        trial.fill(catalogue, 3)
        catalogue.append([Event("own", EventKind.RATED, NOW, "owner", VideoId(1), {"stars": 1})])
    file = damaged.damaged(1, "random", numbers)
    before = file.read_bytes()
    with pytest.raises(SettingsError, match="another catalogue"):
        salvage_catalogue(file, other, NOW)
    with Catalogue(other) as catalogue, Catalogue(damaged.whole) as whole:
        catalogue.note("identity", whole.identity())
    with pytest.raises(SettingsError, match="different events since number"):
        salvage_catalogue(file, other, NOW)
    assert file.read_bytes() == before
    assert {path.name for path in file.parent.glob("*.db")} == {"catalogue.db"}


def test_what_is_sound_or_missing_is_not_salvaged(damaged: Damaged, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is sound"):
        salvage_catalogue(damaged.copy(), None, NOW)
    with pytest.raises(SettingsError, match="no catalogue"):
        salvage_catalogue(tmp_path / "catalogue.db", None, NOW)


@pytest.mark.parametrize("content", [b"x", b"SQLite format 3\0", b"rubbish" * 9999, bytes(9000)])
def test_a_file_of_anything_gives_an_empty_catalogue(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "catalogue.db"
    file.write_bytes(content)

    result = salvage_catalogue(file, None, NOW)

    assert (result.events, result.videos) == (1, 0)  # the builder is asked to compare all
    assert result.kept is not None
    assert result.kept.read_bytes() == content


def test_the_command_salvages_and_says_what_it_read(damaged: Damaged, tmp_path: Path) -> None:
    file = damaged.damaged(damaged.pages // 2, "zeros", random.Random(4))
    shutil.copytree(file.parent, tmp_path / "state")
    (tmp_path / "reelshelf.toml").write_text('library = ["library"]\n')

    answer = command(tmp_path, "restore", "--salvage", "--json")

    assert answer.code == 0, answer.text
    made = json.loads(answer.out)
    assert made["added"] == made["read"] > 0
    assert Path(made["kept"]).name.startswith("catalogue-damaged-")
    assert command(tmp_path, "status").code == 0
    assert command(tmp_path, "restore", "--salvage").code == 2  # it is sound now


def test_deleted_rows_do_not_come_back_from_freed_pages(damaged: Damaged) -> None:
    file = damaged.copy()
    with Catalogue(file, durable=False) as catalogue:
        catalogue.append(
            Event(f"undone {n}", EventKind.RATED, NOW, "owner", VideoId(1), {"stars": 2})
            for n in range(900)
        )
    restore_backup(damaged.backup, file, NOW)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    rows = salvage_rows(file)
    expected = {row[1] for row in log_of(damaged.backup).values()}
    assert {row.event.id for row in rows.events.values()} == expected

    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA secure_delete = OFF")  # by which some systems erase them
        connection.executemany(
            "INSERT INTO event (id, kind, value, at, source)"
            " VALUES (?, 'RebuildAsked', '{}', 1, '')",
            [(f"deleted {n}",) for n in range(900)],
        )
        connection.commit()
        connection.execute("DELETE FROM event WHERE id LIKE 'deleted %'")
        connection.commit()
    assert b"deleted 450" in file.read_bytes()

    rows = salvage_rows(file)

    assert {row.event.id for row in rows.events.values()} == expected
