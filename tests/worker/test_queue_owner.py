"""One worker takes what waits in a queue; a second one with a catalogue of its own is told so."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from cloud import Aws, Redis, aws_server, redis_server
from test_worker import answer, configured, is_done, made_queue, tagged, trial_settings

from generator.adapters.queues import open_queue
from generator.adapters.queues.redis_stream import RedisStreamQueue
from generator.adapters.queues.sqs import SqsQueue
from generator.adapters.s3.owner_mark import OwnerMark
from generator.core.errors import OwnedByAnotherError

DENIED = json.dumps({"Effect": "Deny"})


@pytest.fixture(scope="module")
def cloud() -> Iterator[Aws]:
    with aws_server() as server, patch.dict(os.environ, server.environment):
        yield server


@pytest.fixture
def redis(tmp_path: Path, program: Callable[[str], str]) -> Iterator[Redis]:
    program("redis-server")
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as server:
        yield server


def two_sites(folder: Path, address: str) -> None:
    for name in ("first", "second"):
        (folder / name).mkdir()
        trial_settings(folder / name)
        configured(folder / name, queue=address, out="out")


def check_that_the_second_is_refused(folder: Path) -> None:
    assert answer(folder / "first", "worker", "--once")[0] == 0
    code, _, err = answer(folder / "second", "worker", "--once")
    assert code == 2
    assert "is consumed by a worker at home with another catalogue" in err
    assert "--take-over" in err
    assert answer(folder / "second", "worker", "--once", "--take-over")[0] == 0
    assert answer(folder / "first", "worker", "--once")[0] == 2


def test_a_redis_without_a_bucket_has_one_worker(tmp_path: Path, redis: Redis) -> None:
    two_sites(tmp_path, redis.address)
    check_that_the_second_is_refused(tmp_path)


def test_an_sqs_queue_without_a_bucket_has_one_worker(tmp_path: Path, cloud: Aws) -> None:
    cloud.reset()
    two_sites(tmp_path, made_queue())
    check_that_the_second_is_refused(tmp_path)


def test_marks_of_streams_are_apart_and_minded_by_one_of_two(redis: Redis) -> None:
    first, other = (
        RedisStreamQueue(redis.address),
        RedisStreamQueue(f"{redis.address}?stream=b:events"),
    )
    OwnerMark(first.mark).claim("home", "a", 1)
    OwnerMark(other.mark).claim("home", "b", 1)
    assert not first.set_mark(b"late", "*")
    assert not first.set_mark(b"late", "what it was before")
    with pytest.raises(OwnedByAnotherError):
        OwnerMark(first.mark).claim("home", "b", 2)
    OwnerMark(first.mark).claim("home", "b", 2, take_over=True)
    with pytest.raises(OwnedByAnotherError):
        OwnerMark(first.mark).check("home", "a")
    for queue in (first, other):
        queue.close()


def test_a_queue_that_cannot_be_tagged_is_told_of(
    tmp_path: Path, cloud: Aws, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.reset()
    from paths import TEMPLATES  # noqa: PLC0415

    from generator.build.engine import Engine  # noqa: PLC0415
    from generator.cli.worker import _owning  # noqa: PLC0415

    gone = SqsQueue(made_queue() + "-gone")  # SQS refuses whatever is asked of it
    settings = trial_settings(tmp_path)
    with Engine(settings, TEMPLATES) as engine:
        _owning(engine, settings, gone, take_over=False)()
    assert "set state_bucket" in caplog.text
    gone.close()


def test_once_ends_on_a_queue_that_gives_messages_back_too_soon(tmp_path: Path, cloud: Aws) -> None:
    cloud.reset()
    trial_settings(tmp_path)
    url = made_queue(visibility_s=0)  # each message comes again at once
    configured(tmp_path, queue=url, out="out")
    queue = open_queue(url)
    queue.send([tagged(number, f"harvest {number}") for number in range(12)])

    code, out, err = answer(tmp_path, "worker", "--once")

    assert code == 0, err
    assert "VisibilityTimeout=60" in err
    assert "12 taken" in out
    assert is_done(queue)
    queue.close()
