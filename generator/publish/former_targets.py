"""Former targets: what publishes left in places that are not published to any more.

When the bucket, the bucket of the videos or the path of the site changes, our objects in the former
place stay: another site may be served from them. They are remembered and told until the user has
them deleted.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import uuid4

from generator.adapters.ledger.published import ObjectLeftBehind, PublishedRecord
from generator.adapters.s3.bucket import ANY, Bucket, ObjectRefusedError, PreconditionFailedError
from generator.adapters.settings import Settings
from generator.core.delivery.publish_plan import (
    OURS,
    ObjectHeaders,
    ObjectKind,
    PublishReceipt,
    is_later,
)
from generator.core.errors import PublishError
from generator.publish.publish_state import PublishState
from generator.publish.site_objects import THREADS, SiteObjects

_AT_ONCE = 200  # objects deleted before that is recorded


class FormerTargets:
    """What we put into former targets, by our own record."""

    def __init__(
        self, settings: Settings, objects: SiteObjects, state: PublishState, record: PublishedRecord
    ) -> None:
        self._settings, self._objects = settings, objects
        self._state, self._record = state, record

    def leave(self) -> None:
        """Remember what the record has of the former target; called before it is cleared."""
        former = self._state.get("target")
        if former:
            endpoint, site, media, prefix = json.loads(former)
            media_prefix = f"{prefix}video/" if media == site else "video/"

            def left(key: str, kind: ObjectKind) -> ObjectLeftBehind:
                if key.startswith(media_prefix):
                    return ObjectLeftBehind(endpoint, media, media_prefix, key, kind)
                return ObjectLeftBehind(endpoint, site, prefix, key, kind)

            self._record.leave_behind(
                left(item.key, item.kind) for item in self._record.all().values()
            )
        for bucket, prefix in self._current():
            self._record.drop_left_behind_in(self._settings.s3_endpoint, bucket, prefix)

    def delete(self, receipt: PublishReceipt, *, is_conditional: bool) -> None:
        """Delete what is left in former targets, unless it is no longer an object of this site.

        `is_conditional`: the current store supports conditional deletions.

        What cannot be deleted stays remembered, with the reason in `receipt.left`.
        """
        buckets: dict[tuple[str, str], list[ObjectLeftBehind]] = {}
        for item in self._record.all_left_behind():
            buckets.setdefault((item.endpoint, item.bucket), []).append(item)
        for (endpoint, name), items in buckets.items():
            is_same_store = endpoint == self._settings.s3_endpoint
            bucket = self._bucket(endpoint, name)
            try:
                aliases = self._aliases(bucket)
            except PublishError as error:
                receipt.left[name] = str(error)
                continue
            for start in range(0, len(items), _AT_ONCE):
                if not self._delete_batch(
                    bucket,
                    items[start : start + _AT_ONCE],
                    receipt,
                    aliases,
                    is_conditional=is_conditional and is_same_store,
                ):
                    break

    def _delete_batch(
        self,
        bucket: Bucket,
        items: Sequence[ObjectLeftBehind],
        receipt: PublishReceipt,
        aliases: Sequence[Bucket],
        *,
        is_conditional: bool,
    ) -> bool:
        """Delete some objects of one bucket; return whether it is worth to go on."""
        published = self._record.of([item.key for item in items])
        current = {key for key in published if self._objects.bucket_of(key) in aliases}

        def delete(item: ObjectLeftBehind) -> bool | PublishError:
            if item.key in current:  # what we publish now lies there
                return False
            try:
                return self._delete(bucket, item.key, is_conditional=is_conditional)
            except PublishError as error:
                return error

        with ThreadPoolExecutor(THREADS) as pool:
            results = list(zip(items, pool.map(delete, items), strict=True))
        failures = {
            item.key: result for item, result in results if isinstance(result, PublishError)
        }
        deleted = [item for item, result in results if result is True]
        with self._record.transaction():
            self._record.drop_left_behind(item for item in items if item.key not in failures)
            self._record.add_pending_invalidations(
                item.key for item in deleted if item.kind is ObjectKind.MEDIA
            )
        receipt.deleted += len(deleted)
        receipt.left.update({f"{bucket.name}/{key}": str(e) for key, e in failures.items()})
        is_of_all = any(not isinstance(error, ObjectRefusedError) for error in failures.values())
        return not is_of_all and len(failures) < len(items)

    def _delete(self, bucket: Bucket, key: str, *, is_conditional: bool) -> bool:
        """Delete one object; return False if it is not there, not ours, or newer."""
        there = bucket.head(key)
        if there is None or not self._objects.is_ours(there):
            return False
        if is_later(there.cursor, self._objects.cursor):
            return False
        try:
            bucket.delete(key, there.etag if is_conditional else ANY)
        except PreconditionFailedError as error:
            raise ObjectRefusedError(error.refusal, hint=error.hint) from error
        return True

    def _aliases(self, bucket: Bucket) -> list[Bucket]:
        """Return which of the current buckets this one is: it may have another name or address."""
        key, aliases = f"{OURS}probe-{uuid4().hex}", list[Bucket]()
        objects = self._objects
        for current in [objects.site, objects.media] if objects.is_apart else [objects.site]:
            if current is bucket:
                aliases.append(current)
                continue
            current.put(key, b"1", ObjectHeaders("text/plain", "no-store"))
            try:
                if bucket.head(key) is not None:
                    aliases.append(current)
            finally:
                with suppress(PublishError):
                    current.delete(key)
        return aliases

    def _bucket(self, endpoint: str, name: str) -> Bucket:
        settings = self._settings
        for bucket in (self._objects.site, self._objects.media):
            if (endpoint, name) == (settings.s3_endpoint, bucket.name):
                return bucket
        return Bucket(name, endpoint=endpoint, region=settings.s3_region, threads=THREADS)

    def _current(self) -> list[tuple[str, str]]:
        """Return (bucket, prefix) of the places that are listed at a new target."""
        objects = self._objects
        places = [(objects.site.name, objects.prefix)]
        if self._settings.publish_media or not objects.is_apart:
            places.append((objects.media.name, objects.media_prefix))
        return places
