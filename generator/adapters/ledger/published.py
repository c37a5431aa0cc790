"""What was published: tables of the ledger that are the base of every plan to publish.

They tell what the bucket has, what was changed since, what waits for its deletion, and what the
last publishes replaced, so that it can be put back.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import Any

from generator.core.delivery.publish_plan import ObjectKind, PublishedObject
from generator.core.model import OutPath, VideoId

_COLUMNS = "key, path, kind, digest, etag, size, look, video, cursor, version, gone_at"
_AT_ONCE = 500  # parameters in one IN (…)
_KEPT_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class PreviousVersion:
    """What was there before a publish; `digest` is None where nothing was.

    `version` is the bucket's name for it, "" where that is not known.
    """

    key: str
    path: str
    kind: ObjectKind
    digest: str | None
    size_bytes: int
    look: str
    video: VideoId | None
    cursor: str
    version: str


@dataclass(frozen=True, slots=True)
class RejectedObject:
    """An object that was not put, or not deleted ("" as `digest`), and why; tried again then."""

    key: str
    path: str
    digest: str
    video: VideoId | None
    reason: str
    tries: int = 1
    retry_at: int = 0


class PublishedRecord:
    """The tables, over the ledger's own connection. Threads may call it beside each other.

    `connected` returns that connection: a ledger that is begun anew has another one.
    """

    def __init__(self, connected: Callable[[], sqlite3.Connection]) -> None:
        self._connected = connected
        self._lock = RLock()

    @property
    def _connection(self) -> sqlite3.Connection:
        return self._connected()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything in the block stand, or nothing of it."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk may have ended it
                    self._connection.execute("ROLLBACK")
                raise

    # -- what is there

    def all(self) -> dict[str, PublishedObject]:
        """Return everything that is in the bucket, by key."""
        return {one.key: one for one in self._published("1", ())}

    def of(self, keys: Sequence[str]) -> dict[str, PublishedObject]:
        """Return those of some keys that are there."""
        return {one.key: one for one in self._those("key", keys)}

    def of_videos(self, videos: Sequence[int]) -> dict[str, PublishedObject]:
        """Return what belongs to videos."""
        return {one.key: one for one in self._those("video", videos)}

    def gone_until(self, instant: int) -> dict[str, PublishedObject]:
        """Return what is not wanted any more since `instant`, or for longer."""
        found = self._published("gone_at IS NOT NULL AND gone_at <= ?", (instant,))
        return {one.key: one for one in found}

    def is_any_gone_until(self, instant: int) -> bool:
        """Tell whether something is not wanted any more since `instant`, or for longer."""
        return bool(
            self._rows(
                "SELECT 1 FROM published WHERE gone_at IS NOT NULL AND gone_at <= ?"
                " AND key NOT IN (SELECT key FROM refused) LIMIT 1",
                (instant,),
            )
        )

    def count(self) -> int:
        """Return how many objects are there."""
        return int(self._rows("SELECT count(*) FROM published")[0][0])

    def count_waiting(self) -> int:
        """Return how many of them wait for their deletion."""
        found = self._rows("SELECT count(*) FROM published WHERE gone_at IS NOT NULL")
        return int(found[0][0])

    def count_below(self, prefix: str) -> int:
        """Return how many keys begin so."""
        found = self._rows(
            "SELECT count(*) FROM published WHERE key >= ? AND key < ?",
            (prefix, prefix + "\U0010ffff"),
        )
        return int(found[0][0])

    def put(self, published: Iterable[PublishedObject]) -> None:
        """Keep what is there now."""
        with self._lock:
            self._connection.executemany(
                "INSERT OR REPLACE INTO published VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        one.key, one.path, one.kind, one.digest, one.etag, one.size_bytes,
                        one.look, one.video, one.cursor, one.version, one.gone_at,
                    )
                    for one in published
                ],
            )  # fmt: skip

    def drop(self, keys: Iterable[str]) -> None:
        """Note that objects are not there."""
        self._many("DELETE FROM published WHERE key = ?", ((key,) for key in keys))

    def doubt(self, keys: Iterable[str]) -> None:
        """Note that nobody knows what is there."""
        self._many("UPDATE published SET etag = '' WHERE key = ?", ((key,) for key in keys))

    def set_gone(self, keys: Iterable[str], at: int | None) -> None:
        """Note since when objects are not wanted; None: they are."""
        self._many("UPDATE published SET gone_at = ? WHERE key = ?", ((at, key) for key in keys))

    def forget_media(self) -> None:
        """Forget all videos themselves: they are somebody else's from now on."""
        self._many("DELETE FROM published WHERE kind = ?", [(ObjectKind.MEDIA,)])

    def clear(self) -> None:
        """Forget everything: the bucket is another one."""
        with self.transaction():
            for table in ("published", "former", "upload", "uninvalidated", "refused"):
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608 (literals)

    # -- what changed since

    def pages(self) -> Iterator[tuple[OutPath, str, int]]:
        """Yield every page as (path, digest, size)."""
        for path, digest, size in self._rows("SELECT path, hex(digest), size FROM page"):
            yield OutPath(path), digest.lower(), size

    def pages_at(self, paths: Sequence[str]) -> Iterator[tuple[OutPath, str, int]]:
        """Yield those among `paths` that are pages, likewise."""
        for some in _portions(paths):
            marks = ",".join("?" * len(some))
            for path, digest, size in self._rows(
                f"SELECT path, hex(digest), size FROM page WHERE path IN ({marks})",  # noqa: S608
                some,
            ):
                yield OutPath(path), digest.lower(), size

    def unpublished(self) -> list[OutPath]:
        """Return the pages that changed since they were published."""
        return [OutPath(row[0]) for row in self._rows("SELECT path FROM unpublished")]

    def is_any_unpublished(self) -> bool:
        """Tell whether there are such pages, or videos, beside pages that failed."""
        query = (
            "SELECT 1 FROM unpublished WHERE path NOT IN (SELECT path FROM failed)"
            " UNION ALL SELECT 1 FROM unsent LIMIT 1"
        )
        return bool(self._rows(query))

    def to_publish(self, paths: Iterable[str]) -> None:
        """Have pages looked at by the next publish."""
        self._many("INSERT OR IGNORE INTO unpublished VALUES (?)", ((path,) for path in paths))

    def is_published(self, paths: Iterable[str]) -> None:
        """Note that pages need not be looked at any more."""
        self._many("DELETE FROM unpublished WHERE path = ?", ((path,) for path in paths))

    def unsent(self) -> list[VideoId]:
        """Return the videos of which something could not be put."""
        return [VideoId(row[0]) for row in self._rows("SELECT video FROM unsent")]

    def set_unsent(self, videos: Iterable[int]) -> None:
        """Note the videos of which something could not be put; these are all."""
        with self._lock:
            self._connection.execute("DELETE FROM unsent")
        self._many("INSERT OR IGNORE INTO unsent VALUES (?)", ((video,) for video in videos))

    # -- what the store refused

    def refused(self) -> list[RejectedObject]:
        """Return what the store refused, and does not have, or still has."""
        rows = self._rows("SELECT key, path, digest, video, reason, tries, retry_at FROM refused")
        return [RejectedObject(*row) for row in rows]

    def is_any_refused_until(self, instant: int) -> bool:
        """Tell whether something that was refused is to be tried again at `instant`."""
        return bool(self._rows("SELECT 1 FROM refused WHERE retry_at <= ? LIMIT 1", (instant,)))

    def refuse(self, refused: Iterable[RejectedObject]) -> None:
        """Note what was refused."""
        self._many(
            "INSERT OR REPLACE INTO refused VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (one.key, one.path, one.digest, one.video, one.reason, one.tries, one.retry_at)
                for one in refused
            ),
        )

    def is_not_refused(self, keys: Iterable[str]) -> None:
        """Note that objects were taken, or are not wanted any more."""
        self._many("DELETE FROM refused WHERE key = ?", ((key,) for key in keys))

    # -- what is to be invalidated

    def uninvalidated(self) -> list[str]:
        """Return the keys that caches are to forget."""
        return [row[0] for row in self._rows("SELECT key FROM uninvalidated")]

    def to_invalidate(self, keys: Iterable[str]) -> None:
        """Have caches forget keys, at the next opportunity."""
        self._many("INSERT OR IGNORE INTO uninvalidated VALUES (?)", ((key,) for key in keys))

    def is_invalidated(self, keys: Iterable[str]) -> None:
        """Note that they did, or need not."""
        self._many("DELETE FROM uninvalidated WHERE key = ?", ((key,) for key in keys))

    # -- what was there before

    def note_former(self, number: int, former: Iterable[PreviousVersion]) -> None:
        """Keep what a publish replaced: the first time it does so."""
        self._many(
            "INSERT OR IGNORE INTO former VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    number, one.key, one.path, one.kind, one.digest, one.size_bytes, one.look,
                    one.video, one.cursor, one.version,
                )
                for one in former
            ),
        )  # fmt: skip
        self._many("DELETE FROM former WHERE round <= ?", [(number - _KEPT_ROUNDS,)])

    def last_round(self) -> int:
        """Return the number of the last publish that replaced anything, 0 for none."""
        return int(self._rows("SELECT coalesce(max(round), 0) FROM former")[0][0])

    def former(self, number: int) -> list[PreviousVersion]:
        """Return what was there before a publish."""
        rows = self._rows(
            "SELECT key, path, kind, digest, size, look, video, cursor, version"
            " FROM former WHERE round = ?",
            (number,),
        )
        return [PreviousVersion(row[0], row[1], ObjectKind(row[2]), *row[3:]) for row in rows]

    def drop_former(self, number: int, keys: Iterable[str]) -> None:
        """Forget what was there before a publish, of some keys: it is there again."""
        self._many(
            "DELETE FROM former WHERE round = ? AND key = ?", ((number, key) for key in keys)
        )

    # -- uploads that are under way

    def uploads(self) -> dict[str, str]:
        """Return what was noted of all uploads, by key."""
        return dict(self._rows("SELECT key, id FROM upload"))

    def upload(self, key: str) -> str | None:
        """Return what was noted of the upload of a key."""
        rows = self._rows("SELECT id FROM upload WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else None

    def set_upload(self, key: str, upload_id: str) -> None:
        """Note the upload of a key."""
        self._many("INSERT OR REPLACE INTO upload VALUES (?, ?)", [(key, upload_id)])

    def drop_upload(self, key: str) -> None:
        """Forget the upload of a key."""
        self._many("DELETE FROM upload WHERE key = ?", [(key,)])

    # -- reading and writing

    def _published(self, condition: str, values: Sequence[object]) -> Iterator[PublishedObject]:
        query = f"SELECT {_COLUMNS} FROM published WHERE {condition}"  # noqa: S608 (literals)
        for row in self._rows(query, values):
            yield PublishedObject(row[0], row[1], ObjectKind(row[2]), *row[3:])

    def _those(self, column: str, values: Sequence[object]) -> Iterator[PublishedObject]:
        for some in _portions(values):
            yield from self._published(f"{column} IN ({','.join('?' * len(some))})", some)

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def _many(self, query: str, rows: Iterable[Sequence[object]]) -> None:
        with self._lock:
            self._connection.executemany(query, rows)


class Uploads:
    """Uploads that are under way, as the bucket wants them remembered."""

    def __init__(self, record: PublishedRecord) -> None:
        self._record = record

    def get(self, key: str) -> str | None:
        """Return what was noted for a key."""
        return self._record.upload(key)

    def set(self, key: str, upload_id: str) -> None:
        """Note the upload of a key."""
        self._record.set_upload(key, upload_id)

    def drop(self, key: str) -> None:
        """Forget the upload of a key."""
        self._record.drop_upload(key)


def _portions(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]
