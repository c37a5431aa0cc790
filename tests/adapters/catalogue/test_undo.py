"""Undo: an undone event changes what it would have been without it, and the log stays true."""

import sqlite3

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from opinions import catalogue_with, merger, opinions, people_state, record

from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.adapters.catalogue.history import NothingToUndoError
from generator.core.model import UNDOABLE, Event, EventKind, VideoId

ONE = VideoId(1)
NOW = trial.NOW + 100


def event(key: str, kind: EventKind, *, batch: str = "", **value: object) -> Event:
    return Event(key, kind, trial.NOW, "owner", ONE, value, batch=batch)


def undo(catalogue: Catalogue, *names: str) -> None:
    for name in names:
        catalogue.undo(catalogue.history.find(name), NOW, "owner")


@settings(max_examples=examples(40, thorough=300))
@given(events=opinions(), data=st.data())
def test_undoing_equals_never_having_done_it(events: list[Event], data: st.DataObject) -> None:
    undone = data.draw(st.sets(st.sampled_from([event.id for event in events]), min_size=1))
    merged_at = data.draw(st.none() | st.integers(0, len(events)))
    undone_early = data.draw(st.booleans())
    redone = data.draw(st.sets(st.sampled_from(sorted(undone))))
    never = undone - redone

    split = len(events) if merged_at is None else merged_at
    with catalogue_with(events[:split]) as catalogue:
        if undone_early:
            undo(catalogue, *sorted(undone & {event.id for event in events[:split]}))
        catalogue.append([] if merged_at is None else [merger(2, 1)])
        for late in events[split:]:
            record(catalogue, late)
        left = {event.id for event in events[split:]} if undone_early else undone
        undo(catalogue, *sorted(undone & left))
        for key in sorted(redone):
            catalogue.redo(catalogue.history.find(key), NOW, "owner")
        answer = people_state(catalogue)
        log = [row[0] for row in catalogue._connection.execute("SELECT id FROM event")]  # noqa: SLF001
    kept = [event for event in events[:split] if event.id not in never]
    kept += [merger(2, 1)] if merged_at is not None else []
    kept += [event for event in events[split:] if event.id not in never]
    with catalogue_with(kept) as without:
        assert answer == people_state(without)
    assert {event.id for event in events} <= set(log)


@settings(max_examples=examples(40, thorough=300))
@given(events=opinions(), data=st.data())
def test_the_past_is_what_the_log_had_until_then(events: list[Event], data: st.DataObject) -> None:
    undone = data.draw(st.lists(st.sampled_from([event.id for event in events]), unique=True))
    with catalogue_with([*events, merger(2, 1)]) as catalogue:
        undo(catalogue, *undone)
        with catalogue.at(NOW) as same:
            assert people_state(same) == people_state(catalogue)
        with catalogue.at(NOW - 1) as before, catalogue_with([*events, merger(2, 1)]) as never:
            assert people_state(before) == people_state(never)


def test_every_kind_of_event_by_people_can_be_undone() -> None:
    by_people = {
        EventKind.RATED, EventKind.UNRATED, EventKind.VIEWED, EventKind.FAVORITED,
        EventKind.UNFAVORITED, EventKind.TAGGED, EventKind.UNTAGGED, EventKind.RETAGGED,
        EventKind.ADDED_DATE_SET, EventKind.IMPORT_DEFERRED,
    }  # fmt: skip

    assert by_people == UNDOABLE


def test_a_batch_is_undone_and_redone_as_a_whole() -> None:
    events = [
        event("first", EventKind.RATED, stars=2),
        event("a", EventKind.RATED, stars=5, batch="b"),
        event("b", EventKind.TAGGED, names=["mine"], batch="b"),
        event("c", EventKind.VIEWED, count=7, batch="b"),
    ]
    with catalogue_with(events) as catalogue, catalogue_with(events[:1]) as without:
        whole, history = people_state(catalogue), catalogue.history
        catalogue.undo(history.last_done(), NOW, "owner")
        assert people_state(catalogue) == people_state(without)
        catalogue.redo(history.last_undone(), NOW, "owner")
        assert people_state(catalogue) == whole
        entries = [(entry.first.kind, entry.count, entry.undone) for entry in history.entries(9)]
        assert entries[-2:] == [(EventKind.VIEWED, 3, 0), (EventKind.RATED, 1, 0)]


def test_undo_goes_back_step_by_step_and_redo_forward() -> None:
    events = [event(str(stars), EventKind.RATED, stars=stars) for stars in (1, 2, 3)]
    with catalogue_with(events) as catalogue:
        stars = []
        for _ in range(3):
            catalogue.undo(catalogue.history.last_done(), NOW, "owner")
            stars.append(catalogue.stats([ONE])[0].stars)
        for _ in range(3):
            catalogue.redo(catalogue.history.last_undone(), NOW, "owner")
            stars.append(catalogue.stats([ONE])[0].stars)
        assert stars == [2, 1, None, 1, 2, 3]
        with pytest.raises(NothingToUndoError):
            catalogue.redo(catalogue.history.last_undone(), NOW, "owner")


@pytest.mark.parametrize("name", ["folder", "no such event", "999999", "1" * 40, ""])
def test_what_the_builder_recorded_is_not_undone(name: str) -> None:
    with catalogue_with([]) as catalogue:
        before = catalogue.last_event()
        with pytest.raises(NothingToUndoError, match="nothing to be undone"):
            catalogue.undo(catalogue.history.find(name), NOW, "owner")
        assert catalogue.last_event() == before


def test_an_undone_view_is_not_counted_by_the_day_either() -> None:
    views = [event("a", EventKind.VIEWED), event("b", EventKind.VIEWED, count=4)]
    with catalogue_with(views) as catalogue:
        undo(catalogue, "b")
        later = trial.NOW + 100 * 86400
        while catalogue.compact(later, catalogue.last_event()):
            pass
        assert [count for _, count in catalogue.viewed(ONE)] == [1]
        assert catalogue.stats([ONE])[0].views == 1
        with catalogue.at(later) as past:
            assert past.stats([ONE])[0].views == 1


def test_the_history_is_read_by_its_index() -> None:
    with catalogue_with([]) as catalogue:
        connection: sqlite3.Connection = catalogue._connection  # noqa: SLF001
        statements: list[str] = []
        connection.set_trace_callback(statements.append)
        catalogue.history.entries(5)
        catalogue.history.last_done()
        connection.set_trace_callback(None)
        plans = [
            row[3]
            for statement in statements
            for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")
        ]
        assert sum("event_by_people" in plan for plan in plans) == 2, plans


def test_the_past_may_lie_before_the_video_of_an_undone_event() -> None:
    with catalogue_with([]) as catalogue:
        opinion = Event("old", EventKind.RATED, 1, "import", ONE, {"stars": 3})
        catalogue.append([opinion])
        catalogue.undo(catalogue.history.find("old"), 2, "owner")
        with catalogue.at(3) as past:
            assert list(past.shown()) == []


def test_others_write_during_a_long_undo_and_an_interrupted_one_is_completed() -> None:
    events = [event(f"e{n}", EventKind.VIEWED, batch="long") for n in range(1200)]
    with catalogue_with(events) as catalogue:
        begun = []
        connection: sqlite3.Connection = catalogue._connection  # noqa: SLF001

        def trace(statement: str) -> None:
            begun.extend([statement] * statement.startswith("BEGIN"))
            if len(begun) == 3:
                connection.interrupt()

        connection.set_trace_callback(trace)
        with pytest.raises(sqlite3.OperationalError):
            undo(catalogue, "long")
        connection.set_trace_callback(None)
        assert catalogue.stats([ONE])[0].views == 200
        undo(catalogue, "long")
        assert catalogue.stats([ONE])[0].views == 0
