"""The inventory: what to publish, and what the bucket has where the record may be wrong."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from hashlib import md5
from itertools import islice
from urllib.parse import unquote

from generator.adapters.ledger.published import PublishedRecord, RejectedObject
from generator.adapters.s3.bucket import InvalidKeyError, StoredObject, check_key
from generator.adapters.settings import Settings
from generator.build.engine import Engine
from generator.core.delivery.publish_plan import (
    OURS,
    DesiredObject,
    ObjectKind,
    PublishedObject,
    desired_made_files,
    desired_page,
    is_published,
    object_kind,
)
from generator.core.model import OutPath, Video, VideoId
from generator.core.site import urls
from generator.publish.ownership import SiteOwnership
from generator.publish.publish_state import PublishState
from generator.publish.site_objects import THREADS, UNKNOWN, SiteObjects
from generator.publish.upload import FILES, FOREIGN

_AT_ONCE = 1000  # objects checked before foreign ones are reported


@dataclass(slots=True)
class Inventory:
    """The desired and published objects: all of them, or those that may have changed.

    `recovered` are records to write, `lost` to drop; `listed` are keys that others may have put.
    `unchanged` are pages that keep their old content for now. `others` are foreign objects at keys
    needed, `strays` those at other keys; of the former, `replaceable` are to be replaced.
    `resolved` are keys whose refusal is no longer relevant. `left` are paths not published: reason.
    """

    desired: dict[str, DesiredObject]
    published: dict[str, PublishedObject]
    is_full: bool
    paths: list[OutPath]
    is_new: bool = False
    recovered: list[PublishedObject] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    listed: set[str] = field(default_factory=set)
    others: dict[str, DesiredObject] = field(default_factory=dict)  # and what belongs there
    replaceable: set[str] = field(default_factory=set)
    refused: list[RejectedObject] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)
    unchanged: set[str] = field(default_factory=set)
    left: dict[str, str] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)

    def unsent_of(self, left: Iterable[str]) -> set[int]:
        """Return the ids of videos whose files were not put."""
        paths = set(left) - self.left.keys()
        if not paths:
            return set()
        videos = (item.video for item in self.desired.values() if item.path in paths)
        return {video for video in videos if video is not None}


class InventoryTaker:
    """Takes the inventory: of everything, or of what may have changed."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        objects: SiteObjects,
        state: PublishState,
        record: PublishedRecord,
        ownership: SiteOwnership,
    ) -> None:
        self._engine, self._objects, self._state, self._record = engine, objects, state, record
        self._ownership = ownership
        self._settings, self._ledger = settings, engine.ledger

    def take(
        self,
        now: int,
        *,
        verify: bool,
        keep_others: bool = False,
        replace: bool = False,
        tries: bool = False,
    ) -> Inventory:
        """Return what is desired and what is published.

        Args:
            now: the current instant.
            verify: list the bucket.
            keep_others: the bucket may have foreign objects.
            replace: those at needed keys may be replaced.
            tries: retry refused objects at once.

        Raises:
            PublishError: the bucket has foreign objects, and never was owned by this site.
        """
        record, ledger = self._record, self._ledger
        refused = record.refused()
        is_full = verify or self._state.must_be_full()
        if is_full:
            is_new = self._state.get("target") != self._state.target() or not ledger.fact(
                "publishing"
            )
            desired = {page.key: page for page in self._pages(record.pages())}
            inventory = Inventory(
                desired, {} if is_new else record.all(), is_full, record.pending_pages(), is_new
            )
            videos = {video.id: video for video in ledger.all_videos()}
            self._add_videos(inventory, videos)
            if verify or is_new:
                self._compare(inventory, now, keep_others=keep_others, replace=replace)
        else:
            due = [item for item in refused if tries or replace or item.retry_at <= now]
            paths = record.pending_pages()
            paths += [OutPath(item.path) for item in due if item.video is None]
            changed = self._engine.catalogue.changed_since(self._state.cursor)
            ids = sorted(
                {*changed, *record.pending_videos(), *(item.video for item in due if item.video)}
            )
            pages = self._pages(record.pages_at(paths))
            inventory = Inventory({page.key: page for page in pages}, {}, is_full, paths)
            inventory.published = {
                **record.of_videos(ids),
                **record.gone_until(now - self._settings.delete_grace_s),
                **record.of([self._objects.prefix + path for path in paths]),
            }
            videos = ledger.videos(ids)
            self._add_videos(inventory, videos)
            inventory.published |= record.of(list(inventory.desired))
        if not self._settings.publish_media:
            self._keep_media(inventory, videos)
        for path in ledger.failed():
            key = self._objects.prefix + path
            if key in inventory.published:  # the bucket keeps its former content, too
                inventory.unchanged.add(path)
                inventory.desired.pop(key, None)
                inventory.published.pop(key)
        self._leave_out_refused(
            inventory, [] if inventory.is_new else refused, now, tries=tries or replace
        )
        return inventory

    def _leave_out_refused(
        self, inventory: Inventory, refused: Iterable[RejectedObject], now: int, *, tries: bool
    ) -> None:
        """Leave out refused objects that are not due for a retry."""
        for item in refused:
            desired = inventory.desired.get(item.key)
            if desired is None and self._is_obsolete(item, inventory):
                inventory.resolved.append(item.key)
                continue
            is_same = desired is None or desired.digest == item.digest
            if tries or not is_same or item.retry_at <= now:
                continue
            inventory.desired.pop(item.key, None)
            inventory.published.pop(item.key, None)
            inventory.left[item.path] = item.reason

    def _is_obsolete(self, refused: RejectedObject, inventory: Inventory) -> bool:
        """Return whether an object that was refused is not desired any more."""
        if not refused.digest:  # it was to be deleted
            return not self._record.of([refused.key])
        if inventory.is_full:
            return True
        if refused.video is None:
            return not list(self._record.pages_at([refused.path]))
        video = self._ledger.videos([refused.video]).get(refused.video)
        if video is None:
            return True
        media = urls.media_path(video.place).lstrip("/")
        return refused.path not in {media, *urls.made_files(video)}

    def _pages(self, rows: Iterable[tuple[OutPath, str, int]]) -> Iterator[DesiredObject]:
        for path, digest, size in rows:
            if is_published(path):
                yield desired_page(self._objects.prefix, path, digest, size)

    def _add_videos(self, inventory: Inventory, videos: Mapping[VideoId, Video]) -> None:
        for video in videos.values():
            inventory.desired.update(
                (item.key, item) for item in desired_made_files(self._objects.prefix, video)
            )
        if not self._settings.publish_media:
            return
        files = {file.video: file for file in self._engine.catalogue.files_of(videos)}
        absent: set[int] = set()
        for number, video in videos.items():
            file = files.get(number)
            is_local = video.place.root in self._settings.roots
            if not is_local or file is None or file.missing or file.place != video.place:
                absent.add(number)  # the object stays; an event will report the file
                continue
            digest = f"{file.size_bytes:x}-{file.fingerprint}"
            address, key = self._media_address(video), self._media_key(video)
            try:
                check_key(key)
            except InvalidKeyError as error:
                inventory.left[address] = str(error)
                continue
            path = str(self._settings.roots[video.place.root] / video.place.path)
            inventory.desired[key] = DesiredObject(
                key, address, ObjectKind.MEDIA, digest, file.size_bytes, number, path
            )
        inventory.published = {
            key: item
            for key, item in inventory.published.items()
            if item.kind is not ObjectKind.MEDIA or item.video not in absent
        }

    def _media_address(self, video: Video) -> str:
        return urls.media_path(video.place).lstrip("/")

    def _media_key(self, video: Video) -> str:
        name = unquote(self._media_address(video), errors="surrogateescape").removeprefix("video/")
        return self._objects.media_prefix + name

    def _keep_media(self, inventory: Inventory, videos: Mapping[VideoId, Video]) -> None:
        """Leave the objects of existing videos as they are: no video is published any more.

        Those of videos that are gone are deleted like other objects.
        """
        media = {k: one for k, one in inventory.published.items() if one.kind is ObjectKind.MEDIA}
        if not media:
            return
        waiting = [one.video for one in media.values() if one.video is not None]
        known = {**videos, **({} if inventory.is_full else self._ledger.videos(waiting))}
        for video in known.values():
            key = self._media_key(video)
            record = inventory.published.pop(key, None) if key in media else None
            if record is not None and (record.gone_at is not None or record.video != video.id):
                inventory.recovered.append(replace(record, gone_at=None, video=video.id))

    def _is_of_no_concern(self, key: str) -> bool:
        """Return whether foreign objects at a key are expected: the user may put videos there."""
        is_media = key.startswith(self._objects.media_prefix)
        return is_media and not self._settings.publish_media

    def _compare(self, inventory: Inventory, now: int, *, keep_others: bool, replace: bool) -> None:
        """List the bucket, and bring the record in line with it."""
        ownership = self._ownership
        is_known = ownership.check(take_over=replace)
        has_media = any(one.kind is ObjectKind.MEDIA for one in inventory.published.values())
        with_media = self._settings.publish_media or not self._objects.is_apart or has_media
        listed = {stored.key: stored for stored in self._listed(with_media=with_media)}
        nested = ownership.nested()
        inventory.lost += [key for key in inventory.published if key not in listed]
        unsure = [
            stored
            for key, stored in listed.items()
            if key not in inventory.published or inventory.published[key].etag != stored.etag
        ]
        for batch in _batches(unsure):
            with ThreadPoolExecutor(THREADS) as pool:
                heads = pool.map(self._head, batch)
                for stored, head in zip(batch, heads, strict=True):
                    if head is None:  # a listing may be outdated
                        inventory.lost.append(stored.key)
                    elif stored.key.startswith(nested) or not self._objects.is_ours(head):
                        self._record_foreign(inventory, head, may_replace=replace)
                    else:
                        self._record_ours(inventory, stored, head, now)
            if (
                inventory.is_new
                and not is_known
                and not keep_others
                and (inventory.others or inventory.foreign)
            ):
                ownership.refuse(
                    [*inventory.others, *inventory.foreign], is_all=len(unsure) <= _AT_ONCE
                )
        lost = set(inventory.lost)
        inventory.published = {k: v for k, v in inventory.published.items() if k not in lost}

    def _head(self, stored: StoredObject) -> StoredObject | None:
        return self._objects.bucket_of(stored.key).head(stored.key)

    def _record_ours(
        self, inventory: Inventory, stored: StoredObject, head: StoredObject, now: int
    ) -> None:
        """Adopt an object that we put, according to its metadata."""
        desired, before = inventory.desired.get(stored.key), inventory.published.get(stored.key)
        if desired is not None:
            trusted = head.digest if self._is_trusted(desired, before, head) else ""
            record = self._objects.recorded(desired, replace(head, digest=trusted or UNKNOWN))
        elif before is not None:
            record = replace(before, etag=head.etag, cursor=head.cursor, version=head.version)
        else:
            path = stored.key.removeprefix(self._objects.prefix)
            record = PublishedObject(
                stored.key, path, object_kind(path), head.digest, head.etag, head.size_bytes,
                cursor=head.cursor, version=head.version, gone_at=now,
            )  # fmt: skip
        inventory.recovered.append(record)
        inventory.listed.add(record.key)
        inventory.published[record.key] = record

    def _is_trusted(
        self, desired: DesiredObject, before: PublishedObject | None, head: StoredObject
    ) -> bool:
        """Return whether the digest of an object can be trusted: others may have changed it."""
        if desired.kind in FILES:
            return before is None or head.size_bytes == before.size_bytes
        if "-" in head.etag:
            return before is None
        body = self._objects.body(desired) if head.digest == desired.digest else None
        if body is not None and md5(body, usedforsecurity=False).hexdigest() == head.etag:
            return True
        return before is None

    def _record_foreign(
        self, inventory: Inventory, head: StoredObject, *, may_replace: bool
    ) -> None:
        """Leave a foreign object alone, unless the user wants it replaced."""
        key = head.key
        desired, before = inventory.desired.get(key), inventory.published.get(key)
        if desired is None:
            if not self._is_of_no_concern(key):
                inventory.foreign.append(key)
            if before is not None:
                inventory.lost.append(key)
            return
        if before is None and not may_replace:
            inventory.others[key] = desired
            inventory.left[desired.path] = FOREIGN
            del inventory.desired[key]
            return
        inventory.replaceable.add(key)
        record = self._objects.recorded(desired, replace(head, digest=UNKNOWN))
        inventory.published[key] = record
        if before is not None:  # if interrupted before the put, it is checked again
            inventory.recovered.append(replace(record, etag=""))

    def _listed(self, *, with_media: bool) -> Iterator[StoredObject]:
        prefix, apart = self._objects.prefix, self._objects.is_apart
        others: tuple[str, ...] = (OURS, prefix + OURS)
        if apart:
            others += (f"{prefix}video/",)
        for stored in self._objects.site.listed(prefix):
            if not stored.key.startswith(others):
                yield stored
        if apart and with_media:
            yield from self._objects.media.listed(self._objects.media_prefix)


def _batches(listed: Iterable[StoredObject]) -> Iterator[list[StoredObject]]:
    waiting = iter(listed)
    while batch := list(islice(waiting, _AT_ONCE)):
        yield batch
