"""Roles and permissions: tables and rules, without input or output.

The owner is who sends a token, has a session that a token began, or sits at the machine. A viewer
is who was invited: they have a token of their own, with which they may read a private site, and do
what visitors may. Everybody else is a visitor.
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
    """The role of a caller."""

    OWNER = "owner"
    VIEWER = "viewer"
    VISITOR = "visitor"


class Action(StrEnum):
    """What needs a permission."""

    VIEW = "view"
    RATE = "rate"
    FAVORITE = "favorite"
    TAG = "tag"
    REBUILD = "rebuild"
    RETRY = "retry"
    ADMIN = "admin"


class Transport(StrEnum):
    """How a request reached the API."""

    TCP = "tcp"
    SOCKET = "a Unix socket"
    LAMBDA = "a Lambda event"


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request comes from. Names of headers are lower-case.

    `peer` is the address at the other end of the connection, "" if that has none. `by_cdn`: it came
    through our own CDN, as a secret proves.
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
    """The credentials in a request: ids of valid tokens; "" for what it lacks.

    `bearer` and `session` are the owner's; `viewer` is the pseudonym of a viewer.
    """

    wrong_bearer: bool = False
    bearer: str = ""
    session: str = ""
    viewer: str = ""


_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OF_PROXIES = frozenset({"forwarded", "x-real-ip", "via"})
_FORWARDED = "x-forwarded-"  # -for, -host, -proto, and what else proxies send
_OWN_SITES = frozenset({"same-origin", "none"})


def role_of(caller: Caller, proofs: Proofs, rule: Loopback, had_token: Callable[[], bool]) -> Role:
    """Return the role of a caller.

    Args:
        caller: where the request comes from.
        proofs: its credentials.
        rule: whether a request from this machine is the owner's.
        had_token: returns whether there is a token, or ever was one; called only if it matters.
    """
    if proofs.bearer or proofs.session:
        return Role.OWNER
    if proofs.viewer:
        return Role.VIEWER
    if rule == "never" or not is_on_this_machine(caller):
        return Role.VISITOR
    return Role.VISITOR if rule == "until-token" and had_token() else Role.OWNER


@lru_cache(maxsize=16)
def may(
    role: Role, visitors_may: frozenset[str], *, is_private: bool = False
) -> tuple[Action, ...]:
    """Return what a role may do; visitors of a private site may do nothing."""
    if is_private and role is Role.VISITOR:
        return ()
    return tuple(action for action in Action if role is Role.OWNER or action in visitors_may)


def is_on_this_machine(caller: Caller) -> bool:
    """Return whether a request comes from this machine, and not through a proxy on it.

    nginx speaks HTTP/1.0 to its upstream by default. The Host has to be this machine's, too,
    against DNS rebinding: another site's name can resolve to this address.
    """
    return (
        caller.transport is Transport.TCP
        and is_loopback_address(caller.peer)
        and caller.http_version == "1.1"
        and not any(name in _OF_PROXIES or name.startswith(_FORWARDED) for name in caller.headers)
        and _names_this_machine(caller.headers.get("host", ""))
    )


@lru_cache(maxsize=1024)
def is_loopback_address(address: str) -> bool:
    """Return whether an address is this machine's own."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped.is_loopback
    return ip.is_loopback


@lru_cache(maxsize=1024)
def _names_this_machine(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or is_loopback_address(name)


def is_encrypted(caller: Caller) -> bool:
    """Return whether a browser speaks https, to us or to a proxy; else it keeps no secure cookie.

    The header may be forged without harm: it only affects the caller's own cookie.
    """
    protocol = caller.headers.get("x-forwarded-proto", caller.scheme)
    return protocol.rpartition(",")[2].strip().lower() == "https"


def is_cross_site(caller: Caller, origins: frozenset[str]) -> bool:
    """Return whether a write was sent by a page of another site.

    Args:
        caller: where the request comes from.
        origins: those of the site's own pages.

    Source: OWASP's cheat sheet on CSRF: Fetch Metadata first, then Origin. What sends neither is
    not a browser, or one that cannot send our content type across sites without a preflight.
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


def may_be_cross_site_form(caller: Caller) -> bool:
    """Return whether a form may come from a page of another site: a browser that does not say.

    Forms need no preflight, unlike JSON. What is no browser may send them.
    """
    says = {"sec-fetch-site", "origin"}.intersection(caller.headers)
    is_browser = caller.headers.get("user-agent", "").startswith("Mozilla/")
    return not says and (is_browser or "cookie" in caller.headers)


def is_from_own_page(caller: Caller, origins: frozenset[str]) -> bool:
    """Return whether a form was sent by a page of this site, as a header proves.

    Stricter than `is_cross_site`: a browser sends a form to any site without a preflight, so that
    a request with none of the headers is refused.
    """
    headers = caller.headers
    if "sec-fetch-site" in headers or "origin" in headers:
        return not is_cross_site(caller, origins)
    scheme, _, rest = headers.get("referer", "").lower().partition("://")
    host = rest.partition("/")[0]
    own = host == headers.get("host", "").lower() or f"{scheme}://{host}" in origins
    return scheme in {"http", "https"} and host != "" and own


def client_of(caller: Caller, proxies: frozenset[str]) -> str:
    """Return the client's address: as forwarded, if the proxy or CDN in front is ours.

    Of IPv6 the /64 prefix: within it one household chooses freely.
    """
    viewer = caller.headers.get("cloudfront-viewer-address", "")
    if caller.by_cdn and viewer:
        return _client_network(viewer.rpartition(":")[0].strip("[]"))  # the port follows the last
    address = caller.peer
    is_ours = (
        caller.transport is Transport.SOCKET or is_loopback_address(address) or address in proxies
    )
    if caller.transport is not Transport.LAMBDA and is_ours:
        forwarded = caller.headers.get("x-forwarded-for", "")
        address = forwarded.rpartition(",")[2].strip() or address
    return _client_network(address)


@lru_cache(maxsize=4096)
def _client_network(address: str) -> str:
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if not isinstance(ip, IPv6Address):
        return str(ip)
    return str(ip.ipv4_mapped) if ip.ipv4_mapped else str(IPv6Address(int(ip) >> 64 << 64))


def is_from_cdn(headers: Mapping[str, str], secrets: Iterable[str]) -> bool:
    """Return whether a request has one of the secrets that only the CDN in front knows.

    In constant time.
    """
    given = headers.get("x-origin-verify", "").encode("utf-8", "surrogateescape")
    matches = [
        compare_digest(given, secret.encode("utf-8", "surrogateescape")) for secret in secrets
    ]
    return any(matches)


def is_json(content_type: str | None) -> bool:
    """Return whether a Content-Type is that of JSON, in UTF-8."""
    kind, _, more = (content_type or "").lower().partition(";")
    charset = more.replace('"', "").replace(" ", "")
    return kind.strip() == "application/json" and charset in {"", "charset=utf-8"}


def is_form_encoded(content_type: str | None) -> bool:
    """Return whether a Content-Type is that of a form, as browsers encode it by default."""
    kind = (content_type or "").partition(";")[0]
    return kind.strip().lower() == "application/x-www-form-urlencoded"
