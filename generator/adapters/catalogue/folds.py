"""What each kind of event does to the tables. Called inside the transaction that appends it.

A fold returns the video the event is about, and depends on nothing but the event and the tables.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from generator.adapters.catalogue.rows import to_sql
from generator.core.model import Happening, Kind, VideoId
from generator.core.votes import pulled_tenths

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
    visitor, stars = event.value.get("visitor"), event.value["stars"]
    if visitor is None:
        connection.execute(
            "INSERT OR REPLACE INTO rating VALUES (?, ?, ?)", (video, stars, event.at)
        )
        return video
    before = _vote(connection, video, visitor)
    connection.execute(
        "INSERT OR REPLACE INTO vote VALUES (?, ?, ?, ?)", (video, visitor, stars, event.at)
    )
    assert isinstance(stars, int)
    _count_votes(connection, video, votes=before is None, stars=stars - (before or 0))
    return video


def _unrated(connection: sqlite3.Connection, event: Happening) -> VideoId:
    video = _subject(event)
    visitor = event.value.get("visitor")
    if visitor is None:
        connection.execute("DELETE FROM rating WHERE video = ?", (video,))
        return video
    before = _vote(connection, video, visitor)
    if before is not None:
        connection.execute("DELETE FROM vote WHERE video = ? AND visitor = ?", (video, visitor))
        _count_votes(connection, video, votes=-1, stars=-before)
    return video


def _vote(connection: sqlite3.Connection, video: VideoId, visitor: object) -> int | None:
    row = connection.execute(
        "SELECT stars FROM vote WHERE video = ? AND visitor = ?", (video, visitor)
    ).fetchone()
    return int(row[0]) if row else None


def _count_votes(connection: sqlite3.Connection, video: VideoId, *, votes: int, stars: int) -> None:
    """Add so many votes and stars, and draw the video's mean anew.

    Towards the library's mean of this moment: the means of other videos stay as they were, or a
    vote would change them all.
    """
    connection.execute("UPDATE all_votes SET votes = votes + ?, total = total + ?", (votes, stars))
    all_votes, all_stars = connection.execute("SELECT votes, total FROM all_votes").fetchone()
    row = connection.execute("SELECT votes, total FROM score WHERE video = ?", (video,)).fetchone()
    here, total = (row or (0, 0))[0] + votes, (row or (0, 0))[1] + stars
    if not here:
        connection.execute("DELETE FROM score WHERE video = ?", (video,))
        return
    tenths = pulled_tenths(here, total, all_votes, all_stars)
    connection.execute(
        "INSERT OR REPLACE INTO score VALUES (?, ?, ?, ?)", (video, here, total, tenths)
    )


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
    visitor = event.value.get("visitor")
    if visitor is None:
        connection.execute("INSERT OR IGNORE INTO favorite VALUES (?, ?)", (video, event.at))
    else:
        connection.execute(
            "INSERT OR IGNORE INTO visitor_favorite VALUES (?, ?, ?)", (video, visitor, event.at)
        )
    return video


def _unfavorited(connection: sqlite3.Connection, event: Happening) -> VideoId:
    video = _subject(event)
    visitor = event.value.get("visitor")
    if visitor is None:
        connection.execute("DELETE FROM favorite WHERE video = ?", (video,))
    else:
        connection.execute(
            "DELETE FROM visitor_favorite WHERE video = ? AND visitor = ?", (video, visitor)
        )
    return video


def _tagged(connection: sqlite3.Connection, event: Happening) -> VideoId:
    return _mark(connection, _subject(event), _names(event), removed=0)


def _untagged(connection: sqlite3.Connection, event: Happening) -> VideoId:
    return _mark(connection, _subject(event), _names(event), removed=1)


def _retagged(connection: sqlite3.Connection, event: Happening) -> VideoId:
    video = _subject(event)
    wanted = _names(event)
    shown = connection.execute("SELECT name FROM shown_tag WHERE video = ?", (video,)).fetchall()
    _mark(connection, video, [name for (name,) in shown if name not in wanted], removed=1)
    return _mark(connection, video, wanted, removed=0)


def _names(event: Happening) -> Sequence[object]:
    names = event.value["names"] if "names" in event.value else [event.value["name"]]
    assert isinstance(names, list | tuple)
    return names


def _mark(
    connection: sqlite3.Connection, video: VideoId, names: Iterable[object], *, removed: int
) -> VideoId:
    """Note what the user says of tags; a removal outlives what every other source gives."""
    connection.executemany(
        "INSERT OR REPLACE INTO tag VALUES (?, ?, 'user', ?)",
        [(video, name, removed) for name in names],
    )
    return video


def _rebuild_asked(connection: sqlite3.Connection, event: Happening) -> None:
    """Change nothing: that it stands in the log is all the builder needs."""
    del connection, event


def _folder_tagged(connection: sqlite3.Connection, event: Happening) -> VideoId:
    video = _subject(event)
    _tag_from(connection, video, "folder", event.value["folder_tags"])
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
    Kind.RETAGGED: _retagged,
    Kind.FOLDER_TAGGED: _folder_tagged,
    Kind.REBUILD_ASKED: _rebuild_asked,
}
