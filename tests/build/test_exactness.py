"""After any history of events, the site equals a full render of its catalogue, byte for byte."""

import subprocess
import sys
from pathlib import Path

import pytest
from effort import examples
from histories import DAY_S, History, full_render, tree, trial_site
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import TEMPLATES

from benchmarks import trial
from generator.build.engine import Engine
from generator.core.delivery.folder_marks import OutputMark
from generator.core.model import Event, EventKind, VideoId
from generator.watch.compression import compress_all

pytestmark = pytest.mark.timeout(300)


@settings(max_examples=examples(4, thorough=10))
@given(
    videos=st.sampled_from([0, 5, 70, 150, 260]),
    seed=st.integers(0, 10**6),
    bursts=st.lists(st.sampled_from([1, 1, 2, 5, 40]), min_size=2, max_size=8),
)
def test_the_site_equals_a_full_render_after_any_history(
    videos: int, seed: int, bursts: list[int]
) -> None:
    with trial_site(videos) as (engine, folder):
        history, now = History(videos, seed), trial.NOW
        engine.refresh(now)
        for number, burst in enumerate(bursts):
            for _ in range(burst):
                engine.catalogue.append(history.draw())
            now += history.chance.choice([1, DAY_S, 40 * DAY_S])

            engine.refresh(now)

            assert tree(folder / "out") == full_render(engine, folder / f"full{number}")


@settings(max_examples=examples(2, thorough=6))
@given(seed=st.integers(0, 10**6), bursts=st.integers(1, 4))
def test_a_ledger_thrown_away_gives_a_site_of_the_same_catalogue(seed: int, bursts: int) -> None:
    with trial_site(90) as (engine, folder):
        history = History(90, seed)
        engine.refresh(trial.NOW)
        for _ in range(bursts * 10):
            engine.catalogue.append(history.draw())
        engine.refresh(trial.NOW)
        engine.close()
        for file in folder.glob("state/ledger.db*"):
            file.unlink()

        with Engine(trial.settings(folder), TEMPLATES) as anew:
            anew.refresh(trial.NOW)

            assert tree(folder / "out") == full_render(anew, folder / "full")


def test_a_second_refresh_has_nothing_to_do() -> None:
    with trial_site(120) as (engine, _):
        engine.refresh(trial.NOW)

        again = engine.refresh(trial.NOW + 1)

        assert (again.planned, again.written, again.removed) == (0, 0, 0)


def test_a_full_refresh_finds_nothing_to_mend_after_a_plain_one() -> None:
    with trial_site(120) as (engine, _):
        engine.refresh(trial.NOW)

        full = engine.refresh(trial.NOW + 1, full=True)

        assert (full.written, full.removed) == (0, 0)
        assert full.unchanged > 0


def test_a_full_refresh_mends_what_was_changed_and_lost_and_leaves_what_is_not_ours() -> None:
    with trial_site(120) as (engine, folder):
        engine.refresh(trial.NOW)
        site = folder / "out"
        before = tree(site)
        (site / "index.html").write_text("defaced", encoding="utf-8")
        (site / "all.html").unlink()
        (site / "stray.html").write_text("somebody's", encoding="utf-8")
        sign = (engine.output.mark() or OutputMark()).folder[:12]
        (site / "watch" / f".{sign}-1-0.tmp").write_text("half", encoding="utf-8")

        engine.refresh(trial.NOW + 1, full=True)

        assert tree(site) == before | {"stray.html": b"somebody's"}


def test_one_rating_writes_the_same_number_of_pages_in_a_larger_library() -> None:
    def pages(videos: int) -> int:
        with trial_site(videos) as (engine, _):
            engine.refresh(trial.NOW)
            stars = {"stars": 5}
            engine.catalogue.append(
                [Event("r", EventKind.RATED, trial.NOW, "test", VideoId(7), stars)]
            )
            return engine.refresh(trial.NOW + 1).written

    # as many as scopes and orders hold it, whatever else there is; a few ends differ
    assert abs(pages(1200) - pages(2400)) <= 12


def test_a_full_refresh_keeps_the_compressed_copies_of_what_is_unchanged() -> None:
    with trial_site(90) as (engine, folder):
        engine.refresh(trial.NOW)
        compress_all(engine.ledger, engine.output, lambda _: None)
        before = tree(folder / "out")

        engine.refresh(trial.NOW + 1, full=True)

        assert any(path.endswith(".br") for path in before)
        assert tree(folder / "out") == before


def test_a_catalogue_from_a_backup_is_noticed_though_it_has_as_many_events() -> None:
    with trial_site(90) as (engine, folder):
        engine.refresh(trial.NOW)
        backup = (folder / "state/catalogue.db").read_bytes()
        log = (folder / "state/catalogue.db-wal").read_bytes()
        rated = {"stars": 5}
        engine.catalogue.append([Event("a", EventKind.RATED, 1, "test", VideoId(3), rated)])
        engine.refresh(trial.NOW + 1)
        engine.close()
        for file in folder.glob("state/catalogue.db*"):
            file.unlink()
        (folder / "state/catalogue.db").write_bytes(backup)
        (folder / "state/catalogue.db-wal").write_bytes(log)

        with Engine(trial.settings(folder), TEMPLATES) as anew:
            anew.catalogue.append([Event("b", EventKind.RATED, 1, "test", VideoId(5), rated)])
            anew.refresh(trial.NOW + 2)

            assert tree(folder / "out") == full_render(anew, folder / "full")


def test_two_output_folders_take_turns_and_neither_stays_behind() -> None:
    with trial_site(90) as (engine, folder):
        engine.refresh(trial.NOW)
        engine.close()
        for number, out in enumerate(["second", "out", "second"]):
            with Engine(trial.settings(folder, out=folder / out), TEMPLATES) as turn:
                stars = {"stars": number + 1}
                event = Event(f"t{number}", EventKind.RATED, 1, "test", VideoId(2), stars)
                turn.catalogue.append([event])
                turn.refresh(trial.NOW + number + 1)

                assert tree(folder / out) == full_render(turn, folder / f"full{number}")


def test_another_address_of_the_site_is_on_every_page() -> None:
    with trial_site(90) as (engine, folder):
        engine.refresh(trial.NOW)
        engine.close()
        moved = trial.settings(folder, site_url="https://other.example.org/films")

        with Engine(moved, TEMPLATES) as anew:
            anew.refresh(trial.NOW + 1)

            assert tree(folder / "out") == full_render(anew, folder / "full")


def test_a_build_in_two_processes_gives_what_one_gives(tmp_path: Path) -> None:
    """In a process of its own, since a fork is made only where there is a single thread."""
    program = (
        "import sys, threading; from pathlib import Path\n"
        "from benchmarks import trial; from generator.build.engine import Engine\n"
        "from generator.adapters.catalogue import Catalogue\n"
        "from generator.core.model import Event, EventKind\n"
        "folder, alone = Path(sys.argv[1]), sys.argv[2] == 'alone'\n"
        "stop = threading.Event()\n"
        "threading.Thread(target=stop.wait).start() if alone else None\n"
        "with Catalogue(folder / 'state/catalogue.db') as catalogue:\n"
        "    catalogue.note('identity', 'ab' * 16)\n"
        "with Engine(trial.settings(folder), Path(sys.argv[3])) as engine:\n"
        "    trial.fill(engine.catalogue, 1100)\n"
        "    sizes = dict(count=9, columns=3, tile_width_px=160, tile_height_px=90)\n"
        "    said = {'own': {'chapters': [[0.0, 'One'], [2.5, 'Two']]}}\n"
        "    board = {'storyboard': {'digest': 'd', **sizes}}\n"
        "    told = {'details': said, 'read': ['own'], 'sidecar_digest': ''}\n"
        "    for video in range(1, 1100, 3):\n"
        "        made = Event(f'b{video}', EventKind.BOARD_MADE, 1, 't', video, board)\n"
        "        heard = Event(f't{video}', EventKind.VIDEO_DESCRIBED, 1, 't', video, told)\n"
        "        engine.catalogue.append([made, heard])\n"
        "    engine.refresh(trial.NOW)\n"
        "stop.set()"
    )
    for name in ("alone", "both"):
        command = [sys.executable, "-c", program, tmp_path / name, name, TEMPLATES]
        subprocess.run(command, check=True, cwd=TEMPLATES.parent, timeout=120)

    assert tree(tmp_path / "alone/out") == tree(tmp_path / "both/out")
