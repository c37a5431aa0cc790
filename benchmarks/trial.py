"""Trial libraries: a catalogue of any size, without media, the same for the same seed."""

import random
from collections.abc import Iterator
from pathlib import Path

from generator.adapters.catalogue import Catalogue
from generator.adapters.settings import Settings
from generator.core.model import Event, EventKind, VideoId
from generator.core.site import urls

SEED = 20261123
START = 1_600_000_000
NOW = 1_790_000_000
TAGS = 50  # beside those of folders
WORDS = (
    "garden", "river", "winter", "summer", "birthday",
    "concert", "lecture", "harbour", "mountain", "train",
    "kitchen", "football", "violin", "glacier", "market",
    "parade", "workshop", "morning", "evening", "robot",
)  # fmt: skip
_BATCH = 5000


def settings(folder: Path, **more: object) -> Settings:
    """Return settings for a trial below `folder`."""
    values: dict[str, object] = {
        "library": (folder / "library",),
        "out": folder / "out",
        "state": folder / "state",
        "title": "A trial library",
        "site_url": "https://videos.example.org",
        "missing_grace_s": 0,
        "folder_tags": False,
        **more,
    }
    return Settings(**values)  # type: ignore[arg-type]  # pydantic checks them


def fill(catalogue: Catalogue, videos: int, *, seed: int = SEED) -> None:
    """Record `videos` videos with posters.

    100 stand in a folder; each has 3 of 50 tags; 1 in 10 is a favorite, 3 in 10 are rated, half of
    them were seen.
    """
    chance = random.Random(seed)
    for start in range(0, videos, _BATCH):
        numbers = range(start + 1, min(start + _BATCH, videos) + 1)
        catalogue.append([event for number in numbers for event in _events(number, chance)])


def found(number: int, chance: random.Random) -> Event:
    """Return the event of a new video with a poster to come."""
    title = " ".join(chance.choices(WORDS, k=4)).title() + f" {number}"
    folder = f"Year {2000 + number // 1000 % 25}/Folder {number // 100}"
    value = {
        "slug": urls.slug_of(title),
        "title": title,
        "added_at": START + number * 977,
        "recorded_at": START - chance.randrange(10**8),
        "root": "",
        "path": f"{folder}/{title}.mp4",
        "size_bytes": chance.randrange(10**6, 10**9),
        "mtime_ns": (START + number) * 10**9,
        "fingerprint": f"{number:032x}",
        "container": "mp4",
        "duration_s": chance.randrange(5, 7200) + 0.5,
        "width_px": 1920,
        "height_px": 1080,
        "fps": 25.0,
        "video_codec": "h264",
        "audio_codec": "aac",
        "folder_tags": (),
    }
    return Event(f"found-{number}", EventKind.VIDEO_FOUND, NOW, "trial", value=value)


def poster(number: int) -> Event:
    """Return the event of a poster made."""
    still = {
        "digest": f"{number:012x}",
        "widths_px": [320, 640],
        "width_px": 320,
        "height_px": 180,
        "color": f"{number * 7919 % 0xFFFFFF:06x}",
    }
    value = {"poster": still}
    return Event(f"poster-{number}", EventKind.POSTER_MADE, NOW, "trial", VideoId(number), value)


def tag_name(number: int) -> str:
    """Return one of the 50 tags."""
    return f"{WORDS[number % len(WORDS)]} {number}"


def _events(number: int, chance: random.Random) -> Iterator[Event]:
    video = VideoId(number)
    yield found(number, chance)
    yield poster(number)
    for tag in chance.sample(range(TAGS), 3):
        value = {"name": tag_name(tag)}
        yield Event(f"tag-{number}-{tag}", EventKind.TAGGED, NOW, "trial", video, value)
    if chance.random() < 0.3:
        stars = {"stars": chance.randint(1, 5)}
        yield Event(f"rated-{number}", EventKind.RATED, NOW, "trial", video, stars)
    if chance.random() < 0.5:
        count = {"count": int(chance.paretovariate(0.8))}
        yield Event(f"viewed-{number}", EventKind.VIEWED, NOW, "trial", video, count)
    if chance.random() < 0.1:
        yield Event(f"favorite-{number}", EventKind.FAVORITED, NOW, "trial", video)
