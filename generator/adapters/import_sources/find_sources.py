"""Recognizes the files of other programs, by name and content, and reads them.

In a folder the files of a video server, tables, exports and Stash's scenes are looked for right in
it; in folders below it only what belongs to one video: .nfo, and tags in `<video>.<ext>.json`.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from generator.adapters.import_sources import csv_table, own_export, stash_export, video_server_json
from generator.adapters.import_sources.precedence import SourceKind, settle
from generator.adapters.import_sources.source_entries import SourceEntries
from generator.adapters.import_sources.source_files import (
    UnreadableSourceError,
    open_source,
    read_head,
    read_whole,
    real_path,
)
from generator.adapters.import_sources.tolerant_json import read_json
from generator.adapters.import_sources.video_server_db import (
    SQLITE_MAGIC,
    is_server_database,
    read_database,
)
from generator.core.errors import SettingsError
from generator.core.formatting import counted
from generator.core.library.file_filter import compile_filter
from generator.core.library.import_entries import ImportEntry, RejectedEntry
from generator.core.library.import_values import shown_value
from generator.core.library.sidecar_files import sidecars_of

_SERVER_FILES: dict[str, tuple[SourceKind, Callable[[object, SourceEntries], None]]] = {
    "ratings": (SourceKind.RATINGS, video_server_json.read_ratings),
    "views": (SourceKind.VIEWS, video_server_json.read_views),
    "tags": (SourceKind.TAGS, video_server_json.read_tags),
    "favorites": (SourceKind.FAVORITES, video_server_json.read_favorites),
}
_DATABASE = "video_metadata.db"
_DATABASES = (".db", ".sqlite", ".sqlite3")
_TABLES = (".csv", ".tsv")
_ZIP_MAGIC = b"PK\x03\x04"
_WORD = re.compile(r"[a-z]+")
_SHOWN = 5  # names in an error
_FILTER = compile_filter()
_LOOKED_FOR = (
    "ratings.json, views.json, tags.json, favorites.json, video_metadata.db, .csv with a path, "
    "exports of reelshelf and Stash, and .nfo and .json files of videos are recognized"
)


@dataclass(frozen=True, slots=True)
class RecognizedFile:
    """A file that was read, and what it was recognized as."""

    source: str
    kind: SourceKind


@dataclass(frozen=True, slots=True)
class ImportSources:
    """What was read: entries that are ours to import, others with a reason, and the files."""

    entries: tuple[ImportEntry, ...]
    rejected: tuple[RejectedEntry, ...]
    files: tuple[RecognizedFile, ...]


def read_sources(path: Path, library: Mapping[str, Path]) -> ImportSources:
    """Return what a file or a folder of other programs has; nothing is written.

    Args:
        path: of the file or the folder.
        library: the folder of each root; what the scan reads there anyway is left to it.

    Raises:
        SettingsError: it cannot be read, or nothing in it is recognized.
    """
    real = Path(os.path.realpath(path))
    try:
        is_folder = real.is_dir()
        if not is_folder:
            os.stat(real)  # noqa: PTH116 (for its error)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"cannot import from {path}: {getattr(error, 'strerror', None) or error}",
            hint="name a file or a folder of another program",
        ) from error
    reading = _Reading(real if is_folder else real.parent, library)
    if is_folder:
        reading.folder()
        nothing = f"cannot import from {path}: nothing in it is recognized; {_there(real)}"
    else:
        reading.file(real.name)
        nothing = f"cannot import from {path}: it is not recognized"
    if not reading.files and not reading.rejected:
        raise SettingsError(nothing, hint=f"{_LOOKED_FOR}, by these names")
    return reading.result()


def _there(folder: Path) -> str:
    """Return what is in a folder, for an error."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 (names, not paths)
    except OSError as error:
        return f"it cannot be listed: {error.strerror}"
    if not names:
        return "it is empty"
    more = f" and {counted(len(names) - _SHOWN, 'more')[:-1]}" if len(names) > _SHOWN else ""
    return f"it has {', '.join(names[:_SHOWN])}{more}"


@dataclass(slots=True)
class _Reading:
    """Reads what is in a folder."""

    top: Path
    library: Mapping[str, Path]
    files: list[RecognizedFile] = field(default_factory=list)
    rejected: list[RejectedEntry] = field(default_factory=list)
    _read: list[SourceEntries] = field(default_factory=list)

    def result(self) -> ImportSources:
        """Return all that was read."""
        kinds = (file.kind for file in self.files)
        entries, beaten = settle(
            (kind, source.entries) for kind, source in zip(kinds, self._read, strict=True)
        )
        rejected = [*self.rejected, *(line for source in self._read for line in source.rejected)]
        return ImportSources(tuple(entries), (*rejected, *beaten), tuple(self.files))

    # -- one file

    def file(self, name: str) -> None:
        """Read the file with this name, which somebody named: it may have another name."""
        try:
            self._open(name)
        except UnreadableSourceError as error:
            self.rejected.append(RejectedEntry(name, "", str(error)))

    def _open(self, name: str) -> None:
        path = self.top / name
        os.close(open_source(path))
        head, lower = read_head(path), name.lower()
        if lower.endswith(".nfo"):
            self._beside_videos("", self._names(), [name])
        elif head.startswith(_ZIP_MAGIC):
            self._zip(name)
        elif head.startswith(SQLITE_MAGIC) or lower == _DATABASE:
            self._database(name)
        elif lower.endswith(_TABLES):
            self._table(name)
        elif _is_video_json(name):
            self._video_json(name, name.removesuffix(".json"))
        else:
            self._named_json(name)

    def _named_json(self, name: str) -> None:
        """Read JSON by its content, or by the word in its name: `ratings-2024.json.bak`."""
        content = self._content(name)
        try:
            text = read_json(content)
        except UnreadableSourceError:
            if csv_table.is_table(content):
                self._table(name)
                return
            words = _server_words(name)
            if len(words) == 1:
                self._begin(name, _SERVER_FILES[words[0]][0]).reject("", "is no JSON")
            return
        value = text.value
        words = _server_words(name)
        if own_export.is_export(value):
            self._export(name)
        elif stash_export.is_scene_value(value):
            self._scenes([(name, content)])
        elif len(words) == 1:
            self._server_json(name, words[0])
        elif isinstance(value, dict) and "favorites" in value:
            self._server_json(name, "favorites")

    # -- a folder

    def folder(self) -> None:
        """Read all that is recognized in the folder, and what belongs to videos below it."""
        for folder, names in self._walk():
            if not folder:
                for name in names:
                    self._in_folder(name)
                self._scenes(
                    (name, self._scene(name)) for name in stash_export.scenes_in_folder(self.top)
                )
            chosen = [name for name in names if _is_nfo(name) or _is_video_json(name)]
            if chosen:
                self._beside_videos(folder, names, chosen)

    def _in_folder(self, name: str) -> None:
        lower = name.lower()
        stem, _, suffix = lower.rpartition(".")
        try:
            if suffix == "json" and stem in _SERVER_FILES:
                self._server_json(name, stem)
            elif lower == _DATABASE or (
                lower.endswith(_DATABASES) and is_server_database(self._real(name))
            ):
                self._database(name)
            elif lower.endswith(_TABLES) and csv_table.is_table(self._head(name)):
                self._table(name)
            elif suffix == "zip" and self._has_scenes(name):
                self._zip(name)
            elif suffix == "json" and own_export.FAMILY.encode() in self._head(name):
                self._export(name)
        except UnreadableSourceError as error:
            self.rejected.append(RejectedEntry(name, "", str(error)))

    def _walk(self) -> Iterator[tuple[str, list[str]]]:
        """Yield each folder, "" for the topmost, with the names of all that is no folder."""
        folders = [""]
        while folders:
            folder = folders.pop()
            below: list[str] = []
            names: list[str] = []
            try:
                with os.scandir(self.top / folder) as entries:
                    for entry in entries:
                        (below if entry.is_dir(follow_symlinks=False) else names).append(entry.name)
            except OSError as error:
                self.rejected.append(
                    RejectedEntry(folder or ".", "", f"cannot be listed: {error.strerror}")
                )
                continue
            yield folder, sorted(names)
            folders += [
                f"{folder}/{name}".lstrip("/")
                for name in sorted(below, reverse=True)
                if _FILTER.takes_folder(name)
            ]

    def _scene(self, name: str) -> bytes | UnreadableSourceError:
        try:
            return self._content(name, stash_export.MAX_SCENE)
        except UnreadableSourceError as error:
            return error

    # -- one kind each

    def _begin(self, source: str, kind: SourceKind) -> SourceEntries:
        into = SourceEntries(source)
        self._add(into, kind)
        return into

    def _add(self, into: SourceEntries, kind: SourceKind) -> None:
        self._read.append(into)
        self.files.append(RecognizedFile(into.source, kind))

    def _server_json(self, name: str, word: str) -> None:
        kind, read = _SERVER_FILES[word]
        into = self._begin(name, kind)
        value, is_read = self._json(name, into)
        if is_read:
            read(value, into)

    def _video_json(self, source: str, key: str) -> None:
        into = self._begin(source, SourceKind.VIDEO_TAGS)
        value, is_read = self._json(source, into)
        if is_read:
            video_server_json.read_tags_of_video(key, value, into)

    def _export(self, name: str) -> None:
        into = self._begin(name, SourceKind.EXPORT)
        value, is_read = self._json(name, into)
        if not is_read:
            return
        try:
            own_export.read_export(value, self.library, into)
        except UnreadableSourceError as error:
            into.reject("", str(error))

    def _table(self, name: str) -> None:
        into = self._begin(name, SourceKind.TABLE)
        try:
            csv_table.read_table(self._content(name), into)
        except UnreadableSourceError as error:
            into.reject("", str(error))

    def _database(self, name: str) -> None:
        into = self._begin(name, SourceKind.DATABASE)
        try:
            read_database(self._real(name), into)
        except UnreadableSourceError as error:
            into.reject("", str(error))

    def _zip(self, name: str) -> None:
        with os.fdopen(open_source(self._real(name)), "rb") as file:
            self._scenes(stash_export.scenes_in_zip(file, name, self.rejected))

    def _scenes(self, scenes: Iterable[tuple[str, bytes | UnreadableSourceError]]) -> None:
        export = stash_export.StashExport()
        try:
            for source, content in scenes:
                if isinstance(content, bytes):
                    self._add(export.add(source, content), SourceKind.STASH)
                else:
                    self._begin(source, SourceKind.STASH).reject("", str(content))
        finally:
            export.finish()

    def _beside_videos(self, folder: str, names: list[str], chosen: list[str]) -> None:
        """Read some files of a folder that belong to its videos.

        Tags of a video need no video beside them right in the topmost folder.
        """
        prefix = f"{folder}/" if folder else ""
        videos = [name for name in names if _FILTER.takes_file(name)]
        owners: dict[str, list[str]] = {name: [] for name in chosen}
        for video, sidecars in sidecars_of("", videos, dict.fromkeys(chosen, (1, 1))).items():
            for sidecar in sidecars:
                owners[sidecar.place.path].append(video)
        is_scanned = self._home(folder) is not None
        for name in chosen:
            if _is_nfo(name):
                self._nfo(prefix + name, [self._key(prefix + video) for video in owners[name]])
            elif (owners[name] or not folder) and not (owners[name] and is_scanned):
                self._video_json(prefix + name, prefix + name[: -len(".json")])

    def _nfo(self, source: str, videos: list[str]) -> None:
        from generator.adapters.import_sources.nfo_state import (  # noqa: PLC0415 (loads PyAV)
            MAX_NFO,
            add_watched_state,
            read_watched_state,
        )

        try:
            state = read_watched_state(self._content(source, MAX_NFO))
        except UnreadableSourceError as error:
            self._begin(source, SourceKind.NFO).reject("", str(error))
            return
        if state is None:
            return
        into = self._begin(source, SourceKind.NFO)
        if not state:
            return
        if len(videos) == 1:
            key = into.key(videos[0])
            if key is not None:
                add_watched_state(key, state, into)
        elif videos:
            into.reject("", f"may be about {' or '.join(sorted(videos)[:2])}")
        else:
            into.reject("", "has no video of its name beside it")

    # -- files

    def _json(self, source: str, into: SourceEntries) -> tuple[object, bool]:
        """Return the value in a file, and whether it has one; damage is listed."""
        try:
            text = read_json(self._content(source))
        except UnreadableSourceError as error:
            into.reject("", str(error))
            return None, False
        if text.damage:
            into.reject("", text.damage)
        if text.value is None:
            into.reject("", f"holds nothing but {shown_value(None)}")
        return text.value, text.value is not None

    def _content(self, source: str, max_bytes: int | None = None) -> bytes:
        real = self._real(source)
        return read_whole(real) if max_bytes is None else read_whole(real, max_bytes)

    def _head(self, source: str) -> bytes:
        return read_head(self._real(source))

    def _real(self, source: str) -> Path:
        return real_path(self.top / source, self.top)

    def _has_scenes(self, name: str) -> bool:
        try:
            with os.fdopen(open_source(self._real(name)), "rb") as file:
                return stash_export.has_scenes(file)
        except (OSError, UnreadableSourceError):
            return False

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.top)  # noqa: PTH208 (names, not paths)
        except OSError:
            return []

    def _home(self, folder: str) -> tuple[Path, Path] | None:
        """Return the library folder that a folder is in, and its path there."""
        place = self.top / folder
        for root in self.library.values():
            real = Path(os.path.realpath(root))
            if place.is_relative_to(real):
                return root, place.relative_to(real)
        return None

    def _key(self, video: str) -> str:
        """Return the key of a video in the folder: where the library has it, its path there."""
        folder, _, name = video.rpartition("/")
        home = self._home(folder)
        return video if home is None else os.fspath(home[0].joinpath(home[1], name))


def _is_nfo(name: str) -> bool:
    return name.lower().endswith(".nfo") and not name.startswith(".")


def _is_video_json(name: str) -> bool:
    stem, _, suffix = name.rpartition(".")
    return suffix.lower() == "json" and _FILTER.takes_file(stem)


def _server_words(name: str) -> list[str]:
    return [word for word in _SERVER_FILES if word in _WORD.findall(name.lower())]
