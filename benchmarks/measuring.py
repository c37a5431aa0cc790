"""What measuring costs: the share of it in a request, and in a refresh.

Requests are given to the application without a network, which is the hardest comparison: through
HTTP each takes several times as long.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Callable, MutableMapping
from functools import partial
from pathlib import Path
from typing import Any

from api_lambda.app import ApiConfig, ReelshelfApi, create_app
from api_lambda.dispatch import Dispatcher, Observer, Operation
from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.adapters.request_counters import RequestCounters
from generator.build.engine import Engine
from generator.core.build_receipt import Receipt
from generator.core.model import Event, EventKind, VideoId

ROUNDS, EACH = 100, 50
REFRESHES = 60
_TEMPLATES = Path(__file__).parents[1] / "templates"


def run(videos: int | None, folder: Path) -> dict[str, object]:
    """Return the cost of counting a request and of counting a refresh, in percent of each."""
    videos = videos or 2000
    with Catalogue(folder / "state" / "catalogue.db") as catalogue:
        trial.fill(catalogue, videos)
    return {
        "count_us": round(_counting(folder), 2),
        **asyncio.run(_requests(folder / "state", videos)),
        **_refreshes(folder, videos),
    }


def _counting(folder: Path) -> float:
    """Return microseconds for one count."""
    counters = RequestCounters(folder, [("/a", "GET")], ())
    times = []
    for _ in range(20):
        start = time.process_time()
        for _ in range(2000):
            counters.observe(0, 0.0123, 200)
        times.append((time.process_time() - start) / 2000 * 1e6)
    counters.close()
    return statistics.median(times)


async def _requests(state: Path, videos: int) -> dict[str, object]:
    app = create_app(ApiConfig(state))
    assert isinstance(app, ReelshelfApi)
    read_cost = await _paired(
        app.dispatcher, lambda n: ("GET", f"/api/videos/{n % videos + 1}", b"")
    )
    write_cost = await _paired(
        app.dispatcher,
        lambda n: ("PUT", f"/api/videos/{n % videos + 1}/rating", b'{"stars":%d}' % (n % 5 + 1)),
        rounds=20,
    )
    app.state.close()
    return {
        "read_us": read_cost[0], "read_percent": read_cost[1],
        "write_us": write_cost[0], "write_percent": write_cost[1],
    }  # fmt: skip


class _TimedObserver:
    """Counts requests as the application does, and takes the time of that."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.seconds: list[float] = []

    def observe(self, route: Operation | None, seconds: float, status: int) -> None:
        """Count a request."""
        start = time.perf_counter()
        self._observer.observe(route, seconds, status)
        self.seconds.append(time.perf_counter() - start)


async def _paired(
    dispatcher: Dispatcher,
    request: Callable[[int], tuple[str, str, bytes]],
    rounds: int = ROUNDS,
) -> tuple[float, float]:
    """Return microseconds of a request, and what of that is measuring, in percent.

    Each request is compared with the counting of itself: two runs of the very same application
    differ by more than that.
    """
    assert dispatcher.observer is not None
    former, timed = dispatcher.observer, _TimedObserver(dispatcher.observer)
    dispatcher.observer = timed
    requests = []
    for number in range(rounds * EACH):
        start = time.perf_counter()
        await _ask(dispatcher, *request(number))
        requests.append(time.perf_counter() - start)
    dispatcher.observer = former
    counting = statistics.median(timed.seconds)
    whole = statistics.median(requests) - counting
    return round(whole * 1e6, 1), round(100 * counting / whole, 2)


async def _ask(call: Dispatcher, method: str, path: str, body: bytes) -> None:
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": path,
        "query_string": b"", "scheme": "http", "client": ("127.0.0.1", 5000),
        "headers": [(b"host", b"localhost:8001"), (b"content-type", b"application/json")],
    }  # fmt: skip

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        assert message.get("status", 200) == 200, message

    await call(scope, receive, send)


def _refreshes(folder: Path, videos: int) -> dict[str, object]:
    """Return milliseconds of a refresh for one rating, and what the totals add in percent.

    What is added is less than a refresh varies by, so the writing of the receipt is timed alone.
    """
    receipts: dict[bool, list[float]] = {True: [], False: []}
    refreshes = []
    with Engine(trial.settings(folder), _TEMPLATES) as engine:
        engine.refresh(trial.NOW)
        counting = engine._put_receipt  # noqa: SLF001 (it is what is measured)

        def timed(is_counted: bool, receipt: Receipt, span: tuple[int, int]) -> None:  # noqa: FBT001
            start = time.process_time()
            (counting if is_counted else partial(_put_plain, engine))(receipt, span)
            receipts[is_counted].append(time.process_time() - start)

        for number in range(2 * REFRESHES):
            engine._put_receipt = partial(timed, number % 2 == 0)  # type: ignore[method-assign]  # noqa: SLF001
            value = {"stars": number % 5 + 1}
            video = VideoId(number * 7919 % videos + 1)
            event = Event(f"m{number}", EventKind.RATED, trial.NOW, "owner", video, value)
            engine.catalogue.append([event])
            start = time.process_time()
            engine.refresh(trial.NOW)
            refreshes.append(time.process_time() - start)
    base = statistics.median(refreshes)
    added = statistics.median(receipts[True]) - statistics.median(receipts[False])
    return {"refresh_ms": round(base * 1000, 2), "refresh_percent": round(100 * added / base, 2)}


def _put_plain(engine: Engine, receipt: Receipt, span: tuple[int, int]) -> None:
    content = json.dumps(receipt.as_dict())
    engine.ledger.put_refresh(receipt.number, receipt.at, *span, content)
