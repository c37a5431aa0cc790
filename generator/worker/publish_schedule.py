"""When to publish: after builds, not too often, and again after a failure."""

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

_CHECK_S = 30.0  # how often it is made sure that the site is still ours


class SitePublisher(Protocol):
    """What publishes the site: see `generator.publish.Publisher`."""

    @property
    def cursor(self) -> int:
        """Return the number of the last event that published pages show."""

    def publish(self) -> object:
        """Bring the bucket up to date, and return an account; PublishError where that fails."""

    def is_behind(self) -> bool:
        """Tell whether the bucket may lack something that is settled; it sends nothing."""


class PublishSchedule:
    """Publishes when it is time, and no sooner after a failure; for the builder's own thread.

    Args:
        engine: whose site it is.
        publisher: None where a site is not published: then what is built is what everybody sees.
        every_s: so long, in seconds, passes at least from one publish to the next.
        retry_s: so long after a first failure; it doubles.

    `own` makes sure that the site is ours (OwnerError if not), now and then. `on_published` gets
    the publisher's account.
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
        self._trouble = Backoff(retry_s)
        self._is_failing = self._is_put_off = False
        self._not_before_s = self._looked_s = 0.0
        self._next_s = self._owned_s = -math.inf

    def is_due(self, *, at_once: bool = False) -> bool:
        """Tell whether something is left to publish, and it may be tried now."""
        now_s = time.monotonic()
        if self._publisher is None or not self._may(at_once=at_once):
            return False
        if self._is_failing or at_once or self._is_put_off:
            return True
        if now_s < self._looked_s + _CHECK_S:
            return False
        self._looked_s = now_s
        return self._publisher.is_behind()  # deletions, perhaps, whose grace is over

    def publish(self, *, at_once: bool = False) -> int:
        """Publish, if it is time; return the last event that everybody sees.

        Args:
            at_once: however short ago the last publish was.

        Raises:
            OwnerError: the site is another's now.
        """
        if self._publisher is None:
            self._look_at_owner()
            return self._engine.cursor
        self._is_put_off = not self._may(at_once=at_once)
        if not self._is_put_off:
            try:
                self.publish_now()
                self._trouble.over()
                self._is_failing = False
            except (PublishError, QueueError) as error:
                self._trouble.tell(error)
                self._not_before_s = time.monotonic() + self._trouble.wait_s
                self._is_failing = True
        return self._publisher.cursor

    def publish_now(self) -> int:
        """Publish; return the last event that everybody sees.

        Raises:
            OwnerError: the site is another's now.
            PublishError: it failed, or in part.
        """
        self._own()
        if self._publisher is None:
            return self._engine.cursor
        self._next_s = time.monotonic() + self._every_s
        self.on_published(self._publisher.publish())
        if self._publisher.cursor < self._engine.cursor:
            raise PublishError(
                "not every page could be published", hint="those that are left are tried again"
            )
        return self._publisher.cursor

    def _own(self) -> None:
        """Make sure that the site is ours, now and then."""
        if time.monotonic() >= self._owned_s + _CHECK_S:
            self.own()
            self._owned_s = time.monotonic()

    def _look_at_owner(self) -> None:
        """Do so where nothing is published; a queue that cannot be reached is told of elsewhere."""
        try:
            self._own()
        except (PublishError, QueueError) as error:
            log.debug("cannot tell whose the site is: %s", error)

    def _may(self, *, at_once: bool) -> bool:
        now_s = time.monotonic()
        return now_s >= self._not_before_s and (at_once or now_s >= self._next_s)


class PublishingBackgroundWork:
    """What works beside the builder, and `retry` whenever nothing else is to be done."""

    def __init__(self, beside: BackgroundWork | None, retry: Callable[[], None]) -> None:
        self._beside, self._retry = beside, retry

    def ready(self) -> bool:
        """Tell whether something is finished."""
        return self._beside is not None and self._beside.ready()

    def feed(self, catalogue: Catalogue) -> bool:
        """Publish if that is due; hand out more work: called about once a second."""
        self._retry()
        try:
            return self._beside is not None and self._beside.feed(catalogue)
        except ReelshelfError as error:  # as `Watch` does, but publishing goes on
            log.warning("%s\n  %s", error, error.hint)
            self._beside = None
            return False

    def record(self, catalogue: Catalogue, output: OwnedFiles, now: int) -> int:
        """Record what is finished."""
        return self._beside.record(catalogue, output, now) if self._beside is not None else 0
