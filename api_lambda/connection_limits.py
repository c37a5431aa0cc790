"""Limits of a connection: timeouts, sizes, and how many there may be.

A server without nginx in front has to limit these itself. uvicorn does not: a connection may stay
silent, or stop in the middle of the headers or the body, for ever, and headers may have any size.
"""

import asyncio
import logging
import resource
import time
from collections import Counter
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, Final, cast

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api_lambda.problems import PROBLEM_TYPE, Problem

log = logging.getLogger(__name__)
IDLE_S: Final = 75  # between two requests; as nginx's keepalive_timeout, which is to end first
_SPARE_FILES = 128  # descriptors for other things than connections
_CHECK_EVERY_S = 5.0  # how often a connection without a near deadline checks for one
_SHARE_TO_CLOSE = 16  # one of n connections is closed at once to make room
_QUIET_S = 60.0  # between two log lines about it
_READS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of one connection, and of their number.

    Precedents: `head_s` Apache's RequestReadTimeout (20), `body_s` and `send_s` nginx's
    client_body_timeout and send_timeout (60), though for the whole of a body; `linger_s` nginx's
    lingering_timeout (5); `head_bytes` nginx's large_client_header_buffers (4 of 8 KB), `headers`
    Apache's LimitRequestFields (100); `body_bytes`, of which a rest after the response is
    discarded, nginx's client_max_body_size (1 MB); `connections` nginx's worker_connections (512)
    many times, for here most of them wait for a receipt.
    """

    head_s: float = 20.0
    body_s: float = 60.0
    send_s: float = 60.0
    linger_s: float = 5.0
    head_bytes: int = 32 * 1024
    headers: int = 100
    body_bytes: int = 1024 * 1024
    connections: int = 4096
    long_s: float = 1.0  # after which a pending GET may be closed to make room


def limits_here() -> ConnectionLimits:
    """Return the limits on this machine; raises RLIMIT_NOFILE as far as they need it."""
    most = ConnectionLimits().connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files_needed = most + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < files_needed:
        soft = files_needed if hard == resource.RLIM_INFINITY else min(files_needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        most = max(soft - _SPARE_FILES, 1)
    return ConnectionLimits(connections=most)


def protocol_of(limits: ConnectionLimits) -> type[asyncio.Protocol]:
    """Return the protocol class for uvicorn's option `http`."""
    room = _Room(limits)

    def make(**options: Any) -> LimitedProtocol:  # noqa: ANN401 (uvicorn's own)
        return LimitedProtocol(room, **options)

    return cast("type[asyncio.Protocol]", make)  # it is only called


class _Phase(Enum):
    """What the server waits for."""

    HEAD = auto()
    BODY = auto()
    NOTHING = auto()


class _Room:
    """State shared by all connections of a server."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._logged_s = -_QUIET_S

    def make(self, connections: set["LimitedProtocol"], newest: "LimitedProtocol") -> None:
        """Close the connections that are idle longest, of the client that has the most of them."""
        others = [
            connection
            for connection in connections
            if connection is not newest and not connection.is_closing
        ]
        idle = [connection for connection in others if connection.is_idle] or [
            connection for connection in others if connection.is_waiting
        ]
        now_s = time.monotonic()
        if now_s >= self._logged_s + _QUIET_S:
            self._logged_s = now_s
            log.warning(
                "%d connections are open, which is the limit: %s",
                len(connections),
                "closing idle ones" if idle else "refusing new ones",
            )
        if not idle:
            newest.transport.abort()
            return
        crowds = Counter(connection.address for connection in idle)
        crowd, _ = crowds.most_common(1)[0]
        oldest = sorted(
            (connection for connection in idle if connection.address == crowd), key=_since
        )
        for connection in oldest[: max(self.limits.connections // _SHARE_TO_CLOSE, 1)]:
            connection.transport.abort()


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with limits."""

    def __init__(self, room: _Room, **options: Any) -> None:  # noqa: ANN401 (uvicorn's own)
        super().__init__(**options)
        self._room, self._limits = room, room.limits
        self._phase = _Phase.HEAD
        self._answers = 0  # responses that are not finished
        self._read_bytes = 0  # of the request that is being read
        self._is_too_large = False
        self._timer: asyncio.TimerHandle | None = None
        self._deadline_s: float | None = None  # for what the client has to send
        self._sent_by_s: float | None = None  # for a client that does not read its response
        self.since_s = 0.0

    # -- public

    @property
    def address(self) -> str:
        """Return the client's address, "" for a Unix socket."""
        return self.client[0] if self.client else ""

    @property
    def is_closing(self) -> bool:
        """Return whether the connection is being closed."""
        return self.transport.is_closing()

    @property
    def is_idle(self) -> bool:
        """Return whether the server waits for the client."""
        return not self._answers or self._phase is _Phase.BODY

    @property
    def is_waiting(self) -> bool:
        """Return whether a GET takes long, which the client can safely repeat."""
        is_long = time.monotonic() > self.since_s + self._limits.long_s
        return is_long and self._answers == 1 and self.scope["method"] in _READS

    # -- uvicorn's protocol

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await(_Phase.HEAD, self._limits.head_s)
        self._check_deadlines()
        if len(self.connections) > self._limits.connections:
            self._room.make(cast("set[LimitedProtocol]", self.connections), self)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()

    def received(self, data: bytes) -> None:
        """Feed bytes to the parser, and count them."""
        if self._phase is _Phase.NOTHING and not self._answers:
            self._await(_Phase.HEAD, self._limits.head_s)
        super().data_received(data)
        if self.transport.is_closing() or self._phase is _Phase.NOTHING:
            return
        self._read_bytes += len(data)
        if self._phase is _Phase.HEAD and self._read_bytes > self._limits.head_bytes:
            self._refuse(_TOO_LARGE)
        elif self._read_bytes > self._limits.body_bytes:
            self.transport.abort()

    data_received = received  # as asyncio calls it

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._read_bytes = 0
        self._is_too_large = False
        if self._phase is not _Phase.HEAD:
            self._await(_Phase.HEAD, self._limits.head_s)

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) < self._limits.headers:
            super().on_header(name, value)
        else:
            self._is_too_large = True

    @override
    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if self._is_too_large or size > self._limits.head_bytes:
            self._is_too_large = True
            raise ValueError("the headers are too large")  # stops the parser
        super().on_headers_complete()
        self._answers += 1
        self._await(_Phase.BODY, self._limits.body_s)

    @override
    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._await(_Phase.NOTHING, None)

    @override
    def on_response_complete(self) -> None:
        self._answers -= 1
        super().on_response_complete()
        self.since_s = time.monotonic()
        if self._phase is _Phase.HEAD:  # of the next request, which waited for this response
            self._await(_Phase.HEAD, self._limits.head_s)
        elif self._phase is _Phase.BODY:  # likewise; or of this request, refused early
            limits = self._limits
            self._await(_Phase.BODY, limits.body_s if self._answers else limits.linger_s)

    @override
    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are not HTTP, or headers that are too large."""
        self._refuse(_TOO_LARGE if self._is_too_large else _NO_HTTP)

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._sent_by_s = self.loop.time() + self._limits.send_s

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        self._sent_by_s = None

    # -- limits

    def _await(self, phase: _Phase, seconds: float | None) -> None:
        self._phase, self.since_s = phase, time.monotonic()
        self._deadline_s = None if seconds is None else self.loop.time() + seconds

    def _check_deadlines(self) -> None:
        """Close the connection if it is late, and schedule the next check."""
        now_s = self.loop.time()
        is_stuck = self._sent_by_s is not None and now_s >= self._sent_by_s
        is_late = self._deadline_s is not None and now_s >= self._deadline_s
        is_late = is_late and self._answers <= (self._phase is _Phase.BODY)  # none is pending
        if is_stuck or (is_late and self.transport.is_closing()):  # the client does not read
            self.transport.abort()
        elif is_late:
            self._end()
        soon_s = [
            deadline_s
            for deadline_s in (self._deadline_s, self._sent_by_s)
            if deadline_s is not None
        ]
        next_s = min([now_s + self._check_every_s, *soon_s])
        self._timer = self.loop.call_at(
            max(next_s, now_s + self._check_every_s / 50), self._check_deadlines
        )

    @property
    def _check_every_s(self) -> float:
        limits = self._limits
        return min(_CHECK_EVERY_S, limits.head_s, limits.body_s, limits.send_s, limits.linger_s)

    def _end(self) -> None:
        """Close a connection that timed out, with a 408 if a request had begun."""
        if self._phase is _Phase.BODY:
            is_begun = not self.cycle.response_started
        else:
            is_begun = self._read_bytes > 0
        if is_begun:
            self._refuse(_TOO_SLOW)
        else:
            self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        """Respond without the application, and close."""
        if self._answers and self._phase is not _Phase.BODY:  # not inside another response
            self.transport.close()
            return
        body = problem.body()
        head = {
            "content-type": PROBLEM_TYPE,
            "content-length": str(len(body)),
            "cache-control": "no-store",
            "connection": "close",
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        self.transport.write(STATUS_LINE[problem.status] + lines.encode() + b"\r\n" + body)
        self.transport.close()


def _since(connection: LimitedProtocol) -> float:
    return connection.since_s


_TOO_LARGE = Problem(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "a request may have at most 32 KB of headers, and 100 of them",
)
_TOO_SLOW = Problem(HTTPStatus.REQUEST_TIMEOUT, "the request did not come in time; send it again")
_NO_HTTP = Problem(HTTPStatus.BAD_REQUEST, "this is not valid HTTP")
