"""Requests become events: values in, values out; time is an argument."""

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
_TIME_DIGITS = 8  # of the time that generated ids begin with


def rating(key: str, video: VideoId, stars: int | None, visitor: str | None, now: int) -> Event:
    """Return the event that a video was rated, or its rating removed."""
    kind = EventKind.UNRATED if stars is None else EventKind.RATED
    value = (
        _visitor_value(visitor) if stars is None else {"stars": stars, **_visitor_value(visitor)}
    )
    return Event(key, kind, now, _source(visitor), video, value)


def favorite(
    key: str, video: VideoId, visitor: str | None, now: int, *, is_favorite: bool
) -> Event:
    """Return the event that a video became a favorite, or is not any more."""
    kind = EventKind.FAVORITED if is_favorite else EventKind.UNFAVORITED
    return Event(key, kind, now, _source(visitor), video, _visitor_value(visitor))


def view(key: str, video: VideoId, role: Role, now: int) -> Event:
    """Return the event that a video was viewed; it does not hold by whom."""
    source = Role.OWNER if role is Role.OWNER else Role.VISITOR
    return Event(key, EventKind.VIEWED, now, source, video)


def tags_event(
    key: str, video: VideoId, how: Literal["set", "add", "remove"], names: Iterable[str], now: int
) -> Event:
    """Return the event that tags changed. `names` are as `tag_names` returns them."""
    kinds = {"set": EventKind.RETAGGED, "add": EventKind.TAGGED, "remove": EventKind.UNTAGGED}
    return Event(key, kinds[how], now, Role.OWNER, video, {"names": list(names)})


def rebuild(key: str, now: int, *, full: bool) -> Event:
    """Return the request for a scan of the library, and for a full render if `full`."""
    return Event(key, EventKind.REBUILD_ASKED, now, Role.OWNER, None, {"full": full})


def retry(key: str, places: Sequence[Place] | None, now: int) -> Event:
    """Return the request to retry files: those at `places`; None: all with a problem.

    It asks for a scan of the library, too, or they would wait for the next one.
    """
    places_value = "all" if places is None else [[place.root, place.path] for place in places]
    value = {"full": False, "retry": places_value}
    return Event(key, EventKind.REBUILD_ASKED, now, Role.OWNER, None, value)


def cleared(key: str, place: Place, now: int) -> Event:
    """Return the event that a file is to be retried; a repeated request gives the same id."""
    text = f"{key}\0{place.root}\0{place.path}"
    digest = hashlib.sha256(_bytes(text)).hexdigest()[: 2 * _ID_BYTES]
    value = {"root": place.root, "path": place.path}
    return Event(
        f"{key[:_TIME_DIGITS]}{digest}", EventKind.FILE_CLEARED, now, Role.OWNER, None, value
    )


def problems_after(
    problems: Sequence[FileProblem], cursor: str, most: int
) -> tuple[Sequence[FileProblem], str | None]:
    """Return the problems after a cursor, and the next cursor, None at the end.

    Any text is a cursor and "" the first: it is a position, whether or not there is still a
    problem at it.

    Args:
        problems: all of them, as the catalogue orders them: by root, then names that are UTF-8,
            then others, each by their bytes.
        cursor: where the last page ended.
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


def encode_path(path: str) -> str:
    """Return a path percent-encoded, so that JSON can hold it: its bytes may not be UTF-8."""
    return quote(_bytes(path), safe="/")


def decode_path(encoded: str) -> str:
    """Return the path that `encode_path` encoded."""
    return unquote_to_bytes(encoded).decode("utf-8", "surrogateescape")


def tag_names(tags: Iterable[str]) -> tuple[str, ...]:
    """Return normalized tags, each once, in the order given, without empty ones."""
    names = dict.fromkeys(normalize_tag(tag) for tag in tags)
    return tuple(name for name in names if name)


def tags_to_remove(tag: str) -> tuple[str, ...]:
    """Return the spellings of a tag to remove: normalized, and as given if it may be shown so.

    A former version may have normalized it otherwise; what is shown can always be removed.
    """
    may_be_shown = tag == tag.lower().strip()
    return tuple(dict.fromkeys([*tag_names([tag]), *([tag] if may_be_shown else [])]))


def day_of(now: int) -> str:
    """Return the day of an instant, the key of its salt. It sorts as days do."""
    return f"{now // _DAY_S:08d}"


def view_id(salt: bytes, video: VideoId, visit: str, now: int) -> str:
    """Return the id of a view: the same for one visit, video and hour, so that it counts once."""
    return "view-" + _digest(salt, f"{video}|{visit}|{now // _HOUR_S}")


def toggle_id(salt: bytes, video: VideoId, visit: str, moment: int) -> str:
    """Return the id of a favorite that is switched over; the same for a request sent again."""
    return "flip-" + _digest(salt, f"{video}|{visit}|{moment}")


def visit_of(salt: bytes, address: str, agent: str) -> str:
    """Return an id for a visit whose page sent none; it reveals nothing without the salt."""
    return "by-" + _digest(salt, f"{address}|{agent}")


def pseudonym(secret: bytes, key: str) -> str:
    """Return the pseudonym of a visitor by the key of their first write: a retry gets the same."""
    return _digest(secret, f"visitor|{key}")


def _digest(secret: bytes, text: str) -> str:
    return hmac.new(secret, _bytes(text), hashlib.sha256).hexdigest()[: 2 * _ID_BYTES]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _visitor_value(visitor: str | None) -> dict[str, object]:
    return {} if visitor is None else {"visitor": visitor}


def _source(visitor: str | None) -> Role:
    return Role.OWNER if visitor is None else Role.VISITOR
