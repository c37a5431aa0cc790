"""The watcher: what inotify tells, through watchdog, as hints where to look again."""

from generator.adapters.watcher.watcher import (
    USUAL_PACE,
    Watcher,
    WatchMethod,
    WatchMode,
    WatchTiming,
)

__all__ = ["USUAL_PACE", "WatchMethod", "WatchMode", "WatchTiming", "Watcher"]
