"""The watched state that Kodi and Jellyfin write into .nfo; the scan reads the rest of these."""

from collections.abc import Mapping

from generator.adapters.import_sources.source_entries import SourceEntries
from generator.adapters.import_sources.source_files import UnreadableSourceError
from generator.adapters.media_worker.sidecars.nfo import read_nfo_fields
from generator.adapters.media_worker.video_file import UnusableFileError
from generator.core.library.import_values import halved_stars_in, shown_value

MAX_NFO = 1024 * 1024  # bytes
_FIELDS = frozenset({"watched", "playcount", "lastplayed", "userrating", "isuserfavorite"})
_NOTHING = frozenset({"", "0", "0.0", "false", "no"})
_YES = frozenset({"1", "true", "yes"})
_OTHER_ROOTS = "is not about a video"


def read_watched_state(content: bytes) -> Mapping[str, str] | None:
    """Return the fields of an .nfo that can be imported; {} where none is set.

    None: it is about something else, such as a series.

    Raises:
        UnreadableSourceError: it is damaged.
    """
    try:
        texts = read_nfo_fields(content, _FIELDS)
    except UnusableFileError as error:
        if str(error).startswith(_OTHER_ROOTS):
            return None
        raise UnreadableSourceError(str(error)) from error
    state = {name: values[0] for name, values in texts.items() if values}
    if all(state.get(name, "").lower() in _NOTHING for name in _FIELDS - {"lastplayed"}):
        return {}
    return state


def add_watched_state(key: str, state: Mapping[str, str], into: SourceEntries) -> None:
    """Add the entries of a video.

    Watched without a count is one view; a count without "watched" counts as well.
    """
    count, watched = state.get("playcount", ""), state.get("watched", "").lower()
    if count.lower() not in _NOTHING:
        into.views(key, count, state.get("lastplayed"))
    elif watched in _YES:
        into.views(key, 1, state.get("lastplayed"))
    if watched not in _YES | _NOTHING:
        into.reject(key, f"watched is {shown_value(watched)}")
    rating = state.get("userrating", "")
    if rating.lower() not in _NOTHING:
        into.stars(key, rating, read=halved_stars_in)
    favorite = state.get("isuserfavorite", "").lower()
    if favorite in _YES:
        into.favorite(key)
    elif favorite not in _NOTHING:
        into.reject(key, f"isuserfavorite is {shown_value(favorite)}")
