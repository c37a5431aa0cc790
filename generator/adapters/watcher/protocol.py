"""What passes between the watcher and whatever observes a tree for it."""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

# How inotify says that the system gives no more: watches, instances, memory for them.
LIMITS = frozenset({errno.ENOSPC, errno.EMFILE, errno.ENOMEM})


@dataclass(frozen=True, slots=True)
class WatchListener:
    """Who is told, in threads of the observer, with absolute paths.

    `wants` tells whether to watch a folder, `ignores` whether a file's name does not matter.
    `file` and `tree` hear where a file or a folder came, went or changed; `busy` that more of what
    was told goes on; `doubt` why watching has to begin anew.
    """

    wants: Callable[[str], bool]
    ignores: Callable[[str], bool]
    file: Callable[[str], None]
    tree: Callable[[str], None]
    busy: Callable[[], None]
    doubt: Callable[[str], None]


class FolderWatch(Protocol):
    """A tree under observation, from its making until `close`."""

    @property
    def alive(self) -> bool:
        """Tell whether it still tells what happens."""

    def listen(self) -> None:
        """Tell of every folder again; until the next call it may tell of each but once."""

    def close(self) -> None:
        """Stop, and leave no thread."""


Observe = Callable[[str, WatchListener], FolderWatch]
"""Watch the tree at an absolute path without links; raise OSError where that cannot be done."""
