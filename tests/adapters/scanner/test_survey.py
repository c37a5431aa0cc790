"""What is told of a library in which there is no video."""

from pathlib import Path

import pytest

from generator.adapters.scanner import survey_folder, walk
from generator.adapters.settings import Settings
from generator.cli.options import tell_of_no_video
from generator.core.build_receipt import Receipt
from generator.core.library.file_filter import compile_filter

NAMES = ("a.jpg", "b.JPG", "notes", ".env", "x/.h.mp4", "@eaDir/f.mp4", "f.temp.mp4", "raw/r.mkv")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    root = tmp_path / ".local" / "library"
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "link.mp4").symlink_to("raw/r.mkv")
    (root / "folder").symlink_to(root / "x")
    return root


def test_every_file_is_counted_once_by_why_it_is_no_video(library: Path) -> None:
    intake = compile_filter(["raw"])

    counted = survey_folder(library, intake, follow_links=False)

    assert not walk({"": library}, intake, follow_links=False).files[""]
    assert counted.others == {".jpg": 2, "without an extension": 2}
    assert (counted.passed_over, counted.ignored, counted.links) == (3, 1, 2)
    assert counted.files == len(NAMES) + 2


def test_the_note_names_the_folder_and_what_is_in_it(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(library=(library,), ignore=("raw",))
    (tmp_path / "none").mkdir()

    tell_of_no_video(settings, Receipt())
    tell_of_no_video(Settings(library=(tmp_path / "none",)), Receipt())
    note = capsys.readouterr().err

    assert f"in {library}: 10 files: 2 .jpg; 2 without an extension; 1 ignored by" in note
    assert "3 hidden, unfinished" in note
    assert f"in {tmp_path / 'none'}: there are no files" in note
    assert "extensions are .mp4, .mkv" in note


def test_nothing_is_said_where_there_is_a_video(capsys: pytest.CaptureFixture[str]) -> None:
    tell_of_no_video(Settings(), Receipt(walked=1))

    assert capsys.readouterr().err == ""
