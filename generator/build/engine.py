"""The one route: observe, record, plan, perform, settle.

A file event, a rating, a first build and an import all come through `Engine.refresh`; there is no
second way to cause a page to be written.
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
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Protocol, Self, TypeVar

from filelock import FileLock, Timeout

from generator import __version__
from generator.adapters.catalogue import Catalogue
from generator.adapters.ledger import Ledger
from generator.adapters.output import Output
from generator.adapters.renderer import Renderer
from generator.adapters.settings import Settings
from generator.adapters.sqlite_check import SYMPTOMS, is_environment_error
from generator.build.recovery import EVERYTHING, Recovery, folders_of
from generator.core.delivery.folder_marks import MARK
from generator.core.errors import BusyError, DamagedError, SettingsError
from generator.core.model import OutPath, Video
from generator.core.receipt import Receipt
from generator.core.site import urls
from generator.core.site.contexts import SiteContext
from generator.core.site.orders import RANDOM, VIDEO_ORDERS
from generator.core.site.pages import Page
from generator.core.site.scopes import ALL, FAVORITES, LIBRARY, TAGS, VideoChange
from generator.plan import (
    FOR_GOOD,
    Plan,
    every_page,
    host_pages,
    plan,
    plan_host_files,
    plan_resting,
)
from generator.render.owned_files import OwnedFiles
from generator.render.pages import TEMPLATES, PageRenderer, uses
from generator.render.perform import (
    FORWARD_S,
    RenderRun,
    commit,
    forward_pages,
    overlay,
    perform,
    settle_pages,
    settle_pieces,
    stored_library,
    whole_library,
    write_assets,
    write_pages,
)

log = logging.getLogger(__name__)
_T = TypeVar("_T")

_OURS = ("build.lock", "catalogue.db", "ledger.db", "under-way.txt")
_SKELETON = "skeleton/"  # of templates, by what they are made of
_PLAIN = "plain/"  # templates whose pages are not only filled
_NO_ROOM = 1 << 16  # bytes
_TOLD = 20  # failures, one by one
_ANEW = "everything is rendered anew"


class Engine:
    """One site's builder: its catalogue, ledger, output folder and templates, held by one lock.

    Args:
        settings: what is built, from what, and where.
        shipped: the folder of our templates.
        adopt: other files may be in the output folder; they stay as they are.
        new_catalogue: a catalogue that is lost or empty is begun anew.

    Raises:
        BusyError: another builder holds them.
        SettingsError: the catalogue cannot be opened, or is lost; or the output folder holds files
            that are not ours.
        TemplateError: a template is wrong.
    """

    def __init__(
        self,
        settings: Settings,
        shipped: Path,
        *,
        adopt: bool = False,
        new_catalogue: bool = False,
    ) -> None:
        Output(settings.out).check(adopt=adopt)
        self.settings = settings
        self._adopts = adopt
        self.site = settings.site
        settings.state.mkdir(parents=True, exist_ok=True)
        for file in (settings.state / name for name in _OURS):
            if file.exists() and not file.is_file():  # a pipe, perhaps, which nobody ever fills
                raise SettingsError(f"{file} is no file", hint="move it away: its name is ours")
        lock, catalogue = settings.state / "build.lock", settings.state / "catalogue.db"
        if _size(lock):  # ours is empty, and taking it would empty this one
            raise SettingsError(f"{lock} is no lock of ours", hint="move it away")
        had_catalogue = _size(catalogue) > 0
        self._lock = FileLock(lock)
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise BusyError(
                f"another reelshelf builds the site of {settings.state}",
                hint="wait for it, or stop it (a `reelshelf watch` or `reelshelf dev`, perhaps)",
            ) from None
        try:
            self.catalogue = Catalogue(
                catalogue, output_mark=settings.out / MARK, anew=new_catalogue
            )
            self.site = replace(self.site, identity=self.catalogue.identity())
            self.ledger = Ledger(settings.state / "ledger.db", is_ours=had_catalogue)
            self.recovery = Recovery(self.ledger, self.catalogue, Output(settings.out))
            self._shipped = shipped
            self.renderer = self._without_damage(self._renderer)
        except BaseException:
            self._lock.release()
            raise

    @contextmanager
    def storage(self) -> Iterator[None]:
        """Tell of a disk that is full or broken alike, whichever file met it: as an OSError.

        Raises:
            DamagedError: the catalogue is damaged; or the ledger was, and is begun anew.
        """
        try:
            yield
        except OSError as error:
            if error.filename is None:  # a file that was open
                error.filename = str(self._place_without_room())
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

    def _place_without_room(self) -> Path:
        """Return which of our folders is on a full disk; if neither or both are, `out`."""
        out, state = self.settings.out, self.settings.state
        is_full = {place: _free(place) < _NO_ROOM for place in (out, state)}
        return state if is_full[state] and not is_full[out] else out

    def _damage(self, error: BaseException | None) -> DamagedError | None:
        """Return what damage an error is a symptom of; a damaged ledger is emptied."""
        damage = self.ledger.damage(error)
        if damage is None:
            return self.catalogue.damage(error)
        return self._begun_anew(damage)

    def _begun_anew(self, damage: DamagedError) -> DamagedError:
        self.ledger.begin_anew()
        return DamagedError(
            str(damage),
            hint="it is made anew from the catalogue by the next refresh; nothing is lost",
            begun_anew=True,
        )

    def _without_damage(self, deed: Callable[[], _T]) -> _T:
        """Return what `deed` gives; once more if it met a ledger that has to be made anew."""
        try:
            with self.storage():
                return deed()
        except DamagedError as error:
            if not error.begun_anew:
                raise
            log.warning("%s\n  %s", error, error.hint)
        with self.storage():
            return deed()

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
        """Let go of everything."""
        with suppress(sqlite3.DatabaseError):  # a full disk: the next look lists those folders
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
            "boards": settings.storyboards,
            "nav": _navigation(site),
        }
        recall = self.ledger.fact
        renderer = Renderer(
            self._shipped, settings.templates, frame, lambda place: recall(_SKELETON + place)
        )
        for told in renderer.unused():
            log.warning("%s", told)
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
        """Return which files of the output folder are ours."""
        return self.recovery.files

    @property
    def cursor(self) -> int:
        """Return the number of the last event that the pages show."""
        return int(self.ledger.fact("cursor") or 0)

    @property
    def template_folders(self) -> tuple[Path, ...]:
        """Return where templates are read from."""
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
        """Bring the site up to date, and return the account of it.

        Args:
            now: the current instant; every time that is recorded is this one.
            observe: looks at the library and records what it finds; None: only what is recorded
                already is shown.
            full: render every page, compare each with what lies on the disk, and remove strays.
            verify: look whether files of the site are missing, and make those anew.

        Raises:
            ReelshelfError: the site is as it was, or in part already as it will be: the next
                refresh ends at the same site either way.
            OSError: likewise; the disk is full, or not writable.
        """
        gc.disable()  # a refresh makes millions of small values and hardly a cycle
        try:
            return self._without_damage(
                lambda: self._refresh(now, observe, full=full, verify=verify)
            )
        finally:
            gc.enable()

    def _refresh(self, now: int, observe: "Observe | None", *, full: bool, verify: bool) -> Receipt:
        if full and (damage := self.ledger.damage_found()):  # also where no refresh reads
            raise self._begun_anew(damage)
        receipt = Receipt(perf_counter, number=self.ledger.next_refresh(), at=now)
        self.recovery.stamp = ""
        self._reload_templates()
        self.output.prepare(adopt=self._adopts)
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
                self._keep_signature()
            retried = frozenset(self.ledger.failed() if stale or observe is not None else ())
            since, cursor = self._span()
            receipt.events = cursor - since
            differences = self._differences(0 if full or suspects.all else since)
            planned = plan(self.ledger, self.site, differences)
            self._drop_made(planned, differences)
            self._lead_on(planned, differences, everything=not since)
            self._expire_forwards(planned, now)
            plan_resting(self.ledger, self.site, planned, now)
            wants = self.settings.host_files
            until = now + FORWARD_S
            plan_host_files(self.ledger, planned, until, FOR_GOOD, wanted=wants)
            torn, sound = self.recovery.examine(
                suspects.paths - planned.pages.keys() - planned.gone
            )
            everything = full or suspects.all
            anew = retried | torn | missing
        work = self._work(receipt, suspects.paths)
        if planned.pages or planned.gone or planned.lists or cursor != since:
            self._perform(work, planned, (since, cursor), first=first)
        if everything or stale or anew:
            which = PageSelection(all=everything, stale=frozenset(stale), paths=anew)
            self._render_anew(receipt, cursor, which, suspects.paths)
        if everything or (first and not was_empty):
            with receipt.phase("sweep"):
                receipt.removed += self.recovery.sweep(self.renderer.assets().keys())
        self.recovery.trust(suspects, sound)
        receipt.peak_mb = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
        self._tell_failures(receipt)
        return receipt

    def preview(self, now: int, catalogue: Catalogue) -> Receipt:
        """Return what a refresh to another state of the catalogue would do; do nothing."""
        receipt = Receipt(perf_counter, number=self.ledger.next_refresh(), at=now)
        with receipt.phase("plan"):
            since = self.cursor
            planned = plan(self.ledger, self.site, self._differences(since, catalogue))
        receipt.planned = len(planned.pages) + len(planned.forwards)
        receipt.removed = len(planned.gone - planned.forwards.keys())
        for page in planned.pages.values():
            receipt.reasons[page.reason] = receipt.reasons.get(page.reason, 0) + 1
        return receipt

    def seal(self, receipt: Receipt) -> None:
        """Bring the pages to the disk itself; until then a power cut makes the next run verify."""
        with receipt.phase("sync"), self.storage():
            self.output.sync()
            self.recovery.tidy_manifest()
            self.recovery.note_folders()
            with self.ledger.transaction():
                self.ledger.remember("sealed", "1")

    def render_into(self, output: Output, which: "PageSelection | None" = None) -> RenderRun:
        """Render all pages, or some, from the catalogue and the shelves."""
        work = self._work(Receipt(number=self.ledger.next_refresh()), frozenset())
        work.output, work.compares = output, True
        self._render(work, self.catalogue.shown(), which or PageSelection(all=True))
        return work

    def _render(self, work: RenderRun, videos: Iterable[Video], which: "PageSelection") -> None:
        known = list(videos)
        whole_library(work, known)
        write_assets(work, self.renderer.assets())
        write_pages(work, list(self._pages(known, which)))

    def _pages(self, videos: Sequence[Video], which: "PageSelection") -> Iterator[Page]:
        hosts = host_pages(self.ledger, _ANEW) if self.settings.host_files else ()
        every = every_page(self.ledger, self.site, videos)
        for page in (*every, *forward_pages(self.ledger), *hosts):
            if which.all or page.path in which.paths or uses(page.template, which.stale):
                yield page

    def _perform(
        self, work: RenderRun, planned: Plan, span: tuple[int, int], *, first: bool
    ) -> None:
        receipt, ledger = work.receipt, self.ledger
        if not (planned.pages or planned.gone or planned.lists or planned.shown or first):
            with receipt.phase("settle"), ledger.transaction():
                self._remember(span[1], templates=False)
                ledger.settle(receipt.number, receipt.at, *span, json.dumps(receipt.told()))
            return
        receipt.planned += len(planned.pages) + len(planned.forwards)
        with receipt.phase("render"):
            overlay(work, planned)
            self.recovery.begin_writing([*planned.pages, *planned.forwards, *planned.gone])
            work.is_strict = first
            write_assets(work, self.renderer.assets())
            perform(work, planned)
        with receipt.phase("settle"), ledger.transaction():
            commit(work, planned, receipt.at)
            self._remember(span[1], templates=first)
            ledger.settle(receipt.number, receipt.at, *span, json.dumps(receipt.told()))
        self.output.remove_empty_folders(folders_of(planned.gone))

    def _render_anew(
        self, receipt: Receipt, cursor: int, which: "PageSelection", suspects: frozenset[OutPath]
    ) -> None:
        """Render pages whatever was rendered before, once the shelves are settled.

        Of the videos as they were settled: others may write to the catalogue meanwhile.
        """
        videos = list(self.ledger.all_videos())
        with receipt.phase("render"):
            many = which.all or which.stale
            self.recovery.begin_writing([EVERYTHING] if many else sorted(which.paths))
            work = self._work(receipt, suspects)
            work.compares = True
            self._render(work, videos, which)
        with receipt.phase("settle"), self.ledger.transaction():
            settle_pieces(work, videos)
            settle_pages(work)
            if which.stale:
                self.ledger.forget(_SKELETON)
            for name in TEMPLATES if which.all else which.stale:
                self.ledger.remember(_PLAIN + name, "")
            self._remember(cursor, templates=True)
            told = json.dumps(receipt.told())
            self.ledger.settle(receipt.number, receipt.at, cursor, cursor, told)

    def _try_templates(self, stale: set[str]) -> None:
        """Paint what changed templates are for, and write nothing: an error leaves all as it is.

        Raises:
            TemplateError: a page cannot be painted with them.
        """
        if not stale:
            return
        work = self._work(Receipt(), frozenset())
        videos = list(self.ledger.all_videos())
        whole_library(work, videos)
        for page in self._pages(videos, PageSelection(stale=frozenset(stale))):
            work.painter.page(page)

    def _tell_failures(self, receipt: Receipt) -> None:
        failed = self.ledger.failed()
        receipt.failed = len(failed)
        for path, reason in list(failed.items())[:_TOLD]:
            receipt.failures[path] = reason
            log.warning("%s keeps its former content: %s", path, reason)

    def _remember(self, cursor: int, *, templates: bool) -> None:
        """Keep what the next refresh compares with; called within a transaction.

        Args:
            cursor: the last event that the pages show.
            templates: every page shows the templates as they are now.
        """
        facts = {
            "cursor": str(cursor),
            "begun": "1",
            "cursor_event": self.catalogue.event_id(cursor),
            "catalogue": self.catalogue.identity(),
            "host_files": "1" if self.settings.host_files else "",
        }
        if self.recovery.stamp:
            facts |= {"stamp": self.recovery.stamp, "next_stamp": ""}
        if templates:
            facts |= {f"template/{name}": self.renderer.inputs(name) for name in TEMPLATES}
            facts |= {"version": __version__, "signature": self.renderer.signature}
        facts |= {_PLAIN + name: "1" for name in self.renderer.plain}
        facts |= {_SKELETON + place: told for place, told in self.renderer.learned.items()}
        self.renderer.learned.clear()
        for name, value in facts.items():
            self.ledger.remember(name, value)

    def _work(self, receipt: Receipt, suspects: frozenset[OutPath]) -> RenderRun:
        library = stored_library(self.ledger)
        painter = PageRenderer(self.renderer, self.site, library)
        work = RenderRun(self.ledger, self.output, painter, library, receipt, suspects)
        work.by_manifest, work.compares = self.recovery.by_manifest, self.recovery.by_manifest
        work.plain = frozenset(name for name, plain in self.ledger.facts(_PLAIN).items() if plain)
        return work

    # -- what differs

    def _span(self) -> tuple[int, int]:
        """Return the last event that the pages show, and the last one there is."""
        since, cursor = self.cursor, self.catalogue.last_event()
        same = self.ledger.fact("catalogue") in {"", self.catalogue.identity()}
        if not same or self.ledger.fact("cursor_event") != self.catalogue.event_id(since):
            since = 0  # another catalogue, or one from a backup: compare everything
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

    def _drop_made(self, planned: Plan, differences: Iterable[VideoChange]) -> None:
        """Let what was made of videos and is not shown any more go, after the pages."""
        for difference in differences:
            before, after = difference.before, difference.after
            if before is not None:
                kept = urls.made_files(after) if after is not None else ()
                planned.gone.update(set(urls.made_files(before)).difference(kept))

    def _lead_on(
        self, planned: Plan, differences: Iterable[VideoChange], *, everything: bool
    ) -> None:
        """Let the pages of copies that became part of other videos lead there, for good."""
        hidden = {one.before.id for one in differences if one.before and one.after is None}
        for (video, slug), into in self.catalogue.longer.merged() if everything or hidden else ():
            if everything or video in hidden:
                path = urls.watch_path(video, slug)
                planned.gone.add(path)
                planned.forwards[path] = self.site.link(urls.watch_path(*into))
                planned.lasting.add(path)

    def _expire_forwards(self, planned: Plan, now: int) -> None:
        over = set(self.ledger.forwards_until(now)) - planned.pages.keys()
        planned.gone |= over - planned.forwards.keys()

    def _stale_templates(self) -> set[str]:
        """Return the templates whose text changed since their pages were rendered."""
        if self.ledger.fact("version") not in {"", __version__}:
            return set(TEMPLATES)  # their contexts may be others
        if self.ledger.fact("signature") == self.renderer.signature:
            return set()
        before = self.ledger.facts("template/")
        now = {name: self.renderer.inputs(name) for name in TEMPLATES}
        return {name for name, digest in now.items() if before.get(name, digest) != digest}

    def _keep_signature(self) -> None:
        """Remember that the templates as they are now make the pages as they are."""
        signature = self.renderer.signature
        if self.ledger.fact("begun") and self.ledger.fact("signature") != signature:
            with self.ledger.transaction():
                self.ledger.remember("signature", signature)

    def _reload_templates(self) -> None:
        if self.renderer.is_outdated():
            self.renderer = self._renderer()


@dataclass(frozen=True, slots=True)
class PageSelection:
    """Which pages to render: all, those of changed templates, and some by their paths."""

    all: bool = False
    stale: frozenset[str] = frozenset()
    paths: frozenset[OutPath] = frozenset()


class Observe(Protocol):
    """What looks at the library and records what it finds."""

    def __call__(self, builder: Engine, receipt: Receipt, *, full: bool) -> None:
        """Look; `full` asks for stills that are not on the disk, too."""


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
