"""What lies in a folder of the library where a scan found no video: counted, for a hint."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from generator.core.library.file_filter import VIDEO_SUFFIXES, FileFilter, compile_filter

_MOST = 20_000  # files to count; a folder with as many others is told of as well
_PLAIN = compile_filter()


@dataclass(slots=True)
class FolderSurvey:
    """How many files there are that are no videos to a scan, and why not.

    `others` are those that are not called like a video, by suffix. Of those that are, `ignored`
    match a pattern of the user's, `passed_over` are hidden, unfinished or of a system, and `links`
    are links that are not followed. `is_whole`: nothing was left uncounted.
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
    """Count the files below a root that a scan does not take; what cannot be read has none."""
    counted = FolderSurvey()
    for at, folders, names in os.walk(root):
        if not follow_links:
            counted.links += sum(os.path.islink(f"{at}/{name}") for name in folders)  # noqa: PTH114 (hot)
        for name in names:
            if counted.files >= _MOST:
                counted.is_whole = False
                return counted
            _count(counted, intake, os.path.relpath(f"{at}/{name}", root), Path(at, name))
    return counted


def _count(counted: FolderSurvey, intake: FileFilter, path: str, file: Path) -> None:
    suffix = path.rpartition("/")[2].rpartition(".")[2].lower()
    if suffix not in VIDEO_SUFFIXES:
        has_suffix = "." in path.rpartition("/")[2].lstrip(".")
        counted.others[f".{suffix}" if has_suffix else "without an ending"] += 1
    elif not _PLAIN.takes_file_at(path):
        counted.passed_over += 1
    elif not intake.takes_file_at(path):
        counted.ignored += 1
    elif file.is_symlink():
        counted.links += 1
    else:
        counted.others["that cannot be read"] += 1
