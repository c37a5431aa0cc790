"""Windows of Chromium on the dev server: loaded once a build, and told what failed."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from nginx_server import running as nginx_running
from nginx_server import write_config
from playwright.sync_api import Browser, Page
from served import Served, running, write

from generator.devserver import DevServer, ServedSite

BUILDS = 4
LONG = "<p>line</p>" * 300
ICON = "<link rel=icon href='data:,'>"  # so that none is asked for
STYLE = b"body { margin: 0 } div, p, details { display: none; color: red; font-size: 2px }"


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Served]:
    with running(DevServer(ServedSite(tmp_path, {}))) as served:
        yield served


def build(folder: Path, number: int) -> None:
    """Write a short and a long page that tell the number of their build."""
    head = f"<!DOCTYPE html><html lang=en><head><title>t</title>{ICON}</head><body>"
    for name, text in (("index.html", ""), ("long.html", LONG)):
        write(folder / name, f"{head}<h1>build {number}</h1>{text}</body></html>".encode())


class Window:
    """An open page, and how often it was loaded."""

    def __init__(
        self, browser: Browser, ask: Served, path: str, *, script: bool = True, origin: str = ""
    ) -> None:
        context = browser.new_context(java_script_enabled=script, ignore_https_errors=True)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(10_000)
        self.loads = 0
        self.complaints: list[str] = []
        self.page.on("load", self._count)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        origin = origin or f"http://127.0.0.1:{ask.port}"
        self.page.goto(f"{origin}{path}", wait_until="load")

    def _count(self, _: Page) -> None:
        self.loads += 1

    def wait_for_build(self, number: int) -> None:
        self.page.get_by_text(f"build {number}", exact=True).wait_for()
        self.page.wait_for_load_state("load")


def test_each_of_two_windows_loads_once_a_build_and_stays_where_it_was(
    browser: Browser, ask: Served, tmp_path: Path
) -> None:
    build(tmp_path, 0)
    windows = [Window(browser, ask, "/"), Window(browser, ask, "/long.html")]
    windows[1].page.evaluate("scrollTo(0, 1500)")

    for number in range(1, BUILDS + 1):
        build(tmp_path, number)
        ask.server.reload()
        for window in windows:
            window.wait_for_build(number)
        windows[1].page.wait_for_function("() => scrollY === 1500")

    assert [window.loads for window in windows] == [1 + BUILDS] * 2
    assert [window.complaints for window in windows] == [[], []]


PROXY = """
server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate "{folder}/cert.pem";
    ssl_certificate_key "{folder}/key.pem";
    location /films/ {{
        proxy_pass http://127.0.0.1:{behind};
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $http_connection;
        proxy_set_header X-Forwarded-Host $http_host;
    }}
}}
"""


@pytest.mark.system("nginx")
def test_behind_a_proxy_with_tls_below_a_folder_a_window_reloads(
    browser: Browser,
    program: Callable[[str], str],
    free_port: Callable[[], int],
    tmp_path: Path,
) -> None:
    nginx, port, out = program("nginx"), free_port(), tmp_path / "out"
    subprocess.run(
        [
            program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=films.localhost",
            "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    build(out, 0)
    with running(DevServer(ServedSite(out, {}, "/films"))) as ask:
        text = PROXY.format(port=port, folder=tmp_path, behind=ask.port)
        with nginx_running(nginx, write_config(tmp_path / "nginx", text), port):
            origin = f"https://films.localhost:{port}"
            window = Window(browser, ask, "/films/", origin=origin)
            build(out, 1)
            ask.server.reload()
            window.wait_for_build(1)

    assert window.complaints == []


def test_a_failure_is_shown_over_the_page_once_and_goes_when_it_is_mended(
    browser: Browser, ask: Served, tmp_path: Path
) -> None:
    build(tmp_path, 0)
    window = Window(browser, ask, "/long.html")
    alert = window.page.get_by_role("alert")
    window.page.evaluate("scrollTo(0, 1500)")

    ask.server.fail("cannot render the template shelf.html, line 7", "mend it")
    window.page.get_by_text("shelf.html, line 7").wait_for()
    ask.server.fail("cannot render the template shelf.html, line 7", "mend it")
    box, height = alert.bounding_box(), window.page.evaluate("innerHeight")
    window.page.wait_for_function("() => scrollY === 1500")
    ask.server.reload_if_stale()
    alert.wait_for(state="detached")
    window.page.wait_for_load_state("load")

    assert box is not None
    assert box["y"] > height / 2  # the upper half of the page can be read
    assert window.loads == 3
    assert window.complaints == []


def test_a_failure_is_shut_without_script_and_looks_as_it_should_on_any_site(
    browser: Browser, ask: Served, tmp_path: Path
) -> None:
    write(tmp_path / "style.css", STYLE)
    write(
        tmp_path / "index.html",
        f"<!DOCTYPE html><html lang=en><head><title>t</title>{ICON}"
        "<link rel=stylesheet href=/style.css></head><body><h1>front</h1></body></html>".encode(),
    )
    ask.server.fail("one\ntwo " + "x" * 500, "mend it")
    window = Window(browser, ask, "/", script=False)
    page, alert = window.page, window.page.get_by_role("alert")
    message = page.get_by_text("two xxx")

    colors = [
        message.evaluate("at => [getComputedStyle(at).color, getComputedStyle(at).fontSize]"),
        alert.evaluate("at => [getComputedStyle(at).backgroundColor, at.scrollWidth]"),
    ]
    shown = message.is_visible()
    page.locator("summary").click()

    assert colors == [
        ["rgb(255, 255, 255)", "15px"],
        ["rgb(91, 15, 22)", page.evaluate("innerWidth")],
    ]
    assert shown
    assert not message.is_visible()
    assert page.locator("summary").is_visible()
    assert window.complaints == []
