"""Codecs: what is named is named as RFC 6381 has it, and whatever the bytes, nothing breaks."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.core.media.codecs import Coding, codec_name, codecs_of, depth_bits

CODECS = [
    "h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg", "theora",
    "prores", "ffv1", "aac", "mp3", "mp2", "opus", "vorbis", "ac3", "dts", "pcm_s16le", "unheard",
]  # fmt: skip
PROFILES = ("", "Main", "High", "Main 10", "Profile 2", "LC", "HE-AAC", "4:2:2", "DNXHD", "3")
FORMATS = ("", "yuv420p", "yuvj420p", "yuv420p10le", "yuv444p", "yuv422p12be", "gbrp", "gray16le")

byte = st.integers(0, 255)
# Bytes that look like something more often than chance would have it.
heads = st.sampled_from(
    [b"", b"\x01", b"\x81", b"\x00\x00\x01", b"\x00\x00\x01\x67", b"\x00\x00\x01\x42\x01",
     b"\x00\x00\x01\xb0", b"\x00\x00\x00\x01\x09\x10", b"\xf9\x5e"]
)  # fmt: skip
extradata = st.lists(st.one_of(heads, st.binary(max_size=20)), max_size=6).map(b"".join)
texts = st.text(max_size=6)
codings = st.builds(
    Coding,
    codec=st.one_of(st.sampled_from(CODECS), texts),
    extradata=extradata,
    tag=st.one_of(
        st.sampled_from(["", "avc1", "avc3", "hev1", "dvh1", "sowt", "raw ", "\0\0\0\0"]), texts
    ),
    profile=st.one_of(st.sampled_from(PROFILES), texts),
    level=st.integers(-(2**31), 2**31 - 1),
    pixel_format=st.one_of(st.sampled_from(FORMATS), texts),
    width_px=st.integers(0, 2**31),
    height_px=st.integers(0, 2**31),
    fps=st.floats(0, 1000),
)


@given(streams=st.lists(st.one_of(st.none(), codings), min_size=1, max_size=3))
def test_whatever_a_file_says_a_name_or_nothing_comes_out(streams: list[Coding | None]) -> None:
    names = codecs_of(*streams)

    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.,-]*|", names)
    assert not names or names.count(",") == len(streams) - 1


@given(coding=codings)
def test_one_stream_without_a_name_leaves_all_without(coding: Coding) -> None:
    assert codecs_of(Coding("vp8"), None) == ""
    assert codecs_of(Coding("vp8"), coding) == (
        f"vp8,{codec_name(coding)}" if codec_name(coding) else ""
    )


@given(profile=byte, compatible=byte, level=byte, rest=st.binary(max_size=9))
def test_h264_is_named_by_three_bytes_however_they_are_packed(
    profile: int, compatible: int, level: int, rest: bytes
) -> None:
    three_bytes = bytes((profile, compatible, level))
    boxed = Coding("h264", b"\x01" + three_bytes + b"\xff\xe1" + rest)
    streamed = Coding("h264", b"\x00\x00\x00\x01\x09\x10\x00\x00\x00\x01\x67" + three_bytes + rest)

    assert codec_name(boxed) == f"avc1.{three_bytes.hex()}"
    if b"\x00\x00\x01" not in three_bytes:  # which a stream cannot hold
        assert codec_name(streamed) == f"avc1.{three_bytes.hex()}"


@pytest.mark.parametrize(
    ("coding", "name"),
    [
        (Coding("h264", bytes.fromhex("0164001fffe1"), "avc3"), "avc3.64001f"),
        (Coding("h264", profile="High", level=40), "avc1.640028"),
        (Coding("h264", profile="Constrained Baseline", level=30), "avc1.42e01e"),
        (Coding("h264", profile="High", level=-99), ""),
        (Coding("h264", tag="encv"), "encv"),
        (Coding("hevc", bytes.fromhex("0101600000009000000000005d"), "hvc1"),
         "hvc1.1.6.L93.90"),
        (Coding("hevc", bytes.fromhex("0102200000009000000000003ff0"), "hev1"), "hev1.2.4.L63.90"),
        (Coding("hevc", bytes.fromhex("01226000000000000000000099"), "hvc1"), "hvc1.2.6.H153"),
        (Coding("hevc", profile="Main 10", level=120), "hvc1.2.4.L120.B0"),
        (Coding("hevc", bytes.fromhex("0102200000009000000000003f"), "dvh1"), "dvh1"),
        (Coding("vp9", profile="Profile 0", pixel_format="yuv420p", width_px=1920, height_px=1080,
                fps=30.0), "vp09.00.40.08"),
        (Coding("vp9", pixel_format="yuv420p10le", width_px=3840, height_px=2160, fps=60.0),
         "vp09.02.51.10"),
        (Coding("vp9", pixel_format="yuv444p", width_px=64, height_px=36), "vp09.01.10.08"),
        (Coding("vp9", profile="Profile 0", level=31, pixel_format="yuv420p"), "vp09.00.31.08"),
        (Coding("vp9"), ""),
        (Coding("vp8"), "vp8"),
        (Coding("av1", bytes.fromhex("81094c00")), "av01.0.09M.10"),
        (Coding("av1", bytes.fromhex("812d8000")), "av01.1.13H.08"),
        (Coding("av1", bytes.fromhex("81506000")), "av01.2.16M.12"),
        (Coding("av1", profile="Main", level=4, pixel_format="yuv420p10le"), "av01.0.04M.10"),
        (Coding("av1", profile="Main", level=-99), ""),
        (Coding("mpeg4", bytes.fromhex("000001b009000001b5")), "mp4v.20.9"),
        (Coding("mpeg4", bytes.fromhex("000001b0")), "mp4v.20"),
        (Coding("mpeg2video", profile="High"), "mp4v.64"),
        (Coding("mjpeg", tag="jpeg"), "jpeg"),
        (Coding("mjpeg"), "mp4v.6C"),
        (Coding("prores", tag="apch"), "apch"),
        (Coding("ffv1"), ""),
        (Coding("aac", bytes.fromhex("1210")), "mp4a.40.2"),
        (Coding("aac", bytes.fromhex("2b92")), "mp4a.40.5"),
        (Coding("aac", bytes.fromhex("eb09")), "mp4a.40.29"),
        (Coding("aac", bytes.fromhex("f94f")), "mp4a.40.42"),
        (Coding("aac", profile="HE-AACv2"), "mp4a.40.29"),
        (Coding("aac"), ""),
        (Coding("mp3", tag="mp4a"), "mp4a.6B"),
        (Coding("mp2", tag="mp4a"), "mp4a.40.33"),
        (Coding("pcm_s16le", tag="sowt"), "sowt"),
        (Coding("pcm_u8", tag="raw "), "lpcm"),
        (Coding("dts", tag="dtsh"), "dtsh"),
        (Coding("dts"), "dtsc"),
        (Coding("eac3"), "ec-3"),
    ],
)  # fmt: skip
def test_names_as_browsers_know_them(coding: Coding, name: str) -> None:
    assert codec_name(coding) == name


@given(
    space=st.integers(0, 3),
    high=st.booleans(),
    profile=st.integers(0, 31),
    compatible=st.integers(0, 2**32 - 1),
    constraints=st.binary(min_size=6, max_size=6),
    level=byte,
)
def test_a_name_of_hevc_tells_all_that_the_box_does(
    *, space: int, high: bool, profile: int, compatible: int, constraints: bytes, level: int
) -> None:
    properties = (
        bytes([space << 6 | high << 5 | profile])
        + compatible.to_bytes(4, "big")
        + constraints
        + bytes([level])
    )

    name = codec_name(Coding("hevc", b"\x01" + properties + b"\xf0\x00"))

    entry, who, flags, tier, *rest = name.split(".")
    assert entry == "hvc1"
    assert who == ["", "A", "B", "C"][space] + str(profile)
    assert f"{int(flags, 16):032b}"[::-1] == f"{compatible:032b}"
    assert tier == f"{'H' if high else 'L'}{level}"
    assert bytes(int(one, 16) for one in rest).ljust(6, b"\x00") == constraints
    assert not rest or rest[-1] != "0"


@given(content=st.binary(min_size=12, max_size=12))
def test_hevc_has_the_same_name_in_a_stream_that_escapes_its_zeros(content: bytes) -> None:
    unit, zeros = b"\x42\x01\x01", 0
    for byte in content + b"\xff":
        if zeros >= 2 and byte <= 3:
            unit, zeros = unit + b"\x03", 0
        unit += bytes([byte])
        zeros = zeros + 1 if byte == 0 else 0
    stream = b"\x00\x00\x00\x01\x40\x01\x0c\x00\x00\x01" + unit + b"\x00\x00\x01\x44\x01"

    assert codec_name(Coding("hevc", stream)) == codec_name(Coding("hevc", b"\x01" + content))


@given(kind=st.integers(1, 95), rest=st.integers(0, 31))
def test_a_sound_is_named_by_its_type_behind_an_escape_too(kind: int, rest: int) -> None:
    bits = f"{kind:05b}" if kind < 31 else f"11111{kind - 32:06b}"
    if kind == 31:
        return  # is the escape
    config = int((bits + f"{rest:05b}").ljust(16, "0")[:16], 2).to_bytes(2, "big")

    assert codec_name(Coding("aac", config)) == f"mp4a.40.{kind}"


@given(
    small=st.tuples(st.integers(1, 8192), st.integers(1, 8192), st.floats(1, 120)),
    more=st.tuples(st.integers(0, 8192), st.integers(0, 8192), st.floats(0, 120)),
)
def test_more_pixels_a_second_never_have_a_lower_level_of_vp9(
    small: tuple[int, int, float], more: tuple[int, int, float]
) -> None:
    large = [one + other for one, other in zip(small, more, strict=True)]

    lower, higher = (
        int(
            codec_name(
                Coding("vp9", pixel_format="yuv420p", width_px=int(w), height_px=int(h), fps=fps)
            ).split(".")[2]
        )
        for w, h, fps in (small, large)
    )

    assert 10 <= lower <= higher <= 62


@pytest.mark.parametrize(
    ("pixel_format", "bits"),
    [("yuv420p", 8), ("yuv420p10le", 10), ("p010le", 10), ("gray16be", 16), ("yuv422p12le", 12),
     ("rgb24", 8), ("nv12", 8), ("", 8)],
)  # fmt: skip
def test_a_pixel_format_tells_its_depth(pixel_format: str, bits: int) -> None:
    assert depth_bits(pixel_format) == bits
