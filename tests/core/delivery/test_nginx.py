"""The real nginx, started with the configuration that `reelshelf nginx` would print."""

import gzip
import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nginx_server import (
    BROTLI_COPY,
    FILM,
    MISSING,
    NEW_PAGE,
    PAGE,
    SECRET,
    STYLE,
    TEMPLATE,
    TEXT,
    Ask,
    command,
    make_site,
    running,
    write,
    write_config,
)

from generator.core.delivery.nginx import PLAY_TYPES, config, content_policy, security_headers
from generator.core.formatting import MEDIA_TYPES

UNKIND = b'a film #1? 100% "it\'s" \n$HOME {x}; \xff\xe9+&.mkv'

KEPT = "public, max-age=31536000, immutable"
ROOT_NAMES = [
    "two  words",
    "it's",
    'the "best"',
    "$HOME",
    "${x}$",
    "a;b",
    "{}",
    "back\\slash\\",
    "new\nline",
    "tab\t",
    "#1",
    "~tilde",
    "= equals",
    "%41%",
    "1+1",
    "(re)*[g]ex.?^|",
    "@OUT@",
    ".hidden",
    "évalué 😀",
    "x" * 247,  # the address has 255 bytes, the most that nginx can tell apart
]


def make_library(root: Path) -> None:
    write(os.fsencode(root) + b"/a folder/" + UNKIND, FILM)
    for suffix in (*MEDIA_TYPES, "MKV"):
        write(root / f"film.{suffix}", FILM)
    for hidden in (".film.mp4", ".trash/film.mp4", "a folder/.x/film.mp4"):
        write(root / hidden, SECRET)
    for other in ("page.html", "page.mp4.html", "notes.txt", "mp4", "film.mp4.gz", "film.mkv\n"):
        write(root / other, SECRET)
    write(root.parent / "secret.mp4", SECRET)
    (root / "leads-out.mp4").symlink_to("../secret.mp4")
    (root / "folder-out").symlink_to("..")


@pytest.fixture(scope="module")
def nginx(program: Callable[[str], str]) -> str:
    return program("nginx")


@pytest.fixture(scope="module")
def brotli(nginx: str) -> Path:
    built = subprocess.run([nginx, "-V"], capture_output=True, check=True).stderr.decode()
    folder = re.search(r"--modules-path=(\S+)", built)
    module = Path(folder[1] if folder else "/nowhere") / "ngx_http_brotli_static_module.so"
    if not module.is_file():
        reason = "nginx has no module for static Brotli (libnginx-mod-http-brotli-static)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `out` and `library` in it."""
    folder = tmp_path_factory.mktemp("site")
    make_site(folder / "out")
    make_library(folder / "library")
    return folder


@pytest.fixture(scope="module")
def ask(nginx: str, folder: Path, free_port: Callable[[], int]) -> Iterator[Ask]:
    """Return a function that asks an nginx that serves `folder`."""
    port = free_port()
    text = config(
        TEMPLATE,
        out=str(folder / "out"),
        roots={"": str(folder / "library")},
        listen=f"127.0.0.1:{port}",
        server_name="_",
        base="",
    )
    # A socket cannot be opened: that is how to have nginx itself fail.
    with (
        socket.socket(socket.AF_UNIX) as broken,
        running(nginx, write_config(folder / "nginx", text), port) as asking,
    ):
        within = os.open(folder / "out" / "assets", os.O_RDONLY)
        broken.bind(f"/proc/self/fd/{within}/broken.css")
        os.close(within)
        yield asking


def test_a_page_is_served_and_asked_about_each_time(ask: Ask) -> None:
    first = ask("/")
    again = ask("/", headers={"If-None-Match": first["ETag"] or ""})

    assert (first.status, first.body) == (200, PAGE)
    assert first["Content-Type"] == "text/html; charset=utf-8"
    assert first["Cache-Control"] == "no-cache"
    assert (again.status, again.body) == (304, b"")
    assert ask("/atom.xml")["Content-Type"] == "application/xml"


ASKED = {
    "page": ("GET", "/", {}, 200),
    "head": ("HEAD", "/", {}, 200),
    "unchanged": ("GET", "/", {"If-None-Match": "*"}, 304),
    "compressed": ("GET", "/", {"Accept-Encoding": "gzip"}, 200),
    "asset": ("GET", "/assets/style-0123456789.css", {}, 200),
    "thumbnail": ("GET", "/thumb/0/1-abc-320.webp", {}, 200),
    "storyboard": ("GET", "/board/0/1-0a1b2c.webp", {}, 200),
    "subtitles": ("GET", "/text/0/1-0a1b2c.vtt", {}, 200),
    "rendition": ("GET", "/play/0/1-0a1b2c.mp4", {}, 200),
    "film": ("GET", "/video/film.mkv", {}, 200),
    "range": ("GET", "/video/film.mkv", {"Range": "bytes=1-2"}, 206),
    "bad range": ("GET", "/video/film.mkv", {"Range": "bytes=99999-"}, 416),
    "nothing": ("GET", "/nothing", {}, 404),
    "no asset": ("GET", "/assets/nothing.css", {}, 404),
    "no film": ("GET", "/video/nothing.mkv", {}, 404),
    "no page in the library": ("GET", "/video/page.html", {}, 404),
    "hidden": ("GET", "/.reelshelf", {}, 404),
    "folder": ("GET", "/assets/", {}, 404),
    "folder without slash": ("GET", "/assets", {}, 301),
    "missing page itself": ("GET", "/404.html", {}, 404),
    "not a deed for pages": ("POST", "/", {}, 405),
    "failure": ("GET", "/assets/broken.css", {}, 503),
}


@pytest.mark.parametrize("asked", ASKED)
def test_every_answer_has_every_security_header_once(ask: Ask, asked: str) -> None:
    method, path, headers, status = ASKED[asked]
    answer = ask(path, method, headers)

    assert answer.status == status
    # nginx's range filter sends a refusal through all filters a second time: the same twice.
    times = 2 if status == 416 else 1
    for name, value in security_headers(content_policy()).items():
        sent = answer.headers.get_all(name) or []
        assert set(sent) == {value}
        assert len(sent) <= times
    assert len(answer.headers.get_all("Cache-Control") or []) in {1, times}
    assert answer["Server"] == "nginx"


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/assets/style-0123456789.css", KEPT),
        ("/thumb/0/1-abc-320.webp", KEPT),
        ("/board/0/1-0a1b2c.webp", KEPT),
        ("/board/0/1-0a1b2c.vtt", KEPT),
        ("/board/0.json", "no-cache"),
        ("/text/0/1-0a1b2c.vtt", KEPT),
        ("/text/0/1-chapters.vtt", "no-cache"),
        ("/play/0/1-0a1b2c.mp4", KEPT),
        ("/play/0/1-0a1b2c.m3u8", KEPT),
        ("/play/0/2-0a1b2c.mp4", "no-cache"),
        ("/board/0/2-0a1b2c.webp", "no-cache"),
        ("/video/film.mkv", "no-cache"),
        ("/watch/new-1.html", "no-cache"),
        ("/assets/nothing.css", "no-cache"),
        ("/thumb/nothing.webp", "no-cache"),
        ("/assets/.hidden.css", "no-cache"),
        ("/assets/broken.css", "no-store"),
    ],
)
def test_only_what_never_changes_is_kept_for_long(ask: Ask, path: str, kept: str) -> None:
    assert ask(path)["Cache-Control"] == kept


def test_what_is_not_there_is_told_by_the_sites_own_page(ask: Ask) -> None:
    for path in ("/nothing", "/watch/nothing.html", "/video/nothing.mp4", "/assets/", "/404.html"):
        answer = ask(path)
        assert (answer.status, answer.body) == (404, MISSING)


def test_the_copy_beside_a_page_goes_out_as_it_is(ask: Ask) -> None:
    packed = ask("/", headers={"Accept-Encoding": "br, gzip"})

    assert packed["Content-Encoding"] == "gzip"
    assert packed.body == gzip.compress(PAGE, mtime=0)
    assert packed["Vary"] == "Accept-Encoding"
    assert ask("/")["Content-Encoding"] is None


def test_a_page_too_new_for_a_copy_is_compressed_on_its_way(ask: Ask) -> None:
    for headers in ({}, {"Via": "1.1 cdn"}):
        packed = ask("/watch/new-1.html", headers={"Accept-Encoding": "gzip"} | headers)
        assert packed["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.body) == NEW_PAGE


@pytest.mark.parametrize(
    "path",
    [
        "/.reelshelf",
        "/%2ereelshelf",
        "/.tmp-1-0",
        "/watch/.half.html",
        "/play/0/.half.mp4",
        "/play/../../secret.mp4",
        "/play../secret.mp4",
        "/video/.film.mp4",
        "/video/.trash/film.mp4",
        "/video/a%20folder/.x/film.mp4",
        "/video/page.html",
        "/video/page.mp4.html",
        "/video/notes.txt",
        "/video/mp4",
        "/video/film.mp4.gz",
        "/video/film.mkv%0A",
        "/video/film.mkv%00.html",
        "/video/leads-out.mp4",
        "/video/folder-out/secret.mp4",
        "/video/",
        "/video/a%20folder/",
        "/../secret.mp4",
        "/video/../../secret.mp4",
        "/video/%2e%2e/secret.mp4",
        "/video/a/%2e%2e/%2e%2e/secret.mp4",
        "/video/..%2fsecret.mp4",
        "/video/..%5csecret.mp4",
        "/video../secret.mp4",
        "/video..%2f/secret.mp4",
        "/assets../secret.mp4",
        "/assets/..%2f..%2fsecret.mp4",
        "//secret.mp4",
    ],
)
def test_nothing_hidden_or_outside_or_not_a_video_is_served(ask: Ask, path: str) -> None:
    answer = ask(path)

    assert answer.status in {400, 404}
    assert SECRET not in answer.body


@pytest.mark.parametrize("suffix", [*MEDIA_TYPES, "MKV"])
def test_a_film_is_sent_as_what_it_is(ask: Ask, suffix: str) -> None:
    answer = ask(f"/video/film.{suffix}", headers={"Accept-Encoding": "gzip, br"})

    assert (answer.status, answer.body) == (200, FILM)
    assert answer["Content-Type"] == MEDIA_TYPES[suffix.lower()]
    assert answer["Content-Encoding"] is None
    assert answer["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(("suffix", "name"), PLAY_TYPES.items())
def test_a_copy_of_a_film_is_sent_like_a_film(ask: Ask, suffix: str, name: str) -> None:
    path = f"/play/0/1-0a1b2c.{suffix}"
    whole = ask(path, headers={"Accept-Encoding": "gzip, br"})
    part = ask(path, headers={"Range": "bytes=100-199"})

    assert (whole.status, whole.body, whole["Content-Type"]) == (200, FILM, name)
    assert whole["Content-Encoding"] is None
    assert (part.status, part.body) == (206, FILM[100:200])


def test_subtitles_are_text_in_utf_8(ask: Ask) -> None:
    for path in ("/text/0/1-0a1b2c.vtt", "/text/0/1-chapters.vtt", "/board/0/1-0a1b2c.vtt"):
        answer = ask(path)

        assert (answer.body, answer["Content-Type"]) == (TEXT, "text/vtt; charset=utf-8")


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-", 0, 10240),
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=10000-", 10000, 10240),
        ("bytes=-7", 10233, 10240),
        ("bytes=10239-99999", 10239, 10240),
    ],
)
def test_a_film_of_an_unkind_name_is_served_in_ranges(
    ask: Ask, wanted: str, start: int, stop: int
) -> None:
    answer = ask(b"/video/a folder/" + UNKIND, headers={"Range": wanted})

    assert (answer.status, answer.body) == (206, FILM[start:stop])
    assert answer["Content-Range"] == f"bytes {start}-{stop - 1}/10240"


def test_a_range_behind_the_end_is_refused_and_several_are_the_whole(ask: Ask) -> None:
    path = b"/video/a folder/" + UNKIND
    behind = ask(path, headers={"Range": "bytes=10240-"})
    several = ask(path, headers={"Range": "bytes=0-0,2-2"})

    assert (behind.status, behind["Content-Range"]) == (416, "bytes */10240")
    assert (several.status, several.body) == (200, FILM)


def test_a_range_of_a_film_that_changed_is_the_whole(ask: Ask) -> None:
    etag = ask("/video/film.mkv", "HEAD")["ETag"] or ""

    same = ask("/video/film.mkv", headers={"Range": "bytes=0-9", "If-Range": etag})
    other = ask("/video/film.mkv", headers={"Range": "bytes=0-9", "If-Range": '"other"'})

    assert (same.status, same.body) == (206, FILM[:10])
    assert (other.status, other.body) == (200, FILM)


def test_brotli_is_sent_to_those_who_take_it(
    nginx: str, brotli: Path, folder: Path, free_port: Callable[[], int], tmp_path: Path
) -> None:
    port = free_port()
    text = config(
        TEMPLATE,
        out=str(folder / "out"),
        roots={"": str(folder / "library")},
        listen=f"127.0.0.1:{port}",
        server_name="_",
        base="",
        brotli=True,
    )
    with running(nginx, write_config(tmp_path, text, (brotli,)), port) as ask:
        taken = ask("/", headers={"Accept-Encoding": "gzip, deflate, br, zstd"})
        not_taken = ask("/", headers={"Accept-Encoding": "gzip"})
        plain = ask("/")

    assert (taken["Content-Encoding"], taken.body) == ("br", BROTLI_COPY)
    assert taken["Content-Type"] == "text/html; charset=utf-8"
    assert taken["Vary"] == "Accept-Encoding"
    assert not_taken["Content-Encoding"] == "gzip"
    assert (plain["Content-Encoding"], plain.body) == (None, PAGE)


def test_a_site_below_a_folder_is_served_there_and_links_when_followed(
    nginx: str, folder: Path, free_port: Callable[[], int], tmp_path: Path
) -> None:
    port = free_port()
    text = config(
        TEMPLATE,
        out=str(folder / "out"),
        roots={"": str(folder / "library")},
        listen=f"127.0.0.1:{port}",
        server_name="_",
        base="/sub/folder",
        follow_links=True,
    )
    with running(nginx, write_config(tmp_path, text), port) as ask:
        moved = ask("/sub/folder")
        front, film = ask("/sub/folder/"), ask(b"/sub/folder/video/a folder/" + UNKIND)
        asset = ask("/sub/folder/assets/style-0123456789.css")
        kept = [ask(f"/sub/folder/{path}/0/1-0a1b2c.vtt") for path in ("board", "text")]
        copy = ask("/sub/folder/play/0/1-0a1b2c.webm", headers={"Range": "bytes=1-2"})
        outside = [ask(path) for path in ("/sub/", "/sub", "/nothing", "/.reelshelf", "/404.html")]
        missing, hidden = ask("/sub/folder/nothing"), ask("/sub/folder/.reelshelf")
        taken_off = ask("/"), ask("/index.html"), ask(b"/video/a folder/" + UNKIND)
        kept += [ask("/text/0/1-0a1b2c.vtt")]
        within = ask("/assets")
        linked = ask("/sub/folder/video/leads-out.mp4")

    assert (moved.status, moved["Location"]) == (301, "/sub/folder/")
    assert (front.body, film.body) == (PAGE, FILM)
    assert (asset.body, asset["Cache-Control"]) == (STYLE, KEPT)
    assert [(one.body, one["Cache-Control"]) for one in kept] == [(TEXT, KEPT)] * 3
    assert [one.body for one in taken_off] == [PAGE, PAGE, FILM]  # as a proxy in front may do
    assert (within.status, within["Location"]) == (301, "/sub/folder/assets/")
    assert (copy.status, copy.body, copy["Content-Type"]) == (206, FILM[1:3], "video/webm")
    for answer in (*outside, missing, hidden):
        assert (answer.status, answer.body) == (404, MISSING)
        assert answer["X-Content-Type-Options"] == "nosniff"
    assert linked.body == SECRET


def test_roots_of_any_name_are_served_from_paths_of_any_name(
    nginx: str, free_port: Callable[[], int], tmp_path: Path
) -> None:
    port = free_port()
    out = tmp_path / 'the "$out" {1}; #' / "new\nline"
    make_site(out)
    roots = {name: tmp_path / "folders" / name for name in ROOT_NAMES}
    for name, root in roots.items():
        write(root / "below" / "film.mp4", name.encode())
        write(root / "page.html", SECRET)
    text = config(
        TEMPLATE,
        out=str(out),
        roots={name: str(root) for name, root in roots.items()},
        listen=f"127.0.0.1:{port}",
        server_name="_",
        base="",
    )
    main = write_config(tmp_path / "nginx", text)

    tested = subprocess.run([*command(nginx, main), "-t"], capture_output=True, check=False)
    with running(nginx, main, port) as ask:
        front = ask("/")
        films = {name: ask(f"/video/{name}/below/film.mp4".encode()) for name in roots}
        pages = [ask(f"/video/{name}/page.html".encode()) for name in roots]

    assert tested.returncode == 0, tested.stderr.decode()
    assert front.body == PAGE
    assert {name: film.body for name, film in films.items()} == {
        name: name.encode() for name in roots
    }
    assert {film["Content-Type"] for film in films.values()} == {"video/mp4"}
    assert {page.status for page in pages} == {404}
