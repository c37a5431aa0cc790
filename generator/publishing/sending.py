"""Sending: one object is put, put back or deleted, unless a newer one is there."""

from dataclasses import dataclass, replace

from generator.adapters.bucket import ABSENT, ANY, ChangedError, Stored
from generator.adapters.published import Former, PublishedRecord, Uploads
from generator.core.errors import PublishError
from generator.core.publishing import ObjectKind, Published, Put, Wanted, later, look_of
from generator.publishing.objects import NotThereError, Objects

FILES = frozenset({ObjectKind.MEDIA, ObjectKind.COPY})  # large ones
_TRIES = 5  # of one object that others change meanwhile


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one object: `now` is what is there, None for nothing; `left` says why not."""

    key: str
    path: str
    kind: ObjectKind
    now: Published | None = None
    former: Former | None = None
    left: str = ""
    is_put: bool = False
    is_late: bool = False


class Sender:
    """Sends for one publish; its methods may be called by many threads.

    Args:
        objects: what there is.
        record: where uploads in parts are remembered.
        force: whatever is newer is overwritten, too.
        conditional: the store minds conditions.

    `foreign` are keys that others may have put.
    """

    def __init__(
        self, objects: Objects, record: PublishedRecord, *, force: bool, conditional: bool
    ) -> None:
        self._objects, self._uploads = objects, Uploads(record)
        self._force, self._conditional = force, conditional
        self.foreign: set[str] = set()

    def put(self, put: Put) -> Done:
        """Put one object, unless it is there already, or a newer one is."""
        wanted, before = put.wanted, put.before
        if before is not None and wanted.key in self.foreign and self._is_newer(before.cursor):
            return self._late(wanted, before)
        there = _known(before)
        if before is not None and not before.etag:
            stored = self._objects.bucket_of(wanted.key).head(wanted.key)
            done = self._settled(wanted, before, stored)
            if done is not None:
                return done
            there = stored
        for _ in range(_TRIES):
            try:
                return self._sent(wanted, there)
            except NotThereError as error:
                return Done(wanted.key, wanted.path, wanted.kind, left=str(error))
            except ChangedError:
                there = self._objects.bucket_of(wanted.key).head(wanted.key)
            done = self._settled(wanted, before, there)
            if done is not None:
                return done
        raise PublishError(
            f"{wanted.key} changes all the time", hint="does another publisher run for this bucket?"
        )

    def _settled(
        self, wanted: Wanted, before: Published | None, there: Stored | None
    ) -> Done | None:
        """Return what to make of what was found in place of `before`, None: put it."""
        if there is None:
            return None
        is_for_headers = before is not None and before.etag and before.digest == wanted.digest
        if there.digest == wanted.digest and not is_for_headers:
            return Done(wanted.key, wanted.path, wanted.kind, self._objects.noted(wanted, there))
        if self._is_newer(there.cursor):
            return self._late(wanted, self._objects.noted(wanted, there))
        return None

    def _is_newer(self, cursor: str) -> bool:
        return not self._force and later(cursor, self._objects.cursor)

    def _late(self, wanted: Wanted, there: Published) -> Done:
        now = replace(there, path=wanted.path, kind=wanted.kind, gone_at=None)
        return Done(wanted.key, wanted.path, wanted.kind, now, is_late=True)

    def _sent(self, wanted: Wanted, there: Stored | None) -> Done:
        match = ABSENT if there is None else there.etag
        if not self._conditional:
            match = ANY
        bucket, headers = self._objects.bucket_of(wanted.key), self._objects.headers(wanted)
        if wanted.kind in FILES:
            file = self._objects.file(wanted)
            stored = bucket.put_file(wanted.key, file, headers, match, self._uploads)
        else:
            body = self._objects.body(wanted)
            if body is None:
                raise NotThereError("its file is not there, or not as it was built")
            stored = bucket.put(wanted.key, body, headers, match)
        former = Former(
            wanted.key, wanted.path, wanted.kind, there.digest if there else None,
            there.size_bytes if there else 0, "", wanted.video,
            there.cursor if there else "", there.version if there else "",
        )  # fmt: skip
        now = self._objects.noted(wanted, stored)
        return Done(wanted.key, wanted.path, wanted.kind, now, former, is_put=True)

    def delete(self, gone: Published) -> Done:
        """Delete one object, unless a newer one is there."""
        bucket, there = self._objects.bucket_of(gone.key), _known(gone)
        done = Done(gone.key, gone.path, gone.kind)
        if not gone.etag:
            there = bucket.head(gone.key)
        for _ in range(_TRIES):
            if there is None:
                return done
            if self._is_newer(there.cursor):
                return replace(done, is_late=True)
            try:
                bucket.delete(gone.key, there.etag if self._conditional else ANY)
            except ChangedError:
                there = bucket.head(gone.key)
                continue
            former = Former(
                gone.key, gone.path, gone.kind, there.digest, there.size_bytes, gone.look,
                gone.video, there.cursor, there.version,
            )  # fmt: skip
            return replace(done, former=former, is_put=True)
        raise PublishError(f"{gone.key} changes all the time", hint="publish again")

    def put_back(self, put: Put, version: str) -> Done:
        """Put a former version of an object over what is there now."""
        wanted, bucket = put.wanted, self._objects.bucket_of(put.wanted.key)
        body, headers = bucket.former(wanted.key, version)
        there = _known(put.before)
        if there is not None and not there.etag:
            there = bucket.head(wanted.key)
        done = Done(wanted.key, wanted.path, wanted.kind)
        for _ in range(_TRIES):
            match = ABSENT if there is None else there.etag
            try:
                stored = bucket.put(wanted.key, body, headers, match if self._conditional else ANY)
            except ChangedError:
                there = bucket.head(wanted.key)
                continue
            now = replace(self._objects.noted(wanted, stored), look=look_of(headers))
            return replace(done, now=now, is_put=True)
        raise PublishError(f"{wanted.key} changes all the time", hint="stop other publishers")


def _known(before: Published | None) -> Stored | None:
    """Return what is believed to be there."""
    if before is None:
        return None
    return Stored(
        before.key, before.etag, before.size_bytes, before.digest, before.cursor, before.version
    )
