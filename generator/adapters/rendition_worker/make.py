"""Makes a copy from its source: copies the streams that can be copied, and encodes the rest."""

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
from generator.adapters.rendition_worker.source import Piece, SourceFile, Streams, stream_codec
from generator.adapters.rendition_worker.video_encoder import (
    StartedLateError,
    VideoEncoder,
    stored_format,
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
_MAX_PENDING = 200  # packets, until one has a decode time
_UNREADABLE_AUDIO = "its sound could not be read"


@dataclass(frozen=True, slots=True)
class JobResources:
    """The threads of a job, and the length of a chunk, which is lost at an interruption."""

    threads: int
    chunk_s: float


def make(
    request: RenditionRequest, descriptor: int, heartbeat: Heartbeat, resources: JobResources
) -> None:
    """Make a copy in the working folder, or resume it.

    Args:
        request: the copy to make.
        descriptor: of the source.
        heartbeat: counts every piece of work.
        resources: what may be used.

    Raises:
        UnusableFileError: no such copy can be made of this file.
        OSError: the disk is full, or the copy is too large.
    """
    job_folder.keep_or_clear(_plan(request, descriptor, resources))
    finished = job_folder.read_note(MADE)
    if (
        finished is not None
        and job_folder.size_of(result_file(request.container)) == finished["size_bytes"]
    ):
        return
    if request.made_by == REMUX:
        _remux(request, descriptor, heartbeat)
    else:
        _transcode(request, descriptor, heartbeat, resources)


def _plan(request: RenditionRequest, descriptor: int, resources: JobResources) -> dict[str, object]:
    """Return everything that the files in the folder depend on."""
    status = os.fstat(descriptor)
    return {
        "source": [status.st_size, status.st_mtime_ns],
        "made_by": request.made_by,
        "container": request.container,
        "is_hls": request.is_hls,
        "chunk_s": resources.chunk_s,
        "encoder": [PRESET, CRF, av.__version__],
    }


def _remux(request: RenditionRequest, descriptor: int, heartbeat: Heartbeat) -> None:
    with ExitStack() as stack:
        source = _open_source(stack, descriptor, heartbeat)
        heartbeat.total_s = source.duration_s
        if not holds_picture(request.container, stream_codec(source.picture)):
            raise UnusableFileError(_cannot_copy("picture", stream_codec(source.picture), request))
        if source.sounds and not holds_sound(request.container, stream_codec(source.sounds[0])):
            raise UnusableFileError(_cannot_copy("sound", stream_codec(source.sounds[0]), request))
        sounds = [
            stream
            for stream in source.sounds
            if holds_sound(request.container, stream_codec(stream))
        ]
        muxer = Muxer(request, heartbeat)
        stack.callback(muxer.abandon)
        streams: Streams = (source.picture, *sounds)
        numbers = {stream.index: muxer.add(stream) for stream in streams}
        for packet in _packets_to_copy(source, sounds):
            muxer.mux(numbers[packet.stream_index], packet)
            heartbeat.done_s = muxer.end_s
        _complete(muxer, REMUX)


def _transcode(
    request: RenditionRequest, descriptor: int, heartbeat: Heartbeat, resources: JobResources
) -> None:
    with ExitStack() as stack:
        source = _open_source(stack, descriptor, heartbeat)
        survey = survey_audio(source, heartbeat, resources.chunk_s)
        heartbeat.total_s = survey.end_s or None
        is_kept = survey.is_copyable and _is_video_kept(source)
    if is_kept:
        _join_copied(request, descriptor, heartbeat, survey)
        return
    first = _first_missing(survey)
    if first is not None:
        packet = survey.first_packets[first]
        try:
            _encode(descriptor, heartbeat, resources, survey, first, packet)
        except StartedLateError:
            _encode(descriptor, heartbeat, resources, survey, first, 0)
    _join_chunks(request, heartbeat, survey)


def _encode(
    descriptor: int,
    heartbeat: Heartbeat,
    resources: JobResources,
    survey: AudioSurvey,
    first: int,
    packet: int,
) -> None:
    with ExitStack() as stack:
        source = _open_source(stack, descriptor, heartbeat)
        encoder = VideoEncoder(
            source, survey, heartbeat, chunk_s=resources.chunk_s, threads=resources.threads
        )
        encoder.encode(first, packet)


def _first_missing(survey: AudioSurvey) -> int | None:
    """Return the number of the first unfinished chunk, None if all are finished."""
    for number in range(len(survey.first_packets)):
        note = job_folder.read_note(chunk_note(number))
        if note is None:
            return number
        if note["times"] and job_folder.size_of(chunk_file(number)) != note["size_bytes"]:
            return number
    return None


def _join_copied(
    request: RenditionRequest, descriptor: int, heartbeat: Heartbeat, survey: AudioSurvey
) -> None:
    """Join the copied video stream with the encoded audio."""
    with ExitStack() as stack:
        source = _open_source(stack, descriptor, heartbeat)
        # Fixed timestamps depend on the audio packets between.
        sounds = source.sounds[:1] if survey.breaks else []
        muxer = Muxer(request, heartbeat)
        stack.callback(muxer.abandon)
        muxer.add(source.picture)
        packets = (
            packet
            for packet in _packets_to_copy(source, sounds)
            if packet.stream_index == source.picture.index
        )
        _join(muxer, packets, survey, heartbeat, is_kept=True)


def _join_chunks(request: RenditionRequest, heartbeat: Heartbeat, survey: AudioSurvey) -> None:
    """Concatenate the video chunks, and join them with the audio."""
    notes = [
        job_folder.read_note(chunk_note(number)) for number in range(len(survey.first_packets))
    ]
    numbers = [number for number, note in enumerate(notes) if note and note["times"]]
    if not numbers:
        raise UnusableFileError("nothing of its picture can be decoded")
    times = [time for note in notes if note for time in note["times"]]
    with ExitStack() as stack:
        first = stack.enter_context(av.open(chunk_file(numbers[0])))
        template = first.streams.video[0]
        frame_format = stored_format()
        assert frame_format is not None  # written before the first chunk
        base = Fraction(frame_format.base)
        muxer = Muxer(request, heartbeat)
        stack.callback(muxer.abandon)
        muxer.add(template, base)
        packets = _packets_of_chunks(numbers, times, base, template)
        _join(muxer, packets, survey, heartbeat, is_kept=False)


def _packets_of_chunks(
    numbers: list[int], times: list[int], base: Fraction, template: VideoStream
) -> Iterator[Piece]:
    decoded = iter(zip(times, decode_times(times), strict=True))
    for number in numbers:
        with av.open(chunk_file(number)) as chunk:
            stream = chunk.streams.video[0]
            if stream.codec_context.extradata != template.codec_context.extradata:
                raise UnusableFileError("its parts do not fit together")
            for packet in chunk.demux(stream):
                if not packet.size:
                    continue
                duration = round((packet.duration or 0) * packet.time_base / base)
                packet.time_base = base
                packet.pts, packet.dts = next(decoded)
                packet.duration = duration
                yield packet


def _join(
    muxer: Muxer,
    packets: Iterator[Piece],
    survey: AudioSurvey,
    heartbeat: Heartbeat,
    *,
    is_kept: bool,
) -> None:
    """Interleave audio with the packets of video, and complete the copy."""
    pieces = [((_decode_time_s(packet), 0, packet) for packet in packets)]
    with ExitStack() as stack:
        if survey.sound in {"copied", "encoded"}:
            file = stack.enter_context(av.open(SOUND))
            sound = file.streams.audio[0]
            number = muxer.add(sound)
            pieces.append(
                (_decode_time_s(packet), number, packet)
                for packet in file.demux(sound)
                if packet.size
            )
        for _, number, packet in heapq.merge(*pieces, key=lambda piece: piece[:2]):
            muxer.mux(number, packet)
            heartbeat.done_s = max(heartbeat.done_s, muxer.end_s)
    made_by = REMUX if is_kept and survey.sound in {"copied", ""} else TRANSCODE
    _complete(muxer, made_by, _UNREADABLE_AUDIO if survey.sound == "unreadable" else "")


def _complete(muxer: Muxer, made_by: str, complaint: str = "") -> None:
    if not muxer.pictures:
        raise UnusableFileError("holds no picture")
    muxer.finish(made_by, complaint)


def _packets_to_copy(source: SourceFile, sounds: list[AudioStream]) -> Iterator[Piece]:
    """Yield packets to copy, video from its first key frame on; all have a pts.

    The first ones of video may lack a dts: in Matroska, all do.
    """
    pending: list[Piece] = []
    is_begun = False
    for packet in source.packets(source.picture, *sounds):
        if packet.stream_index == source.picture.index:
            is_begun = is_begun or packet.is_keyframe
            if not is_begun:
                continue  # depends on missing frames
            if packet.pts is None:
                raise UnusableFileError(
                    "does not say when its pictures are shown: it needs a transcode"
                )
        elif packet.pts is None:
            continue
        pending.append(packet)
        is_timed = packet.stream_index == source.picture.index and packet.dts is not None
        if is_timed or len(pending) > _MAX_PENDING:
            yield from _in_decode_order(pending, source.picture.index)
            pending.clear()
    yield from _in_decode_order(pending, source.picture.index)


def _in_decode_order(packets: list[Piece], picture: int) -> list[Piece]:
    """Set missing decode times, from that of the last video packet; return the packets."""
    pictures = [packet for packet in packets if packet.stream_index == picture]
    if pictures and pictures[-1].dts is not None:
        durations = [packet.duration or 0 for packet in pictures[:-1]]
        for packet, decoded in zip(
            pictures[:-1], times_before(pictures[-1].dts, durations), strict=True
        ):
            packet.dts = decoded
    for packet in packets:
        if packet.dts is None:
            packet.dts = packet.pts
    return packets


def _open_source(stack: ExitStack, descriptor: int, heartbeat: Heartbeat) -> SourceFile:
    source = SourceFile(descriptor, heartbeat)
    stack.callback(source.close)
    return source


def _is_video_kept(source: SourceFile) -> bool:
    context: VideoCodecContext | None = source.picture.codec_context
    return (
        context is not None
        and context.field_order in _PROGRESSIVE
        and keeps_picture(
            stream_codec(source.picture),
            context.pix_fmt or "",
            Size(context.width, context.height),
        )
    )


def _cannot_copy(what: str, codec: str, request: RenditionRequest) -> str:
    name = codec or "an unknown codec"
    target = request.container.upper().replace("WEBM", "WebM")
    return f"its {what} ({name}) cannot be copied into {target}: it needs a transcode"


def _decode_time_s(packet: Piece) -> float:
    assert packet.dts is not None
    return float(packet.dts * packet.time_base)
