"""Publishing rules: nothing is put before what it needs, and nothing leaves too early."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.core.delivery.publish_plan import (
    MIN_DELETIONS,
    DesiredObject,
    ObjectKind,
    PublishedObject,
    PublishPlan,
    PublishReceipt,
    PublishRules,
    cache_control,
    headers_digest,
    headers_of,
    is_later,
    most_deletions,
    object_kind,
    plan_publish,
    rank,
    requests_usd,
)
from generator.core.model import Poster
from generator.core.site import urls

NOW, GRACE_S = 1000, 100
RULES = PublishRules(page_max_age_s=60, grace_s=GRACE_S, gzip=False, most=1000)
PATHS = (
    "assets/style-0123456789.css", "thumb/0/1-0123456789ab-320.webp", "play/0/1-0123456789ab.mp4",
    "video/a.mp4", "board/0.json", "board/0/1-0123456789ab.vtt", "text/0/1-chapters.vtt",
    "watch/a-1.html", "watch/b-2.html", "tag/x.html", "tag/x/title-2.html", "all.html",
    "all/title-1.html", "random-3.html", "data/random.json", "404.html", "index.html", "atom.xml",
    "sitemap/0.xml", "sitemap.xml",
)  # fmt: skip
PAGES = frozenset({ObjectKind.WATCH, ObjectKind.SHELF, ObjectKind.INDEX, ObjectKind.FEED})


def object_at(path: str, digest: str = "1") -> DesiredObject:
    return DesiredObject(path, path, object_kind(path), digest)


def published(
    path: str, digest: str, gone_at: int | None = None, etag: str = "e"
) -> PublishedObject:
    return PublishedObject(path, path, object_kind(path), digest, etag, 1, gone_at=gone_at)


def plan(
    desired: Mapping[str, DesiredObject],
    there: Mapping[str, PublishedObject],
    rules: PublishRules = RULES,
) -> PublishPlan:
    return plan_publish(desired, there, lambda _: "", rules, NOW)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[dict[str, DesiredObject], dict[str, PublishedObject]]:
    desired, there = {}, {}
    for path in PATHS:
        if draw(st.booleans()):
            desired[path] = object_at(path, draw(st.sampled_from("123")))
        if draw(st.booleans()):
            gone_at = draw(st.none() | st.integers(NOW - 2 * GRACE_S, NOW))
            etag = draw(st.sampled_from(("e", "e", "")))
            there[path] = published(path, draw(st.sampled_from("123")), gone_at, etag)
    return desired, there


Scenes = tuple[dict[str, DesiredObject], dict[str, PublishedObject]]


@given(scenes())
def test_afterwards_everything_is_as_it_is_wanted(scene: Scenes) -> None:
    desired, there = scene
    planned = plan(desired, there)
    result = {key: one.digest for key, one in there.items()}
    result |= {put.desired.key: put.desired.digest for put in planned.puts}

    assert {key: result[key] for key in desired} == {
        key: one.digest for key, one in desired.items()
    }
    put = {one.desired.key for one in planned.puts}
    for key in desired.keys() - put:
        assert there[key].digest == desired[key].digest
        assert there[key].etag
        assert (there[key].gone_at is not None) == (key in planned.back)
    assert planned.same == len(desired) - len(put)
    assert {put.before for put in planned.puts} <= {None, *there.values()}


@given(scenes())
def test_a_second_plan_after_the_first_has_nothing_to_put(scene: Scenes) -> None:
    desired, there = scene
    planned = plan(desired, there)
    after = {
        **{key: published(key, one.digest) for key, one in there.items() if key not in desired},
        **{key: published(key, one.digest) for key, one in desired.items()},
    }
    for step in planned.deletions:
        for gone in step:
            del after[gone.key]
    assert not plan(desired, after).steps
    assert not plan(desired, after).back


@given(scenes())
def test_nothing_is_put_before_what_it_may_lead_to(scene: Scenes) -> None:
    planned = plan(*scene)
    order = [put for step in planned.steps for put in step]
    last_support = max(
        (i for i, put in enumerate(order) if put.desired.kind not in PAGES), default=-1
    )
    first_page = min(
        (i for i, put in enumerate(order) if put.desired.kind in PAGES), default=len(order)
    )
    assert last_support < first_page
    pages = [put for put in order if put.desired.kind in PAGES]
    fresh = [put.before is None for put in pages]
    assert fresh == sorted(fresh, reverse=True), "new pages go before those that are there"
    for some in (True, False):
        ranks = [rank(put.desired) for put in pages if (put.before is None) is some]
        assert ranks == sorted(ranks)
    for step in planned.steps:
        assert len({(rank(put.desired), put.before is None) for put in step}) <= 2


@given(scenes())
def test_what_is_wanted_is_never_deleted_and_what_is_gone_has_its_grace(scene: Scenes) -> None:
    desired, there = scene
    planned = plan(desired, there)
    deleted = [one for step in planned.deletions for one in step]

    assert not {one.key for one in deleted} & desired.keys()
    assert all(one.gone_at is not None and one.gone_at + GRACE_S <= NOW for one in deleted)
    assert {one.key for one in deleted} == {
        key
        for key, one in there.items()
        if key not in desired and one.gone_at is not None and one.gone_at + GRACE_S <= NOW
    }
    ranks = [rank(one) for one in deleted]
    assert ranks == sorted(ranks, reverse=True), "what leads goes before what is led to"
    assert set(planned.gone) == {
        key for key, one in there.items() if key not in desired and one.gone_at is None
    }


@given(scenes(), st.integers(0, 5))
def test_more_deletions_than_may_be_are_not_made_at_all(scene: Scenes, most: int) -> None:
    rules = PublishRules(page_max_age_s=60, grace_s=0, gzip=False, most=most)
    planned = plan(*scene, rules)
    deleted = sum(map(len, planned.deletions))

    assert deleted <= most
    assert not (deleted and planned.refused)
    assert deleted + planned.refused == len(scene[1].keys() - scene[0].keys())


def test_the_home_page_is_the_last_of_the_new_pages_and_feeds_come_before_it() -> None:
    planned = plan({path: object_at(path) for path in PATHS}, {})
    steps = [{put.desired.path for put in step} for step in planned.steps]

    assert steps[-1] == {"index.html"}
    assert steps[-2] == {"atom.xml", "sitemap.xml", "sitemap/0.xml"}
    assert steps[1] == {"board/0.json"}
    assert {"data/random.json", "404.html", "all.html"} <= steps[-3]


def test_headers_that_changed_are_a_reason_to_put() -> None:
    one = object_at("index.html")
    there = {"index.html": published("index.html", "1")}
    assert plan_publish({"index.html": one}, there, lambda _: "other", RULES, NOW).steps


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("rss.xml", "application/rss+xml; charset=utf-8"),
        ("sitemap.xml", "application/xml; charset=utf-8"),
        ("text/0/1-0123456789ab.vtt", "text/vtt; charset=utf-8"),
        ("play/0/1-0123456789ab.m3u8", "application/vnd.apple.mpegurl"),
        ("video/a.MKV", "video/x-matroska"),
        ("video/a", "application/octet-stream"),
    ],
)
def test_content_types_do_not_depend_on_the_machine(path: str, content_type: str) -> None:
    assert headers_of(object_at(path), RULES, "").content_type == content_type


def test_only_what_has_its_digest_in_its_name_is_kept_for_ever() -> None:
    made = DesiredObject(
        "thumb/0/1-0123456789ab.jpg", "thumb/0/1-0123456789ab.jpg", ObjectKind.STILL, ""
    )
    assert "immutable" not in cache_control(made, 60)
    for path in ("index.html", "text/0/1-chapters.vtt", "board/0.json", "video/a.mp4"):
        assert "immutable" not in cache_control(object_at(path), 60)
    assert "immutable" in cache_control(object_at("assets/style-0123456789.css"), 60)
    assert "s-maxage" not in cache_control(object_at("index.html"), 0)


def test_the_look_of_headers_is_not_what_they_note() -> None:
    desired = object_at("index.html")
    first, other = (
        headers_of(desired, RULES, "a:1"),
        headers_of(object_at("index.html", "2"), RULES, ""),
    )
    zipped = headers_of(desired, PublishRules(60, 0, gzip=True, most=0), "a:1")
    assert headers_digest(first) == headers_digest(other)
    assert headers_digest(first) != headers_digest(zipped)
    assert zipped.encoding == "gzip"


@pytest.mark.parametrize(
    ("cursor", "other", "expected"),
    [
        ("a:10", "a:9", True), ("a:9", "a:10", False), ("a:9", "a:9", False),
        ("b:10", "a:9", False), ("", "a:9", False), ("a:", "a:9", False), ("a:x", "a:9", False),
    ],
)  # fmt: skip
def test_only_a_later_event_of_the_same_catalogue_is_later(
    cursor: str, other: str, *, expected: bool
) -> None:
    assert is_later(cursor, other) is expected


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_a_few_deletions_are_always_possible(count: int, share: float) -> None:
    assert most_deletions(count, share) >= MIN_DELETIONS
    assert most_deletions(count, share) <= max(MIN_DELETIONS, count)


def test_requests_cost_what_the_price_list_says() -> None:
    assert requests_usd({"PutObject": 1000, "ListObjectsV2": 1000}) == pytest.approx(0.01)
    assert requests_usd({"HeadObject": 1000, "DeleteObject": 5000}) == pytest.approx(0.0004)


def test_a_receipt_tells_everything_but_its_clock() -> None:
    receipt = PublishReceipt(lambda: 1.0)
    with receipt.phase("plan"):
        pass
    told = receipt.as_dict()
    assert told.keys() == {*PublishReceipt.__slots__, "total_s"} - {"clock"}


def test_every_made_file_has_a_digest_in_its_name() -> None:
    poster = Poster("0123456789ab", (320, 640), 640, 360, "000000")
    for path in urls.still_files(urls.VideoId(7), poster):
        assert object_kind(path) is ObjectKind.STILL
