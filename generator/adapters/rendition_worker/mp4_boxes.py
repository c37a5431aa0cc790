"""Boxes: where the fragments of an MP4 lie and when each begins, and how long it all lasts.

Reads what our own muxer wrote a moment ago; it need not be wary.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase

from generator.core.media.renditions import Mp4Fragment

_HEAD = struct.Struct(">I4s")
_LARGE = struct.Struct(">Q")
_MOVIE_SCALE_AT = 12  # of the body of an mvhd of version 0
_LENGTH_BOX_BYTES = 20  # an mehd of version 1


@dataclass(frozen=True, slots=True)
class Box:
    """A box of a file or of another box: where it starts, where what is in it does, its end."""

    kind: bytes
    start: int
    body: int
    end: int


def boxes(file: BufferedIOBase, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes between two places of a file."""
    while start + _HEAD.size <= end:
        file.seek(start)
        size, kind = _HEAD.unpack(file.read(_HEAD.size))
        body = start + _HEAD.size
        if size == 1:
            (size,) = _LARGE.unpack(file.read(_LARGE.size))
            body += _LARGE.size
        yield Box(kind, start, body, start + size)
        start += size


def fragments_of(
    file: BufferedIOBase, size_bytes: int, end_s: float
) -> tuple[int, list[Mp4Fragment]]:
    """Return how long the head of a fragmented MP4 is, and its fragments.

    Args:
        file: stands anywhere.
        size_bytes: how large it is.
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


def tell_length(file: BufferedIOBase, size_bytes: int, end_s: float) -> None:
    """Write into a fragmented MP4 how long it lasts, which its muxer could not know at the start.

    What tells which program wrote it gives way, so that nothing moves.

    Args:
        file: open for reading and writing.
        size_bytes: how large it is.
        end_s: when its last picture or sound ends.
    """
    movie = next(box for box in boxes(file, 0, size_bytes) if box.kind == b"moov")
    parts = {box.kind: box for box in boxes(file, movie.body, movie.end)}
    extends, told = parts.get(b"mvex"), parts.get(b"udta")
    if extends is None or told is None or told.start != extends.end or told.end != movie.end:
        return
    left = told.end - told.start - _LENGTH_BOX_BYTES
    if left < _HEAD.size:
        return
    file.seek(parts[b"mvhd"].body + _MOVIE_SCALE_AT)
    (scale,) = struct.unpack(">I", file.read(4))
    file.seek(extends.body)
    rest = file.read(extends.end - extends.body)
    length = struct.pack(">I4sIQ", _LENGTH_BOX_BYTES, b"mehd", 1 << 24, round(end_s * scale))
    grown = _HEAD.pack(len(rest) + _HEAD.size + _LENGTH_BOX_BYTES, b"mvex") + length + rest
    file.seek(extends.start)
    file.write(grown + _HEAD.pack(left, b"free") + bytes(left - _HEAD.size))


def _scales(file: BufferedIOBase, movie: Box) -> dict[int, int]:
    """Return how many ticks a second each track has."""
    scales = dict[int, int]()
    for track in boxes(file, movie.body, movie.end):
        if track.kind != b"trak":
            continue
        parts = {box.kind: box for box in boxes(file, track.body, track.end)}
        media = parts[b"mdia"]
        inner = {box.kind: box for box in boxes(file, media.body, media.end)}
        number = _figure_after_dates(file, parts[b"tkhd"])
        scales[number] = _figure_after_dates(file, inner[b"mdhd"])
    return scales


def _figure_after_dates(file: BufferedIOBase, box: Box) -> int:
    file.seek(box.body)
    version = file.read(4)[0]
    file.seek(8 if version == 0 else 16, 1)
    return int.from_bytes(file.read(4), "big")


def _start_s(file: BufferedIOBase, fragment: Box, scales: dict[int, int]) -> float:
    """Return when a fragment begins: with its first track, the picture where it has one."""
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
