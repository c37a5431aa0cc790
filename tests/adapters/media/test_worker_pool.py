"""Media: workers that are killed, hang, babble or die, and what that costs; all real processes."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from clips import make_clip
from paths import TESTS

from generator.adapters.media import worker_pool
from generator.adapters.media.worker_pool import MediaError, MediaWorkers
from generator.core.model import Place, ProbeResult, Rejected

pytestmark = pytest.mark.usefixtures("real_programs")

ROGUE = TESTS / "support" / "rogue_worker.py"
GONE_WITHIN_S = 60


def looked_into(workers: MediaWorkers, file: Path) -> ProbeResult | Rejected:
    (found,) = workers.examine([(Place("", "it"), str(file))])
    return found


def children() -> set[int]:
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(pid) for task in tasks for pid in task.read_text().split()}


def is_gone(pid: int) -> bool:
    """Wait until a process has ended, and tell whether it did."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    ended = bool(poll.poll(GONE_WITHIN_S * 1000))
    os.close(watched)
    return ended


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4")


@pytest.fixture
def rogues(tmp_path: Path) -> Iterator[Callable[..., MediaWorkers]]:
    """Return a function that makes rogue workers; their notes are in tmp_path / "notes"."""
    made: list[MediaWorkers] = []

    def make(*, jobs: int = 1, time_limit_s: float = 30.0) -> MediaWorkers:
        command = (sys.executable, str(ROGUE), str(tmp_path / "notes"))
        made.append(MediaWorkers(jobs=jobs, time_limit_s=time_limit_s, command=command))
        return made[-1]

    yield make
    for workers in made:
        workers.close()


def noted(tmp_path: Path) -> list[int]:
    return [int(line) for line in (tmp_path / "notes").read_text().split()]


def answers_of(workers: MediaWorkers, *commands: str) -> dict[str, str]:
    """Return what came of each command to a rogue worker."""
    found = workers.examine((Place("", command), f"/{command}") for command in commands)
    return {one.place.path: one.reason for one in found if isinstance(one, Rejected)}


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("crash", "the decoder crashed (signal 11)"),
        ("leave", "the decoder stopped (exit code 3)"),
        ("babble", "the decoder sent an invalid answer: not a message"),
        ("confuse", "the decoder sent an invalid answer: it is about another file"),
        ("break off", "the decoder stopped (exit code 0)"),
    ],
)
def test_a_file_that_ends_its_worker_costs_that_file_alone(
    rogues: Callable[..., MediaWorkers], command: str, reason: str
) -> None:
    found = answers_of(rogues(), "one", command, "two")

    assert found == {"one": "was looked at", command: reason, "two": "was looked at"}


def test_a_hang_ends_at_the_time_limit_with_all_it_started(
    rogues: Callable[..., MediaWorkers], tmp_path: Path
) -> None:
    outcomes = answers_of(rogues(time_limit_s=0.4), "one", "hang", "two")

    hung, its_child = noted(tmp_path)[:2]
    assert outcomes["hang"] == "took longer than 0.4 s"
    assert (outcomes["one"], outcomes["two"]) == ("was looked at", "was looked at")
    assert is_gone(hung)
    assert is_gone(its_child)


def test_others_go_on_while_one_hangs(rogues: Callable[..., MediaWorkers]) -> None:
    workers = rogues(jobs=2, time_limit_s=2)
    others = [str(number) for number in range(50)]

    outcomes = list(answers_of(workers, "hang", *others))

    assert outcomes[-1] == "hang"
    assert sorted(outcomes[:-1]) == sorted(others)


@pytest.mark.parametrize("command", ["die later", "chatter"])
def test_a_file_is_not_blamed_for_what_the_one_before_did(
    rogues: Callable[..., MediaWorkers], command: str
) -> None:
    assert set(answers_of(rogues(), command, "one", command, "two").values()) == {"was looked at"}


def test_a_worker_that_was_killed_while_idle_is_replaced(
    rogues: Callable[..., MediaWorkers], tmp_path: Path
) -> None:
    workers = rogues()
    answers_of(workers, "one")
    os.kill(noted(tmp_path)[0], signal.SIGKILL)
    is_gone(noted(tmp_path)[0])

    assert answers_of(workers, "two") == {"two": "was looked at"}


def test_workers_live_on_from_file_to_file(
    rogues: Callable[..., MediaWorkers], tmp_path: Path
) -> None:
    workers = rogues()
    for number in range(20):
        answers_of(workers, str(number))

    assert len(noted(tmp_path)) == 2  # one worker and its child


def test_nothing_deadlocks_when_both_pipes_are_full(rogues: Callable[..., MediaWorkers]) -> None:
    workers = rogues(jobs=2)
    paths = ((Place("", "x" * 40_000), "/write a lot") for _ in range(20))

    reasons = [one.reason for one in workers.examine(paths) if isinstance(one, Rejected)]

    assert [len(reason) for reason in reasons] == [200_000] * 20


def test_an_answer_that_waited_for_the_caller_is_not_too_late(
    rogues: Callable[..., MediaWorkers], monkeypatch: pytest.MonkeyPatch
) -> None:
    away_s = 0.0
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + away_s)
    monkeypatch.setattr(worker_pool, "time", clock)
    workers = rogues(jobs=1, time_limit_s=30.0)
    paths = ((Place("", "x"), "/write a lot") for _ in range(3))

    for answer in workers.examine(paths):
        (worker,) = workers._workers  # noqa: SLF001
        while worker.request and worker.is_quiet():
            pass  # the caller is away until the next answer has begun
        away_s += 60.0
        assert isinstance(answer, Rejected)
        assert len(answer.reason) == 200_000


def test_the_time_limit_of_a_file_does_not_count_the_start_of_its_worker(
    tmp_path: Path,
) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import runpy, sys, time\n"
        "time.sleep(0.5)\n"
        f"runpy.run_path({str(ROGUE)!r}, run_name='__main__')\n"
    )
    command = (sys.executable, str(slow), str(tmp_path / "notes"))
    with MediaWorkers(jobs=1, time_limit_s=0.4, command=command) as workers:
        assert answers_of(workers, "one") == {"one": "was looked at"}


def test_paths_are_read_as_they_are_needed(rogues: Callable[..., MediaWorkers]) -> None:
    read: list[int] = []

    def endless() -> Iterator[tuple[Place, str]]:
        for number in count():
            read.append(number)
            yield Place("", str(number)), f"/{number}"

    results = rogues(jobs=2).examine(endless())
    for _ in range(10):
        next(results)

    assert len(read) <= 10 + 2 * 2
    results.close()  # type: ignore[attr-defined]  # a generator, by contract an iterator


def test_a_worker_that_cannot_be_started_is_nobodys_fault_but_said() -> None:
    for command in (("/no/such/program",), (sys.executable, "-c", "print('hello')")):
        with MediaWorkers(jobs=1, command=command) as workers, pytest.raises(MediaError):
            answers_of(workers, "one")


def test_a_worker_is_held_in_memory_cores_and_files(clip: Path) -> None:
    before = children()
    with MediaWorkers(jobs=1, memory_mb=512) as workers:
        looked_into(workers, clip)
        (worker,) = children() - before
        limits = Path(f"/proc/{worker}/limits").read_text()
        settled_kb = int(Path(f"/proc/{worker}/statm").read_text().split()[0]) * 4

    soft = {line[:25].strip(): line[26:].split()[0] for line in limits.splitlines()}
    assert soft["Max core file size"] == "0"
    assert soft["Max file size"] == "0"
    assert int(soft["Max address space"]) <= (settled_kb + (512 << 10)) << 10


def test_a_worker_has_no_secrets_in_its_environment(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    before = children()
    with MediaWorkers(jobs=1) as workers:
        looked_into(workers, clip)
        (worker,) = children() - before
        environment = Path(f"/proc/{worker}/environ").read_bytes()

    assert b"hush" not in environment


def test_nothing_is_left_after_close(clip: Path) -> None:
    before = children()

    with MediaWorkers(jobs=2) as workers:
        list(workers.examine((Place("", str(number)), str(clip)) for number in range(4)))
        assert len(children() - before) == 2

    assert children() <= before


def test_nothing_is_left_of_results_nobody_waited_for(
    rogues: Callable[..., MediaWorkers], tmp_path: Path
) -> None:
    workers = rogues(jobs=2)
    paths = [(Place("", name), f"/{name}") for name in ("one", "hang", "hang")]

    for _ in workers.examine(paths):
        break

    assert answers_of(workers, "two") == {"two": "was looked at"}
    workers.close()
    assert all(is_gone(pid) for pid in noted(tmp_path))


def test_close_ends_the_busy_too(rogues: Callable[..., MediaWorkers], tmp_path: Path) -> None:
    workers = rogues(jobs=2)
    paths = [(Place("", name), f"/{name}") for name in ("one", "hang", "hang")]
    results = workers.examine(paths)
    next(results)

    workers.close()

    assert all(is_gone(pid) for pid in noted(tmp_path))
    assert list(results) == []


def test_an_error_of_the_callers_iterable_reaches_the_caller_and_leaves_nothing_busy(
    rogues: Callable[..., MediaWorkers],
) -> None:
    before = children()

    def broken() -> Iterator[tuple[Place, str]]:
        yield Place("", "one"), "/one"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        list(rogues(jobs=2).examine(broken()))

    assert children() <= before


def test_workers_end_when_their_parent_is_killed(clip: Path) -> None:
    program = (
        "import os, pathlib, sys\n"
        "from generator.adapters.media.worker_pool import MediaWorkers\n"
        "from generator.core.model import Place\n"
        "workers = MediaWorkers(jobs=2)\n"
        "list(workers.examine([(Place('', str(n)), sys.argv[1]) for n in range(4)]))\n"
        "children = pathlib.Path(f'/proc/self/task/{os.getpid()}/children')\n"
        "print(children.read_text(), flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(clip)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        orphans = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()

    assert len(orphans) == 2
    assert all(is_gone(pid) for pid in orphans)


def test_workers_may_be_stopped_while_another_thread_lets_go_of_them() -> None:
    for _ in range(200):
        workers = MediaWorkers(jobs=1)
        closing = threading.Thread(target=workers.close)
        closing.start()
        workers.stop()
        closing.join()
        workers.stop()
