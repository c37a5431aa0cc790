"""The catalogue: the precious SQLite file with the event log and what it folds to."""

from generator.adapters.catalogue.backup import RestoreResult, restore_backup
from generator.adapters.catalogue.backup_copy import BackupResult, make_backup
from generator.adapters.catalogue.backup_record import CheckedBackup, check_backup
from generator.adapters.catalogue.backup_record import backup_files as list_backups
from generator.adapters.catalogue.files import ScanComparison
from generator.adapters.catalogue.lost_database import LostCatalogueError
from generator.adapters.catalogue.rebuild import SalvageResult, salvage_catalogue
from generator.adapters.catalogue.rows import stamp
from generator.adapters.catalogue.store import Catalogue

__all__ = [
    "BackupResult",
    "Catalogue",
    "CheckedBackup",
    "LostCatalogueError",
    "RestoreResult",
    "SalvageResult",
    "ScanComparison",
    "check_backup",
    "list_backups",
    "make_backup",
    "restore_backup",
    "salvage_catalogue",
    "stamp",
]
