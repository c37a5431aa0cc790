"""Copying: which files may be on their way, told from names and times alone."""

import pytest

from generator.core.library.file_filter import compile_filter
from generator.core.library.unfinished import complaint, is_part_of_a_film, may_grow

PLAIN = compile_filter()
NOW = 1_790_000_000


@pytest.mark.parametrize(
    "name",
    [
        "film.f137.mp4", "film.f399-1.mp4", "A film [abc].f248.webm", "two\nlines.f1.mkv",
    ],
)  # fmt: skip
def test_pictures_without_sound_are_known_by_the_names_that_ytdlp_gives(name: str) -> None:
    assert is_part_of_a_film(name)


@pytest.mark.parametrize("name", ["film.mp4", "f137.mp4", "film.F137.mp4", "film.fps.mp4", ".f1"])
def test_other_names_wait_for_nothing(name: str) -> None:
    assert not is_part_of_a_film(name)


@pytest.mark.parametrize(
    ("age_s", "may"), [(0, True), (3599, True), (3601, False), (-30, True), (-(10**9), False)]
)
def test_a_file_may_grow_for_an_hour_after_it_was_touched(age_s: int, *, may: bool) -> None:
    assert may_grow((NOW - age_s) * 10**9, NOW) is may


def test_the_reason_tells_what_happens_next_only_where_something_does() -> None:
    assert complaint("1 MB of 2 MB are there", waits=True) == (
        "is truncated: 1 MB of 2 MB are there;"
        " it will be read when complete, or after an hour as it is"
    )
    assert complaint("1 MB of 2 MB are there", waits=False) == (
        "is truncated: 1 MB of 2 MB are there"
    )


@pytest.mark.parametrize(
    "name",
    [
        "film.mp4.part", "Unconfirmed 123.crdownload", "film.mp4.crdownload", "film.mp4.download",
        "film.q8Zx1a.mp4.part", "film.mp4.opdownload", "film.mp4.partial",  # browsers
        "film.mp4.!qB", "film.mp4.!ut", "film.mp4.!bt", "film.mp4.bc!", "film.mp4.az!",  # torrents
        ".film.mp4.Xa81kz", ".syncthing.film.mp4.tmp", "~syncthing~film.mp4.tmp",  # copying
        ".film.mp4.~1f2e", "film.mp4.ocTransferId9.part", "film.mp4.!sync",
        ".unison.film.mp4.1a2b.unison.tmp", "film.mp4.1a2b3c4d.partial", "film.mp4.filepart",
        "film.mp4.aria2", "film.mp4.part-Frag3", "film.mp4.part-Frag3.part", "film.f137.mp4.part",
        "film.mp4.ytdl", "film.temp.mp4", "film.f137.temp.mp4", "film.mp4.xltd", "film.mp4.jc!",
        "film.mkv.partial~", "film.mp4.fdmdownload",
    ],
)  # fmt: skip
def test_what_programs_call_a_file_they_still_write_is_neither_taken_nor_a_hint(name: str) -> None:
    assert not PLAIN.takes_file(name)
    assert PLAIN.passes_over(name) or name.endswith((".temp.mp4", ".temp.webm"))
