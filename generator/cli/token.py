"""`token`: tokens that sign the owner, and invited viewers, in."""

import time
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil
from typing import Annotated, Any

import typer

from generator.adapters.catalogue import Catalogue
from generator.adapters.settings import Settings
from generator.cli.help import SERVE
from generator.cli.options import Config, Json, app, now, open_catalogue, settled, show
from generator.core.errors import SettingsError
from generator.core.formatting import rfc3339
from generator.core.model import Token

_DAY = "%Y-%m-%d"
_ONCE = """This token is shown once. Enter it at login.html of the site to sign in; a program sends
it with each request: Authorization: Bearer rs_…
An API on AWS needs its digest: `reelshelf token digest`."""

_INVITED = """{secret}
This token is shown once. Give it to them alone; they enter it at {login}
to see the site. For a program that reads feeds, which cannot sign in, they use a secret address:
{rss}
{atom}
To end both: reelshelf token revoke NAME"""

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
    viewer: Annotated[
        str | None,
        typer.Option(
            "--viewer",
            metavar="NAME",
            help="With `new`: a token for someone who may see a private site, under this name.",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="DATE",
            help="With --viewer: the last day of the token, YYYY-MM-DD, or a time in ISO 8601.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Create, list or revoke the tokens that sign the owner, and invited viewers, in.

    `digest` prints the digests of the owner's valid tokens for an API without a catalogue
    (REELSHELF_OWNER_DIGESTS), with --json also the keys of viewers; the tokens cannot be recovered
    from it.
    """
    if (viewer is not None or until is not None) and action is not TokenAction.NEW:
        raise SettingsError(
            f"--viewer and --until do not belong to `token {action}`",
            hint="they create a token: reelshelf token new --viewer NAME --until 2027-12-31",
        )
    if until is not None and viewer is None:
        raise SettingsError(
            "--until needs --viewer", hint="the owner's tokens do not expire; revoke them instead"
        )
    if viewer is not None and name is not None:
        raise SettingsError(
            f"{name!r} and --viewer {viewer!r} are two names", hint="leave out the first"
        )
    expires_at = None if until is None else _end_of(until, now())
    settings = settled(config)
    with open_catalogue(settings) as catalogue:
        if viewer is not None:
            answer = _new_viewer(catalogue, viewer, expires_at, settings)
        else:
            answer = _done(action, name, catalogue)
    show(as_json, *answer)


def _end_of(text: str, now_s: int) -> int:
    """Return when a day, or a time, is over, in seconds since 1970."""
    try:
        is_day = len(text) == len("2027-12-31")
        moment = datetime.fromisoformat(text)
        end = moment + timedelta(days=1) if is_day else moment
        expires_at = ceil(end.astimezone().timestamp())
    except (ValueError, OverflowError) as error:
        raise SettingsError(
            f"--until cannot be {text!r}", hint="write a date like 2027-12-31"
        ) from error
    if expires_at <= now_s:
        raise SettingsError(f"--until {text} is over", hint="choose a date in the future")
    return expires_at


def _new_viewer(
    catalogue: Catalogue, name: str, expires_at: int | None, settings: Settings
) -> tuple[dict[str, Any], str]:
    from api_lambda.credentials import new_viewer_token  # noqa: PLC0415 (other commands start without it)

    _check_name(catalogue, name)
    made, secret, feed = new_viewer_token(name, now(), expires_at)
    catalogue.tokens.add(made)
    site = settings.site
    feeds = {kind: f"{site.origin}{site.base}/feed/{feed}/{kind}.xml" for kind in ("rss", "atom")}
    text = _INVITED.format(secret=secret, login=f"{site.origin}{site.base}/login.html", **feeds)
    if expires_at is not None:
        text += f"\nAll of them end {_day(expires_at)}."
    if not settings.private:
        text += "\nThe site is not private: set private = true in [api], or everybody may see it."
    return {**_row(made), "token": secret, "feeds": feeds}, text


def _check_name(catalogue: Catalogue, name: str) -> None:
    if not name.strip() or not name.isprintable():
        raise SettingsError(f"a token cannot be named {name!r}", hint="use letters and digits")
    if any(one.name == name and one.revoked_at is None for one in catalogue.tokens.all()):
        raise SettingsError(
            f"a token named {name} already exists",
            hint="choose another name, or revoke that one first",
        )


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

    _check_name(catalogue, name)
    made, secret = new_token(name, now())
    catalogue.tokens.add(made)
    text = f"{secret}\n{_ONCE}"
    return {**_row(made), "token": secret}, text


def _list(catalogue: Catalogue) -> tuple[dict[str, Any], str]:
    tokens = catalogue.tokens.all()
    lines = [
        f"{one.id}  {_day(one.created_at)}  {one.name}"
        + ("  (viewer)" if one.is_viewer else "")
        + _until(one)
        + (f"  (revoked {_day(one.revoked_at)})" if one.revoked_at is not None else "")
        for one in tokens
    ]
    return {"tokens": [_row(one) for one in tokens]}, "\n".join(lines) or "no tokens"


def _digest(catalogue: Catalogue) -> tuple[dict[str, Any], str]:
    digests = [one for _, one in catalogue.tokens.valid()]
    viewers = [
        {"digest": one.digest, "feed": one.feed_digest, "until": one.expires_at}
        for one in catalogue.tokens.viewers()
        if one.is_valid_at(now())
    ]
    return {"digests": digests, "viewers": viewers}, ",".join(digests)


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
    if matching[0].is_viewer:
        text += ", and closed the address of their feeds"
    elif not catalogue.tokens.valid():
        text += f"\n{_NOBODY}"
    return {"revoked": matching[0].id}, text


def _row(token: Token) -> dict[str, Any]:
    revoked = token.revoked_at
    return {
        "id": token.id,
        "name": token.name,
        "created_at": rfc3339(token.created_at),
        "revoked_at": None if revoked is None else rfc3339(revoked),
        "role": "viewer" if token.is_viewer else "owner",
        "expires_at": None if token.expires_at is None else rfc3339(token.expires_at),
    }


def _until(token: Token) -> str:
    if token.expires_at is None or token.revoked_at is not None:
        return ""
    what = "expired" if token.expires_at <= now() else "until"
    return f"  ({what} {_day(token.expires_at)})"


def _day(instant: int) -> str:
    return time.strftime(_DAY, time.gmtime(instant))
