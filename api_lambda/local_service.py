"""The service with a catalogue: writes are recorded at once, and everything can be read.

One method for each operation; those that write are in `service`.
"""

import asyncio
import json
import logging
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from threading import Lock
from typing import Annotated

from fastapi import Query
from typing_extensions import override

from api_lambda import events, schemas
from api_lambda.catalogue_reopening import CatalogueFile, OpenCatalogue
from api_lambda.context import (
    EventId,
    Id,
    Reading,
    RequestContext,
    Response,
    Writing,
    json_response,
    key_of,
    moment,
    no_video,
    stats_json,
)
from api_lambda.credentials import Session, kept_secret
from api_lambda.event_writer import EventWriter, NotRecordedError
from api_lambda.permissions import Role, client_of
from api_lambda.problems import Problem, failing_site, unavailable
from api_lambda.read_cache import ReadCache
from api_lambda.receipt_polling import ReceiptWatch
from api_lambda.request_log import REQUEST_ID
from api_lambda.service import Service, ServiceSettings
from generator.adapters.catalogue import Catalogue
from generator.adapters.next_video import following_pages
from generator.core import formatting
from generator.core.errors import ReelshelfError
from generator.core.model import (
    Event,
    EventOutcome,
    EventVerdict,
    FileProblem,
    Place,
    VideoId,
    VideoStats,
    ViewerKey,
)
from generator.core.site import list_json, urls

_MAX_CHANGED = 1000  # videos in one answer about what changed
_MAX_EVENTS = 20_000  # and events to read for it
_MAX_PROBLEMS = 100  # in one answer
# of a receipt: they name files of the server, and requests of others
_NOT_PUBLIC: Mapping[str, object] = {"failures": {}, "requests": []}
_BUSY, _REFUSED = "the catalogue is locked by another program", "writes are refused"
_PATIENCE_S = 3.0  # how long a health check waits for other writers
_PROBE_EVERY_S = 5.0  # after a write was refused
_MIN_FREE_BYTES = 64 * 1024  # what SQLite needs for a batch of events

log = logging.getLogger(__name__)


class LocalService(Service):
    """The API's operations on a catalogue."""

    def __init__(
        self, settings: ServiceSettings, count_read: Callable[[str], None] = lambda _: None
    ) -> None:
        super().__init__(settings)
        self.cache = ReadCache(count_read)
        self.site_checks: Callable[[], Awaitable[dict[str, str]]] | None = None
        self._file = CatalogueFile(settings.state / "catalogue.db")
        self._writer = EventWriter(
            lambda: Catalogue(self._file.path, durable=settings.durable), self._file
        )
        self._receipts = ReceiptWatch(settings.state / "ledger.db", self._event_id)
        self._lock = Lock()
        self._opened: OpenCatalogue | None = None
        self._cookie_secret = (0, b"")
        self._salt = (0, "", b"")
        self._probe_not_before_s = 0.0

    def close(self) -> None:
        """Record what was accepted, and close the catalogue."""
        self._writer.close()
        with self._lock:
            if self._opened is not None:
                self._opened.catalogue.close()
                self._opened = None

    # -- authentication

    @property
    def reader(self) -> Catalogue:
        """Return the catalogue to read from: the one that is at its path now.

        Raises:
            ReelshelfError: there is none, or it cannot be opened.
        """
        opened = self._opened
        if opened is None or not opened.is_current():
            with self._lock:
                # Not closed here: another thread may be reading from the former one.
                opened = self._opened = self._file.open(
                    lambda: Catalogue(self._file.path, any_thread=True)
                )
        return opened.catalogue

    def _event_id(self, number: int) -> str:
        return self.reader.event_id(number)

    def problem_of(self, error: Exception) -> Problem | None:
        """Return the problem for an expected error; None for any other."""
        if isinstance(error, NotRecordedError):  # logged already, with what is not public
            return unavailable(error.public)
        if isinstance(error, ReelshelfError | sqlite3.Error | OSError):
            if str(error) != self._file.trouble:  # which was logged already
                log.warning("request failed: %s  %s", error, getattr(error, "hint", ""))
            return unavailable("the catalogue is unavailable")
        return None

    @property
    @override
    def _tokens(self) -> Sequence[tuple[str, str]]:
        return self.reader.tokens.valid()

    @property
    @override
    def _viewers(self) -> Sequence[ViewerKey]:
        return self.reader.tokens.viewers()

    @override
    def had_token(self) -> bool:
        return self.reader.tokens.had_any()

    @override
    async def _is_session_ended(self, session: str) -> bool:
        return self.reader.tokens.is_ended(session)

    @override
    async def _end_session(self, session: Session, now: int) -> None:
        await self._writer.do(lambda catalogue: catalogue.tokens.end(session.id, session.end, now))

    @property
    @override
    def _secret(self) -> bytes:
        reader, generation = self.reader, self._file.generation  # no secret without a catalogue
        del reader
        if not self._cookie_secret[1] or self._cookie_secret[0] != generation:
            self._cookie_secret = generation, kept_secret(self._settings.state)
        return self._cookie_secret[1]

    @override
    async def _salt_of(self, day: str) -> bytes:
        generation = self._file.generation
        if self._salt[:2] != (generation, day):
            salt = await self._writer.do(lambda catalogue: catalogue.tokens.salt(day))
            self._salt = generation, day, salt
        return self._salt[2]

    async def revoke(self, token: str, now: int) -> None:
        """Revoke a token; one that is revoked or unknown stays as it is."""
        await self._writer.do(lambda catalogue: catalogue.tokens.revoke(token, now))

    async def retry(self, request: Writing, body: schemas.Retry) -> Response:
        """Request that files with a problem are retried in a new scan of the library."""
        key = key_of(request)
        places = [
            Place(problem.root, events.decode_path(problem.path)) for problem in body.places
        ] or None
        selected = None if places is None else {(problem.root, problem.path) for problem in places}
        with_problem = [problem.place for problem in await asyncio.to_thread(self.reader.problems)]
        cleared = [
            events.cleared(key, place, request.now)
            for place in with_problem
            if selected is None or (place.root, place.path) in selected
        ]
        rebuild = events.retry(key, places, request.now)

        def record(catalogue: Catalogue) -> None:
            if catalogue.event_by_id(key) is None:  # else it was sent before, or is refused
                catalogue.append([*cleared, rebuild])  # all at once, or a scan might come too early

        await self._writer.do(record)
        return await self._accept(rebuild)

    @override
    async def _accept(self, event: Event) -> Response:
        outcome = await self._record(event)
        body = {"event": outcome.id, "seq": outcome.seq, "receipt": self._receipt_at(outcome.id)}
        return json_response(body, HTTPStatus.ACCEPTED)

    @override
    async def _write(self, request: RequestContext, event: Event) -> Response:
        del request
        outcome = await self._record(event)
        if outcome.stats is None:  # sent before, and its video is gone since
            raise no_video()
        body = {
            "event": outcome.id,
            "seq": outcome.seq,
            "at": moment(outcome.at),
            "video": stats_json(outcome.stats),
            "receipt": self._receipt_at(outcome.id),
        }
        return json_response(body)

    async def _record(self, event: Event) -> EventOutcome:
        outcome = await self._writer.record(replace(event, request_id=REQUEST_ID.get()))
        if outcome.verdict is EventVerdict.UNKNOWN_VIDEO:
            raise no_video()
        if outcome.verdict is EventVerdict.ID_IN_USE:
            raise Problem(
                HTTPStatus.CONFLICT, "this Idempotency-Key was used for another request before"
            )
        return outcome

    def _receipt_at(self, event: str) -> str:
        return f"{self._settings.base}/api/receipts/{event}"

    # -- reading

    async def video(self, request: Reading, id: Id) -> Response:  # noqa: A002
        """Return a video's rating, views and tags, and what the caller may do."""
        reader, video = self.reader, VideoId(id)
        cached = self.cache.video(reader, video)
        if cached is None:
            raise no_video()
        slug, title, stats = cached
        mine = (stats.stars, stats.favorite)
        if request.role is not Role.OWNER:
            mine = (None, False)
            if self._settings.visitors_may & {"rate", "favorite"}:
                mine = reader.mark_of(video, self._visitor(request) or "")
        body = {
            **stats_json(stats),
            "title": title,
            "url": self._address(video, slug),
            "you": {**self._session(request), "stars": mine[0], "favorite": mine[1]},
        }
        return json_response(body)

    async def videos(
        self, request: Reading, query: Annotated[schemas.ListQuery, Query()]
    ) -> Response:
        """List the videos that have pages, in parts, ascending by id."""
        del request
        return json_response(await asyncio.to_thread(self._videos, query.after, query.limit))

    def _videos(self, after: int, limit: int) -> dict[str, object]:
        reader = self.reader
        ids = reader.shown_after(after, limit + 1)  # one more, to see whether there are more
        more, ids = ids[limit:], ids[:limit]
        stats = {video_stats.id: video_stats for video_stats in reader.stats(ids)}
        following = following_pages(self._settings.state / "ledger.db", ids)
        base = self._settings.base
        return {
            "videos": [
                list_json.entry(base, video, stats[video.id], following.get(video.id))
                for video in reader.shown(ids)
                if video.id in stats
            ],
            "after": ids[-1] if more else None,
        }

    async def changes(self, request: Reading, query: Annotated[schemas.Since, Query()]) -> Response:
        """Return the videos that changed since a version, for pages that come from a cache."""
        del request
        reader = self.reader
        version, since = reader.last_event(), query.since
        videos: list[VideoStats] = []
        complete = since is not None and version - since <= _MAX_EVENTS
        if since is not None and complete:
            changed = reader.changed_since(since)
            complete = len(changed) <= _MAX_CHANGED
            videos = reader.stats(changed) if complete else []
        body = {
            "version": version,
            "complete": complete,
            "videos": [stats_json(video_stats) for video_stats in videos],
        }
        return json_response(body)

    async def receipt(
        self, request: Reading, event: EventId, query: Annotated[schemas.Wait, Query()]
    ) -> Response:
        """Return whether pages show an event, at the latest after `wait` seconds."""
        recorded = self.reader.event_by_id(event)
        if recorded is None:
            raise Problem(HTTPStatus.NOT_FOUND, "there is no such event")
        seq, headers = recorded[0], {}
        receipt = self._receipts.now(seq, may_wait=query.wait > 0)
        if receipt is None and query.wait:
            client = client_of(request.caller, self._settings.proxies)
            if self._receipts.has_room(client):
                receipt = await self._receipts.wait(seq, query.wait, client)
            else:
                headers["Retry-After"] = "1"
        refresh = None if receipt is None else json.loads(receipt)
        if refresh is not None and request.role is not Role.OWNER:
            for name, empty in _NOT_PUBLIC.items():
                refresh = {**refresh, name: empty} if name in refresh else refresh
        state = "waiting" if receipt is None else "shown"
        response = json_response({"event": event, "seq": seq, "state": state, "refresh": refresh})
        return replace(response, headers=headers)

    async def random(
        self, request: Reading, query: Annotated[schemas.RandomQuery, Query()]
    ) -> Response:
        """Return a random video, all equally likely."""
        del request
        reader = self.reader
        tag = None if query.tag is None else formatting.normalize_tag(query.tag)
        video = reader.random(tag=tag, favorite=query.favorite, stars=query.stars)
        named = None if video is None else reader.name_of(video)
        if video is None or named is None:
            raise Problem(HTTPStatus.NOT_FOUND, "there is no such video")
        slug, title = named
        return json_response({"id": video, "title": title, "url": self._address(video, slug)})

    async def problems(
        self, request: Reading, query: Annotated[schemas.After, Query()]
    ) -> Response:
        """List the files that are not, or not completely, shown, and why."""
        del request
        return json_response(await asyncio.to_thread(self._problems, query.after))

    def _problems(self, after: str) -> dict[str, object]:
        problems = self.reader.problems()
        shown, following = events.problems_after(problems, after, _MAX_PROBLEMS)
        entries = [_problem_json(problem) for problem in shown]
        return {"total": len(problems), "problems": entries, "next": following}

    async def health(
        self, request: Reading, query: Annotated[schemas.HealthQuery, Query()]
    ) -> Response:
        """Check that the catalogue can be read, and as far as possible that it can be written.

        With `full` also that the builder keeps up, and that disk and backup are as they should be.
        """
        del request
        last_event = self.reader.last_event()
        await self._try_writing()
        if query.full and self.site_checks is not None:
            failing = await self.site_checks()
            if failing:
                raise failing_site(failing)
        return json_response({"status": "ok", "last_event": last_event})

    async def _try_writing(self) -> None:
        """Return if a write would succeed now; no events are touched by that.

        Only after a failed write something is written, to see whether that is over.
        """
        state = self._writer.state
        disk = os.statvfs(self._settings.state)
        if disk.f_blocks and disk.f_bavail * disk.f_frsize < _MIN_FREE_BYTES:
            raise unavailable("the disk is full", _REFUSED)
        if disk.f_flag & os.ST_RDONLY:
            raise unavailable("the disk is read-only", _REFUSED)
        if state.busy_s() > _PATIENCE_S:
            raise unavailable(_BUSY, _REFUSED)
        refusal, now_s = state.refusal, time.monotonic()
        if refusal and now_s < self._probe_not_before_s:
            raise unavailable("the last write failed", _REFUSED)
        attempt = Catalogue.try_room if refusal else Catalogue.try_lock
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._writer.do(attempt)
        except TimeoutError:
            raise unavailable(_BUSY, _REFUSED) from None
        except NotRecordedError as error:
            self._probe_not_before_s = now_s + _PROBE_EVERY_S
            raise unavailable(error.public, _REFUSED) from error
        if state.refusal == refusal:
            state.refusal = ""

    def _address(self, video: VideoId, slug: str) -> str:
        return f"{self._settings.base}/{urls.watch_path(video, slug)}"


def _problem_json(problem: FileProblem) -> dict[str, object]:
    root, path = problem.place.root, problem.place.path
    name = formatting.readable("/".join(part for part in (root, path) if part))
    return {
        "root": root,
        "path": events.encode_path(path),
        "name": name or ".",
        "stage": problem.stage,
        "reason": formatting.readable(problem.reason),
        "at": moment(problem.at),
    }
