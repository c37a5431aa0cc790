"""Films whose every frame tells its number, what is seen of them, and how copies of them are made.

Imported by tests.
"""

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from generator.adapters.media.rendition_runner import (
    FinishedCopy,
    RenditionProgress,
    RenditionRunner,
)
from generator.core.media.renditions import MP4, TRANSCODE, RenditionRequest
from generator.core.model import Place, Rejected

WIDTH, HEIGHT, BITS = 96, 32, 12
HZ = 48_000
LIMIT_S = 60.0
PLACE = Place("", "it")

# -- films whose every frame tells its number


def numbered(number: int) -> VideoFrame:
    """Return a frame that shows a number in black and white bars."""
    frame = VideoFrame(WIDTH, HEIGHT, "yuv420p")
    luma, *chroma = frame.planes
    bar = WIDTH // BITS
    row = b"".join((b"\xeb" if number >> bit & 1 else b"\x10") * bar for bit in range(BITS))
    luma.update((row + bytes(luma.line_size - WIDTH)) * HEIGHT)
    for plane in chroma:
        plane.update(bytes([128]) * plane.buffer_size)
    return frame


def number_of(frame: VideoFrame) -> int:
    """Return the number that a frame shows, whatever its size."""
    luma = frame.reformat(WIDTH, HEIGHT, "gray")
    plane = luma.planes[0]
    row = bytes(plane)[HEIGHT // 2 * plane.line_size :][:WIDTH]
    bar = WIDTH // BITS
    return sum((row[bit * bar + bar // 2] > 128) << bit for bit in range(BITS))


def tone(start: int, samples: int, beeps_s: Sequence[float]) -> AudioFrame:
    """Return samples that are silent but for a beep of 0.1 s at some instants."""
    frame = AudioFrame("fltp", "stereo", samples)
    wave = array(
        "f",
        (
            0.5 * math.sin(at * 0.1)
            if any(beep <= at / HZ < beep + 0.1 for beep in beeps_s)
            else 0.0
            for at in range(start, start + samples)
        ),
    )
    for plane in frame.planes:
        plane.update(wave.tobytes())
    frame.sample_rate, frame.pts, frame.time_base = HZ, start, Fraction(1, HZ)
    return frame


def reorders(codec: str) -> bool:
    return codec in {"mpeg4", "libx264"}


def film(  # noqa: PLR0913 - what films differ in
    file: Path,
    *,
    times_s: Sequence[Fraction] = tuple(Fraction(number, 25) for number in range(75)),
    codec: str = "mpeg4",
    sound: str | None = None,
    sound_s: float | None = None,
    key_every: int = 12,
    pixels: str = "yuv420p",
) -> Path:
    """Write a film of numbered frames, which are shown at these times."""
    with av.open(file, "w") as container:
        # Times that vary need a fine clock, which most codecs and AVI do not have.
        base = Fraction(1, 60_000 if reorders(codec) and file.suffix != ".avi" else 25)
        reordered = {"bf": "2"} if reorders(codec) else {}
        picture = container.add_stream(codec, rate=25, options=reordered)
        picture.width, picture.height = WIDTH, HEIGHT
        picture.pix_fmt = {"mjpeg": "yuvj420p", "libx264": pixels}.get(codec, "yuv420p")
        picture.codec_context.gop_size = key_every
        picture.codec_context.time_base = base
        if codec == "mpeg4":
            picture.codec_context.bit_rate = 400_000
        heard = [
            container.add_stream(sound, rate=HZ, layout="stereo", bit_rate=128_000)
            for _ in range(1 if sound else 0)
        ]
        ends_s = float(times_s[-1]) + 0.04 if sound_s is None else sound_s
        samples = range(round(times_s[0] * HZ), round(ends_s * HZ), 960) if sound else range(0)
        rest = iter(samples)
        for number, time in enumerate(times_s):
            frame = numbered(number)
            frame.pts, frame.time_base = round(time / base), base
            container.mux(picture.encode(frame))
            for start in rest:
                for stream in heard:
                    container.mux(stream.encode(tone(start, 960, (1.0,))))
                if start / HZ > time:
                    break
        container.mux(picture.encode(None))
        for start in rest:
            for stream in heard:
                container.mux(stream.encode(tone(start, 960, (1.0,))))
        for stream in heard:
            container.mux(stream.encode(None))
    return file


@dataclass(frozen=True)
class Shown:
    """What is seen and heard of a film: (seconds, number) of each frame, and of each sample's."""

    frames: list[tuple[float, int]]
    size: tuple[int, int]
    sounds_s: list[float]  # instants at which something is heard
    ends_s: float


def shown(file: Path) -> Shown:
    frames: list[tuple[float, int]] = []
    sounds: list[float] = []
    ends_s, size = 0.0, (0, 0)
    with av.open(file) as container:
        for packet in container.demux(video=0):
            for frame in packet.decode():
                assert isinstance(frame, VideoFrame)
                assert frame.time is not None
                frames.append((frame.time, number_of(frame)))
                size = (frame.width, frame.height)
    with av.open(file) as container:
        if container.streams.audio:
            for heard in container.decode(audio=0):
                if heard.time is None:
                    continue
                level = max(map(abs, array("f", bytes(heard.planes[0])[: 4 * heard.samples])))
                ends_s = heard.time + heard.samples / heard.sample_rate
                if level > 0.1:
                    sounds.append(heard.time)
    return Shown(frames, size, sounds, ends_s)


def times_of(file: Path) -> list[float]:
    """Return when each frame is shown, from the first one's time on."""
    times = [time for time, _ in shown(file).frames]
    return [time - times[0] for time in times]


def near(times: Sequence[float], expected: Sequence[float], within: float = 1e-3) -> bool:
    return len(times) == len(expected) and all(
        abs(one - other) <= within for one, other in zip(times, expected, strict=True)
    )


# -- the program


def asked(file: Path, made_by: str = TRANSCODE) -> RenditionRequest:
    return RenditionRequest(PLACE, str(file), made_by, MP4, is_hls=False, job="7")


class Maker:
    """Makes copies in a folder, and keeps what it was told."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.progress: list[RenditionProgress] = []

    def __call__(
        self,
        file: Path,
        made_by: str = TRANSCODE,
        container: str = MP4,
        *,
        is_hls: bool = False,
        expected_bytes: int = 1 << 24,
        **means: object,
    ) -> FinishedCopy | Rejected:
        request = RenditionRequest(PLACE, str(file), made_by, container, is_hls=is_hls, job="7")
        with self.renditions(**means) as renditions:
            renditions.start(request, expected_bytes)
            return self.wait(renditions)

    def renditions(self, **means: object) -> RenditionRunner:
        usual = {"nice": 0, "reserve_bytes": 0, "chunk_s": 1.0, **means}
        return RenditionRunner(self.scratch, **usual)  # type: ignore[arg-type]  # told by their names

    def wait(self, renditions: RenditionRunner) -> FinishedCopy | Rejected:
        while renditions.is_busy:
            outcome = renditions.poll(LIMIT_S)
            if isinstance(outcome, RenditionProgress):
                self.progress.append(outcome)
            elif outcome is not None:
                return outcome
        pytest.fail("it ended without a word")


def made(found: FinishedCopy | Rejected) -> FinishedCopy:
    assert isinstance(found, FinishedCopy), found.reason
    return found


def reason(found: FinishedCopy | Rejected) -> str:
    assert isinstance(found, Rejected)
    return found.reason
