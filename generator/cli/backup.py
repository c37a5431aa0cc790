"""`backup`: a checked copy of the catalogue, made while everything runs."""

from pathlib import Path
from typing import Annotated

import typer

from generator.adapters.catalogue import BackupResult, make_backup
from generator.cli.help import CARE
from generator.cli.options import Config, Json, app, now, settled, show
from generator.core.formatting import counted, file_size


@app.command(rich_help_panel=CARE)
def backup(
    config: Config = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write this file, which is never deleted."),
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Number of backups to keep [default: backups_keep]."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Back up the catalogue, check the copy, and delete old backups.

    The API and a builder may be running.
    """
    settings = settled(config)
    made = make_backup(
        settings.state / "catalogue.db",
        settings.backups,
        keep=keep or settings.backups_keep,
        now=now(),
        output=output,
    )
    show(as_json, backup_answer(made), "\n".join(backup_lines(made)))


def backup_lines(made: BackupResult) -> list[str]:
    """Return for people what a backup did."""
    holds = f"{counted(made.videos, 'video')}, {counted(made.events, 'event')}"
    lines = [
        f"backed up to {made.file}",
        f"  {file_size(made.size_bytes)}, {holds}; checked; {made.seconds:.1f} s",
    ]
    lines += [f"deleted {file}" for file in made.deleted]
    if not made.is_noted:
        lines.append("the catalogue is busy, and its record of the last backup is older")
    return lines


def backup_answer(made: BackupResult) -> dict[str, object]:
    """Return for programs what a backup did."""
    return {
        "backup": str(made.file),
        "bytes": made.size_bytes,
        "events": made.events,
        "videos": made.videos,
        "seconds": round(made.seconds, 3),
        "deleted": list(made.deleted),
        "freed_bytes": made.freed_bytes,
    }
