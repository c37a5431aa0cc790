"""Settings: `reelshelf.toml`, the environment and the command line."""

from generator.adapters.settings.settings import FILE, Settings, commented, load

__all__ = ["FILE", "Settings", "commented", "load"]
