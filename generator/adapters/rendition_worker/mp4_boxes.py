"""MP4 boxes: offsets and start times of fragments, and the duration.

It only reads files that the muxer just wrote, so that it needs no checks.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase

from generator.core.media.renditions import Mp4Fragment

_HEADER = struct.Struct(">I4s")
_LARGE_SIZE = struct.Struct(">Q")
_TIMESCALE_OFFSET = 12  # of the body of an mvhd of version 0
_MEHD_BYTES = 20  # an mehd of version 1


@dataclass(frozen=True, slots=True)
class Box:
    """A box of a file or of another box: offsets of its start, its body and its end."""

    kind: bytes
    start: int
    body: int
    end: int


def boxes(file: BufferedIOBase, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes between two offsets of a file."""
    while start + _HEADER.size <= end:
        file.seek(start)
        size, kind = _HEADER.unpack(file.read(_HEADER.size))
        body = start + _HEADER.size
        if size == 1:
            (size,) = _LARGE_SIZE.unpack(file.read(_LARGE_SIZE.size))
            body += _LARGE_SIZE.size
        yield Box(kind, start, body, start + size)
        start += size


def fragments_of(
    file: BufferedIOBase, size_bytes: int, end_s: float
) -> tuple[int, list[Mp4Fragment]]:
    """Return the size of the header of a fragmented MP4, and its fragments.

    Args:
        file: at any offset.
        size_bytes: its size.
        end_s: when the last fragment ends.
    """
    head, scales = 0, dict[int, int]()
    starts: list[tuple[int, float]] = []
    for box in boxes(file, 0, size_bytes):
        if box.kind == b"moov":
            head, scales = box.end, _scales(file, box)
        elif box.kind == b"moof":
            starts.append((box.start, _start_s(file, box, scales)))
    ends = [*starts[1:], (size_bytes, max(end_s, starts[-1][1]))] if starts else []
    return head, [
        Mp4Fragment(start, end - start, max(0.0, stop_s - start_s))
        for (start, start_s), (end, stop_s) in zip(starts, ends, strict=True)
    ]


def write_duration(file: BufferedIOBase, size_bytes: int, end_s: float) -> None:
    """Write the duration into a fragmented MP4, which its muxer did not know at the start.

    It takes the place of the encoder tag, so that no other box moves.

    Args:
        file: open for reading and writing.
        size_bytes: its size.
        end_s: when its last video or audio frame ends.
    """
    movie = next(box for box in boxes(file, 0, size_bytes) if box.kind == b"moov")
    parts = {box.kind: box for box in boxes(file, movie.body, movie.end)}
    extends, user_data = parts.get(b"mvex"), parts.get(b"udta")
    if (
        extends is None
        or user_data is None
        or user_data.start != extends.end
        or user_data.end != movie.end
    ):
        return
    free_bytes = user_data.end - user_data.start - _MEHD_BYTES
    if free_bytes < _HEADER.size:
        return
    file.seek(parts[b"mvhd"].body + _TIMESCALE_OFFSET)
    (scale,) = struct.unpack(">I", file.read(4))
    file.seek(extends.body)
    rest = file.read(extends.end - extends.body)
    duration_box = struct.pack(">I4sIQ", _MEHD_BYTES, b"mehd", 1 << 24, round(end_s * scale))
    new_extends = (
        _HEADER.pack(len(rest) + _HEADER.size + _MEHD_BYTES, b"mvex") + duration_box + rest
    )
    file.seek(extends.start)
    file.write(new_extends + _HEADER.pack(free_bytes, b"free") + bytes(free_bytes - _HEADER.size))


def _scales(file: BufferedIOBase, movie: Box) -> dict[int, int]:
    """Return the timescale of each track."""
    scales = dict[int, int]()
    for track in boxes(file, movie.body, movie.end):
        if track.kind != b"trak":
            continue
        parts = {box.kind: box for box in boxes(file, track.body, track.end)}
        media = parts[b"mdia"]
        inner = {box.kind: box for box in boxes(file, media.body, media.end)}
        number = _field_after_dates(file, parts[b"tkhd"])
        scales[number] = _field_after_dates(file, inner[b"mdhd"])
    return scales


def _field_after_dates(file: BufferedIOBase, box: Box) -> int:
    file.seek(box.body)
    version = file.read(4)[0]
    file.seek(8 if version == 0 else 16, 1)
    return int.from_bytes(file.read(4), "big")


def _start_s(file: BufferedIOBase, fragment: Box, scales: dict[int, int]) -> float:
    """Return the start of a fragment: that of its first track, which is video if there is any."""
    for track in boxes(file, fragment.body, fragment.end):
        if track.kind != b"traf":
            continue
        parts = {box.kind: box for box in boxes(file, track.body, track.end)}
        file.seek(parts[b"tfhd"].body + 4)
        number = int.from_bytes(file.read(4), "big")
        file.seek(parts[b"tfdt"].body)
        version = file.read(4)[0]
        ticks = int.from_bytes(file.read(4 if version == 0 else 8), "big")
        return ticks / scales[number]
    return 0.0
