"""Listing buckets: the same report as of folders, by one request for each 1,000 objects.

A folder here is what keys have in common; it is gone with its last object. A listing that fails,
even at its end, tells nothing: the root counts as one that cannot be read.
"""

from collections.abc import Iterable, Mapping

from generator.adapters.scanner.report import RootState, Walk, above
from generator.core.library.bucket_objects import BucketLister
from generator.core.library.bucket_roots import BucketRoot, is_path
from generator.core.library.file_filter import FileFilter
from generator.core.library.sidecar_files import is_sidecar
from generator.core.model import Place, SkippedFile

_NO_PATH = 'cannot have an address: a part of its key is empty, "." or ".."'
_UNASKED = 1  # entries of a root that nobody looked into: it is not said to be empty


def walk_buckets(
    roots: Mapping[str, BucketRoot], listers: Mapping[str, BucketLister], intake: FileFilter
) -> Walk:
    """List every root from begin to end; `listers` has what lists each."""
    reading = _Listing(roots, listers, intake)
    for root in roots:
        reading.tree(Place(root, ""))
    return reading.report()


def look_buckets(
    roots: Mapping[str, BucketRoot],
    listers: Mapping[str, BucketLister],
    intake: FileFilter,
    *,
    folders: Iterable[Place] = (),
    trees: Iterable[Place] = (),
) -> Walk:
    """List the named folders only: `folders` one level of each, `trees` with what is below them.

    One that is empty costs one request more: whether the whole root is. As `look`, it passes over
    what the intake refuses, and what is of no root.
    """
    reading = _Listing(roots, listers, intake)
    hints = dict.fromkeys(folders, False) | dict.fromkeys(trees, True)
    for place in sorted(hints, key=lambda one: (one.root, one.path)):  # what is above comes first
        if place.root in roots and reading.wants(place):
            if hints[place]:
                reading.tree(place)
            else:
                reading.folder(place)
    return reading.report()


def merge_walks(first: Walk, second: Walk) -> Walk:
    """Return the report of two that have no root in common."""
    return Walk(
        files={**first.files, **second.files},
        unwanted=first.unwanted + second.unwanted,
        roots={**first.roots, **second.roots},
        folders=first.folders | second.folders,
        trees=first.trees | second.trees,
        gone=first.gone | second.gone,
        unread=first.unread | second.unread,
        companions={**first.companions, **second.companions},
    )


class _Listing:
    """A walk or a look under way."""

    def __init__(
        self,
        roots: Mapping[str, BucketRoot],
        listers: Mapping[str, BucketLister],
        intake: FileFilter,
    ) -> None:
        self._roots, self._listers, self._intake = roots, listers, intake
        self._states = {name: RootState(str(one), None, _UNASKED) for name, one in roots.items()}
        self._files: dict[str, dict[str, tuple[int, int]]] = {root: {} for root in roots}
        self._companions: dict[str, dict[str, tuple[int, int]]] = {root: {} for root in roots}
        self._unwanted: list[SkippedFile] = []
        self._folders: set[Place] = set()
        self._trees: set[Place] = set()
        self._gone: set[Place] = set()
        self._takes: dict[str, bool] = {}  # of folders, by their paths

    def wants(self, place: Place) -> bool:
        """Tell whether a hinted folder is to be listed, and is not part of one that was."""
        folders = above(place)
        is_new = self._trees.isdisjoint(folders) and self._gone.isdisjoint(folders)
        is_sound = not place.path or is_path(place.path)
        return is_sound and is_new and self._intake.takes_folder_at(place.path)

    def folder(self, place: Place) -> None:
        """List one level."""
        if self._list(place, deep=False):
            self._folders.add(place)

    def tree(self, place: Place) -> None:
        """List all there is below a folder."""
        if self._list(place, deep=True):
            self._trees.add(place)

    def report(self) -> Walk:
        """Return what was listed; of a root of which not all could be, nothing is known."""
        troubled = {root for root, state in self._states.items() if state.trouble}
        for root in troubled:
            self._files[root], self._companions[root] = {}, {}
        return Walk(
            files=self._files,
            unwanted=tuple(one for one in self._unwanted if one.place.root not in troubled),
            roots=self._states,
            folders=frozenset(self._folders),
            trees=frozenset(self._trees),
            gone=frozenset(self._gone),
            unread=frozenset(Place(root, "") for root in troubled),
            companions=self._companions,
        )

    def _list(self, place: Place, *, deep: bool) -> bool:
        """List a folder; tell whether it is there, and note what became of it if it is not."""
        root = self._roots[place.root]
        front = root.key(place.path + "/") if place.path else root.front
        if self._states[place.root].trouble:
            return False
        found = 0
        try:
            for part in self._listers[place.root].listed(front, deep=deep):
                found += len(part.prefixes)
                found += self._objects(place.root, root.front, part.objects)
            if not found and place.path:
                self._gone.add(place)
                self._note(place.root, self._any(place.root, root.front))
                return False
        except OSError as error:
            trouble = f"cannot be read: {error.strerror}"
            self._states[place.root] = RootState(str(root), None, 0, trouble)
            return False
        self._note(place.root, found)
        return True

    def _note(self, root: str, entries: int) -> None:
        self._states[root] = RootState(str(self._roots[root]), None, entries)

    def _any(self, root: str, front: str) -> int:
        """Return how many of a root's first two objects count: 0 for an empty one."""
        parts = self._listers[root].listed(front, most=2)
        return sum(key != front for part in parts for key, _, _ in part.objects)

    def _objects(self, root: str, front: str, objects: Iterable[tuple[str, int, int]]) -> int:
        """Sort out objects; return how many there are. Many thousands pass here: keep it lean."""
        files, start, count = self._files[root], len(front), 0
        takes = self._intake.takes_file
        for key, size_bytes, mtime_ns in objects:
            path = key[start:]
            name = path.rpartition("/")[2]
            if not name:  # what consoles make to show a folder
                count += path != ""
                continue
            count += 1
            if takes(name):
                if not is_path(path):
                    self._unwanted.append(SkippedFile(Place(root, path), _NO_PATH))
                elif self._is_taken(path):
                    files[path] = (size_bytes, mtime_ns)
            elif (
                is_sidecar(name)
                and not self._intake.passes_over(name)
                and is_path(path)
                and self._is_taken(path)
            ):
                self._companions[root][path] = (size_bytes, mtime_ns)
        return count

    def _is_taken(self, path: str) -> bool:
        """Tell whether neither a pattern of the user's nor a folder keeps a file out."""
        folder = path.rpartition("/")[0]
        taken = self._takes.get(folder)
        if taken is None:
            taken = self._takes[folder] = self._intake.takes_folder_at(folder)
        return taken and not (self._intake.by_path and self._intake.bars_file_at(path))
