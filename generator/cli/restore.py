"""`restore`: a backup of the catalogue in the place of one that is lost, damaged or wrong."""

import time
from pathlib import Path
from typing import Annotated

import typer

from generator.adapters.catalogue import Catalogue, CheckedBackup, check_backup, list_backups
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
