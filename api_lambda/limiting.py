"""How often somebody may ask: counted in memory, by a digest of who it is.

A sliding window: what was counted in the minute before counts by how much of it is still within
reach. It forgets everything that is older by itself, without a timer or a thread.
"""

import hashlib
import secrets
from math import ceil

_SALT_BYTES = 16
_DIGEST_BYTES = 12


class Limit:
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
        key = hashlib.blake2b(
            client.encode("utf-8", "surrogateescape"), digest_size=_DIGEST_BYTES, key=self._salt
        ).digest()
        before, count = self._before.get(key, 0), self._now.get(key, 0)
        if before * (1 - share) + count + 1 > self._most:
            return max(ceil(self._seconds * self._share_to_wait(before, count, share)), 1)
        self._now[key] = count + 1
        return 0

    def _share_to_wait(self, before: int, count: int, share: float) -> float:
        """Return what part of a window has to pass until one more is within the limit."""
        if count + 1 <= self._most:  # as soon as enough of the window before is out of reach
            return 1 - share - (self._most - count - 1) / before
        return 1 - share + 1 - (self._most - 1) / count  # and else of this one
