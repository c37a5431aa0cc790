"""A built site as people meet it: through nginx, in Chromium, and before the Nu checker."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import quote

import pytest
from clips import make_clip
from paths import ROOT, TEMPLATES
from playwright.sync_api import Browser, Page

from generator.adapters.media.worker_pool import MediaWorkers
from generator.adapters.settings import Settings
from generator.build.engine import Engine
from generator.core.delivery.nginx import config
from generator.core.formatting import title_of
from generator.core.model import Event, EventKind, VideoId
from generator.scan.observe import LibraryScan
from generator.watch.compression import compress_all

VNU = ROOT / "tests/node_modules/vnu-jar/build/dist/vnu.jar"
JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")  # for a short life: half the processor time
NOW = 1_790_000_000
NAMES = [
    "Norway/Fjord & boat.mp4", "Norway/Winter/Snow #1?.mp4", "Talks/100% 'quoted' \"so\".mp4",
    "<script>alert(1)<x>.mp4", "Zoë 🎬.mp4", "2 two.mp4", "10 ten.mp4",
]  # fmt: skip


@dataclass(frozen=True)
class Site:
    folder: Path
    engine: Engine

    @property
    def out(self) -> Path:
        return self.folder / "out"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    for number, name in enumerate(NAMES):
        file = folder / "library" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        make_clip(file, color=number)
        os.utime(file, (NOW - number * 86400,) * 2)
    (folder / "library/broken.mp4").write_bytes(b"")
    settings = Settings(
        library=(folder / "library",),
        out=folder / "out",
        state=folder / "state",
        settle_s=0,
        title="Films & more",
        api=False,  # as on a host that has none
    )
    with Engine(settings, TEMPLATES) as engine, MediaWorkers(jobs=2) as workers:
        engine.refresh(NOW, LibraryScan(settings, workers, lambda: float(NOW)))
        first = VideoId(1)
        engine.catalogue.append(
            [
                Event("1", EventKind.RATED, NOW, "test", first, {"stars": 4}),
                Event("2", EventKind.VIEWED, NOW, "test", first, {"count": 1234}),
                Event("3", EventKind.FAVORITED, NOW, "test", first),
            ]
        )
        engine.refresh(NOW + 1)
        compress_all(engine.ledger, engine.output, lambda _: None)
        yield Site(folder, engine)


@pytest.fixture(scope="module")
def address(site: Site, program: Callable[[str], str]) -> Iterator[tuple[str, int]]:
    """Serve the site by the nginx of the system, with the configuration that we ship."""
    nginx = program("nginx")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    server = config(
        (ROOT / "deploy/nginx.conf").read_text("utf-8"),
        out=str(site.out),
        roots={"": str(site.folder / "library")},
        listen=f"127.0.0.1:{port}",
        server_name="_",
        base="",
    )
    place = site.folder / "nginx"
    place.mkdir()
    for kind in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
        (place / kind).mkdir()
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = "\n".join(
        f"{kind}_temp_path {place}/{kind if kind != 'client_body' else 'body'};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (place / "nginx.conf").write_text(
        f"{user} daemon off; worker_processes 1; pid {place}/pid; error_log {place}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; {temporary}\n{server}\n}}\n",
        encoding="utf-8",
    )
    running = subprocess.Popen([nginx, "-p", place, "-c", place / "nginx.conf"])
    try:
        _wait_for(port)
        yield "127.0.0.1", port
    finally:
        running.terminate()
        running.wait(60)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as attempt:
            attempt.settimeout(1)
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
    pytest.fail("nginx did not start")


def get(address: tuple[str, int], path: str, **headers: str) -> tuple[HTTPResponse, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(HTTPConnection(*address, timeout=60)) as connection:
        connection.request("GET", path, headers=named)
        response = connection.getresponse()
        return response, response.read()


def test_nginx_serves_every_page_of_the_site(site: Site, address: tuple[str, int]) -> None:
    pages = [path for path in site.out.rglob("*.html") if path.name != "404.html"]

    for page in pages:
        response, content = get(address, f"/{page.relative_to(site.out)}")
        assert response.status == 200
        assert content == page.read_bytes()


def test_nginx_serves_each_video_by_range_under_the_address_on_its_page(
    site: Site, address: tuple[str, int]
) -> None:
    for video in site.engine.catalogue.shown():
        file = (site.folder / "library" / video.place.path).read_bytes()

        response, content = get(address, site.engine.site.media(video), Range="bytes=10-19")

        assert (response.status, content) == (206, file[10:20])
        assert response.headers["Content-Type"] == "video/mp4"


def test_nginx_sends_compressed_copies_that_are_those_of_the_page(
    site: Site, address: tuple[str, int]
) -> None:
    response, content = get(address, "/index.html", Accept_Encoding="gzip")

    assert response.headers["Content-Encoding"] == "gzip"
    assert content == (site.out / "index.html.gz").read_bytes()


def test_what_has_a_digest_is_kept_for_ever_and_pages_are_not(
    site: Site, address: tuple[str, int]
) -> None:
    still = next((site.out / "thumb").rglob("*.webp")).relative_to(site.out)

    kept, _ = get(address, f"/{still}")
    page, _ = get(address, "/")

    assert "immutable" in kept.headers["Cache-Control"]
    assert "immutable" not in page.headers["Cache-Control"]
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_what_is_not_there_is_answered_by_our_page(site: Site, address: tuple[str, int]) -> None:
    response, content = get(address, "/nothing/here.html")

    assert response.status == 404
    assert content == (site.out / "404.html").read_bytes()


def visit(browser: Browser, address: tuple[str, int], path: str, *, script: bool = True) -> Page:
    page = browser.new_context(java_script_enabled=script).new_page()
    page.set_default_timeout(10_000)
    page.goto(f"http://{address[0]}:{address[1]}{path}")
    return page


def test_pages_run_without_an_error_under_the_security_policy(
    site: Site, browser: Browser, address: tuple[str, int]
) -> None:
    complaints: list[str] = []
    watch = next((site.out / "watch").glob("fjord*.html")).name
    context = browser.new_context()
    for path in ("/", "/all.html", "/all/title.html", "/folders.html", f"/watch/{watch}"):
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"http://{address[0]}:{address[1]}{path}", wait_until="load")

    assert complaints == []


def test_a_site_without_script_leads_to_every_video(
    browser: Browser, address: tuple[str, int]
) -> None:
    page = visit(browser, address, "/", script=False)
    page.get_by_role("link", name="Folders", exact=True).first.click()
    page.get_by_role("link", name="Norway", exact=True).click()
    page.get_by_role("link", name="Winter", exact=True).click()
    page.get_by_role("link", name="Snow #1?").first.click()

    assert page.locator("h1").inner_text() == "Snow #1?"
    assert page.locator("video").get_attribute("src") == (
        "/video/" + quote("Norway/Winter/Snow #1?.mp4")
    )


def test_a_scope_on_one_page_is_put_in_order_by_script(
    browser: Browser, address: tuple[str, int]
) -> None:
    page = visit(browser, address, "/folders.html")
    titles = page.locator(".cards b")
    before = titles.all_inner_texts()

    page.locator("select").first.select_option("title")

    expected = sorted((title_of(name) for name in NAMES if "/" not in name), key=len)
    assert set(before) == set(expected)
    assert titles.all_inner_texts()[1:3] == ["2 two", "10 ten"]


def test_the_nu_checker_finds_nothing_in_any_kind_of_page(
    site: Site, program: Callable[[str], str]
) -> None:
    java = program("java")
    if not VNU.is_file():
        reason = f"{VNU.name} is not installed: npm ci --prefix tests --ignore-scripts"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    pages = list(site.out.rglob("*.html"))

    done = subprocess.run(
        [java, "-Xss8m", *JVM, "-jar", VNU, "--stdout", "--format", "text", *pages],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.splitlines() == ["Document checking completed. No errors found."]


def test_copies_of_a_page_that_changed_are_never_stale(site: Site, tmp_path: Path) -> None:
    shutil.copytree(site.folder / "state", tmp_path / "state")
    shutil.copytree(site.out, tmp_path / "out")
    settings = site.engine.settings.model_copy(
        update={"out": tmp_path / "out", "state": tmp_path / "state"}
    )
    with Engine(settings, TEMPLATES) as engine:
        engine.catalogue.append(
            [Event("9", EventKind.RATED, NOW, "test", VideoId(2), {"stars": 5})]
        )

        receipt = engine.refresh(NOW + 5)

        assert sum(receipt.reasons.values()) == receipt.written > 0
        for page in (tmp_path / "out").rglob("*.html"):
            copies = [page.with_name(page.name + ending) for ending in (".gz", ".br")]
            for copy in (copy for copy in copies if copy.exists()):
                assert (
                    page.read_bytes()
                    == (site.out / page.relative_to(tmp_path / "out")).read_bytes()
                )
                assert (
                    copy.read_bytes()
                    == (site.out / copy.relative_to(tmp_path / "out")).read_bytes()
                )
