"""Builders without a disk: raced, killed at any step, told twice; every count is exact at the end.

They run as processes of their own over moto's server, and end with os._exit at chosen steps.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from buckets import store_before
from builder_runs import SURELY, builder_of, run_or_rest, settings_of
from clips import make_clip
from cloud import Aws, aws_server
from effort import THOROUGH
from paths import ROOT, TESTS

from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.adapters.output import Output
from generator.adapters.queues import open_queue
from generator.adapters.s3.bucket import ABSENT, Bucket
from generator.adapters.s3.owner_mark import OwnerMark
from generator.build.engine import Engine
from generator.builder_lambda import BuilderLambda, LambdaRun
from generator.core.delivery.publish_plan import ObjectHeaders
from generator.core.errors import OwnedByAnotherError, PublishError
from generator.core.library.bucket_roots import BucketRoot as LibraryBucket
from generator.core.model import Event, EventKind, VideoId
from generator.core.queue import messages
from generator.core.queue.queue import Queue
from generator.core.site import urls
from generator.publish import publisher_of
from generator.worker.remote_state import LEASE, STATE, Lease, RemoteState

pytestmark = pytest.mark.timeout(300)

VIDEOS, EVENTS = (8, 40) if THOROUGH else (4, 24)
BUILDERS = 3
MAX_S = 150.0
PROGRAM = TESTS / "support" / "builder_runs.py"


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with aws_server() as server:
        yield server


@pytest.fixture(autouse=True)
def clients(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.reset()
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def queue_url() -> str:
    """A queue that brings again after two seconds what was not deleted."""
    import boto3  # noqa: PLC0415 (only the tests of the cloud need it)

    sqs = boto3.client("sqs")
    attributes = {"VisibilityTimeout": "2"}
    return str(sqs.create_queue(QueueName="events", Attributes=attributes)["QueueUrl"])


@pytest.fixture
def buckets() -> tuple[str, str]:
    import boto3  # noqa: PLC0415 (likewise)

    s3 = boto3.client("s3")
    where = {"LocationConstraint": "eu-central-1"}
    for name in ("state-bucket", "site-bucket"):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration=where)
    return "state-bucket", "site-bucket"


@pytest.fixture
def builder(tmp_path: Path, queue_url: str, buckets: tuple[str, str]) -> Iterator[BuilderLambda]:
    """A builder over a small library that is published already."""
    settings = settings_of(tmp_path / "first", queue_url, *buckets)
    carried = RemoteState(Bucket(settings.state_bucket), settings.state)
    carried.fetch()
    with Engine(settings, shipped_templates()) as engine:
        trial.fill(engine.catalogue, VIDEOS)
        engine.refresh(trial.NOW)
        for video in engine.catalogue.shown():  # no other builder has these files
            for path in urls.made_files(video):
                engine.output.write(path, str(path).encode(), owned=True)
        publisher_of(engine).publish()
        carried.commit(engine)
    made = builder_of(settings)
    yield made
    made.close()


def shipped_templates() -> Path:
    return ROOT / "templates"


def events_of(seed: int) -> list[Event]:
    """Return what people do: views, and ratings of which the last one told counts."""
    chance = random.Random(seed)
    begin_us = trial.NOW * 1_000_000
    made = []
    for number in range(EVENTS):
        video = VideoId(chance.randint(1, VIDEOS))
        kind = chance.choice(
            [EventKind.VIEWED, EventKind.RATED, EventKind.FAVORITED, EventKind.UNFAVORITED]
        )
        value = {"stars": chance.randint(1, 5)} if kind is EventKind.RATED else {}
        occurred_at_us = begin_us + number * 1_000
        at = occurred_at_us // 1_000_000
        made.append(Event(f"told-{number:05}", kind, at, "owner", video, value, occurred_at_us))
    return made


def send(address: str, events: list[Event], seed: int) -> None:
    """Put events into the queue: out of order, and every tenth twice."""
    chance = random.Random(seed)
    bodies = [messages.encode_message(one) for one in events]
    bodies += chance.choices(bodies, k=len(bodies) // 10)
    chance.shuffle(bodies)
    queue = open_queue(address)
    queue.send(bodies)
    queue.close()


def figures_in(bucket: str, folder: Path) -> dict[int, tuple[object, ...]]:
    """Return what the state in the bucket says of every video."""
    carried = RemoteState(Bucket(bucket), folder)
    carried.fetch()
    with Catalogue(folder / "catalogue.db") as catalogue:
        videos = [VideoId(number) for number in range(1, VIDEOS + 1)]
        return {f.id: (f.stars, f.views, f.favorite) for f in catalogue.stats(videos)}


def figures_of(events: list[Event]) -> dict[int, tuple[object, ...]]:
    """Return the same, of a catalogue to which each was told once, in order."""
    with Catalogue(Path(":memory:")) as catalogue:
        trial.fill(catalogue, VIDEOS)
        catalogue.record(events)
        videos = [VideoId(number) for number in range(1, VIDEOS + 1)]
        return {f.id: (f.stars, f.views, f.favorite) for f in catalogue.stats(videos)}


def assert_published(builder: BuilderLambda, folder: Path) -> None:
    """The bucket holds what rendering every page of the state in the bucket gives."""
    settings = settings_of(
        folder, builder.settings.queue, builder.settings.state_bucket, builder.settings.bucket
    )
    RemoteState(Bucket(settings.state_bucket), settings.state).fetch()
    with Engine(settings, shipped_templates()) as engine:
        output = Output(folder / "whole")
        engine.render_into(output)
        expected = {str(path): output.read(path) for path in output.files()}
    bucket = Bucket(settings.bucket)
    keys = {one.key for one in bucket.listed()}
    assert {key for key in keys if not key.startswith(("_reelshelf/", "thumb/"))} == set(expected)
    for key, content in expected.items():
        found = bucket.get(key)
        assert found is not None
        assert found[0] == content, key


@contextmanager
def processes(
    builder: BuilderLambda, folder: Path, lease_s: float, deaths: float
) -> Iterator[Counter[str]]:
    """Let builders run, each begun anew whenever it dies; tell where they died."""
    stop, died = folder / "stop", Counter[str]()
    settings, root = builder.settings, ROOT
    with ExitStack() as stack:
        running = [
            stack.enter_context(
                subprocess.Popen(
                    [
                        *(sys.executable, "-W", "error", str(PROGRAM)),
                        *(str(folder / f"builder-{number}"), settings.queue),
                        *(settings.state_bucket, settings.bucket),
                        *(str(lease_s), str(number), str(deaths), str(stop)),
                    ],
                    stderr=stack.enter_context((folder / f"died-{number}").open("w")),
                    text=True,
                    cwd=root,
                    env={**os.environ, "PYTHONPATH": str(root)},
                )
            )
            for number in range(BUILDERS)
        ]
        waiting = open_queue(settings.queue)
        stack.callback(waiting.close)
        end_s = time.monotonic() + MAX_S
        try:
            while not _is_drained(waiting):
                assert time.monotonic() < end_s, waiting.depth()
                assert [child.poll() for child in running] == [None] * BUILDERS
                with suppress(subprocess.TimeoutExpired):
                    running[0].wait(0.25)
        finally:
            stop.touch()
            for child in running:
                with suppress(subprocess.TimeoutExpired):
                    child.wait(30)
                child.kill()
        assert [child.returncode for child in running] == [0] * BUILDERS
    for number in range(BUILDERS):
        died.update((folder / f"died-{number}").read_text(encoding="utf-8").split())
    yield died


def _is_drained(queue: Queue) -> bool:
    depth = queue.depth()
    return depth.waiting == 0 and depth.in_flight == 0


@pytest.mark.parametrize(("lease_s", "deaths"), [(0.0, 0.12), (0.5, 0.12)])
def test_builders_race_and_die_and_every_count_is_exact(
    builder: BuilderLambda, tmp_path: Path, lease_s: float, deaths: float
) -> None:
    events = events_of(seed=7)
    send(builder.settings.queue, events, seed=8)

    with processes(builder, tmp_path, lease_s, deaths) as died:
        pass
    builder.lease_s = 0.0
    while builder.run().state != "idle":
        pass

    assert died.keys() >= set(SURELY)
    state_bucket = builder.settings.state_bucket
    assert figures_in(state_bucket, tmp_path / "read") == figures_of(events)
    assert_published(builder, tmp_path / "check")


class Killed(BaseException):
    """Ends a run where a kill would."""


@pytest.mark.parametrize(
    "step", ["leased", "recorded", "refreshed", "committed", "deleted", "published"]
)
def test_killed_at_any_step_the_next_run_ends_at_the_same_site(
    builder: BuilderLambda, tmp_path: Path, step: str
) -> None:
    events = events_of(seed=1)[:20]
    send(builder.settings.queue, events, seed=2)

    def kill(reached: str) -> None:
        if reached == step:
            raise Killed

    builder.on_step, builder.lease_s = kill, 1.0
    with pytest.raises(Killed):
        builder.run()
    builder.on_step = lambda _: None
    runs = _until_idle(builder)

    assert sum(run.messages for run in runs) >= (0 if step in {"deleted", "published"} else 20)
    state_bucket = builder.settings.state_bucket
    assert figures_in(state_bucket, tmp_path / "read") == figures_of(events)
    assert_published(builder, tmp_path / "check")


def _until_idle(builder: BuilderLambda) -> list[LambdaRun]:
    queue, runs = open_queue(builder.settings.queue), []
    end_s = time.monotonic() + MAX_S
    while not _is_drained(queue) or not runs or runs[-1].state != "idle":
        assert time.monotonic() < end_s
        runs.append(run_or_rest(builder))
    queue.close()
    return runs


def rated(number: int, stars: int) -> Event:
    occurred_at_us = (trial.NOW + 10 + number) * 1_000_000
    value: dict[str, object] = {"stars": stars}
    at = trial.NOW + 10 + number
    return Event(
        f"rated-{number:04}", EventKind.RATED, at, "owner", VideoId(1), value, occurred_at_us
    )


def other_than(builder: BuilderLambda, folder: Path) -> BuilderLambda:
    settings = builder.settings
    return builder_of(
        settings_of(folder, settings.queue, settings.state_bucket, settings.bucket), lease_s=0.0
    )


def begin_with_three_stars(builder: BuilderLambda) -> None:
    builder.lease_s = 0.0
    send(builder.settings.queue, [rated(0, 3)], seed=1)
    _until_idle(builder)


def test_what_one_put_who_could_not_note_it_is_found_out_by_the_next(
    builder: BuilderLambda, tmp_path: Path
) -> None:
    begin_with_three_stars(builder)
    send(builder.settings.queue, [rated(1, 5)], seed=1)

    def kill(reached: str) -> None:
        if reached == "published":
            raise Killed

    builder.on_step = kill
    with pytest.raises(Killed):
        builder.run()
    send(builder.settings.queue, [rated(2, 3)], seed=1)  # pages are to be as they were noted

    _until_idle(other_than(builder, tmp_path / "other"))

    assert_published(builder, tmp_path / "check")


def test_what_one_put_after_a_newer_one_was_done_is_mended(
    builder: BuilderLambda, tmp_path: Path
) -> None:
    begin_with_three_stars(builder)
    send(builder.settings.queue, [rated(1, 5)], seed=1)

    def dawdle(reached: str) -> None:
        if reached == "deleted":
            send(builder.settings.queue, [rated(2, 3)], seed=1)
            assert other_than(builder, tmp_path / "other").run().state == "built"

    builder.on_step = dawdle
    builder.run()
    builder.on_step = lambda _: None

    _until_idle(builder)

    assert_published(builder, tmp_path / "check")


def test_a_run_with_nothing_to_do_puts_nothing(builder: BuilderLambda) -> None:
    builder.run()
    before = builder.state.requests.copy()

    assert builder.run().state == "idle"

    assert (builder.state.requests - before).keys() <= {"HeadObject", "GetObject"}


def test_a_site_that_a_worker_at_home_owns_is_left_to_it(builder: BuilderLambda) -> None:
    send(builder.settings.queue, events_of(seed=3)[:5], seed=3)
    OwnerMark(builder.state).claim("home", "another catalogue", 1)

    with pytest.raises(OwnedByAnotherError, match="a worker at home"):
        builder.run()

    queue = open_queue(builder.settings.queue)
    assert queue.depth().waiting == 5
    assert queue.receive(1, 0)[0].times == 1
    queue.close()


def test_while_another_one_builds_messages_are_given_back_at_once(builder: BuilderLambda) -> None:
    send(builder.settings.queue, events_of(seed=3)[:5], seed=3)
    other = Lease(builder.state, 60.0)
    assert other.take()

    assert builder.run().state == "busy"
    other.release()
    run = builder.run()

    assert (run.state, run.messages) == ("built", 5)


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_film_that_a_notice_tells_of_is_shown_or_told_of_again(
    builder: BuilderLambda, aws: Aws, tmp_path: Path, *, is_refused: bool
) -> None:
    with store_before(aws) as store:
        store.create("films")
        store.put("films", "video/new/film.mp4", make_clip(tmp_path / "clip.mp4").read_bytes())
        builder.settings = builder.settings.model_copy(
            update={"library": (LibraryBucket("films", "video"),), "s3_endpoint": store.address}
        )
        if is_refused:
            store.refuse = lambda _, query, __: (
                (503, "SlowDown") if "X-Amz-Signature" in query else None
            )
        hint(builder, "video/new/film.mp4")

        runs = [builder.run()]
        queue = open_queue(builder.settings.queue)
        depth = queue.depth()  # under way, or waiting again: it is kept from nobody for long
        assert depth.waiting + depth.in_flight == is_refused
        store.refuse = lambda *_: None
        while not _is_drained(queue):
            runs.append(run_or_rest(builder))
        queue.close()

    keys = {one.key for one in Bucket(builder.settings.bucket).listed()}
    title = {key for key in keys if key.startswith("watch/") and "film" in key}
    stills = {key for key in keys if key.startswith("thumb/") and key.endswith(".webp")}
    assert len(title) == 1
    assert stills
    assert [run.messages for run in runs if run.messages] == [1, 1][: 1 + is_refused]


def hint(builder: BuilderLambda, key: str) -> None:
    """Put what S3 says of a new object into the queue; no look at everything is due."""
    carried = RemoteState(builder.state, builder.settings.state)
    carried.fetch()
    with Engine(builder.settings, shipped_templates()) as engine:
        engine.catalogue.note("looked_at", str(int(time.time())))
        carried.commit(engine)
    notice = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}
    where = {"bucket": {"name": "films"}, "object": {"key": key}}
    queue = open_queue(builder.settings.queue)
    queue.send([json.dumps({"Records": [{**notice, "s3": where}]})])
    queue.close()


def test_a_state_that_cannot_be_read_is_told_and_left(builder: BuilderLambda) -> None:
    builder.state.put(STATE, b"no archive", ObjectHeaders("application/zip", "no-store"), "")
    with pytest.raises(PublishError, match="not the state of a site"):
        builder.run()
    found = builder.state.get(STATE)
    assert found is not None
    assert found[0] == b"no archive"


def test_of_two_who_put_back_the_same_state_one_is_refused(
    builder: BuilderLambda, tmp_path: Path
) -> None:
    carried = [RemoteState(builder.state, tmp_path / name) for name in ("a", "b")]
    for one in carried:
        one.fetch()
    engines = []
    for name in "ab":
        settings = settings_of(tmp_path / name, "", "", "").model_copy(
            update={"state": tmp_path / name, "out": tmp_path / f"out-{name}"}
        )
        engines.append(Engine(settings, shipped_templates()))
    carried[0].commit(engines[0])
    with pytest.raises(PublishError):
        carried[1].commit(engines[1])
    for engine in engines:
        engine.close()


def test_a_lease_that_is_over_can_be_taken_and_one_that_is_not_cannot(
    buckets: tuple[str, str],
) -> None:
    bucket, now = Bucket(buckets[0]), [100.0]
    first, second = (Lease(bucket, 10.0, lambda: now[0]) for _ in range(2))
    assert first.take()
    assert not second.take()
    now[0] = 111.0
    assert second.take()
    first.release()  # not ours any more
    assert not Lease(bucket, 10.0, lambda: now[0]).take()
    second.release()
    assert Lease(bucket, 10.0, lambda: now[0]).take()
    assert ABSENT == "*"


def test_a_first_run_that_died_before_it_committed_is_no_lost_catalogue(
    builder: BuilderLambda,
) -> None:
    send(builder.settings.queue, events_of(seed=3)[:5], seed=3)

    class DiedError(Exception):
        """As if the process had ended."""

    def die(step: str) -> None:
        if step == "refreshed":
            raise DiedError

    builder.on_step = die
    with pytest.raises(DiedError):
        builder.run()
    builder.on_step = lambda _: None
    builder._remote_state = None  # noqa: SLF001 (another process)
    run = builder.run()
    while run.state != "built":
        run = builder.run()

    assert run.state == "built"


def test_while_another_one_builds_messages_are_not_received_so_often_that_they_are_set_aside(
    builder: BuilderLambda,
) -> None:
    send(builder.settings.queue, [rated(0, 3)], seed=1)
    other = Lease(builder.state, 60.0)
    assert other.take()

    assert [builder.run().state for _ in range(6)] == ["busy"] * 6
    other.release()

    queue = open_queue(builder.settings.queue)
    assert [message.times for message in queue.receive(1, 0)] == [1]
    queue.close()


@pytest.mark.parametrize("until", [1e300, float("inf"), float("nan"), "2099"])
def test_a_lease_of_a_wrong_clock_does_not_stop_all_builders(
    buckets: tuple[str, str], until: object
) -> None:
    bucket = Bucket(buckets[0])
    stored = {"holder": "another", "until": 4e9 if until == "2099" else until}
    bucket.put(
        LEASE, json.dumps(stored).encode(), ObjectHeaders("application/json", "no-store"), ABSENT
    )
    lease = Lease(bucket, 960.0)

    assert not lease.is_held()
    assert lease.take()


def test_a_state_that_is_gone_is_not_begun_anew_and_no_event_is_lost(
    builder: BuilderLambda, tmp_path: Path
) -> None:
    begin_with_three_stars(builder)
    stored = builder.state.get(STATE)
    assert stored is not None
    builder.state.delete(STATE, stored[1].etag)
    send(builder.settings.queue, [rated(1, 5)], seed=1)
    pages = {one.key: one.etag for one in Bucket(builder.settings.bucket).listed()}

    for each in (builder, other_than(builder, tmp_path / "other")):
        with pytest.raises(PublishError, match="is gone") as failure:
            each.run()
        assert "former version" in failure.value.hint

    assert builder.state.get(STATE) is None
    assert {one.key: one.etag for one in Bucket(builder.settings.bucket).listed()} == pages
    builder.state.put(STATE, stored[0], ObjectHeaders("application/zip", "no-store"), ABSENT)
    _until_idle(builder)
    assert figures_in(builder.settings.state_bucket, tmp_path / "read")[1][0] == 5


@pytest.mark.parametrize("step", ["", "recorded", "committed", "published"])
def test_after_a_former_state_was_put_back_the_bucket_shows_that_one(
    builder: BuilderLambda, tmp_path: Path, step: str
) -> None:
    begin_with_three_stars(builder)
    former = builder.state.get(STATE)
    assert former is not None
    send(builder.settings.queue, [rated(1, 5)], seed=1)
    _until_idle(builder)
    builder.state.put(STATE, former[0], ObjectHeaders("application/zip", "no-store"), "")

    def kill(reached: str) -> None:
        if reached == step:
            raise Killed

    builder.on_step = kill
    with suppress(Killed):
        builder.run()
    builder.on_step = lambda _: None
    _until_idle(other_than(builder, tmp_path / "other"))

    assert figures_in(builder.settings.state_bucket, tmp_path / "read")[1][0] == 3
    assert_published(builder, tmp_path / "check")


def test_a_state_with_damaged_content_is_told_as_such(builder: BuilderLambda) -> None:
    stored = builder.state.get(STATE)
    assert stored is not None
    torn = bytearray(stored[0])
    torn[60:4000] = os.urandom(3940)
    builder.state.put(STATE, bytes(torn), ObjectHeaders("application/zip", "no-store"), "")

    with pytest.raises(PublishError, match="not the state of a site"):
        builder.run()
