"""The guard: a scan that would lose too much is not believed."""

from collections.abc import Mapping
from dataclasses import dataclass

_FEW = 10  # so many may always go at once: a person tidied up


@dataclass(frozen=True, slots=True)
class RootLook:
    """A root before and after a scan: videos known in it, how many are lost, what it is like."""

    path: str
    known: int
    lost: int
    trouble: str
    is_empty: bool
    other_device: bool


def objection(roots: Mapping[str, RootLook], loss_limit: float) -> str:
    """Return why a scan is not to be believed, "" when it may be.

    Args:
        roots: every root that was scanned.
        loss_limit: the share of all known videos, 0 to 1, that may be lost at once.
    """
    for look in roots.values():
        if look.trouble and look.known:
            return (
                f"{look.path} cannot be read ({look.trouble}), and {_videos(look.known)} are there"
            )
        if look.is_empty and look.lost:
            return f"{look.path} is empty, and {_videos(look.lost)} should be there"
        if look.other_device and look.lost:
            return (
                f"{look.path} is on another device than at the last scan,"
                f" and {_videos(look.lost)} would be lost"
            )
    known = sum(look.known for look in roots.values())
    lost = sum(look.lost for look in roots.values())
    if lost > _FEW and lost > loss_limit * known:
        return f"{lost} of {_videos(known)} would be lost"
    return ""


def _videos(count: int) -> str:
    return f"{count} video{'s' * (count != 1)}"
