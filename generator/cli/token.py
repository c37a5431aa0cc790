"""`token`: tokens that sign the owner in to the API."""

import time
from enum import StrEnum
from typing import Annotated, Any

import typer

from generator.adapters.catalogue import Catalogue
from generator.cli.help import SERVE
from generator.cli.options import Config, Json, app, now, open_catalogue, settled, show
from generator.core.errors import SettingsError
from generator.core.formatting import rfc3339
from generator.core.model import Token

_DAY = "%Y-%m-%d"
_ONCE = """This token is shown once. Enter it at login.html of the site to sign in; a program sends
it with each request: Authorization: Bearer rs_…
An API on AWS needs its digest: `reelshelf token digest`."""

_NOBODY = """No token is left, so nobody can sign in as the owner, not even on this computer (except
with `reelshelf dev`). To create a token: reelshelf token new"""


class TokenAction(StrEnum):
    """What the command does with tokens."""

    NEW = "new"
    LIST = "list"
    DIGEST = "digest"
    REVOKE = "revoke"


@app.command(rich_help_panel=SERVE)
def token(
    action: Annotated[
        TokenAction,
        typer.Argument(help="Create, list, print digests of, or revoke tokens."),
    ],
    name: Annotated[
        str | None,
        typer.Argument(help="The name of a new token, or the name or id of the one to revoke."),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Create, list or revoke the tokens that sign the owner in to the API.

    `digest` prints the digests of valid tokens for an API without a catalogue
    (REELSHELF_OWNER_DIGESTS); the tokens cannot be recovered from it.
    """
    settings = settled(config)
    with open_catalogue(settings) as catalogue:
        told, text = _done(action, name, catalogue)
    show(as_json, told, text)


def _done(
    action: TokenAction, name: str | None, catalogue: Catalogue
) -> tuple[dict[str, Any], str]:
    match action:
        case TokenAction.NEW:
            return _new(catalogue, name or "owner")
        case TokenAction.LIST:
            return _list(catalogue)
        case TokenAction.DIGEST:
            return _digest(catalogue)
        case TokenAction.REVOKE:
            return _revoke(catalogue, name or "")


def _new(catalogue: Catalogue, name: str) -> tuple[dict[str, Any], str]:
    from api_lambda.credentials import new_token  # noqa: PLC0415 (other commands start without it)

    if any(one.name == name and one.revoked_at is None for one in catalogue.tokens.all()):
        raise SettingsError(
            f"a token named {name} already exists",
            hint="choose another name, or revoke that one first",
        )
    made, secret = new_token(name, now())
    catalogue.tokens.add(made)
    text = f"{secret}\n{_ONCE}"
    return {**_row(made), "token": secret}, text


def _list(catalogue: Catalogue) -> tuple[dict[str, Any], str]:
    tokens = catalogue.tokens.all()
    lines = [
        f"{one.id}  {_day(one.created_at)}  {one.name}"
        + (f"  (revoked {_day(one.revoked_at)})" if one.revoked_at is not None else "")
        for one in tokens
    ]
    return {"tokens": [_row(one) for one in tokens]}, "\n".join(lines) or "no tokens"


def _digest(catalogue: Catalogue) -> tuple[dict[str, Any], str]:
    digests = [one for _, one in catalogue.tokens.valid()]
    return {"digests": digests}, ",".join(digests)


def _revoke(catalogue: Catalogue, name: str) -> tuple[dict[str, Any], str]:
    matching = [
        token
        for token in catalogue.tokens.all()
        if token.revoked_at is None and name in {token.id, token.name}
    ]
    if not matching or not catalogue.tokens.revoke(matching[0].id, now()):
        raise SettingsError(
            f"no valid token is named {name!r}", hint="`reelshelf token list` lists them"
        )
    text = f"revoked {matching[0].name}, and ended every session that was started with it"
    if not catalogue.tokens.valid():
        text += f"\n{_NOBODY}"
    return {"revoked": matching[0].id}, text


def _row(token: Token) -> dict[str, Any]:
    revoked = token.revoked_at
    return {
        "id": token.id,
        "name": token.name,
        "created_at": rfc3339(token.created_at),
        "revoked_at": None if revoked is None else rfc3339(revoked),
    }


def _day(instant: int) -> str:
    return time.strftime(_DAY, time.gmtime(instant))
