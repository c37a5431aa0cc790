"""`maintain`: the weekly care of a site: checks, a backup, and space that nothing needs."""

import sqlite3
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from generator.adapters.catalogue import make_backup
from generator.adapters.catalogue.backup_copy import rotate
from generator.adapters.catalogue.backup_record import read_record, restore_advice
from generator.adapters.catalogue.maintenance import (
    check_catalogue,
    compactable,
    free_space,
    kept_copies,
    optimize,
    vacuum,
)
from generator.adapters.ledger import Ledger
from generator.adapters.settings import Settings
from generator.cli.help import CARE
from generator.cli.options import Config, Json, app, now, open_catalogue, settled, show
from generator.core.errors import DamagedError, ReelshelfError
from generator.core.formatting import counted, file_size

_DAY_S = 86400


@dataclass(slots=True)
class _Maintenance:
    """What was found and done, or would be done."""

    settings: Settings
    dry_run: bool
    vacuums_anyway: bool
    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=dict)
    saved_bytes: int = 0

    @property
    def catalogue(self) -> Path:
        return self.settings.state / "catalogue.db"

    def wrong(self, problem: str, hint: str = "") -> None:
        self.problems.append(problem)
        self.lines += [f"problem    {problem}", *([f"           {hint}"] * bool(hint))]


@app.command(rich_help_panel=CARE)
def maintain(
    config: Config = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check, and say what would be done.")
    ] = False,
    vacuum_anyway: Annotated[
        bool,
        typer.Option("--vacuum", help="Shrink a large catalogue even if writers have to wait."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Check the databases, back up, and free space; exit with 1 if something is wrong.

    Meant for once a week; the API and a builder may be running.
    """
    settings = settled(config)
    with suppress(DamagedError):  # which is reported below
        open_catalogue(settings).close()  # one that is lost is reported, and an older one migrated
    care = _Maintenance(settings, dry_run, vacuum_anyway)
    is_sound, has_sound_ledger = _check(care)
    if is_sound:
        _back_up(care)
        if has_sound_ledger:
            _compact(care)
        _orphans(care)
        _optimize(care)
        _vacuum(care)
    _copies(care)
    verb = "could be freed" if dry_run else "freed"
    care.lines.append(f"in all     {file_size(max(care.saved_bytes, 0))} {verb}")
    answer = {
        **care.answer,
        "saved_bytes": care.saved_bytes,
        "problems": care.problems,
        "dry_run": dry_run,
    }
    show(as_json, answer, "\n".join(care.lines))
    if care.problems:
        raise typer.Exit(1)


def _check(care: _Maintenance) -> tuple[bool, bool]:
    """Check both databases; return whether the catalogue and the ledger are sound."""
    damage = check_catalogue(care.catalogue)
    if damage:
        care.wrong(
            f"the catalogue {care.catalogue} is damaged: {damage}",
            restore_advice(care.settings.state),
        )
    ledger_damage = ""
    try:
        with Ledger(care.settings.state / "ledger.db", reads_only=True) as ledger:
            error_of_ledger = ledger.damage_found()
        ledger_damage = str(error_of_ledger or "")
    except ReelshelfError as error:
        ledger_damage = str(error)
    if ledger_damage:
        care.wrong(ledger_damage, "`reelshelf build --full` rebuilds it; nothing is lost")
    care.answer["checked"] = {"catalogue": damage or "ok", "ledger": ledger_damage or "ok"}
    if not damage and not ledger_damage:
        care.lines.append("checked    catalogue and ledger are sound")
    return not damage, not ledger_damage


def _back_up(care: _Maintenance) -> None:
    settings = care.settings
    if care.dry_run:
        old, freed = rotate(settings.state, max(settings.backups_keep - 1, 1), dry_run=True)
        stray = list(read_record(settings.state).temporary)
        care.answer |= {"backup": None, "deleted_backups": list(old), "stray_files": stray}
        care.lines += [
            f"backup     would be made in {settings.backups}",
            *(f"backup     {file} would be deleted" for file in old),
        ]
        care.saved_bytes += freed
        return
    try:
        made = make_backup(care.catalogue, settings.backups, keep=settings.backups_keep, now=now())
    except ReelshelfError as error:
        care.wrong(str(error), error.hint)
        care.answer |= {"backup": None, "deleted_backups": [], "stray_files": []}
        return
    care.answer |= {
        "backup": str(made.file),
        "backup_bytes": made.size_bytes,
        "backup_seconds": round(made.seconds, 3),
        "deleted_backups": list(made.deleted),
        "stray_files": list(made.stray),
    }
    holds = f"{file_size(made.size_bytes)}, {counted(made.events, 'event')}"
    care.lines += [
        f"backup     {made.file} ({holds}, {made.seconds:.1f} s)",
        *(f"backup     deleted {file}" for file in made.deleted),
        *(f"stray      deleted {file}" for file in made.stray),
    ]
    care.saved_bytes += made.freed_bytes


def _compact(care: _Maintenance) -> None:
    """Replace old views by counts per day, as far as pages show them."""
    with (
        open_catalogue(care.settings) as catalogue,
        Ledger(care.settings.state / "ledger.db", reads_only=True) as ledger,
    ):
        cursor = int(ledger.fact("cursor") or 0)
        if ledger.fact("cursor_event") != catalogue.event_id(cursor):
            cursor = 0  # the pages are of another history, until the next build
        count = compactable(care.catalogue, now(), cursor)
        while not care.dry_run and catalogue.compact(now(), cursor):
            pass
    care.answer["compacted_views"] = count
    verb = "would be" if care.dry_run else "are"
    care.lines.append(f"log        {counted(count, 'old view')} {verb} counted by day")


def _orphans(care: _Maintenance) -> None:
    days = care.settings.forget_missing_days
    with open_catalogue(care.settings) as catalogue:
        missing = catalogue.counts()["missing"]
        due = len(catalogue.missing_for(days * _DAY_S)) if days else 0
    care.answer |= {"missing": missing, "to_be_forgotten": due}
    when = f"{due} of them are forgotten at the next scan" if days else "kept for ever"
    care.lines.append(f"missing    {counted(missing, 'video')}" + (f" ({when})" if missing else ""))


def _optimize(care: _Maintenance) -> None:
    care.answer["optimized"] = False
    if care.dry_run:
        return
    try:
        optimize(care.catalogue)
    except sqlite3.OperationalError as error:
        care.wrong(f"the catalogue could not be optimized: {error}", "run this again later")
        return
    care.answer["optimized"] = True
    care.lines.append("optimized  the statistics that queries are planned with")


def _vacuum(care: _Maintenance) -> None:
    space = free_space(care.catalogue)
    care.answer["vacuum"] = {"free_bytes": space.free_bytes, "seconds": None, "freed_bytes": 0}
    free = f"{file_size(space.free_bytes)} of {file_size(space.file_bytes)} are free"
    if not space.is_worth_it:
        care.lines.append(f"vacuum     not worth it: {free}")
        return
    if not space.is_quick and not care.vacuums_anyway:
        care.lines.append(
            f"vacuum     left out: {free}, but writers might wait for {space.blocks_s:.0f} s;"
            " stop the API and run `reelshelf maintain --vacuum`"
        )
        return
    if care.dry_run:
        care.lines.append(f"vacuum     would be done: {free}")
        care.saved_bytes += space.free_bytes
        return
    try:
        done = vacuum(care.catalogue)
    except sqlite3.OperationalError as error:
        care.wrong(f"the catalogue could not be vacuumed: {error}", "it is as before")
        return
    care.answer["vacuum"] |= {"seconds": round(done.seconds, 3), "freed_bytes": done.freed_bytes}
    care.lines.append(
        f"vacuum     {file_size(done.freed_bytes)} freed; writers waited for {done.seconds:.1f} s"
    )
    care.saved_bytes += done.freed_bytes


def _copies(care: _Maintenance) -> None:
    copies = [(str(file), size) for file, size in kept_copies(care.settings.state)]
    care.answer["kept_copies"] = [{"file": file, "bytes": size} for file, size in copies]
    care.lines += [
        f"copy       {file} ({file_size(size)}) is kept by a restore; delete it if it is not needed"
        for file, size in copies
    ]
