"""The contract: OpenAPI tells every operation and every answer, and the running API keeps it."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from asking import Asker, Tray, serving
from cloud import redis_server

from api_lambda.app import ApiConfig, create_app
from api_lambda.owner_secrets import EnvSecrets
from generator.adapters.ledger import Ledger
from generator.adapters.redis_state import RedisState
from generator.core.model import VideoId, VideoStats

METHODS = {"get", "put", "post", "delete"}


def test_every_answer_that_is_no_success_is_declared_as_a_problem(owner: Asker) -> None:
    document = owner("GET", "/api/openapi.json").json

    refusals = [
        (path, method, status, set(answer["content"]))
        for path, operations in document["paths"].items()
        for method, one in operations.items()
        for status, answer in one["responses"].items()
        if int(status) >= 400
    ]
    assert len(refusals) > 80
    assert [one for one in refusals if one[3] != {"application/problem+json"}] == []


def test_every_operation_has_a_name_a_summary_and_says_when_the_catalogue_is_away(
    owner: Asker,
) -> None:
    document = owner("GET", "/api/openapi.json").json
    operations = [one for path in document["paths"].values() for one in path.values()]

    assert document["openapi"].startswith("3.1")
    assert len({one["operationId"] for one in operations}) == len(operations) == 26
    assert all(one["summary"] and one["description"] for one in operations)
    assert all("503" in one["responses"] for one in operations)


def test_writes_take_the_id_of_their_event_and_reads_do_not(owner: Asker) -> None:
    document = owner("GET", "/api/openapi.json").json

    taking = {
        (method, path)
        for path, operations in document["paths"].items()
        for method, one in operations.items()
        if any(parameter["name"] == "idempotency-key" for parameter in one.get("parameters", ()))
    }
    assert taking == {
        (method, path)
        for path, operations in document["paths"].items()
        for method in operations
        if method != "get" and path != "/api/session"
    }


def test_the_running_api_keeps_its_contract(
    state: Path, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with Ledger(state / "ledger.db") as ledger, ledger.transaction():
        ledger.put_refresh(1, 0, 0, 10**12, json.dumps({}))  # no receipt is waited for
    port = free_port()

    settings = {
        "REELSHELF_VISITOR_WRITES_PER_MINUTE": "100000",
        "REELSHELF_HEALTH_LAG_S": "0",  # the events of this catalogue are old
    }
    with serving(state, "--port", str(port), **settings):
        told = fuzzed(port, tmp_path)

    assert "25 selected / 25 total" in told


def fuzzed(port: int, folder: Path) -> str:
    """Return what schemathesis says of an API that keeps its contract."""
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"), "run",
            f"http://127.0.0.1:{port}/api/openapi.json", "--checks", "all",
            "--phases", "examples,coverage,fuzzing", "--max-examples", "8",
            "--seed", "3", "--no-color",
        ],
        cwd=folder, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def test_an_api_before_a_queue_tells_what_it_can_and_no_more(tmp_path: Path) -> None:
    app = create_app(ApiConfig(tmp_path, secrets=EnvSecrets(secret="5e" * 32)), Tray())
    document = Asker(app)("GET", "/api/openapi.json").json
    app.state.close()

    operations = {
        f"{method} {path}": one["responses"]
        for path, methods in document["paths"].items()
        for method, one in methods.items()
    }
    deeds = [answers for answers in operations.values() if "202" in answers]
    assert len(operations) == 18
    assert len(deeds) == 10
    assert not [path for path in document["paths"] if "problems" in path or "state" in path]
    assert all("409" not in one and "200" not in one and "503" in one for one in deeds)
    assert all("Idempotency-Key" in one["503"]["description"] for one in deeds)


@pytest.mark.system("redis-server")
def test_the_running_api_before_a_queue_keeps_its_contract(
    tmp_path: Path, free_port: Callable[[], int], program: Callable[[str], str]
) -> None:
    program("redis-server")
    port = free_port()
    with redis_server(tmp_path) as redis, closing(RedisState(redis.address)) as shared:
        shared.begin_era()
        shared.put_keys([], bytes(32))
        shared.put_stats([VideoStats(VideoId(17), 5, 4, 1, 39, 7, True, ("fjord",))])  # noqa: FBT003
        settings = {
            "REELSHELF_QUEUE": redis.address,
            "REELSHELF_VISITOR_WRITES_PER_MINUTE": "100000",
        }
        with serving(tmp_path / "nowhere", "--port", str(port), **settings):
            told = fuzzed(port, tmp_path)

    assert "17 selected / 17 total" in told
