"""What a container holds besides pictures and sound: a title, a description, chapters."""

from collections.abc import Iterable, Mapping

from generator.adapters.media_worker.sidecars import claims
from generator.core.chapters import tidy_chapters
from generator.core.model import Chapter, Details
from generator.core.stills import recorded_at

_APPLE = "com.apple.quicktime."
_A_DAY_S = 86_400


def embedded_details(
    tags: Mapping[str, str], chapters: Iterable[tuple[float, float, str]]
) -> Details:
    """Return what a container says of its video.

    `recorded_at` is told where a plain date differs from when the file says that it was made:
    whoever tagged the file wrote the one, and whatever program encoded it last the other.

    Args:
        tags: the container's own, named as FFmpeg does, in any case.
        chapters: start and end in seconds, and the title or "".
    """
    said = {name.lower().removeprefix(_APPLE): value for name, value in tags.items()}
    texts = [said.get(name) for name in ("synopsis", "description", "comment")]
    return Details(
        title=claims.title(said.get("title")),
        description=claims.first(_prose, *texts),
        recorded_at=_better_date(tags),
        creator=claims.first(
            claims.line, *map(said.get, ("artist", "author", "album_artist", "director"))
        ),
        url=claims.first(claims.address, said.get("purl"), said.get("comment")),
        tags=claims.tags(said.get("genre"), said.get("keywords")),
        chapters=tidy_chapters(Chapter(start_s, title) for start_s, _, title in chapters),
    )


def _prose(value: object) -> str | None:
    return None if claims.address(value) else claims.prose(value)


def _better_date(tags: Mapping[str, str]) -> int | None:
    plain = next((value for name, value in tags.items() if name.lower() == "date"), "")
    dated, made = recorded_at({"date": plain}), recorded_at(tags)
    if dated is None or made is None or abs(dated - made) <= _A_DAY_S:
        return None
    return dated
