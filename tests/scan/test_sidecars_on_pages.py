"""What lies beside a video is shown on its pages, and goes when it goes; what people did stays."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from background import watching
from clips import make_clip
from histories import full_render, tree
from PIL import Image
from real_library import Library

from generator.adapters.media.worker_pool import MediaWorkers
from generator.build.engine import Engine
from generator.core.model import Event, EventKind, Video, VideoId

NFO = "<movie><title>{title}</title><plot>{plot}</plot>{tags}</movie>"
SRT = "1\n00:00:00,000 --> 00:00:00,300\nHello\n"


@pytest.fixture(scope="module")
def workers() -> Iterator[MediaWorkers]:
    with MediaWorkers(jobs=2) as made:
        yield made


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def library(tmp_path: Path, workers: MediaWorkers, clip: Path) -> Library:
    return Library(tmp_path, workers, clip)


def nfo(title: str, *tags: str, plot: str = "") -> str:
    return NFO.format(title=title, plot=plot, tags="".join(f"<tag>{tag}</tag>" for tag in tags))


class Desk:
    """A library with one builder; what every look gives is held to exactness."""

    def __init__(self, library: Library, engine: Engine) -> None:
        self.library, self.engine, self.count = library, engine, 0

    def write(self, name: str, text: str) -> Path:
        file = self.library.library / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        self.count += 1
        os.utime(file, (self.library.now - 5000 + self.count,) * 2)
        return file

    def look(self) -> None:
        self.library.build(self.engine)
        out = self.library.settings.out
        pages = {path: content for path, content in tree(out).items() if path[:6] != "thumb/"}
        made = {path for path in pages if path.startswith("text/") and "chapters" not in path}
        with TemporaryDirectory() as fresh:
            rendered = full_render(self.engine, Path(fresh))
        assert {path: pages[path] for path in pages.keys() - made} == rendered

    def tell(self, kind: EventKind, video: int, **value: object) -> None:
        self.count += 1
        event = Event(f"e{self.count}", kind, self.library.now, "test", VideoId(video), value)
        self.engine.catalogue.append([event])

    def video(self, number: int = 1) -> Video:
        (video,) = self.engine.catalogue.shown([VideoId(number)])
        return video

    def problems(self) -> dict[str, str]:
        return {one.place.path: one.reason for one in self.engine.catalogue.problems()}


@pytest.fixture
def desk(library: Library) -> Iterator[Desk]:
    with library.engine() as engine:
        yield Desk(library, engine)


def test_a_sidecar_that_was_there_from_the_start_is_read(desk: Desk) -> None:
    desk.library.put("trip.mp4")
    desk.write("trip.nfo", nfo("To the fjord", "Norway", "boat", plot="We went *north*."))
    desk.look()

    video = desk.video()
    assert (video.title, video.description) == ("To the fjord", "We went *north*.")
    assert video.tags == ("boat", "norway")
    assert video.slug == "to-the-fjord"


def test_a_sidecar_that_comes_changes_and_goes_takes_its_words_with_it(desk: Desk) -> None:
    desk.library.put("trip.mp4")
    desk.look()
    assert desk.video().title == "trip"

    desk.write("trip.nfo", nfo("One", "sea", "boat"))
    desk.look()
    assert (desk.video().title, desk.video().tags) == ("One", ("boat", "sea"))

    desk.write("trip.nfo", nfo("Two", "boat", "snow"))
    desk.look()
    assert (desk.video().title, desk.video().tags) == ("Two", ("boat", "snow"))

    (desk.library.library / "trip.nfo").unlink()
    desk.look()
    assert (desk.video().title, desk.video().tags) == ("trip", ())


def test_a_tag_added_by_hand_stays_and_one_removed_by_hand_stays_removed(desk: Desk) -> None:
    desk.library.put("trip.mp4")
    desk.write("trip.nfo", nfo("One", "sea", "boat"))
    desk.look()
    desk.tell(EventKind.TAGGED, 1, name="family")
    desk.tell(EventKind.UNTAGGED, 1, name="boat")

    desk.write("trip.nfo", nfo("One", "boat", "snow"))
    desk.look()
    assert desk.video().tags == ("family", "snow")

    (desk.library.library / "trip.nfo").unlink()
    desk.look()
    assert desk.video().tags == ("family",)


def test_a_tag_that_two_sources_give_goes_with_the_last_of_them(desk: Desk) -> None:
    desk.library.put("trip.mp4")
    desk.write("trip.nfo", nfo("One", "sea"))
    desk.write("trip.toml", 'tags = ["sea", "own"]')
    desk.look()
    assert desk.video().tags == ("own", "sea")

    (desk.library.library / "trip.nfo").unlink()
    desk.look()
    assert desk.video().tags == ("own", "sea")

    (desk.library.library / "trip.toml").unlink()
    desk.look()
    assert desk.video().tags == ()


def test_of_several_sources_the_strongest_is_shown_and_the_next_when_it_goes(desk: Desk) -> None:
    desk.library.put("trip.mp4")
    desk.write("trip.info.json", '{"title": "From the web", "description": "Web", "tags": ["web"]}')
    desk.write("trip.nfo", nfo("From a manager"))
    desk.write("trip.md", "# My own\n\nWhat *I* say.\n")
    desk.look()
    assert (desk.video().title, desk.video().description.strip()) == ("My own", "What *I* say.")
    assert desk.video().is_markdown

    (desk.library.library / "trip.md").unlink()
    desk.look()
    assert (desk.video().title, desk.video().description) == ("From a manager", "Web")
    assert not desk.video().is_markdown

    (desk.library.library / "trip.nfo").unlink()
    desk.look()
    assert desk.video().title == "From the web"


def test_a_video_renamed_with_its_sidecar_keeps_its_words_and_without_it_loses_them(
    desk: Desk,
) -> None:
    here = desk.library.library
    file = desk.library.put("trip.mp4")
    desk.write("trip.nfo", nfo("One", "sea"))
    desk.look()

    file.rename(here / "later.mp4")
    (here / "trip.nfo").rename(here / "later.nfo")
    desk.look()
    assert (desk.video().title, desk.video().tags) == ("One", ("sea",))

    (here / "later.mp4").rename(here / "alone.mp4")
    desk.look()
    assert (desk.video().title, desk.video().tags) == ("alone", ())


def test_a_bad_sidecar_is_told_and_costs_the_video_nothing(desk: Desk) -> None:
    desk.library.put("trip.mp4")
    desk.write("trip.nfo", "<movie><title>No end")
    desk.write("trip.info.json", '{"title": "From the web"}')
    desk.look()
    assert desk.video().title == "From the web"
    assert desk.video().poster is not None
    assert list(desk.problems()) == ["trip.nfo"]

    desk.look()
    assert list(desk.problems()) == ["trip.nfo"]

    desk.write("trip.nfo", nfo("Mended"))
    desk.look()
    assert desk.video().title == "Mended"
    assert desk.problems() == {}


def test_a_bad_sidecar_is_read_again_when_somebody_asks(desk: Desk) -> None:
    desk.library.put("trip.mp4")
    text = nfo("Whole")
    file = desk.write("trip.nfo", text.replace("</title>", "<title> "))
    desk.look()
    status = file.stat()
    file.write_text(text, encoding="utf-8")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))  # as if the disk had failed before
    desk.look()
    assert list(desk.problems()) == ["trip.nfo"]

    desk.engine.catalogue.forget_problems(desk.engine.catalogue.problems(), desk.library.now)
    desk.look()
    assert desk.problems() == {}
    assert desk.video().title == "Whole"


def test_subtitles_beside_a_video_are_served_as_webvtt(desk: Desk) -> None:
    desk.library.put("trip.mp4")
    desk.write("trip.de.srt", SRT)
    desk.write("trip.en.forced.srt", SRT.replace("Hello", "There"))
    desk.look()

    tracks = desk.video().tracks
    assert {(one.language, one.forced) for one in tracks} == {("de", False), ("en", True)}
    files = {path for path in tree(desk.library.settings.out) if path.startswith("text/")}
    assert len(files) == 2
    (page,) = (desk.library.settings.out / "watch").iterdir()
    text = page.read_text(encoding="utf-8")
    assert all(path in text for path in files)

    (desk.library.library / "trip.de.srt").unlink()
    desk.look()
    left = {path for path in tree(desk.library.settings.out) if path.startswith("text/")}
    assert len(left) == 1
    assert left < files


def test_a_picture_beside_a_video_is_its_poster_as_long_as_it_is_there(desk: Desk) -> None:
    desk.library.put("trip.mp4")
    desk.look()
    frame = desk.video().poster
    Image.new("RGB", (400, 300), (200, 10, 10)).save(desk.library.library / "trip.jpg")
    desk.look()

    picture = desk.video().poster
    assert picture is not None
    assert frame is not None
    assert picture.digest != frame.digest
    assert picture.color[0] > frame.color[0]

    (desk.library.library / "trip.jpg").unlink()
    desk.look()
    assert desk.video().poster == frame


def test_a_picture_that_is_none_is_told_and_a_frame_is_the_poster(desk: Desk) -> None:
    desk.library.put("trip.mp4")
    desk.write("trip.png", "no picture at all")
    desk.look()

    assert desk.video().poster is not None
    assert list(desk.problems()) == ["trip.png"]


def test_chapters_in_a_sidecar_become_a_track(desk: Desk) -> None:
    desk.library.put("trip.mp4")
    desk.write(
        "trip.toml",
        '[[chapters]]\nstart = "0:00"\ntitle = "Start"\n\n'
        '[[chapters]]\nstart = "0:00.2"\ntitle = "End"\n',
    )
    desk.look()

    assert [one.title for one in desk.video().chapters] == ["Start", "End"]
    assert (desk.library.settings.out / "text/0/1-chapters.vtt").is_file()

    (desk.library.library / "trip.toml").unlink()
    desk.look()
    assert not (desk.library.settings.out / "text/0/1-chapters.vtt").exists()


def test_a_video_that_is_gone_and_back_has_all_again(desk: Desk) -> None:
    file = desk.library.put("trip.mp4")
    desk.library.put("other.mp4")
    desk.write("trip.srt", SRT)
    desk.write("trip.nfo", nfo("One", "sea"))
    desk.look()
    number = next(v.id for v in desk.engine.catalogue.shown() if v.title == "One")
    before = desk.video(number)
    away = desk.library.folder / "away.mp4"

    file.rename(away)
    desk.look()
    desk.look()
    assert number not in {video.id for video in desk.engine.catalogue.shown()}

    away.rename(file)
    desk.look()
    assert desk.video(number) == before


def test_a_builder_that_watches_sees_a_sidecar_come_and_go(library: Library) -> None:
    library.put("deep/trip.mp4")
    file = library.library / "deep/trip.nfo"
    page = library.settings.out / "watch/trip-1.html"
    with watching(library) as receipts:
        receipts.get(timeout=60)
        file.write_text(nfo("To the fjord", "boat"), encoding="utf-8")
        while "To the fjord" not in page.read_text(encoding="utf-8"):
            receipts.get(timeout=60)
        assert "tag/boat.html" in page.read_text(encoding="utf-8")

        file.unlink()
        while "To the fjord" in page.read_text(encoding="utf-8"):
            receipts.get(timeout=60)
        assert "tag/boat.html" not in page.read_text(encoding="utf-8")
