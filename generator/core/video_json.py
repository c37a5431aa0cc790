"""A video as one line of JSON, to be stored and compared.

Short, for a ledger stores one for every video: what most videos lack is left out at the end.
"""

import json
from dataclasses import astuple
from typing import Any

from generator.core.model import (
    Chapter,
    Place,
    Poster,
    Probe,
    Rendition,
    Storyboard,
    Track,
    Video,
    VideoId,
)

_encode = json.JSONEncoder(separators=(",", ":")).encode


def encode_video(video: Video) -> str:
    """Return all fields of a video but its id."""
    still, probe = video.poster, video.probe
    poster = still and (
        still.digest, still.widths_px, still.width_px, still.height_px, still.color
    )  # fmt: skip
    usual = (
        video.slug, video.place.root, video.place.path, video.title, video.added_at,
        video.recorded_at, video.recorded_offset_min, video.is_dated, video.size_bytes,
        (probe.container, probe.duration_s, probe.width_px, probe.height_px, probe.fps,
         probe.video_codec, probe.audio_codec, probe.recorded_at, probe.codecs,
         probe.pixel_format, probe.fast_start, probe.text_streams,
         *((probe.start_s,) if probe.start_s else ())),
        poster, video.stars, video.views, video.favorite, video.tags, video.votes,
        video.score_tenths,
    )  # fmt: skip
    texts = (video.description, video.is_markdown, video.creator, video.url)
    made = (
        tuple((chapter.start_s, chapter.title) for chapter in video.chapters),
        tuple(map(astuple, video.tracks)),
        video.storyboard and astuple(video.storyboard),
        video.rendition and astuple(video.rendition),
    )
    numbers = (video.season, video.episode, video.playlist_index)
    if numbers != (None, None, None):
        return _encode((*usual, *texts, *made, *numbers))
    if not any(made):
        return _encode((*usual, *texts) if any(texts) else usual)
    return _encode((*usual, *texts, *made))


def decode_video(number: int, text: str) -> Video:
    """Return the video that `encode_video` encoded."""
    (
        slug, root, path, title, added_at, recorded_at, recorded_offset_min, is_dated, size_bytes,
        probe, poster, stars, views, favorite, tags, votes, score_tenths, *more,
    ) = json.loads(text)  # fmt: skip
    if poster is not None:
        digest, widths, width, height, color = poster
        poster = Poster(digest, tuple(widths), width, height, color)
    season, episode, playlist_index = more[8:] or (None, None, None)
    later: dict[str, Any] = {
        "recorded_offset_min": recorded_offset_min, "is_dated": is_dated, "season": season,
        "episode": episode, "playlist_index": playlist_index,
    }  # fmt: skip
    return Video(
        VideoId(number), slug, Place(root, path), title, added_at, recorded_at, size_bytes,
        Probe(*probe), poster, stars, views, favorite, tuple(tags), votes, score_tenths,
        *_more(more[:8]), **later,
    )  # fmt: skip


def _more(more: list[Any]) -> list[Any]:
    texts, made = more[:4], more[4:]
    if not made:
        return texts
    chapters, tracks, storyboard, rendition = made
    return [
        *texts,
        tuple(Chapter(*one) for one in chapters),
        tuple(Track(*one) for one in tracks),
        storyboard and Storyboard(*storyboard),
        rendition and Rendition(*rendition),
    ]
