"""Damage: whether an SQLite file of ours holds what it should, asked once something is amiss.

It reads all of the file, and changes nothing.
"""

import os
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from generator.core.errors import DamagedError

# What an operation meets that reads or folds what a damaged file holds: SQLite notices what it can
# see of its own structure, and the rest is a text that is no JSON, or a row that lacks something.
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
_LEAST_PAGES = 32
_SURROUNDINGS = frozenset(
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


def is_of_the_surroundings(error: BaseException) -> bool:
    """Tell whether SQLite could not work for what is around the file: the disk, rights, others."""
    return (
        isinstance(error, sqlite3.OperationalError)
        and getattr(error, "sqlite_errorcode", 0) & 0xFF in _SURROUNDINGS
    )


def damage_of(
    connection: sqlite3.Connection, tables: Iterable[str], json: Iterable[tuple[str, str]] = ()
) -> str:
    """Return what is wrong with a database, "" where nothing is found.

    Args:
        connection: to the database; it may be within a transaction.
        tables: what it has to have.
        json: (table or subquery, column) of what has to be JSON where it is neither null nor empty.
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
                return f"not every {column} is the JSON that was written"
    except sqlite3.DatabaseError as error:
        return "" if is_of_the_surroundings(error) else str(error)
    return ""


class CheckedFile:
    """An SQLite file that is open within a block; what goes wrong there for damage to it says so.

    Whoever derives from it names the file, opens it as `_connection`, and tells what it is, which
    tables it has to have, which columns hold JSON, and what helps.
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
        """Let go of the file."""
        self._connection.close()

    def _bound_log(self, most_pages: int) -> None:
        """Have the log beside the file carried home before a small disk is full of it."""
        if self._file.parent.is_dir():
            disk = os.statvfs(self._file.parent)
            share = disk.f_blocks * disk.f_frsize // _LOG_SHARE // _PAGE_BYTES
            most_pages = min(most_pages, max(share, _LEAST_PAGES))
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {most_pages}")
        self._connection.execute(f"PRAGMA journal_size_limit = {most_pages * _PAGE_BYTES}")

    def _carry_home(self) -> None:
        """Empty the log, where that can be done: on a full disk it makes room."""
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def damage(self, error: BaseException | None) -> DamagedError | None:
        """Return what to tell instead of an error, if that is a symptom of damage to the file."""
        if not isinstance(error, SYMPTOMS) or is_of_the_surroundings(error):
            return None
        return self.damage_found()

    def damage_found(self) -> DamagedError | None:
        """Return what to tell of damage to the file, None where none is found."""
        complaint = damage_of(self._connection, self._NAMES, self._JSON)
        return self._damaged(complaint) if complaint else None

    def _damaged(self, complaint: str) -> DamagedError:
        return DamagedError(
            f"the {self._KIND} {self._file} is damaged: {complaint}", hint=self._REMEDY
        )
