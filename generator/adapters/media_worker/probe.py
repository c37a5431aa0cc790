"""Probes streams, by the boxes of a file and PyAV, and returns the types of the core."""

import os
from collections.abc import Sequence

from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container import InputContainer
from av.subtitles.stream import SubtitleStream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from generator.core.media.codecs import Coding, codecs_of
from generator.core.media.stills import plausible_fps
from generator.core.media.truncation import Outline, outline

_SAMPLE_ENTRY_FORMATS = {"mp4", "mov"}  # formats whose codec tags are sample entries
_TEXT_CODECS = {"subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text"}
_ENCRYPTED = Coding("", tag="encv")


class OpenFile:
    """An open descriptor, read without moving its offset; an unreadable range reads as missing.

    The caller closes the descriptor.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size_bytes = os.fstat(descriptor).st_size

    def read_at(self, offset: int, size: int) -> bytes:
        """Return bytes from an offset on; fewer than `size` at the end."""
        try:
            return os.pread(self._descriptor, size, offset)
        except (OSError, OverflowError):
            return b""


def outline_of(descriptor: int) -> Outline:
    """Return the outline of the boxes of an open file."""
    return outline(OpenFile(descriptor))


def container_name(container: InputContainer, boxes: Outline) -> str:
    """Return FFmpeg's name of the container, but distinguish WebM from other Matroska."""
    return boxes.kind if boxes.kind in {"webm", "matroska"} else container.format.name


def codecs(
    container: InputContainer, picture: VideoStream, sounds: Sequence[AudioStream], boxes: Outline
) -> str:
    """Return the RFC 6381 codecs parameter of the streams, "" if there is none."""
    if boxes.is_locked:
        return codecs_of(_ENCRYPTED)
    tagged = bool(_SAMPLE_ENTRY_FORMATS.intersection(container.format.name.split(",")))
    return codecs_of(
        _picture(picture, tagged=tagged),
        *(_coding(sound.codec_context, tagged=tagged) for sound in sounds),
    )


def text_streams(container: InputContainer) -> int:
    """Return the number of text subtitle streams."""
    return sum(_is_text(stream) for stream in container.streams.subtitles)


def _is_text(stream: SubtitleStream) -> bool:
    context: CodecContext | None = stream.codec_context
    return context is not None and context.codec.canonical_name in _TEXT_CODECS


def _picture(stream: VideoStream, *, tagged: bool) -> Coding | None:
    context: VideoCodecContext | None = stream.codec_context
    coding = _coding(context, tagged=tagged)
    if coding is None or context is None:
        return None
    return Coding(
        coding.codec,
        coding.extradata,
        coding.tag,
        coding.profile,
        context.level,
        context.pix_fmt or "",
        context.width,
        context.height,
        plausible_fps(stream.average_rate, stream.guessed_rate) or 0.0,
    )


def _coding(context: CodecContext | None, *, tagged: bool) -> Coding | None:
    """Return the coding of a stream; None without a decoder, which PyAV's stubs do not declare."""
    if context is None:
        return None
    return Coding(
        context.codec.canonical_name,
        context.extradata or b"",
        _tag(context) if tagged else "",
        context.profile or "",
    )


def sample_entry(stream: VideoStream) -> str:
    """Return the sample entry of a video stream, "" if there is none."""
    context: VideoCodecContext | None = stream.codec_context
    return "" if context is None else _tag(context)


def _tag(context: CodecContext) -> str:
    try:
        return context.codec_tag
    except UnicodeDecodeError:  # it may have any bytes
        return ""
