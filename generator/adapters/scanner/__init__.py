"""The scanner: lists the files of the library; it reports what it could not read."""

from generator.adapters.scanner.buckets import merge_walks, scan_buckets, walk_buckets
from generator.adapters.scanner.devices import devices
from generator.adapters.scanner.empty_library import FolderSurvey, survey_folder
from generator.adapters.scanner.folders import has_beside, is_gone, scan_folders, stat_one, walk
from generator.adapters.scanner.report import RootState, Walk

__all__ = [
    "FolderSurvey",
    "RootState",
    "Walk",
    "devices",
    "has_beside",
    "is_gone",
    "merge_walks",
    "scan_buckets",
    "scan_folders",
    "stat_one",
    "survey_folder",
    "walk",
    "walk_buckets",
]
