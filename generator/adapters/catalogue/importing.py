"""Importing: entries of other programs become events, or wait for their file.

Ids are derived from the content, so that a second import adds nothing, and one that was
interrupted is finished by the next. All events of one import are one batch.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

from generator.adapters.catalogue import deferred_imports, event_log
from generator.adapters.catalogue.deferred_imports import IdentifiedEntry
from generator.adapters.catalogue.rows import batches, from_sql
from generator.core.library.import_entries import (
    ImportEntry,
    ImportField,
    LibraryIndex,
    RejectedEntry,
    UnusableKeyError,
    entry_id,
)
from generator.core.model import Place, VideoId

_EVENTS_AT_ONCE = 5000  # in one transaction: others write in between
_Item = TypeVar("_Item")


@dataclass(slots=True)
class ImportOutcome:
    """What became of the entries of an import.

    `unchanged` counted before, or add nothing. `overruled` are stars that do not count because the
    owner gave others later, with those. `batch` is "" where nothing was written.
    """

    imported: list[ImportEntry] = field(default_factory=list)
    unchanged: list[ImportEntry] = field(default_factory=list)
    waiting: list[ImportEntry] = field(default_factory=list)
    rejected: list[RejectedEntry] = field(default_factory=list)
    overruled: list[tuple[ImportEntry, int | None]] = field(default_factory=list)
    batch: str = ""


@dataclass(frozen=True, slots=True)
class ImportTarget:
    """Where entries go, and when.

    `folders` are the paths of the library's roots, by name. `written_at` is when each source was
    written, an instant; `now` that of the import.
    """

    folders: Mapping[str, str]
    written_at: Mapping[str, int]
    now: int


def import_entries(
    connection: sqlite3.Connection,
    transaction: Callable[[], AbstractContextManager[None]],
    entries: Iterable[ImportEntry],
    target: ImportTarget,
) -> ImportOutcome:
    """Import entries, in transactions of limited length.

    Raises:
        sqlite3.OperationalError: not all was written; the same import again completes it.
    """
    outcome = ImportOutcome()
    index = LibraryIndex(_places(connection), target.folders)
    matched: list[tuple[VideoId, IdentifiedEntry]] = []
    waiting: list[IdentifiedEntry] = []
    for entry in dict.fromkeys(entries):
        if entry.field is ImportField.ADDED and int(str(entry.value)) > target.now:
            reason = "was added in the future"
            outcome.rejected.append(RejectedEntry(entry.source, entry.key, reason))
            continue
        happened_at = target.written_at.get(entry.source, target.now)
        try:
            video, path = index.find(entry.key), index.path_below(entry.key)
        except UnusableKeyError as error:
            outcome.rejected.append(RejectedEntry(entry.source, entry.key, str(error)))
            continue
        at = happened_at if entry.at is None else entry.at
        identified = IdentifiedEntry(entry_id(entry), entry, min(at, target.now), path)
        if video is None:
            waiting.append(identified)
        else:
            matched.append((video, identified))
    counted = _nearest(index, matched, outcome)
    batch = _batch_id([identified.id for _, identified in counted] + [e.id for e in waiting])
    _write(connection, transaction, counted, outcome, batch)
    _defer(connection, transaction, waiting, outcome, (target.now, batch))
    outcome.batch = batch if outcome.imported or outcome.waiting else ""
    _compare_stars(connection, counted, outcome)
    return outcome


def _places(connection: sqlite3.Connection) -> dict[VideoId, Place]:
    rows = connection.execute("SELECT id, root, path FROM video WHERE path != ''")
    return {VideoId(video): Place(root, from_sql(path)) for video, root, path in rows}


def _nearest(
    index: LibraryIndex,
    matched: Sequence[tuple[VideoId, IdentifiedEntry]],
    outcome: ImportOutcome,
) -> list[tuple[VideoId, IdentifiedEntry]]:
    nearest = deferred_imports.nearest_keys(index, matched)
    counted = []
    values = {(v, i.entry.field, i.entry.visitor): i.entry for v, i in matched if i in nearest}
    for video, identified in matched:
        if identified in nearest:
            counted.append((video, identified))
            continue
        entry = identified.entry
        other = values[video, entry.field, entry.visitor]
        if other.value == entry.value:
            outcome.unchanged.append(entry)
        else:
            reason = f"names the same file as {other.key}, which has {other.value}"
            outcome.rejected.append(RejectedEntry(entry.source, entry.key, reason))
    return counted


def _batch_id(ids: Iterable[str]) -> str:
    """Return the id of a batch: an import that is repeated after an interruption has the same."""
    return f"import-{hashlib.sha256(' '.join(sorted(ids)).encode()).hexdigest()[:16]}"


def _write(
    connection: sqlite3.Connection,
    transaction: Callable[[], AbstractContextManager[None]],
    counted: Sequence[tuple[VideoId, IdentifiedEntry]],
    outcome: ImportOutcome,
    batch: str,
) -> None:
    for portion in _portions(counted):
        with transaction():
            recorded_ids = _recorded(connection, [identified.id for _, identified in portion])
            for video, identified in portion:
                event = None
                if identified.id not in recorded_ids:
                    event = deferred_imports.event_for(connection, video, identified, batch)
                if event is None:
                    outcome.unchanged.append(identified.entry)
                else:
                    event_log.append(connection, event)
                    outcome.imported.append(identified.entry)


def _defer(
    connection: sqlite3.Connection,
    transaction: Callable[[], AbstractContextManager[None]],
    waiting: Sequence[IdentifiedEntry],
    outcome: ImportOutcome,
    now_and_batch: tuple[int, str],
) -> None:
    for portion in _portions(waiting):
        with transaction():
            recorded_ids = _recorded(connection, [entry.id for entry in portion])
            for identified in portion:
                if identified.id in recorded_ids:  # its file came, and is gone for good
                    outcome.unchanged.append(identified.entry)
                    continue
                event = deferred_imports.deferral(identified, *now_and_batch)
                if event_log.append(connection, event).new:
                    outcome.waiting.append(identified.entry)
                else:
                    outcome.unchanged.append(identified.entry)


def _portions(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), _EVENTS_AT_ONCE):
        yield items[start : start + _EVENTS_AT_ONCE]


def _recorded(connection: sqlite3.Connection, ids: Sequence[str]) -> set[str]:
    recorded_ids: set[str] = set()
    for batch in batches(ids):
        marks = ",".join("?" * len(batch))
        query = f"SELECT id FROM event WHERE id IN ({marks})"  # noqa: S608 (marks only)
        recorded_ids.update(key for (key,) in connection.execute(query, batch))
    return recorded_ids


def _compare_stars(
    connection: sqlite3.Connection,
    counted: Iterable[tuple[VideoId, IdentifiedEntry]],
    outcome: ImportOutcome,
) -> None:
    for video, identified in counted:
        entry = identified.entry
        if entry.field is ImportField.STARS and not entry.visitor:
            row = connection.execute(
                "SELECT stars FROM rating WHERE video = ?", (video,)
            ).fetchone()
            stars = row[0] if row else None
            if stars != entry.value:
                outcome.overruled.append((entry, stars))
