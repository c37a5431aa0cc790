"""Ways to ask the API: an app without a network, and `reelshelf api` itself; imported by tests."""

import asyncio
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from forks import Command

from api_lambda import credentials
from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.core.model import Event
from generator.core.queue import messages
from generator.core.queue.queue import QueueDepth, ReceivedMessage

VIDEOS = 20
LIMIT_S = 60.0
HERE = {"host": "localhost:8001"}
SESSION_COOKIE = f"{credentials.SESSION_COOKIE}-8001"
VISITOR_COOKIE = f"{credentials.VISITOR_COOKIE}-8001"
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Told:
    """An answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 (what JSON is)
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name]
        return found[0] if found else None

    @property
    def cookies(self) -> dict[str, str]:
        pairs = (
            value.partition(";")[0].partition("=")
            for key, value in self.headers
            if key.lower() == "set-cookie"
        )
        return {name: value for name, _, value in pairs}


@dataclass(frozen=True)
class Asker:
    """Somebody who asks an app: from where, and with which headers each time."""

    app: Callable[..., Any]
    client: tuple[str, int] | None = ("127.0.0.1", 5000)
    headers: Mapping[str, str] = field(default_factory=lambda: dict(HERE))
    http_version: str = "1.1"
    extra: Mapping[str, object] = field(default_factory=dict)

    def with_headers(self, **headers: str) -> "Asker":
        return replace(
            self, headers={**self.headers, **{k.replace("_", "-"): v for k, v in headers.items()}}
        )

    def __call__(
        self,
        method: str,
        address: str,
        body: object = None,
        *,
        key: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Told:
        return asyncio.run(self.ask(method, address, body, key=key, headers=headers))

    async def ask(
        self,
        method: str,
        address: str,
        body: object = None,
        *,
        key: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Told:
        content = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        sent = {**self.headers, **(JSON if content else {}), **(headers or {})}
        if key:
            sent["idempotency-key"] = key
        path, _, query = address.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": self.http_version,
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "scheme": "https",
            "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in sent.items()],
            "client": self.client,
            "server": ("localhost", 8001),
            **self.extra,
        }
        chunks = [{"type": "http.request", "body": content, "more_body": False}]
        sent_back: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return chunks.pop(0) if chunks else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent_back.append(message)

        await self.app(scope, receive, send)
        start, *rest = sent_back
        return Told(
            start["status"],
            tuple((k.decode(), v.decode("latin-1")) for k, v in start["headers"]),
            b"".join(one.get("body", b"") for one in rest),
        )


def fill(state: Path, videos: int = VIDEOS) -> None:
    with Catalogue(state / "catalogue.db", durable=False) as catalogue:
        trial.fill(catalogue, videos)


@contextmanager
def serving(state: Path, *options: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """Run `reelshelf api` until the block ends; it listens when the block begins."""
    environment = {**os.environ, "REELSHELF_STATE": str(state), **settings}
    with Command(
        ["api", "--json", *options],
        env=environment,
        cwd=state.parent,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert line, server.stderr.read() if server.stderr else ""
            assert "address" in json.loads(line)
            yield server
        finally:
            server.terminate()
            server.wait(LIMIT_S)


def fetch(
    port: int, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
) -> Told:
    """Ask a server of this machine."""
    content = None if body is None else json.dumps(body)
    with closing(HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)) as connection:
        connection.request(method, path, content, {**(JSON if content else {}), **(headers or {})})
        with connection.getresponse() as answer:
            return Told(answer.status, tuple(answer.getheaders()), answer.read())


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process brings about."""
    end, pause = time.monotonic() + LIMIT_S, threading.Event()
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        pause.wait(0.005)


class Tray:
    """A queue in memory that somebody may look into; `refusal` is raised instead of keeping."""

    def __init__(self) -> None:
        self.bodies: list[str] = []
        self.batches: list[int] = []
        self.refusal: Exception | None = None

    def send(self, bodies: Sequence[str]) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.bodies += bodies
        self.batches.append(len(bodies))

    def receive(self, most: int, wait_s: float) -> list[ReceivedMessage]:
        raise NotImplementedError

    def delete(self, batch: Sequence[ReceivedMessage]) -> None:
        raise NotImplementedError

    def extend(self, batch: Sequence[ReceivedMessage], seconds: int) -> None:
        raise NotImplementedError

    def depth(self) -> QueueDepth:
        raise NotImplementedError

    def dead(self, most: int) -> list[ReceivedMessage]:
        raise NotImplementedError

    def redrive(self) -> int:
        raise NotImplementedError

    def close(self) -> None:
        """Keep everything."""

    @property
    def happenings(self) -> list[Event]:
        found = [messages.decode_message(body, 1 << 60) for body in self.bodies]
        return [one for one in found if isinstance(one, Event)]
