"""The files of one job, in the working folder of the process; each is complete or missing.

A finished file is synced to disk before it gets its name, so that a power cut leaves no truncated
one.
"""

import json
import os
from pathlib import Path
from typing import Any

from generator.core.media.renditions import LOCK, PLAN, UNFINISHED, is_job_file

_MAX_BYTES = 64 << 20  # of a JSON file; that of a minute is some 30 kB


def unfinished(name: str) -> str:
    """Return the name that a file has while it is written."""
    return UNFINISHED + name


def keep(name: str) -> int:
    """Sync a file and rename it from its unfinished name; return its size in bytes."""
    descriptor = os.open(unfinished(name), os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
        size_bytes = os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    Path(unfinished(name)).rename(name)
    return size_bytes


def write(name: str, content: bytes) -> None:
    """Write a file atomically."""
    Path(unfinished(name)).write_bytes(content)
    keep(name)


def write_note(name: str, content: dict[str, Any]) -> None:
    """Write a JSON file atomically."""
    write(name, json.dumps(content, separators=(",", ":")).encode("ascii"))


def read_note(name: str) -> dict[str, Any] | None:
    """Return the object in a JSON file, None if it is missing or damaged."""
    try:
        with Path(name).open("rb") as file:
            content = json.loads(file.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def size_of(name: str) -> int:
    """Return the size of a file, -1 if it is missing."""
    try:
        return Path(name).stat().st_size
    except OSError:
        return -1


def total_bytes() -> int:
    """Return the size of all files."""
    return sum(max(0, size_of(entry.name)) for entry in os.scandir("."))


def keep_or_clear(plan: dict[str, Any]) -> None:
    """Keep the finished files if they are from the same plan; otherwise start over."""
    if read_note(PLAN) == plan:
        clear_unfinished()
        return
    keep_only()
    write_note(PLAN, plan)


def clear_unfinished() -> None:
    """Remove files that were being written when the job was interrupted."""
    for name in _ours():
        if name.startswith(UNFINISHED):
            Path(name).unlink()


def keep_only(*names: str) -> None:
    """Remove all files of the job except these and the lock."""
    for name in _ours():
        if name not in {*names, LOCK}:
            Path(name).unlink()


def _ours() -> list[str]:
    """Return the files of the job; others in the folder are left alone."""
    with os.scandir(".") as entries:
        return [
            entry.name
            for entry in entries
            if is_job_file(entry.name) and not entry.is_dir(follow_symlinks=False)
        ]
