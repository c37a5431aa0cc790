"""Sitemap parts and storyboard indexes: one page per range of video ids."""

from generator.core.model import Storyboard, Video, VideoId
from generator.core.site import urls
from generator.core.site.page_types import (
    Page,
    SitemapSubject,
    StaticSubject,
    StoryboardIndexSubject,
)
from generator.plan.draft import Draft


def plan_sitemaps(draft: Draft) -> None:
    """Plan the parts of the sitemap that changed."""
    parts: dict[int, int] = {}
    for difference in draft.differences:
        if draft.visible_changes[difference.video.id].feed:
            video = difference.video
            parts.setdefault(urls.sitemap_part(video.id), video.id)
    coming = {urls.sitemap_part(number) for number in draft.plan.shown}
    hidden = set(draft.plan.hidden)
    for part, cause in parts.items():
        path = urls.sitemap_path(part)
        stored = draft.ledger.shown_ids(*_span(part))
        empty = part not in coming and hidden.issuperset(stored)
        if empty:
            draft.plan.gone.add(path)
        else:
            draft.add(sitemap_page(part, "sitemap entries changed", cause))
        if empty == bool(stored):
            draft.add(sitemap_index("sitemap list changed"))


def plan_storyboards(draft: Draft) -> None:
    """Plan the storyboard indexes in which one was added, removed or replaced."""
    parts: dict[int, int] = {}
    for difference in draft.differences:
        if _storyboard(difference.before) != _storyboard(difference.after):
            video = difference.video
            parts.setdefault(urls.sitemap_part(video.id), video.id)
    shown = draft.plan.shown.values()
    coming = {urls.sitemap_part(video.id) for video in shown if video.storyboard}
    hidden = set(draft.plan.hidden)
    for part, cause in parts.items():
        if part in coming or _has_storyboards(draft, part, hidden):
            draft.add(storyboard_index(part, "storyboards changed", cause))
        else:
            draft.plan.gone.add(urls.storyboard_index_path(part))


def _storyboard(video: Video | None) -> Storyboard | None:
    return video.storyboard if video is not None else None


def _has_storyboards(draft: Draft, part: int, hidden: set[VideoId]) -> bool:
    """Return whether an unchanged video of a part has a storyboard."""
    stored, shown = draft.ledger.shown_ids(*_span(part)), draft.plan.shown
    unchanged = [number for number in stored if number not in shown and number not in hidden]
    return any(video.storyboard for video in draft.ledger.videos(unchanged).values())


def storyboard_index(part: int, reason: str, cause: int | None = None) -> Page:
    """Return the storyboard index of a part."""
    return Page(urls.storyboard_index_path(part), "", StoryboardIndexSubject(part), reason, cause)


def sitemap_page(part: int, reason: str, cause: int | None = None) -> Page:
    """Return a part of the sitemap."""
    return Page(urls.sitemap_path(part), "sitemap.xml", SitemapSubject(part), reason, cause)


def sitemap_index(reason: str) -> Page:
    """Return the index of the sitemap parts."""
    return Page(urls.SITEMAP_INDEX, "sitemap-index.xml", StaticSubject(), reason)


def _span(part: int) -> tuple[int, int]:
    """Return the range of ids of a part: first, and one after the last."""
    return part * urls.SITEMAP_IDS, (part + 1) * urls.SITEMAP_IDS
