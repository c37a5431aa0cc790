"""Storyboards: ours, out of key frames, against `ffmpeg -vf fps`, on real files, in one run.

`ffmpeg -vf fps` decodes every frame and shows what is shown at each instant; ours shows the key
frame before it, and each but once: "distinct of wanted" says how many that are. A second rival is
told to look at key frames only (`-skip_frame nokey`), and reads the whole file for them. Rivals
write a JPEG, which costs them less than WebP. Ours is measured in this process; what isolation
adds (a worker, and the pipe at both of its ends) is told apart.

    python -m benchmarks.storyboards [VIDEOS]
"""

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import av

from benchmarks.posters import MEDIA, REPEATS, SEED, Cost, ratios, rival, worker_cpu_s
from generator.adapters.media.worker_pool import MediaWorkers
from generator.adapters.media_worker.storyboard import board
from generator.adapters.media_worker.video_file import UnusableFileError, VideoFile
from generator.core.media.storyboards import MAX_TILES, TILE_BOX, board_times
from generator.core.media.worker_protocol import ProbeRequest
from generator.core.model import EncodedStoryboard, EnrichmentResult, Place

_OURS, _WORKER = "ours", "ours_in_a_worker"
_EVERY, _NOKEY = "ffmpeg_fps", "ffmpeg_nokey_fps"
_LONG_S = 5.0  # from here on, once is enough
_MAX_S = 100  # a rival that has nothing to show by then is not compared
_SILENT = -8  # AV_LOG_QUIET
_COLUMNS, _ROW = 10, "{:44.44} {:>6} {:>7} {:>8} {:>8} {:>8} {:>8} {:>7}"


@dataclass(frozen=True, slots=True)
class _Subject:
    """A file that a storyboard can be made of, how long it is, and how many tiles that wants."""

    file: Path
    duration_s: float
    wanted: int
    board: EncodedStoryboard


def run(videos: int | None) -> dict[str, object]:
    """Measure on `videos` of the real files that have a storyboard, or on all."""
    av.logging.set_libav_level(_SILENT)
    files = sorted(path for path in (MEDIA / "videos").glob("*/*") if path.is_file())
    subjects = [subject for file in files if (subject := _subject(file)) is not None]
    if videos is not None and videos < len(subjects):
        subjects = random.Random(SEED).sample(subjects, videos)
    compared: list[dict[str, Cost]] = []
    with tempfile.TemporaryDirectory() as folder, MediaWorkers(jobs=1) as workers:
        list(workers.examine([(Place("", "nothing"), str(Path(folder) / "none.mp4"))]))  # started
        contestants = _contestants(workers, Path(folder) / "board.jpg")
        print(_ROW.format("file", "tiles", "bytes", _OURS, "worker", "fps", "nokey", "ratio"))
        for subject in subjects:
            row = _measured(contestants, subject)
            print(_told(subject, row), flush=True)
            if row.keys() >= {_OURS, _WORKER, _EVERY}:
                compared.append(row)
    return _figures(subjects, compared)


def _subject(file: Path) -> _Subject | None:
    """Return what to measure; None for a file without a storyboard, or that says no length."""
    with suppress(UnusableFileError), VideoFile(str(file)) as film:
        duration_s = film.duration_s
        if duration_s is not None:
            wanted = len(board_times(duration_s, film.displayed or TILE_BOX))
            return _Subject(file, duration_s, wanted, board(film))
    return None


def _contestants(workers: MediaWorkers, out: Path) -> dict[str, Callable[[_Subject], Cost | None]]:
    def ffmpeg(subject: _Subject, *options: str) -> Cost | None:
        rate = f"fps={subject.wanted}/{subject.duration_s}"
        tile = f"tile={_COLUMNS}x{MAX_TILES // _COLUMNS}"
        command = ["timeout", "-s", "KILL", str(_MAX_S)]
        command += ["ffmpeg", "-v", "error", "-nostdin", "-y", *options, "-i", str(subject.file)]
        command += ["-vf", f"{rate},scale=160:-2,{tile}", "-frames:v", "1", str(out)]
        return rival(command, out)

    return {
        _OURS: _ours,
        _WORKER: lambda subject: _worker(workers, subject),
        _EVERY: ffmpeg,
        _NOKEY: lambda subject: ffmpeg(subject, "-skip_frame", "nokey"),
    }


def _ours(subject: _Subject) -> Cost:
    cpu_s, began_s = time.process_time(), time.perf_counter()
    with VideoFile(str(subject.file)) as film:
        board(film)
    return Cost(time.process_time() - cpu_s, time.perf_counter() - began_s)


def _worker(workers: MediaWorkers, subject: _Subject) -> Cost | None:
    """Return the cost of one file in the worker, and of the pipe at both of its ends."""
    request = ProbeRequest(Place("", subject.file.name), str(subject.file), board=True)
    cpu_s, began_s = worker_cpu_s() + time.process_time(), time.perf_counter()
    (found,) = workers.answer([request])
    wall_s = time.perf_counter() - began_s
    if not isinstance(found, EnrichmentResult) or found.board is None:
        return None
    return Cost(worker_cpu_s() + time.process_time() - cpu_s, wall_s)


def _measured(
    contestants: dict[str, Callable[[_Subject], Cost | None]], subject: _Subject
) -> dict[str, Cost]:
    """Return the median cost of each contestant who has something to show, taken in turns."""
    costs: dict[str, list[Cost]] = {name: [] for name in contestants}
    for number in range(REPEATS):
        for name, make in contestants.items():
            had = costs[name]
            if len(had) == number and (number == 0 or had[0].cpu_s < _LONG_S):
                cost = make(subject)
                had.extend([] if cost is None else [cost])
    return {
        name: Cost(median(one.cpu_s for one in had), median(one.wall_s for one in had))
        for name, had in costs.items()
        if had
    }


def _told(subject: _Subject, row: dict[str, Cost]) -> str:
    name = f"{subject.file.parent.name}/{subject.file.name}"
    tiles = f"{len(subject.board.starts_s)}/{subject.wanted}"
    spent = [
        f"{1000 * row[one].cpu_s:.1f}" if one in row else "none"
        for one in (_OURS, _WORKER, _EVERY, _NOKEY)
    ]
    ratio = f"{row[_EVERY].cpu_s / row[_OURS].cpu_s:.1f}" if _EVERY in row else "none"
    return _ROW.format(name, tiles, len(subject.board.content), *spent, ratio)


def _figures(subjects: list[_Subject], rows: list[dict[str, Cost]]) -> dict[str, object]:
    if not rows:
        return {"files": 0}
    longest = max(rows, key=lambda row: row[_EVERY].cpu_s)
    with_nokey = [row for row in rows if _NOKEY in row]
    names = (_OURS, _WORKER, _EVERY)
    return {
        "files": len(subjects),
        "files_compared": len(rows),
        "tiles_distinct": sum(len(subject.board.starts_s) for subject in subjects),
        "tiles_wanted": sum(subject.wanted for subject in subjects),
        "bytes_median": median(len(subject.board.content) for subject in subjects),
        "cpu_ms_sum": {name: round(1000 * sum(row[name].cpu_s for row in rows)) for name in names},
        "cpu_ms_median": {
            name: round(1000 * median(row[name].cpu_s for row in rows), 1) for name in names
        },
        "ratio_to_ffmpeg_fps": ratios(rows, _EVERY, _OURS),
        "ratio_to_ffmpeg_fps_but_for_its_longest": ratios(
            [row for row in rows if row is not longest] or rows, _EVERY, _OURS
        ),
        "ratio_to_ffmpeg_nokey_fps": ratios(with_nokey, _NOKEY, _OURS) if with_nokey else {},
        "isolation_costs": ratios(rows, _WORKER, _OURS),
        "ratio_to_ffmpeg_fps_in_a_worker": ratios(rows, _EVERY, _WORKER),
    }


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else None), indent=1))
