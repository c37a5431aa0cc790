"""Companions: which files beside a video belong to it, told by their names alone.

A companion is named like its video, with or without the video's own suffix: `film.nfo` and
`film.mp4.nfo` belong to `film.mp4`. Subtitles and pictures may say more in between
(`film.de.forced.srt`, `film (German).srt`, `film-poster.jpg`). Subtitles may also lie in a folder
of their own, named after the film or not (`Subs/2_English.srt`). What is named like the folder's
own (`folder.jpg`, `movie.nfo`) belongs to a video that is alone in its folder.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b

from generator.core.intake import may_be_sound
from generator.core.model import Companion, CompanionKind, Place
from generator.core.subtitles import says_only_language, suffix_of

Files = Mapping[str, tuple[int, int]]  # path -> (size_bytes, mtime_ns)

_KINDS = {
    "toml": CompanionKind.OWN,
    "md": CompanionKind.OWN,
    "nfo": CompanionKind.NFO,
    "json": CompanionKind.JSON,
    **dict.fromkeys(("srt", "vtt", "ass", "ssa", "sbv", "ttml"), CompanionKind.SUBTITLES),
    **dict.fromkeys(("jpg", "jpeg", "png", "webp", "avif"), CompanionKind.PICTURE),
}
SUFFIXES = frozenset(_KINDS)
_YTDLP = ".info"  # before .json
_PICTURES = ("", "-thumb", "-poster", "-cover")  # behind the name of a video, the best first
_FOLDERS = {  # in lower case: what a video alone in its folder has, the best first
    CompanionKind.PICTURE: ("folder", "poster", "cover", "thumb", "movie"),
    CompanionKind.NFO: ("movie",),
}
_TEXT_FOLDERS = {"subs", "sub", "subtitles", "subtitle"}  # in lower case
_PARTING = " _-([{"  # what may stand between the name of a video and a language, but for a point
_CLOSING = _PARTING + ")]}"
_LEAST_WORD = 3  # letters of a language behind a space alone: "is" and "no" are words of titles
_ORDER = {kind: rank for rank, kind in enumerate(CompanionKind)}
_MOST = 64  # files beside one video


def is_companion(name: str) -> bool:
    """Tell whether a file of this name may belong to a video."""
    dot = name.rfind(".")
    return dot > 0 and name[dot + 1 :].lower() in SUFFIXES and name[0] != "."


def is_text_folder(path: str) -> bool:
    """Tell whether a folder of this name holds subtitles of the films in the one above."""
    return path.rpartition("/")[2].lower() in _TEXT_FOLDERS


def home_of(folder: str) -> tuple[str, str] | None:
    """Return the folder of the films that subtitles in a folder are for, None for its own.

    Returns:
        That folder, and the name of the one film, "" where any may be meant.
    """
    above, _, last = folder.rpartition("/")
    if is_text_folder(folder):
        return above, ""
    return (above.rpartition("/")[0], last) if is_text_folder(above) else None


def belonging(
    root: str, videos: Iterable[str], files: Files, *, is_told_below: bool = True
) -> dict[str, tuple[Companion, ...]]:
    """Return the companions of each video that has any, in the order they are to be read.

    Args:
        root: the name of the root that all of them lie in.
        videos: paths of all videos in the folders that `files` lie in.
        files: paths that `is_companion` takes.
        is_told_below: folders of subtitles below those of the videos are among `files`.
    """
    if not files:
        return {}
    folders = {path.rpartition("/")[0] for path in files}
    homes = {folder: home_of(folder) for folder in folders} if is_told_below else {}
    folders.update(home[0] for home in homes.values() if home is not None)
    names: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    alone: dict[str, list[str]] = defaultdict(list)
    for path in videos:
        folder, _, name = path.rpartition("/")
        if folder in folders:
            stem = name.rpartition(".")[0]
            for known in {name, stem}:
                names[folder][known].append(path)
            if not may_be_sound(path):
                alone[folder].append(path)
    found: dict[str, list[tuple[tuple[int, int, str], Companion]]] = defaultdict(list)
    for path, (size_bytes, mtime_ns) in files.items():
        folder, _, name = path.rpartition("/")
        for kind, rank, video in _owners(name, names[folder], alone[folder]):
            companion = Companion(kind, Place(root, path), size_bytes, mtime_ns)
            found[video].append(((_ORDER[kind], rank, path), companion))
        home = homes.get(folder)
        if home is not None and _KINDS[name.rpartition(".")[2].lower()] is CompanionKind.SUBTITLES:
            companion = Companion(CompanionKind.SUBTITLES, Place(root, path), size_bytes, mtime_ns)
            order = (_ORDER[CompanionKind.SUBTITLES], 1, path)
            for video in _of_text_folder(name, home[1], names[home[0]], alone[home[0]]):
                found[video].append((order, companion))
    return {
        video: tuple(companion for _, companion in sorted(some, key=_key)[:_MOST])
        for video, some in found.items()
    }


def _key(ranked: tuple[tuple[int, int, str], Companion]) -> tuple[int, int, str]:
    return ranked[0]


def _owners(
    name: str, known: Mapping[str, list[str]], alone: list[str]
) -> Iterator[tuple[CompanionKind, int, str]]:
    """Yield whose companion a file is, as what, and how well it is named."""
    stem, _, suffix = name.rpartition(".")
    kind = _KINDS[suffix.lower()]
    if kind is CompanionKind.JSON:
        if stem.lower().endswith(_YTDLP):
            owners = known.get(stem[: -len(_YTDLP)], ())
            yield from ((CompanionKind.YTDLP, 0, video) for video in owners)
        else:
            whole = [video for video in known.get(stem, ()) if video.endswith(stem)]
            yield from ((kind, 0, video) for video in whole)
    elif kind is CompanionKind.SUBTITLES:
        yield from ((kind, 0, video) for video in _of_subtitles(stem, known))
    elif kind is CompanionKind.PICTURE:
        for rank, end in enumerate(_PICTURES):
            if stem.lower().endswith(end):
                cut = stem[: len(stem) - len(end)]
                yield from ((kind, rank, video) for video in known.get(cut, ()))
    else:
        rank = int(suffix.lower() != "toml")  # of our own two, the stricter one first
        yield from ((kind, rank, video) for video in known.get(stem, ()))
    folder_names = _FOLDERS.get(kind, ())
    if len(alone) == 1 and stem.lower() in folder_names and not known.get(stem):
        yield kind, len(_PICTURES) + folder_names.index(stem.lower()), alone[0]


def _of_subtitles(stem: str, known: Mapping[str, list[str]]) -> list[str]:
    """Return the videos that subtitles belong to: of those they continue, the longest name."""
    end = len(stem)
    while end > 0:
        if stem[:end] in known:
            middle = stem[end + 1 :]
            return known[stem[:end]] if suffix_of(middle) is not None else []
        end = stem.rfind(".", 0, end)
    for end in range(len(stem) - 1, 0, -1):
        if stem[end] in _PARTING:
            owners = known.get(stem[:end].rstrip(_PARTING))
            rest = stem[end:].strip(_CLOSING)
            is_word = stem[end] == " " and stem[end:] == f" {rest}" and len(rest) < _LEAST_WORD
            if owners and not is_word and says_only_language(rest):
                return owners
    return []


def _of_text_folder(
    name: str, named: str, known: Mapping[str, list[str]], alone: list[str]
) -> list[str]:
    """Return the videos that subtitles in a folder of their own belong to; none where unsure."""
    if named:
        return known.get(named, [])
    stem = name.rpartition(".")[0]
    owners = _of_subtitles(stem, known)
    return owners or (alone if len(alone) == 1 and suffix_of(stem) is not None else [])


def between(video: str, companion: str) -> str:
    """Return what stands between the name of a video and the suffix of its companion, or ""."""
    name = video.rpartition("/")[2]
    stem = companion.rpartition("/")[2].rpartition(".")[0]
    for known in (name, name.rpartition(".")[0]):
        if stem == known or stem.startswith(known + "."):
            return stem[len(known) + 1 :]
    for known in (name, name.rpartition(".")[0]):
        rest = stem.removeprefix(known)
        if rest != stem and rest[0] in _PARTING:
            return rest.strip(_CLOSING)
    return stem  # in a folder of subtitles


def signature(video: str, companions: Iterable[Companion]) -> str:
    """Return a text that is another one when a companion came, went or changed; "" for none.

    The same after the video was renamed together with all that belongs to it.
    """
    digest = blake2b(digest_size=8)
    own = video.rpartition("/")[2].rpartition(".")[0]
    any_at_all = False
    for one in companions:
        name = one.place.path.rpartition("/")[2].removeprefix(own)
        line = f"{one.kind}\0{name}\0{one.size_bytes}\0{one.mtime_ns}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
        any_at_all = True
    return digest.hexdigest() if any_at_all else ""
