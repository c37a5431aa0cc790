"""Counts the files of a folder of the library without videos, for a hint."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from generator.core.library.file_filter import VIDEO_SUFFIXES, FileFilter, compile_filter

_MAX = 20_000  # files to count; that is enough for the hint
_PLAIN = compile_filter()


@dataclass(slots=True)
class FolderSurvey:
    """How many files a scan does not take as videos, and why.

    `others` do not have the name of a video, by suffix. Of those that have, `ignored` match an
    ignore pattern, `passed_over` are hidden, unfinished or system files, and `links` are links that
    are not followed. `is_whole`: all files were counted.
    """

    others: Counter[str] = field(default_factory=Counter)
    ignored: int = 0
    passed_over: int = 0
    links: int = 0
    is_whole: bool = True

    @property
    def files(self) -> int:
        """Return how many files were counted."""
        return self.others.total() + self.ignored + self.passed_over + self.links


def survey_folder(root: Path, intake: FileFilter, *, follow_links: bool) -> FolderSurvey:
    """Count the files below a root that a scan does not take; unreadable folders are skipped."""
    survey = FolderSurvey()
    for at, folders, names in os.walk(root):
        if not follow_links:
            survey.links += sum(os.path.islink(f"{at}/{name}") for name in folders)  # noqa: PTH114 (hot)
        for name in names:
            if survey.files >= _MAX:
                survey.is_whole = False
                return survey
            _count(survey, intake, os.path.relpath(f"{at}/{name}", root), Path(at, name))
    return survey


def _count(survey: FolderSurvey, intake: FileFilter, path: str, file: Path) -> None:
    suffix = path.rpartition("/")[2].rpartition(".")[2].lower()
    if suffix not in VIDEO_SUFFIXES:
        has_suffix = "." in path.rpartition("/")[2].lstrip(".")
        survey.others[f".{suffix}" if has_suffix else "without an extension"] += 1
    elif not _PLAIN.takes_file_at(path):
        survey.passed_over += 1
    elif not intake.takes_file_at(path):
        survey.ignored += 1
    elif file.is_symlink():
        survey.links += 1
    else:
        survey.others["that cannot be read"] += 1
