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

THREADS = 16  # that send at once
_OLD_UPLOAD_S = 7 * 86_400
UNKNOWN = "?"  # the digest of what is not ours


class NotThereError(Exception):
    """A file is not what it is known to be; the message says how."""


class SiteObjects:
    """What a site has in one bucket, or in two: the videos themselves may have their own.

    `cursor` is what objects that are put from now on are noted to show.
    """

    def __init__(
        self, engine: Engine, settings: Settings, site: Bucket, media: Bucket | None
    ) -> None:
        self.site, self.media = site, media or site
        base = engine.site.base.strip("/")
        self.prefix = f"{base}/" if base else ""
        # a bucket of their own has the videos of this site and nothing else
        self.media_prefix = "video/" if self.is_apart else f"{self.prefix}video/"
        self.cursor = ""
        self._engine, self._settings = engine, settings

    @property
    def is_apart(self) -> bool:
        """Tell whether the videos have a bucket of their own."""
        return self.media is not self.site

    @property
    def identity(self) -> str:
        """Return which catalogue the site is of: what objects of ours tell of themselves."""
        return identity_of(self.cursor)

    def is_ours(self, there: StoredObject) -> bool:
        """Tell whether an object of the bucket says that it was put for this site."""
        return bool(self.identity) and identity_of(there.cursor) == self.identity

    def requests(self) -> Counter[str]:
        """Return what was sent so far, by operation."""
        counts = Counter(self.site.requests)
        if self.is_apart:
            counts.update(self.media.requests)
        return counts

    def bucket_of(self, key: str) -> Bucket:
        """Return the bucket in which a key is."""
        return self.media if key.startswith(self.media_prefix) else self.site

    def abort_uploads(self, ours: Mapping[str, str]) -> None:
        """Give up uploads of ours that nobody went on with for a week; they cost money.

        A store that does not let us is told of, and keeps them.
        """
        if not ours:
            return
        try:
            if self._settings.publish_media:
                self.media.abort_uploads(_OLD_UPLOAD_S, self.media_prefix, ours)
            self.site.abort_uploads(_OLD_UPLOAD_S, f"{self.prefix}play/", ours)
        except PublishError as error:
            log.warning("%s\n  uploads that never ended stay, and cost what they hold", error)

    def rules(self, most: int = 0) -> PublishRules:
        """Return what settings say; `most` is how much one publish may delete."""
        settings = self._settings
        gzips = settings.publish_encoding == "gzip"
        return PublishRules(settings.fresh_s, settings.delete_grace_s, gzips, most)

    def headers(self, wanted: DesiredObject) -> ObjectHeaders:
        """Return with which headers an object is put."""
        return headers_of(wanted, self.rules(), self.cursor)

    def look(self, wanted: DesiredObject) -> str:
        """Return what tells these headers from others."""
        return headers_digest(self.headers(wanted))

    def noted(self, wanted: DesiredObject, stored: StoredObject) -> PublishedObject:
        """Return what to note of an object that is there."""
        return PublishedObject(
            wanted.key, wanted.path, wanted.kind, stored.digest or UNKNOWN, stored.etag,
            stored.size_bytes, self.look(wanted), wanted.video, stored.cursor, stored.version,
        )  # fmt: skip

    def body(self, wanted: DesiredObject) -> bytes | None:
        """Return what is to be put; None where the file is not what is known of it."""
        content = self._engine.output.read(OutPath(wanted.path))
        if content is None:
            return None
        if wanted.video is None and digest_of(content).hex() != wanted.digest:
            return None
        return gzip.compress(content, 6, mtime=0) if self.headers(wanted).encoding else content

    def file(self, wanted: DesiredObject) -> Path:
        """Return the file of an object that is large.

        Raises:
            NotThereError: it is not there, or another one.
        """
        file = Path(wanted.place) if wanted.place else self._engine.output.root / wanted.path
        try:
            size = file.stat().st_size
        except FileNotFoundError:
            raise NotThereError("its file is not there") from None
        except OSError as error:
            raise NotThereError(f"its file cannot be read: {error.strerror}") from error
        if wanted.size_bytes and size != wanted.size_bytes:
            raise NotThereError("its file is not as it was when the library was looked at")
        return file

    def size(self, wanted: DesiredObject) -> int:
        """Return how many bytes an object has, 0 where that is not known."""
        if wanted.size_bytes:
            return wanted.size_bytes
        try:
            return self.file(wanted).stat().st_size
        except NotThereError:
            return 0
