"""What the door hands to a desk, and what it gets back; the annotations that OpenAPI tells of."""

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
    """One request that was let in; `key` is the event's id, or "" where none was sent."""

    caller: Caller
    role: Role
    now: int
    key: str
    cookies: list[str] = field(default_factory=list)  # to be set


@dataclass(frozen=True, slots=True)
class Response:
    """What is sent back: JSON, or nothing."""

    body: bytes = b""
    status: int = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


class Authenticator(Protocol):
    """What the door asks of a desk before it lets somebody in."""

    def proofs(self, caller: Caller, now: int) -> Awaitable[Proofs]:
        """Return what a request brings to prove the owner."""

    def had_token(self) -> bool:
        """Tell whether there is a token, or was one; asked after `proofs`."""

    def wait_s(self, client: str, now: float) -> Awaitable[int]:
        """Count a write of a visitor and return 0, or return after how many seconds to come."""

    def refusal_of(self, error: Exception) -> Problem | None:
        """Return how to tell that something is out of reach; None for what nobody expected."""


def _at_the_door() -> RequestContext:
    """Stand for what the door hands over, so that the contract does not tell of it."""
    raise NotImplementedError


def _with_key(
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
    """Stand for the same, of a request that may bring the id of its event."""
    raise NotImplementedError


Reading = Annotated[RequestContext, Depends(_at_the_door)]
Writing = Annotated[RequestContext, Depends(_with_key)]
Id = Annotated[int, InPath(description="a video's number", examples=[17])]
Tag = Annotated[str, InPath(description="a tag, in any spelling", examples=["fjord"])]
EventId = Annotated[
    str, InPath(description="an event's id", examples=["562a77b1f7b6130a7024654a5f589c3a"])
]

moment = lru_cache(maxsize=64)(formatting.rfc3339)  # many answers tell the same second


def key_of(asking: RequestContext) -> str:
    """Return the event's id; ids of one time begin alike, so that they stand together on disk."""
    return asking.key or f"{asking.now:08x}{os.urandom(_KEY_BYTES).hex()}"


def no_video() -> Problem:
    """Return that there is no such video."""
    return Problem(HTTPStatus.NOT_FOUND, "there is no such video")


def told_figures(figures: VideoStats) -> dict[str, object]:
    """Return figures as they are told."""
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


def answer(told: Mapping[str, object], status: int = HTTPStatus.OK) -> Response:
    """Return an answer in JSON."""
    return Response(to_json(told), status)
