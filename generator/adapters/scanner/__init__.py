"""The scanner: what lies in the library; it says where it could not look, and changes nothing."""

from generator.adapters.scanner.devices import devices
from generator.adapters.scanner.listing import joined, look_buckets, walk_buckets
from generator.adapters.scanner.reading import has_beside, is_gone, look, stat_one, walk
from generator.adapters.scanner.report import RootState, Walk

__all__ = [
    "RootState",
    "Walk",
    "devices",
    "has_beside",
    "is_gone",
    "joined",
    "look",
    "look_buckets",
    "stat_one",
    "walk",
    "walk_buckets",
]
