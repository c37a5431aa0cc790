"""The library: folders and buckets, asked the same questions.

A folder is read by the scanner and by name; a bucket is listed, and read by ranges. What a worker
is to look into is named to it: by a path, or by an address that anybody can read for an hour.
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

_AT_ONCE = 8  # objects of which samples are fetched at the same time


class ScanPart(Protocol):
    """What of the library to look at."""

    @property
    def folders(self) -> frozenset[Place]:
        """Return folders, without what is below them."""

    @property
    def trees(self) -> frozenset[Place]:
        """Return folders with all below them."""


def led_to(file: str) -> str:
    """Return what a link leads to, for workers follow none; any other file as it is.

    Whatever takes its place meanwhile is looked at before it is opened, as any file is.
    """
    try:
        return str(Path(file).resolve(strict=True)) if Path(file).is_symlink() else file
    except (OSError, RuntimeError):  # nowhere, or in a circle, by now: the worker tells
        return file


class Sources:
    """All roots of some settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folders, self._buckets = settings.roots, settings.buckets
        self._remotes = {
            name: S3Reader(root.bucket, settings.endpoint, settings.region)
            for name, root in self._buckets.items()
        }

    def walk(self, part: ScanPart | None) -> Walk:
        """Look at all of it, or at a part."""
        intake = compile_filter(self._settings.ignore)
        roots, follow = self._folders, self._settings.follow_links
        buckets, remotes = self._buckets, self._remotes
        if part is None:
            walk = scanner.walk(roots, intake, follow_links=follow)
            return (
                scanner.merge_walks(walk, scanner.walk_buckets(buckets, remotes, intake))
                if buckets
                else walk
            )
        walk = scanner.look(
            roots, intake, folders=part.folders, trees=part.trees, follow_links=follow
        )
        if not buckets:
            return walk
        listed = scanner.look_buckets(
            buckets, remotes, intake, folders=part.folders, trees=part.trees
        )
        return scanner.merge_walks(walk, listed)

    def is_whole_at_once(self, place: Place) -> bool:
        """Tell whether what lies there came as a whole: nobody writes to an object."""
        return place.root in self._buckets

    def is_under_way(self, place: Place) -> bool:
        """Tell whether something beside a file says that it is being written."""
        root = self._folders.get(place.root)
        return root is not None and scanner.has_beside(root, place, unfinished.UNDER_WAY)

    def stat(self, place: Place) -> FileStat | None:
        """Look at one file now; None where none can be seen."""
        root = self._folders.get(place.root)
        if root is not None:
            return scanner.stat_one(root, place, follow_links=self._settings.follow_links)
        try:
            return self._listed(place)
        except OSError:
            return None

    def is_gone(self, place: Place) -> bool:
        """Tell whether a file is certainly not there: its root is, and nothing hides it."""
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
        """Tell whether a file in a folder can be read now, as far as a look reads it."""
        seen = self.stat(place) if place.root in self._folders else None
        return seen is not None and isinstance(self._fingerprint(seen), str)

    def changed_at(self, place: Place) -> float:
        """Return when a file in a folder, or who may read it, changed last; 0 if nobody knows."""
        try:
            return (self._folders[place.root] / place.path).stat().st_ctime
        except (KeyError, OSError):
            return 0.0

    def fingerprints(
        self, sightings: Iterable[FileStat]
    ) -> Iterator[tuple[FileStat, str | OSError]]:
        """Yield the fingerprint of each file, or why there is none, in their order."""
        sightings = list(sightings)
        if not any(one.place.root in self._buckets for one in sightings):
            yield from ((one, self._fingerprint(one)) for one in sightings)
            return
        with ThreadPoolExecutor(_AT_ONCE, "samples") as pool:
            yield from zip(sightings, pool.map(self._fingerprint, sightings), strict=True)

    def file(self, place: Place) -> str:
        """Return what a worker finds a file by.

        Raises:
            AwayError: the file is in a bucket, and there is nothing to sign its address with.
        """
        bucket = self._buckets.get(place.root)
        if bucket is None:
            file = f"{self._folders[place.root]}/{place.path}"
            return led_to(file) if self._settings.follow_links else file
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
        for part in self._remotes[place.root].listed(key, most=1):  # the key itself is the first
            for found, size_bytes, mtime_ns in part.objects:
                return FileStat(place, size_bytes, mtime_ns) if found == key else None
        return None
