"""Precompression: gzip and Brotli copies beside a page, for `gzip_static` and the like.

They are made after the pages and apart from them: compressing a site takes longer than building it.
A copy is only put in place if its page still has the content that was compressed.
"""

import gzip
from dataclasses import dataclass

import brotli

MIN_BYTES = 700  # below, headers cost more than compression gains
_GZIP_LEVEL = 6
_BROTLI_QUALITY = 5  # above it, minutes for a percent or two
_SUFFIXES = (".html", ".css", ".js", ".xml", ".svg", ".json", ".txt", ".vtt")


@dataclass(frozen=True, slots=True)
class CompressedCopies:
    """The two compressed forms of one content."""

    gzip: bytes
    brotli: bytes


def is_compressible(path: str) -> bool:
    """Return whether a file is worth compressing."""
    return path.endswith(_SUFFIXES)


def compress(content: bytes) -> CompressedCopies:
    """Return both compressed forms; the output is deterministic."""
    return CompressedCopies(
        gzip.compress(content, _GZIP_LEVEL, mtime=0),
        brotli.compress(content, quality=_BROTLI_QUALITY),
    )
