"""The catalogue: the precious SQLite file with the event log and what it folds to.

Nothing else writes to it. An event and what it changes are written in one transaction; an id that
is already in the log changes nothing. Two processes may write: each waits for the other.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from secrets import randbelow
from typing import ClassVar
from uuid import uuid4

import sqlite_utils
from typing_extensions import override

from generator.adapters.catalogue import deferred_imports, event_log, log_compaction
from generator.adapters.catalogue.backup_record import restore_advice
from generator.adapters.catalogue.export_reader import ExportReader
from generator.adapters.catalogue.files import CatalogueFiles
from generator.adapters.catalogue.history import History, PastEvent, replay_until
from generator.adapters.catalogue.importing import ImportOutcome, ImportTarget, import_entries
from generator.adapters.catalogue.lost_database import (
    create_private,
    is_database,
    make_private,
    refuse_if_foreign,
    refuse_if_lost,
    write_mark,
)
from generator.adapters.catalogue.pending_jobs import Todo
from generator.adapters.catalogue.rows import (
    batches,
    stats_from_row,
    to_sql,
    video_from_row,
)
from generator.adapters.catalogue.salvage import SalvagedRows, SalvageReport, add_salvaged
from generator.adapters.catalogue.schema import JSON, TABLES, migrations, written_by_newer
from generator.adapters.catalogue.tokens import TokenStore
from generator.adapters.catalogue.written_nfo import WrittenNfo
from generator.adapters.integrity_check import CheckedFile, is_environment_error
from generator.core.errors import DamagedError, ReelshelfError, ReplacedError, SettingsError
from generator.core.library.import_entries import ImportEntry
from generator.core.model import (
    Event,
    EventKind,
    EventOutcome,
    EventVerdict,
    FileProblem,
    Place,
    RecordedEvent,
    Video,
    VideoId,
    VideoStats,
)

_BUSY_S = 10.0
_WAL_PAGES = 4000  # 16 MB: pages that many events touch are checkpointed once, not each time
_RANDOM_TRIES = 100  # for a random video; if all miss, few videos match, and those are listed

_TAGS = """
    (SELECT group_concat(name, char(10)) FROM
        (SELECT DISTINCT name FROM tag AS here WHERE here.video = video.id AND removed = 0
         AND NOT EXISTS (SELECT 1 FROM tag
             WHERE video = here.video AND name = here.name AND removed = 1) ORDER BY name))
    FROM video LEFT JOIN rating ON rating.video = video.id
    LEFT JOIN views ON views.video = video.id LEFT JOIN favorite ON favorite.video = video.id
    LEFT JOIN vote_summary ON vote_summary.video = video.id
"""
_VIDEO_COLUMNS = f"""
    video.id, slug, root, path, title, added_at, recorded_at, size_bytes,
    container, duration_s, width_px, height_px, fps, video_codec, audio_codec, poster,
    stars, count, favorite.at, votes, mean_tenths,
    codecs, pixel_format, fast_start, text_streams, start_s,
    description, is_markdown, creator, url, chapters, tracks, storyboard, rendition,
    recorded_offset_min, is_dated, season, episode, playlist_index, {_TAGS}
"""
_VERSION = "(SELECT max(seq) FROM event WHERE event.video = video.id)"
_STATS_COLUMNS = f"video.id, {_VERSION}, stars, votes, mean_tenths, count, favorite.at, {_TAGS}"

_BEFORE = """
    SELECT seq, kind, event.video, value, at, (SELECT dropped FROM video WHERE id = ?2)
    FROM (SELECT 1) LEFT JOIN event ON event.id = ?1
"""
_PROBE, _PROBE_BYTES = "probe", 64 * 1024  # as much as a batch of events


class Catalogue(CheckedFile, CatalogueFiles):
    """One open catalogue, for one thread; with `any_thread`, for any that only reads.

    Args:
        file: the database file; it is created if there never was one.
        durable: a commit waits until the data is on the disk (PRAGMA synchronous = FULL).
        any_thread: other threads than this one read, too.
        output_mark: the mark of the output folder, which may show that there was a catalogue.
        anew: one that is lost or empty is created again, without all that was recorded.

    Raises:
        LostCatalogueError: there was one, and it is gone or empty; nothing was created.
        SettingsError: the file cannot be opened, or was written by a newer reelshelf.
        DamagedError: it is damaged, or not a catalogue at all.
    """

    _KIND = "catalogue"
    _NAMES: ClassVar[tuple[str, ...]] = TABLES
    _JSON: ClassVar[tuple[tuple[str, str], ...]] = JSON
    _REMEDY = "with --salvage it adds all that can still be read; the file is left as it is"

    def __init__(
        self,
        file: Path,
        *,
        durable: bool = True,
        any_thread: bool = False,
        output_mark: Path | None = None,
        anew: bool = False,
    ) -> None:
        self._begin(file)
        if self._is_on_disk:
            if not anew:
                refuse_if_lost(file, output_mark)
            file.parent.mkdir(parents=True, exist_ok=True)
            with suppress(OSError):  # sqlite3 reports why
                create_private(file)
                if not is_database(file):  # SQLite would remove the log beside it
                    raise self._damaged("it is not a database")
        try:
            self._connection = sqlite3.connect(
                file, isolation_level=None, timeout=_BUSY_S, check_same_thread=not any_thread
            )
        except sqlite3.OperationalError as error:
            raise self._out_of_reach(error) from error
        try:
            self._open(file, output_mark, durable=durable, anew=anew)
        except sqlite3.DatabaseError as error:
            self._connection.close()
            if is_environment_error(error):
                raise self._out_of_reach(error) from error
            raise self._damaged(str(error)) from error
        except ReelshelfError:
            self._connection.close()
            raise

    def _begin(self, file: Path) -> None:
        self._file = file
        self._is_on_disk = str(file) != ":memory:"
        self._file_id: tuple[int, int] | None = None

    def _out_of_reach(self, error: Exception) -> SettingsError:
        return SettingsError(
            f"cannot open the catalogue {self._file}: {error}",
            hint="it and its folder have to be readable and writable, on a disk with free space",
        )

    def _open(self, file: Path, output_mark: Path | None, *, durable: bool, anew: bool) -> None:
        database = sqlite_utils.Database(self._connection, execute_plugins=False)
        if not refuse_if_foreign(database, file) and self._is_on_disk and not anew:
            refuse_if_lost(file, output_mark, has_no_tables=True)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._bound_log(_WAL_PAGES)
        self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        if written_by_newer(database):
            raise SettingsError(
                "the catalogue was written by a newer reelshelf",
                hint="upgrade reelshelf; nothing was changed",
            )
        if migrations.pending(database):
            with self._transaction():  # another process may be about to do the same
                migrations.apply(database)
        if self._is_on_disk:
            try:
                identity = self.identity()
            except TypeError as error:  # no such row
                raise self._damaged("it does not say which catalogue it is") from error
            make_private(file)
            write_mark(file, identity)
            self._file_id = _id_of(file)

    @override
    def _damaged(self, complaint: str) -> DamagedError:
        damaged = super()._damaged(complaint)
        damaged.hint = f"{restore_advice(self._file.parent)}; {self._REMEDY}"
        return damaged

    def is_replaced(self) -> bool:
        """Return whether the file was replaced or removed since it was opened."""
        return self._is_on_disk and self._file_id != _id_of(self._file)

    def require_current(self) -> None:
        """Require that the open file is still the one at its path.

        Raises:
            ReplacedError: the file was replaced, moved or deleted.
        """
        if self.is_replaced():
            raise ReplacedError(
                f"the catalogue {self._file} was replaced or removed while it was open",
                hint="start again: the new file is opened, and what it lacks is read again",
            )

    def copy(self) -> "Catalogue":
        """Return a copy of this catalogue, in memory."""
        connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.backup(connection)
        return self._over(connection)

    @classmethod
    def _over(cls, connection: sqlite3.Connection) -> "Catalogue":
        """Return a catalogue over a database in memory that has its tables."""
        catalogue = cls.__new__(cls)
        catalogue._begin(Path(":memory:"))  # noqa: SLF001 (our own)
        catalogue._connection = connection  # noqa: SLF001
        return catalogue

    def image(self) -> bytes:
        """Return the content of the database file as it is now."""
        return self._connection.serialize()

    @contextmanager
    def snapshot(self) -> Iterator[ExportReader]:
        """Yield a reader of one state of the catalogue, whatever is written meanwhile."""
        self._connection.execute("BEGIN")
        try:
            yield ExportReader(self._connection)
        finally:
            self._connection.execute("ROLLBACK")

    # -- the log

    def append(self, events: Iterable[Event]) -> tuple[RecordedEvent, ...]:
        """Append events to the log and fold them, in one transaction; all or none.

        Returns:
            One result each, in order; `new` is false for an id that was already in the log.
        """
        with self._transaction():
            return tuple(event_log.append(self._connection, event) for event in events)

    def record(self, events: Sequence[Event]) -> list[EventOutcome]:
        """Append the events that can be, in one transaction; the others are rejected one by one.

        Returns:
            One outcome each, in order, with the video's stats after all of them; without stats
            where the video has no pages.

        Raises:
            sqlite3.OperationalError: nothing could be written; nothing was.
        """
        with self._transaction():
            verdicts = [self._record(event) for event in events]
            stats = {row.id: row for row in self.stats({v for *_, v in verdicts if v})}
        return [
            EventOutcome(event.id, verdict, seq, at, stats.get(video) if video else None)
            for event, (verdict, seq, at, video) in zip(events, verdicts, strict=True)
        ]

    def add_salvaged(self, rows: SalvagedRows) -> SalvageReport:
        """Append the events of a damaged catalogue that this one lacks, in one transaction.

        Raises:
            SettingsError: they are not of one history; nothing was changed.
        """
        with self._transaction():
            return add_salvaged(
                self._connection,
                rows,
                lambda event: event_log.replay(self._connection, [event]),  # nothing waits twice
            )

    def _record(self, event: Event) -> tuple[EventVerdict, int, int, VideoId | None]:
        seq, kind, video, value, at, dropped = self._connection.execute(
            _BEFORE, (event.id, event.video)
        ).fetchone()
        into = self._whole_of(event.video) if dropped and event.video else event.video
        if seq is not None:  # a repeat, for the same video or for a copy that was merged into it
            same = kind == event.kind and (video and self._whole_of(video)) == into
            if same and json.loads(value) == event.value:
                return EventVerdict.REPEATED, seq, at, into
            return EventVerdict.ID_IN_USE, 0, 0, None
        if into != event.video:
            return self._record(replace(event, video=into))
        if event.video is not None and dropped != 0 and not self._waited(event):
            return EventVerdict.UNKNOWN_VIDEO, 0, 0, None
        recorded = event_log.insert(self._connection, event)
        return EventVerdict.RECORDED, recorded.seq, event.at, recorded.video

    def _waited(self, event: Event) -> bool:
        """Return whether an event may be about a video that had pages when it was sent."""
        row = self._connection.execute(
            "SELECT path != '' FROM video WHERE id = ?", (event.video,)
        ).fetchone()
        return event.occurred_at_us is not None and row is not None and bool(row[0])

    def _whole_of(self, video: VideoId) -> VideoId:
        """Return the video that this one was finally merged into, or itself."""
        while True:
            row = self._connection.execute(
                "SELECT merged_into FROM video WHERE id = ?", (video,)
            ).fetchone()
            if row is None or row[0] is None:
                return video
            video = VideoId(row[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException as error:
            if self._connection.in_transaction:  # a full disk may have ended it
                self._connection.execute("ROLLBACK")
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
                self._truncate_log()
            raise

    def import_entries(self, entries: Iterable[ImportEntry], target: ImportTarget) -> ImportOutcome:
        """Import entries of other programs; those without a video wait for their file.

        Raises:
            sqlite3.OperationalError: not all was written; the same import again completes it.
        """
        return import_entries(self._connection, self._transaction, entries, target)

    def waiting_imports(self) -> Iterator[ImportEntry]:
        """Yield the imported entries that wait for their file, by key."""
        return deferred_imports.waiting(self._connection)

    @property
    def history(self) -> History:
        """Return what people did."""
        return History(self._connection)

    def undo(self, events: Iterable[PastEvent], now: int, source: str) -> list[Event]:
        """Undo events by new ones, in one batch, and in transactions of limited length.

        One that was interrupted is completed by the same undo again.

        Returns:
            The new events.

        Raises:
            NothingToUndoError: none of them can be undone.
        """
        return self.history.undo(events, now, source, self._transaction)

    def redo(self, events: Iterable[PastEvent], now: int, source: str) -> list[Event]:
        """Have undone events count again, likewise.

        Raises:
            NothingToUndoError: none of them is undone.
        """
        return self.history.redo(events, now, source, self._transaction)

    def at(self, instant: int) -> "Catalogue":
        """Return the catalogue as it was at an instant, in memory; it takes the whole log."""
        past = event_log.empty_twin(self._connection)
        past.execute("BEGIN")
        replay_until(self._connection, past, instant)
        past.execute("COMMIT")
        return self._over(past)

    def last_event(self) -> int:
        """Return the number of the newest event, 0 if there is none."""
        row = self._connection.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()
        return int(row[0])

    def event_id(self, event: int) -> str:
        """Return the id of the event with that number, "" if there is none."""
        row = self._connection.execute("SELECT id FROM event WHERE seq = ?", (event,)).fetchone()
        return str(row[0]) if row else ""

    def is_before(self, event: int, key: str) -> bool:
        """Return whether this catalogue is older than an event, or has another history.

        Old views are removed from the log; that does not make it an older one.
        """
        row = self._connection.execute("SELECT id FROM event WHERE seq = ?", (event,)).fetchone()
        if row is not None or not event:
            return bool(event) and row[0] != key
        newest = self._connection.execute(
            "SELECT seq FROM sqlite_sequence WHERE name = 'event'"
        ).fetchone()
        return newest is None or newest[0] < event

    def event_by_id(self, key: str) -> tuple[int, Event] | None:
        """Return an event and its number."""
        row = self._connection.execute(
            "SELECT seq, kind, video, value, at, source FROM event WHERE id = ?", (key,)
        ).fetchone()
        if row is None:
            return None
        seq, kind, video, value, at, source = row
        return seq, Event(key, EventKind(kind), at, source, video, json.loads(value))

    def foreign_version(self) -> int:
        """Return a number that changes whenever another connection wrote to the file."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def schema_version(self) -> int:
        """Return SQLite's counter of schema changes."""
        return int(self._connection.execute("PRAGMA schema_version").fetchone()[0])

    def asked_since(self, event: int) -> tuple[bool, bool]:
        """Return whether later events request a scan of the library, and a full rebuild."""
        rows = self._connection.execute(
            "SELECT value FROM event WHERE seq > ? AND kind = ?", (event, EventKind.REBUILD_ASKED)
        ).fetchall()
        return bool(rows), any(json.loads(value).get("full") for (value,) in rows)

    def only_views_since(self, event: int) -> bool:
        """Return whether all later events are views."""
        row = self._connection.execute(
            "SELECT 1 FROM event WHERE seq > ? AND kind != ? LIMIT 1", (event, EventKind.VIEWED)
        ).fetchone()
        return row is None

    def identity(self) -> str:
        """Return the unique id of this catalogue."""
        row = self._connection.execute("SELECT value FROM fact WHERE name = 'identity'").fetchone()
        return str(row[0])

    def changed_since(self, event: int) -> dict[VideoId, int]:
        """Return the videos that later events are about, with the last event of each."""
        rows = self._connection.execute(
            "SELECT video, max(seq) FROM event WHERE seq > ? AND +video IS NOT NULL"
            " GROUP BY +video",  # the plus keeps SQLite to the few events after the cursor
            (event,),
        )
        return {VideoId(video): seq for video, seq in rows}

    def kinds_between(self, since: int, event: int) -> dict[str, int]:
        """Return how many events of each kind there are after `since`, up to `event`."""
        rows = self._connection.execute(
            "SELECT kind, count(*) FROM event WHERE seq > ? AND seq <= ? GROUP BY kind",
            (since, event),
        )
        return dict(rows.fetchall())

    def requests_between(self, since: int, event: int, most: int) -> list[str]:
        """Return the ids of requests whose events are after `since`, up to `event`."""
        rows = self._connection.execute(
            "SELECT request_id FROM event WHERE seq > ? AND seq <= ?"
            " AND request_id IS NOT NULL ORDER BY seq LIMIT ?",
            (since, event, most),
        )
        return [str(request) for (request,) in rows]

    def oldest_after(self, event: int) -> int | None:
        """Return the instant of the first event after a number, None if there is none."""
        row = self._connection.execute(
            "SELECT at FROM event WHERE seq > ? ORDER BY seq LIMIT 1", (event,)
        ).fetchone()
        return None if row is None else int(row[0])

    def instants_of_last(self, most: int) -> list[tuple[str, int]]:
        """Return (kind, instant) of the last events, newest first."""
        return self._connection.execute(
            "SELECT kind, at FROM event ORDER BY seq DESC LIMIT ?", (most,)
        ).fetchall()

    def fact_of(self, name: str) -> str:
        """Return a fact, "" if there is none."""
        row = self._connection.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def events_of(self, video: VideoId, limit: int) -> list[tuple[int, str, str, int, str]]:
        """Return (number, kind, value, instant, source) of a video's last events, newest first."""
        rows = self._connection.execute(
            "SELECT seq, kind, value, at, source FROM event WHERE video = ?"
            " ORDER BY seq DESC LIMIT ?",
            (video, limit),
        )
        return list(rows)

    def compact(self, now: int, cursor: int, most: int = 5000) -> int:
        """Replace old views before `cursor` by counts per day; return how many events it passed."""
        with self._transaction():
            return log_compaction.compact(self._connection, now, cursor, most)

    def viewed(self, video: VideoId) -> list[tuple[str, int]]:
        """Return (day, views) of the days whose views are no longer in the log."""
        rows = self._connection.execute(
            "SELECT day, count FROM views_by_day WHERE video = ? ORDER BY day", (video,)
        )
        return list(rows)

    # -- stats, tokens and notes

    @property
    def todo(self) -> Todo:
        """Return the background work that is still to be done."""
        return Todo(self._connection)

    @property
    def tokens(self) -> TokenStore:
        """Return the tokens, ended sessions and salts."""
        return TokenStore(self._connection)

    @property
    def written_nfo(self) -> WrittenNfo:
        """Return the record of the .nfo files that were written into the library."""
        return WrittenNfo(self._connection)

    def stats(self, ids: Iterable[VideoId]) -> list[VideoStats]:
        """Return the stats of the videos among `ids` that have pages, ascending."""
        stats: list[VideoStats] = []
        for batch in batches(sorted(ids)):
            marks = ",".join("?" * len(batch))
            query = (
                f"SELECT {_STATS_COLUMNS} WHERE dropped = 0 AND video.id IN ({marks}) ORDER BY 1"
            )
            stats += map(stats_from_row, self._connection.execute(query, batch))
        return stats

    def mark_of(self, video: VideoId, visitor: str) -> tuple[int | None, bool]:
        """Return the stars a visitor gave, and whether the video is a favorite of theirs."""
        row = self._connection.execute(
            "SELECT (SELECT stars FROM vote WHERE video = ?1 AND visitor = ?2),"
            " EXISTS (SELECT 1 FROM visitor_favorite WHERE video = ?1 AND visitor = ?2)",
            (video, visitor),
        ).fetchone()
        return row[0], bool(row[1])

    def name_of(self, video: VideoId) -> tuple[str, str] | None:
        """Return the slug and the title of a video that has pages."""
        row = self._connection.execute(
            "SELECT slug, title FROM video WHERE id = ? AND dropped = 0", (video,)
        ).fetchone()
        return (row[0], row[1]) if row else None

    def random(
        self, *, tag: str | None = None, favorite: bool = False, stars: int = 0
    ) -> VideoId | None:
        """Return a random video that has pages, all equally likely; None if none matches.

        Args:
            tag: a tag that it has to show.
            favorite: it has to be a favorite of the owner.
            stars: the least number of stars the owner gave; 0: any.
        """
        hit, among = "dropped = 0", "SELECT id FROM video"
        if stars:
            hit += " AND EXISTS (SELECT 1 FROM rating WHERE video = id AND stars >= :stars)"
            among = "SELECT video FROM rating WHERE stars >= :stars"
        if favorite:
            hit += " AND EXISTS (SELECT 1 FROM favorite WHERE video = id)"
            among = "SELECT video FROM favorite"
        if tag is not None:
            hit += (
                " AND EXISTS (SELECT 1 FROM tag WHERE video = id AND name = :tag AND NOT removed)"
                " AND NOT EXISTS (SELECT 1 FROM tag WHERE video = id AND name = :tag AND removed)"
            )
            among = "SELECT video FROM tag WHERE name = :tag"
        return self._drawn(hit, among, {"tag": tag, "stars": stars})

    def _drawn(self, hit: str, among: str, values: dict[str, object]) -> VideoId | None:
        """Return a random `hit` of those `among`; random ids are tried first, as most are hits."""
        highest = self._connection.execute("SELECT max(id) FROM video").fetchone()[0]
        query = f"SELECT id FROM video WHERE id = :id AND {hit}"  # noqa: S608 (literals above)
        for _ in range(_RANDOM_TRIES if highest else 0):
            parameters = {**values, "id": randbelow(highest) + 1}
            row = self._connection.execute(query, parameters).fetchone()
            if row is not None:
                return VideoId(row[0])
        row = self._connection.execute(
            f"SELECT id FROM video WHERE id IN ({among}) AND {hit}"  # noqa: S608 (likewise)
            " ORDER BY random() LIMIT 1",
            values,
        ).fetchone()
        return VideoId(row[0]) if row else None

    def noted(self, name: str) -> str:
        """Return the value stored under a name, "" if there is none."""
        row = self._connection.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def note(self, name: str, value: str) -> None:
        """Store a value under a name."""
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))

    def advance_scan_clock(self, now: int, most_s: int) -> None:
        """Add the time since the last full scan to the scan clock, at most `most_s` seconds of it.

        A wall clock that went back adds nothing.
        """
        clock_s, last = int(self.noted("scan_clock_s") or 0), int(self.noted("scan_at") or now)
        with self._transaction():
            self._connection.executemany(
                "INSERT OR REPLACE INTO fact VALUES (?, ?)",
                [
                    ("scan_clock_s", str(clock_s + min(max(now - last, 0), most_s))),
                    ("scan_at", str(now)),
                ],
            )

    def try_lock(self) -> None:
        """Check that the file is writable now; nothing is written.

        Raises:
            sqlite3.OperationalError: another process holds the lock, or it is read-only.
        """
        with self._transaction():
            pass

    def try_room(self) -> None:
        """Check that there is room for some events: that much is written and deleted again.

        Raises:
            sqlite3.OperationalError: nothing can be written.
        """
        self.note(_PROBE, "x" * _PROBE_BYTES)
        with self._transaction():
            self._connection.execute("DELETE FROM fact WHERE name = ?", (_PROBE,))

    # -- videos

    def shown(self, ids: Iterable[VideoId] | None = None) -> Iterator[Video]:
        """Yield the videos that have pages: all, or those among `ids`, ascending."""
        if ids is None:
            query = f"SELECT {_VIDEO_COLUMNS} WHERE dropped = 0 ORDER BY video.id"
            yield from map(video_from_row, self._connection.execute(query))
            return
        for batch in batches(sorted(ids)):
            marks = ",".join("?" * len(batch))
            query = (
                f"SELECT {_VIDEO_COLUMNS} WHERE dropped = 0 AND video.id IN ({marks}) ORDER BY 1"
            )
            yield from map(video_from_row, self._connection.execute(query, batch))

    def shown_after(self, video: int, limit: int) -> list[VideoId]:
        """Return the ids of up to `limit` videos that have pages, ascending, after `video`."""
        rows = self._connection.execute(
            "SELECT id FROM video WHERE id > ? AND dropped = 0 ORDER BY id LIMIT ?", (video, limit)
        )
        return [VideoId(row[0]) for row in rows]

    def counts(self) -> dict[str, int]:
        """Return how many videos, missing ones, problems and events there are."""
        queries = {
            "videos": "SELECT count(*) FROM video WHERE dropped = 0",
            "missing": "SELECT count(*) FROM video WHERE missing_at IS NOT NULL AND path != ''",
            "problems": "SELECT count(*) FROM problem WHERE stage != 'sound'",
            "events": "SELECT count(*) FROM event",
        }
        return {
            name: int(self._connection.execute(query).fetchone()[0])
            for name, query in queries.items()
        }

    def find(self, place: Place) -> VideoId | None:
        """Return the video whose file is, or was last, at a place."""
        row = self._connection.execute(
            "SELECT id FROM video WHERE root = ? AND path = ?"
            " ORDER BY missing_at IS NOT NULL, id DESC",
            (place.root, to_sql(place.path)),
        ).fetchone()
        return VideoId(row[0]) if row else None

    def forget_problems(self, problems: Iterable[FileProblem], now: int) -> None:
        """Record a request to try these files again."""
        self.append(
            Event(
                uuid4().hex,
                EventKind.FILE_CLEARED,
                now,
                "retry",
                value={"root": problem.place.root, "path": problem.place.path},
            )
            for problem in problems
        )


def _id_of(file: Path) -> tuple[int, int] | None:
    """Return the (device, inode) of a file, None if there is none."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
