"""Which entry counts where several files have another value for one field of one key."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from generator.core.library.import_entries import ImportEntry, ImportField, RejectedEntry
from generator.core.library.import_values import shown_value


class SourceKind(StrEnum):
    """What a file was recognized as, by ascending precedence."""

    NFO = ".nfo of Kodi or Jellyfin"
    STASH = "scene of Stash"
    TABLE = "table"
    VIDEO_TAGS = "tags of one video"
    TAGS = "tags of a video server"
    FAVORITES = "favorites of a video server"
    VIEWS = "views of a video server"
    RATINGS = "ratings of a video server"
    DATABASE = "database of a video server"
    EXPORT = "export of reelshelf"


_RANKS = {kind: rank for rank, kind in enumerate(SourceKind)}
_SERVER = frozenset({SourceKind.TAGS, SourceKind.DATABASE})  # two forms of the same tags
_TAG_FIELDS = frozenset({ImportField.TAGS, ImportField.REMOVED_TAGS})

Ranked = tuple[SourceKind, Sequence[ImportEntry]]


def settle(sources: Iterable[Ranked]) -> tuple[list[ImportEntry], list[RejectedEntry]]:
    """Return the entries that count, and those beaten by one with another value.

    Of equal precedence the last counts. Tags of different files are added up, but those that the
    database of a video server took over from its `tags.json`.
    """
    chosen: dict[tuple[str, str, str, str], ImportEntry] = {}
    beaten: list[RejectedEntry] = []
    for kind, entries in sorted(sources, key=lambda ranked: _RANKS[ranked[0]]):
        for entry in entries:
            group = "" if entry.field not in _TAG_FIELDS or kind in _SERVER else entry.source
            place = (entry.key, entry.field, entry.visitor, group)
            former = chosen.get(place)
            if former is not None and former.value != entry.value:
                beaten.append(_beaten(former, entry))
            chosen[place] = entry
    return list(chosen.values()), beaten


def _beaten(entry: ImportEntry, by: ImportEntry) -> RejectedEntry:
    where = by.source if by.source != entry.source else "a later entry"
    return RejectedEntry(
        entry.source,
        entry.key,
        f"{entry.field} {_shown(entry.value)}: {where} has {_shown(by.value)}",
    )


def _shown(value: int | tuple[str, ...]) -> str:
    return ", ".join(value) if isinstance(value, tuple) else shown_value(value)
