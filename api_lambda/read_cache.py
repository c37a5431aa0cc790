"""The read cache: what the catalogue has of videos, kept in memory until something changes.

It is never stale. Before every read it asks SQLite whether anybody wrote to the file since (one
PRAGMA); after a write it drops the videos that the new events are about, and after many events all
of them. So a write is visible as soon as it is acknowledged, whichever process made it. The time to
live is a second safety, and the size is bounded.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from cachetools import TTLCache

from generator.adapters.catalogue import Catalogue
from generator.core.model import VideoId, VideoStats

CACHE_TTL_S = 300.0
MAX_CACHED = 20_000  # videos; some 600 bytes each
_MAX_EVENTS = 500  # that are looked through; after more of them everything is dropped

CachedVideo = tuple[str, str, VideoStats]  # slug, title, stats


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """What a cache holds, and how often it helped since it was made. Instants since 1970."""

    entries: int
    max_entries: int
    ttl_s: float
    hits: int
    misses: int
    refreshed_at: int


class ReadCache:
    """A cache in front of one open catalogue. It is thread-safe."""

    def __init__(
        self,
        counted: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin empty.

        Args:
            counted: called with "hit" or "miss".
            clock: returns monotonic seconds.
        """
        self._videos: TTLCache[VideoId, CachedVideo] = TTLCache(MAX_CACHED, CACHE_TTL_S, clock)
        self._lock = Lock()
        self._counted = counted
        self._catalogue: Catalogue | None = None
        self._version = -1
        self._event = 0
        self._hits = self._misses = 0
        self._refreshed_at = int(time.time())

    def video(self, catalogue: Catalogue, video: VideoId) -> CachedVideo | None:
        """Return what a catalogue has of a video now; None if it has no pages."""
        with self._lock:
            self._drop_changed(catalogue)
            kept = self._videos.get(video)
            if kept is not None:
                self._hits += 1
                self._counted("hit")
                return kept
            self._misses += 1
            self._counted("miss")
            named = catalogue.name_of(video)
            if named is None:
                return None
            (stats,) = catalogue.stats([video])
            entry = self._videos[video] = (*named, stats)
            return entry

    def refresh(self) -> None:
        """Drop everything: it is read again."""
        with self._lock:
            self._forget()

    def status(self) -> CacheStatus:
        """Return what it holds."""
        with self._lock:
            self._videos.expire()
            return CacheStatus(
                len(self._videos), MAX_CACHED, CACHE_TTL_S, self._hits, self._misses,
                self._refreshed_at,
            )  # fmt: skip

    def _forget(self) -> None:
        self._videos.clear()
        self._refreshed_at = int(time.time())

    def _drop_changed(self, catalogue: Catalogue) -> None:
        """Drop what may have changed since the last read."""
        version = catalogue.foreign_version()
        if version == self._version and catalogue is self._catalogue:
            return
        last = catalogue.last_event()
        is_other = catalogue is not self._catalogue  # opened again, perhaps restored
        if is_other or not 0 < last - self._event <= _MAX_EVENTS:
            # without a new event something else was written: a restore, or a migration
            self._forget()
        else:
            for video in catalogue.changed_since(self._event):
                self._videos.pop(video, None)
        self._catalogue, self._version, self._event = catalogue, version, last
