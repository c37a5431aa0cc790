"""Inside: the subtitles that a container holds as text.

Packets are read as they are, not through a decoder: FFmpeg's makes SubStation of everything, and
what looks like an override in it is lost.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from time import monotonic

from av.packet import Packet
from av.stream import Disposition
from av.subtitles.stream import SubtitleStream

from generator.adapters.media_worker.subtitles.ass import AssScript, merge_cues
from generator.adapters.media_worker.subtitles.charset import texts_of
from generator.adapters.media_worker.subtitles.convert import (
    MOST_BYTES,
    MOST_CUES,
    encode_webvtt,
    from_subrip,
)
from generator.adapters.media_worker.video_file import UnusableFileError, VideoFile
from generator.core.media.subtitle_names import SubtitleSuffix, suffix_of_stream
from generator.core.media.webvtt import Cue, escape_cue_text
from generator.core.model import MetadataSource, Subtitles

_MOST_STREAMS = 64
_MOST_MADE_BYTES = 32 << 20  # of one film
_LASTS_S = 5.0  # what does not say, at most
_MOST_S = 60.0  # of reading: of a Matroska all is read, and a storyboard is waited for as well
_MARKED_SDH = Disposition.hearing_impaired | Disposition.captions


@dataclass(frozen=True, slots=True)
class _Line:
    """A packet; `lasts_s` is 0 where it does not say."""

    start_s: float
    lasts_s: float
    content: bytes
    settings: str


@dataclass(slots=True)
class _Stream:
    """A stream, and what was read of it."""

    codec: str
    header: bytes
    told: SubtitleSuffix
    lines: list[_Line] = field(default_factory=list)
    size_bytes: int = 0

    @property
    def is_too_large(self) -> bool:
        return self.size_bytes > MOST_BYTES or len(self.lines) > MOST_CUES * 2


def embedded_subtitles(film: VideoFile) -> tuple[Subtitles, ...]:
    """Return the subtitles inside a film that are text, in the order of their streams.

    Streams that hold none, or too many, are left out; so is what lies behind a damaged place. Of
    a file that takes minutes to be read there are none.
    """
    streams: dict[int, _Stream] = {}
    begun_s = monotonic()
    for start_s, packet in film.text_packets(_READERS.keys()):
        if monotonic() - begun_s > _MOST_S:
            return ()
        stream = streams.get(packet.stream_index)
        if stream is None:
            if len(streams) >= _MOST_STREAMS:
                continue
            stream = streams[packet.stream_index] = _told(packet.stream)
        stream.size_bytes += packet.size
        if not stream.is_too_large:
            lasts_s = float((packet.duration or 0) * packet.time_base)
            stream.lines.append(_Line(start_s, lasts_s, bytes(packet), _settings(packet)))
    made: list[Subtitles] = []
    left_bytes = _MOST_MADE_BYTES
    for _, stream in sorted(streams.items()):
        content = b"" if stream.is_too_large else _content(stream)
        if content and len(content) <= left_bytes:
            left_bytes -= len(content)
            told, source = stream.told, MetadataSource.EMBEDDED
            made.append(
                Subtitles(told.language, told.label, told.forced, told.sdh, source, content)
            )
    return tuple(made)


def _told(stream: SubtitleStream) -> _Stream:
    context, told = stream.codec_context, stream.metadata
    suffix = suffix_of_stream(
        told.get("language", ""),
        told.get("title") or told.get("name", ""),
        forced=bool(stream.disposition & Disposition.forced),
        sdh=bool(stream.disposition & _MARKED_SDH),
    )
    return _Stream(context.codec.canonical_name, context.extradata or b"", suffix)


def _settings(packet: "Packet[SubtitleStream]") -> str:
    if not packet.has_sidedata("webvtt_settings"):
        return ""
    return bytes(packet.get_sidedata("webvtt_settings")).decode("ascii", "ignore")


def _content(stream: _Stream) -> bytes:
    """Return a stream as WebVTT, b"" where it holds nothing to be seen."""
    try:
        return encode_webvtt(_READERS[stream.codec](stream))
    except UnusableFileError:
        return b""


def _spans(lines: list[_Line]) -> Iterator[tuple[_Line, float]]:
    """Yield lines by start with their ends; one that does not say lasts until the next."""
    ordered = sorted(lines, key=_start_s)
    for line, following in pairwise([*ordered, _Line(float("inf"), 0, b"", "")]):
        lasts_s = line.lasts_s or min(following.start_s - line.start_s, _LASTS_S)
        yield line, line.start_s + lasts_s


def _start_s(line: _Line) -> float:
    return line.start_s


def _subrip(stream: _Stream) -> Iterator[Cue]:
    spans = list(_spans(stream.lines))
    texts = texts_of([line.content for line, _ in spans], stream.told.language)
    for (line, end_s), text in zip(spans, texts, strict=True):
        yield Cue(line.start_s, end_s, *from_subrip(text))


def _webvtt(stream: _Stream) -> Iterator[Cue]:
    for line, end_s in _spans(stream.lines):
        yield Cue(line.start_s, end_s, line.content.decode("utf-8", "replace"), line.settings)


def _substation(stream: _Stream) -> Iterator[Cue]:
    spans = list(_spans(stream.lines))
    pieces = [stream.header, *(line.content for line, _ in spans)]
    header, *texts = texts_of(pieces, stream.told.language)
    script = AssScript()
    list(script.cues(header))
    cues = (
        script.cue_of_packet(line.start_s, end_s, text)
        for (line, end_s), text in zip(spans, texts, strict=True)
    )
    yield from merge_cues(cues)


def _mov_text(stream: _Stream) -> Iterator[Cue]:
    for line, end_s in _spans(stream.lines):
        yield Cue(line.start_s, end_s, _styled(line.content))


def _styled(sample: bytes) -> str:
    """Return a sample of QuickTime's text as markup: its length, the text, and boxes of styles."""
    size = int.from_bytes(sample[:2])
    raw, boxes = sample[2 : 2 + size], sample[2 + size :]
    encoding = "utf-16" if raw[:2] in (b"\xfe\xff", b"\xff\xfe") else "utf-8"
    text = raw.decode(encoding, "replace")
    parts: list[str] = []
    at = 0
    for start, end, flags in _styles(boxes):
        if at <= start < end <= len(text):
            names = "b" * (flags & 1) + "i" * (flags >> 1 & 1) + "u" * (flags >> 2 & 1)
            opening = "".join(f"<{name}>" for name in names)
            closing = "".join(f"</{name}>" for name in reversed(names))
            parts += (
                escape_cue_text(text[at:start]),
                opening,
                escape_cue_text(text[start:end]),
                closing,
            )
            at = end
    return "".join(parts) + escape_cue_text(text[at:])


def _styles(boxes: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield first character, the one behind the last, and flags of each style."""
    at = 0
    while at + _BOX_BYTES <= len(boxes):
        size = int.from_bytes(boxes[at : at + 4])
        if boxes[at + 4 : at + _BOX_BYTES] == b"styl":
            rows = boxes[at + _BOX_BYTES + 2 : at + size]
            for row in range(0, len(rows) - _STYLE_BYTES + 1, _STYLE_BYTES):
                first, last = rows[row : row + 2], rows[row + 2 : row + 4]
                yield int.from_bytes(first), int.from_bytes(last), rows[row + 6]
        at += max(size, _BOX_BYTES)


_BOX_BYTES, _STYLE_BYTES = 8, 12
_READERS: dict[str, Callable[[_Stream], Iterator[Cue]]] = {
    "subrip": _subrip,
    "text": _subrip,
    "webvtt": _webvtt,
    "ass": _substation,
    "mov_text": _mov_text,
}
