"""What was published: the tables of the ledger that every publish plan is based on.

They hold what the bucket has, what changed since, what waits for deletion, and what the last
publishes replaced, so that it can be restored.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import Any

from generator.core.delivery.publish_plan import LeftBehind, ObjectKind, PublishedObject
from generator.core.model import OutPath, VideoId

_COLUMNS = "key, path, kind, digest, etag, size, headers_digest, video, cursor, version, gone_at"
_AT_ONCE = 500  # parameters in one IN (…)
_KEPT_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class PreviousVersion:
    """An object as it was before a publish; `digest` is None if there was none.

    `version` is its version id in the bucket, "" if that is unknown.
    """

    key: str
    path: str
    kind: ObjectKind
    digest: str | None
    size_bytes: int
    headers_digest: str
    video: VideoId | None
    cursor: str
    version: str


@dataclass(frozen=True, slots=True)
class RejectedObject:
    """An object that was not put, or not deleted (`digest` is ""): why, and when to retry."""

    key: str
    path: str
    digest: str
    video: VideoId | None
    reason: str
    tries: int = 1
    retry_at: int = 0


@dataclass(frozen=True, slots=True)
class ObjectLeftBehind:
    """An object of ours in a target that is not published to any more.

    `prefix` is that of the former place in the bucket.
    """

    endpoint: str
    bucket: str
    prefix: str
    key: str
    kind: ObjectKind


class PublishedRecord:
    """The tables, over the ledger's own connection. It is thread-safe.

    `connected` returns that connection: a ledger that is created again has another one.
    """

    def __init__(self, connected: Callable[[], sqlite3.Connection]) -> None:
        self._connected = connected
        self._lock = RLock()

    @property
    def _connection(self) -> sqlite3.Connection:
        return self._connected()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block as one transaction: all of it, or nothing."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk may have ended it
                    self._connection.execute("ROLLBACK")
                raise

    # -- what the bucket has

    def all(self) -> dict[str, PublishedObject]:
        """Return all objects in the bucket, by key."""
        return {published.key: published for published in self._published("1", ())}

    def of(self, keys: Sequence[str]) -> dict[str, PublishedObject]:
        """Return the objects that exist among `keys`."""
        return {published.key: published for published in self._select_in("key", keys)}

    def of_videos(self, videos: Sequence[int]) -> dict[str, PublishedObject]:
        """Return the objects of videos."""
        return {published.key: published for published in self._select_in("video", videos)}

    def gone_until(self, instant: int) -> dict[str, PublishedObject]:
        """Return what has been waiting for deletion since `instant` or longer."""
        gone = self._published("gone_at IS NOT NULL AND gone_at <= ?", (instant,))
        return {published.key: published for published in gone}

    def is_any_gone_until(self, instant: int) -> bool:
        """Return whether anything has been waiting for deletion since `instant` or longer."""
        return bool(
            self._rows(
                "SELECT 1 FROM published WHERE gone_at IS NOT NULL AND gone_at <= ?"
                " AND key NOT IN (SELECT key FROM refused) LIMIT 1",
                (instant,),
            )
        )

    def count(self) -> int:
        """Return how many objects there are."""
        return int(self._rows("SELECT count(*) FROM published")[0][0])

    def count_waiting(self) -> int:
        """Return how many of them wait for deletion."""
        rows = self._rows("SELECT count(*) FROM published WHERE gone_at IS NOT NULL")
        return int(rows[0][0])

    def count_below(self, prefix: str) -> int:
        """Return how many keys have a prefix."""
        rows = self._rows(
            "SELECT count(*) FROM published WHERE key >= ? AND key < ?",
            (prefix, prefix + "\U0010ffff"),
        )
        return int(rows[0][0])

    def put(self, published: Iterable[PublishedObject]) -> None:
        """Record objects as they are now."""
        with self._lock:
            self._connection.executemany(
                "INSERT OR REPLACE INTO published VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        row.key, row.path, row.kind, row.digest, row.etag, row.size_bytes,
                        row.headers_digest, row.video, row.cursor, row.version, row.gone_at,
                    )
                    for row in published
                ],
            )  # fmt: skip

    def drop(self, keys: Iterable[str]) -> None:
        """Record that objects do not exist."""
        self._many("DELETE FROM published WHERE key = ?", ((key,) for key in keys))

    def forget_etags(self, keys: Iterable[str]) -> None:
        """Record that the state of objects is unknown."""
        self._many("UPDATE published SET etag = '' WHERE key = ?", ((key,) for key in keys))

    def set_gone(self, keys: Iterable[str], at: int | None) -> None:
        """Record since when objects wait for deletion; None: they do not."""
        self._many("UPDATE published SET gone_at = ? WHERE key = ?", ((at, key) for key in keys))

    def clear(self) -> None:
        """Forget everything: it is a different bucket."""
        with self.transaction():
            for table in (
                "published",
                "previous_version",
                "multipart_upload",
                "pending_invalidation",
                "refused",
            ):
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608 (literals)

    # -- what changed since

    def pages(self) -> Iterator[tuple[OutPath, str, int]]:
        """Yield every page as (path, digest, size)."""
        for path, digest, size in self._rows("SELECT path, hex(digest), size FROM page"):
            yield OutPath(path), digest.lower(), size

    def pages_at(self, paths: Sequence[str]) -> Iterator[tuple[OutPath, str, int]]:
        """Yield the pages among `paths` as (path, digest, size)."""
        for batch in _batches(paths):
            marks = ",".join("?" * len(batch))
            for path, digest, size in self._rows(
                f"SELECT path, hex(digest), size FROM page WHERE path IN ({marks})",  # noqa: S608
                batch,
            ):
                yield OutPath(path), digest.lower(), size

    def pending_pages(self) -> list[OutPath]:
        """Return the pages that changed since they were published."""
        return [OutPath(row[0]) for row in self._rows("SELECT path FROM pending_page")]

    def has_pending_pages(self) -> bool:
        """Return whether any page, failed ones aside, or video is to be published."""
        query = (
            "SELECT 1 FROM pending_page WHERE path NOT IN (SELECT path FROM failed)"
            " UNION ALL SELECT 1 FROM pending_video LIMIT 1"
        )
        return bool(self._rows(query))

    def add_pending_pages(self, paths: Iterable[str]) -> None:
        """Queue pages for the next publish."""
        self._many("INSERT OR IGNORE INTO pending_page VALUES (?)", ((path,) for path in paths))

    def drop_pending_pages(self, paths: Iterable[str]) -> None:
        """Take pages out of the queue for the next publish."""
        self._many("DELETE FROM pending_page WHERE path = ?", ((path,) for path in paths))

    def pending_videos(self) -> list[VideoId]:
        """Return the videos with files that could not be uploaded."""
        return [VideoId(row[0]) for row in self._rows("SELECT video FROM pending_video")]

    def set_pending_videos(self, videos: Iterable[int]) -> None:
        """Replace the list of videos with files that could not be uploaded."""
        with self._lock:
            self._connection.execute("DELETE FROM pending_video")
        self._many("INSERT OR IGNORE INTO pending_video VALUES (?)", ((video,) for video in videos))

    # -- what the store refused

    def refused(self) -> list[RejectedObject]:
        """Return the puts and deletions that the store refused."""
        rows = self._rows("SELECT key, path, digest, video, reason, tries, retry_at FROM refused")
        return [RejectedObject(*row) for row in rows]

    def is_any_refused_until(self, instant: int) -> bool:
        """Return whether something that was refused is due for a retry at `instant`."""
        return bool(self._rows("SELECT 1 FROM refused WHERE retry_at <= ? LIMIT 1", (instant,)))

    def refuse(self, refused: Iterable[RejectedObject]) -> None:
        """Record what was refused."""
        self._many(
            "INSERT OR REPLACE INTO refused VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    r.key,
                    r.path,
                    r.digest,
                    r.video,
                    r.reason,
                    r.tries,
                    r.retry_at,
                )
                for r in refused
            ),
        )

    def drop_refused(self, keys: Iterable[str]) -> None:
        """Record that objects were accepted, or are no longer needed."""
        self._many("DELETE FROM refused WHERE key = ?", ((key,) for key in keys))

    # -- what is left in former targets

    def leave_behind(self, items: Iterable[ObjectLeftBehind]) -> None:
        """Record objects in a former target."""
        self._many(
            "INSERT OR REPLACE INTO left_behind VALUES (?, ?, ?, ?, ?)",
            ((i.endpoint, i.bucket, i.prefix, i.key, i.kind) for i in items),
        )

    def all_left_behind(self) -> list[ObjectLeftBehind]:
        """Return all objects in former targets."""
        rows = self._rows("SELECT endpoint, bucket, prefix, key, kind FROM left_behind")
        return [
            ObjectLeftBehind(row[0], row[1], row[2], row[3], ObjectKind(row[4])) for row in rows
        ]

    def left_behind(self) -> list[LeftBehind]:
        """Return how many objects are in each former target, with an example: a video if any."""
        rows = self._rows(
            "SELECT endpoint, bucket, prefix, count(*),"
            " coalesce(min(CASE WHEN kind = ? THEN key END), min(key))"
            " FROM left_behind GROUP BY endpoint, bucket, prefix ORDER BY endpoint, bucket, prefix",
            (ObjectKind.MEDIA,),
        )
        return [LeftBehind(*row) for row in rows]

    def drop_left_behind(self, items: Iterable[ObjectLeftBehind]) -> None:
        """Record that objects in a former target were deleted, or are not ours."""
        self._many(
            "DELETE FROM left_behind WHERE endpoint = ? AND bucket = ? AND key = ?",
            ((i.endpoint, i.bucket, i.key) for i in items),
        )

    def drop_left_behind_in(self, endpoint: str, bucket: str, prefix: str) -> None:
        """Record that a place is published to again."""
        self._many(
            "DELETE FROM left_behind WHERE endpoint = ? AND bucket = ? AND prefix = ?",
            [(endpoint, bucket, prefix)],
        )

    # -- what is to be invalidated

    def pending_invalidations(self) -> list[str]:
        """Return the keys whose invalidation is pending."""
        return [row[0] for row in self._rows("SELECT key FROM pending_invalidation")]

    def add_pending_invalidations(self, keys: Iterable[str]) -> None:
        """Queue keys for the next invalidation."""
        self._many(
            "INSERT OR IGNORE INTO pending_invalidation VALUES (?)", ((key,) for key in keys)
        )

    def drop_pending_invalidations(self, keys: Iterable[str]) -> None:
        """Take keys out of the queue for the next invalidation."""
        self._many("DELETE FROM pending_invalidation WHERE key = ?", ((key,) for key in keys))

    # -- what was there before

    def put_previous_versions(self, number: int, former: Iterable[PreviousVersion]) -> None:
        """Record what a publish replaced; of a key, only the first version counts."""
        self._many(
            "INSERT OR IGNORE INTO previous_version VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    number, v.key, v.path, v.kind, v.digest, v.size_bytes, v.headers_digest,
                    v.video, v.cursor, v.version,
                )
                for v in former
            ),
        )  # fmt: skip
        self._many("DELETE FROM previous_version WHERE round <= ?", [(number - _KEPT_ROUNDS,)])

    def last_round(self) -> int:
        """Return the number of the last publish that replaced anything, 0 if none did."""
        return int(self._rows("SELECT coalesce(max(round), 0) FROM previous_version")[0][0])

    def previous_versions(self, number: int) -> list[PreviousVersion]:
        """Return the objects as they were before a publish."""
        rows = self._rows(
            "SELECT key, path, kind, digest, size, headers_digest, video, cursor, version"
            " FROM previous_version WHERE round = ?",
            (number,),
        )
        return [PreviousVersion(row[0], row[1], ObjectKind(row[2]), *row[3:]) for row in rows]

    def drop_previous_versions(self, number: int, keys: Iterable[str]) -> None:
        """Forget the previous versions of some keys: they were restored."""
        self._many(
            "DELETE FROM previous_version WHERE round = ? AND key = ?",
            ((number, key) for key in keys),
        )

    # -- uploads that are under way

    def uploads(self) -> dict[str, str]:
        """Return the ids of all uploads, by key."""
        return dict(self._rows("SELECT key, id FROM multipart_upload"))

    def upload(self, key: str) -> str | None:
        """Return the upload id of a key."""
        rows = self._rows("SELECT id FROM multipart_upload WHERE key = ?", (key,))
        return str(rows[0][0]) if rows else None

    def set_upload(self, key: str, upload_id: str) -> None:
        """Record the upload of a key."""
        self._many("INSERT OR REPLACE INTO multipart_upload VALUES (?, ?)", [(key, upload_id)])

    def drop_upload(self, key: str) -> None:
        """Forget the upload of a key."""
        self._many("DELETE FROM multipart_upload WHERE key = ?", [(key,)])

    # -- reading and writing

    def _published(self, condition: str, values: Sequence[object]) -> Iterator[PublishedObject]:
        query = f"SELECT {_COLUMNS} FROM published WHERE {condition}"  # noqa: S608 (literals)
        for row in self._rows(query, values):
            yield PublishedObject(row[0], row[1], ObjectKind(row[2]), *row[3:])

    def _select_in(self, column: str, values: Sequence[object]) -> Iterator[PublishedObject]:
        for batch in _batches(values):
            yield from self._published(f"{column} IN ({','.join('?' * len(batch))})", batch)

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def _many(self, query: str, rows: Iterable[Sequence[object]]) -> None:
        with self._lock:
            self._connection.executemany(query, rows)


class Uploads:
    """Multipart uploads that are under way: the store that the bucket adapter needs."""

    def __init__(self, record: PublishedRecord) -> None:
        self._record = record

    def get(self, key: str) -> str | None:
        """Return the upload id of a key."""
        return self._record.upload(key)

    def set(self, key: str, upload_id: str) -> None:
        """Record the upload of a key."""
        self._record.set_upload(key, upload_id)

    def drop(self, key: str) -> None:
        """Forget the upload of a key."""
        self._record.drop_upload(key)


def _batches(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]
