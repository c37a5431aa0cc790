"""Folders of this machine that no output folder may replace."""

import os
import pwd
import re
from contextlib import suppress
from pathlib import Path

from generator.core.library.folder_overlap import Folder

_FIRST_USER_ID = 1000  # accounts from this id on belong to people


def homes() -> set[str]:
    """Return the home folders of this machine, which an output folder must not replace."""
    people = [user for user in pwd.getpwall() if user.pw_uid == 0 or user.pw_uid >= _FIRST_USER_ID]
    folders = {os.path.expanduser("~"), *(user.pw_dir for user in people)}  # noqa: PTH111 (no error)
    real = {os.path.realpath(home) for home in folders if home.startswith("/")}
    return {home for home in real if home != "/" and Path(home).is_dir()}


def mounts() -> set[str]:
    """Return the mount points of whole file systems."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return set()
    fields = [line.split(" ") for line in lines.splitlines()]
    roots = {field[4] for field in fields if len(field) > 4 and field[3] == "/"}  # noqa: PLR2004
    return {re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), root) for root in roots}


def folder_named(name: str, path: Path) -> Folder:
    """Return a folder with its ids on the disk, and those of the folders above it."""
    real = os.path.realpath(path)
    ids = []
    for folder in (Path(real), *Path(real).parents):
        with suppress(OSError, ValueError):
            status = folder.stat()
            ids.append((status.st_dev, status.st_ino))
    return Folder(name, real, tuple(ids), Path(real).is_dir())
