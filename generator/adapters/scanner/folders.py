"""Reading folders: one stat a file, and none is opened.

`walk` reads whole roots, `look` only the folders named by hints. What a file is, and whether it is
quiet yet, is for others.
"""

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from generator.adapters.scanner.report import RootState, Walk, above
from generator.core.library.file_filter import FileFilter
from generator.core.library.sidecar_files import is_sidecar, is_text_folder
from generator.core.model import FileStat, Place, SkippedFile

# Linux takes paths of 4,095 bytes (PATH_MAX). A folder within one name of that is not read: some
# of its files could be seen but never opened.
LONGEST_FOLDER_BYTES = 4095 - 256

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_KIND_BITS = 0o170000  # what S_IFMT keeps of st_mode
_NO_LINK = "is a symbolic link, and links are not followed; set follow_links"
_KINDS = {
    stat.S_IFDIR: "is a folder",
    stat.S_IFIFO: "is a named pipe, not a file",
    stat.S_IFSOCK: "is a socket, not a file",
    stat.S_IFCHR: "is a device, not a file",
    stat.S_IFBLK: "is a device, not a file",
}


def walk(roots: Mapping[str, Path], intake: FileFilter, *, follow_links: bool) -> Walk:
    """Read every folder of every root.

    Links to folders are followed after all that is really in the library was read, and only to
    folders not read before: each folder is read once, loops end, and the real path wins.
    """
    reading = _Reading(roots, intake, follow_links=follow_links)
    for root in roots:
        reading.tree(Place(root, ""))
    reading.links()
    return reading.report()


def look(
    roots: Mapping[str, Path],
    intake: FileFilter,
    *,
    folders: Iterable[Place] = (),
    trees: Iterable[Place] = (),
    follow_links: bool,
) -> Walk:
    """Read the named folders only: `folders` without, `trees` with what is below them.

    Links to folders are left to `walk`, which alone knows whether their target was read already:
    where they are followed, what is behind them is in `unread`. Folders the intake refuses, those
    of roots not given, and those in a tree that is read or gone anyway are passed over.
    """
    reading = _Reading(roots, intake, follow_links=follow_links, links_wait=True)
    hints = dict.fromkeys(folders, False) | dict.fromkeys(trees, True)
    for place in sorted(hints, key=_order):  # what is above comes first
        if place.root in roots and intake.takes_folder_at(place.path) and reading.finds(place):
            if hints[place]:
                reading.tree(place)
            else:
                reading.folder(place)
    return reading.report()


def stat_one(root: Path, place: Place, *, follow_links: bool = False) -> FileStat | None:
    """Look at one file now; None where no regular file can be seen."""
    try:
        status = (root / place.path).stat(follow_symlinks=follow_links)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return FileStat(place, status.st_size, status.st_mtime_ns)


def has_beside(root: Path, place: Place, ends: Iterable[str]) -> bool:
    """Tell whether something has the name of a file with one of these at its end."""
    file = f"{root}/{place.path}"
    return any(os.path.lexists(file + end) for end in ends)  # asked of every new file: no Path


def is_gone(root: Path, place: Place) -> bool:
    """Tell whether a file is certainly not there: not so where it cannot be told."""
    try:
        (root / place.path).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return any(root.iterdir()) if root.is_dir() else False
    except OSError:
        return False
    return False


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder being read; the paths of the folders in it gather in `below`."""

    root: str
    prefix: str
    below: list[str]


class _Reading:
    """A walk or a look under way; in a look the links to folders wait for the next walk."""

    def __init__(
        self,
        roots: Mapping[str, Path],
        intake: FileFilter,
        *,
        follow_links: bool,
        links_wait: bool = False,
    ) -> None:
        self._intake = intake
        self._follow_links = follow_links
        self._links_wait = links_wait
        self._bases = {root: str(path.absolute()) for root, path in roots.items()}
        self._identities = {root: _identity(base) for root, base in self._bases.items()}
        self._states = {root: _state(base) for root, base in self._bases.items()}
        self._files: dict[str, dict[str, tuple[int, int]]] = {root: {} for root in roots}
        self._companions: dict[str, dict[str, tuple[int, int]]] = {root: {} for root in roots}
        self._unwanted: list[SkippedFile] = []
        self._folders: set[Place] = set()
        self._trees: set[Place] = set()
        self._gone: set[Place] = set()
        self._unread: set[Place] = set()
        self._links: list[Place] = []
        self._read_as: dict[tuple[int, int], Place] = {}  # by device and inode

    def finds(self, place: Place) -> bool:
        """Tell whether a hinted folder is there to be read; if not, note what became of it."""
        folders = above(place)
        seen = not (self._trees.isdisjoint(folders) and self._gone.isdisjoint(folders))
        if seen or self._states[place.root].trouble:
            return False
        at = Path(self._at(place))
        try:
            is_folder = stat.S_ISDIR(at.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            is_folder = False
        except OSError as error:
            self._leave(place, _cannot(error))
            return False
        by_link = is_folder and at.resolve() != Path(self._bases[place.root]).resolve() / place.path
        if by_link and self._follow_links:
            self._unread.add(place)
        elif by_link or not is_folder:
            self._gone.add(place)
        return is_folder and not by_link

    def folder(self, place: Place) -> None:
        """Read one folder, without what is below it, but for the subtitles of its films."""
        self._folders.add(place)
        for path in self._read(place, top=place.path == ""):
            if is_text_folder(path):  # belongs to the films here
                self.tree(Place(place.root, path))

    def tree(self, place: Place, *, by_link: bool = False) -> None:
        """Read a folder and all below it, however deep."""
        self._trees.add(place)
        waiting = self._read(place, top=by_link or place.path == "", by_link=by_link)
        while waiting:
            waiting += self._read(Place(place.root, waiting.pop()), by_link=by_link)

    def links(self) -> None:
        """Follow the links to folders met so far, and those met on the way, in order of path."""
        while self._links:
            links, self._links = sorted(self._links, key=_order), []
            for place in links:
                self.tree(place, by_link=True)

    def report(self) -> Walk:
        """Return what was read; of a root that was exchanged meanwhile, nothing is known."""
        for root, state in self._states.items():
            if not state.trouble and _identity(self._bases[root]) != self._identities[root]:
                self._states[root] = replace(state, trouble="went away while it was read")
        troubled = {Place(root, "") for root, state in self._states.items() if state.trouble}
        return Walk(
            files=self._files,
            unwanted=tuple(self._unwanted),
            roots=self._states,
            folders=frozenset(self._folders),
            trees=frozenset(self._trees),
            gone=frozenset(self._gone),
            unread=frozenset(self._unread | troubled),
            companions=self._companions,
        )

    def _at(self, place: Place) -> str:
        base = self._bases[place.root]
        return f"{base}/{place.path}" if place.path else base

    def _leave(self, place: Place, reason: str) -> None:
        self._unread.add(place)
        self._unwanted.append(SkippedFile(place, reason))

    def _read(self, place: Place, *, top: bool = False, by_link: bool = False) -> list[str]:
        """Read one folder and return the paths of those in it; a `top` may itself be a link."""
        folder = _Folder(place.root, f"{place.path}/" if place.path else "", [])
        at = self._at(place)
        if self._states[place.root].trouble:
            return []
        if len(os.fsencode(at)) > LONGEST_FOLDER_BYTES:
            self._leave(place, f"its path is too long (over {LONGEST_FOLDER_BYTES} bytes)")
            return []
        try:
            descriptor = os.open(at, _FOLDER_FLAGS | (0 if top else os.O_NOFOLLOW))
        except OSError as error:
            self._leave(place, _cannot(error))
            return []
        try:
            if self._follow_links and not self._is_new(place, descriptor, by_link=by_link):
                return []
            with os.scandir(descriptor) as entries:
                self._entries(entries, folder)
        except OSError as error:
            self._leave(place, _cannot(error))
        finally:
            os.close(descriptor)
        return folder.below

    def _is_new(self, place: Place, descriptor: int, *, by_link: bool) -> bool:
        status = os.fstat(descriptor)
        known = self._read_as.setdefault((status.st_dev, status.st_ino), place)
        if known == place or not by_link:
            return True
        name = repr(known.path) if known.path else "the root"
        of = "" if known.root == place.root else f" of {known.root}"
        self._unwanted.append(SkippedFile(place, f"leads to the same folder as {name}{of}"))
        return False

    def _entries(self, entries: Iterator[os.DirEntry[str]], folder: _Folder) -> None:
        """Sort out what is in a folder. 100,000 names pass here: keep it lean."""
        files, prefix = self._files[folder.root], folder.prefix
        takes = self._intake.takes_file
        bars = self._intake.bars_file_at if self._intake.by_path else None
        for entry in entries:
            name = entry.name
            if not takes(name) or (bars and bars(prefix + name)):
                self._other(entry, folder)
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # gone since its name was read
            except OSError as error:
                self._leave(Place(folder.root, prefix + name), _cannot(error))
                continue
            if status.st_mode & _KIND_BITS == stat.S_IFREG:
                files[prefix + name] = (status.st_size, status.st_mtime_ns)
            else:
                self._odd(entry, stat.S_IFMT(status.st_mode), folder)

    def _other(self, entry: os.DirEntry[str], folder: _Folder) -> None:
        """Deal with a name that is no video's: a folder, a companion, or a link to a folder."""
        if entry.is_dir(follow_symlinks=False):
            self._below(entry.name, folder)
        elif entry.is_symlink():
            self._link(entry, folder, named=False)
        elif is_sidecar(entry.name) and not self._intake.passes_over(entry.name):
            self._companion(entry, folder)

    def _companion(self, entry: os.DirEntry[str], folder: _Folder) -> None:
        path = folder.prefix + entry.name
        if self._intake.by_path and self._intake.bars_file_at(path):
            return
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            return  # one that cannot even be looked at says nothing
        if stat.S_ISREG(status.st_mode):
            self._companions[folder.root][path] = (status.st_size, status.st_mtime_ns)

    def _odd(self, entry: os.DirEntry[str], kind: int, folder: _Folder) -> None:
        """Deal with what has a video's name and is no regular file."""
        if kind == stat.S_IFDIR:
            self._below(entry.name, folder)
        elif kind == stat.S_IFLNK:
            self._link(entry, folder, named=True)
        else:
            place = Place(folder.root, folder.prefix + entry.name)
            self._unwanted.append(SkippedFile(place, _KINDS.get(kind, "is no file")))

    def _below(self, name: str, folder: _Folder) -> None:
        path = folder.prefix + name
        if self._intake.takes_folder(name) and not self._intake.bars_folder_at(path):
            folder.below.append(path)

    def _link(self, entry: os.DirEntry[str], folder: _Folder, *, named: bool) -> None:
        """Deal with a symbolic link, `named` like a video or not; a dead one may be a lost disk."""
        place = Place(folder.root, folder.prefix + entry.name)
        if not self._intake.takes_folder(entry.name) or self._intake.bars_folder_at(place.path):
            return
        if named and not self._follow_links:
            self._unwanted.append(SkippedFile(place, _NO_LINK))
            return
        try:
            status = entry.stat()
        except OSError as error:
            if self._follow_links:
                self._leave(place, _cannot(error, link=True))
            return
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFDIR:
            self._folder_link(place)
        elif not named and kind == stat.S_IFREG and self._follow_links:
            if is_sidecar(entry.name) and not self._intake.passes_over(entry.name):
                beside = self._companions[place.root]
                beside[place.path] = (status.st_size, status.st_mtime_ns)
        elif named and kind == stat.S_IFREG:
            self._files[place.root][place.path] = (status.st_size, status.st_mtime_ns)
        elif named:
            self._unwanted.append(SkippedFile(place, _KINDS.get(kind, "is no file")))

    def _folder_link(self, place: Place) -> None:
        if not self._follow_links:
            self._unwanted.append(SkippedFile(place, _NO_LINK))
        elif self._links_wait:
            self._unread.add(place)
        else:
            self._links.append(place)


def _cannot(error: OSError, *, link: bool = False) -> str:
    if link and error.errno == errno.ENOENT:
        return "is a symbolic link that leads nowhere"
    if link and error.errno == errno.ELOOP:
        return "is a symbolic link that leads in a circle"
    return f"cannot be read: {error.strerror}"


def _identity(path: str) -> tuple[int, int] | None:
    """Return device and inode of a root; None where there is none."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _state(path: str) -> RootState:
    try:
        with os.scandir(path) as entries:
            return RootState(path, Path(path).stat().st_dev, sum(1 for _ in entries))
    except OSError as error:
        return RootState(path, None, 0, _cannot(error))


def _order(place: Place) -> tuple[str, str]:
    return place.root, place.path
