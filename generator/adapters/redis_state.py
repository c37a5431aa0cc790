"""What several API processes share, in Redis: figures as they are now, keys, and rates.

Nothing here is precious: the worker puts it there from the catalogue, and without it an API knows
less. Whoever can read this Redis can sign in as the owner, so it has to be a private one.
"""

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from generator.core.errors import QueueError, SettingsError
from generator.core.model import VideoId, VideoStats

_STREAM, _EVENTS = "reelshelf:events", ":events"
_KEPT_S = 86400  # figures; what nobody touched for so long is in the pages
_CONNECT_S, _ANSWER_S = 1.0, 2.0
_ERA_BYTES = 8
_AT_ONCE = 500  # figures in one request

# Two threads may overtake each other: newer figures of the same era stay.
_PUT = """
local era = redis.call('GET', KEYS[1]) or ''
for i = 2, #KEYS do
  local version, told = ARGV[2 * i - 2], ARGV[2 * i - 1]
  local kept = redis.call('HMGET', KEYS[i], 'era', 'version')
  if kept[1] ~= era or tonumber(kept[2]) <= tonumber(version) then
    redis.call('HSET', KEYS[i], 'era', era, 'version', version, 'told', told)
    redis.call('EXPIRE', KEYS[i], ARGV[1])
  end
end
"""
_COUNT = """
local before = tonumber(redis.call('GET', KEYS[1]) or '0')
local count = tonumber(redis.call('GET', KEYS[2]) or '0')
if before * (1 - tonumber(ARGV[2])) + count + 1 > tonumber(ARGV[1]) then
  return {before, count, 0}
end
redis.call('INCR', KEYS[2])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return {before, count, 1}
"""


@dataclass(frozen=True, slots=True)
class OwnerKeys:
    """What proves the owner: tokens as (id, SHA-256 in hex), and what cookies are signed with.

    `had_token` tells whether there are tokens, or ever were.
    """

    tokens: tuple[tuple[str, str], ...]
    secret: bytes
    had_token: bool = False


def is_redis(address: str) -> bool:
    """Tell whether the address of a queue is one of a Redis, in which more can be shared."""
    return urlsplit(address).scheme in {"redis", "rediss", "unix"}


class RedisState:
    """One Redis, for the worker who puts things there and for API processes that read them.

    Every method raises QueueError where Redis cannot be reached; any thread may call it.
    """

    def __init__(self, address: str) -> None:
        """Connect when first needed.

        Args:
            address: that of the queue, such as redis://host:6379/0, rediss://… or unix:///path?db=0;
                `?stream=films:events` in it leads to what is called films:… here, too.

        Raises:
            SettingsError: it is no address of a Redis.
        """
        import redis  # noqa: PLC0415 (only where several machines work together)
        from redis.backoff import NoBackoff  # noqa: PLC0415 (likewise)
        from redis.retry import Retry  # noqa: PLC0415 (likewise)

        self._refusals = (redis.RedisError, OSError)
        parts = urlsplit(address)
        asked = dict(parse_qsl(parts.query))
        name = asked.pop("stream", _STREAM).removesuffix(_EVENTS)
        self._keys, self._era = f"{name}:keys", f"{name}:era"
        self._figures, self._rate = f"{name}:figures:", f"{name}:rate:"
        self._ended = f"{name}:ended:"
        try:
            self._redis: Any = redis.Redis.from_url(
                urlunsplit(parts._replace(query=urlencode(asked))),
                decode_responses=True,
                socket_connect_timeout=_CONNECT_S,
                socket_timeout=_ANSWER_S,
                retry=Retry(NoBackoff(), 1),  # a connection that ended with the server before
            )
        except (TypeError, ValueError) as error:
            raise SettingsError(
                f"queue is no address of a Redis: {error}",
                hint="it is like redis://host:6379/0, or unix:///run/redis.sock",
            ) from error
        self._put: Any = self._redis.register_script(_PUT)
        self._count: Any = self._redis.register_script(_COUNT)

    def close(self) -> None:
        """Let go of connections."""
        self._redis.close()

    # -- the worker's side

    def begin_era(self) -> None:
        """Forget all figures: they may be of another catalogue, or of before somebody wrote to it.

        To be called by a worker that starts; from then on it puts the figures of every video that
        changes, whoever changed it.
        """
        with self._reached():
            self._redis.set(self._era, secrets.token_hex(_ERA_BYTES))

    def put_figures(self, figures: Iterable[VideoStats]) -> None:
        """Let APIs tell these figures, unless they have been told newer ones."""
        everything = list(figures)
        with self._reached():
            for start in range(0, len(everything), _AT_ONCE):
                some = everything[start : start + _AT_ONCE]
                told = [
                    (one.version, json.dumps(asdict(one), separators=(",", ":"))) for one in some
                ]
                self._put(
                    keys=[self._era, *(f"{self._figures}{one.id}" for one in some)],
                    args=[_KEPT_S, *(part for pair in told for part in pair)],
                )

    def forget_figures(self, versions: Mapping[VideoId, int]) -> None:
        """Tell nothing more of videos that have no pages any more.

        Args:
            versions: the number of the last event about each.
        """
        with self._reached():
            for video, version in versions.items():
                self._put(keys=[self._era, f"{self._figures}{video}"], args=[_KEPT_S, version, ""])

    def put_keys(
        self, tokens: Iterable[tuple[str, str]], secret: bytes, *, had_token: bool = False
    ) -> None:
        """Let APIs know the owner.

        Args:
            tokens: (id, digest) of every valid token; those that are not among them are revoked.
            secret: what cookies are signed with.
            had_token: whether there are tokens, or ever were.
        """
        told = {
            "tokens": [list(one) for one in tokens],
            "secret": secret.hex(),
            "had_token": had_token,
        }
        with self._reached():
            self._redis.set(self._keys, json.dumps(told))

    # -- the API's side

    def figures(self, video: VideoId) -> VideoStats | None:
        """Return what people made of a video; None where that is not known here."""
        with self._reached(), self._redis.pipeline(transaction=False) as pipeline:
            pipeline.get(self._era)
            pipeline.hmget(f"{self._figures}{video}", "era", "told")
            era, (of_era, told) = pipeline.execute()
        if not told or of_era != era:
            return None
        found = json.loads(told)
        return VideoStats(**{**found, "tags": tuple(found["tags"])})

    def keys(self) -> OwnerKeys | None:
        """Return what proves the owner; None as long as no worker has put it there."""
        with self._reached():
            told = self._redis.get(self._keys)
        if told is None:
            return None
        try:
            found = json.loads(told)
            tokens = tuple((str(token), str(digest)) for token, digest in found["tokens"])
            secret = bytes.fromhex(found["secret"])
        except (ValueError, KeyError, TypeError) as error:
            raise QueueError(
                "what Redis has of the owner makes no sense", hint="start `reelshelf worker` anew"
            ) from error
        return OwnerKeys(tokens, secret, bool(found.get("had_token")))

    def end_session(self, session: str, seconds: int) -> None:
        """Let all processes know that a session is over, as long as its cookie would be good."""
        with self._reached():
            self._redis.set(f"{self._ended}{session}", 1, ex=max(seconds, 1))

    def is_ended(self, session: str) -> bool:
        """Tell whether a session was ended."""
        with self._reached():
            return bool(self._redis.exists(f"{self._ended}{session}"))

    def count(self, name: str, most: int, window: int, seconds: int, share: float) -> Sequence[int]:
        """Count something, unless it is too much.

        Returns how many there were in the window before, how many in this one, and 1 if it was
        counted, 0 if not.

        Args:
            name: what is counted, and of whom.
            most: how many are taken in any `seconds`.
            window: the number of the current window of `seconds`.
            seconds: its length.
            share: the part of it that is over, 0 to 1.
        """
        with self._reached():
            found: list[int] = self._count(
                keys=[f"{self._rate}{name}:{window - 1}", f"{self._rate}{name}:{window}"],
                args=[most, repr(share), 2 * seconds],
            )
        return found

    def ping(self) -> None:
        """Return if Redis answers."""
        with self._reached():
            self._redis.ping()

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except self._refusals as error:
            raise QueueError(
                f"Redis is out of reach: {error}", hint="it may be starting; try again"
            ) from error
