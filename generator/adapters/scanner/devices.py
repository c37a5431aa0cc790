"""Devices: identify the file system of a root, now and after a restart."""

import os
from pathlib import Path

from generator.adapters.scanner.report import Walk
from generator.core.library.guard import Device

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def devices(walk: Walk) -> dict[str, Device]:
    """Return the device of each root that could be read, by the root's path."""
    boot = _boot()
    return {
        state.path: Device(boot, state.device, _file_system(state.path, state.device))
        for state in walk.roots.values()
        if state.device is not None and not state.trouble
    }


def _file_system(path: str, number: int) -> int:
    """Return the id of a file system, 0 if it is only the device number (XFS, FAT)."""
    try:
        fsid = os.statvfs(path).f_fsid
    except OSError:
        return 0
    return 0 if fsid == number else fsid


def _boot() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""
