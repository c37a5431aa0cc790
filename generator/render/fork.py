"""Beside: a share of the work done by a forked twin of this process, on the other processor.

Threads do not help where Python itself is the work. The twin sees everything as it was at the
fork, must use no database and no lock, and answers with one value.
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

Answer = TypeVar("Answer")

_PR_SET_PDEATHSIG = 1  # Linux: what a process gets when its parent dies


def is_possible() -> bool:
    """Tell whether a twin may be made: with other threads about, a fork is not safe."""
    return sys.platform == "linux" and threading.active_count() == 1 and _processors() > 1


@contextmanager
def beside(share: Callable[[], Answer]) -> Iterator[Callable[[], Answer]]:
    """Run `share` in a twin; the block gets a function that waits for its answer.

    Raises:
        Exception: whatever `share` raised, where its answer is waited for.
        ChildProcessError: the twin was killed.
    """
    reading, writing = os.pipe()
    twin = os.fork()
    if not twin:
        os.close(reading)
        _answer(writing, share)
    os.close(writing)
    waited = False

    def answer() -> Answer:
        nonlocal waited
        with os.fdopen(reading, "rb") as pipe:
            told = pipe.read()
        os.waitpid(twin, 0)
        waited = True
        if not told:
            raise ChildProcessError("the second builder process was killed; run the build again")
        value, error = pickle.loads(told)  # noqa: S301 (our own twin wrote it)
        if error is not None:
            raise error
        return value  # type: ignore[no-any-return]  # what `share` returned

    try:
        yield answer
    finally:
        if not waited:
            os.kill(twin, signal.SIGKILL)
            os.waitpid(twin, 0)


def _answer(writing: int, share: Callable[[], object]) -> None:
    """Be the twin: answer and end, without whatever the parent would do at its end."""
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
