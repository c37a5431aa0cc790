"""The way through the dev server to an ASGI application, as any such application sees it."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import pytest
from served import LIMIT_S, Answer, Served, running, write

from generator.devserver import DevServer, ServedSite
from generator.devserver.files import Message

MAX_BYTES = 16 * 1024


@dataclass
class Application:
    """Answers with what it was asked; what else it does depends on the last part of the path."""

    scopes: list[Message] = field(default_factory=list)
    begun: Event = field(default_factory=Event)
    ended: list[str] = field(default_factory=list)
    left: Event = field(default_factory=Event)
    released: Event = field(default_factory=Event)

    async def __call__(self, scope: Message, receive: object, send: object) -> None:
        assert callable(receive)
        assert callable(send)
        self.scopes.append(scope)
        request = await receive()
        deed = scope["path"].rpartition("/")[2]
        if deed == "raises":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise ZeroDivisionError("a secret")
        if deed == "silent":
            return
        if deed == "waits":
            await self._note_how_it_ends(receive())
            return
        if deed == "works":
            await self._note_how_it_ends(self._work())
        status, headers, body = ANSWERS.get(deed, (200, [], request["body"]))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for at in range(0, len(body), 7):
            part = {"type": "http.response.body", "body": body[at : at + 7], "more_body": True}
            await send(part)
        await send({"type": "http.response.body"})

    async def _note_how_it_ends(self, deed: Awaitable[Message]) -> None:
        self.begun.set()
        try:
            self.ended.append((await asyncio.wait_for(deed, LIMIT_S))["type"])
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        finally:
            self.left.set()

    async def _work(self) -> Message:
        await asyncio.to_thread(self.released.wait, LIMIT_S)
        return {"type": "done"}


ANSWERS: dict[str, tuple[int, list[tuple[bytes, bytes]], bytes]] = {
    "json": (202, [(b"content-type", b"application/json"), (b"content-length", b"2")], b"{}"),
    "cookies": (
        200,
        [(b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"cache-control", b"max-age=5")],
        b"",
    ),
    "nothing": (204, [(b"content-length", b"0")], b""),
    "closes": (200, [(b"transfer-encoding", b"chunked"), (b"connection", b"close")], b"whole"),
    "tagged": (200, [(b"etag", b'"x"')], b"of a version"),
    "large": (200, [(b"content-type", b"text/plain")], b"x" * 300_000),
}


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def ask(application: Application, tmp_path: Path) -> Iterator[Served]:
    write(tmp_path / "out" / "index.html", b"front")
    with running(DevServer(ServedSite(tmp_path / "out", {}, api=application))) as served:
        yield served


def problem(answer: Answer) -> dict[str, object]:
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["Cache-Control"] == "no-store"
    body = json.loads(answer.body)
    assert isinstance(body, dict)
    assert body["status"] == answer.status
    return body


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_request_of_any_method_comes_with_its_body_and_goes_back_with_another(
    ask: Served, application: Application, method: str
) -> None:
    answer = ask("/api/videos/1", method, body=b"\x00\xff body")

    assert (answer.status, answer.body) == (200, b"\x00\xff body")
    assert application.scopes[0]["method"] == method


def test_what_is_known_of_a_request_reaches_the_application_as_it_was_sent(
    ask: Served, application: Application
) -> None:
    headers = {"X-Text": "caf\xe9", "Cookie": "a=1; b=2", "Content-Type": "application/json"}
    ask("/api/tags/a%2Fb%20%C3%A9?x=%2F&y=1+2", "POST", headers, b"{}")

    scope = application.scopes[0]
    assert (scope["type"], scope["scheme"], scope["http_version"]) == ("http", "http", "1.1")
    assert scope["path"] == "/api/tags/a/b é"
    assert scope["raw_path"] == b"/api/tags/a%2Fb%20%C3%A9"
    assert scope["query_string"] == b"x=%2F&y=1+2"
    assert scope["client"][0] == "127.0.0.1"
    assert {
        (b"host", b"127.0.0.1:%d" % ask.port),
        (b"x-text", b"caf\xe9"),
        (b"cookie", b"a=1; b=2"),
        (b"content-type", b"application/json"),
        (b"content-length", b"2"),
    } <= set(scope["headers"])


def test_the_base_of_the_site_is_taken_off(application: Application, tmp_path: Path) -> None:
    with running(DevServer(ServedSite(tmp_path, {}, "/sub", api=application))) as ask:
        below = ask("/sub/api/health")
        beside = [ask(path) for path in ("/api/health", "/sub/apix", "/sub/api", "/sub/x/api/y")]

    assert below.status == 200
    assert [scope["path"] for scope in application.scopes] == ["/api/health"]
    assert application.scopes[0]["raw_path"] == b"/api/health"
    assert {answer.status for answer in beside} == {404}


def test_an_answer_is_sent_with_its_status_and_headers(ask: Served) -> None:
    json_, cookies, nothing = ask("/api/json"), ask("/api/cookies"), ask("/api/nothing")

    assert (json_.status, json_.body) == (202, b"{}")
    assert json_.headers.get_all("Content-Type") == ["application/json"]
    assert json_.headers.get_all("Content-Length") == ["2"]
    assert cookies.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert cookies.headers.get_all("Cache-Control") == ["max-age=5"]
    assert cookies["Content-Type"] is None
    assert (nothing.status, nothing.body) == (204, b"")
    assert nothing["X-Content-Type-Options"] == "nosniff"


def test_an_answer_is_whole_whatever_the_application_says_of_the_connection(ask: Served) -> None:
    for path, body in (
        ("closes", b"whole"),
        ("tagged", b"of a version"),
        ("large", b"x" * 300_000),
    ):
        answer = ask(f"/api/{path}")
        assert (answer.status, answer.body) == (200, body)
        assert answer.headers.get_all("Content-Length") == [str(len(body))]
        assert answer["Transfer-Encoding"] is None


def test_a_head_has_the_length_of_what_is_not_sent(ask: Served) -> None:
    for path in ("json", "large"):
        whole, head = ask(f"/api/{path}"), ask(f"/api/{path}", "HEAD")
        assert (head.status, head.body) == (whole.status, b"")
        assert head["Content-Length"] == whole["Content-Length"]


@pytest.mark.parametrize("in_parts", [False, True])
def test_a_body_that_is_too_long_is_refused_before_the_application_sees_it(
    ask: Served, application: Application, *, in_parts: bool
) -> None:
    def sent(size: int) -> bytes | Iterator[bytes]:
        return (
            iter([b"x" * 1000] * (size // 1000) + [b"x" * (size % 1000)])
            if in_parts
            else b"x" * size
        )

    fits, too_long = (
        ask("/api/x", "POST", body=sent(MAX_BYTES)),
        ask("/api/x", "POST", body=sent(MAX_BYTES + 1)),
    )

    assert (fits.status, len(fits.body)) == (200, MAX_BYTES)
    assert problem(too_long) | {"detail": ""} == {
        "type": "about:blank",
        "title": "Request Entity Too Large",
        "status": 413,
        "detail": "",
    }
    assert len(application.scopes) == 1


def test_what_the_application_does_not_catch_is_logged_and_not_told(
    ask: Served, caplog: pytest.LogCaptureFixture
) -> None:
    answer = ask("/api/raises", "POST")
    again = ask("/api/health")

    assert problem(answer)["title"] == "Internal Server Error"
    assert b"secret" not in answer.body
    assert b"half" not in answer.body
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "ZeroDivisionError: a secret" in caplog.text
    assert again.status == 200


def test_an_application_that_does_not_answer_is_answered_for(
    ask: Served, caplog: pytest.LogCaptureFixture
) -> None:
    assert problem(ask("/api/silent"))["status"] == 500
    assert "the API gave no answer" in caplog.text


def test_a_page_from_elsewhere_does_not_reach_the_application(
    ask: Served, application: Application
) -> None:
    answer = ask("/api/videos/1", "POST", {"Host": f"evil.example:{ask.port}"}, b"{}")

    assert problem(answer)["status"] == 421
    assert application.scopes == []


def test_pages_are_served_while_the_application_waits(
    ask: Served, application: Application
) -> None:
    connection = ask.connect()
    connection.request("GET", "/api/waits")
    assert application.begun.wait(LIMIT_S)

    page = ask("/")
    connection.close()

    assert page.status == 200
    assert application.left.wait(LIMIT_S)
    assert application.ended in (["cancelled"], ["http.disconnect"])


@pytest.mark.parametrize(("method", "end"), [("GET", "cancelled"), ("POST", "done")])
def test_who_leaves_ends_a_question_but_never_a_write(
    ask: Served, application: Application, method: str, end: str
) -> None:
    connection = ask.connect()
    connection.request(method, "/api/works")
    assert application.begun.wait(LIMIT_S)
    connection.close()
    if method == "GET":
        assert application.left.wait(LIMIT_S)
    ask("/")  # whoever serves has seen the other leave
    application.released.set()

    assert application.left.wait(LIMIT_S)
    assert application.ended == [end]


def test_stopping_waits_for_nobody_who_only_reads(
    application: Application, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = DevServer(ServedSite(tmp_path, {}, api=application))
    with running(server) as ask, closing(ask.connect()) as connection:
        connection.request("GET", "/api/waits")
        assert application.begun.wait(LIMIT_S)
        server.stop()
        assert application.left.wait(LIMIT_S)

    assert application.ended in (["cancelled"], ["http.disconnect"])
    assert [record.getMessage() for record in caplog.records] == []


def test_a_site_without_an_api_has_nothing_there(tmp_path: Path) -> None:
    with running(DevServer(ServedSite(tmp_path, {}))) as ask:
        assert ask("/api/health").status == 404
        assert ask("/api/health", "POST").status == 405
