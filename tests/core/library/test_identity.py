"""Identity: what people do to files, and which video each file is afterwards."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from generator.core.library.identity import FingerprintedFile, Identities, KnownFile, identify
from generator.core.model import FileStat, Place, VideoId


def known(video: int, path: str, content: str, *, missing: bool = False) -> KnownFile:
    return KnownFile(VideoId(video), Place("", path), 1, 1, content, missing)


def seen(path: str, content: str) -> FingerprintedFile:
    return FingerprintedFile(FileStat(Place("", path), 1, 2), content)


def whose(told: Identities) -> dict[str, int]:
    """Return which video each file is, for those that are known ones."""
    pairs = [*told.touched, *told.replaced, *told.moved, *told.returned]
    return {file.place.path: one.video for one, file in pairs}


def test_a_path_that_is_gone_and_its_content_elsewhere_is_a_move() -> None:
    told = identify([known(1, "a", "X")], [], [seen("b", "X")], [])

    assert [(one.video, file.place.path) for one, file in told.moved] == [(1, "b")]
    assert not told.new
    assert not told.missing


def test_other_content_under_the_old_path_is_the_same_video() -> None:
    told = identify([], [(known(1, "a", "X"), seen("a", "Y"))], [], [])

    assert whose(told) == {"a": 1}
    assert len(told.replaced) == 1


def test_a_file_replaced_by_another_video_keeps_its_own_state() -> None:
    """As a re-encode does: cut.mp4 was a video for a while, then took the name of the old one."""
    old, cut = known(1, "film", "X"), known(2, "cut", "Y")

    told = identify([cut], [(old, seen("film", "Y"))], [], [])

    assert whose(told) == {"film": 1}
    assert told.missing == [cut]


def test_three_names_that_are_rotated_take_their_videos_along() -> None:
    told = identify(
        [],
        [
            (known(1, "a", "X"), seen("a", "Z")),
            (known(2, "b", "Y"), seen("b", "X")),
            (known(3, "c", "Z"), seen("c", "Y")),
        ],
        [],
        [],
    )

    assert whose(told) == {"a": 3, "b": 1, "c": 2}


def test_a_video_that_is_pushed_on_by_another_is_followed() -> None:
    told = identify(
        [known(1, "a", "X")], [(known(2, "b", "Y"), seen("b", "X"))], [seen("c", "Y")], []
    )

    assert whose(told) == {"b": 1, "c": 2}
    assert not told.missing


def test_missing_content_that_comes_back_anywhere_is_the_video_of_before() -> None:
    told = identify([], [], [seen("new/place", "X")], [known(1, "a", "X", missing=True)])

    assert [(one.video, file.place.path) for one, file in told.returned] == [(1, "new/place")]


def test_of_equal_files_the_one_with_the_same_name_is_the_moved_one() -> None:
    told = identify(
        [known(1, "x/a.mp4", "X"), known(2, "x/b.mp4", "X")],
        [],
        [seen("y/b.mp4", "X"), seen("y/a.mp4", "X")],
        [],
    )

    assert whose(told) == {"y/a.mp4": 1, "y/b.mp4": 2}


def test_of_two_equal_videos_that_were_replaced_one_is_found_elsewhere_and_one_stays() -> None:
    told = identify(
        [],
        [(known(1, "a", "X"), seen("a", "Y")), (known(2, "b", "X"), seen("b", "Z"))],
        [seen("c", "X")],
        [],
    )

    assert sorted(whose(told)) == ["b", "c"]
    assert [file.place.path for file in told.new] == ["a"]
    assert not told.missing


def test_a_copy_becomes_part_of_the_video_whose_file_is_gone() -> None:
    old, copy = known(1, "a.mp4", "X"), known(2, "b.mp4", "X")

    told = identify([old], [], [], [], [copy])

    assert told.merged == [(copy, old)]
    assert whose(told) == {"b.mp4": 1}
    assert not told.missing


def test_a_copy_that_goes_leaves_the_video_where_it_is() -> None:
    old, copy = known(1, "a.mp4", "X"), known(2, "b.mp4", "X")

    told = identify([copy], [], [], [], [old])

    assert told.missing == [copy]
    assert not told.merged


def test_a_copy_whose_time_changed_meanwhile_is_a_copy_still() -> None:
    old, copy = known(1, "a.mp4", "X"), known(2, "b.mp4", "X")

    told = identify([old], [(copy, seen("b.mp4", "X"))], [], [])

    assert [(one.video, into.video) for one, into in told.merged] == [(2, 1)]
    ((_, file),) = told.moved
    assert file.stat.mtime_ns == 2
    assert not told.touched


def test_of_two_copies_the_one_named_alike_is_taken() -> None:
    old = known(1, "x/a.mp4", "X")
    copies = [known(2, "y/b.mp4", "X"), known(3, "y/a.mp4", "X")]

    told = identify([old], [], [], [], copies)

    assert whose(told) == {"y/a.mp4": 1}


def test_two_that_are_gone_and_have_one_copy_leave_it_to_the_older() -> None:
    told = identify([known(1, "a", "X"), known(2, "b", "X")], [], [], [], [known(3, "c", "X")])

    assert whose(told) == {"c": 1}
    assert [one.video for one in told.missing] == [2]


def test_a_film_that_was_converted_beside_itself_is_one_video() -> None:
    old, new = known(1, "x/film.avi", "X"), known(2, "x/film.mp4", "Y")

    told = identify([old], [], [], [], [new])

    assert told.merged == [(new, old)]
    assert [(one.video, file.place.path) for one, file in told.replaced] == [(1, "x/film.mp4")]


def test_two_that_are_named_like_the_one_that_is_gone_stay_what_they_are() -> None:
    old = known(1, "film.avi", "X")
    others = [known(2, "film.mp4", "Y"), known(3, "film.mkv", "Z")]

    told = identify([old], [], [], [], others)

    assert told.missing == [old]
    assert not told.merged


def test_a_film_that_was_away_comes_back_under_another_suffix() -> None:
    gone = known(1, "film.avi", "X", missing=True)

    told = identify([], [], [seen("FILM.mp4", "Y")], [gone])

    assert [(one.video, file.place.path) for one, file in told.replaced] == [(1, "FILM.mp4")]
    assert not told.new


def test_a_film_that_is_gone_now_rather_than_one_that_was_away_is_the_converted_one() -> None:
    gone, before = known(2, "film.avi", "X"), known(1, "film.mkv", "Z", missing=True)

    told = identify([gone], [], [seen("film.mp4", "Y")], [before])

    assert [one.video for one, _ in told.replaced] == [2]
    assert not told.missing


def test_where_two_came_that_are_named_like_the_one_that_is_gone_nothing_is_guessed() -> None:
    gone = known(1, "film.avi", "X")

    told = identify([gone], [], [seen("film.mp4", "Y"), seen("film.mkv", "Z")], [])

    assert told.missing == [gone]
    assert len(told.new) == 2


paths = st.sampled_from([f"p{n}" for n in range(8)])
contents = st.sampled_from("ABCDE")
disks = st.dictionaries(paths, contents, max_size=8)


@given(before=disks, after=disks)
def test_every_file_and_every_video_is_told_exactly_once(
    before: dict[str, str], after: dict[str, str]
) -> None:
    videos = {path: number for number, path in enumerate(sorted(before), 1)}
    gone = [known(videos[p], p, before[p]) for p in before if p not in after]
    changed = [
        (known(videos[p], p, before[p]), seen(p, after[p]))
        for p in before
        if p in after and after[p] != before[p]
    ]
    new = [seen(p, after[p]) for p in after if p not in before]

    told = identify(gone, changed, new, [])

    files = [file.place.path for _, file in [*told.replaced, *told.moved, *told.touched]]
    files += [file.place.path for file in told.new]
    assert sorted(files) == sorted({s.place.path for s in new} | {s.place.path for _, s in changed})
    numbers = [one.video for one, _ in [*told.replaced, *told.moved]]
    numbers += [one.video for one in told.missing]
    assert sorted(numbers) == sorted({one.video for one in gone} | {o.video for o, _ in changed})


@given(disk=disks, moves=st.permutations([f"p{n}" for n in range(8)]))
def test_files_of_different_content_keep_their_videos_through_any_renaming(
    disk: dict[str, str], moves: list[str]
) -> None:
    contents_of = {path: f"{content}-{path}" for path, content in disk.items()}
    target = {f"p{number}": moves[number] for number in range(8)}
    videos = {path: number for number, path in enumerate(sorted(disk), 1)}
    after = {target[path]: content for path, content in contents_of.items()}
    gone = [known(videos[p], p, contents_of[p]) for p in disk if p not in after]
    changed = [
        (known(videos[p], p, contents_of[p]), seen(p, after[p]))
        for p in disk
        if p in after and after[p] != contents_of[p]
    ]
    new = [seen(p, after[p]) for p in after if p not in disk]

    told = identify(gone, changed, new, [])

    moved = {target[path]: videos[path] for path in disk if target[path] != path}
    assert whose(told) == moved
    assert not told.new
    assert not told.missing


@given(
    gone=st.lists(st.tuples(paths, contents), max_size=5),
    present=st.lists(st.tuples(paths, contents), max_size=5),
    new=disks,
    away=st.lists(st.tuples(paths, contents), max_size=4),
    order=st.randoms(use_true_random=False),
)
def test_no_video_has_two_files_and_no_file_two_videos_whatever_was_copied(
    gone: list[tuple[str, str]],
    present: list[tuple[str, str]],
    new: dict[str, str],
    away: list[tuple[str, str]],
    order: Random,
) -> None:
    numbers = list(range(1, 20))
    order.shuffle(numbers)
    left = iter(numbers)
    were = [known(next(left), f"gone/{n}/{path}.avi", content) for n, (path, content) in
            enumerate(gone)]  # fmt: skip
    there = [known(next(left), f"there/{n}/{path}.mp4", content) for n, (path, content) in
             enumerate(present)]  # fmt: skip
    missing = [known(next(left), f"away/{n}/{path}.avi", content, missing=True) for
               n, (path, content) in enumerate(away)]  # fmt: skip
    came = [seen(f"new/{path}.mp4", content) for path, content in new.items()]

    told = identify(were, [], came, missing, there)

    pairs = [*told.touched, *told.replaced, *told.moved, *told.returned]
    files = [file.place for _, file in pairs] + [file.place for file in told.new]
    copies = {copy.video: copy.place for copy, _ in told.merged}
    assert len(files) == len(set(files))
    assert set(files) == {file.place for file in came} | set(copies.values())
    videos = [one.video for one, _ in pairs] + [one.video for one in told.missing]
    assert len(videos) == len(set(videos))
    assert set(videos) >= {one.video for one in were}
    assert not copies.keys() & set(videos)
    assert all(into.video < copy.video for copy, into in told.merged)
