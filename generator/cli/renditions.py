"""`renditions`: which playable copies exist, which would help, and their disk space."""

import shutil
from typing import Annotated, Any
from uuid import uuid4

import typer

from generator.adapters.catalogue import Catalogue
from generator.adapters.catalogue.pending_jobs import RenditionScope
from generator.adapters.settings import Settings
from generator.cli.help import CARE
from generator.cli.options import Config, Json, app, now, open_catalogue, settled, show
from generator.core import formatting
from generator.core.media.remedies import WANTED, Remedy
from generator.core.media.renditions import REMUX, TRANSCODE, estimate_bytes
from generator.core.model import Event, EventKind

_MAX = 1 << 31
_SETTINGS = {"remux": ("remux", "all"), "transcode": ("all",)}  # that make such copies
_GERUNDS = {"remux": "remuxing", "transcode": "transcoding"}
_NEEDS = {"remux": WANTED["remux"], "transcode": (Remedy.TRANSCODE,)}


@app.command(rich_help_panel=CARE)
def renditions(
    config: Config = None,
    drop: Annotated[
        bool, typer.Option("--drop", help="Let the next build remove all playable copies.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List renditions (playable copies): those made, those that would help, and disk space."""
    settings = settled(config)
    with open_catalogue(settings) as catalogue:
        made = list(catalogue.todo.copies())
        missing = {need: _missing(catalogue, need) for need in _NEEDS}
        if drop:
            at = now()
            catalogue.append(
                Event(uuid4().hex, EventKind.RENDITION_DROPPED, at, "cli", video)
                for video, _, _ in made
            )
    taken = sum(size_bytes for _, _, size_bytes in made)
    free = shutil.disk_usage(settings.state).free
    answer: dict[str, Any] = {
        "renditions": settings.renditions,
        "made": len(made),
        "bytes": taken,
        "free_bytes": free,
        "missing": {
            need: {"videos": count, "bytes": size} for need, (count, size) in missing.items()
        },
        "dropped": len(made) if drop else 0,
    }
    lines = [f"made      {len(made)}, {formatting.file_size(taken)}"]
    for need, (count, size) in missing.items():
        about = f", about {formatting.file_size(size)}" if count else ""
        lines.append(
            f"{need:<9} {count} need{'s' * (count == 1)} {_GERUNDS[need]}{about}:"
            f" {_plan(settings, need)}"
        )
    lines.append(f"free      {formatting.file_size(free)}")
    if drop:
        lines.append(
            f"the next build removes {formatting.counted(len(made), 'copy', 'copies')};"
            f" renditions = {settings.renditions}"
        )
    show(as_json, answer, "\n".join(lines))


def _missing(catalogue: Catalogue, need: str) -> tuple[int, int]:
    """Return how many copies are missing for a need, and how large they would be together."""
    waiting = catalogue.todo.without_rendition(RenditionScope(_NEEDS[need]), _MAX)
    made_by = TRANSCODE if need == "transcode" else REMUX
    sizes = [
        estimate_bytes(video.probe, video.size_bytes, made_by) for video in catalogue.shown(waiting)
    ]
    return len(sizes), sum(sizes)


def _plan(settings: Settings, need: str) -> str:
    if settings.renditions in _SETTINGS[need]:
        return "the next build or watch makes them"
    return f'set renditions = "{_SETTINGS[need][0]}" to have them'
