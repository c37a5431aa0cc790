"""API processes behind nginx before one Redis: what is answered 202 is in the stream, once."""

import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from asking import fetch, serving, until
from cloud import Redis, redis_server
from test_same_everywhere import nginx_running

from api_lambda.credentials import digest
from generator.adapters.queues import open_queue
from generator.adapters.redis_state import RedisState
from generator.core.model import Event
from generator.core.queue import messages
from generator.core.queue.queue import Queue

OWNERS = "rs_the-token-of-the-owner"
OWNER = {"Authorization": f"Bearer {OWNERS}"}
BASE = "/films"
CLIENTS, EACH = 6, 50
pytestmark = [pytest.mark.system("nginx"), pytest.mark.system("redis-server")]


@dataclass(frozen=True)
class Machines:
    """Two API processes, nginx before them, and the Redis behind."""

    port: int
    servers: list[subprocess.Popen[str]]
    redis: Redis

    def put(self, video: int, key: str) -> int:
        """Make a video a favorite; return the status."""
        path = f"{BASE}/api/videos/{video}/favorite"
        return fetch(self.port, "PUT", path, headers={**OWNER, "Idempotency-Key": key}).status

    def keys(self) -> list[str]:
        """Return the ids of all events in the stream."""
        with closing(open_queue(self.redis.address)) as queue:
            return [one.id for one in drained(queue)]


def drained(queue: Queue) -> list[Event]:
    drained_events: list[Event] = []
    while batch := queue.receive(1000, 0.0):
        told = [messages.decode_message(one.body, 1 << 60) for one in batch]
        drained_events += [one for one in told if isinstance(one, Event)]
        queue.delete(batch)
    return drained_events


@pytest.fixture
def machines(
    tmp_path: Path, program: Callable[[str], str], free_port: Callable[[], int]
) -> Iterator[Machines]:
    program("redis-server")
    ports = free_port(), free_port()
    front = free_port()
    servers: list[subprocess.Popen[str]] = []
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(tmp_path))
        shared = stack.enter_context(closing(RedisState(redis.address)))
        shared.put_keys([("one", digest(OWNERS))], bytes(32))  # as the worker does
        for port in ports:
            told = {"REELSHELF_QUEUE": redis.address, "REELSHELF_SITE_URL": f"https://x.org{BASE}"}
            serve = serving(tmp_path / "nowhere", "--port", str(port), **told)
            servers.append(stack.enter_context(serve))
        one, other = (f"127.0.0.1:{port}" for port in ports)
        stack.enter_context(nginx_running(program("nginx"), tmp_path / "nginx", front, one, other))
        yield Machines(front, servers, redis)
    assert not (tmp_path / "nowhere").exists()


def test_a_storm_over_two_processes_is_in_the_stream_exactly_once(machines: Machines) -> None:
    def client(number: int) -> list[int]:
        return [machines.put(n + 1, f"key-{number}-{n:06}") for n in range(EACH)]

    with ThreadPoolExecutor(CLIENTS) as pool:
        statuses = [status for told in pool.map(client, range(CLIENTS)) for status in told]

    assert Counter(statuses) == {202: CLIENTS * EACH}
    assert sorted(machines.keys()) == sorted(
        f"key-{number}-{n:06}" for number in range(CLIENTS) for n in range(EACH)
    )


@dataclass
class Storm:
    """Clients that write until they are told to stop, and what they were answered."""

    machines: Machines
    is_over: threading.Event = field(default_factory=threading.Event)
    statuses: Counter[int] = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)

    def run(self, number: int) -> None:
        for n in range(10**6):
            if self.is_over.is_set():
                break
            key = f"key-{number}-{n:06}"
            status = self.machines.put(n + 1, key)
            self.statuses[status] += 1
            if status == 202:
                self.accepted.append(key)


def test_what_was_accepted_outlives_a_redis_that_is_killed_and_started_again(
    machines: Machines,
) -> None:
    storm = Storm(machines)
    with ThreadPoolExecutor(CLIENTS) as pool:
        runs = [pool.submit(storm.run, number) for number in range(CLIENTS)]
        try:
            until(lambda: len(storm.accepted) > 100)
            machines.redis.kill()
            until(lambda: storm.statuses[503] > 0)
            machines.redis.start()
            before = len(storm.accepted)
            until(lambda: len(storm.accepted) > before + 100)
        finally:
            storm.is_over.set()
        for run in runs:
            run.result()

    assert set(storm.statuses) == {202, 503}
    in_stream = Counter(machines.keys())
    assert set(storm.accepted) <= set(in_stream)


def test_an_api_process_that_ends_finishes_what_it_accepted_and_nginx_asks_the_other(
    machines: Machines,
) -> None:
    storm = Storm(machines)
    with ThreadPoolExecutor(CLIENTS) as pool:
        runs = [pool.submit(storm.run, number) for number in range(CLIENTS)]
        try:
            until(lambda: len(storm.accepted) > 100)
            machines.servers[0].terminate()
            machines.servers[0].wait(60)
            before = len(storm.accepted)
            until(lambda: len(storm.accepted) > before + 100)
        finally:
            storm.is_over.set()
        for run in runs:
            run.result()

    assert set(storm.statuses) == {202}
    assert Counter(machines.keys()) == Counter(storm.accepted)
