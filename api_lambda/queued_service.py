"""The service without a catalogue: writes are sent to a queue, and little can be read.

What can be read is what a worker keeps in shared state, if there is any.
"""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from threading import Lock

from typing_extensions import override

from api_lambda.context import (
    Id,
    Reading,
    RequestContext,
    Response,
    json_response,
    moment,
    stats_json,
)
from api_lambda.credentials import Session
from api_lambda.event_sender import EventSender
from api_lambda.owner_secrets import KeyRing
from api_lambda.permissions import Caller, Proofs, Role
from api_lambda.problems import Problem, unavailable
from api_lambda.rate_limit import LOGINS, LOGINS_S, MINUTE_S, SharedRateLimit
from api_lambda.service import Service, ServiceSettings
from generator.adapters.redis_state import RedisState
from generator.core.errors import QueueError, ReelshelfError
from generator.core.model import Event, VideoId, VideoStats, ViewerKey
from generator.core.queue import messages
from generator.core.queue.queue import Queue

log = logging.getLogger(__name__)
_US = 1_000_000
_MAYBE = "it may have been recorded: sent again with its Idempotency-Key, it counts once"


@dataclass(frozen=True, slots=True)
class QueueConnections:
    """The connections of a queued service; `shared` is None without shared state."""

    queue: Queue
    ring: KeyRing
    shared: RedisState | None
    clock: Callable[[], float]


class QueuedService(Service):
    """The API's operations in front of a queue, with the shared state."""

    def __init__(self, settings: ServiceSettings, connections: QueueConnections) -> None:
        super().__init__(settings)
        self._owner_keys, self._shared, self._clock = (
            connections.ring,
            connections.shared,
            connections.clock,
        )
        self._sender = EventSender(connections.queue)
        self._lock = Lock()
        self._last_us = 0
        self._is_away = False
        if connections.shared is not None:
            count = connections.shared.count
            self._all_writes = SharedRateLimit("write", settings.writes_per_minute, MINUTE_S, count)
            self._all_logins = SharedRateLimit("login", LOGINS, LOGINS_S, count)
        self._owner_keys.begin(connections.clock())

    def close(self) -> None:
        """Send what was accepted, and close the queue and the shared state."""
        self._sender.close()
        if self._shared is not None:
            self._shared.close()

    # -- authentication

    @override
    async def proofs(self, caller: Caller, now: int) -> Proofs:
        await self._owner_keys.refresh(now)
        return await super().proofs(caller, now)

    @override
    async def wait_s(self, client: str, now: float) -> int:
        if self._shared is None:
            return await super().wait_s(client, now)
        return await self._all_writes.wait_s(client, now, self._secret)

    @override
    async def _login_wait_s(self, client: str, now: float) -> int:
        if self._shared is None:
            return await super()._login_wait_s(client, now)
        return await self._all_logins.wait_s(client, now, self._secret)

    def problem_of(self, error: Exception) -> Problem | None:
        """Return the problem for an expected error; None for any other."""
        if not isinstance(error, ReelshelfError):
            return None
        log.warning("request failed: %s", error)  # it names hosts and accounts: not for everybody
        return unavailable("the owner's keys or the shared state are unavailable")

    @property
    @override
    def _tokens(self) -> Sequence[tuple[str, str]]:
        return self._owner_keys.keys.tokens

    @property
    @override
    def _viewers(self) -> Sequence[ViewerKey]:
        return self._owner_keys.keys.viewers

    @property
    @override
    def _cloudfront_key(self) -> str:
        return self._settings.cloudfront_key or self._owner_keys.keys.cloudfront_key

    @override
    def had_token(self) -> bool:
        return self._owner_keys.keys.had_token or bool(self._tokens)

    @override
    async def _is_session_ended(self, session: str) -> bool:
        if self._shared is None:
            return False
        try:
            return await asyncio.to_thread(self._shared.is_ended, session)
        except QueueError as error:  # nothing can be written then: the queue is down, too
            log.warning("sessions that were revoked elsewhere are not known: %s", error)
            return False

    @override
    async def _end_session(self, session: Session, now: int) -> None:
        if self._shared is not None:
            await asyncio.to_thread(self._shared.end_session, session.id, session.end - now)

    @property
    @override
    def _secret(self) -> bytes:
        return self._owner_keys.keys.secret

    @override
    async def _salt_of(self, day: str) -> bytes:
        return hmac.new(self._secret, f"salt|{day}".encode(), hashlib.sha256).digest()

    # -- writing

    @override
    async def _write(self, request: RequestContext, event: Event) -> Response:
        return await self._send(event)

    @override
    async def _accept(self, event: Event) -> Response:
        return await self._send(event)

    async def _send(self, event: Event) -> Response:
        occurred_at_us = self._instant_us()
        queued = replace(event, at=occurred_at_us // _US, occurred_at_us=occurred_at_us)
        try:
            await self._sender.send(messages.encode_message(queued))
        except QueueError as error:
            raise unavailable("the queue is unavailable", _MAYBE) from error
        body = {"event": queued.id, "at": moment(queued.at), "state": "queued"}
        return json_response(body, HTTPStatus.ACCEPTED)

    def _instant_us(self) -> int:
        """Return the time; strictly ascending, for it orders events."""
        with self._lock:
            self._last_us = max(int(self._clock() * _US), self._last_us + 1)
            return self._last_us

    # -- reading

    async def video(self, request: Reading, id: Id) -> Response:  # noqa: A002
        """Return what the caller may do, and a video's stats where they are known."""
        stats = await self._stats(VideoId(id))
        you: dict[str, object] = self._session(request)
        if stats is None:
            return json_response({"id": id, "you": you})
        if request.role is Role.OWNER:
            you |= {"stars": stats.stars, "favorite": stats.favorite}
        return json_response({**stats_json(stats), "you": you})

    async def _stats(self, video: VideoId) -> VideoStats | None:
        if self._shared is None:
            return None
        try:
            stats = await asyncio.to_thread(self._shared.stats, video)
        except QueueError as error:
            if not self._is_away:
                log.warning("stats are not known: %s", error)
            self._is_away = True
            return None
        self._is_away = False
        return stats

    async def health(self, request: Reading) -> Response:
        """Check that writes can be accepted, as far as that is known without one."""
        del request
        if self._sender.refused_lately():
            raise unavailable("the last event could not be queued", "writes are refused")
        if self._shared is not None:
            await asyncio.to_thread(self._shared.ping)
        return json_response({"status": "ok"})
