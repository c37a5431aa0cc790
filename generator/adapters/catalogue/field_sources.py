"""What sources say of a video, field by field, and which of it is shown.

Each source's word is kept beside the others'. Of a field that several tell, the source that stands
first in `model.Source` is shown; of subtitles all are. An instant and its offset, an episode and
its season come from one source.
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
_WITH = {"recorded_at": "recorded_offset_min", "episode": "season"}  # of one source, or of none
_RANKS = {source.value: rank for rank, source in enumerate(MetadataSource)}
_WHOLE = {"chapters", "tracks"}  # kept as JSON


def put(
    connection: sqlite3.Connection,
    video: VideoId,
    source: MetadataSource,
    said: Mapping[str, Any],
    names: Iterable[str],
) -> None:
    """Let a source say what it says of some fields, and nothing of those it leaves out."""
    for name in names:
        value = said.get(name)
        if not value and value != 0:
            connection.execute(
                "DELETE FROM field WHERE video = ? AND name = ? AND source = ?",
                (video, name, source),
            )
        else:
            kept = json.dumps(value, separators=(",", ":")) if name in _WHOLE else value
            connection.execute(
                "INSERT OR REPLACE INTO field VALUES (?, ?, ?, ?)", (video, name, source, kept)
            )


def show_strongest(connection: sqlite3.Connection, video: VideoId) -> None:
    """Show of every field what the strongest source says."""
    rows = connection.execute(
        "SELECT name, source, value FROM field WHERE video = ?", (video,)
    ).fetchall()
    said = {(name, source): value for name, source, value in rows}
    best: dict[str, str] = {}  # the source that is believed
    tracks: list[tuple[int, list[Any]]] = []
    for name, source, value in rows:
        if name == "tracks":
            tracks.append((_RANKS[source], json.loads(value)))
        elif name not in best or _RANKS[source] < _RANKS[best[name]]:
            best[name] = source
    for name, other in _WITH.items():
        best[other] = best.get(name, "")
    shown = {name: said.get((name, source)) for name, source in best.items()}
    (duration_s,) = connection.execute(
        "SELECT duration_s FROM video WHERE id = ?", (video,)
    ).fetchone() or (None,)
    description, about = shown.get("description") or "", best.get("description")
    chapters = _fitting(shown.get("chapters"), duration_s)
    if not chapters:
        is_other_cut = bool(said.get(("is_other_cut", about)))
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
            bool(said.get(("is_markdown", about))),
            shown.get("creator", ""),
            shown.get("url", ""),
            _written(chapters),
            _joined(tracks),
            video,
        ),
    )


def _fitting(kept: str | None, duration_s: float | None) -> tuple[Chapter, ...]:
    """Return the chapters that a source tells, those that begin before the end of the video."""
    told = json.loads(kept) if kept else ()
    return tidy_chapters((Chapter(start_s, title) for start_s, title in told), duration_s)


def _written(chapters: tuple[Chapter, ...]) -> str | None:
    rows = [[chapter.start_s, chapter.title] for chapter in chapters]
    return json.dumps(rows, separators=(",", ":")) if rows else None


def _joined(tracks: list[tuple[int, list[Any]]]) -> str | None:
    """Return all subtitles, those in files of their own first."""
    joined = [one for _, some in sorted(tracks, key=lambda pair: -pair[0]) for one in some]
    return json.dumps(joined, separators=(",", ":")) if joined else None
