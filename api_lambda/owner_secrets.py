"""How an API without a catalogue knows the owner: by the environment, SSM, or a worker's word.

Secrets are taken out of the environment, so that no program that is started inherits them.
"""

import asyncio
import json
import logging
import re
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

from generator.adapters.redis_state import OwnerKeys
from generator.adapters.s3 import session
from generator.core.errors import QueueError, SettingsError

log = logging.getLogger(__name__)
DIGESTS, SECRET = "REELSHELF_OWNER_DIGESTS", "REELSHELF_SECRET"
SECRETS, ORIGIN = "REELSHELF_SECRETS", "REELSHELF_ORIGIN_SECRETS"
_FRESH_S = 300.0  # how long what SSM said is believed
_SHARED_FRESH_S = 5.0  # and what a worker said: a token that he revoked ends in so many seconds
_DIGEST = re.compile("[0-9a-f]{64}")
_ID_DIGITS = 12
_LEAST_BYTES = 16
_LEAST_LETTERS = 16


@dataclass(frozen=True, slots=True)
class EnvSecrets:
    """What the environment tells of secrets; all may be empty.

    `parameter` is the name of the parameter in SSM that has what is not here. `origins` are what a
    CDN in front has to say. `is_set` tells whether there is a word on the owner's tokens at all,
    even that there are none.
    """

    digests: str = ""
    secret: str = ""
    parameter: str = ""
    origins: tuple[str, ...] = ()
    is_set: bool = False


def taken(environment: MutableMapping[str, str]) -> EnvSecrets:
    """Take out of the environment what is to be known of secrets.

    Raises:
        SettingsError: what a CDN is to say is nothing that only it could know.
    """
    is_set = DIGESTS in environment
    digests, secret, parameter, origins = (
        environment.pop(name, "").strip() for name in (DIGESTS, SECRET, SECRETS, ORIGIN)
    )
    parts = tuple(_parts(origins))
    wrong = [one for one in parts if len(one) < _LEAST_LETTERS or not (one + " ").isprintable()]
    if (origins and not parts) or wrong or not origins.isascii():
        raise SettingsError(
            f"{ORIGIN}: each has to be at least {_LEAST_LETTERS} letters and digits",
            hint="make one with: openssl rand -hex 32. Leave it unset where no CDN is in front",
        )
    return EnvSecrets(digests, secret, parameter, parts, is_set)


class KeyRing:
    """The keys of the owner, asked for again when they may have changed."""

    def __init__(self, fetch: Callable[[], OwnerKeys], fresh_s: float) -> None:
        self._fetch, self._fresh_s = fetch, fresh_s
        self._keys: OwnerKeys | None = None
        self._until = 0.0
        self._is_away = False

    @property
    def keys(self) -> OwnerKeys:
        """Return the keys, which `refresh` has fetched."""
        assert self._keys is not None, "keys are fetched before they are used"
        return self._keys

    def begin(self, now: float) -> None:
        """Fetch the keys, unless that cannot be: then the first who needs them does."""
        try:
            self._keys = self._fetch()
        except QueueError as error:
            log.warning("the owner is not known yet: %s", error)
        else:
            self._until = now + self._fresh_s

    async def refresh(self, now: float) -> None:
        """Have keys, and fresh ones if that is possible; old ones are better than none.

        Raises:
            QueueError: there are none.
        """
        if now < self._until:
            return
        until, self._until = self._until, now + self._fresh_s  # others go on with the old ones
        if self._keys is None:
            self._until = until  # but without any they all have to wait
        try:
            self._keys = await asyncio.to_thread(self._fetch)
        except QueueError as error:
            if self._keys is None:
                raise
            if not self._is_away:
                log.warning("the owner is known as before: %s", error)
            self._is_away = True
        else:
            self._until, self._is_away = now + self._fresh_s, False


def ring_of(told: EnvSecrets, shared: Callable[[], OwnerKeys | None] | None) -> KeyRing:
    """Return where the keys of the owner are.

    Args:
        told: what the environment tells.
        shared: asks what a worker put where API processes share things; None without such a place.

    Raises:
        SettingsError: it cannot be told, or what is told makes no sense.
    """
    if told.parameter:
        return KeyRing(lambda: _of_parameter(told.parameter), _FRESH_S)
    if told.secret:
        keys = replace(_keys(_parts(told.digests), told.secret), had_token=told.is_set)
        return KeyRing(lambda: keys, float("inf"))
    if told.digests or shared is None:
        raise SettingsError(
            f"{SECRET} is not set, with which cookies are signed",
            hint="make one with: openssl rand -hex 32. The same for every process of the API",
        )
    return KeyRing(lambda: _of_worker(shared()), _SHARED_FRESH_S)


def _of_worker(keys: OwnerKeys | None) -> OwnerKeys:
    if keys is None:
        raise QueueError("no worker has told yet who the owner is", hint="start `reelshelf worker`")
    return keys


def _of_parameter(name: str) -> OwnerKeys:
    from botocore.config import Config  # noqa: PLC0415 (slow to import, and only on AWS)
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 (likewise)

    patience = Config(
        retries={"mode": "standard", "max_attempts": 3}, connect_timeout=2, read_timeout=3
    )
    try:
        client = session.session().client("ssm", config=patience)
        found: Any = client.get_parameter(Name=name, WithDecryption=True)
    except (BotoCoreError, ClientError) as error:
        raise QueueError(
            f"the parameter {name} cannot be read: {error}",
            hint="it is a SecureString in SSM, and the API's role may ssm:GetParameter it",
        ) from error
    try:
        told = json.loads(found["Parameter"]["Value"])
        keys = _keys([str(one) for one in told["digests"]], str(told["secret"]))
        return replace(keys, had_token=True)
    except (ValueError, KeyError, TypeError, SettingsError) as error:
        raise QueueError(
            f"the parameter {name} makes no sense",
            hint='it is JSON like {"digests": ["…"], "secret": "…"}, all of it hexadecimal',
        ) from error


def _keys(digests: list[str], secret: str) -> OwnerKeys:
    wrong = [one for one in digests if not _DIGEST.fullmatch(one)]
    if wrong:
        raise SettingsError(
            f"{DIGESTS}: not all of it is digests of tokens",
            hint="`reelshelf token digest` prints it",
        )
    try:
        key = bytes.fromhex(secret)
    except ValueError:
        key = b""
    if len(key) < _LEAST_BYTES:
        raise SettingsError(
            f"{SECRET} is not at least {2 * _LEAST_BYTES} hexadecimal digits",
            hint="make one with: openssl rand -hex 32",
        )
    return OwnerKeys(tuple((one[:_ID_DIGITS], one) for one in digests), key)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
