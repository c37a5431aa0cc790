"""Counters and times of requests, shared by all processes of this machine through files.

Each process counts in a file of its own, mapped into memory: counting is an addition in place, and
whoever reads sees it at once, also after the process was killed. A process takes the first file
that no living process holds (by a lock) and goes on counting in it, so that counters never go
backwards, and there are as many files as there were processes at one time.

A file has a header, the counters as they are now, and what they were at the begin of each of the
last minutes in which anything was counted, from which figures of the last minutes follow.
"""

import fcntl
import mmap
import os
import struct
import time
from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from generator.core.measurements import BOUNDS_S

MINUTES = 60  # that are remembered
_BUCKETS = len(BOUNDS_S) + 1
_SUM, _ERRORS, _REFUSED, _ROUTE = _BUCKETS, _BUCKETS + 1, _BUCKETS + 2, _BUCKETS + 3
_HEADER = struct.Struct("<8sIIqq")  # magic, layout, size in words, pid, begun at
_HEADER_BYTES = 64
_MAGIC = b"rscount1"
_WORD = 8
_MAX_FILES = 256
_US = 1_000_000
_SERVER_ERROR, _CLIENT_ERROR = 500, 400


@dataclass(frozen=True, slots=True)
class RouteCounts:
    """What was counted of one route: a histogram, the sum of seconds, and answers with an error.

    `errors` are 5xx, `refused` are 4xx.
    """

    route: str
    method: str
    buckets: tuple[int, ...]
    seconds: float
    errors: int
    refused: int

    @property
    def count(self) -> int:
        """Return how many requests there were."""
        return sum(self.buckets)


@dataclass(frozen=True, slots=True)
class CountsRead:
    """The sum of several processes: routes, other counters by name, and the pids that are alive."""

    routes: tuple[RouteCounts, ...]
    counters: dict[str, int]
    pids: tuple[int, ...]


class RequestCounters:
    """The counters of this process, and the sum with those of the others. It is thread-safe.

    A count may be lost when two threads count the same at the same instant; the API counts in one.
    """

    def __init__(
        self,
        folder: Path | None,
        routes: Sequence[tuple[str, str]],
        names: Sequence[str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take a file; without one, as on a full disk, count in memory.

        Args:
            folder: where the files are; None: count in memory, for this process alone.
            routes: (template of the path, method), a bounded set.
            names: of the other counters.
            clock: returns seconds since 1970.
        """
        self._routes, self._names, self._clock = tuple(routes), tuple(names), clock
        self._size = len(self._routes) * _ROUTE + len(self._names)
        layout = repr((self._routes, self._names, BOUNDS_S, MINUTES))
        self._layout = crc32(layout.encode())
        self._row = self._size + 1  # of the ring: the minute, and the counters at its begin
        self._bytes = _HEADER_BYTES + (self._size + MINUTES * self._row) * _WORD
        self._folder, self._file = folder, -1
        memory: mmap.mmap | None = None
        if folder is not None:
            with suppress(OSError):
                memory = self._taken(folder)
        if memory is None:
            memory = mmap.mmap(-1, self._bytes)
        self._memory = memory
        self._words = memoryview(memory)[_HEADER_BYTES:].cast("q")
        self._place = {key: number * _ROUTE for number, key in enumerate(self._routes)}
        base = len(self._routes) * _ROUTE
        self._named = {name: base + number for number, name in enumerate(self._names)}
        self._minute_end_s = 0.0

    def _taken(self, folder: Path) -> mmap.mmap:
        for number in range(_MAX_FILES):
            name = folder / f"requests-{number}.counts"
            file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # of a living process
                os.close(file)
                continue
            try:
                return self._mapped(file)
            except BaseException:
                os.close(file)
                raise
        raise OSError("too many processes count requests")

    def _mapped(self, file: int) -> mmap.mmap:
        header = os.pread(file, _HEADER.size, 0)
        if os.fstat(file).st_size != self._bytes or not self._is_alike(header):
            os.ftruncate(file, 0)  # of another release: counters begin anew, as after a reset
            os.posix_fallocate(file, 0, self._bytes)  # or a full disk would be a SIGBUS later
        memory = mmap.mmap(file, self._bytes)
        header = _HEADER.pack(_MAGIC, self._layout, self._size, os.getpid(), int(self._clock()))
        memory[: _HEADER.size] = header
        self._file = file
        return memory

    def _is_alike(self, header: bytes) -> bool:
        if len(header) < _HEADER.size:
            return False
        magic, layout, size, *_ = _HEADER.unpack(header)
        return (magic, layout, size) == (_MAGIC, self._layout, self._size)

    def close(self) -> None:
        """Give the file back; what was counted stays in it."""
        if self._file >= 0:
            self._words.release()
            self._memory.close()
            os.close(self._file)
            self._file = -1
            self._memory = mmap.mmap(-1, self._bytes)
            self._words = memoryview(self._memory)[_HEADER_BYTES:].cast("q")

    # -- counting

    def place(self, route: str, method: str) -> int:
        """Return where a route is counted, for `observe`; -1 for one that is not."""
        return self._place.get((route, method), -1)

    def observe(self, place: int, seconds: float, status: int) -> None:
        """Count one request."""
        if self._clock() >= self._minute_end_s:
            self._turn()
        words = self._words
        words[place + bisect_left(BOUNDS_S, seconds)] += 1
        words[place + _SUM] += int(seconds * _US)
        if status >= _CLIENT_ERROR:
            words[place + (_ERRORS if status >= _SERVER_ERROR else _REFUSED)] += 1

    def add(self, name: str, count: int = 1) -> None:
        """Add to one of the other counters."""
        if self._clock() >= self._minute_end_s:
            self._turn()
        self._words[self._named[name]] += count

    def _turn(self) -> None:
        """Keep what the counters are at the begin of this minute."""
        minute = int(self._clock() // 60)
        self._minute_end_s = (minute + 1) * 60.0
        start = self._size + minute % MINUTES * self._row
        if self._words[start] != minute:
            self._words[start + 1 : start + self._row] = self._words[: self._size]
            self._words[start] = minute

    # -- reading

    def read(self, minutes: int = 0, until: int = 0) -> CountsRead:
        """Return the sum of all processes: of the last minutes, with 0 since counting began.

        Args:
            minutes: how many, up to 60; the current one is the last.
            until: leave out so many of them at the end.
        """
        now = int(self._clock() // 60)
        total, pids = [0] * self._size, []
        for words, pid in self._everybody():
            end = self._at(words, now - until + 1) if until else words[: self._size].tolist()
            start = self._at(words, now - minutes + 1) if minutes else [0] * self._size
            total = [
                before + max(to - of, 0) for before, to, of in zip(total, end, start, strict=True)
            ]
            pids += [pid] if pid else []
        return self._parsed(total, tuple(pids))

    def by_minute(self, minutes: int, without: Collection[str] = ()) -> list[tuple[int, ...]]:
        """Return a histogram of all requests for each of the last minutes, oldest first.

        Args:
            minutes: how many, up to 60; the current one is the last.
            without: routes that are left out.
        """
        places = [place for (route, _), place in self._place.items() if route not in without]
        now = int(self._clock() // 60)
        histograms = [[0] * _BUCKETS for _ in range(minutes)]
        for words, _ in self._everybody():
            states = [self._at(words, now - minutes + 1 + number) for number in range(minutes)]
            sums = [
                [
                    sum(column)
                    for column in zip(*(at[p : p + _BUCKETS] for p in places), strict=True)
                ]
                for at in (*states, words[: self._size].tolist())
            ]
            for number, histogram in enumerate(histograms):
                for bucket in range(_BUCKETS):
                    histogram[bucket] += max(sums[number + 1][bucket] - sums[number][bucket], 0)
        return [tuple(histogram) for histogram in histograms]

    def _at(self, words: memoryview, minute: int) -> list[int]:
        """Return the counters as they were at the begin of a minute."""
        best, newest = None, minute + MINUTES
        for number in range(MINUTES):
            start = self._size + number * self._row
            if minute <= words[start] < newest:
                newest, best = words[start], start
        if best is None:  # nothing was counted since
            return list(words[: self._size].tolist())
        return list(words[best + 1 : best + self._row].tolist())

    def _everybody(self) -> list[tuple[memoryview, int]]:
        everybody = [(self._words, os.getpid())]
        if self._folder is None or self._file < 0:
            return everybody
        own = os.fstat(self._file)
        for path in sorted(self._folder.glob("requests-*.counts")):
            with suppress(OSError), path.open("rb") as file:
                if os.path.samestat(own, os.fstat(file.fileno())):
                    continue
                content = file.read(self._bytes + 1)
                if len(content) == self._bytes and self._is_alike(content[: _HEADER.size]):
                    pid = _HEADER.unpack(content[: _HEADER.size])[3]
                    words = memoryview(content)[_HEADER_BYTES:].cast("q")
                    everybody.append((words, pid if _is_held(file.fileno()) else 0))
        return everybody

    def _parsed(self, total: Sequence[int], pids: tuple[int, ...]) -> CountsRead:
        routes = []
        for (route, method), place in self._place.items():
            counts = total[place : place + _ROUTE]
            if any(counts):
                routes.append(
                    RouteCounts(
                        route,
                        method,
                        tuple(counts[:_BUCKETS]),
                        counts[_SUM] / _US,
                        counts[_ERRORS],
                        counts[_REFUSED],
                    )
                )
        counters = {name: total[place] for name, place in self._named.items()}
        return CountsRead(tuple(routes), counters, pids)


def _is_held(file: int) -> bool:
    """Return whether a living process holds the lock of a file."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False
