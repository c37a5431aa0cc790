"""<video>.<ext>.json: the tags of the old server, Google Takeout's, or what ExifTool tells."""

import re
from collections.abc import Mapping

from generator.adapters.media_worker.sidecars import normalize
from generator.adapters.media_worker.sidecars.decode_text import json_in
from generator.adapters.media_worker.video_file import UnusableFileError
from generator.core.formatting import readable, title_of
from generator.core.library.takeout import NameMatch, agrees, fit_of
from generator.core.media.dates import Moment, at_of, moment_of, moment_of_seconds, offset_of
from generator.core.model import Metadata

_SUFFIX = re.compile(r"\.json\Z", re.IGNORECASE)
_TAKEN = "photoTakenTime"  # what only Google Takeout writes
_TITLES = ("title", "headline", "displayname")
_TEXTS = ("description", "imagedescription", "caption-abstract", "usercomment")
_TAGS = ("keywords", "subject", "taglist")


class OtherVideoError(Exception):
    """A file that is named like a video's is about another one."""


def read_tagfile(name: str, content: bytes, video: str | None = None) -> Metadata:
    """Return what such a file says of its video; a bare list is one of tags.

    A title that is the name of the file says nothing.

    Args:
        name: of this file.
        content: of it.
        video: the name of the video's file; None: it is in this one's.

    Raises:
        UnfitError: it is no JSON, or neither a list nor an object.
        OtherVideoError: it is about another file, as only what is in it tells.
    """
    said = json_in(content)
    stem = _SUFFIX.sub("", name)
    fit = NameMatch.WHOLE if video is None else fit_of(video, stem)
    if isinstance(said, list) and fit is NameMatch.WHOLE:
        return _of_list(said)
    if fit is not NameMatch.WHOLE and not isinstance(said, dict):
        raise OtherVideoError
    if not isinstance(said, dict):
        raise UnusableFileError("holds neither a list of tags nor an object with fields")
    taken, title = said.get(_TAKEN), said.get("title")
    is_takeout = isinstance(taken, dict)
    if fit is not NameMatch.WHOLE and not is_takeout:
        raise OtherVideoError
    if fit is NameMatch.CUT and not agrees(video or "", title):
        raise OtherVideoError
    moment = moment_of_seconds(taken.get("timestamp")) if isinstance(taken, dict) else None
    return Metadata(
        title=None if is_takeout else _title(normalize.title(title), stem),
        description=normalize.prose(said.get("description")),
        recorded_at=at_of(moment),
        recorded_offset_min=offset_of(moment),
        tags=normalize.clean_tags(said.get("tags")),
    )


def _title(title: str | None, video: str) -> str | None:
    """Return a title that is not merely the name of the file."""
    if title is None:
        return None
    stem = video.rpartition(".")[0]
    return None if title in (readable(video), readable(stem), title_of(video)) else title


def _of_list(said: list[object]) -> Metadata:
    """Return what a list says: of tags, or with what ExifTool and osxphotos tell of a file."""
    told = said[0] if len(said) == 1 else None
    if not isinstance(told, dict) or "SourceFile" not in told:
        return Metadata(tags=normalize.clean_tags(said))
    fields = {str(key).rpartition(":")[2].lower(): value for key, value in told.items()}
    moment = _moment(fields)
    return Metadata(
        title=normalize.first(normalize.title, *map(fields.get, _TITLES)),
        description=normalize.first(normalize.prose, *map(fields.get, _TEXTS)),
        recorded_at=at_of(moment),
        recorded_offset_min=offset_of(moment),
        tags=normalize.clean_tags(*map(_listed, map(fields.get, _TAGS))),
    )


def _moment(fields: Mapping[str, object]) -> Moment | None:
    """Return when it was recorded: the time of the place before the clock of the container."""
    original, offset = fields.get("datetimeoriginal"), fields.get("offsettimeoriginal")
    if isinstance(original, str) and isinstance(offset, str):
        original += offset
    created = fields.get("createdate")
    if isinstance(created, str):
        created = created.removesuffix("Z") + "Z"  # as QuickTime counts
    return normalize.first(moment_of, fields.get("creationdate"), original, created)


def _listed(value: object) -> object:
    return value.split(",") if isinstance(value, str) else value
