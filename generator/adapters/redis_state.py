"""State that several API processes share, in Redis: current stats, owner keys and rate counters.

All of it can be lost: the worker writes it from the catalogue, and without it an API knows less.
Read access to this Redis is enough to sign in as the owner, so it has to be private.
"""

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from generator.core.errors import QueueError, SettingsError
from generator.core.model import VideoId, VideoStats, ViewerKey

_STREAM, _EVENTS = "reelshelf:events", ":events"
_KEPT_S = 86400  # stats; the pages show those that have not changed for so long
_CONNECT_S, _ANSWER_S = 1.0, 2.0
_ERA_BYTES = 8
_BATCH = 500  # stats in one request

# Writers may overtake each other: newer stats of the same era stay.
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
    """Credentials of the owner: tokens as (id, SHA-256 in hex), and the secret that signs cookies.

    `had_token`: there are tokens, or there were. `viewers`: who else may read a private site.
    `cloudfront_key`: signs cookies for CloudFront, in PEM; Redis never has it.
    """

    tokens: tuple[tuple[str, str], ...]
    secret: bytes
    had_token: bool = False
    viewers: tuple[ViewerKey, ...] = ()
    cloudfront_key: str = ""


def is_redis(address: str) -> bool:
    """Return whether the address of a queue is that of a Redis, which can share more state."""
    return urlsplit(address).scheme in {"redis", "rediss", "unix"}


class RedisState:
    """One Redis, written by the worker and read by API processes. It is thread-safe.

    Every method raises QueueError if Redis cannot be reached.
    """

    def __init__(self, address: str) -> None:
        """Prepare a connection, which is opened on first use.

        Args:
            address: that of the queue, such as redis://host:6379/0, rediss://… or unix:///path?db=0;
                with `?stream=films:events` the keys here begin with films:, too.

        Raises:
            SettingsError: it is not the address of a Redis.
        """
        import redis  # noqa: PLC0415 (only where several machines work together)
        from redis.backoff import NoBackoff  # noqa: PLC0415 (likewise)
        from redis.retry import Retry  # noqa: PLC0415 (likewise)

        self._redis_errors = (redis.RedisError, OSError)
        parts = urlsplit(address)
        query = dict(parse_qsl(parts.query))
        name = query.pop("stream", _STREAM).removesuffix(_EVENTS)
        self._keys, self._era = f"{name}:keys", f"{name}:era"
        self._stats, self._rate = f"{name}:figures:", f"{name}:rate:"
        self._ended = f"{name}:ended:"
        try:
            self._redis: Any = redis.Redis.from_url(
                urlunsplit(parts._replace(query=urlencode(query))),
                decode_responses=True,
                socket_connect_timeout=_CONNECT_S,
                socket_timeout=_ANSWER_S,
                retry=Retry(NoBackoff(), 1),  # a connection that a server restart closed
            )
        except (TypeError, ValueError) as error:
            raise SettingsError(
                f"queue is not the address of a Redis: {error}",
                hint="it is like redis://host:6379/0, or unix:///run/redis.sock",
            ) from error
        self._put: Any = self._redis.register_script(_PUT)
        self._count: Any = self._redis.register_script(_COUNT)

    def close(self) -> None:
        """Close connections."""
        self._redis.close()

    # -- the worker's side

    def begin_era(self) -> None:
        """Invalidate all stats: they may be from another catalogue, or outdated.

        A worker calls this when it starts; from then on it puts the stats of every video that
        changes, whatever changed it.
        """
        with self._translate_errors():
            self._redis.set(self._era, secrets.token_hex(_ERA_BYTES))

    def _keep_era(self) -> None:
        """Begin an era if there is none: a Redis that lost its data has stats of no video."""
        self._redis.set(self._era, secrets.token_hex(_ERA_BYTES), nx=True)

    def put_stats(self, stats: Iterable[VideoStats]) -> None:
        """Store stats, unless newer ones are there."""
        rows = list(stats)
        with self._translate_errors():
            self._keep_era()
            for start in range(0, len(rows), _BATCH):
                batch = rows[start : start + _BATCH]
                payloads = [
                    (row.version, json.dumps(asdict(row), separators=(",", ":"))) for row in batch
                ]
                self._put(
                    keys=[self._era, *(f"{self._stats}{row.id}" for row in batch)],
                    args=[_KEPT_S, *(part for pair in payloads for part in pair)],
                )

    def forget_stats(self, versions: Mapping[VideoId, int]) -> None:
        """Remove the stats of videos that no longer have pages.

        Args:
            versions: the number of the last event about each.
        """
        with self._translate_errors():
            self._keep_era()
            for video, version in versions.items():
                self._put(keys=[self._era, f"{self._stats}{video}"], args=[_KEPT_S, version, ""])

    def put_keys(
        self,
        tokens: Iterable[tuple[str, str]],
        secret: bytes,
        *,
        had_token: bool = False,
        viewers: Iterable[ViewerKey] = (),
    ) -> None:
        """Store the credentials of the owner, and of viewers.

        Args:
            tokens: (id, digest) of every valid token; those that are not among them are revoked.
            secret: signs cookies.
            had_token: there are tokens, or there were.
            viewers: keys of every viewer that is not revoked.
        """
        payload = {
            "tokens": [list(token) for token in tokens],
            "secret": secret.hex(),
            "had_token": had_token,
            "viewers": [
                [viewer.id, viewer.digest, viewer.feed_digest, viewer.expires_at]
                for viewer in viewers
            ],
        }
        with self._translate_errors():
            self._redis.set(self._keys, json.dumps(payload))

    # -- the API's side

    def stats(self, video: VideoId) -> VideoStats | None:
        """Return the stats of a video, None if they are not here."""
        with self._translate_errors(), self._redis.pipeline(transaction=False) as pipeline:
            pipeline.get(self._era)
            pipeline.hmget(f"{self._stats}{video}", "era", "told")
            era, (of_era, payload) = pipeline.execute()
        if not payload or of_era != era:
            return None
        fields = json.loads(payload)
        return VideoStats(**{**fields, "tags": tuple(fields["tags"])})

    def keys(self) -> OwnerKeys | None:
        """Return the credentials of the owner; None until a worker has stored them."""
        with self._translate_errors():
            payload = self._redis.get(self._keys)
        if payload is None:
            return None
        try:
            fields = json.loads(payload)
            tokens = tuple((str(token), str(digest)) for token, digest in fields["tokens"])
            secret = bytes.fromhex(fields["secret"])
            viewers = tuple(ViewerKey(*viewer) for viewer in fields.get("viewers", ()))
        except (ValueError, KeyError, TypeError) as error:
            raise QueueError(
                "the credentials of the owner in Redis are invalid",
                hint="restart `reelshelf worker`",
            ) from error
        return OwnerKeys(tokens, secret, bool(fields.get("had_token")), viewers)

    def end_session(self, session: str, seconds: int) -> None:
        """Record that a session is over, for as long as its cookie would be valid."""
        with self._translate_errors():
            self._redis.set(f"{self._ended}{session}", 1, ex=max(seconds, 1))

    def is_ended(self, session: str) -> bool:
        """Return whether a session was ended."""
        with self._translate_errors():
            return bool(self._redis.exists(f"{self._ended}{session}"))

    def count(self, name: str, most: int, window: int, seconds: int, share: float) -> Sequence[int]:
        """Count a request against a sliding-window rate limit.

        Returns the counts of the previous and of the current window, and 1 if it was counted, 0 if
        it is over the limit.

        Args:
            name: the kind of request, and its sender.
            most: the limit per `seconds`.
            window: the number of the current window.
            seconds: the length of a window.
            share: the part of the window that is over, 0 to 1.
        """
        with self._translate_errors():
            counts: list[int] = self._count(
                keys=[f"{self._rate}{name}:{window - 1}", f"{self._rate}{name}:{window}"],
                args=[most, repr(share), 2 * seconds],
            )
        return counts

    def ping(self) -> None:
        """Return if Redis answers."""
        with self._translate_errors():
            self._redis.ping()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except self._redis_errors as error:
            raise QueueError(
                f"Redis is unavailable: {error}", hint="it may be starting; try again"
            ) from error
