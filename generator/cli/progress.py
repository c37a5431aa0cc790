"""Progress of long work: a bar for a person, a line a minute for a log."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from typing_extensions import override

from generator.cli.terminal import err
from generator.core import formatting

_TELL_S = 60.0


@contextmanager
def progress_bar(*, as_json: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar when a person is looking, else one line a minute to the log."""
    if as_json or not err.is_terminal:
        yield _minutely()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    bars = Progress(*columns, console=err, transient=True)
    tasks: dict[str, Any] = {}

    def show(what: str, done: int, total: int) -> None:
        if what not in tasks:
            bars.start()  # only now: its thread would keep a full build from forking
            tasks[what] = bars.add_task(what, total=total or None)
        bars.update(tasks[what], completed=done)
        if done == total:
            bars.stop()

    try:
        yield show
    finally:
        bars.stop()


class _Rate(ProgressColumn):
    """The rate per second."""

    @override
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "")


def _minutely() -> Callable[[str, int, int], None]:
    """Return what tells of progress in one line a minute: the count, the rate, the time left."""
    begun: dict[str, tuple[float, int]] = {}
    last = time.monotonic()

    def tell(what: str, done: int, total: int) -> None:
        nonlocal last
        now_s = time.monotonic()
        start_s, before = begun.setdefault(what, (now_s, done))
        if now_s - last < _TELL_S:
            return
        last = now_s
        rate = (done - before) / (now_s - start_s) if now_s > start_s else 0.0
        line = f"{what}: {done}" + (f" of {total}" if total else "") + f", {rate:.1f} a second"
        if total and rate:
            line += f", {formatting.duration((total - done) / rate)} left"
        logging.getLogger(__name__).info(line)

    return tell
