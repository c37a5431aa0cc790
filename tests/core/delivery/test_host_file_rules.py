import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.core.delivery.host_files import (
    FOR_EVER,
    MAX_REDIRECTS,
    headers_file,
    redirects_file,
)
from generator.core.delivery.nginx import content_policy, security_headers
from generator.core.delivery.publish_plan import cache_control, desired_page
from generator.core.model import OutPath

RULE = re.compile(r"(/\S+)((?:\n  [A-Za-z-]+: [!-~ ]+)+)")


def rules(base: str) -> dict[str, dict[str, str]]:
    """Read `_headers` as the hosts do."""
    by_path = {}
    for block in headers_file(base).decode().strip().split("\n\n"):
        rule = RULE.fullmatch(block)
        assert rule, block
        lines = (line.strip().partition(": ") for line in rule[2].strip().splitlines())
        by_path[rule[1]] = {name: value for name, _, value in lines}
    return by_path


@pytest.mark.parametrize("base", ["", "/films", "/a/b~c"])
def test_headers_keep_within_what_hosts_read(base: str) -> None:
    text = headers_file(base).decode()

    assert max(map(len, text.splitlines())) < 2000
    assert len(rules(base)) <= 100
    assert all(pattern.count("*") == 1 for pattern in rules(base))
    assert all(pattern.startswith(f"{base}/") for pattern in rules(base))


def test_a_host_is_told_the_security_headers_of_every_other_server() -> None:
    assert rules("")["/*"] == security_headers(content_policy())


def test_no_header_is_told_twice_for_one_address() -> None:
    """Hosts join what two rules say, and "no-cache, max-age=9" says neither."""
    every = rules("").pop("/*")
    below = {pattern: told for pattern, told in rules("").items() if pattern != "/*"}

    assert all(not told.keys() & every.keys() for told in below.values())
    assert not any(a != b and a[:-1].startswith(b[:-1]) for a in below for b in below)


def test_what_is_kept_for_ever_is_what_publishing_lets_be_kept_for_ever() -> None:
    asset = desired_page("", OutPath("assets/site-0123456789.css"), "", 1)

    assert rules("")["/assets/*"] == {"Cache-Control": FOR_EVER}
    assert cache_control(asset, 60) == FOR_EVER


@given(count=st.integers(0, 3 * MAX_REDIRECTS), long=st.integers(0, 3))
def test_as_many_pages_lead_on_as_hosts_take_the_newest_first(count: int, long: int) -> None:
    forwards = [(OutPath("x" * 1000), "/y")] * long
    forwards += [(OutPath(f"all/newest-{number}.html"), "/all.html") for number in range(count)]

    lines = redirects_file("/films", forwards).decode().splitlines()

    most = min(count, MAX_REDIRECTS)
    assert lines == [f"/films/all/newest-{n}.html /all.html 302" for n in range(most)]
