"""Renames: the pages of a folder that was renamed redirect to those of the new one, for good.

A rename is not seen as such: videos move, and a folder vanishes. Where most of the videos went that
were in it, or below it, its pages lead. So do those of the tag that a folder gave them.
"""

from collections import Counter
from collections.abc import Iterator

from generator.core.model import OutPath
from generator.core.site import urls
from generator.core.site.orders import SUBFOLDERS, Order
from generator.core.site.scopes import Scope, ScopeKind, VideoChange, folder_of, parent_of
from generator.plan.draft import Draft

_EXACT = 1 << 20  # what a rename of a folder says of it counts more than where its videos are


def plan_renames(draft: Draft) -> None:
    """Let the pages of folders and tags that vanish, as their videos moved, lead on for good."""
    if not draft.dropped:
        return
    went: dict[Scope, Counter[Scope]] = {}
    for difference in draft.differences:
        for former, now, weight in _moves(difference):
            if former in draft.dropped and former != now:
                went.setdefault(former, Counter())[now] += weight
    for former, targets in went.items():
        there = [scope for scope in targets if draft.row(scope) is not None]
        if there:
            now = min(there, key=lambda scope: (-targets[scope], scope.name))
            _redirect(draft, former, now)


def _moves(difference: VideoChange) -> Iterator[tuple[Scope, Scope, int]]:
    """Yield from where to where a video says that scopes went, and how much that counts."""
    before, after = difference.before, difference.after
    if before is None or after is None:
        return
    former, now = folder_of(before.place), folder_of(after.place)
    if former == now:
        return
    for one, other, weight in _folders(former, now):
        yield Scope(ScopeKind.FOLDER, one), Scope(ScopeKind.FOLDER, other), weight
    gained = [name for name in after.tags if name not in before.tags]
    for name in before.tags:
        if name not in after.tags:
            for other in gained:
                yield Scope(ScopeKind.TAG, name), Scope(ScopeKind.TAG, other), 1


def _folders(former: str, now: str) -> Iterator[tuple[str, str, int]]:
    """Yield a folder and those around it, each with where it went.

    As long as the names below are the same, the whole folder was moved: "a/x" to "b/x" is "a" to
    "b", too. Of those further up the videos tell only that they are elsewhere now.
    """
    one, other, weight = former, now, _EXACT
    while one:
        yield one, other, weight
        is_same = one.rpartition("/")[2] == other.rpartition("/")[2]
        one = parent_of(one)
        if weight == _EXACT and is_same and parent_of(other):
            other = parent_of(other)
        else:
            weight, other = 1, now


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
            plan.forwards[path] = draft.site.link(target)
            plan.lasting.add(path)


def _page(draft: Draft, scope: Scope, order: Order | None) -> OutPath:
    """Return where an order of a scope begins, or its one page."""
    row = draft.row(scope)
    if order is None or order is SUBFOLDERS or row is None or not row.paged:
        return urls.scope_path(scope)
    return urls.shelf_path(scope, order, None)
