"""The data set of an old server, with all its damage, against the facts that came with it."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from generator.adapters.import_sources.find_sources import ImportSources, read_sources
from generator.core.library.import_entries import ImportField

CLEAN = {"stars": 313, "views": 302, "tags": 218, "favorite": 192}
WHOLE = [
    "clean_original_shape", "bom_crlf", "raw_unicode", "utf16", "favorites_bare_list",
    "richer_shapes",
]  # fmt: skip
FILES = ("ratings", "views", "tags", "favorites")


@pytest.fixture(scope="module")
def legacy(shared: Path) -> Path:
    return shared / "media" / "legacy"


@pytest.fixture(scope="module")
def facts(legacy: Path) -> Any:  # noqa: ANN401 (JSON)
    return json.loads((legacy / "facts.json").read_text("utf-8"))


def counts(sources: ImportSources) -> dict[str, int]:
    return dict(Counter(str(entry.field) for entry in sources.entries))


def values(sources: ImportSources, field: ImportField) -> dict[str, Any]:
    return {entry.key: entry.value for entry in sources.entries if entry.field is field}


def reasons(sources: ImportSources, source: str) -> dict[str, list[str]]:
    by_key: dict[str, list[str]] = {}
    for line in sources.rejected:
        if line.source == source:
            by_key.setdefault(line.key, []).append(line.reason)
    return by_key


def test_every_odd_rating_is_four_stars_or_listed_with_its_reason(
    legacy: Path, facts: dict[str, Any]
) -> None:
    sources = read_sources(legacy, {})
    raw = json.loads((legacy / "ratings.json").read_text("utf-8"))
    stars, listed = values(sources, ImportField.STARS), reasons(sources, "ratings.json")
    odd = {eval(text, {"__builtins__": {}}) if text[0] not in "[{" else text: key
           for key, text in facts["odd_ratings"].items()}  # fmt: skip

    assert stars.keys() | listed.keys() == raw.keys()
    assert not stars.keys() & listed.keys()
    assert {text: stars.get(key) for text, key in odd.items() if key in stars} == {
        "4": 4,
        4.0: 4,
        " 5 ": 5,
    }
    assert listed.keys() == facts["odd_ratings"].keys() - {odd["4"], odd[4.0], odd[" 5 "]}
    assert {key: stars[key] for key in stars if key not in facts["odd_ratings"]} == {
        key: value for key, value in raw.items() if key not in facts["odd_ratings"]
    }


def test_every_odd_number_of_views_is_listed_but_the_one_in_quotes(
    legacy: Path, facts: dict[str, Any]
) -> None:
    sources = read_sources(legacy, {})
    raw = json.loads((legacy / "views.json").read_text("utf-8"))
    views, listed = values(sources, ImportField.VIEWS), reasons(sources, "views.json")

    assert views["deleted_Concert_3.mp4"] == 12
    assert listed.keys() == facts["odd_views"].keys() - {"deleted_Concert_3.mp4"}
    assert views.keys() == raw.keys() - listed.keys()
    assert set(facts["path_prefixed_view_keys"]) <= views.keys()


def test_odd_tags_are_read_one_by_one(legacy: Path, facts: dict[str, Any]) -> None:
    sources = read_sources(legacy, {})
    tags, listed = values(sources, ImportField.TAGS), reasons(sources, "tags.json")
    odd = {text: key for key, text in facts["odd_tags"].items()}

    def at(beginning: str) -> str:
        return next(key for text, key in odd.items() if text.startswith(beginning))

    assert tags[at("'a, b, c'")] == ("a", "b", "c")
    assert tags[at("'#single'")] == ("single",)
    assert tags[at("['#dup'")] == ("dup",)
    assert tags[at("['no-hash'")] == ("no-hash",)
    assert tags[at("[1, None")] == ("ok",)
    assert listed[at("[1, None")] == ["1 is no tag", "null is no tag"]
    assert listed[at("['', ' '")] == ['"" is no tag', '" " is no tag', '"#" is no tag']
    assert listed[at("None")] == listed[at("[]")] == ["no tags"]
    assert listed[at("[['#nested']]")] == ["a list is no tag"]
    assert listed[at("{'#x'")] == ['an object without "tags"']
    assert "is longer than 200 characters" in listed[at("['#xxxx")][0]
    assert len(tags[at("['<script>")]) == 5


def test_favorites_are_once_each_and_what_is_no_file_is_listed(
    legacy: Path, facts: dict[str, Any]
) -> None:
    sources = read_sources(legacy, {})
    raw = json.loads((legacy / "favorites.json").read_text("utf-8"))["favorites"]
    names = {name for name in raw if isinstance(name, str)} - {"", "../../etc/passwd"}

    assert values(sources, ImportField.FAVORITE).keys() == names | {"x.mp4"}
    assert len([entry for entry in sources.entries if entry.field == "favorite"]) == len(names) + 1
    assert reasons(sources, "favorites.json") == {
        "": ["null is no file name", "5 is no file name", "names no file"],
        "../../etc/passwd": ["leaves the folder of the library"],
    }
    assert facts["case_variant_key"] in values(sources, ImportField.STARS)


@pytest.mark.parametrize("variant", WHOLE)
def test_whole_variants_have_the_same_entries_and_nothing_is_listed(
    legacy: Path, facts: dict[str, Any], variant: str
) -> None:
    sources = read_sources(legacy / "variants" / variant, {})
    original = read_sources(legacy / "variants" / "clean_original_shape", {})

    assert sources.rejected == ()
    assert counts(sources) == CLEAN
    for field in ("stars", "views", "tags", "favorite"):
        assert values(sources, ImportField(field)) == values(original, ImportField(field))
    stars = Counter(values(sources, ImportField.STARS).values())
    assert {str(count): stars[count] for count in stars} == facts["clean_rating_histogram"]
    assert sum(values(sources, ImportField.VIEWS).values()) == facts["clean_total_views"]
    distinct = {tag for tags in values(sources, ImportField.TAGS).values() for tag in tags}
    assert len(distinct) == facts["clean_distinct_tags"]
    assert {
        "stars": facts["clean_counts"]["ratings"],
        "views": facts["clean_counts"]["views"],
        "tags": facts["clean_counts"]["tags"],
        "favorite": facts["clean_counts"]["favorites"],
    } == CLEAN


def test_richer_shapes_have_times(legacy: Path) -> None:
    sources = read_sources(legacy / "variants" / "richer_shapes", {})

    assert {entry.at for entry in sources.entries if entry.field == "stars"} == {1714557600}
    assert {entry.at for entry in sources.entries if entry.field == "views"} == {1714557600}
    assert {entry.at for entry in sources.entries if entry.field == "favorite"} == {1672617600}


def test_the_database_has_the_same_and_when_videos_were_added(legacy: Path) -> None:
    sources = read_sources(legacy / "variants" / "video_metadata.db", {})
    original = read_sources(legacy / "variants" / "clean_original_shape", {})

    assert sources.rejected == ()
    assert counts(sources) == {**CLEAN, "added": 333}
    for field in ("stars", "views", "tags", "favorite"):
        assert values(sources, ImportField(field)) == values(original, ImportField(field))
    assert values(sources, ImportField.ADDED)["Kitchen_Garden-Garden.mp4"] == 1688251926


def test_the_database_beside_its_json_files_counts_each_once(legacy: Path, tmp_path: Path) -> None:
    shutil.copytree(legacy / "variants" / "clean_original_shape", tmp_path / "both")
    shutil.copy(legacy / "variants" / "video_metadata.db", tmp_path / "both")

    sources = read_sources(tmp_path / "both", {})

    assert counts(sources) == {**CLEAN, "added": 333}
    assert sources.rejected == ()
    assert {entry.source for entry in sources.entries} == {"video_metadata.db"}


def test_a_map_of_favorites_has_those_that_are_true(legacy: Path) -> None:
    folder = legacy / "variants" / "favorites_as_map"
    raw = json.loads((folder / "favorites.json").read_text("utf-8"))

    sources = read_sources(folder, {})

    assert values(sources, ImportField.FAVORITE).keys() == {key for key in raw if raw[key]}
    assert sources.rejected == ()


def test_of_doubled_keys_the_last_counts_and_the_others_are_listed(legacy: Path) -> None:
    sources = read_sources(legacy / "variants" / "duplicate_keys", {})
    first = "Bicycle-Factory_Morning_at_the_lake_Hiking_draft_1080p_1080p.mp4"

    assert counts(sources) == CLEAN
    assert values(sources, ImportField.STARS)[first] == 5
    assert values(sources, ImportField.VIEWS)["Birthday Violin_part1-Lecture.mp4"] == 999
    assert reasons(sources, "ratings.json")[first] == ["1 is followed by 5", "4 is followed by 5"]
    assert len(sources.rejected) == 4


def test_comments_commas_and_numbers_that_are_none_leave_the_rest(legacy: Path) -> None:
    sources = read_sources(legacy / "variants" / "nan_and_comments", {})

    assert values(sources, ImportField.STARS) == {"Bicycle-Garden_Review-f0d0bead.mp4": 3}
    assert [line.reason for line in sources.rejected] == [
        "NaN is no number of stars",
        "Infinity is no number of stars",
        "Infinity is no number of views",
    ]


def test_what_is_whole_before_a_cut_is_imported(legacy: Path) -> None:
    folder = legacy / "variants" / "truncated"
    original = read_sources(legacy / "variants" / "clean_original_shape", {})
    text = (folder / "ratings.json").read_text("utf-8")

    sources = read_sources(folder, {})

    stars = values(sources, ImportField.STARS)
    assert len(stars) == text.count(",") == 186
    assert stars.items() <= values(original, ImportField.STARS).items()
    tags, all_tags = values(sources, ImportField.TAGS), values(original, ImportField.TAGS)
    *whole, last = tags
    assert all(tags[key] == all_tags[key] for key in whole)
    assert tags[last] == all_tags[last][: len(tags[last])]
    assert reasons(sources, "tags.json")[last] == ["is cut off here: later tags are missing"]
    assert "is cut off: only what comes before was read" in reasons(sources, "ratings.json")[""][0]


def test_what_comes_after_the_end_is_listed_and_not_read(legacy: Path) -> None:
    sources = read_sources(legacy / "variants" / "trailing_garbage", {})

    assert counts(sources) == CLEAN
    assert [line.key for line in sources.rejected] == [""] * 4
    assert all("has more after its end" in line.reason for line in sources.rejected)


@pytest.mark.parametrize(
    ("variant", "reason"),
    [("null", "nothing but null"), ("zero_bytes", "is empty"), ("wrong_top_level", "holds")],
)
def test_files_without_entries_are_listed_as_a_whole(
    legacy: Path, variant: str, reason: str
) -> None:
    sources = read_sources(legacy / "variants" / variant, {})

    assert sources.entries == ()
    assert [line.source for line in sources.rejected] == sorted(f"{name}.json" for name in FILES)
    assert all(line.key == "" and reason in line.reason for line in sources.rejected)


def test_empty_objects_have_nothing_and_a_single_file_is_enough(legacy: Path) -> None:
    empty = read_sources(legacy / "variants" / "empty_objects", {})
    alone = read_sources(legacy / "variants" / "only_ratings", {})

    assert (empty.entries, empty.rejected, len(empty.files)) == ((), (), 4)
    assert counts(alone) == {"stars": CLEAN["stars"]}


def test_tags_in_a_file_for_each_video(legacy: Path) -> None:
    sources = read_sources(legacy / "variants" / "sidecar_tags", {})

    assert counts(sources) == {"tags": 11}
    assert values(sources, ImportField.TAGS)["Travel Hiking-b7d0a6d7.mkv"] == ("oops",)
    assert {line.source for line in sources.rejected} == {"Hiking_Keynote_f2b3baaa.mp4.json"}
