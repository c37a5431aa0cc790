"""Compressed copies: gzip and Brotli beside a page, for servers that send them as they are.

Made after the pages and apart from them: compressing a site takes longer than building it. The
copies come from bytes that were read, and are put in place only while the page still holds these.
"""

import gzip
from dataclasses import dataclass

import brotli

LEAST_BYTES = 700  # below, the headers weigh more than what is gained
_GZIP_LEVEL = 6
_BROTLI_QUALITY = 5  # beyond it, minutes for a per cent or two
_SUFFIXES = (".html", ".css", ".js", ".xml", ".svg", ".json", ".txt", ".vtt")


@dataclass(frozen=True, slots=True)
class CompressedCopies:
    """The two compressed forms of one content."""

    gzip: bytes
    brotli: bytes


def is_compressible(path: str) -> bool:
    """Tell whether a file gains by compression."""
    return path.endswith(_SUFFIXES)


def compress(content: bytes) -> CompressedCopies:
    """Return both compressed forms; the same for the same content."""
    return CompressedCopies(
        gzip.compress(content, _GZIP_LEVEL, mtime=0),
        brotli.compress(content, quality=_BROTLI_QUALITY),
    )
