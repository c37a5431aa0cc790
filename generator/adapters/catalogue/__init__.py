"""The catalogue: the precious SQLite file with the event log and what it folds to."""

from generator.adapters.catalogue.backup import RestoreResult, restore_backup
from generator.adapters.catalogue.files import ScanComparison
from generator.adapters.catalogue.lost_database import LostCatalogueError
from generator.adapters.catalogue.rows import stamp
from generator.adapters.catalogue.store import Catalogue

__all__ = [
    "Catalogue",
    "LostCatalogueError",
    "RestoreResult",
    "ScanComparison",
    "restore_backup",
    "stamp",
]
