"""Sending: one object is put, put back or deleted, unless a newer one, or another's, is there."""

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
from generator.publish.site_objects import NotThereError, SiteObjects

FILES = frozenset({ObjectKind.MEDIA, ObjectKind.COPY})  # large ones
FOREIGN = "an object that is not ours lies there: `reelshelf publish --replace` replaces it"
CHANGED = "somebody else changed it in the bucket: `reelshelf publish --verify` puts ours back"
_TRIES = 5  # of one object that others change meanwhile


@dataclass(frozen=True, slots=True)
class UploadResult:
    """What became of one object: `now` is what is there, None for nothing; `left` says why not.

    `is_refused`: the store refuses it, or another's object lies there; that it is so is noted, and
    it is tried again ever less often. `wanted` is what was to be there, of those that are left.
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
    wanted: DesiredObject | None = None


@dataclass(frozen=True, slots=True)
class Conditions:
    """Which conditions the store minds."""

    on_puts: bool
    on_deletions: bool


class Uploader:
    """Sends for one publish; its methods may be called by many threads.

    Args:
        objects: what there is.
        record: where uploads in parts are remembered.
        force: whatever is newer is overwritten, too.
        conditions: what the store minds: where it does not, it is asked before.

    `listed` are keys whose objects others may have put, as the bucket was listed. `replaceable`
    are those that are not ours, and may be replaced as they were then.
    """

    def __init__(
        self, objects: SiteObjects, record: PublishedRecord, *, force: bool, conditions: Conditions
    ) -> None:
        self._objects, self._uploads = objects, Uploads(record)
        self._force, self._conditions = force, conditions
        self.listed: set[str] = set()
        self.replaceable: set[str] = set()
        self._works = _Works(objects)

    # -- putting

    def put(self, put: Put) -> UploadResult:
        """Put one object, unless it is there already, or a newer one is, or another's."""
        wanted = put.desired
        try:
            return self._put(put)
        except (NotThereError, FileChangedError) as error:
            return _left(wanted, str(error))
        except OSError as error:
            return _left(wanted, f"its file cannot be read: {error.strerror}")
        except ObjectRefusedError as error:
            self._works.see(wanted.key, error)
            return _left(wanted, str(error), is_refused=True)

    def _put(self, put: Put) -> UploadResult:
        wanted, before = put.desired, put.before
        if before is not None and wanted.key in self.listed and self._is_newer(before.cursor):
            return self._late(wanted, before)
        there = _known(before)
        is_unknown = before is None or not before.etag
        if is_unknown and not (before is None and self._conditions.on_puts):
            there = self._objects.bucket_of(wanted.key).head(wanted.key)
            done = self._settled(wanted, before, there)
            if done is not None:
                return done
        for _ in range(_TRIES):
            try:
                return self._sent(wanted, there)
            except PreconditionFailedError:
                there = self._objects.bucket_of(wanted.key).head(wanted.key)
            done = self._settled(wanted, before, there)
            if done is not None:
                return done
        raise PublishError(
            f"{wanted.key} changes all the time", hint="does another publisher run for this bucket?"
        )

    def _settled(
        self, wanted: DesiredObject, before: PublishedObject | None, there: StoredObject | None
    ) -> UploadResult | None:
        """Return what to make of what was found in place of `before`, None: put it."""
        if there is None:
            return None
        if not self._is_ours(there, before):
            was_ours = before is not None and wanted.key not in self.replaceable
            return _left(wanted, CHANGED if was_ours else FOREIGN, is_refused=True)
        is_for_headers = before is not None and before.etag and before.digest == wanted.digest
        if there.digest == wanted.digest and not is_for_headers:
            return UploadResult(
                wanted.key, wanted.path, wanted.kind, self._objects.noted(wanted, there)
            )
        if self._is_newer(there.cursor):
            return self._late(wanted, self._objects.noted(wanted, there))
        return None

    def _is_ours(self, there: StoredObject, before: PublishedObject | None) -> bool:
        """Tell whether an object may be replaced or deleted: we put it, as the record, or it says.

        One that others put may be where a person wanted that, and it is still the same one.
        """
        if before is not None and before.etag and before.etag == there.etag:
            return True
        return self._objects.is_ours(there)

    def _is_newer(self, cursor: str) -> bool:
        return not self._force and is_later(cursor, self._objects.cursor)

    def _late(self, wanted: DesiredObject, there: PublishedObject) -> UploadResult:
        now = replace(there, path=wanted.path, kind=wanted.kind, gone_at=None)
        return UploadResult(wanted.key, wanted.path, wanted.kind, now, is_late=True)

    def _sent(self, wanted: DesiredObject, there: StoredObject | None) -> UploadResult:
        match = ABSENT if there is None else there.etag
        if not self._conditions.on_puts:
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
        self._works.takes(bucket.name)
        now = self._objects.noted(wanted, stored)
        done = UploadResult(wanted.key, wanted.path, wanted.kind, now, is_put=True)
        if wanted.key in self.replaceable:  # what was there never was the site's
            return done
        former = PreviousVersion(
            wanted.key, wanted.path, wanted.kind, there.digest if there else None,
            there.size_bytes if there else 0, "", wanted.video,
            there.cursor if there else "", there.version if there else "",
        )  # fmt: skip
        return replace(done, former=former)

    # -- deleting

    def delete(self, gone: PublishedObject) -> UploadResult:
        """Delete one object, unless a newer one is there, or another's: that is forgotten."""
        try:
            return self._delete(gone)
        except ObjectRefusedError as error:
            self._works.see(gone.key, error, deletes=True)
            wanted = DesiredObject(gone.key, gone.path, gone.kind, "", video=gone.video)
            return _left(wanted, str(error), is_refused=True)

    def _delete(self, gone: PublishedObject) -> UploadResult:
        bucket, there = self._objects.bucket_of(gone.key), _known(gone)
        done = UploadResult(gone.key, gone.path, gone.kind)
        is_conditional = self._conditions.on_deletions
        if not gone.etag or not is_conditional:
            there = bucket.head(gone.key)
        for _ in range(_TRIES):
            if there is None or not self._is_ours(there, gone):
                return done
            if self._is_newer(there.cursor):
                return replace(done, is_late=True)
            try:
                bucket.delete(gone.key, there.etag if is_conditional else ANY)
            except PreconditionFailedError:
                there = bucket.head(gone.key)
                continue
            former = PreviousVersion(
                gone.key, gone.path, gone.kind, there.digest, there.size_bytes, gone.look,
                gone.video, there.cursor, there.version,
            )  # fmt: skip
            return replace(done, former=former, is_put=True)
        raise PublishError(f"{gone.key} changes all the time", hint="publish again")

    # -- putting back

    def put_back(self, put: Put, version: str) -> UploadResult:
        """Put a former version of an object over what is there now, unless that is another's."""
        wanted, bucket = put.desired, self._objects.bucket_of(put.desired.key)
        body, headers = bucket.former(wanted.key, version)
        there = _known(put.before)
        is_conditional = self._conditions.on_puts
        if not is_conditional or (there is not None and not there.etag):
            there = bucket.head(wanted.key)
        done = UploadResult(wanted.key, wanted.path, wanted.kind)
        for _ in range(_TRIES):
            if there is not None and not self._is_ours(there, put.before):
                return replace(done, left="an object that is not ours lies there now")
            match = ABSENT if there is None else there.etag
            try:
                stored = bucket.put(wanted.key, body, headers, match if is_conditional else ANY)
            except PreconditionFailedError:
                there = bucket.head(wanted.key)
                continue
            now = replace(self._objects.noted(wanted, stored), look=headers_digest(headers))
            return replace(done, now=now, is_put=True)
        raise PublishError(f"{wanted.key} changes all the time", hint="stop other publishers")


class _Works:
    """Tells a store that refuses one object from one that refuses everything."""

    def __init__(self, objects: SiteObjects) -> None:
        self._objects, self._lock = objects, Lock()
        self._does: set[tuple[str, bool]] = set()
        self._refusal: PublishError | None = None

    def takes(self, bucket: str) -> None:
        """Note that a bucket took an object."""
        self._does.add((bucket, False))

    def see(self, key: str, error: ObjectRefusedError, *, deletes: bool = False) -> None:
        """Return if the bucket of a key does for others what it refused here; ask it once.

        Raises:
            PublishError: it does it for none.
        """
        bucket = self._objects.bucket_of(key)
        with self._lock:
            if (bucket.name, deletes) in self._does:
                return
            if self._refusal is None:
                try:
                    bucket.probe(deletes=deletes)
                except PublishError:
                    self._refusal = error
                else:
                    self._does.add((bucket.name, deletes))
                    return
            raise self._refusal


def foreign(wanted: DesiredObject) -> UploadResult:
    """Return what became of an object in whose place another's was seen."""
    return _left(wanted, FOREIGN, is_refused=True)


def _left(wanted: DesiredObject, why: str, *, is_refused: bool = False) -> UploadResult:
    return UploadResult(
        wanted.key, wanted.path, wanted.kind, left=why, is_refused=is_refused, wanted=wanted
    )


def _known(before: PublishedObject | None) -> StoredObject | None:
    """Return what is believed to be there."""
    if before is None:
        return None
    return StoredObject(
        before.key, before.etag, before.size_bytes, before.digest, before.cursor, before.version
    )
