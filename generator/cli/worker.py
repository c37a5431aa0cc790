"""`worker` and `queue`: consume a queue, and show its depth."""

import json
import logging
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import typer

from generator.adapters.queues import MarkedQueue, open_queue
from generator.adapters.s3.owner_mark import OwnerMark
from generator.adapters.settings import Settings
from generator.build.engine import Engine
from generator.cli.help import PUBLISH, hidden_option, renamed_flag
from generator.cli.options import (
    AcceptLoss,
    Config,
    Jobs,
    Json,
    Library,
    Nice,
    Out,
    Verbose,
    app,
    now,
    settings_with,
    shipped,
    show,
    start_log,
    tell_line,
    tell_published,
    watching_on,
    workers_of,
)
from generator.core.build_receipt import Receipt
from generator.core.errors import QueueError, SettingsError
from generator.core.library.bucket_roots import places_of
from generator.core.model import Event
from generator.core.queue import messages
from generator.core.queue.messages import MessageError, ObjectNotification
from generator.core.queue.queue import OwnerMarkUnsupportedError, Queue, ReceivedMessage
from generator.scan.observe import LibraryScan
from generator.scan.probe import DryRunWorkers
from generator.watch.build_loop import BuildLoop
from generator.worker.api_state_sync import SharedStateSync
from generator.worker.in_flight import USUAL_TIMING
from generator.worker.publish_schedule import SitePublisher
from generator.worker.worker import EventLoop, Worker

log = logging.getLogger(__name__)

_OF_QUEUE = "the queue {} is consumed by"
_MAX_TOLD = 100  # dead letters, one by one
_REDIS = ("redis://", "rediss://", "unix://")


@app.command(rich_help_panel=PUBLISH)
def worker(
    library: Library = None,
    out_folder: Out = None,
    config: Config = None,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Take ownership from another worker.")
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", help="Process the waiting messages once, then exit.")
    ] = False,
    accept_loss: AcceptLoss = False,
    jobs: Jobs = None,
    nice: Nice = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Consume the queue: record, render and publish its events until stopped with Ctrl-C."""
    settings = _settings(config, library, out_folder, jobs=jobs, nice=nice)
    start_log(verbose=verbose, as_json=as_json)
    signal.signal(signal.SIGTERM, _interrupt)  # ends as Ctrl-C does: what is in hand goes back
    with ExitStack() as stack:
        queue = open_queue(settings.queue, visibility_s=USUAL_TIMING.keep_s)
        stack.callback(queue.close)
        try:
            queue.check()
        except QueueError as error:
            log.debug("cannot read the settings of the queue: %s", error)
        engine = stack.enter_context(Engine(settings, shipped("templates")))
        own = _owning(engine, settings, queue, take_over=take_over)
        works = Worker(settings, engine, queue, _publisher(engine, settings), own=own)
        works.sharing = stack.enter_context(_sharing(settings))
        works.on_published = partial(tell_published, as_json=as_json)
        try:
            if once:
                tell_line(works.drain(lambda: _look(engine, settings)), as_json=as_json)
                _tell_counts(works, as_json=as_json)
                return
            builds = stack.enter_context(_building(engine, settings))
            builds.accept_loss = accept_loss

            def hint(notices: Sequence[ObjectNotification]) -> None:
                builds.hint(places_of(notices, settings.buckets))

            works.on_notices = hint
            for receipt in works.run(builds):
                tell_line(receipt, as_json=as_json)
        except KeyboardInterrupt:  # how it is meant to be stopped
            log.info("stopped; unprocessed messages were returned to the queue")


def _tell_counts(works: Worker, *, as_json: bool) -> None:
    answer = {"taken": works.recorded, "refused": works.refused, "unreadable": works.unreadable}
    if not as_json:
        show(as_json, answer, ", ".join(f"{count} {name}" for name, count in answer.items()))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _settings(
    config: Path | None, library: list[str] | None, out: Path | None, **others: int | None
) -> Settings:
    """Return settings that name a queue; a library may be named."""
    settings = settings_with(config, library, out, **others)
    if not settings.queue:
        raise SettingsError(
            "no queue is configured",
            hint='set queue = "https://sqs…" or "redis://…" in reelshelf.toml, or REELSHELF_QUEUE;'
            " without a queue, use `reelshelf watch`",
        )
    return settings


def _look(engine: Engine, settings: Settings) -> Receipt:
    """Build, scanning the library if there is one."""
    if not settings.library:
        return engine.refresh(now())
    with workers_of(settings) as workers:
        return engine.refresh(now(), LibraryScan(settings, workers, time.time, pause=time.sleep))


@contextmanager
def _building(engine: Engine, settings: Settings) -> Iterator[BuildLoop]:
    """Yield the build loop: for the library and events, or for events alone."""
    if not settings.library:
        log.info("no library is configured: only events from the queue are processed")
        yield EventLoop(engine, settings, DryRunWorkers())
        return
    with watching_on(engine, settings) as watching:
        yield watching


def _owning(
    engine: Engine, settings: Settings, queue: MarkedQueue, *, take_over: bool
) -> Callable[[], object]:
    """Claim the site in the bucket and the queue; return a check that both are still owned.

    Raises:
        OwnerError: another worker owns one of them.
    """
    site, marks = engine.catalogue.identity(), [OwnerMark(queue.mark, what=_OF_QUEUE)]
    name = settings.state_bucket or settings.bucket
    if name:
        from generator.adapters.s3.bucket import Bucket  # noqa: PLC0415 (loads boto3)

        bucket = Bucket(name, endpoint=settings.s3_endpoint, region=settings.s3_region)
        marks.insert(0, OwnerMark(bucket))
    if not _has_mark(marks[-1]):
        marks.pop()
    if not marks:
        log.warning(
            "two workers with separate catalogues could both consume %s without noticing:"
            " allow sqs:ListQueueTags and sqs:TagQueue, set state_bucket, or make sure that"
            " only one worker runs",
            queue.mark.name,
        )

    def own(*, take_over: bool = False) -> None:
        for mark in () if take_over else marks:
            mark.check("home", site)  # all, before one is left
        for mark in marks:
            mark.claim("home", site, now(), take_over=take_over)

    try:
        own(take_over=take_over)
    except QueueError as error:
        log.warning("%s\n  ownership will be checked again; %s", error, error.hint)
    return own


def _has_mark(mark: OwnerMark) -> bool:
    """Return whether the queue can store an owner mark, as far as it can be reached."""
    try:
        mark.read()
    except OwnerMarkUnsupportedError as error:
        log.info("%s", error)
        return False
    except QueueError:
        return True
    return True


def _publisher(engine: Engine, settings: Settings) -> SitePublisher | None:
    """Return the publisher; None without a bucket."""
    if not settings.bucket:
        log.info("no bucket configured: messages are acknowledged after the local build")
        return None
    from generator.publish import publisher_of  # noqa: PLC0415 (loads boto3)

    return publisher_of(engine)


@contextmanager
def _sharing(settings: Settings) -> Iterator[SharedStateSync | None]:
    """Yield the sync of shared state to Redis, where the queue is one."""
    if not settings.queue.startswith(_REDIS):
        yield None
        return
    from api_lambda.credentials import kept_secret  # noqa: PLC0415 (the API's own; others lack it)
    from generator.adapters.redis_state import RedisState  # noqa: PLC0415 (loads redis)

    parts = urlsplit(settings.queue)
    asked = [(name, value) for name, value in parse_qsl(parts.query) if name != "stream"]
    shared = RedisState(urlunsplit(parts._replace(query=urlencode(asked))))
    try:
        yield SharedStateSync(shared, kept_secret(settings.state))
    finally:
        shared.close()


@app.command(name="queue", rich_help_panel=PUBLISH)
def queue_(
    config: Config = None,
    requeue: Annotated[
        bool, typer.Option("--requeue", help="Move dead letters back into the queue.")
    ] = False,
    put_back: Annotated[bool, hidden_option("--put-back")] = False,
    as_json: Json = False,
) -> None:
    """Show the depth of the queue and its dead letters; the exit code is 1 if there are any."""
    requeue = renamed_flag("--put-back", "--requeue", old_value=put_back, new_value=requeue)
    settings = _settings(config, None, None)
    queue = open_queue(settings.queue)
    try:
        count = queue.redrive() if requeue else 0
        answer, lines = _report(queue)
    finally:
        queue.close()
    if requeue:
        answer["requeued"] = count
        lines.append(f"{count} requeued; a worker will receive them again")
    show(as_json, answer, "\n".join(lines))
    if answer["dead"] and not requeue:
        raise typer.Exit(1)


def _report(queue: Queue) -> tuple[dict[str, Any], list[str]]:
    depth = queue.depth()
    dead = queue.dead(_MAX_TOLD) if depth.dead else []
    rows = [
        {"id": message.id, "times": message.times, "reason": _reason(message), "body": message.body}
        for message in dead
    ]
    oldest = "" if depth.oldest_s is None else f"; the oldest for {depth.oldest_s:.0f} s"
    lines = [
        f"waiting   {depth.waiting or 'none'}{oldest if depth.waiting else ''}",
        f"in flight {depth.in_flight or 'none'}{'' if depth.waiting else oldest}",
        f"dead      {depth.dead or 'none'}",
        *(f"  {message.id}\n    {_reason(message)}" for message in dead),
    ]
    if depth.dead > len(dead):
        lines.append(f"  and {depth.dead - len(dead)} more")
    if depth.dead:
        lines.append("once the cause is fixed: `reelshelf queue --requeue`")
    answer: dict[str, Any] = {
        "waiting": depth.waiting, "in_flight": depth.in_flight, "dead": depth.dead,
        "oldest_s": depth.oldest_s, "messages": rows,
    }  # fmt: skip
    return answer, lines


def _reason(message: ReceivedMessage) -> str:
    """Return why a message is a dead letter, as far as its body shows."""
    try:
        event = messages.decode_message(message.body, time.time_ns() // 1000)
    except MessageError as error:
        return f"{error}: {json.dumps(message.body[:80])}"
    if isinstance(event, Event):
        return f"{event.kind} of the video {event.video} is readable; it reached the receive limit"
    return "a notice of a bucket is readable; it reached the receive limit"
