"""Who asks, and what he may: tables and rules, without input or output.

The owner proves himself by a token, by a session that a token began, or by sitting at the machine.
Whoever cannot is a visitor; there is no third.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hmac import compare_digest
from ipaddress import IPv6Address, ip_address
from typing import Literal
from urllib.parse import urlsplit

Loopback = Literal["until-token", "always", "never"]


class Role(StrEnum):
    """Who asks."""

    OWNER = "owner"
    VISITOR = "visitor"


class Action(StrEnum):
    """What somebody may or may not do."""

    VIEW = "view"
    RATE = "rate"
    FAVORITE = "favorite"
    TAG = "tag"
    REBUILD = "rebuild"
    MEND = "mend"


class Transport(StrEnum):
    """The way a request came."""

    TCP = "tcp"
    SOCKET = "a Unix socket"
    LAMBDA = "a Lambda event"


@dataclass(frozen=True, slots=True)
class Caller:
    """What a request says of where it comes from. Names of headers are lower-case.

    `peer` is the address at the other end of the connection, "" if that has none. `by_cdn` tells
    that it came through our own CDN, which proved itself.
    """

    transport: Transport
    peer: str
    http_version: str
    method: str
    headers: Mapping[str, str]
    scheme: str = "http"
    by_cdn: bool = False


@dataclass(frozen=True, slots=True)
class Proofs:
    """What a request brings to prove the owner: ids of valid tokens; "" for what it lacks."""

    wrong_bearer: bool = False
    bearer: str = ""
    session: str = ""


_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OF_PROXIES = ("x-forwarded-for", "forwarded", "x-real-ip", "via")
_OWN_SITES = frozenset({"same-origin", "none"})


def role_of(caller: Caller, proofs: Proofs, rule: Loopback, had_token: Callable[[], bool]) -> Role:
    """Return who asks.

    Args:
        caller: where the request comes from.
        proofs: what it brings along.
        rule: what sitting at the machine is worth.
        had_token: tells whether there is a token, or ever was one; asked only where it matters.
    """
    if proofs.bearer or proofs.session:
        return Role.OWNER
    if rule == "never" or not is_at_the_machine(caller):
        return Role.VISITOR
    return Role.VISITOR if rule == "until-token" and had_token() else Role.OWNER


@lru_cache(maxsize=16)
def may(role: Role, visitors_may: frozenset[str]) -> tuple[Action, ...]:
    """Return what somebody may do."""
    return tuple(one for one in Action if role is Role.OWNER or one in visitors_may)


def is_at_the_machine(caller: Caller) -> bool:
    """Tell whether a request comes from this machine, and not through a proxy on it.

    nginx speaks HTTP/1.0 to what is behind it unless told otherwise. The name asked for has to be
    this machine's too: a page from elsewhere can have its own name point here.
    """
    return (
        caller.transport is Transport.TCP
        and is_loopback_address(caller.peer)
        and caller.http_version == "1.1"
        and not any(name in caller.headers for name in _OF_PROXIES)
        and _names_this_machine(caller.headers.get("host", ""))
    )


@lru_cache(maxsize=1024)
def is_loopback_address(address: str) -> bool:
    """Tell whether an address is this machine's own."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped.is_loopback
    return found.is_loopback


@lru_cache(maxsize=1024)
def _names_this_machine(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or is_loopback_address(name)


def is_encrypted(caller: Caller) -> bool:
    """Tell whether a browser speaks https, to us or to a proxy; else it keeps no secure cookie.

    Nobody gains by a lie: it is about the cookie of who tells it.
    """
    told = caller.headers.get("x-forwarded-proto", caller.scheme)
    return told.rpartition(",")[2].strip().lower() == "https"


def is_cross_site(caller: Caller, origins: frozenset[str]) -> bool:
    """Tell whether a write was sent by a page of another site.

    Args:
        caller: where the request comes from.
        origins: those of the site's own pages.

    Source: OWASP's sheet on request forgery: Fetch Metadata first, then Origin. What sends neither
    is no browser, or one that cannot send our content type across sites unasked.
    """
    if caller.method in _SAFE:
        return False
    site = caller.headers.get("sec-fetch-site")
    if site is not None:
        return site not in _OWN_SITES
    origin = caller.headers.get("origin")
    if origin is None or origin.lower() in origins:
        return False
    scheme, _, host = origin.lower().partition("://")
    return scheme not in {"http", "https"} or host != caller.headers.get("host", "").lower()


def client_of(caller: Caller, proxies: frozenset[str]) -> str:
    """Return the address of who asks: as the proxy or CDN in front tells it, if that one is ours.

    Of IPv6 the first half: the other half is for one household to choose from.
    """
    viewer = caller.headers.get("cloudfront-viewer-address", "")
    if caller.by_cdn and viewer:
        return _household(viewer.rpartition(":")[0].strip("[]"))  # behind the last is the port
    address = caller.peer
    is_ours = (
        caller.transport is Transport.SOCKET or is_loopback_address(address) or address in proxies
    )
    if caller.transport is not Transport.LAMBDA and is_ours:
        told = caller.headers.get("x-forwarded-for", "")
        address = told.rpartition(",")[2].strip() or address
    return _household(address)


@lru_cache(maxsize=4096)
def _household(address: str) -> str:
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped) if found.ipv4_mapped else str(IPv6Address(int(found) >> 64 << 64))


def is_by_cdn(headers: Mapping[str, str], secrets: Iterable[str]) -> bool:
    """Tell whether a request brings one of the secrets that only the CDN in front knows.

    It takes as long whichever it brings.
    """
    given = headers.get("x-origin-verify", "").encode("utf-8", "surrogateescape")
    found = [compare_digest(given, one.encode("utf-8", "surrogateescape")) for one in secrets]
    return any(found)


def is_json(content_type: str | None) -> bool:
    """Tell whether a body says that it is JSON, which is UTF-8."""
    kind, _, more = (content_type or "").lower().partition(";")
    charset = more.replace('"', "").replace(" ", "")
    return kind.strip() == "application/json" and charset in {"", "charset=utf-8"}
