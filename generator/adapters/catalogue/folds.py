"""What each kind of event does to the tables. Called inside the transaction that appends it.

A fold returns the video the event is about, and depends on nothing but the event and the tables.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from generator.adapters.catalogue.rows import to_sql
from generator.core.model import Happening, Kind, VideoId

Fold = Callable[[sqlite3.Connection, Happening], VideoId | None]

_FILE = ("root", "path", "size_bytes", "mtime_ns", "fingerprint")
_PROBE = (
    "container", "duration_s", "width_px", "height_px", "fps", "video_codec", "audio_codec",
    "recorded_at",
)  # fmt: skip
_FOUND = ("slug", "title", "added_at", *_FILE, *_PROBE)


def _found(connection: sqlite3.Connection, event: Happening) -> VideoId:
    columns, values = _columns(event.value, _FOUND)
    marks = ", ".join("?" * len(columns))
    cursor = connection.execute(
        f"INSERT INTO video (id, {', '.join(columns)})"  # noqa: S608 (names are constants above)
        f" VALUES ((SELECT coalesce(max(id), 0) + 1 FROM video), {marks})",
        values,
    )
    assert cursor.lastrowid is not None
    video = VideoId(cursor.lastrowid)
    _tag_from(connection, video, "folder", event.value.get("folder_tags"))
    _clear(connection, event)
    return video


def _changed(connection: sqlite3.Connection, event: Happening) -> VideoId:
    video = _update(connection, event, (*_FILE, *_PROBE))
    if event.value.get("other_content"):
        connection.execute("UPDATE video SET poster = NULL WHERE id = ?", (video,))
    _clear(connection, event)
    return video


def _moved(connection: sqlite3.Connection, event: Happening) -> VideoId:
    video = _update(connection, event, ("title", *_FILE))
    _tag_from(connection, video, "folder", event.value.get("folder_tags"))
    _clear(connection, event)
    return video


def _missing(connection: sqlite3.Connection, event: Happening) -> VideoId:
    video = _subject(event)
    connection.execute("UPDATE video SET missing_at = ? WHERE id = ?", (event.at, video))
    return video


def _returned(connection: sqlite3.Connection, event: Happening) -> VideoId:
    video = _subject(event)
    connection.execute("UPDATE video SET missing_at = NULL, dropped = 0 WHERE id = ?", (video,))
    _changed(connection, event)
    return _moved(connection, event)


def _dropped(connection: sqlite3.Connection, event: Happening) -> VideoId:
    video = _subject(event)
    connection.execute("UPDATE video SET dropped = 1, poster = NULL WHERE id = ?", (video,))
    return video


def _poster_made(connection: sqlite3.Connection, event: Happening) -> VideoId:
    video = _subject(event)
    connection.execute(
        "UPDATE video SET poster = ? WHERE id = ?",
        (json.dumps(event.value["poster"], separators=(",", ":")), video),
    )
    return video


def _poster_failed(connection: sqlite3.Connection, event: Happening) -> VideoId:
    video = _subject(event)
    connection.execute(
        "INSERT OR REPLACE INTO problem SELECT root, path, size_bytes, mtime_ns, 'poster', ?, ?"
        " FROM video WHERE id = ?",
        (event.value["reason"], event.at, video),
    )
    return video


def _refused(connection: sqlite3.Connection, event: Happening) -> None:
    value = event.value
    connection.execute(
        "INSERT OR REPLACE INTO problem VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            value["root"],
            _sql_path(value),
            value["size_bytes"],
            value["mtime_ns"],
            value["stage"],
            value["reason"],
            event.at,
        ),
    )


def _clear(connection: sqlite3.Connection, event: Happening) -> None:
    connection.execute(
        "DELETE FROM problem WHERE root = ? AND path = ?",
        (event.value["root"], _sql_path(event.value)),
    )


def _rated(connection: sqlite3.Connection, event: Happening) -> VideoId:
    video = _subject(event)
    connection.execute(
        "INSERT OR REPLACE INTO rating VALUES (?, ?, ?)", (video, event.value["stars"], event.at)
    )
    return video


def _unrated(connection: sqlite3.Connection, event: Happening) -> VideoId:
    video = _subject(event)
    connection.execute("DELETE FROM rating WHERE video = ?", (video,))
    return video


def _viewed(connection: sqlite3.Connection, event: Happening) -> VideoId:
    video = _subject(event)
    connection.execute(
        "INSERT INTO views VALUES (?, ?, ?) ON CONFLICT (video) DO UPDATE"
        " SET count = count + excluded.count, last_at = max(last_at, excluded.last_at)",
        (video, event.value.get("count", 1), event.at),
    )
    return video


def _favorited(connection: sqlite3.Connection, event: Happening) -> VideoId:
    video = _subject(event)
    connection.execute("INSERT OR IGNORE INTO favorite VALUES (?, ?)", (video, event.at))
    return video


def _unfavorited(connection: sqlite3.Connection, event: Happening) -> VideoId:
    video = _subject(event)
    connection.execute("DELETE FROM favorite WHERE video = ?", (video,))
    return video


def _tagged(connection: sqlite3.Connection, event: Happening) -> VideoId:
    return _mark(connection, event, removed=0)


def _untagged(connection: sqlite3.Connection, event: Happening) -> VideoId:
    return _mark(connection, event, removed=1)


def _mark(connection: sqlite3.Connection, event: Happening, *, removed: int) -> VideoId:
    """Note what the user says of a tag; a removal outlives what every other source gives."""
    video = _subject(event)
    connection.execute(
        "INSERT OR REPLACE INTO tag VALUES (?, ?, 'user', ?)",
        (video, event.value["name"], removed),
    )
    return video


def _tag_from(connection: sqlite3.Connection, video: VideoId, source: str, names: object) -> None:
    assert isinstance(names, list | tuple)
    connection.execute("DELETE FROM tag WHERE video = ? AND source = ?", (video, source))
    connection.executemany(
        "INSERT OR IGNORE INTO tag VALUES (?, ?, ?, 0)", [(video, name, source) for name in names]
    )


def _update(connection: sqlite3.Connection, event: Happening, allowed: tuple[str, ...]) -> VideoId:
    video = _subject(event)
    columns, values = _columns(event.value, allowed)
    assignments = ", ".join(f"{column} = ?" for column in columns)
    connection.execute(
        f"UPDATE video SET {assignments} WHERE id = ?",  # noqa: S608 (names are constants above)
        (*values, video),
    )
    return video


def _columns(
    value: Mapping[str, object], allowed: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[Any, ...]]:
    columns = tuple(name for name in allowed if name in value)
    return columns, tuple(_sql_path(value) if c == "path" else value[c] for c in columns)


def _sql_path(value: Mapping[str, object]) -> str | bytes:
    return to_sql(str(value["path"]))


def _subject(event: Happening) -> VideoId:
    assert event.video is not None, f"{event.kind} is always about a video"
    return event.video


FOLDS: dict[Kind, Fold] = {
    Kind.VIDEO_FOUND: _found,
    Kind.VIDEO_CHANGED: _changed,
    Kind.VIDEO_MOVED: _moved,
    Kind.VIDEO_MISSING: _missing,
    Kind.VIDEO_RETURNED: _returned,
    Kind.VIDEO_DROPPED: _dropped,
    Kind.POSTER_MADE: _poster_made,
    Kind.POSTER_FAILED: _poster_failed,
    Kind.FILE_REFUSED: _refused,
    Kind.FILE_CLEARED: _clear,
    Kind.RATED: _rated,
    Kind.UNRATED: _unrated,
    Kind.VIEWED: _viewed,
    Kind.FAVORITED: _favorited,
    Kind.UNFAVORITED: _unfavorited,
    Kind.TAGGED: _tagged,
    Kind.UNTAGGED: _untagged,
}
