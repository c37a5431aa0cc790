"""Run part of the work in a forked child process, on another processor.

Threads do not help where Python itself is the work. The child sees everything as it was at the
fork, must use no database and no lock, and returns one value.
"""

import ctypes
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Result = TypeVar("Result")

_PR_SET_PDEATHSIG = 1  # Linux: the signal on death of the parent


def is_possible() -> bool:
    """Return whether a fork is safe and useful: no other thread runs, and a second CPU exists."""
    return sys.platform == "linux" and threading.active_count() == 1 and _processors() > 1


@contextmanager
def in_child(share: Callable[[], Result]) -> Iterator[Callable[[], Result]]:
    """Run `share` in a child process; yield a function that waits for its result.

    Raises:
        Exception: whatever `share` raised, when its result is waited for.
        ChildProcessError: the child was killed.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _run_child(writing, share)
    os.close(writing)
    waited = False

    def result() -> Result:
        nonlocal waited
        with os.fdopen(reading, "rb") as pipe:
            payload = pipe.read()
        os.waitpid(child, 0)
        waited = True
        if not payload:
            raise ChildProcessError("the second builder process was killed; run the build again")
        value, error = pickle.loads(payload)  # noqa: S301 (our own child wrote it)
        if error is not None:
            raise error
        return value  # type: ignore[no-any-return]  # what `share` returned

    try:
        yield result
    finally:
        if not waited:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _run_child(writing: int, share: Callable[[], object]) -> None:
    """Be the child: send the result and exit, without the parent's cleanup."""
    status = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        value: object = None
        error: Exception | None = None
        try:
            value = share()
        except Exception as raised:  # noqa: BLE001 (raised again in the parent)
            error = raised
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(pickle.dumps((value, error)))
        status = 0
    finally:
        os._exit(status)


def _processors() -> int:
    return len(os.sched_getaffinity(0))
