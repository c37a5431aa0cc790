"""Listings as the ledger has them: shelves by their bounds, and the keys on each."""

import sqlite3
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from generator.core.site.shelves import ShelfRow


class ListView:
    """A listing as the ledger has it: the `ShelfView` of the core."""

    def __init__(self, connection: sqlite3.Connection, number: int, *, whole: bool) -> None:
        self._cursor = connection.cursor()
        self._number = number
        self._rows: list[ShelfRow] | None = self._all() if whole else None
        self._firsts = [row.first for row in self._rows] if self._rows else []

    def around(self, key: bytes) -> tuple[ShelfRow | None, ShelfRow | None, ShelfRow | None]:
        """Return the shelf below the one that holds `key`, that one, and the one above."""
        if self._rows is not None:
            at = bisect_right(self._firsts, key) - 1
            near = [
                self._rows[i] if 0 <= i < len(self._rows) else None for i in (at - 1, at, at + 1)
            ]
            return near[0], near[1], near[2]
        down = self._cursor.execute(
            "SELECT first, number, size FROM shelf WHERE list = ? AND first <= ?"
            " ORDER BY first DESC LIMIT 2",
            (self._number, key),
        ).fetchall()
        up = self._cursor.execute(
            "SELECT first, number, size FROM shelf WHERE list = ? AND first > ?"
            " ORDER BY first LIMIT 2",
            (self._number, key),
        ).fetchall()
        here = _shelf_row(down[0], highest=not up) if down else None
        below = _shelf_row(down[1], highest=False) if len(down) > 1 else None
        above = _shelf_row(up[0], highest=len(up) == 1) if up else None
        return below, here, above

    def holder(self, key: bytes) -> ShelfRow:
        """Return the shelf that holds `key`, of a listing that has one."""
        if self._rows is not None:
            return self._rows[bisect_right(self._firsts, key) - 1]
        first, number, size, highest = self._cursor.execute(
            "SELECT first, number, size, NOT EXISTS"
            " (SELECT 1 FROM shelf WHERE list = ?1 AND first > ?2)"
            " FROM shelf WHERE list = ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1",
            (self._number, key),
        ).fetchone()
        return ShelfRow(first, number, size, highest=bool(highest))

    def keys(self, row: ShelfRow) -> list[bytes]:
        """Return the keys on a shelf, ascending."""
        fetched = self._cursor.execute(
            "SELECT keys FROM shelf WHERE list = ? AND first = ?", (self._number, row.first)
        ).fetchone()
        return _unpacked(fetched[0])

    def shelves(self) -> list[ShelfRow]:
        """Return every shelf, lowest first."""
        return self._rows if self._rows is not None else self._all()

    def _all(self) -> list[ShelfRow]:
        rows = self._cursor.execute(
            "SELECT first, number, size FROM shelf WHERE list = ? ORDER BY first", (self._number,)
        ).fetchall()
        return [
            ShelfRow(first, number, size, highest=index == len(rows) - 1)
            for index, (first, number, size) in enumerate(rows)
        ]


def packed(keys: Sequence[bytes]) -> bytes:
    """Encode keys as a shelf stores them: two bytes of length and a key, and so on."""
    return b"".join([part for key in keys for part in (len(key).to_bytes(2, "big"), key)])


def _unpacked(packed: bytes) -> list[bytes]:
    step = 2 + (packed[0] << 8 | packed[1]) if packed else 1
    count, rest = divmod(len(packed), step)
    if not rest and packed[::step] + packed[1::step] == packed[:1] * count + packed[1:2] * count:
        return [packed[at : at + step - 2] for at in range(2, len(packed), step)]  # of one length
    keys, at = [], 0
    while at < len(packed):
        start = at + 2
        at = start + (packed[at] << 8 | packed[at + 1])
        keys.append(packed[start:at])
    return keys


def _shelf_row(row: tuple[Any, ...], *, highest: bool) -> ShelfRow:
    first, number, size = row
    return ShelfRow(first, number, size, highest)
