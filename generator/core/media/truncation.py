"""Truncation: what a file's top-level boxes say, above all whether the file is shorter than that.

Only boxes with video and audio count when they reach beyond the end: a complete file is never
called truncated. Where a format or a file does not give its length, it is complete.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from generator.core.formatting import file_size


class Readable(Protocol):
    """A file that does not change meanwhile, with random access."""

    @property
    def size_bytes(self) -> int:
        """Its size."""

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset` on, fewer at the end; never fail."""


@dataclass(frozen=True, slots=True)
class Outline:
    """What the top-level boxes say.

    `kind` is "mp4" (MOV and 3GP too), "webm", "matroska", "avi", "asf" or "" where the bytes are of
    none of them. `cut_short` is a sentence, "" for a complete file. `fast_start`: whether the moov
    of an MP4 is before its media; None without one, and for other kinds. `is_locked`: an MP4 with
    encrypted video or audio.
    """

    kind: str = ""
    cut_short: str = ""
    fast_start: bool | None = None
    is_locked: bool = False


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    body_at: int
    end: int


_MAX_READS = 1000
_SLACK_BYTES = 16  # writers that count a header twice, or not at all
_ABSURD_BYTES = 1 << 50
_HEAD_BYTES = 16

_NO_PICTURES = "it has no frames"
_MP4_FIRST = {
    b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"sidx", b"moof",
    b"uuid",
}  # fmt: skip
_MP4_MEDIA = {b"mdat", b"moov", b"moof"}
_MP4_PATH = (b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_MP4_LOCKED = {b"encv", b"enca", b"drmi", b"drms"}
_MP4_SMALL, _MP4_LARGE = 8, 16  # bytes of a box's header
_MP4_TO_THE_END, _MP4_IS_LARGE = 0, 1

_EBML, _SEGMENT, _DOC_TYPE = 0x1A45DFA3, 0x18538067, 0x4282
_EBML_BETWEEN = {0xEC, 0xBF}  # padding, checksums
_EBML_HEAD_BYTES = 256
_ID_MOST_BYTES, _SIZE_MOST_BYTES = 4, 8

_AVI_FORMS = {b"AVI ", b"AVIX", b"AVI\x19"}
_AVI_HEAD, _AVI_CHUNK_HEAD = 12, 8  # bytes; a list's form follows its size

_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_MEDIA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_HEAD, _ASF_HEADER_HEAD = 24, 30
_ASF_FLAGS_AT = 88
_ASF_LIVE = 1


def outline(file: Readable) -> Outline:
    """Return what the top-level boxes of a file say, after at most some 1,000 short reads."""
    bounded = _Bounded(file)
    head = bounded.read_at(0, _HEAD_BYTES)
    if head[4:8] in _MP4_FIRST:
        return _mp4(bounded)
    if head[:4] == _EBML.to_bytes(4, "big"):
        return _matroska(bounded)
    if head[:4] == b"RIFF" and head[8:12] in _AVI_FORMS:
        return Outline("avi", _complaint(bounded, _avi_end(bounded)))
    if head == _ASF_HEADER:
        return Outline("asf", _complaint(bounded, _asf_end(bounded)))
    return Outline()


class _Bounded:
    """A file that seems to end after too many reads."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._left = _MAX_READS
        self.size_bytes = file.size_bytes

    def read_at(self, offset: int, size: int) -> bytes:
        if self._left <= 0 or not 0 <= offset < self.size_bytes:
            return b""
        self._left -= 1
        return self._file.read_at(offset, size)


def _complaint(file: _Bounded, end: int) -> str:
    """Return the sentence for a file that should end there, "" if it is complete."""
    there = file.size_bytes
    if not there + _SLACK_BYTES < end < _ABSURD_BYTES:
        return ""
    present, whole = file_size(there), file_size(end)
    if present == whole:
        present, whole = f"{there:,} bytes", f"{end:,} bytes"
    return f"{present} of {whole} are there"


def _mp4(file: _Bounded) -> Outline:
    first: dict[bytes, int] = {}
    end = declared_end = 0
    is_locked, is_clear = False, True
    for box in _boxes(file, 0, file.size_bytes):
        end = box.end
        is_clear &= box.kind.isalnum()
        if box.kind in _MP4_MEDIA:
            first.setdefault(box.kind, box.body_at)
            declared_end = max(declared_end, end)
        if box.kind == b"moov" and not is_locked:
            is_locked = _is_locked(file, box, _MP4_PATH)
    cut_short = _complaint(file, declared_end)
    if b"moov" not in first:
        return Outline("mp4", cut_short, None, is_locked)
    if len(first) == 1 and is_clear and end == file.size_bytes:
        cut_short = _NO_PICTURES
    fast_start = b"mdat" not in first or first[b"moov"] < first[b"mdat"]
    return Outline("mp4", cut_short, fast_start, is_locked)


def _boxes(file: _Bounded, start: int, limit: int) -> Iterator[_Box]:
    """Yield consecutive boxes of an MP4; the last may reach beyond the limit."""
    while start + _MP4_SMALL <= limit:
        head = file.read_at(start, _MP4_LARGE)
        if len(head) < _MP4_SMALL:
            return
        size, head_bytes = int.from_bytes(head[:4], "big"), _MP4_SMALL
        if size == _MP4_IS_LARGE:
            size, head_bytes = int.from_bytes(head[8:], "big"), _MP4_LARGE
        elif size == _MP4_TO_THE_END:
            size = limit - start
        if size < head_bytes or len(head) < head_bytes:
            return
        yield _Box(head[4:8], start + head_bytes, start + size)
        start += size


def _is_locked(file: _Bounded, box: _Box, path: tuple[bytes, ...]) -> bool:
    """Return whether a stream is encrypted, by the innermost box of the path."""
    if not path:
        return file.read_at(box.body_at, _HEAD_BYTES)[12:16] in _MP4_LOCKED
    return any(
        _is_locked(file, inner, path[1:])
        for inner in _boxes(file, box.body_at, min(box.end, file.size_bytes))
        if inner.kind == path[0]
    )


def _matroska(file: _Bounded) -> Outline:
    kind, end, at = "matroska", 0, 0
    while head := file.read_at(at, _HEAD_BYTES):
        element, id_bytes = _vint(head, _ID_MOST_BYTES, marked=True)
        size, size_bytes = _vint(head[id_bytes:], _SIZE_MOST_BYTES)
        if element is None or size is None:
            break  # no element, or one without an end
        at += id_bytes + size_bytes
        if element == _EBML and _doc_type(file.read_at(at, min(size, _EBML_HEAD_BYTES))) == b"webm":
            kind = "webm"
        if element == _SEGMENT:
            end = max(end, at + size)
        elif element != _EBML and element not in _EBML_BETWEEN:
            break
        at += size
    return Outline(kind, _complaint(file, end))


def _doc_type(body: bytes) -> bytes:
    at = 0
    while at < len(body):
        element, id_bytes = _vint(body[at:], _ID_MOST_BYTES, marked=True)
        size, size_bytes = _vint(body[at + id_bytes :], _SIZE_MOST_BYTES)
        if element is None or size is None:
            break
        at += id_bytes + size_bytes
        if element == _DOC_TYPE:
            return body[at : at + size].rstrip(b"\x00")
        at += size
    return b""


def _vint(head: bytes, most_bytes: int, *, marked: bool = False) -> tuple[int | None, int]:
    """Return a variable-length integer and its length; None where it is invalid, or "unknown".

    `marked`: with the length marker kept, as in element ids.
    """
    if not head or not head[0]:
        return None, 0
    length = 9 - head[0].bit_length()
    if length > most_bytes or length > len(head):
        return None, 0
    number = int.from_bytes(head[:length], "big")
    if marked:
        return number, length
    number &= (1 << 7 * length) - 1
    return (None if number == (1 << 7 * length) - 1 else number), length


def _avi_end(file: _Bounded) -> int:
    """Return where an AVI should end, 0 where all its media are there."""
    at = riff_end = 0
    has_media = False
    while len(head := file.read_at(at, _AVI_HEAD)) >= _AVI_CHUNK_HEAD:
        kind, size, form = head[:4], int.from_bytes(head[4:8], "little"), head[8:]
        end = at + _AVI_CHUNK_HEAD + size
        if kind == b"RIFF":
            if form not in _AVI_FORMS:
                break
            riff_end = end
            at += _AVI_HEAD
            continue
        is_media = kind == b"idx1" or (kind == b"LIST" and form == b"movi")
        if end > file.size_bytes and (is_media or not has_media):
            return max(end, riff_end)
        has_media |= is_media
        at = end + end % 2
    return 0 if has_media else riff_end


def _asf_end(file: _Bounded) -> int:
    """Return where an ASF should end, 0 where it does not say."""
    header_end = int.from_bytes(file.read_at(16, 8), "little")
    for name, at, _ in _asf_objects(file, _ASF_HEADER_HEAD, min(header_end, file.size_bytes)):
        flags = file.read_at(at + _ASF_FLAGS_AT, 4) if name == _ASF_PROPERTIES else b""
        if int.from_bytes(flags, "little") & _ASF_LIVE:
            return 0
    objects = _asf_objects(file, header_end, file.size_bytes)
    return max((end for name, _, end in objects if name == _ASF_MEDIA), default=0)


def _asf_objects(file: _Bounded, start: int, limit: int) -> Iterator[tuple[bytes, int, int]]:
    while start < limit and len(head := file.read_at(start, _ASF_HEAD)) == _ASF_HEAD:
        size = int.from_bytes(head[16:], "little")
        if size < _ASF_HEAD:
            return
        yield head[:16], start, start + size
        start += size
