"""Ranged: a file behind an address, read by ranges as if it lay on a disk.

FFmpeg gets no network: it asks this object for bytes, and this object asks one server for one file.
What was read is kept in a few blocks. All of them are of one version: where the file is replaced
meanwhile, reading ends.
"""

import errno
import os
from collections import OrderedDict
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from time import monotonic
from urllib.parse import urlsplit

from generator.core.library.bucket_objects import (
    EMPTY,
    ForbiddenError,
    ObjectChangedError,
    StoreUnavailableError,
)

BLOCK_BYTES = 1 << 18
MOST_BLOCKS_TOGETHER = 8  # of what is read on and on, so that it takes few requests
MOST_KEPT = 64  # blocks: 16 MB
_CONNECT_S, _ANSWER_S = 5.0, 15.0
_TRIES = 3
_OK, _PARTIAL, _FORBIDDEN, _GONE, _CHANGED, _NO_RANGE = 200, 206, 403, 404, 412, 416
_EXCUSED = (400, _FORBIDDEN)  # S3 says in the content what it means by these
_BUSY = {429, 500, 502, 503, 504}
_LONGEST_EXCUSE_BYTES = 4096


class HttpRangeFile:
    """A file that is read, wound and told its place, until it is closed.

    What goes wrong later is the end of the file to who reads, for FFmpeg may try for ever what it
    takes for an error; `settle` tells the two apart. `requests` and `fetched_bytes`
    count what was asked for.

    Raises:
        AwayError: it cannot be fetched now.
        ShiftedError: it was replaced or removed meanwhile.
        BarredError: it may not be read.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=_CONNECT_S)
        self._target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._etag, self._at, self._streak, self._next = "", 0, 1, -1
        self._failure: OSError | None = None
        self.requests = self.fetched_bytes = self.size_bytes = 0
        self._block(0)
        self.settle()

    def settle(self) -> None:
        """Tell what went wrong, if anything did; raises as the beginning does."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Let go of the connection, and of what was kept."""
        self._connection.close()
        self._blocks.clear()

    def read(self, size: int = -1) -> bytes:
        """Return bytes from where it stands; fewer than asked for at its end, or what seems it."""
        left = self.size_bytes - self._at
        size = left if size < 0 else min(size, left)
        pieces = []
        while size > 0:
            number, skip = divmod(self._at, BLOCK_BYTES)
            piece = self._block(number)[skip : skip + size]
            if not piece:
                break
            pieces.append(piece)
            self._at += len(piece)
            size -= len(piece)
        return b"".join(pieces)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Stand somewhere else; nothing is asked for yet."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size_bytes}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, "before its beginning")
        self._at = base + offset
        return self._at

    @property
    def kept_bytes(self) -> int:
        """Return how much of it is in memory."""
        return sum(map(len, self._blocks.values()))

    def tell(self) -> int:
        """Return where it stands."""
        return self._at

    def read_at(self, offset: int, size: int) -> bytes:
        """Return bytes from an offset on, as `read` does."""
        before, self._at = self._at, offset
        try:
            return self.read(size) if 0 <= offset < self.size_bytes else b""
        finally:
            self._at = before

    def _block(self, number: int) -> bytes:
        found = self._blocks.get(number)
        if found is None:
            self._fetch(number)
            found = self._blocks.get(number, b"")
        else:
            self._blocks.move_to_end(number)
        return found

    def _fetch(self, number: int) -> None:
        """Fetch a block; more of them where those before were fetched one after another."""
        if self._failure is not None:
            return
        self._streak = min(self._streak * 2, MOST_BLOCKS_TOGETHER) if number == self._next else 1
        start = number * BLOCK_BYTES
        try:
            content = self._asked(start, self._streak * BLOCK_BYTES)
        except (StoreUnavailableError, ForbiddenError, ObjectChangedError) as error:
            self._failure = error
            return
        self._next = number + self._streak
        for at in range(0, len(content), BLOCK_BYTES):
            self._blocks[number + at // BLOCK_BYTES] = content[at : at + BLOCK_BYTES]
        while len(self._blocks) > MOST_KEPT:
            self._blocks.popitem(last=False)

    def _asked(self, start: int, length: int) -> bytes:
        """Ask for a range, again where the connection broke or the server is busy."""
        reason = ""
        for _ in range(_TRIES):
            try:
                return self._answered(start, length)
            except _BusyError as error:
                reason = str(error)
            except (StoreUnavailableError, ForbiddenError, ObjectChangedError):
                self._connection.close()
                raise
            except (OSError, HTTPException) as error:
                told = getattr(error, "strerror", None) or str(error)
                reason = told or "the connection broke"
            self._connection.close()
        raise _told(StoreUnavailableError, f"cannot be fetched: {reason}")

    def _answered(self, start: int, length: int) -> bytes:
        asked = {"Range": f"bytes={start}-{start + length - 1}", "Accept-Encoding": "identity"}
        if self._etag:
            asked["If-Match"] = self._etag
        self.requests += 1
        self._connection.request("GET", self._target, headers=asked)
        if self._connection.sock is not None:
            self._connection.sock.settimeout(_ANSWER_S)
        answer = self._connection.getresponse()
        if answer.status != _PARTIAL:
            self._refuse(answer, start)
            return b""
        etag = answer.getheader("ETag", "")
        size = _size_told(answer, start)
        if self._etag and (etag != self._etag or size != self.size_bytes):
            raise _told(ObjectChangedError, "was replaced while it was read")
        self._etag, self.size_bytes = etag, size
        content = _whole(answer, min(length, size - start))
        self.fetched_bytes += len(content)
        return content

    def _refuse(self, answer: HTTPResponse, start: int) -> None:
        """Raise what an answer without content means; an empty file is none."""
        status = answer.status
        if status == _NO_RANGE and start == 0:
            raise _told(ForbiddenError, EMPTY)
        if status in _BUSY:
            raise _BusyError(f"the store answers {status}")
        if status in (_GONE, _CHANGED, _NO_RANGE):
            raise _told(ObjectChangedError, "was replaced or removed while it was read")
        excuse = answer.read(_LONGEST_EXCUSE_BYTES) if status in _EXCUSED else b""
        if b"InvalidObjectState" in excuse:
            raise _told(ForbiddenError, "is archived, and cannot be read until it is restored")
        if b"expired" in excuse or b"ExpiredToken" in excuse:
            raise _told(
                StoreUnavailableError,
                "cannot be fetched: its address was good for too short a time",
            )
        if status == _FORBIDDEN:
            raise _told(ForbiddenError, "may not be read with these credentials")
        if status == _OK:
            raise _told(ForbiddenError, "cannot be read by range: the store sends all of it")
        raise _told(ForbiddenError, f"cannot be fetched: the store answers {status}")


def _told(kind: type[OSError], reason: str) -> OSError:
    return kind(errno.EIO, reason)


class _BusyError(Exception):
    """The server asks to be asked again."""


def _size_told(answer: HTTPResponse, start: int) -> int:
    """Return the size of the whole file, of an answer that begins at `start` as it was asked to."""
    span, _, whole = answer.getheader("Content-Range", "").partition("/")
    if not whole.isdigit() or not span.startswith(f"bytes {start}-"):
        raise _told(ForbiddenError, "cannot be read by range: the store answers with another one")
    return int(whole)


def _whole(answer: HTTPResponse, length: int) -> bytes:
    """Return exactly so many bytes, in a time that a slow line can keep."""
    end_s = monotonic() + _ANSWER_S * 2
    pieces, left = [], length
    while left > 0:
        piece = answer.read1(left)
        if not piece:
            raise ConnectionError(errno.ECONNRESET, "the store broke off")
        pieces.append(piece)
        left -= len(piece)
        if monotonic() > end_s:
            raise _told(StoreUnavailableError, "cannot be fetched: the line is too slow")
    answer.read()  # the connection is free again
    return b"".join(pieces)
