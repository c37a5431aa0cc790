"""The command line: arguments become settings, settings an engine; the only room that prints.

Exit codes: 0 done, 1 done with problems, 2 bad use or settings.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from generator.adapters.catalogue import Catalogue
from generator.adapters.ledger import Ledger, PageRow
from generator.adapters.media import MediaWorkers
from generator.adapters.settings import FILE, Settings, commented, load
from generator.core import addresses, wording
from generator.core.errors import ReelshelfError, SettingsError
from generator.core.model import Place, VideoId
from generator.core.nginx import config as nginx_config
from generator.core.receipt import Receipt
from generator.devserver import DevServer
from generator.engine import Engine
from generator.observing import Guesses, Observation
from generator.packing import pack_all
from generator.watch import Watch

app = typer.Typer(
    help="A folder of videos becomes a complete static site.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
out, err = Console(soft_wrap=True, highlight=False), Console(stderr=True, highlight=False)

Library = Annotated[
    list[Path] | None,
    typer.Option("--library", "-l", help="A folder of videos; may be given several times."),
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Where the site is written.")]
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help=f"The settings file [default: ./{FILE} if there is one]."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")]
AcceptLoss = Annotated[
    bool,
    typer.Option("--accept-loss", help="Believe the scan even if much of the library is gone."),
]


def main() -> None:
    """Run the command line; expected errors are told in a line or two, without a traceback."""
    try:
        app()
    except ReelshelfError as error:
        _fail(str(error), error.hint, error.exit_code)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        _fail(
            f"cannot go on:{where} {error.strerror or error}",
            "what is on the disk is whole; run the same command again when this is mended",
            1,
        )


def _fail(message: str, hint: str, code: int) -> None:
    if "--json" in sys.argv:
        print(json.dumps({"error": message, "hint": hint}))  # noqa: T201 (this is the output)
    else:
        err.print(f"reelshelf: {message}", markup=False, soft_wrap=True)
        if hint:
            err.print(f"  {hint}", markup=False, soft_wrap=True)
    sys.exit(code)


@app.callback(invoke_without_command=True)
def reelshelf(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Tell the version and end.")] = False,
) -> None:
    """Make a complete static site of a folder of videos."""
    if version:
        out.print(f"reelshelf {metadata.version('reelshelf')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        out.print(context.get_help(), markup=False)
        raise typer.Exit(2)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where the settings file goes.")] = Path(),
    as_json: Json = False,
) -> None:
    """Write a commented settings file, reelshelf.toml."""
    file = folder / FILE
    if file.exists():
        raise SettingsError(f"{file} is there already", hint="edit it, or move it away first")
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(commented(), encoding="utf-8")
    _print(
        as_json,
        {"written": str(file)},
        f"wrote {file}: name your library in it, then `reelshelf build`",
    )


@app.command()
def build(
    library: Library = None,
    out_folder: Out = None,
    config: Config = None,
    full: Annotated[
        bool, typer.Option("--full", help="Render every page and compare it with the disk.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be done; change nothing.")
    ] = False,
    accept_loss: AcceptLoss = False,
    no_compress: Annotated[
        bool, typer.Option("--no-compress", help="Make no .gz and .br copies after the pages.")
    ] = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Bring the site up to date once, and print the receipt."""
    settings = _settings(config, library, out_folder)
    _log(verbose=verbose, as_json=as_json)
    with _stoppable(), Engine(settings, shipped("templates")) as engine:
        if dry_run:
            receipt = _dry_run(engine, settings, accept_loss=accept_loss)
            _tell(receipt, as_json=as_json, dry=True)
            return
        with (
            MediaWorkers(
                jobs=settings.workers,
                time_limit_s=settings.file_limit_s,
                memory_mb=settings.file_memory_mb,
            ) as workers,
            _progress(as_json=as_json) as progress,
        ):
            look = Observation(settings, workers, time.time, pause=time.sleep)
            look.accept_loss, look.progress = accept_loss, progress
            receipt = engine.refresh(_now(), look, full=full)
        engine.seal(receipt)
        if not as_json:  # the site is complete: what follows may be stopped at any moment
            _tell(receipt, as_json=False)
        if settings.compress != "off" and not no_compress:
            _compress(engine, receipt, as_json=as_json)
        receipt.problems = len(engine.catalogue.problems())
        if as_json:
            _tell(receipt, as_json=True)
    if receipt.problems:
        if not as_json:
            out.print(
                f"{receipt.problems} problem(s): `reelshelf problems` tells them", markup=False
            )
        raise typer.Exit(1)


def _compress(engine: Engine, receipt: Receipt, *, as_json: bool) -> None:
    with receipt.phase("compress"), _progress(as_json=as_json) as progress:
        done = pack_all(engine.ledger, engine.output, lambda n: progress("compressed", n, 0))
    if done and not as_json:
        out.print(f"copies   {done} pages compressed in {receipt.seconds['compress']:.2f} s")


def _dry_run(engine: Engine, settings: Settings, *, accept_loss: bool) -> Receipt:
    """Record what a scan would find in a copy of the catalogue, and plan for that."""
    twin = engine.catalogue.copy()
    told = Receipt(time.perf_counter)
    look = Observation(settings, Guesses(), time.time, accept_loss=accept_loss)
    look(_Twin(twin, engine), told, full=False)
    receipt = engine.preview(_now(), twin)
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
        setattr(receipt, name, getattr(told, name))
    receipt.still_copied = told.still_copied
    receipt.seconds = {**told.seconds, **receipt.seconds}
    return receipt


class _Twin:
    """A builder that records into a copy and writes no stills (guesses have none)."""

    def __init__(self, catalogue: Catalogue, engine: Engine) -> None:
        self.catalogue, self.output = catalogue, engine.output


def _tell(receipt: Receipt, *, as_json: bool, dry: bool = False) -> None:
    if as_json:
        print(json.dumps({**receipt.told(), "dry_run": dry}))  # noqa: T201 (this is the output)
    else:
        out.print("\n".join(_told(receipt, dry=dry)), markup=False)


def _told(receipt: Receipt, *, dry: bool) -> Iterator[str]:
    counts = {
        "found": receipt.found, "changed": receipt.changed, "moved": receipt.moved,
        "missing": receipt.missing, "returned": receipt.returned, "removed": receipt.dropped,
        "refused": receipt.refused, "still being copied": receipt.still_copied,
    }  # fmt: skip
    differing = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    yield f"videos   {receipt.walked} files seen; {differing or 'nothing changed'}"
    if dry:
        yield f"pages    {receipt.planned} to render, {receipt.removed} to remove (nothing done)"
    else:
        yield (
            f"pages    {receipt.written} written ({wording.file_size(receipt.bytes_written)}),"
            f" {receipt.unchanged} unchanged, {receipt.removed} removed"
        )
    for reason, count in sorted(receipt.reasons.items(), key=lambda item: -item[1]):
        yield f"           {count:>7}  {reason}"
    times = ", ".join(f"{name} {value:.2f}" for name, value in receipt.seconds.items())
    yield f"seconds  {receipt.total_s:.2f} ({times})"
    if not dry:
        yield f"memory   {receipt.peak_mb:.0f} MB at most"


@app.command()
def watch(
    library: Library = None,
    out_folder: Out = None,
    config: Config = None,
    accept_loss: AcceptLoss = False,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Build, then build again whenever the library changes. Stop it with Ctrl-C."""
    settings = _settings(config, library, out_folder)
    _log(verbose=verbose, as_json=as_json)
    with Engine(settings, shipped("templates")) as engine, _watch(engine, settings) as watching:
        watching.accept_loss = accept_loss
        with suppress(KeyboardInterrupt):  # how it is meant to be stopped
            for receipt in watching.receipts():
                _line(receipt, as_json=as_json)


@app.command()
def dev(
    library: Library = None,
    out_folder: Out = None,
    config: Config = None,
    port: Annotated[int, typer.Option(help="The port to serve at.")] = 8000,
    host: Annotated[str, typer.Option(help="The address to serve at.")] = "127.0.0.1",
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Serve the site, rebuild it on every change, and reload open pages. Stop it with Ctrl-C."""
    settings = _settings(config, library, out_folder)
    _log(verbose=verbose, as_json=as_json)
    from threading import Thread  # noqa: PLC0415 (only here is there a second thread)

    server = DevServer(
        settings.out,
        settings.roots,
        base=settings.site.base,
        host=host,
        port=port,
        follow_links=settings.follow_links,
    )
    server.start()

    def build_on() -> None:
        try:
            with (
                Engine(settings, shipped("templates")) as engine,
                _watch(engine, settings) as watching,
            ):
                stopping.append(watching.stop)
                for number, receipt in enumerate(watching.receipts()):
                    _line(receipt, as_json=as_json)
                    if not number:
                        _print(
                            as_json,
                            {"address": server.address},
                            f"serving {server.address}  (Ctrl-C stops)",
                        )
                    elif receipt.written or receipt.removed:
                        server.reload()
        except ReelshelfError as error:
            failed.append(error)
        finally:
            server.stop()

    stopping: list[Callable[[], None]] = []
    failed: list[ReelshelfError] = []
    builder = Thread(target=build_on, name="build")
    builder.start()
    try:
        with suppress(KeyboardInterrupt):  # how it is meant to be stopped
            server.run()
    finally:
        for stop in stopping:
            stop()
        builder.join()
    if failed:
        raise failed[0]


@contextmanager
def _watch(engine: Engine, settings: Settings) -> Iterator[Watch]:
    with MediaWorkers(
        jobs=settings.workers,
        time_limit_s=settings.file_limit_s,
        memory_mb=settings.file_memory_mb,
    ) as workers:
        yield Watch(engine, settings, workers)


def _line(receipt: Receipt, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(receipt.told()), flush=True)  # noqa: T201 (this is the output)
        return
    changes = ", ".join(
        f"{count} {name}"
        for name, count in (
            ("found", receipt.found), ("changed", receipt.changed), ("moved", receipt.moved),
            ("missing", receipt.missing), ("returned", receipt.returned),
            ("refused", receipt.refused),
        )
        if count
    )  # fmt: skip
    clock = time.strftime("%H:%M:%S", time.localtime(receipt.at))
    out.print(
        f"{clock}  {changes or 'no video changed'}: {receipt.written} pages written,"
        f" {receipt.unchanged} unchanged, {receipt.removed} removed in {receipt.total_s:.2f} s",
        markup=False,
    )


@app.command()
def why(
    subject: Annotated[
        str, typer.Argument(help="A page's path or address, or a video's file or id.")
    ],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Tell why a page was last written, or what became of a video."""
    settings = load(config, {})
    with (
        Catalogue(settings.state / "catalogue.db") as catalogue,
        Ledger(settings.state / "ledger.db") as ledger,
    ):
        told = _why_page(subject, settings, catalogue, ledger) or _why_video(
            subject, settings, catalogue, ledger
        )
    if told is None:
        raise SettingsError(
            f"neither a page nor a video: {subject}",
            hint='a page is like "all/title.html", a video like "Norway/fjord.mp4" or its number',
        )
    lines = told.pop("lines")
    _print(as_json, told, "\n".join(lines))


def _why_page(
    subject: str, settings: Settings, catalogue: Catalogue, ledger: Ledger
) -> dict[str, Any] | None:
    path = subject.removeprefix(settings.site_url).removeprefix(settings.site.base).lstrip("/")
    page = ledger.page(path.partition("?")[0] or addresses.HOME)
    if page is None:
        return None
    refresh = ledger.refresh(page.refresh)
    lines = [f"{page.path}  ({wording.file_size(page.size)}, by {page.template})"]
    if refresh is not None:
        lines.append(f"  written {wording.rfc3339(refresh[1])} in refresh {page.refresh}")
    lines.append(f"  because {page.reason}")
    events: list[dict[str, object]] = []
    if page.cause is not None:
        events = _events(catalogue, VideoId(page.cause), refresh[3] if refresh else None)
        lines.append(f"  the video was {page.cause}: " + _names(catalogue, page.cause))
        lines += [
            f"    event {e['seq']}  {e['at']}  {e['kind']} ({e['source']})" for e in events[:5]
        ]
    return {**_row(page), "events": events, "lines": lines}


def _why_video(
    subject: str, settings: Settings, catalogue: Catalogue, ledger: Ledger
) -> dict[str, Any] | None:
    video = VideoId(int(subject)) if subject.isdigit() else _find(subject, settings, catalogue)
    if video is None:
        return None
    events = _events(catalogue, video, None)
    if not events:
        return None
    pages = ledger.pages_caused_by(video)
    lines = [f"video {video}: {_names(catalogue, video)}"]
    lines += [f"  event {e['seq']}  {e['at']}  {e['kind']} ({e['source']})" for e in events]
    lines += [f"  {page.path}  because {page.reason}" for page in pages]
    return {"video": video, "events": events, "pages": [_row(p) for p in pages], "lines": lines}


def _find(subject: str, settings: Settings, catalogue: Catalogue) -> VideoId | None:
    absolute = Path(subject).absolute()
    for root, folder in settings.roots.items():
        inside = absolute.relative_to(folder) if absolute.is_relative_to(folder) else Path(subject)
        for path in (str(inside), str(inside).removeprefix(f"{root}/")):
            found = catalogue.find(Place(root, path))
            if found is not None:
                return found
    return None


def _events(catalogue: Catalogue, video: VideoId, until: int | None) -> list[dict[str, object]]:
    return [
        {
            "seq": seq,
            "kind": kind,
            "value": json.loads(value),
            "at": wording.rfc3339(at),
            "source": source,
        }
        for seq, kind, value, at, source in catalogue.events_of(video, 20)
        if until is None or seq <= until
    ]


def _names(catalogue: Catalogue, video: int) -> str:
    known = catalogue.known([video])
    if not known:
        return "(not known)"
    return wording.readable(known[0].place.path) + (" (missing)" if known[0].missing else "")


def _row(page: PageRow) -> dict[str, object]:
    return {
        "path": page.path, "template": page.template, "size": page.size,
        "refresh": page.refresh, "reason": page.reason, "cause": page.cause,
    }  # fmt: skip


@app.command()
def status(config: Config = None, as_json: Json = False) -> None:
    """Tell what the catalogue holds, and whether the site shows it."""
    settings = load(config, {})
    with (
        Catalogue(settings.state / "catalogue.db") as catalogue,
        Ledger(settings.state / "ledger.db") as ledger,
    ):
        counts, (pages, size) = catalogue.counts(), ledger.page_count()
        behind = catalogue.last_event() - int(ledger.fact("cursor") or 0)
        last = ledger.refresh()
    told: dict[str, Any] = {
        **counts, "pages": pages, "bytes": size, "events_behind": behind,
        "last_refresh": wording.rfc3339(last[1]) if last else None, "out": str(settings.out),
        "library": [str(path) for path in settings.library],
    }  # fmt: skip
    lines = [
        f"library  {', '.join(told['library']) or 'none named'}",
        f"videos   {counts['videos']} shown, {counts['missing']} missing",
        f"problems {counts['problems'] or 'none'}",
        f"pages    {pages} ({wording.file_size(size)}) in {settings.out}",
        f"events   {counts['events']}; {behind or 'none'} not shown yet",
        f"built    {told['last_refresh'] or 'never'}",
    ]
    _print(as_json, told, "\n".join(lines))


@app.command()
def problems(
    config: Config = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Let the next build try these files again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the files that are not, or not wholly, shown, and why: exit code 1 if any."""
    settings = load(config, {})
    with Catalogue(settings.state / "catalogue.db") as catalogue:
        found = catalogue.problems()
        if retry:
            catalogue.forget_problems(found, _now())
    rows = [
        {
            "root": p.place.root,
            "path": wording.readable(p.place.path),
            "stage": p.stage,
            "reason": p.reason,
        }
        for p in found
    ]
    lines = [f"{row['path'] or '.'}\n    {row['reason']}" for row in rows] or ["no problems"]
    if retry and rows:
        lines.append(f"{len(rows)} file(s) will be tried again by the next build")
    _print(as_json, {"problems": rows, "retried": retry}, "\n".join(lines))
    if rows and not retry:
        raise typer.Exit(1)


@app.command()
def nginx(
    library: Library = None,
    out_folder: Out = None,
    config: Config = None,
    listen: Annotated[str, typer.Option(help="What nginx's `listen` takes.")] = "80",
    server_name: Annotated[str, typer.Option(help="What nginx's `server_name` takes.")] = "_",
    brotli: Annotated[
        bool, typer.Option("--brotli", help="Send .br copies (nginx needs its module).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print an nginx configuration that serves the site and its media."""
    settings = _settings(config, library, out_folder)
    template = (shipped("deploy") / "nginx.conf").read_text(encoding="utf-8")
    try:
        text = nginx_config(
            template,
            out=str(settings.out),
            roots={name: str(path) for name, path in settings.roots.items()},
            listen=listen,
            server_name=server_name,
            base=settings.site.base,
            brotli=brotli,
            follow_links=settings.follow_links,
        )
    except ValueError as error:
        hint = "rename the folder, or mend what was given"
        raise SettingsError(f"nginx cannot serve this: {error}", hint=hint) from error
    print(json.dumps({"config": text}) if as_json else text.rstrip())  # noqa: T201 (to the letter)


# -- what the commands share


def shipped(folder: str) -> Path:
    """Return a folder that comes with us: beside the packages, or inside the installed one."""
    here = Path(__file__).resolve().parent
    inside = here / "_shipped" / folder
    return inside if inside.is_dir() else here.parent / folder


def _settings(config: Path | None, library: list[Path] | None, out_folder: Path | None) -> Settings:
    overrides: dict[str, Any] = {}
    if library:
        overrides["library"] = tuple(library)
    if out_folder is not None:
        overrides["out"] = out_folder
    settings = load(config, overrides)
    if not settings.library:
        raise SettingsError(
            "no library is named",
            hint='--library DIR, or `reelshelf init` and library = ["DIR"] in reelshelf.toml',
        )
    return settings


@contextmanager
def _stoppable() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        _fail("stopped", "the next build goes on from here", 130)


def _log(*, verbose: bool, as_json: bool) -> None:
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(
        level=logging.WARNING if as_json else logging.INFO,
        format="%(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("generator").setLevel(level)


def _now() -> int:
    return int(time.time())


def _print(as_json: bool, told: object, text: str) -> None:  # noqa: FBT001 (a command's flag)
    if as_json:
        print(json.dumps(told))  # noqa: T201 (this is the output)
    else:
        out.print(text, markup=False, emoji=False)


@contextmanager
def _progress(*, as_json: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar when a person is looking, else one line a minute to the log."""
    if as_json or not err.is_terminal:
        yield _minutely()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    bars = Progress(*columns, console=err, transient=True)
    tasks: dict[str, Any] = {}

    def show(what: str, done: int, total: int) -> None:
        if what not in tasks:
            bars.start()  # only now: its thread would keep a full build from forking
            tasks[what] = bars.add_task(what, total=total or None)
        bars.update(tasks[what], completed=done)
        if done == total:
            bars.stop()

    try:
        yield show
    finally:
        bars.stop()


def _minutely() -> Callable[[str, int, int], None]:
    last = time.monotonic()

    def tell(what: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= 60:  # noqa: PLR2004 (a minute)
            last = time.monotonic()
            logging.getLogger(__name__).info("%s: %d of %d", what, done, total)

    return tell
