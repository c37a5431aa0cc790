"""Files in the catalogue: where each video's file is, which are new, which are not videos."""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from generator.adapters.catalogue.rows import batches, from_sql, stamp, to_sql
from generator.core.library import unfinished
from generator.core.library.identity import KnownFile
from generator.core.model import SOUND, FileProblem, FileStat, Place, VideoId

_FILE_COLUMNS = (
    "id, root, path, size_bytes, mtime_ns, fingerprint, missing_at IS NOT NULL, sidecar_digest"
)


@dataclass(frozen=True, slots=True)
class ScanComparison:
    """How a scan and the catalogue differ.

    `beside` are videos whose own file is unchanged while a file beside it is not.
    """

    unchanged: int
    changed: tuple[tuple[KnownFile, FileStat], ...]
    gone: tuple[KnownFile, ...]
    new: tuple[FileStat, ...]
    beside: tuple[KnownFile, ...] = ()


class FolderScan(Protocol):
    """The part of a scan that the catalogue needs."""

    @property
    def files(self) -> Mapping[str, Mapping[str, tuple[int, int]]]:
        """Return, by root, path -> (size_bytes, mtime_ns)."""

    @property
    def roots(self) -> Mapping[str, object]:
        """Return the roots of the library; files in other roots are gone."""

    @property
    def folders(self) -> frozenset[Place]:
        """Return the folders that were read without their subfolders."""

    @property
    def trees(self) -> frozenset[Place]:
        """Return the folders that were read with all their subfolders."""

    @property
    def gone(self) -> frozenset[Place]:
        """Return the folders that no longer exist."""

    def covers(self, place: Place) -> bool:
        """Return whether the scan would have seen a file at `place`."""


class CatalogueFiles:
    """Queries about files, over one open catalogue."""

    _connection: sqlite3.Connection

    def compare(
        self,
        walk: FolderScan,
        within: FolderScan | None = None,
        sidecar_digests: Mapping[str, Mapping[str, str]] | None = None,
        now_s: float = 0.0,
    ) -> ScanComparison:
        """Return what differs between a scan of the library and the catalogue.

        Args:
            walk: the files that were seen.
            within: the same, if only some folders were scanned; None: all were.
            sidecar_digests: by root, path of a video -> digest of its sidecars; None: they were not
                read.
            now_s: the current instant: truncated files do not wait forever.
        """
        files = {root: dict(by_path) for root, by_path in walk.files.items()}
        changed: list[tuple[int, FileStat]] = []
        gone: list[int] = []
        beside: list[int] = []
        unchanged = 0
        nothing: dict[str, tuple[int, int]] = {}
        none: dict[str, str] = {}
        for root, path, size_bytes, mtime_ns, video, before in self._files(within):
            size_mtime = files.get(root, nothing).pop(path, None)
            if size_mtime is None:
                if root not in walk.roots or walk.covers(Place(root, path)):
                    gone.append(video)
            elif size_mtime == (size_bytes, mtime_ns) or (
                (size_mtime[0], stamp(size_mtime[1])) == (size_bytes, mtime_ns)
            ):
                unchanged += 1
                if sidecar_digests is None:
                    continue
                if before != sidecar_digests.get(root, none).get(path, ""):
                    beside.append(video)
            else:
                file_stat = FileStat(Place(root, path), size_mtime[0], stamp(size_mtime[1]))
                changed.append((video, file_stat))
        differing = [*gone, *beside, *(video for video, _ in changed)]
        by_video = {file.video: file for file in self.files_of(differing)}
        return ScanComparison(
            unchanged,
            tuple((by_video[VideoId(video)], file_stat) for video, file_stat in changed),
            tuple(by_video[VideoId(video)] for video in gone),
            tuple(self._new(files, now_s)),
            tuple(by_video[VideoId(video)] for video in beside),
        )

    def _new(
        self, files: Mapping[str, dict[str, tuple[int, int]]], now_s: float
    ) -> Iterator[FileStat]:
        quarantined = self._quarantined(now_s) if any(files.values()) else {}
        for root, by_path in files.items():
            for path, (size_bytes, mtime_ns) in by_path.items():
                file_stat = FileStat(Place(root, path), size_bytes, stamp(mtime_ns))
                if quarantined.get(file_stat.place) != (size_bytes, file_stat.mtime_ns):
                    yield file_stat

    def _files(
        self, within: FolderScan | None
    ) -> Iterator[tuple[str, str, int, int, int, str | None]]:
        query = (
            "SELECT root, path, size_bytes, mtime_ns, id, sidecar_digest FROM video"
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
        """Return the files that are not probed again as long as they do not change."""
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

    def files_of(self, videos: Iterable[int]) -> list[KnownFile]:
        """Return the files of videos."""
        files: list[KnownFile] = []
        for batch in batches(sorted(videos)):
            marks = ",".join("?" * len(batch))
            files += self._select_files(f"id IN ({marks})", batch)
        return files

    def present(self) -> list[KnownFile]:
        """Return every file that is there."""
        return self._select_files("missing_at IS NULL", ())

    def present_by_root(self) -> dict[str, int]:
        """Return the number of videos with a file, by root."""
        return dict(
            self._connection.execute(
                "SELECT root, count(*) FROM video WHERE missing_at IS NULL GROUP BY root"
            )
        )

    def present_with(self, fingerprints: Iterable[str]) -> list[KnownFile]:
        """Return the videos whose file has one of these fingerprints."""
        return self._alike("missing_at IS NULL", fingerprints)

    def present_beside(self, places: Iterable[Place]) -> list[KnownFile]:
        """Return the videos whose file has the name of one of these, except for its suffix."""
        return self._beside("missing_at IS NULL", places)

    def _beside(self, condition: str, places: Iterable[Place]) -> list[KnownFile]:
        files: list[KnownFile] = []
        for place in places:
            stem = place.path.rpartition(".")[0]
            files += self._select_files(
                f"{condition} AND root = ? AND path >= ? AND path < ?",
                (place.root, to_sql(f"{stem}."), to_sql(f"{stem}/")),  # "/" follows "."
            )
        return files

    def missing_like(self, seen: Sequence[tuple[Place, str]]) -> list[KnownFile]:
        """Return missing videos with the content or the name, suffix aside, of one of these."""
        files = self._alike("missing_at IS NOT NULL", (fingerprint for _, fingerprint in seen))
        files += self._beside("missing_at IS NOT NULL", (place for place, _ in seen))
        return list({file.video: file for file in files}.values())

    def _alike(self, condition: str, fingerprints: Iterable[str]) -> list[KnownFile]:
        files: list[KnownFile] = []
        for batch in batches(sorted(set(fingerprints))):
            marks = ",".join("?" * len(batch))
            files += self._select_files(f"{condition} AND fingerprint IN ({marks})", batch)
        return files

    def _select_files(self, condition: str, values: Sequence[object]) -> list[KnownFile]:
        rows = self._connection.execute(
            f"SELECT {_FILE_COLUMNS} FROM video WHERE {condition}",  # noqa: S608 (literals above)
            values,
        )
        return [
            KnownFile(
                VideoId(i), Place(root, from_sql(path)), size, mtime, print_, bool(missing), beside
            )
            for i, root, path, size, mtime, print_, missing, beside in rows
        ]

    def without_poster(self) -> list[KnownFile]:
        """Return the videos whose poster has not been tried, or is to be tried again."""
        return self._select_files(
            "poster IS NULL AND missing_at IS NULL AND NOT EXISTS (SELECT 1 FROM problem"
            " WHERE problem.root = video.root AND problem.path = video.path AND stage = 'poster')",
            (),
        )

    def missing_for(self, seconds: int) -> list[KnownFile]:
        """Return the videos missing for `seconds` or longer by the scan clock, not forgotten ones.

        The scan clock counts the time between full scans, each at most by a limit: what is deleted
        for good must not depend on a wall clock that is wrong once. See
        `Catalogue.advance_scan_clock`.
        """
        return self._select_files(
            "missing_at IS NOT NULL AND path != '' AND coalesce(missing_clock_s, 0) + ? <="
            " (SELECT CAST(value AS INTEGER) FROM fact WHERE name = 'scan_clock_s')",
            (seconds,),
        )

    def twice(self) -> list[KnownFile]:
        """Return the videos that share their content with another; equal ones side by side."""
        files = self._select_files(
            "missing_at IS NULL AND fingerprint IN (SELECT fingerprint FROM video"
            " WHERE missing_at IS NULL GROUP BY fingerprint HAVING count(*) > 1)",
            (),
        )
        return sorted(files, key=lambda file: (file.fingerprint, file.video))

    def missing_until(self, instant: int) -> list[VideoId]:
        """Return the videos missing since `instant` or longer that still have pages."""
        rows = self._connection.execute(
            "SELECT id FROM video WHERE missing_at <= ? AND dropped = 0", (instant,)
        )
        return [VideoId(row[0]) for row in rows]

    def problems(self, *, of_sounds: bool = False) -> list[FileProblem]:
        """Return every problem, by place; with `of_sounds` also files that are audio only."""
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
    """Return the ranges, for text and for bytes, of the paths below a folder."""
    prefix = os.fsencode(folder + "/") if folder else b""
    after = prefix[:-1] + b"0" if prefix else b"\xff" * 8  # "0" follows "/"
    low, high = to_sql(folder + "/") if folder else "", to_sql(folder + "0") if folder else None
    if isinstance(low, bytes) or isinstance(high, bytes):
        return ((prefix, after),)
    return ((low, high if high is not None else "\U0010ffff"), (prefix, after))
