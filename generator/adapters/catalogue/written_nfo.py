"""The record of the .nfo files that an export wrote into the library, by place.

It is kept as facts, so that a backup has it. Without its row, or with other content than that of
the row, a file is somebody else's.
"""

import sqlite3
from collections.abc import Mapping
from urllib.parse import quote

from generator.core.model import Place

_PREFIX = "nfo/"


class WrittenNfo:
    """The record, over one open catalogue."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def digests(self, place: Place) -> tuple[str, ...]:
        """Return the digests of what was, or was about to be, written to a place; () for none."""
        row = self._connection.execute(
            "SELECT value FROM fact WHERE name = ?", (_fact_name(place),)
        ).fetchone()
        return tuple(row[0].split()) if row else ()

    def record(self, digests: Mapping[Place, tuple[str, ...]]) -> None:
        """Store the digests of the contents that are ours at these places, in one transaction."""
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:  # which commits
            self._connection.executemany(
                "INSERT OR REPLACE INTO fact VALUES (?, ?)",
                [(_fact_name(place), " ".join(these)) for place, these in digests.items()],
            )


def _fact_name(place: Place) -> str:
    path = place.path.encode("utf-8", "surrogateescape")
    return f"{_PREFIX}{quote(place.root, safe='')}/{quote(path)}"
