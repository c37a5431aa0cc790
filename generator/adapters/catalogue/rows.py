"""Rows of the catalogue as objects of the core, and back."""

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from generator.core.formatting import rounded_down
from generator.core.library.import_entries import folded
from generator.core.model import (
    Chapter,
    Place,
    Poster,
    Probe,
    Rendition,
    Storyboard,
    Track,
    Video,
    VideoStats,
)

_HIGHEST_STAMP = (1 << 63) - 1
_AT_ONCE = 500  # parameters in one IN (…)
_Value = TypeVar("_Value", int, str)


def stamp(mtime_ns: int) -> int:
    """Return a file's time clamped to 64 bits: file systems allow years far beyond 2262."""
    return max(min(mtime_ns, _HIGHEST_STAMP), -_HIGHEST_STAMP)


def to_sql(path: str) -> str | bytes:
    """Return a path as the catalogue keeps it: text, or bytes where it is not UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path


def from_sql(path: str | bytes) -> str:
    """Return a path of the catalogue as text."""
    return path if isinstance(path, str) else os.fsdecode(path)


def folded_name(path: str) -> str | bytes:
    """Return the file name of a path, as the catalogue looks it up: see `import_entries.folded`."""
    return to_sql(folded(path.rpartition("/")[2]))


def video_from_row(row: tuple[Any, ...]) -> Video:
    """Return the video that `store._VIDEO_COLUMNS` selects."""
    (
        number, slug, root, path, title, added_at, recorded_at, size_bytes,
        container, duration_s, width_px, height_px, fps, video_codec, audio_codec, poster,
        stars, views, favorite_at, votes, score_tenths,
        codecs, pixel_format, fast_start, text_streams, start_s,
        description, is_markdown, creator, url, chapters, tracks, storyboard, rendition,
        recorded_offset_min, is_dated, season, episode, playlist_index, tags,
    ) = row  # fmt: skip
    return Video(
        id=number,
        slug=slug,
        place=Place(root, from_sql(path)),
        title=title,
        added_at=added_at,
        recorded_at=recorded_at,
        size_bytes=size_bytes,
        probe=Probe(
            container, duration_s, width_px, height_px, fps, video_codec, audio_codec, None, codecs,
            pixel_format, None if fast_start is None else bool(fast_start), text_streams,
            start_s,
        ),
        poster=poster_of(poster) if poster else None,
        stars=stars,
        views=rounded_down(views or 0),
        favorite=favorite_at is not None,
        tags=tuple(tags.split("\n")) if tags else (),
        votes=votes or 0,
        score_tenths=score_tenths,
        description=description,
        is_markdown=bool(is_markdown),
        creator=creator,
        url=url,
        chapters=chapters_of(chapters) if chapters else (),
        tracks=tracks_of(tracks) if tracks else (),
        storyboard=Storyboard(**json.loads(storyboard)) if storyboard else None,
        rendition=Rendition(**json.loads(rendition)) if rendition else None,
        recorded_offset_min=recorded_offset_min,
        is_dated=bool(is_dated),
        season=season,
        episode=episode,
        playlist_index=playlist_index,
    )  # fmt: skip


def chapters_of(text: str) -> tuple[Chapter, ...]:
    """Return the chapters in a column."""
    return tuple(Chapter(start_s, title) for start_s, title in json.loads(text))


def tracks_of(text: str) -> tuple[Track, ...]:
    """Return the subtitles in a column."""
    return tuple(
        Track(language, label, bool(forced), bool(sdh), digest)
        for language, label, forced, sdh, digest in json.loads(text)
    )


def stats_from_row(row: tuple[Any, ...]) -> VideoStats:
    """Return the stats that `store._STATS_COLUMNS` selects."""
    number, version, stars, votes, score_tenths, views, favorite_at, tags = row
    return VideoStats(
        id=number,
        version=version or 0,
        stars=stars,
        votes=votes or 0,
        score_tenths=score_tenths,
        views=views or 0,
        favorite=favorite_at is not None,
        tags=tuple(tags.split("\n")) if tags else (),
    )


def poster_of(text: str) -> Poster:
    """Return the poster in a column."""
    fields = json.loads(text)
    return Poster(**{**fields, "widths_px": tuple(fields["widths_px"])})


def batches(values: Sequence[_Value]) -> Iterator[Sequence[_Value]]:
    """Yield the values in batches that fit into one `IN (…)`."""
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]
