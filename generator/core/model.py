"""The data classes that all of reelshelf shares, frozen and slotted.

They have no behavior; a rule about these values is in the module named for it.
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
    ADDED_DATE_SET = "AddedDateSet"
    IMPORT_DEFERRED = "ImportDeferred"
    EVENT_UNDONE = "EventUndone"
    EVENT_REDONE = "EventRedone"


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
)  # the last one of a kind counts

UNDOABLE = OPINIONS | {EventKind.VIEWED, EventKind.ADDED_DATE_SET, EventKind.IMPORT_DEFERRED}


class MetadataSource(StrEnum):
    """Sources of metadata, by descending precedence.

    Tags have two more: "folder", and "user", whose removals override all others.
    """

    OWN = "own"  # a .toml or .md sidecar for reelshelf
    NFO = "nfo"  # Kodi's and Jellyfin's
    YTDLP = "ytdlp"  # .info.json
    JSON = "json"  # <video>.<ext>.json, as the old server kept it
    EMBEDDED = "embedded"  # inside the container
    BESIDE = "beside"  # subtitle files
    NAME = "name"  # a date in its name
    FILE = "file"  # its name as a title, and its time


class SidecarKind(StrEnum):
    """The kinds of sidecar files."""

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
    """One file as a scan found it: one stat, never opened."""

    place: Place
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """Something in the library that is named like a video and cannot be used, and why."""

    place: Place
    reason: str


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A file beside a video with metadata, subtitles or a picture of it."""

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
    """The metadata of a video from one source, sanitized; None and () where it has none.

    `title` and `creator` are one line. `description` is plain text, or Markdown where
    `is_markdown`. `recorded_at` is within 1800..2100, negative before 1970, and goes with
    `recorded_offset_min` as in `Video`. `url` is where it came from: http or https. `tags` are as
    `formatting.normalize_tag` returns them. `chapters` ascend. `season` comes with an `episode`
    only, and `playlist_index` is its place in a list. `is_other_cut`: it is about a longer or
    shorter cut of the video, so that times in its description count only if all of them lie within
    this one.
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

    `language` is a BCP 47 tag, "" if unknown; `label` is for people. `sdh`: for the deaf, with
    sounds described. `source` is MetadataSource.BESIDE or EMBEDDED.
    """

    language: str
    label: str
    forced: bool
    sdh: bool
    source: MetadataSource
    content: bytes


@dataclass(frozen=True, slots=True)
class Track:
    """Subtitles in the output folder; `digest` is part of the name."""

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
    """A storyboard in the output folder; `digest` is part of both its names."""

    digest: str
    count: int
    columns: int
    tile_width_px: int
    tile_height_px: int


@dataclass(frozen=True, slots=True)
class Rendition:
    """A playable copy in the output folder.

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
    """The properties of a media file, sanitized.

    `width_px` and `height_px` are as displayed: rotation and pixel aspect applied.
    `duration_s` is None where it is missing or absurd. `codecs` are those of the first video and
    audio stream as RFC 6381 names them ("avc1.64001f,mp4a.40.2"), "" where they cannot be named.
    `pixel_format` is FFmpeg's name ("yuv420p10le"). `fast_start` is None where the container has
    no such thing. `text_streams` counts text subtitles. `start_s` is `currentTime` in browsers at
    the first frame, 0 where they do not play the container. `recorded_offset_min` is as in `Video`.
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
    """A poster, encoded: WebP in ascending widths, a JPEG for link previews, the mean color.

    `color` is six hex digits, RGB.
    """

    webp: tuple[Still, ...]
    jpeg: bytes
    color: str


@dataclass(frozen=True, slots=True)
class Poster:
    """The stills of a video in the output folder; `digest` is part of their names."""

    digest: str
    widths_px: tuple[int, ...]
    width_px: int
    height_px: int
    color: str


@dataclass(frozen=True, slots=True)
class Video:
    """A video as pages show it, folded from the event log.

    `size_bytes` is of the file; `stars` (1 to 5 or None) are the owner's; `tags` are sorted and
    lower-case. `views` are rounded down to what pages show ("1.2K" is 1200), so that most views
    change no page. `votes` are the visitors', `score_tenths` their mean as `VideoStats` has it.
    `recorded_offset_min` is how many minutes east of UTC it was recorded; where it is None the zone
    is unknown, and `recorded_at` is the local time as if it were UTC. `is_dated`: `recorded_at` has
    a better source than the file's mtime. `season`, `episode` and `playlist_index` are from
    sidecars.
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
        """Return `currentTime` of a player at the first frame; in a playable copy it is 0."""
        return 0.0 if self.rendition is not None else self.probe.start_s


@dataclass(frozen=True, slots=True)
class VideoStats:
    """The exact ratings and views of a video; `version` is the number of its last event.

    `stars` are the owner's. `score_tenths` is the mean of the visitors' votes, pulled toward the
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


NO_VIDEO = ("holds no video", "holds a cover picture but no video")  # reasons of rejections
SOUND = "sound"  # the stage of audio files: stored, so that they are not opened again; not shown
SIDECAR = "sidecar"  # the stage of a problem with a file beside a video


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A file with a problem; it is retried when it changes."""

    place: Place
    size_bytes: int
    mtime_ns: int
    stage: str
    reason: str
    at: int


@dataclass(frozen=True, slots=True)
class Event:
    """An event before it is in the log. `id` is its idempotency key.

    `occurred_at_us` is for events that arrive late, from a queue or an import: when they happened,
    in microseconds since 1970. They are ordered by it, whenever they arrive; None: by arrival.
    Events of one `batch` are undone together.
    `request_id` is that of the request to the API, by which logs have it; "" for none.
    """

    id: str
    kind: EventKind
    at: int
    source: str
    video: VideoId | None = None
    value: Mapping[str, object] = field(default_factory=dict)
    occurred_at_us: int | None = None
    batch: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event in the log; `new` is false where it was there before."""

    seq: int
    video: VideoId | None
    new: bool


class EventVerdict(StrEnum):
    """Whether an event was recorded, or why not."""

    RECORDED = "recorded"
    REPEATED = "recorded before"
    UNKNOWN_VIDEO = "unknown video"
    ID_IN_USE = "its id is that of another event"


@dataclass(frozen=True, slots=True)
class EventOutcome:
    """The result of recording one event; `stats` are those after its whole batch.

    `seq` and `at` are those of its first recording; 0 where it was refused.
    """

    id: str
    verdict: EventVerdict
    seq: int = 0
    at: int = 0
    stats: VideoStats | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """An API token, without the secret itself: only its SHA-256 is stored.

    The owner's, unless `is_viewer`: then it may also expire, and has the digest of the secret in
    the address of its feeds.
    """

    id: str
    name: str
    digest: str
    created_at: int
    revoked_at: int | None = None
    is_viewer: bool = False
    expires_at: int | None = None
    feed_digest: str | None = None


@dataclass(frozen=True, slots=True)
class ViewerKey:
    """What proves a viewer: digests of their token and of the secret of their feeds, in hex.

    `expires_at` is in seconds since 1970; None: never.
    """

    id: str
    digest: str
    feed_digest: str
    expires_at: int | None = None

    def is_valid_at(self, now: int) -> bool:
        """Return whether it has not expired."""
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """A file that is a video: its properties, and its poster or why there is none.

    `details` are the metadata by source; `complaints` are sidecars (by name) that could not be
    read, and why. `cut_short` says what of a truncated file is missing, "" for nothing. `outdated`:
    what an older version of the probe made wrongly of such a file, "board" (and embedded subtitles)
    or "copy".
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
    """The results of slow work on a video: a storyboard or why there is none, and its subtitles."""

    place: Place
    board: EncodedStoryboard | None = None
    board_problem: str = ""
    subtitles: tuple[Subtitles, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that is not usable as a video, and why.

    `passing`: the error is temporary, and not the file's fault.
    """

    place: Place
    reason: str
    passing: bool = False
