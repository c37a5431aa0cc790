"""A build with nothing to do: one walk and one stat a file of a library that is as it was."""

import statistics
import time
from pathlib import Path

from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.build.engine import Engine
from generator.cli import shipped
from generator.core.model import Event, EventKind, VideoId
from generator.scan.observe import LibraryScan
from generator.scan.probe import DryRunWorkers

ROUNDS = 5


def run(videos: int | None, folder: Path) -> dict[str, object]:
    """Return the median seconds of a build, scan included, and its slowest phase."""
    count = videos or 100_000
    settings = trial.settings(folder, settle_s=0)
    with Engine(settings, shipped("templates")) as engine:
        trial.fill(engine.catalogue, count)
        _make_files(engine.catalogue, folder / "library")
        # videos of unknown age are probed once more; from then on there is nothing to do
        engine.refresh(trial.NOW, LibraryScan(settings, DryRunWorkers(), time.time))
        times, phases = [], {}
        for number in range(ROUNDS):
            look = LibraryScan(settings, DryRunWorkers(), time.time)
            start = time.perf_counter()
            receipt = engine.refresh(trial.NOW + number + 2, look)
            times.append(time.perf_counter() - start)
            assert (receipt.walked, receipt.written, receipt.found) == (count, 0, 0), receipt
            phases = {name: round(value, 3) for name, value in receipt.seconds.items()}
    return {
        "videos": count,
        "seconds": round(statistics.median(times), 3),
        "all_seconds": [round(one, 3) for one in times],
        "phases": phases,
    }


def _make_files(catalogue: Catalogue, library: Path) -> None:
    """Make an empty file for each video, and let the catalogue know its size and time."""
    events = []
    for video in catalogue.shown():
        file = library / video.place.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        value = {
            "root": "", "path": video.place.path, "size_bytes": 0,
            "mtime_ns": file.stat().st_mtime_ns,
        }  # fmt: skip
        name = f"touched-{video.id}"
        events.append(
            Event(name, EventKind.VIDEO_CHANGED, trial.NOW, "trial", VideoId(video.id), value)
        )
    catalogue.append(events)
