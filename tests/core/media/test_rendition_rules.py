"""Renditions: sizes fit, chunks hold every frame once, clocks are mended and words are checked."""

import json
import math
import re
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.core.media.renditions import (
    MP4,
    PREROLL_S,
    REMUX,
    SOUND_BPS,
    TRANSCODE,
    WEBM,
    FinalMessage,
    FinishedRendition,
    FrameClock,
    HeartbeatMessage,
    MonotonicTimestamps,
    Mp4Fragment,
    RenditionProgress,
    RenditionRequest,
    TimestampFixer,
    chunk_of,
    chunks_of,
    decode_times,
    estimate_bytes,
    filled,
    first_packets,
    is_job,
    keeps_picture,
    max_rendition_bytes,
    pack_finished,
    pack_line,
    pack_rendition_request,
    peak_bps,
    picture_size,
    playlist,
    scratch_bytes,
    times_before,
    unpack_finished,
    unpack_line,
    unpack_rendition_request,
)
from generator.core.media.stills import Size
from generator.core.media.worker_protocol import ProtocolError
from generator.core.model import Place, Probe

sides = st.integers(1, 20_000)
sizes = st.builds(Size, sides, sides)
rates = st.none() | st.floats(0.1, 240)
lengths = st.floats(0.05, 86_400)
PLACE = Place("films", "a/b.mkv")


# -- choices


@given(size=sizes)
def test_a_transcode_is_even_within_1080p_and_never_enlarged(size: Size) -> None:
    made = picture_size(size)

    assert made.width_px % 2 == made.height_px % 2 == 0
    assert max(made.width_px, made.height_px) <= 1920
    assert min(made.width_px, made.height_px) <= 1080
    assert made.width_px <= max(2, size.width_px)
    assert made.height_px <= max(2, size.height_px)


@given(size=sizes)
def test_what_stands_upright_stands_upright_in_the_copy(size: Size) -> None:
    assert picture_size(size.turned()) == picture_size(size).turned()


@pytest.mark.parametrize(
    ("size", "made"),
    [
        (Size(1920, 1080), Size(1920, 1080)),
        (Size(3840, 2160), Size(1920, 1080)),
        (Size(2160, 3840), Size(1080, 1920)),
        (Size(1440, 1080), Size(1440, 1080)),
        (Size(101, 67), Size(100, 66)),
        (Size(1, 1), Size(2, 2)),
    ],
)
def test_usual_sizes_become_what_people_expect(size: Size, made: Size) -> None:
    assert picture_size(size) == made


@given(size=sizes, frame=st.builds(Size, st.integers(1, 960), st.integers(1, 540)))
def test_another_shape_fills_the_frame_as_far_as_it_can(size: Size, frame: Size) -> None:
    frame = Size(frame.width_px * 2, frame.height_px * 2)

    made = filled(size, frame)

    assert made.width_px % 2 == made.height_px % 2 == 0
    assert made.width_px <= frame.width_px
    assert made.height_px <= frame.height_px
    assert made.width_px >= frame.width_px - 2 or made.height_px >= frame.height_px - 2


@given(size=sizes)
def test_the_size_of_a_copy_is_its_own_shape(size: Size) -> None:
    made = picture_size(size)

    assert filled(made, made) == made


def test_only_a_picture_that_browsers_play_is_kept_in_a_transcode() -> None:
    size = Size(1920, 1080)

    assert keeps_picture("h264", "yuv420p", size)
    assert keeps_picture("h264", "yuvj420p", Size(2160, 3840))
    assert not keeps_picture("h264", "yuv420p10le", size)
    assert not keeps_picture("h264", "", size)
    assert not keeps_picture("hevc", "yuv420p", size)
    assert not keeps_picture("h264", "yuv420p", Size(7680, 4320))


@given(size=sizes, fps=rates)
def test_a_peak_is_within_what_a_household_can_stream(size: Size, fps: float | None) -> None:
    assert 300_000 <= peak_bps(size, fps) <= 12_000_000


# -- disk use


@given(size_bytes=st.integers(1, 1 << 45), width=sides, height=sides, fps=rates, length=lengths)
def test_no_honest_transcode_is_stopped_for_its_size(
    size_bytes: int, width: int, height: int, fps: float | None, length: float
) -> None:
    probe = Probe("avi", length, width, height, fps, "mpeg4", "mp3", pixel_format="yuv420p")
    worst_bytes = (peak_bps(picture_size(Size(width, height)), fps) + SOUND_BPS) * length / 8

    expected = estimate_bytes(probe, size_bytes, TRANSCODE)

    assert max_rendition_bytes(expected, size_bytes, 1 << 60) >= worst_bytes
    assert expected <= worst_bytes + 1
    assert scratch_bytes(expected, TRANSCODE) == 2 * expected


@given(size_bytes=st.integers(0, 1 << 45))
def test_what_is_copied_stays_as_large_as_it_is(size_bytes: int) -> None:
    film = Probe("avi", 60.0, 640, 360, 25.0, "h264", "ac3", pixel_format="yuv420p")
    endless = Probe("mpegts", None, 640, 360, 25.0, "mpeg2video", "mp2")

    assert estimate_bytes(film, size_bytes, REMUX) == size_bytes
    assert estimate_bytes(film, size_bytes, TRANSCODE) == size_bytes
    assert estimate_bytes(endless, size_bytes, TRANSCODE) == size_bytes
    assert scratch_bytes(size_bytes, REMUX) == size_bytes


def test_a_bound_holds_whatever_is_expected() -> None:
    assert max_rendition_bytes(1 << 40, 1 << 40, 1 << 30) == 1 << 30


# -- chunks


@given(end=lengths, chunk_s=st.floats(0.5, 600), share=st.floats(0, 1))
def test_every_frame_belongs_to_one_chunk(end: float, chunk_s: float, share: float) -> None:
    chunks = chunks_of(end, chunk_s)
    time = end * share

    number = chunk_of(time, chunk_s, chunks)

    assert 0 <= number < chunks
    assert number * chunk_s <= time
    assert time < (number + 1) * chunk_s or number == chunks - 1


@given(
    keys=st.lists(st.floats(-2, 100), max_size=30),
    chunk_s=st.floats(0.5, 60),
    chunks=st.integers(1, 20),
)
def test_a_chunk_is_decoded_from_the_last_key_well_before_it(
    keys: list[float], chunk_s: float, chunks: int
) -> None:
    numbered = [(shown_s, 10 * number) for number, shown_s in enumerate(keys)]

    firsts = first_packets(numbered, chunk_s, chunks)

    assert firsts[0] == 0
    for chunk, first in list(enumerate(firsts))[1:]:
        due_s = chunk * chunk_s - PREROLL_S
        early = [number for shown_s, number in numbered if shown_s <= due_s - 1e-6]
        at_most = [number for shown_s, number in numbered if shown_s <= due_s + 1e-6]
        assert max(early, default=0) <= first <= max(at_most, default=0)


@st.composite
def encoded(draw: st.DrawFn) -> list[int]:
    """Return when the packets of some chunks are shown, in the order they are decoded in."""
    shown: list[int] = []
    time = draw(st.integers(-5, 10_000))
    for _ in range(draw(st.integers(1, 4))):  # chunks: nothing is reordered across their borders
        for _ in range(draw(st.integers(1, 6))):  # groups: the last is decoded first
            steps = draw(st.lists(st.integers(1, 500), min_size=1, max_size=4))
            times = [time := time + step for step in steps]
            shown += [times[-1], *times[:-1]]
    return shown


@given(shown=encoded())
def test_decode_times_ascend_and_come_no_later_than_frames_are_shown(shown: list[int]) -> None:
    decoded = decode_times(shown)

    assert len(decoded) == len(shown)
    assert all(early < late for early, late in pairwise(decoded))
    assert all(one <= other for one, other in zip(decoded, shown, strict=True))


@given(times=st.lists(st.integers(0, 10**9), unique=True, min_size=1).map(sorted))
def test_frames_that_are_in_order_are_decoded_when_they_are_shown(times: list[int]) -> None:
    assert decode_times(times) == times


def test_packets_that_nobody_could_put_in_order_are_told() -> None:
    with pytest.raises(ValueError, match="out of order"):
        decode_times([*range(1, 40), 0])


@given(decoded=st.integers(-100, 10**6), lasts=st.lists(st.integers(0, 100), max_size=10))
def test_packets_that_do_not_say_when_come_before_the_one_that_does(
    decoded: int, lasts: list[int]
) -> None:
    times = [*times_before(decoded, lasts), decoded]

    assert [late - early for early, late in pairwise(times)] == [max(1, last) for last in lasts]


# -- clocks


def mended(pieces: list[tuple[int, int]], *, may_jump: bool, length_us: int) -> list[int]:
    mender = TimestampFixer(may_jump=may_jump)
    return [time + mender.offset_us(stream, time, length_us) for stream, time in pieces]


@given(
    steps=st.lists(st.integers(1, 9_000_000), min_size=1, max_size=50),
    jitters=st.lists(st.integers(-400_000, 400_000), min_size=50, max_size=50),
    may_jump=st.booleans(),
)
def test_a_clock_that_only_trembles_is_left_alone(
    steps: list[int], jitters: list[int], *, may_jump: bool
) -> None:
    times, time = [], 10**12
    for step, jitter in zip(steps, jitters, strict=False):
        time += step
        times.append(time + jitter)
    mender = TimestampFixer(may_jump=may_jump)

    moves = [mender.offset_us(0, time, 40_000) for time in times]

    assert set(moves) == {0}
    assert mender.breaks == 0


@given(
    starts=st.lists(st.integers(0, 26 * 3600), min_size=2, max_size=5),
    frames=st.integers(30, 80),
    lag_us=st.integers(-300_000, 300_000),
)
def test_recordings_that_were_joined_become_one_and_keep_sound_and_picture_together(
    starts: list[int], frames: int, lag_us: int
) -> None:
    length_us = 40_000
    pieces = [
        (stream, start * 1_000_000 + number * length_us + (lag_us if stream else 0))
        for start in starts
        for number in range(frames)
        for stream in (0, 1)
    ]

    times = mended(pieces, may_jump=True, length_us=length_us)

    pictures, sounds = times[0::2], times[1::2]
    for stream in (pictures, sounds):
        gaps = [late - early for early, late in pairwise(stream)]
        assert all(-1_000_000 <= gap <= 10_000_000 + length_us for gap in gaps)
    lags = [sound - picture for picture, sound in zip(pictures, sounds, strict=True)]
    joins = {number * frames for number in range(1, len(starts))}
    settled = [lag for number, lag in enumerate(lags) if number not in joins]
    assert all(abs(lag - lag_us) <= abs(lag_us) + length_us for lag in settled)


def test_a_long_pause_in_a_format_without_leaps_is_a_pause() -> None:
    slides = [(0, number * 60_000_000) for number in range(10)]

    assert mended(slides, may_jump=False, length_us=0) == [time for _, time in slides]


@given(
    packets=st.lists(
        st.tuples(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6)), max_size=40
    )
)
def test_a_muxer_takes_what_came_down_a_ladder(packets: list[tuple[int, int]]) -> None:
    ladder = MonotonicTimestamps()

    steps = [ladder.step(shown, decoded) for shown, decoded in packets]

    assert all(decoded <= shown for shown, decoded in steps)
    assert all(early[1] < late[1] for early, late in pairwise(steps))


@given(times=st.lists(st.integers(0, 10**6), unique=True).map(sorted), ahead=st.integers(0, 100))
def test_a_ladder_changes_nothing_that_is_right(times: list[int], ahead: int) -> None:
    ladder = MonotonicTimestamps()

    assert [ladder.step(time + ahead, time) for time in times] == [
        (time + ahead, time) for time in times
    ]


@given(
    frames=st.lists(st.tuples(st.none() | st.integers(-100, 10**6), st.integers(0, 100))),
    step=st.integers(1, 1000),
)
def test_every_frame_has_a_time_of_its_own(frames: list[tuple[int | None, int]], step: int) -> None:
    clock = FrameClock(step)

    times = [clock.time_of(told, lasts) for told, lasts in frames]

    kept = [time for time in times if time is not None]
    assert all(early < late for early, late in pairwise(kept))
    late = {told for (told, _), time in zip(frames, times, strict=True) if time is None}
    assert None not in late  # one that does not say when is never too late


# -- playlists


@given(
    pieces=st.lists(st.tuples(st.integers(1, 10**9), st.floats(0.01, 30)), min_size=1, max_size=20),
    head=st.integers(100, 10_000),
    index=st.integers(0, 5_000),
)
def test_a_playlist_tells_every_byte_of_the_fragments_and_how_long_each_lasts(
    pieces: list[tuple[int, float]], head: int, index: int
) -> None:
    fragments, at = [], head + index
    for size_bytes, length_s in pieces:
        fragments.append(Mp4Fragment(at, size_bytes, length_s))
        at += size_bytes
    finished = FinishedRendition("0" * 12, at, "avc1.640028", TRANSCODE, head, tuple(fragments))

    lines = playlist(finished, "7-abc.mp4").splitlines()

    assert lines[0] == "#EXTM3U"
    assert lines[-1] == "#EXT-X-ENDLIST"
    assert f'#EXT-X-MAP:URI="7-abc.mp4",BYTERANGE="{head}@0"' in lines
    told = [re.fullmatch(r"#EXT-X-BYTERANGE:(\d+)@(\d+)", line) for line in lines]
    ranges = [(int(one[2]), int(one[1])) for one in told if one]
    assert ranges == [(one.start_byte, one.size_bytes) for one in fragments]
    longest = int(next(line for line in lines if "TARGETDURATION" in line).split(":")[1])
    spans = [float(line[8:-1]) for line in lines if line.startswith("#EXTINF:")]
    assert all(round(span) <= longest for span in spans)
    assert math.isclose(sum(spans), sum(length for _, length in pieces), abs_tol=1e-4)


# -- what is told

requests = st.builds(
    RenditionRequest,
    st.builds(Place, st.text(), st.text()),
    st.text(),
    st.sampled_from((REMUX, TRANSCODE)),
    st.just(MP4),
    st.booleans(),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True),
)
figures = st.floats(0, 1e9)
words = st.builds(
    HeartbeatMessage,
    st.integers(0, 1 << 60),
    st.builds(RenditionProgress, figures, st.none() | figures, st.integers(0, 1 << 60)),
) | st.builds(FinalMessage, st.sampled_from(("made", "refused", "full")), st.text(max_size=500))


@given(request=requests)
def test_a_request_arrives_as_it_was_sent(request: RenditionRequest) -> None:
    assert unpack_rendition_request(pack_rendition_request(request)) == request


@given(sent=words)
def test_what_is_told_arrives_as_one_line(sent: HeartbeatMessage | FinalMessage) -> None:
    line = pack_line(sent)

    assert line.count(b"\n") == 1
    assert len(line) < 8192
    assert unpack_line(line) == sent


@given(
    digest=st.from_regex(r"[0-9a-f]{12}", fullmatch=True),
    made_by=st.sampled_from((REMUX, TRANSCODE)),
    sizes=st.lists(st.integers(1, 10**6), max_size=10),
)
def test_what_is_told_of_a_finished_copy_arrives(
    digest: str, made_by: str, sizes: list[int]
) -> None:
    fragments, at = [], 900
    for size in sizes:
        fragments.append(Mp4Fragment(at, size, size / 1000))
        at += size
    finished = FinishedRendition(digest, at, "vp8", made_by, 900, tuple(fragments), "quiet")

    assert unpack_finished(pack_finished(finished), is_hls=bool(sizes)) == finished
    with pytest.raises(ProtocolError):
        unpack_finished(pack_finished(finished), is_hls=not sizes)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(
    ("effort", "done_s", "total_s", "size_bytes", "verdict", "reason", "digest", "codecs",
     "made_by", "head_bytes", "fragments", "complaint", "place", "file", "job")
)  # fmt: skip
nonsense = st.binary(max_size=200) | st.dictionaries(names, anything, max_size=15).map(
    lambda said: json.dumps(said).encode()
)


@given(content=nonsense)
def test_nonsense_is_told_as_such_and_never_believed(content: bytes) -> None:
    for read in (
        unpack_line,
        unpack_rendition_request,
        lambda text: unpack_finished(text, is_hls=False),
    ):
        with suppress(ProtocolError):
            read(content)


@pytest.mark.parametrize(
    "fragments",
    [
        [[10, 5, 1.0]],  # in the head
        [[900, 50, 1.0], [940, 50, 1.0]],  # in each other
        [[900, 2000, 1.0]],  # behind the end
        [[900, 0, 1.0]],
        [[900, 5, -1.0]],
        [[900, 5]],
        [["900", 5, 1.0]],
    ],
)
def test_fragments_that_cannot_be_are_not_believed(fragments: list[list[object]]) -> None:
    fields = {
        "digest": "0" * 12, "size_bytes": 1000, "codecs": "", "made_by": REMUX, "head_bytes": 900,
        "fragments": fragments, "complaint": "",
    }  # fmt: skip

    with pytest.raises(ProtocolError):
        unpack_finished(json.dumps(fields).encode(), is_hls=True)


def test_a_line_without_end_is_not_read() -> None:
    with pytest.raises(ProtocolError):
        unpack_line(b" " * 10_000 + b"{}")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-rf", "a" * 101, "ä", "a\n", ".hidden"])
def test_a_job_is_a_plain_name(name: str) -> None:
    assert not is_job(name)
    with pytest.raises(ValueError, match="not a valid name"):
        RenditionRequest(PLACE, "/a", REMUX, MP4, is_hls=False, job=name)


@pytest.mark.parametrize(
    ("made_by", "container", "is_hls"),
    [(TRANSCODE, WEBM, False), (REMUX, WEBM, True), ("copy", MP4, False), (REMUX, "mkv", False)],
)
def test_a_copy_that_cannot_be_is_not_asked_for(
    made_by: str, container: str, *, is_hls: bool
) -> None:
    with pytest.raises(ValueError, match=r"no copy is made|WebM is for"):
        RenditionRequest(PLACE, "/a", made_by, container, is_hls=is_hls, job="7")


def test_a_fraction_of_a_frame_is_no_reason_to_begin_another_chunk() -> None:
    ticks = Fraction(1001, 30_000)

    assert [chunk_of(float(number * ticks), 60.0, 3) for number in (0, 1798, 1799, 3597)] == [
        0, 0, 1, 2,
    ]  # fmt: skip
