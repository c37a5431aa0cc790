"""The objects of a site: in which bucket each is, with which headers and bytes."""

import gzip
import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from generator.adapters.output import digest_of
from generator.adapters.s3.bucket import Bucket, StoredObject
from generator.adapters.settings import Settings
from generator.build.engine import Engine
from generator.core.delivery.publish_plan import (
    DesiredObject,
    ObjectHeaders,
    PublishedObject,
    PublishRules,
    headers_digest,
    headers_of,
    identity_of,
)
from generator.core.errors import PublishError
from generator.core.model import OutPath

log = logging.getLogger(__name__)

THREADS = 16  # parallel requests
_OLD_UPLOAD_S = 7 * 86_400
UNKNOWN = "?"  # the digest of foreign objects


class NotThereError(Exception):
    """A file is missing or changed; the message says how."""


class SiteObjects:
    """The objects of a site in one bucket, or in two: the videos may have their own.

    `cursor` goes into the metadata of objects put from now on.
    """

    def __init__(
        self, engine: Engine, settings: Settings, site: Bucket, media: Bucket | None
    ) -> None:
        self.site, self.media = site, media or site
        base = engine.site.base.strip("/")
        self.prefix = f"{base}/" if base else ""
        # a separate bucket has only the videos of this site
        self.media_prefix = "video/" if self.is_apart else f"{self.prefix}video/"
        self.cursor = ""
        self._engine, self._settings = engine, settings

    @property
    def is_apart(self) -> bool:
        """Return whether the videos have a bucket of their own."""
        return self.media is not self.site

    @property
    def identity(self) -> str:
        """Return the identity of the catalogue, as in the metadata of its objects."""
        return identity_of(self.cursor)

    def is_ours(self, stored: StoredObject) -> bool:
        """Return whether the metadata of an object says that it belongs to this site."""
        return bool(self.identity) and identity_of(stored.cursor) == self.identity

    def requests(self) -> Counter[str]:
        """Return the number of requests so far, by operation."""
        counts = Counter(self.site.requests)
        if self.is_apart:
            counts.update(self.media.requests)
        return counts

    def bucket_of(self, key: str) -> Bucket:
        """Return the bucket of a key."""
        return self.media if key.startswith(self.media_prefix) else self.site

    def abort_uploads(self, ours: Mapping[str, str]) -> None:
        """Abort own multipart uploads that made no progress for a week; they cost money.

        If the store does not allow it, this is logged and they stay.
        """
        if not ours:
            return
        try:
            if self._settings.publish_media:
                self.media.abort_uploads(_OLD_UPLOAD_S, self.media_prefix, ours)
            self.site.abort_uploads(_OLD_UPLOAD_S, f"{self.prefix}play/", ours)
        except PublishError as error:
            log.warning("%s\n  unfinished uploads stay, and their storage is charged", error)

    def rules(self, most: int = 0) -> PublishRules:
        """Return the rules in the settings; `most` is how many objects one publish may delete."""
        settings = self._settings
        gzips = settings.publish_encoding == "gzip"
        return PublishRules(settings.page_max_age_s, settings.delete_grace_s, gzips, most)

    def headers(self, desired: DesiredObject) -> ObjectHeaders:
        """Return the headers of an object."""
        return headers_of(desired, self.rules(), self.cursor)

    def headers_digest_of(self, desired: DesiredObject) -> str:
        """Return the digest of the headers of an object."""
        return headers_digest(self.headers(desired))

    def recorded(self, desired: DesiredObject, stored: StoredObject) -> PublishedObject:
        """Return the record of a stored object."""
        return PublishedObject(
            desired.key, desired.path, desired.kind, stored.digest or UNKNOWN, stored.etag,
            stored.size_bytes, self.headers_digest_of(desired), desired.video, stored.cursor,
            stored.version,
        )  # fmt: skip

    def body(self, desired: DesiredObject) -> bytes | None:
        """Return the body to put; None if the file is not as recorded."""
        content = self._engine.output.read(OutPath(desired.path))
        if content is None:
            return None
        if desired.video is None and digest_of(content).hex() != desired.digest:
            return None
        return gzip.compress(content, 6, mtime=0) if self.headers(desired).encoding else content

    def file(self, desired: DesiredObject) -> Path:
        """Return the file of a large object.

        Raises:
            NotThereError: it is missing, or changed.
        """
        file = Path(desired.place) if desired.place else self._engine.output.root / desired.path
        try:
            size = file.stat().st_size
        except FileNotFoundError:
            raise NotThereError("its file is missing") from None
        except OSError as error:
            raise NotThereError(f"its file cannot be read: {error.strerror}") from error
        if desired.size_bytes and size != desired.size_bytes:
            raise NotThereError("its file changed since the last scan")
        return file

    def size(self, desired: DesiredObject) -> int:
        """Return the size of an object in bytes, 0 if unknown."""
        if desired.size_bytes:
            return desired.size_bytes
        try:
            return self.file(desired).stat().st_size
        except NotThereError:
            return 0
