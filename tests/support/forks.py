"""The command line in processes that begin at once: forks of one that imported most of it.

To import the program takes over a second of the processor, and tests start it hundreds of times.
`Command(["build"], cwd=…, env=…, stdout=PIPE)` is a `subprocess.Popen` of such a fork: it has its
own arguments, environment, folder and streams, takes signals, and ends as `reelshelf` does.
How the interpreter itself begins (its options, PYTHON* variables, the locale) it cannot show: tests
of that start `reelshelf` itself.
"""

import gc
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from fresh_schemas import copy_schemas, prepare
from paths import ROOT
from typing_extensions import override

NUMBERS = 12  # digits of a length
IMPORTED = (
    "api_lambda.app", "api_lambda.connection_limits", "api_lambda.owner_secrets", "boto3.session",
    "generator.adapters.media.rendition_runner", "generator.adapters.queues.redis_stream",
    "generator.adapters.queues.sqs", "generator.adapters.redis_state",
    "generator.adapters.s3.bucket", "generator.adapters.s3.cloudfront",
    "generator.adapters.s3.owner_mark", "generator.adapters.next_video", "generator.build.engine",
    "generator.core.site.list_json", "generator.devserver", "generator.publish",
    "generator.scan.observe", "generator.watch.background_jobs", "generator.watch.build_loop",
    "generator.worker.worker", "rich.markdown", "rich.progress", "typer", "uvicorn",
    "uvicorn.loops.auto", "uvicorn.protocols.http.auto",
)  # fmt: skip


class Command(subprocess.Popen[Any]):
    """`reelshelf`, or with `program` some text of Python, as a child that can be waited for."""

    def __init__(
        self,
        arguments: Sequence[object],
        *,
        program: str | None = None,
        **options: Any,  # noqa: ANN401 (those of Popen)
    ) -> None:
        self._program = program
        super().__init__([str(argument) for argument in arguments], **options)

    @override
    def _execute_child(self, args: Sequence[str], *rest: Any) -> None:  # type: ignore[misc]
        (_, preexec, _, pass_fds, cwd, env, _, _, shell, *pipes) = rest[:15]
        assert not any((preexec, pass_fds, shell)), "a fork cannot do that"
        read, _, _, out, _, err = pipes
        streams = [own if own != -1 else number for number, own in enumerate((read, out, err))]
        self.pid = Parent.of_this_process().fork(
            {
                "arguments": args,
                "program": self._program,
                "cwd": os.fspath(cwd or Path.cwd()),
                "env": dict(env if env is not None else os.environ),
            },
            streams,
        )
        self._child_created = True
        self._end = os.pidfd_open(self.pid)
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]

    def _try_wait(self, flags: int) -> tuple[int, int]:
        """Return the status as `os.waitpid` does, or (0, 0) while it runs."""
        select.select([self._end], [], [], 0 if flags & os.WNOHANG else None)
        status = Parent.of_this_process().status(self.pid)
        if status is None:
            return 0, 0
        os.close(self._end)
        return self.pid, status

    def _internal_poll(self, *_: object, **__: object) -> int | None:
        if self.returncode is None:
            pid, status = self._try_wait(os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode  # type: ignore[no-any-return]


def completed(
    arguments: Sequence[object],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    program: str | None = None,
    text: bool = True,
    timeout: float = 60,
) -> subprocess.CompletedProcess[Any]:
    """Run a command to its end; what it printed is in what is returned."""
    pipe = subprocess.PIPE
    options: dict[str, Any] = {"cwd": cwd, "env": env, "text": text}
    with Command(arguments, program=program, stdout=pipe, stderr=pipe, **options) as child:
        try:
            out, err = child.communicate(timeout=timeout)
        except BaseException:
            child.kill()
            raise
    return subprocess.CompletedProcess(list(arguments), child.returncode, out, err)


class Parent:
    """The process that forks, as those see it who ask it to. For any thread."""

    _ours: "Parent | None" = None
    _starting = threading.Lock()

    def __init__(self) -> None:
        self.line, theirs = socket.socketpair()
        self._lock = threading.Lock()
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "support")}
        with theirs:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "forks", str(theirs.fileno())],
                pass_fds=[theirs.fileno()], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    @classmethod
    def of_this_process(cls) -> Self:
        """Return the one, begun anew should it have been killed with a test that hung."""
        with cls._starting:
            if cls._ours is None or cls._ours.child.poll() is not None:
                cls._ours = cls()
            return cls._ours  # type: ignore[return-value]

    @classmethod
    def end(cls) -> None:
        """Let it go, and wait for that."""
        if cls._ours is not None:
            cls._ours.line.close()
            cls._ours.child.wait()
            cls._ours = None

    def fork(self, job: Mapping[str, Any], streams: Sequence[int]) -> int:
        """Start a process with these streams, and return its number."""
        with self._lock:
            _send(self.line, job)
            socket.send_fds(self.line, [b"s"], streams)
            return int(_receive(self.line))

    def status(self, pid: int) -> int | None:
        """Return how it ended, as `os.waitpid` tells it; None while it runs."""
        with self._lock:
            _send(self.line, pid)
            return _receive(self.line)  # type: ignore[no-any-return]


def _send(line: socket.socket, value: object) -> None:
    data = json.dumps(value).encode()
    line.sendall(b"%0*d" % (NUMBERS, len(data)) + data)


def _receive(line: socket.socket) -> Any:  # noqa: ANN401 (what was sent)
    def exactly(size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = line.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    return json.loads(exactly(int(exactly(NUMBERS))))


def _serve(line: socket.socket) -> Callable[[], None]:
    """Fork as often as asked to; what is returned is for the child to do."""
    while True:
        asked = _receive(line)
        if isinstance(asked, int):
            pid, status = os.waitpid(asked, os.WNOHANG)
            _send(line, status if pid else None)
            continue
        _, streams, _, _ = socket.recv_fds(line, 1, 3)
        pid = os.fork()
        if not pid:
            line.close()
            return _prepared(asked, streams)
        for stream in streams:
            os.close(stream)
        _send(line, pid)


def _prepared(job: Mapping[str, Any], streams: Sequence[int]) -> Callable[[], None]:
    """Be the process that was asked for, and return what it runs."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    for stream in streams:
        os.close(stream)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(  # noqa: SIM115
        2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False
    )
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["env"])
    tempfile.tempdir = None
    time.tzset()
    random.seed()
    program = job["program"]
    sys.argv = ["-c" if program else "reelshelf", *job["arguments"]]
    if program:
        code = compile(program, "<string>", "exec")
        return lambda: exec(code, {"__name__": "__main__"})
    from generator.cli import main  # noqa: PLC0415

    return main


def _import_all() -> None:
    """Import what commands import, but for what looks at the streams and the environment then."""
    copy_schemas()
    for name in IMPORTED:
        import_module(name)
    for name in ("catalogue", "ledger"):
        prepare(import_module(f"generator.adapters.{name}.schema").migrations)
    assert "generator.cli" not in sys.modules, "its consoles would be those of this process"
    assert threading.active_count() == 1, "a fork would lack the others"


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asking = socket.socket(fileno=int(sys.argv[1]))
    _import_all()
    gc.collect()
    gc.freeze()
    with suppress(EOFError):
        _serve(asking)()
