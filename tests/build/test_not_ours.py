"""Nothing that reelshelf did not write is changed, whatever lies where and whatever is run."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from effort import examples
from histories import History, full_render, tree
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import TEMPLATES
from typer.testing import CliRunner

from benchmarks import trial
from generator.adapters.catalogue import LostCatalogueError
from generator.adapters.output import Output
from generator.build.engine import Engine
from generator.cli import app
from generator.core.errors import ReelshelfError, SettingsError
from generator.core.model import Event, EventKind, OutPath, VideoId
from generator.watch.compression import compress_all

VIDEOS = 12
RATED = {"stars": 4}

Snapshot = Mapping[str, tuple[object, ...]]


def snapshot(folder: Path) -> Snapshot:
    """Return every file and link below a folder, with all that must not change of it."""
    entries: dict[str, tuple[object, ...]] = {}
    for path in folder.rglob("*"):
        if path.is_symlink():
            entries[str(path)] = ("link", str(path.readlink()))
        elif path.is_file():
            state = path.stat()
            entries[str(path)] = (path.read_bytes(), oct(state.st_mode), state.st_mtime_ns)
    return entries


def assert_unchanged(before: Snapshot, folder: Path) -> None:
    after = snapshot(folder)
    assert {path: after.get(path, ("gone",)) for path in before} == dict(before)


@contextmanager
def a_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name).resolve()


@contextmanager
def a_site(folder: Path, *, videos: int = VIDEOS, **more: Any) -> Iterator[Engine]:  # noqa: ANN401
    """Lend the builder of a site, with a few videos of which no file is there."""
    keep_others, anew = (bool(more.pop(name, False)) for name in ("keep_others", "new_catalogue"))
    site = trial.settings(folder, **more)
    with Engine(site, TEMPLATES, keep_others=keep_others, new_catalogue=anew) as engine:
        if not engine.catalogue.last_event():
            trial.fill(engine.catalogue, videos)
        yield engine


@pytest.fixture(scope="module")
def our_names() -> list[str]:
    """Return the names of all that a build and its copies make."""
    with a_folder() as folder, a_site(folder, host_files=True) as engine:
        engine.refresh(trial.NOW)
        compress_all(engine.ledger, engine.output, lambda _: None)
        return sorted(tree(folder / "out"))


OTHER_NAMES = [
    ".git/HEAD", ".ssh/id_ed25519", ".well-known/security.txt", ".htaccess", ".tmp-1-0",
    "CNAME", "notes.txt", "assets/logo.svg", "watch/mine.html", "watch/.hidden", "thumb/x.jpg",
    "stray.html", "old/index.html.gz", "play/0/film.mp4", ".reelshelf-notes", "lost+found/file",
    "tag/.git/config", "text/0/1-x.vtt", "data.html", "Index.html", "all",
]  # fmt: skip


def put(path: Path, kind: str, elsewhere: Path) -> None:
    """Put somebody's file at a path: a file, a link to one, a second name of one, or a folder."""
    if path.exists() or path.is_symlink() or any(p.is_file() for p in path.parents):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    target = elsewhere / f"{len(list(elsewhere.iterdir()))}"
    target.write_bytes(b"somebody's " + str(path).encode())
    if kind == "file":
        path.write_bytes(target.read_bytes())
    elif kind == "link":
        path.symlink_to(target)
    elif kind == "lost link":
        path.symlink_to(elsewhere / "nothing")
    elif kind == "hard link":
        path.hardlink_to(target)
    else:
        path.mkdir()
        (path / "inside").write_bytes(b"somebody's")


KINDS = st.sampled_from(["file", "file", "link", "lost link", "hard link", "folder"])
DEEDS = st.sampled_from(["build", "full", "rate", "copies", "lose the ledger", "drop", "move"])


@settings(max_examples=examples(4, thorough=12))
@given(chosen=st.data(), deeds=st.lists(DEEDS, min_size=2, max_size=5))
def test_no_build_changes_a_file_that_is_not_ours(
    our_names: list[str], chosen: st.DataObject, deeds: list[str]
) -> None:
    names = st.sampled_from([*OTHER_NAMES, *our_names])
    plan = chosen.draw(st.lists(st.tuples(names, KINDS), min_size=1, max_size=12))
    with a_folder() as folder:
        site, elsewhere = folder / "out", folder / "elsewhere"
        site.mkdir()
        elsewhere.mkdir()
        for name, kind in plan:
            put(site / name, kind, elsewhere)
        before = {**snapshot(site), **snapshot(elsewhere)}

        for number, deed in enumerate(deeds):
            do(deed, folder, number)

        assert_unchanged({p: s for p, s in before.items() if p.startswith(str(site))}, site)
        assert_unchanged(
            {p: s for p, s in before.items() if p.startswith(str(elsewhere))}, elsewhere
        )


@pytest.mark.timeout(300)
@settings(max_examples=examples(4, thorough=10))
@given(chosen=st.data(), deeds=st.lists(DEEDS, min_size=3, max_size=6))
def test_no_build_changes_a_file_that_came_between_two_builds(
    our_names: list[str], chosen: st.DataObject, deeds: list[str]
) -> None:
    """Above all beside pages that have no compressed copies yet, and where pages are to come."""
    copies = [f"{name}{end}" for name in our_names for end in (".gz", ".br")]
    names = st.sampled_from([*OTHER_NAMES, *our_names, *copies])
    with a_folder() as folder:
        site, elsewhere = folder / "out", folder / "elsewhere"
        elsewhere.mkdir()
        before: dict[str, object] = {}
        for number, deed in enumerate(["build", *deeds]):
            do(deed, folder, number)
            assert_unchanged(before, site)
            ours = set(snapshot(site))
            for name, kind in chosen.draw(st.lists(st.tuples(names, KINDS), max_size=6)):
                put(site / name, kind, elsewhere)
            before |= {path: s for path, s in snapshot(site).items() if path not in ours}


def do(deed: str, folder: Path, number: int) -> None:
    if deed == "lose the ledger":
        for file in (folder / "state").glob("ledger.db*"):
            file.unlink()
        return
    with a_site(folder, keep_others=True, host_files=bool(number % 2)) as engine:
        happenings = {
            "rate": [Event(f"{number}", EventKind.RATED, 1, "test", VideoId(7), RATED)],
            "drop": [
                Event(f"{number}{kind}", kind, trial.NOW, "scan", VideoId(video))
                for video in range(1, 9)
                for kind in (EventKind.VIDEO_MISSING, EventKind.VIDEO_DROPPED)
            ],
            "move": [Event(f"{number}", EventKind.TAGGED, 1, "test", VideoId(3), {"name": "x"})],
        }
        engine.catalogue.append(happenings.get(deed, []))
        engine.refresh(trial.NOW + number, full=deed == "full", verify=True)
        if deed == "copies":
            compress_all(engine.ledger, engine.output, lambda _: None)


def test_a_copy_that_somebody_puts_beside_our_page_stays_when_the_page_changes(
    tmp_path: Path,
) -> None:
    with a_site(tmp_path) as engine:
        engine.refresh(trial.NOW)
        copies = [tmp_path / "out/index.html.gz", tmp_path / "out/all.html.br"]
        for copy in copies:
            copy.write_text("mine", encoding="utf-8")
        compress_all(engine.ledger, engine.output, lambda _: None)
        for number, full in enumerate((False, True)):
            event = Event(f"{number}", EventKind.TAGGED, 1, "test", VideoId(3), {"name": f"{full}"})
            engine.catalogue.append([event])
            receipt = engine.refresh(trial.NOW + 1 + number, full=full)
            assert receipt.written

    assert [copy.read_text(encoding="utf-8") for copy in copies] == ["mine", "mine"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "name", ["out/.reelshelf", "out/.reelshelf-files", "out/all.html", "state/catalogue.id"]
)
def test_a_pipe_in_the_place_of_a_file_stops_no_build(tmp_path: Path, name: str) -> None:
    with a_site(tmp_path) as engine:
        engine.refresh(trial.NOW)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)

    if "/." in name:
        with pytest.raises(SettingsError, match=r"\.reelshelf.* is not a ma"):
            do("full", tmp_path, 1)
    else:
        do("move", tmp_path, 1)
        do("full", tmp_path, 2)
    assert (tmp_path / name).is_fifo() == (name != "out/all.html")


def test_a_folder_with_hidden_files_alone_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "out/.git").mkdir(parents=True)
    (tmp_path / "out/.git/HEAD").write_text("ref: refs/heads/main", encoding="utf-8")

    with pytest.raises(SettingsError, match=r"did not write: \.git") as refusal, a_site(tmp_path):
        pass

    assert "--keep-others" in refusal.value.hint
    assert not (tmp_path / "state").exists()


def test_a_file_in_the_place_of_a_page_stays_and_the_page_is_written_once_it_went(
    tmp_path: Path,
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/robots.txt").write_text("mine", encoding="utf-8")
    with a_site(tmp_path, keep_others=True) as engine:
        receipt = engine.refresh(trial.NOW)
        assert list(receipt.failures) == ["robots.txt"]
        assert "move it away" in receipt.failures[OutPath("robots.txt")]

        (tmp_path / "out/robots.txt").unlink()
        receipt = engine.refresh(trial.NOW + 1, lambda *_, **__: None)

        assert receipt.failures == {}
        assert b"Sitemap" in (tmp_path / "out/robots.txt").read_bytes()


@settings(max_examples=examples(4, thorough=12))
@given(
    seed=st.integers(0, 10**6),
    taken=st.sets(st.integers(0, 3)),
    deeds=st.lists(st.sampled_from(["change", "full", "free"]), min_size=1, max_size=6),
)
def test_the_sitemap_index_names_the_same_parts_whichever_of_them_are_somebodys(
    seed: int, taken: set[int], deeds: list[str]
) -> None:
    with a_folder() as folder:
        (folder / "out/sitemap").mkdir(parents=True)
        for part in taken:
            (folder / f"out/sitemap/{part}.xml").write_text("mine", encoding="utf-8")
        history = History(120, seed)
        with a_site(folder, videos=120, keep_others=True) as engine:
            engine.refresh(trial.NOW)
            for number, deed in enumerate([*deeds, "free"]):
                if deed == "change":
                    for _ in range(5):
                        engine.catalogue.append(history.draw())
                elif deed == "free":
                    for part in taken:
                        (folder / f"out/sitemap/{part}.xml").unlink()
                    taken = set()
                engine.refresh(trial.NOW + number, lambda *_, **__: None, full=deed == "full")

                parts = {video.id // 50 for video in engine.catalogue.shown()}
                index = (folder / "out/sitemap.xml").read_text(encoding="utf-8")
                assert set(map(int, re.findall(r"/sitemap/(\d+)\.xml", index))) == parts
                for part in taken:
                    assert (folder / f"out/sitemap/{part}.xml").read_bytes() == b"mine"
            assert tree(folder / "out") == full_render(engine, folder / "full")


def test_a_copy_of_somebodys_beside_a_page_keeps_servers_from_a_page_that_they_would_not_send(
    tmp_path: Path,
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/index.html.br").write_bytes(b"mine")
    with a_site(tmp_path, keep_others=True) as engine:
        receipt = engine.refresh(trial.NOW)
        compress_all(engine.ledger, engine.output, lambda _: None)

    assert list(receipt.failures) == ["index.html"]
    assert (tmp_path / "out/index.html.br").read_bytes() == b"mine"


def test_a_snapshot_of_hard_links_stays_as_it_is_and_can_be_put_back(tmp_path: Path) -> None:
    with a_site(tmp_path) as engine:
        engine.refresh(trial.NOW)
        shutil.copytree(tmp_path / "out", tmp_path / "snapshot", copy_function=os.link)
        before = snapshot(tmp_path / "snapshot")
        kinds = (EventKind.VIDEO_MISSING, EventKind.VIDEO_DROPPED)
        engine.catalogue.append(
            [Event(kind, kind, trial.NOW, "test", VideoId(1)) for kind in kinds]
        )
        engine.refresh(trial.NOW + 1)
        now = tree(tmp_path / "out")

        assert_unchanged(before, tmp_path / "snapshot")
    shutil.rmtree(tmp_path / "out")
    shutil.move(tmp_path / "snapshot", tmp_path / "out")
    with a_site(tmp_path) as engine:
        engine.refresh(trial.NOW + 2, lambda *_, **__: None)
    assert tree(tmp_path / "out") == now


@pytest.mark.parametrize("folder", ["watch", "data", "video"])
@pytest.mark.parametrize("is_running", [True, False])
def test_nothing_behind_a_link_in_the_place_of_a_folder_of_ours_is_removed(
    tmp_path: Path, folder: str, *, is_running: bool
) -> None:
    away = tmp_path / "away"
    with ExitStack() as stack:
        engine = stack.enter_context(a_site(tmp_path))
        engine.refresh(trial.NOW)
        compress_all(engine.ledger, engine.output, lambda _: None)
        (tmp_path / "out" / folder).mkdir(exist_ok=True)
        (tmp_path / "out" / folder).rename(away)
        (tmp_path / "out" / folder).symlink_to(away)
        (away / "empty").mkdir()
        before = snapshot(away)
        if not is_running:
            stack.pop_all().close()
            engine = stack.enter_context(a_site(tmp_path))
        for number in (1, 2):
            kinds = (EventKind.VIDEO_MISSING, EventKind.VIDEO_DROPPED)
            engine.catalogue.append(
                [
                    Event(f"{kind} {number}", kind, trial.NOW, "test", VideoId(number))
                    for kind in kinds
                ]
            )
            engine.refresh(trial.NOW + number, full=number == 2)
            compress_all(engine.ledger, engine.output, lambda _: None)

        assert_unchanged(before, away)


def test_without_its_ledger_a_build_knows_its_files_by_the_manifest(tmp_path: Path) -> None:
    with a_site(tmp_path) as engine:
        engine.refresh(trial.NOW)
        compress_all(engine.ledger, engine.output, lambda _: None)
    (tmp_path / "out/mine.html").write_text("mine", encoding="utf-8")
    for file in (tmp_path / "state").glob("ledger.db*"):
        file.unlink()
    with a_site(tmp_path) as engine:
        lost = [
            Event(f"{video}{kind}", kind, trial.NOW, "scan", VideoId(video))
            for video in range(1, VIDEOS)
            for kind in (EventKind.VIDEO_MISSING, EventKind.VIDEO_DROPPED)
        ]
        engine.catalogue.append(lost)
        receipt = engine.refresh(trial.NOW + 1)

        assert receipt.failures == {}
        assert len(list((tmp_path / "out/watch").glob("*.html"))) == 1
        assert (tmp_path / "out/mine.html").read_text(encoding="utf-8") == "mine"


def test_what_is_not_ours_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with a_site(tmp_path) as engine:
        engine.refresh(trial.NOW)
        (tmp_path / "out/.git").mkdir()
        (tmp_path / "out/mine.html").write_text("mine", encoding="utf-8")
        engine.refresh(trial.NOW + 1, full=True)
        engine.refresh(trial.NOW + 2, full=True)

    told = [line for line in caplog.messages if "not written by reelshelf" in line]
    assert len(told) == 1
    assert ".git/, mine.html" in told[0]


def test_folders_that_hold_each_other_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / "films").mkdir(parents=True)
    (home / "alias").symlink_to(home / "films")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    refused: list[tuple[str, ...]] = [
        ("-o", str(home)),
        ("-o", str(home.parent)),
        ("-o", "/"),
        ("-o", "films"),
        ("-o", "films/site"),
        ("-o", "alias/site"),
        ("-o", "."),
        ("-o", "state"),
        ("-o", "state/site"),
        ("-o", "site", "state=site/.state"),
        ("-o", "site", "state=films/state"),
        ("-o", "site", f"state={home}"),
        ("-o", "site", "state=site"),
    ]
    before = snapshot(home)
    for *options, last in refused:
        state = last.removeprefix("state=") if "=" in last else "state"
        arguments = ["build", "-l", "films", *options, *([last] if "=" not in last else [])]

        result = CliRunner().invoke(app, arguments, env={"REELSHELF_STATE": state})

        assert isinstance(result.exception, SettingsError), arguments
        assert "must not overlap: library" in result.exception.hint
        assert_unchanged(before, home)
        assert sorted(path.name for path in home.iterdir()) == ["alias", "films"]


COMMANDS = [
    ["build"], ["build", "--full"], ["build", "--dry-run"], ["build", "--keep-others"],
    ["build", "--keep-others", "--full"], ["build", "--new-catalogue"], ["build", "--no-compress"],
    ["init"], ["status"], ["why", "index.html"], ["why", "7"], ["problems"],
    ["problems", "--retry"], ["duplicates"], ["renditions"], ["renditions", "--drop"],
    ["token", "new"], ["token", "list"], ["nginx"], ["restore", "backup.db"],
    ["restore", "state/catalogue.db"], ["queue"], ["publish", "--dry-run"], ["api", "--port", "x"],
]  # fmt: skip
PLACES = [
    "site_out/.git/HEAD", "site_out/index.html", "site_out/.reelshelf", "site_out/.reelshelf-files",
    "site_out/notes.txt", "state/catalogue.db", "state/ledger.db", "state/api-secret",
    "state/renditions/7/piece-1.mp4", "state/renditions/mine.txt", "state/catalogue.id",
    "state/build.lock", "state/notes.txt", "films/.hidden", "films/film.nfo", "films/x.part",
    "backup.db", "films/site_out/index.html", ".reelshelf.toml", "state/catalogue.db-wal",
]  # fmt: skip


@settings(max_examples=examples(12, thorough=40))
@given(
    places=st.lists(st.sampled_from(PLACES), max_size=6, unique=True),
    commands=st.lists(st.sampled_from(COMMANDS), min_size=1, max_size=3),
    form=st.sampled_from(["", 'compress = "off"\n', "host_files = true\n", 'renditions = "all"\n']),
)
def test_no_command_changes_a_file_that_is_not_ours(
    places: list[str], commands: list[list[str]], form: str
) -> None:
    with a_folder() as home, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.chdir(home)
        (home / "films").mkdir()
        config = home / "reelshelf.toml"
        config.write_text(f'library = ["films"]\n{form}', encoding="utf-8")
        for place in places:
            (home / place).parent.mkdir(parents=True, exist_ok=True)
            (home / place).write_bytes(b"somebody's")
        before = dict(snapshot(home))

        for command in commands:
            CliRunner().invoke(app, command)

        assert_unchanged(before, home)


def test_with_keep_others_a_build_lists_first_what_it_will_leave_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films").mkdir()
    (tmp_path / "site/.git").mkdir(parents=True)
    (tmp_path / "site/notes.txt").write_text("mine", encoding="utf-8")

    result = CliRunner().invoke(app, ["build", "-l", "films", "-o", "site", "--keep-others"])

    assert result.exit_code == 0
    assert result.stderr.index("  .git/") < result.stderr.index("  notes.txt")
    assert (tmp_path / "site/index.html").is_file()
    assert (tmp_path / "site/notes.txt").read_text(encoding="utf-8") == "mine"


def test_files_of_a_site_that_are_gone_are_made_anew_by_the_next_look(tmp_path: Path) -> None:
    with a_site(tmp_path) as engine:
        engine.seal(engine.refresh(trial.NOW))
        before = tree(tmp_path / "out")

    for path in (tmp_path / "out").glob("*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with a_site(tmp_path) as engine:
        engine.refresh(trial.NOW + 1, verify=True)
        assert tree(tmp_path / "out") == before

        some = sorted(before)[::9]
        engine.seal(engine.refresh(trial.NOW + 2, verify=True))
        for name in some:
            (tmp_path / "out" / name).unlink()
        engine.refresh(trial.NOW + 3, verify=True)

        assert tree(tmp_path / "out") == before


def test_two_states_that_share_an_output_folder_notice_each_other(tmp_path: Path) -> None:
    with a_site(tmp_path) as engine:
        engine.refresh(trial.NOW)
        before = tree(tmp_path / "out")
    second: dict[str, Any] = {"videos": 5, "state": tmp_path / "second"}
    with pytest.raises(LostCatalogueError, match="names it"), a_site(tmp_path, **second):
        pass
    with a_site(tmp_path, new_catalogue=True, **second) as engine:
        engine.refresh(trial.NOW)
        assert len(list((tmp_path / "out/watch").glob("*.html"))) == 5

    with a_site(tmp_path) as engine:
        engine.refresh(trial.NOW + 1)

        assert tree(tmp_path / "out") == before


def test_an_older_state_notices_pages_that_are_newer_than_it(tmp_path: Path) -> None:
    with a_site(tmp_path) as engine:
        engine.refresh(trial.NOW)
        before = tree(tmp_path / "out")
    shutil.copytree(tmp_path / "state", tmp_path / "backup")
    with a_site(tmp_path) as engine:
        event = Event("r", EventKind.RATED, 1, "test", VideoId(7), RATED)
        engine.catalogue.append([event])
        engine.refresh(trial.NOW + 1)
        assert tree(tmp_path / "out") != before
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "backup").rename(tmp_path / "state")

    with a_site(tmp_path) as engine:
        engine.refresh(trial.NOW + 2)

        assert tree(tmp_path / "out") == before


def test_an_output_folder_of_0_4_0_goes_on(tmp_path: Path) -> None:
    """Its mark is 32 digits, it has no manifest, and its ledger knows the mark."""
    with a_site(tmp_path) as engine:
        engine.refresh(trial.NOW)
        compress_all(engine.ledger, engine.output, lambda _: None)
        before = tree(tmp_path / "out")
        mark = "0123456789abcdef" * 2
        (tmp_path / "out/.reelshelf").write_text(mark, encoding="utf-8")
        (tmp_path / "out/.reelshelf-files").unlink()
        with engine.ledger.transaction():
            engine.ledger.remember("output", mark)
            engine.ledger.remember("stamp", "")
    with a_site(tmp_path) as engine:
        engine.refresh(trial.NOW + 1)

        assert tree(tmp_path / "out") == before
        assert engine.output.manifest() >= {OutPath("index.html"), OutPath("index.html.gz")}


@pytest.mark.parametrize("text", ["mine", "[1, 2]", '{"folder": 7}', "x" * 9000])
def test_a_file_with_the_name_of_our_mark_is_somebodys(tmp_path: Path, text: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.reelshelf").write_text(text, encoding="utf-8")

    with pytest.raises(ReelshelfError, match="not a mark of"), a_site(tmp_path, keep_others=True):
        pass

    assert (tmp_path / "out/.reelshelf").read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", ["ledger.db", "build.lock"])
def test_files_with_our_names_in_a_new_state_folder_are_somebodys(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / name).write_bytes(b"somebody's")

    with pytest.raises(SettingsError, match=r"is (no|not a) l"):
        Engine(trial.settings(tmp_path), TEMPLATES, new_catalogue=True)

    assert (tmp_path / "state" / name).read_bytes() == b"somebody's"


def refuse(deed: Callable[[], None], error: type[Exception]) -> None:
    with pytest.raises(error):
        deed()


def test_an_output_writes_over_nothing_that_it_was_not_told_is_ours(tmp_path: Path) -> None:
    output = Output(tmp_path)
    (tmp_path / "a").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "folder").mkdir()
    (tmp_path / "elsewhere").symlink_to(tmp_path / "folder")

    refuse(lambda: output.write(OutPath("a"), b"ours"), FileExistsError)
    refuse(lambda: output.write(OutPath("link"), b"mine"), FileExistsError)
    refuse(lambda: output.write(OutPath("folder"), b""), FileExistsError)
    refuse(lambda: output.write(OutPath("elsewhere/x"), b""), NotADirectoryError)
    output.write(OutPath("a"), b"mine")
    output.write(OutPath("b"), b"ours")
    output.write(OutPath("b"), b"anew", owned=True)

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a",
        "b",
        "elsewhere",
        "folder",
        "link",
    ]
    assert (tmp_path / "a").read_bytes() == b"mine"
    assert (tmp_path / "b").read_bytes() == b"anew"
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_receipt_tells_pages_that_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films").mkdir()
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_text("mine", encoding="utf-8")

    result = CliRunner().invoke(
        app, ["build", "-l", "films", "-o", "site", "--keep-others", "--json"]
    )

    assert result.exit_code == 1
    assert "index.html" in json.loads(result.stdout.splitlines()[-1])["failures"]
