"""What proves somebody: tokens and signed cookies. Secrets come in as arguments, as time does."""

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
from generator.core.model import Token

# What follows these names is the site: see site_of.
SESSION_COOKIE = "__Host-reelshelf"
VISITOR_COOKIE = "__Host-reelshelf-visitor"
PLAIN_VISITOR_COOKIE = "reelshelf-visitor"  # over http browsers keep no other; it opens no door
SECRET_FILE = "api-secret"  # noqa: S105 (its name)
_SESSION_S = 90 * 86400
_VISITOR_S = 400 * 86400  # browsers keep none longer
_BYTES = 32
_LEAST_BYTES = 16  # of what signs: nobody guesses 128 bits
_ID_BYTES = 6
_SESSION_ID_DIGITS = 32
_USUAL_PORTS = frozenset({"80", "443"})
_PORT_DIGITS = 5


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


@lru_cache(maxsize=256)
def site_of(host: str, base: str) -> str:
    """Return what tells a site's cookies from those of others on its host: its port and its folder.

    Browsers send cookies to every port of a host, and those of `__Host-` to every folder. It is ""
    at the usual ports and in no folder.

    Args:
        host: what a request names as its host.
        base: where the site lives on it, "" or "/sub/folder".
    """
    port = host.rpartition(":")[2]
    is_port = port.isascii() and port.isdigit() and len(port) <= _PORT_DIGITS
    named = f"-{port}" if is_port and port not in _USUAL_PORTS and port != host else ""
    return named + quote(base, safe="")


@dataclass(frozen=True, slots=True)
class Session:
    """A session that a cookie proves: the token it began with, and when it ends by itself.

    `id` is what is kept of it when it is ended; nobody can make the cookie of it.
    """

    token: str
    id: str
    end: int
    cookie: str


class Cookies:
    """What is written into cookies, signed with the secret of this catalogue."""

    def __init__(self, secret: bytes) -> None:
        self._sessions = Signer(secret, salt="session", digest_method=hashlib.sha256)
        self._visitors = Signer(secret, salt="visitor", digest_method=hashlib.sha256)

    def session(self, token: str, now: int, site: str = "") -> str:
        """Return the Set-Cookie that begins a session with a token."""
        number = secrets.token_hex(_ID_BYTES)  # or two that begin in one second would end together
        value = self._sessions.sign(f"{token}|{now + _SESSION_S}|{number}").decode()
        return _cookie(SESSION_COOKIE + site, value, _SESSION_S)

    def sessions(self, cookies: Mapping[str, str], now: int, site: str = "") -> list[Session]:
        """Return the sessions that cookies prove, if they were not ended: one, as a rule.

        A cookie with the name that version 0.4 gave it counts too.
        """
        found = []
        for name in dict.fromkeys((SESSION_COOKIE + site, SESSION_COOKIE)):
            value = cookies.get(name)
            token, _, rest = _signed(self._sessions, value).partition("|")
            end = rest.partition("|")[0]
            if value and end.isdigit() and now < int(end):
                found.append(Session(token, digest(value)[:_SESSION_ID_DIGITS], int(end), name))
        return found

    def visitor(self, pseudonym: str, site: str = "", *, secure: bool = True) -> str:
        """Return the Set-Cookie that lets a visitor be known again."""
        value = self._visitors.sign(pseudonym).decode()
        name = VISITOR_COOKIE if secure else PLAIN_VISITOR_COOKIE
        return _cookie(name + site, value, _VISITOR_S, secure=secure)

    def pseudonym(self, cookies: Mapping[str, str], site: str = "") -> tuple[str, bool]:
        """Return whom a visitor's cookie names, "" if it names none, and whether it is an old one.

        An old one has the name of version 0.4, by which another site may replace it.
        """
        for end in dict.fromkeys((site, "")):
            for name in (VISITOR_COOKIE + end, PLAIN_VISITOR_COOKIE + end):
                found = _signed(self._visitors, cookies.get(name))
                if found:
                    return found, end != site
        return "", False


def end_of_session(cookie: str) -> str:
    """Return the Set-Cookie that takes a session's cookie away."""
    return f"{cookie}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict"


def cookies_of(header: str) -> dict[str, str]:
    """Return the cookies of ours in a Cookie header."""
    found: dict[str, str] = {}
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name.startswith((SESSION_COOKIE, PLAIN_VISITOR_COOKIE)):
            found[name] = value
    return found


def kept_secret(state: Path) -> bytes:
    """Return what cookies are signed with, made when it is first needed.

    Raises:
        SettingsError: it cannot be read or made, or is nothing to sign with.
    """
    file = state / SECRET_FILE
    try:
        if not file.exists():
            _make_secret(file)
        secret = secret_of(file.read_bytes().decode("ascii"))
    except OSError as error:
        raise SettingsError(
            f"cannot keep what cookies are signed with: {error}",
            hint="the folder has to be there, with room in it, for the user that serves the API",
        ) from error
    except ValueError as error:
        raise SettingsError(
            f"{file} is nothing to sign cookies with: it has to be {2 * _LEAST_BYTES} hexadecimal"
            " digits or more",
            hint="put back the one of a backup; or remove it, and a new one is made: everybody"
            " signs in again, and visitors begin anew (what they did stays)",
        ) from error
    return secret


def secret_of(text: str) -> bytes:
    """Return what hexadecimal digits stand for.

    Raises:
        ValueError: they are none, or too few to sign with.
    """
    secret = bytes.fromhex(text)
    if len(secret) < _LEAST_BYTES:
        raise ValueError(f"less than {2 * _LEAST_BYTES} hexadecimal digits")
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
        with suppress(FileExistsError):  # another process was first: its secret counts
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
