"""Performing: a plan becomes files, and then, in one transaction, what the ledger knows.

Pages reach the disk before the ledger tells of them. Which paths are about to be written is noted
first, so that a refresh killed anywhere leaves nothing that the next one does not mend.
"""

import errno
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from generator.adapters.ledger import Ledger, ListRow, PageRow, ScopeRow
from generator.adapters.output import Output, digest_of
from generator.core.errors import TemplateError
from generator.core.model import OutPath, Video, VideoId
from generator.core.receipt import Receipt
from generator.core.site import urls
from generator.core.site.orders import SortKey
from generator.core.site.pages import (
    ChaptersSubject,
    Page,
    RedirectSubject,
    ShelfSubject,
    VideoSubject,
)
from generator.core.site.scopes import Scope, ScopeKind
from generator.core.site.shelves import NAME_LIMITS, ListingEditor, Shelf
from generator.plan import FOR_GOOD, Plan, PlannedList
from generator.render import fork
from generator.render.owned_files import OwnedFiles
from generator.render.pages import FragmentSource, PageRenderer
from generator.render.patch import PagePatcher

FORWARD_S = 30 * 86400  # how long a page leads on

_IN_MEMORY = 2000  # so many pages are painted before the first is written
_LAST = 3  # the rank from which pages are written after all others
_ASSET = "(asset)"
_NOT_OURS = (
    "a file that reelshelf did not write is there, or a compressed copy of one;"
    " move it away, and the next build writes the page"
)
_OF_ONE_FILE = frozenset(
    {errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.EBUSY}
    | {errno.ELOOP, errno.ENAMETOOLONG, errno.ETXTBSY, errno.EEXIST}
)


@dataclass(slots=True)
class RenderRun:
    """One refresh under way: what it writes with, what it has written so far."""

    ledger: Ledger
    output: Output
    painter: PageRenderer
    library: FragmentSource
    receipt: Receipt
    suspects: frozenset[OutPath] = frozenset()  # what lies there may not be what the ledger says
    compares: bool = False  # nothing that lies there is taken on trust
    altered: list[VideoId] = field(default_factory=list)  # whose cards may differ, or are gone
    is_strict: bool = False  # one page that fails ends all
    failures: dict[OutPath, str] = field(default_factory=dict)  # pages, and why they failed
    plain: frozenset[str] = frozenset()  # templates that may do more with cards than print them
    rows: list[PageRow] = field(default_factory=list)
    anew: list[OutPath] = field(default_factory=list)
    done: list[OutPath] = field(default_factory=list)  # all that did not fail
    fresh: list[OutPath] = field(default_factory=list)  # of those, what the ledger had not

    by_manifest: bool = (
        False  # of what is ours in the output folder the ledger's pages tell nothing
    )
    foreign: list[OutPath] = field(default_factory=list)  # pages in whose place is another's file

    @property
    def files(self) -> OwnedFiles:
        """Return which files of the output folder are ours."""
        return OwnedFiles(self.ledger, self.output, by_manifest=self.by_manifest)


@dataclass(frozen=True, slots=True)
class WrittenPage:
    """What became of a page: the digest and size of its bytes, and whether they were written."""

    digest: bytes
    size: int
    anew: bool


@dataclass(frozen=True, slots=True)
class FormerPage:
    """What was there, as far as it is known.

    `known` are digests to be trusted, `noted` all that the ledger has. Beside pages that are
    `packed` are their compressed copies, beside those that are `copied` there may be some. `there`
    are the files (None: not looked), `taken` those that are not ours.
    """

    known: dict[OutPath, bytes]
    noted: dict[OutPath, bytes]
    packed: set[OutPath]
    copied: set[OutPath]
    there: frozenset[OutPath] | None
    taken: frozenset[OutPath]


def stored_library(ledger: Ledger) -> FragmentSource:
    """Return the library as the ledger has it."""

    def part(low: int, high: int) -> list[Video]:
        return [video for _, video in sorted(ledger.videos(ledger.shown_ids(low, high)).items())]

    def subfolders(name: str) -> Shelf | None:
        row = ledger.scope(Scope(ScopeKind.SUBFOLDERS, name))
        return _first_shelf(ledger, row.id) if row is not None else None

    library = FragmentSource(ledger.cards, ledger.minis, ledger.scope_cards)
    library.videos, library.part, library.subfolders = ledger.videos, part, subfolders
    library.slug = lambda number: ledger.videos((number,))[number].slug
    library.parts = lambda: _parts(ledger.paths_like("sitemap/"))
    return library


def whole_library(work: RenderRun, videos: Iterable[Video]) -> None:
    """Let a library show these videos, all that there are, with nothing kept from earlier."""
    known = {video.id: video for video in videos}
    _paint_cards(work, known.values())
    for scope, row in work.ledger.scopes():
        _paint_scope_card(work, scope, row)
    work.library.whole = True
    work.library.videos = lambda ids: {number: known[number] for number in ids}
    work.library.slug = lambda number: known[number].slug
    work.library.part = lambda low, high: [
        known[number] for number in map(VideoId, range(low, high)) if number in known
    ]


def overlay(work: RenderRun, plan: Plan) -> None:
    """Let a library show what the plan brings, before the ledger knows of it."""
    library, stored = work.library, stored_library(work.ledger)
    _paint_cards(work, plan.shown.values())
    for scope, row in plan.scopes.items():
        _paint_scope_card(work, scope, row)
    hidden, shown = set(plan.hidden), plan.shown
    work.altered = [*shown, *hidden]

    def videos(ids: Iterable[VideoId]) -> dict[VideoId, Video]:
        wanted = list(ids)
        rest = [number for number in wanted if number not in shown]
        known = {number: shown[number] for number in wanted if number in shown}
        return {**known, **stored.videos(rest)} if rest else known

    def part(low: int, high: int) -> list[Video]:
        ids = set(work.ledger.shown_ids(low, high)) - hidden
        ids.update(number for number in map(VideoId, range(low, high)) if number in shown)
        return [video for _, video in sorted(videos(ids).items())]

    lists = {one.scope: one for one in plan.lists if one.scope.kind is ScopeKind.SUBFOLDERS}
    dropped = set(plan.dropped_scopes)

    def subfolders(name: str) -> Shelf | None:
        scope = Scope(ScopeKind.SUBFOLDERS, name)
        if scope in lists:
            return lists[scope].chain.end(highest=False)
        row = work.ledger.scope(scope)
        return None if row is None or row.id in dropped else _first_shelf(work.ledger, row.id)

    def slug(number: VideoId) -> str:
        return shown[number].slug if number in shown else stored.slug(number)

    library.videos, library.part, library.subfolders = videos, part, subfolders
    library.slug = slug
    library.whole = not work.ledger.fact("begun")
    library.parts = lambda: _parts(
        (set(work.ledger.paths_like("sitemap/")) - plan.gone)
        | {path for path in plan.pages if path.startswith("sitemap/")}
    )


def _paint_cards(work: RenderRun, videos: Iterable[Video]) -> None:
    for video in videos:
        work.library.cards.put(video.id, work.painter.card(video))
        work.library.minis.put(video.id, work.painter.mini(video))


def _paint_scope_card(work: RenderRun, scope: Scope, row: ScopeRow) -> None:
    if scope.kind in {ScopeKind.TAG, ScopeKind.FOLDER}:
        work.library.scope_cards.put(row.id, work.painter.scope_card(scope, row.members))


def _first_shelf(ledger: Ledger, scope: int) -> Shelf:
    row = ledger.lists(scope)[SortKey.NAME]
    return ListingEditor(ledger.view(row.id), NAME_LIMITS).end(highest=False)


def _parts(paths: Iterable[OutPath]) -> list[OutPath]:
    return sorted((path for path in paths if path != urls.SITEMAP_PAGES), key=_part_number)


def _part_number(path: OutPath) -> int:
    return int(path.removeprefix("sitemap/").removesuffix(".xml"))


def perform(work: RenderRun, plan: Plan) -> None:
    """Paint and write every page of a plan, then remove what is gone.

    Raises:
        TemplateError: a template is wrong; of a small plan, nothing has been written.
        OSError: the disk is full, or the folder cannot be written; the pages so far are whole.
    """
    write_pages(work, sorted(plan.pages.values(), key=_rank) + _forwards(plan.forwards))
    work.receipt.removed += work.files.delete(plan.gone - plan.forwards.keys())


def forward_pages(ledger: Ledger) -> list[Page]:
    """Return the pages that lead on, as the ledger has them."""
    return _forwards(ledger.forwards())


def _forwards(forwards: dict[OutPath, str]) -> list[Page]:
    return [
        Page(path, "forward.html", RedirectSubject(target), "its videos moved on")
        for path, target in forwards.items()
    ]


def write_pages(work: RenderRun, pages: list[Page]) -> None:
    """Paint pages and write those whose bytes differ from what is there."""
    many = len(pages) > _IN_MEMORY
    paths = [page.path for page in pages]
    noted = work.ledger.digests(None if many else paths)
    known = {} if work.compares else {p: d for p, d in noted.items() if p not in work.suspects}
    unclaimed = paths if work.by_manifest else [path for path in paths if path not in noted]
    taken = work.files.claim(unclaimed)
    before = FormerPage(
        known,
        noted,
        work.ledger.all_packed() if many else work.ledger.packed(paths),
        work.ledger.copied(None if many else paths),
        frozenset(work.output.files()) if many else None,
        taken,
    )
    if many and work.library.whole and fork.is_possible():
        _note(work, before, _write_in_two(work, pages, before))
        work.foreign += taken & work.failures.keys()
        return
    failed = work.ledger.failed()  # such a page lacks more than what differs now
    if failed:
        known = {path: digest for path, digest in known.items() if path not in failed}
    patches = PagePatcher(work.ledger, work.output, work.library, known, work.altered)
    patches.plain = work.plain | work.painter.plain
    painted = ((page, patches.patched(page) or _paint(work, page)) for page in pages)
    ready = painted if many else iter(list(painted))  # a few are painted before one is written
    _note(work, before, ((page, _put(work, page, content, before)) for page, content in ready))
    work.foreign += taken & work.failures.keys()


def _paint(work: RenderRun, page: Page) -> bytes | None:
    """Return the bytes of a page; None where it fails, which is noted: it stays as it is."""
    try:
        return work.painter.page(page)
    except TemplateError as error:
        if work.is_strict:
            raise
        work.failures[page.path] = str(error)
        return None


def _put(
    work: RenderRun, page: Page, content: bytes | None, before: FormerPage, lane: int = 0
) -> WrittenPage | None:
    """Write a page if need be; None where that fails, which is noted: it stays as it is."""
    if content is None:
        return None
    try:
        return _write(work, page, content, before, lane)
    except OSError as error:
        if error.errno not in _OF_ONE_FILE:
            raise
        reason = error.strerror
        if isinstance(error, FileExistsError):
            reason = _NOT_OURS
        work.failures[page.path] = f"cannot write {page.path}: {reason}"
        return None


def _write_in_two(
    work: RenderRun, pages: list[Page], before: FormerPage
) -> Iterator[tuple[Page, WrittenPage | None]]:
    """Write pages by two processes: watch pages and as many others as make it even by the twin.

    Only pages of which everything is known are the twin's: it must not read the ledger.
    """
    apart = [page for page in pages if _is_all_known(page)]
    share = apart[: len(pages) * 2 // 5]
    theirs = {page.path for page in share}
    rest = [page for page in pages if page.path not in theirs]

    def write(some: list[Page], lane: int) -> list[WrittenPage | None]:
        return [_put(work, page, _paint(work, page), before, lane) for page in some]

    with fork.beside(lambda: (write(share, 1), work.painter.plain, work.failures)) as answer:
        early = [page for page in rest if _rank(page) < _LAST]
        done = write(early, 0)
        shared, plain, failures = answer()
        work.painter.plain.update(plain)
        work.failures.update(failures)
        yield from zip(share, shared, strict=True)
        yield from zip(early, done, strict=True)
    late = [page for page in rest if _rank(page) >= _LAST]
    yield from zip(late, write(late, 0), strict=True)


def _is_all_known(page: Page) -> bool:
    subject = page.subject
    if isinstance(subject, ShelfSubject):
        return subject.scope.kind in {ScopeKind.ALL, ScopeKind.FAVORITES, ScopeKind.TAG}
    return isinstance(subject, VideoSubject | ChaptersSubject)


def _note(
    work: RenderRun, before: FormerPage, done: Iterable[tuple[Page, WrittenPage | None]]
) -> None:
    receipt = work.receipt
    for page, written in done:
        if written is None:
            continue
        work.done.append(page.path)
        if written.anew:
            receipt.written += 1
            receipt.bytes_written += written.size
            receipt.reasons[page.reason] = receipt.reasons.get(page.reason, 0) + 1
            work.anew.append(page.path)
            work.output.touched.add(page.path.rpartition("/")[0])  # another process wrote it, maybe
        else:
            receipt.unchanged += 1
            if page.path in work.suspects:
                work.anew.append(page.path)  # its copies went, too
        if page.path not in before.noted:
            work.fresh.append(page.path)
        if page.path in before.taken:
            work.output.note([page.path])
        if written.anew or before.noted.get(page.path) != written.digest:
            work.rows.append(
                PageRow(
                    page.path,
                    page.template,
                    written.digest,
                    written.size,
                    receipt.number,
                    page.reason,
                    page.cause,
                )
            )


def _write(
    work: RenderRun, page: Page, content: bytes, before: FormerPage, lane: int = 0
) -> WrittenPage:
    path, digest, output = page.path, digest_of(content), work.output
    if path in before.taken:  # at best it is what it should be already
        output.require(path, content)
        return WrittenPage(digest, len(content), anew=False)
    known = before.known.get(path)
    there = before.there is None or path in before.there
    same = known == digest if known else there and output.read(path) == content
    has_copies = path in before.copied or path in before.packed
    if not same:
        output.write(path, content, packed=there and has_copies, owned=True, lane=lane)
    elif known is None and has_copies and (path not in before.packed or path in work.suspects):
        output.unpack(path)  # they may be of something else
    return WrittenPage(digest, len(content), not same)


def _rank(page: Page) -> int:
    """Order pages so that none is written before the pages it leads to."""
    if page.path == urls.HOME:
        return 4
    if page.path.startswith(("text/", "board/")):
        return 0
    if page.path.startswith("watch/"):
        return 1
    return 3 if "/" not in page.path else 2


def write_assets(work: RenderRun, assets: dict[OutPath, bytes]) -> None:
    """Write the files beside the pages; former ones stay until every page is anew."""
    taken = work.files.claim(list(assets))
    for path, content in assets.items():
        digest = digest_of(content)
        row = work.ledger.page(path)
        if row is not None and row.digest == digest and not work.compares:
            work.done.append(path)
            continue
        try:
            if path in taken:
                work.output.require(path, content)
            elif work.output.read(path) != content:
                work.output.write(path, content, owned=True)
                work.receipt.written += 1
                work.receipt.bytes_written += len(content)
        except FileExistsError:
            work.failures[path] = f"cannot write {path}: {_NOT_OURS}"
            work.foreign.append(path)
            continue
        work.done.append(path)
        if row is None:
            work.fresh.append(path)
        number, reason = work.receipt.number, "its content is new"
        work.rows.append(PageRow(path, _ASSET, digest, len(content), number, reason, None))


def commit(work: RenderRun, plan: Plan, now: int) -> None:
    """Tell the ledger what was done; called within its one transaction."""
    ledger, until = work.ledger, now + FORWARD_S
    for number in plan.dropped_lists:
        ledger.drop_list(number)
    for number in plan.dropped_scopes:
        ledger.drop_scope(number)
    for scope, row in plan.scopes.items():
        ledger.put_scope(scope, row)
        if scope.kind in {ScopeKind.TAG, ScopeKind.FOLDER}:
            ledger.put_scope_card(row.id, work.library.scope_cards.one(row.id))
    dropped = set(plan.dropped_lists)
    for one in plan.lists:
        if one.row.id not in dropped:
            _settle_list(ledger, _scope_number(plan, ledger, one.scope), one)
    cards, minis = work.library.cards, work.library.minis
    ledger.put_shown(
        (video, cards.one(video.id), minis.one(video.id)) for video in plan.shown.values()
    )
    ledger.drop_shown(plan.hidden)
    settle_pages(work)
    gone = [path for path in plan.gone if path not in plan.forwards]
    ledger.drop_pages(gone)
    ledger.trust(gone)
    ledger.drop_failed(gone)
    ledger.drop_packed(gone)
    ledger.rest_forwards(sorted(plan.resting))
    ledger.drop_resting([*plan.pages, *plan.forwards], now)
    ledger.drop_forwards(plan.pages)
    ledger.drop_forwards(gone)
    lasting = {path: target for path, target in plan.forwards.items() if path in plan.lasting}
    ledger.put_forwards(plan.forwards, until)
    ledger.put_forwards(lasting, FOR_GOOD)
    ledger.remember("next_scope", str(plan.next_scope))
    ledger.remember("next_list", str(plan.next_list))


def settle_pieces(work: RenderRun, videos: Iterable[Video]) -> None:
    """Tell the ledger of all cards, painted anew."""
    cards, minis = work.library.cards, work.library.minis
    work.ledger.put_shown((video, cards.one(video.id), minis.one(video.id)) for video in videos)
    for scope, row in work.ledger.scopes():
        if scope.kind in {ScopeKind.TAG, ScopeKind.FOLDER}:
            work.ledger.put_scope_card(row.id, work.library.scope_cards.one(row.id))


def settle_pages(work: RenderRun) -> None:
    """Tell the ledger of the pages written so far, or not, and of compressed copies that went."""
    work.ledger.drop_failed(work.done)
    work.ledger.put_failed(work.failures)
    work.ledger.put_pages(work.rows)
    work.ledger.drop_pages(work.foreign)
    work.ledger.disown(work.fresh)  # they have rows of their own now
    work.ledger.drop_packed(work.anew)
    # a page that failed is as it was
    work.ledger.trust([*work.done, *work.fresh, *(work.failures.keys() - work.suspects)])
    work.rows, work.anew, work.done, work.fresh, work.foreign = [], [], [], [], []


def _scope_number(plan: Plan, ledger: Ledger, scope: Scope) -> int:
    row = plan.scopes.get(scope) or ledger.scope(scope)
    assert row is not None, f"{scope} has lists but no row"
    return row.id


def _settle_list(ledger: Ledger, scope: int, planned: PlannedList) -> None:
    row, chain = planned.row, planned.chain
    written, deleted = chain.rows()
    ledger.change_shelves(row.id, written, deleted)
    if planned.fresh or chain.next_number != row.next_number:
        ledger.put_list(scope, planned.key, ListRow(row.id, chain.next_number))
