"""The fingerprint: recognizes a file after a move, by its size and three samples.

Whole files are never read: a library of terabytes would take days. Head and tail alone collide in
real libraries (same intro, same credits), hence the middle.
"""

import errno
import os
import stat
from collections.abc import Callable
from hashlib import blake2b

SAMPLE_BYTES = 64 * 1024
_DIGEST_BYTES = 16
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY  # do not block on a pipe


def fingerprint(path: str, *, follow_links: bool = False) -> str:
    """Return the fingerprint of a file as 32 hex digits, lower case.

    It is the BLAKE2b-128 of the size (decimal, then a line feed) and the first, middle and last
    64 KiB; of the whole file if that is no longer than the three samples.

    Raises:
        OSError: it cannot be opened or read, is not a regular file, is a link while links are not
            followed, or grew or shrank meanwhile.
    """
    descriptor = os.open(path, _FLAGS if follow_links else _FLAGS | os.O_NOFOLLOW)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", path)
        digest = fingerprint_of(
            status.st_size, lambda start, length: _read(descriptor, start, length, path)
        )
        if os.fstat(descriptor).st_size != status.st_size:
            raise OSError(errno.EAGAIN, "changed its size while it was read", path)
    finally:
        os.close(descriptor)
    return digest


def fingerprint_of(size_bytes: int, read: Callable[[int, int], bytes]) -> str:
    """Return the fingerprint of content that is read by ranges, such as an object in a bucket.

    Args:
        size_bytes: its length.
        read: returns exactly `length` (second) bytes from an offset (first), or raises.
    """
    digest = blake2b(b"%d\n" % size_bytes, digest_size=_DIGEST_BYTES)
    for start, length in _samples(size_bytes):
        digest.update(read(start, length))
    return digest.hexdigest()


def _samples(size_bytes: int) -> tuple[tuple[int, int], ...]:
    """Return (start, length) of each sample, ascending, not overlapping."""
    if size_bytes <= 3 * SAMPLE_BYTES:
        return ((0, size_bytes),)
    middle = (size_bytes - SAMPLE_BYTES) // 2
    return tuple((at, SAMPLE_BYTES) for at in (0, middle, size_bytes - SAMPLE_BYTES))


def _read(descriptor: int, start: int, length: int, path: str) -> bytes:
    """Return exactly `length` bytes from `start`; some file systems return them in pieces."""
    pieces = []
    while length > 0:
        piece = os.pread(descriptor, length, start)
        if not piece:
            raise OSError(errno.EAGAIN, "became shorter while it was read", path)
        pieces.append(piece)
        start, length = start + len(piece), length - len(piece)
    return b"".join(pieces)
