"""<video>.<ext>.json: tags of the old server, Google Takeout metadata, or ExifTool output."""

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
_TAKEOUT_TIME = "photoTakenTime"  # only Google Takeout writes it
_TITLES = ("title", "headline", "displayname")
_TEXTS = ("description", "imagedescription", "caption-abstract", "usercomment")
_TAGS = ("keywords", "subject", "taglist")


class OtherVideoError(Exception):
    """A file with the name of a video's sidecar is about another video."""


def read_tagfile(name: str, content: bytes, video: str | None = None) -> Metadata:
    """Return the metadata in such a file; a bare list is one of tags.

    A title that is only the name of the file is ignored.

    Args:
        name: of this file.
        content: of this file.
        video: the name of the video's file; None: this one's name begins with it.

    Raises:
        UnusableFileError: it is not JSON, or neither a list nor an object.
        OtherVideoError: its content is about another file.
    """
    value = json_in(content)
    stem = _SUFFIX.sub("", name)
    fit = NameMatch.WHOLE if video is None else fit_of(video, stem)
    if isinstance(value, list) and fit is NameMatch.WHOLE:
        return _from_list(value)
    if fit is not NameMatch.WHOLE and not isinstance(value, dict):
        raise OtherVideoError
    if not isinstance(value, dict):
        raise UnusableFileError("holds neither a list of tags nor an object with fields")
    takeout_time, title = value.get(_TAKEOUT_TIME), value.get("title")
    is_takeout = isinstance(takeout_time, dict)
    if fit is not NameMatch.WHOLE and not is_takeout:
        raise OtherVideoError
    if fit is NameMatch.CUT and not agrees(video or "", title):
        raise OtherVideoError
    moment = (
        moment_of_seconds(takeout_time.get("timestamp")) if isinstance(takeout_time, dict) else None
    )
    return Metadata(
        title=None if is_takeout else _title(normalize.title(title), stem),
        description=normalize.prose(value.get("description")),
        recorded_at=at_of(moment),
        recorded_offset_min=offset_of(moment),
        tags=normalize.clean_tags(value.get("tags")),
    )


def _title(title: str | None, video: str) -> str | None:
    """Return the title, None if it is only the name of the file."""
    if title is None:
        return None
    stem = video.rpartition(".")[0]
    return None if title in (readable(video), readable(stem), title_of(video)) else title


def _from_list(values: list[object]) -> Metadata:
    """Return the metadata in a list: of tags, or the output of ExifTool or osxphotos."""
    file_tags = values[0] if len(values) == 1 else None
    if not isinstance(file_tags, dict) or "SourceFile" not in file_tags:
        return Metadata(tags=normalize.clean_tags(values))
    fields = {str(key).rpartition(":")[2].lower(): value for key, value in file_tags.items()}
    moment = _moment(fields)
    return Metadata(
        title=normalize.first(normalize.title, *map(fields.get, _TITLES)),
        description=normalize.first(normalize.prose, *map(fields.get, _TEXTS)),
        recorded_at=at_of(moment),
        recorded_offset_min=offset_of(moment),
        tags=normalize.clean_tags(*map(_split_text, map(fields.get, _TAGS))),
    )


def _moment(fields: Mapping[str, object]) -> Moment | None:
    """Return when it was recorded: local time with an offset wins over that of the container."""
    original, offset = fields.get("datetimeoriginal"), fields.get("offsettimeoriginal")
    if isinstance(original, str) and isinstance(offset, str):
        original += offset
    created = fields.get("createdate")
    if isinstance(created, str):
        created = created.removesuffix("Z") + "Z"  # QuickTime uses UTC
    return normalize.first(moment_of, fields.get("creationdate"), original, created)


def _split_text(value: object) -> object:
    return value.split(",") if isinstance(value, str) else value
