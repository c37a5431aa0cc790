"""Who may read a private site: addresses to return to, and what the secret of a feed opens."""

import html
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote, urlsplit

from api_lambda.context import Response

FEEDS = ("atom.xml", "rss.xml")
_NEXT = "next="
_OWN_URL = re.compile(r"/(?![/\\])[!-~]*")
_FEED_REQUEST = re.compile(r"/feed/([A-Za-z0-9_-]{43})/([^?#]+)")
_ATTRIBUTE = re.compile(r'\s(?:url|href)="([^"]*)"')
_KINDS = ("video/", "play/", "thumb/")
_MAX_BYTES = 8 << 20  # of a feed


def next_of(referer: str) -> str:
    """Return where the login page was asked to lead: what follows `next=` in its address.

    It is the last parameter, and as the browser requested it: nginx cannot encode it. Where the
    login page was sent in place of another, as by CloudFront, it is the address of that.
    """
    address, _, query = referer.partition("#")[0].partition("?")
    if not address.endswith("/login.html"):
        parts = urlsplit(referer) if referer.isascii() and referer.isprintable() else None
        return "" if parts is None else parts.path + (f"?{parts.query}" if parts.query else "")
    text = query
    if not text.startswith(_NEXT):
        return ""
    target = text.removeprefix(_NEXT)
    return unquote(target) if target[:3].lower() == "%2f" else target


def is_own_url(target: str, base: str) -> bool:
    r"""Return whether a browser stays on this site when it follows a link.

    Backslashes and control characters are refused: browsers read `/\host` as `//host`, and drop
    tabs and line breaks.
    """
    if not _OWN_URL.fullmatch(target) or "\\" in target:
        return False
    path = urlsplit(target).path
    return path.startswith(f"{base}/") and not path.startswith(f"{base}/api/")


def login_url(base: str, target: str, fragment: str) -> str:
    """Return the address of the login page, which shows the text named by the fragment."""
    query = f"?{_NEXT}{target}" if is_own_url(target, base) and "#" not in target else ""
    return f"{base}/login.html{query}#{fragment}"


def see_other(location: str) -> Response:
    """Return a redirect after a form was sent."""
    return Response(status=HTTPStatus.SEE_OTHER, headers={"Location": location})


def feed_request(base: str, address: str) -> tuple[str, str]:
    """Return the secret and the path below the site in the address of a feed or of a file in it.

    Both are "" if it is not one. The path is decoded once, as nginx does; one that nginx would
    shorten, such as `a//b` and `a/../b`, is in no feed.
    """
    match = _FEED_REQUEST.fullmatch(address.partition("?")[0].removeprefix(base))
    if match is None:
        return "", ""
    return match[1], unquote(match[2], errors="surrogateescape")


@dataclass(slots=True)
class FeedFiles:
    """The feeds in the output folder, and the files that they name; read again when they change.

    `site` is the address of the site, as feeds have it. Without `out`, no feed is known.
    """

    out: Path | None
    site: str
    _stamps: dict[str, tuple[int, int]] = field(default_factory=dict)
    _paths: dict[str, frozenset[str]] = field(default_factory=dict)

    def has(self, path: str) -> bool:
        """Return whether a path is that of a feed, or of an enclosure or poster in one."""
        if path in FEEDS:
            return True
        return path.startswith(_KINDS) and any(path in self._named_in(name) for name in FEEDS)

    def _named_in(self, name: str) -> frozenset[str]:
        if self.out is None:
            return frozenset()
        try:
            status = (self.out / name).stat()
            stamp = status.st_mtime_ns, status.st_size
            if self._stamps.get(name) != stamp and status.st_size <= _MAX_BYTES:
                text = (self.out / name).read_text(encoding="utf-8")
                self._paths[name], self._stamps[name] = self._named(text), stamp
        except (OSError, ValueError):
            return frozenset()
        return self._paths.get(name, frozenset())

    def _named(self, text: str) -> frozenset[str]:
        front = f"{self.site}/"
        addresses = (html.unescape(value) for value in _ATTRIBUTE.findall(text))
        return frozenset(
            unquote(address.removeprefix(front), errors="surrogateescape")
            for address in addresses
            if address.startswith(front)
        )
