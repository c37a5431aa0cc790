"""One rating: milliseconds, pages and bytes, from a running builder and from a cold process.

Beside each, in the same run, the floor: a bare loop that writes the same bytes to the same files
and renames them into place. From `UNWRITTEN` videos on the first build keeps its pages from the
disk, as a million videos have tens of gigabytes of them; what a measured rating rewrites is
written before, so that it replaces files here too.

    python -m benchmarks.rating cold FOLDER NUMBER     one rating from a process of its own
"""

import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from typing_extensions import override

from benchmarks import trial
from generator.adapters.output import Output
from generator.build.engine import Engine
from generator.cli import shipped
from generator.core.model import Event, EventKind, OutPath, VideoId

SIZES = (1_000, 10_000, 100_000)
UNWRITTEN = 50_000
TIMES, COLD_TIMES = 60, 15


def run(videos: int | None, folder: Path) -> dict[str, object]:
    """Return the figures of one size, or of several: those of the largest, and all by size."""
    if videos is not None:
        return measure(videos, folder / str(videos))
    sizes = {size: measure(size, folder / str(size)) for size in SIZES}
    smallest, largest = (float(str(sizes[size]["p50_ms"])) for size in (SIZES[0], SIZES[-1]))
    growth = round(largest / smallest, 2)
    return {**sizes[SIZES[-1]], "growth": growth, "sizes": sizes}


def measure(size: int, folder: Path) -> dict[str, object]:
    """Build a site of `size` videos, and rate some of them."""
    prepare(folder, size)
    chance = random.Random(trial.SEED)
    chosen = chance.sample(range(1, size + 1), TIMES + COLD_TIMES)
    with Engine(trial.settings(folder), shipped("templates")) as engine:
        for video in chosen:  # so that every file is there, as in a site that was written
            for stars in _two_ratings(video):
                rate(engine, video, stars)
                engine.refresh(trial.NOW)
        times, floors, pages, sizes = [], [], [], []
        for video in chosen[:TIMES]:
            rate(engine, video, _two_ratings(video)[0])
            start = time.perf_counter()
            receipt = engine.refresh(trial.NOW)
            times.append((time.perf_counter() - start) * 1000)
            pages.append(receipt.written)
            sizes.append(receipt.bytes_written)
            floors.append(floor(engine))
    cold = [_cold(folder, video) for video in chosen[TIMES:]]
    ledger = (folder / "state" / "ledger.db").stat().st_size
    return {
        "videos": size,
        **spread(times),
        "pages_p50": statistics.median(pages),
        "bytes_p50": int(statistics.median(sizes)),
        "floor_p50_ms": round(statistics.median(floors), 2),
        "ratio_to_floor": round(
            statistics.median(t / f for t, f in zip(times, floors, strict=True)), 2
        ),
        "cold_p50_ms": round(statistics.median(cold), 2),
        "cold_p95_ms": round(sorted(cold)[int(len(cold) * 0.95)], 2),
        "cold_extra_ms": round(statistics.median(cold) - statistics.median(times), 2),
        "ledger_mb": round(ledger / 1e6, 1),
    }


def spread(times: list[float]) -> dict[str, object]:
    """Return the median and the 95th percentile of some milliseconds."""
    ordered = sorted(times)
    return {
        "p50_ms": round(statistics.median(ordered), 2),
        "p95_ms": round(ordered[int(len(ordered) * 0.95)], 2),
    }


def prepare(folder: Path, size: int) -> None:
    """Fill a catalogue, and build its site: written, or but for the files themselves."""
    with Engine(trial.settings(folder), shipped("templates")) as engine:
        trial.fill(engine.catalogue, size)
        written = engine.output
        if size >= UNWRITTEN:
            engine.output = _Unwritten(written.root)
        engine.refresh(trial.NOW)
        engine.output = written
        engine.refresh(trial.NOW)
    os.sync()  # a site at rest: the disk is not still busy with its first build


def rate(engine: Engine, video: int, stars: int) -> None:
    """Record a rating."""
    name, at = f"rated-{video}-{time.time_ns()}", trial.NOW
    value = {"stars": stars}
    engine.catalogue.append([Event(name, EventKind.RATED, at, "trial", VideoId(video), value)])


def floor(engine: Engine) -> float:
    """Write what the last build wrote once more, bare; return milliseconds."""
    last = engine.ledger.refresh()
    assert last is not None
    root = str(engine.output.root)
    paths = engine.ledger.pages_of_refresh(last[0])
    files = [(f"{root}/{path}", engine.output.read(path) or b"") for path in paths]
    start = time.perf_counter()
    for file, content in files:
        scratch = file.rpartition("/")[0] + "/.tmp-floor"
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.write(descriptor, content)
        os.close(descriptor)
        os.replace(scratch, file)  # noqa: PTH105 (bare)
    return (time.perf_counter() - start) * 1000


def _two_ratings(video: int) -> tuple[int, int]:
    return 1 + video % 5, 1 + (video + 2) % 5


def _cold(folder: Path, video: int) -> float:
    command = [sys.executable, "-m", "benchmarks.rating", "cold", str(folder), str(video)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(answer.stdout))


def _rate_cold(folder: Path, video: int) -> float:
    start = time.perf_counter()
    with Engine(trial.settings(folder), shipped("templates")) as engine:
        rate(engine, video, _two_ratings(video)[0])
        engine.refresh(trial.NOW)
        return (time.perf_counter() - start) * 1000


class _Unwritten(Output):
    """An output folder that keeps nothing but its mark."""

    @override
    def write(
        self,
        path: OutPath,
        content: bytes,
        *,
        packed: bool = False,
        owned: bool = False,
        lane: int = 0,
        durable: bool = False,
    ) -> None:
        if path.startswith("."):
            super().write(path, content, packed=packed, owned=owned, lane=lane, durable=durable)

    @override
    def delete(self, path: OutPath) -> None:
        """Keep what is there."""

    @override
    def unpack(self, path: OutPath) -> None:
        """Keep what is there."""

    @override
    def remove_empty_folders(self, folders: Iterable[str]) -> None:
        """Keep what is there."""


if __name__ == "__main__":
    print(json.dumps(_rate_cold(Path(sys.argv[2]), int(sys.argv[3]))))
