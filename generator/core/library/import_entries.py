"""Entries of an import: a fact about a video, as another program has it, and which video that is.

The key of an entry is the video's path in the words of its source: a bare file name, a path below
the library, or an absolute path of this or another machine. Nothing is guessed: an entry whose key
fits two videos belongs to neither, and one whose key fits none waits for its file.
"""

import hashlib
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from generator.core.model import Place, VideoId

_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")  # also \\server\share
_ID_DIGITS = 32


class ImportField(StrEnum):
    """The fields that can be imported, with the type of their values."""

    STARS = "stars"  # int, 1 to 5
    FAVORITE = "favorite"  # True
    VIEWS = "views"  # int, 1 or more: those that the other program counted
    TOTAL_VIEWS = "total_views"  # int, 1 or more: all there are, ours included
    TAGS = "tags"  # tuple of normalized tags, not empty
    REMOVED_TAGS = "removed_tags"  # likewise: tags of other sources that a person removed
    ADDED = "added"  # int: an instant


@dataclass(frozen=True, slots=True)
class ImportEntry:
    """One fact about one video.

    `source` names the file it is from, and `key` the video as that file does. `at` is the instant
    at which it became so, None where the source does not tell. `visitor` is the pseudonym of the
    visitor whose it is; "" for the owner.
    """

    source: str
    key: str
    field: ImportField
    value: int | tuple[str, ...]
    at: int | None = None
    visitor: str = ""


@dataclass(frozen=True, slots=True)
class RejectedEntry:
    """An entry that cannot be imported, and why; `key` is "" where it is about the whole file."""

    source: str
    key: str
    reason: str


class UnusableKeyError(Exception):
    """A key that can be no video of the library; the message says why."""


def entry_id(entry: ImportEntry) -> str:
    """Return the id of an entry's event: equal content has an equal id, whatever file it is in."""
    content = [entry.key, entry.field, entry.value, entry.at, entry.visitor]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return f"import-{digest[:_ID_DIGITS]}"


def parts_of(key: str) -> tuple[str, ...]:
    """Return the folders and the file name of a key; an absolute one begins with "/".

    Raises:
        UnusableKeyError: it is empty, or leaves its folder.
    """
    text = key.replace("\\", "/") if _DRIVE.match(key) or "/" not in key else key
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if not parts:
        raise UnusableKeyError("names no file")
    if ".." in parts:
        raise UnusableKeyError("leaves the folder of the library")
    if "\0" in key:
        raise UnusableKeyError("is no file name")
    return ("/", *parts) if text.startswith("/") or _DRIVE.match(key) else tuple(parts)


def folded(name: str) -> str:
    """Return a name such that names differing in case and Unicode normalization only are equal."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


class LibraryIndex:
    """The videos of the library by path and by name, to look up the keys of entries."""

    def __init__(self, places: Mapping[VideoId, Place], folders: Mapping[str, str]) -> None:
        """Index them.

        Args:
            places: where the file of each video is, or was last.
            folders: by root, its absolute path or address.
        """
        self._places = places
        self._roots = {root: tuple(filter(None, path.split("/"))) for root, path in folders.items()}
        self._by_name: dict[str, list[VideoId]] = defaultdict(list)
        for video, place in places.items():
            self._by_name[folded(place.path.rpartition("/")[2])].append(video)

    def find(self, key: str) -> VideoId | None:
        """Return the video that a key names, None if there is none.

        Raises:
            UnusableKeyError: it can be no video, or fits several.
        """
        parts = parts_of(key)
        hits = self._hits(key, parts)
        if len(hits) > 1:
            shown = " and ".join(sorted(self._places[video].path for video in hits)[:2])
            raise UnusableKeyError(f"may be {shown}")
        return hits[0] if hits else None

    def distance(self, key: str, video: VideoId) -> int:
        """Return how far a key is from the path of its video: 0 for the same text."""
        path = self._places[video].path
        if key == path:
            return 0
        text = "/".join(parts_of(key))
        same = (_equal, _equal_normalized, _equal_folded)
        return next((rank for rank, equal in enumerate(same, 1) if equal(text, path)), 4)

    def path_below(self, key: str) -> str:
        """Return the key as a path below the library, if it is one below a folder above it."""
        parts = parts_of(key)
        for root in self._roots:
            for path in self._paths(parts, root):
                if path != "/".join(parts):
                    return path
        return key

    def _hits(self, key: str, parts: tuple[str, ...]) -> list[VideoId]:
        alike = self._by_name.get(folded(parts[-1]), [])
        for same in (_equal, _equal_normalized, _equal_folded):
            at_path = [
                video
                for video in alike
                if any(
                    same(path, self._places[video].path)
                    for path in (key, *self._paths(parts, self._places[video].root))
                )
            ]
            if at_path:
                return at_path
        if len(parts) == 1:  # a bare name: wherever in the library the file is now
            for same in (_equal, _equal_normalized, _equal_folded):
                named = [
                    v for v in alike if same(parts[0], self._places[v].path.rpartition("/")[2])
                ]
                if named:
                    return named
        return self._at_end(parts, alike) if parts[0] == "/" else []

    def _paths(self, parts: tuple[str, ...], root: str) -> Iterable[str]:
        """Yield the paths below a root that a key may mean, the likeliest first."""
        folder = self._roots.get(root, ())
        if parts[0] == "/":
            below = parts[1:]
            if below[: len(folder)] == folder and len(below) > len(folder):
                yield "/".join(below[len(folder) :])
            return
        yield "/".join(parts)
        for count in range(1, min(len(folder), len(parts) - 1) + 1):
            if folder[-count:] == parts[:count]:  # relative to a folder above the library
                yield "/".join(parts[count:])

    def _at_end(self, parts: tuple[str, ...], alike: Iterable[VideoId]) -> list[VideoId]:
        """Return the videos with the longest path that an absolute path elsewhere ends with."""
        end = folded("/".join(parts[1:]))
        paths = {video: folded(self._places[video].path) for video in alike}
        fitting = [v for v, path in paths.items() if end == path or end.endswith("/" + path)]
        longest = max((len(paths[video]) for video in fitting), default=0)
        return [video for video in fitting if len(paths[video]) == longest]


def _equal(first: str, second: str) -> bool:
    return first == second


def _equal_normalized(first: str, second: str) -> bool:
    return unicodedata.normalize("NFC", first) == unicodedata.normalize("NFC", second)


def _equal_folded(first: str, second: str) -> bool:
    return folded(first) == folded(second)
