"""What is served: which file an address means, and out of which folder it may not lead."""

import os
import stat
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from generator.core import addresses
from generator.core.nginx import SERVED_SUFFIXES

Message = MutableMapping[str, Any]  # as ASGI has them
App = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]


@dataclass(frozen=True, slots=True)
class Place:
    """A file that a request asks for; `path` is below `folder`, out of which no link may lead."""

    folder: Path
    path: str
    is_film: bool = False
    may_leave: bool = False

    def open(self) -> FileIO | None:
        """Open the file; None where there is none, or one that may not be shown."""
        folder = os.path.realpath(self.folder)
        target = os.path.realpath(self.folder / self.path)
        if not self.may_leave and os.path.commonpath([folder, target]) != folder:
            return None
        try:
            # A pipe would keep us waiting for whoever writes into it.
            file = os.fdopen(os.open(target, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0)
        except OSError:
            return None
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        file.close()
        return None


@dataclass(frozen=True, slots=True)
class Site:
    """A site and the library it shows; `api` answers below `base`/api/, if there is one."""

    out: Path
    roots: Mapping[str, Path]
    base: str = ""
    follow_links: bool = False
    api: App | None = None

    @property
    def not_found(self) -> Place:
        """Return the page for what is not there."""
        return Place(self.out, addresses.NOT_FOUND)

    def place(self, address: str) -> Place | None:
        """Return what an address means: percent-encoded bytes, as the request had them."""
        path = os.fsdecode(unquote_to_bytes(address.encode("latin-1")))
        front = self.base + "/"
        if not path.startswith(front):
            return None
        path = path.removeprefix(front)
        if path.startswith("video/"):
            return self._film(path.removeprefix("video/"))
        if not path or path.endswith("/"):
            path += addresses.HOME
        is_film = path.startswith("play/") and path.endswith((".mp4", ".webm"))
        place = Place(self.out, path, is_film=is_film)
        return place if _is_open(path) and place != self.not_found else None

    def _film(self, path: str) -> Place | None:
        name = ""
        if "" not in self.roots:
            name, _, path = path.partition("/")
        root = self.roots.get(name)
        is_film = path.rpartition(".")[2].lower() in SERVED_SUFFIXES
        if root is None or not is_film or not _is_open(path):
            return None
        return Place(root, path, is_film=True, may_leave=self.follow_links)


def _is_open(path: str) -> bool:
    """Tell whether no part of a path is hidden, leads up (".." is hidden so to speak), or empty."""
    return "\0" not in path and all(part[:1] not in ("", ".") for part in path.split("/"))
