"""What the API does for somebody whom the door let in: one method for each operation.

The annotations are the contract that OpenAPI tells. What the methods get was checked by the door.
"""

import asyncio
import json
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import Annotated, Literal

from fastapi import Body, Depends, Header, Query
from fastapi import Path as InPath
from pydantic_core import to_json

from api_lambda import deciding, shapes
from api_lambda.access import Caller, Proofs, Role, client_of, is_encrypted, may
from api_lambda.limiting import Limit
from api_lambda.problems import Problem, too_many, unavailable, wrong_token
from api_lambda.proving import (
    END_OF_SESSION,
    Cookies,
    cookies_of,
    kept_secret,
    token_of,
)
from api_lambda.recording import NotRecordedError, Recorder
from generator.adapters.catalogue import Catalogue
from generator.adapters.ledger import receipt_since
from generator.core import addresses, wording
from generator.core.errors import ReelshelfError
from generator.core.model import Figures, Happening, Outcome, Place, Verdict, VideoId
from generator.core.model import Problem as FileProblem

_LOGINS, _LOGINS_S = 15, 300
_MOST_CHANGED = 1000  # videos in one answer about what changed
_MOST_EVENTS = 20_000  # and events to read for it
_MOST_PROBLEMS = 100  # in one answer
_POLL_S = 0.05
_KEY_BYTES = 12


@dataclass(frozen=True, slots=True)
class Rules:
    """What the desk goes by; see `ApiConfig`, of which it is the part that matters here."""

    state: Path
    base: str
    durable: bool
    visitors_may: frozenset[str]
    proxies: frozenset[str]


@dataclass(slots=True)
class Asking:
    """One request that was let in; `key` is the event's id, or "" where none was sent."""

    caller: Caller
    role: Role
    now: int
    key: str
    cookies: list[str] = field(default_factory=list)  # to be set


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back: JSON, or nothing."""

    body: bytes = b""
    status: int = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


def _at_the_door() -> Asking:
    """Stand for what the door hands over, so that the contract does not tell of it."""
    raise NotImplementedError


def _with_key(
    idempotency_key: Annotated[
        str | None,
        Header(
            pattern=shapes.KEY_PATTERN,
            description="the event's id: sent again with it, a write changes nothing",
        ),
    ] = None,
    reelshelf_as: Annotated[
        str | None,
        Header(
            description='"owner": refused when the session is over, not taken for a visitor\'s',
            examples=["owner"],
        ),
    ] = None,
) -> Asking:
    """Stand for the same, of a request that may bring the id of its event."""
    raise NotImplementedError


Reading = Annotated[Asking, Depends(_at_the_door)]
Writing = Annotated[Asking, Depends(_with_key)]
Id = Annotated[int, InPath(description="a video's number", examples=[17])]
Tag = Annotated[str, InPath(description="a tag, in any spelling", examples=["fjord"])]
Event = Annotated[
    str, InPath(description="an event's id", examples=["562a77b1f7b6130a7024654a5f589c3a"])
]


class Desk:
    """The catalogue behind the API, and everything that can be asked of it."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._file = rules.state / "catalogue.db"
        self._recorder = Recorder(lambda: Catalogue(self._file, durable=rules.durable))
        self._logins = Limit(_LOGINS, _LOGINS_S)
        self._lock = Lock()
        self._reader: Catalogue | None = None
        self._cookies: Cookies | None = None
        self._secret = b""
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

    def any_token(self) -> bool:
        """Tell whether there is a valid token."""
        return bool(self.reader.keys.valid())

    def proofs(self, caller: Caller, now: int) -> Proofs:
        """Return what a request brings to prove the owner."""
        scheme, _, secret = caller.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            token = token_of(secret.strip(), self.reader.keys.valid())
            return Proofs(wrong_bearer=not token, bearer=token)
        header = caller.headers.get("cookie", "")
        if "__Host-reelshelf=" not in header:
            return Proofs()
        token = self.signed.token(cookies_of(header), now)
        valid = token and any(token == one for one, _ in self.reader.keys.valid())
        return Proofs(session=token if valid else "")

    @property
    def signed(self) -> Cookies:
        """Return what makes and reads cookies."""
        if self._cookies is None:
            self._secret = kept_secret(self._rules.state)
            self._cookies = Cookies(self._secret)
        return self._cookies

    def _visitor(self, asking: Asking) -> str | None:
        """Return who a visitor is, None for the owner; who is new gets a cookie to be known by."""
        if asking.role is Role.OWNER:
            return None
        signed = self.signed
        name = signed.pseudonym(cookies_of(asking.caller.headers.get("cookie", "")))
        if not name:
            name = deciding.pseudonym(self._secret, _key(asking))
            asking.cookies.append(signed.visitor(name, secure=is_encrypted(asking.caller)))
        return name

    # -- what people do

    async def rate(self, asking: Writing, id: Id, body: shapes.Stars) -> Answer:  # noqa: A002
        """Rate a video."""
        visitor = self._visitor(asking)
        return await self._write(
            asking, deciding.rating(_key(asking), VideoId(id), body.stars, visitor, asking.now)
        )

    async def unrate(self, asking: Writing, id: Id) -> Answer:  # noqa: A002
        """Take a rating back."""
        visitor = self._visitor(asking)
        return await self._write(
            asking, deciding.rating(_key(asking), VideoId(id), None, visitor, asking.now)
        )

    async def favor(self, asking: Writing, id: Id) -> Answer:  # noqa: A002
        """Make a video a favorite."""
        return await self._favorite(asking, id, is_one=True)

    async def unfavor(self, asking: Writing, id: Id) -> Answer:  # noqa: A002
        """Make a video no favorite."""
        return await self._favorite(asking, id, is_one=False)

    async def _favorite(self, asking: Asking, video: int, *, is_one: bool) -> Answer:
        visitor = self._visitor(asking)
        return await self._write(
            asking,
            deciding.favorite(_key(asking), VideoId(video), visitor, asking.now, is_one=is_one),
        )

    async def view(
        self,
        asking: Writing,
        id: Id,  # noqa: A002
        body: Annotated[shapes.Visit | None, Body()] = None,
    ) -> Answer:
        """Count a view; the same visit counts once an hour, however often it is told."""
        key = asking.key
        if not key:
            salt = await self._salt_of(deciding.day_of(asking.now))
            visit = body.visit if body is not None and body.visit else None
            if visit is None:
                headers = asking.caller.headers
                address = client_of(asking.caller, self._rules.proxies)
                visit = deciding.visit_of(salt, address, headers.get("user-agent", ""))
            key = deciding.view_id(salt, VideoId(id), visit, asking.now)
        return await self._write(asking, deciding.view(key, VideoId(id), asking.role, asking.now))

    async def _salt_of(self, day: str) -> bytes:
        if self._salt[0] != day:
            self._salt = day, await self._recorder.do(lambda catalogue: catalogue.keys.salt(day))
        return self._salt[1]

    async def set_tags(self, asking: Writing, id: Id, body: shapes.Tags) -> Answer:  # noqa: A002
        """Give a video exactly these tags."""
        return await self._tag(asking, id, "set", body.tags)

    async def add_tags(self, asking: Writing, id: Id, body: shapes.Tags) -> Answer:  # noqa: A002
        """Give a video these tags too."""
        return await self._tag(asking, id, "add", body.tags)

    async def remove_tags(self, asking: Writing, id: Id) -> Answer:  # noqa: A002
        """Take all tags of a video."""
        return await self._tag(asking, id, "set", [])

    async def remove_tag(self, asking: Writing, id: Id, tag: Tag) -> Answer:  # noqa: A002
        """Take one tag of a video."""
        return await self._tag(asking, id, "remove", [tag])

    async def _tag(
        self, asking: Asking, video: int, how: Literal["set", "add", "remove"], given: list[str]
    ) -> Answer:
        names = deciding.tag_names(given)
        return await self._write(
            asking, deciding.tags(_key(asking), VideoId(video), how, names, asking.now)
        )

    async def rebuild(
        self, asking: Writing, body: Annotated[shapes.Rebuild | None, Body()] = None
    ) -> Answer:
        """Ask for a look at the library, or for every page anew."""
        full = body is not None and body.full
        return await self._wish(deciding.rebuild(_key(asking), asking.now, full=full))

    async def retry(self, asking: Writing, body: shapes.Retry) -> Answer:
        """Have files with a problem tried again, and the library looked at for it."""
        key = _key(asking)
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

    async def _wish(self, wish: Happening) -> Answer:
        outcome = await self._record(wish)
        told = {"event": outcome.id, "seq": outcome.seq, "receipt": self._receipt_at(outcome.id)}
        return _answer(told, HTTPStatus.ACCEPTED)

    async def _write(self, asking: Asking, happening: Happening) -> Answer:
        del asking
        outcome = await self._record(happening)
        assert outcome.figures is not None, "an event about a video has its figures"
        told = {
            "event": outcome.id,
            "seq": outcome.seq,
            "at": _moment(outcome.at),
            "video": _told(outcome.figures),
            "receipt": self._receipt_at(outcome.id),
        }
        return _answer(told)

    async def _record(self, happening: Happening) -> Outcome:
        outcome = await self._recorder.record(happening)
        if outcome.verdict is Verdict.UNKNOWN_VIDEO:
            raise _no_video()
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
            raise _no_video()
        slug, title = named
        (figures,) = reader.figures([video])
        mine = (figures.stars, figures.favorite)
        if asking.role is Role.VISITOR:
            mine = (None, False)
            if self._rules.visitors_may & {"rate", "favorite"}:
                mine = reader.mark_of(video, self._visitor(asking) or "")
        told = {
            **_told(figures),
            "title": title,
            "url": self._address(video, slug),
            "you": {**self._session(asking), "stars": mine[0], "favorite": mine[1]},
        }
        return _answer(told)

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
        told = {"version": version, "complete": complete, "videos": [_told(one) for one in videos]}
        return _answer(told)

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
        return _answer({"event": event, "seq": seq, "state": state, "refresh": refresh})

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
        return _answer({"id": video, "title": title, "url": self._address(video, slug)})

    async def problems(self, asking: Reading, query: Annotated[shapes.After, Query()]) -> Answer:
        """Tell which files are not, or not wholly, shown, and why."""
        del asking
        return _answer(await asyncio.to_thread(self._problems, query.after))

    def _problems(self, after: str) -> dict[str, object]:
        found = self.reader.problems()
        shown, following = deciding.problems_after(found, after, _MOST_PROBLEMS)
        told = [_told_problem(one) for one in shown]
        return {"total": len(found), "problems": told, "next": following}

    async def health(self, asking: Reading) -> Answer:
        """Tell that the catalogue can be read."""
        del asking
        return _answer({"status": "ok", "version": self.reader.last_event()})

    def _address(self, video: VideoId, slug: str) -> str:
        return f"{self._rules.base}/{addresses.watch_page(video, slug)}"

    # -- sessions

    async def session(self, asking: Reading) -> Answer:
        """Tell who asks, and what he may."""
        return _answer(self._session(asking))

    def _session(self, asking: Asking) -> dict[str, object]:
        return {"role": asking.role, "may": may(asking.role, self._rules.visitors_may)}

    async def log_in(self, asking: Reading, body: shapes.Secret) -> Answer:
        """Begin a session with a token: a cookie that proves the owner."""
        client = client_of(asking.caller, self._rules.proxies)
        wait_s = self._logins.wait_s(client, asking.now)
        if wait_s:
            raise too_many(wait_s)
        token = token_of(body.token.strip(), self.reader.keys.valid())
        if not token:
            raise wrong_token()
        asking.cookies.append(self.signed.session(token, asking.now))
        return Answer(status=HTTPStatus.NO_CONTENT)

    async def log_out(self, asking: Reading) -> Answer:
        """End the session of this browser."""
        asking.cookies.append(END_OF_SESSION)
        return Answer(status=HTTPStatus.NO_CONTENT)


def refusal_of(error: Exception) -> Problem | None:
    """Return how to tell that something is out of reach; None for what nobody expected."""
    if isinstance(error, NotRecordedError | ReelshelfError):
        return unavailable(str(error))
    if isinstance(error, sqlite3.Error | OSError):
        return unavailable(f"the catalogue is out of reach: {error}")
    return None


_moment = lru_cache(maxsize=64)(wording.rfc3339)  # many answers tell the same second


def _key(asking: Asking) -> str:
    """Return the event's id; ids of one time begin alike, so that they stand together on disk."""
    return asking.key or f"{asking.now:08x}{os.urandom(_KEY_BYTES).hex()}"


def _no_video() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "there is no such video")


def _told(figures: Figures) -> dict[str, object]:
    rating = None
    if figures.score_tenths is not None:
        rating = {"mean": figures.score_tenths / 10, "votes": figures.votes}
    return {
        "id": figures.id,
        "version": figures.version,
        "stars": figures.stars,
        "rating": rating,
        "views": figures.views,
        "favorite": figures.favorite,
        "tags": figures.tags,
    }


def _told_problem(problem: FileProblem) -> dict[str, object]:
    root, path = problem.place.root, problem.place.path
    name = wording.readable("/".join(part for part in (root, path) if part))
    return {
        "root": root,
        "path": deciding.path_told(path),
        "name": name or ".",
        "stage": problem.stage,
        "reason": wording.readable(problem.reason),
        "at": _moment(problem.at),
    }


def _answer(told: Mapping[str, object], status: int = HTTPStatus.OK) -> Answer:
    return Answer(to_json(told), status)
