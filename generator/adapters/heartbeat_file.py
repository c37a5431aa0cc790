"""What a watching builder leaves in the state: that it is alive, and how full the disk was.

A thread writes both, so that a long refresh is no silence; what the builder's own thread does comes
from the builder. Other processes read it.
"""

import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HEARTBEAT, DISK_SAMPLES = "heartbeat.json", "disk-samples.json"
_BEAT_S = 15.0
_SAMPLE_S, _MAX_SAMPLES = 3600, 14 * 24  # two weeks


@dataclass(frozen=True, slots=True)
class WatchHeartbeat:
    """The last sign of life of a watching builder; instants in seconds since 1970.

    `turned_at`: when its loop last went round; `building_since`: when the current refresh began, 0
    for none; `stopped`: it ended as it was meant to.
    """

    at: int
    pid: int
    turned_at: int
    building_since: int = 0
    stopped: bool = False


class HeartbeatWriter:
    """Writes the heartbeat of a builder until the block ends."""

    def __init__(self, state: Path, clock: Callable[[], float] = time.time) -> None:
        self._state, self._clock = state, clock
        self._turned_s = clock()
        self._building_s = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._write(stopped=False)
        add_disk_sample(self._state, int(self._clock()))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._write(stopped=True)

    def turn(self) -> None:
        """Note that the builder's loop goes round, and that no refresh is running."""
        self._turned_s, self._building_s = self._clock(), 0.0

    def build(self) -> None:
        """Note that a refresh begins."""
        self._building_s = self._clock()

    def _run(self) -> None:
        while not self._ended.wait(_BEAT_S):
            self._write(stopped=False)
            add_disk_sample(self._state, int(self._clock()))

    def _write(self, *, stopped: bool) -> None:
        beat = WatchHeartbeat(
            int(self._clock()), os.getpid(), int(self._turned_s), int(self._building_s), stopped
        )
        with suppress(OSError):  # a full disk is reported as such
            _replace(self._state / HEARTBEAT, json.dumps(asdict(beat)))


def read_heartbeat(state: Path) -> WatchHeartbeat | None:
    """Return the last heartbeat; None if no builder watched with this state."""
    try:
        return WatchHeartbeat(**_read(state / HEARTBEAT))
    except (OSError, ValueError, TypeError):
        return None


def add_disk_sample(state: Path, now: int) -> None:
    """Keep how much of the disk is free, once an hour."""
    samples = read_disk_samples(state)
    if samples and 0 <= now - samples[-1][0] < _SAMPLE_S:
        return
    with suppress(OSError):
        earlier = [sample for sample in samples if sample[0] < now]  # the clock was set back
        kept = [*earlier, (now, shutil.disk_usage(state).free)][-_MAX_SAMPLES:]
        _replace(state / DISK_SAMPLES, json.dumps(kept))


def read_disk_samples(state: Path) -> list[tuple[int, int]]:
    """Return (instant, free bytes) of the last two weeks, ascending; [] if there are none."""
    try:
        return [(int(at), int(free)) for at, free in _read(state / DISK_SAMPLES)]
    except (OSError, ValueError, TypeError):
        return []


def _read(file: Path) -> Any:  # noqa: ANN401 (JSON)
    if not file.is_file():  # a pipe would block
        raise FileNotFoundError(file)
    return json.loads(file.read_text(encoding="utf-8"))


def _replace(file: Path, text: str) -> None:
    scratch = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(file)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
