"""A video is the same after it was kept as one line of JSON."""

from dataclasses import replace

import pytest

from generator.core.model import Chapter, Place, Probe, Video, VideoId
from generator.core.video_json import decode_video, encode_video

PLAIN = Video(
    VideoId(7), "film", Place("", "film.mp4"), "Film", 5, -3, 9, Probe("mp4"), is_dated=True
)


@pytest.mark.parametrize(
    "video",
    [
        PLAIN,
        replace(PLAIN, recorded_offset_min=-210, is_dated=False),
        replace(PLAIN, season=0, episode=0),
        replace(PLAIN, playlist_index=3, description="x"),
        replace(PLAIN, episode=3, chapters=(Chapter(0.0, "a"), Chapter(1.0, "b"))),
    ],
    ids=range(5),
)
def test_a_video_is_read_back_as_it_was(video: Video) -> None:
    assert decode_video(7, encode_video(video)) == video
