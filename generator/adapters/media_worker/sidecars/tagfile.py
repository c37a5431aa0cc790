"""<video>.<ext>.json: the tags that the old server kept, or what Google Takeout wrote."""

import re

from generator.adapters.media_worker.film import UnfitError
from generator.adapters.media_worker.sidecars import claims
from generator.adapters.media_worker.sidecars.lettering import json_in
from generator.core.model import Details
from generator.core.wording import readable, title_of

_SUFFIX = re.compile(r"\.json\Z", re.IGNORECASE)


def read(name: str, content: bytes) -> Details:
    """Return what such a file says of its video; a bare list is one of tags.

    A title that is the name of the file says nothing.

    Raises:
        UnfitError: it is no JSON, or neither a list nor an object.
    """
    said = json_in(content)
    if isinstance(said, list):
        return Details(tags=claims.tags(said))
    if not isinstance(said, dict):
        raise UnfitError("holds neither a list of tags nor an object with fields")
    title = claims.title(said.get("title"))
    taken = said.get("photoTakenTime")
    return Details(
        title=None if title is None or _is_name(title, name) else title,
        description=claims.prose(said.get("description")),
        recorded_at=claims.instant(taken.get("timestamp")) if isinstance(taken, dict) else None,
        tags=claims.tags(said.get("tags")),
    )


def _is_name(title: str, name: str) -> bool:
    video = _SUFFIX.sub("", name)
    stem = video.rpartition(".")[0]
    return title in (readable(video), readable(stem), title_of(video))
