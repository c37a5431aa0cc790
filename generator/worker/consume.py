"""From messages to recorded events: what is believed of a queue, and what becomes of the rest.

A queue brings a message at least once, in any order. Ids make each event happen once, `told_us`
puts them in order; so a batch may be recorded, lost sight of, and recorded again.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from generator.adapters.catalogue import Catalogue
from generator.core.model import Event, EventOutcome, EventVerdict, VideoId, VideoStats
from generator.core.queue.messages import MessageError, MessagePayload, ObjectNotification
from generator.core.queue.messages import decode_message as read_letter
from generator.core.queue.queue import ReceivedMessage

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ConsumedMessages:
    """What became of a batch of messages.

    `seqs` are those whose event is in the log, with its number there; `repeated` of them stood
    there before. `refused` and `unreadable` come with the reason, to a person. `noticed` are those
    that brought `notices` (hints where to look) and no event. `figures` are those of the videos
    that the events are about, as they are now.
    """

    seqs: tuple[tuple[ReceivedMessage, int], ...] = ()
    repeated: int = 0
    refused: tuple[tuple[ReceivedMessage, str], ...] = ()
    unreadable: tuple[tuple[ReceivedMessage, str], ...] = ()
    noticed: tuple[ReceivedMessage, ...] = ()
    notices: tuple[ObjectNotification, ...] = ()
    figures: tuple[VideoStats, ...] = ()

    @property
    def done(self) -> list[ReceivedMessage]:
        """Return what can be deleted once the events are safe; not what nobody could read."""
        return [
            *(message for message, _ in self.seqs),
            *(message for message, _ in self.refused),
            *self.noticed,
        ]


def take(
    catalogue: Catalogue, messages: Sequence[ReceivedMessage], now_us: int
) -> ConsumedMessages:
    """Record the events of a batch, in one transaction, and tell what became of each message.

    What is refused or unreadable is logged. Nothing is deleted here.

    Args:
        catalogue: where they are recorded.
        messages: as a queue brought them.
        now_us: the current instant, in microseconds since 1970.

    Raises:
        sqlite3.OperationalError: nothing could be recorded; nothing was.
    """
    told: list[tuple[ReceivedMessage, Event]] = []
    unreadable: list[tuple[ReceivedMessage, str]] = []
    noticed: list[ReceivedMessage] = []
    notices: list[ObjectNotification] = []
    for message in messages:
        letter = _read(message, now_us)
        if isinstance(letter, str):
            unreadable.append((message, letter))
        elif isinstance(letter, Event):
            told.append((message, letter))
        else:
            noticed.append(message)
            notices += letter
    outcomes = catalogue.record([event for _, event in told]) if told else []
    pairs = list(zip(told, outcomes, strict=True))
    refused = [
        (message, _refusal(event, outcome))
        for (message, event), outcome in pairs
        if not outcome.seq
    ]
    for message, reason in refused:
        log.warning("a message was refused: %s", reason)
        log.debug("it said %s", message.body)
    return ConsumedMessages(
        seqs=tuple((message, outcome.seq) for (message, _), outcome in pairs if outcome.seq),
        repeated=sum(outcome.verdict is EventVerdict.REPEATED for outcome in outcomes),
        refused=tuple(refused),
        unreadable=tuple(unreadable),
        noticed=tuple(noticed),
        notices=tuple(notices),
        figures=tuple(_figures(outcomes).values()),
    )


def _read(message: ReceivedMessage, now_us: int) -> MessagePayload | str:
    """Return what a message says, or why nobody can read it."""
    try:
        return read_letter(message.body, now_us)
    except MessageError as error:
        # It stays in the queue: a newer reelshelf may read it, and else the queue puts it aside.
        log.warning("the message %s cannot be read (%d.): %s", message.id, message.times, error)
        return str(error)


def _refusal(event: Event, outcome: EventOutcome) -> str:
    """Return why an event was not recorded, and never will be: its message can go.

    An id in use belongs to the event that came first; the API gives new ones to whoever names
    none, so this one was made up twice, and to bring it again changes nothing. A video that never
    was will not be the one that was meant.
    """
    match outcome.verdict:
        case EventVerdict.UNKNOWN_VIDEO:
            return f"{event.kind} {event.id} is about the video {event.video}, and there is none"
        case EventVerdict.ID_IN_USE:
            return f"{event.kind} of the video {event.video}: its id {event.id} is another event's"
        case EventVerdict.RECORDED | EventVerdict.REPEATED:
            raise AssertionError("what is recorded is not refused")


def _figures(outcomes: Sequence[EventOutcome]) -> dict[VideoId, VideoStats]:
    return {one.stats.id: one.stats for one in outcomes if one.stats is not None}
