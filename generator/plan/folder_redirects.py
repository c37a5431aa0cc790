"""Renames: the pages of a renamed folder redirect to those of the new one, permanently.

A rename is not reported as one: videos move, and a folder vanishes. Its pages redirect to where
most of the videos in or below it went. So do those of the tag that a folder gave them.
"""

from collections import Counter
from collections.abc import Iterator

from generator.core.model import OutPath
from generator.core.site import urls
from generator.core.site.orders import SUBFOLDERS, Order
from generator.core.site.scopes import Scope, ScopeKind, VideoChange, folder_of, parent_of
from generator.plan.draft import Draft

_EXACT = 1 << 20  # the rename of a folder itself counts more than where its videos are


def plan_renames(draft: Draft) -> None:
    """Redirect permanently the pages of folders and tags that vanish as their videos moved."""
    if not draft.dropped:
        return
    went: dict[Scope, Counter[Scope]] = {}
    for difference in draft.differences:
        for former, now, weight in _moves(difference):
            if former in draft.dropped and former != now:
                went.setdefault(former, Counter())[now] += weight
    for former, targets in went.items():
        existing = [scope for scope in targets if draft.row(scope) is not None]
        if existing:
            now = min(existing, key=lambda scope: (-targets[scope], scope.name))
            _redirect(draft, former, now)


def _moves(difference: VideoChange) -> Iterator[tuple[Scope, Scope, int]]:
    """Yield which scopes a video suggests were renamed, from and to, and the weight of that."""
    before, after = difference.before, difference.after
    if before is None or after is None:
        return
    former, now = folder_of(before.place), folder_of(after.place)
    if former == now:
        return
    for old, new, weight in _folders(former, now):
        yield Scope(ScopeKind.FOLDER, old), Scope(ScopeKind.FOLDER, new), weight
    gained = [name for name in after.tags if name not in before.tags]
    for name in before.tags:
        if name not in after.tags:
            for added in gained:
                yield Scope(ScopeKind.TAG, name), Scope(ScopeKind.TAG, added), 1


def _folders(former: str, now: str) -> Iterator[tuple[str, str, int]]:
    """Yield a folder and those around it, each with where it went.

    As long as the names below are the same, the whole folder was moved: "a/x" to "b/x" is "a" to
    "b", too. For those further up, the videos show only that they are elsewhere now.
    """
    old, new, weight = former, now, _EXACT
    while old:
        yield old, new, weight
        is_same = old.rpartition("/")[2] == new.rpartition("/")[2]
        old = parent_of(old)
        if weight == _EXACT and is_same and parent_of(new):
            new = parent_of(new)
        else:
            weight, new = 1, now


def _redirect(draft: Draft, former: Scope, now: Scope) -> None:
    plan = draft.plan
    below = Scope(ScopeKind.SUBFOLDERS, former.name)
    paths = dict(draft.dropped[former])
    if former.kind is ScopeKind.FOLDER:
        paths = {**draft.dropped.get(below, {}), **paths}
    for path, order in paths.items():
        target = _page(draft, now, order)
        if path != target:
            plan.gone.add(path)
            plan.redirects[path] = target
            plan.lasting.add(path)


def _page(draft: Draft, scope: Scope, order: Order | None) -> OutPath:
    """Return the first page of a scope in an order, or its only page."""
    row = draft.row(scope)
    if order is None or order is SUBFOLDERS or row is None or not row.paged:
        return urls.scope_path(scope)
    return urls.shelf_path(scope, order, None)
