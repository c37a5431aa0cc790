"""Plans, as values: what a refresh is to do."""

from dataclasses import dataclass, field

from generator.adapters.ledger import ListRow, ScopeRow
from generator.core.model import OutPath, Video, VideoId
from generator.core.site.orders import SortKey
from generator.core.site.pages import Page
from generator.core.site.scopes import Scope
from generator.core.site.shelves import Changes, ListingEditor


@dataclass(slots=True)
class PlannedList:
    """One listing with its changes worked in."""

    scope: Scope
    key: SortKey
    row: ListRow
    chain: ListingEditor
    changes: Changes = field(default_factory=Changes)
    fresh: bool = False


@dataclass(slots=True)
class Plan:
    """What a refresh is to do.

    `gone` are pages to delete; `forwards` lead on from some of them, those in `lasting` for good.
    Those in `resting` go with what they lead to, and come back with it.
    """

    pages: dict[OutPath, Page] = field(default_factory=dict)
    gone: set[OutPath] = field(default_factory=set)
    forwards: dict[OutPath, str] = field(default_factory=dict)
    lasting: set[OutPath] = field(default_factory=set)
    resting: set[OutPath] = field(default_factory=set)
    lists: list[PlannedList] = field(default_factory=list)
    dropped_lists: list[int] = field(default_factory=list)
    scopes: dict[Scope, ScopeRow] = field(default_factory=dict)
    dropped_scopes: list[int] = field(default_factory=list)
    shown: dict[VideoId, Video] = field(default_factory=dict)
    hidden: list[VideoId] = field(default_factory=list)
    next_scope: int = 1
    next_list: int = 1
