"""Playability: no promise that cannot be kept, and no copy made that nobody needs."""

import re
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paths import ROOT

from generator.core.media.playability import (
    FAMILIES,
    Playability,
    badge,
    comes_first,
    is_worth_remuxing,
    need,
    remux_container,
    source_type,
    verdicts,
)
from generator.core.model import Probe

MP4, MKV = "mov,mp4,m4a,3gp,3g2,mj2", "matroska"
NAMES = {
    "h264": ("avc1.64001f", "avc1.42e01e", "avc1.6e0028", "avc1.f4000a", "avc1.580016", "encv"),
    "hevc": ("hvc1.1.6.L93.B0", "hev1.2.4.L120.90", "dvh1"),
    "vp8": ("vp8",),
    "vp9": ("vp09.00.31.08", "vp09.02.51.10"),
    "av1": ("av01.0.09M.08", "av01.0.13M.10"),
    "mpeg4": ("mp4v.20.9",),
    "mpeg2video": ("mp4v.61",),
    "mjpeg": ("mp4v.6C", "jpeg"),
    "prores": ("apch",),
    "theora": ("theora",),
    "aac": ("mp4a.40.2", "mp4a.40.5", "mp4a.40.29", "mp4a.40.1", "mp4a.40.42"),
    "mp3": ("mp4a.6B",),
    "opus": ("opus",),
    "vorbis": ("vorbis",),
    "flac": ("flac",),
    "ac3": ("ac-3",),
    "dts": ("dtsc",),
    "mp2": ("mp4a.40.33",),
    "pcm_s16le": ("sowt", "lpcm"),
}
PICTURES = list(NAMES)[:10]
SOUNDS = list(NAMES)[10:]
FORMATS = ["yuv420p", "yuvj420p", "yuv420p10le", "yuv422p", "yuv444p", "gray", "nv12"]
CONTAINERS = [MP4, MKV, "webm", "matroska,webm", "avi", "mpegts", "flv", "asf", "ogg", "mxf"]


@st.composite
def real_probes(draw: st.DrawFn) -> Probe:
    """Return a probe as files have them, with names that fit."""
    picture = draw(st.sampled_from(PICTURES))
    sound = draw(st.one_of(st.none(), st.sampled_from(SOUNDS)))
    names = [draw(st.sampled_from(NAMES[codec])) for codec in (picture, sound) if codec]
    return Probe(
        draw(st.sampled_from(CONTAINERS)),
        width_px=draw(st.sampled_from([2, 320, 1920, 4096, 4098, 7680, None])),
        height_px=draw(st.sampled_from([2, 180, 1080, 2304, 4320, None])),
        video_codec=picture,
        audio_codec=sound,
        codecs=",".join(names),
        pixel_format=draw(st.sampled_from(FORMATS)),
        fast_start=draw(st.sampled_from([None, True, False])),
    )


any_probes = st.one_of(
    real_probes(),
    st.builds(
        Probe,
        container=st.one_of(st.sampled_from(CONTAINERS), st.text(max_size=4)),
        video_codec=st.one_of(st.none(), st.sampled_from(PICTURES), st.text(max_size=4)),
        audio_codec=st.one_of(st.none(), st.sampled_from(SOUNDS), st.text(max_size=4)),
        codecs=st.one_of(st.text("avc1.64,hm-", max_size=30), st.just("")),
        pixel_format=st.one_of(st.none(), st.sampled_from(FORMATS), st.text(max_size=4)),
    ),
)


def probe(container: str, codecs: str, pixel_format: str = "yuv420p", **other: object) -> Probe:
    """Return a probe whose codecs are those that are named."""
    picture, *sounds = codecs.split(",")
    of = {name: codec for codec, names in NAMES.items() for name in names}
    return replace(
        Probe(container, 60.0, 1280, 720, 25.0, of[picture], of[sounds[0]] if sounds else None),
        codecs=codecs,
        pixel_format=pixel_format,
        **other,
    )


@given(probe=any_probes)
def test_whatever_a_file_is_there_is_one_verdict_a_family(probe: Probe) -> None:
    by_family = verdicts(probe)

    assert tuple(by_family) == FAMILIES
    assert need(probe) in by_family.values()
    assert (need(probe) is Playability.PLAYS) == (set(by_family.values()) == {Playability.PLAYS})
    assert (Playability.UNKNOWN in by_family.values()) == (
        set(by_family.values()) == {Playability.UNKNOWN}
    )


@given(probe=any_probes)
def test_what_plays_after_a_remux_plays_in_the_container_it_goes_to(probe: Probe) -> None:
    target = remux_container(probe)
    if target is None:
        assert Playability.REMUX not in verdicts(probe).values()
        return
    names = probe.codecs.replace("hev1.", "hvc1.")  # as everything we write is called

    after = verdicts(replace(probe, container=target, codecs=names))

    assert target in {"mp4", "webm"}
    for family, told in verdicts(probe).items():
        if told is Playability.REMUX:
            assert after[family] is Playability.PLAYS
    if need(probe) is Playability.REMUX:
        assert set(after.values()) == {Playability.PLAYS}


@given(probe=any_probes, has_rendition=st.booleans(), is_remux=st.booleans())
def test_a_badge_is_short_and_missing_where_all_play_it(
    probe: Probe, *, has_rendition: bool, is_remux: bool
) -> None:
    text = badge(probe, has_rendition=has_rendition, is_remux=is_remux)

    if need(probe) is Playability.PLAYS or (has_rendition and not is_remux):
        assert text is None
    if text is not None:
        assert re.fullmatch(r"[A-Z][A-Za-z ,;]{9,60}", text)


@given(probe=any_probes, path=st.text(max_size=20), suffix=st.sampled_from(["mp4", "MOV", "mkv"]))
def test_a_source_type_is_a_media_type_with_at_most_the_codecs(
    probe: Probe, path: str, suffix: str
) -> None:
    told = source_type(f"{path}.{suffix}", probe)

    plain, _, codecs = told.partition("; ")
    assert re.fullmatch(r"(video|application)/[a-z0-9.-]+", plain)
    assert codecs in {"", f'codecs="{probe.codecs}"'}


@pytest.mark.parametrize(
    ("container", "codecs", "pixel_format", "expected"),
    [
        (MP4, "avc1.64001f,mp4a.40.2", "yuv420p", "plays plays plays"),
        (MP4, "avc1.42e01e", "yuvj420p", "plays plays plays"),
        (MP4, "avc1.64001f,mp4a.6B", "yuv420p", "plays plays plays"),
        (MP4, "avc1.64001f,opus", "yuv420p", "plays plays plays"),
        (MP4, "avc1.64001f,flac", "yuv420p", "plays plays plays"),
        (MP4, "avc1.6e0028,mp4a.40.2", "yuv420p10le", "transcode transcode transcode"),
        (MP4, "avc1.f4000a", "yuv444p", "transcode transcode transcode"),
        (MP4, "avc1.64001f", "yuv422p", "transcode transcode transcode"),
        (MP4, "avc1.580016", "yuv420p", "transcode transcode transcode"),
        (MP4, "avc1.64001f,ac-3", "yuv420p", "transcode transcode transcode"),
        (MP4, "avc1.64001f,mp4a.40.42", "yuv420p", "transcode transcode transcode"),
        (MP4, "avc1.64001f,sowt", "yuv420p", "transcode transcode transcode"),
        (MP4, "encv", "yuv420p", "unknown unknown unknown"),
        (MP4, "hvc1.1.6.L93.B0,mp4a.40.2", "yuv420p", "transcode transcode plays"),
        (MP4, "hev1.2.4.L120.90,mp4a.40.2", "yuv420p10le", "transcode transcode remux"),
        (MKV, "hvc1.1.6.L93.B0,mp4a.40.2", "yuv420p", "transcode transcode remux"),
        (MP4, "dvh1,mp4a.40.2", "yuv420p10le", "unknown unknown unknown"),
        (MP4, "av01.0.09M.08,mp4a.40.2", "yuv420p", "plays plays transcode"),
        (MP4, "av01.0.13M.10,opus", "yuv420p10le", "plays plays transcode"),
        (MP4, "vp09.00.31.08,opus", "yuv420p", "plays plays remux"),
        (MP4, "mp4v.20.9,mp4a.40.2", "yuv420p", "transcode transcode transcode"),
        (MP4, "apch,lpcm", "yuv422p", "transcode transcode transcode"),
        (MKV, "avc1.64001f,mp4a.40.2", "yuv420p", "plays remux remux"),
        (MKV, "avc1.64001f,flac", "yuv420p", "plays remux remux"),
        (MKV, "avc1.64001f,vorbis", "yuv420p", "plays transcode transcode"),
        (MKV, "avc1.64001f,dtsc", "yuv420p", "transcode transcode transcode"),
        (MKV, "vp09.00.31.08,opus", "yuv420p", "plays remux remux"),
        (MKV, "vp09.00.31.08,mp4a.40.2", "yuv420p", "plays remux transcode"),
        ("matroska,webm", "vp8,vorbis", "yuv420p", "plays remux remux"),
        ("webm", "vp8,vorbis", "yuv420p", "plays plays plays"),
        ("webm", "vp09.00.31.08,opus", "yuv420p", "plays plays plays"),
        ("webm", "vp09.02.51.10,opus", "yuv420p10le", "transcode transcode transcode"),
        ("webm", "av01.0.09M.08,opus", "yuv420p", "plays plays transcode"),
        ("avi", "avc1.64001f,mp4a.6B", "yuv420p", "remux remux remux"),
        ("avi", "mp4v.20.9,mp4a.6B", "yuv420p", "transcode transcode transcode"),
        ("mpegts", "avc1.64001f,mp4a.40.2", "yuv420p", "remux remux remux"),
        ("mpegts", "avc1.64001f,mp4a.40.33", "yuv420p", "transcode transcode transcode"),
        ("flv", "avc1.64001f,mp4a.40.2", "yuv420p", "remux remux remux"),
        ("mpeg", "mp4v.61,mp4a.40.33", "yuv420p", "transcode transcode transcode"),
        ("ogg", "theora,vorbis", "yuv420p", "transcode transcode transcode"),
    ],
)
def test_what_plays_where(container: str, codecs: str, pixel_format: str, expected: str) -> None:
    told = verdicts(probe(container, codecs, pixel_format))

    assert " ".join(told.values()) == expected


@pytest.mark.parametrize("size", [(3840, 2160), (2160, 3840), (4096, 2304), (4096, 16)])
def test_what_fits_a_4k_decoder_plays_lying_and_standing(size: tuple[int, int]) -> None:
    film = probe(MP4, "avc1.64001f", width_px=size[0], height_px=size[1])

    assert need(film) is Playability.PLAYS
    assert need(replace(film, width_px=size[0] + 4096)) is Playability.TRANSCODE


@pytest.mark.parametrize(
    "change",
    [
        {"video_codec": None},
        {"pixel_format": None},
        {"codecs": ""},
        {"codecs": "encv"},
        {"pixel_format": None, "codecs": ""},
    ],
)
def test_nothing_is_promised_of_what_nobody_could_look_into(change: dict[str, None]) -> None:
    film = replace(probe(MP4, "avc1.64001f,mp4a.40.2"), **change)

    assert need(film) is Playability.UNKNOWN
    assert remux_container(film) is None


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1", "mpeg4"])
def test_nothing_is_promised_of_what_is_encrypted(codec: str) -> None:
    film = Probe(MP4, video_codec=codec, codecs="encv", pixel_format="yuv420p")

    assert need(film) is Playability.UNKNOWN


def test_what_was_probed_before_there_was_such_a_question_wears_no_badge() -> None:
    assert badge(Probe(MP4, video_codec="h264"), has_rendition=False) is None
    assert badge(Probe(MP4), has_rendition=False) == "May not play in browsers"


@pytest.mark.parametrize(
    ("container", "codecs", "pixel_format", "plain", "remuxed"),
    [
        (MP4, "avc1.64001f,mp4a.40.2", "yuv420p", None, None),
        (MP4, "hvc1.1.6.L93.B0", "yuv420p", "Plays in Safari; may not play in other browsers",
         "same"),
        (MKV, "hvc1.1.6.L93.B0", "yuv420p", "May not play in browsers",
         "Plays in Safari; may not play in other browsers"),
        (MP4, "av01.0.09M.08", "yuv420p",
         "Plays in Chrome, Edge and Firefox; may not play in other browsers",
         "same"),
        (MKV, "avc1.64001f,flac", "yuv420p",
         "Plays in Chrome and Edge; may not play in other browsers", None),
        (MP4, "vp09.00.31.08,opus", "yuv420p", "Plays in Chrome, Edge and Firefox only", None),
        (MKV, "avc1.64001f,vorbis", "yuv420p", "Plays in Chrome and Edge only", "same"),
        (MKV, "avc1.64001f,dtsc", "yuv420p", "May play without sound", "same"),
        (MP4, "avc1.f4000a", "yuv444p", "May not play in browsers", "same"),
        ("mpegts", "avc1.64001f,mp4a.40.2", "yuv420p", "Does not play in browsers", None),
        ("avi", "mp4v.20.9,mp4a.6B", "yuv420p", "Does not play in browsers", "same"),
        (MP4, "apch", "yuv422p", "Does not play in browsers", "same"),
        (MP4, "encv", "yuv420p", "May not play in browsers", "same"),
    ],
)  # fmt: skip
def test_people_are_told_where_it_plays(
    container: str, codecs: str, pixel_format: str, plain: str | None, remuxed: str | None
) -> None:
    film = probe(container, codecs, pixel_format)

    assert badge(film, has_rendition=False) == plain
    assert badge(film, has_rendition=True, is_remux=True) == (
        plain if remuxed == "same" else remuxed
    )
    assert badge(film, has_rendition=True) is None


@pytest.mark.parametrize(
    ("container", "codecs", "pixel_format", "target"),
    [
        (MKV, "avc1.64001f,mp4a.40.2", "yuv420p", "mp4"),
        (MP4, "avc1.64001f,mp4a.40.2", "yuv420p", "mp4"),
        (MKV, "vp09.00.31.08,opus", "yuv420p", "webm"),
        (MKV, "vp8", "yuv420p", "webm"),
        (MKV, "av01.0.09M.08,opus", "yuv420p", "mp4"),
        (MKV, "av01.0.09M.08,vorbis", "yuv420p", "webm"),
        (MKV, "hev1.2.4.L120.90,mp4a.40.2", "yuv420p10le", "mp4"),
        (MKV, "avc1.64001f,dtsc", "yuv420p", None),
        (MKV, "vp09.00.31.08,mp4a.40.2", "yuv420p", "mp4"),
        ("avi", "mp4v.20.9,mp4a.6B", "yuv420p", None),
        (MP4, "avc1.6e0028,mp4a.40.1", "yuv420p10le", None),
    ],
)
def test_streams_go_to_where_most_play_them(
    container: str, codecs: str, pixel_format: str, target: str | None
) -> None:
    assert remux_container(probe(container, codecs, pixel_format)) == target


def test_a_lossless_copy_is_worth_it_where_it_helps() -> None:
    film = probe(MP4, "avc1.64001f,mp4a.40.2", fast_start=True)

    assert not is_worth_remuxing(film, 10**10)
    assert not is_worth_remuxing(replace(film, fast_start=False), 10**6)
    assert is_worth_remuxing(replace(film, fast_start=False), 10**9)
    assert is_worth_remuxing(replace(film, container=MKV), 10)
    assert is_worth_remuxing(probe(MKV, "hvc1.1.6.L93.B0"), 10)
    assert not is_worth_remuxing(probe("avi", "mp4v.20.9"), 10**10)
    assert not is_worth_remuxing(probe(MP4, "hvc1.1.6.L93.B0", fast_start=False), 10**10)


@pytest.mark.parametrize(
    ("path", "container", "codecs", "expected"),
    [
        ("a.mp4", MP4, "avc1.64001f,mp4a.40.2", 'video/mp4; codecs="avc1.64001f,mp4a.40.2"'),
        ("a/b.MOV", MP4, "hvc1.1.6.L93.B0", 'video/mp4; codecs="hvc1.1.6.L93.B0"'),
        ("b.mov", MP4, "avc1.64001f,sowt", 'video/quicktime; codecs="avc1.64001f,sowt"'),
        ("b.mov", MP4, "apch", 'video/quicktime; codecs="apch"'),
        ("c.m4v", MP4, "avc1.64001f", 'video/mp4; codecs="avc1.64001f"'),
        ("d.mkv", MKV, "avc1.64001f,flac", 'video/x-matroska; codecs="avc1.64001f,flac"'),
        ("e.webm", "webm", "vp8,vorbis", 'video/webm; codecs="vp8,vorbis"'),
        ("f.avi", "avi", "mp4v.20.9", "video/x-msvideo"),
        ("g.ts", "mpegts", "avc1.64001f", "video/mp2t"),
        ("h", "mxf", "mp4v.61", "application/octet-stream"),
    ],
)
def test_types_are_such_that_browsers_try_what_they_can_play(
    path: str, container: str, codecs: str, expected: str
) -> None:
    assert source_type(path, probe(container, codecs)) == expected


def test_a_file_without_named_codecs_has_a_bare_type() -> None:
    assert source_type("a.mp4", Probe(MP4)) == "video/mp4"
    assert source_type("a.mov", Probe(MP4)) == "video/quicktime"


@pytest.mark.parametrize(
    ("container", "codecs", "pixel_format", "first"),
    [
        (MP4, "hvc1.1.6.L93.B0", "yuv420p", True),
        (MP4, "av01.0.13M.10,opus", "yuv420p10le", True),
        (MP4, "avc1.64001f,ac-3", "yuv420p", True),
        ("webm", "vp09.02.51.10,opus", "yuv420p10le", True),
        (MP4, "avc1.6e0028", "yuv420p10le", False),  # types do not tell whether it plays
        (MKV, "hvc1.1.6.L93.B0", "yuv420p", False),  # nor does Firefox wait for a whole file
        ("mpegts", "avc1.64001f", "yuv420p", False),
    ],
)
def test_the_better_picture_is_offered_first_where_browsers_can_tell(
    container: str, codecs: str, pixel_format: str, *, first: bool
) -> None:
    film = probe(container, codecs, pixel_format)

    assert comes_first(film, is_remux=False) == first
    assert not comes_first(film, is_remux=True)


def test_every_sound_and_picture_that_is_promised_somewhere_has_been_thought_of() -> None:
    for picture, sound, container in product(PICTURES, [None, *SOUNDS], CONTAINERS):
        names = ",".join(NAMES[codec][0] for codec in (picture, sound) if codec)
        film = probe(container, names)

        if need(film) in {Playability.PLAYS, Playability.REMUX}:
            assert picture in {"h264", "vp8", "vp9"}
            assert sound in {None, "aac", "mp3", "opus", "flac", "vorbis"}


SPELLED = {
    "h264": "H.264", "hevc": "HEVC", "vp8": "VP8", "vp9": "VP9", "av1": "AV1", "aac": "AAC",
    "mp3": "MP3", "opus": "Opus", "vorbis": "Vorbis", "flac": "FLAC",
}  # fmt: skip
KINDS = {"MP4, MOV, M4V": MP4, "WebM": "webm", "Matroska": MKV}


def test_the_reference_tells_what_the_tables_do() -> None:
    text = (ROOT / "docs/reference/playability.md").read_text("utf-8")
    pictures, sounds = (
        text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
        for heading in ("Pictures", "Sounds")
    )
    for kind, container in KINDS.items():
        shown, heard = (
            {
                family: {one.strip() for one in cell.split(",") if one.strip()}
                for family, cell in zip(FAMILIES, row_of(kind, part), strict=True)
            }
            for part in (pictures, sounds)
        )
        rows = {
            (picture, sound): verdicts(probe(container, ",".join(filter(None, names))))
            for picture in PICTURES
            for sound in [None, *SOUNDS]
            for names in [(NAMES[picture][0], sound and NAMES[sound][0])]
        }
        for family in FAMILIES:
            plays = {key for key, one in rows.items() if one[family] is Playability.PLAYS}
            assert {SPELLED[picture] for picture, _ in plays} == shown[family]
            assert {SPELLED[sound] for _, sound in plays if sound} == heard[family]


def row_of(kind: str, part: str) -> list[str]:
    """Return the cells behind the first one of a row."""
    (row,) = (line for line in part.splitlines() if line.startswith(f"| {kind} |"))
    return row.strip("|").split("|")[1:]
