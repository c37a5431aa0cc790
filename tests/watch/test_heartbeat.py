"""The sign of life of a builder that watches."""

from pathlib import Path

from paths import TEMPLATES

from benchmarks import trial
from generator.adapters.heartbeat_file import WatchHeartbeat, read_heartbeat
from generator.build.engine import Engine
from generator.worker.worker import EventLoop


def beats_of(loop: EventLoop, state: Path) -> list[WatchHeartbeat | None]:
    beats = []
    for _ in loop.receipts():
        beats.append(read_heartbeat(state))
        loop.stop()
    return [*beats, read_heartbeat(state)]


def test_a_builder_leaves_a_sign_of_life_while_it_watches_and_says_when_it_stops(
    tmp_path: Path,
) -> None:
    settings = trial.settings(tmp_path)
    (tmp_path / "library").mkdir()
    with Engine(settings, TEMPLATES) as engine:
        loop = EventLoop(engine, settings, workers=None)  # type: ignore[arg-type]  # it scans nothing
        during, after = beats_of(loop, settings.state)

    assert during is not None
    assert not during.stopped
    assert after is not None
    assert after.stopped
    assert after.building_since >= during.at
