"""Whether the open catalogue is still the one at its path, and how to open its replacement.

SQLite silently goes on writing to a file that was removed or renamed. So the API checks here before
it writes, and again before it acknowledges. Where there was a catalogue, none is ever created anew.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from generator.adapters.catalogue import Catalogue
from generator.core.errors import ReelshelfError, SettingsError

log = logging.getLogger(__name__)
_FileId = tuple[int, int]  # device and inode
_PATIENCE = 5  # times as long as it took to fail, before the same file is opened again
_MAX_PATIENCE_S = 60.0
_Stamp = tuple[int, int, int, int]  # device, inode, size in bytes, time of the last change in ns


class CatalogueLostError(ReelshelfError):
    """The catalogue is gone, or cannot be opened any more; nothing was changed."""


@dataclass(frozen=True, slots=True)
class OpenCatalogue:
    """An open catalogue, and the stat of its file when it was opened."""

    catalogue: Catalogue
    path: Path
    stamp: _Stamp

    def is_current(self) -> bool:
        """Return whether it is still at its path, and its main file was not written to since.

        Mostly it is SQLite that writes there, once in many events, at a WAL checkpoint.
        """
        return _stamp(self.path) == self.stamp

    @property
    def file(self) -> _FileId:
        """Return the device and inode of its file."""
        return self.stamp[:2]


class CatalogueFile:
    """The path of the catalogue, shared by everything in this process that opens it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.generation = 0  # grows when the catalogue is replaced or restored
        self._lock = Lock()
        self._was_there = path.exists()
        self._file: _FileId | None = None
        self._log_file: _FileId | None = None  # SQLite's write-ahead log, "-wal"
        # SQLite's schema cookie: in the main file alone, and with the WAL
        self._cookies: tuple[int | None, int] = (None, 0)
        self._log_stamp: _Stamp | None = None
        self._failed: tuple[_Stamp | None, float, ReelshelfError] | None = None
        self.trouble = ""  # why none is open now, as logged

    def open(self, open_catalogue: Callable[[], Catalogue]) -> OpenCatalogue:
        """Open the catalogue at the path; the very first one may be created.

        Call it while the former one is still open, so that its inode is not reused.

        Raises:
            CatalogueLostError: there was one, and it is gone.
            SettingsError: the file is not a catalogue.
        """
        with self._lock:
            self._raise_recent_failure()
            begun_s = time.monotonic()
            try:
                current = self._open_checked(open_catalogue)
            except ReelshelfError as error:
                end_s = time.monotonic()
                until_s = end_s + min(_PATIENCE * (end_s - begun_s), _MAX_PATIENCE_S)
                self._failed = _stamp(self.path), until_s, error
                if str(error) != self.trouble:
                    self.trouble = str(error)
                    log.warning("no catalogue, writes are refused: %s  %s", error, error.hint)
                raise
            if self._file not in {None, current.file}:
                self.generation += 1
                log.warning(
                    "the catalogue at %s was replaced: the new one is now in use", self.path
                )
            elif self.trouble:
                log.warning("the catalogue is back at %s", self.path)
            log_stamp = _stamp(_log_of(self.path))
            self._file, self._log_file = current.file, None if log_stamp is None else log_stamp[:2]
            self._was_there, self.trouble, self._failed = True, "", None
            return current

    def note_state(self, catalogue: Catalogue) -> None:
        """Remember the state of the open file and its WAL, after a write."""
        self._cookies = self._cookies[0], catalogue.schema_version()
        self._log_stamp = _stamp(_log_of(self.path))

    def note_restored(self) -> None:
        """Note that a backup was restored into the open file."""
        self.generation += 1
        log.warning(
            "the catalogue at %s was restored: the earlier state is now in use",
            self.path,
        )

    def _open_checked(self, open_catalogue: Callable[[], Catalogue]) -> OpenCatalogue:
        before = _stamp(self.path)
        if self._was_there:
            self._check_path(before)
        catalogue = open_catalogue()
        after = _stamp(self.path)
        if after is None or (before is not None and before[:2] != after[:2]):
            catalogue.close()
            raise CatalogueLostError(f"the catalogue at {self.path} is being replaced")
        try:
            self._check_content(catalogue, after)
        except ReelshelfError:
            catalogue.close()
            raise
        return OpenCatalogue(catalogue, self.path, after)

    def _raise_recent_failure(self) -> None:
        """Raise the last error again while the file is the same: SQLite may wait long for it."""
        if self._failed is not None:
            stamp, until_s, error = self._failed
            if time.monotonic() < until_s and stamp == _stamp(self.path):
                raise error.with_traceback(None)

    def _check_content(self, catalogue: Catalogue, stamp: _Stamp) -> None:
        """Refuse a file that another one was copied over while its WAL is still there.

        The WAL holds pages of the former content.
        """
        cookie, log_stamp = _cookie_of(self.path), _stamp(_log_of(self.path))
        is_strange = (
            self._file == stamp[:2]
            and None not in {cookie, self._cookies[0]}
            and cookie not in self._cookies  # as after a WAL checkpoint
            and (log_stamp == self._log_stamp or cookie != catalogue.schema_version())
        )
        if is_strange and log_stamp is not None and log_stamp[2]:
            raise SettingsError(
                f"the catalogue at {self.path} was overwritten while it was open",
                hint="stop everything, remove the files that end with -wal and -shm, and copy the"
                " backup there again; `reelshelf restore` needs no stop",
            )
        self._cookies = self._cookies[0] if cookie is None else cookie, 0
        self.note_state(catalogue)

    def _check_path(self, stamp: _Stamp | None) -> None:
        if stamp is None or not stamp[2]:
            what = "gone" if stamp is None else "an empty file"
            raise CatalogueLostError(
                f"the catalogue at {self.path} is {what}", hint="move it back, or restore a backup"
            )
        if self._file in {None, stamp[:2]} or self._log_file is None:
            return
        beside = _log_of(self.path)
        log_stamp = _stamp(beside)
        if log_stamp is not None and log_stamp[:2] == self._log_file and log_stamp[2]:
            raise SettingsError(
                f"the write-ahead log of a former catalogue, {beside}, is still there: SQLite"
                f" would apply it to the one at {self.path}",
                hint="use `reelshelf restore` for a backup; or stop everything, and remove the"
                " files that end with -wal and -shm",
            )


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _cookie_of(path: Path) -> int | None:
    """Return the schema cookie of the file without its WAL; None where it cannot be read now."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as file:
            return int(file.execute("PRAGMA schema_version").fetchone()[0])
    except sqlite3.Error:
        return None


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = os.stat(path)  # noqa: PTH116 (at every request: pathlib costs more than the call)
    except OSError:  # gone, or with its folder, or with the disk
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
