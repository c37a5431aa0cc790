"""Migrations: a catalogue of 0.4.0 with every kind of event, and a ledger, keep what is in them."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlite_utils
from sqlite_utils.migrations import Migrations

from generator.adapters.catalogue import Catalogue
from generator.adapters.catalogue.pending_jobs import RenditionScope, ToEnrich
from generator.adapters.catalogue.schema import migrations as catalogue_migrations
from generator.adapters.ledger import Ledger
from generator.adapters.ledger.published import PublishedRecord
from generator.adapters.ledger.schema import migrations as ledger_migrations
from generator.core.model import Event, EventKind, OutPath, Place, VideoId

DUMP = Path(__file__).with_name("catalogue_0_4_0.sql")
RENAMED = {"viewed": "views_by_day", "score": "vote_summary", "all_votes": "vote_totals"}
Rows = list[tuple[object, ...]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "catalogue.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(DUMP.read_text())
    return file


def rows(file: Path, query: str) -> Rows:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(query).fetchall()


def columns(file: Path, table: str) -> list[str]:
    return [str(row[1]) for row in rows(file, f"PRAGMA table_info({table})")]


def migrate(file: Path) -> None:
    with Catalogue(file):
        pass


@pytest.mark.parametrize(
    ("migrations", "names"),
    [
        (
            catalogue_migrations,
            """first_tables other_peoples_votes views_by_day what_sources_say order_of_opinions
            clocks_that_begin_late days_and_numbers rename_columns_and_tables scan_clock
            undo_and_imports viewer_tokens request_ids""",
        ),
        (
            ledger_migrations,
            """first_tables version_2 version_3 refused_objects ownership listings_by_name
            resting_forwards rename_ledger_tables objects_left_behind redirects_to_pages
            files_made_since old_addresses""",
        ),
    ],
)
def test_no_migration_is_renamed(migrations: Migrations, names: str) -> None:
    """Their names stand in every catalogue and ledger: add new ones at the end of these."""
    pending = migrations.pending(sqlite_utils.Database(memory=True))

    assert [migration.name for migration in pending] == names.split()


def test_the_old_catalogue_has_every_kind_of_event(file: Path) -> None:
    later = {
        EventKind.ADDED_DATE_SET,
        EventKind.IMPORT_DEFERRED,
        EventKind.EVENT_UNDONE,
        EventKind.EVENT_REDONE,
    }
    assert {row[0] for row in rows(file, "SELECT kind FROM event")} == set(EventKind) - later


def test_no_event_is_changed(file: Path) -> None:
    query = "SELECT seq, id, kind, video, value, at, source, {} FROM event ORDER BY seq"
    before = rows(file, query.format("told_us"))
    migrate(file)

    assert rows(file, query.format("occurred_at_us")) == before
    assert len(before) > len(EventKind)
    assert any(row[-1] for row in before)


def test_bits_and_magic_values_become_columns(file: Path) -> None:
    before = rows(file, "SELECT id, enriched, rendered, need, companions FROM video ORDER BY id")
    migrate(file)

    assert rows(
        file,
        "SELECT id, storyboard_tried, subtitles_tried, rendition_tried, playability, sidecar_digest"
        " FROM video ORDER BY id",
    ) == [
        (video, bits & 1, bits >> 1, rendered, need, None if digest == "?" else digest)
        for video, bits, rendered, need, digest in before
        if isinstance(bits, int)
    ]
    assert {row[1] for row in before} >= {1, 2, 3}
    assert {row[4] for row in before} >= {"", "?"}


def test_what_else_is_in_the_tables_stays(file: Path) -> None:
    renamed = {"enriched", "rendered", "need", "companions"}
    kept = ", ".join(name for name in columns(file, "video") if name not in {*renamed, "poster"})
    same = ("rating", "views", "favorite", "vote", "visitor_favorite", "tag", "field")
    queries = {
        **{f"SELECT * FROM {name}": f"SELECT * FROM {name}" for name in same},
        "SELECT replace(name, 'thinned', 'compacted'), value FROM fact ORDER BY 1": (
            "SELECT * FROM fact ORDER BY 1"
        ),
        **{f"SELECT * FROM {old}": f"SELECT * FROM {new}" for old, new in RENAMED.items()},
        "SELECT *, 0, null, null FROM token": "SELECT * FROM token",
        f"SELECT {kept} FROM video": f"SELECT {kept} FROM video",
    }
    before = {new: rows(file, old) for old, new in queries.items()}
    posters = rows(file, "SELECT id, poster FROM video WHERE poster IS NOT NULL")
    stages = rows(file, "SELECT path, stage FROM problem")
    migrate(file)

    assert {query: rows(file, query) for query in before} == before
    assert all(before.values())  # each table has something in it
    for video, poster in posters:
        old = json.loads(str(poster))
        ((new,),) = rows(file, f"SELECT poster FROM video WHERE id = {video}")
        assert json.loads(str(new)) == {"color": old.pop("colour"), **old}
    assert posters
    assert ("growing.mp4", "copy") in stages
    assert dict(rows(file, "SELECT path, stage FROM problem")) == {
        **dict(stages), "growing.mp4": "incomplete",
    }  # fmt: skip


def test_a_migrated_catalogue_has_the_tables_of_a_new_one(file: Path, tmp_path: Path) -> None:
    migrate(file)
    new = tmp_path / "new" / "catalogue.db"
    migrate(new)

    query = "SELECT type, name, tbl_name FROM sqlite_master ORDER BY 1, 2"
    assert rows(file, query) == rows(new, query)
    for _, table, _ in rows(
        file, "SELECT schema, name, type FROM pragma_table_list() WHERE name GLOB '[a-z]*'"
    ):
        assert columns(file, str(table)) == columns(new, str(table))


def test_its_background_work_goes_on_where_it_was(file: Path) -> None:
    with Catalogue(file) as catalogue:
        tasks = {task.video: task for task in catalogue.todo.to_enrich(99, boards=True)}
        texts = catalogue.todo.to_enrich(99, boards=False)

        assert tasks == {
            4: ToEnrich(VideoId(4), board=True, texts=False),
            6: ToEnrich(VideoId(6), board=True, texts=False),
            8: ToEnrich(VideoId(8), board=True, texts=False),
            10: ToEnrich(VideoId(10), board=False, texts=True),
        }
        assert texts == [tasks[VideoId(10)]]
        assert catalogue.todo.count_to_enrich(boards=True) == len(tasks)
        assert catalogue.todo.count_to_enrich(boards=False) == 1
        assert catalogue.todo.without_rendition(RenditionScope(("either", "remux")), 9) == [4]


def test_events_fold_into_it_as_into_a_new_one(file: Path) -> None:
    """A late event is put in order among those that came before the migration."""
    late = (1_780_000_500) * 10**6 - 4  # between the two that rated video 3, by the queue
    with Catalogue(file) as catalogue:
        (before,) = catalogue.stats([VideoId(3)])
        event = Event("late", EventKind.RATED, 1, "owner", VideoId(3), {"stars": 2}, late)
        catalogue.append([event])
        (after,) = catalogue.stats([VideoId(3)])
        catalogue.append([Event("new", EventKind.VIEWED, 1, "visitor", VideoId(3))])
        (viewed,) = catalogue.stats([VideoId(3)])

    assert (before.stars, after.stars) == (3, 3)
    assert viewed.views == before.views + 1


def test_videos_with_a_digest_that_is_null_are_read_again(file: Path) -> None:
    with Catalogue(file) as catalogue:
        unread = {known.place for known in catalogue.present() if known.sidecar_digest is None}

    assert unread == {
        Place("", "one.mp4"), Place("", "four.mp4"), Place("", "films/back.mp4"),
        Place("", "films/again.mp4"),
    }  # fmt: skip


def test_a_ledger_keeps_redirects_and_what_was_published(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        database = sqlite_utils.Database(connection)
        ledger_migrations.apply(database, stop_before="rename_ledger_tables")
        for statement in (
            "INSERT INTO forward VALUES ('a.html', '/b.html', 9)",
            "INSERT INTO resting VALUES ('c.html', '/d.html', 8)",
            "INSERT INTO published VALUES ('k', 'a', 'shelf', 'd', '', 1, 'h', NULL, '', '', NULL)",
            "INSERT INTO former VALUES (1, 'k', 'a.html', 'shelf', 'd', 1, 'old', NULL, '1', 'v')",
            "INSERT INTO fact VALUES ('publishing', '1')",
            "INSERT INTO page VALUES ('a.html', 'forward.html', x'00', 1, 1, 'r', NULL)",
            "INSERT INTO fact VALUES ('template/forward.html', 'digest')",
            "INSERT INTO unsent VALUES (7)",
            "INSERT INTO uninvalidated VALUES ('k')",
            "INSERT INTO upload VALUES ('k', 'u')",
        ):
            connection.execute(statement)

    with Ledger(file) as ledger:
        assert ledger.redirects() == {"a.html": "b.html"}
        assert ledger.suspended_to([OutPath("d.html")]) == [("c.html", "d.html", 8)]
        record = PublishedRecord(lambda: ledger.connection)
        (published,) = record.of(["k"]).values()
        assert published.headers_digest == "h"
        assert [version.headers_digest for version in record.previous_versions(1)] == ["old"]
        assert record.pending_pages() == ["a.html"]
        assert record.pending_videos() == [7]
        assert record.pending_invalidations() == ["k"]
        assert record.upload("k") == "u"
        # else pages of the old template would count as pages of the new one
        assert ledger.facts("template/") == {"redirect.html": "digest"}
    assert rows(file, "SELECT template FROM page") == [("redirect.html",)]


@pytest.mark.parametrize("base", ["", "/films", "/a/b", "/tag", "/all", "/watch/folder"])
def test_redirects_of_a_site_below_a_path_lead_to_pages(tmp_path: Path, base: str) -> None:
    file = tmp_path / "ledger.db"
    there = ("all.html", "tag/a.html", "tag/a/name-desc.html", "watch/one-1.html", "random-3.html")
    gone = (
        "folder/x~0a1b2c3d4e.html",
        "folder/x~0a1b2c3d4e/newest-12.html",
        "folders/folders.html",
    )
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        database = sqlite_utils.Database(connection)
        ledger_migrations.apply(database, stop_before="redirects_to_pages")
        connection.execute("INSERT INTO fact VALUES ('version', '0.4.0')")
        page = "INSERT INTO page VALUES (?, 'shelf.html', x'00', 1, 1, 'r', NULL)"
        connection.executemany(page, [(path,) for path in there])
        for table, targets in (("redirect", there), ("suspended_redirect", gone)):
            rows_ = [(f"old/{target}", f"{base}/{target}") for target in targets]
            connection.executemany(f"INSERT INTO {table} VALUES (?, ?, 9)", rows_)

    with Ledger(file) as ledger:
        assert ledger.redirects() == {f"old/{target}": target for target in there}
        assert sorted(ledger.suspended_to([OutPath(target) for target in gone])) == sorted(
            (f"old/{target}", target, 9) for target in gone
        )
        assert ledger.fact("version") == "0"  # every page is rendered again
