"""Make a small library of varied sample videos: `python scripts/make_samples.py DIR`.

PyAV and Pillow draw and encode everything, the same each time; what is there already is kept.
"""

import colorsys
import math
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from zlib import crc32

import av
from PIL import Image, ImageDraw, ImageFont

FPS = 12
FADING = 4  # of every ten, the one that begins in black
FIRST_DAY = datetime(2014, 3, 1, 9, 30, tzinfo=UTC)
TITLES = {
    "Holidays/Norway 2019": (
        "Fjord at dawn", "The ferry", "Trollstigen, 11 bends", "Rain in Bergen"),
    "Holidays/Lisbon": ("Tram 28", "São Jorge", "Pastéis & coffee", "Fado (live)"),
    "Holidays": ("Packing #1", "Packing #2", "Packing #10"),
    "Family/Birthdays": ("Zoë turns 5 🎂", "Grandpa's 80th", "Cake, 100% chocolate"),
    "Family": ("First steps", "Moving house", 'The "new" garden', "Snow day"),
    "Lectures/Physics": tuple(f"Lecture {n}: {what}" for n, what in enumerate(
        ("Motion", "Forces", "Energy", "Waves", "Light", "Heat", "Fields", "Atoms"), 1)),
    "Lectures/History": ("The printing press", "Harbours and trade", "What maps leave out"),
    "Game clips": ("Last lap", "Clutch!", "Speedrun 4-2", "Glitch?", "Boss, third try"),
    "Club archive/1998": ("Spring concert", "Parade", "Old hall"),
    "Club archive": ("Annual meeting", "Repair evening", "Choir rehearsal"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """One clip to be made: where, how large, how long, in what."""

    file: Path
    title: str
    number: int

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height: most are wide, some stand upright, some are 4:3."""
        return {3: (360, 640), 7: (480, 360), 11: (1280, 720)}.get(self.number % 13, (640, 360))

    @property
    def frames(self) -> int:
        """Return the length, between two and six seconds."""
        return FPS * (2 + self.number * 7 % 5)


def make_samples(folder: Path) -> None:
    """Fill a folder with samples; a clip that is there is left as it is."""
    samples = [
        Sample(folder / place / f"{title.replace(':', ' -')}{_suffix(number)}", title, number)
        for number, (place, title) in enumerate(
            (place, title) for place, titles in TITLES.items() for title in titles
        )
    ]
    missing = [sample for sample in samples if not sample.file.exists()]
    with ProcessPoolExecutor(2) as pool:
        for number, sample in enumerate(pool.map(_make, missing), 1):
            if sys.stdout.isatty():
                print(f"\r{number} of {len(missing)} samples", end="", flush=True)
            moment = int(FIRST_DAY.timestamp()) + sample.number * 97 * 86_400 % (11 * 365 * 86_400)
            os.utime(sample.file, (moment, moment))
    if missing:
        print(f"\r{len(missing)} sample{'s' * (len(missing) != 1)} made")


def _suffix(number: int) -> str:
    return {2: ".webm", 5: ".mkv", 8: ".mov"}.get(number % 9, ".mp4")


def _make(sample: Sample) -> Sample:
    sample.file.parent.mkdir(parents=True, exist_ok=True)
    scratch = sample.file.with_name(f".{sample.file.name}.part{sample.file.suffix}")
    webm = sample.file.suffix == ".webm"
    with av.open(scratch, "w") as container:
        stream = container.add_stream("libvpx-vp9" if webm else "libx264", rate=FPS)
        stream.width, stream.height = sample.size
        stream.pix_fmt, stream.gop_size = "yuv420p", FPS
        stream.options = (
            {"deadline": "realtime", "cpu-used": "8"} if webm else {"preset": "veryfast"}
        )
        sound = None
        if sample.number % 3 and not webm:
            sound = container.add_stream("aac", rate=22_050, layout="mono")
        for index in range(sample.frames):
            frame = av.VideoFrame.from_image(_picture(sample, index))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            for block in _tones(sample):
                container.mux(sound.encode(block))
            container.mux(sound.encode(None))
    scratch.rename(sample.file)
    return sample


def _picture(sample: Sample, index: int) -> Image.Image:
    """Draw a frame: a slow gradient, circles that drift, and the title."""
    width, height = sample.size
    if sample.number % 10 == FADING and index < FPS:  # fades in from black, as many films do
        return Image.new("RGB", (width, height))
    turn = index / sample.frames
    hue = crc32(sample.title.encode()) % 1000 / 1000
    low, high = _color(hue, 0.75, 0.35), _color(hue + 0.12, 0.55, 0.95)
    shade = (
        Image.linear_gradient("L").rotate(90 * turn + sample.number * 40).resize((width, height))
    )
    picture = Image.composite(
        Image.new("RGB", (width, height), high), Image.new("RGB", (width, height), low), shade
    )
    draw = ImageDraw.Draw(picture, "RGBA")
    for ring in range(5):
        angle = 2 * math.pi * (turn * (1 + ring % 2) + ring / 5 + hue)
        x, y = width * (0.5 + 0.34 * math.cos(angle)), height * (0.5 + 0.3 * math.sin(angle))
        size = height * (0.08 + 0.04 * ring)
        draw.ellipse(
            (x - size, y - size, x + size, y + size), (*_color(hue + 0.4 + ring / 9, 0.6, 1), 110)
        )
    _write(draw, sample.title, width, height)
    return picture


def _write(draw: ImageDraw.ImageDraw, title: str, width: int, height: int) -> None:
    words = title.encode("latin-1", "ignore").decode("latin-1").strip()  # the font has no more
    font = ImageFont.load_default(size=max(18, min(width, height) // 9))
    box = draw.textbbox((0, 0), words, font=font)
    left, top = (width - box[2]) / 2, height * 0.72
    draw.text((left + 2, top + 2), words, (0, 0, 0, 150), font=font)
    draw.text((left, top), words, (255, 255, 255, 255), font=font)


def _color(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _tones(sample: Sample) -> list[av.AudioFrame]:
    """Return a soft tone as long as the pictures."""
    rate, block = 22_050, 1024
    pitch = 220 * 2 ** (sample.number % 12 / 12)
    frames = []
    for start in range(0, sample.frames * rate // FPS, block):
        frame = av.AudioFrame("s16", "mono", block)
        wave = (
            round(2500 * math.sin(2 * math.pi * pitch * (start + n) / rate)) for n in range(block)
        )
        frame.planes[0].update(
            b"".join(value.to_bytes(2, sys.byteorder, signed=True) for value in wave)
        )
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        frames.append(frame)
    return frames


if __name__ == "__main__":
    make_samples(Path(sys.argv[1]))
