"""The watcher: turns inotify events, through watchdog, into hints where to scan again."""

from generator.adapters.watcher.watcher import (
    USUAL_PACE,
    Watcher,
    WatchMethod,
    WatchMode,
    WatchTiming,
)

__all__ = ["USUAL_PACE", "WatchMethod", "WatchMode", "WatchTiming", "Watcher"]
