"""The file filter: which names in a library are videos, and which are ignored.

Only names count here, never the content of a file. The user's patterns are a simple subset of
gitignore's, case-sensitive:

- without "/" a pattern matches the name of any file or folder: `*sample*`, `[Tt]railer.*`;
- with "/" it matches a path below the root, from its start: `/inbox`, `shows/*/extras`;
- with "/" at its end it matches folders only: `raw/`;
- `*` is any run of characters and `?` any one, neither a "/"; `[abc]`, `[a-z]` and `[!abc]` are one
  of a set (`[*]` is a star); `**` between slashes is any number of folders.

What is in an ignored folder is ignored, too; nothing re-includes it ("!" is a letter like others).
Names match in composed and decomposed form (NFC, NFD).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from unicodedata import normalize

from generator.core.errors import SettingsError

# Suffixes of complete videos, of the containers FFmpeg reads. Left out are elementary streams (m2v,
# h264), which have neither audio nor duration, and suffixes that mostly are something else (dat,
# mod, iso).
VIDEO_SUFFIXES = frozenset(
    {"mp4", "m4v", "mov", "qt", "3gp", "3gpp", "3g2", "f4v"}
    | {"mkv", "mk3d", "webm", "ogv", "ogm", "ogg", "ogx"}
    | {"avi", "divx", "wmv", "asf", "flv", "rm", "rmvb", "dv", "mxf", "wtv"}
    | {"mpg", "mpeg", "mpe", "vob", "ts", "m2ts", "mts", "m2t"}
)

# Of these, what is mostly audio: it is probed once, and ignored without a problem.
SOUND_SUFFIXES = frozenset({"ogg", "ogx"})

# Suffixes of files that browsers, downloaders, torrent clients and copy programs still write.
PARTIAL_SUFFIXES = frozenset(
    {"part", "partial", "crdownload", "opdownload", "download", "filepart", "incomplete"}
    | {"!qb", "!ut", "!bt", "bc!", "jc!", "xltd", "td", "aria2", "ytdl", "tmp", "temp"}
    | {"az!", "!sync", "fdmdownload"}
)

# Folders of operating systems and NAS boxes, in lower case. Hidden ones (.Trash-*, .Spotlight-V100)
# need no entry.
SYSTEM_FOLDERS = frozenset(
    {
        "$recycle.bin",
        "recycler",
        "system volume information",
        "found.000",
        "lost+found",
        "network trash folder",
        "temporary items",
        "__macosx",
        "@eadir",
        "#recycle",
        "#snapshot",
        "@recycle",
        "@recently-snapshot",
        "@tmp",
    }
)

UNFINISHED = (".temp", ".tmp")  # yt-dlp and others mux into "title.temp.mp4"
DOWNLOAD_FOLDER = ".download"  # Safari's are folders
_NOTHING = re.compile(r"(?!)")


def may_be_sound(path: str) -> bool:
    """Return whether a file of this name may well be audio without video."""
    return path.rpartition(".")[2].lower() in SOUND_SUFFIXES


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a regular expression engine writes the parts of patterns; none matches a "/".

    `letter` matches any one, `anything` any text, "/" included. `letters` escapes literal text,
    `members` returns a set that is given as ranges, or its complement.
    """

    letter: str
    anything: str
    letters: Callable[[str], str]
    members: Callable[[Sequence[tuple[str, str]], bool], str]


@dataclass(frozen=True, slots=True)
class Expressions:
    """A pattern as regular expressions; one that matches is enough.

    `by_path`: they match paths below a root, not names anywhere. `folders_only`: they match folders
    only.
    """

    by_path: bool
    folders_only: bool
    spellings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileFilter:
    """The compiled rules; make one with `compile_filter`. `by_path`: some match paths."""

    by_path: bool
    _names: re.Pattern[str]
    _folder_names: re.Pattern[str]
    _paths: re.Pattern[str]
    _folder_paths: re.Pattern[str]

    def takes_file(self, name: str) -> bool:
        """Return whether a file of this name is a video, wherever it is."""
        dot = name.rfind(".")
        return (
            dot > 0
            and name[dot + 1 :].lower() in VIDEO_SUFFIXES
            and name[dot + 1 :].isascii()  # some other letters become a "k" in lower case
            and name[0] != "."
            and not name.endswith(UNFINISHED, 0, dot)
            and self._names.fullmatch(name) is None
        )

    def takes_folder(self, name: str) -> bool:
        """Return whether a folder of this name is scanned, wherever it is."""
        return (
            name[:1] != "."
            and not (name.lower() in SYSTEM_FOLDERS and name.isascii())
            and not name.endswith(DOWNLOAD_FOLDER)
            and self._names.fullmatch(name) is None
            and self._folder_names.fullmatch(name) is None
        )

    def bars_file_at(self, path: str) -> bool:
        """Return whether a pattern with "/" matches this file; its folders are not checked."""
        return self._paths.fullmatch(path) is not None

    def bars_folder_at(self, path: str) -> bool:
        """Return whether a pattern with "/" matches this folder; its parents are not checked."""
        return self.bars_file_at(path) or self._folder_paths.fullmatch(path) is not None

    def takes_file_at(self, path: str) -> bool:
        """Return whether the file at this path below a root is a video in a scanned folder."""
        folder, _, name = path.rpartition("/")
        return (
            self.takes_file(name) and not self.bars_file_at(path) and self.takes_folder_at(folder)
        )

    def takes_folder_at(self, path: str) -> bool:
        """Return whether the folder at this path below a root is scanned; "" is the root."""
        if not path:
            return True
        return all(map(self.takes_folder, path.split("/"))) and not (
            self.by_path and any(map(self.bars_folder_at, _lineage(path)))
        )

    def passes_over(self, name: str) -> bool:
        """Return whether events of a file of this name can be ignored, video or not.

        True for hidden files, backups, downloads in progress and matches of the user's patterns;
        false for sidecars: subtitles, pictures, descriptions.
        """
        suffix = name.rpartition(".")[2].lower()
        return (
            name[:1] == "."
            or name[-1:] == "~"
            or suffix in PARTIAL_SUFFIXES
            or suffix.startswith("part-frag")  # yt-dlp's pieces
            or self._names.fullmatch(name) is not None
        )


def compile_filter(ignore: Iterable[str] = ()) -> FileFilter:
    """Return the rules with the user's ignore patterns.

    Raises:
        SettingsError: a pattern can match nothing: it is empty, or has "." or ".." between slashes.
    """
    kinds: dict[tuple[bool, bool], list[str]] = {
        (by_path, folders_only): [] for by_path in (False, True) for folders_only in (False, True)
    }
    for pattern in ignore:
        parsed = expressions(pattern, _TEXT)
        kinds[parsed.by_path, parsed.folders_only] += parsed.spellings
    by_path = bool(kinds[True, False] or kinds[True, True])
    return FileFilter(by_path, *map(_any_of, kinds.values()))


def expressions(pattern: str, dialect: Dialect) -> Expressions:
    """Return a pattern of the user's as regular expressions of some engine.

    Raises:
        SettingsError: it can match nothing.
    """
    body = pattern.removesuffix("/")
    parts = [part for part in body.split("/") if part]
    if not parts or {".", ".."} & set(parts):
        raise SettingsError(
            f"cannot ignore {pattern!r}: no name in a library looks like that",
            hint="write a name (*sample*), a path below the library (shows/*/extras) or a folder/",
        )
    spellings = {_path_expression(parts, dialect): None}
    if "[" not in body:  # a decomposed letter would be two members of a set
        for form in (_whole, _split):
            spellings[_path_expression([form(part) for part in parts], dialect)] = None
    return Expressions("/" in body, body != pattern, tuple(spellings))


def _lineage(path: str) -> Iterator[str]:
    """Yield the path and all its parents, without the root, longest first."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def _any_of(expressions: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(expressions), re.DOTALL) if expressions else _NOTHING


def _whole(text: str) -> str:
    return normalize("NFC", text)


def _split(text: str) -> str:
    return normalize("NFD", text)


def _path_expression(parts: list[str], dialect: Dialect) -> str:
    """Return the regular expression of a path pattern, or of a name if there is but one part."""
    *folders, last = parts
    expression = ""
    for before, part in pairwise(["", *folders]):
        if part != "**":
            expression += _name_expression(part, dialect) + "/"
        elif before != "**":  # twice is the same as once, but slow
            expression += "(?:[^/]+/)*"
    return expression + (dialect.anything if last == "**" else _name_expression(last, dialect))


def _name_expression(pattern: str, dialect: Dialect) -> str:
    """Return the regular expression of a pattern that spans no "/".

    All between two stars is of fixed length, so its first match is as good as any other: atomic
    groups avoid the backtracking, which grows with every star.
    """
    first, *rest = _fixed_runs(pattern, dialect)
    if not rest:
        return first
    middle = "".join(f"(?>{dialect.letter}*?{run})" for run in rest[:-1])
    return f"{first}{middle}{dialect.letter}*{rest[-1]}"


def _fixed_runs(pattern: str, dialect: Dialect) -> list[str]:
    """Split a pattern at its stars and return the expressions of what is between."""
    runs = [""]
    at = 0
    while at < len(pattern):
        end = _set_end(pattern, at)
        if end:
            runs[-1] += _set_expression(pattern[at + 1 : end], dialect)
        elif pattern[at] == "?":
            runs[-1] += dialect.letter
        elif pattern[at] != "*":
            runs[-1] += dialect.letters(pattern[at])
        elif len(runs) == 1 or runs[-1]:  # several stars are one
            runs.append("")
        at = max(end, at) + 1
    return runs


def _set_end(pattern: str, at: int) -> int:
    """Return where the set that begins at `at` has its "]", or 0 where none begins."""
    if pattern[at] != "[":
        return 0
    first = at + 2 if pattern.startswith("!", at + 1) else at + 1
    return max(0, pattern.find("]", first + 1))  # a "]" right at the start is a member


def _set_expression(members: str, dialect: Dialect) -> str:
    negated = members.startswith("!")
    members = members.removeprefix("!") if negated else members
    ranges: list[tuple[str, str]] = []
    at = 0
    while at < len(members):
        first, last = members[at], members[at]
        if members[at + 1 : at + 2] == "-" and at + 2 < len(members):
            last = members[at + 2]
            at += 2
        if first <= last:  # [z-a] has no members
            ranges.append((first, last))
        at += 1
    if not ranges:
        return dialect.letter if negated else "(?!)"
    return dialect.members(ranges, negated)


def _text_members(ranges: Sequence[tuple[str, str]], negated: bool) -> str:  # noqa: FBT001 (of a Dialect)
    within = "".join(f"{re.escape(first)}-{re.escape(last)}" for first, last in ranges)
    return f"(?!/)[{'^' if negated else ''}{within}]"


_TEXT = Dialect("[^/]", ".+", re.escape, _text_members)  # Python's, of text, with DOTALL
