"""Backups: a prefix of the log while clients write, deleted only by the record."""

import json
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from asking import fetch, fill, serving, until
from commanded import Answer, command

from generator.adapters.catalogue import Catalogue, make_backup
from generator.adapters.catalogue.backup_copy import BackupError
from generator.adapters.catalogue.backup_record import check_backup, read_record
from generator.core.errors import DamagedError, SettingsError
from generator.core.model import Event, EventKind

NOW = 1_796_000_000
DAY_S = 86400


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a catalogue with some events."""
    file = tmp_path / "state/catalogue.db"
    with Catalogue(file) as catalogue:
        catalogue.append(
            Event(f"event {n}", EventKind.REBUILD_ASKED, NOW, "test") for n in range(5)
        )
    return file


def backed_up(file: Path, now: int = NOW, keep: int = 10, **more: Any) -> Path:  # noqa: ANN401
    return make_backup(file, file.parent / "backups", keep=keep, now=now, **more).file


def log_of(file: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as catalogue:
        return catalogue.execute("SELECT * FROM event ORDER BY seq").fetchall()


def test_backups_while_clients_write_are_prefixes_and_nothing_acknowledged_is_missing(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    state = tmp_path / "state"
    fill(state)
    acknowledged: list[str] = []
    stop = threading.Event()

    def write(client: int) -> None:
        for number in range(10_000):
            if stop.is_set():
                return
            name = f"client-{client}-{number:08}"
            answer = fetch(
                port,
                "PUT",
                f"/api/videos/{client + 1}/rating",
                {"stars": number % 5 + 1},
                {"Idempotency-Key": name},
            )
            assert answer.status == 200, answer
            acknowledged.append(name)

    with serving(state, "--port", str(port), REELSHELF_DURABLE="false"):
        clients = [threading.Thread(target=write, args=(n,)) for n in range(8)]
        for client in clients:
            client.start()
        backups = []
        try:
            for number in range(4):
                until(lambda: len(acknowledged) > 10 * len(backups))
                before = len(acknowledged)
                backups.append((before, backed_up(state / "catalogue.db", NOW + number * DAY_S)))
        finally:
            stop.set()
            for client in clients:
                client.join()
    log = log_of(state / "catalogue.db")
    ids = {row[1] for row in log}
    assert acknowledged
    assert set(acknowledged) <= ids
    for before, backup in backups:
        copy = log_of(backup)
        assert copy == log[: len(copy)]
        assert set(acknowledged[:before]) <= {row[1] for row in copy}
        assert check_backup(backup, 0).damage == ""


def test_a_backup_is_private_whole_and_noted(file: Path) -> None:
    with Catalogue(file) as catalogue:
        catalogue.note("only", "in the log")
        backup = backed_up(file)
        assert catalogue.noted("backup_at") == str(NOW)

    assert backup.name == "catalogue-20261130T005320Z.db"
    assert backup.stat().st_mode & 0o777 == 0o600
    assert backup.parent.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in backup.parent.iterdir()) == [backup.name]
    with Catalogue(backup) as copy:
        assert copy.noted("only") == "in the log"
        assert copy.last_event() == 5


def test_old_backups_go_and_what_the_record_does_not_list_stays(file: Path) -> None:
    folder = file.parent / "backups"
    backups = [backed_up(file, NOW + day * DAY_S, keep=9) for day in range(4)]
    mine = folder / "catalogue-20200101T000000Z.db"
    mine.write_bytes(backups[0].read_bytes())
    backups[1].write_bytes(b"somebody put this here")
    named = make_backup(file, folder, keep=9, now=NOW - DAY_S, output=folder / "named.db").file

    made = make_backup(file, folder, keep=2, now=NOW + 9 * DAY_S)

    assert made.deleted == (str(backups[0]), str(backups[2]))
    assert made.freed_bytes > 0
    there = {path.name for path in folder.iterdir()}
    assert there == {mine.name, named.name, backups[1].name, backups[3].name, made.file.name}


def test_two_backups_in_one_second_have_two_names(file: Path) -> None:
    assert len({backed_up(file) for _ in range(3)}) == 3
    assert len(read_record(file.parent).backups) == 3


def test_a_file_that_is_named_is_replaced_only_by_the_next_backup_into_it(
    file: Path, tmp_path: Path
) -> None:
    target, other = tmp_path / "usb.db", tmp_path / "other.db"
    other.write_bytes(b"mine")

    backed_up(file, output=target)
    with Catalogue(file) as catalogue:
        catalogue.note("later", "1")
    backed_up(file, NOW + 1, output=target)

    with Catalogue(target) as copy:
        assert copy.noted("later") == "1"
    for foreign in (other, file):
        content = foreign.read_bytes()
        with pytest.raises(SettingsError, match="is not a backup"):
            backed_up(file, NOW + 2, output=foreign)
        assert foreign.read_bytes() == content


def test_a_damaged_catalogue_gives_no_backup_and_takes_none_away(file: Path) -> None:
    backups = [backed_up(file, NOW + day * DAY_S) for day in range(3)]
    pages = file.stat().st_size // 4096
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(os.urandom(4096 * (pages - 1)))

    with pytest.raises(DamagedError) as answer:
        backed_up(file, NOW + 9 * DAY_S, keep=1)

    assert str(backups[-1]) in answer.value.hint
    assert sorted((file.parent / "backups").iterdir()) == backups


def test_a_backup_that_has_no_room_leaves_no_trace(file: Path) -> None:
    (file.parent / "backups").write_text("a file in the way")

    with pytest.raises(BackupError, match="cannot back up"):
        backed_up(file)
    assert not list(file.parent.glob(".catalogue*"))


def test_what_a_killed_backup_left_is_removed_by_the_next(file: Path) -> None:
    first = backed_up(file)
    stray = first.with_name(".catalogue-x.db.7.tmp")
    stray.write_bytes(b"half")
    other = first.with_name(".catalogue-y.db.7.tmp")
    other.write_bytes(b"not recorded")
    record = json.loads((file.parent / "backups.json").read_text())
    record["temporary"] = [str(stray)]
    (file.parent / "backups.json").write_text(json.dumps(record))

    backed_up(file, NOW + 1)

    assert not stray.exists()
    assert other.exists()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"backups": [{"file": 1}], "temporary": []}'])
def test_a_record_that_cannot_be_read_deletes_nothing(file: Path, content: str) -> None:
    old = backed_up(file)
    (file.parent / "backups.json").write_text(content)

    made = make_backup(file, old.parent, keep=1, now=NOW + DAY_S)

    assert made.deleted == ()
    assert old.exists()


# -- the commands


@pytest.fixture
def site(file: Path) -> Path:
    """Return a site with that catalogue."""
    folder = file.parents[1]
    (folder / "library").mkdir()
    (folder / "reelshelf.toml").write_text('library = ["library"]\nbackups_keep = 2\n')
    return folder


def run(site: Path, *arguments: str, code: int = 0) -> Answer:
    answer = command(site, *arguments)
    assert answer.code == code, answer.text
    return answer


def test_backups_are_listed_and_the_newest_sound_one_is_restored(site: Path) -> None:
    assert "no backups" in run(site, "restore").out
    assert run(site, "restore", "--latest", code=2)
    made = [json.loads(run(site, "backup", "--json").out)["backup"] for _ in range(2)]
    with Catalogue(site / "state/catalogue.db") as catalogue:
        catalogue.append([Event("later", EventKind.REBUILD_ASKED, NOW, "test")])
    Path(made[1]).write_bytes(b"damaged")

    rows = json.loads(run(site, "restore", "--json").out)["backups"]

    assert {row["file"]: row["sound"] for row in rows} == {made[0]: True, made[1]: False}
    assert [row["events"] for row in rows if row["sound"]] == [5]
    assert "damaged: file is not a database" in run(site, "restore").out
    assert f"from {made[0]}: " in run(site, "restore", "--latest").out
    with Catalogue(site / "state/catalogue.db") as catalogue:
        assert catalogue.last_event() == 5
    run(site, "restore", made[0], "--latest", code=2)


def test_a_damaged_or_lost_catalogue_is_told_with_the_newest_sound_backup(site: Path) -> None:
    (made,) = [json.loads(run(site, "backup", "--json").out)["backup"]]
    file = site / "state/catalogue.db"
    file.write_bytes(b"rubbish" * 999)

    assert f"`reelshelf restore {made}`" in run(site, "status", code=1).err
    file.unlink()
    assert f"`reelshelf restore {made}`" in run(site, "status", code=2).err


def test_backups_may_not_be_where_they_are_served(site: Path) -> None:
    for folder in ("library", "library/sub", "site_out/backups"):
        answer = command(site, "backup", environment={"REELSHELF_BACKUP_DIR": folder})
        assert answer.code == 2
        assert "backup_dir" in answer.text
    answer = command(site, "backup", environment={"REELSHELF_BACKUP_DIR": "elsewhere"})
    assert answer.code == 0
    assert len(list((site / "elsewhere").iterdir())) == 1


def test_a_file_with_the_name_of_a_temporary_one_stays(file: Path) -> None:
    backup = backed_up(file, NOW)
    mine = backup.with_name(f".{backup.name}.{os.getpid()}.tmp")
    mine.write_bytes(b"somebody put this here")
    backup.unlink()

    assert backed_up(file, NOW).name == backup.name
    backed_up(file, NOW + DAY_S)

    assert mine.read_bytes() == b"somebody put this here"
