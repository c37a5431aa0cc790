"""Media: a few long-lived worker processes look into video files, one file at a time each.

A file that crashes its worker, hangs it or makes it unintelligible costs that file alone: the
worker is put down with all it started, and another takes its place. Nothing is started per file,
and no thread watches: whoever iterates over the results does.
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
    Found,
    ProbeRequest,
    ProtocolError,
    missing,
    pack_probe_request,
    unpack_answer,
)
from generator.core.model import EnrichmentResult, Place, ProbeResult, Rejected

_DELIVERY_S = 5.0  # for a request to be taken, or for an answer that has begun to be complete
_BURIAL_S = 5.0  # a killed process that waits for a dead disk is not waited for
# A decoder that a file took over finds no secrets in its environment, only what it needs to run.
_ENVIRONMENT = (
    *("LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PYTHONUTF8"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR"),  # whom to believe that it is the store
)


class MediaError(ReelshelfError):
    """No worker can be started; no file is to blame, and none was refused for it."""


class MediaWorkers:
    """Up to `jobs` workers, started when first needed and ended by `close`.

    Args:
        jobs: how many files are looked into at once, at least 1.
        time_limit_s: how long one file may take.
        memory_mb: how much memory one file may need.
        nice: how much the workers stand back behind other programs, 0 to 19.
        command: a worker to start instead of the one that is shipped.
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
        self._bell, self._ringer = os.pipe()
        self._ringing = Lock()
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
        """End all workers, busy or not."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()
        with self._ringing:
            ends, self._bell, self._ringer = {self._bell, self._ringer} - {-1}, -1, -1
        for descriptor in ends:
            os.close(descriptor)

    def stop(self) -> None:
        """Let `answer` end at once, here or in another thread; nothing is answered any more."""
        self._stopped = True
        with self._ringing:  # or the number might be another file's by now
            if self._ringer != -1:
                os.write(self._ringer, b"!")

    def examine(self, paths: Iterable[tuple[Place, str]]) -> Iterator[ProbeResult | Rejected]:
        """Yield what is found in each file, as it is found.

        Args:
            paths: where the library has each file, and its absolute path in the file system; read
                as workers become free. A second call takes the workers from the first.

        Raises:
            MediaError: no worker can be started; what was not yielded was not examined.
        """
        for found in self.answer(ProbeRequest(place, file) for place, file in paths):
            assert not isinstance(found, EnrichmentResult), "nobody asked for that"
            yield found

    def answer(self, requests: Iterable[ProbeRequest]) -> Iterator[Found]:
        """Yield an answer to each request, as it is found; else as `examine`."""
        requests = iter(requests)
        self._end_busy()
        try:
            self._hand_out(requests)
            while any(worker.request for worker in self._workers) and not self._stopped:
                found = self._watch()
                self._hand_out(requests)  # first, that they work while the caller looks at these
                yield from found
        finally:
            self._end_busy()

    def _hand_out(self, requests: Iterator[ProbeRequest]) -> None:
        while (
            sum(worker.request is not None for worker in self._workers) < self._jobs
            and not self._stopped
        ):
            request = next(requests, None)
            if request is None:
                return
            self._give(request)

    def _give(self, request: ProbeRequest) -> None:
        for worker in [worker for worker in self._workers if worker.request is None]:
            if worker.is_quiet() and worker.ask(request, self._time_limit_s):
                return
            self._end(worker)  # died between two files
        self._give_to_new(request)

    def _give_to_new(self, request: ProbeRequest) -> None:
        worker = _Worker(self._command)
        self._workers.append(worker)
        if not worker.ask(request, self._time_limit_s):
            raise _not_started(self._command)

    def _watch(self) -> list[Found]:
        """Wait until something happens, and return what was found, or nothing."""
        busy = [worker for worker in self._workers if worker.request is not None]
        wait_s = min(worker.deadline_s for worker in busy) - time.monotonic()
        speaking = _speaking(busy, wait_s, self._bell)
        now_s = time.monotonic()
        found: list[Found | None] = []
        for worker in busy:
            if worker in speaking:  # before its time is judged: the caller may have been away
                found.append(self._hear(worker))
            elif worker.deadline_s <= now_s:
                found.append(self._give_up(worker, self._too_long))
        return [one for one in found if one is not None]

    def _hear(self, worker: "_Worker") -> Found | None:
        try:
            return worker.hear(self._time_limit_s)
        except EOFError:
            reason = ""
        except ProtocolError as error:
            reason = f"the decoder answered nonsense: {error}"
        if worker.request is not None and worker.has_served:
            # An earlier file may have done the harm: this one is judged by a fresh worker.
            self._end(worker)
            self._give_to_new(worker.request)
            return None
        return self._give_up(worker, reason)

    def _give_up(self, worker: "_Worker", reason: str) -> Rejected:
        """End a worker; its file is refused for `reason`, or for how the worker ended."""
        request, was_ready = worker.request, worker.is_ready
        assert request is not None  # only the busy are heard
        status = self._end(worker)
        if not was_ready:
            raise _not_started(self._command)
        return Rejected(request.place, reason or self._epitaph(status))

    def _epitaph(self, status: int) -> str:
        if status == -signal.SIGALRM:
            return self._too_long
        if status < 0:
            return f"the decoder crashed (signal {-status})"
        return f"the decoder stopped (exit code {status})"

    @property
    def _too_long(self) -> str:
        return f"took longer than {self._time_limit_s:g} s"

    def _end(self, worker: "_Worker") -> int:
        self._workers.remove(worker)
        return worker.end()

    def _end_busy(self) -> None:
        for worker in [worker for worker in self._workers if worker.request is not None]:
            self._end(worker)


class _Worker:
    """One worker process and what it is at. `request` is None while it is free.

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
        """Return the descriptor that becomes readable when the worker speaks or is gone."""
        return self._answers.fileno()

    def is_quiet(self) -> bool:
        """Tell whether it is alive and waits; one that speaks unasked is neither."""
        return not _happens(self.fileno(), select.POLLIN, 0)

    def ask(self, request: ProbeRequest, time_limit_s: float) -> bool:
        """Send a request, and tell whether it was taken."""
        rest = memoryview(pack_probe_request(request))
        end_s = time.monotonic() + _DELIVERY_S
        try:
            while rest:
                if not _happens(self._requests.fileno(), select.POLLOUT, end_s - time.monotonic()):
                    return False
                rest = rest[os.write(self._requests.fileno(), rest) :]
        except BrokenPipeError:
            return False
        self.request = request
        self.deadline_s = time.monotonic() + time_limit_s
        return True

    def hear(self, time_limit_s: float) -> Found | None:
        """Return its answer; None where it only says that it is ready.

        Raises:
            EOFError: it is gone.
            GarbledError: it says what it was not asked, or breaks off.
        """
        parcel = self._parcel()
        if not self.is_ready:
            if parcel != READY:
                raise ProtocolError("it should say that it is ready")
            self.is_ready = True
            self.deadline_s = time.monotonic() + time_limit_s
            return None
        answer = unpack_answer(parcel)
        if self.request is None or answer.place != self.request.place:
            raise ProtocolError("it speaks of another file")
        self.request, self.has_served = None, True
        return answer

    def end(self) -> int:
        """Kill it and all it started; return its exit status, negative where a signal ended it."""
        with suppress(ProcessLookupError, PermissionError):  # the latter: macOS, of zombies
            os.killpg(self._child.pid, signal.SIGKILL)  # changes nothing for one that ended itself
        self._requests.close()
        self._answers.close()
        with suppress(subprocess.TimeoutExpired):
            return self._child.wait(_BURIAL_S)
        return -signal.SIGKILL

    def _parcel(self) -> bytes:
        parcel = bytearray()
        end_s = time.monotonic() + _DELIVERY_S
        while wanted := missing(parcel):
            if not _happens(self.fileno(), select.POLLIN, end_s - time.monotonic()):
                raise ProtocolError("it broke off")
            piece = os.read(self.fileno(), wanted)
            if not piece:
                raise EOFError
            parcel += piece
        return bytes(parcel)


def _speaking(workers: Iterable[_Worker], wait_s: float, bell: int) -> list[_Worker]:
    """Return the workers with something to read, after waiting for one, or `bell`, so long."""
    poll = select.poll()
    by_fileno = {worker.fileno(): worker for worker in workers}
    for fileno in (*by_fileno, bell):
        poll.register(fileno, select.POLLIN)
    ready = [fileno for fileno, _ in poll.poll(max(0.0, wait_s) * 1000)]
    return [by_fileno[fileno] for fileno in ready if fileno != bell]


def _happens(fileno: int, event: int, wait_s: float) -> bool:
    poll = select.poll()
    poll.register(fileno, event)
    return bool(poll.poll(max(0.0, wait_s) * 1000))


def _shipped_worker(memory_mb: int, time_limit_s: float, nice: int) -> tuple[str, ...]:
    # -P: a library that holds a folder named "generator" is not the place to import it from.
    module = "generator.adapters.media_worker"
    return (sys.executable, "-P", "-m", module, str(memory_mb), str(time_limit_s), str(nice))


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _not_started(command: Sequence[str]) -> MediaError:
    return MediaError(
        f"cannot start the program that looks into videos: {command[0]}",
        hint="what it wrote to the terminal says why; try it: " + " ".join(command),
    )
