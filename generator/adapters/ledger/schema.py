"""The tables of the ledger, created by migrations; each may empty it and have it refilled."""

import re
from collections.abc import Container

import sqlite_utils
from sqlite_utils.migrations import Migrations

migrations = Migrations("ledger")


@migrations(name="first_tables")
def create_ledger_tables(db: sqlite_utils.Database) -> None:
    """Create the tables of version 0.1."""
    for statement in _TABLES:
        db.execute(statement)


@migrations()
def version_2(db: sqlite_utils.Database) -> None:
    """Add failed pages; start over: the order of ratings and the digests have changed."""
    db.execute(
        "CREATE TABLE failed (path TEXT PRIMARY KEY, reason TEXT NOT NULL) STRICT, WITHOUT ROWID"
    )
    for table in ("fact", "scope", "list", "shelf", "forward", "shown", "page", "packed"):
        db.execute(f"DELETE FROM {table}")  # noqa: S608 (literals)


@migrations()
def version_3(db: sqlite_utils.Database) -> None:
    """Add what was published, and track changed pages once anything was."""
    for statement in _PUBLISHED:
        db.execute(statement)


@migrations()
def refused_objects(db: sqlite_utils.Database) -> None:
    """Add which objects the store refused, and when each is retried."""
    db.execute(
        """CREATE TABLE refused (
            key TEXT PRIMARY KEY, path TEXT NOT NULL, digest TEXT NOT NULL, video INTEGER,
            reason TEXT NOT NULL, tries INTEGER NOT NULL, retry_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID"""
    )


@migrations()
def ownership(db: sqlite_utils.Database) -> None:
    """Add which files are ours, which may differ from their records, and when folders changed.

    What was written so far is ours, even if the other tables are emptied.
    """
    for statement in _OWNERSHIP:
        db.execute(statement)


@migrations()
def listings_by_name(db: sqlite_utils.Database) -> None:
    """Start over: videos are listed by number and name, too.

    What was published is kept, and which output folder it was.
    """
    db.execute("DELETE FROM fact WHERE name NOT LIKE 'publish%' AND name != 'output'")
    for table in ("scope", "list", "shelf", "forward", "shown", "page", "packed", "failed"):
        db.execute(f"DELETE FROM {table}")  # noqa: S608 (literals)


@migrations()
def resting_forwards(db: sqlite_utils.Database) -> None:
    """Add redirects that are suspended while their target is gone."""
    db.execute(
        """CREATE TABLE resting (
            path TEXT PRIMARY KEY, target TEXT NOT NULL, until INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID"""
    )
    db.execute("CREATE INDEX resting_target ON resting (target)")
    db.execute("CREATE INDEX forward_target ON forward (target)")


@migrations()
def rename_ledger_tables(db: sqlite_utils.Database) -> None:
    """Rename tables and columns; nothing is emptied."""
    for statement in _NAMES:
        db.execute(statement)


@migrations()
def objects_left_behind(db: sqlite_utils.Database) -> None:
    """Add which objects are still in targets that are not published to any more."""
    db.execute(
        """CREATE TABLE left_behind (
            endpoint TEXT NOT NULL, bucket TEXT NOT NULL, prefix TEXT NOT NULL,
            key TEXT NOT NULL, kind TEXT NOT NULL, PRIMARY KEY (endpoint, bucket, key)
        ) STRICT, WITHOUT ROWID"""
    )


@migrations()
def redirects_to_pages(db: sqlite_utils.Database) -> None:
    """Have redirects name the page that they lead to instead of its URL; render all pages again.

    Where the site is below a path, the URL began with it, even if it was a former path.
    """
    pages = {row[0] for row in db.execute("SELECT path FROM page").fetchall()}
    for table in ("redirect", "suspended_redirect"):
        rows = [
            (_page_of(target, pages), path)
            for path, target in db.execute(f"SELECT path, target FROM {table}").fetchall()  # noqa: S608 (literals)
            if target.startswith("/")  # an interrupted migration has begun with them
        ]
        db.conn.executemany(f"UPDATE {table} SET target = ? WHERE path = ?", rows)  # noqa: S608 (literals)
        if rows:
            db.execute("UPDATE fact SET value = '0' WHERE name = 'version'")


@migrations()
def files_made_since(db: sqlite_utils.Database) -> None:
    """Add which files were made for videos since the last build that ended."""
    db.execute("CREATE TABLE made_file (path TEXT PRIMARY KEY) STRICT, WITHOUT ROWID")


@migrations()
def old_addresses(db: sqlite_utils.Database) -> None:
    """Add which video each redirect page of an old address is about; 0: a tag."""
    db.execute(
        """CREATE TABLE old_address (
            path TEXT NOT NULL, video INTEGER NOT NULL, address TEXT NOT NULL, -- percent-encoded
            PRIMARY KEY (path, video, address)
        ) STRICT, WITHOUT ROWID"""
    )


def _page_of(url: str, pages: Container[str]) -> str:
    """Return the output path of a URL: the longest that is a page, or looks like one."""
    parts = url.split("/")[1:]
    paths = ["/".join(parts[start:]) for start in range(len(parts))]
    existing = (path for path in paths if path in pages)
    alike = (path for path in paths if _TARGET.fullmatch(path))
    return next(existing, next(alike, paths[0]))


_ORDERS = (
    r"(?:newest|oldest|(?:title|name)(?:-desc)?"
    r"|(?:rating|views|duration|size|recorded)(?:-asc)?)(?:-[0-9]+)?"
)
_FOLDER = r"(?:folders|folder/[^/~]*~[0-9a-f]+)"
_TARGET = re.compile(
    rf"(?:watch/[^/]+|random(?:-[0-9]+)?"
    rf"|(?:all|favorites|tag/[^/]+|{_FOLDER})(?:/{_ORDERS})?|{_FOLDER}/folders(?:-[0-9]+)?"
    r"|tags(?:/(?:name|count)(?:-[0-9]+)?)?)\.html"
)

_NAMES = (
    "ALTER TABLE shown RENAME TO video_snapshot",
    "ALTER TABLE packed RENAME TO compressed",
    "ALTER TABLE forward RENAME TO redirect",
    "ALTER TABLE redirect RENAME COLUMN until TO expires_at",
    "ALTER TABLE resting RENAME TO suspended_redirect",
    "ALTER TABLE suspended_redirect RENAME COLUMN until TO expires_at",
    "ALTER TABLE published RENAME COLUMN look TO headers_digest",
    "ALTER TABLE former RENAME TO previous_version",
    "ALTER TABLE previous_version RENAME COLUMN look TO headers_digest",
    "ALTER TABLE unpublished RENAME TO pending_page",
    "ALTER TABLE unsent RENAME TO pending_video",
    "ALTER TABLE uninvalidated RENAME TO pending_invalidation",
    "ALTER TABLE upload RENAME TO multipart_upload",
    "UPDATE page SET template = 'redirect.html' WHERE template = 'forward.html'",
    """UPDATE fact SET name = replace(name, 'forward.html', 'redirect.html')
        WHERE name IN ('template/forward.html', 'plain/forward.html')""",
)


_OWNERSHIP = (
    # pages have rows of their own once they are written; "….gz" stands for both compressed copies
    "CREATE TABLE owned (path TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
    "INSERT INTO owned SELECT path FROM page UNION SELECT path || '.gz' FROM packed",
    "CREATE TABLE suspect (path TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
    """CREATE TABLE folder (
        path TEXT PRIMARY KEY, changed_ns INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
)

_PUBLISHED = (
    """CREATE TABLE published (
        key TEXT PRIMARY KEY, path TEXT NOT NULL, kind TEXT NOT NULL, digest TEXT NOT NULL,
        etag TEXT NOT NULL, size INTEGER NOT NULL, look TEXT NOT NULL, video INTEGER,
        cursor TEXT NOT NULL, version TEXT NOT NULL, gone_at INTEGER
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX published_video ON published (video) WHERE video IS NOT NULL",
    "CREATE INDEX published_gone ON published (gone_at) WHERE gone_at IS NOT NULL",
    "CREATE TABLE unpublished (path TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
    "CREATE TABLE unsent (video INTEGER PRIMARY KEY) STRICT",
    "CREATE TABLE upload (key TEXT PRIMARY KEY, id TEXT NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE uninvalidated (key TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
    """CREATE TABLE former (
        round INTEGER NOT NULL, key TEXT NOT NULL, path TEXT NOT NULL, kind TEXT NOT NULL,
        digest TEXT, size INTEGER NOT NULL, look TEXT NOT NULL, video INTEGER,
        cursor TEXT NOT NULL, version TEXT NOT NULL, -- digest is null where nothing was there
        PRIMARY KEY (round, key)
    ) STRICT, WITHOUT ROWID""",
    *(
        f"""CREATE TRIGGER page_{event} AFTER {event} ON page
        WHEN EXISTS (SELECT 1 FROM fact WHERE name = 'publishing')
        BEGIN INSERT OR REPLACE INTO unpublished VALUES ({row}.path); END"""  # noqa: S608 (literals)
        for event, row in (("insert", "new"), ("update", "new"), ("delete", "old"))
    ),
)


_TABLES = (
    "CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TABLE scope (
        id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name ANY NOT NULL,
        members INTEGER NOT NULL, paged INTEGER NOT NULL, card BLOB, UNIQUE (kind, name)
    ) STRICT""",
    """CREATE TABLE list (
        id INTEGER PRIMARY KEY, scope INTEGER NOT NULL, key TEXT NOT NULL,
        next_number INTEGER NOT NULL, UNIQUE (scope, key)
    ) STRICT""",
    """CREATE TABLE shelf (
        id INTEGER PRIMARY KEY, list INTEGER NOT NULL, first BLOB NOT NULL, number INTEGER NOT NULL,
        size INTEGER NOT NULL, keys BLOB NOT NULL -- two bytes of length and a key, and so on
    ) STRICT""",
    "CREATE UNIQUE INDEX shelf_first ON shelf (list, first)",
    """CREATE TABLE forward (
        path TEXT PRIMARY KEY, target TEXT NOT NULL, until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX forward_until ON forward (until)",
    """CREATE TABLE shown (
        video INTEGER PRIMARY KEY, facts TEXT NOT NULL, card BLOB NOT NULL, mini BLOB NOT NULL
    ) STRICT""",
    """CREATE TABLE page (
        path TEXT PRIMARY KEY, template TEXT NOT NULL, digest BLOB NOT NULL, size INTEGER NOT NULL,
        refresh INTEGER NOT NULL, reason TEXT NOT NULL, cause INTEGER
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE refresh (
        id INTEGER PRIMARY KEY, at INTEGER NOT NULL, since INTEGER NOT NULL,
        cursor INTEGER NOT NULL, receipt TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE packed (
        path TEXT PRIMARY KEY, digest BLOB NOT NULL
    ) STRICT, WITHOUT ROWID""",
)
