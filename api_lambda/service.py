"""Writes and authentication: the same for every service, wherever events go from there.

The OpenAPI document is made from the annotations. The dispatcher has validated all arguments.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Literal

from fastapi import Body

from api_lambda import events, schemas
from api_lambda.context import (
    Id,
    Reading,
    RequestContext,
    Response,
    Tag,
    Writing,
    json_response,
    key_of,
)
from api_lambda.credentials import (
    SESSION_COOKIE,
    Cookies,
    Session,
    cookies_of,
    end_of_session,
    is_metrics_token,
    pseudonym_of,
    session_end,
    site_of,
    token_of,
    viewer_of,
    viewer_of_feed,
)
from api_lambda.permissions import Action, Caller, Proofs, Role, client_of, is_encrypted, may
from api_lambda.private_access import (
    FeedFiles,
    feed_request,
    is_own_url,
    login_url,
    next_of,
    see_other,
)
from api_lambda.problems import Problem, sign_in, too_many, unavailable, wrong_token
from api_lambda.rate_limit import LOGINS, LOGINS_S, MINUTE_S, FailedAttempts, RateLimit
from api_lambda.signed_cookies import no_signed_cookies, signed_cookies
from generator.core.errors import SettingsError
from generator.core.model import Event, VideoId, ViewerKey

log = logging.getLogger(__name__)
# What the login page shows of a form that was refused.
_OUTCOMES = {HTTPStatus.UNAUTHORIZED: "wrong", HTTPStatus.TOO_MANY_REQUESTS: "wait"}


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """The settings of a service; see `ApiConfig`, of which they are a part."""

    state: Path
    base: str
    durable: bool
    visitors_may: frozenset[str]
    proxies: frozenset[str]
    writes_per_minute: int
    is_private: bool = False
    out: Path | None = None
    origin: str = ""
    key_pair: str = ""
    cloudfront_key: str = ""
    metrics_token: str = ""


class Service(ABC):
    """Base of the services, which differ in where events go and what can be read."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._logins = RateLimit(LOGINS, LOGINS_S)
        self._writes = RateLimit(settings.writes_per_minute, MINUTE_S)
        self._failed_attempts = FailedAttempts()
        self._cookies: tuple[bytes, Cookies] | None = None
        self._feeds = FeedFiles(settings.out, settings.origin + settings.base)
        self._ended: dict[str, int] = {}  # revoked sessions: when they would have expired

    @property
    @abstractmethod
    def _tokens(self) -> Sequence[tuple[str, str]]:
        """Return (id, digest) of every valid token."""

    @property
    @abstractmethod
    def _viewers(self) -> Sequence[ViewerKey]:
        """Return the keys of every viewer that is not revoked; they may have expired."""

    @property
    @abstractmethod
    def _secret(self) -> bytes:
        """Return the secret that cookies are signed with."""

    @abstractmethod
    async def _salt_of(self, day: str) -> bytes:
        """Return the salt of a day."""

    async def salt_of(self, day: str) -> bytes:
        """Return the salt of a day, as in `events.day_of`."""
        return await self._salt_of(day)

    @abstractmethod
    async def _write(self, request: RequestContext, event: Event) -> Response:
        """Record or send an event about a video."""

    @abstractmethod
    async def _accept(self, event: Event) -> Response:
        """Record or send a request for work, and answer 202."""

    @abstractmethod
    async def _is_session_ended(self, session: str) -> bool:
        """Return whether a session was revoked, here or by another process."""

    @abstractmethod
    async def _end_session(self, session: Session, now: int) -> None:
        """Revoke a session for every process, as far as they share state."""

    # -- authentication

    @abstractmethod
    def had_token(self) -> bool:
        """Return whether there is a token, or was one; called after `proofs`."""

    async def proofs(self, caller: Caller, now: int) -> Proofs:
        """Return what a request brings to prove the owner, or a viewer."""
        scheme, _, secret = caller.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            if is_metrics_token(secret.strip(), self._settings.metrics_token):
                return Proofs()  # it proves nobody to be the owner: see `metrics`
            return await self._bearer(caller, secret.strip(), now)
        for session in self._sessions(caller, now):
            proofs = self._proved_by(session, now)
            if proofs is not None and not await self._is_ended(session.id):
                return proofs
        return Proofs()

    def _proved_by(self, session: Session, now: int) -> Proofs | None:
        """Return what a session proves; None if its token is not valid any more."""
        for viewer in self._viewers:
            if session.token == viewer.id:
                is_valid = viewer.is_valid_at(now)
                return Proofs(viewer=pseudonym_of(viewer)) if is_valid else None
        is_owners = any(session.token == token for token, _ in self._tokens)
        return Proofs(session=session.token) if is_owners else None

    async def _bearer(self, caller: Caller, secret: str, now: int) -> Proofs:
        """Check a bearer token. Wrong ones are rate limited, as by `log_in`.

        Until the wait is over the client may use no other token, or guessing could go on.
        """
        client = client_of(caller, self._settings.proxies)
        wait_s = self._failed_attempts.wait_s(client, now)
        viewer = viewer_of(secret, self._viewers, now)
        token = token_of(secret, self._tokens) if viewer is None else viewer.id
        if token and (not wait_s or self._failed_attempts.is_trusted(client, token)):
            self._failed_attempts.trust(client, token)
            return Proofs(bearer=token) if viewer is None else Proofs(viewer=pseudonym_of(viewer))
        wait_s = wait_s or await self._login_wait_s(client, now)
        if wait_s:
            self._failed_attempts.block(client, now + wait_s)
            raise too_many(wait_s)
        return Proofs(wrong_bearer=True)

    def _sessions(self, caller: Caller, now: int) -> list[Session]:
        """Return the sessions that a request proves, revoked ones included."""
        header = caller.headers.get("cookie", "")
        if SESSION_COOKIE not in header:
            return []
        return self.signed.sessions(cookies_of(header), now, self._site(caller))

    async def _is_ended(self, session: str) -> bool:
        return session in self._ended or await self._is_session_ended(session)

    def _site(self, caller: Caller) -> str:
        return site_of(caller.headers.get("host", ""), self._settings.base)

    async def wait_s(self, client: str, now: float) -> int:
        """Count a visitor's write and return 0, or return after how many seconds to retry."""
        return self._writes.wait_s(client, now)

    async def _login_wait_s(self, client: str, now: float) -> int:
        return self._logins.wait_s(client, now)

    @property
    def signed(self) -> Cookies:
        """Return the cookies of the current secret."""
        secret = self._secret
        if self._cookies is None or self._cookies[0] != secret:
            self._cookies = secret, Cookies(secret)
        return self._cookies[1]

    def _visitor(self, request: RequestContext) -> str | None:
        """Return the pseudonym of a visitor or viewer, None for the owner.

        It sets a cookie for a new visitor.
        """
        if request.role is Role.OWNER:
            return None
        if request.role is Role.VIEWER:
            return request.viewer
        signed = self.signed
        site, cookies = self._site(request.caller), request.caller.headers.get("cookie", "")
        name, is_old = signed.pseudonym(cookies_of(cookies), site)
        if not name or is_old:
            name = name or events.pseudonym(self._secret, key_of(request))
            request.cookies.append(signed.visitor(name, site, secure=is_encrypted(request.caller)))
        return name

    # -- writing

    async def rate(self, request: Writing, id: Id, body: schemas.Stars) -> Response:  # noqa: A002
        """Rate a video."""
        visitor = self._visitor(request)
        return await self._write(
            request, events.rating(key_of(request), VideoId(id), body.stars, visitor, request.now)
        )

    async def unrate(self, request: Writing, id: Id) -> Response:  # noqa: A002
        """Remove a rating."""
        visitor = self._visitor(request)
        return await self._write(
            request, events.rating(key_of(request), VideoId(id), None, visitor, request.now)
        )

    async def favor(self, request: Writing, id: Id) -> Response:  # noqa: A002
        """Make a video a favorite."""
        return await self._favorite(request, id, is_favorite=True)

    async def unfavor(self, request: Writing, id: Id) -> Response:  # noqa: A002
        """Remove a video from the favorites."""
        return await self._favorite(request, id, is_favorite=False)

    async def _favorite(
        self, request: RequestContext, video: int, *, is_favorite: bool
    ) -> Response:
        visitor = self._visitor(request)
        return await self._write(
            request,
            events.favorite(
                key_of(request), VideoId(video), visitor, request.now, is_favorite=is_favorite
            ),
        )

    async def view(
        self,
        request: Writing,
        id: Id,  # noqa: A002
        body: Annotated[schemas.Visit | None, Body()] = None,
    ) -> Response:
        """Count a view; the same visit counts once an hour, however often it is sent."""
        key = request.key
        if not key:
            salt = await self._salt_of(events.day_of(request.now))
            visit = body.visit if body is not None and body.visit else None
            if visit is None:
                headers = request.caller.headers
                address = client_of(request.caller, self._settings.proxies)
                visit = events.visit_of(salt, address, headers.get("user-agent", ""))
            key = events.view_id(salt, VideoId(id), visit, request.now)
        return await self._write(request, events.view(key, VideoId(id), request.role, request.now))

    async def set_tags(self, request: Writing, id: Id, body: schemas.Tags) -> Response:  # noqa: A002
        """Give a video exactly these tags."""
        return await self._tag(request, id, "set", body.tags)

    async def add_tags(self, request: Writing, id: Id, body: schemas.Tags) -> Response:  # noqa: A002
        """Give a video these tags, too."""
        return await self._tag(request, id, "add", body.tags)

    async def remove_tags(self, request: Writing, id: Id) -> Response:  # noqa: A002
        """Remove all tags of a video."""
        return await self._tag(request, id, "set", [])

    async def remove_tag(self, request: Writing, id: Id, tag: Tag) -> Response:  # noqa: A002
        """Remove one tag of a video."""
        return await self._tag(request, id, "remove", [tag])

    async def _tag(
        self,
        request: RequestContext,
        video: int,
        how: Literal["set", "add", "remove"],
        tags: list[str],
    ) -> Response:
        is_removal = how == "remove"
        names = events.tags_to_remove(tags[0]) if is_removal else events.tag_names(tags)
        return await self._write(
            request, events.tags_event(key_of(request), VideoId(video), how, names, request.now)
        )

    async def rebuild(
        self, request: Writing, body: Annotated[schemas.Rebuild | None, Body()] = None
    ) -> Response:
        """Request a scan of the library, or a rebuild of every page."""
        full = body is not None and body.full
        return await self._accept(events.rebuild(key_of(request), request.now, full=full))

    # -- sessions

    async def session(self, request: Reading) -> Response:
        """Return the caller's role and permissions; renews what opens CloudFront."""
        if request.role is Role.VIEWER or (
            request.role is Role.OWNER and self._settings.is_private
        ):
            with suppress(Problem):  # it is logged
                self._open_cdn(request, self._end_of(request))
        return json_response(self._session(request))

    def _session(self, request: RequestContext) -> dict[str, object]:
        return {"role": request.role, "may": self._may(request.role)}

    def _end_of(self, request: RequestContext) -> int:
        """Return when the caller's session, or token, is over."""
        ends = [session.end for session in self._sessions(request.caller, request.now)]
        viewers = [viewer for viewer in self._viewers if pseudonym_of(viewer) == request.viewer]
        ends += [viewer.expires_at for viewer in viewers if viewer.expires_at is not None]
        return min(ends, default=session_end(request.now, None))

    def _may(self, role: Role) -> Sequence[Action]:
        settings = self._settings
        return may(role, settings.visitors_may, is_private=settings.is_private)

    async def log_in(self, request: Reading, body: schemas.Secret) -> Response:
        """Begin a session with a token: a cookie that proves the owner, or a viewer."""
        await self._begin_session(request, body.token)
        return Response(status=HTTPStatus.NO_CONTENT)

    async def _begin_session(self, request: RequestContext, secret: str) -> None:
        client, now = client_of(request.caller, self._settings.proxies), request.now
        wait_s = await self._login_wait_s(client, now)
        if wait_s:
            raise too_many(wait_s)
        viewer = viewer_of(secret.strip(), self._viewers, now)
        token = token_of(secret.strip(), self._tokens) if viewer is None else viewer.id
        if not token:
            raise wrong_token()
        expires_at = None if viewer is None else viewer.expires_at
        site = self._site(request.caller)
        self._open_cdn(request, session_end(now, expires_at))  # or no session begins
        by_links = self._settings.is_private
        request.cookies.append(
            self.signed.session(token, now, site, expires_at=expires_at, by_links=by_links)
        )

    @property
    def _cloudfront_key(self) -> str:
        """Return the private key of signed cookies, in PEM."""
        return self._settings.cloudfront_key

    def _open_cdn(self, request: RequestContext, end: int) -> None:
        """Let CloudFront serve a private site to the caller, where it is in front."""
        settings = self._settings
        if not settings.is_private or not settings.key_pair:
            return
        try:
            request.cookies += signed_cookies(
                settings.key_pair,
                self._cloudfront_key,
                settings.origin + settings.base,
                settings.base,
                request.now,
                end,
            )
        except SettingsError as error:
            log.warning("%s  %s", error, error.hint)
            raise unavailable(
                "the key of CloudFront is missing or wrong", "nobody is signed in"
            ) from error

    async def log_in_by_form(self, request: Reading, body: schemas.LoginForm) -> Response:
        """Begin a session as `log_in` does, for a page without scripts: answer with a redirect.

        What went wrong is the fragment, which shows the text for it on the page.
        """
        base, headers = self._settings.base, request.caller.headers
        target = body.next or next_of(headers.get("referer", ""))
        try:
            await self._begin_session(request, body.token)
        except Problem as problem:
            fragment = _OUTCOMES.get(HTTPStatus(problem.status))
            if fragment is None:
                raise
            return see_other(login_url(base, target, fragment))
        return see_other(target if is_own_url(target, base) else f"{base}/")

    async def log_out_by_form(self, request: Reading) -> Response:
        """End the session of this browser, for a page without scripts."""
        await self.log_out(request)
        return see_other(login_url(self._settings.base, "", "signed-out"))

    async def access(self, request: Reading) -> Response:
        """Return 204 if the caller may read a private site, 401 otherwise: for a server in front.

        With the header `Reelshelf-Feed`, the address that a reader of feeds requested, the secret
        in it counts, and nothing else.
        """
        address = request.caller.headers.get("reelshelf-feed", "")
        if address:
            secret, path = feed_request(self._settings.base, address)
            viewer = viewer_of_feed(secret, self._viewers, request.now) if secret else None
            if viewer is None or not self._feeds.has(path):
                raise sign_in()
        elif request.role is Role.VISITOR:
            raise sign_in()
        return Response(status=HTTPStatus.NO_CONTENT)

    async def log_out(self, request: Reading) -> Response:
        """End the session of this browser: its cookie is deleted, and not valid any more."""
        sessions = self._sessions(request.caller, request.now)
        names = [SESSION_COOKIE + self._site(request.caller), *(other.cookie for other in sessions)]
        request.cookies += map(end_of_session, dict.fromkeys(names))
        if self._settings.key_pair:
            request.cookies += no_signed_cookies(self._settings.base)
        for session in sessions:
            self._ended = {
                **{other: end for other, end in self._ended.items() if request.now < end},
                session.id: session.end,
            }
            if self._proved_by(session, request.now) is not None:
                await self._end_session(session, request.now)
        return Response(status=HTTPStatus.NO_CONTENT)
