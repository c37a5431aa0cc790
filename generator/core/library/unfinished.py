"""Incomplete files: which ones may still be on their way into the library.

Most are detected by writes, or by a temporary name (`file_filter`). Two are not: a truncated file
that is not written to for a while, and one that a downloader writes under its final name, with a
control file beside it.
"""

import re

STAGE = "incomplete"  # of the problem of a truncated file
PATIENCE_S = 3600.0  # a copy without writes for so long has ended

# Suffixes of the control files of downloaders, which are there as long as the download goes on.
UNDER_WAY = (".aria2", ".st", ".lftp-pget-status")  # aria2, axel, lftp

# "title.f137.mp4": video without audio, to be muxed with it.
_PART_OF_A_FILM = re.compile(r".+\.f[0-9]{1,4}(-[a-z0-9]+)*\.[a-z0-9]+", re.DOTALL)


def may_grow(mtime_ns: int, now_s: float) -> bool:
    """Return whether a truncated file may still grow, by its mtime.

    A time far in the future is wrong, and means no.
    """
    return abs(now_s - mtime_ns / 1e9) < PATIENCE_S


def is_part_of_a_film(name: str) -> bool:
    """Return whether a file is named as yt-dlp names video that is not muxed with audio yet.

    Without FFmpeg it may stay so: such a file waits, and is used in the end.
    """
    return _PART_OF_A_FILM.fullmatch(name) is not None


def complaint(truncation: str, *, waits: bool) -> str:
    """Return the reason of the problem of a truncated file; `waits`: it may still grow."""
    after = "; it will be read when complete, or after an hour as it is" if waits else ""
    return f"is truncated: {truncation}{after}"
