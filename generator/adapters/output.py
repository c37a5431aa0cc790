"""The output folder: files appear whole or not at all, and what is unchanged is not touched."""

import ctypes
import errno
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from xxhash import xxh3_128_digest

from generator.core.errors import SettingsError
from generator.core.model import OutPath

_PACKED = (".gz", ".br")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
_SCRATCH = ".tmp-"
_CUT_OFF = re.compile(r"\.tmp-[0-9]+-[0-9]+")  # of `write`
_AT_ONCE = 1 << 16  # bytes; more than nearly every page has
_SYNCFS = getattr(ctypes.CDLL(None), "syncfs", None)  # Linux; elsewhere all is synced
_MARK = ".reelshelf"  # whose output this is


def digest_of(content: bytes) -> bytes:
    """Return 16 bytes that stand for a page's content: quick, and no proof against forgers."""
    return xxh3_128_digest(content)


class Output:
    """One output folder. Several threads may write different paths at once."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._folders: set[str] = set()

    @property
    def root(self) -> Path:
        """Return the folder."""
        return Path(self._root)

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            SettingsError: it holds files that reelshelf did not write; they are left alone.
            OSError: the folder cannot be made or written to.
        """
        os.makedirs(self._root, exist_ok=True)
        names = os.listdir(self._root)
        # A mark may have been cut off while it was written; what only looks alike is somebody's.
        if not self.mark() and any(
            _is_ours(name) and not _CUT_OFF.fullmatch(name) for name in names
        ):
            raise SettingsError(
                f"the folder {self._root} holds files that reelshelf did not write",
                hint="build into an empty folder (--out, or out in reelshelf.toml):"
                " what belongs to no page is removed from it",
            )

    def clear_scratch(self, folders: Iterable[str]) -> None:
        """Remove what an interrupted writer left in some folders (and in the root)."""
        for folder in {"", *folders}:
            try:
                names = os.listdir(f"{self._root}/{folder}")
            except OSError:
                continue
            for name in names:
                if name.startswith(_SCRATCH):
                    _unlink(f"{self._root}/{folder}/{name}")

    def mark(self) -> str:
        """Return what `set_mark` wrote, "" in a folder that is not ours yet."""
        try:
            return (Path(self._root) / _MARK).read_text(encoding="utf-8")
        except OSError:
            return ""

    def set_mark(self, text: str) -> None:
        """Write whose output this is."""
        self.write(OutPath(_MARK), text.encode())

    def write(
        self,
        path: OutPath,
        content: bytes,
        *,
        packed: bool = False,
        replaces: bool = True,
        lane: int = 0,
    ) -> None:
        """Put `content` at `path`, making folders as needed.

        Args:
            path: where.
            content: what.
            packed: compressed copies stand beside it: they go first, so that none is ever stale.
            replaces: a file may be there already.
            lane: tells writers that work at the same time apart.

        Raises:
            OSError: the disk is full or the folder cannot be written; `path` is as before.
        """
        final = f"{self._root}/{path}"
        folder = final.rpartition("/")[0]
        if folder not in self._folders:
            os.makedirs(folder, exist_ok=True)
            self._folders.add(folder)
        if packed:
            self._unpack(final)
        scratch = f"{folder}/{_SCRATCH}{os.getpid()}-{lane}"  # beside it: far is slow on ext4
        try:
            _fill(scratch, content)
            if replaces:
                _look_newer(scratch, final, len(content))
            os.replace(scratch, final)
        except FileNotFoundError:
            self._folders.discard(folder)
            os.makedirs(folder, exist_ok=True)
            _fill(scratch, content)
            os.replace(scratch, final)
        except OSError:
            _unlink(scratch)
            raise

    def adopt(self, path: OutPath, file: Path) -> None:
        """Move a finished file to `path`, from another file system too.

        Raises:
            OSError: the disk is full or the folder cannot be written; `file` is still there.
        """
        final = f"{self._root}/{path}"
        folder = final.rpartition("/")[0]
        os.makedirs(folder, exist_ok=True)
        try:
            os.replace(file, final)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            scratch = f"{folder}/{_SCRATCH}{os.getpid()}"
            try:
                shutil.copyfile(file, scratch)
                os.replace(scratch, final)
            except OSError:
                _unlink(scratch)
                raise
            os.unlink(file)

    def sync(self) -> None:
        """Wait until everything written to this file system is on the disk."""
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if _SYNCFS is None or _SYNCFS(descriptor) != 0:
                os.sync()
        finally:
            os.close(descriptor)

    def read(self, path: OutPath) -> bytes | None:
        """Return what is at `path`, None where there is no file."""
        try:
            descriptor = os.open(f"{self._root}/{path}", os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            content = os.read(descriptor, _AT_ONCE)
            if len(content) < _AT_ONCE:
                return content
            parts = [content]
            while content := os.read(descriptor, _AT_ONCE):
                parts.append(content)
            return b"".join(parts)
        except IsADirectoryError:
            return None
        finally:
            os.close(descriptor)

    @staticmethod
    def digest_name(contents: Iterable[bytes]) -> str:
        """Return what stands in the names of files that are cached for ever: 12 hex digits."""
        digest = sha256()
        for content in contents:
            digest.update(sha256(content).digest())
        return digest.hexdigest()[:12]

    def has(self, path: OutPath) -> bool:
        """Tell whether a file is there."""
        return os.path.isfile(f"{self._root}/{path}")

    def delete(self, path: OutPath) -> None:
        """Remove a file and its compressed copies; nothing where there is none."""
        final = f"{self._root}/{path}"
        self._unpack(final)
        _unlink(final)

    def unpack(self, path: OutPath) -> None:
        """Remove the compressed copies of a file."""
        self._unpack(f"{self._root}/{path}")

    def _unpack(self, final: str) -> None:
        for ending in _PACKED:
            _unlink(final + ending)

    def files(self) -> Iterator[OutPath]:
        """Yield every file but compressed copies and hidden ones, in no order."""
        waiting = [""] if os.path.isdir(self._root) else []
        while waiting:
            folder = waiting.pop()
            with os.scandir(f"{self._root}/{folder}") as entries:
                for entry in entries:
                    name = folder + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(name + "/")
                    elif not name.endswith(_PACKED) and _is_ours(entry.name):
                        yield OutPath(name)

    def remove_empty_folders(self, folders: Iterable[str]) -> None:
        """Remove those among `folders` that hold nothing any more, and their parents likewise."""
        for folder in sorted(set(folders), key=len, reverse=True):
            below = folder
            while below:
                try:
                    os.rmdir(f"{self._root}/{below}")
                except OSError:
                    break
                self._folders.discard(f"{self._root}/{below}")
                below = below.rpartition("/")[0]


def _is_ours(name: str) -> bool:
    """Tell whether a file may be removed when nobody knows it: hidden ones are somebody else's."""
    return not name.startswith(".") or name.startswith(_SCRATCH)


def _look_newer(scratch: str, final: str, size: int) -> None:
    """Give a file of the same size another second: nginx tells versions apart by these two."""
    try:
        former = os.stat(final)
    except OSError:
        return
    second = int(former.st_mtime)
    if former.st_size == size and second >= int(time.time()):
        os.utime(scratch, (second + 1, second + 1))


def _fill(file: str, content: bytes) -> None:
    descriptor = os.open(file, _NEW, 0o644)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)


def _unlink(file: str) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(file)
