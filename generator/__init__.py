"""reelshelf: an event-driven static site generator for video libraries."""

__version__ = "0.4.0"
