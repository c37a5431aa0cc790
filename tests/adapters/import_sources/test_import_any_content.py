"""Whatever a file holds, nothing is raised and no entry is beyond what its field allows."""

import json
import math
import shutil
import sqlite3
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generator.adapters.import_sources.find_sources import ImportSources, read_sources
from generator.core.formatting import normalize_tag
from generator.core.library.import_entries import ImportField, entry_id, parts_of

NAMES = (
    "ratings.json", "views.json", "tags.json", "favorites.json", "video_metadata.db",
    "a.mp4.json", "a.nfo", "table.csv", "scenes/a.json", "mine.json", "export.zip",
)  # fmt: skip
KEYS = st.sampled_from(["a.mp4", "b/c.MKV", "/d/e.webm", "C:\\f.mp4", "../g.mp4", "", "h"])
FIELDS = st.sampled_from(
    [
        "favorites", "rating", "stars", "views", "last", "tags", "filename", "added", "files",
        "rating100", "play_history", "play_count", "created_at", "videos", "waiting", "path",
        "path_bytes", "root", "votes", "visitor", "visitor_favorites", "user_tags", "key", "field",
        "value", "at", "removed_tags",
    ]
)  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(0, 6)
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | KEYS
    | st.sampled_from(["4", " 5 ", "#tag", "a, b", "2024-05-01", "stars", "tags", "%ff.mp4"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(KEYS | FIELDS | st.text(st.characters(), max_size=3), inner, max_size=5)
    ),
    max_leaves=15,
)


def assert_possible(sources: ImportSources) -> None:
    for entry in sources.entries:
        assert parts_of(entry.key)
        assert entry_id(entry)
        assert entry.at is None or type(entry.at) is int
        value = entry.value
        match entry.field:
            case ImportField.STARS:
                assert type(value) is int
                assert 1 <= value <= 5
            case ImportField.FAVORITE:
                assert value is True
            case ImportField.VIEWS:
                assert type(value) is int
                assert 1 <= value <= 10**12
            case ImportField.TAGS | ImportField.REMOVED_TAGS:
                assert isinstance(value, tuple)
                assert value
                assert len(set(value)) == len(value)
                assert all(tag == normalize_tag(tag) and 0 < len(tag) <= 200 for tag in value)
                assert all(tag.encode() for tag in value)
            case ImportField.ADDED:
                assert type(value) is int
                assert value > 0
    for line in sources.rejected:
        assert line.reason
        assert "\n" not in line.reason


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


def emptied(folder: Path) -> Path:
    shutil.rmtree(folder)
    (folder / "scenes").mkdir(parents=True)
    (folder / "a.mp4").touch()
    return folder


def read(folder: Path) -> ImportSources:
    (folder / "favorites.json").touch()  # one is always recognized
    return read_sources(folder, {})


@given(name=st.sampled_from(NAMES), content=st.binary(max_size=200))
def test_any_bytes_are_read_or_listed(folder: Path, name: str, content: bytes) -> None:
    (emptied(folder) / name).write_bytes(content)

    assert_possible(read(folder))


@given(
    name=st.sampled_from([name for name in NAMES if name.endswith(".json")]),
    value=VALUES,
    cut=st.integers(0, 200) | st.none(),
    ascii_only=st.booleans(),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_any_json_is_read_or_listed(
    folder: Path, name: str, value: object, cut: int | None, *, ascii_only: bool
) -> None:
    if name == "mine.json":
        value = {"format": "reelshelf-export/1", "videos": [value], "waiting": [value, [value]]}
    text = json.dumps(value, ensure_ascii=ascii_only)
    content = text[:cut].encode("utf-8", "surrogatepass")
    (emptied(folder) / name).write_bytes(content)

    assert_possible(read(folder))


@given(
    cells=st.lists(st.lists(st.text(max_size=5) | KEYS, max_size=6), max_size=4),
    delimiter=st.sampled_from(",;\t"),
)
def test_any_table_is_read_or_listed(folder: Path, cells: list[list[str]], delimiter: str) -> None:
    rows = [["path", "stars", "favorite", "views", "tags"], *cells]
    text = "\n".join(delimiter.join(row) for row in rows)
    (emptied(folder) / "table.csv").write_bytes(text.encode("utf-8", "surrogatepass"))

    assert_possible(read(folder))


@given(fields=st.dictionaries(st.sampled_from(
    ["watched", "playcount", "lastplayed", "userrating", "isuserfavorite"]), st.text(max_size=6)
))  # fmt: skip
def test_any_nfo_is_read_or_listed(folder: Path, fields: dict[str, str]) -> None:
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in fields.items())
    content = f"<movie>{inner}</movie>".encode("utf-8", "surrogatepass")
    (emptied(folder) / "a.nfo").write_bytes(content)

    assert_possible(read(folder))


@given(name=st.sampled_from(NAMES), at=st.floats(0, 1), changed=st.binary(min_size=1, max_size=9))
@settings(max_examples=80)
def test_whole_files_with_some_bytes_changed_are_read_or_listed(
    whole: Path, folder: Path, name: str, at: float, changed: bytes
) -> None:
    shutil.rmtree(folder)
    shutil.copytree(whole, folder)
    content = bytearray((folder / name).read_bytes())
    position = math.floor(at * len(content))
    content[position : position + len(changed)] = changed
    (folder / name).write_bytes(content)

    assert_possible(read(folder))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    (folder / "scenes").mkdir()
    scene = {"files": ["/v/a.mp4"], "rating": 80, "created_at": "2024-05-01T10:00:00Z"}
    contents: dict[str, object] = {
        "ratings.json": {"a.mp4": 4},
        "views.json": {"a.mp4": 4},
        "tags.json": {"a.mp4": ["x", "y"]},
        "favorites.json": {"favorites": ["a.mp4"]},
        "a.mp4.json": {"tags": ["z"]},
        "mine.json": {"format": "reelshelf-export/1", "videos": [{"path": "a.mp4", "stars": 5}]},
        "scenes/a.json": scene,
    }
    for name, value in contents.items():
        (folder / name).write_text(json.dumps(value), "utf-8")
    (folder / "a.mp4").touch()
    (folder / "a.nfo").write_text("<movie><playcount>3</playcount></movie>", "utf-8")
    (folder / "table.csv").write_text("path,stars,tags\na.mp4,4,x;y\n", "utf-8")
    with zipfile.ZipFile(folder / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("scenes/a.json", json.dumps(scene))
    connection = sqlite3.connect(folder / "video_metadata.db")
    connection.executescript(
        """
        CREATE TABLE ratings (filename, rating, updated_at);
        CREATE TABLE video_tags (filename, tag);
        INSERT INTO ratings VALUES ('a.mp4', 5, 'x');
        INSERT INTO video_tags VALUES ('a.mp4', 'x');
        """
    )
    connection.close()
    return folder
