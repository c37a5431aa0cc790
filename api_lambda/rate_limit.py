"""Rate limits: counted by a digest of the client, in memory or in shared state.

A sliding window: the count of the window before is weighted by how much of it is still within
reach. Older counts are dropped without a timer or a thread.
"""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

from generator.core.errors import QueueError

log = logging.getLogger(__name__)

LOGINS, LOGINS_S = 15, 300
MINUTE_S = 60
_SALT_BYTES = 16
_DIGEST_BYTES = 12
_MAX_SALT = 64  # bytes, for BLAKE2b
_MAX_KEPT = 4096
_AWAY_S = 1.0  # how long the shared counter is not tried after it failed


class RateLimit:
    """At most `most` in any `seconds`, for each client."""

    def __init__(self, most: int, seconds: int) -> None:
        self._most = most
        self._seconds = seconds
        self._salt = secrets.token_bytes(_SALT_BYTES)
        self._window = 0
        self._before: dict[bytes, int] = {}
        self._now: dict[bytes, int] = {}

    def wait_s(self, client: str, now: float) -> int:
        """Count a request and return 0, or return after how many seconds to retry."""
        window, share = divmod(now / self._seconds, 1)
        if window != self._window:
            self._before = self._now if window == self._window + 1 else {}
            self._window, self._now = int(window), {}
        key = _digest(client, self._salt)
        before, count = self._before.get(key, 0), self._now.get(key, 0)
        if before * (1 - share) + count + 1 > self._most:
            return seconds_to_wait(self._most, self._seconds, before, count, share)
        self._now[key] = count + 1
        return 0


class FailedAttempts:
    """Clients that guessed tokens too often, and until when they may not use another token.

    Tokens that were proved from there before still work: an attacker behind the same address locks
    out nobody.
    """

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._trusted: dict[tuple[str, str], None] = {}

    def wait_s(self, client: str, now: float) -> int:
        """Return for how many seconds a client is blocked, 0 if it is not."""
        until = self._until.get(client, 0.0)
        return max(ceil(until - now), 0)

    def block(self, client: str, until: float) -> None:
        """Block a client until then."""
        self._until[client] = until
        _forget_first(self._until)

    def trust(self, client: str, token: str) -> None:
        """Remember that a token was proved from there."""
        self._trusted[client, token] = None
        _forget_first(self._trusted)

    def is_trusted(self, client: str, token: str) -> bool:
        """Return whether it was."""
        return (client, token) in self._trusted


def _forget_first(kept: dict[Any, Any]) -> None:
    if len(kept) > _MAX_KEPT:
        del kept[next(iter(kept))]


class SharedRateLimit:
    """The same for several processes with a shared counter; each counts alone while that is down.

    `count` is `RedisState.count`.
    """

    def __init__(
        self,
        name: str,
        most: int,
        seconds: int,
        count: Callable[[str, int, int, int, float], Sequence[int]],
    ) -> None:
        self._name, self._most, self._seconds, self._count = name, most, seconds, count
        self._own = RateLimit(most, seconds)
        self._away_until = 0.0
        self._is_away = False

    async def wait_s(self, client: str, now: float, salt: bytes) -> int:
        """Count a request and return 0, or return after how many seconds to retry.

        Args:
            client: the client's address.
            now: seconds since 1970.
            salt: a secret that all processes share, so that the counter reveals no addresses.
        """
        if now < self._away_until:
            return self._own.wait_s(client, now)
        window, share = divmod(now / self._seconds, 1)
        name = f"{self._name}:{_digest(client, salt).hex()}"
        try:
            before, count, is_counted = await asyncio.to_thread(
                self._count, name, self._most, int(window), self._seconds, share
            )
        except QueueError as error:
            if not self._is_away:
                log.warning("no shared rate limit, each process counts alone: %s", error)
            self._is_away, self._away_until = True, now + _AWAY_S
            return self._own.wait_s(client, now)
        self._is_away = False
        return 0 if is_counted else seconds_to_wait(self._most, self._seconds, before, count, share)


def _digest(client: str, salt: bytes) -> bytes:
    name = client.encode("utf-8", "surrogateescape")
    return hashlib.blake2b(name, digest_size=_DIGEST_BYTES, key=salt[:_MAX_SALT]).digest()


def seconds_to_wait(most: int, seconds: int, before: int, count: int, share: float) -> int:
    """Return after how many seconds one more request is within the limit, which it is not now.

    Args:
        most: how many requests are allowed in any `seconds`.
        seconds: the length of a window.
        before: how many there were in the window before.
        count: how many there were in this one.
        share: the part of this one that is over, 0 to 1.
    """
    if count + 1 <= most:  # as soon as enough of the window before is out of reach
        part = 1 - share - (most - count - 1) / before
    else:
        part = 1 - share + 1 - (most - 1) / count  # and else of this one
    return max(ceil(seconds * part), 1)
