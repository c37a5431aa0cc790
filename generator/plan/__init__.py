"""The plan: which listings and shelves change, which pages are to be rendered, and why.

Reads the ledger and writes nothing. Its cost depends on the number of changes, not on the size of
the library.
"""

from collections.abc import Iterable

from generator.adapters.ledger import Ledger
from generator.core.site.contexts import SiteContext
from generator.core.site.scopes import VideoChange
from generator.plan.draft import Draft
from generator.plan.folder_redirects import plan_renames
from generator.plan.full_site import every_page, plan_first
from generator.plan.home_and_feeds import plan_overviews
from generator.plan.host_files import host_pages, plan_host_files
from generator.plan.listings import plan_scopes
from generator.plan.model import Plan, PlannedList
from generator.plan.old_addresses import plan_old_addresses
from generator.plan.redirect_expiry import FOR_GOOD, plan_suspended
from generator.plan.sitemaps import plan_sitemaps, plan_storyboards
from generator.plan.tag_and_folder_pages import plan_indexes
from generator.plan.watch_pages import plan_chapters, plan_watch_pages

__all__ = [
    "FOR_GOOD",
    "Plan",
    "PlannedList",
    "every_page",
    "host_pages",
    "plan",
    "plan_host_files",
    "plan_old_addresses",
    "plan_suspended",
]


def plan(ledger: Ledger, site: SiteContext, differences: Iterable[VideoChange]) -> Plan:
    """Return what has to be done for the pages to show `differences`."""
    draft = Draft(ledger, site, list(differences))
    plan_scopes(draft)
    plan_indexes(draft)  # of tags and folders as they are now
    plan_renames(draft)
    plan_watch_pages(draft)
    plan_chapters(draft)
    plan_overviews(draft)
    plan_sitemaps(draft)
    plan_storyboards(draft)
    plan_first(draft)
    return draft.finish()
