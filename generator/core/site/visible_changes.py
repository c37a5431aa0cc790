"""Where a change of a video is visible, so that no other pages are rendered."""

from dataclasses import dataclass, replace

from generator.core.model import Video
from generator.core.site import contexts
from generator.core.site.contexts import SiteContext
from generator.core.site.orders import SortKey, video_key
from generator.core.site.scopes import VideoChange


@dataclass(frozen=True, slots=True)
class VisibleChanges:
    """Where a video looks different: on cards, its watch page, as a neighbor, in feeds.

    `feed` is for feeds and sitemaps.
    """

    card: bool
    watch: bool
    beside: bool
    feed: bool

    @classmethod
    def of(cls, site: SiteContext, change: VideoChange) -> "VisibleChanges":
        """Return where a change is visible; in doubt, one place too many."""
        before, after = change.before, change.after
        if before is None or after is None:
            return cls(card=True, watch=True, beside=True, feed=True)
        card = contexts.card(site, before) != contexts.card(site, after)
        if card and _is_opinion(before, after):
            return cls(card=True, watch=True, beside=False, feed=False)
        no_neighbors = contexts.Neighbors()
        moved = video_key(before, SortKey.PLACE) != video_key(after, SortKey.PLACE)
        return cls(
            card=card,
            watch=contexts.watch_context(site, before, no_neighbors)
            != contexts.watch_context(site, after, no_neighbors),
            beside=moved or contexts.mini(site, before) != contexts.mini(site, after),
            feed=contexts.feed_entry(site, before) != contexts.feed_entry(site, after)
            or contexts.sitemap_entry(site, before) != contexts.sitemap_entry(site, after),
        )


def _is_opinion(before: Video, after: Video) -> bool:
    """Return whether nothing differs but ratings, favorite and views."""
    return after == replace(
        before,
        stars=after.stars,
        votes=after.votes,
        score_tenths=after.score_tenths,
        views=after.views,
        favorite=after.favorite,
    )
