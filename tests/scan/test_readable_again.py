"""Files that could not be read: the problem goes when they can be, without being asked for."""

import encodings.ascii  # noqa: F401 (other users may not be able to read Python's own files)
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from generator.adapters.catalogue import Catalogue
from generator.adapters.ledger import Ledger
from generator.adapters.output import Output
from generator.adapters.settings import Settings
from generator.core.build_receipt import Receipt
from generator.core.model import Event, EventKind, Place
from generator.render.owned_files import OwnedFiles
from generator.scan.observe import LibraryScan, ScanScope
from generator.scan.probe import DryRunWorkers

NOW = 4_000_000_000
GUESSED = "not tried in a dry run"  # what guesses say of each poster
DENIED = "cannot be read: Permission denied"


@dataclass
class Home:
    """A library that another user than root reads, and what builds of it."""

    library: Path
    settings: Settings
    catalogue: Catalogue
    output: Output
    ledger: Ledger
    now: int = NOW

    @property
    def files(self) -> OwnedFiles:
        return OwnedFiles(self.ledger, self.output)

    def look(self, where: ScanScope | None = None) -> Receipt:
        self.now += 10
        receipt = Receipt(lambda: 0.0, at=self.now)
        with as_nobody():
            LibraryScan(self.settings, DryRunWorkers(), lambda: float(self.now), where)(
                self, receipt, full=False
            )
        return receipt

    @property
    def problems(self) -> dict[str, str]:
        found = {one.place.path: one.reason for one in self.catalogue.problems()}
        return {path: reason for path, reason in found.items() if reason != GUESSED}

    @property
    def shown(self) -> set[str]:
        return {video.place.path for video in self.catalogue.shown()}

    def put(self, name: str) -> Path:
        file = self.library / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
        os.utime(file, (1, 1))
        return file


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


@pytest.fixture
def home() -> Iterator[Home]:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # pytest's own is closed to other users
    for name in ("", "library", "state", "out"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name).chmod(0o777)
    settings = Settings(
        library=(folder / "library",), out=folder / "out", state=folder / "state", settle_s=0
    )
    with Catalogue(Path(":memory:")) as catalogue, Ledger(folder / "state/ledger.db") as ledger:
        yield Home(folder / "library", settings, catalogue, Output(folder / "out"), ledger)
    subprocess.run(["chmod", "-R", "u+rwx", folder], check=True)
    shutil.rmtree(folder)


def test_a_file_is_taken_when_its_rights_allow_it(home: Home) -> None:
    file = home.put("a/film.mp4")
    file.chmod(0)
    home.look()
    before = home.problems

    home.look()
    file.chmod(0o644)
    home.look()

    assert before == {"a/film.mp4": DENIED}
    assert (home.problems, home.shown) == ({}, {"a/film.mp4"})


def test_a_look_into_its_folder_is_enough(home: Home) -> None:
    file = home.put("a/film.mp4")
    file.chmod(0)
    home.look()
    file.chmod(0o644)

    home.look(ScanScope(folders=frozenset({Place("", "b")})))
    elsewhere = home.problems
    home.look(ScanScope(folders=frozenset({Place("", "a")})))

    assert elsewhere
    assert (home.problems, home.shown) == ({}, {"a/film.mp4"})


@pytest.mark.parametrize("rights", [0, 0o444, 0o111])
def test_a_folder_is_read_when_its_rights_allow_it(home: Home, rights: int) -> None:
    home.put("a/b/film.mp4")
    (home.library / "a").chmod(rights)
    home.look()
    before = home.problems

    (home.library / "a").chmod(0o755)
    home.look()

    assert set(before.values()) == {DENIED}
    assert (home.problems, home.shown) == ({}, {"a/b/film.mp4"})


def test_what_stays_as_it_is_brings_no_events(home: Home) -> None:
    home.put("a/film.mp4").chmod(0)
    home.look()
    before = home.catalogue.last_event()

    home.look()
    home.look()

    assert home.catalogue.last_event() == before


def complain(home: Home, name: str, stage: str, reason: str, at: int) -> None:
    status = (home.library / name).stat()
    value = {
        "root": "", "path": name, "size_bytes": status.st_size, "mtime_ns": status.st_mtime_ns,
        "stage": stage, "reason": reason,
    }  # fmt: skip
    home.catalogue.append(
        [Event(f"{name}-{stage}", EventKind.FILE_REFUSED, at, "scan", None, value)]
    )


@pytest.mark.parametrize(
    ("stage", "reason", "is_over"),
    [
        ("scan", DENIED, True),
        ("scan", "cannot be read: Input/output error", True),
        ("scan", "cannot be read: Stale file handle", True),
        ("sidecar", "cannot be opened: Permission denied", True),
        ("sidecar", "is no JSON", False),
        ("probe", "is damaged, or not a video", False),
        ("probe", DENIED, False),  # it could be read, and was refused all the same
    ],
)
def test_a_problem_is_over_only_where_reading_was_what_failed(
    home: Home, stage: str, reason: str, *, is_over: bool
) -> None:
    home.put("film.mp4")
    name = "film.nfo" if stage == "sidecar" else "film.mp4"
    home.put(name)
    complain(home, name, stage, reason, NOW)

    home.look()

    assert (name not in home.problems) is is_over


@pytest.mark.parametrize("stage", ["probe", "poster", "storyboard", "rendition"])
def test_a_change_of_rights_gives_hope_to_what_was_refused_later(home: Home, stage: str) -> None:
    file = home.put("film.mp4")
    complain(home, "film.mp4", stage, "cannot be opened: Permission denied", 1000)
    file.chmod(0o644)

    home.look()

    assert home.problems == {}
