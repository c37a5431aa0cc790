"""What is served: which file an address means, and out of which folder it may not lead."""

import os
import stat
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from generator.core.library.file_filter import FileFilter, compile_filter
from generator.core.site import urls

Message = MutableMapping[str, Any]  # as ASGI has them
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe would keep us waiting for a writer
_FOLDER_FLAGS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC | os.O_DIRECTORY

App = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]


@dataclass(frozen=True, slots=True)
class SiteFile:
    """A file that a request asks for; `path` is below `folder`, out of which no link may lead.

    In a library no link is followed at all, unless it `may_leave`.
    """

    folder: Path
    path: str
    is_film: bool = False
    is_library: bool = False
    may_leave: bool = False

    def open(self) -> FileIO | None:
        """Open the file; None where there is none, or one that may not be shown."""
        try:
            file = os.fdopen(self._descriptor(), "rb", buffering=0)
        except OSError:
            return None
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        file.close()
        return None

    def _descriptor(self) -> int:
        if self.is_library and not self.may_leave:
            return _open_without_links(self.folder, self.path)
        target = os.path.realpath(self.folder / self.path)
        if not self.may_leave:
            folder = os.path.realpath(self.folder)
            if os.path.commonpath([folder, target]) != folder:
                raise FileNotFoundError(target)
        return os.open(target, _FLAGS)


@dataclass(frozen=True, slots=True)
class ServedSite:
    """A site and the library it shows; `api` answers below `base`/api/, if there is one.

    Of the library nothing is served but what `intake` takes, as a scan does.
    """

    out: Path
    roots: Mapping[str, Path]
    base: str = ""
    follow_links: bool = False
    api: App | None = None
    intake: FileFilter = field(default_factory=compile_filter)

    @property
    def not_found(self) -> SiteFile:
        """Return the page for what is not there."""
        return SiteFile(self.out, urls.NOT_FOUND)

    def place(self, address: str) -> SiteFile | None:
        """Return what an address means: percent-encoded bytes, as the request had them."""
        path = _plain(os.fsdecode(unquote_to_bytes(address.encode("latin-1"))))
        front = self.base + "/"
        if not path.startswith(front):
            return None
        path = path.removeprefix(front)
        if path.startswith("video/"):
            return self._film(path.removeprefix("video/"))
        if not path or path.endswith("/"):
            path += urls.HOME
        is_film = path.startswith("play/") and path.endswith((".mp4", ".webm"))
        place = SiteFile(self.out, path, is_film=is_film)
        return place if _is_open(path) and place != self.not_found else None

    def _film(self, path: str) -> SiteFile | None:
        name = ""
        if "" not in self.roots:
            name, _, path = path.partition("/")
        root = self.roots.get(name)
        if root is None or not _is_open(path) or not self.intake.takes_file_at(path):
            return None
        return SiteFile(root, path, is_film=True, is_library=True, may_leave=self.follow_links)


def _plain(path: str) -> str:
    """Return a path as nginx understands it: "//" and "/./" are "/", and "/../" leads up.

    Returns:
        "" where it leads up too far, or does not begin at the root.
    """
    parts: list[str] = []
    first, *folders, last = path.split("/") if "/" in path else (path, "")
    for part in (*folders, last):
        if part == "..":
            if not parts:
                return ""
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    is_folder = last in {"", ".", ".."} and bool(parts)
    return "" if first else "/" + "/".join(parts) + "/" * is_folder


def _open_without_links(folder: Path, path: str) -> int:
    """Open a file below a folder; what lies there is opened step by step, and no link is taken.

    Raises:
        OSError: it cannot be opened, or there is a link on the way.
    """
    *folders, name = path.split("/")
    within = os.open(folder, _FOLDER_FLAGS)
    try:
        for part in folders:
            below = os.open(part, _FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=within)
            os.close(within)
            within = below
        return os.open(name, _FLAGS | os.O_NOFOLLOW, dir_fd=within)
    finally:
        os.close(within)


def _is_open(path: str) -> bool:
    """Tell whether no part of a path is hidden, leads up (".." is hidden so to speak), or empty."""
    return "\0" not in path and all(part[:1] not in ("", ".") for part in path.split("/"))
