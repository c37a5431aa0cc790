"""Whether the catalogue that is open is still the one at its path, and the way to another one.

SQLite goes on writing to a file that was removed or renamed, without a word. Whoever promises that
something is kept asks here before it writes, and once more before it answers. No catalogue is ever
made in the place of one that was there.
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
_PATIENCE = 5  # as often as it took to fail, before the same file is opened again
_MOST_PATIENCE_S = 60.0
_Stamp = tuple[int, int, int, int]  # device, inode, size in bytes, time of the last change in ns


class CatalogueLostError(ReelshelfError):
    """There was a catalogue, and now there is none that can be opened; nothing was changed."""


@dataclass(frozen=True, slots=True)
class OpenCatalogue:
    """A catalogue that is open, and what its file looked like then."""

    catalogue: Catalogue
    path: Path
    stamp: _Stamp

    def is_current(self) -> bool:
        """Tell whether it lies at its path, and nobody wrote past SQLite's log since.

        Who does is SQLite mostly, once in many events, when it carries its log home.
        """
        return _stamp(self.path) == self.stamp

    @property
    def file(self) -> _FileId:
        """Return which file it is."""
        return self.stamp[:2]


class CatalogueFile:
    """The place of the catalogue, for everything in this process that opens it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.generation = 0  # counts the states of the catalogue that do not follow from another
        self._lock = Lock()
        self._was_there = path.exists()
        self._file: _FileId | None = None
        self._log_file: _FileId | None = None  # SQLite's log beside it, the "-wal"
        # SQLite's number of the tables' state: in the file alone, and with its log
        self._cookies: tuple[int | None, int] = (None, 0)
        self._log_stamp: _Stamp | None = None
        self._failed: tuple[_Stamp | None, float, ReelshelfError] | None = None
        self.trouble = ""  # why there is none just now, as it was logged

    def open(self, opened: Callable[[], Catalogue]) -> OpenCatalogue:
        """Open the catalogue that is there now; a first one may be made.

        To be called while the former one is still open: that keeps its number from being given to
        another file.

        Raises:
            CatalogueLostError: there was one, and there is none now.
            SettingsError: what is there is no catalogue.
        """
        with self._lock:
            self._wait_after_failure()
            begun_s = time.monotonic()
            try:
                found = self._opened(opened)
            except ReelshelfError as error:
                end_s = time.monotonic()
                until_s = end_s + min(_PATIENCE * (end_s - begun_s), _MOST_PATIENCE_S)
                self._failed = _stamp(self.path), until_s, error
                if str(error) != self.trouble:
                    self.trouble = str(error)
                    log.warning("no catalogue, nothing is recorded: %s  %s", error, error.hint)
                raise
            if self._file not in {None, found.file}:
                self.generation += 1
                log.warning("another catalogue lies at %s: it is the open one now", self.path)
            elif self.trouble:
                log.warning("the catalogue is back at %s", self.path)
            beside = _stamp(_log_of(self.path))
            self._file, self._log_file = found.file, None if beside is None else beside[:2]
            self._was_there, self.trouble, self._failed = True, "", None
            return found

    def looked(self, catalogue: Catalogue) -> None:
        """Take note of what the open file and its log are like, after something was written."""
        self._cookies = self._cookies[0], catalogue.schema_version()
        self._log_stamp = _stamp(_log_of(self.path))

    def restored(self) -> None:
        """Take note that an earlier state was copied into the open file."""
        self.generation += 1
        log.warning(
            "the catalogue at %s was restored to an earlier state: it is the open one now",
            self.path,
        )

    def _opened(self, opened: Callable[[], Catalogue]) -> OpenCatalogue:
        before = _stamp(self.path)
        if self._was_there:
            self._look(before)
        catalogue = opened()
        after = _stamp(self.path)
        if after is None or (before is not None and before[:2] != after[:2]):
            catalogue.close()
            raise CatalogueLostError(f"the catalogue at {self.path} is being replaced")
        try:
            self._look_into(catalogue, after)
        except ReelshelfError:
            catalogue.close()
            raise
        return OpenCatalogue(catalogue, self.path, after)

    def _wait_after_failure(self) -> None:
        """Raise what was raised before, if the file is the same: SQLite may wait long for it."""
        if self._failed is not None:
            stamp, until_s, error = self._failed
            if time.monotonic() < until_s and stamp == _stamp(self.path):
                raise error.with_traceback(None)

    def _look_into(self, catalogue: Catalogue, stamp: _Stamp) -> None:
        """Refuse a file that somebody copied another one over, while SQLite's log lies beside it.

        What the log holds belongs to pages of the former content.
        """
        cookie, log_stamp = _cookie_of(self.path), _stamp(_log_of(self.path))
        is_strange = (
            self._file == stamp[:2]
            and None not in {cookie, self._cookies[0]}
            and cookie not in self._cookies  # as SQLite would leave it that carries its log home
            and (log_stamp == self._log_stamp or cookie != catalogue.schema_version())
        )
        if is_strange and log_stamp is not None and log_stamp[2]:
            raise SettingsError(
                f"the catalogue at {self.path} was written over while it was open",
                hint="stop everything, remove the files that end with -wal and -shm, and put the"
                " backup in place again; `reelshelf restore` needs no stop",
            )
        self._cookies = self._cookies[0] if cookie is None else cookie, 0
        self.looked(catalogue)

    def _look(self, stamp: _Stamp | None) -> None:
        if stamp is None or not stamp[2]:
            what = "gone" if stamp is None else "an empty file"
            raise CatalogueLostError(
                f"the catalogue at {self.path} is {what}", hint="put it back, or restore a backup"
            )
        if self._file in {None, stamp[:2]} or self._log_file is None:
            return
        beside = _log_of(self.path)
        log_stamp = _stamp(beside)
        if log_stamp is not None and log_stamp[:2] == self._log_file and log_stamp[2]:
            raise SettingsError(
                f"beside the catalogue at {self.path} lies the log of the one before it, {beside},"
                " which SQLite would write into it",
                hint="`reelshelf restore` puts a backup in place; or stop everything, and remove"
                " the files that end with -wal and -shm",
            )


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _cookie_of(path: Path) -> int | None:
    """Return what the file says without its log; None where it cannot be read just now."""
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
