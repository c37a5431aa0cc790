"""Addresses of a small video server that this site replaced: `/watch/<file name>` and the like.

Every video and tag has a redirect page at `old/<digits>.html`, where the digits are a hash of the
old address below the site. It is one that nginx computes by itself (`split_clients`), so that its
configuration has the same length for any library; the page says where to go, and needs no API.
"""

import unicodedata
from collections.abc import Mapping
from struct import Struct
from urllib.parse import quote

from generator.core.formatting import normalize_tag
from generator.core.model import OutPath, Place, Video
from generator.core.site import urls
from generator.core.site.orders import RANDOM, VIDEO_ORDERS
from generator.core.site.scopes import ALL, FAVORITES, TAGS, Scope, ScopeKind

FOLDER = "old/"
DIGITS = 12
PING = "ping"  # answers PONG
PONG = "pong\n"
CALLS = frozenset(
    {"/rate", "/view", "/tag", "/delete_tag", "/favorite", "/get_views"}
)  # of the API

_BASE = 16
_WIDTH = 0xFFFFFFFF // _BASE  # of one share of 6.25 % in nginx; the last takes the rest
_M, _BITS = 0x5BD1E995, 0xFFFFFFFF
_WORD = Struct("<I")


def _order_page(name: str) -> OutPath:
    order = next(order for order in VIDEO_ORDERS if order.name == name)
    return urls.shelf_path(ALL, order, None)


# Where search was, the list by title serves best: browsers search within it.
FIXED: Mapping[str, OutPath] = {
    "tags": urls.scope_path(TAGS),
    "favorites": urls.scope_path(FAVORITES),
    "best-of": _order_page("rating"),
    "popular": _order_page("views"),
    "random": urls.shelf_path(ALL, RANDOM, None),
    "search": _order_page("title"),
}


def page_of(address: bytes) -> OutPath:
    """Return the redirect page of an old address.

    Args:
        address: decoded, below the site and without a slash in front: b"watch/My film.mp4".
    """
    digits = "".join(
        f"{min(_murmur2(b'%x' % place + address) // _WIDTH, _BASE - 1):x}"
        for place in range(DIGITS)
    )
    return OutPath(f"{FOLDER}{digits[:2]}/{digits[2:]}.html")


def bare_name(place: Place) -> str:
    """Return the bare name of a file, which is all that the old server knew of it."""
    return place.path.rpartition("/")[2]


def watch_addresses(video: Video) -> tuple[bytes, ...]:
    """Return the old addresses of a video: of its name as it is, and of its two Unicode forms.

    A folder copied from a Mac may have changed from one form to the other.
    """
    name = bare_name(video.place)
    forms = [name]
    if not name.isascii():
        forms += [unicodedata.normalize(form, name) for form in ("NFC", "NFD")]
    return tuple(dict.fromkeys(_address("watch", form) for form in forms))


def tag_addresses(name: str) -> tuple[bytes, ...]:
    """Return the old addresses of a tag, with and without "#", in the usual capitalizations."""
    spellings = dict.fromkeys((name, name.capitalize(), name.title(), name.upper()))
    return tuple(
        _address("tag", front + spelling)
        for spelling in spellings
        if normalize_tag(spelling) == name
        for front in ("", "#")
    )


def tag_page(name: str) -> OutPath:
    """Return the page that the old addresses of a tag lead to."""
    return urls.scope_path(Scope(ScopeKind.TAG, name))


def rule_of(address: bytes) -> OutPath:
    """Return an old address percent-encoded, as in a rule of `_redirects`."""
    return OutPath(quote(address, safe="/"))


def _address(kind: str, name: str) -> bytes:
    return f"{kind}/{name}".encode("utf-8", "surrogateescape")


def _murmur2(content: bytes) -> int:
    """Return MurmurHash2 (32 bits, seed 0), as nginx computes it."""
    state = len(content)
    whole = len(content) & ~3
    for (word,) in _WORD.iter_unpack(content[:whole]):
        mixed = word * _M & _BITS
        state = state * _M & _BITS ^ (mixed ^ mixed >> 24) * _M & _BITS
    if whole < len(content):
        state = (state ^ int.from_bytes(content[whole:], "little")) * _M & _BITS
    state = (state ^ state >> 13) * _M & _BITS
    return state ^ state >> 15
