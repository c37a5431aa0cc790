"""Invalidations: which paths a CDN should drop, what that costs, and what is left to expire.

1,000 paths a month are free, and each further one has its price; a path that ends in "*" counts as
one, however much it drops. Pages expire within a minute anyway, so what does not fit into the
month's budget is left to that, and reported.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from urllib.parse import quote

FREE_A_MONTH = 1_000  # paths of one account
PATH_USD = 0.005  # each path beyond
LEFT_USD = 0.01  # what we would rather pay than let a changed page expire
REFETCH_USD = 0.0000004  # each object that a prefix drops and is requested again: one GET of S3
MAX_WILDCARDS = 15  # in progress at once
MAX_PATHS = 3_000  # in progress at once, without wildcards
MEDIA = ("video/", "play/")  # below the site's base: too expensive to fetch again
_MAX_LENGTH = 4_000  # characters of a path
_PLAIN = "/!$&'()*+,;=:@-._"  # besides letters and digits; all else is escaped


@dataclass(frozen=True, slots=True)
class Invalidations:
    """The paths to invalidate, as CloudFront takes them, and those left out.

    `left` are the changed keys that are left to expire. `cost_usd` is on top of what the month has
    cost so far.
    """

    paths: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    cost_usd: float = 0.0

    @property
    def wildcards(self) -> tuple[str, ...]:
        """Return those that end in "*"."""
        return tuple(path for path in self.paths if path.endswith("*"))


def plan_invalidations(
    changed: Iterable[str],
    *,
    base: str,
    budget: int,
    spent: int,
    held: Callable[[str], int],
) -> Invalidations:
    """Return what to invalidate.

    Each path by itself, as long as that is free. Then prefixes that cover many changed paths, where
    fetching all else below them again is cheaper than those paths; never one that has media, nor
    the whole site.

    Args:
        changed: keys in the bucket ("films/tag/x.html"), the most important first.
        base: where the site lives on its host, "" or "/films".
        budget: how many paths may be invalidated in a month.
        spent: how many were, this month.
        held: returns how many objects' keys begin with a prefix; called for few.
    """
    may = max(0, min(budget - spent, MAX_PATHS))
    waiting = {key: addresses_of(key) for key in dict.fromkeys(changed)}
    free = max(0, min(may, FREE_A_MONTH - spent))
    prefixes = _prefixes(waiting, base, may, free, held)
    paths = [_escaped(prefix) + "*" for prefix in prefixes]
    left = []
    for key, addresses in waiting.items():
        if any(key.startswith(prefix) for prefix in prefixes):
            continue
        if addresses and len(paths) + len(addresses) <= may:
            paths += addresses
        else:
            left.append(key)
    return Invalidations(tuple(paths), tuple(left), cost_usd(len(paths), spent))


def cost_usd(paths: int, spent: int) -> float:
    """Return what `paths` paths cost in a month in which `spent` were invalidated before."""
    paid = max(0, spent + paths - FREE_A_MONTH) - max(0, spent - FREE_A_MONTH)
    return round(paid * PATH_USD, 6)


def addresses_of(key: str) -> tuple[str, ...]:
    """Return the paths under which CloudFront may cache an object, () if it takes none of them.

    It takes no "~" in a path, escaped or not; a "*" at the end would be a wildcard.
    """
    if "~" in key or key.endswith("*") or not _is_text(key):
        return ()
    path = _escaped(key)
    if len(path) > _MAX_LENGTH:
        return ()
    if key == "index.html" or key.endswith("/index.html"):
        return path, path.removesuffix("index.html")  # mostly requested as a folder
    return (path,)


def _prefixes(
    waiting: dict[str, tuple[str, ...]],
    base: str,
    may: int,
    free: int,
    held: Callable[[str], int],
) -> list[str]:
    """Return the prefixes of keys that are cheaper than the changed paths they cover."""
    chosen: list[str] = []
    rest = dict(waiting)
    ask = cache(held)

    def loss_usd(paths: int, prefix_only: int) -> float:
        left = prefix_only + max(0, paths - may)
        return max(0, paths - free) * PATH_USD + left * LEFT_USD

    while len(chosen) < min(MAX_WILDCARDS, may):
        paths: Counter[str] = Counter()  # below each prefix; "" is for all
        prefix_only: Counter[str] = Counter()  # likewise, keys that only a prefix can cover
        for key, addresses in rest.items():
            for prefix in ("", *_above(key, base)):
                paths[prefix] += len(addresses)
                prefix_only[prefix] += not addresses
        now = loss_usd(len(chosen) + paths[""], prefix_only[""])
        best, most = "", 0.0
        for prefix in sorted(paths.keys() - {""}, key=len, reverse=True):
            then = len(chosen) + 1 + paths[""] - paths[prefix]
            gain = now - loss_usd(then, prefix_only[""] - prefix_only[prefix])
            if gain > most and gain - ask(prefix) * REFETCH_USD > most:
                best, most = prefix, gain - ask(prefix) * REFETCH_USD
        if not best:
            break
        chosen.append(best)
        rest = {key: addresses for key, addresses in rest.items() if not key.startswith(best)}
    return chosen


def _above(key: str, base: str) -> list[str]:
    """Return the prefixes that may cover a key: its folders, and what is before a "~"."""
    root = base.removeprefix("/") + "/" if base else ""
    if not key.startswith(root) or not _is_text(key):
        return []
    ends = [slash.end() for slash in re.finditer("/", key)]
    if "~" in key:
        ends.append(key.index("~"))
    prefixes = [key[:end] for end in ends if end > len(root)]
    return [prefix for prefix in prefixes if "~" not in prefix and not _holds_media(prefix, root)]


def _holds_media(prefix: str, root: str) -> bool:
    media: Sequence[str] = [root + one for one in MEDIA]
    return any(prefix.startswith(one) or one.startswith(prefix) for one in media)


def _escaped(key: str) -> str:
    return "/" + quote(key, safe=_PLAIN)


def _is_text(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True
