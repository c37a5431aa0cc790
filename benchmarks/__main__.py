"""Figures: `python -m benchmarks NAME [--videos N] [--json]`. Not timed tests; run them by hand.

Every run writes into fresh folders below `--folder` and deletes nothing before its end: on ext4 a
file that takes the place of a freshly deleted one costs many times as much.
"""

import argparse
import json
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    api,
    build,
    burst,
    change,
    devserver,
    live,
    media,
    nothing,
    posters,
    rating,
    storyboards,
    view,
)

BENCHMARKS: dict[str, Callable[[int | None, Path], dict[str, object]]] = {
    "api": api.run,
    "build": build.run,
    "devserver": devserver.run,
    "live": live.run,
    "media": media.run,
    "nothing": nothing.run,
    "change": change.run,
    "rating": rating.run,
    "view": view.run,
    "burst": burst.run,
    "posters": lambda videos, _: posters.run(videos),
    "storyboards": lambda videos, _: storyboards.run(videos),
}


def main() -> None:
    """Run one benchmark and print its figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=sorted(BENCHMARKS))
    parser.add_argument("--videos", type=int, help="how large a library (default: the benchmark's)")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--folder", type=Path, help="where to work, and leave what was made")
    given = parser.parse_args()
    if given.folder:
        folder = tempfile.mkdtemp(dir=given.folder, prefix="reelshelf-")
        figures = BENCHMARKS[given.name](given.videos, Path(folder))
    else:
        with tempfile.TemporaryDirectory(prefix="reelshelf-") as folder:
            figures = BENCHMARKS[given.name](given.videos, Path(folder))
    machine = {"python": platform.python_version(), "machine": platform.machine()}
    if given.json:
        print(json.dumps({"benchmark": given.name, **machine, **figures}))
        return
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:<{width}}  {value}")


if __name__ == "__main__":
    main()
