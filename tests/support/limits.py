"""A limit for every test, its fixtures included: what hangs is shown, ended, and fails alone.

The settings are pytest-timeout's: `timeout` in pyproject.toml, `@pytest.mark.timeout(s)` for those
that take longer, `--timeout`. How a test is ended is ours:

- at its limit, the stacks of all threads and the processes below are written down, what the test
  began and all browsers are killed, and an exception is raised in the test, or in the fixture;
- every `AGAIN_S` later once more, should a fixture hang in its turn, and then all children go;
- what does not come back from C takes its process along: xdist puts another one in its place and
  goes on with the next test, and shows what was written down. Without xdist the run ends there.
"""

import faulthandler
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from processes import Process, below, kill_all, marked, tree

AGAIN_S = 10.0
ENDED = "ended"  # names a file of those that took a process along
UNANSWERED = 2  # times that the main thread may be called in vain
CALL = signal.SIGUSR1  # not SIGALRM, by which programs end themselves
MARK = "RUN_OF_TESTS"  # in the environment of all that a run starts
ENDING_S = 60.0  # for all that the interpreter waits for when everything is done

RUNNER = re.compile(r"/(_pytest|pluggy|pytest|xdist|execnet)/|^<frozen runpy>")  # in all stacks

SLOWEST = 5.0
SEE = "it takes too long; stacks and processes are told below, under: limit"

browsers: dict[int, list[Process]] = {}  # that live longer than a test and may be why it hangs


class LimitReached(BaseException):
    """A test takes too long. Not an Exception, which tests and Hypothesis catch."""


def _slowness() -> float:
    """Return how much longer all takes on a machine that is busy with other things."""
    return min(SLOWEST, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1) / 2))


class Watch:
    """The clock of the test that runs, looked at by a thread of its own."""

    def __init__(self, config: pytest.Config) -> None:
        self._clock = threading.Condition()
        self._limit_s, self._due, self._began = 0.0, 0.0, 0.0
        self._name, self._phase, self._report = "", "", ""
        self._calls, self._unanswered = 0, 0
        self._folder = Path(folder) if (folder := worker_input(config).get("limits")) else None
        self._worker = worker_input(config).get("workerid", "")
        self._again_s = float(config.getini("timeout_again"))
        self._errors = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace")
        self._stacks = self._open("stacks") if self._folder else self._errors
        threading.Thread(target=self._run, daemon=True, name="limits").start()

    def _open(self, kind: str) -> Any:  # noqa: ANN401 (what open returns)
        assert self._folder
        return (self._folder / f"{self._worker}.{kind}").open("w", encoding="utf-8")

    def start(self, name: str, limit_s: float) -> None:
        with self._clock:
            self._name, self._limit_s, self._began = name, limit_s, time.monotonic()
            self._due, self._calls, self._unanswered = self._began + limit_s, 0, 0
            self._clock.notify()
        signal.signal(CALL, self._answer)
        # Should even that thread not run, because C holds the lock of the interpreter.
        last_s = limit_s * (SLOWEST + 0.3) + (UNANSWERED + 1) * self._again_s
        faulthandler.dump_traceback_later(last_s, exit=True, file=self._stacks)

    def stop(self) -> None:
        with self._clock:
            self._due = 0.0
        faulthandler.cancel_dump_traceback_later()

    @contextmanager
    def phase(self, item: pytest.Item, name: str) -> Iterator[None]:
        """Let what is done here be ended, and fail if it was called to and went on."""
        self._phase, calls = name, self._calls
        try:
            yield
            if self._calls > calls:
                pytest.fail(f"{self._report}\n(it went on when it was ended)", pytrace=False)
        finally:
            self._phase = ""
            if self._calls > calls:  # it may have failed by something else, as of a killed child
                item.add_report_section(name, "limit", self._report)

    def _run(self) -> None:
        while True:
            with self._clock:
                left_s = self._due - time.monotonic()
                if not self._due or left_s > 0:
                    self._clock.wait(left_s if self._due else None)
                    continue
                now = time.monotonic()
                if not self._calls and now < self._began + self._limit_s * _slowness():
                    self._due = now + self._limit_s / 4
                    continue
                self._due = now + self._again_s
                self._calls += 1
                self._unanswered += 1
                if self._calls == 1:
                    self._report = self._describe(now - self._began)
                if self._unanswered > UNANSWERED:
                    self._give_up()
                signal.pthread_kill(threading.main_thread().ident or 0, CALL)
                self._kill_children()

    def _answer(self, *_: object) -> None:
        """Raise in the main thread, wherever it is."""
        if not self._due:
            return  # it was called for a test that ended just now
        self._unanswered = 0
        # So far so good: the next one who hangs has as long again.
        last_s = self._limit_s * SLOWEST + (UNANSWERED + 1) * self._again_s
        faulthandler.dump_traceback_later(last_s, exit=True, file=self._stacks)
        if not self._phase:
            return  # in pytest itself; there is a next time
        if self._phase == "call":
            raise LimitReached(SEE)
        pytest.fail(SEE)  # what pytest expects of fixtures

    def _describe(self, age_s: float) -> str:
        lines = [f"still running in its {self._phase} after {age_s:.1f} s"]
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, frame in sys._current_frames().items():  # noqa: SLF001 (there is no other way)
            if ident != threading.get_ident() and names.get(ident):  # execnet's have none
                lines.append(f"-- stack of {names.get(ident, ident)}")
                calls = traceback.extract_stack(frame)
                calls = [call for call in calls if not RUNNER.search(call.filename)] or calls
                lines.append("".join(traceback.format_list(calls)).rstrip())
        return "\n".join([*lines, "-- processes below", tree(os.getpid())])

    def _kill_children(self) -> None:
        age_s = time.monotonic() - self._began
        children = [child for _, child in below(os.getpid())]
        if self._calls == 1:
            children = [child for child in children if child.age_s < age_s]
            children += [each for group in browsers.values() for each in group]
        kill_all(children)

    def _give_up(self) -> None:
        text = f"\n{self._name}: this process ends, for it cannot be interrupted\n{self._report}\n"
        self._errors.write(text)
        self._errors.flush()
        if self._folder:
            with self._open("report") as file:
                file.write(text)
            with (self._folder / ENDED).open("a", encoding="utf-8") as file:
                file.write(f"{self._name}\n")
        kill_all(child for _, child in below(os.getpid()))
        os._exit(1)


def worker_input(config: pytest.Config) -> dict[str, Any]:
    """Return what xdist gave this process to begin with, if it is a worker."""
    found: dict[str, Any] = getattr(config, "workerinput", {})
    return found


class Limits:
    """The hooks; they come after pytest-timeout's, which says how long a test may take."""

    def __init__(self, config: pytest.Config) -> None:
        self._watch = Watch(config)

    @pytest.hookimpl(tryfirst=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> bool:  # noqa: ANN401
        self._watch.start(item.nodeid, settings.timeout)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_timeout_cancel_timer(self, item: pytest.Item) -> bool:
        """Do nothing: it is called for a failure too, after which fixtures may hang."""
        if item.config.getoption("usepdb"):
            self._watch.stop()
        return True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        try:
            return (yield)
        finally:
            self._watch.stop()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        with self._watch.phase(item, "setup"):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        with self._watch.phase(item, "call"):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        with self._watch.phase(item, "teardown"):
            return (yield)


class Overseer:
    """The hooks of the process that outlives the others: xdist's controller, or the only one."""

    def __init__(self, folder: Path, mark: str) -> None:
        self._folder, self._mark = folder, mark

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:  # noqa: ANN401 (xdist has no types)
        node.workerinput["limits"] = str(self._folder)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: Any) -> None:  # noqa: ANN401 (xdist has no types)
        with (self._folder / ENDED).open("a", encoding="utf-8") as file:
            file.write(f"{crashitem}\n")
        worker = report.node.gateway.id
        for kind in ("report", "stacks"):
            file = self._folder / f"{worker}.{kind}"
            if file.exists():
                report.longrepr = f"{report.longrepr}\n{file.read_text(encoding='utf-8')}"
        ours = {child.pid for _, child in below(os.getpid())}
        kill_all(child for child in marked(self._mark) if child.pid not in ours)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """End what outlived the tests and its own parents."""
        left = [child for child in marked(self._mark) if child.pid != os.getpid()]
        if left:
            sys.stderr.write("\nleft behind by the tests, and killed:\n")
            sys.stderr.writelines(f"{child}\n" for child in left)
        kill_all(left)
        shutil.rmtree(self._folder)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        "timeout_again", "seconds until a test over its limit is ended again", default="10"
    )


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    if not worker_input(config):
        mark = f"{MARK}={uuid.uuid4().hex}"
        os.environ[MARK] = mark.partition("=")[2]
        config.pluginmanager.register(Overseer(Path(tempfile.mkdtemp()), mark))
    if not config.getoption("numprocesses", None):  # else the tests run in other processes
        config.pluginmanager.register(Limits(config))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Pass over a test that took a process along, which xdist has run again and again."""
    folder = worker_input(item.config).get("limits")
    ended = Path(folder, ENDED) if folder else None
    if ended and ended.exists() and item.nodeid in ended.read_text(encoding="utf-8").splitlines():
        pytest.skip("it ended the process that it ran in, and failed by that")


def pytest_unconfigure() -> None:
    faulthandler.dump_traceback_later(ENDING_S, exit=True, file=sys.__stderr__)
