"""What open pages of the dev server are told: of each build once, of failures, and of its end."""

import asyncio
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from served import (
    LIMIT_S,
    Served,
    commands,
    film_of,
    greet,
    introduce,
    opened,
    read_message,
    run,
    running,
    write,
)

from generator.devserver import DevServer, ServedSite

PAGE = b"<!DOCTYPE html><html><head><title>front</title></head><body>front</body></html>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `out` and `library` in it."""
    folder = tmp_path_factory.mktemp("site")
    write(folder / "out" / "index.html", PAGE)
    write(folder / "out" / "a.css", b"a")
    write(folder / "library" / "sparse.mkv", b"")
    os.truncate(folder / "library" / "sparse.mkv", 1 << 30)
    return folder


@pytest.fixture(scope="module")
def ask(folder: Path) -> Iterator[Served]:
    with running(DevServer(ServedSite(folder / "out", {"": folder / "library"}))) as served:
        yield served


def newest(ask: Served) -> int:
    """Return the number of the last build."""
    number = re.search(rb"/livereload\?build=([0-9]+)", ask("/livereload.js").body)
    assert number
    return int(number[1])


async def reload(ask: Served, times: int = 1) -> None:
    """Have the pages reload, and wait until they were told."""
    for _ in range(times):
        await asyncio.to_thread(ask.server.reload)
    await asyncio.to_thread(ask, "/")  # a new connection is taken after what waited before it


@pytest.mark.parametrize("count", [1, 3])
def test_every_open_page_is_told_once_a_build(ask: Served, count: int) -> None:
    async def heard() -> list[list[str]]:
        async with opened(ask) as first, opened(ask) as other:
            await reload(ask, count)
            for line in (first, other, first, other):
                await greet(line)  # the answer to this comes after all that was sent before
            return [await commands(first, count + 2), await commands(other, count + 2)]

    assert run(heard()) == [["reload"] * count + ["hello", "hello"]] * 2


def test_a_page_is_told_to_load_itself_whole(ask: Served) -> None:
    async def message() -> dict[str, Any]:
        async with opened(ask) as line:
            ask.server.reload()
            return await read_message(line)

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
        with running(DevServer(ServedSite(tmp_path, {}))) as other:
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
        ({"Origin": "http://evil.example", "X-Forwarded-Host": "films.example"}, 403),
        ({"Origin": "http://evil.example", "X-Forwarded-Host": ""}, 403),
        ({"Origin": "null", "X-Forwarded-Host": ","}, 403),
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


def test_a_page_that_an_earlier_server_sent_is_told(ask: Served) -> None:
    async def heard(build: int) -> list[str]:
        async with opened(ask, introduced=False, build=build) as line:
            await introduce(line)
            await greet(line)
            return await commands(line, 3)

    for build in (0, newest(ask) - 1, newest(ask) + 1):
        assert run(heard(build)) == ["hello", "reload", "hello"]


# -- failures

NASTY = "cannot render <b>shelf.html</b>, line 7: \"x\" & 'y' \udcff"


async def told_after(ask: Served, *deeds: Callable[[], None]) -> list[int]:
    """Return how often an open page is told to reload by each of some deeds."""
    counts = []
    async with opened(ask) as line:
        for deed in deeds:
            await asyncio.to_thread(deed)
            await asyncio.to_thread(ask, "/")
            await greet(line)
            heard = [(await read_message(line))["command"]]
            while heard[-1] != "hello":
                heard.append((await read_message(line))["command"])
            counts.append(heard.count("reload"))
    return counts


def test_a_failure_reloads_once_and_so_does_its_end(ask: Served) -> None:
    server = ask.server

    counts = run(
        told_after(
            ask,
            server.reload_if_stale,
            lambda: server.fail("one", "hint"),
            lambda: server.fail("one", "hint"),
            lambda: server.fail("two", "hint"),
            server.reload_if_stale,
            server.reload_if_stale,
            lambda: server.fail("one", "hint"),
            lambda: server.fail("one", "hint", changed=True),
            server.reload,
            server.reload_if_stale,
        )
    )

    assert counts == [0, 1, 0, 1, 1, 0, 1, 1, 1, 0]


def test_a_failure_lies_over_every_page_until_it_is_mended(ask: Served) -> None:
    before = {path: ask(path) for path in ("/", "/nothing", "/a.css")}
    ask.server.fail(NASTY, "mend <it>")
    during = {path: ask(path) for path in before}
    head = ask("/", "HEAD")
    ask.server.reload_if_stale()
    after = {path: ask(path) for path in before}

    for path in ("/", "/nothing"):
        assert during[path].status == before[path].status
        assert (
            during[path].body.count(b'<link rel="stylesheet" href="/reelshelf-failure.css">') == 1
        )
        assert during[path].body.count(b'role="alert"') == 1
        assert (
            b"cannot render &lt;b&gt;shelf.html&lt;/b&gt;, line 7:"
            b" &quot;x&quot; &amp; &#x27;y&#x27; \\udcff</p><p>mend &lt;it&gt;</p>"
        ) in during[path].body
        assert b'role="alert"' not in after[path].body
    assert head["Content-Length"] == str(len(during["/"].body))
    assert during["/a.css"].body == before["/a.css"].body


def test_the_style_of_a_failure_may_be_used_under_the_content_policy(ask: Served) -> None:
    ask.server.fail("message")
    page = ask("/")
    ask.server.reload_if_stale()
    style = ask("/reelshelf-failure.css")

    assert (style.status, style["Content-Type"]) == (200, "text/css")
    assert "style-src 'self'" in str(page["Content-Security-Policy"])
    assert b" style=" not in page.body
    assert b"<style" not in page.body


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"<body><pre>&lt;/body></pre>text", b"</body></html>"),
        (b"<BODY>'</body>'", b"</BODY\n>"),
        (b"<p>text", b""),
        (b"", b""),
    ],
)
def test_a_failure_comes_last_in_the_body(tmp_path: Path, before: bytes, after: bytes) -> None:
    write(tmp_path / "index.html", b"<head></head>" + before + after)
    with running(DevServer(ServedSite(tmp_path, {}))) as ask:
        ask.server.fail("message")
        page = ask("/").body.partition(b"</head>")[2]

    over = page.removeprefix(before).removesuffix(after)
    assert page == before + over + after
    assert over.startswith(b"<div")
    assert over.endswith(b"</div>")


def test_a_failure_of_the_first_build_is_told_although_there_is_no_page(tmp_path: Path) -> None:
    server = DevServer(ServedSite(tmp_path / "out", {}))
    server.fail("cannot render", "mend it")  # before it runs
    with running(server) as ask:
        page = ask("/")

    assert page.status == 404
    assert b"cannot render</p><p>mend it</p>" in page.body
    assert b"There is nothing at this address yet." in page.body
    assert b"/livereload.js?" in page.body


# -- another site


def test_another_site_is_served_from_now_on_and_pages_are_told_when_it_is_built(
    folder: Path, tmp_path: Path
) -> None:
    write(tmp_path / "out" / "index.html", b"other")
    write(tmp_path / "films" / "film.mp4", b"film")
    site = ServedSite(folder / "out", {"": folder / "library"})
    other = ServedSite(tmp_path / "out", {"": tmp_path / "films"}, "/sub")

    with running(DevServer(site)) as ask:
        server = ask.server
        counts = run(
            told_after(
                ask,
                lambda: server.adopt(site),
                server.reload_if_stale,
                lambda: server.adopt(other),
                server.reload_if_stale,
                server.reload_if_stale,
            )
        )
        page, film, former = ask("/sub/"), ask("/sub/video/film.mp4"), ask("/video/sparse.mkv")
        address = server.address

    assert counts == [0, 0, 0, 1, 0]
    assert page.body.startswith(b"other")
    assert (film.body, former.status) == (b"film", 404)
    assert address.endswith("/sub/")


# -- beginning and end


def test_stopping_ends_downloads_and_hangs_up(folder: Path) -> None:
    server = DevServer(ServedSite(folder / "out", {"": folder / "library"}))

    async def closed() -> str | bytes | None:
        async with opened(Served.by(server)) as line:
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
        running(DevServer(ServedSite(folder / "out", {"": folder / "library"}))) as served,
        film_of(served) as film,
    ):
        assert film.read(1000) == bytes(1000)

    assert [record.getMessage() for record in caplog.records] == []


def test_what_was_stopped_before_it_ran_does_not_run(tmp_path: Path) -> None:
    server = DevServer(ServedSite(tmp_path, {}))
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
        socket.create_connection(("127.0.0.1", Served.by(server).port))


def test_a_signal_may_stop_it(tmp_path: Path) -> None:
    server = DevServer(ServedSite(tmp_path, {}))
    server.start()
    ended, in_time = Event(), Event()
    before = signal.signal(signal.SIGTERM, lambda *_: server.stop())

    def ask_then_end() -> None:
        assert Served.by(server)("/").status == 404  # it runs, and then waits for ever
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
