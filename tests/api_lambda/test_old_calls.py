"""Scripts of a former video server, replayed against the API of today."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from asking import Asker, Told, Tray, fetch, serving
from fastapi import FastAPI
from nginx_server import TEMPLATE, running, write_config
from old_library import OldLibrary

from api_lambda.app import ApiConfig, create_app
from api_lambda.owner_secrets import EnvSecrets
from generator.adapters.catalogue import Catalogue
from generator.core.delivery import nginx as nginx_conf
from generator.core.model import VideoId
from generator.devserver import DevServer, ServedSite

FILM = "100% sure #1 - é.mp4"
FORM = {"content-type": "application/x-www-form-urlencoded"}
PARTS = {"content-type": 'multipart/form-data; boundary="-b-"'}
FAR = ("192.0.2.7", 5000)
BROWSER = {"user-agent": "Mozilla/5.0"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = OldLibrary(tmp_path_factory.mktemp("old"))
    site.add({1: "other.mp4", 2: FILM, 3: "sub/12.mp4"}, {1: ["winter"], 2: ["winter", "fjord"]})
    site.build()
    site.engine.close()
    return site.folder / "state"


Make = Callable[..., FastAPI]


@pytest.fixture
def make(built: Path, tmp_path: Path) -> Iterator[Make]:
    state = shutil.copytree(built, tmp_path / "state")
    apps: list[FastAPI] = []

    def app(**more: Any) -> FastAPI:  # noqa: ANN401 (settings of the API)
        config = {"durable": False, "old_addresses": True, "clock": lambda: 1_790_000_000.0, **more}
        apps.append(create_app(ApiConfig(state, **config)))
        return apps[-1]

    yield app
    for made in apps:
        made.state.close()


@pytest.fixture
def owner(make: Make) -> Asker:
    return Asker(make())


def stats(folder: Path, video: int = 2) -> Any:  # noqa: ANN401 (stats)
    with Catalogue(folder / "state" / "catalogue.db") as catalogue:
        return catalogue.stats([VideoId(video)])[0]


def form(asker: Asker, path: str, **fields: str) -> Told:
    return asker("POST", path, urlencode(fields).encode(), headers=FORM)


def test_an_old_script_gets_the_answers_that_it_expects(owner: Asker, tmp_path: Path) -> None:
    def post(path: str, **body: object) -> Any:  # noqa: ANN401 (JSON)
        answer = owner("POST", path, {"filename": FILM, **body})
        assert answer.status == 200, answer.body
        return answer.json

    assert post("/rate", rating=4) == {"success": True, "filename": FILM, "rating": 4}
    assert post("/view")["views"] == 1
    assert post("/tag", tag="#New One")["tags"] == ["#fjord", "#new one", "#winter"]
    assert post("/delete_tag", tag="#fjord")["tags"] == ["#new one", "#winter"]
    assert post("/favorite") == {"success": True, "filename": FILM, "favorite": True}
    assert owner("GET", f"/get_views?filename={quote(FILM)}").json["views"] == 1
    assert owner("GET", f"/api/ratings/{FILM}").json["rating"] == 4
    assert owner("POST", f"/api/ratings/{FILM}", {"rating": 2}).json["rating"] == 2
    assert owner("GET", "/api/ratings/2").json["rating"] == 2
    after = stats(tmp_path)
    assert (after.stars, after.views, after.favorite) == (2, 1, True)
    assert tuple(after.tags) == ("new one", "winter")


def test_forms_are_as_good_as_json(owner: Asker, tmp_path: Path) -> None:
    assert form(owner, "/rate", filename=FILM, rating="5").json["rating"] == 5
    body = (
        f'---b-\r\nContent-Disposition: form-data; name="filename"\r\n\r\n{FILM}\r\n'
        '---b-\r\nContent-Disposition: form-data; name="tag"\r\n\r\n#é\r\n---b---\r\n'
    )
    answer = owner("POST", "/tag", body.encode(), headers=PARTS)
    assert answer.json["tags"] == ["#fjord", "#winter", "#é"]
    assert form(owner, "/favorite", filename=FILM, favorite="false").json["favorite"] is False
    assert form(owner, "/rate", filename=FILM, rating="0").json["rating"] == 0
    assert stats(tmp_path).stars is None


def test_a_name_of_digits_is_a_name_first_and_then_a_number(owner: Asker, tmp_path: Path) -> None:
    assert owner("POST", "/api/ratings/12.mp4", {"rating": 3}).status == 200
    assert owner("POST", "/rate", {"filename": 1, "rating": 1}).status == 200
    assert (stats(tmp_path, 3).stars, stats(tmp_path, 1).stars) == (3, 1)


def test_popular_tags_come_by_the_number_of_their_videos(owner: Asker) -> None:
    tags = owner("GET", "/api/tags/popular").json["tags"]

    assert tags == [{"tag": "#winter", "count": 2}, {"tag": "#fjord", "count": 1}]
    assert len(owner("GET", "/api/tags/popular?limit=1").json["tags"]) == 1


def test_a_request_that_a_browser_sends_again_counts_once(owner: Asker, tmp_path: Path) -> None:
    for path in ("/view", "/view", "/favorite", "/favorite"):
        assert owner("POST", path, {"filename": FILM}, headers=BROWSER).status == 200

    after = stats(tmp_path)
    assert (after.views, after.favorite) == (1, True)


def test_a_favorite_is_switched_back_by_a_later_request(make: Make, tmp_path: Path) -> None:
    now = [1_790_000_000.0]
    owner = Asker(make(clock=lambda: now[0]))
    outcomes = []
    for _ in range(3):
        outcomes.append(owner("POST", "/favorite", {"filename": FILM}).json["favorite"])
        now[0] += 3

    assert outcomes == [True, False, True]
    assert stats(tmp_path).favorite


def test_visitors_may_what_they_may_elsewhere(make: Make, tmp_path: Path) -> None:
    visitor = Asker(make(visitors_may=frozenset({"view"})), FAR)
    assert visitor("POST", "/view", {"filename": FILM}).json["views"] == 1
    for path, body in (("/rate", {"rating": 1}), ("/tag", {"tag": "x"}), ("/favorite", {})):
        assert visitor("POST", path, {"filename": FILM, **body}).status == 403
    assert visitor("POST", f"/api/ratings/{FILM}", {"rating": 1}).status == 403

    voter = Asker(make(visitors_may=frozenset({"rate", "favorite"})), FAR)
    answer = voter("POST", "/rate", {"filename": FILM, "rating": 5})
    (cookie,) = answer.cookies.items()
    again = voter.with_headers(cookie="=".join(cookie))
    assert again("GET", f"/api/ratings/{FILM}").json["rating"] == 5
    assert (stats(tmp_path).stars, stats(tmp_path).votes) == (None, 1)


def test_the_rate_limit_counts_old_calls(make: Make) -> None:
    visitor = Asker(make(visitor_writes_per_minute=2), FAR)
    answer = [visitor("POST", "/view", {"filename": FILM}).status for _ in range(3)]
    assert answer == [200, 200, 429]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"user-agent": "Mozilla/5.0 (old)"},
        {"cookie": "reelshelf_session=x"},
    ],
)
def test_a_form_of_another_site_is_refused(owner: Asker, headers: dict[str, str]) -> None:
    body = urlencode({"filename": FILM, "rating": "1"}).encode()

    assert owner("POST", "/rate", body, headers={**FORM, **headers}).status == 403


def test_a_form_of_this_site_is_taken(owner: Asker) -> None:
    body = urlencode({"filename": FILM, "rating": "1"}).encode()
    own = {**FORM, "user-agent": "Mozilla/5.0", "sec-fetch-site": "same-origin"}

    assert owner("POST", "/rate", body, headers=own).status == 200


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/rate", {"filename": "none.mp4", "rating": 3}, 404),
        ("/rate", {"filename": FILM, "rating": 6}, 422),
        ("/rate", {"filename": FILM}, 422),
        ("/rate", {"rating": 3}, 422),
        ("/tag", {"filename": FILM, "tag": ""}, 422),
        ("/view", {"filename": "x" * 2000}, 422),
        ("/rate", b"{", 400),
    ],
)
def test_bad_input_gets_a_problem(owner: Asker, path: str, body: object, status: int) -> None:
    answer = owner("POST", path, body)

    assert answer.status == status
    assert answer.header("content-type") == "application/problem+json"


def test_forms_are_not_taken_elsewhere(owner: Asker) -> None:
    assert owner("PUT", "/api/videos/2/rating", b"stars=3", headers=FORM).status == 415


def test_without_the_setting_there_are_no_old_calls(make: Make) -> None:
    owner = Asker(make(old_addresses=False))
    for path in ("/rate", "/view", "/tag", "/delete_tag", "/favorite", "/api/ratings/2"):
        assert owner("POST", path, {"filename": FILM, "rating": 3, "tag": "x"}).status == 404


def test_the_document_has_them_as_deprecated(owner: Asker) -> None:
    paths = owner("GET", "/api/openapi.json").json["paths"]

    old = {
        path
        for path, methods in paths.items()
        if any(m.get("deprecated") for m in methods.values())
    }
    assert old == {
        "/rate", "/view", "/tag", "/delete_tag", "/favorite", "/get_views",
        "/api/ratings/{name}", "/api/tags/popular",
    }  # fmt: skip
    assert "multipart/form-data" in paths["/rate"]["post"]["requestBody"]["content"]
    assert "deprecated" not in paths["/api/session"]["get"]


def test_before_a_queue_numbers_are_understood_and_names_are_not(tmp_path: Path) -> None:
    secrets, tray = EnvSecrets(secret="5e" * 32), Tray()
    config = ApiConfig(
        tmp_path / "nowhere", secrets=secrets, old_addresses=True, owner_on_loopback="always"
    )
    app = create_app(config, tray)
    owner = Asker(app)
    try:
        answer = owner("POST", "/rate", {"filename": 7, "rating": 4})
        assert (answer.status, answer.json["rating"]) == (200, 4)
        assert json.loads(tray.bodies[0])["video"] == 7
        assert owner("POST", "/tag", {"filename": "7", "tag": "#x"}).json["success"] is True
        assert owner("POST", "/favorite", {"filename": "7"}).status == 422
        assert owner("POST", "/favorite", {"filename": "7", "favorite": True}).json["favorite"]
        assert owner("POST", "/rate", {"filename": FILM, "rating": 4}).status == 501
        assert owner("GET", "/api/tags/popular").status == 501
        assert len(tray.bodies) == 3
    finally:
        app.state.close()


@pytest.mark.parametrize("base", ["", "/films"])
def test_nginx_passes_old_calls_to_the_api(
    built: Path,
    tmp_path: Path,
    program: Callable[[str], str],
    free_port: Callable[[], int],
    base: str,
) -> None:
    state, socket, port = shutil.copytree(built, tmp_path / "state"), tmp_path / "s", free_port()
    socket.mkdir()
    place = f"unix:{socket}/api"
    text = nginx_conf.config(
        TEMPLATE,
        out=str(tmp_path),
        roots={"": str(tmp_path)},
        listen=f"127.0.0.1:{port}",
        server_name="_",
        base=base,
        api=place,
        old_addresses=True,
    )
    main = write_config(tmp_path / "nginx", text)
    options = ("--socket", f"{socket}/api")
    settings = {"REELSHELF_OLD_ADDRESSES": "true", "REELSHELF_SITE_URL": f"http://x{base}"}
    with serving(state, *options, **settings), running(program("nginx"), main, port):
        for path in (f"{socket}/api", str(socket)):
            Path(path).chmod(0o777)
        answer = fetch(port, "POST", f"{base}/view", {"filename": FILM})
        assert (answer.status, answer.json["views"]) == (200, 1), answer.body
        assert fetch(port, "GET", f"{base}/get_views?filename={quote(FILM)}").json["views"] == 1
        assert fetch(port, "GET", f"{base}/api/ratings/{quote(FILM)}").json["rating"] == 0
        assert fetch(port, "POST", f"{base}/rate", {"filename": FILM, "rating": 3}).status == 403


def test_the_dev_server_passes_old_calls_to_the_api(make: Make, tmp_path: Path) -> None:
    site = ServedSite(tmp_path, {}, "/films", api=make(), old_addresses=True)
    server = DevServer(site)
    server.start()
    thread = Thread(target=server.run)
    thread.start()
    try:
        port = urlsplit(server.address).port or 80
        answer = fetch(port, "POST", "/films/rate", {"filename": FILM, "rating": 3})
        assert answer.json == {"success": True, "filename": FILM, "rating": 3}
        assert fetch(port, "POST", "/rate", {"filename": FILM, "rating": 1}).status == 405
        assert fetch(port, "GET", f"/films/get_views?filename={quote(FILM)}").json["views"] == 0
    finally:
        server.stop()
        thread.join()
