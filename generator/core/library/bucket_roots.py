"""Buckets: roots of the library that are not folders, and which paths their objects have.

An object below the prefix of such a root is a file of it: what follows the prefix in its key is its
path. Keys may say what no path can ("a//b", "../x"); those are no files.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from typing_extensions import override

from generator.core.model import Place
from generator.core.queue.messages import ObjectNotification

SCHEME = "s3://"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_LONGEST_KEY_BYTES = 1024
_NO_NAMES = ("", ".", "..")


@dataclass(frozen=True, slots=True)
class BucketRoot:
    """A root that is in a bucket; `prefix` has no "/" at its ends, and is "" for all there is."""

    bucket: str
    prefix: str = ""

    @property
    def name(self) -> str:
        """Return what the root is called among several."""
        return self.prefix.rpartition("/")[2] or self.bucket

    @property
    def front(self) -> str:
        """Return what the keys of all its objects begin with."""
        return f"{self.prefix}/" if self.prefix else ""

    def key(self, path: str) -> str:
        """Return the key of a file below the root."""
        return self.front + path

    def lies_in(self, other: "BucketRoot") -> bool:
        """Tell whether all its objects are the other's, too."""
        return self.bucket == other.bucket and self.front.startswith(other.front)

    @override
    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.front}".rstrip("/")


def bucket_of(address: str) -> BucketRoot:
    """Return the root that an address like "s3://bucket/some/prefix" means.

    Raises:
        ValueError: it is no such address; the message says why.
    """
    bucket, _, prefix = address.removeprefix(SCHEME).partition("/")
    prefix = prefix.removesuffix("/")
    if not address.startswith(SCHEME) or not _NAME.fullmatch(bucket):
        raise ValueError("a root in a bucket is like s3://bucket or s3://bucket/prefix")
    if prefix and not is_path(prefix):
        raise ValueError('its prefix may have no empty part, and no "." or ".." as one')
    return BucketRoot(bucket, prefix)


def is_path(path: str) -> bool:
    """Tell whether a key, or what follows the prefix in it, can be the path of a file."""
    return "\0" not in path and not any(part in _NO_NAMES for part in path.split("/"))


def places_of(
    notifications: Iterable[ObjectNotification], roots: Mapping[str, BucketRoot]
) -> frozenset[Place]:
    """Return the folders of roots in which objects came or went: where to look again.

    What lies in none of the roots, and what no file can be called, is passed over.
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
        return len(key.encode()) <= _LONGEST_KEY_BYTES
    except UnicodeEncodeError:  # an object's key is UTF-8; this one is nobody's
        return False
