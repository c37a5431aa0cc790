"""A Redis stream with a consumer group, for those who run their own machines.

What Redis has to be: one that keeps what it was given (`appendonly yes`) and throws nothing away
(`maxmemory-policy noeviction`). A message stays in the stream until it is deleted; who has it is
noted in the group. All that must not fall apart is done in one script, by Redis itself.
"""

import logging
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from secrets import token_hex
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from generator.core.errors import PublishError, QueueError
from generator.core.queue.queue import QueueDepth, ReceivedMessage

log = logging.getLogger(__name__)

STREAM = "reelshelf:events"
_GROUP = "builders"
_BODY = b"body"
_SLICE_S = 1.0  # so often somebody who waits looks for what others left
_VISIBILITY_S, _MOST_TIMES = 60.0, 5
_MANY = 10_000  # that are counted one by one
_AT_ONCE = 100

# What a dead consumer left, or gave back, is ours now; what came too often is put aside instead.
_CLAIM = """
local answer = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4],
                          'COUNT', ARGV[5])
local ours, aside = {}, {}
for _, entry in ipairs(answer[2]) do
    local id, fields = entry[1], entry[2]
    local times = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)[1][4]
    if times > tonumber(ARGV[6]) then
        redis.call('XADD', KEYS[2], '*', 'body', fields[2] or '', 'times', times - 1)
        redis.call('XACK', KEYS[1], ARGV[1], id)
        redis.call('XDEL', KEYS[1], id)
        table.insert(aside, id)
    else
        table.insert(ours, {id, fields[2] or '', times})
    end
end
return {answer[1], ours, aside}
"""
# Only what is still ours is kept longer, or given back; to be looked after counts as no delivery.
_KEEP = """
local count = 0
for i = 4, #ARGV do
    if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2]) == 1 then
        redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'IDLE', ARGV[3], 'JUSTID')
        count = count + 1
    end
end
return count
"""
_BACK = """
local some = redis.call('XRANGE', KEYS[2], '-', ARGV[1], 'COUNT', ARGV[2])
for _, entry in ipairs(some) do
    redis.call('XADD', KEYS[1], '*', 'body', entry[2][2])
    redis.call('XDEL', KEYS[2], entry[1])
end
return #some
"""
# A consumer that is taken out of the group takes what it has with it: only an empty-handed one is.
_LEAVE = """
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) == 0 then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
end
"""


# Whoever comes second, or finds another mark than it looked at, leaves none.
_MARK = """
local there = redis.call('GET', KEYS[1])
if (ARGV[1] == '*' and there) or (ARGV[1] ~= '*' and there ~= ARGV[1]) then
    return 0
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A mark; it is its own ETag."""

    etag: str


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where the mark of who works for a stream is kept: beside it."""

    queue: "RedisStreamQueue"

    @property
    def name(self) -> str:
        return self.queue.shown

    def get(self, key: str) -> tuple[bytes, _Kept] | None:
        del key
        there = self.queue.marked()
        return None if there is None else (there, _Kept(there.decode("utf-8", "replace")))

    def put(self, key: str, body: bytes, headers: object, match: str) -> _Kept:
        del key, headers
        if not self.queue.set_mark(body, match):
            raise PublishError("somebody else was quicker", hint="start it again")
        return _Kept(body.decode())


class RedisStreamQueue:
    """One stream, its group, and ourselves as a consumer of it. May be used by several threads.

    Args:
        address: redis://, rediss:// or unix://, maybe with `stream=NAME` in its query.
        visibility_s: what a consumer did not touch for so long is given to another.
        most_times: what was brought so often in vain is put aside.
    """

    def __init__(
        self,
        address: str,
        *,
        visibility_s: float = _VISIBILITY_S,
        most_times: int = _MOST_TIMES,
    ) -> None:
        parts = urlsplit(address)
        asked = dict(parse_qsl(parts.query))
        self.stream = asked.pop("stream", STREAM)
        self._address = urlunsplit(parts._replace(query=urlencode(asked)))
        self._shown = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        self.aside = self.stream.removesuffix(":events") + ":dead"
        self._mark_key = self.stream.removesuffix(":events") + ":owner"
        self._visibility_ms = round(visibility_s * 1000)
        self._most_times = most_times
        self._name = f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}"
        self._place = "0-0"  # where the look for what others left goes on

    @cached_property
    def _redis(self) -> Any:  # noqa: ANN401 (answers of commands are typed for sync and async)
        import redis  # noqa: PLC0415 (only those with such a queue need it)

        try:
            client = redis.Redis.from_url(
                self._address, socket_connect_timeout=5, socket_timeout=30, health_check_interval=30
            )
        except (TypeError, ValueError) as error:
            raise QueueError(
                f"{self._shown} is no address of a Redis: {error}",
                hint="it is like redis://host:6379/0, or unix:///run/redis.sock",
            ) from error
        self._check(client)
        return client

    def _check(self, client: Any) -> None:  # noqa: ANN401 (likewise)
        """Warn of a Redis that may lose what it was given."""
        import redis  # noqa: PLC0415 (as above)

        try:
            with self._told():
                told = client.config_get("appendonly", "maxmemory-policy", "maxmemory")
        except QueueError as error:
            if isinstance(error.__cause__, redis.ResponseError):
                return  # who lends it does not let it be asked
            raise
        if told.get("appendonly") == "no":
            log.warning(
                "%s forgets what it was given when it ends: set `appendonly yes` in redis.conf",
                self._shown,
            )
        if told.get("maxmemory-policy") != "noeviction" and told.get("maxmemory") != "0":
            log.warning(
                "%s throws messages away when it is full: set `maxmemory-policy noeviction`",
                self._shown,
            )

    def check(self) -> None:
        """Warn of a Redis that may lose what it was given: it is warned of when it is opened."""
        with self._told():
            self._redis.ping()

    # -- who works for it

    @property
    def mark(self) -> _Mark:
        """Return where the mark of who works for it is kept."""
        return _Mark(self)

    @property
    def shown(self) -> str:
        """Return its address, without a password."""
        return self._shown

    def marked(self) -> bytes | None:
        """Return the mark, None for none."""
        with self._told():
            there: bytes | None = self._redis.get(self._mark_key)
        return there

    def set_mark(self, mark: bytes, match: str) -> bool:
        """Leave a mark in place of another ("*": of none); tell whether that was the one there."""
        with self._told():
            return bool(self._redis.eval(_MARK, 1, self._mark_key, match, mark))

    # -- sending

    def send(self, bodies: Sequence[str]) -> None:
        """Put letters in; when this returns the stream has them all."""
        with self._told():
            together = self._redis.pipeline(transaction=True)
            for body in bodies:
                together.xadd(self.stream, {_BODY: body})
            together.execute()

    # -- receiving

    def receive(self, most: int, wait_s: float) -> list[ReceivedMessage]:
        """Return up to `most` messages, after waiting so long for the first."""
        end_s = time.monotonic() + wait_s
        while True:
            left_s = max(end_s - time.monotonic(), 0.0)
            with self._told():
                found = self._left_by_others(most)
                found += self._new(most - len(found), 0.0 if found else min(left_s, _SLICE_S))
            if found or time.monotonic() >= end_s:
                return found

    def _left_by_others(self, most: int) -> list[ReceivedMessage]:
        answer = self._of_group(
            lambda: self._redis.eval(
                *(_CLAIM, 2, self.stream, self.aside, _GROUP, self._name),
                *(self._visibility_ms, self._place, most, self._most_times),
            )
        )
        self._place = answer[0].decode()
        for name in answer[2]:
            log.warning(
                "the message %s came %d times in vain and was put aside: see `reelshelf queue`",
                name.decode(),
                self._most_times,
            )
        return [_message(name, body, times) for name, body, times in answer[1]]

    def _new(self, most: int, wait_s: float) -> list[ReceivedMessage]:
        if most <= 0:
            return []
        block_ms = max(round(wait_s * 1000), 1)  # 0 would wait for ever
        answer = self._of_group(
            lambda: self._redis.xreadgroup(
                _GROUP, self._name, {self.stream: ">"}, count=most, block=block_ms
            )
        )
        entries = answer.values() if isinstance(answer, dict) else [one for _, one in answer or ()]
        return [
            _message(name, fields.get(_BODY, b""), 1)
            for some in entries
            for name, fields in _flat(some)
        ]

    def delete(self, messages: Sequence[ReceivedMessage]) -> None:
        """Let go of messages for good."""
        for some in _portions(messages):
            with self._told():
                together = self._redis.pipeline(transaction=True)
                together.xack(self.stream, _GROUP, *some)
                together.xdel(self.stream, *some)
                together.execute()

    def extend(self, messages: Sequence[ReceivedMessage], seconds: int) -> None:
        """Keep messages from others for so much longer, but no longer than `visibility_s` a time.

        0 gives them back at once. What another has by now is left to it.
        """
        idle_ms = max(self._visibility_ms - seconds * 1000, 0)
        for some in _portions(messages):
            with self._told():
                self._of_group(
                    lambda some=some: self._redis.eval(
                        _KEEP, 1, self.stream, _GROUP, self._name, idle_ms, *some
                    )
                )

    # -- what was put aside

    def depth(self) -> QueueDepth:
        """Return how full it is; what was given back counts as waiting."""
        with self._told():
            total = int(self._redis.xlen(self.stream))
            pending = self._of_group(lambda: self._redis.xpending(self.stream, _GROUP))
            idle = self._of_group(
                lambda: self._redis.xpending_range(
                    self.stream, _GROUP, "-", "+", _MANY, idle=self._visibility_ms
                )
            )
            oldest = self._redis.xrange(self.stream, count=1)
            dead = int(self._redis.xlen(self.aside))
            now_s, micros = self._redis.time()
        under_way = int(pending["pending"]) - len(idle)
        oldest_s = None
        if oldest:
            told_ms = int(oldest[0][0].partition(b"-")[0])
            oldest_s = max(now_s + micros / 1e6 - told_ms / 1000, 0.0)
        return QueueDepth(max(total - under_way, 0), under_way, dead, oldest_s)

    def dead(self, most: int) -> list[ReceivedMessage]:
        """Return some of the messages that were put aside; they stay there."""
        with self._told():
            entries = self._redis.xrange(self.aside, count=most)
        return [
            _message(name, fields.get(_BODY, b""), int(fields.get(b"times", 1)))
            for name, fields in entries
        ]

    def put_back(self) -> int:
        """Put what was put aside back into the stream; return how many that were."""
        count = 0
        with self._told():
            last = self._redis.xrevrange(self.aside, count=1)  # what comes there later stays there
            while last and (moved := self._moved_until(last[0][0])):
                count += moved
        return count

    def _moved_until(self, last: bytes) -> int:
        return int(self._redis.eval(_BACK, 2, self.stream, self.aside, last, _AT_ONCE))

    def close(self) -> None:
        """Let go of connections. What we still have stays ours until others claim it."""
        if "_redis" not in self.__dict__:
            return
        import redis  # noqa: PLC0415 (as above)

        try:
            self._redis.eval(_LEAVE, 1, self.stream, _GROUP, self._name)
        except redis.RedisError as error:
            log.debug("the group was not left: %s", error)
        self._redis.close()

    # -- Redis itself

    def _of_group(self, ask: Any) -> Any:  # noqa: ANN401 (as above)
        """Ask something of the group, and make it again where it is gone (or never was)."""
        import redis  # noqa: PLC0415 (as above)

        try:
            return ask()
        except redis.ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
        try:  # from its beginning: what still stands in the stream was not done yet
            self._redis.xgroup_create(self.stream, _GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):  # somebody else was quicker
                raise
        return ask()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell of what Redis answers in words that help."""
        import redis  # noqa: PLC0415 (as above)

        try:
            yield
        except redis.AuthenticationError as error:
            raise QueueError(
                f"{self._shown} does not let us in: {error}",
                hint="redis://:PASSWORD@host:6379/0, or redis://NAME:PASSWORD@…",
            ) from error
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise self._unreachable(error) from error
        except redis.RedisError as error:
            raise QueueError(
                f"{self._shown} refuses: {error}",
                hint="it needs Redis 7 or newer, one that may be written to",
            ) from error

    def _unreachable(self, error: Exception) -> QueueError:
        return QueueError(
            f"{self._shown} cannot be reached: {error}",
            hint="is it running, and the address right? what it holds stays in it",
        )


def _message(name: bytes, body: bytes, times: int) -> ReceivedMessage:
    told = name.decode()
    return ReceivedMessage(told, body.decode("utf-8", "replace"), told, times)


def _flat(entries: Any) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:  # noqa: ANN401 (as above)
    """Yield entries, which newer protocols put into one more list."""
    for one in entries:
        if isinstance(one, list):
            yield from _flat(one)
        elif one[1] is not None:
            yield one


def _portions(messages: Sequence[ReceivedMessage]) -> Iterator[list[str]]:
    for start in range(0, len(messages), _AT_ONCE):
        yield [one.handle for one in messages[start : start + _AT_ONCE]]
