"""Settings and templates behind links: their changes are noticed as those of plain files are."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from paths import TEMPLATES
from running_loop import Running, running, watch_page

LONG_S = 60


def dotfiles(folder: Path) -> None:
    (folder / "dotfiles").mkdir()
    (folder / "dotfiles" / "films.toml").write_text("title = 'a'\n")
    (folder / "reelshelf.toml").symlink_to("dotfiles/films.toml")


def write_target(folder: Path) -> None:
    (folder / "dotfiles" / "films.toml").write_text("title = 'other'\n")


def replace_target(folder: Path) -> None:
    new = folder / "dotfiles" / "new"
    new.write_text("title = 'b'\n")
    new.replace(folder / "dotfiles" / "films.toml")


def volume(folder: Path) -> None:
    """Lay a volume of Kubernetes: the file leads to ..data, and that to a folder of its own."""
    for name in ("..1", "..2"):
        (folder / name).mkdir()
        (folder / name / "reelshelf.toml").write_text(f"title = '{name}'\n")
    (folder / "..data").symlink_to("..1")
    (folder / "reelshelf.toml").symlink_to("..data/reelshelf.toml")


def swap(folder: Path) -> None:
    (folder / "..data_tmp").symlink_to("..2")
    (folder / "..data_tmp").replace(folder / "..data")
    shutil.rmtree(folder / "..1")


@pytest.mark.parametrize(
    ("lay", "change"), [(dotfiles, write_target), (dotfiles, replace_target), (volume, swap)]
)
def test_settings_behind_links_are_read_anew(
    tmp_path: Path, lay: Callable[[Path], None], change: Callable[[Path], None]
) -> None:
    lay(tmp_path)
    with running(tmp_path) as builder:
        change(tmp_path)

        assert builder.receipts.get(timeout=LONG_S) is None  # it ended
        assert builder.watch is not None
        assert builder.watch.outdated


def shows(builder: Running, text: str) -> bool:
    builder.next()
    return text in builder.page(watch_page(builder, 1))


@pytest.mark.parametrize("is_folder", [True, False])
def test_templates_behind_links_are_read_anew(tmp_path: Path, *, is_folder: bool) -> None:
    page = (TEMPLATES / "watch.html").read_text(encoding="utf-8")
    elsewhere, own = tmp_path / "elsewhere", tmp_path / "own"
    for name in ("one", "two"):
        (elsewhere / name).mkdir(parents=True)
    (elsewhere / "one" / "watch.html").write_text(page, encoding="utf-8")
    other = page.replace('aria-label="In this folder"', 'aria-label="second"')
    (elsewhere / "two" / "watch.html").write_text(other, encoding="utf-8")
    if is_folder:
        own.symlink_to("elsewhere/one")
    else:
        own.mkdir()
        (own / "watch.html").symlink_to("../elsewhere/one/watch.html")
        (own / ".#watch.html").symlink_to("somebody@somewhere.123")  # as Emacs does

    with running(tmp_path, templates=own) as builder:
        if is_folder:
            (tmp_path / "new").symlink_to("elsewhere/two")
            (tmp_path / "new").replace(own)
        else:
            (elsewhere / "two" / "watch.html").replace(elsewhere / "one" / "watch.html")

        assert shows(builder, 'aria-label="second"')
