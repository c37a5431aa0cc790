"""A first build that is killed while it probes keeps what it probed up to a second before."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from paths import TEMPLATES

from benchmarks import trial
from generator.adapters.settings import Settings
from generator.build.engine import Engine
from generator.core.media.worker_protocol import ProbeAnswer, ProbeRequest
from generator.scan import probe
from generator.scan.observe import LibraryScan
from generator.scan.probe import DryRunWorkers

EACH_S = 0.4


class Killed(BaseException):
    """Ends a build where a kill would."""


class Slow(DryRunWorkers):
    """Workers that take a while for each file, and are killed at one of them."""

    def __init__(self, clock: list[float], last: int) -> None:
        self._clock, self._last = clock, last

    def answer(self, requests: Iterable[ProbeRequest]) -> Iterator[ProbeAnswer]:
        for number, answer in enumerate(super().answer(requests), 1):
            if number > self._last:
                raise Killed
            self._clock[0] += EACH_S
            yield answer


def test_what_was_probed_a_second_before_a_kill_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "videos").mkdir()
    for number in range(12):
        (tmp_path / "videos" / f"{number}.mp4").write_bytes(b"%d" % number * 99)
    settings = Settings(
        library=(tmp_path / "videos",), out=tmp_path / "out", state=tmp_path / "state", settle_s=0
    )
    clock = [0.0]
    monkeypatch.setattr(probe, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    with Engine(settings, TEMPLATES) as engine:
        with pytest.raises(Killed):
            engine.refresh(trial.NOW, LibraryScan(settings, Slow(clock, 11), lambda: trial.NOW))
        kept = len(list(engine.catalogue.shown()))

    assert 11 - 1 / EACH_S - 1 < kept <= 11
