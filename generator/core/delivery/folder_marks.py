"""Marks: small files that say whose a folder is, and what it showed last."""

import json
import re
from dataclasses import asdict, dataclass

MARK = ".reelshelf"  # in the output folder
MANIFEST = ".reelshelf-files"  # beside it
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class OutputMark:
    """What an output folder says of itself.

    `folder` tells it from every other. `stamp` is that of the last refresh that wrote to it: the
    ledger that has the same one knows what lies there. `catalogue` is the identity of the
    catalogue that was shown. "" is for what is not known.
    """

    folder: str = ""
    stamp: str = ""
    catalogue: str = ""

    def text(self) -> str:
        """Return the content of the file."""
        return json.dumps(asdict(self)) + "\n"


def read_mark(text: str) -> OutputMark | None:
    """Return what a mark says; None where the text is no mark of reelshelf.

    An empty text is one of which nothing is known: a power cut leaves such files. Version 0.4.0
    wrote 32 hexadecimal digits and nothing else.
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
