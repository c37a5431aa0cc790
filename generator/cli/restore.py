"""`restore`: a backup of the catalogue in the place of one that is lost, damaged or wrong."""

import time
from pathlib import Path
from typing import Annotated

import typer

from generator.adapters.catalogue import (
    Catalogue,
    CheckedBackup,
    check_backup,
    list_backups,
    salvage_catalogue,
)
from generator.adapters.catalogue import restore_backup as restore_catalogue
from generator.adapters.settings import Settings, load
from generator.cli.help import CARE
from generator.cli.options import Config, Json, app, settled, show
from generator.core.errors import SettingsError
from generator.core.formatting import counted, file_size, readable, rfc3339


@app.command(rich_help_panel=CARE)
def restore(
    backup: Annotated[
        Path | None, typer.Argument(help="A copy of catalogue.db; without it, list the backups.")
    ] = None,
    config: Config = None,
    latest: Annotated[
        bool, typer.Option("--latest", help="Restore the newest backup that is sound.")
    ] = False,
    salvage: Annotated[
        bool, typer.Option("--salvage", help="Add what can be read of the damaged catalogue.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Restore the catalogue from a checked backup, or list the backups; the previous one is kept.

    A running API or builder continues with the restored catalogue.
    """
    if backup is not None and latest:
        raise SettingsError("--latest and a backup are two", hint="omit one of them")
    settings = load(config, {}) if backup is not None else settled(config)
    if latest:
        backup = _newest(settings)
    if salvage:
        _salvage(settings, backup, as_json=as_json)
        return
    if backup is None:
        _list(settings, as_json=as_json)
        return
    file = settings.state / "catalogue.db"
    restored = restore_catalogue(backup, file, time.time())
    Catalogue(file).close()  # brings an older one up to date
    holds = f"{counted(restored.videos, 'video')}, {counted(restored.events, 'event')}"
    lines = [
        f"restored {file} from {backup}: {holds}",
        f"previous catalogue saved as {restored.kept}"
        if restored.kept
        else "there was no previous catalogue",
        f"valid tokens: {', '.join(map(readable, restored.tokens)) or 'none'}",
        "`reelshelf build` (or a running `reelshelf watch`) brings the pages up to date",
    ]
    answer = {
        "restored": str(file),
        "backup": str(backup),
        "videos": restored.videos,
        "events": restored.events,
        "kept": str(restored.kept) if restored.kept else None,
        "tokens": list(restored.tokens),
    }
    show(as_json, answer, "\n".join(lines))


def _salvage(settings: Settings, backup: Path | None, *, as_json: bool) -> None:
    file = settings.state / "catalogue.db"
    made = salvage_catalogue(file, backup, time.time())
    report = made.report
    gaps = [f"{first}" if first == last else f"{first}-{last}" for first, last in report.lost]
    basis = f"on top of {backup}" if backup else "from its log alone"
    holds = f"{counted(made.videos, 'video')}, {counted(made.events, 'event')}"
    unread = f"{counted(report.unreadable_pages, 'page')} could not be read"
    lines = [
        f"salvaged {file} {basis}: {holds}",
        f"read {counted(report.read, 'event')}, of which {report.added} were added; {unread}",
        *(
            [f"views counted by day that were added: {report.views_added}"]
            * bool(report.views_added)
        ),
        *([f"numbers that no event has (lost, or old views): {', '.join(gaps)}"] * bool(gaps)),
        *(
            [f"{counted(report.videos_lost, 'video')} without a first event"]
            * bool(report.videos_lost)
        ),
        *[f"could not be applied: {readable(name)}: {reason}" for name, reason in report.failed],
        f"damaged catalogue saved as {made.kept}",
        f"valid tokens: {', '.join(map(readable, made.tokens)) or 'none'}",
        "`reelshelf build` (or a running `reelshelf watch`) brings the pages up to date",
    ]
    answer = {
        "salvaged": str(file),
        "backup": str(backup) if backup else None,
        "videos": made.videos,
        "events": made.events,
        "read": report.read,
        "added": report.added,
        "missing_numbers": [list(gap) for gap in report.lost],
        "failed": [{"event": name, "reason": reason} for name, reason in report.failed],
        "videos_lost": report.videos_lost,
        "views_added": report.views_added,
        "unreadable_pages": report.unreadable_pages,
        "kept": str(made.kept) if made.kept else None,
        "tokens": list(made.tokens),
    }
    show(as_json, answer, "\n".join(lines))


def _newest(settings: Settings) -> Path:
    """Return the newest sound backup.

    Raises:
        SettingsError: there is none.
    """
    for at, file in list_backups(settings.state, settings.backups):
        if not check_backup(file, at).damage:
            return file
    raise SettingsError(
        f"there is no sound backup in {settings.backups}",
        hint="`reelshelf restore` lists all; `reelshelf restore FILE` takes one from elsewhere",
    )


def _list(settings: Settings, *, as_json: bool) -> None:
    backups = [
        check_backup(file, at) for at, file in list_backups(settings.state, settings.backups)
    ]
    answer = [
        {
            "file": str(each.file),
            "at": rfc3339(each.at),
            "bytes": each.size_bytes,
            "events": each.events,
            "videos": each.videos,
            "sound": not each.damage,
            "damage": each.damage or None,
        }
        for each in backups
    ]
    lines = [_line(each) for each in backups] or [
        f"no backups in {settings.backups}; `reelshelf backup` makes one"
    ]
    show(as_json, {"backups": answer}, "\n".join(lines))


def _line(backup: CheckedBackup) -> str:
    state = f"damaged: {backup.damage}" if backup.damage else f"{counted(backup.events, 'event')}"
    size = file_size(backup.size_bytes)
    return f"{rfc3339(backup.at)}  {size:>9}  {backup.file}  {state}"
