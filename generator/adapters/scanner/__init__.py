"""The scanner: lists the files of the library; it reports what it could not read."""

from generator.adapters.scanner.buckets import look_buckets, merge_walks, walk_buckets
from generator.adapters.scanner.devices import devices
from generator.adapters.scanner.folders import has_beside, is_gone, look, stat_one, walk
from generator.adapters.scanner.report import RootState, Walk
from generator.adapters.scanner.survey import FolderSurvey, survey_folder

__all__ = [
    "FolderSurvey",
    "RootState",
    "Walk",
    "devices",
    "has_beside",
    "is_gone",
    "look",
    "look_buckets",
    "merge_walks",
    "stat_one",
    "survey_folder",
    "walk",
    "walk_buckets",
]
