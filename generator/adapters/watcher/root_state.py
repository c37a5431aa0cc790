"""The state of a root: its folder, its mounts, and the inotify limits of the system.

A watch stays on the folder that it was set on. If the path of the root is another folder now, the
watch has to be set again; this module detects that.
"""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from generator.core.library.mounts import Mount, mounts_of, parse_mounts

_MOUNTS = Path("/proc/self/mountinfo")
_SYSCTLS = Path("/proc/sys/fs/inotify")
_LIMITS = {  # the limit that an error is about, and the least recommended value
    errno.ENOSPC: ("max_user_watches", 524_288),
    errno.EMFILE: ("max_user_instances", 1_024),
}


@dataclass(frozen=True, slots=True)
class RootFolder:
    """A root's folder, by its path without links, and what determines how to watch it."""

    path: str
    device: int
    inode: int
    mounts: tuple[Mount, ...]
    limits: tuple[int, ...]

    @property
    def remote(self) -> Mount | None:
        """Return the first network mount in it, where remote changes are not reported, or None."""
        return next((mount for mount in self.mounts if mount.is_remote), None)

    @property
    def unreliable(self) -> Mount | None:
        """Return the first mount in it that may change without events, or None."""
        return next((mount for mount in self.mounts if not mount.is_local), None)


def survey_root(root: Path) -> RootFolder | None:
    """Return the current state of a root, None if there is no folder."""
    try:
        path = os.fspath(root.resolve(strict=True))
        status = Path(path).stat()
    except (OSError, RuntimeError):  # RuntimeError: a loop of links, until Python 3.13
        return None
    if not stat.S_ISDIR(status.st_mode):
        return None
    mounts = mounts_of(path, parse_mounts(os.fsdecode(_read(_MOUNTS))))
    limits = tuple(_limit(name) for name, _ in _LIMITS.values())
    return RootFolder(path, status.st_dev, status.st_ino, mounts, limits)


def advice(root: Path, error: OSError) -> str:
    """Return why a root cannot be watched and, if a limit is the reason, how to raise it."""
    if error.errno not in _LIMITS:
        return f"{root} cannot be watched: {error.strerror}"
    name, least = _LIMITS[error.errno]
    enough = max(least, 2 * _limit(name))
    setting = f"fs.inotify.{name}={enough}"
    return (
        f"{root} cannot be watched, as the system's limit fs.inotify.{name} ({_limit(name)}) is "
        f"used up: raise it with `sudo sysctl {setting}`, and write {setting} to "
        "/etc/sysctl.d/60-reelshelf.conf to keep it"
    )


def _limit(name: str) -> int:
    return int(_read(_SYSCTLS / name) or 0)


def _read(path: Path) -> bytes:
    """Return the content of a system file, b"" if there is none."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
