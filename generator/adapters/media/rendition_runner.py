"""Renditions: a child process makes playable copies, one at a time; this starts and watches it.

No call waits longer than its timeout, and there is no watching thread: the caller polls. If a file
crashes the process, hangs it or makes its output invalid, only that file fails. The finished part
of a copy stays in its folder, and is resumed when the copy is requested again, by any process.
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

# -P: never import from the current folder; a library may have a folder named "generator".
_SHIPPED = (sys.executable, "-P", "-m", "generator.adapters.rendition_worker")
_OUTSIDE_SIGNALS = {signal.SIGKILL, signal.SIGTERM}  # the OOM killer, or a person
_MAX_RESTARTS = 2
_MAX_EXTENSIONS = 9  # of the time limit, for a process that hardly gets the CPU
_KILL_TIMEOUT_S = 5.0  # a killed process may hang on a dead disk
_MAX_LINE_BYTES = 8192
_MAX_MADE_BYTES = 8 << 20
_READ_BYTES = 1 << 16
# An exploited decoder finds no secrets in its environment, only what it needs to run.
_ENVIRONMENT = ("LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PYTHONUTF8")

Outcome: TypeAlias = "RenditionProgress | FinishedCopy | Rejected"


class RenditionError(ReelshelfError):
    """The encoder process cannot be started; no file is to blame."""


@dataclass(frozen=True, slots=True)
class FinishedCopy:
    """A finished copy: `file` is in the folder of its job until the caller moves it away.

    `made_by` is "remux" only if every stream was copied unchanged. `codecs` are as in `Probe`.
    `playlist` is the text of an HLS playlist to put beside the file, with its current name in it;
    "" if there is none. `digest` is as in the name that `Output.digest_name` makes.
    `complaint` says what of the source is missing in it, "" for nothing.
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
        """Return whether it has a playlist."""
        return bool(self.playlist)


class RenditionRunner:
    """Makes playable copies, one at a time; for use by one thread.

    Args:
        scratch: a folder of our own; it is created when needed.
        nice: niceness of the process, 0 to 19.
        memory_mb: memory limit per file.
        threads: number of threads for decoding and encoding.
        stall_limit_s: how long it may make no progress: about this many seconds of CPU time, or ten
            times as many by the clock, since it runs at low priority.
        reserve_bytes: disk space to leave free.
        bound_bytes: largest size of a copy.
        chunk_s: length of video that is encoded in one piece, and lost when it is interrupted.
        command: a program to start instead of the built-in one; its limits are added as the last
            argument.
    """

    def __init__(  # noqa: PLR0913 - limits
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
        self._process: _RunningEncoder | None = None
        self._outcome: FinishedCopy | Rejected | None = None
        self._delivered: FinishedCopy | None = None
        self._restarts = 0

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
        """Return whether there is something to poll for."""
        return self._process is not None or self._outcome is not None

    def start(self, request: RenditionRequest, expected_bytes: int = 0) -> None:
        """Start making a copy, or resume it; `poll` returns its outcome.

        Args:
            request: what to make.
            expected_bytes: from `core.media.renditions.estimate_bytes`; 0: the size of the source.

        Raises:
            RuntimeError: another is still being made, or its outcome was not polled for.
            RenditionError: the process cannot be started.
            OSError: the folder of the job cannot be created.
        """
        if self.is_busy:
            raise RuntimeError("one copy is made at a time")
        self._tidy()
        folder = self._scratch / request.job
        folder.mkdir(parents=True, exist_ok=True)
        source_bytes = _size_of(request.file)
        expected_bytes = expected_bytes or source_bytes
        self._outcome = self._disk_full(request, folder, expected_bytes)
        if self._outcome is not None:
            return
        limit_bytes = max_rendition_bytes(expected_bytes, source_bytes, self._bound_bytes)
        limits = {"folder": str(folder.absolute()), "most_bytes": limit_bytes, **self._limits}
        command = (*(self._command or _SHIPPED), json.dumps(limits))
        self._process = _RunningEncoder(request, folder, command, self._stall_limit_s)
        self._restarts = 0

    def poll(self, timeout_s: float) -> "Outcome | None":
        """Return the outcome of the copy, its progress, or None if there is nothing new.

        Returns:
            `DiskFull`, a `Rejected`, if the disk and not the file is to blame. The files of a
            rejected copy are removed.

        Args:
            timeout_s: how long to wait for something new; 0: do not wait.

        Raises:
            RenditionError: the process does not run at all; no file is to blame.
        """
        if self._outcome is not None:
            delivered, self._outcome = self._outcome, None
            return delivered
        if self._process is None:
            return None
        outcome = self._process.wait(timeout_s)
        if isinstance(outcome, RenditionProgress) and self._is_full():
            reason = f"less than {file_size(self._reserve_bytes)} is left on the disk"
            outcome = DiskFull(self._process.request.place, reason)
        if isinstance(outcome, _EncoderExit):
            return self._reap(self._process, outcome)
        if outcome is None or isinstance(outcome, RenditionProgress):
            return outcome
        process, self._process = self._process, None
        process.end()
        if isinstance(outcome, FinishedCopy):
            self._delivered = outcome
        else:
            self.discard(process.request.job)
        return outcome

    def _reap(self, process: "_RunningEncoder", ended: "_EncoderExit") -> Rejected | None:
        """Start it again if it was killed from outside; otherwise reject its file."""
        is_killed = -ended.status in _OUTSIDE_SIGNALS
        if is_killed and self._restarts < _MAX_RESTARTS:
            self._restarts += 1
            self._process = process.restart()
            return None
        self._process = None
        if not is_killed:
            self.discard(process.request.job)
        return Rejected(process.request.place, ended.reason())

    def cancel(self) -> None:
        """Stop the current job; its finished part stays, to be resumed."""
        self._outcome = None
        if self._process is not None:
            self._process.end()
            self._process = None
        self._tidy()

    def close(self) -> None:
        """As `cancel`."""
        self.cancel()

    def discard(self, job: str) -> None:
        """Remove the files of a job that is not running, and its folder if it is empty then."""
        folder = self._scratch / job
        with suppress(OSError):
            if folder.is_symlink():
                return
            for entry in list(os.scandir(folder)):
                if is_job_file(entry.name) and not entry.is_dir(follow_symlinks=False):
                    Path(entry.path).unlink()
            folder.rmdir()

    def jobs(self) -> list[str]:
        """Return the names of all jobs with a folder, sorted."""
        if not self._scratch.is_dir():
            return []
        return sorted(entry.name for entry in os.scandir(self._scratch) if entry.is_dir())

    def _disk_full(
        self, request: RenditionRequest, folder: Path, expected_bytes: int
    ) -> DiskFull | None:
        free_bytes = max(0, shutil.disk_usage(folder).free - self._reserve_bytes)
        needed_bytes = scratch_bytes(expected_bytes, request.made_by) - _job_bytes(folder)
        if needed_bytes <= free_bytes:
            return None
        return DiskFull(
            request.place,
            f"a copy temporarily needs some {file_size(needed_bytes)}, and"
            f" {file_size(free_bytes)} of the disk may be used: make room",
        )

    def _is_full(self) -> bool:
        return shutil.disk_usage(self._scratch).free < self._reserve_bytes

    def _tidy(self) -> None:
        """Remove the leftovers of a job whose copy was moved away."""
        delivered, self._delivered = self._delivered, None
        if delivered is not None and not delivered.file.exists():
            self.discard(delivered.job)


@dataclass(frozen=True, slots=True)
class _EncoderExit:
    """The exit of a process that sent no final message."""

    status: int

    def reason(self) -> str:
        if -self.status in _OUTSIDE_SIGNALS:
            return f"the encoder was killed repeatedly (signal {-self.status})"
        if self.status < 0:
            return f"the encoder crashed (signal {-self.status})"
        return f"the encoder stopped (exit code {self.status})"


class _RunningEncoder:
    """One process that makes one copy.

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
        self._stdin, self._stdout = self._child.stdin, self._child.stdout
        self._command = command
        self._received = bytearray()
        self._last_effort = -1  # until its first message
        self._deadline_s = self._cpu_at_reset_s = 0.0
        self._extensions = 0
        self._reset_stall()
        with suppress(BrokenPipeError):  # `wait` will report how it exited
            self._stdin.write(pack_rendition_request(request))  # stays open: EOF would stop it

    def wait(self, timeout_s: float) -> "Outcome | _EncoderExit | None":
        """Return its latest message, after waiting for it up to `timeout_s`."""
        until_s = time.monotonic() + timeout_s
        while True:
            outcome = self._read(min(until_s, self._deadline_s) - time.monotonic())
            if outcome is not None:
                return outcome
            now_s = time.monotonic()
            if now_s >= self._deadline_s and not self._has_output(0) and self._is_stalled():
                reason = f"did nothing for {self._stall_limit_s:g} s"
                return Rejected(self.request.place, reason)
            if now_s >= until_s:
                return None

    def restart(self) -> "_RunningEncoder":
        """Start another process for the same copy."""
        return _RunningEncoder(self.request, self._folder, self._command, self._stall_limit_s)

    def end(self) -> int:
        """Kill its process group; return its exit status, negative if a signal ended it."""
        with suppress(ProcessLookupError, PermissionError):  # the latter: macOS, of zombies
            os.killpg(self._child.pid, signal.SIGKILL)  # harmless if it has exited already
        self._stdin.close()
        self._stdout.close()
        with suppress(subprocess.TimeoutExpired):
            return self._child.wait(_KILL_TIMEOUT_S)
        return -signal.SIGKILL

    def _reset_stall(self) -> None:
        self._deadline_s = time.monotonic() + self._stall_limit_s
        self._cpu_at_reset_s = _cpu_s(self._child.pid)
        self._extensions = 0

    def _is_stalled(self) -> bool:
        """Return whether its time is up; extend it if the process hardly had the CPU."""
        used_s = _cpu_s(self._child.pid) - self._cpu_at_reset_s
        if used_s >= self._stall_limit_s / 2 or self._extensions >= _MAX_EXTENSIONS:
            return True
        self._extensions += 1
        self._deadline_s = time.monotonic() + self._stall_limit_s
        return False

    def _read(self, wait_s: float) -> "Outcome | _EncoderExit | None":
        if not self._has_output(wait_s):
            return None
        piece = os.read(self._stdout.fileno(), _READ_BYTES)
        if not piece:
            status = self.end()
            if self._last_effort < 0:
                raise _not_started(self._command)
            return _EncoderExit(status)
        self._received += piece
        try:
            return self._parse_lines()
        except ProtocolError as error:
            return Rejected(self.request.place, f"the encoder sent an invalid answer: {error}")

    def _parse_lines(self) -> "Outcome | None":
        """Parse complete lines; return the final outcome if there is one, else progress."""
        progress: RenditionProgress | None = None
        *lines, rest = bytes(self._received).split(b"\n")
        self._received = bytearray(rest)
        if len(rest) > _MAX_LINE_BYTES:
            raise ProtocolError("a line is too long")
        for line in lines:
            message = unpack_line(line)
            if isinstance(message, HeartbeatMessage):
                if message.effort > self._last_effort:
                    self._last_effort = message.effort
                    self._reset_stall()
                progress = message.progress
            elif message.verdict == "made":
                return self._finished_copy()
            elif message.verdict == "full":
                return DiskFull(self.request.place, message.reason)
            else:
                return Rejected(self.request.place, message.reason)
        return progress

    def _finished_copy(self) -> FinishedCopy:
        file = self._folder / result_file(self.request.container)
        try:
            with (self._folder / MADE).open("rb") as stream:
                content = stream.read(_MAX_MADE_BYTES)
        except OSError as error:
            raise ProtocolError("its result is missing") from error
        finished = unpack_finished(content, is_hls=self.request.is_hls)
        if file.is_symlink() or _size_of(str(file)) != finished.size_bytes:
            raise ProtocolError("its result is not the file that is there")
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

    def _has_output(self, wait_s: float) -> bool:
        poll = select.poll()
        poll.register(self._stdout.fileno(), select.POLLIN)
        return bool(poll.poll(max(0.0, wait_s) * 1000))


def _cpu_s(pid: int) -> float:
    """Return the CPU time of a process in seconds, 0 where the system has no /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0.0
    used = stat.rpartition(b")")[2].split()[11:13]
    return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")


def _job_bytes(folder: Path) -> int:
    """Return how many bytes of a job there are already."""
    return sum(entry.stat().st_size for entry in os.scandir(folder) if entry.name != LOCK)


def _size_of(file: str) -> int:
    try:
        return os.lstat(file).st_size
    except (OSError, ValueError):
        return 0  # the process will report why


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _not_started(command: Sequence[str]) -> RenditionError:
    return RenditionError(
        f"cannot start the program that makes playable copies: {command[0]}",
        hint="its output in the terminal says why; try it: " + shlex.join(command),
    )
