"""The scanner: what lies in the library; it says where it could not look, and changes nothing."""

from generator.adapters.scanner.reading import is_gone, look, stat_one, walk
from generator.adapters.scanner.report import RootState, Walk

__all__ = ["RootState", "Walk", "is_gone", "look", "stat_one", "walk"]
