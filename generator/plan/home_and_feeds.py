"""Overviews: home, Best of, the feeds, and the number of shelves in random order."""

from typing import TypeAlias

from generator.core.site import urls
from generator.core.site.orders import VIDEO_ORDERS, SortKey, member
from generator.core.site.page_types import (
    FeedSubject,
    Page,
    Section,
    SectionsSubject,
    ShelfCountSubject,
)
from generator.core.site.scopes import ALL, FAVORITES, Scope
from generator.plan.draft import Draft

HOME_NEWEST, HOME_OTHERS, BEST, FEED = 24, 6, 60, 30  # videos
_CHANGED = "a video on it changed"

Window: TypeAlias = tuple[Scope, SortKey, int]  # the highest keys of a listing, and how many

_NEWEST: Window = (ALL, SortKey.ADDED, HOME_NEWEST)
_OTHERS: tuple[tuple[str, Window], ...] = (
    ("Best rated", (ALL, SortKey.RATING, HOME_OTHERS)),
    ("Most viewed", (ALL, SortKey.VIEWS, HOME_OTHERS)),
    ("Favorites", (FAVORITES, SortKey.ADDED, HOME_OTHERS)),
)
_BEST: Window = (ALL, SortKey.RATING, BEST)
_FEED: Window = (ALL, SortKey.ADDED, FEED)


def plan_overviews(draft: Draft) -> None:
    """Plan home, Best of and the feeds where their content changed."""
    if any(_shows_change(draft, window) for window in (_NEWEST, *(w for _, w in _OTHERS))):
        draft.add(home_page(draft, _CHANGED))
    if _shows_change(draft, _BEST):
        draft.add(best_page(draft, _CHANGED))
    if _shows_change(draft, _FEED) or _feeds_change(draft):
        for page in feed_pages(draft, _CHANGED):
            draft.add(page)
    shuffle = draft.lists.get((ALL, SortKey.SHUFFLE))
    if shuffle and (shuffle.fresh or shuffle.editor.next_number != shuffle.row.next_number):
        draft.add(count_page(draft, "a shelf was added"))


def home_page(draft: Draft, reason: str) -> Page:
    """Return the home page."""
    sections = (
        _section(draft, "New", _NEWEST),
        *(_section(draft, heading, window) for heading, window in _OTHERS),
    )
    shown = tuple(section for section in sections if section.ids)
    return Page(urls.HOME, "home.html", SectionsSubject(shown), reason)


def best_page(draft: Draft, reason: str) -> Page:
    """Return the page of the best-rated videos."""
    section = _section(draft, "Best of", _BEST)
    return Page(urls.BEST, "best.html", SectionsSubject((section,)), reason)


def feed_pages(draft: Draft, reason: str) -> tuple[Page, ...]:
    """Return the feeds."""
    ids = tuple(map(member, _window(draft, _FEED)))
    return (
        Page(urls.ATOM, "atom.xml", FeedSubject(ids), reason),
        Page(urls.RSS, "rss.xml", FeedSubject(ids), reason),
    )


def count_page(draft: Draft, reason: str) -> Page:
    """Return the file that holds the number of shelves in random order."""
    count = draft.listed(ALL, SortKey.SHUFFLE).editor.next_number - 1
    return Page(urls.SHELVES, "", ShelfCountSubject(count), reason)


def _section(draft: Draft, heading: str, window: Window) -> Section:
    scope, key, _ = window
    order = next(o for o in VIDEO_ORDERS if o.key is key and o.descending)
    path = urls.shelf_path(scope, order, None)
    return Section(heading, path, tuple(map(member, _window(draft, window))))


def _window(draft: Draft, window: Window) -> list[bytes]:
    scope, key, count = window
    keys = draft.listed(scope, key).editor.window(count, highest=True)
    return [k for k in keys if _counts(key, k)]


def _counts(key: SortKey, listed: bytes) -> bool:
    """Return whether a key counts: an unrated video is not among the best."""
    if key is SortKey.RATING:
        return listed[0] > 0
    return key is not SortKey.VIEWS or any(listed[:5])


def _shows_change(draft: Draft, window: Window) -> bool:
    planned = draft.lists.get(window[:2])
    changed = draft.touched.get(window[:2], ())
    if planned is not None:
        changes = planned.changes
        changed += changes.removed + changes.inserted + changes.touched
    if planned is not None and planned.fresh:
        return True
    if not changed:
        return False
    keys = _window(draft, window)
    lowest = keys[-1] if len(keys) == window[2] else b""
    return any(key >= lowest for key in changed)


def _feeds_change(draft: Draft) -> bool:
    changed = [d for d in draft.differences if draft.visible_changes[d.video.id].feed]
    if not changed:
        return False
    shown = set(map(member, _window(draft, _FEED)))
    return any(d.video.id in shown for d in changed)
