"""The catalogue: the precious SQLite file with the event log and what it folds to.

Nothing else writes to it. An event and what it changes stand in one transaction; an id that is
already in the log changes nothing. Two processes may write: each waits for the other.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar
from uuid import uuid4

import sqlite_utils

from generator.adapters.catalogue.folds import FOLDS
from generator.adapters.catalogue.rows import from_sql, poster_of, stamp, to_sql, video_of
from generator.adapters.catalogue.schema import migrations, written_by_newer
from generator.core.errors import SettingsError
from generator.core.identity import Known
from generator.core.model import (
    Happening,
    Kind,
    Place,
    Poster,
    Problem,
    Recorded,
    Sighting,
    Video,
    VideoId,
)

_BUSY_S = 10.0
_AT_ONCE = 500  # parameters in one IN (…)
_Value = TypeVar("_Value", int, str)

_KNOWN_COLUMNS = "id, root, path, size_bytes, mtime_ns, fingerprint, missing_at IS NOT NULL"
_VIDEO_COLUMNS = """
    video.id, slug, root, path, title, added_at, recorded_at, size_bytes,
    container, duration_s, width_px, height_px, fps, video_codec, audio_codec, poster,
    stars, count, favorite.at,
    (SELECT group_concat(name, char(10)) FROM
        (SELECT DISTINCT name FROM tag AS here WHERE here.video = video.id AND removed = 0
         AND NOT EXISTS (SELECT 1 FROM tag
             WHERE video = here.video AND name = here.name AND removed = 1) ORDER BY name))
    FROM video LEFT JOIN rating ON rating.video = video.id
    LEFT JOIN views ON views.video = video.id LEFT JOIN favorite ON favorite.video = video.id
"""


@dataclass(frozen=True, slots=True)
class Compared:
    """What a walk and the catalogue say of the same places."""

    unchanged: int
    changed: tuple[tuple[Known, Sighting], ...]
    gone: tuple[Known, ...]
    new: tuple[Sighting, ...]


class Look(Protocol):
    """What the scanner reports, as far as the catalogue needs it."""

    @property
    def files(self) -> Mapping[str, Mapping[str, tuple[int, int]]]:
        """Return, by root, path -> (size_bytes, mtime_ns)."""

    @property
    def roots(self) -> Mapping[str, object]:
        """Return the roots of the library; what lay in others is gone."""

    @property
    def folders(self) -> frozenset[Place]:
        """Return the folders that were read without what is below them."""

    @property
    def trees(self) -> frozenset[Place]:
        """Return the folders that were read with what is below them."""

    @property
    def gone(self) -> frozenset[Place]:
        """Return folders that are no more."""

    def covers(self, place: Place) -> bool:
        """Tell whether a file at `place` would have been seen."""


class Catalogue:
    """One open catalogue, for one thread.

    Raises:
        SettingsError: the file is no catalogue, or was written by a newer reelshelf.
    """

    def __init__(self, file: Path, *, durable: bool = True) -> None:
        if str(file) != ":memory:":
            file.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(file, isolation_level=None, timeout=_BUSY_S)
        try:
            self._open(durable=durable)
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise SettingsError(
                f"cannot open the catalogue {file}: {error}",
                hint="is it a reelshelf catalogue, readable and writable? restore a backup if not",
            ) from error
        except SettingsError:
            self._connection.close()
            raise

    def _open(self, *, durable: bool) -> None:
        database = sqlite_utils.Database(self._connection, execute_plugins=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        if written_by_newer(database):
            raise SettingsError(
                "the catalogue was written by a newer reelshelf",
                hint="upgrade reelshelf; nothing was changed",
            )
        if migrations.pending(database):
            migrations.apply(database)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def copy(self) -> "Catalogue":
        """Return a catalogue in memory that begins as this one is."""
        twin = Catalogue(Path(":memory:"))
        self._connection.backup(twin._connection)
        return twin

    # -- the log

    def append(self, happenings: Iterable[Happening]) -> tuple[Recorded, ...]:
        """Put events into the log and fold them, in one transaction; all or none.

        Returns:
            One receipt each, in order; `new` is false for an id that was in the log already.
        """
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            recorded = tuple(self._append(one) for one in happenings)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        return recorded

    def _append(self, happening: Happening) -> Recorded:
        known = self._connection.execute(
            "SELECT seq, video FROM event WHERE id = ?", (happening.id,)
        ).fetchone()
        if known is not None:
            return Recorded(known[0], known[1], new=False)
        video = FOLDS[happening.kind](self._connection, happening)
        cursor = self._connection.execute(
            "INSERT INTO event (id, kind, video, value, at, source) VALUES (?, ?, ?, ?, ?, ?)",
            (
                happening.id,
                happening.kind,
                video,
                json.dumps(happening.value, separators=(",", ":")),
                happening.at,
                happening.source,
            ),
        )
        assert cursor.lastrowid is not None
        return Recorded(cursor.lastrowid, video, new=True)

    def last_event(self) -> int:
        """Return the number of the newest event, 0 for none."""
        row = self._connection.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()
        return int(row[0])

    def event_id(self, event: int) -> str:
        """Return the id of the event with that number, "" for none."""
        row = self._connection.execute("SELECT id FROM event WHERE seq = ?", (event,)).fetchone()
        return str(row[0]) if row else ""

    def identity(self) -> str:
        """Return what tells this catalogue from every other."""
        row = self._connection.execute("SELECT value FROM fact WHERE name = 'identity'").fetchone()
        return str(row[0])

    def changed_since(self, event: int) -> dict[VideoId, int]:
        """Return the videos that later events are about, with the last event of each."""
        rows = self._connection.execute(
            "SELECT video, max(seq) FROM event WHERE seq > ? AND +video IS NOT NULL"
            " GROUP BY +video",  # the plus keeps SQLite to the few events after the cursor
            (event,),
        )
        return {VideoId(video): seq for video, seq in rows}

    def events_of(self, video: VideoId, limit: int) -> list[tuple[int, str, str, int, str]]:
        """Return (number, kind, value, instant, source) of a video's last events, newest first."""
        rows = self._connection.execute(
            "SELECT seq, kind, value, at, source FROM event WHERE video = ?"
            " ORDER BY seq DESC LIMIT ?",
            (video, limit),
        )
        return list(rows)

    # -- videos

    def shown(self, ids: Iterable[VideoId] | None = None) -> Iterator[Video]:
        """Yield the videos that have pages: all, or those among `ids`, ascending."""
        if ids is None:
            query = f"SELECT {_VIDEO_COLUMNS} WHERE dropped = 0 ORDER BY video.id"
            yield from map(video_of, self._connection.execute(query))
            return
        for some in _portions(sorted(ids)):
            marks = ",".join("?" * len(some))
            query = (
                f"SELECT {_VIDEO_COLUMNS} WHERE dropped = 0 AND video.id IN ({marks}) ORDER BY 1"
            )
            yield from map(video_of, self._connection.execute(query, some))

    def shown_between(self, low: int, high: int) -> list[Video]:
        """Return the shown videos with low <= id < high, ascending."""
        query = (
            f"SELECT {_VIDEO_COLUMNS} WHERE dropped = 0 AND video.id >= ? AND video.id < ?"
            " ORDER BY video.id"
        )
        return [video_of(row) for row in self._connection.execute(query, (low, high))]

    def counts(self) -> dict[str, int]:
        """Return how many videos, missing ones, problems and events there are."""
        queries = {
            "videos": "SELECT count(*) FROM video WHERE dropped = 0",
            "missing": "SELECT count(*) FROM video WHERE missing_at IS NOT NULL",
            "problems": "SELECT count(*) FROM problem",
            "events": "SELECT count(*) FROM event",
        }
        return {
            name: int(self._connection.execute(query).fetchone()[0])
            for name, query in queries.items()
        }

    def find(self, place: Place) -> VideoId | None:
        """Return the video whose file is, or last was, at a place."""
        row = self._connection.execute(
            "SELECT id FROM video WHERE root = ? AND path = ?"
            " ORDER BY missing_at IS NOT NULL, id DESC",
            (place.root, to_sql(place.path)),
        ).fetchone()
        return VideoId(row[0]) if row else None

    # -- files

    def compare(self, walk: Look, within: Look | None = None) -> Compared:
        """Tell what differs between a look at the library and the catalogue.

        Args:
            walk: what was seen.
            within: the same, where only some folders were looked at; None: everything was.
        """
        files = {root: dict(found) for root, found in walk.files.items()}
        changed: list[tuple[int, Sighting]] = []
        gone: list[int] = []
        unchanged = 0
        nothing: dict[str, tuple[int, int]] = {}
        for root, path, size_bytes, mtime_ns, video in self._files(within):
            found = files.get(root, nothing).pop(path, None)
            if found == (size_bytes, mtime_ns):
                unchanged += 1
            elif found is None:
                if root not in walk.roots or walk.covers(Place(root, path)):
                    gone.append(video)
            elif (found[0], stamp(found[1])) == (size_bytes, mtime_ns):
                unchanged += 1
            else:
                sighting = Sighting(Place(root, path), found[0], stamp(found[1]))
                changed.append((video, sighting))
        known = {one.video: one for one in self.known([*gone, *(video for video, _ in changed)])}
        return Compared(
            unchanged,
            tuple((known[VideoId(video)], sighting) for video, sighting in changed),
            tuple(known[VideoId(video)] for video in gone),
            tuple(self._new(files)),
        )

    def _new(self, files: Mapping[str, dict[str, tuple[int, int]]]) -> Iterator[Sighting]:
        quarantined = self._quarantined() if any(files.values()) else {}
        for root, found in files.items():
            for path, (size_bytes, mtime_ns) in found.items():
                sighting = Sighting(Place(root, path), size_bytes, stamp(mtime_ns))
                if quarantined.get(sighting.place) != (size_bytes, sighting.mtime_ns):
                    yield sighting

    def _files(self, within: Look | None) -> Iterator[tuple[str, str, int, int, int]]:
        query = "SELECT root, path, size_bytes, mtime_ns, id FROM video WHERE missing_at IS NULL"
        if within is None:
            for root, path, size, mtime, video in self._connection.execute(query):
                yield root, path if type(path) is str else os.fsdecode(path), size, mtime, video
            return
        deep = within.trees | within.gone
        for folder in {*within.folders, *deep}:
            for low, high in _ranges(folder.path):
                rows = self._connection.execute(
                    query + " AND root = ? AND path >= ? AND path < ?", (folder.root, low, high)
                )
                for root, path, size, mtime, video in rows:
                    name = from_sql(path)
                    if folder in deep or name.rpartition("/")[0] == folder.path:
                        yield root, name, size, mtime, video

    def _quarantined(self) -> dict[Place, tuple[int, int]]:
        rows = self._connection.execute(
            "SELECT root, path, size_bytes, mtime_ns FROM problem WHERE stage != 'poster'"
        )
        return {Place(root, from_sql(path)): (size, mtime) for root, path, size, mtime in rows}

    def known(self, videos: Iterable[int]) -> list[Known]:
        """Return what is known of the files of videos."""
        found: list[Known] = []
        for some in _portions(sorted(videos)):
            marks = ",".join("?" * len(some))
            found += self._all_known(f"id IN ({marks})", some)
        return found

    def present_by_root(self) -> dict[str, int]:
        """Return how many videos have a file, by root."""
        return dict(
            self._connection.execute(
                "SELECT root, count(*) FROM video WHERE missing_at IS NULL GROUP BY root"
            )
        )

    def present_with(self, fingerprints: Iterable[str]) -> list[Known]:
        """Return the videos with a file that holds one of these contents."""
        return self._alike("missing_at IS NULL", fingerprints)

    def missing_like(self, seen: Sequence[tuple[Place, str]]) -> list[Known]:
        """Return missing videos of which a file has the content, or the place."""
        found = self._alike("missing_at IS NOT NULL", (fingerprint for _, fingerprint in seen))
        for place, _ in seen:
            found += self._all_known(
                "missing_at IS NOT NULL AND root = ? AND path = ?",
                (place.root, to_sql(place.path)),
            )
        return list({known.video: known for known in found}.values())

    def _alike(self, condition: str, fingerprints: Iterable[str]) -> list[Known]:
        found: list[Known] = []
        for some in _portions(sorted(set(fingerprints))):
            marks = ",".join("?" * len(some))
            found += self._all_known(f"{condition} AND fingerprint IN ({marks})", some)
        return found

    def _all_known(self, condition: str, values: Sequence[object]) -> list[Known]:
        rows = self._connection.execute(
            f"SELECT {_KNOWN_COLUMNS} FROM video WHERE {condition}",  # noqa: S608 (literals above)
            values,
        )
        return [
            Known(VideoId(i), Place(root, from_sql(path)), size, mtime, print_, bool(missing))
            for i, root, path, size, mtime, print_, missing in rows
        ]

    def without_poster(self) -> list[Known]:
        """Return the videos whose poster was never tried, or is to be tried again."""
        return self._all_known(
            "poster IS NULL AND missing_at IS NULL AND NOT EXISTS (SELECT 1 FROM problem"
            " WHERE problem.root = video.root AND problem.path = video.path)",
            (),
        )

    def posters(self) -> Iterator[tuple[VideoId, Poster]]:
        """Yield every poster that the output folder should have."""
        rows = self._connection.execute(
            "SELECT id, poster FROM video WHERE poster IS NOT NULL AND dropped = 0 ORDER BY id"
        )
        for video, text in rows:
            yield VideoId(video), poster_of(text)

    def missing_until(self, instant: int) -> list[VideoId]:
        """Return the videos that still have pages and were missing at `instant` already."""
        rows = self._connection.execute(
            "SELECT id FROM video WHERE missing_at <= ? AND dropped = 0", (instant,)
        )
        return [VideoId(row[0]) for row in rows]

    def forget_problems(self, problems: Iterable[Problem], now: int) -> None:
        """Record that someone wants these files tried again."""
        self.append(
            Happening(
                uuid4().hex,
                Kind.FILE_CLEARED,
                now,
                "retry",
                value={"root": one.place.root, "path": one.place.path},
            )
            for one in problems
        )

    def problems(self) -> list[Problem]:
        """Return every problem, by place."""
        rows = self._connection.execute(
            "SELECT root, path, size_bytes, mtime_ns, stage, reason, at FROM problem"
            " ORDER BY root, path"
        )
        return [
            Problem(Place(root, from_sql(path)), size, mtime, stage, reason, at)
            for root, path, size, mtime, stage, reason, at in rows
        ]


def _ranges(folder: str) -> tuple[tuple[str | bytes, str | bytes], ...]:
    """Return the spans, for text and for bytes, in which the paths below a folder lie."""
    prefix = os.fsencode(folder + "/") if folder else b""
    after = prefix[:-1] + b"0" if prefix else b"\xff" * 8  # "0" follows "/"
    low, high = to_sql(folder + "/") if folder else "", to_sql(folder + "0") if folder else None
    if isinstance(low, bytes) or isinstance(high, bytes):
        return ((prefix, after),)
    return ((low, high if high is not None else "\U0010ffff"), (prefix, after))


def _portions(values: Sequence[_Value]) -> Iterator[Sequence[_Value]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]
