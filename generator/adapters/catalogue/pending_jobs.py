"""Background work that is still to be done: storyboards, embedded subtitles, renditions.

It is derived from the videos' own rows, newest first, so that it survives any stop, and a query
costs no more in a large library than in a small one.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from generator.core.model import VideoId

_WITHOUT_STORYBOARD = "storyboard_tried = 0 AND missing_at IS NULL"
_WITHOUT_SUBTITLES = "subtitles_tried = 0 AND missing_at IS NULL"  # inside the file


@dataclass(frozen=True, slots=True)
class ToEnrich:
    """A video that still needs a storyboard, its embedded subtitles, or both."""

    video: VideoId
    board: bool
    texts: bool


@dataclass(frozen=True, slots=True)
class RenditionScope:
    """Which videos get a playable copy.

    Those whose playability is one of `needs`; and those that play, from `long_s` seconds or
    `large_bytes` up (0: none).
    """

    needs: tuple[str, ...]
    long_s: float = 0.0
    large_bytes: int = 0


class Todo:
    """Pending work for the videos of one open catalogue that have a file.

    `roots` limits it to those: videos in a bucket are not read as a whole.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def to_enrich(
        self, most: int, *, boards: bool, roots: Sequence[str] | None = None
    ) -> list[ToEnrich]:
        """Return the newest videos to enrich; `boards`: storyboards are made, too."""
        within, names = _within(roots)
        tasks: dict[int, tuple[int, ToEnrich]] = {}
        for condition in _to_enrich(boards=boards):
            rows = self._connection.execute(
                "SELECT added_at, id, storyboard_tried = 0, subtitles_tried = 0 FROM video"  # noqa: S608 (marks only)
                f" WHERE {condition}{within} ORDER BY added_at DESC LIMIT ?",
                (*names, most),
            )
            for at, video, board, texts in rows:
                tasks[video] = at, ToEnrich(VideoId(video), boards and bool(board), bool(texts))
        newest = sorted(tasks.values(), key=lambda task: (-task[0], -task[1].video))
        return [task for _, task in newest[:most]]

    def count_to_enrich(self, *, boards: bool, roots: Sequence[str] | None = None) -> int:
        """Return how many videos are to be enriched."""
        within, names = _within(roots)
        queries = [
            f"SELECT id FROM video WHERE {condition}{within}"  # noqa: S608 (marks only)
            for condition in _to_enrich(boards=boards)
        ]
        row = self._connection.execute(
            f"SELECT count(*) FROM ({' UNION '.join(queries)})",  # noqa: S608 (as above)
            names * len(queries),
        ).fetchone()
        return int(row[0])

    def without_rendition(
        self, scope: RenditionScope, most: int, roots: Sequence[str] | None = None
    ) -> list[VideoId]:
        """Return the newest videos that need a playable copy and were not tried yet."""
        rows: list[tuple[int, int]] = []
        within, names = _within(roots)
        for playability in scope.needs:
            rows += self._select_without_rendition(playability, f"TRUE{within}", names, most)
        if scope.needs and (scope.long_s or scope.large_bytes):
            size = "(? > 0 AND duration_s >= ?) OR (? > 0 AND size_bytes >= ?)"
            limits = (scope.long_s, scope.long_s, scope.large_bytes, scope.large_bytes)
            rows += self._select_without_rendition(
                "plays", f"({size}){within}", (*limits, *names), most
            )
        return [VideoId(video) for _, video in sorted(rows, reverse=True)[:most]]

    def count_unplayable(self) -> int:
        """Return how many videos some browser cannot play and that have no playable copy."""
        row = self._connection.execute(
            "SELECT count(*) FROM video WHERE playability IN ('remux', 'either', 'transcode')"
            " AND playability != '' AND rendition_tried = 0 AND missing_at IS NULL AND dropped = 0"
        ).fetchone()
        return int(row[0])

    def _select_without_rendition(
        self, playability: str, condition: str, values: tuple[float | str, ...], most: int
    ) -> list[tuple[int, int]]:
        query = (
            "SELECT added_at, id FROM video WHERE playability = ? AND playability != ''"  # noqa: S608
            f" AND rendition_tried = 0 AND missing_at IS NULL AND dropped = 0 AND ({condition})"
            " ORDER BY added_at DESC LIMIT ?"
        )
        return self._connection.execute(query, (playability, *values, most)).fetchall()

    def with_old_probe(self, version: int) -> list[VideoId]:
        """Return the videos that were probed by an older version."""
        rows = self._connection.execute(
            "SELECT id FROM video WHERE probed < ? AND missing_at IS NULL ORDER BY id", (version,)
        )
        return [VideoId(video) for (video,) in rows]

    def copies(self) -> Iterator[tuple[VideoId, str, int]]:
        """Yield (video, playability, bytes) of all playable copies."""
        rows = self._connection.execute(
            "SELECT id, playability, rendition ->> 'size_bytes' FROM video"
            " WHERE rendition IS NOT NULL ORDER BY id"
        )
        for video, playability, size_bytes in rows:
            yield VideoId(video), playability, int(size_bytes)

    def merged(self) -> list[tuple[tuple[VideoId, str], tuple[VideoId, str]]]:
        """Return (merged video, video it ended up in), each as (id, slug)."""
        rows = self._connection.execute(
            "SELECT id, slug, merged_into FROM video WHERE merged_into IS NOT NULL"
            " OR id IN (SELECT merged_into FROM video)"
        ).fetchall()
        slugs = {video: slug for video, slug, _ in rows}
        into = {video: other for video, _, other in rows if other is not None}
        pairs = []
        for video in into:
            final = video
            while final in into:  # always a lower id: there is no cycle
                final = into[final]
            pairs.append(((VideoId(video), slugs[video]), (VideoId(final), slugs[final])))
        return pairs


def _to_enrich(*, boards: bool) -> tuple[str, ...]:
    """Return the SQL conditions of a video that is to be enriched: one of them holds."""
    return (_WITHOUT_STORYBOARD, _WITHOUT_SUBTITLES) if boards else (_WITHOUT_SUBTITLES,)


def _within(roots: Sequence[str] | None) -> tuple[str, tuple[str, ...]]:
    """Return the SQL condition that a video is in one of `roots`, and its values."""
    if roots is None:
        return "", ()
    return f" AND root IN ({','.join('?' * len(roots))})", tuple(roots)
