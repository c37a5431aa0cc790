"""The desk beside the catalogue: what people do is recorded at once, and what is known is told.

One method for each operation, what people do in `deeds`.
"""

import asyncio
import json
import logging
import os
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from threading import Lock
from typing import Annotated

from fastapi import Query
from typing_extensions import override

from api_lambda import events, schemas
from api_lambda.catalogue_file import CatalogueFile, OpenCatalogue
from api_lambda.context import (
    EventId,
    Id,
    Reading,
    RequestContext,
    Response,
    Writing,
    answer,
    key_of,
    moment,
    no_video,
    told_figures,
)
from api_lambda.credentials import Session, kept_secret
from api_lambda.event_writer import EventWriter, NotRecordedError
from api_lambda.permissions import Role, client_of
from api_lambda.problems import Problem, unavailable
from api_lambda.receipts import ReceiptWatch
from api_lambda.service import Service, ServiceSettings
from generator.adapters.catalogue import Catalogue
from generator.adapters.up_next import following_pages
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
)
from generator.core.site import urls, video_list

_MOST_CHANGED = 1000  # videos in one answer about what changed
_MOST_EVENTS = 20_000  # and events to read for it
_MOST_PROBLEMS = 100  # in one answer
_BUSY, _REFUSED = "another program keeps the catalogue to itself", "writes are refused"
_PATIENCE_S = 3.0  # of a look at the API's health, with whoever else writes
_PROBE_EVERY_S = 5.0  # after a write was refused
_LEAST_FREE_BYTES = 64 * 1024  # as SQLite needs them for a batch of events

log = logging.getLogger(__name__)


class LocalService(Service):
    """The catalogue behind the API, and everything that can be asked of it."""

    def __init__(self, rules: ServiceSettings) -> None:
        super().__init__(rules)
        self._file = CatalogueFile(rules.state / "catalogue.db")
        self._recorder = EventWriter(
            lambda: Catalogue(self._file.path, durable=rules.durable), self._file
        )
        self._watch = ReceiptWatch(rules.state / "ledger.db")
        self._lock = Lock()
        self._opened: OpenCatalogue | None = None
        self._kept = (0, b"")
        self._salt = (0, "", b"")
        self._probe_not_before_s = 0.0

    def close(self) -> None:
        """Finish what was accepted, and let go of the catalogue."""
        self._recorder.close()
        with self._lock:
            if self._opened is not None:
                self._opened.catalogue.close()
                self._opened = None

    # -- who asks

    @property
    def reader(self) -> Catalogue:
        """Return the catalogue to read from: the one that lies at its path now.

        Raises:
            ReelshelfError: there is none, or it cannot be opened.
        """
        opened = self._opened
        if opened is None or not opened.is_current():
            with self._lock:
                # The former closes itself: another thread may be reading from it.
                opened = self._opened = self._file.open(
                    lambda: Catalogue(self._file.path, any_thread=True)
                )
        return opened.catalogue

    def refusal_of(self, error: Exception) -> Problem | None:
        """Return how to tell that something is out of reach; None for what nobody expected."""
        if isinstance(error, NotRecordedError):  # the log has it, with all that is not public
            return unavailable(error.public)
        if isinstance(error, ReelshelfError | sqlite3.Error | OSError):
            if str(error) != self._file.trouble:  # that is in the log already, once
                log.warning("not answered: %s  %s", error, getattr(error, "hint", ""))
            return unavailable("the catalogue is out of reach")
        return None

    @property
    @override
    def _tokens(self) -> Sequence[tuple[str, str]]:
        return self.reader.keys.valid()

    @override
    def had_token(self) -> bool:
        return self.reader.keys.had_any()

    @override
    async def _is_kept_as_ended(self, session: str) -> bool:
        return self.reader.keys.is_ended(session)

    @override
    async def _keep_as_ended(self, session: Session, now: int) -> None:
        await self._recorder.do(lambda catalogue: catalogue.keys.end(session.id, session.end, now))

    @property
    @override
    def _secret(self) -> bytes:
        reader, generation = self.reader, self._file.generation  # no secret without a catalogue
        del reader
        if not self._kept[1] or self._kept[0] != generation:
            self._kept = generation, kept_secret(self._rules.state)
        return self._kept[1]

    @override
    async def _salt_of(self, day: str) -> bytes:
        generation = self._file.generation
        if self._salt[:2] != (generation, day):
            salt = await self._recorder.do(lambda catalogue: catalogue.keys.salt(day))
            self._salt = generation, day, salt
        return self._salt[2]

    async def retry(self, asking: Writing, body: schemas.Retry) -> Response:
        """Have files with a problem tried again, and the library looked at for it."""
        key = key_of(asking)
        places = [Place(one.root, events.path_meant(one.path)) for one in body.places] or None
        wanted = None if places is None else {(one.root, one.path) for one in places}
        found = [one.place for one in await asyncio.to_thread(self.reader.problems)]
        cleared = [
            events.cleared(key, place, asking.now)
            for place in found
            if wanted is None or (place.root, place.path) in wanted
        ]
        wish = events.retry(key, places, asking.now)

        def record(catalogue: Catalogue) -> None:
            if catalogue.event_by_id(key) is None:  # else it was told before, or is not to be told
                catalogue.append([*cleared, wish])  # all at once, or a look might come too early

        await self._recorder.do(record)
        return await self._wish(wish)

    @override
    async def _wish(self, wish: Event) -> Response:
        outcome = await self._record(wish)
        told = {"event": outcome.id, "seq": outcome.seq, "receipt": self._receipt_at(outcome.id)}
        return answer(told, HTTPStatus.ACCEPTED)

    @override
    async def _write(self, asking: RequestContext, happening: Event) -> Response:
        del asking
        outcome = await self._record(happening)
        if outcome.figures is None:  # told before, and gone since
            raise no_video()
        told = {
            "event": outcome.id,
            "seq": outcome.seq,
            "at": moment(outcome.at),
            "video": told_figures(outcome.figures),
            "receipt": self._receipt_at(outcome.id),
        }
        return answer(told)

    async def _record(self, happening: Event) -> EventOutcome:
        outcome = await self._recorder.record(happening)
        if outcome.verdict is EventVerdict.UNKNOWN_VIDEO:
            raise no_video()
        if outcome.verdict is EventVerdict.ID_IN_USE:
            raise Problem(
                HTTPStatus.CONFLICT, "this Idempotency-Key was sent with something else before"
            )
        return outcome

    def _receipt_at(self, event: str) -> str:
        return f"{self._rules.base}/api/receipts/{event}"

    # -- what is known

    async def video(self, asking: Reading, id: Id) -> Response:  # noqa: A002
        """Tell what people made of a video, and what who asks may do."""
        reader, video = self.reader, VideoId(id)
        named = reader.name_of(video)
        if named is None:
            raise no_video()
        slug, title = named
        (figures,) = reader.figures([video])
        mine = (figures.stars, figures.favorite)
        if asking.role is Role.VISITOR:
            mine = (None, False)
            if self._rules.visitors_may & {"rate", "favorite"}:
                mine = reader.mark_of(video, self._visitor(asking) or "")
        told = {
            **told_figures(figures),
            "title": title,
            "url": self._address(video, slug),
            "you": {**self._session(asking), "stars": mine[0], "favorite": mine[1]},
        }
        return answer(told)

    async def videos(
        self, asking: Reading, query: Annotated[schemas.ListQuery, Query()]
    ) -> Response:
        """Tell of the videos that have pages, a part at a time, ascending by id."""
        del asking
        return answer(await asyncio.to_thread(self._videos, query.after, query.limit))

    def _videos(self, after: int, limit: int) -> dict[str, object]:
        reader = self.reader
        ids = reader.shown_after(after, limit + 1)  # the last one tells that there are more
        more, ids = ids[limit:], ids[:limit]
        figures = {one.id: one for one in reader.figures(ids)}
        following = following_pages(self._rules.state / "ledger.db", ids)
        base = self._rules.base
        return {
            "videos": [
                video_list.entry(base, video, figures[video.id], following.get(video.id))
                for video in reader.shown(ids)
                if video.id in figures
            ],
            "after": ids[-1] if more else None,
        }

    async def state(self, asking: Reading, query: Annotated[schemas.Since, Query()]) -> Response:
        """Tell which videos differ since a version, for pages that lie in a cache."""
        del asking
        reader = self.reader
        version, since = reader.last_event(), query.since
        videos: list[VideoStats] = []
        complete = since is not None and version - since <= _MOST_EVENTS
        if since is not None and complete:
            changed = reader.changed_since(since)
            complete = len(changed) <= _MOST_CHANGED
            videos = reader.figures(changed) if complete else []
        told = {
            "version": version,
            "complete": complete,
            "videos": [told_figures(one) for one in videos],
        }
        return answer(told)

    async def receipt(
        self, asking: Reading, event: EventId, query: Annotated[schemas.Wait, Query()]
    ) -> Response:
        """Tell whether pages show an event, at the latest after `wait` seconds."""
        known = self.reader.event_by_id(event)
        if known is None:
            raise Problem(HTTPStatus.NOT_FOUND, "there is no such event")
        seq, headers = known[0], {}
        receipt = self._watch.now(seq, may_wait=query.wait > 0)
        if receipt is None and query.wait:
            client = client_of(asking.caller, self._rules.proxies)
            if self._watch.has_room(client):
                receipt = await self._watch.wait(seq, query.wait, client)
            else:
                headers["Retry-After"] = "1"
        refresh = None if receipt is None else json.loads(receipt)
        if refresh is not None and asking.role is Role.VISITOR:
            refresh |= {"failures": {}}  # they name files of the server
        state = "waiting" if receipt is None else "shown"
        told = answer({"event": event, "seq": seq, "state": state, "refresh": refresh})
        return replace(told, headers=headers)

    async def random(
        self, asking: Reading, query: Annotated[schemas.RandomQuery, Query()]
    ) -> Response:
        """Draw a video, each as likely as any."""
        del asking
        reader = self.reader
        tag = None if query.tag is None else formatting.normalize_tag(query.tag)
        video = reader.random(tag=tag, favorite=query.favorite, stars=query.stars)
        named = None if video is None else reader.name_of(video)
        if video is None or named is None:
            raise Problem(HTTPStatus.NOT_FOUND, "there is no such video")
        slug, title = named
        return answer({"id": video, "title": title, "url": self._address(video, slug)})

    async def problems(self, asking: Reading, query: Annotated[schemas.After, Query()]) -> Response:
        """Tell which files are not, or not wholly, shown, and why."""
        del asking
        return answer(await asyncio.to_thread(self._problems, query.after))

    def _problems(self, after: str) -> dict[str, object]:
        found = self.reader.problems()
        shown, following = events.problems_after(found, after, _MOST_PROBLEMS)
        told = [_told_problem(one) for one in shown]
        return {"total": len(found), "problems": told, "next": following}

    async def health(self, asking: Reading) -> Response:
        """Tell that the catalogue can be read, and written to as far as that can be known."""
        del asking
        version = self.reader.last_event()
        await self._try_writing()
        return answer({"status": "ok", "version": version})

    async def _try_writing(self) -> None:
        """Return if somebody could write now; nobody's events are touched by that.

        Only after a refusal something is written, to see whether that is over.
        """
        state = self._recorder.state
        disk = os.statvfs(self._rules.state)
        if disk.f_blocks and disk.f_bavail * disk.f_frsize < _LEAST_FREE_BYTES:
            raise unavailable("the disk is full", _REFUSED)
        if disk.f_flag & os.ST_RDONLY:
            raise unavailable("the disk is read only", _REFUSED)
        if state.busy_s() > _PATIENCE_S:
            raise unavailable(_BUSY, _REFUSED)
        refusal, now_s = state.refusal, time.monotonic()
        if refusal and now_s < self._probe_not_before_s:
            raise unavailable("the last write was refused", _REFUSED)
        attempt = Catalogue.try_room if refusal else Catalogue.try_lock
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._recorder.do(attempt)
        except TimeoutError:
            raise unavailable(_BUSY, _REFUSED) from None
        except NotRecordedError as error:
            self._probe_not_before_s = now_s + _PROBE_EVERY_S
            raise unavailable(error.public, _REFUSED) from error
        if state.refusal == refusal:
            state.refusal = ""

    def _address(self, video: VideoId, slug: str) -> str:
        return f"{self._rules.base}/{urls.watch_path(video, slug)}"


def _told_problem(problem: FileProblem) -> dict[str, object]:
    root, path = problem.place.root, problem.place.path
    name = formatting.readable("/".join(part for part in (root, path) if part))
    return {
        "root": root,
        "path": events.path_told(path),
        "name": name or ".",
        "stage": problem.stage,
        "reason": formatting.readable(problem.reason),
        "at": moment(problem.at),
    }
