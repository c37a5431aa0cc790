"""Following "next" from the head of every listing gives exactly its videos, in order, each once."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from histories import History, trial_site

from benchmarks import trial
from generator.build.engine import Engine
from generator.core.model import Video
from generator.core.site import urls
from generator.core.site.orders import VIDEO_ORDERS, Order, video_key
from generator.core.site.scopes import Scope, ScopeKind, scopes_of

NOT_MADE = ("/video/", "/thumb/", "/play/", "/board/")  # a trial library is without media


TAG = re.compile(r'<(\w+)((?:\s+[\w:-]+(?:="[^"]*")?)+)\s*/?>')
ATTRIBUTE = re.compile(r'([\w:-]+)="([^"]*)"')


class Page:
    """The cards of a page, where its next one is, and all that it leads to."""

    def __init__(self, file: Path) -> None:
        self.videos: list[int] = []
        self.following: str | None = None
        self.links: list[str] = []
        for tag, attributes in TAG.findall(file.read_text(encoding="utf-8")):
            given = {name: unescape(value) for name, value in ATTRIBUTE.findall(attributes)}
            if tag == "li" and given.get("data-k"):
                self.videos.append(int(given["data-k"].split(" ")[0]))
            if tag == "a" and given.get("rel") == "next":
                self.following = given.get("href")
            self.links += [given[name] for name in ("href", "src") if given.get(name)]


def follow(site: Path, address: str | None) -> Iterator[int]:
    seen = set()
    while address is not None:
        assert address not in seen, f"{address} comes twice"
        seen.add(address)
        page = Page(site / address.lstrip("/"))
        yield from page.videos
        address = page.following


@pytest.fixture(scope="module")
def after_a_history() -> Iterator[tuple[Engine, Path]]:
    with trial_site(900) as (engine, folder):
        engine.refresh(trial.NOW)
        history = History(900, seed=11)
        for _ in range(12):
            for _ in range(12):
                engine.catalogue.append(history.draw())
            engine.refresh(trial.NOW + 1)
        yield engine, folder / "out"


def listings(engine: Engine) -> Iterator[tuple[Scope, list[Video]]]:
    members: dict[Scope, list[Video]] = {}
    for video in engine.catalogue.shown():
        for scope in scopes_of(video):
            members.setdefault(scope, []).append(video)
    yield from members.items()


def in_order(videos: list[Video], order: Order) -> list[int]:
    ranked = sorted(videos, key=lambda video: video_key(video, order.key))
    return [video.id for video in (reversed(ranked) if order.descending else ranked)]


def test_every_listing_is_complete_and_in_order(after_a_history: tuple[Engine, Path]) -> None:
    engine, site = after_a_history

    paged = 0
    for scope, videos in listings(engine):
        row = engine.ledger.scope(scope)
        assert row is not None
        for order in VIDEO_ORDERS if row.paged else VIDEO_ORDERS[:1]:
            paged += row.paged
            head = urls.shelf_path(scope, order, None)
            assert list(follow(site, head)) == in_order(videos, order), (scope, order)
    assert paged >= 10 * len(VIDEO_ORDERS)


def test_what_fits_on_one_shelf_is_one_page(after_a_history: tuple[Engine, Path]) -> None:
    engine, site = after_a_history

    for scope, videos in listings(engine):
        if len(videos) <= 30 and scope.kind in {ScopeKind.TAG, ScopeKind.FOLDER}:
            assert not (site / urls.scope_base(scope)).exists()


def test_no_page_leads_to_a_page_that_is_not_there(after_a_history: tuple[Engine, Path]) -> None:
    _, site = after_a_history
    missing = set()
    for file in site.rglob("*.html"):
        for link in Page(file).links:
            if re.match(r"/(?!/)", link) and not link.startswith(NOT_MADE):
                path = link.partition("#")[0].lstrip("/") or "index.html"
                if not (site / path).is_file():
                    missing.add((str(file.relative_to(site)), link))
    assert not missing
