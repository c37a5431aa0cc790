"""The state of publishing, kept as facts in the ledger."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

from generator.adapters.settings import Settings
from generator.build.engine import Engine
from generator.publish.site_objects import SiteObjects

_FACT = "published/"


class PublishState:
    """The target of the last publish, what it shows, and what was spent."""

    def __init__(
        self, engine: Engine, settings: Settings, objects: SiteObjects, clock: Callable[[], float]
    ) -> None:
        self._engine, self._objects = engine, objects
        self._settings, self._ledger = settings, engine.ledger
        self._clock = clock

    @property
    def cursor(self) -> int:
        """Return the last event that was published."""
        return int(self.get("cursor") or 0)

    def must_be_full(self) -> bool:
        """Return whether a full publish is needed, not only of changes since the last one."""
        catalogue, cursor = self._engine.catalogue, self.cursor
        return (
            not self._ledger.fact("publishing")
            or self.get("whole") != "1"
            or self.get("target") != self.target()
            or self.get("looks") != self.headers_key()
            or self.get("catalogue") != catalogue.identity()
            or self.get("cursor_event") != catalogue.event_id(cursor)
        )

    def target(self) -> str:
        """Return the key of the target."""
        settings = self._settings
        return json.dumps(
            [
                settings.s3_endpoint,
                self._objects.site.name,
                self._objects.media.name,
                self._objects.prefix,
            ]
        )

    def now(self) -> int:
        """Return the current instant."""
        return int(self._clock())

    def headers_key(self) -> str:
        """Return the key of the settings that all headers depend on."""
        settings = self._settings
        return json.dumps(
            [settings.page_max_age_s, settings.publish_encoding, settings.publish_media]
        )

    def spent(self, now: int) -> int:
        """Return how many paths were invalidated this month."""
        return int(self.get(self.month(now)) or 0)

    def month(self, now: int) -> str:
        """Return the name of the fact with that count."""
        return datetime.fromtimestamp(now, UTC).strftime("invalidated-%Y-%m")

    def get(self, name: str) -> str:
        """Return a fact, "" if missing."""
        return self._ledger.fact(_FACT + name)

    def remember(self, **facts: str) -> None:
        """Store facts."""
        for name, value in facts.items():
            self._ledger.remember(_FACT + name, value)
