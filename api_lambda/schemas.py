"""Schemas of request bodies, queries and responses, as they are in the OpenAPI document."""

from typing import Annotated, Literal, Self

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from api_lambda.permissions import Action, Role

MAX_TAG = 64  # characters
MAX_TAGS = 50
MAX_PLACES = 100
MAX_WAIT_S = 10
MAX_LISTED = 500
KEY_PATTERN = "^[A-Za-z0-9_-]{8,64}$"
HIGHEST_ID = (1 << 63) - 1


def _only_number(value: object) -> object:
    """Refuse strings and booleans, which pydantic would convert."""
    if isinstance(value, str | bool):
        raise ValueError("must be a number, without quotes")  # noqa: TRY004 (pydantic's way)
    return value


def _only_true(value: object) -> object:
    """Refuse 1 and the like, which pydantic would convert."""
    if value is not True:
        raise ValueError("must be true, or left out")
    return value


class RequestModel(BaseModel):
    """Base of requests: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class ResponseModel(BaseModel):
    """Base of responses."""


class Stars(RequestModel):
    """A rating."""

    stars: Annotated[int, Field(ge=1, le=5, examples=[4]), BeforeValidator(_only_number)]


class Visit(RequestModel):
    """An anonymous id of a visit: any word that stays the same during it."""

    visit: Annotated[
        str | None, Field(pattern=KEY_PATTERN, examples=["562a77b1f7b6130a7024654a5f589c3a"])
    ] = None


class Tags(RequestModel):
    """Tags, in any spelling; those of nothing but spaces and "#" are ignored."""

    tags: Annotated[
        list[Annotated[str, Field(max_length=MAX_TAG)]],
        Field(max_length=MAX_TAGS, examples=[["fjord", "winter"]]),
    ]


class Rebuild(RequestModel):
    """What to rebuild: what changed in the library, or with `full` every page, too."""

    full: Annotated[bool, Field(strict=True)] = False


class FilePlace(RequestModel):
    """Where a file is, as a problem has it."""

    root: Annotated[str, Field(description="the library folder's name, empty if there is one")]
    path: Annotated[str, Field(description="percent-encoded", examples=["Norway/fj%F8rd.mp4"])]


class Retry(RequestModel):
    """Which files to retry: all with a problem, or those at some places."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["all"]}, {"required": ["places"]}]}
    )

    all: Annotated[Literal[True], BeforeValidator(_only_true)] = True
    places: Annotated[list[FilePlace], Field(min_length=1, max_length=MAX_PLACES)] = Field(
        default_factory=list
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError('needs either "all" or "places"')
        return self


class Secret(RequestModel):
    """What `reelshelf token new` printed."""

    token: Annotated[str, Field(min_length=1, max_length=200, examples=["rs_…"])]


class LoginForm(RequestModel):
    """The same as a form, and where to go from there."""

    token: Annotated[str, Field(max_length=200)] = ""
    next: Annotated[str, Field(max_length=4000)] = ""


class Since(RequestModel):
    """The version after which changes are wanted."""

    since: Annotated[int | None, Field(ge=0, le=HIGHEST_ID)] = None


class After(RequestModel):
    """The cursor of a list."""

    after: Annotated[str, Field(pattern="^[A-Za-z0-9_-]*$", description="`next` of a page")] = ""


class ListQuery(RequestModel):
    """A part of the list of videos."""

    after: Annotated[int, Field(ge=0, le=HIGHEST_ID, description="only videos with higher ids")] = 0
    limit: Annotated[int, Field(ge=1, le=MAX_LISTED, description="maximum number")] = 100


class Wait(RequestModel):
    """How many seconds to wait."""

    wait: Annotated[float, Field(ge=0, le=MAX_WAIT_S, allow_inf_nan=False)] = 0.0


class RandomQuery(RequestModel):
    """The videos to choose from."""

    tag: Annotated[str | None, Field(max_length=MAX_TAG, description="one of its tags")] = None
    favorite: Annotated[bool, Field(description="only favorites of the owner")] = False
    stars: Annotated[
        int, Field(ge=0, le=5, description="at least this many stars from the owner")
    ] = 0


class OldRequest(BaseModel):
    """Base of what scripts of a former server send: unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore")


class OldVideo(OldRequest):
    """A video, by its bare file name or its number."""

    filename: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1024,
            validation_alias=AliasChoices("filename", "video", "video_id"),
            examples=["My film.mp4"],
        ),
        BeforeValidator(lambda value: str(value) if type(value) is int else value),
    ]


class OldStars(OldRequest):
    """A rating of a former server's script; 0 removes it."""

    rating: Annotated[int, Field(ge=0, le=5, examples=[4])]


class OldRating(OldVideo, OldStars):
    """A video and its rating."""


class OldTag(OldVideo):
    """A video and a tag of it, with or without "#"."""

    tag: Annotated[str, Field(min_length=1, max_length=MAX_TAG, examples=["#winter"])]


class OldFavorite(OldVideo):
    """A video, and whether it is to be a favorite; without: the opposite of what it is."""

    favorite: bool | None = None


class OldVideoQuery(OldRequest):
    """The video that is asked about."""

    filename: Annotated[str, Field(min_length=1, max_length=1024, examples=["My film.mp4"])]


class OldTagsQuery(OldRequest):
    """How many tags are asked for."""

    limit: Annotated[int, Field(ge=1, le=MAX_LISTED)] = 20


class OldOutcome(ResponseModel):
    """What an old call did; what is not known before a queue is left out."""

    success: Literal[True]
    filename: str
    rating: Annotated[int | None, Field(ge=0, le=5, examples=[4])] = None
    views: int | None = None
    favorite: bool | None = None
    tags: list[str] | None = Field(None, description='with "#"')


class OldRatingShown(ResponseModel):
    """The rating of a video; 0 for none."""

    filename: str
    rating: Annotated[int, Field(ge=0, le=5)]
    average: Annotated[float, Field(ge=0, le=5)]
    count: Annotated[int, Field(ge=0)]


class OldViewsShown(ResponseModel):
    """How often a video was viewed."""

    filename: str
    views: int


class OldTagCount(ResponseModel):
    """A tag and the number of its videos."""

    tag: Annotated[str, Field(description='with "#"')]
    count: int


class OldTagsShown(ResponseModel):
    """The tags of most videos."""

    tags: list[OldTagCount]


class Mean(ResponseModel):
    """The mean of the visitors' votes, pulled toward that of the whole library."""

    mean: Annotated[float, Field(ge=1, le=5, examples=[3.9])]
    votes: Annotated[int, Field(ge=1, examples=[12])]


class VideoFigures(ResponseModel):
    """The stats of a video; `stars` and `favorite` are the owner's."""

    id: Annotated[int, Field(examples=[17])]
    version: Annotated[int, Field(description="the number of its last event", examples=[812])]
    stars: Annotated[int | None, Field(ge=1, le=5, examples=[4])]
    rating: Mean | None
    views: Annotated[int, Field(ge=0, examples=[1234])]
    favorite: bool
    tags: Annotated[list[str], Field(examples=[["fjord", "winter"]])]


class You(ResponseModel):
    """The caller's role, permissions, and own rating."""

    role: Role
    may: list[Action]
    stars: Annotated[int | None, Field(ge=1, le=5)]
    favorite: bool


class VideoShown(VideoFigures):
    """A video, its stats, and the caller's part in them."""

    title: str
    url: Annotated[str, Field(examples=["/watch/fjord-17.html"])]
    you: You


class ListedChapter(ResponseModel):
    """A chapter of a video."""

    start_s: Annotated[float, Field(ge=0, examples=[83.5])]
    title: str


class ListedSubtitles(ResponseModel):
    """Subtitles of a video."""

    language: Annotated[str, Field(description="a language tag, or empty", examples=["de"])]
    label: str


class ListedVideo(ResponseModel):
    """What pages show of a video, and its exact stats; `stars` and `favorite` are the owner's."""

    id: Annotated[int, Field(examples=[17])]
    root: Annotated[str, Field(description="the library folder's name, empty if there is one")]
    path: Annotated[
        str, Field(description="below the root; bytes that are not UTF-8 are U+FFFD, see `file`")
    ]
    file: Annotated[str, Field(description="URL of the file", examples=["/video/fj%F8rd.mp4"])]
    title: str
    recorded: Annotated[str, Field(examples=["2024-05-01T14:00:00+02:00"])]
    added: Annotated[str, Field(examples=["2026-11-23T10:00:00Z"])]
    duration_s: Annotated[float | None, Field(examples=[245.12])]
    size_bytes: int
    description: Annotated[str, Field(description="as the page shows it, without markup")]
    tags: Annotated[list[str], Field(examples=[["fjord", "winter"]])]
    chapters: list[ListedChapter]
    subtitles: list[ListedSubtitles]
    plays: Annotated[
        list[str] | None,
        Field(description="families of browsers that are sure to play it; null: unknown"),
    ]
    watch: Annotated[str, Field(examples=["/watch/fjord-17.html"])]
    next: Annotated[str | None, Field(description="page of the next video; null at the end")]
    stars: Annotated[int | None, Field(ge=1, le=5, examples=[4])]
    favorite: bool
    rating: Mean | None
    views: Annotated[int, Field(ge=0, examples=[1234])]


class VideoList(ResponseModel):
    """A part of the videos that have pages, ascending by id."""

    videos: list[ListedVideo]
    after: Annotated[int | None, Field(description="`after` of the next part; null at the end")]


class QueuedYou(ResponseModel):
    """The caller's role, permissions, and own rating, where that is known."""

    role: Role
    may: list[Action]
    stars: Annotated[int | None, Field(ge=1, le=5)] = None
    favorite: bool = False


class QueuedVideo(ResponseModel):
    """A video, as far as it is known: its stats are all there, or none of them."""

    id: Annotated[int, Field(examples=[17])]
    version: Annotated[int, Field(description="the number of its last event", examples=[812])] = 0
    stars: Annotated[int | None, Field(ge=1, le=5, examples=[4])] = None
    rating: Mean | None = None
    views: Annotated[int, Field(ge=0, examples=[1234])] = 0
    favorite: bool = False
    tags: Annotated[list[str], Field(examples=[["fjord", "winter"]])] = []
    you: QueuedYou


class EventRecorded(ResponseModel):
    """An event that is on the disk; a retry with its id returns the same."""

    event: Annotated[str, Field(examples=["562a77b1f7b6130a7024654a5f589c3a"])]
    seq: Annotated[int, Field(description="its number", examples=[812])]
    at: Annotated[str, Field(examples=["2026-11-23T10:00:00Z"])]
    video: VideoFigures
    receipt: Annotated[str, Field(description="path that returns whether pages show it")]


class Accepted(ResponseModel):
    """A request for work that is on the disk."""

    event: str
    seq: int
    receipt: str


class Queued(ResponseModel):
    """An event that is in the queue; a retry with its id counts once all the same."""

    event: Annotated[str, Field(examples=["562a77b1f7b6130a7024654a5f589c3a"])]
    at: Annotated[str, Field(examples=["2026-11-23T10:00:00Z"])]
    state: Literal["queued"]


class RenderReceipt(ResponseModel):
    """Whether pages show an event, and the receipt of the build that wrote them."""

    event: str
    seq: int
    state: Literal["waiting", "shown"]
    refresh: dict[str, object] | None


class ChangedVideos(ResponseModel):
    """What changed; `complete` is false after too many changes, or without `since`."""

    version: int
    complete: bool
    videos: list[VideoFigures]


class FileProblemEntry(ResponseModel):
    """A file that is not, or not completely, shown, and why."""

    root: Annotated[str, Field(description="the library folder's name, empty if there is one")]
    path: Annotated[str, Field(description="percent-encoded", examples=["Norway/fj%F8rd.mp4"])]
    name: Annotated[str, Field(description="both, for people", examples=["Norway/fj\ufffdrd.mp4"])]
    stage: Annotated[str, Field(description="what found it", examples=["probe"])]
    reason: Annotated[str, Field(examples=["holds no video"])]
    at: Annotated[str, Field(examples=["2026-11-23T10:00:00Z"])]


class FileProblemList(ResponseModel):
    """A part of the files that are not, or not completely, shown; `next` where there are more."""

    total: Annotated[int, Field(ge=0, description="how many there are")]
    problems: list[FileProblemEntry]
    next: Annotated[str | None, Field(description="`after` of the next part")]


class RandomVideo(ResponseModel):
    """A random video."""

    id: int
    title: str
    url: str


class SessionState(ResponseModel):
    """The caller's role and permissions."""

    role: Role
    may: list[Action]


def _flag(value: object) -> object:
    """Take `?full` for `?full=true`."""
    return True if value == "" else value


class HealthQuery(RequestModel):
    """Which health: of the API, or with `full` of the whole site."""

    full: Annotated[
        bool,
        Field(description="check the builder, the disk and the backup, too"),
        BeforeValidator(_flag),
    ] = False


class CatalogueHealth(ResponseModel):
    """The catalogue can be read; the number of its last event."""

    status: Literal["ok"]
    last_event: int


class AdminStats(ResponseModel):
    """All figures; see docs/howto/monitor.md. Times are in the unit of their name."""

    at: int
    processes: int
    requests: dict[str, object]
    cache: dict[str, object]
    minutes: dict[str, object]
    build: dict[str, object]
    events: dict[str, object]
    problems: int
    watch: dict[str, object] | None
    system: dict[str, object]
    disk: dict[str, object]
    backup_at: int | None


class QueuedStats(ResponseModel):
    """The figures of an API before a queue: requests by route, and the queue's depth."""

    processes: int
    routes: list[dict[str, object]]
    queue: dict[str, object] | None


class CacheState(ResponseModel):
    """What is cached: videos in this process, figures of all, and what the builder keeps."""

    read_cache: dict[str, object]
    all_processes: dict[str, object]
    site: dict[str, object]


class TokenToRevoke(RequestModel):
    """The id of a token."""

    token: Annotated[str, Field(pattern="^[0-9a-f]{1,64}$")]


class Health(ResponseModel):
    """The API can accept writes, as far as it can know."""

    status: Literal["ok"]


class FieldProblem(ResponseModel):
    """What is wrong with one field."""

    field: str
    message: str


class ProblemDetails(ResponseModel):
    """Why a request was refused (RFC 9457)."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
    errors: Annotated[list[FieldProblem] | None, Field(description="of a body or a query")] = None
    request_id: Annotated[str | None, Field(description="by which the log has the request")] = None
