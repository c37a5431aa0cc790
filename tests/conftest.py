"""What tests share: programs, the shared folder, ports, Hypothesis's profile, a home, a browser."""

import multiprocessing.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import cloud
import pytest
from effort import THOROUGH
from filelock import FileLock
from forks import Parent, fork_programs
from fresh_schemas import copy_schemas
from hypothesis import settings

if TYPE_CHECKING:  # a third of a second, which most files can do without
    from browsers import Chromium
    from playwright.sync_api import Browser

pytest_plugins = ["limits"]

# Else every process compiles our modules anew, and every worker all tests.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A gate in the background of a shell ignores it, and so would all programs that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

copy_schemas()

# The same examples in every run: a failure is one of the change under test.
for name, examples in (("gate", 25), ("thorough", 60)):
    settings.register_profile(
        name, derandomize=True, deadline=None, max_examples=examples, print_blob=True
    )
settings.load_profile("thorough" if THOROUGH else "gate")

# Debian's browser without windows; its command is a script that stays before it as its parent.
HEADLESS = Path("/usr/lib/chromium/chromium-headless-shell")


# Files that take long go first, so that no worker is left with one when the others are done.
LONG = (
    "test_a_minute", "test_any_course", "test_exactness", "test_builder_lambda", "test_publish",
    "test_worker", "test_following", "test_what_people_do", "test_cli", "test_clicks",
    "test_watch_page", "test_care", "test_bucket_library", "test_renditions_killed",
    "test_renditions", "test_queue_races", "test_bucket", "test_host_files",
    "test_plays_in_a_browser", "test_killed", "test_dev_command", "test_problems_page",
)  # fmt: skip


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of files that take long in front."""
    ranks = {name: rank for rank, name in enumerate(LONG)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(LONG)))


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Return a function from a program's name to its path; without it the test is skipped."""

    def find(name: str) -> str:
        path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
        if path is None:
            reason = f"the program {name} is not installed"
            if os.environ.get("CI") == "true":
                pytest.fail(f"{reason}, and under CI=true every test runs")
            pytest.skip(reason)
        return path

    return find


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder with the test material that is no part of the repository."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"there is no folder {folder}")
    return folder


@pytest.fixture(scope="session")
def hostile(
    shared: Path, program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a library of all that is unkind, its manifest and what lies outside beside it.

    All workers of a run have copies of one: to make it takes thirty programs.
    """
    program("ffmpeg")
    base = tmp_path_factory.getbasetemp()
    made = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "hostile-made"
    with FileLock(made.with_suffix(".lock")):
        if not (made / "library.manifest.json").exists():  # it is written last
            maker = shared / "media" / "hostile" / "make_hostile.py"
            command = [sys.executable, maker, made / "library"]
            subprocess.run(command, check=True, capture_output=True)
    folder = tmp_path_factory.mktemp("hostile")
    subprocess.run(["cp", "-a", "--reflink=auto", f"{made}/.", folder], check=True)
    for link in filter(Path.is_symlink, folder.rglob("*")):
        if (target := os.fspath(link.readlink())).startswith(f"{made}/"):
            link.unlink()
            link.symlink_to(folder / target.removeprefix(f"{made}/"))
    return folder / "library"


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Return a function that finds a port of 127.0.0.1 on which nothing listens."""

    def find() -> int:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            return int(listener.getsockname()[1])

    return find


@pytest.fixture
def real_programs() -> Iterator[None]:
    """Start the programs that open videos as in production, with an interpreter of their own."""
    with fork_programs(subprocess.Popen):
        yield


MAX_BASE = 50  # bytes, for Chromium's socket lies 55 below, and its path may have 107


def live_in(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Let the home and the folder for temporary files be below this one, for all programs."""
    home, scratch = folder / "home", folder / "tmp"
    home.mkdir(parents=True)
    scratch.mkdir()
    patch.setenv("HOME", str(home))
    for kind, name in HOMES.items():
        patch.setenv(f"XDG_{kind}_HOME", str(home / name))
    patch.delenv("XDG_RUNTIME_DIR", raising=False)
    patch.setenv("TMPDIR", str(scratch))
    patch.setattr(tempfile, "tempdir", str(scratch))


HOMES = {"CONFIG": ".config", "CACHE": ".cache", "DATA": ".local/share", "STATE": ".local/state"}


@pytest.fixture(scope="session", autouse=True)
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iterator[Path]]:
    """Return new folders for homes; fixtures that live longer than a test share the first."""
    base = tmp_path_factory.getbasetemp()
    is_long = len(os.fsencode(base)) > MAX_BASE
    lent = tempfile.mkdtemp(prefix="reelshelf-", dir="/tmp") if is_long else None
    folders = (Path(lent or base, f"h{number}") for number in count())
    with pytest.MonkeyPatch.context() as patch:
        multiprocessing.util.get_temp_dir()  # kept by that module, which removes it at the very end
        live_in(next(folders), patch)
        with fork_programs():
            yield folders
        cloud.end_resting()
        Parent.end()
    if lent:
        shutil.rmtree(lent)


@pytest.fixture(autouse=True)
def home(homes: Iterator[Path]) -> Iterator[Path]:
    """Return the home of this test; nothing that it starts sees another one."""
    with pytest.MonkeyPatch.context() as patch:
        live_in(folder := next(homes), patch)
        yield folder / "home"


@pytest.fixture(scope="module")
def chromium(program: Callable[[str], str]) -> "Iterator[Chromium]":
    """Return what keeps a browser running for the tests of a file.

    Chromium without its own windows, tabs and menus, where that is installed: the same engine from
    the same package, but a page costs a tenth of the processor time.
    """
    from browsers import Chromium  # noqa: PLC0415 (see above)

    running = Chromium(str(HEADLESS) if HEADLESS.exists() else program("chromium"))
    yield running
    running.close()


@pytest.fixture
def browser(chromium: "Chromium") -> "Iterator[Browser]":
    """Return a browser; the windows that are opened in it close with the test."""
    yield chromium.browser()
    chromium.close_contexts()
