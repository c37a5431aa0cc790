"""Queues, real ones: SQS as moto speaks it, and a Redis that is killed and started again."""

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cloud import Aws, Redis, aws_server, redis_server
from hypothesis import given
from hypothesis import strategies as st

from generator.adapters.queues import open_queue
from generator.adapters.queues.redis_stream import RedisStreamQueue
from generator.adapters.queues.sqs import SqsQueue, _batches
from generator.core.errors import QueueError, SettingsError
from generator.core.queue.queue import Queue, QueueDepth, ReceivedMessage

LIMIT_S = 60.0


@pytest.fixture(scope="module")
def cloud() -> Iterator[Aws]:
    with aws_server() as aws:
        yield aws


@pytest.fixture
def aws(cloud: Aws, monkeypatch: pytest.MonkeyPatch) -> Aws:
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    cloud.reset()
    return cloud


@pytest.fixture
def redis(tmp_path: Path, program: Callable[[str], str]) -> Iterator[Redis]:
    program("redis-server")
    with redis_server(tmp_path) as server:
        yield server


def made(visibility_s: int = 30) -> str:
    """Make a queue with a dead-letter queue; return its URL."""
    import boto3  # noqa: PLC0415 (a second)

    client = boto3.client("sqs")
    aside = client.create_queue(QueueName="aside")["QueueUrl"]
    told = client.get_queue_attributes(QueueUrl=aside, AttributeNames=["QueueArn"])
    policy = {"deadLetterTargetArn": told["Attributes"]["QueueArn"], "maxReceiveCount": 5}
    attributes = {"VisibilityTimeout": str(visibility_s), "RedrivePolicy": json.dumps(policy)}
    url: str = client.create_queue(QueueName="events", Attributes=attributes)["QueueUrl"]
    client.close()
    return url


@pytest.fixture(params=["sqs", "redis"])
def queue(request: pytest.FixtureRequest) -> Iterator[Queue]:
    """Lend a queue of either kind."""
    opened: Queue
    if request.param == "sqs":
        request.getfixturevalue("aws")
        opened = open_queue(made())
    else:
        opened = RedisStreamQueue(request.getfixturevalue("redis").address, visibility_s=30)
    yield opened
    opened.close()


def eventually(ask: Callable[[], Any]) -> Any:  # noqa: ANN401 (what it answers)
    end_s = time.monotonic() + LIMIT_S
    while time.monotonic() < end_s:
        if answer := ask():
            return answer
    raise AssertionError("it never came")


def bodies(messages: Sequence[ReceivedMessage]) -> list[str]:
    return sorted(one.body for one in messages)


# -- what every queue does


def test_what_is_sent_comes_once_while_somebody_has_it(queue: Queue) -> None:
    queue.send([f"letter {number:02}" for number in range(25)])

    messages = queue.receive(100, 5)

    assert bodies(messages) == [f"letter {number:02}" for number in range(25)]
    assert {one.times for one in messages} == {1}
    assert queue.receive(100, 0) == []
    told = queue.depth()
    assert (told.waiting, told.in_flight, told.dead) == (0, 25, 0)


def test_no_more_come_than_were_asked_for(queue: Queue) -> None:
    queue.send([str(number) for number in range(25)])

    assert len(queue.receive(13, 5)) == 13


def test_what_is_deleted_never_comes_again_and_what_is_given_back_does(queue: Queue) -> None:
    queue.send(["a", "b", "c"])
    messages = {one.body: one for one in queue.receive(10, 5)}

    queue.delete([messages["a"]])
    queue.extend([messages["b"]], 0)

    (again,) = queue.receive(10, 5)
    assert (again.body, again.times) == ("b", 2)
    queue.delete([again, messages["c"]])
    assert queue.receive(10, 0) == []
    told = queue.depth()
    assert (told.waiting, told.in_flight) == (0, 0)


def test_nothing_comes_from_an_empty_queue(queue: Queue) -> None:
    assert queue.receive(10, 0) == []
    assert queue.depth() in {QueueDepth(0, 0, 0), QueueDepth(0, 0, 0, 0.0)}
    assert queue.dead(10) == []
    assert queue.redrive() == 0
    queue.delete([])
    queue.extend([], 0)
    queue.send([])


def test_a_letter_of_every_kind_of_text_comes_as_it_was(queue: Queue) -> None:
    texts = ["Ærø 映画 🎬", '{"a":"\\u0000"}', "a\tb\nc", "x" * 200_000]
    queue.send(texts)

    received: list[ReceivedMessage] = []
    while len(received) < len(texts):
        received += queue.receive(10, 5)
    assert bodies(received) == sorted(texts)


def test_poison_is_put_aside_after_five_times_and_comes_back_when_asked(queue: Queue) -> None:
    queue.send(["poison", "good"])
    times: list[int] = []
    while messages := queue.receive(10, 1):
        for message in messages:
            if message.body == "good":
                queue.delete([message])
            else:
                times.append(message.times)
                queue.extend([message], 0)

    assert times == [1, 2, 3, 4, 5]
    assert queue.depth().dead == 1
    assert bodies(queue.dead(10)) == ["poison"]
    assert bodies(queue.dead(10)) == ["poison"]  # it stays there

    assert queue.redrive() == 1

    (back,) = queue.receive(10, 5)
    assert (back.body, back.times) == ("poison", 1)
    assert queue.depth().dead == 0


def test_a_wait_ends_when_something_comes(queue: Queue) -> None:
    queue.depth()  # connected, and the group is made
    received: list[ReceivedMessage] = []
    waiting = threading.Thread(target=lambda: received.extend(queue.receive(10, 20)))
    begun_s = time.monotonic()
    waiting.start()

    queue.send(["here"])

    waiting.join(LIMIT_S)
    assert bodies(received) == ["here"]
    assert time.monotonic() - begun_s < 10


# -- SQS alone


@given(st.lists(st.sampled_from([0, 1, 30_000, 130_000, 240_000]), max_size=40))
def test_batches_are_never_larger_than_sqs_takes_and_lose_nothing(sizes: list[int]) -> None:
    letters = ["x" * size for size in sizes]

    batches = list(_batches(letters))

    assert [one for some in batches for one in some] == letters
    assert all(0 < len(some) <= 10 for some in batches)
    assert all(sum(map(len, some)) <= 262_144 for some in batches)


@pytest.mark.usefixtures("aws")
def test_what_was_not_deleted_in_time_comes_again(tmp_path: Path) -> None:
    del tmp_path
    queue = SqsQueue(made(visibility_s=3))
    queue.send(["a", "kept"])
    messages = {one.body: one for one in queue.receive(10, 5)}
    queue.extend([messages["kept"]], 60)

    again = eventually(lambda: queue.receive(10, 1))

    assert bodies(again) == ["a"]
    assert again[0].times == 2
    queue.close()


class Faulty:
    """An SQS that fails for part of each batch, now and then."""

    def __init__(self, fails: Iterator[dict[str, Any]]) -> None:
        self.taken: list[str] = []
        self._fails = fails

    def send_message_batch(self, **asked: Any) -> dict[str, Any]:  # noqa: ANN401 (boto3's words)
        failed = next(self._fails, {})
        entries = [one for one in asked["Entries"] if one["Id"] not in failed]
        self.taken += [one["MessageBody"] for one in entries]
        return {"Failed": [{"Id": key, **told} for key, told in failed.items()]}


def test_a_part_of_a_batch_that_failed_is_sent_again_alone() -> None:
    queue = SqsQueue("https://sqs.eu-central-1.amazonaws.com/1/events")
    fault = {"SenderFault": False, "Message": "busy"}
    faulty = Faulty(iter([{"1": fault, "2": fault}, {"2": fault}]))
    queue.__dict__["_client"] = faulty

    queue.send(["a", "b", "c"])

    assert faulty.taken == ["a", "b", "c"]


def test_what_sqs_refuses_for_good_is_told_and_not_tried_again() -> None:
    queue = SqsQueue("https://sqs.eu-central-1.amazonaws.com/1/events")
    faulty = Faulty(iter([{"1": {"SenderFault": True, "Message": "no such letters"}}]))
    queue.__dict__["_client"] = faulty

    with pytest.raises(QueueError, match="did not take 1 of 2 messages: no such letters"):
        queue.send(["a", "b"])


@pytest.mark.usefixtures("aws")
def test_a_queue_that_there_is_not_is_told_with_a_hint() -> None:
    queue = open_queue(made() + "-of-somebody-else")

    with pytest.raises(QueueError, match="does not exist") as caught:
        queue.receive(1, 0)
    assert "URL" in caught.value.hint
    queue.close()


def test_missing_credentials_are_told_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in os.environ if one.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    queue = open_queue("https://sqs.eu-central-1.amazonaws.com/123456789012/events")

    with pytest.raises(QueueError, match="no credentials") as caught:
        queue.send(["a"])
    assert "AWS_PROFILE" in caught.value.hint
    queue.close()


def test_an_sqs_that_is_away_is_told(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]
) -> None:
    del aws
    address = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    queue = open_queue(f"{address}/123456789012/events")

    with pytest.raises(QueueError, match="Could not connect"):
        queue.depth()
    queue.close()


@pytest.mark.parametrize("address", ["", "events", "redis:", "ftp://host/queue", "https://"])
def test_what_is_no_address_of_a_queue_is_refused(address: str) -> None:
    with pytest.raises(SettingsError, match="is not the address of a queue"):
        open_queue(address)


# -- Redis alone


def test_a_dead_consumers_messages_are_claimed_by_others(redis: Redis) -> None:
    dead, living = (RedisStreamQueue(redis.address, visibility_s=0.3) for _ in range(2))
    dead.send(["a", "b"])
    assert len(dead.receive(10, 1)) == 2

    messages = eventually(lambda: living.receive(10, 0.1))

    assert bodies(messages) == ["a", "b"]
    assert {one.times for one in messages} == {2}
    living.delete(messages)
    dead.extend(messages, 60)  # what is another's, or gone, is left alone
    assert living.depth() == QueueDepth(0, 0, 0)
    dead.close()
    living.close()


def test_to_keep_a_message_counts_as_no_delivery_and_takes_none_from_another(
    redis: Redis,
) -> None:
    first, second = (RedisStreamQueue(redis.address, visibility_s=60) for _ in range(2))
    first.send(["a"])
    (message,) = first.receive(10, 1)
    first.extend([message], 1)  # as if it had lain there for 59 seconds
    first.extend([message], 60)
    assert second.receive(10, 1.5) == []

    first.extend([message], 0)
    (claimed,) = second.receive(10, 1)
    first.extend([message], 0)

    assert claimed.times == 2
    assert second.depth().in_flight == 1
    first.close()
    second.close()


def test_what_a_redis_took_is_there_after_it_was_killed(redis: Redis) -> None:
    queue = RedisStreamQueue(redis.address, visibility_s=0.3)
    queue.send([str(number) for number in range(50)])
    first = queue.receive(20, 1)
    queue.delete(first[:10])
    redis.kill()
    with pytest.raises(QueueError, match="cannot be reached"):
        queue.receive(1, 0)
    with pytest.raises(QueueError, match="cannot be reached"):
        queue.send(["lost, and the sender knows"])
    redis.start()

    received: dict[str, ReceivedMessage] = {}

    def all_of_them() -> bool:
        with suppress(QueueError):  # it may still be loading
            received.update({one.body: one for one in queue.receive(50, 0.1)})
        return len(received) == 40

    eventually(all_of_them)
    assert set(received).isdisjoint({one.body for one in first[:10]})
    queue.close()


def test_a_redis_that_forgot_everything_is_worked_with_all_the_same(redis: Redis) -> None:
    import redis as client  # noqa: PLC0415 (a fixture has the name)

    queue = RedisStreamQueue(redis.address)
    queue.send(["a"])
    (message,) = queue.receive(10, 1)
    with client.Redis.from_url(redis.address) as other:
        other.flushall()

    queue.extend([message], 60)
    queue.delete([message])
    assert queue.receive(10, 0) == []
    assert queue.depth() == QueueDepth(0, 0, 0)
    queue.send(["b"])
    assert bodies(queue.receive(10, 5)) == ["b"]
    queue.close()


def test_letters_sent_before_there_was_a_worker_come_too(redis: Redis) -> None:
    sender = RedisStreamQueue(redis.address)
    sender.send(["early"])
    worker = RedisStreamQueue(redis.address)

    assert bodies(worker.receive(10, 1)) == ["early"]
    worker.close()
    sender.close()


def test_streams_of_one_redis_are_told_apart_by_name(redis: Redis) -> None:
    ours, other = open_queue(redis.address), open_queue(f"{redis.address}?stream=other:events")
    ours.send(["ours"])
    other.send(["other"])

    assert bodies(ours.receive(10, 1)) == ["ours"]
    assert bodies(other.receive(10, 1)) == ["other"]
    ours.close()
    other.close()


def test_a_consumer_that_leaves_takes_nothing_with_it(redis: Redis) -> None:
    import redis as client  # noqa: PLC0415 (a fixture has the name)

    leaving, staying = (RedisStreamQueue(redis.address, visibility_s=0.3) for _ in range(2))
    leaving.send(["a"])
    assert leaving.receive(10, 1)
    leaving.close()

    assert bodies(eventually(lambda: staying.receive(10, 0.1))) == ["a"]
    idle = RedisStreamQueue(redis.address)
    idle.receive(1, 0)
    idle.close()
    with client.Redis.from_url(redis.address) as other:
        assert len(other.xinfo_consumers("reelshelf:events", "builders")) == 2
    staying.close()


def test_a_redis_that_forgets_is_warned_of(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    import redis as client  # noqa: PLC0415 (a fixture has the name)

    with client.Redis.from_url(redis.address) as other:
        other.config_set("appendonly", "no")
        other.config_set("maxmemory", "100mb")
        other.config_set("maxmemory-policy", "allkeys-lru")
    with caplog.at_level(logging.WARNING):
        queue = RedisStreamQueue(redis.address)
        queue.send(["a"])

    assert "appendonly yes" in caplog.text
    assert "noeviction" in caplog.text
    queue.close()


def test_a_redis_that_wants_a_password_is_told_without_showing_one(redis: Redis) -> None:
    import redis as client  # noqa: PLC0415 (a fixture has the name)

    with client.Redis.from_url(redis.address) as other:
        other.config_set("requirepass", "right")
    wrong = redis.address.replace("//", "//:wrong-one@")

    with pytest.raises(QueueError, match="refuses the credentials") as caught:
        open_queue(wrong).receive(1, 0)
    assert "wrong-one" not in str(caught.value)
