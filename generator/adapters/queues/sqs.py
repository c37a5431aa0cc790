"""Amazon SQS, or what speaks like it: a standard queue and its dead-letter queue."""

import json
import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from generator.adapters.s3 import session
from generator.core.delivery.aws_errors import is_about_time
from generator.core.errors import QueueError
from generator.core.queue.queue import OwnerMarkUnsupportedError, QueueDepth, ReceivedMessage

log = logging.getLogger(__name__)

_BATCH = 10  # messages that SQS takes, or brings, at once
_BATCH_BYTES = 240_000  # of bodies; SQS takes 262,144 with all that belongs to them
_LONGEST_POLL_S = 20
_TRIES, _PAUSE_S = 5, 0.05  # for the part of a batch that failed; the pause doubles
_LEAST_VISIBILITY_S = 30
_TAG = "reelshelf-owner"
_CLOCK = "the clock of this machine is wrong: `timedatectl set-ntp true`; the keys are right"
_LOOK_S = 60  # so long dead letters are kept apart while they are read
_PROBLEMS = {
    "AccessDenied": "is it allowed to this key or role? the queue's policy counts, too",
    "AccessDeniedException": "is it allowed to this key or role? the queue's policy counts, too",
    "InvalidClientTokenId": "the access key is none of this account's",
    "UnrecognizedClientException": "the access key is none of this account's",
    "SignatureDoesNotMatch": "the secret access key is wrong",
    "ExpiredToken": "the credentials ran out: sign in again",
    "ExpiredTokenException": "the credentials ran out: sign in again",
    "QueueDoesNotExist": "is `queue` its whole URL, and the region right?",
    "NonExistentQueue": "is `queue` its whole URL, and the region right?",
    "RequestThrottled": "it is asked too often; it is tried again",
    "OverLimit": "too many messages are under way; they come back by themselves",
}

Entry = dict[str, object]


@dataclass(frozen=True, slots=True)
class _Kept:
    """A mark; it is its own ETag."""

    etag: str


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where the mark of who works for a queue is kept: in a tag of it.

    A tag takes letters, digits and few other signs, and knows no conditions: of two that leave one
    at once, the last one's stays, and the other one sees that when it looks again.
    """

    queue: "SqsQueue"

    @property
    def name(self) -> str:
        return self.queue.url

    def get(self, key: str) -> tuple[bytes, _Kept] | None:
        del key
        told = self.queue.tags().get(_TAG)
        if told is None:
            return None
        who, _, rest = told.partition(":")
        site, _, since = rest.rpartition(":")
        body = json.dumps({"who": who, "site": site, "since": since})
        return body.encode(), _Kept(told)

    def put(self, key: str, body: bytes, headers: object, match: str) -> _Kept:
        del key, headers, match
        owner = json.loads(body)
        told = f"{owner['who']}:{owner['site']}:{owner['since']}"
        self.queue.set_tag(_TAG, told)
        return _Kept(told)


class SqsQueue:
    """One standard queue. May be used by several threads.

    Args:
        url: the queue's URL. Its host is asked unless AWS_ENDPOINT_URL says otherwise.
        visibility_s: how long a message is kept from others after it came; None: as the queue has
            it.
    """

    def __init__(self, url: str, *, visibility_s: int | None = None) -> None:
        self.url = url
        self._visibility_s = visibility_s

    def prepare(self) -> None:
        """Make now what the first call would make, which takes about a second.

        Raises:
            QueueError: it cannot be made.
        """
        self._client  # noqa: B018 (it is made by being asked for)

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401 (boto3 has no types)
        from botocore.config import Config  # noqa: PLC0415 (slow to import)

        parts = urlsplit(self.url)
        host = parts.hostname or ""
        of_aws = re.fullmatch(r"sqs\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?", host)
        is_led = "AWS_ENDPOINT_URL" in os.environ or "AWS_ENDPOINT_URL_SQS" in os.environ
        with self._told("reached"):
            boto = session.session()
            return boto.client(
                "sqs",
                region_name=of_aws[1] if of_aws else boto.region_name or "us-east-1",
                endpoint_url=None if of_aws or is_led else f"{parts.scheme}://{parts.netloc}",
                config=Config(
                    retries={"mode": "standard", "max_attempts": 5},
                    connect_timeout=5,
                    read_timeout=60,  # more than the longest poll
                    max_pool_connections=10,
                ),
            )

    def check(self) -> None:
        """Warn of a queue that gives messages to others before they can be dealt with."""
        visibility_s = _number(self._attributes(self.url), "VisibilityTimeout")
        if visibility_s < _LEAST_VISIBILITY_S:
            log.warning(
                "the queue %s gives a message to others after %d s already; it is asked for %s s"
                " each time, but a queue for reelshelf needs %d: `aws sqs set-queue-attributes"
                " --queue-url %s --attributes VisibilityTimeout=60`",
                self.url,
                visibility_s,
                self._visibility_s or "no more",
                _LEAST_VISIBILITY_S,
                self.url,
            )

    # -- who works for it

    @property
    def mark(self) -> _Mark:
        """Return where the mark of who works for it is kept."""
        return _Mark(self)

    def tags(self) -> dict[str, str]:
        """Return its tags; NoMarkError where it has none to tell."""
        with self._told("asked for its tags", OwnerMarkUnsupportedError):
            answer = self._client.list_queue_tags(QueueUrl=self.url)
        tags: dict[str, str] = answer.get("Tags", {})
        return tags

    def set_tag(self, name: str, value: str) -> None:
        """Set a tag; NoMarkError where it takes none."""
        with self._told("tagged", OwnerMarkUnsupportedError):
            self._client.tag_queue(QueueUrl=self.url, Tags={name: value})

    # -- sending

    def send(self, bodies: Sequence[str]) -> None:
        """Put letters in; when this returns the queue keeps them.

        Raises:
            QueueError: it may keep some of them, and not the rest.
        """
        for some in _batches(bodies):
            entries: list[Entry] = [
                {"Id": str(n), "MessageBody": body} for n, body in enumerate(some)
            ]
            with self._told("sent to"):
                failed = self._all_of(self._client.send_message_batch, self.url, entries)
            if failed:
                raise QueueError(
                    f"the queue {self.url} did not take {len(failed)} of {len(some)} letters:"
                    f" {_why(failed[0])}",
                    hint="send them again; what is sent twice is recorded once",
                )

    # -- receiving

    def receive(self, most: int, wait_s: float) -> list[ReceivedMessage]:
        """Return up to `most` messages, after waiting so long for the first.

        A wait of 0 asks some of SQS's servers only: that nothing comes then proves nothing.
        """
        end_s = time.monotonic() + wait_s
        found: list[ReceivedMessage] = []
        while len(found) < most:
            left_s = 0.0 if found else max(end_s - time.monotonic(), 0.0)
            some = self._some(self.url, most - len(found), left_s, self._visibility_s)
            found += some
            if not some and (found or time.monotonic() >= end_s):
                break
        return found

    def _some(
        self, url: str, most: int, wait_s: float, visible_s: int | None
    ) -> list[ReceivedMessage]:
        more = {} if visible_s is None else {"VisibilityTimeout": visible_s}
        with self._told("asked for messages"):
            answer = self._client.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=min(most, _BATCH),
                WaitTimeSeconds=min(math.ceil(wait_s), _LONGEST_POLL_S),
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
                **more,
            )
        return [
            ReceivedMessage(
                one["MessageId"],
                one["Body"],
                one["ReceiptHandle"],
                int(one.get("Attributes", {}).get("ApproximateReceiveCount", 1)),
            )
            for one in answer.get("Messages", [])
        ]

    def delete(self, messages: Sequence[ReceivedMessage]) -> None:
        """Let go of messages for good. One that cannot be is told, and comes again."""
        self._let_go(self.url, messages)

    def _let_go(self, url: str, messages: Sequence[ReceivedMessage]) -> None:
        for some in _tens(messages):
            entries: list[Entry] = [
                {"Id": str(n), "ReceiptHandle": one.handle} for n, one in enumerate(some)
            ]
            with self._told("freed of messages"):
                failed = self._all_of(self._client.delete_message_batch, url, entries)
            for one in failed:
                log.info("a message could not be deleted, and comes again: %s", _why(one))

    def extend(self, messages: Sequence[ReceivedMessage], seconds: int) -> None:
        """Keep messages from others for so much longer; 0 gives them back at once.

        One that is not with us any more is left as it is.
        """
        self._keep(self.url, messages, seconds)

    def _keep(self, url: str, messages: Sequence[ReceivedMessage], seconds: int) -> None:
        for some in _tens(messages):
            entries: list[Entry] = [
                {"Id": str(n), "ReceiptHandle": one.handle, "VisibilityTimeout": seconds}
                for n, one in enumerate(some)
            ]
            with self._told("asked to keep messages"):
                failed = self._all_of(self._client.change_message_visibility_batch, url, entries)
            for one in failed:
                log.debug("a message could not be kept: %s", _why(one))

    def _all_of(
        self,
        ask: Callable[..., dict[str, Any]],
        url: str,
        entries: list[Entry],
    ) -> list[dict[str, Any]]:
        """Ask until all entries are done or refused; return what SQS says of those that are not."""
        failed: list[dict[str, Any]] = []
        refused: list[dict[str, Any]] = []
        for number in range(_TRIES):
            if number:
                time.sleep(_PAUSE_S * 2**number)
            answer = ask(QueueUrl=url, Entries=entries).get("Failed", [])
            refused += [one for one in answer if one.get("SenderFault")]
            failed = [one for one in answer if not one.get("SenderFault")]
            again = {one["Id"] for one in failed}
            entries = [one for one in entries if one["Id"] in again]
            if not entries:
                break
        return [*refused, *failed]

    # -- what was put aside

    def depth(self) -> QueueDepth:
        """Return how full it is; SQS itself does not know it exactly, nor how old the oldest is."""
        told = self._attributes(self.url)
        dead_url = self._dead_url(told)
        dead = _number(self._attributes(dead_url), "ApproximateNumberOfMessages") if dead_url else 0
        return QueueDepth(
            waiting=_number(told, "ApproximateNumberOfMessages")
            + _number(told, "ApproximateNumberOfMessagesDelayed"),
            under_way=_number(told, "ApproximateNumberOfMessagesNotVisible"),
            dead=dead,
        )

    def dead(self, most: int) -> list[ReceivedMessage]:
        """Return some of the messages that were put aside; they stay there."""
        url = self._dead_url()
        found: list[ReceivedMessage] = []
        while url and len(found) < most:
            some = self._some(url, most - len(found), 0 if found else 1, _LOOK_S)
            if not some:
                break
            found += some
        if url:
            self._keep(url, found, 0)
        return found

    def put_back(self) -> int:
        """Put what was put aside back into the queue; return how many that were.

        Killed in between, a message may be in both: what comes twice is recorded once.
        """
        url, seen, count = self._dead_url(), set[str](), 0
        while url:
            some = self._some(url, _BATCH, 1, _LOOK_S)
            fresh = [one for one in some if one.body not in seen]
            self._keep(url, [one for one in some if one.body in seen], 0)
            if not fresh:  # nothing, or only what a worker put aside again already
                break
            self.send([one.body for one in fresh])
            self._let_go(url, fresh)
            seen.update(one.body for one in fresh)
            count += len(fresh)
        return count

    def _dead_url(self, told: dict[str, str] | None = None) -> str:
        """Return the URL of the dead-letter queue, "" for none."""
        policy = (told or self._attributes(self.url)).get("RedrivePolicy")
        arn = json.loads(policy).get("deadLetterTargetArn", "") if policy else ""
        if not arn:
            return ""
        *_, account, name = arn.split(":")
        with self._told("asked for its dead-letter queue"):
            answer = self._client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)
        return str(answer["QueueUrl"])

    def _attributes(self, url: str) -> dict[str, str]:
        with self._told("asked how full it is"):
            answer = self._client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        attributes: dict[str, str] = answer.get("Attributes", {})
        return attributes

    def close(self) -> None:
        """Let go of connections."""
        if "_client" in self.__dict__:
            self._client.close()

    @contextmanager
    def _told(self, deed: str, kind: type[QueueError] = QueueError) -> Iterator[None]:
        """Tell of what boto3 raises in words that help; `kind` is for what SQS itself refuses."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 (as boto3)

        try:
            yield
        except ClientError as error:
            code, told = _code_of(error.response.get("Error", {}))
            hint = _PROBLEMS.get(code, "what it holds stays in it; it is tried again")
            if is_about_time(code, told):
                hint = _CLOCK
            raise kind(
                f"the queue {self.url} cannot be {deed}: {code}: {told}",
                hint=hint,
            ) from error
        except BotoCoreError as error:
            name = type(error).__name__
            if "Credential" in name or "Profile" in name or "Token" in name:
                reason, hint = (
                    "there are no credentials for AWS, or they are not whole",
                    "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                )
            else:
                reason, hint = (
                    str(error).rstrip("."),
                    "what it holds stays in it; is the URL right?",
                )
            raise QueueError(
                f"the queue {self.url} cannot be {deed}: {reason}", hint=hint
            ) from error


def _batches(bodies: Sequence[str]) -> Iterator[list[str]]:
    """Yield bodies in batches that SQS takes."""
    some: list[str] = []
    size = 0
    for body in bodies:
        length = len(body.encode())
        if some and (len(some) == _BATCH or size + length > _BATCH_BYTES):
            yield some
            some, size = [], 0
        some.append(body)
        size += length
    if some:
        yield some


def _tens(messages: Sequence[ReceivedMessage]) -> Iterator[Sequence[ReceivedMessage]]:
    for start in range(0, len(messages), _BATCH):
        yield messages[start : start + _BATCH]


def _why(failed: dict[str, Any]) -> str:
    return str(failed.get("ReceivedMessage") or failed.get("Code") or "no reason given")


def _code_of(told: dict[str, Any]) -> tuple[str, str]:
    """Return SQS's short name of an error, without what older ones stand behind, and its words."""
    code = str(told.get("Code", "")).rpartition(".")[2].rpartition("#")[2]
    return code, str(told.get("ReceivedMessage", "")).strip().rstrip(".")


def _number(attributes: dict[str, str], name: str) -> int:
    return int(attributes.get(name, 0))
