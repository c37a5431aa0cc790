"""Subtitles: files beside a video and streams inside it, as WebVTT.

Whatever the bytes are, nothing but `UnfitError` leaves here, and what is made is valid.
"""

from generator.adapters.media_worker.subtitles.convert import MOST_BYTES, to_webvtt
from generator.adapters.media_worker.subtitles.embedded import embedded_subtitles

__all__ = ["MOST_BYTES", "embedded_subtitles", "to_webvtt"]
