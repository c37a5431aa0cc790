"""Connections to a bare port that say nothing, too much, or never come to an end."""

import asyncio
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

import pytest
import uvicorn
from asking import LIMIT_S, fetch, until

from api_lambda.connection_limits import ConnectionLimits, limits_here, protocol_of

QUICK = ConnectionLimits(head_s=0.2, body_s=0.2, send_s=0.2, linger_s=0.2, connections=40)
PATIENT = ConnectionLimits(head_s=20, body_s=20)
POST = b"POST /api/x HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET /api/x HTTP/1.1\r\nHost: localhost\r\n"


async def application(scope: dict, receive: Callable, send: Callable) -> None:  # type: ignore[type-arg]
    """Answer with the length of the body; other addresses do what they are called."""
    if scope["type"] != "http":
        return
    length, status = 0, 200
    if scope["path"] == "/refuse":
        status = 413
    elif scope["path"] in {"/wait", "/soon"}:
        await asyncio.sleep(LIMIT_S if scope["path"] == "/wait" else 3 * QUICK.head_s)
    else:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            length += len(message.get("body", b""))
            more = message.get("more_body", False)
    body = b"x" * (1 << 24) if scope["path"] == "/much" else str(length).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Served:
    port: int
    server: uvicorn.Server

    @property
    def count(self) -> int:
        return len(self.server.server_state.connections)

    def connect(self, content: bytes = b"") -> socket.socket:
        line = socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT_S)
        line.sendall(content)
        return line


@contextmanager
def served(limits: ConnectionLimits) -> Iterator[Served]:
    config = uvicorn.Config(
        application,
        http=protocol_of(limits),
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        until(lambda: server.started)
        try:
            yield Served(listening.getsockname()[1], server)
        finally:
            server.should_exit = server.force_exit = True
            thread.join()


@pytest.fixture(scope="module")
def quick() -> Iterator[Served]:
    with served(QUICK) as server:
        yield server


@pytest.fixture(scope="module")
def patient() -> Iterator[Served]:
    with served(PATIENT) as server:
        yield server


def answer(line: socket.socket) -> bytes:
    """Return everything until the server closes."""
    parts = []
    try:
        while part := line.recv(1 << 16):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        (b"", b""),
        (b"GE", b"HTTP/1.1 408"),
        (GET, b"HTTP/1.1 408"),
        (POST + b"Content-Length: 5\r\n\r\nab", b"HTTP/1.1 408"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", b"HTTP/1.1 408"),
        (POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", b"HTTP/1.1 100 "),
        (GET + b"\r\n" + GET, b"HTTP/1.1 200"),
    ],
    ids=["nothing", "two letters", "half a head", "half a body", "chunks", "expect", "a second"],
)
def test_what_does_not_come_in_time_is_told_and_closed(
    said: bytes, answered: bytes, quick: Served
) -> None:
    with closing(quick.connect(said)) as line:
        response = answer(line)

    assert response.startswith(answered)
    assert bool(response) == bool(answered)


def test_a_body_that_was_refused_and_never_ends_is_closed(quick: Served) -> None:
    head = b"POST /refuse HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with closing(quick.connect(head)) as line:
        response = answer(line)

    assert response.startswith(b"HTTP/1.1 413")
    assert b"408" not in response


def test_who_does_not_take_his_answer_is_closed(quick: Served) -> None:
    with closing(quick.connect(b"GET /much HTTP/1.1\r\nHost: localhost\r\n\r\n")):
        until(lambda: quick.count == 1)
        until(lambda: quick.count == 0)


@pytest.mark.parametrize(
    "said",
    [
        GET + b"".join(b"x-%d: 1\r\n" % n for n in range(10_000)) + b"\r\n",
        GET + b"".join(b"x-%d: 1\r\n" % n for n in range(101)) + b"\r\n",
        GET + b"x: " + b"y" * 40_000 + b"\r\n\r\n",
        GET + b"x: " + b"y" * 40_000,
        b"GET /" + b"y" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=["10,000 fields", "101 fields", "a long field", "a long field without end", "address"],
)
def test_a_head_that_is_too_large_is_refused(said: bytes, patient: Served) -> None:
    with closing(patient.connect(said)) as line:
        told = answer(line)

    assert told.startswith(b"HTTP/1.1 431") or not told  # a reset may overtake the words
    until(lambda: patient.count == 0)


def test_a_body_without_end_is_cut_off(patient: Served) -> None:
    head = b"POST /refuse HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with closing(patient.connect(head)) as line:
        for _ in range(100):
            try:
                line.sendall(chunk)
            except OSError:
                break
        else:
            pytest.fail("it went on taking what nobody reads")


def test_nonsense_is_answered_as_a_problem(patient: Served) -> None:
    with closing(patient.connect(b"\x16\x03\x01 what is this\r\n\r\n")) as line:
        response = answer(line)

    assert response.startswith(b"HTTP/1.1 400")
    assert b"application/problem+json" in response


def test_who_is_slow_and_honest_gets_an_answer(patient: Served) -> None:
    with closing(patient.connect()) as line:
        for byte in POST + b"Content-Length: 5\r\nConnection: close\r\n\r\nabcde":
            line.sendall(bytes([byte]))
        response = answer(line)

    assert response.startswith(b"HTTP/1.1 200")
    assert response.endswith(b"5")


def test_requests_in_one_piece_and_one_after_the_other_are_answered(quick: Served) -> None:
    last = GET + b"Connection: close\r\n\r\n"
    with closing(quick.connect((GET + b"\r\n") * 2 + last)) as line:
        response = answer(line)
    with closing(quick.connect(POST + b"Content-Length: 2\r\n\r\nab" + last)) as line:
        mixed = answer(line)

    assert response.count(b"HTTP/1.1 200") == 3
    assert mixed.count(b"HTTP/1.1 200") == 2


def test_who_sends_the_next_request_slowly_gets_the_answer_to_the_first(quick: Served) -> None:
    first = b"GET /soon HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with closing(quick.connect(first + GET)) as line:
        response = answer(line)

    assert response.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 408" in response


@pytest.mark.parametrize("sent", [b"", GET, POST + b"Content-Length: 5\r\n\r\nab"])
def test_many_who_say_nothing_keep_nobody_out(sent: bytes) -> None:
    with served(ConnectionLimits(connections=40)) as server, ExitStack() as stack:
        for _ in range(200):
            line = server.connect()
            stack.callback(line.close)
            line.sendall(sent)

        told = [fetch(server.port, "GET", "/api/x").status for _ in range(20)]

        assert told == [200] * 20
        assert server.count <= 41


def test_there_are_files_left_for_what_is_no_connection() -> None:
    limits = limits_here()

    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 0 < limits.connections <= ConnectionLimits().connections
    assert files == resource.RLIM_INFINITY or limits.connections + 100 <= files


def test_many_who_wait_for_an_answer_keep_nobody_out() -> None:
    with served(ConnectionLimits(connections=20, long_s=0)) as server, ExitStack() as stack:
        for _ in range(20):
            line = server.connect(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
            stack.callback(line.close)
        until(lambda: len(server.server.server_state.tasks) == 20)

        assert fetch(server.port, "GET", "/api/x").status == 200
