"""Queue messages: encoding, and validation on receipt.

A message is an event as JSON, written by the API, or a notification of S3's that objects were
created or removed. A queue may deliver a message twice, late, out of order, or garbled.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from generator.core.model import Event, EventKind, VideoId

VERSION = 1
_SLACK_US = 300_000_000  # how far the sender's clock may be ahead
_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_HIGHEST = (1 << 63) - 1
_MAX_TAGS, _MAX_TAG, _MAX_NAME = 100, 200, 100
_SOURCES = frozenset({"owner", "visitor"})
_FROM_S3 = "aws:s3"


class MessageError(ValueError):
    """An invalid message; the error says why, for people."""


@dataclass(frozen=True, slots=True)
class ObjectNotification:
    """An object of a bucket was created or removed: a hint, not a fact."""

    bucket: str
    key: str
    is_gone: bool


MessagePayload = Event | tuple[ObjectNotification, ...]


def encode_message(event: Event) -> str:
    """Return an event as a message; it must have its `occurred_at_us`."""
    assert event.occurred_at_us is not None, "an event for a queue needs its time"
    payload = {
        "v": VERSION,
        "id": event.id,
        "kind": event.kind,
        "at": event.at,
        "occurred_at_us": event.occurred_at_us,
        "source": event.source,
        "video": event.video,
        "value": dict(event.value),
    }
    return json.dumps(payload, separators=(",", ":"))


def decode_message(text: str, now_us: int) -> MessagePayload:
    """Return the event or the bucket notifications in a message; () for S3's test event.

    Args:
        text: the message.
        now_us: the current instant in microseconds since 1970; later times are clamped to it.

    Raises:
        MessageError: it is malformed, or not allowed.
    """
    try:
        payload = json.loads(text)
    except ValueError as error:
        raise MessageError("it is not JSON") from error
    except RecursionError as error:
        raise MessageError("it is nested too deeply") from error
    if not isinstance(payload, dict):
        raise MessageError("it is not a JSON object")
    if "Records" in payload or payload.get("Event") == "s3:TestEvent":
        return _notifications(payload)
    return _event(payload, now_us)


def _notifications(payload: Mapping[str, object]) -> tuple[ObjectNotification, ...]:
    records = payload.get("Records", [])
    if not isinstance(records, list):
        raise MessageError("its Records are not a list")
    return tuple(_notification(one) for one in records)


def _notification(record: object) -> ObjectNotification:
    try:
        assert isinstance(record, dict)
        name, there = record["eventName"], record["s3"]
        bucket, key = there["bucket"]["name"], there["object"]["key"]
        assert record["eventSource"] == _FROM_S3
        assert isinstance(name, str)
        assert isinstance(bucket, str)
        assert isinstance(key, str)
    except (AssertionError, KeyError, TypeError) as error:
        raise MessageError("one of its Records is not an S3 notification") from error
    is_gone = name.removeprefix("s3:").startswith(("ObjectRemoved", "LifecycleExpiration"))
    return ObjectNotification(bucket, unquote_plus(key, errors="surrogateescape"), is_gone)


def _event(payload: Mapping[str, object], now_us: int) -> Event:
    if payload.get("v") != VERSION:
        raise MessageError(
            f"unsupported message version {payload.get('v')!r}; this release reads {VERSION}"
        )
    kind = payload.get("kind")
    if not isinstance(kind, str) or (check := _VALUES.get(kind)) is None:
        raise MessageError(f"unknown kind of event {kind!r}")
    key, source, value = payload.get("id"), payload.get("source"), payload.get("value")
    if not isinstance(key, str) or not _ID.fullmatch(key):
        raise MessageError("missing or malformed id")
    if not isinstance(source, str) or source not in _SOURCES:
        raise MessageError(f"unknown source {source!r}")
    if not isinstance(value, dict) or not check(value):
        raise MessageError(f"its value is invalid for {kind}")
    instant = "told_us" if "told_us" in payload else "occurred_at_us"  # as sent before 0.4.0
    at, occurred_at_us = _number(payload, "at"), _number(payload, instant)
    video = None if kind == EventKind.REBUILD_ASKED else VideoId(_number(payload, "video", least=1))
    if now_us + _SLACK_US < occurred_at_us:  # a wrong clock must not win for ever
        occurred_at_us, at = now_us, min(at, now_us // 1_000_000)
    return Event(key, EventKind(kind), at, source, video, value, occurred_at_us)


def _number(payload: Mapping[str, object], name: str, least: int = 0) -> int:
    value = payload.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _HIGHEST:
        raise MessageError(f"its {name} is missing or out of range")
    return value


def _has_only(value: Mapping[str, object], *names: str) -> bool:
    visitor = value.get("visitor", "-")
    return _is_text(visitor, _MAX_NAME) and value.keys() - {"visitor"} == set(names)


def _is_rating(value: Mapping[str, object]) -> bool:
    stars = value.get("stars")
    return _has_only(value, "stars") and type(stars) is int and 1 <= stars <= 5  # noqa: PLR2004


def _is_mark(value: Mapping[str, object]) -> bool:
    return _has_only(value)


def _are_tags(value: Mapping[str, object]) -> bool:
    names = value.get("names")
    if value.keys() != {"names"} or not isinstance(names, list) or len(names) > _MAX_TAGS:
        return False
    return all(_is_text(one, _MAX_TAG) for one in names)


def _is_text(value: object, longest: int) -> bool:
    """Return whether a value is text of 1 to `longest` characters, without lone surrogates."""
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        return False
    return not any("\ud800" <= char <= "\udfff" for char in value)


def _is_rebuild(value: Mapping[str, object]) -> bool:
    return value.keys() == {"full"} and isinstance(value["full"], bool)


_VALUES: dict[str, Callable[[Mapping[str, object]], bool]] = {
    EventKind.RATED: _is_rating,
    EventKind.UNRATED: _is_mark,
    EventKind.VIEWED: lambda value: not value,
    EventKind.FAVORITED: _is_mark,
    EventKind.UNFAVORITED: _is_mark,
    EventKind.TAGGED: _are_tags,
    EventKind.UNTAGGED: _are_tags,
    EventKind.RETAGGED: _are_tags,
    EventKind.REBUILD_ASKED: _is_rebuild,
}
