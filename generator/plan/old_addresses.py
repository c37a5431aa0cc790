"""Redirect pages of old addresses: `/watch/<file name>` and `/tag/<tag>` of a former server.

A video keeps the address of a name that it had once, unless another has that name now. Of several
videos with one bare name, the one at the top of the library is meant, where the former server had
its files; else the first one.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from generator.adapters.ledger import Ledger, OldAddressRow, OldAddressTable
from generator.core.model import OutPath, Video, VideoId
from generator.core.site import old_addresses as old
from generator.core.site import urls
from generator.core.site.scopes import ScopeKind, VideoChange
from generator.plan.model import Plan

FACT = "old_addresses"  # "1" while they are redirected
_TAG = VideoId(0)


def plan_old_addresses(
    ledger: Ledger, plan: Plan, changes: Collection[VideoChange], *, enabled: bool
) -> None:
    """Plan the redirects that differ; called when the pages of videos and tags are planned.

    Args:
        ledger: its state before the plan.
        plan: modified in place.
        changes: the videos that differ.
        enabled: whether the site has old addresses.
    """
    had = bool(ledger.fact(FACT))
    if not enabled:
        if had:
            plan.dropped_old_addresses = OldAddressTable(ledger.connection).pages(old.FOLDER)
            plan.gone |= plan.dropped_old_addresses
        return
    redirects = _tag_redirects(ledger, plan, is_first=not had)
    redirects |= _video_redirects(ledger, plan, changes, is_first=not had)
    stored = OldAddressTable(ledger.connection).targets(list(redirects))
    for path, target in redirects.items():
        if stored.get(path) != target:
            plan.redirects[path] = target
            plan.lasting.add(path)
            plan.gone.add(path)


def _tag_redirects(ledger: Ledger, plan: Plan, *, is_first: bool) -> dict[OutPath, OutPath]:
    tags = {scope.name for scope in plan.scopes if scope.kind is ScopeKind.TAG}
    if is_first:
        dropped = set(plan.dropped_scopes)
        tags |= {
            scope.name
            for scope, row in ledger.scopes()
            if scope.kind is ScopeKind.TAG and row.id not in dropped
        }
    redirects: dict[OutPath, OutPath] = {}
    for name in sorted(tags):
        for row in _rows(_TAG, old.tag_addresses(name)):
            plan.old_addresses.append(row)
            redirects[row.path] = old.tag_page(name)
    return redirects


def _video_redirects(
    ledger: Ledger, plan: Plan, changes: Collection[VideoChange], *, is_first: bool
) -> dict[OutPath, OutPath]:
    added = _every_video(ledger, plan) if is_first else _named(changes)
    rows = [row for video in added for row in _rows(video.id, old.watch_addresses(video))]
    plan.old_addresses += rows
    paths = dict.fromkeys(row.path for row in rows)
    for change in changes:
        if not is_first and change.before is not None and _is_renamed(change):
            paths |= dict.fromkeys(map(old.page_of, old.watch_addresses(change.before)))
    candidates: dict[OutPath, set[tuple[VideoId, OutPath]]] = defaultdict(set)
    for row in (*OldAddressTable(ledger.connection).rows(list(paths)), *rows):
        candidates[row.path].add((row.video, row.address))
    videos = _videos(ledger, plan, {video for rest in candidates.values() for video, _ in rest})
    redirects = {}
    for path, claims in candidates.items():
        shown = [(videos[video], address) for video, address in claims if video in videos]
        if shown:
            redirects[path] = urls.watch_path_of(min(shown, key=_precedence)[0])
    return redirects


def _precedence(claim: tuple[Video, OutPath]) -> tuple[bool, bool, VideoId]:
    video, address = claim
    is_former = address not in map(old.rule_of, old.watch_addresses(video))
    return is_former, "/" in video.place.path, video.id


def _rows(video: VideoId, addresses: Iterable[bytes]) -> Iterator[OldAddressRow]:
    for address in addresses:
        yield OldAddressRow(old.page_of(address), video, old.rule_of(address))


def _named(changes: Iterable[VideoChange]) -> list[Video]:
    """Return the videos that have a name which they did not have before."""
    return [change.after for change in changes if change.after and _is_renamed(change)]


def _is_renamed(change: VideoChange) -> bool:
    before, after = change.before, change.after
    if before is None or after is None:
        return True
    return before.place != after.place or before.slug != after.slug


def _every_video(ledger: Ledger, plan: Plan) -> list[Video]:
    hidden = set(plan.hidden)
    videos = {video.id: video for video in ledger.all_videos() if video.id not in hidden}
    return list((videos | plan.shown).values())


def _videos(ledger: Ledger, plan: Plan, ids: set[VideoId]) -> dict[VideoId, Video]:
    shown = {video: plan.shown[video] for video in ids if video in plan.shown}
    return ledger.videos(ids - shown.keys() - set(plan.hidden)) | shown
