"""History: what people did, undoing it, and the catalogue as it was at an instant."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from uuid import uuid4

from generator.adapters.catalogue import event_log
from generator.core.errors import ReelshelfError
from generator.core.model import UNDOABLE, Event, EventKind, VideoId

# as in the index `event_by_people`
_BY_PEOPLE = """(kind IN ('Rated', 'Unrated', 'Favorited', 'Unfavorited', 'Tagged', 'Untagged',
    'Retagged', 'AddedDateSet', 'ImportDeferred', 'EventUndone', 'EventRedone')
    OR batch IS NOT NULL)"""
_COLUMNS = """seq, id, kind, video, value, at, source, batch,
    EXISTS (SELECT 1 FROM undone WHERE undone.event = event.id)"""
_MARKS = ", ".join(f"'{kind}'" for kind in sorted(UNDOABLE))

_AT_ONCE = 500  # events in one transaction, some 0.8 s: others write in between
Transaction = Callable[[], AbstractContextManager[None]]


class NothingToUndoError(ReelshelfError):
    """There is no such event, or it cannot be undone or redone; nothing was changed."""


@dataclass(frozen=True, slots=True)
class PastEvent:
    """An event of the log; `is_undone` where it does not count any more."""

    seq: int
    id: str
    kind: EventKind
    video: VideoId | None
    value: Mapping[str, object]
    at: int
    source: str
    batch: str
    is_undone: bool


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """What people did at once: one event, or all of a batch. `count` is how many events it has."""

    first: PastEvent
    count: int
    undone: int


class History:
    """Queries about the log of one open catalogue, and undo."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def of_video(self, video: VideoId, limit: int, before: int = 0) -> list[PastEvent]:
        """Return what people did to a video, newest first; `before` is where the last page ended.

        Views are not listed one by one: there are too many.
        """
        return self._select(
            f"{_BY_PEOPLE} AND video IN (SELECT ? UNION ALL SELECT id FROM video"  # noqa: S608
            " WHERE merged_into = ?) AND (? = 0 OR seq < ?) ORDER BY seq DESC LIMIT ?",
            (video, video, before, before, limit),
        )

    def entries(self, limit: int, before: int = 0) -> list[HistoryEntry]:
        """Return what people did, newest first, each batch once; pages are as in `of_video`."""
        entries: list[HistoryEntry] = []
        while len(entries) < limit:
            event = next(
                iter(
                    self._select(
                        f"{_BY_PEOPLE} AND (? = 0 OR seq < ?) ORDER BY seq DESC LIMIT 1",
                        (before, before),
                    )
                ),
                None,
            )
            if event is None:
                break
            before, count, undone = event.seq, 1, int(event.is_undone)
            if event.batch:
                before, count, undone = self._connection.execute(
                    "SELECT min(seq), count(*), sum(id IN (SELECT event FROM undone)) FROM event"
                    " WHERE batch = ?",
                    (event.batch,),
                ).fetchone()
            entries.append(HistoryEntry(event, count, undone))
        return entries

    def find(self, name: str) -> list[PastEvent]:
        """Return the event with that number or id, or those of the batch with that id."""
        if name.isdigit() and name.isascii() and len(name) <= len(str(1 << 62)):
            return self._select("seq = ?", (int(name),))
        return self._select("id = ?", (name,)) or self._select(
            "batch = ? ORDER BY seq DESC", (name,)
        )

    def last_done(self) -> list[PastEvent]:
        """Return the events of the last action that is not undone."""
        events = self._select(
            f"{_BY_PEOPLE} AND kind IN ({_MARKS})"  # noqa: S608 (literals above)
            " AND id NOT IN (SELECT event FROM undone)"
            " ORDER BY seq DESC LIMIT 1",
            (),
        )
        return self._all_of(events)

    def last_undone(self) -> list[PastEvent]:
        """Return the events that the last undo undid, and that are still undone."""
        undo = self._select(
            f"{_BY_PEOPLE} AND kind = 'EventUndone'"  # noqa: S608 (literals above)
            " AND value ->> 'event' IN (SELECT event FROM undone) ORDER BY seq DESC LIMIT 1",
            (),
        )
        targets = [str(event.value["event"]) for event in self._all_of(undo)]
        events = [event for key in targets for event in self._select("id = ?", (key,))]
        return [event for event in events if event.is_undone]

    def _all_of(self, events: Sequence[PastEvent]) -> list[PastEvent]:
        if events and events[0].batch:
            return self._select("batch = ? ORDER BY seq DESC", (events[0].batch,))
        return list(events)

    def undo(
        self, events: Iterable[PastEvent], now: int, source: str, transaction: Transaction
    ) -> list[Event]:
        """Undo events by new ones, in one batch; return those.

        Raises:
            NothingToUndoError: none of them can be undone.
        """
        targets = [event for event in events if event.kind in UNDOABLE and not event.is_undone]
        return self._answer(EventKind.EVENT_UNDONE, targets, (now, source), transaction)

    def redo(
        self, events: Iterable[PastEvent], now: int, source: str, transaction: Transaction
    ) -> list[Event]:
        """Have undone events count again, likewise.

        Raises:
            NothingToUndoError: none of them is undone.
        """
        targets = [event for event in events if event.is_undone]
        return self._answer(EventKind.EVENT_REDONE, targets[::-1], (now, source), transaction)

    def _answer(
        self,
        kind: EventKind,
        targets: Sequence[PastEvent],
        now_and_source: tuple[int, str],
        transaction: Transaction,
    ) -> list[Event]:
        if not targets:
            how = "undone" if kind is EventKind.EVENT_UNDONE else "redone"
            raise NothingToUndoError(
                f"there is nothing to be {how}",
                hint="`reelshelf history` lists what people did; views older than 45 days, and what"
                " the builder recorded, stay",
            )
        batch = uuid4().hex if len(targets) > 1 else ""
        answers = [
            Event(
                uuid4().hex,
                kind,
                *now_and_source,
                target.video,
                {"event": target.id},
                batch=batch,
            )
            for target in targets
        ]
        for start in range(0, len(answers), _AT_ONCE):
            with transaction():
                for answer in answers[start : start + _AT_ONCE]:
                    event_log.append(self._connection, answer)
        return answers

    def _select(self, condition: str, values: Sequence[object]) -> list[PastEvent]:
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM event WHERE {condition}",  # noqa: S608 (literals above)
            values,
        )
        return [
            PastEvent(
                seq,
                key,
                EventKind(kind),
                None if video is None else VideoId(video),
                json.loads(value),
                at,
                source,
                batch or "",
                bool(is_undone),
            )
            for seq, key, kind, video, value, at, source, batch, is_undone in rows
        ]


def replay_until(connection: sqlite3.Connection, past: sqlite3.Connection, instant: int) -> None:
    """Fold into an empty catalogue all that was recorded until an instant.

    Views that are no longer in the log are counted by the day.
    """
    rows = connection.execute(
        "SELECT seq, id, kind, video, value, at, source, occurred_at_us, batch FROM event"
        " WHERE at <= ? ORDER BY seq",
        (instant,),
    )
    event_log.replay(past, event_log.events_in(rows))
    for video, count, day in connection.execute(
        "SELECT video, sum(count), unixepoch(max(day)) FROM views_by_day"
        " WHERE unixepoch(day) <= ? GROUP BY video",
        (instant,),
    ).fetchall():
        past.execute(
            "INSERT INTO views VALUES (?, ?, ?) ON CONFLICT (video) DO UPDATE"
            " SET count = count + excluded.count, last_at = max(last_at, excluded.last_at)",
            (video, count, day),
        )
