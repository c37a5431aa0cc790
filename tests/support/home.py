"""A library and its site, and an engine that watches."""

import queue
import threading
from collections.abc import Callable
from pathlib import Path

from clips import vary
from paths import TEMPLATES

from generator.adapters.catalogue import Catalogue
from generator.adapters.media.worker_pool import MediaWorkers
from generator.adapters.settings import Settings
from generator.build.engine import Engine
from generator.core.build_receipt import Receipt
from generator.core.model import Place
from generator.watch.build_loop import BuildLoop

LONG_S = 60


class Home:
    """A library of two folders and its site; `deeds` are done to it while `settled` waits."""

    def __init__(self, folder: Path, workers: MediaWorkers, clip: bytes) -> None:
        self.folder, self.workers, self.clip = folder, workers, clip
        self.films, self.more = folder / "films", folder / "more"
        self.count = 0
        for root in (self.films, self.more):
            self.put(root / "Ünrelated.mp4")
            self.put(root / "Other" / "unrelated too.mp4")
        self.settings = Settings(
            library=(self.films, self.more), out=folder / "out", state=folder / "state",
            settle_s=0, missing_grace_s=0, max_loss_share=1, scan_every_s=3600, compress="off",
            views_debounce_s=0, storyboards=False,
        )  # fmt: skip

    def put(self, file: Path, content: bytes = b"") -> Path:
        self.count += 1
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content or vary(self.clip, self.count))
        return file

    def place(self, file: Path) -> Place:
        root = self.films if file.is_relative_to(self.films) else self.more
        return Place(root.name, str(file.relative_to(root)))


class Way:
    """How the site follows what is done to the files."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def start(self) -> None:
        raise NotImplementedError

    def follow(self) -> None:
        """Return when the site shows what was done since."""
        raise NotImplementedError

    def end(self) -> None:
        """Let go of the site."""


class WhileWatching(Way):
    """A watch runs in a thread of its own; a mark beside the deed tells when it has seen it."""

    def start(self) -> None:
        self.receipts: queue.Queue[Receipt] = queue.Queue()
        self.ready = threading.Event()
        self.count = 0
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        self.receipts.get(timeout=LONG_S)

    def _run(self) -> None:
        settings = self.home.settings
        with Engine(settings, TEMPLATES) as engine:
            self.watch = BuildLoop(engine, settings, self.home.workers, accept_loss=True)
            for receipt in self.watch.receipts():
                self.receipts.put(receipt)

    def follow(self) -> None:
        """Wait until the watch has looked at all that was done: the mark is done last.

        Hints of one burst are one batch; the mark is a file of its own, that comes and goes.
        """
        self.count += 1
        mark = self.home.put(self.home.films / f"mark {self.count}.mp4")
        self._until(lambda receipt: receipt.found > 0, mark, there=True)
        mark.unlink()
        self._until(lambda receipt: receipt.missing > 0, mark, there=False)

    def _until(self, is_it: Callable[[Receipt], bool], mark: Path, *, there: bool) -> None:
        while True:
            receipt = self.receipts.get(timeout=LONG_S)
            if is_it(receipt):
                with Catalogue(self.home.settings.state / "catalogue.db") as catalogue:
                    files = {one.place for one in catalogue.present()}
                if (self.home.place(mark) in files) is there:
                    return

    def end(self) -> None:
        self.watch.stop()
        self.thread.join()
