"""Reads rows from the pages of a damaged SQLite file, without SQLite, which gives up at the first.

A page that cannot be read is skipped; a row is only returned whole. Pages that SQLite has freed are
left out, for what is on them was deleted. The write-ahead log counts as far as it was committed.
Source: the SQLite file format, https://www.sqlite.org/fileformat2.html.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Value = None | int | float | str | bytes
_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_PAGE_BYTES = 4096  # if the header is lost: what SQLite uses unless it is told otherwise
_LOG_HEADER_BYTES, _FRAME_BYTES = 32, 24
_LOG_MAGIC = (0x377F0682, 0x377F0683)  # checksums little-endian, big-endian
_INDEX_INNER, _INDEX_LEAF, _TABLE_LEAF = 0x02, 0x0A, 0x0D
_MOST_BYTES = 1 << 30  # of one row, as in SQLite
_MOST_COLUMNS = 2000
_DAMAGE = (IndexError, ValueError, struct.error, OverflowError, MemoryError)


class _DamagedPageError(ValueError):
    """A page, a cell or a chain of pages is not what it has to be."""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row as it is on its pages. `number` is its rowid, None in a table without rowids."""

    number: int | None
    values: tuple[Value, ...]
    pages: tuple[int, ...]


@dataclass(slots=True)
class PageReader:
    """The pages of a database file; `unreadable` counts those that no row could be read from."""

    content: bytes
    log: bytes = b""
    page_bytes: int = _PAGE_BYTES
    unreadable: int = 0
    freed_is_known: bool = True
    _frames: Mapping[int, int] = field(default_factory=dict)
    _count: int = 0
    _freed: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        """Find out the size of the pages, those in the log, and those that are free."""
        start = self.content[:_HEADER_BYTES]
        if start.startswith(_MAGIC):
            self.page_bytes = _valid_size(int.from_bytes(start[16:18]))
        elif len(self.log) > _LOG_HEADER_BYTES:
            self.page_bytes = _valid_size(int.from_bytes(self.log[8:12]))
        self._frames, count = _committed(self.log, self.page_bytes)
        self._count = count or -(-len(self.content) // self.page_bytes)
        self._freed = self._free_pages()

    def rows(self) -> Iterator[StoredRow]:
        """Yield the rows of all tables, in the order of their pages."""
        for number in range(1, self._count + 1):
            if number not in self._freed:
                yield from self._rows_on(number)

    def _page(self, number: int) -> bytes:
        if not 1 <= number <= self._count:
            raise _DamagedPageError
        at = self._frames.get(number)
        if at is not None:
            page = self.log[at : at + self.page_bytes]
        else:
            page = self.content[(number - 1) * self.page_bytes : number * self.page_bytes]
        if len(page) != self.page_bytes:
            raise _DamagedPageError
        return page

    def _free_pages(self) -> frozenset[int]:
        """Return the pages of the free list, as far as it can be read."""
        freed: set[int] = set()
        try:
            first = self._page(1)
            if not first.startswith(_MAGIC):
                raise _DamagedPageError
            trunk = int.from_bytes(first[32:36])
            while trunk:
                if trunk in freed:
                    raise _DamagedPageError
                page = self._page(trunk)
                freed.add(trunk)
                trunk, count = struct.unpack_from(">II", page)
                freed.update(struct.unpack_from(f">{count}I", page, 8))
        except _DAMAGE:
            self.freed_is_known = False
        return frozenset(freed)

    def _rows_on(self, number: int) -> Iterator[StoredRow]:
        try:
            page = self._page(number)
            start = _HEADER_BYTES if number == 1 else 0
            kind = page[start]
            if kind not in {_INDEX_INNER, _INDEX_LEAF, _TABLE_LEAF}:
                return
            (count,) = struct.unpack_from(">H", page, start + 3)
            header = 12 if kind == _INDEX_INNER else 8
            pointers = struct.unpack_from(f">{count}H", page, start + header)
        except _DAMAGE:
            self.unreadable += 1
            return
        for pointer in pointers:
            try:
                if pointer < start + header + 2 * count:
                    raise _DamagedPageError
                yield self._row(number, page, pointer, kind)
            except _DAMAGE:
                continue

    def _row(self, number: int, page: bytes, at: int, kind: int) -> StoredRow:
        at += 4 * (kind == _INDEX_INNER)  # the page to the left
        size, at = _varint(page, at)
        rowid = None
        if kind == _TABLE_LEAF:
            rowid, at = _varint(page, at)
            rowid -= (rowid >> 63) << 64
        payload, pages = self._payload(page, at, size, is_table=kind == _TABLE_LEAF)
        return StoredRow(rowid, _record(payload), (number, *pages))

    def _payload(
        self, page: bytes, at: int, size: int, *, is_table: bool
    ) -> tuple[bytes, tuple[int, ...]]:
        """Return the content of a cell, and the other pages that it is on."""
        if size > min(_MOST_BYTES, self._count * self.page_bytes):
            raise _DamagedPageError
        most = self.page_bytes - 35 if is_table else (self.page_bytes - 12) * 64 // 255 - 23
        if size <= most:
            return _exactly(page, at, size), ()
        least = (self.page_bytes - 12) * 32 // 255 - 23
        local = least + (size - least) % (self.page_bytes - 4)
        local = local if local <= most else least
        pieces, pages = [_exactly(page, at, local)], []
        following = int.from_bytes(_exactly(page, at + local, 4))
        left = size - local
        while left > 0:
            if following in self._freed or following in pages:
                raise _DamagedPageError
            more = self._page(following)
            pages.append(following)
            pieces.append(more[4 : 4 + left])
            left -= len(pieces[-1])
            following = int.from_bytes(more[:4])
        if following:
            raise _DamagedPageError
        return b"".join(pieces), tuple(pages)


def read_pages(file: Path) -> PageReader:
    """Return the pages of a database file and of its log; neither is changed."""
    log = Path(f"{file}-wal")
    return PageReader(file.read_bytes(), log.read_bytes() if log.is_file() else b"")


def _valid_size(size: int) -> int:
    size = 65536 if size == 1 else size
    is_valid = 512 <= size <= 65536 and not size & (size - 1)  # noqa: PLR2004 (of SQLite)
    return size if is_valid else _PAGE_BYTES


def _exactly(page: bytes, at: int, size: int) -> bytes:
    part = page[at : at + size]
    if len(part) != size:
        raise _DamagedPageError
    return part


def _varint(page: bytes, at: int) -> tuple[int, int]:
    value = 0
    for count in range(8):
        byte = page[at + count]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:  # noqa: PLR2004 (the last byte)
            return value, at + count + 1
    return value << 8 | page[at + 8], at + 9


def _record(payload: bytes) -> tuple[Value, ...]:
    header, at = _varint(payload, 0)
    if header > len(payload):
        raise _DamagedPageError
    body, values = header, []
    while at < header:
        code, at = _varint(payload, at)
        value, size = _value(payload, body, code)
        values.append(value)
        body += size
        if len(values) > _MOST_COLUMNS:
            raise _DamagedPageError
    if at != header or body != len(payload):
        raise _DamagedPageError
    return tuple(values)


_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}  # type -> bytes


def _value(payload: bytes, at: int, code: int) -> tuple[Value, int]:
    """Return a value of a record by its type, and how many bytes it takes."""
    match code:
        case 0:
            return None, 0
        case 1 | 2 | 3 | 4 | 5 | 6:
            size = _INTEGERS[code]
            return int.from_bytes(_exactly(payload, at, size), signed=True), size
        case 7:
            return struct.unpack(">d", _exactly(payload, at, 8))[0], 8
        case 8 | 9:
            return code - 8, 0
        case 10 | 11:
            raise _DamagedPageError
        case _:
            pass
    size = (code - 12) // 2
    content = _exactly(payload, at, size)
    return (content.decode() if code % 2 else content), size


def _committed(log: bytes, page_bytes: int) -> tuple[dict[int, int], int]:
    """Return where each page is in a write-ahead log, and how many pages the database has.

    Frames after the last commit, and those with a wrong checksum, do not count.
    """
    frames: dict[int, int] = {}
    if len(log) < _LOG_HEADER_BYTES:
        return frames, 0
    magic, _, size, _, salt_1, salt_2, sum_1, sum_2 = struct.unpack_from(">8I", log)
    order = ">" if magic == _LOG_MAGIC[1] else "<"
    if magic not in _LOG_MAGIC or size != page_bytes:
        return frames, 0
    sums = _checksum(order, log[:24], (0, 0))
    if sums != (sum_1, sum_2):
        return frames, 0
    waiting: dict[int, int] = {}
    count = 0
    for at in range(_LOG_HEADER_BYTES, len(log) - _FRAME_BYTES - page_bytes + 1,
                    _FRAME_BYTES + page_bytes):  # fmt: skip
        page, pages, *salts, sum_1, sum_2 = struct.unpack_from(">6I", log, at)
        start = at + _FRAME_BYTES
        sums = _checksum(order, log[at : at + 8], sums)
        sums = _checksum(order, log[start : start + page_bytes], sums)
        if salts != [salt_1, salt_2] or sums != (sum_1, sum_2):
            break
        waiting[page] = start
        if pages:
            frames |= waiting
            waiting, count = {}, pages
    return frames, count


def _checksum(order: str, content: bytes, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    words = struct.unpack(f"{order}{len(content) // 4}I", content)
    for at in range(0, len(words), 2):
        first = (first + words[at] + second) & 0xFFFFFFFF
        second = (second + words[at + 1] + first) & 0xFFFFFFFF
    return first, second
