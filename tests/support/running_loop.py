"""A build loop that runs in a thread."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paths import TEMPLATES

from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.build.engine import Engine
from generator.core.build_receipt import Receipt
from generator.core.model import Event, EventKind, VideoId
from generator.scan.probe import DryRunWorkers
from generator.watch.build_loop import BuildLoop, Failure

LONG_S = 60  # nothing takes so long; a test that waits in vain ends


class Running:
    """A builder that watches in a thread of its own, and a catalogue as another process has it."""

    def __init__(self, folder: Path, **more: object) -> None:
        self.folder = folder
        usual = {
            "scan_every_s": 3600, "missing_grace_s": 10**9, "max_loss_share": 1, "compress": "off",
        }  # fmt: skip
        self.settings = trial.settings(folder, **{**usual, **more})
        self.receipts: queue.Queue[Receipt | None] = queue.Queue()
        self.failures: queue.Queue[Failure] = queue.Queue()
        self.catalogue = Catalogue(self.settings.state / "catalogue.db")
        self.watch: BuildLoop | None = None
        self.thread = threading.Thread(target=self._run)
        self.count = 0

    def _run(self) -> None:
        with Engine(self.settings, TEMPLATES) as engine:
            self.watch = BuildLoop(engine, self.settings, DryRunWorkers())
            self.watch.accept_loss = self.settings.max_loss_share == 1
            self.watch.config = self.folder / "reelshelf.toml"
            self.watch.on_failure = self.failures.put
            for receipt in self.watch.receipts():
                self.receipts.put(receipt)
            self.receipts.put(None)

    def next(self) -> Receipt:
        receipt = self.receipts.get(timeout=LONG_S)
        assert receipt is not None
        return receipt

    def tell(self, kind: EventKind, video: int | None = None, **value: object) -> None:
        self.count += 1
        subject = VideoId(video) if video else None
        event = Event(f"t{self.count}", kind, trial.NOW, "test", subject, value)
        self.catalogue.append([event])

    def page(self, path: str) -> str:
        return (self.settings.out / path).read_text(encoding="utf-8")


@contextmanager
def running(folder: Path, videos: int = 5, **more: object) -> Iterator[Running]:
    (folder / "library").mkdir(exist_ok=True)
    builder = Running(folder, **more)
    trial.fill(builder.catalogue, videos)
    builder.thread.start()
    try:
        builder.next()
        yield builder
    finally:
        assert builder.watch is not None
        builder.watch.stop()
        builder.thread.join()
        builder.catalogue.close()


def watch_page(builder: Running, video: int) -> str:
    (path,) = (builder.settings.out / "watch").glob(f"*-{video}.html")
    return f"watch/{path.name}"
