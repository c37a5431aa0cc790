"""Amazon SQS, or a compatible service: a standard queue and its dead-letter queue."""

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

_BATCH = 10  # messages in one request to SQS
_BATCH_BYTES = 240_000  # of bodies; the limit of SQS is 262,144 with attributes
_MAX_POLL_S = 20
_TRIES, _PAUSE_S = 5, 0.05  # for failed entries of a batch; the pause doubles
_MIN_VISIBILITY_S = 30
_OWNER_TAG = "reelshelf-owner"
_CLOCK_HINT = "the clock of this machine is wrong: `timedatectl set-ntp true`; the keys are right"
_DEAD_VISIBILITY_S = 60  # visibility timeout of dead letters while they are read
_HINTS = {
    "AccessDenied": "does the policy of this key or role, and of the queue, allow it?",
    "AccessDeniedException": "does the policy of this key or role, and of the queue, allow it?",
    "InvalidClientTokenId": "the access key does not exist in this account",
    "UnrecognizedClientException": "the access key does not exist in this account",
    "SignatureDoesNotMatch": "the secret access key is wrong",
    "ExpiredToken": "the credentials have expired: sign in again",
    "ExpiredTokenException": "the credentials have expired: sign in again",
    "QueueDoesNotExist": "is `queue` its whole URL, and the region right?",
    "NonExistentQueue": "is `queue` its whole URL, and the region right?",
    "RequestThrottled": "there are too many requests; it will be retried",
    "OverLimit": "too many messages are in flight; they will be delivered again",
}

Entry = dict[str, object]


@dataclass(frozen=True, slots=True)
class _SqsMark:
    """A mark; its text is its ETag."""

    etag: str


@dataclass(frozen=True, slots=True)
class _SqsMarkStore:
    """The owner mark of a queue, in one of its tags.

    A tag takes letters, digits and few other characters, and has no conditional writes: of two
    concurrent ones the last wins, and the other process notices when it reads the tag again.
    """

    queue: "SqsQueue"

    @property
    def name(self) -> str:
        return self.queue.url

    def get(self, key: str) -> tuple[bytes, _SqsMark] | None:
        del key
        tag = self.queue.tags().get(_OWNER_TAG)
        if tag is None:
            return None
        who, _, rest = tag.partition(":")
        site, _, since = rest.rpartition(":")
        body = json.dumps({"who": who, "site": site, "since": since})
        return body.encode(), _SqsMark(tag)

    def put(self, key: str, body: bytes, headers: object, match: str) -> _SqsMark:
        del key, headers, match
        owner = json.loads(body)
        tag = f"{owner['who']}:{owner['site']}:{owner['since']}"
        self.queue.set_tag(_OWNER_TAG, tag)
        return _SqsMark(tag)


class SqsQueue:
    """One standard queue. It is thread-safe.

    Args:
        url: the queue's URL. Its host is the endpoint unless AWS_ENDPOINT_URL is set.
        visibility_s: visibility timeout of received messages; None: the default of the queue.
    """

    def __init__(self, url: str, *, visibility_s: int | None = None) -> None:
        self.url = url
        self._visibility_s = visibility_s

    def prepare(self) -> None:
        """Create the client now, which takes about a second, instead of at the first call.

        Raises:
            QueueError: it cannot be created.
        """
        self._client  # noqa: B018 (a cached property)

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401 (boto3 has no types)
        from botocore.config import Config  # noqa: PLC0415 (slow to import)

        parts = urlsplit(self.url)
        host = parts.hostname or ""
        of_aws = re.fullmatch(r"sqs\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?", host)
        is_overridden = "AWS_ENDPOINT_URL" in os.environ or "AWS_ENDPOINT_URL_SQS" in os.environ
        with self._translate_errors("reach"):
            boto = session.session()
            return boto.client(
                "sqs",
                region_name=of_aws[1] if of_aws else boto.region_name or "us-east-1",
                endpoint_url=None
                if of_aws or is_overridden
                else f"{parts.scheme}://{parts.netloc}",
                config=Config(
                    retries={"mode": "standard", "max_attempts": 5},
                    connect_timeout=5,
                    read_timeout=60,  # more than the longest poll
                    max_pool_connections=10,
                ),
            )

    def check(self) -> None:
        """Warn of a visibility timeout that is too short to process a message."""
        visibility_s = _number(self._attributes(self.url), "VisibilityTimeout")
        if visibility_s < _MIN_VISIBILITY_S:
            log.warning(
                "the visibility timeout of the queue %s is only %d s; reelshelf requests %s s"
                " each time, but the queue itself needs %d: `aws sqs set-queue-attributes"
                " --queue-url %s --attributes VisibilityTimeout=60`",
                self.url,
                visibility_s,
                self._visibility_s or "no more",
                _MIN_VISIBILITY_S,
                self.url,
            )

    # -- owner mark

    @property
    def mark(self) -> _SqsMarkStore:
        """Return the store of its owner mark."""
        return _SqsMarkStore(self)

    def tags(self) -> dict[str, str]:
        """Return its tags; OwnerMarkUnsupportedError if it does not support them."""
        with self._translate_errors("read the tags of", OwnerMarkUnsupportedError):
            answer = self._client.list_queue_tags(QueueUrl=self.url)
        tags: dict[str, str] = answer.get("Tags", {})
        return tags

    def set_tag(self, name: str, value: str) -> None:
        """Set a tag; OwnerMarkUnsupportedError if it does not support them."""
        with self._translate_errors("tag", OwnerMarkUnsupportedError):
            self._client.tag_queue(QueueUrl=self.url, Tags={name: value})

    # -- sending

    def send(self, bodies: Sequence[str]) -> None:
        """Send messages; when this returns, the queue has them all.

        Raises:
            QueueError: some of them may have been sent, and the rest not.
        """
        for batch in _batches(bodies):
            entries: list[Entry] = [
                {"Id": str(n), "MessageBody": body} for n, body in enumerate(batch)
            ]
            with self._translate_errors("send to"):
                failed = self._send_batch(self._client.send_message_batch, self.url, entries)
            if failed:
                raise QueueError(
                    f"the queue {self.url} did not take {len(failed)} of {len(batch)} messages:"
                    f" {_failure_reason(failed[0])}",
                    hint="send them again; duplicates are recorded once",
                )

    # -- receiving

    def receive(self, most: int, wait_s: float) -> list[ReceivedMessage]:
        """Return up to `most` messages; wait up to `wait_s` for the first.

        A wait of 0 is short polling, which asks only some of the servers of SQS: an empty answer
        then proves nothing.
        """
        end_s = time.monotonic() + wait_s
        messages: list[ReceivedMessage] = []
        while len(messages) < most:
            left_s = 0.0 if messages else max(end_s - time.monotonic(), 0.0)
            batch = self._receive_batch(self.url, most - len(messages), left_s, self._visibility_s)
            messages += batch
            if not batch and (messages or time.monotonic() >= end_s):
                break
        return messages

    def _receive_batch(
        self, url: str, most: int, wait_s: float, visible_s: int | None
    ) -> list[ReceivedMessage]:
        options = {} if visible_s is None else {"VisibilityTimeout": visible_s}
        with self._translate_errors("receive from"):
            answer = self._client.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=min(most, _BATCH),
                WaitTimeSeconds=min(math.ceil(wait_s), _MAX_POLL_S),
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
                **options,
            )
        return [
            ReceivedMessage(
                message["MessageId"],
                message["Body"],
                message["ReceiptHandle"],
                int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1)),
            )
            for message in answer.get("Messages", [])
        ]

    def delete(self, messages: Sequence[ReceivedMessage]) -> None:
        """Delete messages. One that cannot be deleted is logged, and delivered again."""
        self._delete(self.url, messages)

    def _delete(self, url: str, messages: Sequence[ReceivedMessage]) -> None:
        for batch in _message_batches(messages):
            entries: list[Entry] = [
                {"Id": str(n), "ReceiptHandle": message.handle} for n, message in enumerate(batch)
            ]
            with self._translate_errors("delete messages from"):
                failed = self._send_batch(self._client.delete_message_batch, url, entries)
            for failure in failed:
                log.info(
                    "a message could not be deleted, and will be delivered again: %s",
                    _failure_reason(failure),
                )

    def extend(self, messages: Sequence[ReceivedMessage], seconds: int) -> None:
        """Extend the visibility timeout of messages; 0 gives them back at once.

        A message that is no longer ours is left as it is.
        """
        self._extend(self.url, messages, seconds)

    def _extend(self, url: str, messages: Sequence[ReceivedMessage], seconds: int) -> None:
        for batch in _message_batches(messages):
            entries: list[Entry] = [
                {"Id": str(n), "ReceiptHandle": message.handle, "VisibilityTimeout": seconds}
                for n, message in enumerate(batch)
            ]
            with self._translate_errors("extend messages of"):
                failed = self._send_batch(
                    self._client.change_message_visibility_batch, url, entries
                )
            for failure in failed:
                log.debug(
                    "the visibility timeout of a message could not be extended: %s",
                    _failure_reason(failure),
                )

    def _send_batch(
        self,
        call: Callable[..., dict[str, Any]],
        url: str,
        entries: list[Entry],
    ) -> list[dict[str, Any]]:
        """Call until all entries are done or refused; return the failures that remain."""
        failed: list[dict[str, Any]] = []
        refused: list[dict[str, Any]] = []
        for number in range(_TRIES):
            if number:
                time.sleep(_PAUSE_S * 2**number)
            failures = call(QueueUrl=url, Entries=entries).get("Failed", [])
            refused += [item for item in failures if item.get("SenderFault")]
            failed = [item for item in failures if not item.get("SenderFault")]
            retried = {item["Id"] for item in failed}
            entries = [item for item in entries if item["Id"] in retried]
            if not entries:
                break
        return [*refused, *failed]

    # -- depth and dead letters

    def depth(self) -> QueueDepth:
        """Return the depth of the queue: SQS only has approximate counts, and no oldest age."""
        attributes = self._attributes(self.url)
        dead_url = self._dead_url(attributes)
        dead = _number(self._attributes(dead_url), "ApproximateNumberOfMessages") if dead_url else 0
        return QueueDepth(
            waiting=_number(attributes, "ApproximateNumberOfMessages")
            + _number(attributes, "ApproximateNumberOfMessagesDelayed"),
            in_flight=_number(attributes, "ApproximateNumberOfMessagesNotVisible"),
            dead=dead,
        )

    def dead(self, most: int) -> list[ReceivedMessage]:
        """Return up to `most` dead letters; they stay there."""
        url = self._dead_url()
        messages: list[ReceivedMessage] = []
        while url and len(messages) < most:
            batch = self._receive_batch(
                url, most - len(messages), 0 if messages else 1, _DEAD_VISIBILITY_S
            )
            if not batch:
                break
            messages += batch
        if url:
            self._extend(url, messages, 0)
        return messages

    def redrive(self) -> int:
        """Redrive the dead letters to the queue; return how many.

        If it is killed, a message may be in both: a duplicate is recorded once.
        """
        url, seen, count = self._dead_url(), set[str](), 0
        while url:
            batch = self._receive_batch(url, _BATCH, 1, _DEAD_VISIBILITY_S)
            fresh = [message for message in batch if message.body not in seen]
            self._extend(url, [message for message in batch if message.body in seen], 0)
            if not fresh:  # none, or only those that failed again already
                break
            self.send([message.body for message in fresh])
            self._delete(url, fresh)
            seen.update(message.body for message in fresh)
            count += len(fresh)
        return count

    def _dead_url(self, attributes: dict[str, str] | None = None) -> str:
        """Return the URL of the dead-letter queue, "" if there is none."""
        policy = (attributes or self._attributes(self.url)).get("RedrivePolicy")
        arn = json.loads(policy).get("deadLetterTargetArn", "") if policy else ""
        if not arn:
            return ""
        *_, account, name = arn.split(":")
        with self._translate_errors("find the dead-letter queue of"):
            answer = self._client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)
        return str(answer["QueueUrl"])

    def _attributes(self, url: str) -> dict[str, str]:
        with self._translate_errors("read the attributes of"):
            answer = self._client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        attributes: dict[str, str] = answer.get("Attributes", {})
        return attributes

    def close(self) -> None:
        """Close connections."""
        if "_client" in self.__dict__:
            self._client.close()

    @contextmanager
    def _translate_errors(self, action: str, kind: type[QueueError] = QueueError) -> Iterator[None]:
        """Raise errors of boto3 as QueueError, with a hint; those of SQS itself as `kind`."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 (as boto3)

        try:
            yield
        except ClientError as error:
            code, message = _code_and_message(error.response.get("Error", {}))
            hint = _HINTS.get(code, "messages stay in the queue; it will be retried")
            if is_about_time(code, message):
                hint = _CLOCK_HINT
            raise kind(
                f"cannot {action} the queue {self.url}: {code}: {message}",
                hint=hint,
            ) from error
        except BotoCoreError as error:
            name = type(error).__name__
            if "Credential" in name or "Profile" in name or "Token" in name:
                reason, hint = (
                    "there are no credentials for AWS, or they are incomplete",
                    "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                )
            else:
                reason, hint = (
                    str(error).rstrip("."),
                    "messages stay in the queue; is the URL right?",
                )
            raise QueueError(
                f"cannot {action} the queue {self.url}: {reason}", hint=hint
            ) from error


def _batches(bodies: Sequence[str]) -> Iterator[list[str]]:
    """Yield bodies in batches within the limits of SQS."""
    batch: list[str] = []
    size = 0
    for body in bodies:
        length = len(body.encode())
        if batch and (len(batch) == _BATCH or size + length > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(body)
        size += length
    if batch:
        yield batch


def _message_batches(messages: Sequence[ReceivedMessage]) -> Iterator[Sequence[ReceivedMessage]]:
    for start in range(0, len(messages), _BATCH):
        yield messages[start : start + _BATCH]


def _failure_reason(failed: dict[str, Any]) -> str:
    return str(failed.get("Message") or failed.get("Code") or "no reason given")


def _code_and_message(failure: dict[str, Any]) -> tuple[str, str]:
    """Return the code of an SQS error, without its namespace, and its message."""
    code = str(failure.get("Code", "")).rpartition(".")[2].rpartition("#")[2]
    return code, str(failure.get("Message", "")).strip().rstrip(".")


def _number(attributes: dict[str, str], name: str) -> int:
    return int(attributes.get(name, 0))
