"""The record of the backups: which files are ours, and which of them are sound.

It is a file in the state folder, not in the catalogue, which may be damaged or restored. What it
does not list, or has another size or time than there, is never deleted.
"""

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from shlex import quote

import sqlite_utils

from generator.adapters.catalogue.schema import JSON, migrations, written_by_newer
from generator.adapters.integrity_check import damage_of
from generator.core.errors import BusyError

RECORD = "backups.json"
FOLDER = "backups"  # in the state folder, unless a setting names another
_LOCK = "backup.lock"
_LOCK_S = 60.0
_START, _END = "catalogue-", ".db"
_CLOCK = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class RecordedBackup:
    """A backup that we made. `rotates`: it is deleted when it is old, for nobody named its file."""

    file: str
    at: int
    size_bytes: int
    mtime_ns: int
    events: int
    rotates: bool = True

    def is_as_written(self) -> bool:
        """Return whether the file is there, and nobody changed it since."""
        try:
            status = Path(self.file).lstat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.size_bytes, self.mtime_ns)


@dataclass(frozen=True, slots=True)
class BackupRecord:
    """All backups that we made, and the temporary files of those that are being made."""

    backups: tuple[RecordedBackup, ...] = ()
    temporary: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckedBackup:
    """A backup as it is now; `damage` is "" if it is sound, and then the counts are right."""

    file: Path
    at: int
    size_bytes: int
    events: int
    videos: int
    damage: str


def backup_name(now: int) -> str:
    """Return the name of a backup made at an instant."""
    return f"{_START}{time.strftime(_CLOCK, time.gmtime(now))}{_END}"


def read_record(state: Path) -> BackupRecord:
    """Return the record of a state folder; one that cannot be read lists nothing."""
    try:
        values = json.loads((state / RECORD).read_text(encoding="utf-8"))
        return BackupRecord(
            tuple(RecordedBackup(**backup) for backup in values["backups"]),
            tuple(map(str, values["temporary"])),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return BackupRecord()


def write_record(state: Path, record: BackupRecord) -> None:
    """Replace the record, atomically."""
    scratch = state / f".{RECORD}.{os.getpid()}.tmp"
    values = {**asdict(record), "backups": [asdict(backup) for backup in record.backups]}
    try:
        with scratch.open("w", encoding="utf-8") as file:
            file.write(json.dumps(values, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(state / RECORD)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


@contextmanager
def backup_lock(state: Path) -> Iterator[None]:
    """Hold the lock under which backups are made and deleted.

    Raises:
        BusyError: another process makes a backup, for a minute now.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415 (the API starts without it)

    lock = FileLock(state / _LOCK)
    try:
        lock.acquire(timeout=_LOCK_S)
    except Timeout as error:
        raise BusyError(
            f"another process makes a backup of {state}", hint="wait for it, and run this again"
        ) from error
    try:
        yield
    finally:
        lock.release()


def remove_stray(state: Path) -> list[str]:
    """Remove the temporary files of backups that were killed; return them. Under the lock."""
    record = read_record(state)
    removed = []
    for name in record.temporary:
        for ending in ("", "-journal"):
            with suppress(OSError):
                Path(name + ending).unlink()
                removed.append(name + ending)
    if record.temporary:
        write_record(state, replace(record, temporary=()))
    return removed


def check_backup(file: Path, at: int) -> CheckedBackup:
    """Return whether a backup is sound, and what it holds; the whole file is read."""
    size = 0
    try:
        size = file.stat().st_size
        uri = f"{file.absolute().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            damage, events, videos = checked_content(connection)
    except (OSError, sqlite3.Error) as error:
        damage, events, videos = str(error), 0, 0
    return CheckedBackup(file, at, size, events, videos, damage)


def checked_content(connection: sqlite3.Connection) -> tuple[str, int, int]:
    """Return what is wrong with a catalogue, "" for nothing, and its events and videos."""
    database = sqlite_utils.Database(connection, execute_plugins=False)
    try:
        names = set(database.table_names())
    except sqlite3.DatabaseError as error:
        return str(error), 0, 0
    if "_sqlite_migrations" not in names or "event" not in names:
        return "it is not a catalogue of reelshelf", 0, 0
    if written_by_newer(database):
        return "it was written by a newer reelshelf", 0, 0
    is_current = not migrations.pending(database)
    damage = damage_of(connection, sorted(names), JSON if is_current else ())
    if damage:
        return damage, 0, 0
    (events,) = connection.execute("SELECT count(*) FROM event").fetchone()
    (videos,) = connection.execute("SELECT count(*) FROM video WHERE dropped = 0").fetchone()
    return "", int(events), int(videos)


def backup_files(state: Path, folder: Path | None = None) -> list[tuple[int, Path]]:
    """Return (instant, file) of all backups, newest first: recorded ones, and others beside them.

    Args:
        state: the state folder.
        folder: where backups are made; None for the default.
    """
    files = {
        Path(backup.file): backup.at
        for backup in read_record(state).backups
        if Path(backup.file).is_file()
    }
    for file in (folder or state / FOLDER).glob(f"{_START}*{_END}"):
        with suppress(OSError):
            files.setdefault(file, int(file.stat().st_mtime))
    return sorted(((at, file) for file, at in files.items()), reverse=True)


def newest_sound(state: Path, folder: Path | None = None) -> CheckedBackup | None:
    """Return the newest backup that is sound, None if there is none."""
    for at, file in backup_files(state, folder):
        checked = check_backup(file, at)
        if not checked.damage:
            return checked
    return None


def restore_advice(state: Path) -> str:
    """Return how to put the newest sound backup in the place of a damaged or lost catalogue."""
    newest = newest_sound(state)
    if newest is None:
        return "`reelshelf restore BACKUP` puts a backup in its place"
    day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(newest.at))
    return (
        f"`reelshelf restore {quote(str(newest.file))}` puts the newest sound backup in its place,"
        f" of {day}"
    )
