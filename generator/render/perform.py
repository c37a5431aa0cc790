"""Performing: a plan becomes files, which are then recorded in the ledger in one transaction.

Pages are on the disk before the ledger has them. Which paths are about to be written is recorded
first, so that a build killed at any point leaves nothing that the next one does not repair.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from generator.adapters.ledger import Ledger, ListRow, OldAddressTable, PageRow, ScopeRow
from generator.adapters.output import Output, digest_of
from generator.core.build_receipt import Receipt
from generator.core.errors import TemplateError
from generator.core.model import OutPath, Video, VideoId
from generator.core.site import urls
from generator.core.site.orders import SortKey
from generator.core.site.page_types import (
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
from generator.render.owned_files import OF_ONE_FILE, OwnedFiles
from generator.render.pages import FragmentSource, PageRenderer
from generator.render.patch import PagePatcher

REDIRECT_S = 30 * 86400  # how long a redirect is kept

_IN_MEMORY = 2000  # up to n pages are rendered before the first is written
_LAST = 3  # pages of this rank and above are written after all others
_ASSET = "(asset)"
_NOT_OURS = (
    "a file that reelshelf did not write is there, or a compressed copy of one;"
    " move it away, and the next build writes the page"
)


@dataclass(slots=True)
class RenderRun:
    """One build in progress: what it writes with, and what it has written so far."""

    ledger: Ledger
    output: Output
    renderer: PageRenderer
    fragments: FragmentSource
    receipt: Receipt
    suspects: frozenset[OutPath] = frozenset()  # their files may differ from the ledger
    compares: bool = False  # no existing file is trusted
    altered: list[VideoId] = field(default_factory=list)  # cards may differ, or are gone
    is_strict: bool = False  # one failing page stops the run
    failures: dict[OutPath, str] = field(default_factory=dict)  # page: reason
    plain: frozenset[str] = frozenset()  # templates that may do more with cards than print them
    rows: list[PageRow] = field(default_factory=list)
    rewritten: list[OutPath] = field(default_factory=list)
    done: list[OutPath] = field(default_factory=list)  # all that did not fail
    fresh: list[OutPath] = field(default_factory=list)  # of those, the ones new to the ledger

    claims: bool = True  # files are recorded as owned; not those of a copy of the site
    by_manifest: bool = False  # the pages in the ledger may be those of another output folder
    foreign: list[OutPath] = field(default_factory=list)  # its file is not owned

    @property
    def files(self) -> OwnedFiles:
        """Return which files of the output folder are owned by this site."""
        return OwnedFiles(self.ledger, self.output, by_manifest=self.by_manifest)

    def claim(self, paths: Sequence[OutPath]) -> frozenset[OutPath]:
        """Record files as owned before they are written; return those that must not be written."""
        return self.files.claim(paths) if self.claims else frozenset()


@dataclass(frozen=True, slots=True)
class WrittenPage:
    """The result of one page: digest and size of its bytes, and whether they were written."""

    digest: bytes
    size: int
    rewritten: bool


@dataclass(frozen=True, slots=True)
class FormerPage:
    """What was there before, as far as known.

    `trusted` are digests that are certain, `recorded` all that the ledger has. Pages in `packed`
    have compressed copies, those in `copied` may have some. `existing` are the files (None: not
    listed), `taken` those that are not owned.
    """

    trusted: dict[OutPath, bytes]
    recorded: dict[OutPath, bytes]
    packed: set[OutPath]
    copied: set[OutPath]
    existing: frozenset[OutPath] | None
    taken: frozenset[OutPath]


def stored_fragments(ledger: Ledger) -> FragmentSource:
    """Return the fragments and videos in the ledger."""

    def part(low: int, high: int) -> list[Video]:
        return [video for _, video in sorted(ledger.videos(ledger.shown_ids(low, high)).items())]

    def subfolders(name: str) -> Shelf | None:
        row = ledger.scope(Scope(ScopeKind.SUBFOLDERS, name))
        return _first_shelf(ledger, row.id) if row is not None else None

    fragments = FragmentSource(ledger.cards, ledger.minis, ledger.scope_cards)
    fragments.videos, fragments.part, fragments.subfolders = ledger.videos, part, subfolders
    fragments.slug = lambda number: ledger.videos((number,))[number].slug
    fragments.parts = lambda: _parts(ledger.shown_parts(urls.SITEMAP_IDS))
    return fragments


def render_all_fragments(run: RenderRun, videos: Iterable[Video]) -> None:
    """Render all fragments from these videos, the whole library; use nothing stored."""
    by_id = {video.id: video for video in videos}
    _render_cards(run, by_id.values())
    for scope, row in run.ledger.scopes():
        _render_scope_card(run, scope, row)
    run.fragments.whole = True
    run.fragments.videos = lambda ids: {number: by_id[number] for number in ids}
    run.fragments.slug = lambda number: by_id[number].slug
    run.fragments.parts = lambda: _parts({urls.sitemap_part(number) for number in by_id})
    run.fragments.part = lambda low, high: [
        by_id[number] for number in map(VideoId, range(low, high)) if number in by_id
    ]


def overlay(run: RenderRun, plan: Plan) -> None:
    """Put the changes of the plan over the stored fragments and videos."""
    fragments, stored = run.fragments, stored_fragments(run.ledger)
    _render_cards(run, plan.shown.values())
    for scope, row in plan.scopes.items():
        _render_scope_card(run, scope, row)
    hidden, shown = set(plan.hidden), plan.shown
    run.altered = [*shown, *hidden]

    def videos(ids: Iterable[VideoId]) -> dict[VideoId, Video]:
        requested = list(ids)
        rest = [number for number in requested if number not in shown]
        changed = {number: shown[number] for number in requested if number in shown}
        return {**changed, **stored.videos(rest)} if rest else changed

    def part(low: int, high: int) -> list[Video]:
        ids = set(run.ledger.shown_ids(low, high)) - hidden
        ids.update(number for number in map(VideoId, range(low, high)) if number in shown)
        return [video for _, video in sorted(videos(ids).items())]

    lists = {
        planned.scope: planned
        for planned in plan.lists
        if planned.scope.kind is ScopeKind.SUBFOLDERS
    }
    dropped = set(plan.dropped_scopes)

    def subfolders(name: str) -> Shelf | None:
        scope = Scope(ScopeKind.SUBFOLDERS, name)
        if scope in lists:
            return lists[scope].editor.end(highest=False)
        row = run.ledger.scope(scope)
        return None if row is None or row.id in dropped else _first_shelf(run.ledger, row.id)

    def slug(number: VideoId) -> str:
        return shown[number].slug if number in shown else stored.slug(number)

    fragments.videos, fragments.part, fragments.subfolders = videos, part, subfolders
    fragments.slug = slug
    fragments.whole = not run.ledger.fact("begun")
    fragments.parts = lambda: _parts(
        part
        for part in {
            *run.ledger.shown_parts(urls.SITEMAP_IDS),
            *(urls.sitemap_part(number) for number in shown),
        }
        if urls.sitemap_path(part) not in plan.gone
    )


def _render_cards(run: RenderRun, videos: Iterable[Video]) -> None:
    for video in videos:
        run.fragments.cards.put(video.id, run.renderer.card(video))
        run.fragments.minis.put(video.id, run.renderer.mini(video))


def _render_scope_card(run: RenderRun, scope: Scope, row: ScopeRow) -> None:
    if scope.kind in {ScopeKind.TAG, ScopeKind.FOLDER}:
        run.fragments.scope_cards.put(row.id, run.renderer.scope_card(scope, row.members))


def _first_shelf(ledger: Ledger, scope: int) -> Shelf:
    row = ledger.lists(scope)[SortKey.NAME]
    return ListingEditor(ledger.view(row.id), NAME_LIMITS).end(highest=False)


def _parts(numbers: Iterable[int]) -> list[OutPath]:
    """Return the sitemaps that the index names: those with videos, even if one is not written."""
    return [urls.sitemap_path(number) for number in sorted(numbers)]


def perform(run: RenderRun, plan: Plan) -> None:
    """Render and write every page of a plan, then delete what is gone.

    Raises:
        TemplateError: a template is wrong; nothing was written if the plan is small.
        OSError: the disk is full, or the folder cannot be written; pages so far are complete.
    """
    write_pages(run, sorted(plan.pages.values(), key=_rank) + _redirect_pages(plan.redirects))
    run.receipt.removed += run.files.delete(plan.gone - plan.redirects.keys())


def redirect_pages(ledger: Ledger) -> list[Page]:
    """Return the redirect pages in the ledger."""
    return _redirect_pages(ledger.redirects())


def _redirect_pages(redirects: dict[OutPath, OutPath]) -> list[Page]:
    return [
        Page(path, "redirect.html", RedirectSubject(target), "merged into another shelf")
        for path, target in redirects.items()
    ]


def write_pages(run: RenderRun, pages: list[Page]) -> None:
    """Render pages and write those whose bytes differ from the existing file."""
    many = len(pages) > _IN_MEMORY
    paths = [page.path for page in pages]
    recorded = run.ledger.digests(None if many else paths)
    trusted = {} if run.compares else {p: d for p, d in recorded.items() if p not in run.suspects}
    unclaimed = paths if run.by_manifest else [path for path in paths if path not in recorded]
    taken = run.claim(unclaimed)
    before = FormerPage(
        trusted,
        recorded,
        run.ledger.all_compressed() if many else run.ledger.compressed(paths),
        run.ledger.copied(None if many else paths),
        frozenset(run.output.files()) if many else None,
        taken,
    )
    if many and run.fragments.whole and fork.is_possible():
        _record(run, before, _write_in_two(run, pages, before))
        run.foreign += taken & run.failures.keys()
        return
    failed = run.ledger.failed()  # such a page misses earlier changes, too
    if failed:
        trusted = {path: digest for path, digest in trusted.items() if path not in failed}
    patcher = PagePatcher(run.ledger, run.output, run.fragments, trusted, run.altered)
    patcher.plain = run.plain | run.renderer.plain
    rendered = ((page, patcher.patched(page) or _render_page(run, page)) for page in pages)
    ready = rendered if many else iter(list(rendered))  # a few are rendered before one is written
    _record(run, before, ((page, _put(run, page, content, before)) for page, content in ready))
    run.foreign += taken & run.failures.keys()


def _render_page(run: RenderRun, page: Page) -> bytes | None:
    """Return the bytes of a page; None if that fails: recorded, and the old file stays."""
    try:
        return run.renderer.page(page)
    except TemplateError as error:
        if run.is_strict:
            raise
        run.failures[page.path] = str(error)
        return None


def _put(
    run: RenderRun, page: Page, content: bytes | None, before: FormerPage, lane: int = 0
) -> WrittenPage | None:
    """Write a page if it changed; None if that fails: recorded, and the old file stays."""
    if content is None:
        return None
    try:
        return _write(run, page, content, before, lane)
    except OSError as error:
        if error.errno not in OF_ONE_FILE:
            raise
        reason = error.strerror
        if isinstance(error, FileExistsError):
            reason = _NOT_OURS
        run.failures[page.path] = f"cannot write {page.path}: {reason}"
        return None


def _write_in_two(
    run: RenderRun, pages: list[Page], before: FormerPage
) -> Iterator[tuple[Page, WrittenPage | None]]:
    """Write pages by two processes; the child gets 2/5 of those it can render.

    The child gets only pages whose content is in memory: it must not read the ledger.
    """
    independent = [page for page in pages if _is_in_memory(page)]
    child_pages = independent[: len(pages) * 2 // 5]
    child_paths = {page.path for page in child_pages}
    rest = [page for page in pages if page.path not in child_paths]

    def write(batch: list[Page], lane: int) -> list[WrittenPage | None]:
        return [_put(run, page, _render_page(run, page), before, lane) for page in batch]

    with fork.in_child(lambda: (write(child_pages, 1), run.renderer.plain, run.failures)) as result:
        early = [page for page in rest if _rank(page) < _LAST]
        done = write(early, 0)
        child_results, plain, failures = result()
        run.renderer.plain.update(plain)
        run.failures.update(failures)
        yield from zip(child_pages, child_results, strict=True)
        yield from zip(early, done, strict=True)
    late = [page for page in rest if _rank(page) >= _LAST]
    yield from zip(late, write(late, 0), strict=True)


def _is_in_memory(page: Page) -> bool:
    subject = page.subject
    if isinstance(subject, ShelfSubject):
        return subject.scope.kind in {ScopeKind.ALL, ScopeKind.FAVORITES, ScopeKind.TAG}
    return isinstance(subject, VideoSubject | ChaptersSubject)


def _record(
    run: RenderRun, before: FormerPage, done: Iterable[tuple[Page, WrittenPage | None]]
) -> None:
    receipt = run.receipt
    for page, written in done:
        if written is None:
            continue
        run.done.append(page.path)
        if written.rewritten:
            receipt.written += 1
            receipt.bytes_written += written.size
            receipt.reasons[page.reason] = receipt.reasons.get(page.reason, 0) + 1
            run.rewritten.append(page.path)
            # the child process may have written it
            run.output.touched.add(page.path.rpartition("/")[0])
        else:
            receipt.unchanged += 1
            if page.path in run.suspects:
                run.rewritten.append(page.path)  # its copies were deleted, too
        if page.path not in before.recorded:
            run.fresh.append(page.path)
        if page.path in before.taken:
            run.output.note([page.path])
        if written.rewritten or before.recorded.get(page.path) != written.digest:
            run.rows.append(
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
    run: RenderRun, page: Page, content: bytes, before: FormerPage, lane: int = 0
) -> WrittenPage:
    path, digest, output = page.path, digest_of(content), run.output
    if path in before.taken:  # fine only if its content is right already
        output.require(path, content)
        return WrittenPage(digest, len(content), rewritten=False)
    digest_before = before.trusted.get(path)
    exists = before.existing is None or path in before.existing
    same = digest_before == digest if digest_before else exists and output.read(path) == content
    has_copies = path in before.copied  # of ours; in `packed` are those with foreign copies, too
    if not same:
        output.write(path, content, packed=exists and has_copies, owned=True, lane=lane)
    elif (
        digest_before is None and has_copies and (path not in before.packed or path in run.suspects)
    ):
        output.unpack(path)  # the copies may be of other content
    return WrittenPage(digest, len(content), not same)


def _rank(page: Page) -> int:
    """Order pages so that none is written before the pages it links to."""
    if page.path == urls.HOME:
        return 4
    if page.path.startswith(("text/", "board/")):
        return 0
    if page.path.startswith("watch/"):
        return 1
    return 3 if "/" not in page.path else 2


def write_assets(run: RenderRun, assets: dict[OutPath, bytes]) -> None:
    """Write the assets; former ones stay until every page was rendered again."""
    taken = run.claim(list(assets))
    for path, content in assets.items():
        digest = digest_of(content)
        row = run.ledger.page(path)
        if row is not None and row.digest == digest and not run.compares:
            run.done.append(path)
            continue
        try:
            if path in taken:
                run.output.require(path, content)
            elif run.output.read(path) != content:
                run.output.write(path, content, owned=True)
                run.receipt.written += 1
                run.receipt.bytes_written += len(content)
        except FileExistsError:
            run.failures[path] = f"cannot write {path}: {_NOT_OURS}"
            run.foreign.append(path)
            continue
        run.done.append(path)
        if row is None:
            run.fresh.append(path)
        number, reason = run.receipt.number, "asset changed"
        run.rows.append(PageRow(path, _ASSET, digest, len(content), number, reason, None))


def commit(run: RenderRun, plan: Plan, now: int) -> None:
    """Record what was done in the ledger; called within its one transaction."""
    ledger, until = run.ledger, now + REDIRECT_S
    for number in plan.dropped_lists:
        ledger.drop_list(number)
    for number in plan.dropped_scopes:
        ledger.drop_scope(number)
    for scope, row in plan.scopes.items():
        ledger.put_scope(scope, row)
        if scope.kind in {ScopeKind.TAG, ScopeKind.FOLDER}:
            ledger.put_scope_card(row.id, run.fragments.scope_cards.get(row.id))
    dropped = set(plan.dropped_lists)
    for planned in plan.lists:
        if planned.row.id not in dropped:
            _commit_list(ledger, _scope_number(plan, ledger, planned.scope), planned)
    cards, minis = run.fragments.cards, run.fragments.minis
    ledger.put_shown(
        (video, cards.get(video.id), minis.get(video.id)) for video in plan.shown.values()
    )
    ledger.drop_shown(plan.hidden)
    commit_pages(run)
    gone = [path for path in plan.gone if path not in plan.redirects]
    ledger.drop_pages(gone)
    ledger.trust(gone)
    ledger.drop_failed(gone)
    ledger.drop_compressed(gone)
    ledger.suspend_redirects(sorted(plan.suspended))
    ledger.drop_suspended([*plan.pages, *plan.redirects], now)
    ledger.drop_redirects(plan.pages)
    ledger.drop_redirects(gone)
    lasting = {path: target for path, target in plan.redirects.items() if path in plan.lasting}
    ledger.put_redirects(plan.redirects, until)
    ledger.put_redirects(lasting, FOR_GOOD)
    old_addresses = OldAddressTable(ledger.connection)
    old_addresses.put(plan.old_addresses)
    if plan.dropped_old_addresses:
        old_addresses.drop(plan.dropped_old_addresses)
    ledger.remember("next_scope", str(plan.next_scope))
    ledger.remember("next_list", str(plan.next_list))


def commit_fragments(run: RenderRun, videos: Iterable[Video]) -> None:
    """Record all cards, rendered again, in the ledger."""
    cards, minis = run.fragments.cards, run.fragments.minis
    run.ledger.put_shown((video, cards.get(video.id), minis.get(video.id)) for video in videos)
    for scope, row in run.ledger.scopes():
        if scope.kind in {ScopeKind.TAG, ScopeKind.FOLDER}:
            run.ledger.put_scope_card(row.id, run.fragments.scope_cards.get(row.id))


def commit_pages(run: RenderRun) -> None:
    """Record written and failed pages in the ledger, and that old compressed copies are gone."""
    run.ledger.drop_failed(run.done)
    run.ledger.put_failed(run.failures)
    run.ledger.put_pages(run.rows)
    run.ledger.drop_pages(run.foreign)
    run.ledger.disown(run.fresh)  # their page rows say so now
    run.ledger.drop_compressed(run.rewritten)
    # a page that failed still has its old file
    run.ledger.trust([*run.done, *run.fresh, *(run.failures.keys() - run.suspects)])
    run.rows, run.rewritten, run.done, run.fresh, run.foreign = [], [], [], [], []


def _scope_number(plan: Plan, ledger: Ledger, scope: Scope) -> int:
    row = plan.scopes.get(scope) or ledger.scope(scope)
    assert row is not None, f"{scope} has lists but no row"
    return row.id


def _commit_list(ledger: Ledger, scope: int, planned: PlannedList) -> None:
    row, editor = planned.row, planned.editor
    written, deleted = editor.rows()
    ledger.change_shelves(row.id, written, deleted)
    if planned.fresh or editor.next_number != row.next_number:
        ledger.put_list(scope, planned.key, ListRow(row.id, editor.next_number))
