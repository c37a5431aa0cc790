"""The database of a small video server, `video_metadata.db`.

Its columns may hold anything, whatever their types say. It is never written to, nor is anything
beside it: where a journal has to be applied, that is done to a copy.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from urllib.parse import quote

from generator.adapters.import_sources.source_entries import SourceEntries
from generator.adapters.import_sources.source_files import UnreadableSourceError, open_source

SQLITE_MAGIC = b"SQLite format 3\0"
_JOURNALS = ("-wal", "-journal")
_AS_IT_IS = "mode=ro&immutable=1"
_NAME = "filename"
_COLUMNS = {  # table -> the column with the value, the column with the time
    "videos": ("added_date", None),
    "ratings": ("rating", "updated_at"),
    "views": ("view_count", "last_viewed"),
    "video_tags": ("tag", "created_at"),
    "favorites": (None, "created_at"),
}


def is_server_database(path: Path) -> bool:
    """Return whether a file is such a database, whatever its name."""
    try:
        with _connect(path, applies_journals=False) as connection:
            return bool(_tables(connection))
    except (UnreadableSourceError, sqlite3.Error):
        return False


def read_database(path: Path, into: SourceEntries) -> None:
    """Read all tables.

    Raises:
        UnreadableSourceError: it is no such database.
    """
    with _connect(path) as connection:
        try:
            tables = _tables(connection)
        except sqlite3.Error as error:
            raise UnreadableSourceError(f"is no readable SQLite database: {error}") from error
        if not tables:
            names = ", ".join(_COLUMNS)
            raise UnreadableSourceError(f"has none of the tables {names}")
        for table in _COLUMNS:
            if table in tables:
                _read_table(connection, table, tables[table], into)


def _read_table(
    connection: sqlite3.Connection, table: str, columns: frozenset[str], into: SourceEntries
) -> None:
    value_column, time_column = _COLUMNS[table]
    if value_column is not None and value_column not in columns:
        into.reject("", f"table {table} has no column {value_column}")
        return
    chosen = (
        name if name is not None and name in columns else "NULL"
        for name in (value_column, time_column)
    )
    rows = _rows(connection, f"SELECT {_NAME}, {', '.join(chosen)} FROM {table}", table, into)  # noqa: S608 (our own names)
    if table == "video_tags":
        _add_tags(rows, into)
        return
    for name, value, at in rows:
        key = into.key(name)
        if key is None:
            continue
        if table == "ratings":
            into.stars(key, value, at)
        elif table == "views":
            into.views(key, value, at)
        elif table == "favorites":
            into.favorite(key, at)
        elif value is not None:
            into.added(key, value)


def _add_tags(rows: Iterable[tuple[object, object, object]], into: SourceEntries) -> None:
    tags: dict[str, list[object]] = {}
    for name, tag, _ in rows:
        if isinstance(name, str) and name in tags:
            tags[name].append(tag)
        elif (key := into.key(name)) is not None:
            tags[key] = [tag]
    for key, names in tags.items():
        into.tags(key, names)


def _rows(
    connection: sqlite3.Connection, query: str, table: str, into: SourceEntries
) -> Iterator[tuple[object, object, object]]:
    """Yield the rows up to the first that is damaged, which is listed."""
    try:
        yield from connection.execute(query)
    except sqlite3.Error as error:
        into.reject("", f"table {table} is damaged: {error}; only what comes before was read")


def _tables(connection: sqlite3.Connection) -> Mapping[str, frozenset[str]]:
    """Return the columns of its tables that we know; views and virtual tables could be programs."""
    query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
    columns = {
        name: frozenset(row[1].lower() for row in connection.execute(f"PRAGMA table_info({name})"))
        for name in (table.lower() for (table,) in connection.execute(query).fetchall())
        if name in _COLUMNS
    }
    return {table: names for table, names in columns.items() if _NAME in names}


@contextmanager
def _connect(path: Path, *, applies_journals: bool = True) -> Iterator[sqlite3.Connection]:
    descriptor = open_source(path)
    try:
        if os.pread(descriptor, len(SQLITE_MAGIC), 0) != SQLITE_MAGIC:
            raise UnreadableSourceError("is no SQLite database")
    except OSError as error:
        raise UnreadableSourceError(f"cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
    with _applied(path) if applies_journals else nullcontext((path, _AS_IT_IS)) as (file, options):
        address = f"file:{quote(os.fsencode(file))}?{options}"
        try:
            with closing(sqlite3.connect(address, uri=True)) as connection:
                connection.text_factory = _text
                connection.execute("PRAGMA query_only = ON")
                connection.execute("PRAGMA trusted_schema = OFF")
                yield connection
        except sqlite3.Error as error:
            raise UnreadableSourceError(f"is no readable SQLite database: {error}") from error


@contextmanager
def _applied(path: Path) -> Iterator[tuple[Path, str]]:
    """Yield a database without journals to apply, and how to open it."""
    journals = [end for end in _JOURNALS if _has_content(Path(f"{path}{end}"))]
    if not journals:
        yield path, _AS_IT_IS
        return
    with tempfile.TemporaryDirectory(prefix="reelshelf-import-") as folder:
        copy = Path(folder) / "database"
        for end in ("", *journals):
            _copy(Path(os.path.realpath(f"{path}{end}")), Path(f"{copy}{end}"))
        yield copy, "mode=rw"


def _copy(source: Path, target: Path) -> None:
    try:
        with os.fdopen(open_source(source), "rb") as file, target.open("xb") as copy:
            shutil.copyfileobj(file, copy)
    except OSError as error:
        raise UnreadableSourceError(f"cannot be copied: {error.strerror}") from error


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")
