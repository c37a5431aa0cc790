"""Stash's export: a folder or a .zip with one file for each scene."""

import lzma
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from generator.adapters.import_sources.source_entries import CUT, SourceEntries
from generator.adapters.import_sources.source_files import UnreadableSourceError
from generator.adapters.import_sources.tolerant_json import is_cut, read_json
from generator.core.library.import_entries import RejectedEntry
from generator.core.library.import_values import instant_in, shown_value, stars_of_hundred

SCENES = "scenes"
MAX_SCENE = 16 * 1024 * 1024  # bytes; it may have a picture in it
_MAX_UNPACKED = 1024 * 1024 * 1024  # bytes, of a whole .zip
_MAX_FILES = 500_000
_MEGABYTE = 1024 * 1024
_UNPACK_ERRORS = (  # RuntimeError: it is encrypted
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, RuntimeError
)  # fmt: skip
# What Stash has written since a rating is from 1 to 100: a scene with one of these is of that time.
_SINCE_HUNDRED = frozenset(
    {"rating100", "play_count", "play_history", "last_played_at", "play_duration", "resume_time"}
    | {"urls", "code", "director", "o_history", "custom_fields"}
)
_WHOLE_STARS = 5


@dataclass(frozen=True, slots=True)
class _Scene:
    """What a scene says that can be imported."""

    into: SourceEntries
    keys: tuple[str, ...]
    fields: Mapping[str, object]


class StashExport:
    """The scenes of one export, which have one scale of ratings."""

    def __init__(self) -> None:
        self._scenes: list[_Scene] = []
        self._is_of_hundred = False
        self._fields = ("rating", "rating100", "play_count", "play_history", "last_played_at")

    def add(self, source: str, content: bytes) -> SourceEntries:
        """Read a scene; its ratings follow in `finish`."""
        into = SourceEntries(source)
        try:
            text = read_json(content)
        except UnreadableSourceError as error:
            into.reject("", str(error))
            return into
        if text.damage:
            into.reject("", text.damage)
        if not isinstance(text.value, dict):
            into.reject("", f"holds {shown_value(text.value)}, and no scene")
            return into
        self._add_scene(text.value, into)
        return into

    def finish(self) -> None:
        """Add the entries of all scenes."""
        for scene in self._scenes:
            for key in scene.keys:
                self._add_entries(key, scene)

    def _add_scene(self, scene: dict[str, object], into: SourceEntries) -> None:
        rating = scene.get("rating")
        is_more = isinstance(rating, int | float) and rating > _WHOLE_STARS
        self._is_of_hundred |= is_more or not _SINCE_HUNDRED.isdisjoint(scene)
        files = scene.get("files")
        if not isinstance(files, list) or not files:
            into.reject("", "names no file" if not files else f"files is {shown_value(files)}")
            return
        keys = tuple(key for file in files if (key := into.key(file)) is not None)
        fields = {
            name: scene[name] for name in (*self._fields, "tags", "created_at") if name in scene
        }
        self._scenes.append(_Scene(into, keys, fields))

    def _add_entries(self, key: str, scene: _Scene) -> None:
        into, fields = scene.into, scene.fields
        if fields.get("rating100"):
            into.stars(key, fields["rating100"], read=stars_of_hundred)
        elif fields.get("rating") and self._is_of_hundred:
            into.stars(key, fields["rating"], read=stars_of_hundred)
        elif fields.get("rating"):
            into.stars(key, fields["rating"])
        _add_plays(key, fields, into)
        if fields.get("tags"):
            into.tags(key, fields["tags"])
        if fields.get("created_at"):
            into.added(key, fields["created_at"])


def _add_plays(key: str, fields: Mapping[str, object], into: SourceEntries) -> None:
    history = fields.get("play_history")
    if isinstance(history, list) and history and not is_cut(history):
        instants = [at for at in map(instant_in, history) if at is not None]
        into.views(key, len(history), max(instants, default=None))
    elif history and not isinstance(history, list):
        into.reject(key, f"play_history is {shown_value(history)}")
    elif is_cut(history):
        into.reject(key, f"play_history {CUT}")
    elif fields.get("play_count"):
        into.views(key, fields["play_count"], fields.get("last_played_at"))


def has_scenes(file: IO[bytes]) -> bool:
    """Return whether a file is a .zip with scenes."""
    try:
        with zipfile.ZipFile(file) as archive:
            return any(_is_scene(member) for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def scenes_in_zip(
    file: IO[bytes], source: str, rejected: list[RejectedEntry]
) -> Iterator[tuple[str, bytes]]:
    """Yield the files of scenes in a .zip, with their names; nothing is written anywhere.

    Raises:
        UnreadableSourceError: it is no readable .zip, or too large when unpacked.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = [member for member in archive.infolist() if _is_scene(member)]
            if not members:
                raise UnreadableSourceError(f"has no {SCENES}/*.json")
            if len(members) > _MAX_FILES:
                raise UnreadableSourceError(f"has more than {_MAX_FILES} scenes")
            yield from _unpacked(archive, members, source, rejected)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise UnreadableSourceError(f"is no readable .zip: {error}") from error
    except OSError as error:
        raise UnreadableSourceError(f"cannot be read: {error.strerror}") from error


def _unpacked(
    archive: zipfile.ZipFile,
    members: Iterable[zipfile.ZipInfo],
    source: str,
    rejected: list[RejectedEntry],
) -> Iterator[tuple[str, bytes]]:
    left = _MAX_UNPACKED
    for member in members:
        name = f"{source}/{member.filename}"
        try:
            with archive.open(member) as scene:
                content = scene.read(min(MAX_SCENE, left) + 1)
        except _UNPACK_ERRORS as error:
            rejected.append(RejectedEntry(name, "", f"cannot be unpacked: {error}"))
            continue
        if len(content) > left:
            raise UnreadableSourceError(f"is larger than {_MAX_UNPACKED // _MEGABYTE} MB, unpacked")
        if len(content) > MAX_SCENE:
            rejected.append(RejectedEntry(name, "", f"is larger than {MAX_SCENE // _MEGABYTE} MB"))
            continue
        left -= len(content)
        yield name, content


def _is_scene(member: zipfile.ZipInfo) -> bool:
    *folders, name = member.filename.split("/")
    return folders[-1:] == [SCENES] and ".." not in folders and name.endswith(".json")


def is_scene_value(value: object) -> bool:
    """Return whether a value is a scene, to recognize a file with one."""
    return (
        isinstance(value, dict) and isinstance(value.get("files"), list) and "created_at" in value
    )


def scenes_in_folder(folder: Path) -> list[str]:
    """Return the paths, below a folder, of the files with scenes; [] if it is no export."""
    prefix = "" if folder.name == SCENES else f"{SCENES}/"
    try:
        names = sorted(os.listdir(folder / prefix))  # noqa: PTH208 (names, not paths)
    except OSError:
        return []
    return [prefix + name for name in names if name.endswith(".json")]
