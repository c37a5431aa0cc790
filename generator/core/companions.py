"""Companions: which files beside a video belong to it, told by their names alone.

A companion is named like its video, with or without the video's own suffix: `film.nfo` and
`film.mp4.nfo` belong to `film.mp4`. Subtitles and pictures may say more in between
(`film.de.forced.srt`, `film-poster.jpg`). What is named like the folder's own (`folder.jpg`,
`movie.nfo`) belongs to a video that is alone in its folder.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b

from generator.core.intake import may_be_sound
from generator.core.model import Companion, CompanionKind, Place
from generator.core.subtitles import suffix_of

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
_ORDER = {kind: rank for rank, kind in enumerate(CompanionKind)}
_MOST = 64  # files beside one video


def is_companion(name: str) -> bool:
    """Tell whether a file of this name may belong to a video."""
    dot = name.rfind(".")
    return dot > 0 and name[dot + 1 :].lower() in SUFFIXES and name[0] != "."


def belonging(root: str, videos: Iterable[str], files: Files) -> dict[str, tuple[Companion, ...]]:
    """Return the companions of each video that has any, in the order they are to be read.

    Args:
        root: the name of the root that all of them lie in.
        videos: paths of all videos in the folders that `files` lie in.
        files: paths that `is_companion` takes.
    """
    if not files:
        return {}
    folders = {path.rpartition("/")[0] for path in files}
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
    return []


def between(video: str, companion: str) -> str:
    """Return what stands between the name of a video and the suffix of its companion, or ""."""
    name = video.rpartition("/")[2]
    stem = companion.rpartition("/")[2].rpartition(".")[0]
    for known in (name, name.rpartition(".")[0]):
        if stem == known or stem.startswith(known + "."):
            return stem[len(known) + 1 :]
    return ""


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
