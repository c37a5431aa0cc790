"""Pages: what each file of the site shows. A page is a value; painting it is another matter."""

from dataclasses import dataclass
from typing import TypeAlias

from generator.core import addresses
from generator.core.model import OutPath, Video
from generator.core.orders import (
    RANDOM,
    SUBFOLDERS,
    TAG_ORDERS,
    VIDEO_ORDERS,
    Key,
    Order,
)
from generator.core.scopes import Scope, ScopeKind
from generator.core.shelves import Shelf


@dataclass(frozen=True, slots=True)
class OfShelf:
    """A shelf of a scope, in an order."""

    scope: Scope
    order: Order
    shelf: Shelf


@dataclass(frozen=True, slots=True)
class OfScope:
    """A scope that fits on one shelf, whole."""

    scope: Scope
    shelf: Shelf


@dataclass(frozen=True, slots=True)
class OfVideo:
    """A watch page; `before` and `after` are the neighbours' ids, nearest first."""

    video: Video
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """Some cards under a heading that leads to the rest of them."""

    heading: str
    path: OutPath
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OfSections:
    """The home page, or the best of (one section)."""

    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class OfNewest:
    """A feed."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OfPart:
    """The sitemap of videos whose ids stand side by side."""

    part: int


@dataclass(frozen=True, slots=True)
class OfCount:
    """The small file that tells how many shelves of random order there are."""

    shelves: int


@dataclass(frozen=True, slots=True)
class OfTarget:
    """A page that leads on."""

    target: str


@dataclass(frozen=True, slots=True)
class OfNothing:
    """A page that shows nothing of the library."""


Subject: TypeAlias = (
    OfShelf | OfScope | OfVideo | OfSections | OfNewest | OfPart | OfCount | OfTarget | OfNothing
)


@dataclass(frozen=True, slots=True)
class Page:
    """One file of the site: where, by which template, of what, and why it is rendered now.

    `cause` is the video whose change is the reason, None where it is not a video's.
    """

    path: OutPath
    template: str
    subject: Subject
    reason: str
    cause: int | None = None


def orders_of(scope: Scope, key: Key) -> tuple[Order, ...]:
    """Return the orders in which the listing of a scope by a key is read."""
    if key is Key.SHUFFLE:
        return (RANDOM,)
    match scope.kind:
        case ScopeKind.TAGS:
            return tuple(order for order in TAG_ORDERS if order.key is key)
        case ScopeKind.SUBFOLDERS:
            return (SUBFOLDERS,)
        case _:
            return tuple(order for order in VIDEO_ORDERS if order.key is key)


def is_head(shelf: Shelf, order: Order) -> bool:
    """Tell whether an order begins with this shelf."""
    return (shelf.above if order.descending else shelf.below) is None


def shelf_page(scope: Scope, order: Order, shelf: Shelf, reason: str, cause: int | None) -> Page:
    """Return the page of a shelf in an order."""
    number = None if is_head(shelf, order) else shelf.number
    path = addresses.shelf_page(scope, order, number)
    return Page(
        path, _TEMPLATES.get(order, "shelf.html"), OfShelf(scope, order, shelf), reason, cause
    )


_TEMPLATES = {
    RANDOM: "random.html",
    SUBFOLDERS: "folders.html",
    TAG_ORDERS[0]: "tags.html",
    TAG_ORDERS[1]: "tags.html",
}


def scope_page(scope: Scope, shelf: Shelf, reason: str, cause: int | None) -> Page:
    """Return the page of a scope that fits on one shelf."""
    return Page(addresses.scope_page(scope), "shelf.html", OfScope(scope, shelf), reason, cause)


def pages_of_shelf(
    scope: Scope, key: Key, shelf: Shelf, reason: str, cause: int | None
) -> list[Page]:
    """Return the pages that show a shelf: one for each order it is read in.

    The first shelf of a folder's subfolders has none of its own: it stands on the folder's page.
    """
    return [
        shelf_page(scope, order, shelf, reason, cause)
        for order in orders_of(scope, key)
        if not (order is SUBFOLDERS and is_head(shelf, order))
    ]


def around(shelf: Shelf, order: Order) -> tuple[tuple[bool, int] | None, tuple[bool, int] | None]:
    """Return the shelves that come before and after in an order: (is an end, number) or None."""
    below = None if shelf.below is None else (shelf.below_lowest, shelf.below)
    above = None if shelf.above is None else (shelf.above_highest, shelf.above)
    if order.descending:
        return above, None if below is None else (False, below[1])
    return below, None if above is None else (False, above[1])


def fixed_pages(reason: str) -> tuple[Page, ...]:
    """Return the pages that show nothing of the library."""
    return (
        Page(addresses.NOT_FOUND, "404.html", OfNothing(), reason),
        Page(addresses.ROBOTS, "robots.txt", OfNothing(), reason),
        Page(addresses.SITEMAP_PAGES, "sitemap-pages.xml", OfNothing(), reason),
    )
