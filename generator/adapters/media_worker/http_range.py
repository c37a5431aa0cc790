"""A file at a URL, read by HTTP ranges like a local one.

FFmpeg gets no network access: it reads from this object, which requests one file from one server. A
few blocks are cached. All of them are of one version: if the file is replaced, reading ends.
"""

import errno
import os
from collections import OrderedDict
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from time import monotonic
from urllib.parse import urlsplit

from generator.core.library.bucket_listing import (
    EMPTY,
    ForbiddenError,
    ObjectChangedError,
    StoreUnavailableError,
)

BLOCK_BYTES = 1 << 18
MAX_BLOCKS_TOGETHER = 8  # in one request, for sequential reads
MAX_KEPT = 64  # blocks: 16 MB
_CONNECT_S, _ANSWER_S = 5.0, 15.0
_TRIES = 3
_OK, _PARTIAL, _FORBIDDEN, _GONE, _CHANGED, _NO_RANGE = 200, 206, 403, 404, 412, 416
_STATUS_WITH_REASON = (400, _FORBIDDEN)  # S3 has the reason in the body
_BUSY_STATUS = {429, 500, 502, 503, 504}
_MAX_REASON_BYTES = 4096


class HttpRangeFile:
    """A file object with `read`, `seek` and `tell`, until it is closed.

    A later failure reads as the end of the file, as FFmpeg may retry errors forever;
    `raise_failure` distinguishes the two. `requests` and `fetched_bytes` are counters.

    Raises:
        StoreUnavailableError: it cannot be fetched now.
        ObjectChangedError: it was replaced or removed meanwhile.
        ForbiddenError: it may not be read.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        connection_class = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection = connection_class(parts.hostname or "", parts.port, timeout=_CONNECT_S)
        self._target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._etag, self._offset, self._streak, self._next_block = "", 0, 1, -1
        self._failure: OSError | None = None
        self.requests = self.fetched_bytes = self.size_bytes = 0
        self._block(0)
        self.raise_failure()

    def raise_failure(self) -> None:
        """Raise the failure of a fetch, if there was one; errors as of the constructor."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Close the connection, and drop cached blocks."""
        self._connection.close()
        self._blocks.clear()

    def read(self, size: int = -1) -> bytes:
        """Return bytes from the current offset; fewer than `size` at the end or after a failure."""
        left = self.size_bytes - self._offset
        size = left if size < 0 else min(size, left)
        pieces = []
        while size > 0:
            number, skip = divmod(self._offset, BLOCK_BYTES)
            piece = self._block(number)[skip : skip + size]
            if not piece:
                break
            pieces.append(piece)
            self._offset += len(piece)
            size -= len(piece)
        return b"".join(pieces)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the offset; nothing is requested yet."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset, os.SEEK_END: self.size_bytes}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, "before its beginning")
        self._offset = base + offset
        return self._offset

    @property
    def kept_bytes(self) -> int:
        """Return the size of cached blocks."""
        return sum(map(len, self._blocks.values()))

    def tell(self) -> int:
        """Return the offset."""
        return self._offset

    def read_at(self, offset: int, size: int) -> bytes:
        """Return bytes from an offset on, as `read` does."""
        before, self._offset = self._offset, offset
        try:
            return self.read(size) if 0 <= offset < self.size_bytes else b""
        finally:
            self._offset = before

    def _block(self, number: int) -> bytes:
        block = self._blocks.get(number)
        if block is None:
            self._fetch(number)
            block = self._blocks.get(number, b"")
        else:
            self._blocks.move_to_end(number)
        return block

    def _fetch(self, number: int) -> None:
        """Fetch a block, and more after it if access is sequential."""
        if self._failure is not None:
            return
        self._streak = (
            min(self._streak * 2, MAX_BLOCKS_TOGETHER) if number == self._next_block else 1
        )
        start = number * BLOCK_BYTES
        try:
            content = self._request_range(start, self._streak * BLOCK_BYTES)
        except (StoreUnavailableError, ForbiddenError, ObjectChangedError) as error:
            self._failure = error
            return
        self._next_block = number + self._streak
        for at in range(0, len(content), BLOCK_BYTES):
            self._blocks[number + at // BLOCK_BYTES] = content[at : at + BLOCK_BYTES]
        while len(self._blocks) > MAX_KEPT:
            self._blocks.popitem(last=False)

    def _request_range(self, start: int, length: int) -> bytes:
        """Request a range; retry if the connection broke or the server is busy."""
        reason = ""
        for _ in range(_TRIES):
            try:
                return self._request_once(start, length)
            except _BusyError as error:
                reason = str(error)
            except (StoreUnavailableError, ForbiddenError, ObjectChangedError):
                self._connection.close()
                raise
            except (OSError, HTTPException) as error:
                message = getattr(error, "strerror", None) or str(error)
                reason = message or "the connection broke"
            self._connection.close()
        raise _error(StoreUnavailableError, f"cannot be fetched: {reason}")

    def _request_once(self, start: int, length: int) -> bytes:
        headers = {"Range": f"bytes={start}-{start + length - 1}", "Accept-Encoding": "identity"}
        if self._etag:
            headers["If-Match"] = self._etag
        self.requests += 1
        self._connection.request("GET", self._target, headers=headers)
        if self._connection.sock is not None:
            self._connection.sock.settimeout(_ANSWER_S)
        answer = self._connection.getresponse()
        if answer.status != _PARTIAL:
            self._raise_for_status(answer, start)
            return b""
        etag = answer.getheader("ETag", "")
        size = _total_size(answer, start)
        if self._etag and (etag != self._etag or size != self.size_bytes):
            raise _error(ObjectChangedError, "was replaced while it was read")
        self._etag, self.size_bytes = etag, size
        content = _read_body(answer, min(length, size - start))
        self.fetched_bytes += len(content)
        return content

    def _raise_for_status(self, answer: HTTPResponse, start: int) -> None:
        """Raise the error of an answer without content."""
        status = answer.status
        if status == _NO_RANGE and start == 0:
            raise _error(ForbiddenError, EMPTY)
        if status in _BUSY_STATUS:
            raise _BusyError(f"the store answers {status}")
        if status in (_GONE, _CHANGED, _NO_RANGE):
            raise _error(ObjectChangedError, "was replaced or removed while it was read")
        reason = answer.read(_MAX_REASON_BYTES) if status in _STATUS_WITH_REASON else b""
        if b"InvalidObjectState" in reason:
            raise _error(ForbiddenError, "is archived, and cannot be read until it is restored")
        if b"expired" in reason or b"ExpiredToken" in reason:
            raise _error(
                StoreUnavailableError,
                "cannot be fetched: its presigned URL expired too soon",
            )
        if status == _FORBIDDEN:
            raise _error(ForbiddenError, "may not be read with these credentials")
        if status == _OK:
            raise _error(ForbiddenError, "cannot be read by range: the store sends all of it")
        raise _error(ForbiddenError, f"cannot be fetched: the store answers {status}")


def _error(kind: type[OSError], reason: str) -> OSError:
    return kind(errno.EIO, reason)


class _BusyError(Exception):
    """The server is busy; retry."""


def _total_size(answer: HTTPResponse, start: int) -> int:
    """Return the size of the whole file, from a Content-Range that begins at `start`."""
    span, _, total = answer.getheader("Content-Range", "").partition("/")
    if not total.isdigit() or not span.startswith(f"bytes {start}-"):
        raise _error(ForbiddenError, "cannot be read by range: the store answers with another one")
    return int(total)


def _read_body(answer: HTTPResponse, length: int) -> bytes:
    """Return exactly `length` bytes, within a time that a slow line can keep."""
    end_s = monotonic() + _ANSWER_S * 2
    pieces, left = [], length
    while left > 0:
        piece = answer.read1(left)
        if not piece:
            raise ConnectionError(errno.ECONNRESET, "the store closed the connection early")
        pieces.append(piece)
        left -= len(piece)
        if monotonic() > end_s:
            raise _error(StoreUnavailableError, "cannot be fetched: the connection is too slow")
    answer.read()  # so that the connection can be reused
    return b"".join(pieces)
