"""What other machines are answer of figures after the catalogue was restored beneath a worker."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cloud import Redis, redis_server

from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.adapters.redis_state import RedisState
from generator.core.model import Event, EventKind, VideoId
from generator.worker.api_state_sync import SharedStateSync


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with redis_server(tmp_path) as server:
        yield server


def rated(key: str, video: int, stars: int) -> Event:
    return Event(key, EventKind.RATED, trial.NOW, "cli", VideoId(video), {"stars": stars})


@pytest.mark.parametrize("since", [0, 1, 2, 5])
def test_figures_of_what_was_restored_are_not_those_of_before(
    tmp_path: Path, redis: Redis, since: int
) -> None:
    file, backup, shared = (
        tmp_path / "catalogue.db",
        tmp_path / "copy.db",
        RedisState(redis.address),
    )
    sharing = SharedStateSync(shared, b"secret")
    with Catalogue(file) as catalogue:
        trial.fill(catalogue, 5)
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(backup)) as target:
            source.backup(target)
        before = catalogue.stats([VideoId(1)])[0].stars
        sharing.push(catalogue)
        lost = 5 if before != 5 else 4
        catalogue.append([rated("lost-1", 1, 3), rated("lost-2", 1, lost)])
        sharing.push(catalogue)
        answer = shared.stats(VideoId(1))
        assert answer is not None
        assert answer.stars == lost

        with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(file)) as target:
            source.backup(target)
        catalogue.append([rated(f"since-{number}", 2, 3) for number in range(since)])
        sharing.push(catalogue)
        catalogue.append([rated("now", 3, 2)])
        sharing.push(catalogue)

        answer = shared.stats(VideoId(1))
        assert answer is None or answer.stars == before
        answer = shared.stats(VideoId(3))
        assert answer is not None
        assert answer.stars == 2
    shared.close()
