"""Opens the files of other programs: regular files only, read-only, and within bounds."""

import os
import stat
from pathlib import Path

MAX_BYTES = 128 * 1024 * 1024  # of a file that is read as a whole: two million entries
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY
_MEGABYTE = 1024 * 1024


class UnreadableSourceError(Exception):
    """A file that cannot be read, or is none; the message says why."""


def real_path(path: Path, folder: Path | None) -> Path:
    """Return the path of a file without links.

    Args:
        path: of the file.
        folder: without links; the file has to be in it. None: it may be anywhere.

    Raises:
        UnreadableSourceError: a link leads out of the folder.
    """
    real = Path(os.path.realpath(path))
    if folder is not None and not real.is_relative_to(folder):
        raise UnreadableSourceError("is a link out of the folder, which is not followed")
    return real


def open_source(path: Path) -> int:
    """Return a descriptor of a regular file; others are not even opened.

    Args:
        path: without links.

    Raises:
        UnreadableSourceError: it is no regular file, or cannot be opened.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise UnreadableSourceError("is no regular file")
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        raise UnreadableSourceError(f"cannot be opened: {error.strerror}") from error
    except ValueError as error:
        raise UnreadableSourceError(f"cannot be opened: {error}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnreadableSourceError("is no regular file")
    return descriptor


def read_whole(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the content of a file.

    Raises:
        UnreadableSourceError: it cannot be read, or is too large.
    """
    with os.fdopen(open_source(path), "rb") as file:
        try:
            if os.fstat(file.fileno()).st_size > max_bytes:
                content = None
            else:
                content = file.read(max_bytes + 1)
        except OSError as error:
            raise UnreadableSourceError(f"cannot be read: {error.strerror}") from error
    if content is None or len(content) > max_bytes:
        raise UnreadableSourceError(f"is larger than {max_bytes // _MEGABYTE} MB")
    return content


def read_head(path: Path, size_bytes: int = 4096) -> bytes:
    """Return how a file begins; b"" if it cannot be read."""
    try:
        with os.fdopen(open_source(path), "rb") as file:
            return file.read(size_bytes)
    except (OSError, UnreadableSourceError):
        return b""
