"""Marks: small files that identify an output folder, its ledger and its catalogue."""

import json
import re
from dataclasses import asdict, dataclass

MARK = ".reelshelf"  # in the output folder
MANIFEST = ".reelshelf-files"  # beside it
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class OutputMark:
    """The mark in an output folder.

    `folder` is its unique id. `stamp` is that of the last build that wrote to it: a ledger with
    the same one is up to date with it. `catalogue` is the identity of the catalogue that was
    rendered. "" is for what is unknown.
    """

    folder: str = ""
    stamp: str = ""
    catalogue: str = ""

    def text(self) -> str:
        """Return the content of the file."""
        return json.dumps(asdict(self)) + "\n"


def read_mark(text: str) -> OutputMark | None:
    """Return the mark in a text; None where it is not a mark of reelshelf.

    An empty text is a mark with nothing known: a power cut leaves such files. Version 0.4.0 wrote
    32 hexadecimal digits and nothing else.
    """
    if not text.strip("\x00 \n"):
        return OutputMark()
    if _ID.fullmatch(text.strip()):
        return OutputMark(folder=text.strip(), stamp=text.strip())
    try:
        fields = json.loads(text)
    except ValueError:
        return None
    names = OutputMark.__dataclass_fields__
    if not isinstance(fields, dict) or not isinstance(fields.get("folder"), str):
        return None
    return OutputMark(**{name: str(fields.get(name, "")) for name in names})
