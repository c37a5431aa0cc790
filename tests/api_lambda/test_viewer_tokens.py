"""`reelshelf token new --viewer`: what it prints works until it ends; bad input has advice."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking import Asker
from fastapi import FastAPI
from typer.testing import CliRunner

from api_lambda.owner_secrets import EnvSecrets, key_ring
from generator.adapters.catalogue import Catalogue
from generator.adapters.redis_state import OwnerKeys
from generator.adapters.settings import load
from generator.cli import app as commands
from generator.core.errors import SettingsError
from generator.core.model import Token

FAR = ("192.0.2.7", 5000)


@pytest.fixture
def token(state: Path) -> Callable[..., Any]:
    def call(*arguments: str) -> Any:  # noqa: ANN401 (what it prints)
        runner = CliRunner(
            env={"REELSHELF_STATE": str(state), "REELSHELF_SITE_URL": "https://x.example/films"}
        )
        done = runner.invoke(commands, ["token", *arguments, "--json"])
        if done.exception is not None:
            raise done.exception
        return json.loads(done.stdout)

    return call


def test_an_invited_viewer_signs_in_until_they_are_revoked(
    token: Callable[..., Any], make_app: Callable[..., FastAPI], state: Path
) -> None:
    made = token("new", "--viewer", "Anna", "--until", "2999-12-31")
    viewer = Asker(make_app(is_private=True), client=FAR).with_headers(
        authorization=f"Bearer {made['token']}"
    )
    before = viewer("GET", "/api/session").json["role"]
    feed = {"reelshelf-feed": made["feeds"]["rss"].removeprefix("https://x.example/films")}
    with_feed = viewer("GET", "/api/access", headers=feed).status
    listed = token("list")["tokens"]
    token("revoke", "Anna")

    assert (before, with_feed) == ("viewer", 204)
    assert made["expires_at"].startswith(("2999-12-31", "3000-01-01"))
    assert [(one["name"], one["role"]) for one in listed] == [("Anna", "viewer")]
    assert viewer("GET", "/api/session").status == 401
    assert viewer("GET", "/api/access", headers=feed).status == 401
    kept = b"".join(file.read_bytes() for file in state.iterdir())
    secret = made["feeds"]["atom"].split("/")[-2]
    assert made["token"].encode() not in kept
    assert secret.encode() not in kept


def test_the_digests_of_the_owner_are_not_those_of_viewers(token: Callable[..., Any]) -> None:
    """An API on AWS would take a viewer for the owner."""
    token("new", "--viewer", "Anna")
    assert token("digest")["digests"] == []
    token("new", "laptop")
    printed = token("digest")

    assert len(printed["digests"]) == 1
    assert [set(one) for one in printed["viewers"]] == [{"digest", "feed", "until"}]
    assert printed["viewers"][0]["digest"] not in printed["digests"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["new", "--viewer", "Anna", "--until", "yesterday"],
        ["new", "--viewer", "Anna", "--until", "2001-01-01"],
        ["new", "--viewer", "Anna", "--until", "9999-12-31T99:00"],
        ["new", "--viewer", "Anna", "--until", "9999-12-31"],
        ["new", "--viewer", ""],
        ["new", "--viewer", "a\nb"],
        ["new", "Anna", "--viewer", "Ben"],
        ["new", "--until", "2999-12-31"],
        ["list", "--viewer", "Anna"],
        ["revoke", "Anna", "--until", "2999-12-31"],
    ],
)
def test_bad_input_creates_nothing(
    token: Callable[..., Any], state: Path, arguments: list[str]
) -> None:
    with pytest.raises(SettingsError) as raised:
        token(*arguments)

    assert raised.value.hint
    with Catalogue(state / "catalogue.db") as catalogue:
        assert catalogue.tokens.all() == []


def test_viewers_are_kept_apart_from_the_owner(state: Path) -> None:
    with Catalogue(state / "catalogue.db") as catalogue:
        catalogue.tokens.add(Token("v", "Anna", "d" * 64, 5, None, True, 99, "f" * 64))  # noqa: FBT003 (as stored)
        (viewer,) = catalogue.tokens.viewers()

        assert catalogue.tokens.valid() == []
        assert not catalogue.tokens.had_any()
        assert (viewer.is_valid_at(98), viewer.is_valid_at(99)) == (True, False)
        assert catalogue.tokens.revoke("v", 6)
        assert catalogue.tokens.viewers() == []


def test_a_parameter_in_ssm_has_viewers(monkeypatch: pytest.MonkeyPatch) -> None:
    proof, feed = "ab" * 32, "cd" * 32
    payload = {
        "digests": [],
        "secret": "ef" * 32,
        "cloudfront_key": "PEM",
        "viewers": [{"digest": proof, "feed": feed, "until": 99}, {"digest": feed}],
    }

    class Session:
        def client(self, *_: object, **__: object) -> "Session":
            return self

        def get_parameter(self, **_: object) -> dict[str, object]:
            return {"Parameter": {"Value": json.dumps(payload)}}

    monkeypatch.setattr("api_lambda.owner_secrets.session.session", Session)
    ring = key_ring(EnvSecrets(parameter="/x"), None)
    ring.begin(time.time())
    keys: OwnerKeys = ring.keys

    assert keys.tokens == ()
    assert keys.cloudfront_key == "PEM"
    assert [(one.digest, one.feed_digest, one.expires_at) for one in keys.viewers] == [
        (proof, feed, 99),
        (feed, "", None),
    ]


@pytest.mark.parametrize("other", [{"api": False}, {"host_files": True}])
def test_settings_that_would_open_a_private_site_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, bool]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="private"):
        load(None, {"private": True, **other})
