"""The output folder: files appear whole or not at all, and what is unchanged is not touched.

Nothing that reelshelf did not write is ever replaced: who writes says whether a file that may be
there is ours (`owned`), and a file that appears nevertheless stays.
"""

import ctypes
import errno
import os
import re
import shutil
import stat
import time
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from xxhash import xxh3_128_digest

from generator.core.delivery.folder_marks import MANIFEST, MARK, OutputMark, read_mark
from generator.core.delivery.manifest import HEADER, files_in, is_manifest, lines_of
from generator.core.errors import SettingsError
from generator.core.model import OutPath

COPIES = (".gz", ".br")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
_AT_ONCE = 1 << 16  # bytes; more than nearly every page has
_MARK_BYTES = 4096  # more than any mark has
_C = ctypes.CDLL(None, use_errno=True)
_SYNCFS = getattr(_C, "syncfs", None)  # Linux; elsewhere all is synced
_RENAMEAT2 = getattr(_C, "renameat2", None)  # likewise
_AT_FDCWD, _NOREPLACE = -100, 1
_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})  # by the file system
_NOBODYS = frozenset({"lost+found"})  # of every new ext4
_NAMED = 5  # files in a message


def digest_of(content: bytes) -> bytes:
    """Return 16 bytes that stand for a page's content: quick, and no proof against forgers."""
    return xxh3_128_digest(content)


class Output:
    """One output folder. Several threads may write different paths at once."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._folders: set[str] = set()
        self._sign = ""  # in the names of unfinished files
        self.touched: set[str] = set()  # folders in which files came or went, below the root

    @property
    def root(self) -> Path:
        """Return the folder."""
        return Path(self._root)

    def prepare(self, *, adopt: bool = False) -> None:
        """Make the folder, and mark it as ours.

        Args:
            adopt: other files may be in it; they stay as they are.

        Raises:
            SettingsError: it holds files that reelshelf did not write; they are left alone.
            OSError: the folder cannot be made or written to.
        """
        os.makedirs(self._root, exist_ok=True)
        self.check(adopt=adopt)
        if self.mark() is None:
            self._create_mark(OutputMark(folder=uuid4().hex))

    def check(self, *, adopt: bool = False) -> None:
        """Make sure that the folder is ours, or empty, or to be adopted; one that is not there is.

        Raises:
            SettingsError: as `prepare`.
            OSError: the folder cannot be read.
        """
        try:
            names = sorted(set(os.listdir(self._root)) - _NOBODYS)
        except FileNotFoundError:
            return
        except NotADirectoryError:
            raise SettingsError(
                f"the output folder {self._root} is a file", hint="name a folder (--out)"
            ) from None
        is_ours = self.mark() is not None
        self.has_manifest()
        if names and not adopt and not is_ours:
            raise SettingsError(
                f"the output folder {self._root} holds files that reelshelf did not write:"
                f" {listed(names)}",
                hint="name an empty folder (--out, or out in reelshelf.toml);"
                " or build here with --adopt, which lists them first and leaves them as they are",
            )

    # -- whose it is

    def mark(self) -> OutputMark | None:
        """Return what the folder says of itself, None where it is not ours.

        Raises:
            SettingsError: a file that is no mark has its name; it is left alone.
        """
        try:
            with open(f"{self._root}/{MARK}", "rb") as file:
                text = file.read(_MARK_BYTES).decode("utf-8", "replace")
        except FileNotFoundError:
            return OutputMark() if self.has_manifest() else None
        except NotADirectoryError:
            return None
        except IsADirectoryError:
            text = "a folder"
        mark = read_mark(text)
        if mark is None:
            raise SettingsError(
                f"{self._root}/{MARK} is no mark of reelshelf",
                hint="name another output folder (--out), or move that file away",
            )
        return mark

    def set_mark(self, mark: OutputMark) -> None:
        """Write whose output this is, and who wrote to it last."""
        self._sign = mark.folder[:12]
        self.write(OutPath(MARK), mark.text().encode(), owned=True)

    def _create_mark(self, mark: OutputMark) -> None:
        """Write the first mark: whole at once, so that no part of one stays behind."""
        with suppress(OSError):  # not every file system can do this
            descriptor = os.open(self._root, os.O_TMPFILE | os.O_WRONLY, 0o644)
            try:
                os.write(descriptor, mark.text().encode())
                os.link(f"/proc/self/fd/{descriptor}", f"{self._root}/{MARK}", follow_symlinks=True)
                return
            finally:
                os.close(descriptor)
        self.write(OutPath(MARK), mark.text().encode())

    def has_manifest(self) -> bool:
        """Tell whether the folder lists the files that reelshelf wrote into it.

        Raises:
            SettingsError: a file that is no manifest has its name; it is left alone.
        """
        try:
            with open(f"{self._root}/{MANIFEST}", "rb") as file:
                first = file.readline(_MARK_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except IsADirectoryError:
            first = b"a folder"
        if not is_manifest(first.decode("ascii", "replace")):
            raise SettingsError(
                f"{self._root}/{MANIFEST} is no manifest of reelshelf",
                hint="name another output folder (--out), or move that file away",
            )
        return True

    def manifest(self) -> set[OutPath]:
        """Return the files that reelshelf wrote, compressed copies as the "….gz" of both."""
        try:
            text = Path(f"{self._root}/{MANIFEST}").read_bytes().decode("ascii", "replace")
        except (FileNotFoundError, NotADirectoryError):
            return set()
        return files_in(text)

    def note(self, created: Iterable[OutPath], deleted: Iterable[OutPath] = ()) -> None:
        """Append to the manifest; what is created is noted on the disk before it is.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
        """
        created = list(created)
        text = lines_of(created, deleted)
        if not text:
            return
        is_new = not self.has_manifest()
        if not is_new and os.stat(f"{self._root}/{MANIFEST}").st_nlink > 1:
            self.replace_manifest(self.manifest())  # a snapshot of hard links keeps its own
        descriptor = os.open(
            f"{self._root}/{MANIFEST}", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644
        )
        try:
            if is_new:
                text = HEADER + text
            _write_all(descriptor, text.encode("ascii"))
            if created:
                os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            self._sync_folder()

    def replace_manifest(self, files: Iterable[OutPath]) -> None:
        """Write the manifest anew."""
        content = (HEADER + lines_of(sorted(files))).encode("ascii")
        self.write(OutPath(MANIFEST), content, owned=True, durable=True)

    def manifest_bytes(self) -> int:
        """Return how long the manifest is."""
        try:
            return os.stat(f"{self._root}/{MANIFEST}").st_size
        except OSError:
            return 0

    def _sync_folder(self) -> None:
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    # -- writing

    def clear_scratch(self, folders: Iterable[str]) -> None:
        """Remove what an interrupted writer left in some folders (and in the root)."""
        ours = re.compile(re.escape(f".{self._scratch_sign()}-") + r"[0-9]+-[0-9]+\.tmp")
        for folder in filter(self._is_ours_to_change, {"", *folders}):
            try:
                names = os.listdir(f"{self._root}/{folder}")
            except OSError:
                continue
            for name in names:
                if ours.fullmatch(name):
                    _unlink(f"{self._root}/{folder}/{name}")

    def _scratch_sign(self) -> str:
        """Return what unfinished files are called by: nobody else's are."""
        if not self._sign:
            mark = self.mark()
            self._sign = (mark.folder if mark is not None else "")[:12] or uuid4().hex[:12]
        return self._sign

    def write(
        self,
        path: OutPath,
        content: bytes,
        *,
        packed: bool = False,
        owned: bool = False,
        lane: int = 0,
        durable: bool = False,
    ) -> None:
        """Put `content` at `path`, making folders as needed.

        Args:
            path: where.
            content: what.
            packed: compressed copies of ours stand beside it: they go first, so that none is ever
                stale.
            owned: a file that is there is ours, and is replaced. If not, one with the same bytes
                is left as it is.
            lane: tells writers that work at the same time apart.
            durable: return when the disk has it.

        Raises:
            FileExistsError: there is a file that is not ours; it is as before.
            OSError: the disk is full or the folder cannot be written; `path` is as before.
        """
        final = f"{self._root}/{path}"
        folder = self._folder_of(final)
        self.touched.add(path.rpartition("/")[0])
        if packed:
            self._unpack(final)
        scratch = f"{folder}/.{self._scratch_sign()}-{os.getpid()}-{lane}.tmp"  # far: slow on ext4
        try:
            _fill(scratch, content, durable=durable)
            self._place(scratch, final, content, owned=owned)
        except FileNotFoundError:
            self._folders.discard(folder)
            self._folder_of(final)
            _fill(scratch, content, durable=durable)
            self._place(scratch, final, content, owned=owned)
        except OSError:
            _unlink(scratch)
            raise

    def require(self, path: OutPath, content: bytes) -> None:
        """Make sure that somebody's file is what ours would be, and has no compressed copies.

        Raises:
            FileExistsError: it is not.
        """
        final = f"{self._root}/{path}"
        if any(os.path.lexists(final + ending) for ending in COPIES) or not _is_same_file(
            final, content
        ):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), final)

    def _place(self, scratch: str, final: str, content: bytes, *, owned: bool) -> None:
        if owned:
            _look_newer(scratch, final, len(content))
            os.replace(scratch, final)
            return
        try:
            _rename_new(scratch, final)
        except FileExistsError:
            if _is_same_file(final, content):
                _unlink(scratch)
                return
            raise

    def _folder_of(self, final: str) -> str:
        """Return the folder of a file, made if need be.

        Raises:
            NotADirectoryError: the way there leads over a link, which is somebody else's.
        """
        folder = final.rpartition("/")[0]
        if folder in self._folders:
            return folder
        os.makedirs(folder, exist_ok=True)
        link = self._link_on_the_way(folder)
        if link:
            raise NotADirectoryError(errno.ENOTDIR, "is a link that is not ours", link)
        self._folders.add(folder)
        return folder

    def _link_on_the_way(self, folder: str) -> str:
        """Return what below the root leads to a folder and is none itself, "" where nothing is."""
        way = self._root
        for part in folder[len(self._root) :].split("/"):
            way = f"{way}/{part}" if part else way
            if part and not stat.S_ISDIR(os.lstat(way).st_mode):
                return way
        return ""

    def _is_ours_to_change(self, folder: str) -> bool:
        """Tell whether a folder is there, and no link leads to it: behind one all is another's."""
        folder = f"{self._root}/{folder}".rstrip("/")
        if folder in self._folders:
            return True
        try:
            is_ours = not self._link_on_the_way(folder)
        except (FileNotFoundError, NotADirectoryError):
            return False
        if is_ours:
            self._folders.add(folder)
        return is_ours

    def adopt(self, path: OutPath, file: Path, *, owned: bool = False) -> None:
        """Move a finished file to `path`, from another file system too.

        Raises:
            FileExistsError: there is a file that is not ours; it is as before.
            OSError: the disk is full or the folder cannot be written; `file` is still there.
        """
        final = f"{self._root}/{path}"
        folder = self._folder_of(final)
        self.touched.add(path.rpartition("/")[0])
        move = os.replace if owned else _rename_new
        try:
            move(str(file), final)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            scratch = f"{folder}/.{self._scratch_sign()}-{os.getpid()}-0.tmp"
            try:
                shutil.copyfile(file, scratch)
                move(scratch, final)
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

    # -- reading

    def read(self, path: OutPath) -> bytes | None:
        """Return what is at `path`, None where there is no file."""
        return _read(f"{self._root}/{path}")

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

    def is_taken(self, path: OutPath) -> bool:
        """Tell whether anything is there: a file, a folder, or a link that leads nowhere."""
        return os.path.lexists(f"{self._root}/{path}")

    def changed_at(self, folder: str) -> int:
        """Return when files came into a folder or went from it last (ns), 0 where it is not."""
        try:
            return os.stat(f"{self._root}/{folder}").st_mtime_ns
        except OSError:
            return 0

    def forget_folders(self) -> None:
        """Look again whether folders are there before writing into them."""
        self._folders.clear()

    def names_in(self, folder: str) -> set[str]:
        """Return what is in a folder, nothing where it is not."""
        try:
            return set(os.listdir(f"{self._root}/{folder}"))
        except OSError:
            return set()

    # -- deleting

    def delete(self, path: OutPath) -> None:
        """Remove a file of ours; nothing where there is none. Its copies are removed apart."""
        folder = path.rpartition("/")[0]
        self.touched.add(folder)
        if self._is_ours_to_change(folder):
            _unlink(f"{self._root}/{path}")

    def unpack(self, path: OutPath) -> None:
        """Remove the compressed copies of a file, which have to be ours."""
        folder = path.rpartition("/")[0]
        self.touched.add(folder)
        if self._is_ours_to_change(folder):
            self._unpack(f"{self._root}/{path}")

    def _unpack(self, final: str) -> None:
        for ending in COPIES:
            _unlink(final + ending)

    def files(self) -> Iterator[OutPath]:
        """Yield every file but compressed copies and hidden ones, in no order."""
        for folder, entry in self._walk():
            if not entry.name.endswith(COPIES) and not entry.name.startswith("."):
                yield OutPath(folder + entry.name)

    def others(self, owned: Container[str]) -> Iterator[str]:
        """Yield what is there and not among `owned`; a hidden folder as a whole ("….git/")."""
        ours = {MARK, MANIFEST}
        for folder, entry in self._walk():
            path = folder + entry.name
            if path in owned or path in ours:
                continue
            is_copy = path.endswith(COPIES) and path[:-3] in owned
            if is_copy and path[:-3] + COPIES[0] in owned:
                continue
            yield path + "/" * entry.is_dir(follow_symlinks=False)

    def _walk(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Yield (folder, entry) of all but folders that are not hidden, into which it goes."""
        waiting = [""] if os.path.isdir(self._root) else []
        while waiting:
            folder = waiting.pop()
            try:
                entries = os.scandir(f"{self._root}/{folder}")
            except PermissionError:  # no folder of ours
                continue
            with entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                        waiting.append(f"{folder}{entry.name}/")
                    else:
                        yield folder, entry

    def remove_empty_folders(self, folders: Iterable[str]) -> None:
        """Remove those among `folders` that hold nothing any more, and their parents likewise."""
        for folder in sorted(set(folders), key=len, reverse=True):
            below = folder
            while below and self._is_ours_to_change(below):
                try:
                    os.rmdir(f"{self._root}/{below}")
                except OSError:
                    break
                self._folders.discard(f"{self._root}/{below}")
                below = below.rpartition("/")[0]


def listed(names: Iterable[str]) -> str:
    """Return some names for a message, and how many more there are."""
    every = sorted(names)
    shown = ", ".join(every[:_NAMED])
    more = len(every) - _NAMED
    return shown + (f" and {more} more" if more > 0 else "")


def _read(final: str, flags: int = 0) -> bytes | None:
    try:
        descriptor = os.open(final, os.O_RDONLY | os.O_CLOEXEC | flags)
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


def _is_same_file(final: str, content: bytes) -> bool:
    """Tell whether a file, and no link to one, holds just these bytes."""
    try:
        found = os.lstat(final)
        is_alike = stat.S_ISREG(found.st_mode) and found.st_size == len(content)
        return is_alike and _read(final, os.O_NOFOLLOW) == content
    except OSError:
        return False


def _rename_new(former: str, final: str) -> None:
    """Rename a file, but over no other.

    Raises:
        FileExistsError: something is there.
    """
    if _RENAMEAT2 is not None:
        names = (os.fsencode(former), os.fsencode(final))
        if _RENAMEAT2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _NOREPLACE) == 0:
            return
        code = ctypes.get_errno()
        if code not in _UNSUPPORTED:
            raise OSError(code, os.strerror(code), final)
    if os.path.lexists(final):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), final)
    os.replace(former, final)


def _look_newer(scratch: str, final: str, size: int) -> None:
    """Give a file of the same size another second: nginx tells versions apart by these two."""
    try:
        former = os.stat(final)
    except OSError:
        return
    second = int(former.st_mtime)
    if former.st_size == size and second >= int(time.time()):
        os.utime(scratch, (second + 1, second + 1))


def _fill(file: str, content: bytes, *, durable: bool) -> None:
    descriptor = os.open(file, _NEW, 0o644)
    try:
        _write_all(descriptor, content)
        if durable:
            os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _unlink(file: str) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(file)
