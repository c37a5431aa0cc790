"""The consumer: records the events of queue messages, and reports the rest.

A queue delivers a message at least once, in any order. Ids make each event idempotent,
`occurred_at_us` orders them; so a batch may be recorded more than once.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from generator.adapters.catalogue import Catalogue
from generator.core.model import Event, EventOutcome, EventVerdict, VideoId, VideoStats
from generator.core.queue.messages import (
    MessageError,
    MessagePayload,
    ObjectNotification,
    decode_message,
)
from generator.core.queue.queue import ReceivedMessage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ConsumedMessages:
    """The result of a batch of messages.

    `seqs` are those whose event is in the log, with its number there; `repeated` of them were there
    before. `refused` and `unreadable` come with a readable reason. `noticed` are those with
    `notices` (hints where to scan) and no event. `stats` are the current stats of the videos that
    the events are about.
    """

    seqs: tuple[tuple[ReceivedMessage, int], ...] = ()
    repeated: int = 0
    refused: tuple[tuple[ReceivedMessage, str], ...] = ()
    unreadable: tuple[tuple[ReceivedMessage, str], ...] = ()
    noticed: tuple[ReceivedMessage, ...] = ()
    notices: tuple[ObjectNotification, ...] = ()
    stats: tuple[VideoStats, ...] = ()

    @property
    def done(self) -> list[ReceivedMessage]:
        """Return the messages to delete once the events are safe, without unreadable ones."""
        return [
            *(message for message, _ in self.seqs),
            *(message for message, _ in self.refused),
            *self.noticed,
        ]


def consume(
    catalogue: Catalogue, messages: Sequence[ReceivedMessage], now_us: int
) -> ConsumedMessages:
    """Record the events of a batch, in one transaction, and return the result of each message.

    Refused and unreadable messages are logged. Nothing is deleted here.

    Args:
        catalogue: where they are recorded.
        messages: as received from the queue.
        now_us: the current instant, in microseconds since 1970.

    Raises:
        sqlite3.OperationalError: nothing could be recorded; nothing was.
    """
    events: list[tuple[ReceivedMessage, Event]] = []
    unreadable: list[tuple[ReceivedMessage, str]] = []
    noticed: list[ReceivedMessage] = []
    notices: list[ObjectNotification] = []
    for message in messages:
        payload = _decode(message, now_us)
        if isinstance(payload, str):
            unreadable.append((message, payload))
        elif isinstance(payload, Event):
            events.append((message, payload))
        else:
            noticed.append(message)
            notices += payload
    outcomes = catalogue.record([event for _, event in events]) if events else []
    pairs = list(zip(events, outcomes, strict=True))
    refused = [
        (message, _refusal(event, outcome))
        for (message, event), outcome in pairs
        if not outcome.seq
    ]
    for message, reason in refused:
        log.warning("a message was rejected: %s", reason)
        log.debug("its body was %s", message.body)
    return ConsumedMessages(
        seqs=tuple((message, outcome.seq) for (message, _), outcome in pairs if outcome.seq),
        repeated=sum(outcome.verdict is EventVerdict.REPEATED for outcome in outcomes),
        refused=tuple(refused),
        unreadable=tuple(unreadable),
        noticed=tuple(noticed),
        notices=tuple(notices),
        stats=tuple(_stats(outcomes).values()),
    )


def _decode(message: ReceivedMessage, now_us: int) -> MessagePayload | str:
    """Return the payload of a message, or why it is unreadable."""
    try:
        return decode_message(message.body, now_us)
    except MessageError as error:
        # It stays in the queue: a newer release may read it, or it becomes a dead letter.
        log.warning(
            "the message %s cannot be read (received %d times): %s",
            message.id,
            message.times,
            error,
        )
        return str(error)


def _refusal(event: Event, outcome: EventOutcome) -> str:
    """Return why an event was not recorded, and never will be: its message can be deleted.

    An id in use belongs to the event that came first; the API generates ids for clients that send
    none, so a client used this one twice, and redelivery changes nothing. A video that never
    existed will not appear later.
    """
    match outcome.verdict:
        case EventVerdict.UNKNOWN_VIDEO:
            return f"{event.kind} {event.id} is about video {event.video}, which does not exist"
        case EventVerdict.ID_IN_USE:
            return (
                f"{event.kind} of video {event.video}: its id {event.id} belongs to another event"
            )
        case EventVerdict.RECORDED | EventVerdict.REPEATED:
            raise AssertionError("a recorded event is not refused")


def _stats(outcomes: Sequence[EventOutcome]) -> dict[VideoId, VideoStats]:
    return {outcome.stats.id: outcome.stats for outcome in outcomes if outcome.stats is not None}
