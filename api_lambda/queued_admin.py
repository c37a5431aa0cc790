"""What there is to see of an API before a queue: its requests and the depth of the queue."""

import asyncio
import logging
from dataclasses import replace

from api_lambda import schemas
from api_lambda.context import Reading, Response, json_response
from api_lambda.dispatch import Operation, operation
from api_lambda.exposition import CONTENT_TYPE, exposition
from api_lambda.measuring import RequestMeasuring
from api_lambda.monitoring import MonitoringConfig, require_measured, require_scraper
from api_lambda.permissions import Action
from api_lambda.route_figures import route_json
from generator.adapters.request_counters import CountsRead
from generator.core.errors import QueueError
from generator.core.queue.queue import Queue, QueueDepth

log = logging.getLogger(__name__)


class QueuedAdmin:
    """The operations for the owner before a queue; those that need a catalogue are not there."""

    def __init__(
        self,
        queue: Queue,
        measuring: RequestMeasuring,
        config: MonitoringConfig,
        proxies: frozenset[str],
    ) -> None:
        self._queue, self._measuring = queue, measuring
        self._config, self._proxies = config, proxies

    def operations(self) -> tuple[Operation, ...]:
        """Return the operations."""
        return (
            operation("GET", "/admin/stats", self.stats, schemas.QueuedStats, Action.ADMIN),
            replace(operation("GET", "/metrics", self.metrics, None), is_documented=False),
        )

    async def stats(self, request: Reading) -> Response:
        """Return the figures of requests, and how many messages wait in the queue."""
        del request
        counts, depth = self._counts(), await self._depth()
        queue = None
        if depth is not None:
            queue = {
                "waiting": depth.waiting, "in_flight": depth.in_flight, "dead": depth.dead,
                "oldest_s": depth.oldest_s,
            }  # fmt: skip
        routes = [route_json(route) for route in counts.routes]
        return json_response({"processes": len(counts.pids), "routes": routes, "queue": queue})

    async def metrics(self, request: Reading) -> Response:
        """Return the figures for Prometheus."""
        require_scraper(request, self._config, self._proxies)
        counts, depth = self._counts(), await self._depth()
        content = await asyncio.to_thread(exposition, counts, None, depth)
        return Response(content, headers={"Content-Type": CONTENT_TYPE})

    def _counts(self) -> CountsRead:
        require_measured(self._config)
        return self._measuring.counters.read()

    async def _depth(self) -> QueueDepth | None:
        try:
            return await asyncio.to_thread(self._queue.depth)
        except QueueError as error:
            log.warning("the depth of the queue is not known: %s", error)
            return None
