"""Restore: replace the content of the catalogue by a backup's, while others have it open.

All is one transaction of the catalogue itself. Nothing is written between the copy of the current
content and its replacement, so that every event is in one of the two; and every process that has
the catalogue open goes on with the new content.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import sqlite_utils

from generator.adapters.catalogue.lost_database import (
    ENDINGS,
    MARK,
    log_of,
    refuse_if_foreign,
    write_mark,
)
from generator.adapters.catalogue.schema import written_by_newer
from generator.adapters.integrity_check import is_environment_error
from generator.core.errors import SettingsError

_BUSY_S = 10.0
_SECRET_TABLES = ("token", "fact")  # tables with tokens and ended sessions


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What a restore did: what the catalogue holds now, and where the previous one is kept.

    `tokens` are the names of the tokens that are valid from now on.
    """

    videos: int
    events: int
    kept: Path | None
    tokens: tuple[str, ...] = ()


def restore_backup(backup: Path, file: Path, now: float) -> RestoreResult:
    """Replace a catalogue by a backup; processes that have it open go on with the new content.

    Tokens that were created or revoked, and sessions that were ended, since the backup stay so,
    unless the catalogue that is there cannot be read.

    Args:
        backup: a copy of a catalogue, of this version or an older one.
        file: the catalogue; it may be gone, empty or damaged.
        now: the current instant; it names the copy of the previous catalogue.

    Raises:
        SettingsError: the backup is missing, damaged or no catalogue; nothing was changed.
        OSError: the disk is full, or the folder is not writable; the catalogue is as before.
    """
    if file.exists() and backup.exists() and backup.samefile(file):
        raise SettingsError(f"{backup} is the catalogue itself", hint="name a backup of it")
    clock = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    with open_backup(backup) as source:
        file.parent.mkdir(parents=True, exist_ok=True)
        if _is_sound(file):
            kept: Path | None = unused_file(file, f"before-restore-{clock}")
            assert kept is not None
            try:
                _replace_content(source, file, kept)
            except BaseException:
                kept.unlink()
                raise
        else:
            fresh = unused_file(file, f"restored-{clock}")
            try:
                with closing(_connected(fresh)) as target:
                    source.backup(target)
                    target.execute("PRAGMA journal_mode = DELETE")  # one file, all of it on disk
            except BaseException:
                fresh.unlink()
                raise
            kept = move_away(file, unused_file(file, f"damaged-{clock}"))
            fresh.replace(file)
    with closing(_connected(file)) as restored:
        counts = [
            int(restored.execute(query).fetchone()[0])
            for query in (
                "SELECT count(*) FROM video WHERE dropped = 0",
                "SELECT count(*) FROM event",
            )
        ]
        (identity,) = restored.execute("SELECT value FROM fact WHERE name = 'identity'").fetchone()
        query = "SELECT name FROM token WHERE revoked_at IS NULL ORDER BY name"
        has_tokens = _columns(restored, "token")  # the first catalogues had none
        tokens = tuple(str(name) for (name,) in restored.execute(query)) if has_tokens else ()
    file.with_name(MARK).unlink(missing_ok=True)
    write_mark(file, str(identity))
    return RestoreResult(counts[0], counts[1], kept, tokens)


@contextmanager
def open_backup(backup: Path) -> Iterator[sqlite3.Connection]:
    """Yield a backup, read-only and after an integrity check.

    Raises:
        SettingsError: it is not there, damaged, or no catalogue.
    """
    hint = "nothing was changed; try another backup"
    if not backup.is_file():
        raise SettingsError(f"there is no backup {backup}", hint=hint)
    try:
        # if it has no WAL, SQLite must not create one beside it
        how = "mode=ro" if log_of(backup) else "mode=ro&immutable=1"
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


def _replace_content(source: sqlite3.Connection, file: Path, kept: Path) -> None:
    """Copy a catalogue and replace its content, under one write lock."""
    with closing(_connected(file)) as target:
        target.execute("BEGIN IMMEDIATE")
        try:
            with closing(_connected(file)) as reader, closing(_connected(kept)) as copy:
                reader.backup(copy)
            secrets = _OwnerSecrets(target)
            _clear(target)
            _fill(target, source)
            secrets.store()
            target.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                target.execute("ROLLBACK")
            raise


def _clear(target: sqlite3.Connection) -> None:
    query = (
        "SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view')"
        " AND name NOT LIKE 'sqlite_%' ORDER BY type DESC"
    )
    for kind, name in target.execute(query).fetchall():  # indexes and triggers go with them
        target.execute(f"DROP {kind} {_quoted(name)}")


def _fill(target: sqlite3.Connection, source: sqlite3.Connection) -> None:
    query = (
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
        " ORDER BY type != 'table', rowid"
    )
    objects = source.execute(query).fetchall()
    tables = [name for name, sql in objects if sql.upper().startswith("CREATE TABLE")]
    for name, sql in objects:
        if name in tables:
            target.execute(sql)
    if any(source.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'")):
        tables.append("sqlite_sequence")  # last: inserting rows writes to it
    for name in tables:
        if name == "sqlite_sequence":
            target.execute("DELETE FROM sqlite_sequence")
        columns = _columns(source, name)
        names = ", ".join(map(_quoted, columns))
        target.executemany(
            f"INSERT INTO {_quoted(name)} ({names}) VALUES ({', '.join('?' * len(columns))})",  # noqa: S608 (names are quoted)
            source.execute(f"SELECT {names} FROM {_quoted(name)}"),  # noqa: S608 (likewise)
        )
    for name, sql in objects:
        if name not in tables:
            target.execute(sql)
    (version,) = source.execute("PRAGMA user_version").fetchone()
    target.execute(f"PRAGMA user_version = {version}")


class _OwnerSecrets:
    """Tokens and ended sessions of a catalogue, which outlive its content."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rows = {
            table: (columns, self._read(table, columns))
            for table in _SECRET_TABLES
            if (columns := _columns(connection, table))
        }

    def _read(self, table: str, columns: list[str]) -> list[tuple[object, ...]]:
        query = f"SELECT {', '.join(map(_quoted, columns))} FROM {table}"  # noqa: S608 (ours)
        if table == "fact":
            query += " WHERE name >= 'ended/' AND name < 'ended0'"
        return self._connection.execute(query).fetchall()

    def store(self) -> None:
        """Write them to the catalogue, after its content was replaced."""
        for table, (columns, rows) in self._rows.items():
            target_columns = _columns(self._connection, table)
            kept = [at for at, name in enumerate(columns) if name in target_columns]
            names = ", ".join(_quoted(columns[at]) for at in kept)
            self._connection.executemany(
                f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({', '.join('?' * len(kept))})",  # noqa: S608 (ours)
                [[row[at] for at in kept] for row in rows] if target_columns else [],
            )


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({_quoted(table)})")]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _connected(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(file, isolation_level=None, timeout=_BUSY_S)


def _is_sound(file: Path) -> bool:
    """Return whether a file is a readable catalogue, so that its content can be replaced."""
    if not file.is_file() or not file.stat().st_size:
        return False
    try:
        with closing(_connected(file)) as connection:
            is_whole = connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
            return is_whole and bool(
                refuse_if_foreign(sqlite_utils.Database(connection, execute_plugins=False), file)
            )
    except sqlite3.DatabaseError as error:
        if is_environment_error(error):  # locked, or on a full disk: not to be moved away
            raise
        return False


def unused_file(file: Path, kind: str) -> Path:
    """Create an empty file beside a catalogue, under an unused name, and return it."""
    for number in count(1):
        path = file.with_name(f"catalogue-{kind}{f'-{number}' if number > 1 else ''}.db")
        with suppress(FileExistsError):
            path.touch(0o600, exist_ok=False)
            return path
    raise AssertionError


def move_away(file: Path, into: Path) -> Path | None:
    """Move a damaged catalogue and its WAL; return the new path, None if there was nothing."""
    for ending in ("", *ENDINGS):
        with suppress(FileNotFoundError):
            Path(f"{file}{ending}").rename(f"{into}{ending}")
    if not into.stat().st_size:
        into.unlink()
        return None
    return into
