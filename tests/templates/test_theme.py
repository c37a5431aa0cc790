import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import nodes
from paths import ROOT
from theme_samples import (
    NASTY,
    SITE_URL,
    TITLES,
    Context,
    card,
    contexts,
    frame,
    mini,
    site,
    watch,
)
from typing_extensions import override

from generator.adapters.renderer import Renderer
from generator.core.model import (
    Chapter,
    Place,
    Probe,
    Rendition,
    Storyboard,
    Track,
    Video,
    VideoId,
)
from generator.core.site import contexts as contexts_of
from generator.core.site.orders import VIDEO_ORDERS, SortKey, video_key

TEMPLATES = ROOT / "templates"
ASSETS = TEMPLATES / "assets"
CARD_BYTES = 520  # a shelf has some 45 cards, and thousands of shelves are written
MINI_BYTES = 320
ASSET_BYTES = {  # every page has the first two; the others those that use them
    "style.css": 18 * 1024,  # a fifth of it is for descriptions, chapters and storyboards
    "site.js": 5 * 1024,
    "player.js": 9 * 1024,
    "boards.js": 3 * 1024,
    "live.js": 18 * 1024,
    "login.js": 5 * 1024,
    "problems.js": 6 * 1024,
}

VIDEO_1 = Video(
    id=VideoId(1),
    slug="film",
    place=Place("", "film.mp4"),
    title="Film",
    added_at=1_790_000_000,
    recorded_at=1_790_000_000,
    size_bytes=1000,
    probe=Probe("mp4"),
)

ATOM = "{http://www.w3.org/2005/Atom}"
SITEMAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
VIDEO = "{http://www.google.com/schemas/sitemap-video/1.1}"

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES),
    undefined=jinja2.StrictUndefined,
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(name: str, context: Context) -> str:
    return _ENVIRONMENT.get_template(name).render(context)


SAMPLES = contexts(render)
NAMES = sorted(file.name for file in TEMPLATES.iterdir() if file.is_file())


class Reader(HTMLParser):
    """What a browser would find: tags with their attributes, and the text of one element."""

    def __init__(self, text: str, *, inside: str = "") -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._inside, self._open = inside, False
        self.feed(text)
        self.close()

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == self._inside:
            self._open = True
            self.texts.append("")

    @override
    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._open = False

    @override
    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[-1] += data


def pages() -> Iterator[tuple[str, str]]:
    for name, several in SAMPLES.items():
        if name.endswith(".html"):
            yield from ((name, render(name, context)) for context in several)


def documents(name: str) -> list[ET.Element]:
    return [ET.fromstring(render(name, context)) for context in SAMPLES[name]]


def text_of(element: ET.Element, path: str) -> str:
    found = element.find(path)
    assert found is not None, path
    return found.text or ""


# -- the contract


def test_every_template_of_the_contract_is_there_and_no_other() -> None:
    contract = (ROOT / "docs/reference/templates.md").read_text(encoding="utf-8")
    rows = "\n".join(line.split("|")[1] for line in contract.splitlines() if line.startswith("|"))

    assert sorted(set(re.findall(r"`([\w-]+\.(?:html|xml|txt))`", rows))) == NAMES


def test_every_template_has_samples() -> None:
    assert sorted(SAMPLES) == NAMES
    assert all(SAMPLES.values())


@pytest.mark.parametrize("name", NAMES)
def test_templates_only_print_loop_and_ask(name: str) -> None:
    tree = _ENVIRONMENT.parse((TEMPLATES / name).read_text(encoding="utf-8"))
    used = {type(node) for node in tree.find_all(nodes.Node)}
    asked = {test.name for test in tree.find_all(nodes.Test)}

    assert asked <= {"none", "true"}
    assert used <= {
        nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Const,
        nodes.If, nodes.For, nodes.Test, nodes.Not, nodes.Extends, nodes.Block,
    }  # fmt: skip


# -- what is shown


@pytest.mark.parametrize("name", NAMES)
def test_no_text_becomes_markup(name: str) -> None:
    for context in SAMPLES[name]:
        text = render(name, context)

        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "<b>bold" not in text


@pytest.mark.parametrize("title", [*TITLES, *NASTY])
def test_a_title_arrives_as_it_is(title: str) -> None:
    shown = Reader(render("card.html", card(1, title)), inside="b").texts
    beside = Reader(render("mini.html", mini(1, title)), inside="b").texts
    page = render("watch.html", watch(1, title, neighbours=None))

    assert shown == beside == [title]
    assert Reader(page, inside="h1").texts == [title]
    assert Reader(page, inside="title").texts == [f"{title} · The Millers' videos"]


def test_structured_data_says_the_title() -> None:
    for title in NASTY:
        page = render("watch.html", watch(1, title, neighbours=None))
        (data,) = (text for text in Reader(page, inside="script").texts if text)

        assert json.loads(data)["name"] == title


def test_pages_obey_the_content_security_policy() -> None:
    for name, text in pages():
        for tag, attributes in Reader(text).tags:
            assert tag != "style", name
            assert "style" not in attributes, name
            assert not [key for key in attributes if key.startswith("on")], name
            if tag == "script":
                data = attributes.get("type") == "application/ld+json"
                assert data or (attributes.get("src") or "").startswith("/assets/"), name


def test_pages_load_and_link_nothing_from_elsewhere() -> None:
    for name, text in pages():
        for tag, attributes in Reader(text).tags:
            addresses = [attributes[key] for key in ("href", "src", "poster") if key in attributes]
            home = SITE_URL if attributes.get("rel") == "canonical" else "/"
            if attributes.get("rel") == "nofollow noopener ugc":  # what people wrote may lead away
                assert tag == "a", name
                continue

            assert all(str(one).startswith((home, "#main")) for one in addresses), (name, tag)


def test_nothing_is_shown_that_needs_the_script() -> None:
    for name, text in pages():
        works = r"<form [^>]*(?: hidden| action=[^>]*)>.*?</form>"  # forms that the API takes
        shown = re.sub(works, "", text, flags=re.DOTALL)
        for tag, attributes in Reader(shown).tags:
            needs_script = {"button", "select", "input", "form"}
            if tag in needs_script or attributes.get("class") in {"sort", "keys"}:
                assert "hidden" in attributes, name


def test_pages_of_a_site_without_an_api_do_not_know_of_one() -> None:
    bare = render("watch.html", {**watch(1, "Alone", neighbours=None), **site(api=False)})
    login = render("login.html", {**frame("Sign in", "/login.html"), **site(api=False)})
    attributes = [attributes for page in (bare, login) for _, attributes in Reader(page).tags]

    assert not [one for one in attributes if {"data-api", "data-live", "data-may"} & one.keys()]
    assert "Sign in</a>" not in bare
    assert "/assets/live" not in bare
    assert "<form" not in login
    assert "This site has no sign-in." in login


def test_pages_tell_their_script_where_the_api_is() -> None:
    for name, text in pages():
        if text.startswith("<!DOCTYPE html>"):
            (_, attributes), *_ = Reader(text).tags
            api = attributes.get("data-api")

            assert api in {"/api", None}, name
            assert (api is None) == ("/login.html" not in text.partition("<footer")[2]), name


def test_a_page_says_what_visitors_think_where_any_has_voted() -> None:
    voted, silent = (
        render("watch.html", watch(1, "Votes", neighbours=None, rich=rich))
        for rich in (True, False)
    )

    assert '<span class="m">3.9 from 12 votes</span>' in voted
    assert '<span class="m" hidden></span>' in silent
    assert "<i class=m>3.9</i>" in render("card.html", card(1, "Votes"))
    assert "<i class=m>" not in render("card.html", card(1, "Votes", rich=False))


@given(
    figures=st.lists(
        st.tuples(st.sampled_from([None, 1, 2, 3, 4, 5]), st.none() | st.integers(10, 50)),
        min_size=2,
        max_size=2,
    )
)
def test_ratings_are_sorted_by_the_script_as_by_the_builder(
    figures: list[tuple[int | None, int | None]],
) -> None:
    first, other = (
        replace(VIDEO_1, stars=stars, votes=0 if tenths is None else 3, score_tenths=tenths)
        for stars, tenths in figures
    )
    site_ = contexts_of.SiteContext("https://videos.example.org", "", "Films")

    def by_script(video: Video) -> int:
        sort = contexts_of.card(site_, video)["sort"]
        assert isinstance(sort, dict)
        return int(sort["rating"])

    def by_builder(video: Video) -> bytes:
        return video_key(video, SortKey.RATING)

    assert (by_script(first) < by_script(other)) == (by_builder(first) < by_builder(other))


def test_a_video_that_has_little_says_nothing_of_what_others_have() -> None:
    page = render("watch.html", watch(1, "Bare", neighbours=None, rich=False))
    tags = [tag for tag, _ in Reader(page).tags]
    (film,) = (attributes for tag, attributes in Reader(page).tags if tag == "video")

    assert film["src"] == "/video/summer%20holidays/it%27s%20%23me%20%26%20you.mp4"
    assert not {"source", "track"} & set(tags)
    assert not re.search(r'class="(?:strip|badge|chapters|about)"|<dt>From', page)


def test_a_film_with_copies_has_them_as_sources_and_no_address_of_its_own() -> None:
    page = Reader(render("watch.html", watch(1, "Rich", neighbours=None)))
    (film,) = (attributes for tag, attributes in page.tags if tag == "video")
    sources = [attributes for tag, attributes in page.tags if tag == "source"]

    assert "src" not in film
    assert [source["type"] for source in sources] == [
        'video/mp4; codecs="hvc1.1.6.L93.B0,mp4a.40.2"',
        "application/vnd.apple.mpegurl",
        "video/mp4",
    ]


def test_tracks_are_named_and_at_most_one_of_them_is_shown_unasked() -> None:
    page = Reader(render("watch.html", watch(1, "Rich", neighbours=None)))
    tracks = [attributes for tag, attributes in page.tags if tag == "track"]

    assert [track["kind"] for track in tracks] == [
        "subtitles", "captions", "subtitles", "chapters", "metadata",
    ]  # fmt: skip
    assert all(track["label"] for track in tracks)
    assert all(track["srclang"] for track in tracks[:3])
    assert ["default" in track for track in tracks] == [False, False, True, True, False]


def test_a_site_without_storyboards_asks_for_none() -> None:
    context = watch(1, "Rich", neighbours=None)
    frame_of = site(api=False)
    text = render("watch.html", {**context, **frame_of})
    undefined = {**frame_of["site"]}  # type: ignore[dict-item]
    del undefined["boards"]

    assert 'data-boards="/assets/boards' in render("watch.html", context)
    assert "data-boards" not in text
    assert "thumbnails" not in text
    assert 'class="strip"' not in text
    assert render("watch.html", {**context, **frame_of, "site": undefined}) == text


PROBES = {
    "better": Probe(
        "mp4", 60.0, 1920, 1080, 25.0, "hevc", "aac", None, "hvc1.1.6.L93.B0,mp4a.40.2"
    ),
    "worse": Probe("avi", 60.0, 640, 480, 25.0, "mpeg4", "mp3"),
}


def as_told(video: Video) -> dict[str, object]:
    site_ = contexts_of.SiteContext("https://videos.example.org", "/films", "Films")
    return dict(contexts_of.watch_context(site_, video, contexts_of.Neighbors()))


def test_the_samples_of_a_watch_page_have_what_the_builder_tells() -> None:
    sample = watch(1, "Film", neighbours=None).keys() - site().keys()

    assert as_told(VIDEO_1).keys() == sample


@pytest.mark.parametrize(
    ("probe", "made_by", "order"),
    [
        ("better", "transcode", ("mp4", "m3u8", "webm")),
        ("better", "remux", ("m3u8", "webm", "mp4")),
        ("worse", "transcode", ("m3u8", "webm", "mp4")),
    ],
)
def test_sources_stand_in_the_order_in_which_they_are_to_be_tried(
    probe: str, made_by: str, order: tuple[str, ...]
) -> None:
    copy = Rendition("c0de", 9, made_by, "webm", "vp9,opus", is_hls=True)
    film = as_told(replace(VIDEO_1, probe=PROBES[probe], rendition=copy))
    short = as_told(replace(VIDEO_1, rendition=replace(copy, is_hls=False, codecs="")))
    sources = {source["url"].rpartition(".")[2]: source for source in film["sources"]}  # type: ignore[attr-defined]

    assert tuple(sources) == order
    assert sources["mp4"]["url"] == "/films/video/film.mp4"
    assert sources["webm"] == {
        "url": "/films/play/0/1-c0de.webm", "type": 'video/webm; codecs="vp9,opus"',
    }  # fmt: skip
    assert sources["m3u8"]["type"] == "application/vnd.apple.mpegurl"
    assert next(source["type"] for source in short["sources"]) == "video/webm"  # type: ignore[attr-defined]
    assert as_told(VIDEO_1)["sources"] == ()


@given(
    tracks=st.lists(
        st.builds(
            Track,
            language=st.sampled_from(["", "en", "de"]),
            label=st.sampled_from(["", "English", "English 2", "Deutsch"]),
            forced=st.booleans(),
            sdh=st.booleans(),
            digest=st.just("c0de"),
        ),
        max_size=9,
    )
)
def test_tracks_can_be_told_apart_and_one_that_is_forced_shows(tracks: list[Track]) -> None:
    tracks_shown = as_told(replace(VIDEO_1, tracks=tuple(tracks)))["tracks"]
    assert isinstance(tracks_shown, tuple)
    names = [(track["kind"], track["language"], track["label"]) for track in tracks_shown]

    assert len(set(names)) == len(names) == len(tracks)
    assert all(all(name) for name in names)
    shown = [
        track.forced for track, one in zip(tracks, tracks_shown, strict=True) if one["default"]
    ]
    assert shown == ([True] if any(track.forced for track in tracks) else [])


def test_a_rich_page_is_the_same_filled_and_by_jinja() -> None:
    frame_of = site()
    frame = frame_of["site"]
    assert isinstance(frame, dict)
    renderer = Renderer(TEMPLATES, None, {**frame, "nav": frame_of["nav"]})
    links = {path.partition("-")[0].rpartition("/")[2]: f"/{path}" for path in renderer.assets()}
    plain = {"assets": links, "nav": frame_of["nav"], "site": frame}
    video = replace(
        VIDEO_1,
        description=f"{NASTY[0]} 0:05 https://a.example/",
        creator=NASTY[1],
        url="https://www.example.org/",
        probe=replace(PROBES["better"], pixel_format="yuv420p"),
        chapters=tuple(Chapter(5 * n, title) for n, title in enumerate(NASTY)),
        tracks=tuple(
            Track("en", title, n == 0, sdh=False, digest="c0de") for n, title in enumerate(NASTY)
        ),
        storyboard=Storyboard("c0de", 9, 3, 160, 90),
        rendition=Rendition("c0de", 9, "transcode", "mp4", "avc1.64001f,mp4a.40.2", is_hls=True),
    )
    for sample in (video, replace(video, rendition=None, tracks=()), VIDEO_1):
        context = as_told(sample)
        page = renderer.render("watch.html", context).decode()

        assert "watch.html" not in renderer.plain
        assert page == render("watch.html", {**_unshared(context), **plain})
        assert ("Plays in Safari" in page) == (sample.rendition is None and sample is not VIDEO_1)


def _unshared(value: object) -> Any:  # noqa: ANN401 (what a template takes)
    match value:
        case contexts_of.SharedContext():
            return _unshared(value.value)
        case tuple():
            return tuple(_unshared(one) for one in value)
        case dict():
            return {name: _unshared(one) for name, one in value.items()}
        case _:
            return value


def test_every_page_has_one_first_heading_and_its_landmarks() -> None:
    for name, text in pages():
        if not text.startswith("<!DOCTYPE html>") or name == "base.html":
            continue
        tags = [tag for tag, _ in Reader(text).tags]

        assert tags.count("h1") == tags.count("main") == tags.count("header") == 1, name
        assert tags[tags.index("h1") :].index("h1") == 0
        assert not [tag for tag in tags[: tags.index("h1")] if tag in {"h2", "h3"}], name


def test_a_card_without_a_picture_is_still_a_card() -> None:
    text = render("card.html", card(7, "Broken", picture=False, rich=False))
    tags = [tag for tag, _ in Reader(text).tags]

    assert "img" not in tags
    assert {"li", "a", "b", "time"} <= set(tags)


def test_the_order_tabs_tell_which_one_is_shown() -> None:
    (context, *_) = SAMPLES["shelf.html"]
    tags = Reader(render("shelf.html", context)).tags

    assert [a["href"] for _, a in tags if a.get("aria-current") == "page"] == ["/order-1.html"]


# -- sizes


@pytest.mark.parametrize(("number", "title"), [*enumerate(TITLES, 1)])
def test_cards_and_minis_are_small(number: int, title: str) -> None:
    assert len(render("card.html", card(number, title)).encode()) <= CARD_BYTES
    assert len(render("mini.html", mini(number, title)).encode()) <= MINI_BYTES


@pytest.mark.parametrize("name", sorted(ASSET_BYTES))
def test_assets_are_small(name: str) -> None:
    assert (ASSETS / name).stat().st_size <= ASSET_BYTES[name]


def test_every_color_class_has_its_rule() -> None:
    style = (ASSETS / "style.css").read_text(encoding="utf-8")
    rules = set(re.findall(r"\.([rgb][0-9a-f])\{--([rgb]):(\d+)\}", style))

    assert rules == {(f"{c}{n:x}", c, str(17 * n)) for c in "rgb" for n in range(16)}


def test_the_script_offers_the_orders_of_the_builder() -> None:
    script = (ASSETS / "site.js").read_text(encoding="utf-8")
    table = script.partition("const orders = {")[2].partition("};")[0]
    offered = re.findall(r'"?([a-z-]+)"?: "([^"]+)"', table)

    assert offered == [(order.name, order.label) for order in VIDEO_ORDERS]


# -- feeds and machines


def test_atom_feeds_have_what_rfc_4287_demands() -> None:
    for feed, context in zip(documents("atom.xml"), SAMPLES["atom.xml"], strict=True):
        links = {link.get("rel"): link for link in feed.findall(f"{ATOM}link")}
        entries = feed.findall(f"{ATOM}entry")

        assert feed.tag == f"{ATOM}feed"
        assert text_of(feed, f"{ATOM}id").startswith("urn:uuid:")
        assert links["self"].get("href") == context["url"]
        assert text_of(feed, f"{ATOM}title") == context["title"]
        assert text_of(feed, f"{ATOM}updated").endswith("Z")
        assert text_of(feed, f"{ATOM}author/{ATOM}name")
        assert len({text_of(entry, f"{ATOM}id") for entry in entries}) == len(entries)
        for entry in entries:
            related = {link.get("rel"): link for link in entry.findall(f"{ATOM}link")}
            assert text_of(entry, f"{ATOM}id").startswith("urn:uuid:")
            assert text_of(entry, f"{ATOM}title")
            assert text_of(entry, f"{ATOM}updated") == text_of(entry, f"{ATOM}published")
            assert related["alternate"].attrib["href"].startswith(SITE_URL)
            content = entry.find(f"{ATOM}content")
            if text_of(entry, f"{ATOM}title") == "Bare":  # nothing that plays, nothing written
                assert set(related) == {"alternate"}
                assert content is None
                continue
            assert set(related) == {"alternate", "enclosure"}
            assert (related["enclosure"].get("length") or "").isdigit()
            assert (related["enclosure"].get("type") or "").startswith("video/")
            assert content is not None
            assert content.get("type") == "html"
            assert (content.text or "").startswith("<p>About <strong>")


def test_rss_feeds_have_an_enclosure_for_every_video_that_plays() -> None:
    for feed, context in zip(documents("rss.xml"), SAMPLES["rss.xml"], strict=True):
        own = feed.find(f"channel/{ATOM}link")

        assert feed.get("version") == "2.0"
        assert own is not None
        assert own.attrib["rel"] == "self"
        assert own.attrib["href"] == context["url"]
        assert text_of(feed, "channel/title") == context["title"]
        assert text_of(feed, "channel/link") == context["home_url"]
        assert feed.find("channel/description") is not None
        for item in feed.findall("channel/item"):
            enclosures = item.findall("enclosure")
            assert len(enclosures) == (text_of(item, "title") != "Bare")
            assert all(set(one.attrib) == {"url", "length", "type"} for one in enclosures)
            guid = item.find("guid")
            assert guid is not None
            assert guid.attrib == {"isPermaLink": "false"}
            assert (guid.text or "").startswith("urn:uuid:")
            assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} .+", text_of(item, "pubDate"))


def test_sitemaps_describe_a_video_wholly_or_not_at_all() -> None:
    required = [f"{VIDEO}{name}" for name in ("thumbnail_loc", "title", "description")]
    (sitemap,) = documents("sitemap.xml")
    entries = sitemap.findall(f"{SITEMAP}url")
    described = [entry.find(f"{VIDEO}video") for entry in entries]

    assert sitemap.tag == f"{SITEMAP}urlset"
    assert all(text_of(entry, f"{SITEMAP}loc").startswith(SITE_URL) for entry in entries)
    assert described.count(None) == 1
    for video in described:
        if video is not None:
            assert all(text_of(video, name) for name in (*required, f"{VIDEO}content_loc"))


def test_sitemaps_keep_titles_as_they_are() -> None:
    (sitemap,) = documents("sitemap.xml")
    titles = [element.text for element in sitemap.iter(f"{VIDEO}title")]

    assert titles[: len(TITLES[:3] + NASTY)] == [*TITLES[:3], *NASTY]


def test_the_sitemap_index_and_the_pages_list_addresses() -> None:
    (index,) = documents("sitemap-index.xml")
    (fixed,) = documents("sitemap-pages.xml")

    assert [text_of(part, f"{SITEMAP}loc") for part in index.findall(f"{SITEMAP}sitemap")] == [
        f"{SITE_URL}/sitemap/{part}.xml" for part in range(3)
    ]
    assert [text_of(url, f"{SITEMAP}loc") for url in fixed.findall(f"{SITEMAP}url")] == [
        f"{SITE_URL}/",
        f"{SITE_URL}/a?b&c",
    ]


def test_robots_may_read_everything_but_a_private_site() -> None:
    context, private = SAMPLES["robots.txt"]

    assert render("robots.txt", private) == "User-agent: *\nDisallow: /\n"
    assert render("robots.txt", context).splitlines() == [
        "User-agent: *",
        "Allow: /",
        "",
        f"Sitemap: {SITE_URL}/sitemap.xml",
    ]
