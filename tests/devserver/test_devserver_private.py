"""A private site on the dev server: the owner at this computer, and viewers from elsewhere.

Whoever comes through a proxy is not at this computer, so a header of one stands for elsewhere.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import fill
from served import Served, running, write

from api_lambda.app import ApiConfig, create_app
from api_lambda.credentials import new_token, new_viewer_token
from generator.adapters.catalogue import Catalogue
from generator.devserver import DevServer, ServedSite

ELSEWHERE = {"X-Forwarded-For": "192.0.2.7"}
PAGES = ["/", "/all.html", "/video/film.mp4", "/thumb/1.webp", "/rss.xml", "/no-such.html"]
OPEN = ["/login.html", "/robots.txt", "/assets/style.css"]


@pytest.fixture(scope="module")
def secrets() -> dict[str, str]:
    return {}


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory, secrets: dict[str, str]) -> Iterator[Served]:
    folder, now = tmp_path_factory.mktemp("private"), int(time.time())
    fill(folder / "state")
    with Catalogue(folder / "state" / "catalogue.db", durable=False) as catalogue:
        for name, expires_at in (("viewer", None), ("expired", now - 5)):
            made, secrets[name], _ = new_viewer_token(name, now - 9, expires_at)
            catalogue.tokens.add(made)
        made, secrets["owner"] = new_token("laptop", now)
        catalogue.tokens.add(made)
    for name in ("index", "all", "login", "404"):
        write(folder / "out" / f"{name}.html", b"a page")
    for path in ("robots.txt", "assets/style.css", "thumb/1.webp", "rss.xml"):
        write(folder / "out" / path, b"a page")
    write(folder / "library" / "film.mp4", b"a film")
    app = create_app(
        ApiConfig(folder / "state", durable=False, owner_on_loopback="always", is_private=True)
    )
    site = ServedSite(
        folder / "out", {"": folder / "library"}, base="/films", api=app, private=True
    )
    with running(DevServer(site)) as served:
        yield served
    app.state.close()


@pytest.mark.parametrize("who", ["", "viewer", "owner", "expired", "rs_x"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_from_elsewhere_it_is_seen_with_a_token(
    ask: Served, secrets: dict[str, str], who: str, method: str
) -> None:
    headers = {"X-Forwarded-For": f"192.0.2.{len(who)}"}  # guesses are counted by address
    if who:
        headers["Authorization"] = f"Bearer {secrets.get(who, who)}"
    may = who in {"viewer", "owner"}
    for path in PAGES:
        answer = ask(f"/films{path}", method, headers)
        assert answer.status == ((404 if "no-such" in path else 200) if may else 401), path
        assert may or b"a page" not in answer.body
    for path in OPEN:
        assert ask(f"/films{path}", method, headers).status == 200, path


def test_a_browser_from_elsewhere_is_led_to_the_login_page(ask: Served) -> None:
    answer = ask("/films/all.html?x=1", headers={**ELSEWHERE, "Accept": "text/html"})

    assert answer.status == 302
    assert answer["location"] == "/films/login.html?next=/films/all.html?x=1"


@pytest.mark.parametrize(
    "path",
    [
        "/films/assets/../all.html", "/films/assets/%2e%2e/all.html", "/films//all.html",
        "/films/login.html/../all.html", "/films/robots.txt%2f..%2fall.html", "/films/%61ll.html",
    ],
)  # fmt: skip
def test_no_spelling_leads_around_the_question(ask: Served, path: str) -> None:
    answer = ask(path, headers={**ELSEWHERE, "Reelshelf-Feed": "/login.html"})
    assert answer.status == 401
    assert b"a page" not in answer.body


def test_who_sits_at_this_computer_is_the_owner(ask: Served) -> None:
    assert [ask(f"/films{path}").status for path in PAGES] == [200] * 5 + [404]


def test_nobody_sees_it_without_an_api(tmp_path: Path) -> None:
    write(tmp_path / "index.html", b"a page")
    with running(DevServer(ServedSite(tmp_path, {}, private=True))) as ask:
        assert ask("/").status == 503
