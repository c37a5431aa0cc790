"""What scripts of a former server name, read from the ledger while another process may build.

The ledger is opened read-only, and none is created.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from generator.core.model import VideoId
from generator.core.site import old_addresses as old
from generator.core.site.scopes import ScopeKind


def video_named(file: Path, name: str) -> VideoId | None:
    """Return the video that the old address of a file name leads to; None for none."""
    page = old.page_of(f"watch/{name}".encode("utf-8", "surrogateescape"))
    rows = _rows(file, "SELECT target FROM redirect WHERE path = ?", (page,))
    if not rows:
        return None
    target: str = rows[0][0]
    return VideoId(int(target.rpartition("-")[2].removesuffix(".html")))


def most_used_tags(file: Path, limit: int) -> list[tuple[str, int]]:
    """Return the tags of most videos as (name, videos), the most used first."""
    query = (
        "SELECT name, members FROM scope WHERE kind = ? AND members > 0"
        " ORDER BY members DESC, name LIMIT ?"
    )
    return [(str(name), int(count)) for name, count in _rows(file, query, (ScopeKind.TAG, limit))]


def _rows(file: Path, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
    if not file.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as ledger:
            return ledger.execute(query, values).fetchall()
    except sqlite3.DatabaseError:  # it is being created
        return []
