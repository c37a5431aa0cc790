"""The encoder process: makes one playable copy, and ends.

`python -P -m generator.adapters.rendition_worker SETTINGS`: SETTINGS are `JobLimits` in JSON; the
request is a line on standard input, which stays open as long as the copy is wanted; messages go to
standard output. It only writes to the folder of its job, and may be killed at any moment: the next
process resumes from what it finished.
"""

import ctypes
import errno
import fcntl
import json
import os
import platform
import resource
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import av

from generator.adapters.media_worker.video_file import UnusableFileError, open_regular
from generator.adapters.rendition_worker.heartbeat import Heartbeat
from generator.adapters.rendition_worker.make import JobResources, make
from generator.core.media.renditions import LOCK, FinalMessage, unpack_rendition_request

_SILENT = -8  # AV_LOG_QUIET
_FULL = {errno.ENOSPC, errno.EDQUOT}
_MAX_REQUEST_BYTES = 1 << 20
_SET_IO_PRIORITY = {"x86_64": 251, "aarch64": 30}  # system calls
_THIS_PROCESS, _LOWEST_PRIORITY = 1, 2 << 13 | 7  # not idle: on a busy disk that would starve us


@dataclass(frozen=True, slots=True)
class JobLimits:
    """The limits of the process; `folder` is that of the job."""

    folder: str
    memory_mb: int
    most_bytes: int
    nice: int
    threads: int
    chunk_s: float


def main() -> None:
    """Make one copy, and report the outcome."""
    limits = JobLimits(**json.loads(sys.argv[-1]))
    requests, answers = _take_pipes()
    request = unpack_rendition_request(_line(requests))
    os.chdir(limits.folder)
    heartbeat = Heartbeat(answers)
    heartbeat.begin()
    with Path(LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # an orphaned process ends at its next heartbeat
        try:
            descriptor = open_regular(request.file)
            _restrict(limits)
            make(request, descriptor, heartbeat, JobResources(limits.threads, limits.chunk_s))
            outcome = FinalMessage("made")
        except UnusableFileError as error:
            outcome = FinalMessage("refused", str(error))
        except MemoryError:
            outcome = FinalMessage("refused", f"needed more than {limits.memory_mb} MB")
        except BrokenPipeError:
            raise
        except (av.FFmpegError, OSError) as error:
            outcome = _failure(error, limits)
    heartbeat.end(outcome)


def _failure(error: av.FFmpegError | OSError, limits: JobLimits) -> FinalMessage:
    if error.errno in _FULL:
        return FinalMessage("full", "the disk is full")
    if error.errno == errno.EFBIG:
        return FinalMessage(
            "refused", f"its copy would be larger than {limits.most_bytes >> 20} MB"
        )
    return FinalMessage("refused", f"cannot be copied: {error.strerror}")


def _take_pipes() -> tuple[int, int]:
    """Return the two pipes under new descriptors, which no library reads or prints to."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return requests, answers


def _line(requests: int) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n") and len(line) < _MAX_REQUEST_BYTES:
        piece = os.read(requests, _MAX_REQUEST_BYTES)
        if not piece:
            break
        line += piece
    # From now on SIGIO ends us when the parent closes the other end, or dies.
    fcntl.fcntl(requests, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(requests, fcntl.F_SETFL, fcntl.fcntl(requests, fcntl.F_GETFL) | os.O_ASYNC)
    return bytes(line)


def _restrict(limits: JobLimits) -> None:
    """Limit what a file can make us do; the memory of the libraries is not counted."""
    av.logging.set_libav_level(_SILENT)
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.most_bytes, limits.most_bytes))
    limit_bytes = _address_space_bytes() + (limits.memory_mb << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
    os.nice(limits.nice)
    _lower_io_priority()


def _address_space_bytes() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii")
    return int(pages.split()[0]) * resource.getpagesize()


def _lower_io_priority() -> None:
    """Set the lowest best-effort I/O priority, on Linux."""
    number = _SET_IO_PRIORITY.get(platform.machine())
    if sys.platform == "linux" and number is not None:
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).syscall(number, _THIS_PROCESS, 0, _LOWEST_PRIORITY)


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(1)  # the parent is gone
