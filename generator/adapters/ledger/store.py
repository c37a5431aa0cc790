"""The ledger: the builder's own SQLite file, rebuildable from the catalogue at any time.

It holds the listings, the shelves they are divided into, what was rendered and why, and the cursor:
the number of the last event that the pages show. It is written by one builder at a time, in one
transaction per build, after the pages are on the disk.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import sqlite_utils

from generator.adapters.integrity_check import CheckedFile, is_environment_error
from generator.adapters.ledger.listings import ListView, packed
from generator.adapters.ledger.schema import migrations
from generator.core.errors import SettingsError
from generator.core.model import OutPath, Video, VideoId
from generator.core.site.orders import SortKey
from generator.core.site.scopes import Scope, ScopeKind
from generator.core.video_json import decode_video, encode_video

_AT_ONCE = 500  # parameters in one IN (…)
_KEYS = {key.value: key for key in SortKey}
_WAL_PAGES = 1000  # SQLite's default
_ALL_AT_ONCE = 64  # from that many look-ups on, reading the bounds of all shelves is cheaper


@dataclass(frozen=True, slots=True)
class ScopeRow:
    """A scope as it is now; `paged`: it has a page per shelf and order."""

    id: int
    members: int
    paged: bool


@dataclass(frozen=True, slots=True)
class ListRow:
    """A listing as it is now."""

    id: int
    next_number: int


@dataclass(frozen=True, slots=True)
class PageRow:
    """What was rendered, from what, when and why. `cause` is a video, or None."""

    path: OutPath
    template: str
    digest: bytes
    size: int
    refresh: int
    reason: str
    cause: int | None


class Ledger(CheckedFile):
    """One open ledger, for one thread. A file that is damaged or too new is created again.

    Args:
        file: the database file.
        reads_only: no file is created; if there is none, the ledger is empty.
        is_ours: the file is, or was, a ledger; if not, a damaged one is left alone.

    Raises:
        DamagedError: it is damaged, and opened with `reads_only`.
        SettingsError: the file belongs to another program; it is as before.
    """

    _KIND = "ledger"
    _NAMES: ClassVar[tuple[str, ...]] = (
        "fact", "scope", "list", "shelf", "redirect", "suspended_redirect", "video_snapshot",
        "page", "refresh", "compressed", "failed",
        "published", "pending_page", "pending_video", "multipart_upload", "pending_invalidation",
        "previous_version", "refused", "left_behind",
        "owned", "suspect", "folder", "made_file", "old_address",
    )  # fmt: skip
    _JSON: ClassVar[tuple[tuple[str, str], ...]] = (
        ("video_snapshot", "facts"), ("refresh", "receipt"),
        ("(SELECT value AS skeleton FROM fact WHERE name LIKE 'skeleton/%')", "skeleton"),
    )  # fmt: skip
    _REMEDY = "`reelshelf build --full` rebuilds it from the catalogue; nothing is lost"

    def __init__(self, file: Path, *, reads_only: bool = False, is_ours: bool = True) -> None:
        self._file, self._reads_only, self._is_ours = file, reads_only, is_ours
        if not reads_only:
            file.parent.mkdir(parents=True, exist_ok=True)
        self._connect()

    def _connect(self) -> None:
        self._connection = self._open()
        self._bound_log(_WAL_PAGES)
        self._cursor = self._connection.cursor()

    def _open(self) -> sqlite3.Connection:
        try:
            is_missing = self._reads_only and not self._file.is_file()
            return self._opened(":memory:" if is_missing else self._file)
        except sqlite3.DatabaseError as error:
            if is_environment_error(error):
                raise
            if self._reads_only:
                raise self._damaged(str(error)) from error
            if not self._is_ours:
                raise self._foreign() from error
            self._remove()
            return self._opened(self._file)

    def _opened(self, where: str | Path) -> sqlite3.Connection:
        connection = sqlite3.connect(where, isolation_level=None, check_same_thread=False)
        try:
            database = sqlite_utils.Database(connection, execute_plugins=False)
            self._require_ours(database.table_names())
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA cache_size = -16000")
            connection.execute("PRAGMA mmap_size = 268435456")
            if migrations.pending(database):
                migrations.apply(database)
        except BaseException:
            connection.close()
            raise
        return connection

    def _require_ours(self, tables: Sequence[str]) -> None:
        if tables and "_sqlite_migrations" not in tables:
            raise self._foreign()

    def _foreign(self) -> SettingsError:
        return SettingsError(
            f"{self._file} is not a ledger of reelshelf",
            hint="move it away, or set another state folder (state in reelshelf.toml)",
        )

    def _remove(self) -> None:
        for name in (self._file, *(Path(f"{self._file}-{end}") for end in ("wal", "shm"))):
            name.unlink(missing_ok=True)

    def start_over(self) -> None:
        """Delete and create it: the next build fills it from the catalogue."""
        self.close()
        self._remove()
        self._connect()

    @property
    def connection(self) -> sqlite3.Connection:
        """Return the connection, for `PublishedRecord`."""
        return self._connection

    def image(self) -> bytes:
        """Return the content of the database file as it is now."""
        return self._connection.serialize()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block as one transaction: all of it, or nothing."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # a full disk may have ended it
                self._connection.execute("ROLLBACK")
            raise

    # -- facts

    def fact(self, name: str) -> str:
        """Return a stored fact, "" if there is none."""
        row = self._fetch_one("SELECT value FROM fact WHERE name = ?", (name,))
        return str(row[0]) if row else ""

    def facts(self, prefix: str) -> dict[str, str]:
        """Return the facts whose names have a prefix, by the rest of the name."""
        rows = self._cursor.execute(
            "SELECT name, value FROM fact WHERE name >= ? AND name < ?",
            (prefix, prefix + "\U0010ffff"),
        )
        return {name[len(prefix) :]: value for name, value in rows}

    def remember(self, name: str, value: str) -> None:
        """Store a fact."""
        self._cursor.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))

    def forget(self, prefix: str) -> None:
        """Delete the facts whose names have a prefix."""
        self._cursor.execute(
            "DELETE FROM fact WHERE name >= ? AND name < ?", (prefix, prefix + "\U0010ffff")
        )

    # -- scopes and lists

    def scope(self, scope: Scope) -> ScopeRow | None:
        """Return a scope, None if it has no members."""
        row = self._fetch_one(
            "SELECT id, members, paged FROM scope WHERE kind = ? AND name = ?",
            (scope.kind, _sql_name(scope.name)),
        )
        return ScopeRow(row[0], row[1], bool(row[2])) if row else None

    def scopes(self) -> list[tuple[Scope, ScopeRow]]:
        """Return every scope, in the order of their creation."""
        rows = self._connection.execute(
            "SELECT kind, name, id, members, paged FROM scope ORDER BY id"
        )
        return [
            (Scope(ScopeKind(kind), _name(name)), ScopeRow(number, members, bool(paged)))
            for kind, name, number, members, paged in rows
        ]

    def next_scope_id(self) -> int:
        """Return an id that no scope of this ledger has had."""
        row = self._fetch_one("SELECT value FROM fact WHERE name = 'next_scope'", ())
        return int(row[0]) if row else 1

    def put_scope(self, scope: Scope, row: ScopeRow) -> None:
        """Store a scope."""
        self._cursor.execute(
            "INSERT INTO scope (id, kind, name, members, paged) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET members = excluded.members, paged = excluded.paged",
            (row.id, scope.kind, _sql_name(scope.name), row.members, row.paged),
        )

    def put_scope_card(self, number: int, card: bytes) -> None:
        """Store the card of a scope."""
        self._cursor.execute("UPDATE scope SET card = ? WHERE id = ?", (card, number))

    def drop_scope(self, number: int) -> None:
        """Delete a scope; its lists are dropped separately."""
        self._cursor.execute("DELETE FROM scope WHERE id = ?", (number,))

    def lists(self, scope: int) -> dict[SortKey, ListRow]:
        """Return the listings of a scope."""
        rows = self._cursor.execute(
            "SELECT key, id, next_number FROM list WHERE scope = ?", (scope,)
        )
        return {_KEYS[key]: ListRow(number, following) for key, number, following in rows}

    def next_list_id(self) -> int:
        """Return an id that no list of this ledger has had."""
        row = self._fetch_one("SELECT value FROM fact WHERE name = 'next_list'", ())
        return int(row[0]) if row else 1

    def put_list(self, scope: int, key: SortKey, row: ListRow) -> None:
        """Store a list."""
        self._cursor.execute(
            "INSERT INTO list VALUES (?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET next_number = excluded.next_number",
            (row.id, scope, key, row.next_number),
        )

    def drop_list(self, number: int) -> None:
        """Delete a list and its shelves."""
        self._cursor.execute("DELETE FROM shelf WHERE list = ?", (number,))
        self._cursor.execute("DELETE FROM list WHERE id = ?", (number,))

    def change_shelves(
        self,
        number: int,
        written: Iterable[tuple[bytes, int, Sequence[bytes]]],
        deleted: Iterable[bytes],
    ) -> None:
        """Write shelves as (first, number, keys), and delete some by their bound."""
        self._cursor.executemany(
            "DELETE FROM shelf WHERE list = ? AND first = ?", [(number, f) for f in deleted]
        )
        self._cursor.executemany(
            "INSERT INTO shelf (list, first, number, size, keys) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (list, first) DO UPDATE"
            " SET number = excluded.number, size = excluded.size, keys = excluded.keys",
            [(number, first, name, len(keys), packed(keys)) for first, name, keys in written],
        )

    def view(self, number: int, expected: int = 0) -> "ListView":
        """Return a listing to read; for many `expected` look-ups, all bounds are read at once."""
        return ListView(self._connection, number, whole=expected > _ALL_AT_ONCE)

    # -- what is shown

    def videos(self, ids: Iterable[VideoId]) -> dict[VideoId, Video]:
        """Return videos as the pages show them."""
        rows = self._in("SELECT video, facts FROM video_snapshot WHERE video IN", sorted(ids))
        return {VideoId(number): decode_video(number, facts) for number, facts in rows}

    def all_videos(self) -> Iterator[Video]:
        """Yield every video as the pages show it."""
        for number, facts in self._connection.execute("SELECT video, facts FROM video_snapshot"):
            yield decode_video(number, facts)

    def shown_ids(self, low: int, high: int) -> list[VideoId]:
        """Return the shown videos with low <= id < high."""
        rows = self._cursor.execute(
            "SELECT video FROM video_snapshot WHERE video >= ? AND video < ?", (low, high)
        )
        return [VideoId(row[0]) for row in rows]

    def shown_parts(self, size: int) -> list[int]:
        """Return the parts (ids divided by `size`) that have shown videos, ascending."""
        rows = self._cursor.execute(
            "WITH RECURSIVE part (number) AS ("
            " SELECT min(video) / :size FROM video_snapshot"
            " UNION ALL SELECT (SELECT min(video) / :size FROM video_snapshot"
            " WHERE video >= (number + 1) * :size) FROM part WHERE number IS NOT NULL)"
            " SELECT number FROM part WHERE number IS NOT NULL",
            {"size": size},
        )
        return [row[0] for row in rows]

    def cards(self, ids: Iterable[int]) -> dict[int, bytes]:
        """Return the cards of videos."""
        return dict(self._in("SELECT video, card FROM video_snapshot WHERE video IN", sorted(ids)))

    def minis(self, ids: Iterable[int]) -> dict[int, bytes]:
        """Return the small cards of videos."""
        return dict(self._in("SELECT video, mini FROM video_snapshot WHERE video IN", sorted(ids)))

    def scope_cards(self, ids: Iterable[int]) -> dict[int, bytes]:
        """Return the cards of tags and folders."""
        return dict(self._in("SELECT id, card FROM scope WHERE id IN", sorted(ids)))

    def put_shown(self, videos: Iterable[tuple[Video, bytes, bytes]]) -> None:
        """Store videos with their cards."""
        self._cursor.executemany(
            "INSERT OR REPLACE INTO video_snapshot VALUES (?, ?, ?, ?)",
            ((video.id, encode_video(video), card, mini) for video, card, mini in videos),
        )

    def drop_shown(self, ids: Iterable[VideoId]) -> None:
        """Delete videos."""
        self._cursor.executemany("DELETE FROM video_snapshot WHERE video = ?", [(i,) for i in ids])

    # -- pages

    def digests(self, paths: Sequence[OutPath] | None = None) -> dict[OutPath, bytes]:
        """Return the digests of all pages, or of those among `paths`."""
        if paths is None:
            return dict(self._connection.execute("SELECT path, digest FROM page"))
        return dict(self._in("SELECT path, digest FROM page WHERE path IN", paths))

    def page(self, path: str) -> PageRow | None:
        """Return the record of a page, None if there is none."""
        row = self._fetch_one("SELECT * FROM page WHERE path = ?", (path,))
        return PageRow(*row) if row else None

    def pages_caused_by(self, video: VideoId) -> list[PageRow]:
        """Return the pages whose last write was caused by a video."""
        rows = self._connection.execute(
            "SELECT * FROM page WHERE cause = ? ORDER BY refresh DESC, path", (video,)
        )
        return [PageRow(*row) for row in rows]

    def pages_of_refresh(self, number: int) -> list[OutPath]:
        """Return the pages that were last written by a build."""
        rows = self._connection.execute("SELECT path FROM page WHERE refresh = ?", (number,))
        return [row[0] for row in rows]

    def page_count(self) -> tuple[int, int]:
        """Return how many pages there are and how many bytes they hold."""
        row = self._fetch_one("SELECT count(*), coalesce(sum(size), 0) FROM page", ())
        assert row is not None
        return row[0], row[1]

    def put_pages(self, pages: Iterable[PageRow]) -> None:
        """Store pages as rendered."""
        self._cursor.executemany(
            "INSERT OR REPLACE INTO page VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (p.path, p.template, p.digest, p.size, p.refresh, p.reason, p.cause)
                for p in sorted(pages, key=lambda page: page.path)
            ],
        )

    def drop_pages(self, paths: Iterable[OutPath]) -> None:
        """Delete pages."""
        self._cursor.executemany("DELETE FROM page WHERE path = ?", [(path,) for path in paths])

    def paths_like(self, prefix: str) -> list[OutPath]:
        """Return the pages whose paths have a prefix, ascending."""
        rows = self._connection.execute(
            "SELECT path FROM page WHERE path >= ? AND path < ? ORDER BY path",
            (prefix, prefix + "\x7f"),
        )
        return [row[0] for row in rows]

    def failed(self) -> dict[OutPath, str]:
        """Return the pages that failed, and why."""
        return dict(self._connection.execute("SELECT path, reason FROM failed"))

    def put_failed(self, failed: Mapping[OutPath, str]) -> None:
        """Record pages that could not be rendered or written."""
        self._cursor.executemany("INSERT OR REPLACE INTO failed VALUES (?, ?)", failed.items())

    def drop_failed(self, paths: Iterable[OutPath]) -> None:
        """Record that pages no longer fail, or are gone."""
        if self._fetch_one("SELECT 1 FROM failed LIMIT 1", ()):
            self._cursor.executemany("DELETE FROM failed WHERE path = ?", [(p,) for p in paths])

    # -- files of the output folder

    def owned(self, paths: Sequence[OutPath], *, pages: bool = True) -> set[OutPath]:
        """Return those among `paths` that we wrote, or are about to write.

        Args:
            paths: files of the output folder.
            pages: rendered pages count, too; not if the output folder is a different one.
        """
        tables = ("page", "owned") if pages else ("owned",)
        ours: set[OutPath] = set()
        for table in tables:
            rest = [path for path in paths if path not in ours]
            ours |= {row[0] for row in self._in(f"SELECT path FROM {table} WHERE path IN", rest)}  # noqa: S608 (literals)
        return ours

    def all_owned(self) -> set[OutPath]:
        """Return every file that we wrote; "….gz" stands for both compressed copies."""
        query = "SELECT path FROM page UNION SELECT path FROM owned"
        return {row[0] for row in self._connection.execute(query)}

    def own(self, paths: Iterable[OutPath]) -> None:
        """Record files as ours."""
        rows = [(path,) for path in paths]
        self._cursor.executemany("INSERT OR IGNORE INTO owned VALUES (?)", rows)

    def disown(self, paths: Iterable[OutPath] | None = None) -> None:
        """Forget that files (None: all) other than pages are ours."""
        if paths is None:
            self._cursor.execute("DELETE FROM owned")
        else:
            rows = [(path,) for path in paths]
            self._cursor.executemany("DELETE FROM owned WHERE path = ?", rows)

    def copied(self, paths: Sequence[OutPath] | None = None) -> set[OutPath]:
        """Return those among `paths` (None: all) that may have compressed copies of ours."""
        if paths is None:
            query = "SELECT path FROM owned WHERE path LIKE '%.gz'"
            return {OutPath(row[0][:-3]) for row in self._connection.execute(query)}
        copies = [OutPath(f"{path}.gz") for path in paths]
        rows = self._in("SELECT path FROM owned WHERE path IN", copies)
        return {OutPath(row[0][:-3]) for row in rows}

    def suspects(self) -> set[str]:
        """Return the files that may differ from their records; "*" stands for all."""
        return {row[0] for row in self._connection.execute("SELECT path FROM suspect")}

    def suspect(self, paths: Iterable[str]) -> None:
        """Record that files may differ from their records from now on."""
        rows = [(path,) for path in paths]
        self._cursor.executemany("INSERT OR IGNORE INTO suspect VALUES (?)", rows)

    def trust(self, paths: Iterable[str]) -> None:
        """Record that files equal their records."""
        rows = [(path,) for path in paths]
        self._cursor.executemany("DELETE FROM suspect WHERE path = ?", rows)

    def forget_folder(self) -> None:
        """Forget the output folder and its compressed copies: it is a different folder."""
        for table in ("compressed", "folder"):
            self._cursor.execute(f"DELETE FROM {table}")  # noqa: S608 (literals)

    def folders(self) -> dict[str, int]:
        """Return the folders of the output, each with its change time (ns)."""
        return dict(self._connection.execute("SELECT path, changed_ns FROM folder"))

    def put_folders(self, folders: Mapping[str, int]) -> None:
        """Store when folders changed; 0 deletes one."""
        gone = [(path,) for path, changed_ns in folders.items() if not changed_ns]
        self._cursor.executemany("DELETE FROM folder WHERE path = ?", gone)
        rows = [(path, changed_ns) for path, changed_ns in folders.items() if changed_ns]
        self._cursor.executemany("INSERT OR REPLACE INTO folder VALUES (?, ?)", rows)

    def watch_folders(self, folders: Iterable[str]) -> None:
        """Record that folders are written to: they count as changed until their time is stored."""
        rows = [(path,) for path in folders]
        self._cursor.executemany("INSERT OR REPLACE INTO folder VALUES (?, 1)", rows)

    def made_files(self) -> Iterator[OutPath]:
        """Yield the files made for videos since the last build that ended, by path."""
        for row in self._connection.execute("SELECT path FROM made_file ORDER BY path"):
            yield row[0]

    def add_made_files(self, paths: Iterable[OutPath]) -> None:
        """Record files that are about to be made for videos; no page may ever show them."""
        rows = [(path,) for path in paths]
        self._cursor.executemany("INSERT OR IGNORE INTO made_file VALUES (?)", rows)

    def drop_made_files(self) -> None:
        """Record that every made file is shown, or deleted."""
        if self._fetch_one("SELECT 1 FROM made_file LIMIT 1", ()):
            self._cursor.execute("DELETE FROM made_file")

    def files_in(self, folder: str) -> list[OutPath]:
        """Return our files directly in a folder ("" for the top one)."""
        low, high = (f"{folder}/", f"{folder}0") if folder else ("", "\x7f")
        inside = "path >= :low AND path < :high AND instr(substr(path, :from), '/') = 0"
        rows = self._connection.execute(
            f"SELECT path FROM page WHERE {inside} UNION SELECT path FROM owned WHERE {inside}",  # noqa: S608 (literals)
            {"low": low, "high": high, "from": len(low) + 1},
        )
        return [row[0] for row in rows]

    # -- redirects

    def redirects(self) -> dict[OutPath, OutPath]:
        """Return every redirect, with its target."""
        return dict(self._connection.execute("SELECT path, target FROM redirect"))

    def newest_redirects(self) -> Iterator[tuple[int, OutPath, OutPath]]:
        """Yield redirects as (until, path, target), those that expire last first."""
        yield from self._connection.execute(
            "SELECT expires_at, path, target FROM redirect ORDER BY expires_at DESC, path DESC"
        )

    def has_redirect(self, paths: Sequence[OutPath]) -> bool:
        """Return whether any of these pages is a redirect."""
        return next(self._in("SELECT path FROM redirect WHERE path IN", paths), None) is not None

    def expired_redirects(self, instant: int) -> list[OutPath]:
        """Return the redirects that have expired."""
        rows = self._cursor.execute("SELECT path FROM redirect WHERE expires_at <= ?", (instant,))
        return [row[0] for row in rows]

    def redirects_to(self, targets: Sequence[OutPath]) -> list[OutPath]:
        """Return the redirects to these pages."""
        return [row[0] for row in self._in("SELECT path FROM redirect WHERE target IN", targets)]

    def orphaned_redirects(self) -> list[OutPath]:
        """Return the redirects whose target is no page; one that failed counts as a page."""
        rows = self._cursor.execute(
            "SELECT path FROM redirect WHERE target NOT IN"
            " (SELECT path FROM page UNION ALL SELECT path FROM failed)"
        )
        return [row[0] for row in rows]

    def has_suspended(self) -> bool:
        """Return whether any redirect is suspended as its target is gone."""
        return self._fetch_one("SELECT 1 FROM suspended_redirect LIMIT 1", ()) is not None

    def suspended_to(self, targets: Sequence[OutPath]) -> list[tuple[OutPath, OutPath, int]]:
        """Return (path, target, until) of the suspended redirects to these pages."""
        query = "SELECT path, target, expires_at FROM suspended_redirect WHERE target IN"
        return list(self._in(query, targets))

    def suspend_redirects(self, paths: Iterable[OutPath]) -> None:
        """Suspend redirects that are about to be dropped until their target is back."""
        self._cursor.executemany(
            "INSERT OR REPLACE INTO suspended_redirect SELECT * FROM redirect WHERE path = ?",
            [(path,) for path in paths],
        )

    def drop_suspended(self, paths: Iterable[OutPath], until: int) -> None:
        """Delete suspended redirects that a page has replaced, or that have expired."""
        self._cursor.executemany(
            "DELETE FROM suspended_redirect WHERE path = ?", [(p,) for p in paths]
        )
        self._cursor.execute("DELETE FROM suspended_redirect WHERE expires_at <= ?", (until,))

    def put_redirects(self, forwards: Mapping[OutPath, OutPath], until: int) -> None:
        """Store redirects."""
        self._cursor.executemany(
            "INSERT OR REPLACE INTO redirect VALUES (?, ?, ?)",
            [(path, target, until) for path, target in forwards.items()],
        )

    def drop_redirects(self, paths: Iterable[OutPath]) -> None:
        """Delete redirects."""
        self._cursor.executemany("DELETE FROM redirect WHERE path = ?", [(p,) for p in paths])

    # -- receipts

    def put_refresh(self, number: int, at: int, since: int, cursor: int, receipt: str) -> None:
        """Record a build, or its latest state; the last 1,000 are kept."""
        self._cursor.execute(
            "INSERT INTO refresh VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE"
            " SET cursor = excluded.cursor, receipt = excluded.receipt",
            (number, at, since, cursor, receipt),
        )
        self._cursor.execute("DELETE FROM refresh WHERE id <= ?", (number - 1000,))

    def forget_spans(self) -> None:
        """Have no earlier build count as the one that showed an event: their numbers changed."""
        self._cursor.execute("UPDATE refresh SET since = 0, cursor = 0")

    def next_refresh(self) -> int:
        """Return the number of the next build."""
        row = self._fetch_one("SELECT coalesce(max(id), 0) + 1 FROM refresh", ())
        assert row is not None
        return int(row[0])

    def refresh(self, number: int | None = None) -> tuple[int, int, int, int, str] | None:
        """Return (number, instant, since, cursor, receipt) of a build, or of the last one."""
        if number is None:
            row = self._fetch_one("SELECT * FROM refresh ORDER BY id DESC LIMIT 1", ())
        else:
            row = self._fetch_one("SELECT * FROM refresh WHERE id = ?", (number,))
        return (row[0], row[1], row[2], row[3], row[4]) if row else None

    def refresh_of(self, event: int) -> tuple[int, int] | None:
        """Return (number, instant) of the build that showed an event, if it is still recorded."""
        row = self._fetch_one(
            "SELECT id, at FROM refresh WHERE since < ? AND cursor >= ? ORDER BY id LIMIT 1",
            (event, event),
        )
        return (row[0], row[1]) if row else None

    # -- compressed copies

    def uncompressed(self, least_bytes: int, limit: int) -> list[tuple[OutPath, bytes]]:
        """Return pages (with digests) that have no compressed copies yet."""
        rows = self._connection.execute(
            "SELECT page.path, page.digest FROM page"
            " LEFT JOIN compressed ON compressed.path = page.path"
            " WHERE compressed.path IS NULL AND page.size >= ? LIMIT ?",
            (least_bytes, limit),
        )
        return [(OutPath(path), digest) for path, digest in rows]

    def compressed(self, paths: Sequence[OutPath]) -> set[OutPath]:
        """Return those among `paths` that have compressed copies."""
        return {row[0] for row in self._in("SELECT path FROM compressed WHERE path IN", paths)}

    def all_compressed(self) -> set[OutPath]:
        """Return every page that has compressed copies."""
        return {row[0] for row in self._connection.execute("SELECT path FROM compressed")}

    def put_compressed(self, compressed: Iterable[tuple[OutPath, bytes]]) -> None:
        """Record compressed copies, each with the digest of its page."""
        self._cursor.executemany("INSERT OR REPLACE INTO compressed VALUES (?, ?)", compressed)

    def drop_compressed(self, paths: Iterable[OutPath]) -> None:
        """Delete records of compressed copies."""
        self._cursor.executemany("DELETE FROM compressed WHERE path = ?", [(p,) for p in paths])

    # -- reading

    def _fetch_one(self, query: str, values: Sequence[object]) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._cursor.execute(query, values).fetchone()
        return row

    def _in(self, query: str, values: Sequence[object]) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(values), _AT_ONCE):
            batch = values[start : start + _AT_ONCE]
            marks = ",".join("?" * len(batch))
            yield from self._cursor.execute(f"{query} ({marks})", batch).fetchall()


def _sql_name(name: str) -> str | bytes:
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape")
    return name


def _name(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class ShownEvents:
    """What a ledger says of events: the last one that pages show, its id, and receipts.

    `receipts` has, by number of an event, the receipt of the first build that showed it. `cursor`
    and `key` are the number and the id of the last event that was compared, "" if unknown.
    """

    last: int = 0
    cursor: int = 0
    key: str = ""
    receipts: Mapping[int, str] = field(default_factory=dict)


def shown_events(file: Path, events: Iterable[int]) -> ShownEvents:
    """Return what a ledger says of `events`. It only reads; the ledger may be missing."""
    if not file.is_file():
        return ShownEvents()
    receipts: dict[int, str] = {}
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as ledger:
            ledger.execute("BEGIN")  # one state of all tables
            (shown,) = ledger.execute("SELECT coalesce(max(cursor), 0) FROM refresh").fetchone()
            query = "SELECT name, value FROM fact WHERE name IN ('cursor', 'cursor_event')"
            facts = dict(ledger.execute(query))
            for event in events:
                row = (
                    event <= shown
                    and ledger.execute(
                        "SELECT receipt FROM refresh WHERE cursor >= ? ORDER BY id LIMIT 1",
                        (event,),
                    ).fetchone()
                )
                if row:
                    receipts[event] = str(row[0])
    except sqlite3.DatabaseError:  # it is being created
        return ShownEvents()
    return ShownEvents(shown, int(facts.get("cursor", 0)), facts.get("cursor_event", ""), receipts)
