"""Media: a build of all real and hostile files: how many go in, are shown, told of, and lost.

A file is told of when the problems name it; it is passed over when its name is none of a video's,
or one that is ignored. What is neither is lost, and none may be. The hostile files need ffmpeg.

    python -m benchmarks media --folder DIR
"""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.posters import MEDIA
from generator.adapters.media.worker_pool import MediaWorkers
from generator.adapters.settings import Settings
from generator.build.engine import Engine
from generator.core.library.file_filter import compile_filter
from generator.scan.observe import LibraryScan
from generator.watch.background_jobs import Backlog

_TEMPLATES = Path(__file__).parents[1] / "templates"


def run(videos: int | None, folder: Path) -> dict[str, object]:
    """Build a site of everything there is; `videos` has no meaning here."""
    del videos
    figures: dict[str, object] = {"user": "root" if os.geteuid() == 0 else "ordinary"}
    figures |= _told(folder / "real", MEDIA / "videos", "real")
    figures |= _told(folder / "hostile", _hostile(folder), "hostile")
    workers_kb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    figures["peak_mb_of_a_worker"] = round(workers_kb / 1024)
    return figures


def _hostile(folder: Path) -> Path:
    """Return a library of hostile files, made by a process that is not counted as a worker."""
    library, maker = folder / "hostile-library", MEDIA / "hostile" / "make_hostile.py"
    told = library.with_name("hostile-library.manifest.json")
    command = f"{sys.executable} {maker} {library} >/dev/null 2>&1 &"
    subprocess.run(["sh", "-c", command], check=True)
    while not told.is_file() or not told.read_bytes().endswith(b"]"):
        time.sleep(0.1)
    return library


def _told(folder: Path, library: Path, name: str) -> dict[str, object]:
    settings = Settings(
        library=(library,), out=folder / "out", state=folder / "state", settle_s=0, compress="off"
    )
    intake = compile_filter(())
    named = {
        file.relative_to(library).as_posix()
        for file in _files(library)
        if intake.takes_file_at(file.relative_to(library).as_posix())
    }
    start = time.perf_counter()
    with (
        Engine(settings, _TEMPLATES) as engine,
        MediaWorkers(jobs=settings.workers) as workers,
        Backlog(settings) as backlog,
    ):
        engine.refresh(int(time.time()), LibraryScan(settings, workers, time.time))
        shown_s = time.perf_counter() - start
        while backlog.enqueue(engine.catalogue):
            time.sleep(0.05)
            backlog.record(engine.catalogue, engine.files, int(time.time()))
        engine.refresh(int(time.time()))
        shown = {video.place.path for video in engine.catalogue.shown()}
        told = {problem.place.path for problem in engine.catalogue.problems()}
        boards = sum(video.storyboard is not None for video in engine.catalogue.shown())
    above = {path for path in named if any(path.startswith(f"{one}/") for one in told)}
    return {
        f"{name}_files_named_like_videos": len(named),
        f"{name}_shown": len(shown),
        f"{name}_told": len(told),
        f"{name}_shown_and_told": len(shown & told),
        f"{name}_lost": len(named - shown - told - above),
        f"{name}_with_storyboard": boards,
        f"{name}_seconds_until_shown": round(shown_s, 2),
        f"{name}_seconds_with_storyboards": round(time.perf_counter() - start, 2),
    }


def _files(library: Path) -> list[Path]:
    found = []
    for folder, _, names in os.walk(library):
        found += [Path(folder) / name for name in names]
    return found
