"""Sidecars: metadata from files beside a video, and from its container.

Bytes go in and plausible values come out. Whatever the bytes, only `UnusableFileError` (and
`OtherVideoError`, which is not a problem) is raised; its message is for the owner of the file. An
invalid field is ignored; an unreadable file is reported, and none of it is used. Parsers that only
some sidecars need are imported on demand.
"""

from generator.adapters.media_worker.sidecars import json_sidecar, ytdlp
from generator.adapters.media_worker.sidecars.embedded import embedded_metadata
from generator.adapters.media_worker.sidecars.json_sidecar import OtherVideoError
from generator.adapters.media_worker.video_file import UnusableFileError
from generator.core.model import Metadata, SidecarKind

__all__ = ["OtherVideoError", "embedded_metadata", "max_sidecar_bytes", "read_metadata"]

_MIB = 1 << 20
_YTDLP_MIB = 32  # with comments and every format; a few hundred KB without


def max_sidecar_bytes(kind: SidecarKind) -> int:
    """Return the largest size of a sidecar of this kind; a larger one is not read."""
    return _YTDLP_MIB * _MIB if kind is SidecarKind.YTDLP else _MIB


def read_metadata(
    kind: SidecarKind,
    name: str,
    content: bytes,
    *,
    video: str | None = None,
    duration_s: float | None = None,
) -> Metadata:
    """Return the metadata in a sidecar, empty if there is none.

    Args:
        kind: of the sidecar.
        name: of the file, without its folder.
        content: at most `max_sidecar_bytes(kind)`.
        video: the name of the video's file, if the sidecar's name does not begin with it.
        duration_s: of the video, if it is known.

    Raises:
        UnusableFileError: it cannot be read, or is about something else.
        OtherVideoError: its content is about another video, which only happens if `video` is given,
            or it is an .nfo of our own export. No other error is raised.
    """
    try:
        match kind:
            case SidecarKind.OWN:
                from generator.adapters.media_worker.sidecars import own  # noqa: PLC0415 (YAML)

                return own.read_own(name, content)
            case SidecarKind.NFO:
                from generator.adapters.media_worker.sidecars import nfo  # noqa: PLC0415 (XML)

                return nfo.read_nfo(content)
            case SidecarKind.YTDLP:
                return ytdlp.read_ytdlp(content, duration_s)
            case SidecarKind.JSON:
                return json_sidecar.read_tagfile(name, content, video)
            case SidecarKind.SUBTITLES | SidecarKind.PICTURE:
                raise UnusableFileError("is not a description")
    except RecursionError:
        raise UnusableFileError("is nested too deeply to be read") from None
    except MemoryError:
        raise UnusableFileError("needs more memory than allowed to be read") from None
