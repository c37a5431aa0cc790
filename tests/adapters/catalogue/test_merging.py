"""A copy becomes part of a video: nothing that a person did with either is lost, nor told twice."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.core.model import Event, EventKind, EventVerdict, VideoId

ONE, COPY, OTHER = VideoId(1), VideoId(2), VideoId(3)
DAY_S = 86400
VISITORS = ("ann", "ben", "cem")


def catalogue_of(videos: int = 3) -> Catalogue:
    made = Catalogue(Path(":memory:"))
    chance = Random(1)
    made.append([trial.found(number, chance) for number in range(1, videos + 1)])
    return made


@pytest.fixture
def catalogue() -> Iterator[Catalogue]:
    with catalogue_of() as made:
        yield made


def event_of(
    key: str, kind: EventKind, video: VideoId, at: int = trial.NOW, **value: object
) -> Event:
    return Event(key, kind, at, "owner", video, value)


def merge(catalogue: Catalogue, copy: VideoId = COPY, into: VideoId = ONE) -> None:
    catalogue.append([event_of(f"m{copy}", EventKind.VIDEO_MERGED, copy, into=into)])


def rows(catalogue: Catalogue, table: str) -> list[tuple[object, ...]]:
    return list(catalogue._connection.execute(f"SELECT * FROM {table}"))  # noqa: SLF001


def test_all_that_people_made_of_the_copy_goes_to_the_video(catalogue: Catalogue) -> None:
    catalogue.append(
        [
            event_of("1", EventKind.RATED, COPY, stars=4),
            event_of("2", EventKind.VIEWED, COPY, count=7),
            event_of("3", EventKind.VIEWED, ONE, count=5),
            event_of("4", EventKind.FAVORITED, COPY),
            event_of("5", EventKind.TAGGED, COPY, name="mine"),
            event_of("6", EventKind.UNTAGGED, COPY, name="folder"),
            event_of("7", EventKind.RATED, COPY, stars=5, visitor="ann"),
            event_of("8", EventKind.FAVORITED, COPY, visitor="ann"),
        ]
    )

    merge(catalogue)

    (figures,) = catalogue.stats([ONE])
    assert (figures.stars, figures.views, figures.favorite) == (4, 12, True)
    assert (figures.votes, figures.tags) == (1, ("mine",))
    assert (ONE, "folder", "user", 1) in rows(catalogue, "tag")
    assert catalogue.mark_of(ONE, "ann") == (5, True)
    for table in ("rating", "views", "favorite", "tag", "vote", "visitor_favorite", "vote_summary"):
        assert COPY not in {row[0] for row in rows(catalogue, table)}, table


def test_tags_that_only_the_folder_of_the_copy_gave_stay_behind(catalogue: Catalogue) -> None:
    catalogue.append([event_of("1", EventKind.FOLDER_TAGGED, COPY, folder_tags=["copies"])])

    merge(catalogue)

    assert catalogue.stats([ONE])[0].tags == ()


@pytest.mark.parametrize(("first", "second", "stars"), [(10, 20, 5), (20, 10, 2), (10, 10, 2)])
def test_of_two_ratings_the_later_one_counts(
    catalogue: Catalogue, first: int, second: int, stars: int
) -> None:
    for visitor in (None, "ann"):
        who = {} if visitor is None else {"visitor": visitor}
        catalogue.append(
            [
                event_of(f"1{visitor}", EventKind.RATED, ONE, first, stars=2, **who),
                event_of(f"2{visitor}", EventKind.RATED, COPY, second, stars=5, **who),
            ]
        )

    merge(catalogue)

    assert catalogue.stats([ONE])[0].stars == stars
    assert catalogue.mark_of(ONE, "ann")[0] == stars
    assert rows(catalogue, "vote_totals") == [(1, 1, stars)]


def test_views_of_long_ago_are_counted_by_day_for_the_video(catalogue: Catalogue) -> None:
    early = trial.NOW - DAY_S
    catalogue.append(
        [
            event_of("1", EventKind.VIEWED, ONE, early, count=3),
            event_of("2", EventKind.VIEWED, COPY, early, count=4),
            event_of("3", EventKind.VIEWED, OTHER, early, count=1),
        ]
    )
    catalogue.compact(trial.NOW + 50 * DAY_S, catalogue.last_event() + 1)

    merge(catalogue)

    ((_, count),) = catalogue.viewed(ONE)
    assert count == 7
    assert catalogue.viewed(COPY) == []


def test_views_of_the_copy_that_the_log_lets_go_later_are_the_videos_too(
    catalogue: Catalogue,
) -> None:
    catalogue.append([event_of("1", EventKind.VIEWED, OTHER, count=4)])
    merge(catalogue, OTHER, COPY)
    merge(catalogue, COPY, ONE)

    catalogue.compact(trial.NOW + 50 * DAY_S, catalogue.last_event() + 1)

    assert [count for _, count in catalogue.viewed(ONE)] == [4]
    assert rows(catalogue, "views_by_day") == [(ONE, *catalogue.viewed(ONE)[0])]


def test_what_is_told_late_of_the_copy_is_recorded_for_the_video(catalogue: Catalogue) -> None:
    merge(catalogue)

    (outcome,) = catalogue.record([event_of("late", EventKind.RATED, COPY, stars=3)])

    assert outcome.verdict is EventVerdict.RECORDED
    assert outcome.stats is not None
    assert (outcome.stats.id, outcome.stats.stars) == (ONE, 3)
    assert rows(catalogue, "rating") == [(ONE, 3, trial.NOW)]


def test_what_is_told_late_of_a_copy_of_a_copy_is_recorded_for_the_video(
    catalogue: Catalogue,
) -> None:
    merge(catalogue, OTHER, COPY)
    merge(catalogue, COPY, ONE)

    (outcome,) = catalogue.record([event_of("late", EventKind.VIEWED, OTHER)])

    assert outcome.stats is not None
    assert (outcome.stats.id, outcome.stats.views) == (ONE, 1)
    assert [(copy[0], into[0]) for copy, into in catalogue.todo.merged()] == [
        (COPY, ONE), (OTHER, ONE),
    ]  # fmt: skip


@pytest.mark.parametrize("before", [True, False])
def test_an_id_told_twice_around_the_merge_counts_once(
    catalogue: Catalogue, *, before: bool
) -> None:
    event = event_of("same", EventKind.VIEWED, COPY)
    if before:
        catalogue.record([event])
    merge(catalogue)
    first = catalogue.record([event])[0].verdict

    again = catalogue.record([event, replace(event, video=ONE)])

    assert first is (EventVerdict.REPEATED if before else EventVerdict.RECORDED)
    assert [one.verdict for one in again] == [EventVerdict.REPEATED] * 2
    assert {one.seq for one in again} == {again[0].seq}
    assert {one.stats.views for one in again if one.stats} == {1}


def test_an_id_that_is_another_events_is_refused_for_a_copy_too(catalogue: Catalogue) -> None:
    catalogue.record(
        [event_of("same", EventKind.VIEWED, COPY), event_of("other", EventKind.VIEWED, OTHER)]
    )
    merge(catalogue)

    verdicts = [
        catalogue.record([one])[0].verdict
        for one in (
            event_of("same", EventKind.FAVORITED, COPY),
            event_of("same", EventKind.VIEWED, COPY, count=2),
            event_of("other", EventKind.VIEWED, COPY),
        )
    ]

    assert verdicts == [EventVerdict.ID_IN_USE] * 3
    assert catalogue.stats([ONE])[0].views == 1


def test_a_merged_video_counts_as_no_missing_one(catalogue: Catalogue) -> None:
    merge(catalogue)

    counts = catalogue.counts()
    assert (counts["videos"], counts["missing"]) == (2, 0)
    assert catalogue.missing_for(0) == []
    assert catalogue.find(catalogue.files_of([COPY])[0].place) == COPY  # of an empty path, no file


def test_a_forgotten_video_is_forgotten_with_all_that_people_made_of_it(
    catalogue: Catalogue,
) -> None:
    catalogue.append(
        [
            event_of("1", EventKind.RATED, COPY, stars=4),
            event_of("2", EventKind.RATED, COPY, stars=2, visitor="ann"),
            event_of("3", EventKind.RATED, ONE, stars=5, visitor="ann"),
            event_of("4", EventKind.VIEWED, COPY),
            event_of("5", EventKind.VIDEO_MISSING, COPY),
            event_of("6", EventKind.VIDEO_FORGOTTEN, COPY),
        ]
    )
    catalogue.compact(trial.NOW + 50 * DAY_S, catalogue.last_event() + 1)

    assert rows(catalogue, "vote_totals") == [(1, 1, 5)]
    assert rows(catalogue, "rating") == rows(catalogue, "views_by_day") == []
    assert (
        catalogue.record([event_of("7", EventKind.VIEWED, COPY)])[0].verdict
        is EventVerdict.UNKNOWN_VIDEO
    )
    assert catalogue.counts()["missing"] == 0
    (found,) = catalogue.append([trial.found(9, Random(1))])
    assert found.video == 4  # its number stays taken


ats = st.integers(1, 5).map(lambda days: trial.NOW - days * DAY_S)
whoses = st.sampled_from([None, *VISITORS])
opinions = st.one_of(
    st.tuples(st.just(EventKind.RATED), st.integers(1, 5), whoses),
    st.tuples(st.just(EventKind.UNRATED), st.none(), whoses),
    st.tuples(st.just(EventKind.FAVORITED), st.none(), whoses),
    st.tuples(st.just(EventKind.UNFAVORITED), st.none(), whoses),
    st.tuples(st.just(EventKind.VIEWED), st.integers(1, 9), st.none()),
    st.tuples(st.just(EventKind.TAGGED), st.sampled_from("abc"), st.none()),
    st.tuples(st.just(EventKind.UNTAGGED), st.sampled_from("abc"), st.none()),
)
doings = st.lists(st.tuples(st.sampled_from([ONE, COPY, OTHER]), ats, opinions), max_size=25)
VALUES = {
    EventKind.RATED: "stars",
    EventKind.VIEWED: "count",
    EventKind.TAGGED: "name",
    EventKind.UNTAGGED: "name",
}


def event(number: int, video: VideoId, at: int, opinion: tuple[EventKind, object, object]) -> Event:
    kind, what, visitor = opinion
    value = {VALUES[kind]: what} if kind in VALUES else {}
    return event_of(
        f"d{number}", kind, video, at, **value, **({"visitor": visitor} if visitor else {})
    )


@given(doings=doings, later=doings)
def test_a_merge_loses_no_persons_doing(
    doings: list[tuple[VideoId, int, tuple[EventKind, object, object]]],
    later: list[tuple[VideoId, int, tuple[EventKind, object, object]]],
) -> None:
    with catalogue_of() as catalogue:
        catalogue.record([event(number, *deed) for number, deed in enumerate(doings)])
        before = {deed.id: deed for deed in catalogue.stats([ONE, COPY, OTHER])}
        marks = {who: [catalogue.mark_of(deed, who) for deed in (ONE, COPY)] for who in VISITORS}
        given_tags = {row[1:] for row in rows(catalogue, "tag") if row[0] in {ONE, COPY}}
        ratings = [row[1:] for row in rows(catalogue, "rating") if row[0] in {ONE, COPY}]

        merge(catalogue)

        (after,) = catalogue.stats([ONE])
        deed, copy = before[ONE], before[COPY]
        assert after.views == deed.views + copy.views
        assert after.favorite == (deed.favorite or copy.favorite)
        assert after.stars == (
            max(ratings, key=lambda row: (row[1], row[0] == deed.stars))[0] if ratings else None
        )
        said = {row[1]: row[3] for row in rows(catalogue, "tag") if row[0] == ONE}
        assert said.keys() == {name for name, *_ in given_tags}
        for who, ((stars, favorite), (other_stars, other_favorite)) in marks.items():
            now = catalogue.mark_of(ONE, who)
            assert now[0] in ({stars, other_stars} - {None} or {None})
            assert now[1] == (favorite or other_favorite)
        assert catalogue.stats([OTHER]) == [before[OTHER]]
        is_consistent(catalogue)

        catalogue.record([event(100 + number, *doing) for number, doing in enumerate(later)])
        repeated = [event(number, *doing) for number, doing in enumerate(doings)]
        repeated += [event(100 + number, *doing) for number, doing in enumerate(later)]
        figures = catalogue.stats([ONE, OTHER])
        assert all(deed.verdict is EventVerdict.REPEATED for deed in catalogue.record(repeated))
        assert catalogue.stats([ONE, OTHER]) == figures
        is_consistent(catalogue)


def is_consistent(catalogue: Catalogue) -> None:
    """Hold the sums to what they are sums of, and the copy to having nothing."""
    votes = rows(catalogue, "vote")
    assert rows(catalogue, "vote_totals") == [
        (1, len(votes), sum(int(str(row[2])) for row in votes))
    ]
    scores = {row[0]: (row[1], row[2]) for row in rows(catalogue, "vote_summary")}
    for video in (ONE, COPY, OTHER):
        here = [int(str(row[2])) for row in votes if row[0] == video]
        assert scores.get(video, (0, 0)) == (len(here), sum(here))
    for table in ("rating", "views", "favorite", "visitor_favorite", "tag", "vote"):
        assert COPY not in {row[0] for row in rows(catalogue, table)}, table


def test_the_log_tells_of_the_merge_as_of_anything_else(catalogue: Catalogue) -> None:
    merge(catalogue)

    (number, kind, value, *_), *_ = catalogue.events_of(COPY, 5)
    assert (number, kind, json.loads(value)) == (catalogue.last_event(), "VideoMerged", {"into": 1})
