"""What yt-dlp and youtube-dl write beside a download: title.info.json."""

from generator.adapters.media_worker.film import UnfitError
from generator.adapters.media_worker.sidecars import claims
from generator.adapters.media_worker.sidecars.lettering import json_in
from generator.core.model import Details

_LISTS = ("playlist", "multi_video")


def read(content: bytes) -> Details:
    """Return what an .info.json says of its video.

    Raises:
        UnfitError: it is no JSON, or describes no single video.
    """
    said = json_in(content)
    if not isinstance(said, dict):
        raise UnfitError("is not what yt-dlp writes")
    if said.get("_type") in _LISTS or "entries" in said:
        raise UnfitError("is about a playlist, not about a video")
    return Details(
        title=claims.first(claims.line, said.get("title"), said.get("fulltitle")),
        description=claims.prose(said.get("description")),
        recorded_at=claims.first(
            claims.instant,
            *map(said.get, ("timestamp", "upload_date", "release_timestamp", "release_date")),
        ),
        creator=claims.first(
            claims.names,
            *map(said.get, ("channel", "uploader", "creators", "creator", "artists", "artist")),
        ),
        url=claims.first(claims.address, said.get("webpage_url"), said.get("original_url")),
        tags=claims.tags(said.get("tags"), said.get("categories")),
        chapters=claims.chapters(said.get("chapters")),
    )
