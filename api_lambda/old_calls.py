"""What scripts of a former video server call: a thin layer over the operations of today.

A video is named by its bare file name, or by its number. Permissions, rate limits and events are
those of the operations that are called in turn; only requests and answers have their old form.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Protocol

from fastapi import Path as InPath
from fastapi import Query

from api_lambda import events, schemas
from api_lambda.context import Reading, RequestContext, Response, Writing, json_response, no_video
from api_lambda.permissions import Role, client_of
from api_lambda.problems import Problem
from generator.core.model import VideoId

_RETRY_S = 2  # within that time the same toggle of one browser is a repeated request

Name = Annotated[str, InPath(description="a file name, or a number", examples=["My film.mp4"])]


@dataclass(frozen=True, slots=True)
class OldNames:
    """What is known of the library; each is slow, for it reads a file."""

    video_named: Callable[[str], VideoId | None]
    most_used_tags: Callable[[int], list[tuple[str, int]]]


class Operations(Protocol):
    """The operations of today that are called."""

    async def rate(self, request: Writing, id: int, body: schemas.Stars) -> Response: ...  # noqa: A002, D102
    async def unrate(self, request: Writing, id: int) -> Response: ...  # noqa: A002, D102
    async def favor(self, request: Writing, id: int) -> Response: ...  # noqa: A002, D102
    async def unfavor(self, request: Writing, id: int) -> Response: ...  # noqa: A002, D102
    async def view(self, request: Writing, id: int, body: None = None) -> Response: ...  # noqa: A002, D102
    async def add_tags(self, request: Writing, id: int, body: schemas.Tags) -> Response: ...  # noqa: A002, D102
    async def remove_tag(self, request: Writing, id: int, tag: str) -> Response: ...  # noqa: A002, D102
    async def video(self, request: Reading, id: int) -> Response: ...  # noqa: A002, D102


class OldCalls:
    """The old calls; `names` is None before a queue, where only numbers are understood."""

    def __init__(
        self,
        service: Operations,
        names: OldNames | None,
        salt_of: Callable[[str], Awaitable[bytes]],
        proxies: frozenset[str],
    ) -> None:
        self._service, self._names = service, names
        self._salt_of, self._proxies = salt_of, proxies

    async def old_rate(self, request: Writing, body: schemas.OldRating) -> Response:
        """Rate a video by its file name; 0 removes the rating."""
        return await self._rate(request, body.filename, body.rating)

    async def old_rating_set(
        self, request: Writing, name: Name, body: schemas.OldStars
    ) -> Response:
        """Rate a video; 0 removes the rating."""
        return await self._rate(request, name, body.rating)

    async def _rate(self, request: RequestContext, name: str, stars: int) -> Response:
        video = await self._video(name)
        if stars:
            await self._service.rate(request, video, schemas.Stars(stars=stars))
        else:
            await self._service.unrate(request, video)
        return _success(filename=name, rating=stars)

    async def old_rating(self, request: Reading, name: Name) -> Response:
        """Return the caller's rating of a video, the owner's, and the mean of the votes."""
        stats = await self._stats(request, name)
        votes = stats.get("rating") or {}
        mine = stats["you"].get("stars") if request.role is Role.VISITOR else None
        return json_response(
            {
                "filename": name,
                "rating": mine or stats.get("stars") or 0,
                "average": votes.get("mean", 0),
                "count": votes.get("votes", 0),
            }
        )

    async def old_view(self, request: Writing, body: schemas.OldVideo) -> Response:
        """Count a view of a video by its file name; once an hour for one browser."""
        response = await self._service.view(request, await self._video(body.filename))
        stats = json.loads(response.body).get("video", {})
        return _success(filename=body.filename, views=stats.get("views"))

    async def old_views(
        self, request: Reading, query: Annotated[schemas.OldVideoQuery, Query()]
    ) -> Response:
        """Return how often a video was viewed."""
        stats = await self._stats(request, query.filename)
        return json_response({"filename": query.filename, "views": stats.get("views", 0)})

    async def old_tag(self, request: Writing, body: schemas.OldTag) -> Response:
        """Give a video a tag."""
        video = await self._video(body.filename)
        response = await self._service.add_tags(request, video, schemas.Tags(tags=[body.tag]))
        return _tagged(body.filename, response)

    async def old_untag(self, request: Writing, body: schemas.OldTag) -> Response:
        """Remove a tag of a video."""
        video = await self._video(body.filename)
        return _tagged(body.filename, await self._service.remove_tag(request, video, body.tag))

    async def old_favorite(self, request: Writing, body: schemas.OldFavorite) -> Response:
        """Make a video a favorite or not; without `favorite` the opposite of what it is."""
        video = await self._video(body.filename)
        is_favorite = body.favorite
        if is_favorite is not None:
            await self._favor(request, video, is_favorite=is_favorite)
            return _success(filename=body.filename, favorite=is_favorite)
        before = json.loads((await self._service.video(request, video)).body)["you"]
        if "favorite" not in before:
            why = "needed here, where the current state is not known"
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid body", {}, [("favorite", why)])
        is_favorite = not before["favorite"]
        request.key = request.key or await self._toggle_key(request, video)
        try:
            await self._favor(request, video, is_favorite=is_favorite)
        except Problem as problem:
            if problem.status != HTTPStatus.CONFLICT:
                raise
            is_favorite = not is_favorite  # the same request again: it was done
        return _success(filename=body.filename, favorite=is_favorite)

    async def _favor(self, request: RequestContext, video: VideoId, *, is_favorite: bool) -> None:
        change = self._service.favor if is_favorite else self._service.unfavor
        await change(request, video)

    async def _toggle_key(self, request: RequestContext, video: VideoId) -> str:
        """Return the id of a toggle: the same if a browser sends it again at once."""
        salt, headers = await self._salt_of(events.day_of(request.now)), request.caller.headers
        address = client_of(request.caller, self._proxies)
        visit = events.visit_of(salt, address, headers.get("user-agent", ""))
        return events.toggle_id(salt, video, visit, request.now // _RETRY_S)

    async def old_popular_tags(
        self, request: Reading, query: Annotated[schemas.OldTagsQuery, Query()]
    ) -> Response:
        """Return the tags of most videos, the most used first."""
        del request
        assert self._names is not None, "not served before a queue"
        tags = await asyncio.to_thread(self._names.most_used_tags, query.limit)
        return json_response({"tags": [{"tag": f"#{name}", "count": n} for name, n in tags]})

    async def _stats(self, request: RequestContext, name: str) -> dict[str, Any]:
        response = await self._service.video(request, await self._video(name))
        stats: dict[str, Any] = json.loads(response.body)
        return stats

    async def _video(self, name: str) -> VideoId:
        """Return the video of a file name or a number.

        Raises:
            Problem: there is none, or file names are not known here.
        """
        video = None
        if self._names is not None:
            video = await asyncio.to_thread(self._names.video_named, name)
        if video is not None:
            return video
        if name.isascii() and name.isdigit() and int(name) <= schemas.HIGHEST_ID:
            return VideoId(int(name))
        if self._names is None:
            why = "file names need an API with a catalogue: send the number of the video"
            raise Problem(HTTPStatus.NOT_IMPLEMENTED, why)
        raise no_video()


def _tagged(name: str, response: Response) -> Response:
    stats = json.loads(response.body).get("video")
    return _success(filename=name, tags=stats and [f"#{tag}" for tag in stats["tags"]])


def _success(**more: object) -> Response:
    """Return what was done; what is not known before a queue is left out."""
    fields = {name: value for name, value in more.items() if value is not None}
    return json_response({"success": True, **fields})
