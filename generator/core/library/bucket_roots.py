"""Roots of the library that are buckets, and the paths of their objects.

An object below the prefix of such a root is a file of it: what follows the prefix in its key is its
path. Keys that cannot be paths ("a//b", "../x") are ignored.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from typing_extensions import override

from generator.core.model import Place
from generator.core.queue.messages import ObjectNotification

SCHEME = "s3://"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_MAX_KEY_BYTES = 1024
_NO_NAMES = ("", ".", "..")


@dataclass(frozen=True, slots=True)
class BucketRoot:
    """A root in a bucket; `prefix` has no "/" at its ends, and is "" for the whole bucket."""

    bucket: str
    prefix: str = ""

    @property
    def name(self) -> str:
        """Return the name of the root among several."""
        return self.prefix.rpartition("/")[2] or self.bucket

    @property
    def front(self) -> str:
        """Return the prefix of the keys of all its objects."""
        return f"{self.prefix}/" if self.prefix else ""

    def key(self, path: str) -> str:
        """Return the key of a file below the root."""
        return self.front + path

    def lies_in(self, other: "BucketRoot") -> bool:
        """Return whether all its objects are the other's, too."""
        return self.bucket == other.bucket and self.front.startswith(other.front)

    @override
    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.front}".rstrip("/")


def bucket_of(address: str) -> BucketRoot:
    """Return the root at a URL like "s3://bucket/some/prefix".

    Raises:
        ValueError: it is not such a URL; the message says why.
    """
    bucket, _, prefix = address.removeprefix(SCHEME).partition("/")
    prefix = prefix.removesuffix("/")
    if not address.startswith(SCHEME) or not _NAME.fullmatch(bucket):
        raise ValueError("a root in a bucket is like s3://bucket or s3://bucket/prefix")
    if prefix and not is_path(prefix):
        raise ValueError('its prefix may have no empty part, and no "." or ".." as one')
    return BucketRoot(bucket, prefix)


def is_path(path: str) -> bool:
    """Return whether a key, or what follows the prefix in it, can be the path of a file."""
    return "\0" not in path and not any(part in _NO_NAMES for part in path.split("/"))


def places_of(
    notifications: Iterable[ObjectNotification], roots: Mapping[str, BucketRoot]
) -> frozenset[Place]:
    """Return the folders of roots in which objects were created or removed: where to rescan.

    Objects in none of the roots, and keys that cannot be paths, are ignored.
    """
    places: set[Place] = set()
    for notification in notifications:
        for name, root in roots.items():
            if notification.bucket != root.bucket or not notification.key.startswith(root.front):
                continue
            path = notification.key.removeprefix(root.front)
            if is_path(path) and _can_be_asked_for(notification.key):
                places.add(Place(name, path.rpartition("/")[0]))
    return frozenset(places)


def _can_be_asked_for(key: str) -> bool:
    try:
        return len(key.encode()) <= _MAX_KEY_BYTES
    except UnicodeEncodeError:  # keys of objects are UTF-8
        return False
