"""How Google Takeout names the .json sidecar of a file.

`NAME.EXT.supplemental-metadata.json` since 2024, `NAME.EXT.json` before. Without ".json" it is
truncated to 46 characters, so that it may end anywhere, even in NAME. Files of one name are
numbered: the sidecar of `NAME(1).EXT` is `NAME.EXT.supplemental-metadata(1).json`. An edited video
has none of its own, and the video of a live photo may share that of its picture.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from enum import IntEnum

from generator.core.library.name_matching import loose, uncased

_TAIL = "supplemental-metadata"
_MAX_STEM = 46  # characters; with ".json" 51
_NUMBER = re.compile(r"(\(\d{1,4}\))\Z")
_NAME = re.compile(r"(?P<plain>.*?)(?P<number>\(\d{1,4}\))?(?P<suffix>\.[^.]*)?", re.DOTALL)
_PICTURES = frozenset({"heic", "heif", "jpg", "jpeg", "png", "dng", "avif", "webp", "gif"})
_EDITED = re.compile(  # Google's suffix in the languages that are known
    r"-(?:edited|bearbeitet|bewerkt|modifi[ée]|modificato|edytowane|editado|ha editado|editat"
    r"|redigerad|redigeret|upravené|編集済み|已修改)(?P<number>\(\d{1,4}\))?(?P<suffix>\.[^.]*)\Z",
    re.IGNORECASE,
)
_UNSAFE = re.compile(r"[^\w.]")
_MAX_LENGTH = 1000  # characters of a title
_MAX_CUT = 8  # videos that one truncated name may mean


class NameMatch(IntEnum):
    """How a .json is named after a video, the surest first."""

    WHOLE = 0  # NAME.EXT
    TAILED = 1  # with its tail or its number behind it
    CUT = 2  # cut within NAME.EXT
    EDITED = 3  # that of the video before it was edited
    LIVE = 4  # that of the picture of a live photo


def fit_of(video: str, stem: str) -> NameMatch | None:
    """Return how a .json is named after a video, None where it is not.

    Args:
        video: the name of the video's file.
        stem: that of the .json, without its suffix.
    """
    film, json_stem = uncased(video), uncased(stem)
    if film == json_stem or loose(film) == loose(json_stem):
        return NameMatch.WHOLE
    base, number = _parted(json_stem)
    wholes = [_numbered(name, number) for name in _names(base)]
    if film in wholes:
        return NameMatch.TAILED
    if _is_cut(stem) and any(one.startswith(base) for one in (film, _plain(film))):
        return NameMatch.CUT
    if _unedited(film) in wholes:
        return NameMatch.EDITED
    return NameMatch.LIVE if film.rpartition(".")[0] in _live(base, number) else None


def agrees(video: str, title: object) -> bool:
    """Return whether the title within a .json is that of a video, whose name may be truncated."""
    if not isinstance(title, str):
        return False
    film, json_title = _plain(uncased(video)), uncased(title[:_MAX_LENGTH])
    name, _, suffix = film.rpartition(".")
    other, dot, other_suffix = json_title.rpartition(".")
    if dot and other_suffix != suffix:
        return False
    plain, whole = _UNSAFE.sub("_", name), _UNSAFE.sub("_", other if dot else json_title)
    return whole == plain or (len(name) >= _MAX_STEM and whole.startswith(plain))


class TakeoutVideos:
    """The videos of one folder, indexed by the names of their Takeout sidecars."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._wholes: dict[str, list[str]] = {}
        self._stems: dict[str, list[str]] = {}
        for path in paths:
            film = uncased(path.rpartition("/")[2])
            self._wholes.setdefault(film, []).append(path)
            self._stems.setdefault(film.rpartition(".")[0], []).append(path)
            unedited = _unedited(film)
            if unedited:
                self._wholes.setdefault(unedited, []).append(path)
        self._sorted: dict[str | None, list[str]] | None = None  # by number; None: all of them

    def of(self, stem: str) -> Iterator[tuple[NameMatch, str]]:
        """Yield the videos that a .json may be about, and how it is named after each."""
        base, number = _parted(uncased(stem))
        paths: dict[str, None] = {}
        for name in _names(base):
            paths.update(dict.fromkeys(self._wholes.get(_numbered(name, number), ())))
        for name in _live(base, number):
            paths.update(dict.fromkeys(self._stems.get(name, ())))
        if _is_cut(stem):
            paths.update(dict.fromkeys(self._beginning_with(base, number)))
        for path in paths:
            fit = fit_of(path.rpartition("/")[2], stem)
            if fit is not None:
                yield fit, path

    def _beginning_with(self, base: str, number: str) -> list[str]:
        """Return the videos that begin so: those with the number, or if none has it, all."""
        if self._sorted is None:
            by_number: dict[str | None, list[str]] = {None: sorted(self._wholes)}
            for name in by_number[None]:
                parts = _NAME.fullmatch(name)
                by_number.setdefault((parts and parts["number"]) or "", []).append(name)
            self._sorted = by_number
        for names in (self._sorted.get(number, []), self._sorted[None]):
            start = bisect_left(names, base)
            alike = names[start : start + _MAX_CUT + 1]
            paths = [path for one in alike if one.startswith(base) for path in self._wholes[one]]
            if paths:
                return paths if len(paths) <= _MAX_CUT else []  # it may be about anything
        return []


def _parted(stem: str) -> tuple[str, str]:
    number = _NUMBER.search(stem)
    return (stem, "") if number is None else (stem[: number.start()], number[1])


def _names(base: str) -> Iterator[str]:
    """Yield the possible names of the video: without the tail, of which any part may be left."""
    name, dot, end = base.rpartition(".")
    if dot and _TAIL.startswith(end):
        yield name
    yield base


def _numbered(name: str, number: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return f"{stem}{number}{dot}{suffix}" if dot else name + number


def _plain(film: str) -> str:
    """Return a video's name without its number."""
    parts = _NAME.fullmatch(film)
    return film if parts is None else parts["plain"] + (parts["suffix"] or "")


def _unedited(film: str) -> str:
    """Return the name that an edited video had before, "" for others."""
    match = _EDITED.search(film)
    return (
        "" if match is None else film[: match.start()] + (match["number"] or "") + match["suffix"]
    )


def _live(base: str, number: str) -> Iterator[str]:
    """Yield the names, without suffix, of the videos that belong to a picture."""
    for name in _names(base):
        stem, _, suffix = name.rpartition(".")
        if suffix in _PICTURES:
            yield stem + number


def _is_cut(stem: str) -> bool:
    """Return whether a name is as long as a truncated one, in any unit that Google may count in."""
    lengths = (
        len(stem),
        len(stem.encode("utf-16-le", "replace")) // 2,
        len(stem.encode("utf-8", "replace")),
    )
    return max(lengths) >= _MAX_STEM
