"""The catalogue: an event is there once, with what it changed, or not at all."""

import json
import os
import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import sqlite_utils
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.adapters.catalogue.log_compaction import KEPT_S
from generator.adapters.catalogue.schema import migrations
from generator.core.errors import DamagedError, SettingsError
from generator.core.model import Event, EventKind, FileProblem, Place, Token, VideoId
from generator.core.ratings import pulled_tenths


def event(key: str, kind: EventKind, video: int = 1, **value: object) -> Event:
    return Event(key, kind, trial.NOW, "test", VideoId(video), value)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    made = Catalogue(tmp_path / "catalogue.db")
    trial.fill(made, 3, seed=1)
    return made


deeds = st.sampled_from(
    [
        event("a", EventKind.RATED, stars=5),
        event("b", EventKind.RATED, stars=2),
        event("c", EventKind.VIEWED),
        event("d", EventKind.VIEWED, count=7),
        event("e", EventKind.FAVORITED),
        event("f", EventKind.UNFAVORITED),
        event("g", EventKind.TAGGED, name="x"),
        event("h", EventKind.UNTAGGED, name="x"),
        event("i", EventKind.UNRATED),
    ]
)


@given(events=st.lists(deeds, max_size=12))
def test_an_event_told_again_changes_nothing(events: list[Event]) -> None:
    once, again = (Catalogue(Path(":memory:")) for _ in range(2))
    for outcome in (once, again):
        trial.fill(outcome, 2, seed=1)
    first_time = {outcome.id: outcome for outcome in reversed(events)}
    in_order = sorted(first_time.values(), key=events.index)

    once.append(in_order)
    again.append(events)

    assert list(once.shown()) == list(again.shown())
    assert once.counts() == again.counts()
    for outcome in (once, again):
        outcome.close()


def test_an_id_that_is_known_answers_with_the_event_of_before(catalogue: Catalogue) -> None:
    (first,) = catalogue.append([event("same", EventKind.VIEWED)])
    (second,) = catalogue.append([event("same", EventKind.VIEWED)])

    assert (first.new, second.new) == (True, False)
    assert first.seq == second.seq
    catalogue.close()


def test_events_that_come_together_stand_together_or_not_at_all(catalogue: Catalogue) -> None:
    before, last = list(catalogue.shown()), catalogue.last_event()

    with pytest.raises(KeyError):
        catalogue.append([event("ok", EventKind.RATED, stars=1), event("bad", EventKind.RATED)])

    assert list(catalogue.shown()) == before
    assert catalogue.last_event() == last
    catalogue.close()


def test_a_tag_that_a_user_removed_stays_removed(catalogue: Catalogue) -> None:
    file: dict[str, object] = {
        "root": "", "path": "Norway/x.mp4", "title": "x", "size_bytes": 1, "mtime_ns": 1,
        "fingerprint": "f",
    }  # fmt: skip
    catalogue.append([event("1", EventKind.VIDEO_MOVED, folder_tags=["norway", "old"], **file)])
    catalogue.append(
        [event("2", EventKind.UNTAGGED, name="norway"), event("3", EventKind.TAGGED, name="me")]
    )

    catalogue.append([event("4", EventKind.VIDEO_MOVED, folder_tags=["norway", "new"], **file)])

    (video,) = catalogue.shown([VideoId(1)])
    given_by_trial = {name for name in video.tags if name not in {"norway", "old", "new", "me"}}
    assert set(video.tags) - given_by_trial == {"new", "me"}
    catalogue.close()


def test_a_path_that_is_not_utf8_is_kept_to_the_byte(catalogue: Catalogue) -> None:
    path = os.fsdecode(b"x/caf\xe9.mp4")
    value: dict[str, object] = {
        "root": "", "path": path, "size_bytes": 1, "mtime_ns": 2, "stage": "probe", "reason": "r",
    }  # fmt: skip

    catalogue.append([Event("p", EventKind.FILE_REFUSED, trial.NOW, "test", None, value)])

    assert catalogue.problems() == [FileProblem(Place("", path), 1, 2, "probe", "r", trial.NOW)]
    catalogue.close()


def test_two_connections_may_write_at_once(tmp_path: Path) -> None:
    first, other = (Catalogue(tmp_path / "catalogue.db") for _ in range(2))
    trial.fill(first, 1, seed=3)
    (video,) = first.shown()

    for number in range(50):
        (first if number % 2 else other).append([event(f"v{number}", EventKind.VIEWED)])

    (after,) = other.shown()
    assert after.views == video.views + 50
    first.close()
    other.close()


def test_a_file_that_is_no_catalogue_is_left_alone_and_told(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.db"
    file.write_bytes(b"something else entirely, and long enough to be read as a page" * 40)

    with pytest.raises(DamagedError, match="is damaged"):
        Catalogue(file)

    assert file.read_bytes().startswith(b"something else")


def test_a_catalogue_of_a_newer_reelshelf_is_refused(tmp_path: Path, catalogue: Catalogue) -> None:
    catalogue.close()
    with sqlite3.connect(tmp_path / "catalogue.db") as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('catalogue', 'from_the_future', '2030-01-01')"
        )
    connection.close()

    with pytest.raises(SettingsError, match="newer reelshelf"):
        Catalogue(tmp_path / "catalogue.db")


def test_a_copy_for_a_dry_run_leaves_the_catalogue_as_it_is(catalogue: Catalogue) -> None:
    twin = catalogue.copy()

    twin.append([event("x", EventKind.RATED, stars=1)])

    assert twin.last_event() == catalogue.last_event() + 1
    twin.close()
    catalogue.close()


# -- what 0.2 added


def old_catalogue(file: Path) -> None:
    """Make a catalogue as 0.1.0 left it, with a video that somebody rated."""
    database = sqlite_utils.Database(sqlite3.connect(file, isolation_level=None))
    migrations.apply(database, stop_before="other_peoples_votes")
    database.execute(
        "INSERT INTO video (id, slug, root, path, title, added_at, recorded_at, size_bytes,"
        " mtime_ns, fingerprint, container) VALUES (1, 's', '', 'p', 't', 1, 1, 1, 1, 'f', 'mp4')"
    )
    database.execute("INSERT INTO rating VALUES (1, 4, 5)")
    database.close()


def test_an_old_catalogue_is_brought_up_with_all_that_is_in_it(tmp_path: Path) -> None:
    old_catalogue(tmp_path / "catalogue.db")

    with Catalogue(tmp_path / "catalogue.db") as catalogue:
        catalogue.append([event("vote", EventKind.RATED, stars=2, visitor="ann")])
        (video,) = catalogue.shown()

    assert (video.stars, video.votes) == (4, 1)
    assert video.score_tenths == pulled_tenths(1, 2, 1, 2)


def test_several_may_bring_an_old_catalogue_up_at_once(tmp_path: Path) -> None:
    for number in range(8):
        file = tmp_path / f"{number}.db"
        old_catalogue(file)

        with ThreadPoolExecutor(6) as threads:
            counts = list(threads.map(count_videos, [file] * 6))

        assert counts == [1] * 6


def count_videos(file: Path) -> int:
    with Catalogue(file) as catalogue:
        return catalogue.counts()["videos"]


@given(
    votes=st.integers(1, 1000),
    others=st.integers(0, 100_000),
    share=st.floats(0, 1),
    share_of_others=st.floats(0, 1),
)
def test_a_pulled_mean_lies_between_the_videos_and_the_librarys(
    votes: int, others: int, share: float, share_of_others: float
) -> None:
    stars, stars_of_others = (
        votes + int(share * 4 * votes),
        others + int(share_of_others * 4 * others),
    )

    tenths = pulled_tenths(votes, stars, votes + others, stars + stars_of_others)

    library = (30 + stars + stars_of_others) / (10 + votes + others)
    low, high = sorted((10 * stars / votes, 10 * library))
    assert low - 0.5 <= tenths <= high + 0.5
    assert 10 <= tenths <= 50


def test_one_vote_does_not_win() -> None:
    one_of_five = pulled_tenths(1, 5, 1000, 3000)
    hundred_of_almost_five = pulled_tenths(100, 480, 1000, 3000)

    assert one_of_five < 34
    assert hundred_of_almost_five > 46


def test_every_video_is_drawn_as_often_as_any_other(catalogue: Catalogue) -> None:
    trial_videos = {video.id for video in catalogue.shown()}
    catalogue.append([event("gone", EventKind.VIDEO_DROPPED, 2)])

    drawn = Counter(catalogue.random() for _ in range(600))

    assert drawn.keys() == trial_videos - {2}
    assert min(drawn.values()) > 200


def test_a_rare_video_is_found_among_many(tmp_path: Path) -> None:
    with Catalogue(tmp_path / "many.db", durable=False) as catalogue:
        trial.fill(catalogue, 2000)
        rare = [event(f"t{n}", EventKind.TAGGED, n, name="rare") for n in (700, 1400)]
        catalogue.append([*rare, event("gone", EventKind.UNTAGGED, 700, name="rare")])

        assert {catalogue.random(tag="rare") for _ in range(20)} == {1400}
        assert catalogue.random(tag="none") is None


def test_a_revoked_token_is_not_valid_and_is_revoked_once(catalogue: Catalogue) -> None:
    for number in (1, 2):
        catalogue.tokens.add(Token(f"id-{number}", "name", f"digest-{number}", number))

    first, again = catalogue.tokens.revoke("id-1", 9), catalogue.tokens.revoke("id-1", 10)

    assert (first, again) == (True, False)
    assert catalogue.tokens.valid() == [("id-2", "digest-2")]
    assert [one.revoked_at for one in catalogue.tokens.all()] == [9, None]
    catalogue.close()


def test_a_day_has_one_salt_and_the_next_but_one_forgets_it(catalogue: Catalogue) -> None:
    first, again = catalogue.tokens.salt("2026-11-23"), catalogue.tokens.salt("2026-11-23")
    after = catalogue.tokens.salt("2026-11-24")

    assert len(first) == 32
    assert first == again
    assert after != first
    assert catalogue.tokens.salt("2026-11-23") == first  # a clock that was ahead
    catalogue.tokens.salt("2026-11-25")
    assert catalogue.tokens.salt("2026-11-23") != first
    catalogue.close()


def test_the_builder_is_told_what_is_asked_and_whether_only_views_came(
    catalogue: Catalogue,
) -> None:
    start = catalogue.last_event()
    catalogue.append([event("v", EventKind.VIEWED)])
    only_views = catalogue.only_views_since(start)
    catalogue.append([Event("r", EventKind.REBUILD_ASKED, 5, "owner", None, {"full": False})])

    assert only_views
    assert not catalogue.only_views_since(start)
    assert catalogue.only_views_since(catalogue.last_event())
    assert catalogue.asked_since(start) == (True, False)
    assert catalogue.changed_since(start) == {1: start + 1}
    catalogue.close()


def test_what_others_write_shows_in_the_foreign_version(tmp_path: Path) -> None:
    first, other = (Catalogue(tmp_path / "catalogue.db") for _ in range(2))
    trial.fill(first, 1)
    before = other.foreign_version()

    other.append([event("own", EventKind.VIEWED)])
    own = other.foreign_version()
    first.append([event("foreign", EventKind.VIEWED)])

    assert own == before
    assert other.foreign_version() != before
    first.close()
    other.close()


@given(counted=st.lists(st.tuples(deeds, st.integers(0, 100)), max_size=20), most=st.integers(1, 5))
def test_old_views_become_counts_by_day_and_no_figure_changes(
    counted: list[tuple[Event, int]], most: int
) -> None:
    with Catalogue(Path(":memory:")) as catalogue:
        trial.fill(catalogue, 2, seed=1)
        catalogue.append(
            replace(one, id=f"{number}", at=trial.NOW + day * 86400)
            for number, (one, day) in enumerate(sorted(counted, key=lambda pair: pair[1]))
        )
        before = catalogue.stats([VideoId(1), VideoId(2)]), list(catalogue.shown())
        last, name = catalogue.last_event(), catalogue.event_id(catalogue.last_event())
        now = trial.NOW + 60 * 86400

        while catalogue.compact(now, last, most):
            pass

        events = catalogue.events_of(VideoId(1), 99)
        old = [seq for seq, kind, _, at, _ in events if kind == "Viewed" and at <= now - KEPT_S]
        left = sum(
            json.loads(value).get("count", 1) for _, kind, value, *_ in events if kind == "Viewed"
        )
        thinned = sum(count for _, count in catalogue.viewed(VideoId(1)))
        after = catalogue.stats([VideoId(1), VideoId(2)]), list(catalogue.shown())
        assert [replace(one, version=0) for one in after[0]] == [
            replace(one, version=0) for one in before[0]
        ]
        assert after[1] == before[1]
        assert old in ([], [last])
        assert left + thinned == before[0][0].views
        assert (catalogue.last_event(), catalogue.event_id(last)) == (last, name)
