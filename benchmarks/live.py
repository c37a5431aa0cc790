"""From a POST to new bytes on the disk: 64 clients rate through HTTP while a builder watches.

Three processes: `reelshelf api`, a builder, and the clients, who all write `PER_S` ratings a second
together, at random moments. Each waits for the watch page of its video to be another file.

    python -m benchmarks.live build FOLDER     watch the site of a folder until stopped
"""

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import rating, trial
from generator.adapters.settings import Settings
from generator.build.engine import Engine
from generator.cli import shipped
from generator.core.site import urls
from generator.scan.probe import DryRunWorkers
from generator.watch.build_loop import BuildLoop

CLIENTS, SECONDS, PER_S = 64, 20, 16
_LOOK_S = 0.0005
_PATIENCE_S = 10.0


def run(videos: int | None, folder: Path) -> dict[str, object]:
    """Return milliseconds from sending a rating to its watch page, and to its answer."""
    size = videos or 10_000
    rating.prepare(folder, size)
    with Engine(trial.settings(folder), shipped("templates")) as engine:
        pages = {video.id: urls.watch_path_of(video) for video in engine.catalogue.shown()}
    (folder / "library").mkdir()
    out = folder / "out"
    with _builder(folder), _api(folder / "state") as port:
        told = asyncio.run(_rate(port, {number: out / page for number, page in pages.items()}))
    shown = sorted(shown for _, shown in told)
    answered = sorted(answered for answered, _ in told)
    return {
        "videos": size,
        "clients": CLIENTS,
        "ratings": len(told),
        "ratings_per_s": round(len(told) / SECONDS, 1),
        **rating.spread(shown),
        "p99_ms": round(shown[int(len(shown) * 0.99)], 2),
        "answer_p50_ms": round(statistics.median(answered), 2),
        "answer_p99_ms": round(answered[int(len(answered) * 0.99)], 2),
    }


async def _rate(port: int, pages: dict[int, Path]) -> list[tuple[float, float]]:
    chance = random.Random(trial.SEED)
    numbers = list(pages)
    chance.shuffle(numbers)
    shares = [numbers[client::CLIENTS] for client in range(CLIENTS)]
    clients = [_client(port, share, pages, random.Random(i)) for i, share in enumerate(shares)]
    return [pair for some in await asyncio.gather(*clients) for pair in some]


async def _client(
    port: int, numbers: list[int], pages: dict[int, Path], chance: random.Random
) -> list[tuple[float, float]]:
    """Rate one's own videos for a while; return milliseconds to each answer and to each page."""
    told, end_s = [], time.monotonic() + SECONDS
    for video in numbers:
        await asyncio.sleep(chance.expovariate(PER_S / CLIENTS))
        if time.monotonic() > end_s:
            break
        # a page may say so already, and then stay: so first the one, then the other rating
        page, former = pages[video], _stamp(pages[video])
        body = json.dumps({"stars": 1 + video % 5}).encode()
        start = time.perf_counter()
        reading, writing = await asyncio.open_connection("127.0.0.1", port)
        writing.write(
            f"PUT /api/videos/{video}/rating HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = await reading.readuntil(b"\r\n\r\n")
        assert b" 200 " in head, head
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        stars = json.loads(await reading.readexactly(length))["video"]["stars"]
        answered = time.perf_counter()
        writing.close()
        assert stars == 1 + video % 5
        end = answered + _PATIENCE_S
        while _stamp(page) == former and time.perf_counter() < end:  # noqa: ASYNC110 (files tell nobody)
            await asyncio.sleep(_LOOK_S)
        if _stamp(page) != former:  # else it had these stars already
            told.append(((answered - start) * 1000, (time.perf_counter() - start) * 1000))
    return told


def _stamp(page: Path) -> tuple[int, int]:
    try:
        found = page.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_mtime_ns, found.st_ino


def _settings(folder: Path) -> Settings:
    """Return settings with which nothing is missing though no file is there."""
    return trial.settings(folder, missing_grace_s=10**9, max_loss_share=1, compress="off")


@contextmanager
def _builder(folder: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "benchmarks.live", "build", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as builder:
        try:
            assert builder.stdout is not None
            assert builder.stdout.readline()  # it has built once
            yield
        finally:
            builder.terminate()


@contextmanager
def _api(state: Path) -> Iterator[int]:
    command = [str(Path(sys.executable).with_name("reelshelf")), "api", "--port", "0", "--json"]
    environment = {**os.environ, "REELSHELF_STATE": str(state)}
    with subprocess.Popen(
        command, env=environment, cwd=state, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            yield int(json.loads(server.stdout.readline())["address"].split(":")[2].split("/")[0])
        finally:
            server.terminate()


def _build(folder: Path) -> None:
    settings = _settings(folder)
    with Engine(settings, shipped("templates")) as engine:
        watch = BuildLoop(engine, settings, DryRunWorkers())
        watch.accept_loss = True
        for receipt in watch.receipts():
            print(receipt.number, flush=True)


if __name__ == "__main__":
    _build(Path(sys.argv[2]))
