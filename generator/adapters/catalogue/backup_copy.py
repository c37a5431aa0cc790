"""Makes a backup of the catalogue while everything runs, checks it, and deletes old ones.

SQLite copies one state of the file: writers do not wait, and what they write meanwhile is not in
it. A backup appears under its name when it is whole, checked and on the disk.
"""

import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from generator.adapters.catalogue.backup_record import (
    RecordedBackup,
    backup_lock,
    backup_name,
    checked_content,
    read_record,
    remove_stray,
    restore_advice,
    write_record,
)
from generator.adapters.catalogue.lost_database import refuse_if_lost
from generator.adapters.integrity_check import is_environment_error
from generator.core.errors import DamagedError, ReelshelfError, SettingsError
from generator.core.library.backup_rotation import rotated_out

BACKUP_FACT = "backup_at"  # the instant of the last backup
_BUSY_S = 10.0
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class BackupError(ReelshelfError):
    """A backup could not be made; those that are there are as before."""


@dataclass(frozen=True, slots=True)
class BackupResult:
    """A backup that was made, and the old ones that were deleted.

    `freed_bytes` is their size. `is_noted` is false if the catalogue could not record it. `stray`
    are temporary files of killed backups that were removed.
    """

    file: Path
    size_bytes: int
    events: int
    videos: int
    seconds: float
    deleted: tuple[str, ...] = ()
    freed_bytes: int = 0
    is_noted: bool = True
    stray: tuple[str, ...] = ()


def make_backup(
    catalogue: Path, folder: Path, *, keep: int, now: int, output: Path | None = None
) -> BackupResult:
    """Back up a catalogue, and delete backups that are not to be kept.

    Args:
        catalogue: the file of the catalogue; it may be open anywhere.
        folder: where it goes; it is created if needed.
        keep: how many backups are kept, this one included.
        now: the current instant.
        output: the file to write instead; it is never deleted, and only replaced by the next backup
            into it.

    Raises:
        LostCatalogueError: there is no catalogue any more.
        SettingsError: there never was one, or `output` is another file.
        DamagedError: the catalogue is damaged; no backup was deleted.
        BackupError: the disk is full, or the folder is not writable.
        BusyError: another process makes a backup.
    """
    state = catalogue.parent
    refuse_if_lost(catalogue)
    if not catalogue.is_file():
        raise SettingsError(f"there is no catalogue {catalogue}", hint="`reelshelf build` makes it")
    started = time.monotonic()
    with backup_lock(state), _translated(catalogue, output or folder):
        stray = tuple(remove_stray(state))
        target = _target(state, folder, output, now)
        # chosen at random: a file of this name is ours, also where a killed backup left it
        scratch = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
        record = read_record(state)
        write_record(state, replace(record, temporary=(str(scratch),)))
        try:
            events, videos = _copy(catalogue, scratch)
            _put_in_place(scratch, target, replaces=output is not None)
        finally:
            _unlink_scratch(scratch)
        status = target.stat()
        made = RecordedBackup(
            str(target), now, status.st_size, status.st_mtime_ns, events, rotates=output is None
        )
        others = tuple(backup for backup in record.backups if backup.file != made.file)
        write_record(state, replace(record, backups=(*others, made), temporary=()))
        deleted, freed = rotate(state, keep)
        is_noted = _note(catalogue, now)
    seconds = time.monotonic() - started
    return BackupResult(
        target, status.st_size, events, videos, seconds, deleted, freed, is_noted, stray
    )  # fmt: skip


def rotate(state: Path, keep: int, *, dry_run: bool = False) -> tuple[tuple[str, ...], int]:
    """Delete recorded backups that are not to be kept; return them, and their size. Under the lock.

    Backups that somebody changed or deleted are not ours any more: the record drops them.
    """
    record = read_record(state)
    ours = [backup for backup in record.backups if backup.is_as_written()]
    rotating = [backup for backup in ours if backup.rotates]
    old = [rotating[at] for at in rotated_out([backup.at for backup in rotating], keep)]
    if dry_run:
        return tuple(backup.file for backup in old), sum(backup.size_bytes for backup in old)
    deleted, freed = [], 0
    for backup in old:
        with suppress(OSError):
            Path(backup.file).unlink()
            deleted.append(backup.file)
            freed += backup.size_bytes
    kept = tuple(backup for backup in ours if backup.file not in deleted)
    if kept != record.backups:
        write_record(state, replace(record, backups=kept))
    return tuple(deleted), freed


@contextmanager
def _translated(catalogue: Path, where: Path) -> Iterator[None]:
    hint = "the backups that are there are as before; make room, or name another folder"
    try:
        yield
    except sqlite3.DatabaseError as error:
        if not is_environment_error(error):
            raise _damaged(catalogue, str(error)) from error
        raise BackupError(f"cannot back up {catalogue} to {where}: {error}", hint=hint) from error
    except OSError as error:
        raise BackupError(
            f"cannot back up {catalogue} to {where}: {error.strerror or error}", hint=hint
        ) from error


def _damaged(catalogue: Path, damage: str) -> DamagedError:
    return DamagedError(
        f"the catalogue {catalogue} is damaged: {damage}",
        hint=f"no backup was made or deleted; {restore_advice(catalogue.parent)}",
    )


def _target(state: Path, folder: Path, output: Path | None, now: int) -> Path:
    if output is None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _unused_name(folder / backup_name(now))
    target = output.absolute()
    ours = {backup.file for backup in read_record(state).backups if backup.is_as_written()}
    if os.path.lexists(target) and str(target) not in ours:
        raise SettingsError(
            f"{output} exists, and is not a backup that was made here before",
            hint="it is as it was; name another file",
        )
    return target


def _unused_name(file: Path) -> Path:
    for number in count(2):
        if not os.path.lexists(file):
            return file
        file = file.with_name(f"{file.stem.partition('Z-')[0].removesuffix('Z')}Z-{number}.db")
    raise AssertionError


def _copy(catalogue: Path, scratch: Path) -> tuple[int, int]:
    """Copy a catalogue into a new private file, and check the copy; return its counts.

    Raises:
        DamagedError: the catalogue is damaged.
    """
    os.close(os.open(scratch, _NEW, 0o600))
    source_uri = f"{catalogue.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(scratch, isolation_level=None)) as copy:
        with closing(sqlite3.connect(source_uri, uri=True, timeout=_BUSY_S)) as source:
            source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, readable anywhere
        damage, events, videos = checked_content(copy)
    if damage:
        raise _damaged(catalogue, damage)
    return events, videos


def _put_in_place(scratch: Path, target: Path, *, replaces: bool) -> None:
    """Write a copy to the disk and give it its name."""
    _sync(scratch)
    if replaces:
        scratch.replace(target)
    else:
        try:
            os.link(scratch, target)
        except FileExistsError:
            raise
        except OSError:  # no links on this file system
            scratch.rename(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unlink_scratch(scratch: Path) -> None:
    for ending in ("", "-journal"):
        Path(f"{scratch}{ending}").unlink(missing_ok=True)


def _note(catalogue: Path, now: int) -> bool:
    """Record in the catalogue when it was backed up; return whether that was possible."""
    try:
        with closing(
            sqlite3.connect(catalogue, isolation_level=None, timeout=_BUSY_S)
        ) as connection:
            connection.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (BACKUP_FACT, str(now)))
    except sqlite3.Error:
        return False
    return True
