"""The schema of a new database, copied from one that went through all migrations.

They take a twentieth of a second of the processor, and tests make thousands of databases. Here only
the first of each kind in a process goes through them; the others get what it became. A database
that has any table is migrated as ever.
"""

import sqlite3
from contextlib import closing
from typing import Any

import sqlite_utils
from sqlite_utils.migrations import Migrations

NEW_IDENTITY = "UPDATE fact SET value = lower(hex(randomblob(16))) WHERE name = 'identity'"

_apply = Migrations.apply
_scripts: dict[str, tuple[str, ...]] = {}  # by the name of the migrations


def copy_schemas() -> None:
    """Let new databases in this process, and in its forks, have copies."""
    Migrations.apply = _copied  # type: ignore[method-assign]


def prepare(migrations: Migrations) -> tuple[str, ...]:
    """Return the statements that make a new database what all migrations would."""
    if migrations.name not in _scripts:
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as migrated:
            _apply(migrations, sqlite_utils.Database(migrated, execute_plugins=False))
            _scripts[migrations.name] = tuple(_statements(migrated))
    return _scripts[migrations.name]


def migrate(migrations: Migrations, db: sqlite_utils.Database, **options: Any) -> None:  # noqa: ANN401 (as given)
    """Apply migrations one after another, as everywhere but in tests."""
    _apply(migrations, db, **options)


def _copied(self: Migrations, db: sqlite_utils.Database, **options: Any) -> None:  # noqa: ANN401 (as given)
    connection, statements = db.conn, prepare(self)
    is_nested = connection.in_transaction
    if not is_nested:
        connection.execute("BEGIN IMMEDIATE")  # another process may be about to do the same
    try:
        is_new = not (options or connection.execute("SELECT 1 FROM sqlite_master").fetchone())
        for statement in statements if is_new else ():
            connection.execute(statement)
        if not is_nested:
            connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction and not is_nested:
            connection.execute("ROLLBACK")
        raise
    if not is_new:
        _apply(self, db, **options)


def _statements(migrated: sqlite3.Connection) -> list[str]:
    own = [line for line in migrated.iterdump() if line not in {"BEGIN TRANSACTION;", "COMMIT;"}]
    has_identity = any("'identity'" in line for line in own)
    return [*own, NEW_IDENTITY] if has_identity else own
