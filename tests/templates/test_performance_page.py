"""The performance page in Chromium: for the owner alone, live, and readable without seeing it."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from paths import TEMPLATES
from playwright.sync_api import Browser, Page, expect
from served import Served, running

from api_lambda.app import ApiConfig, create_app
from api_lambda.credentials import new_token
from api_lambda.monitoring import MonitoringConfig
from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.adapters.heartbeat_file import HeartbeatWriter
from generator.build.engine import Engine
from generator.core.model import Event, EventKind, VideoId
from generator.devserver import DevServer, ServedSite

pytestmark = pytest.mark.system("chromium")
VIDEOS = 30


@dataclass(frozen=True)
class Site:
    ask: Served
    state: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.ask.port}"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Serve a site that was built twice, with a token and what visitors did."""
    settings = trial.settings(tmp_path)
    now = int(time.time())
    with Engine(settings, TEMPLATES) as engine:
        trial.fill(engine.catalogue, VIDEOS)
        engine.catalogue.tokens.add(new_token("phone <b>", now)[0])
        engine.refresh(now - 600)
        view = Event("v1", EventKind.VIEWED, now - 60, "visitor", VideoId(3), {"count": 1})
        engine.catalogue.append([view])
        engine.refresh(now)
    config = MonitoringConfig("A trial library", settings.out, (TEMPLATES,))
    app = create_app(
        ApiConfig(settings.state, durable=False, owner_on_loopback="always", monitoring=config)
    )
    served = ServedSite(settings.out, {"": tmp_path}, api=app)
    with HeartbeatWriter(settings.state), running(DevServer(served, port=0)) as ask:
        for video in range(1, 20):
            ask(f"/api/videos/{video}")
        yield Site(ask, settings.state)
    app.state.close()


@contextmanager
def opened(browser: Browser, address: str, **options: object) -> Iterator[Page]:
    """Open a page that must not complain, as about a policy that it breaks."""
    context = browser.new_context(**options)  # type: ignore[arg-type]  # shown by their names
    page = context.new_page()
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    yield page
    context.close()
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(
    browser: Browser, site: Site, scheme: str, width: int
) -> None:
    size = {"width": width, "height": 900}
    address = f"{site.address}/admin/performance"
    with opened(browser, address, viewport=size, color_scheme=scheme, bypass_csp=False) as page:
        page.locator("summary").click()
        shown = Axe().run(page)
        overflow = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )

    assert shown.response["violations"] == [], shown.generate_report()
    assert overflow == 0


def test_charts_are_told_in_words_and_their_values_stand_in_a_table(
    browser: Browser, site: Site
) -> None:
    with opened(browser, f"{site.address}/admin/performance") as page:
        charts = page.get_by_role("img")
        expect(charts).to_have_count(4)
        expect(page.get_by_role("img", name="Requests a minute")).to_be_visible()
        about = page.locator("#requests-about").text_content()
        page.locator("summary").click()
        rows = page.get_by_role("group", name="The last hour, minute by minute").get_by_role("row")
        first = rows.nth(1).text_content() or ""

    assert "at most 19 requests" in (about or "") or "at most 20 requests" in (about or "")
    assert "19" in first or "20" in first


def test_the_page_follows_without_a_reload_and_keeps_what_is_open(
    browser: Browser, site: Site
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.clock.install()
    page.goto(f"{site.address}/admin/performance")
    page.locator("summary").click()
    page.evaluate("document.activeElement.blur(); window.same = true")
    with Catalogue(site.state / "catalogue.db", durable=False) as catalogue:
        event = Event("r1", EventKind.RATED, int(time.time()), "owner", VideoId(3), {"stars": 5})
        catalogue.append([event])
    page.clock.fast_forward(1500)
    behind = page.locator(".facts div", has_text="Events not shown yet").locator("dd")
    expect(behind).to_have_text("0")
    for _ in range(200):  # figures are shared for a second, by the server's clock
        with page.expect_response("**/admin/stats"):
            page.clock.fast_forward(6000)
        if behind.text_content() == "1":
            break
    expect(behind).to_have_text("1")
    assert page.evaluate("window.same")
    expect(page.locator("details")).to_have_attribute("open", "")
    context.close()


def test_without_script_the_page_is_complete_and_revokes(browser: Browser, site: Site) -> None:
    address = f"{site.address}/admin/performance"
    with opened(browser, address, java_script_enabled=False) as page:
        expect(page.get_by_role("heading", level=1)).to_have_text("Performance")
        expect(page.get_by_text("All checks pass.")).to_be_visible()
        page.get_by_role("button", name="Revoke phone <b>").click()
        expect(page.get_by_role("button", name="Revoke phone <b>")).to_have_count(0)
        assert page.url == address
        page.get_by_role("button", name="Refresh the read cache").click()
        assert page.url == address
    with Catalogue(site.state / "catalogue.db", durable=False) as catalogue:
        assert catalogue.tokens.valid() == []


def test_a_stranger_is_sent_to_the_sign_in_page(site: Site) -> None:
    answer = site.ask("/admin/performance", headers={"X-Forwarded-For": "192.0.2.1"})
    figures = site.ask("/admin/stats", headers={"X-Forwarded-For": "192.0.2.1"})

    assert (answer.status, answer["Location"]) == (303, "/login.html")
    assert figures.status == 403
    assert json.loads(figures.body)["status"] == 403


@pytest.mark.parametrize("path", ["/admin/performance", "/admin/stats"])
def test_no_page_of_the_owner_is_cached_and_none_runs_a_foreign_script(
    site: Site, path: str
) -> None:
    answer = site.ask(path)

    assert answer["Cache-Control"] == "no-store"
    assert (answer["Content-Security-Policy"] or "").count("script-src 'self'") == 1
    assert b"http://" not in answer.body.replace(b"http://127.0.0.1", b"")
