"""Media: a pool of long-lived worker processes that probe video files, each one file at a time.

If a file crashes its worker, hangs it or makes its output invalid, only that file fails: the worker
is killed with its process group, and another takes its place. No process is started per file, and
there is no watching thread: iterating over the results does the work.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from threading import Lock
from types import TracebackType
from typing import Self

from generator.core.errors import ReelshelfError
from generator.core.media.worker_protocol import (
    READY,
    ProbeAnswer,
    ProbeRequest,
    ProtocolError,
    missing,
    pack_probe_request,
    unpack_answer,
)
from generator.core.model import EnrichmentResult, Place, ProbeResult, Rejected

_START_TIMEOUT_S = 60.0  # at least, whatever the time limit per file: the machine may be busy
_TRANSFER_TIMEOUT_S = 5.0  # to send a request, or to receive the rest of an answer
_KILL_TIMEOUT_S = 5.0  # a killed process may hang on a dead disk
# An exploited decoder finds no secrets in its environment, only what it needs to run.
_ENVIRONMENT = (
    *("LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PYTHONUTF8"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR"),  # certificates to trust for the store
)


class MediaError(ReelshelfError):
    """No worker can be started; no file is to blame, and none was rejected."""


class MediaWorkers:
    """Up to `jobs` workers, started when first needed and ended by `close`.

    Args:
        jobs: number of workers, at least 1.
        time_limit_s: time limit per file.
        memory_mb: memory limit per file.
        nice: niceness of the workers, 0 to 19.
        command: a worker to start instead of the built-in one.
    """

    def __init__(
        self,
        *,
        jobs: int,
        time_limit_s: float = 30.0,
        memory_mb: int = 1024,
        nice: int = 0,
        command: Sequence[str] = (),
    ) -> None:
        self._jobs = jobs
        self._time_limit_s = time_limit_s
        self._command = tuple(command) or _shipped_worker(memory_mb, time_limit_s, nice)
        self._workers: list[_Worker] = []
        self._wakeup_read, self._wakeup_write = os.pipe()
        self._wakeup_lock = Lock()
        self._stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill all workers, busy or not."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()
        with self._wakeup_lock:
            ends, self._wakeup_read, self._wakeup_write = (
                {self._wakeup_read, self._wakeup_write} - {-1},
                -1,
                -1,
            )
        for descriptor in ends:
            os.close(descriptor)

    def stop(self) -> None:
        """End `answer` at once, in any thread; no further request is answered."""
        self._stopped = True
        with self._wakeup_lock:  # or the descriptor might be another file's by now
            if self._wakeup_write != -1:
                os.write(self._wakeup_write, b"!")

    def examine(self, paths: Iterable[tuple[Place, str]]) -> Iterator[ProbeResult | Rejected]:
        """Yield the probe result of each file, in the order of completion.

        Args:
            paths: place in the library and absolute path of each file; consumed as workers become
                free. A second call takes the workers from the first.

        Raises:
            MediaError: no worker can be started; files that were not yielded were not probed.
        """
        for answer in self.answer(ProbeRequest(place, file) for place, file in paths):
            assert not isinstance(answer, EnrichmentResult), "nobody asked for that"
            yield answer

    def answer(self, requests: Iterable[ProbeRequest]) -> Iterator[ProbeAnswer]:
        """Yield an answer to each request, in the order of completion; else as `examine`."""
        requests = iter(requests)
        self._end_busy()
        try:
            self._assign(requests)
            while any(worker.request for worker in self._workers) and not self._stopped:
                answers = self._wait()
                self._assign(requests)  # first, so that they work while the caller handles these
                yield from answers
        finally:
            self._end_busy()

    def _assign(self, requests: Iterator[ProbeRequest]) -> None:
        while (
            sum(worker.request is not None for worker in self._workers) < self._jobs
            and not self._stopped
        ):
            request = next(requests, None)
            if request is None:
                return
            self._send(request)

    def _send(self, request: ProbeRequest) -> None:
        for worker in [worker for worker in self._workers if worker.request is None]:
            if worker.is_quiet() and worker.send(request, self._time_limit_s):
                return
            self._end(worker)  # died between two files
        self._send_to_new(request)

    def _send_to_new(self, request: ProbeRequest) -> None:
        worker = _Worker(self._command)
        self._workers.append(worker)
        if not worker.send(request, self._time_limit_s):
            raise _not_started(self._command)

    def _wait(self) -> list[ProbeAnswer]:
        """Wait for a worker, a timeout or `stop`; return the answers, perhaps none."""
        busy = [worker for worker in self._workers if worker.request is not None]
        wait_s = min(worker.deadline_s for worker in busy) - time.monotonic()
        readable = _readable(busy, wait_s, self._wakeup_read)
        now_s = time.monotonic()
        answers: list[ProbeAnswer | None] = []
        for worker in busy:
            if worker in readable:  # before its deadline is checked: the caller may have been slow
                answers.append(self._receive(worker))
            elif worker.deadline_s <= now_s:
                answers.append(self._fail(worker, self._timeout_reason))
        return [answer for answer in answers if answer is not None]

    def _receive(self, worker: "_Worker") -> ProbeAnswer | None:
        try:
            return worker.receive(self._time_limit_s)
        except EOFError:
            reason = ""
        except ProtocolError as error:
            reason = f"the decoder sent an invalid answer: {error}"
        if worker.request is not None and worker.has_served:
            # An earlier file may be to blame: retry this one in a fresh worker.
            self._end(worker)
            self._send_to_new(worker.request)
            return None
        return self._fail(worker, reason)

    def _fail(self, worker: "_Worker", reason: str) -> Rejected:
        """Kill a worker and reject its file, for `reason` or for how the worker exited."""
        request, was_ready = worker.request, worker.is_ready
        assert request is not None  # only busy workers are read
        status = self._end(worker)
        if not was_ready:
            raise _not_started(self._command)
        return Rejected(request.place, reason or self._exit_reason(status))

    def _exit_reason(self, status: int) -> str:
        if status == -signal.SIGALRM:
            return self._timeout_reason
        if status < 0:
            return f"the decoder crashed (signal {-status})"
        return f"the decoder stopped (exit code {status})"

    @property
    def _timeout_reason(self) -> str:
        return f"took longer than {self._time_limit_s:g} s"

    def _end(self, worker: "_Worker") -> int:
        self._workers.remove(worker)
        return worker.end()

    def _end_busy(self) -> None:
        for worker in [worker for worker in self._workers if worker.request is not None]:
            self._end(worker)


class _Worker:
    """One worker process and its current request, None while it is idle.

    Raises:
        MediaError: it cannot be started.
    """

    def __init__(self, command: Sequence[str]) -> None:
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
        self._requests, self._answers = self._child.stdin, self._child.stdout
        os.set_blocking(self._requests.fileno(), False)
        self.request: ProbeRequest | None = None
        self.is_ready = self.has_served = False
        self.deadline_s = 0.0

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the worker answers or exits."""
        return self._answers.fileno()

    def is_quiet(self) -> bool:
        """Return whether it is alive and idle: it sends nothing without a request."""
        return not _is_ready_for(self.fileno(), select.POLLIN, 0)

    def send(self, request: ProbeRequest, time_limit_s: float) -> bool:
        """Send a request, and return whether it was accepted."""
        rest = memoryview(pack_probe_request(request))
        end_s = time.monotonic() + _TRANSFER_TIMEOUT_S
        try:
            while rest:
                if not _is_ready_for(
                    self._requests.fileno(), select.POLLOUT, end_s - time.monotonic()
                ):
                    return False
                rest = rest[os.write(self._requests.fileno(), rest) :]
        except BrokenPipeError:
            return False
        self.request = request
        # the time limit of the file counts from when the worker is ready, see `receive`
        limit_s = time_limit_s if self.is_ready else max(time_limit_s, _START_TIMEOUT_S)
        self.deadline_s = time.monotonic() + limit_s
        return True

    def receive(self, time_limit_s: float) -> ProbeAnswer | None:
        """Return its answer; None if it only reports that it is ready.

        Raises:
            EOFError: it has exited.
            ProtocolError: the answer is unexpected, invalid or incomplete.
        """
        frame = self._read_frame()
        if not self.is_ready:
            if frame != READY:
                raise ProtocolError("it did not report that it is ready")
            self.is_ready = True
            self.deadline_s = time.monotonic() + time_limit_s
            return None
        answer = unpack_answer(frame)
        if self.request is None or answer.place != self.request.place:
            raise ProtocolError("it is about another file")
        self.request, self.has_served = None, True
        return answer

    def end(self) -> int:
        """Kill its process group; return its exit status, negative if a signal ended it."""
        with suppress(ProcessLookupError, PermissionError):  # the latter: macOS, of zombies
            os.killpg(self._child.pid, signal.SIGKILL)  # harmless if it has exited already
        self._requests.close()
        self._answers.close()
        with suppress(subprocess.TimeoutExpired):
            return self._child.wait(_KILL_TIMEOUT_S)
        return -signal.SIGKILL

    def _read_frame(self) -> bytes:
        frame = bytearray()
        end_s = time.monotonic() + _TRANSFER_TIMEOUT_S
        while length := missing(frame):
            if not _is_ready_for(self.fileno(), select.POLLIN, end_s - time.monotonic()):
                raise ProtocolError("it is incomplete")
            piece = os.read(self.fileno(), length)
            if not piece:
                raise EOFError
            frame += piece
        return bytes(frame)


def _readable(workers: Iterable[_Worker], wait_s: float, wakeup: int) -> list[_Worker]:
    """Wait for workers or `wakeup` to be readable; return the readable workers."""
    poll = select.poll()
    by_fileno = {worker.fileno(): worker for worker in workers}
    for fileno in (*by_fileno, wakeup):
        poll.register(fileno, select.POLLIN)
    ready = [fileno for fileno, _ in poll.poll(max(0.0, wait_s) * 1000)]
    return [by_fileno[fileno] for fileno in ready if fileno != wakeup]


def _is_ready_for(fileno: int, event: int, wait_s: float) -> bool:
    poll = select.poll()
    poll.register(fileno, event)
    return bool(poll.poll(max(0.0, wait_s) * 1000))


def _shipped_worker(memory_mb: int, time_limit_s: float, nice: int) -> tuple[str, ...]:
    # -P: never import from the current folder; a library may have a folder named "generator".
    module = "generator.adapters.media_worker"
    return (sys.executable, "-P", "-m", module, str(memory_mb), str(time_limit_s), str(nice))


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _not_started(command: Sequence[str]) -> MediaError:
    return MediaError(
        f"cannot start the program that probes videos: {command[0]}",
        hint="its output in the terminal says why; try it: " + " ".join(command),
    )
