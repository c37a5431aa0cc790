"""Salvage: what can still be read of a damaged catalogue, added to a backup or to nothing.

Events are folded by the ordinary route, with their ids and numbers, in their order. A number that a
lost event gave to a video stays taken, so that no event reaches another video. Nothing is guessed:
what is not whole is left out, and counted.
"""

import json
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from generator.adapters.catalogue.page_reader import StoredRow, Value, read_pages
from generator.adapters.catalogue.rows import from_sql
from generator.core.errors import SettingsError
from generator.core.model import Event, EventKind, Token, VideoId

SOURCE = "salvage"  # of events that stand for lost ones
_KINDS = {kind.value: kind for kind in EventKind}
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_FACT = re.compile(r"(?![0-9a-f]{64}$)[a-z][a-z_ ]*(/.*)?")  # not a row of the index of digests
_OWN_FACTS = frozenset({"identity", "compacted"})  # of the catalogue that is added to
_FOUND = (  # the first columns of a video, after its number
    "slug", "root", "path", "title", "added_at", "recorded_at", "size_bytes", "mtime_ns",
    "fingerprint", "container",
)  # fmt: skip
_FEWEST_COLUMNS = 19  # of a video, in the first release
Inserter = Callable[[Event], object]


@dataclass(frozen=True, slots=True)
class SalvagedEvent:
    """An event that was read whole, with its number."""

    seq: int
    event: Event
    video: VideoId | None


@dataclass(slots=True)
class SalvagedRows:
    """What could be read of a catalogue.

    `conflicts` are numbers that two different events have; neither is used. `videos` are the first
    columns of videos, for those whose first event is lost.
    """

    events: dict[int, SalvagedEvent] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    views_by_day: dict[tuple[int, str], int] = field(default_factory=dict)
    videos: dict[VideoId, dict[str, object]] = field(default_factory=dict)
    conflicts: set[int] = field(default_factory=set)
    unreadable_pages: int = 0

    @property
    def identity(self) -> str:
        """Return the id of the catalogue, "" if it was lost."""
        return self.facts.get("identity", "")


@dataclass(frozen=True, slots=True)
class SalvageReport:
    """What a salvage did.

    `read` events were readable, of which `added` were not in the backup; `lost` numbers are in the
    log no more, apart from views that were compacted; `failed` events could not be folded.
    """

    read: int
    added: int
    lost: tuple[tuple[int, int], ...]
    failed: tuple[tuple[str, str], ...]
    videos_lost: int
    tokens: int
    views_added: int
    unreadable_pages: int


def salvage_rows(file: Path) -> SalvagedRows:
    """Return all that can be read of a catalogue, however damaged; the file stays as it is.

    Raises:
        OSError: the file itself cannot be read.
    """
    reader = read_pages(file)
    rows = SalvagedRows()
    for row in reader.rows():
        if row.number is not None:
            _take_event(rows, row)
            _take_video(rows, row)
        else:
            _take_other(rows, row)
    for seq in rows.conflicts:
        rows.events.pop(seq, None)
    rows.unreadable_pages = reader.unreadable
    return rows


def _take_event(rows: SalvagedRows, row: StoredRow) -> None:
    salvaged = _event(row)
    if salvaged is None:
        return
    before = rows.events.setdefault(salvaged.seq, salvaged)
    if before != salvaged:
        rows.conflicts.add(salvaged.seq)


def _event(row: StoredRow) -> SalvagedEvent | None:
    """Return the event that a row is, None if it is another table's."""
    values = row.values
    if (
        len(values) not in {7, 8, 9, 10}
        or values[0] is not None
        or row.number is None
        or row.number < 1
    ):
        return None
    _, key, kind, video, value, at, source, occurred_at_us, batch = (*values, None, None)[:9]
    if not (
        isinstance(key, str) and key
        and isinstance(kind, str) and kind in _KINDS
        and (video is None or isinstance(video, int))
        and isinstance(value, str)
        and isinstance(at, int)
        and isinstance(source, str)
        and (occurred_at_us is None or isinstance(occurred_at_us, int))
        and (batch is None or isinstance(batch, str))
    ):  # fmt: skip
        return None
    try:
        content = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    about = None if video is None else VideoId(video)
    event = Event(key, _KINDS[kind], at, source, about, content, occurred_at_us, batch or "")
    return SalvagedEvent(row.number, event, about)


def _take_video(rows: SalvagedRows, row: StoredRow) -> None:
    first = row.values[: len(_FOUND) + 1]
    if len(row.values) < _FEWEST_COLUMNS or row.number is None or row.number < 1:
        return
    if first[0] is None and list(map(_is_column, _FOUND, first[1:])) == [True] * len(_FOUND):
        value: dict[str, object] = dict(zip(_FOUND, first[1:], strict=True))
        path = first[1 + _FOUND.index("path")]
        assert isinstance(path, str | bytes)
        if path:
            rows.videos.setdefault(
                VideoId(row.number), {**value, "path": from_sql(path), "folder_tags": []}
            )


def _is_column(name: str, value: Value) -> bool:
    if name == "path":
        return isinstance(value, str | bytes)
    is_number = name.endswith(("_at", "_bytes", "_ns"))
    return isinstance(value, int) if is_number else isinstance(value, str)


def _token(first: tuple[str, str, str, int, int | None], rest: Sequence[object]) -> Token | None:
    """Return the token of a row: an owner's only where that is certain."""
    match rest:
        case []:  # of a catalogue in which all are the owner's
            return Token(*first)
        case [0, None, None]:
            return Token(*first)
        case [1, None | int() as expires_at, None | str() as feed]:
            return Token(*first, True, expires_at, feed)  # noqa: FBT003 (the column of a viewer)
        case _:
            return None


def _take_other(rows: SalvagedRows, row: StoredRow) -> None:
    match row.values:
        case (str() as name, str() as value) if _FACT.fullmatch(name):
            rows.facts.setdefault(name, value)
        case (int() as video, str() as day, int() as count) if _DAY.fullmatch(day):
            rows.views_by_day.setdefault((video, day), count)
        case (str() as key, str() as name, str() as digest, int() as made, revoked, *rest) if (
            len(digest) == 64 and (revoked is None or isinstance(revoked, int))  # noqa: PLR2004 (SHA-256)
        ):
            token = _token((key, name, digest, made, revoked), rest)
            before = rows.tokens.get(key)
            if token is not None and (before is None or before.revoked_at is None):
                rows.tokens[key] = token  # a revoked one stays so
        case _:
            pass


# -- adding them


def add_salvaged(
    connection: sqlite3.Connection, rows: SalvagedRows, insert: Inserter
) -> SalvageReport:
    """Add what a catalogue lacks, within a transaction of its.

    Args:
        connection: to the catalogue: a restored backup, or an empty one.
        rows: what was read of the damaged one.
        insert: appends an event, and folds it.

    Raises:
        SettingsError: both were one catalogue once, but each has events that the other has not.
    """
    log = dict(connection.execute("SELECT seq, id FROM event"))
    _require_one_history(log, rows)
    ids = set(log.values())
    counted = max(_compacted_until(rows.facts), _compacted_until(_facts_of(connection)))
    missing = [
        salvaged
        for seq, salvaged in sorted(rows.events.items())
        if salvaged.event.id not in ids
        and (seq > counted or salvaged.event.kind is not EventKind.VIEWED)  # they are, by day
    ]
    newest = max(log, default=0)
    failed: list[tuple[str, str]] = []
    placeholders = 0
    for salvaged in missing:
        connection.execute("SAVEPOINT salvaged")
        try:
            placeholders += _take_numbers(connection, salvaged, rows, insert)
            if salvaged.seq > newest:
                _number_next(connection, salvaged.seq)
            insert(salvaged.event)
        except (sqlite3.Error, ValueError, LookupError, TypeError, AssertionError) as error:
            connection.execute("ROLLBACK TO salvaged")
            failed.append((salvaged.event.id, f"{type(error).__name__}: {error}"))
        finally:
            connection.execute("RELEASE salvaged")
    views = _add_views(connection, rows)
    tokens = _add_tokens_and_facts(connection, rows, is_empty=not log)
    return SalvageReport(
        len(rows.events), len(missing) - len(failed), _gaps(connection, newest), tuple(failed),
        placeholders, tokens, views, rows.unreadable_pages,
    )  # fmt: skip


def _require_one_history(log: Mapping[int, str], rows: SalvagedRows) -> None:
    for seq in sorted(rows.events):
        if seq in log and log[seq] != rows.events[seq].event.id:
            raise SettingsError(
                f"the backup and the damaged catalogue have different events since number {seq}",
                hint="nothing was changed; name a backup that was made after the last restore",
            )


def _compacted_until(facts: Mapping[str, str]) -> int:
    """Return the number of the last event whose views are counted by day."""
    number = facts.get("compacted", "")
    return int(number) if number.isdecimal() else 0


def _facts_of(connection: sqlite3.Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT name, value FROM fact"))


def _take_numbers(
    connection: sqlite3.Connection, salvaged: SalvagedEvent, rows: SalvagedRows, insert: Inserter
) -> int:
    """Have a number of a video that is lost stay taken; return how many were.

    If its row was readable, it is found again; if not, it is as one that was forgotten.
    """
    if salvaged.video is None:
        return 0
    (highest,) = connection.execute("SELECT coalesce(max(id), 0) FROM video").fetchone()
    is_new = salvaged.event.kind is EventKind.VIDEO_FOUND
    lost = range(highest + 1, salvaged.video + (not is_new))
    at = salvaged.event.at
    for video in lost:
        value = rows.videos.get(VideoId(video))
        if value is not None:
            name = f"salvaged-{rows.identity}-{video}"
            insert(Event(name, EventKind.VIDEO_FOUND, at, SOURCE, value=value))
            _move_into_gap(connection, name)
            continue
        connection.execute(
            "INSERT INTO video (id, slug, root, path, title, added_at, recorded_at, size_bytes,"
            " mtime_ns, fingerprint, container, missing_at, dropped, storyboard_tried,"
            " sidecar_digest) VALUES (?, 'video', '', '', '', ?, ?, 0, 0, '', '', ?, 1, 1, '')",
            (video, at, at, at),
        )
    return len(lost)


def _move_into_gap(connection: sqlite3.Connection, key: str) -> None:
    """Give an event that stands for a lost one a number that no event has, the last there is."""
    connection.execute(
        "UPDATE OR IGNORE event SET seq = coalesce((SELECT max(seq) + 1 FROM event AS before"
        " WHERE before.seq < event.seq - 1"
        " AND NOT EXISTS (SELECT 1 FROM event AS after WHERE after.seq = before.seq + 1)), seq)"
        " WHERE id = ?",
        (key,),
    )


def _number_next(connection: sqlite3.Connection, seq: int) -> None:
    """Have the next event get this number."""
    connection.execute("DELETE FROM sqlite_sequence WHERE name = 'event'")
    connection.execute("INSERT INTO sqlite_sequence VALUES ('event', ?)", (seq - 1,))


def _gaps(connection: sqlite3.Connection, after: int) -> tuple[tuple[int, int], ...]:
    """Return the ranges of numbers after one that no event has."""
    gaps, before = [], after
    for (seq,) in connection.execute("SELECT seq FROM event WHERE seq > ? ORDER BY seq", (after,)):
        if seq > before + 1:
            gaps.append((before + 1, seq - 1))
        before = seq
    return tuple(gaps)


def _add_views(connection: sqlite3.Connection, rows: SalvagedRows) -> int:
    """Add the views by day that neither the log nor the catalogue has; return how many."""
    compacted = _compacted_until(rows.facts)
    added = 0
    for (video, day), count in rows.views_by_day.items():
        (here,) = connection.execute(
            "SELECT coalesce((SELECT count FROM views_by_day WHERE video = ?1 AND day = ?2), 0)"
            " + (SELECT coalesce(sum(coalesce(value ->> 'count', 1)), 0) FROM event"
            " WHERE video IN (SELECT ?1 UNION ALL SELECT id FROM video WHERE merged_into = ?1)"
            " AND kind = 'Viewed' AND seq <= ?3"
            " AND date(at, 'unixepoch') = ?2)",
            (video, day, compacted),
        ).fetchone()
        is_there = connection.execute(
            "SELECT 1 FROM video WHERE id = ? AND path != ''", (video,)
        ).fetchone()
        if count <= here or not is_there:
            continue
        more = count - here
        added += more
        connection.execute(
            "INSERT INTO views_by_day VALUES (?, ?, ?)"
            " ON CONFLICT (video, day) DO UPDATE SET count = count + excluded.count",
            (video, day, more),
        )
        connection.execute(
            "INSERT INTO views VALUES (?1, ?2, unixepoch(?3)) ON CONFLICT (video) DO UPDATE"
            " SET count = count + excluded.count, last_at = max(last_at, excluded.last_at)",
            (video, more, day),
        )
    return added


def _add_tokens_and_facts(
    connection: sqlite3.Connection, rows: SalvagedRows, *, is_empty: bool
) -> int:
    connection.executemany(
        "INSERT INTO token (id, name, digest, created_at, revoked_at, is_viewer, expires_at,"
        " feed_digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE"
        " SET revoked_at = coalesce(revoked_at, excluded.revoked_at)",
        [
            (
                token.id,
                token.name,
                token.digest,
                token.created_at,
                token.revoked_at,
                token.is_viewer,
                token.expires_at,
                token.feed_digest,
            )
            for token in rows.tokens.values()
        ],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO fact VALUES (?, ?)",
        [(name, value) for name, value in rows.facts.items() if is_empty or name not in _OWN_FACTS],
    )
    return len(rows.tokens)
