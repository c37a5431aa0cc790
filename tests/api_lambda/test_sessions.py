"""Sessions end on the server, sites of one host have cookies of their own, secrets are secret."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import Asker
from cloud import Redis, redis_server
from fastapi import FastAPI

from api_lambda.app import ApiConfig, create_app
from api_lambda.credentials import SESSION_COOKIE, Cookies, digest, kept_secret, new_token, site_of
from api_lambda.owner_secrets import EnvSecrets
from api_lambda.rate_limit import FailedAttempts
from generator.adapters.catalogue import Catalogue
from generator.adapters.redis_state import RedisState
from generator.core.errors import SettingsError

NOW = 1_795_000_000
FAR = ("192.0.2.7", 5000)
Make = Callable[..., FastAPI]


@pytest.fixture
def secret(state: Path) -> str:
    """Return a token of the owner's."""
    with Catalogue(state / "catalogue.db") as catalogue:
        made, told = new_token("phone", NOW)
        catalogue.tokens.add(made)
    return told


def signed_in(asker: Asker, secret: str) -> Asker:
    """Return who has a session."""
    ((name, value),) = asker("POST", "/api/session", {"token": secret}).cookies.items()
    return asker.with_headers(cookie=f"{name}={value}")


def role(asker: Asker) -> str:
    told: str = asker("GET", "/api/session").json["role"]
    return told


def test_a_session_that_was_ended_is_over_in_every_process_and_after_a_restart(
    make_app: Make, secret: str
) -> None:
    here, other = (Asker(make_app(), client=FAR) for _ in range(2))
    phone, laptop = signed_in(here, secret), signed_in(here, secret)
    elsewhere = Asker(other.app, client=FAR, headers=phone.headers)
    assert (role(phone), role(elsewhere)) == ("owner", "owner")

    ended = phone("DELETE", "/api/session")
    again = phone("DELETE", "/api/session")  # the other tab

    restarted = Asker(make_app(), client=FAR, headers=phone.headers)
    assert (ended.status, again.status) == (204, 204)
    assert [role(one) for one in (phone, elsewhere, restarted)] == ["visitor"] * 3
    assert role(laptop) == "owner"


def test_a_cookie_of_the_version_before_is_good_and_can_be_ended(
    state: Path, make_app: Make
) -> None:
    asker = Asker(make_app(clock=lambda: float(NOW)), client=FAR)
    with Catalogue(state / "catalogue.db") as catalogue:
        catalogue.tokens.add(new_token("phone", NOW)[0])
    with Catalogue(state / "catalogue.db") as catalogue:
        ((token, _),) = catalogue.tokens.valid()
    value = Cookies(kept_secret(state))._sessions.sign(f"{token}|{NOW + 99}").decode()  # noqa: SLF001
    old = asker.with_headers(cookie=f"{SESSION_COOKIE}={value}")

    before = role(old)
    ended = old("DELETE", "/api/session")

    assert (before, role(old)) == ("owner", "visitor")
    assert set(ended.cookies) == {SESSION_COOKIE, f"{SESSION_COOKIE}-8001"}


def test_what_is_kept_of_ended_sessions_goes_with_their_time(state: Path) -> None:
    with Catalogue(state / "catalogue.db") as catalogue:
        catalogue.tokens.end("one", NOW + 10, NOW)
        catalogue.tokens.end("two", NOW + 99, NOW + 9)
        kept = [catalogue.tokens.is_ended(one) for one in ("one", "two", "three")]
        catalogue.tokens.end("three", NOW + 99, NOW + 10)
        later = [catalogue.tokens.is_ended(one) for one in ("one", "two", "three")]
        assert catalogue.identity()

    assert kept == [True, True, False]
    assert later == [False, True, True]


def test_only_who_has_a_session_can_end_one(state: Path, make_app: Make, secret: str) -> None:
    asker = Asker(make_app(), client=FAR)
    owner = signed_in(asker, secret)
    cookie = owner.headers["cookie"]
    other = "y" if cookie[-9] == "x" else "x"  # not the last letter: some of its bits do not count
    forged = asker.with_headers(cookie=cookie[:-9] + other + cookie[-8:])

    assert forged("DELETE", "/api/session").status == 204
    with Catalogue(state / "catalogue.db") as catalogue:
        rows = catalogue._connection.execute("SELECT name FROM fact")  # noqa: SLF001
        assert [name for (name,) in rows if name.startswith("ended/")] == []
    assert role(owner) == "owner"


@pytest.fixture(scope="module")
def redis(
    program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Redis]:
    program("redis-server")
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


def test_before_a_queue_a_session_ends_in_every_process_that_shares_a_redis(
    redis: Redis, tmp_path: Path
) -> None:
    shared = RedisState(redis.address)
    shared.put_keys([("one", digest("rs_mine"))], bytes(32), had_token=True)
    apps = [
        create_app(ApiConfig(tmp_path, queue=redis.address, clock=lambda: float(NOW)))
        for _ in range(2)
    ]
    here, other = (Asker(app, client=FAR) for app in apps)
    phone = signed_in(here, "rs_mine")
    elsewhere = Asker(other.app, client=FAR, headers=phone.headers)
    before = (role(phone), role(elsewhere))

    phone("DELETE", "/api/session")

    assert before == ("owner", "owner")
    assert (role(phone), role(elsewhere)) == ("visitor", "visitor")
    for app in apps:
        app.state.close()
    shared.close()


# -- two sites on one host


@pytest.mark.parametrize(
    ("host", "base", "site"),
    [
        ("films.example", "", ""),
        ("films.example:443", "", ""),
        ("films.example:80", "", ""),
        ("films.example:8443", "", "-8443"),
        ("films.example", "/films", "%2Ffilms"),
        ("films.example:8443", "/a/b", "-8443%2Fa%2Fb"),
        ("[::1]:8001", "", "-8001"),
        ("[::1]", "", ""),
        ("8001", "", ""),
        ("", "", ""),
        ("x:1;y=2", "", ""),
        ("x:123456", "", ""),
    ],
)
def test_a_sites_cookies_are_named_by_its_port_and_folder(host: str, base: str, site: str) -> None:
    assert site_of(host, base) == site


@pytest.mark.parametrize("other", [{"host": "localhost:8002"}, {"base": "/films"}])
def test_two_sites_of_one_host_leave_each_other_alone(
    other: dict[str, str], make_app: Make, secret: str, tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    with Catalogue(theirs / "catalogue.db") as catalogue:
        made, their_secret = new_token("theirs", NOW)
        catalogue.tokens.add(made)
    app = create_app(ApiConfig(theirs, durable=False, base=other.get("base", "")))
    first = Asker(make_app(visitors_may=frozenset({"rate"})), client=FAR)
    two = Asker(app, client=FAR).with_headers(host=other.get("host", "localhost:8001"))

    jar = {
        **first("POST", "/api/session", {"token": secret}).cookies,
        **two("POST", "/api/session", {"token": their_secret}).cookies,
    }
    both = "; ".join(f"{name}={value}" for name, value in jar.items())
    first, two = first.with_headers(cookie=both), two.with_headers(cookie=both)
    roles = (role(first), role(two))
    gone = two("DELETE", "/api/session").cookies

    assert roles == ("owner", "owner")
    assert not set(gone) & {name for name in jar if name.endswith("-8001")} or "base" in other
    assert (role(first), role(two)) == ("owner", "visitor")
    app.state.close()


def test_a_visitor_of_the_version_before_keeps_his_vote_under_a_name_of_the_sites_own(
    state: Path, make_app: Make
) -> None:
    visitor = Asker(make_app(visitors_may=frozenset({"rate"})), client=FAR)
    old = Cookies(kept_secret(state)).visitor("somebody").partition(";")[0]

    told = visitor("PUT", "/api/videos/3/rating", {"stars": 2}, headers={"cookie": old})
    (cookie,) = (f"{name}={value}" for name, value in told.cookies.items())
    again = visitor("PUT", "/api/videos/3/rating", {"stars": 5}, headers={"cookie": cookie})

    assert cookie.startswith("__Host-reelshelf-visitor-8001=somebody.")
    assert again.json["video"]["rating"]["votes"] == 1
    assert again.cookies == {}


# -- tokens


def test_guessing_bearers_is_as_slow_as_signing_in_and_keeps_no_honest_program_out(
    make_app: Make, secret: str
) -> None:
    instant = [float(NOW)]
    stranger = Asker(make_app(clock=lambda: instant[0]), client=FAR)
    program = stranger.with_headers(authorization=f"Bearer {secret}")
    assert role(program) == "owner"

    wrong = [
        stranger("GET", "/api/session", headers={"authorization": f"Bearer rs_{n}"})
        for n in range(60)
    ]
    elsewhere = Asker(stranger.app, client=("198.51.100.9", 1), headers=program.headers)

    assert [one.status for one in wrong] == [401] * 15 + [429] * 45
    assert int(wrong[-1].header("retry-after") or 0) > 0
    assert role(program) == "owner"
    assert role(elsewhere) == "owner"
    assert stranger("POST", "/api/session", {"token": secret}).status == 429
    instant[0] += 601
    assert stranger("POST", "/api/session", {"token": secret}).status == 204


def test_while_somebody_guesses_no_new_token_is_believed_from_there(
    make_app: Make, secret: str
) -> None:
    stranger = Asker(make_app(clock=lambda: float(NOW)), client=FAR)
    for n in range(20):
        stranger("GET", "/api/session", headers={"authorization": f"Bearer rs_{n}"})

    lucky = stranger("GET", "/api/session", headers={"authorization": f"Bearer {secret}"})

    assert lucky.status == 429


def test_who_guessed_is_not_kept_for_ever() -> None:
    guesses = FailedAttempts()

    for n in range(10_000):
        guesses.block(str(n), NOW)
        guesses.trust(str(n), "token")

    assert guesses.is_trusted("9999", "token")
    assert not guesses.is_trusted("0", "token")
    assert len(guesses._until) <= 4096  # noqa: SLF001


def test_revoking_the_last_token_makes_nobody_the_owner_for_sitting_at_the_machine(
    state: Path, make_app: Make
) -> None:
    here = Asker(make_app())
    roles = [role(here)]
    with Catalogue(state / "catalogue.db") as catalogue:
        made, _ = new_token("phone", NOW)
        catalogue.tokens.add(made)
        roles.append(role(here))
        catalogue.tokens.revoke(made.id, NOW)

    refused = here("POST", "/api/rebuild")

    assert [*roles, role(here)] == ["owner", "visitor", "visitor"]
    assert refused.status == 403
    assert "reelshelf token new" in refused.json["detail"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"tokens": [], "had_token": False}, "owner"),
        ({"tokens": [], "had_token": True}, "visitor"),
        ({"tokens": [["one", digest("x")]]}, "visitor"),
    ],
)
def test_before_a_queue_it_is_the_same(
    keys: dict[str, Any], expected: str, redis: Redis, tmp_path: Path
) -> None:
    shared = RedisState(redis.address)
    shared._redis.set(shared._keys, json.dumps({**keys, "secret": "5e" * 16}))  # noqa: SLF001
    app = create_app(ApiConfig(tmp_path, queue=redis.address))

    assert role(Asker(app)) == expected
    app.state.close()
    shared.close()


@pytest.mark.parametrize("kept", ["{}", "no json", '{"tokens": [], "secret": "no hex"}'])
def test_keys_that_make_no_sense_let_nobody_in(kept: str, redis: Redis, tmp_path: Path) -> None:
    shared = RedisState(redis.address)
    shared._redis.set(shared._keys, kept)  # noqa: SLF001
    app = create_app(ApiConfig(tmp_path, queue=redis.address))

    assert Asker(app)("GET", "/api/session").status == 503
    app.state.close()
    shared.close()


def test_a_word_in_the_environment_that_there_are_no_tokens_is_one() -> None:
    from api_lambda.owner_secrets import key_ring, take_secrets  # noqa: PLC0415 (only here)

    told = take_secrets({"REELSHELF_SECRET": "5e" * 16, "REELSHELF_OWNER_DIGESTS": ""})
    rings = [key_ring(one, None) for one in (told, EnvSecrets(secret="5e" * 16))]
    for ring in rings:
        ring.begin(NOW)

    assert [ring.keys.had_token for ring in rings] == [True, False]


# -- what cookies are signed with


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"5", b"5e" * 15, b"no hexadecimal digits at all, but long", b"\xff\xfe" * 40,
     "٣٣".encode() * 40],
)  # fmt: skip
def test_a_secret_that_is_none_is_refused_and_nothing_is_signed_with_it(
    content: bytes, state: Path, make_app: Make, secret: str
) -> None:
    (state / "api-secret").write_bytes(content)

    with pytest.raises(SettingsError, match="cannot sign cookies") as caught:
        kept_secret(state)
    response = Asker(make_app(), client=FAR)("POST", "/api/session", {"token": secret})

    assert "remove it" in caught.value.hint
    assert (response.status, response.cookies) == (503, {})
    assert str(state) not in response.body.decode()
    assert (state / "api-secret").read_bytes() == content


def test_a_secret_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "api-secret").mkdir()

    with pytest.raises(SettingsError, match="cannot keep what cookies are signed with"):
        kept_secret(tmp_path)


def test_a_secret_may_end_with_a_line(tmp_path: Path) -> None:
    (tmp_path / "api-secret").write_text("5e" * 32 + "\n")

    assert kept_secret(tmp_path) == bytes.fromhex("5e" * 32)
