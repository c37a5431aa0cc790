"""A catalogue that is lost is refused, never begun anew; a backup is put back while all runs."""

import os
import shutil
import sqlite3
import stat
import subprocess
from contextlib import closing, suppress
from pathlib import Path

import pytest
from forks import Command, completed
from paths import TEMPLATES
from typer.testing import CliRunner

from benchmarks import trial
from generator.adapters.catalogue import Catalogue, LostCatalogueError, restore_backup
from generator.build.engine import Engine
from generator.cli import app
from generator.core.delivery.folder_marks import MARK, OutputMark
from generator.core.errors import ReelshelfError, ReplacedError, SettingsError
from generator.core.model import Event, EventKind, Token

NOW = 1_796_000_000


def asked(number: int) -> Event:
    return Event(f"event {number}", EventKind.REBUILD_ASKED, NOW, "test")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a catalogue with three events, closed."""
    file = tmp_path / "state/catalogue.db"
    with Catalogue(file) as catalogue:
        catalogue.append(map(asked, range(3)))
    return file


@pytest.fixture
def backup(file: Path, tmp_path: Path) -> Path:
    """Return a backup of it, as it was before the third event."""
    path = tmp_path / "backup.db"
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)
        target.execute("DELETE FROM event WHERE seq = 3")
        target.commit()
    return path


def environment_of(file: Path) -> dict[str, str]:
    return {**os.environ, "REELSHELF_STATE": str(file.parent)}


def lose(file: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        Path(f"{file}{ending}").unlink(missing_ok=True)


def test_a_catalogue_that_was_there_is_not_is_rebuilt(file: Path) -> None:
    lose(file)

    with pytest.raises(LostCatalogueError, match="is gone, but there was one") as refusal:
        Catalogue(file)

    assert "reelshelf restore BACKUP" in refusal.value.hint
    assert "--new-catalogue" in refusal.value.hint
    assert not file.exists()


@pytest.mark.parametrize("content", ["nothing", "an empty database"])
def test_an_empty_one_is_lost_too(file: Path, content: str) -> None:
    lose(file)
    if content == "nothing":
        file.touch()
    else:
        with closing(sqlite3.connect(file)) as empty:
            empty.execute("CREATE TABLE t (a)")
            empty.execute("DROP TABLE t")
            empty.execute("VACUUM")
    before = file.read_bytes()

    with pytest.raises(LostCatalogueError, match="is empty"):
        Catalogue(file)

    assert file.read_bytes() == before


def test_a_refused_build_leaves_no_state_folder_in_the_way_of_the_real_one(tmp_path: Path) -> None:
    settings = trial.settings(tmp_path)
    with Engine(settings, TEMPLATES) as engine:
        engine.refresh(trial.NOW)
    settings.state.rename(tmp_path / "away")
    with pytest.raises(LostCatalogueError):
        Engine(settings, TEMPLATES)

    assert not settings.state.exists()


def test_a_ledger_or_the_output_says_as_well_that_there_was_one(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/ledger.db").touch()
    with pytest.raises(LostCatalogueError, match=r"ledger\.db was made from it"):
        Catalogue(tmp_path / "a/catalogue.db")

    mark = tmp_path / MARK
    mark.write_text(OutputMark("f", "s", "identity").text(), encoding="utf-8")
    with pytest.raises(LostCatalogueError, match="names it"):
        Catalogue(tmp_path / "b/catalogue.db", output_mark=mark)
    mark.write_text(OutputMark("f").text(), encoding="utf-8")
    Catalogue(tmp_path / "b/catalogue.db", output_mark=mark).close()


def test_one_that_never_was_is_created_and_one_that_is_meant_anew_too(file: Path) -> None:
    lose(file)

    with Catalogue(file, anew=True) as catalogue:
        assert catalogue.last_event() == 0


def test_somebodys_database_gets_no_tables_of_ours(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.db"
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE accounts (name TEXT)")
        other.commit()
    before = file.read_bytes()

    with pytest.raises(SettingsError, match="not a catalogue of reelshelf"):
        Catalogue(file)

    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["catalogue.db"]


def test_a_catalogue_is_for_its_owner_alone(file: Path) -> None:
    file.chmod(0o664)  # as 0.4.0 had it, or a person who knows a group

    with Catalogue(file) as catalogue:
        catalogue.append([asked(9)])
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.glob("*.db*")}

    assert all(mode & 0o007 == 0 for mode in modes.values()), modes
    new = file.parents[1] / "new/catalogue.db"
    with Catalogue(new):
        assert stat.S_IMODE(new.stat().st_mode) == 0o600


def test_a_restore_is_seen_by_who_has_the_catalogue_open_and_keeps_the_former(
    file: Path, backup: Path
) -> None:
    with Catalogue(file) as open_meanwhile:
        assert open_meanwhile.last_event() == 3

        restored = restore_backup(backup, file, NOW)

        assert open_meanwhile.last_event() == 2
        open_meanwhile.append([asked(7)])
        assert open_meanwhile.last_event() == 4  # a number is not given twice
    assert (restored.videos, restored.events) == (0, 2)
    assert restored.kept is not None
    with Catalogue(restored.kept) as kept:
        assert kept.last_event() == 3


def test_a_damaged_catalogue_is_put_aside(file: Path, backup: Path) -> None:
    file.write_bytes(b"rubbish" * 999)

    restored = restore_backup(backup, file, NOW)

    assert restored.kept is not None
    assert restored.kept.read_bytes() == b"rubbish" * 999
    with Catalogue(file) as catalogue:
        assert catalogue.last_event() == 2
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from generator.adapters.catalogue import restore_backup
from generator.core.errors import ReelshelfError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing fails, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
try:
    restore_backup(Path(sys.argv[1]), Path(sys.argv[2]), 1_796_000_000)
except (ReelshelfError, OSError) as error:
    sys.exit(7)
"""


@pytest.mark.parametrize("is_damaged", [True, False])
def test_on_a_full_disk_the_catalogue_is_as_before(
    file: Path, backup: Path, *, is_damaged: bool
) -> None:
    if is_damaged:
        file.write_bytes(b"rubbish" * 999)
    before = file.read_bytes()
    names = sorted(path.name for path in file.parent.glob("*.db"))

    done = completed([backup, file], program=FULL_DISK, cwd=file.parent)

    assert done.returncode == 7, done.stderr
    assert file.read_bytes() == before
    assert sorted(path.name for path in file.parent.glob("*.db")) == names


def test_a_catalogue_that_is_locked_is_not_taken_for_damaged(
    file: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("generator.adapters.catalogue.backup._BUSY_S", 0.05)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        before = file.stat().st_ino
        with pytest.raises(SettingsError, match="locked"):
            restore_backup(backup, file, NOW)

        assert file.stat().st_ino == before
        assert not list(file.parent.glob("catalogue-damaged-*"))


def test_a_lost_catalogue_is_restored_into_a_folder_that_is_gone(
    tmp_path: Path, backup: Path, file: Path
) -> None:
    shutil.rmtree(file.parent)

    restored = restore_backup(backup, file, NOW)

    assert restored.kept is None
    with Catalogue(file) as catalogue:
        assert catalogue.last_event() == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.db", "state"]


def test_what_is_no_backup_changes_nothing(file: Path, backup: Path, tmp_path: Path) -> None:
    cut, other, empty = (tmp_path / name for name in ("cut.db", "other.db", "empty.db"))
    cut.write_bytes(backup.read_bytes()[:-4096])
    with closing(sqlite3.connect(other)) as database:
        database.execute("CREATE TABLE accounts (name TEXT)")
        database.commit()
    empty.touch()
    before = {path.name: path.read_bytes() for path in file.parent.iterdir()}

    for wrong in (cut, other, empty, tmp_path / "nothing", tmp_path, file):
        with pytest.raises(ReelshelfError):
            restore_backup(wrong, file, NOW)

    assert {path.name: path.read_bytes() for path in file.parent.iterdir()} == before


def test_the_command_restores_and_says_where_the_former_is(
    file: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parents[1])
    lose(file)
    refused = CliRunner().invoke(app, ["status"], env={"REELSHELF_STATE": "state"})
    assert isinstance(refused.exception, LostCatalogueError)

    result = CliRunner().invoke(app, ["restore", str(backup)], env={"REELSHELF_STATE": "state"})

    assert result.exit_code == 0, result.output
    assert "0 videos, 2 events" in result.output
    assert CliRunner().invoke(app, ["status"], env={"REELSHELF_STATE": "state"}).exit_code == 0


def test_who_has_a_catalogue_open_notices_that_another_lies_there(file: Path, backup: Path) -> None:
    with Catalogue(file) as catalogue:
        restore_backup(backup, file, NOW)  # into the same file
        catalogue.require_current()
        assert not catalogue.is_replaced()

        shutil.copy(backup, file.with_name("other.db"))
        file.with_name("other.db").replace(file)
        assert catalogue.is_replaced()
        with pytest.raises(ReplacedError, match="was replaced or removed"):
            catalogue.require_current()
        lose(file)
        assert catalogue.is_replaced()


# -- the locks of those who have it open


def test_to_open_it_again_leaves_the_locks_of_who_has_it_open(file: Path) -> None:
    with Catalogue(file) as held:
        held.append([asked(3)])
        Catalogue(file).close()
        with suppress(LostCatalogueError, SettingsError):
            Catalogue(file, anew=True).close()
        log = Path(f"{file}-wal").stat().st_ino
        done = completed(["status", "--json"], cwd=file.parent.parent, env=environment_of(file))
        assert done.returncode == 0, done.stderr

        assert Path(f"{file}-wal").stat().st_ino == log
        held.append([asked(4)])
        with closing(sqlite3.connect(file)) as other:
            assert other.execute("SELECT max(seq) FROM event").fetchone() == (5,)


OPENED_BY_HAND = """
import sys
from pathlib import Path

opened = []

def audit(event, arguments):
    path = str(arguments[0]) if event == "open" else ""
    if path.endswith((".db", ".db-wal", ".db-shm")):
        opened.append(path)

folder = Path.cwd()
from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.adapters.renderer import Renderer
from generator.cli.options import shipped
from generator.build.engine import Engine
from generator.core.model import Event, EventKind
from api_lambda.app import ApiConfig, create_app

with Catalogue(folder / "state/catalogue.db") as first:
    trial.fill(first, 3)
    sys.addaudithook(audit)
    settings = trial.settings(folder)
    app = create_app(ApiConfig(folder / "state", durable=False))
    with Engine(settings, shipped("templates")) as engine:
        engine.refresh(1_796_000_000, full=True, verify=True)
        app.state.close()
    with Catalogue(folder / "state/catalogue.db") as second:
        second.append([Event("a", EventKind.REBUILD_ASKED, 1_796_000_000, "test")])
        second.is_replaced()
        second.copy().close()
        second.damage_found()
print(opened)
"""


def test_nobody_opens_the_files_of_a_database_but_sqlite(tmp_path: Path) -> None:
    """Closing any descriptor of a file takes away all locks of the process (POSIX has it so)."""
    done = completed([], program=OPENED_BY_HAND, cwd=tmp_path)

    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


# -- a restore, and what others do meanwhile


def dump_of(file: Path, without: str = "fact") -> list[str]:
    with closing(sqlite3.connect(file)) as there:
        return sorted(line for line in there.iterdump() if f'INTO "{without}"' not in line)


def test_what_is_restored_is_the_backup_row_by_row(file: Path, backup: Path) -> None:
    with Catalogue(file) as held:
        held.append(map(asked, range(5, 9)))
        restored = restore_backup(backup, file, NOW)

        assert dump_of(file) == dump_of(backup)
        with closing(sqlite3.connect(file)) as there:
            assert there.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert (restored.events, held.last_event()) == (2, 2)
        assert held.append([asked(99)])[0].new


WRITE_ON = """
import sys
from itertools import count
from pathlib import Path
from generator.adapters.catalogue import Catalogue
from generator.core.model import Event, EventKind

with Catalogue(Path(sys.argv[1]), durable=False) as catalogue:
    for number in count():
        id = f"{sys.argv[2]}-{number}"
        catalogue.append([Event(id, EventKind.REBUILD_ASKED, 1_796_000_000, "test")])
        print(id, flush=True)
"""


def ids_in(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as there:
        return {str(name) for (name,) in there.execute("SELECT id FROM event")}


def test_what_others_record_during_restores_is_in_the_catalogue_or_in_what_is_kept(
    file: Path, backup: Path, tmp_path: Path
) -> None:
    writers = [
        Command([file, name], program=WRITE_ON, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for name in ("a", "b")
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None
            writer.stdout.readline()
        kept = [restore_backup(backup, file, NOW).kept for _ in range(8)]
    finally:
        for writer in writers:
            writer.kill()
    recorded = {line for writer in writers for line in writer.communicate()[0].split()}

    assert len(set(kept)) == len(kept)
    there = ids_in(file).union(*(ids_in(path) for path in kept if path is not None))
    assert len(recorded) > 8
    assert not recorded - there


def test_restores_at_the_same_moment_keep_all_that_was_there(file: Path, backup: Path) -> None:
    kept = [restore_backup(backup, file, NOW).kept for _ in range(3)]

    assert len(set(kept)) == 3
    assert kept[0] is not None
    assert "event 2" in ids_in(kept[0])


def test_who_lost_the_right_to_a_site_does_not_get_it_back_with_a_backup(
    file: Path, tmp_path: Path
) -> None:
    backup = tmp_path / "older.db"
    with Catalogue(file) as catalogue:
        catalogue.tokens.add(Token("one", "leaked", "d1", NOW, None))
        catalogue.tokens.add(Token("two", "mine", "d2", NOW, None))
        backup.write_bytes(catalogue.image())
        catalogue.tokens.revoke("one", NOW + 1)
        catalogue.tokens.add(Token("three", "new", "d3", NOW, None))
        catalogue.tokens.end("session", NOW + 99, NOW)

    restored = restore_backup(backup, file, NOW)

    assert restored.tokens == ("mine", "new")
    with Catalogue(file) as catalogue:
        assert dict(catalogue.tokens.valid()) == {"two": "d2", "three": "d3"}
        assert catalogue.tokens.is_ended("session")
    lose(file)
    assert restore_backup(backup, file, NOW).tokens == ("leaked", "mine")  # which is told
