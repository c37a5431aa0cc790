"""The desk beside the catalogue: what people do is recorded at once, and what is known is told.

One method for each operation, what people do in `deeds`.
"""

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from http import HTTPStatus
from threading import Lock
from typing import Annotated

from fastapi import Query
from typing_extensions import override

from api_lambda import deciding, shapes
from api_lambda.access import Role
from api_lambda.asking import (
    Answer,
    Asking,
    Event,
    Id,
    Reading,
    Writing,
    answer,
    key_of,
    moment,
    no_video,
    told_figures,
)
from api_lambda.deeds import Deeds, Rules
from api_lambda.problems import Problem, unavailable
from api_lambda.proving import kept_secret
from api_lambda.recording import NotRecordedError, Recorder
from generator.adapters.catalogue import Catalogue
from generator.adapters.ledger import receipt_since
from generator.core import addresses, wording
from generator.core.errors import ReelshelfError
from generator.core.model import Figures, Happening, Outcome, Place, Verdict, VideoId
from generator.core.model import Problem as FileProblem

_MOST_CHANGED = 1000  # videos in one answer about what changed
_MOST_EVENTS = 20_000  # and events to read for it
_MOST_PROBLEMS = 100  # in one answer
_POLL_S = 0.05


class Desk(Deeds):
    """The catalogue behind the API, and everything that can be asked of it."""

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self._file = rules.state / "catalogue.db"
        self._recorder = Recorder(lambda: Catalogue(self._file, durable=rules.durable))
        self._lock = Lock()
        self._reader: Catalogue | None = None
        self._kept = b""
        self._salt = ("", b"")

    def close(self) -> None:
        """Finish what was accepted, and let go of the catalogue."""
        self._recorder.close()
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    # -- who asks

    @property
    def reader(self) -> Catalogue:
        """Return the catalogue to read from, opened when it is first needed.

        Raises:
            ReelshelfError: it cannot be opened.
        """
        if self._reader is None:
            with self._lock:
                if self._reader is None:
                    self._reader = Catalogue(self._file, any_thread=True)
        return self._reader

    def refusal_of(self, error: Exception) -> Problem | None:
        """Return how to tell that something is out of reach; None for what nobody expected."""
        if isinstance(error, NotRecordedError | ReelshelfError):
            return unavailable(str(error))
        if isinstance(error, sqlite3.Error | OSError):
            return unavailable(f"the catalogue is out of reach: {error}")
        return None

    @property
    @override
    def _tokens(self) -> Sequence[tuple[str, str]]:
        return self.reader.keys.valid()

    @property
    @override
    def _secret(self) -> bytes:
        if not self._kept:
            self._kept = kept_secret(self._rules.state)
        return self._kept

    @override
    async def _salt_of(self, day: str) -> bytes:
        if self._salt[0] != day:
            self._salt = day, await self._recorder.do(lambda catalogue: catalogue.keys.salt(day))
        return self._salt[1]

    async def retry(self, asking: Writing, body: shapes.Retry) -> Answer:
        """Have files with a problem tried again, and the library looked at for it."""
        key = key_of(asking)
        places = [Place(one.root, deciding.path_meant(one.path)) for one in body.places] or None
        wanted = None if places is None else {(one.root, one.path) for one in places}
        found = [one.place for one in await asyncio.to_thread(self.reader.problems)]
        cleared = [
            deciding.cleared(key, place, asking.now)
            for place in found
            if wanted is None or (place.root, place.path) in wanted
        ]
        wish = deciding.retry(key, places, asking.now)

        def record(catalogue: Catalogue) -> None:
            if catalogue.event_by_id(key) is None:  # else it was told before, or is not to be told
                catalogue.append([*cleared, wish])  # all at once, or a look might come too early

        await self._recorder.do(record)
        return await self._wish(wish)

    @override
    async def _wish(self, wish: Happening) -> Answer:
        outcome = await self._record(wish)
        told = {"event": outcome.id, "seq": outcome.seq, "receipt": self._receipt_at(outcome.id)}
        return answer(told, HTTPStatus.ACCEPTED)

    @override
    async def _write(self, asking: Asking, happening: Happening) -> Answer:
        del asking
        outcome = await self._record(happening)
        assert outcome.figures is not None, "an event about a video has its figures"
        told = {
            "event": outcome.id,
            "seq": outcome.seq,
            "at": moment(outcome.at),
            "video": told_figures(outcome.figures),
            "receipt": self._receipt_at(outcome.id),
        }
        return answer(told)

    async def _record(self, happening: Happening) -> Outcome:
        outcome = await self._recorder.record(happening)
        if outcome.verdict is Verdict.UNKNOWN_VIDEO:
            raise no_video()
        if outcome.verdict is Verdict.ID_IN_USE:
            raise Problem(
                HTTPStatus.CONFLICT, "this Idempotency-Key was sent with something else before"
            )
        return outcome

    def _receipt_at(self, event: str) -> str:
        return f"{self._rules.base}/api/receipts/{event}"

    # -- what is known

    async def video(self, asking: Reading, id: Id) -> Answer:  # noqa: A002
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

    async def state(self, asking: Reading, query: Annotated[shapes.Since, Query()]) -> Answer:
        """Tell which videos differ since a version, for pages that lie in a cache."""
        del asking
        reader = self.reader
        version, since = reader.last_event(), query.since
        videos: list[Figures] = []
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
        self, asking: Reading, event: Event, query: Annotated[shapes.Wait, Query()]
    ) -> Answer:
        """Tell whether pages show an event, at the latest after `wait` seconds."""
        del asking
        known = self.reader.event_by_id(event)
        if known is None:
            raise Problem(HTTPStatus.NOT_FOUND, "there is no such event")
        seq = known[0]
        receipt = receipt_since(self._rules.state / "ledger.db", seq)
        loop = asyncio.get_running_loop()
        until = loop.time() + query.wait
        while receipt is None and loop.time() < until:
            await asyncio.sleep(min(_POLL_S, until - loop.time()))
            receipt = receipt_since(self._rules.state / "ledger.db", seq)
        refresh = None if receipt is None else json.loads(receipt)
        state = "waiting" if receipt is None else "shown"
        return answer({"event": event, "seq": seq, "state": state, "refresh": refresh})

    async def random(self, asking: Reading, query: Annotated[shapes.Wanted, Query()]) -> Answer:
        """Draw a video, each as likely as any."""
        del asking
        reader = self.reader
        tag = None if query.tag is None else wording.tag_of(query.tag)
        video = reader.random(tag=tag, favorite=query.favorite, stars=query.stars)
        named = None if video is None else reader.name_of(video)
        if video is None or named is None:
            raise Problem(HTTPStatus.NOT_FOUND, "there is no such video")
        slug, title = named
        return answer({"id": video, "title": title, "url": self._address(video, slug)})

    async def problems(self, asking: Reading, query: Annotated[shapes.After, Query()]) -> Answer:
        """Tell which files are not, or not wholly, shown, and why."""
        del asking
        return answer(await asyncio.to_thread(self._problems, query.after))

    def _problems(self, after: str) -> dict[str, object]:
        found = self.reader.problems()
        shown, following = deciding.problems_after(found, after, _MOST_PROBLEMS)
        told = [_told_problem(one) for one in shown]
        return {"total": len(found), "problems": told, "next": following}

    async def health(self, asking: Reading) -> Answer:
        """Tell that the catalogue can be read."""
        del asking
        return answer({"status": "ok", "version": self.reader.last_event()})

    def _address(self, video: VideoId, slug: str) -> str:
        return f"{self._rules.base}/{addresses.watch_page(video, slug)}"


def _told_problem(problem: FileProblem) -> dict[str, object]:
    root, path = problem.place.root, problem.place.path
    name = wording.readable("/".join(part for part in (root, path) if part))
    return {
        "root": root,
        "path": deciding.path_told(path),
        "name": name or ".",
        "stage": problem.stage,
        "reason": wording.readable(problem.reason),
        "at": moment(problem.at),
    }
