"""A library in a bucket: the same site as of the same folder, for a flat price."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from buckets import Asked, Store, store_before
from clips import make_clip, vary
from cloud import Aws, aws_server
from effort import examples
from forks import completed
from histories import full_render, tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paths import TEMPLATES

from generator.adapters.media.worker_pool import MediaWorkers
from generator.adapters.settings import Settings
from generator.build.engine import Engine
from generator.core.build_receipt import Receipt
from generator.core.errors import GuardError
from generator.core.library.bucket_roots import BucketRoot, places_of
from generator.core.model import Place, VideoId
from generator.core.queue.messages import ObjectNotification
from generator.scan.observe import LibraryScan, ScanScope
from generator.watch.background_jobs import Backlog
from generator.watch.build_loop import BuildLoop

FILMS = "films"
SRT = "1\n00:00:00,000 --> 00:00:01,000\nHello\n"
NOW = 4_000_000_000  # later than any object: what is cut short does not wait


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with aws_server() as server:
        yield server


@pytest.fixture
def store(aws: Aws) -> Iterator[Store]:
    with store_before(aws) as made:
        made.create(FILMS)
        yield made
        aws.reset()


@pytest.fixture(scope="module")
def workers() -> Iterator[MediaWorkers]:
    with MediaWorkers(jobs=2) as made:
        yield made


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4").read_bytes()


class Library:
    """A library in a bucket, its site, and a builder for it."""

    root = BucketRoot(FILMS, "video")

    def __init__(self, folder: Path, store: Store, workers: MediaWorkers, clip: bytes) -> None:
        self.folder, self.store, self.workers, self.clip = folder, store, workers, clip
        self.now, self.count = NOW, 0
        self.settings = Settings(
            library=(self.root,),
            out=folder / "out",
            state=folder / "state",
            s3_endpoint=store.address,
            s3_region="eu-central-1",
            missing_grace_s=0,
        )
        self.look = self._look(None)

    def put(self, path: str, salt: int | None = None) -> bytes:
        self.count += 1
        content = vary(self.clip, self.count if salt is None else salt)
        self.store.put(FILMS, self.root.key(path), content)
        return content

    def move(self, path: str, to: str) -> None:
        self.store.move(FILMS, self.root.key(path), self.root.key(to))

    def remove(self, path: str) -> None:
        self.store.remove(FILMS, self.root.key(path))

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        with Engine(self.settings, TEMPLATES) as engine:
            yield engine

    def _look(self, where: ScanScope | None) -> LibraryScan:
        return LibraryScan(self.settings, self.workers, lambda: float(self.now), where)

    def build(self, engine: Engine, where: ScanScope | None = None) -> Receipt:
        self.now += 10
        self.look = self._look(where)
        return engine.refresh(self.now, self.look)

    def hear(self, engine: Engine, *paths: str, is_gone: bool = False) -> Receipt:
        """Build as a notice of S3's has it."""
        notices = [ObjectNotification(FILMS, self.root.key(path), is_gone) for path in paths]
        folders = places_of(notices, self.settings.buckets)
        return self.build(engine, ScanScope(folders))


@pytest.fixture
def library(tmp_path: Path, store: Store, workers: MediaWorkers, clip: bytes) -> Library:
    return Library(tmp_path, store, workers, clip)


def find(engine: Engine, path: str) -> VideoId:
    video = engine.catalogue.find(Place("", path))
    assert video is not None
    return video


def lists(asked: list[Asked]) -> list[Asked]:
    return [one for one in asked if "list-type=2" in one.query]


def gets(asked: list[Asked]) -> list[Asked]:
    return [one for one in asked if "list-type=2" not in one.query]


def reasons(engine: Engine) -> dict[str, str]:
    return {one.place.path: one.reason for one in engine.catalogue.problems()}


NAMES = ["a.mp4", "Ünï/ç.mp4", "x/y/#1?.mp4", "x/a+b c.mp4", "x/100%.mp4", "x/%2e%2e.mp4"]
NAMES += ["x/'\"&<>.mp4", "e\u0301.mp4", "deep/er/and/deeper/z.mp4"]


def test_a_library_in_a_bucket_gives_the_pages_of_the_same_folder(
    library: Library, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    beside = {"a.srt": SRT.encode(), "x/a+b c.nfo": b"<movie><title>Told</title></movie>"}
    films = {name: vary(library.clip, number) for number, name in enumerate(NAMES)}
    with library.engine() as engine:
        for name, content in (*beside.items(), *films.items()):
            library.store.put(FILMS, library.root.key(name), content)
            assert library.build(engine).refused == 0
        assert len(engine.catalogue.present()) == len(NAMES)
        assert reasons(engine) == {}
    listed = library.store.client.list_objects_v2(Bucket=FILMS)["Contents"]
    times = {one["Key"]: int(one["LastModified"].timestamp()) for one in listed}
    first, library.now = library.settings, NOW
    library.settings = library.settings.model_copy(
        update={"library": (folder,), "out": tmp_path / "out2", "state": tmp_path / "state2"}
    )
    folder.mkdir()
    with library.engine() as engine:
        for name, content in (*beside.items(), *films.items()):
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            os.utime(file, (times[library.root.key(name)],) * 2)
            library.build(engine)
    pages = (tree(tmp_path / "out2"), tree(first.out))
    for feed in ("atom.xml", "rss.xml"):  # ids are those of the catalogue
        assert pages[0].pop(feed) != pages[1].pop(feed)
    assert pages[0] == pages[1]
    assert b"Told" in b"".join(tree(first.out).values())
    assert any(name.startswith("text/") for name in tree(first.out))


def test_a_library_that_moves_into_a_bucket_keeps_every_video(
    library: Library, tmp_path: Path
) -> None:
    folder, in_bucket = tmp_path / "folder", library.settings
    (folder / "x").mkdir(parents=True)
    for path in ("a.mp4", "x/b.mp4"):
        (folder / path).write_bytes(library.put(path))
        os.utime(folder / path, (NOW - 5000,) * 2)
    library.settings = in_bucket.model_copy(update={"library": (folder,)})
    with library.engine() as engine:
        library.build(engine)
        before = {path: find(engine, path) for path in ("a.mp4", "x/b.mp4")}
        prints = {one.video: one.fingerprint for one in engine.catalogue.present()}
    library.settings = in_bucket
    with library.engine() as engine:
        receipt = library.build(engine)
        assert {path: find(engine, path) for path in before} == before
        assert {one.video: one.fingerprint for one in engine.catalogue.present()} == prints
    assert (receipt.found, receipt.missing, receipt.changed) == (0, 0, 0)


def test_a_notice_costs_a_listing_of_its_folder_and_a_few_ranges(library: Library) -> None:
    for number in range(12):
        library.put(f"folder {number}/a.mp4")
    with library.engine() as engine:
        library.build(engine)
        library.store.take()
        library.put("folder 3/new.mp4")
        receipt = library.hear(engine, "folder 3/new.mp4")
        asked = library.store.take()
        assert receipt.found == 1
        assert find(engine, "folder 3/new.mp4")
    (listing,) = lists(asked)
    assert "prefix=video%2Ffolder%203%2F" in listing.query
    assert "delimiter=%2F" in listing.query
    assert {one.key for one in gets(asked)} == {"video/folder 3/new.mp4"}
    assert 1 <= len(gets(asked)) <= 3
    assert all(one.span for one in gets(asked))


def test_an_unchanged_library_costs_one_listing_and_reads_nothing(library: Library) -> None:
    library.put("a.mp4")
    library.put("x/b.mp4")
    with library.engine() as engine:
        library.build(engine)
        library.store.take()
        receipt = library.build(engine)
    asked = library.store.take()
    assert (len(lists(asked)), gets(asked)) == (1, [])
    assert receipt.written == 0


def test_an_object_that_went_is_missing_and_back_when_it_is_back(library: Library) -> None:
    library.put("a.mp4")
    library.put("x/b.mp4", salt=5)
    with library.engine() as engine:
        library.build(engine)
        video = find(engine, "x/b.mp4")
        library.remove("x/b.mp4")
        library.store.take()
        assert library.hear(engine, "x/b.mp4", is_gone=True).missing == 1
        assert len(lists(library.store.take())) == 2  # its folder; and that there is more
        library.put("x/b.mp4", salt=5)
        assert library.hear(engine, "x/b.mp4").returned == 1
        assert find(engine, "x/b.mp4") == video


def test_an_object_that_is_replaced_is_the_same_video(library: Library) -> None:
    library.put("a.mp4")
    with library.engine() as engine:
        library.build(engine)
        video = find(engine, "a.mp4")
        library.put("a.mp4")  # of the same length, within the same second
        assert library.hear(engine, "a.mp4").changed == 1
        assert find(engine, "a.mp4") == video
        assert len(engine.catalogue.present()) == 1


def test_an_object_that_is_moved_is_the_same_video(library: Library) -> None:
    library.put("in/a.mp4")
    library.put("other.mp4")
    with library.engine() as engine:
        library.build(engine)
        video = find(engine, "in/a.mp4")
        library.move("in/a.mp4", "out/b c.mp4")
        receipt = library.hear(engine, "out/b c.mp4")  # the notice of the new name comes first
        assert (receipt.moved, receipt.found) == (1, 0)
        assert find(engine, "out/b c.mp4") == video
        assert library.hear(engine, "in/a.mp4", is_gone=True).missing == 0
        assert find(engine, "out/b c.mp4") == video


def test_a_copy_is_a_video_of_its_own(library: Library) -> None:
    library.put("a.mp4", salt=7)
    with library.engine() as engine:
        library.build(engine)
        library.put("b.mp4", salt=7)
        assert library.hear(engine, "b.mp4").found == 1
        assert len(engine.catalogue.present()) == 2


def test_what_is_beside_a_video_is_read_when_it_comes(library: Library) -> None:
    library.put("x/a.mp4")
    with library.engine() as engine:
        library.build(engine)
        library.store.put(FILMS, "video/x/a.de.srt", SRT.encode())
        library.store.put(FILMS, "video/x/a.toml", b'title = "Ein Titel"')
        library.hear(engine, "x/a.de.srt", "x/a.toml")
        library.store.put(FILMS, "video/x/a.nfo", b"<movie><title>")
        library.hear(engine, "x/a.nfo")
        assert set(reasons(engine)) == {"x/a.nfo"}
    pages = tree(library.settings.out)
    assert any(name.startswith("text/") for name in pages)
    assert b"Ein Titel" in b"".join(pages.values())


# -- the guard


def refused(library: Library, engine: Engine, where: ScanScope | None = None) -> str:
    """Build, which is to be refused; return why, once it is sure that nothing was changed."""
    before, event = tree(library.settings.out), engine.catalogue.last_event()
    with pytest.raises(GuardError) as refusal:
        library.build(engine, where)
    assert engine.catalogue.last_event() == event
    assert tree(library.settings.out) == before
    return str(refusal.value)


def test_a_bucket_that_is_denied_changes_nothing(library: Library) -> None:
    library.put("a.mp4")
    with library.engine() as engine:
        library.build(engine)
        library.store.refuse = lambda *_: (403, "AccessDenied")
        assert "s3://films/video cannot be read (access is denied)" in refused(library, engine)
        where = ScanScope(frozenset({Place("", "x")}))
        assert "access is denied" in refused(library, engine, where)
        library.store.refuse = lambda *_: None
        assert library.build(engine).missing == 0


def test_a_bucket_that_is_not_there_changes_nothing(library: Library) -> None:
    library.put("a.mp4")
    with library.engine() as engine:
        library.build(engine)
        library.remove("a.mp4")
        library.store.client.delete_bucket(Bucket=FILMS)
        assert "there is no such bucket" in refused(library, engine)


def test_a_store_that_is_away_changes_nothing(library: Library) -> None:
    library.put("a.mp4")
    with library.engine() as engine:
        library.build(engine)
        library.settings = library.settings.model_copy(update={"s3_endpoint": "http://127.0.0.1:9"})
        assert "the store cannot be reached" in refused(library, engine)


def test_an_empty_prefix_changes_nothing(library: Library) -> None:
    library.put("a.mp4")
    library.store.put(FILMS, "video/", b"")  # what consoles make to show a folder
    library.store.put(FILMS, "elsewhere/a.mp4", b"")
    with library.engine() as engine:
        library.build(engine)
        library.remove("a.mp4")
        assert "s3://films/video is empty" in refused(library, engine)
        assert "is empty" in refused(library, engine, ScanScope(frozenset({Place("", "")})))


def test_the_last_of_a_folder_that_was_all_there_was_changes_nothing(library: Library) -> None:
    library.put("x/a.mp4")
    with library.engine() as engine:
        library.build(engine)
        library.remove("x/a.mp4")
        assert "is empty" in refused(library, engine, ScanScope(frozenset({Place("", "x")})))


def test_permission_that_is_lost_in_the_middle_of_a_listing_changes_nothing(
    library: Library,
) -> None:
    library.store.page = 10
    for number in range(13):
        library.store.put(FILMS, f"video/{number:04}.txt", b"")
    library.put("0000.mp4")
    library.put("z.mp4")
    with library.engine() as engine:
        library.build(engine)
        assert len(engine.catalogue.present()) == 2
        library.remove("0000.mp4")
        library.store.refuse = lambda _, query, __: (
            (403, "AccessDenied") if "continuation-token" in query else None
        )
        assert "access is denied" in refused(library, engine)


def test_credentials_that_end_between_listing_and_reading_change_nothing(library: Library) -> None:
    library.put("a.mp4")
    with library.engine() as engine:
        library.build(engine)
        library.put("b.mp4")
        library.store.refuse = lambda key, *_: (400, "ExpiredToken") if key else None
        assert "(the store refuses (ExpiredToken))" in refused(library, engine)
        library.store.refuse = lambda *_: None
        assert library.build(engine).found == 1


# -- objects that cannot be had


def test_an_archived_object_is_a_problem_and_asked_for_once(library: Library) -> None:
    library.put("a.mp4")
    library.put("cold.mp4")
    library.store.refuse = lambda key, *_: (
        (403, "InvalidObjectState") if key == "video/cold.mp4" else None
    )
    with library.engine() as engine:
        receipt = library.build(engine)
        assert receipt.found == 1
        told = "cannot be read: is archived, and cannot be read until it is restored"
        assert reasons(engine) == {"cold.mp4": told}
        library.store.take()
        library.build(engine)
        assert gets(library.store.take()) == []


def test_an_object_that_may_not_be_read_is_a_problem(library: Library) -> None:
    library.put("a.mp4")
    library.put("mine.mp4")
    library.store.refuse = lambda key, *_: (
        (403, "AccessDenied") if key == "video/mine.mp4" else None
    )
    with library.engine() as engine:
        assert library.build(engine).found == 1
        assert reasons(engine) == {
            "mine.mp4": "cannot be read: may not be read with these credentials"
        }


def test_an_object_that_goes_while_it_is_looked_at_is_no_problem(library: Library) -> None:
    library.put("a.mp4")
    library.put("b.mp4")
    library.store.before = lambda key, _: library.remove("b.mp4") if key == "video/b.mp4" else None
    with library.engine() as engine:
        receipt = library.build(engine)
        assert (receipt.found, receipt.refused, reasons(engine)) == (1, 0, {})
        assert library.look.put_off == {Place("", "")}


def test_a_store_that_breaks_off_while_posters_are_made_puts_them_off(library: Library) -> None:
    library.put("a.mp4")
    library.put("x/b.mp4")
    library.store.put(FILMS, "video/x/b.srt", SRT.encode())

    def refuse(key: str, query: str, _: str) -> tuple[int, str] | None:
        from_a_worker = "X-Amz-Signature" in query
        return (503, "SlowDown") if from_a_worker and key.endswith("b.mp4") else None

    library.store.refuse = refuse
    with library.engine() as engine:
        receipt = library.build(engine)
        assert (receipt.found, receipt.refused, reasons(engine)) == (1, 0, {})
        assert library.look.put_off == {Place("", "x")}
        library.store.refuse = lambda *_: None
        assert library.build(engine, ScanScope(frozenset(library.look.put_off))).found == 1
        assert library.look.put_off == set()


def test_keys_that_no_path_can_have_are_told_and_lead_nowhere(library: Library) -> None:
    library.put("a.mp4")
    for key in ("a//b.mp4", "../x.mp4", "/abs.mp4", "x/../y.mp4", "x/./z.mp4", "folder/"):
        library.store.put(FILMS, "video/" + key, library.clip)
    library.store.put(FILMS, "video/..//x.srt", b"")
    library.store.put(FILMS, "videos/next.mp4", library.clip)  # begins alike, and is elsewhere
    with library.engine() as engine:
        assert library.build(engine).found == 1
        reasons_by_key = reasons(engine)
        assert set(reasons_by_key) == {
            "a//b.mp4",
            "../x.mp4",
            "/abs.mp4",
            "x/../y.mp4",
            "x/./z.mp4",
        }
        assert all("cannot have an address" in reason for reason in reasons_by_key.values())
        assert library.hear(engine, "a//b.mp4", "../x.mp4", "/abs.mp4", "folder/").refused == 0
        library.store.remove(FILMS, "video/a//b.mp4")
        library.build(engine)
        assert set(reasons(engine)) == set(reasons_by_key) - {"a//b.mp4"}


def test_what_is_no_video_is_a_problem_as_in_a_folder(library: Library) -> None:
    library.put("a.mp4")
    library.store.put(FILMS, "video/empty.mp4", b"")
    library.store.put(FILMS, "video/none.mp4", b"no video at all")
    library.store.put(FILMS, "video/list.mp4", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n")
    with library.engine() as engine:
        assert library.build(engine).found == 1
        assert set(reasons(engine)) == {"empty.mp4", "none.mp4", "list.mp4"}
        assert reasons(engine)["empty.mp4"] == "is empty"


# -- any history


def change(library: Library, chance: Random) -> list[str]:
    """Do one thing that people do to objects; return the paths that notices would tell of."""
    prefix = library.root.front
    listed = library.store.client.list_objects_v2(Bucket=FILMS).get("Contents", [])
    there = [str(one["Key"]).removeprefix(prefix) for one in listed]
    deed = chance.choice(["add", "add", "move", "copy", "remove", "replace", "swap"])
    name = f"{chance.choice(['', 'x/', 'x/ y/', 'Ünï/'])}{chance.randrange(5)} + %.mp4"
    if deed == "add" or not there:
        library.put(name)
        return [name]
    path, other = chance.choice(there), chance.choice(there)
    if deed == "remove":
        library.remove(path)
    elif deed == "replace":
        library.put(path)
    elif path != name and deed == "move":
        library.move(path, name)
    elif path != name and deed == "copy":
        source = {"Bucket": FILMS, "Key": prefix + path}
        library.store.client.copy_object(Bucket=FILMS, Key=prefix + name, CopySource=source)
    elif path != other and deed == "swap":
        library.move(path, "swapped.mp4")
        library.move(other, path)
        library.move("swapped.mp4", other)
    return [path, other, name]


@given(seed=st.integers(0, 1 << 30), steps=st.integers(1, 12))
@settings(
    max_examples=examples(3, thorough=6),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_after_any_history_the_catalogue_has_what_the_bucket_has(
    seed: int, steps: int, store: Store, workers: MediaWorkers, clip: bytes
) -> None:
    chance = Random(seed)
    for one in store.client.list_objects_v2(Bucket=FILMS).get("Contents", []):
        store.remove(FILMS, one["Key"])
    with tempfile.TemporaryDirectory() as name:
        library = Library(Path(name), store, workers, clip)
        library.settings = library.settings.model_copy(update={"max_loss_share": 1.0})
        library.put("always.mp4")
        with library.engine() as engine:
            library.build(engine)
            for _ in range(steps):
                paths = change(library, chance)
                heard = chance.sample(paths, chance.randint(0, len(paths)))  # some are lost
                chance.shuffle(heard)
                library.put("always.mp4", salt=0)  # that the guard has nothing to say
                library.hear(engine, *heard)
            library.build(engine)
            listed = store.client.list_objects_v2(Bucket=FILMS)["Contents"]
            there = {one["Key"].removeprefix("video/") for one in listed}
            assert {one.place.path for one in engine.catalogue.present()} == there
            assert reasons(engine) == {}
            rendered = full_render(engine, Path(name) / "rendered")
        pages = tree(library.settings.out)
        assert {path: pages.get(path) for path in rendered} == rendered


# -- beside folders, and watched


def test_a_folder_and_a_bucket_are_one_library(library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "shows"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(vary(library.clip, 100))
    os.utime(folder / "a.mp4", (NOW - 5000,) * 2)
    library.put("b.mp4", salt=101)
    library.settings = library.settings.model_copy(update={"library": (folder, library.root)})
    with library.engine() as engine:
        assert library.build(engine).found == 2
        video = engine.catalogue.find(Place("shows", "a.mp4"))
        library.store.put(FILMS, "video/a.mp4", (folder / "a.mp4").read_bytes())
        (folder / "a.mp4").unlink()
        (folder / "kept.mp4").write_bytes(vary(library.clip, 103))
        library.store.take()
        assert library.build(engine).moved == 1
        assert engine.catalogue.find(Place("video", "a.mp4")) == video
        look = library.build(engine, ScanScope(frozenset({Place("shows", "")})))
        assert (look.missing, look.moved) == (0, 0)
        assert engine.catalogue.find(Place("video", "b.mp4"))


def test_what_takes_longer_is_done_for_folders_alone(library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "shows"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(vary(library.clip, 100))
    os.utime(folder / "a.mp4", (NOW - 5000,) * 2)
    for number in range(3):
        library.put(f"{number}.mp4")
    with library.engine() as engine:
        library.build(engine)
        with Backlog(library.settings) as backlog:
            assert backlog.left(engine.catalogue) == 0
            assert not backlog.enqueue(engine.catalogue)
    library.settings = library.settings.model_copy(update={"library": (folder, library.root)})
    with library.engine() as engine:
        library.build(engine)
        with Backlog(library.settings) as backlog:
            assert backlog.left(engine.catalogue) == 1
            assert backlog.enqueue(engine.catalogue)


def test_a_watch_looks_where_it_is_told_and_again_at_what_it_could_not_have(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("generator.watch.build_loop._RETRY_S", 0.1)
    library.put("a.mp4")
    with library.engine() as engine:
        watch = BuildLoop(engine, library.settings, library.workers)
        receipts = watch.receipts()
        assert next(receipts).found == 1
        library.put("x/b.mp4")
        library.store.take()
        watch.hint([Place("", "x")])
        assert next(receipts).found == 1
        assert len(lists(library.store.take())) == 1
        refusals = [(404, "NoSuchKey")]
        library.store.refuse = lambda key, *_: refusals.pop() if key and refusals else None
        library.put("x/c.mp4")
        watch.hint([Place("", "x")])
        assert next(receipts).found == 1
        assert refusals == []
        watch.stop()
        assert list(receipts) == []


def test_the_command_builds_from_a_bucket(library: Library, tmp_path: Path) -> None:
    library.put("x/a.mp4")
    options = ["--library", "s3://films/video"]
    place = {"REELSHELF_S3_ENDPOINT": library.store.address, "REELSHELF_S3_REGION": "eu-central-1"}
    environment = {**os.environ, **place}
    done = completed(["build", *options], cwd=tmp_path, env=environment)
    assert "1 file seen; 1 found" in done.stdout, done.stderr
    assert (tmp_path / "site_out/index.html").is_file()
    told = completed(["nginx", *options], cwd=tmp_path)
    assert "location" in told.stdout
    assert "videos in s3://films/video are not served from here" in told.stderr
    done = completed(["build", "--library", "s3://none"], cwd=tmp_path, env=environment)
    assert done.returncode == 1
    assert "there is no such bucket" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_library_in_folders_pays_nothing_for_buckets() -> None:
    code = """
import sys, generator.cli, generator.scan.observe, generator.adapters.media_worker.answer
print({"boto3", "botocore", "generator.adapters.media_worker.http_range"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
