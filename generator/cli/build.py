"""`init`, `build` and `watch`: bring the site up to date, once or as long as it is wanted."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from generator.adapters.catalogue import Catalogue
from generator.adapters.heartbeat_file import add_disk_sample
from generator.adapters.settings import FILE, Settings, commented
from generator.build.engine import Engine
from generator.cli.help import START, renamed_flag
from generator.cli.options import (
    AcceptLoss,
    Adopt,
    Config,
    Folders,
    Jobs,
    Json,
    KeepOthers,
    Library,
    NewCatalogue,
    Nice,
    Out,
    Verbose,
    app,
    engine_of,
    now,
    settings_of,
    show,
    start_log,
    stoppable,
    tell_line,
    tell_of_no_video,
    tell_receipt,
    watching_on,
    workers_of,
)
from generator.cli.progress import progress_bar
from generator.cli.terminal import out
from generator.core import formatting
from generator.core.build_receipt import Receipt
from generator.core.delivery.publish_plan import is_loopback_origin
from generator.core.errors import ReelshelfError, SettingsError
from generator.scan.observe import LibraryScan
from generator.scan.probe import DryRunWorkers
from generator.watch.background_jobs import Backlog
from generator.watch.compression import compress_all

log = logging.getLogger(__name__)

_LOOK_S = 0.5  # how often work that takes longer is looked at
_SHOW_S = 30.0  # and how often the pages show what came of it


@app.command(rich_help_panel=START)
def init(
    folder: Annotated[Path, typer.Argument(help="Where the settings file goes.")] = Path(),
    as_json: Json = False,
) -> None:
    """Write a commented settings file, reelshelf.toml."""
    file = folder / FILE
    if file.exists() or file.is_symlink():
        raise SettingsError(f"{file} already exists", hint="edit it, or move it away first")
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(commented(), encoding="utf-8")
    show(
        as_json,
        {"written": str(file)},
        f'wrote {file}: its library is the folder "videos"; change that to yours,'
        " then run `reelshelf build`",
    )


@app.command(rich_help_panel=START)
def build(
    folders: Folders = None,
    library: Library = None,
    out_folder: Out = None,
    config: Config = None,
    full: Annotated[
        bool, typer.Option("--full", help="Render every page and compare it with the disk.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done; change nothing.")
    ] = False,
    accept_loss: AcceptLoss = False,
    keep_others: KeepOthers = False,
    adopt: Adopt = False,
    new_catalogue: NewCatalogue = False,
    no_compress: Annotated[
        bool, typer.Option("--no-compress", help="Skip the .gz and .br copies of pages.")
    ] = False,
    pages_only: Annotated[
        bool, typer.Option("--pages-only", help="Skip storyboards and playable copies.")
    ] = False,
    jobs: Jobs = None,
    nice: Nice = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Bring the site up to date once, and print the receipt."""
    keep_others = renamed_flag("--adopt", "--keep-others", old_value=adopt, new_value=keep_others)
    settings = settings_of(
        config, [*(library or ()), *(folders or ())], out_folder, jobs=jobs, nice=nice
    )
    start_log(verbose=verbose, as_json=as_json)
    with (
        stoppable(),
        engine_of(settings, keep_others=keep_others, new_catalogue=new_catalogue) as engine,
    ):
        if dry_run:
            receipt = _dry_run(engine, settings, accept_loss=accept_loss)
            tell_receipt(receipt, as_json=as_json, dry=True)
            tell_of_no_video(settings, receipt)
            return
        with workers_of(settings) as workers, progress_bar(as_json=as_json) as progress:
            look = LibraryScan(settings, workers, time.time, pause=time.sleep)
            look.accept_loss, look.progress = accept_loss, progress
            receipt = engine.refresh(now(), look, full=full, verify=True)
        engine.seal(receipt)
        _warn_of_loopback(settings)
        if not as_json:  # the site is complete: what follows may be stopped at any moment
            tell_receipt(receipt, as_json=False)
        tell_of_no_video(settings, receipt)
        if settings.compress != "off" and not no_compress:
            _compress(engine, receipt, as_json=as_json)
        if not pages_only:
            _work_off(engine, settings, receipt, as_json=as_json)
        while engine.catalogue.compact(now(), engine.cursor):
            pass
        add_disk_sample(settings.state, now())
        receipt.problems = len(engine.catalogue.problems())
        receipt.unplayable = engine.catalogue.todo.count_unplayable()
    _tell_rest(receipt, as_json=as_json)
    if receipt.problems or receipt.failed:
        raise typer.Exit(1)


def _tell_rest(receipt: Receipt, *, as_json: bool) -> None:
    """Print what is known only at the very end; in JSON all of it is in the receipt."""
    if as_json:
        tell_receipt(receipt, as_json=True)
        return
    if receipt.unplayable:
        count = formatting.counted(receipt.unplayable, "video")
        out.print(
            f"playing  {count} may not play in every browser:"
            " `reelshelf renditions` lists what would help"
        )
    if receipt.problems:
        count = formatting.counted(receipt.problems, "problem")
        out.print(f"{count}; run `reelshelf problems` for the list")


def _warn_of_loopback(settings: Settings) -> None:
    if settings.host_files and is_loopback_origin(settings.site.origin):
        log.warning(
            "robots.txt, the sitemap, the feeds and canonical links contain %s: set site_url to"
            " the address of the site before you upload it",
            settings.site_url,
        )


def _work_off(engine: Engine, settings: Settings, receipt: Receipt, *, as_json: bool) -> None:
    """Run the background jobs; the pages that show their results are written in batches."""
    finished = threading.Event()
    with (
        receipt.phase("background"),
        Backlog(settings, finished.set) as backlog,
        progress_bar(as_json=as_json) as progress,
    ):
        total = backlog.left(engine.catalogue)
        shown_s = time.monotonic()
        while backlog.enqueue(engine.catalogue):
            finished.wait(_LOOK_S)
            finished.clear()
            with engine.storage():
                backlog.record(engine.catalogue, engine.files, now())
            if total:
                progress("storyboards", min(backlog.enriched, total), total)
            _tell_copy(backlog, progress)
            if time.monotonic() - shown_s >= _SHOW_S:
                receipt.add(engine.refresh(now()))
                shown_s = time.monotonic()
        if backlog.enriched or backlog.rendered:
            receipt.add(engine.refresh(now()))
            engine.seal(receipt)
    if not as_json and (backlog.enriched or backlog.rendered):
        out.print(
            f"background  {formatting.counted(backlog.enriched, 'storyboard')},"
            f" {formatting.counted(backlog.rendered, 'playable copy', 'playable copies')} in"
            f" {receipt.seconds['background']:.2f} s"
        )


def _tell_copy(backlog: Backlog, progress: Callable[[str, int, int], None]) -> None:
    """Show the progress of the rendition being made, in seconds of video."""
    scanned = backlog.progress
    if scanned is not None:
        progress("playable copy (seconds)", round(scanned.done_s), round(scanned.total_s or 0))


def _compress(engine: Engine, receipt: Receipt, *, as_json: bool) -> None:
    with receipt.phase("compress"), progress_bar(as_json=as_json) as progress:
        done = compress_all(engine.ledger, engine.output, lambda n: progress("compressed", n, 0))
    if done and not as_json:
        count = formatting.counted(done, "page")
        out.print(f"copies   {count} compressed in {receipt.seconds['compress']:.2f} s")


def _dry_run(engine: Engine, settings: Settings, *, accept_loss: bool) -> Receipt:
    """Scan into a copy of the catalogue, and plan the pages for it."""
    twin = engine.catalogue.copy()
    scanned = Receipt(time.perf_counter)
    look = LibraryScan(settings, DryRunWorkers(), time.time, accept_loss=accept_loss)
    look(_Twin(twin, engine), scanned, full=False)
    receipt = engine.preview(now(), twin)
    for name in (
        "walked",
        "found",
        "changed",
        "moved",
        "missing",
        "returned",
        "dropped",
        "refused",
    ):
        setattr(receipt, name, getattr(scanned, name))
    receipt.still_copied = scanned.still_copied
    receipt.seconds = {**scanned.seconds, **receipt.seconds}
    return receipt


class _Twin:
    """A scan target that records into a copy of the catalogue and writes no stills."""

    def __init__(self, catalogue: Catalogue, engine: Engine) -> None:
        self.catalogue, self.output, self.files = catalogue, engine.output, engine.files


@app.command(rich_help_panel=START)
def watch(
    folders: Folders = None,
    library: Library = None,
    out_folder: Out = None,
    config: Config = None,
    accept_loss: AcceptLoss = False,
    keep_others: KeepOthers = False,
    adopt: Adopt = False,
    new_catalogue: NewCatalogue = False,
    jobs: Jobs = None,
    nice: Nice = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Build, then build again whenever the library changes. Stop it with Ctrl-C."""
    keep_others = renamed_flag("--adopt", "--keep-others", old_value=adopt, new_value=keep_others)

    def read() -> Settings:
        return settings_of(
            config, [*(library or ()), *(folders or ())], out_folder, jobs=jobs, nice=nice
        )

    settings = read()
    former: Settings | None = None  # those that the site was built with
    start_log(verbose=verbose, as_json=as_json)
    with suppress(KeyboardInterrupt):  # how it is meant to be stopped
        while True:  # until the settings change; then with those
            try:
                with (
                    engine_of(
                        settings, keep_others=keep_others, new_catalogue=new_catalogue
                    ) as engine,
                    watching_on(engine, settings) as watching,
                ):
                    watching.accept_loss = accept_loss
                    watching.config = config or Path(FILE).absolute()
                    watching.has_built = settings is former
                    for number, receipt in enumerate(watching.receipts()):
                        former = settings
                        tell_line(receipt, as_json=as_json)
                        if not number:  # the only one that is sure to have looked at everything
                            tell_of_no_video(settings, receipt)
            except (ReelshelfError, OSError) as error:
                if former is None or settings is former:
                    raise
                _stay(error)
                settings = former
            else:
                settings = _reread(settings, read)


def _stay(error: ReelshelfError | OSError) -> None:
    log.warning("%s\n  keeping the previous settings; %s", error, getattr(error, "hint", ""))


def _reread(former: Settings, read: Callable[[], Settings]) -> Settings:
    """Reload the settings; keep the former ones while the file has errors."""
    try:
        return read()
    except SettingsError as error:
        _stay(error)
        return former
