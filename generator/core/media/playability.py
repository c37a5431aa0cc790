"""Playability: what plays in which browsers, what to do where it does not, and the badge for it.

The tables list what every current stable browser of a family plays, on desktops and phones,
whatever the hardware; what only some of them play is not listed. They age: correct them, with the
version and the year since when, and read docs/reference/playability.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType

from generator.core.formatting import media_type
from generator.core.media.codecs import LOCKED
from generator.core.model import Probe


class Playability(StrEnum):
    """Whether a file plays, or what makes it play."""

    PLAYS = "plays"
    REMUX = "remux"  # the same streams in another container
    TRANSCODE = "transcode"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class _Streams:
    """The key for the tables; most of a library has the same few."""

    kind: str  # of container: "mp4", "webm", "matroska", or "" for those that no browser opens
    picture: str | None
    sound: str | None
    names: tuple[str, ...]  # as RFC 6381 has them
    pixel_format: str | None
    is_large: bool


FAMILIES = ("Chromium", "Firefox", "Safari")  # on iPhones and iPads every browser is Safari

_Since = Mapping[str, str]  # what plays, and since when

_PICTURES: Mapping[tuple[str, str], _Since] = {
    ("Chromium", "mp4"): {
        "h264": "Chrome 4, 2010; Edge 79, 2020",
        "vp9": "Chromium 156, 2026, as tested here",
        "av1": "Chrome 70, 2018; Edge 121, 2024",
    },
    ("Chromium", "webm"): {
        "vp8": "Chrome 25, 2013",
        "vp9": "Chrome 29, 2013",
        "av1": "Chrome 70, 2018; Edge 121, 2024",
    },
    ("Chromium", "matroska"): {
        "h264": "long by its bytes; Chrome 145, 2026, by its type too",
        "vp8": "the same",
        "vp9": "the same",
        "av1": "the same",
    },
    ("Firefox", "mp4"): {
        "h264": "Firefox 35, 2015, by the system's decoder",
        "vp9": "Firefox 52, 2017",
        "av1": "Firefox 67, 2019",
    },
    ("Firefox", "webm"): {
        "vp8": "Firefox 4, 2011",
        "vp9": "Firefox 28, 2014",
        "av1": "Firefox 67, 2019",
    },
    # Firefox 145 (2025) plays Matroska, but not before the whole file has come (its bug 2000420).
    ("Safari", "mp4"): {
        "h264": "Safari 4, 2009",
        "hevc": "Safari 13, 2019, when called hvc1",
    },
    ("Safari", "webm"): {
        "vp8": "Safari 16, 2022; iOS 17.4, 2024",
        "vp9": "Safari 16, 2022; iOS 17.4, 2024",
    },
}
_SOUNDS: Mapping[tuple[str, str], _Since] = {
    ("Chromium", "mp4"): {
        "aac": "Chrome 12, 2011",
        "mp3": "Chrome 4, 2010",
        "opus": "Chromium 156, 2026, as tested here",
        "flac": "Chrome 62, 2017",
    },
    ("Chromium", "webm"): {"vorbis": "Chrome 25, 2013", "opus": "Chrome 33, 2014"},
    ("Chromium", "matroska"): {
        "aac": "as the pictures",
        "mp3": "the same",
        "opus": "the same",
        "vorbis": "the same",
        "flac": "the same",
    },
    ("Firefox", "mp4"): {
        "aac": "Firefox 35, 2015, by the system's decoder",
        "mp3": "Firefox 35, 2015",
        "opus": "Firefox 52, 2017",
        "flac": "Firefox 51, 2017",
    },
    ("Firefox", "webm"): {"vorbis": "Firefox 4, 2011", "opus": "Firefox 15, 2012"},
    ("Safari", "mp4"): {
        "aac": "Safari 4, 2009",
        "mp3": "Safari 4, 2009",
        "opus": "Safari 17, 2023",
        "flac": "Safari 13, 2019",
    },
    ("Safari", "webm"): {"vorbis": "iOS 17.4, 2024", "opus": "iOS 17.4, 2024"},
}
_KNOWN: frozenset[str | None] = frozenset(
    {None, *(codec for table in (_PICTURES, _SOUNDS) for row in table.values() for codec in row)}
)
_FORMATS: Mapping[str, frozenset[str]] = {  # 8 bits and 4:2:0, unless every decoder takes more
    "h264": frozenset({"yuv420p", "yuvj420p"}),
    "hevc": frozenset({"yuv420p", "yuvj420p", "yuv420p10le"}),
    "vp8": frozenset({"yuv420p", "yuva420p"}),
    "vp9": frozenset({"yuv420p", "yuvj420p", "yuva420p"}),
    "av1": frozenset({"yuv420p", "yuvj420p", "yuv420p10le"}),
}
# Where it depends on the hardware: HEVC since Chrome 107 (2022) and Firefox 137 (2025), AV1 since
# Safari 17 (2023).
_DEPENDS = {("Chromium", "hevc"), ("Firefox", "hevc"), ("Safari", "av1")}
_PATIENT = ("Firefox", "matroska")  # see there

_PROFILES: Mapping[str, tuple[str, ...]] = {  # allowed prefixes where the name has a profile
    "h264": ("avc1.42", "avc1.4d", "avc1.64", "avc3.42", "avc3.4d", "avc3.64"),
    "hevc": ("hvc1.", "hev1."),
    "aac": ("mp4a.40.2", "mp4a.40.5", "mp4a.40.29"),
}
_PROFILED = ("avc", "hvc1.", "hev1.", "mp4a.40.")
_SAFARI_HEVC = "hvc1."
_MAX_PX = 4096 * 2304  # above that, phones give up
_MAX_SIDE_PX = 4096
_SLOW_FROM_BYTES = 20_000_000  # smaller files load at once, wherever their moov is

_TARGETS = ("mp4", "webm")
_KINDS = {"mp4": "mp4", "webm": "webm", "matroska": "matroska", "matroska,webm": "matroska"}
_TYPES = {"mp4": "video/mp4", "webm": "video/webm", "matroska": "video/x-matroska"}
_MP4_NAMES = (
    "avc1.", "avc3.", "hvc1.", "hev1.", "vp09.", "av01.", "mp4v.", "mp4a.", "opus", "flac", "ac-3",
    "ec-3",
)  # fmt: skip
_TELLING = ("hvc1.", "hev1.", "av01.", "vp09.", "avc1.42", "avc1.4d", "avc1.64")

_PEOPLE_SAY = {"Chromium": ("Chrome", "Edge"), "Firefox": ("Firefox",), "Safari": ("Safari",)}
_WORSE = (Playability.PLAYS, Playability.REMUX, Playability.TRANSCODE, Playability.UNKNOWN)


def verdicts(probe: Probe) -> Mapping[str, Playability]:
    """Return for each family whether it plays this file, or what makes it play."""
    return _verdicts(_streams(probe))


def need(probe: Probe) -> Playability:
    """Return what makes it play in every family."""
    return max(verdicts(probe).values(), key=_WORSE.index)


def remux_container(probe: Probe) -> str | None:
    """Return the container ("mp4" or "webm") in which the same streams play in most families.

    Returns:
        None where they play in none; the streams then have to be re-encoded.
    """
    return _target(_streams(probe))


def is_worth_remuxing(probe: Probe, size_bytes: int) -> bool:
    """Return whether a lossless copy helps.

    It does where a family plays it only after a remux, and for a large MP4 with its moov at the
    end: that plays, but a player has to seek there and back before it starts.
    """
    found_verdicts = set(verdicts(probe).values())
    is_slow = probe.fast_start is False and size_bytes >= _SLOW_FROM_BYTES
    return Playability.REMUX in found_verdicts or (
        is_slow and found_verdicts == {Playability.PLAYS}
    )


def badge(probe: Probe, *, has_rendition: bool, is_remux: bool = False) -> str | None:
    """Return in a few words where it plays; None where it plays everywhere, or is not probed yet.

    Args:
        probe: of the file.
        has_rendition: whether there is a playable copy of it.
        is_remux: the copy has the same streams, so that it plays where these do.
    """
    if has_rendition and not is_remux:
        return None
    return _badge(_streams(probe), is_remuxed=has_rendition)


def source_type(path: str, probe: Probe) -> str:
    """Return the media type for a <source>, with the codecs where they can be named.

    A MOV has the type of an MP4 if its streams are those of one: Chromium does not know the type of
    a MOV, but plays it. Escape it for an attribute.
    """
    kind = _kind(probe)
    plain = _TYPES.get(kind, media_type(path))
    if kind == "mp4" and path.lower().endswith((".mov", ".qt")):
        is_mp4 = all(name.startswith(_MP4_NAMES) for name in probe.codecs.split(","))
        plain = plain if is_mp4 else "video/quicktime"
    return f'{plain}; codecs="{probe.codecs}"' if probe.codecs and kind in _TYPES else plain


def comes_first(probe: Probe, *, is_remux: bool) -> bool:
    """Return whether the file itself comes before its playable copy among the sources.

    It does where it is better than its copy (not the same streams) and browsers know by the type
    alone whether they play it; all others then use the copy at once. Never where its timestamps
    differ from the copy's: subtitles fit only one of them.
    """
    if is_remux or probe.start_s or _kind(probe) not in _TARGETS:
        return False
    is_telling = probe.codecs.startswith(_TELLING)
    return is_telling and (probe.video_codec != "h264" or _is_plain(_streams(probe)))


def _kind(probe: Probe) -> str:
    return "mp4" if "mp4" in probe.container.split(",") else _KINDS.get(probe.container, "")


def _streams(probe: Probe) -> _Streams:
    width, height = probe.width_px or 0, probe.height_px or 0
    return _Streams(
        _kind(probe),
        probe.video_codec,
        probe.audio_codec,
        tuple(probe.codecs.split(",")) if probe.codecs else (),
        probe.pixel_format,
        width * height > _MAX_PX or max(width, height) > _MAX_SIDE_PX,
    )


@lru_cache(maxsize=1 << 12)
def _verdicts(streams: _Streams) -> Mapping[str, Playability]:
    if _is_unknown(streams):
        return MappingProxyType(dict.fromkeys(FAMILIES, Playability.UNKNOWN))
    return MappingProxyType({family: _verdict(family, streams) for family in FAMILIES})


def _verdict(family: str, streams: _Streams) -> Playability:
    name = "".join(streams.names[:1])
    is_misnamed = streams.picture == "hevc" and not name.startswith(_SAFARI_HEVC)
    if _holds(family, streams.kind, streams) and not is_misnamed:
        return Playability.PLAYS
    target = _target(streams)
    return (
        Playability.REMUX if target and _holds(family, target, streams) else Playability.TRANSCODE
    )


def _target(streams: _Streams) -> str | None:
    if _is_unknown(streams):
        return None
    plays = {
        container: sum(_holds(family, container, streams) for family in FAMILIES)
        for container in _TARGETS
    }
    best = max(_TARGETS, key=plays.__getitem__)
    return best if plays[best] else None


def _is_unknown(streams: _Streams) -> bool:
    """Return whether too little is known to say anything; encrypted streams are unknown."""
    if streams.picture is None or streams.pixel_format is None:
        return True
    if not LOCKED.isdisjoint(streams.names):
        return True
    if streams.picture not in _KNOWN or streams.sound not in _KNOWN:
        return False  # whatever the profile, it has to be re-encoded
    picture, sound = (*streams.names, "", "")[:2]
    return not (
        (streams.picture not in _PROFILES or picture.startswith(_PROFILED))
        and (streams.sound not in _PROFILES or sound.startswith(_PROFILED))
    )


def _is_plain(streams: _Streams) -> bool:
    """Return whether the video has a pixel format, profile and size that every decoder takes."""
    codec = streams.picture or ""
    if streams.is_large or streams.pixel_format not in _FORMATS.get(codec, ()):
        return False
    return codec not in _PROFILES or "".join(streams.names[:1]).startswith(_PROFILES[codec])


def _shows(family: str, container: str, streams: _Streams) -> bool:
    """Return whether a family plays this video codec in a container."""
    return streams.picture in _PICTURES.get((family, container), ()) and _is_plain(streams)


def _sounds(family: str, container: str, streams: _Streams) -> bool:
    """Return whether a family plays this audio codec, or none, in a container."""
    codec = streams.sound
    if codec is None:
        return True
    if codec in _PROFILES and "".join(streams.names[1:]) not in _PROFILES[codec]:
        return False
    return codec in _SOUNDS.get((family, container), ())


def _holds(family: str, container: str, streams: _Streams) -> bool:
    return _shows(family, container, streams) and _sounds(family, container, streams)


@lru_cache(maxsize=1 << 12)
def _badge(streams: _Streams, *, is_remuxed: bool) -> str | None:
    if streams.picture is not None and streams.pixel_format is None and not streams.names:
        return None  # probed by a version that did not store these
    verdict_of = _verdicts(streams)
    good = {Playability.PLAYS, Playability.REMUX} if is_remuxed else {Playability.PLAYS}
    plays = [family for family in FAMILIES if verdict_of[family] in good]
    if len(plays) == len(FAMILIES):
        return None
    if not plays:
        return _badge_of_none(streams)
    names = _listed(name for family in plays for name in _PEOPLE_SAY[family])
    perhaps = any(_depends(family, streams) for family in FAMILIES if family not in plays)
    return (
        f"Plays in {names}; may not play in other browsers" if perhaps else f"Plays in {names} only"
    )


def _badge_of_none(streams: _Streams) -> str:
    if _is_unknown(streams):
        return "May not play in browsers"
    kind = streams.kind
    shown = [family for family in FAMILIES if _shows(family, kind, streams)]
    if shown and not any(_sounds(family, kind, streams) for family in shown):
        return "May play without sound"
    has_picture = any(streams.picture in _PICTURES.get((family, kind), ()) for family in FAMILIES)
    if has_picture or any(_depends(family, streams) for family in FAMILIES):
        return "May not play in browsers"
    return "Does not play in browsers"


def _depends(family: str, streams: _Streams) -> bool:
    """Return whether some browsers of a family may play it though it is not listed."""
    if (family, streams.kind) == _PATIENT:
        return _verdict(family, streams) is Playability.REMUX
    return streams.kind in _TYPES and (family, streams.picture) in _DEPENDS


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
