"""The sources of the library: folders and buckets behind one interface.

A folder is read by the scanner and by path; a bucket is listed, and read by ranges. A worker gets a
path, or a presigned URL that is valid for an hour.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from generator.adapters import fingerprint, scanner
from generator.adapters.s3.reader import S3Reader
from generator.adapters.scanner import Walk
from generator.adapters.settings import Settings
from generator.core.library import unfinished
from generator.core.library.file_filter import compile_filter
from generator.core.model import FileStat, Place

_AT_ONCE = 8  # objects sampled at the same time


class ScanPart(Protocol):
    """The part of the library to scan."""

    @property
    def folders(self) -> frozenset[Place]:
        """Return folders to scan without their subfolders."""

    @property
    def trees(self) -> frozenset[Place]:
        """Return folders to scan with all subfolders."""


def follow_link(file: str) -> str:
    """Return the target of a symlink, as workers follow none; any other path unchanged.

    A file that replaces it meanwhile is checked before it is opened, like any file.
    """
    try:
        return str(Path(file).resolve(strict=True)) if Path(file).is_symlink() else file
    except (OSError, RuntimeError):  # dangling or circular by now: the worker reports it
        return file


class Sources:
    """All roots named in the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folders, self._buckets = settings.roots, settings.buckets
        self._remotes = {
            name: S3Reader(root.bucket, settings.s3_endpoint, settings.s3_region)
            for name, root in self._buckets.items()
        }

    def walk(self, part: ScanPart | None) -> Walk:
        """Scan the whole library, or a part."""
        file_filter = compile_filter(self._settings.ignore)
        roots, follow = self._folders, self._settings.follow_links
        buckets, remotes = self._buckets, self._remotes
        if part is None:
            walk = scanner.walk(roots, file_filter, follow_links=follow)
            return (
                scanner.merge_walks(walk, scanner.walk_buckets(buckets, remotes, file_filter))
                if buckets
                else walk
            )
        walk = scanner.scan_folders(
            roots, file_filter, folders=part.folders, trees=part.trees, follow_links=follow
        )
        if not buckets:
            return walk
        listed = scanner.scan_buckets(
            buckets, remotes, file_filter, folders=part.folders, trees=part.trees
        )
        return scanner.merge_walks(walk, listed)

    def is_whole_at_once(self, place: Place) -> bool:
        """Return whether a file appears complete at once, as an object of a bucket does."""
        return place.root in self._buckets

    def is_being_written(self, place: Place) -> bool:
        """Return whether another file beside it shows that it is being written."""
        root = self._folders.get(place.root)
        return root is not None and scanner.has_beside(root, place, unfinished.UNDER_WAY)

    def stat(self, place: Place) -> FileStat | None:
        """Return the current size and mtime of a file; None if it cannot be seen."""
        root = self._folders.get(place.root)
        if root is not None:
            return scanner.stat_one(root, place, follow_links=self._settings.follow_links)
        try:
            return self._listed(place)
        except OSError:
            return None

    def is_gone(self, place: Place) -> bool:
        """Return whether a file certainly does not exist: its root does, and nothing hides it."""
        root = self._folders.get(place.root)
        if root is not None:
            return scanner.is_gone(root, place)
        bucket = self._buckets.get(place.root)
        if bucket is None:
            return True
        try:
            return self._listed(place) is None and any(
                part.objects for part in self._remotes[place.root].listed(bucket.front, most=1)
            )
        except OSError:
            return False

    def reads(self, place: Place) -> bool:
        """Return whether a file in a folder can be read now, as far as a scan reads it."""
        seen = self.stat(place) if place.root in self._folders else None
        return seen is not None and isinstance(self._fingerprint(seen), str)

    def changed_at(self, place: Place) -> float:
        """Return the ctime of a file in a folder (also set by chmod); 0 if unknown."""
        try:
            return (self._folders[place.root] / place.path).stat().st_ctime
        except (KeyError, OSError):
            return 0.0

    def fingerprints(self, files: Iterable[FileStat]) -> Iterator[tuple[FileStat, str | OSError]]:
        """Yield the fingerprint of each file, or the error, in the order of the files."""
        files = list(files)
        if not any(file.place.root in self._buckets for file in files):
            yield from ((file, self._fingerprint(file)) for file in files)
            return
        with ThreadPoolExecutor(_AT_ONCE, "samples") as pool:
            yield from zip(files, pool.map(self._fingerprint, files), strict=True)

    def file(self, place: Place) -> str:
        """Return the path or presigned URL of a file, for a worker.

        Raises:
            StoreUnavailableError: the file is in a bucket, and there are no credentials to sign.
        """
        bucket = self._buckets.get(place.root)
        if bucket is None:
            file = f"{self._folders[place.root]}/{place.path}"
            return follow_link(file) if self._settings.follow_links else file
        return self._remotes[place.root].url(bucket.key(place.path))

    def _fingerprint(self, seen: FileStat) -> str | OSError:
        bucket = self._buckets.get(seen.place.root)
        try:
            if bucket is None:
                follow = self._settings.follow_links
                return fingerprint.fingerprint(self.file(seen.place), follow_links=follow)
            remote, key = self._remotes[seen.place.root], bucket.key(seen.place.path)
            reader = remote.reader(key, seen.size_bytes)
            return fingerprint.fingerprint_of(seen.size_bytes, reader.read)
        except OSError as error:
            return error

    def _listed(self, place: Place) -> FileStat | None:
        bucket = self._buckets.get(place.root)
        if bucket is None:
            return None
        key = bucket.key(place.path)
        for part in self._remotes[place.root].listed(
            key, most=1
        ):  # an object with exactly this key comes first
            for listed_key, size_bytes, mtime_ns in part.objects:
                return FileStat(place, size_bytes, mtime_ns) if listed_key == key else None
        return None
