"""The contract: OpenAPI tells every operation and every answer, and the running API keeps it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from asking import Asker, serving

from generator.adapters.ledger import Ledger

METHODS = {"get", "put", "post", "delete"}


def test_every_answer_that_is_no_success_is_declared_as_a_problem(owner: Asker) -> None:
    told = owner("GET", "/api/openapi.json").json

    refusals = [
        (path, method, status, set(answer["content"]))
        for path, operations in told["paths"].items()
        for method, one in operations.items()
        for status, answer in one["responses"].items()
        if int(status) >= 400
    ]
    assert len(refusals) > 80
    assert [one for one in refusals if one[3] != {"application/problem+json"}] == []


def test_every_operation_has_a_name_a_summary_and_says_when_the_catalogue_is_away(
    owner: Asker,
) -> None:
    told = owner("GET", "/api/openapi.json").json
    operations = [one for path in told["paths"].values() for one in path.values()]

    assert told["openapi"].startswith("3.1")
    assert len({one["operationId"] for one in operations}) == len(operations) == 21
    assert all(one["summary"] and one["description"] for one in operations)
    assert all("503" in one["responses"] for one in operations)


def test_writes_take_the_id_of_their_event_and_reads_do_not(owner: Asker) -> None:
    told = owner("GET", "/api/openapi.json").json

    taking = {
        (method, path)
        for path, operations in told["paths"].items()
        for method, one in operations.items()
        if any(parameter["name"] == "idempotency-key" for parameter in one.get("parameters", ()))
    }
    assert taking == {
        (method, path)
        for path, operations in told["paths"].items()
        for method in operations
        if method != "get" and path != "/api/session"
    }


def test_the_running_api_keeps_its_contract(
    state: Path, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    with Ledger(state / "ledger.db") as ledger, ledger.transaction():
        ledger.settle(1, 0, 0, 10**12, json.dumps({}))  # no receipt is waited for
    port = free_port()

    with serving(state, "--port", str(port), REELSHELF_VISITOR_WRITES_PER_MINUTE="100000"):
        done = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"), "run",
                f"http://127.0.0.1:{port}/api/openapi.json", "--checks", "all",
                "--phases", "examples,coverage,fuzzing", "--max-examples", "8",
                "--seed", "3", "--no-color",
            ],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    assert done.returncode == 0, done.stdout[-6000:]
    assert "20 selected / 20 total" in done.stdout
