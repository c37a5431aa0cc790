"""What somebody asks for becomes an event: values in, values out; time is an argument."""

import hashlib
import hmac
from collections.abc import Iterable
from typing import Literal

from api_lambda.access import Role
from generator.core.model import Happening, Kind, VideoId
from generator.core.wording import tag_of

_HOUR_S = 3600
_DAY_S = 86400
_ID_BYTES = 16


def rating(key: str, video: VideoId, stars: int | None, visitor: str | None, now: int) -> Happening:
    """Return that somebody rated a video, or took it back."""
    kind = Kind.UNRATED if stars is None else Kind.RATED
    value = _of(visitor) if stars is None else {"stars": stars, **_of(visitor)}
    return Happening(key, kind, now, _source(visitor), video, value)


def favorite(key: str, video: VideoId, visitor: str | None, now: int, *, is_one: bool) -> Happening:
    """Return that somebody made a video a favorite, or no longer one."""
    kind = Kind.FAVORITED if is_one else Kind.UNFAVORITED
    return Happening(key, kind, now, _source(visitor), video, _of(visitor))


def view(key: str, video: VideoId, role: Role, now: int) -> Happening:
    """Return that somebody watched a video: who it was is not told."""
    return Happening(key, Kind.VIEWED, now, role, video)


def tags(
    key: str, video: VideoId, how: Literal["set", "add", "remove"], names: Iterable[str], now: int
) -> Happening:
    """Return that the owner gave or took tags. `names` are as `tag_names` returns them."""
    kinds = {"set": Kind.RETAGGED, "add": Kind.TAGGED, "remove": Kind.UNTAGGED}
    return Happening(key, kinds[how], now, Role.OWNER, video, {"names": list(names)})


def rebuild(key: str, now: int, *, full: bool) -> Happening:
    """Return that the owner wants the library looked at, and all pages written if `full`."""
    return Happening(key, Kind.REBUILD_ASKED, now, Role.OWNER, None, {"full": full})


def tag_names(given: Iterable[str]) -> tuple[str, ...]:
    """Return tags in their one spelling, each once, in the order given; what is empty is none."""
    names = dict.fromkeys(tag_of(one) for one in given)
    return tuple(name for name in names if name)


def day_of(now: int) -> str:
    """Return the day of an instant, as it names a salt. It sorts as days do."""
    return f"{now // _DAY_S:08d}"


def view_id(salt: bytes, video: VideoId, visit: str, now: int) -> str:
    """Return the id of a view: the same for one visit, video and hour, so that it counts once."""
    return "view-" + _digest(salt, f"{video}|{visit}|{now // _HOUR_S}")


def visit_of(salt: bytes, address: str, agent: str) -> str:
    """Return what stands for a visit whose page named none; not to be read without the salt."""
    return "by-" + _digest(salt, f"{address}|{agent}")


def pseudonym(secret: bytes, key: str) -> str:
    """Return the name of a visitor whose first write has that key: the same if it is sent again."""
    return _digest(secret, f"visitor|{key}")


def _digest(secret: bytes, text: str) -> str:
    return hmac.new(secret, text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[
        : 2 * _ID_BYTES
    ]


def _of(visitor: str | None) -> dict[str, object]:
    return {} if visitor is None else {"visitor": visitor}


def _source(visitor: str | None) -> Role:
    return Role.OWNER if visitor is None else Role.VISITOR
