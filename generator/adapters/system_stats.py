"""Memory, processor and disk of this machine, by psutil; it is imported when they are asked for."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SystemStats:
    """What the machine has and uses; bytes, and percent of all processors since the last call.

    `process_memory_bytes` and `process_cpu_s` are those of the given processes together.
    """

    memory_bytes: int
    memory_available_bytes: int
    cpu_percent: float
    load_1m: float
    disk_bytes: int
    disk_free_bytes: int
    process_memory_bytes: int
    process_cpu_s: float


def system_stats(folder: Path, pids: Iterable[int]) -> SystemStats:
    """Return the figures of this machine.

    Args:
        folder: on the disk that counts.
        pids: of processes, which may have ended.
    """
    import psutil  # noqa: PLC0415 (takes 60 ms, and the API of a Lambda needs none)

    memory, disk = psutil.virtual_memory(), psutil.disk_usage(str(folder))
    resident, cpu_s = 0, 0.0
    for pid in pids:
        try:
            process = psutil.Process(pid)
            resident += process.memory_info().rss
            cpu_s += sum(process.cpu_times()[:2])
        except psutil.Error:
            continue
    return SystemStats(
        memory.total, memory.available, psutil.cpu_percent(), psutil.getloadavg()[0],
        disk.total, disk.free, resident, cpu_s,
    )  # fmt: skip
