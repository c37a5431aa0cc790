"""The full site: every page, and what only a first build plans."""

from collections.abc import Iterable, Iterator, Sequence

from generator.adapters.ledger import Ledger
from generator.core.model import Video
from generator.core.site import urls
from generator.core.site.contexts import SiteContext
from generator.core.site.orders import SortKey
from generator.core.site.page_types import Page, fixed_pages, pages_of_shelf, scope_page
from generator.core.site.scopes import limits_of
from generator.core.site.shelves import ListingEditor
from generator.plan.draft import Draft
from generator.plan.home_and_feeds import best_page, count_page, feed_pages, home_page
from generator.plan.sitemaps import sitemap_index, sitemap_page, storyboard_index
from generator.plan.watch_pages import chapters_page, watch_page

_ALL_REASON = "full render"


def plan_first(draft: Draft) -> None:
    """Plan, for the first build of a ledger, the pages that never change by themselves."""
    if not draft.is_first:
        return
    reason = "new page"
    for page in (*fixed_pages(reason), sitemap_index(reason)):
        draft.add(page)
    for page in (home_page(draft, reason), best_page(draft, reason), *feed_pages(draft, reason)):
        draft.plan.pages.setdefault(page.path, page)


def every_page(ledger: Ledger, site: SiteContext, videos: Sequence[Video]) -> Iterator[Page]:
    """Yield all pages of the site from the shelves in the ledger, whatever was rendered.

    Chapters and storyboards come first, then watch pages, and home comes last, so that no page is
    written before its link targets.
    """
    draft = Draft(ledger, site, [])
    for video in videos:
        if video.chapters:
            yield chapters_page(video, _ALL_REASON, None)
    for part in _parts(video for video in videos if video.storyboard):
        yield storyboard_index(part, _ALL_REASON)
    for video in videos:
        yield watch_page(draft, video, _ALL_REASON, None)
    for scope, row in ledger.scopes():
        if not row.paged:
            whole = draft.listed(scope, SortKey.PLACE).editor.end(highest=True)
            yield scope_page(scope, whole, _ALL_REASON, None)
            continue
        for key, listing in ledger.lists(row.id).items():
            editor = ListingEditor(ledger.view(listing.id, expected=1000), limits_of(scope))
            for shelf in editor.every():
                yield from pages_of_shelf(scope, key, shelf, _ALL_REASON, None)
    for part in _parts(videos):
        yield sitemap_page(part, _ALL_REASON)
    yield sitemap_index(_ALL_REASON)
    yield from fixed_pages(_ALL_REASON)
    yield count_page(draft, _ALL_REASON)
    yield best_page(draft, _ALL_REASON)
    yield from feed_pages(draft, _ALL_REASON)
    yield home_page(draft, _ALL_REASON)


def _parts(videos: Iterable[Video]) -> dict[int, None]:
    """Return the sitemap parts of some videos, each once, in the order of the videos."""
    return dict.fromkeys(urls.sitemap_part(video.id) for video in videos)
