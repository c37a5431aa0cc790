"""Making: a copy from its source, by copying what can be copied and encoding the rest."""

import heapq
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from generator.adapters.media_worker.video_file import UnusableFileError
from generator.adapters.rendition_worker import job_folder
from generator.adapters.rendition_worker.audio_encoder import AudioSurvey, survey_audio
from generator.adapters.rendition_worker.heartbeat import Heartbeat
from generator.adapters.rendition_worker.muxer import Muxer
from generator.adapters.rendition_worker.source import Piece, SourceFile, Streams, codec_name
from generator.adapters.rendition_worker.video_encoder import (
    StartedLateError,
    VideoEncoder,
    kept_look,
)
from generator.core.media.renditions import (
    CRF,
    MADE,
    PRESET,
    REMUX,
    SOUND,
    TRANSCODE,
    RenditionRequest,
    chunk_file,
    chunk_note,
    decode_times,
    holds_picture,
    holds_sound,
    keeps_picture,
    result_file,
    times_before,
)
from generator.core.media.stills import Size

_PROGRESSIVE = {0, 1}  # AV_FIELD_UNKNOWN, AV_FIELD_PROGRESSIVE
_MOST_WAITING = 200  # packets, until one tells when it is decoded
_UNREADABLE_SOUND = "its sound could not be read"


@dataclass(frozen=True, slots=True)
class JobResources:
    """What a job may use: threads, and how much of a video is lost when it is broken off."""

    threads: int
    chunk_s: float


def make(request: RenditionRequest, descriptor: int, pulse: Heartbeat, means: JobResources) -> None:
    """Make the copy that is asked for in the folder that we are in, or go on with it.

    Args:
        request: what is asked for.
        descriptor: of the source.
        pulse: told of every piece of work.
        means: what may be used.

    Raises:
        UnfitError: no such copy can be made of this file.
        OSError: nothing more can be written.
    """
    job_folder.keep_or_clear(_plan(request, descriptor, means))
    said = job_folder.read_note(MADE)
    if (
        said is not None
        and job_folder.size_of(result_file(request.container)) == said["size_bytes"]
    ):
        return
    if request.made_by == REMUX:
        _remux(request, descriptor, pulse)
    else:
        _transcode(request, descriptor, pulse, means)


def _plan(request: RenditionRequest, descriptor: int, means: JobResources) -> dict[str, object]:
    """Return all that what lies in the folder hangs on."""
    status = os.fstat(descriptor)
    return {
        "source": [status.st_size, status.st_mtime_ns],
        "made_by": request.made_by,
        "container": request.container,
        "is_hls": request.is_hls,
        "chunk_s": means.chunk_s,
        "encoder": [PRESET, CRF, av.__version__],
    }


def _remux(request: RenditionRequest, descriptor: int, pulse: Heartbeat) -> None:
    with ExitStack() as stack:
        source = _opened(stack, descriptor, pulse)
        pulse.total_s = source.duration_s
        if not holds_picture(request.container, codec_name(source.picture)):
            raise UnusableFileError(_not_copied("picture", codec_name(source.picture), request))
        if source.sounds and not holds_sound(request.container, codec_name(source.sounds[0])):
            raise UnusableFileError(_not_copied("sound", codec_name(source.sounds[0]), request))
        sounds = [one for one in source.sounds if holds_sound(request.container, codec_name(one))]
        result = Muxer(request, pulse)
        stack.callback(result.abandon)
        streams: Streams = (source.picture, *sounds)
        numbers = {one.index: result.add(one) for one in streams}
        for packet in _copied(source, sounds):
            result.mux(numbers[packet.stream_index], packet)
            pulse.done_s = result.end_s
        _complete(result, REMUX)


def _transcode(
    request: RenditionRequest, descriptor: int, pulse: Heartbeat, means: JobResources
) -> None:
    with ExitStack() as stack:
        source = _opened(stack, descriptor, pulse)
        seen = survey_audio(source, pulse, means.chunk_s)
        pulse.total_s = seen.end_s or None
        is_kept = seen.is_copyable and _keeps(source)
    if is_kept:
        _join_copied(request, descriptor, pulse, seen)
        return
    first = _first_missing(seen)
    if first is not None:
        packet = seen.first_packets[first]
        try:
            _encode(descriptor, pulse, means, seen, first, packet)
        except StartedLateError:
            _encode(descriptor, pulse, means, seen, first, 0)
    _join_chunks(request, pulse, seen)


def _encode(
    descriptor: int,
    pulse: Heartbeat,
    means: JobResources,
    seen: AudioSurvey,
    first: int,
    packet: int,
) -> None:
    with ExitStack() as stack:
        source = _opened(stack, descriptor, pulse)
        pictures = VideoEncoder(source, seen, pulse, chunk_s=means.chunk_s, threads=means.threads)
        pictures.encode(first, packet)


def _first_missing(seen: AudioSurvey) -> int | None:
    """Return the number of the first chunk that is not finished, None if all are."""
    for number in range(len(seen.first_packets)):
        note = job_folder.read_note(chunk_note(number))
        if note is None:
            return number
        if note["times"] and job_folder.size_of(chunk_file(number)) != note["size_bytes"]:
            return number
    return None


def _join_copied(
    request: RenditionRequest, descriptor: int, pulse: Heartbeat, seen: AudioSurvey
) -> None:
    """Put a picture as it is beside a sound of ours."""
    with ExitStack() as stack:
        source = _opened(stack, descriptor, pulse)
        # What was mended hangs on the sound between the pictures.
        beside = source.sounds[:1] if seen.breaks else []
        result = Muxer(request, pulse)
        stack.callback(result.abandon)
        result.add(source.picture)
        packets = (
            packet
            for packet in _copied(source, beside)
            if packet.stream_index == source.picture.index
        )
        _join(result, packets, seen, pulse, is_kept=True)


def _join_chunks(request: RenditionRequest, pulse: Heartbeat, seen: AudioSurvey) -> None:
    """Put the chunks of a picture one behind the other, and the sound beside them."""
    notes = [job_folder.read_note(chunk_note(number)) for number in range(len(seen.first_packets))]
    numbers = [number for number, note in enumerate(notes) if note and note["times"]]
    if not numbers:
        raise UnusableFileError("nothing of its picture can be decoded")
    times = [time for note in notes if note for time in note["times"]]
    with ExitStack() as stack:
        first = stack.enter_context(av.open(chunk_file(numbers[0])))
        template = first.streams.video[0]
        look = kept_look()
        assert look is not None  # written before the first chunk
        base = Fraction(look.base)
        result = Muxer(request, pulse)
        stack.callback(result.abandon)
        result.add(template, base)
        packets = _chunked(numbers, times, base, template)
        _join(result, packets, seen, pulse, is_kept=False)


def _chunked(
    numbers: list[int], times: list[int], base: Fraction, like: VideoStream
) -> Iterator[Piece]:
    decoded = iter(zip(times, decode_times(times), strict=True))
    for number in numbers:
        with av.open(chunk_file(number)) as chunk:
            stream = chunk.streams.video[0]
            if stream.codec_context.extradata != like.codec_context.extradata:
                raise UnusableFileError("its parts do not fit together")
            for packet in chunk.demux(stream):
                if not packet.size:
                    continue
                lasts = round((packet.duration or 0) * packet.time_base / base)
                packet.time_base = base
                packet.pts, packet.dts = next(decoded)
                packet.duration = lasts
                yield packet


def _join(
    result: Muxer, packets: Iterator[Piece], seen: AudioSurvey, pulse: Heartbeat, *, is_kept: bool
) -> None:
    """Put the sound beside the packets of the picture, and complete the copy."""
    pieces = [((_decoded_s(packet), 0, packet) for packet in packets)]
    with ExitStack() as stack:
        if seen.sound in {"copied", "encoded"}:
            file = stack.enter_context(av.open(SOUND))
            heard = file.streams.audio[0]
            number = result.add(heard)
            pieces.append(
                (_decoded_s(packet), number, packet) for packet in file.demux(heard) if packet.size
            )
        for _, number, packet in heapq.merge(*pieces, key=lambda piece: piece[:2]):
            result.mux(number, packet)
            pulse.done_s = max(pulse.done_s, result.end_s)
    made_by = REMUX if is_kept and seen.sound in {"copied", ""} else TRANSCODE
    _complete(result, made_by, _UNREADABLE_SOUND if seen.sound == "unreadable" else "")


def _complete(result: Muxer, made_by: str, complaint: str = "") -> None:
    if not result.pictures:
        raise UnusableFileError("holds no picture")
    result.finish(made_by, complaint)


def _copied(source: SourceFile, sounds: list[AudioStream]) -> Iterator[Piece]:
    """Yield packets to copy, the picture from its first key frame on; all tell when they are shown.

    The first of a picture may not tell when they are decoded: in Matroska, nobody does.
    """
    waiting: list[Piece] = []
    is_begun = False
    for packet in source.packets(source.picture, *sounds):
        if packet.stream_index == source.picture.index:
            is_begun = is_begun or packet.is_keyframe
            if not is_begun:
                continue  # leans on what is not there
            if packet.pts is None:
                raise UnusableFileError(
                    "does not say when its pictures are shown: it needs a transcode"
                )
        elif packet.pts is None:
            continue
        waiting.append(packet)
        is_told = packet.stream_index == source.picture.index and packet.dts is not None
        if is_told or len(waiting) > _MOST_WAITING:
            yield from _in_decode_order(waiting, source.picture.index)
            waiting.clear()
    yield from _in_decode_order(waiting, source.picture.index)


def _in_decode_order(packets: list[Piece], picture: int) -> list[Piece]:
    """Return packets that now tell when they are decoded, as the last of the picture does."""
    pictures = [packet for packet in packets if packet.stream_index == picture]
    if pictures and pictures[-1].dts is not None:
        lasts = [packet.duration or 0 for packet in pictures[:-1]]
        for packet, decoded in zip(
            pictures[:-1], times_before(pictures[-1].dts, lasts), strict=True
        ):
            packet.dts = decoded
    for packet in packets:
        if packet.dts is None:
            packet.dts = packet.pts
    return packets


def _opened(stack: ExitStack, descriptor: int, pulse: Heartbeat) -> SourceFile:
    source = SourceFile(descriptor, pulse)
    stack.callback(source.close)
    return source


def _keeps(source: SourceFile) -> bool:
    context: VideoCodecContext | None = source.picture.codec_context
    return (
        context is not None
        and context.field_order in _PROGRESSIVE
        and keeps_picture(
            codec_name(source.picture), context.pix_fmt or "", Size(context.width, context.height)
        )
    )


def _not_copied(what: str, codec: str, request: RenditionRequest) -> str:
    named = codec or "an unknown codec"
    target = request.container.upper().replace("WEBM", "WebM")
    return f"its {what} ({named}) cannot be copied into {target}: it needs a transcode"


def _decoded_s(packet: Piece) -> float:
    assert packet.dts is not None
    return float(packet.dts * packet.time_base)
