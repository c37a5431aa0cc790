"""Host files: `_headers`, and `_redirects` whenever the redirects changed."""

from collections.abc import Iterator
from heapq import merge
from itertools import islice

from generator.adapters.ledger import Ledger
from generator.core.delivery.host_files import MAX_REDIRECTS
from generator.core.model import OutPath
from generator.core.site import urls
from generator.core.site.page_types import HeadersSubject, Page, RedirectsSubject
from generator.plan.model import Plan

FACT = "host_files"  # "1" while both are pages of the site
_FILES = (urls.HEADERS, urls.REDIRECTS)


def plan_host_files(
    ledger: Ledger, plan: Plan, until: int, for_good: int, *, enabled: bool
) -> None:
    """Plan both files where they differ; called when everything else is planned.

    Args:
        ledger: its state before the plan.
        plan: modified in place.
        until: when the redirects of the plan expire.
        for_good: the same for permanent ones.
        enabled: whether the site has such files.
    """
    is_there = bool(ledger.fact(FACT))
    if not enabled:
        if is_there:
            plan.gone.update(_FILES)
        return
    if is_there and not _redirects_changed(ledger, plan):
        return
    ended = plan.pages.keys() | plan.gone | plan.redirects.keys()
    stored = (row for row in ledger.newest_redirects() if row[1] not in ended)
    fresh = [
        (for_good if path in plan.lasting else until, path, target)
        for path, target in plan.redirects.items()
    ]
    fresh.sort(reverse=True)
    pages = _pages(merge(fresh, stored, reverse=True), "redirects changed")
    for page in pages if not is_there else pages[1:]:
        plan.pages[page.path] = page


def host_pages(ledger: Ledger, reason: str) -> tuple[Page, ...]:
    """Return both files from the redirects in the ledger."""
    return _pages(ledger.newest_redirects(), reason)


def _redirects_changed(ledger: Ledger, plan: Plan) -> bool:
    return bool(plan.redirects) or ledger.has_redirect([*plan.pages, *plan.gone])


def _pages(rows: Iterator[tuple[int, OutPath, OutPath]], reason: str) -> tuple[Page, Page]:
    newest = tuple((path, target) for _, path, target in islice(rows, MAX_REDIRECTS))
    return (
        Page(urls.HEADERS, "", HeadersSubject(), reason),
        Page(urls.REDIRECTS, "", RedirectsSubject(newest), reason),
    )
