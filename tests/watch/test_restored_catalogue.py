"""A catalogue that is restored while a builder watches: pages and receipts follow at once."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from histories import tree
from paths import TEMPLATES
from running_loop import Running, running, watch_page

from api_lambda.receipt_polling import ReceiptWatch
from generator.adapters.catalogue import restore_backup
from generator.adapters.output import Output
from generator.build.engine import Engine
from generator.core.model import EventKind


def back_up(builder: Running) -> Path:
    backup = builder.folder / "backup.db"
    with (
        closing(sqlite3.connect(builder.settings.state / "catalogue.db")) as source,
        closing(sqlite3.connect(backup)) as target,
    ):
        source.backup(target)
    return backup


def restore(builder: Running, backup: Path) -> None:
    restore_backup(backup, builder.settings.state / "catalogue.db", time.time())


def assert_exact(builder: Running) -> None:
    """Require that the pages are those of a full render; the builder has ended."""
    with Engine(builder.settings, TEMPLATES) as engine:
        engine.render_into(Output(builder.folder / "fresh"))
    assert tree(builder.settings.out) == tree(builder.folder / "fresh")


def test_pages_are_those_of_the_backup_though_nothing_else_happens(tmp_path: Path) -> None:
    with running(tmp_path) as builder:
        page = watch_page(builder, 3)
        before = builder.page(page)
        backup = back_up(builder)
        builder.tell(EventKind.RATED, 3, stars=5)
        builder.next()
        rated = builder.page(page)

        restore(builder, backup)
        builder.next()

        assert rated != before
        assert builder.page(page) == before
    assert_exact(builder)


def test_an_event_with_the_number_of_a_former_one_is_shown(tmp_path: Path) -> None:
    with running(tmp_path, debounce_ms=200.0, max_wait_ms=2000.0) as builder:
        backup = back_up(builder)
        for video in (3, 4):
            builder.tell(EventKind.RATED, video, stars=5)
        builder.next()

        restore(builder, backup)
        builder.tell(EventKind.TAGGED, 5, name="harvest")  # has a number that was shown before
        while "harvest" not in builder.page(watch_page(builder, 5)):
            builder.next()
    assert_exact(builder)


def test_only_a_refresh_of_the_restored_catalogue_has_shown_its_events(tmp_path: Path) -> None:
    with running(tmp_path) as builder:
        backup = back_up(builder)
        for video in (3, 4):
            builder.tell(EventKind.RATED, video, stars=5)
            builder.next()
    receipts = ReceiptWatch(builder.settings.state / "ledger.db", lambda event: ids[event])
    catalogue = builder.settings.state / "catalogue.db"
    restore(builder, backup)
    with closing(sqlite3.connect(catalogue)) as connection:
        (last,) = connection.execute("SELECT max(seq) FROM event").fetchone()
        connection.execute(
            "INSERT INTO event (id, kind, video, value, at, source)"
            " VALUES ('new', 'Rated', 5, '{\"stars\":2}', 1, 'test')"
        )
        connection.execute("INSERT OR REPLACE INTO rating VALUES (5, 2, 1)")
        connection.commit()
        ids = {last + 1: "new", last + 2: ""}

    assert receipts.now(last + 1, may_wait=False) is None
    with Engine(builder.settings, TEMPLATES) as engine:
        receipt = engine.refresh(2_000_000_000)
        number = engine.ledger.refresh_of(last + 1)
    shown = receipts.now(last + 1, may_wait=False)
    assert shown is not None
    assert f'"number": {receipt.number},' in shown
    assert number is not None
    assert number[0] == receipt.number
    assert receipts.now(last + 2, may_wait=False) is None
