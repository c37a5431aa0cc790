"""What APIs of other machines are to know: live figures, and what proves the owner."""

import time
from collections.abc import Iterable, Mapping
from typing import Protocol

from generator.adapters.catalogue import Catalogue
from generator.core.errors import QueueError
from generator.core.model import VideoId, VideoStats
from generator.worker.backoff import Backoff

_KEYS_S = 60.0  # how often keys are shared that did not change


class SharedStateStore(Protocol):
    """Where APIs of other machines look: see `generator.adapters.redis_state.Shared`."""

    def begin_era(self) -> None:
        """Forget all figures."""

    def put_figures(self, figures: Iterable[VideoStats]) -> None:
        """Let APIs tell these figures."""

    def forget_figures(self, versions: Mapping[VideoId, int]) -> None:
        """Tell nothing more of videos that have no pages any more."""

    def put_keys(
        self, tokens: Iterable[tuple[str, str]], secret: bytes, *, had_token: bool
    ) -> None:
        """Let APIs know the owner."""


class SharedStateSync:
    """Keeps what APIs of other machines know up to date: figures, and what proves the owner."""

    def __init__(self, shares: SharedStateStore, secret: bytes, *, every_s: float = 2.0) -> None:
        self.every_s = every_s
        self._shares, self._secret = shares, secret
        self._seq: int | None = None
        self._keys: list[tuple[str, str]] | None = None
        self._keys_s = 0.0
        self._trouble = Backoff()
        self._not_before_s = 0.0

    def bring(self, catalogue: Catalogue) -> None:
        """Share what changed, whoever changed it; a failure is told, and tried again later."""
        if time.monotonic() < self._not_before_s:
            return
        try:
            self._bring(catalogue)
            self._trouble.over()
        except QueueError as error:
            self._trouble.tell(error)
            self._keys = None  # it may have been started anew, and know nothing
            self._not_before_s = time.monotonic() + self._trouble.wait_s

    def _bring(self, catalogue: Catalogue) -> None:
        last = catalogue.last_event()
        if self._seq is None:
            self._shares.begin_era()
        elif last > self._seq:
            changed = catalogue.changed_since(self._seq)
            figures = catalogue.figures(changed)
            self._shares.put_figures(figures)
            shown = {one.id for one in figures}
            self._shares.forget_figures({v: seq for v, seq in changed.items() if v not in shown})
        self._seq = last
        keys, now_s = catalogue.keys.valid(), time.monotonic()
        if keys != self._keys or now_s > self._keys_s + _KEYS_S:
            had_token = catalogue.keys.had_any()
            self._shares.put_keys(keys, self._secret, had_token=had_token)
            self._keys, self._keys_s = keys, now_s
