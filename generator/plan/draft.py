"""The draft: a plan while it is made, and what of the ledger was read for it.

Every module of this package adds its pages to one draft, and finds in it what an earlier one looked
up. Scopes and listings in it are as they will be after the build.
"""

from collections.abc import Iterable, Sequence

from generator.adapters.ledger import Ledger, ListRow, ScopeRow
from generator.core.model import OutPath, Video
from generator.core.site.contexts import SiteContext
from generator.core.site.orders import Order, SortKey, video_key
from generator.core.site.page_types import Page
from generator.core.site.scopes import (
    MembershipChange,
    Scope,
    VideoChange,
    limits_of,
    membership_changes,
)
from generator.core.site.shelves import Changes, ListingEditor
from generator.core.site.visible_changes import VisibleChanges
from generator.plan.model import Plan, PlannedList


class Draft:
    """What is planned so far.

    `lists` are the listings that were opened, changed or not. `touched` are the members that look
    different in listings in which nothing moves. `rows` are the scopes that were read (None: will
    not exist). `dropped` are scopes that are removed: their pages, each with its order (None: the
    plain one). `visible_changes` say where the change of a video is visible.
    """

    def __init__(
        self, ledger: Ledger, site: SiteContext, differences: Sequence[VideoChange]
    ) -> None:
        self.ledger, self.site, self.differences = ledger, site, differences
        self.is_first = not ledger.fact("begun")
        self.plan = Plan(next_scope=ledger.next_scope_id(), next_list=ledger.next_list_id())
        self.lists: dict[tuple[Scope, SortKey], PlannedList] = {}
        self.touched: dict[tuple[Scope, SortKey], tuple[bytes, ...]] = {}
        self.rows: dict[Scope, ScopeRow | None] = {}
        self.dropped: dict[Scope, dict[OutPath, Order | None]] = {}
        self.visible_changes = {d.video.id: VisibleChanges.of(site, d) for d in differences}
        self.membership_changes: dict[Scope, MembershipChange] = membership_changes(differences)
        self._keys: dict[SortKey, dict[int, bytes]] = {key: {} for key in SortKey}
        for difference in differences:
            if difference.after is not None:
                self.plan.shown[difference.after.id] = difference.after
            else:
                self.plan.hidden.append(difference.video.id)

    def finish(self) -> Plan:
        """Return the plan, without deletions of what is rendered."""
        self.plan.lists = [
            planned for planned in self.lists.values() if planned.fresh or planned.changes
        ]
        self.plan.gone -= self.plan.pages.keys()
        for path in self.plan.pages:
            self.plan.redirects.pop(path, None)
        return self.plan

    def add(self, page: Page) -> None:
        """Plan a page; it replaces one planned before at the same path."""
        self.plan.pages[page.path] = page

    # -- scopes

    def row(self, scope: Scope) -> ScopeRow | None:
        """Return a scope as it will be, None if it will not exist."""
        if scope not in self.rows:
            self.rows[scope] = self.ledger.scope(scope)
        return self.rows[scope]

    def stored_row(self, scope: Scope) -> ScopeRow | None:
        """Return a scope as it was before, None if it did not exist."""
        return None if self.is_first else self.ledger.scope(scope)

    def put_row(self, scope: Scope, row: ScopeRow | None, members: int, *, paged: bool) -> ScopeRow:
        """Plan a scope with `members`, and return it; `row` is the former row, None if new."""
        if row is None:
            row = ScopeRow(self.plan.next_scope, -1, paged)
            self.plan.next_scope += 1
        now = ScopeRow(row.id, members, paged)
        if now != row:
            self.plan.scopes[scope] = now
        self.rows[scope] = now
        return now

    # -- listings

    def put_list(self, scope: Scope, key: SortKey, row: ListRow | None, changes: Changes) -> None:
        """Plan a listing with its changes; `row` is its former row, None if it is new."""
        fresh = row is None
        if row is None:
            row = ListRow(self.plan.next_list, 1)
            self.plan.next_list += 1
        planned = self._opened(
            scope, key, row, expected=len(changes.removed) + len(changes.inserted)
        )
        planned.fresh, planned.changes = fresh, changes
        planned.editor.apply(changes)
        if fresh:
            planned.editor.end(highest=True)

    def listed(self, scope: Scope, key: SortKey) -> PlannedList:
        """Return a listing, changed or not; its scope must have members, or be kept empty."""
        planned = self.lists.get((scope, key))
        if planned is None:
            row = self.row(scope)
            assert row is not None, f"{scope} has no members"
            planned = self._opened(scope, key, self.ledger.lists(row.id)[key], expected=0)
        return planned

    def _opened(self, scope: Scope, key: SortKey, row: ListRow, expected: int) -> PlannedList:
        editor = ListingEditor(
            self.ledger.view(row.id, expected), limits_of(scope), row.next_number
        )
        planned = self.lists[scope, key] = PlannedList(scope, key, row, editor)
        return planned

    # -- keys

    def key(self, video: Video, key: SortKey) -> bytes:
        """Return the sort key of a video in listings, computed once."""
        cached = self._keys[key]
        sort_key = cached.get(id(video))
        if sort_key is None:
            sort_key = cached[id(video)] = video_key(video, key)
        return sort_key

    def keyed(self, videos: Iterable[Video], key: SortKey) -> tuple[bytes, ...]:
        """Return the sort keys of many videos, in the order of the videos."""
        cached, make = self._keys[key].get, self.key
        return tuple([cached(id(video)) or make(video, key) for video in videos])
