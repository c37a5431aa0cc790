"""Scans folders: one stat per file, and none is opened.

`walk` reads whole roots, `scan_folders` only the folders of hints. Other modules decide what a
file is, and whether it is still being written.
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

# The limit of Linux is 4,095 bytes (PATH_MAX). A folder within one name of it is not read: some of
# its files could be listed but never opened.
MAX_FOLDER_BYTES = 4095 - 256

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_KIND_BITS = 0o170000  # the mask of S_IFMT
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

    Links to folders are followed after all real folders were read, and only to folders that were
    not read yet: each folder is read once, loops end, and the real path wins.
    """
    scan = _Scan(roots, intake, follow_links=follow_links)
    for root in roots:
        scan.tree(Place(root, ""))
    scan.links()
    return scan.report()


def scan_folders(
    roots: Mapping[str, Path],
    intake: FileFilter,
    *,
    folders: Iterable[Place] = (),
    trees: Iterable[Place] = (),
    follow_links: bool,
) -> Walk:
    """Read the named folders only: `folders` without, `trees` with their subfolders.

    Links to folders are left to `walk`, which alone knows whether their target was read already:
    if they are followed, they are in `unread`. Folders that the file filter rejects, those in other
    roots, and those in a tree that is read or gone anyway are skipped.
    """
    scan = _Scan(roots, intake, follow_links=follow_links, links_wait=True)
    hints = dict.fromkeys(folders, False) | dict.fromkeys(trees, True)
    for place in sorted(hints, key=_order):  # parents first
        if place.root in roots and intake.takes_folder_at(place.path) and scan.finds(place):
            if hints[place]:
                scan.tree(place)
            else:
                scan.folder(place)
    return scan.report()


def stat_one(root: Path, place: Place, *, follow_links: bool = False) -> FileStat | None:
    """Return the stat of one file, None if there is no regular file."""
    try:
        status = (root / place.path).stat(follow_symlinks=follow_links)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return FileStat(place, status.st_size, status.st_mtime_ns)


def has_beside(root: Path, place: Place, ends: Iterable[str]) -> bool:
    """Return whether the name of a file with one of these suffixes added exists."""
    file = f"{root}/{place.path}"
    return any(os.path.lexists(file + end) for end in ends)  # runs for every new file: no Path


def is_gone(root: Path, place: Place) -> bool:
    """Return whether a file is certainly gone: False if that is unknown."""
    try:
        (root / place.path).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return any(root.iterdir()) if root.is_dir() else False
    except OSError:
        return False
    return False


@dataclass(frozen=True, slots=True)
class _OpenFolder:
    """A folder being read; `below` collects the paths of its subfolders."""

    root: str
    prefix: str
    below: list[str]


class _Scan:
    """A running walk, or scan of some folders; in that, links to folders wait for the next walk."""

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
        self._sidecars: dict[str, dict[str, tuple[int, int]]] = {root: {} for root in roots}
        self._unwanted: list[SkippedFile] = []
        self._folders: set[Place] = set()
        self._trees: set[Place] = set()
        self._gone: set[Place] = set()
        self._unread: set[Place] = set()
        self._links: list[Place] = []
        self._read_as: dict[tuple[int, int], Place] = {}  # by device and inode

    def finds(self, place: Place) -> bool:
        """Return whether a hinted folder can be read; if not, record it as gone or unread."""
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
        """Read one folder without its subfolders, except those with subtitles of its videos."""
        self._folders.add(place)
        for path in self._read(place, top=place.path == ""):
            if is_text_folder(path):  # subtitles of the videos here
                self.tree(Place(place.root, path))

    def tree(self, place: Place, *, by_link: bool = False) -> None:
        """Read a folder with all subfolders."""
        self._trees.add(place)
        waiting = self._read(place, top=by_link or place.path == "", by_link=by_link)
        while waiting:
            waiting += self._read(Place(place.root, waiting.pop()), by_link=by_link)

    def links(self) -> None:
        """Follow the links to folders seen so far, and those behind them, in order of path."""
        while self._links:
            links, self._links = sorted(self._links, key=_order), []
            for place in links:
                self.tree(place, by_link=True)

    def report(self) -> Walk:
        """Return what was read; a root that was replaced meanwhile counts as unreadable."""
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
            sidecars=self._sidecars,
        )

    def _at(self, place: Place) -> str:
        base = self._bases[place.root]
        return f"{base}/{place.path}" if place.path else base

    def _leave(self, place: Place, reason: str) -> None:
        self._unread.add(place)
        self._unwanted.append(SkippedFile(place, reason))

    def _read(self, place: Place, *, top: bool = False, by_link: bool = False) -> list[str]:
        """Read one folder and return the paths of its subfolders; a `top` may itself be a link."""
        folder = _OpenFolder(place.root, f"{place.path}/" if place.path else "", [])
        at = self._at(place)
        if self._states[place.root].trouble:
            return []
        if len(os.fsencode(at)) > MAX_FOLDER_BYTES:
            self._leave(place, f"its path is too long (over {MAX_FOLDER_BYTES} bytes)")
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
        earlier = self._read_as.setdefault((status.st_dev, status.st_ino), place)
        if earlier == place or not by_link:
            return True
        name = repr(earlier.path) if earlier.path else "the root"
        of = "" if earlier.root == place.root else f" of {earlier.root}"
        self._unwanted.append(SkippedFile(place, f"leads to the same folder as {name}{of}"))
        return False

    def _entries(self, entries: Iterator[os.DirEntry[str]], folder: _OpenFolder) -> None:
        """Sort the entries of a folder. It runs for 100,000 names: keep it fast."""
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
                continue  # deleted since it was listed
            except OSError as error:
                self._leave(Place(folder.root, prefix + name), _cannot(error))
                continue
            if status.st_mode & _KIND_BITS == stat.S_IFREG:
                files[prefix + name] = (status.st_size, status.st_mtime_ns)
            else:
                self._odd(entry, stat.S_IFMT(status.st_mode), folder)

    def _other(self, entry: os.DirEntry[str], folder: _OpenFolder) -> None:
        """Handle a name that is not a video's: a folder, a sidecar, or a link to a folder."""
        if entry.is_dir(follow_symlinks=False):
            self._below(entry.name, folder)
        elif entry.is_symlink():
            self._link(entry, folder, named=False)
        elif is_sidecar(entry.name) and not self._intake.passes_over(entry.name):
            self._companion(entry, folder)

    def _companion(self, entry: os.DirEntry[str], folder: _OpenFolder) -> None:
        path = folder.prefix + entry.name
        if self._intake.by_path and self._intake.bars_file_at(path):
            return
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            return  # an unreadable sidecar is ignored
        if stat.S_ISREG(status.st_mode):
            self._sidecars[folder.root][path] = (status.st_size, status.st_mtime_ns)

    def _odd(self, entry: os.DirEntry[str], kind: int, folder: _OpenFolder) -> None:
        """Handle an entry with a video's name that is not a regular file."""
        if kind == stat.S_IFDIR:
            self._below(entry.name, folder)
        elif kind == stat.S_IFLNK:
            self._link(entry, folder, named=True)
        else:
            place = Place(folder.root, folder.prefix + entry.name)
            self._unwanted.append(SkippedFile(place, _KINDS.get(kind, "is no file")))

    def _below(self, name: str, folder: _OpenFolder) -> None:
        path = folder.prefix + name
        if self._intake.takes_folder(name) and not self._intake.bars_folder_at(path):
            folder.below.append(path)

    def _link(self, entry: os.DirEntry[str], folder: _OpenFolder, *, named: bool) -> None:
        """Handle a symbolic link, `named` like a video or not; a dead one may be a lost disk."""
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
                beside = self._sidecars[place.root]
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
    """Return (device, inode) of a root, None if it does not exist."""
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
