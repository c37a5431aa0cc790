"""A burst of 1,000 mixed events, shown by one build: each page is written once."""

import random
import statistics
import time
from pathlib import Path

from benchmarks import rating, trial
from generator.build.engine import Engine
from generator.cli import shipped
from generator.core.model import Event, EventKind, VideoId

EVENTS, ROUNDS = 1_000, 5


def run(videos: int | None, folder: Path) -> dict[str, object]:
    """Return milliseconds an event, and pages, for bursts of ratings, views, favorites and tags."""
    size = videos or 10_000
    rating.prepare(folder, size)
    chance = random.Random(trial.SEED)
    times, pages, floors = [], [], []
    with Engine(trial.settings(folder), shipped("templates")) as engine:
        for number in range(ROUNDS + 1):
            engine.catalogue.append(_event(number, i, size, chance) for i in range(EVENTS))
            start = time.perf_counter()
            receipt = engine.refresh(trial.NOW + number)
            taken = (time.perf_counter() - start) * 1000
            if number:  # the first writes pages that were not there
                times.append(taken)
                pages.append(receipt.written)
                floors.append(rating.floor(engine))
    middle = statistics.median(times)
    return {
        "videos": size,
        "events": EVENTS,
        "refresh_ms": round(middle, 1),
        "ms_per_event": round(middle / EVENTS, 3),
        "pages": int(statistics.median(pages)),
        "pages_per_event": round(statistics.median(pages) / EVENTS, 2),
        "ratio_to_floor": round(
            statistics.median(floors) and middle / statistics.median(floors), 2
        ),
    }


def _event(turn: int, number: int, size: int, chance: random.Random) -> Event:
    video = VideoId(chance.randrange(1, size + 1))
    name, at = f"burst-{turn}-{number}", trial.NOW + turn
    kind = chance.choices(
        (EventKind.VIEWED, EventKind.RATED, EventKind.FAVORITED, EventKind.TAGGED), (6, 2, 1, 1)
    )[0]
    value: dict[str, object] = {}
    if kind is EventKind.RATED:
        value = {"stars": chance.randint(1, 5)}
    elif kind is EventKind.TAGGED:
        value = {"name": trial.tag_name(chance.randrange(trial.TAGS))}
    return Event(name, kind, at, "trial", video, value)
