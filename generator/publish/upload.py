"""Uploading: put, restore or delete one object, unless a newer or a foreign one is there."""

from dataclasses import dataclass, replace
from threading import Lock

from generator.adapters.ledger.published import PreviousVersion, PublishedRecord, Uploads
from generator.adapters.s3.bucket import (
    ABSENT,
    ANY,
    FileChangedError,
    ObjectRefusedError,
    PreconditionFailedError,
    StoredObject,
)
from generator.core.delivery.publish_plan import (
    DesiredObject,
    ObjectKind,
    PublishedObject,
    Put,
    headers_digest,
    is_later,
)
from generator.core.errors import PublishError
from generator.core.formatting import readable
from generator.publish.site_objects import NotThereError, SiteObjects

FILES = frozenset({ObjectKind.MEDIA, ObjectKind.COPY})  # large ones
FOREIGN = (
    "an object that reelshelf did not upload is there: `reelshelf publish --replace` replaces it"
)
CHANGED = "somebody else changed it in the bucket: `reelshelf publish --verify` restores it"
_TRIES = 5  # per object, if others change it meanwhile


@dataclass(frozen=True, slots=True)
class UploadResult:
    """The result for one object: `now` is its state, None if absent; `left` says why it failed.

    `is_refused`: the store refuses it, or a foreign object is there; this is recorded, and retried
    with backoff. `desired` is the object that was to be put, if it failed.
    """

    key: str
    path: str
    kind: ObjectKind
    now: PublishedObject | None = None
    former: PreviousVersion | None = None
    left: str = ""
    is_put: bool = False
    is_late: bool = False
    is_refused: bool = False
    desired: DesiredObject | None = None


@dataclass(frozen=True, slots=True)
class Conditions:
    """Which conditional requests the store supports."""

    on_puts: bool
    on_deletions: bool


class Uploader:
    """Uploads for one publish; its methods are thread-safe.

    Args:
        objects: the objects of the site.
        record: where multipart uploads are recorded.
        force: overwrite newer objects, too.
        conditions: what the store supports: otherwise a HEAD request comes first.

    `listed` are keys whose objects others may have put, as listed. `replaceable` are foreign
    objects that may be replaced if unchanged since then.
    """

    def __init__(
        self, objects: SiteObjects, record: PublishedRecord, *, force: bool, conditions: Conditions
    ) -> None:
        self._objects, self._uploads = objects, Uploads(record)
        self._force, self._conditions = force, conditions
        self.listed: set[str] = set()
        self.replaceable: set[str] = set()
        self._access = _StoreAccess(objects)

    # -- putting

    def put(self, put: Put) -> UploadResult:
        """Put one object, unless it, a newer one, or a foreign one is there."""
        desired = put.desired
        try:
            return self._put(put)
        except (NotThereError, FileChangedError) as error:
            return _left(desired, str(error))
        except OSError as error:
            return _left(desired, f"its file cannot be read: {error.strerror}")
        except ObjectRefusedError as error:
            self._access.check(desired.key, error)
            return _left(desired, str(error), is_refused=True)

    def _put(self, put: Put) -> UploadResult:
        desired, before = put.desired, put.before
        if before is not None and desired.key in self.listed and self._is_newer(before.cursor):
            return self._superseded(desired, before)
        current = _recorded_state(before)
        is_unknown = before is None or not before.etag
        if is_unknown and not (before is None and self._conditions.on_puts):
            current = self._objects.bucket_of(desired.key).head(desired.key)
            done = self._resolved(desired, before, current)
            if done is not None:
                return done
        attempts = _Attempts(desired.key, "does another publisher run for this bucket?")
        while True:
            try:
                return self._upload(desired, current)
            except PreconditionFailedError as error:
                expected = current
                current = self._objects.bucket_of(desired.key).head(desired.key)
                failure = error
            done = self._resolved(desired, before, current)
            if done is not None:
                return done
            attempts.failed(failure, expected, current)

    def _resolved(
        self, desired: DesiredObject, before: PublishedObject | None, current: StoredObject | None
    ) -> UploadResult | None:
        """Return the result if the stored object decides it, None to upload."""
        if current is None:
            return None
        if not self._is_ours(current, before):
            was_ours = before is not None and desired.key not in self.replaceable
            return _left(desired, CHANGED if was_ours else FOREIGN, is_refused=True)
        is_for_headers = before is not None and before.etag and before.digest == desired.digest
        if current.digest == desired.digest and not is_for_headers:
            return UploadResult(
                desired.key, desired.path, desired.kind, self._objects.recorded(desired, current)
            )
        if self._is_newer(current.cursor):
            return self._superseded(desired, self._objects.recorded(desired, current))
        return None

    def _is_ours(self, current: StoredObject, before: PublishedObject | None) -> bool:
        """Return whether this site owns an object, by its record or metadata.

        A foreign one may be if the user wanted that, and it is unchanged.
        """
        if before is not None and before.etag and before.etag == current.etag:
            return True
        return self._objects.is_ours(current)

    def _is_newer(self, cursor: str) -> bool:
        return not self._force and is_later(cursor, self._objects.cursor)

    def _superseded(self, desired: DesiredObject, current: PublishedObject) -> UploadResult:
        now = replace(current, path=desired.path, kind=desired.kind, gone_at=None)
        return UploadResult(desired.key, desired.path, desired.kind, now, is_late=True)

    def _upload(self, desired: DesiredObject, current: StoredObject | None) -> UploadResult:
        match = ABSENT if current is None else current.etag
        if not self._conditions.on_puts:
            match = ANY
        bucket, headers = self._objects.bucket_of(desired.key), self._objects.headers(desired)
        if desired.kind in FILES:
            file = self._objects.file(desired)
            stored = bucket.put_file(desired.key, file, headers, match, self._uploads)
        else:
            body = self._objects.body(desired)
            if body is None:
                raise NotThereError("its file is missing, or changed since it was built")
            stored = bucket.put(desired.key, body, headers, match)
        self._access.accepted(bucket.name)
        now = self._objects.recorded(desired, stored)
        done = UploadResult(desired.key, desired.path, desired.kind, now, is_put=True)
        if desired.key in self.replaceable:  # the replaced object never belonged to the site
            return done
        former = PreviousVersion(
            desired.key, desired.path, desired.kind, current.digest if current else None,
            current.size_bytes if current else 0, "", desired.video,
            current.cursor if current else "", current.version if current else "",
        )  # fmt: skip
        return replace(done, former=former)

    # -- deleting

    def delete(self, gone: PublishedObject) -> UploadResult:
        """Delete one object; if a newer or a foreign one is there, only forget it."""
        try:
            return self._delete(gone)
        except ObjectRefusedError as error:
            self._access.check(gone.key, error, deletes=True)
            desired = DesiredObject(gone.key, gone.path, gone.kind, "", video=gone.video)
            return _left(desired, str(error), is_refused=True)

    def _delete(self, gone: PublishedObject) -> UploadResult:
        bucket, current = self._objects.bucket_of(gone.key), _recorded_state(gone)
        done = UploadResult(gone.key, gone.path, gone.kind)
        is_conditional = self._conditions.on_deletions
        if not gone.etag or not is_conditional:
            current = bucket.head(gone.key)
        attempts = _Attempts(gone.key, "publish again")
        while True:
            if current is None or not self._is_ours(current, gone):
                return done
            if self._is_newer(current.cursor):
                return replace(done, is_late=True)
            try:
                bucket.delete(gone.key, current.etag if is_conditional else ANY)
            except PreconditionFailedError as error:
                expected, current = current, bucket.head(gone.key)
                attempts.failed(error, expected, current)
                continue
            former = PreviousVersion(
                gone.key, gone.path, gone.kind, current.digest, current.size_bytes,
                gone.headers_digest, gone.video, current.cursor, current.version,
            )  # fmt: skip
            return replace(done, former=former, is_put=True)

    # -- restoring

    def restore(self, put: Put, version: str) -> UploadResult:
        """Put a former version of an object over the current one, unless that is foreign."""
        desired, bucket = put.desired, self._objects.bucket_of(put.desired.key)
        body, headers = bucket.former(desired.key, version)
        current = _recorded_state(put.before)
        is_conditional = self._conditions.on_puts
        if not is_conditional or (current is not None and not current.etag):
            current = bucket.head(desired.key)
        done = UploadResult(desired.key, desired.path, desired.kind)
        attempts = _Attempts(desired.key, "stop other publishers")
        while True:
            if current is not None and not self._is_ours(current, put.before):
                return replace(done, left="an object that reelshelf did not upload is there now")
            match = ABSENT if current is None else current.etag
            try:
                stored = bucket.put(desired.key, body, headers, match if is_conditional else ANY)
            except PreconditionFailedError as error:
                expected, current = current, bucket.head(desired.key)
                attempts.failed(error, expected, current)
                continue
            now = replace(
                self._objects.recorded(desired, stored), headers_digest=headers_digest(headers)
            )
            return replace(done, now=now, is_put=True)


class _Attempts:
    """Counts failed conditional requests for one object, and raises the reason in the end."""

    def __init__(self, key: str, hint: str) -> None:
        self._key, self._hint, self._count = key, hint, 0

    def failed(
        self,
        error: PreconditionFailedError,
        expected: StoredObject | None,
        current: StoredObject | None,
    ) -> None:
        """Record that a request failed; return if it is worth another try.

        Raises:
            ObjectRefusedError: the object is as expected, so the store refuses it.
            PublishError: the object keeps changing.
        """
        self._count += 1
        if self._count < _TRIES:
            return
        if _etag(expected) == _etag(current):
            raise ObjectRefusedError(error.refusal, hint=error.hint) from error
        raise PublishError(f"{readable(self._key)} keeps changing", hint=self._hint) from error


class _StoreAccess:
    """Distinguishes a store that refuses one object from one that refuses everything."""

    def __init__(self, objects: SiteObjects) -> None:
        self._objects, self._lock = objects, Lock()
        self._allowed: set[tuple[str, bool]] = set()
        self._refusal: PublishError | None = None

    def accepted(self, bucket: str) -> None:
        """Record that a bucket accepted an object."""
        self._allowed.add((bucket, False))

    def check(self, key: str, error: ObjectRefusedError, *, deletes: bool = False) -> None:
        """Return if the bucket allows for other objects what it refused here; probe it once.

        Raises:
            PublishError: it refuses everything.
        """
        bucket = self._objects.bucket_of(key)
        with self._lock:
            if (bucket.name, deletes) in self._allowed:
                return
            if self._refusal is None:
                try:
                    bucket.probe(deletes=deletes)
                except PublishError:
                    self._refusal = error
                else:
                    self._allowed.add((bucket.name, deletes))
                    return
            raise self._refusal


def foreign(desired: DesiredObject) -> UploadResult:
    """Return the result for a key at which a foreign object was seen."""
    return _left(desired, FOREIGN, is_refused=True)


def _left(desired: DesiredObject, why: str, *, is_refused: bool = False) -> UploadResult:
    return UploadResult(
        desired.key, desired.path, desired.kind, left=why, is_refused=is_refused, desired=desired
    )


def _etag(stored: StoredObject | None) -> str:
    return "" if stored is None else stored.etag


def _recorded_state(before: PublishedObject | None) -> StoredObject | None:
    """Return the stored object according to the record."""
    if before is None:
        return None
    return StoredObject(
        before.key, before.etag, before.size_bytes, before.digest, before.cursor, before.version
    )
