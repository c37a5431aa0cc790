"""What the owner sees of the API and of the builder: figures, the performance page, /metrics."""

import asyncio
from dataclasses import asdict, replace
from http import HTTPStatus
from pathlib import Path

from api_lambda import schemas
from api_lambda.context import Reading, RequestContext, Response, Writing, json_response
from api_lambda.dispatch import Operation, operation
from api_lambda.exposition import CONTENT_TYPE, exposition
from api_lambda.health_checks import failing_checks
from api_lambda.local_service import LocalService
from api_lambda.measuring import CACHE_REFRESHES, RequestMeasuring
from api_lambda.monitoring import MonitoringConfig, require_measured, require_scraper
from api_lambda.performance_page import PageInputs, live_parts, performance_page
from api_lambda.permissions import Action, Role
from api_lambda.route_figures import hit_rate
from api_lambda.site_figures import FiguresReader, SiteFigures, stats_body
from generator.adapters.ledger import build_figures
from generator.core.delivery.nginx import content_policy, security_headers

_ASSETS = Path(__file__).parent / "assets"
_HTML = "text/html; charset=utf-8"
_STYLE = Path("assets") / "style.css"  # of a theme
_PAGE_HEADERS = security_headers(content_policy())


class AdminService:
    """The operations below /admin/, and /metrics, beside a catalogue."""

    def __init__(
        self,
        service: LocalService,
        measuring: RequestMeasuring,
        config: MonitoringConfig,
        *,
        state: Path,
        base: str,
        proxies: frozenset[str],
    ) -> None:
        self._service, self._measuring, self._config = service, measuring, config
        self._state, self._base, self._proxies = state, base, proxies
        folders = {"state": state} | ({"out": config.out} if config.out is not None else {})
        self._reader = FiguresReader(folders, measuring)

    def operations(self) -> tuple[Operation, ...]:
        """Return the operations."""
        admin = Action.ADMIN
        revoke = operation("POST", "/admin/tokens/revoke", self.revoke_token, None, admin)
        for_people = (
            # open on a private site, too: each looks itself at who asks, or holds nothing
            operation("GET", "/admin/performance", self.performance, None, is_open=True),
            operation("GET", "/admin/style.css", self.style, None, is_open=True),
            operation("GET", "/admin/performance.js", self.script, None, is_open=True),
            operation("GET", "/metrics", self.metrics, None, is_open=True),
            replace(revoke, is_form=True),
        )
        return (
            operation("GET", "/admin/stats", self.stats, schemas.AdminStats, admin),
            operation("GET", "/admin/cache/status", self.cache_status, schemas.CacheState, admin),
            operation(
                "POST", "/admin/cache/refresh", self.cache_refresh, schemas.CacheState, admin
            ),
            *(replace(route, is_documented=False) for route in for_people),
        )

    async def stats(self, request: Reading) -> Response:
        """Return all figures: of requests, builds, the cache, the machine and the disk."""
        figures = await self._figures()
        if _prefers_html(request):
            parts = live_parts(self._inputs(figures))
            return Response(parts.encode(), headers=_headers() | {"Vary": "Accept"})
        return replace(json_response(stats_body(figures)), headers={"Vary": "Accept"})

    async def cache_status(self, request: Reading) -> Response:
        """Return what is cached: videos by this process, pages and fragments by the builder."""
        del request
        return json_response(await asyncio.to_thread(self._cache_state))

    async def cache_refresh(self, request: Writing) -> Response:
        """Drop everything from the read cache of this process."""
        self._service.cache.refresh()
        self._measuring.counters.add(CACHE_REFRESHES)
        if _prefers_html(request):
            return self._see_page()
        return json_response(await asyncio.to_thread(self._cache_state))

    def _cache_state(self) -> dict[str, object]:
        counters = self._measuring.counters.read().counters
        build = build_figures(self._state / "ledger.db", 1, sizes=True)
        last = build.receipts[0] if build.receipts else None
        return {
            "read_cache": asdict(self._service.cache.status()),
            "all_processes": {
                "hits": counters["cache_hits"], "misses": counters["cache_misses"],
                "refreshes": counters["cache_refreshes"], "hit_rate": hit_rate(counters),
            },
            "site": {
                "pages": build.pages, "bytes": build.bytes, "fragments": build.fragments,
                "rewritten_last": last["written"] if last else 0,
                "last_refresh_at": last["at"] if last else None,
            },
        }  # fmt: skip

    async def performance(self, request: Reading) -> Response:
        """Return the performance page; everybody but the owner is sent to the sign-in page."""
        if request.role is not Role.OWNER:
            headers = {"Location": f"{self._base}/login.html"}
            return Response(status=HTTPStatus.SEE_OTHER, headers=headers)
        figures = await self._figures()
        return Response(performance_page(self._inputs(figures)).encode(), headers=_headers())

    async def style(self, request: Reading) -> Response:
        """Return the style of the site with that of this page."""
        del request
        themes = [folder / _STYLE for folder in self._config.themes]
        files = [*[file for file in themes if file.is_file()][:1], _ASSETS / "performance.css"]
        content = b"\n".join([file.read_bytes() for file in files])
        return Response(content, headers={"Content-Type": "text/css; charset=utf-8"})

    async def script(self, request: Reading) -> Response:
        """Return the script of the page."""
        del request
        content = (_ASSETS / "performance.js").read_bytes()
        return Response(content, headers={"Content-Type": "text/javascript; charset=utf-8"})

    async def revoke_token(self, request: Writing, body: schemas.TokenToRevoke) -> Response:
        """Revoke a token, and every session that began with it."""
        await self._service.revoke(body.token, request.now)
        return self._see_page()

    async def metrics(self, request: Reading) -> Response:
        """Return the figures for Prometheus."""
        require_scraper(request, self._config, self._proxies)
        figures = await self._figures()
        content = await asyncio.to_thread(exposition, figures.requests, figures)
        return Response(content, headers={"Content-Type": CONTENT_TYPE})

    async def failing(self) -> dict[str, str]:
        """Return why each failing health check of the site fails."""
        inputs = await asyncio.to_thread(lambda: self._reader.health(self._service.reader))
        return failing_checks(inputs, self._config.limits)

    async def _figures(self) -> SiteFigures:
        require_measured(self._config)
        return await asyncio.to_thread(lambda: self._reader.read(self._service.reader))

    def _inputs(self, figures: SiteFigures) -> PageInputs:
        reader = self._service.reader
        return PageInputs(
            self._config.title,
            self._base,
            figures,
            self._service.cache.status(),
            failing_checks(self._reader.health(reader), self._config.limits),
            reader.tokens.all(),
        )

    def _see_page(self) -> Response:
        headers = {"Location": f"{self._base}/admin/performance"}
        return Response(status=HTTPStatus.SEE_OTHER, headers=headers)


def _headers() -> dict[str, str]:
    return {"Content-Type": _HTML, **_PAGE_HEADERS}


def _prefers_html(request: RequestContext) -> bool:
    return request.caller.headers.get("accept", "").startswith("text/html")
