"""The dev server, asked over real sockets: pages, films by range, and by which names."""

import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from served import Served, film_of, running, write

from generator.core.delivery.nginx import content_policy, security_headers
from generator.core.errors import SettingsError
from generator.core.formatting import MEDIA_TYPES
from generator.devserver import DevServer, ServedSite, network_address, own_names

SPARSE_BYTES = 1 << 30

PAGE = b"<!DOCTYPE html><html><head><title>front</title></head><body>front</body></html>"
MISSING = b"<!DOCTYPE html><title>nothing here</title>"
FILM = bytes(range(256)) * 40
UNKIND = b'a film #1? 100% "it\'s" \n$HOME {x}; \xff\xe9+&.mkv'
SECRET = b"not for you"


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
    with running(DevServer(ServedSite(folder / "out", {"": folder / "library"}))) as served:
        yield served


def script_of(ask: Served) -> bytes:
    """Return what the page ends its head with; the build is as the front page has it now."""
    build = re.search(rb"build=[0-9]+", ask("/").body)
    assert build
    source = f"/livereload.js?{build[0].decode()}"
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
    assert (
        script.body.count(b'"wss://" : "ws://") + window.location.host + "/livereload?build=7";')
        == 1
    )
    assert b'"/livereload"' not in script.body


@pytest.mark.parametrize("build", ["", "-1", "x", "9" * 5000, "1.5", "%22"])
def test_a_number_that_is_none_is_taken_for_the_newest(ask: Served, build: str) -> None:
    assert ask(f"/livereload.js?build={build}").body == ask("/livereload.js").body


def test_what_is_not_there_is_told_by_the_sites_own_page(ask: Served) -> None:
    for path in ("/nothing", "/assets/", "/assets", "/video/nothing.mp4", "/404.html"):
        answer = ask(path)
        assert (answer.status, answer.body) == (404, MISSING + script_of(ask))


def test_a_site_not_built_yet_says_so_and_loads_itself_later(tmp_path: Path) -> None:
    with running(DevServer(ServedSite(tmp_path / "out", {}))) as ask:
        answer = ask("/")
        script = script_of(ask)

    assert (answer.status, answer["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert b"There is nothing at this address yet." in answer.body
    assert answer.body.count(script) == 1


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
        "/video/within.mp4",
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


@pytest.mark.parametrize("path", ["//index.html", "/./index.html", "/assets/../index.html"])
def test_an_address_may_be_written_in_more_ways_than_one(ask: Served, path: str) -> None:
    assert ask(path).status == 200


def test_a_link_that_leads_out_is_served_when_links_are_followed(folder: Path) -> None:
    roots = {"": folder / "library"}
    with running(DevServer(ServedSite(folder / "out", roots, follow_links=True))) as ask:
        film, page = ask("/video/leads-out.mp4"), ask("/leads-out.html")
        within = ask("/video/within.mp4")

    assert film.body == SECRET
    assert within.body == FILM
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
    with running(DevServer(ServedSite(tmp_path / "out", {"": film.parent}))) as ask:
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
    with running(DevServer(ServedSite(tmp_path / "out", roots))) as ask:
        films = {name: ask(b"/video/" + os.fsencode(name) + b"/film.mp4") for name in roots}
        unnamed = [ask(path) for path in ("/video/film.mp4", "/video/other/film.mp4", "/video/")]

    assert {name: film.body for name, film in films.items()} == {
        name: os.fsencode(name) for name in roots
    }
    assert {answer.status for answer in unnamed} == {404}


def test_a_site_below_a_folder_is_served_there(folder: Path) -> None:
    roots = {"": folder / "library"}
    with running(DevServer(ServedSite(folder / "out", roots, base="/sub/folder"))) as ask:
        moved, front = ask("/sub/folder"), ask("/sub/folder/")
        film = ask(b"/sub/folder/video/a folder/" + UNKIND)
        script = ask("/sub/folder/livereload.js?build=1")
        outside = [ask(path) for path in ("/", "/index.html", "/sub/", "/video/film.mkv")]

    assert urlsplit(ask.server.address).path == "/sub/folder/"
    assert (moved.status, moved["Location"]) == (302, "/sub/folder/")
    assert (front.status, film.body) == (200, FILM)
    assert b'src="/sub/folder/livereload.js?' in front.body
    assert b'window.location.host + "/sub/folder/livereload?build=1";' in script.body
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
    with running(DevServer(ServedSite(folder / "out", {}), host="0.0.0.0")) as ask:
        answer = ask("/", headers={"Host": "shelf.example"})

    assert ask.server.address == f"http://127.0.0.1:{ask.port}/"
    assert answer.status == 200


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("127.0.0.1", 200),
        ("192.168.7.7", 200),
        ("[fe80::1]", 200),
        ("localhost", 200),
        ("My-Computer", 200),
        ("evil.example", 421),
        ("my-computer.evil.example", 421),
    ],
)
def test_a_server_for_the_network_answers_to_addresses_and_its_own_names(
    folder: Path, name: str, status: int
) -> None:
    server = DevServer(ServedSite(folder / "out", {}), host="0.0.0.0", names={"my-computer"})
    with running(server) as ask:
        assert ask("/", headers={"Host": f"{name}:{ask.port}"}).status == status


def test_the_names_of_this_computer_are_its_own_and_that_of_the_local_network() -> None:
    name = socket.gethostname().lower()

    assert own_names() == {name, name.partition(".")[0] + ".local"}


def test_the_address_for_the_network_is_one_of_this_computer_and_reaches_the_server(
    folder: Path,
) -> None:
    address = network_address()
    if address is None:
        pytest.skip("this computer is in no network")
    with running(DevServer(ServedSite(folder / "out", {}), host="0.0.0.0", names=set())) as ask:
        url = urlsplit(ask.server.address_at(address))
        with socket.create_connection((address, ask.port), 5) as line:
            reached = line.getpeername()[0]

    assert (url.hostname, url.port, reached) == (address, ask.port, address)


def test_a_port_that_is_taken_is_a_mistake_in_the_settings(ask: Served, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1 port {ask.port}") as error:
        DevServer(ServedSite(tmp_path, {}), port=ask.port).start()

    assert "choose another port" in error.value.hint


@pytest.mark.parametrize(("host", "port"), [("no.such.host.invalid", 0), ("127.0.0.1", 70000)])
def test_an_address_that_cannot_be_is_a_mistake_in_the_settings(host: str, port: int) -> None:
    with pytest.raises(SettingsError, match="cannot listen on"):
        DevServer(ServedSite(Path(), {}), host=host, port=port).start()
