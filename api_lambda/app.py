"""The API as one ASGI application: for uvicorn, for the dev server, for Lambda, for tests."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Protocol, Self

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from api_lambda import schemas
from api_lambda.context import Authenticator, Reading, Response
from api_lambda.dispatch import AccessPolicy, Dispatcher, Operation, operation
from api_lambda.openapi import declare, openapi
from api_lambda.owner_secrets import EnvSecrets, ring_of
from api_lambda.permissions import Action, Loopback
from api_lambda.service import Service, ServiceSettings
from generator import __version__
from generator.adapters.queues import open_queue
from generator.adapters.redis_state import RedisState, is_redis
from generator.adapters.settings import Settings
from generator.core.queue.queue import Queue

_VIDEOS = "/api/videos/{id}"
_ELSEWHERE = (
    "/api/videos",
    "/api/state",
    "/api/receipts/{event}",
    "/api/random",
    "/api/problems",
    "/api/problems/retry",
)


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """What the API goes by.

    `origins` are those of the site's own pages; `proxies` are addresses, beside this machine's,
    whose word on whom they ask for is believed; `clock` tells seconds since 1970. With `queue`,
    the address of one, events go there and nothing of `state` is opened.
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
    queue: str = ""
    secrets: EnvSecrets = field(default_factory=EnvSecrets)

    @classmethod
    def of(
        cls,
        settings: Settings,
        secrets: EnvSecrets | None = None,
        *,
        owner_on_loopback: Loopback = "until-token",
    ) -> Self:
        """Return what the settings say; their queue counts only together with `secrets`."""
        return cls(
            state=settings.state,
            base=settings.site.base,
            origins=frozenset({settings.site.origin.lower()}),
            visitors_may=frozenset(settings.visitors_may),
            visitor_writes_per_minute=settings.visitor_writes_per_minute,
            durable=settings.durable,
            owner_on_loopback=owner_on_loopback,
            queue=settings.queue if secrets is not None else "",
            secrets=secrets or EnvSecrets(),
        )


class ReelshelfApi(FastAPI):
    """FastAPI, with our door where its chain of middleware would be."""

    door: Dispatcher

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.door(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(config: ApiConfig, queue: Queue | None = None) -> FastAPI:
    """Return the API: beside a catalogue, opened when it is first asked for, or before a queue.

    `app.state.close()` finishes what was accepted and lets go of the files; so does the end of a
    server that knows ASGI's lifespan.

    Args:
        config: what it goes by.
        queue: the queue to use instead of the one at `config.queue`.

    Raises:
        SettingsError: `config.queue` is no address of a queue, or secrets are missing.
    """
    rules = ServiceSettings(
        config.state,
        config.base,
        config.durable,
        config.visitors_may,
        config.proxies,
        config.visitor_writes_per_minute,
    )
    is_remote = bool(config.queue) or queue is not None
    desk, known = _remote(config, rules, queue) if is_remote else _local(rules)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        yield
        desk.close()

    app = ReelshelfApi(
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

    async def contract(asking: Reading) -> Response:
        """Tell this contract."""
        del asking
        return Response(told())

    operations = (*known, operation("GET", "/api/openapi.json", contract, Contract))
    guard = AccessPolicy(
        config.owner_on_loopback,
        config.origins,
        config.visitors_may,
        config.proxies,
        config.clock,
        config.secrets.origins,
    )
    app.door = Dispatcher(desk, guard, operations, _ELSEWHERE if is_remote else ())
    app.state.close, app.state.desk = desk.close, desk
    for one in operations:
        declare(app, one, is_queued=is_remote)
    return app


class Contract(BaseModel):
    """An OpenAPI document."""

    openapi: str
    paths: dict[str, object]


class _Desk(Authenticator, Protocol):
    def close(self) -> None: ...


_Opened = tuple[_Desk, tuple[Operation, ...]]


def _local(rules: ServiceSettings) -> _Opened:
    from api_lambda.local_service import LocalService  # noqa: PLC0415 (SQLite and all: not before a queue)

    desk = LocalService(rules)
    wish = HTTPStatus.ACCEPTED
    return desk, (
        *_deeds(desk, schemas.EventRecorded, HTTPStatus.OK),
        operation("GET", _VIDEOS, desk.video, schemas.VideoShown),
        operation("GET", "/api/videos", desk.videos, schemas.VideoList),
        operation("GET", "/api/state", desk.state, schemas.State),
        operation("GET", "/api/receipts/{event}", desk.receipt, schemas.RenderReceipt),
        operation(
            "POST", "/api/rebuild", desk.rebuild, schemas.Accepted, Action.REBUILD, status=wish
        ),
        operation("GET", "/api/problems", desk.problems, schemas.FileProblemList, Action.MEND),
        operation(
            "POST", "/api/problems/retry", desk.retry, schemas.Accepted, Action.MEND, status=wish
        ),
        operation("GET", "/api/random", desk.random, schemas.RandomVideo),
        operation("GET", "/api/health", desk.health, schemas.CatalogueHealth),
        *_sessions(desk),
    )


def _remote(config: ApiConfig, rules: ServiceSettings, queue: Queue | None) -> _Opened:
    from api_lambda.queued_service import QueueConnections, QueuedService  # noqa: PLC0415 (not beside a catalogue)

    shared = RedisState(config.queue) if is_redis(config.queue) else None
    ring = ring_of(config.secrets, shared.keys if shared else None)
    opened = queue if queue is not None else open_queue(config.queue)
    desk = QueuedService(rules, QueueConnections(opened, ring, shared, config.clock))
    wish = HTTPStatus.ACCEPTED
    return desk, (
        *_deeds(desk, schemas.Queued, wish),
        operation("GET", _VIDEOS, desk.video, schemas.QueuedVideo),
        operation(
            "POST", "/api/rebuild", desk.rebuild, schemas.Queued, Action.REBUILD, status=wish
        ),
        operation("GET", "/api/health", desk.health, schemas.Health),
        *_sessions(desk),
    )


def _deeds(desk: Service, done: type[BaseModel], status: HTTPStatus) -> tuple[Operation, ...]:
    """Return what people do with videos, what they do most first."""
    rating, favorite, tags = (f"{_VIDEOS}/{what}" for what in ("rating", "favorite", "tags"))

    def deed(
        method: str, path: str, endpoint: Callable[..., Awaitable[Response]], action: Action
    ) -> Operation:
        return operation(method, path, endpoint, done, action, status=status)

    return (
        deed("POST", f"{_VIDEOS}/views", desk.view, Action.VIEW),
        deed("PUT", rating, desk.rate, Action.RATE),
        deed("DELETE", rating, desk.unrate, Action.RATE),
        deed("PUT", favorite, desk.favor, Action.FAVORITE),
        deed("DELETE", favorite, desk.unfavor, Action.FAVORITE),
        deed("PUT", tags, desk.set_tags, Action.TAG),
        deed("POST", tags, desk.add_tags, Action.TAG),
        deed("DELETE", tags, desk.remove_tags, Action.TAG),
        deed("DELETE", f"{tags}/{{tag}}", desk.remove_tag, Action.TAG),
    )


def _sessions(desk: Service) -> tuple[Operation, ...]:
    gone = HTTPStatus.NO_CONTENT
    return (
        operation("GET", "/api/session", desk.session, schemas.SessionState),
        operation("POST", "/api/session", desk.log_in, None, status=gone),
        operation("DELETE", "/api/session", desk.log_out, None, status=gone),
    )
