"""What somebody asks for becomes an event: values in, values out; time is an argument."""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Literal
from urllib.parse import quote, unquote_to_bytes

from api_lambda.permissions import Role
from generator.core.formatting import normalize_tag
from generator.core.model import Event, EventKind, FileProblem, Place, VideoId

_HOUR_S = 3600
_DAY_S = 86400
_ID_BYTES = 16
_TIME_DIGITS = 8  # with which ids begin that nobody chose


def rating(key: str, video: VideoId, stars: int | None, visitor: str | None, now: int) -> Event:
    """Return that somebody rated a video, or took it back."""
    kind = EventKind.UNRATED if stars is None else EventKind.RATED
    value = _of(visitor) if stars is None else {"stars": stars, **_of(visitor)}
    return Event(key, kind, now, _source(visitor), video, value)


def favorite(key: str, video: VideoId, visitor: str | None, now: int, *, is_one: bool) -> Event:
    """Return that somebody made a video a favorite, or no longer one."""
    kind = EventKind.FAVORITED if is_one else EventKind.UNFAVORITED
    return Event(key, kind, now, _source(visitor), video, _of(visitor))


def view(key: str, video: VideoId, role: Role, now: int) -> Event:
    """Return that somebody watched a video: who it was is not told."""
    return Event(key, EventKind.VIEWED, now, role, video)


def tags_event(
    key: str, video: VideoId, how: Literal["set", "add", "remove"], names: Iterable[str], now: int
) -> Event:
    """Return that the owner gave or took tags. `names` are as `tag_names` returns them."""
    kinds = {"set": EventKind.RETAGGED, "add": EventKind.TAGGED, "remove": EventKind.UNTAGGED}
    return Event(key, kinds[how], now, Role.OWNER, video, {"names": list(names)})


def rebuild(key: str, now: int, *, full: bool) -> Event:
    """Return that the owner wants the library looked at, and all pages written if `full`."""
    return Event(key, EventKind.REBUILD_ASKED, now, Role.OWNER, None, {"full": full})


def retry(key: str, places: Sequence[Place] | None, now: int) -> Event:
    """Return that the owner wants files tried again: those at `places`; None: all with a problem.

    It is a wish for a look at the library, too, or nothing would try them before the next one.
    """
    wanted = "all" if places is None else [[one.root, one.path] for one in places]
    value = {"full": False, "retry": wanted}
    return Event(key, EventKind.REBUILD_ASKED, now, Role.OWNER, None, value)


def cleared(key: str, place: Place, now: int) -> Event:
    """Return that a file is to be tried again, by the wish with that key: once, if told again."""
    text = f"{key}\0{place.root}\0{place.path}"
    digest = hashlib.sha256(_bytes(text)).hexdigest()[: 2 * _ID_BYTES]
    value = {"root": place.root, "path": place.path}
    return Event(
        f"{key[:_TIME_DIGITS]}{digest}", EventKind.FILE_CLEARED, now, Role.OWNER, None, value
    )


def problems_after(
    problems: Sequence[FileProblem], cursor: str, most: int
) -> tuple[Sequence[FileProblem], str | None]:
    """Return the problems behind a cursor, and the next cursor, None at the end.

    Any text is a cursor and "" the first: what it tells is a position, whether or not there is
    still a problem at it.

    Args:
        problems: all of them, as the catalogue orders them: by root, then names that are UTF-8,
            then others, each by their bytes.
        cursor: where the last answer ended.
        most: how many to return.
    """
    start = bisect_right(problems, _position_at(cursor), key=_position) if cursor else 0
    shown = problems[start : start + most]
    return shown, _cursor(shown[-1]) if start + most < len(problems) else None


def _position(problem: FileProblem) -> tuple[bytes, bool, bytes]:
    path = _bytes(problem.place.path)
    return _bytes(problem.place.root), not _is_utf8(path), path


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _cursor(problem: FileProblem) -> str:
    root, _, path = _position(problem)
    return urlsafe_b64encode(root + b"\0" + path).decode().rstrip("=")


def _position_at(cursor: str) -> tuple[bytes, bool, bytes]:
    whole = cursor if len(cursor) % 4 != 1 else cursor[:-1]  # one digit alone is less than a byte
    root, _, path = urlsafe_b64decode(whole + "=" * (-len(whole) % 4)).partition(b"\0")
    return root, not _is_utf8(path), path


def path_told(path: str) -> str:
    """Return a path as JSON can hold it: its bytes, percent-encoded, for they may be no UTF-8."""
    return quote(_bytes(path), safe="/")


def path_meant(told: str) -> str:
    """Return the path that `path_told` tells so."""
    return unquote_to_bytes(told).decode("utf-8", "surrogateescape")


def tag_names(given: Iterable[str]) -> tuple[str, ...]:
    """Return tags in their one spelling, each once, in the order given; what is empty is none."""
    names = dict.fromkeys(normalize_tag(one) for one in given)
    return tuple(name for name in names if name)


def tag_to_take(given: str) -> tuple[str, ...]:
    """Return the spellings of a tag that is taken: its own, and the one given, if it is shown so.

    A former version may have spelled it in another way; what is shown can always be taken.
    """
    may_be_shown = given == given.lower().strip()
    return tuple(dict.fromkeys([*tag_names([given]), *([given] if may_be_shown else [])]))


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
    return hmac.new(secret, _bytes(text), hashlib.sha256).hexdigest()[: 2 * _ID_BYTES]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _of(visitor: str | None) -> dict[str, object]:
    return {} if visitor is None else {"visitor": visitor}


def _source(visitor: str | None) -> Role:
    return Role.OWNER if visitor is None else Role.VISITOR
