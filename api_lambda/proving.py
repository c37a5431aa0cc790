"""What proves somebody: tokens and signed cookies. Secrets come in as arguments, as time does."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from itsdangerous import BadSignature, Signer

from generator.core.model import Token

SESSION_COOKIE = "__Host-reelshelf"
VISITOR_COOKIE = "__Host-reelshelf-visitor"
PLAIN_VISITOR_COOKIE = "reelshelf-visitor"  # over http browsers keep no other; it opens no door
SECRET_FILE = "api-secret"  # noqa: S105 (its name)
_SESSION_S = 90 * 86400
_VISITOR_S = 400 * 86400  # browsers keep none longer
_BYTES = 32
_ID_BYTES = 6


def new_token(name: str, now: int) -> tuple[Token, str]:
    """Return a token to keep, and the secret to tell its owner once."""
    secret = "rs_" + secrets.token_urlsafe(_BYTES)
    return Token(secrets.token_hex(_ID_BYTES), name, digest(secret), now), secret


def digest(secret: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def token_of(secret: str, valid: Iterable[tuple[str, str]]) -> str:
    """Return the id of the valid token that a secret is, "" for none; as long for any secret."""
    given, found = digest(secret), ""
    for token, kept in valid:
        if hmac.compare_digest(given, kept):
            found = token
    return found


class Cookies:
    """What is written into cookies, signed with the secret of this catalogue."""

    def __init__(self, secret: bytes) -> None:
        self._sessions = Signer(secret, salt="session", digest_method=hashlib.sha256)
        self._visitors = Signer(secret, salt="visitor", digest_method=hashlib.sha256)

    def session(self, token: str, now: int) -> str:
        """Return the Set-Cookie that begins a session with a token."""
        value = self._sessions.sign(f"{token}|{now + _SESSION_S}").decode()
        return _cookie(SESSION_COOKIE, value, _SESSION_S)

    def token(self, cookies: Mapping[str, str], now: int) -> str:
        """Return the id of the token that the session began with, "" if there is none."""
        token, _, end = _signed(self._sessions, cookies.get(SESSION_COOKIE)).partition("|")
        return token if end.isdigit() and now < int(end) else ""

    def visitor(self, pseudonym: str, *, secure: bool = True) -> str:
        """Return the Set-Cookie that lets a visitor be known again."""
        value = self._visitors.sign(pseudonym).decode()
        name = VISITOR_COOKIE if secure else PLAIN_VISITOR_COOKIE
        return _cookie(name, value, _VISITOR_S, secure=secure)

    def pseudonym(self, cookies: Mapping[str, str]) -> str:
        """Return whom a visitor's cookie names, "" if it names none."""
        value = cookies.get(VISITOR_COOKIE) or cookies.get(PLAIN_VISITOR_COOKIE)
        return _signed(self._visitors, value)


END_OF_SESSION = f"{SESSION_COOKIE}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict"


def cookies_of(header: str) -> dict[str, str]:
    """Return the cookies of ours in a Cookie header."""
    found: dict[str, str] = {}
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name in {SESSION_COOKIE, VISITOR_COOKIE, PLAIN_VISITOR_COOKIE}:
            found[name] = value
    return found


def kept_secret(state: Path) -> bytes:
    """Return what cookies are signed with, made when it is first needed.

    Raises:
        OSError: the folder cannot be read or written.
    """
    file = state / SECRET_FILE
    if not file.exists():
        state.mkdir(parents=True, exist_ok=True)
        beside = state / f".{SECRET_FILE}-{secrets.token_hex(_ID_BYTES)}"
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as made:
                made.write(secrets.token_hex(_BYTES))
                made.flush()
                os.fsync(made.fileno())
            with suppress(FileExistsError):  # another process was first: its secret counts
                os.link(beside, file)
        finally:
            beside.unlink(missing_ok=True)
    return bytes.fromhex(file.read_text(encoding="ascii"))


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
