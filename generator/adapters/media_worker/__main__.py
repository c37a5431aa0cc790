"""The program that looks into video files: one at a time, asked and answering through pipes.

`python -m generator.adapters.media_worker MEMORY_MB TIME_LIMIT_S NICE`: requests on standard input,
answers on standard output, until the input ends. It is what stands between the site and files that
crash, hang or bloat a decoder, so it may be killed at any moment: it writes no file, starts
nothing, and keeps nothing between two files.
"""

import os
import resource
import signal
import sys
from pathlib import Path

import av

from generator.adapters.media_worker.answer import look_at
from generator.core.media.worker_protocol import READY, missing, pack_answer, unpack_probe_request

_OUTLIVES = 2.0  # of the time limit: by then the parent has killed us, or is dead itself
_SILENT = -8  # AV_LOG_QUIET


def main() -> None:
    """Answer requests until there are no more."""
    memory_mb, time_limit_s, nice = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    os.nice(nice)
    requests, answers = _take_pipes()
    _restrict(memory_mb)
    _send(answers, READY)
    while parcel := _next_parcel(requests):
        request = unpack_probe_request(parcel)
        signal.setitimer(signal.ITIMER_REAL, time_limit_s * _OUTLIVES)  # SIGALRM ends us
        answer = look_at(request, memory_mb)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _send(answers, pack_answer(answer))


def _take_pipes() -> tuple[int, int]:
    """Return descriptors of the two pipes, moved to where no library reads or prints by itself."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return requests, answers


def _restrict(memory_mb: int) -> None:
    """Bound what a file can make us do; the memory that the libraries take up is not counted."""
    av.logging.set_libav_level(_SILENT)
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    limit_bytes = _address_space_bytes() + (memory_mb << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))


def _address_space_bytes() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii")
    return int(pages.split()[0]) * resource.getpagesize()


def _next_parcel(requests: int) -> bytes:
    """Return the next whole parcel, b"" when there will be none."""
    parcel = bytearray()
    while wanted := missing(parcel):
        piece = os.read(requests, wanted)
        if not piece:
            return b""
        parcel += piece
    return bytes(parcel)


def _send(answers: int, parcel: bytes) -> None:
    rest = memoryview(parcel)
    while rest:
        rest = rest[os.write(answers, rest) :]


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(1)  # whoever asked is gone
