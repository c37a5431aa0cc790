"""Who may do what: one table of who asks, with what proof, by which way and from which site."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from asking import SESSION_COOKIE, Asker
from fastapi import FastAPI

from api_lambda.credentials import new_token
from generator.adapters.catalogue import Catalogue

NOW = 1_800_000_000
SITE = "https://videos.example.org"
FAR = ("192.0.2.7", 5000)
NEAR = ("127.0.0.1", 5000)

ACTIONS: dict[str, tuple[str, str, object]] = {
    "view": ("POST", "/api/videos/3/views", {"visit": "a-visit-of-one"}),
    "rate": ("PUT", "/api/videos/3/rating", {"stars": 4}),
    "favorite": ("PUT", "/api/videos/3/favorite", None),
    "tag": ("PUT", "/api/videos/3/tags", {"tags": ["fjord"]}),
    "rebuild": ("POST", "/api/rebuild", {"full": False}),
    "retry": ("POST", "/api/problems/retry", {"all": True}),
    "admin": ("POST", "/admin/cache/refresh", None),
}
LOOKS = {
    "video": ("GET", "/api/videos/3", None),
    "state": ("GET", "/api/changes", None),
    "health": ("GET", "/api/health", None),
}

ALL, NONE, VIEWS = "view rate favorite tag rebuild retry admin", "", "view"

# who | proof | way | from which site | a token exists | rule on loopback | what he may | refusal
TABLE = """
a visitor         | none    | far     | same   | yes | until-token | view    | 403
a visitor         | none    | socket  | same   | no  | until-token | view    | 403
a visitor         | none    | lambda  | same   | no  | until-token | view    | 403
a visitor         | none    | lambda  | same   | no  | always      | view    | 403
at the machine    | none    | near    | same   | no  | until-token | all     | -
at the machine    | none    | near    | none   | no  | until-token | all     | -
at the machine    | none    | near    | absent | no  | until-token | all     | -
at the machine    | none    | near6   | same   | no  | until-token | all     | -
at the machine    | none    | mapped  | same   | no  | until-token | all     | -
at the machine    | none    | near    | same   | yes | until-token | view    | 403
at the machine    | none    | near    | same   | yes | always      | all     | -
at the machine    | none    | near    | same   | no  | never       | view    | 403
through a proxy   | none    | proxied | same   | no  | until-token | view    | 403
through a proxy   | none    | proxied | same   | no  | always      | view    | 403
by a real ip      | none    | real-ip | same   | no  | always      | view    | 403
by another name   | none    | fw-host | same   | no  | always      | view    | 403
by another scheme | none    | fw-prot | same   | no  | always      | view    | 403
by a forwarder    | none    | forward | same   | no  | always      | view    | 403
by a via          | none    | via     | same   | no  | always      | view    | 403
by old nginx      | none    | http1.0 | same   | no  | always      | view    | 403
rebound name      | none    | rebound | same   | no  | always      | view    | 403
no name           | none    | unnamed | same   | no  | always      | view    | 403
the owner         | bearer  | far     | same   | yes | until-token | all     | -
the owner         | bearer  | far     | absent | yes | until-token | all     | -
the owner         | bearer  | socket  | absent | yes | never       | all     | -
the owner         | bearer  | lambda  | absent | yes | never       | all     | -
the owner         | bearer  | far     | cross  | yes | until-token | nothing | 403
the owner         | session | far     | same   | yes | until-token | all     | -
the owner         | session | far     | none   | yes | until-token | all     | -
the owner         | session | lambda  | same   | yes | never       | all     | -
the owner         | session | far     | cross  | yes | until-token | nothing | 403
the owner         | session | far     | sister | yes | until-token | nothing | 403
the owner         | session | far     | origin | yes | until-token | all     | -
the owner         | session | far     | host   | yes | until-token | all     | -
the owner         | session | far     | alien  | yes | until-token | nothing | 403
the owner         | session | far     | null   | yes | until-token | nothing | 403
at the machine    | none    | near    | cross  | no  | until-token | nothing | 403
at the machine    | none    | near    | alien  | no  | always      | nothing | 403
a visitor         | none    | far     | cross  | yes | until-token | nothing | 403
a liar            | wrong   | far     | same   | yes | until-token | nothing | 401
a liar            | wrong   | near    | same   | no  | always      | nothing | 401
a revoked token   | revoked | far     | same   | yes | until-token | nothing | 401
a revoked session | ended   | far     | same   | yes | until-token | view    | 403
an old session    | expired | far     | same   | yes | until-token | view    | 403
a forged session  | forged  | far     | same   | yes | until-token | view    | 403
another's scheme  | basic   | far     | same   | yes | until-token | view    | 403
"""
SITES = {
    "same": {"sec-fetch-site": "same-origin", "origin": "http://localhost:8001"},
    "none": {"sec-fetch-site": "none"},
    "absent": {},
    "cross": {"sec-fetch-site": "cross-site", "origin": SITE},
    "sister": {"sec-fetch-site": "same-site"},
    "origin": {"origin": SITE},
    "host": {"origin": "http://localhost:8001"},
    "alien": {"origin": "https://evil.example.org"},
    "null": {"origin": "null"},
}
WAYS: dict[str, dict[str, object]] = {
    "far": {"client": FAR},
    "near": {"client": NEAR},
    "near6": {"client": ("::1", 5000)},
    "mapped": {"client": ("::ffff:127.0.0.1", 5000)},
    "socket": {"client": None},
    "lambda": {"client": NEAR, "extra": {"aws.event": {}}},
    "proxied": {"client": NEAR, "headers": {"x-forwarded-for": "127.0.0.1"}},
    "real-ip": {"client": NEAR, "headers": {"x-real-ip": "127.0.0.1"}},
    "fw-host": {"client": NEAR, "headers": {"x-forwarded-host": "localhost:8000"}},
    "fw-prot": {"client": NEAR, "headers": {"x-forwarded-proto": "http"}},
    "forward": {"client": NEAR, "headers": {"forwarded": "for=127.0.0.1"}},
    "via": {"client": NEAR, "headers": {"via": "1.1 proxy"}},
    "http1.0": {"client": NEAR, "http_version": "1.0"},
    "rebound": {"client": NEAR, "headers": {"host": "evil.example.org:8001"}},
    "unnamed": {"client": NEAR, "headers": {"host": ""}},
}


@dataclass(frozen=True)
class Row:
    who: str
    proof: str
    way: str
    site: str
    token: bool
    rule: str
    may: frozenset[str]
    refusal: int

    def __str__(self) -> str:
        token = "a token" if self.token else "no token"
        return f"{self.who}, {self.proof}, {self.way}, {self.site}, {token}, {self.rule}"


def rows() -> list[Row]:
    table = []
    for line in TABLE.strip().split("\n"):
        who, proof, way, site, token, rule, may, refusal = (
            cell.strip() for cell in line.split("|")
        )
        what = {"all": ALL, "nothing": NONE, "view": VIEWS}[may]
        table.append(
            Row(who, proof, way, site, token == "yes", rule, frozenset(what.split()),
                0 if refusal == "-" else int(refusal))
        )  # fmt: skip
    return table


@pytest.fixture
def asker_of(state: Path, make_app: Callable[..., FastAPI]) -> Callable[[Row], Asker]:
    def make(row: Row) -> Asker:
        app = make_app(
            owner_on_loopback=row.rule, origins=frozenset({SITE}), clock=lambda: float(NOW)
        )
        way = WAYS[row.way]
        given = way.get("headers", {})
        assert isinstance(given, dict)
        headers = {"host": "localhost:8001", **given, **SITES[row.site]}
        with Catalogue(state / "catalogue.db") as catalogue:
            made, secret = new_token("one", NOW)
            if row.token:
                catalogue.tokens.add(made)
            headers |= proof_of(row.proof, secret, app, catalogue, made.id)
        return Asker(app, **{**way, "headers": headers})  # type: ignore[arg-type]

    return make


def proof_of(
    proof: str, secret: str, app: FastAPI, catalogue: Catalogue, token: str
) -> dict[str, str]:
    if proof in {"bearer", "revoked"}:
        if proof == "revoked":
            catalogue.tokens.revoke(token, NOW)
        return {"authorization": f"Bearer {secret}"}
    if proof in {"wrong", "basic"}:
        scheme = {"wrong": "Bearer", "basic": "Basic"}[proof]
        return {"authorization": f"{scheme} {secret[:-1]}"}
    if proof in {"session", "ended", "forged", "expired"}:
        cookie = Asker(app)("POST", "/api/session", {"token": secret}).cookies[SESSION_COOKIE]
        if proof == "ended":
            catalogue.tokens.revoke(token, NOW)
        if proof == "forged":
            cookie = "x" + cookie[1:]
        if proof == "expired":
            cookie = app.state.service.signed.session(token, NOW - 91 * 86400)
            cookie = cookie.partition(";")[0].partition("=")[2]
        return {"cookie": f"other=1; {SESSION_COOKIE}={cookie}"}
    return {}


@pytest.mark.parametrize("row", rows(), ids=str)
def test_everybody_may_do_what_the_table_says_and_nothing_else(
    row: Row, asker_of: Callable[[Row], Asker]
) -> None:
    ask = asker_of(row)

    answered = {name: ask(*request).status for name, request in ACTIONS.items()}

    allowed = {name for name, status in answered.items() if status in {200, 202}}
    assert allowed == row.may
    assert {answered[name] for name in ACTIONS.keys() - allowed} <= {row.refusal}


@pytest.mark.parametrize("row", rows(), ids=str)
def test_everybody_may_look_unless_he_lies(row: Row, asker_of: Callable[[Row], Asker]) -> None:
    ask = asker_of(row)

    answered = {ask(*request).status for request in LOOKS.values()}

    assert answered == {401 if row.refusal == 401 else 200}


@pytest.mark.parametrize("row", rows(), ids=str)
def test_names_of_files_are_told_to_the_owner_and_to_nobody_else(
    row: Row, asker_of: Callable[[Row], Asker]
) -> None:
    ask = asker_of(row)

    session, problems = ask("GET", "/api/session"), ask("GET", "/api/problems")

    who = session.json.get("role", session.status)
    assert problems.status == {"owner": 200, "visitor": 403, 401: 401}[who]
    assert (who == "owner") == (b"problems" in problems.body)


@pytest.mark.parametrize("allowed", [(), ("view",), ("rate",), ("view", "rate", "favorite")])
def test_a_visitor_may_what_the_setting_says(
    make_app: Callable[..., FastAPI], allowed: tuple[str, ...]
) -> None:
    visitor = Asker(make_app(visitors_may=frozenset(allowed)), client=FAR)

    answered = {name: visitor(*request).status for name, request in ACTIONS.items()}

    assert answered == {name: 200 if name in allowed else 403 for name in ACTIONS}
    assert visitor("GET", "/api/session").json == {"role": "visitor", "may": [*allowed]}


def test_the_table_has_every_proof_way_and_site() -> None:
    table = rows()

    assert {row.way for row in table} == WAYS.keys()
    assert {row.site for row in table} == SITES.keys()
    assert len(table) == len(set(table)) > 40
