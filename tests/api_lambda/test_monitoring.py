"""What is measured, who may see it, and when a site is not healthy."""

import json
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from asking import Asker, Tray, fetch, serving
from fastapi import FastAPI
from paths import ROOT
from prometheus_client.parser import text_string_to_metric_families

from api_lambda.app import ApiConfig, create_app
from api_lambda.credentials import new_token
from api_lambda.monitoring import MonitoringConfig
from api_lambda.owner_secrets import EnvSecrets
from generator.adapters.catalogue import Catalogue
from generator.adapters.heartbeat_file import HEARTBEAT, HeartbeatWriter
from generator.adapters.ledger import Ledger
from generator.core.build_receipt import Receipt
from generator.core.model import Event, EventKind, VideoId
from generator.core.queue.queue import QueueDepth

FAR = ("192.0.2.7", 5000)
TOKEN = "0123456789abcdef-scrape"
Make = Callable[..., FastAPI]


@pytest.fixture
def visitor(make_app: Make) -> Asker:
    return Asker(make_app(), client=FAR)


def now() -> int:
    return int(time.time())


def shown(state: Path, **receipt: Any) -> None:  # noqa: ANN401
    """Make a ledger in which pages show every event."""
    at = now()
    with Catalogue(state / "catalogue.db", durable=False) as catalogue:
        last, key = catalogue.last_event(), catalogue.event_id(catalogue.last_event())
    content = {**Receipt(number=1, at=at).as_dict(), **receipt}
    with Ledger(state / "ledger.db") as ledger, ledger.transaction():
        ledger.put_refresh(1, at, 0, last, json.dumps(content))
        ledger.remember("cursor", str(last))
        ledger.remember("cursor_event", key)


def put_fact(state: Path, name: str, value: str) -> None:
    with closing(sqlite3.connect(state / "catalogue.db")) as catalogue, catalogue:
        catalogue.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))


def samples_of(metrics: bytes) -> dict[str, float]:
    """Return all samples, as Prometheus itself would read them."""
    return {
        sample.name + "".join(f"|{value}" for _, value in sorted(sample.labels.items())): (
            sample.value
        )
        for family in text_string_to_metric_families(metrics.decode())
        for sample in family.samples
    }


# -- /metrics


def test_prometheus_reads_the_requests_by_route_and_not_by_path(owner: Asker) -> None:
    for video in (1, 2, 3):
        owner("GET", f"/api/videos/{video}")
    owner("GET", "/api/videos/999999")
    owner("GET", "/no/such/path/1")
    owner("GET", "/no/such/path/2")

    answer = owner("GET", "/metrics")

    assert (answer.header("content-type") or "").startswith("text/plain; version=0.0.4")
    samples = samples_of(answer.body)
    name = "reelshelf_http_request_duration_seconds"
    assert samples[f"{name}_count|GET|/api/videos/{{id}}"] == 4
    assert samples[f"{name}_bucket|+Inf|GET|/api/videos/{{id}}"] == 4
    assert 0 < samples[f"{name}_sum|GET|/api/videos/{{id}}"] < 60
    assert samples["reelshelf_http_request_errors_total|GET|/api/videos/{id}|4xx"] == 1
    assert samples[f"{name}_count|ANY|other"] == 2


def test_prometheus_reads_what_the_builder_and_the_backup_left(state: Path, owner: Asker) -> None:
    shown(state, written=5)
    totals = {"now": {"written": 5, "events": {"Rated": 3}, "phases": {"render": [2, 1.5]}}}
    with Ledger(state / "ledger.db") as ledger, ledger.transaction():
        ledger.remember("totals", json.dumps(totals))
    backup_at = now() - 60
    put_fact(state, "backup_at", str(backup_at))

    samples = samples_of(owner("GET", "/metrics").body)

    assert samples["reelshelf_pages_written_total"] == 5
    assert samples["reelshelf_events_total|Rated"] == 3
    assert samples["reelshelf_build_duration_seconds_sum|render"] == 1.5
    assert samples["reelshelf_events_behind"] == 0
    assert samples["reelshelf_last_backup_timestamp_seconds"] == backup_at
    assert samples["reelshelf_disk_free_bytes|state"] > 0


SCRAPERS = """
a visitor          | far     |        | 403
with the token     | far     | scrape | 200
with a wrong one   | far     | wrong  | 401
this machine       | near    |        | 200
through a proxy    | proxied |        | 403
a named address    | named   |        | 200
a named network    | network |        | 200
the owner          | far     | owner  | 200
"""


@pytest.mark.parametrize(
    "row", [[cell.strip() for cell in line.split("|")] for line in SCRAPERS.strip().split("\n")],
    ids=lambda row: row[0],
)  # fmt: skip
def test_metrics_are_for_the_owner_this_machine_and_whom_the_settings_name(
    state: Path, make_app: Make, row: list[str]
) -> None:
    with Catalogue(state / "catalogue.db") as catalogue:
        made, secret = new_token("owner", now())
        catalogue.tokens.add(made)
    _, way, proof, status = row
    config = MonitoringConfig(metrics_from=("198.51.100.9", "10.0.0.0/8"), metrics_token=TOKEN)
    near = Asker(make_app(monitoring=config))
    ways = {
        "far": Asker(near.app, client=FAR),
        "near": near,
        "proxied": near.with_headers(x_forwarded_for="192.0.2.7"),
        "named": Asker(near.app, client=("198.51.100.9", 1)),
        "network": near.with_headers(x_forwarded_for="10.9.8.7"),
    }
    secrets = {"scrape": TOKEN, "wrong": "rs_wrong", "owner": secret}
    headers = {"authorization": f"Bearer {secrets[proof]}"} if proof else {}

    assert ways[way]("GET", "/metrics", headers=headers).status == int(status)


def test_the_token_for_metrics_opens_nothing_else(make_app: Make) -> None:
    app = make_app(monitoring=MonitoringConfig(metrics_token=TOKEN))
    scraper = Asker(app, client=FAR).with_headers(authorization=f"Bearer {TOKEN}")

    assert scraper("GET", "/api/session").json["role"] == "visitor"
    assert scraper("GET", "/admin/stats").status == 403
    assert scraper("PUT", "/api/videos/3/tags", {"tags": []}).status == 403
    assert {scraper("GET", "/metrics").status for _ in range(20)} == {200}  # no failed sign-in


class DeepTray(Tray):
    def depth(self) -> QueueDepth:
        return QueueDepth(3, 1, 2, 77.0)


@pytest.fixture
def queued(tmp_path: Path) -> Iterator[Asker]:
    secrets = EnvSecrets(digests="", secret="00" * 32)
    app = create_app(ApiConfig(tmp_path / "none", secrets=secrets), DeepTray())
    yield Asker(app)
    app.state.close()


def test_an_api_before_a_queue_tells_of_requests_and_the_queue_and_says_what_it_lacks(
    queued: Asker,
) -> None:
    samples = samples_of(queued("GET", "/metrics").body)

    assert samples["reelshelf_queue_messages|waiting"] == 3
    assert samples["reelshelf_queue_oldest_message_seconds"] == 77
    assert queued("GET", "/admin/performance").status == 501
    assert queued("GET", "/admin/cache/status").status == 501
    assert "catalogue" in queued("GET", "/admin/performance").json["detail"]


def test_every_metric_of_the_dashboard_and_the_alerts_is_there(
    state: Path, owner: Asker, queued: Asker
) -> None:
    shown(state)
    phases = {"now": {"phases": {"render": [1, 1.0]}, "events": {"Rated": 1}}}
    with Ledger(state / "ledger.db") as ledger, ledger.transaction():
        ledger.remember("totals", json.dumps(phases))
    put_fact(state, "backup_at", str(now()))
    falling = [[now() - h * 3600, 10**9 + h * 10**6] for h in range(96, -1, -1)]
    (state / "disk-samples.json").write_text(json.dumps(falling))
    with HeartbeatWriter(state):
        owner("GET", "/api/session")
        queued("GET", "/api/session")
        bodies = owner("GET", "/metrics").body, queued("GET", "/metrics").body
    there = {name.partition("|")[0] for body in bodies for name in samples_of(body)}

    folder = ROOT / "deploy"
    dashboard = json.loads((folder / "grafana-dashboard.json").read_text())
    rules = yaml.safe_load((folder / "prometheus-alerts.yml").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]

    named = {name for text in expressions for name in re.findall(r"reelshelf_\w+", text)}
    assert len(named) > 20
    assert named - there == set()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_takes_the_alert_rules() -> None:
    file = ROOT / "deploy" / "prometheus-alerts.yml"

    subprocess.run(["promtool", "check", "rules", str(file)], check=True)


# -- the owner's figures


def test_the_stats_and_the_page_are_for_the_owner_alone(visitor: Asker, owner: Asker) -> None:
    for method, path in (
        ("GET", "/admin/stats"), ("GET", "/admin/cache/status"), ("POST", "/admin/cache/refresh"),
    ):  # fmt: skip
        assert visitor(method, path).status == 403
        assert owner(method, path).status == 200
    sent_away = visitor("GET", "/admin/performance")
    assert (sent_away.status, sent_away.body) == (303, b"")
    assert sent_away.header("location") == "/login.html"
    assert owner("GET", "/admin/performance").status == 200


def test_stats_have_routes_cache_system_and_what_happened(state: Path, owner: Asker) -> None:
    shown(state, reasons={"new video": 3}, written=3)
    for _ in range(4):
        owner("GET", "/api/videos/3")

    answer = owner("GET", "/admin/stats").json

    (route,) = (row for row in answer["requests"]["routes"] if row["route"] == "/api/videos/{id}")
    assert route["count"] == 4
    assert 0 < route["p50_ms"] <= route["p95_ms"] <= route["p99_ms"]
    assert answer["cache"] == {"hits": 3, "misses": 1, "hit_rate": 0.75}
    assert answer["build"]["last"]["written"] == 3
    assert answer["build"]["recent"][0]["why"] == {"new video": 3}
    assert answer["system"]["memory_bytes"] > answer["system"]["process_memory_bytes"] > 1_000_000
    assert answer["disk"]["forecast"] == "unknown"
    assert sum(answer["minutes"]["requests"]) == 4
    assert sum(answer["minutes"]["pages"]) == 3
    assert answer["events"]["behind"] == 0


def test_a_token_is_revoked_by_a_form_of_our_own_page_only(state: Path, make_app: Make) -> None:
    with Catalogue(state / "catalogue.db") as catalogue:
        made, secret = new_token("phone", now())
        catalogue.tokens.add(made)
    owner = Asker(make_app(), client=FAR).with_headers(authorization=f"Bearer {secret}")
    form = {"content-type": "application/x-www-form-urlencoded"}
    body = f"token={made.id}".encode()

    def revoke(**headers: str) -> int:
        sent = {**form, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return owner("POST", "/admin/tokens/revoke", body, headers=sent).status

    assert made.id.encode() in owner("GET", "/admin/performance").body
    assert secret.encode() not in owner("GET", "/admin/performance").body
    assert revoke() == 403  # it does not say where it comes from
    assert revoke(sec_fetch_site="cross-site") == 403
    assert revoke(origin="https://evil.example") == 403
    assert owner("GET", "/api/session").status == 200
    assert revoke(sec_fetch_site="same-origin") == 303
    assert owner("GET", "/api/session").status == 401


# -- the read cache


def test_a_read_after_an_acknowledged_write_is_never_stale(state: Path, owner: Asker) -> None:
    for stars in (1, 2, 3, 4, 5):
        owner("GET", "/api/videos/3")
        owner("PUT", "/api/videos/3/rating", {"stars": stars})
        assert owner("GET", "/api/videos/3").json["stars"] == stars
    with Catalogue(state / "catalogue.db", durable=False) as other:  # as another process
        for stars in (1, 2, 3):
            value = {"stars": stars}
            event = Event(f"other-{stars}", EventKind.RATED, now(), "x", VideoId(3), value)
            other.append([event])
            assert owner("GET", "/api/videos/3").json["stars"] == stars


def test_a_write_to_one_video_leaves_the_others_in_the_cache(owner: Asker) -> None:
    for video in range(1, 11):
        owner("GET", f"/api/videos/{video}")
    owner("PUT", "/api/videos/3/favorite")
    for video in range(1, 11):
        owner("GET", f"/api/videos/{video}")

    answer = owner("GET", "/admin/cache/status").json["read_cache"]
    assert (answer["hits"], answer["misses"], answer["entries"]) == (9, 11, 10)


def test_a_forced_refresh_empties_the_read_cache(owner: Asker) -> None:
    owner("GET", "/api/videos/3")

    answer = owner("POST", "/admin/cache/refresh").json

    assert answer["read_cache"]["entries"] == 0
    assert answer["all_processes"]["refreshes"] == 1


# -- health


def failing(asked: Asker) -> dict[str, str]:
    answer = asked("GET", "/api/health?full")
    if answer.status == 200:
        return {}
    assert (answer.status, answer.header("retry-after")) == (503, "30")
    return {error["field"]: error["message"] for error in answer.json["errors"]}


def test_a_site_is_healthy_until_its_builder_lags(state: Path, visitor: Asker) -> None:
    shown(state)
    assert failing(visitor) == {}

    old = Event("late", EventKind.VIEWED, now() - 3600, "visitor", VideoId(3), {"count": 1})
    with Catalogue(state / "catalogue.db", durable=False) as catalogue:
        catalogue.append([old])
    assert failing(visitor) == {}, "the last refresh, a moment ago, did not meet it"

    shown_before = now() - 7200
    with Ledger(state / "ledger.db") as ledger, ledger.transaction():
        receipt = json.dumps(Receipt(number=1, at=shown_before).as_dict())
        ledger.put_refresh(1, shown_before, 0, 0, receipt)
    (reason,) = failing(visitor).values()
    assert re.match(r"an event of 6\d minutes ago is not on the pages yet", reason)
    assert visitor("GET", "/api/health").status == 200, "for load balancers nothing has changed"


def test_a_site_fails_when_watching_has_stopped_or_gone_silent(state: Path, visitor: Asker) -> None:
    shown(state)
    with HeartbeatWriter(state):
        assert failing(visitor) == {}
    assert failing(visitor) == {"watch": "watching was stopped: start `reelshelf watch` again"}

    def beat(**changed: object) -> None:
        content = {"at": now(), "pid": 1, "turned_at": now(), "building_since": 0, "stopped": False}
        (state / HEARTBEAT).write_text(json.dumps({**content, **changed}))

    beat(at=now() - 1000, turned_at=now() - 1000)
    assert "silent" in failing(visitor)["watch"]
    beat(turned_at=now() - 1000)
    assert "silent" in failing(visitor)["watch"], "it lives, but its loop hangs"
    beat(turned_at=now() - 1000, building_since=now() - 999)
    assert failing(visitor) == {}, "a long build is no silence"
    (state / HEARTBEAT).write_text("{")
    assert failing(visitor) == {}


def test_a_backup_that_is_too_old_fails_and_none_does_where_one_is_required(
    state: Path, make_app: Make
) -> None:
    from api_lambda.health_checks import HealthLimits  # noqa: PLC0415

    shown(state)
    usual = Asker(make_app(), client=FAR)
    strict = MonitoringConfig(limits=HealthLimits(backup_required=True))
    careful = Asker(make_app(monitoring=strict), client=FAR)

    assert failing(usual) == {}
    assert set(failing(careful)) == {"backup"}
    put_fact(state, "backup_at", str(now() - 3600))
    assert failing(careful) == {}
    put_fact(state, "backup_at", str(now() - 8 * 86400))
    assert failing(usual) == {"backup": "the last backup of the catalogue is 8 days old"}


def test_a_disk_that_is_nearly_full_fails(state: Path, make_app: Make) -> None:
    from api_lambda.health_checks import HealthLimits  # noqa: PLC0415

    shown(state)
    config = MonitoringConfig(limits=HealthLimits(disk_free_mb=1 << 30))

    assert set(failing(Asker(make_app(monitoring=config), client=FAR))) == {"disk"}


# -- several processes


def test_figures_are_those_of_all_processes_of_the_api(
    state: Path, free_port: Callable[[], int]
) -> None:
    shown(state)
    first, second = free_port(), free_port()
    with serving(state, "--port", str(first)), serving(state, "--port", str(second)):
        for port, times in ((first, 3), (second, 4)):
            for _ in range(times):
                fetch(port, "GET", "/api/videos/3")
        answer = [fetch(port, "GET", "/admin/stats").json for port in (first, second)]
        samples = samples_of(fetch(second, "GET", "/metrics").body)

    counts = [
        [row["count"] for row in one["requests"]["routes"] if row["route"] == "/api/videos/{id}"]
        for one in answer
    ]
    assert counts == [[7], [7]]
    assert [one["processes"] for one in answer] == [2, 2]
    assert samples["reelshelf_http_request_duration_seconds_count|GET|/api/videos/{id}"] == 7
    with closing(Catalogue(state / "catalogue.db")):
        assert len(list(state.glob("requests-*.counts"))) == 2
