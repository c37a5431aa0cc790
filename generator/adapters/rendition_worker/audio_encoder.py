"""Sound: made in one piece in one reading of the source, which is surveyed on the way."""

from dataclasses import asdict, dataclass
from fractions import Fraction

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.filter import Graph

from generator.adapters.media_worker.video_file import UnusableFileError
from generator.adapters.rendition_worker import job_folder
from generator.adapters.rendition_worker.heartbeat import Heartbeat
from generator.adapters.rendition_worker.source import Piece, SourceFile, codec_name
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
_MOST_COPIED_CHANNELS = 2


@dataclass(frozen=True, slots=True)
class AudioSurvey:
    """What a reading of the whole source told.

    `end_s` is when its last picture ends. `first_packets` are, for each chunk, the number of the
    picture's packet from which to decode. `breaks`: how often its clock was mended.
    `is_copyable`: every packet of the picture says when it is shown. `sound` is "copied",
    "encoded", "unreadable" or "" where there is none.
    """

    end_s: float
    first_packets: tuple[int, ...]
    breaks: int
    is_copyable: bool
    sound: str


def survey_audio(source: SourceFile, pulse: Heartbeat, chunk_s: float) -> AudioSurvey:
    """Read a source, make its sound, and return what was seen; what was made before is believed."""
    said = job_folder.read_note(SURVEY)
    if said is not None:
        return AudioSurvey(**{**said, "first_packets": tuple(said["first_packets"])})
    seen = _read(source, pulse, chunk_s)
    job_folder.write_note(SURVEY, asdict(seen))
    return seen


def _read(source: SourceFile, pulse: Heartbeat, chunk_s: float) -> AudioSurvey:
    pulse.total_s = source.duration_s
    sound = _sound_of(source)
    keys: list[tuple[float, int]] = []
    end_s, count, is_copyable = 0.0, 0, True
    for packet in source.packets(*source.heard):
        if packet.stream_index != source.picture.index:
            assert sound is not None
            sound.add(packet)
            continue
        is_copyable = is_copyable and packet.pts is not None
        shown = packet.pts if packet.pts is not None else packet.dts
        if shown is not None:
            end = shown + (packet.duration or 0)
            end_s = max(end_s, float(end * packet.time_base))
            if packet.is_keyframe:
                keys.append((float(shown * packet.time_base), count))
        count += 1
    made = ""
    if sound is not None:
        made = sound.kind if sound.close() else "unreadable"
    if end_s and plausible_duration(end_s) is None:
        raise UnusableFileError("would last longer than a month")
    chunks = 1 if source.lacks_times else chunks_of(end_s, chunk_s)
    firsts = first_packets(keys, chunk_s, chunks)
    return AudioSurvey(end_s, firsts, source.breaks, is_copyable, made)


def _sound_of(source: SourceFile) -> "_Copied | _Encoded | None":
    if not source.sounds:
        return None
    stream = source.sounds[0]
    context = stream.codec_context
    is_plain = codec_name(stream) == "aac" and context.profile == "LC" and context.extradata
    if is_plain and 0 < context.channels <= _MOST_COPIED_CHANNELS:
        return _Copied(stream)
    return _Encoded(stream)


class _Copied:
    """Sound that is as it should be already."""

    kind = "copied"

    def __init__(self, template: AudioStream) -> None:
        self._container = av.open(job_folder.unfinished(SOUND), "w", format="mp4")
        self._stream = self._container.add_stream_from_template(template, opaque=True)
        self._ladder = MonotonicTimestamps()
        self._count = 0

    def add(self, packet: Piece) -> None:
        shown = packet.pts if packet.pts is not None else packet.dts
        if shown is None:
            return
        packet.pts, packet.dts = self._ladder.step(shown, shown)
        packet.stream = self._stream
        self._container.mux_one(packet)
        self._count += 1

    def close(self) -> bool:
        self._container.close()
        if self._count:
            job_folder.keep(SOUND)
        return self._count > 0


class _Encoded:
    """Sound that is decoded, brought to two channels without gaps, and encoded as AAC."""

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
        self._next = 0  # sample to be encoded
        self._heard_until = Fraction(0)

    def add(self, packet: "Piece | None") -> None:
        try:
            frames = self._decoder.decode(packet)
        except MemoryError:
            raise
        except av.FFmpegError:
            return  # silence takes its place
        for frame in frames:
            self._hear(frame)

    def close(self) -> bool:
        self.add(None)
        self._drain()
        if self._next:
            self._container.mux(self._stream.encode(None))
        self._container.close()
        if self._next:
            job_folder.keep(SOUND)
        return self._next > 0

    def _hear(self, frame: AudioFrame) -> None:
        base = self._source.time_base or Fraction(1, frame.sample_rate)
        if frame.pts is None:
            frame.pts = round(self._heard_until / base)
        self._heard_until = frame.pts * base + Fraction(frame.samples, frame.sample_rate)
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
        evened = graph.add(
            "aresample", f"{SOUND_HZ}:async=1:first_pts={self._next}:ochl=stereo:osf=fltp"
        )
        graph.link_nodes(
            source,
            evened,
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
            frame.pts, frame.time_base = self._next, Fraction(1, SOUND_HZ)
            self._next += frame.samples
            self._container.mux(self._stream.encode(frame))
