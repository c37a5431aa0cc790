"""What people do to their files: what they did with the videos, and the addresses, survive it.

Each deed is done in three ways: while a watch runs, between two looks of one builder, and while no
builder runs. Afterwards rating, views, favorite and tags are those of before, the page is at the
address of before and plays the file, there is no page too many, and all of the site is exact.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize
from urllib.parse import quote

import pytest
from clips import make_clip
from histories import full_render, tree
from home import Home, Way, WhileWatching
from paths import TEMPLATES

from generator.adapters.catalogue import Catalogue
from generator.adapters.media.worker_pool import MediaWorkers
from generator.build.engine import Engine
from generator.core.model import Event, EventKind, Video, VideoId
from generator.scan.observe import LibraryScan

NOW = 1_790_000_000


class InOneScan(Way):
    """One builder stays open, and looks when it is told to."""

    def start(self) -> None:
        self.engine = Engine(self.home.settings, TEMPLATES)
        self.now = NOW
        self.follow()

    def follow(self) -> None:
        self.now += 10
        look = LibraryScan(self.home.settings, self.home.workers, lambda: float(self.now))
        self.engine.refresh(self.now, look)

    def end(self) -> None:
        self.engine.close()


class AfterARestart(Way):
    """A builder is there only to look."""

    now = NOW

    def start(self) -> None:
        self.follow()

    def follow(self) -> None:
        self.now += 10
        with Engine(self.home.settings, TEMPLATES) as engine:
            look = LibraryScan(self.home.settings, self.home.workers, lambda: float(self.now))
            engine.refresh(self.now, look)


@dataclass
class Desk:
    """A person at the desk: cares for a video, does a deed, and looks what became of it."""

    home: Home
    way: Way

    def __post_init__(self) -> None:
        self.before: dict[VideoId, Video] = {}
        self.pages: dict[VideoId, str] = {}

    def watched(self, *names: str) -> list[VideoId]:
        """Put files into the library, start the site, and care for each of them."""
        for name in names:
            self.home.put(self.home.films / name)
        self.way.start()
        return [self.cared_for(self.home.films / name) for name in names]

    def cared_for(self, file: Path) -> VideoId:
        """Give a video a rating, views, a favorite and tags that no other one has."""
        with Catalogue(self.home.settings.state / "catalogue.db") as catalogue:
            video = catalogue.find(self.home.place(file))
            assert video is not None
            doings: list[tuple[EventKind, dict[str, object]]] = [
                (EventKind.RATED, {"stars": 1 + video % 5}),
                (EventKind.VIEWED, {"count": 10 + video}),
                (EventKind.FAVORITED, {}),
                (EventKind.TAGGED, {"name": f"mine {video}"}),
                (EventKind.UNTAGGED, {"name": "season 1"}),
                (EventKind.RATED, {"stars": 4, "visitor": "v"}),
            ]
            catalogue.append(
                Event(f"{video}-{number}", kind, NOW, "test", video, value)
                for number, (kind, value) in enumerate(doings)
            )
            (self.before[video],) = catalogue.shown([video])
        return video

    def done(self) -> None:
        self.way.follow()

    def kept(self, video: VideoId, file: Path) -> None:
        """Hold a video to what it was, and its page to its address and the file."""
        with Catalogue(self.home.settings.state / "catalogue.db") as catalogue:
            (now,) = catalogue.shown([video])
        before = self.before[video]
        mine = f"mine {video}"
        assert (now.stars, now.views, now.favorite) == (before.stars, before.views, True)
        assert (now.votes, mine in now.tags, "season 1" in now.tags) == (1, True, False)
        assert now.slug == before.slug
        assert now.place == self.home.place(file)
        assert now.poster is not None
        page = self.home.settings.out / f"watch/{now.slug}-{now.id}.html"
        assert f"/{quote(f'{now.place.root}/{now.place.path}')}" in page.read_text(encoding="utf-8")

    def is_tidy(self, leading_on: int = 0) -> None:
        """Hold the site to one page for each file, and to what a full render would give."""
        self.way.end()
        files = [
            path
            for root in (self.home.films, self.home.more)
            for path in root.rglob("*")
            if path.is_file()
        ]
        with Engine(self.home.settings, TEMPLATES) as engine:
            engine.refresh(NOW + 5000)
            videos = list(engine.catalogue.shown())
            assert sorted(str(self.home.place(file)) for file in files) == sorted(
                str(video.place) for video in videos
            )
            out = tree(self.home.settings.out)
            assert sum(path.startswith("watch/") for path in out) == len(files) + leading_on
            made = {path for path in out if path.startswith("thumb/")}
            assert {path: out[path] for path in out.keys() - made} == full_render(
                engine, self.home.folder / "full"
            )
            assert sum(path.endswith(".jpg") for path in made) == len(files)


@pytest.fixture(scope="module")
def workers() -> Iterator[MediaWorkers]:
    with MediaWorkers(jobs=2) as made:
        yield made


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4").read_bytes()


@pytest.fixture(params=[WhileWatching, InOneScan, AfterARestart], ids=lambda way: way.__name__)
def desk(
    request: pytest.FixtureRequest, tmp_path: Path, workers: MediaWorkers, clip: bytes
) -> Iterator[Desk]:
    home = Home(tmp_path, workers, clip)
    way: Way = request.param(home)
    yield Desk(home, way)
    way.end()


def renamed(desk: Desk, name: str, to: Path) -> None:
    """Rename a film, and hold it to all it had."""
    (video,) = desk.watched(name)
    to.parent.mkdir(parents=True, exist_ok=True)
    (desk.home.films / name).rename(to)
    desk.done()
    desk.kept(video, to)
    desk.is_tidy()


def test_renaming_a_file(desk: Desk) -> None:
    renamed(desk, "Season 1/film.mp4", desk.home.films / "Season 1/a better name.mp4")


def test_moving_a_file_to_another_folder(desk: Desk) -> None:
    renamed(desk, "film.mp4", desk.home.films / "Deep/Down/film.mp4")


def test_moving_a_file_to_another_folder_of_the_library(desk: Desk) -> None:
    renamed(desk, "film.mp4", desk.home.more / "film.mp4")


def test_moving_a_file_under_another_name_to_another_folder_of_the_library(desk: Desk) -> None:
    renamed(desk, "film.mp4", desk.home.more / "Other/its name here.mp4")


def test_writing_a_name_in_capitals(desk: Desk) -> None:
    renamed(desk, "the film.mp4", desk.home.films / "The FILM.MP4")


def test_a_system_that_writes_accents_in_two_parts(desk: Desk) -> None:
    name = normalize("NFC", "Übung/café.mp4")
    renamed(desk, name, desk.home.films / normalize("NFD", name))


def test_renaming_a_folder(desk: Desk) -> None:
    films = desk.home.films
    first, two = desk.watched("Season 1/one.mp4", "Season 1/Extras/two.mp4")

    (films / "Season 1").rename(films / "First season")

    desk.done()
    desk.kept(first, films / "First season/one.mp4")
    desk.kept(two, films / "First season/Extras/two.mp4")
    desk.is_tidy()


def test_swapping_the_names_of_two_files(desk: Desk) -> None:
    films = desk.home.films
    first, two = desk.watched("one.mp4", "two.mp4")

    (films / "one.mp4").rename(films / "for a moment.mp4")
    (films / "two.mp4").rename(films / "one.mp4")
    (films / "for a moment.mp4").rename(films / "two.mp4")

    desk.done()
    desk.kept(first, films / "two.mp4")
    desk.kept(two, films / "one.mp4")
    desk.is_tidy()


def test_names_that_go_round(desk: Desk) -> None:
    films = desk.home.films
    a, b, c = desk.watched("a.mp4", "b.mp4", "c.mp4")

    (films / "a.mp4").rename(films / "for a moment.mp4")
    (films / "c.mp4").rename(films / "a.mp4")
    (films / "b.mp4").rename(films / "c.mp4")
    (films / "for a moment.mp4").rename(films / "b.mp4")

    desk.done()
    for video, name in ((a, "b.mp4"), (b, "c.mp4"), (c, "a.mp4")):
        desk.kept(video, films / name)
    desk.is_tidy()


def test_replacing_a_file_under_its_name(desk: Desk) -> None:
    (video,) = desk.watched("film.mp4")
    desk.home.put(desk.home.films / ".film.mp4.new").rename(desk.home.films / "film.mp4")

    desk.done()
    desk.kept(video, desk.home.films / "film.mp4")
    desk.is_tidy()


def test_encoding_a_file_anew_under_its_name_in_place(desk: Desk) -> None:
    (video,) = desk.watched("film.mp4")
    make_clip(desk.home.films / "film.mp4", color=9)

    desk.done()
    desk.kept(video, desk.home.films / "film.mp4")
    desk.is_tidy()


def test_removing_a_file_and_putting_another_under_its_name_later(desk: Desk) -> None:
    (video,) = desk.watched("film.mp4")
    (desk.home.films / "film.mp4").unlink()
    desk.done()
    desk.home.put(desk.home.films / "film.mp4")

    desk.done()
    desk.kept(video, desk.home.films / "film.mp4")
    desk.is_tidy()


def test_a_copy_beside_the_file(desk: Desk) -> None:
    films = desk.home.films
    (video,) = desk.watched("film.mp4")
    shutil.copy2(films / "film.mp4", films / "film (copy).mp4")

    desk.done()
    desk.kept(video, films / "film.mp4")
    desk.is_tidy()


def test_copying_first_and_removing_the_original_after_a_look(desk: Desk) -> None:
    """As programs move from disk to disk: both are there for a moment, and are seen there."""
    films, more = desk.home.films, desk.home.more
    (video,) = desk.watched("film.mp4")
    shutil.copy2(films / "film.mp4", more / "film.mp4")
    desk.done()
    (films / "film.mp4").unlink()

    desk.done()
    desk.kept(video, more / "film.mp4")
    desk.is_tidy(leading_on=1)


def test_copying_and_removing_in_one(desk: Desk) -> None:
    films, more = desk.home.films, desk.home.more
    (video,) = desk.watched("film.mp4")
    shutil.copy2(films / "film.mp4", more / "film.mp4")
    (films / "film.mp4").unlink()

    desk.done()
    desk.kept(video, more / "film.mp4")
    desk.is_tidy(leading_on=_merged(desk))


def test_a_copy_that_gets_its_time_back_as_the_original_goes(desk: Desk) -> None:
    films, more = desk.home.films, desk.home.more
    (video,) = desk.watched("film.mp4")
    shutil.copy(films / "film.mp4", more / "film.mp4")
    desk.done()
    os.utime(more / "film.mp4", (NOW - 5000, NOW - 5000))
    (films / "film.mp4").unlink()

    desk.done()
    desk.kept(video, more / "film.mp4")
    desk.is_tidy(leading_on=1)


def test_a_second_hard_link_and_then_the_first_one_goes(desk: Desk) -> None:
    films = desk.home.films
    (video,) = desk.watched("film.mp4")
    (films / "sorted").mkdir()
    (films / "sorted/film.mp4").hardlink_to(films / "film.mp4")
    desk.done()
    desk.kept(video, films / "film.mp4")
    (films / "film.mp4").unlink()

    desk.done()
    desk.kept(video, films / "sorted/film.mp4")
    desk.is_tidy(leading_on=1)


def test_converting_a_film_in_one(desk: Desk) -> None:
    films = desk.home.films
    (video,) = desk.watched("film.m4v")
    make_clip(desk.home.folder / "film.mp4", color=7).rename(films / "film.mp4")
    (films / "film.m4v").unlink()

    desk.done()
    desk.kept(video, films / "film.mp4")
    desk.is_tidy(leading_on=_merged(desk))


def test_converting_a_film_while_both_are_there_for_a_moment(desk: Desk) -> None:
    films = desk.home.films
    (video,) = desk.watched("film.m4v")
    make_clip(films / "film.mp4", color=7)
    desk.done()
    (films / "film.m4v").unlink()

    desk.done()
    desk.kept(video, films / "film.mp4")
    desk.is_tidy(leading_on=1)


def test_converting_a_film_whose_old_file_goes_first(desk: Desk) -> None:
    films = desk.home.films
    (video,) = desk.watched("film.m4v")
    (films / "film.m4v").unlink()
    desk.done()
    make_clip(films / "film.mp4", color=7)

    desk.done()
    desk.kept(video, films / "film.mp4")
    desk.is_tidy()


def test_removing_a_file_and_bringing_it_back(desk: Desk) -> None:
    (video,) = desk.watched("film.mp4")
    away = desk.home.folder / "away.mp4"
    (desk.home.films / "film.mp4").rename(away)
    desk.done()
    away.rename(desk.home.films / "found again.mp4")

    desk.done()
    desk.kept(video, desk.home.films / "found again.mp4")
    desk.is_tidy()


def _merged(desk: Desk) -> int:
    """Return how many copies became part of others: a watch may have seen both files."""
    with Catalogue(desk.home.settings.state / "catalogue.db") as catalogue:
        return len(catalogue.todo.merged())
