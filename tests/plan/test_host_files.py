"""`_headers` and `_redirects` are pages as all others are: exact, followed, and published."""

import random
from pathlib import Path

import pytest
from effort import examples
from histories import DAY_S, History, full_render, pass_time, tree
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import TEMPLATES

from benchmarks import trial
from generator.build.engine import REDIRECT_S, Engine
from generator.core.delivery.host_files import MAX_REDIRECTS, headers_file
from generator.core.model import Event, EventKind, OutPath, VideoId

FILES = {"_headers", "_redirects"}


def lines(folder: Path) -> list[str]:
    return (folder / "out/_redirects").read_text().splitlines()


def drop(engine: Engine, numbers: range) -> None:
    kinds = (EventKind.VIDEO_MISSING, EventKind.VIDEO_DROPPED)
    engine.catalogue.append(
        [
            Event(f"{kind}-{number}", kind, trial.NOW, "test", VideoId(number))
            for number in numbers
            for kind in kinds
        ]
    )


@settings(max_examples=examples(4, thorough=12))
@given(
    videos=st.sampled_from([0, 70, 150, 260]),
    seed=st.integers(0, 10**6),
    bursts=st.lists(st.sampled_from([1, 2, 5, 40]), min_size=2, max_size=6),
)
def test_host_files_equal_a_full_render_after_any_history(
    tmp_path_factory: pytest.TempPathFactory, videos: int, seed: int, bursts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("site")
    chance = random.Random(seed)
    now = trial.NOW
    with Engine(trial.settings(folder, host_files=True), TEMPLATES) as engine:
        trial.fill(engine.catalogue, videos)
        engine.refresh(now)
        history = History(videos, seed)
        for number, burst in enumerate(bursts):
            for _ in range(burst):
                engine.catalogue.append(history.draw())
            now = pass_time(engine, now, chance.choice([1, REDIRECT_S // 2, REDIRECT_S + 1]))

            rendered = full_render(engine, folder / f"full-{number}")

            assert rendered.keys() >= FILES
            assert tree(folder / "out") == rendered
            leads = engine.ledger.redirects()
            assert len(lines(folder)) == min(len(leads), MAX_REDIRECTS)
            assert {line.split(" ")[0][1:] for line in lines(folder)} <= leads.keys()


def test_the_setting_is_followed_when_it_is_switched_on_and_off(tmp_path: Path) -> None:
    with Engine(trial.settings(tmp_path), TEMPLATES) as engine:
        trial.fill(engine.catalogue, 70)
        engine.refresh(trial.NOW)
        before = tree(tmp_path / "out")
    assert not FILES & before.keys()

    for _ in range(2):
        with Engine(trial.settings(tmp_path, host_files=True), TEMPLATES) as engine:
            assert engine.refresh(trial.NOW).written == 2
            assert engine.refresh(trial.NOW).written == 0
            assert engine.ledger.page("_headers") is not None
            assert tree(tmp_path / "out") == full_render(engine, tmp_path / "full")
            assert tree(tmp_path / "out").keys() == before.keys() | FILES
        with Engine(trial.settings(tmp_path), TEMPLATES) as engine:
            assert engine.refresh(trial.NOW).removed == 2
            assert engine.ledger.page("_redirects") is None
            assert tree(tmp_path / "out") == before


def test_a_full_build_sweeps_neither_away_and_mends_both(tmp_path: Path) -> None:
    with Engine(trial.settings(tmp_path, host_files=True), TEMPLATES) as engine:
        trial.fill(engine.catalogue, 70)
        engine.refresh(trial.NOW)
        before = tree(tmp_path / "out")
        (tmp_path / "out/_headers").write_text("/*\n  X: mine\n")
        (tmp_path / "out/_redirects").unlink()

        engine.refresh(trial.NOW, full=True)

        assert tree(tmp_path / "out") == before
        assert before["_headers"] == headers_file("")


def test_pages_lead_on_by_the_host_as_long_as_they_do_by_themselves(tmp_path: Path) -> None:
    with Engine(trial.settings(tmp_path, host_files=True), TEMPLATES) as engine:
        trial.fill(engine.catalogue, 260)
        engine.refresh(trial.NOW)
        assert lines(tmp_path) == []
        drop(engine, range(20, 240))
        engine.refresh(trial.NOW)
        first = lines(tmp_path)
        assert first
        assert all(line.split(" ")[0] != line.split(" ")[1] for line in first)

        rated = Event("r", EventKind.RATED, trial.NOW, "test", VideoId(3), {"stars": 5})
        engine.catalogue.append([rated])
        engine.refresh(trial.NOW + 5)
        refreshed = engine.ledger.page("_redirects")
        assert lines(tmp_path) == first
        assert refreshed is not None
        assert refreshed.refresh < engine.ledger.next_refresh() - 1  # it was not even looked at

        drop(engine, range(1, 15))
        engine.refresh(trial.NOW + 10)
        newer = lines(tmp_path)
        fresh = [line for line in newer if line not in first]
        assert fresh
        assert newer[: len(fresh)] == fresh

        pass_time(engine, trial.NOW + 10, REDIRECT_S + DAY_S)
        assert lines(tmp_path) == []
        assert engine.ledger.redirects() == {}
        assert tree(tmp_path / "out") == full_render(engine, tmp_path / "full")


def test_what_is_a_page_again_does_not_lead_on_any_more(tmp_path: Path) -> None:
    with Engine(trial.settings(tmp_path, host_files=True), TEMPLATES) as engine:
        trial.fill(engine.catalogue, 1200)
        engine.refresh(trial.NOW)
        numbers = range(100, 1200)
        drop(engine, numbers)
        engine.refresh(trial.NOW)
        led = engine.ledger.redirects().keys()
        history = History(0, 1)
        back = [
            history.event(EventKind.VIDEO_RETURNED, number, **history.file(number, "back", "back"))
            for number in numbers
        ]
        engine.catalogue.append(back)

        engine.refresh(trial.NOW + 1)

        pages = {line.split(" ")[0][1:] for line in lines(tmp_path)}
        assert led - engine.ledger.redirects().keys()
        assert pages == engine.ledger.redirects().keys()
        assert tree(tmp_path / "out") == full_render(engine, tmp_path / "full")


def test_a_site_below_a_folder_tells_whole_paths(tmp_path: Path) -> None:
    below = trial.settings(tmp_path, host_files=True, site_url="https://example.org/films")
    with Engine(below, TEMPLATES) as engine:
        trial.fill(engine.catalogue, 260)
        engine.refresh(trial.NOW)
        drop(engine, range(20, 240))
        engine.refresh(trial.NOW)
        for line in lines(tmp_path):
            source, target, code = line.split(" ")
            assert source.startswith("/films/")
            assert engine.output.read(OutPath(target.removeprefix("/films/"))) is not None
            assert code == "302"
    assert (tmp_path / "out/_headers").read_bytes().startswith(b"/films/*\n")
