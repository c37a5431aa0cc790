"""API tokens of the owner and of viewers, ended sessions, and the daily salt that hides visitors.

They are kept outside the event log: none of them is something that happened to the library.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from generator.core.model import Token, ViewerKey

_SALT_BYTES = 32


class TokenStore:
    """The tokens and salts of one open catalogue."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def all(self) -> list[Token]:
        """Return every token, revoked ones too, oldest first."""
        rows = self._connection.execute(
            "SELECT id, name, digest, created_at, revoked_at, is_viewer, expires_at, feed_digest"
            " FROM token ORDER BY created_at, id"
        )
        return [
            Token(name_id, name, proof, created_at, revoked_at, bool(viewer), expires_at, feed)
            for name_id, name, proof, created_at, revoked_at, viewer, expires_at, feed in rows
        ]

    def valid(self) -> list[tuple[str, str]]:
        """Return (id, digest) of every token of the owner that is not revoked."""
        return self._connection.execute(
            "SELECT id, digest FROM token WHERE revoked_at IS NULL AND is_viewer = 0"
        ).fetchall()

    def viewers(self) -> list[ViewerKey]:
        """Return the keys of viewers' tokens that are not revoked; they may have expired."""
        rows = self._connection.execute(
            "SELECT id, digest, coalesce(feed_digest, ''), expires_at FROM token"
            " WHERE revoked_at IS NULL AND is_viewer = 1 ORDER BY id"
        )
        return [ViewerKey(*row) for row in rows]

    def add(self, token: Token) -> None:
        """Store a token."""
        self._connection.execute(
            "INSERT INTO token (id, name, digest, created_at, revoked_at, is_viewer, expires_at,"
            " feed_digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                token.id,
                token.name,
                token.digest,
                token.created_at,
                token.revoked_at,
                int(token.is_viewer),
                token.expires_at,
                token.feed_digest,
            ),
        )

    def revoke(self, token: str, now: int) -> bool:
        """Revoke a token, and with it every session it began; return whether it was valid."""
        cursor = self._connection.execute(
            "UPDATE token SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", (now, token)
        )
        return cursor.rowcount == 1

    def had_any(self) -> bool:
        """Return whether there is a token of the owner, or ever was one."""
        row = self._connection.execute(
            "SELECT EXISTS (SELECT 1 FROM token WHERE is_viewer = 0)"
        ).fetchone()
        return bool(row[0])

    def end(self, session: str, until: int, now: int) -> None:
        """Record that a session is over, for as long as its cookie would have been valid."""
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:  # which commits
            self._connection.execute(
                "DELETE FROM fact WHERE name >= 'ended/' AND name < 'ended0'"
                " AND CAST(value AS INTEGER) <= ?",
                (now,),
            )
            self._connection.execute(
                "INSERT OR REPLACE INTO fact VALUES (?, ?)", (f"ended/{session}", str(until))
            )

    def is_ended(self, session: str) -> bool:
        """Return whether a session was ended."""
        row = self._connection.execute(
            "SELECT 1 FROM fact WHERE name = ?", (f"ended/{session}",)
        ).fetchone()
        return row is not None

    def salt(self, day: str) -> bytes:
        """Return the salt of a day; names of days have to sort as the days do.

        The salt of the last day before it is kept, so that a clock that was ahead and is set back
        finds its own again. Older ones are deleted.
        """
        name = f"salt/{day}"
        with self._leaving_no_traces():
            self._connection.execute(
                "INSERT OR IGNORE INTO fact VALUES (?, lower(hex(randomblob(?))))",
                (name, _SALT_BYTES),
            )
            self._connection.execute(
                "DELETE FROM fact WHERE name >= 'salt/' AND name <"
                " (SELECT max(name) FROM fact WHERE name >= 'salt/' AND name < ?)",
                (name,),
            )
        query = "SELECT value FROM fact WHERE name = ?"
        return bytes.fromhex(self._connection.execute(query, (name,)).fetchone()[0])

    @contextmanager
    def _leaving_no_traces(self) -> Iterator[None]:
        """Overwrite what is deleted: SQLite would leave it in the file until it reuses the page."""
        self._connection.execute("PRAGMA secure_delete = ON")
        try:
            yield
        finally:
            self._connection.execute("PRAGMA secure_delete = OFF")
