"""Sample contexts for every template of the theme: what a library gives, and what it should not.

The shapes are those of docs/reference/templates.md. Nothing here knows how a context is made.
"""

import json
from collections.abc import Callable, Iterable
from html import escape

from markupsafe import Markup

Context = dict[str, object]
Render = Callable[[str, Context], str]

SITE_URL = "https://videos.example.org"
NASTY = (
    "<script>alert(1)</script>",
    "</title></b></a><img src=x onerror=alert(2)>",
    '" onmouseover="alert(3)" \' onfocus=\'alert(4)',
    "two\nlines\tand a tab",
    "family 👨\u200d👩\u200d👧 🎬 100 % & <b>bold</b> {{ 7 * 7 }} {% raw %}",
    "right to left \u202egnihtemos\u202c and \u2028 a line separator \u2029",
    "סרטון משפחתי מהקיץ, 2019 (חלק 2)",
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 3,
    "]]> --> ?> &amp; &lt;i&gt;",
)
TITLES = (
    "Summer at the lake, first swim of the year",
    "IMG_2041",
    "Grandma explains how to fold the dumplings so that they never open in the pot",
    "Hike to the ridge",
    "Birthday 7: cake, candles, chaos",
    "Concert in the park (second encore)",
    "First steps",
    "How the old mill turns",
    "Snow at last",
    "Night train from Lisbon to Porto, window seat, no talking",
    "Repairing the bicycle pump",
    "Swifts over the roofs",
)


def contexts(render: Render) -> dict[str, list[Context]]:
    """Return contexts by template; `render` makes the pieces that pages are filled with."""
    pieces = _pieces()
    html = {
        name: Markup("").join(Markup(render(name, context)) for context in several)
        for name, several in pieces.items()
    }
    return {**pieces, **_pages(html), **_feeds()}


def card(number: int, title: str, *, picture: bool = True, rich: bool = True) -> Context:
    """Return the context of one card; without a `picture` or not `rich` it has little to say."""
    return {
        "id": str(number),
        "url": f"/watch/{_slug(title)}-{number}.html",
        "title": title,
        "thumb": f"/thumb/0/{number}-1a2b3c4d5e-320.webp" if picture else None,
        "thumb_2x": f"/thumb/0/{number}-1a2b3c4d5e-640.webp" if picture and rich else None,
        "width": "320",
        "height": "180" if number % 5 else "569",
        "color": f"r{number % 16:x} g{number * 7 % 16:x} b{number * 3 % 16:x}",
        "duration": f"{1 + number % 12}:{number * 17 % 60:02d}:05" if rich else None,
        "date": f"2024-{1 + number % 12:02d}-{1 + number % 28:02d}",
        "is_added": number % 2 == 0,
        "stars": str(1 + number % 5) if rich else None,
        "mean": "3.9" if rich else None,
        "views": "1.2K" if rich else None,
        "favorite": rich and number % 3 == 0,
        "sort": {
            "added": str(1_714_521_600 + number),
            "title": title,
            "rating": str(391 + number % 5) if rich else "0",
            "views": "1200" if rich else "0",
            "duration": "3723" if rich else "0",
            "size": str(123_456_789 + number),
            "recorded": str(1_714_000_000 - number),
        },
    }


def mini(number: int, title: str, *, picture: bool = True) -> Context:
    """Return the context of one neighbour."""
    whole = card(number, title, picture=picture)
    return {
        name: whole[name]
        for name in ("url", "title", "thumb", "width", "height", "color", "duration")
    }


def watch(number: int, title: str, *, neighbours: Markup | None, rich: bool = True) -> Context:
    """Return the context of a watch page; not `rich`, its file could hardly be read."""
    url = f"/watch/{_slug(title)}-{number}.html"
    described = {
        "@context": "https://schema.org",
        "@type": "VideoObject",
        "name": title,
        "contentUrl": f"{SITE_URL}/video/{number}.mp4",
    }
    data = json.dumps(described).replace("<", "\\u003c").replace("&", "\\u0026")
    return {
        **frame(title, url),
        "id": str(number),
        "title": title,
        "url": url,
        "media_url": "/video/summer%20holidays/it%27s%20%23me%20%26%20you.mp4",
        "media_type": "video/mp4",
        "media_name": f"{title}.mp4",
        "sources": _sources(number) if rich else (),
        "tracks": _tracks(number, title) if rich else (),
        "board_url": f"/board/0/{number}-1a2b3c4d5e.vtt" if rich else None,
        "badge": "Plays in some browsers only" if rich else None,
        "poster_url": f"/thumb/0/{number}-1a2b3c4d5e-1280.webp" if rich else None,
        "width": "1080" if rich else None,
        "height": "1920" if rich else None,
        "color": "r3 ga b0",
        "stars": "3" if rich else None,
        "star_marks": (rich, rich, rich, False, False),
        "score": "3.9 from 12 votes" if rich else None,
        "views": "1.2K" if rich else None,
        "favorite": rich,
        "about": Markup("<p>%s<br>%s</p>") % (title, NASTY[0]) if rich else None,
        "chapters": _chapters((*TITLES[:2], *NASTY)) if rich else None,
        "chapters_url": f"/text/0/{number}-chapters.vtt" if rich else None,
        "origin": {"label": "example.org", "url": "https://example.org/?a=1&b=2"} if rich else None,
        "facts": (
            {"label": "Length", "value": "1:02:03", "datetime": None},
            {"label": "Resolution", "value": "1080 by 1920", "datetime": None},
            {"label": "Size", "value": "118 MB", "datetime": None},
            {"label": "Recorded", "value": "2024-04-28", "datetime": "2024-04-28T09:30:00+02:00"},
            {"label": "File", "value": title, "datetime": None},
        )
        if rich
        else (),
        "tags": _tags((*TITLES[:3], *NASTY)) if rich else (),
        "crumbs": _links(("Holidays", title)) if rich else (),
        "before": neighbours,
        "after": neighbours,
        "previous_url": "/watch/before-1.html" if rich else None,
        "next_url": "/watch/after-3.html" if rich else None,
        "description": f"{title}, 1:02:03, recorded 2024-04-28",
        "json_ld": Markup(f'<script type="application/ld+json">{data}</script>'),
        "og_image": f"{SITE_URL}/thumb/0/{number}-1a2b3c4d5e.jpg" if rich else None,
        "og_video": f"{SITE_URL}/video/{number}.mp4",
        "og_video_type": "video/mp4",
        "duration_s": "3723" if rich else None,
    }


def site(*, api: bool = True, private: bool = False) -> Context:
    """Return what every template is given; without an `api` pages ask nobody anything."""
    return {
        "site": {
            "title": "The Millers' videos",
            "description": 'Twenty years of "home" videos & more <3',
            "language": "en",
            "base": "",
            "url": SITE_URL,
            "api": "/api" if api else None,
            "boards": api,
            "private": private,
            "uid": "urn:uuid:7b9f5ba2-9a71-5f04-9d3c-94ae5b25a7b0",
        },
        "assets": {
            "style": "/assets/style.1a2b3c4d.css",
            "site": "/assets/site.1a2b3c4d.js",
            "live": "/assets/live.1a2b3c4d.js",
            "login": "/assets/login.1a2b3c4d.js",
            "player": "/assets/player.1a2b3c4d.js",
            "boards": "/assets/boards.1a2b3c4d.js",
            "problems": "/assets/problems.1a2b3c4d.js",
            "icon": "/assets/icon.1a2b3c4d.svg",
        },
        "nav": tuple(
            {"label": label, "url": f"/{label.lower()}.html"}
            for label in ("Newest", "Best", "Favorites", "Folders", "Tags", "Random")
        ),
    }


def frame(title: str, url: str, *, indexed: bool = True) -> Context:
    """Return what every HTML page is given."""
    page = {"title": title, "url": url, "canonical": SITE_URL + url, "indexed": indexed}
    return {**site(), "page": page}


def _pieces() -> dict[str, list[Context]]:
    titles = (*TITLES, *NASTY)
    return {
        "card.html": [
            *(card(number, title) for number, title in enumerate(titles, 1)),
            card(70, "No picture of this one", picture=False),
            card(71, "One picture, nothing known", rich=False),
            card(72, NASTY[0], picture=False, rich=False),
        ],
        "mini.html": [
            *(mini(number, title) for number, title in enumerate(titles, 1)),
            mini(70, "No picture of this one", picture=False),
        ],
        "tag.html": [
            {**tag, "count": str(7 * number)} for number, tag in enumerate(_tags(titles), 1)
        ],
        "folder.html": [{"name": title, "url": f"/folder/{_slug(title)}.html"} for title in titles],
    }


def _pages(html: dict[str, Markup]) -> dict[str, list[Context]]:
    cards, folders = html["card.html"], html["folder.html"]
    nothing = Markup("")
    return {
        "base.html": [frame("The frame alone", "/")],
        "home.html": [
            {
                **frame("Home", "/"),
                "sections": (
                    {"heading": "Newest", "url": "/newest.html", "cards": cards},
                    {"heading": NASTY[0], "url": "/best.html", "cards": nothing},
                ),
                "feed": "/atom.xml",
            },
            {**frame("Home", "/"), "sections": (), "feed": "/atom.xml"},
        ],
        "shelf.html": [
            *(_shelf(title, cards, folders) for title in ("All videos", *NASTY)),
            {**_shelf("The first of many", cards, folders), "newer": None, "first": None},
            {**_shelf("Before the last", cards, folders), "last": None, "folders_next": None},
            _shelf_of_a_whole_scope(cards),
            _shelf_of_a_whole_scope(nothing),
        ],
        "folders.html": [
            {
                **frame(title, "/folder/a/folders-2.html"),
                "heading": title,
                "crumbs": _links((title, "Holidays")),
                "folders": folders,
                "newer": "/folder/a/folders.html",
                "older": None,
            }
            for title in ("Holidays", *NASTY)
        ],
        "tags.html": [
            {
                **frame("Tags", "/tags.html"),
                "heading": "Tags",
                "orders": _orders(("By name", "Most used")),
                "tags": html["tag.html"],
                "newer": None,
                "older": "/tags-2.html",
            },
            {
                **frame("Tags", "/tags.html"),
                "heading": "Tags",
                "orders": (),
                "tags": nothing,
                "newer": None,
                "older": None,
            },
        ],
        "best.html": [
            {**frame("Best", "/best.html"), "heading": "Best rated", "cards": cards},
            {**frame("Best", "/best.html"), "heading": "Best rated", "cards": nothing},
        ],
        "random.html": [
            {
                **frame("Random", "/random.html", indexed=False),
                "heading": "Random",
                "cards": cards,
                "newer": "/random-4.html",
                "older": "/random-2.html",
                "shelves_url": "/random.json",
            },
        ],
        "watch.html": [
            *(
                watch(number, title, neighbours=html["mini.html"])
                for number, title in enumerate((*TITLES[:2], *NASTY), 1)
            ),
            watch(99, NASTY[1], neighbours=None, rich=False),
            {**watch(98, "Nobody is asked", neighbours=None), **site(api=False)},
        ],
        "404.html": [frame("Not found", "/404.html", indexed=False)],
        "login.html": [
            frame("Sign in", "/login.html", indexed=False),
            {**frame("Sign in", "/login.html", indexed=False), **site(api=False)},
        ],
        "problems.html": [
            frame("Problems", "/problems.html", indexed=False),
            {**frame("Problems", "/problems.html", indexed=False), **site(api=False)},
        ],
        "redirect.html": [
            {**frame("Moved", "/all-7.html", indexed=False), "target": "/all.html"},
        ],
    }


def _shelf(title: str, cards: Markup, folders: Markup) -> Context:
    return {
        **frame(title, "/folder/a/title-3.html"),
        "heading": title,
        "crumbs": _links((title, "Holidays")),
        "orders": _orders(
            ("Newest", "Oldest", "Title A to Z", "Title Z to A", "Best rated", "Lowest rated")
        ),
        "sortable": False,
        "names": None,
        "folders": folders,
        "folders_next": "/folder/a/folders.html",
        "cards": cards,
        "newer": "/folder/a/title-2.html",
        "older": "/folder/a/title-9.html",
        "first": "/folder/a/title.html",
        "last": "/folder/a/title-12.html",
        "feed": "/atom.xml",
    }


def _shelf_of_a_whole_scope(cards: Markup) -> Context:
    return {
        **frame("A rare tag", "/tag/rare.html", indexed=False),
        "heading": "A rare tag",
        "crumbs": (),
        "orders": (),
        "sortable": True,
        "names": " ".join(str(number) for number in range(9, 0, -1)),
        "folders": None,
        "folders_next": None,
        "cards": cards,
        "newer": None,
        "older": None,
        "first": None,
        "last": None,
        "feed": None,
    }


def _feeds() -> dict[str, list[Context]]:
    titles = (*TITLES[:3], *NASTY)
    entries = tuple(_entry(number, title) for number, title in enumerate(titles, 1))
    nothing = {"image_url": None, "duration_s": None, "media_url": None, "content": None}
    bare = {**_entry(98, "Bare"), **nothing, "tags": ()}
    places = tuple(_place(number, title) for number, title in enumerate(titles, 1))
    unseen = {**_place(99, "Without a picture"), "thumbnail_url": None, "duration_s": None}
    unmeasured = {**_place(97, "Of unknown length"), "duration_s": None, "tags": ()}
    feed = {
        **site(),
        "title": f"Newest · {NASTY[0]}",
        "home_url": f"{SITE_URL}/",
        "updated": "2024-05-01T10:00:00Z",
        "updated_rfc822": "Wed, 01 May 2024 10:00:00 +0000",
    }
    atom, rss = {**feed, "url": f"{SITE_URL}/atom.xml"}, {**feed, "url": f"{SITE_URL}/rss.xml"}
    return {
        "atom.xml": [{**atom, "entries": (*entries, bare)}, {**atom, "entries": ()}],
        "rss.xml": [{**rss, "entries": (*entries, bare)}, {**rss, "entries": ()}],
        "sitemap.xml": [{**site(), "entries": (*places, unseen, unmeasured)}],
        "sitemap-index.xml": [
            {**site(), "parts": tuple(f"{SITE_URL}/sitemap/{part}.xml" for part in range(3))}
        ],
        "sitemap-pages.xml": [{**site(), "urls": (f"{SITE_URL}/", f"{SITE_URL}/a?b&c")}],
        "robots.txt": [
            {**site(private=private), "sitemap_url": f"{SITE_URL}/sitemap.xml"}
            for private in (False, True)
        ],
    }


def _entry(number: int, title: str) -> Context:
    return {
        "id": str(number),
        "title": title,
        "url": f"{SITE_URL}/watch/{_slug(title)}-{number}.html",
        "media_url": f"{SITE_URL}/video/it%27s%20%26.mp4?a=1&b=2",
        "media_type": "video/mp4",
        "size_bytes": "123456789",
        "image_url": f"{SITE_URL}/thumb/0/{number}.jpg",
        "published": "2024-05-01T10:00:00Z",
        "published_rfc822": "Wed, 01 May 2024 10:00:00 +0000",
        "tags": ("family", *NASTY),
        "duration_s": "3723",
        "uid": f"urn:uuid:7b9f5ba2-9a71-5f04-9d3c-{number:012x}",
        "summary": f"{title}, 1:02:03",
        "content": f"<p>About <strong>{escape(title)}</strong> &amp; more</p>",
    }


def _place(number: int, title: str) -> Context:
    return {
        "url": f"{SITE_URL}/watch/{_slug(title)}-{number}.html",
        "thumbnail_url": f"{SITE_URL}/thumb/0/{number}.jpg",
        "title": title,
        "description": f"{title}, 1:02:03",
        "content_url": f"{SITE_URL}/video/it%27s%20%26.mp4?a=1&b=2",
        "duration_s": "3723",
        "published": "2024-05-01T10:00:00Z",
        "tags": ("family", *NASTY),
    }


def _orders(labels: Iterable[str]) -> tuple[Context, ...]:
    return tuple(
        {"label": label, "url": f"/order-{number}.html", "current": number == 1}
        for number, label in enumerate(labels)
    )


def _links(labels: Iterable[str]) -> tuple[Context, ...]:
    return tuple({"label": label, "url": f"/folder/{_slug(label)}.html"} for label in labels)


def _sources(number: int) -> tuple[Context, ...]:
    codecs = 'video/mp4; codecs="hvc1.1.6.L93.B0,mp4a.40.2"'
    return (
        {"url": "/video/it%27s%20%26.mp4", "type": codecs},
        {"url": f"/play/0/{number}-1a2b3c4d5e.m3u8", "type": "application/vnd.apple.mpegurl"},
        {"url": f"/play/0/{number}-1a2b3c4d5e.mp4", "type": "video/mp4"},
    )


def _tracks(number: int, title: str) -> tuple[Context, ...]:
    return tuple(
        {
            "kind": kind,
            "language": language,
            "label": f"{language} {title}",
            "url": f"/text/0/{number}-{language}.vtt",
            "default": language == "und",
        }
        for kind, language in (("subtitles", "en"), ("captions", "pt-BR"), ("subtitles", "und"))
    )


def _chapters(titles: Iterable[str]) -> Markup:
    link = Markup(
        '<li><a class="t" href="/video/a.mp4#t=%d"><small>1:23</small> <bdi>%s</bdi></a></li>'
    )
    return Markup("").join(link % (83 * number, title) for number, title in enumerate(titles))


def _tags(names: Iterable[str]) -> tuple[Context, ...]:
    return tuple({"name": name, "url": f"/tag/{_slug(name)}.html"} for name in names)


def _slug(text: str) -> str:
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in text.lower())
    return kept[:40].strip("-") or "video"
