"""The wire format between reelshelf and its media workers: probe requests and their results.

A message is a magic number, two lengths, a header in JSON and raw bytes. Nothing here does I/O:
bytes come in and go out. Answers are validated as strictly as files: they may come from a decoder
that a malicious file has taken over.
"""

import json
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import UnionType
from typing import Any

from generator.core.model import (
    Chapter,
    EncodedStoryboard,
    EnrichmentResult,
    Metadata,
    MetadataSource,
    Place,
    Probe,
    ProbeResult,
    Rejected,
    SidecarKind,
    Still,
    Stills,
    Subtitles,
)

_HEAD = struct.Struct(">4sII")
_MARK = b"reel"
_MAX_BYTES = 64 << 20  # three small pictures are some 200 kB; subtitles may be many
_COLOR = re.compile(r"[0-9a-f]{6}")
_SURROGATES = re.compile("[\ud800-\udfff]")

_PROBE: dict[str, type | UnionType] = {
    "container": str,
    "duration_s": float | None,
    "width_px": int | None,
    "height_px": int | None,
    "fps": float | None,
    "video_codec": str | None,
    "audio_codec": str | None,
    "recorded_at": int | None,
    "codecs": str,
    "pixel_format": str | None,
    "fast_start": bool | None,
    "text_streams": int,
    "recorded_offset_min": int | None,
    "start_s": float,
}
_METADATA_TYPES: dict[str, type | UnionType] = {
    "title": str | None,
    "description": str | None,
    "is_markdown": bool,
    "recorded_at": int | None,
    "creator": str | None,
    "url": str | None,
    "recorded_offset_min": int | None,
    "season": int | None,
    "episode": int | None,
    "playlist_index": int | None,
    "is_other_cut": bool,
}

READY = _HEAD.pack(_MARK, 0, 0)  # sent once by a worker, before its first answer


class ProtocolError(Exception):
    """The bytes are not of this protocol; the rest of the stream cannot be read either."""


@dataclass(frozen=True, slots=True)
class SidecarRef:
    """A sidecar to read: its kind, and its path or URL, as the file of a request.

    `name` is its own, "" where `file` has it: a link has another name than its target.
    """

    kind: SidecarKind
    file: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """Probe `file`, a path in the file system, which is at `place` in the library.

    It may be a URL instead (https, http), to be read by range without credentials. `sidecars`
    are read, too. `board` and `texts` request slow work instead: the storyboard, and the embedded
    subtitles.
    """

    place: Place
    file: str
    sidecars: tuple[SidecarRef, ...] = ()
    board: bool = False
    texts: bool = False


def missing(start: bytes | bytearray) -> int:
    """Return how many more bytes to read at least until the message is complete; 0: it is.

    Raises:
        ProtocolError: this is not a message, or one that is too large.
    """
    if len(start) < _HEAD.size:
        return _HEAD.size - len(start)
    mark, header_bytes, body_bytes = _HEAD.unpack_from(start)
    if mark != _MARK or header_bytes + body_bytes > _MAX_BYTES:
        raise ProtocolError("not a message")
    return int(_HEAD.size + header_bytes + body_bytes - len(start))


def pack_probe_request(request: ProbeRequest) -> bytes:
    """Return the message of a request."""
    return _pack(
        {
            "place": asdict(request.place),
            "file": request.file,
            "sidecars": [[one.kind, one.file, one.name] for one in request.sidecars],
            "board": request.board,
            "texts": request.texts,
        }
    )


def unpack_probe_request(message: bytes | bytearray) -> ProbeRequest:
    """Return the request in a message.

    Raises:
        ProtocolError: it is not a request.
    """
    header, _ = _unpack(message)
    sidecars = [_sidecar(row) for row in _take(header, "sidecars", list)]
    return ProbeRequest(
        _place(header),
        _take(header, "file", str),
        tuple(sidecars),
        _take(header, "board", bool),
        _take(header, "texts", bool),
    )


ProbeAnswer = ProbeResult | EnrichmentResult | Rejected


def pack_answer(answer: ProbeAnswer) -> bytes:
    """Return the message of a result."""
    place = asdict(answer.place)
    if isinstance(answer, Rejected):
        return _pack({"place": place, "refused": answer.reason, "passing": answer.passing})
    rows = [
        [track.language, track.label, track.forced, track.sdh, track.source, len(track.content)]
        for track in answer.subtitles
    ]
    texts = b"".join(track.content for track in answer.subtitles)
    header: dict[str, object] = {"place": place, "subtitles": rows}
    if isinstance(answer, EnrichmentResult):
        header["without_board"] = answer.board_problem
        board = answer.board
        if board is None:
            return _pack(header, texts)
        sides = [board.columns, board.tile_width_px, board.tile_height_px]
        header["board"] = [*sides, list(board.starts_s)]
        return _pack(header, texts + board.content)
    header |= {
        "probe": asdict(answer.probe),
        "problem": answer.poster_problem,
        "details": [[source, _metadata_fields(metadata)] for source, metadata in answer.details],
        "complaints": [list(track) for track in answer.complaints],
        "cut_short": answer.cut_short,
        "outdated": list(answer.outdated),
    }
    stills = answer.stills
    if stills is None:
        return _pack(header, texts)
    header["color"] = stills.color
    header["webp"] = [
        [still.width_px, still.height_px, len(still.content)] for still in stills.webp
    ]
    return _pack(header, texts + b"".join(still.content for still in stills.webp) + stills.jpeg)


def _metadata_fields(metadata: Metadata) -> dict[str, object]:
    fields = {name: getattr(metadata, name) for name in _METADATA_TYPES}
    chapters = [[chapter.start_s, chapter.title] for chapter in metadata.chapters]
    return {**fields, "tags": list(metadata.tags), "chapters": chapters}


def unpack_answer(message: bytes | bytearray) -> ProbeAnswer:
    """Return the result in a message.

    Raises:
        ProtocolError: it is not a result.
    """
    header, body = _unpack(message)
    place = _place(header)
    if "refused" in header:
        reason, passing = _take(header, "refused", str), header.get("passing", False)
        return Rejected(place, reason, passing is True)
    subtitles, at = _subtitles(header, body)
    body = body[at:]
    if "without_board" in header:
        board = _board(header, body) if "board" in header else None
        return EnrichmentResult(place, board, _take(header, "without_board", str), subtitles)
    stills = _stills(header, body) if "webp" in header else None
    return ProbeResult(
        place,
        _probe(header),
        stills,
        _take(header, "problem", str),
        tuple(_metadata(row) for row in _take(header, "details", list)),
        subtitles,
        tuple(_pair(row) for row in _take(header, "complaints", list)),
        _take(header, "cut_short", str),
        tuple(one for one in _take(header, "outdated", list) if one in ("board", "copy")),
    )


def _pair(row: object) -> tuple[str, str]:
    match row:
        case [str(one), str(other)]:
            return one, other
        case _:
            raise ProtocolError("invalid pair of texts")


def _sidecar(row: object) -> SidecarRef:
    match row:
        case [str(kind), str(file), str(name)]:
            return SidecarRef(_kind(kind), file, name)
        case _:
            raise ProtocolError("invalid sidecar")


def _kind(name: str) -> SidecarKind:
    try:
        return SidecarKind(name)
    except ValueError as error:
        raise ProtocolError("unknown kind of sidecar") from error


def _source(name: object) -> MetadataSource:
    try:
        return MetadataSource(str(name))
    except ValueError as error:
        raise ProtocolError("unknown metadata source") from error


def _metadata(row: object) -> tuple[MetadataSource, Metadata]:
    match row:
        case [str(source), dict(fields)]:
            values = {name: _take(fields, name, kind) for name, kind in _METADATA_TYPES.items()}
            tags = [_line(one) for one in _take(fields, "tags", list)]
            chapters = [_chapter(one) for one in _take(fields, "chapters", list)]
            texts = (one for one in values.values() if isinstance(one, str))
            for text in texts:
                _line(text)
            return _source(source), Metadata(**values, tags=tuple(tags), chapters=tuple(chapters))
        case _:
            raise ProtocolError("invalid metadata")


def _chapter(row: object) -> Chapter:
    match row:
        case [int() | float() as start_s, str(title)]:
            return Chapter(float(start_s), _line(title))
        case _:
            raise ProtocolError("invalid chapter")


def _line(text: object) -> str:
    """Return a text that can be encoded as UTF-8, unlike some file names."""
    if not isinstance(text, str) or _SURROGATES.search(text):
        raise ProtocolError("invalid text")
    return text


def _subtitles(header: Mapping[str, Any], body: bytes) -> tuple[tuple[Subtitles, ...], int]:
    subtitles: list[Subtitles] = []
    at = 0
    for row in _take(header, "subtitles", list):
        match row:
            case [str(language), str(label), bool(forced), bool(sdh), str(source), int(size)] if (
                0 < size <= len(body) - at
            ):
                content = body[at : at + size]
                at += size
            case _:
                raise ProtocolError("invalid subtitles")
        if not content.startswith(b"WEBVTT\n"):
            raise ProtocolError("subtitles are not WebVTT")
        texts = _line(language), _line(label)
        subtitles.append(Subtitles(*texts, forced, sdh, _source(source), content))
    return tuple(subtitles), at


def _board(header: Mapping[str, Any], body: bytes) -> EncodedStoryboard:
    match header["board"]:
        case [int(columns), int(width_px), int(height_px), list(starts_s)] if (
            min(columns, width_px, height_px) > 0
            and starts_s
            and all(isinstance(one, int | float) for one in starts_s)
        ):
            board = EncodedStoryboard(
                columns, width_px, height_px, tuple(map(float, starts_s)), body
            )
        case _:
            raise ProtocolError("invalid storyboard")
    if not _is_webp(board.content):
        raise ProtocolError("a storyboard is not WebP")
    return board


def _pack(header: Mapping[str, object], body: bytes = b"") -> bytes:
    text = json.dumps(header, separators=(",", ":")).encode("ascii")  # lone surrogates escaped
    return _HEAD.pack(_MARK, len(text), len(body)) + text + body


def _unpack(message: bytes | bytearray) -> tuple[dict[str, Any], bytes]:
    if len(message) < _HEAD.size or missing(message) != 0:
        raise ProtocolError("not one complete message")
    _, header_bytes, _ = _HEAD.unpack_from(message)
    body_at = _HEAD.size + header_bytes
    try:
        header = json.loads(
            message[_HEAD.size : body_at], parse_constant=_finite, parse_float=_finite
        )
    except (ValueError, RecursionError) as error:
        raise ProtocolError("the header is not JSON") from error
    if not isinstance(header, dict):
        raise ProtocolError("the header is not an object")
    return header, bytes(message[body_at:])


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ProtocolError(f"{text} is not a finite number")
    return number


def _place(header: Mapping[str, Any]) -> Place:
    place = _take(header, "place", dict)
    return Place(_take(place, "root", str), _take(place, "path", str))


def _probe(header: Mapping[str, Any]) -> Probe:
    fields = _take(header, "probe", dict)
    return Probe(**{name: _take(fields, name, kind) for name, kind in _PROBE.items()})


def _stills(header: Mapping[str, Any], body: bytes) -> Stills:
    webp: list[Still] = []
    at = 0
    for row in _take(header, "webp", list):
        width_px, height_px, size = _numbers(row)
        webp.append(Still(width_px, height_px, body[at : at + size]))
        at += size
    stills = Stills(tuple(webp), body[at:], _take(header, "color", str))
    if not webp or not all(_is_webp(still.content) for still in webp):
        raise ProtocolError("a still is not WebP")
    if not stills.jpeg.startswith(b"\xff\xd8\xff"):
        raise ProtocolError("the preview is not JPEG")
    if not _COLOR.fullmatch(stills.color):
        raise ProtocolError("invalid color")
    return stills


def _numbers(row: object) -> tuple[int, int, int]:
    match row:
        case [int(width_px), int(height_px), int(size)] if min(width_px, height_px, size) > 0:
            return width_px, height_px, size
        case _:
            raise ProtocolError("a still has no size")


def _is_webp(content: bytes) -> bool:
    return content[:4] == b"RIFF" and content[8:12] == b"WEBP"


def _take(fields: Mapping[str, Any], name: str, kind: type | UnionType) -> Any:  # noqa: ANN401
    value = fields.get(name)
    if not isinstance(value, kind):
        raise ProtocolError(f"{name} is missing or of another type")
    return value
