"""The deploy diff: what is uploaded, with which headers, in which order, and what it costs.

No page may ever link to a missing object. So assets are uploaded first, then new pages, those that
are linked to before those that link, then pages that are there already; deletions are last, in
the opposite order.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from hashlib import blake2b
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlsplit

from generator.core.model import OutPath, Video, VideoId
from generator.core.site import urls

_T = TypeVar("_T")

# List prices of us-east-1, in USD: https://aws.amazon.com/s3/pricing/, read on 2026-11-22.
PUTS_USD = 0.005 / 1000  # PUT and LIST; a DELETE costs nothing
READS_USD = 0.0004 / 1000  # GET and HEAD
_READS = frozenset({"GetObject", "HeadObject", "GetBucketVersioning"})
PRICES = "list prices of us-east-1 on 2026-11-22"

MIN_DELETIONS = 256  # one publish may always delete this many
OURS = "_reelshelf/"  # keys that are not part of a site: the owner's mark and the like
SITE_MARKS, MARK = OURS + "site/", "mark.json"  # between them the prefix of the site
MEDIA_MARK = OURS + "videos.json"  # likewise, in a bucket that has videos alone
_RETRY_S, _MAX_RETRY_S = 60, 6 * 3600  # of an object that failed; doubles
_FOR_EVER = "public, max-age=31536000, immutable"
_MEDIA = "public, max-age=3600, s-maxage=86400"  # its name stays when it is replaced
_DIGEST = re.compile(r"-([0-9a-f]{8,64})[.-]")
_NUMBERED = re.compile(r"-\d+\.html$")
_TYPES = {
    "html": "text/html; charset=utf-8", "xml": "application/xml; charset=utf-8",
    "txt": "text/plain; charset=utf-8", "json": "application/json",
    "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml", "vtt": "text/vtt; charset=utf-8",
    "m3u8": "application/vnd.apple.mpegurl", "webp": "image/webp", "jpg": "image/jpeg",
    "jpeg": "image/jpeg", "png": "image/png", "avif": "image/avif", "gif": "image/gif",
    "ico": "image/x-icon", "woff2": "font/woff2", "mp4": "video/mp4", "m4v": "video/mp4",
    "webm": "video/webm", "mkv": "video/x-matroska", "mov": "video/quicktime",
    "avi": "video/x-msvideo", "ts": "video/mp2t", "m2ts": "video/mp2t", "mts": "video/mp2t",
    "mpg": "video/mpeg", "mpeg": "video/mpeg", "vob": "video/mpeg", "ogv": "video/ogg",
    "ogg": "video/ogg", "ogx": "video/ogg",
    "ogm": "video/ogg", "wmv": "video/x-ms-wmv", "asf": "video/x-ms-asf", "flv": "video/x-flv",
    "3gp": "video/3gpp", "3g2": "video/3gpp2",
}  # fmt: skip
_TEXTS = frozenset({"html", "xml", "txt", "json", "css", "js", "svg", "vtt", "m3u8"})
_FEEDS = {
    urls.ATOM: "application/atom+xml; charset=utf-8",
    urls.RSS: "application/rss+xml; charset=utf-8",
}


class ObjectKind(StrEnum):
    """What an object of the bucket is to the site."""

    MEDIA = "media"
    ASSET = "asset"
    STILL = "still"
    BOARD = "board"
    TEXT = "text"
    COPY = "copy"
    DATA = "data"
    WATCH = "watch"
    SHELF = "shelf"
    INDEX = "index"
    FEED = "feed"


_RANKS = {
    ObjectKind.MEDIA: 0, ObjectKind.ASSET: 0, ObjectKind.STILL: 0, ObjectKind.BOARD: 0,
    ObjectKind.TEXT: 0, ObjectKind.COPY: 0, ObjectKind.DATA: 1, ObjectKind.WATCH: 2,
    ObjectKind.SHELF: 3, ObjectKind.INDEX: 4, ObjectKind.FEED: 5,
}  # fmt: skip
_HOME_RANK = 6
_PAGE_RANK = 2


@dataclass(frozen=True, slots=True)
class ObjectHeaders:
    """The HTTP headers of an object, and the metadata of reelshelf on it.

    `encoding` is "" for bytes as they are. `digest` (hex) and `cursor` are in its metadata.
    """

    content_type: str
    cache_control: str
    encoding: str = ""
    digest: str = ""
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class DesiredObject:
    """An object as it should be. `path` is below the output folder, or the URL path of media.

    `video` is the video it belongs to, None for pages. `digest` identifies its content: that of a
    page's bytes, the one in the name of a made file, size and fingerprint of a video.
    """

    key: str
    path: str
    kind: ObjectKind
    digest: str
    size_bytes: int = 0
    video: VideoId | None = None
    place: str = ""  # the file, of media


@dataclass(frozen=True, slots=True)
class PublishedObject:
    """An object as it was last uploaded. `etag` is "" when the object's current state is unknown.

    `gone_at` is since when it is unwanted, None while wanted.
    """

    key: str
    path: str
    kind: ObjectKind
    digest: str
    etag: str
    size_bytes: int
    headers_digest: str = ""
    video: VideoId | None = None
    cursor: str = ""
    version: str = ""
    gone_at: int | None = None


@dataclass(frozen=True, slots=True)
class Put:
    """An object to upload, in place of `before`, or as a new one where that is None."""

    desired: DesiredObject
    before: PublishedObject | None


@dataclass(frozen=True, slots=True)
class PublishPlan:
    """Steps of uploads, each to be finished before the next; then deletions likewise.

    `back` are wanted again, `gone` wait for their deletion from now on, `same` are up to date.
    `refused` deletions are more than one publish may make.
    """

    steps: tuple[tuple[Put, ...], ...] = ()
    deletions: tuple[tuple[PublishedObject, ...], ...] = ()
    back: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    same: int = 0
    refused: int = 0

    @property
    def puts(self) -> Iterator[Put]:
        """Yield all uploads, in order."""
        return (put for step in self.steps for put in step)


@dataclass(frozen=True, slots=True)
class PublishRules:
    """The settings of publishing; `most` is how many objects one publish may delete."""

    page_max_age_s: int
    grace_s: int
    gzip: bool
    most: int


def object_kind(path: str) -> ObjectKind:
    """Return what a file of the output folder is."""
    head, _, rest = path.partition("/")
    if not rest:
        return _root_kind(path)
    if head == "data":  # it has the number of shelves, and so comes after them
        return ObjectKind.INDEX
    if head == "board" and rest.count("/") == 0:
        return ObjectKind.DATA
    return _FOLDERS.get(head, ObjectKind.SHELF)


_FOLDERS = {
    "assets": ObjectKind.ASSET, "thumb": ObjectKind.STILL, "board": ObjectKind.BOARD,
    "text": ObjectKind.TEXT, "play": ObjectKind.COPY, "watch": ObjectKind.WATCH,
    "sitemap": ObjectKind.FEED, "video": ObjectKind.MEDIA,
}  # fmt: skip


def _root_kind(path: str) -> ObjectKind:
    if path in {urls.ATOM, urls.RSS, urls.ROBOTS, urls.SITEMAP_INDEX}:
        return ObjectKind.FEED
    return ObjectKind.SHELF if _NUMBERED.search(path) else ObjectKind.INDEX


def is_published(path: str) -> bool:
    """Return whether a file of the output folder belongs into a bucket, not to another host."""
    return path not in {"_headers", "_redirects"}


def rank(desired: DesiredObject | PublishedObject) -> int:
    """Return the rank of an upload: higher than that of what it links to, if there is an order."""
    return _HOME_RANK if desired.path == urls.HOME else _RANKS[desired.kind]


def headers_of(desired: DesiredObject, rules: PublishRules, cursor: str) -> ObjectHeaders:
    """Return the headers of an object."""
    ending = desired.path.rpartition(".")[2].lower()
    content_type = _FEEDS.get(OutPath(desired.path)) or _TYPES.get(
        ending, "application/octet-stream"
    )
    encoding = "gzip" if rules.gzip and ending in _TEXTS else ""
    cache = cache_control(desired, rules.page_max_age_s)
    return ObjectHeaders(content_type, cache, encoding, desired.digest, cursor)


def cache_control(desired: DesiredObject, page_max_age_s: int) -> str:
    """Return the Cache-Control of an object: immutable where its name has its digest."""
    if desired.kind is ObjectKind.MEDIA:
        return _MEDIA
    if desired.video is not None or desired.kind is ObjectKind.ASSET:
        return _FOR_EVER
    if not page_max_age_s:
        return "public, max-age=0, must-revalidate"
    return f"public, max-age=0, s-maxage={page_max_age_s}, stale-while-revalidate={page_max_age_s}"


def headers_digest(headers: ObjectHeaders) -> str:
    """Return a digest of the HTTP headers, without the metadata of reelshelf."""
    text = f"{headers.content_type}|{headers.cache_control}|{headers.encoding}"
    return blake2b(text.encode(), digest_size=6).hexdigest()


def desired_page(prefix: str, path: OutPath, digest: str, size_bytes: int) -> DesiredObject:
    """Return the object of a page."""
    return DesiredObject(prefix + path, path, object_kind(path), digest, size_bytes)


def desired_made_files(prefix: str, video: Video) -> Iterator[DesiredObject]:
    """Yield the objects of the files made for a video: their bytes never change."""
    for path in urls.made_files(video):
        match = _DIGEST.search(path)
        assert match is not None, f"{path} has no digest in its name"
        yield DesiredObject(prefix + path, path, object_kind(path), match[1], video=video.id)


def is_later(cursor: str, other: str) -> bool:
    """Return whether a cursor is of the same catalogue as another, and of a later event."""
    catalogue, _, event = cursor.partition(":")
    same, _, number = other.partition(":")
    is_comparable = event.isdecimal() and number.isdecimal()
    return is_comparable and catalogue == same and int(event) > int(number)


def is_loopback_origin(origin: str) -> bool:
    """Return whether an origin ("https://host") is a loopback address, whatever its spelling."""
    host = (urlsplit(origin).hostname or "").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def identity_of(cursor: str) -> str:
    """Return the identity of a cursor's catalogue, "" for none."""
    return cursor.partition(":")[0]


def retry_at(tries: int, now: int) -> int:
    """Return when to retry an object that failed so often: at once, then with backoff."""
    return now if tries <= 1 else now + min(_RETRY_S << min(tries - 2, 16), _MAX_RETRY_S)


def most_deletions(published: int, share: float) -> int:
    """Return how many of n objects one publish may delete."""
    return max(MIN_DELETIONS, int(published * share))


def plan_publish(
    desired: Mapping[str, DesiredObject],
    published: Mapping[str, PublishedObject],
    headers_digest_of: Callable[[DesiredObject], str],
    rules: PublishRules,
    now: int,
) -> PublishPlan:
    """Return the plan that makes the bucket equal to the desired objects.

    Args:
        desired: what should be there, by key.
        published: what was uploaded of these, and of what may be gone.
        headers_digest_of: returns the digest of the headers that an object should have.
        rules: the settings.
        now: the current instant.
    """
    puts = [
        Put(one, published.get(key))
        for key, one in desired.items()
        if not _is_up_to_date(one, published.get(key), headers_digest_of)
    ]
    put = {one.desired.key for one in puts}
    left = [one for key, one in published.items() if key not in desired]
    due = [one for one in left if _gone_at(one, now) + rules.grace_s <= now]
    is_refused = len(due) > rules.most
    return PublishPlan(
        steps=upload_steps(puts),
        deletions=() if is_refused else deletion_steps(due),
        back=tuple(
            key
            for key in desired
            if key in published and key not in put and published[key].gone_at is not None
        ),
        gone=tuple(one.key for one in left if one.gone_at is None),
        same=len(desired) - len(puts),
        refused=len(due) if is_refused else 0,
    )


def _is_up_to_date(
    desired: DesiredObject,
    before: PublishedObject | None,
    headers_digest_of: Callable[[DesiredObject], str],
) -> bool:
    if before is None or not before.etag or before.digest != desired.digest:
        return False
    return before.headers_digest == headers_digest_of(desired)


def _gone_at(one: PublishedObject, now: int) -> int:
    return now if one.gone_at is None else one.gone_at


def upload_steps(puts: Iterable[Put]) -> tuple[tuple[Put, ...], ...]:
    """Return uploads in steps, each to be finished before the next."""
    return _grouped(puts, _step)


def deletion_steps(gone: Iterable[PublishedObject]) -> tuple[tuple[PublishedObject, ...], ...]:
    """Return deletions in steps, likewise."""
    return _grouped(gone, lambda one: -rank(one))


def _step(put: Put) -> int:
    number = rank(put.desired)
    is_there = put.before is not None and bool(put.before.digest)
    return number if number < _PAGE_RANK or not is_there else number + _HOME_RANK


def _grouped(items: Iterable[_T], number: Callable[[_T], int]) -> tuple[tuple[_T, ...], ...]:
    groups: dict[int, list[_T]] = {}
    for item in items:
        groups.setdefault(number(item), []).append(item)
    return tuple(tuple(groups[key]) for key in sorted(groups))


def requests_usd(requests: Mapping[str, int]) -> float:
    """Return the list price of requests to S3, given the counts by operation."""
    reads = sum(count for name, count in requests.items() if name in _READS)
    free = sum(count for name, count in requests.items() if name.startswith(("Delete", "Abort")))
    puts = sum(requests.values()) - reads - free
    return round(puts * PUTS_USD + reads * READS_USD, 9)


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """How many objects of ours are in a place that is not published to any more.

    `example` is the key of one of them.
    """

    endpoint: str
    bucket: str
    prefix: str
    objects: int
    example: str

    @property
    def place(self) -> str:
        """Return the bucket, and the prefix if there is one."""
        return f"{self.bucket} below {self.prefix}" if self.prefix else self.bucket


@dataclass(slots=True)
class PublishReceipt:
    """The report of one publish. Counts are of objects; `clock` returns seconds for the phases.

    `left` are objects that were not uploaded, and why: the next publish retries them. `late` were
    not overwritten, for those in the bucket are newer. `adopted` were there already. `strays` are
    foreign, and were left alone; `replaced` (their keys) were foreign too, and were replaced
    on request. `waiting` are to be deleted after the grace period; `refused` deletions are more
    than one publish may make. `left_behind` are objects of ours in former targets. `is_held`:
    nothing was done after a rollback.
    """

    clock: Callable[[], float] = lambda: 0.0
    at: int = 0
    cursor: int = 0
    put: int = 0
    bytes: int = 0
    unchanged: int = 0
    adopted: int = 0
    late: int = 0
    deleted: int = 0
    waiting: int = 0
    refused: int = 0
    invalidated: int = 0
    is_full: bool = False
    is_held: bool = False
    usd: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    left: dict[str, str] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    left_behind: list[LeftBehind] = field(default_factory=list)
    requests: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    invalidation_error: str = ""

    @property
    def total_s(self) -> float:
        """Return how long all phases took together."""
        return sum(self.seconds.values())

    @property
    def did_something(self) -> bool:
        """Return whether the bucket changed, or there is something to report."""
        return bool(self.put or self.deleted or self.adopted or self.late or self.left)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time that the block takes to a phase."""
        start = self.clock()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self.clock() - start

    def as_dict(self) -> Mapping[str, object]:
        """Return everything, ready for JSON."""
        fields: dict[str, object] = {
            name: getattr(self, name) for name in self.__slots__ if name != "clock"
        }
        return {
            **fields,
            "kinds": dict(self.kinds),
            "left_behind": [asdict(left) for left in self.left_behind],
            "seconds": {name: round(value, 4) for name, value in self.seconds.items()},
            "total_s": round(self.total_s, 4),
        }
