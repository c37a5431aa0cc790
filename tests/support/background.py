"""A build loop with background work."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from paths import TEMPLATES
from real_library import Library

from generator.adapters.media.worker_pool import MediaWorkers
from generator.build.engine import Engine
from generator.core.build_receipt import Receipt
from generator.watch.background_jobs import Backlog
from generator.watch.build_loop import BuildLoop

LONG_S = 60


@contextmanager
def watching(library: Library) -> Iterator["queue.Queue[Receipt]"]:
    receipts: queue.Queue[Receipt] = queue.Queue()
    ready: queue.Queue[BuildLoop] = queue.Queue()

    def run() -> None:
        with Engine(library.settings, TEMPLATES) as engine, MediaWorkers(jobs=1) as workers:
            watch = BuildLoop(engine, library.settings, workers)
            with Backlog(library.settings, watch.wake) as watch.background:
                ready.put(watch)
                for receipt in watch.receipts():
                    receipts.put(receipt)

    thread = threading.Thread(target=run)
    thread.start()
    watch = ready.get(timeout=LONG_S)
    try:
        yield receipts
    finally:
        watch.stop()
        thread.join()
