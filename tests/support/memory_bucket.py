"""A bucket in memory, with versions and conditions, for trials of thousands of requests."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import md5
from pathlib import Path
from threading import RLock

from generator.adapters.s3.bucket import (
    ABSENT,
    ANY,
    Bucket,
    MultipartUploads,
    PreconditionFailedError,
    StoredObject,
)
from generator.core.delivery.publish_plan import ObjectHeaders


@dataclass(frozen=True, slots=True)
class Kept:
    """One version of an object."""

    body: bytes
    headers: ObjectHeaders
    etag: str
    version: str


@dataclass
class MemoryBucket(Bucket):
    """A bucket in memory. `refuse` raises for a request ("PutObject", key) or returns."""

    name: str = "memory"
    minds_conditions: bool = True
    minds_conditions_of_deletions: bool = True
    refuse: Callable[[str, str], None] = lambda *_: None
    requests: Counter[str] = field(default_factory=Counter)
    objects: dict[str, Kept] = field(default_factory=dict)
    versions: dict[tuple[str, str], Kept] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)  # what a listing does not tell yet

    def __post_init__(self) -> None:
        self._lock, self._number = RLock(), 0

    def _asked(self, operation: str, key: str = "") -> None:
        self.requests[operation] += 1
        self.refuse(operation, key)

    def _check(self, key: str, match: str) -> None:
        there = self.objects.get(key)
        if match == ABSENT and there is not None:
            raise PreconditionFailedError(key)
        if match not in {ANY, ABSENT} and (there is None or there.etag != match):
            raise PreconditionFailedError(key)

    def keep(self, key: str, body: bytes, headers: ObjectHeaders) -> Kept:
        """Put an object as anybody may, and return it."""
        self._number += 1
        kept = Kept(body, headers, md5(body).hexdigest(), f"v{self._number}")
        self.objects[key] = self.versions[key, kept.version] = kept
        return kept

    def put(self, key: str, body: bytes, headers: ObjectHeaders, match: str = ANY) -> StoredObject:
        with self._lock:
            self._asked("PutObject", key)
            if self.minds_conditions:
                self._check(key, match)
            return _stored(key, self.keep(key, body, headers))

    def put_file(
        self, key: str, file: Path, headers: ObjectHeaders, match: str, parts: MultipartUploads
    ) -> StoredObject:
        del parts
        return self.put(key, file.read_bytes(), headers, match)

    def delete(self, key: str, match: str = ANY) -> None:
        with self._lock:
            self._asked("DeleteObject", key)
            if self.minds_conditions_of_deletions and key in self.objects:
                self._check(key, match)
            self.objects.pop(key, None)

    def head(self, key: str) -> StoredObject | None:
        with self._lock:
            self._asked("HeadObject", key)
            there = self.objects.get(key)
            return None if there is None else _stored(key, there)

    def get(self, key: str) -> tuple[bytes, StoredObject] | None:
        with self._lock:
            self._asked("GetObject", key)
            there = self.objects.get(key)
            return None if there is None else (there.body, _stored(key, there))

    def former(self, key: str, version: str) -> tuple[bytes, ObjectHeaders]:
        self._asked("GetObject", key)
        kept = self.versions[key, version]
        return kept.body, kept.headers

    def listed(self, prefix: str = "") -> Iterator[StoredObject]:
        self._asked("ListObjectsV2")
        for key, kept in sorted(self.objects.items()):
            if key.startswith(prefix) and key not in self.hidden:
                yield StoredObject(key, kept.etag, len(kept.body))

    def is_versioned(self) -> bool:
        return True

    def abort_uploads(
        self, older_than_s: float, prefix: str = "", ours: Mapping[str, str] | None = None
    ) -> int:
        del older_than_s, prefix
        assert ours is not None
        return 0


def _stored(key: str, kept: Kept) -> StoredObject:
    headers = kept.headers
    return StoredObject(
        key, kept.etag, len(kept.body), headers.digest, headers.cursor, kept.version
    )
