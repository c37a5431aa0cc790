"""The manifest of an output folder: which files in it reelshelf wrote. It survives the ledger.

It is a text that only grows until it is written anew: a line for each file that was created or
deleted. A line ends with ";", so that one that a crash cut off counts for nothing.
"""

from collections.abc import Iterable

from generator.core.model import OutPath

HEADER = "# files that reelshelf wrote (+) and deleted (-)\n"
_CREATED, _DELETED, _END = "+", "-", ";"


def lines_of(created: Iterable[OutPath], deleted: Iterable[OutPath] = ()) -> str:
    """Return what is appended when files are created and deleted, "" for none of both.

    It begins with a line break: the line before it may have been cut off.
    """
    lines = [f"{_CREATED}{path}{_END}" for path in created]
    lines += [f"{_DELETED}{path}{_END}" for path in deleted]
    return "\n" + "\n".join(lines) + "\n" if lines else ""


def is_manifest(first_line: str) -> bool:
    """Tell whether a text that begins so is a manifest; an empty one is that of a power cut."""
    return first_line in {HEADER, ""}


def files_in(text: str) -> set[OutPath]:
    """Return the files that were created and not deleted since."""
    files: set[OutPath] = set()
    for line in text.splitlines():
        if len(line) < 3 or not line.endswith(_END):  # noqa: PLR2004 (a sign, a name, an end)
            continue
        path = OutPath(line[1:-1])
        if line.startswith(_CREATED):
            files.add(path)
        elif line.startswith(_DELETED):
            files.discard(path)
    return files
