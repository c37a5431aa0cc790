"""The CDN: sends invalidations to CloudFront, through boto3."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import Any
from uuid import uuid4

from generator.adapters.s3 import session
from generator.core.delivery.aws_errors import explain_refusal
from generator.core.errors import PublishError

MAX_PATHS = 3_000  # in one request, and in progress at once
MAX_WILDCARDS = 15  # in progress at once
_FULL = "TooManyInvalidationsInProgress"
_WAITS_S = (5, 10, 20, 40, 60, 60, 60, 60)  # invalidations take a minute or a few


class Distribution:
    """One CloudFront distribution; opening it sends nothing.

    Args:
        distribution: its id.
        endpoint: the URL of a compatible service; "": from the environment, or AWS.
        wait: sleeps for a number of seconds.
    """

    def __init__(
        self, distribution: str, *, endpoint: str = "", wait: Callable[[float], None] = time.sleep
    ) -> None:
        self.distribution = distribution
        self.requests: Counter[str] = Counter()
        self._counting = Lock()
        self._wait = wait
        try:
            self._client = _client(endpoint)
        except Exception as error:
            raise self._translate(error) from error
        self._client.meta.events.register("before-send.cloudfront", self._count)

    def invalidate(self, paths: Sequence[str]) -> str:
        """Invalidate paths, and return the prefix of the caller references, "" without paths.

        If too many are in progress it waits for them, for minutes.

        Args:
            paths: percent-encoded, from the root of the host; a "*" at the end matches the rest.

        Raises:
            PublishError: CloudFront refuses, or cannot be reached; some batches may have been
                accepted. The rest of its caches expires by max-age.
            ValueError: a path does not begin with "/", or is "/*".
        """
        for path in paths:
            if not path.startswith("/") or path == "/*":
                raise ValueError(f"{path!r} cannot be invalidated")
        if not paths:
            return ""
        reference = f"reelshelf-{uuid4().hex}"
        for number, batch in enumerate(_batches(paths)):
            self._send(f"{reference}-{number}", batch)
        return reference

    def _send(self, reference: str, batch: Sequence[str]) -> None:
        invalidation = {
            "Paths": {"Quantity": len(batch), "Items": list(batch)},
            "CallerReference": reference,  # so that a retry is not counted twice
        }
        waits = iter(_WAITS_S)
        while True:
            try:
                self._client.create_invalidation(
                    DistributionId=self.distribution, InvalidationBatch=invalidation
                )
            except Exception as error:
                wait_s = next(waits, None) if _code(error) == _FULL else None
                if wait_s is None:
                    raise self._translate(error) from error
                self._wait(wait_s)
            else:
                return

    def _translate(self, error: Exception) -> Exception:
        module = type(error).__module__
        if not module.startswith(("botocore", "boto3")) and not isinstance(error, ValueError):
            return error
        response = getattr(error, "response", {})
        status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        why, hint = explain_refusal(
            _code(error), status, str(response.get("Error", {}).get("Message", ""))
        )
        what = f"cannot invalidate pages in the distribution {self.distribution}: {why}"
        return PublishError(what, hint=hint)

    def _count(self, event_name: str, **_rest: object) -> None:
        with self._counting:
            self.requests[event_name.rpartition(".")[2]] += 1


def _batches(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the paths of each request; wildcards apart, as they have their own limit."""
    exact = [path for path in paths if not path.endswith("*")]
    wildcards = [path for path in paths if path.endswith("*")]
    for group, limit in ((exact, MAX_PATHS), (wildcards, MAX_WILDCARDS)):
        for start in range(0, len(group), limit):
            yield group[start : start + limit]


def _client(endpoint: str) -> Any:  # noqa: ANN401 (boto3 has no types)
    from botocore.config import Config  # noqa: PLC0415 (slow to import)

    config = Config(
        retries={"mode": "standard", "max_attempts": 5}, connect_timeout=5, read_timeout=60
    )
    # CloudFront is global; its requests are signed for this region.
    return session.session().client(
        "cloudfront", region_name="us-east-1", endpoint_url=endpoint or None, config=config
    )


def _code(error: object) -> str:
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code", ""))
    return "InvalidEndpoint" if isinstance(error, ValueError) else type(error).__name__
