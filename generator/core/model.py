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


class EventKind(StrEnum):
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
    VIDEO_MERGED = "VideoMerged"
    VIDEO_FORGOTTEN = "VideoForgotten"
    VIDEO_DESCRIBED = "VideoDescribed"
    BOARD_MADE = "BoardMade"
    BOARD_FAILED = "BoardFailed"
    BOARD_DROPPED = "BoardDropped"
    RENDITION_MADE = "RenditionMade"
    RENDITION_FAILED = "RenditionFailed"
    RENDITION_DROPPED = "RenditionDropped"


OPINIONS = frozenset(
    {
        EventKind.RATED,
        EventKind.UNRATED,
        EventKind.FAVORITED,
        EventKind.UNFAVORITED,
        EventKind.TAGGED,
        EventKind.UNTAGGED,
        EventKind.RETAGGED,
    }
)  # of which the last one counts


class MetadataSource(StrEnum):
    """Who says something of a video; as members stand here, the earlier is believed.

    Tags have two more: "folder", and "user", whose removals outlive what all others give.
    """

    OWN = "own"  # a .toml or .md beside the video
    NFO = "nfo"  # Kodi's and Jellyfin's
    YTDLP = "ytdlp"  # .info.json
    JSON = "json"  # <video>.<ext>.json, as the old server kept it
    EMBEDDED = "embedded"  # what the container holds
    BESIDE = "beside"  # subtitles in files of their own
    NAME = "name"  # a date in its name
    FILE = "file"  # its name as a title, and its time


class SidecarKind(StrEnum):
    """What a file beside a video is for."""

    OWN = "own"
    NFO = "nfo"
    YTDLP = "ytdlp"
    JSON = "json"
    SUBTITLES = "subtitles"
    PICTURE = "picture"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is: the name of its root ("" for an only root) and its path below it."""

    root: str
    path: str


@dataclass(frozen=True, slots=True)
class FileStat:
    """One file as a walk met it: one stat, never opened."""

    place: Place
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """Something in the library with a video's name that cannot be taken, and why."""

    place: Place
    reason: str


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A file beside a video that says something of it, or is a picture of it."""

    kind: SidecarKind
    place: Place
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Chapter:
    """A named part of a video, from `start_s` to the next one's."""

    start_s: float
    title: str


@dataclass(frozen=True, slots=True)
class Metadata:
    """What one source says of a video, made plausible; None and () where it says nothing.

    `title` and `creator` are one line. `description` is plain text, or Markdown where
    `is_markdown`. `recorded_at` is within 1800..2100, negative before 1970, and goes with
    `recorded_offset_min` as in `Video`. `url` is where it came from: http or https. `tags` are as
    `wording.tag_of` spells them. `chapters` ascend. `season` is told with an `episode` only, and
    `playlist_index` is its place in a list. `is_other_cut`: it is about a longer or shorter cut of
    the video, so that times in its description count only if all of them lie within this one.
    """

    title: str | None = None
    description: str | None = None
    is_markdown: bool = False
    recorded_at: int | None = None
    creator: str | None = None
    url: str | None = None
    tags: tuple[str, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    recorded_offset_min: int | None = None
    season: int | None = None
    episode: int | None = None
    playlist_index: int | None = None
    is_other_cut: bool = False


@dataclass(frozen=True, slots=True)
class Subtitles:
    """Subtitles as WebVTT (UTF-8), not yet on the disk.

    `language` is a BCP 47 tag or "" where nobody knows; `label` is what a person picks them by.
    `sdh`: for the deaf, with sounds described. `source` is Source.BESIDE or Source.EMBEDDED.
    """

    language: str
    label: str
    forced: bool
    sdh: bool
    source: MetadataSource
    content: bytes


@dataclass(frozen=True, slots=True)
class Track:
    """Subtitles as they lie in the output folder; `digest` is part of the name."""

    language: str
    label: str
    forced: bool
    sdh: bool
    digest: str


@dataclass(frozen=True, slots=True)
class EncodedStoryboard:
    """A storyboard, encoded: one WebP sprite of equal tiles, row by row.

    Tile i shows the video from `starts_s[i]` to the next one's start; the first begins at 0.
    """

    columns: int
    tile_width_px: int
    tile_height_px: int
    starts_s: tuple[float, ...]
    content: bytes


@dataclass(frozen=True, slots=True)
class Storyboard:
    """A storyboard as it lies in the output folder; `digest` is part of both its names."""

    digest: str
    count: int
    columns: int
    tile_width_px: int
    tile_height_px: int


@dataclass(frozen=True, slots=True)
class Rendition:
    """A playable copy as it lies in the output folder.

    `made_by` is "remux" (the same streams in another container) or "transcode"; `container` is
    "mp4" or "webm". `is_hls`: with a playlist beside it. `codecs` are as in RFC 6381, "" where
    they cannot be named.
    """

    digest: str
    size_bytes: int
    made_by: str
    container: str
    codecs: str
    is_hls: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """What a container says of itself, made plausible.

    `width_px` and `height_px` are as displayed: rotation and pixel aspect applied.
    `duration_s` is None where the file does not say or what it says is absurd. `codecs` are those
    of the first picture and sound as RFC 6381 names them ("avc1.64001f,mp4a.40.2"), "" where they
    cannot be named. `pixel_format` is FFmpeg's name ("yuv420p10le"). `fast_start` is None where
    the container knows no such thing. `text_streams` counts subtitles that are text. `start_s` is
    what the clock of browsers shows when the film begins, 0 where they do not play the container.
    `recorded_offset_min` is as in `Video`.
    """

    container: str
    duration_s: float | None = None
    width_px: int | None = None
    height_px: int | None = None
    fps: float | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    recorded_at: int | None = None
    codecs: str = ""
    pixel_format: str | None = None
    fast_start: bool | None = None
    text_streams: int = 0
    start_s: float = 0.0
    recorded_offset_min: int | None = None


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
    change no page. `votes` are the visitors', `score_tenths` their mean as `VideoStats` has it.
    `recorded_offset_min` is how many minutes east of UTC it was recorded; where it is None the zone
    is unknown, and `recorded_at` is the local time as if it were UTC. `is_dated`: something better
    than the file's time tells when. `season`, `episode` and `playlist_index` are sidecars' words.
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
    description: str = ""
    is_markdown: bool = False
    creator: str = ""
    url: str = ""
    chapters: tuple[Chapter, ...] = ()
    tracks: tuple[Track, ...] = ()
    storyboard: Storyboard | None = None
    rendition: Rendition | None = None
    recorded_offset_min: int | None = None
    is_dated: bool = False
    season: int | None = None
    episode: int | None = None
    playlist_index: int | None = None

    @property
    def clock_s(self) -> float:
        """Return what the clock of a player shows when the film begins; that of a copy is at 0."""
        return 0.0 if self.rendition is not None else self.probe.start_s


@dataclass(frozen=True, slots=True)
class VideoStats:
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


NO_VIDEO = ("holds no video", "holds a cover picture but no video")  # reasons of refusals
SOUND = "sound"  # the stage of what is no film: remembered, that it is not opened again, not told
SIDECAR = "sidecar"  # the stage of a problem with a file beside a video


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A file that is not, or not wholly, as it should be; tried again when it changes."""

    place: Place
    size_bytes: int
    mtime_ns: int
    stage: str
    reason: str
    at: int


@dataclass(frozen=True, slots=True)
class Event:
    """An event before it is in the log. `id` makes it happen once, however often it is told.

    `told_us` is for events that waited in a queue: when they were told, in microseconds since
    1970. It orders them, whenever they come; None: the order is that in which they come.
    """

    id: str
    kind: EventKind
    at: int
    source: str
    video: VideoId | None = None
    value: Mapping[str, object] = field(default_factory=dict)
    told_us: int | None = None


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event in the log; `new` is false where it stood there before."""

    seq: int
    video: VideoId | None
    new: bool


class EventVerdict(StrEnum):
    """What became of an event that somebody wanted recorded."""

    RECORDED = "recorded"
    REPEATED = "recorded before"
    UNKNOWN_VIDEO = "about a video that there is not"
    ID_IN_USE = "its id is that of another event"


@dataclass(frozen=True, slots=True)
class EventOutcome:
    """What became of one event; `figures` are those after all events recorded with it.

    `seq` and `at` are the event's own, of the first time it was told; 0 where it was refused.
    """

    id: str
    verdict: EventVerdict
    seq: int = 0
    at: int = 0
    stats: VideoStats | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """What proves the owner, without the secret itself: only its SHA-256 is kept."""

    id: str
    name: str
    digest: str
    created_at: int
    revoked_at: int | None = None


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """A file that is a video: what it says of itself, and its poster or why there is none.

    `details` are by source; `complaints` are companions (by name) that could not be read, and
    why. `cut_short` says what of the file is missing, "" for nothing. `outdated`: what an older
    version of the probe had made wrongly of such a file, "board" (and inner subtitles) or "copy".
    """

    place: Place
    probe: Probe
    stills: Stills | None
    poster_problem: str = ""
    details: tuple[tuple[MetadataSource, Metadata], ...] = ()
    subtitles: tuple[Subtitles, ...] = ()
    complaints: tuple[tuple[str, str], ...] = ()
    cut_short: str = ""
    outdated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EnrichmentResult:
    """What took longer to get from a video: a storyboard or why there is none, inner subtitles."""

    place: Place
    board: EncodedStoryboard | None = None
    board_problem: str = ""
    subtitles: tuple[Subtitles, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that cannot be taken as a video, and why.

    `passing`: nothing is wrong with the file, it could not be had now.
    """

    place: Place
    reason: str
    passing: bool = False
