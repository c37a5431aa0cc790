"""What people do, and who they prove to be: the same at every desk, wherever events go from there.

The annotations are the contract that OpenAPI tells. What the methods get was checked by the door.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Literal

from fastapi import Body

from api_lambda import events, schemas
from api_lambda.context import Id, Reading, RequestContext, Response, Tag, Writing, answer, key_of
from api_lambda.credentials import (
    SESSION_COOKIE,
    Cookies,
    Session,
    cookies_of,
    end_of_session,
    site_of,
    token_of,
)
from api_lambda.permissions import Caller, Proofs, Role, client_of, is_encrypted, may
from api_lambda.problems import too_many, wrong_token
from api_lambda.rate_limit import LOGINS, LOGINS_S, MINUTE_S, FailedAttempts, RateLimit
from generator.core.model import Event, VideoId


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """What a desk goes by; see `ApiConfig`, of which it is the part that matters here."""

    state: Path
    base: str
    durable: bool
    visitors_may: frozenset[str]
    proxies: frozenset[str]
    writes_per_minute: int


class Service(ABC):
    """A desk, but for where it puts events and what it knows."""

    def __init__(self, rules: ServiceSettings) -> None:
        self._rules = rules
        self._logins = RateLimit(LOGINS, LOGINS_S)
        self._writes = RateLimit(rules.writes_per_minute, MINUTE_S)
        self._guesses = FailedAttempts()
        self._cookies: tuple[bytes, Cookies] | None = None
        self._ended: dict[str, int] = {}  # sessions: until when they would have lasted

    @property
    @abstractmethod
    def _tokens(self) -> Sequence[tuple[str, str]]:
        """Return (id, digest) of every valid token."""

    @property
    @abstractmethod
    def _secret(self) -> bytes:
        """Return what cookies are signed with."""

    @abstractmethod
    async def _salt_of(self, day: str) -> bytes:
        """Return the secret of a day."""

    @abstractmethod
    async def _write(self, asking: RequestContext, happening: Event) -> Response:
        """Let an event about a video happen."""

    @abstractmethod
    async def _wish(self, wish: Event) -> Response:
        """Let a wish be heard."""

    @abstractmethod
    async def _is_kept_as_ended(self, session: str) -> bool:
        """Tell whether a session was ended, here or by another process."""

    @abstractmethod
    async def _keep_as_ended(self, session: Session, now: int) -> None:
        """Let every process know that a session is over, as far as they share anything."""

    # -- who asks

    @abstractmethod
    def had_token(self) -> bool:
        """Tell whether there is a token, or was one; asked after `proofs`."""

    async def proofs(self, caller: Caller, now: int) -> Proofs:
        """Return what a request brings to prove the owner."""
        scheme, _, secret = caller.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return await self._bearer(caller, secret.strip(), now)
        for session in self._sessions(caller, now):
            valid = any(session.token == token for token, _ in self._tokens)
            if valid and not await self._is_ended(session.id):
                return Proofs(session=session.token)
        return Proofs()

    async def _bearer(self, caller: Caller, secret: str, now: int) -> Proofs:
        """Look whose token it is. Who guesses is made to wait, as by `log_in`.

        Meanwhile no new token is believed from there, lest guessing go on as before.
        """
        client = client_of(caller, self._rules.proxies)
        wait_s = self._guesses.wait_s(client, now)
        token = token_of(secret, self._tokens)
        if token and (not wait_s or self._guesses.is_known(client, token)):
            self._guesses.know(client, token)
            return Proofs(bearer=token)
        wait_s = wait_s or await self._login_wait_s(client, now)
        if wait_s:
            self._guesses.block(client, now + wait_s)
            raise too_many(wait_s)
        return Proofs(wrong_bearer=True)

    def _sessions(self, caller: Caller, now: int) -> list[Session]:
        """Return the sessions that a request proves, ended ones among them."""
        header = caller.headers.get("cookie", "")
        if SESSION_COOKIE not in header:
            return []
        return self.signed.sessions(cookies_of(header), now, self._site(caller))

    async def _is_ended(self, session: str) -> bool:
        return session in self._ended or await self._is_kept_as_ended(session)

    def _site(self, caller: Caller) -> str:
        return site_of(caller.headers.get("host", ""), self._rules.base)

    async def wait_s(self, client: str, now: float) -> int:
        """Count a write of a visitor and return 0, or return after how many seconds to come."""
        return self._writes.wait_s(client, now)

    async def _login_wait_s(self, client: str, now: float) -> int:
        return self._logins.wait_s(client, now)

    @property
    def signed(self) -> Cookies:
        """Return what makes and reads cookies."""
        secret = self._secret
        if self._cookies is None or self._cookies[0] != secret:
            self._cookies = secret, Cookies(secret)
        return self._cookies[1]

    def _visitor(self, asking: RequestContext) -> str | None:
        """Return who a visitor is, None for the owner; who is new gets a cookie to be known by."""
        if asking.role is Role.OWNER:
            return None
        signed = self.signed
        site, cookies = self._site(asking.caller), asking.caller.headers.get("cookie", "")
        name, is_old = signed.pseudonym(cookies_of(cookies), site)
        if not name or is_old:
            name = name or events.pseudonym(self._secret, key_of(asking))
            asking.cookies.append(signed.visitor(name, site, secure=is_encrypted(asking.caller)))
        return name

    # -- what people do

    async def rate(self, asking: Writing, id: Id, body: schemas.Stars) -> Response:  # noqa: A002
        """Rate a video."""
        visitor = self._visitor(asking)
        return await self._write(
            asking, events.rating(key_of(asking), VideoId(id), body.stars, visitor, asking.now)
        )

    async def unrate(self, asking: Writing, id: Id) -> Response:  # noqa: A002
        """Take a rating back."""
        visitor = self._visitor(asking)
        return await self._write(
            asking, events.rating(key_of(asking), VideoId(id), None, visitor, asking.now)
        )

    async def favor(self, asking: Writing, id: Id) -> Response:  # noqa: A002
        """Make a video a favorite."""
        return await self._favorite(asking, id, is_one=True)

    async def unfavor(self, asking: Writing, id: Id) -> Response:  # noqa: A002
        """Make a video no favorite."""
        return await self._favorite(asking, id, is_one=False)

    async def _favorite(self, asking: RequestContext, video: int, *, is_one: bool) -> Response:
        visitor = self._visitor(asking)
        return await self._write(
            asking,
            events.favorite(key_of(asking), VideoId(video), visitor, asking.now, is_one=is_one),
        )

    async def view(
        self,
        asking: Writing,
        id: Id,  # noqa: A002
        body: Annotated[schemas.Visit | None, Body()] = None,
    ) -> Response:
        """Count a view; the same visit counts once an hour, however often it is told."""
        key = asking.key
        if not key:
            salt = await self._salt_of(events.day_of(asking.now))
            visit = body.visit if body is not None and body.visit else None
            if visit is None:
                headers = asking.caller.headers
                address = client_of(asking.caller, self._rules.proxies)
                visit = events.visit_of(salt, address, headers.get("user-agent", ""))
            key = events.view_id(salt, VideoId(id), visit, asking.now)
        return await self._write(asking, events.view(key, VideoId(id), asking.role, asking.now))

    async def set_tags(self, asking: Writing, id: Id, body: schemas.Tags) -> Response:  # noqa: A002
        """Give a video exactly these tags."""
        return await self._tag(asking, id, "set", body.tags)

    async def add_tags(self, asking: Writing, id: Id, body: schemas.Tags) -> Response:  # noqa: A002
        """Give a video these tags too."""
        return await self._tag(asking, id, "add", body.tags)

    async def remove_tags(self, asking: Writing, id: Id) -> Response:  # noqa: A002
        """Take all tags of a video."""
        return await self._tag(asking, id, "set", [])

    async def remove_tag(self, asking: Writing, id: Id, tag: Tag) -> Response:  # noqa: A002
        """Take one tag of a video."""
        return await self._tag(asking, id, "remove", [tag])

    async def _tag(
        self,
        asking: RequestContext,
        video: int,
        how: Literal["set", "add", "remove"],
        given: list[str],
    ) -> Response:
        is_taken = how == "remove"
        names = events.tag_to_take(given[0]) if is_taken else events.tag_names(given)
        return await self._write(
            asking, events.tags_event(key_of(asking), VideoId(video), how, names, asking.now)
        )

    async def rebuild(
        self, asking: Writing, body: Annotated[schemas.Rebuild | None, Body()] = None
    ) -> Response:
        """Ask for a look at the library, or for every page anew."""
        full = body is not None and body.full
        return await self._wish(events.rebuild(key_of(asking), asking.now, full=full))

    # -- sessions

    async def session(self, asking: Reading) -> Response:
        """Tell who asks, and what he may."""
        return answer(self._session(asking))

    def _session(self, asking: RequestContext) -> dict[str, object]:
        return {"role": asking.role, "may": may(asking.role, self._rules.visitors_may)}

    async def log_in(self, asking: Reading, body: schemas.Secret) -> Response:
        """Begin a session with a token: a cookie that proves the owner."""
        client = client_of(asking.caller, self._rules.proxies)
        wait_s = await self._login_wait_s(client, asking.now)
        if wait_s:
            raise too_many(wait_s)
        token = token_of(body.token.strip(), self._tokens)
        if not token:
            raise wrong_token()
        site = self._site(asking.caller)
        asking.cookies.append(self.signed.session(token, asking.now, site))
        return Response(status=HTTPStatus.NO_CONTENT)

    async def log_out(self, asking: Reading) -> Response:
        """End the session of this browser, here and for good: its cookie is worth nothing more."""
        sessions = self._sessions(asking.caller, asking.now)
        names = [SESSION_COOKIE + self._site(asking.caller), *(one.cookie for one in sessions)]
        asking.cookies += map(end_of_session, dict.fromkeys(names))
        for session in sessions:
            self._ended = {
                **{one: end for one, end in self._ended.items() if asking.now < end},
                session.id: session.end,
            }
            if any(session.token == token for token, _ in self._tokens):
                await self._keep_as_ended(session, asking.now)
        return Response(status=HTTPStatus.NO_CONTENT)
