"""URLs in the settings, checked."""

import re
from urllib.parse import SplitResult, urlsplit

_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
_CONTROLS = re.compile(
    "[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)  # change the direction of text


def parse_url(value: str) -> SplitResult:
    """Parse an http or https URL.

    Raises:
        ValueError: it is invalid, or has credentials.
    """
    expected = 'must be like "https://videos.example.org" or "https://host/folder"'
    if value.split() != [value] or _CONTROLS.search(value):
        raise ValueError(f"{expected}, without spaces and control characters")
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(expected)
    if "@" in parts.netloc:
        raise ValueError("must not contain a user or a password: they would appear on every page")
    try:
        is_possible = parts.port is None or parts.port > 0
    except ValueError:
        is_possible = False
    if not is_possible or parts.netloc.endswith(":"):
        raise ValueError("its port has to be 1 to 65535")
    if not parts.hostname.isascii():
        raise ValueError(f"its host has to be in ASCII{_idna_hint(parts.hostname)}")
    if not parts.netloc.startswith("[") and not _HOST.fullmatch(parts.hostname):
        raise ValueError(f"{expected}: {parts.hostname} is no name of a host")
    return parts


def _idna_hint(host: str) -> str:
    try:
        return ", as " + host.encode("idna").decode("ascii")
    except UnicodeError:
        return ""
