"""Credentials: tokens and signed cookies. Secrets are arguments, as time is."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from itsdangerous import BadSignature, Signer

from generator.core.errors import SettingsError
from generator.core.model import Token, ViewerKey

# What follows these names is the site: see site_of.
SESSION_COOKIE = "__Host-reelshelf"
VISITOR_COOKIE = "__Host-reelshelf-visitor"
PLAIN_VISITOR_COOKIE = "reelshelf-visitor"  # browsers keep no other over http; it grants nothing
SECRET_FILE = "api-secret"  # noqa: S105 (its name)
_SESSION_S = 90 * 86400
_VISITOR_S = 400 * 86400  # the longest that browsers keep one
_BYTES = 32
_MIN_BYTES = 16  # of the signing secret: 128 bits cannot be guessed
_ID_BYTES = 6
_SESSION_ID_DIGITS = 32
_USUAL_PORTS = frozenset({"80", "443"})
_PORT_DIGITS = 5


def new_token(name: str, now: int) -> tuple[Token, str]:
    """Return a token to store, and the secret to show its owner once."""
    secret = "rs_" + secrets.token_urlsafe(_BYTES)
    return Token(secrets.token_hex(_ID_BYTES), name, digest(secret), now), secret


def new_viewer_token(name: str, now: int, expires_at: int | None) -> tuple[Token, str, str]:
    """Return a viewer's token to store, and the secrets to show once: its own, and the feeds'."""
    secret, feed = "rv_" + secrets.token_urlsafe(_BYTES), secrets.token_urlsafe(_BYTES)
    token = Token(
        secrets.token_hex(_ID_BYTES), name, digest(secret), now, None,
        is_viewer=True, expires_at=expires_at, feed_digest=digest(feed),
    )  # fmt: skip
    return token, secret, feed


def viewer_of(secret: str, viewers: Iterable[ViewerKey], now: int) -> ViewerKey | None:
    """Return the viewer with this token, if it has not expired; in constant time."""
    secret_digest, matched = digest(secret), None
    for viewer in viewers:
        if hmac.compare_digest(secret_digest, viewer.digest):
            matched = viewer
    return matched if matched is not None and matched.is_valid_at(now) else None


def viewer_of_feed(secret: str, viewers: Iterable[ViewerKey], now: int) -> ViewerKey | None:
    """Return the viewer whose feeds have this secret; likewise."""
    secret_digest, matched = digest(secret), None
    for viewer in viewers:
        if hmac.compare_digest(secret_digest, viewer.feed_digest):
            matched = viewer
    return matched if matched is not None and matched.is_valid_at(now) else None


def pseudonym_of(viewer: ViewerKey) -> str:
    """Return the pseudonym of a viewer: the same for as long as they have their token."""
    return hashlib.sha256(f"viewer|{viewer.digest}".encode()).hexdigest()[:_SESSION_ID_DIGITS]


def digest(secret: str) -> str:
    """Return the digest that is stored of a token."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def token_of(secret: str, valid: Iterable[tuple[str, str]]) -> str:
    """Return the id of the valid token with this secret, "" for none; in constant time."""
    secret_digest, matched = digest(secret), ""
    for token, token_digest in valid:
        if hmac.compare_digest(secret_digest, token_digest):
            matched = token
    return matched


def is_metrics_token(secret: str, expected: str) -> bool:
    """Return whether a secret is the one that may read /metrics; in constant time."""
    return bool(expected) and hmac.compare_digest(digest(secret), digest(expected))


@lru_cache(maxsize=256)
def site_of(host: str, base: str) -> str:
    """Return a suffix that tells a site's cookies from others on its host: its port and base.

    Browsers send cookies to every port of a host, and those of `__Host-` to every path. It is ""
    at ports 80 and 443 without a base.

    Args:
        host: the Host header of a request.
        base: where the site lives on it, "" or "/sub/folder".
    """
    port = host.rpartition(":")[2]
    is_port = port.isascii() and port.isdigit() and len(port) <= _PORT_DIGITS
    named = f"-{port}" if is_port and port not in _USUAL_PORTS and port != host else ""
    return named + quote(base, safe="")


@dataclass(frozen=True, slots=True)
class Session:
    """A session that a cookie proves: the token it began with, and when it expires.

    `id` is stored when it is revoked; the cookie cannot be derived from it.
    """

    token: str
    id: str
    end: int
    cookie: str


class Cookies:
    """Makes and reads cookies, signed with the secret of this catalogue."""

    def __init__(self, secret: bytes) -> None:
        self._sessions = Signer(secret, salt="session", digest_method=hashlib.sha256)
        self._visitors = Signer(secret, salt="visitor", digest_method=hashlib.sha256)

    def session(
        self,
        token: str,
        now: int,
        site: str = "",
        *,
        expires_at: int | None = None,
        by_links: bool = False,
    ) -> str:
        """Return the Set-Cookie that begins a session with a token, which may expire.

        `by_links`: the cookie comes with the first request after a link on another site, too.
        """
        number = secrets.token_hex(_ID_BYTES)  # or two of one second would be revoked together
        seconds = session_end(now, expires_at) - now
        value = self._sessions.sign(f"{token}|{now + seconds}|{number}").decode()
        cookie = _cookie(SESSION_COOKIE + site, value, seconds)
        return cookie.replace("SameSite=Strict", "SameSite=Lax") if by_links else cookie

    def sessions(self, cookies: Mapping[str, str], now: int, site: str = "") -> list[Session]:
        """Return the sessions that cookies prove, revoked ones included: one, as a rule.

        A cookie with its name of version 0.4 counts too.
        """
        sessions = []
        for name in dict.fromkeys((SESSION_COOKIE + site, SESSION_COOKIE)):
            value = cookies.get(name)
            token, _, rest = _signed(self._sessions, value).partition("|")
            end = rest.partition("|")[0]
            if value and end.isdigit() and now < int(end):
                sessions.append(Session(token, digest(value)[:_SESSION_ID_DIGITS], int(end), name))
        return sessions

    def visitor(self, pseudonym: str, site: str = "", *, secure: bool = True) -> str:
        """Return the Set-Cookie by which a visitor is recognized."""
        value = self._visitors.sign(pseudonym).decode()
        name = VISITOR_COOKIE if secure else PLAIN_VISITOR_COOKIE
        return _cookie(name + site, value, _VISITOR_S, secure=secure)

    def pseudonym(self, cookies: Mapping[str, str], site: str = "") -> tuple[str, bool]:
        """Return the pseudonym in a visitor's cookie, "" for none, and whether the cookie is old.

        An old one has its name of version 0.4, which other sites on the host may overwrite.
        """
        for end in dict.fromkeys((site, "")):
            for name in (VISITOR_COOKIE + end, PLAIN_VISITOR_COOKIE + end):
                pseudonym = _signed(self._visitors, cookies.get(name))
                if pseudonym:
                    return pseudonym, end != site
        return "", False


def session_end(now: int, expires_at: int | None) -> int:
    """Return when a session that begins now is over, if its token expires then."""
    return now + _SESSION_S if expires_at is None else min(now + _SESSION_S, expires_at)


def end_of_session(cookie: str) -> str:
    """Return the Set-Cookie that deletes a session's cookie."""
    return f"{cookie}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict"


def cookies_of(header: str) -> dict[str, str]:
    """Return our own cookies in a Cookie header."""
    cookies: dict[str, str] = {}
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name.startswith((SESSION_COOKIE, PLAIN_VISITOR_COOKIE)):
            cookies[name] = value
    return cookies


def kept_secret(state: Path) -> bytes:
    """Return the secret that cookies are signed with, created when it is first needed.

    Raises:
        SettingsError: it cannot be read or created, or is too weak to sign with.
    """
    file = state / SECRET_FILE
    try:
        if not file.exists():
            _make_secret(file)
        if file.is_fifo():  # it would block
            raise SettingsError(
                f"{file} is not a regular file", hint="move it away: reelshelf uses this name"
            )
        secret = secret_of(file.read_bytes().decode("ascii"))
    except OSError as error:
        raise SettingsError(
            f"cannot keep what cookies are signed with: {error}",
            hint="the folder must exist, have space, and be writable for the API's user",
        ) from error
    except ValueError as error:
        raise SettingsError(
            f"{file} cannot sign cookies: it needs at least {2 * _MIN_BYTES} hexadecimal digits",
            hint="restore it from a backup; or remove it, and a new one is made: everybody has to"
            " sign in again, and visitors get new cookies (what they did stays)",
        ) from error
    return secret


def secret_of(text: str) -> bytes:
    """Return the bytes of a secret in hexadecimal digits.

    Raises:
        ValueError: it is not hexadecimal, or too short to sign with.
    """
    secret = bytes.fromhex(text)
    if len(secret) < _MIN_BYTES:
        raise ValueError(f"less than {2 * _MIN_BYTES} hexadecimal digits")
    return secret


def _make_secret(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{SECRET_FILE}-{secrets.token_hex(_ID_BYTES)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as made:
            made.write(secrets.token_hex(_BYTES))
            made.flush()
            os.fsync(made.fileno())
        with suppress(FileExistsError):  # another process was faster: its secret is used
            os.link(beside, file)
    finally:
        beside.unlink(missing_ok=True)


def _signed(signer: Signer, value: str | None) -> str:
    if not value or not value.isascii():
        return ""
    try:
        return signer.unsign(value).decode()
    except BadSignature:
        return ""


def _cookie(name: str, value: str, seconds: int, *, secure: bool = True) -> str:
    rest = "Secure; HttpOnly; SameSite=Strict" if secure else "HttpOnly; SameSite=Strict"
    return f"{name}={value}; Path=/; Max-Age={seconds}; {rest}"
