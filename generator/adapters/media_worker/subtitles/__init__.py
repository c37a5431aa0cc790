"""Converts subtitle files and embedded streams to WebVTT.

Whatever the input, only `UnusableFileError` is raised, and the output is valid.
"""

from generator.adapters.media_worker.subtitles.convert import MAX_BYTES, to_webvtt
from generator.adapters.media_worker.subtitles.embedded import embedded_subtitles

__all__ = ["MAX_BYTES", "embedded_subtitles", "to_webvtt"]
