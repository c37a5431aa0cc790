"""The order of a folder's videos, by episode numbers and by names.

A folder is sorted by the name of the series ("Show" in "Show S01E02"), then season and episode,
then the rest of the name. The episode number is from the sidecar, else from a mark in the name
(S01E02, 1x02, s1.e2), else the place in a playlist, else the number the name begins with, so that a
folder in which only some have a sidecar is in one order, too. Without a season it is that of the
folder ("Season 2"), or else the first; specials are season 0. Videos without a number are sorted
by name.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from generator.core.model import Video

_MAX = 99_999
_SEPARATED = r"(?<![^\W_])"
_SEASON = r"s(?:eason|taffel|aison|erie)?[ ._-]{0,2}(?P<season>\d{1,4})"
_MARKS = tuple(
    re.compile(_SEPARATED + pattern + r"(?!\d)", re.IGNORECASE | re.ASCII)
    for pattern in (
        _SEASON + r"[ ._,-]{0,3}e(?:p(?:isode)?)?[ ._-]{0,2}(?P<episode>\d{1,5})",
        r"(?P<season>\d{1,2})x(?P<episode>\d{2,3})(?![x\d])",
    )
)
_EPISODE_ALONE = re.compile(
    _SEPARATED + r"(?:ep(?:isode)?|folge|e)[ ._-]{0,2}(?P<episode>\d{1,5})(?![^\W_])",
    re.IGNORECASE | re.ASCII,
)
_LEADING = re.compile(r"\W{0,3}(?P<episode>\d{1,5})(?![\d])", re.ASCII)
_SEASON_FOLDER = re.compile(
    r"(?:.*[^a-z])?(?:season|series|staffel|saison|temporada|stagione|sezon|seizoen|s)[ ._-]{0,2}"
    r"(?P<season>\d{1,4})\W*",
    re.IGNORECASE | re.ASCII,
)
_SPECIALS = re.compile(r"(?:specials?|extras?|season 0+)", re.IGNORECASE)
_BETWEEN = " ._-\u2013\u2014[]()"


@dataclass(frozen=True, slots=True)
class Numbered:
    """The sort key of a file in its folder: series, season, episode, and the rest of its name.

    `series` is "" where the name begins with the number. `season` and `episode` are None where it
    has no number; then `series` is the whole name.
    """

    series: str
    rest: str = ""
    season: int | None = None
    episode: int | None = None


def numbered(video: Video) -> Numbered:
    """Return the sort key of a video in its folder; it depends on no other video."""
    path = video.place.path
    folder, _, name = path.rpartition("/")
    stem = name.rpartition(".")[0] or name
    if not stem.isascii():
        stem = unicodedata.normalize("NFC", stem)
    mark = next(filter(None, (one.search(stem) for one in _MARKS)), None)
    season = int(mark["season"]) if mark is not None else None
    mark = mark or _EPISODE_ALONE.search(stem)
    series, rest = "", stem
    if mark is not None:
        series, rest = stem[: mark.start()].strip(_BETWEEN), stem[mark.start() :]
    if video.episode is not None:
        episode, season = video.episode, video.season if video.season is not None else season
    elif mark is not None:
        episode = int(mark["episode"])
    elif video.playlist_index is not None:
        episode = video.playlist_index
    else:
        leading = _LEADING.match(stem)
        if leading is None:
            return Numbered(stem)
        episode = int(leading["episode"])
    if season is None:
        season = _season_of(folder.rpartition("/")[2])
    return Numbered(series, rest, min(season, _MAX), min(episode, _MAX))


@lru_cache(maxsize=1 << 12)
def _season_of(folder: str) -> int:
    match = _SEASON_FOLDER.fullmatch(folder)
    if match is not None:
        return int(match["season"])
    return 0 if _SPECIALS.fullmatch(folder) else 1
