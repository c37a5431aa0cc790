"""Scenes: what a publish looks at, and what the bucket has where the record does not tell."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from hashlib import md5
from urllib.parse import unquote

from generator.adapters.bucket import Stored, UnfitKeyError, check_key
from generator.adapters.published import PublishedRecord
from generator.adapters.settings import Settings
from generator.core import addresses
from generator.core.model import OutPath, Video, VideoId
from generator.core.publishing import (
    OURS,
    ObjectKind,
    Published,
    Wanted,
    is_published,
    kind_of,
    wanted_made,
    wanted_page,
)
from generator.engine import Engine
from generator.publishing.facts import Facts
from generator.publishing.objects import THREADS, UNKNOWN, Objects
from generator.publishing.sending import FILES


@dataclass(slots=True)
class Scene:
    """What a publish looks at, and what it found out: everything, or what may have changed.

    `found` are records to write, `lost` to drop; `foreign` are keys that others may have put.
    `still` are pages that stay as they are for now; `videos` are those that were looked at.
    """

    wanted: dict[str, Wanted]
    published: dict[str, Published]
    is_full: bool
    paths: list[OutPath]
    is_new: bool = False
    found: list[Published] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    foreign: set[str] = field(default_factory=set)
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


class Observer:
    """Looks at what is to be published: at everything, or at what may have changed."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        objects: Objects,
        facts: Facts,
        record: PublishedRecord,
    ) -> None:
        self._engine, self._objects, self._facts, self._record = engine, objects, facts, record
        self._settings, self._ledger = settings, engine.ledger

    def look(self, now: int, *, verify: bool) -> Scene:
        """Return what there is to publish; with `verify` the bucket is listed."""
        record, ledger = self._record, self._ledger
        is_full = verify or self._facts.must_be_full()
        if is_full:
            is_new = self._facts.get("target") != self._facts.target() or not ledger.fact(
                "publishing"
            )
            wanted = {one.key: one for one in self._pages(record.pages())}
            scene = Scene(
                wanted, {} if is_new else record.all(), is_full, record.unpublished(), is_new
            )
            if not self._settings.publish_media:
                media = [k for k, one in scene.published.items() if one.kind is ObjectKind.MEDIA]
                scene.lost += media
                for key in media:
                    del scene.published[key]
            self._add_videos(scene, {video.id: video for video in ledger.all_videos()})
            if verify or is_new:
                self._compare(scene, now)
        else:
            paths = record.unpublished()
            changed = self._engine.catalogue.changed_since(self._facts.cursor)
            ids = sorted({*changed, *record.unsent()})
            pages = self._pages(record.pages_at(paths))
            scene = Scene({one.key: one for one in pages}, {}, is_full, paths)
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
        return scene

    def _pages(self, rows: Iterable[tuple[OutPath, str, int]]) -> Iterator[Wanted]:
        for path, digest, size in rows:
            if is_published(path):
                yield wanted_page(self._objects.prefix, path, digest, size)

    def _add_videos(self, scene: Scene, videos: Mapping[VideoId, Video]) -> None:
        for video in videos.values():
            scene.wanted.update((one.key, one) for one in wanted_made(self._objects.prefix, video))
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
            address = addresses.media_path(video.place).lstrip("/")
            name = unquote(address, errors="surrogateescape").removeprefix("video/")
            key = self._objects.media_prefix + name
            try:
                check_key(key)
            except UnfitKeyError as error:
                scene.left[address] = str(error)
                continue
            path = str(self._settings.roots[video.place.root] / video.place.path)
            scene.wanted[key] = Wanted(
                key, address, ObjectKind.MEDIA, digest, file.size_bytes, number, path
            )
        scene.published = {
            key: one
            for key, one in scene.published.items()
            if one.kind is not ObjectKind.MEDIA or one.video not in absent
        }

    def _compare(self, scene: Scene, now: int) -> None:
        """Look at what the bucket has, and have the record tell that."""
        listed = {one.key: one for one in self._listed()}
        scene.lost += [key for key in scene.published if key not in listed]
        unsure = [
            one
            for key, one in listed.items()
            if key not in scene.published or scene.published[key].etag != one.etag
        ]
        with ThreadPoolExecutor(THREADS) as pool:
            looks = pool.map(lambda one: self._recognised(one, scene, now), unsure)
            for stored, found in zip(unsure, looks, strict=True):
                if found is None:
                    scene.strays.append(stored.key)
                    continue
                scene.found.append(found)
                scene.foreign.add(found.key)
        scene.published = {k: v for k, v in scene.published.items() if k in listed}
        scene.published |= {one.key: one for one in scene.found}

    def _listed(self) -> Iterator[Stored]:
        prefix, apart = self._objects.prefix, self._objects.is_apart
        others: tuple[str, ...] = (OURS, prefix + OURS)
        if apart or not self._settings.publish_media:
            others += (f"{prefix}video/",)
        for one in self._objects.site.listed(prefix):
            if not one.key.startswith(others):
                yield one
        if apart and self._settings.publish_media:
            yield from self._objects.media.listed(self._objects.media_prefix)

    def _recognised(self, stored: Stored, scene: Scene, now: int) -> Published | None:
        """Return what an object of the bucket is, None if it is not ours."""
        wanted, before = scene.wanted.get(stored.key), scene.published.get(stored.key)
        if wanted is not None and wanted.kind not in FILES and "-" not in stored.etag:
            body = self._objects.body(wanted)
            if body is not None and md5(body, usedforsecurity=False).hexdigest() == stored.etag:
                return self._objects.noted(wanted, replace(stored, digest=wanted.digest))
        there = self._objects.bucket_of(stored.key).head(stored.key)
        if there is None:
            return None
        if wanted is not None:
            same_file = wanted.kind in FILES and there.size_bytes == stored.size_bytes
            trusted = there.digest if before is None or same_file else ""
            return self._objects.noted(wanted, replace(there, digest=trusted or UNKNOWN))
        if before is not None:
            return replace(before, etag=there.etag, cursor=there.cursor, version=there.version)
        if not there.digest:
            return None
        path = stored.key.removeprefix(self._objects.prefix)
        return Published(
            stored.key, path, kind_of(path), there.digest, there.etag, there.size_bytes,
            cursor=there.cursor, version=there.version, gone_at=now,
        )  # fmt: skip
