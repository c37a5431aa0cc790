"""The id of a request: from nginx through the API and the event to the receipt of the builder."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from asking import Asker, fetch, serving
from fastapi import FastAPI
from nginx_server import TEMPLATE, running, write_config
from paths import TEMPLATES

from benchmarks import trial
from generator.build.engine import Engine
from generator.core.delivery import nginx

Make = Callable[..., FastAPI]
GIVEN = "0123456789abcdef0123456789abcdef"


def test_a_request_keeps_its_id_or_gets_one_and_errors_have_it(owner: Asker) -> None:
    refused = owner("GET", "/api/videos/999999", headers={"x-request-id": GIVEN})
    own = [owner("GET", "/api/session").header("x-request-id") or "" for _ in range(2)]
    forged = owner("GET", "/api/session", headers={"x-request-id": 'x"\u00e9 y'})

    assert refused.json["request_id"] == refused.header("x-request-id") == GIVEN
    assert len(set(own)) == 2
    assert all(len(one) == 32 for one in own)
    assert len(forged.header("x-request-id") or "") == 32


def test_the_receipt_of_the_refresh_that_shows_an_event_names_its_request(
    state: Path, owner: Asker, tmp_path: Path
) -> None:
    settings = trial.settings(tmp_path)
    with Engine(settings, TEMPLATES) as engine:
        engine.refresh(trial.NOW)
        sent = {"x-request-id": GIVEN}
        owner("PUT", "/api/videos/3/rating", {"stars": 4}, headers=sent)
        receipt = engine.refresh(trial.NOW)
        after = engine.refresh(trial.NOW)

    assert receipt.requests == [GIVEN]
    assert after.requests == []
    with closing(sqlite3.connect(state / "ledger.db")) as ledger:
        (stored,) = ledger.execute("SELECT receipt FROM refresh WHERE id = 2").fetchone()
    assert json.loads(stored)["requests"] == [GIVEN]


def test_the_log_has_a_line_of_json_for_each_request_and_nothing_of_who_asked(
    state: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    with serving(state, "--port", str(port), REELSHELF_LOG_FORMAT="json") as server:
        fetch(port, "GET", "/api/random?tag=private", None, {"X-Request-Id": GIVEN})
        server.terminate()
        log = server.stderr.read() if server.stderr else ""

    lines = [json.loads(line) for line in log.splitlines()]
    (line,) = [one for one in lines if one["logger"] == "api_lambda.access"]
    assert line["request_id"] == GIVEN
    assert (line["method"], line["route"], line["status"]) == ("GET", "/api/random", 404)
    assert line["ms"] > 0
    assert "private" not in log
    assert "127.0.0.1" not in log


@pytest.mark.system("nginx")
@pytest.mark.parametrize("base", ["", "/films"])
def test_nginx_passes_the_owners_pages_and_metrics_on_with_an_id_of_its_own(
    base: str,
    state: Path,
    tmp_path: Path,
    free_port: Callable[[], int],
    program: Callable[[str], str],
) -> None:
    tmp_path.chmod(0o755)
    port, front = free_port(), free_port()
    (tmp_path / "out").mkdir()
    text = nginx.config(
        TEMPLATE, out=str(tmp_path / "out"), roots={"": str(tmp_path / "library")},
        listen=f"127.0.0.1:{front}", server_name="_", base=base, api=str(port),
    )  # fmt: skip
    main = write_config(tmp_path / "nginx", text)
    url = {"REELSHELF_SITE_URL": f"http://127.0.0.1:{front}{base}"}
    with (
        serving(state, "--port", str(port), REELSHELF_METRICS_TOKEN="x" * 20, **url),
        running(program("nginx"), main, front) as ask,
    ):
        page = ask(f"{base}/admin/performance")
        style = ask(f"{base}/admin/style.css")
        stats = ask(f"{base}/admin/stats", headers={"X-Request-Id": GIVEN})
        closed = ask(f"{base}/metrics")
        metrics = ask(f"{base}/metrics?x=1", headers={"Authorization": f"Bearer {'x' * 20}"})
        beside = ask(f"{base}/metrics/more")

    assert (page.status, page["Location"]) == (303, f"{base}/login.html")
    assert (style.status, style["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert (stats.status, closed.status) == (403, 403)
    assert json.loads(stats.body)["request_id"] != GIVEN  # nginx has the say
    assert metrics.status == 200
    assert b"reelshelf_http_request_duration_seconds" in metrics.body
    assert beside.status == 404
    assert len(page.headers.get_all("Content-Security-Policy")) == 1
    assert page["Cache-Control"] == "no-store"
