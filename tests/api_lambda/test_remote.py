"""An API before a queue: the same checks, and what is answered 202 is in the queue."""

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import Asker, Told, Tray, fill
from effort import examples
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_lambda.app import ApiConfig, create_app
from api_lambda.credentials import digest
from api_lambda.owner_secrets import EnvSecrets as Secrets
from api_lambda.owner_secrets import take_secrets
from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.core.errors import QueueError, SettingsError
from generator.core.model import EventKind, EventVerdict, Token, VideoId

SECRET = "5e" * 32
OWNERS = "rs_the-token-of-the-owner"
FAR = ("192.0.2.7", 5000)
VIDEO = "/api/videos/3"


@pytest.fixture
def tray() -> Tray:
    return Tray()


@pytest.fixture
def remote(tray: Tray, tmp_path: Path) -> Iterator[Callable[..., FastAPI]]:
    made: list[FastAPI] = []

    def make(origins: tuple[str, ...] = (), **more: Any) -> FastAPI:  # noqa: ANN401 (settings)
        secrets = Secrets(digest(OWNERS), SECRET, "", origins)
        config = ApiConfig(tmp_path / "nowhere", secrets=secrets, **more)
        made.append(create_app(config, tray))
        return made[-1]

    yield make
    for app in made:
        app.state.close()


@pytest.fixture
def owner(remote: Callable[..., FastAPI]) -> Asker:
    return Asker(remote(), FAR).with_headers(authorization=f"Bearer {OWNERS}")


def test_every_write_is_answered_when_the_queue_has_it(owner: Asker, tray: Tray) -> None:
    writes: list[tuple[str, str, object]] = [
        ("PUT", f"{VIDEO}/rating", {"stars": 4}),
        ("DELETE", f"{VIDEO}/rating", None),
        ("PUT", f"{VIDEO}/favorite", None),
        ("DELETE", f"{VIDEO}/favorite", None),
        ("POST", f"{VIDEO}/views", {"visit": "visit-of-one"}),
        ("PUT", f"{VIDEO}/tags", {"tags": ["Fjord"]}),
        ("POST", f"{VIDEO}/tags", {"tags": ["#Winter  Sun"]}),
        ("DELETE", f"{VIDEO}/tags/Fjord", None),
        ("DELETE", f"{VIDEO}/tags", None),
        ("POST", "/api/rebuild", {"full": True}),
    ]

    answers = [owner(*one) for one in writes]

    assert [one.status for one in answers] == [202] * len(writes)
    assert [one.json["event"] for one in answers] == [one.id for one in tray.happenings]
    assert {tuple(one.json) for one in answers} == {("event", "at", "state")}
    assert {one.json["state"] for one in answers} == {"queued"}
    assert [(one.kind, one.value) for one in tray.happenings] == [
        (EventKind.RATED, {"stars": 4}),
        (EventKind.UNRATED, {}),
        (EventKind.FAVORITED, {}),
        (EventKind.UNFAVORITED, {}),
        (EventKind.VIEWED, {}),
        (EventKind.RETAGGED, {"names": ["fjord"]}),
        (EventKind.TAGGED, {"names": ["winter sun"]}),
        (EventKind.UNTAGGED, {"names": ["fjord"]}),
        (EventKind.RETAGGED, {"names": []}),
        (EventKind.REBUILD_ASKED, {"full": True}),
    ]


def test_no_catalogue_no_ledger_and_no_renderer_is_opened_or_imported(tmp_path: Path) -> None:
    code = (
        "import sys, os\n"
        "from pathlib import Path\n"
        "from api_lambda.app import ApiConfig, create_app\n"
        "from api_lambda.owner_secrets import EnvSecrets\n"
        "from generator.adapters.settings import load\n"
        "create_app(ApiConfig(Path('nowhere'), queue='https://sqs.eu-central-1.amazonaws.com/1/q',"
        " secrets=EnvSecrets(secret='5e' * 32)))\n"
        "told = {'sqlite3', 'sqlite_utils', 'jinja2', 'av', 'PIL', 'redis',"
        " 'api_lambda.local_service',"
        " 'generator.adapters.catalogue', 'generator.adapters.ledger'} & set(sys.modules)\n"
        "assert not told, told\n"
        "assert not os.listdir('.')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


ASKED = st.lists(
    st.tuples(
        st.sampled_from(["rating", "unrate", "favorite", "unfavorite", "tags", "add", "views"]),
        st.integers(1, 5),
        st.booleans(),
    ),
    max_size=12,
)


@settings(
    max_examples=examples(5, thorough=12),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(ASKED)
def test_what_goes_through_the_queue_comes_to_the_same_as_what_goes_straight(
    tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[str, int, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("both")
    for side in ("straight", "queued"):
        fill(folder / side, 6)
    times = iter(range(trial.NOW + 7, 1_800_000_000, 7))  # after what fills it
    tray, clock = Tray(), {"now": 0.0}
    visitors = frozenset({"view", "rate", "favorite"})
    secrets = Secrets(digest(OWNERS), SECRET)
    more: dict[str, Any] = {"visitors_may": visitors, "clock": lambda: clock["now"]}
    straight = create_app(ApiConfig(folder / "straight", durable=False, **more))
    queued = create_app(ApiConfig(folder / "queued", secrets=secrets, **more), tray)
    with Catalogue(folder / "straight" / "catalogue.db") as direct:
        direct.tokens.add(Token("one", "one", digest(OWNERS), 5))
    (folder / "straight" / "api-secret").write_text(SECRET)
    for number, (what, amount, is_owner) in enumerate(asked):
        clock["now"] = float(next(times))
        for app in (straight, queued):
            asker = Asker(app, FAR)
            if is_owner:
                asker = asker.with_headers(authorization=f"Bearer {OWNERS}")
            told = ask(asker, what, amount, f"key-{number:08}")
            assert told.status in {200, 202, 403}, told.body
    straight.state.close()
    queued.state.close()

    with Catalogue(folder / "queued" / "catalogue.db") as two:
        outcomes = two.record(list(reversed(tray.happenings)))  # in whatever order it comes
        assert {direct.verdict for direct in outcomes} <= {EventVerdict.RECORDED}
        (after,) = two.stats([VideoId(3)])
    with Catalogue(folder / "straight" / "catalogue.db") as direct:
        (before,) = direct.stats([VideoId(3)])
    assert (after.stars, after.votes, after.views, after.favorite, after.tags) == (
        before.stars, before.votes, before.views, before.favorite, before.tags,
    )  # fmt: skip


def ask(asker: Asker, what: str, amount: int, key: str) -> Told:
    tags = {"tags": [f"tag {amount}"]}
    deeds: dict[str, tuple[str, str, object]] = {
        "rating": ("PUT", "rating", {"stars": amount}),
        "unrate": ("DELETE", "rating", None),
        "favorite": ("PUT", "favorite", None),
        "unfavorite": ("DELETE", "favorite", None),
        "tags": ("PUT", "tags", tags),
        "add": ("POST", "tags", tags),
        "views": ("POST", "views", None),
    }
    method, place, body = deeds[what]
    return asker(method, f"{VIDEO}/{place}", body, key=key)


def test_events_of_one_process_are_told_one_after_the_other_even_if_its_clock_stands_or_goes_back(
    remote: Callable[..., FastAPI], tray: Tray
) -> None:
    instants = iter([1000.0, 1000.0, 1000.0, 999.0, 999.5, 2000.0])
    last = 0.0

    def clock() -> float:
        nonlocal last
        last = next(instants, last)
        return last

    asker = Asker(remote(clock=clock), FAR).with_headers(authorization=f"Bearer {OWNERS}")
    for _ in range(4):
        asker("PUT", f"{VIDEO}/rating", {"stars": 4})

    told = [one.occurred_at_us or 0 for one in tray.happenings]
    assert told == sorted(set(told))
    assert [one.at for one in tray.happenings] == [one // 1_000_000 for one in told]


def test_what_comes_at_the_same_time_goes_into_the_queue_together(owner: Asker, tray: Tray) -> None:
    async def storm() -> list[Told]:
        return await asyncio.gather(
            *(owner.ask("PUT", f"/api/videos/{n}/favorite") for n in range(1, 301))
        )

    answers = asyncio.run(storm())

    assert {one.status for one in answers} == {202}
    assert sorted(one.video or 0 for one in tray.happenings) == list(range(1, 301))
    assert len(tray.batches) < 30


def test_a_queue_that_is_away_is_told_and_nothing_is_pretended(owner: Asker, tray: Tray) -> None:
    tray.refusal = QueueError("the queue is away")
    away = owner("PUT", f"{VIDEO}/rating", {"stars": 4}, key="key-00000001")
    tray.refusal = None
    again = owner("PUT", f"{VIDEO}/rating", {"stars": 4}, key="key-00000001")

    assert (away.status, away.header("content-type")) == (503, "application/problem+json")
    assert away.header("retry-after") == "5"
    assert "nothing was recorded" not in away.json["detail"]  # for that is not known
    assert (again.status, len(tray.bodies)) == (202, 1)


def test_health_tells_that_the_queue_refused_until_it_takes_something(
    owner: Asker, tray: Tray
) -> None:
    def health() -> int:
        return owner("GET", "/api/health").status

    statuses = [health()]
    tray.refusal = QueueError("away")
    owner("PUT", "/api/videos/3/favorite")
    statuses.append(health())
    tray.refusal = None
    owner("PUT", "/api/videos/3/favorite")

    assert [*statuses, health()] == [200, 503, 200]


def test_a_fault_of_the_queue_is_a_fault_of_ours(owner: Asker, tray: Tray) -> None:
    tray.refusal = ZeroDivisionError("a fault")
    assert owner("PUT", f"{VIDEO}/favorite").status == 500
    tray.refusal = None
    assert owner("PUT", f"{VIDEO}/favorite").status == 202


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("PUT", f"{VIDEO}/rating", {"stars": 4}, {}, 403),
        ("PUT", f"{VIDEO}/rating", {"stars": 4}, {"authorization": "Bearer nonsense"}, 401),
        ("PUT", f"{VIDEO}/rating", {"stars": 4}, {"reelshelf-as": "owner"}, 401),
        ("POST", f"{VIDEO}/views", None, {"sec-fetch-site": "cross-site"}, 403),
        ("POST", f"{VIDEO}/views", {"visit": "?"}, {}, 422),
        ("POST", f"{VIDEO}/views", b"{", {}, 400),
        ("POST", "/api/videos/99999999999999999999/views", None, {}, 404),
        ("POST", "/api/rebuild", None, {}, 403),
        ("POST", "/api/session", {"token": "nonsense"}, {}, 401),
        ("PATCH", f"{VIDEO}/rating", None, {}, 405),
        ("GET", "/api/nothing", None, {}, 404),
        ("GET", "/api/changes?since=3", None, {}, 501),
        ("GET", "/api/problems", None, {}, 501),
        ("POST", "/api/problems/retry", {"all": True}, {}, 501),
        ("GET", "/api/receipts/key-00000001", None, {}, 501),
        ("GET", "/api/random", None, {}, 501),
    ],
)
def test_refusals_are_the_same_as_beside_a_catalogue_and_what_is_not_known_is_told(  # noqa: PLR0913, PLR0917
    remote: Callable[..., FastAPI],
    tray: Tray,
    method: str,
    path: str,
    body: object,
    headers: dict[str, str],
    status: int,
) -> None:
    told = Asker(remote(), FAR)(method, path, body, headers=headers)

    assert (told.status, told.header("content-type")) == (status, "application/problem+json")
    assert tray.bodies == []


def test_visitors_are_counted_and_limited(remote: Callable[..., FastAPI], tray: Tray) -> None:
    asker = Asker(remote(visitor_writes_per_minute=3, clock=lambda: 60.0), FAR)

    assert [asker("POST", f"{VIDEO}/views").status for _ in range(4)] == [202] * 3 + [429]
    assert len({one.id for one in tray.happenings}) == 1  # one visit, one hour: one view


def test_all_hosts_make_the_same_of_a_visit_and_of_a_visitor(
    remote: Callable[..., FastAPI], tray: Tray
) -> None:
    visitors = frozenset({"view", "rate"})
    first, second = (
        Asker(remote(visitors_may=visitors, clock=lambda: 7200.0), FAR) for _ in range(2)
    )
    first("POST", f"{VIDEO}/views")
    second("POST", f"{VIDEO}/views")
    told = first("PUT", f"{VIDEO}/rating", {"stars": 4}, key="key-00000001")
    name, value = next(iter(told.cookies.items()))
    again = second("PUT", f"{VIDEO}/rating", {"stars": 3}, headers={"cookie": f"{name}={value}"})

    one, two, rated, rerated = tray.happenings
    assert one.id == two.id
    assert rated.value["visitor"] == rerated.value["visitor"]
    assert again.cookies == {}


def test_a_session_begins_with_a_token_and_proves_the_owner_at_every_host(
    remote: Callable[..., FastAPI], tray: Tray
) -> None:
    begun = Asker(remote(), FAR)("POST", "/api/session", {"token": f" {OWNERS} "})
    cookie = "; ".join(f"{name}={value}" for name, value in begun.cookies.items())
    other = Asker(remote(), FAR).with_headers(cookie=cookie)

    assert begun.status == 204
    assert other("GET", "/api/session").json["role"] == "owner"
    assert other("PUT", f"{VIDEO}/rating", {"stars": 5}).status == 202
    assert tray.happenings[0].source == "owner"


def test_without_a_shared_place_figures_are_unknown_and_that_is_all_that_is_told(
    remote: Callable[..., FastAPI], owner: Asker
) -> None:
    visitor = Asker(remote(), FAR)("GET", "/api/videos/3")

    assert visitor.status == 200
    assert visitor.json == {"id": 3, "you": {"role": "visitor", "may": ["view"]}}
    assert owner("GET", "/api/videos/99").json["you"]["role"] == "owner"  # nobody knows whether
    assert owner("GET", "/api/health").json == {"status": "ok"}


def test_only_who_knows_the_origins_secret_is_let_in_and_two_are_known_while_it_changes(
    remote: Callable[..., FastAPI],
) -> None:
    app = remote(("old-secret", "new-secret"))
    tried = ["", "old", "old-secret ", "old-secret", "new-secret", "näh"]

    statuses = [
        Asker(app, FAR)("GET", "/api/health", headers={"x-origin-verify": one} if one else {})
        for one in tried
    ]

    assert [one.status for one in statuses] == [403, 403, 403, 200, 200, 403]
    assert statuses[0].header("content-type") == "application/problem+json"
    assert Asker(app, FAR)("GET", "/api/nothing").status == 403


LAMBDA: dict[str, object] = {"aws.event": {}}


@pytest.mark.parametrize(
    ("viewer", "same_as"),
    [
        ("203.0.113.9:41234", "203.0.113.9:2"),
        ("2001:db8:1:2:3::4:41234", "2001:db8:1:2:ffff::5:7"),
        ("[2001:db8:1:2::4]:41234", "2001:db8:1:2::9:80"),
    ],
)
def test_the_address_that_cloudfront_tells_counts_if_it_was_cloudfront(
    remote: Callable[..., FastAPI], viewer: str, same_as: str
) -> None:
    more: dict[str, Any] = {"visitor_writes_per_minute": 1, "clock": lambda: 60.0}
    behind = Asker(remote(("verified",), **more), FAR, extra=LAMBDA)
    behind = behind.with_headers(x_origin_verify="verified")
    bare = Asker(remote(**more), FAR, extra=LAMBDA)

    def statuses(asker: Asker) -> list[int]:
        addresses = [viewer, same_as, "198.51.100.1:1"]
        return [
            asker("POST", f"{VIDEO}/views", headers={"cloudfront-viewer-address": one}).status
            for one in addresses
        ]

    assert statuses(behind) == [202, 429, 202]
    assert statuses(bare) == [202, 429, 429]  # anybody can say anything


def test_secrets_are_taken_out_of_the_environment() -> None:
    environment = {
        "REELSHELF_OWNER_DIGESTS": "a, b",
        "REELSHELF_SECRET": SECRET,
        "REELSHELF_SECRETS": "",
        "REELSHELF_ORIGIN_SECRETS": "one-of-16-letters, two-of-16-letters,",
        "REELSHELF_QUEUE": "https://example.org/1/q",
    }

    secrets = take_secrets(environment)

    origins = ("one-of-16-letters", "two-of-16-letters")
    assert secrets == Secrets("a, b", SECRET, "", origins, is_set=True)
    assert list(environment) == ["REELSHELF_QUEUE"]


@pytest.mark.parametrize(
    "origins", [",", " , ", "short", "schlüssel-schlüssel", "a-long-enough-one,x"]
)
def test_what_the_cdn_says_has_to_be_what_nobody_else_knows(origins: str) -> None:
    with pytest.raises(SettingsError, match="REELSHELF_ORIGIN_SECRETS") as caught:
        take_secrets({"REELSHELF_ORIGIN_SECRETS": origins})

    assert origins not in str(caught.value) + caught.value.hint or origins.strip() == ","


@pytest.mark.parametrize(
    ("given", "about"),
    [
        (Secrets(), "REELSHELF_SECRET"),
        (Secrets(digests=digest("x")), "REELSHELF_SECRET"),
        (Secrets(secret="no hex"), "REELSHELF_SECRET"),
        (Secrets(secret="5e" * 15), "REELSHELF_SECRET"),
        (Secrets(digests="rs_a-token-itself", secret=SECRET), "REELSHELF_OWNER_DIGESTS"),
    ],
)
def test_secrets_that_are_missing_or_make_no_sense_are_told_at_once(
    tmp_path: Path, tray: Tray, given: Secrets, about: str
) -> None:
    with pytest.raises(SettingsError, match=about) as caught:
        create_app(ApiConfig(tmp_path, secrets=given), tray)

    assert caught.value.hint
    assert "rs_a-token" not in str(caught.value)


def test_letters_are_what_the_worker_reads(owner: Asker, tray: Tray) -> None:
    owner("PUT", f"{VIDEO}/tags", {"tags": ["Ærø", "日本", 'q"\\']}, key="key-00000001")

    message = json.loads(tray.bodies[0])

    assert message["id"] == "key-00000001"
    assert message["v"] == 1
    assert hashlib.sha256(tray.bodies[0].encode("ascii")).hexdigest()  # plain ASCII, for any queue
