"""The API as one ASGI application: for uvicorn, for the dev server, for Lambda, for tests."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Self

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from api_lambda import shapes
from api_lambda.access import Action, Loopback
from api_lambda.contract import declare, openapi
from api_lambda.desk import Answer, Desk, Reading, Rules
from api_lambda.door import Door, Guard, Operation, operation
from api_lambda.limiting import Limit
from generator import __version__
from generator.adapters.settings import Settings

_MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """What the API goes by.

    `origins` are those of the site's own pages; `proxies` are addresses, beside this machine's,
    whose word on whom they ask for is believed; `clock` tells seconds since 1970.
    """

    state: Path
    base: str = ""
    origins: frozenset[str] = frozenset()
    visitors_may: frozenset[str] = frozenset({"view"})
    visitor_writes_per_minute: int = 120
    durable: bool = True
    owner_on_loopback: Loopback = "until-token"
    proxies: frozenset[str] = frozenset()
    clock: Callable[[], float] = time.time

    @classmethod
    def of(cls, settings: Settings, *, owner_on_loopback: Loopback = "until-token") -> Self:
        """Return what the settings say."""
        return cls(
            state=settings.state,
            base=settings.site.base,
            origins=frozenset({settings.site.origin.lower()}),
            visitors_may=frozenset(settings.visitors_may),
            visitor_writes_per_minute=settings.visitor_writes_per_minute,
            durable=settings.durable,
            owner_on_loopback=owner_on_loopback,
        )


class Api(FastAPI):
    """FastAPI, with our door where its chain of middleware would be."""

    door: Door

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.door(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(config: ApiConfig) -> FastAPI:
    """Return the API; the catalogue is opened when it is first asked for.

    `app.state.close()` finishes what was accepted and lets go of the files; so does the end of a
    server that knows ASGI's lifespan.
    """
    desk = Desk(
        Rules(config.state, config.base, config.durable, config.visitors_may, config.proxies)
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        yield
        desk.close()

    app = Api(
        title="reelshelf",
        summary="What people do with the videos of a library",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
    )

    @lru_cache(maxsize=1)
    def told() -> bytes:
        return openapi(app)

    async def contract(asking: Reading) -> Answer:
        """Tell this contract."""
        del asking
        return Answer(told())

    operations = (*_operations(desk), operation("GET", "/api/openapi.json", contract, Contract))
    guard = Guard(
        config.owner_on_loopback,
        config.origins,
        config.visitors_may,
        config.proxies,
        Limit(config.visitor_writes_per_minute, _MINUTE_S),
        config.clock,
    )
    app.door = Door(desk, guard, operations)
    app.state.close, app.state.desk = desk.close, desk
    for one in operations:
        declare(app, one)
    return app


class Contract(BaseModel):
    """An OpenAPI document."""

    openapi: str
    paths: dict[str, object]


def _operations(desk: Desk) -> tuple[Operation, ...]:
    """Return everything that can be asked for, what is asked most first."""
    videos = "/api/videos/{id}"
    done, wish = shapes.Recorded, HTTPStatus.ACCEPTED
    gone = HTTPStatus.NO_CONTENT
    return (
        operation("POST", f"{videos}/views", desk.view, done, Action.VIEW),
        operation("PUT", f"{videos}/rating", desk.rate, done, Action.RATE),
        operation("DELETE", f"{videos}/rating", desk.unrate, done, Action.RATE),
        operation("PUT", f"{videos}/favorite", desk.favor, done, Action.FAVORITE),
        operation("DELETE", f"{videos}/favorite", desk.unfavor, done, Action.FAVORITE),
        operation("GET", videos, desk.video, shapes.VideoShown),
        operation("PUT", f"{videos}/tags", desk.set_tags, done, Action.TAG),
        operation("POST", f"{videos}/tags", desk.add_tags, done, Action.TAG),
        operation("DELETE", f"{videos}/tags", desk.remove_tags, done, Action.TAG),
        operation("DELETE", f"{videos}/tags/{{tag}}", desk.remove_tag, done, Action.TAG),
        operation("GET", "/api/state", desk.state, shapes.State),
        operation("GET", "/api/receipts/{event}", desk.receipt, shapes.Receipt),
        operation("POST", "/api/rebuild", desk.rebuild, shapes.Wish, Action.REBUILD, status=wish),
        operation("GET", "/api/problems", desk.problems, shapes.FileProblems, Action.MEND),
        operation("POST", "/api/problems/retry", desk.retry, shapes.Wish, Action.MEND, status=wish),
        operation("GET", "/api/random", desk.random, shapes.Drawn),
        operation("GET", "/api/session", desk.session, shapes.Session),
        operation("POST", "/api/session", desk.log_in, None, status=gone),
        operation("DELETE", "/api/session", desk.log_out, None, status=gone),
        operation("GET", "/api/health", desk.health, shapes.Health),
    )
