"""Scopes: the sets of videos that are listed, and how a video's change affects them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from generator.core.model import Place, Video
from generator.core.site.orders import SortKey
from generator.core.site.shelves import NAME_LIMITS, VIDEO_LIMITS, ShelfLimits


class ScopeKind(StrEnum):
    """The kinds of scope. The last two hold scopes (tags, folders) rather than videos."""

    __hash__ = str.__hash__  # Enum's own is slow, and scopes are looked up often

    ALL = "all"
    FAVORITES = "favorites"
    FOLDER = "folder"
    TAG = "tag"
    TAGS = "tags"
    SUBFOLDERS = "subfolders"


@dataclass(frozen=True, slots=True)
class Scope:
    """`name` is a tag, or a folder ("" for the library itself, no slash at either end)."""

    kind: ScopeKind
    name: str = ""


ALL = Scope(ScopeKind.ALL)
FAVORITES = Scope(ScopeKind.FAVORITES)
TAGS = Scope(ScopeKind.TAGS)
LIBRARY = Scope(ScopeKind.FOLDER)

VIDEO_KEYS = (
    SortKey.PLACE,  # first: the one listing that a scope on one page has
    SortKey.TITLE,
    SortKey.ADDED,
    SortKey.RATING,
    SortKey.VIEWS,
    SortKey.DURATION,
    SortKey.SIZE,
    SortKey.RECORDED,
)


def keys_of(scope: Scope, *, paged: bool) -> tuple[SortKey, ...]:
    """Return the keys by which a scope is listed; one on a single page needs only one."""
    match scope.kind:
        case ScopeKind.ALL:
            return (*VIDEO_KEYS, SortKey.SHUFFLE)
        case ScopeKind.FAVORITES:
            return VIDEO_KEYS
        case ScopeKind.FOLDER | ScopeKind.TAG:
            return VIDEO_KEYS if paged else VIDEO_KEYS[:1]
        case ScopeKind.TAGS:
            return (SortKey.NAME, SortKey.COUNT)
        case ScopeKind.SUBFOLDERS:
            return (SortKey.NAME,)


def folder_of(place: Place) -> str:
    """Return the folder of a file, prefixed with its root's name."""
    below = place.path.rpartition("/")[0]
    return "/".join(part for part in (place.root, below) if part)


def parent_of(folder: str) -> str:
    """Return the folder around a folder; of the library itself, the library."""
    return folder.rpartition("/")[0]


def scopes_of(video: Video) -> tuple[Scope, ...]:
    """Return every scope that `video` is in."""
    own = [ALL, Scope(ScopeKind.FOLDER, folder_of(video.place))]
    if video.favorite:
        own.append(FAVORITES)
    own.extend(Scope(ScopeKind.TAG, tag) for tag in video.tags)
    return tuple(own)


@dataclass(frozen=True, slots=True)
class VideoChange:
    """One video before and after; None where it was not, or is not any more, shown."""

    before: Video | None
    after: Video | None

    @property
    def video(self) -> Video:
        """Return the video as it is, or last was."""
        video = self.after or self.before
        assert video is not None
        return video


@dataclass(slots=True)
class MembershipChange:
    """The videos that enter, leave and stay in one scope; those that stay have changed."""

    entered: list[Video] = field(default_factory=list)
    left: list[Video] = field(default_factory=list)
    stayed: list[VideoChange] = field(default_factory=list)

    @property
    def growth(self) -> int:
        """Return by how many members the scope grows."""
        return len(self.entered) - len(self.left)


def membership_changes(video_changes: Iterable[VideoChange]) -> dict[Scope, MembershipChange]:
    """Return the membership changes of every scope that these videos are or were in."""
    changes: dict[Scope, MembershipChange] = {}
    for video_change in video_changes:
        before = scopes_of(video_change.before) if video_change.before else ()
        after = scopes_of(video_change.after) if video_change.after else ()
        for scope in after:
            if scope not in before:
                assert video_change.after is not None
                _change_of(changes, scope).entered.append(video_change.after)
        for scope in before:
            change = _change_of(changes, scope)
            if scope in after:
                change.stayed.append(video_change)
            else:
                assert video_change.before is not None
                change.left.append(video_change.before)
    return changes


def _change_of(changes: dict[Scope, MembershipChange], scope: Scope) -> MembershipChange:
    change = changes.get(scope)
    if change is None:
        change = changes[scope] = MembershipChange()
    return change


def is_paged(scope: Scope, members: int, *, was: bool) -> bool:
    """Return whether a scope has a page per shelf and order; `was` adds hysteresis."""
    if scope.kind in _ALWAYS_PAGED:
        return True
    return members > (VIDEO_LIMITS.most // 2 if was else VIDEO_LIMITS.most)


def limits_of(scope: Scope) -> ShelfLimits:
    """Return how many members of a scope are on one shelf."""
    return NAME_LIMITS if scope.kind in INDEXES else VIDEO_LIMITS


INDEXES = frozenset({ScopeKind.TAGS, ScopeKind.SUBFOLDERS})  # what lists tags or folders
_ALWAYS_PAGED = INDEXES | {ScopeKind.ALL, ScopeKind.FAVORITES}
