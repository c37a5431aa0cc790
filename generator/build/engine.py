"""The one route, of which a run is a build: scan, plan, render, commit.

A file event, a rating, a first build and an import all go through `Engine.refresh`; there is no
other way to cause a page to be written.
"""

import errno
import gc
import json
import logging
import resource
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Protocol, Self, TypeVar

from filelock import FileLock, Timeout

from generator import __version__
from generator.adapters.catalogue import Catalogue, LostCatalogueError
from generator.adapters.integrity_check import SYMPTOMS, is_environment_error
from generator.adapters.ledger import TOTALS, Ledger
from generator.adapters.output import Output
from generator.adapters.renderer import Renderer
from generator.adapters.settings import Settings
from generator.build.recovery import EVERYTHING, Recovery, folders_of
from generator.core.build_receipt import Receipt
from generator.core.delivery.folder_marks import MARK
from generator.core.errors import BusyError, DamagedError, SettingsError
from generator.core.measurements import add_refresh
from generator.core.model import OutPath, Video
from generator.core.site import urls
from generator.core.site.contexts import SiteContext
from generator.core.site.orders import RANDOM, VIDEO_ORDERS
from generator.core.site.page_types import Page
from generator.core.site.scopes import ALL, FAVORITES, LIBRARY, TAGS, VideoChange
from generator.plan import (
    FOR_GOOD,
    Plan,
    every_page,
    host_pages,
    plan,
    plan_host_files,
    plan_old_addresses,
    plan_suspended,
)
from generator.render.owned_files import OwnedFiles
from generator.render.pages import TEMPLATES, PageRenderer, uses
from generator.render.perform import (
    REDIRECT_S,
    RenderRun,
    commit,
    commit_fragments,
    commit_pages,
    overlay,
    perform,
    redirect_pages,
    render_all_fragments,
    stored_fragments,
    write_assets,
    write_pages,
)

log = logging.getLogger(__name__)
_T = TypeVar("_T")

_OURS = ("build.lock", "catalogue.db", "ledger.db", "under-way.txt")
_SKELETON = "skeleton/"  # of templates, by their inputs
_PLAIN = "plain/"  # templates that may do more with cards than print them
_CLOCK, _CLOCK_AT = "redirect_clock", "redirect_clock_at"  # facts
_MAX_STEP_S, _CLOCK_STEP_S = 7 * 86_400, 3_600  # that a refresh advances it; that it is noted by
_NO_ROOM = 1 << 16  # bytes free: a full disk
_LOGGED_FAILURES = 20
_MOST_REQUESTS = 100  # named in a receipt
_ANEW = "full render"


class Engine:
    """The builder of one site: catalogue, ledger, output folder and templates, under one lock.

    Args:
        settings: what is built, from what, and where.
        shipped: the folder of the shipped templates.
        keep_others: allow other files in the output folder; they stay as they are.
        new_catalogue: create a new catalogue if it is lost or empty.

    Raises:
        BusyError: another builder holds the lock.
        SettingsError: the catalogue cannot be opened, or is lost; or the output folder holds files
            that it does not own.
        TemplateError: a template is wrong.
    """

    def __init__(
        self,
        settings: Settings,
        shipped: Path,
        *,
        keep_others: bool = False,
        new_catalogue: bool = False,
    ) -> None:
        Output(settings.out).check(keep_others=keep_others)
        self.settings = settings
        self._keeps_others = keep_others
        self._numbers_changed = False  # of events: the catalogue was restored
        self.site = settings.site
        is_new_folder = not settings.state.exists()
        settings.state.mkdir(parents=True, exist_ok=True)
        for file in (settings.state / name for name in _OURS):
            if file.exists() and not file.is_file():  # perhaps a pipe, which would block
                raise SettingsError(
                    f"{file} is not a regular file", hint="move it away: reelshelf uses this name"
                )
        lock, catalogue = settings.state / "build.lock", settings.state / "catalogue.db"
        if _size(lock):  # a lock is empty, and locking truncates the file
            raise SettingsError(f"{lock} is not a lock file of reelshelf", hint="move it away")
        had_catalogue = _size(catalogue) > 0
        self._lock = FileLock(lock)
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise BusyError(
                f"another reelshelf builds the site of {settings.state}",
                hint="wait for it, or stop it (it may be a `reelshelf watch` or `reelshelf dev`)",
            ) from None
        try:
            self.catalogue = Catalogue(
                catalogue, output_mark=settings.out / MARK, anew=new_catalogue
            )
            self.site = replace(self.site, identity=self.catalogue.identity())
            self.ledger = Ledger(settings.state / "ledger.db", is_ours=had_catalogue)
            self.recovery = Recovery(self.ledger, self.catalogue, Output(settings.out))
            self._shipped = shipped
            self.renderer = self._retry_if_damaged(self._renderer)
        except BaseException as error:
            if is_new_folder and isinstance(error, LostCatalogueError):
                with suppress(OSError):  # an empty folder would be in the way of the real one
                    lock.unlink()  # while it is held: nobody else's
                    settings.state.rmdir()
            self._lock.release()
            raise

    @contextmanager
    def storage(self) -> Iterator[None]:
        """Raise an OSError for a full or broken disk, whichever file was affected.

        Raises:
            DamagedError: the catalogue is damaged; or the ledger was, and has been emptied.
        """
        try:
            yield
        except OSError as error:
            if error.filename is None:  # an open file
                error.filename = str(self._full_disk_folder())
            raise
        except SYMPTOMS as error:
            if is_environment_error(error):
                full = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
                code = errno.ENOSPC if full else errno.EIO
                raise OSError(code, str(error), str(self.settings.state)) from error
            damage = self._damage(error)
            if damage is not None:
                raise damage from error
            if isinstance(error, sqlite3.OperationalError):
                raise OSError(errno.EIO, str(error), str(self.settings.state)) from error
            raise

    def _full_disk_folder(self) -> Path:
        """Return which of the folders is on a full disk; `out` if neither or both are."""
        out, state = self.settings.out, self.settings.state
        is_full = {place: _free(place) < _NO_ROOM for place in (out, state)}
        return state if is_full[state] and not is_full[out] else out

    def _damage(self, error: BaseException | None) -> DamagedError | None:
        """Return the damage that an error is a symptom of; empty a damaged ledger."""
        damage = self.ledger.damage(error)
        if damage is None:
            return self.catalogue.damage(error)
        return self._emptied_ledger(damage)

    def _emptied_ledger(self, damage: DamagedError) -> DamagedError:
        self.ledger.start_over()
        return DamagedError(
            str(damage),
            hint="`reelshelf build` rebuilds it from the catalogue, as does the next build of a"
            " running builder; nothing is lost",
            is_rebuilt=True,
        )

    def _retry_if_damaged(self, action: Callable[[], _T]) -> _T:
        """Return the result of `action`; retry once if the ledger was damaged and emptied."""
        try:
            with self.storage():
                return action()
        except DamagedError as error:
            if not error.is_rebuilt:
                raise
            log.warning("%s\n  %s", error, error.hint)
        with self.storage():
            return action()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        damage = self._damage(error)
        self.close()
        if damage is not None:
            raise damage from error

    def close(self) -> None:
        """Close all files and release the lock."""
        with suppress(sqlite3.DatabaseError):  # a full disk: the next scan lists those folders
            self.recovery.note_folders()
        self.catalogue.close()
        self.ledger.close()
        self._lock.release()

    def _renderer(self) -> Renderer:
        settings, site = self.settings, self.site
        frame: dict[str, object] = {
            "title": settings.title,
            "description": settings.description,
            "language": settings.language,
            "base": site.base,
            "api": f"{site.base}/api" if settings.api else None,
            "url": site.origin + site.base,
            "uid": site.uid(),
            "private": settings.private,
            "boards": settings.storyboards,
            "nav": _navigation(site),
        }
        recall = self.ledger.fact
        renderer = Renderer(
            self._shipped, settings.templates, frame, lambda place: recall(_SKELETON + place)
        )
        for warning in renderer.unused():
            log.warning("%s", warning)
        if self.ledger.fact("signature") == renderer.signature:
            renderer.adopt(self.ledger.facts("template/"))
        return renderer

    @property
    def output(self) -> Output:
        """Return the output folder."""
        return self.recovery.output

    @output.setter
    def output(self, output: Output) -> None:
        self.recovery.output = output

    @property
    def files(self) -> OwnedFiles:
        """Return which files of the output folder are owned by this site."""
        return self.recovery.files

    def shows_another_history(self) -> bool:
        """Return whether pages reflect events that the catalogue does not have: it was restored."""
        return self.ledger.fact("cursor_event") != self.catalogue.event_id(self.cursor)

    @property
    def cursor(self) -> int:
        """Return the number of the last event that the pages reflect."""
        return int(self.ledger.fact("cursor") or 0)

    @property
    def template_folders(self) -> tuple[Path, ...]:
        """Return the folders that templates are read from."""
        own = self.settings.templates
        return (self._shipped,) if own is None else (own, self._shipped)

    # -- the route

    def refresh(
        self,
        now: int,
        observe: "Observe | None" = None,
        *,
        full: bool = False,
        verify: bool = False,
    ) -> Receipt:
        """Bring the site up to date, and return a receipt.

        Args:
            now: the current instant; the timestamp of everything recorded.
            observe: scans the library and records what it finds; None: only show what is
                recorded already.
            full: render every page, compare each with its file on the disk, and remove strays.
            verify: check whether files of the site are missing, and make those again.

        Raises:
            ReelshelfError: the site is as it was, or partly updated: the next build ends at the
                same site either way.
            OSError: likewise; the disk is full, or not writable.
        """
        gc.disable()  # a build makes millions of small objects and hardly a cycle
        try:
            return self._retry_if_damaged(
                lambda: self._refresh(now, observe, full=full, verify=verify)
            )
        finally:
            gc.enable()

    def _refresh(self, now: int, observe: "Observe | None", *, full: bool, verify: bool) -> Receipt:
        if full and (damage := self.ledger.damage_found()):  # also where a build does not read
            raise self._emptied_ledger(damage)
        receipt = Receipt(perf_counter, number=self.ledger.next_refresh(), at=now)
        clock = self._redirect_clock(now)
        self.recovery.stamp = ""
        self._reload_templates()
        self.output.prepare(keep_others=self._keeps_others)
        first = not self.ledger.fact("begun")
        was_empty = first and next(self.output.files(), None) is None
        suspects = self.recovery.suspects()
        missing = self.recovery.missing_files() if verify and not suspects.all else frozenset()
        if observe is not None:
            lacks = first or suspects.all or any(map(urls.is_made, missing))
            observe(self, receipt, full=full or lacks)
        with receipt.phase("plan"):
            stale = self._stale_templates()
            self._try_templates(stale)
            if not stale:
                self._store_signature()
            retried = frozenset(self.ledger.failed() if stale or observe is not None else ())
            since, cursor = self._span()
            receipt.events = cursor - since
            differences = self._differences(0 if full or suspects.all else since)
            planned = plan(self.ledger, self.site, differences)
            self._drop_made_files(planned, differences)
            self._drop_unshown_files(planned)
            self._redirect_merged(planned, differences, everything=not since)
            self._expire_redirects(planned, clock)
            everything = full or suspects.all
            plan_old_addresses(
                self.ledger, planned, differences, enabled=self.settings.old_addresses
            )
            plan_suspended(self.ledger, planned, clock, everything=everything or bool(stale))
            until = clock + REDIRECT_S
            plan_host_files(
                self.ledger,
                planned,
                until,
                FOR_GOOD,
                enabled=self.settings.host_files,
                old_addresses=self.settings.old_addresses,
            )
            torn, sound = self.recovery.examine(
                suspects.paths - planned.pages.keys() - planned.gone
            )
            to_render = retried | torn | missing
        run = self._new_run(receipt, suspects.paths)
        if planned.pages or planned.gone or planned.lists or cursor != since:
            self._perform(run, planned, (since, cursor), clock, first=first)
        if everything or stale or to_render:
            selection = PageSelection(all=everything, stale=frozenset(stale), paths=to_render)
            self._render_selected(receipt, cursor, selection, suspects.paths)
        self._sweep(receipt, everything=everything or (first and not was_empty))
        with self.ledger.transaction():
            self.ledger.drop_made_files()
        self.recovery.trust(suspects, sound)
        if verify:
            self.recovery.end_repairs()
        receipt.peak_mb = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
        self._report_failures(receipt)
        return receipt

    def _sweep(self, receipt: Receipt, *, everything: bool) -> None:
        """Delete files that nothing needs any more: all such, or those of a former theme."""
        assets = self.renderer.assets().keys()
        if not everything:
            receipt.removed += self.recovery.delete_former_assets(assets)
            return
        with receipt.phase("sweep"):
            receipt.removed += self.recovery.sweep(assets)

    def preview(self, now: int, catalogue: Catalogue) -> Receipt:
        """Return what a build to another state of the catalogue would do; change nothing."""
        receipt = Receipt(perf_counter, number=self.ledger.next_refresh(), at=now)
        with receipt.phase("plan"):
            since = self.cursor
            planned = plan(self.ledger, self.site, self._differences(since, catalogue))
        receipt.planned = len(planned.pages) + len(planned.redirects)
        receipt.removed = len(planned.gone - planned.redirects.keys())
        for page in planned.pages.values():
            receipt.reasons[page.reason] = receipt.reasons.get(page.reason, 0) + 1
        return receipt

    def seal(self, receipt: Receipt) -> None:
        """Flush the pages to the disk; until then, the next run verifies them after a power cut."""
        with receipt.phase("sync"), self.storage():
            self.output.sync()
            self.recovery.tidy_manifest()
            self.recovery.note_folders()
            with self.ledger.transaction():
                self.ledger.remember("sealed", "1")

    def render_into(self, output: Output, selection: "PageSelection | None" = None) -> RenderRun:
        """Render all or selected pages from the catalogue and the shelves."""
        run = self._new_run(Receipt(number=self.ledger.next_refresh()), frozenset())
        run.output, run.compares, run.claims = output, True, False
        self._render(run, self.catalogue.shown(), selection or PageSelection(all=True))
        return run

    def _render(self, run: RenderRun, videos: Iterable[Video], selection: "PageSelection") -> None:
        library = list(videos)
        render_all_fragments(run, library)
        write_assets(run, self.renderer.assets())
        write_pages(run, list(self._pages(library, selection)))

    def _pages(self, videos: Sequence[Video], selection: "PageSelection") -> Iterator[Page]:
        old = self.settings.old_addresses
        hosts = (
            host_pages(self.ledger, _ANEW, old_addresses=old) if self.settings.host_files else ()
        )
        every = every_page(self.ledger, self.site, videos)
        for page in (*every, *redirect_pages(self.ledger), *hosts):
            if (
                selection.all
                or page.path in selection.paths
                or uses(page.template, selection.stale)
            ):
                yield page

    def _perform(
        self, run: RenderRun, planned: Plan, span: tuple[int, int], clock: int, *, first: bool
    ) -> None:
        receipt, ledger = run.receipt, self.ledger
        if not (planned.pages or planned.gone or planned.lists or planned.shown or first):
            with receipt.phase("commit"), ledger.transaction():
                self._remember(span[1], templates=False)
                self._put_receipt(receipt, span)
            return
        receipt.planned += len(planned.pages) + len(planned.redirects)
        with receipt.phase("render"):
            overlay(run, planned)
            self.recovery.begin_writing([*planned.pages, *planned.redirects, *planned.gone])
            run.is_strict = first
            write_assets(run, self.renderer.assets())
            perform(run, planned)
        with receipt.phase("commit"), ledger.transaction():
            commit(run, planned, clock)
            self._remember(span[1], templates=first)
            self._put_receipt(receipt, span)
        self.output.remove_empty_folders(folders_of(planned.gone))

    def _render_selected(
        self,
        receipt: Receipt,
        cursor: int,
        selection: "PageSelection",
        suspects: frozenset[OutPath],
    ) -> None:
        """Render pages regardless of what was rendered before, after the shelves are committed.

        Uses the committed videos: others may write to the catalogue meanwhile.
        """
        videos = list(self.ledger.all_videos())
        with receipt.phase("render"):
            many = selection.all or selection.stale
            self.recovery.begin_writing([EVERYTHING] if many else sorted(selection.paths))
            run = self._new_run(receipt, suspects)
            run.compares = True
            self._render(run, videos, selection)
        with receipt.phase("commit"), self.ledger.transaction():
            commit_fragments(run, videos)
            commit_pages(run)
            if selection.stale:
                self.ledger.forget(_SKELETON)
            for name in TEMPLATES if selection.all else selection.stale:
                self.ledger.remember(_PLAIN + name, "")
            self._remember(cursor, templates=True)
            self._put_receipt(receipt, (cursor, cursor))

    def _put_receipt(self, receipt: Receipt, span: tuple[int, int]) -> None:
        """Record a receipt, and count it in the totals; called within a transaction.

        A refresh may be recorded twice, the second time with more in its receipt.
        """
        asked = self.catalogue.requests_between(*span, _MOST_REQUESTS)
        receipt.requests = asked or receipt.requests
        content = receipt.as_dict()
        self.ledger.put_refresh(receipt.number, receipt.at, *span, json.dumps(content))
        kept = json.loads(self.ledger.fact(TOTALS) or "{}")
        is_same = kept.get("number") == receipt.number
        before = kept.get("before", {}) if is_same else kept.get("now", {})
        kinds = {} if self._numbers_changed else self.catalogue.kinds_between(*span)
        kinds = kinds or (kept.get("kinds", {}) if is_same else {})
        now = add_refresh(before, content, kinds)
        totals = {"number": receipt.number, "kinds": kinds, "before": before, "now": now}
        self.ledger.remember(TOTALS, json.dumps(totals, separators=(",", ":")))

    def _try_templates(self, stale: set[str]) -> None:
        """Render the pages of changed templates, and write nothing: an error changes nothing.

        Raises:
            TemplateError: a page cannot be rendered with them.
        """
        if not stale:
            return
        run = self._new_run(Receipt(), frozenset())
        videos = list(self.ledger.all_videos())
        render_all_fragments(run, videos)
        for page in self._pages(videos, PageSelection(stale=frozenset(stale))):
            run.renderer.page(page)

    def _report_failures(self, receipt: Receipt) -> None:
        failed = self.ledger.failed()
        receipt.failed = len(failed)
        for path, reason in list(failed.items())[:_LOGGED_FAILURES]:
            receipt.failures[path] = reason
            log.warning("%s keeps its previous content: %s", path, reason)

    def _remember(self, cursor: int, *, templates: bool) -> None:
        """Store what the next build compares with; called within a transaction.

        Args:
            cursor: the last event that the pages reflect.
            templates: every page was rendered with the current templates.
        """
        facts = {
            "cursor": str(cursor),
            "begun": "1",
            "cursor_event": self.catalogue.event_id(cursor),
            "catalogue": self.catalogue.identity(),
            "host_files": "1" if self.settings.host_files else "",
            "old_addresses": "1" if self.settings.old_addresses else "",
        }
        if self.recovery.stamp:
            facts |= {"stamp": self.recovery.stamp, "next_stamp": ""}
        if templates:
            facts |= {f"template/{name}": self.renderer.inputs(name) for name in TEMPLATES}
            facts |= {"version": __version__, "signature": self.renderer.signature}
        facts |= {_PLAIN + name: "1" for name in self.renderer.plain}
        facts |= {_SKELETON + place: text for place, text in self.renderer.learned.items()}
        self.renderer.learned.clear()
        for name, value in facts.items():
            self.ledger.remember(name, value)
        if self._numbers_changed:
            self.ledger.forget_spans()
            self._numbers_changed = False

    def _new_run(self, receipt: Receipt, suspects: frozenset[OutPath]) -> RenderRun:
        fragments = stored_fragments(self.ledger)
        renderer = PageRenderer(self.renderer, self.site, fragments)
        run = RenderRun(self.ledger, self.output, renderer, fragments, receipt, suspects)
        run.by_manifest, run.compares = self.recovery.by_manifest, self.recovery.by_manifest
        run.plain = frozenset(name for name, plain in self.ledger.facts(_PLAIN).items() if plain)
        return run

    # -- what differs

    def _span(self) -> tuple[int, int]:
        """Return the last event that the pages reflect, and the last one recorded."""
        since, cursor = self.cursor, self.catalogue.last_event()
        same = self.ledger.fact("catalogue") in {"", self.catalogue.identity()}
        if not same or self.ledger.fact("cursor_event") != self.catalogue.event_id(since):
            since = 0  # another catalogue, or a restored one: compare everything
            self._numbers_changed = self.cursor > 0
        return since, cursor

    def _differences(self, since: int, catalogue: Catalogue | None = None) -> list[VideoChange]:
        catalogue = catalogue or self.catalogue
        if since:
            ids = catalogue.changed_since(since)
            before = self.ledger.videos(ids)
            after = {video.id: video for video in catalogue.shown(ids)}
        else:
            before = {video.id: video for video in self.ledger.all_videos()}
            after = {video.id: video for video in catalogue.shown()}
        numbers = sorted(before.keys() | after.keys())
        pairs = (VideoChange(before.get(number), after.get(number)) for number in numbers)
        return [pair for pair in pairs if pair.before != pair.after]

    def _drop_made_files(self, planned: Plan, differences: Iterable[VideoChange]) -> None:
        """Plan to delete, after the pages, files made for videos that are not shown any more."""
        for difference in differences:
            before, after = difference.before, difference.after
            if before is not None:
                kept = urls.made_files(after) if after is not None else ()
                planned.gone.update(set(urls.made_files(before)).difference(kept))

    def _drop_unshown_files(self, planned: Plan) -> None:
        """Plan to delete files made for videos since the last build, but not shown.

        One that was interrupted, or stopped by a wrong template, leaves files of videos that are
        hidden or changed again by now.
        """
        for video, paths in groupby(self.ledger.made_files(), key=urls.video_of_made):
            shown = planned.shown.get(video) or next(iter(self.catalogue.shown([video])), None)
            kept = urls.made_files(shown) if shown is not None else ()
            planned.gone.update(set(paths).difference(kept))

    def _redirect_merged(
        self, planned: Plan, differences: Iterable[VideoChange], *, everything: bool
    ) -> None:
        """Redirect, permanently, the pages of copies that were merged into other videos."""
        hidden = {
            change.before.id for change in differences if change.before and change.after is None
        }
        for (video, slug), into in self.catalogue.todo.merged() if everything or hidden else ():
            if everything or video in hidden:
                path = urls.watch_path(video, slug)
                planned.gone.add(path)
                planned.redirects[path] = urls.watch_path(*into)
                planned.lasting.add(path)

    def _redirect_clock(self, now: int) -> int:
        """Return the instant by which redirects expire.

        From one refresh to the next it passes a week at most: one whose clock is far ahead would
        delete them all.
        """
        ledger = self.ledger
        clock, last = (int(ledger.fact(name) or now) for name in (_CLOCK, _CLOCK_AT))
        clock += min(max(now - last, 0), _MAX_STEP_S)
        if not (ledger.fact(_CLOCK) and 0 <= now - last < _CLOCK_STEP_S):
            with ledger.transaction():
                ledger.remember(_CLOCK, str(clock))
                ledger.remember(_CLOCK_AT, str(now))
        return clock

    def _expire_redirects(self, planned: Plan, clock: int) -> None:
        over = set(self.ledger.expired_redirects(clock)) - planned.pages.keys()
        planned.gone |= over - planned.redirects.keys()

    def _stale_templates(self) -> set[str]:
        """Return the templates that changed since their pages were rendered."""
        if self.ledger.fact("version") not in {"", __version__}:
            return set(TEMPLATES)  # their contexts may have changed
        if self.ledger.fact("signature") == self.renderer.signature:
            return set()
        before = self.ledger.facts("template/")
        now = {name: self.renderer.inputs(name) for name in TEMPLATES}
        return {name for name, digest in now.items() if before.get(name, digest) != digest}

    def _store_signature(self) -> None:
        """Record that the pages match the current templates."""
        signature = self.renderer.signature
        if self.ledger.fact("begun") and self.ledger.fact("signature") != signature:
            with self.ledger.transaction():
                self.ledger.remember("signature", signature)

    def _reload_templates(self) -> None:
        if self.renderer.is_outdated():
            self.renderer = self._renderer()


@dataclass(frozen=True, slots=True)
class PageSelection:
    """Which pages to render: all, those of changed templates, or some by path."""

    all: bool = False
    stale: frozenset[str] = frozenset()
    paths: frozenset[OutPath] = frozenset()


class Observe(Protocol):
    """Scans the library and records what it finds."""

    def __call__(self, builder: Engine, receipt: Receipt, *, full: bool) -> None:
        """Scan; with `full`, also make stills again that are missing on the disk."""


def _navigation(site: SiteContext) -> tuple[dict[str, str], ...]:
    best = next(order for order in VIDEO_ORDERS if order.name == "rating")
    links = (
        ("New", urls.scope_path(ALL)),
        ("Top rated", urls.shelf_path(ALL, best, None)),
        ("Favorites", urls.scope_path(FAVORITES)),
        ("Folders", urls.scope_path(LIBRARY)),
        ("Tags", urls.scope_path(TAGS)),
        ("Best of", urls.BEST),
        ("Random", urls.shelf_path(ALL, RANDOM, None)),
    )
    return tuple({"label": label, "url": site.link(path)} for label, path in links)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0
