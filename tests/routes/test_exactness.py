"""After any history of events, the site equals a full render of its catalogue, byte for byte."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import trial
from generator.adapters.output import Output
from generator.build.engine import Engine
from generator.core.delivery.folder_marks import OutputMark
from generator.core.model import Event, EventKind, VideoId
from generator.watch.compression import compress_all

pytestmark = pytest.mark.timeout(300)

TEMPLATES = Path(__file__).parents[2] / "templates"
DAY_S = 86400


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".reelshelf")
    }


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

    def event(self, kind: EventKind, video: int, **value: object) -> Event:
        self.count += 1
        return Event(f"h{self.count}", kind, trial.NOW, "test", VideoId(video), value)

    def draw(self) -> list[Event]:
        step = self.chance.choice(STEPS)
        return step(self) if self.there else add(self)

    def some(self) -> int:
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
    return [history.event(EventKind.RATED, history.some(), stars=stars)]


def unrate(history: History) -> list[Event]:
    return [history.event(EventKind.UNRATED, history.some())]


def view(history: History) -> list[Event]:
    return [
        history.event(EventKind.VIEWED, history.some(), count=history.chance.choice([1, 1, 900]))
    ]


def favorite(history: History) -> list[Event]:
    kind = history.chance.choice([EventKind.FAVORITED, EventKind.UNFAVORITED])
    return [history.event(kind, history.some())]


def tag(history: History) -> list[Event]:
    kind = history.chance.choice([EventKind.TAGGED, EventKind.UNTAGGED])
    name = history.chance.choice(["new", "c", "c++", f"{trial.WORDS[0]} 0", "日本"])
    return [history.event(kind, history.some(), name=name)]


def vote(history: History) -> list[Event]:
    visitor = f"visitor-{history.chance.randrange(9)}"
    if history.chance.random() < 0.2:
        return [history.event(EventKind.UNRATED, history.some(), visitor=visitor)]
    stars = history.chance.randint(1, 5)
    return [history.event(EventKind.RATED, history.some(), stars=stars, visitor=visitor)]


def retag(history: History) -> list[Event]:
    names = history.chance.sample(["new", "c", "c++", "日本", trial.tag_name(3)], 2)
    return [history.event(EventKind.RETAGGED, history.some(), names=sorted(names))]


def move(history: History) -> list[Event]:
    video, folder = history.some(), history.chance.choice(["A", "A/B", "A/B/C", "x", "Ä ö?"])
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
    return [history.event(EventKind.POSTER_MADE, history.some(), **value)]


def new_board(history: History) -> list[Event]:
    board = {"digest": f"{history.chance.getrandbits(48):012x}", "count": 7, "columns": 3}
    board |= {"tile_width_px": 160, "tile_height_px": 90}
    none = history.chance.random() < 0.3
    value = {"storyboard": None if none else board}
    return [history.event(EventKind.BOARD_MADE, history.some(), **value)]


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
    return [history.event(EventKind.VIDEO_DESCRIBED, history.some(), **value)]


def new_rendition(history: History) -> list[Event]:
    if history.chance.random() < 0.3:
        return [history.event(EventKind.RENDITION_DROPPED, history.some())]
    copy = {"digest": f"{history.chance.getrandbits(48):012x}", "size_bytes": 9}
    copy |= {"made_by": "remux", "container": "mp4", "codecs": "avc1.64001f", "is_hls": False}
    return [history.event(EventKind.RENDITION_MADE, history.some(), rendition=copy)]


STEPS = [
    *(add, add, rate, rate, unrate, vote, vote, view, view, favorite, favorite),
    *(tag, tag, retag, move, move, lose, find_again, new_poster),
    *(new_board, new_board, new_board, describe, describe, describe, new_rendition),
]


@settings(max_examples=10)
@given(
    videos=st.sampled_from([0, 5, 70, 150, 260]),
    seed=st.integers(0, 10**6),
    bursts=st.lists(st.sampled_from([1, 1, 2, 5, 40]), min_size=2, max_size=8),
)
def test_the_site_equals_a_full_render_after_any_history(
    videos: int, seed: int, bursts: list[int]
) -> None:
    with trial_site(videos) as (engine, folder):
        history, now = History(videos, seed), trial.NOW
        engine.refresh(now)
        for number, burst in enumerate(bursts):
            for _ in range(burst):
                engine.catalogue.append(history.draw())
            now += history.chance.choice([1, DAY_S, 40 * DAY_S])

            engine.refresh(now)

            assert tree(folder / "out") == full_render(engine, folder / f"full{number}")


@settings(max_examples=6)
@given(seed=st.integers(0, 10**6), bursts=st.integers(1, 4))
def test_a_ledger_thrown_away_gives_a_site_of_the_same_catalogue(seed: int, bursts: int) -> None:
    with trial_site(90) as (engine, folder):
        history = History(90, seed)
        engine.refresh(trial.NOW)
        for _ in range(bursts * 10):
            engine.catalogue.append(history.draw())
        engine.refresh(trial.NOW)
        engine.close()
        for file in folder.glob("state/ledger.db*"):
            file.unlink()

        with Engine(trial.settings(folder), TEMPLATES) as anew:
            anew.refresh(trial.NOW)

            assert tree(folder / "out") == full_render(anew, folder / "full")


def test_a_second_refresh_has_nothing_to_do() -> None:
    with trial_site(120) as (engine, _):
        engine.refresh(trial.NOW)

        again = engine.refresh(trial.NOW + 1)

        assert (again.planned, again.written, again.removed) == (0, 0, 0)


def test_a_full_refresh_finds_nothing_to_mend_after_a_plain_one() -> None:
    with trial_site(120) as (engine, _):
        engine.refresh(trial.NOW)

        full = engine.refresh(trial.NOW + 1, full=True)

        assert (full.written, full.removed) == (0, 0)
        assert full.unchanged > 0


def test_a_full_refresh_mends_what_was_changed_and_lost_and_leaves_what_is_not_ours() -> None:
    with trial_site(120) as (engine, folder):
        engine.refresh(trial.NOW)
        site = folder / "out"
        before = tree(site)
        (site / "index.html").write_text("defaced", encoding="utf-8")
        (site / "all.html").unlink()
        (site / "stray.html").write_text("somebody's", encoding="utf-8")
        sign = (engine.output.mark() or OutputMark()).folder[:12]
        (site / "watch" / f".{sign}-1-0.tmp").write_text("half", encoding="utf-8")

        engine.refresh(trial.NOW + 1, full=True)

        assert tree(site) == before | {"stray.html": b"somebody's"}


def test_one_rating_writes_the_same_number_of_pages_in_a_larger_library() -> None:
    def pages(videos: int) -> int:
        with trial_site(videos) as (engine, _):
            engine.refresh(trial.NOW)
            stars = {"stars": 5}
            engine.catalogue.append(
                [Event("r", EventKind.RATED, trial.NOW, "test", VideoId(7), stars)]
            )
            return engine.refresh(trial.NOW + 1).written

    # as many as scopes and orders hold it, whatever else there is; a few ends differ
    assert abs(pages(1200) - pages(2400)) <= 12


def test_a_full_refresh_keeps_the_compressed_copies_of_what_is_unchanged() -> None:
    with trial_site(90) as (engine, folder):
        engine.refresh(trial.NOW)
        compress_all(engine.ledger, engine.output, lambda _: None)
        before = tree(folder / "out")

        engine.refresh(trial.NOW + 1, full=True)

        assert any(path.endswith(".br") for path in before)
        assert tree(folder / "out") == before


def test_a_catalogue_from_a_backup_is_noticed_though_it_has_as_many_events() -> None:
    with trial_site(90) as (engine, folder):
        engine.refresh(trial.NOW)
        backup = (folder / "state/catalogue.db").read_bytes()
        log = (folder / "state/catalogue.db-wal").read_bytes()
        rated = {"stars": 5}
        engine.catalogue.append([Event("a", EventKind.RATED, 1, "test", VideoId(3), rated)])
        engine.refresh(trial.NOW + 1)
        engine.close()
        for file in folder.glob("state/catalogue.db*"):
            file.unlink()
        (folder / "state/catalogue.db").write_bytes(backup)
        (folder / "state/catalogue.db-wal").write_bytes(log)

        with Engine(trial.settings(folder), TEMPLATES) as anew:
            anew.catalogue.append([Event("b", EventKind.RATED, 1, "test", VideoId(5), rated)])
            anew.refresh(trial.NOW + 2)

            assert tree(folder / "out") == full_render(anew, folder / "full")


def test_two_output_folders_take_turns_and_neither_stays_behind() -> None:
    with trial_site(90) as (engine, folder):
        engine.refresh(trial.NOW)
        engine.close()
        for number, out in enumerate(["second", "out", "second"]):
            with Engine(trial.settings(folder, out=folder / out), TEMPLATES) as turn:
                stars = {"stars": number + 1}
                event = Event(f"t{number}", EventKind.RATED, 1, "test", VideoId(2), stars)
                turn.catalogue.append([event])
                turn.refresh(trial.NOW + number + 1)

                assert tree(folder / out) == full_render(turn, folder / f"full{number}")


def test_another_address_of_the_site_is_on_every_page() -> None:
    with trial_site(90) as (engine, folder):
        engine.refresh(trial.NOW)
        engine.close()
        moved = trial.settings(folder, site_url="https://other.example.org/films")

        with Engine(moved, TEMPLATES) as anew:
            anew.refresh(trial.NOW + 1)

            assert tree(folder / "out") == full_render(anew, folder / "full")


def test_a_build_in_two_processes_gives_what_one_gives(tmp_path: Path) -> None:
    """In a process of its own, since a fork is made only where there is a single thread."""
    program = (
        "import sys, threading; from pathlib import Path\n"
        "from benchmarks import trial; from generator.build.engine import Engine\n"
        "from generator.adapters.catalogue import Catalogue\n"
        "from generator.core.model import Event, EventKind\n"
        "folder, alone = Path(sys.argv[1]), sys.argv[2] == 'alone'\n"
        "stop = threading.Event()\n"
        "threading.Thread(target=stop.wait).start() if alone else None\n"
        "with Catalogue(folder / 'state/catalogue.db') as catalogue:\n"
        "    catalogue.note('identity', 'ab' * 16)\n"
        "with Engine(trial.settings(folder), Path(sys.argv[3])) as engine:\n"
        "    trial.fill(engine.catalogue, 1100)\n"
        "    sizes = dict(count=9, columns=3, tile_width_px=160, tile_height_px=90)\n"
        "    said = {'own': {'chapters': [[0.0, 'One'], [2.5, 'Two']]}}\n"
        "    board = {'storyboard': {'digest': 'd', **sizes}}\n"
        "    told = {'details': said, 'read': ['own'], 'sidecar_digest': ''}\n"
        "    for video in range(1, 1100, 3):\n"
        "        made = Event(f'b{video}', EventKind.BOARD_MADE, 1, 't', video, board)\n"
        "        heard = Event(f't{video}', EventKind.VIDEO_DESCRIBED, 1, 't', video, told)\n"
        "        engine.catalogue.append([made, heard])\n"
        "    engine.refresh(trial.NOW)\n"
        "stop.set()"
    )
    for name in ("alone", "both"):
        command = [sys.executable, "-c", program, tmp_path / name, name, TEMPLATES]
        subprocess.run(command, check=True, cwd=TEMPLATES.parent, timeout=120)

    assert tree(tmp_path / "alone/out") == tree(tmp_path / "both/out")
