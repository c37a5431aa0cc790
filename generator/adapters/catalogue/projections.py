"""What each kind of event does to the tables. Called inside the transaction that appends it.

A fold returns the video the event is about, and depends on nothing but the event and the tables.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from generator.adapters.catalogue import field_sources
from generator.adapters.catalogue.rows import folded_name, to_sql
from generator.core.formatting import normalize_tag
from generator.core.library import unfinished
from generator.core.model import SIDECAR, Event, EventKind, MetadataSource, VideoId
from generator.core.ratings import pulled_tenths

Fold = Callable[[sqlite3.Connection, Event], VideoId | None]

_FILE = ("root", "path", "size_bytes", "mtime_ns", "fingerprint")
_PROBE = (
    "container", "duration_s", "width_px", "height_px", "fps", "video_codec", "audio_codec",
    "recorded_at", "codecs", "pixel_format", "fast_start", "text_streams", "start_s", "probed",
    "playability", "sidecar_digest",
)  # fmt: skip
_INSERTED = ("slug", "title", "added_at", *_FILE, *_PROBE)


def _insert_video(connection: sqlite3.Connection, event: Event) -> VideoId:
    columns, values = _columns(event.value, _INSERTED)
    marks = ", ".join("?" * len(columns))
    cursor = connection.execute(
        f"INSERT INTO video (id, {', '.join(columns)})"  # noqa: S608 (names are constants above)
        f" VALUES (coalesce(?, (SELECT coalesce(max(id), 0) + 1 FROM video)), {marks})",
        (event.video, *values),  # a replay gives it the id that it had
    )
    assert cursor.lastrowid is not None
    video = VideoId(cursor.lastrowid)
    field_sources.put(
        connection,
        video,
        MetadataSource.FILE,
        event.value,
        field_sources.OF_SOURCE[MetadataSource.FILE],
    )
    _described_by(connection, video, event)
    _tag_from(connection, video, "folder", event.value.get("folder_tags"))
    _to_enrich(connection, video)
    _clear(connection, event)
    return video


def _changed(connection: sqlite3.Connection, event: Event) -> VideoId:
    video = _update(connection, event, (*_FILE, *_PROBE))
    if event.value.get("other_content"):
        connection.execute(
            "UPDATE video SET poster = NULL, storyboard = NULL, rendition = NULL,"
            " rendition_tried = 0 WHERE id = ?",
            (video,),
        )
        field_sources.put(connection, video, MetadataSource.EMBEDDED, {}, ("tracks",))
        _to_enrich(connection, video)
    if "recorded_at" in event.value:
        recorded = ("recorded_at", "recorded_offset_min")
        field_sources.put(connection, video, MetadataSource.FILE, event.value, recorded)
    _described_by(connection, video, event)
    _clear(connection, event)
    return video


def _moved(connection: sqlite3.Connection, event: Event) -> VideoId:
    video = _update(connection, event, _FILE)
    field_sources.put(connection, video, MetadataSource.FILE, event.value, ("title",))
    named = event.value.get("named")
    if named is not None:
        assert isinstance(named, Mapping)
        field_sources.put(
            connection,
            video,
            MetadataSource.NAME,
            named,
            field_sources.OF_SOURCE[MetadataSource.NAME],
        )
    field_sources.show_strongest(connection, video)
    _tag_from(connection, video, "folder", event.value.get("folder_tags"))
    _clear(connection, event)
    return video


def _described(connection: sqlite3.Connection, event: Event) -> VideoId:
    """Store a video's metadata, and the result of the probe if it ran again."""
    video = _subject(event)
    if event.value.get("text_streams"):
        connection.execute(
            "UPDATE video SET subtitles_tried = 0 WHERE id = ? AND text_streams = 0", (video,)
        )
    if set(_PROBE) & event.value.keys():
        _update(connection, event, _PROBE)
    _described_by(connection, video, event)
    return video


def _described_by(connection: sqlite3.Connection, video: VideoId, event: Event) -> None:
    """Store the metadata of each source, and update the fields that are shown.

    `details` of the event maps each source that was read to its metadata; a source that is only
    named in `read` has none any more.
    """
    sources = event.value.get("details")
    if sources is not None:
        assert isinstance(sources, Mapping)
        names = event.value["read"]
        assert isinstance(names, list | tuple)
        for source in map(MetadataSource, names):
            metadata = sources.get(source, {})
            field_sources.put(connection, video, source, metadata, field_sources.OF_SOURCE[source])
            if source is not MetadataSource.BESIDE:
                _tag_from(connection, video, source, metadata.get("tags", ()))
    field_sources.show_strongest(connection, video)


def _to_enrich(connection: sqlite3.Connection, video: VideoId) -> None:
    """Have a storyboard made, and the subtitles inside the file extracted if there are any."""
    connection.execute(
        "UPDATE video SET storyboard_tried = 0, subtitles_tried = text_streams = 0 WHERE id = ?",
        (video,),
    )


def _enriched(connection: sqlite3.Connection, event: Event) -> VideoId:
    """Note a storyboard, or that there can be none; and embedded subtitles, if requested."""
    video = _subject(event)
    if "storyboard" in event.value:
        connection.execute(
            "UPDATE video SET storyboard = ?, storyboard_tried = 1 WHERE id = ?",
            (_json(event.value["storyboard"]), video),
        )
    if "tracks" in event.value:
        field_sources.put(connection, video, MetadataSource.EMBEDDED, event.value, ("tracks",))
        field_sources.show_strongest(connection, video)
        connection.execute("UPDATE video SET subtitles_tried = 1 WHERE id = ?", (video,))
    return video


def _not_enriched(connection: sqlite3.Connection, event: Event) -> VideoId:
    video = _subject(event)
    connection.execute(
        "UPDATE video SET storyboard_tried = 1, subtitles_tried = 1 WHERE id = ?", (video,)
    )
    return _complain(connection, video, event, "storyboard")


def _board_dropped(connection: sqlite3.Connection, event: Event) -> VideoId:
    """Have storyboard and embedded subtitles extracted again: their files were lost."""
    video = _subject(event)
    connection.execute("UPDATE video SET storyboard = NULL WHERE id = ?", (video,))
    field_sources.put(connection, video, MetadataSource.EMBEDDED, {}, ("tracks",))
    field_sources.show_strongest(connection, video)
    _to_enrich(connection, video)
    return video


def _rendered(connection: sqlite3.Connection, event: Event) -> VideoId:
    video = _subject(event)
    connection.execute(
        "UPDATE video SET rendition = ?, rendition_tried = 1 WHERE id = ?",
        (_json(event.value["rendition"]), video),
    )
    return video


def _not_rendered(connection: sqlite3.Connection, event: Event) -> VideoId:
    video = _subject(event)
    connection.execute("UPDATE video SET rendition_tried = 1 WHERE id = ?", (video,))
    return _complain(connection, video, event, "rendition")


def _rendition_dropped(connection: sqlite3.Connection, event: Event) -> VideoId:
    video = _subject(event)
    connection.execute(
        "UPDATE video SET rendition = NULL, rendition_tried = 0 WHERE id = ?", (video,)
    )
    return video


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value, separators=(",", ":"))


def _missing(connection: sqlite3.Connection, event: Event) -> VideoId:
    video = _subject(event)
    connection.execute(
        "UPDATE video SET missing_at = ?, missing_clock_s ="
        " coalesce((SELECT CAST(value AS INTEGER) FROM fact WHERE name = 'scan_clock_s'), 0)"
        " WHERE id = ?",
        (event.at, video),
    )
    return video


def _returned(connection: sqlite3.Connection, event: Event) -> VideoId:
    video = _subject(event)
    connection.execute("UPDATE video SET missing_at = NULL, dropped = 0 WHERE id = ?", (video,))
    _changed(connection, event)
    return _moved(connection, event)


def _dropped(connection: sqlite3.Connection, event: Event) -> VideoId:
    video = _subject(event)
    connection.execute(
        "UPDATE video SET dropped = 1, poster = NULL, storyboard = NULL, rendition = NULL,"
        " rendition_tried = 0, sidecar_digest = NULL WHERE id = ?",
        (video,),
    )
    field_sources.put(connection, video, MetadataSource.BESIDE, {}, ("tracks",))
    field_sources.put(connection, video, MetadataSource.EMBEDDED, {}, ("tracks",))
    field_sources.show_strongest(connection, video)
    _to_enrich(connection, video)
    return video


def _merged(connection: sqlite3.Connection, event: Event) -> VideoId:
    """Merge a copy into the video that `into` names: its ratings, views and tags go there."""
    video, into = _subject(event), event.value["into"]
    assert isinstance(into, int)
    votes = connection.execute(
        "SELECT visitor, stars, at FROM vote WHERE video = ?", (video,)
    ).fetchall()
    for table, columns, which, last in _OPINIONS:
        connection.execute(
            f"INSERT INTO {table} SELECT ?, {columns} FROM {table}"  # noqa: S608
            f" WHERE video = ? AND {which} ON CONFLICT {last}",
            (into, video),
        )
    connection.execute(
        "INSERT INTO views SELECT ?, count, last_at FROM views WHERE video = ?"
        " ON CONFLICT (video) DO UPDATE SET count = count + excluded.count,"
        " last_at = max(last_at, excluded.last_at)",
        (into, video),
    )
    connection.execute(
        "INSERT INTO views_by_day SELECT ?, day, count FROM views_by_day WHERE video = ?"
        " ON CONFLICT (video, day) DO UPDATE SET count = count + excluded.count",
        (into, video),
    )
    _forget_opinions(connection, video)  # before its votes move: none counts twice
    for visitor, stars, at in votes:
        _take_vote(connection, VideoId(into), visitor, stars, at)
    _forget_file(connection, video, event.at)
    connection.execute(
        "UPDATE video SET merged_into = ? WHERE ? IN (id, merged_into)", (into, video)
    )
    return video


def _take_vote(
    connection: sqlite3.Connection, video: VideoId, visitor: str, stars: int, at: int
) -> None:
    """Count a visitor's vote for a copy, unless the same visitor voted later."""
    before = connection.execute(
        "SELECT stars, at FROM vote WHERE video = ? AND visitor = ?", (video, visitor)
    ).fetchone()
    if before is None or before[1] < at:
        connection.execute(
            "INSERT OR REPLACE INTO vote VALUES (?, ?, ?, ?)", (video, visitor, stars, at)
        )
        less = before[0] if before else 0
        count_votes(connection, video, votes=before is None, stars=stars - less)


_LATER = "DO UPDATE SET stars = excluded.stars, at = excluded.at WHERE excluded.at > rating.at"
# Ratings, favorites and users' tags of a video; what is only counted is merged apart.
# On conflict the later rating, the first favorite and the video's own tag win.
_OPINIONS = (
    ("rating", "stars, at", "TRUE", "(video) " + _LATER),
    ("favorite", "at", "TRUE", "DO NOTHING"),
    ("visitor_favorite", "visitor, at", "TRUE", "DO NOTHING"),
    ("tag", "name, source, removed", "source = 'user'", "DO NOTHING"),
)


def _forgotten(connection: sqlite3.Connection, event: Event) -> VideoId:
    """Forget a video that is missing for too long; its id is never used again."""
    video = _subject(event)
    _forget_opinions(connection, video)
    _forget_file(connection, video, event.at)
    connection.execute("UPDATE video SET title = '', slug = 'video' WHERE id = ?", (video,))
    return video


def _forget_opinions(connection: sqlite3.Connection, video: VideoId) -> None:
    for visitor, stars in connection.execute(
        "SELECT visitor, stars FROM vote WHERE video = ?", (video,)
    ).fetchall():
        connection.execute("DELETE FROM vote WHERE video = ? AND visitor = ?", (video, visitor))
        count_votes(connection, video, votes=-1, stars=-stars)
    for table in (
        "rating",
        "views",
        "views_by_day",
        "favorite",
        "visitor_favorite",
        "tag",
        "field",
    ):
        connection.execute(f"DELETE FROM {table} WHERE video = ?", (video,))  # noqa: S608


def _forget_file(connection: sqlite3.Connection, video: VideoId, at: int) -> None:
    """Match no file to this video again, and drop its pages."""
    connection.execute(
        "UPDATE video SET path = '', folded_name = '', fingerprint = '', dropped = 1,"
        " sidecar_digest = '', missing_at = coalesce(missing_at, ?), poster = NULL,"
        " storyboard = NULL,"
        " rendition = NULL, description = '', creator = '', url = '', chapters = NULL,"
        " tracks = NULL, storyboard_tried = 1, subtitles_tried = 1, playability = '' WHERE id = ?",
        (at, video),
    )


def _poster_made(connection: sqlite3.Connection, event: Event) -> VideoId:
    video = _subject(event)
    connection.execute(
        "UPDATE video SET poster = ? WHERE id = ?",
        (json.dumps(event.value["poster"], separators=(",", ":")), video),
    )
    return video


def _poster_failed(connection: sqlite3.Connection, event: Event) -> VideoId:
    return _complain(connection, _subject(event), event, "poster")


def _complain(connection: sqlite3.Connection, video: VideoId, event: Event, stage: str) -> VideoId:
    """Note a problem of a video's file; one that is already noted is graver and stays."""
    connection.execute(
        "INSERT OR IGNORE INTO problem SELECT root, path, size_bytes, mtime_ns, ?, ?, ?"
        " FROM video WHERE id = ?",
        (stage, event.value["reason"], event.at, video),
    )
    return video


def _refused(connection: sqlite3.Connection, event: Event) -> None:
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


def _clear(connection: sqlite3.Connection, event: Event) -> None:
    connection.execute(
        "DELETE FROM problem WHERE root = ? AND path = ?",
        (event.value["root"], _sql_path(event.value)),
    )


def _cleared(connection: sqlite3.Connection, event: Event) -> None:
    """Delete a problem, and have what failed for its file tried again.

    A sidecar does not name its video: all videos with sidecars in its folder are read again.
    """
    key = (event.value["root"], _sql_path(event.value))
    stage = connection.execute(
        "SELECT stage FROM problem WHERE root = ? AND path = ?", key
    ).fetchone()
    _clear(connection, event)
    if stage == (unfinished.STAGE,):  # a truncated video was taken: report it again
        connection.execute(
            "UPDATE video SET sidecar_digest = NULL"
            " WHERE root = ? AND path = ? AND missing_at IS NULL",
            key,
        )
    if stage == (SIDECAR,):
        folder = str(event.value["path"]).rpartition("/")[0]
        low, high = (f"{folder}/", f"{folder}0") if folder else ("", "\U0010ffff")
        connection.execute(
            "UPDATE video SET sidecar_digest = NULL WHERE root = ? AND path >= ? AND path < ?"
            " AND sidecar_digest != '' AND missing_at IS NULL",
            (key[0], to_sql(low), to_sql(high)),
        )
    connection.execute(
        "UPDATE video SET rendition_tried = rendition IS NOT NULL,"
        " storyboard_tried = storyboard_tried AND storyboard IS NOT NULL, subtitles_tried ="
        " CASE WHEN storyboard IS NULL THEN text_streams = 0 ELSE subtitles_tried END"
        " WHERE root = ? AND path = ? AND missing_at IS NULL",
        key,
    )


def _rated(connection: sqlite3.Connection, event: Event) -> VideoId:
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
    count_votes(connection, video, votes=before is None, stars=stars - (before or 0))
    return video


def _unrated(connection: sqlite3.Connection, event: Event) -> VideoId:
    video = _subject(event)
    visitor = event.value.get("visitor")
    if visitor is None:
        connection.execute("DELETE FROM rating WHERE video = ?", (video,))
        return video
    before = _vote(connection, video, visitor)
    if before is not None:
        connection.execute("DELETE FROM vote WHERE video = ? AND visitor = ?", (video, visitor))
        count_votes(connection, video, votes=-1, stars=-before)
    return video


def _vote(connection: sqlite3.Connection, video: VideoId, visitor: object) -> int | None:
    row = connection.execute(
        "SELECT stars FROM vote WHERE video = ? AND visitor = ?", (video, visitor)
    ).fetchone()
    return int(row[0]) if row else None


def count_votes(connection: sqlite3.Connection, video: VideoId, *, votes: int, stars: int) -> None:
    """Add votes and stars, and recompute the video's mean, weighted towards the library's.

    The means of other videos stay as they are, although the library's changed: else each vote
    would change them all.
    """
    connection.execute(
        "UPDATE vote_totals SET votes = votes + ?, stars_total = stars_total + ?", (votes, stars)
    )
    all_votes, all_stars = connection.execute(
        "SELECT votes, stars_total FROM vote_totals"
    ).fetchone()
    row = connection.execute(
        "SELECT votes, stars_total FROM vote_summary WHERE video = ?", (video,)
    ).fetchone()
    here, total = (row or (0, 0))[0] + votes, (row or (0, 0))[1] + stars
    if not here:
        connection.execute("DELETE FROM vote_summary WHERE video = ?", (video,))
        return
    tenths = pulled_tenths(here, total, all_votes, all_stars)
    connection.execute(
        "INSERT OR REPLACE INTO vote_summary VALUES (?, ?, ?, ?)", (video, here, total, tenths)
    )


def _viewed(connection: sqlite3.Connection, event: Event) -> VideoId:
    video = _subject(event)
    connection.execute(
        "INSERT INTO views VALUES (?, ?, ?) ON CONFLICT (video) DO UPDATE"
        " SET count = count + excluded.count, last_at = max(last_at, excluded.last_at)",
        (video, event.value.get("count", 1), event.at),
    )
    return video


def _favorited(connection: sqlite3.Connection, event: Event) -> VideoId:
    video = _subject(event)
    visitor = event.value.get("visitor")
    if visitor is None:
        connection.execute("INSERT OR REPLACE INTO favorite VALUES (?, ?)", (video, event.at))
    else:
        connection.execute(
            "INSERT OR REPLACE INTO visitor_favorite VALUES (?, ?, ?)", (video, visitor, event.at)
        )
    return video


def _unfavorited(connection: sqlite3.Connection, event: Event) -> VideoId:
    video = _subject(event)
    visitor = event.value.get("visitor")
    if visitor is None:
        connection.execute("DELETE FROM favorite WHERE video = ?", (video,))
    else:
        connection.execute(
            "DELETE FROM visitor_favorite WHERE video = ? AND visitor = ?", (video, visitor)
        )
    return video


def _tagged(connection: sqlite3.Connection, event: Event) -> VideoId:
    return _mark(connection, _subject(event), _names(event), removed=0)


def _untagged(connection: sqlite3.Connection, event: Event) -> VideoId:
    video, names = _subject(event), _names(event)
    spellings = {normalize_tag(str(name)) for name in names}
    rows = connection.execute("SELECT DISTINCT name FROM tag WHERE video = ?", (video,))
    # stored tags may have the spelling of an older version
    same = {name for (name,) in rows if name in names or normalize_tag(name) in spellings}
    return _mark(connection, video, sorted(same | spellings - {""}), removed=1)


def _retagged(connection: sqlite3.Connection, event: Event) -> VideoId:
    video = _subject(event)
    names = _names(event)
    shown = connection.execute("SELECT name FROM shown_tag WHERE video = ?", (video,)).fetchall()
    _mark(connection, video, [name for (name,) in shown if name not in names], removed=1)
    return _mark(connection, video, names, removed=0)


def _names(event: Event) -> Sequence[object]:
    names = event.value["names"] if "names" in event.value else [event.value["name"]]
    assert isinstance(names, list | tuple)
    return names


def _mark(
    connection: sqlite3.Connection, video: VideoId, names: Iterable[object], *, removed: int
) -> VideoId:
    """Note tags that the user set or removed; a removal beats every other source."""
    connection.executemany(
        "INSERT OR REPLACE INTO tag VALUES (?, ?, 'user', ?)",
        [(video, name, removed) for name in names],
    )
    return video


def _added_date_set(connection: sqlite3.Connection, event: Event) -> VideoId:
    video = _subject(event)
    connection.execute(
        "UPDATE video SET added_at = ? WHERE id = ?", (event.value["added_at"], video)
    )
    return video


def _rebuild_asked(connection: sqlite3.Connection, event: Event) -> None:
    """Change nothing: the builder only needs to find the event in the log."""
    del connection, event


def _folder_tagged(connection: sqlite3.Connection, event: Event) -> VideoId:
    video = _subject(event)
    _tag_from(connection, video, "folder", event.value["folder_tags"])
    return video


def _tag_from(connection: sqlite3.Connection, video: VideoId, source: str, names: object) -> None:
    assert isinstance(names, list | tuple)
    connection.execute("DELETE FROM tag WHERE video = ? AND source = ?", (video, source))
    connection.executemany(
        "INSERT OR IGNORE INTO tag VALUES (?, ?, ?, 0)", [(video, name, source) for name in names]
    )


def _update(connection: sqlite3.Connection, event: Event, allowed: tuple[str, ...]) -> VideoId:
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
    values = tuple(_sql_path(value) if c == "path" else value[c] for c in columns)
    if "path" not in columns:
        return columns, values
    return (*columns, "folded_name"), (*values, folded_name(str(value["path"])))


def _sql_path(value: Mapping[str, object]) -> str | bytes:
    return to_sql(str(value["path"]))


def _subject(event: Event) -> VideoId:
    assert event.video is not None, f"{event.kind} is always about a video"
    return event.video


FOLDS: dict[EventKind, Fold] = {
    EventKind.VIDEO_FOUND: _insert_video,
    EventKind.VIDEO_CHANGED: _changed,
    EventKind.VIDEO_MOVED: _moved,
    EventKind.VIDEO_MISSING: _missing,
    EventKind.VIDEO_RETURNED: _returned,
    EventKind.VIDEO_DROPPED: _dropped,
    EventKind.POSTER_MADE: _poster_made,
    EventKind.POSTER_FAILED: _poster_failed,
    EventKind.FILE_REFUSED: _refused,
    EventKind.FILE_CLEARED: _cleared,
    EventKind.RATED: _rated,
    EventKind.UNRATED: _unrated,
    EventKind.VIEWED: _viewed,
    EventKind.FAVORITED: _favorited,
    EventKind.UNFAVORITED: _unfavorited,
    EventKind.TAGGED: _tagged,
    EventKind.UNTAGGED: _untagged,
    EventKind.RETAGGED: _retagged,
    EventKind.FOLDER_TAGGED: _folder_tagged,
    EventKind.REBUILD_ASKED: _rebuild_asked,
    EventKind.VIDEO_MERGED: _merged,
    EventKind.VIDEO_FORGOTTEN: _forgotten,
    EventKind.VIDEO_DESCRIBED: _described,
    EventKind.BOARD_MADE: _enriched,
    EventKind.BOARD_FAILED: _not_enriched,
    EventKind.BOARD_DROPPED: _board_dropped,
    EventKind.RENDITION_MADE: _rendered,
    EventKind.RENDITION_FAILED: _not_rendered,
    EventKind.RENDITION_DROPPED: _rendition_dropped,
    EventKind.ADDED_DATE_SET: _added_date_set,
}
