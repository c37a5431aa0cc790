"""One video added, renamed, removed, rated, seen: pages written and milliseconds, by library size.

Beside each, in the same run, a bare loop that writes and renames as many files of the same bytes.
"""

import os
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import trial
from generator.build.engine import Engine
from generator.cli import shipped
from generator.core.model import Event, EventKind, VideoId

TIMES = 40
Deed = Callable[[int], list[Event]]


def run(videos: int | None, folder: Path) -> dict[str, object]:
    """Return, for each size and deed, milliseconds, pages, bytes and the floor."""
    sizes = [videos] if videos else [1_000, 10_000, 100_000]
    figures: dict[str, object] = {}
    for size in sizes:
        with Engine(trial.settings(folder / str(size)), shipped("templates")) as engine:
            trial.fill(engine.catalogue, size)
            engine.refresh(trial.NOW)
            for name, deed in _deeds(size).items():
                figures[f"{name}_{size}"] = _measure(engine, deed, folder / f"floor-{size}-{name}")
    return figures


def _measure(engine: Engine, deed: Deed, floor: Path) -> dict[str, object]:
    times, pages, floors, sizes = [], [], [], []
    for number in range(TIMES):
        engine.catalogue.append(deed(number))
        start = time.perf_counter()
        receipt = engine.refresh(trial.NOW + number)
        times.append((time.perf_counter() - start) * 1000)
        pages.append(receipt.written)
        sizes.append(receipt.bytes_written)
        floors.append(_floor(floor, receipt.written, receipt.bytes_written))
    middle = statistics.median(times)
    return {
        "p50_ms": round(middle, 2),
        "p90_ms": round(statistics.quantiles(times, n=10)[-1], 2),
        "pages_p50": statistics.median(pages),
        "bytes_p50": int(statistics.median(sizes)),
        "floor_ms": round(statistics.median(floors), 2),
        "ratio_to_floor": _ratio(times, floors),
    }


def _ratio(times: list[float], floors: list[float]) -> float | None:
    ratios = [taken / floor for taken, floor in zip(times, floors, strict=True) if floor]
    return round(statistics.median(ratios), 2) if ratios else None


def _floor(folder: Path, pages: int, size: int) -> float:
    """Write and rename as many files over their former selves; return milliseconds."""
    if not pages:
        return 0.0
    folder.mkdir(exist_ok=True)
    content = os.urandom(size // pages)
    start = time.perf_counter()
    for number in range(pages):
        scratch = folder / ".tmp"
        scratch.write_bytes(content)
        scratch.replace(folder / f"{number}.html")
    return (time.perf_counter() - start) * 1000


def _deeds(size: int) -> dict[str, Deed]:
    chance = random.Random(trial.SEED)

    def tagged(video: int) -> list[Event]:
        names = chance.sample(range(trial.TAGS), 3)
        return [
            _event(f"tag-{video}-{tag}", EventKind.TAGGED, video, name=trial.tag_name(tag))
            for tag in names
        ]

    def add(number: int) -> list[Event]:
        video = size + 1 + number
        return [trial.found(video, chance), trial.poster(video), *tagged(video)]

    def rename(number: int) -> list[Event]:
        video = 7 + number * 13
        value = {
            "root": "", "path": f"Year 2000/Folder {video // 100}/renamed {number}.mp4",
            "title": f"renamed {number}", "size_bytes": 5, "mtime_ns": 1,
            "fingerprint": f"{video:032x}", "folder_tags": [],
        }  # fmt: skip
        return [_event(f"moved-{number}", EventKind.VIDEO_MOVED, video, **value)]

    def remove(number: int) -> list[Event]:
        video = 601 + number * 3
        return [
            _event(f"gone-{number}", EventKind.VIDEO_MISSING, video),
            _event(f"dropped-{number}", EventKind.VIDEO_DROPPED, video),
        ]

    def rate(number: int) -> list[Event]:
        video = chance.randrange(1, size // 2)
        return [_event(f"rate-{number}", EventKind.RATED, video, stars=chance.randint(1, 5))]

    return {"added": add, "renamed": rename, "removed": remove, "rated": rate}


def _event(key: str, kind: EventKind, video: int, **value: object) -> Event:
    return Event(key, kind, trial.NOW, "trial", VideoId(video), value)
