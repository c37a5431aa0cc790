"""State shared with APIs on other machines: live stats, and the credentials of the owner."""

import time
from collections.abc import Iterable, Mapping
from typing import Protocol

from generator.adapters.catalogue import Catalogue
from generator.core.errors import QueueError
from generator.core.model import VideoId, VideoStats, ViewerKey
from generator.worker.backoff import Backoff

_KEYS_S = 60.0  # how often unchanged keys are pushed


class SharedStateStore(Protocol):
    """The store that APIs on other machines read: `generator.adapters.redis_state.RedisState`."""

    def begin_era(self) -> None:
        """Forget all stats."""

    def put_stats(self, figures: Iterable[VideoStats]) -> None:
        """Publish these stats to APIs."""

    def forget_stats(self, versions: Mapping[VideoId, int]) -> None:
        """Remove the stats of videos that have no pages any more."""

    def put_keys(
        self,
        tokens: Iterable[tuple[str, str]],
        secret: bytes,
        *,
        had_token: bool,
        viewers: Iterable[ViewerKey],
    ) -> None:
        """Publish the credentials of the owner and of viewers to APIs."""


class SharedStateSync:
    """Keeps the shared state up to date: stats, and the credentials of the owner."""

    def __init__(self, store: SharedStateStore, secret: bytes, *, every_s: float = 2.0) -> None:
        self.every_s = every_s
        self._store, self._secret = store, secret
        self._seq: int | None = None
        self._event = ""  # the id of that event
        self._keys: tuple[list[tuple[str, str]], list[ViewerKey]] | None = None
        self._keys_s = 0.0
        self._backoff = Backoff()
        self._not_before_s = 0.0

    def push(self, catalogue: Catalogue) -> None:
        """Push all changes, whoever made them; a failure is logged, and retried later."""
        if time.monotonic() < self._not_before_s:
            return
        try:
            self._push(catalogue)
            self._backoff.succeeded()
        except QueueError as error:
            self._backoff.failed(error)
            self._keys = None  # the store may have restarted empty
            self._not_before_s = time.monotonic() + self._backoff.wait_s

    def _push(self, catalogue: Catalogue) -> None:
        last = catalogue.last_event()
        # The latter: the catalogue was restored, and may have as many events again by now.
        if self._seq is None or catalogue.is_before(self._seq, self._event):
            self._store.begin_era()
        elif last > self._seq:
            changed = catalogue.changed_since(self._seq)
            stats = catalogue.stats(changed)
            self._store.put_stats(stats)
            shown = {video.id for video in stats}
            self._store.forget_stats({v: seq for v, seq in changed.items() if v not in shown})
        self._seq, self._event = last, catalogue.event_id(last)
        keys = catalogue.tokens.valid(), catalogue.tokens.viewers()
        now_s = time.monotonic()
        if keys != self._keys or now_s > self._keys_s + _KEYS_S:
            had_token = catalogue.tokens.had_any()
            tokens, viewers = keys
            self._store.put_keys(tokens, self._secret, had_token=had_token, viewers=viewers)
            self._keys, self._keys_s = keys, now_s
