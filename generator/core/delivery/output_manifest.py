"""The manifest of an output folder: which files in it reelshelf wrote. It survives the ledger.

It is an append-only text, compacted now and then: a line for each file that was created or deleted.
A line ends with ";", so that one that a crash truncated is ignored.
"""

from collections.abc import Iterable

from generator.core.model import OutPath

HEADER = "# files that reelshelf wrote (+) and deleted (-)\n"
_CREATED, _DELETED, _END = "+", "-", ";"


def lines_of(created: Iterable[OutPath], deleted: Iterable[OutPath] = ()) -> str:
    """Return the text to append when files are created and deleted, "" for none of both.

    It begins with a line break: the line before may be truncated.
    """
    lines = [f"{_CREATED}{path}{_END}" for path in created]
    lines += [f"{_DELETED}{path}{_END}" for path in deleted]
    return "\n" + "\n".join(lines) + "\n" if lines else ""


def is_manifest(first_line: str) -> bool:
    """Return whether this is the first line of a manifest; a power cut leaves an empty one."""
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
