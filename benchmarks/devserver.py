"""The dev server: a range of a film of 1 GB, and how soon an open page hears of a settled build.

Ranges are asked for over one connection, first while nothing else is done, then while ratings are
shown without end in another thread: the two share an interpreter, as under `reelshelf dev`.
"""

import asyncio
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from urllib.parse import urlsplit

from tornado.websocket import websocket_connect

from benchmarks import trial
from generator.build.engine import Engine
from generator.cli import shipped
from generator.core.model import Event, EventKind, VideoId
from generator.devserver import DevServer, ServedSite

TIMES = 300
RELOADS = 60
FILM_BYTES = 1 << 30
RANGE_BYTES = 64 * 1024
LIMIT_S = 30.0


def run(videos: int | None, folder: Path) -> dict[str, object]:
    """Return milliseconds: of ranges, idle and during builds, and from a build to its message."""
    size = videos or 1_000
    settings = trial.settings(folder)
    film = folder / "library" / "film.mp4"
    film.parent.mkdir(parents=True)
    with film.open("wb") as file:
        file.truncate(FILM_BYTES)
    server = DevServer(ServedSite(settings.out, {"": film.parent}))
    with (
        Engine(settings, shipped("templates")) as engine,
        _serving(server) as port,
        ThreadPoolExecutor(1) as browser,
    ):
        trial.fill(engine.catalogue, size)
        engine.refresh(trial.NOW)
        rate = _rates(engine, size)
        idle = browser.submit(_ranges, port).result()
        asking = browser.submit(_ranges, port)
        while not asking.done():
            rate()
        reloads = _reloads(server, port, rate, browser)
    figures: dict[str, object] = {"videos": size}
    timed = {"range": idle, "range_while_building": asking.result(), "reload": reloads}
    for name, times in timed.items():
        figures[f"{name}_p50_ms"] = round(statistics.median(times), 2)
        figures[f"{name}_p99_ms"] = round(statistics.quantiles(times, n=100)[-1], 2)
    return figures


@contextmanager
def _serving(server: DevServer) -> Iterator[int]:
    server.start()
    thread = Thread(target=server.run)
    thread.start()
    try:
        yield urlsplit(server.address).port or 80
    finally:
        server.stop()
        thread.join()


def _rates(engine: Engine, videos: int) -> Callable[[], None]:
    chance, numbers = random.Random(trial.SEED), count()

    def rate() -> None:
        number, video = next(numbers), VideoId(chance.randint(1, videos))
        stars = {"stars": number % 5 + 1}
        engine.catalogue.append(
            [Event(f"rate-{number}", EventKind.RATED, trial.NOW, "trial", video, stars)]
        )
        engine.refresh(trial.NOW + number)

    return rate


def _ranges(port: int) -> list[float]:
    chance, times = random.Random(trial.SEED), []
    with closing(HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)) as connection:
        for _ in range(TIMES):
            start = chance.randrange(FILM_BYTES - RANGE_BYTES)
            wanted = {"Range": f"bytes={start}-{start + RANGE_BYTES - 1}"}
            begun = time.perf_counter()
            connection.request("GET", "/video/film.mp4", headers=wanted)
            content = connection.getresponse().read()
            times.append((time.perf_counter() - begun) * 1000)
            assert content == bytes(RANGE_BYTES), "it is not the range that was asked for"
    return times


def _reloads(
    server: DevServer, port: int, rate: Callable[[], None], browser: ThreadPoolExecutor
) -> list[float]:
    """Return how long after each settled build an open page was told of it."""
    heard: SimpleQueue[float] = SimpleQueue()
    listening = browser.submit(asyncio.run, _listen(port, heard))
    heard.get(timeout=LIMIT_S)  # the page has introduced itself
    times = []
    for _ in range(RELOADS):
        rate()
        settled = time.perf_counter()
        server.reload()
        times.append((heard.get(timeout=LIMIT_S) - settled) * 1000)
    listening.result()
    return times


async def _listen(port: int, heard: SimpleQueue[float]) -> None:
    """Be an open page: put the instant of each message into `heard`, that of readiness first."""
    line = await websocket_connect(f"ws://127.0.0.1:{port}/livereload")
    for told in ({"command": "info", "url": ""}, {"command": "hello", "protocols": []}):
        await line.write_message(json.dumps(told))
    for _ in range(1 + RELOADS):
        await line.read_message()
        heard.put(time.perf_counter())
    line.close()
