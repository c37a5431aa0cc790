"""The gate itself: what hangs ends and is shown, what is begun ends too, and no home is touched."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from browsers import Chromium
from paths import TESTS
from processes import Process, below, marked

HANGS = """
import socket, subprocess, threading, time
import pytest

limited = pytest.mark.timeout(0.5)

@pytest.fixture
def begins(): time.sleep(60)

@pytest.fixture
def ends():
    yield
    subprocess.run(["sleep", "61"])

@pytest.fixture
def ends_too(ends):
    yield
    threading.Event().wait()

def test_passes(): pass

@limited
def test_computes():
    while True: pass

@limited
def test_receives():
    ours, theirs = socket.socketpair()
    ours.recv(1)

@limited
def test_waits_for_a_child(): subprocess.run(["sh", "-c", "sleep 62; true"])

@limited
def test_waits_for_a_thread():
    thread = threading.Thread(target=threading.Event().wait, name="waiting", daemon=True)
    thread.start()
    thread.join()

@limited
def test_catches_all():
    while True:
        try: time.sleep(60)
        except Exception: pass

@limited
def test_goes_on():
    done = subprocess.run(["sleep", "68"])
    assert done.returncode == 0

@limited
def test_goes_on_after_all():
    try: time.sleep(60)
    except BaseException: pass

@limited
def test_begins_not(begins): pass

@limited
def test_ends_not(ends_too): pass

@limited
def test_fails_and_ends_not(ends): raise ValueError

def test_takes_longer(): time.sleep(0.6)

def test_passes_after_all(): pass
"""
IN_C = """
import collections, itertools, sqlite3, subprocess
import pytest

limited = pytest.mark.timeout(0.5)

def test_passes(): pass

@limited
def test_waits_for_a_lock(tmp_path):
    subprocess.Popen(["sleep", "63"])
    one, other = (sqlite3.connect(tmp_path / "db", timeout=60) for _ in range(2))
    one.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")

@limited
def test_keeps_the_interpreter():
    subprocess.Popen(["sleep", "64"])
    collections.deque(itertools.repeat(None), maxlen=0)

def test_passes_after_all(): pass
"""
LEAVES = """
import subprocess

def test_leaves_a_child():
    subprocess.Popen(["sleep", "65"])

def test_leaves_an_orphan():
    subprocess.run(["sh", "-c", "setsid sleep 66 &"])
"""
AT_HOME = """
import multiprocessing, os, subprocess, tempfile
from pathlib import Path
import pytest

def fill():
    Path.home().joinpath("ours").touch()
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        Path(os.environ[name]).mkdir(parents=True, exist_ok=True)
        Path(os.environ[name], "ours").touch()
    subprocess.run(["sh", "-c", "touch ~/theirs; mktemp"], check=True)
    tempfile.mkstemp()
    return Path.home()

@pytest.fixture(scope="module")
def longer(): return fill()

def test_homes_differ(longer, tmp_path):
    child = multiprocessing.get_context("forkserver").Process(target=fill)
    child.start()
    child.join()
    assert child.exitcode == 0
    assert fill() != longer

def test_each_has_its_own(longer):
    assert list(Path.home().iterdir()) == []
    assert fill() != longer
"""
BROWSES = """
import os, signal
import pytest

def test_opens(browser): pass

@pytest.mark.timeout(3)
def test_closes_not(browser, chromium):
    context = browser.new_context()
    os.kill(chromium.leader.pid, signal.SIGSTOP)
    context.close()

def test_goes_on(browser):
    page = browser.new_page()
    page.goto("data:text/html,<h1>on</h1>")
    assert page.inner_text("h1") == "on"
"""


def run(
    folder: Path,
    content: str,
    *options: str,
    again_s: float = 2,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run pytest on a file, with no more plugins than it needs."""
    folder.mkdir(exist_ok=True)
    (folder / "pytest.toml").write_text(
        f'[pytest]\ntimeout = "60"\ntimeout_again = "{again_s}"\n', encoding="utf-8"
    )
    (folder / "test_it.py").write_text(content, encoding="utf-8")
    plugins = [f"-p{name}" for name in ("pytest_timeout", "xdist.plugin", "limits")]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-rA", *options, folder],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS / "support")]),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            **environment,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def outcomes(done: subprocess.CompletedProcess[str]) -> dict[str, set[str]]:
    """Return the tests by what became of them."""
    became: dict[str, set[str]] = {}
    for outcome, name in re.findall(r"^([A-Z]+) \S*::(?:test_)?(\w+)", done.stdout, re.MULTILINE):
        became.setdefault(outcome, set()).add(name)
    return became


def commands() -> str:
    return "\n".join(child.command for _, child in below(os.getpid()))


def is_left(command: str) -> bool:
    """Say whether something that we began, or that those began, still runs."""
    mark = f"RUN_OF_TESTS={os.environ['RUN_OF_TESTS']}"
    return any(each.command == command for each in marked(mark)) or command in commands()


def test_what_hangs_fails_alone_and_shows_where(tmp_path: Path) -> None:
    done = run(tmp_path / "t", HANGS)

    assert outcomes(done) == {
        "PASSED": {"passes", "takes_longer", "ends_not", "passes_after_all"},
        "FAILED": {
            *("computes", "receives", "waits_for_a_child", "waits_for_a_thread", "catches_all"),
            *("goes_on", "goes_on_after_all"),
            "fails_and_ends_not",
        },
        "ERROR": {"begins_not", "ends_not", "fails_and_ends_not"},
    }, done.stdout + done.stderr
    for shown in (
        "still running in its setup after ",
        "still running in its teardown after ",
        "-- stack of waiting",
        "    ours.recv(1)",
        "(it went on when it was ended)",
        "sh -c sleep 62; true",
    ):
        assert shown in done.stdout
    assert re.search(r"^ *\d+ S.*, \d+\.\d s old: sleep 62$", done.stdout, re.MULTILINE)
    assert not any(map(is_left, ("sleep 61", "sleep 62")))


def test_what_does_not_come_back_from_c_takes_only_its_process_along(tmp_path: Path) -> None:
    done = run(tmp_path / "t", IN_C, "-n1", "--dist=loadfile", again_s=0.5)

    became = outcomes(done)
    assert became["PASSED"] == {"passes", "passes_after_all"}, done.stdout
    assert became["FAILED"] == {"waits_for_a_lock", "keeps_the_interpreter"}
    assert "2 failed, 2 passed, 2 skipped" in done.stdout  # xdist would run them again
    for shown in ('other.execute("BEGIN IMMEDIATE")', "old: sleep 63", "in test_keeps_the_interpr"):
        assert shown in done.stdout
    assert not any(map(is_left, ("sleep 63", "sleep 64")))


def test_without_other_processes_the_run_ends_there_and_says_so(tmp_path: Path) -> None:
    done = run(tmp_path / "t", IN_C, "-k", "lock", again_s=0.5)

    assert done.returncode == 1
    assert "test_waits_for_a_lock: this process ends, for it cannot be interrupted" in done.stderr
    assert 'other.execute("BEGIN IMMEDIATE")' in done.stderr
    assert not is_left("sleep 63")


@pytest.mark.parametrize("options", [(), ("-n1",)])
def test_nothing_is_left_behind_after_a_run(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = run(tmp_path / "t", LEAVES, *options)

    assert done.returncode == 0
    assert "left behind by the tests, and killed" in done.stderr
    assert "sleep 65" in done.stderr
    assert "sleep 66" in done.stderr
    assert not any(map(is_left, ("sleep 65", "sleep 66")))


def test_no_test_sees_the_home_of_who_runs_it(tmp_path: Path) -> None:
    real = tmp_path / "real"
    scratch = Path(tempfile.mkdtemp(dir="/tmp"))  # short: sockets lie below it
    (real / ".config").mkdir(parents=True)
    (real / ".config/planted").write_text("theirs", encoding="utf-8")
    before = sorted(real.rglob("*"))

    done = run(
        tmp_path / "t",
        AT_HOME,
        *("-pconftest", "-pno:cacheprovider"),
        HOME=str(real),
        XDG_CONFIG_HOME=str(real / ".config"),
        XDG_RUNTIME_DIR=str(real),
        TMPDIR=str(scratch),
    )

    assert outcomes(done) == {"PASSED": {"homes_differ", "each_has_its_own"}}, done.stdout
    assert sorted(real.rglob("*")) == before
    assert [path.name for path in scratch.iterdir() if "pytest-of-" not in path.name] == []
    shutil.rmtree(scratch)


def test_a_browser_that_does_not_close_is_killed(program: Callable[[str], str]) -> None:
    before = {child.pid for _, child in below(os.getpid())}
    for stopped in ("leader", "driver"):
        chromium = Chromium(program("chromium"), closing_s=0.3)
        chromium.browser().new_page()
        os.kill(getattr(chromium, stopped).pid, signal.SIGSTOP)

        began = time.monotonic()
        chromium.close()

        assert time.monotonic() - began < 10
        assert [child for _, child in below(os.getpid()) if child.pid not in before] == []


def test_who_hangs_with_a_browser_leaves_the_next_one_a_new_browser(
    tmp_path: Path, program: Callable[[str], str]
) -> None:
    program("chromium")

    done = run(tmp_path / "t", BROWSES, "-pconftest", again_s=4)

    assert outcomes(done) == {"PASSED": {"opens", "goes_on"}, "FAILED": {"closes_not"}}, done.stdout
    assert "context.close()" in done.stdout
    assert re.search("T.* s old: .*chromium", done.stdout)
    assert "left behind" not in done.stderr


def test_a_number_that_another_process_has_by_now_is_not_killed() -> None:
    with subprocess.Popen(["sleep", "67"]) as child:
        now = Process.of(child.pid)
        assert now
        Process(now.pid, now.parent, now.group, now.state, now.started - 1, now.command).kill()
        assert child.poll() is None
        now.kill()
