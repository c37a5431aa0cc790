"""What tests get as a new database is what the migrations make of one."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlite_utils
from fresh_schemas import migrate
from sqlite_utils.migrations import Migrations

from generator.adapters.catalogue import Catalogue
from generator.adapters.catalogue.schema import migrations as catalogue_migrations
from generator.adapters.ledger.schema import migrations as ledger_migrations

VARYING = re.compile(r"'(?:[0-9-]{10} [0-9:.]{15}\+00:00|[0-9a-f]{32})'")  # times, the identity


def content(database: sqlite_utils.Database) -> list[str]:
    return [VARYING.sub("…", line) for line in database.conn.iterdump()]


@pytest.mark.parametrize("migrations", [catalogue_migrations, ledger_migrations])
def test_a_copied_schema_is_the_migrated_one(migrations: Migrations) -> None:
    with (
        closing(sqlite_utils.Database(memory=True)) as copied,
        closing(sqlite_utils.Database(memory=True)) as migrated,
    ):
        migrations.apply(copied)
        migrate(migrations, migrated)

        assert content(copied) == content(migrated)
        assert not migrations.pending(copied)


def test_a_database_of_an_earlier_release_is_migrated_in_tests_too() -> None:
    with (
        closing(sqlite_utils.Database(memory=True)) as whole,
        closing(sqlite3.connect(":memory:", isolation_level=None)) as connection,
    ):
        upgraded = sqlite_utils.Database(connection)
        catalogue_migrations.apply(upgraded, stop_before="scan_clock")
        assert catalogue_migrations.pending(upgraded)[0].name == "scan_clock"
        catalogue_migrations.apply(upgraded)

        migrate(catalogue_migrations, whole)
        assert upgraded.schema == whole.schema


def test_every_catalogue_has_an_identity_of_its_own(tmp_path: Path) -> None:
    identities = set()
    for name in "ab":
        with Catalogue(tmp_path / name / "catalogue.db") as catalogue:
            identities.add(catalogue.identity())

    assert len(identities) == 2
