"""What yt-dlp and youtube-dl write beside a download: title.info.json."""

from collections.abc import Mapping

from generator.adapters.media_worker.sidecars import normalize
from generator.adapters.media_worker.sidecars.decode_text import json_in
from generator.adapters.media_worker.video_file import UnusableFileError
from generator.core.media.dates import at_of, moment_of, moment_of_seconds, offset_of
from generator.core.model import Metadata

_LISTS = ("playlist", "multi_video")
_UPLOADS = ("UC", "UU")  # YouTube's ids of a channel, and of all its uploads
_SAME_CUT_S = 2.0  # whole seconds are told, and sound may end a little later than the picture
_MOST_LENGTH_S = 10**9
_LOOKED_AT = 10_000


def read_ytdlp(content: bytes, duration_s: float | None = None) -> Metadata:
    """Return what an .info.json says of its video.

    Args:
        content: of the file.
        duration_s: of the video, where it is known.

    Raises:
        UnfitError: it is no JSON, or describes no single video.
    """
    said = json_in(content)
    if not isinstance(said, dict):
        raise UnusableFileError("is not what yt-dlp writes")
    if said.get("_type") in _LISTS or "entries" in said:
        raise UnusableFileError("is about a playlist, not about a video")
    moment = (
        moment_of_seconds(said.get("timestamp"))
        or moment_of(said.get("upload_date"))
        or moment_of_seconds(said.get("release_timestamp"))
        or moment_of(said.get("release_date"))
    )
    episode = normalize.number(said.get("episode_number"))
    return Metadata(
        title=normalize.first(normalize.one_line, said.get("title"), said.get("fulltitle")),
        description=normalize.prose(said.get("description")),
        recorded_at=at_of(moment),
        recorded_offset_min=offset_of(moment),
        creator=normalize.first(
            normalize.names,
            *map(said.get, ("channel", "uploader", "creators", "creator", "artists", "artist")),
        ),
        url=normalize.first(normalize.address, said.get("webpage_url"), said.get("original_url")),
        tags=normalize.clean_tags(said.get("tags"), said.get("categories")),
        chapters=normalize.chapters(said.get("chapters")),
        season=None if episode is None else normalize.number(said.get("season_number")),
        episode=episode,
        playlist_index=None if _is_channel(said) else normalize.number(said.get("playlist_index")),
        is_other_cut=_is_other_cut(said, duration_s),
    )


def _is_channel(said: Mapping[str, object]) -> bool:
    """Tell whether the list is all that somebody uploads: its first is the newest of that day."""
    return str(said.get("playlist_id")).startswith(_UPLOADS)


def _is_other_cut(said: Mapping[str, object], duration_s: float | None) -> bool:
    """Tell whether it describes a longer or shorter cut, as before sponsors were cut out."""
    length_s = _length(said.get("duration"))
    if length_s is None:
        chapters = said.get("chapters")
        ends = [
            _length(one.get("end_time"))
            for one in (chapters if isinstance(chapters, list) else ())[:_LOOKED_AT]
            if isinstance(one, dict)
        ]
        length_s = max((end_s for end_s in ends if end_s is not None), default=None)
    if length_s is None or duration_s is None:
        return False
    return abs(length_s - duration_s) > _SAME_CUT_S


def _length(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 < value < _MOST_LENGTH_S else None
