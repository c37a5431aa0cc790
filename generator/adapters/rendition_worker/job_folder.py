"""Scratch: the files of one job, in the folder that the worker is in; each is whole or not there.

What is finished is on the disk before its name is, so that a power cut leaves nothing that only
looks finished.
"""

import json
import os
from pathlib import Path
from typing import Any

from generator.core.media.renditions import LOCK, PLAN, UNFINISHED, is_job_file

_MOST_BYTES = 64 << 20  # of a note; a minute's is some 30 kB


def unfinished(name: str) -> str:
    """Return the name that a file has while it is written."""
    return UNFINISHED + name


def keep(name: str) -> int:
    """Give a file that was written under its unfinished name its own; return its size in bytes."""
    descriptor = os.open(unfinished(name), os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
        size_bytes = os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    Path(unfinished(name)).rename(name)
    return size_bytes


def write(name: str, content: bytes) -> None:
    """Write a whole file in the place of what was there."""
    Path(unfinished(name)).write_bytes(content)
    keep(name)


def write_note(name: str, said: dict[str, Any]) -> None:
    """Write a file in JSON."""
    write(name, json.dumps(said, separators=(",", ":")).encode("ascii"))


def read_note(name: str) -> dict[str, Any] | None:
    """Return what a file in JSON says, None where there is none or it is damaged."""
    try:
        with Path(name).open("rb") as file:
            said = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def size_of(name: str) -> int:
    """Return how large a file is, -1 where there is none."""
    try:
        return Path(name).stat().st_size
    except OSError:
        return -1


def total_bytes() -> int:
    """Return how much all files take up."""
    return sum(max(0, size_of(entry.name)) for entry in os.scandir("."))


def keep_or_clear(plan: dict[str, Any]) -> None:
    """Keep what lies there if it came of the same plan; otherwise begin with nothing."""
    if read_note(PLAN) == plan:
        clear_unfinished()
        return
    keep_only()
    write_note(PLAN, plan)


def clear_unfinished() -> None:
    """Remove what was being written when the work was broken off."""
    for name in _ours():
        if name.startswith(UNFINISHED):
            Path(name).unlink()


def keep_only(*names: str) -> None:
    """Remove every file of ours but these and the lock."""
    for name in _ours():
        if name not in {*names, LOCK}:
            Path(name).unlink()


def _ours() -> list[str]:
    """Return the files that lie there and are ours; what somebody else put there is let be."""
    with os.scandir(".") as entries:
        return [
            entry.name
            for entry in entries
            if is_job_file(entry.name) and not entry.is_dir(follow_symlinks=False)
        ]
