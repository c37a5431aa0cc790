"""The plan: which listings move, which shelves change, which pages are to be rendered, and why.

Reads the ledger and writes nothing. What it costs depends on what changed, not on how much there
is.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from generator.adapters.ledger import Ledger, ListRow, ScopeRow
from generator.core import addresses
from generator.core.contexts import Site
from generator.core.looks import Looks
from generator.core.model import OutPath, Video, VideoId
from generator.core.orders import VIDEO_ORDERS, Key, Order, member, scope_key, video_key
from generator.core.pages import (
    MOST_ALTERED,
    OfAltered,
    OfCount,
    OfNewest,
    OfNothing,
    OfPart,
    OfScope,
    OfSections,
    OfShelf,
    OfVideo,
    Page,
    Section,
    altered_page,
    fixed_pages,
    orders_of,
    pages_of_shelf,
    scope_page,
    shelf_page,
    template_of,
)
from generator.core.scopes import (
    ALL,
    FAVORITES,
    INDEXES,
    LIBRARY,
    TAGS,
    Difference,
    Passage,
    Scope,
    ScopeKind,
    folder_of,
    is_paged,
    keys_of,
    limits_of,
    parent_of,
    passages,
)
from generator.core.shelves import (
    Chain,
    Changes,
    ShelfRow,
    members,
)

NEIGHBOURS = 3  # shown on each side of a watch page
HOME_NEWEST, HOME_OTHERS, BEST, FEED = 24, 6, 60, 30
_KEPT_EMPTY = (ALL, FAVORITES, TAGS, LIBRARY)


@dataclass(slots=True)
class PlannedList:
    """One listing with its changes worked in."""

    scope: Scope
    key: Key
    row: ListRow
    chain: Chain
    changes: Changes = field(default_factory=Changes)
    fresh: bool = False


@dataclass(slots=True)
class Plan:
    """What a refresh is to do. `gone` are pages to delete; `forwards` lead on from some of them."""

    pages: dict[OutPath, Page] = field(default_factory=dict)
    gone: set[OutPath] = field(default_factory=set)
    forwards: dict[OutPath, str] = field(default_factory=dict)
    lists: list[PlannedList] = field(default_factory=list)
    dropped_lists: list[int] = field(default_factory=list)
    scopes: dict[Scope, ScopeRow] = field(default_factory=dict)
    dropped_scopes: list[int] = field(default_factory=list)
    shown: dict[VideoId, Video] = field(default_factory=dict)
    hidden: list[VideoId] = field(default_factory=list)
    next_scope: int = 1
    next_list: int = 1


def plan(ledger: Ledger, site: Site, differences: Iterable[Difference]) -> Plan:
    """Return what has to happen for the pages to show `differences`."""
    planner = _Planner(ledger, site, list(differences))
    planner.scopes()
    planner.indexes()
    planner.watch_pages()
    planner.overviews()
    planner.sitemaps()
    planner.first()
    return planner.finish()


class _Planner:
    def __init__(self, ledger: Ledger, site: Site, differences: list[Difference]) -> None:
        self._ledger, self._site, self._differences = ledger, site, differences
        self._is_first = not ledger.fact("begun")
        self._plan = Plan(next_scope=ledger.next_scope_id(), next_list=ledger.next_list_id())
        self._lists: dict[tuple[Scope, Key], PlannedList] = {}
        self._touched: dict[tuple[Scope, Key], tuple[bytes, ...]] = {}
        self._keys: dict[Key, dict[int, bytes]] = {key: {} for key in Key}
        self._rows: dict[Scope, ScopeRow | None] = {}
        self._folders_shown_anew: set[str] = set()
        self._hidden: set[VideoId] = set()
        self._looks = {d.video.id: Looks.of(site, d) for d in differences}
        for difference in differences:
            if difference.after is not None:
                self._plan.shown[difference.after.id] = difference.after
            else:
                self._plan.hidden.append(difference.video.id)

    # -- scopes of videos

    def scopes(self) -> None:
        """Plan every scope that videos enter, leave, or change in."""
        self._passages = passages(self._differences)
        for scope in _KEPT_EMPTY if self._is_first else ():
            if scope.kind is not ScopeKind.TAGS:
                self._passages.setdefault(scope, Passage())
        for scope, passage in self._passages.items():
            self._scope(scope, passage)

    def _scope(self, scope: Scope, passage: Passage) -> None:
        row = self._row(scope)
        members = (row.members if row else 0) + passage.growth
        if not members and scope.kind is ScopeKind.TAG:
            assert row is not None
            self._drop_scope(scope, row)
            return
        paged = is_paged(scope, members, was=row is not None and row.paged)
        now = self._put_scope(scope, row, members, paged=paged)
        lists = self._ledger.lists(now.id) if row else {}
        stays = row is not None and row.paged == paged
        keys = keys_of(scope, paged=paged)
        everyone = [] if lists.keys() >= set(keys) else self._members_after(row, passage)
        for key in keys:
            if key not in lists:
                changes = Changes(inserted=self._keyed(everyone, key))
            else:
                changes = self._changes(passage, key)
                if stays and not changes.removed and not changes.inserted:
                    self._touch(scope, key, lists[key], changes.touched)
                    continue
            self._list(scope, key, lists.get(key), changes)
        if row is not None and row.paged and not paged:
            self._unpage(scope, lists)
        cause = _first_cause(passage)
        if paged:
            self._shelf_pages(scope, keys_of(scope, paged=True), cause)
        elif (scope, Key.TITLE) in self._lists:
            self._whole_page(scope, "what stands in it changed", cause)

    def _members_after(self, row: ScopeRow | None, passage: Passage) -> list[Video]:
        if row is None:
            return passage.entered
        known: dict[VideoId, Video] = {}
        if row.members:
            view = self._ledger.view(self._ledger.lists(row.id)[Key.TITLE].id)
            ids = [VideoId(member(key)) for shelf in view.shelves() for key in view.keys(shelf)]
            known = self._ledger.videos(ids)
        for video in passage.left:
            known.pop(video.id)
        for difference in passage.stayed:
            assert difference.after is not None
            known[difference.after.id] = difference.after
        known.update((video.id, video) for video in passage.entered)
        return list(known.values())

    def _changes(self, passage: Passage, key: Key) -> Changes:
        removed = list(self._keyed(passage.left, key))
        inserted = list(self._keyed(passage.entered, key))
        touched = []
        for difference in passage.stayed:
            assert difference.before is not None
            assert difference.after is not None
            before, after = self._key(difference.before, key), self._key(difference.after, key)
            if before != after:
                removed.append(before)
                inserted.append(after)
            if self._looks[difference.after.id].card:
                touched.append(after)
        return Changes(tuple(removed), tuple(inserted), tuple(touched))

    def _touch(self, scope: Scope, key: Key, row: ListRow, touched: tuple[bytes, ...]) -> None:
        """Plan the pages of a listing in which nothing moves, and some cards look different."""
        if not touched:
            return
        self._touched[scope, key] = touched
        whole_scope = self._row(scope)
        if whole_scope is not None and not whole_scope.paged:
            videos = tuple(map(member, touched))
            subject = OfAltered(partial(self._whole_again, scope, row), videos)
            path, why = addresses.scope_page(scope), "what stands in it changed"
            self._add(Page(path, "shelf.html", subject, why, videos[0]))
            return
        view = self._ledger.view(row.id, expected=len(touched))
        shelves: dict[ShelfRow, list[int]] = {}
        for one in touched:
            shelves.setdefault(view.holder(one), []).append(member(one))
        for shelf, ids in shelves.items():
            videos = tuple(ids)
            for order in orders_of(scope, key):
                is_end = shelf.highest if order.descending else shelf.first == b""
                path = addresses.shelf_page(scope, order, None if is_end else shelf.number)
                whole = partial(self._shelf_again, scope, order, row, shelf.first)
                subject = OfAltered(whole, videos)
                self._add(Page(path, template_of(order), subject, "a shelf changed", videos[0]))

    def _shelf_again(self, scope: Scope, order: Order, row: ListRow, first: bytes) -> OfShelf:
        chain = Chain(self._ledger.view(row.id), limits_of(scope), row.next_number)
        return OfShelf(scope, order, chain.shelf_at(first))

    def _whole_again(self, scope: Scope, row: ListRow) -> OfScope:
        chain = Chain(self._ledger.view(row.id), limits_of(scope), row.next_number)
        return OfScope(scope, chain.end(highest=True))

    def _shelf_pages(self, scope: Scope, keys: Iterable[Key], cause: int | None) -> None:
        for key in keys:
            planned = self._lists.get((scope, key))
            if planned is None:
                continue  # nothing moved in it
            touched = set(members(planned.changes.touched))
            changed = touched.union(members(planned.changes.inserted))
            reason = "it is new" if planned.fresh else "a shelf changed"
            for shelf in planned.chain.dirty():
                ids = () if planned.fresh else changed.intersection(members(shelf.keys))
                altered = None
                if not planned.fresh and scope.kind not in INDEXES:
                    altered = planned.chain.alteration(shelf.number, MOST_ALTERED)
                own = next(iter(ids), cause)
                for page in pages_of_shelf(scope, key, shelf, reason, own):
                    self._add(altered_page(page, altered, touched.intersection(ids)))
            self._forward_moved(planned)

    def _whole_page(self, scope: Scope, reason: str, cause: int | None) -> None:
        planned = self.listed(scope, Key.TITLE)
        if planned.fresh or planned.changes or scope.name in self._folders_shown_anew:
            self._add(scope_page(scope, planned.chain.end(highest=True), reason, cause))

    def _forward_moved(self, planned: PlannedList) -> None:
        """Leave a page that leads on where a shelf had an address of its own and has none now."""
        scope, chain = planned.scope, planned.chain
        for moved in chain.moved():
            for order in orders_of(scope, planned.key):
                if moved.was_highest if order.descending else moved.was_lowest:
                    continue
                former = addresses.shelf_page(scope, order, moved.number)
                end = chain.is_end(moved.into, highest=order.descending)
                now = addresses.shelf_page(scope, order, None if end else moved.into)
                if now != former:
                    self._plan.gone.add(former)
                    self._plan.forwards[former] = self._site.link(now)

    def _unpage(self, scope: Scope, lists: dict[Key, ListRow]) -> None:
        """Give a scope that shrank back its one page; its other pages lead there."""
        plain = addresses.scope_page(scope)
        for path in self._pages_of(scope, lists):
            if path != plain:
                self._plan.gone.add(path)
                self._plan.forwards[path] = self._site.link(plain)
        for key, row in lists.items():
            if key not in keys_of(scope, paged=False):
                self._plan.dropped_lists.append(row.id)
        planned = self._lists[scope, Key.TITLE]
        planned.fresh = True

    def _drop_scope(self, scope: Scope, row: ScopeRow) -> None:
        lists = self._ledger.lists(row.id)
        paths = {addresses.scope_page(scope)}
        if row.paged:
            paths.update(self._pages_of(scope, lists))
        self._plan.gone |= paths
        for path in paths:
            self._plan.forwards.pop(path, None)
        self._plan.dropped_lists.extend(one.id for one in lists.values())
        self._plan.dropped_scopes.append(row.id)
        self._rows[scope] = None

    def _pages_of(self, scope: Scope, lists: dict[Key, ListRow]) -> Iterator[OutPath]:
        for key, row in lists.items():
            chain = Chain(self._ledger.view(row.id, expected=1000), limits_of(scope))
            for shelf in chain.every():
                for page in pages_of_shelf(scope, key, shelf, "", None):
                    yield page.path

    # -- indexes: tags, and folders in folders

    def indexes(self) -> None:
        """Plan the tags index and the folders within folders."""
        tags: dict[str, tuple[ScopeRow | None, ScopeRow | None]] = {}
        for scope in self._passages:
            if scope.kind is ScopeKind.TAG:
                before, after = self._ledger.scope(scope), self._row(scope)
                if before != after:
                    tags[scope.name] = (before, after)
        if tags or self._is_first:
            self._index(TAGS, tags)
        self._folders()

    def _index(
        self, scope: Scope, entries: dict[str, tuple[ScopeRow | None, ScopeRow | None]]
    ) -> None:
        row = self._row(scope)
        growth = sum(
            (after is not None) - (before is not None) for before, after in entries.values()
        )
        members = (row.members if row else 0) + growth
        if not members and row is not None and scope.kind is ScopeKind.SUBFOLDERS:
            self._drop_scope(scope, row)
            return
        now = self._put_scope(scope, row, members, paged=True)
        lists = self._ledger.lists(now.id) if row else {}
        keys = keys_of(scope, paged=True)
        for key in keys:
            self._list(scope, key, lists.get(key), _index_changes(scope, key, entries))
        self._shelf_pages(scope, keys, None)

    def _folders(self) -> None:
        """Work upwards from the folders whose videos changed: some appear, some vanish."""
        waiting: list[set[str]] = []  # by depth
        inside: dict[str, dict[str, tuple[ScopeRow | None, ScopeRow | None]]] = {}
        for one in self._passages:
            if one.kind is ScopeKind.FOLDER:
                waiting += [set() for _ in range(_depth(one.name) + 1 - len(waiting))]
                waiting[_depth(one.name)].add(one.name)
        for name in _deepest_first(waiting):
            scope, entries = Scope(ScopeKind.FOLDER, name), inside.pop(name, {})
            before = self._ledger.scope(scope)
            if entries:
                self._index(Scope(ScopeKind.SUBFOLDERS, name), entries)
                self._folders_shown_anew.add(name)
            after = self._folder_after(scope)
            if entries and after is not None:
                self._folder_page_anew(scope)
            if (before is None) != (after is None) and name:
                parent = parent_of(name)
                inside.setdefault(parent, {})[name] = (before, after)
                waiting[_depth(parent)].add(parent)

    def _folder_after(self, scope: Scope) -> ScopeRow | None:
        """Return a folder as it will be; one without videos and subfolders vanishes."""
        row = self._row(scope)
        below = self._row(Scope(ScopeKind.SUBFOLDERS, scope.name))
        if row is None and below is not None:
            row = self._put_scope(scope, None, 0, paged=False)
            self._list(scope, Key.TITLE, None, Changes())
        if row is not None and not row.members and below is None and scope != LIBRARY:
            stored = self._ledger.scope(scope)
            if stored is not None:
                self._drop_scope(scope, stored)
            self._plan.scopes.pop(scope, None)
            self._forget_lists(scope)
            return None
        return row

    def _forget_lists(self, scope: Scope) -> None:
        for key in [key for key in self._lists if key[0] == scope]:
            del self._lists[key]
        self._plan.pages.pop(addresses.scope_page(scope), None)
        self._rows[scope] = None

    def _folder_page_anew(self, scope: Scope) -> None:
        row = self._row(scope)
        assert row is not None
        if not row.paged:
            self._whole_page(scope, "a folder in it came or went", None)
            return
        head = self.listed(scope, Key.ADDED).chain.end(highest=True)
        self._add(shelf_page(scope, VIDEO_ORDERS[0], head, "a folder in it came or went", None))

    # -- watch pages

    def watch_pages(self) -> None:
        """Plan the watch pages of what changed, and of those beside it in its folder."""
        wanted: dict[int, tuple[str, int]] = {}
        for difference in self._differences:
            video, looks = difference.video, self._looks[difference.video.id]
            if difference.after is None:
                self._plan.gone.add(addresses.watch_page_of(video))
            elif looks.watch or looks.beside:
                reason = "it changed" if difference.before else "it is new"
                wanted[video.id] = (reason, video.id)
            if looks.beside:
                for number in self._beside(difference):
                    wanted.setdefault(number, ("a video beside it changed", video.id))
        others = [VideoId(number) for number in wanted if number not in self._plan.shown]
        videos = {**self._ledger.videos(others), **self._plan.shown}
        for number, (reason, cause) in wanted.items():
            video = videos[VideoId(number)]
            self._add(self.watch_page(video, reason, cause))

    def watch_page(self, video: Video, reason: str, cause: int | None) -> Page:
        """Return the watch page of a video."""
        key = self._key(video, Key.TITLE)
        chain = self.listed(Scope(ScopeKind.FOLDER, folder_of(video.place)), Key.TITLE).chain
        before, after = (
            tuple(member(k) for k in chain.near(key, NEIGHBOURS, up=up)) for up in (False, True)
        )
        path = addresses.watch_page_of(video)
        return Page(path, "watch.html", OfVideo(video, before, after), reason, cause)

    def _beside(self, difference: Difference) -> Iterator[int]:
        """Yield the videos on whose watch pages this one is, or was, shown."""
        for video in (difference.before, difference.after):
            if video is None:
                continue
            scope = Scope(ScopeKind.FOLDER, folder_of(video.place))
            if self._rows.get(scope) is None:
                continue
            stored = self._ledger_row(scope)
            if stored is None or not stored.members:
                continue  # all its videos are new, and planned for that
            chain = self.listed(scope, Key.TITLE).chain
            key = self._key(video, Key.TITLE)
            for up in (False, True):
                yield from map(member, chain.near(key, NEIGHBOURS, up=up))

    # -- pages about all

    def overviews(self) -> None:
        """Plan home, the best of, and the feeds, where what they show changed."""
        if self._shows_change((ALL, Key.ADDED, HOME_NEWEST)) or any(
            self._shows_change(window) for window in _HOME_WINDOWS
        ):
            self._add(self.home("what it shows changed"))
        if self._shows_change((ALL, Key.RATING, BEST)):
            self._add(self.best("what it shows changed"))
        if self._shows_change((ALL, Key.ADDED, FEED)) or self._feeds_tell():
            for page in self.feeds("what it shows changed"):
                self._add(page)
        shuffle = self._lists.get((ALL, Key.SHUFFLE))
        if shuffle and (shuffle.fresh or shuffle.chain.next_number != shuffle.row.next_number):
            self._add(self.shelves("a shelf was added"))

    def home(self, reason: str) -> Page:
        """Return the home page."""
        sections = (
            self._section("New", (ALL, Key.ADDED, HOME_NEWEST)),
            *(self._section(heading, window) for heading, window in zip(
                ("Best rated", "Most viewed", "Favorites"), _HOME_WINDOWS, strict=True)),
        )  # fmt: skip
        shown = tuple(section for section in sections if section.ids)
        return Page(addresses.HOME, "home.html", OfSections(shown), reason)

    def best(self, reason: str) -> Page:
        """Return the page of the best rated."""
        section = self._section("Best of", (ALL, Key.RATING, BEST))
        return Page(addresses.BEST, "best.html", OfSections((section,)), reason)

    def feeds(self, reason: str) -> tuple[Page, ...]:
        """Return the feeds."""
        ids = tuple(map(member, self._window((ALL, Key.ADDED, FEED))))
        return (
            Page(addresses.ATOM, "atom.xml", OfNewest(ids), reason),
            Page(addresses.RSS, "rss.xml", OfNewest(ids), reason),
        )

    def shelves(self, reason: str) -> Page:
        """Return the file that tells how many shelves of random order there are."""
        count = self.listed(ALL, Key.SHUFFLE).chain.next_number - 1
        return Page(addresses.SHELVES, "", OfCount(count), reason)

    def _section(self, heading: str, window: "_Window") -> Section:
        scope, key, _ = window
        order = next(o for o in VIDEO_ORDERS if o.key is key and o.descending)
        path = addresses.shelf_page(scope, order, None)
        return Section(heading, path, tuple(map(member, self._window(window))))

    def _window(self, window: "_Window") -> list[bytes]:
        scope, key, count = window
        keys = self.listed(scope, key).chain.window(count, highest=True)
        return [k for k in keys if _counts(key, k)]

    def _shows_change(self, window: "_Window") -> bool:
        planned = self._lists.get(window[:2])
        changed = self._touched.get(window[:2], ())
        if planned is not None:
            changes = planned.changes
            changed += changes.removed + changes.inserted + changes.touched
        if planned is not None and planned.fresh:
            return True
        if not changed:
            return False
        keys = self._window(window)
        lowest = keys[-1] if len(keys) == window[2] else b""
        return any(key >= lowest for key in changed)

    def _feeds_tell(self) -> bool:
        told = [d for d in self._differences if self._looks[d.video.id].feed]
        if not told:
            return False
        shown = set(map(member, self._window((ALL, Key.ADDED, FEED))))
        return any(d.video.id in shown for d in told)

    def sitemaps(self) -> None:
        """Plan the parts of the sitemap in which something changed."""
        parts: dict[int, int] = {}
        for difference in self._differences:
            if self._looks[difference.video.id].feed:
                video = difference.video
                parts.setdefault(addresses.sitemap_part(video.id), video.id)
        known = self._ledger.digests([addresses.sitemap_page(part) for part in parts])
        coming = {addresses.sitemap_part(number) for number in self._plan.shown}
        self._hidden = set(self._plan.hidden)
        for part, cause in parts.items():
            path = addresses.sitemap_page(part)
            empty = not self._any_shown(part, coming)
            if empty:
                self._plan.gone.add(path)
            else:
                self._add(Page(path, "sitemap.xml", OfPart(part), "a video in it changed", cause))
            if empty == (path in known):
                self._add(_sitemap_index("a part came or went"))

    def _any_shown(self, part: int, coming: set[int]) -> bool:
        """Tell whether a part of the sitemap will have a video; those in `coming` have one."""
        if part in coming:
            return True
        low, high = part * addresses.SITEMAP_IDS, (part + 1) * addresses.SITEMAP_IDS
        return not self._hidden.issuperset(self._ledger.shown_ids(low, high))

    def first(self) -> None:
        """Plan, for the first refresh of a ledger, the pages that never change by themselves."""
        if not self._is_first:
            return
        for page in (*fixed_pages("it is new"), _sitemap_index("it is new")):
            self._add(page)
        for page in (self.home("it is new"), self.best("it is new"), *self.feeds("it is new")):
            self._plan.pages.setdefault(page.path, page)

    def finish(self) -> Plan:
        """Return the plan, without deletions of what is rendered."""
        self._plan.lists = [one for one in self._lists.values() if one.fresh or one.changes]
        self._plan.gone -= self._plan.pages.keys()
        for path in self._plan.pages:
            self._plan.forwards.pop(path, None)
        return self._plan

    # -- reading

    def _add(self, page: Page) -> None:
        self._plan.pages[page.path] = page

    def _row(self, scope: Scope) -> ScopeRow | None:
        if scope not in self._rows:
            self._rows[scope] = self._ledger.scope(scope)
        return self._rows[scope]

    def _ledger_row(self, scope: Scope) -> ScopeRow | None:
        return None if self._is_first else self._ledger.scope(scope)

    def _put_scope(
        self, scope: Scope, row: ScopeRow | None, members: int, *, paged: bool
    ) -> ScopeRow:
        if row is None:
            row = ScopeRow(self._plan.next_scope, -1, paged)
            self._plan.next_scope += 1
        now = ScopeRow(row.id, members, paged)
        if now != row:
            self._plan.scopes[scope] = now
        self._rows[scope] = now
        return now

    def _list(self, scope: Scope, key: Key, row: ListRow | None, changes: Changes) -> None:
        fresh = row is None
        if row is None:
            row = ListRow(self._plan.next_list, 1)
            self._plan.next_list += 1
        planned = self._planned(
            scope, key, row, expected=len(changes.removed) + len(changes.inserted)
        )
        planned.fresh, planned.changes = fresh, changes
        planned.chain.apply(changes)
        if fresh:
            planned.chain.end(highest=True)

    def listed(self, scope: Scope, key: Key) -> PlannedList:
        """Return a listing, changed or not."""
        planned = self._lists.get((scope, key))
        if planned is None:
            row = self._row(scope)
            assert row is not None, f"{scope} has no members"
            planned = self._planned(scope, key, self._ledger.lists(row.id)[key], expected=0)
        return planned

    def _planned(self, scope: Scope, key: Key, row: ListRow, expected: int) -> PlannedList:
        chain = Chain(self._ledger.view(row.id, expected), limits_of(scope), row.next_number)
        planned = self._lists[scope, key] = PlannedList(scope, key, row, chain)
        return planned

    def _key(self, video: Video, key: Key) -> bytes:
        known = self._keys[key]
        found = known.get(id(video))
        if found is None:
            found = known[id(video)] = video_key(video, key)
        return found

    def _keyed(self, videos: Iterable[Video], key: Key) -> tuple[bytes, ...]:
        known, make = self._keys[key].get, self._key
        return tuple([known(id(video)) or make(video, key) for video in videos])


_Window = tuple[Scope, Key, int]
_HOME_WINDOWS: tuple[_Window, ...] = (
    (ALL, Key.RATING, HOME_OTHERS),
    (ALL, Key.VIEWS, HOME_OTHERS),
    (FAVORITES, Key.ADDED, HOME_OTHERS),
)


def every_page(ledger: Ledger, site: Site, videos: Iterable[Video]) -> Iterator[Page]:
    """Yield all pages of the site as the ledger's shelves have them, whatever was rendered.

    Watch pages come first and home last, so that no page is written before what it links to.
    """
    planner = _Planner(ledger, site, [])
    parts: dict[int, None] = {}
    for video in videos:
        yield planner.watch_page(video, _ALL_REASON, None)
        parts[addresses.sitemap_part(video.id)] = None
    for scope, row in ledger.scopes():
        if not row.paged:
            whole = planner.listed(scope, Key.TITLE).chain.end(highest=True)
            yield scope_page(scope, whole, _ALL_REASON, None)
            continue
        for key, one in ledger.lists(row.id).items():
            chain = Chain(ledger.view(one.id, expected=1000), limits_of(scope))
            for shelf in chain.every():
                yield from pages_of_shelf(scope, key, shelf, _ALL_REASON, None)
    for part in parts:
        yield Page(addresses.sitemap_page(part), "sitemap.xml", OfPart(part), _ALL_REASON)
    yield _sitemap_index(_ALL_REASON)
    yield from fixed_pages(_ALL_REASON)
    yield planner.shelves(_ALL_REASON)
    yield planner.best(_ALL_REASON)
    yield from planner.feeds(_ALL_REASON)
    yield planner.home(_ALL_REASON)


_ALL_REASON = "everything is rendered anew"


def _sitemap_index(reason: str) -> Page:
    return Page(addresses.SITEMAP_INDEX, "sitemap-index.xml", OfNothing(), reason)


def _index_changes(
    scope: Scope, key: Key, entries: dict[str, tuple[ScopeRow | None, ScopeRow | None]]
) -> Changes:
    removed, inserted, touched = [], [], []
    for name, (before, after) in entries.items():
        last = name.rpartition("/")[2] if scope.kind is ScopeKind.SUBFOLDERS else name
        was = scope_key(last, before.members, before.id, key) if before else None
        now = scope_key(last, after.members, after.id, key) if after else None
        if was != now:
            removed += [was] if was else []
            inserted += [now] if now else []
        if now:
            touched.append(now)
    return Changes(tuple(removed), tuple(inserted), tuple(touched))


def _counts(key: Key, listed: bytes) -> bool:
    """Tell whether a key says something: an unrated video is not among the best."""
    if key is Key.RATING:
        return listed[0] > 0
    return key is not Key.VIEWS or any(listed[:5])


def _first_cause(passage: Passage) -> int | None:
    for videos in (passage.entered, passage.left, [d.video for d in passage.stayed]):
        for video in videos:
            return video.id
    return None


def _deepest_first(waiting: list[set[str]]) -> Iterator[str]:
    """Yield folders by their depth; meanwhile others may come to wait that are less deep."""
    for some in reversed(waiting):
        yield from sorted(some)


def _depth(folder: str) -> int:
    return folder.count("/") + 1 if folder else 0
