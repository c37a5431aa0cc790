"""Redirects are removed with their target, and restored with it.

A renamed folder that is hidden now leaves no page that reveals its new name and links to nothing.
But a disk that is unplugged for a month comes back with all its old addresses.
"""

from generator.adapters.ledger import Ledger
from generator.plan.model import Plan

FOR_GOOD = 1 << 62


def plan_suspended(ledger: Ledger, plan: Plan, now: int, *, everything: bool = False) -> None:
    """Remove redirects whose target is removed, and restore those whose target is back.

    Args:
        ledger: its state before the plan.
        plan: modified in place.
        now: the current instant.
        everything: look at all redirects, not only at those to what the plan adds and removes.
    """
    _remove_orphans(ledger, plan, everything=everything)
    if ledger.has_suspended():
        _restore(ledger, plan, now, everything=everything)


def _remove_orphans(ledger: Ledger, plan: Plan, *, everything: bool) -> None:
    kept = plan.pages.keys() | plan.redirects.keys()
    going = plan.gone - plan.redirects.keys()
    if everything:
        targets = ledger.redirects()
        orphans = {path for path in ledger.orphaned_redirects() if targets[path] not in kept}
        plan.suspended |= orphans - kept - plan.gone
        plan.gone |= orphans - kept
        going |= orphans - kept
    while going:
        redirects = ledger.redirects_to(sorted(going))
        going = set(redirects) - kept - plan.gone
        plan.gone |= going
        plan.suspended |= going


def _restore(ledger: Ledger, plan: Plan, now: int, *, everything: bool) -> None:
    pages = sorted(plan.pages)
    stored = ledger.digests(pages)
    coming = [*(path for path in pages if path not in stored), *plan.redirects]
    if everything:
        coming = sorted((ledger.digests().keys() - plan.gone) | plan.pages.keys())
        coming += plan.redirects
    while coming:
        waiting = ledger.suspended_to(coming)
        taken = ledger.digests(sorted(path for path, _, _ in waiting))
        coming = []
        for path, target, until in waiting:
            if until <= now or path in plan.pages or path in plan.redirects:
                continue
            if path in plan.dropped_old_addresses:
                continue
            if path in taken:  # another page has its URL
                continue
            plan.redirects[path] = target
            plan.gone.add(path)
            if until >= FOR_GOOD:
                plan.lasting.add(path)
            coming.append(path)
