"""`export`: all that people did, in a file for other programs, or in .nfo files beside videos."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from filelock import FileLock, Timeout

from generator.adapters.catalogue import Catalogue
from generator.adapters.export_file import write_export
from generator.adapters.nfo_files import NfoFolders, NfoVerdict, PlannedNfo
from generator.adapters.settings import Settings
from generator.cli.help import CARE
from generator.cli.options import Config, Json, app, open_catalogue, settled, show
from generator.core.errors import BusyError, SettingsError
from generator.core.formatting import counted, file_size, readable
from generator.core.library.export_format import csv_export, json_export, nfo_content, waiting_row

_AT_ONCE = 500  # .nfo files that are recorded in one transaction
_MARK_DIGITS = 12  # of the catalogue's id, in the names of temporary files


class ExportForm(StrEnum):
    """The forms of an export."""

    JSON = "json"
    CSV = "csv"


@app.command(rich_help_panel=CARE)
def export(
    config: Config = None,
    form: Annotated[
        ExportForm, typer.Option("--format", help="Everything as JSON, or the main columns as CSV.")
    ] = ExportForm.JSON,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write it to a file, whole or not at all."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace FILE even if it is not an earlier export.")
    ] = False,
    nfo: Annotated[
        bool, typer.Option("--nfo", help="Write an .nfo beside each video instead.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --nfo: list what would be written.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Export the ratings, views, favorites and tags of all videos, for other programs.

    It may run at any time, and reads one state of the catalogue.
    """
    if dry_run and not nfo:
        raise SettingsError("--dry-run is for --nfo", hint="without it nothing else is written")
    if nfo and (output is not None or form is not ExportForm.JSON):
        raise SettingsError(
            "--nfo writes files beside the videos", hint="omit --output and --format"
        )
    settings = settled(config)
    if nfo:
        _export_nfo(settings, dry_run=dry_run, as_json=as_json)
        return
    with open_catalogue(settings) as catalogue, catalogue.snapshot() as reader:
        if form is ExportForm.JSON:
            content = json_export(reader.videos(), map(waiting_row, reader.waiting()))
        else:
            content = csv_export(reader.videos())
        if output is None:
            _print(content)
            return
        size = write_export(output, content, force=force)
        show(
            as_json,
            {"output": str(output), "format": str(form), "bytes": size},
            f"wrote {output} ({file_size(size)})",
        )


def _print(content: Iterator[bytes]) -> None:
    """Write to the standard output, until whoever reads has seen enough."""
    sys.stdout.flush()
    binary = getattr(sys.stdout, "buffer", None)
    try:
        for piece in content:
            if binary is None:
                sys.stdout.write(piece.decode())
            else:
                binary.write(piece)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# -- .nfo


def _export_nfo(settings: Settings, *, dry_run: bool, as_json: bool) -> None:
    settings.state.mkdir(parents=True, exist_ok=True)
    lock = FileLock(settings.state / "export.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise BusyError("another export writes .nfo files", hint="wait for it") from error
    try:
        with open_catalogue(settings) as catalogue, open_catalogue(settings) as record:
            report = _NfoReport()
            folders = NfoFolders(
                settings.roots,
                follow_links=settings.follow_links,
                mark=f"reelshelf-{catalogue.identity()[:_MARK_DIGITS]}",
                digests=record.written_nfo.digests,
                removes_stale=not dry_run,
            )
            for portion in _portions(settings, catalogue, folders):
                report.add(portion, {} if dry_run else _write(folders, record, portion))
    finally:
        lock.release()
    report.show(dry_run=dry_run, as_json=as_json)
    if report.failed:
        raise typer.Exit(1)


class _NfoReport:
    """What was done, or would be."""

    def __init__(self) -> None:
        self.counts: Counter[NfoVerdict] = Counter()
        self.left: list[tuple[str, str]] = []
        self.failed: list[tuple[str, str]] = []
        self.written: list[str] = []

    def add(self, portion: list[PlannedNfo], errors: dict[PlannedNfo, str]) -> None:
        for planned in portion:
            root = f"{planned.place.root}/" if planned.place.root else ""
            path = readable(root + planned.place.path)
            if planned in errors:
                self.failed.append((path, errors[planned]))
                continue
            self.counts[planned.verdict] += 1
            if planned.verdict is NfoVerdict.WRITE:
                self.written.append(path)
            elif planned.verdict is not NfoVerdict.UNCHANGED:
                self.left.append((path, str(planned.verdict)))

    def show(self, *, dry_run: bool, as_json: bool) -> None:
        verb = "would be written" if dry_run else "written"
        lines = [f"{counted(len(self.written), '.nfo file')} {verb}"]
        lines += [f"  {path}" for path in self.written] if dry_run else []
        lines += [f"{counted(self.counts[NfoVerdict.UNCHANGED], '.nfo file')} unchanged"]
        lines += [f"left alone: {path}: {reason}" for path, reason in self.left]
        lines += [f"failed: {path}: {reason}" for path, reason in self.failed]
        answer = {
            "written": self.written,
            "unchanged": self.counts[NfoVerdict.UNCHANGED],
            "left": [{"path": path, "reason": reason} for path, reason in self.left],
            "failed": [{"path": path, "reason": reason} for path, reason in self.failed],
            "dry_run": dry_run,
        }
        show(as_json, answer, "\n".join(lines))


def _portions(
    settings: Settings, catalogue: Catalogue, folders: NfoFolders
) -> Iterator[list[PlannedNfo]]:
    """Yield the .nfo files of the videos that are there, in portions to bound memory."""
    with catalogue.snapshot() as reader:
        videos = (
            video
            for video in reader.videos()
            if video.missing_at is None and video.place.root in settings.roots
        )
        while portion := list(islice(videos, _AT_ONCE)):
            yield [folders.plan(video.place, nfo_content(video)) for video in portion]


def _write(
    folders: NfoFolders, record: Catalogue, portion: list[PlannedNfo]
) -> dict[PlannedNfo, str]:
    """Write the .nfo files of a portion; return why some could not be.

    Both contents are recorded before: after a crash either one is recognized.
    """
    ours = [nfo for nfo in portion if nfo.verdict in {NfoVerdict.WRITE, NfoVerdict.UNCHANGED}]
    to_write = [nfo for nfo in ours if nfo.verdict is NfoVerdict.WRITE]
    if to_write:
        record.written_nfo.record(
            {nfo.place: tuple(filter(None, (nfo.former, nfo.digest))) for nfo in to_write}
        )
    errors: dict[PlannedNfo, str] = {}
    for nfo in to_write:
        try:
            folders.write(nfo)
        except OSError as error:
            errors[nfo] = error.strerror or str(error)
    digests = {nfo.place: (nfo.former if nfo in errors else nfo.digest,) for nfo in ours}
    before = {place: record.written_nfo.digests(place) for place in digests}
    if changed := {place: now for place, now in digests.items() if now != before[place]}:
        record.written_nfo.record(changed)
    return errors
