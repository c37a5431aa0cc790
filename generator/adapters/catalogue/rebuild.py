"""Puts what could be salvaged, on top of a backup or alone, in the place of a damaged catalogue."""

import os
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from generator.adapters.catalogue import backup as restoring
from generator.adapters.catalogue.backup_record import checked_content
from generator.adapters.catalogue.lost_database import ENDINGS, MARK, write_mark
from generator.adapters.catalogue.salvage import SOURCE, SalvageReport, salvage_rows
from generator.adapters.catalogue.store import Catalogue
from generator.adapters.integrity_check import is_environment_error
from generator.core.errors import SettingsError
from generator.core.model import Event, EventKind


@dataclass(frozen=True, slots=True)
class SalvageResult:
    """The catalogue that was put in the place of a damaged one, which is kept."""

    report: SalvageReport
    videos: int
    events: int
    kept: Path | None
    tokens: tuple[str, ...]


def salvage_catalogue(file: Path, backup: Path | None, now: float) -> SalvageResult:
    """Replace a damaged catalogue by a backup and what can be read of the damaged one.

    Args:
        file: the damaged catalogue; it is only read, and then moved away.
        backup: an earlier copy of it; None: the log is all there is.
        now: the current instant; it names the damaged file.

    Raises:
        SettingsError: there is no catalogue, it is sound, or it is not the backup's; nothing was
            changed.
        OSError: the disk is full, or a file cannot be read; the catalogue is as before.
    """
    _require_damaged(file)
    rows = salvage_rows(file)
    clock = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    fresh = restoring.unused_file(file, f"salvaged-{clock}")
    try:
        if backup is not None:
            with restoring.open_backup(backup) as source, closing(sqlite3.connect(fresh)) as target:
                source.backup(target)
        with Catalogue(fresh, durable=False, anew=True) as catalogue:
            identity = catalogue.identity()
            if backup is not None and rows.identity not in {"", identity}:
                raise SettingsError(  # noqa: TRY301 (the file is removed below)
                    f"{backup} is a backup of another catalogue",
                    hint="nothing was changed; name a backup of this one",
                )
            report = catalogue.add_salvaged(rows)
            if backup is None and not rows.identity:
                identity = _marked(file) or identity
                catalogue.note("identity", identity)
            _ask_for_rebuild(catalogue, int(now))
            identity = catalogue.identity()
            counts = catalogue.counts()
            tokens = tuple(t.name for t in catalogue.tokens.all() if t.revoked_at is None)
        _make_one_file(fresh)
        kept = restoring.move_away(file, restoring.unused_file(file, f"damaged-{clock}"))
    except BaseException:
        for ending in ("", *ENDINGS):
            Path(f"{fresh}{ending}").unlink(missing_ok=True)
        raise
    fresh.replace(file)
    file.with_name(MARK).unlink(missing_ok=True)
    write_mark(file, identity)
    return SalvageResult(report, counts["videos"], counts["events"], kept, tokens)


def _ask_for_rebuild(catalogue: Catalogue, now: int) -> None:
    """Have the builder compare all: the pages may show events that are lost."""
    event = Event(uuid4().hex, EventKind.REBUILD_ASKED, now, SOURCE, value={"full": True})
    catalogue.append([event])


def _require_damaged(file: Path) -> None:
    if not file.is_file() or not file.stat().st_size:
        raise SettingsError(
            f"there is no catalogue {file} to salvage from",
            hint="`reelshelf restore BACKUP` restores a backup",
        )
    try:
        with closing(
            sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            damage, _, _ = checked_content(connection)
    except sqlite3.DatabaseError as error:
        if is_environment_error(error):
            raise
        return
    if not damage:
        raise SettingsError(
            f"the catalogue {file} is sound", hint="without --salvage a backup replaces it"
        )


def _marked(file: Path) -> str:
    """Return the id in the mark beside a catalogue, "" if there is none."""
    with suppress(OSError, UnicodeDecodeError):
        text = file.with_name(MARK).read_text(encoding="ascii").strip()
        if text.isalnum():
            return text
    return ""


def _make_one_file(fresh: Path) -> None:
    """Have all of a closed catalogue in its file, on the disk."""
    with closing(sqlite3.connect(fresh)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    descriptor = os.open(fresh, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
