"""Pages: what each file of the site shows. A page is a value; it is rendered elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from generator.core.model import Chapter, OutPath, Video
from generator.core.site import urls
from generator.core.site.orders import RANDOM, SUBFOLDERS, TAG_ORDERS, VIDEO_ORDERS, Order, SortKey
from generator.core.site.scopes import Scope, ScopeKind
from generator.core.site.shelves import Alteration, Shelf

MAX_ALTERED = 12  # cards on one page; with more, rendering it is cheaper than patching


@dataclass(frozen=True, slots=True)
class ShelfSubject:
    """A shelf of a scope, in an order."""

    scope: Scope
    order: Order
    shelf: Shelf


@dataclass(frozen=True, slots=True)
class ScopeSubject:
    """A whole scope that fits on one shelf."""

    scope: Scope
    shelf: Shelf


@dataclass(frozen=True, slots=True)
class AlteredSubject:
    """A shelf or a scope on which only some cards differ, to be patched.

    `touched` stay where they are and look different, those in `left` are removed, and each in
    `came` is inserted beside another: (video, neighbor, whether it follows that). `whole` returns
    the full subject, for when there is no former page to patch.
    """

    whole: "Callable[[], ShelfSubject | ScopeSubject]"
    touched: tuple[int, ...] = ()
    left: tuple[int, ...] = ()
    came: tuple[tuple[int, int, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class VideoSubject:
    """A watch page; `before` and `after` are the neighbors' ids, nearest first."""

    video: Video
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """Some cards under a heading that links to all of them."""

    heading: str
    path: OutPath
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SectionsSubject:
    """The home page, or the best of (one section)."""

    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class FeedSubject:
    """A feed."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SitemapSubject:
    """The sitemap of a range of video ids."""

    part: int


@dataclass(frozen=True, slots=True)
class StoryboardIndexSubject:
    """The small file that lists the storyboards of a range of video ids."""

    part: int


@dataclass(frozen=True, slots=True)
class ChaptersSubject:
    """The chapters of a video, as players read them; `duration_s` is where the last one ends."""

    chapters: tuple[Chapter, ...]
    duration_s: float | None


@dataclass(frozen=True, slots=True)
class ShelfCountSubject:
    """The small file with the number of shelves in random order."""

    shelves: int


@dataclass(frozen=True, slots=True)
class RedirectSubject:
    """A redirect page."""

    target: OutPath


@dataclass(frozen=True, slots=True)
class HeadersSubject:
    """The headers for a static host."""


@dataclass(frozen=True, slots=True)
class RedirectsSubject:
    """The redirects for a static host: paths and their targets, the newest first."""

    redirects: tuple[tuple[OutPath, OutPath], ...]


@dataclass(frozen=True, slots=True)
class StaticSubject:
    """A page that shows nothing of the library."""


Subject: TypeAlias = (
    ShelfSubject
    | ScopeSubject
    | AlteredSubject
    | VideoSubject
    | SectionsSubject
    | FeedSubject
    | SitemapSubject
    | StoryboardIndexSubject
    | ChaptersSubject
    | ShelfCountSubject
    | RedirectSubject
    | HeadersSubject
    | RedirectsSubject
    | StaticSubject
)


@dataclass(frozen=True, slots=True)
class Page:
    """One file of the site: its path, template, subject, and why it is rendered now.

    `template` is "" where it needs none. `cause` is the video whose change is the reason, if any.
    """

    path: OutPath
    template: str
    subject: Subject
    reason: str
    cause: int | None = None


def orders_of(scope: Scope, key: SortKey) -> tuple[Order, ...]:
    """Return the orders of a scope's listing by a key."""
    if key is SortKey.SHUFFLE:
        return (RANDOM,)
    match scope.kind:
        case ScopeKind.TAGS:
            return tuple(order for order in TAG_ORDERS if order.key is key)
        case ScopeKind.SUBFOLDERS:
            return (SUBFOLDERS,)
        case _:
            return _VIDEO_ORDERS[key]


_VIDEO_ORDERS = {key: tuple(order for order in VIDEO_ORDERS if order.key is key) for key in SortKey}


def is_head(shelf: Shelf, order: Order) -> bool:
    """Return whether an order begins with this shelf."""
    return (shelf.above if order.descending else shelf.below) is None


def shelf_page(scope: Scope, order: Order, shelf: Shelf, reason: str, cause: int | None) -> Page:
    """Return the page of a shelf in an order."""
    number = None if is_head(shelf, order) else shelf.number
    path = urls.shelf_path(scope, order, number)
    return Page(path, template_of(order), ShelfSubject(scope, order, shelf), reason, cause)


def template_of(order: Order) -> str:
    """Return the template of the shelves in an order."""
    return _TEMPLATES.get(order, "shelf.html")


_TEMPLATES = {
    RANDOM: "random.html",
    SUBFOLDERS: "folders.html",
    TAG_ORDERS[0]: "tags.html",
    TAG_ORDERS[1]: "tags.html",
}


def scope_page(scope: Scope, shelf: Shelf, reason: str, cause: int | None) -> Page:
    """Return the page of a scope that fits on one shelf."""
    return Page(urls.scope_path(scope), "shelf.html", ScopeSubject(scope, shelf), reason, cause)


def pages_of_shelf(
    scope: Scope, key: SortKey, shelf: Shelf, reason: str, cause: int | None
) -> list[Page]:
    """Return the pages that show a shelf: one for each order.

    The first shelf of a folder's subfolders has none of its own: it is on the folder's page.
    """
    return [
        shelf_page(scope, order, shelf, reason, cause)
        for order in orders_of(scope, key)
        if not (order is SUBFOLDERS and is_head(shelf, order))
    ]


def around(shelf: Shelf, order: Order) -> tuple[tuple[bool, int] | None, tuple[bool, int] | None]:
    """Return the previous and the next shelf in an order: (is an end, number) or None."""
    below = None if shelf.below is None else (shelf.below_lowest, shelf.below)
    above = None if shelf.above is None else (shelf.above_highest, shelf.above)
    if order.descending:
        return above, None if below is None else (False, below[1])
    return below, None if above is None else (False, above[1])


def fixed_pages(reason: str) -> tuple[Page, ...]:
    """Return the pages that show nothing of the library."""
    return (
        Page(urls.NOT_FOUND, "404.html", StaticSubject(), reason),
        Page(urls.LOGIN, "login.html", StaticSubject(), reason),
        Page(urls.PROBLEMS, "problems.html", StaticSubject(), reason),
        Page(urls.ROBOTS, "robots.txt", StaticSubject(), reason),
        Page(urls.SITEMAP_PAGES, "sitemap-pages.xml", StaticSubject(), reason),
    )


def altered_page(page: Page, alteration: Alteration | None, touched: set[int]) -> Page:
    """Return a page of a shelf as a patch of cards, if nothing else differs; else as it is."""
    if alteration is None or len(touched) > MAX_ALTERED:
        return page
    subject = page.subject
    assert isinstance(subject, ShelfSubject)
    descending = subject.order.descending
    came = tuple((video, near, above != descending) for video, near, above in alteration.came)
    stay = touched.difference(video for video, _, _ in came)
    return replace(
        page, subject=AlteredSubject(lambda: subject, tuple(stay), alteration.left, came)
    )
