"""Redirects are removed with their target, and restored with it.

A renamed folder that is hidden now leaves no page that reveals its new name and links to nothing.
But a disk that is unplugged for a month comes back with all its old addresses.
"""

from generator.adapters.ledger import Ledger
from generator.core.model import OutPath
from generator.core.site.contexts import SiteContext
from generator.plan.model import Plan

FOR_GOOD = 1 << 62


def plan_suspended(ledger: Ledger, site: SiteContext, plan: Plan, now: int) -> None:
    """Remove redirects whose target is removed, and restore those whose target is back.

    Args:
        ledger: its state before the plan.
        site: makes URLs of pages.
        plan: modified in place.
        now: the current instant.
    """
    _remove_orphans(ledger, site, plan)
    if ledger.has_suspended():
        _restore(ledger, site, plan, now)


def _remove_orphans(ledger: Ledger, site: SiteContext, plan: Plan) -> None:
    going = plan.gone - plan.redirects.keys()
    while going:
        redirects = ledger.redirects_to([site.link(path) for path in sorted(going)])
        going = set(redirects) - plan.pages.keys() - plan.redirects.keys() - plan.gone
        plan.gone |= going
        plan.suspended |= going


def _restore(ledger: Ledger, site: SiteContext, plan: Plan, now: int) -> None:
    pages = sorted(plan.pages)
    stored = ledger.digests(pages)
    coming = [*(path for path in pages if path not in stored), *plan.redirects]
    while coming:
        waiting = ledger.suspended_to([site.link(path) for path in coming])
        taken = ledger.digests(sorted(path for path, _, _ in waiting))
        coming = []
        for path, target, until in waiting:
            if until <= now or path in plan.pages or path in plan.redirects:
                continue
            if path in taken:  # another page has its URL
                continue
            plan.redirects[path] = target
            plan.gone.add(path)
            if until >= FOR_GOOD:
                plan.lasting.add(path)
            coming.append(OutPath(path))
