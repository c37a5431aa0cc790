"""What the catalogue knows of files: where each video's is, which are new, which are no videos."""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from generator.adapters.catalogue.rows import from_sql, portions, stamp, to_sql
from generator.core.library import unfinished
from generator.core.library.identity import KnownFile
from generator.core.model import SOUND, FileProblem, FileStat, Place, VideoId

_KNOWN_COLUMNS = (
    "id, root, path, size_bytes, mtime_ns, fingerprint, missing_at IS NOT NULL, companions"
)


@dataclass(frozen=True, slots=True)
class ScanComparison:
    """What a walk and the catalogue say of the same places.

    `beside` are videos whose file is as it was while something beside it is not.
    """

    unchanged: int
    changed: tuple[tuple[KnownFile, FileStat], ...]
    gone: tuple[KnownFile, ...]
    new: tuple[FileStat, ...]
    beside: tuple[KnownFile, ...] = ()


class FolderScan(Protocol):
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


class CatalogueFiles:
    """One open catalogue, asked about files."""

    _connection: sqlite3.Connection

    def compare(
        self,
        walk: FolderScan,
        within: FolderScan | None = None,
        companions: Mapping[str, Mapping[str, str]] | None = None,
        now_s: float = 0.0,
    ) -> ScanComparison:
        """Tell what differs between a look at the library and the catalogue.

        Args:
            walk: what was seen.
            within: the same, where only some folders were looked at; None: everything was.
            companions: by root, path of a video -> what tells that something beside it changed;
                None: nobody looked.
            now_s: the current instant: files that were cut short do not wait for ever.
        """
        files = {root: dict(found) for root, found in walk.files.items()}
        changed: list[tuple[int, FileStat]] = []
        gone: list[int] = []
        beside: list[int] = []
        unchanged = 0
        nothing: dict[str, tuple[int, int]] = {}
        none: dict[str, str] = {}
        for root, path, size_bytes, mtime_ns, video, before in self._files(within):
            found = files.get(root, nothing).pop(path, None)
            if found is None:
                if root not in walk.roots or walk.covers(Place(root, path)):
                    gone.append(video)
            elif found == (size_bytes, mtime_ns) or (
                (found[0], stamp(found[1])) == (size_bytes, mtime_ns)
            ):
                unchanged += 1
                if companions is not None and before != companions.get(root, none).get(path, ""):
                    beside.append(video)
            else:
                sighting = FileStat(Place(root, path), found[0], stamp(found[1]))
                changed.append((video, sighting))
        wanted = [*gone, *beside, *(video for video, _ in changed)]
        known = {one.video: one for one in self.known(wanted)}
        return ScanComparison(
            unchanged,
            tuple((known[VideoId(video)], sighting) for video, sighting in changed),
            tuple(known[VideoId(video)] for video in gone),
            tuple(self._new(files, now_s)),
            tuple(known[VideoId(video)] for video in beside),
        )

    def _new(
        self, files: Mapping[str, dict[str, tuple[int, int]]], now_s: float
    ) -> Iterator[FileStat]:
        quarantined = self._quarantined(now_s) if any(files.values()) else {}
        for root, found in files.items():
            for path, (size_bytes, mtime_ns) in found.items():
                sighting = FileStat(Place(root, path), size_bytes, stamp(mtime_ns))
                if quarantined.get(sighting.place) != (size_bytes, sighting.mtime_ns):
                    yield sighting

    def _files(self, within: FolderScan | None) -> Iterator[tuple[str, str, int, int, int, str]]:
        query = (
            "SELECT root, path, size_bytes, mtime_ns, id, companions FROM video"
            " WHERE missing_at IS NULL"
        )
        if within is None:
            for row in self._connection.execute(query):
                yield row if type(row[1]) is str else (row[0], os.fsdecode(row[1]), *row[2:])
            return
        deep = within.trees | within.gone
        for folder in {*within.folders, *deep}:
            for low, high in _ranges(folder.path):
                rows = self._connection.execute(
                    query + " AND root = ? AND path >= ? AND path < ?", (folder.root, low, high)
                )
                for root, path, *rest in rows:
                    name = from_sql(path)
                    if folder in deep or name.rpartition("/")[0] == folder.path:
                        yield root, name, *rest

    def _quarantined(self, now_s: float) -> dict[Place, tuple[int, int]]:
        """Return the files that are not looked at again as long as they stay as they are."""
        rows = self._connection.execute(
            "SELECT root, path, size_bytes, mtime_ns, stage FROM problem"
            " WHERE stage IN ('scan', 'probe', ?, ?)",
            (unfinished.STAGE, SOUND),
        )
        return {
            Place(root, from_sql(path)): (size, mtime)
            for root, path, size, mtime, stage in rows
            if stage != unfinished.STAGE or unfinished.may_grow(mtime, now_s)
        }

    def known(self, videos: Iterable[int]) -> list[KnownFile]:
        """Return what is known of the files of videos."""
        found: list[KnownFile] = []
        for some in portions(sorted(videos)):
            marks = ",".join("?" * len(some))
            found += self._all_known(f"id IN ({marks})", some)
        return found

    def present(self) -> list[KnownFile]:
        """Return what is known of every file that is there."""
        return self._all_known("missing_at IS NULL", ())

    def present_by_root(self) -> dict[str, int]:
        """Return how many videos have a file, by root."""
        return dict(
            self._connection.execute(
                "SELECT root, count(*) FROM video WHERE missing_at IS NULL GROUP BY root"
            )
        )

    def present_with(self, fingerprints: Iterable[str]) -> list[KnownFile]:
        """Return the videos with a file that holds one of these contents."""
        return self._alike("missing_at IS NULL", fingerprints)

    def present_beside(self, places: Iterable[Place]) -> list[KnownFile]:
        """Return the videos with a file that is named like one of these but for its suffix."""
        return self._beside("missing_at IS NULL", places)

    def _beside(self, condition: str, places: Iterable[Place]) -> list[KnownFile]:
        found: list[KnownFile] = []
        for place in places:
            stem = place.path.rpartition(".")[0]
            found += self._all_known(
                f"{condition} AND root = ? AND path >= ? AND path < ?",
                (place.root, to_sql(f"{stem}."), to_sql(f"{stem}/")),  # "/" follows "."
            )
        return found

    def missing_like(self, seen: Sequence[tuple[Place, str]]) -> list[KnownFile]:
        """Return missing videos of which a file has the content, or the name but for its suffix."""
        found = self._alike("missing_at IS NOT NULL", (fingerprint for _, fingerprint in seen))
        found += self._beside("missing_at IS NOT NULL", (place for place, _ in seen))
        return list({known.video: known for known in found}.values())

    def _alike(self, condition: str, fingerprints: Iterable[str]) -> list[KnownFile]:
        found: list[KnownFile] = []
        for some in portions(sorted(set(fingerprints))):
            marks = ",".join("?" * len(some))
            found += self._all_known(f"{condition} AND fingerprint IN ({marks})", some)
        return found

    def _all_known(self, condition: str, values: Sequence[object]) -> list[KnownFile]:
        rows = self._connection.execute(
            f"SELECT {_KNOWN_COLUMNS} FROM video WHERE {condition}",  # noqa: S608 (literals above)
            values,
        )
        return [
            KnownFile(
                VideoId(i), Place(root, from_sql(path)), size, mtime, print_, bool(missing), beside
            )
            for i, root, path, size, mtime, print_, missing, beside in rows
        ]

    def without_poster(self) -> list[KnownFile]:
        """Return the videos whose poster was never tried, or is to be tried again."""
        return self._all_known(
            "poster IS NULL AND missing_at IS NULL AND NOT EXISTS (SELECT 1 FROM problem"
            " WHERE problem.root = video.root AND problem.path = video.path AND stage = 'poster')",
            (),
        )

    def missing_since(self, instant: int) -> list[KnownFile]:
        """Return the videos that were missing at `instant` already, if they are not forgotten."""
        return self._all_known("missing_at <= ? AND path != ''", (instant,))

    def twice(self) -> list[KnownFile]:
        """Return the videos with a file whose content another one has, too; equal ones together."""
        found = self._all_known(
            "missing_at IS NULL AND fingerprint IN (SELECT fingerprint FROM video"
            " WHERE missing_at IS NULL GROUP BY fingerprint HAVING count(*) > 1)",
            (),
        )
        return sorted(found, key=lambda one: (one.fingerprint, one.video))

    def missing_until(self, instant: int) -> list[VideoId]:
        """Return the videos that still have pages and were missing at `instant` already."""
        rows = self._connection.execute(
            "SELECT id FROM video WHERE missing_at <= ? AND dropped = 0", (instant,)
        )
        return [VideoId(row[0]) for row in rows]

    def problems(self, *, of_sounds: bool = False) -> list[FileProblem]:
        """Return every problem, by place; and files that proved to be sound alone, if asked for."""
        rows = self._connection.execute(
            "SELECT root, path, size_bytes, mtime_ns, stage, reason, at FROM problem"
            " WHERE ? OR stage != ? ORDER BY root, path",
            (of_sounds, SOUND),
        )
        return [
            FileProblem(Place(root, from_sql(path)), size, mtime, stage, reason, at)
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
