"""What requests are taken, what they are answered, and how they are refused."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking import SESSION_COOKIE, VISITOR_COOKIE, Asker
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from api_lambda import events
from api_lambda.credentials import new_token
from api_lambda.rate_limit import RateLimit
from generator.adapters.catalogue import Catalogue
from generator.adapters.ledger import Ledger

FAR = ("192.0.2.7", 5000)
NOW = 1_800_000_000
EVERYTHING = frozenset({"view", "rate", "favorite"})
Make = Callable[..., FastAPI]


# -- what is taken


def test_a_write_answers_with_its_event_the_new_figures_and_where_to_ask(owner: Asker) -> None:
    response = owner("PUT", "/api/videos/3/rating", {"stars": 4}, key="my-own-key").json

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", response.pop("at"))
    assert response["video"]["stars"] == 4
    assert response["video"]["version"] == response["seq"]
    assert response["event"] == "my-own-key"
    assert response["receipt"] == "/api/receipts/my-own-key"
    assert owner("GET", "/api/videos/3").json.items() >= response["video"].items()


def test_everything_that_was_done_can_be_undone(owner: Asker) -> None:
    before = owner("GET", "/api/videos/5").json

    owner("PUT", "/api/videos/5/rating", {"stars": 1})
    owner("PUT", "/api/videos/5/favorite")
    owner("POST", "/api/videos/5/tags", {"tags": ["  #Fjord ", "a/b", "#", ""]})
    between = owner("GET", "/api/videos/5").json
    owner("DELETE", "/api/videos/5/rating")
    owner("DELETE", "/api/videos/5/favorite")
    owner("DELETE", "/api/videos/5/tags/FJORD")
    owner("DELETE", "/api/videos/5/tags/a/b")
    after = owner("GET", "/api/videos/5").json

    assert (between["stars"], between["favorite"]) == (1, True)
    assert set(between["tags"]) - set(before["tags"]) == {"fjord", "a/b"}
    assert (after["stars"], after["favorite"], after["tags"]) == (None, False, before["tags"])


def test_tags_are_exactly_those_that_are_put_and_none_after_all_are_taken(owner: Asker) -> None:
    put = owner("PUT", "/api/videos/4/tags", {"tags": ["Zoo", "ärger"]}).json["video"]["tags"]
    taken = owner("DELETE", "/api/videos/4/tags").json["video"]["tags"]

    assert (put, taken) == (["zoo", "ärger"], [])


def test_the_same_key_again_changes_nothing_and_answers_the_same(owner: Asker) -> None:
    first = owner("POST", "/api/videos/3/views", key="a-key-of-mine").json
    owner("PUT", "/api/videos/3/favorite")

    again = owner("POST", "/api/videos/3/views", key="a-key-of-mine").json

    assert {**again, "video": first["video"]} == first
    assert again["video"]["views"] == first["video"]["views"]
    assert again["video"]["version"] > first["video"]["version"]


@pytest.mark.parametrize(
    "other",
    [
        ("PUT", "/api/videos/3/rating", {"stars": 5}),
        ("PUT", "/api/videos/4/rating", {"stars": 4}),
        ("PUT", "/api/videos/3/favorite", None),
        ("POST", "/api/rebuild", None),
    ],
)
def test_the_same_key_for_another_thing_is_a_conflict(owner: Asker, other: tuple[Any, ...]) -> None:
    owner("PUT", "/api/videos/3/rating", {"stars": 4}, key="a-key-of-mine")

    answer = owner(*other, key="a-key-of-mine")

    assert answer.status == 409
    assert owner("GET", "/api/videos/3").json["stars"] == 4


def test_a_visit_counts_once_an_hour_however_often_it_is_told(make_app: Make) -> None:
    instant = [float(NOW)]
    visitor = Asker(make_app(clock=lambda: instant[0]), client=FAR)
    body = {"visit": "one-visit"}

    def views(visit: object) -> int:
        counted: int = visitor("POST", "/api/videos/3/views", visit).json["video"]["views"]
        return counted

    first = views(body)
    again, other, nameless, nameless_again = (
        views(one) for one in (body, {"visit": "another-visit"}, None, {})
    )
    instant[0] += 3600
    later = views(body)

    assert (again, other, nameless, nameless_again) == (first, first + 1, first + 2, first + 2)
    assert later == first + 3


def test_nothing_of_who_watched_is_in_the_catalogue(state: Path, make_app: Make) -> None:
    app = make_app(visitors_may=EVERYTHING)
    visitor = Asker(app, client=("203.0.113.77", 4711)).with_headers(user_agent="Browser-77")

    visitor("POST", "/api/videos/3/views")
    visitor("POST", "/api/videos/4/views", {"visit": "the-visit-word"})
    visitor("PUT", "/api/videos/4/rating", {"stars": 2})
    app.state.close()

    files = b"".join(file.read_bytes() for file in state.iterdir())
    assert b"Viewed" in files
    assert [
        word for word in (b"203.0.113", b"Browser-77", b"the-visit-word") if word in files
    ] == []


def test_the_salt_of_the_day_before_yesterday_is_gone_to_the_byte(
    state: Path, make_app: Make
) -> None:
    instant = [float(NOW)]
    app = make_app(clock=lambda: instant[0])
    visitor = Asker(app, client=FAR)
    visitor("POST", "/api/videos/3/views")
    day = events.day_of(NOW)
    with Catalogue(state / "catalogue.db") as catalogue:
        salt = catalogue.tokens.salt(day).hex().encode()

    for _ in range(2):
        instant[0] += 86400
        visitor("POST", "/api/videos/3/views")
    app.state.close()

    assert salt not in (state / "catalogue.db").read_bytes()


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("days", [[1], [30], [-1], [-30], [400, 0, 400], [1, -1, 0, 1]])
def test_a_visit_counts_once_whatever_the_clock_did_meanwhile(
    days: list[int], make_app: Make, *, restarted: bool
) -> None:
    instant = [float(NOW)]
    visitor = Asker(make_app(clock=lambda: instant[0]), client=FAR)

    def views(video: int) -> int:
        who = Asker(make_app(clock=lambda: instant[0]), client=FAR) if restarted else visitor
        counted: int = who("POST", f"/api/videos/{video}/views").json["video"]["views"]
        return counted

    first = views(3)
    for day in days:
        instant[0] = NOW + 86400 * day
        views(4)
    instant[0] = NOW

    assert views(3) == first


def test_visitors_have_one_vote_each_and_the_owner_keeps_his_rating(make_app: Make) -> None:
    app = make_app(visitors_may=EVERYTHING)
    owner, stranger = Asker(app), Asker(app, client=FAR)
    owner("PUT", "/api/videos/3/rating", {"stars": 5})
    pseudonym = stranger("GET", "/api/videos/3").cookies[VISITOR_COOKIE]
    returning = stranger.with_headers(cookie=f"{VISITOR_COOKIE}={pseudonym}")

    returning("PUT", "/api/videos/3/rating", {"stars": 1})
    returning("PUT", "/api/videos/3/rating", {"stars": 2})
    returning("PUT", "/api/videos/3/favorite")
    stranger("PUT", "/api/videos/3/rating", {"stars": 4})

    response = returning("GET", "/api/videos/3")
    assert response.cookies == {}
    assert (response.json["stars"], response.json["rating"]["votes"]) == (5, 2)
    assert 2 < response.json["rating"]["mean"] < 4
    assert response.json["you"]["stars"] == 2
    assert response.json["you"]["favorite"]
    forged = stranger.with_headers(cookie=f"{VISITOR_COOKIE}=x{pseudonym}")
    assert forged("GET", "/api/videos/3").json["you"]["stars"] is None


def test_a_first_vote_whose_answer_got_lost_may_be_sent_again(make_app: Make) -> None:
    stranger = Asker(make_app(visitors_may=EVERYTHING), client=FAR)

    first, again = (
        stranger("PUT", "/api/videos/3/rating", {"stars": 4}, key="first-vote") for _ in range(2)
    )

    assert (first.status, again.json, again.cookies) == (200, first.json, first.cookies)
    assert again.json["video"]["rating"]["votes"] == 1


def test_who_may_only_watch_gets_no_cookie(make_app: Make) -> None:
    visitor = Asker(make_app(), client=FAR)

    answers = (visitor("GET", "/api/videos/3"), visitor("POST", "/api/videos/3/views"))

    assert [one.cookies for one in answers] == [{}, {}]


# -- what is told


def test_the_state_tells_what_changed_since(owner: Asker) -> None:
    before = owner("GET", "/api/changes").json
    owner("PUT", "/api/videos/3/favorite")
    owner("PUT", "/api/videos/7/rating", {"stars": 2})

    after = owner("GET", f"/api/changes?since={before['version']}").json

    assert (before["complete"], before["videos"]) == (False, [])
    assert (after["complete"], after["version"]) == (True, before["version"] + 2)
    assert [one["id"] for one in after["videos"]] == [3, 7]


def test_health_has_the_number_of_the_last_event(owner: Asker) -> None:
    written = owner("PUT", "/api/videos/3/favorite").json

    assert owner("GET", "/api/health").json == {"status": "ok", "last_event": written["seq"]}


def test_a_random_video_is_one_of_those_that_are_wanted(owner: Asker) -> None:
    owner("PUT", "/api/videos/3/tags", {"tags": ["fjord"]})
    owner("PUT", "/api/videos/3/rating", {"stars": 4})

    drawn = owner("GET", "/api/random?tag=%23Fjord&stars=4").json
    anything = {owner("GET", "/api/random").json["id"] for _ in range(60)}

    assert drawn["id"] == 3
    assert re.fullmatch(r"/watch/[a-z0-9-]+-3\.html", drawn["url"])
    assert owner("GET", "/api/random?tag=fjord&stars=5").status == 404
    assert len(anything) > 10


def test_a_receipt_is_waited_for_until_pages_show_the_event(owner: Asker, state: Path) -> None:
    response = owner("PUT", "/api/videos/3/rating", {"stars": 4}).json
    waiting = owner("GET", response["receipt"]).json

    async def settled() -> dict[str, Any]:
        asked = asyncio.create_task(owner.ask("GET", response["receipt"] + "?wait=10"))
        await asyncio.sleep(0)
        with Ledger(state / "ledger.db") as ledger, ledger.transaction():
            for number in (1, 2):
                cursor = response["seq"] + number - 2
                ledger.put_refresh(number, 0, 0, cursor, json.dumps({"number": number}))
        answer: dict[str, Any] = (await asked).json
        return answer

    assert waiting == {
        "event": response["event"], "seq": response["seq"], "state": "waiting", "refresh": None,
    }  # fmt: skip
    assert asyncio.run(settled()) == {**waiting, "state": "shown", "refresh": {"number": 2}}
    assert owner("GET", "/api/receipts/no-such-event").status == 404


def test_a_site_below_a_folder_has_its_name_in_every_address(make_app: Make) -> None:
    owner = Asker(make_app(base="/films"))

    told = owner("PUT", "/api/videos/3/favorite").json

    assert told["receipt"].startswith("/films/api/receipts/")
    assert owner("GET", "/api/videos/3").json["url"].startswith("/films/watch/")


def test_a_wish_for_a_rebuild_is_an_event(owner: Asker, state: Path) -> None:
    answer = owner("POST", "/api/rebuild", {"full": True})

    with Catalogue(state / "catalogue.db") as catalogue:
        assert catalogue.asked_since(answer.json["seq"] - 1) == (True, True)
        assert catalogue.asked_since(answer.json["seq"]) == (False, False)
    assert answer.status == 202
    assert answer.json.keys() == {"event", "seq", "receipt"}


# -- what is refused

RATING = ("PUT", "/api/videos/3/rating")
RETRY, FILE = ("POST", "/api/problems/retry"), {"root": "", "path": "film.mp4"}
REFUSED: list[tuple[str, tuple[Any, ...], dict[str, str], int]] = [
    ("no such video", ("PUT", "/api/videos/99/rating", {"stars": 3}), {}, 404),
    ("a number no file can hold", ("GET", "/api/videos/9999999999999999999"), {}, 404),
    ("no number", ("GET", "/api/videos/x"), {}, 404),
    ("no such address", ("GET", "/api/nothing"), {}, 404),
    ("another method", ("PATCH", "/api/videos/3/rating"), {}, 405),
    ("too few stars", (*RATING, {"stars": 0}), {}, 422),
    ("too many stars", (*RATING, {"stars": 6}), {}, 422),
    ("half a star", (*RATING, {"stars": 2.5}), {}, 422),
    ("stars in words", (*RATING, {"stars": "4"}), {}, 422),
    ("a truth of stars", (*RATING, {"stars": True}), {}, 422),
    ("an unknown field", (*RATING, {"stars": 4, "more": 1}), {}, 422),
    ("a list", (*RATING, [4]), {}, 422),
    ("no body", RATING, {"content-type": "application/json"}, 400),
    ("half a body", (*RATING, b'{"stars": 4'), {}, 400),
    ("no UTF-8", (*RATING, b'{"stars": 4, "\xff": 1}'), {}, 400),
    ("half a character", ("PUT", "/api/videos/3/tags", b'{"tags": ["\\ud800"]}'), {}, 400),
    ("a form", (*RATING, b"stars=4"), {"content-type": "application/x-www-form-urlencoded"}, 415),
    ("plain text", (*RATING, b'{"stars": 4}'), {"content-type": "text/plain"}, 415),
    ("another charset", (*RATING, b"{}"), {"content-type": "application/json; charset=x"}, 415),
    ("a long body", (*RATING, b" " * 16385), {}, 413),
    ("a body that says it is long", (*RATING, b"{}"), {"content-length": "16385"}, 413),
    ("a short key", (*RATING, {"stars": 4}), {"idempotency-key": "short"}, 422),
    ("a key with a space", (*RATING, {"stars": 4}), {"idempotency-key": "not a key"}, 422),
    ("a long tag", ("PUT", "/api/videos/3/tags", {"tags": ["x" * 65]}), {}, 422),
    ("many tags", ("PUT", "/api/videos/3/tags", {"tags": ["x"] * 51}), {}, 422),
    ("a short visit", ("POST", "/api/videos/3/views", {"visit": "x"}), {}, 422),
    ("an unknown question", ("GET", "/api/changes?until=3"), {}, 422),
    ("a question asked twice", ("GET", "/api/changes?since=3&since=4"), {}, 422),
    ("a negative version", ("GET", "/api/changes?since=-1"), {}, 422),
    ("no files to try again", (*RETRY, {}), {}, 422),
    ("none of all files", (*RETRY, {"all": False}), {}, 422),
    ("all files, in a number", (*RETRY, {"all": 1}), {}, 422),
    ("all files and some", (*RETRY, {"all": True, "places": [FILE]}), {}, 422),
    ("an empty list of files", (*RETRY, {"places": []}), {}, 422),
    ("many files", (*RETRY, {"places": [FILE] * 101}), {}, 422),
    ("a file without a folder", (*RETRY, {"places": [{"path": "x"}]}), {}, 422),
    ("a file that is none", (*RETRY, {"places": [None]}), {}, 422),
    ("nothing said of files", RETRY, {"content-type": "application/json"}, 400),
    ("a cursor that is none", ("GET", "/api/problems?after=a%2Fb"), {}, 422),
    ("a long wait", ("GET", "/api/receipts/an-event?wait=11"), {}, 422),
    ("an endless wait", ("GET", "/api/receipts/an-event?wait=inf"), {}, 422),
    ("a wrong token", ("POST", "/api/session", {"token": "rs_nothing"}), {}, 401),
]


@pytest.mark.parametrize(
    ("request_", "headers", "status"),
    [one[1:] for one in REFUSED],
    ids=[one[0] for one in REFUSED],
)
def test_what_is_refused_is_told_as_a_problem_and_changes_nothing(
    owner: Asker, request_: tuple[Any, ...], headers: dict[str, str], status: int
) -> None:
    before = owner("GET", "/api/health").json

    answer = owner(*request_, headers=headers)

    assert answer.status == status, answer.body
    assert answer.header("content-type") == "application/problem+json"
    assert answer.header("cache-control") == "no-store"
    assert answer.json["status"] == status
    assert answer.json["detail"]
    assert owner("GET", "/api/health").json == before


def test_a_refused_method_names_those_that_are_taken(owner: Asker) -> None:
    assert owner("PATCH", "/api/videos/3/rating").header("allow") == "PUT, DELETE"
    assert owner("DELETE", "/api/videos/3").header("allow") == "GET, HEAD"


def test_a_look_without_the_body_is_answered_as_with_it(owner: Asker) -> None:
    owner = owner.with_headers(x_request_id="the-same-one")
    whole, head = owner("GET", "/api/videos/3"), owner("HEAD", "/api/videos/3")

    assert (head.status, head.headers, head.body) == (200, whole.headers, b"")


# -- limits and sessions


def test_a_visitor_who_writes_too_often_is_told_when_to_come_again(make_app: Make) -> None:
    instant = [float(NOW)]
    app = make_app(clock=lambda: instant[0], visitor_writes_per_minute=3)
    visitor, other, owner = (
        Asker(app, client=FAR), Asker(app, client=("192.0.2.8", 1)), Asker(app),
    )  # fmt: skip
    view = ("POST", "/api/videos/3/views")

    statuses = [visitor(*view).status for _ in range(4)]
    refused = visitor(*view)

    assert statuses == [200, 200, 200, 429]
    assert other(*view).status == 200
    assert [owner(*view).status for _ in range(9)] == [200] * 9
    instant[0] += int(refused.header("retry-after") or 0)
    assert visitor(*view).status == 200


def test_a_proxy_is_believed_only_about_its_last_word_and_only_if_it_is_ours(
    make_app: Make,
) -> None:
    app = make_app(visitor_writes_per_minute=1)
    view = ("POST", "/api/videos/3/views")

    def status(client: tuple[str, int] | None, told: str) -> int:
        return Asker(app, client=client)(*view, headers={"x-forwarded-for": told}).status

    assert status(None, "10.0.0.1, 198.51.100.1") == 200
    assert status(("127.0.0.1", 1), "10.0.0.2, 198.51.100.1") == 429
    assert status(None, "198.51.100.2") == 200
    assert status(FAR, "198.51.100.3") == 200
    assert status(FAR, "198.51.100.4") == 429
    assert status(None, "2001:db8::1") == 200
    assert status(None, "2001:db8::2") == 429


@given(
    times=st.lists(st.floats(0, 300), max_size=60).map(sorted),
    most=st.integers(1, 5),
)
def test_a_limit_lets_pass_no_more_than_it_says_and_tells_the_truth(
    times: list[float], most: int
) -> None:
    limit, passed = RateLimit(most, 60), []

    for now in times:
        wait_s = limit.wait_s("one", now)
        if not wait_s:
            passed.append(now)
        else:
            assert 1 <= wait_s <= 120

    windows = [sum(1 for one in passed if one // 60 == number) for number in range(6)]
    assert max(windows) <= most


def test_the_end_of_a_minute_is_no_new_beginning() -> None:
    limit = RateLimit(4, 60)

    passed = [not limit.wait_s("one", now) for now in (59, 59, 59, 59, 61, 89, 91, 119)]

    assert passed == [True] * 4 + [False, True, True, True]


def test_logging_in_and_out_and_the_end_of_a_token(state: Path, make_app: Make) -> None:
    stranger = Asker(make_app(), client=FAR)
    with Catalogue(state / "catalogue.db") as catalogue:
        made, secret = new_token("phone", NOW)
        catalogue.tokens.add(made)

        began = stranger("POST", "/api/session", {"token": secret})
        (cookie,) = (value for name, value in began.headers if name == "set-cookie")
        returning = stranger.with_headers(
            cookie=f"{SESSION_COOKIE}={began.cookies[SESSION_COOKIE]}"
        )
        role = returning("GET", "/api/session").json["role"]
        ended = returning("DELETE", "/api/session")
        catalogue.tokens.revoke(made.id, NOW)

    assert (began.status, role) == (204, "owner")
    assert cookie.startswith("__Host-reelshelf-8001=")
    assert cookie.endswith("; Secure; HttpOnly; SameSite=Strict")
    assert "; Path=/;" in cookie
    assert ended.cookies == {SESSION_COOKIE: ""}
    assert returning("GET", "/api/session").json["role"] == "visitor"


def test_guessing_tokens_is_slow(make_app: Make) -> None:
    stranger = Asker(make_app(clock=lambda: float(NOW)), client=FAR)

    statuses = [stranger("POST", "/api/session", {"token": f"rs_{n}"}).status for n in range(20)]

    assert statuses == [401] * 15 + [429] * 5


def test_the_secret_of_cookies_is_for_the_owner_of_the_folder_only(
    state: Path, make_app: Make
) -> None:
    one, other = (Asker(make_app(visitors_may=EVERYTHING), client=FAR) for _ in range(2))

    pseudonym = one("GET", "/api/videos/3").cookies[VISITOR_COOKIE]
    known = other.with_headers(cookie=f"{VISITOR_COOKIE}={pseudonym}")

    assert known("GET", "/api/videos/3").cookies == {}
    assert (state / "api-secret").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in state.iterdir() if file.name.startswith(".api")] == []


def test_what_was_meant_as_the_owners_is_no_visitors_vote(make_app: Make) -> None:
    app = make_app(visitors_may=EVERYTHING)
    visitor = Asker(app, client=FAR)

    told = visitor("PUT", "/api/videos/3/rating", {"stars": 5}, headers={"reelshelf-as": "owner"})

    assert told.status == 401
    assert visitor("GET", "/api/videos/3").json["rating"] is None


def test_over_plain_http_a_visitor_is_known_again_too(make_app: Make) -> None:
    plain = Asker(make_app(visitors_may=EVERYTHING), client=FAR, extra={"scheme": "http"})
    ((name, value),) = plain("GET", "/api/videos/3").cookies.items()
    returning = plain.with_headers(cookie=f"{name}={value}")

    for stars in (1, 2, 3):
        response = returning("PUT", "/api/videos/3/rating", {"stars": stars})

    assert not name.startswith("__Host-")
    assert response.json["video"]["rating"]["votes"] == 1
    secure = returning.with_headers(x_forwarded_proto="https", cookie="")
    assert list(secure("GET", "/api/videos/3").cookies) == [VISITOR_COOKIE]
