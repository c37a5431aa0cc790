"""What sidecars, containers and names say of days, chapters and what follows what, on pages."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from unicodedata import normalize

import av
import pytest
import sqlite_utils
from clips import make_clip
from real_library import Library
from test_sidecars_on_pages import Desk

from generator.adapters.ledger import Ledger
from generator.adapters.ledger.schema import migrations
from generator.adapters.media.worker_pool import MediaWorkers
from generator.core.formatting import date, iso_time
from generator.core.model import Video
from generator.core.site import urls
from generator.core.site.scopes import LIBRARY


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


@pytest.fixture
def desk(library: Library) -> Iterator[Desk]:
    with library.engine() as engine:
        yield Desk(library, engine)


def shown(desk: Desk) -> dict[str, Video]:
    return {video.place.path: video for video in desk.engine.catalogue.shown()}


def day(video: Video) -> str:
    return date(video.recorded_at, video.recorded_offset_min)


def page(desk: Desk, path: str) -> str:
    return (desk.library.settings.out / path).read_text(encoding="utf-8")


def watch_page(desk: Desk, video: Video) -> str:
    return page(desk, f"watch/{video.slug}-{video.id}.html")


def tagged(clip: Path, file: Path, tags: dict[str, str], chapters: list[float]) -> None:
    """Write a clip again with tags and chapters of the container."""
    with (
        av.open(clip) as source,
        av.open(file, "w", options={"movflags": "use_metadata_tags"}) as made,
    ):
        made.metadata.update(tags)
        made.set_chapters(
            [
                {"id": n, "start": int(s * 1000), "end": int(s * 1000) + 100,
                 "time_base": Fraction(1, 1000),
                 "metadata": {"title": f"Own {n}"}}
                for n, s in enumerate(chapters)
            ]
        )  # fmt: skip
        stream = made.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                made.mux(packet)


def test_days_are_those_of_the_place_however_long_ago(desk: Desk, clip: Path) -> None:
    library = desk.library
    for name in ("own", "nfo", "takeout", "new year", "VID_20210704_003000", "none"):
        library.put(f"{name}.mp4")
    tagged(
        clip,
        library.library / "phone.mov",
        {"com.apple.quicktime.creationdate": "2024-01-01T00:05:00+0100"},
        [],
    )
    desk.write("own.toml", "date = 1962-12-24")
    desk.write("nfo.nfo", "<movie><premiered>1958-07-05</premiered></movie>")
    desk.write("new year.md", "---\ndate: 2024-01-01 00:05 +01:00\n---\n")
    taken = {"title": "takeout.mp4", "photoTakenTime": {"timestamp": "-144720000"}}
    desk.write("takeout.mp4.supplemental-me.json", json.dumps(taken))
    desk.look()

    videos = shown(desk)
    assert {name.rpartition(".")[0]: day(v) for name, v in videos.items() if v.is_dated} == {
        "own": "1962-12-24",
        "nfo": "1958-07-05",
        "takeout": "1965-06-01",
        "new year": "2024-01-01",
        "phone": "2024-01-01",
        "VID_20210704_003000": "2021-07-04",
    }
    assert iso_time(videos["phone.mov"].recorded_at, 60) == "2024-01-01T00:05:00+01:00"
    text = watch_page(desk, videos["new year.mp4"])
    assert '<time datetime="2024-01-01T00:05:00+01:00">2024-01-01</time>' in text
    assert '"dateCreated":"2024-01-01T00:05:00+01:00"' in text
    assert "dateCreated" not in watch_page(desk, videos["none.mp4"])
    cards = {
        re.search(r"<b>(.*?)</b>", card)[1]: re.search(r"<p>(.*?)</p>", card)[1]  # type: ignore[index]
        for card in page(desk, "all.html").split("<li data-k")[1:]
    }
    assert cards["own"] == "<time>1962-12-24</time>"
    assert re.fullmatch(r"<span>Added <time>[\d-]{10}</time></span>", cards["none"])


def test_a_new_name_brings_its_date_and_takes_it_away(desk: Desk) -> None:
    desk.library.put("2021-07-04 beach.mp4")
    desk.look()
    assert day(desk.video()) == "2021-07-04"

    folder = desk.library.library
    (folder / "2021-07-04 beach.mp4").rename(folder / "1999-05-06 beach.mp4")
    desk.look()
    assert day(desk.video()) == "1999-05-06"

    (folder / "1999-05-06 beach.mp4").rename(folder / "beach.mp4")
    desk.look()
    assert not desk.video().is_dated


def test_chapters_of_another_cut_give_way_to_those_of_the_file(desk: Desk, clip: Path) -> None:
    for name in ("cut", "long"):
        tagged(clip, desk.library.library / f"{name}.mp4", {}, [0.0, 0.1, 0.2])
    for name in ("bare", "told", "desc"):
        desk.library.put(f"{name}.mp4")
    chapters = [{"start_time": at, "title": f"Theirs {at}"} for at in (0, 0.1, 30)]
    written = "0:00 One\n0:00.1 Two\n0:00.2 Three\n1:30 Far"
    uncut = {"duration": 42, "chapters": chapters, "description": written}
    desk.write("cut.info.json", json.dumps(uncut))
    desk.write("bare.info.json", json.dumps(uncut))
    desk.write("long.info.json", json.dumps({**uncut, "duration": 0.4}))
    chapters[-1]["end_time"] = 42
    desk.write("told.info.json", json.dumps({"chapters": chapters}))
    desk.write("desc.md", written)
    desk.look()

    titles = {n: [one.title for one in v.chapters] for n, v in shown(desk).items()}
    assert titles == {
        "cut.mp4": ["Own 0", "Own 1", "Own 2"],
        "bare.mp4": [],
        "long.mp4": ["Theirs 0", "Theirs 0.1"],
        "told.mp4": [],
        "desc.mp4": ["One", "Two", "Three"],
    }


def test_watch_pages_lead_on_by_number_and_one_sidecar_moves_a_handful(desk: Desk) -> None:
    names = [f"Show S01E{number:02}.mp4" for number in range(1, 31)]
    for name in names:
        desk.library.put(name)
    desk.write("Show S01E02.nfo", "<episodedetails><title>Apple</title></episodedetails>")
    desk.look()

    videos = shown(desk)
    for current, following in pairwise(names):
        after = videos[following]
        assert f'rel="next" href="/watch/{after.slug}-{after.id}.html"' in watch_page(
            desk, videos[current]
        )
    folder = page(desk, urls.scope_path(LIBRARY))
    assert f'data-names="{" ".join(str(videos[name].id) for name in names)}"' in folder

    before = {name: watch_page(desk, video) for name, video in videos.items()}
    desk.write(
        "Show S01E20.nfo",
        "<episodedetails><season>1</season><episode>99</episode></episodedetails>",
    )
    desk.look()
    after_it = shown(desk)
    changed = [name for name in names if watch_page(desk, after_it[name]) != before[name]]
    assert 0 < len(changed) <= 10
    last = after_it["Show S01E30.mp4"]
    assert (
        f"/watch/{after_it[names[19]].slug}-" in watch_page(desk, last).split('rel="next"')[1][:80]
    )


def test_a_companion_in_another_spelling_is_noticed_and_read(desk: Desk) -> None:
    desk.library.put(normalize("NFD", "Fête café.MP4"))
    desk.look()
    desk.write(normalize("NFC", "fête café.nfo"), "<movie><title>La fête</title></movie>")
    desk.write(normalize("NFC", "Fête café.fr.srt"), "1\n00:00:00,000 --> 00:00:00,300\nHello\n")
    desk.look()

    assert desk.video().title == "La fête"
    assert [track.language for track in desk.video().tracks] == ["fr"]


def test_an_old_ledger_begins_anew_and_remembers_what_was_published(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    facts = [("begun", "1"), ("publishing", "1"), ("published/cursor", "7")]
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        database = sqlite_utils.Database(connection)
        migrations.apply(database, stop_before="listings_by_name")
        connection.executemany("INSERT INTO fact VALUES (?, ?)", facts)

    with Ledger(file) as ledger:
        assert (ledger.fact("begun"), ledger.fact("publishing")) == ("", "1")
        assert ledger.fact("published/cursor") == "7"
