"""The command line in processes that begin at once: forks of one that imported most of it.

To import the program takes over a second of the processor, and tests start it hundreds of times.
`Command(["build"], cwd=…, env=…, stdout=PIPE)` is a `subprocess.Popen` of such a fork: it has its
own arguments, environment, folder and streams, takes signals, and ends as `reelshelf` does.
How the interpreter itself begins (its options, PYTHON* variables, the locale) it cannot show: tests
of that start `reelshelf` itself.

The programs that open videos begin that way, too, in tests and in the commands they start
(`fork_programs`): each takes half a second to import, and nearly every build needs one. Tests of
their processes start them as everybody does: see the fixture `real_programs`.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from fresh_schemas import copy_schemas, prepare
from paths import ROOT
from typing_extensions import override

NUMBERS = 12  # digits of a length
IMPORTED = (
    "api_lambda.app", "api_lambda.connection_limits", "api_lambda.owner_secrets", "boto3.session",
    "generator.adapters.media.rendition_runner", "generator.adapters.media.worker_pool",
    "generator.adapters.next_video", "generator.adapters.queues.redis_stream",
    "generator.adapters.queues.sqs", "generator.adapters.redis_state",
    "generator.adapters.s3.bucket", "generator.adapters.s3.cloudfront",
    "generator.adapters.s3.owner_mark", "generator.build.engine", "generator.core.site.list_json",
    "generator.devserver", "generator.publish", "generator.scan.observe",
    "generator.watch.background_jobs", "generator.watch.build_loop", "generator.worker.worker",
    "rich.markdown", "rich.progress", "typer", "typer._adapters", "uvicorn", "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
)  # fmt: skip


class Command(subprocess.Popen[Any]):
    """`reelshelf`, or with `program` some text of Python, as a child that can be waited for."""

    def __init__(
        self,
        arguments: Sequence[object],
        *,
        program: str | None = None,
        module: str | None = None,
        is_like: str | None = None,
        **options: Any,  # noqa: ANN401 (those of Popen)
    ) -> None:
        self._program, self._module, self._is_like = program, module, is_like
        self._is_leader = bool(options.get("start_new_session"))
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
                "module": self._module,
                "imported": self._module or self._is_like,
                "is_leader": self._is_leader,
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


_PLAIN = (sys.executable, "-P", "-m")
_ENCODER = "generator.adapters.rendition_worker"  # what programs of tests make use of


def _started(command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:  # noqa: ANN401 (those of Popen)
    """Start a program that opens videos: as a fork, if it is Python's."""
    options.pop("bufsize", None)
    if tuple(command[:3]) == _PLAIN:
        return Command(command[4:], module=command[3], bufsize=0, **options)
    if tuple(command[:2]) == (sys.executable, "-c"):
        return Command(command[3:], program=command[2], is_like=_ENCODER, bufsize=0, **options)
    return subprocess.Popen(command, bufsize=0, **options)


@contextmanager
def fork_programs(start: Callable[..., Any] = _started) -> Iterator[None]:
    """Let programs that open videos be started by `start` instead of `subprocess.Popen`."""
    names = {name: getattr(subprocess, name) for name in ("PIPE", "TimeoutExpired")}
    modules = [import_module(f"generator.adapters.media.{name}") for name in RUNNERS]
    before = [module.subprocess for module in modules]
    for module in modules:
        module.subprocess = SimpleNamespace(Popen=start, **names)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module, former in zip(modules, before, strict=True):
            module.subprocess = former  # type: ignore[attr-defined]


RUNNERS = ("rendition_runner", "worker_pool")


def address_of(pid: int) -> str:
    """Return where a process that forks listens: a socket without a file."""
    return f"\0reelshelf-forks-{pid}"


class Parent:
    """The process that forks, as those see it who ask it to. For any thread."""

    _ours: "Parent | None" = None
    _starting = threading.Lock()
    address = ""  # where it listens for its forks, and for forks of who started it

    def __init__(self) -> None:
        self._lock, self.owner = threading.Lock(), os.getpid()
        self.child: subprocess.Popen[bytes] | None = None
        if self.address:
            self.line = socket.socket(socket.AF_UNIX)
            self.line.connect(self.address)
            return
        self.line, theirs = socket.socketpair()
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
            ours = cls._ours
            if ours is not None and ours.owner != os.getpid():
                if ours.child is not None:
                    cls.address = address_of(ours.child.pid)
                ours = None
            if ours is None or (ours.child is not None and ours.child.poll() is not None):
                ours = cls._ours = cls()
            return ours  # type: ignore[return-value]

    @classmethod
    def end(cls) -> None:
        """Let it go, and wait for that."""
        if cls._ours is not None:
            cls._ours.line.close()
            if cls._ours.child is not None:
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
    """Fork as often as asked to, until `line` ends; what is returned is for the child to do."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(Parent.address)
    listener.listen()
    lines = [line]
    while True:
        ready, _, _ = select.select([listener, *lines], [], [])
        for each in ready:
            if each is listener:
                lines.append(listener.accept()[0])
                continue
            try:
                begun = _answer(each, [listener, *lines])
            except (EOFError, OSError):  # it ended, or was killed amid its question
                each.close()
                lines.remove(each)
                if each is line:
                    raise EOFError from None
                continue
            if begun is not None:
                return begun


def _answer(line: socket.socket, open_here: Sequence[socket.socket]) -> Callable[[], None] | None:
    """Tell how a process ended, or fork; in the child, return what it runs."""
    asked = _receive(line)
    if isinstance(asked, int):
        pid, status = os.waitpid(asked, os.WNOHANG)
        _send(line, status if pid else None)
        return None
    _, streams, _, _ = socket.recv_fds(line, 1, 3)
    if asked["imported"]:
        import_module(f"{asked['imported']}.__main__")
    begun, begins = os.pipe()
    pid = os.fork()
    if not pid:
        if asked["is_leader"]:
            os.setsid()
        for other in open_here:
            other.close()
        os.close(begun)
        os.close(begins)

        def begin() -> None:  # where no error of its is taken for one of the line's
            _prepared(asked, streams)()

        return begin
    for descriptor in (*streams, begins):
        os.close(descriptor)
    os.read(begun, 1)  # it leads its group, which may be killed as soon as it is known
    os.close(begun)
    _send(line, pid)
    return None


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
    if job["module"]:
        module = import_module(f"{job['module']}.__main__")
        return lambda: _run(module.main)
    if program:
        code = compile(program, "<string>", "exec")
        return lambda: exec(code, {"__name__": "__main__"})
    from generator.cli import main  # noqa: PLC0415

    return main


def _run(main: Callable[[], None]) -> None:
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(1)  # as those programs do


def _import_all() -> None:
    """Import what commands import, but for what looks at the streams and the environment then."""
    copy_schemas()
    for name in IMPORTED:
        import_module(name)
    for name in ("catalogue", "ledger"):
        prepare(import_module(f"generator.adapters.{name}.schema").migrations)
    _build_once()
    assert "generator.cli" not in sys.modules, "its consoles would be those of this process"
    assert threading.active_count() == 1, "a fork would lack the others"


def _build_once() -> None:
    """Build a site of three videos: its templates are compiled for all forks then."""
    trial, engine = import_module("benchmarks.trial"), import_module("generator.build.engine")
    with (
        tempfile.TemporaryDirectory() as name,
        engine.Engine(trial.settings(Path(name)), ROOT / "templates") as built,
    ):
        trial.fill(built.catalogue, 3)
        built.refresh(trial.NOW)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asking = socket.socket(fileno=int(sys.argv[1]))
    Parent.address = address_of(os.getpid())
    _import_all()

    gc.collect()
    gc.freeze()
    with fork_programs(), suppress(EOFError):
        _serve(asking)()
