import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast
from unicodedata import normalize

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.adapters.scanner import Walk, scan_folders, stat_one, walk
from generator.core.library.file_filter import FileFilter, compile_filter
from generator.core.model import FileStat, Place

INTAKE = compile_filter()
UNKIND = [
    "two\nlines.mp4",
    "latin \udce9.mkv",
    normalize("NFC", "é.mp4"),
    normalize("NFD", "é.mp4"),
    "🎬" * 62 + ".mp4",
    "#?%'\"&*<>;$`|.mp4",
    " spaces .mp4",
    "-rf.mp4",
    "back\\slash.mp4",
    "\t.mp4",
    "x" * 251 + ".mp4",
]


def put(root: Path, *paths: str, content: bytes = b"film") -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def walked(root: Path, *, intake: FileFilter = INTAKE, follow_links: bool = False) -> Walk:
    return walk({"": root}, intake, follow_links=follow_links)


def reasons(report: Walk) -> dict[str, str]:
    return {one.place.path: one.reason for one in report.unwanted}


class Meddling:
    """An intake that does something to the library when it is asked about a name."""

    by_path = False
    bars_folder_at = INTAKE.bars_folder_at

    def __init__(self, name: str, meddle: Callable[[], object]) -> None:
        self._name = name
        self._meddle = meddle

    def takes_file(self, name: str) -> bool:
        if name == self._name:
            self._meddle()
        return INTAKE.takes_file(name)

    def takes_folder(self, name: str) -> bool:
        return INTAKE.takes_folder(name)


def meddling(name: str, meddle: Callable[[], object]) -> FileFilter:
    return cast("FileFilter", Meddling(name, meddle))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a folder that other users reach: pytest's own, and all below, is closed to them."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    subprocess.run(["chmod", "-R", "u+rwx", folder], check=True)
    shutil.rmtree(folder)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give up the rights of root for a while: nothing is closed to it."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_every_video_is_seen_with_its_size_and_time(tmp_path: Path) -> None:
    put(tmp_path, "a.mp4", content=b"12345")
    put(tmp_path, "deep/er/b.MKV")
    put(tmp_path, "deep/poster.jpg", "deep/.hidden.mp4", "deep/b.mkv.part", "@eaDir/c.mp4")
    os.utime(tmp_path / "a.mp4", ns=(0, 1_234_567_890_123_456_789))

    report = walked(tmp_path)

    assert set(report.files[""]) == {"a.mp4", "deep/er/b.MKV"}
    assert report.files[""]["a.mp4"] == (5, 1_234_567_890_123_456_789)
    assert report.unwanted == ()
    assert report.unread == frozenset()


def test_names_of_an_unkind_world_come_back_as_they_are(tmp_path: Path) -> None:
    for name in UNKIND:
        put(tmp_path, name, f"in {name[:200]}/{name}")

    seen = walked(tmp_path).files[""]

    assert set(seen) == {*UNKIND, *(f"in {name[:200]}/{name}" for name in UNKIND)}
    assert all((tmp_path / path).exists() for path in seen)


segments = st.sampled_from(["a", "b.mp4", "é", "\udcff", ".h", "c d", "@eaDir", "x\ny"])
ends = st.sampled_from(["f.mp4", "g.mkv", ".f.mp4", "f.txt", "f.mp4.part", "\udcfe.avi"])
trees = st.sets(
    st.tuples(st.lists(segments, max_size=4), ends).map(lambda at: "/".join([*at[0], at[1]])),
    max_size=12,
)
ignores = st.lists(st.sampled_from(["a", "b.mp4/", "a/*.mp4", "**/é", "g.*", "/c d"]), max_size=2)


@contextmanager
def library(paths: set[str]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        put(Path(name), *paths)
        yield Path(name)


@settings(deadline=None, max_examples=examples(20, thorough=60))
@given(paths=trees, ignore=ignores)
def test_a_walk_finds_exactly_what_the_intake_takes(paths: set[str], ignore: list[str]) -> None:
    intake = compile_filter(ignore)

    with library(paths) as root:
        report = walked(root, intake=intake)

    assert set(report.files[""]) == {path for path in paths if intake.takes_file_at(path)}


@settings(deadline=None, max_examples=examples(20, thorough=60))
@given(paths=trees, ignore=ignores)
def test_looking_into_every_folder_is_a_walk(paths: set[str], ignore: list[str]) -> None:
    intake = compile_filter(ignore)
    folders = {""} | {up for path in paths for up in _above(path)}

    with library(paths) as root:
        places = [Place("", folder) for folder in folders]
        apart = scan_folders({"": root}, intake, folders=places, follow_links=False)
        whole = scan_folders({"": root}, intake, trees=[Place("", "")], follow_links=False)
        walked_ = walked(root, intake=intake)

    assert apart.files == whole.files == walked_.files
    assert whole == walked_
    assert apart.folders == {Place("", at) for at in folders if intake.takes_folder_at(at)}
    assert all(apart.covers(Place("", path)) for path in walked_.files[""])


hinted = st.sets(st.tuples(st.lists(segments, max_size=3).map("/".join), st.booleans()), max_size=8)


@settings(deadline=None, max_examples=examples(20, thorough=60))
@given(paths=trees, hints=hinted)
def test_a_look_says_of_each_file_once_whether_it_is_there(
    paths: set[str], hints: set[tuple[str, bool]]
) -> None:
    with library(paths) as root:
        report = scan_folders(
            {"": root},
            INTAKE,
            folders=[Place("", path) for path, deep in hints if not deep],
            trees=[Place("", path) for path, deep in hints if deep],
            follow_links=False,
        )
        whole = walked(root).files[""]

    covered = {path for path in whole if report.covers(Place("", path))}
    assert set(report.files[""]) == covered
    for path in [*whole, "a/gone.mp4", "b.mp4/gone.mp4"]:
        place, up = Place("", path), [Place("", folder) for folder in {"", *_above(path)}]
        parent = Place("", path.rpartition("/")[0])
        said = [parent in report.folders]
        said += [tree in report.trees | report.gone for tree in up]
        assert sum(said) == report.covers(place)
    wanted = {path for path, _ in hints}
    assert {place.path for place in report.folders | report.trees | report.gone} <= wanted


def _above(path: str) -> set[str]:
    parts = path.split("/")[:-1]
    return {"/".join(parts[:end]) for end in range(1, len(parts) + 1)}


def test_a_look_tells_of_the_named_folder_and_of_no_other(tmp_path: Path) -> None:
    put(tmp_path, "a/1.mp4", "a/b/2.mp4", "c/3.mp4", "c/d/4.mp4")

    report = scan_folders(
        {"": tmp_path},
        INTAKE,
        folders=[Place("", "a"), Place("elsewhere", "a"), Place("", ".hidden")],
        trees=[Place("", "c")],
        follow_links=False,
    )

    assert set(report.files[""]) == {"a/1.mp4", "c/3.mp4", "c/d/4.mp4"}
    assert report.folders == {Place("", "a")}
    assert report.trees == {Place("", "c")}
    assert report.covers(Place("", "a/gone.mp4"))
    assert report.covers(Place("", "c/x/gone.mp4"))
    assert not report.covers(Place("", "a/b/2.mp4"))
    assert not report.covers(Place("", "5.mp4"))
    assert not report.covers(Place("elsewhere", "a/6.mp4"))


def test_a_hinted_folder_that_is_no_more_is_told_as_gone(tmp_path: Path) -> None:
    put(tmp_path, "was a folder")
    (tmp_path / "moved").symlink_to(tmp_path)

    report = scan_folders(
        {"": tmp_path},
        INTAKE,
        folders=[Place("", "gone/deep"), Place("", "was a folder"), Place("", "moved")],
        follow_links=False,
    )

    assert {place.path for place in report.gone} == {"gone/deep", "was a folder", "moved"}
    assert report.covers(Place("", "gone/deep/er/a.mp4"))
    assert not report.covers(Place("", "gone/a.mp4"))
    assert report.unread == frozenset()
    assert report.folders == frozenset()


def test_a_root_says_what_the_guard_needs_to_know(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    put(tmp_path, "full/a.mp4", "full/note.txt", "file")
    roots = {name: tmp_path / name for name in ("empty", "full", "file", "absent")}

    report = walk(roots, INTAKE, follow_links=False)

    states = report.roots
    assert [states[name].entries for name in roots] == [0, 2, 0, 0]
    assert states["full"].device == tmp_path.stat().st_dev
    assert states["absent"].device is None
    assert [bool(states[name].trouble) for name in roots] == [False, False, True, True]
    assert report.unread == {Place("file", ""), Place("absent", "")}
    assert not report.covers(Place("absent", "a.mp4"))
    assert report.covers(Place("empty", "a.mp4"))
    assert set(report.files) == set(roots)


def test_nothing_is_gone_from_a_root_that_is_not_there(tmp_path: Path) -> None:
    report = scan_folders(
        {"": tmp_path / "absent"}, INTAKE, folders=[Place("", "a")], follow_links=False
    )

    assert report.gone == frozenset()
    assert not report.covers(Place("", "a/b.mp4"))


def test_a_root_may_be_reached_by_a_link(tmp_path: Path) -> None:
    put(tmp_path, "disk/show/a.mp4")
    (tmp_path / "library").symlink_to("disk")
    root = {"": tmp_path / "library"}

    assert set(walk(root, INTAKE, follow_links=False).files[""]) == {"show/a.mp4"}
    report = scan_folders(root, INTAKE, folders=[Place("", "show")], follow_links=False)
    assert set(report.files[""]) == {"show/a.mp4"}


def test_a_folder_named_like_a_video_is_walked(tmp_path: Path) -> None:
    put(tmp_path, "film.mp4/disc.mkv/a.avi")

    assert set(walked(tmp_path).files[""]) == {"film.mp4/disc.mkv/a.avi"}


def test_what_is_no_file_is_told_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.fspath(tmp_path / "socket.mp4"))

        report = walked(tmp_path)

    assert reasons(report) == {
        "pipe.mp4": "is a named pipe, not a file",
        "socket.mp4": "is a socket, not a file",
    }
    assert not report.files[""]


def test_links_that_are_not_followed_are_told(tmp_path: Path) -> None:
    put(tmp_path, "out/side/a.mp4", "lib/real.mp4", "lib/text.txt")
    (tmp_path / "lib/film.mp4").symlink_to("real.mp4")
    (tmp_path / "lib/folder").symlink_to("../out")
    (tmp_path / "lib/note").symlink_to("text.txt")
    (tmp_path / "lib/dangling").symlink_to("nowhere")

    report = walked(tmp_path / "lib")

    assert set(report.files[""]) == {"real.mp4"}
    assert set(reasons(report)) == {"film.mp4", "folder"}
    assert all("set follow_links" in reason for reason in reasons(report).values())


def test_links_are_followed_to_files_and_folders(tmp_path: Path) -> None:
    put(tmp_path, "out/side/a.mp4", content=b"1234567")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/film.mp4").symlink_to("../out/side/a.mp4")
    (tmp_path / "lib/folder").symlink_to("../out")
    (tmp_path / "lib/folder.mp4").symlink_to("../out/side")
    (tmp_path / "lib/.hidden").symlink_to("../out")

    report = walked(tmp_path / "lib", follow_links=True)

    assert set(report.files[""]) == {"film.mp4", "folder/side/a.mp4"}
    assert report.files[""]["film.mp4"][0] == 7
    assert reasons(report) == {"folder.mp4": "leads to the same folder as 'folder/side'"}


def test_links_in_a_circle_end_and_the_real_path_wins(tmp_path: Path) -> None:
    put(tmp_path, "m/a.mp4", "m/z/b.mp4")
    (tmp_path / "m/z/up").symlink_to("../..")
    (tmp_path / "a first").symlink_to("m/z")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "film.mp4").symlink_to("film.mp4")

    report = walked(tmp_path, follow_links=True)

    assert set(report.files[""]) == {"m/a.mp4", "m/z/b.mp4"}
    assert reasons(report) == {
        "a first": "leads to the same folder as 'm/z'",
        "m/z/up": "leads to the same folder as the root",
        "self": "is a symbolic link that leads in a circle",
        "film.mp4": "is a symbolic link that leads in a circle",
    }


def test_links_between_roots_and_outside_show_each_folder_once(tmp_path: Path) -> None:
    put(tmp_path, "one/a.mp4", "two/b.mp4", "far/c.mp4")
    (tmp_path / "one/link").symlink_to("../two")
    (tmp_path / "two/x").symlink_to("../far")
    (tmp_path / "one/x").symlink_to("../far")
    (tmp_path / "far/back").symlink_to("../one")
    roots = {"1": tmp_path / "one", "2": tmp_path / "two"}

    report = walk(roots, INTAKE, follow_links=True)

    assert {root: set(files) for root, files in report.files.items()} == {
        "1": {"a.mp4", "x/c.mp4"},
        "2": {"b.mp4"},
    }


def test_a_dead_link_may_be_a_lost_disk_and_nothing_behind_it_counts_as_gone(
    tmp_path: Path,
) -> None:
    (tmp_path / "disk").symlink_to("/nowhere/at/all")
    (tmp_path / "film.mp4").symlink_to("/nowhere/film.mp4")

    report = walked(tmp_path, follow_links=True)

    assert set(reasons(report)) == {"disk", "film.mp4"}
    assert not report.covers(Place("", "disk/a.mp4"))
    assert not report.covers(Place("", "film.mp4"))
    assert report.covers(Place("", "other.mp4"))


def test_a_look_leaves_links_to_folders_to_the_walk(tmp_path: Path) -> None:
    put(tmp_path, "out/a.mp4", "lib/b.mp4")
    (tmp_path / "lib/link").symlink_to("../out")
    (tmp_path / "lib/c.mp4").symlink_to("b.mp4")

    report = scan_folders(
        {"": tmp_path / "lib"},
        INTAKE,
        trees=[Place("", "")],
        follow_links=True,
    )
    behind = scan_folders(
        {"": tmp_path / "lib"}, INTAKE, folders=[Place("", "link")], follow_links=True
    )

    assert set(report.files[""]) == {"b.mp4", "c.mp4"}
    assert report.unread == behind.unread == {Place("", "link")}
    assert report.gone == behind.gone == frozenset()
    assert not behind.files[""]
    assert not report.covers(Place("", "link/a.mp4"))


def test_an_unreadable_folder_is_told_and_loses_nothing(open_folder: Path) -> None:
    put(open_folder, "closed/deep/a.mp4", "open/b.mp4", "blind/c.mp4")
    (open_folder / "closed").chmod(0)
    (open_folder / "blind").chmod(0o444)  # its names are read, its files are not

    with as_nobody():
        report = walked(open_folder)
        again = scan_folders(
            {"": open_folder},
            INTAKE,
            folders=[Place("", "closed"), Place("", "closed/deep")],
            follow_links=False,
        )

    assert set(report.files[""]) == {"open/b.mp4"}
    assert reasons(report) == {
        "closed": "cannot be read: Permission denied",
        "blind/c.mp4": "cannot be read: Permission denied",
    }
    for place in (Place("", "closed/deep/a.mp4"), Place("", "blind/c.mp4")):
        assert not report.covers(place)
    assert report.covers(Place("", "blind/d.mp4"))
    assert again.unread == {Place("", "closed"), Place("", "closed/deep")}
    assert again.gone == frozenset()
    assert not again.covers(Place("", "closed/x.mp4"))


def test_an_unreadable_root_is_told(open_folder: Path) -> None:
    (open_folder / "lib").mkdir(mode=0)

    with as_nobody():
        report = walked(open_folder / "lib")

    assert report.roots[""].trouble == "cannot be read: Permission denied"
    assert not report.covers(Place("", "a.mp4"))


def test_a_tree_may_be_deeper_than_the_stack_of_python(tmp_path: Path) -> None:
    deep = "/".join(["d"] * 1500)
    subprocess.run(["mkdir", "-p", tmp_path / deep], check=True)
    (tmp_path / deep / "a.mp4").touch()

    report = walked(tmp_path)
    subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)

    assert set(report.files[""]) == {f"{deep}/a.mp4"}


def test_a_path_too_long_to_open_is_told(tmp_path: Path) -> None:
    name = "n" * 200
    at = os.open(tmp_path, os.O_RDONLY)
    for _ in range(40):
        os.mkdir(name, dir_fd=at)
        below = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(os.open("a.mp4", os.O_CREAT | os.O_WRONLY, dir_fd=below))
        os.close(at)
        at = below
    os.close(at)

    report = walked(tmp_path)
    subprocess.run(["rm", "-rf", tmp_path / name], check=True)

    (skipped,) = report.unwanted
    assert skipped.reason == "its path is too long (over 3839 bytes)"
    assert skipped.place in report.unread
    assert len(report.files[""]) == skipped.place.path.count("/")
    assert not report.covers(Place("", f"{skipped.place.path}/a.mp4"))


def test_a_folder_that_goes_while_the_library_is_read_is_not_taken_for_empty(
    tmp_path: Path,
) -> None:
    put(tmp_path, "a/1.mp4", "b/2.mp4", "c/3.mp4")

    intake = meddling("b", lambda: shutil.rmtree(tmp_path / "b"))
    report = walk({"": tmp_path}, intake, follow_links=False)

    assert set(report.files[""]) == {"a/1.mp4", "c/3.mp4"}
    assert not report.covers(Place("", "b/2.mp4"))
    assert reasons(report) == {"b": "cannot be read: No such file or directory"}


def test_a_file_that_goes_while_its_folder_is_read_is_gone(tmp_path: Path) -> None:
    put(tmp_path, "1.mp4", "2.mp4")

    intake = meddling("1.mp4", (tmp_path / "1.mp4").unlink)
    report = walk({"": tmp_path}, intake, follow_links=False)

    assert set(report.files[""]) == {"2.mp4"}
    assert report.unwanted == ()
    assert report.covers(Place("", "1.mp4"))


@pytest.mark.parametrize("follow_links", [False, True])
def test_a_folder_exchanged_for_a_link_while_it_is_read_leads_nowhere(
    tmp_path: Path, *, follow_links: bool
) -> None:
    put(tmp_path, "lib/b/1.mp4", "far/2.mp4")

    def exchange() -> None:
        shutil.rmtree(tmp_path / "lib/b")
        (tmp_path / "lib/b").symlink_to("../far")

    report = walk({"": tmp_path / "lib"}, meddling("b", exchange), follow_links=follow_links)

    assert not report.files[""]
    assert report.unread == {Place("", "b")}


@pytest.mark.parametrize(
    ("pattern", "left"),
    [("a/*.mp4", {"b/1.mp4", "a/c.mkv/2.mp4"}), ("a/*/", {"a/1.mp4", "b/1.mp4"})],
)
def test_patterns_with_a_slash_hold_in_a_walk(tmp_path: Path, pattern: str, left: set[str]) -> None:
    put(tmp_path, "a/1.mp4", "b/1.mp4", "a/c.mkv/2.mp4")

    assert set(walked(tmp_path, intake=compile_filter([pattern])).files[""]) == left


def test_a_root_that_is_exchanged_while_it_is_read_loses_nothing(tmp_path: Path) -> None:
    put(tmp_path, "lib/a/1.mp4")

    def exchange() -> None:
        (tmp_path / "lib").rename(tmp_path / "old")
        (tmp_path / "lib").mkdir()

    report = walk({"": tmp_path / "lib"}, meddling("a", exchange), follow_links=False)

    assert report.roots[""].trouble == "went away while it was read"
    assert not report.covers(Place("", "a/1.mp4"))


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    put(tmp_path, "a/1.mp4", "b/c/2.mp4")
    (tmp_path / "link").symlink_to("a")
    before = len(list(Path("/proc/self/fd").iterdir()))

    for follow_links in (False, True):
        walked(tmp_path, follow_links=follow_links)

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_one_file_is_looked_at_now(tmp_path: Path) -> None:
    put(tmp_path, "a/b.mp4", content=b"123")
    (tmp_path / "a/link.mp4").symlink_to("b.mp4")
    mtime_ns = (tmp_path / "a/b.mp4").stat().st_mtime_ns
    film, link = Place("", "a/b.mp4"), Place("", "a/link.mp4")

    assert stat_one(tmp_path, film) == FileStat(film, 3, mtime_ns)
    assert stat_one(tmp_path, link) is None
    assert stat_one(tmp_path, link, follow_links=True) == FileStat(link, 3, mtime_ns)
    assert stat_one(tmp_path, Place("", "a")) is None
    assert stat_one(tmp_path, Place("", "a/gone.mp4")) is None
