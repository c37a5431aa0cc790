"""Counters of several processes in files."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from generator.adapters.request_counters import RequestCounters

ROUTES = (("/a", "GET"), ("/b", "PUT"))
COUNT_AND_DIE = """
import os, sys
from pathlib import Path
from generator.adapters.request_counters import RequestCounters
counters = RequestCounters(Path(sys.argv[1]), (("/a", "GET"), ("/b", "PUT")), ("hits",))
for _ in range(100):
    counters.observe(counters.place("/a", "GET"), 0.01, 200)
counters.add("hits", 5)
print("counted", flush=True)
sys.stdin.read()
os.kill(os.getpid(), 9)
"""


def opened(folder: Path | None, now: list[float] | None = None) -> RequestCounters:
    clock = (lambda: now[0]) if now is not None else (lambda: 1_800_000_000.0)
    return RequestCounters(folder, ROUTES, ("hits",), clock)


@pytest.fixture
def counters(tmp_path: Path) -> Iterator[RequestCounters]:
    with closing(opened(tmp_path)) as made:
        yield made


def count(counters: RequestCounters, times: int = 1, status: int = 200) -> None:
    for _ in range(times):
        counters.observe(counters.place("/a", "GET"), 0.002, status)


def test_requests_are_counted_by_route_with_time_and_outcome(counters: RequestCounters) -> None:
    count(counters, 3)
    count(counters, 1, 404)
    count(counters, 2, 503)
    counters.add("hits")

    (route,) = counters.read().routes
    assert (route.route, route.method, route.count) == ("/a", "GET", 6)
    assert (route.refused, route.errors) == (1, 2)
    assert route.seconds == pytest.approx(0.012)
    assert counters.read().counters == {"hits": 1}


def test_figures_are_those_of_all_processes_the_killed_ones_too(
    tmp_path: Path, counters: RequestCounters
) -> None:
    count(counters, 7)
    with subprocess.Popen(
        [sys.executable, "-c", COUNT_AND_DIE, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "counted\n"
        alive = counters.read()
        other.communicate()
    dead = counters.read()

    assert [route.count for route in alive.routes] == [107]
    assert other.pid in alive.pids
    assert len(alive.pids) == 2
    assert [route.count for route in dead.routes] == [107]
    assert dead.counters == {"hits": 5}
    assert len(dead.pids) == 1


def test_a_new_process_goes_on_where_another_ended_so_counters_never_go_backwards(
    tmp_path: Path,
) -> None:
    for times in (1, 2, 3):
        with closing(opened(tmp_path)) as one:
            count(one, times)

    with closing(opened(tmp_path)) as last:
        assert [route.count for route in last.read().routes] == [6]
    assert len(list(tmp_path.iterdir())) == 1


def test_counters_of_other_routes_begin_anew(tmp_path: Path) -> None:
    with closing(RequestCounters(tmp_path, (("/old", "GET"),), ("hits",))) as former:
        former.observe(0, 0.1, 200)

    with closing(opened(tmp_path)) as counters:
        assert counters.read().routes == ()
        count(counters)
        assert [route.count for route in counters.read().routes] == [1]


def test_the_last_minutes_are_told_apart_from_what_was_before(tmp_path: Path) -> None:
    now = [1_800_000_000.0]
    with closing(opened(tmp_path, now)) as counters:
        for times in (1, 2, 0, 4):
            count(counters, times)
            now[0] += 60
        now[0] -= 60

        by_minute = [sum(histogram) for histogram in counters.by_minute(5)]
        recent = [sum(route.count for route in counters.read(m).routes) for m in (1, 2, 3, 60)]
        now[0] += 3600
        later = counters.read(15).routes

    assert by_minute == [0, 1, 2, 0, 4]
    assert recent == [4, 4, 6, 7]
    assert later == ()


def test_without_a_folder_a_process_counts_for_itself(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "missing"):
        with closing(opened(folder)) as counters:
            count(counters)
            assert [route.count for route in counters.read().routes] == [1]
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "requests-0.counts").symlink_to(tmp_path / "precious")

    with closing(opened(tmp_path)) as counters:
        count(counters)

    assert (tmp_path / "precious").read_text() == "mine"
