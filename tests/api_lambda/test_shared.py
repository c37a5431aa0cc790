"""What API processes share in a Redis: exact figures, the owner's keys, and rates."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asking import Asker, Tray, fill
from cloud import Redis, redis_server
from effort import examples
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_lambda.app import ApiConfig, create_app
from api_lambda.credentials import digest
from api_lambda.rate_limit import RateLimit, SharedRateLimit
from generator.adapters.catalogue import Catalogue
from generator.adapters.redis_state import OwnerKeys, RedisState
from generator.core.errors import QueueError, SettingsError
from generator.core.model import Event, EventKind, VideoId, VideoStats, ViewerKey
from generator.worker.api_state_sync import SharedStateSync

SECRET = bytes.fromhex("5e" * 32)
OWNERS = "rs_the-token-of-the-owner"
TOKENS = (("one", digest(OWNERS)),)
FAR = ("192.0.2.7", 5000)
FIGURES = VideoStats(VideoId(3), 812, 4, 12, 39, 1234, True, ("fjord", "Ærø", "\udcff"))  # noqa: FBT003 (as they stand)


@pytest.fixture(scope="module")
def redis(
    program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Redis]:
    program("redis-server")
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def address(redis: Redis) -> str:
    return f"{redis.address}?stream=films{next(_numbers)}:events"


_numbers = iter(range(10**6))


@pytest.fixture
def shared(address: str) -> Iterator[RedisState]:
    made = RedisState(address)
    yield made
    made.close()


def test_figures_come_back_as_they_were_put_and_of_others_nothing_is_known(
    shared: RedisState,
) -> None:
    shared.begin_era()
    many = [replace(FIGURES, id=VideoId(n)) for n in range(1, 1200)]
    shared.put_stats(many)

    assert [shared.stats(VideoId(n)) for n in (1, 3, 1199)] == [many[0], many[2], many[1198]]
    assert shared.stats(VideoId(1200)) is None


def test_older_figures_do_not_overwrite_newer_ones_but_a_new_era_does(shared: RedisState) -> None:
    shared.begin_era()
    older = replace(FIGURES, version=811, views=1)
    shared.put_stats([FIGURES])
    shared.put_stats([older])
    assert shared.stats(VideoId(3)) == FIGURES

    shared.begin_era()  # as after a backup was put back
    assert shared.stats(VideoId(3)) is None
    shared.put_stats([older])
    assert shared.stats(VideoId(3)) == older


def test_figures_are_known_again_after_the_store_lost_all(shared: RedisState) -> None:
    shared.begin_era()
    shared.put_stats([FIGURES])
    shared._redis.flushall()  # noqa: SLF001
    assert shared.stats(VideoId(3)) is None

    shared.put_stats([FIGURES])
    assert shared.stats(VideoId(3)) == FIGURES


def test_nothing_more_is_told_of_a_video_that_is_not_shown(
    shared: RedisState, tmp_path: Path
) -> None:
    fill(tmp_path)
    sharing = SharedStateSync(shared, SECRET)
    with Catalogue(tmp_path / "catalogue.db", durable=False) as catalogue:
        sharing.push(catalogue)
        catalogue.append([Event("tag", EventKind.TAGGED, 1, "owner", VideoId(3), {"names": ["x"]})])
        sharing.push(catalogue)
        before = shared.stats(VideoId(3))
        catalogue.append([Event("drop", EventKind.VIDEO_DROPPED, 2, "scan", VideoId(3))])
        sharing.push(catalogue)
        after = shared.stats(VideoId(3))
        shared.put_stats([before] if before else [])  # by who overtook it
        late = shared.stats(VideoId(3))

    assert before is not None
    assert "x" in before.tags
    assert (after, late) == (None, None)


def test_streams_of_one_redis_are_sites_of_their_own(redis: Redis) -> None:
    first, second = (RedisState(f"{redis.address}?stream={name}:events") for name in ("a", "b"))
    first.begin_era()
    first.put_stats([FIGURES])
    first.put_keys(TOKENS, SECRET)

    assert second.stats(VideoId(3)) is None
    assert second.keys() is None
    assert first.keys() == OwnerKeys(TOKENS, SECRET)
    for one in (first, second):
        one.close()


ASKED = st.lists(
    st.tuples(st.sampled_from(["one", "two"]), st.floats(0, 45, allow_nan=False)), max_size=40
)


@settings(
    max_examples=examples(10, thorough=25),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(ASKED, st.integers(1, 6))
def test_a_shared_limit_says_what_a_limit_of_one_process_says(
    shared: RedisState, asked: list[tuple[str, float]], most: int
) -> None:
    own = RateLimit(most, 60)
    name = f"write{next(_numbers)}"
    several = [SharedRateLimit(name, most, 60, shared.count) for _ in range(2)]
    now = 1_790_000_000.0

    async def ask() -> None:
        nonlocal now
        for number, (client, pause_s) in enumerate(asked):
            now += pause_s
            told = await several[number % 2].wait_s(client, now, SECRET)
            assert told == own.wait_s(client, now)

    asyncio.run(ask())


def test_many_at_once_get_no_more_than_the_limit(shared: RedisState) -> None:
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: shared.count("storm", 50, 7, 60, 0.5)[2], range(400)))

    assert sum(told) == 50


def test_without_redis_each_process_counts_for_itself_and_says_so_once(
    caplog: pytest.LogCaptureFixture, free_port: Callable[[], int]
) -> None:
    nowhere = RedisState(f"redis://127.0.0.1:{free_port()}/0")
    limit = SharedRateLimit("write", 3, 60, nowhere.count)

    async def ask() -> list[bool]:
        return [await limit.wait_s("one", 60.0 + n, SECRET) > 0 for n in range(5)]

    with caplog.at_level(logging.WARNING):
        assert asyncio.run(ask()) == [False, False, False, True, True]

    assert sum("counts alone" in one.message for one in caplog.records) == 1
    with pytest.raises(QueueError, match="is unavailable"):
        nowhere.ping()


def test_what_is_no_address_of_a_redis_is_told() -> None:
    with pytest.raises(SettingsError, match="not the address"):
        RedisState("redis://127.0.0.1:port/0")


# -- an API over it


@pytest.fixture
def opened(address: str, tmp_path: Path) -> Iterator[Callable[..., FastAPI]]:
    made: list[FastAPI] = []

    def make(**more: Any) -> FastAPI:  # noqa: ANN401 (settings of the API)
        config = ApiConfig(tmp_path / "nowhere", queue=address, **more)
        made.append(create_app(config, Tray()))
        return made[-1]

    yield make
    for app in made:
        app.state.close()


def test_exact_figures_are_told_with_what_they_are_to_who_asks(
    opened: Callable[..., FastAPI], shared: RedisState
) -> None:
    shared.put_keys(TOKENS, SECRET)
    shared.begin_era()
    shared.put_stats([replace(FIGURES, tags=("fjord",))])
    visitor = Asker(opened(), FAR)
    owner = visitor.with_headers(authorization=f"Bearer {OWNERS}")

    figures = {
        "id": 3, "version": 812, "stars": 4, "rating": {"mean": 3.9, "votes": 12},
        "views": 1234, "favorite": True, "tags": ["fjord"],
    }  # fmt: skip
    may = ["view", "rate", "favorite", "tag", "rebuild", "retry", "admin"]
    you = {"role": "owner", "may": may, "stars": 4, "favorite": True}
    assert owner("GET", "/api/videos/3").json == {**figures, "you": you}
    assert visitor("GET", "/api/videos/3").json == {
        **figures, "you": {"role": "visitor", "may": ["view"]},
    }  # fmt: skip
    assert visitor("GET", "/api/videos/4").json == {
        "id": 4, "you": {"role": "visitor", "may": ["view"]},
    }  # fmt: skip


def test_nobody_is_let_in_before_a_worker_told_who_the_owner_is_and_a_revoked_token_ends(
    opened: Callable[..., FastAPI], shared: RedisState
) -> None:
    now = 1000.0
    asker = Asker(opened(clock=lambda: now), FAR).with_headers(authorization=f"Bearer {OWNERS}")

    early = asker("GET", "/api/session")
    shared.put_keys(TOKENS, SECRET)
    begun = asker("GET", "/api/session")
    shared.put_keys((), SECRET)
    now += 6
    ended = asker("GET", "/api/session")

    assert (early.status, begun.status, ended.status) == (503, 200, 401)
    assert "owner" in early.json["detail"]


def test_processes_share_their_limits(opened: Callable[..., FastAPI], shared: RedisState) -> None:
    shared.put_keys(TOKENS, SECRET)
    more: dict[str, Any] = {"visitor_writes_per_minute": 3, "clock": lambda: 60.0}
    apps = [Asker(opened(**more), FAR) for _ in range(3)]

    told = [app("POST", f"/api/videos/{n}/views").status for n in (1, 2) for app in apps]

    assert told == [202, 202, 202, 429, 429, 429]


def test_while_redis_is_away_what_was_known_of_the_owner_is_and_figures_are_not(
    program: Callable[[str], str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program("redis-server")
    now = 1000.0
    with redis_server(tmp_path) as redis:
        shared = RedisState(redis.address)
        shared.put_keys(TOKENS, SECRET)
        shared.begin_era()
        shared.put_stats([replace(FIGURES, tags=())])
        config = ApiConfig(tmp_path / "no", queue=redis.address, clock=lambda: now)
        app = create_app(config, Tray())
        asker = Asker(app, FAR).with_headers(authorization=f"Bearer {OWNERS}")
        assert asker("GET", "/api/videos/3").json["views"] == 1234

        redis.kill()
        statuses = []
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                now += 6
                statuses.append(asker("GET", "/api/videos/3"))
        assert [one.status for one in statuses] == [200] * 3
        assert {tuple(one.json) for one in statuses} == {("id", "you")}
        assert asker("GET", "/api/health").status == 503
        assert [
            sum(part in one.message for one in caplog.records)
            for part in ("previous keys", "not known")
        ] == [1, 1]

        redis.start()
        now += 6
        assert asker("GET", "/api/videos/3").json["views"] == 1234
        app.state.close()
        shared.close()


def test_viewers_come_with_the_keys_of_the_owner(
    shared: RedisState, opened: Callable[..., FastAPI]
) -> None:
    viewers = (
        ViewerKey("v", digest("rv_x"), "f" * 64, 1_790_000_009),
        ViewerKey("w", "d" * 64, ""),
    )
    shared.put_keys(TOKENS, SECRET, viewers=viewers)
    assert shared.keys() == OwnerKeys(TOKENS, SECRET, viewers=viewers)

    clock = {"now": 1_790_000_000.0}
    app = opened(is_private=True, clock=lambda: clock["now"])
    viewer = Asker(app, client=FAR).with_headers(authorization="Bearer rv_x")
    before = viewer("GET", "/api/access").status
    clock["now"] += 9

    assert (before, viewer("GET", "/api/access").status) == (204, 401)
