"""reelshelf: an event-driven static site generator for video libraries."""

__version__ = "0.3.0"
