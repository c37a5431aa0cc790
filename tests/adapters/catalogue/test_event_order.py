"""What waited in a queue counts in the order in which it was told, whenever it comes."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.core.model import Event, EventKind, EventVerdict, VideoId

NAMES = ("fjord", "winter", "boat")
TABLES = {
    "rating": "video, stars, at",
    "vote": "video, visitor, stars, at",
    "favorite": "video, at",
    "visitor_favorite": "video, visitor, at",
    "shown_tag": "video, name",
    "tag": "video, name, source, removed",
    "views": "video, count, last_at",
    "vote_summary": "video, votes, stars_total",
    "vote_totals": "votes, stars_total",
}
visitors = st.sampled_from([{}, {}, {"visitor": "ann"}, {"visitor": "ben"}])
names = st.lists(st.sampled_from(NAMES), unique=True, max_size=3).map(lambda some: {"names": some})
deeds = st.one_of(
    st.tuples(
        st.just(EventKind.RATED),
        st.builds(lambda who, stars: {**who, "stars": stars}, visitors, st.integers(1, 5)),
    ),
    st.tuples(st.just(EventKind.UNRATED), visitors),
    st.tuples(
        st.sampled_from([EventKind.FAVORITED, EventKind.FAVORITED, EventKind.UNFAVORITED]), visitors
    ),
    st.tuples(st.sampled_from([EventKind.TAGGED, EventKind.UNTAGGED, EventKind.RETAGGED]), names),
    st.tuples(st.just(EventKind.VIEWED), st.just({})),
)


@st.composite
def told_events(draw: st.DrawFn) -> list[Event]:
    made = []
    for number, (kind, value) in enumerate(draw(st.lists(deeds, min_size=6, max_size=16))):
        instant_us = trial.NOW * 1_000_000 + draw(st.integers(0, 3_000_000))
        video = VideoId(draw(st.sampled_from([1, 1, 1, 2])))
        made.append(
            Event(
                f"event-{number:03}",
                kind,
                instant_us // 1_000_000,
                "owner",
                video,
                value,
                occurred_at_us=instant_us,
            )
        )
    return made


def catalogue_of(events: Sequence[Event]) -> Catalogue:
    made = Catalogue(Path(":memory:"))
    chance = Random(1)
    made.append([trial.found(number, chance) for number in (1, 2)])
    folder = {"folder_tags": [NAMES[0]]}
    made.append([Event("folder", EventKind.FOLDER_TAGGED, 0, "scan", VideoId(1), folder)])
    for one in events:
        made.record([one])
    return made


def state_of(catalogue: Catalogue) -> dict[str, list[tuple[object, ...]]]:
    ask = catalogue._connection.execute  # noqa: SLF001
    return {
        table: sorted(ask(f"SELECT {columns} FROM {table}"), key=repr)
        for table, columns in TABLES.items()
    }


@settings(max_examples=examples(40, thorough=120))
@given(told_events(), st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same(events: list[Event], chance: Random) -> None:
    in_order = sorted(events, key=lambda one: (one.occurred_at_us, one.id))
    arrived = [*events, *chance.choices(events, k=len(events))]  # some come twice
    chance.shuffle(arrived)

    with catalogue_of(in_order) as wanted, catalogue_of(arrived) as found:
        assert state_of(found) == state_of(wanted)


def rated(key: str, stars: int, occurred_at_us: int | None, at: int = 100) -> Event:
    return Event(
        key,
        EventKind.RATED,
        at,
        "owner",
        VideoId(1),
        {"stars": stars},
        occurred_at_us=occurred_at_us,
    )


def stars_after(*events: Event) -> int | None:
    with catalogue_of(events) as catalogue:
        return catalogue.stats([VideoId(1)])[0].stars


def test_two_clicks_of_one_second_count_in_their_order() -> None:
    assert stars_after(rated("zzzzzzzz", 3, 100_000_001), rated("aaaaaaaa", 4, 100_000_002)) == 4
    assert stars_after(rated("aaaaaaaa", 4, 100_000_002), rated("zzzzzzzz", 3, 100_000_001)) == 4


def test_clicks_that_did_not_wait_count_in_the_order_in_which_they_come() -> None:
    assert stars_after(rated("zzzzzzzz", 3, None), rated("aaaaaaaa", 4, None, at=99)) == 4


def test_an_older_click_from_a_queue_does_not_win_over_one_that_did_not_wait() -> None:
    directly = [rated("zzzzzzz1", 3, None), rated("aaaaaaa1", 4, None)]
    assert stars_after(*directly, rated("queued-1", 1, 99_000_000)) == 4
    assert stars_after(*directly, rated("queued-1", 1, 101_000_000)) == 1


def test_what_waited_for_a_video_that_lost_its_pages_is_kept() -> None:
    with catalogue_of([]) as catalogue:
        gone = [
            Event("missing", EventKind.VIDEO_MISSING, 1, "scan", VideoId(1)),
            Event("dropped", EventKind.VIDEO_DROPPED, 2, "scan", VideoId(1)),
        ]
        catalogue.append(gone)

        waited, direct = catalogue.record([rated("queued-1", 5, 7), rated("direct-1", 4, None)])

        assert (waited.verdict, direct.verdict) == (
            EventVerdict.RECORDED,
            EventVerdict.UNKNOWN_VIDEO,
        )


def test_what_waited_for_a_video_that_never_was_is_refused() -> None:
    stranger = Event("queued-1", EventKind.FAVORITED, 1, "owner", VideoId(99), {}, occurred_at_us=7)
    with catalogue_of([]) as catalogue:
        assert catalogue.record([stranger])[0].verdict is EventVerdict.UNKNOWN_VIDEO


def test_a_late_click_on_a_copy_does_not_win_over_a_newer_one_on_it() -> None:
    copy = VideoId(2)
    new = Event("queued-2", EventKind.RATED, 9, "owner", copy, {"stars": 5}, occurred_at_us=9)
    old = Event("queued-1", EventKind.RATED, 8, "owner", copy, {"stars": 1}, occurred_at_us=8)
    with catalogue_of([new]) as catalogue:
        catalogue.append([Event("m", EventKind.VIDEO_MERGED, 10, "scan", copy, {"into": 1})])

        catalogue.record([old])

        assert catalogue.stats([VideoId(1)])[0].stars == 5
