"""Sidecars: what files beside a video, and its container, say of it.

Bytes go in and plausible values come out. Whatever the bytes are, only `UnusableFileError` (and
`OtherVideoError`, which is nobody's fault) leaves here; its message is for the person whose file it
is. A field that is not sound is as if it were not there; a file that cannot be read is told of
as a whole, and never half believed. What only some sidecars need is imported for them alone.
"""

from generator.adapters.media_worker.sidecars import tagfile, ytdlp
from generator.adapters.media_worker.sidecars.embedded import embedded_details
from generator.adapters.media_worker.sidecars.tagfile import OtherVideoError
from generator.adapters.media_worker.video_file import UnusableFileError
from generator.core.model import Metadata, SidecarKind

__all__ = ["OtherVideoError", "embedded_details", "max_sidecar_bytes", "read_details"]

_MIB = 1 << 20
_YTDLP_MIB = 32  # with comments and every format; a few hundred KB without


def max_sidecar_bytes(kind: SidecarKind) -> int:
    """Return how large a sidecar of this kind is at most; a larger one is not read."""
    return _YTDLP_MIB * _MIB if kind is SidecarKind.YTDLP else _MIB


def read_details(
    kind: SidecarKind,
    name: str,
    content: bytes,
    *,
    video: str | None = None,
    duration_s: float | None = None,
) -> Metadata:
    """Return what a sidecar says of its video; empty where it says nothing of interest.

    Args:
        kind: what it is taken for.
        name: of the file, without its folder.
        content: at most `most_bytes(kind)`.
        video: the name of the video's file, where the sidecar's name does not begin with it.
        duration_s: of the video, where it is known.

    Raises:
        UnfitError: it cannot be read, or is about something else.
        OtherVideoError: it is about another video, as its name could not tell; where `video` is
            given alone. Nothing else is raised.
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
                return tagfile.read_tagfile(name, content, video)
            case SidecarKind.SUBTITLES | SidecarKind.PICTURE:
                raise UnusableFileError("is no description")
    except RecursionError:
        raise UnusableFileError("is nested too deeply to be read") from None
    except MemoryError:
        raise UnusableFileError("needs more memory than allowed to be read") from None
