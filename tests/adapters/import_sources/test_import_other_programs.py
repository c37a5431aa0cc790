"""Kodi, Jellyfin, Stash, spreadsheets and our own export."""

import io
import json
import zipfile
from pathlib import Path

import pytest

from generator.adapters.import_sources.find_sources import ImportSources, read_sources
from generator.core.errors import SettingsError
from generator.core.library.import_entries import ImportEntry, ImportField

KODI = """<?xml version="1.0" encoding="UTF-8" standalone="yes" ?>
<movie><title>A & B</title><userrating>{rating}</userrating><playcount>{count}</playcount>
<lastplayed>2024-05-01 10:00:00</lastplayed><tag>x</tag></movie>
https://example.org/1"""
JELLYFIN = """<movie><plot/><isuserfavorite>true</isuserfavorite><playcount>0</playcount>
<watched>true</watched></movie>"""
AT = 1714557600  # 2024-05-01 10:00 UTC


def write(folder: Path, name: str, content: object = b"") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return path


def values(sources: ImportSources) -> dict[tuple[str, str], object]:
    return {(entry.key, str(entry.field)): entry.value for entry in sources.entries}


def lines(sources: ImportSources) -> list[tuple[str, str, str]]:
    return [(line.source, line.key, line.reason) for line in sources.rejected]


# -- .nfo


def test_the_watched_state_of_kodi_belongs_to_the_video_beside_it(tmp_path: Path) -> None:
    for name in ("a.mp4", "sub/b.mkv", "sub/alone/c.mp4", "sub/.hidden/d.mp4"):
        write(tmp_path, name)
    write(tmp_path, "a.nfo", KODI.format(rating=8, count=3))
    write(tmp_path, "sub/b.mkv.nfo", KODI.format(rating=7, count=0))
    write(tmp_path, "sub/alone/movie.nfo", JELLYFIN)
    write(tmp_path, "sub/.hidden/d.nfo", JELLYFIN)
    write(tmp_path, "sub/tvshow.nfo", "<tvshow><playcount>4</playcount></tvshow>")

    sources = read_sources(tmp_path, {})

    assert sources.entries == (
        ImportEntry("a.nfo", "a.mp4", ImportField.VIEWS, 3, AT),
        ImportEntry("a.nfo", "a.mp4", ImportField.STARS, 4),
        ImportEntry("sub/alone/movie.nfo", "sub/alone/c.mp4", ImportField.VIEWS, 1),
        ImportEntry("sub/alone/movie.nfo", "sub/alone/c.mp4", ImportField.FAVORITE, value=True),
    )
    assert lines(sources) == [("sub/b.mkv.nfo", "sub/b.mkv", "7 of 10 is no whole number of stars")]


def test_in_the_library_the_key_of_a_video_is_its_path_there(tmp_path: Path) -> None:
    write(tmp_path, "films/sub/a.mp4")
    write(tmp_path, "films/sub/a.nfo", JELLYFIN)
    (tmp_path / "link").symlink_to("films")
    library = {"": tmp_path / "link"}

    keys = {entry.key for entry in read_sources(tmp_path / "films" / "sub", library).entries}
    named = {entry.key for entry in read_sources(tmp_path / "films/sub/a.nfo", library).entries}

    assert keys == named == {f"{tmp_path}/link/sub/a.mp4"}


def test_an_nfo_of_two_videos_or_none_is_listed(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv", "b.mp4"):
        write(tmp_path, name)
    write(tmp_path, "a.nfo", JELLYFIN)
    write(tmp_path, "gone.nfo", JELLYFIN)
    write(tmp_path, "unwatched.nfo", "<movie><playcount>0</playcount></movie>")
    write(tmp_path, "art.nfo", "~~ * release * ~~")
    write(tmp_path, "b.nfo", "<movie><playcount>3")
    write(
        tmp_path, "b.mp4.nfo", "<movie><watched>maybe</watched><userrating>x</userrating></movie>"
    )

    sources = read_sources(tmp_path, {})

    assert sources.entries == ()
    assert lines(sources) == [
        ("a.nfo", "", "may be about a.mkv or a.mp4"),
        ("b.mp4.nfo", "b.mp4", 'watched is "maybe"'),
        ("b.mp4.nfo", "b.mp4", '"x" is no number of stars'),
        ("b.nfo", "", "is not valid XML (line 1)"),
        ("gone.nfo", "", "has no video of its name beside it"),
    ]


# -- Stash


def scene(**fields: object) -> dict[str, object]:
    return {"title": "A", "created_at": "2024-05-01T12:00:00+02:00", **fields}


def test_a_scene_of_stash_has_an_entry_for_each_of_its_files(tmp_path: Path) -> None:
    plays = ["2024-05-01T12:00:00+02:00", "2023-01-01T00:00:00Z"]
    files = ["/videos/a.mp4", "D:\\v\\a copy.mp4", "/videos/a.txt"]
    write(
        tmp_path,
        "scenes/A.1.json",
        scene(files=files, rating=80, tags=["Trip"], play_history=plays, performers=["B"]),
    )
    write(tmp_path, "scenes/B.2.json", scene(files=["/videos/b.mp4"], rating=5, play_count=2))
    write(tmp_path, "scenes/C.3.json", scene())
    write(tmp_path, "scenes/D.4.json", b"{")
    write(tmp_path, "tags/x.json", {"name": "x"})

    sources = read_sources(tmp_path, {})

    def entries(key: str) -> list[ImportEntry]:
        return [
            ImportEntry("scenes/A.1.json", key, ImportField.STARS, 4),
            ImportEntry("scenes/A.1.json", key, ImportField.VIEWS, 2, AT),
            ImportEntry("scenes/A.1.json", key, ImportField.TAGS, ("trip",)),
            ImportEntry("scenes/A.1.json", key, ImportField.ADDED, AT),
        ]

    assert sources.entries == (
        *entries("/videos/a.mp4"),
        *entries("D:\\v\\a copy.mp4"),
        ImportEntry("scenes/B.2.json", "/videos/b.mp4", ImportField.VIEWS, 2),
        ImportEntry("scenes/B.2.json", "/videos/b.mp4", ImportField.ADDED, AT),
    )
    assert [line[0::2] for line in lines(sources)] == [
        ("scenes/A.1.json", "is no video, by its name"),
        ("scenes/B.2.json", "5 of 100 is no whole number of stars"),
        ("scenes/C.3.json", "names no file"),
        ("scenes/D.4.json", "is cut off: only what comes before was read (line 1, column 2)"),
        ("scenes/D.4.json", "names no file"),
    ]


def test_an_old_export_of_stash_has_up_to_five_stars(tmp_path: Path) -> None:
    for number in range(1, 6):
        files = [f"/videos/{number}.mp4"]
        write(tmp_path, f"scenes/{number}.json", scene(files=files, rating=number))

    stars = {e.key[8]: e.value for e in read_sources(tmp_path, {}).entries if e.field == "stars"}

    assert stars == {"1": 1, "2": 2, "3": 3, "4": 4, "5": 5}
    write(tmp_path, "scenes/6.json", scene(files=["/videos/6.mp4"], rating100=60))
    ratings = [e.value for e in read_sources(tmp_path, {}).entries if e.field == "stars"]
    assert ratings == [3]


def test_a_zip_of_stash_is_read_without_unpacking_it(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    with zipfile.ZipFile(folder / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("scenes/a.json", json.dumps(scene(files=["/v/a.mp4"], play_count=1)))
        archive.writestr("../scenes/b.json", json.dumps(scene(files=["/v/b.mp4"], play_count=1)))
        archive.writestr("scenes/bomb.json", b" " * (17 * 1024 * 1024))
        archive.writestr("scenes/c.json", json.dumps(scene(files=["/v/c.mp4"], play_count=1)))
        archive.writestr("performers/b.json", "{}")
    with zipfile.ZipFile(folder / "holiday.zip", "w") as archive:
        archive.writestr("photo.jpg", b"")

    by_folder, by_name = read_sources(folder, {}), read_sources(folder / "export.zip", {})

    assert by_folder == by_name
    assert {entry.key for entry in by_name.entries} == {"/v/a.mp4", "/v/c.mp4"}
    assert lines(by_name) == [("export.zip/scenes/bomb.json", "", "is larger than 16 MB")]
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    holiday = read_sources(folder / "holiday.zip", {})
    assert lines(holiday) == [("holiday.zip", "", "has no scenes/*.json")]


def test_a_damaged_zip_is_listed_and_its_other_scenes_count(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in "abc":
            content = scene(files=[f"/v/{name}.mp4"], rating=80, details=name * 500)
            archive.writestr(f"scenes/{name}.json", json.dumps(content))
    content = bytearray(file.getvalue())
    at = content.index(b"scenes/b.json") + 20
    content[at : at + 40] = b"\xff" * 40

    damaged = read_sources(write(tmp_path, "damaged.zip", bytes(content)), {})
    cut = read_sources(write(tmp_path, "cut.zip", bytes(content[:200])), {})

    assert {entry.key for entry in damaged.entries} == {"/v/a.mp4", "/v/c.mp4"}
    assert "cannot be unpacked" in lines(damaged)[0][2]
    assert "is no readable .zip" in lines(cut)[0][2]


# -- tables


@pytest.mark.parametrize(
    "text",
    [
        "path,stars,favorite,views,tags\na b.mp4,4,x,7,#trip;two words\nb.mp4,,,,\n",
        "\r\n\r\npath,stars,favorite,views,tags\ra b.mp4,4,yes,7,trip;two words\r",
        "\ufeffTags;Views;Path;Stars;Favorite\r\n#trip,two words;7;a b.mp4;4.0;TRUE\r\n",
        'path\tstars\tfavorite\tviews\ttags\tx\n"a b.mp4"\t4\t1\t7\t"#trip, two words"\t"A\nB"\n',
    ],
)
def test_a_table_may_have_any_order_and_delimiter(tmp_path: Path, text: str) -> None:
    sources = read_sources(write(tmp_path, "videos.csv", text), {})

    assert values(sources) == {
        ("a b.mp4", "stars"): 4,
        ("a b.mp4", "favorite"): True,
        ("a b.mp4", "total_views"): 7,
        ("a b.mp4", "tags"): ("trip", "two words"),
    }
    assert lines(sources) == []


def test_odd_lines_are_listed_by_their_number(tmp_path: Path) -> None:
    text = """path,stars,favorite
a, b.mp4,4,x
c.mp4,six,maybe

d.mp4,5
"e.mp4,5,
f.mp4"x,5,
g.mp4,3,no
g.mp4,4,
h.mp4,2,
"""
    sources = read_sources(write(tmp_path, "videos.csv", text.replace('"e', "e")), {})

    assert values(sources) == {
        ("e.mp4", "stars"): 5, ("g.mp4", "stars"): 4, ("h.mp4", "stars"): 2,
    }  # fmt: skip
    assert [line[1:] for line in lines(sources)] == [
        ("a", "line 2: has 4 fields, and the header 3"),
        ("c.mp4", 'line 3: "six" is no number of stars'),
        ("c.mp4", 'line 3: "maybe" is neither yes nor no'),
        ("d.mp4", "line 5: has 2 fields, and the header 3"),
        ('f.mp4"x', "line 7: is no video, by its name"),
        ("g.mp4", "stars 3: a later entry has 4"),
    ]
    assert any("line 6" in line[2] for line in lines(
        read_sources(write(tmp_path, "open.csv", text), {})
    ))  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["a.mp4,4\n", "path\na.mp4\n", "path,stars,stars\na.mp4,4,5\n", "path,rating\na.mp4,4\n", ""],
)
def test_a_table_without_our_header_is_none(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, "videos.csv", text)

    assert [line[1] for line in lines(read_sources(path, {}))] == [""]
    with pytest.raises(SettingsError):
        read_sources(tmp_path, {})


# -- our own export


def export(**fields: object) -> dict[str, object]:
    return {"format": "reelshelf-export/1", **fields}


def test_an_export_has_everything_with_its_times(tmp_path: Path) -> None:
    at = "2024-05-01T10:00:00Z"
    video = {
        "path": "sub/a.mp4", "title": "A", "tags": ["trip", "folder"], "stars": 4, "stars_at": at,
        "favorite": True, "favorite_at": at, "views": 7, "last_viewed": at, "user_tags": ["trip"],
        "removed_tags": ["x"], "added": at, "votes": [{"visitor": "v1", "stars": 2, "at": at}],
        "visitor_favorites": [{"visitor": "v2", "at": at}, {"at": at}],
    }  # fmt: skip
    plain = {
        "path": "b.mp4", "stars": None, "favorite": False, "views": 0, "user_tags": [],
        "removed_tags": [], "votes": [], "visitor_favorites": [], "last_viewed": None,
    }  # fmt: skip
    waiting = [
        {"key": "gone.mp4", "field": "stars", "value": 3, "at": at, "visitor": "v1"},
        {"key": "gone.mp4", "field": "tags", "value": ["x"], "at": None},
        {"key": "gone.mp4", "field": "size", "value": 3},
    ]
    write(tmp_path, "mine.json", export(videos=[video, plain, 5], waiting=waiting))
    write(tmp_path, "ratings.json", {"sub/a.mp4": 1})
    name = "mine.json"

    sources = read_sources(tmp_path, {})

    assert set(sources.entries) == {
        ImportEntry(name, "sub/a.mp4", ImportField.STARS, 4, AT),
        ImportEntry(name, "sub/a.mp4", ImportField.FAVORITE, value=True, at=AT),
        ImportEntry(name, "sub/a.mp4", ImportField.TOTAL_VIEWS, 7, AT),
        ImportEntry(name, "sub/a.mp4", ImportField.TAGS, ("trip",)),
        ImportEntry(name, "sub/a.mp4", ImportField.REMOVED_TAGS, ("x",)),
        ImportEntry(name, "sub/a.mp4", ImportField.ADDED, AT),
        ImportEntry(name, "sub/a.mp4", ImportField.STARS, 2, AT, "v1"),
        ImportEntry(name, "sub/a.mp4", ImportField.FAVORITE, value=True, at=AT, visitor="v2"),
        ImportEntry(name, "gone.mp4", ImportField.STARS, 3, AT, "v1"),
        ImportEntry(name, "gone.mp4", ImportField.TAGS, ("x",)),
    }
    assert [line[1:] for line in lines(sources)] == [
        ("sub/a.mp4", "visitor_favorites holds an object of no visitor"),
        ("", "videos holds 5"),
        ("gone.mp4", '3 is no "size"'),
        ("sub/a.mp4", "stars 1: mine.json has 4"),
    ]


def test_an_export_of_several_roots_and_of_odd_names(tmp_path: Path) -> None:
    videos = [
        {"path": "a.mp4", "root": "films", "views": 1},
        {"path": "b.mp4", "root": "gone", "views": 1},
        {"path_bytes": "caf%E9.mp4", "views": 1},
    ]
    path = write(tmp_path, "export", export(videos=videos))

    keys = [entry.key for entry in read_sources(path, {"films": Path("/mnt/films")}).entries]

    assert keys == ["/mnt/films/a.mp4", "b.mp4", "caf\udce9.mp4"]


def test_an_export_of_a_later_release_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "export.json", {"format": "reelshelf-export/2", "videos": []})

    assert lines(read_sources(path, {})) == [
        ("export.json", "", 'is "reelshelf-export/2", and this release reads reelshelf-export/1')
    ]


def test_an_export_that_is_cut_has_the_videos_before(tmp_path: Path) -> None:
    videos = [{"path": f"{name}.mp4", "views": 1, "stars": 5} for name in "abc"]
    text = json.dumps(export(videos=videos))
    path = write(tmp_path, "export.json", text[: text.index('"c.mp4"') + 10])
    write(tmp_path, "other/export.json", json.dumps(export(videos=[{"path": 5}]))[:-3])

    sources = read_sources(path, {})

    assert {entry.key for entry in sources.entries} == {"a.mp4", "b.mp4"}
    assert [line[1] for line in lines(sources)] == ["", "c.mp4"]
    nameless = lines(read_sources(tmp_path / "other" / "export.json", {}))
    assert [line[1:] for line in nameless[1:]] == [
        ("", "is cut off here: later fields are missing"),
        ("", "null is no file name"),
    ]
