"""Writes .nfo files beside videos: new ones, and those that the record says are ours, no others.

A file that somebody else wrote stays, and so does one of ours that was edited since. Files appear
whole or not at all; a temporary file that a killed export left is removed by the next one, which
recognizes it by the id in its name.
"""

import errno
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from generator.core.library.export_format import is_own_nfo
from generator.core.library.file_filter import VIDEO_SUFFIXES
from generator.core.model import Place

_FOLDER_WIDE = "movie.nfo"
_SCRATCH_END = ".nfo.tmp"
_MOST_BYTES = 1 << 20


class NfoVerdict(StrEnum):
    """What is done about the .nfo of a video."""

    WRITE = "written"
    UNCHANGED = "unchanged"
    FOREIGN = "another program's .nfo, or one that was edited, is there"
    SHARED = "another video in its folder has the same name but for the suffix"
    NO_FOLDER = "its folder is not there, or behind a link"


@dataclass(frozen=True, slots=True)
class PlannedNfo:
    """The .nfo of one video: `place` is its own, `former` its content's digest now, "" for none."""

    place: Place
    verdict: NfoVerdict
    content: bytes = b""
    former: str = ""

    @property
    def digest(self) -> str:
        """Return the digest of its content, as the record has it."""
        return digest_of_nfo(self.content)


@dataclass(frozen=True, slots=True)
class _ListedFolder:
    path: Path | None
    stems: Counter[str] = field(default_factory=Counter)  # of names that videos have
    lower: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def digest_of_nfo(content: bytes) -> str:
    """Return the digest by which the record knows a content."""
    return hashlib.sha256(content).hexdigest()


class NfoFolders:
    """The folders of the library as places of .nfo files.

    Args:
        roots: the library's folders by name.
        follow_links: folders behind links belong to the library.
        mark: part of the names of temporary files, and of no other program's.
        digests: returns the digests of the contents at a place that are ours.
        removes_stale: remove temporary files that a killed export left; only while no other writes.
    """

    def __init__(
        self,
        roots: Mapping[str, Path],
        *,
        follow_links: bool,
        mark: str,
        digests: Callable[[Place], tuple[str, ...]],
        removes_stale: bool,
    ) -> None:
        self._roots, self._follow_links, self._removes_stale = roots, follow_links, removes_stale
        self._scratch_start, self._digests = f".{mark}-", digests
        self._at, self._folder = Place("", "\0"), _ListedFolder(None)

    def plan(self, video: Place, content: bytes) -> PlannedNfo:
        """Return what is to be done so that a video has this .nfo; nothing is written."""
        above, _, name = video.path.rpartition("/")
        stem = name.rpartition(".")[0] or name
        place = Place(video.root, f"{above}/{stem}.nfo" if above else f"{stem}.nfo")
        folder = self._listed(Place(video.root, above))
        if folder.path is None:
            return PlannedNfo(place, NfoVerdict.NO_FOLDER)
        if folder.stems[stem] > 1:
            return PlannedNfo(place, NfoVerdict.SHARED)
        ours = ""
        for other in (f"{stem}.nfo", f"{name}.nfo", _FOLDER_WIDE):
            for spelled in folder.lower.get(other.lower(), ()):
                is_target = spelled == f"{stem}.nfo"
                current = _content_of(folder.path / spelled)
                digest = "" if current is None else digest_of_nfo(current)
                there = Place(video.root, f"{above}/{spelled}" if above else spelled)
                is_alike = is_target and current == content  # also one whose record was lost
                if not is_alike and digest not in self._digests(there):
                    return PlannedNfo(place, NfoVerdict.FOREIGN)
                ours = digest if is_target else ours
        is_there = ours == digest_of_nfo(content)
        verdict = NfoVerdict.UNCHANGED if is_there else NfoVerdict.WRITE
        return PlannedNfo(place, verdict, content, ours)

    def write(self, planned: PlannedNfo) -> None:
        """Write a planned .nfo.

        Raises:
            FileExistsError: another file came meanwhile, or ours was edited; it is as it is.
            OSError: the folder is not writable, or the disk is full; the file is as it was.
        """
        target = self._roots[planned.place.root] / planned.place.path
        scratch = target.with_name(f"{self._scratch_start}{os.getpid()}{_SCRATCH_END}")
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(planned.content)
                file.flush()
                os.fdatasync(file.fileno())
            if planned.former:
                _require_unchanged(target, planned.former)
                scratch.replace(target)
            else:
                _rename_new_file(scratch, target)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise

    def _listed(self, folder: Place) -> _ListedFolder:
        if folder != self._at:
            self._at, self._folder = folder, self._list(folder)
        return self._folder

    def _list(self, folder: Place) -> _ListedFolder:
        root = self._roots.get(folder.root)
        if root is None:
            return _ListedFolder(None)
        path = root / folder.path if folder.path else root
        try:
            is_behind_link = path.resolve() != root.resolve() / folder.path
            names = sorted(entry.name for entry in path.iterdir())
        except OSError:
            return _ListedFolder(None)
        if is_behind_link and not self._follow_links:
            return _ListedFolder(None)
        stems: Counter[str] = Counter()
        lower: dict[str, tuple[str, ...]] = {}
        for name in names:
            stem, _, suffix = name.rpartition(".")
            if suffix.lower() in VIDEO_SUFFIXES:
                stems[stem] += 1
            elif suffix.lower() == "nfo":
                lower[name.lower()] = (*lower.get(name.lower(), ()), name)
            elif self._removes_stale and self._is_scratch(name):
                (path / name).unlink(missing_ok=True)
        return _ListedFolder(path, stems, lower)

    def _is_scratch(self, name: str) -> bool:
        return name.startswith(self._scratch_start) and name.endswith(_SCRATCH_END)


def _content_of(file: Path) -> bytes | None:
    """Return the content of a regular file that may be an own .nfo, None for any other."""
    try:
        status = file.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
            return None
        content = file.read_bytes()
    except OSError:
        return None
    return content if is_own_nfo(content) else None


def _require_unchanged(target: Path, digest: str) -> None:
    content = _content_of(target)
    if content is None or digest_of_nfo(content) != digest:
        raise FileExistsError(errno.EEXIST, "it was changed meanwhile", str(target))


def _rename_new_file(scratch: Path, target: Path) -> None:
    """Rename a file, never onto another."""
    try:
        os.link(scratch, target)
    except FileExistsError:
        raise
    except OSError as error:  # no links on this file system
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "it came meanwhile", str(target)) from error
        scratch.replace(target)
        return
    with suppress(OSError):
        scratch.unlink()
