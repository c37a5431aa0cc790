"""`restore`: a backup of the catalogue in the place of one that is lost, damaged or wrong."""

import time
from pathlib import Path
from typing import Annotated

import typer

from generator.adapters.catalogue import Catalogue
from generator.adapters.catalogue import restore_backup as restore_catalogue
from generator.adapters.settings import load
from generator.cli.help import CARE
from generator.cli.options import Config, Json, app, show
from generator.core.formatting import counted, readable


@app.command(rich_help_panel=CARE)
def restore(
    backup: Annotated[Path, typer.Argument(help="A copy of catalogue.db.")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Restore the catalogue from a checked backup; the previous one is kept.

    A running API or builder continues with the restored catalogue.
    """
    settings = load(config, {})
    file = settings.state / "catalogue.db"
    restored = restore_catalogue(backup, file, time.time())
    Catalogue(file).close()  # brings an older one up to date
    found = f"{counted(restored.videos, 'video')}, {counted(restored.events, 'event')}"
    lines = [
        f"restored {file}: {found}",
        f"previous catalogue saved as {restored.kept}"
        if restored.kept
        else "there was no previous catalogue",
        f"valid tokens: {', '.join(map(readable, restored.tokens)) or 'none'}",
        "`reelshelf build` (or a running `reelshelf watch`) brings the pages up to date",
    ]
    answer = {
        "restored": str(file),
        "videos": restored.videos,
        "events": restored.events,
        "kept": str(restored.kept) if restored.kept else None,
        "tokens": list(restored.tokens),
    }
    show(as_json, answer, "\n".join(lines))
