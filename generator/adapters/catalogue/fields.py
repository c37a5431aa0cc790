"""What sources say of a video, field by field, and which of it is shown.

Each source's word is kept beside the others'. Of a field that several tell, the source that stands
first in `model.Source` is shown; of subtitles all are.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from generator.core.chapters import chapters_in
from generator.core.model import Source, VideoId

_NAMES = ("title", "description", "is_markdown", "recorded_at", "creator", "url", "chapters")
OF_SOURCE = dict.fromkeys(Source, _NAMES) | {Source.BESIDE: ("tracks",)}
_RANKS = {source.value: rank for rank, source in enumerate(Source)}
_WHOLE = {"chapters", "tracks"}  # kept as JSON


def put(
    connection: sqlite3.Connection,
    video: VideoId,
    source: Source,
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


def settle(connection: sqlite3.Connection, video: VideoId) -> None:
    """Show of every field what the strongest source says."""
    rows = connection.execute(
        "SELECT name, source, value FROM field WHERE video = ?", (video,)
    ).fetchall()
    best: dict[str, tuple[int, Any]] = {}
    tracks: list[tuple[int, list[Any]]] = []
    markdown = {source for name, source, value in rows if name == "is_markdown" and value}
    for name, source, value in rows:
        rank = _RANKS[source]
        if name == "tracks":
            tracks.append((rank, json.loads(value)))
        elif name not in best or rank < best[name][0]:
            best[name] = rank, (source in markdown, value) if name == "description" else value
    is_markdown, description = best["description"][1] if "description" in best else (False, "")
    shown = {name: value for name, (_, value) in best.items()}
    chapters = shown.get("chapters") or _chapters_of(description)
    connection.execute(
        "UPDATE video SET title = coalesce(?, title), recorded_at = coalesce(?, recorded_at),"
        " description = ?, is_markdown = ?, creator = ?, url = ?, chapters = ?, tracks = ?"
        " WHERE id = ?",
        (
            shown.get("title"),
            shown.get("recorded_at"),
            description,
            is_markdown,
            shown.get("creator", ""),
            shown.get("url", ""),
            chapters,
            _joined(tracks),
            video,
        ),
    )


def _chapters_of(description: str) -> str | None:
    found = [[chapter.start_s, chapter.title] for chapter in chapters_in(description)]
    return json.dumps(found, separators=(",", ":")) if found else None


def _joined(tracks: list[tuple[int, list[Any]]]) -> str | None:
    """Return all subtitles, those in files of their own first."""
    joined = [one for _, some in sorted(tracks, key=lambda pair: -pair[0]) for one in some]
    return json.dumps(joined, separators=(",", ":")) if joined else None
