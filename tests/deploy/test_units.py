"""The systemd units that come with the package."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from paths import ROOT

UNITS = sorted((ROOT / "deploy").glob("reelshelf-*.*"))


@pytest.mark.system("systemd-analyze")
def test_systemd_accepts_the_units(tmp_path: Path, program: Callable[[str], str]) -> None:
    analyze = program("systemd-analyze")
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8")
        text = text.replace("/opt/reelshelf/bin/reelshelf", shutil.which("true") or "/bin/true")
        (tmp_path / unit.name).write_text(text, encoding="utf-8")

    done = subprocess.run(
        [analyze, "verify", "--man=no", *[str(tmp_path / unit.name) for unit in UNITS]],
        capture_output=True,
        text=True,
        check=False,
    )

    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line]
    assert ours == []
    assert len(UNITS) == 2


def test_the_timer_makes_up_for_a_week_that_was_missed() -> None:
    timer = (ROOT / "deploy/reelshelf-maintain.timer").read_text(encoding="utf-8")

    assert "\nOnCalendar=weekly\n" in timer
    assert "\nPersistent=true\n" in timer
