"""One view of a popular video, from a running builder: milliseconds and pages."""

import random
import statistics
import time
from pathlib import Path

from benchmarks import rating, trial
from generator.build.engine import Engine
from generator.cli import shipped
from generator.core.model import Event, EventKind, VideoId

TIMES = 300
POPULAR = 50  # videos, each with views enough that people read a rounded number


def run(videos: int | None, folder: Path) -> dict[str, object]:
    """Return milliseconds to show one view, and how often that took a page at all."""
    size = videos or 10_000
    rating.prepare(folder, size)
    chance = random.Random(trial.SEED)
    popular = chance.sample(range(1, size + 1), min(POPULAR, size))
    with Engine(trial.settings(folder), shipped("templates")) as engine:
        engine.catalogue.append(
            _viewed(f"many-{video}", video, chance.randrange(2_000, 90_000)) for video in popular
        )
        engine.refresh(trial.NOW)
        times, pages = [], []
        for number in range(TIMES):
            engine.catalogue.append([_viewed(f"one-{number}", chance.choice(popular), 1)])
            start = time.perf_counter()
            receipt = engine.refresh(trial.NOW)
            times.append((time.perf_counter() - start) * 1000)
            pages.append(receipt.written)
    return {
        "videos": size,
        **rating.spread(times),
        "pages_p50": statistics.median(pages),
        "views_without_a_page": round(pages.count(0) / TIMES, 3),
    }


def _viewed(name: str, video: int, count: int) -> Event:
    return Event(name, EventKind.VIEWED, trial.NOW, "trial", VideoId(video), {"count": count})
