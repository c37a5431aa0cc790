"""Random histories of a site, and the full render that its pages are compared with."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from paths import TEMPLATES

from benchmarks import trial
from generator.adapters.output import Output
from generator.build.engine import Engine
from generator.core.model import UNDOABLE, Event, EventKind, VideoId

DAY_S = 86400


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".reelshelf")
    }


def pass_time(engine: Engine, now: int, seconds: int) -> int:
    """Refresh once a week for so long, as redirects count time; return the instant then."""
    end = now + seconds
    while now < end:
        now = min(now + 7 * DAY_S, end)
        engine.refresh(now)
    return now


def full_render(engine: Engine, into: Path) -> dict[str, bytes]:
    engine.render_into(Output(into))
    return tree(into)


@contextmanager
def trial_site(videos: int) -> Iterator[tuple[Engine, Path]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Engine(trial.settings(folder), TEMPLATES) as engine:
            trial.fill(engine.catalogue, videos)
            yield engine, folder


class History:
    """Draws events that can happen to a library, and keeps account of what is there."""

    def __init__(self, videos: int, seed: int) -> None:
        self.chance = Random(seed)
        self.there = set(range(1, videos + 1))
        self.away: set[int] = set()
        self.count = 0
        self.opinions: list[Event] = []

    def event(self, kind: EventKind, video: int, **value: object) -> Event:
        self.count += 1
        event = Event(f"h{self.count}", kind, trial.NOW, "test", VideoId(video), value)
        self.opinions += [event] * (kind in UNDOABLE)
        return event

    def draw(self) -> list[Event]:
        step = self.chance.choice(STEPS)
        return step(self) if self.there else add(self)

    def any_video(self) -> int:
        return self.chance.choice(sorted(self.there))

    def file(self, video: int, folder: str, word: str) -> dict[str, object]:
        return {
            "root": "",
            "path": f"{folder}/{word} {video}.mp4",
            "title": f"{word} {video}",
            "size_bytes": 5,
            "mtime_ns": 1,
            "fingerprint": f"{video:032x}",
            "folder_tags": [],
        }


def add(history: History) -> list[Event]:
    video = max(history.there | history.away, default=0) + 1
    history.there.add(video)
    return [trial.found(video, history.chance), trial.poster(video)]


def rate(history: History) -> list[Event]:
    stars = history.chance.randint(1, 5)
    return [history.event(EventKind.RATED, history.any_video(), stars=stars)]


def unrate(history: History) -> list[Event]:
    return [history.event(EventKind.UNRATED, history.any_video())]


def view(history: History) -> list[Event]:
    return [
        history.event(
            EventKind.VIEWED, history.any_video(), count=history.chance.choice([1, 1, 900])
        )
    ]


def favorite(history: History) -> list[Event]:
    kind = history.chance.choice([EventKind.FAVORITED, EventKind.UNFAVORITED])
    return [history.event(kind, history.any_video())]


def tag(history: History) -> list[Event]:
    kind = history.chance.choice([EventKind.TAGGED, EventKind.UNTAGGED])
    name = history.chance.choice(["new", "c", "c++", f"{trial.WORDS[0]} 0", "日本"])
    return [history.event(kind, history.any_video(), name=name)]


def vote(history: History) -> list[Event]:
    visitor = f"visitor-{history.chance.randrange(9)}"
    if history.chance.random() < 0.2:
        return [history.event(EventKind.UNRATED, history.any_video(), visitor=visitor)]
    stars = history.chance.randint(1, 5)
    return [history.event(EventKind.RATED, history.any_video(), stars=stars, visitor=visitor)]


def retag(history: History) -> list[Event]:
    names = history.chance.sample(["new", "c", "c++", "日本", trial.tag_name(3)], 2)
    return [history.event(EventKind.RETAGGED, history.any_video(), names=sorted(names))]


def move(history: History) -> list[Event]:
    video, folder = history.any_video(), history.chance.choice(["A", "A/B", "A/B/C", "x", "Ä ö?"])
    return [history.event(EventKind.VIDEO_MOVED, video, **history.file(video, folder, "moved"))]


def lose(history: History) -> list[Event]:
    many = history.chance.choice([1, 1, min(len(history.there), 80)])
    lost = history.chance.sample(sorted(history.there), many)
    history.there.difference_update(lost)
    history.away.update(lost)
    return [
        history.event(kind, video)
        for video in lost
        for kind in (EventKind.VIDEO_MISSING, EventKind.VIDEO_DROPPED)
    ]


def find_again(history: History) -> list[Event]:
    if not history.away:
        return add(history)
    video = history.chance.choice(sorted(history.away))
    history.away.discard(video)
    history.there.add(video)
    return [history.event(EventKind.VIDEO_RETURNED, video, **history.file(video, "back", "back"))]


def new_poster(history: History) -> list[Event]:
    digest = f"{history.chance.getrandbits(48):012x}"
    poster = {"digest": digest, "widths_px": [320], "width_px": 320, "height_px": 180}
    value = {"poster": {**poster, "color": "112233"}}
    return [history.event(EventKind.POSTER_MADE, history.any_video(), **value)]


def new_board(history: History) -> list[Event]:
    board = {"digest": f"{history.chance.getrandbits(48):012x}", "count": 7, "columns": 3}
    board |= {"tile_width_px": 160, "tile_height_px": 90}
    none = history.chance.random() < 0.3
    value = {"storyboard": None if none else board}
    return [history.event(EventKind.BOARD_MADE, history.any_video(), **value)]


def describe(history: History) -> list[Event]:
    """Let a source say something of a video, or nothing any more."""
    chance, source = history.chance, history.chance.choice(["own", "nfo", "ytdlp"])
    sayings: list[tuple[str, object]] = [
        ("title", f"As told {chance.randrange(9)}"),
        ("description", chance.choice(["One line.", "0:00 Start\n0:30 Middle\n1:00 End\n"])),
        ("creator", "Some One"),
        ("recorded_at", trial.START - chance.randrange(DAY_S)),
        ("chapters", [[0.0, "First"], [chance.randrange(1, 9) + 0.5, "Second <b>"]]),
        ("tags", chance.sample(["new", "told", "日本"], 2)),
    ]
    said = dict(chance.sample(sayings, chance.choice([0, 1, 2, 6])))
    value = {"details": {source: said}, "read": [source], "sidecar_digest": f"{history.count}"}
    return [history.event(EventKind.VIDEO_DESCRIBED, history.any_video(), **value)]


def new_rendition(history: History) -> list[Event]:
    if history.chance.random() < 0.3:
        return [history.event(EventKind.RENDITION_DROPPED, history.any_video())]
    copy = {"digest": f"{history.chance.getrandbits(48):012x}", "size_bytes": 9}
    copy |= {"made_by": "remux", "container": "mp4", "codecs": "avc1.64001f", "is_hls": False}
    return [history.event(EventKind.RENDITION_MADE, history.any_video(), rendition=copy)]


def undo(history: History) -> list[Event]:
    """Undo an event of people, or redo it: either changes nothing where it is so already."""
    if not history.opinions:
        return []
    target = history.chance.choice(history.opinions)
    kind = history.chance.choice(
        [EventKind.EVENT_UNDONE, EventKind.EVENT_UNDONE, EventKind.EVENT_REDONE]
    )
    assert target.video is not None
    return [history.event(kind, target.video, event=target.id)]


def set_added_date(history: History) -> list[Event]:
    added_at = trial.START + history.chance.randrange(10**6)
    return [history.event(EventKind.ADDED_DATE_SET, history.any_video(), added_at=added_at)]


STEPS = [
    *(add, add, rate, rate, unrate, vote, vote, view, view, favorite, favorite),
    *(tag, tag, retag, move, move, lose, find_again, new_poster),
    *(new_board, new_board, new_board, describe, describe, describe, new_rendition),
    *(undo, undo, set_added_date),
]
