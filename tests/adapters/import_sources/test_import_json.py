"""The JSON files of a video server."""

import json
import os
from pathlib import Path

import pytest

from generator.adapters.import_sources.find_sources import ImportSources, read_sources
from generator.adapters.import_sources.precedence import SourceKind
from generator.core.errors import SettingsError
from generator.core.library.import_entries import ImportEntry, ImportField


def write(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text, encoding="utf-8")
    return path


def values(sources: ImportSources) -> dict[tuple[str, str], object]:
    return {(entry.key, str(entry.field)): entry.value for entry in sources.entries}


def lines(sources: ImportSources) -> list[tuple[str, str, str]]:
    return [(line.source, line.key, line.reason) for line in sources.rejected]


def test_a_folder_with_all_four_is_read(tmp_path: Path) -> None:
    write(tmp_path, "ratings.json", {"a.mp4": 4})
    write(tmp_path, "Views.JSON", {"a.mp4": 7})
    write(tmp_path, "tags.json", {"a.mp4": ["#Trip", "trip", "#two words"]})
    write(tmp_path, "favorites.json", {"favorites": ["a.mp4", "a.mp4"]})
    write(tmp_path, "notes.json", {"a.mp4": 1})

    sources = read_sources(tmp_path, {})

    assert values(sources) == {
        ("a.mp4", "stars"): 4,
        ("a.mp4", "views"): 7,
        ("a.mp4", "tags"): ("trip", "two words"),
        ("a.mp4", "favorite"): True,
    }
    assert sources.rejected == ()
    assert [file.source for file in sources.files] == [
        "Views.JSON", "favorites.json", "ratings.json", "tags.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (True, "true is no number of stars"),
        (3.7, "3.7 is no whole number of stars"),
        (0, "0 is no rating"),
        (6, "6 is not between 1 and 5 stars"),
        (-1, "-1 is not between 1 and 5 stars"),
        ("five", '"five" is no number of stars'),
        ("1_0", '"1_0" is no number of stars'),
        ("٤", '"٤" is no number of stars'),
        ("", "no rating"),
        (None, "no rating"),
        ([5], "a list is no number of stars"),
        ({"value": 4}, 'an object without "rating" or "stars"'),
        ({"rating": 4, "stars": 5}, 'an object without "rating" or "stars"'),
        (10**30, "1e+30 is not between 1 and 5 stars"),
        ("5" * 5000, f'"{"5" * 57}…" is no number of stars'),
    ],
)
def test_what_is_no_rating_is_listed_with_its_reason(
    tmp_path: Path, value: object, reason: str
) -> None:
    write(tmp_path, "ratings.json", {"a.mp4": value, "b.mp4": 5})

    sources = read_sources(tmp_path, {})

    assert lines(sources) == [("ratings.json", "a.mp4", reason)]
    assert values(sources) == {("b.mp4", "stars"): 5}


@pytest.mark.parametrize(("value", "stars"), [("4", 4), (" 5 ", 5), (4.0, 4), ("3.0", 3)])
def test_a_rating_that_leaves_no_choice_is_imported(
    tmp_path: Path, value: object, stars: int
) -> None:
    write(tmp_path, "ratings.json", {"a.mp4": value})

    assert values(read_sources(tmp_path, {})) == {("a.mp4", "stars"): stars}


def test_views_are_from_one_to_a_million_million(tmp_path: Path) -> None:
    views = {"a.mp4": 10**12, "b.mp4": 10**12 + 1, "c.mp4": 0, "d.mp4": 1}
    write(tmp_path, "views.json", views)

    sources = read_sources(tmp_path, {})

    assert values(sources) == {("a.mp4", "views"): 10**12, ("d.mp4", "views"): 1}
    assert [key for _, key, _ in lines(sources)] == ["b.mp4", "c.mp4"]


def test_keys_that_can_be_no_video_are_listed(tmp_path: Path) -> None:
    odd = ["", "..", "../a.mp4", "version", "a.txt", "a.mp4\0", "\ud800.mp4", "mp4"]
    write(
        tmp_path, "views.json", dict.fromkeys([*odd, "C:\\v\\a.mp4", "./v/b.MKV", "\udce9.mp4"], 1)
    )

    sources = read_sources(tmp_path, {})

    assert [entry.key for entry in sources.entries] == ["C:\\v\\a.mp4", "./v/b.MKV", "\udce9.mp4"]
    assert [key for _, key, _ in lines(sources)] == odd


@pytest.mark.parametrize(
    ("text", "stars", "reason"),
    [
        ('{"a.mp4": 4, "b.mp4": 3', {"a.mp4": 4}, "is cut off"),
        ('{"a.mp4": 4, "b.mp4": 3 ', {"a.mp4": 4, "b.mp4": 3}, "is cut off"),
        ('{"a.mp4": 4, "b.mp', {"a.mp4": 4}, "is cut off"),
        ('{"a.mp4": 4, "b.mp4": {"rating": 3, "upd', {"a.mp4": 4, "b.mp4": 3}, "is cut off"),
        ('{"a.mp4": 4, "b.mp4": {"rat', {"a.mp4": 4}, "is cut off"),
        ('{"a.mp4": 4 "b.mp4": 3}', {"a.mp4": 4}, "is damaged"),
        ('{"a.mp4": 4, "b.mp4": four, "c.mp4": 3}', {"a.mp4": 4}, "is damaged"),
        ('{"a.mp4": 4} trailing', {"a.mp4": 4}, "has more after its end"),
        ('{"a.mp4": 4}\0\0\0\0', {"a.mp4": 4}, "has more after its end"),
        ('{"a.mp4": 4, "b.mp4": 1e400}', {"a.mp4": 4}, "Infinity is no number"),
        ('{"a.mp4": 4,, "b.mp4": 3}', {"a.mp4": 4}, "is damaged"),
        ('{"a.mp4": 4, "b.mp4": 010}', {"a.mp4": 4}, "is damaged"),
        ('\ufeff{/* x */ "a.mp4": 4, # y\n // z\n}', {"a.mp4": 4}, None),
        ('{"a.mp4": 4} // the end', {"a.mp4": 4}, None),
        ("not JSON", {}, "is no JSON"),
        ("\0\0\0\0", {}, "holds only zeros"),
        ("[" * 100_000, {}, "is nested too deeply"),
        ('{"a.mp4": 4, "b.mp4": ' + "[" * 100_000, {"a.mp4": 4}, "is nested too deeply"),
        ('{"a":' * 100_000, {}, "is nested too deeply"),
    ],
)
def test_damaged_json_is_read_up_to_its_damage(
    tmp_path: Path, text: str, stars: dict[str, int], reason: str | None
) -> None:
    write(tmp_path, "ratings.json", text)

    sources = read_sources(tmp_path, {})

    assert {entry.key: entry.value for entry in sources.entries} == stars
    reasons = [reason for _, _, reason in lines(sources)]
    assert (reason is None) == (not reasons)
    assert reason is None or any(reason in line for line in reasons)


def test_letters_in_no_encoding_damage_only_their_entry(tmp_path: Path) -> None:
    write(tmp_path, "ratings.json", b'{"caf\xe9.mp4": 4, "caf\xc3\xa9.mp4": 3}')

    sources = read_sources(tmp_path, {})

    assert values(sources) == {("café.mp4", "stars"): 3}
    assert [reason for _, _, reason in lines(sources)] == [
        "is not UTF-8 from its byte 5 on",
        "is no file name: some of its letters are damaged",
    ]


def test_the_last_of_doubled_keys_counts_even_if_it_is_no_rating(tmp_path: Path) -> None:
    write(tmp_path, "ratings.json", '{"a.mp4": 4, "a.mp4": "five", "b.mp4": 3, "b.mp4": 3}')

    sources = read_sources(tmp_path, {})

    assert values(sources) == {("b.mp4", "stars"): 3}
    assert [line[1:] for line in lines(sources)] == [
        ("a.mp4", '4 is followed by "five"'),
        ("a.mp4", '"five" is no number of stars'),
    ]


def test_a_million_entries_and_a_file_too_large(tmp_path: Path) -> None:
    with (tmp_path / "ratings.json").open("wb") as huge:
        huge.truncate(2**30)
    write(tmp_path, "views.json", {"a.mp4": 1})

    sources = read_sources(tmp_path, {})

    assert lines(sources) == [("ratings.json", "", "is larger than 128 MB")]
    assert values(sources) == {("a.mp4", "views"): 1}


def test_what_is_no_regular_file_is_never_opened(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", "ratings.json", {"a.mp4": 4})
    folder = tmp_path / "old"
    write(folder, "inside.json", {"a.mp4": ["x"]})
    os.mkfifo(folder / "views.json")
    (folder / "ratings.json").symlink_to(outside)
    (folder / "tags.json").symlink_to("inside.json")
    (folder / "favorites.json").symlink_to("favorites.json")
    (folder / "video_metadata.db").mkdir()
    os.mkfifo(folder / "a.nfo")
    (folder / "b.csv").symlink_to("/dev/zero")

    sources = read_sources(folder, {})

    assert values(sources) == {("a.mp4", "tags"): ("x",)}
    assert {line[0]: line[2] for line in lines(sources)} == {
        "views.json": "is no regular file",
        "ratings.json": "is a link out of the folder, which is not followed",
        "favorites.json": "is no regular file",
        "a.nfo": "is no regular file",
        "b.csv": "is a link out of the folder, which is not followed",
    }


@pytest.mark.parametrize("name", ["pipe", "ratings.json"])
def test_a_pipe_by_its_name_does_not_hang(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)

    assert lines(read_sources(tmp_path / name, {})) == [(name, "", "is no regular file")]


def test_tags_beside_a_video_of_the_library_are_left_to_the_scan(tmp_path: Path) -> None:
    library, copy = tmp_path / "films", tmp_path / "copy"
    for folder in (library, copy):
        write(folder, "sub/a.mp4", b"video")
        write(folder, "sub/a.mp4.json", {"tags": ["#trip"], "title": "A"})
        write(folder, "sub/gone.mp4.json", {"tags": ["#gone"]})
        write(folder, "ratings.json", {})
    write(library, "b.mp4.json", ["#list", 5])

    here = read_sources(library, {"": library})
    elsewhere = read_sources(copy, {"": library})

    assert values(here) == {("b.mp4", "tags"): ("list",)}
    assert lines(here) == [("b.mp4.json", "b.mp4", "5 is no tag")]
    assert values(elsewhere) == {("sub/a.mp4", "tags"): ("trip",)}
    assert lines(elsewhere) == []


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("ratings-2024.json.bak", {"a.mp4": 4}, SourceKind.RATINGS),
        ("my views (1).json", {"a.mp4": 4}, SourceKind.VIEWS),
        ("list.json", {"favorites": ["a.mp4"]}, SourceKind.FAVORITES),
        ("a.mp4.json", {"tags": ["x"]}, SourceKind.VIDEO_TAGS),
        ("spreadsheet.txt", "path,stars\na.mp4,4\n", SourceKind.TABLE),
    ],
)
def test_a_file_that_is_named_is_recognized_by_name_or_content(
    tmp_path: Path, name: str, content: object, kind: SourceKind
) -> None:
    sources = read_sources(write(tmp_path, name, content), {})

    assert [file.kind for file in sources.files] == [kind]
    assert len(sources.entries) == 1


def test_numbers_without_a_word_in_the_name_are_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="it is not recognized") as raised:
        read_sources(write(tmp_path, "numbers.json", {"a.mp4": 4}), {})

    assert "ratings.json, views.json" in raised.value.hint


def test_a_folder_with_nothing_says_what_was_looked_for_and_what_is_there(tmp_path: Path) -> None:
    for name in "abcdefg":
        write(tmp_path, f"{name}.txt", "")

    with pytest.raises(SettingsError) as raised:
        read_sources(tmp_path, {})

    assert "it has a.txt, b.txt, c.txt, d.txt, e.txt and 2 more" in str(raised.value)
    assert "video_metadata.db" in raised.value.hint
    with pytest.raises(SettingsError, match="No such file"):
        read_sources(tmp_path / "gone", {})


def test_favorites_may_have_dates_and_values_that_are_no_answer_are_listed(tmp_path: Path) -> None:
    elements = [
        {"filename": "a.mp4", "added": "2024-05-01T12:00:00+02:00"},
        {"file": "b.mp4", "added": "0001-01-01"},
        {"name": "c.mp4"},
    ]
    write(tmp_path, "favorites.json", elements)

    sources = read_sources(tmp_path, {})

    assert sources.entries == (
        ImportEntry("favorites.json", "a.mp4", ImportField.FAVORITE, value=True, at=1714557600),
        ImportEntry("favorites.json", "b.mp4", ImportField.FAVORITE, value=True),
    )
    assert lines(sources) == [("favorites.json", "", "an object without a file name")]
    write(tmp_path, "favorites.json", {"a.mp4": True, "b.mp4": False, "c.mp4": 1})
    assert lines(read_sources(tmp_path, {})) == [
        ("favorites.json", "c.mp4", "1 is neither true nor false")
    ]
