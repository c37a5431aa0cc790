"""Reads all that people did to videos, for an export: one state of the catalogue, in portions."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from generator.adapters.catalogue import deferred_imports
from generator.adapters.catalogue.rows import from_sql
from generator.core.library.export_format import ExportedVideo
from generator.core.library.import_entries import ImportEntry
from generator.core.model import MetadataSource, Place, VideoId

_AT_ONCE = 500  # videos in memory
_RANKS = {source.value: rank for rank, source in enumerate(MetadataSource)}
_FIELDS = {  # by its name in the catalogue: what a field of an export is called
    "title": "title", "description": "description", "recorded_at": "recorded",
    "creator": "creator", "url": "url", "chapters": "chapters", "tracks": "subtitles",
    "season": "season", "episode": "episode", "playlist_index": "playlist_index",
}  # fmt: skip
_USER = "user"
_VIDEOS = """
    SELECT id, root, path, title, added_at, recorded_at, recorded_offset_min, missing_at
    FROM video WHERE path != '' ORDER BY root, path, id
"""


class ExportReader:
    """Videos as an export has them, over a connection whose transaction the caller holds."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def videos(self) -> Iterator[ExportedVideo]:
        """Yield every video with a file, or a missing one, by root and path."""
        rows = self._connection.execute(_VIDEOS)
        while portion := list(islice(rows, _AT_ONCE)):
            yield from self._exported(portion)

    def waiting(self) -> Iterator[ImportEntry]:
        """Yield the imported entries that wait for their file."""
        return deferred_imports.waiting(self._connection)

    def _exported(self, rows: Sequence[tuple[Any, ...]]) -> Iterator[ExportedVideo]:
        ids = [row[0] for row in rows]
        ratings = self._by_video("rating", "stars, at", ids)
        views = self._by_video("views", "count, last_at", ids)
        favorites = self._by_video("favorite", "at", ids)
        votes = self._by_video("vote", "visitor, stars, at", ids)
        visitor_favorites = self._by_video("visitor_favorite", "visitor, at", ids)
        tags = self._by_video("tag", "name, source, removed", ids)
        fields = self._by_video("field", "name, source", ids)
        for video, root, path, title, added_at, recorded_at, offset_min, missing_at in rows:
            stars, stars_at = next(iter(ratings[video]), (None, None))
            count, last_at = next(iter(views[video]), (0, None))
            (favorite_at,) = next(iter(favorites[video]), (None,))
            removed = {name for name, _, is_removed in tags[video] if is_removed}
            yield ExportedVideo(
                VideoId(video), Place(root, from_sql(path)), title, added_at,
                recorded_at, offset_min, missing_at, stars, stars_at, favorite_at, count, last_at,
                tags=tuple(sorted({name for name, *_ in tags[video]} - removed)),
                user_tags=tuple(
                    sorted(name for name, source, _ in tags[video]
                           if source == _USER and name not in removed)
                ),
                removed_tags=tuple(sorted(removed)),
                tags_by_source=_by_source(tags[video]),
                sources=_sources(fields[video]),
                votes=tuple(sorted(votes[video])),
                visitor_favorites=tuple(sorted(visitor_favorites[video])),
            )  # fmt: skip

    def _by_video(
        self, table: str, columns: str, ids: Sequence[int]
    ) -> dict[int, list[tuple[Any, ...]]]:
        marks = ",".join("?" * len(ids))
        query = f"SELECT video, {columns} FROM {table} WHERE video IN ({marks})"  # noqa: S608 (literals above)
        rows: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
        for video, *values in self._connection.execute(query, ids):
            rows[video].append(tuple(values))
        return rows


def _by_source(tags: Sequence[tuple[Any, ...]]) -> dict[str, tuple[str, ...]]:
    names: dict[str, list[str]] = defaultdict(list)
    for name, source, _ in tags:
        if source != _USER:
            names[source].append(name)
    return {source: tuple(sorted(names[source])) for source in sorted(names)}


def _sources(fields: Sequence[tuple[Any, ...]]) -> dict[str, str]:
    """Return by field the source of highest precedence that has it."""
    best: dict[str, str] = {}
    for name, source in sorted(fields, key=lambda row: _RANKS.get(row[1], len(_RANKS))):
        if name in _FIELDS:
            best.setdefault(_FIELDS[name], source)
    return dict(sorted(best.items()))
