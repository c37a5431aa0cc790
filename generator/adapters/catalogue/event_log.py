"""The event log: an event and what it changes are written together, within a transaction.

Events that arrive late take their place in the order in which they happened, and undone ones count
no more. Both fold again what came after, by the same code that folded it first.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import lru_cache

from generator.adapters.catalogue import deferred_imports
from generator.adapters.catalogue.projections import FOLDS, count_votes
from generator.core.model import OPINIONS, UNDOABLE, Event, EventKind, RecordedEvent, VideoId

# Opinions on a video, or on one that was merged into it, given after an event that arrived late.
# Those written to the catalogue directly have no `occurred_at_us`: they come last in their second.
_ORDER = "coalesce(occurred_at_us, at * 1000000 + 999999)"
_OPINIONS_AFTER = f"""
    SELECT id, kind, value, at, source FROM event
    WHERE video IN (SELECT ?1 UNION ALL SELECT id FROM video WHERE merged_into = ?1)
    AND kind IN ('Rated', 'Unrated', 'Favorited', 'Unfavorited', 'Tagged', 'Untagged', 'Retagged')
    AND {_ORDER} >= ?2 AND ({_ORDER} > ?2 OR occurred_at_us IS NULL OR id > ?3)
    AND id NOT IN (SELECT event FROM undone)
    ORDER BY {_ORDER}, occurred_at_us IS NULL, CASE WHEN occurred_at_us IS NULL THEN seq ELSE id END
"""  # noqa: S608 (literals above)
_FAMILY = "(SELECT ?1 UNION ALL SELECT id FROM video WHERE merged_into = ?1)"
_HISTORY = f"""
    SELECT seq, id, kind, video, value, at, source, occurred_at_us, batch FROM event
    WHERE video IN {_FAMILY} AND id NOT IN (SELECT event FROM undone) ORDER BY seq
"""  # noqa: S608 (likewise)
_LAST_VIEW = f"""
    SELECT max(at) FROM (
        SELECT at FROM event WHERE video IN {_FAMILY} AND kind = 'Viewed'
        AND id NOT IN (SELECT event FROM undone)
        UNION ALL SELECT unixepoch(day) FROM views_by_day WHERE video = ?1
    )
"""  # noqa: S608 (likewise)
# what the opinions on a video depend on
_REPLAYED = OPINIONS | {
    EventKind.VIDEO_FOUND, EventKind.VIDEO_CHANGED, EventKind.VIDEO_MOVED,
    EventKind.VIDEO_RETURNED, EventKind.VIDEO_MERGED, EventKind.VIDEO_FORGOTTEN,
    EventKind.VIDEO_DESCRIBED, EventKind.FOLDER_TAGGED, EventKind.ADDED_DATE_SET,
}  # fmt: skip
_NEW_PLACES = frozenset(
    {EventKind.VIDEO_FOUND, EventKind.VIDEO_MOVED, EventKind.VIDEO_RETURNED}
)  # a deferred import may wait for them
_json = json.JSONEncoder(separators=(",", ":")).encode
Row = tuple[int, str, str, int | None, str, int, str, int | None, str | None]


def append(connection: sqlite3.Connection, event: Event) -> RecordedEvent:
    """Append an event and fold it, unless its id is in the log."""
    row = connection.execute("SELECT seq, video FROM event WHERE id = ?", (event.id,)).fetchone()
    if row is not None:
        return RecordedEvent(row[0], row[1], new=False)
    return insert(connection, event)


def insert(connection: sqlite3.Connection, event: Event) -> RecordedEvent:
    """Append an event with a new id and fold it; then what waited for it."""
    recorded = _insert(connection, event)
    if event.kind in _NEW_PLACES and recorded.video is not None:
        for waiting in deferred_imports.events_for(connection, recorded.video):
            append(connection, waiting)
    return recorded


def _insert(connection: sqlite3.Connection, event: Event) -> RecordedEvent:
    video = _fold(connection, event)
    if event.occurred_at_us is not None and event.kind in OPINIONS:
        _fold_again(connection, event)
    cursor = connection.execute(
        "INSERT INTO event (id, kind, video, value, at, source, occurred_at_us, batch, request_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            event.id,
            event.kind,
            video,
            _json(event.value),
            event.at,
            event.source,
            event.occurred_at_us,
            event.batch or None,
            event.request_id or None,
        ),
    )
    assert cursor.lastrowid is not None
    return RecordedEvent(cursor.lastrowid, video, new=True)


def _fold(connection: sqlite3.Connection, event: Event) -> VideoId | None:
    match event.kind:
        case EventKind.EVENT_UNDONE:
            return _undo(connection, event)
        case EventKind.EVENT_REDONE:
            return _redo(connection, event)
        case EventKind.IMPORT_DEFERRED:
            deferred_imports.defer(connection, event)
            return None
        case _:
            if event.source == deferred_imports.SOURCE:
                deferred_imports.remove(connection, event.id)
            return FOLDS[event.kind](connection, event)


def _fold_again(connection: sqlite3.Connection, late: Event) -> None:
    """Fold again the opinions given after one that arrived late: the last one given counts."""
    after = connection.execute(_OPINIONS_AFTER, (late.video, late.occurred_at_us, late.id))
    for key, kind, value, at, source in after.fetchall():
        event = Event(key, EventKind(kind), at, source, late.video, json.loads(value))
        FOLDS[event.kind](connection, event)


def events_in(rows: Iterable[Row]) -> Iterator[Event]:
    """Yield the events of rows of the log."""
    for _, key, kind, video, value, at, source, occurred_at_us, batch in rows:
        yield Event(
            key,
            EventKind(kind),
            at,
            source,
            None if video is None else VideoId(video),
            json.loads(value),
            occurred_at_us,
            batch or "",
        )


def replay(connection: sqlite3.Connection, events: Iterable[Event]) -> None:
    """Fold the events of a log once more, in an empty catalogue; imports wait for nothing."""
    for event in events:
        _insert(connection, event)


# -- undo


def _undo(connection: sqlite3.Connection, event: Event) -> VideoId | None:
    """Have an event count no more; nothing changes if it is undone already, or unknown."""
    target = _target(connection, event)
    if target is None or _is_undone(connection, target.id):
        return event.video
    connection.execute("INSERT INTO undone VALUES (?)", (target.id,))
    return _count_anew(connection, target, sign=-1)


def _redo(connection: sqlite3.Connection, event: Event) -> VideoId | None:
    """Have an undone event count again."""
    target = _target(connection, event)
    if target is None or not _is_undone(connection, target.id):
        return event.video
    connection.execute("DELETE FROM undone WHERE event = ?", (target.id,))
    return _count_anew(connection, target, sign=1)


def _target(connection: sqlite3.Connection, event: Event) -> Event | None:
    rows = connection.execute(
        "SELECT seq, id, kind, video, value, at, source, occurred_at_us, batch FROM event"
        " WHERE id = ?",
        (event.value.get("event"),),
    ).fetchall()
    target = next(events_in(rows), None)
    return target if target is not None and target.kind in UNDOABLE else None


def _is_undone(connection: sqlite3.Connection, key: str) -> bool:
    row = connection.execute("SELECT 1 FROM undone WHERE event = ?", (key,)).fetchone()
    return row is not None


def _count_anew(connection: sqlite3.Connection, target: Event, *, sign: int) -> VideoId | None:
    if target.kind is EventKind.IMPORT_DEFERRED:
        deferred_imports.withdraw(connection, target) if sign < 0 else deferred_imports.defer(
            connection, target
        )
        return None
    assert target.video is not None, "people's events are about a video"
    row = connection.execute(
        "SELECT merged_into, path FROM video WHERE id = ?", (target.video,)
    ).fetchone()
    if row is None:  # a look at a time before the video was found
        return target.video
    merged, path = row
    video = target.video if merged is None else VideoId(merged)
    if merged is None and not path:
        return video  # it is forgotten, and all that was recorded of it
    if target.kind is EventKind.VIEWED:
        _count_views(connection, video, sign * _count_of(target))
    else:
        _refold(connection, video, target)
    return video


def _count_of(view: Event) -> int:
    count = view.value.get("count", 1)
    assert isinstance(count, int)
    return count


def _count_views(connection: sqlite3.Connection, video: VideoId, more: int) -> None:
    (last,) = connection.execute(_LAST_VIEW, (video,)).fetchone()
    if more > 0:
        connection.execute("INSERT INTO views VALUES (?, 0, 0) ON CONFLICT DO NOTHING", (video,))
    connection.execute(
        "UPDATE views SET count = count + ?, last_at = coalesce(?, last_at) WHERE video = ?",
        (more, last, video),
    )
    connection.execute("DELETE FROM views WHERE video = ? AND count <= 0", (video,))


def _refold(connection: sqlite3.Connection, video: VideoId, target: Event) -> None:
    """Bring what `target` is about to what it is without undone events."""
    rows = connection.execute(_HISTORY, (video,)).fetchall()
    with closing(empty_twin(connection)) as twin:
        replay(twin, (event for event in events_in(rows) if event.kind in _REPLAYED))
        visitor = target.value.get("visitor")
        match target.kind:
            case EventKind.RATED | EventKind.UNRATED if visitor is not None:
                _copy_vote(connection, twin, video, visitor)
            case EventKind.RATED | EventKind.UNRATED:
                _copy_rows(connection, twin, "rating", "video = ?", (video,))
            case EventKind.FAVORITED | EventKind.UNFAVORITED if visitor is not None:
                where = "video = ? AND visitor = ?"
                _copy_rows(connection, twin, "visitor_favorite", where, (video, visitor))
            case EventKind.FAVORITED | EventKind.UNFAVORITED:
                _copy_rows(connection, twin, "favorite", "video = ?", (video,))
            case EventKind.ADDED_DATE_SET:
                added = twin.execute("SELECT added_at FROM video WHERE id = ?", (video,)).fetchone()
                connection.execute(
                    "UPDATE video SET added_at = coalesce(?, added_at) WHERE id = ?",
                    (added and added[0], video),
                )
            case _:
                _copy_rows(connection, twin, "tag", "video = ? AND source = 'user'", (video,))


def empty_twin(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return an empty database with the same tables, in memory."""
    statements = connection.execute(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
        " ORDER BY type != 'table', rowid"
    )
    twin = sqlite3.connect(":memory:", isolation_level=None)
    twin.deserialize(_empty_image(tuple(statement for (statement,) in statements)))
    return twin


@lru_cache(maxsize=1)
def _empty_image(statements: tuple[str, ...]) -> bytes:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as empty:
        for statement in statements:
            empty.execute(statement)
        empty.execute("INSERT INTO vote_totals VALUES (1, 0, 0)")
        return empty.serialize()


def _copy_rows(
    connection: sqlite3.Connection,
    twin: sqlite3.Connection,
    table: str,
    condition: str,
    values: tuple[object, ...],
) -> None:
    connection.execute(f"DELETE FROM {table} WHERE {condition}", values)  # noqa: S608 (literals)
    rows = twin.execute(f"SELECT * FROM {table} WHERE {condition}", values).fetchall()  # noqa: S608
    if rows:
        marks = ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608


def _copy_vote(
    connection: sqlite3.Connection, twin: sqlite3.Connection, video: VideoId, visitor: object
) -> None:
    query = "SELECT stars FROM vote WHERE video = ? AND visitor = ?"
    before = connection.execute(query, (video, visitor)).fetchone()
    after = twin.execute(query, (video, visitor)).fetchone()
    _copy_rows(connection, twin, "vote", "video = ? AND visitor = ?", (video, visitor))
    if before != after:
        count_votes(
            connection,
            video,
            votes=bool(after) - bool(before),
            stars=(after[0] if after else 0) - (before[0] if before else 0),
        )
