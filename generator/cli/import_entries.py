"""`import`: ratings, views, favorites and tags of other programs."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from generator.adapters.catalogue import Catalogue, make_backup
from generator.adapters.catalogue.importing import ImportOutcome, ImportTarget
from generator.adapters.settings import Settings
from generator.cli.help import START
from generator.cli.options import Config, Json, app, now, open_catalogue, settled, show
from generator.core.formatting import counted, escape_controls, rfc3339
from generator.core.library.import_entries import ImportEntry, RejectedEntry

_LISTED = 20  # lines of each kind; --json has all


@app.command("import", rich_help_panel=START)
def import_entries(
    path: Annotated[
        Path, typer.Argument(help="A file of another program, or a folder with several.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would be imported.")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Import ratings, views, favorites and tags of another program.

    It reads JSON and SQLite of small video servers, CSV, .nfo, and exports of Stash and reelshelf.
    What is for no video waits for its file, and what cannot be read is listed. The catalogue is
    backed up before; the same import again changes nothing, and `reelshelf undo` undoes it.
    """
    from generator.adapters.import_sources.find_sources import read_sources  # noqa: PLC0415

    settings = settled(config)
    sources = read_sources(path, settings.roots)
    backup = None
    with ExitStack() as stack:
        file = settings.state / "catalogue.db"
        if dry_run and not file.exists():
            catalogue = stack.enter_context(Catalogue(Path(":memory:")))
        else:
            catalogue = stack.enter_context(open_catalogue(settings))
        if dry_run:
            catalogue = stack.enter_context(catalogue.copy())
        elif sources.entries and catalogue.last_event():
            backup = make_backup(file, settings.backups, keep=settings.backups_keep, now=now()).file
        outcome = catalogue.import_entries(sources.entries, _target(settings, path, sources.files))
    outcome.rejected[:0] = sources.rejected
    answer = {
        "sources": [{"file": _name(file.source), "kind": file.kind} for file in sources.files],
        **_answer(outcome),
        "backup": None if backup is None else str(backup),
        "dry_run": dry_run,
    }
    show(as_json, answer, "\n".join(_lines(answer)))


def _target(settings: Settings, path: Path, files: Iterable[Any]) -> ImportTarget:
    top = path if path.is_dir() else path.parent
    written_at: dict[str, int] = {}
    for file in files:
        with suppress(OSError, ValueError):
            written_at[file.source] = int((top / file.source).stat().st_mtime)
    folders = {name: os.path.realpath(folder) for name, folder in settings.roots.items()}
    buckets = {name: str(bucket) for name, bucket in settings.buckets.items()}
    return ImportTarget(buckets | folders, written_at, now())


def _answer(outcome: ImportOutcome) -> dict[str, Any]:
    return {
        "imported": dict(sorted(Counter(entry.field for entry in outcome.imported).items())),
        "unchanged": len(outcome.unchanged),
        "waiting": [
            {**_row(entry), "reason": "there is no such file yet; it counts when the file comes"}
            for entry in outcome.waiting
        ],
        "overruled": [
            {**_row(entry), "reason": f"here it was set to {stars or 'no rating'} later"}
            for entry, stars in outcome.overruled
        ],
        "rejected": [_rejected(entry) for entry in outcome.rejected],
        "batch": outcome.batch or None,
    }


def _row(entry: ImportEntry) -> dict[str, Any]:
    return {
        "file": _name(entry.source),
        "key": _name(entry.key),
        "field": entry.field,
        "value": entry.value,
        "at": None if entry.at is None else rfc3339(entry.at),
    }


def _rejected(entry: RejectedEntry) -> dict[str, Any]:
    return {"file": _name(entry.source), "key": _name(entry.key), "reason": entry.reason}


def _name(text: str) -> str:
    """Return a name so that JSON can hold it: bytes that are not UTF-8 are escaped."""
    return "".join(
        escape_controls(letter) if "\ud800" <= letter <= "\udfff" else letter for letter in text
    )


def _lines(answer: Mapping[str, Any]) -> Iterator[str]:
    for source in answer["sources"]:
        yield escape_controls(f"read {source['file']} ({source['kind']})")
    imported = ", ".join(f"{count} {name}" for name, count in answer["imported"].items())
    would = "would be imported (nothing done): " if answer["dry_run"] else "imported: "
    yield would + (imported or "nothing new")
    if answer["unchanged"]:
        yield f"unchanged: {counted(answer['unchanged'], 'entry', 'entries')}"
    for name, heading in (
        ("waiting", "waiting for their file"),
        ("overruled", "not counted, because a later rating was given here"),
        ("rejected", "not imported"),
    ):
        rows = answer[name]
        if rows:
            yield f"{heading}: {counted(len(rows), 'entry', 'entries')}"
        for row in rows[:_LISTED]:
            value = f" {row['field']} {row['value']}" if "field" in row else ""
            reason = "" if name == "waiting" else f": {row['reason']}"
            yield escape_controls(f"  {row['file']}  {row['key']}{value}{reason}")
        if len(rows) > _LISTED:
            yield f"  and {len(rows) - _LISTED} more (--json lists all)"
    if answer["backup"]:
        yield f"backup of before: {escape_controls(answer['backup'])}"
    if answer["batch"] and not answer["dry_run"]:
        yield "to take it back: reelshelf undo"
        yield "`reelshelf build` (or a running `reelshelf watch`) brings the pages up to date"
