"""The contexts of the templates, documented in docs/reference/templates.md.

Everything is ready to print. A context has strings, booleans, None, `Html` and tuples of such, and
depends on nothing but the arguments here: equal contexts mean equal pages.
"""

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID, uuid5

from generator.core import formatting
from generator.core.media import playability
from generator.core.model import Chapter, OutPath, Poster, Probe, Rendition, Video
from generator.core.site import descriptions, urls
from generator.core.site.orders import TAG_ORDERS, VIDEO_ORDERS, Order
from generator.core.site.scopes import Scope, ScopeKind, folder_of, parent_of

Context = Mapping[str, object]

_MAX_STARS = 5
_LIKELY = {playability.Playability.PLAYS, playability.Playability.UNKNOWN}
_SITEMAP_MAX_S = 28_800  # limits of the video extension of sitemaps
_SITEMAP_TAGS = 32


@dataclass(frozen=True, slots=True)
class Html:
    """UTF-8 bytes of HTML that are not escaped again."""

    content: bytes

    def __html__(self) -> str:
        """Return the text: Jinja's protocol for safe HTML."""
        return self.content.decode()


@dataclass(slots=True, eq=False)
class SharedContext:
    """A part of a context that many pages share; `walked` is a cache of the renderer."""

    value: object
    walked: tuple[list[str], Hashable] | None = None


@dataclass(frozen=True, slots=True)
class SiteContext:
    """Where the site lives: `origin` ("https://host") and `base` ("" or "/sub/folder").

    `identity` is that of its catalogue, 32 hex digits, whatever its address and machine.
    """

    origin: str
    base: str
    title: str
    identity: str = "0" * 32

    def uid(self, thing: str = "") -> str:
        """Return the permanent id, as a URN, of a thing of the site ("": the site itself).

        Source: RFC 4287, section 4.2.6: an id never changes, wherever its entry moves.
        """
        return uuid5(UUID(hex=self.identity), thing).urn

    def link(self, path: str) -> str:
        """Return the root-relative URL of an output path."""
        return f"{self.base}/{path}" if path != urls.HOME else f"{self.base}/"

    def absolute(self, address: str) -> str:
        """Return a root-relative URL as an absolute one."""
        return self.origin + address

    def media(self, video: Video) -> str:
        """Return the root-relative URL of the file itself."""
        return self.base + urls.media_path(video.place)


def page(site: SiteContext, path: OutPath, title: str, *, indexed: bool = True) -> Context:
    """Return the context that every HTML page has."""
    address = site.link(path)
    return {
        "title": title,
        "url": address,
        "canonical": site.absolute(address),
        "indexed": indexed,
    }


def card(site: SiteContext, video: Video) -> Context:
    """Return the context of a video on a shelf."""
    return {
        "id": str(video.id),
        "url": site.link(urls.watch_path_of(video)),
        "title": video.title,
        **_thumbs(site, video),
        "duration": formatting.duration(video.probe.duration_s),
        "date": _recorded_day(video) if video.is_dated else formatting.date(video.added_at),
        "is_added": not video.is_dated,
        "stars": str(video.stars) if video.stars else None,
        "mean": _mean(video),
        "views": formatting.rounded(video.views),
        "favorite": video.favorite,
        "sort": {
            "added": str(video.added_at),
            "title": video.title,
            "rating": str(_rating(video)),
            "views": str(formatting.rounded_down(video.views)),
            "duration": str(round(video.probe.duration_s or 0)),
            "size": str(video.size_bytes),
            "recorded": str(video.recorded_at),
        },
    }


def _recorded_day(video: Video) -> str:
    return formatting.date(video.recorded_at, video.recorded_offset_min)


def _mean(video: Video) -> str | None:
    tenths = video.score_tenths
    return f"{tenths / 10:.1f}" if video.votes and tenths is not None else None


def _rating(video: Video) -> int:
    """Return a number that sorts as `SortKey.RATING`: tenths of a star, then the owner's stars."""
    stars = video.stars or 0
    tenths = video.score_tenths if video.votes else None
    return (10 * stars if tenths is None else tenths) * 10 + stars


def mini(site: SiteContext, video: Video) -> Context:
    """Return the context of a neighbor: only what rarely changes."""
    return {
        "url": site.link(urls.watch_path_of(video)),
        "title": video.title,
        **{name: value for name, value in _thumbs(site, video).items() if name != "thumb_2x"},
        "duration": formatting.duration(video.probe.duration_s),
    }


def _thumbs(site: SiteContext, video: Video) -> dict[str, object]:
    poster = video.poster
    if poster is None:
        return {
            "thumb": None,
            "thumb_2x": None,
            "width": "320",
            "height": "180",
            "color": "r2 g2 b3",
        }
    small, *larger = poster.widths_px
    return {
        "thumb": _still(site, video, poster, small),
        "thumb_2x": _still(site, video, poster, larger[0]) if larger else None,
        "width": str(poster.width_px),
        "height": str(poster.height_px),
        "color": color_classes(poster.color),
    }


def _still(site: SiteContext, video: Video, poster: Poster, width_px: int | None) -> str:
    return site.link(urls.still_file(video.id, poster.digest, width_px))


def color_classes(color: str) -> str:
    """Return the three classes that `style.css` turns into (nearly) this color."""
    return f"r{color[0]} g{color[2]} b{color[4]}"


def tag(site: SiteContext, name: str, count: int) -> Context:
    """Return the context of a tag in the index."""
    scope = Scope(ScopeKind.TAG, name)
    return {"name": name, "url": site.link(urls.scope_path(scope)), "count": str(count)}


def folder(site: SiteContext, name: str) -> Context:
    """Return the context of a folder in its parent."""
    scope = Scope(ScopeKind.FOLDER, name)
    return {
        "name": formatting.readable(name.rpartition("/")[2]),
        "url": site.link(urls.scope_path(scope)),
    }


def heading(scope: Scope) -> str:
    """Return the heading of a scope's pages."""
    match scope.kind:
        case ScopeKind.ALL:
            return "All videos"
        case ScopeKind.FAVORITES:
            return "Favorites"
        case ScopeKind.TAG:
            return f"#{scope.name}"
        case ScopeKind.TAGS:
            return "Tags"
        case ScopeKind.FOLDER | ScopeKind.SUBFOLDERS:
            return formatting.readable(scope.name.rpartition("/")[2]) if scope.name else "Folders"


def crumbs(site: SiteContext, scope: Scope) -> tuple[Context, ...]:
    """Return the breadcrumbs of a scope, without itself: its folders, or the tags index."""
    if scope.kind is ScopeKind.TAG:
        return ({"label": "Tags", "url": site.link(urls.scope_path(Scope(ScopeKind.TAGS)))},)
    if scope.kind not in {ScopeKind.FOLDER, ScopeKind.SUBFOLDERS} or not scope.name:
        return ()
    return folder_crumbs(site, parent_of(scope.name))


@lru_cache(maxsize=1 << 14)
def folder_crumbs(site: SiteContext, folder_name: str) -> tuple[Context, ...]:
    """Return the breadcrumbs of a folder, itself included."""
    names = [folder_name]
    while names[0]:
        names.insert(0, parent_of(names[0]))
    scopes = [Scope(ScopeKind.FOLDER, name) for name in names]
    return tuple(
        {"label": heading(scope), "url": site.link(urls.scope_path(scope))} for scope in scopes
    )


@dataclass(frozen=True, slots=True)
class Neighbors:
    """What a watch page shows of its neighbors; all empty at the ends of a folder."""

    before: Html | None = None
    after: Html | None = None
    previous_url: str | None = None
    next_url: str | None = None


def watch_context(site: SiteContext, video: Video, neighbors: Neighbors) -> Context:
    """Return the context of a watch page."""
    path = urls.watch_path_of(video)
    head = page(site, path, video.title)
    media, poster = site.media(video), None
    if video.poster is not None:
        poster = _still(site, video, video.poster, None)
    preview = site.absolute(poster) if poster else None
    media_type = formatting.media_type(video.place.path)
    plays, plays_type = media, media_type
    sources: tuple[Context, ...] = ()
    has_copy, is_remux = False, False
    if video.rendition is not None:
        has_copy, is_remux = True, video.rendition.made_by == "remux"
        plays, plays_type, sources = _sources(site, video, video.rendition, is_remux=is_remux)
    duration, description = _whole_seconds(video), _description(video)
    recorded = formatting.iso_time(video.recorded_at, video.recorded_offset_min)
    times = {"Recorded": recorded, "Added": formatting.rfc3339(video.added_at)}
    about = chapters = origin = board = None
    if video.description or video.chapters:
        film = descriptions.SeekTarget(plays, video.probe.duration_s, video.clock_s)
        about = descriptions.as_html(video.description, film, is_markdown=video.is_markdown)
        chapters = descriptions.chapter_list(video.chapters, film)
        description = descriptions.summary(about) or description
    if video.url:
        origin = _origin(video.url)
    if video.storyboard is not None:
        _, index = urls.board_files(video.id, video.storyboard)
        board = site.link(urls.late_file(index, video.clock_s))
    return {
        "page": head,
        "id": str(video.id),
        "title": video.title,
        "url": head["url"],
        "media_url": media,
        "media_type": media_type,
        "media_name": formatting.readable(video.place.path.rpartition("/")[2]),
        "sources": sources,
        "tracks": _tracks(site, video) if video.tracks else (),
        "board_url": board,
        "badge": _badge(video.probe, has_copy=has_copy, is_remux=is_remux),
        "poster_url": poster,
        "width": str(video.probe.width_px or 640),
        "height": str(video.probe.height_px or 360),
        "color": color_classes(video.poster.color) if video.poster else "r0 g0 b0",
        "stars": str(video.stars) if video.stars else None,
        "star_marks": _STAR_MARKS[video.stars or 0],
        "score": _score(video),
        "views": formatting.rounded(video.views),
        "favorite": video.favorite,
        "about": Html(about.encode()) if about else None,
        "chapters": Html(chapters.encode()) if chapters else None,
        "chapters_url": site.link(urls.chapters_path(video.id)) if chapters else None,
        "facts": tuple(
            [
                {"label": label, "value": value, "datetime": times.get(label)}
                for label, value in _facts(video)
            ]
        ),
        "origin": origin,
        "tags": tuple([_tag_link(site, name) for name in video.tags]),
        "crumbs": _shared_folder_crumbs(site, folder_of(video.place)),
        "before": neighbors.before,
        "after": neighbors.after,
        "previous_url": neighbors.previous_url,
        "next_url": neighbors.next_url,
        "description": description,
        "json_ld": _json_ld(
            video,
            {
                "description": description,
                "contentUrl": site.absolute(plays),
                "url": head["canonical"],
                "thumbnailUrl": preview,
                "duration": duration and f"PT{duration}S",
                "dateCreated": recorded if video.is_dated else None,
            },
        ),
        "og_image": preview,
        "og_video": site.absolute(plays),
        "og_video_type": plays_type,
        "duration_s": duration,
    }


def _sources(
    site: SiteContext, video: Video, rendition: Rendition, *, is_remux: bool
) -> tuple[str, str, tuple[Context, ...]]:
    """Return the copy that plays in most browsers, its type, and all sources in order."""
    film, *playlists = (site.link(path) for path in urls.rendition_files(video.id, rendition))
    film_type = f"video/{rendition.container}"
    codecs = f'; codecs="{rendition.codecs}"' if rendition.codecs else ""
    copies = (
        *({"url": playlist, "type": formatting.PLAYLIST_TYPE} for playlist in playlists),
        {"url": film, "type": film_type + codecs},
    )
    media_type = playability.source_type(video.place.path, video.probe)
    media = ({"url": site.media(video), "type": media_type},)
    is_first = playability.comes_first(video.probe, is_remux=is_remux)
    return film, film_type, (*media, *copies) if is_first else (*copies, *media)


def _badge(probe: Probe, *, has_copy: bool, is_remux: bool) -> str | None:
    codecs = (probe.video_codec, probe.audio_codec, probe.codecs, probe.pixel_format)
    return _known_badge(
        (probe.container, *codecs), probe.width_px, probe.height_px, (has_copy, is_remux)
    )


@lru_cache(maxsize=1 << 12)  # most of a library has the same, and every page needs it
def _known_badge(
    streams: tuple[str, str | None, str | None, str, str | None],
    width_px: int | None,
    height_px: int | None,
    copy: tuple[bool, bool],
) -> str | None:
    container, video_codec, audio_codec, codecs, pixel_format = streams
    probe = Probe(
        container,
        width_px=width_px,
        height_px=height_px,
        video_codec=video_codec,
        audio_codec=audio_codec,
        codecs=codecs,
        pixel_format=pixel_format,
    )
    has_copy, is_remux = copy
    return playability.badge(probe, has_rendition=has_copy, is_remux=is_remux)


def _tracks(site: SiteContext, video: Video) -> tuple[Context, ...]:
    """Return subtitles as HTML needs them: a language each, unique labels, one default."""
    tracks: dict[tuple[str, str, str], Context] = {}
    forced = next((track for track in video.tracks if track.forced), None)
    for track in video.tracks:
        kind = "captions" if track.sdh else "subtitles"
        language = track.language or "und"
        name = label = track.label or track.language or "Subtitles"
        number = 1
        while (kind, language, label) in tracks:
            number += 1
            label = f"{name} {number}"
        tracks[kind, language, label] = {
            "kind": kind,
            "language": language,
            "label": label,
            "url": site.link(
                urls.late_file(urls.track_file(video.id, track.digest), video.clock_s)
            ),
            "default": track is forced,
        }
    return tuple(tracks.values())


def _origin(url: str) -> Context | None:
    """Return where a video came from, as a link to show."""
    address = descriptions.address_of(url)
    return {"label": descriptions.host_of(address), "url": address} if address else None


_STAR_MARKS = tuple(
    tuple(number < stars for number in range(_MAX_STARS)) for stars in range(_MAX_STARS + 1)
)


def _score(video: Video) -> str | None:
    """Return the visitors' mean, "3.9 from 12 votes", or None without votes."""
    mean = _mean(video)
    votes = "vote" if video.votes == 1 else "votes"
    return mean and f"{mean} from {formatting.rounded(video.votes)} {votes}"


@lru_cache(maxsize=1 << 14)
def _tag_link(site: SiteContext, name: str) -> SharedContext:
    url = site.link(urls.scope_path(Scope(ScopeKind.TAG, name)))
    return SharedContext({"name": name, "url": url})


@lru_cache(maxsize=1 << 14)
def _shared_folder_crumbs(site: SiteContext, folder_name: str) -> SharedContext:
    return SharedContext(folder_crumbs(site, folder_name))


def _facts(video: Video) -> Iterable[tuple[str, str]]:
    probe = video.probe
    if video.creator:
        yield "By", video.creator
    if probe.duration_s is not None:
        yield "Length", formatting.duration(probe.duration_s) or ""
    if probe.width_px and probe.height_px:
        yield "Resolution", f"{probe.width_px} × {probe.height_px}"  # noqa: RUF001 (a multiplication sign is meant)
    yield "Size", formatting.file_size(video.size_bytes)
    codecs = [codec for codec in (probe.video_codec, probe.audio_codec) if codec]
    if codecs:
        yield "Codecs", ", ".join(codecs)
    if probe.fps:
        yield "Frame rate", f"{probe.fps:g} fps"
    if video.is_dated:
        yield "Recorded", _recorded_day(video)
    yield "Added", formatting.date(video.added_at)
    yield "File", formatting.readable(video.place.path)


def _description(video: Video) -> str:
    length = formatting.duration(video.probe.duration_s)
    parts = [video.title, *([length] if length else []), *(f"#{name}" for name in video.tags)]
    return " · ".join(parts)


def _whole_seconds(video: Video) -> str | None:
    seconds = video.probe.duration_s
    return str(max(round(seconds), 1)) if seconds is not None else None


def _json_ld(video: Video, about: Mapping[str, object]) -> Html:
    """Return the JSON-LD of a video; None in `about` is left out."""
    thing = {
        "@context": "https://schema.org",
        "@type": "VideoObject",
        "name": video.title,
        "uploadDate": formatting.rfc3339(video.added_at),
        **{name: value for name, value in about.items() if value is not None},
    }
    if video.tags:
        thing["keywords"] = video.tags
    if video.chapters:
        thing["hasPart"] = [
            _clip(chapter, str(about["url"]), video.clock_s) for chapter in video.chapters
        ]
    text = _JSON.encode(thing)  # ASCII: U+2028 and the like are escaped
    if "<" in text or ">" in text or "&" in text:
        for character in "<>&":
            text = text.replace(character, f"\\u{ord(character):04x}")
    return Html(f'<script type="application/ld+json">{text}</script>'.encode())


def _clip(chapter: Chapter, url: str, clock_s: float) -> Mapping[str, object]:
    start = descriptions.seconds(chapter.start_s + clock_s)
    return {
        "@type": "Clip",
        "name": chapter.title,
        "startOffset": chapter.start_s,
        "url": f"{url}?t={start}",  # crawlers need a query; player.js reads it
    }


_JSON = json.JSONEncoder(separators=(",", ":"))


@lru_cache(maxsize=1 << 13)
def video_tabs(site: SiteContext, scope: Scope, current: str) -> SharedContext:
    """Return the tabs that link to the other orders of a scope."""
    return SharedContext(_tabs(site, scope, VIDEO_ORDERS, current))


def tag_tabs(site: SiteContext, current: str) -> SharedContext:
    """Return the tabs of the tags index."""
    return SharedContext(_tabs(site, Scope(ScopeKind.TAGS), TAG_ORDERS, current))


def _tabs(
    site: SiteContext, scope: Scope, offered: Iterable[Order], current: str
) -> tuple[Context, ...]:
    return tuple(
        {
            "label": order.label,
            "url": site.link(urls.shelf_path(scope, order, None)),
            "current": order.name == current,
        }
        for order in offered
    )


@lru_cache(maxsize=1 << 13)
def shared_crumbs(site: SiteContext, scope: Scope) -> SharedContext:
    """Return the breadcrumbs of a scope, without itself, for its pages to share."""
    return SharedContext(crumbs(site, scope))


@dataclass(frozen=True, slots=True)
class _Played:
    """The file that plays in most places: a playable copy, or the video itself."""

    url: str
    type: str
    size_bytes: int
    is_likely: bool


def _played(site: SiteContext, video: Video) -> _Played:
    copy = video.rendition
    if copy is not None:
        film, *_ = urls.rendition_files(video.id, copy)
        url = site.absolute(site.link(film))
        return _Played(url, f"video/{copy.container}", copy.size_bytes, is_likely=True)
    url, media_type = site.absolute(site.media(video)), formatting.media_type(video.place.path)
    # Podcast players support MP4 above all, and more codecs in it than some browsers (HEVC).
    verdicts = set(playability.verdicts(video.probe).values())
    is_mp4 = "mp4" in video.probe.container.split(",")
    is_likely = verdicts <= _LIKELY or (is_mp4 and playability.Playability.PLAYS in verdicts)
    return _Played(url, media_type, video.size_bytes, is_likely)


def feed_entry(site: SiteContext, video: Video) -> Context:
    """Return one entry of a feed; `media_url` is None where nothing plays."""
    address = site.absolute(site.link(urls.watch_path_of(video)))
    played = _played(site, video)
    film = descriptions.SeekTarget(played.url, video.probe.duration_s)
    content = descriptions.as_html(video.description, film, is_markdown=video.is_markdown)
    return {
        "id": str(video.id),
        "uid": site.uid(f"video/{video.id}"),
        "title": video.title,
        "url": address,
        "media_url": played.url if played.is_likely else None,
        "media_type": played.type,
        "size_bytes": str(played.size_bytes),
        "image_url": (
            site.absolute(_still(site, video, video.poster, None)) if video.poster else None
        ),
        "published": formatting.rfc3339(video.added_at),
        "published_rfc822": formatting.rfc822(video.added_at),
        "tags": video.tags,
        "duration_s": _whole_seconds(video),
        "summary": descriptions.summary(content) or _description(video),
        "content": content or None,
    }


def sitemap_entry(site: SiteContext, video: Video) -> Context:
    """Return one video of a sitemap, without anything that a rating or a view changes."""
    seconds = _whole_seconds(video)
    poster = video.poster
    return {
        "url": site.absolute(site.link(urls.watch_path_of(video))),
        "thumbnail_url": site.absolute(_still(site, video, poster, None)) if poster else None,
        "title": video.title,
        "description": _description(video),
        "content_url": _played(site, video).url,
        "duration_s": str(min(int(seconds), _SITEMAP_MAX_S)) if seconds else None,
        "published": formatting.rfc3339(video.added_at),
        "tags": video.tags[:_SITEMAP_TAGS],
    }


def feed(site: SiteContext, videos: Sequence[Video]) -> Context:
    """Return the context of a feed of `videos`, newest first; without its own URL."""
    updated = max((video.added_at for video in videos), default=0)
    return {
        "title": site.title,
        "home_url": site.absolute(site.link(urls.HOME)),
        "updated": formatting.rfc3339(updated),
        "updated_rfc822": formatting.rfc822(updated),
        "entries": tuple(feed_entry(site, video) for video in videos),
    }
