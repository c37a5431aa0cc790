"""Totals of all refreshes, which the builder keeps in the ledger with each receipt."""

import json
from pathlib import Path

from paths import TEMPLATES

from benchmarks import trial
from generator.adapters.heartbeat_file import (
    DISK_SAMPLES,
    HeartbeatWriter,
    add_disk_sample,
    read_disk_samples,
    read_heartbeat,
)
from generator.adapters.ledger import build_figures
from generator.build.engine import Engine
from generator.core.model import Event, EventKind, VideoId

NOW = trial.NOW


def test_totals_count_each_refresh_and_each_event_once(tmp_path: Path) -> None:
    settings = trial.settings(tmp_path)
    with Engine(settings, TEMPLATES) as engine:
        trial.fill(engine.catalogue, 12)
        receipts = [engine.refresh(NOW), engine.refresh(NOW, full=True)]
        value = {"stars": 4}
        engine.catalogue.append([Event("r", EventKind.RATED, NOW, "owner", VideoId(3), value)])
        receipts.append(engine.refresh(NOW))
        kinds = engine.catalogue.kinds_between(0, engine.catalogue.last_event())
    figures = build_figures(settings.state / "ledger.db", 2, sizes=True)

    assert figures.totals["refreshes"] == 3
    assert figures.totals["written"] == sum(receipt.written for receipt in receipts)
    assert figures.totals["events"] == kinds
    assert figures.totals["phases"]["total"][0] == 3
    assert [receipt["number"] for receipt in figures.receipts] == [3, 2]
    assert figures.pages > 12
    assert figures.fragments == 24


def test_a_ledger_that_is_not_there_has_no_figures_and_is_not_made(tmp_path: Path) -> None:
    assert build_figures(tmp_path / "ledger.db").receipts == ()
    assert list(tmp_path.iterdir()) == []


def test_a_heartbeat_says_whether_the_loop_goes_round_and_that_it_ended(tmp_path: Path) -> None:
    now = [1000.0]
    with HeartbeatWriter(tmp_path, lambda: now[0]) as heart:
        begun = read_heartbeat(tmp_path)
        now[0] = 1500.0
        heart.build()
    ended = read_heartbeat(tmp_path)

    assert begun is not None
    assert (begun.at, begun.turned_at, begun.stopped) == (1000, 1000, False)
    assert ended is not None
    assert (ended.at, ended.building_since, ended.stopped) == (1500, 1500, True)


def test_how_full_the_disk_is_is_kept_once_an_hour_for_two_weeks(tmp_path: Path) -> None:
    for minute in range(0, 20 * 24 * 60, 20):
        add_disk_sample(tmp_path, NOW + minute * 60)

    samples = read_disk_samples(tmp_path)
    assert len(samples) == 14 * 24
    assert {later - earlier for (earlier, _), (later, _) in zip(samples, samples[1:])} == {3600}  # noqa: B905, RUF007
    (tmp_path / DISK_SAMPLES).write_text(json.dumps([["x"]]))
    assert read_disk_samples(tmp_path) == []
