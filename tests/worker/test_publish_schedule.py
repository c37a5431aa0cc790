from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest

from generator.build.engine import Engine
from generator.core.errors import PublishError
from generator.worker import publish_schedule
from generator.worker.publish_schedule import PublishSchedule


@dataclass
class Trial:
    """A publisher, the engine it publishes for, and a clock that goes as the test says."""

    now_s: float = 1000.0
    built: int = 0
    cursor: int = 0
    published_at: list[float] = field(default_factory=list)
    is_away: bool = False

    def publish(self) -> None:
        self.published_at.append(self.now_s)
        if self.is_away:
            raise PublishError("the bucket is away")
        self.cursor = self.built

    def is_behind(self) -> bool:
        return self.cursor < self.built

    def beat(self, every_s: float) -> PublishSchedule:
        return PublishSchedule(cast(Engine, Built(self)), self, every_s)

    def idle(self, schedule: PublishSchedule, seconds: int) -> None:
        """Let time go by, as a builder with nothing else to do does."""
        for _ in range(seconds):
            self.now_s += 1
            if schedule.is_due():
                schedule.publish()


@dataclass
class Built:
    """An engine, as far as a beat looks at one."""

    trial: Trial

    @property
    def cursor(self) -> int:
        return self.trial.built


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> Iterator[Trial]:
    made = Trial()
    monkeypatch.setattr(publish_schedule, "time", SimpleNamespace(monotonic=lambda: made.now_s))
    monkeypatch.setattr("generator.worker.backoff.log", SimpleNamespace(
        warning=lambda *_: None, info=lambda *_: None,
    ))  # fmt: skip
    return made


def test_every_build_is_published_at_once_unless_settings_say_otherwise(trial: Trial) -> None:
    schedule = trial.beat(0)
    for _ in range(3):
        trial.built += 1
        assert schedule.publish() == trial.built


def test_builds_wait_until_it_is_time_and_go_together(trial: Trial) -> None:
    schedule = trial.beat(60)
    trial.built = 1
    assert schedule.publish() == 1
    for _ in range(5):
        trial.built += 1
        trial.now_s += 1
        assert schedule.publish() == 1
    trial.idle(schedule, 54)
    assert trial.published_at == [1000]
    trial.idle(schedule, 600)
    assert trial.published_at == [1000, 1060]
    assert trial.cursor == 6


def test_who_cannot_hold_more_does_not_wait(trial: Trial) -> None:
    schedule = trial.beat(3600)
    schedule.publish()
    trial.built = 1
    assert schedule.publish() == 0
    assert schedule.is_due(at_once=True)
    assert schedule.publish(at_once=True) == 1


def test_a_failure_is_tried_again_less_and_less_often(trial: Trial) -> None:
    schedule, trial.is_away, trial.built = trial.beat(0), True, 1
    schedule.publish()
    trial.idle(schedule, 20)
    assert trial.published_at == [1000, 1001, 1003, 1007, 1015]
    trial.is_away = False
    trial.idle(schedule, 20)
    assert trial.published_at[5:] == [1031]
    assert trial.cursor == 1


def test_what_no_build_tells_of_is_found_within_half_a_minute(trial: Trial) -> None:
    schedule = trial.beat(0)
    schedule.publish()
    trial.built = 1
    trial.idle(schedule, 30)
    assert trial.cursor == 1
