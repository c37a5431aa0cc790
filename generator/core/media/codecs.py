"""Codec strings (RFC 6381), by which a browser knows in advance whether it can decode a stream.

The input is untrusted: whatever the bytes of a file are, the result is a name or "".
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Coding:
    """The codec parameters of one stream, from the container and FFmpeg.

    `codec` and `profile` are FFmpeg's names, "" where there is none; `level` is its number, below 0
    where unknown. `extradata` is the decoder configuration in the container. `tag` is the sample
    entry of an MP4 or MOV ("hev1"), "" in other containers. The last four are of video, as coded;
    empty for audio.
    """

    codec: str
    extradata: bytes = b""
    tag: str = ""
    profile: str = ""
    level: int = -1
    pixel_format: str = ""
    width_px: int = 0
    height_px: int = 0
    fps: float = 0.0


LOCKED = frozenset({"encv", "enca", "drmi", "drms"})  # encrypted

_ENTRY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{3}")
_DEPTH = re.compile(r"(9|10|12|14|16)(?:le|be)\Z")
_START = b"\x00\x00\x01"  # start code of a NAL unit, where units have no length prefix
_EMULATION = re.compile(b"\x00\x00\x03")

_AVC_SPS = 7
_AVC_PROFILES = {
    "Constrained Baseline": 0x42E0, "Baseline": 0x4200, "Main": 0x4D00, "Extended": 0x5800,
    "High": 0x6400, "High 10": 0x6E00, "High 10 Intra": 0x6E10, "High 4:2:2": 0x7A00,
    "High 4:2:2 Intra": 0x7A10, "High 4:4:4 Predictive": 0xF400, "High 4:4:4 Intra": 0xF410,
}  # fmt: skip
_HEVC_SPS = 33
_HEVC_GENERAL = 12  # bytes with profile, tier and level
_HEVC_PROFILES = {"Main": "1.6", "Main 10": "2.4", "Main Still Picture": "3.E"}
_HEVC_SPACES = ("", "A", "B", "C")
_AV1_HEAD = 0x81  # marker and version of an av1C
_AV1_PROFILES = {"Main": 0, "High": 1, "Professional": 2}
_AV1_LEVELS = 32
# The limits of a VP9 level: luma samples a second, luma samples a picture, samples a side.
_VP9_LEVELS = (
    (10, 829_440, 36_864, 512), (11, 2_764_800, 73_728, 768), (20, 4_608_000, 122_880, 960),
    (21, 9_216_000, 245_760, 1344), (30, 20_736_000, 552_960, 2048),
    (31, 36_864_000, 983_040, 2752), (40, 83_558_400, 2_228_224, 4160),
    (41, 160_432_128, 2_228_224, 4160), (50, 311_951_360, 8_912_896, 8384),
    (51, 588_251_136, 8_912_896, 8384), (52, 1_176_502_272, 8_912_896, 8384),
    (60, 1_176_502_272, 35_651_584, 16_832), (61, 2_353_004_544, 35_651_584, 16_832),
    (62, 4_706_009_088, 35_651_584, 16_832),
)  # fmt: skip
_VP9_WHOLE_CHROMA = ("yuv422", "yuv440", "yuv444", "gbr")
_USUAL_FPS = 30.0
_MPEG2_PROFILES = {
    "Simple": "60", "Main": "61", "SNR Scalable": "62", "Spatially Scalable": "63", "High": "64",
    "4:2:2": "65",
}  # fmt: skip
_MPEG4_START = b"\x00\x00\x01\xb0"
_AAC_ESCAPE = 31  # the audio object type follows, less 32
_AAC_PROFILES = {
    "Main": 1, "LC": 2, "SSR": 3, "LTP": 4, "HE-AAC": 5, "LD": 23, "HE-AACv2": 29, "ELD": 39,
    "xHE-AAC": 42,
}  # fmt: skip
_DTS_ENTRIES = {"dtsc", "dtse", "dtsh", "dtsl", "dtsx"}


def codecs_of(*streams: Coding | None) -> str:
    """Return the names of streams, separated by commas; None is an unknown stream.

    Returns:
        ASCII letters, digits, ".", "," and "-"; "" where one of them cannot be named.
    """
    names = [codec_name(stream) if stream else "" for stream in streams]
    return ",".join(names) if all(names) else ""


def codec_name(coding: Coding) -> str:
    """Return the name of one stream, "" where it cannot be named."""
    if coding.tag in LOCKED:
        return coding.tag
    name = _NAMES.get(coding.codec)
    if isinstance(name, str):
        return name
    if name is not None:
        return name(coding)
    return _entry(coding) or ("lpcm" if coding.codec.startswith("pcm_") else "")


def depth_bits(pixel_format: str) -> int:
    """Return how many bits a sample has in one of FFmpeg's pixel formats."""
    match = _DEPTH.search(pixel_format)
    return int(match[1]) if match else 8


def _entry(coding: Coding) -> str:
    """Return the sample entry, which is the whole name of a codec without profiles."""
    return coding.tag if _ENTRY.fullmatch(coding.tag) else ""


def _avc(coding: Coding) -> str:
    entry = "avc3" if coding.tag == "avc3" else "avc1"
    profile_bytes = coding.extradata[1:4] if coding.extradata[:1] == b"\x01" else b""
    if not profile_bytes:
        profile_bytes = _unit(coding.extradata, lambda head: head & 31 == _AVC_SPS)[1:4]
    if len(profile_bytes) == len("PCL"):
        return f"{entry}.{profile_bytes.hex()}"
    profile = _AVC_PROFILES.get(coding.profile)
    if profile is None or not 0 < coding.level < 1 << 8:
        return ""
    return f"{entry}.{profile:04x}{coding.level:02x}"


def _hevc(coding: Coding) -> str:
    if coding.tag[:2] == "dv":  # Dolby Vision, whose colors need more than this name has
        return _entry(coding)
    entry = "hev1" if coding.tag == "hev1" else "hvc1"
    general = coding.extradata[1 : 1 + _HEVC_GENERAL] if coding.extradata[:1] == b"\x01" else b""
    if not general:
        unit = _unit(coding.extradata, lambda head: head >> 1 & 63 == _HEVC_SPS)
        general = _EMULATION.sub(b"\x00\x00", unit)[3 : 3 + _HEVC_GENERAL]
    if len(general) == _HEVC_GENERAL:
        return f"{entry}.{_hevc_general(general)}"
    profile = _HEVC_PROFILES.get(coding.profile)
    if profile is None or not 0 < coding.level < 1 << 8:
        return ""
    return f"{entry}.{profile}.L{coding.level}.B0"


def _hevc_general(general: bytes) -> str:
    profile = f"{_HEVC_SPACES[general[0] >> 6]}{general[0] & 31}"
    compatible = int(f"{int.from_bytes(general[1:5], 'big'):032b}"[::-1], 2)
    tier = "H" if general[0] & 32 else "L"
    constraints = [f"{byte:X}" for byte in general[5:11].rstrip(b"\x00")]
    return ".".join([profile, f"{compatible:X}", f"{tier}{general[11]}", *constraints])


def _unit(stream: bytes, is_wanted: Callable[[int], bool]) -> bytes:
    """Return the first NAL unit (without start code) whose first byte matches, or b""."""
    at = stream.find(_START)
    while 0 <= at < len(stream) - len(_START):
        at += len(_START)
        end = stream.find(_START, at)
        if is_wanted(stream[at]):
            return stream[at : end if end >= 0 else len(stream)]
        if end < 0:
            break
        at = end
    return b""


def _vp9(coding: Coding) -> str:
    depth = depth_bits(coding.pixel_format)
    last = coding.profile[-1:]
    if last and last in "0123":
        profile = int(last)
    elif coding.pixel_format:
        profile = coding.pixel_format.startswith(_VP9_WHOLE_CHROMA) + 2 * (depth > 8)  # noqa: PLR2004 - bits
    else:
        return ""
    level = coding.level if 0 < coding.level < 100 else _vp9_level(coding)  # noqa: PLR2004 - two digits
    return f"vp09.{profile:02d}.{level:02d}.{depth:02d}"


def _vp9_level(coding: Coding) -> int:
    """Return the lowest level that allows this picture, the highest where none does."""
    size, side = coding.width_px * coding.height_px, max(coding.width_px, coding.height_px)
    rate = size * (coding.fps or _USUAL_FPS)
    for level, most_rate, most_size, most_side in _VP9_LEVELS:
        if rate <= most_rate and size <= most_size and side <= most_side:
            return level
    return _VP9_LEVELS[-1][0]


def _av1(coding: Coding) -> str:
    config = coding.extradata
    if len(config) >= len("mpt") and config[0] == _AV1_HEAD:
        profile, level, tier = config[1] >> 5, config[1] & 31, "H" if config[2] & 128 else "M"
        depth = (12 if config[2] & 32 else 10) if config[2] & 64 else 8
    elif coding.profile in _AV1_PROFILES and 0 <= coding.level < _AV1_LEVELS:
        profile, level, tier = _AV1_PROFILES[coding.profile], coding.level, "M"
        depth = depth_bits(coding.pixel_format)
    else:
        return ""
    return f"av01.{profile}.{level:02d}{tier}.{depth:02d}"


def _mpeg4(coding: Coding) -> str:
    at = coding.extradata.find(_MPEG4_START) + len(_MPEG4_START)
    if at < len(_MPEG4_START) or at >= len(coding.extradata):
        return "mp4v.20"
    return f"mp4v.20.{coding.extradata[at]}"


def _mpeg2(coding: Coding) -> str:
    return f"mp4v.{_MPEG2_PROFILES.get(coding.profile, '61')}"


def _mjpeg(coding: Coding) -> str:
    return "mp4v.6C" if coding.tag in {"", "mp4v"} else _entry(coding)


def _aac(coding: Coding) -> str:
    config = int.from_bytes(coding.extradata[:2].ljust(2, b"\x00"), "big")
    kind = config >> 11
    if kind == _AAC_ESCAPE:
        kind = 32 + (config >> 5 & 63)
    kind = kind or _AAC_PROFILES.get(coding.profile, 0)
    return f"mp4a.40.{kind}" if kind else ""


def _dts(coding: Coding) -> str:
    return coding.tag if coding.tag in _DTS_ENTRIES else "dtsc"


_NAMES: Mapping[str, str | Callable[[Coding], str]] = {
    "h264": _avc,
    "hevc": _hevc,
    "vp8": "vp8",
    "vp9": _vp9,
    "av1": _av1,
    "mpeg4": _mpeg4,
    "mpeg2video": _mpeg2,
    "mpeg1video": "mp4v.6A",
    "mjpeg": _mjpeg,
    "theora": "theora",
    "aac": _aac,
    "mp3": "mp4a.6B",
    "mp2": "mp4a.40.33",  # not the 6B that it shares with mp3: browsers would believe it
    "mp1": "mp4a.40.32",
    "opus": "opus",
    "vorbis": "vorbis",
    "flac": "flac",
    "ac3": "ac-3",
    "eac3": "ec-3",
    "dts": _dts,
    "truehd": "mlpa",
    "alac": "alac",
    "amr_nb": "samr",
    "amr_wb": "sawb",
}
