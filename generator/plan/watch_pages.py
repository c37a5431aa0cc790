"""Watch pages of changed videos and of their neighbors in the folder; and chapters."""

from collections.abc import Iterator
from dataclasses import replace

from generator.core.model import Video, VideoId
from generator.core.site import urls
from generator.core.site.orders import SortKey, member
from generator.core.site.page_types import ChaptersSubject, Page, VideoSubject
from generator.core.site.scopes import Scope, ScopeKind, VideoChange, folder_of
from generator.plan.draft import Draft

NEIGHBORS = 3  # shown on each side of a watch page


def plan_watch_pages(draft: Draft) -> None:
    """Plan the watch pages of changed videos and of their neighbors in the folder."""
    causes: dict[int, tuple[str, int]] = {}
    for difference in draft.differences:
        video, changes = difference.video, draft.visible_changes[difference.video.id]
        if difference.after is None:
            draft.plan.gone.add(urls.watch_path_of(video))
        elif changes.watch or changes.beside:
            reason = "the video changed" if difference.before else "new page"
            causes[video.id] = (reason, video.id)
        if changes.beside:
            for number in _neighbors(draft, difference):
                causes.setdefault(number, ("a neighboring video changed", video.id))
    others = [VideoId(number) for number in causes if number not in draft.plan.shown]
    videos = {**draft.ledger.videos(others), **draft.plan.shown}
    for number, (reason, cause) in causes.items():
        draft.add(watch_page(draft, videos[VideoId(number)], reason, cause))


def watch_page(draft: Draft, video: Video, reason: str, cause: int | None) -> Page:
    """Return the watch page of a video."""
    key = draft.key(video, SortKey.PLACE)
    editor = draft.listed(Scope(ScopeKind.FOLDER, folder_of(video.place)), SortKey.PLACE).editor
    before, after = (
        tuple(member(k) for k in editor.near(key, NEIGHBORS, up=up)) for up in (False, True)
    )
    path = urls.watch_path_of(video)
    return Page(path, "watch.html", VideoSubject(video, before, after), reason, cause)


def plan_chapters(draft: Draft) -> None:
    """Plan the chapters of videos whose chapters or duration changed."""
    for difference in draft.differences:
        before, after = difference.before, difference.after
        if after is not None and after.chapters:
            if before is None or _chapters(before) != _chapters(after):
                draft.add(
                    chapters_page(after, "the video changed" if before else "new page", after.id)
                )
        elif before is not None and before.chapters:
            draft.plan.gone.add(urls.chapters_path(before.id))


def chapters_page(video: Video, reason: str, cause: int | None) -> Page:
    """Return the chapters file of a video that has chapters."""
    return Page(urls.chapters_path(video.id), "", _chapters(video), reason, cause)


def _chapters(video: Video) -> ChaptersSubject:
    if not (clock_s := video.clock_s):
        return ChaptersSubject(video.chapters, video.probe.duration_s)
    late = tuple(replace(chapter, start_s=chapter.start_s + clock_s) for chapter in video.chapters)
    duration_s = video.probe.duration_s
    return ChaptersSubject(late, None if duration_s is None else duration_s + clock_s)


def _neighbors(draft: Draft, difference: VideoChange) -> Iterator[int]:
    """Yield the videos whose watch pages show, or showed, this one."""
    for video in (difference.before, difference.after):
        if video is None:
            continue
        scope = Scope(ScopeKind.FOLDER, folder_of(video.place))
        if draft.rows.get(scope) is None:
            continue
        stored = draft.stored_row(scope)
        if stored is None or not stored.members:
            continue  # all its videos are new, and planned anyway
        editor = draft.listed(scope, SortKey.PLACE).editor
        key = draft.key(video, SortKey.PLACE)
        for up in (False, True):
            yield from map(member, editor.near(key, NEIGHBORS, up=up))
