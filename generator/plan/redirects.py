"""Resting: pages that lead on go with what they lead to, and come back with it.

A folder that was renamed and is hidden now leaves no page that tells its new name and leads to
nothing. But a disk that is unplugged for a month comes back with all its old addresses.
"""

from generator.adapters.ledger import Ledger
from generator.core.model import OutPath
from generator.core.site.contexts import SiteContext
from generator.plan.model import Plan

FOR_GOOD = 1 << 62


def plan_resting(ledger: Ledger, site: SiteContext, plan: Plan, now: int) -> None:
    """Let forwards go whose target goes, and those come back whose target comes.

    Args:
        ledger: as it is before the plan.
        site: makes addresses of pages.
        plan: is changed.
        now: the current instant.
    """
    _let_go(ledger, site, plan)
    if ledger.is_any_resting():
        _bring_back(ledger, site, plan, now)


def _let_go(ledger: Ledger, site: SiteContext, plan: Plan) -> None:
    going = plan.gone - plan.forwards.keys()
    while going:
        leading = ledger.forwards_to([site.link(path) for path in sorted(going)])
        going = set(leading) - plan.pages.keys() - plan.forwards.keys() - plan.gone
        plan.gone |= going
        plan.resting |= going


def _bring_back(ledger: Ledger, site: SiteContext, plan: Plan, now: int) -> None:
    pages = sorted(plan.pages)
    there = ledger.digests(pages)
    coming = [*(path for path in pages if path not in there), *plan.forwards]
    while coming:
        waiting = ledger.resting_to([site.link(path) for path in coming])
        coming = []
        for path, target, until in waiting:
            if until <= now or path in plan.pages or path in plan.forwards:
                continue
            if ledger.page(path) is not None:  # something else has its address
                continue
            plan.forwards[path] = target
            plan.gone.add(path)
            if until >= FOR_GOOD:
                plan.lasting.add(path)
            coming.append(OutPath(path))
