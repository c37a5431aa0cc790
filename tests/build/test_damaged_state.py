"""A catalogue or a ledger that is damaged anywhere: it is told, and nothing precious is touched."""

import os
import random
import shutil
from itertools import cycle
from pathlib import Path

import pytest
from clips import make_clip
from commanded import Answer, command

from generator.adapters.settings import Settings
from generator.build.engine import Engine
from generator.cli.options import shipped
from generator.core.errors import DamagedError

_PAGE = 4096  # bytes of a page of SQLite's
_BUILD = ("build", "--pages-only", "--no-compress")
_KINDS = ("zeros", "random", "cut")
_COMMANDS = (
    ("status",), ("why", "1"), ("why", "index.html"), ("problems",), ("duplicates",),
    ("token", "list"), ("renditions",), (*_BUILD, "--dry-run"), _BUILD, ("token", "new"),
)  # fmt: skip


class Site:
    """A small site, and its state as it was when that was whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "videos").mkdir()
        for number in range(2):
            make_clip(folder / f"videos/{number}.mp4", color=number)
        (folder / "videos/0.mp4.json").write_text('{"description": "' + "long " * 2000 + '"}')
        (folder / "reelshelf.toml").write_text('library = ["videos"]\nstoryboards = false\n')
        assert command(folder, *_BUILD).code == 0
        for name in ("state", "site_out"):
            shutil.copytree(folder / name, folder / "whole" / name)
        self.pages = self._pages()

    def _pages(self) -> dict[str, bytes]:
        root = self.folder / "site_out"
        files = [f for f in root.rglob("*") if f.is_file() and f.name[0] != "."]
        return {str(f.relative_to(root)): f.read_bytes() for f in files}

    def mend(self, *names: str) -> None:
        for name in names or ("state", "site_out"):
            shutil.rmtree(self.folder / name)
            shutil.copytree(self.folder / "whole" / name, self.folder / name)

    def is_whole(self) -> bool:
        return self._pages() == self.pages


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("damaged"))


def damage(file: Path, page: int, kind: str, numbers: random.Random) -> None:
    with file.open("r+b") as opened:
        if kind == "cut":
            opened.truncate(max(page, 1) * _PAGE)
            return
        opened.seek(page * _PAGE)
        opened.write(bytes(_PAGE) if kind == "zeros" else numbers.randbytes(_PAGE))


def is_told(answer: Answer, file: Path) -> bool:
    """Tell whether a command met the damage, told it, and nothing else went wrong."""
    assert "Traceback" not in answer.text
    assert "unexpected" not in answer.text, answer.text
    if " is damaged: " not in answer.text:
        assert answer.code == 0, answer.text
        return False
    assert str(file) in answer.text
    return True


def test_a_catalogue_damaged_at_any_page_is_told_with_what_restores_it(site: Site) -> None:
    numbers, kinds, commands = random.Random(1), cycle(_KINDS), cycle(_COMMANDS)
    file = site.folder / "state/catalogue.db"
    met = 0
    for page in range((site.folder / "whole/state/catalogue.db").stat().st_size // _PAGE):
        site.mend("state")
        damage(file, page, next(kinds), numbers)
        number = file.stat().st_ino

        answer = command(site.folder, *next(commands))

        if is_told(answer, file):
            assert answer.code == 1
            assert "reelshelf restore BACKUP" in answer.text
            met += 1
        assert file.stat().st_ino == number, "it was begun anew"
    assert met > 10
    site.mend()


def test_a_ledger_damaged_at_any_page_is_is_rebuilt(site: Site) -> None:
    numbers, kinds, commands = random.Random(1), cycle(_KINDS), cycle(_COMMANDS)
    file = site.folder / "state/ledger.db"
    met = 0
    pages = (site.folder / "whole/state/ledger.db").stat().st_size // _PAGE
    for count, page in enumerate([*range(5), *range(5, pages, 7)]):
        site.mend("state")
        damage(file, page, next(kinds), numbers)

        answer = command(site.folder, *next(commands))

        if is_told(answer, file) and answer.code:
            assert answer.code == 1
            assert "`reelshelf build" in answer.text
            met += 1
        if count % 4 == 0:
            assert command(site.folder, *_BUILD, "--full").code == 0
            assert site.is_whole()
    assert met


def test_a_ledger_that_shows_its_damage_within_a_refresh_is_is_rebuilt_there(site: Site) -> None:
    site.mend()
    settings = Settings(
        library=(site.folder / "videos",),
        out=site.folder / "site_out",
        state=site.folder / "state",
        storyboards=False,
    )
    file = site.folder / "state/ledger.db"
    with Engine(settings, shipped("templates")) as engine:
        assert engine.ledger.fact("begun")
        engine.ledger.connection.execute("PRAGMA mmap_size = 0")
        engine.ledger.connection.execute("PRAGMA cache_size = 0")
        with file.open("r+b") as opened:
            opened.seek(2 * _PAGE)
            opened.write(b"\xff" * (file.stat().st_size - 2 * _PAGE))
        receipt = engine.refresh(1_700_000_000)
        again = engine.refresh(1_700_000_001)

    assert receipt.unchanged > 20
    assert again.written == again.unchanged == 0
    assert site.is_whole()


def test_what_a_damaged_catalogue_breaks_in_a_builder_is_told_as_damage(site: Site) -> None:
    site.mend()
    settings = Settings(out=site.folder / "site_out", state=site.folder / "state")
    file = site.folder / "state/catalogue.db"
    size = file.stat().st_size
    with Engine(settings, shipped("templates")) as engine:
        with file.open("r+b") as opened:
            opened.seek(_PAGE)
            opened.write(b"\xff" * (size - _PAGE))
        engine.catalogue.foreign_version()
        with pytest.raises(DamagedError, match=r"catalogue\.db is damaged") as damage:
            engine.refresh(1_700_000_000, full=True)

    assert "reelshelf restore BACKUP" in damage.value.hint
    assert file.stat().st_size == size


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_state_that_cannot_be_written_loses_no_ledger(site: Site) -> None:
    site.mend()
    state = site.folder / "state"
    before = (state / "ledger.db").read_bytes()
    state.chmod(0o555)
    try:
        answer = command(site.folder, *_BUILD)
    finally:
        state.chmod(0o755)

    assert answer.code in {1, 2}
    assert str(state) in answer.text
    assert (state / "ledger.db").read_bytes() == before
