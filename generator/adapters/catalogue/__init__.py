"""The catalogue: the precious SQLite file with the event log and what it folds to."""

from generator.adapters.catalogue.store import Catalogue, Compared

__all__ = ["Catalogue", "Compared"]
