"""A full build of a library whose posters are made, against `cp -r` of its own output.

Build and copy take turns in one run, each into a fresh folder; the figures are medians.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import trial
from generator.build.engine import Engine
from generator.cli import shipped

ROUNDS = 3


def run(videos: int | None, folder: Path) -> dict[str, object]:
    """Return `ratio_to_copy`, `seconds`, `pages`, `bytes`, `peak_mb` and what they come from."""
    count = videos or 10_000
    made = folder / "catalogue"
    with Engine(trial.settings(made), shipped("templates")) as engine:
        trial.fill(engine.catalogue, count)
    built, copied, ratios, last = [], [], [], {}
    for number in range(ROUNDS):
        last = _apart(made, folder / f"build{number}")
        built.append(last["seconds"])
        copied.append(_copy(folder / f"build{number}" / "out", folder / f"copy{number}"))
        ratios.append(built[-1] / copied[-1])
    return {
        "videos": count,
        "ratio_to_copy": round(statistics.median(ratios), 2),
        "seconds": round(statistics.median(built), 3),
        "copy_seconds": round(statistics.median(copied), 3),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "pages": int(last["pages"]),
        "bytes": int(last["bytes"]),
        "peak_mb": last["peak_mb"],
        "phases": last["phases"],
    }


def _apart(made: Path, folder: Path) -> dict[str, Any]:
    """Build in a process of its own, so that its peak memory is that of a build alone."""
    folder.mkdir()
    subprocess.run(["cp", "-r", made / "state", folder / "state"], check=True)
    command = [sys.executable, "-m", "benchmarks.build", str(folder)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, Any] = json.loads(answer.stdout)
    return figures


def _build(folder: Path) -> dict[str, object]:
    with Engine(trial.settings(folder), shipped("templates")) as engine:
        start = time.perf_counter()
        receipt = engine.refresh(trial.NOW)
        seconds = time.perf_counter() - start
    twin = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {
        "seconds": seconds,
        "pages": receipt.written,
        "bytes": receipt.bytes_written,
        "peak_mb": round(max(receipt.peak_mb, twin), 1),
        "phases": {name: round(value, 3) for name, value in receipt.seconds.items()},
    }


def _copy(source: Path, target: Path) -> float:
    start = time.perf_counter()
    subprocess.run(["cp", "-r", source, target], check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    print(json.dumps(_build(Path(sys.argv[1]))))
