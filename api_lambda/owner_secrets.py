"""How an API without a catalogue knows the owner: from the environment, SSM, or a worker.

Secrets are removed from the environment, so that no child process inherits them.
"""

import asyncio
import json
import logging
import re
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

from generator.adapters.redis_state import OwnerKeys
from generator.adapters.s3 import session
from generator.core.errors import QueueError, SettingsError
from generator.core.model import ViewerKey

log = logging.getLogger(__name__)
DIGESTS, SECRET = "REELSHELF_OWNER_DIGESTS", "REELSHELF_SECRET"
SECRETS, ORIGIN = "REELSHELF_SECRETS", "REELSHELF_ORIGIN_SECRETS"
CLOUDFRONT = "REELSHELF_CLOUDFRONT_KEY"
_FRESH_S = 300.0  # how long keys from SSM are cached
_SHARED_FRESH_S = 5.0  # and keys from a worker: a revoked token ends within this time
_DIGEST = re.compile("[0-9a-f]{64}")
_ID_DIGITS = 12
_MIN_BYTES = 16
_MIN_LETTERS = 16


@dataclass(frozen=True, slots=True)
class EnvSecrets:
    """The secrets in the environment; all may be empty.

    `parameter` is the name of the parameter in SSM that holds the others. `origins` are the secrets
    that a CDN in front has to send. `cloudfront_key` is the private key of its signed cookies, in
    PEM. `is_set`: whether the variable of the owner's tokens is set,
    even if it lists none.
    """

    digests: str = ""
    secret: str = ""
    parameter: str = ""
    origins: tuple[str, ...] = ()
    is_set: bool = False
    cloudfront_key: str = ""


def take_secrets(environment: MutableMapping[str, str]) -> EnvSecrets:
    """Remove the secrets from the environment, and return them.

    Raises:
        SettingsError: a secret of the CDN is too short, or not printable ASCII.
    """
    is_set = DIGESTS in environment
    digests, secret, parameter, origins, key = (
        environment.pop(name, "").strip() for name in (DIGESTS, SECRET, SECRETS, ORIGIN, CLOUDFRONT)
    )
    parts = tuple(_parts(origins))
    wrong = [part for part in parts if len(part) < _MIN_LETTERS or not (part + " ").isprintable()]
    if (origins and not parts) or wrong or not origins.isascii():
        raise SettingsError(
            f"{ORIGIN}: each has to be at least {_MIN_LETTERS} letters and digits",
            hint="make one with: openssl rand -hex 32. Leave it unset where no CDN is in front",
        )
    return EnvSecrets(digests, secret, parameter, parts, is_set, key)


class KeyRing:
    """The owner's keys, fetched again when they may have changed."""

    def __init__(self, fetch: Callable[[], OwnerKeys], fresh_s: float) -> None:
        self._fetch, self._fresh_s = fetch, fresh_s
        self._keys: OwnerKeys | None = None
        self._until = 0.0
        self._is_away = False

    @property
    def keys(self) -> OwnerKeys:
        """Return the keys that `refresh` fetched."""
        assert self._keys is not None, "keys are fetched before they are used"
        return self._keys

    def begin(self, now: float) -> None:
        """Fetch the keys; if that fails, the first request that needs them tries again."""
        try:
            self._keys = self._fetch()
        except QueueError as error:
            log.warning("the owner's keys are not known yet: %s", error)
        else:
            self._until = now + self._fresh_s

    async def refresh(self, now: float) -> None:
        """Fetch the keys if they are stale; old ones stay in use if that fails.

        Raises:
            QueueError: there are no keys yet.
        """
        if now < self._until:
            return
        until, self._until = self._until, now + self._fresh_s  # other requests use the old ones
        if self._keys is None:
            self._until = until  # without any, they all have to wait
        try:
            self._keys = await asyncio.to_thread(self._fetch)
        except QueueError as error:
            if self._keys is None:
                raise
            if not self._is_away:
                log.warning("continuing with the previous keys of the owner: %s", error)
            self._is_away = True
        else:
            self._until, self._is_away = now + self._fresh_s, False


def key_ring(secrets: EnvSecrets, shared: Callable[[], OwnerKeys | None] | None) -> KeyRing:
    """Return the key ring for the source that is configured.

    Args:
        secrets: those of the environment.
        shared: reads the keys that a worker shares with API processes; None without shared state.

    Raises:
        SettingsError: no source is configured, or the secrets are malformed.
    """
    if secrets.parameter:
        return KeyRing(lambda: _of_parameter(secrets.parameter), _FRESH_S)
    if secrets.secret:
        keys = replace(_keys(_parts(secrets.digests), secrets.secret), had_token=secrets.is_set)
        return KeyRing(lambda: keys, float("inf"))
    if secrets.digests or shared is None:
        raise SettingsError(
            f"{SECRET}, which signs cookies, is not set",
            hint="make one with: openssl rand -hex 32. Use the same for every process of the API",
        )
    return KeyRing(lambda: _of_worker(shared()), _SHARED_FRESH_S)


def _of_worker(keys: OwnerKeys | None) -> OwnerKeys:
    if keys is None:
        raise QueueError("no worker has shared the owner's keys yet", hint="start a worker")
    return keys


def _of_parameter(name: str) -> OwnerKeys:
    from botocore.config import Config  # noqa: PLC0415 (slow to import, and only on AWS)
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 (likewise)

    patience = Config(
        retries={"mode": "standard", "max_attempts": 3}, connect_timeout=2, read_timeout=3
    )
    try:
        client = session.session().client("ssm", config=patience)
        response: Any = client.get_parameter(Name=name, WithDecryption=True)
    except (BotoCoreError, ClientError) as error:
        raise QueueError(
            f"the parameter {name} cannot be read: {error}",
            hint="it is a SecureString in SSM, and the API's role may ssm:GetParameter it",
        ) from error
    try:
        payload = json.loads(response["Parameter"]["Value"])
        keys = _keys([str(value) for value in payload["digests"]], str(payload["secret"]))
        viewers = tuple(_viewer(fields) for fields in payload.get("viewers", ()))
        key = str(payload.get("cloudfront_key", ""))
        return replace(keys, had_token=True, viewers=viewers, cloudfront_key=key)
    except (ValueError, KeyError, TypeError, SettingsError) as error:
        raise QueueError(
            f"the parameter {name} makes no sense",
            hint='it must be JSON like {"digests": ["…"], "secret": "…"}, both hexadecimal; the'
            " viewers in it are those of `reelshelf token digest --json`",
        ) from error


def _viewer(fields: Mapping[str, Any]) -> ViewerKey:
    """Return the key of a viewer, as `reelshelf token digest --json` prints it."""
    proof, feed, until = str(fields["digest"]), str(fields.get("feed") or ""), fields.get("until")
    if not _DIGEST.fullmatch(proof) or (feed and not _DIGEST.fullmatch(feed)):
        raise ValueError("not the digest of a token")
    return ViewerKey(proof[:_ID_DIGITS], proof, feed, None if until is None else int(until))


def _keys(digests: list[str], secret: str) -> OwnerKeys:
    wrong = [value for value in digests if not _DIGEST.fullmatch(value)]
    if wrong:
        raise SettingsError(
            f"{DIGESTS}: not all of them are digests of tokens",
            hint="`reelshelf token digest` prints it",
        )
    try:
        key = bytes.fromhex(secret)
    except ValueError:
        key = b""
    if len(key) < _MIN_BYTES:
        raise SettingsError(
            f"{SECRET} is not at least {2 * _MIN_BYTES} hexadecimal digits",
            hint="make one with: openssl rand -hex 32",
        )
    return OwnerKeys(tuple((value[:_ID_DIGITS], value) for value in digests), key)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
