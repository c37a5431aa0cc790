"""Objects of a bucket: the listing protocol, and the errors of reading one."""

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
    """A page of a listing: (key, bytes, mtime_ns) of objects, and common prefixes.

    The prefixes, with "/" at their ends, are there only where one level was listed.
    """

    objects: tuple[tuple[str, int, int], ...]
    prefixes: tuple[str, ...] = ()


class BucketLister(Protocol):
    """Lists a bucket."""

    def listed(self, front: str, *, deep: bool = True, most: int = 0) -> Iterator[ListingPart]:
        """Yield the objects whose keys begin with `front`, in pages: all, or those of one level.

        With `most`, only the first `most`. Raises OSError; what was yielded is valid all the same.
        """


class ForbiddenError(OSError):
    """The object may not be read, and a retry does not help."""


class StoreUnavailableError(OSError):
    """The bucket cannot be reached or denies access: its content is unknown."""


class ObjectChangedError(OSError):
    """The object was replaced or removed since it was listed: scan it again."""


def is_address(file: str) -> bool:
    """Return whether a file is given by a URL; paths begin with "/"."""
    return file.startswith(_SCHEMES)


def file_name(file: str) -> str:
    """Return the name of a file, given by its path or URL."""
    if is_address(file):
        return unquote(urlsplit(file).path.rpartition("/")[2], errors="surrogateescape")
    return file.rpartition("/")[2]


def unsigned(file: str) -> str:
    """Return a path or URL without the query, which has the signature that expires."""
    return file.partition("?")[0] if is_address(file) else file


def time_of(changed_at: int, etag: str) -> int:
    """Return a substitute for an object's mtime_ns that changes whenever its content does.

    Args:
        changed_at: its Last-Modified, in whole seconds.
        etag: its ETag, which fills the nanoseconds.
    """
    digest = blake2b(etag.strip('"').encode(), digest_size=8).digest()
    return changed_at * _SECOND_NS + int.from_bytes(digest) % _SECOND_NS
