"""Figures: `python -m benchmarks NAME [--videos N] [--json]`. Not timed tests; run them by hand.

Every run writes into fresh folders below `--folder` and deletes nothing before its end: on ext4 a
file that takes the place of a freshly deleted one costs many times as much.
"""

import argparse
import json
import platform
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import (
    api,
    build,
    burst,
    change,
    cost,
    devserver,
    live,
    measuring,
    media,
    nothing,
    old_server,
    posters,
    private,
    publishing,
    queues,
    rating,
    storyboards,
    view,
)

BENCHMARKS: dict[str, Callable[[int | None, Path], dict[str, object]]] = {
    "api": api.run,
    "build": build.run,
    "cost": cost.run,
    "devserver": devserver.run,
    "live": live.run,
    "measuring": measuring.run,
    "media": media.run,
    "nothing": nothing.run,
    "change": change.run,
    "rating": rating.run,
    "view": view.run,
    "burst": burst.run,
    "queues": queues.run,
    "old_server": old_server.run,
    "posters": lambda videos, _: posters.run(videos),
    "private": lambda _, folder: private.run(folder),
    "publishing": publishing.run,
    "storyboards": lambda videos, _: storyboards.run(videos),
}


def main() -> None:
    """Run one benchmark and print its figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=sorted(BENCHMARKS))
    parser.add_argument("--videos", type=int, help="how large a library (default: the benchmark's)")
    parser.add_argument("--objects", type=int, help="publishing: how large a site")
    parser.add_argument("--aws", default="", help="publishing: the AWS command line, to compare")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--folder", type=Path, help="where to work, and leave what was made")
    given = parser.parse_args()
    size, benchmark = given.videos, BENCHMARKS[given.name]
    if given.name == "publishing":
        size, benchmark = given.objects, partial(publishing.run, aws=given.aws)
    if given.folder:
        folder = tempfile.mkdtemp(dir=given.folder, prefix="reelshelf-")
        figures = benchmark(size, Path(folder))
    else:
        with tempfile.TemporaryDirectory(prefix="reelshelf-") as folder:
            figures = benchmark(size, Path(folder))
    machine = {"python": platform.python_version(), "machine": platform.machine()}
    if given.json:
        print(json.dumps({"benchmark": given.name, **machine, **figures}))
        return
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:<{width}}  {value}")


if __name__ == "__main__":
    main()
