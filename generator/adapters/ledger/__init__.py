"""The ledger: the builder's own SQLite file, rebuildable from the catalogue at any time."""

from generator.adapters.ledger.listings import ListView
from generator.adapters.ledger.store import (
    Ledger,
    ListRow,
    OldAddressRow,
    PageRow,
    ScopeRow,
    ShownEvents,
    shown_events,
)

__all__ = [
    "Ledger",
    "ListRow",
    "ListView",
    "OldAddressRow",
    "PageRow",
    "ScopeRow",
    "ShownEvents",
    "shown_events",
]
