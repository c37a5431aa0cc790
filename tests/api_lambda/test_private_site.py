"""A private site: who sees what, by the real nginx with the shipped configuration.

The table is the one in docs/howto/private-library.md: it is read from there.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

import pytest
from asking import Told, fill, serving
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
<item><link>{site}/watch/a-1.html</link><enclosure url="{site}/video/{video}" length="1"/>
<itunes:image href="{site}/thumb/0/1-abc-320.webp"/></item></channel></rss>"""


def make_site(out: Path, site: str) -> None:
    for page in ("index", "all", "watch/a-1", "watch/moved-1", "404", "login"):
        write(out / f"{page}.html", PAGE + page.encode())
    for name in ("rss.xml", "atom.xml"):
        write(out / name, FEED.format(site=site, video=QUOTED.replace("&", "&amp;")).encode())
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
            connection.putrequest(method, self.base + path, skip_accept_encoding=True)
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
    text = config(
        TEMPLATE,
        out=str(folder / "out"),
        roots={"": str(folder / "library")},
        listen=f"127.0.0.1:{port}",
        server_name="_",
        base=site.base,
        ignore=["Hidden/"],
        api=str(api),
        private=True,
        origin=address,
        access_cache=str(folder / "access"),
    )
    main = write_config(folder / "nginx", text)
    for place in (folder, *folder.parents):  # nginx's workers have another user
        if place.owner() != "root" or place == folder:
            place.chmod(0o755)
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
