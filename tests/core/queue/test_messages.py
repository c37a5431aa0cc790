"""Letters: what was written is read; what nobody should have sent is refused, and nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.core.model import Event, EventKind, VideoId
from generator.core.queue import messages
from generator.core.queue.messages import MessageError, ObjectNotification

NOW_US = 1_800_000_000_000_000
keys = st.text("abcXYZ019-_", min_size=8, max_size=64)
visitors = st.one_of(
    st.just({}), st.text(min_size=1, max_size=20).map(lambda who: {"visitor": who})
)
names = st.lists(st.text(min_size=1, max_size=20), max_size=5).map(lambda some: {"names": some})
deeds = st.one_of(
    st.tuples(
        st.just(EventKind.RATED),
        st.builds(lambda who, stars: {**who, "stars": stars}, visitors, st.integers(1, 5)),
    ),
    st.tuples(
        st.sampled_from([EventKind.UNRATED, EventKind.FAVORITED, EventKind.UNFAVORITED]), visitors
    ),
    st.tuples(st.sampled_from([EventKind.TAGGED, EventKind.UNTAGGED, EventKind.RETAGGED]), names),
    st.tuples(st.just(EventKind.VIEWED), st.just({})),
    st.tuples(st.just(EventKind.REBUILD_ASKED), st.booleans().map(lambda full: {"full": full})),
)


@st.composite
def happenings(draw: st.DrawFn) -> Event:
    kind, value = draw(deeds)
    video = None if kind is EventKind.REBUILD_ASKED else VideoId(draw(st.integers(1, 1 << 62)))
    occurred_at_us = draw(st.integers(0, NOW_US))
    source = draw(st.sampled_from(["owner", "visitor"]))
    return Event(
        draw(keys), kind, occurred_at_us // 1_000_000, source, video, value, occurred_at_us
    )


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(happenings())
def test_what_was_written_is_read(happening: Event) -> None:
    assert messages.decode_message(messages.encode_message(happening), NOW_US) == happening


@given(st.one_of(st.text(), json_values.map(json.dumps)))
def test_nonsense_is_refused_and_nothing_else_happens(text: str) -> None:
    with pytest.raises(MessageError):
        messages.decode_message(text, NOW_US)


@given(
    happenings(),
    st.sampled_from(["v", "id", "kind", "at", "occurred_at_us", "source", "video"]),
    json_values,
)
def test_a_letter_with_one_wrong_field_is_refused_or_reads_well(
    happening: Event, field: str, wrong: object
) -> None:
    told = {**json.loads(messages.encode_message(happening)), field: wrong}
    try:
        event = messages.decode_message(json.dumps(told), NOW_US)
    except MessageError:
        return
    assert isinstance(event, Event)
    assert messages.decode_message(messages.encode_message(event), NOW_US) == event


def test_a_message_sent_before_0_4_0_is_read() -> None:
    value = {"stars": 3}
    event = Event("12345678", EventKind.RATED, 7, "owner", VideoId(1), value, 7_000_000)
    old = messages.encode_message(event).replace("occurred_at_us", "told_us")

    assert "told_us" in old
    assert messages.decode_message(old, NOW_US) == messages.decode_message(
        messages.encode_message(event), NOW_US
    )


@pytest.mark.parametrize(
    "kind", [kind for kind in EventKind if kind.startswith(("Video", "Poster", "File", "Board"))]
)
def test_what_only_the_builder_may_say_is_refused(kind: EventKind) -> None:
    told = {"v": 1, "id": "12345678", "kind": kind, "at": 1, "occurred_at_us": 1, "source": "owner"}
    with pytest.raises(MessageError, match="unknown kind"):
        messages.decode_message(json.dumps({**told, "video": 1, "value": {}}), NOW_US)


@pytest.mark.parametrize(
    "value",
    [{"stars": 6}, {"stars": True}, {"stars": "5"}, {}, {"stars": 3, "more": 1},
     {"stars": 3, "visitor": ""}, {"stars": 3, "visitor": 7}],
)  # fmt: skip
def test_a_rating_that_cannot_be_is_refused(value: dict[str, object]) -> None:
    happening = Event("12345678", EventKind.RATED, 1, "owner", VideoId(1), value, 1)
    with pytest.raises(MessageError, match="invalid for Rated"):
        messages.decode_message(messages.encode_message(happening), NOW_US)


def test_half_a_character_is_refused_for_the_catalogue_could_not_keep_it() -> None:
    happening = Event(
        "12345678", EventKind.TAGGED, 1, "owner", VideoId(1), {"names": ["\ud800"]}, 1
    )
    with pytest.raises(MessageError):
        messages.decode_message(messages.encode_message(happening), NOW_US)


def test_a_newer_version_waits_for_a_newer_worker() -> None:
    with pytest.raises(MessageError, match="message version 2"):
        messages.decode_message(json.dumps({"v": 2}), NOW_US)


def test_a_clock_that_is_far_ahead_does_not_win_for_ever() -> None:
    ahead_us = NOW_US + 3_600_000_000
    happening = Event(
        "12345678", EventKind.FAVORITED, ahead_us // 1_000_000, "owner", VideoId(1), {}, ahead_us
    )
    found = messages.decode_message(messages.encode_message(happening), NOW_US)
    assert isinstance(found, Event)
    assert (found.occurred_at_us, found.at) == (NOW_US, NOW_US // 1_000_000)


def record(name: str, key: str) -> dict[str, object]:
    there = {"bucket": {"name": "films"}, "object": {"key": key, "size": 7}}
    return {"eventSource": "aws:s3", "eventName": name, "s3": there}


def test_notices_of_a_bucket_are_read_with_their_keys_decoded() -> None:
    told = {"Records": [record("ObjectCreated:Put", "video/a+b%2B%C3%A9.mp4"),
                        record("ObjectRemoved:Delete", "video/x.mp4")]}  # fmt: skip
    assert messages.decode_message(json.dumps(told), NOW_US) == (
        ObjectNotification("films", "video/a b+é.mp4", is_gone=False),
        ObjectNotification("films", "video/x.mp4", is_gone=True),
    )


def test_the_trial_that_s3_sends_first_says_nothing() -> None:
    assert messages.decode_message('{"Service":"Amazon S3","Event":"s3:TestEvent"}', NOW_US) == ()


def test_a_letter_that_is_nested_without_end_is_refused() -> None:
    with pytest.raises(MessageError):
        messages.decode_message("[" * 200_000, NOW_US)
