"""Clips of a second in any coding and container that FFmpeg writes; imported by tests."""

import os
from fractions import Fraction
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame

SIDE, RATE, HZ = 64, 10, 48_000
EXPERIMENTAL = {"strict": "experimental"}  # Vorbis, and FLAC in an MP4 of old


def coded_clip(
    file: Path,
    picture: str = "libx264",
    sound: str = "",
    *,
    pixel_format: str = "yuv420p",
    **options: str,
) -> Path:
    """Write a second of grey with these encoders, and of silence if there is to be a sound.

    The name tells the container; `options` are those of its muxer.
    """
    with av.open(file, "w", options={**EXPERIMENTAL, **options}) as container:
        stream = container.add_stream(picture, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, pixel_format
        hearing = container.add_stream(sound, rate=HZ, options=EXPERIMENTAL) if sound else None
        for number in range(RATE):
            frame = VideoFrame(SIDE, SIDE, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([100 + number]) * plane.buffer_size)
            container.mux(stream.encode(frame.reformat(format=pixel_format)))
        container.mux(stream.encode(None))
        if isinstance(hearing, AudioStream):
            _silence(container, hearing)
    # SVT-AV1, where it may, puts who calls it before all others of the machine, and his children.
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return file


def _silence(container: OutputContainer, stream: AudioStream) -> None:
    context = stream.codec_context
    size = context.frame_size or 960
    for number in range(HZ // size):
        frame = AudioFrame(context.format.name, context.layout.name, size)
        frame.sample_rate, frame.pts, frame.time_base = HZ, number * size, Fraction(1, HZ)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
