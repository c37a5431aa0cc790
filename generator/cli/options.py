"""What the commands share: options, printing, and settings from arguments."""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from generator.adapters import scanner
from generator.adapters.catalogue import Catalogue
from generator.adapters.media.worker_pool import MediaWorkers
from generator.adapters.output import Output
from generator.adapters.scanner import FolderSurvey
from generator.adapters.settings import FILE, Settings, load
from generator.build.engine import Engine
from generator.cli.help import GroupedCommands, hidden_option
from generator.cli.terminal import SafeFormatter, err, out
from generator.core import formatting
from generator.core.build_receipt import Receipt
from generator.core.delivery.folder_marks import MARK
from generator.core.delivery.publish_plan import PublishReceipt
from generator.core.errors import SettingsError
from generator.core.library.file_filter import VIDEO_SUFFIXES, compile_filter
from generator.watch.background_jobs import Backlog
from generator.watch.build_loop import BuildLoop

app = typer.Typer(
    cls=GroupedCommands,
    help="Build a static site from a folder of videos.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_MAX_OTHERS = 1000  # files that are listed
_KINDS_TOLD = 5  # extensions of files that are no videos
_COUNTED_BY_BUILD = {"problems", "unplayable"}  # by no other command

Library = Annotated[
    list[str] | None,
    typer.Option(
        "--library",
        "-l",
        metavar="DIR",
        help="A folder of videos, or s3://bucket/prefix; may be given several times.",
    ),
]
Folders = Annotated[
    list[str] | None,
    typer.Argument(metavar="[DIR]...", help="A folder of videos (same as --library)."),
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Where the site is written.")]
Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help=f"The settings file [default: ./{FILE} if there is one]."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs", "-j", min=0, max=64, help="Number of media workers; 0 means one per processor."
    ),
]
Nice = Annotated[
    int | None,
    typer.Option("--nice", min=0, max=19, help="Niceness of worker processes (0 to 19)."),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Verbose logging.")]
AcceptLoss = Annotated[
    bool,
    typer.Option("--accept-loss", help="Accept the scan even if much of the library is gone."),
]
KeepOthers = Annotated[
    bool,
    typer.Option(
        "--keep-others",
        help="Build into a folder that holds other files: list them, and leave them as they are.",
    ),
]
Adopt = Annotated[bool, hidden_option("--adopt")]
NewCatalogue = Annotated[
    bool,
    typer.Option(
        "--new-catalogue",
        help="Create a new catalogue if the previous one is lost, without its ratings and tags.",
    ),
]


def open_catalogue(settings: Settings) -> Catalogue:
    """Return the catalogue of a site, which is created where there never was one.

    Raises:
        LostCatalogueError: there was one.
        ReelshelfError: it cannot be opened.
    """
    return Catalogue(settings.state / "catalogue.db", output_mark=settings.out / MARK)


def engine_of(
    settings: Settings, *, keep_others: bool = False, new_catalogue: bool = False
) -> Engine:
    """Return the builder of a site; files that it will leave alone are listed first.

    Raises:
        ReelshelfError: see `Engine`.
    """
    output = Output(settings.out)
    if keep_others and output.mark() is None:
        others = list(islice(output.others(frozenset()), _MAX_OTHERS))
        if others:
            more = " at least" * (len(others) == _MAX_OTHERS)
            count = formatting.counted(len(others), "file")
            err.print(
                f"{settings.out} holds{more} {count} that reelshelf did not write, which"
                " will be left as they are:",
                markup=False,
                soft_wrap=True,
            )
            for name in sorted(others):
                err.print(f"  {formatting.readable(name)}", markup=False, soft_wrap=True)
    return Engine(
        settings, shipped("templates"), keep_others=keep_others, new_catalogue=new_catalogue
    )


def fail(message: str, hint: str, code: int) -> None:
    """Print an expected error and exit with its code."""
    if "--json" in sys.argv:
        print(json.dumps({"error": message, "hint": hint}))  # noqa: T201 (this is the output)
    else:
        err.print(f"reelshelf: {message}")
        if hint:
            err.print(f"  {hint}")
    sys.exit(code)


def shipped(folder: str) -> Path:
    """Return a shipped folder: next to the packages, or inside the installed one."""
    here = Path(__file__).resolve().parents[1]
    inside = here / "_shipped" / folder
    return inside if inside.is_dir() else here.parent / folder


def settings_with(
    config: Path | None,
    library: list[str] | None,
    out_folder: Path | None,
    **others: int | None,
) -> Settings:
    """Return the settings a command runs with; `others` that are None are not set.

    Raises:
        SettingsError: something in them is wrong.
    """
    overrides: dict[str, Any] = {name: value for name, value in others.items() if value is not None}
    if library:
        overrides["library"] = tuple(library)
    if out_folder is not None:
        overrides["out"] = out_folder
    return load(config, overrides)


def settings_of(
    config: Path | None,
    library: list[str] | None,
    out_folder: Path | None,
    **others: int | None,
) -> Settings:
    """Return the settings of a command that builds from a library.

    Raises:
        SettingsError: something in them is wrong, or no library is named.
    """
    settings = settings_with(config, library, out_folder, **others)
    if not settings.library:
        raise SettingsError(
            "no library is configured",
            hint='use --library DIR, or run `reelshelf init` and set library = ["DIR"] in'
            " reelshelf.toml",
        )
    return settings


def settled(config: Path | None) -> Settings:
    """Return the settings of an existing site: commands that only read create none.

    Raises:
        SettingsError: something in them is wrong, or nothing here tells of a site.
    """
    settings = load(config, {})
    is_named = config is not None or Path(FILE).is_file() or "REELSHELF_STATE" in os.environ
    if not is_named and not (settings.state / "catalogue.db").is_file():
        raise SettingsError(
            f"found neither a {FILE} nor a catalogue here",
            hint=f"run it in the folder of your {FILE}, or pass the file with --config",
        )
    return settings


def address_named(host: str) -> str:
    """Return the address to serve at.

    Raises:
        SettingsError: none is named. To the system that means every address there is.
    """
    if not host.strip():
        raise SettingsError(
            "--host is empty",
            hint="is a variable unset? omit --host to serve this computer only; 0.0.0.0 means"
            " every address",
        )
    return host.strip()


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn Ctrl-C within the block into one line and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        fail("stopped", "the next build continues from here", 130)


def start_log(*, verbose: bool, as_json: bool) -> None:
    """Send the log to the standard error."""
    level = logging.DEBUG if verbose else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(SafeFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING if as_json else logging.INFO, handlers=[handler])
    logging.getLogger("generator").setLevel(level)
    logging.getLogger("botocore").setLevel(logging.WARNING)  # it tells where credentials are


def now() -> int:
    """Return the current instant."""
    return int(time.time())


def show(as_json: bool, answer: object, text: str) -> None:  # noqa: FBT001 (a command's flag)
    """Print an answer, as JSON or as text."""
    if as_json:
        print(json.dumps(answer))  # noqa: T201 (this is the output)
    else:
        out.print(text)


def tell_of_no_video(settings: Settings, receipt: Receipt) -> None:
    """Print what the library holds instead, if a scan met no video at all."""
    if receipt.walked:
        return
    intake = compile_filter(settings.ignore)
    lines = ["note: no videos were found"]
    for root in settings.roots.values():
        counted = scanner.survey_folder(root, intake, follow_links=settings.follow_links)
        lines.append(f"  in {root}: {_surveyed(counted)}")
    lines += [
        f"  in {bucket}: no object has a video extension" for bucket in settings.buckets.values()
    ]
    endings = ", ".join(f".{suffix}" for suffix in ("mp4", "mkv", "webm", "mov", "avi"))
    lines.append(
        f"  video extensions are {endings} and {len(VIDEO_SUFFIXES) - 5} more"
        " (docs/reference/settings.md, library)"
    )
    err.print("\n".join(lines), markup=False, soft_wrap=True)


def tell_of_buckets(settings: Settings) -> None:
    """Say that films in buckets are not served: a player would tell no more than that."""
    for root in settings.buckets.values():
        err.print(f"note: the videos in {root} are not served from here; a CDN has to serve them")


def _surveyed(counted: FolderSurvey) -> str:
    if not counted.files:
        return "there are no files"
    kinds = sorted(counted.others.items(), key=lambda kind: (-kind[1], kind[0]))
    parts = [f"{count} {formatting.readable(kind)}" for kind, count in kinds[:_KINDS_TOLD]]
    others = sum(count for _, count in kinds[_KINDS_TOLD:])
    parts += [formatting.counted(others, "other")] * bool(others)
    for count, what in (
        (counted.ignored, "ignored by the setting ignore"),
        (counted.passed_over, "hidden, unfinished or in skipped folders"),
        (counted.links, "links, which are not followed (follow_links)"),
    ):
        parts += [f"{count} {what}"] * bool(count)
    more = "" if counted.is_whole else "more than "
    return f"{more}{formatting.counted(counted.files, 'file')}: " + "; ".join(parts)


def tell_receipt(receipt: Receipt, *, as_json: bool, dry: bool = False) -> None:
    """Print the whole receipt of a build."""
    if as_json:
        print(json.dumps({**receipt.as_dict(), "dry_run": dry}))  # noqa: T201 (this is the output)
    else:
        out.print("\n".join(_lines(receipt, dry=dry)))


def _lines(receipt: Receipt, *, dry: bool) -> Iterator[str]:
    counts = {
        "found": receipt.found, "changed": receipt.changed, "moved": receipt.moved,
        "missing": receipt.missing, "returned": receipt.returned, "removed": receipt.dropped,
        "refused": receipt.refused, "still being copied": receipt.still_copied,
    }  # fmt: skip
    differing = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    seen = formatting.counted(receipt.walked, "file")
    yield f"videos   {seen} seen; {differing or 'library unchanged'}"
    if dry:
        yield f"pages    {receipt.planned} to render, {receipt.removed} to remove (nothing done)"
    else:
        yield (
            f"pages    {receipt.written} written ({formatting.file_size(receipt.bytes_written)}),"
            f" {receipt.unchanged} unchanged, {receipt.removed} removed"
        )
    for reason, count in sorted(receipt.reasons.items(), key=lambda item: -item[1]):
        yield f"           {count:>7}  {reason}"
    times = ", ".join(f"{name} {value:.2f}" for name, value in receipt.seconds.items())
    yield f"seconds  {receipt.total_s:.2f} ({times})"
    if not dry:
        yield f"memory   {receipt.peak_mb:.0f} MB at most"


@contextmanager
def workers_of(settings: Settings) -> Iterator[MediaWorkers]:
    """Yield the pool of media workers; they stop on exit."""
    with MediaWorkers(
        jobs=settings.workers,
        time_limit_s=settings.file_limit_s,
        memory_mb=settings.file_memory_mb,
        nice=settings.nice,
    ) as workers:
        yield workers


@contextmanager
def watching_on(engine: Engine, settings: Settings) -> Iterator[BuildLoop]:
    """Yield a build loop with its background jobs; both stop on exit."""
    with workers_of(settings) as workers:
        watch = BuildLoop(engine, settings, workers)
        with Backlog(settings, watch.wake) as watch.background:
            yield watch


def tell_line(receipt: Receipt, *, as_json: bool) -> None:
    """Print a build in one line."""
    if as_json:
        known = receipt.as_dict().items()
        answer = {name: value for name, value in known if name not in _COUNTED_BY_BUILD}
        print(json.dumps(answer), flush=True)  # noqa: T201 (this is the output)
        return
    changes = ", ".join(
        f"{count} {name}"
        for name, count in (
            ("found", receipt.found), ("changed", receipt.changed), ("moved", receipt.moved),
            ("missing", receipt.missing), ("returned", receipt.returned),
            ("refused", receipt.refused), ("event" + "s" * (receipt.events > 1), receipt.events),
        )
        if count
    )  # fmt: skip
    clock = time.strftime("%H:%M:%S", time.localtime(receipt.at))
    idle = "brought up to date" if receipt.written or receipt.removed else "nothing new"
    out.print(
        f"{clock}  {changes or idle}: {formatting.counted(receipt.written, 'page')} written,"
        f" {receipt.unchanged} unchanged, {receipt.removed} removed in {receipt.total_s:.2f} s"
    )


def tell_published(receipt: object, *, as_json: bool) -> None:
    """Print what a publish between builds did, if it did something."""
    if not isinstance(receipt, PublishReceipt) or not receipt.did_something:
        return
    text = (
        f"          published: {receipt.put} put ({formatting.file_size(receipt.bytes)}),"
        f" {receipt.deleted} deleted, {len(receipt.left)} left in {receipt.total_s:.2f} s"
    )
    show(as_json, {"published": dict(receipt.as_dict())}, text)
