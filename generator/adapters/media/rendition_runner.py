"""Renditions: a program makes playable copies, one at a time; this starts and watches it.

Nothing here waits longer than it is told to, and no thread watches: whoever polls does. A file that
crashes the program, hangs it or makes it babble costs itself alone. What was finished of a copy
stays in its folder, so that it goes on from there when it is asked for again, in whatever process.
"""

import json
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

from generator.core.errors import ReelshelfError
from generator.core.formatting import file_size
from generator.core.media.renditions import (
    CHUNK_S,
    LOCK,
    MADE,
    DiskFull,
    HeartbeatMessage,
    RenditionProgress,
    RenditionRequest,
    is_job_file,
    max_rendition_bytes,
    pack_rendition_request,
    playlist,
    result_file,
    scratch_bytes,
    unpack_finished,
    unpack_line,
)
from generator.core.media.worker_protocol import ProtocolError
from generator.core.model import Place, Rejected

__all__ = [
    "DiskFull",
    "FinishedCopy",
    "RenditionError",
    "RenditionProgress",
    "RenditionRequest",
    "RenditionRunner",
]

# -P: a library that holds a folder named "generator" is not the place to import it from.
_SHIPPED = (sys.executable, "-P", "-m", "generator.adapters.rendition_worker")
_FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM}  # the system, short of memory, or a person
_MOST_REVIVALS = 2
_MOST_DELAYS = 9  # of the verdict on one that hardly gets to work
_BURIAL_S = 5.0  # a killed process that waits for a dead disk is not waited for
_MOST_LINE_BYTES = 8192
_MOST_MADE_BYTES = 8 << 20
_AT_ONCE = 1 << 16
# A decoder that a file took over finds no secrets in its environment, only what it needs to run.
_ENVIRONMENT = ("LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PYTHONUTF8")

Found: TypeAlias = "RenditionProgress | FinishedCopy | Rejected"


class RenditionError(ReelshelfError):
    """The program that makes copies cannot be started; no file is to blame."""


@dataclass(frozen=True, slots=True)
class FinishedCopy:
    """A finished copy: `file` lies in the folder of its job until somebody takes it away.

    `made_by` is "remux" only where every stream is as it was. `codecs` are as `Probe` has them.
    `playlist` is the text of an HLS playlist to lie beside the file, in which it is called by the
    name it has now; "" where there is none. `digest` is as `Output.digest_name` tells of the
    file. `complaint` says what of the source is missing in it, "" for nothing.
    """

    place: Place
    job: str
    file: Path
    digest: str
    size_bytes: int
    codecs: str
    made_by: str
    playlist: str
    complaint: str

    @property
    def is_hls(self) -> bool:
        """Tell whether it has a playlist."""
        return bool(self.playlist)


class RenditionRunner:
    """Makes playable copies, one at a time; to be used by one thread.

    Args:
        scratch: a folder of ours alone; it is made when it is needed.
        nice: how far the program stands back behind others, 0 to 19.
        memory_mb: how much memory one file may need.
        threads: on how many cores it decodes and encodes.
        stall_limit_s: how long it may go without doing anything: about so many seconds of its
            own, or ten times as many of the clock, for it stands back behind others.
        reserve_bytes: how much of the disk it leaves free.
        bound_bytes: how large a copy may become at the most.
        chunk_s: how much of a video is encoded in one piece, which is lost when it is broken off.
        command: a program to start instead of the one that is shipped; what it is held to is
            added as its last argument.
    """

    def __init__(  # noqa: PLR0913 - what a machine may want to be spared
        self,
        scratch: Path,
        *,
        nice: int = 19,
        memory_mb: int = 2048,
        threads: int = 1,
        stall_limit_s: float = 120.0,
        reserve_bytes: int = 1 << 30,
        bound_bytes: int = 1 << 40,
        chunk_s: float = CHUNK_S,
        command: Sequence[str] = (),
    ) -> None:
        self._scratch = scratch
        self._limits = {
            "memory_mb": memory_mb, "nice": nice, "threads": threads, "chunk_s": chunk_s,
        }  # fmt: skip
        self._stall_limit_s = stall_limit_s
        self._reserve_bytes = reserve_bytes
        self._bound_bytes = bound_bytes
        self._command = tuple(command)
        self._work: _Work | None = None
        self._found: FinishedCopy | Rejected | None = None
        self._told: FinishedCopy | None = None
        self._revivals = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def is_busy(self) -> bool:
        """Tell whether there is something to poll for."""
        return self._work is not None or self._found is not None

    def start(self, request: RenditionRequest, expected_bytes: int = 0) -> None:
        """Begin with a copy, or go on with it; what comes of it is told by `poll`.

        Args:
            request: what to make.
            expected_bytes: as `core.renditions.estimate_bytes` has it; 0: as large as the source.

        Raises:
            RuntimeError: another is still being made, or what came of it was not polled for.
            RenditionError: the program cannot be started.
            OSError: the folder of the job cannot be made.
        """
        if self.is_busy:
            raise RuntimeError("one copy is made at a time")
        self._tidy()
        folder = self._scratch / request.job
        folder.mkdir(parents=True, exist_ok=True)
        source_bytes = _size_of(request.file)
        expected_bytes = expected_bytes or source_bytes
        self._found = self._no_room(request, folder, expected_bytes)
        if self._found is not None:
            return
        limit_bytes = max_rendition_bytes(expected_bytes, source_bytes, self._bound_bytes)
        limits = {"folder": str(folder.absolute()), "most_bytes": limit_bytes, **self._limits}
        command = (*(self._command or _SHIPPED), json.dumps(limits))
        self._work = _Work(request, folder, command, self._stall_limit_s)
        self._revivals = 0

    def poll(self, timeout_s: float) -> "Found | None":
        """Return what became of the copy, or how far it is, or None if there is nothing new.

        Returns:
            `DiskFull`, a `Rejected`, where the disk and not the file is to blame. What was done of
            a copy that is refused is removed.

        Args:
            timeout_s: how long to wait for something new, 0 for not at all.

        Raises:
            RenditionError: the program does not run at all; no file is to blame.
        """
        if self._found is not None:
            ended, self._found = self._found, None
            return ended
        if self._work is None:
            return None
        found = self._work.listen(timeout_s)
        if isinstance(found, RenditionProgress) and self._is_full():
            reason = f"fewer than {file_size(self._reserve_bytes)} are left on the disk"
            found = DiskFull(self._work.request.place, reason)
        if isinstance(found, _Death):
            return self._bury(self._work, found)
        if found is None or isinstance(found, RenditionProgress):
            return found
        work, self._work = self._work, None
        work.end()
        if isinstance(found, FinishedCopy):
            self._told = found
        else:
            self.discard(work.request.job)
        return found

    def _bury(self, work: "_Work", death: "_Death") -> Rejected | None:
        """Start it again if somebody killed it; otherwise its file is to blame."""
        is_killed = -death.status in _FROM_OUTSIDE
        if is_killed and self._revivals < _MOST_REVIVALS:
            self._revivals += 1
            self._work = work.again()
            return None
        self._work = None
        if not is_killed:
            self.discard(work.request.job)
        return Rejected(work.request.place, death.epitaph())

    def cancel(self) -> None:
        """Break off what is being made; what is finished of it stays, to go on with."""
        self._found = None
        if self._work is not None:
            self._work.end()
            self._work = None
        self._tidy()

    def close(self) -> None:
        """As `cancel`."""
        self.cancel()

    def discard(self, job: str) -> None:
        """Remove the folder of a job that is not being made, but what somebody else put there."""
        folder = self._scratch / job
        with suppress(OSError):
            if folder.is_symlink():
                return
            for entry in list(os.scandir(folder)):
                if is_job_file(entry.name) and not entry.is_dir(follow_symlinks=False):
                    Path(entry.path).unlink()
            folder.rmdir()

    def jobs(self) -> list[str]:
        """Return the names of all jobs that something lies there of, sorted."""
        if not self._scratch.is_dir():
            return []
        return sorted(entry.name for entry in os.scandir(self._scratch) if entry.is_dir())

    def _no_room(
        self, request: RenditionRequest, folder: Path, expected_bytes: int
    ) -> DiskFull | None:
        free_bytes = max(0, shutil.disk_usage(folder).free - self._reserve_bytes)
        needed_bytes = scratch_bytes(expected_bytes, request.made_by) - _bytes_in(folder)
        if needed_bytes <= free_bytes:
            return None
        return DiskFull(
            request.place,
            f"a copy needs some {file_size(needed_bytes)} for a while, and of the disk"
            f" {file_size(free_bytes)} may be used: make room",
        )

    def _is_full(self) -> bool:
        return shutil.disk_usage(self._scratch).free < self._reserve_bytes

    def _tidy(self) -> None:
        """Remove what is left of a job whose copy was taken away."""
        told, self._told = self._told, None
        if told is not None and not told.file.exists():
            self.discard(told.job)


@dataclass(frozen=True, slots=True)
class _Death:
    """The end of a program that did not say its last word."""

    status: int

    def epitaph(self) -> str:
        if -self.status in _FROM_OUTSIDE:
            return f"the encoder was killed again and again (signal {-self.status})"
        if self.status < 0:
            return f"the encoder crashed (signal {-self.status})"
        return f"the encoder stopped (exit code {self.status})"


class _Work:
    """One program at work on one copy.

    Raises:
        RenditionError: it cannot be started.
    """

    def __init__(
        self,
        request: RenditionRequest,
        folder: Path,
        command: Sequence[str],
        stall_limit_s: float,
    ) -> None:
        self.request = request
        self._folder = folder
        self._stall_limit_s = stall_limit_s
        try:
            self._child = subprocess.Popen(  # noqa: S603 - our own program, no shell
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd="/",
                env=_environment(),
                start_new_session=True,
            )
        except OSError as error:
            raise _not_started(command) from error
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._asking, self._telling = self._child.stdin, self._child.stdout
        self._command = command
        self._heard = bytearray()
        self._effort = -1  # until it has said a word
        self._deadline_s = self._worked_s = 0.0
        self._delays = 0
        self._note_work()
        with suppress(BrokenPipeError):  # how it ended is told in a moment
            self._asking.write(pack_rendition_request(request))  # stays open: it is wanted

    def listen(self, timeout_s: float) -> "Found | _Death | None":
        """Return the latest that it tells, after waiting at most so long for it."""
        until_s = time.monotonic() + timeout_s
        while True:
            found = self._next(min(until_s, self._deadline_s) - time.monotonic())
            if found is not None:
                return found
            now_s = time.monotonic()
            if now_s >= self._deadline_s and not self._speaks(0) and self._is_stalled():
                reason = f"did nothing for {self._stall_limit_s:g} s"
                return Rejected(self.request.place, reason)
            if now_s >= until_s:
                return None

    def again(self) -> "_Work":
        """Start another program with the same work."""
        return _Work(self.request, self._folder, self._command, self._stall_limit_s)

    def end(self) -> int:
        """Kill it and all it started; return its exit status, negative where a signal ended it."""
        with suppress(ProcessLookupError, PermissionError):  # the latter: macOS, of zombies
            os.killpg(self._child.pid, signal.SIGKILL)  # changes nothing for one that ended itself
        self._asking.close()
        self._telling.close()
        with suppress(subprocess.TimeoutExpired):
            return self._child.wait(_BURIAL_S)
        return -signal.SIGKILL

    def _note_work(self) -> None:
        self._deadline_s = time.monotonic() + self._stall_limit_s
        self._worked_s = _processor_s(self._child.pid)
        self._delays = 0

    def _is_stalled(self) -> bool:
        """Tell whether its time is up; it gets more of it where it hardly had the processor."""
        used_s = _processor_s(self._child.pid) - self._worked_s
        if used_s >= self._stall_limit_s / 2 or self._delays >= _MOST_DELAYS:
            return True
        self._delays += 1
        self._deadline_s = time.monotonic() + self._stall_limit_s
        return False

    def _next(self, wait_s: float) -> "Found | _Death | None":
        if not self._speaks(wait_s):
            return None
        piece = os.read(self._telling.fileno(), _AT_ONCE)
        if not piece:
            status = self.end()
            if self._effort < 0:
                raise _not_started(self._command)
            return _Death(status)
        self._heard += piece
        try:
            return self._understood()
        except ProtocolError as error:
            return Rejected(self.request.place, f"the encoder answered nonsense: {error}")

    def _understood(self) -> "Found | None":
        """Return the last of what whole lines tell, the end of it all before anything else."""
        found: RenditionProgress | None = None
        *lines, rest = bytes(self._heard).split(b"\n")
        self._heard = bytearray(rest)
        if len(rest) > _MOST_LINE_BYTES:
            raise ProtocolError("too much is said")
        for line in lines:
            told = unpack_line(line)
            if isinstance(told, HeartbeatMessage):
                if told.effort > self._effort:
                    self._effort = told.effort
                    self._note_work()
                found = told.progress
            elif told.verdict == "made":
                return self._made()
            elif told.verdict == "full":
                return DiskFull(self.request.place, told.reason)
            else:
                return Rejected(self.request.place, told.reason)
        return found

    def _made(self) -> FinishedCopy:
        file = self._folder / result_file(self.request.container)
        try:
            with (self._folder / MADE).open("rb") as told:
                content = told.read(_MOST_MADE_BYTES)
        except OSError as error:
            raise ProtocolError("what it says it made is not there") from error
        finished = unpack_finished(content, is_hls=self.request.is_hls)
        if file.is_symlink() or _size_of(str(file)) != finished.size_bytes:
            raise ProtocolError("what it says it made is not what is there")
        return FinishedCopy(
            self.request.place,
            self.request.job,
            file,
            finished.digest,
            finished.size_bytes,
            finished.codecs,
            finished.made_by,
            playlist(finished, file.name) if finished.fragments else "",
            finished.complaint,
        )

    def _speaks(self, wait_s: float) -> bool:
        poll = select.poll()
        poll.register(self._telling.fileno(), select.POLLIN)
        return bool(poll.poll(max(0.0, wait_s) * 1000))


def _processor_s(pid: int) -> float:
    """Return how long a process has worked, 0 where the system does not tell."""
    try:
        said = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0.0
    used = said.rpartition(b")")[2].split()[11:13]
    return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")


def _bytes_in(folder: Path) -> int:
    """Return how much of a job lies there already."""
    return sum(entry.stat().st_size for entry in os.scandir(folder) if entry.name != LOCK)


def _size_of(file: str) -> int:
    try:
        return os.lstat(file).st_size
    except (OSError, ValueError):
        return 0  # why, the program tells


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _not_started(command: Sequence[str]) -> RenditionError:
    return RenditionError(
        f"cannot start the program that makes playable copies: {command[0]}",
        hint="what it wrote to the terminal says why; try it: " + shlex.join(command),
    )
