"""What the dispatcher passes to a service and gets back; the annotations OpenAPI is made from."""

import os
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import Annotated, Protocol

from fastapi import Depends, Header
from fastapi import Path as InPath
from pydantic_core import to_json

from api_lambda import schemas
from api_lambda.permissions import Caller, Proofs, Role
from api_lambda.problems import Problem
from generator.core import formatting
from generator.core.model import VideoStats

_KEY_BYTES = 12


@dataclass(slots=True)
class RequestContext:
    """One authorized request; `key` is the event's id, or "" where none was sent.

    `viewer` is the pseudonym of a viewer, "" for anybody else.
    """

    caller: Caller
    role: Role
    now: int
    key: str
    viewer: str = ""
    cookies: list[str] = field(default_factory=list)  # to be set


@dataclass(frozen=True, slots=True)
class Response:
    """A response: JSON, or no body."""

    body: bytes = b""
    status: int = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


class Authenticator(Protocol):
    """What the dispatcher needs of a service to authorize a request."""

    def proofs(self, caller: Caller, now: int) -> Awaitable[Proofs]:
        """Return what a request brings to prove the owner."""

    def had_token(self) -> bool:
        """Return whether there is a token, or was one; called after `proofs`."""

    def wait_s(self, client: str, now: float) -> Awaitable[int]:
        """Count a visitor's write and return 0, or return after how many seconds to retry."""

    def problem_of(self, error: Exception) -> Problem | None:
        """Return the problem for an expected error; None for any other."""


def _request() -> RequestContext:
    """Stand for the dispatcher's context, which is not part of the OpenAPI document."""
    raise NotImplementedError


def _request_with_key(
    idempotency_key: Annotated[
        str | None,
        Header(
            pattern=schemas.KEY_PATTERN,
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
) -> RequestContext:
    """Stand for the same, of a request that may carry the id of its event."""
    raise NotImplementedError


Reading = Annotated[RequestContext, Depends(_request)]
Writing = Annotated[RequestContext, Depends(_request_with_key)]
Id = Annotated[int, InPath(description="a video's number", examples=[17])]
Tag = Annotated[str, InPath(description="a tag, in any spelling", examples=["fjord"])]
EventId = Annotated[
    str, InPath(description="an event's id", examples=["562a77b1f7b6130a7024654a5f589c3a"])
]

moment = lru_cache(maxsize=64)(formatting.rfc3339)  # many responses are of the same second


def key_of(request: RequestContext) -> str:
    """Return the event's id; ids made at one time share a prefix, so they are close on disk."""
    return request.key or f"{request.now:08x}{os.urandom(_KEY_BYTES).hex()}"


def no_video() -> Problem:
    """Return the problem of an unknown video."""
    return Problem(HTTPStatus.NOT_FOUND, "there is no such video")


def stats_json(stats: VideoStats) -> dict[str, object]:
    """Return the stats of a video as JSON has them."""
    rating = None
    if stats.score_tenths is not None:
        rating = {"mean": stats.score_tenths / 10, "votes": stats.votes}
    return {
        "id": stats.id,
        "version": stats.version,
        "stars": stats.stars,
        "rating": rating,
        "views": stats.views,
        "favorite": stats.favorite,
        "tags": stats.tags,
    }


def json_response(body: Mapping[str, object], status: int = HTTPStatus.OK) -> Response:
    """Return a response with a JSON body."""
    return Response(to_json(body), status)
