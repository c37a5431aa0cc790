"""Queues: events a second through SQS (moto's server) and Redis, and from event to published page.

moto is one Python process on the same machine: what is told of SQS is a floor, not Amazon's own.
"""

import importlib
import os
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.adapters.queues import open_queue
from generator.adapters.settings import Settings
from generator.build.engine import Engine
from generator.cli.options import shipped
from generator.core.model import Event, EventKind, VideoId
from generator.core.queue.messages import encode_message
from generator.core.queue.queue import Queue
from generator.core.site import urls
from generator.publish import publisher_of
from generator.scan.probe import DryRunWorkers
from generator.worker.consume import consume
from generator.worker.in_flight import WorkerTiming
from generator.worker.worker import EventLoop, Worker

SIZE, EVENTS, TIMES = 1000, 1000, 20
_AT_ONCE = 100
_LIMIT_S = 120.0


def run(videos: int | None, folder: Path) -> dict[str, object]:
    """Measure both; `videos` is how large the site is."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    cloud: Any = importlib.import_module("cloud")  # engines, as the tests start them
    figures: dict[str, object] = {"videos": videos or SIZE}
    (folder / "redis").mkdir()
    with cloud.aws_server() as aws, cloud.redis_server(folder / "redis") as redis:
        os.environ.update(aws.environment)
        for name, address in (("sqs", _made(aws.address)), ("redis", redis.address)):
            queue = open_queue(address)
            figures |= {
                f"{name}_{figure}": value
                for figure, value in _through(queue, folder / name).items()
            }
            figures |= {
                f"{name}_{figure}": value
                for figure, value in _published(queue, folder / name, videos or SIZE, name).items()
            }
            queue.close()
    return figures


def _letters(count: int, kind: EventKind, first: int = 0) -> list[str]:
    now_us = time.time_ns() // 1000
    at = now_us // 1_000_000
    return [
        encode_message(
            Event(
                f"letter-{now_us}-{number}", kind, at, "owner", VideoId(1 + number % 100),
                {"stars": 1 + (number + number // 100) % 5} if kind is EventKind.RATED else {},
                now_us + number,
            )
        )
        for number in range(first, first + count)
    ]  # fmt: skip


def _through(queue: Queue, folder: Path) -> dict[str, object]:
    """Send events, and record them, each batch on the disk before its messages are deleted.

    Batch by batch: moto looks at all that waits for each message that comes or goes.
    """
    letters = _letters(EVENTS, EventKind.RATED)
    sent_s = recorded_s = 0.0
    with Catalogue(folder / "through" / "catalogue.db") as catalogue:
        trial.fill(catalogue, 100)
        for begin in range(0, EVENTS, _AT_ONCE):
            start_s, count = time.perf_counter(), 0
            queue.send(letters[begin : begin + _AT_ONCE])
            sent_s += time.perf_counter() - start_s
            start_s = time.perf_counter()
            while count < _AT_ONCE:
                messages = queue.receive(_AT_ONCE - count, 1)
                taken = consume(catalogue, messages, time.time_ns() // 1000)
                queue.delete(taken.done)
                count += len(taken.seqs)
            recorded_s += time.perf_counter() - start_s
    return {
        "sent_per_s": round(EVENTS / sent_s),
        "recorded_per_s": round(EVENTS / recorded_s),
    }


def _published(queue: Queue, folder: Path, videos: int, bucket: str) -> dict[str, object]:
    """Rate videos one after the other, each when the one before is published."""
    settings = trial.settings(
        folder, library=(), bucket=f"site-{bucket}", compress="off", publish_media=False
    )
    _bucket(settings.bucket)
    with Catalogue(settings.state / "catalogue.db") as catalogue:
        trial.fill(catalogue, videos)
    with _working(settings, queue) as published:
        times = []
        for letter in _letters(TIMES, EventKind.RATED, first=1):
            event = published.last + 1
            start_s = time.perf_counter()
            queue.send([letter])
            times.append((published.wait_for(event) - start_s) * 1000)
        begun_s = time.monotonic()
        while (depth := queue.depth()).waiting + depth.in_flight:
            assert time.monotonic() < begun_s + _LIMIT_S
    return {
        "event_to_page_p50_ms": round(statistics.median(times), 1),
        "event_to_page_worst_ms": round(max(times), 1),
        "first_publish_s": round(published.first_s, 1),
    }


class _Published:
    """When which events were published, as the worker tells."""

    def __init__(self) -> None:
        self.last, self.first_s = 0, 0.0
        self._begun_s = time.perf_counter()
        self._changed = threading.Condition()
        self._at: dict[int, float] = {}

    def note(self, cursor: int) -> None:
        with self._changed:
            now_s = time.perf_counter()
            self.first_s = self.first_s or now_s - self._begun_s
            for event in range(self.last + 1, cursor + 1):
                self._at[event] = now_s
            self.last = cursor
            self._changed.notify_all()

    def wait_for(self, event: int) -> float:
        with self._changed:
            assert self._changed.wait_for(lambda: event in self._at, _LIMIT_S)
            return self._at[event]


@contextmanager
def _working(settings: Settings, queue: Queue) -> Iterator[_Published]:
    published, ready = _Published(), threading.Event()
    builds: list[EventLoop] = []

    def work() -> None:
        with Engine(settings, shipped("templates")) as engine:
            engine.refresh(trial.NOW)
            for video in engine.catalogue.shown():
                for path in urls.made_files(video):  # its poster
                    engine.output.write(path, b"x" * 5000, owned=True)
            publisher = publisher_of(engine)
            worker = Worker(settings, engine, queue, publisher, timing=WorkerTiming(poll_s=1))
            worker.on_published = lambda _: published.note(publisher.cursor)
            builds.append(EventLoop(engine, settings, DryRunWorkers()))
            for _ in worker.run(builds[0]):
                ready.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert ready.wait(_LIMIT_S)
        yield published
    finally:
        builds[0].stop()
        thread.join()


def _made(address: str) -> str:
    """Make a queue; return its URL."""
    import boto3  # noqa: PLC0415 (a second)

    client = boto3.client("sqs", endpoint_url=address)
    return str(client.create_queue(QueueName="events")["QueueUrl"])


def _bucket(name: str) -> None:
    import boto3  # noqa: PLC0415 (likewise)

    where = {"LocationConstraint": "eu-central-1"}
    boto3.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=where)
