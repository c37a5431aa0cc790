"""`maintain`: what it checks, does and leaves alone, while others have the catalogue open."""

import json
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from commanded import command
from paths import TEMPLATES

from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.adapters.catalogue.maintenance import FreeSpace, free_space, vacuum
from generator.build.engine import Engine
from generator.core.model import Event, EventKind, VideoId

MB = 1 << 20


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a built site with old views."""
    settings = trial.settings(tmp_path)
    (tmp_path / "library").mkdir()
    (tmp_path / "reelshelf.toml").write_text(
        'library = ["library"]\nout = "out"\nsite_url = "https://videos.example.org"\n'
    )
    with Engine(settings, TEMPLATES) as engine:
        trial.fill(engine.catalogue, 5)
        engine.catalogue.append(
            Event(f"view {n}", EventKind.VIEWED, trial.START, "visitor", VideoId(n % 5 + 1))
            for n in range(50)
        )
        engine.refresh(trial.NOW)
    with (
        Catalogue(settings.state / "catalogue.db") as catalogue,
        closing(sqlite3.connect(settings.state / "catalogue.db")) as connection,
    ):
        connection.execute("UPDATE event SET at = ?", (trial.START,))
        connection.commit()
        assert catalogue.last_event()
    return tmp_path


def maintained(site: Path, *options: str, code: int = 0) -> dict[str, Any]:
    answer = command(site, "maintain", "--json", *options)
    assert answer.code == code, answer.text
    return json.loads(answer.out)  # type: ignore[no-any-return]


def events_of(site: Path) -> int:
    with Catalogue(site / "state/catalogue.db") as catalogue:
        return catalogue.counts()["events"]


def test_a_dry_run_says_all_and_does_nothing(site: Path) -> None:
    before = events_of(site)

    plan = maintained(site, "--dry-run")

    assert plan["checked"] == {"catalogue": "ok", "ledger": "ok"}
    assert plan["compacted_views"] >= 50
    assert plan["backup"] is None
    assert events_of(site) == before
    assert not (site / "state/backups").exists()


def test_it_backs_up_first_and_then_counts_old_views_by_day(site: Path) -> None:
    before = events_of(site)
    expected = maintained(site, "--dry-run")["compacted_views"]

    done = maintained(site)

    assert done["compacted_views"] == expected
    assert events_of(site) == before - expected
    assert done["optimized"]
    assert done["problems"] == []
    with Catalogue(Path(done["backup"])) as backup:
        assert backup.counts()["events"] == before
    with Catalogue(site / "state/catalogue.db") as catalogue:
        assert catalogue.noted("backup_at")
        assert catalogue.damage_found() is None
    assert maintained(site)["compacted_views"] == 0


def test_views_that_no_page_shows_yet_stay_in_the_log(site: Path) -> None:
    (site / "state/ledger.db").unlink()

    assert maintained(site)["compacted_views"] == 0


def test_views_stay_while_the_pages_are_of_another_history(site: Path) -> None:
    with closing(sqlite3.connect(site / "state/ledger.db")) as ledger:
        ledger.execute("UPDATE fact SET value = 'another' WHERE name = 'cursor_event'")
        ledger.commit()

    assert maintained(site)["compacted_views"] == 0


def test_a_damaged_catalogue_is_told_and_no_backup_is_made_or_deleted(site: Path) -> None:
    backup = maintained(site)["backup"]
    with closing(sqlite3.connect(site / "state/catalogue.db")) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE event SET value = '{' WHERE seq = 3")  # SQLite sees no damage
        connection.commit()

    told = maintained(site, code=1)

    assert "is damaged: not every value is valid JSON" in told["problems"][0]
    assert f"reelshelf restore {backup}" in command(site, "maintain").out
    assert command(site, "backup").code == 1
    assert len(list((site / "state/backups").iterdir())) == 1


def test_a_damaged_ledger_is_told_and_the_rest_is_done(site: Path) -> None:
    (site / "state/ledger.db").write_bytes(b"rubbish" * 999)
    (site / "state/ledger.db-wal").unlink(missing_ok=True)

    answer = command(site, "maintain")

    assert answer.code == 1, answer.text
    assert "build --full" in answer.out
    assert "Traceback" not in answer.text


def test_a_vacuum_is_done_where_it_is_worth_it_and_quick() -> None:
    assert not FreeSpace(40 * MB, 15 * MB).is_worth_it
    assert not FreeSpace(100 * MB, 20 * MB).is_worth_it
    assert FreeSpace(60 * MB, 20 * MB).is_worth_it
    assert FreeSpace(60 * MB, 20 * MB).is_quick
    assert not FreeSpace(1000 * MB, 400 * MB).is_quick


def test_who_writes_during_a_vacuum_waits_and_loses_nothing(site: Path) -> None:
    file = site / "state/catalogue.db"
    with Catalogue(file, durable=False) as catalogue:
        catalogue.note("filler", "x" * 30 * MB)
        catalogue.note("filler", "")
    assert free_space(file).is_worth_it
    slowest, written, stop = [0.0], [0], threading.Event()

    def write() -> None:
        with Catalogue(file, durable=False) as catalogue:
            while not stop.is_set():
                started = time.monotonic()
                event = Event(f"w{written[0]}", EventKind.VIEWED, 1, "visitor", VideoId(1))
                catalogue.append([event])
                written[0] += 1
                slowest[0] = max(slowest[0], time.monotonic() - started)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        done = vacuum(file)
    finally:
        stop.set()
        writer.join()

    assert done.freed_bytes > 25 * MB
    assert file.stat().st_size < 5 * MB
    assert slowest[0] < 10
    with Catalogue(file) as catalogue:
        assert catalogue.event_by_id(f"w{written[0] - 1}") is not None
        assert catalogue.damage_found() is None


def test_maintain_vacuums_and_says_how_long_writers_waited(site: Path) -> None:
    with Catalogue(site / "state/catalogue.db", durable=False) as catalogue:
        catalogue.note("filler", "x" * 30 * MB)
        catalogue.note("filler", "")

    done = maintained(site)["vacuum"]

    assert done["freed_bytes"] > 25 * MB
    assert 0 < done["seconds"] < 10


def test_copies_that_restores_kept_are_named_and_stay(site: Path) -> None:
    backup = maintained(site)["backup"]
    assert command(site, "restore", backup).code == 0

    (copy,) = maintained(site)["kept_copies"]

    assert Path(copy["file"]).is_file()
