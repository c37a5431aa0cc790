"""Ownership: a mark in the bucket names the catalogue of the site there.

It survives the ledger: without that, owned objects are still recognized. A non-empty bucket
without the mark of this site is treated as another site's, unless the user says otherwise.
"""

from collections.abc import Sequence

from generator.adapters.s3.bucket import Bucket
from generator.adapters.s3.owner_mark import OwnerMark
from generator.core.delivery.publish_plan import MARK, MEDIA_MARK, SITE_MARKS
from generator.core.errors import OwnedByAnotherError, PublishError
from generator.core.formatting import counted, readable, rfc3339
from generator.publish.publish_state import PublishState
from generator.publish.site_objects import SiteObjects

_SITE = "site"
_CLAIMED = "claimed"  # the fact that holds the target and the catalogue of the marks
_SHOWN = 5


class SiteOwnership:
    """The marks of a site: one in its bucket, and one in the bucket of its videos."""

    def __init__(self, objects: SiteObjects, state: PublishState, *, with_media: bool) -> None:
        self._objects, self._state = objects, state
        self._with_media = with_media and objects.is_apart

    def check(self, *, take_over: bool) -> bool:
        """Return whether the mark says that this site owns the bucket; writes nothing.

        Raises:
            PublishError: the bucket has another site.
        """
        is_ours = True
        for bucket, key in self._places():
            owner = OwnerMark(bucket, key).read()
            if owner is None:
                is_ours = False
            elif owner.site not in self._ours() and not take_over:
                since = f", since {rfc3339(owner.since)}" if owner.since else ""
                raise _owned_error(
                    f"the bucket {_where(bucket, key)} has another site in it{since}"
                )
        return is_ours

    def nested(self) -> tuple[str, ...]:
        """Return the prefixes of other sites below the prefix of this one."""
        own = self._objects.prefix
        marks = (stored.key for stored in self._objects.site.listed(SITE_MARKS + own))
        prefixes = (key.removeprefix(SITE_MARKS).removesuffix(MARK) for key in marks)
        return tuple(prefix for prefix in prefixes if prefix != own)

    def refuse(self, keys: Sequence[str], *, is_all: bool) -> None:
        """Refuse a bucket that has foreign objects.

        Raises:
            PublishError: always.
        """
        shown = ", ".join(readable(key) for key in keys[:_SHOWN])
        more = ", …" if len(keys) > _SHOWN or not is_all else ""
        count = counted(len(keys), "object") if is_all else f"{len(keys)} or more objects"
        bucket, key = self._places()[0]
        raise _owned_error(
            f"the bucket {_where(bucket, key)} holds {count} that reelshelf did not"
            f" upload: {shown}{more}"
        )

    def claim(self, *, take_over: bool) -> None:
        """Write the marks, unless they exist; called before anything is put.

        Raises:
            PublishError: another site was first.
        """
        identity = self._objects.identity
        claimed = f"{self._state.target()} {identity}"
        if self._state.get(_CLAIMED) == claimed:
            return
        former = self._ours() - {identity}
        for bucket, key in self._places():
            mark = OwnerMark(bucket, key)
            owner = mark.read()
            was_ours = owner is not None and owner.site in former
            try:
                mark.claim(_SITE, identity, self._state.now(), take_over=take_over or was_ours)
            except OwnedByAnotherError as error:
                raise _owned_error(
                    f"the bucket {_where(bucket, key)} has another site in it"
                ) from error
        self._state.remember(**{_CLAIMED: claimed})

    def _places(self) -> list[tuple[Bucket, str]]:
        objects = self._objects
        places = [(objects.site, SITE_MARKS + objects.prefix + MARK)]
        return [*places, (objects.media, MEDIA_MARK)] if self._with_media else places

    def _ours(self) -> set[str]:
        """Return the ids of this site: the catalogue's now, and when marks were last written."""
        target, _, former = self._state.get(_CLAIMED).rpartition(" ")
        return {self._objects.identity, *([former] if target == self._state.target() else [])}


def _where(bucket: Bucket, key: str) -> str:
    prefix = key.removeprefix(SITE_MARKS).removesuffix(MARK) if key != MEDIA_MARK else ""
    return f"{bucket.name} below {prefix}" if prefix else bucket.name


def _owned_error(what: str) -> PublishError:
    return PublishError(
        what,
        hint="publish into an empty bucket, or below another path (site_url);"
        " `reelshelf publish --replace --dry-run` lists what would be replaced, and"
        " --replace replaces it"
        + ("" if "another site" in what else ", while --keep-others publishes beside it")
        + "; nothing was changed",
    )
