"""Scenes: what a publish looks at, and what the bucket has where the record does not tell."""

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

_AT_ONCE = 1000  # objects that are looked at before it is told that some are not ours


@dataclass(slots=True)
class Inventory:
    """What a publish looks at, and what it found out: everything, or what may have changed.

    `found` are records to write, `lost` to drop; `listed` are keys that others may have put.
    `still` are pages that stay as they are for now. `others` are keys of objects that we did not
    put where ours belong, `strays` where nothing of ours does; of the former, `replaceable` are to
    be replaced all the same. `taken` are keys that were refused once, and need not be noted.
    """

    wanted: dict[str, DesiredObject]
    published: dict[str, PublishedObject]
    is_full: bool
    paths: list[OutPath]
    is_new: bool = False
    found: list[PublishedObject] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    listed: set[str] = field(default_factory=set)
    others: dict[str, DesiredObject] = field(default_factory=dict)  # and what would be there
    replaceable: set[str] = field(default_factory=set)
    refused: list[RejectedObject] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    still: set[str] = field(default_factory=set)
    left: dict[str, str] = field(default_factory=dict)
    strays: list[str] = field(default_factory=list)

    def unsent_of(self, left: Iterable[str]) -> set[int]:
        """Return whose files these are that were not put."""
        paths = set(left) - self.left.keys()
        if not paths:
            return set()
        found = (one.video for one in self.wanted.values() if one.path in paths)
        return {video for video in found if video is not None}


class InventoryTaker:
    """Looks at what is to be published: at everything, or at what may have changed."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        objects: SiteObjects,
        facts: PublishState,
        record: PublishedRecord,
        claims: SiteOwnership,
    ) -> None:
        self._engine, self._objects, self._facts, self._record = engine, objects, facts, record
        self._claims = claims
        self._settings, self._ledger = settings, engine.ledger

    def look(
        self,
        now: int,
        *,
        verify: bool,
        adopt: bool = False,
        replace: bool = False,
        tries: bool = False,
    ) -> Inventory:
        """Return what there is to publish.

        Args:
            now: the current instant.
            verify: list the bucket.
            adopt: the bucket may have objects that others put.
            replace: they may be replaced where ours belong.
            tries: what was refused is tried again, however short ago that was.

        Raises:
            PublishError: the bucket has objects that we did not put, and never was ours.
        """
        record, ledger = self._record, self._ledger
        refused = record.refused()
        is_full = verify or self._facts.must_be_full()
        if is_full:
            is_new = self._facts.get("target") != self._facts.target() or not ledger.fact(
                "publishing"
            )
            wanted = {one.key: one for one in self._pages(record.pages())}
            scene = Inventory(
                wanted, {} if is_new else record.all(), is_full, record.unpublished(), is_new
            )
            if not self._settings.publish_media:
                media = [k for k, one in scene.published.items() if one.kind is ObjectKind.MEDIA]
                scene.lost += media
                for key in media:
                    del scene.published[key]
            self._add_videos(scene, {video.id: video for video in ledger.all_videos()})
            if verify or is_new:
                self._compare(scene, now, adopt=adopt, replace=replace)
        else:
            due = [one for one in refused if tries or replace or one.retry_at <= now]
            paths = record.unpublished()
            paths += [OutPath(one.path) for one in due if one.video is None]
            changed = self._engine.catalogue.changed_since(self._facts.cursor)
            ids = sorted({*changed, *record.unsent(), *(one.video for one in due if one.video)})
            pages = self._pages(record.pages_at(paths))
            scene = Inventory({one.key: one for one in pages}, {}, is_full, paths)
            scene.published = {
                **record.of_videos(ids),
                **record.gone_until(now - self._settings.delete_grace_s),
                **record.of([self._objects.prefix + path for path in paths]),
            }
            self._add_videos(scene, ledger.videos(ids))
            scene.published |= record.of(list(scene.wanted))
        for path in ledger.failed():
            key = self._objects.prefix + path
            if key in scene.published:  # it keeps its former content there, too
                scene.still.add(path)
                scene.wanted.pop(key, None)
                scene.published.pop(key)
        self._hold_refused(scene, [] if scene.is_new else refused, now, tries=tries or replace)
        return scene

    def _hold_refused(
        self, scene: Inventory, refused: Iterable[RejectedObject], now: int, *, tries: bool
    ) -> None:
        """Leave out what was refused, as long as it is not to be tried again."""
        for one in refused:
            wanted = scene.wanted.get(one.key)
            if wanted is None and self._is_over(one, scene):
                scene.taken.append(one.key)
                continue
            is_same = wanted is None or wanted.digest == one.digest
            if tries or not is_same or one.retry_at <= now:
                continue
            scene.wanted.pop(one.key, None)
            scene.published.pop(one.key, None)
            scene.left[one.path] = one.reason

    def _is_over(self, one: RejectedObject, scene: Inventory) -> bool:
        """Tell whether an object that was refused is not wanted any more."""
        if not one.digest:  # it was to be deleted
            return not self._record.of([one.key])
        if scene.is_full:
            return True
        if one.video is None:
            return not list(self._record.pages_at([one.path]))
        video = self._ledger.videos([one.video]).get(one.video)
        if video is None:
            return True
        media = urls.media_path(video.place).lstrip("/")
        return one.path not in {media, *urls.made_files(video)}

    def _pages(self, rows: Iterable[tuple[OutPath, str, int]]) -> Iterator[DesiredObject]:
        for path, digest, size in rows:
            if is_published(path):
                yield desired_page(self._objects.prefix, path, digest, size)

    def _add_videos(self, scene: Inventory, videos: Mapping[VideoId, Video]) -> None:
        for video in videos.values():
            scene.wanted.update(
                (one.key, one) for one in desired_made_files(self._objects.prefix, video)
            )
        if not self._settings.publish_media:
            return
        known = {one.video: one for one in self._engine.catalogue.known(videos)}
        absent: set[int] = set()
        for number, video in videos.items():
            file = known.get(number)
            is_local = video.place.root in self._settings.roots
            if not is_local or file is None or file.missing or file.place != video.place:
                absent.add(number)  # what is there stays; an event will tell of the file
                continue
            digest = f"{file.size_bytes:x}-{file.fingerprint}"
            address = urls.media_path(video.place).lstrip("/")
            name = unquote(address, errors="surrogateescape").removeprefix("video/")
            key = self._objects.media_prefix + name
            try:
                check_key(key)
            except InvalidKeyError as error:
                scene.left[address] = str(error)
                continue
            path = str(self._settings.roots[video.place.root] / video.place.path)
            scene.wanted[key] = DesiredObject(
                key, address, ObjectKind.MEDIA, digest, file.size_bytes, number, path
            )
        scene.published = {
            key: one
            for key, one in scene.published.items()
            if one.kind is not ObjectKind.MEDIA or one.video not in absent
        }

    def _compare(self, scene: Inventory, now: int, *, adopt: bool, replace: bool) -> None:
        """Look at what the bucket has, and have the record tell that."""
        claims = self._claims
        is_known = claims.check(take_over=replace)
        listed = {one.key: one for one in self._listed()}
        nested = claims.nested()
        scene.lost += [key for key in scene.published if key not in listed]
        unsure = [
            one
            for key, one in listed.items()
            if key not in scene.published or scene.published[key].etag != one.etag
        ]
        for some in _portions(unsure):
            with ThreadPoolExecutor(THREADS) as pool:
                heads = pool.map(self._head, some)
                for stored, there in zip(some, heads, strict=True):
                    if there is None:  # a listing may be behind
                        scene.lost.append(stored.key)
                    elif stored.key.startswith(nested) or not self._objects.is_ours(there):
                        self._note_other(scene, there, may_replace=replace)
                    else:
                        self._note_ours(scene, stored, there, now)
            if scene.is_new and not is_known and not adopt and (scene.others or scene.strays):
                claims.refuse([*scene.others, *scene.strays], is_all=len(unsure) <= _AT_ONCE)
        lost = set(scene.lost)
        scene.published = {k: v for k, v in scene.published.items() if k not in lost}

    def _head(self, stored: StoredObject) -> StoredObject | None:
        return self._objects.bucket_of(stored.key).head(stored.key)

    def _note_ours(
        self, scene: Inventory, stored: StoredObject, there: StoredObject, now: int
    ) -> None:
        """Take up an object that we put, as it says."""
        wanted, before = scene.wanted.get(stored.key), scene.published.get(stored.key)
        if wanted is not None:
            trusted = there.digest if self._is_trusted(wanted, before, there) else ""
            found = self._objects.noted(wanted, replace(there, digest=trusted or UNKNOWN))
        elif before is not None:
            found = replace(before, etag=there.etag, cursor=there.cursor, version=there.version)
        else:
            path = stored.key.removeprefix(self._objects.prefix)
            found = PublishedObject(
                stored.key, path, object_kind(path), there.digest, there.etag, there.size_bytes,
                cursor=there.cursor, version=there.version, gone_at=now,
            )  # fmt: skip
        scene.found.append(found)
        scene.listed.add(found.key)
        scene.published[found.key] = found

    def _is_trusted(
        self, wanted: DesiredObject, before: PublishedObject | None, there: StoredObject
    ) -> bool:
        """Tell whether an object has the content that it says: others may have changed that."""
        if wanted.kind in FILES:
            return before is None or there.size_bytes == before.size_bytes
        if "-" in there.etag:
            return before is None
        body = self._objects.body(wanted) if there.digest == wanted.digest else None
        if body is not None and md5(body, usedforsecurity=False).hexdigest() == there.etag:
            return True
        return before is None

    def _note_other(self, scene: Inventory, there: StoredObject, *, may_replace: bool) -> None:
        """Leave an object alone that we did not put, but where a person wants ours there."""
        key = there.key
        wanted, before = scene.wanted.get(key), scene.published.get(key)
        if wanted is None:
            scene.strays.append(key)
            if before is not None:
                scene.lost.append(key)
            return
        if before is None and not may_replace:
            scene.others[key] = wanted
            scene.left[wanted.path] = FOREIGN
            del scene.wanted[key]
            return
        scene.replaceable.add(key)
        noted = self._objects.noted(wanted, replace(there, digest=UNKNOWN))
        scene.published[key] = noted
        if before is not None:  # cut off before it is put, it is looked at again
            scene.found.append(replace(noted, etag=""))

    def _listed(self) -> Iterator[StoredObject]:
        prefix, apart = self._objects.prefix, self._objects.is_apart
        others: tuple[str, ...] = (OURS, prefix + OURS)
        if apart or not self._settings.publish_media:
            others += (f"{prefix}video/",)
        for one in self._objects.site.listed(prefix):
            if not one.key.startswith(others):
                yield one
        if apart and self._settings.publish_media:
            yield from self._objects.media.listed(self._objects.media_prefix)


def _portions(listed: Iterable[StoredObject]) -> Iterator[list[StoredObject]]:
    waiting = iter(listed)
    while some := list(islice(waiting, _AT_ONCE)):
        yield some
