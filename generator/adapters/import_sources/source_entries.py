"""The entries of one file, while it is read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from generator.adapters.import_sources.tolerant_json import MarkedObject, is_cut
from generator.core.library.import_entries import (
    ImportEntry,
    ImportField,
    RejectedEntry,
    UnusableKeyError,
)
from generator.core.library.import_values import (
    UnusableValueError,
    import_key,
    instant_in,
    shown_value,
    stars_in,
    tags_in,
    views_in,
)

CUT = "is cut off here"


@dataclass(slots=True)
class SourceEntries:
    """Collects the entries of a file, and why others are none.

    Values of any type go in; `prefix` begins every reason ("line 3: ").
    """

    source: str
    entries: list[ImportEntry] = field(default_factory=list)
    rejected: list[RejectedEntry] = field(default_factory=list)
    prefix: str = ""

    def reject(self, key: str, reason: str) -> None:
        """List an entry, or with the key "" the file, as one that is not imported."""
        self.rejected.append(RejectedEntry(self.source, key, self.prefix + reason))

    def key(self, value: object) -> str | None:
        """Return the key that a value is; None, and listed, if it can be none."""
        try:
            return import_key(value)
        except UnusableKeyError as error:
            self.reject(value if isinstance(value, str) else "", str(error))
            return None

    def add(
        self,
        key: str,
        name: ImportField,
        value: int | tuple[str, ...],
        at: object = None,
        visitor: str = "",
    ) -> None:
        """Add an entry of a value of our own type."""
        self.entries.append(ImportEntry(self.source, key, name, value, instant_in(at), visitor))

    def stars(
        self,
        key: str,
        value: object,
        at: object = None,
        visitor: str = "",
        read: Callable[[object], int] = stars_in,
    ) -> None:
        """Add a rating."""
        self._number(key, ImportField.STARS, read, value, at, visitor)

    def views(
        self,
        key: str,
        value: object,
        last_at: object = None,
        name: ImportField = ImportField.VIEWS,
    ) -> None:
        """Add a number of views."""
        self._number(key, name, views_in, value, last_at, "")

    def favorite(self, key: str, at: object = None, visitor: str = "") -> None:
        """Add a favorite."""
        self.add(key, ImportField.FAVORITE, value=True, at=at, visitor=visitor)

    def tags(
        self, key: str, value: object, at: object = None, name: ImportField = ImportField.TAGS
    ) -> None:
        """Add tags; of a list that is cut, those that are whole."""
        if is_cut(value):
            self.reject(key, f"{CUT}: later tags are missing")
        try:
            tags, reasons = tags_in(value)
        except UnusableValueError as error:
            if not is_cut(value):
                self.reject(key, str(error))
            return
        for reason in reasons:
            self.reject(key, reason)
        if tags:
            self.add(key, name, tags, at)

    def added(self, key: str, value: object) -> None:
        """Add the instant at which a video was added."""
        instant = instant_in(value)
        if instant is None:
            self.reject(key, f"{shown_value(value)} is no date")
        else:
            self.add(key, ImportField.ADDED, instant)

    def _number(
        self,
        key: str,
        name: ImportField,
        read: Callable[[object], int],
        value: object,
        at: object,
        visitor: str,
    ) -> None:
        try:
            self.add(key, name, read(value), at, visitor)
        except UnusableValueError as error:
            self.reject(key, str(error))

    def members(self, value: dict[str, object]) -> Iterator[tuple[str, object]]:
        """Yield the usable keys of an object of files, with their values.

        Earlier values of keys that it has twice are listed.
        """
        if isinstance(value, MarkedObject):
            for key, earlier in value.replaced:
                self.reject(key, f"{shown_value(earlier)} is followed by {shown_value(value[key])}")
        for name, member in value.items():
            usable = self.key(name)
            if usable is not None:
                yield usable, member
