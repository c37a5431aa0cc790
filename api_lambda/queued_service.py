"""The desk far from the catalogue: what people do is put into a queue, and little is known.

What it knows is what a worker put where several processes share things, if there is such a place.
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

from api_lambda.context import Id, Reading, RequestContext, Response, answer, moment, told_figures
from api_lambda.credentials import Session
from api_lambda.event_sender import EventSender
from api_lambda.owner_secrets import KeyRing
from api_lambda.permissions import Caller, Proofs, Role, may
from api_lambda.problems import Problem, unavailable
from api_lambda.rate_limit import LOGINS, LOGINS_S, MINUTE_S, SharedRateLimit
from api_lambda.service import Service, ServiceSettings
from generator.adapters.redis_state import RedisState
from generator.core.errors import QueueError, ReelshelfError
from generator.core.model import Event, VideoId, VideoStats
from generator.core.queue import messages
from generator.core.queue.queue import Queue

log = logging.getLogger(__name__)
_US = 1_000_000
_MAYBE = "it may have been recorded: sent again with its Idempotency-Key, it counts once"


@dataclass(frozen=True, slots=True)
class QueueConnections:
    """What a remote desk works with; `shared` is None where nothing is shared."""

    queue: Queue
    ring: KeyRing
    shared: RedisState | None
    clock: Callable[[], float]


class QueuedService(Service):
    """What sends events, and tells what is shared."""

    def __init__(self, rules: ServiceSettings, outside: QueueConnections) -> None:
        super().__init__(rules)
        self._ring, self._shared, self._clock = outside.ring, outside.shared, outside.clock
        self._sender = EventSender(outside.queue)
        self._lock = Lock()
        self._last_us = 0
        self._is_away = False
        if outside.shared is not None:
            count = outside.shared.count
            self._all_writes = SharedRateLimit("write", rules.writes_per_minute, MINUTE_S, count)
            self._all_logins = SharedRateLimit("login", LOGINS, LOGINS_S, count)
        self._ring.begin(outside.clock())

    def close(self) -> None:
        """Finish what was accepted, and let go of the queue."""
        self._sender.close()
        if self._shared is not None:
            self._shared.close()

    # -- who asks

    @override
    async def proofs(self, caller: Caller, now: int) -> Proofs:
        await self._ring.refresh(now)
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

    def refusal_of(self, error: Exception) -> Problem | None:
        """Return how to tell that something is out of reach; None for what nobody expected."""
        if not isinstance(error, ReelshelfError):
            return None
        log.warning("not answered: %s", error)  # it names hosts and accounts: not for everybody
        return unavailable("who the owner is, or what else is shared, cannot be known just now")

    @property
    @override
    def _tokens(self) -> Sequence[tuple[str, str]]:
        return self._ring.keys.tokens

    @override
    def had_token(self) -> bool:
        return self._ring.keys.had_token or bool(self._tokens)

    @override
    async def _is_kept_as_ended(self, session: str) -> bool:
        if self._shared is None:
            return False
        try:
            return await asyncio.to_thread(self._shared.is_ended, session)
        except QueueError as error:  # nothing can be written then: the queue is away, too
            log.warning("sessions that were ended elsewhere are not known: %s", error)
            return False

    @override
    async def _keep_as_ended(self, session: Session, now: int) -> None:
        if self._shared is not None:
            await asyncio.to_thread(self._shared.end_session, session.id, session.end - now)

    @property
    @override
    def _secret(self) -> bytes:
        return self._ring.keys.secret

    @override
    async def _salt_of(self, day: str) -> bytes:
        return hmac.new(self._secret, f"salt|{day}".encode(), hashlib.sha256).digest()

    # -- what people do

    @override
    async def _write(self, asking: RequestContext, happening: Event) -> Response:
        return await self._send(happening)

    @override
    async def _wish(self, wish: Event) -> Response:
        return await self._send(wish)

    async def _send(self, happening: Event) -> Response:
        told_us = self._instant_us()
        told = replace(happening, at=told_us // _US, told_us=told_us)
        try:
            await self._sender.send(messages.encode_message(told))
        except QueueError as error:
            raise unavailable("the queue is out of reach", _MAYBE) from error
        event = {"event": told.id, "at": moment(told.at), "state": "queued"}
        return answer(event, HTTPStatus.ACCEPTED)

    def _instant_us(self) -> int:
        """Return when it is; never twice the same, nor one before, for what is told is ordered."""
        with self._lock:
            self._last_us = max(int(self._clock() * _US), self._last_us + 1)
            return self._last_us

    # -- what is known

    async def video(self, asking: Reading, id: Id) -> Response:  # noqa: A002
        """Tell what who asks may do, and what people made of a video where that is known."""
        figures = await self._figures(VideoId(id))
        you: dict[str, object] = {
            "role": asking.role,
            "may": may(asking.role, self._rules.visitors_may),
        }
        if figures is None:
            return answer({"id": id, "you": you})
        if asking.role is Role.OWNER:
            you |= {"stars": figures.stars, "favorite": figures.favorite}
        return answer({**told_figures(figures), "you": you})

    async def _figures(self, video: VideoId) -> VideoStats | None:
        if self._shared is None:
            return None
        try:
            found = await asyncio.to_thread(self._shared.figures, video)
        except QueueError as error:
            if not self._is_away:
                log.warning("figures are not known: %s", error)
            self._is_away = True
            return None
        self._is_away = False
        return found

    async def health(self, asking: Reading) -> Response:
        """Tell that what people do can be taken, as far as that is known without doing it."""
        del asking
        if self._sender.refused_lately():
            raise unavailable("the queue refused the last event", "writes are refused")
        if self._shared is not None:
            await asyncio.to_thread(self._shared.ping)
        return answer({"status": "ok"})
