"""Care: a library that is not there costs nothing, and no file is taken before it is whole."""

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import av
import pytest
from av.video.frame import VideoFrame
from clips import make_clip, vary
from command_line import reelshelf
from histories import full_render, tree
from home import Home, WhileWatching
from real_library import Library, find

from generator.adapters.catalogue import Catalogue
from generator.adapters.fingerprint import fingerprint
from generator.adapters.media.worker_pool import MediaWorkers
from generator.build.engine import Engine
from generator.core.errors import GuardError
from generator.core.model import Event, EventKind, EventVerdict, Place, Video, VideoId
from generator.core.site import urls
from generator.scan.observe import LibraryScan

DAY_S = 86400
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


# -- the guard, as whoever runs `reelshelf build` meets it


def build(folder: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    return reelshelf(
        folder, "build", "--no-compress", "--pages-only", *more, REELSHELF_MISSING_GRACE_S="0"
    )


@pytest.fixture(scope="module")
def built_site(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Path:
    folder = tmp_path_factory.mktemp("site")
    for number in range(12):
        file = folder / "videos" / f"film {number}.mp4"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(vary(clip.read_bytes(), number))
    (folder / "videos/film 1.srt").write_text(SRT, encoding="utf-8")
    (folder / "reelshelf.toml").write_text('library = ["videos"]\n', encoding="utf-8")
    done = build(folder)
    assert done.returncode == 0, done.stderr
    with Catalogue(folder / "state/catalogue.db") as catalogue:
        catalogue.append([Event("r", EventKind.RATED, 1, "t", VideoId(2), {"stars": 5})])
    assert build(folder).returncode == 0
    return folder


@pytest.fixture
def site(built_site: Path, tmp_path: Path) -> Path:
    """Return a copy of a site that was built, and that knows where it is now."""
    shutil.copytree(built_site, tmp_path, dirs_exist_ok=True)
    assert build(tmp_path).returncode == 0
    return tmp_path


def tables(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "state/catalogue.db") as connection:
        dumped = list(connection.iterdump())
    connection.close()
    return dumped


def empty(videos: Path) -> None:
    shutil.move(videos, videos.with_name("away"))
    videos.mkdir()


def gone(videos: Path) -> None:
    shutil.move(videos, videos.with_name("away"))


def in_its_place_a_file(videos: Path) -> None:
    shutil.move(videos, videos.with_name("away"))
    videos.write_bytes(b"")


def unreadable(videos: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("nothing is unreadable for root")
    shutil.copytree(videos, videos.with_name("away"))
    videos.chmod(0)


def mostly_lost(videos: Path) -> None:
    shutil.copytree(videos, videos.with_name("away"))
    for file in sorted(videos.glob("*.mp4"))[:11]:
        file.unlink()


def on_another_device(videos: Path) -> None:
    memory = Path("/dev/shm")  # another device, and our own folder in it
    if not memory.is_dir() or memory.stat().st_dev == videos.stat().st_dev:
        pytest.skip("there is no other device")
    other = memory / f"reelshelf-{os.getpid()}-{videos.parent.name}"
    shutil.copytree(videos, other)
    (other / "film 3.mp4").unlink()
    shutil.move(videos, videos.with_name("away"))
    videos.symlink_to(other)


def redrive(videos: Path) -> None:
    if videos.is_symlink():
        shutil.rmtree(videos.resolve())
        videos.unlink()
    elif videos.is_dir():
        videos.chmod(0o755)
        shutil.rmtree(videos)
    elif videos.exists():
        videos.unlink()
    shutil.move(videos.with_name("away"), videos)


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        (empty, "is empty, and 12 videos should be there"),
        (gone, "cannot be read (No such file or directory), and 12 videos are there"),
        (in_its_place_a_file, "cannot be read (Not a directory), and 12 videos are there"),
        (unreadable, "cannot be read (Permission denied), and 12 videos are there"),
        (mostly_lost, "11 of 12 videos would be lost"),
        (on_another_device, "is on another device than at the last scan, and 1 video would be"),
    ],
)
def test_a_scan_that_cannot_be_believed_changes_nothing_and_names_the_command(
    site: Path, deed: Callable[[Path], None], reason: str
) -> None:
    before, pages = tables(site), tree(site / "site_out")
    deed(site / "videos")
    try:
        done = build(site)
        printed = json.loads(build(site, "--json").stdout)

        assert done.returncode == 1
        assert reason in " ".join(done.stderr.split())
        assert "the scan was rejected, and nothing was changed" in done.stderr
        could_be_read = "cannot be read" not in reason  # or to accept the loss would not help
        assert ("`reelshelf build --accept-loss`" in printed["hint"]) is could_be_read
        assert len(done.stderr.strip().splitlines()) == 2
        assert tables(site) == before
        assert tree(site / "site_out") == pages
    finally:
        redrive(site / "videos")
    assert "library unchanged" in build(site).stdout
    assert tree(site / "site_out") == pages


def test_what_was_meant_is_done_when_told_so_and_undone_when_the_files_return(site: Path) -> None:
    pages = tree(site / "site_out")
    empty(site / "videos")

    done = build(site, "--accept-loss")

    assert done.returncode == 0, done.stderr
    assert "12 missing, 12 removed" in done.stdout
    assert not [path for path in tree(site / "site_out") if path.startswith(("watch/", "thumb/"))]

    redrive(site / "videos")
    assert "12 returned" in build(site).stdout
    assert tree(site / "site_out") == pages


def test_a_disk_that_is_away_gives_its_videos_to_no_copies_elsewhere(
    library: Library,
) -> None:
    """A mirror on another disk is no place to which the library moved."""
    file = library.put("one.mp4")
    mirror = library.folder / "mirror"
    shutil.copytree(library.library, mirror)
    both = {"library": (library.library, mirror)}
    library.settings = library.settings.model_copy(update=both)
    with library.engine() as engine:
        library.build(engine)
        kept = json.loads(engine.catalogue.noted("devices"))
        kept[str(library.library)] = ["", 0, 1]  # as if it had been another file system
        engine.catalogue.note("devices", json.dumps(kept))
        file.unlink()
        (library.library / "lost+found").mkdir()

        with pytest.raises(GuardError, match=r"another device .* 1 video would be lost"):
            library.build(engine, accept_loss=False)

        assert engine.catalogue.todo.merged() == []


def test_moving_everything_to_another_folder_of_the_library_is_no_loss(library: Library) -> None:
    files = [library.put(f"{number}.mp4") for number in range(3)]
    other = library.folder / "other"
    other.mkdir()
    both = {"library": (library.library, other)}
    library.settings = library.settings.model_copy(update=both)
    with library.engine() as engine:
        library.build(engine)
        for file in files:
            shutil.copy2(file, other / file.name)
        library.build(engine)
        for file in files:
            file.unlink()

        receipt = library.build(engine, accept_loss=False)

        assert (receipt.moved, receipt.missing) == (3, 0)


# -- those that are gone for good


def stars_of(library: Library, video: VideoId) -> int | None:
    """Return the rating of a video, shown or not."""
    with closing(sqlite3.connect(library.settings.state / "catalogue.db")) as catalogue:
        query = "SELECT stars FROM rating WHERE video = ?"
        row = catalogue.execute(query, (video,)).fetchone()
    return row[0] if row else None


def pass_time(library: Library, engine: Engine, days: float, step_days: float = 7) -> None:
    """Let time pass, with a full scan now and then."""
    while days > 0:
        library.now += int(min(days, step_days) * DAY_S)
        days -= step_days
        library.build(engine)


@pytest.mark.parametrize("days", [0, 30])
def test_a_video_is_forgotten_only_when_it_is_missing_for_longer_than_somebody_said(
    library: Library, days: int
) -> None:
    library.settings = library.settings.model_copy(update={"forget_missing_days": days})
    library.put("here.mp4")
    file = library.put("gone.mp4")
    content = file.read_bytes()
    with library.engine() as engine:
        library.build(engine)
        video = find(engine, "gone.mp4")
        engine.catalogue.append([Event("r", EventKind.RATED, 1, "t", video, {"stars": 5})])
        file.unlink()
        library.build(engine)
        pass_time(library, engine, 29)
        assert stars_of(library, video) == 5
        pass_time(library, engine, 2)

        assert stars_of(library, video) == (None if days else 5)
        file.write_bytes(content)
        receipt = library.build(engine)
        assert (receipt.found, receipt.returned) == ((1, 0) if days else (0, 1))
        assert (find(engine, "gone.mp4") == video) is not days


def test_a_video_that_returns_by_its_name_when_it_was_to_be_forgotten_is_not(
    library: Library,
) -> None:
    library.settings = library.settings.model_copy(update={"forget_missing_days": 30})
    library.put("here.mp4")
    file = library.put("gone.mp4")
    with library.engine() as engine:
        library.build(engine)
        video = find(engine, "gone.mp4")
        engine.catalogue.append([Event("r", EventKind.RATED, 1, "t", video, {"stars": 5})])
        file.unlink()
        library.build(engine)
        pass_time(library, engine, 28)
        library.now += 3 * DAY_S
        library.put("gone.mp4")
        library.build(engine)

        (back,) = engine.catalogue.shown([video])
        assert back.stars == 5


@pytest.mark.parametrize("wrong_days", [-17_000, 800])
@pytest.mark.parametrize("is_wrong_first", [False, True])
def test_a_clock_that_is_wrong_for_a_build_lets_nothing_be_forgotten(
    library: Library, wrong_days: int, *, is_wrong_first: bool
) -> None:
    """A machine without a battery begins in 1970; one with a wrong entry is years ahead."""
    library.settings = library.settings.model_copy(update={"forget_missing_days": 365})
    library.put("here.mp4")
    file = library.put("gone.mp4")
    with library.engine() as engine:
        library.build(engine)
        video = find(engine, "gone.mp4")
        engine.catalogue.append([Event("r", EventKind.RATED, 1, "t", video, {"stars": 5})])
        file.unlink()
        for is_wrong in (is_wrong_first, not is_wrong_first, is_wrong_first):
            library.now += wrong_days * DAY_S if is_wrong else 10
            library.build(engine)
            library.now -= wrong_days * DAY_S if is_wrong else 0

        assert stars_of(library, video) == 5
        pass_time(library, engine, 370)
        assert stars_of(library, video) is None


def test_a_folder_that_cannot_be_looked_into_lets_nothing_be_forgotten(library: Library) -> None:
    library.settings = library.settings.model_copy(update={"forget_missing_days": 1})
    library.put("here.mp4")
    file = library.put("deep/gone.mp4")
    with library.engine() as engine:
        library.build(engine)
        video = find(engine, "deep/gone.mp4")
        engine.catalogue.append([Event("r", EventKind.RATED, 1, "t", video, {"stars": 5})])
        file.unlink()
        library.build(engine)
        pass_time(library, engine, 0.75, step_days=0.25)
        library.now += 2 * DAY_S
        shutil.rmtree(library.library / "deep")
        (library.library / "deep").symlink_to("deep")  # a circle: nothing is known of it

        look = LibraryScan(
            library.settings.model_copy(update={"follow_links": True}),
            library.workers,
            lambda: float(library.now),
            accept_loss=True,
        )
        engine.refresh(library.now, look)

        assert stars_of(library, video) == 5


def test_a_catalogue_alone_on_a_new_machine_gives_a_site_that_lacks_nothing(
    library: Library,
) -> None:
    library.put("a.mp4")
    (library.library / "a.srt").write_text(SRT)
    with library.engine() as engine:
        library.build(engine)
        before = tree(library.settings.out)
    shutil.rmtree(library.settings.out)
    for file in library.settings.state.glob("ledger.db*"):
        file.unlink()

    with library.engine() as engine:
        library.build(engine)
        made = {path for video in engine.catalogue.shown() for path in urls.made_files(video)}

    assert made
    assert made <= before.keys()
    assert tree(library.settings.out) == before


# -- copies that became part of others


def test_the_address_of_a_copy_leads_on_for_good(library: Library) -> None:
    file = library.put("one.mp4")
    with library.engine() as engine:
        library.build(engine)
        (video,) = engine.catalogue.shown()
        shutil.copy2(file, library.library / "two.mp4")
        library.build(engine)
        (copy,) = engine.catalogue.shown([find(engine, "two.mp4")])
        file.unlink()
        library.build(engine)
        page = library.folder / "out" / urls.watch_path(copy.id, copy.slug)
        leads_to = urls.watch_path(video.id, video.slug)
        assert leads_to in page.read_text(encoding="utf-8")

        library.now += 31 * DAY_S
        engine.catalogue.append([Event("v", EventKind.RATED, 1, "t", video.id, {"stars": 5})])
        library.build(engine)
        library.build(engine, full=True)
        assert leads_to in page.read_text(encoding="utf-8")

    (library.folder / "state/ledger.db").unlink()
    with library.engine() as engine:
        library.build(engine)
        assert leads_to in page.read_text(encoding="utf-8")
        stills = {p: c for p, c in tree(library.folder / "out").items() if p[:6] == "thumb/"}
        rendered = full_render(engine, library.folder / "full")
        assert tree(library.folder / "out") == {**rendered, **stills}

        late = Event("late", EventKind.RATED, 1, "t", copy.id, {"stars": 2})
        assert engine.catalogue.record([late])[0].verdict is EventVerdict.RECORDED
        assert engine.catalogue.record([late])[0].verdict is EventVerdict.REPEATED
        library.build(engine)
        (after,) = engine.catalogue.shown()
        assert (after.id, after.stars, after.place) == (video.id, 2, Place("", "two.mp4"))


def test_what_lies_beside_a_copy_is_the_videos_when_both_change_at_once(library: Library) -> None:
    file = library.put("one.mp4")
    with library.engine() as engine:
        library.build(engine)
        shutil.copy2(file, library.library / "two.mp4")
        library.build(engine)
        file.unlink()
        (library.library / "two.srt").write_text(SRT, encoding="utf-8")

        library.build(engine)

        (video,) = engine.catalogue.shown()
        assert (video.id, len(video.tracks)) == (1, 1)
        out = tree(library.folder / "out")
        assert len([path for path in out if path.endswith(".jpg")]) == 1
        assert len([path for path in out if path.startswith("text/")]) == 1


def test_files_that_are_there_twice_are_listed(site: Path) -> None:
    assert "no duplicates" in reelshelf(site, "duplicates").stdout
    shutil.copy2(site / "videos/film 1.mp4", site / "videos/again.mp4")
    build(site)

    printed, text = reelshelf(site, "duplicates", "--json"), reelshelf(site, "duplicates").stdout

    assert printed.returncode == 0
    rows = json.loads(printed.stdout)["duplicates"]
    assert {row["path"] for row in rows} == {"film 1.mp4", "again.mp4"}
    assert len({(row["fingerprint"], row["size_bytes"]) for row in rows}) == 1
    assert all(str(row["video"]) in text and row["path"] in text for row in rows)


# -- files that are still on their way


def cut(clip: bytes, missing: int = 5000) -> tuple[bytes, bytes]:
    """Return a clip that promises more than it has, and the same with all of it."""
    there = clip + (missing + 108).to_bytes(4, "big") + b"mdat" + b"x" * 100
    return there, there + b"x" * missing


def stages(library: Library) -> dict[str, tuple[str, str]]:
    with Catalogue(library.settings.state / "catalogue.db") as catalogue:
        return {one.place.path: (one.stage, one.reason) for one in catalogue.problems()}


def put(library: Library, name: str, content: bytes) -> Path:
    file = library.put(name)
    file.write_bytes(content)
    os.utime(file, (library.now, library.now))
    return file


def test_a_file_that_is_cut_short_is_taken_when_it_is_whole(library: Library) -> None:
    some, whole = cut(library.clip)
    put(library, "film.mp4", some)
    with library.engine() as engine:
        first, second = library.build(engine), library.build(engine)
        assert (first.found, first.refused, first.still_copied) == (0, 0, 1)
        assert (second.found, second.still_copied) == (0, 0)  # not opened again
        stage, reason = stages(library)["film.mp4"]
        assert stage == "incomplete"
        assert reason.startswith("is truncated: ")
        assert reason.endswith("it will be read when complete, or after an hour as it is")
        assert not list(engine.catalogue.shown())

        put(library, "film.mp4", whole)
        assert library.build(engine).found == 1
        assert stages(library) == {}


def test_a_file_that_stays_cut_short_is_taken_after_an_hour_and_told(library: Library) -> None:
    some, whole = cut(library.clip)
    put(library, "film.mp4", some)
    with library.engine() as engine:
        library.build(engine)
        library.now += 3600

        assert library.build(engine).found == 1
        stage, reason = stages(library)["film.mp4"]
        assert (stage, "hour" in reason) == ("incomplete", False)
        (video,) = engine.catalogue.shown()
        assert video.poster is not None
        library.build(engine)
        assert list(stages(library)) == ["film.mp4"]

        engine.catalogue.forget_problems(engine.catalogue.problems(), library.now)
        library.build(engine)
        assert list(stages(library)) == ["film.mp4"]  # it is still so

        put(library, "film.mp4", whole)
        assert library.build(engine).changed == 1
        assert stages(library) == {}


def test_a_file_that_is_cut_short_and_goes_is_no_problem_any_more(library: Library) -> None:
    file = put(library, "film.mp4", cut(library.clip)[0])
    library.put("other.mp4")
    with library.engine() as engine:
        library.build(engine)
        file.unlink()
        library.build(engine)

        assert stages(library) == {}


def test_a_video_that_is_replaced_by_a_file_cut_short_follows_it_and_tells(
    library: Library,
) -> None:
    library.put("film.mp4")
    with library.engine() as engine:
        library.build(engine)
        put(library, "film.mp4", cut(library.clip)[0])

        assert library.build(engine).changed == 1
        assert stages(library)["film.mp4"][0] == "incomplete"


def test_a_download_waits_as_long_as_something_beside_it_says_so(library: Library) -> None:
    for name, beside in (("a.mp4", ".aria2"), ("b.mp4", ".st"), ("c.mp4", ".lftp-pget-status")):
        library.put(name)
        (library.library / (name + beside)).write_bytes(b"")
    with library.engine() as engine:
        first = library.build(engine)
        assert (first.found, first.still_copied) == (0, 3)

        (library.library / "a.mp4.aria2").unlink()
        assert library.build(engine).found == 1
        assert stages(library) == {}


def test_pictures_that_get_their_sound_soon_are_no_video_of_their_own(library: Library) -> None:
    file = put(library, "film.f137.mp4", library.clip)
    kept = put(library, "kept.f137.mp4", vary(library.clip, 5))
    with library.engine() as engine:
        assert library.build(engine).still_copied == 2
        file.rename(library.library / "film.mp4")
        assert library.build(engine).found == 1
        library.now += 3600

        assert library.build(engine).found == 1
        assert find(engine, kept.name)


def moving_picture(frames: int) -> bytes:
    """Return an MPEG transport stream, which plays as far as it is there."""
    target = BytesIO()
    with av.open(target, "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(frames):
            frame = VideoFrame(64, 48, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([(90 + number) % 200]) * plane.buffer_size)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target.getvalue()


@pytest.fixture(scope="module")
def growing() -> tuple[bytes, bytes]:
    whole = moving_picture(200)
    return whole[: len(whole) // 2 // 188 * 188], whole


def test_a_file_that_grows_after_it_was_taken_is_taken_again(
    library: Library,
    growing: tuple[bytes, bytes],
    clip: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    alone = Library(tmp_path_factory.mktemp("alone"), library.workers, clip)
    put(alone, "film.ts", growing[1])
    with alone.engine() as engine:
        alone.build(engine)
        (grown,) = engine.catalogue.shown()
    with library.engine() as engine:
        put(library, "film.ts", growing[0])
        assert library.build(engine).found == 1
        (half,) = engine.catalogue.shown()
        file = put(library, "film.ts", growing[1])

        assert library.build(engine).changed == 1

        (video,) = engine.catalogue.shown()
        assert half.probe != video.probe
        assert (video.probe, video.poster) == (grown.probe, grown.poster)
        (known,) = engine.catalogue.files_of([video.id])
        assert known.fingerprint == fingerprint(str(file))


@pytest.fixture
def watching(tmp_path: Path, workers: MediaWorkers, clip: Path) -> Iterator[WhileWatching]:
    way = WhileWatching(Home(tmp_path, workers, clip.read_bytes()))
    way.start()
    yield way
    way.end()


def until(way: WhileWatching, name: str, title: str) -> Video:
    """Wait until the watch knows a video's file as it is, and return it."""
    file = way.home.films / name
    while True:
        with Catalogue(way.home.settings.state / "catalogue.db") as catalogue:
            for one in catalogue.present():
                if one.place == way.home.place(file) and one.fingerprint == title:
                    (video,) = catalogue.shown([one.video])
                    if video.poster is not None:
                        return video
        way.receipts.get(timeout=60)


def test_a_watch_takes_a_file_that_grows_again_with_nobodys_help(
    watching: WhileWatching, growing: tuple[bytes, bytes]
) -> None:
    file = watching.home.put(watching.home.films / "film.ts", growing[0])
    half = until(watching, "film.ts", fingerprint(str(file)))
    with file.open("ab") as more:
        more.write(growing[1][len(growing[0]) :])

    video = until(watching, "film.ts", fingerprint(str(file)))

    assert video.id == half.id
    assert video.probe != half.probe
    assert video.size_bytes == len(growing[1])


def test_a_watch_takes_a_file_that_was_cut_short_once_it_is_whole(
    watching: WhileWatching,
) -> None:
    part, whole = cut(watching.home.clip)
    file = watching.home.put(watching.home.films / "film.mp4", part)
    with Catalogue(watching.home.settings.state / "catalogue.db") as catalogue:
        while not catalogue.problems():
            watching.receipts.get(timeout=60)
        assert catalogue.problems()[0].stage == "incomplete"
    with file.open("ab") as more:
        more.write(whole[len(part) :])

    until(watching, "film.mp4", fingerprint(str(file)))

    with Catalogue(watching.home.settings.state / "catalogue.db") as catalogue:
        assert catalogue.problems() == []


def test_a_watch_takes_a_download_when_what_lay_beside_it_is_gone(
    watching: WhileWatching,
) -> None:
    beside = watching.home.films / "film.mp4.aria2"
    beside.write_bytes(b"")
    file = watching.home.put(watching.home.films / "film.mp4")
    watching.follow()
    with Catalogue(watching.home.settings.state / "catalogue.db") as catalogue:
        assert catalogue.find(watching.home.place(file)) is None

    beside.unlink()

    assert until(watching, "film.mp4", fingerprint(str(file))).id


def test_somebodys_file_in_the_place_of_a_poster_is_one_problem_and_stops_nothing(
    library: Library,
) -> None:
    library.put("a.mp4")
    with library.engine() as engine:
        library.build(engine)
    (poster, *_) = sorted((library.settings.out / "thumb").rglob("*.webp"))
    shutil.rmtree(library.settings.state)
    content = poster.read_bytes()
    shutil.rmtree(library.settings.out)
    poster.parent.mkdir(parents=True)
    poster.write_bytes(content[:-9])  # a copy of the site that was cut short
    library.put("b.mp4")
    with library.engine(keep_others=True) as engine:
        receipt = library.build(engine)
        (problem,) = engine.catalogue.problems()

        assert receipt.found == 2
        assert (problem.place.path in {"a.mp4", "b.mp4"}, problem.stage) == (True, "poster")
        assert "is a file that reelshelf did not write: move it away" in problem.reason
        assert poster.read_bytes() == content[:-9]
        assert {video.title for video in engine.catalogue.shown()} == {"a", "b"}

        poster.unlink()
        engine.catalogue.forget_problems([problem], library.now)
        library.build(engine)
        assert engine.catalogue.problems() == []
        assert poster.read_bytes() == content
