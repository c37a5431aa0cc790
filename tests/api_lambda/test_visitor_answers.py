"""What the API tells: only what is shown, no paths of the server, and whether writing works."""

import json
import resource
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from asking import Asker, Told, fetch, serving, until
from fastapi import FastAPI
from typer.testing import CliRunner

from api_lambda.receipt_polling import ReceiptWatch
from generator.adapters.catalogue import Catalogue
from generator.adapters.ledger import Ledger
from generator.cli import app as commands
from generator.core.errors import SettingsError

FAR = ("192.0.2.7", 5000)
EVERYTHING = frozenset({"view", "rate", "favorite"})
Make = Callable[..., FastAPI]


def hide(state: Path, video: int, *, dropped: int = 1) -> None:
    with closing(sqlite3.connect(state / "catalogue.db")) as catalogue:
        catalogue.execute("UPDATE video SET dropped = ? WHERE id = ?", (dropped, video))
        catalogue.commit()


@pytest.mark.parametrize("client", [FAR, ("127.0.0.1", 5000)])
def test_no_answer_tells_of_a_video_that_is_not_shown(
    client: tuple[str, int], state: Path, owner: Asker, make_app: Make
) -> None:
    owner("PUT", "/api/videos/3/tags", {"tags": ["secrettag"]})
    event = owner("PUT", "/api/videos/3/rating", {"stars": 4}, key="a-key-of-mine").json["event"]
    hide(state, 3)
    asker = Asker(make_app(visitors_may=EVERYTHING), client=client)

    responses = [
        asker("GET", "/api/changes?since=0"),
        asker("GET", "/api/videos/3"),
        asker("GET", "/api/random?tag=secrettag"),
        asker("GET", f"/api/receipts/{event}"),
        asker("POST", "/api/videos/3/views"),
        asker("PUT", "/api/videos/3/rating", {"stars": 4}, key="a-key-of-mine"),
        asker("PUT", "/api/videos/3/favorite"),
        asker("DELETE", "/api/videos/3/rating"),
        *(asker("GET", "/api/random") for _ in range(30)),
    ]

    assert [one["id"] for one in responses[0].json["videos"]] == [
        n for n in range(1, 21) if n != 3 and n in {v["id"] for v in responses[0].json["videos"]}
    ]
    assert responses[0].json["complete"]
    assert [one.status for one in responses[1:3]] == [404, 404]
    assert {one.status for one in responses[4:8]} <= {404, 409}  # 409: a key of somebody else's
    assert "secrettag" not in "".join(one.body.decode() for one in responses)
    assert 3 not in [one.json["id"] for one in responses[8:]]
    hide(state, 3, dropped=0)
    assert 3 in [one["id"] for one in asker("GET", "/api/changes?since=0").json["videos"]]


def test_what_failed_in_a_refresh_is_told_to_the_owner_only(
    state: Path, owner: Asker, make_app: Make
) -> None:
    event = owner("PUT", "/api/videos/3/rating", {"stars": 4}).json["event"]
    receipt = {"failed": 1, "failures": {"watch/x-3.html": f"cannot write {state}/x: no space"}}
    with Ledger(state / "ledger.db") as ledger, ledger.transaction():
        ledger.put_refresh(1, 0, 0, 10**12, json.dumps(receipt))
    visitor = Asker(make_app(), client=FAR)

    mine = owner("GET", f"/api/receipts/{event}").json["refresh"]
    theirs = visitor("GET", f"/api/receipts/{event}?wait=1")

    assert mine == receipt
    assert theirs.json["refresh"] == {"failed": 1, "failures": {}}
    assert str(state) not in theirs.body.decode()


# -- waiting for receipts


def test_who_finds_no_room_to_wait_is_answered_at_once(
    state: Path, owner: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = owner("PUT", "/api/videos/3/rating", {"stars": 4}).json["event"]
    service: Any = owner.app.state.service  # type: ignore[attr-defined]
    monkeypatch.setattr(service, "_receipts", ReceiptWatch(state / "ledger.db", str, most=0))

    response = owner("GET", f"/api/receipts/{event}?wait=10")

    assert (response.status, response.json["state"]) == (200, "waiting")
    assert response.header("retry-after") == "1"


def test_many_wait_with_one_look_and_each_gets_the_receipt_of_their_event(state: Path) -> None:
    import asyncio  # noqa: PLC0415 (only here)

    watch = ReceiptWatch(state / "ledger.db", str, most=500, most_each=300)

    async def all_of_them() -> tuple[list[str | None], list[bool]]:
        waiting = [
            asyncio.create_task(watch.wait(10 + n % 3, 30, f"client-{n % 2}")) for n in range(500)
        ]
        await asyncio.sleep(0)
        room = [watch.has_room("client-0"), watch.has_room("another")]
        with Ledger(state / "ledger.db") as ledger:
            for number, cursor in ((1, 10), (2, 12)):
                with ledger.transaction():
                    ledger.put_refresh(number, 0, 0, cursor, json.dumps(cursor))
        return await asyncio.gather(*waiting), room

    told, room = asyncio.run(all_of_them())

    assert told == [json.dumps(10 if n % 3 == 0 else 12) for n in range(500)]
    assert room == [False, False]
    assert watch.has_room("client-0")


# -- whether writing works


def test_health_tells_that_another_program_keeps_the_catalogue(
    state: Path, owner: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert owner("GET", "/api/health").status == 200
    monkeypatch.setattr("api_lambda.local_service._PATIENCE_S", 0.05)
    with closing(sqlite3.connect(state / "catalogue.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        refused = owner("GET", "/api/health")
        again = owner("GET", "/api/health")
        holder.execute("COMMIT")

    until(lambda: owner("GET", "/api/health").status == 200)
    assert (refused.status, again.status) == (503, 503)
    assert "writes are refused" in refused.json["detail"]


def test_health_tells_that_writes_are_refused_until_they_are_not(
    state: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()

    def rate(stars: int) -> Told:
        return fetch(port, "PUT", "/api/videos/3/rating", {"stars": stars})

    with serving(state, "--port", str(port)) as server:
        _, most = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
        before = [rate(1).status, fetch(port, "GET", "/api/health").status]
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (4096, most))  # as a disk that is full
        full = [rate(2), fetch(port, "GET", "/api/health")]
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (most, most))
        after = [rate(3).status, fetch(port, "GET", "/api/health").status]

    assert (before, after) == ([200, 200], [200, 200])
    assert [one.status for one in full] == [503, 503]
    assert all(one.header("retry-after") for one in full)
    assert str(state) not in "".join(one.body.decode() for one in full)


def test_a_try_whether_there_is_room_leaves_nothing_behind(state: Path) -> None:
    with Catalogue(state / "catalogue.db") as catalogue:
        seq = catalogue.last_event()
        catalogue.try_lock()
        catalogue.try_room()

        assert not catalogue.noted("probe")
        assert catalogue.last_event() == seq


# -- where it serves


@pytest.mark.parametrize("host", ["", " ", "\t\n"])
@pytest.mark.parametrize("command", ["api", "dev"])
def test_no_address_at_all_is_not_every_address(command: str, host: str) -> None:
    done = CliRunner().invoke(commands, [command, "--host", host])

    assert isinstance(done.exception, SettingsError)
    assert "--host is empty" in str(done.exception)


def test_a_socket_without_a_name_is_refused() -> None:
    done = CliRunner().invoke(commands, ["api", "--socket", ""])

    assert "--socket is empty" in str(done.exception)


def test_the_secret_is_for_its_owner_only(state: Path, make_app: Make) -> None:
    Asker(make_app(visitors_may=EVERYTHING), client=FAR)("GET", "/api/videos/3")

    assert stat.S_IMODE((state / "api-secret").stat().st_mode) == 0o600
