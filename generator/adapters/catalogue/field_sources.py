"""Metadata of a video by source and field, and which of it is shown.

The values of all sources are stored. Of a field that several have, the source that comes first in
`model.MetadataSource` is shown; of subtitles all are. An instant and its offset, an episode and its
season come from one source.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from generator.core.media.chapters import chapters_in, tidy_chapters
from generator.core.model import Chapter, MetadataSource, VideoId

_RECORDED = ("recorded_at", "recorded_offset_min")
_NUMBERS = ("season", "episode", "playlist_index")
_NAMES = (
    "title", "description", "is_markdown", *_RECORDED, "creator", "url", "chapters", *_NUMBERS,
    "is_other_cut",
)  # fmt: skip
OF_SOURCE = dict.fromkeys(MetadataSource, _NAMES) | {
    MetadataSource.BESIDE: ("tracks",),
    MetadataSource.NAME: _RECORDED,
    MetadataSource.FILE: ("title", *_RECORDED),
}
_PAIRED = {
    "recorded_at": "recorded_offset_min",
    "episode": "season",
}  # from one source or neither
_RANKS = {source.value: rank for rank, source in enumerate(MetadataSource)}
_JSON_FIELDS = {"chapters", "tracks"}  # stored as JSON


def put(
    connection: sqlite3.Connection,
    video: VideoId,
    source: MetadataSource,
    metadata: Mapping[str, Any],
    names: Iterable[str],
) -> None:
    """Store the `names` fields of a source, and delete those that its metadata lacks."""
    for name in names:
        value = metadata.get(name)
        if not value and value != 0:
            connection.execute(
                "DELETE FROM field WHERE video = ? AND name = ? AND source = ?",
                (video, name, source),
            )
        else:
            kept = json.dumps(value, separators=(",", ":")) if name in _JSON_FIELDS else value
            connection.execute(
                "INSERT OR REPLACE INTO field VALUES (?, ?, ?, ?)", (video, name, source, kept)
            )


def show_strongest(connection: sqlite3.Connection, video: VideoId) -> None:
    """Show each field as the source of highest precedence has it."""
    rows = connection.execute(
        "SELECT name, source, value FROM field WHERE video = ?", (video,)
    ).fetchall()
    values = {(name, source): value for name, source, value in rows}
    best: dict[str, str] = {}  # the source of highest precedence
    tracks: list[tuple[int, list[Any]]] = []
    for name, source, value in rows:
        if name == "tracks":
            tracks.append((_RANKS[source], json.loads(value)))
        elif name not in best or _RANKS[source] < _RANKS[best[name]]:
            best[name] = source
    for name, companion in _PAIRED.items():
        best[companion] = best.get(name, "")
    shown = {name: values.get((name, source)) for name, source in best.items()}
    (duration_s,) = connection.execute(
        "SELECT duration_s FROM video WHERE id = ?", (video,)
    ).fetchone() or (None,)
    description, source_of_description = shown.get("description") or "", best.get("description")
    chapters = _parse_chapters(shown.get("chapters"), duration_s)
    if not chapters:
        is_other_cut = bool(values.get(("is_other_cut", source_of_description)))
        chapters = chapters_in(description, duration_s, whole=is_other_cut)
    connection.execute(
        "UPDATE video SET title = coalesce(?, title), recorded_at = coalesce(?, recorded_at),"
        " recorded_offset_min = ?, is_dated = ?, season = ?, episode = ?, playlist_index = ?,"
        " description = ?, is_markdown = ?, creator = ?, url = ?, chapters = ?, tracks = ?"
        " WHERE id = ?",
        (
            shown.get("title"),
            *(shown.get(name) for name in _RECORDED),
            best.get("recorded_at", MetadataSource.FILE) != MetadataSource.FILE,
            *(shown.get(name) for name in _NUMBERS),
            description,
            bool(values.get(("is_markdown", source_of_description))),
            shown.get("creator", ""),
            shown.get("url", ""),
            _chapters_json(chapters),
            _tracks_json(tracks),
            video,
        ),
    )


def _parse_chapters(stored: str | None, duration_s: float | None) -> tuple[Chapter, ...]:
    """Return the chapters of a source that begin before the end of the video."""
    parsed = json.loads(stored) if stored else ()
    return tidy_chapters((Chapter(start_s, title) for start_s, title in parsed), duration_s)


def _chapters_json(chapters: tuple[Chapter, ...]) -> str | None:
    rows = [[chapter.start_s, chapter.title] for chapter in chapters]
    return json.dumps(rows, separators=(",", ":")) if rows else None


def _tracks_json(tracks: list[tuple[int, list[Any]]]) -> str | None:
    """Return the subtitles of all sources as JSON, those in files of their own first."""
    joined = [
        track for _, group in sorted(tracks, key=lambda ranked: -ranked[0]) for track in group
    ]
    return json.dumps(joined, separators=(",", ":")) if joined else None
