"""Scopes of videos: the changes of every listing that videos enter, leave, or change in."""

from functools import partial

from generator.adapters.ledger import ListRow, ScopeRow
from generator.core.model import Video, VideoId
from generator.core.site import urls
from generator.core.site.orders import Order, SortKey, member
from generator.core.site.page_types import (
    AlteredSubject,
    Page,
    ScopeSubject,
    ShelfSubject,
    orders_of,
    template_of,
)
from generator.core.site.scopes import (
    ALL,
    FAVORITES,
    LIBRARY,
    MembershipChange,
    Scope,
    ScopeKind,
    is_paged,
    keys_of,
    limits_of,
)
from generator.core.site.shelves import Changes, ListingEditor, ShelfRow
from generator.plan.draft import Draft
from generator.plan.shelf_pages import drop_scope, every_path, plan_shelves, plan_whole

_KEPT_EMPTY = (ALL, FAVORITES, LIBRARY)


def plan_scopes(draft: Draft) -> None:
    """Plan every scope that videos enter, leave, or change in."""
    for scope in _KEPT_EMPTY if draft.is_first else ():
        draft.membership_changes.setdefault(scope, MembershipChange())
    for scope, change in draft.membership_changes.items():
        _plan_scope(draft, scope, change)


def _plan_scope(draft: Draft, scope: Scope, change: MembershipChange) -> None:
    row = draft.row(scope)
    members = (row.members if row else 0) + change.growth
    if not members and scope.kind is ScopeKind.TAG:
        assert row is not None
        drop_scope(draft, scope, row)
        return
    paged = is_paged(scope, members, was=row is not None and row.paged)
    now = draft.put_row(scope, row, members, paged=paged)
    lists = draft.ledger.lists(now.id) if row else {}
    _plan_lists(draft, scope, change, row, lists)
    if row is not None and row.paged and not paged:
        _unpage(draft, scope, lists)
    cause = _first_cause(change)
    if paged:
        plan_shelves(draft, scope, keys_of(scope, paged=True), cause)
        return
    planned = draft.lists.get((scope, SortKey.PLACE))
    if planned is not None and (planned.fresh or planned.changes):
        plan_whole(draft, scope, "content changed", cause)


def _plan_lists(
    draft: Draft,
    scope: Scope,
    change: MembershipChange,
    row: ScopeRow | None,
    lists: dict[SortKey, ListRow],
) -> None:
    """Plan the changes in the listings of a scope; `row` and `lists` are the former ones."""
    now = draft.rows[scope]
    assert now is not None
    stays = row is not None and row.paged == now.paged
    keys = keys_of(scope, paged=now.paged)
    everyone = [] if lists.keys() >= set(keys) else _members_after(draft, row, change)
    for key in keys:
        if key not in lists:
            changes = Changes(inserted=draft.keyed(everyone, key))
        else:
            changes = _changes(draft, change, key)
            if stays and not changes.removed and not changes.inserted:
                _plan_touched(draft, scope, key, lists[key], changes.touched)
                continue
        draft.put_list(scope, key, lists.get(key), changes)


def _members_after(draft: Draft, row: ScopeRow | None, change: MembershipChange) -> list[Video]:
    """Return all videos that will be in a scope."""
    if row is None:
        return change.entered
    videos: dict[VideoId, Video] = {}
    if row.members:
        view = draft.ledger.view(draft.ledger.lists(row.id)[SortKey.PLACE].id)
        ids = [VideoId(member(key)) for shelf in view.shelves() for key in view.keys(shelf)]
        videos = draft.ledger.videos(ids)
    for video in change.left:
        videos.pop(video.id)
    for difference in change.stayed:
        assert difference.after is not None
        videos[difference.after.id] = difference.after
    videos.update((video.id, video) for video in change.entered)
    return list(videos.values())


def _changes(draft: Draft, change: MembershipChange, key: SortKey) -> Changes:
    removed = list(draft.keyed(change.left, key))
    inserted = list(draft.keyed(change.entered, key))
    touched = []
    for difference in change.stayed:
        assert difference.before is not None
        assert difference.after is not None
        before, after = draft.key(difference.before, key), draft.key(difference.after, key)
        if before != after:
            removed.append(before)
            inserted.append(after)
        if draft.visible_changes[difference.after.id].card:
            touched.append(after)
    return Changes(tuple(removed), tuple(inserted), tuple(touched))


# -- listings in which nothing moves


def _plan_touched(
    draft: Draft, scope: Scope, key: SortKey, row: ListRow, touched: tuple[bytes, ...]
) -> None:
    """Plan the pages of a listing in which nothing moves, but some cards changed."""
    if not touched:
        return
    draft.touched[scope, key] = touched
    whole_scope = draft.row(scope)
    if whole_scope is not None and not whole_scope.paged:
        videos = tuple(map(member, touched))
        subject = AlteredSubject(partial(_whole_again, draft, scope, row), videos)
        path, why = urls.scope_path(scope), "content changed"
        draft.add(Page(path, "shelf.html", subject, why, videos[0]))
        return
    view = draft.ledger.view(row.id, expected=len(touched))
    shelves: dict[ShelfRow, list[int]] = {}
    for sort_key in touched:
        shelves.setdefault(view.holder(sort_key), []).append(member(sort_key))
    for shelf, ids in shelves.items():
        videos = tuple(ids)
        for order in orders_of(scope, key):
            is_end = shelf.highest if order.descending else shelf.first == b""
            path = urls.shelf_path(scope, order, None if is_end else shelf.number)
            whole = partial(_shelf_again, draft, scope, order, row, shelf.first)
            subject = AlteredSubject(whole, videos)
            draft.add(Page(path, template_of(order), subject, "a shelf changed", videos[0]))


def _shelf_again(
    draft: Draft, scope: Scope, order: Order, row: ListRow, first: bytes
) -> ShelfSubject:
    return ShelfSubject(scope, order, _stored_editor(draft, scope, row).shelf_at(first))


def _whole_again(draft: Draft, scope: Scope, row: ListRow) -> ScopeSubject:
    return ScopeSubject(scope, _stored_editor(draft, scope, row).end(highest=True))


def _stored_editor(draft: Draft, scope: Scope, row: ListRow) -> ListingEditor:
    return ListingEditor(draft.ledger.view(row.id), limits_of(scope), row.next_number)


# -- scopes that shrank


def _unpage(draft: Draft, scope: Scope, lists: dict[SortKey, ListRow]) -> None:
    """Put a scope that shrank back on a single page; its other pages redirect there."""
    plan = draft.plan
    plain = urls.scope_path(scope)
    for path in every_path(draft, scope, lists):
        if path != plain:
            plan.gone.add(path)
            plan.redirects[path] = plain
    for key, row in lists.items():
        if key not in keys_of(scope, paged=False):
            plan.dropped_lists.append(row.id)
    planned = draft.lists[scope, SortKey.PLACE]
    planned.fresh = True


def _first_cause(change: MembershipChange) -> int | None:
    for videos in (change.entered, change.left, [d.video for d in change.stayed]):
        for video in videos:
            return video.id
    return None
