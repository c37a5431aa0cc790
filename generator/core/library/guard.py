"""The guard: a scan that would lose too much of the library is rejected."""

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass

_FEW = 10  # this many may always be lost at once: somebody deleted files


@dataclass(frozen=True, slots=True)
class Device:
    """The identity of a root's device: `number` is st_dev, which is valid for one `boot`.

    `file_system` is statvfs's f_fsid, which lasts as long as the file system itself; 0 where the
    system has none, or repeats the number.
    """

    boot: str
    number: int
    file_system: int


def is_other(before: Device, now: Device) -> bool:
    """Return whether two devices are certainly different."""
    if before.file_system and now.file_system:
        return before.file_system != now.file_system
    return before.boot == now.boot != "" and before.number != now.number


def encode_devices(devices: Mapping[str, Device]) -> str:
    """Return devices by the path of their roots as JSON."""
    return json.dumps({path: astuple(one) for path, one in sorted(devices.items())})


def decode_devices(text: str) -> dict[str, Device]:
    """Return the devices that `encode_devices` encoded; {} for ""."""
    rows: dict[str, tuple[str, int, int]] = json.loads(text or "{}")
    return {path: Device(*row) for path, row in rows.items()}


@dataclass(frozen=True, slots=True)
class RootChange:
    """A root before and after a scan: how many videos it had, and how many are lost.

    `trouble` is why it cannot be read, "" for nothing. `copied` counts videos whose own file is
    gone while a copy of it is there.
    """

    path: str
    videos: int
    lost: int
    trouble: str
    is_empty: bool
    other_device: bool
    copied: int = 0


def objection(roots: Mapping[str, RootChange], loss_limit: float) -> str:
    """Return why a scan is rejected, "" when it is not.

    Args:
        roots: every root that was scanned.
        loss_limit: the share of all known videos, 0 to 1, that may be lost at once.
    """
    for root in roots.values():
        if root.trouble and root.videos:
            return (
                f"{root.path} cannot be read ({root.trouble}), and {_videos(root.videos)} are there"
            )
        if root.is_empty and root.lost:
            return f"{root.path} is empty, and {_videos(root.lost)} should be there"
        if root.other_device and root.lost + root.copied:
            return (
                f"{root.path} is on another device than at the last scan,"
                f" and {_videos(root.lost + root.copied)} would be lost"
            )
    videos = sum(root.videos for root in roots.values())
    lost = sum(root.lost for root in roots.values())
    if lost > _FEW and lost > loss_limit * videos:
        return f"{lost} of {_videos(videos)} would be lost"
    return ""


def _videos(count: int) -> str:
    return f"{count} video{'s' * (count != 1)}"
