"""Indexes: the list of all tags, and the tree of folders."""

from collections.abc import Iterator
from typing import TypeAlias

from generator.adapters.ledger import ScopeRow
from generator.core.site import urls
from generator.core.site.orders import VIDEO_ORDERS, SortKey, scope_key
from generator.core.site.page_types import shelf_page
from generator.core.site.scopes import LIBRARY, TAGS, Scope, ScopeKind, keys_of, parent_of
from generator.core.site.shelves import Changes
from generator.plan.draft import Draft
from generator.plan.shelf_pages import drop_scope, plan_shelves, plan_whole

Entries: TypeAlias = dict[str, tuple[ScopeRow | None, ScopeRow | None]]  # by name: before, after


def plan_indexes(draft: Draft) -> None:
    """Plan the tags index and the subfolder indexes; scopes of videos must be planned."""
    tags: Entries = {}
    for scope in draft.membership_changes:
        if scope.kind is ScopeKind.TAG:
            before, after = draft.ledger.scope(scope), draft.row(scope)
            if before != after:
                tags[scope.name] = (before, after)
    if tags or draft.is_first:
        _plan_index(draft, TAGS, tags)
    _plan_folders(draft)


def _plan_index(draft: Draft, scope: Scope, entries: Entries) -> None:
    row = draft.row(scope)
    growth = sum((after is not None) - (before is not None) for before, after in entries.values())
    members = (row.members if row else 0) + growth
    if not members and row is not None and scope.kind is ScopeKind.SUBFOLDERS:
        drop_scope(draft, scope, row)
        return
    now = draft.put_row(scope, row, members, paged=True)
    lists = draft.ledger.lists(now.id) if row else {}
    keys = keys_of(scope, paged=True)
    for key in keys:
        draft.put_list(scope, key, lists.get(key), _index_changes(scope, key, entries))
    plan_shelves(draft, scope, keys, None)


def _index_changes(scope: Scope, key: SortKey, entries: Entries) -> Changes:
    removed, inserted, touched = [], [], []
    for name, (before, after) in entries.items():
        last = name.rpartition("/")[2] if scope.kind is ScopeKind.SUBFOLDERS else name
        was = scope_key(last, before.members, before.id, key) if before else None
        now = scope_key(last, after.members, after.id, key) if after else None
        if was != now:
            removed += [was] if was else []
            inserted += [now] if now else []
        if now:
            touched.append(now)
    return Changes(tuple(removed), tuple(inserted), tuple(touched))


# -- folders


def _plan_folders(draft: Draft) -> None:
    """Go up from the folders whose videos changed: some are added, some are removed."""
    waiting: list[set[str]] = []  # by depth
    inside: dict[str, Entries] = {}
    for folder in draft.membership_changes:
        if folder.kind is ScopeKind.FOLDER:
            waiting += [set() for _ in range(_depth(folder.name) + 1 - len(waiting))]
            waiting[_depth(folder.name)].add(folder.name)
    for name in _deepest_first(waiting):
        scope, entries = Scope(ScopeKind.FOLDER, name), inside.pop(name, {})
        before = draft.ledger.scope(scope)
        if entries:
            _plan_index(draft, Scope(ScopeKind.SUBFOLDERS, name), entries)
        after = _folder_after(draft, scope)
        if entries and after is not None:
            _replan_folder(draft, scope, after)
        if (before is None) != (after is None) and name:
            parent = parent_of(name)
            inside.setdefault(parent, {})[name] = (before, after)
            waiting[_depth(parent)].add(parent)


def _folder_after(draft: Draft, scope: Scope) -> ScopeRow | None:
    """Return a folder as it will be; one without videos and subfolders is removed."""
    row = draft.row(scope)
    below = draft.row(Scope(ScopeKind.SUBFOLDERS, scope.name))
    if row is None and below is not None:
        row = draft.put_row(scope, None, 0, paged=False)
        draft.put_list(scope, SortKey.PLACE, None, Changes())
    if row is not None and not row.members and below is None and scope != LIBRARY:
        stored = draft.ledger.scope(scope)
        if stored is not None:
            drop_scope(draft, scope, stored)
        draft.plan.scopes.pop(scope, None)
        _forget_lists(draft, scope)
        return None
    return row


def _forget_lists(draft: Draft, scope: Scope) -> None:
    for key in [key for key in draft.lists if key[0] == scope]:
        del draft.lists[key]
    draft.plan.pages.pop(urls.scope_path(scope), None)
    draft.rows[scope] = None


def _replan_folder(draft: Draft, scope: Scope, row: ScopeRow) -> None:
    """Plan the page that lists the folders in a folder."""
    reason = "folder list changed"
    if not row.paged:
        plan_whole(draft, scope, reason, None)
        return
    head = draft.listed(scope, SortKey.ADDED).editor.end(highest=True)
    draft.add(shelf_page(scope, VIDEO_ORDERS[0], head, reason, None))


def _deepest_first(waiting: list[set[str]]) -> Iterator[str]:
    """Yield folders by depth; meanwhile less deep ones may be added."""
    for names in reversed(waiting):
        yield from sorted(names)


def _depth(folder: str) -> int:
    return folder.count("/") + 1 if folder else 0
