"""Care of the catalogue's file while others have it open: check, compact, optimize, vacuum."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from generator.adapters.catalogue.backup_record import checked_content
from generator.adapters.catalogue.log_compaction import count_compactable
from generator.adapters.integrity_check import is_environment_error

_BUSY_S = 10.0  # as long as the API waits
_MOST_BLOCKED_S = 4.0  # well below that
_FREE_SHARE = 4  # a vacuum is worth it from a quarter of the file on,
_FREE_BYTES = 16 << 20  # and from so many bytes
_BYTES_A_SECOND = 20 << 20  # that a slow disk rewrites
_ANALYZED_ROWS = 1000  # of each index


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """The space in a database file that nothing uses; `blocks_s` is what a vacuum may take."""

    file_bytes: int
    free_bytes: int

    @property
    def is_worth_it(self) -> bool:
        """Return whether a vacuum is worth its time."""
        return self.free_bytes > _FREE_BYTES and self.free_bytes * _FREE_SHARE > self.file_bytes

    @property
    def blocks_s(self) -> float:
        """Return for how long a vacuum may block writers, at most, on a slow disk."""
        return (self.file_bytes - self.free_bytes) / _BYTES_A_SECOND

    @property
    def is_quick(self) -> bool:
        """Return whether writers, which wait for it, would not notice."""
        return self.blocks_s <= _MOST_BLOCKED_S


@dataclass(frozen=True, slots=True)
class VacuumResult:
    """A vacuum that was done: for how long it blocked writers, and how much smaller the file is."""

    seconds: float
    freed_bytes: int


def check_catalogue(file: Path) -> str:
    """Return what is wrong with a catalogue, "" for nothing; every page and row is read."""
    try:
        with closing(_connected(file)) as connection:
            return checked_content(connection)[0]
    except sqlite3.DatabaseError as error:
        if is_environment_error(error):
            raise
        return str(error)


def free_space(file: Path) -> FreeSpace:
    """Return how much space in a database file nothing uses."""
    with closing(_connected(file)) as connection:
        return _free_space(connection)


def compactable(file: Path, now: int, cursor: int) -> int:
    """Return how many views are old enough to be counted by day instead."""
    with closing(_connected(file)) as connection:
        return count_compactable(connection, now, cursor)


def optimize(file: Path) -> None:
    """Have SQLite refresh the statistics that its queries are planned with.

    Raises:
        sqlite3.OperationalError: another process writes, for ten seconds now.
    """
    with closing(_connected(file)) as connection:
        connection.execute(f"PRAGMA analysis_limit = {_ANALYZED_ROWS}")
        connection.execute("PRAGMA optimize(0x10002)")  # all tables, also such as were not used


def vacuum(file: Path) -> VacuumResult:
    """Rewrite a database file without its free pages; writers wait meanwhile, readers do not.

    Raises:
        sqlite3.OperationalError: another process writes, or the disk is full; it is as before.
    """
    with closing(_connected(file)) as connection:
        before = _free_space(connection).file_bytes
        started = time.monotonic()
        connection.execute("VACUUM")
        seconds = time.monotonic() - started
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return VacuumResult(seconds, before - _free_space(connection).file_bytes)


def kept_copies(state: Path) -> Iterator[tuple[Path, int]]:
    """Yield the copies that restores kept, with their sizes; a person deletes them."""
    for kind in ("before-restore", "damaged"):
        for file in sorted(state.glob(f"catalogue-{kind}-*.db")):
            yield file, file.stat().st_size


def _free_space(connection: sqlite3.Connection) -> FreeSpace:
    size, pages, free = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_size", "page_count", "freelist_count")
    )
    return FreeSpace(size * pages, size * free)


def _connected(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(file, isolation_level=None, timeout=_BUSY_S)
