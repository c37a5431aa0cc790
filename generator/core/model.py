"""The nouns that travel through reelshelf: frozen, slotted and named.

Nothing here does anything; a rule about these values lives in the module named for it.
Paths are "/"-separated strings below a library root; bytes that are not UTF-8 stand in them as
lone surrogates (Python's "surrogateescape"). Instants are whole seconds since 1970, UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

VideoId = NewType("VideoId", int)
OutPath = NewType("OutPath", str)  # below the output folder, "/"-separated, ASCII only


class Kind(StrEnum):
    """What can happen to a library, in the past tense."""

    VIDEO_FOUND = "VideoFound"
    VIDEO_CHANGED = "VideoChanged"
    VIDEO_MOVED = "VideoMoved"
    VIDEO_MISSING = "VideoMissing"
    VIDEO_RETURNED = "VideoReturned"
    VIDEO_DROPPED = "VideoDropped"
    POSTER_MADE = "PosterMade"
    POSTER_FAILED = "PosterFailed"
    FILE_REFUSED = "FileRefused"
    FILE_CLEARED = "FileCleared"
    RATED = "Rated"
    UNRATED = "Unrated"
    VIEWED = "Viewed"
    FAVORITED = "Favorited"
    UNFAVORITED = "Unfavorited"
    TAGGED = "Tagged"
    UNTAGGED = "Untagged"
    RETAGGED = "Retagged"
    FOLDER_TAGGED = "FolderTagged"
    REBUILD_ASKED = "RebuildAsked"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is: the name of its root ("" for an only root) and its path below it."""

    root: str
    path: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """One file as a walk met it: one stat, never opened."""

    place: Place
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Unwanted:
    """Something in the library with a video's name that cannot be taken, and why."""

    place: Place
    reason: str


@dataclass(frozen=True, slots=True)
class Probe:
    """What a container says of itself, made plausible.

    `width_px` and `height_px` are as displayed: rotation and pixel aspect applied.
    `duration_s` is None where the file does not say or what it says is absurd.
    """

    container: str
    duration_s: float | None = None
    width_px: int | None = None
    height_px: int | None = None
    fps: float | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    recorded_at: int | None = None


@dataclass(frozen=True, slots=True)
class Still:
    """One encoded WebP picture."""

    width_px: int
    height_px: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Stills:
    """A poster, encoded: WebP in ascending widths, a JPEG for link previews, the mean colour.

    `colour` is six hex digits, RGB.
    """

    webp: tuple[Still, ...]
    jpeg: bytes
    colour: str


@dataclass(frozen=True, slots=True)
class Poster:
    """The stills of a video as they lie in the output folder; `digest` is part of their names."""

    digest: str
    widths_px: tuple[int, ...]
    width_px: int
    height_px: int
    colour: str


@dataclass(frozen=True, slots=True)
class Video:
    """One work as pages show it: what the catalogue knows of it, folded from the log.

    `size_bytes` is of the file; `stars` (1 to 5 or None) are the owner's; `tags` are sorted and
    lower-case. `views` are rounded down to what people read ("1.2K" is 1200), so that most views
    change no page. `votes` are the visitors', `score_tenths` their mean as `Figures` has it.
    """

    id: VideoId
    slug: str
    place: Place
    title: str
    added_at: int
    recorded_at: int
    size_bytes: int
    probe: Probe
    poster: Poster | None = None
    stars: int | None = None
    views: int = 0
    favorite: bool = False
    tags: tuple[str, ...] = ()
    votes: int = 0
    score_tenths: int | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What people made of a video, exactly; `version` is the number of its last event.

    `stars` are the owner's. `score_tenths` is the mean of the visitors' votes, pulled towards the
    library's, in tenths of a star: 10 to 50, None without votes.
    """

    id: VideoId
    version: int
    stars: int | None
    votes: int
    score_tenths: int | None
    views: int
    favorite: bool
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that is not, or not wholly, as it should be; tried again when it changes."""

    place: Place
    size_bytes: int
    mtime_ns: int
    stage: str
    reason: str
    at: int


@dataclass(frozen=True, slots=True)
class Happening:
    """An event before it is in the log. `id` makes it happen once, however often it is told."""

    id: str
    kind: Kind
    at: int
    source: str
    video: VideoId | None = None
    value: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event in the log; `new` is false where it stood there before."""

    seq: int
    video: VideoId | None
    new: bool


class Verdict(StrEnum):
    """What became of an event that somebody wanted recorded."""

    RECORDED = "recorded"
    REPEATED = "recorded before"
    UNKNOWN_VIDEO = "about a video that there is not"
    ID_IN_USE = "its id is that of another event"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one event; `figures` are those after all events recorded with it.

    `seq` and `at` are the event's own, of the first time it was told; 0 where it was refused.
    """

    id: str
    verdict: Verdict
    seq: int = 0
    at: int = 0
    figures: Figures | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """What proves the owner, without the secret itself: only its SHA-256 is kept."""

    id: str
    name: str
    digest: str
    created_at: int
    revoked_at: int | None = None


@dataclass(frozen=True, slots=True)
class Examined:
    """A file that is a video: what it says of itself, and its poster or why there is none."""

    place: Place
    probe: Probe
    stills: Stills | None
    poster_problem: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that cannot be taken as a video, and why."""

    place: Place
    reason: str
