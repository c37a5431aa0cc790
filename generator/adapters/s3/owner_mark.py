"""The owner's mark: it says which worker builds and publishes a site, in the bucket or the queue.

Two builders with a catalogue each would both take messages from the queue, and each would lack
what the other has. The mark keeps the second one from starting.
"""

import json
from dataclasses import asdict, dataclass
from typing import Protocol

from generator.core.delivery.publish_plan import ObjectHeaders
from generator.core.errors import OwnedByAnotherError, PublishError
from generator.core.formatting import rfc3339

KEY = "_reelshelf/owner.json"
_ABSENT = "*"
_HEADERS = ObjectHeaders("application/json", "no-store")


@dataclass(frozen=True, slots=True)
class SiteOwner:
    """Who builds a site: `who` is "home" or "lambda", `site` the catalogue's identity.

    `since` is an instant.
    """

    who: str
    site: str
    since: int


class StoredMark(Protocol):
    """An object as a bucket has it."""

    @property
    def etag(self) -> str:
        """Return what tells its versions apart."""


class MarkBucket(Protocol):
    """The bucket, as far as the mark needs it."""

    @property
    def name(self) -> str:
        """Return its name."""

    def get(self, key: str) -> tuple[bytes, StoredMark] | None:
        """Return an object's content, None if there is none."""

    def put(self, key: str, body: bytes, headers: ObjectHeaders, match: str) -> StoredMark:
        """Put an object if `match` (an ETag, or "*" for none yet) holds; PublishError if not."""


class OwnerMark:
    """The mark in one bucket. Its methods raise PublishError where that cannot be reached."""

    def __init__(
        self,
        bucket: MarkBucket,
        key: str = KEY,
        what: str = "the site in the bucket {} is built by",
    ) -> None:
        self._bucket, self._key, self._what = bucket, key, what

    def read(self) -> SiteOwner | None:
        """Return who owns the site; None for nobody."""
        found = self._found()
        return found[0] if found else None

    def check(self, who: str, site: str) -> None:
        """Return if the site is ours, or nobody's; nothing is written.

        Raises:
            OwnerError: another one owns it.
        """
        found = self._found()
        if found is not None and not _is(found[0], who, site):
            raise self._error(found[0], who)

    def claim(self, who: str, site: str, now: int, *, take_over: bool = False) -> SiteOwner:
        """Own the site from now on, or still; return the mark as it is.

        Args:
            who: "home" or "lambda".
            site: the identity of the catalogue.
            now: the current instant.
            take_over: even if another one owns it.

        Raises:
            OwnerError: another one does; the mark is as it was.
        """
        found = self._found()
        if found is None or (take_over and not _is(found[0], who, site)):
            self._put(SiteOwner(who, site, now), found[1] if found else _ABSENT)
            found = self._found()  # not every store minds conditions: who wrote last is seen here
        if found is None:
            raise PublishError(
                f"the mark {self._key} in the bucket {self._bucket.name} is gone again",
                hint="does somebody clean it? nothing was changed",
            )
        if not _is(found[0], who, site):
            raise self._error(found[0], who)
        return found[0]

    def _put(self, owner: SiteOwner, match: str) -> None:
        try:
            self._bucket.put(self._key, json.dumps(asdict(owner)).encode(), _HEADERS, match)
        except PublishError:
            if self._found() is None:  # else somebody was quicker, and that is told
                raise

    def _found(self) -> tuple[SiteOwner, str] | None:
        got = self._bucket.get(self._key)
        if got is None:
            return None
        content, stored = got
        try:
            told = json.loads(content)
            owner = SiteOwner(str(told["who"]), str(told["site"]), int(told["since"]))
        except (ValueError, TypeError, KeyError):
            owner = SiteOwner("somebody whose mark cannot be read", "", 0)
        return owner, stored.etag

    def _error(self, owner: SiteOwner, who: str) -> OwnedByAnotherError:
        same = " with another catalogue" if owner.who == who else ""
        return OwnedByAnotherError(
            f"{self._what.format(self._bucket.name)} {_named(owner.who)}{same},"
            f" since {rfc3339(owner.since)}",
            hint="stop that one, then start this one with --take-over",
        )


def _is(owner: SiteOwner, who: str, site: str) -> bool:
    return (owner.who, owner.site) == (who, site)


def _named(who: str) -> str:
    return {"home": "a worker at home", "lambda": "the Lambda"}.get(who, who)
