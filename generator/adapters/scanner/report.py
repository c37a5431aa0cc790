"""What the scanner reports: the files it saw, and what it covered."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from generator.core.model import Place, SkippedFile


@dataclass(frozen=True, slots=True)
class RootState:
    """The state of a root: `trouble` is "" or why it cannot be read.

    `device` is its st_dev and `entries` counts the names directly in it, of any kind; they are
    None and 0 if it cannot be read.
    """

    path: str
    device: int | None
    entries: int
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Walk:
    """The result of a scan: the files it saw, and what it covered.

    `files` has, by root, path -> (size_bytes, mtime_ns); every requested root is a key.
    `sidecars` likewise has files with the names of sidecars.
    `folders` were read without their subfolders, `trees` with them ("" is a whole root); `gone` are
    requested folders that no longer exist. In a scan of some folders, none of these is in
    one of `trees` or `gone`.
    The places in `unread`, and all below them, are unknown; `unwanted` has the reasons.
    """

    files: Mapping[str, Mapping[str, tuple[int, int]]]
    unwanted: tuple[SkippedFile, ...]
    roots: Mapping[str, RootState]
    folders: frozenset[Place]
    trees: frozenset[Place]
    gone: frozenset[Place]
    unread: frozenset[Place]
    sidecars: Mapping[str, Mapping[str, tuple[int, int]]] = field(default_factory=dict)

    def covers(self, place: Place) -> bool:
        """Return whether a file at `place` would be in `files` if it were in the library."""
        folders = above(place)
        if place in self.unread or not self.unread.isdisjoint(folders):
            return False
        return (
            folders[0] in self.folders
            or not self.trees.isdisjoint(folders)
            or not self.gone.isdisjoint(folders)
        )


def above(place: Place) -> list[Place]:
    """Return the folder of a place and its parents, the root ("") last."""
    path, folders = place.path, []
    while path:
        path = path.rpartition("/")[0]
        folders.append(Place(place.root, path))
    return folders
