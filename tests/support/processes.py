"""The processes below this one, what they do, and how they are ended; Linux tells it in /proc."""

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
STAT_STATE, STAT_PARENT, STAT_GROUP, STAT_STARTED = 0, 1, 2, 19  # behind the name in brackets


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    parent: int
    group: int
    state: str
    started: int  # in ticks since the machine started
    command: str

    @classmethod
    def of(cls, pid: int) -> "Process | None":
        """Return what runs as `pid` now."""
        folder = Path("/proc", str(pid))
        try:
            name, _, rest = (folder / "stat").read_text(errors="replace").rpartition(")")
            command = (
                (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            )
        except OSError:
            return None
        fields = rest.split()
        return cls(
            pid,
            int(fields[STAT_PARENT]),
            int(fields[STAT_GROUP]),
            fields[STAT_STATE],
            int(fields[STAT_STARTED]),
            command.strip() or name.partition("(")[2],
        )

    @property
    def age_s(self) -> float:
        return float(Path("/proc/uptime").read_text().split()[0]) - self.started / TICKS

    @property
    def waits_in(self) -> str:
        """Return the function of the kernel that it sleeps in, where the kernel tells."""
        with suppress(OSError):
            return Path(f"/proc/{self.pid}/wchan").read_text().strip("0")
        return ""

    def __str__(self) -> str:
        waits = f" in {self.waits_in}" if self.waits_in else ""
        return f"{self.pid} {self.state}{waits}, {self.age_s:.1f} s old: {self.command[:200]}"

    def is_running(self) -> bool:
        now = Process.of(self.pid)
        return now is not None and now.started == self.started and now.state != "Z"

    def kill(self) -> None:
        """End it at once, unless another one has its number by now."""
        if self.is_running():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGKILL)


def running() -> Iterator[Process]:
    for name in os.listdir("/proc"):  # noqa: PTH208 (as fast as it can be: others fork meanwhile)
        process = Process.of(int(name)) if name.isdigit() else None
        if process is not None:
            yield process


def below(pid: int) -> list[tuple[int, Process]]:
    """Return the processes below `pid` and how deep each lies, parents before their children."""
    children: dict[int, list[Process]] = {}
    for process in running():
        children.setdefault(process.parent, []).append(process)

    def walk(parent: int, depth: int) -> Iterator[tuple[int, Process]]:
        for child in sorted(children.get(parent, ()), key=lambda child: child.started):
            yield depth, child
            yield from walk(child.pid, depth + 1)

    return list(walk(pid, 0))


def tree(pid: int) -> str:
    """Return the processes below `pid`, a line each."""
    return "\n".join(f"{'  ' * depth}{process}" for depth, process in below(pid)) or "none"


def marked(mark: str) -> list[Process]:
    """Return the processes that were started with `mark` in their environment."""
    needle, pids = mark.encode(), []
    for process in running():
        with suppress(OSError):
            if needle in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"):
                pids.append(process)
    return pids


def kill_all(processes: Iterable[Process]) -> None:
    """End them and all that is below them."""
    for process in processes:
        for doomed in (process, *(child for _, child in below(process.pid))):
            doomed.kill()  # parents first, so that they begin no others
