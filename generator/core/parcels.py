"""Parcels: how a file to examine and what was found travel through a pipe.

A parcel is a mark, two lengths, a header in JSON and raw bytes. Nothing here reads or writes: bytes
come in and go out. The reader is as wary of an answer as of a file: a decoder that was taken over
by what it decoded speaks here.
"""

import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import UnionType
from typing import Any

from generator.core.model import Examined, Place, Probe, Refused, Still, Stills

_HEAD = struct.Struct(">4sII")
_MARK = b"reel"
_MOST_BYTES = 8 << 20  # three small pictures are some 200 kB
_COLOUR = re.compile(r"[0-9a-f]{6}")

_PROBE: dict[str, type | UnionType] = {
    "container": str,
    "duration_s": float | None,
    "width_px": int | None,
    "height_px": int | None,
    "fps": float | None,
    "video_codec": str | None,
    "audio_codec": str | None,
    "recorded_at": int | None,
}

READY = _HEAD.pack(_MARK, 0, 0)  # what a worker says once, before its first answer


class GarbledError(Exception):
    """The bytes are not what this program sends; nothing can be told of what follows them."""


@dataclass(frozen=True, slots=True)
class Request:
    """Examine `file`, a path in the file system, which the library knows as `place`."""

    place: Place
    file: str


def missing(start: bytes | bytearray) -> int:
    """Return how many more bytes to read at the least until the parcel is whole; 0: it is.

    Raises:
        GarbledError: this is no parcel, or one beyond all measure.
    """
    if len(start) < _HEAD.size:
        return _HEAD.size - len(start)
    mark, header_bytes, body_bytes = _HEAD.unpack_from(start)
    if mark != _MARK or header_bytes + body_bytes > _MOST_BYTES:
        raise GarbledError("not a parcel")
    return int(_HEAD.size + header_bytes + body_bytes - len(start))


def pack_request(request: Request) -> bytes:
    """Return the parcel that asks for one file."""
    return _pack({"place": asdict(request.place), "file": request.file})


def unpack_request(parcel: bytes | bytearray) -> Request:
    """Return what is asked for.

    Raises:
        GarbledError: the parcel is no request.
    """
    header, _ = _unpack(parcel)
    return Request(_place(header), _take(header, "file", str))


def pack_answer(answer: Examined | Refused) -> bytes:
    """Return the parcel that tells what was found."""
    place = asdict(answer.place)
    if isinstance(answer, Refused):
        return _pack({"place": place, "refused": answer.reason})
    header: dict[str, object] = {
        "place": place,
        "probe": asdict(answer.probe),
        "problem": answer.poster_problem,
    }
    stills = answer.stills
    if stills is None:
        return _pack(header)
    header["colour"] = stills.colour
    header["webp"] = [
        [still.width_px, still.height_px, len(still.content)] for still in stills.webp
    ]
    return _pack(header, b"".join(still.content for still in stills.webp) + stills.jpeg)


def unpack_answer(parcel: bytes | bytearray) -> Examined | Refused:
    """Return what was found.

    Raises:
        GarbledError: the parcel is no answer.
    """
    header, body = _unpack(parcel)
    place = _place(header)
    if "refused" in header:
        return Refused(place, _take(header, "refused", str))
    stills = _stills(header, body) if "webp" in header else None
    return Examined(place, _probe(header), stills, _take(header, "problem", str))


def _pack(header: Mapping[str, object], body: bytes = b"") -> bytes:
    text = json.dumps(header, separators=(",", ":")).encode("ascii")  # lone surrogates escaped
    return _HEAD.pack(_MARK, len(text), len(body)) + text + body


def _unpack(parcel: bytes | bytearray) -> tuple[dict[str, Any], bytes]:
    if len(parcel) < _HEAD.size or missing(parcel) != 0:
        raise GarbledError("not one whole parcel")
    _, header_bytes, _ = _HEAD.unpack_from(parcel)
    body_at = _HEAD.size + header_bytes
    try:
        header = json.loads(
            parcel[_HEAD.size : body_at], parse_constant=_finite, parse_float=_finite
        )
    except (ValueError, RecursionError) as error:
        raise GarbledError("the header is no JSON") from error
    if not isinstance(header, dict):
        raise GarbledError("the header is no object")
    return header, bytes(parcel[body_at:])


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise GarbledError(f"{text} is no number")
    return number


def _place(header: Mapping[str, Any]) -> Place:
    place = _take(header, "place", dict)
    return Place(_take(place, "root", str), _take(place, "path", str))


def _probe(header: Mapping[str, Any]) -> Probe:
    said = _take(header, "probe", dict)
    return Probe(**{name: _take(said, name, kind) for name, kind in _PROBE.items()})


def _stills(header: Mapping[str, Any], body: bytes) -> Stills:
    webp: list[Still] = []
    at = 0
    for row in _take(header, "webp", list):
        width_px, height_px, size = _numbers(row)
        webp.append(Still(width_px, height_px, body[at : at + size]))
        at += size
    stills = Stills(tuple(webp), body[at:], _take(header, "colour", str))
    if not webp or not all(_is_webp(still.content) for still in webp):
        raise GarbledError("a still is no WebP")
    if not stills.jpeg.startswith(b"\xff\xd8\xff"):
        raise GarbledError("the preview is no JPEG")
    if not _COLOUR.fullmatch(stills.colour):
        raise GarbledError("the colour is none")
    return stills


def _numbers(row: object) -> tuple[int, int, int]:
    match row:
        case [int(width_px), int(height_px), int(size)] if min(width_px, height_px, size) > 0:
            return width_px, height_px, size
        case _:
            raise GarbledError("a still has no size")


def _is_webp(content: bytes) -> bool:
    return content[:4] == b"RIFF" and content[8:12] == b"WEBP"


def _take(said: Mapping[str, Any], name: str, kind: type | UnionType) -> Any:  # noqa: ANN401
    value = said.get(name)
    if not isinstance(value, kind):
        raise GarbledError(f"{name} is missing or of another kind")
    return value
