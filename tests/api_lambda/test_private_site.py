"""A private site: who sees what, by the real nginx with the shipped configuration.

The table is the one in docs/howto/private-library.md: it is read from there.
"""

import gzip
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

import pytest
from asking import Told, fill, serving, until
from nginx_server import FILM, PAGE, SECRET, TEMPLATE, TEXT, running, write, write_config
from paths import ROOT

from api_lambda.credentials import (
    SESSION_COOKIE,
    Cookies,
    kept_secret,
    new_token,
    new_viewer_token,
)
from generator.adapters.catalogue import Catalogue
from generator.core.delivery.nginx import config

NAME = 'films/a film #1? 100% "it\'s" é+&;x.mp4'
QUOTED = "films/a%20film%20%231%3F%20100%25%20%22it%27s%22%20%C3%A9%2B%26%3Bx.mp4"
HTML = {"Accept": "text/html,*/*;q=0.8"}
FEED = """<rss><channel><atom:link rel="self" href="{site}/rss.xml"/><link>{site}/</link>
<description>{text}</description>
<item><link>{site}/watch/a-1.html</link><enclosure url="{site}/video/{video}" length="1"/>
<itunes:image href="{site}/thumb/0/1-abc-320.webp"/></item></channel></rss>"""


def make_site(out: Path, site: str) -> None:
    for page in ("index", "all", "watch/a-1", "watch/moved-1", "404", "login"):
        write(out / f"{page}.html", PAGE + page.encode())
    for name in ("rss.xml", "atom.xml"):
        write(
            out / name,
            FEED.format(site=site, text="text " * 200, video=QUOTED.replace("&", "&amp;")).encode(),
        )
    write(out / "sitemap.xml", b"<urlset/>")
    write(out / "robots.txt", b"User-agent: *\nDisallow: /\n")
    write(out / "data" / "random.json", b"{}")
    write(out / "assets" / "style-0123456789.css", b"body {}")
    write(out / "thumb" / "0" / "1-abc-320.webp", b"webp")
    write(out / "thumb" / "0" / "2-abc-320.webp", b"webp")
    write(out / "board" / "0" / "1-0a1b2c.webp", b"webp")
    write(out / "text" / "0" / "1-0a1b2c.vtt", TEXT)
    write(out / "play" / "0" / "1-0a1b2c.mp4", FILM)
    write(out / ".well-known" / "acme-challenge" / "xyz", b"proof")
    write(out / ".reelshelf", SECRET)


@dataclass
class PrivateSite:
    port: int
    state: Path
    base: str
    secrets: dict[str, str] = field(default_factory=dict)
    feeds: dict[str, str] = field(default_factory=dict)
    credentials: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def ask(
        self,
        path: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
    ) -> Told:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(
                method, self.base + path, skip_host="Host" in (headers or {}),
                skip_accept_encoding=True,
            )  # fmt: skip
            content = None if body is None else body.encode()
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            if content is not None:
                connection.putheader("Content-Length", str(len(content)))
            connection.endheaders(content)
            with connection.getresponse() as answer:
                return Told(answer.status, tuple(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def status(self, path: str, who: str, **headers: str) -> int:
        return self.ask(path, headers={**self.credentials[who], **headers}).status


def make_tokens(site: PrivateSite) -> None:
    now = int(time.time())
    cookies, host = Cookies(kept_secret(site.state)), f"-{site.port}"
    suffix = host + site.base.replace("/", "%2F")
    with Catalogue(site.state / "catalogue.db", durable=False) as catalogue:
        made, secret = new_token("laptop", now)
        catalogue.tokens.add(made)
        site.secrets["owner"] = secret
        tokens = {"owner": made.id}
        for name, expires_at in (
            ("viewer", now + 9000),
            ("expired viewer", now - 10),
            ("revoked viewer", None),
        ):
            viewer, secret, feed = new_viewer_token(name, now - 100, expires_at)
            catalogue.tokens.add(viewer)
            site.secrets[name], site.feeds[name], tokens[name] = secret, feed, viewer.id
        catalogue.tokens.revoke(tokens["revoked viewer"], now - 1)
    site.credentials["nobody"] = {}
    site.credentials["secret of feeds"] = {}
    site.credentials["wrong cookie"] = {"Cookie": f"{SESSION_COOKIE}{suffix}=1|9999999999|x.sig"}
    for name, token in tokens.items():
        cookie = cookies.session(token, now, suffix).partition(";")[0]
        site.credentials[name] = {"Cookie": cookie}


def configuration(folder: Path, port: int, api: int, base: str) -> str:
    return config(
        TEMPLATE,
        out=str(folder / "out"),
        roots={"": str(folder / "library")},
        listen=f"127.0.0.1:{port}",
        server_name="_",
        base=base,
        ignore=["Hidden/"],
        api=str(api),
        private=True,
        origin=f"http://127.0.0.1:{port}",
        access_cache=str(folder / "access"),
    )


@pytest.fixture(scope="module", params=["", "/films/of-mine"])
def site(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    program: Callable[[str], str],
    free_port: Callable[[], int],
) -> Iterator[PrivateSite]:
    """Return a private site behind nginx, at its own host and below a path."""
    folder = tmp_path_factory.mktemp("private")
    port, api = free_port(), free_port()
    site = PrivateSite(port, folder / "state", request.param)
    address = f"http://127.0.0.1:{port}"
    make_site(folder / "out", address + site.base)
    write(folder / "library" / NAME, FILM)
    write(folder / "library" / "other.mp4", FILM)
    write(folder / "library" / "Hidden" / "ignored.mp4", SECRET)
    fill(site.state)
    make_tokens(site)
    text = configuration(folder, port, api, site.base)
    assert "401 5s" in text
    main = write_config(folder / "nginx", text.replace("401 5s", "401 1s"))
    with ExitStack() as stack:
        stack.enter_context(
            serving(
                site.state,
                "--port",
                str(api),
                REELSHELF_PRIVATE="true",
                REELSHELF_SITE_URL=address + site.base,
                REELSHELF_OUT=str(folder / "out"),
                REELSHELF_VISITORS_MAY="view:rate",
            )
        )
        stack.enter_context(running(program("nginx"), main, port))
        yield site


def table() -> dict[str, dict[str, int]]:
    """Return the table of the document: what, then who, then the status."""
    text = (ROOT / "docs/howto/private-library.md").read_text(encoding="utf-8")
    lines = [
        [cell.strip() for cell in line.strip("|\n ").split("|")]
        for line in text.partition("## Who sees what")[2].splitlines()
        if line.startswith("|")
    ]
    head, _, *rows = lines
    return {
        row[0]: {who: int(status) for who, status in zip(head[1:], row[1:], strict=True)}
        for row in rows
        if len(row) == len(head)
    }


JSON = {"Content-Type": "application/json"}
THINGS: dict[str, tuple[str, str, Mapping[str, str], str | None]] = {
    "the home page, in a browser": ("GET", "/", HTML, None),
    "the home page, by a program": ("GET", "/", {}, None),
    "a list": ("GET", "/all.html", {}, None),
    "a watch page": ("GET", "/watch/a-1.html", {}, None),
    "a video": ("GET", f"/video/{QUOTED}", {}, None),
    "a part of a video": ("GET", f"/video/{QUOTED}", {"Range": "bytes=1-9"}, None),
    "a playable copy": ("GET", "/play/0/1-0a1b2c.mp4", {}, None),
    "a poster": ("GET", "/thumb/0/1-abc-320.webp", {}, None),
    "a storyboard": ("GET", "/board/0/1-0a1b2c.webp", {}, None),
    "subtitles": ("GET", "/text/0/1-0a1b2c.vtt", {}, None),
    "data for search and random": ("GET", "/data/random.json", {}, None),
    "a feed at its plain address": ("GET", "/rss.xml", {}, None),
    "a feed at a secret address": ("GET", "/feed/SECRET/rss.xml", {}, None),
    "a video in a feed, at a secret address": ("GET", f"/feed/SECRET/video/{QUOTED}", {}, None),
    "a poster in a feed, at a secret address": (
        "GET",
        "/feed/SECRET/thumb/0/1-abc-320.webp",
        {},
        None,
    ),
    "another video, at a secret address": ("GET", "/feed/SECRET/video/other.mp4", {}, None),
    "a page, at a secret address": ("GET", "/feed/SECRET/watch/a-1.html", {}, None),
    "the sitemap": ("GET", "/sitemap.xml", {}, None),
    "a redirect of a moved page": ("GET", "/watch/moved-1.html", {}, None),
    "nothing (404)": ("GET", "/no-such-page.html", {}, None),
    "a hidden or ignored file": ("GET", "/video/Hidden/ignored.mp4", {}, None),
    "the login page": ("GET", "/login.html", {}, None),
    "the style sheet": ("GET", "/assets/style-0123456789.css", {}, None),
    "robots.txt": ("GET", "/robots.txt", {}, None),
    "an ACME challenge": ("GET", "/.well-known/acme-challenge/xyz", {}, None),
    "the API: a video": ("GET", "/api/videos/3", {}, None),
    "the API: the list of videos": ("GET", "/api/videos", {}, None),
    "the API: a view": ("POST", "/api/videos/3/views", {}, None),
    "the API: a rating, allowed for visitors": (
        "PUT",
        "/api/videos/3/rating",
        JSON,
        '{"stars":4}',
    ),
    "the API: a tag": ("POST", "/api/videos/3/tags", JSON, '{"tags":["x"]}'),
    "the API: files with a problem": ("GET", "/api/problems", {}, None),
    "the API: who one is": ("GET", "/api/session", {}, None),
}


def test_the_table_of_the_document_is_about_everything() -> None:
    assert table().keys() == THINGS.keys()
    assert all(len(row) == 7 for row in table().values())


@pytest.mark.parametrize("what", THINGS)
def test_everybody_sees_what_the_document_says(site: PrivateSite, what: str) -> None:
    method, path, headers, body = THINGS[what]
    expected, seen = table()[what], {}
    for who in expected:
        # whoever is revoked or expired tries the secret of their feeds, too; others a wrong one
        wrong = "A" * 43 if who != "secret of feeds" else site.feeds["viewer"]
        address = path.replace("SECRET", site.feeds.get(who, wrong) if who != "viewer" else wrong)
        answer = site.ask(address, method, {**site.credentials[who], **headers}, body)
        seen[who] = answer.status
        if answer.status in {401, 403} and who != "owner":
            assert FILM not in answer.body
            assert PAGE not in answer.body
    assert seen == expected


BYPASSES = [
    "//watch/a-1.html",
    "/./watch/a-1.html",
    "/assets/../watch/a-1.html",
    "/assets/%2e%2e/watch/a-1.html",
    "/assets/..%2fwatch/a-1.html",
    "/assets//../watch/a-1.html",
    "/%77atch/a-1.html",
    "/WATCH/a-1.html",
    "/watch/a-1.html.",
    "/watch/a-1.html/",
    "/watch/a-1.html?next=/login.html",
    "/watch/a-1.html%00.css",
    "/watch/a-1.html%3f/login.html",
    "/login.html/../watch/a-1.html",
    "/login.html%2f..%2fwatch/a-1.html",
    "/login.html/",
    "/login.htm",
    "/robots.txt/../all.html",
    "/api/../all.html",
    "/api/%2e%2e/all.html",
    "/api/session/../../all.html",
    "/api/access/../videos/3",
    "/api//videos/3",
    "/.well-known/acme-challenge/../../all.html",
    "/.well-known/acme-challenge/%2e%2e/%2e%2e/all.html",
    "/favicon.ico/../all.html",
    "/feed/rss.xml",
    "/feed/atom.xml",
    "/feed/x/rss.xml",
    "/feed/x/all.html",
    "/feed/../all.html",
    "/feed/x/video/../../../all.html",
    "/-/reelshelf-access",
    "/%2d/reelshelf-access",
    "/.reelshelf",
    "/index.html.gz",
    "/404.html",
]


@pytest.mark.parametrize("who", ["nobody", "wrong cookie", "revoked viewer"])
def test_no_spelling_of_an_address_leads_around_the_question(site: PrivateSite, who: str) -> None:
    for path in BYPASSES:
        for method in ("GET", "HEAD", "POST", "OPTIONS"):
            answer = site.ask(path, method, site.credentials[who])
            assert answer.status >= 300, (path, method)
            assert PAGE not in answer.body, (path, method)
            assert FILM not in answer.body, (path, method)


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=0-9"},
        {"If-None-Match": "*"},
        {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
        {"X-Original-URL": "/login.html"},
        {"X-Rewrite-URL": "/login.html"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-Host": "localhost"},
        {"Reelshelf-Feed": "/login.html"},
        {"Reelshelf-As": "owner"},
        {"Host": "localhost"},
        {"Host": "[::1]"},
        {"Authorization": "Basic b3duZXI6b3duZXI="},
        {"Authorization": "Bearer"},
        {"Cookie": "__Host-reelshelf="},
    ],
)
def test_no_header_leads_around_it(site: PrivateSite, headers: Mapping[str, str]) -> None:
    site.ask("/all.html", headers=site.credentials["viewer"])  # whose answer is kept now
    for path in ("/all.html", f"/video/{QUOTED}", "/api/videos/3"):
        answer = site.ask(path, headers=headers)
        assert answer.status == 401, path
        assert answer.header("www-authenticate") == "Bearer"
        assert answer.header("etag") is None
        assert len([name for name, _ in answer.headers if name.lower() == "www-authenticate"]) == 1


def test_an_answer_is_kept_for_who_asked_alone(site: PrivateSite) -> None:
    for _ in range(2):
        assert site.status("/all.html", "viewer") == 200
        assert site.status("/all.html", "nobody") == 401
        assert site.status("/all.html", "revoked viewer") == 401
        assert site.status("/all.html", "owner") == 200
        joined = site.credentials["revoked viewer"]["Cookie"]
        assert site.ask("/all.html", headers={"Cookie": joined}).status == 401
        bearer = {"Authorization": f"Bearer {site.secrets['viewer']}"}
        assert site.ask("/all.html", headers=bearer).status == 200
        wrong = {"Authorization": f"Bearer {site.secrets['revoked viewer']}"}
        assert site.ask("/all.html", headers=wrong).status == 401
        both = {**bearer, "Host": "elsewhere.example"}
        assert site.ask("/all.html", headers=both).status == 200
        swapped = {"Host": "elsewhere.example", **site.credentials["viewer"]}
        assert site.ask("/all.html", headers=swapped).status == 401  # a cookie of another site


def test_nothing_of_it_is_for_shared_caches_or_search_engines(site: PrivateSite) -> None:
    viewer = site.credentials["viewer"]
    for path in ("/", f"/video/{QUOTED}", "/thumb/0/1-abc-320.webp", "/rss.xml", "/no-such"):
        answer = site.ask(path, headers=viewer)
        assert (answer.header("cache-control") or "").startswith("private, "), path
        assert answer.header("x-robots-tag") == "noindex, nofollow"
    public = site.ask("/assets/style-0123456789.css")
    assert (public.header("cache-control") or "").startswith("public, ")
    assert site.ask("/all.html").header("cache-control") == "no-store"
    assert site.ask("/", headers=HTML).header("cache-control") == "no-store"


def test_a_viewer_plays_a_part_and_revalidates(site: PrivateSite) -> None:
    viewer, path = site.credentials["viewer"], f"/video/{QUOTED}"
    whole = site.ask(path, headers=viewer)
    part = site.ask(path, headers={**viewer, "Range": "bytes=5-9"})
    same = site.ask(path, headers={**viewer, "If-None-Match": whole.header("etag") or ""})
    head = site.ask(path, "HEAD", viewer)

    assert (part.status, part.body) == (206, FILM[5:10])
    assert part.header("content-range") == f"bytes 5-9/{len(FILM)}"
    assert (same.status, same.body) == (304, b"")
    assert (head.status, head.body) == (200, b"")
    assert head.header("content-length") == str(len(FILM))


def test_a_feed_leads_to_files_by_its_secret_address(site: PrivateSite) -> None:
    secret = site.feeds["viewer"]
    for name in ("rss.xml", "atom.xml"):
        feed = site.ask(f"/feed/{secret}/{name}", headers={"Accept-Encoding": "gzip"})
        plain = site.ask(f"/{name}", headers=site.credentials["viewer"])
        assert feed.header("content-encoding") == "gzip"
        text = gzip.decompress(feed.body).decode()
        front = f"http://127.0.0.1:{site.port}"
        addresses = [
            piece.partition('"')[0].replace("&amp;", "&").removeprefix(front + site.base)
            for piece in text.split('="')
            if piece.startswith(front)
        ]

        assert feed.status == plain.status == 200
        assert f"{site.base}/watch/a-1.html</link>" in text  # pages need a session
        assert {site.ask(address).status for address in addresses} == {200}
        assert len(addresses) == 3
        assert secret not in plain.body.decode()
    assert site.ask(f"/feed/{secret}/video/{QUOTED}").body == FILM
    part = site.ask(f"/feed/{secret}/video/{QUOTED}", headers={"Range": "bytes=5-9"})
    assert (part.status, part.body) == (206, FILM[5:10])


@pytest.mark.parametrize(
    "path",
    [
        "all.html", "watch/a-1.html", "api/videos", "board/0/1-0a1b2c.webp", "video/other.mp4",
        "thumb/0/2-abc-320.webp", "play/0/1-0a1b2c.mp4", "text/0/1-0a1b2c.vtt", "sitemap.xml",
        "video/../all.html", "video/%2e%2e/all.html", "thumb/../../../all.html",
        f"video/../feed/x/video/{QUOTED}", "rss.xml/../all.html", "video/Hidden/ignored.mp4",
    ],
)  # fmt: skip
def test_the_secret_of_feeds_opens_nothing_else(site: PrivateSite, path: str) -> None:
    answer = site.ask(f"/feed/{site.feeds['viewer']}/{path}")

    assert answer.status == 401
    assert FILM not in answer.body
    assert PAGE not in answer.body


def form(site: PrivateSite, path: str, body: str, **headers: str) -> Told:
    own = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Origin": f"http://127.0.0.1:{site.port}",
        "Sec-Fetch-Site": "same-origin",
    }
    own |= {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {name: value for name, value in own.items() if value}
    return site.ask(path, "POST", sent, body)


def test_a_browser_without_scripts_signs_in_and_comes_back(site: PrivateSite) -> None:
    refused = site.ask("/watch/a-1.html?t=5", headers=HTML)
    login = refused.header("location") or ""
    assert login == f"{site.base}/login.html?next={site.base}/watch/a-1.html?t=5"
    referer = f"http://127.0.0.1:{site.port}{login}"

    wrong = form(site, "/api/login", "token=rs_wrong", Referer=referer)
    right = form(site, "/api/login", f"token={site.secrets['viewer']}", Referer=referer)
    cookie = {"Cookie": (right.header("set-cookie") or "").partition(";")[0]}

    assert (wrong.status, wrong.header("location")) == (303, f"{login}#wrong")
    assert wrong.header("set-cookie") is None
    assert (right.status, right.header("location")) == (303, f"{site.base}/watch/a-1.html?t=5")
    assert site.ask("/watch/a-1.html", headers=cookie).status == 200
    assert json.loads(site.ask("/api/session", headers=cookie).body)["role"] == "viewer"

    out = form(site, "/api/logout", "", **cookie)
    assert (out.status, out.header("location")) == (303, f"{site.base}/login.html#signed-out")
    until(lambda: site.ask("/watch/a-1.html", headers=cookie).status == 401)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "", "Origin": "https://evil.example"},
        {"Sec_Fetch_Site": "", "Origin": "null"},
        {"Sec_Fetch_Site": "", "Origin": "", "Referer": ""},
        {"Sec_Fetch_Site": "", "Origin": "", "Referer": "https://evil.example/"},
    ],
)
def test_no_other_site_signs_anybody_in_or_out(site: PrivateSite, headers: dict[str, str]) -> None:
    for path in ("/api/login", "/api/logout"):
        answer = form(site, path, f"token={site.secrets['viewer']}", **headers)
        assert answer.status == 403
        assert answer.header("set-cookie") is None


def test_nobody_gets_in_while_the_api_is_down(
    tmp_path: Path, program: Callable[[str], str], free_port: Callable[[], int]
) -> None:
    site = PrivateSite(free_port(), tmp_path / "state", "")
    make_site(tmp_path / "out", "http://127.0.0.1")
    write(tmp_path / "library" / NAME, FILM)
    fill(site.state)
    make_tokens(site)
    main = write_config(tmp_path / "nginx", configuration(tmp_path, site.port, free_port(), ""))
    with running(program("nginx"), main, site.port):
        for who in ("owner", "viewer"):
            for path in ("/", f"/video/{QUOTED}", "/rss.xml", "/no-such-page.html"):
                answer = site.ask(path, headers=site.credentials[who])
                assert answer.status == 503, path
                assert answer.header("cache-control") == "no-store"
                assert PAGE not in answer.body
        assert site.ask(f"/feed/{site.feeds['viewer']}/rss.xml").status == 503
        assert site.status("/", "nobody") == 401
        assert site.ask("/api/videos").status == 503


def test_a_private_site_is_not_served_without_the_api() -> None:
    with pytest.raises(ValueError, match="needs the API"):
        config(TEMPLATE, out="/o", roots={}, listen="80", server_name="_", base="", private=True)
