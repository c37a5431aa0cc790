"""Our own export: `reelshelf export --format json`."""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote_to_bytes

from generator.adapters.import_sources.source_entries import CUT, SourceEntries
from generator.adapters.import_sources.source_files import UnreadableSourceError
from generator.adapters.import_sources.tolerant_json import is_cut
from generator.core.library.import_entries import ImportField
from generator.core.library.import_values import shown_value

FORMAT = "reelshelf-export/1"
FAMILY = "reelshelf-export/"
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_MAX_VISITOR = 100  # characters


def is_export(value: object) -> bool:
    """Return whether a value is an export of any version."""
    name = value.get("format") if isinstance(value, dict) else None
    return isinstance(name, str) and name.startswith(FAMILY)


def read_export(value: object, library: Mapping[str, Path], into: SourceEntries) -> None:
    """Read all videos, and what still waits for its video.

    Raises:
        UnreadableSourceError: it is of another version.
    """
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        name = value.get("format") if isinstance(value, dict) else value
        raise UnreadableSourceError(f"is {shown_value(name)}, and this release reads {FORMAT}")
    for name, read in (("videos", _add_video), ("waiting", _add_waiting)):
        members = value.get(name, [])
        if not isinstance(members, list):
            into.reject("", f"{name} is {shown_value(members)}, and no list")
            continue
        for member in members:
            if isinstance(member, dict):
                read(member, library, into)
            else:
                into.reject("", f"{name} holds {shown_value(member)}")


def _add_video(video: dict[str, object], library: Mapping[str, Path], into: SourceEntries) -> None:
    if is_cut(video):
        path = video.get("path")
        into.reject(path if isinstance(path, str) else "", f"{CUT}: later fields are missing")
    key = into.key(_key_of(video, library))
    if key is None:
        return
    if video.get("stars") is not None:
        into.stars(key, video["stars"], video.get("stars_at"))
    if video.get("favorite") is True:
        into.favorite(key, video.get("favorite_at"))
    elif video.get("favorite") not in (None, False):
        into.reject(key, f"favorite is {shown_value(video['favorite'])}")
    if video.get("views") not in (None, 0):
        into.views(key, video["views"], video.get("last_viewed"), ImportField.TOTAL_VIEWS)
    for name, tags in (("user_tags", ImportField.TAGS), ("removed_tags", ImportField.REMOVED_TAGS)):
        if video.get(name):
            into.tags(key, video[name], name=tags)
    if video.get("added") is not None:
        _add_date(key, video["added"], into)
    _add_of_visitors(key, video, into)


def _add_date(key: str, value: object, into: SourceEntries) -> None:
    """Add an instant as we write it, of any year: files may be from 1970."""
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        with suppress(ValueError):
            into.add(key, ImportField.ADDED, int(datetime.fromisoformat(value).timestamp()))
            return
    into.added(key, value)


def _key_of(video: Mapping[str, object], library: Mapping[str, Path]) -> object:
    path, encoded, root = video.get("path"), video.get("path_bytes"), video.get("root")
    if isinstance(encoded, str) and encoded.isascii():
        path = os.fsdecode(unquote_to_bytes(encoded))
    if isinstance(path, str) and isinstance(root, str) and root in library:
        return f"{library[root]}/{path}"
    return path


def _add_of_visitors(key: str, video: Mapping[str, object], into: SourceEntries) -> None:
    for name in ("votes", "visitor_favorites"):
        members = video.get(name)
        if members is None:
            continue
        for member in members if isinstance(members, list) else [members]:
            visitor = member.get("visitor") if isinstance(member, dict) else None
            if not isinstance(member, dict) or not _is_visitor(visitor):
                into.reject(key, f"{name} holds {shown_value(member)} of no visitor")
            elif name == "votes":
                into.stars(key, member.get("stars"), member.get("at"), str(visitor))
            else:
                into.favorite(key, member.get("at"), str(visitor))


def _add_waiting(
    entry: dict[str, object], _library: Mapping[str, Path], into: SourceEntries
) -> None:
    key = into.key(entry.get("key"))
    if key is None:
        return
    name, value, at = entry.get("field"), entry.get("value"), entry.get("at")
    visitor = entry.get("visitor") or ""
    if visitor and not _is_visitor(visitor):
        into.reject(key, f"{shown_value(visitor)} is no visitor")
    elif name == ImportField.STARS:
        into.stars(key, value, at, str(visitor))
    elif name == ImportField.FAVORITE and value is True:
        into.favorite(key, at, str(visitor))
    elif name in (ImportField.VIEWS, ImportField.TOTAL_VIEWS):
        into.views(key, value, at, ImportField(str(name)))
    elif name in (ImportField.TAGS, ImportField.REMOVED_TAGS):
        into.tags(key, value, at, ImportField(str(name)))
    elif name == ImportField.ADDED:
        _add_date(key, value, into)
    else:
        into.reject(key, f"{shown_value(value)} is no {shown_value(name)}")


def _is_visitor(value: object) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value) <= _MAX_VISITOR
        and not any("\ud800" <= letter <= "\udfff" for letter in value)
    )
