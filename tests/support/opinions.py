"""Random opinions of people on a few videos, and the tables that they change."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from random import Random

from hypothesis import strategies as st

from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.core.model import Event, EventKind, VideoId

TAGS = ("fjord", "winter", "boat")
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
    "video": "id, added_at",
}
_visitors = st.sampled_from([{}, {}, {"visitor": "ann"}, {"visitor": "ben"}])
_tag_lists = st.lists(st.sampled_from(TAGS), unique=True, max_size=3)
_values = st.one_of(
    st.tuples(
        st.just(EventKind.RATED),
        st.builds(lambda visitor, stars: {**visitor, "stars": stars}, _visitors, st.integers(1, 5)),
    ),
    st.tuples(st.just(EventKind.UNRATED), _visitors),
    st.tuples(
        st.sampled_from([EventKind.FAVORITED, EventKind.FAVORITED, EventKind.UNFAVORITED]),
        _visitors,
    ),
    st.tuples(
        st.sampled_from([EventKind.TAGGED, EventKind.UNTAGGED, EventKind.RETAGGED]),
        _tag_lists.map(lambda names: {"names": names}),
    ),
    st.tuples(st.just(EventKind.VIEWED), st.sampled_from([{}, {"count": 3}])),
    st.tuples(st.just(EventKind.ADDED_DATE_SET), st.sampled_from([{"added_at": 5}])),
)


@st.composite
def opinions(draw: st.DrawFn) -> list[Event]:
    """Draw events of people on videos 1 and 2; some happened before others that come first."""
    events = []
    for number, (kind, value) in enumerate(draw(st.lists(_values, min_size=3, max_size=14))):
        instant_us = trial.NOW * 1_000_000 + draw(st.integers(0, 3_000_000))
        events.append(
            Event(
                f"event-{number:03}",
                kind,
                instant_us // 1_000_000,
                "owner",
                VideoId(draw(st.sampled_from([1, 1, 1, 2]))),
                value,
                occurred_at_us=draw(st.sampled_from([instant_us, None])),
            )
        )
    return events


def catalogue_with(events: Iterable[Event]) -> Catalogue:
    """Return a catalogue of two videos, the first with a tag of its folder."""
    catalogue = _two_videos().copy()
    for event in events:
        record(catalogue, event)
    return catalogue


@cache
def _two_videos() -> Catalogue:
    catalogue = Catalogue(Path(":memory:"))
    chance = Random(1)
    catalogue.append([trial.found(number, chance) for number in (1, 2)])
    folder = {"folder_tags": [TAGS[0]]}
    catalogue.append([Event("folder", EventKind.FOLDER_TAGGED, 0, "scan", VideoId(1), folder)])
    return catalogue


def record(catalogue: Catalogue, event: Event) -> None:
    """Record an event as the API does, or a merger as the scan does."""
    if event.kind is EventKind.VIDEO_MERGED:
        catalogue.append([event])
    else:
        catalogue.record([event])


def merger(copy: int, into: int) -> Event:
    """Return the event that one video turned out to be a copy of the other."""
    value = {"into": into}
    return Event("merger", EventKind.VIDEO_MERGED, trial.NOW, "scan", VideoId(copy), value)


def people_state(catalogue: Catalogue) -> dict[str, list[tuple[object, ...]]]:
    """Return all that opinions change, as rows by table."""
    query = catalogue._connection.execute  # noqa: SLF001
    return {
        table: sorted(query(f"SELECT {columns} FROM {table}"), key=repr)
        for table, columns in TABLES.items()
    }
