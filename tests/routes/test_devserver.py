"""The dev server, asked over real sockets: pages, films by range, and one reload a build."""

import asyncio
import json
import os
import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from threading import Event, Thread
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from generator.core.errors import SettingsError
from generator.core.nginx import content_policy, security_headers
from generator.core.wording import MEDIA_TYPES
from generator.devserver import DevServer

LIMIT_S = 10.0
SPARSE_BYTES = 1 << 30

PAGE = b"<!DOCTYPE html><html><head><title>front</title></head><body>front</body></html>"
MISSING = b"<!DOCTYPE html><title>nothing here</title>"
FILM = bytes(range(256)) * 40
UNKIND = b'a film #1? 100% "it\'s" \n$HOME {x}; \xff\xe9+&.mkv'
SECRET = b"not for you"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes

    def __getitem__(self, name: str) -> str | None:
        return self.headers[name]


@dataclass(frozen=True)
class Served:
    """A running server, and how to ask it."""

    server: DevServer

    @property
    def port(self) -> int:
        return urlsplit(self.server.address).port or 80

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)

    def __call__(
        self, path: str | bytes, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Answer:
        address = path if isinstance(path, str) else quote(path, safe="/")
        with closing(self.connect()) as connection:
            connection.request(method, address, headers=dict(headers or {}))
            with connection.getresponse() as response:
                return Answer(response.status, response.headers, response.read())


@contextmanager
def running(server: DevServer) -> Iterator[Served]:
    server.start()
    thread = Thread(target=server.run)
    thread.start()
    try:
        yield Served(server)
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `out` and `library` in it."""
    folder = tmp_path_factory.mktemp("site")
    out, library = folder / "out", folder / "library"
    write(out / "index.html", PAGE)
    write(out / "404.html", MISSING)
    write(out / "loud.html", b"<HTML><HEAD></HEAD >loud")
    write(out / "bare.html", b"bare")
    for name in ("atom.xml", "assets/a.css", "assets/a.js", "assets/a.svg", "thumb/0/1.webp"):
        write(out / name, name.encode())
    for name in ("thumb/0/1.jpg", "data/random.json", "robots.txt", "a.vtt", "a.unknown"):
        write(out / name, name.encode())
    for name in (".reelshelf", ".tmp-1-0", "watch/.half.html"):
        write(out / name, SECRET)
    (out / "leads-out.html").symlink_to(folder / "secret.html")
    write(folder / "secret.html", SECRET)
    write(folder / "secret.mp4", SECRET)
    write(folder / "library-two" / "secret.mp4", SECRET)
    write(os.fsencode(library) + b"/a folder/" + UNKIND, FILM)
    for suffix in (*MEDIA_TYPES, "MKV"):
        write(library / f"film.{suffix}", FILM)
    write(library / "empty.mp4", b"")
    for name in ("page.html", "notes.txt", ".film.mp4", ".trash/film.mp4", "film.mkv\n"):
        write(library / name, SECRET)
    (library / "leads-out.mp4").symlink_to("../secret.mp4")
    (library / "folder-out").symlink_to("../library-two")
    (library / "within.mp4").symlink_to("film.mp4")
    (library / "circle.mp4").symlink_to("circle.mp4")
    os.mkfifo(library / "pipe.mp4")
    with (library / "sparse.mkv").open("wb") as file:
        file.truncate(SPARSE_BYTES)
    return folder


@pytest.fixture(scope="module")
def ask(folder: Path) -> Iterator[Served]:
    with running(DevServer(folder / "out", {"": folder / "library"})) as served:
        yield served


def script_of(ask: Served) -> bytes:
    """Return what the page ends its head with; the build is as the front page has it now."""
    build = re.search(rb"build=[0-9]+", ask("/").body)
    assert build
    source = f"/livereload.js?host=127.0.0.1&amp;port={ask.port}&amp;{build[0].decode()}"
    return f'<script defer src="{source}"></script>'.encode()


def test_a_page_is_served_with_one_script_more(ask: Served) -> None:
    front = ask("/")

    assert (front.status, front["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert front.body == PAGE.replace(b"</head>", script_of(ask) + b"</head>")
    assert ask("/index.html").body == front.body
    assert ask("/?query=1").body == front.body


def test_a_page_without_a_plain_head_reloads_too(ask: Served) -> None:
    assert ask("/loud.html").body == b"<HTML><HEAD>" + script_of(ask) + b"</HEAD >loud"
    assert ask("/bare.html").body == b"bare" + script_of(ask)


def test_the_script_calls_back_with_the_number_of_its_page(ask: Served) -> None:
    script = ask("/livereload.js?build=7")

    assert (script.status, script["Content-Type"]) == (200, "text/javascript")
    assert script.body.count(b'"/livereload?build=7"') == 1
    assert b'"/livereload"' not in script.body


@pytest.mark.parametrize("build", ["", "-1", "x", "9" * 5000, "1.5", "%22"])
def test_a_number_that_is_none_is_taken_for_the_newest(ask: Served, build: str) -> None:
    assert ask(f"/livereload.js?build={build}").body == ask("/livereload.js").body


def test_what_is_not_there_is_told_by_the_sites_own_page(ask: Served) -> None:
    for path in ("/nothing", "/assets/", "/assets", "/video/nothing.mp4", "/404.html"):
        answer = ask(path)
        assert (answer.status, answer.body) == (404, MISSING + script_of(ask))


def test_a_site_not_built_yet_says_so(tmp_path: Path) -> None:
    with running(DevServer(tmp_path / "out", {})) as ask:
        answer = ask("/")

    assert (answer.status, answer["Content-Type"]) == (404, "text/plain")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/atom.xml", "application/xml"),
        ("/assets/a.css", "text/css; charset=utf-8"),
        ("/assets/a.js", "text/javascript; charset=utf-8"),
        ("/assets/a.svg", "image/svg+xml"),
        ("/thumb/0/1.webp", "image/webp"),
        ("/thumb/0/1.jpg", "image/jpeg"),
        ("/data/random.json", "application/json"),
        ("/robots.txt", "text/plain; charset=utf-8"),
        ("/a.vtt", "text/vtt; charset=utf-8"),
        ("/a.unknown", "application/octet-stream"),
    ],
)
def test_a_part_of_a_page_is_sent_as_it_is_and_as_what_it_is(
    ask: Served, path: str, name: str
) -> None:
    answer = ask(path)

    assert (answer.status, answer.body) == (200, path[1:].encode())
    assert answer["Content-Type"] == name


@pytest.mark.parametrize("path", ["/", "/nothing", "/assets/a.css", "/video/film.mkv"])
def test_a_head_is_that_of_the_whole(ask: Served, path: str) -> None:
    whole, head = ask(path), ask(path, "HEAD", {"Range": "bytes=0-1"})

    assert (head.status, head.body) == (whole.status, b"")
    assert head["Content-Length"] == whole["Content-Length"] == str(len(whole.body))
    assert head["Content-Type"] == whole["Content-Type"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/nothing", 404),
        ("GET", "/livereload.js", 200),
        ("GET", "/video/film.mkv", 200),
        ("GET", "/video/page.html", 404),
        ("POST", "/", 405),
    ],
)
def test_every_answer_has_the_headers_of_production_but_for_the_line_to_us(
    ask: Served, method: str, path: str, status: int
) -> None:
    answer = ask(path, method)

    assert answer.status == status
    for name, value in security_headers(content_policy()).items():
        line = value.replace("connect-src 'self'", "connect-src 'self' ws:")
        assert answer.headers.get_all(name) == [line]


def test_nothing_is_taken_from_a_cache_unasked(ask: Served) -> None:
    assert ask("/")["Cache-Control"] == "no-store"
    assert ask("/")["ETag"] is None
    assert ask("/assets/a.css")["Cache-Control"] == "no-store"
    assert ask("/video/film.mkv")["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/.reelshelf",
        "/%2ereelshelf",
        "/.tmp-1-0",
        "/watch/.half.html",
        "/leads-out.html",
        "/../secret.html",
        "/%2e%2e/secret.html",
        "/assets/..%2f..%2fsecret.html",
        "/./index.html",
        "//index.html",
        "/index.html%00",
        "index.html",
        "/video/.film.mp4",
        "/video/.trash/film.mp4",
        "/video/page.html",
        "/video/notes.txt",
        "/video/film.mkv%0A",
        "/video/leads-out.mp4",
        "/video/folder-out/secret.mp4",
        "/video/circle.mp4",
        "/video/pipe.mp4",
        "/video/../secret.mp4",
        "/video/%2e%2e/secret.mp4",
        "/video/..%2fsecret.mp4",
        "/video/%2e%2e%2flibrary-two/secret.mp4",
        "/video/a%20folder/",
        "/video/film.mkv%00",
        "/video/",
        "/video",
        "/video/" + "x" * 300 + ".mp4",
    ],
)
def test_nothing_hidden_or_outside_or_not_a_video_is_served(ask: Served, path: str) -> None:
    answer = ask(path)

    assert answer.status in {400, 404}
    assert SECRET not in answer.body


@pytest.mark.parametrize("suffix", [*MEDIA_TYPES, "MKV"])
def test_a_film_is_sent_as_what_it_is(ask: Served, suffix: str) -> None:
    answer = ask(f"/video/film.{suffix}")

    assert (answer.status, answer.body) == (200, FILM)
    assert answer["Content-Type"] == MEDIA_TYPES[suffix.lower()]
    assert answer["Accept-Ranges"] == "bytes"


def test_a_link_within_the_library_is_served(ask: Served) -> None:
    assert ask("/video/within.mp4").body == FILM


def test_a_link_that_leads_out_is_served_when_links_are_followed(folder: Path) -> None:
    roots = {"": folder / "library"}
    with running(DevServer(folder / "out", roots, follow_links=True)) as ask:
        film, page = ask("/video/leads-out.mp4"), ask("/leads-out.html")

    assert film.body == SECRET
    assert page.status == 404


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-", 0, 10240),
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=10000-", 10000, 10240),
        ("bytes=-7", 10233, 10240),
        ("bytes=-99999", 0, 10240),
        ("bytes=10239-99999", 10239, 10240),
        ("Bytes=1-2", 1, 3),
    ],
)
def test_a_film_of_an_unkind_name_is_served_in_ranges(
    ask: Served, wanted: str, start: int, stop: int
) -> None:
    answer = ask(b"/video/a folder/" + UNKIND, headers={"Range": wanted})

    assert (answer.status, answer.body) == (206, FILM[start:stop])
    assert answer["Content-Range"] == f"bytes {start}-{stop - 1}/10240"


@pytest.mark.parametrize(
    "wanted", ["bytes=0-0,2-2", "bytes=5-2", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=1--2"]
)
def test_a_range_that_is_not_understood_is_the_whole(ask: Served, wanted: str) -> None:
    answer = ask("/video/film.mkv", headers={"Range": wanted})

    assert (answer.status, answer.body) == (200, FILM)
    assert answer["Content-Range"] is None


@pytest.mark.parametrize(
    ("path", "wanted", "size"),
    [
        ("/video/film.mkv", "bytes=10240-", 10240),
        ("/video/film.mkv", "bytes=10240-10250", 10240),
        ("/video/film.mkv", "bytes=-0", 10240),
        ("/video/empty.mp4", "bytes=0-", 0),
    ],
)
def test_a_range_behind_the_end_is_refused(ask: Served, path: str, wanted: str, size: int) -> None:
    answer = ask(path, headers={"Range": wanted})

    assert (answer.status, answer.body) == (416, b"")
    assert answer["Content-Range"] == f"bytes */{size}"


def test_a_film_that_did_not_change_is_not_sent_again(ask: Served) -> None:
    etag = ask("/video/film.mkv")["ETag"] or ""
    again = ask("/video/film.mkv", headers={"If-None-Match": etag, "Range": "bytes=0-1"})

    assert (again.status, again.body) == (304, b"")


def test_a_range_of_a_film_that_changed_is_the_whole(tmp_path: Path) -> None:
    film = tmp_path / "library" / "film.mp4"
    write(film, FILM)
    with running(DevServer(tmp_path / "out", {"": film.parent})) as ask:
        etag = ask("/video/film.mp4", "HEAD")["ETag"] or ""
        same = ask("/video/film.mp4", headers={"Range": "bytes=0-1", "If-Range": etag})
        write(film, FILM[::-1])
        os.utime(film, ns=(0, 1))
        other = ask("/video/film.mp4", headers={"Range": "bytes=0-1", "If-Range": etag})

    assert (same.status, same.body) == (206, FILM[:2])
    assert (other.status, other.body) == (200, FILM[::-1])


def test_a_range_of_a_gigabyte_is_answered_at_once(ask: Served) -> None:
    begun_s = time.perf_counter()
    answer = ask("/video/sparse.mkv", headers={"Range": f"bytes={SPARSE_BYTES - 10}-"})
    took_s = time.perf_counter() - begun_s

    assert (answer.status, answer.body) == (206, bytes(10))
    assert took_s < 0.25  # some 2 ms; to read the file would take a second


def test_pages_are_answered_while_a_film_is_sent(ask: Served) -> None:
    slowest_s = 0.0
    with film_of(ask) as film:
        for _ in range(16):
            assert film.read(4 << 20) == bytes(4 << 20)
            begun_s = time.perf_counter()
            assert ask("/").status == 200
            slowest_s = max(slowest_s, time.perf_counter() - begun_s)

    assert slowest_s < 0.5  # some 3 ms


def test_several_roots_are_told_apart_by_their_names(tmp_path: Path) -> None:
    roots = {"films & more": tmp_path / "films & more", "not\udcff8": tmp_path / "not\udcff8"}
    for name, root in roots.items():
        write(root / "film.mp4", os.fsencode(name))
    with running(DevServer(tmp_path / "out", roots)) as ask:
        films = {name: ask(b"/video/" + os.fsencode(name) + b"/film.mp4") for name in roots}
        unnamed = [ask(path) for path in ("/video/film.mp4", "/video/other/film.mp4", "/video/")]

    assert {name: film.body for name, film in films.items()} == {
        name: os.fsencode(name) for name in roots
    }
    assert {answer.status for answer in unnamed} == {404}


def test_a_site_below_a_folder_is_served_there(folder: Path) -> None:
    roots = {"": folder / "library"}
    with running(DevServer(folder / "out", roots, base="/sub/folder")) as ask:
        moved, front = ask("/sub/folder"), ask("/sub/folder/")
        film = ask(b"/sub/folder/video/a folder/" + UNKIND)
        outside = [ask(path) for path in ("/", "/index.html", "/sub/", "/video/film.mkv")]

    assert urlsplit(ask.server.address).path == "/sub/folder/"
    assert (moved.status, moved["Location"]) == (302, "/sub/folder/")
    assert (front.status, film.body) == (200, FILM)
    assert b'src="/livereload.js?' in front.body
    assert {answer.status for answer in outside} == {404}


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost", 200),
        ("site.localhost", 200),
        ("[::1]", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
    ],
)
def test_a_server_for_this_computer_answers_to_no_other_name(
    ask: Served, name: str, status: int
) -> None:
    assert ask("/", headers={"Host": f"{name}:{ask.port}"}).status == status
    assert ask("/livereload.js", headers={"Host": f"{name}:{ask.port}"}).status == status


def test_a_server_for_everyone_answers_to_any_name(folder: Path) -> None:
    with running(DevServer(folder / "out", {}, host="0.0.0.0")) as ask:
        answer = ask("/", headers={"Host": "shelf.example"})

    assert ask.server.address == f"http://127.0.0.1:{ask.port}/"
    assert answer.status == 200


def test_a_port_that_is_taken_is_a_mistake_in_the_settings(ask: Served, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"cannot serve at 127.0.0.1 port {ask.port}") as error:
        DevServer(tmp_path, {}, port=ask.port).start()

    assert "choose another port" in error.value.hint


@pytest.mark.parametrize(("host", "port"), [("no.such.host.invalid", 0), ("127.0.0.1", 70000)])
def test_an_address_that_cannot_be_is_a_mistake_in_the_settings(host: str, port: int) -> None:
    with pytest.raises(SettingsError, match="cannot serve at"):
        DevServer(Path(), {}, host=host, port=port).start()


# -- reloading

Line = WebSocketClientConnection
T = TypeVar("T")


def newest(ask: Served) -> int:
    """Return the number of the last build."""
    number = re.search(rb"/livereload\?build=([0-9]+)", ask("/livereload.js").body)
    assert number
    return int(number[1])


@asynccontextmanager
async def opened(
    ask: Served, *, introduced: bool = True, build: int | None = None
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


async def reload(ask: Served, times: int = 1) -> None:
    """Have the pages reload, and wait until they were told."""
    for _ in range(times):
        await asyncio.to_thread(ask.server.reload)
    await asyncio.to_thread(ask, "/")  # a new connection is taken after what waited before it


async def greet(line: Line) -> None:
    await line.write_message(json.dumps({"command": "hello", "protocols": []}))


async def told(line: Line) -> dict[str, Any]:
    message = await asyncio.wait_for(line.read_message(), LIMIT_S)
    assert message is not None, "the line was closed"
    told: dict[str, Any] = json.loads(message)
    return told


async def commands(line: Line, count: int) -> list[str]:
    return [(await told(line))["command"] for _ in range(count)]


def run(deed: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(deed, LIMIT_S))


@pytest.mark.parametrize("count", [1, 3])
def test_every_open_page_is_told_once_a_build(ask: Served, count: int) -> None:
    async def heard() -> list[list[str]]:
        async with opened(ask) as one, opened(ask) as other:
            await reload(ask, count)
            for line in (one, other, one, other):
                await greet(line)  # the answer to this comes after all that was sent before
            return [await commands(one, count + 2), await commands(other, count + 2)]

    assert run(heard()) == [["reload"] * count + ["hello", "hello"]] * 2


def test_a_page_is_told_to_load_itself_whole(ask: Served) -> None:
    async def message() -> dict[str, Any]:
        async with opened(ask) as line:
            ask.server.reload()
            return await told(line)

    assert run(message()) == {"command": "reload", "path": "*", "liveCSS": False}


def test_a_page_that_has_not_introduced_itself_is_told_when_it_has(ask: Served) -> None:
    async def heard(build: int) -> list[str]:
        async with opened(ask, introduced=False, build=build) as line:
            await reload(ask, 2)
            await greet(line)
            await introduce(line)
            await greet(line)
            return await commands(line, 4)

    assert run(heard(newest(ask))) == ["hello", "hello", "reload", "hello"]


def test_a_page_loaded_before_a_build_and_calling_after_it_is_told(ask: Served) -> None:
    async def heard(build: int, count: int) -> list[str]:
        async with opened(ask, introduced=False, build=build) as line:
            await introduce(line)
            await greet(line)
            return await commands(line, count)

    build = newest(ask)
    run(reload(ask))

    assert newest(ask) == build + 1
    assert f"build={build + 1}".encode() in ask("/").body
    assert run(heard(build, 3)) == ["hello", "reload", "hello"]
    assert run(heard(build + 1, 2)) == ["hello", "hello"]


def test_a_page_of_another_server_is_told_nothing(ask: Served, tmp_path: Path) -> None:
    async def heard() -> list[str]:
        with running(DevServer(tmp_path, {})) as other:
            async with opened(ask) as line:
                await reload(other)
                await greet(line)
                return await commands(line, 1)

    assert run(heard()) == ["hello"]


def test_a_page_that_was_closed_disturbs_nobody(ask: Served) -> None:
    async def heard() -> list[str]:
        async with opened(ask) as gone, opened(ask) as line:
            gone.stream.close()  # as when a browser is killed
            ask.server.reload()
            ask.server.reload()
            return await commands(line, 2)

    assert run(heard()) == ["reload", "reload"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "http://evil.example:1", "Host": "evil.example:1"}, 421),
        ({"Host": "evil.example:1"}, 421),
    ],
)
def test_a_page_from_elsewhere_is_told_nothing(
    ask: Served, headers: dict[str, str], status: int
) -> None:
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }

    assert ask("/livereload", headers=upgrade | headers).status == status


# -- beginning and end


def test_stopping_ends_downloads_and_hangs_up(folder: Path) -> None:
    server = DevServer(folder / "out", {"": folder / "library"})

    async def closed() -> str | bytes | None:
        async with opened(Served(server)) as line:
            await asyncio.to_thread(server.stop)
            return await line.read_message()

    with running(server) as served, film_of(served) as film:
        assert film.read(1000) == bytes(1000)
        begun_s = time.perf_counter()
        heard = run(closed())
    took_s = time.perf_counter() - begun_s

    assert heard is None
    assert took_s < 1.0  # it waits for nobody


def test_stopping_breaks_off_without_a_word_in_the_log(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        running(DevServer(folder / "out", {"": folder / "library"})) as served,
        film_of(served) as film,
    ):
        assert film.read(1000) == bytes(1000)

    assert [record.getMessage() for record in caplog.records] == []


def test_what_was_stopped_before_it_ran_does_not_run(tmp_path: Path) -> None:
    server = DevServer(tmp_path, {})
    server.start()
    server.reload()
    server.stop()

    thread = Thread(target=server.run)
    thread.start()
    thread.join(LIMIT_S)
    ended = not thread.is_alive()
    server.stop()
    server.reload()

    assert ended
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", Served(server).port))


def test_a_signal_may_stop_it(tmp_path: Path) -> None:
    server = DevServer(tmp_path, {})
    server.start()
    ended, in_time = Event(), Event()
    before = signal.signal(signal.SIGTERM, lambda *_: server.stop())

    def ask_then_end() -> None:
        assert Served(server)("/").status == 404  # it runs, and then waits for ever
        os.kill(os.getpid(), signal.SIGTERM)
        if ended.wait(LIMIT_S):
            in_time.set()
        server.stop()

    asking = Thread(target=ask_then_end)
    asking.start()
    try:
        server.run()
    finally:
        ended.set()
        asking.join(LIMIT_S)
        signal.signal(signal.SIGTERM, before)

    assert in_time.is_set()
