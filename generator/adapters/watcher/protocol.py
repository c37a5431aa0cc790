"""The interface between the watcher and the implementation that observes a tree."""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

# Errors of inotify at a limit of the system: watches, instances, memory.
LIMITS = frozenset({errno.ENOSPC, errno.EMFILE, errno.ENOMEM})


@dataclass(frozen=True, slots=True)
class WatchListener:
    """Callbacks, run in threads of the observer, with absolute paths.

    `wants` returns whether to watch a folder, `ignores` whether to ignore a file by its name.
    `file` and `tree` are called when a file or a folder is created, removed or changed; `busy` when
    events that were already reported continue; `unreliable` with the reason to set the watch again.
    """

    wants: Callable[[str], bool]
    ignores: Callable[[str], bool]
    file: Callable[[str], None]
    tree: Callable[[str], None]
    busy: Callable[[], None]
    unreliable: Callable[[str], None]


class FolderWatch(Protocol):
    """A watched tree, from its construction until `close`."""

    @property
    def alive(self) -> bool:
        """Return whether it still reports events."""

    def listen(self) -> None:
        """Report every folder again; until the next call each may be reported only once."""

    def close(self) -> None:
        """Stop, and end all threads."""


Observe = Callable[[str, WatchListener], FolderWatch]
"""Watch the tree at an absolute path without links; raise OSError if that is impossible."""
