"""Old addresses: which redirect page stands for which address of a former server, and its video."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from generator.core.model import OutPath, VideoId

_AT_ONCE = 500  # parameters in one IN (…)


@dataclass(frozen=True, slots=True)
class OldAddressRow:
    """An old address, percent-encoded, its redirect page, and its video; 0: it is a tag's."""

    path: OutPath
    video: VideoId
    address: OutPath


class OldAddressTable:
    """The old addresses of a ledger; writes belong into its transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def pages(self, folder: str) -> set[OutPath]:
        """Return the redirects in a folder ("old/"), those that are suspended, too."""
        span = (folder, folder[:-1] + "0") * 2
        rows = self._connection.execute(
            "SELECT path FROM redirect WHERE path >= ? AND path < ? UNION"
            " SELECT path FROM suspended_redirect WHERE path >= ? AND path < ?",
            span,
        )
        return {row[0] for row in rows}

    def targets(self, paths: Sequence[OutPath]) -> dict[OutPath, OutPath]:
        """Return the targets of those of these pages that are redirects."""
        return dict(self._in("SELECT path, target FROM redirect WHERE path IN", paths))

    def rows(self, paths: Sequence[OutPath]) -> list[OldAddressRow]:
        """Return what is recorded of redirect pages of old addresses, by path and video."""
        query = "SELECT path, video, address FROM old_address WHERE path IN"
        return [OldAddressRow(*row) for row in self._in(query, paths)]

    def put(self, rows: Iterable[OldAddressRow]) -> None:
        """Store which videos old addresses are about."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO old_address VALUES (?, ?, ?)",
            [(row.path, row.video, row.address) for row in rows],
        )

    def drop(self, paths: Iterable[OutPath]) -> None:
        """Forget all old addresses, and that redirects to be dropped were suspended."""
        self._connection.execute("DELETE FROM old_address")
        self._connection.executemany(
            "DELETE FROM suspended_redirect WHERE path = ?", [(path,) for path in paths]
        )

    def _in(self, query: str, values: Sequence[OutPath]) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(values), _AT_ONCE):
            batch = values[start : start + _AT_ONCE]
            marks = ",".join("?" * len(batch))
            yield from self._connection.execute(f"{query} ({marks})", batch).fetchall()
