"""Static files: which file a URL means, and which folder it must not leave."""

import os
import stat
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from generator.core.library.file_filter import FileFilter, compile_filter
from generator.core.model import OutPath
from generator.core.site import old_addresses as old
from generator.core.site import urls

Message = MutableMapping[str, Any]  # as in ASGI
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe would block until there is a writer
_FOLDER_FLAGS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC | os.O_DIRECTORY

App = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]


@dataclass(frozen=True, slots=True)
class SiteFile:
    """A requested file; `path` is below `folder`, which no symlink may leave.

    In a library no symlink is followed at all, unless it `may_leave`.
    """

    folder: Path
    path: str
    is_video: bool = False
    is_library: bool = False
    may_leave: bool = False

    def open(self) -> FileIO | None:
        """Open the file; None if it does not exist, or may not be served."""
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
class FormerAddress:
    """Where an address of a former server leads: a URL, a redirect page, or a plain text."""

    redirect: str = ""
    page: SiteFile | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class ServedSite:
    """A site and its library; `api`, if any, serves `base`/api/.

    If it is `private`, `api` says who may see it. Of the library, only files that pass
    `file_filter` are served, as in a scan.
    """

    out: Path
    roots: Mapping[str, Path]
    base: str = ""
    follow_links: bool = False
    api: App | None = None
    file_filter: FileFilter = field(default_factory=compile_filter)
    old_addresses: bool = False
    private: bool = False

    @property
    def not_found(self) -> SiteFile:
        """Return the 404 page."""
        return SiteFile(self.out, urls.NOT_FOUND)

    def place(self, address: str) -> SiteFile | None:
        """Return the file of a URL path, given percent-encoded as in the request."""
        path = _normalized(os.fsdecode(unquote_to_bytes(address.encode("latin-1"))))
        front = self.base + "/"
        if not path.startswith(front):
            return None
        path = path.removeprefix(front)
        if path.startswith("video/"):
            return self._video_file(path.removeprefix("video/"))
        if not path or path.endswith("/"):
            path += urls.HOME
        is_video = path.startswith("play/") and path.endswith((".mp4", ".webm"))
        place = SiteFile(self.out, path, is_video=is_video)
        return place if _may_be_served(path) and place != self.not_found else None

    def former(self, address: str) -> FormerAddress | None:
        """Return where a URL path of a former server leads; None: it is none, or is off."""
        path = unquote_to_bytes(address.encode("latin-1"))
        front = f"{self.base}/".encode()
        if not self.old_addresses or not path.startswith(front):
            return None
        path = path.removeprefix(front)
        kind, _, name = path.partition(b"/")
        page = old.FIXED.get(OutPath(path.decode("latin-1")))
        if page is not None:
            return FormerAddress(redirect=f"{self.base}/{page}")
        if kind == b"video" and name and b"/" not in name:
            return FormerAddress(redirect=f"{self.base}/watch/{quote(name, safe='')}")
        if kind in {b"watch", b"tag"} and name and not name.endswith(b".html"):
            return FormerAddress(page=SiteFile(self.out, old.page_of(path)))
        return FormerAddress(text=old.PONG) if path == old.PING.encode() else None

    def _video_file(self, path: str) -> SiteFile | None:
        name = ""
        if "" not in self.roots:
            name, _, path = path.partition("/")
        root = self.roots.get(name)
        if root is None or not _may_be_served(path) or not self.file_filter.takes_file_at(path):
            return None
        return SiteFile(root, path, is_video=True, is_library=True, may_leave=self.follow_links)


def _normalized(path: str) -> str:
    """Return a path normalized as by nginx: "//" and "/./" are "/", "/../" goes up.

    Returns:
        "" if it goes above the root, or does not begin there.
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
    """Open a file below a folder, step by step; no symlink is followed.

    Raises:
        OSError: it cannot be opened, or a part of its path is a symlink.
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


def _may_be_served(path: str) -> bool:
    """Return whether no part of a path is hidden, ".." (which starts with a dot, too), or empty."""
    return "\0" not in path and all(part[:1] not in ("", ".") for part in path.split("/"))
