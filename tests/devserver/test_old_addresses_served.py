"""Addresses of a former server, as the real nginx and the dev server answer them."""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from urllib.parse import quote, urljoin, urlsplit

import pytest
from nginx_server import TEMPLATE, Ask, asker, running, write, write_config
from old_library import OldLibrary

from generator.core.delivery import nginx as nginx_conf
from generator.core.site import old_addresses as old
from generator.devserver import DevServer, ServedSite

ODD = (
    "a film.mp4", "100% sure #1?.mkv", "it's \"quoted\".webm", "-leading-dash.mp4",
    "Cafe\u0301.mp4", "Caf\u00e9 2.mp4", "東京_散歩_2020.mp4", "a+b&c=d;e,f.mp4", "%41.mp4",
    "\udcff\udcfe not utf-8.mp4", "$1 ${x} @BASE@.mp4", "back\\slash.mp4", "new\nline.mp4",
    "x.html.mp4", "ÄÖÜ" * 30 + ".mp4", " .mp4", "🎬.mp4", "film-1-1.mp4", "~.mp4", "[a](b){c}.mp4",
)  # fmt: skip
LETTERS = [*"abz AZ09%#?&+'\"\\-_.~()[]{}$@:;,=!*<>|^`", "é", "e\u0301", "日", "\udc80", "🎬", "\t"]
FOLDERS = ("", "", "", "sub", "sub/deeper")


def names() -> dict[int, str]:
    chance = random.Random(7)
    drawn = ["".join(chance.choices(LETTERS, k=chance.randint(1, 40))) for _ in range(40)]
    bare = [*ODD, *(f"{name}.mp4" for name in drawn if not name.startswith("."))]
    return dict(enumerate(dict.fromkeys(bare), 1))


@dataclass(frozen=True)
class Built:
    folder: Path
    base: str
    paths: dict[int, str]
    pages: dict[int, str]

    @property
    def library(self) -> Path:
        return self.folder / "library"


@pytest.fixture(scope="module", params=["", "/films"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder, base = tmp_path_factory.mktemp("old"), request.param
    site = OldLibrary(folder, site_url=f"https://example.org{base}")
    chance = random.Random(3)
    paths = {n: f"{chance.choice(FOLDERS)}/{name}".lstrip("/") for n, name in names().items()}
    site.add(paths, {1: ["slow motion", "c++", "50% off?", "a/b"]})
    site.build()
    site.engine.close()
    for path in paths.values():
        write(os.fsencode(folder / "library" / path), os.fsencode(path))
    return Built(folder, base, paths, {n: site.page(n) for n in paths})


@contextmanager
def by_nginx(
    program: str, built: Built, port: int, roots: dict[str, Path] | None = None
) -> Iterator[Ask]:
    text = nginx_conf.config(
        TEMPLATE,
        out=str(built.folder / "out"),
        roots={name: str(path) for name, path in (roots or {"": built.library}).items()},
        listen=f"127.0.0.1:{port}",
        server_name="_",
        base=built.base,
        old_addresses=True,
    )
    main = write_config(built.folder / f"nginx-{port}", text)
    with running(program, main, port) as ask:
        yield ask


@contextmanager
def by_dev(built: Built, *, is_on: bool = True) -> Iterator[Ask]:
    site = ServedSite(built.folder / "out", {"": built.library}, built.base, old_addresses=is_on)
    server = DevServer(site)
    server.start()
    thread = Thread(target=server.run)
    thread.start()
    try:
        yield asker(urlsplit(server.address).port or 80)
    finally:
        server.stop()
        thread.join()


@pytest.fixture(params=["nginx", "dev"])
def ask(
    request: pytest.FixtureRequest,
    built: Built,
    program: Callable[[str], str],
    free_port: Callable[[], int],
) -> Iterator[Ask]:
    if request.param == "dev":
        with by_dev(built) as asking:
            yield asking
    else:
        with by_nginx(program("nginx"), built, free_port()) as asking:
            yield asking


def followed(ask: Ask, address: str) -> tuple[str, bytes]:
    """Return the path that an address leads to, as a browser without scripts follows it."""
    for _ in range(4):
        answer = ask(address)
        if answer.status in {301, 302}:
            address = urlsplit(urljoin(f"http://x{address}", answer["Location"] or "")).path
            continue
        assert answer.status == 200, address
        leads = answer.body.partition(b'http-equiv="refresh" content="0; url=')[2]
        if not leads:
            return address, answer.body
        address = leads.partition(b'"')[0].decode()
    raise AssertionError(f"{address} leads in a circle")


def test_the_old_address_of_any_file_name_leads_to_its_page(built: Built, ask: Ask) -> None:
    for number, path in built.paths.items():
        name = os.fsencode(path.rpartition("/")[2])
        for spelled in (quote(name, safe=""), quote(name, safe="!'()*,;=:@$&+")):
            at, _ = followed(ask, f"{built.base}/watch/{spelled}")

            assert at == f"{built.base}/{built.pages[number]}", name


def test_the_file_itself_is_served_at_the_top_and_leads_to_its_page_elsewhere(
    built: Built, ask: Ask
) -> None:
    for number, path in built.paths.items():
        name = os.fsencode(path.rpartition("/")[2])

        at, content = followed(ask, f"{built.base}/video/{quote(name, safe='')}")

        if "/" in path:
            assert at == f"{built.base}/{built.pages[number]}", name
        else:
            assert content == os.fsencode(path)


def test_tags_and_fixed_addresses_lead_on(built: Built, ask: Ask) -> None:
    for name in ("slow motion", "c++", "50% off?", "a/b"):
        for spelled in (name, f"#{name}", name.title()):
            at, _ = followed(ask, f"{built.base}/tag/{quote(spelled, safe='')}")
            assert at == f"{built.base}/{old.tag_page(name)}"
    for name, page in old.FIXED.items():
        assert followed(ask, f"{built.base}/{name}?q=x%20y")[0] == f"{built.base}/{page}"
    pong = ask(f"{built.base}/ping")
    assert (pong.status, pong.body) == (200, b"pong\n")
    assert (pong["Content-Type"] or "").startswith("text/plain")


def test_what_was_never_there_is_not_found(built: Built, ask: Ask) -> None:
    for path in ("/watch/none.mp4", "/tag/none", "/watch/", "/watch/film-1-2.html", "/pings"):
        assert ask(built.base + path).status == 404
    answer = ask(f"{built.base}/video/none.mp4")
    assert answer.status == 302
    missing = ask(answer["Location"] or "")
    assert missing.status == 404
    assert b"<html" in missing.body


def test_pages_of_today_are_served_as_ever(built: Built, ask: Ask) -> None:
    for page in ("watch/film-1-1.html", "tag/c~x.html", "index.html", "all.html"):
        answer = ask(f"{built.base}/{page}")
        assert answer.status == (404 if "~" in page else 200)
        assert answer.status == 404 or answer["Cache-Control"] in {"no-cache", "no-store"}


def test_with_several_folders_a_file_leads_to_its_page(
    built: Built, program: Callable[[str], str], free_port: Callable[[], int]
) -> None:
    roots = {"films": built.library, "more": built.library / "sub"}
    with by_nginx(program("nginx"), built, free_port(), roots) as ask:
        at, _ = followed(ask, f"{built.base}/video/{quote('a film.mp4')}")
        assert at == f"{built.base}/{built.pages[1]}"


def test_without_the_setting_there_is_nothing_at_these_addresses(built: Built) -> None:
    with by_dev(built, is_on=False) as ask:
        for path in ("/watch/a%20film.mp4", "/tags", "/ping", "/best-of", "/video/none.mp4"):
            assert ask(built.base + path).status == 404


def test_the_configuration_without_it_is_as_ever_and_with_it_of_one_length() -> None:
    def text(**more: bool) -> str:
        return nginx_conf.config(
            TEMPLATE, out="/o", roots={"": "/l"}, listen="80", server_name="_", base="", **more
        )

    assert "reelshelf_old" not in text()
    assert "/old/" not in text()
    assert len(text(old_addresses=True).splitlines()) < len(text().splitlines()) + 60
