"""What the scanner reports: what was seen, and how far the eye reached."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from generator.core.model import Place, SkippedFile


@dataclass(frozen=True, slots=True)
class RootState:
    """A root as it was met: `trouble` is "" or why it cannot be read.

    `device` is its st_dev and `entries` counts the names directly in it, of any kind; they are
    None and 0 where it cannot be read.
    """

    path: str
    device: int | None
    entries: int
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Walk:
    """What was seen, and how far the eye reached.

    `files` has, by root, path -> (size_bytes, mtime_ns); every root asked for is a key.
    `companions` likewise has what is named like something that belongs to a video.
    `folders` were read without what is below them, `trees` with it ("" is a whole root); `gone`
    are folders to look at that are no more. In a look, none of these lies in one of `trees` or
    `gone`. Of the places in `unread`, and all below them, nothing is known; `unwanted` says why.
    """

    files: Mapping[str, Mapping[str, tuple[int, int]]]
    unwanted: tuple[SkippedFile, ...]
    roots: Mapping[str, RootState]
    folders: frozenset[Place]
    trees: frozenset[Place]
    gone: frozenset[Place]
    unread: frozenset[Place]
    companions: Mapping[str, Mapping[str, tuple[int, int]]] = field(default_factory=dict)

    def covers(self, place: Place) -> bool:
        """Tell whether a file at `place` would be in `files` if it were in the library."""
        folders = above(place)
        if place in self.unread or not self.unread.isdisjoint(folders):
            return False
        return (
            folders[0] in self.folders
            or not self.trees.isdisjoint(folders)
            or not self.gone.isdisjoint(folders)
        )


def above(place: Place) -> list[Place]:
    """Return the folder a place is in and all above it, the root ("") last."""
    path, folders = place.path, []
    while path:
        path = path.rpartition("/")[0]
        folders.append(Place(place.root, path))
    return folders
