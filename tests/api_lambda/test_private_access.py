"""A private site, asked without nginx: viewers, what they may, and where signing in leads."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

import pytest
from asking import SESSION_COOKIE, Asker, Told
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from api_lambda.credentials import new_token, new_viewer_token
from api_lambda.private_access import FeedFiles, feed_request, is_own_url
from generator.adapters.catalogue import Catalogue

NOW = 1_780_000_000
FAR = ("192.0.2.7", 5000)
FORM = {
    "content-type": "application/x-www-form-urlencoded",
    "sec-fetch-site": "same-origin",
}


@pytest.fixture
def viewer(state: Path) -> str:
    """Return the token of a viewer that ends 100 seconds from now."""
    with Catalogue(state / "catalogue.db", durable=False) as catalogue:
        made, secret, _ = new_viewer_token("anna", NOW, NOW + 100)
        catalogue.tokens.add(made)
    return secret


@pytest.fixture
def clock() -> dict[str, float]:
    return {"now": float(NOW)}


@pytest.fixture
def private(make_app: Callable[..., FastAPI], clock: dict[str, float]) -> Asker:
    app = make_app(
        is_private=True, visitors_may=frozenset({"view", "rate"}), clock=lambda: clock["now"]
    )
    return Asker(app, client=FAR)


def signed_in(asker: Asker, secret: str) -> Asker:
    answer = asker("POST", "/api/session", {"token": secret})
    assert answer.status == 204
    return asker.with_headers(cookie=f"{SESSION_COOKIE}={answer.cookies[SESSION_COOKIE]}")


def test_a_viewer_has_one_vote_wherever_they_sign_in(private: Asker, viewer: str) -> None:
    phone, laptop = (signed_in(private, viewer) for _ in range(2))
    script = private.with_headers(authorization=f"Bearer {viewer}")

    for stars, asker in enumerate((phone, laptop, script), start=2):
        answer = asker("PUT", "/api/videos/3/rating", {"stars": stars})
        assert answer.status == 200
        assert answer.cookies == {}  # they need no other pseudonym
    you = phone("GET", "/api/videos/3").json
    assert you["you"] == {"role": "viewer", "may": ["view", "rate"], "stars": 4, "favorite": False}
    assert you["rating"]["votes"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/api/videos/3/favorite", None),
        ("POST", "/api/videos/3/tags", {"tags": ["x"]}),
        ("PUT", "/api/videos/3/tags", {"tags": []}),
        ("DELETE", "/api/videos/3/tags/x", None),
        ("POST", "/api/rebuild", None),
        ("GET", "/api/problems", None),
        ("POST", "/api/problems/retry", {"all": True}),
    ],
)
def test_a_viewer_may_never_do_what_the_owner_may(
    private: Asker, viewer: str, method: str, path: str, body: object
) -> None:
    assert signed_in(private, viewer)(method, path, body).status == 403


def test_an_owners_click_of_a_viewer_is_refused(private: Asker, viewer: str) -> None:
    asker = signed_in(private, viewer).with_headers(reelshelf_as="owner")
    assert asker("PUT", "/api/videos/3/rating", {"stars": 4}).status == 401


def test_a_token_that_expires_ends_its_sessions(
    private: Asker, viewer: str, clock: dict[str, float]
) -> None:
    browser = signed_in(private, viewer)
    script = private.with_headers(authorization=f"Bearer {viewer}")
    before = [asker("GET", "/api/videos/3").status for asker in (browser, script)]
    clock["now"] = NOW + 100
    after = [asker("GET", "/api/videos/3").status for asker in (browser, script)]

    assert (before, after) == ([200, 200], [401, 401])
    assert private("POST", "/api/session", {"token": viewer}).status == 401


def test_a_session_is_no_longer_than_its_token(private: Asker, state: Path) -> None:
    """Whatever the catalogue says later of when it expires."""
    with Catalogue(state / "catalogue.db", durable=False) as catalogue:
        made, secret, _ = new_viewer_token("ben", NOW, NOW + 50)
        catalogue.tokens.add(made)
    answer = private("POST", "/api/session", {"token": secret})

    assert "Max-Age=50;" in (answer.header("set-cookie") or "")


def test_a_revoked_token_ends_its_sessions(private: Asker, viewer: str, state: Path) -> None:
    browser = signed_in(private, viewer)
    with Catalogue(state / "catalogue.db", durable=False) as catalogue:
        (key,) = catalogue.tokens.viewers()
        catalogue.tokens.revoke(key.id, NOW)

    assert browser("GET", "/api/videos/3").status == 401


def test_a_viewers_token_makes_nobody_the_owner(
    make_app: Callable[..., FastAPI], viewer: str
) -> None:
    """Not on a site that is open either, nor at the machine itself."""
    here = Asker(make_app(clock=lambda: NOW)).with_headers(authorization=f"Bearer {viewer}")
    assert here("GET", "/api/session").json["role"] == "viewer"
    assert here("POST", "/api/rebuild").status == 403


def test_the_owner_of_a_private_site_is_who_sits_at_it(make_app: Callable[..., FastAPI]) -> None:
    app = make_app(is_private=True)
    assert Asker(app)("GET", "/api/videos/3").status == 200
    assert Asker(app, client=FAR)("GET", "/api/videos/3").status == 401
    assert Asker(app, client=FAR)("GET", "/api/health").status == 200


def test_visitors_of_a_private_site_may_nothing(private: Asker) -> None:
    assert private("GET", "/api/session").json == {"role": "visitor", "may": []}
    for method, path in (
        ("GET", "/api/videos"), ("GET", "/api/changes"), ("GET", "/api/random"),
        ("GET", "/api/receipts/x"), ("POST", "/api/videos/3/views"), ("GET", "/api/access"),
    ):  # fmt: skip
        assert private(method, path).status == 401, path


# -- where signing in leads

FOREIGN = [
    "//evil.example/", "/\\evil.example", "https://evil.example/", "%2F%2Fevil.example",
    "/\t/evil.example", "javascript:alert(1)", "evil.example", "", "\\\\evil.example",
    "/api/videos", "%2f%5cevil.example", "/x\r\nSet-Cookie: a=b", "/\u00e9", "///evil.example",
]  # fmt: skip


def by_form(asker: Asker, path: str, body: str, **headers: str) -> Told:
    return asker("POST", path, body.encode(), headers={**FORM, **headers})


@pytest.mark.parametrize("target", FOREIGN)
@pytest.mark.parametrize("by_field", [True, False])
def test_it_leads_to_no_other_site(
    private: Asker, viewer: str, target: str, *, by_field: bool
) -> None:
    more = f"&next={quote(target)}" if by_field else ""
    address = "https://localhost:8001/login.html?next=" + quote(target, safe="/:%\\")
    referer = {} if by_field else {"referer": address}
    for secret in (viewer, "rv_wrong"):
        answer = by_form(private, "/api/login", f"token={secret}{more}", **referer)
        location = answer.header("location") or ""
        assert answer.status == 303
        assert urlsplit(urljoin("https://localhost:8001/", location)).netloc == "localhost:8001"
        assert location.isprintable()
        assert location in {"/", "/login.html#wrong"} or (not by_field and "%" in location)
        assert set(answer.cookies) == ({SESSION_COOKIE} if secret == viewer else set())


@given(st.text(max_size=20))
def test_a_browser_stays_on_the_site(target: str) -> None:
    if is_own_url(target, ""):
        cleaned = target.replace("\\", "/")
        assert cleaned == target
        assert urlsplit(urljoin("https://own.example/x", cleaned)).netloc == "own.example"


def test_too_many_forms_are_refused_as_tokens_are(private: Asker) -> None:
    locations = [
        by_form(private, "/api/login", "token=rv_wrong").header("location") for _ in range(16)
    ]
    assert locations[0] == "/login.html#wrong"
    assert locations[-1] == "/login.html#wait"
    assert private("POST", "/api/session", {"token": "rv_wrong"}).status == 429


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b'{"token":"x"}', "application/json", 415),
        (b"token=x&token=y", FORM["content-type"], 422),
        (b"token=x&other=y", FORM["content-type"], 422),
        (b"\xff\xfe", FORM["content-type"], 422),
        (b"", FORM["content-type"], 303),
        (b"token=" + b"x" * 20_000, FORM["content-type"], 413),
    ],
)
def test_forms_are_checked(private: Asker, body: bytes, content_type: str, status: int) -> None:
    headers = {**FORM, "content-type": content_type}
    assert private("POST", "/api/login", body, headers=headers).status == status


# -- the secret of feeds


def test_a_feed_opens_what_it_names_now(tmp_path: Path) -> None:
    feeds = FeedFiles(tmp_path, "https://x.example/films")
    item = '<a url="https://x.example/films/{}"/>'
    (tmp_path / "rss.xml").write_text(item.format("video/a%20b.mp4"), encoding="utf-8")
    before = [feeds.has(path) for path in ("video/a b.mp4", "video/c.mp4", "watch/a-1.html")]
    (tmp_path / "rss.xml").write_text(item.format("video/c.mp4") + " ", encoding="utf-8")
    after = [feeds.has(path) for path in ("video/a b.mp4", "video/c.mp4")]

    assert (before, after) == ([True, False, False], [False, True])
    assert feeds.has("rss.xml")
    assert feeds.has("atom.xml")
    assert not FeedFiles(None, "https://x.example").has("video/c.mp4")
    assert not FeedFiles(tmp_path / "none", "https://x.example").has("video/c.mp4")


def test_the_address_of_a_feed_is_read_as_nginx_reads_it() -> None:
    secret = "A" * 43
    front = f"/films/feed/{secret}"
    assert feed_request("/films", f"{front}/video/a%20b.mp4?x=1") == (secret, "video/a b.mp4")
    assert feed_request("/films", f"/feed/{secret}/rss.xml") == (secret, "rss.xml")
    for address in (f"{front}x/rss.xml", "/films/feed/short/rss.xml", f"{front}/", "/rss.xml", ""):
        assert feed_request("/films", address) == ("", "")


def test_the_secret_of_feeds_counts_alone(
    make_app: Callable[..., FastAPI], state: Path, tmp_path: Path
) -> None:
    with Catalogue(state / "catalogue.db", durable=False) as catalogue:
        made, secret, feed = new_viewer_token("anna", NOW, NOW + 100)
        catalogue.tokens.add(made)
        mine, owners = new_token("laptop", NOW)
        catalogue.tokens.add(mine)
    clock = {"now": NOW}
    app = make_app(is_private=True, out=tmp_path, clock=lambda: clock["now"])
    far, owner = (
        Asker(app, client=FAR),
        Asker(app, client=FAR).with_headers(authorization=f"Bearer {owners}"),
    )
    good = {"reelshelf-feed": f"/feed/{feed}/rss.xml"}

    assert far("GET", "/api/access", headers=good).status == 204
    assert owner("GET", "/api/access").status == 204
    for wrong in (secret, owners, "A" * 43, feed[:-1] + "-"):
        bad = {"reelshelf-feed": f"/feed/{wrong}/rss.xml"}
        assert owner("GET", "/api/access", headers=bad).status == 401
    assert far("GET", "/api/videos/3", headers=good).status == 401
    assert far("POST", "/api/session", {"token": feed}).status == 401
    clock["now"] = NOW + 100
    assert far("GET", "/api/access", headers=good).status == 401
