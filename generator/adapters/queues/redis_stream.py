"""A Redis stream with a consumer group, for self-hosted machines.

Redis has to be persistent (`appendonly yes`) and must not evict (`maxmemory-policy noeviction`). A
message stays in the stream until it is deleted; the group records which consumer has it. Steps that
must be atomic are Lua scripts.
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
_CLAIM_INTERVAL_S = 1.0  # how often a waiting consumer tries to claim messages of others
_VISIBILITY_S, _MAX_DELIVERIES = 60.0, 5
_MAX_COUNTED = 10_000  # pending messages that are counted one by one
_AT_ONCE = 100

# Other programs may add fields of their own, in any order.
_BODY_OF = """
local function body_of(fields)
    for i = 1, #fields, 2 do
        if fields[i] == 'body' then return fields[i + 1] end
    end
    return ''
end
"""
# Claims messages that other consumers left or gave back; after too many deliveries a message goes
# to the dead-letter stream instead.
_CLAIM = (
    _BODY_OF
    + """
local answer = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4],
                          'COUNT', ARGV[5])
local ours, aside = {}, {}
for _, entry in ipairs(answer[2]) do
    local id, fields = entry[1], entry[2]
    local times = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)[1][4]
    if times > tonumber(ARGV[6]) then
        redis.call('XADD', KEYS[2], '*', 'body', body_of(fields), 'times', times - 1)
        redis.call('XACK', KEYS[1], ARGV[1], id)
        redis.call('XDEL', KEYS[1], id)
        table.insert(aside, id)
    else
        table.insert(ours, {id, body_of(fields), times})
    end
end
return {answer[1], ours, aside}
"""
)
# Extends or gives back only messages that are still ours; it does not count as a delivery.
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
_BACK = (
    _BODY_OF
    + """
local some = redis.call('XRANGE', KEYS[2], '-', ARGV[1], 'COUNT', ARGV[2])
for _, entry in ipairs(some) do
    redis.call('XADD', KEYS[1], '*', 'body', body_of(entry[2]))
    redis.call('XDEL', KEYS[2], entry[1])
end
return #some
"""
)
# Deleting a consumer drops its pending messages: it is only deleted if it has none.
_LEAVE = """
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) == 0 then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
end
"""


# Compare and set: fails if the mark is no longer the one that was read.
_MARK = """
local there = redis.call('GET', KEYS[1])
if (ARGV[1] == '*' and there) or (ARGV[1] ~= '*' and there ~= ARGV[1]) then
    return 0
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""


@dataclass(frozen=True, slots=True)
class _RedisMark:
    """A mark; its text is its ETag."""

    etag: str


@dataclass(frozen=True, slots=True)
class _RedisMarkStore:
    """The owner mark of a stream, under a key of its own."""

    queue: "RedisStreamQueue"

    @property
    def name(self) -> str:
        return self.queue.shown

    def get(self, key: str) -> tuple[bytes, _RedisMark] | None:
        del key
        mark = self.queue.marked()
        return None if mark is None else (mark, _RedisMark(mark.decode("utf-8", "replace")))

    def put(self, key: str, body: bytes, headers: object, match: str) -> _RedisMark:
        del key, headers
        if not self.queue.set_mark(body, match):
            raise PublishError("another process was quicker", hint="start it again")
        return _RedisMark(body.decode())


class RedisStreamQueue:
    """One stream, its group, and this process as a consumer. It is thread-safe.

    Args:
        address: redis://, rediss:// or unix://, optionally with `stream=NAME` in its query.
        visibility_s: after this idle time a message may be claimed by another consumer.
        most_times: after this many deliveries a message goes to the dead-letter stream.
    """

    def __init__(
        self,
        address: str,
        *,
        visibility_s: float = _VISIBILITY_S,
        most_times: int = _MAX_DELIVERIES,
    ) -> None:
        parts = urlsplit(address)
        query = dict(parse_qsl(parts.query))
        self.stream = query.pop("stream", STREAM)
        self._address = urlunsplit(parts._replace(query=urlencode(query)))
        self._shown = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        self.dead_letters = self.stream.removesuffix(":events") + ":dead"
        self._mark_key = self.stream.removesuffix(":events") + ":owner"
        self._visibility_ms = round(visibility_s * 1000)
        self._most_times = most_times
        self._name = f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}"
        self._claim_cursor = "0-0"  # of XAUTOCLAIM

    @cached_property
    def _redis(self) -> Any:  # noqa: ANN401 (answers of commands are typed for sync and async)
        import redis  # noqa: PLC0415 (only those with such a queue need it)

        try:
            client = redis.Redis.from_url(
                self._address, socket_connect_timeout=5, socket_timeout=30, health_check_interval=30
            )
        except (TypeError, ValueError) as error:
            raise QueueError(
                f"{self._shown} is not the address of a Redis: {error}",
                hint="it is like redis://host:6379/0, or unix:///run/redis.sock",
            ) from error
        self._check(client)
        return client

    def _check(self, client: Any) -> None:  # noqa: ANN401 (likewise)
        """Warn of a Redis that may lose messages."""
        import redis  # noqa: PLC0415 (as above)

        try:
            with self._translate_errors():
                config = client.config_get("appendonly", "maxmemory-policy", "maxmemory")
        except QueueError as error:
            if isinstance(error.__cause__, redis.ResponseError):
                return  # hosted Redis may forbid CONFIG GET
            raise
        if config.get("appendonly") == "no":
            log.warning(
                "%s loses messages when it stops: set `appendonly yes` in redis.conf",
                self._shown,
            )
        if config.get("maxmemory-policy") != "noeviction" and config.get("maxmemory") != "0":
            log.warning(
                "%s evicts messages when it is full: set `maxmemory-policy noeviction`",
                self._shown,
            )

    def check(self) -> None:
        """Connect, which warns of a Redis that may lose messages."""
        with self._translate_errors():
            self._redis.ping()

    # -- owner mark

    @property
    def mark(self) -> _RedisMarkStore:
        """Return the store of its owner mark."""
        return _RedisMarkStore(self)

    @property
    def shown(self) -> str:
        """Return its address, without a password."""
        return self._shown

    def marked(self) -> bytes | None:
        """Return the owner mark, None if there is none."""
        with self._translate_errors():
            mark: bytes | None = self._redis.get(self._mark_key)
        return mark

    def set_mark(self, mark: bytes, match: str) -> bool:
        """Replace the mark `match` ("*": none); return whether that was the current one."""
        with self._translate_errors():
            return bool(self._redis.eval(_MARK, 1, self._mark_key, match, mark))

    # -- sending

    def send(self, bodies: Sequence[str]) -> None:
        """Send messages; when this returns, the stream has them all."""
        with self._translate_errors():
            pipeline = self._redis.pipeline(transaction=True)
            for body in bodies:
                pipeline.xadd(self.stream, {_BODY: body})
            pipeline.execute()

    # -- receiving

    def receive(self, most: int, wait_s: float) -> list[ReceivedMessage]:
        """Return up to `most` messages; wait up to `wait_s` for the first."""
        end_s = time.monotonic() + wait_s
        while True:
            left_s = max(end_s - time.monotonic(), 0.0)
            with self._translate_errors():
                messages = self._claim(most)
                messages += self._new(
                    most - len(messages), 0.0 if messages else min(left_s, _CLAIM_INTERVAL_S)
                )
            if messages or time.monotonic() >= end_s:
                return messages

    def _claim(self, most: int) -> list[ReceivedMessage]:
        answer = self._with_group(
            lambda: self._redis.eval(
                *(_CLAIM, 2, self.stream, self.dead_letters, _GROUP, self._name),
                *(self._visibility_ms, self._claim_cursor, most, self._most_times),
            )
        )
        self._claim_cursor = answer[0].decode()
        for name in answer[2]:
            log.warning(
                "the message %s failed %d times and is a dead letter now: see `reelshelf queue`",
                name.decode(),
                self._most_times,
            )
        return [_message(name, body, times) for name, body, times in answer[1]]

    def _new(self, most: int, wait_s: float) -> list[ReceivedMessage]:
        if most <= 0:
            return []
        block_ms = max(round(wait_s * 1000), 1)  # 0 would block forever
        answer = self._with_group(
            lambda: self._redis.xreadgroup(
                _GROUP, self._name, {self.stream: ">"}, count=most, block=block_ms
            )
        )
        entries = (
            answer.values() if isinstance(answer, dict) else [stream for _, stream in answer or ()]
        )
        return [
            _message(name, fields.get(_BODY, b""), 1)
            for stream in entries
            for name, fields in _flat(stream)
        ]

    def delete(self, messages: Sequence[ReceivedMessage]) -> None:
        """Delete messages."""
        for batch in _receipt_batches(messages):
            with self._translate_errors():
                pipeline = self._redis.pipeline(transaction=True)
                pipeline.xack(self.stream, _GROUP, *batch)
                pipeline.xdel(self.stream, *batch)
                pipeline.execute()

    def extend(self, messages: Sequence[ReceivedMessage], seconds: int) -> None:
        """Extend the visibility timeout of messages, by `visibility_s` at most.

        0 gives them back at once. Messages that another consumer has claimed are left to it.
        """
        idle_ms = max(self._visibility_ms - seconds * 1000, 0)
        for batch in _receipt_batches(messages):
            with self._translate_errors():
                self._with_group(
                    lambda batch=batch: self._redis.eval(
                        _KEEP, 1, self.stream, _GROUP, self._name, idle_ms, *batch
                    )
                )

    # -- depth and dead letters

    def depth(self) -> QueueDepth:
        """Return the depth of the queue; messages that were given back count as waiting."""
        with self._translate_errors():
            total = int(self._redis.xlen(self.stream))
            pending = self._with_group(lambda: self._redis.xpending(self.stream, _GROUP))
            idle = self._with_group(
                lambda: self._redis.xpending_range(
                    self.stream, _GROUP, "-", "+", _MAX_COUNTED, idle=self._visibility_ms
                )
            )
            oldest = self._redis.xrange(self.stream, count=1)
            dead = int(self._redis.xlen(self.dead_letters))
            now_s, micros = self._redis.time()
        in_flight = int(pending["pending"]) - len(idle)
        oldest_s = None
        if oldest:
            sent_ms = int(oldest[0][0].partition(b"-")[0])
            oldest_s = max(now_s + micros / 1e6 - sent_ms / 1000, 0.0)
        return QueueDepth(max(total - in_flight, 0), in_flight, dead, oldest_s)

    def dead(self, most: int) -> list[ReceivedMessage]:
        """Return up to `most` dead letters; they stay there."""
        with self._translate_errors():
            entries = self._redis.xrange(self.dead_letters, count=most)
        return [
            _message(name, fields.get(_BODY, b""), int(fields.get(b"times", 1)))
            for name, fields in entries
        ]

    def redrive(self) -> int:
        """Move the dead letters back into the stream; return how many."""
        count = 0
        with self._translate_errors():
            last = self._redis.xrevrange(self.dead_letters, count=1)  # later ones stay
            while last and (moved := self._redrive_until(last[0][0])):
                count += moved
        return count

    def _redrive_until(self, last: bytes) -> int:
        return int(self._redis.eval(_BACK, 2, self.stream, self.dead_letters, last, _AT_ONCE))

    def close(self) -> None:
        """Close connections. Messages in flight stay ours until others claim them."""
        if "_redis" not in self.__dict__:
            return
        import redis  # noqa: PLC0415 (as above)

        try:
            self._redis.eval(_LEAVE, 1, self.stream, _GROUP, self._name)
        except redis.RedisError as error:
            log.debug("the consumer was not deleted: %s", error)
        self._redis.close()

    # -- Redis itself

    def _with_group(self, command: Any) -> Any:  # noqa: ANN401 (as above)
        """Run a command on the group; create the group if it does not exist."""
        import redis  # noqa: PLC0415 (as above)

        try:
            return command()
        except redis.ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
        try:  # from the start: messages that are still in the stream are not done
            self._redis.xgroup_create(self.stream, _GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):  # another process was quicker
                raise
        return command()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Raise errors of Redis as QueueError, with a hint."""
        import redis  # noqa: PLC0415 (as above)

        try:
            yield
        except redis.AuthenticationError as error:
            raise QueueError(
                f"{self._shown} refuses the credentials: {error}",
                hint="redis://:PASSWORD@host:6379/0, or redis://NAME:PASSWORD@…",
            ) from error
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise self._unreachable(error) from error
        except redis.RedisError as error:
            raise QueueError(
                f"{self._shown} refuses: {error}",
                hint="it has to be Redis 7 or newer, and writable",
            ) from error

    def _unreachable(self, error: Exception) -> QueueError:
        return QueueError(
            f"{self._shown} cannot be reached: {error}",
            hint="is it running, and is the address right? messages stay in the queue",
        )


def _message(name: bytes, body: bytes, times: int) -> ReceivedMessage:
    text = name.decode()
    return ReceivedMessage(text, body.decode("utf-8", "replace"), text, times)


def _flat(entries: Any) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:  # noqa: ANN401 (as above)
    """Yield entries, which RESP3 nests in one more list."""
    for entry in entries:
        if isinstance(entry, list):
            yield from _flat(entry)
        elif entry[1] is not None:
            yield entry


def _receipt_batches(messages: Sequence[ReceivedMessage]) -> Iterator[list[str]]:
    for start in range(0, len(messages), _AT_ONCE):
        yield [message.handle for message in messages[start : start + _AT_ONCE]]
