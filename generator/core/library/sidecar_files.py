"""Sidecars: which files beside a video belong to it, by their names alone.

A sidecar is named like its video, with or without the video's own suffix: `film.nfo` and
`film.mp4.nfo` belong to `film.mp4`. Subtitles and pictures may have more in between
(`film.de.forced.srt`, `film (German).srt`, `film-poster.jpg`). Subtitles may also be in a folder of
their own, named after the video or not (`Subs/2_English.srt`). Folder-wide names (`folder.jpg`,
`movie.nfo`) belong to a video that is alone in its folder. Other spellings of a name count where
the exact one is not there (`file_names`), and a `.json` may be one of Google Takeout's (`takeout`).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b

from generator.core.library.file_filter import may_be_sound
from generator.core.library.name_matching import LEVELS, NameIndex, level_of
from generator.core.library.takeout import TakeoutVideos
from generator.core.media.subtitle_names import says_only_language, suffix_of
from generator.core.model import Place, Sidecar, SidecarKind

Files = Mapping[str, tuple[int, int]]  # path -> (size_bytes, mtime_ns)

_KINDS = {
    "toml": SidecarKind.OWN,
    "md": SidecarKind.OWN,
    "nfo": SidecarKind.NFO,
    "json": SidecarKind.JSON,
    **dict.fromkeys(("srt", "vtt", "ass", "ssa", "sbv", "ttml"), SidecarKind.SUBTITLES),
    **dict.fromkeys(("jpg", "jpeg", "png", "webp", "avif"), SidecarKind.PICTURE),
}
SUFFIXES = frozenset(_KINDS)
_YTDLP = ".info"  # before .json
_PICTURES = ("", "-thumb", "-poster", "-cover")  # after the name of a video, the best first
_FOLDERS = {  # in lower case: what a video alone in its folder has, the best first
    SidecarKind.PICTURE: ("folder", "poster", "cover", "thumb", "movie"),
    SidecarKind.NFO: ("movie",),
}
_TEXT_FOLDERS = {"subs", "sub", "subtitles", "subtitle"}  # in lower case
_PARTING = " _-([{"  # separators, besides a dot, between the name of a video and a language
_CLOSING = _PARTING + ")]}"
_MIN_WORD = 3  # letters of a language after a space alone: "is" and "no" are words of titles
_ORDER = {kind: rank for rank, kind in enumerate(SidecarKind)}
_MAX = 64  # files beside one video


def is_sidecar(name: str) -> bool:
    """Return whether a file of this name may be a sidecar."""
    dot = name.rfind(".")
    return dot > 0 and name[dot + 1 :].lower() in SUFFIXES and name[0] != "."


def is_text_folder(path: str) -> bool:
    """Return whether a folder of this name has the subtitles of the videos in its parent."""
    return path.rpartition("/")[2].lower() in _TEXT_FOLDERS


def home_of(folder: str) -> tuple[str, str] | None:
    """Return the folder of the videos that subtitles in a folder are for, None for the same folder.

    Returns:
        That folder, and the name of the one video, "" where it may be any.
    """
    above, _, last = folder.rpartition("/")
    if is_text_folder(folder):
        return above, ""
    return (above.rpartition("/")[0], last) if is_text_folder(above) else None


def sidecars_of(
    root: str, videos: Iterable[str], files: Files, *, has_subtitle_folders: bool = True
) -> dict[str, tuple[Sidecar, ...]]:
    """Return the sidecars of each video that has any, in the order they are to be read.

    Args:
        root: the name of the root that all of them are in.
        videos: paths of all videos in the folders of `files`.
        files: paths that `is_sidecar` accepts.
        has_subtitle_folders: `files` include those in subtitle folders below the videos' own.
    """
    if not files:
        return {}
    folders = {path.rpartition("/")[0]: _VideoFolder() for path in files}
    homes = {folder: home_of(folder) for folder in folders} if has_subtitle_folders else {}
    for folder in [home[0] for home in homes.values() if home is not None]:
        folders.setdefault(folder, _VideoFolder())
    for path in videos:
        folder, _, name = path.rpartition("/")
        if folder in folders:
            folders[folder].add(path, name)
    ranked: dict[str, list[tuple[tuple[int, int, int, str], Sidecar]]] = defaultdict(list)
    for path, (size_bytes, mtime_ns) in files.items():
        folder, _, name = path.rpartition("/")
        for kind, level, rank, video in _owners(name, folders[folder]):
            sidecar = Sidecar(kind, Place(root, path), size_bytes, mtime_ns)
            ranked[video].append(((_ORDER[kind], level, rank, path), sidecar))
        home = homes.get(folder)
        if home is not None and _KINDS[name.rpartition(".")[2].lower()] is SidecarKind.SUBTITLES:
            sidecar = Sidecar(SidecarKind.SUBTITLES, Place(root, path), size_bytes, mtime_ns)
            level, owners = _of_text_folder(name, home[1], folders[home[0]])
            for video in owners:
                order = (_ORDER[SidecarKind.SUBTITLES], level, 1, path)
                ranked[video].append((order, sidecar))
    return {
        video: tuple(sidecar for _, sidecar in sorted(candidates, key=_key)[:_MAX])
        for video, candidates in ranked.items()
    }


def _key(ranked: tuple[tuple[int, int, int, str], Sidecar]) -> tuple[int, int, int, str]:
    return ranked[0]


class _VideoFolder:
    """The videos of one folder, by the names that sidecars may take from them."""

    def __init__(self) -> None:
        self.names, self.full_names = NameIndex(), NameIndex()  # with stems, and without
        self.paths: list[str] = []
        self.films_alone: list[str] = []  # of those, what is surely not audio
        self._films: TakeoutVideos | None = None

    def add(self, path: str, name: str) -> None:
        """Add a video of the folder."""
        for key in {name, name.rpartition(".")[0]}:
            self.names.add(key, path)
        self.full_names.add(name, path)
        self.paths.append(path)
        if not may_be_sound(path):
            self.films_alone.append(path)

    @property
    def films(self) -> TakeoutVideos:
        """Return its videos as Google Takeout names them."""
        if self._films is None:
            self._films = TakeoutVideos(self.paths)
        return self._films


def _owners(name: str, folder: _VideoFolder) -> Iterator[tuple[SidecarKind, int, int, str]]:
    """Yield the videos of a sidecar, with its kind, and how well it is named: level and rank."""
    stem, _, suffix = name.rpartition(".")
    kind, names = _KINDS[suffix.lower()], folder.names
    if kind is SidecarKind.JSON:
        yield from _of_json(stem, folder)
    elif kind is SidecarKind.SUBTITLES:
        level, videos = _of_subtitles(stem, names)
        yield from ((kind, level, 0, video) for video in videos)
    elif kind is SidecarKind.PICTURE:
        for rank, end in enumerate(_PICTURES):
            if stem.lower().endswith(end):
                level, videos = names.find(stem[: len(stem) - len(end)])
                yield from ((kind, level, rank, video) for video in videos)
    else:
        rank = int(suffix.lower() != "toml")  # of .toml and .md, the stricter one first
        level, videos = names.find(stem)
        yield from ((kind, level, rank, video) for video in videos)
    folder_names = _FOLDERS.get(kind, ())
    alone = folder.films_alone
    if len(alone) == 1 and stem.lower() in folder_names and not names.find(stem)[1]:
        yield kind, LEVELS, folder_names.index(stem.lower()), alone[0]


def _of_json(stem: str, folder: _VideoFolder) -> Iterator[tuple[SidecarKind, int, int, str]]:
    if stem.lower().endswith(_YTDLP):
        level, videos = folder.names.find(stem[: -len(_YTDLP)])
        yield from ((SidecarKind.YTDLP, level, 0, video) for video in videos)
        return
    level, videos = folder.full_names.find(stem)
    yield from ((SidecarKind.JSON, level, 0, video) for video in videos)
    if not videos:
        yield from ((SidecarKind.JSON, LEVELS, fit, video) for fit, video in folder.films.of(stem))


def _of_subtitles(stem: str, names: NameIndex) -> tuple[int, list[str]]:
    """Return the videos that subtitles belong to: those with the longest name they begin with."""
    for level in range(LEVELS):
        end = len(stem)
        while end > 0:
            videos = names.at(level, stem[:end])
            if videos:
                middle = stem[end + 1 :]
                return (level, videos) if suffix_of(middle) is not None else (0, [])
            end = stem.rfind(".", 0, end)
    for level in range(LEVELS):
        for end in range(len(stem) - 1, 0, -1):
            if stem[end] in _PARTING:
                videos = names.at(level, stem[:end].rstrip(_PARTING))
                rest = stem[end:].strip(_CLOSING)
                is_word = stem[end:] == f" {rest}" and len(rest) < _MIN_WORD
                if videos and not is_word and says_only_language(rest):
                    return level, videos
    return 0, []


def _of_text_folder(name: str, named: str, folder: _VideoFolder) -> tuple[int, list[str]]:
    """Return the videos that subtitles in a subtitle folder belong to; none if unsure."""
    if named:
        return folder.names.find(named)
    stem = name.rpartition(".")[0]
    level, videos = _of_subtitles(stem, folder.names)
    if videos:
        return level, videos
    alone = folder.films_alone
    return 0, alone if len(alone) == 1 and suffix_of(stem) is not None else []


def between(video: str, sidecar: str) -> str:
    """Return the part between the name of a video and the suffix of its sidecar, or "".

    The whole stem where the video's name is not in it, as in subtitle folders.
    """
    name = video.rpartition("/")[2]
    stem = sidecar.rpartition("/")[2].rpartition(".")[0]
    names = (name, name.rpartition(".")[0])
    matches: list[tuple[int, int, str]] = []
    end = len(stem)
    while end > 0:
        levels = [
            level for video_name in names if (level := level_of(stem[:end], video_name)) is not None
        ]
        if levels:
            matches.append((min(levels), -end, stem[end + 1 :]))
        end = stem.rfind(".", 0, end)
    if matches:
        return min(matches)[2]
    for end in range(len(stem) - 1, 0, -1):
        if stem[end] in _PARTING:
            start = stem[:end].rstrip(_PARTING)
            if any(level_of(start, video_name) is not None for video_name in names):
                return stem[end:].strip(_CLOSING)
    return stem


def sidecar_digest(video: str, sidecars: Iterable[Sidecar]) -> str:
    """Return a digest that changes when a sidecar is added, removed or changed; "" for none.

    It stays the same if the video is renamed together with its sidecars.
    """
    digest = blake2b(digest_size=8)
    own = video.rpartition("/")[2].rpartition(".")[0]
    any_at_all = False
    for sidecar in sidecars:
        name = sidecar.place.path.rpartition("/")[2].removeprefix(own)
        line = f"{sidecar.kind}\0{name}\0{sidecar.size_bytes}\0{sidecar.mtime_ns}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
        any_at_all = True
    return digest.hexdigest() if any_at_all else ""
