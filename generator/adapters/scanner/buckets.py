"""Scans buckets: the same report as of folders, with one request for each 1,000 objects.

A folder here is a common prefix of keys; it is gone with its last object. If a listing fails, even
at its end, its result is dropped: the root counts as unreadable.
"""

from collections.abc import Iterable, Mapping

from generator.adapters.scanner.report import RootState, Walk, above
from generator.core.library.bucket_listing import BucketLister
from generator.core.library.bucket_roots import BucketRoot, is_path
from generator.core.library.file_filter import FileFilter
from generator.core.library.sidecar_files import is_sidecar
from generator.core.model import Place, SkippedFile

_NO_PATH = 'cannot have an address: a part of its key is empty, "." or ".."'
_UNKNOWN_ENTRIES = 1  # entries of a root that was not listed: not 0, which means empty


def walk_buckets(
    roots: Mapping[str, BucketRoot], listers: Mapping[str, BucketLister], intake: FileFilter
) -> Walk:
    """List every root completely; `listers` has the bucket of each."""
    listing = _Listing(roots, listers, intake)
    for root in roots:
        listing.tree(Place(root, ""))
    return listing.report()


def scan_buckets(
    roots: Mapping[str, BucketRoot],
    listers: Mapping[str, BucketLister],
    intake: FileFilter,
    *,
    folders: Iterable[Place] = (),
    trees: Iterable[Place] = (),
) -> Walk:
    """List the named folders only: `folders` one level of each, `trees` with all subfolders.

    An empty one costs another request: whether the whole root is empty. As `scan_folders`, it
    skips what the file filter rejects, and places in other roots.
    """
    listing = _Listing(roots, listers, intake)
    hints = dict.fromkeys(folders, False) | dict.fromkeys(trees, True)
    for place in sorted(hints, key=lambda place: (place.root, place.path)):  # parents first
        if place.root in roots and listing.wants(place):
            if hints[place]:
                listing.tree(place)
            else:
                listing.folder(place)
    return listing.report()


def merge_walks(first: Walk, second: Walk) -> Walk:
    """Merge two reports that have no root in common."""
    return Walk(
        files={**first.files, **second.files},
        unwanted=first.unwanted + second.unwanted,
        roots={**first.roots, **second.roots},
        folders=first.folders | second.folders,
        trees=first.trees | second.trees,
        gone=first.gone | second.gone,
        unread=first.unread | second.unread,
        sidecars={**first.sidecars, **second.sidecars},
    )


class _Listing:
    """A running walk, or scan of some folders."""

    def __init__(
        self,
        roots: Mapping[str, BucketRoot],
        listers: Mapping[str, BucketLister],
        intake: FileFilter,
    ) -> None:
        self._roots, self._listers, self._intake = roots, listers, intake
        self._states = {
            name: RootState(str(bucket), None, _UNKNOWN_ENTRIES) for name, bucket in roots.items()
        }
        self._files: dict[str, dict[str, tuple[int, int]]] = {root: {} for root in roots}
        self._sidecars: dict[str, dict[str, tuple[int, int]]] = {root: {} for root in roots}
        self._unwanted: list[SkippedFile] = []
        self._folders: set[Place] = set()
        self._trees: set[Place] = set()
        self._gone: set[Place] = set()
        self._taken_folders: dict[str, bool] = {}  # whether a folder is taken, by path

    def wants(self, place: Place) -> bool:
        """Return whether a hinted folder is to be listed, and was not listed with a parent."""
        folders = above(place)
        is_new = self._trees.isdisjoint(folders) and self._gone.isdisjoint(folders)
        is_sound = not place.path or is_path(place.path)
        return is_sound and is_new and self._intake.takes_folder_at(place.path)

    def folder(self, place: Place) -> None:
        """List one level."""
        if self._list(place, deep=False):
            self._folders.add(place)

    def tree(self, place: Place) -> None:
        """List a folder with all subfolders."""
        if self._list(place, deep=True):
            self._trees.add(place)

    def report(self) -> Walk:
        """Return what was listed; the files of a root that failed are dropped."""
        troubled = {root for root, state in self._states.items() if state.trouble}
        for root in troubled:
            self._files[root], self._sidecars[root] = {}, {}
        return Walk(
            files=self._files,
            unwanted=tuple(
                skipped for skipped in self._unwanted if skipped.place.root not in troubled
            ),
            roots=self._states,
            folders=frozenset(self._folders),
            trees=frozenset(self._trees),
            gone=frozenset(self._gone),
            unread=frozenset(Place(root, "") for root in troubled),
            sidecars=self._sidecars,
        )

    def _list(self, place: Place, *, deep: bool) -> bool:
        """List a folder; return whether it exists, and record it as gone if not."""
        root = self._roots[place.root]
        front = root.key(place.path + "/") if place.path else root.front
        if self._states[place.root].trouble:
            return False
        count = 0
        try:
            for part in self._listers[place.root].listed(front, deep=deep):
                count += len(part.prefixes)
                count += self._objects(place.root, root.front, part.objects)
            if not count and place.path:
                self._gone.add(place)
                self._set_entries(place.root, self._count_first(place.root, root.front))
                return False
        except OSError as error:
            trouble = f"cannot be read: {error.strerror}"
            self._states[place.root] = RootState(str(root), None, 0, trouble)
            return False
        self._set_entries(place.root, count)
        return True

    def _set_entries(self, root: str, entries: int) -> None:
        self._states[root] = RootState(str(self._roots[root]), None, entries)

    def _count_first(self, root: str, front: str) -> int:
        """Return how many of the first two objects of a root count: 0 if it is empty."""
        parts = self._listers[root].listed(front, most=2)
        return sum(key != front for part in parts for key, _, _ in part.objects)

    def _objects(self, root: str, front: str, objects: Iterable[tuple[str, int, int]]) -> int:
        """Sort objects; return how many there are. It runs for many thousands: keep it fast."""
        files, start, count = self._files[root], len(front), 0
        takes = self._intake.takes_file
        for key, size_bytes, mtime_ns in objects:
            path = key[start:]
            name = path.rpartition("/")[2]
            if not name:  # a placeholder that consoles create for a folder
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
                self._sidecars[root][path] = (size_bytes, mtime_ns)
        return count

    def _is_taken(self, path: str) -> bool:
        """Return whether no ignore pattern excludes a file or its folder."""
        folder = path.rpartition("/")[0]
        taken = self._taken_folders.get(folder)
        if taken is None:
            taken = self._taken_folders[folder] = self._intake.takes_folder_at(folder)
        return taken and not (self._intake.by_path and self._intake.bars_file_at(path))
