"""Shelves: the pages of listings in which something moved, and of scopes that are removed."""

from collections.abc import Iterable, Iterator

from generator.adapters.ledger import ListRow, ScopeRow
from generator.core.model import OutPath
from generator.core.site import urls
from generator.core.site.orders import Order, SortKey
from generator.core.site.page_types import (
    MAX_ALTERED,
    Page,
    ShelfSubject,
    altered_page,
    orders_of,
    pages_of_shelf,
    scope_page,
)
from generator.core.site.scopes import INDEXES, Scope, limits_of
from generator.core.site.shelves import ListingEditor, members
from generator.plan.draft import Draft
from generator.plan.model import PlannedList


def plan_shelves(draft: Draft, scope: Scope, keys: Iterable[SortKey], cause: int | None) -> None:
    """Plan the shelves that changed in the listings of a scope by some sort keys.

    `cause` is the video named as the reason where no member of a shelf is one.
    """
    for key in keys:
        planned = draft.lists.get((scope, key))
        if planned is None:
            continue  # nothing moved in it
        touched = set(members(planned.changes.touched))
        changed = touched.union(members(planned.changes.inserted))
        reason = "new page" if planned.fresh else "a shelf changed"
        for shelf in planned.editor.dirty():
            ids = () if planned.fresh else changed.intersection(members(shelf.keys))
            altered = None
            if not planned.fresh and scope.kind not in INDEXES:
                altered = planned.editor.alteration(shelf.number, MAX_ALTERED)
            own = next(iter(ids), cause)
            for page in pages_of_shelf(scope, key, shelf, reason, own):
                draft.add(altered_page(page, altered, touched.intersection(ids)))
        _redirect_moved(draft, planned)


def plan_whole(draft: Draft, scope: Scope, reason: str, cause: int | None) -> None:
    """Plan the one page of a scope that fits on a shelf."""
    whole = draft.listed(scope, SortKey.PLACE).editor.end(highest=True)
    draft.add(scope_page(scope, whole, reason, cause))


def drop_scope(draft: Draft, scope: Scope, row: ScopeRow) -> None:
    """Plan the removal of a scope, its listings and all its pages; none redirects yet."""
    lists, plan = draft.ledger.lists(row.id), draft.plan
    paths: dict[OutPath, Order | None] = {urls.scope_path(scope): None}
    if row.paged:
        for page in _every_page(draft, scope, lists):
            assert isinstance(page.subject, ShelfSubject)
            paths.setdefault(page.path, page.subject.order)
    draft.dropped[scope] = paths
    plan.gone |= paths.keys()
    for path in paths:
        plan.redirects.pop(path, None)
    plan.dropped_lists.extend(listing.id for listing in lists.values())
    plan.dropped_scopes.append(row.id)
    draft.rows[scope] = None


def every_path(draft: Draft, scope: Scope, lists: dict[SortKey, ListRow]) -> Iterator[OutPath]:
    """Yield the paths of all shelves of a scope, from the ledger."""
    return (page.path for page in _every_page(draft, scope, lists))


def _every_page(draft: Draft, scope: Scope, lists: dict[SortKey, ListRow]) -> Iterator[Page]:
    for key, row in lists.items():
        editor = ListingEditor(draft.ledger.view(row.id, expected=1000), limits_of(scope))
        for shelf in editor.every():
            yield from pages_of_shelf(scope, key, shelf, "", None)


def _redirect_moved(draft: Draft, planned: PlannedList) -> None:
    """Plan a redirect where a shelf had a URL of its own and has none now."""
    scope, editor, plan = planned.scope, planned.editor, draft.plan
    for moved in editor.moved():
        for order in orders_of(scope, planned.key):
            if moved.was_highest if order.descending else moved.was_lowest:
                continue
            former = urls.shelf_path(scope, order, moved.number)
            end = editor.is_end(moved.into, highest=order.descending)
            now = urls.shelf_path(scope, order, None if end else moved.into)
            if now != former:
                plan.gone.add(former)
                plan.redirects[former] = now
