from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.core.delivery.invalidations import (
    FREE_A_MONTH,
    MAX_WILDCARDS,
    MEDIA,
    PATH_USD,
    Invalidations,
    addresses_of,
    cost_usd,
    plan_invalidations,
)

FOLDERS = ["", "tag/", "tag/dogs/", "watch/", "all/", "video/", "video/a b/", "play/1/", "folder/"]
NAMES = st.sampled_from(["index.html", "a.html", "b~1234.html", "c~1/x.html", "é +.mp4", "d*", "v"])
COUNTED = st.builds(lambda name, n: f"{n}-{name}", NAMES, st.integers(0, 400))
KEYS = st.builds(lambda folder, name: folder + name, st.sampled_from(FOLDERS), NAMES | COUNTED)


def plan(
    changed: list[str], *, base: str = "", budget: int = 1000, spent: int = 0, held: int = 0
) -> Invalidations:
    return plan_invalidations(changed, base=base, budget=budget, spent=spent, held=lambda _: held)


def covers(path: str, address: str) -> bool:
    """Say what CloudFront would, of a path in an invalidation and the address of a page."""
    return (
        unquote(address).startswith(unquote(path[:-1])) if path.endswith("*") else path == address
    )


@given(
    changed=st.lists(KEYS, max_size=60),
    base=st.sampled_from(["", "/films", "/a/b"]),
    room=st.integers(0, 40) | st.integers(-5, 1200),
    spent=st.integers(0, 1300),
    held=st.integers(0, 10**6),
)
def test_every_changed_path_is_invalidated_or_told_as_left(
    changed: list[str], base: str, room: int, spent: int, held: int
) -> None:
    budget = max(0, spent + room)
    front = base[1:] + "/" if base else ""
    keys = [front + key for key in changed]

    planned = plan(keys, base=base, budget=budget, spent=spent, held=held)

    assert set(planned.left) <= set(keys)
    for key in set(keys) - set(planned.left):
        for address in addresses_of(key) or ("/" + key,):
            assert any(covers(path, address) for path in planned.paths), key
    assert len(planned.paths) == len(set(planned.paths))
    assert spent + len(planned.paths) <= max(budget, spent)
    assert len(planned.wildcards) <= MAX_WILDCARDS
    assert planned.cost_usd == cost_usd(len(planned.paths), spent)
    for path in planned.paths:
        assert path.startswith("/")
        assert path.isascii()
        assert "~" not in path
    for prefix in planned.wildcards:
        below = unquote(prefix[:-1]).removeprefix("/" + front)
        assert below
        assert unquote(prefix).startswith("/" + front)
        assert not any(one.startswith(below) or below.startswith(one) for one in MEDIA)


@given(changed=st.lists(KEYS, unique=True, max_size=60))
def test_what_costs_nothing_is_invalidated_path_by_path(changed: list[str]) -> None:
    tellable = [key for key in changed if addresses_of(key)]

    planned = plan(tellable)

    assert planned == Invalidations(
        tuple(path for key in tellable for path in addresses_of(key)), (), 0.0
    )


def test_what_matters_most_comes_first_when_little_is_left() -> None:
    planned = plan(["tag/a.html", "watch/b.html", "all/c.html"], budget=1000, spent=998, held=10**9)

    assert planned == Invalidations(("/tag/a.html", "/watch/b.html"), ("all/c.html",))


def test_a_prefix_stands_for_many_paths_where_it_is_cheaper() -> None:
    changed = [f"tag/{number}.html" for number in range(40)] + ["all/x.html"]

    assert plan(changed, budget=20).paths == ("/tag/*", "/all/x.html")
    assert plan(changed, budget=5000, spent=2000).paths == ("/tag/*", "/all/x.html")
    dear = plan(changed, budget=5000, spent=2000, held=10**6)
    assert not dear.wildcards
    assert len(dear.paths) == 41
    assert dear.cost_usd == pytest.approx(41 * PATH_USD)


def test_a_whole_site_is_never_dropped_though_all_of_it_changed() -> None:
    names = [f"{number}.html" for number in range(2000)]

    assert not plan(names).wildcards
    assert len(plan(names).left) == 1000
    below = plan([f"films/{name}" for name in names], base="/films")
    assert not below.wildcards
    assert not plan([f"video/{name}" for name in names]).wildcards


def test_a_path_with_a_tilde_goes_with_what_is_before_it() -> None:
    planned = plan(["folder/holidays~ab12.html", "tag/c~0011/newest.html", "~x.html"])

    assert set(planned.paths) == {"/folder/holidays*", "/tag/c*"}
    assert planned.left == ("~x.html",)


def test_no_more_wildcards_are_sent_than_may_be_under_way() -> None:
    changed = [f"tag/{number}/{page}~.html" for number in range(40) for page in range(3)]

    planned = plan_invalidations(
        changed, base="", budget=1000, spent=0, held=lambda key: 10**9 if key == "tag/" else 10
    )

    assert len(planned.wildcards) == MAX_WILDCARDS
    assert len(planned.left) == 120 - 3 * MAX_WILDCARDS


def test_a_page_that_is_asked_for_by_two_names_is_invalidated_by_both_or_left() -> None:
    assert plan(["index.html"], budget=1).left == ("index.html",)
    assert plan(["index.html"], budget=2).paths == ("/index.html", "/")


def test_many_paths_with_tildes_go_with_their_folder() -> None:
    changed = [f"folder/n{number}~ab.html" for number in range(40)]

    assert plan(changed, held=100).paths == ("/folder/*",)
    assert len(plan(changed, held=10**9).left) == 40


@pytest.mark.parametrize(
    ("key", "paths"),
    [
        ("index.html", ("/index.html", "/")),
        ("films/index.html", ("/films/index.html", "/films/")),
        ("video/Ä b+c %20.mp4", ("/video/%C3%84%20b+c%20%2520.mp4",)),
        ("video/it's (1).mp4", ("/video/it's%20(1).mp4",)),
        ("a*b.html", ("/a*b.html",)),
        ("a*", ()),
        ("tag/c~12.html", ()),
        ("video/\udce9.mp4", ()),
        ("x" * 4000, ()),
    ],
)
def test_paths_are_spelled_as_cloudfront_takes_them(key: str, paths: tuple[str, ...]) -> None:
    assert addresses_of(key) == paths


@given(first=st.integers(0, 3000), second=st.integers(0, 3000))
def test_two_batches_cost_what_one_of_both_costs(first: int, second: int) -> None:
    whole = cost_usd(first + second, 0)

    assert cost_usd(first, 0) + cost_usd(second, first) == pytest.approx(whole)
    assert whole == pytest.approx(max(0, first + second - FREE_A_MONTH) * PATH_USD)
