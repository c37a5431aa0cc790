"""Remote state: a site's state as one object in a versioned bucket, for builders without a disk.

A builder that changed the state writes it back on condition that it is still the one it fetched. Of
two builders that started from the same state one wins; the other fetches the newer state and
repeats its work. A lease keeps that rare; nothing relies on it but the pages
(docs/adr/0014-carried-state.md).
"""

import io
import json
import logging
import time
import uuid
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from generator.adapters.s3.bucket import ABSENT, Bucket, PreconditionFailedError
from generator.build.engine import Engine
from generator.core.delivery.publish_plan import ObjectHeaders
from generator.core.errors import PublishError

log = logging.getLogger(__name__)

STATE = "_reelshelf/state.zip"
LEASE = "_reelshelf/lease.json"
_FILES = ("catalogue.db", "ledger.db")
_LEVEL = 1  # of deflate; the file stays within a region
_LARGE_BYTES = 200_000_000
_CLOCKS_S = 300.0  # how far the clocks of two builders may differ
_KEEP_NONE = "no-store"
_NUMBER = "number"  # in the comment of the archive
# RuntimeError: it is encrypted.
_NO_STATE = (
    zipfile.BadZipFile, KeyError, zlib.error, EOFError, NotImplementedError, RuntimeError,
)  # fmt: skip


class RemoteState:
    """The state in the bucket, and its copy in a local folder.

    `number` counts the states of a site: each one written is one higher than the one it replaces.
    0 is none, or one of a release that did not count.
    """

    def __init__(self, bucket: Bucket, folder: Path) -> None:
        self._bucket, self._folder = bucket, folder
        self.number = 0
        self._etag: str | None = None  # of the state that was fetched; None: none was

    def is_current(self) -> bool:
        """Return whether the state in the bucket is still the one that was fetched."""
        stored = self._bucket.head(STATE)
        return self._etag is not None and stored is not None and stored.etag == self._etag

    @property
    def is_first(self) -> bool:
        """Return whether the bucket had no state yet."""
        return self._etag == ABSENT

    def fetch(self) -> None:
        """Replace the local files by those in the bucket; delete them if it has none.

        Raises:
            PublishError: the bucket cannot be read, or the object is not a state of this site; the
                local files are deleted.
        """
        self.drop()
        response = self._bucket.get(STATE)
        if response is None:
            self._etag = ABSENT
            return
        content, stored = response
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as packed:
                for name in _FILES:
                    (self._folder / name).write_bytes(packed.read(name))
                self.number = _number_in(packed.comment)
        except _NO_STATE as error:
            self.drop()
            raise PublishError(
                f"{STATE} in the bucket {self._bucket.name} is not the state of a site: {error}",
                hint="restore a former version of the object; nothing was changed",
            ) from error
        self._etag = stored.etag

    def commit(self, engine: Engine, least: int = 0) -> None:
        """Replace the fetched state by that of an engine.

        Args:
            engine: its catalogue and ledger are the new state.
            least: the number of the new state, at least.

        Raises:
            PreconditionFailedError: another builder was first; the bucket keeps its state, and the
                local copy has to be fetched again.
            PublishError: the bucket cannot be written; it is unchanged.
        """
        assert self._etag is not None, "fetch first"
        images = dict(zip(_FILES, (engine.catalogue.image(), engine.ledger.image()), strict=True))
        filled = io.BytesIO()
        with zipfile.ZipFile(filled, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as packed:
            number = max(self.number + 1, least)
            # unique, so that no two states have the same ETag
            packed.comment = json.dumps({_NUMBER: number, "id": uuid.uuid4().hex}).encode()
            for name, image in images.items():
                packed.writestr(name, image)
        content = filled.getvalue()
        if len(content) > _LARGE_BYTES:
            log.warning(
                "the state has %d MB: from here on a worker with a disk of its own is cheaper",
                len(content) // 1_000_000,
            )
        headers = ObjectHeaders("application/zip", _KEEP_NONE)
        stored = self._bucket.put(STATE, content, headers, self._etag)
        self._etag, self.number = stored.etag, number

    def drop(self) -> None:
        """Remove the local files."""
        self._etag, self.number = None, 0
        for name in _FILES:
            for ending in ("", "-wal", "-shm"):
                (self._folder / f"{name}{ending}").unlink(missing_ok=True)
        (self._folder / "catalogue.id").unlink(missing_ok=True)


class Lease:
    """The right to build for a while: one holder at a time, as long as clocks roughly agree."""

    def __init__(
        self, bucket: Bucket, seconds: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._bucket, self._seconds, self._clock = bucket, seconds, clock
        self._holder = uuid.uuid4().hex
        self._etag = ""

    def take(self) -> bool:
        """Take the lease; return whether this process has it. An expired one may be taken over."""
        is_held, match = self._current()
        if is_held:
            return False
        lease = {"holder": self._holder, "until": self._clock() + self._seconds}
        headers = ObjectHeaders("application/json", _KEEP_NONE)
        try:
            stored = self._bucket.put(LEASE, json.dumps(lease).encode(), headers, match)
        except PreconditionFailedError:
            return False
        self._etag = stored.etag
        return True

    def is_held(self) -> bool:
        """Return whether another process has the lease; it is not taken."""
        return self._current()[0]

    def _current(self) -> tuple[bool, str]:
        """Return whether the lease is held, and the ETag to replace it by.

        One that ends later than any lease of now can end is of a clock that was wrong: it is over.

        Raises:
            PublishError: it cannot be read, or the object is not a lease.
        """
        response = self._bucket.get(LEASE)
        if response is None:
            return False, ABSENT
        content, stored = response
        until = _until(content)
        if until is None:
            raise PublishError(
                f"{LEASE} in the bucket {self._bucket.name} is not a lease of this site",
                hint="check what it is, and delete it; nothing was changed",
            )
        now = self._clock()
        return now < until <= now + self._seconds + _CLOCKS_S, stored.etag

    def release(self) -> None:
        """Release the lease, unless another holder took it over; if that fails, it expires."""
        with suppress(PublishError):
            self._bucket.delete(LEASE, self._etag)


def _number_in(comment: bytes) -> int:
    """Return the number of a state, 0 if it has none."""
    try:
        return int(json.loads(comment)[_NUMBER])
    except (ValueError, TypeError, KeyError):  # of a release that did not count
        return 0


def _until(content: bytes) -> float | None:
    """Return the expiry of a lease, None if it is not a lease."""
    try:
        return float(json.loads(content)["until"])
    except (ValueError, TypeError, KeyError):
        return None
