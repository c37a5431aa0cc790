"""The worker: from a queue to published pages, through failures and kills, with nothing lost."""

import json
import os
import queue as queues
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from clips import make_clip
from cloud import Aws, Redis, aws_server, redis_server
from forks import Command
from histories import tree
from paths import TEMPLATES
from typing_extensions import override

from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.adapters.queues import open_queue
from generator.adapters.queues.redis_stream import RedisStreamQueue
from generator.adapters.queues.sqs import SqsQueue
from generator.adapters.redis_state import RedisState
from generator.adapters.s3.bucket import Bucket, StoredObject
from generator.adapters.s3.owner_mark import KEY, OwnerMark
from generator.adapters.settings import Settings
from generator.build.engine import Engine
from generator.core.build_receipt import Receipt
from generator.core.delivery.publish_plan import ObjectHeaders
from generator.core.errors import OwnedByAnotherError, PublishError, QueueError
from generator.core.model import Event, EventKind, Token, VideoId, VideoStats, ViewerKey
from generator.core.queue.messages import encode_message
from generator.core.queue.queue import Queue, QueueDepth, ReceivedMessage
from generator.publish import publisher_of
from generator.scan.probe import DryRunWorkers
from generator.watch.build_loop import BuildLoop
from generator.worker.api_state_sync import SharedStateSync
from generator.worker.consume import ConsumedMessages, consume
from generator.worker.in_flight import WorkerTiming
from generator.worker.worker import EventLoop, Worker

LIMIT_S = 60.0
HURRY = WorkerTiming(poll_s=1, keep_s=30, again_s=0.2, unreadable_s=0, retry_s=0.05)


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
    folder = tmp_path / "redis"
    folder.mkdir()
    with redis_server(folder) as server:
        yield server


def made_queue(visibility_s: int = 30) -> str:
    import boto3  # noqa: PLC0415 (a second)

    client = boto3.client("sqs")
    aside = client.create_queue(QueueName="aside")["QueueUrl"]
    told = client.get_queue_attributes(QueueUrl=aside, AttributeNames=["QueueArn"])
    arn = told["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5})
    attributes = {"VisibilityTimeout": str(visibility_s), "RedrivePolicy": policy}
    url: str = client.create_queue(QueueName="events", Attributes=attributes)["QueueUrl"]
    client.close()
    return url


def made_bucket(name: str = "site") -> Bucket:
    import boto3  # noqa: PLC0415 (a second)

    client = boto3.client("s3")
    where = {"LocationConstraint": "eu-central-1"}
    client.create_bucket(Bucket=name, CreateBucketConfiguration=where)
    client.close()
    return Bucket(name)


def eventually(ask: Callable[[], Any]) -> Any:  # noqa: ANN401 (what it answers)
    end_s = time.monotonic() + LIMIT_S
    while time.monotonic() < end_s:
        if answer := ask():
            return answer
        time.sleep(0.01)
    raise AssertionError("it never came")


def letter(number: int, kind: EventKind = EventKind.RATED, video: int = 1, **value: object) -> str:
    occurred_at_us = time.time_ns() // 1000 + number
    event = Event(
        f"letter-{number:04}",
        kind,
        occurred_at_us // 1_000_000,
        "owner",
        VideoId(video),
        value,
        occurred_at_us,
    )
    return encode_message(event)


class Simple:
    """A publisher that puts all pages that changed, and remembers in memory what it put."""

    def __init__(self, engine: Engine, bucket: Bucket | None = None) -> None:
        self.cursor = 0
        self.fails = threading.Event()
        self.count = 0
        self._engine, self._bucket = engine, bucket
        self._put: dict[str, bytes] = {}

    def publish(self) -> None:
        self.count += 1
        if self.fails.is_set():
            raise PublishError("the bucket is away", hint="wait")
        cursor = self._engine.cursor
        for path, content in tree(self._engine.output.root).items():
            if self._bucket is not None and self._put.get(path) != content:
                self._bucket.put(path, content, ObjectHeaders("text/html", "no-store"))
                self._put[path] = content
        self.cursor = cursor

    def is_behind(self) -> bool:
        return self.cursor < self._engine.cursor


class Working:
    """A worker in a thread of its own."""

    def __init__(self, settings: Settings, queue: Queue, **more: Any) -> None:  # noqa: ANN401
        self.settings, self.queue, self._more = settings, queue, more
        self.receipts: queues.Queue[Receipt | None] = queues.Queue()
        self.error: BaseException | None = None
        self.ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            with Engine(self.settings, TEMPLATES) as engine:
                bucket = self._more.pop("bucket", None)
                self.publisher = Simple(engine, bucket) if bucket is not None else None
                publisher = publisher_of(engine) if self.settings.bucket else self.publisher
                self.worker = Worker(
                    self.settings, engine, self.queue, publisher, timing=HURRY, **self._more
                )
                alone = EventLoop if not self.settings.library else BuildLoop
                self.builds = alone(engine, self.settings, DryRunWorkers())
                self.ready.set()
                for receipt in self.worker.run(self.builds):
                    self.receipts.put(receipt)
        except BaseException as error:  # noqa: BLE001 (told to the test)
            self.error = error
        finally:
            self.ready.set()
            self.receipts.put(None)

    def __enter__(self) -> Self:
        self._thread.start()
        self.ready.wait(LIMIT_S)
        self.next()  # the first refresh, published
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def next(self) -> Receipt:
        receipt = self.receipts.get(timeout=LIMIT_S)
        assert receipt is not None, self.error
        return receipt

    def stop(self) -> None:
        self.builds.stop()
        self.join()

    def join(self) -> None:
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive()


def trial_settings(folder: Path, videos: int = 5, **more: object) -> Settings:
    """Return settings of a trial library without a folder: what was recorded is all there is."""
    usual = {"library": (), "views_debounce_s": 0.05, "compress": "off"}
    settings = trial.settings(folder, **{**usual, **more})
    with Catalogue(settings.state / "catalogue.db") as catalogue:
        trial.fill(catalogue, videos)
    return settings


def page_of(settings: Settings, video: int = 1) -> Path:
    (path,) = (settings.out / "watch").glob(f"*-{video}.html")
    return path


def tagged(number: int, name: str, video: int = 1) -> str:
    return letter(number, EventKind.TAGGED, video, names=[name])


def is_done(queue: Queue) -> bool:
    told = queue.depth()
    return (told.waiting, told.in_flight) == (0, 0)


# -- end to end


@pytest.mark.usefixtures("aws")
def test_a_rating_that_was_sent_is_on_a_page_in_the_bucket_and_its_message_gone(
    tmp_path: Path,
) -> None:
    library = tmp_path / "library"
    library.mkdir()
    make_clip(library / "sea.mp4")
    settings = trial.settings(tmp_path, compress="off", settle_s=0, bucket="site")
    queue, bucket = SqsQueue(made_queue()), made_bucket()
    with Working(settings, queue) as working:
        page = page_of(settings).relative_to(settings.out).as_posix()
        before = bucket.get(page)

        queue.send([tagged(1, "harvest"), tagged(1, "harvest")])

        eventually(lambda: is_done(queue))
        after = bucket.get(page)
        assert before is not None
        assert after is not None
        assert b"harvest" not in before[0]
        assert b"harvest" in after[0]
        assert after[0] == page_of(settings).read_bytes()
    assert working.error is None
    assert working.worker.recorded in {1, 2}  # two messages may come together, or not
    queue.close()


def test_a_worker_without_a_library_shows_events_and_loses_no_video(
    tmp_path: Path, redis: Redis
) -> None:
    settings = trial_settings(tmp_path)
    queue = RedisStreamQueue(redis.address)
    with Working(settings, queue):
        queue.send([tagged(1, "harvest", 3), letter(2, EventKind.REBUILD_ASKED, full=True)])

        eventually(lambda: is_done(queue))
        assert "harvest" in page_of(settings, 3).read_text(encoding="utf-8")
    with Catalogue(settings.state / "catalogue.db") as catalogue:
        assert catalogue.counts()["videos"] == 5
        assert catalogue.counts()["missing"] == 0
    queue.close()


# -- failures


class Noting(SqsQueue):
    """A queue that notes how often messages came."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.times: set[int] = set()

    @override
    def receive(self, most: int, wait_s: float) -> list[ReceivedMessage]:
        messages = super().receive(most, wait_s)
        self.times.update(one.times for one in messages)
        return messages


@pytest.mark.usefixtures("aws")
def test_a_publish_that_fails_keeps_the_messages_until_it_works(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = trial_settings(tmp_path)
    queue, bucket = Noting(made_queue(visibility_s=2)), made_bucket()
    with Working(settings, queue, bucket=bucket) as working:
        assert working.publisher is not None
        working.publisher.fails.set()
        queue.send([tagged(1, "harvest")])
        working.next()
        tries = working.publisher.count
        eventually(lambda: working.publisher and working.publisher.count > tries + 1)
        end_s = time.monotonic() + 3  # longer than a message is kept if nobody cares
        while time.monotonic() < end_s:
            assert queue.receive(1, 1) == []
        told = queue.depth()
        assert (told.waiting, told.in_flight) == (0, 1)

        working.publisher.fails.clear()

        eventually(lambda: is_done(queue))
        found = bucket.get(page_of(settings).relative_to(settings.out).as_posix())
        assert found is not None
        assert b"harvest" in found[0]
    assert queue.times == {1}  # it was kept from everybody, ourselves too
    assert caplog.text.count("the bucket is away\n") == 1
    queue.close()


def test_what_is_in_hand_is_given_back_when_the_worker_ends(tmp_path: Path, redis: Redis) -> None:
    settings = trial_settings(tmp_path)
    queue = RedisStreamQueue(redis.address)

    class Never:
        cursor = 0

        def publish(self) -> None:
            raise PublishError("never")

        def is_behind(self) -> bool:
            return True

    with Working(settings, queue) as working:
        working.worker._schedule._publisher = Never()  # noqa: SLF001 (as if there were a bucket)
        queue.send([tagged(1, "harvest")])
        working.next()
        assert queue.depth().in_flight == 1

    told = queue.depth()
    assert (told.waiting, told.in_flight) == (1, 0)
    with Working(settings, queue):
        eventually(lambda: is_done(queue))
    queue.close()


def test_a_catalogue_that_cannot_be_written_keeps_messages_and_gives_none_back(
    tmp_path: Path, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = trial_settings(tmp_path)
    queue = RedisStreamQueue(redis.address, visibility_s=1)
    is_full, times = threading.Event(), list[int]()

    def take_if_there_is_room(
        catalogue: Catalogue, messages: Sequence[ReceivedMessage], now_us: int
    ) -> ConsumedMessages:
        times.extend(one.times for one in messages)
        if is_full.is_set():
            raise sqlite3.OperationalError("database or disk is full")
        return consume(catalogue, messages, now_us)

    monkeypatch.setattr("generator.worker.worker.consume", take_if_there_is_room)
    is_full.set()
    with Working(settings, queue) as working:
        queue.send([tagged(1, "harvest")])
        eventually(lambda: len(times) > 3)
        end_s = time.monotonic() + 2  # longer than a message is kept if nobody cares
        while time.monotonic() < end_s:
            assert queue.receive(1, 0) == []
        is_full.clear()
        eventually(lambda: is_done(queue))
    assert working.error is None
    assert set(times) == {1}
    assert "harvest" in page_of(settings).read_text(encoding="utf-8")
    queue.close()


def test_a_redis_that_is_killed_ends_no_worker(tmp_path: Path, redis: Redis) -> None:
    settings = trial_settings(tmp_path)
    queue = RedisStreamQueue(redis.address, visibility_s=1)
    with Working(settings, queue) as working:
        queue.send([tagged(1, "before")])
        redis.kill()
        redis.start()

        def sent() -> bool:
            try:
                queue.send([tagged(2, "after")])
            except QueueError:
                return False
            return True

        eventually(sent)
        eventually(lambda: is_done(queue))
    assert working.error is None
    text = page_of(settings).read_text(encoding="utf-8")
    assert "before" in text
    assert "after" in text
    queue.close()


def test_what_breaks_in_a_thread_ends_the_worker_and_is_told(tmp_path: Path) -> None:
    settings = trial_settings(tmp_path)
    with Working(settings, Broken()) as working:
        working.join()
    assert "a mistake of ours" in str(working.error)


class Broken:
    """A queue with a mistake in it."""

    def receive(self, most: int, wait_s: float) -> list[ReceivedMessage]:
        raise AssertionError(f"a mistake of ours: {most} within {wait_s} s")

    def send(self, bodies: Sequence[str]) -> None:
        """Take nothing."""

    def delete(self, messages: Sequence[ReceivedMessage]) -> None:
        """Have nothing."""

    def extend(self, messages: Sequence[ReceivedMessage], seconds: int) -> None:
        """Have nothing."""

    def depth(self) -> QueueDepth:
        return QueueDepth(0, 0, 0)

    def dead(self, most: int) -> list[ReceivedMessage]:
        del most
        return []

    def redrive(self) -> int:
        return 0

    def close(self) -> None:
        """Have nothing."""


def test_poison_is_told_and_put_aside_while_all_else_is_shown(
    tmp_path: Path, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    settings = trial_settings(tmp_path)
    queue = RedisStreamQueue(redis.address)
    with Working(settings, queue) as working:
        queue.send(["garbage", tagged(1, "harvest"), tagged(2, "nowhere", 999)])
        eventually(lambda: queue.depth().dead)
        eventually(lambda: is_done(queue))
    assert working.worker.unreadable == 5
    assert working.worker.refused == 1
    assert "it is not JSON" in caplog.text
    assert "video 999, which does not exist" in caplog.text
    assert "is a dead letter now" in caplog.text
    assert "harvest" in page_of(settings).read_text(encoding="utf-8")
    queue.close()


# -- killed


class Deadly(RedisStreamQueue):
    """A queue whose worker is killed when it receives, keeps or deletes messages."""

    def __init__(self, address: str, point: str) -> None:
        super().__init__(address, visibility_s=0.5)
        self._point = point

    @override
    def receive(self, most: int, wait_s: float) -> list[ReceivedMessage]:
        messages = super().receive(most, wait_s)
        self._die("received", wanted=bool(messages))
        return messages

    @override
    def delete(self, messages: Sequence[ReceivedMessage]) -> None:
        self._die("deleting")
        super().delete(messages)
        self._die("deleted")

    def _die(self, point: str, *, wanted: bool = True) -> None:
        if wanted and point == self._point:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("point", ["received", "publishing", "published", "deleting", "deleted"])
def test_a_worker_that_is_killed_loses_nothing_and_counts_nothing_twice(
    tmp_path: Path, redis: Redis, point: str
) -> None:
    settings = trial_settings(tmp_path)
    with Catalogue(settings.state / "catalogue.db") as catalogue:
        (before,) = catalogue.stats([VideoId(2)])
    sender = RedisStreamQueue(redis.address, visibility_s=0.5)
    sender.send(
        [tagged(1, "harvest"), letter(2, EventKind.VIEWED, 2), letter(3, EventKind.VIEWED, 2)]
    )
    child = os.fork()
    if not child:
        try:
            with Engine(settings, TEMPLATES) as engine:

                class Dying(Simple):
                    @override
                    def publish(self) -> None:
                        for name in ("publishing", "published"):
                            if name == point and self._engine.catalogue.event_by_id("letter-0001"):
                                os.kill(os.getpid(), signal.SIGKILL)
                            super().publish()

                queue = Deadly(redis.address, point)
                worker = Worker(settings, engine, queue, Dying(engine), timing=HURRY)
                for _ in worker.run(EventLoop(engine, settings, DryRunWorkers())):
                    pass
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)

    with Working(settings, sender) as working:
        eventually(lambda: is_done(sender))
    assert working.error is None
    assert "harvest" in page_of(settings).read_text(encoding="utf-8")
    with Catalogue(settings.state / "catalogue.db") as catalogue:
        (after,) = catalogue.stats([VideoId(2)])
    assert after.views == before.views + 2
    sender.close()


# -- what other machines know


def test_figures_and_keys_are_shared_whoever_changed_them_and_again_after_redis_was_killed(
    tmp_path: Path, redis: Redis
) -> None:
    settings = trial_settings(tmp_path)
    queue, shared = RedisStreamQueue(redis.address), RedisState(redis.address)
    sharing = SharedStateSync(shared, b"secret", every_s=0.05)
    with (
        Working(settings, queue, sharing=sharing),
        Catalogue(settings.state / "catalogue.db") as other,
    ):
        queue.send([letter(1, EventKind.RATED, 2, stars=4)])
        eventually(lambda: (told := shared.stats(VideoId(2))) and told.stars == 4)
        other.append([Event("cli", EventKind.RATED, trial.NOW, "cli", VideoId(3), {"stars": 2})])
        eventually(lambda: (told := shared.stats(VideoId(3))) and told.stars == 2)
        eventually(lambda: shared.keys() is not None)

        redis.kill()
        other.tokens.add(Token("t1", "mine", "d" * 64, trial.NOW))
        redis.start()

        def is_known() -> bool:
            try:
                keys = shared.keys()
            except QueueError:
                return False
            return keys is not None and keys.tokens == (("t1", "d" * 64),)

        eventually(is_known)
    shared.close()
    queue.close()


class Forgetful:
    """What is shared, until it is started anew, and knows nothing."""

    def __init__(self) -> None:
        self.is_away = False
        self.keys: list[tuple[str, str]] | None = None

    def begin_era(self) -> None:
        self._answer()

    def put_stats(self, figures: Iterable[VideoStats]) -> None:
        del figures
        self._answer()

    def forget_stats(self, versions: Mapping[VideoId, int]) -> None:
        del versions
        self._answer()

    def put_keys(
        self,
        tokens: Iterable[tuple[str, str]],
        secret: bytes,
        *,
        had_token: bool,
        viewers: Iterable[ViewerKey],
    ) -> None:
        assert not list(viewers)
        assert secret == b"secret"
        assert not had_token
        self._answer()
        self.keys = list(tokens)

    def _answer(self) -> None:
        if self.is_away:
            self.is_away, self.keys = False, None
            raise QueueError("away")


def test_keys_are_shared_again_with_what_was_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "generator.worker.api_state_sync._KEYS_S", 3600
    )  # not only because it is time
    shares = Forgetful()
    sharing = SharedStateSync(shares, b"secret")
    settings = trial_settings(tmp_path)
    with Catalogue(settings.state / "catalogue.db") as catalogue:
        sharing.push(catalogue)
        assert shares.keys == []
        shares.is_away = True
        catalogue.append([Event("e", EventKind.VIEWED, trial.NOW, "cli", VideoId(1))])
        sharing.push(catalogue)
        assert shares.keys is None

        def is_shared() -> bool:
            sharing.push(catalogue)
            return shares.keys == []

        eventually(is_shared)


# -- who owns the site


class Overtaken(Bucket):
    """A bucket in which another one leaves its mark just before we do."""

    @override
    def put(self, key: str, body: bytes, headers: ObjectHeaders, match: str = "") -> StoredObject:
        OwnerMark(Bucket(self.name)).claim("home", "theirs", trial.NOW)
        return super().put(key, body, headers, match)


@pytest.mark.usefixtures("aws")
def test_who_was_a_moment_too_late_owns_nothing() -> None:
    bucket = made_bucket()

    with pytest.raises(OwnedByAnotherError, match="with another catalogue"):
        OwnerMark(Overtaken(bucket.name)).claim("home", "ours", trial.NOW)

    owner = OwnerMark(bucket).read()
    assert owner is not None
    assert owner.site == "theirs"


@pytest.mark.usefixtures("aws")
def test_only_one_owns_a_site_until_another_takes_it_over() -> None:
    mark = OwnerMark(made_bucket())
    assert mark.read() is None

    first = mark.claim("home", "catalogue-a", 1_790_000_000)

    assert mark.claim("home", "catalogue-a", 1_790_000_100) == first
    with pytest.raises(OwnedByAnotherError, match=r"a worker at home, since 2026-09-21") as caught:
        mark.claim("lambda", "catalogue-a", 1_790_000_100)
    assert "--take-over" in caught.value.hint
    with pytest.raises(OwnedByAnotherError, match="with another catalogue"):
        mark.claim("home", "catalogue-b", 1_790_000_100)
    taken = mark.claim("lambda", "catalogue-a", 1_790_000_200, take_over=True)
    assert mark.read() == taken
    with pytest.raises(OwnedByAnotherError, match="by the Lambda"):
        mark.claim("home", "catalogue-a", 1_790_000_300)


@pytest.mark.usefixtures("aws")
def test_of_several_that_claim_a_site_at_once_one_gets_it() -> None:
    mark = OwnerMark(made_bucket())
    won: list[str] = []
    barrier = threading.Barrier(4)

    def claim(name: str) -> None:
        barrier.wait()
        try:
            mark.claim("home", name, 1_790_000_000)
        except OwnedByAnotherError:
            return
        won.append(name)

    threads = [threading.Thread(target=claim, args=(f"catalogue-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)

    owner = mark.read()
    assert owner is not None
    assert won == [owner.site]


@pytest.mark.usefixtures("aws")
def test_a_mark_that_cannot_be_read_is_somebodys() -> None:
    bucket = made_bucket()
    bucket.put(KEY, b"{", ObjectHeaders("application/json", "no-store"))

    with pytest.raises(OwnedByAnotherError, match="cannot be read"):
        OwnerMark(bucket).claim("home", "a", 1)
    assert OwnerMark(bucket).claim("home", "a", 1, take_over=True).site == "a"


@pytest.mark.usefixtures("aws")
def test_a_worker_whose_site_was_taken_over_gives_all_back_and_ends(
    tmp_path: Path, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("generator.worker.publish_schedule._CHECK_S", 0)
    settings = trial_settings(tmp_path)
    queue, bucket = RedisStreamQueue(redis.address), made_bucket()
    mark = OwnerMark(bucket)

    def own() -> object:
        return mark.claim("home", "ours", trial.NOW)

    with Working(settings, queue, bucket=bucket, own=own) as working:
        OwnerMark(bucket).claim("lambda", "theirs", trial.NOW, take_over=True)
        queue.send([tagged(1, "harvest")])
        working.join()
    assert isinstance(working.error, OwnedByAnotherError)
    told = queue.depth()
    assert (told.waiting, told.in_flight) == (1, 0)
    queue.close()


# -- the commands


@contextmanager
def command(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    with Command(
        arguments,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def answer(folder: Path, *arguments: str) -> tuple[int, str, str]:
    with command(folder, *arguments) as child:
        out, err = child.communicate(timeout=LIMIT_S)
        return child.returncode, out, err


def configured(folder: Path, **settings: object) -> None:
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    (folder / "reelshelf.toml").write_text("\n".join(lines), encoding="utf-8")


def test_the_command_works_until_it_is_told_to_end(tmp_path: Path, redis: Redis) -> None:
    settings = trial_settings(tmp_path)
    configured(tmp_path, queue=redis.address, out="out")
    queue = open_queue(redis.address)
    with command(tmp_path, "worker", "--json") as child:
        assert child.stdout is not None
        assert json.loads(child.stdout.readline())["written"] > 0
        queue.send([tagged(1, "harvest")])
        assert json.loads(child.stdout.readline())["events"] == 1
        eventually(lambda: is_done(queue))

        child.send_signal(signal.SIGTERM)

        _, err = child.communicate(timeout=LIMIT_S)
        assert child.returncode == 0
        assert "Traceback" not in err
    assert "harvest" in page_of(settings).read_text(encoding="utf-8")
    queue.close()


@pytest.mark.usefixtures("aws")
def test_once_takes_what_waits_and_ends_and_a_second_one_does_nothing(tmp_path: Path) -> None:
    settings = trial_settings(tmp_path)
    url = made_queue()
    made_bucket("state")
    configured(tmp_path, queue=url, out="out", state_bucket="state")
    queue = open_queue(url)
    queue.send([tagged(number, f"harvest {number}") for number in range(30)])

    code, out, err = answer(tmp_path, "worker", "--once")

    assert code == 0, err
    assert "30 taken" in out
    assert is_done(queue)
    text = page_of(settings).read_text(encoding="utf-8")
    assert all(f"harvest {number}" in text for number in range(30))
    before = tree(settings.out)
    code, out, _ = answer(tmp_path, "worker", "--once", "--json")
    assert (code, json.loads(out)["written"]) == (0, 0)
    assert tree(settings.out) == before
    queue.close()


@pytest.mark.usefixtures("aws")
def test_a_second_worker_with_a_catalogue_of_its_own_is_refused(tmp_path: Path) -> None:
    url = made_queue()
    made_bucket("state")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        trial_settings(tmp_path / name)
        configured(tmp_path / name, queue=url, out="out", state_bucket="state")
    assert answer(tmp_path / "first", "worker", "--once")[0] == 0

    code, _, err = answer(tmp_path / "second", "worker", "--once")
    assert code == 2
    assert "is built by a worker at home with another catalogue" in err
    assert "--take-over" in err
    assert answer(tmp_path / "second", "worker", "--once", "--take-over")[0] == 0
    assert answer(tmp_path / "first", "worker", "--once")[0] == 2


def test_the_queue_command_tells_what_was_put_aside_and_puts_it_back(
    tmp_path: Path, redis: Redis
) -> None:
    configured(tmp_path, queue=redis.address)
    queue = RedisStreamQueue(redis.address, visibility_s=0)
    queue.send(["garbage", tagged(1, "harvest")])
    while queue.depth().dead != 2:
        queue.receive(10, 0)

    code, out, _ = answer(tmp_path, "queue")

    assert code == 1
    assert "dead      2" in out
    assert 'it is not JSON: "garbage"' in out
    assert "Tagged of the video 1 is readable" in out
    told = json.loads(answer(tmp_path, "queue", "--json")[1])
    assert (told["dead"], len(told["messages"])) == (2, 2)
    code, out, _ = answer(tmp_path, "queue", "--requeue")
    assert code == 0
    assert "2 requeued" in out
    assert queue.depth().dead == 0
    assert answer(tmp_path, "queue")[0] == 0
    queue.close()


def test_a_worker_without_a_queue_says_what_to_do(tmp_path: Path) -> None:
    code, _, err = answer(tmp_path, "worker")

    assert code == 2
    assert "no queue is configured" in err


@pytest.mark.usefixtures("aws")
def test_once_ends_where_the_queue_gives_messages_again_too_soon_and_warns(tmp_path: Path) -> None:
    import boto3  # noqa: PLC0415 (a second)

    trial_settings(tmp_path)
    url = made_queue()
    made_bucket("state")
    client = boto3.client("sqs")
    client.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "1"})
    client.close()
    configured(tmp_path, queue=url, out="out", state_bucket="state")
    queue = open_queue(url)
    queue.send([tagged(number, f"harvest {number}") for number in range(30)])

    code, _, err = answer(tmp_path, "worker", "--once")

    assert code == 0, err
    assert "the queue itself needs 30" in err
    queue.close()
