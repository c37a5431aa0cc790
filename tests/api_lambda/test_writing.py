"""What was acknowledged is on the disk, once, whoever else writes, and whatever ends the server."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path

import pytest
from asking import VIDEOS, Asker, fetch, fill, serving
from fastapi import FastAPI
from forks import completed
from paths import ROOT

from api_lambda.app import ApiConfig, create_app
from api_lambda.event_writer import EventWriter, NotRecordedError
from generator.adapters.catalogue import Catalogue
from generator.core.model import Event, EventKind, EventOutcome, VideoId

EVERY_MS = 150  # what the other writer holds the catalogue for

WRITE_ON = """
import sys
from pathlib import Path
from generator.adapters.catalogue import Catalogue
from generator.core.model import Event, EventKind, VideoId
with Catalogue(Path(sys.argv[1]), durable=False) as catalogue:
    for number in range(int(sys.argv[2])):
        catalogue.append(
            Event(f"other-{number}-{n}", EventKind.VIEWED, 5, "test", VideoId(1)) for n in range(40)
        )
"""


def view(key: str, video: int = 1) -> Event:
    return Event(key, EventKind.VIEWED, 5, "test", VideoId(video))


async def outcome_of(recorder: EventWriter) -> EventOutcome:
    return await recorder.record(view("patient"))


async def asked(recorder: EventWriter) -> int:
    return await recorder.do(lambda catalogue: catalogue.last_event())


def views(state: Path, video: int = 1) -> int:
    with Catalogue(state / "catalogue.db") as catalogue:
        return catalogue.stats([VideoId(video)])[0].views


def test_many_threads_and_another_process_lose_and_double_nothing(state: Path) -> None:
    app = create_app(ApiConfig(state))
    owner = Asker(app)
    before = views(state)
    other = subprocess.Popen(
        [sys.executable, "-c", WRITE_ON, str(state / "catalogue.db"), "60"], cwd=ROOT
    )

    async def visits(thread: int) -> list[int]:
        asked = [
            owner.ask("POST", "/api/videos/1/views", key=f"key-{thread}-{n // 2:05}")
            for n in range(120)
        ]
        return [outcome_of.status for outcome_of in await asyncio.gather(*asked)]

    with ThreadPoolExecutor(8) as threads:
        statuses = [
            one for some in threads.map(lambda n: asyncio.run(visits(n)), range(8)) for one in some
        ]
    assert other.wait(60) == 0
    app.state.close()

    assert statuses == [200] * 8 * 120
    assert views(state) == before + 8 * 60 + 60 * 40


def test_what_waits_together_is_recorded_together_and_only_the_wrong_is_refused(
    state: Path,
) -> None:
    app = create_app(ApiConfig(state))
    owner = Asker(app)

    async def all_at_once() -> list[int]:
        stars = [("PUT", f"/api/videos/{n}/rating", {"stars": 1}) for n in (1, 99, 2, 98, 3)]
        return [one.status for one in await asyncio.gather(*(owner.ask(*one) for one in stars))]

    assert asyncio.run(all_at_once()) == [200, 404, 200, 404, 200]
    app.state.close()


def test_who_holds_the_catalogue_makes_others_wait_and_nobody_fail(state: Path) -> None:
    app = create_app(ApiConfig(state))
    holder = sqlite3.connect(state / "catalogue.db", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    release = threading.Timer(EVERY_MS / 1000, holder.execute, ("COMMIT",))
    release.start()

    response = Asker(app)("PUT", "/api/videos/3/favorite")

    release.join()
    holder.close()
    app.state.close()
    assert response.status == 200


def test_who_holds_it_longer_than_sqlite_waits_is_waited_for_all_the_same(state: Path) -> None:
    def opened() -> Catalogue:
        made = Catalogue(state / "catalogue.db")
        made._connection.execute("PRAGMA busy_timeout = 60")  # noqa: SLF001
        return made

    recorder = EventWriter(opened)
    asyncio.run(asked(recorder))
    holder = sqlite3.connect(state / "catalogue.db", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    release = threading.Timer(EVERY_MS / 1000, holder.execute, ("COMMIT",))
    release.start()

    outcome = asyncio.run(outcome_of(recorder))

    release.join()
    holder.close()
    recorder.close()
    assert outcome.stats is not None


def test_a_full_disk_refuses_everything_records_nothing_and_is_over_when_it_is(
    state: Path,
) -> None:
    catalogue_full, pages = threading.Event(), []

    def opened() -> Catalogue:
        made = Catalogue(state / "catalogue.db")
        (count,) = made._connection.execute("PRAGMA page_count").fetchone()  # noqa: SLF001
        if catalogue_full.is_set():
            pages.append(count)
            made._connection.execute(f"PRAGMA max_page_count = {count}")  # noqa: SLF001
        return made

    recorder = EventWriter(opened)
    catalogue_full.set()
    before = views(state)

    async def fill_up() -> list[EventOutcome | BaseException]:
        return await asyncio.gather(
            *(recorder.record(view("x" * 500 + str(n))) for n in range(100)),
            return_exceptions=True,
        )

    results = asyncio.run(fill_up())
    failed = [one for one in results if isinstance(one, NotRecordedError)]
    between = views(state)
    catalogue_full.clear()
    again = asyncio.run(fill_up())
    recorder.close()

    assert len(failed) > 50
    assert "full" in str(failed[0])
    assert between == before + len(results) - len(failed)
    assert all(isinstance(one, EventOutcome) for one in again)
    assert views(state) == before + 100


def test_a_catalogue_out_of_reach_is_told_as_unavailable_and_where_it_is_only_to_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "catalogue.db").write_bytes(b"no catalogue at all, but long enough for one" * 99)
    app = create_app(ApiConfig(tmp_path))

    answers = [Asker(app)("GET", "/api/health"), Asker(app)("PUT", "/api/videos/3/favorite")]

    app.state.close()
    assert [one.status for one in answers] == [503, 503]
    assert all(int(one.header("retry-after") or 0) > 0 for one in answers)
    assert "the catalogue is unavailable" in answers[0].json["detail"]
    assert "damaged" in caplog.text
    assert str(tmp_path) not in answers[0].body.decode() + answers[1].body.decode()


def test_closing_finishes_what_was_accepted_and_takes_nothing_more(state: Path) -> None:
    recorder = EventWriter(lambda: Catalogue(state / "catalogue.db"))
    before = views(state)

    async def accept_and_close() -> list[EventOutcome]:
        accepted = [asyncio.ensure_future(recorder.record(view(f"v-{n}"))) for n in range(900)]
        await asyncio.sleep(0)  # they ask,
        await asyncio.sleep(0)  # and are handed over
        recorder.close()
        with pytest.raises(NotRecordedError):
            await recorder.record(view("late"))
        return await asyncio.gather(*accepted)

    outcomes = asyncio.run(accept_and_close())

    assert len(outcomes) == 900
    assert views(state) == before + 900
    recorder.close()


def test_whoever_hangs_up_is_counted_and_keeps_nobody_from_their_answer(state: Path) -> None:
    recorder = EventWriter(lambda: Catalogue(state / "catalogue.db"))
    before = views(state)

    async def hang_up() -> EventOutcome:
        gone = asyncio.ensure_future(recorder.record(view("gone")))
        await asyncio.sleep(0)
        gone.cancel()
        return await recorder.record(view("stays"))

    assert asyncio.run(hang_up()).stats is not None
    recorder.close()
    assert views(state) == before + 2


def test_a_question_that_fails_fails_for_who_asked_it_alone(state: Path) -> None:
    recorder = EventWriter(lambda: Catalogue(state / "catalogue.db"))

    async def ask() -> EventOutcome:
        with pytest.raises(ZeroDivisionError):
            await recorder.do(lambda _: 1 / 0)
        return await recorder.record(view("after"))

    assert asyncio.run(ask()).stats is not None
    recorder.close()


def test_every_call_may_have_a_loop_of_its_own(make_app: Callable[..., FastAPI]) -> None:
    owner = Asker(make_app())

    assert [owner("PUT", f"/api/videos/{n}/favorite").status for n in (1, 2, 3)] == [200] * 3


def test_a_killed_server_has_every_event_on_disk_that_it_acknowledged(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    state, port = tmp_path / "state", free_port()
    fill(state)
    acknowledged: list[str] = []
    enough = threading.Event()

    def write_on(thread: int) -> None:
        for number in range(100_000):
            key = f"key-{thread}-{number:06}"
            path = f"/api/videos/{number % VIDEOS + 1}/views"
            try:
                response = fetch(port, "POST", path, {}, {"idempotency-key": key})
            except (OSError, HTTPException):
                return
            assert response.status == 200, response.body
            acknowledged.append(key)
            if len(acknowledged) >= 200:
                enough.set()

    with serving(state, "--port", str(port)) as server, ThreadPoolExecutor(8) as threads:
        writers = [threads.submit(write_on, number) for number in range(8)]
        assert enough.wait(30)
        os.kill(server.pid, signal.SIGKILL)
        for one in writers:
            one.result(30)

    with Catalogue(state / "catalogue.db") as catalogue:
        lost = [key for key in acknowledged if catalogue.event_by_id(key) is None]
        assert lost == []
        assert catalogue._connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)  # noqa: SLF001


def test_a_taken_port_and_a_taken_socket_are_told_and_a_stale_socket_is_replaced(
    state: Path, free_port: Callable[[], int]
) -> None:
    port, file = free_port(), state / "api.sock"

    with serving(state, "--socket", str(file)) as killed:
        killed.kill()
        killed.wait(60)
        left_behind = file.is_socket()
    with serving(state, "--socket", str(file)), serving(state, "--port", str(port)):
        taken = [second_server(state, "--socket", file), second_server(state, "--port", port)]

    assert left_behind
    assert all("cannot listen on" in one for one in taken)
    assert not file.exists()


def second_server(state: Path, *options: object) -> str:
    environment = {**os.environ, "REELSHELF_STATE": str(state)}
    done = completed(["api", *options], cwd=state.parent, env=environment, timeout=30)
    assert done.returncode == 2
    return done.stderr
