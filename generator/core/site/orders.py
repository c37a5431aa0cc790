"""Sort keys and orders: how a video or a scope becomes bytes that SQLite sorts as people expect.

A key is a byte string. Comparing two keys byte by byte gives the order of the listing, ties
included (newest first where the order is read in its own direction, then by id), and its last four
bytes are the id of the member. Keys are unique in a listing.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b

from generator.core.model import Video
from generator.core.site.episodes import numbered

_SECONDS_BIAS = 1 << 39  # instants reach from 15,400 BC to AD 19,400 in five bytes
_SECONDS_TOP = (1 << 40) - 1
_FOLDER_BYTES, _PATH_BYTES, _NUMBER_BYTES = 60, 160, 6
_TITLE_BYTES = 200  # titles that are equal for longer are sorted newest first
_DIGITS = re.compile(r"[0-9]+")
_SPACES = re.compile(r"[\s\x00]+")


class SortKey(StrEnum):
    """What a listing is sorted by, always stored ascending."""

    __hash__ = str.__hash__  # Enum's own is slow, and keys are looked up often

    ADDED = "added"
    TITLE = "title"
    RATING = "rating"
    VIEWS = "views"
    DURATION = "duration"
    SIZE = "size"
    RECORDED = "recorded"
    PLACE = "place"
    SHUFFLE = "shuffle"
    NAME = "name"
    COUNT = "count"


@dataclass(frozen=True, slots=True, eq=False)  # there is but one of each
class Order:
    """A key read in one direction; `name` is for URLs, `label` for pages."""

    name: str
    key: SortKey
    descending: bool
    label: str


NEWEST = Order("newest", SortKey.ADDED, descending=True, label="Newest")
VIDEO_ORDERS = (
    NEWEST,
    Order("oldest", SortKey.ADDED, descending=False, label="Oldest"),
    Order("title", SortKey.TITLE, descending=False, label="Title A to Z"),
    Order("title-desc", SortKey.TITLE, descending=True, label="Title Z to A"),
    Order("name", SortKey.PLACE, descending=False, label="Episode order"),
    Order("name-desc", SortKey.PLACE, descending=True, label="Episode order (reversed)"),
    Order("rating", SortKey.RATING, descending=True, label="Best rated"),
    Order("rating-asc", SortKey.RATING, descending=False, label="Lowest rated"),
    Order("views", SortKey.VIEWS, descending=True, label="Most viewed"),
    Order("views-asc", SortKey.VIEWS, descending=False, label="Least viewed"),
    Order("duration", SortKey.DURATION, descending=True, label="Longest"),
    Order("duration-asc", SortKey.DURATION, descending=False, label="Shortest"),
    Order("size", SortKey.SIZE, descending=True, label="Largest"),
    Order("size-asc", SortKey.SIZE, descending=False, label="Smallest"),
    Order("recorded", SortKey.RECORDED, descending=True, label="Recorded: newest first"),
    Order("recorded-asc", SortKey.RECORDED, descending=False, label="Recorded: oldest first"),
)
RANDOM = Order("random", SortKey.SHUFFLE, descending=False, label="Random")
TAG_ORDERS = (
    Order("name", SortKey.NAME, descending=False, label="By name"),
    Order("count", SortKey.COUNT, descending=True, label="Most used"),
)
SUBFOLDERS = Order("folders", SortKey.NAME, descending=False, label="Folders")


def member(key: bytes) -> int:
    """Return the id of the member with this key."""
    return int.from_bytes(key[-4:], "big")


def video_key(video: Video, key: SortKey) -> bytes:
    """Return the sort key of `video` in a listing by `key`.

    Raises:
        KeyError: `key` is one of scopes, not of videos.
    """
    tail = _seconds(video.added_at) + video.id.to_bytes(4, "big")
    return _FRONTS[key](video, tail)


def _title_front(video: Video, tail: bytes) -> bytes:
    return _title_front_of(video.title, tail)


def _title_front_of(title: str, tail: bytes) -> bytes:
    newest_first = _SECONDS_TOP - int.from_bytes(tail[:5], "big")
    return collation(title) + b"\0" + newest_first.to_bytes(5, "big") + tail[5:]


def _place_front(video: Video, tail: bytes) -> bytes:
    """Return the folder, then the series, season and episode, then the rest of the name."""
    place = numbered(video)
    number = bytes(_NUMBER_BYTES)
    if place.episode is not None:
        number = ((place.season or 0) + 1).to_bytes(3, "big") + place.episode.to_bytes(3, "big")
    folder = video.place.path.rpartition("/")[0]
    return b"".join(
        (
            _folder_front(video.place.root, folder),
            collation(place.series) + b"\0",
            number,
            _title_front_of(place.rest, tail),
        )
    )


@lru_cache(maxsize=1 << 12)
def _folder_front(root: str, folder: str) -> bytes:
    """Return the sort key of a folder; a long one is truncated, and a digest makes it unique."""
    parts = [collation(part)[:_FOLDER_BYTES] for part in (root, *folder.split("/"))]
    path = f"{root}/{folder}".encode("utf-8", "surrogatepass")
    return b"\x01".join(parts)[:_PATH_BYTES] + b"\0" + blake2b(path, digest_size=4).digest()


def _rating(video: Video) -> bytes:
    """Return the visitors' mean, or without votes the owner's rating; ties by the owner's."""
    stars = video.stars or 0
    return bytes((video.score_tenths or stars * 10, stars))


_FRONTS: dict[SortKey, Callable[[Video, bytes], bytes]] = {
    SortKey.ADDED: lambda _, tail: tail,
    SortKey.TITLE: _title_front,
    SortKey.RATING: lambda video, tail: _rating(video) + tail,
    SortKey.VIEWS: lambda video, tail: _count(video.views) + tail,
    SortKey.DURATION: lambda video, tail: (
        _count(round((video.probe.duration_s or 0) * 1000)) + tail
    ),
    SortKey.SIZE: lambda video, tail: _count(video.size_bytes) + tail,
    SortKey.RECORDED: lambda video, tail: _seconds(video.recorded_at) + tail,
    SortKey.PLACE: _place_front,
    SortKey.SHUFFLE: lambda _, tail: blake2b(tail[5:], digest_size=6).digest() + tail[5:],
}


def scope_key(name: str, members: int, scope_id: int, key: SortKey) -> bytes:
    """Return the sort key of a scope in an index by `key` (its name, or its size).

    Raises:
        ValueError: `key` is one of videos, not of scopes.
    """
    tail = scope_id.to_bytes(4, "big")
    if key is SortKey.NAME:
        return collation(name) + b"\0" + tail
    if key is SortKey.COUNT:
        return _count(members) + tail
    raise ValueError(f"scopes are not sorted by {key}")


def collation(text: str) -> bytes:
    """Return bytes that sort naturally: case and accents ignored, 2 before 10.

    Without a zero byte, at most 200 bytes; equal for texts that differ only in case or accents.
    """
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text)
        text = "".join([c for c in decomposed if not unicodedata.combining(c)])
    folded = _SPACES.sub(" ", text.casefold()).strip()
    return _DIGITS.sub(_number, folded).encode("utf-8", "replace")[:_TITLE_BYTES]


def _number(digits: re.Match[str]) -> str:
    significant = digits[0].lstrip("0")
    return f"0{min(len(significant), 999):03d}{significant}"


def _seconds(instant: int) -> bytes:
    return min(max(instant + _SECONDS_BIAS, 0), _SECONDS_TOP).to_bytes(5, "big")


def _count(number: int) -> bytes:
    return min(number, _SECONDS_TOP).to_bytes(5, "big")
