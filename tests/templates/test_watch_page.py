"""A video's page and the cards that lead to it, in Chromium, with all that a video can have.

The pages are painted from made-up videos and served by nginx under our security policy.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import pytest
import test_served_site
from paths import TEMPLATES
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect
from served import running
from test_clicks import make_film, until
from test_served_site import get

from generator.adapters.renderer import Renderer
from generator.core.media.webvtt import board_vtt, chapters_vtt
from generator.core.model import (
    Chapter,
    OutPath,
    Place,
    Probe,
    Rendition,
    Storyboard,
    Track,
    Video,
    VideoId,
)
from generator.core.site import contexts, urls
from generator.core.site.contexts import Html, Neighbors
from generator.devserver import DevServer, ServedSite

address = test_served_site.address  # serves what `site` is here

SITE = contexts.SiteContext("https://films.example.org", "", "Films")
LENGTH_S = 12
TILES = ["#c03030", "#30c030", "#3030c0", "#c0c030", "#c030c0", "#30c0c0"]  # two seconds each
COLUMNS, TILE_WIDTH, TILE_HEIGHT = 4, 160, 90
BOARD = Storyboard("b0a4d", len(TILES), COLUMNS, TILE_WIDTH, TILE_HEIGHT)
PROBE = Probe("webm", float(LENGTH_S), 64, 36, 10.0, "vp8", codecs="vp8")
UNPLAYABLE = Probe("avi", float(LENGTH_S), 64, 36, 10.0, "mpeg2video", pixel_format="yuv420p")
COPY = Rendition("c0de", 1000, "transcode", "webm", "vp8")
CHAPTERS = (Chapter(0, "Setting out"), Chapter(4, "The <b>ridge</b>"), Chapter(8.5, "Home"))
TEXT = """Filmed from the boat.

It begins at 0:04, see https://example.org/boat?a=1&b=2.
<script>alert(1)</script>"""
MARKDOWN = """# Boat

Filmed from the *boat*, at 0:08.

## How

- [the makers](https://example.org/makers)
- ![a picture](https://example.org/p.png) <img src=x onerror=alert(2)>
"""


def track(language: str, label: str, *, forced: bool = False, sdh: bool = False) -> Track:
    return Track(language, label, forced, sdh, f"{len(label):x}{language.encode().hex()}")


def video(number: int, path: str = "film.webm", **more: object) -> Video:
    bare = Video(
        id=VideoId(number),
        slug="film",
        place=Place("", path),
        title=f"Film {number}",
        added_at=1_790_000_000 - number,
        recorded_at=1_790_000_000,
        size_bytes=1000,
        probe=PROBE,
    )
    return replace(bare, **more)  # type: ignore[arg-type]  # told by their names


RICH, MARKED, COPIED, BROKEN, BARE, FAR = VIDEOS = (
    video(
        1,
        description=TEXT,
        creator="Zoë & Max",
        url="https://www.example.org/watch?v=1",
        chapters=CHAPTERS,
        tracks=(
            track("en", "English"),
            track("de", "Deutsch"),
            track("de", "Deutsch (SDH)", sdh=True),
        ),
        storyboard=BOARD,
    ),
    video(
        2,
        description=MARKDOWN,
        is_markdown=True,
        tracks=(track("en", "English"), track("de", "Deutsch"), track("", "", forced=True)),
    ),
    video(3, "broken.avi", probe=UNPLAYABLE, rendition=COPY, chapters=CHAPTERS),
    video(4, "broken.avi", probe=UNPLAYABLE),
    video(5),
    video(60, storyboard=BOARD),  # of a part that nothing is told of
)


@dataclass(frozen=True)
class Made:
    """A site, as `address` asks for it."""

    folder: Path

    @property
    def out(self) -> Path:
        return self.folder / "out"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Made:
    made = Made(tmp_path_factory.mktemp("watch"))
    make_film(made.folder / "library/film.webm", LENGTH_S, 3)
    (made.folder / "library/broken.avi").write_bytes(b"no film" * 100)
    frame = {
        "title": "Films",
        "description": "",
        "language": "en",
        "base": "",
        "api": None,
        "url": SITE.origin,
        "nav": ({"label": "All", "url": "/all.html"},),
        "boards": True,
    }
    renderer = Renderer(TEMPLATES, None, frame)
    for path, content in renderer.assets().items():
        write(made, path, content)
    for video in VIDEOS:
        context = contexts.watch_context(SITE, video, Neighbors())
        write(made, urls.watch_path_of(video), renderer.render("watch.html", context))
        write_made_files(made, video)
    cards = b"".join(renderer.render("card.html", contexts.card(SITE, video)) for video in VIDEOS)
    write(made, OutPath("all.html"), renderer.render("shelf.html", shelf(cards)))
    write(made, OutPath("index.html"), renderer.render("shelf.html", shelf(cards)))
    gone = {"page": contexts.page(SITE, urls.NOT_FOUND, "Not found")}
    write(made, urls.NOT_FOUND, renderer.render("404.html", gone))
    board = [BOARD.digest, BOARD.count, COLUMNS, TILE_WIDTH, TILE_HEIGHT]
    write(made, urls.storyboard_index_path(0), json.dumps({"1": board}).encode())
    return made


def shelf(cards: bytes) -> contexts.Context:
    none = ("feed", "folders", "folders_next", "newer", "older", "first", "last")
    return {
        "page": contexts.page(SITE, OutPath("all.html"), "All"),
        "heading": "All",
        "crumbs": (),
        "orders": (),
        "sortable": True,
        "names": "",
        "cards": Html(cards),
        **dict.fromkeys(none),
    }


def write(made: Made, path: OutPath, content: bytes) -> None:
    file = made.out / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def write_made_files(made: Made, video: Video) -> None:
    for said in video.tracks:
        text = f"WEBVTT\n\n00:00.000 --> 00:{LENGTH_S}.000\n{said.label}\n"
        write(made, urls.track_file(video.id, said.digest), text.encode())
    if video.chapters:
        write(made, urls.chapters_path(video.id), chapters_vtt(video.chapters, LENGTH_S))
    if video.storyboard:
        sprite, index = urls.board_files(video.id, video.storyboard)
        write(made, sprite, sheet_of_tiles())
        starts_s = [2.0 * number for number in range(len(TILES))]
        name = sprite.rpartition("/")[2]
        write(made, index, board_vtt(starts_s, LENGTH_S, COLUMNS, TILE_WIDTH, TILE_HEIGHT, name))
    if video.rendition:
        film, *_ = urls.rendition_files(video.id, video.rendition)
        (made.out / film).parent.mkdir(parents=True)
        shutil.copy(made.folder / "library/film.webm", made.out / film)


def sheet_of_tiles() -> bytes:
    rows = -(-len(TILES) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE_WIDTH, rows * TILE_HEIGHT))
    for number, color in enumerate(TILES):
        left, top = number % COLUMNS * TILE_WIDTH, number // COLUMNS * TILE_HEIGHT
        sheet.paste(color, (left, top, left + TILE_WIDTH, top + TILE_HEIGHT))
    content = BytesIO()
    sheet.save(content, "WEBP", lossless=True)
    return content.getvalue()


@dataclass
class Windows:
    """Windows of one browser on the site, what they asked for and complained of."""

    context: BrowserContext
    address: str
    complaints: list[str]
    asked: list[str]

    def open(self, path: str) -> Page:
        page = self.context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(self.address + path)
        return page

    def watch(self, one: Video) -> Page:
        return self.open("/" + urls.watch_path_of(one))

    def asked_for(self, folder: str) -> list[str]:
        return [url.partition(folder)[2] for url in self.asked if folder in url]


Open = Callable[..., Windows]


@pytest.fixture
def windows(browser: Browser, address: tuple[str, int]) -> Iterator[Open]:
    """Return a function that opens a window; what it complains of fails the test."""
    opened: list[Windows] = []

    def open_windows(**options: object) -> Windows:
        context = browser.new_context(**options)  # type: ignore[arg-type]  # told by their names
        opened.append(Windows(context, f"http://{address[0]}:{address[1]}", [], []))
        return opened[-1]

    yield open_windows
    for one in opened:
        one.context.close()
    assert [one.complaints for one in opened] == [[] for _ in opened]


def color_of(element: Locator) -> str:
    """Return the tile that is shown, by the color in the middle of an element."""
    with Image.open(BytesIO(element.screenshot())) as shot:
        red, green, blue = shot.convert("RGB").resize((3, 3), Image.Resampling.BOX).getpixel((1, 1))
    return f"#{red:02x}{green:02x}{blue:02x}"


def point_at(page: Page, element: Locator, part: float, *, down: float = 0.5) -> None:
    """Move the mouse to a part of an element's width."""
    element.scroll_into_view_if_needed()
    box = element.bounding_box()
    assert box
    page.mouse.move(box["x"] + part * box["width"], box["y"] + down * box["height"])


def time_of(page: Page) -> float:
    return float(page.locator("video").evaluate("video => video.currentTime"))


def ready(page: Page) -> Page:
    until(lambda: page.evaluate("document.querySelector('video').readyState > 0"))
    return page


@contextmanager
def saved(windows: Windows, text: str) -> Iterator[None]:
    windows.context.add_init_script(f"localStorage['reelshelf.text'] ??= {json.dumps(text)}")
    yield


# -- without script


def test_without_script_chapters_and_times_lead_into_the_film(windows: Open) -> None:
    page = windows(java_script_enabled=False).watch(RICH)

    links = page.locator(".chapters a")
    assert [link.split("\n") for link in links.all_inner_texts()] == [
        ["0:00", "Setting out"], ["0:04", "The <b>ridge</b>"], ["0:08", "Home"],
    ]  # fmt: skip
    assert [link.get_attribute("href") for link in links.all()] == [
        "/video/film.webm#t=0", "/video/film.webm#t=4", "/video/film.webm#t=8.5",
    ]  # fmt: skip
    assert page.locator(".about a.t").get_attribute("href") == "/video/film.webm#t=4"
    links.nth(1).click()
    assert page.url.endswith("/video/film.webm#t=4")


def test_a_description_is_text_and_says_where_the_film_is_from(windows: Open) -> None:
    page = windows(java_script_enabled=False).watch(RICH)

    about = page.locator(".about")
    assert about.locator("p").all_inner_texts() == TEXT.split("\n\n")
    link = about.locator("a:not(.t)")
    assert link.inner_text() == link.get_attribute("href") == "https://example.org/boat?a=1&b=2"
    assert link.get_attribute("rel") == "nofollow noopener ugc"
    facts = page.locator(".facts").inner_text()
    assert "Zoë & Max" in facts
    assert "example.org" in facts
    meta = page.locator("meta[name=description]").get_attribute("content")
    assert meta == " ".join(TEXT.split())


def test_markdown_stands_below_the_headings_of_the_page(windows: Open) -> None:
    page = windows(java_script_enabled=False).watch(MARKED)

    about = page.locator(".about")
    assert about.locator("h3").all_inner_texts() == ["Boat"]
    assert about.locator("h4").all_inner_texts() == ["How"]
    assert about.locator("img").count() == 0
    assert about.locator("li a").all_inner_texts() == ["the makers", "a picture"]
    assert about.locator("a.t").inner_text() == "0:08"


def test_a_page_without_script_reserves_no_room_for_what_needs_it(windows: Open) -> None:
    page = windows(java_script_enabled=False).watch(RICH)

    expect(page.locator(".strip")).to_be_hidden()
    assert page.locator(".strip").bounding_box() is None


def test_a_video_that_has_nothing_asks_for_nothing(windows: Open) -> None:
    opened = windows()
    ready(opened.watch(BARE))

    for folder in ("/board/", "/text/", "/play/", "/boards-"):
        assert opened.asked_for(folder) == []


# -- what plays


def test_the_copy_plays_where_the_file_does_not(windows: Open) -> None:
    page = ready(windows().watch(COPIED))

    played = page.locator("video").evaluate("video => video.currentSrc")
    assert played.endswith("/play/0/3-c0de.webm")
    expect(page.locator(".broken")).to_be_hidden()
    assert page.locator(".chapters a").first.get_attribute("href") == "/play/0/3-c0de.webm#t=0"


def test_what_was_said_too_early_is_taken_back(windows: Open) -> None:
    page = ready(windows().watch(COPIED))
    last = page.locator("video source").last
    last.dispatch_event("error")
    expect(page.locator(".broken")).to_be_visible()

    page.locator("video").evaluate("video => video.load()")

    expect(page.locator(".broken")).to_be_hidden()


def test_a_film_that_plays_nowhere_is_told_of(windows: Open) -> None:
    page = windows().watch(BROKEN)

    expect(page.locator(".broken")).to_be_visible()


def test_a_film_is_told_of_once_its_last_source_has_failed(
    windows: Open, site: Made, tmp_path: Path
) -> None:
    (copy,) = urls.rendition_files(COPIED.id, COPY)
    shutil.move(site.out / copy, tmp_path / "copy")
    opened = windows()
    try:
        expect(opened.watch(COPIED).locator(".broken")).to_be_visible()
    finally:
        shutil.move(tmp_path / "copy", site.out / copy)
        opened.complaints.clear()  # the browser's own line about what is not there


# -- chapters and times


def test_a_chapter_plays_here_and_is_marked(windows: Open) -> None:
    page = ready(windows().watch(RICH))
    links = page.locator(".chapters a")

    links.nth(1).click()

    expect(links.nth(1)).to_have_attribute("aria-current", "true")
    expect(page.locator(".chapters [aria-current]")).to_have_count(1)
    assert page.url.endswith(".html")
    assert 4 <= time_of(page) < 8
    links.nth(2).click()
    expect(links.nth(2)).to_have_attribute("aria-current", "true")
    expect(page.locator(".chapters [aria-current]")).to_have_count(1)


def test_the_first_chapter_begins_at_the_beginning_even_where_one_was_further(
    windows: Open,
) -> None:
    opened = windows()
    opened.context.add_init_script("localStorage['reelshelf.at.' + location.pathname] = 9")
    page = ready(opened.watch(RICH))

    page.locator(".chapters a").first.click()

    until(lambda: page.evaluate("!document.querySelector('video').paused"))
    expect(page.locator(".chapters a").first).to_have_attribute("aria-current", "true")
    assert time_of(page) < 4


def test_a_time_in_the_description_plays_here(windows: Open) -> None:
    page = ready(windows().watch(RICH))

    page.locator(".about a.t").click()

    until(lambda: page.evaluate("!document.querySelector('video').paused"))
    assert 4 <= time_of(page) < 8
    assert page.url.endswith(".html")


@pytest.mark.parametrize("asked", ["#t=7", "?t=7"])
def test_an_address_with_a_time_plays_from_there(windows: Open, asked: str) -> None:
    page = ready(windows().open(f"/{urls.watch_path_of(RICH)}{asked}"))

    page.keyboard.press("k")

    until(lambda: page.evaluate("document.querySelector('video').currentTime > 6.9"))


# -- subtitles


SHOWN = """video => [...video.textTracks]
    .filter(({ kind, mode }) => mode === "showing" && kind !== "chapters")
    .map(({ language, kind }) => `${language} ${kind}`)"""


def shown(page: Page) -> list[str]:
    found: list[str] = page.locator("video").evaluate(SHOWN)
    return found


def choose(page: Page, label: str) -> None:
    """Do what the browser's own menu of subtitles does."""
    page.locator("video").evaluate(
        """(video, label) => {
            for (const track of video.textTracks)
                if (["subtitles", "captions"].includes(track.kind))
                    track.mode = track.label === label ? "showing" : "disabled";
        }""",
        label,
    )


def remembered(page: Page, text: str) -> None:
    until(lambda: page.evaluate(f"localStorage['reelshelf.text'] === {json.dumps(text)}"))


def test_subtitles_are_off_until_they_are_chosen_and_then_on_everywhere(windows: Open) -> None:
    opened = windows()
    page = ready(opened.watch(RICH))
    assert shown(page) == []

    choose(page, "Deutsch")
    remembered(page, "de subtitles")

    assert shown(ready(opened.watch(RICH))) == ["de subtitles"]
    elsewhere = ready(opened.watch(MARKED))
    assert shown(elsewhere) == ["de subtitles"]
    choose(elsewhere, "")
    remembered(elsewhere, "")
    assert shown(ready(opened.watch(RICH))) == []


def test_captions_are_remembered_as_such_and_stand_in_for_each_other(windows: Open) -> None:
    opened = windows()
    page = ready(opened.watch(RICH))

    choose(page, "Deutsch (SDH)")
    remembered(page, "de captions")

    assert shown(ready(opened.watch(RICH))) == ["de captions"]
    assert shown(ready(opened.watch(MARKED))) == ["de subtitles"]


def test_another_form_of_the_language_will_do_and_another_language_will_not(
    windows: Open,
) -> None:
    for known, expected in (("de-AT subtitles", ["de subtitles"]), ("fr subtitles", [])):
        opened = windows()
        with saved(opened, known):
            assert shown(ready(opened.watch(RICH))) == expected


def test_forced_subtitles_show_unasked_and_are_no_choice(windows: Open) -> None:
    opened = windows()
    page = ready(opened.watch(MARKED))

    until(
        lambda: page.evaluate(f"({SHOWN})(document.querySelector('video'))[0] === 'und subtitles'")
    )

    assert page.evaluate("localStorage['reelshelf.text']") is None
    choose(page, "English")
    remembered(page, "en subtitles")
    choose(page, "Subtitles")  # that are shown where no others are
    remembered(page, "")
    assert shown(ready(opened.watch(RICH))) == []


def test_a_language_that_a_film_does_not_have_is_still_remembered(windows: Open) -> None:
    opened = windows()
    with saved(opened, "fr subtitles"):
        page = ready(opened.watch(RICH))
    changes = "video => video.textTracks.addEventListener('change', () => { window.seen = true; })"
    page.locator("video").evaluate(changes)

    point_at(page, strip_of(page), 0.5)  # the strip turns on a track of its own
    expect(page.locator(".tile")).to_be_visible()
    until(lambda: page.evaluate("window.seen"))

    remembered(page, "fr subtitles")


# -- the strip


def strip_of(page: Page) -> Locator:
    expect(page.locator(".strip")).to_be_visible()
    return page.locator(".strip")


@pytest.mark.parametrize(
    ("part", "tile", "label"),
    [(0.02, 0, "0:00 Setting out"), (0.4, 2, "0:04 The <b>ridge</b>"), (0.97, 5, "0:11 Home")],
)
def test_the_strip_shows_what_is_where(windows: Open, part: float, tile: int, label: str) -> None:
    page = ready(windows().watch(RICH))
    strip, peek = strip_of(page), page.locator(".peek")
    expect(peek).to_be_hidden()

    point_at(page, strip, part)

    expect(peek.locator(".tile")).to_be_visible()
    assert peek.inner_text().split() == label.split()
    assert color_of(peek.locator(".tile")) == TILES[tile]
    page.mouse.move(0, 0)
    expect(peek).to_be_hidden()


def test_what_is_shown_stays_beside_the_film(windows: Open) -> None:
    page = ready(windows(viewport={"width": 320, "height": 600}).watch(RICH))
    strip = strip_of(page)

    for part in (0.001, 0.5, 0.999):
        point_at(page, strip, part)
        expect(page.locator(".tile")).to_be_visible()
        outer, inner = strip.bounding_box(), page.locator(".peek").bounding_box()
        assert outer
        assert inner
        assert inner["x"] >= outer["x"] - 1
        assert inner["x"] + inner["width"] <= outer["x"] + outer["width"] + 1


def test_a_click_on_the_strip_seeks(windows: Open) -> None:
    page = ready(windows().watch(RICH))
    strip = strip_of(page)

    point_at(page, strip, 0.5)
    page.mouse.down()
    page.mouse.up()

    assert time_of(page) == pytest.approx(6, abs=0.1)


def test_the_strip_can_be_dragged_and_seeks_where_it_is_let_go(windows: Open) -> None:
    page = ready(windows().watch(RICH))
    strip = strip_of(page)

    point_at(page, strip, 0.2)
    page.mouse.down()
    point_at(page, strip, 0.9, down=-3)
    assert time_of(page) == 0
    assert color_of(page.locator(".tile")) == TILES[5]
    page.mouse.up()

    assert time_of(page) == pytest.approx(10.8, abs=0.1)


def test_a_finger_on_the_strip_seeks_and_leaves_nothing_behind(windows: Open) -> None:
    page = ready(windows(has_touch=True).watch(RICH))
    strip = strip_of(page)
    box = strip.bounding_box()
    assert box

    page.touchscreen.tap(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)

    assert time_of(page) == pytest.approx(3, abs=0.1)
    expect(page.locator(".peek")).to_be_hidden()


def test_the_strip_tells_how_far_the_film_has_played(windows: Open) -> None:
    page = ready(windows().watch(RICH))
    page.evaluate("document.querySelector('video').currentTime = 9")

    until(lambda: page.evaluate("document.querySelector('.played').style.width === '75%'"))
    assert page.locator(".gap").count() == 2


def test_storyboards_are_read_only_when_somebody_looks(windows: Open) -> None:
    opened = windows()
    page = ready(opened.watch(RICH))
    strip = strip_of(page)
    assert opened.asked_for("/board/") == []

    point_at(page, strip, 0.3)
    expect(page.locator(".tile")).to_be_visible()
    point_at(page, strip, 0.6)

    assert opened.asked_for("/board/") == ["0/1-b0a4d.vtt", "0/1-b0a4d.webp"]


def test_nothing_moves_when_the_strip_comes(windows: Open) -> None:
    opened = windows()
    opened.context.route("**/player-*.js", lambda route: route.abort())
    before = opened.watch(RICH).locator("h1").bounding_box()
    opened.complaints.clear()  # the browser's own line about what we kept from it
    opened.context.unroute("**/player-*.js")
    page = opened.watch(RICH)
    strip_of(page)

    assert page.locator("h1").bounding_box() == before


# -- cards


def picture_of(page: Page, one: Video) -> Locator:
    return page.locator(f"[data-k^='{one.id} '] .p")


def test_moving_over_a_card_leafs_through_its_film(windows: Open) -> None:
    opened = windows()
    page = opened.open("/all.html")
    picture, leaf = picture_of(page, RICH), page.locator(".leaf")

    for part, tile in ((0.05, 0), (0.45, 2), (0.95, 5), (0.3, 1)):
        point_at(page, picture, part)
        expect(leaf).to_be_visible()
        assert color_of(leaf) == TILES[tile]

    page.mouse.move(0, 0)
    expect(leaf).to_have_count(0)
    assert opened.asked_for("/board/") == ["0.json", "0/1-b0a4d.webp"]


def test_what_lies_over_a_picture_is_as_large(windows: Open) -> None:
    page = windows().open("/all.html")
    picture = picture_of(page, RICH)

    point_at(page, picture, 0.5)
    expect(page.locator(".leaf")).to_be_visible()

    outer, inner = picture.bounding_box(), page.locator(".leaf").bounding_box()
    assert outer
    assert inner
    assert inner["width"] == pytest.approx(outer["width"], abs=1)
    assert inner["height"] == pytest.approx(outer["height"], abs=1)


def test_a_card_is_still_a_link_while_it_is_leafed_through(windows: Open) -> None:
    page = windows().open("/all.html")
    point_at(page, picture_of(page, RICH), 0.5)
    expect(page.locator(".leaf")).to_be_visible()

    page.mouse.down()
    page.mouse.up()

    page.wait_for_url(f"**/{urls.watch_path_of(RICH)}")


def come_to_rest(page: Page) -> None:
    """Let the time pass that a pointer has to rest, once the script for it is there."""
    page.evaluate("async () => { await import(document.documentElement.dataset.boards); }")
    page.clock.run_for(300)


def hear_of_all(page: Page) -> None:
    """Wait for an answer that was asked for after all others."""
    page.evaluate("async () => { await fetch(location); }")


def test_a_part_is_asked_for_once_whatever_it_says(windows: Open) -> None:
    opened = windows()
    opened.context.clock.install()
    page = opened.open("/all.html")

    for one in (BARE, FAR, MARKED, FAR, BARE):
        point_at(page, picture_of(page, one), 0.5)
        come_to_rest(page)
    hear_of_all(page)

    assert sorted(opened.asked_for("/board/")) == ["0.json", "1.json"]
    assert page.locator(".leaf").count() == 0
    assert [text for text in opened.complaints if "Failed to load resource" not in text] == []
    opened.complaints.clear()  # the browser's own line about what is not there


@pytest.mark.parametrize("way", ["resting", "passing", "touch", "saveData"])
def test_nothing_is_asked_for_by_whom_it_does_not_serve(windows: Open, way: str) -> None:
    opened = windows(has_touch=way == "touch")
    opened.context.clock.install()
    if way == "saveData":
        opened.context.add_init_script(
            "Object.defineProperty(NetworkInformation.prototype, 'saveData', { get: () => true })"
        )
    held: list[Route] = []
    opened.context.route("**/boards-*.js", lambda route: held.append(route))  # noqa: PLW0108 (Playwright writes on it)
    page = opened.open("/all.html")
    if way == "touch":
        page.evaluate("document.addEventListener('click', (event) => event.preventDefault())")
        picture_of(page, RICH).tap()
    elif way == "saveData":
        point_at(page, picture_of(page, RICH), 0.5)
    else:
        point_at(page, picture_of(page, RICH), 0.5)
        until(lambda: bool(page.evaluate("true") and held))  # asking is what hears of it
        if way == "passing":
            page.mouse.move(0, 0)
        held[0].continue_()
        come_to_rest(page)
    page.clock.run_for(300)
    hear_of_all(page)

    assert bool(opened.asked_for("/assets/boards")) == (way in {"resting", "passing"})
    assert bool(opened.asked_for("/board/")) == (way == "resting")
    expect(page.locator(".leaf")).to_have_count(1 if way == "resting" else 0)


# -- all of it


def test_pages_are_read_by_chromium_without_a_complaint(windows: Open, site: Made) -> None:
    opened = windows()

    for file in sorted(site.out.rglob("*.html")):
        if file.name != "404.html":
            opened.open(f"/{file.relative_to(site.out)}")

    assert opened.complaints == []


def test_the_nu_checker_finds_nothing_in_them(site: Made, program: Callable[[str], str]) -> None:
    test_served_site.test_the_nu_checker_finds_nothing_in_any_kind_of_page(site, program)


def test_what_was_made_for_a_video_is_served_for_ever_as_what_it_is(
    site: Made, address: tuple[str, int]
) -> None:
    files = [path for one in VIDEOS[:5] for path in urls.made_files(one)]
    types = {"vtt": "text/vtt; charset=utf-8", "webp": "image/webp", "webm": "video/webm"}

    assert len(files) == 9
    for path in files:
        answer, content = get(address, f"/{path}")
        assert content == (site.out / path).read_bytes()
        assert answer.headers["Content-Type"] == types[path.rpartition(".")[2]]
        assert answer.headers["Cache-Control"].endswith("immutable")


def test_the_dev_server_serves_copies_by_range_and_all_else_as_what_it_is(
    site: Made, free_port: Callable[[], int]
) -> None:
    (copy,) = urls.rendition_files(COPIED.id, COPY)
    sprite, index = urls.board_files(RICH.id, BOARD)
    server = DevServer(ServedSite(site.out, {"": site.folder / "library"}), port=free_port())
    with running(server) as ask:
        part = ask(f"/{copy}", headers={"Range": "bytes=10-19"})
        types = [ask(f"/{path}")["Content-Type"] for path in (copy, sprite, index)]

    assert (part.status, part.body) == (206, (site.out / copy).read_bytes()[10:20])
    assert types == ["video/webm", "image/webp", "text/vtt; charset=utf-8"]


def test_structured_data_tells_of_the_chapters(site: Made) -> None:
    page = (site.out / urls.watch_path_of(RICH)).read_text(encoding="utf-8")
    found = re.search(r'<script type="application/ld\+json">(.*?)</script>', page)
    assert found
    data = json.loads(found[1])

    assert data["description"] == " ".join(TEXT.split())
    assert [(part["name"], part["startOffset"]) for part in data["hasPart"]] == [
        (chapter.title, chapter.start_s) for chapter in CHAPTERS
    ]
    assert data["hasPart"][2]["url"] == f"{data['url']}?t=8.5"
