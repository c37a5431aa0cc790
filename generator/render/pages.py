"""Rendering: a page becomes bytes. The page holds the content, its template the form."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from generator.adapters.renderer import Renderer
from generator.core.delivery import host_files
from generator.core.media import webvtt
from generator.core.model import OutPath, Video, VideoId
from generator.core.site import contexts, urls
from generator.core.site.contexts import Context, Html, Neighbors, SiteContext
from generator.core.site.orders import NEWEST, RANDOM, SUBFOLDERS, VIDEO_ORDERS, Order, member
from generator.core.site.page_types import (
    AlteredSubject,
    ChaptersSubject,
    FeedSubject,
    HeadersSubject,
    Page,
    RedirectsSubject,
    RedirectSubject,
    ScopeSubject,
    SectionsSubject,
    ShelfCountSubject,
    ShelfSubject,
    SitemapSubject,
    StaticSubject,
    StoryboardIndexSubject,
    VideoSubject,
    around,
    is_head,
)
from generator.core.site.scopes import ALL, FAVORITES, LIBRARY, TAGS, Scope, ScopeKind
from generator.core.site.shelves import Shelf

ReadFragments = Callable[[Collection[int]], Mapping[int, bytes]]


class FragmentSource:
    """What pages are made of: HTML fragments by id, and videos; its creator sets the sources."""

    def __init__(
        self, cards: ReadFragments, minis: ReadFragments, scope_cards: ReadFragments
    ) -> None:
        self.cards, self.minis, self.scope_cards = (
            FragmentCache(cards),
            FragmentCache(minis),
            FragmentCache(scope_cards),
        )
        self.whole = False  # every card and video of the site is in memory
        self.videos: Callable[[Sequence[VideoId]], Mapping[VideoId, Video]]
        self.slug: Callable[[VideoId], str]
        self.part: Callable[[int, int], Iterable[Video]]  # with low <= id < high, ascending
        self.subfolders: Callable[[str], Shelf | None]  # first shelf of the subfolder index
        self.parts: Callable[[], Iterable[OutPath]]  # of the sitemap


class FragmentCache:
    """Fragments that were rendered or read once, and a way to read the others."""

    def __init__(self, read: ReadFragments) -> None:
        self._read = read
        self._fragments: dict[bytes, bytes] = {}  # by the last four bytes of sort keys

    def put(self, number: int, fragment: bytes) -> None:
        """Keep a fragment that was just rendered."""
        self._fragments[number.to_bytes(4, "big")] = fragment

    def get(self, number: int) -> bytes:
        """Return one fragment."""
        return self._joined([number.to_bytes(4, "big")])

    def joined(self, ids: Iterable[int]) -> Html:
        """Return the fragments of members, concatenated."""
        return Html(self._joined([number.to_bytes(4, "big") for number in ids]))

    def on(self, shelf: Shelf, *, descending: bool) -> Html:
        """Return the fragments of a shelf in an order."""
        tails = [key[-4:] for key in shelf.keys]
        if descending:
            tails.reverse()
        return Html(self._joined(tails))

    def _joined(self, tails: list[bytes]) -> bytes:
        fragments = self._fragments
        try:
            return b"".join([fragments[tail] for tail in tails])
        except KeyError:
            missing = [int.from_bytes(tail, "big") for tail in tails if tail not in fragments]
            for number, fragment in self._read(missing).items():
                self.put(number, fragment)
            return b"".join([fragments[tail] for tail in tails])


TEMPLATES = (
    "404.html", "atom.xml", "best.html", "card.html", "folder.html", "folders.html",
    "redirect.html", "home.html", "login.html", "mini.html", "problems.html", "random.html",
    "robots.txt", "rss.xml", "shelf.html", "sitemap-index.xml", "sitemap-pages.xml", "sitemap.xml",
    "tag.html", "tags.html", "watch.html",
)  # fmt: skip
_USERS = {
    "card.html": {"best.html", "home.html", "random.html", "shelf.html"},
    "mini.html": {"watch.html"},
    "folder.html": {"folders.html", "shelf.html"},
    "tag.html": {"tags.html"},
}


def uses(template: str, changed: Collection[str]) -> bool:
    """Return whether the pages of a template change when some templates changed."""
    if not template:
        return set(TEMPLATES).issubset(changed)  # settings or code changed, and so every page
    return any(name == template or template in _USERS.get(name, ()) for name in changed)


class PageRenderer:
    """Renders the pages of one site."""

    def __init__(self, renderer: Renderer, site: SiteContext, fragments: FragmentSource) -> None:
        self._renderer, self._site, self._fragments = renderer, site, fragments
        self._feeds: dict[tuple[int, ...], Context] = {}

    @property
    def plain(self) -> set[str]:
        """Return the templates that Jinja itself rendered: pages may depend on cards in any way."""
        return self._renderer.plain

    def card(self, video: Video) -> bytes:
        """Return the card of a video."""
        return self._renderer.render("card.html", contexts.card(self._site, video))

    def mini(self, video: Video) -> bytes:
        """Return the small card of a video."""
        return self._renderer.render("mini.html", contexts.mini(self._site, video))

    def scope_card(self, scope: Scope, members: int) -> bytes:
        """Return the entry of a tag or a folder in an index."""
        if scope.kind is ScopeKind.TAG:
            return self._renderer.render("tag.html", contexts.tag(self._site, scope.name, members))
        return self._renderer.render("folder.html", contexts.folder(self._site, scope.name))

    def page(self, page: Page) -> bytes:
        """Return the bytes of a page.

        Raises:
            TemplateError: its template is wrong.
        """
        match page.subject:
            case ShelfCountSubject(shelves):
                url = self._site.link("random-%d.html")
                return json.dumps({"shelves": shelves, "url": url}).encode() + b"\n"
            case StoryboardIndexSubject(part):
                return self._storyboards(part)
            case ChaptersSubject(chapters, duration_s):
                return webvtt.chapters_vtt(chapters, duration_s)
            case HeadersSubject():
                return host_files.headers_file(self._site.base)
            case RedirectsSubject(redirects):
                links = ((path, self._site.link(target)) for path, target in redirects)
                return host_files.redirects_file(self._site.base, links)
            case _:
                return self._renderer.render(page.template, self._context(page))

    def _storyboards(self, part: int) -> bytes:
        low = part * urls.SITEMAP_IDS
        storyboards = {
            str(video.id): (
                storyboard.digest,
                storyboard.count,
                storyboard.columns,
                storyboard.tile_width_px,
                storyboard.tile_height_px,
            )
            for video in self._fragments.part(low, low + urls.SITEMAP_IDS)
            if (storyboard := video.storyboard) is not None
        }
        return json.dumps(storyboards, separators=(",", ":")).encode() + b"\n"

    def _context(self, page: Page) -> Context:  # noqa: C901, PLR0911 (one for each kind of page)
        match page.subject:
            case ShelfSubject():
                return self._shelf(page.path, page.subject)
            case ScopeSubject(scope, shelf):
                return self._whole(page.path, scope, shelf)
            case AlteredSubject():
                return self._context(replace(page, subject=page.subject.whole()))
            case VideoSubject(video, before, after):
                return contexts.watch_context(self._site, video, self._neighbors(before, after))
            case SectionsSubject():
                return self._sections(page.path, page.subject)
            case FeedSubject(ids):
                return self._feed(page.path, ids)
            case SitemapSubject(part):
                low = part * urls.SITEMAP_IDS
                videos = self._fragments.part(low, low + urls.SITEMAP_IDS)
                return {"entries": tuple(contexts.sitemap_entry(self._site, v) for v in videos)}
            case RedirectSubject(target):
                head = self._head(page.path, "Moved", indexed=False)
                return {**head, "target": self._site.link(target)}
            case StaticSubject():
                return self._fixed(page.path)
            case (
                ShelfCountSubject()
                | StoryboardIndexSubject()
                | ChaptersSubject()
                | HeadersSubject()
                | RedirectsSubject()
            ):
                raise TypeError("this page has no template")

    def _shelf(self, path: OutPath, subject: ShelfSubject) -> Context:
        scope, order, shelf = subject.scope, subject.order, subject.shelf
        if scope.kind in {ScopeKind.TAGS, ScopeKind.SUBFOLDERS}:
            return self._index(path, subject)
        plain = is_head(shelf, order)
        folders, folders_next = self._folders(scope) if plain and order is NEWEST else (None, None)
        cards = self._fragments.cards.on(shelf, descending=order.descending)
        if order is RANDOM:
            return {
                **self._head(path, "Random", indexed=False),
                "cards": cards,
                **self._pager(scope, order, shelf),
                "shelves_url": self._site.link(urls.SHELVES),
            }
        return {
            **self._head(path, contexts.heading(scope), indexed=plain, order=order),
            "crumbs": contexts.shared_crumbs(self._site, scope),
            "orders": contexts.video_tabs(self._site, scope, order.name),
            "feed": self._site.link(urls.ATOM) if scope.kind is ScopeKind.ALL else None,
            "sortable": False,
            "names": None,
            "folders": folders,
            "folders_next": folders_next,
            "cards": cards,
            **self._pager(scope, order, shelf),
        }

    def _whole(self, path: OutPath, scope: Scope, shelf: Shelf) -> Context:
        ids = [member(key) for key in shelf.keys]
        videos = self._fragments.videos([VideoId(number) for number in ids])
        newest = sorted(videos.values(), key=lambda video: (video.added_at, video.id), reverse=True)
        folders, folders_next = self._folders(scope)
        return {
            **self._head(path, contexts.heading(scope)),
            "crumbs": contexts.crumbs(self._site, scope),
            "orders": (),
            "feed": None,
            "sortable": True,
            "names": " ".join(map(str, ids)),
            "folders": folders,
            "folders_next": folders_next,
            "cards": self._fragments.cards.joined(video.id for video in newest),
            "newer": None,
            "older": None,
            "first": None,
            "last": None,
        }

    def _index(self, path: OutPath, subject: ShelfSubject) -> Context:
        scope, order, shelf = subject.scope, subject.order, subject.shelf
        fragments = self._fragments.scope_cards.on(shelf, descending=order.descending)
        pager = self._pager(scope, order, shelf)
        head = self._head(path, contexts.heading(scope), indexed=is_head(shelf, order))
        if scope.kind is ScopeKind.TAGS:
            tabs = contexts.tag_tabs(self._site, order.name)
            return {**head, "orders": tabs, "tags": fragments, **pager}
        if pager["newer"] is None and shelf.below is not None:
            pager = {**pager, "newer": self._site.link(urls.scope_path(scope))}
        return {**head, "crumbs": contexts.crumbs(self._site, scope), "folders": fragments, **pager}

    def _pager(self, scope: Scope, order: Order, shelf: Shelf) -> dict[str, str | None]:
        newer, older = around(shelf, order)
        other = _OPPOSITE.get(order.name)
        return {
            "newer": self._shelf_link(scope, order, newer),
            "older": self._shelf_link(scope, order, older),
            "first": self._shelf_link(scope, order, (True, 0)) if newer else None,
            "last": self._shelf_link(scope, other, (True, 0)) if older and other else None,
        }

    def _shelf_link(self, scope: Scope, order: Order, to: tuple[bool, int] | None) -> str | None:
        if to is None:
            return None
        is_end, number = to
        return self._site.link(urls.shelf_path(scope, order, None if is_end else number))

    def _folders(self, scope: Scope) -> tuple[Html | None, str | None]:
        if scope.kind is not ScopeKind.FOLDER:
            return None, None
        shelf = self._fragments.subfolders(scope.name)
        if shelf is None:
            return None, None
        inner = Scope(ScopeKind.SUBFOLDERS, scope.name)
        _, following = around(shelf, SUBFOLDERS)
        return (
            self._fragments.scope_cards.on(shelf, descending=False),
            self._shelf_link(inner, SUBFOLDERS, following),
        )

    def _neighbors(self, before: tuple[int, ...], after: tuple[int, ...]) -> Neighbors:
        minis = self._fragments.minis
        return Neighbors(
            minis.joined(reversed(before)) if before else None,
            minis.joined(after) if after else None,
            self._watch_link(before[0]) if before else None,
            self._watch_link(after[0]) if after else None,
        )

    def _watch_link(self, number: int) -> str:
        video = VideoId(number)
        return self._site.link(urls.watch_path(video, self._fragments.slug(video)))

    def _sections(self, path: OutPath, subject: SectionsSubject) -> Context:
        cards = self._fragments.cards
        if path == urls.BEST:
            (section,) = subject.sections
            return {**self._head(path, section.heading), "cards": cards.joined(section.ids)}
        sections = tuple(
            {"heading": s.heading, "url": self._site.link(s.path), "cards": cards.joined(s.ids)}
            for s in subject.sections
        )
        feed = self._site.link(urls.ATOM)
        return {**self._head(path, self._site.title), "sections": sections, "feed": feed}

    def _feed(self, path: OutPath, ids: tuple[int, ...]) -> Context:
        if ids not in self._feeds:  # Atom and RSS have the same entries
            videos = self._fragments.videos([VideoId(number) for number in ids])
            newest = [videos[VideoId(number)] for number in ids]
            self._feeds = {ids: contexts.feed(self._site, newest)}
        return {**self._feeds[ids], "url": self._site.absolute(self._site.link(path))}

    def _fixed(self, path: OutPath) -> Context:
        site = self._site
        if path == urls.ROBOTS:
            return {"sitemap_url": site.absolute(site.link(urls.SITEMAP_INDEX))}
        if path == urls.SITEMAP_PAGES:
            return {"urls": tuple(site.absolute(site.link(url)) for url in _LASTING)}
        if path == urls.SITEMAP_INDEX:
            paths = (urls.SITEMAP_PAGES, *self._fragments.parts())
            return {"parts": tuple(site.absolute(site.link(url)) for url in paths)}
        return self._head(path, _FIXED[path], indexed=False)

    def _head(
        self, path: OutPath, heading: str, *, indexed: bool = True, order: Order | None = None
    ) -> dict[str, object]:
        title = heading if order is None or order is NEWEST else f"{heading}: {order.label}"
        return {
            "page": contexts.page(self._site, path, title, indexed=indexed),
            "heading": heading,
        }


_OPPOSITE = {
    order.name: other
    for order in VIDEO_ORDERS
    for other in VIDEO_ORDERS
    if order.key is other.key and order is not other
}
_FIXED = {
    urls.NOT_FOUND: "Not found",
    urls.LOGIN: "Sign in",
    urls.PROBLEMS: "Problems",
}
_LASTING = (
    urls.HOME,
    urls.BEST,
    *(urls.scope_path(scope) for scope in (ALL, FAVORITES, LIBRARY, TAGS)),
    *(urls.shelf_path(ALL, order, None) for order in VIDEO_ORDERS if order is not NEWEST),
)
