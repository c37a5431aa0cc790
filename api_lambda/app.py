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
from api_lambda.base_service import Service, ServiceSettings
from api_lambda.context import Authenticator, Reading, Response
from api_lambda.dispatch import AccessPolicy, Dispatcher, Operation, operation
from api_lambda.measuring import RequestMeasuring
from api_lambda.monitoring import MonitoringConfig
from api_lambda.openapi import declare, openapi
from api_lambda.owner_secrets import EnvSecrets, key_ring
from api_lambda.permissions import Action, Loopback
from generator import __version__
from generator.adapters.queues import open_queue
from generator.adapters.redis_state import RedisState, is_redis
from generator.adapters.settings import Settings
from generator.core.queue.queue import Queue

_VIDEOS = "/api/videos/{id}"
_LOCAL_ONLY = (
    "/admin/cache/status",
    "/admin/cache/refresh",
    "/admin/performance",
    "/admin/tokens/revoke",
    "/api/videos",
    "/api/changes",
    "/api/receipts/{event}",
    "/api/random",
    "/api/problems",
    "/api/problems/retry",
)


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """Settings of the API.

    `origins` are those of the site's own pages; `proxies` are the trusted proxies besides this
    machine, whose X-Forwarded-For counts; `clock` returns seconds since 1970. With `queue`, the
    URL of a queue, events go there and nothing of `state` is opened.
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
    monitoring: MonitoringConfig = field(default_factory=MonitoringConfig)

    @classmethod
    def of(
        cls,
        settings: Settings,
        secrets: EnvSecrets | None = None,
        *,
        owner_on_loopback: Loopback = "until-token",
        shipped: Path | None = None,
    ) -> Self:
        """Return the API's part of the settings; their queue counts only with `secrets`.

        `shipped` is the folder of the shipped templates, for the style of the owner's pages.
        """
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
            monitoring=MonitoringConfig.of(settings, shipped),
        )


class ReelshelfApi(FastAPI):
    """FastAPI, with our dispatcher in place of its chain of middleware."""

    dispatcher: Dispatcher

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.dispatcher(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(config: ApiConfig, queue: Queue | None = None) -> FastAPI:
    """Return the API: with a catalogue, opened at the first request, or in front of a queue.

    `app.state.close()` finishes accepted requests and closes the files; so does the shutdown of a
    server that supports ASGI's lifespan.

    Args:
        config: its settings.
        queue: the queue to use instead of the one at `config.queue`.

    Raises:
        SettingsError: `config.queue` is not the URL of a queue, or secrets are missing.
    """
    settings = ServiceSettings(
        config.state,
        config.base,
        config.durable,
        config.visitors_may,
        config.proxies,
        config.visitor_writes_per_minute,
        config.monitoring.metrics_token,
    )
    is_remote = bool(config.queue) or queue is not None
    measuring = RequestMeasuring(None if is_remote else config.state)
    service, service_operations = (
        _remote(config, settings, queue, measuring)
        if is_remote
        else _local(config, settings, measuring)
    )

    def close() -> None:
        service.close()
        measuring.close()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        yield
        close()

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
    def document() -> bytes:
        for route in filter(
            lambda route: route.is_documented, operations
        ):  # at the first request: FastAPI takes a tenth of a second
            declare(app, route, is_queued=is_remote)
        return openapi(app)

    async def contract(request: Reading) -> Response:
        """Return this OpenAPI document."""
        del request
        return Response(document())

    operations = (*service_operations, operation("GET", "/api/openapi.json", contract, Contract))
    policy = AccessPolicy(
        config.owner_on_loopback,
        config.origins,
        config.visitors_may,
        config.proxies,
        config.clock,
        config.secrets.origins,
    )
    measuring.declare(operations)
    app.dispatcher = Dispatcher(
        service,
        policy,
        operations,
        _LOCAL_ONLY if is_remote else (),
        measuring if config.monitoring.is_measured else None,
    )
    app.state.close, app.state.service = close, service
    return app


class Contract(BaseModel):
    """An OpenAPI document."""

    openapi: str
    paths: dict[str, object]


class _OpenService(Authenticator, Protocol):
    def close(self) -> None: ...


_Opened = tuple[_OpenService, tuple[Operation, ...]]


def _local(config: ApiConfig, settings: ServiceSettings, measuring: RequestMeasuring) -> _Opened:
    from api_lambda.admin import AdminService  # noqa: PLC0415 (SQLite and all: not before a queue)
    from api_lambda.local_service import LocalService  # noqa: PLC0415 (likewise)

    service = LocalService(settings, measuring.count_read)
    admin = AdminService(
        service,
        measuring,
        config.monitoring,
        state=config.state,
        base=config.base,
        proxies=config.proxies,
    )
    service.site_checks = admin.failing
    accepted = HTTPStatus.ACCEPTED
    return service, (
        *_write_operations(service, schemas.EventRecorded, HTTPStatus.OK),
        operation("GET", _VIDEOS, service.video, schemas.VideoShown),
        operation("GET", "/api/videos", service.videos, schemas.VideoList),
        operation("GET", "/api/changes", service.changes, schemas.ChangedVideos),
        operation("GET", "/api/receipts/{event}", service.receipt, schemas.RenderReceipt),
        operation(
            "POST",
            "/api/rebuild",
            service.rebuild,
            schemas.Accepted,
            Action.REBUILD,
            status=accepted,
        ),
        operation("GET", "/api/problems", service.problems, schemas.FileProblemList, Action.RETRY),
        operation(
            "POST",
            "/api/problems/retry",
            service.retry,
            schemas.Accepted,
            Action.RETRY,
            status=accepted,
        ),
        operation("GET", "/api/random", service.random, schemas.RandomVideo),
        operation("GET", "/api/health", service.health, schemas.CatalogueHealth),
        *_sessions(service),
        *admin.operations(),
    )


def _remote(
    config: ApiConfig,
    settings: ServiceSettings,
    queue: Queue | None,
    measuring: RequestMeasuring,
) -> _Opened:
    from api_lambda.queued_admin import QueuedAdmin  # noqa: PLC0415 (not beside a catalogue)
    from api_lambda.queued_service import QueueConnections, QueuedService  # noqa: PLC0415 (not beside a catalogue)

    shared = RedisState(config.queue) if is_redis(config.queue) else None
    owner_keys = key_ring(config.secrets, shared.keys if shared else None)
    opened_queue = queue if queue is not None else open_queue(config.queue)
    service = QueuedService(
        settings, QueueConnections(opened_queue, owner_keys, shared, config.clock)
    )
    accepted = HTTPStatus.ACCEPTED
    return service, (
        *_write_operations(service, schemas.Queued, accepted),
        operation("GET", _VIDEOS, service.video, schemas.QueuedVideo),
        operation(
            "POST", "/api/rebuild", service.rebuild, schemas.Queued, Action.REBUILD, status=accepted
        ),
        operation("GET", "/api/health", service.health, schemas.Health),
        *_sessions(service),
        *QueuedAdmin(opened_queue, measuring, config.monitoring, config.proxies).operations(),
    )


def _write_operations(
    service: Service, response_model: type[BaseModel], status: HTTPStatus
) -> tuple[Operation, ...]:
    """Return the operations that write, the most frequent first: routes are matched in order."""
    rating, favorite, tags = (f"{_VIDEOS}/{what}" for what in ("rating", "favorite", "tags"))

    def write(
        method: str, path: str, endpoint: Callable[..., Awaitable[Response]], action: Action
    ) -> Operation:
        return operation(method, path, endpoint, response_model, action, status=status)

    return (
        write("POST", f"{_VIDEOS}/views", service.view, Action.VIEW),
        write("PUT", rating, service.rate, Action.RATE),
        write("DELETE", rating, service.unrate, Action.RATE),
        write("PUT", favorite, service.favor, Action.FAVORITE),
        write("DELETE", favorite, service.unfavor, Action.FAVORITE),
        write("PUT", tags, service.set_tags, Action.TAG),
        write("POST", tags, service.add_tags, Action.TAG),
        write("DELETE", tags, service.remove_tags, Action.TAG),
        write("DELETE", f"{tags}/{{tag}}", service.remove_tag, Action.TAG),
    )


def _sessions(service: Service) -> tuple[Operation, ...]:
    gone = HTTPStatus.NO_CONTENT
    return (
        operation("GET", "/api/session", service.session, schemas.SessionState),
        operation("POST", "/api/session", service.log_in, None, status=gone),
        operation("DELETE", "/api/session", service.log_out, None, status=gone),
    )
