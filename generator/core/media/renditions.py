"""Renditions: the rules for playable copies, chunks, timestamps, and the encoder's protocol.

Pure rules only: files are read, encoded and written elsewhere. Messages of the encoder process are
validated as strictly as a file, for a malicious video may have taken it over.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

from generator.core.media.stills import Size, fit
from generator.core.media.worker_protocol import ProtocolError
from generator.core.model import Place, Probe, Rejected

REMUX, TRANSCODE = "remux", "transcode"
MP4, WEBM = "mp4", "webm"

PRESET, CRF = "veryfast", 21  # x264's; measured in docs/adr/0011-renditions.md
KEY_EVERY_S = 3
SOUND_BPS, SOUND_HZ = 160_000, 48_000
CHUNK_S = 60.0
FRAGMENT_S = 6  # of HLS, or the next key frame after it
FRAGMENT_MOST_S = 20  # where there is none: a fragment is in memory until it is written
PREROLL_S = 1.0  # decoded before a chunk begins, for frames that depend on earlier ones

PLAN, SURVEY, LOOK, SOUND, MADE, LOCK = (
    "plan.json", "survey.json", "look.json", "sound.mp4", "made.json", "lock",
)  # fmt: skip
UNFINISHED = "unfinished-"  # begins the name of a file that is being written
_JOB_FILES = frozenset({PLAN, SURVEY, LOOK, SOUND, MADE, LOCK, "result.mp4", "result.webm"})
_CHUNK = re.compile(r"[0-9]{6,}\.(?:mp4|json)")

_BOX = Size(1920, 1080)
_COPY_BOX = Size(4096, 2304)  # the largest H.264 that decoders in browsers and phones take
_PICTURES = {MP4: {"h264", "hevc", "av1", "vp9"}, WEBM: {"vp8", "vp9", "av1"}}
_SOUNDS = {MP4: {"aac", "mp3", "opus", "flac"}, WEBM: {"opus", "vorbis"}}
_PLAIN_FORMATS = {"yuv420p", "yuvj420p"}

_PEAK_BPS, _PEAK_AT_PX_S = 8_000_000, 1920 * 1080 * 30
_PEAK_POWER = 0.75  # twice the pixels do not need twice the bits
_MIN_PEAK_BPS, _MAX_PEAK_BPS = 300_000, 12_000_000
_USUAL_FPS, _MAX_FPS = 30.0, 60.0
_SLACK_BYTES = 64 << 20
_MAX_GROWTH = 4  # of a file whose duration is unknown, or wrong

_BACKWARDS_US, _FORWARDS_US = 1_000_000, 10_000_000
_MAX_REORDER = 16  # frames; no codec holds back more

_JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DIGEST = re.compile(r"[0-9a-f]{12}")
_MAX_LINE_BYTES = 8192
_MAX_FRAGMENTS = 65_535  # as many as an index of fragments can hold


@dataclass(frozen=True, slots=True)
class RenditionRequest:
    """Make a playable copy of `file`, a path in the file system, at `place` in the library.

    `made_by` is REMUX (nothing is re-encoded) or TRANSCODE; `container` is MP4 or, for a remux,
    WEBM. `is_hls`: the MP4 is fragmented, for a playlist. `job` is the name of the work folder, so
    that the job can be resumed.

    Raises:
        ValueError: there is no such copy, or the job is not a valid name of a folder.
    """

    place: Place
    file: str
    made_by: str
    container: str
    is_hls: bool
    job: str

    def __post_init__(self) -> None:
        if self.made_by not in {REMUX, TRANSCODE} or self.container not in {MP4, WEBM}:
            raise ValueError(f"no copy is made by {self.made_by!r} into {self.container!r}")
        if self.container == WEBM and (self.is_hls or self.made_by == TRANSCODE):
            raise ValueError("WebM is for a remux without HLS")
        if not is_job(self.job):
            raise ValueError(f"{self.job!r} is not a valid name of a job folder")


@dataclass(frozen=True, slots=True)
class RenditionProgress:
    """The progress of a copy, in seconds of video; `total_s` is None if the duration is unknown.

    `size_bytes` is what was written so far.
    """

    done_s: float
    total_s: float | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Mp4Fragment:
    """A fragment of an MP4, to be requested by byte range; it plays for `length_s`."""

    start_byte: int
    size_bytes: int
    length_s: float


@dataclass(frozen=True, slots=True)
class FinishedRendition:
    """The properties of a finished copy.

    `digest` is `Output.digest_name` of its content. `codecs` are as `Probe` has them. `made_by` is
    what was done in the end: REMUX only if every stream is unchanged. `head_bytes` and `fragments`
    are for a playlist: 0 and () without one. `complaint` says what of the source is missing in it,
    "" for nothing.
    """

    digest: str
    size_bytes: int
    codecs: str
    made_by: str
    head_bytes: int = 0
    fragments: tuple[Mp4Fragment, ...] = ()
    complaint: str = ""


@dataclass(frozen=True, slots=True)
class DiskFull(Rejected):
    """The disk is too full for a copy; the file is fine, and can be retried."""


# -- choices


def is_job(name: str) -> bool:
    """Return whether a name is safe for a job folder."""
    return _JOB.fullmatch(name) is not None


def holds_picture(container: str, codec: str) -> bool:
    """Return whether browsers play this video codec (FFmpeg's name) in this container."""
    return codec in _PICTURES[container]


def holds_sound(container: str, codec: str) -> bool:
    """Return whether browsers play this audio codec (FFmpeg's name) in this container."""
    return codec in _SOUNDS[container]


def keeps_picture(codec: str, pixel_format: str, size: Size) -> bool:
    """Return whether a transcode copies the video and encodes only the audio.

    Args:
        codec: FFmpeg's name, as `pixel_format` is.
        pixel_format: "" where unknown.
        size: as coded or as displayed.
    """
    if codec != "h264" or pixel_format not in _PLAIN_FORMATS:
        return False
    return fit(size, _lying_as(size, _COPY_BOX)) == size


def picture_size(displayed: Size) -> Size:
    """Return the frame size of a transcode: within 1080p, portrait or landscape, sides even."""
    fitted = fit(displayed, _lying_as(displayed, _BOX))
    return Size(_even(fitted.width_px), _even(fitted.height_px))


def filled(displayed: Size, frame: Size) -> Size:
    """Return the largest size with the aspect of `displayed` within `frame`, its sides even."""
    grow = min(frame.width_px / displayed.width_px, frame.height_px / displayed.height_px)
    return Size(
        min(frame.width_px, _even(round(displayed.width_px * grow))),
        min(frame.height_px, _even(round(displayed.height_px * grow))),
    )


def _lying_as(size: Size, box: Size) -> Size:
    return box.turned() if size.height_px > size.width_px else box


def _even(side: int) -> int:
    return max(2, side - side % 2)


def peak_bps(size: Size, fps: float | None) -> int:
    """Return the peak bitrate of the video."""
    rate = size.width_px * size.height_px * min(fps or _USUAL_FPS, _MAX_FPS)
    peak = _PEAK_BPS * math.pow(rate / _PEAK_AT_PX_S, _PEAK_POWER)
    return round(min(max(peak, _MIN_PEAK_BPS), _MAX_PEAK_BPS))


# -- disk use


def estimate_bytes(probe: Probe, size_bytes: int, made_by: str) -> int:
    """Return about how large a copy will be; a transcode is rarely larger.

    Args:
        probe: of the source.
        size_bytes: how large the source is.
        made_by: REMUX or TRANSCODE.
    """
    size = Size(probe.width_px or _BOX.width_px, probe.height_px or _BOX.height_px)
    is_copied = made_by == REMUX or keeps_picture(
        probe.video_codec or "", probe.pixel_format or "", size
    )
    if is_copied or probe.duration_s is None:
        return size_bytes
    # The peak is seldom reached for long: real videos take about half of it.
    bits = (peak_bps(picture_size(size), probe.fps) / 2 + SOUND_BPS) * probe.duration_s
    return math.ceil(bits / 8)


def scratch_bytes(expected_bytes: int, made_by: str) -> int:
    """Return the peak disk use of a job: chunks and result exist side by side.

    Args:
        expected_bytes: by `estimate_bytes`.
        made_by: REMUX or TRANSCODE.
    """
    return expected_bytes if made_by == REMUX else 2 * expected_bytes


def max_rendition_bytes(expected_bytes: int, source_bytes: int, bound_bytes: int) -> int:
    """Return how large a file a job may write before it is stopped."""
    limit_bytes = max(2 * expected_bytes, _MAX_GROWTH * source_bytes) + _SLACK_BYTES
    return min(limit_bytes, bound_bytes)


# -- chunks


def chunk_of(time_s: float, chunk_s: float, chunks: int) -> int:
    """Return the number of the chunk that a frame belongs to, at most the last of `chunks`."""
    return min(max(0, math.floor(time_s / chunk_s)), chunks - 1)


def chunks_of(end_s: float, chunk_s: float) -> int:
    """Return into how many chunks a video is split, at least one."""
    return max(1, math.ceil(end_s / chunk_s))


def first_packets(
    keys: Iterable[tuple[float, int]], chunk_s: float, chunks: int
) -> tuple[int, ...]:
    """Return for each chunk the number of the packet from which to decode it.

    It is the last key frame that is shown long enough before the chunk begins, or else the very
    first packet.

    Args:
        keys: (presentation time, packet number) of each key frame; the numbers ascend.
        chunk_s: how long a chunk is.
        chunks: how many there are.
    """
    latest = [0] * chunks
    for shown_s, number in keys:
        chunk = max(1, math.ceil((shown_s + PREROLL_S) / chunk_s))  # the first has it before
        if chunk < chunks:
            latest[chunk] = number
    return tuple(accumulate(latest, max))


def chunk_file(number: int) -> str:
    """Return the name of a chunk's video."""
    return f"{number:06d}.mp4"


def chunk_note(number: int) -> str:
    """Return the name of the file that marks a chunk as finished."""
    return f"{number:06d}.json"


def result_file(container: str) -> str:
    """Return the name of the finished copy in its job folder."""
    return f"result.{container}"


def is_job_file(name: str) -> bool:
    """Return whether a file in a job folder may be of a rendition job, by its name."""
    own = name.removeprefix(UNFINISHED)
    return own in _JOB_FILES or _CHUNK.fullmatch(own) is not None


def decode_times(shown: Sequence[int]) -> list[int]:
    """Return the decode timestamps of packets, given their presentation timestamps.

    Chunks were encoded separately, each with a clock of its own; concatenated, their decode times
    would overlap wherever the frame rate varies.

    Args:
        shown: presentation timestamps in decode order, all different.

    Returns:
        Ascending, none later than it is shown.

    Raises:
        ValueError: packets are out of order beyond what any decoder can hold.
    """
    ascending = sorted(shown)
    for delay in range(min(_MAX_REORDER, len(shown)) + 1):
        if all(early <= late for early, late in zip(ascending, shown[delay:], strict=False)):
            return _delayed(ascending, delay)
    raise ValueError("packets are out of order")


def _delayed(ascending: list[int], delay: int) -> list[int]:
    if delay == 0:
        return ascending
    if delay < len(ascending):
        lead = ascending[delay] - ascending[0]
    else:
        lead = ascending[-1] - ascending[0] + 1
    return [time - lead for time in ascending[:delay]] + ascending[: len(ascending) - delay]


def times_before(decoded: int, lasts: Sequence[int]) -> list[int]:
    """Return the decode timestamps of packets before the first one that has one.

    Args:
        decoded: the timestamp of that one.
        lasts: the duration of each before it, 0 where unknown.
    """
    times: list[int] = []
    for last in reversed(lasts):
        decoded -= max(1, last)
        times.append(decoded)
    return times[::-1]


# -- broken timestamps


class TimestampFixer:
    """Makes timestamps continuous in a file that was joined from recordings with separate clocks.

    A step back, or far ahead in a format that may be cut anywhere, moves all that follows. The
    result depends only on the packets so far, in their order.

    Args:
        may_jump: whether the format's clock may leap ahead without anything missing.
    """

    def __init__(self, *, may_jump: bool) -> None:
        self._may_jump = may_jump
        self._offset_us = 0
        self._expected_us: dict[int, int] = {}
        self.breaks = 0

    def offset_us(self, stream: int, decoded_us: int, length_us: int) -> int:
        """Return what to add to the timestamps of a packet.

        Args:
            stream: the index of its stream.
            decoded_us: its decode timestamp in the file.
            length_us: its duration in the file, 0 where unknown.
        """
        expected_us = self._expected_us.get(stream)
        fixed_us = decoded_us + self._offset_us
        if expected_us is not None and self._is_break(fixed_us - expected_us):
            self._offset_us -= fixed_us - expected_us
            fixed_us = expected_us
            self.breaks += 1
        self._expected_us[stream] = fixed_us + max(0, length_us)
        return self._offset_us

    def _is_break(self, step_us: int) -> bool:
        if step_us < -_BACKWARDS_US:
            return True
        return (self._may_jump or self.breaks > 0) and step_us > _FORWARDS_US


class MonotonicTimestamps:
    """Makes the timestamps of one stream's packets ascending, as a muxer requires."""

    def __init__(self) -> None:
        self._last: int | None = None

    def step(self, shown: int, decoded: int) -> tuple[int, int]:
        """Return the presentation and decode timestamps of a packet; unchanged where possible."""
        if self._last is not None:
            decoded = max(decoded, self._last + 1)
        self._last = decoded
        return max(shown, decoded), decoded


class FrameClock:
    """Gives every decoded frame a timestamp of its own, in ticks; None for one that is too late.

    Args:
        step: the default duration of a frame, at least 1 tick.
    """

    def __init__(self, step: int) -> None:
        self._step = step
        self._last: int | None = None
        self._lasts = 0

    def time_of(self, declared: int | None, lasts: int) -> int | None:
        """Return when a frame is shown; `lasts` is its duration, 0 where unknown."""
        time = declared
        if time is None:
            time = 0 if self._last is None else self._last + (self._lasts or self._step)
        if self._last is not None and time <= self._last:
            return None
        self._last, self._lasts = time, max(0, lasts)
        return time


# -- playlists


def playlist(finished: FinishedRendition, name: str) -> str:
    """Return the HLS playlist for the copy `name` beside it; segments are byte ranges.

    Args:
        finished: with fragments.
        name: plain ASCII without quotes, as `urls.rendition_files` returns it.
    """
    longest_s = max(math.ceil(fragment.length_s) for fragment in finished.fragments)
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{longest_s}",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        f'#EXT-X-MAP:URI="{name}",BYTERANGE="{finished.head_bytes}@0"',
    ]
    for fragment in finished.fragments:
        lines.append(f"#EXTINF:{fragment.length_s:.6f},")
        lines.append(f"#EXT-X-BYTERANGE:{fragment.size_bytes}@{fragment.start_byte}")
        lines.append(name)
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


# -- protocol


@dataclass(frozen=True, slots=True)
class HeartbeatMessage:
    """A heartbeat; work was done since the last one if `effort` has grown."""

    effort: int
    progress: RenditionProgress


@dataclass(frozen=True, slots=True)
class FinalMessage:
    """The last message: `verdict` is "made", "refused" or "full"; a file describes what was made.

    The first message is a `HeartbeatMessage`, before anything of the source was read.
    """

    verdict: str
    reason: str = ""


def pack_line(message: HeartbeatMessage | FinalMessage) -> bytes:
    """Return a message as a line of JSON."""
    if isinstance(message, FinalMessage):
        fields: dict[str, object] = {"verdict": message.verdict, "reason": message.reason[:1000]}
    else:
        fields = {"effort": message.effort, **asdict(message.progress)}
    return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"


def unpack_line(line: bytes) -> HeartbeatMessage | FinalMessage:
    """Return the message in a line.

    Raises:
        ProtocolError: it is not of this protocol.
    """
    fields = _object(line, _MAX_LINE_BYTES)
    if "verdict" in fields:
        verdict = _take(fields, "verdict", str)
        if verdict not in {"made", "refused", "full"}:
            raise ProtocolError(f"unknown verdict {verdict!r}")
        return FinalMessage(verdict, _take(fields, "reason", str))
    total_s = None if fields.get("total_s") is None else _number(fields, "total_s")
    progress = RenditionProgress(_number(fields, "done_s"), total_s, _count(fields, "size_bytes"))
    return HeartbeatMessage(_count(fields, "effort"), progress)


def pack_rendition_request(request: RenditionRequest) -> bytes:
    """Return a request as a line of JSON."""
    return json.dumps(asdict(request), separators=(",", ":")).encode("ascii") + b"\n"


def unpack_rendition_request(line: bytes) -> RenditionRequest:
    """Return the request in a line.

    Raises:
        ProtocolError: it is not a request.
    """
    fields = _object(line, 1 << 20)
    place = _take(fields, "place", dict)
    try:
        return RenditionRequest(
            Place(_take(place, "root", str), _take(place, "path", str)),
            _take(fields, "file", str),
            _take(fields, "made_by", str),
            _take(fields, "container", str),
            _take(fields, "is_hls", bool),
            _take(fields, "job", str),
        )
    except ValueError as error:
        raise ProtocolError(str(error)) from error


def pack_finished(finished: FinishedRendition) -> bytes:
    """Return the content of the file that describes a finished copy."""
    fields = asdict(finished)
    fields["fragments"] = [
        [one.start_byte, one.size_bytes, one.length_s] for one in finished.fragments
    ]
    return json.dumps(fields, separators=(",", ":")).encode("ascii")


def unpack_finished(content: bytes, *, is_hls: bool) -> FinishedRendition:
    """Return the finished copy that a file describes.

    Args:
        content: from `pack_finished`, or anything else.
        is_hls: whether there must be fragments.

    Raises:
        ProtocolError: it is malformed, or inconsistent.
    """
    fields = _object(content, 64 * _MAX_FRAGMENTS)
    finished = FinishedRendition(
        _take(fields, "digest", str),
        _count(fields, "size_bytes"),
        _take(fields, "codecs", str),
        _take(fields, "made_by", str),
        _count(fields, "head_bytes"),
        tuple(_fragment(row) for row in _take(fields, "fragments", list)),
        _take(fields, "complaint", str),
    )
    if not _DIGEST.fullmatch(finished.digest) or finished.made_by not in {REMUX, TRANSCODE}:
        raise ProtocolError("invalid digest or way of making")
    if is_hls != bool(finished.fragments):
        raise ProtocolError("it is not fragmented as requested")
    at = finished.head_bytes
    for fragment in finished.fragments:
        if fragment.start_byte < at:
            raise ProtocolError("fragments overlap")
        at = fragment.start_byte + fragment.size_bytes
    if at > finished.size_bytes:
        raise ProtocolError("fragments reach beyond the end")
    return finished


def _fragment(row: object) -> Mp4Fragment:
    match row:
        case [int(start), int(size), int() | float() as length] if size > 0 < start and length >= 0:
            return Mp4Fragment(start, size, float(length))
        case _:
            raise ProtocolError("invalid fragment")


def _object(text: bytes, limit_bytes: int) -> dict[str, Any]:
    if len(text) > limit_bytes:
        raise ProtocolError("the message is too long")
    try:
        fields = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("not JSON") from error
    if not isinstance(fields, dict):
        raise ProtocolError("not an object")
    return fields


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ProtocolError(f"{text} is not a finite number")
    return number


def _take(fields: Mapping[str, Any], name: str, kind: type) -> Any:  # noqa: ANN401
    value = fields.get(name)
    if not isinstance(value, kind):
        raise ProtocolError(f"{name} is missing or of another type")
    return value


def _number(fields: Mapping[str, Any], name: str) -> float:
    value = fields.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e12:  # noqa: PLR2004 - absurd
        raise ProtocolError(f"{name} is not a valid number")
    return float(value)


def _count(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise ProtocolError(f"{name} is not a valid count")
    return value
