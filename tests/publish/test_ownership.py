"""Whatever lies in a bucket that we did not put there stays as it is, whatever we do."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random

import pytest
from effort import examples
from histories import History, favorite, rate, retag, tag
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_bucket import Kept, MemoryBucket
from paths import TEMPLATES

from benchmarks import trial
from generator.adapters.queues.redis_stream import RedisStreamQueue
from generator.adapters.s3.bucket import ObjectRefusedError, PreconditionFailedError
from generator.build.engine import Engine
from generator.builder_lambda import BuilderLambda
from generator.core.delivery.publish_plan import ObjectHeaders, PublishReceipt, identity_of
from generator.core.errors import OwnedByAnotherError, PublishError, ReelshelfError
from generator.core.model import EventKind
from generator.publish import Publisher
from generator.worker.remote_state import LEASE, Lease

HEADERS = ObjectHeaders("text/plain", "no-store")
VIDEOS = 4


class Home:
    """A site with small videos, a bucket, and somebody else who uses the bucket, too."""

    def __init__(self, folder: Path, bucket: MemoryBucket, seed: int = 1) -> None:
        self.folder, self.bucket, self.now = folder, bucket, trial.NOW
        self.history = History(0, seed)
        self.history.chance = Random(seed)
        self.options: dict[str, object] = {
            "library": (folder / "films",), "delete_grace_s": 0,
            "site_url": "https://films.example.org",
        }  # fmt: skip
        self.stack = ExitStack()
        self.open()
        for number in range(VIDEOS):
            self.add(number)
        self.build()

    def open(self, *, new_catalogue: bool = False) -> None:
        settings = trial.settings(self.folder, **self.options)
        engine = Engine(settings, TEMPLATES, new_catalogue=new_catalogue)
        self.engine = self.stack.enter_context(engine)

    def close(self) -> None:
        self.stack.close()

    def add(self, number: int) -> None:
        video = max(self.history.there, default=0) + 1
        self.history.there.add(video)
        value = self.history.file(video, f"f{number % 2}", "film")
        file = self.folder / "films" / str(value["path"])
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"12345")
        value_of_video = {
            **value,
            "slug": f"film-{video}",
            "added_at": self.now,
            "recorded_at": self.now,
        }
        probe = {"container": "mp4"}
        self.engine.catalogue.append(
            [self.history.event(EventKind.VIDEO_FOUND, video, **value_of_video, **probe)]
        )

    def remove(self) -> None:
        if len(self.history.there) > 1:
            video = self.history.any_video()
            self.history.there.discard(video)
            self.engine.catalogue.append(
                [
                    self.history.event(kind, video)
                    for kind in (EventKind.VIDEO_MISSING, EventKind.VIDEO_DROPPED)
                ]
            )

    def build(self) -> None:
        self.now += 10
        self.engine.refresh(self.now)

    def publisher(self) -> Publisher:
        return Publisher(self.engine, self.bucket, clock=lambda: float(self.now))

    def publish(self, **asked: bool) -> PublishReceipt:
        self.now += 1
        return self.publisher().publish(by_hand=True, **asked)

    def lose_ledger(self) -> None:
        self.close()
        for file in self.engine.settings.state.glob("ledger.db*"):
            file.unlink()
        self.open()
        self.build()

    def set(self, **options: object) -> None:
        self.close()
        self.options |= options
        self.open()
        self.build()

    def site(self) -> dict[str, bytes]:
        out, films = self.engine.settings.out, self.folder / "films"
        videos = [video.place.path for video in self.engine.catalogue.shown()]
        return {
            str(file.relative_to(out)): file.read_bytes()
            for file in out.rglob("*")
            if file.is_file()
            and not file.name.startswith(".")
            and file.suffix not in {".gz", ".br"}
        } | {f"video/{path}": (films / path).read_bytes() for path in videos}

    def there(self) -> dict[str, bytes]:
        found = self.bucket.objects.items()
        return {key: kept.body for key, kept in found if not key.startswith("_reelshelf/")}

    def of_others(self) -> dict[str, Kept]:
        own = self.engine.catalogue.identity()
        found = self.bucket.objects.items()
        return {key: kept for key, kept in found if identity_of(kept.headers.cursor) != own
                and not key.startswith("_reelshelf/")}  # fmt: skip


@contextmanager
def home_of(bucket: MemoryBucket, seed: int = 1) -> Iterator[Home]:
    with tempfile.TemporaryDirectory() as name:
        home = Home(Path(name), bucket, seed)
        try:
            yield home
        finally:
            home.close()


@pytest.fixture
def home() -> Iterator[Home]:
    with home_of(MemoryBucket()) as made:
        yield made


def other_site(home: Home, key: str) -> ObjectHeaders:
    """Return the headers of an object of another site, alike but for its catalogue."""
    del home
    return ObjectHeaders("text/html", "no-store", digest=f"{len(key):02x}", cursor="another:9")


# -- whatever happens


def come(home: Home) -> None:
    home.add(home.history.chance.randrange(9))
    home.build()


def go(home: Home) -> None:
    home.remove()
    home.build()


def opine(home: Home) -> None:
    act = home.history.chance.choice([rate, favorite, tag, retag])
    home.engine.catalogue.append(act(home.history))
    home.build()


def wait(home: Home) -> None:
    home.now += 7200


def doubt(home: Home) -> None:
    keys = sorted(home.bucket.objects)
    home.publisher().mark_suspect(home.history.chance.sample(keys, min(3, len(keys))))  # type: ignore[arg-type]


def reset(home: Home) -> None:
    chance = home.history.chance
    home.set(
        page_max_age_s=chance.choice([0, 60]),
        publish_encoding=chance.choice(["none", "gzip"]),
        publish_media=chance.choice([True, True, False]),
        site_url=chance.choice(["https://films.example.org", "https://example.org/films"]),
    )


def lag(home: Home) -> None:
    keys = sorted(home.bucket.objects)
    home.bucket.hidden = set(home.history.chance.sample(keys, len(keys) // 2))


def publishing(**asked: bool) -> Callable[[Home], None]:
    def publish(home: Home) -> None:
        home.publish(**asked)

    return publish


def roll_back(home: Home) -> None:
    home.publisher().rollback()


STEPS: list[Callable[[Home], None]] = [
    come, come, go, opine, wait, doubt, reset, lag, Home.lose_ledger, roll_back,
    publishing(), publishing(), publishing(verify=True), publishing(force=True),
    publishing(force=True, verify=True),
]  # fmt: skip


def put_by_another(home: Home) -> None:
    """Another one puts an object where we would like one, or elsewhere; or what is the same."""
    chance, site = home.history.chance, home.site()
    ours = {key for key in home.bucket.objects if key not in home.of_others()}
    video = max(home.history.there) + 1  # where the next ones will come
    coming = [f"watch/film-{video}-{video}.html", f"video/f0/film {video}.mp4"]
    strays = ["notes.txt", "films/index.html", "watch/a~ +b//ü.html", "video/" + "ü" * 509]
    key = chance.choice([chance.choice(sorted(site)), chance.choice(coming), chance.choice(strays)])
    key = chance.choice([key, key, key, f"films/{key}"])
    if key not in ours:
        body = chance.choice([b"another's", site.get(key, b"")])
        home.bucket.keep(key, body, chance.choice([HEADERS, other_site(home, key)]))


@settings(max_examples=examples(4, thorough=12))
@given(
    seed=st.integers(0, 10**6),
    steps=st.lists(st.sampled_from(STEPS), min_size=3, max_size=9),
    more=st.sampled_from([{}, {"keep_others": True}, {"replace": True}]),
    minds=st.booleans(),
)
def test_nothing_of_others_changes_whatever_we_do(
    seed: int, steps: list[Callable[[Home], None]], *, more: dict[str, bool], minds: bool
) -> None:
    bucket = MemoryBucket(minds_conditions=minds, minds_conditions_of_deletions=minds)
    with home_of(bucket, seed) as home:
        for _ in range(home.history.chance.randrange(4)):
            put_by_another(home)
        before = home.of_others()
        with suppress(PublishError):
            home.publish(**more)
        if "replace" not in more:
            assert home.of_others() == before
        others: dict[str, Kept] = {}
        for step in steps:
            put_by_another(home)
            others = home.of_others()
            with suppress(PublishError):
                step(home)
            assert home.of_others() == others, step
        bucket.hidden = set()
        with suppress(PublishError):
            home.publish(verify=True)
        assert home.of_others() == others


# -- the first time


def test_a_bucket_with_other_objects_is_refused_until_a_person_keeps_them(home: Home) -> None:
    home.bucket.keep("notes.txt", b"notes", HEADERS)
    home.bucket.keep("index.html", b"another site", HEADERS)
    with pytest.raises(PublishError, match=r"2 objects that reelshelf did not upload") as refused:
        home.publish()
    assert "--replace --dry-run" in refused.value.hint
    assert "--keep-others" in refused.value.hint
    assert "PutObject" not in home.bucket.requests

    receipt = home.publish(keep_others=True)
    assert not receipt.replaced
    assert list(receipt.left) == ["index.html"]
    site = {**home.site(), "notes.txt": b"notes", "index.html": b"another site"}
    assert home.there() == site

    receipt = home.publish()
    assert list(receipt.left) == ["index.html"]
    del home.bucket.objects["index.html"]
    assert home.publish().put == 1
    assert home.there() == {**home.site(), "notes.txt": b"notes"}
    home.bucket.keep("index.html", b"another site", HEADERS)

    receipt, _ = home.publisher().preview(replace=True)
    assert receipt.replaced == ["index.html"]
    assert home.there() == site
    assert home.publish(replace=True).replaced == ["index.html"]
    assert home.there() == {**home.site(), "notes.txt": b"notes"}
    home.bucket.requests.clear()
    assert not home.publish().did_something
    assert not home.bucket.requests


def test_what_looks_like_ours_and_says_nothing_is_anothers(home: Home) -> None:
    for key, body in home.site().items():  # copied there by another tool
        home.bucket.keep(key, body, HEADERS)
    with pytest.raises(PublishError, match="did not upload"):
        home.publish()
    assert home.publish(replace=True).put == len(home.site())


def test_two_sites_do_not_share_the_same_keys(home: Home) -> None:
    home.publish()
    before = dict(home.bucket.objects)
    with home_of(home.bucket, seed=2) as other:
        other.set(title="Another site")
        for asked in ({}, {"verify": True}, {"force": True}):
            with pytest.raises(PublishError, match="another site in it"):
                other.publish(**asked)
        assert home.bucket.objects == before
        with pytest.raises(PublishError, match="another site in it"):
            other.publish(keep_others=True)
        other.publish(replace=True)
        home.engine.catalogue.append(rate(home.history))
        home.build()
        theirs = {**other.there()}
        receipt = home.publish()
        assert receipt.left
        assert other.there() == theirs
        with pytest.raises(PublishError, match="another site in it"):
            home.publish(verify=True)


def test_sites_below_paths_of_their_own_share_a_bucket(home: Home) -> None:
    home.publish()
    with home_of(home.bucket, seed=2) as other:
        other.set(site_url="https://example.org/films")
        other.publish()
        theirs = {key for key in home.bucket.objects if key.startswith("films/")}
        for receipt in (home.publish(verify=True), other.publish(verify=True)):
            assert not receipt.deleted
            assert not receipt.put
        assert theirs <= home.bucket.objects.keys()


def test_a_copy_of_a_site_below_a_path_is_not_swept_by_the_other(home: Home) -> None:
    home.publish()
    home.set(site_url="https://example.org/films")  # the same catalogue, so the same identity
    home.publish()
    home.set(site_url="https://films.example.org")
    assert not home.publish(verify=True).deleted


def test_a_lost_ledger_finds_its_objects_again_and_no_others(home: Home) -> None:
    home.publish()
    home.bucket.keep("notes.txt", b"notes", HEADERS)
    home.lose_ledger()
    home.bucket.requests.clear()

    receipt = home.publish()

    assert not receipt.put
    assert home.bucket.requests["PutObject"] <= 4  # a probe of what the store can
    assert receipt.foreign == ["notes.txt"]
    assert home.there() == {**home.site(), "notes.txt": b"notes"}


def test_a_catalogue_that_was_lost_makes_another_site(home: Home) -> None:
    home.publish()
    home.close()
    for file in home.engine.settings.state.glob("*.db*"):
        file.unlink()
    home.open(new_catalogue=True)
    home.add(1)
    home.build()
    with pytest.raises(PublishError, match="another site in it"):
        home.publish()


# -- later


def test_what_another_put_over_ours_stays_until_a_person_verifies(home: Home) -> None:
    home.publish()
    home.bucket.keep("index.html", b"edited", HEADERS)
    home.engine.catalogue.append(rate(home.history))
    home.build()

    receipt = home.publish()

    assert "--verify" in receipt.left["index.html"]
    assert home.there()["index.html"] == b"edited"
    assert "index.html" in home.publish(force=True).left
    home.publish(verify=True)
    assert home.there() == home.site()


def test_a_page_of_anothers_is_not_deleted_where_ours_was(home: Home) -> None:
    home.publish()
    video = max(home.history.there)
    page = next(key for key in home.there() if key.endswith(f"-{video}.html"))
    home.bucket.keep(page, b"another's", HEADERS)
    home.history.there = {video}
    kinds = (EventKind.VIDEO_MISSING, EventKind.VIDEO_DROPPED)
    home.engine.catalogue.append([home.history.event(kind, video) for kind in kinds])
    home.build()

    home.publish(force=True)

    assert home.there()[page] == b"another's"
    assert f"video/f1/film {video}.mp4" not in home.there()


# -- a store that refuses


def refusing(*parts: str) -> Callable[[str, str], None]:
    def refuse(operation: str, key: str) -> None:
        if operation in {"PutObject", "DeleteObject"} and any(part in key for part in parts):
            raise ObjectRefusedError(f"cannot put {key}: the store does not accept its key")

    return refuse


def test_one_object_that_is_refused_keeps_no_other_one(home: Home) -> None:
    films = [key for key in home.site() if key.startswith("video/")]
    home.bucket.refuse = refusing(*films)

    receipt = home.publish()

    assert sorted(receipt.left) == sorted(key.replace(" ", "%20") for key in films)
    assert home.there() == {k: v for k, v in home.site().items() if k not in films}
    home.bucket.refuse = lambda *_: None
    assert home.publisher().is_behind()
    assert home.publish().put == len(films)
    assert home.there() == home.site()
    assert not home.publisher().is_behind()


@pytest.mark.parametrize("was_there", [False, True])
def test_a_condition_that_fails_though_nothing_changed_is_a_refusal(
    home: Home, *, was_there: bool
) -> None:
    if was_there:
        home.publish()
        home.engine.catalogue.append([event for _ in range(9) for event in rate(home.history)])
        home.build()

    def refuse(operation: str, key: str) -> None:
        if operation == "PutObject" and key == "best.html":
            raise PreconditionFailedError(key, refusal="cannot put best.html: Conflict")

    home.bucket.refuse = refuse

    receipt = home.publish()

    assert receipt.left == {"best.html": "cannot put best.html: Conflict"}
    others = {key: body for key, body in home.site().items() if key != "best.html"}
    assert home.there().items() >= others.items()
    home.bucket.refuse = lambda *_: None
    home.publish()
    assert home.there() == home.site()


def test_a_deletion_whose_condition_fails_though_nothing_changed_is_a_refusal(home: Home) -> None:
    home.publish()
    film = next(key for key in home.there() if key.startswith("video/"))
    home.engine.catalogue.append(
        [
            home.history.event(kind, int(film.rpartition(" ")[2].removesuffix(".mp4")))
            for kind in (EventKind.VIDEO_MISSING, EventKind.VIDEO_DROPPED)
        ]
    )
    home.build()

    def refuse(operation: str, key: str) -> None:
        if operation == "DeleteObject" and key == film:
            raise PreconditionFailedError(key, refusal="cannot delete it: Conflict")

    home.bucket.refuse = refuse

    receipt = home.publish()

    assert list(receipt.left.values()) == ["cannot delete it: Conflict"]
    assert set(home.there()) == {*home.site(), film}
    home.bucket.refuse = lambda *_: None
    home.publish()
    assert home.there() == home.site()


def test_an_object_that_another_publisher_keeps_changing_ends_the_publish(home: Home) -> None:
    home.publish()
    own = home.engine.catalogue.identity()
    home.engine.catalogue.append([event for _ in range(9) for event in rate(home.history)])
    home.build()

    def change(operation: str, key: str) -> None:
        if operation == "PutObject" and key == "best.html":
            headers = ObjectHeaders("text/html", "", cursor=f"{own}:0", digest="other")
            home.bucket.keep(key, str(home.bucket.requests).encode(), headers)

    home.bucket.refuse = change

    with pytest.raises(PublishError, match=r"best\.html keeps changing") as caught:
        home.publish()
    assert "another publisher" in caught.value.hint
    home.bucket.refuse = lambda *_: None
    home.publish()
    assert home.there() == home.site()


def test_what_is_refused_again_and_again_is_tried_less_and_less_often(home: Home) -> None:
    home.bucket.refuse = refusing("video/f0/film 1.mp4", "best.html")
    home.publish()
    tries = []
    for number in range(120):
        home.bucket.requests.clear()
        home.now += 600
        receipt = home.publisher().publish()
        assert len(receipt.left) == 2
        if home.bucket.requests:
            tries.append(number)
            assert home.bucket.requests["PutObject"] <= 3
        else:
            assert not home.publisher().is_behind()
    assert 5 < len(tries) < 12
    home.bucket.refuse = lambda *_: None
    assert home.publish().put == 2  # a person wants it now


def test_what_was_refused_and_goes_is_told_no_more(home: Home) -> None:
    video = max(home.history.there)
    home.bucket.refuse = refusing(f"film {video}.mp4", "best.html")
    home.publish()
    home.publish()
    kinds = (EventKind.VIDEO_MISSING, EventKind.VIDEO_DROPPED)
    home.engine.catalogue.append([home.history.event(kind, video) for kind in kinds])
    home.build()
    assert list(home.publish().left) == ["best.html"]
    assert list(home.publish().left) == ["best.html"]


def test_a_deletion_that_is_refused_keeps_no_other_one(home: Home) -> None:
    home.publish()
    video = max(home.history.there)
    film = f"film {video}.mp4"
    home.bucket.refuse = refusing(film)
    kinds = (EventKind.VIDEO_MISSING, EventKind.VIDEO_DROPPED)
    home.engine.catalogue.append([home.history.event(kind, video) for kind in kinds])
    home.build()
    receipt = home.publish()
    assert receipt.deleted
    assert len(receipt.left) == 1
    home.bucket.refuse = lambda *_: None
    home.publish()
    assert home.there() == home.site()
    assert not home.publish().left


def test_a_store_that_refuses_everything_ends_at_once(home: Home) -> None:
    home.publish()
    home.engine.catalogue.append([event for _ in range(9) for event in rate(home.history)])
    home.add(1)
    home.build()
    home.bucket.requests.clear()
    home.bucket.refuse = refusing("")
    with pytest.raises(ObjectRefusedError):
        home.publish()
    assert home.bucket.requests["PutObject"] <= 20  # as many as go at once
    home.bucket.refuse = lambda *_: None
    home.publish()
    assert home.there() == home.site()


# -- what is warned of, and what explains itself


def test_an_address_that_nobody_else_can_open_is_warned_of_before_anything_is_put(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    home.set(site_url="http://127.0.0.1:8000")
    home.publisher().preview()
    assert "set site_url" in caplog.text
    caplog.clear()
    home.bucket.refuse = refusing("")
    with pytest.raises(PublishError):
        home.publish()
    home.bucket.refuse = lambda *_: None
    publisher = home.publisher()
    publisher.publish()
    publisher.publish()
    assert "contain http://127.0.0.1:8000, which nobody else can open" in caplog.text
    caplog.clear()
    home.publish()
    assert not caplog.text


def test_a_site_that_was_built_elsewhere_is_told_of(home: Home) -> None:
    home.publish()
    (home.engine.settings.out).rename(home.folder / "elsewhere")
    with pytest.raises(PublishError, match="was not built into") as error:
        home.publish()
    assert "--out" in error.value.hint


# -- the state of a builder without a disk


def test_two_sites_do_not_share_the_state_of_a_lambda(tmp_path: Path) -> None:
    state, queue = MemoryBucket(), RedisStreamQueue("redis://127.0.0.1:1/0")
    for bucket, who in (("first", "lambda"), ("second", "another")):
        given = trial.settings(tmp_path, bucket=bucket, state_bucket="state")
        with pytest.raises(ReelshelfError) as error:
            BuilderLambda(given, TEMPLATES, queue, state).run()
        assert isinstance(error.value, OwnedByAnotherError) == (who == "another")
    assert "state of another site" in str(error.value)


def test_a_lease_that_is_none_of_ours_is_not_replaced() -> None:
    state = MemoryBucket()
    kept = state.keep(LEASE, b"somebody's file", HEADERS)
    with pytest.raises(PublishError, match="not a lease of this site"):
        Lease(state, 60.0).take()
    assert state.objects[LEASE] == kept
