"""The ledger: the builder's own SQLite file, rebuildable from the catalogue at any time."""

from generator.adapters.ledger.build_figures import TOTALS, BuildFigures, build_figures
from generator.adapters.ledger.listings import ListView
from generator.adapters.ledger.old_addresses import OldAddressRow, OldAddressTable
from generator.adapters.ledger.store import (
    Ledger,
    ListRow,
    PageRow,
    ScopeRow,
    ShownEvents,
    shown_events,
)

__all__ = [
    "TOTALS",
    "BuildFigures",
    "Ledger",
    "ListRow",
    "ListView",
    "OldAddressRow",
    "OldAddressTable",
    "PageRow",
    "ScopeRow",
    "ShownEvents",
    "build_figures",
    "shown_events",
]
