"""Host files: `_headers`, and `_redirects` whenever the redirects changed."""

from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import islice

from generator.adapters.ledger import Ledger, OldAddressRow, OldAddressTable
from generator.core.delivery.host_files import MAX_REDIRECTS
from generator.core.model import OutPath
from generator.core.site import old_addresses as old
from generator.core.site import urls
from generator.core.site.page_types import HeadersSubject, Page, RedirectsSubject
from generator.plan.model import Plan
from generator.plan.old_addresses import FACT as OLD_ADDRESSES

FACT = "host_files"  # "1" while both are pages of the site
# /ping has no page of its own: home answers a monitor just as well
_FIXED_RULES = tuple(
    (OutPath(name), path) for name, path in [*old.FIXED.items(), (old.PING, urls.HOME)]
)
_FILES = (urls.HEADERS, urls.REDIRECTS)


def plan_host_files(
    ledger: Ledger,
    plan: Plan,
    until: int,
    for_good: int,
    *,
    enabled: bool,
    old_addresses: bool,
) -> None:
    """Plan both files where they differ; called when everything else is planned.

    Args:
        ledger: its state before the plan.
        plan: modified in place.
        until: when the redirects of the plan expire.
        for_good: the same for permanent ones.
        enabled: whether the site has such files.
        old_addresses: whether rules for the fixed old addresses come first.
    """
    is_there = bool(ledger.fact(FACT))
    if not enabled:
        if is_there:
            plan.gone.update(_FILES)
        return
    had_old = bool(ledger.fact(OLD_ADDRESSES))
    if is_there and had_old == old_addresses and not _redirects_changed(ledger, plan):
        return
    ended = plan.pages.keys() | plan.gone | plan.redirects.keys()
    stored = (row for row in ledger.newest_redirects() if row[1] not in ended)
    fresh = [
        (for_good if path in plan.lasting else until, path, target)
        for path, target in plan.redirects.items()
    ]
    fresh.sort(reverse=True)
    rows = merge(fresh, stored, reverse=True)
    pages = _pages(
        ledger, rows, "redirects changed", old_addresses=old_addresses, more=plan.old_addresses
    )
    for page in pages if not is_there else pages[1:]:
        plan.pages[page.path] = page


def host_pages(ledger: Ledger, reason: str, *, old_addresses: bool) -> tuple[Page, ...]:
    """Return both files from the redirects in the ledger."""
    rows = ledger.newest_redirects()
    return _pages(ledger, rows, reason, old_addresses=old_addresses, more=())


def _redirects_changed(ledger: Ledger, plan: Plan) -> bool:
    return bool(plan.redirects) or ledger.has_redirect([*plan.pages, *plan.gone])


def _pages(
    ledger: Ledger,
    rows: Iterator[tuple[int, OutPath, OutPath]],
    reason: str,
    *,
    old_addresses: bool,
    more: Iterable[OldAddressRow],
) -> tuple[Page, Page]:
    newest = [(path, target) for _, path, target in islice(rows, MAX_REDIRECTS)]
    if old_addresses:
        newest = [*_FIXED_RULES, *_with_old_addresses(ledger, newest, more)]
    return (
        Page(urls.HEADERS, "", HeadersSubject(), reason),
        Page(urls.REDIRECTS, "", RedirectsSubject(tuple(newest)), reason),
    )


def _with_old_addresses(
    ledger: Ledger, redirects: list[tuple[OutPath, OutPath]], more: Iterable[OldAddressRow]
) -> Iterator[tuple[OutPath, OutPath]]:
    """Yield redirects, each redirect page of an old address replaced by the address itself."""
    paths = [path for path, _ in redirects if path.startswith(old.FOLDER)]
    addresses: dict[OutPath, set[OutPath]] = {path: set() for path in paths}
    for row in (*OldAddressTable(ledger.connection).rows(paths), *more):
        if row.path in addresses:
            addresses[row.path].add(row.address)
    for path, target in redirects:
        for rule in sorted(addresses.get(path, {path})):
            yield rule, target
