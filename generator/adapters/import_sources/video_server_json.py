"""The JSON files of a small video server: ratings, views, tags, favorites, and tags of one video.

A value is what the server wrote, or an object with it and a date, as its later releases write.
"""

from collections.abc import Callable, Mapping

from generator.adapters.import_sources.source_entries import CUT, SourceEntries
from generator.adapters.import_sources.tolerant_json import is_cut
from generator.core.library.import_values import shown_value

_RATINGS, _VIEWS = ("rating", "stars"), ("views", "view_count")
_NAMES = ("filename", "file", "path")
_TIMES = ("last", "last_viewed", "updated", "updated_at", "added", "added_at", "created_at", "at")


def read_ratings(value: object, into: SourceEntries) -> None:
    """Read {file: stars}, or {file: {"rating": stars, "updated": time}}."""
    for key, member in _files(value, into, "files and stars"):
        _add_member(key, member, _RATINGS, into, into.stars)


def read_views(value: object, into: SourceEntries) -> None:
    """Read {file: number}, or {file: {"views": number, "last": time}}."""
    for key, member in _files(value, into, "files and views"):
        _add_member(key, member, _VIEWS, into, into.views)


def read_tags(value: object, into: SourceEntries) -> None:
    """Read {file: [tag, ...]}, {file: "tag, tag"} or {file: {"tags": [...]}}."""
    for key, member in _files(value, into, "files and tags"):
        _add_member(key, member, ("tags",), into, into.tags)


def read_favorites(value: object, into: SourceEntries) -> None:
    """Read {"favorites": [file, ...]}, a bare list, or {file: true}.

    The elements of a list may be objects with a file name and a date.
    """
    if isinstance(value, dict) and isinstance(value.get("favorites"), list | dict):
        value = value["favorites"]
    if isinstance(value, list):
        for element in value:
            _add_favorite(element, into)
        return
    for key, member in _files(value, into, "favorites"):
        if member is True:
            into.favorite(key)
        elif member is not False:
            into.reject(key, f"{shown_value(member)} is neither true nor false")


def read_tags_of_video(video: str, value: object, into: SourceEntries) -> None:
    """Read the tags in {"tags": [...]}, or in a bare list, for the video with a key."""
    key = into.key(video)
    if key is None:
        return
    if isinstance(value, list):
        into.tags(key, value)
    elif not isinstance(value, dict):
        into.reject("", f"holds {shown_value(value)}, and no tags")
    elif "tags" in value:
        into.tags(key, value["tags"])


def _files(value: object, into: SourceEntries, content: str) -> "list[tuple[str, object]]":
    if isinstance(value, dict):
        return list(into.members(value))
    into.reject("", f"holds {shown_value(value)}, and no object with {content}")
    return []


def _add_member(
    key: str,
    value: object,
    names: tuple[str, ...],
    into: SourceEntries,
    add: Callable[[str, object, object], None],
) -> None:
    if not isinstance(value, dict):
        add(key, value, None)
        return
    present = [name for name in names if name in value]
    if len(present) != 1:
        fields = " or ".join(f'"{name}"' for name in names)
        into.reject(key, CUT if is_cut(value) else f"an object without {fields}")
        return
    add(key, value[present[0]], _time_in(value))


def _add_favorite(element: object, into: SourceEntries) -> None:
    name, at = element, None
    if isinstance(element, dict):
        names = [element[field] for field in _NAMES if field in element]
        if len(names) != 1:
            into.reject("", "an object without a file name")
            return
        name, at = names[0], _time_in(element)
    key = into.key(name)
    if key is not None:
        into.favorite(key, at)


def _time_in(value: Mapping[str, object]) -> object:
    return next((value[name] for name in _TIMES if name in value), None)
