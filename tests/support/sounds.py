"""Films of several sounds or pictures, of which some are on and some are off; imported by tests."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from math import pi, sin
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.stream import Disposition
from av.video.frame import VideoFrame

HZ = 48_000
SOUNDS_HZ = (500, 2000, 4000)  # of the first sound, the second ...


def many_sounds(
    file: Path, codecs: Sequence[str], on: Sequence[bool], picture: str = "libx264"
) -> Path:
    """Write two seconds with a sound for each codec, those that are on marked as default."""
    with av.open(file, "w") as container:
        stream = container.add_stream(picture, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        sounds = []
        for codec, is_on in zip(codecs, on, strict=True):
            sound = container.add_stream(codec, rate=HZ)
            assert isinstance(sound, AudioStream)
            sound.disposition = Disposition.default if is_on else Disposition(0)
            sounds.append(sound)
        for number in range(20):
            frame = VideoFrame(64, 64, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([120]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for sound, hertz in zip(sounds, SOUNDS_HZ, strict=False):
            context = sound.codec_context
            size = context.frame_size or 960
            for at in range(2 * HZ // size):
                frame = AudioFrame(context.format.name, context.layout.name, size)
                frame.sample_rate, frame.pts, frame.time_base = HZ, at * size, Fraction(1, HZ)
                wave = [sin(2 * pi * hertz * (at * size + n) / HZ) / 4 for n in range(size)]
                is_float = context.format.name.startswith("flt")
                packed = (
                    struct.pack(f"<{size}f", *wave)
                    if is_float
                    else struct.pack(f"<{size}h", *(round(32_000 * one) for one in wave))
                )
                if not context.format.is_planar:
                    step = 4 if is_float else 2
                    many = len(context.layout.channels)
                    packed = b"".join(
                        packed[n : n + step] * many for n in range(0, len(packed), step)
                    )
                for plane in frame.planes:
                    plane.update(packed.ljust(plane.buffer_size, b"\0"))
                container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
    return file


def all_off(film: Path) -> Path:
    """Turn off every track of an MP4."""
    content = bytearray(film.read_bytes())
    at = -1
    while (at := content.find(b"tkhd", at + 1)) >= 0:
        content[at + 7] &= ~1
    film.write_bytes(content)
    return film
