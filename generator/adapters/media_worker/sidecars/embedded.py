"""Metadata embedded in a container: title, description, chapters."""

import math
from collections.abc import Iterable, Mapping

from generator.adapters.media_worker.sidecars import normalize
from generator.core.media.chapters import tidy_chapters
from generator.core.media.dates import at_of, moment_of_tags, offset_of
from generator.core.model import Chapter, Metadata

_APPLE = "com.apple.quicktime."
_WRONG_UNIT = 100  # milliseconds or ticks, taken for seconds


def embedded_metadata(
    tags: Mapping[str, str],
    chapters: Iterable[tuple[float, float, str]],
    duration_s: float | None = None,
) -> Metadata:
    """Return the metadata embedded in a container.

    Args:
        tags: of the container, with FFmpeg's names, in any case.
        chapters: start and end in seconds, and the title or "".
        duration_s: of the video, if it is known.
    """
    fields = {name.lower().removeprefix(_APPLE): value for name, value in tags.items()}
    moment = moment_of_tags(tags)
    descriptions = [fields.get(name) for name in ("synopsis", "description", "comment")]
    return Metadata(
        title=normalize.title(fields.get("title")),
        description=normalize.first(_prose, *descriptions),
        recorded_at=at_of(moment),
        recorded_offset_min=offset_of(moment),
        creator=normalize.first(
            normalize.one_line, *map(fields.get, ("artist", "author", "album_artist", "director"))
        ),
        url=normalize.first(normalize.address, fields.get("purl"), fields.get("comment")),
        tags=normalize.clean_tags(fields.get("genre"), fields.get("keywords")),
        chapters=_chapters(tuple(chapters), duration_s),
    )


def _chapters(
    raw: tuple[tuple[float, float, str], ...], duration_s: float | None
) -> tuple[Chapter, ...]:
    """Return the chapters; none if they are in a wrong unit, and all end at once."""
    last_s = max((end_s for _, end_s, _ in raw if math.isfinite(end_s)), default=0.0)
    if duration_s is not None and last_s * _WRONG_UNIT < duration_s:
        return ()
    return tidy_chapters((Chapter(start_s, title) for start_s, _, title in raw), duration_s)


def _prose(value: object) -> str | None:
    return None if normalize.address(value) else normalize.prose(value)
