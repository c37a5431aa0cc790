"""The source file of a copy, read from start to end, with timestamps from 0.

It is never seeked: half of all formats seek inaccurately, and reading is cheap compared to
encoding. So packets are counted, and their numbers are the same in every run.
"""

import os
from collections.abc import Iterator
from typing import TypeAlias, cast

import av
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.packet import Packet
from av.stream import Discard
from av.video.stream import VideoStream

from generator.adapters.media_worker.video_file import (
    UnusableFileError,
    open_container,
    played_first,
    video_stream,
)
from generator.adapters.rendition_worker.heartbeat import Heartbeat
from generator.core.media.renditions import TimestampFixer

_MICROSECONDS = 1_000_000
_MAX_EMPTY = 10_000  # empty packets; there are at most as many others as bytes
_MAX_FAILURES = 10  # damaged places in a row to skip
_MAX_PREROLL_US = 1_000_000  # before 0: encoder delay, which is not shown
_JUMPING_FORMATS = {"mpegts", "mpeg", "mpegvideo"}

Streams = tuple[VideoStream | AudioStream, ...]
Piece: TypeAlias = "Packet[VideoStream] | Packet[AudioStream]"


class SourceFile:
    """One pass over the file of a descriptor, which the caller closes.

    `sounds` begins with the default one of players. Times count from the start of video or audio.

    Raises:
        UnusableFileError: it is not a video, or damaged.
    """

    def __init__(self, descriptor: int, heartbeat: Heartbeat) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        self._container = open_container(descriptor, is_rough=False)
        self.picture = video_stream(self._container)
        sounds = [sound for sound in self._container.streams.audio if _is_audible(sound)]
        self.sounds = played_first(self._container, sounds)
        self._heartbeat = heartbeat
        self._most_packets = os.fstat(descriptor).st_size + _MAX_EMPTY
        may_jump = bool(_JUMPING_FORMATS.intersection(self._container.format.name.split(",")))
        self._fixer = TimestampFixer(may_jump=may_jump)
        self._origin_us = self._origin()
        self.lacks_times = False

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    @property
    def main_streams(self) -> Streams:
        """Return the video and the first audio stream, which a transcode is made of."""
        return (self.picture, *self.sounds[:1])

    @property
    def duration_s(self) -> float | None:
        """Return the duration in the container, None if it is missing."""
        duration = self._container.duration
        return None if duration is None or duration <= 0 else duration / _MICROSECONDS

    @property
    def breaks(self) -> int:
        """Return how often its timestamps were fixed so far."""
        return self._fixer.breaks

    def packets(self, *streams: VideoStream | AudioStream) -> Iterator[Piece]:
        """Yield the packets of some streams in file order, with fixed timestamps.

        Raises:
            UnusableFileError: there are more than a file of this size can hold.
        """
        for stream in self._container.streams:
            if stream not in streams:
                stream.discard = Discard.all
        for number, packet in enumerate(self._readable(streams)):
            if number > self._most_packets:
                raise UnusableFileError("never ends")
            self._heartbeat.beat()
            self._fix_times(packet)
            yield packet

    def _readable(self, streams: Streams) -> Iterator[Piece]:
        failures = 0
        while failures < _MAX_FAILURES:
            try:
                for packet in self._container.demux(*streams):
                    if packet.size:
                        failures = 0
                        yield cast("Piece", packet)
            except MemoryError:
                raise
            except av.FFmpegError:
                failures += 1
            else:
                return

    def _fix_times(self, packet: Piece) -> None:
        ticks = packet.dts if packet.dts is not None else packet.pts
        if ticks is None:
            self.lacks_times = True
            return
        base = packet.time_base
        us_a_tick = base.numerator * _MICROSECONDS, base.denominator
        time_us = ticks * us_a_tick[0] // us_a_tick[1]
        duration_us = (packet.duration or 0) * us_a_tick[0] // us_a_tick[1]
        shift_us = (
            self._fixer.offset_us(packet.stream_index, time_us, duration_us) - self._origin_us
        )
        shift = (2 * shift_us * us_a_tick[1] + us_a_tick[0]) // (2 * us_a_tick[0])
        if packet.pts is not None:
            packet.pts += shift
        if packet.dts is not None:
            packet.dts += shift

    def _origin(self) -> int:
        """Return the least start time of video and audio, in timestamps of the file, in us."""
        starts = [
            int(stream.start_time * stream.time_base * _MICROSECONDS)
            for stream in (self.picture, *self.sounds)
            if stream.start_time is not None and stream.time_base is not None
        ]
        first = min(starts, default=0)
        return 0 if -_MAX_PREROLL_US < first < 0 else first


def stream_codec(stream: VideoStream | AudioStream) -> str:
    """Return FFmpeg's name of the codec of a stream, "" without a decoder."""
    context = _context(stream)
    return "" if context is None else context.codec.canonical_name


def _is_audible(stream: AudioStream) -> bool:
    """Return whether an audio stream has parameters; some are declared but empty."""
    context = _context(stream)
    return context is not None and stream.sample_rate > 0 and stream.channels > 0


def _context(stream: VideoStream | AudioStream) -> CodecContext | None:
    return stream.codec_context  # None without a decoder, which PyAV's stubs do not declare
