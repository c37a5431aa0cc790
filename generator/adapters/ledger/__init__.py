"""The ledger: the builder's own SQLite file, rebuildable from the catalogue at any time."""

from generator.adapters.ledger.ledger import Ledger, ListRow, PageRow, ScopeRow, receipts_since
from generator.adapters.ledger.listings import ListView

__all__ = ["Ledger", "ListRow", "ListView", "PageRow", "ScopeRow", "receipts_since"]
