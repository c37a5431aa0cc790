"""The watcher: what inotify tells, through watchdog, as hints where to look again."""

from generator.adapters.watcher.watcher import USUAL_PACE, Means, Mode, Pace, Watcher

__all__ = ["USUAL_PACE", "Means", "Mode", "Pace", "Watcher"]
