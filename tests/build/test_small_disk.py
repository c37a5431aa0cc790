"""A state on a small disk: its log does not fill it, and a full disk is named."""

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

from generator.adapters.settings import Settings
from generator.build.engine import Engine
from generator.cli.options import shipped

_MANY_RATINGS = """
import random, sys
from pathlib import Path
from generator.adapters.catalogue import Catalogue
from generator.core.model import Event, EventKind, VideoId
catalogue = Catalogue(Path(sys.argv[1]) / "catalogue.db", durable=False)
with catalogue._transaction():
    for number in range(1, 2001):
        catalogue._connection.execute(
            "INSERT INTO video (id, slug, root, path, title, added_at, recorded_at, size_bytes,"
            " mtime_ns, fingerprint, container) VALUES (?, 'a', '', ?, 'a', 0, 0, 0, 0, '', '')",
            (number, f"{number}.mp4"),
        )
for number in range(900):
    video = VideoId(random.randrange(1, 2001))
    catalogue.append([Event(f"{number}", EventKind.RATED, number, "owner", video, {"stars": 3})])
print(max(file.stat().st_size for file in Path(sys.argv[1]).iterdir()))
"""


def test_the_log_of_the_catalogue_does_not_fill_a_small_disk(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rm", "true"], check=False).returncode:
        pytest.skip("no disk can be mounted here")
    (tmp_path / "disk").mkdir()
    mount = f"mount -t tmpfs -o size=6m none {tmp_path}/disk"
    python = f'exec {sys.executable} -c "$0" {tmp_path}/disk'

    done = subprocess.run(
        [unshare, "-rm", "sh", "-c", f"{mount} && {python}", _MANY_RATINGS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 2_000_000


def test_a_disk_that_took_a_file_not_is_named_by_its_folder(tmp_path: Path) -> None:
    settings = Settings(out=tmp_path / "out", state=tmp_path / "state")
    with Engine(settings, shipped("templates")) as engine:
        with pytest.raises(OSError, match="out") as told, engine.storage():
            raise OSError(errno.ENOSPC, "No space left on device")  # as of an open file
        assert told.value.filename == str(settings.out)
