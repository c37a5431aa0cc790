"""Publishing to a store that speaks S3: what is put, in which order, and after any accident."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from threading import RLock
from unittest.mock import patch
from urllib.parse import unquote, unquote_plus
from urllib.request import urlopen
from xml.etree import ElementTree as ET

import boto3
import pytest
from botocore.client import BaseClient
from clips import make_clip
from cloud import Aws, aws_server
from command_line import reelshelf
from forks import Command
from real_library import Library, find
from typing_extensions import override

from generator.adapters.ledger.published import PublishedRecord
from generator.adapters.media.worker_pool import MediaWorkers
from generator.adapters.s3.bucket import ANY, Bucket, StoredObject
from generator.adapters.s3.cloudfront import Distribution
from generator.build.engine import Engine
from generator.core.delivery.publish_plan import ObjectHeaders, PublishReceipt
from generator.core.errors import PublishError
from generator.core.model import Event, EventKind
from generator.publish import Publisher, publisher_of

NAMES = ("a.mp4", "x/b b.mp4", "x/Ünï #1?.mp4")
OURS = "site"
GRACE_S = 3600
CONTENTS = "{http://s3.amazonaws.com/doc/2006-03-01/}Contents"


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with aws_server() as server, patch.dict(os.environ, server.environment):
        yield server


@pytest.fixture(scope="module")
def workers() -> Iterator[MediaWorkers]:
    with MediaWorkers(jobs=2) as made:
        yield made


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture(scope="module")
def s3(aws: Aws) -> BaseClient:
    assert aws.address
    return boto3.client("s3")


@pytest.fixture
def bucket(aws: Aws, s3: BaseClient) -> str:
    aws.reset()
    create(s3, OURS)
    return OURS


def create(s3: BaseClient, name: str) -> None:
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})


class Home(Library):
    """A library, its site, and what publishes it; time goes as the test says."""

    grace_s = 0

    def configure(self, **others: object) -> None:
        self.settings = self.settings.model_copy(
            update={"bucket": OURS, "delete_grace_s": self.grace_s, **others}
        )

    def publisher(self, engine: Engine, bucket: Bucket | None = None) -> Publisher:
        return Publisher(engine, bucket or Bucket(OURS), clock=lambda: float(self.now))

    def rate(self, engine: Engine, stars: int = 5, name: str = NAMES[0]) -> set[str]:
        """Rate a video, refresh, and return which pages changed."""
        self.now += 10
        event = f"rated-{self.now}"
        video = find(engine, name)
        engine.catalogue.append(
            [Event(event, EventKind.RATED, self.now, "t", video, {"stars": stars})]
        )
        before = engine.ledger.digests()
        engine.refresh(self.now)
        after = engine.ledger.digests()
        return {path for path, digest in after.items() if before.get(path) != digest}


@pytest.fixture
def home(tmp_path: Path, workers: MediaWorkers, clip: Path, bucket: str) -> Home:
    made = Home(tmp_path, workers, clip)
    made.configure(bucket=bucket)
    for name in NAMES:
        made.put(name)
    return made


BODIES: dict[str, bytes] = {}  # of objects, by their ETags: what was fetched once is known


def etags(s3: BaseClient, name: str) -> dict[str, str]:
    """Return what is in a bucket, without boto3: it reads a millisecond at the date of each."""
    with urlopen(f"{s3.meta.endpoint_url}/{name}?list-type=2&encoding-type=url") as answer:
        listed = ET.fromstring(answer.read().decode())
    assert listed.findtext("{*}IsTruncated") == "false"
    texts = ((one.findtext("{*}Key"), one.findtext("{*}ETag")) for one in listed.iter(CONTENTS))
    return {unquote_plus(key or ""): etag or "" for key, etag in texts}


def objects(s3: BaseClient, name: str = OURS) -> dict[str, bytes]:
    there = etags(s3, name)
    for key, etag in there.items():
        if etag not in BODIES:
            found = s3.get_object(Bucket=name, Key=key)  # perhaps another one by now
            there[key] = found["ETag"]
            BODIES[found["ETag"]] = found["Body"].read()
    return {key: BODIES[etag] for key, etag in there.items() if not key.startswith("_reelshelf/")}


def expected(home: Home, names: tuple[str, ...] = NAMES) -> dict[str, bytes]:
    """Return what the bucket should hold: the output folder and the videos."""
    out = home.settings.out
    files = {
        str(file.relative_to(out)): file.read_bytes()
        for file in out.rglob("*")
        if file.is_file() and not file.name.startswith(".") and file.suffix not in {".gz", ".br"}
    }
    videos = {f"video/{name}": (home.library / name).read_bytes() for name in names}
    return files | videos


class Links(HTMLParser):
    """What a page leads to, as keys of the bucket."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.keys: set[str] = set()
        self.feed(page.decode())

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in {"href", "src", "poster"} and value and re.match(r"/(?!/|api/)", value):
                path = value.partition("#")[0].partition("?")[0]
                self.keys.add(unquote(path.lstrip("/")) or "index.html")


@lru_cache(maxsize=1 << 14)
def links_of(page: bytes) -> frozenset[str]:
    return frozenset(Links(page).keys)


def dangling(there: dict[str, bytes], begin: set[str]) -> set[tuple[str, str]]:
    """Return what is missing of all that can be reached from some pages."""
    waiting, seen, missing = [key for key in begin if key in there], set(begin), set()
    while waiting:
        key = waiting.pop()
        for link in links_of(there[key]) if key.endswith(".html") else ():
            if link not in there:
                missing.add((key, link))
            elif link not in seen:
                seen.add(link)
                waiting.append(link)
    return missing


# -- what is put


def test_the_bucket_holds_the_site_and_the_videos_byte_for_byte(home: Home, s3: BaseClient) -> None:
    with home.engine() as engine:
        home.build(engine)
        receipt = home.publisher(engine).publish()

    assert objects(s3) == expected(home)
    assert receipt.put == len(expected(home))
    assert receipt.bytes == sum(map(len, expected(home).values()))
    assert json.loads(json.dumps(receipt.as_dict()))["kinds"]["media"] == len(NAMES)


def test_what_did_not_change_costs_no_request_at_all(home: Home) -> None:
    with home.engine() as engine:
        home.build(engine)
        home.publisher(engine).publish()
        for _ in range(2):
            bucket = Bucket(OURS)
            publisher = home.publisher(engine, bucket)
            assert not publisher.is_behind()
            receipt = publisher.publish()
            assert not bucket.requests
            assert not receipt.did_something
            home.build(engine)
        assert publisher.cursor == engine.cursor


def test_one_rating_is_one_put_for_each_page_that_changed(home: Home, s3: BaseClient) -> None:
    with home.engine() as engine:
        home.build(engine)
        home.publisher(engine).publish()
        changed = home.rate(engine)
        bucket = Bucket(OURS)
        publisher = home.publisher(engine, bucket)
        assert publisher.is_behind()
        publisher.publish()

        assert bucket.requests == {"PutObject": len(changed)}
        assert set(publisher.put) == changed
        assert publisher.cursor == engine.cursor
        assert not publisher.is_behind()
    assert objects(s3) == expected(home)


def test_a_view_that_changes_no_page_is_published_by_no_request(home: Home) -> None:
    with home.engine() as engine:
        home.build(engine)
        home.publisher(engine).publish()
        home.rate(engine)
        home.publisher(engine).publish()
        assert home.rate(engine) == set()
        bucket = Bucket(OURS)
        publisher = home.publisher(engine, bucket)
        publisher.publish()
        assert not bucket.requests
        assert publisher.cursor == engine.cursor


def test_headers_say_what_it_is_and_how_long_it_may_be_kept(home: Home, s3: BaseClient) -> None:
    with home.engine() as engine:
        home.build(engine)
        home.publisher(engine).publish()
    heads = {key: s3.head_object(Bucket=OURS, Key=key) for key in objects(s3)}
    cached = {key: head["CacheControl"] for key, head in heads.items()}

    assert heads["atom.xml"]["ContentType"] == "application/atom+xml; charset=utf-8"
    assert heads["index.html"]["ContentType"] == "text/html; charset=utf-8"
    assert heads[f"video/{NAMES[1]}"]["ContentType"] == "video/mp4"
    assert cached["index.html"] == "public, max-age=0, s-maxage=60, stale-while-revalidate=60"
    for_ever = {key for key, cache in cached.items() if cache.endswith("immutable")}
    assert for_ever == {key for key in heads if key.startswith(("assets/", "thumb/"))}
    assert all(head["Metadata"]["reelshelf-digest"] for head in heads.values())
    assert not any("ContentEncoding" in head for head in heads.values())


def test_another_encoding_puts_texts_again_and_nothing_else(home: Home, s3: BaseClient) -> None:
    with home.engine() as engine:
        home.build(engine)
        home.publisher(engine).publish()
    home.configure(publish_encoding="gzip")
    with home.engine() as engine:
        receipt = home.publisher(engine).publish()

    texts = [key for key in objects(s3) if not key.endswith((".webp", ".jpg", ".mp4"))]
    assert receipt.put == len(texts)
    for key in texts:
        assert s3.head_object(Bucket=OURS, Key=key)["ContentEncoding"] == "gzip"


def test_a_site_below_a_path_lies_below_it_in_the_bucket(home: Home, s3: BaseClient) -> None:
    home.configure(site_url="https://example.org/films")
    with home.engine() as engine:
        home.build(engine)
        publisher_of(engine).publish()
    assert objects(s3) == {f"films/{key}": body for key, body in expected(home).items()}


def test_videos_can_have_a_bucket_of_their_own_or_stay_at_home(home: Home, s3: BaseClient) -> None:
    create(s3, "videos")
    home.configure(media_bucket="videos")
    with home.engine() as engine:
        home.build(engine)
        publisher_of(engine).publish()
        assert set(objects(s3, "videos")) == {f"video/{name}" for name in NAMES}
        assert not any(key.startswith("video/") for key in objects(s3))
        assert not publisher_of(engine).publish(verify=True).did_something
    home.configure(media_bucket="", publish_media=False)
    with home.engine() as engine:
        receipt = publisher_of(engine).publish()
        assert not receipt.left
        assert not publisher_of(engine).publish().did_something
    assert len(objects(s3, "videos")) == len(NAMES)


def test_in_a_bucket_of_their_own_videos_lie_beside_no_path_of_the_site(
    home: Home, s3: BaseClient
) -> None:
    create(s3, "videos")
    home.configure(media_bucket="videos", site_url="https://example.org/films")
    with home.engine() as engine:
        home.build(engine)
        publisher_of(engine).publish()
        assert set(objects(s3, "videos")) == {f"video/{name}" for name in NAMES}
        assert not publisher_of(engine).publish(verify=True).did_something
        s3.delete_object(Bucket="videos", Key=f"video/{NAMES[0]}")
        assert publisher_of(engine).publish(verify=True).put == 1


def test_what_cannot_be_put_is_told_once_and_put_when_it_can(
    home: Home, s3: BaseClient, caplog: pytest.LogCaptureFixture
) -> None:
    with home.engine() as engine:
        home.build(engine)
        still = next(home.settings.out.rglob("*.webp"))
        away = still.rename(home.library.parent / "away")
        publisher = home.publisher(engine)
        for _ in range(3):
            assert len(publisher.publish().left) == 1
        assert caplog.text.count("was not published") == 1
        away.rename(still)
        assert publisher.publish().put == 1
    assert objects(s3) == expected(home)


def test_a_replaced_video_and_its_stills_are_published(home: Home, s3: BaseClient) -> None:
    with home.engine() as engine:
        home.build(engine)
        home.publisher(engine).publish()
        home.put(NAMES[0])
        home.build(engine)
        receipt = home.publisher(engine).publish()
        assert receipt.kinds["media"] == 1
        (home.library / NAMES[0]).rename(home.library / "moved.mp4")
        home.build(engine)
        home.publisher(engine).publish()
    assert objects(s3) == expected(home, ("moved.mp4", *NAMES[1:]))


def test_a_name_that_no_object_can_have_is_told_and_keeps_nothing_else(
    home: Home, s3: BaseClient
) -> None:
    home.put(os.fsdecode(b"x/\xff.mp4"))
    with home.engine() as engine:
        home.build(engine)
        receipt = home.publisher(engine).publish()
        assert len(receipt.left) == 1
        assert "not UTF-8" in next(iter(receipt.left.values()))
        bucket = Bucket(OURS)
        home.publisher(engine, bucket).publish()
        assert not bucket.requests
    assert objects(s3) == expected(home)


def test_a_name_that_the_store_answers_with_404_keeps_nothing_else(
    home: Home, s3: BaseClient, caplog: pytest.LogCaptureFixture
) -> None:
    home.put("new\nline.mp4")
    with home.engine() as engine:
        home.build(engine)
        receipt = home.publisher(engine).publish(by_hand=True)

        assert list(receipt.left) == ["video/new%0Aline.mp4"]
        assert "cannot put video/new line.mp4 in the bucket" in next(iter(receipt.left.values()))
        assert "new\nline" not in caplog.text
        for _ in range(3):
            home.publisher(engine).publish()
        assert not home.publisher(engine).is_behind()
    assert objects(s3) == expected(home)


# -- what is gone


def test_what_is_gone_leaves_when_its_grace_is_over(home: Home, s3: BaseClient) -> None:
    home.configure(delete_grace_s=GRACE_S)
    with home.engine() as engine:
        home.build(engine)
        home.publisher(engine).publish()
        (home.library / NAMES[0]).unlink()
        home.build(engine)
        receipt = home.publisher(engine).publish()
        assert f"video/{NAMES[0]}" in objects(s3)
        assert (receipt.deleted, receipt.waiting) == (
            0,
            len(objects(s3)) - len(expected(home, NAMES[1:])),
        )
        home.now += GRACE_S - 1
        assert not home.publisher(engine).is_behind()
        home.now += 1
        assert home.publisher(engine).is_behind()
        deleted = home.publisher(engine).publish().deleted
        assert deleted == receipt.waiting
    assert objects(s3) == expected(home, NAMES[1:])


def test_what_comes_back_within_its_grace_is_not_sent_again(home: Home, s3: BaseClient) -> None:
    home.configure(delete_grace_s=GRACE_S)
    with home.engine() as engine:
        home.build(engine)
        home.publisher(engine).publish()
        away = home.folder / "away.mp4"
        (home.library / NAMES[0]).rename(away)
        home.build(engine)
        home.publisher(engine).publish()
        away.rename(home.library / NAMES[0])
        home.build(engine)
        receipt = home.publisher(engine).publish()
        assert "media" not in receipt.kinds
        assert "still" not in receipt.kinds
        home.now += 2 * GRACE_S
        home.publisher(engine).publish()
    assert objects(s3) == expected(home)


def test_more_deletions_than_one_publish_may_make_are_refused_without_force(
    home: Home, s3: BaseClient
) -> None:
    home.configure(delete_limit=0.0)
    with home.engine() as engine:
        home.build(engine)
        home.publisher(engine).publish()
        (home.library / NAMES[0]).unlink()
        home.build(engine)
        with patch("generator.core.delivery.publish_plan.MIN_DELETIONS", 1):
            receipt = home.publisher(engine).publish()
            assert receipt.refused > 1
            assert receipt.deleted == 0
            assert f"video/{NAMES[0]}" in objects(s3)
            assert home.publisher(engine).publish(force=True).deleted == receipt.refused
    assert objects(s3) == expected(home, NAMES[1:])


# -- former targets


def publish_all(home: Home, *, ignore: tuple[str, ...] = (), **asked: bool) -> PublishReceipt:
    """Build and publish with the settings of `home`."""
    home.settings = home.settings.model_copy(update={"ignore": ignore})
    home.now += 10
    with home.engine() as engine:
        home.build(engine)
        return publisher_of(engine, clock=lambda: float(home.now)).publish(by_hand=True, **asked)


@pytest.mark.parametrize("verify", [False, True])
def test_a_video_that_goes_is_deleted_though_videos_are_not_published_any_more(
    home: Home, s3: BaseClient, *, verify: bool
) -> None:
    publish_all(home)
    s3.put_object(Bucket=OURS, Key="video/theirs.mp4", Body=b"theirs")
    home.configure(publish_media=False)

    receipt = publish_all(home, verify=verify)

    assert objects(s3) == expected(home) | {"video/theirs.mp4": b"theirs"}
    assert (receipt.deleted, receipt.foreign, receipt.left_behind) == (0, [], [])
    home.put(NAMES[1])  # replaced: it is not put
    receipt = publish_all(home, ignore=(NAMES[0],), verify=verify)
    assert receipt.deleted
    assert "media" not in receipt.kinds
    videos = {key for key in objects(s3) if key.startswith("video/")}
    assert videos == {*(f"video/{name}" for name in NAMES[1:]), "video/theirs.mp4"}
    assert not publish_all(home, ignore=(NAMES[0],), verify=verify).did_something


def test_without_a_record_the_videos_of_before_are_found_and_only_needless_ones_deleted(
    home: Home, s3: BaseClient
) -> None:
    publish_all(home)
    home.configure(publish_media=False)
    for file in home.settings.state.glob("ledger.db*"):
        file.unlink()

    publish_all(home, ignore=(NAMES[0],))
    publish_all(home, ignore=(NAMES[0],))

    videos = {key for key in objects(s3) if key.startswith("video/")}
    assert videos == {f"video/{name}" for name in NAMES[1:]}
    publish_all(home, ignore=NAMES[:2])
    assert {key for key in objects(s3) if key.startswith("video/")} == {f"video/{NAMES[2]}"}


@pytest.mark.parametrize(
    ("change", "place", "count"),
    [
        ({"media_bucket": "other"}, (OURS, "video/"), len(NAMES)),
        ({"site_url": "https://example.org/films"}, (OURS, "video/"), None),
        ({"bucket": "other"}, (OURS, "video/"), None),
    ],
)
def test_what_stays_in_a_former_target_is_told_until_it_is_pruned(
    home: Home,
    s3: BaseClient,
    caplog: pytest.LogCaptureFixture,
    change: dict[str, object],
    place: tuple[str, str],
    count: int | None,
) -> None:
    create(s3, "other")
    publish_all(home)
    before = objects(s3)
    home.configure(**change)

    for verify in (False, False, True):
        receipt = publish_all(home, ignore=(NAMES[0],), verify=verify)
        left = {(one.bucket, one.prefix): one for one in receipt.left_behind}
        assert left[place].objects == len(NAMES)
        assert left[place].example == f"video/{NAMES[0]}"
        assert sum(one.objects for one in left.values()) == (count or len(before))
        assert json.loads(json.dumps(receipt.as_dict()))["left_behind"]
    assert caplog.text.count(f"3 objects of this site are still in {OURS} below video/") == 1
    assert f"video/{NAMES[0]}" in objects(s3)

    s3.put_object(Bucket=OURS, Key=f"video/{NAMES[1]}", Body=b"theirs")
    there, other = objects(s3), objects(s3, "other")
    receipt = publish_all(home, ignore=(NAMES[0],), prune=True)

    assert receipt.left_behind == []
    assert receipt.deleted == (count or len(before)) - 1
    now = objects(s3)
    assert now[f"video/{NAMES[1]}"] == b"theirs"
    assert len(now) == len(there) - receipt.deleted
    assert objects(s3, "other") == other
    receipt = publish_all(home, ignore=(NAMES[0],), verify=True)
    assert (receipt.put, receipt.deleted, receipt.left_behind) == (0, 0, [])


def test_a_former_target_that_is_published_to_again_is_not_told(home: Home, s3: BaseClient) -> None:
    create(s3, "other")
    publish_all(home)
    home.configure(bucket="other")
    assert {one.bucket for one in publish_all(home).left_behind} == {OURS}
    home.configure()
    receipt = publish_all(home)
    assert {one.bucket for one in receipt.left_behind} == {"other"}
    assert receipt.put == 0
    publish_all(home, prune=True)
    assert objects(s3) == expected(home)
    assert objects(s3, "other") == {}


def test_pruning_leaves_what_is_published_now_below_the_former_path(
    home: Home, s3: BaseClient
) -> None:
    home.put(f"video/{NAMES[0]}")
    names = (*NAMES, f"video/{NAMES[0]}")  # in the root at the key of the first one below /video
    publish_all(home)
    home.configure(site_url="https://example.org/video")
    publish_all(home)
    publish_all(home, prune=True)
    assert objects(s3) == {f"video/{key}": body for key, body in expected(home, names).items()}
    receipt = publish_all(home, verify=True)
    assert (receipt.put, receipt.deleted) == (0, 0)


def test_another_address_of_the_same_bucket_loses_nothing_by_pruning(
    home: Home, s3: BaseClient, aws: Aws
) -> None:
    publish_all(home)
    home.configure(s3_endpoint=aws.address.replace("127.0.0.1", "localhost"))
    publish_all(home, ignore=(NAMES[0],))
    receipt = publish_all(home, ignore=(NAMES[0],), prune=True)
    assert (receipt.deleted, receipt.left, receipt.left_behind) == (0, {}, [])
    assert objects(s3) == expected(home, NAMES[1:])


def test_what_cannot_be_pruned_stays_known_and_keeps_nothing_else(
    home: Home, s3: BaseClient
) -> None:
    create(s3, "other")
    publish_all(home)
    home.configure(bucket="other")
    publish_all(home)
    refused = "cannot delete it: access is denied"
    delete = Bucket.delete

    def deny(self: Bucket, key: str, match: str = ANY) -> None:
        if self.name == OURS:
            raise PublishError(refused)
        delete(self, key, match)

    with patch.object(Bucket, "delete", deny):
        receipt = publish_all(home, ignore=(NAMES[0],), prune=True)
    assert set(receipt.left.values()) == {refused}
    assert receipt.left_behind
    assert f"video/{NAMES[0]}" not in objects(s3, "other")
    assert not publish_all(home, ignore=(NAMES[0],), prune=True).left
    assert objects(s3) == {}


# -- pages that are not as they should be


def test_a_page_that_somebody_edited_on_the_disk_is_left_and_told(
    home: Home, s3: BaseClient
) -> None:
    with home.engine() as engine:
        home.build(engine)
        home.publisher(engine).publish()
        changed = home.rate(engine)
        page = home.settings.out / "best.html"
        right = page.read_bytes()
        before = objects(s3)["best.html"]
        page.write_bytes(b"edited")
        receipt = home.publisher(engine).publish()
        assert list(receipt.left) == ["best.html"]
        assert receipt.put == len(changed) - 1
        assert objects(s3)["best.html"] == before
        page.write_bytes(right)
        assert home.publisher(engine).publish().put == 1
    assert objects(s3) == expected(home)


def test_a_page_that_failed_keeps_its_former_content(home: Home, s3: BaseClient) -> None:
    with home.engine() as engine:
        home.build(engine)
        home.publisher(engine).publish()
        before = objects(s3)["best.html"]
        home.rate(engine)
        with engine.ledger.transaction():
            engine.ledger.put_failed({"best.html": "a template is wrong"})  # type: ignore[dict-item]
        home.publisher(engine).publish()
        assert objects(s3)["best.html"] == before
        with engine.ledger.transaction():
            engine.ledger.drop_failed(["best.html"])  # type: ignore[list-item]
        home.publisher(engine).publish()
    assert objects(s3) == expected(home)


# -- accidents


class Cut(Bucket):
    """A bucket whose n-th request fails, and all after it: before it is sent, or once it is done.

    Requests come one at a time, so that no other one is done meanwhile.
    """

    def __init__(self) -> None:
        super().__init__(OURS)
        self.at, self.after, self.sent, self.lock = 1, False, 0, RLock()
        self.passed = 0  # how many requests reached the store

    @contextmanager
    def _cutting(self) -> Iterator[None]:
        with self.lock:
            self.sent += 1
            if self.sent > self.at or (self.sent == self.at and not self.after):
                raise PublishError("cut")
            self.passed += 1
            yield
            if self.sent == self.at:
                raise PublishError("cut")

    @override
    def put(self, key: str, body: bytes, headers: ObjectHeaders, match: str = ANY) -> StoredObject:
        with self._cutting():
            return super().put(key, body, headers, match)

    @override
    def delete(self, key: str, match: str = ANY) -> None:
        with self._cutting():
            super().delete(key, match)

    @override
    def head(self, key: str) -> StoredObject | None:
        with self._cutting():
            return super().head(key)

    @override
    def listed(self, prefix: str = "") -> Iterator[StoredObject]:
        with self._cutting():
            yield from list(super().listed(prefix))


def cut_at_every_request(home: Home, engine: Engine, s3: BaseClient, begin: set[str]) -> int:
    """Publish, cut off before and after each request; see that nothing is ever missing.

    Return how many requests there were.
    """
    bucket, count, there = Cut(), 0, objects(s3)
    while True:
        for bucket.after in (False, True):
            bucket.sent, bucket.passed, before = 0, 0, there
            try:
                home.publisher(engine, bucket).publish()
            except PublishError:
                if not bucket.passed:
                    continue  # all is as it was, and has been looked at
                there = objects(s3)
                assert dangling(there, begin & there.keys()) == set()
            else:
                return count
        count += 1
        # A request that left no trace comes again; then the one after it is cut.
        bucket.at = 1 if there != before else bucket.at + 1


def test_cut_off_at_every_request_no_page_leads_to_what_is_not_there(
    home: Home, s3: BaseClient
) -> None:
    with home.engine() as engine:
        home.build(engine)
        count = cut_at_every_request(home, engine, s3, {"index.html"})
        finish(home, engine, s3)
    assert count >= len(expected(home))


def finish(home: Home, engine: Engine, s3: BaseClient, names: tuple[str, ...] = NAMES) -> None:
    """See that the next run ends right, and a second changes nothing."""
    home.publisher(engine).publish()
    assert objects(s3) == expected(home, names)
    bucket = Bucket(OURS)
    home.publisher(engine, bucket).publish()
    assert not bucket.requests


def test_a_change_is_cut_off_at_every_request_once(home: Home, s3: BaseClient) -> None:
    with home.engine() as engine:
        home.build(engine)
        home.publisher(engine).publish()
        for number in (1, 2, 3):  # the third one deletes what the first put
            begin = {key for key in objects(s3) if key.endswith(".html")}
            home.put(f"new/{number}.mp4")
            (home.library / f"new/{number - 1}.mp4").unlink(missing_ok=True)
            tagged = {"names": [f"tag {number}"]}  # a page that is there leads to one that is new
            video = find(engine, NAMES[0])
            engine.catalogue.append(
                [Event(f"tag-{number}", EventKind.RETAGGED, home.now, "owner", video, tagged)]
            )
            home.build(engine)
            assert cut_at_every_request(home, engine, s3, begin) > 20
            finish(home, engine, s3, (*NAMES, f"new/{number}.mp4"))


def test_a_ledger_that_was_lost_sends_nothing_again(home: Home, s3: BaseClient) -> None:
    with home.engine() as engine:
        home.build(engine)
        home.publisher(engine).publish()
    for name in home.settings.state.glob("ledger.db*"):
        name.unlink()
    with home.engine() as engine:
        home.build(engine)
        bucket = Bucket(OURS)
        receipt = home.publisher(engine, bucket).publish()
        assert "PutObject" not in bucket.requests
        assert receipt.put == 0
        changed = home.rate(engine)
        assert home.publisher(engine).publish().put == len(changed)
    assert objects(s3) == expected(home)


def test_verifying_mends_what_others_deleted_changed_and_added(home: Home, s3: BaseClient) -> None:
    with home.engine() as engine:
        home.build(engine)
        home.publisher(engine).publish()
        cursor = f"{engine.catalogue.identity()}:1"
        stray = ObjectHeaders("text/html", "no-store", "", "00", cursor)
        s3.delete_object(Bucket=OURS, Key="all.html")
        s3.put_object(Bucket=OURS, Key="index.html", Body=b"changed")
        s3.put_object(Bucket=OURS, Key=f"video/{NAMES[0]}", Body=b"changed")
        noted = s3.head_object(Bucket=OURS, Key="best.html")["Metadata"]
        s3.put_object(Bucket=OURS, Key="best.html", Body=b"forged", Metadata=noted)
        s3.put_object(Bucket=OURS, Key="not ours.txt", Body=b"stays")
        s3.put_object(Bucket=OURS, Key="_reelshelf/owner.json", Body=b"stays")
        Bucket(OURS).put("watch/stray-99.html", b"ours", stray)
        assert not home.publisher(engine).publish().did_something
        receipt = home.publisher(engine).publish(verify=True)
        assert receipt.put == 4
        assert receipt.deleted == 1
        assert receipt.foreign == ["not ours.txt"]
        assert not home.publisher(engine).publish(verify=True).did_something
    assert objects(s3) == {**expected(home), "not ours.txt": b"stays"}


@pytest.mark.parametrize("knows", [True, False])
def test_copies_that_a_person_made_within_the_bucket_stay(
    home: Home, s3: BaseClient, *, knows: bool
) -> None:
    copies = {"archive/all-2025.html": "all.html", "watch/my-copy.html": "index.html"}
    with home.engine() as engine:
        home.build(engine)
        home.publisher(engine).publish()
    for key, of in copies.items():
        s3.copy_object(Bucket=OURS, Key=key, CopySource={"Bucket": OURS, "Key": of})
    if not knows:
        for file in home.settings.state.glob("ledger.db*"):
            file.unlink()
    with home.engine() as engine:
        home.build(engine)
        receipt = home.publisher(engine).publish(verify=True)

    assert (receipt.put, receipt.deleted, sorted(receipt.foreign)) == (0, 0, sorted(copies))
    assert set(objects(s3)) == {*expected(home), *copies}


def test_a_publisher_that_comes_late_leaves_the_newer_page(home: Home, s3: BaseClient) -> None:
    with home.engine() as engine:
        home.build(engine)
        home.publisher(engine).publish()
        home.rate(engine)
    states = {file: file.read_bytes() for file in home.settings.state.glob("*.db*")}
    with home.engine() as engine:
        home.rate(engine, 1, NAMES[1])
        home.publisher(engine).publish()
    newer = objects(s3)
    for file in home.settings.state.glob("*.db*"):
        file.unlink()
    for file, content in states.items():
        file.write_bytes(content)
    with home.engine() as engine:
        engine.refresh(home.now, full=True)  # the pages of its own, older state
        receipt = home.publisher(engine).publish()
        assert receipt.late > 0
        assert objects(s3) == newer


def test_a_doubtful_record_is_not_believed(home: Home, s3: BaseClient) -> None:
    with home.engine() as engine:
        home.build(engine)
        home.publisher(engine).publish()
        late = ObjectHeaders("text/html", "no-store", "", "00", f"{engine.catalogue.identity()}:1")
        Bucket(OURS).put("index.html", b"of a builder that came late", late)
        Bucket(OURS).put("watch/gone-9.html", b"likewise", late)
        thumb = next(key for key in objects(s3) if key.startswith("thumb/"))
        s3.delete_object(Bucket=OURS, Key=thumb)
        publisher = home.publisher(engine)
        publisher.mark_suspect(["index.html", "watch/gone-9.html", thumb, "best.html"])  # type: ignore[list-item]
        assert publisher.is_behind()
        publisher.publish()
        assert not publisher.is_behind()
    assert objects(s3) == expected(home)


def test_verifying_gives_up_our_uploads_that_never_ended_and_no_others(
    home: Home, s3: BaseClient, caplog: pytest.LogCaptureFixture
) -> None:
    with home.engine() as engine:
        home.build(engine)
        home.publisher(engine).publish()
        keys = ("video/film.mp4", "video/film.mp4", "play/1-aa.mp4", "backups/disk.img")
        begun = [  # moto's began in 2010
            s3.create_multipart_upload(Bucket=OURS, Key=key)["UploadId"] for key in keys
        ]
        PublishedRecord(lambda: engine.ledger.connection).set_upload(keys[0], f"kind.{begun[0]}")
        home.publisher(engine, Denied(OURS)).publish(verify=True)
        assert "unfinished uploads stay" in caplog.text
        home.publisher(engine).publish(verify=True)
    left = s3.list_multipart_uploads(Bucket=OURS)["Uploads"]
    assert sorted(one["UploadId"] for one in left) == sorted(begun[1:])


class Denied(Bucket):
    """A store that lists no uploads for us."""

    @override
    def abort_uploads(
        self, older_than_s: float, prefix: str = "", ours: Mapping[str, str] | None = None
    ) -> int:
        raise PublishError(f"access to {prefix} is denied")


# -- back to the former publish


def test_a_rollback_brings_the_former_site_back_and_holds_publishing(
    home: Home, s3: BaseClient
) -> None:
    s3.put_bucket_versioning(Bucket=OURS, VersioningConfiguration={"Status": "Enabled"})
    with home.engine() as engine:
        home.build(engine)
        home.publisher(engine).publish()
        with pytest.raises(PublishError, match="no previous publish"):
            home.publisher(engine).rollback()
        before = objects(s3)
        home.put("new.mp4")
        (home.library / NAMES[0]).unlink()
        home.build(engine)
        home.publisher(engine).publish()
        assert objects(s3) != before

        receipt = home.publisher(engine).rollback()
        assert objects(s3) == before
        assert receipt.put > 0
        assert receipt.deleted > 0
        held = home.publisher(engine).publish()
        assert held.is_held
        assert home.publisher(engine).cursor == engine.cursor
        assert not home.publisher(engine).is_behind()
        assert objects(s3) == before
        home.publisher(engine).publish(by_hand=True)
        assert objects(s3) == expected(home, ("new.mp4", *NAMES[1:]))
        home.rate(engine, 5, "new.mp4")
        assert home.publisher(engine).publish().put


def test_a_bucket_without_versions_cannot_be_rolled_back(home: Home, s3: BaseClient) -> None:
    with home.engine() as engine:
        home.build(engine)
        home.publisher(engine).publish()
        home.rate(engine)
        home.publisher(engine).publish()
        before = objects(s3)
        with pytest.raises(PublishError, match="keeps no previous versions"):
            home.publisher(engine).rollback()
        assert objects(s3) == before
        assert not home.publisher(engine).is_held


# -- what the store, and the CDN, may be


class Careless(Bucket):
    """A store that minds no conditions."""

    @override
    def has_conditions(self) -> bool:
        return False


def test_a_store_without_conditions_is_told_once_and_done_without(
    home: Home, s3: BaseClient, caplog: pytest.LogCaptureFixture
) -> None:
    with home.engine() as engine:
        home.build(engine)
        home.publisher(engine, Careless(OURS)).publish()
        home.rate(engine)
        home.publisher(engine, Careless(OURS)).publish()
    assert objects(s3) == expected(home)
    assert caplog.text.count("does not support conditional writes") == 1


def test_what_is_gone_or_replaced_is_invalidated_and_tried_again_where_that_fails(
    home: Home,
) -> None:
    home.configure(cloudfront_distribution="E1")
    asked: list[list[str]] = []
    cdn = Distribution("E1")
    with home.engine() as engine, patch.object(cdn, "invalidate") as invalidate:
        publisher = Publisher(engine, Bucket(OURS), cdn, clock=lambda: float(home.now))
        home.build(engine)
        publisher.publish()
        home.rate(engine)
        publisher.publish()
        assert not invalidate.called
        home.put(NAMES[0])
        (home.library / NAMES[1]).unlink()
        home.build(engine)
        invalidate.side_effect = PublishError("too many")
        assert publisher.publish().invalidation_error == "too many"
        invalidate.side_effect = lambda paths: asked.append(list(paths))
        again = publisher.publish()
        assert again.invalidated == len(asked[0])
        assert publisher.publish().invalidated == 0
    assert {"/video/a.mp4", "/video/x/b%20b.mp4"} <= set(asked[0])
    assert "/index.html" not in asked[0]


# -- the command


def command(home: Home, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return reelshelf(home.folder, "publish", *arguments)


@pytest.fixture
def folder(home: Home) -> Home:
    """A site with a settings file, built."""
    (home.folder / "reelshelf.toml").write_text(
        f'library = ["library"]\nout = "out"\n\n[s3]\nbucket = "{OURS}"\n[watch]\nsettle_s = 0\n',
        encoding="utf-8",
    )
    with home.engine() as engine:
        home.build(engine)
    return home


def test_the_command_publishes_and_tells_what_it_did(folder: Home, s3: BaseClient) -> None:
    dry = command(folder, "--dry-run", "--json")
    assert dry.returncode == 0, dry.stderr
    assert objects(s3) == {}
    done = command(folder, "--json")
    assert done.returncode == 0, done.stderr
    told, would = json.loads(done.stdout), json.loads(dry.stdout)
    assert (told["put"], told["bytes"]) == (would["put"], would["bytes"])
    assert (told["dry_run"], would["dry_run"]) == (False, True)
    assert would["usd"] == pytest.approx(would["put"] * 0.005 / 1000)
    assert objects(s3) == expected(folder)
    again = command(folder)
    assert again.returncode == 0
    assert "objects  0 put" in again.stdout
    assert "requests none" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--bucket", "nowhere"), 1, "no such bucket"),
        (("--rollback",), 1, "no previous publish"),
        (("--rollback", "--watch"), 2, "cannot be combined"),
        (("--bucket", ""), 2, "no bucket is configured"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line_with_a_hint(
    folder: Home, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = command(folder, *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert "Traceback" not in done.stderr


def test_nothing_is_published_before_anything_is_built(home: Home) -> None:
    with home.engine() as engine, pytest.raises(PublishError, match="nothing is built yet"):
        home.publisher(engine).publish()


def test_watching_publishes_after_every_build_until_it_is_stopped(
    folder: Home, s3: BaseClient
) -> None:
    with Command(
        ["publish", "--watch", "--json"],
        cwd=folder.folder, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        try:
            assert child.stdout is not None
            assert "walked" in child.stdout.readline()
            assert json.loads(child.stdout.readline())["published"]["put"]
            folder.put("new.mp4")
            for line in child.stdout:
                if objects(s3).keys() >= {"video/new.mp4", "index.html"} and "published" in line:
                    break
            child.send_signal(signal.SIGINT)
            child.stdout.read()
            assert child.wait(30) == 0
        finally:
            child.kill()
    assert objects(s3) == expected(folder, (*NAMES, "new.mp4"))
