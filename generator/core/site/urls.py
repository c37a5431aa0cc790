"""Output paths and URLs of everything on the site.

Output paths are ASCII and safe in a URL as they are; no two things share one. Only media keep their
own names, percent-encoded byte for byte.
"""

from functools import lru_cache
from hashlib import blake2b
from urllib.parse import quote

from slugify import slugify

from generator.core.model import OutPath, Place, Poster, Rendition, Storyboard, Video, VideoId
from generator.core.site.orders import NEWEST, RANDOM, SUBFOLDERS, TAG_ORDERS, Order
from generator.core.site.scopes import Scope, ScopeKind

SITEMAP_IDS = 50  # videos in one part, so that one change rewrites little; 2.5 million in all
_PLAIN = (NEWEST, SUBFOLDERS, TAG_ORDERS[0])  # their heads are the scope's page
_SLUG_LENGTH = 60
_VIDEOS_A_FOLDER = 1000

HOME = OutPath("index.html")
BEST = OutPath("best.html")
NOT_FOUND = OutPath("404.html")
LOGIN = OutPath("login.html")
PROBLEMS = OutPath("problems.html")
ATOM = OutPath("atom.xml")
RSS = OutPath("rss.xml")
ROBOTS = OutPath("robots.txt")
SITEMAP_INDEX = OutPath("sitemap.xml")
SITEMAP_PAGES = OutPath("sitemap/pages.xml")
SHELVES = OutPath("data/random.json")
HEADERS = OutPath("_headers")
REDIRECTS = OutPath("_redirects")


def slug_of(title: str) -> str:
    """Return a slug of ASCII words, at most 60 bytes, never empty."""
    return str(slugify(title, max_length=_SLUG_LENGTH, word_boundary=True)) or "video"


def watch_path(video_id: VideoId, slug: str) -> OutPath:
    """Return the permanent page of a video."""
    return OutPath(f"watch/{slug}-{video_id}.html")


@lru_cache(maxsize=1 << 16)
def scope_base(scope: Scope) -> str:
    """Return the common prefix of the paths of a scope's pages.

    A tag whose name is not a slug, and every folder below the library, has a digest of its name
    after a "~", which no slug contains.
    """
    match scope.kind:
        case ScopeKind.ALL | ScopeKind.FAVORITES | ScopeKind.TAGS:
            return str(scope.kind)
        case ScopeKind.TAG:
            slug = slugify(scope.name, max_length=_SLUG_LENGTH)
            return f"tag/{slug}" if slug == scope.name else f"tag/{slug}~{_digest(scope.name)}"
        case ScopeKind.FOLDER | ScopeKind.SUBFOLDERS:
            if not scope.name:
                return "folders"
            slug = slugify(scope.name.rpartition("/")[2], max_length=_SLUG_LENGTH)
            return f"folder/{slug}~{_digest(scope.name)}"


def scope_path(scope: Scope) -> OutPath:
    """Return the plain page of a scope: the first of its default order, or all of it."""
    return OutPath(scope_base(scope) + ".html")


def shelf_path(scope: Scope, order: Order, number: int | None) -> OutPath:
    """Return the page of a shelf in an order; `number` is None for the first one."""
    base = scope_base(scope)
    if order is RANDOM:
        return OutPath("random.html" if number is None else f"random-{number}.html")
    if number is not None:
        return OutPath(f"{base}/{order.name}-{number}.html")
    if order in _PLAIN:
        return OutPath(base + ".html")
    return OutPath(f"{base}/{order.name}.html")


def sitemap_part(video_id: VideoId) -> int:
    """Return the number of the sitemap that lists a video."""
    return video_id // SITEMAP_IDS


def sitemap_path(part: int) -> OutPath:
    """Return the sitemap with that number."""
    return OutPath(f"sitemap/{part}.xml")


def still_file(video_id: VideoId, digest: str, width_px: int | None) -> OutPath:
    """Return the file of a still: WebP of a width, or the JPEG for link previews (None)."""
    stem = f"thumb/{video_id // _VIDEOS_A_FOLDER}/{video_id}-{digest}"
    return OutPath(f"{stem}.jpg" if width_px is None else f"{stem}-{width_px}.webp")


def still_files(video_id: VideoId, poster: Poster) -> tuple[OutPath, ...]:
    """Return every file of a poster."""
    widths: tuple[int | None, ...] = (*poster.widths_px, None)
    return tuple(still_file(video_id, poster.digest, width) for width in widths)


def track_file(video_id: VideoId, digest: str) -> OutPath:
    """Return the file of subtitles."""
    return OutPath(f"text/{video_id // _VIDEOS_A_FOLDER}/{video_id}-{digest}.vtt")


def late_file(path: OutPath, start_s: float) -> OutPath:
    """Return the file of a WebVTT shifted by the start time of the video.

    The digest in its name becomes a longer one, so that servers treat it alike.
    """
    if not start_s:
        return path
    return OutPath(f"{path.removesuffix('.vtt')}{round(start_s * 1000):08x}.vtt")


def chapters_path(video_id: VideoId) -> OutPath:
    """Return the file of a video's chapters: a page, for it is rendered from the catalogue."""
    return OutPath(f"text/{video_id // _VIDEOS_A_FOLDER}/{video_id}-chapters.vtt")


def storyboard_index_path(part: int) -> OutPath:
    """Return the page that lists the storyboards of a part (see `sitemap_part`)."""
    return OutPath(f"board/{part}.json")


def board_files(video_id: VideoId, storyboard: Storyboard) -> tuple[OutPath, OutPath]:
    """Return the sprite of a storyboard, and its WebVTT."""
    stem = f"board/{video_id // _VIDEOS_A_FOLDER}/{video_id}-{storyboard.digest}"
    return OutPath(f"{stem}.webp"), OutPath(f"{stem}.vtt")


def rendition_files(video_id: VideoId, rendition: Rendition) -> tuple[OutPath, ...]:
    """Return the file of a playable copy, and its playlist if it has one."""
    stem = f"play/{video_id // _VIDEOS_A_FOLDER}/{video_id}-{rendition.digest}"
    film = OutPath(f"{stem}.{rendition.container}")
    return (film, OutPath(f"{stem}.m3u8")) if rendition.is_hls else (film,)


def made_files(video: Video) -> tuple[OutPath, ...]:
    """Return every file made for a video that is not a page: stills, subtitles and so on."""
    return (
        *(still_files(video.id, video.poster) if video.poster else ()),
        *text_files(video),
        *(board_files(video.id, video.storyboard)[:1] if video.storyboard else ()),
        *(rendition_files(video.id, video.rendition) if video.rendition else ()),
    )


def text_files(video: Video) -> tuple[OutPath, ...]:
    """Return the WebVTT of subtitles and of a storyboard, for each start time."""
    tracks = [track_file(video.id, track.digest) for track in video.tracks]
    if video.storyboard is not None:
        tracks.append(board_files(video.id, video.storyboard)[1])
    clocks = dict.fromkeys((0.0, video.probe.start_s))
    return tuple(late_file(path, start_s) for path in tracks for start_s in clocks)


def is_made(path: OutPath) -> bool:
    """Return whether a path is one that `made_files` could return; pages are elsewhere."""
    return path.startswith(("thumb/", "text/", "board/", "play/"))


def video_of_made(path: OutPath) -> VideoId:
    """Return the video that a file of `made_files` was made for."""
    return VideoId(int(path.rpartition("/")[2].partition("-")[0]))


def media_path(place: Place) -> str:
    """Return the root-relative URL of a file, percent-encoded from its bytes."""
    raw = "/".join(part for part in (place.root, place.path) if part)
    return "/video/" + quote(raw.encode("utf-8", "surrogateescape"), safe="/")


def watch_path_of(video: Video) -> OutPath:
    """Return the page of a video."""
    return watch_path(video.id, video.slug)


def _digest(name: str) -> str:
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=5).hexdigest()
