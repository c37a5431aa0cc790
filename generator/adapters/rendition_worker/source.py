"""Source: the file that a copy is made of, read from its start to its end, on one clock from 0.

It is never wound: where a container can be wound to differs from the truth in half of all formats,
and reading is cheap beside encoding. So packets are counted, and their numbers mean the same in
every run.
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
_MOST_EMPTY = 10_000  # packets without a byte; of others there are no more than bytes
_MOST_FAILURES = 10  # damaged places in a row that a demuxer may be asked to go beyond
_SMALL_START_US = 1_000_000  # before 0: what an encoder needs to get going, which is not shown
_JUMPING = {"mpegts", "mpeg", "mpegvideo"}

Streams = tuple[VideoStream | AudioStream, ...]
Piece: TypeAlias = "Packet[VideoStream] | Packet[AudioStream]"


class SourceFile:
    """One reading of the file behind a descriptor, which stays the caller's.

    `sounds` begins with the one that players take. Times count from where picture or sound begin.

    Raises:
        UnfitError: it is no video, or damaged.
    """

    def __init__(self, descriptor: int, pulse: Heartbeat) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        self._container = open_container(descriptor, is_rough=False)
        self.picture = video_stream(self._container)
        sounds = [one for one in self._container.streams.audio if _is_audible(one)]
        self.sounds = played_first(self._container, sounds)
        self._pulse = pulse
        self._most_packets = os.fstat(descriptor).st_size + _MOST_EMPTY
        may_jump = bool(_JUMPING.intersection(self._container.format.name.split(",")))
        self._mender = TimestampFixer(may_jump=may_jump)
        self._origin_us = self._origin()
        self.lacks_times = False

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    @property
    def heard(self) -> Streams:
        """Return picture and first sound: what a transcode is made of."""
        return (self.picture, *self.sounds[:1])

    @property
    def duration_s(self) -> float | None:
        """Return how long it says it is."""
        duration = self._container.duration
        return None if duration is None or duration <= 0 else duration / _MICROSECONDS

    @property
    def breaks(self) -> int:
        """Return how often its clock was mended so far."""
        return self._mender.breaks

    def packets(self, *streams: VideoStream | AudioStream) -> Iterator[Piece]:
        """Yield the packets of some streams as they lie in the file, their times mended.

        Raises:
            UnfitError: there are more of them than a file of this size can hold.
        """
        for stream in self._container.streams:
            if stream not in streams:
                stream.discard = Discard.all
        for number, packet in enumerate(self._readable(streams)):
            if number > self._most_packets:
                raise UnusableFileError("never ends")
            self._pulse.beat()
            self._mend(packet)
            yield packet

    def _readable(self, streams: Streams) -> Iterator[Piece]:
        failures = 0
        while failures < _MOST_FAILURES:
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

    def _mend(self, packet: Piece) -> None:
        told = packet.dts if packet.dts is not None else packet.pts
        if told is None:
            self.lacks_times = True
            return
        base = packet.time_base
        us_a_tick = base.numerator * _MICROSECONDS, base.denominator
        told_us = told * us_a_tick[0] // us_a_tick[1]
        lasts_us = (packet.duration or 0) * us_a_tick[0] // us_a_tick[1]
        move_us = self._mender.offset_us(packet.stream_index, told_us, lasts_us) - self._origin_us
        move = (2 * move_us * us_a_tick[1] + us_a_tick[0]) // (2 * us_a_tick[0])
        if packet.pts is not None:
            packet.pts += move
        if packet.dts is not None:
            packet.dts += move

    def _origin(self) -> int:
        """Return when the first of picture and sound begins, by the clock of the file, in us."""
        starts = [
            int(stream.start_time * stream.time_base * _MICROSECONDS)
            for stream in (self.picture, *self.sounds)
            if stream.start_time is not None and stream.time_base is not None
        ]
        first = min(starts, default=0)
        return 0 if -_SMALL_START_US < first < 0 else first


def codec_name(stream: VideoStream | AudioStream) -> str:
    """Return FFmpeg's name of what a stream is coded with, "" without a decoder for it."""
    context = _context(stream)
    return "" if context is None else context.codec.canonical_name


def _is_audible(stream: AudioStream) -> bool:
    """Tell whether anything is known of a sound; some are announced that never come."""
    context = _context(stream)
    return context is not None and stream.sample_rate > 0 and stream.channels > 0


def _context(stream: VideoStream | AudioStream) -> CodecContext | None:
    return stream.codec_context  # None without a decoder, which PyAV's stubs do not tell
