"""Makes the audio of a copy in one pass over the source, and surveys it on the way."""

from dataclasses import asdict, dataclass
from fractions import Fraction

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.filter import Graph

from generator.adapters.media_worker.video_file import UnusableFileError
from generator.adapters.rendition_worker import job_folder
from generator.adapters.rendition_worker.heartbeat import Heartbeat
from generator.adapters.rendition_worker.source import Piece, SourceFile, stream_codec
from generator.core.media.renditions import (
    SOUND,
    SOUND_BPS,
    SOUND_HZ,
    SURVEY,
    MonotonicTimestamps,
    chunks_of,
    first_packets,
)
from generator.core.media.stills import plausible_duration

_FRAME_SAMPLES = 1024
_MAX_COPIED_CHANNELS = 2


@dataclass(frozen=True, slots=True)
class AudioSurvey:
    """The result of a pass over the whole source.

    `end_s` is when its last video frame ends. `first_packets` are, for each chunk, the number of
    the video packet from which to decode. `breaks`: how often timestamps were fixed.
    `is_copyable`: every video packet has a pts. `sound` is "copied", "encoded", "unreadable" or ""
    if there is none.
    """

    end_s: float
    first_packets: tuple[int, ...]
    breaks: int
    is_copyable: bool
    sound: str


def survey_audio(source: SourceFile, heartbeat: Heartbeat, chunk_s: float) -> AudioSurvey:
    """Read a source, make its audio, and return the survey; a stored one is reused."""
    stored = job_folder.read_note(SURVEY)
    if stored is not None:
        return AudioSurvey(**{**stored, "first_packets": tuple(stored["first_packets"])})
    survey = _read(source, heartbeat, chunk_s)
    job_folder.write_note(SURVEY, asdict(survey))
    return survey


def _read(source: SourceFile, heartbeat: Heartbeat, chunk_s: float) -> AudioSurvey:
    heartbeat.total_s = source.duration_s
    writer = _writer_for(source)
    keys: list[tuple[float, int]] = []
    end_s, count, is_copyable = 0.0, 0, True
    for packet in source.packets(*source.main_streams):
        if packet.stream_index != source.picture.index:
            assert writer is not None
            writer.add(packet)
            continue
        is_copyable = is_copyable and packet.pts is not None
        shown = packet.pts if packet.pts is not None else packet.dts
        if shown is not None:
            end = shown + (packet.duration or 0)
            end_s = max(end_s, float(end * packet.time_base))
            if packet.is_keyframe:
                keys.append((float(shown * packet.time_base), count))
        count += 1
    kind = ""
    if writer is not None:
        kind = writer.kind if writer.close() else "unreadable"
    if end_s and plausible_duration(end_s) is None:
        raise UnusableFileError("would last longer than a month")
    chunks = 1 if source.lacks_times else chunks_of(end_s, chunk_s)
    firsts = first_packets(keys, chunk_s, chunks)
    return AudioSurvey(end_s, firsts, source.breaks, is_copyable, kind)


def _writer_for(source: SourceFile) -> "_CopiedAudio | _EncodedAudio | None":
    if not source.sounds:
        return None
    stream = source.sounds[0]
    context = stream.codec_context
    is_plain = stream_codec(stream) == "aac" and context.profile == "LC" and context.extradata
    if is_plain and 0 < context.channels <= _MAX_COPIED_CHANNELS:
        return _CopiedAudio(stream)
    return _EncodedAudio(stream)


class _CopiedAudio:
    """Audio that can be copied."""

    kind = "copied"

    def __init__(self, template: AudioStream) -> None:
        self._container = av.open(job_folder.unfinished(SOUND), "w", format="mp4")
        self._stream = self._container.add_stream_from_template(template, opaque=True)
        self._timestamps = MonotonicTimestamps()
        self._count = 0

    def add(self, packet: Piece) -> None:
        shown = packet.pts if packet.pts is not None else packet.dts
        if shown is None:
            return
        packet.pts, packet.dts = self._timestamps.step(shown, shown)
        packet.stream = self._stream
        self._container.mux_one(packet)
        self._count += 1

    def close(self) -> bool:
        self._container.close()
        if self._count:
            job_folder.keep(SOUND)
        return self._count > 0


class _EncodedAudio:
    """Audio that is decoded, resampled to stereo without gaps, and encoded as AAC."""

    kind = "encoded"

    def __init__(self, source: AudioStream) -> None:
        self._source = source
        self._decoder = source.codec_context
        self._decoder.thread_count = 1
        self._container = av.open(job_folder.unfinished(SOUND), "w", format="mp4")
        self._stream = self._container.add_stream("aac", rate=SOUND_HZ)
        self._stream.codec_context.bit_rate = SOUND_BPS
        self._stream.codec_context.layout = "stereo"
        self._graph: Graph | None = None
        self._shape: tuple[object, ...] = ()
        self._next_sample = 0  # to be encoded
        self._end = Fraction(0)

    def add(self, packet: "Piece | None") -> None:
        try:
            frames = self._decoder.decode(packet)
        except MemoryError:
            raise
        except av.FFmpegError:
            return  # replaced by silence
        for frame in frames:
            self._resample(frame)

    def close(self) -> bool:
        self.add(None)
        self._drain()
        if self._next_sample:
            self._container.mux(self._stream.encode(None))
        self._container.close()
        if self._next_sample:
            job_folder.keep(SOUND)
        return self._next_sample > 0

    def _resample(self, frame: AudioFrame) -> None:
        base = self._source.time_base or Fraction(1, frame.sample_rate)
        if frame.pts is None:
            frame.pts = round(self._end / base)
        self._end = frame.pts * base + Fraction(frame.samples, frame.sample_rate)
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._graph is None or shape != self._shape:
            self._drain()
            self._graph, self._shape = self._graph_for(frame, base), shape
        self._graph.push(frame)
        self._encode(self._graph)

    def _graph_for(self, frame: AudioFrame, base: Fraction) -> Graph:
        graph = Graph()
        source = graph.add_abuffer(
            sample_rate=frame.sample_rate,
            format=frame.format,
            layout=frame.layout,
            time_base=base,
        )
        resampler = graph.add(
            "aresample", f"{SOUND_HZ}:async=1:first_pts={self._next_sample}:ochl=stereo:osf=fltp"
        )
        graph.link_nodes(
            source,
            resampler,
            graph.add("asetnsamples", f"n={_FRAME_SAMPLES}:p=0"),
            graph.add("abuffersink"),
        ).configure()
        return graph

    def _drain(self) -> None:
        if self._graph is not None:
            self._graph.push(None)
            self._encode(self._graph)
            self._graph = None

    def _encode(self, graph: Graph) -> None:
        while True:
            try:
                frame = graph.pull()
            except (BlockingIOError, EOFError):
                return
            assert isinstance(frame, AudioFrame)
            frame.pts, frame.time_base = self._next_sample, Fraction(1, SOUND_HZ)
            self._next_sample += frame.samples
            self._container.mux(self._stream.encode(frame))
