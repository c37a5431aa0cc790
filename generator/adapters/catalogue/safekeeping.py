"""Safekeeping: a catalogue that is lost is noticed, never begun anew, and restored from a backup.

A mark beside the file says that there was a catalogue; so do its write-ahead log, the ledger, and
the mark of the output folder.
"""

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import sqlite_utils

from generator.adapters.catalogue.schema import migrations, written_by_newer
from generator.core.errors import SettingsError
from generator.core.marks import read_mark

MARK = "catalogue.id"  # beside the catalogue: its identity
_ENDINGS = ("-wal", "-shm")
_OTHERS = 0o007  # the rights of everybody else
_BUSY_S = 10.0


class LostCatalogueError(SettingsError):
    """There was a catalogue and it is gone, or empty; nothing was created."""


def refuse_if_lost(
    file: Path, output_mark: Path | None = None, *, has_no_tables: bool = False
) -> None:
    """Do nothing where there is a catalogue, or never was one.

    Args:
        file: where the catalogue is, or would be.
        output_mark: the mark of the output folder.
        has_no_tables: it was opened, and there is nothing in it.

    Raises:
        LostCatalogueError: there was one.
    """
    try:
        is_empty = file.stat().st_size == 0
    except FileNotFoundError:
        is_empty = True
    except OSError:
        return  # whoever opens it tells why that is impossible
    evidence = ""
    if is_empty and not has_no_tables:
        evidence = _log_of(file)
    if is_empty or has_no_tables:
        evidence = evidence or _evidence(file, output_mark)
    if evidence:
        state = "is empty" if file.exists() else "is gone"
        raise LostCatalogueError(
            f"the catalogue {file} {state}, but there was one: {evidence}",
            hint="put it back, or `reelshelf restore BACKUP`; `reelshelf build --new-catalogue`"
            " begins without all ratings, tags, views and favorites (is this the state folder?)",
        )


def _evidence(file: Path, output_mark: Path | None) -> str:
    if file.with_name(MARK).is_file():
        return f"{file.with_name(MARK)} names it"
    if file.with_name("ledger.db").is_file():
        return f"{file.with_name('ledger.db')} was made from it"
    if output_mark is not None:
        with suppress(OSError):
            mark = read_mark(output_mark.read_bytes()[:4096].decode("utf-8", "replace"))
            if mark is not None and mark.catalogue:
                return f"{output_mark} names it"
    return ""


def _log_of(file: Path) -> str:
    for ending in ("-wal", "-journal"):
        log = Path(f"{file}{ending}")
        if log.is_file() and log.stat().st_size:
            return f"{log} is part of it"
    return ""


def create_private(file: Path) -> None:
    """Create the file of a catalogue, if it is not there, for its owner alone.

    It holds the salt of the day, by which visitors could be told apart.
    """
    if file.exists():
        return  # and is not opened: see `is_database`
    with suppress(FileExistsError):
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def is_database(file: Path) -> bool:
    """Tell whether a file begins as one of SQLite's does, or is empty; its log is not touched.

    SQLite is asked, which closes the file with care. Whoever opens and closes it by hand takes away
    all locks that connections of this process hold on it (POSIX has it so), and the next process
    that closes the catalogue then deletes the log that is written here.
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
    """Take the rights of everybody else from the files of a catalogue; those of a group stay."""
    for path in (file, *(Path(f"{file}{ending}") for ending in _ENDINGS)):
        with suppress(OSError):  # somebody else's, or not there
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & _OTHERS:
                path.chmod(mode & ~_OTHERS)


def write_mark(file: Path, identity: str) -> None:
    """Note beside a catalogue that there is one."""
    mark = file.with_name(MARK)
    with suppress(OSError):  # a folder that can only be read, or a full disk: the next time
        if not mark.is_file():
            mark.write_text(identity + "\n", encoding="ascii")


def refuse_if_foreign(database: sqlite_utils.Database, file: object) -> bool:
    """Tell whether a database is a catalogue already; one without tables becomes one.

    Raises:
        SettingsError: it is somebody else's; it is as before.
    """
    names = set(database.table_names())
    if "_sqlite_migrations" in names:
        applied = {migration.name for migration in migrations.applied(database)}
        if applied:
            return True
    if names:
        raise SettingsError(
            f"{file} is a database, but no catalogue of reelshelf",
            hint="name another state folder (state in reelshelf.toml); nothing was changed",
        )
    return False


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: what is in the catalogue now, and where the former one is kept."""

    videos: int
    events: int
    kept: Path | None


def restore(backup: Path, file: Path, now: float) -> Restored:
    """Put a backup in the place of a catalogue; who has that open goes on with the new content.

    Args:
        backup: a copy of a catalogue, of this version or an older one.
        file: the catalogue; it may be gone, empty or damaged.
        now: names the copy of what was there.

    Raises:
        SettingsError: the backup is none; nothing was changed.
        OSError: the disk is full, or the folder cannot be written; the catalogue is as before.
    """
    if file.exists() and backup.exists() and backup.samefile(file):
        raise SettingsError(f"{backup} is the catalogue itself", hint="name a backup of it")
    clock = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    with _opened_backup(backup) as source:
        file.parent.mkdir(parents=True, exist_ok=True)
        kept = file.with_name(f"catalogue-before-restore-{clock}.db")
        is_kept = _is_sound(file)
        if is_kept:
            _copy(file, kept)
            with closing(_connected(file)) as target:
                source.backup(target)
        else:
            kept = file.with_name(f"catalogue-damaged-{clock}.db")
            is_kept = _put_aside(file, kept)
            fresh = file.with_name(f"catalogue-restored-{clock}.db")
            create_private(fresh)
            with closing(_connected(fresh)) as target:
                source.backup(target)
                target.execute("PRAGMA journal_mode = DELETE")  # one file, all of it on the disk
            fresh.replace(file)
        counts = [
            int(source.execute(query).fetchone()[0])
            for query in (
                "SELECT count(*) FROM video WHERE dropped = 0",
                "SELECT count(*) FROM event",
            )
        ]
        identity = source.execute("SELECT value FROM fact WHERE name = 'identity'").fetchone()
    file.with_name(MARK).unlink(missing_ok=True)
    write_mark(file, str(identity[0]))
    return Restored(counts[0], counts[1], kept if is_kept else None)


@contextmanager
def _opened_backup(backup: Path) -> Iterator[sqlite3.Connection]:
    """Lend a backup to read, checked whole.

    Raises:
        SettingsError: it is not there, damaged, or no catalogue.
    """
    hint = "nothing was changed; try another backup"
    if not backup.is_file():
        raise SettingsError(f"there is no backup {backup}", hint=hint)
    try:
        # without a log of its own, SQLite is kept from making one beside it
        how = "mode=ro" if _log_of(backup) else "mode=ro&immutable=1"
        with closing(
            sqlite3.connect(f"{backup.absolute().as_uri()}?{how}", uri=True, timeout=_BUSY_S)
        ) as source:
            verdict = source.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if verdict != "ok":
                raise SettingsError(f"the backup {backup} is damaged: {verdict}", hint=hint)
            database = sqlite_utils.Database(source, execute_plugins=False)
            if not refuse_if_foreign(database, backup):
                raise SettingsError(f"the backup {backup} is empty", hint=hint)
            if written_by_newer(database):
                raise SettingsError(
                    f"the backup {backup} was written by a newer reelshelf",
                    hint="upgrade reelshelf; nothing was changed",
                )
            yield source
    except sqlite3.DatabaseError as error:
        raise SettingsError(f"cannot restore {backup}: {error}", hint=hint) from error


def _connected(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(file, isolation_level=None, timeout=_BUSY_S)


def _is_sound(file: Path) -> bool:
    """Tell whether a file is a catalogue whose pages can be replaced one by one."""
    if not file.is_file() or not file.stat().st_size:
        return False
    try:
        with closing(_connected(file)) as there:
            is_whole = there.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
            return is_whole and bool(
                refuse_if_foreign(sqlite_utils.Database(there, execute_plugins=False), file)
            )
    except sqlite3.DatabaseError:
        return False


def _copy(file: Path, into: Path) -> None:
    create_private(into)
    with closing(_connected(file)) as source, closing(_connected(into)) as target:
        source.backup(target)


def _put_aside(file: Path, into: Path) -> bool:
    """Move a damaged catalogue away with its logs; tell whether there was one."""
    for ending in ("", *_ENDINGS):
        with suppress(FileNotFoundError):
            Path(f"{file}{ending}").rename(f"{into}{ending}")
    if into.is_file() and not into.stat().st_size:
        into.unlink()
        return False
    return into.is_file()
