"""Claims: a mark in the bucket says of which catalogue the site there is.

It outlives the ledger: who has lost that finds its own objects again. Where there is no mark of
ours, a bucket with anything in it is somebody else's, until a person says otherwise.
"""

from collections.abc import Sequence

from generator.adapters.s3.bucket import Bucket
from generator.adapters.s3.owner_mark import OwnerMark
from generator.core.delivery.publish_plan import MARK, MEDIA_MARK, SITE_MARKS
from generator.core.errors import OwnedByAnotherError, PublishError
from generator.core.formatting import readable, rfc3339
from generator.publish.publish_state import PublishState
from generator.publish.site_objects import SiteObjects

_SITE = "site"
_CLAIMED = "claimed"  # the fact that tells for which places and which catalogue there are marks
_SHOWN = 5


class SiteOwnership:
    """The marks of a site: one in its bucket, and one in the bucket of its videos."""

    def __init__(self, objects: SiteObjects, facts: PublishState, *, with_media: bool) -> None:
        self._objects, self._facts = objects, facts
        self._with_media = with_media and objects.is_apart

    def check(self, *, take_over: bool) -> bool:
        """Tell whether the bucket was ours before, as its mark says; nothing is written.

        Raises:
            PublishError: another site is there.
        """
        is_ours = True
        for bucket, key in self._places():
            owner = OwnerMark(bucket, key).read()
            if owner is None:
                is_ours = False
            elif owner.site not in self._ours() and not take_over:
                since = f", since {rfc3339(owner.since)}" if owner.since else ""
                raise _is_another(f"the bucket {_where(bucket, key)} has another site in it{since}")
        return is_ours

    def nested(self) -> tuple[str, ...]:
        """Return the prefixes of other sites that lie in the place of this one."""
        own = self._objects.prefix
        marks = (one.key for one in self._objects.site.listed(SITE_MARKS + own))
        found = (key.removeprefix(SITE_MARKS).removesuffix(MARK) for key in marks)
        return tuple(prefix for prefix in found if prefix != own)

    def refuse(self, keys: Sequence[str], *, is_all: bool) -> None:
        """Refuse a bucket that has objects of others.

        Raises:
            PublishError: always.
        """
        shown = ", ".join(readable(key) for key in keys[:_SHOWN])
        more = ", …" if len(keys) > _SHOWN or not is_all else ""
        count = f"{len(keys)}" if is_all else f"{len(keys)} or more"
        bucket, key = self._places()[0]
        raise _is_another(
            f"the bucket {_where(bucket, key)} holds {count} objects that reelshelf did not put"
            f" there: {shown}{more}"
        )

    def claim(self, *, take_over: bool) -> None:
        """Leave the marks, unless they are there; called before anything is put.

        Raises:
            PublishError: another site was quicker.
        """
        identity = self._objects.identity
        claimed = f"{self._facts.target()} {identity}"
        if self._facts.get(_CLAIMED) == claimed:
            return
        former = self._ours() - {identity}
        for bucket, key in self._places():
            mark = OwnerMark(bucket, key)
            owner = mark.read()
            was_ours = owner is not None and owner.site in former
            try:
                mark.claim(_SITE, identity, self._facts.now(), take_over=take_over or was_ours)
            except OwnedByAnotherError as error:
                raise _is_another(
                    f"the bucket {_where(bucket, key)} has another site in it"
                ) from error
        self._facts.remember(**{_CLAIMED: claimed})

    def _places(self) -> list[tuple[Bucket, str]]:
        objects = self._objects
        places = [(objects.site, SITE_MARKS + objects.prefix + MARK)]
        return [*places, (objects.media, MEDIA_MARK)] if self._with_media else places

    def _ours(self) -> set[str]:
        """Return whose marks are ours: of the catalogue as it is, and as it was when we left it."""
        target, _, former = self._facts.get(_CLAIMED).rpartition(" ")
        return {self._objects.identity, *([former] if target == self._facts.target() else [])}


def _where(bucket: Bucket, key: str) -> str:
    prefix = key.removeprefix(SITE_MARKS).removesuffix(MARK) if key != MEDIA_MARK else ""
    return f"{bucket.name} below {prefix}" if prefix else bucket.name


def _is_another(what: str) -> PublishError:
    return PublishError(
        what,
        hint="publish into a bucket of its own, or below a path of its own (site_url);"
        " `reelshelf publish --replace --dry-run` lists what lies where pages of ours belong, and"
        " --replace replaces it"
        + ("" if "another site" in what else ", while --adopt publishes beside it")
        + "; nothing was changed",
    )
