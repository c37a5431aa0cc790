"""What takes longer than a refresh, and is still to be done: storyboards, subtitles, copies.

What is to be done is told by the videos' own rows, newest first, so that it is known after any
stop, and one look costs no more in a large library than in a small one.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from generator.core.model import VideoId

_BOARD, _TEXTS = 1, 2  # bits of `enriched`: what was got, or cannot be


@dataclass(frozen=True, slots=True)
class ToEnrich:
    """A video of which a storyboard, the subtitles inside, or both are still to be got."""

    video: VideoId
    board: bool
    texts: bool


@dataclass(frozen=True, slots=True)
class RenditionScope:
    """Of which videos a playable copy is wanted.

    Those with one of the `needs`; and those that play, from `long_s` seconds or `large_bytes` on
    (0: none).
    """

    needs: tuple[str, ...]
    long_s: float = 0.0
    large_bytes: int = 0


class Todo:
    """What is to be done for the videos of one open catalogue that have a file.

    Of `roots`, where they are given, and of none else: what is in a bucket is not read as a whole.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def to_enrich(
        self, most: int, *, boards: bool, roots: Sequence[str] | None = None
    ) -> list[ToEnrich]:
        """Return the newest videos that want it; `boards` tells whether storyboards are made."""
        found = []
        within, names = _within(roots)
        for state in range(_BOARD | _TEXTS):
            board, texts = boards and not state & _BOARD, not state & _TEXTS
            if board or texts:
                rows = self._connection.execute(
                    "SELECT added_at, id FROM video WHERE enriched = ? AND missing_at IS NULL"  # noqa: S608 (marks only)
                    f" AND enriched != 3{within} ORDER BY added_at DESC LIMIT ?",
                    (state, *names, most),
                )
                found += [(at, ToEnrich(VideoId(video), board, texts)) for at, video in rows]
        newest = sorted(found, key=lambda one: (-one[0], -one[1].video))
        return [one for _, one in newest[:most]]

    def count_to_enrich(self, *, boards: bool, roots: Sequence[str] | None = None) -> int:
        """Return how many videos want it."""
        states = (0, 1, 2) if boards else (0, 1)
        marks = ",".join("?" * len(states))
        within, names = _within(roots)
        row = self._connection.execute(
            f"SELECT count(*) FROM video WHERE enriched IN ({marks})"  # noqa: S608 (marks only)
            f" AND missing_at IS NULL AND enriched != 3{within}",
            (*states, *names),
        ).fetchone()
        return int(row[0])

    def to_render(
        self, wish: RenditionScope, most: int, roots: Sequence[str] | None = None
    ) -> list[VideoId]:
        """Return the newest videos of which a playable copy is wanted, and not tried yet."""
        found: list[tuple[int, int]] = []
        within, names = _within(roots)
        for need in wish.needs:
            found += self._wanting(need, f"TRUE{within}", names, most)
        if wish.needs and (wish.long_s or wish.large_bytes):
            size = "(? > 0 AND duration_s >= ?) OR (? > 0 AND size_bytes >= ?)"
            limits = (wish.long_s, wish.long_s, wish.large_bytes, wish.large_bytes)
            found += self._wanting("plays", f"({size}){within}", (*limits, *names), most)
        return [VideoId(video) for _, video in sorted(found, reverse=True)[:most]]

    def count_unplayable(self) -> int:
        """Return how many videos some browser does not play, and no copy of which is made."""
        row = self._connection.execute(
            "SELECT count(*) FROM video WHERE need IN ('remux', 'either', 'transcode')"
            " AND need != '' AND rendered = 0 AND missing_at IS NULL AND dropped = 0"
        ).fetchone()
        return int(row[0])

    def _wanting(
        self, need: str, condition: str, values: tuple[float | str, ...], most: int
    ) -> list[tuple[int, int]]:
        query = (
            "SELECT added_at, id FROM video WHERE need = ? AND need != '' AND rendered = 0"  # noqa: S608
            f" AND missing_at IS NULL AND dropped = 0 AND ({condition})"
            " ORDER BY added_at DESC LIMIT ?"
        )
        return self._connection.execute(query, (need, *values, most)).fetchall()

    def with_old_probe(self, version: int) -> list[VideoId]:
        """Return the videos of whose file an older version of the probe told."""
        rows = self._connection.execute(
            "SELECT id FROM video WHERE probed < ? AND missing_at IS NULL ORDER BY id", (version,)
        )
        return [VideoId(video) for (video,) in rows]

    def copies(self) -> Iterator[tuple[VideoId, str, int]]:
        """Yield (video, need, bytes) of all playable copies there are."""
        rows = self._connection.execute(
            "SELECT id, need, rendition ->> 'size_bytes' FROM video WHERE rendition IS NOT NULL"
            " ORDER BY id"
        )
        for video, need, size_bytes in rows:
            yield VideoId(video), need, int(size_bytes)

    def merged(self) -> list[tuple[tuple[VideoId, str], tuple[VideoId, str]]]:
        """Return the videos that became part of others, and of which at last: id and slug each."""
        rows = self._connection.execute(
            "SELECT id, slug, merged_into FROM video WHERE merged_into IS NOT NULL"
            " OR id IN (SELECT merged_into FROM video)"
        ).fetchall()
        slugs = {video: slug for video, slug, _ in rows}
        into = {video: other for video, _, other in rows if other is not None}
        found = []
        for video in into:
            last = video
            while last in into:  # always of a lower number: there is no circle
                last = into[last]
            found.append(((VideoId(video), slugs[video]), (VideoId(last), slugs[last])))
        return found


def _within(roots: Sequence[str] | None) -> tuple[str, tuple[str, ...]]:
    """Return the condition that a video is in one of some roots, and its values."""
    if roots is None:
        return "", ()
    return f" AND root IN ({','.join('?' * len(roots))})", tuple(roots)
