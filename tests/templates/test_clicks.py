"""What a person does on a page, in Chromium: stars, favorites, tags and views reach the disk.

Half of these run `reelshelf dev` as people do; the others the real API behind pages that nobody
rewrites, as when they come from a cache.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import av
import pytest
from av.video.frame import VideoFrame
from forks import Command
from paths import TEMPLATES
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from served import Served, running

from api_lambda.app import ApiConfig, create_app
from api_lambda.credentials import new_token
from api_lambda.permissions import Loopback
from generator.adapters.catalogue import Catalogue
from generator.adapters.media.worker_pool import MediaWorkers
from generator.adapters.settings import Settings
from generator.build.engine import Engine
from generator.core.model import Event, EventKind, Video
from generator.core.site import urls
from generator.core.site.scopes import Scope, ScopeKind
from generator.devserver import DevServer, ServedSite
from generator.devserver.files import App, Message
from generator.scan.observe import LibraryScan

NOW = 1_790_000_000
LENGTHS_S = {"Lake/Boat.webm": 2, "Lake/Swim.webm": 2, "Short.webm": 1, "Long.webm": 12}
WAITING = "Object.keys(localStorage).some((name) => name.includes('#do'))"
NETWORK = re.compile("Failed to load resource")  # the browser's own line, which no script can spare


def make_film(file: Path, length_s: int, color: int) -> None:
    """Write a film that Chromium plays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(file, "w") as container:
        stream = container.add_stream("libvpx", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"
        for number in range(10 * length_s):
            frame = VideoFrame(64, 36, "yuv420p")
            for plane, value in zip(frame.planes, (120, color * 37 % 256, 90), strict=True):
                plane.update(bytes([(value + number) % 256]) * (plane.line_size * plane.height))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for number, (name, length_s) in enumerate(LENGTHS_S.items()):
        make_film(folder / name, length_s, number)
        os.utime(folder / name, (NOW - number * 86400,) * 2)
    return folder


@dataclass
class Windows:
    """Windows of one browser on one site, and what they complained of."""

    context: BrowserContext
    address: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        page = self.context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: self._hear(message.text))
        page.on("pageerror", lambda error: self._hear(str(error)))
        page.goto(self.address + path)
        return page

    def _hear(self, complaint: str) -> None:
        if not NETWORK.search(complaint):
            self.complaints.append(complaint)


@contextmanager
def windows_on(browser: Browser, address: str, **options: object) -> Iterator[Windows]:
    context = browser.new_context(**options)  # type: ignore[arg-type]  # told by their names
    windows = Windows(context, address)
    yield windows
    context.close()
    assert windows.complaints == []


def address_of(served: Served) -> str:
    return f"http://127.0.0.1:{served.port}"


def star(page: Page, number: int) -> Locator:
    return page.get_by_role("radio", name="1 star" if number == 1 else f"{number} stars")


def until(condition: Callable[[], bool]) -> None:
    """Wait for something on the disk that no page shows."""
    deadline, pause = time.monotonic() + 20, threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        pause.wait(0.01)  # those who are to say it may be threads of ours


# -- the whole way: a click, an event, new bytes, another window


@dataclass(frozen=True)
class Dev:
    """A `reelshelf dev` that runs, and its site."""

    address: str
    out: Path
    watch: Mapping[str, str]  # addresses by title

    def text(self, path: str) -> str:
        return (self.out / path.lstrip("/")).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def dev(
    films: Path, tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Dev]:
    folder = tmp_path_factory.mktemp("dev")
    shutil.copytree(films, folder / "videos")
    (folder / "reelshelf.toml").write_text('library = "videos"\n', encoding="utf-8")
    with Command(
        ["dev", "--json", "--port", str(free_port())],
        cwd=folder,
        env={**os.environ, "REELSHELF_SETTLE_S": "0"},
        stdout=subprocess.PIPE,
        text=True,
    ) as serving:
        assert serving.stdout is not None
        try:
            announced = next(line for line in map(json.loads, serving.stdout) if "address" in line)
            out = folder / "site_out"
            pages = {re.split(r"-\d+\.html", page.name)[0]: page for page in out.glob("watch/*")}
            watch = {name.title(): f"/watch/{page.name}" for name, page in pages.items()}
            yield Dev(announced["address"].rstrip("/"), out, watch)
        finally:
            serving.send_signal(signal.SIGINT)


def test_a_star_is_on_the_disk_and_in_another_window_at_once(browser: Browser, dev: Dev) -> None:
    with windows_on(browser, dev.address) as windows:
        watch, best = windows.open(dev.watch["Swim"]), windows.open("/all/rating.html")
        star(watch, 5).click()
        expect(best.locator(".cards b").first).to_have_text("Swim")
        expect(best.locator(".cards .s").first).to_have_text("5")
        expect(star(watch, 5)).to_be_checked()

        assert "5 of 5 stars" in dev.text(dev.watch["Swim"])
        assert "<i class=s>5</i>" in dev.text("all/rating.html")

        star(watch, 5).click()
        expect(best.locator(".cards .s")).to_have_count(0)
        expect(star(watch, 5)).not_to_be_checked()

        assert "5 of 5 stars" not in dev.text(dev.watch["Swim"])


def test_a_favorite_stands_among_the_favorites_and_goes_again(browser: Browser, dev: Dev) -> None:
    with windows_on(browser, dev.address) as windows:
        watch, favorites = windows.open(dev.watch["Boat"]), windows.open("/favorites.html")
        heart = watch.get_by_role("button", name="Favorite")
        heart.click()
        expect(favorites.locator(".cards b")).to_have_text(["Boat"])
        expect(heart).to_have_attribute("aria-pressed", "true")

        heart.click()
        expect(favorites.locator(".cards b")).to_have_count(0)

        assert '<span class="f" hidden>' in dev.text(dev.watch["Boat"])


def test_tags_are_added_and_removed_while_the_page_loads_anew(browser: Browser, dev: Dev) -> None:
    with windows_on(browser, dev.address) as windows:
        watch, tags = windows.open(dev.watch["Short"]), windows.open("/tags.html")
        watch.get_by_role("button", name="Edit tags").click()
        watch.get_by_label("New tag").fill("#Côte / 100%?, .., Summer")
        watch.keyboard.press("Enter")
        watch.get_by_label("New tag").fill("half a w")
        expect(tags.locator(".tags bdi")).to_have_text(["..", "côte / 100%?", "lake", "summer"])
        expect(watch.locator(".tagging li a")).to_have_count(3)
        expect(watch.get_by_label("New tag")).to_be_focused()  # as if nothing had been loaded
        expect(watch.get_by_label("New tag")).to_have_value("half a w")

        for name in ("côte / 100%?", "..", "summer"):
            watch.get_by_role("button", name=f"Remove the tag {name}", exact=True).click()
            expect(tags.locator(".tags bdi", has_text=name)).to_have_count(0)

        assert "summer" not in dev.text(dev.watch["Short"])


# -- the real API behind pages that nobody rewrites


@dataclass
class Gate:
    """Lets requests through to the API, unless it is shut, and knows which came."""

    api: App
    is_shut: bool = False
    asked: list[str] = field(default_factory=list)

    async def __call__(self, scope: Message, receive: object, send: object) -> None:
        assert callable(send)
        self.asked.append(f"{scope['method']} {scope['path']}")
        if self.is_shut:
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body"})
            return
        await self.api(scope, receive, send)  # type: ignore[arg-type]  # as they came

    def times(self, method: str, end: str) -> int:
        return sum(one.startswith(method) and one.endswith(end) for one in self.asked)


@dataclass(frozen=True)
class Shelf:
    """A site as it was built once, served with the API."""

    address: str
    catalogue: Catalogue
    gate: Gate
    watch: Mapping[str, str]

    def video(self, title: str) -> Video:
        return next(video for video in self.catalogue.shown() if video.title == title)

    def kinds(self, title: str) -> list[str]:
        """Return the kinds of what people did to a video, newest first."""
        events = self.catalogue.events_of(self.video(title).id, 100)
        return [kind for _, kind, *_ in events if kind not in {"VideoFound", "PosterMade"}]


@pytest.fixture(scope="module")
def built(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    settings = Settings(
        library=(films,), out=folder / "out", state=folder / "state", settle_s=0, title="Films"
    )
    with Engine(settings, TEMPLATES) as engine, MediaWorkers(jobs=2) as workers:
        engine.refresh(NOW, LibraryScan(settings, workers, lambda: float(NOW)))
        boat = next(video.id for video in engine.catalogue.shown() if video.title == "Boat")
        engine.catalogue.append([Event("1", EventKind.VIEWED, NOW, "t", boat, {"count": 1234})])
        engine.refresh(NOW + 1)
    return folder


Opening = Callable[..., Shelf]


@pytest.fixture
def opened(built: Path, films: Path, tmp_path: Path) -> Iterator[Opening]:
    """Return a function that serves a copy of the site, to an owner or to visitors."""
    shutil.copytree(built / "state", tmp_path / "state")
    shutil.copytree(built / "out", tmp_path / "out")
    with ExitStack() as stack:

        def serve(
            owner: Loopback = "always", visitors: frozenset[str] = frozenset({"view"})
        ) -> Shelf:
            state = tmp_path / "state"
            app = create_app(ApiConfig(state, visitors_may=visitors, owner_on_loopback=owner))
            stack.callback(app.state.close)
            catalogue = stack.enter_context(closing(Catalogue(state / "catalogue.db")))
            gate = Gate(app)
            site = ServedSite(tmp_path / "out", {"": films}, api=gate)
            served = stack.enter_context(running(DevServer(site)))
            watch = {video.title: "/" + urls.watch_path_of(video) for video in catalogue.shown()}
            return Shelf(address_of(served), catalogue, gate, watch)

        yield serve


@pytest.mark.parametrize("width", [390, 1400])
def test_controls_appear_where_there_was_room_for_them(
    browser: Browser, opened: Opening, width: int
) -> None:
    shelf = opened()
    with windows_on(browser, shelf.address, viewport={"width": width, "height": 1200}) as windows:
        windows.context.add_init_script(
            # What comes after the article may come late itself.
            "window.moved = []; new PerformanceObserver((list) => {"
            " for (const one of list.getEntries()) for (const { node, currentRect } of one.sources)"
            " if (node?.parentElement.closest('article'))"
            " moved.push([node.nodeName, node.className, JSON.stringify(currentRect)]);"
            "}).observe({type: 'layout-shift', buffered: true})"
        )
        page = windows.open(shelf.watch["Boat"])
        expect(star(page, 3)).to_be_visible()
        expect(page.get_by_role("button", name="Edit tags")).to_be_visible()
        expect(page.locator(".marks .v")).to_have_text("1,234")

        moved = page.evaluate("moved")
        page.get_by_role("button", name="Edit tags").click()
        sizes = page.evaluate(
            "[...document.querySelectorAll('article button, .stars label, .tagging input')]"
            ".filter((one) => one.checkVisibility())"
            ".map((one) => one.getBoundingClientRect()).map(({width, height}) => [width, height])"
        )
        assert moved == []
        assert [size for size in sizes if min(size) < 44] == []
        assert len(sizes) == 10


def test_the_keyboard_rates_and_clears(browser: Browser, opened: Opening) -> None:
    shelf = opened()
    with windows_on(browser, shelf.address) as windows:
        page = windows.open(shelf.watch["Boat"])
        star(page, 1).focus()
        for key in ("Space", "ArrowRight", "ArrowRight"):
            page.keyboard.press(key)
        expect(star(page, 3)).to_be_checked()
        until(lambda: shelf.video("Boat").stars == 3)

        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(star(page, 3)).not_to_be_checked()
        expect(star(page, 1)).to_be_focused()
        until(lambda: shelf.video("Boat").stars is None)


def test_a_visitor_who_may_only_watch_sees_the_page_as_it_is(
    browser: Browser, opened: Opening
) -> None:
    shelf = opened("never")
    video = shelf.video("Boat").id
    shelf.catalogue.append([Event("2", EventKind.RATED, NOW, "t", video, {"stars": 2})])
    with windows_on(browser, shelf.address) as windows:
        page = windows.open(shelf.watch["Boat"])
        expect(page.locator(".marks .v")).to_have_text("1,234")
        expect(page.locator(".marks .stars")).to_have_text(" 2 of 5 stars")  # fresher than the page

        assert page.locator("article").get_by_role("radio").count() == 0
        assert page.locator("article").get_by_role("button").count() == 0


def test_a_visitors_vote_counts_beside_the_owners_rating(browser: Browser, opened: Opening) -> None:
    shelf = opened("never", frozenset({"rate"}))
    video = shelf.video("Boat").id
    shelf.catalogue.append([Event("2", EventKind.RATED, NOW, "t", video, {"stars": 2})])
    with windows_on(browser, shelf.address) as windows:
        page = windows.open(shelf.watch["Boat"])
        star(page, 4).click()
        expect(page.locator(".marks .m")).to_have_text(re.compile(r"^[1-5]\.\d from 1 vote$"))
        expect(page.locator(".marks")).to_contain_text("Owner: 2 of 5 stars")

        assert star(page, 4).is_checked()
        assert (shelf.video("Boat").stars, shelf.video("Boat").votes) == (2, 1)


def test_what_cannot_be_sent_is_kept_and_delivered_once(browser: Browser, opened: Opening) -> None:
    shelf = opened()
    with windows_on(browser, shelf.address) as windows:
        page = windows.open(shelf.watch["Boat"])
        expect(star(page, 4)).to_be_visible()
        shelf.gate.is_shut = True
        star(page, 2).click()
        expect(page.get_by_role("status").last).to_contain_text("cannot be reached")
        star(page, 4).click()
        page.get_by_role("button", name="Favorite").click()
        expect(star(page, 4)).to_be_checked()

        page.goto(shelf.address + shelf.watch["Boat"])
        expect(star(page, 4)).to_be_checked()  # the API is still away

        shelf.gate.is_shut = False
        page.goto(f"{shelf.address}/folders.html")
        until(lambda: shelf.video("Boat").favorite)
        until(lambda: not page.evaluate(WAITING))

    assert shelf.kinds("Boat") == ["Favorited", "Rated", "Viewed"]  # in order, and the last wins
    assert shelf.video("Boat").stars == 4


def test_what_was_done_offline_is_sent_when_the_network_is_back(
    browser: Browser, opened: Opening
) -> None:
    shelf = opened()
    with windows_on(browser, shelf.address) as windows:
        page = windows.open(shelf.watch["Boat"])
        expect(star(page, 4)).to_be_visible()
        windows.context.set_offline(True)
        star(page, 4).click()
        expect(page.get_by_role("status").last).to_contain_text("cannot be reached")

        windows.context.set_offline(False)
        expect(page.get_by_role("status").last).to_contain_text("Your changes are saved")

    assert shelf.kinds("Boat") == ["Rated", "Viewed"]


def test_an_answer_that_was_lost_does_not_count_twice(browser: Browser, opened: Opening) -> None:
    shelf = opened()
    with windows_on(browser, shelf.address) as windows:
        page = windows.open(shelf.watch["Boat"])
        expect(star(page, 4)).to_be_visible()
        lost: list[str] = []

        def lose(route: object) -> None:
            if not lost:  # the API has it, and the browser does not know
                lost.append(route.fetch().text())  # type: ignore[attr-defined]  # a Route
                route.abort()  # type: ignore[attr-defined]  # likewise
            else:
                route.continue_()  # type: ignore[attr-defined]  # likewise

        page.route("**/rating", lose)
        star(page, 4).click()
        expect(page.get_by_role("status").last).to_contain_text("cannot be reached")
        page.reload()
        until(lambda: shelf.gate.times("PUT", "/rating") >= 2)
        until(lambda: not page.evaluate(WAITING))

    assert shelf.kinds("Boat") == ["Rated", "Viewed"]


def test_a_refused_click_is_taken_back_with_a_word(browser: Browser, opened: Opening) -> None:
    shelf = opened("never")
    token, secret = new_token("laptop", NOW)
    shelf.catalogue.tokens.add(token)
    with windows_on(browser, shelf.address) as windows:
        page = windows.open("/login.html")
        page.get_by_label("Token").fill(secret)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{shelf.address}/")
        page.goto(shelf.address + shelf.watch["Boat"])
        star(page, 3).click()
        until(lambda: shelf.video("Boat").stars == 3)

        shelf.catalogue.tokens.revoke(token.id, NOW)
        star(page, 5).click()
        expect(page.get_by_role("status").last).to_contain_text("Not saved")
        expect(star(page, 3)).to_be_checked()
        expect(star(page, 3)).to_be_disabled()

    assert shelf.video("Boat").stars == 3


def test_ones_own_clicks_show_on_pages_from_a_cache_until_others_are_newer(
    browser: Browser, opened: Opening
) -> None:
    shelf = opened()
    with windows_on(browser, shelf.address) as windows:
        page = windows.open(shelf.watch["Boat"])
        star(page, 4).click()
        page.get_by_role("button", name="Favorite").click()
        until(lambda: shelf.video("Boat").favorite)
        page.goto(f"{shelf.address}/folder/{_folder(shelf)}#order=rating")
        card = page.locator(".cards li", has_text="Boat")
        expect(card.locator(".s")).to_have_text("4")
        expect(card.locator(".f")).to_have_count(1)
        expect(page.locator(".cards b").first).to_have_text("Boat")
        until(lambda: shelf.gate.times("GET", "/changes") == 1)

        video = shelf.video("Boat").id
        shelf.catalogue.append(
            [
                Event("2", EventKind.RATED, NOW, "phone", video, {"stars": 1}),
                Event("3", EventKind.UNFAVORITED, NOW, "phone", video),
            ]
        )
        page.reload()
        expect(card.locator(".s")).to_have_text("1")
        expect(card.locator(".f")).to_have_count(0)
        assert shelf.gate.times("GET", "/changes") == 2


def _folder(shelf: Shelf) -> str:
    folder = shelf.video("Boat").place.path.rpartition("/")[0]
    return urls.scope_path(Scope(ScopeKind.FOLDER, folder)).rpartition("/")[2]


def test_who_did_nothing_is_not_asked_about_on_shelves(browser: Browser, opened: Opening) -> None:
    shelf = opened()
    with windows_on(browser, shelf.address) as windows:
        windows.open("/folders.html").wait_for_load_state("networkidle")

    assert shelf.gate.asked == []


def test_a_film_that_was_watched_is_a_view(browser: Browser, opened: Opening) -> None:
    shelf = opened("never")
    with windows_on(browser, shelf.address) as windows:
        for title, rate in (("Short", 1), ("Long", 16)):
            page = windows.open(shelf.watch[title])
            page.evaluate(
                "(rate) => { const film = document.querySelector('video'); film.muted = true;"
                " film.playbackRate = rate; film.loop = true; return film.play(); }"
                if rate > 1
                else "() => { const film = document.querySelector('video'); film.muted = true;"
                " return film.play(); }",
                rate,
            )
            expect(page.locator(".marks .v")).to_have_text("1")
        page.reload()
        page.evaluate("() => { document.querySelector('video').currentTime = 11.9; }")

    assert [shelf.video(title).views for title in ("Short", "Long")] == [1, 1]
    assert shelf.gate.times("POST", "/views") == 2


def test_a_site_without_an_api_is_asked_once_and_shows_no_controls(
    browser: Browser, built: Path, films: Path
) -> None:
    asked: list[str] = []
    site = ServedSite(built / "out", {"": films})
    with running(DevServer(site)) as served, windows_on(browser, address_of(served)) as windows:
        windows.context.on(
            "request", lambda one: asked.append(one.url) if "/api/" in one.url else None
        )
        pages = sorted((built / "out/watch").glob("*.html"))
        page = windows.open("/")
        for file in pages:
            page.goto(f"{windows.address}/watch/{file.name}")
            expect(page.locator("html")).to_have_attribute("data-may", "")

        assert page.locator("article").get_by_role("radio").count() == 0
        assert page.locator("article").get_by_role("button").count() == 0

    assert len(pages) == len(LENGTHS_S)
    assert len(asked) == 1


def test_without_storage_clicks_work_as_long_as_the_page(browser: Browser, opened: Opening) -> None:
    shelf = opened()
    with windows_on(browser, shelf.address) as windows:
        windows.context.add_init_script(
            "for (const name of ['localStorage', 'sessionStorage'])"
            " Object.defineProperty(window, name, {get() { throw new DOMException('no'); }})"
        )
        page = windows.open(shelf.watch["Boat"])
        expect(star(page, 4)).to_be_visible()
        shelf.gate.is_shut = True
        star(page, 4).click()
        expect(page.get_by_role("status").last).to_contain_text("cannot be reached")
        shelf.gate.is_shut = False
        page.get_by_role("button", name="Favorite").click()
        until(lambda: shelf.video("Boat").favorite)

        assert star(page, 4).is_checked()
    assert shelf.kinds("Boat") == ["Favorited", "Rated", "Viewed"]


# -- signing in


def test_the_owner_signs_in_comes_back_and_signs_out(browser: Browser, opened: Opening) -> None:
    shelf = opened("never")
    token, secret = new_token("laptop", NOW)
    shelf.catalogue.tokens.add(token)
    with windows_on(browser, shelf.address) as windows:
        page = windows.open(shelf.watch["Boat"])
        page.get_by_role("link", name="Sign in").click()
        status = page.locator("main [role=status]")
        for wrong in ("nonsense", secret[:-1]):
            page.get_by_label("Token").fill(wrong)
            page.get_by_role("button", name="Sign in").click()
            expect(status).to_have_text("Unknown, expired or revoked token.")
        page.get_by_label("Token").fill(f" {secret} ")
        page.keyboard.press("Enter")

        page.wait_for_url(shelf.address + shelf.watch["Boat"])
        expect(star(page, 3)).to_be_visible()

        page.get_by_role("link", name="Sign in").click()
        expect(status).to_have_text("You are signed in.")
        page.get_by_role("button", name="Sign out").click()
        expect(status).to_have_text("You are signed out.")
        expect(page.get_by_label("Token")).to_be_visible()

        page.goto(shelf.address + shelf.watch["Boat"])
        expect(page.locator(".marks .v")).to_have_text("1,234")
        expect(star(page, 3)).to_have_count(0)


def test_a_page_of_another_site_does_not_choose_where_one_goes_after_signing_in(
    browser: Browser, opened: Opening
) -> None:
    shelf = opened("never")
    token, secret = new_token("laptop", NOW)
    shelf.catalogue.tokens.add(token)
    with windows_on(browser, shelf.address) as windows:
        page = windows.context.new_page()
        page.goto(f"{shelf.address}/login.html", referer="http://elsewhere.example/trap")
        page.get_by_label("Token").fill(secret)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{shelf.address}/")
