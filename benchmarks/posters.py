"""Posters: our workers against ffmpegthumbnailer and `ffmpeg -ss`, on real files, in one run.

Ours does more in its time: it probes, makes two WebP stills, a JPEG and the mean color, and sends
them through a pipe from a process that a file may crash. The rivals make one picture, 320 wide.
Two more contests set the jobs equal: `ffmpeg -ss` is asked for the same three pictures, and our
decoder for one JPEG, 320 wide, without the worker around it.

    python -m benchmarks.posters [VIDEOS]
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median

import av
from av.video.codeccontext import VideoCodecContext

from generator.adapters.media.worker_pool import MediaWorkers
from generator.adapters.media_worker.video_file import UnusableFileError, VideoFile
from generator.core.media.stills import Size, fit, poster_times
from generator.core.model import Place, ProbeResult

SEED = 20261123
MEDIA = Path(__file__).parents[1].parent / "shared" / "media"
REPEATS = 3  # rounds over all files, by all in turns; the median of a file's costs is taken
_OURS, _THUMBNAILER, _SEEK = "ours", "ffmpegthumbnailer", "ffmpeg_ss"
_SEEK_THREE, _OURS_ONE = "ffmpeg_ss_three_pictures", "ours_one_picture"
_BOX = Size(320, 320)


@dataclass(frozen=True, slots=True)
class Cost:
    cpu_s: float
    wall_s: float


def run(videos: int | None) -> dict[str, object]:
    """Measure on `videos` of the real files, or all; those count of which all make a picture."""
    files = sorted(path for path in (MEDIA / "videos").glob("*/*") if path.is_file())
    if videos is not None and videos < len(files):
        files = random.Random(SEED).sample(files, videos)
    with tempfile.TemporaryDirectory() as folder, MediaWorkers(jobs=1) as workers:
        start = _start(workers, Path(folder) / "none.mp4")
        contestants = _contestants(workers, _durations(workers, files), Path(folder))
        rounds = [
            {name: [contest(file) for file in files] for name, contest in contestants.items()}
            for _ in range(REPEATS)
        ]
    rows = [_row(rounds, number) for number in range(len(files))]
    return _figures([row for row in rows if row is not None], start)


def _start(workers: MediaWorkers, nothing: Path) -> Cost:
    """Return what starting a worker costs: it is asked for a file that is not there."""
    began_s = time.perf_counter()
    list(workers.examine([(Place("", "nothing"), str(nothing))]))
    return Cost(worker_cpu_s(), time.perf_counter() - began_s)


def _durations(workers: MediaWorkers, files: list[Path]) -> dict[Path, float]:
    """Return how long each is, by one round that is not counted: it warms the disk's cache."""
    places = {file: Place("", str(file.relative_to(MEDIA))) for file in files}
    found = {one.place: one for one in workers.examine((places[file], str(file)) for file in files)}
    return {
        file: one.probe.duration_s or 0.0
        for file, place in places.items()
        if isinstance(one := found[place], ProbeResult)
    }


def _row(rounds: list[dict[str, list[Cost | None]]], number: int) -> dict[str, Cost] | None:
    """Return what each contestant spent on one file; None where one had no picture to show."""
    row: dict[str, Cost] = {}
    for name in rounds[0]:
        costs = [cost for one in rounds if (cost := one[name][number]) is not None]
        if len(costs) < len(rounds):
            return None
        row[name] = Cost(
            median(cost.cpu_s for cost in costs), median(cost.wall_s for cost in costs)
        )
    return row


def _contestants(
    workers: MediaWorkers, durations: dict[Path, float], folder: Path
) -> dict[str, Callable[[Path], Cost | None]]:
    one = folder / "one.jpg"
    three = [folder / name for name in ("320.webp", "640.webp", "960.jpg")]

    def seek(file: Path, *outs: Path) -> Cost | None:
        command = ["ffmpeg", "-v", "error", "-nostdin", "-y"]
        command += ["-ss", str(0.1 * durations.get(file, 0.0)), "-i", str(file)]
        for out in outs:
            width = out.stem if out.stem.isdecimal() else "320"
            command += ["-frames:v", "1", "-vf", f"scale={width}:-2", str(out)]
        return rival(command, outs[-1])

    return {
        _OURS: lambda file: _ours(workers, file),
        _THUMBNAILER: lambda file: rival(
            ["ffmpegthumbnailer", "-i", str(file), "-o", str(one), "-s", "320"], one
        ),
        _SEEK: lambda file: seek(file, one),
        _SEEK_THREE: lambda file: seek(file, *three),
        _OURS_ONE: _ours_one,
    }


def _ours(workers: MediaWorkers, file: Path) -> Cost | None:
    """Return the cost of one file in the worker, and of the pipe at both of its ends."""
    cpu_s, began_s = worker_cpu_s() + time.process_time(), time.perf_counter()
    (found,) = workers.examine([(Place("", file.name), str(file))])
    wall_s = time.perf_counter() - began_s
    if not isinstance(found, ProbeResult) or found.stills is None:
        return None
    return Cost(worker_cpu_s() + time.process_time() - cpu_s, wall_s)


def worker_cpu_s() -> float:
    """Return what the worker, our only child, has used of the CPU; 10 ms ticks are too coarse."""
    task = Path(f"/proc/self/task/{os.getpid()}/children")
    worker = task.read_text(encoding="ascii").split()[0]
    threads = Path(f"/proc/{worker}/task").glob("*/schedstat")
    return sum(int(path.read_text(encoding="ascii").split()[0]) for path in threads) / 1e9


def rival(command: list[str], out: Path) -> Cost | None:
    """Return the cost of a command that writes a picture; None where it does not."""
    out.unlink(missing_ok=True)
    began_s = time.perf_counter()
    quiet = subprocess.DEVNULL
    child = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)
    _, status, usage = os.wait4(child.pid, 0)
    wall_s = time.perf_counter() - began_s
    child.returncode = os.waitstatus_to_exitcode(status)
    if not out.exists() or out.stat().st_size == 0:
        return None
    return Cost(usage.ru_utime + usage.ru_stime, wall_s)


def _ours_one(file: Path) -> Cost | None:
    """Return the cost of the rivals' job in our way of decoding."""
    cpu_s, began_s = time.process_time(), time.perf_counter()
    with suppress(UnusableFileError), VideoFile(str(file)) as film:
        frame = film.key_frame(poster_times(film.duration_s)[0]) or next(film.frames(), None)
        if frame is None:
            return None
        size = fit(Size(frame.width, frame.height), _BOX)
        small = frame.reformat(size.width_px, size.height_px, "yuvj420p", threads=1)
        encoder = av.CodecContext.create("mjpeg", "w")
        assert isinstance(encoder, VideoCodecContext)
        encoder.width, encoder.height = size.width_px, size.height_px
        encoder.pix_fmt, encoder.time_base = "yuvj420p", Fraction(1, 1)
        encoder.encode(small)
        return Cost(time.process_time() - cpu_s, time.perf_counter() - began_s)
    return None


def _figures(rows: list[dict[str, Cost]], start: Cost) -> dict[str, object]:
    if not rows:
        return {"files": 0}
    ours_s = sum(row[_OURS].cpu_s for row in rows)
    return {
        "files": len(rows),
        "posters_per_second_per_core": round(len(rows) / ours_s, 1),
        "posters_per_second_per_core_with_start": round(len(rows) / (ours_s + start.cpu_s), 1),
        "start_cpu_s": round(start.cpu_s, 3),
        "start_wall_s": round(start.wall_s, 3),
        "median_ms": {
            name: round(1000 * median(row[name].cpu_s for row in rows), 2) for name in rows[0]
        },
        "ratio_to_ffmpegthumbnailer": ratios(rows, _THUMBNAILER, _OURS),
        "ratio_to_ffmpeg_ss": ratios(rows, _SEEK, _OURS),
        "ratio_to_ffmpeg_ss_three_pictures": ratios(rows, _SEEK_THREE, _OURS),
        "one_picture_ratio_to_ffmpegthumbnailer": ratios(rows, _THUMBNAILER, _OURS_ONE),
        "one_picture_ratio_to_ffmpeg_ss": ratios(rows, _SEEK, _OURS_ONE),
    }


def ratios(rows: list[dict[str, Cost]], rival: str, ours: str) -> dict[str, float]:
    """Return how many times as much the rival spends: in all, and in the middle of the files."""
    cpu = [(row[rival].cpu_s, row[ours].cpu_s) for row in rows]
    wall = [(row[rival].wall_s, row[ours].wall_s) for row in rows]
    return {
        "cpu_sum": _of_sums(cpu),
        "cpu_median": round(median(one / other for one, other in cpu), 2),
        "wall_sum": _of_sums(wall),
        "wall_median": round(median(one / other for one, other in wall), 2),
    }


def _of_sums(pairs: list[tuple[float, float]]) -> float:
    return round(sum(one for one, _ in pairs) / sum(other for _, other in pairs), 2)


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else None), indent=1))
