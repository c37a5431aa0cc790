"""What follows what in a folder: by number and by name."""

from random import Random

import pytest

from generator.core.model import Place, Probe, Video, VideoId
from generator.core.site.orders import VIDEO_ORDERS, SortKey, video_key


def film(path: str, number: int = 1, **more: object) -> Video:
    numbers: dict[str, object] = {"season": None, "episode": None, "playlist_index": None, **more}
    return Video(
        VideoId(number), "film", Place("", path), "title", 0, 0, 1, Probe("mp4"), **numbers
    )  # type: ignore[arg-type] # a few of them


def in_order(videos: list[Video]) -> list[str]:
    shuffled = Random(len(videos)).sample(videos, len(videos))
    return [
        v.place.path for v in sorted(shuffled, key=lambda video: video_key(video, SortKey.PLACE))
    ]


@pytest.mark.parametrize(
    "names",
    [
        ["Show S01E01.mp4", "Show S01E02.mp4", "Show S01E10.mp4", "Show S02E01.mp4"],
        ["Show 1x01.mp4", "Show 1x02.mp4", "Show 1x10.mp4", "Show 10x01.mp4"],
        ["show.s1.e1.mp4", "show.s1.e2.mp4", "show.s1.e11.mp4"],
        ["Show S01E01-E02.mp4", "Show S01E03E04.mp4", "Show S01E05.mp4"],
        ["Show S00E01.mp4", "Show S01E01.mp4"],
        ["Alpha S01E01.mp4", "Alpha S01E02.mp4", "Beta S01E01.mp4"],
        ["01 zebra.mp4", "02 apple.mp4", "10 mango.mp4", "Bonus.mp4"],
        ["Episode 2.mp4", "Episode 10.mp4"],
        ["Part 2 - a.mp4", "Part 10 - a.mp4"],
        ["clip.mp4", "clip 2.mp4", "clip 10.mp4"],
        ["2020-12-31 b.mp4", "2021-01-01 a.mp4"],
        ["b/1.mp4", "b/10.mp4", "b/c/2.mp4", "c/1.mp4"],
        ["Season 2/Show S02E01.mp4", "Season 10/Show S10E01.mp4"],
    ],
    ids=lambda names: names[0],
)
def test_names_stand_by_their_numbers(names: list[str]) -> None:
    videos = [film(name, len(names) - at) for at, name in enumerate(names)]

    assert in_order(videos) == names


def test_a_folder_of_which_half_has_sidecars_is_in_one_order() -> None:
    videos = [
        film("Show S01E01 Zebra.mp4", season=1, episode=1),
        film("Show S01E02 Apple.mp4"),
        film("Show S01E03 Mango.mp4", season=1, episode=3),
        film("Show S01E04 Banana.mp4"),
    ]
    lectures = [
        film("01 Introduction.mp4", playlist_index=1),
        film("02 Basics.mp4"),
        film("03 Advanced.mp4", season=1, episode=3),
        film("04 End.mp4"),
    ]
    inside = [
        film("Season 2/01 a.mp4"),
        film("Season 2/02 b.mp4", season=2, episode=2),
        film("Season 2/03 c.mp4", playlist_index=3),
    ]

    for some in (videos, lectures, inside):
        assert in_order(some) == [one.place.path for one in some]


def test_a_sidecar_knows_better_than_a_name_and_a_mark_better_than_a_list() -> None:
    films = [film("z.mp4", episode=1, season=1), film("a.mp4", episode=2, season=1)]
    listed = [film("Show S01E01.mp4", playlist_index=9), film("Show S01E02.mp4", playlist_index=1)]

    assert in_order(films) == ["z.mp4", "a.mp4"]
    assert in_order(listed) == ["Show S01E01.mp4", "Show S01E02.mp4"]


@pytest.mark.parametrize(
    "name",
    ["film 1920x1080.mp4", "x264-1x1.mp4", "300.mp4", "\udcff.mp4", "S" * 999, "9" * 300 + ".mp4"],
    ids=lambda name: ascii(name)[:30],
)
def test_any_name_has_its_place_and_ends_with_its_id(name: str) -> None:
    key = video_key(film(name, 77), SortKey.PLACE)

    assert key[-4:] == (77).to_bytes(4, "big")
    assert len(key) < 700


def test_it_is_offered_in_both_directions() -> None:
    assert [order.name for order in VIDEO_ORDERS if order.key is SortKey.PLACE] == [
        "name",
        "name-desc",
    ]
