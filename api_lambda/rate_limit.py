"""How often somebody may ask: counted by a digest of who it is, in memory or where several share.

A sliding window: what was counted in the minute before counts by how much of it is still within
reach. It forgets everything that is older by itself, without a timer or a thread.
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
_LONGEST_SALT = 64  # bytes, for BLAKE2b
_MOST_KEPT = 4096
_AWAY_S = 1.0  # how long nobody asks where it could not be counted


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
        """Count a request and return 0, or return after how many seconds to come again."""
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
    """Who guessed tokens too often, and until when nothing new is believed from there.

    What was proved before still is: whoever guesses beside an honest program keeps it from nothing.
    """

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._known: dict[tuple[str, str], None] = {}

    def wait_s(self, client: str, now: float) -> int:
        """Return after how many seconds to come again, 0 for whoever may come now."""
        until = self._until.get(client, 0.0)
        return max(ceil(until - now), 0)

    def block(self, client: str, until: float) -> None:
        """Believe nothing new from there for a while."""
        self._until[client] = until
        _forget_first(self._until)

    def know(self, client: str, token: str) -> None:
        """Keep that a token was proved from there."""
        self._known[client, token] = None
        _forget_first(self._known)

    def is_known(self, client: str, token: str) -> bool:
        """Tell whether it was."""
        return (client, token) in self._known


def _forget_first(kept: dict[Any, Any]) -> None:
    if len(kept) > _MOST_KEPT:
        del kept[next(iter(kept))]


class SharedRateLimit:
    """The same for several processes, which count in one place; each for itself while that is away.

    `count` is `Shared.count` of that place.
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
        """Count a request and return 0, or return after how many seconds to come again.

        Args:
            client: who asks.
            now: seconds since 1970.
            salt: a secret that all processes know, so that nobody can read there who asked.
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
                log.warning("each process counts for itself: %s", error)
            self._is_away, self._away_until = True, now + _AWAY_S
            return self._own.wait_s(client, now)
        self._is_away = False
        return 0 if is_counted else seconds_to_wait(self._most, self._seconds, before, count, share)


def _digest(client: str, salt: bytes) -> bytes:
    name = client.encode("utf-8", "surrogateescape")
    return hashlib.blake2b(name, digest_size=_DIGEST_BYTES, key=salt[:_LONGEST_SALT]).digest()


def seconds_to_wait(most: int, seconds: int, before: int, count: int, share: float) -> int:
    """Return after how many seconds one more is within the limit, which it is not now.

    Args:
        most: how many are, in any `seconds`.
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
