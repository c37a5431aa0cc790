"""Roots in buckets: addresses, keys that are paths, notices that are folders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.core.library.bucket_listing import file_name, is_address, time_of, unsigned
from generator.core.library.bucket_roots import BucketRoot, bucket_of, is_path, places_of
from generator.core.model import Place
from generator.core.queue.messages import ObjectNotification

KEYS = st.text(st.sampled_from([*"ab./ \0%+", "é", "\udcff"]), max_size=12)
PREFIXES = st.sampled_from(["", "a", "a/b", "é b"])


@pytest.mark.parametrize(
    ("address", "bucket", "name"),
    [
        ("s3://films", BucketRoot("films"), "films"),
        ("s3://films/", BucketRoot("films"), "films"),
        ("s3://films/a", BucketRoot("films", "a"), "a"),
        ("s3://films/a/b c/", BucketRoot("films", "a/b c"), "b c"),
    ],
)
def test_an_address_names_a_bucket_and_a_prefix(
    address: str, bucket: BucketRoot, name: str
) -> None:
    assert bucket_of(address) == bucket
    assert bucket_of(address).name == name
    assert bucket_of(str(bucket)) == bucket


@pytest.mark.parametrize(
    "address", ["films", "s3://", "s3:///a", "s3://a b", "s3://films//a", "s3://films/../x"]
)
def test_what_is_no_address_is_told_so(address: str) -> None:
    with pytest.raises(ValueError, match=r"s3://bucket|its prefix"):
        bucket_of(address)


@given(prefix=PREFIXES, path=KEYS)
def test_a_path_has_a_key_below_its_root_and_a_notice_leads_to_its_folder(
    prefix: str, path: str
) -> None:
    root = BucketRoot("films", prefix)
    places = places_of([ObjectNotification("films", root.key(path), is_gone=False)], {"r": root})
    if is_path(path) and "\udcff" not in path:
        assert places == {Place("r", path.rpartition("/")[0])}
    else:
        assert places == set()


@given(prefix=PREFIXES, key=KEYS)
def test_no_notice_leads_out_of_a_root(prefix: str, key: str) -> None:
    root = BucketRoot("films", prefix)
    for place in places_of([ObjectNotification("films", key, is_gone=True)], {"": root}):
        assert key.startswith(root.front)
        assert not place.path or is_path(place.path)
    assert places_of([ObjectNotification("other", key, is_gone=True)], {"": root}) == set()


def test_a_prefix_that_begins_alike_is_another_root() -> None:
    notice = ObjectNotification("films", "videos/a.mp4", is_gone=False)
    assert places_of([notice], {"": BucketRoot("films", "video")}) == set()
    assert not BucketRoot("films", "videos").lies_in(BucketRoot("films", "video"))
    assert BucketRoot("films", "video/x").lies_in(BucketRoot("films", "video"))
    assert BucketRoot("films", "video").lies_in(BucketRoot("films"))


def test_a_file_in_many_roots_or_heard_of_often_is_looked_for_once_in_each() -> None:
    roots = {"one": BucketRoot("films", "a"), "two": BucketRoot("films", "b")}
    keys = ["a/x/1.mp4", "a/x/2.mp4", "a/3.mp4", "b/4.mp4", "c/5.mp4"]
    notices = [ObjectNotification("films", key, is_gone=False) for key in keys]
    assert places_of(notices, roots) == {Place("one", "x"), Place("one", ""), Place("two", "")}


def test_the_time_of_an_object_is_another_whenever_its_content_is() -> None:
    assert time_of(1000, '"a"') == time_of(1000, "a")
    assert time_of(1000, '"a"') != time_of(1000, '"b"')
    assert time_of(1000, '"a"') // 10**9 == 1000
    assert time_of(1001, '"a"') - time_of(1000, '"a"') == 10**9


def test_an_address_has_a_name_and_is_the_same_without_its_signature() -> None:
    address = "https://h/films/x%2Fy/a%2Bb%20c.de.srt?X-Amz-Signature=1"
    assert file_name(address) == "a+b c.de.srt"
    assert unsigned(address) == unsigned(address + "2")
    assert file_name("/films/a?b.srt") == "a?b.srt"
    assert unsigned("/films/a?b.srt") == "/films/a?b.srt"
    assert not is_address("/http://x")
