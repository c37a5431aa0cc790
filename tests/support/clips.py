"""Real video clips, made by PyAV, small and different from each other."""

from pathlib import Path

import av
from av.video.frame import VideoFrame

WIDTH, HEIGHT, FRAMES = 64, 36, 4


def make_clip(file: Path, color: int = 0) -> Path:
    """Write a clip of four frames, bright and of its own color, in the format its name tells."""
    with av.open(file, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(FRAMES):
            frame = VideoFrame(WIDTH, HEIGHT, "yuv420p")
            for plane, value in zip(frame.planes, (180, color * 37 % 256, 90), strict=True):
                row = bytes((value + number) % 256 for _ in range(plane.line_size))
                plane.update(row * plane.height)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file


def vary(clip: bytes, salt: int) -> bytes:
    """Return the same MP4 with other bytes at its end, where players look for nothing."""
    free = b"salt%08d" % salt
    return clip + (8 + len(free)).to_bytes(4, "big") + b"free" + free
