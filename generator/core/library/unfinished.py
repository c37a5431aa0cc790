"""Copying: which files may still be on their way into the library, for all that can be seen.

Most are known by being written to, or by a name that is none of a video's (`intake`). Two are not:
a file that rests while it is cut short, and one whose program writes it under its own name, with
what tells how far it is beside it.
"""

import re

STAGE = "copy"  # of the problem of a file that is cut short
PATIENCE_S = 3600.0  # a copy that rested for so long has ended

# What lies beside a file, named like it with this at its end, as long as a program writes it.
UNDER_WAY = (".aria2", ".st", ".lftp-pget-status")  # aria2, axel, lftp

# "title.f137.mp4": the pictures alone, to be put together with the sound.
_PART_OF_A_FILM = re.compile(r".+\.f[0-9]{1,4}(-[a-z0-9]+)*\.[a-z0-9]+", re.DOTALL)


def may_grow(mtime_ns: int, now_s: float) -> bool:
    """Tell whether a file that is cut short may yet become whole, from when it was touched last.

    A time far in the future is a wrong one, and tells nothing.
    """
    return abs(now_s - mtime_ns / 1e9) < PATIENCE_S


def is_part_of_a_film(name: str) -> bool:
    """Tell whether a file is named as yt-dlp names pictures that have no sound yet.

    It may be kept so by whoever has no FFmpeg: such a file waits, and is taken in the end.
    """
    return _PART_OF_A_FILM.fullmatch(name) is not None


def complaint(cut_short: str, *, waits: bool) -> str:
    """Return the reason of the problem of a file that is cut short, which may be waited for."""
    after = "; it is taken when it is whole, or in an hour as it is" if waits else ""
    return f"is cut short: {cut_short}{after}"
