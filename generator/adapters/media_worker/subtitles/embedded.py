"""Embedded subtitles: the text streams of a container.

Packets are read undecoded: FFmpeg's decoders turn everything into SubStation, and lose what looks
like an override.
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
    MAX_BYTES,
    MAX_CUES,
    encode_webvtt,
    from_subrip,
)
from generator.adapters.media_worker.video_file import UnusableFileError, VideoFile
from generator.core.media.subtitle_names import SubtitleSuffix, suffix_of_stream
from generator.core.media.webvtt import Cue, escape_cue_text
from generator.core.model import MetadataSource, Subtitles

_MAX_STREAMS = 64
_MAX_OUTPUT_BYTES = 32 << 20  # of one video
_DEFAULT_DURATION_S = 5.0  # at most, for a packet without a duration
_MAX_S = 60.0  # of reading: Matroska is read completely, and a storyboard follows
_MARKED_SDH = Disposition.hearing_impaired | Disposition.captions


@dataclass(frozen=True, slots=True)
class _TextPacket:
    """A packet; `duration_s` is 0 if it is unknown."""

    start_s: float
    duration_s: float
    content: bytes
    settings: str


@dataclass(slots=True)
class _Stream:
    """A stream, and the packets read so far."""

    codec: str
    header: bytes
    suffix: SubtitleSuffix
    lines: list[_TextPacket] = field(default_factory=list)
    size_bytes: int = 0

    @property
    def is_too_large(self) -> bool:
        return self.size_bytes > MAX_BYTES or len(self.lines) > MAX_CUES * 2


def embedded_subtitles(video: VideoFile) -> tuple[Subtitles, ...]:
    """Return the embedded text subtitles of a video, in the order of their streams.

    Streams with none, or too many, are left out; so is what follows a damaged place. A file that
    takes minutes to read has none.
    """
    streams: dict[int, _Stream] = {}
    started_s = monotonic()
    for start_s, packet in video.text_packets(_READERS.keys()):
        if monotonic() - started_s > _MAX_S:
            return ()
        stream = streams.get(packet.stream_index)
        if stream is None:
            if len(streams) >= _MAX_STREAMS:
                continue
            stream = streams[packet.stream_index] = _stream_of(packet.stream)
        stream.size_bytes += packet.size
        if not stream.is_too_large:
            duration_s = float((packet.duration or 0) * packet.time_base)
            stream.lines.append(_TextPacket(start_s, duration_s, bytes(packet), _settings(packet)))
    converted: list[Subtitles] = []
    left_bytes = _MAX_OUTPUT_BYTES
    for _, stream in sorted(streams.items()):
        content = b"" if stream.is_too_large else _content(stream)
        if content and len(content) <= left_bytes:
            left_bytes -= len(content)
            suffix, source = stream.suffix, MetadataSource.EMBEDDED
            converted.append(
                Subtitles(suffix.language, suffix.label, suffix.forced, suffix.sdh, source, content)
            )
    return tuple(converted)


def _stream_of(stream: SubtitleStream) -> _Stream:
    context, tags = stream.codec_context, stream.metadata
    suffix = suffix_of_stream(
        tags.get("language", ""),
        tags.get("title") or tags.get("name", ""),
        forced=bool(stream.disposition & Disposition.forced),
        sdh=bool(stream.disposition & _MARKED_SDH),
    )
    return _Stream(context.codec.canonical_name, context.extradata or b"", suffix)


def _settings(packet: "Packet[SubtitleStream]") -> str:
    if not packet.has_sidedata("webvtt_settings"):
        return ""
    return bytes(packet.get_sidedata("webvtt_settings")).decode("ascii", "ignore")


def _content(stream: _Stream) -> bytes:
    """Return a stream as WebVTT, b"" if it has nothing visible."""
    try:
        return encode_webvtt(_READERS[stream.codec](stream))
    except UnusableFileError:
        return b""


def _spans(packets: list[_TextPacket]) -> Iterator[tuple[_TextPacket, float]]:
    """Yield (packet, end_s) by start; one without a duration lasts until the next."""
    ordered = sorted(packets, key=_start_s)
    for packet, following in pairwise([*ordered, _TextPacket(float("inf"), 0, b"", "")]):
        duration_s = packet.duration_s or min(
            following.start_s - packet.start_s, _DEFAULT_DURATION_S
        )
        yield packet, packet.start_s + duration_s


def _start_s(line: _TextPacket) -> float:
    return line.start_s


def _subrip(stream: _Stream) -> Iterator[Cue]:
    spans = list(_spans(stream.lines))
    texts = texts_of([line.content for line, _ in spans], stream.suffix.language)
    for (line, end_s), text in zip(spans, texts, strict=True):
        yield Cue(line.start_s, end_s, *from_subrip(text))


def _webvtt(stream: _Stream) -> Iterator[Cue]:
    for line, end_s in _spans(stream.lines):
        yield Cue(line.start_s, end_s, line.content.decode("utf-8", "replace"), line.settings)


def _substation(stream: _Stream) -> Iterator[Cue]:
    spans = list(_spans(stream.lines))
    pieces = [stream.header, *(line.content for line, _ in spans)]
    header, *texts = texts_of(pieces, stream.suffix.language)
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
    """Return a QuickTime text sample as markup: it is a length, the text, and style boxes."""
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
    """Yield (start, end, flags) of each style, in characters."""
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
