"""A dev server that runs, how to ask it, and how to be a page of it; imported by tests."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from generator.devserver import DevServer

LIMIT_S = 60.0  # far from any good run: only a test that hangs meets it


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes

    def __getitem__(self, name: str) -> str | None:
        return self.headers[name]


@dataclass(frozen=True)
class Asked:
    """A server of this computer, and how to ask it."""

    port: int

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)

    def __call__(
        self,
        path: str | bytes,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterator[bytes] | None = None,
    ) -> Answer:
        address = path if isinstance(path, str) else quote(path, safe="/")
        with closing(self.connect()) as connection:
            connection.request(method, address, body, dict(headers or {}))
            with connection.getresponse() as response:
                return Answer(response.status, response.headers, response.read())


@dataclass(frozen=True)
class Served(Asked):
    """A server that runs in a thread of ours."""

    server: DevServer

    @classmethod
    def by(cls, server: DevServer) -> "Served":
        return cls(urlsplit(server.address).port or 80, server)


@contextmanager
def running(server: DevServer) -> Iterator[Served]:
    server.start()
    thread = Thread(target=server.run)
    thread.start()
    try:
        yield Served.by(server)
    finally:
        server.stop()
        thread.join(LIMIT_S)
        assert not thread.is_alive()


@contextmanager
def film_of(ask: Served) -> Iterator[HTTPResponse]:
    """Begin to receive a large film."""
    with closing(ask.connect()) as connection:
        connection.request("GET", "/video/sparse.mkv")
        with connection.getresponse() as film:
            yield film


def write(file: Path | bytes, content: bytes) -> None:
    path = Path(os.fsdecode(file))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


# -- lines to pages

Line = WebSocketClientConnection
T = TypeVar("T")


@asynccontextmanager
async def opened(
    ask: Asked, *, introduced: bool = True, build: int | None = None
) -> AsyncIterator[Line]:
    """Connect like a browser that shows a page of this server."""
    query = "" if build is None else f"?build={build}"
    address = f"ws://127.0.0.1:{ask.port}/livereload{query}"
    page = {"Origin": f"http://127.0.0.1:{ask.port}"}
    line = await websocket_connect(HTTPRequest(address, headers=page))
    try:
        if introduced:
            await introduce(line)
            await greet(line)  # answered after what came before it
            assert await commands(line, 2) == ["hello", "hello"]
        yield line
    finally:
        line.close()
        line.stream.close()  # not waiting for goodbyes: the loop ends with the test


async def introduce(line: Line) -> None:
    await greet(line)
    await line.write_message(json.dumps({"command": "info", "url": "http://127.0.0.1/"}))


async def greet(line: Line) -> None:
    await line.write_message(json.dumps({"command": "hello", "protocols": []}))


async def read_message(line: Line) -> dict[str, Any]:
    message = await asyncio.wait_for(line.read_message(), LIMIT_S)
    assert message is not None, "the line was closed"
    read_message: dict[str, Any] = json.loads(message)
    return read_message


async def commands(line: Line, count: int) -> list[str]:
    return [(await read_message(line))["command"] for _ in range(count)]


def run(deed: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(deed, LIMIT_S))
