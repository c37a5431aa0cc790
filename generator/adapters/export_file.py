"""Writes an export to a file: whole or not at all, and never over a file that is none."""

import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from generator.core.errors import SettingsError
from generator.core.library.export_format import CSV_START, JSON_START

_PRIVATE = 0o600  # it has the pseudonyms of visitors
_DATABASE = b"SQLite format 3\0"


def write_export(file: Path, content: Iterable[bytes], *, force: bool = False) -> int:
    """Write an export; return its size in bytes.

    Args:
        file: it may be an earlier export; a new one is readable by its owner only.
        content: what it is to hold, in pieces.
        force: another file may be there, but no database.

    Raises:
        SettingsError: another file is there, or it cannot be written; it is as it was.
    """
    target = file.resolve()  # behind a link
    is_there = os.path.lexists(target)
    _require_replaceable(file, target, force=force)
    scratch = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
        try:
            with os.fdopen(descriptor, "wb") as written:
                written.writelines(content)
                written.flush()
                os.fsync(written.fileno())
                size = written.tell()
            if is_there:
                shutil.copymode(target, scratch)
                scratch.replace(target)
            else:
                _rename_to_new(scratch, target)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SettingsError(
            f"cannot write {file}: {error.strerror}", hint="it is as it was; choose another file"
        ) from error
    return size


def _require_replaceable(file: Path, target: Path, *, force: bool) -> None:
    try:
        status = target.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise SettingsError(f"cannot write {file}: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise SettingsError(
            f"{file} is no regular file",
            hint="name a file; without --output the export is printed",
        )
    try:
        with target.open("rb") as opened:
            start = opened.read(max(len(CSV_START), len(JSON_START)))
    except OSError as error:
        raise SettingsError(f"cannot write {file}: {error.strerror}") from error
    if start.startswith(_DATABASE):
        raise SettingsError(f"{file} is a database", hint="it is as it was; choose another file")
    if not force and not start.startswith((CSV_START, JSON_START)):
        raise SettingsError(
            f"{file} exists, and is not an export of reelshelf",
            hint="it is as it was; choose another file, or replace this one with --force",
        )


def _rename_to_new(scratch: Path, target: Path) -> None:
    """Rename a file unless another came meanwhile."""
    try:
        os.link(scratch, target)
    except FileExistsError:
        raise
    except OSError:  # no links on this file system
        scratch.replace(target)
    else:
        scratch.unlink()
