"""What tests share: programs of the system, the shared folder, free ports, Hypothesis's profile."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=60, print_blob=True)
settings.load_profile("ci")


# Files that take long go first, so that no worker is left with one when the others are done.
LONG = (
    "test_a_minute", "test_any_course", "test_exactness", "test_lambda_builder", "test_publish",
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
def free_port() -> Callable[[], int]:
    """Return a function that finds a port of 127.0.0.1 on which nothing listens."""

    def find() -> int:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            return int(listener.getsockname()[1])

    return find
