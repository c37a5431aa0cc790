"""`reelshelf token`: what it prints works, once; what it revokes does not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking import Asker, Tray
from fastapi import FastAPI
from typer.testing import CliRunner

from api_lambda.app import ApiConfig, create_app
from api_lambda.owner_secrets import EnvSecrets
from generator.cli import app as commands
from generator.core.errors import SettingsError

FAR = ("192.0.2.7", 5000)


@pytest.fixture
def token(state: Path) -> Callable[..., Any]:
    def call(*arguments: str) -> Any:  # noqa: ANN401 (what it prints)
        runner = CliRunner(env={"REELSHELF_STATE": str(state)})
        done = runner.invoke(commands, ["token", *arguments, "--json"])
        if done.exception is not None:
            raise done.exception
        return json.loads(done.stdout)

    return call


def test_a_new_token_proves_the_owner_until_it_is_revoked(
    token: Callable[..., Any], make_app: Callable[..., FastAPI], state: Path
) -> None:
    secret = token("new", "phone")["token"]
    owner = Asker(make_app(), client=FAR).with_headers(authorization=f"Bearer {secret}")

    before = owner("PUT", "/api/videos/3/favorite").status
    token("revoke", "phone")
    after = owner("PUT", "/api/videos/3/favorite").status

    assert (before, after) == (200, 401)
    assert secret.encode() not in b"".join(file.read_bytes() for file in state.iterdir())


def test_tokens_are_listed_without_their_secrets(token: Callable[..., Any]) -> None:
    made = token("new", "phone")
    token("new")
    token("revoke", made["id"])

    listed = token("list")["tokens"]

    assert {one["name"]: one["revoked_at"] is None for one in listed} == {
        "phone": False,
        "owner": True,
    }
    assert all(
        one.keys() == {"id", "name", "created_at", "revoked_at", "role", "expires_at"}
        for one in listed
    )


@pytest.mark.parametrize("arguments", [("revoke",), ("revoke", "nobody")])
def test_what_is_not_there_cannot_be_revoked(
    token: Callable[..., Any], arguments: tuple[str, ...]
) -> None:
    with pytest.raises(SettingsError, match="no valid token"):
        token(*arguments)


def test_two_valid_tokens_have_two_names(token: Callable[..., Any]) -> None:
    token("new", "phone")

    with pytest.raises(SettingsError, match="a token named phone already exists"):
        token("new", "phone")
    token("revoke", "phone")
    assert token("new", "phone")["name"] == "phone"


def test_digests_of_valid_tokens_let_an_api_without_a_catalogue_know_the_owner(
    token: Callable[..., Any], tmp_path: Path
) -> None:
    secret = token("new", "phone")["token"]
    token("new", "lost")
    token("revoke", "lost")
    digests = ",".join(token("digest")["digests"])
    app = create_app(ApiConfig(tmp_path, secrets=EnvSecrets(digests, "5e" * 32)), Tray())

    owner = Asker(app, client=FAR).with_headers(authorization=f"Bearer {secret}")

    assert owner("GET", "/api/session").json["role"] == "owner"
    assert "," not in digests
    app.state.close()
