"""Objects: what a reader of buckets tells of them, and what becomes of one that cannot be read."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol
from urllib.parse import unquote, urlsplit

EMPTY = "is empty"  # of a file, why it cannot be read by range
_SCHEMES = ("https://", "http://")
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ListingPart:
    """A part of a listing: (key, bytes, mtime_ns) of objects, and prefixes that others have.

    The prefixes, with "/" at their ends, are there only where one level was listed.
    """

    objects: tuple[tuple[str, int, int], ...]
    prefixes: tuple[str, ...] = ()


class BucketLister(Protocol):
    """What can list a bucket."""

    def listed(self, front: str, *, deep: bool = True, most: int = 0) -> Iterator[ListingPart]:
        """Yield the objects whose keys begin with `front`: all, or those of one level, in parts.

        With `most`, only the first so many. Raises OSError; what was yielded is true all the same.
        """


class ForbiddenError(OSError):
    """The object may not be read, and asking again does not help."""


class StoreUnavailableError(OSError):
    """The bucket cannot be reached, or lets nobody in: nothing can be told of what is there."""


class ObjectChangedError(OSError):
    """The object was replaced or removed since it was seen: it is to be looked at again."""


def is_address(file: str) -> bool:
    """Tell whether what a file is found by is an address; paths begin with "/"."""
    return file.startswith(_SCHEMES)


def file_name(file: str) -> str:
    """Return the name of a file, at whatever path or address."""
    if is_address(file):
        return unquote(urlsplit(file).path.rpartition("/")[2], errors="surrogateescape")
    return file.rpartition("/")[2]


def unsigned(file: str) -> str:
    """Return what a file is found by, without what an address has for an hour only."""
    return file.partition("?")[0] if is_address(file) else file


def time_of(changed_at: int, etag: str) -> int:
    """Return what stands for an object's mtime_ns: another number whenever its bytes are others.

    Args:
        changed_at: when it was put there; stores tell no more than the second.
        etag: what the store calls its content, which makes up the rest.
    """
    digest = blake2b(etag.strip('"').encode(), digest_size=8).digest()
    return changed_at * _SECOND_NS + int.from_bytes(digest) % _SECOND_NS
