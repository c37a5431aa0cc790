"""The worker process that probes video files: one at a time, with requests through a pipe.

`python -m generator.adapters.media_worker MEMORY_MB TIME_LIMIT_S NICE`: requests on standard input,
answers on standard output, until the input ends. It isolates the site from files that crash, hang
or bloat a decoder, so it may be killed at any moment: it writes no file, starts no process, and
keeps no state between two files.
"""

import os
import resource
import signal
import sys
from pathlib import Path

import av

from generator.adapters.media_worker.answer import answer_request
from generator.core.media.worker_protocol import READY, missing, pack_answer, unpack_probe_request

_ALARM_FACTOR = 2.0  # times the limit: by then the parent has killed us, or is dead itself
_SILENT = -8  # AV_LOG_QUIET


def main() -> None:
    """Answer requests until the input ends."""
    memory_mb, time_limit_s, nice = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    os.nice(nice)
    requests, answers = _take_pipes()
    _restrict(memory_mb)
    _send(answers, READY)
    while frame := _next_frame(requests):
        request = unpack_probe_request(frame)
        signal.setitimer(signal.ITIMER_REAL, time_limit_s * _ALARM_FACTOR)  # SIGALRM ends us
        answer = answer_request(request, memory_mb)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _send(answers, pack_answer(answer))


def _take_pipes() -> tuple[int, int]:
    """Return the two pipes under new descriptors, which no library reads or prints to."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return requests, answers


def _restrict(memory_mb: int) -> None:
    """Limit what a file can make us do; the memory of the libraries is not counted."""
    av.logging.set_libav_level(_SILENT)
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    limit_bytes = _address_space_bytes() + (memory_mb << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))


def _address_space_bytes() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii")
    return int(pages.split()[0]) * resource.getpagesize()


def _next_frame(requests: int) -> bytes:
    """Return the next complete frame, b"" at the end of the input."""
    frame = bytearray()
    while length := missing(frame):
        piece = os.read(requests, length)
        if not piece:
            return b""
        frame += piece
    return bytes(frame)


def _send(answers: int, frame: bytes) -> None:
    rest = memoryview(frame)
    while rest:
        rest = rest[os.write(answers, rest) :]


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(1)  # the parent is gone
