"""Nothing is lost, nothing counts twice: consumers race, die, and are told things out of order."""

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from cloud import Aws, Redis, aws_server, redis_server
from effort import THOROUGH, examples
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.adapters.queues.redis_stream import RedisStreamQueue
from generator.adapters.queues.sqs import SqsQueue
from generator.core.errors import QueueError
from generator.core.model import Event, EventKind, VideoId, VideoStats
from generator.core.queue.messages import encode_message
from generator.core.queue.queue import Queue, QueueDepth, ReceivedMessage
from generator.worker.consume import consume

VIDEOS = 8
LIMIT_S = 90.0
START_US = (trial.NOW + 10) * 1_000_000  # after what the trial library was told
LATER_US = START_US + 10**12


class Memory:
    """A queue that doubles, shuffles and brings again, by chance."""

    def __init__(self, seed: int, most_times: int = 5) -> None:
        self._chance = random.Random(seed)
        self._most_times = most_times
        self._waiting: list[ReceivedMessage] = []
        self._aside: list[ReceivedMessage] = []

    def send(self, bodies: Sequence[str]) -> None:
        for body in bodies:
            for copy in range(1 + (self._chance.random() < 0.3)):
                name = f"m{len(self._waiting)}-{copy}-{self._chance.random()}"
                self._waiting.append(ReceivedMessage(name, body, name, 0))

    def receive(self, most: int, wait_s: float) -> list[ReceivedMessage]:
        del wait_s
        self._chance.shuffle(self._waiting)
        batch = [replace(one, times=one.times + 1) for one in self._waiting[:most]]
        came = {one.id: one for one in batch}
        self._waiting = [came.get(one.id, one) for one in self._waiting]
        aside = [one for one in self._waiting if one.times > self._most_times]
        self._aside += aside
        self._waiting = [one for one in self._waiting if one.times <= self._most_times]
        return [one for one in batch if one not in aside]

    def delete(self, messages: Sequence[ReceivedMessage]) -> None:
        gone = {one.id for one in messages if self._chance.random() < 0.7}  # or it was not heard
        self._waiting = [one for one in self._waiting if one.id not in gone]

    def extend(self, messages: Sequence[ReceivedMessage], seconds: int) -> None:
        """Do nothing: what is not deleted comes again."""

    def depth(self) -> QueueDepth:
        return QueueDepth(len(self._waiting), 0, len(self._aside))

    def dead(self, most: int) -> list[ReceivedMessage]:
        return self._aside[:most]

    def redrive(self) -> int:
        count = len(self._aside)
        self._waiting += [replace(one, times=0) for one in self._aside]
        self._aside = []
        return count

    def close(self) -> None:
        """Have nothing open."""


def event(number: int, chance: random.Random) -> Event:
    """Return the n-th thing that people do, each told a moment after the one before."""
    video = VideoId(chance.randint(1, VIDEOS))
    kind = chance.choice(
        [
            *(
                EventKind.VIEWED,
                EventKind.VIEWED,
                EventKind.RATED,
                EventKind.RATED,
                EventKind.UNRATED,
            ),
            *(
                EventKind.FAVORITED,
                EventKind.UNFAVORITED,
                EventKind.TAGGED,
                EventKind.UNTAGGED,
                EventKind.RETAGGED,
            ),
        ]
    )
    value: dict[str, object] = {}
    if kind is EventKind.RATED:
        value["stars"] = chance.randint(1, 5)
    if kind in {EventKind.TAGGED, EventKind.UNTAGGED, EventKind.RETAGGED}:
        value["names"] = chance.sample(["red", "green", "blue"], chance.randint(1, 2))
    is_visitor = kind not in {
        EventKind.TAGGED,
        EventKind.UNTAGGED,
        EventKind.RETAGGED,
        EventKind.VIEWED,
    }
    if is_visitor and chance.random() < 0.5:
        value["visitor"] = chance.choice(["v1", "v2"])
    occurred_at_us = START_US + number * 1000
    source = "visitor" if "visitor" in value or kind is EventKind.VIEWED else "owner"
    at = occurred_at_us // 1_000_000
    return Event(f"event-{number:06}", kind, at, source, video, value, occurred_at_us)


def events(count: int, seed: int) -> list[Event]:
    chance = random.Random(seed)
    return [event(number, chance) for number in range(count)]


def fresh(file: Path) -> Catalogue:
    catalogue = Catalogue(file, durable=False)
    trial.fill(catalogue, VIDEOS)
    return catalogue


def folded(catalogue: Catalogue) -> dict[VideoId, tuple[VideoStats, list[object]]]:
    """Return what people made of the videos, and each visitor's own marks.

    But for when the log heard of it, and for the score: that is reckoned with the library's mean as
    it is when a vote is recorded, so that no vote changes other videos.
    """
    figures = catalogue.stats(map(VideoId, range(1, VIDEOS + 1)))
    return {
        one.id: (
            replace(one, version=0, score_tenths=None),
            [catalogue.mark_of(one.id, visitor) for visitor in ("v1", "v2")],
        )
        for one in figures
    }


def expected(recorded: Sequence[Event]) -> dict[VideoId, tuple[VideoStats, list[object]]]:
    """Return what comes of events in the order they were told."""
    with fresh(Path(":memory:")) as catalogue:
        for one in recorded:
            catalogue.record([one])
        return folded(catalogue)


def drain(queue: Queue, catalogue: Catalogue) -> Counter[str]:
    counts = Counter[str]()
    while messages := queue.receive(7, 0):
        taken = consume(catalogue, messages, LATER_US)
        queue.delete(taken.done)
        counts["unreadable"] += len(taken.unreadable)
        counts["refused"] += len(taken.refused)
        counts["taken"] += len(taken.seqs)
        counts["repeated"] += taken.repeated
    return counts


# -- by chance, in memory


@settings(max_examples=examples(15, thorough=40))
@given(count=st.integers(0, 60), seed=st.integers(0, 2**32))
def test_whatever_a_queue_does_the_state_is_that_of_events_in_the_order_told(
    count: int, seed: int
) -> None:
    recorded, queue = events(count, seed), Memory(seed, most_times=10**6)
    queue.send([encode_message(one) for one in recorded])

    with fresh(Path(":memory:")) as catalogue:
        counts = drain(queue, catalogue)
        state, ids = folded(catalogue), [catalogue.event_by_id(one.id) for one in recorded]

    assert state == expected(recorded)
    assert all(ids)
    assert counts["taken"] - counts["repeated"] == count


@settings(max_examples=examples(10, thorough=30))
@given(bodies=st.lists(st.text() | st.sampled_from(['{"v":2}', "[]", "null", "{}"]), max_size=5))
def test_what_nobody_can_read_is_put_aside_and_never_in_the_way(bodies: list[str]) -> None:
    recorded, queue = events(5, 1), Memory(len(bodies))
    queue.send([*bodies, *(encode_message(one) for one in recorded)])

    with fresh(Path(":memory:")) as catalogue:
        drain(queue, catalogue)
        assert folded(catalogue) == expected(recorded)

    aside = {one.body for one in queue.dead(1000)}
    assert aside >= set(bodies)
    assert queue.depth().waiting == 0


def test_what_can_never_be_recorded_is_refused_with_the_reason_and_let_go(
    caplog: pytest.LogCaptureFixture,
) -> None:
    unrecordable = Event(
        "an-event-1", EventKind.RATED, trial.NOW, "owner", VideoId(1), {"stars": 3}, START_US
    )
    stranger = replace(unrecordable, id="an-event-2", video=VideoId(999))
    impostor = replace(unrecordable, value={"stars": 5})
    where = {"bucket": {"name": "b"}, "object": {"key": "a.mp4"}}
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": where}
    notice = {"Records": [record]}
    texts = [
        encode_message(unrecordable),
        encode_message(stranger),
        encode_message(impostor),
        json.dumps(notice),
        "garbage",
    ]
    messages = [ReceivedMessage(f"m{n}", text, f"h{n}") for n, text in enumerate(texts)]

    with fresh(Path(":memory:")) as catalogue:
        taken = consume(catalogue, messages, LATER_US)

    assert [message.id for message, _ in taken.seqs] == ["m0"]
    assert [message.id for message, _ in taken.refused] == ["m1", "m2"]
    assert "video 999, which does not exist" in taken.refused[0][1]
    assert "its id an-event-1 belongs to another event" in taken.refused[1][1]
    assert [(one.bucket, one.key) for one in taken.notices] == [("b", "a.mp4")]
    assert taken.unreadable == ((messages[4], "it is not JSON"),)
    assert taken.done == messages[:4]
    assert [one.stars for one in taken.stats] == [3]
    assert caplog.text.count("a message was rejected") == 2
    assert "the message m4 cannot be read" in caplog.text


def test_where_nothing_can_be_recorded_nothing_is_let_go(tmp_path: Path) -> None:
    queue = Memory(3)
    queue.send([encode_message(one) for one in events(3, 3)])
    before = queue.depth().waiting
    with fresh(tmp_path / "catalogue.db") as catalogue:
        catalogue._connection.execute("PRAGMA query_only = ON")  # noqa: SLF001 (as a full disk)
        with pytest.raises(Exception, match="readonly"):
            drain(queue, catalogue)
        catalogue._connection.execute("PRAGMA query_only = OFF")  # noqa: SLF001 (likewise)
        assert queue.depth().waiting == before

        drain(queue, catalogue)
        assert folded(catalogue) == expected(events(3, 3))


# -- processes that race and are killed


def consume_all(queue: Queue, file: Path, seed: int, *, share: float) -> None:
    """Consume until the queue stays empty; be killed now and then, at any of four places."""
    chance = random.Random(seed)

    def maybe_die() -> None:
        if chance.random() < share:
            os.kill(os.getpid(), signal.SIGKILL)

    idle = 0
    with Catalogue(file, durable=False) as catalogue:
        while idle < 2:
            try:
                messages = queue.receive(10, 1)
                idle = 0 if messages else idle + 1
                maybe_die()
                taken = consume(catalogue, messages, LATER_US)
                maybe_die()
                queue.delete(taken.done[: len(taken.done) // 2])
                maybe_die()
                queue.delete(taken.done[len(taken.done) // 2 :])
                maybe_die()
                queue.extend([one for one, _ in taken.unreadable], 0)
            except QueueError:  # it is away for a moment
                idle = 0


def race(opened: Callable[[], Queue], file: Path, beside: Callable[[], None]) -> int:
    """Let four consumers race until the queue is empty; start the killed again; count deaths."""
    deaths, born = 0, 0
    children: set[int] = set()

    def bear() -> None:
        nonlocal born
        born += 1
        child = os.fork()
        if not child:
            status = 1
            with suppress(BaseException):
                # the last ones live: messages that came five times are put aside
                consume_all(opened(), file, born, share=0.05 if born < 12 else 0)
                status = 0
            os._exit(status)
        children.add(child)

    for _ in range(4):
        bear()
    beside()
    bear()  # those before it may have found the queue empty between two letters, and ended
    end_s = time.monotonic() + LIMIT_S
    while children:
        assert time.monotonic() < end_s
        child, status = os.wait()
        children.discard(child)
        if os.WIFSIGNALED(status):
            deaths += 1
            bear()
        else:
            assert os.WEXITSTATUS(status) == 0
    return deaths


def test_four_consumers_of_one_sqs_that_race_and_die_count_everything_exactly(
    tmp_path: Path,
) -> None:
    recorded = events(250 if THOROUGH else 150, 7)
    letters = [encode_message(one) for one in recorded]
    random.Random(7).shuffle(letters)
    with aws_server() as aws, environment(aws):
        url = made(visibility_s=2, most_times=50)
        sender = SqsQueue(url)
        fresh(tmp_path / "catalogue.db").close()
        sender.send([*letters[:100], *letters[:40]])

        deaths = race(
            lambda: SqsQueue(url),
            tmp_path / "catalogue.db",
            lambda: sender.send([*letters[100:], *letters[80:120]]),
        )

        depth = sender.depth()
        sender.close()
    assert deaths > 0
    assert (depth.waiting, depth.in_flight, depth.dead) == (0, 0, 0)
    with Catalogue(tmp_path / "catalogue.db") as catalogue:
        assert folded(catalogue) == expected(recorded)


def test_four_consumers_of_a_redis_that_is_killed_count_everything_exactly(
    tmp_path: Path, program: Callable[[str], str]
) -> None:
    program("redis-server")
    recorded = events(400, 8)
    letters = [encode_message(one) for one in recorded]
    random.Random(8).shuffle(letters)
    fresh(tmp_path / "catalogue.db").close()
    with redis_server(tmp_path) as redis:
        sender = RedisStreamQueue(redis.address)
        sender.send([*letters[:200], *letters[:40], "poison"])

        deaths = race(
            lambda: RedisStreamQueue(redis.address, visibility_s=1, most_times=20),
            tmp_path / "catalogue.db",
            lambda: killed_in_the_middle(redis, sender, [*letters[200:], *letters[100:140]]),
        )

        depth, aside = sender.depth(), sender.dead(10)
        sender.close()
    assert deaths > 0
    assert (depth.waiting, depth.in_flight, depth.dead) == (0, 0, 1)
    assert [one.body for one in aside] == ["poison"]
    with Catalogue(tmp_path / "catalogue.db") as catalogue:
        assert folded(catalogue) == expected(recorded)


def killed_in_the_middle(redis: Redis, sender: Queue, letters: Sequence[str]) -> None:
    """Send letters, each until it is taken, while the server is killed and started again."""

    def restart() -> None:
        redis.kill()
        redis.start()

    restarting: threading.Thread | None = None
    for start in range(0, len(letters), 10):
        if start == 100:
            restarting = threading.Thread(target=restart)
            restarting.start()
        end_s = time.monotonic() + LIMIT_S
        while time.monotonic() < end_s:
            with suppress(QueueError):  # not known whether it took them: they are sent again
                sender.send(letters[start : start + 10])
                break
    assert restarting is not None
    restarting.join()


def test_poison_of_sqs_is_put_aside_told_and_taken_once_it_is_mended(tmp_path: Path) -> None:
    (event,) = events(1, 9)
    with aws_server() as aws, environment(aws), fresh(tmp_path / "catalogue.db") as catalogue:
        queue = SqsQueue(made(visibility_s=1, most_times=5))
        queue.send(["garbage", encode_message(replace(event, video=VideoId(1)))])
        times: list[int] = []
        end_s = time.monotonic() + LIMIT_S
        while not queue.depth().dead:
            assert time.monotonic() < end_s
            taken = consume(catalogue, queue.receive(10, 2), LATER_US)  # its visibility runs out
            times += [message.times for message, _ in taken.unreadable]
            queue.delete(taken.done)
        assert times == [1, 2, 3, 4, 5]
        assert [one.body for one in queue.dead(10)] == ["garbage"]

        assert queue.redrive() == 1
        (message,) = queue.receive(10, 2)
        assert message.body == "garbage"
        assert queue.depth().dead == 0
        assert catalogue.event_by_id(event.id) is not None
        queue.close()


def made(visibility_s: int, most_times: int) -> str:
    """Make a queue with a dead-letter queue; return its URL."""
    import boto3  # noqa: PLC0415 (a second)

    client = boto3.client("sqs")
    aside = client.create_queue(QueueName="aside")["QueueUrl"]
    told = client.get_queue_attributes(QueueUrl=aside, AttributeNames=["QueueArn"])
    arn = told["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": most_times})
    attributes = {"VisibilityTimeout": str(visibility_s), "RedrivePolicy": policy}
    url: str = client.create_queue(QueueName="events", Attributes=attributes)["QueueUrl"]
    client.close()
    return url


@contextmanager
def environment(aws: Aws) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in aws.environment.items():
            patch.setenv(name, value)
        yield
