"""The owner mark: an object or tag that names the worker that builds and publishes a site.

Two builders with separate catalogues would both consume the queue, and each would lack the events
of the other. The mark keeps the second one from starting.
"""

import json
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from generator.core.delivery.publish_plan import ObjectHeaders
from generator.core.errors import OwnedByAnotherError, PublishError
from generator.core.formatting import rfc3339

KEY = "_reelshelf/owner.json"
_ABSENT = "*"
_TRIES = 3
_HEADERS = ObjectHeaders("application/json", "no-store")


@dataclass(frozen=True, slots=True)
class SiteOwner:
    """Who builds a site: `who` is "home" or "lambda", `site` the catalogue's identity.

    `since` is an instant. `state` is the number of the newest remote state that was written for it,
    0 if none was, or none is used.
    """

    who: str
    site: str
    since: int
    state: int = 0


class StoredMark(Protocol):
    """A stored mark."""

    @property
    def etag(self) -> str:
        """Return the version of the mark."""


class MarkBucket(Protocol):
    """The part of a bucket that the mark needs."""

    @property
    def name(self) -> str:
        """Return its name."""

    def get(self, key: str) -> tuple[bytes, StoredMark] | None:
        """Return an object's content, None if there is none."""

    def put(self, key: str, body: bytes, headers: ObjectHeaders, match: str) -> StoredMark:
        """Put an object if `match` (an ETag, or "*" for none yet) holds; PublishError if not."""


class OwnerMark:
    """The mark in one bucket. Methods raise PublishError if the bucket cannot be reached."""

    def __init__(
        self,
        bucket: MarkBucket,
        key: str = KEY,
        what: str = "the site in the bucket {} is built by",
    ) -> None:
        self._bucket, self._key, self._what = bucket, key, what

    def read(self) -> SiteOwner | None:
        """Return the owner of the site, None if there is none."""
        current = self._read()
        return current[0] if current else None

    def check(self, who: str, site: str) -> None:
        """Check that the site is ours, or has no owner; nothing is written.

        Raises:
            OwnedByAnotherError: another worker owns it.
        """
        current = self._read()
        if current is not None and not _is(current[0], who, site):
            raise self._error(current[0], who)

    def claim(self, who: str, site: str, now: int, *, take_over: bool = False) -> SiteOwner:
        """Become the owner of the site, or stay it; return the mark as it is now.

        Args:
            who: "home" or "lambda".
            site: the identity of the catalogue.
            now: the current instant.
            take_over: also if another worker owns it.

        Raises:
            OwnedByAnotherError: another worker does; the mark is as it was.
        """
        current = self._read()
        if current is None or (take_over and not _is(current[0], who, site)):
            state, match = (current[0].state, current[1]) if current else (0, _ABSENT)
            self._put(SiteOwner(who, site, now, state), match)
            current = self._read()  # not every store supports conditions: check who wrote last
        if current is None:
            raise PublishError(
                f"the mark {self._key} in the bucket {self._bucket.name} is gone again",
                hint="does another program delete it? nothing was changed",
            )
        if not _is(current[0], who, site):
            raise self._error(current[0], who)
        return current[0]

    def note_state(self, number: int) -> None:
        """Note in the mark that the remote state of this number was written, if it is the newest.

        Raises:
            PublishError: it is not noted.
        """
        failure: PublishError | None = None
        for _ in range(_TRIES):
            current = self._read()
            if current is None or current[0].state >= number:
                return
            body = json.dumps(asdict(replace(current[0], state=number))).encode()
            try:
                self._bucket.put(self._key, body, _HEADERS, current[1])
            except PublishError as error:  # perhaps another builder was quicker
                failure = error
        if failure is not None:
            raise failure

    def _put(self, owner: SiteOwner, match: str) -> None:
        try:
            self._bucket.put(self._key, json.dumps(asdict(owner)).encode(), _HEADERS, match)
        except PublishError:
            if self._read() is None:  # else another worker was quicker: `claim` reports that
                raise

    def _read(self) -> tuple[SiteOwner, str] | None:
        fetched = self._bucket.get(self._key)
        if fetched is None:
            return None
        content, stored = fetched
        try:
            fields = json.loads(content)
            who, site, since = str(fields["who"]), str(fields["site"]), int(fields["since"])
            owner = SiteOwner(who, site, since, int(fields.get("state", 0)))
        except (ValueError, TypeError, KeyError):
            owner = SiteOwner("an owner whose mark cannot be read", "", 0)
        return owner, stored.etag

    def _error(self, owner: SiteOwner, who: str) -> OwnedByAnotherError:
        same = " with another catalogue" if owner.who == who else ""
        return OwnedByAnotherError(
            f"{self._what.format(self._bucket.name)} {_display_name(owner.who)}{same},"
            f" since {rfc3339(owner.since)}",
            hint="stop that one, then start this one with --take-over",
        )


def _is(owner: SiteOwner, who: str, site: str) -> bool:
    return (owner.who, owner.site) == (who, site)


def _display_name(who: str) -> str:
    return {"home": "a worker at home", "lambda": "the Lambda"}.get(who, who)
