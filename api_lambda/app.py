"""The API as one ASGI application: for uvicorn, for the dev server, for Lambda, for tests."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Self

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from api_lambda import schemas
from api_lambda.context import Reading, Response
from api_lambda.dispatch import AccessPolicy, Dispatcher, Operation, operation
from api_lambda.measuring import RequestMeasuring
from api_lambda.monitoring import MonitoringConfig
from api_lambda.openapi import declare, openapi
from api_lambda.owner_secrets import EnvSecrets, key_ring
from api_lambda.permissions import Action, Loopback
from api_lambda.service import Service, ServiceSettings
from generator import __version__
from generator.adapters.queues import open_queue
from generator.adapters.redis_state import RedisState, is_redis
from generator.adapters.settings import Settings
from generator.core.queue.queue import Queue

if TYPE_CHECKING:
    from api_lambda.local_service import LocalService
    from api_lambda.queued_service import QueuedService

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
    "/api/tags/popular",
)


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """Settings of the API.

    `origins` are those of the site's own pages; `proxies` are the trusted proxies besides this
    machine, whose X-Forwarded-For counts; `clock` returns seconds since 1970. With `queue`, the
    URL of a queue, events go there and nothing of `state` is opened. `old_addresses`: scripts of a
    former server are answered, too.
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
    old_addresses: bool = False
    is_private: bool = False
    out: Path | None = None
    key_pair: str = ""
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
            old_addresses=settings.old_addresses,
            is_private=settings.private,
            out=settings.out,
            key_pair=settings.cloudfront_key_pair if secrets is not None else "",
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
        config.is_private,
        config.out,
        next(iter(config.origins), ""),
        config.key_pair,
        config.secrets.cloudfront_key,
        config.monitoring.metrics_token,
    )
    is_remote = bool(config.queue) or queue is not None
    measuring = RequestMeasuring(None if is_remote else config.state)
    service, service_operations = (
        _remote(config, settings, queue, measuring)
        if is_remote
        else _local(config, settings, measuring)
    )
    if config.old_addresses:
        service_operations += _old_operations(service, settings, is_remote=is_remote)

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
        for route in operations:  # at the first request: FastAPI takes a tenth of a second
            # forms are for the pages of this site alone
            if route.is_documented and not route.is_form:
                declare(app, route, is_queued=is_remote)
        return openapi(app)

    async def contract(request: Reading) -> Response:
        """Return this OpenAPI document."""
        del request
        return Response(document())

    operations = (
        *service_operations,
        operation("GET", "/api/openapi.json", contract, Contract, is_open=True),
    )
    policy = AccessPolicy(
        config.owner_on_loopback,
        config.origins,
        config.visitors_may,
        config.proxies,
        config.clock,
        config.secrets.origins,
        config.is_private,
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


_Opened = tuple["LocalService | QueuedService", tuple[Operation, ...]]


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
        operation("GET", "/api/health", service.health, schemas.CatalogueHealth, is_open=True),
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
        operation("GET", "/api/health", service.health, schemas.Health, is_open=True),
        *_sessions(service),
        *QueuedAdmin(opened_queue, measuring, config.monitoring, config.proxies).operations(),
    )


def _old_operations(
    service: "LocalService | QueuedService", settings: ServiceSettings, *, is_remote: bool
) -> tuple[Operation, ...]:
    """Return what scripts of a former server call."""
    from api_lambda.old_calls import OldCalls, OldNames  # noqa: PLC0415 (off by default)

    names = None
    if not is_remote:
        from generator.adapters import old_names  # noqa: PLC0415 (SQLite: not before a queue)

        ledger = settings.state / "ledger.db"
        names = OldNames(
            partial(old_names.video_named, ledger), partial(old_names.most_used_tags, ledger)
        )
    calls = OldCalls(service, names, service.salt_of, settings.proxies)
    done, ratings = schemas.OldOutcome, "/api/ratings/{name}"
    operations: tuple[Operation, ...] = (
        operation("POST", "/rate", calls.old_rate, done, Action.RATE),
        operation("POST", "/view", calls.old_view, done, Action.VIEW),
        operation("POST", "/tag", calls.old_tag, done, Action.TAG),
        operation("POST", "/delete_tag", calls.old_untag, done, Action.TAG),
        operation("POST", "/favorite", calls.old_favorite, done, Action.FAVORITE),
        operation("GET", "/get_views", calls.old_views, schemas.OldViewsShown),
        operation("GET", ratings, calls.old_rating, schemas.OldRatingShown),
        operation("POST", ratings, calls.old_rating_set, done, Action.RATE),
    )
    if not is_remote:
        path = "/api/tags/popular"
        operations += (operation("GET", path, calls.old_popular_tags, schemas.OldTagsShown),)
    return tuple(replace(called, is_old=True) for called in operations)


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
    gone, path = HTTPStatus.NO_CONTENT, "/api/session"
    see_other = HTTPStatus.SEE_OTHER
    return (
        operation("GET", "/api/access", service.access, None, status=gone, is_open=True),
        operation("GET", path, service.session, schemas.SessionState, is_open=True),
        operation("POST", path, service.log_in, None, status=gone, is_open=True),
        operation("DELETE", path, service.log_out, None, status=gone, is_open=True),
        operation(
            "POST", "/api/login", service.log_in_by_form, None,
            status=see_other, is_open=True, is_form=True,
        ),
        operation(
            "POST", "/api/logout", service.log_out_by_form, None,
            status=see_other, is_open=True, is_form=True,
        ),
    )  # fmt: skip
