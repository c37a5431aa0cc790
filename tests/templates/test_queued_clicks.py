"""What a person does on a page whose API stands before a queue: queued counts as done, once."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cloud import redis_server
from playwright.sync_api import Browser, expect
from test_clicks import (
    NOW,
    WAITING,
    Opening,
    Shelf,
    built,
    films,
    opened,
    star,
    until,
    windows_on,
)

from api_lambda.app import ApiConfig, create_app
from api_lambda.owner_secrets import EnvSecrets
from generator.adapters.redis_state import RedisState
from generator.core.model import Event, VideoStats
from generator.core.queue import messages
from generator.devserver.files import App

QUEUED = WAITING.replace("#do", "#queued")
__all__ = ["built", "films", "opened"]  # fixtures


@dataclass
class Tray:
    """A queue that somebody may look into."""

    bodies: list[str] = field(default_factory=list)

    def send(self, bodies: list[str]) -> None:
        self.bodies += bodies

    def close(self) -> None:
        """Keep everything."""

    @property
    def happenings(self) -> list[Event]:
        found = [messages.decode_message(one, NOW * 10**7) for one in self.bodies]
        return [one for one in found if isinstance(one, Event)]


@dataclass(frozen=True)
class Afar:
    """A site whose clicks go into a queue, and the API beside the catalogue that can take over."""

    shelf: Shelf
    tray: Tray
    direct: App

    def deliver(self) -> None:
        self.shelf.catalogue.record(self.tray.happenings)


@pytest.fixture
def afar(opened: Opening, tmp_path: Path) -> Iterator[Afar]:
    with before_a_queue(opened(), tmp_path, owner_on_loopback="always") as afar:
        yield afar


@contextmanager
def before_a_queue(shelf: Shelf, folder: Path, **more: Any) -> Iterator[Afar]:  # noqa: ANN401 (settings)
    tray, secrets = Tray(), EnvSecrets(secret="ab" * 32)
    config = ApiConfig(folder / "nowhere", secrets=secrets, **more)
    direct, remote = shelf.gate.api, create_app(config, tray)  # type: ignore[arg-type]  # it is only sent to
    shelf.gate.api = remote
    yield Afar(shelf, tray, direct)
    remote.state.close()


def test_a_queued_click_stays_shown_after_a_reload_and_is_sent_once(
    browser: Browser, afar: Afar
) -> None:
    shelf = afar.shelf
    with windows_on(browser, shelf.address) as windows:
        page = windows.open(shelf.watch["Boat"])
        star(page, 4).click()
        page.get_by_role("button", name="Favorite").click()
        page.get_by_role("button", name="Edit tags").click()
        page.get_by_label("New tag").fill("summer")
        page.keyboard.press("Enter")
        until(lambda: len(afar.tray.bodies) == 3)
        until(lambda: not page.evaluate(WAITING))

        page.reload()
        expect(star(page, 4)).to_be_checked()
        heart = page.get_by_role("button", name="Favorite")
        expect(heart).to_have_attribute("aria-pressed", "true")
        expect(page.locator(".tagging bdi", has_text="summer")).to_have_count(1)
        expect(page.locator(".marks .v")).to_have_text("1.2K")  # as the page has it

        page.goto(f"{shelf.address}/all/rating.html")
        card = page.locator(".cards li", has_text="Boat")
        expect(card.locator(".s")).to_have_text("4")
        expect(card.locator(".f")).to_have_count(1)
        expect(page.get_by_role("status").last).to_have_text("")

    kinds = [str(one.kind) for one in afar.tray.happenings]
    assert kinds == ["Rated", "Favorited", "Tagged"]
    order = [one.occurred_at_us or 0 for one in afar.tray.happenings]
    assert order == sorted(set(order))
    assert shelf.gate.times("GET", "/changes") == 0


def test_an_api_that_answers_itself_again_doubles_nothing(browser: Browser, afar: Afar) -> None:
    shelf = afar.shelf
    with windows_on(browser, shelf.address) as windows:
        page = windows.open(shelf.watch["Boat"])
        star(page, 4).click()
        until(lambda: len(afar.tray.bodies) == 1)
        until(lambda: not page.evaluate(WAITING))
        afar.deliver()

        shelf.gate.api = afar.direct
        page.reload()
        expect(page.locator(".marks .v")).to_have_text("1,234")
        expect(star(page, 4)).to_be_checked()
        expect(page.locator(".stars label .on")).to_have_count(4)
        star(page, 2).click()
        until(lambda: shelf.video("Boat").stars == 2)
        page.reload()
        expect(star(page, 2)).to_be_checked()
        assert not page.evaluate(QUEUED)

    assert shelf.kinds("Boat") == ["Rated", "Rated", "Viewed"]
    assert shelf.video("Boat").stars == 2


def test_a_visitors_queued_vote_is_shown_to_him_and_not_taken_for_the_owners(
    browser: Browser, opened: Opening, tmp_path: Path
) -> None:
    shelf = opened("never")
    visitors = frozenset({"view", "rate"})
    with (
        before_a_queue(shelf, tmp_path, visitors_may=visitors, owner_on_loopback="never") as afar,
        windows_on(browser, shelf.address) as windows,
    ):
        page = windows.open(shelf.watch["Boat"])
        star(page, 4).click()
        until(lambda: len(afar.tray.bodies) == 1)
        until(lambda: not page.evaluate(WAITING))
        page.reload()
        expect(star(page, 4)).to_be_checked()

        page.goto(f"{shelf.address}/all/rating.html")
        expect(page.locator(".cards b").first).to_be_visible()
        expect(page.locator(".cards .s")).to_have_count(0)

        with before_a_queue(shelf, tmp_path, owner_on_loopback="always"):  # who is the owner now
            page.goto(shelf.address + shelf.watch["Boat"])
            expect(page.get_by_role("button", name="Favorite")).to_be_visible()
            expect(star(page, 4)).not_to_be_checked()


def test_figures_that_are_older_than_a_click_do_not_hide_it_and_later_ones_do(
    browser: Browser, opened: Opening, tmp_path: Path, program: Callable[[str], str]
) -> None:
    program("redis-server")
    shelf = opened()
    boat = shelf.video("Boat").id

    def put(version: int, stars: int | None) -> None:
        shared.put_stats([VideoStats(boat, version, stars, 0, None, 5678, False, ("lake",))])  # noqa: FBT003

    with (
        redis_server(tmp_path) as redis,
        closing(RedisState(redis.address)) as shared,
        before_a_queue(shelf, tmp_path, queue=redis.address, owner_on_loopback="always"),
        windows_on(browser, shelf.address) as windows,
    ):
        shared.begin_era()
        put(5, None)
        page = windows.open(shelf.watch["Boat"])
        expect(page.locator(".marks .v")).to_have_text("5,678")
        star(page, 4).click()
        until(lambda: page.evaluate(QUEUED))
        page.reload()
        expect(page.locator(".marks .v")).to_have_text("5,678")
        expect(star(page, 4)).to_be_checked()  # the worker has not come to it yet

        put(9, 4)
        page.reload()
        until(lambda: not page.evaluate(QUEUED))
        expect(star(page, 4)).to_be_checked()

        put(10, 1)  # by somebody's phone
        page.reload()
        expect(star(page, 1)).to_be_checked()


def test_the_problems_page_says_plainly_that_there_is_no_list(browser: Browser, afar: Afar) -> None:
    with windows_on(browser, afar.shelf.address) as windows:
        page = windows.open("/problems.html")
        expect(page.locator("main [role=status]")).to_contain_text("not available here")
        assert page.locator("main button:visible").count() == 0
        assert page.get_by_role("link", name="Sign in").count() <= 1
        assert not page.locator("main a.button").is_visible()
