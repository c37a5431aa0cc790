"""Imported entries whose file has not come yet: they wait, and count when it does."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from generator.adapters.catalogue.rows import folded_name, from_sql
from generator.core.library.import_entries import (
    ImportEntry,
    ImportField,
    LibraryIndex,
    UnusableKeyError,
    parts_of,
)
from generator.core.model import Event, EventKind, Place, VideoId

SOURCE = "import"  # of imported events
_FIELDS = ("source", "key", "field", "value", "at", "visitor")
_KINDS = {
    ImportField.STARS: EventKind.RATED,
    ImportField.FAVORITE: EventKind.FAVORITED,
    ImportField.VIEWS: EventKind.VIEWED,
    ImportField.TOTAL_VIEWS: EventKind.VIEWED,
    ImportField.TAGS: EventKind.TAGGED,
    ImportField.REMOVED_TAGS: EventKind.UNTAGGED,
    ImportField.ADDED: EventKind.ADDED_DATE_SET,
}
# of a video and those merged into it: views that imports have added so far
_IMPORTED_VIEWS = """
    SELECT coalesce(sum(value ->> 'count'), 0) FROM event
    WHERE video IN (SELECT ?1 UNION ALL SELECT id FROM video WHERE merged_into = ?1)
    AND kind = 'Viewed' AND source = 'import' AND id NOT IN (SELECT event FROM undone)
"""

_TOTAL_VIEWS = "SELECT coalesce((SELECT count FROM views WHERE video = ?), 0)"
_SAME_STARS = "SELECT 1 FROM rating WHERE video = ? AND at = coalesce(?, at) AND stars = ?"
_SAME_VOTE = (
    "SELECT 1 FROM vote WHERE video = ? AND at = coalesce(?, at) AND stars = ? AND visitor = ?"
)
_SAME_FAVORITE = "SELECT 1 FROM favorite WHERE video = ? AND at = coalesce(?, at)"
_SAME_VISITOR_FAVORITE = (
    "SELECT 1 FROM visitor_favorite WHERE video = ? AND at = coalesce(?, at) AND visitor = ?"
)
_SAME_DATE = "SELECT 1 FROM video WHERE id = ? AND added_at = ?"
_USER_TAGS = "SELECT name FROM tag WHERE video = ? AND source = 'user' AND removed = ?"


@dataclass(frozen=True, slots=True)
class IdentifiedEntry:
    """An entry with the id of its event.

    `happened_at` is when it became so, or else when its source was written. `path` is its key,
    below the library if that is possible.
    """

    id: str
    entry: ImportEntry
    happened_at: int
    path: str


def deferral(identified: IdentifiedEntry, now: int, batch: str) -> Event:
    """Return the event that an entry waits for its file."""
    entry = identified.entry
    value = {
        "id": identified.id,
        "path": identified.path,
        "happened_at": identified.happened_at,
        **{name: getattr(entry, name) for name in _FIELDS},
    }
    return Event(
        f"deferred-{identified.id}",
        EventKind.IMPORT_DEFERRED,
        now,
        SOURCE,
        None,
        value,
        batch=batch,
    )


def event_for(
    connection: sqlite3.Connection, video: VideoId, identified: IdentifiedEntry, batch: str
) -> Event | None:
    """Return the event by which an entry counts for a video; None: it adds nothing.

    Of views only those are added that no import has added before, or that are not there.
    """
    entry, at = identified.entry, identified.happened_at
    if _is_so(connection, video, entry):
        return None
    value: dict[str, Any] = {}
    match entry.field:
        case ImportField.STARS:
            value = {"stars": entry.value}
        case ImportField.VIEWS | ImportField.TOTAL_VIEWS:
            is_total = entry.field is ImportField.TOTAL_VIEWS
            query = _TOTAL_VIEWS if is_total else _IMPORTED_VIEWS
            (before,) = connection.execute(query, (video,)).fetchone()
            assert isinstance(entry.value, int)
            if entry.value <= before:
                return None
            value = {"count": entry.value - before}
        case ImportField.TAGS | ImportField.REMOVED_TAGS:
            assert isinstance(entry.value, tuple)
            value = {"names": list(entry.value)}
        case ImportField.ADDED:
            value = {"added_at": entry.value}
        case ImportField.FAVORITE:
            pass
    if entry.visitor:
        value["visitor"] = entry.visitor
    return Event(
        identified.id, _KINDS[entry.field], at, SOURCE, video, value, at * 1_000_000, batch
    )


def _is_so(connection: sqlite3.Connection, video: VideoId, entry: ImportEntry) -> bool:
    """Return whether the catalogue has already what an entry tells, as after an own export."""
    query = _SAME_FAVORITE
    values: tuple[object, ...] = (video, entry.at)
    match entry.field:
        case ImportField.STARS if entry.visitor:
            query, values = _SAME_VOTE, (*values, entry.value, entry.visitor)
        case ImportField.STARS:
            query, values = _SAME_STARS, (*values, entry.value)
        case ImportField.FAVORITE if entry.visitor:
            query, values = _SAME_VISITOR_FAVORITE, (*values, entry.visitor)
        case ImportField.FAVORITE:
            pass
        case ImportField.ADDED:
            query, values = _SAME_DATE, (video, entry.value)
        case ImportField.TAGS | ImportField.REMOVED_TAGS:
            assert isinstance(entry.value, tuple)
            removed = entry.field is ImportField.REMOVED_TAGS
            rows = connection.execute(_USER_TAGS, (video, removed))
            return set(entry.value) <= {name for (name,) in rows}
        case ImportField.VIEWS | ImportField.TOTAL_VIEWS:
            return False
    return connection.execute(query, values).fetchone() is not None


def defer(connection: sqlite3.Connection, event: Event) -> None:
    """Have an entry wait, unless it counts already."""
    key = str(event.value["id"])
    row = connection.execute("SELECT 1 FROM event WHERE id = ?", (key,)).fetchone()
    if row is None:
        name = folded_name(parts_of(str(event.value["path"]))[-1])
        entry = json.dumps(event.value, separators=(",", ":"))
        connection.execute(
            "INSERT OR REPLACE INTO deferred_import VALUES (?, ?, ?, ?)",
            (key, name, entry, event.batch),
        )


def remove(connection: sqlite3.Connection, key: str) -> None:
    """Have an entry wait no more: it counts."""
    connection.execute("DELETE FROM deferred_import WHERE id = ?", (key,))


def withdraw(connection: sqlite3.Connection, event: Event) -> None:
    """Have an entry wait no more: its import was undone."""
    remove(connection, str(event.value["id"]))


def waiting(connection: sqlite3.Connection) -> Iterator[ImportEntry]:
    """Yield the entries that wait for their file, by key."""
    rows = connection.execute(
        "SELECT entry FROM deferred_import ORDER BY entry ->> 'key', entry ->> 'field', id"
    )
    for (text,) in rows:
        yield _identified(text).entry


def _identified(text: str) -> IdentifiedEntry:
    fields = json.loads(text)
    value = fields["value"]
    entry = ImportEntry(
        fields["source"],
        fields["key"],
        ImportField(fields["field"]),
        tuple(value) if isinstance(value, list) else value,
        fields["at"],
        fields["visitor"],
    )
    return IdentifiedEntry(fields["id"], entry, fields["happened_at"], fields["path"])


def events_for(connection: sqlite3.Connection, video: VideoId) -> Iterator[Event]:
    """Yield the events of the entries that waited for a video's file, which has come."""
    if connection.execute("SELECT 1 FROM deferred_import LIMIT 1").fetchone() is None:
        return
    (raw_path,) = connection.execute("SELECT path FROM video WHERE id = ?", (video,)).fetchone()
    name = folded_name(from_sql(raw_path))
    rows = connection.execute(
        "SELECT entry, batch FROM deferred_import WHERE folded_name = ? ORDER BY id", (name,)
    ).fetchall()
    if not rows:
        return
    index = LibraryIndex(_named(connection, name), {})
    waiting_here = [
        (identified, batch)
        for identified, batch in ((_identified(text), batch) for text, batch in rows)
        if _is_about(index, identified, video)
    ]
    nearest = nearest_keys(index, [(video, identified) for identified, _ in waiting_here])
    for identified, batch in waiting_here:
        event = None
        if identified in nearest:
            event = event_for(connection, video, identified, batch)
        if event is None:
            remove(connection, identified.id)
        else:
            yield event


def _is_about(index: LibraryIndex, identified: IdentifiedEntry, video: VideoId) -> bool:
    try:
        return index.find(identified.path) == video
    except UnusableKeyError:  # fits another video as well
        return False


def nearest_keys(
    index: LibraryIndex, entries: Iterable[tuple[VideoId, IdentifiedEntry]]
) -> set[IdentifiedEntry]:
    """Return the entries that count; of tags, those of all keys of a video do.

    A source may have several keys of one file: "a.mp4", "./a.mp4", "A.MP4". Of these the one
    nearest to the path of the file counts.
    """
    best: dict[tuple[object, ...], tuple[int, IdentifiedEntry]] = {}
    for video, identified in entries:
        entry = identified.entry
        is_set = entry.field in {ImportField.TAGS, ImportField.REMOVED_TAGS}
        about = (video, entry.field, entry.visitor, identified.id if is_set else "")
        distance = index.distance(entry.key, video)
        if about not in best or distance < best[about][0]:
            best[about] = distance, identified
    return {identified for _, identified in best.values()}


def _named(connection: sqlite3.Connection, name: str | bytes) -> dict[VideoId, Place]:
    rows = connection.execute(
        "SELECT id, root, path FROM video WHERE folded_name = ? AND path != ''", (name,)
    )
    return {VideoId(video): Place(root, from_sql(path)) for video, root, path in rows}
