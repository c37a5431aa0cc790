"""The tables of the catalogue, created by migrations that are never edited, only added to.

The names of migrations stand in every catalogue: a migration that is renamed makes it unreadable.
"""

from contextlib import closing

import sqlite_utils
from sqlite_utils.migrations import Migrations

from generator.adapters.catalogue.rows import folded_name, from_sql

migrations = Migrations("catalogue")

TABLES = (
    "video", "event", "rating", "views", "favorite", "tag", "problem", "fact", "vote",
    "visitor_favorite", "vote_summary", "vote_totals", "token", "views_by_day", "field", "undone",
    "deferred_import",
)  # fmt: skip
JSON = (
    ("event", "value"), ("video", "poster"), ("video", "chapters"), ("video", "tracks"),
    ("video", "storyboard"), ("video", "rendition"), ("deferred_import", "entry"),
)  # fmt: skip


@migrations(name="first_tables")
def create_catalogue_tables(db: sqlite_utils.Database) -> None:
    """Create the tables of version 0.1."""
    for statement in _TABLES:
        db.execute(statement)


@migrations()
def other_peoples_votes(db: sqlite_utils.Database) -> None:
    """Create the tables of version 0.2: what visitors do, and the tokens of the owner."""
    for statement in _TABLES_FOR_VISITORS:
        db.execute(statement)


@migrations()
def views_by_day(db: sqlite_utils.Database) -> None:
    """Create the table of old views, counted by day instead of logged one by one."""
    db.execute(
        """CREATE TABLE viewed (
            video INTEGER NOT NULL, day TEXT NOT NULL, count INTEGER NOT NULL,
            PRIMARY KEY (video, day)
        ) STRICT, WITHOUT ROWID"""
    )


@migrations()
def what_sources_say(db: sqlite_utils.Database) -> None:
    """Create what version 0.3 added: fields by source, storyboards and renditions."""
    for statement in _TABLES_FOR_SOURCES:
        db.execute(statement)


@migrations()
def order_of_opinions(db: sqlite_utils.Database) -> None:
    """Add when queued events were sent, and an index to find the opinions given after one."""
    db.execute("ALTER TABLE event ADD COLUMN told_us INTEGER")
    db.execute(
        "CREATE INDEX event_order ON event (video, coalesce(told_us, at * 1000000 + 999999))"
        " WHERE kind IN ('Rated', 'Unrated', 'Favorited', 'Unfavorited',"
        " 'Tagged', 'Untagged', 'Retagged')"
    )


@migrations()
def clocks_that_begin_late(db: sqlite_utils.Database) -> None:
    """Add the timestamp at which a video begins."""
    db.execute("ALTER TABLE video ADD COLUMN start_s REAL NOT NULL DEFAULT 0")


@migrations()
def days_and_numbers(db: sqlite_utils.Database) -> None:
    """Add UTC offsets of dates, whether a video has a date, and episode numbers."""
    for statement in _COLUMNS_FOR_DAYS:
        db.execute(statement)


@migrations()
def rename_columns_and_tables(db: sqlite_utils.Database) -> None:
    """Rename columns and tables, and give what was in a bit mask or a magic value its own."""
    for statement in _NAMES:
        db.execute(statement)


@migrations()
def scan_clock(db: sqlite_utils.Database) -> None:
    """Add when a video went missing by the scan clock: see `CatalogueFiles.missing_for`."""
    db.execute("ALTER TABLE video ADD COLUMN missing_clock_s INTEGER")


@migrations()
def undo_and_imports(db: sqlite_utils.Database) -> None:
    """Add batches of events, which events are undone, and imports that wait for their file."""
    for statement in _TABLES_FOR_UNDO:
        db.execute(statement)
    videos = db.execute("SELECT id, path FROM video WHERE path != ''").fetchall()
    db.conn.executemany(
        "UPDATE video SET folded_name = ? WHERE id = ?",
        ((folded_name(from_sql(path)), video) for video, path in videos),
    )


_TABLES_FOR_UNDO = (
    # of its file, in lower case and NFC, as `rows.folded_name` returns it; "" for forgotten ones
    "ALTER TABLE video ADD COLUMN folded_name ANY NOT NULL DEFAULT ''",
    "CREATE INDEX video_folded_name ON video (folded_name)",
    "ALTER TABLE event ADD COLUMN batch TEXT",  # null: it is undone alone
    "CREATE INDEX event_batch ON event (batch, seq) WHERE batch IS NOT NULL",
    """CREATE INDEX event_by_people ON event (seq) WHERE (kind IN ('Rated', 'Unrated',
        'Favorited', 'Unfavorited', 'Tagged', 'Untagged', 'Retagged', 'AddedDateSet',
        'ImportDeferred', 'EventUndone', 'EventRedone') OR batch IS NOT NULL)""",
    "CREATE TABLE undone (event TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",  # ids of events
    """CREATE TABLE deferred_import (
        id TEXT PRIMARY KEY, -- of the event that it becomes
        folded_name ANY NOT NULL, -- of the file it waits for
        entry TEXT NOT NULL, batch TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX deferred_import_name ON deferred_import (folded_name)",
)


@migrations()
def viewer_tokens(db: sqlite_utils.Database) -> None:
    """Add viewers' tokens, which may expire and have a secret address of the feeds."""
    db.execute("ALTER TABLE token ADD COLUMN is_viewer INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE token ADD COLUMN expires_at INTEGER")
    db.execute("ALTER TABLE token ADD COLUMN feed_digest TEXT")


@migrations()
def request_ids(db: sqlite_utils.Database) -> None:
    """Add by which request an event came, as logs have it; null for none."""
    db.execute("ALTER TABLE event ADD COLUMN request_id TEXT")


_NAMES = (
    "ALTER TABLE event RENAME COLUMN told_us TO occurred_at_us",
    "ALTER TABLE viewed RENAME TO views_by_day",
    "ALTER TABLE score RENAME TO vote_summary",
    "ALTER TABLE vote_summary RENAME COLUMN total TO stars_total",
    "ALTER TABLE vote_summary RENAME COLUMN tenths TO mean_tenths",
    "ALTER TABLE all_votes RENAME TO vote_totals",
    "ALTER TABLE vote_totals RENAME COLUMN one TO id",
    "ALTER TABLE vote_totals RENAME COLUMN total TO stars_total",
    # null: the sidecars are read again at the next scan
    "ALTER TABLE video ADD COLUMN sidecar_digest TEXT DEFAULT ''",
    "UPDATE video SET sidecar_digest = nullif(companions, '?') WHERE companions != ''",
    "DROP INDEX video_companions",
    "ALTER TABLE video DROP COLUMN companions",
    "CREATE INDEX video_sidecars ON video (root, path) WHERE sidecar_digest != ''",
    # 1: it was made or extracted, or cannot be
    "ALTER TABLE video ADD COLUMN storyboard_tried INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE video ADD COLUMN subtitles_tried INTEGER NOT NULL DEFAULT 1",
    "UPDATE video SET storyboard_tried = enriched & 1, subtitles_tried = enriched >> 1 & 1",
    "DROP INDEX video_enriched",
    "ALTER TABLE video DROP COLUMN enriched",
    """CREATE INDEX video_without_storyboard ON video (added_at)
        WHERE storyboard_tried = 0 AND missing_at IS NULL""",
    """CREATE INDEX video_without_subtitles ON video (added_at)
        WHERE subtitles_tried = 0 AND missing_at IS NULL""",
    "DROP INDEX video_need",
    "ALTER TABLE video RENAME COLUMN rendered TO rendition_tried",
    "ALTER TABLE video RENAME COLUMN need TO playability",
    """CREATE INDEX video_playability ON video (playability, added_at)
        WHERE playability != '' AND rendition_tried = 0 AND missing_at IS NULL""",
    """UPDATE video SET poster = json_remove(json_set(poster, '$.color', poster ->> '$.colour'),
        '$.colour') WHERE poster IS NOT NULL""",
    "UPDATE fact SET name = 'compacted' WHERE name = 'thinned'",
    "UPDATE problem SET stage = 'incomplete' WHERE stage = 'copy'",
)


_COLUMNS_FOR_DAYS = (
    "ALTER TABLE video ADD COLUMN recorded_offset_min INTEGER",  # east of UTC; null: unknown
    "ALTER TABLE video ADD COLUMN is_dated INTEGER NOT NULL DEFAULT 0",  # 0: by the file's time
    "ALTER TABLE video ADD COLUMN season INTEGER",
    "ALTER TABLE video ADD COLUMN episode INTEGER",
    "ALTER TABLE video ADD COLUMN playlist_index INTEGER",
    """INSERT OR IGNORE INTO field SELECT video, 'recorded_offset_min', 'file', 0 FROM field
        WHERE name = 'recorded_at' AND source = 'file'""",
    """UPDATE video SET is_dated = 1 WHERE EXISTS (SELECT 1 FROM field
        WHERE field.video = video.id AND name = 'recorded_at' AND source != 'file')""",
    "UPDATE video SET recorded_offset_min = 0 WHERE is_dated = 0",
)


_TABLES = (
    """CREATE TABLE video (
        id INTEGER PRIMARY KEY, slug TEXT NOT NULL, root TEXT NOT NULL,
        path ANY NOT NULL, -- TEXT; a BLOB where the name is not UTF-8
        title TEXT NOT NULL, added_at INTEGER NOT NULL, recorded_at INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, fingerprint TEXT NOT NULL,
        container TEXT NOT NULL, duration_s REAL, width_px INTEGER, height_px INTEGER, fps REAL,
        video_codec TEXT, audio_codec TEXT,
        poster TEXT, -- JSON: digest, widths_px, width_px, height_px, colour
        missing_at INTEGER, -- since when its file is gone
        dropped INTEGER NOT NULL DEFAULT 0 -- 1: its pages are gone too
    ) STRICT""",
    "CREATE INDEX video_place ON video (root, path)",  # not unique: two files may swap names
    "CREATE INDEX video_fingerprint ON video (fingerprint)",
    "CREATE INDEX video_without_poster ON video (id) WHERE poster IS NULL",
    "CREATE INDEX video_missing ON video (missing_at) WHERE missing_at IS NOT NULL",
    """CREATE TABLE event (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
        video INTEGER REFERENCES video (id), value TEXT NOT NULL, at INTEGER NOT NULL,
        source TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX event_video ON event (video, seq)",
    """CREATE TABLE rating (
        video INTEGER PRIMARY KEY, stars INTEGER NOT NULL, at INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE views (
        video INTEGER PRIMARY KEY, count INTEGER NOT NULL, last_at INTEGER NOT NULL
    ) STRICT""",
    "CREATE TABLE favorite (video INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT",
    """CREATE TABLE tag (
        video INTEGER NOT NULL, name TEXT NOT NULL, source TEXT NOT NULL,
        removed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (video, name, source)
    ) STRICT, WITHOUT ROWID""",
    """CREATE VIEW shown_tag AS SELECT DISTINCT video, name FROM tag AS here
        WHERE removed = 0 AND NOT EXISTS (
            SELECT 1 FROM tag WHERE video = here.video AND name = here.name AND removed = 1)""",
    """CREATE TABLE problem (
        root TEXT NOT NULL, path ANY NOT NULL, size_bytes INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL, stage TEXT NOT NULL, reason TEXT NOT NULL,
        at INTEGER NOT NULL, PRIMARY KEY (root, path)
    ) STRICT, WITHOUT ROWID""",
    "CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    "INSERT INTO fact VALUES ('identity', lower(hex(randomblob(16))))",
)

_TABLES_FOR_VISITORS = (
    """CREATE TABLE vote (
        video INTEGER NOT NULL, visitor TEXT NOT NULL, stars INTEGER NOT NULL,
        at INTEGER NOT NULL, PRIMARY KEY (video, visitor)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE visitor_favorite (
        video INTEGER NOT NULL, visitor TEXT NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (video, visitor)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE score (
        video INTEGER PRIMARY KEY, votes INTEGER NOT NULL, total INTEGER NOT NULL,
        tenths INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE all_votes (
        one INTEGER PRIMARY KEY CHECK (one = 1), votes INTEGER NOT NULL, total INTEGER NOT NULL
    ) STRICT""",
    "INSERT INTO all_votes VALUES (1, 0, 0)",
    """CREATE TABLE token (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL UNIQUE,
        created_at INTEGER NOT NULL, revoked_at INTEGER
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX tag_name ON tag (name)",  # a random video with a tag
)


_TABLES_FOR_SOURCES = (
    """CREATE TABLE field (
        video INTEGER NOT NULL, name TEXT NOT NULL, source TEXT NOT NULL, value ANY NOT NULL,
        PRIMARY KEY (video, name, source)
    ) STRICT, WITHOUT ROWID""",
    "INSERT INTO field SELECT id, 'title', 'file', title FROM video",
    "INSERT INTO field SELECT id, 'recorded_at', 'file', recorded_at FROM video",
    # the shown value of each field above
    "ALTER TABLE video ADD COLUMN description TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE video ADD COLUMN is_markdown INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE video ADD COLUMN creator TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE video ADD COLUMN url TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE video ADD COLUMN chapters TEXT",  # JSON: [start_s, title] each
    "ALTER TABLE video ADD COLUMN tracks TEXT",  # JSON: language, label, forced, sdh, digest each
    # more of the probe, and its version (`stills.PROBE_VERSION`)
    "ALTER TABLE video ADD COLUMN codecs TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE video ADD COLUMN pixel_format TEXT",
    "ALTER TABLE video ADD COLUMN fast_start INTEGER",
    "ALTER TABLE video ADD COLUMN text_streams INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE video ADD COLUMN probed INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE video ADD COLUMN need TEXT NOT NULL DEFAULT ''",  # playability.need
    # what was generated from it
    "ALTER TABLE video ADD COLUMN storyboard TEXT",  # JSON, as model.Storyboard
    "ALTER TABLE video ADD COLUMN rendition TEXT",  # JSON, as model.Rendition
    "ALTER TABLE video ADD COLUMN enriched INTEGER NOT NULL DEFAULT 2",  # 1: board, 2: subtitles
    "ALTER TABLE video ADD COLUMN rendered INTEGER NOT NULL DEFAULT 0",  # 1: a rendition was tried
    "ALTER TABLE video ADD COLUMN companions TEXT NOT NULL DEFAULT ''",  # digest of its sidecars
    "ALTER TABLE video ADD COLUMN merged_into INTEGER",  # the video that this copy was merged into
    "CREATE INDEX video_companions ON video (root) WHERE companions != ''",
    """CREATE INDEX video_enriched ON video (enriched, added_at)
        WHERE enriched != 3 AND missing_at IS NULL""",
    """CREATE INDEX video_need ON video (need, added_at)
        WHERE need != '' AND rendered = 0 AND missing_at IS NULL""",
    "CREATE INDEX video_probed ON video (probed) WHERE missing_at IS NULL",
    "CREATE INDEX video_merged ON video (merged_into) WHERE merged_into IS NOT NULL",
)


def written_by_newer(database: sqlite_utils.Database) -> bool:
    """Return whether the catalogue has a migration that this release does not know."""
    if "_sqlite_migrations" not in database.table_names():
        return False
    with closing(sqlite_utils.Database(memory=True)) as empty:
        names = {migration.name for migration in migrations.pending(empty)}  # all there are
    return any(migration.name not in names for migration in migrations.applied(database))
