"""The plan of a build, as a value."""

from dataclasses import dataclass, field

from generator.adapters.ledger import ListRow, OldAddressRow, ScopeRow
from generator.core.model import OutPath, Video, VideoId
from generator.core.site.orders import SortKey
from generator.core.site.page_types import Page
from generator.core.site.scopes import Scope
from generator.core.site.shelves import Changes, ListingEditor


@dataclass(slots=True)
class PlannedList:
    """One listing with its changes applied."""

    scope: Scope
    key: SortKey
    row: ListRow
    editor: ListingEditor
    changes: Changes = field(default_factory=Changes)
    fresh: bool = False


@dataclass(slots=True)
class Plan:
    """What a build is to do.

    `gone` are pages to delete; `redirects` replace some of them, each with its target, those in
    `lasting` permanently.
    Those in `suspended` are removed with their target, and restored with it. All old addresses
    are forgotten if there are `dropped_old_addresses`.
    """

    pages: dict[OutPath, Page] = field(default_factory=dict)
    gone: set[OutPath] = field(default_factory=set)
    redirects: dict[OutPath, OutPath] = field(default_factory=dict)
    lasting: set[OutPath] = field(default_factory=set)
    suspended: set[OutPath] = field(default_factory=set)
    old_addresses: list[OldAddressRow] = field(default_factory=list)
    dropped_old_addresses: set[OutPath] = field(default_factory=set)
    lists: list[PlannedList] = field(default_factory=list)
    dropped_lists: list[int] = field(default_factory=list)
    scopes: dict[Scope, ScopeRow] = field(default_factory=dict)
    dropped_scopes: list[int] = field(default_factory=list)
    shown: dict[VideoId, Video] = field(default_factory=dict)
    hidden: list[VideoId] = field(default_factory=list)
    next_scope: int = 1
    next_list: int = 1
