"""Checks an SQLite file of ours for damage, once an error suggests it.

It reads the whole file, and changes nothing.
"""

import os
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from generator.core.errors import DamagedError

# Errors of operations that read a damaged file: SQLite only notices damage to its own structure;
# the rest shows as invalid JSON, or as missing rows and values.
SYMPTOMS = (
    sqlite3.DatabaseError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
)

_PAGE_BYTES = 4096
_LOG_SHARE = 64  # of the disk
_MIN_PAGES = 32
_ENVIRONMENT_CODES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)


def is_environment_error(error: BaseException) -> bool:
    """Return whether an SQLite error comes from the disk, permissions or locks, not the file."""
    return (
        isinstance(error, sqlite3.OperationalError)
        and getattr(error, "sqlite_errorcode", 0) & 0xFF in _ENVIRONMENT_CODES
    )


def damage_of(
    connection: sqlite3.Connection, tables: Iterable[str], json: Iterable[tuple[str, str]] = ()
) -> str:
    """Return what is wrong with a database, "" if nothing is.

    Args:
        connection: to the database; a transaction may be open.
        tables: those it has to have.
        json: (table or subquery, column) that has to be JSON unless it is null or empty.
    """
    try:
        (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            return " ".join(str(verdict).split())
        for table in tables:
            for _ in connection.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 (our own names)
                pass
        for table, column in json:
            wrong = f"{column} != '' AND NOT json_valid({column})"
            query = f"SELECT 1 FROM {table} WHERE {wrong} LIMIT 1"  # noqa: S608 (likewise)
            if connection.execute(query).fetchone():
                return f"not every {column} is valid JSON"
    except sqlite3.DatabaseError as error:
        return "" if is_environment_error(error) else str(error)
    return ""


class CheckedFile:
    """An SQLite file that is open within a `with` block; errors there are checked for damage.

    A subclass sets the file, opens it as `_connection`, and defines what it is, its tables, the
    columns that hold JSON, and the remedy.
    """

    _KIND: ClassVar[str]
    _NAMES: ClassVar[tuple[str, ...]]
    _JSON: ClassVar[tuple[tuple[str, str], ...]]
    _REMEDY: ClassVar[str]
    _file: Path
    _connection: sqlite3.Connection

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        damage = self.damage(error)
        self.close()
        if damage is not None:
            raise damage from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _bound_log(self, most_pages: int) -> None:
        """Limit the write-ahead log, so that it does not fill a small disk."""
        if self._file.parent.is_dir():
            disk = os.statvfs(self._file.parent)
            share = disk.f_blocks * disk.f_frsize // _LOG_SHARE // _PAGE_BYTES
            most_pages = min(most_pages, max(share, _MIN_PAGES))
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {most_pages}")
        self._connection.execute(f"PRAGMA journal_size_limit = {most_pages * _PAGE_BYTES}")

    def _truncate_log(self) -> None:
        """Truncate the write-ahead log if possible: on a full disk that makes room."""
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def damage(self, error: BaseException | None) -> DamagedError | None:
        """Return the error to raise instead, if `error` is a symptom of damage to the file."""
        if not isinstance(error, SYMPTOMS) or is_environment_error(error):
            return None
        return self.damage_found()

    def damage_found(self) -> DamagedError | None:
        """Return an error that describes the damage to the file, None if there is none."""
        complaint = damage_of(self._connection, self._NAMES, self._JSON)
        return self._damaged(complaint) if complaint else None

    def _damaged(self, complaint: str) -> DamagedError:
        return DamagedError(
            f"the {self._KIND} {self._file} is damaged: {complaint}", hint=self._REMEDY
        )
