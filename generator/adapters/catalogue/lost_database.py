"""The file of the catalogue: a lost one is noticed, and never silently created again.

A mark beside the file shows that there was a catalogue; so do its write-ahead log, the ledger, and
the mark of the output folder.
"""

import os
import sqlite3
import stat
from contextlib import closing, suppress
from pathlib import Path

import sqlite_utils

from generator.adapters.catalogue.backup_record import restore_advice
from generator.adapters.catalogue.schema import migrations
from generator.core.delivery.folder_marks import read_mark
from generator.core.errors import SettingsError

MARK = "catalogue.id"  # beside the catalogue: its identity
ENDINGS = ("-wal", "-shm")
_OTHERS = 0o007  # permissions of others


class LostCatalogueError(SettingsError):
    """There was a catalogue and it is gone, or empty; nothing was created."""


def refuse_if_lost(
    file: Path, output_mark: Path | None = None, *, has_no_tables: bool = False
) -> None:
    """Return if there is a catalogue, or never was one.

    Args:
        file: where the catalogue is, or would be.
        output_mark: the mark of the output folder.
        has_no_tables: it was opened, and is empty.

    Raises:
        LostCatalogueError: there was one.
    """
    try:
        is_empty = file.stat().st_size == 0
    except FileNotFoundError:
        is_empty = True
    except OSError:
        return  # opening it will report why that fails
    evidence = ""
    if is_empty and not has_no_tables:
        evidence = log_of(file)
    if is_empty or has_no_tables:
        evidence = evidence or _evidence(file, output_mark)
    if evidence:
        state = "is empty" if file.exists() else "is gone"
        raise LostCatalogueError(
            f"the catalogue {file} {state}, but there was one: {evidence}",
            hint=f"put it back, or {restore_advice(file.parent)}; `reelshelf build --new-catalogue`"
            " starts without any ratings, tags, views and favorites (is this the state folder?)",
        )


def _evidence(file: Path, output_mark: Path | None) -> str:
    if file.with_name(MARK).is_file():
        return f"{file.with_name(MARK)} names it"
    if file.with_name("ledger.db").is_file():
        return f"{file.with_name('ledger.db')} was made from it"
    if output_mark is not None and output_mark.is_file():
        with suppress(OSError):
            mark = read_mark(output_mark.read_bytes()[:4096].decode("utf-8", "replace"))
            if mark is not None and mark.catalogue:
                return f"{output_mark} names it"
    return ""


def log_of(file: Path) -> str:
    """Return a message that names the log of a database, "" if there is none."""
    for ending in ("-wal", "-journal"):
        log = Path(f"{file}{ending}")
        if log.is_file() and log.stat().st_size:
            return f"{log} is part of it"
    return ""


def create_private(file: Path) -> None:
    """Create the file of a catalogue, if it does not exist, readable by its owner only.

    It holds the salt of the day, with which visitors could be identified.
    """
    if file.exists():
        return  # do not open it: see `is_database`
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def is_database(file: Path) -> bool:
    """Return whether a file has an SQLite header, or is empty; its log is not touched.

    SQLite reads it, as it closes files with care. Opening and closing it by hand drops all POSIX
    locks that connections of this process hold on it, and the next process that closes the
    catalogue then deletes the log that is written here.
    """
    try:
        with closing(
            sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        ) as connection:
            connection.execute("PRAGMA schema_version")
    except sqlite3.DatabaseError as error:
        return error.sqlite_errorcode != sqlite3.SQLITE_NOTADB
    return True


def make_private(file: Path) -> None:
    """Remove the permissions of others from the files of a catalogue; the group's stay."""
    for path in (file, *(Path(f"{file}{ending}") for ending in ENDINGS)):
        with suppress(OSError):  # owned by another user, or missing
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & _OTHERS:
                path.chmod(mode & ~_OTHERS)


def write_mark(file: Path, identity: str) -> None:
    """Write the mark beside a catalogue."""
    mark = file.with_name(MARK)
    with suppress(OSError):  # a read-only folder, or a full disk: next time
        if not os.path.lexists(mark):
            mark.write_text(identity + "\n", encoding="ascii")


def refuse_if_foreign(database: sqlite_utils.Database, file: object) -> bool:
    """Return whether a database is a catalogue already; one without tables may become one.

    Raises:
        SettingsError: it belongs to another program; it is as before.
    """
    names = set(database.table_names())
    if "_sqlite_migrations" in names:
        applied = {migration.name for migration in migrations.applied(database)}
        if applied:
            return True
    if names:
        raise SettingsError(
            f"{file} is a database, but not a catalogue of reelshelf",
            hint="name another state folder (state in reelshelf.toml); nothing was changed",
        )
    return False
