"""The plan: which listings move, which shelves change, which pages are to be rendered, and why.

Reads the ledger and writes nothing. What it costs depends on what changed, not on how much there
is.
"""

from collections.abc import Iterable

from generator.adapters.ledger import Ledger
from generator.core.contexts import Site
from generator.core.scopes import Difference
from generator.planning.draft import Draft
from generator.planning.hosts import host_pages, plan_host_files
from generator.planning.indexes import plan_indexes
from generator.planning.overviews import plan_overviews
from generator.planning.parts import plan_boards, plan_sitemaps
from generator.planning.planned import Plan, PlannedList
from generator.planning.renames import plan_renames
from generator.planning.resting import FOR_GOOD, plan_resting
from generator.planning.scopes import plan_scopes
from generator.planning.watching import plan_chapters, plan_watch_pages
from generator.planning.whole import every_page, plan_first

__all__ = [
    "FOR_GOOD",
    "Plan",
    "PlannedList",
    "every_page",
    "host_pages",
    "plan",
    "plan_host_files",
    "plan_resting",
]


def plan(ledger: Ledger, site: Site, differences: Iterable[Difference]) -> Plan:
    """Return what has to happen for the pages to show `differences`."""
    draft = Draft(ledger, site, list(differences))
    plan_scopes(draft)
    plan_indexes(draft)  # of tags and folders as they are now
    plan_renames(draft)
    plan_watch_pages(draft)
    plan_chapters(draft)
    plan_overviews(draft)
    plan_sitemaps(draft)
    plan_boards(draft)
    plan_first(draft)
    return draft.finish()
