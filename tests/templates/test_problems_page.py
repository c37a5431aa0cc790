"""The problems page in Chromium: what the owner sees and does, and what all others do not see."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from clips import make_clip
from forks import Command
from paths import TEMPLATES
from playwright.sync_api import Browser, Locator, Page, expect
from served import running
from test_clicks import until

from api_lambda.app import ApiConfig, create_app
from api_lambda.credentials import new_token
from api_lambda.permissions import Loopback
from benchmarks import trial
from generator.adapters.catalogue import Catalogue
from generator.adapters.ledger import Ledger
from generator.build.engine import Engine
from generator.core.model import Event, EventKind
from generator.devserver import DevServer, ServedSite
from generator.devserver.files import App, Message

NOW = 1_790_000_000
NASTY = ["<img src=x onerror=alert(1)>.mp4", "caf\udce9.mp4", "50% & \u202egp4.mp4"]
NETWORK = re.compile("Failed to load resource")  # the browser's own line, which no script can spare


@contextmanager
def window(browser: Browser, **options: object) -> Iterator[Page]:
    """Open a window in which nothing may complain."""
    context = browser.new_context(**options)  # type: ignore[arg-type]  # told by their names
    page = context.new_page()
    page.set_default_timeout(10_000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert [one for one in complaints if not NETWORK.search(one)] == []


def status(page: Page) -> Locator:
    return page.locator("main [role=status]")


def names(page: Page) -> Locator:
    return page.locator(".problems bdi")


def again(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=f"Retry: {name}", exact=True)


def footer_link(page: Page) -> Locator:
    return page.get_by_role("contentinfo").get_by_role("link", name="Problems")


# -- the whole way: the file on the disk, the builder, the page


@dataclass(frozen=True)
class Dev:
    """A `reelshelf dev` that runs."""

    address: str
    folder: Path


@pytest.fixture
def dev(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Dev]:
    library = tmp_path / "videos"
    library.mkdir()
    make_clip(library / "good.mp4")
    (library / "short.mp4").write_bytes(b"\0" * (library / "good.mp4").stat().st_size)
    Path(os.fsdecode(os.fsencode(library) + b"/caf\xe9.mp4")).write_bytes(b"no film")
    os.utime(library / "short.mp4", (NOW, NOW))
    (tmp_path / "reelshelf.toml").write_text('library = "videos"\n', encoding="utf-8")
    with Command(
        ["dev", "--json", "--port", str(free_port())],
        cwd=tmp_path,
        env={**os.environ, "REELSHELF_SETTLE_S": "0"},
        stdout=subprocess.PIPE,
        text=True,
    ) as serving:
        assert serving.stdout is not None
        try:
            told = next(line for line in map(json.loads, serving.stdout) if "address" in line)
            yield Dev(told["address"].rstrip("/"), tmp_path)
        finally:
            serving.send_signal(signal.SIGINT)


def test_a_file_that_was_mended_is_shown_once_it_is_tried_again(browser: Browser, dev: Dev) -> None:
    library = dev.folder / "videos"
    with window(browser) as page:
        page.goto(f"{dev.address}/problems.html")
        expect(names(page)).to_have_text(["short.mp4", "caf\ufffd.mp4"])
        expect(page.locator(".problems li").first).to_contain_text("is damaged, or not a video")
        expect(page.locator(".problems li").first).to_contain_text("probe, ")

        mended = dev.folder / "mended.mp4"  # by size and time the file that it was
        shutil.copy(library / "good.mp4", mended)
        os.utime(mended, (NOW, NOW))
        mended.rename(library / "short.mp4")
        again(page, "short.mp4").click()
        expect(names(page)).to_have_text(["caf\ufffd.mp4"])
        until(lambda: any((dev.folder / "site_out/watch").glob("short-*.html")))

    with Catalogue(dev.folder / "state/catalogue.db") as catalogue:
        assert [one.place.path for one in catalogue.problems()] == ["caf\udce9.mp4"]


def test_a_file_that_is_still_broken_is_tried_and_listed_again(browser: Browser, dev: Dev) -> None:
    with window(browser) as page:
        page.goto(f"{dev.address}/problems.html")
        again(page, "caf\ufffd.mp4").click()
        expect(status(page)).to_have_text("Retried. 2 files have problems.")
        expect(names(page)).to_have_text(["short.mp4", "caf\ufffd.mp4"])
        expect(again(page, "caf\ufffd.mp4")).to_be_visible()

        with closing(Catalogue(dev.folder / "state/catalogue.db")) as catalogue:
            page.get_by_role("button", name="Retry all").click()
            until(lambda: events(catalogue, EventKind.FILE_REFUSED) == 2 + 1 + 2)
            assert events(catalogue, EventKind.FILE_CLEARED) == 1 + 2
        expect(status(page)).to_have_text("Retried. 2 files have problems.")


def events(catalogue: Catalogue, kind: EventKind) -> int:
    query = "SELECT count(*) FROM event WHERE kind = ?"
    (count,) = catalogue._connection.execute(query, (kind,)).fetchone()  # noqa: SLF001
    return int(count)


# -- the real API behind a page that nobody rewrites


@dataclass
class Gate:
    """Lets requests through to the API unless it is shut; with `loses` nobody hears the answer."""

    api: App
    is_shut: bool = False
    loses: int = 0
    asked: list[str] = field(default_factory=list)

    async def __call__(self, scope: Message, receive: object, send: object) -> None:
        assert callable(send)
        self.asked.append(f"{scope['method']} {scope['path']}")
        if self.loses and scope["method"] == "POST":
            self.loses -= 1
            await self.api(scope, receive, _nobody)  # type: ignore[arg-type]  # as it came
        elif not self.is_shut:
            await self.api(scope, receive, send)  # type: ignore[arg-type]  # as they came
            return
        await send({"type": "http.response.start", "status": 502, "headers": []})
        await send({"type": "http.response.body"})


async def _nobody(message: Message) -> None:
    """Hear nothing."""


@dataclass(frozen=True)
class Served:
    """A site as it was built once, served with the API."""

    address: str
    state: Path
    catalogue: Catalogue
    gate: Gate

    @property
    def page(self) -> str:
        return f"{self.address}/problems.html"

    def refuse(self, *paths: str) -> None:
        """Record that files are no videos."""
        value = {
            "root": "",
            "size_bytes": 1,
            "mtime_ns": 2,
            "stage": "probe",
            "reason": "<b>no</b>",
        }
        self.catalogue.append(
            Event(
                f"{number} of {len(paths)}",
                EventKind.FILE_REFUSED,
                NOW,
                "scan",
                None,
                value | {"path": path},
            )
            for number, path in enumerate(paths)
        )

    def show(self) -> None:
        """Do as if a builder had looked at the library, and shown all that was recorded."""
        with Ledger(self.state / "ledger.db") as ledger, ledger.transaction():
            number = ledger.next_refresh()
            ledger.put_refresh(number, NOW, 0, self.catalogue.last_event(), json.dumps({}))

    def waiting(self) -> list[str]:
        return [one.place.path for one in self.catalogue.problems()]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    with Engine(trial.settings(folder), TEMPLATES) as engine:
        trial.fill(engine.catalogue, 3)
        engine.refresh(NOW)
    return folder


Opening = Callable[..., Served]


@pytest.fixture
def opened(built: Path, tmp_path: Path) -> Iterator[Opening]:
    """Return a function that serves a copy of the site."""
    shutil.copytree(built / "state", tmp_path / "state")
    with ExitStack() as stack:

        def serve(owner: Loopback = "always") -> Served:
            app = create_app(ApiConfig(tmp_path / "state", owner_on_loopback=owner))
            stack.callback(app.state.close)
            catalogue = stack.enter_context(closing(Catalogue(tmp_path / "state/catalogue.db")))
            gate = Gate(app)
            site = ServedSite(built / "out", {}, api=gate)
            served = stack.enter_context(running(DevServer(site)))
            return Served(f"http://127.0.0.1:{served.port}", tmp_path / "state", catalogue, gate)

        yield serve


def sign_in(served: Served) -> str:
    token, secret = new_token("laptop", NOW)
    served.catalogue.tokens.add(token)
    return secret


def test_names_are_texts_whatever_they_hold(browser: Browser, opened: Opening) -> None:
    served = opened()
    served.refuse(*NASTY)
    with window(browser) as page:
        page.goto(served.page)
        expect(status(page)).to_have_text("3 files have problems.")

        assert set(names(page).all_inner_texts()) == {
            "<img src=x onerror=alert(1)>.mp4", "caf\ufffd.mp4", "50% & gp4.mp4",
        }  # fmt: skip
        expect(page.locator(".problems li").first).to_contain_text("<b>no</b>")


def test_where_nothing_is_wrong_the_page_says_so(browser: Browser, opened: Opening) -> None:
    served = opened()
    with window(browser) as page:
        page.goto(served.page)
        expect(status(page)).to_have_text("No file has a problem.")
        expect(page.get_by_role("main").get_by_role("button")).to_have_count(0)
        expect(page.get_by_role("main").get_by_role("link")).to_have_count(0)


def test_many_problems_are_shown_as_far_as_one_asks(browser: Browser, opened: Opening) -> None:
    served = opened()
    served.refuse(*(f"{number:03}.mp4" for number in range(130)))
    with window(browser) as page:
        page.goto(served.page)
        expect(names(page)).to_have_count(100)
        page.get_by_role("button", name="Show more").click()
        expect(names(page)).to_have_count(130)
        expect(names(page).last).to_have_text("129.mp4")
        expect(page.get_by_role("button", name="Show more")).to_be_hidden()

        page.get_by_role("button", name="Retry all").click()
        expect(status(page)).to_contain_text("All files will be retried by the next scan")
        assert served.waiting() == []

        served.show()
        expect(status(page)).to_have_text("Retried. No file has a problem.")
        expect(names(page)).to_have_count(0)


def test_without_a_builder_it_is_told_what_tries_a_file_again(
    browser: Browser, opened: Opening
) -> None:
    served = opened()
    served.refuse("a.mp4", "b.mp4")
    with window(browser) as page:
        page.goto(served.page)
        again(page, "a.mp4").click()
        expect(status(page)).to_contain_text("a.mp4 will be retried by the next scan")
        expect(page.locator(".problems li").first).to_contain_text("Waiting to be retried")
        expect(again(page, "a.mp4")).to_be_hidden()

        assert served.waiting() == ["b.mp4"]
        served.show()


def test_the_keyboard_goes_from_file_to_file(browser: Browser, opened: Opening) -> None:
    served = opened()
    served.refuse("a.mp4", "b.mp4", "c.mp4")
    with window(browser) as page:
        page.goto(served.page)
        again(page, "b.mp4").focus()
        page.keyboard.press("Enter")
        expect(again(page, "c.mp4")).to_be_focused()
        page.keyboard.press("Enter")
        expect(again(page, "a.mp4")).to_be_focused()

        served.show()
        expect(status(page)).to_have_text("Retried. 1 file has a problem.")
        expect(again(page, "a.mp4")).to_be_focused()


def test_an_answer_that_got_lost_is_asked_for_again_and_recorded_once(
    browser: Browser, opened: Opening
) -> None:
    served = opened()
    served.refuse("a.mp4")
    with window(browser) as page:
        page.goto(served.page)
        served.gate.loses = 1
        again(page, "a.mp4").click()
        expect(status(page)).to_contain_text("Could not save the request. Try again later.")
        recorded = served.catalogue.last_event()

        again(page, "a.mp4").click()
        expect(status(page)).to_contain_text("a.mp4 will be retried")
        assert served.catalogue.last_event() == recorded
        served.show()


def test_a_server_that_is_away_is_told_of_and_what_is_shown_stays(
    browser: Browser, opened: Opening
) -> None:
    served = opened()
    served.refuse("a.mp4")
    with window(browser) as page:
        page.goto(served.page)
        expect(names(page)).to_have_text(["a.mp4"])
        served.gate.is_shut = True
        again(page, "a.mp4").click()
        expect(status(page)).to_contain_text("Could not save the request. Try again later.")
        expect(names(page)).to_have_text(["a.mp4"])

        page.reload()
        expect(status(page)).to_have_text("Could not load the list. Try again later.")
        expect(names(page)).to_have_count(0)
        expect(page.get_by_role("main").get_by_role("button")).to_have_count(0)


def test_who_is_not_the_owner_is_led_to_the_sign_in_and_back_and_sees_no_name(
    browser: Browser, opened: Opening
) -> None:
    served = opened("never")
    served.refuse("private.mp4")
    secret = sign_in(served)
    with window(browser) as page:
        page.goto(served.page)
        expect(status(page)).to_have_text("You are not signed in.")
        assert "private" not in page.content()
        expect(footer_link(page)).to_be_hidden()

        page.get_by_role("main").get_by_role("link", name="Sign in").click()
        page.get_by_label("Token").fill(secret)
        page.keyboard.press("Enter")
        page.wait_for_url(served.page)
        expect(names(page)).to_have_text(["private.mp4"])


def test_a_session_that_is_over_ends_on_this_page_too(browser: Browser, opened: Opening) -> None:
    served = opened("never")
    served.refuse("private.mp4")
    secret = sign_in(served)
    with window(browser) as page:
        page.goto(f"{served.address}/login.html")
        page.get_by_label("Token").fill(secret)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{served.address}/")
        page.goto(served.page)
        expect(names(page)).to_have_text(["private.mp4"])

        (token, _) = served.catalogue.tokens.valid()[0]
        served.catalogue.tokens.revoke(token, NOW)
        again(page, "private.mp4").click()
        expect(status(page)).to_have_text("You are not signed in.")
        expect(names(page)).to_have_count(0)

    assert served.waiting() == ["private.mp4"]


def test_the_footer_leads_the_owner_there_and_nobody_else(
    browser: Browser, opened: Opening
) -> None:
    served = opened("never")
    secret = sign_in(served)
    with window(browser) as page:
        page.goto(f"{served.address}/")
        expect(page.get_by_role("link", name="Sign in")).to_be_visible()
        expect(footer_link(page)).to_be_hidden()

        page.get_by_role("link", name="Sign in").click()
        page.get_by_label("Token").fill(secret)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{served.address}/")
        footer_link(page).click()
        expect(status(page)).to_have_text("No file has a problem.")

        page.get_by_role("link", name="Sign in").click()
        page.get_by_role("button", name="Sign out").click()
        expect(footer_link(page)).to_be_hidden()
        page.goto(f"{served.address}/")
        expect(footer_link(page)).to_be_hidden()


def test_without_script_the_page_says_how_problems_are_listed(
    browser: Browser, opened: Opening
) -> None:
    served = opened()
    served.refuse("private.mp4")
    with window(browser, java_script_enabled=False) as page:
        page.goto(served.page)
        expect(page.get_by_role("main")).to_contain_text("reelshelf problems lists them")
        expect(status(page)).to_contain_text("needs JavaScript")

        assert page.get_by_role("main").get_by_role("button").count() == 0
    assert served.gate.asked == []


def test_a_site_without_an_api_has_the_page_and_asks_nobody(tmp_path: Path) -> None:
    with Engine(trial.settings(tmp_path, api=False), TEMPLATES) as engine:
        engine.refresh(NOW)

    page = (tmp_path / "out/problems.html").read_text(encoding="utf-8")
    everything = [file.read_text("utf-8") for file in (tmp_path / "out").rglob("*.xml")]
    assert "<code>reelshelf problems</code>" in page
    assert '<meta name="robots" content="noindex">' in page
    assert "assets/problems" not in page
    assert not any("problems.html" in one for one in everything)


@pytest.mark.parametrize("width", [320, 1400])
def test_the_page_fits_narrow_and_wide_windows(
    browser: Browser, opened: Opening, width: int
) -> None:
    served = opened()
    served.refuse("folder/" + "x" * 180 + ".mp4", "b.mp4")
    with window(browser, viewport={"width": width, "height": 800}) as page:
        page.goto(served.page)
        expect(names(page)).to_have_count(2)
        sizes: list[dict[str, Any]] = page.evaluate(
            "[...document.querySelectorAll('main button')].filter((one) => one.checkVisibility())"
            ".map((one) => one.getBoundingClientRect().toJSON())"
        )

        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert [one for one in sizes if one["height"] < 36 or one["right"] > width] == []
        assert len(sizes) == 3
