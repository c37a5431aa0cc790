"""The scanner: what lies in the library; it says where it could not look, and changes nothing."""

from generator.adapters.scanner.buckets import joined, look_buckets, walk_buckets
from generator.adapters.scanner.devices import devices
from generator.adapters.scanner.folders import has_beside, is_gone, look, stat_one, walk
from generator.adapters.scanner.report import RootState, Walk
from generator.adapters.scanner.survey import Survey, survey

__all__ = [
    "RootState",
    "Survey",
    "Walk",
    "devices",
    "has_beside",
    "is_gone",
    "joined",
    "look",
    "look_buckets",
    "stat_one",
    "survey",
    "walk",
    "walk_buckets",
]
