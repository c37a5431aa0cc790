"""`export`: all that people did, exactly, the same bytes each time; .nfo files, ours alone."""

import csv
import io
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from commanded import Answer, command
from forks import Command, completed

from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.adapters.export_file import write_export
from generator.core.errors import SettingsError
from generator.core.library.export_format import nfo_content
from generator.core.model import Event, EventKind, VideoId

VIDEOS = 30
AT = 1_714_564_800  # 2024-05-01T12:00:00Z


def event(kind: EventKind, video: int, **value: object) -> Event:
    visitor = value.get("visitor", "")
    return Event(f"{kind}-{video}-{visitor}", kind, AT, "test", VideoId(video), value)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a site whose videos are files without content."""
    (tmp_path / "reelshelf.toml").write_text('library = ["library"]\n')
    with Catalogue(tmp_path / "state/catalogue.db", durable=False) as catalogue:
        trial.fill(catalogue, VIDEOS)
        catalogue.append(
            [
                event(EventKind.RATED, 1, stars=4),
                event(EventKind.FAVORITED, 1),
                event(EventKind.VIEWED, 1, count=1234),
                event(EventKind.RATED, 1, stars=2, visitor="b"),
                event(EventKind.RATED, 1, stars=5, visitor="a"),
                event(EventKind.FAVORITED, 1, visitor="a"),
                event(EventKind.FOLDER_TAGGED, 1, folder_tags=["fjord", "norway"]),
                event(EventKind.RETAGGED, 1, names=["Sea; land", "norway"]),
                event(EventKind.VIDEO_MISSING, 2),
                event(EventKind.VIDEO_MISSING, 3),
                event(EventKind.VIDEO_FORGOTTEN, 3),
                event(EventKind.VIDEO_MISSING, 4),
                event(EventKind.VIDEO_MERGED, 4, into=5),
            ]
        )
        for path in paths_of(catalogue):
            (file := tmp_path / "library" / path).parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    return tmp_path


def paths_of(catalogue: Catalogue) -> Iterator[str]:
    yield from (file.place.path for file in catalogue.present())


def exported(site: Path, *options: str) -> dict[str, Any]:
    answer = command(site, "export", *options)
    assert answer.code == 0, answer.text
    return json.loads(answer.out)  # type: ignore[no-any-return]


def test_an_export_has_all_that_people_did_to_a_video(site: Path) -> None:
    export = exported(site)

    videos = {one["id"]: one for one in export["videos"]}
    assert (export["format"], export["waiting"]) == ("reelshelf-export/1", [])
    assert sorted(videos) == [number for number in range(1, VIDEOS + 1) if number not in {3, 4}]
    assert [one["path"] for one in export["videos"]] == sorted(
        one["path"] for one in export["videos"]
    )
    assert videos[2]["missing_since"] == "2024-05-01T12:00:00Z"
    first = videos[1]
    listed = json.loads(command(site, "list", "--json").out)["videos"][0]
    same = ("id", "path", "title", "stars", "favorite", "views", "tags", "added", "recorded")
    assert {name: first[name] for name in same} == {name: listed[name] for name in same}
    assert first["views"] >= 1234
    assert first["stars_at"] == first["favorite_at"] == first["votes"][0]["at"]
    assert first["user_tags"] == first["tags"] == ["Sea; land", "norway"]
    assert "fjord" in first["removed_tags"]
    assert first["sources"]["tags"] == {"folder": ["fjord", "norway"]}
    assert first["sources"]["title"] == "file"
    assert [(vote["visitor"], vote["stars"]) for vote in first["votes"]] == [("a", 5), ("b", 2)]
    assert first["visitor_favorites"] == [{"visitor": "a", "at": "2024-05-01T12:00:00Z"}]
    assert "root" not in first


def test_two_exports_of_one_catalogue_are_equal_bytes(site: Path) -> None:
    with Catalogue(site / "state/catalogue.db") as catalogue:
        catalogue.note("something", "else")

    assert command(site, "export").out == command(site, "export").out
    assert (
        command(site, "export", "--format", "csv").out
        == command(site, "export", "--format", "csv").out
    )


def test_csv_has_a_line_for_each_video(site: Path) -> None:
    text = command(site, "export", "--format", "csv").out

    rows = {row["path"]: row for row in csv.DictReader(io.StringIO(text, newline=""))}
    videos = exported(site)["videos"]
    assert text.startswith("path,stars,favorite,views,tags\r\n")
    assert list(rows) == [video["path"] for video in videos]
    for video in videos:
        row = rows[video["path"]]
        assert row["stars"] == str(video["stars"] or "")
        assert row["favorite"] == ("true" if video["favorite"] else "false")
        assert int(row["views"]) == video["views"]
    (first,) = (row for row in rows.values() if row["tags"].startswith("Sea"))
    assert first["tags"] == r"Sea\; land;norway"


def test_two_roots_have_names(site: Path) -> None:
    with Catalogue(site / "state/catalogue.db") as catalogue:
        old = trial.found(VIDEOS + 1, trial.random.Random(1))
        value = {**old.value, "root": "films", "path": "a.mp4"}
        catalogue.append([Event("root", EventKind.VIDEO_FOUND, AT, "scan", value=value)])

    last = exported(site)["videos"][-1]
    assert (last["root"], last["path"]) == ("films", "a.mp4")
    assert "\nfilms/a.mp4," in command(site, "export", "--format", "csv").out


# -- the file


def test_an_export_replaces_an_earlier_one_and_nothing_else(site: Path) -> None:
    target, other = site / "export.json", site / "notes.txt"
    other.write_text("notes")

    assert command(site, "export", "--output", str(target)).code == 0
    assert target.stat().st_mode & 0o777 == 0o600
    target.chmod(0o640)
    assert command(site, "export", "--output", str(target), "--format", "csv").code == 0
    assert command(site, "export", "--output", str(target)).code == 0
    assert target.stat().st_mode & 0o777 == 0o640
    assert target.read_text() == command(site, "export").out
    refusal = command(site, "export", "--output", str(other))
    assert refusal.code == 2
    assert "--force" in refusal.text
    assert other.read_text() == "notes"
    assert command(site, "export", "--output", str(other), "--force").code == 0
    assert other.read_text() == target.read_text()
    for name in ("state/catalogue.db", "library", "nowhere/export.json"):
        assert command(site, "export", "--output", str(site / name), "--force").code == 2
    assert not list(site.glob(".*.tmp"))


def test_a_file_that_came_meanwhile_stays(tmp_path: Path) -> None:
    target = tmp_path / "export.json"

    def content() -> Iterator[bytes]:
        yield b"ours"
        target.write_bytes(b"theirs")

    with pytest.raises(SettingsError, match="cannot write"):
        write_export(target, content())

    assert target.read_bytes() == b"theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["export.json"]


def test_a_reader_that_has_seen_enough_sees_no_traceback(site: Path) -> None:
    with Catalogue(site / "state/catalogue.db", durable=False) as catalogue:
        trial.fill(catalogue, 3000)  # more than a pipe holds
    process = Command(
        ["export"], cwd=site, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout.read(10) == b'{"format":'
    process.stdout.close()

    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    assert process.wait(60) in {0, 1}


def test_an_export_in_a_locale_without_unicode_is_utf_8(site: Path) -> None:
    with Catalogue(site / "state/catalogue.db") as catalogue:
        catalogue.append([event(EventKind.TAGGED, 6, names=["fjørd"])])

    answer = completed(["export"], cwd=site, env={**os.environ, "PYTHONIOENCODING": "ascii"})

    assert "fjørd" in answer.stdout


def test_what_is_written_meanwhile_is_not_in_it(site: Path) -> None:
    with Catalogue(site / "state/catalogue.db") as reading, reading.snapshot() as reader:
        videos = reader.videos()
        first = next(videos)
        with Catalogue(site / "state/catalogue.db") as writing:
            writing.append([event(EventKind.VIEWED, n, count=10**6) for n in range(5, VIDEOS)])

        assert all(video.views < 10**6 for video in (first, *videos))


# -- .nfo


def nfo(site: Path, *options: str) -> Answer:
    return command(site, "export", "--nfo", *options)


def files_of(site: Path) -> dict[str, bytes]:
    library = site / "library"
    return {
        str(path.relative_to(library)): path.read_bytes()
        for path in sorted(library.rglob("*"))
        if path.is_file() and path.suffix != ".mp4"
    }


def first_nfo(site: Path) -> Path:
    path = next(one["path"] for one in exported(site)["videos"] if one["id"] == 1)
    return (site / "library" / path).with_suffix(".nfo")


def test_an_nfo_beside_each_video_says_what_people_did(site: Path) -> None:
    dry = nfo(site, "--dry-run")
    assert f"{VIDEOS - 3} .nfo files would be written" in dry.out
    assert files_of(site) == {}

    assert nfo(site).code == 0

    written = files_of(site)
    assert len(written) == VIDEOS - 3  # three are missing, forgotten or merged
    first = next(one for one in exported(site)["videos"] if one["id"] == 1)
    movie = ET.fromstring(first_nfo(site).read_bytes())
    text = {child.tag: child.text for child in movie if child.tag != "tag"}
    assert movie.tag == "movie"
    assert text.pop("title")
    assert int(text.pop("playcount") or 0) >= 1234
    assert text == {
        "userrating": "8",
        "watched": "true",
        "lastplayed": "2026-09-21 14:13:20"
        if text["lastplayed"][:4] != "2024"
        else text["lastplayed"],
        "isuserfavorite": "true",
        "dateadded": first["added"].replace("T", " ").removesuffix("Z"),
    }
    assert [tag.text for tag in movie.iter("tag")] == ["Sea; land", "norway"]
    assert f"{VIDEOS - 3} .nfo files unchanged" in nfo(site).out
    assert files_of(site) == written


def test_an_nfo_of_ours_follows_and_one_that_was_edited_stays(site: Path) -> None:
    assert nfo(site).code == 0
    ours = first_nfo(site)
    edited = next(path for path in (site / "library").rglob("*.nfo") if path != ours)
    edited.write_bytes(edited.read_bytes().replace(b"</movie>", b"  <plot>Mine</plot>\n</movie>"))
    kept = edited.read_bytes()
    with Catalogue(site / "state/catalogue.db") as catalogue:
        catalogue.append(
            Event(f"all {n}", EventKind.RATED, AT, "test", VideoId(n), {"stars": 1})
            for n in range(5, VIDEOS + 1)
        )
        catalogue.append([Event("one", EventKind.RATED, AT, "test", VideoId(1), {"stars": 1})])

    answer = nfo(site)

    assert answer.code == 0
    assert b"<userrating>2<" in ours.read_bytes()
    assert edited.read_bytes() == kept
    assert f"left alone: {edited.relative_to(site / 'library')}: another program's" in answer.out


@pytest.mark.parametrize("name", ["{stem}.nfo", "{stem}.mp4.nfo", "movie.nfo", "{stem}.NFO"])
def test_an_nfo_of_somebody_else_is_not_touched_nor_shadowed(site: Path, name: str) -> None:
    ours = first_nfo(site)
    theirs = ours.with_name(name.format(stem=ours.stem))
    theirs.write_text("<movie><title>Theirs</title></movie>")

    answer = nfo(site)

    assert theirs.read_text() == "<movie><title>Theirs</title></movie>"
    assert "left alone" in answer.out
    assert theirs == ours or not ours.exists()


def test_a_copy_of_an_export_that_we_did_not_write_here_is_not_ours(site: Path) -> None:
    with (
        Catalogue(site / "state/catalogue.db") as catalogue,
        catalogue.snapshot() as reader,
    ):
        (other,) = (video for video in reader.videos() if video.id == 9)
    target = first_nfo(site)
    target.write_bytes(nfo_content(other))

    assert "left alone" in nfo(site).out
    assert target.read_bytes() == nfo_content(other)


def test_what_a_name_in_common_or_a_link_would_mix_is_left_alone(site: Path) -> None:
    target = first_nfo(site)
    target.with_suffix(".mkv").touch()
    away = site / "away"
    folder = target.parent
    assert f"{VIDEOS - 4} .nfo files written" in nfo(site).out
    assert not target.exists()
    folder.rename(away)
    folder.symlink_to(away)

    answer = nfo(site)

    assert answer.code == 0
    assert "behind a link" in answer.out


def test_a_folder_that_cannot_be_written_is_told_and_the_others_are_done(site: Path) -> None:
    target = first_nfo(site)
    link = target.with_name(target.name)
    link.symlink_to(site / "state/catalogue.db")
    before = (site / "state/catalogue.db").stat().st_ino

    answer = nfo(site)

    assert f"{VIDEOS - 4} .nfo files written" in answer.out
    assert link.is_symlink()
    assert (site / "state/catalogue.db").stat().st_ino == before


def test_killed_between_record_and_file_the_next_export_goes_on(site: Path) -> None:
    assert nfo(site).code == 0
    target = first_nfo(site)
    with Catalogue(site / "state/catalogue.db") as catalogue:
        mark = catalogue.identity()[:12]
        catalogue.append([Event("one", EventKind.RATED, AT, "test", VideoId(1), {"stars": 1})])
    stale = target.with_name(f".reelshelf-{mark}-1.nfo.tmp")
    stale.touch()
    foreign = target.with_name(".reelshelf-0-1.nfo.tmp")
    foreign.touch()

    assert nfo(site).code == 0

    assert b"<userrating>2<" in target.read_bytes()
    assert not stale.exists()
    assert foreign.exists()


def test_options_that_mean_nothing_together_are_refused(site: Path) -> None:
    assert command(site, "export", "--dry-run").code == 2
    assert nfo(site, "--output", "x").code == 2
    assert nfo(site, "--format", "csv").code == 2
