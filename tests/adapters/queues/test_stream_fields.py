"""Entries of a stream that other programs wrote, with fields of their own: read alike each time."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cloud import Redis, redis_server

from generator.adapters.queues.redis_stream import RedisStreamQueue

FIELDS = ({"trace": "7", "body": "what was sent"}, {"body": "what was sent", "trace": "7"})


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with redis_server(tmp_path) as server:
        yield server


@pytest.mark.parametrize("fields", FIELDS)
def test_an_entry_with_other_fields_is_the_same_message_at_every_delivery(
    redis: Redis, fields: dict[str, str]
) -> None:
    import redis as client  # noqa: PLC0415 (loaded where it is needed)

    queue = RedisStreamQueue(redis.address, visibility_s=60.0, most_times=2)
    with client.Redis.from_url(redis.address) as other:
        other.xadd(queue.stream, fields)
    bodies = []
    for _ in range(2):
        received = queue.receive(1, 0)
        bodies += [message.body for message in received]
        queue.extend(received, 0)
    assert queue.receive(1, 0) == []  # set aside
    bodies += [message.body for message in queue.dead(5)]
    assert queue.redrive() == 1
    bodies += [message.body for message in queue.receive(1, 0)]
    queue.close()

    assert bodies == ["what was sent"] * 4
