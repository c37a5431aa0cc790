"""Identity: what people do to files, and which video each file is afterwards."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from generator.core.library.identity import FingerprintedFile, Identities, KnownFile, identify
from generator.core.model import FileStat, Place, VideoId


def known_file(video: int, path: str, content: str, *, missing: bool = False) -> KnownFile:
    return KnownFile(VideoId(video), Place("", path), 1, 1, content, missing)


def seen(path: str, content: str) -> FingerprintedFile:
    return FingerprintedFile(FileStat(Place("", path), 1, 2), content)


def whose(told: Identities) -> dict[str, int]:
    """Return which video each file is, for those that are known ones."""
    pairs = [*told.touched, *told.replaced, *told.moved, *told.returned]
    return {file.place.path: one.video for one, file in pairs}


def test_a_path_that_is_gone_and_its_content_elsewhere_is_a_move() -> None:
    identities = identify([known_file(1, "a", "X")], [], [seen("b", "X")], [])

    assert [(one.video, file.place.path) for one, file in identities.moved] == [(1, "b")]
    assert not identities.new
    assert not identities.missing


def test_other_content_under_the_old_path_is_the_same_video() -> None:
    identities = identify([], [(known_file(1, "a", "X"), seen("a", "Y"))], [], [])

    assert whose(identities) == {"a": 1}
    assert len(identities.replaced) == 1


def test_a_file_replaced_by_another_video_keeps_its_own_state() -> None:
    """As a re-encode does: cut.mp4 was a video for a while, then took the name of the old one."""
    old, cut = known_file(1, "film", "X"), known_file(2, "cut", "Y")

    identities = identify([cut], [(old, seen("film", "Y"))], [], [])

    assert whose(identities) == {"film": 1}
    assert identities.missing == [cut]


def test_three_names_that_are_rotated_take_their_videos_along() -> None:
    identities = identify(
        [],
        [
            (known_file(1, "a", "X"), seen("a", "Z")),
            (known_file(2, "b", "Y"), seen("b", "X")),
            (known_file(3, "c", "Z"), seen("c", "Y")),
        ],
        [],
        [],
    )

    assert whose(identities) == {"a": 3, "b": 1, "c": 2}


def test_a_video_that_is_pushed_on_by_another_is_followed() -> None:
    identities = identify(
        [known_file(1, "a", "X")], [(known_file(2, "b", "Y"), seen("b", "X"))], [seen("c", "Y")], []
    )

    assert whose(identities) == {"b": 1, "c": 2}
    assert not identities.missing


def test_missing_content_that_comes_back_anywhere_is_the_video_of_before() -> None:
    told = identify([], [], [seen("new/place", "X")], [known_file(1, "a", "X", missing=True)])

    assert [(one.video, file.place.path) for one, file in told.returned] == [(1, "new/place")]


def test_of_equal_files_the_one_with_the_same_name_is_the_moved_one() -> None:
    identities = identify(
        [known_file(1, "x/a.mp4", "X"), known_file(2, "x/b.mp4", "X")],
        [],
        [seen("y/b.mp4", "X"), seen("y/a.mp4", "X")],
        [],
    )

    assert whose(identities) == {"y/a.mp4": 1, "y/b.mp4": 2}


def test_of_two_equal_videos_that_were_replaced_one_is_found_elsewhere_and_one_stays() -> None:
    identities = identify(
        [],
        [(known_file(1, "a", "X"), seen("a", "Y")), (known_file(2, "b", "X"), seen("b", "Z"))],
        [seen("c", "X")],
        [],
    )

    assert sorted(whose(identities)) == ["b", "c"]
    assert [file.place.path for file in identities.new] == ["a"]
    assert not identities.missing


def test_a_copy_becomes_part_of_the_video_whose_file_is_gone() -> None:
    old, copy = known_file(1, "a.mp4", "X"), known_file(2, "b.mp4", "X")

    identities = identify([old], [], [], [], [copy])

    assert identities.merged == [(copy, old)]
    assert whose(identities) == {"b.mp4": 1}
    assert not identities.missing


def test_a_copy_that_goes_leaves_the_video_where_it_is() -> None:
    old, copy = known_file(1, "a.mp4", "X"), known_file(2, "b.mp4", "X")

    identities = identify([copy], [], [], [], [old])

    assert identities.missing == [copy]
    assert not identities.merged


def test_a_copy_whose_time_changed_meanwhile_is_a_copy_still() -> None:
    old, copy = known_file(1, "a.mp4", "X"), known_file(2, "b.mp4", "X")

    identities = identify([old], [(copy, seen("b.mp4", "X"))], [], [])

    assert [(one.video, into.video) for one, into in identities.merged] == [(2, 1)]
    ((_, file),) = identities.moved
    assert file.stat.mtime_ns == 2
    assert not identities.touched


def test_of_two_copies_the_one_named_alike_is_taken() -> None:
    old = known_file(1, "x/a.mp4", "X")
    copies = [known_file(2, "y/b.mp4", "X"), known_file(3, "y/a.mp4", "X")]

    told = identify([old], [], [], [], copies)

    assert whose(told) == {"y/a.mp4": 1}


def test_two_that_are_gone_and_have_one_copy_leave_it_to_the_older() -> None:
    identities = identify(
        [known_file(1, "a", "X"), known_file(2, "b", "X")], [], [], [], [known_file(3, "c", "X")]
    )

    assert whose(identities) == {"c": 1}
    assert [one.video for one in identities.missing] == [2]


def test_a_film_that_was_converted_beside_itself_is_one_video() -> None:
    old, new = known_file(1, "x/film.avi", "X"), known_file(2, "x/film.mp4", "Y")

    identities = identify([old], [], [], [], [new])

    assert identities.merged == [(new, old)]
    assert [(one.video, file.place.path) for one, file in identities.replaced] == [
        (1, "x/film.mp4")
    ]


def test_two_that_are_named_like_the_one_that_is_gone_stay_what_they_are() -> None:
    old = known_file(1, "film.avi", "X")
    others = [known_file(2, "film.mp4", "Y"), known_file(3, "film.mkv", "Z")]

    identities = identify([old], [], [], [], others)

    assert identities.missing == [old]
    assert not identities.merged


def test_a_film_that_was_away_comes_back_under_another_suffix() -> None:
    gone = known_file(1, "film.avi", "X", missing=True)

    identities = identify([], [], [seen("FILM.mp4", "Y")], [gone])

    assert [(one.video, file.place.path) for one, file in identities.replaced] == [(1, "FILM.mp4")]
    assert not identities.new


def test_a_film_that_is_gone_now_rather_than_one_that_was_away_is_the_converted_one() -> None:
    gone, before = known_file(2, "film.avi", "X"), known_file(1, "film.mkv", "Z", missing=True)

    identities = identify([gone], [], [seen("film.mp4", "Y")], [before])

    assert [one.video for one, _ in identities.replaced] == [2]
    assert not identities.missing


def test_where_two_came_that_are_named_like_the_one_that_is_gone_nothing_is_guessed() -> None:
    gone = known_file(1, "film.avi", "X")

    identities = identify([gone], [], [seen("film.mp4", "Y"), seen("film.mkv", "Z")], [])

    assert identities.missing == [gone]
    assert len(identities.new) == 2


paths = st.sampled_from([f"p{n}" for n in range(8)])
contents = st.sampled_from("ABCDE")
disks = st.dictionaries(paths, contents, max_size=8)


@given(before=disks, after=disks)
def test_every_file_and_every_video_is_told_exactly_once(
    before: dict[str, str], after: dict[str, str]
) -> None:
    videos = {path: number for number, path in enumerate(sorted(before), 1)}
    gone = [known_file(videos[p], p, before[p]) for p in before if p not in after]
    changed = [
        (known_file(videos[p], p, before[p]), seen(p, after[p]))
        for p in before
        if p in after and after[p] != before[p]
    ]
    new = [seen(p, after[p]) for p in after if p not in before]

    identities = identify(gone, changed, new, [])

    files = [
        file.place.path
        for _, file in [*identities.replaced, *identities.moved, *identities.touched]
    ]
    files += [file.place.path for file in identities.new]
    assert sorted(files) == sorted({s.place.path for s in new} | {s.place.path for _, s in changed})
    numbers = [one.video for one, _ in [*identities.replaced, *identities.moved]]
    numbers += [one.video for one in identities.missing]
    assert sorted(numbers) == sorted({one.video for one in gone} | {o.video for o, _ in changed})


@given(disk=disks, moves=st.permutations([f"p{n}" for n in range(8)]))
def test_files_of_different_content_keep_their_videos_through_any_renaming(
    disk: dict[str, str], moves: list[str]
) -> None:
    contents_of = {path: f"{content}-{path}" for path, content in disk.items()}
    target = {f"p{number}": moves[number] for number in range(8)}
    videos = {path: number for number, path in enumerate(sorted(disk), 1)}
    after = {target[path]: content for path, content in contents_of.items()}
    gone = [known_file(videos[p], p, contents_of[p]) for p in disk if p not in after]
    changed = [
        (known_file(videos[p], p, contents_of[p]), seen(p, after[p]))
        for p in disk
        if p in after and after[p] != contents_of[p]
    ]
    new = [seen(p, after[p]) for p in after if p not in disk]

    identities = identify(gone, changed, new, [])

    moved = {target[path]: videos[path] for path in disk if target[path] != path}
    assert whose(identities) == moved
    assert not identities.new
    assert not identities.missing


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
    were = [known_file(next(left), f"gone/{n}/{path}.avi", content) for n, (path, content) in
            enumerate(gone)]  # fmt: skip
    there = [known_file(next(left), f"there/{n}/{path}.mp4", content) for n, (path, content) in
             enumerate(present)]  # fmt: skip
    missing = [known_file(next(left), f"away/{n}/{path}.avi", content, missing=True) for
               n, (path, content) in enumerate(away)]  # fmt: skip
    came = [seen(f"new/{path}.mp4", content) for path, content in new.items()]

    identities = identify(were, [], came, missing, there)

    pairs = [*identities.touched, *identities.replaced, *identities.moved, *identities.returned]
    files = [file.place for _, file in pairs] + [file.place for file in identities.new]
    copies = {copy.video: copy.place for copy, _ in identities.merged}
    assert len(files) == len(set(files))
    assert set(files) == {file.place for file in came} | set(copies.values())
    videos = [one.video for one, _ in pairs] + [one.video for one in identities.missing]
    assert len(videos) == len(set(videos))
    assert set(videos) >= {one.video for one in were}
    assert not copies.keys() & set(videos)
    assert all(into.video < copy.video for copy, into in identities.merged)
