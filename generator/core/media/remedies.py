"""Remedies: what would make a video play everywhere, and which of them are enabled."""

from enum import StrEnum

from generator.core.media.playability import Playability, is_worth_remuxing, need, remux_container
from generator.core.media.renditions import REMUX, TRANSCODE
from generator.core.model import Probe


class Remedy(StrEnum):
    """What a video needs; the column `need` of the catalogue."""

    NOTHING = "plays"
    REMUX = "remux"
    REMUX_OR_TRANSCODE = "either"  # a remux helps some browsers, a transcode all
    TRANSCODE = "transcode"
    UNKNOWN = "unknown"


BY_REMUX = (Remedy.REMUX, Remedy.REMUX_OR_TRANSCODE)
WANTED = {
    "off": (),
    "remux": BY_REMUX,
    "all": (*BY_REMUX, Remedy.TRANSCODE),
}  # by the setting `renditions`


def remedy_of(probe: Probe, size_bytes: int) -> Remedy:
    """Return what would make a file of this size play everywhere."""
    needed = need(probe)
    if needed is Playability.UNKNOWN:
        return Remedy.UNKNOWN
    if is_worth_remuxing(probe, size_bytes) and remux_container(probe) is not None:
        return Remedy.REMUX_OR_TRANSCODE if needed is Playability.TRANSCODE else Remedy.REMUX
    return Remedy.TRANSCODE if needed is Playability.TRANSCODE else Remedy.NOTHING


def way_of(remedy: Remedy, probe: Probe, *, transcodes: bool) -> tuple[str, str]:
    """Return how a copy is made, and in which container: transcoded only if `transcodes`."""
    container = remux_container(probe)
    anew = remedy in {Remedy.TRANSCODE, Remedy.REMUX_OR_TRANSCODE} and transcodes
    if anew or container is None:
        return TRANSCODE, "mp4"
    return REMUX, container
