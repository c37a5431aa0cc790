"""A library of real files, what people do to them, and an engine over it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from clips import vary
from paths import TEMPLATES

from generator.adapters.media.worker_pool import MediaWorkers
from generator.adapters.settings import Settings
from generator.build.engine import Engine
from generator.core.build_receipt import Receipt
from generator.core.model import Place, VideoId
from generator.scan.observe import LibraryScan

NAMES = [
    "a.mp4", "b b.mp4", "Ünï/ç.mp4", "x/y/#1?.mp4", "x/'\"&<>.mp4", "x/new\nline.mp4",
    "e\u0301.mp4", "\xe9.mp4", os.fsdecode(b"x/\xff\xfe.mp4"), "x/y/%2e%2e.mp4", "A.mp4",
    "L" * 251 + ".mp4",
]  # fmt: skip


class Library:
    """A library in a folder, its site, and a builder for it."""

    def __init__(self, folder: Path, workers: MediaWorkers, clip: Path) -> None:
        self.folder, self.workers, self.clip = folder, workers, clip.read_bytes()
        self.library, self.now, self.count = folder / "library", 1_790_000_000, 0
        self.library.mkdir()
        self.settings = Settings(
            library=(self.library,),
            out=folder / "out",
            state=folder / "state",
            settle_s=0,
            missing_grace_s=0,
        )

    def put(self, name: str, salt: int | None = None) -> Path:
        self.count += 1
        file = self.library / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(vary(self.clip, self.count if salt is None else salt))
        os.utime(file, (self.now - 1000 + self.count,) * 2)
        return file

    @contextmanager
    def engine(self, *, keep_others: bool = False) -> Iterator[Engine]:
        with Engine(self.settings, TEMPLATES, keep_others=keep_others) as engine:
            yield engine

    def build(self, engine: Engine, *, accept_loss: bool = True, full: bool = False) -> Receipt:
        self.now += 10
        look = LibraryScan(self.settings, self.workers, lambda: float(self.now))
        look.accept_loss = accept_loss
        return engine.refresh(self.now, look, full=full)


def find(engine: Engine, path: str) -> VideoId:
    video = engine.catalogue.find(Place("", path))
    assert video is not None
    return video


def change(library: Library, chance: Random) -> None:
    """Do one thing that people do to their files."""
    files = sorted(path for path in library.library.rglob("*") if path.is_file())
    deed = chance.choice(
        ["add", "add", "add", "move", "copy", "delete", "replace", "touch", "swap"]
    )
    name = chance.choice(NAMES)
    if deed == "add" or not files:
        library.put(name)
        return
    file = chance.choice(files)
    target = (
        library.library / chance.choice(["", "x", "moved/here"]) / f"n{chance.randint(0, 9)}.mp4"
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    if deed == "move":
        file.rename(target)
    elif deed == "copy":
        if target != file:
            shutil.copy2(file, target)
    elif deed == "delete":
        file.unlink()
    elif deed == "replace":
        library.put(str(file.relative_to(library.library)))
    elif deed == "touch":
        os.utime(file, (library.now, library.now))
    else:
        other = chance.choice(files)
        middle = file.with_name("middle.mp4")
        file.rename(middle)
        if other != file:
            other.rename(file)
        middle.rename(other)
