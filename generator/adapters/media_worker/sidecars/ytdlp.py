"""title.info.json, the metadata that yt-dlp and youtube-dl write."""

from collections.abc import Mapping

from generator.adapters.media_worker.sidecars import normalize
from generator.adapters.media_worker.sidecars.decode_text import json_in
from generator.adapters.media_worker.video_file import UnusableFileError
from generator.core.media.dates import at_of, moment_of, moment_of_seconds, offset_of
from generator.core.model import Metadata

_LISTS = ("playlist", "multi_video")
_CHANNEL_PREFIXES = ("UC", "UU")  # YouTube's ids of a channel, and of all its uploads
_SAME_CUT_S = 2.0  # durations are whole seconds, and audio may end a little after video
_MAX_LENGTH_S = 10**9
_MAX_CHAPTERS = 10_000


def read_ytdlp(content: bytes, duration_s: float | None = None) -> Metadata:
    """Return the metadata in an .info.json.

    Args:
        content: of the file.
        duration_s: of the video, if it is known.

    Raises:
        UnusableFileError: it is not JSON, or not about a single video.
    """
    fields = json_in(content)
    if not isinstance(fields, dict):
        raise UnusableFileError("is not what yt-dlp writes")
    if fields.get("_type") in _LISTS or "entries" in fields:
        raise UnusableFileError("is about a playlist, not about a video")
    moment = (
        moment_of_seconds(fields.get("timestamp"))
        or moment_of(fields.get("upload_date"))
        or moment_of_seconds(fields.get("release_timestamp"))
        or moment_of(fields.get("release_date"))
    )
    episode = normalize.number(fields.get("episode_number"))
    return Metadata(
        title=normalize.first(normalize.one_line, fields.get("title"), fields.get("fulltitle")),
        description=normalize.prose(fields.get("description")),
        recorded_at=at_of(moment),
        recorded_offset_min=offset_of(moment),
        creator=normalize.first(
            normalize.names,
            *map(fields.get, ("channel", "uploader", "creators", "creator", "artists", "artist")),
        ),
        url=normalize.first(
            normalize.address, fields.get("webpage_url"), fields.get("original_url")
        ),
        tags=normalize.clean_tags(fields.get("tags"), fields.get("categories")),
        chapters=normalize.chapters(fields.get("chapters")),
        season=None if episode is None else normalize.number(fields.get("season_number")),
        episode=episode,
        playlist_index=None
        if _is_channel(fields)
        else normalize.number(fields.get("playlist_index")),
        is_other_cut=_is_other_cut(fields, duration_s),
    )


def _is_channel(fields: Mapping[str, object]) -> bool:
    """Return whether the playlist is a whole channel: its indexes begin at the newest video."""
    return str(fields.get("playlist_id")).startswith(_CHANNEL_PREFIXES)


def _is_other_cut(fields: Mapping[str, object], duration_s: float | None) -> bool:
    """Return whether it describes a longer or shorter cut, e.g. before SponsorBlock."""
    length_s = _length(fields.get("duration"))
    if length_s is None:
        chapters = fields.get("chapters")
        ends = [
            _length(chapter.get("end_time"))
            for chapter in (chapters if isinstance(chapters, list) else ())[:_MAX_CHAPTERS]
            if isinstance(chapter, dict)
        ]
        length_s = max((end_s for end_s in ends if end_s is not None), default=None)
    if length_s is None or duration_s is None:
        return False
    return abs(length_s - duration_s) > _SAME_CUT_S


def _length(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 < value < _MAX_LENGTH_S else None
