"""When to publish: after builds, throttled, and again after a failure."""

import logging
import math
import time
from collections.abc import Callable
from typing import Protocol

from generator.adapters.catalogue import Catalogue
from generator.build.engine import Engine
from generator.core.errors import PublishError, QueueError, ReelshelfError
from generator.render.owned_files import OwnedFiles
from generator.watch.build_loop import BackgroundWork
from generator.worker.backoff import RETRY_S, Backoff

log = logging.getLogger(__name__)

_CHECK_S = 30.0  # how often the ownership of the site is checked


class SitePublisher(Protocol):
    """Publishes the site: see `generator.publish.Publisher`."""

    @property
    def cursor(self) -> int:
        """Return the number of the last event that published pages reflect."""

    def publish(self) -> object:
        """Bring the bucket up to date, and return a receipt; PublishError if that fails."""

    def is_behind(self) -> bool:
        """Return whether the bucket may lack committed changes; sends no request."""


class PublishSchedule:
    """Publishes when due, with backoff after a failure; for the builder's own thread.

    Args:
        engine: the builder of the site.
        publisher: None if the site is not published: then built pages count as published.
        every_s: minimum seconds from one publish to the next.
        retry_s: seconds to wait after a first failure; doubles.

    `own` checks now and then that this process owns the site (OwnedByAnotherError if not).
    `on_published` gets the publisher's receipt.
    """

    def __init__(
        self,
        engine: Engine,
        publisher: SitePublisher | None,
        every_s: float = 0.0,
        retry_s: float = RETRY_S,
    ) -> None:
        self.own: Callable[[], object] = lambda: None
        self.on_published: Callable[[object], None] = lambda _: None
        self._engine, self._publisher, self._every_s = engine, publisher, every_s
        self._backoff = Backoff(retry_s)
        self._is_failing = self._is_put_off = False
        self._not_before_s = self._looked_s = 0.0
        self._next_s = self._owned_s = -math.inf

    def is_due(self, *, at_once: bool = False) -> bool:
        """Return whether something is left to publish, and may be published now."""
        now_s = time.monotonic()
        if self._publisher is None or not self._may(at_once=at_once):
            return False
        if self._is_failing or at_once or self._is_put_off:
            return True
        if now_s < self._looked_s + _CHECK_S:
            return False
        self._looked_s = now_s
        return self._publisher.is_behind()  # perhaps deletions whose grace period is over

    def publish(self, *, at_once: bool = False) -> int:
        """Publish if due; return the last published event.

        Args:
            at_once: ignore the minimum interval.

        Raises:
            OwnedByAnotherError: another builder owns the site now.
        """
        if self._publisher is None:
            self._try_owner()
            return self._engine.cursor
        self._is_put_off = not self._may(at_once=at_once)
        if not self._is_put_off:
            try:
                self.publish_now()
                self._backoff.succeeded()
                self._is_failing = False
            except (PublishError, QueueError) as error:
                self._backoff.failed(error)
                self._not_before_s = time.monotonic() + self._backoff.wait_s
                self._is_failing = True
        return self._publisher.cursor

    def publish_now(self) -> int:
        """Publish; return the last published event.

        Raises:
            OwnedByAnotherError: another builder owns the site now.
            PublishError: it failed, or in part.
        """
        self._check_owner()
        if self._publisher is None:
            return self._engine.cursor
        self._next_s = time.monotonic() + self._every_s
        self.on_published(self._publisher.publish())
        if self._publisher.cursor < self._engine.cursor:
            raise PublishError("not every page could be published", hint="the rest will be retried")
        return self._publisher.cursor

    def _check_owner(self) -> None:
        """Check now and then that this process owns the site."""
        if time.monotonic() >= self._owned_s + _CHECK_S:
            self.own()
            self._owned_s = time.monotonic()

    def _try_owner(self) -> None:
        """Check it where nothing is published; an unreachable queue is reported elsewhere."""
        try:
            self._check_owner()
        except (PublishError, QueueError) as error:
            log.debug("cannot check who owns the site: %s", error)

    def _may(self, *, at_once: bool) -> bool:
        now_s = time.monotonic()
        return now_s >= self._not_before_s and (at_once or now_s >= self._next_s)


class PublishingBackgroundWork:
    """The background work of the builder, and `retry` whenever it is idle."""

    def __init__(self, background: BackgroundWork | None, retry: Callable[[], None]) -> None:
        self._background, self._retry = background, retry

    def ready(self) -> bool:
        """Return whether something is finished."""
        return self._background is not None and self._background.ready()

    def enqueue(self, catalogue: Catalogue) -> bool:
        """Publish if due; start more work: called about once a second."""
        self._retry()
        try:
            return self._background is not None and self._background.enqueue(catalogue)
        except ReelshelfError as error:  # as `BuildLoop` does, but publishing goes on
            log.warning("%s\n  %s", error, error.hint)
            self._background = None
            return False

    def record(self, catalogue: Catalogue, output: OwnedFiles, now: int) -> int:
        """Record finished work."""
        return (
            self._background.record(catalogue, output, now) if self._background is not None else 0
        )
