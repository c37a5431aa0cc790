"""What Google Takeout calls the .json of a film, and in which spellings a name is one name."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.core.library.name_matching import NameIndex, level_of
from generator.core.library.sidecar_files import between, sidecars_of
from generator.core.library.takeout import NameMatch, agrees, fit_of

TAIL = ".supplemental-metadata"
LONG = "VID_20090915_120000_a_name_of_more_than_46_letters_x.mp4"


def owners(videos: list[str], *names: str) -> dict[str, list[str]]:
    found = sidecars_of("", videos, dict.fromkeys(names, (1, 1)))
    return {video: [one.place.path for one in some] for video, some in found.items()}


@pytest.mark.parametrize(
    ("video", "stem", "fit"),
    [
        ("IMG.mp4", "IMG.mp4", NameMatch.WHOLE),
        ("IMG.mp4", "IMG.mp4" + TAIL, NameMatch.TAILED),
        ("IMG.mp4", "IMG.mp4.s", NameMatch.TAILED),
        ("IMG.mp4", "IMG.mp4.", NameMatch.TAILED),
        ("IMG(1).mp4", "IMG.mp4" + TAIL + "(1)", NameMatch.TAILED),
        ("IMG(1).mp4", "IMG.mp4(1)", NameMatch.TAILED),
        ("IMG(1).mp4", "IMG(1).mp4" + TAIL, NameMatch.TAILED),
        (LONG, LONG[:46], NameMatch.CUT),
        (LONG.replace(".", "(2)."), LONG[:46] + "(2)", NameMatch.CUT),
        ("IMG-edited.mp4", "IMG.mp4" + TAIL, NameMatch.EDITED),
        ("IMG-bearbeitet(1).mp4", "IMG.mp4(1)", NameMatch.EDITED),
        ("IMG_1.MP4", "IMG_1.HEIC", NameMatch.LIVE),
        ("IMG_1(3).MP4", "IMG_1.HEIC" + TAIL + "(3)", NameMatch.LIVE),
        # other films'
        ("IMG.mp4", "IMG.mp4(1)", None),
        ("IMG(1).mp4", "IMG.mp4" + TAIL, None),
        ("IMG(1).mp4", "IMG.mp4(2)", None),
        ("IMG_10.mp4", "IMG_1.mp4", None),
        ("IMG_1.mp4", "IMG_10.HEIC", None),
        ("holiday.mp4", "holi", None),
        ("IMG.mp4", "IMG.mp4.superb", None),
        ("IMG-edited.mp4", "IMG_1.mp4", None),
    ],
)
def test_a_json_is_named_after_a_film(video: str, stem: str, fit: NameMatch | None) -> None:
    assert fit_of(video, stem) is fit


@given(
    st.text("abcXYZ_09", min_size=1, max_size=60),
    st.sampled_from(("", "(1)", "(23)")),
)
def test_wherever_takeout_cuts_a_name_the_film_finds_it(name: str, number: str) -> None:
    video = f"{name}{number}.mp4"
    stem = f"{name}.mp4{TAIL}"[:46] + number

    found = owners([video, "other.mp4"], stem + ".json")

    assert found == {video: [stem + ".json"]}


def test_of_two_that_begin_alike_only_the_number_or_the_title_within_tells() -> None:
    numbered = LONG.replace(".", "(1).")
    first, other = LONG[:46] + ".json", LONG[:46] + "(1).json"

    owned = owners([LONG, numbered], first, other)

    assert owned[numbered][0] == other
    assert owned[LONG] == [first]
    assert agrees(LONG, LONG)
    assert agrees(numbered, LONG)
    assert not agrees(LONG, LONG.replace("_x.", "_y."))
    assert not agrees(LONG, LONG.replace(".mp4", ".mov"))
    assert not agrees(LONG, None)


def test_a_film_has_its_own_json_before_that_of_the_picture_it_moves_with() -> None:
    found = owners(["IMG_1.MP4"], "IMG_1.HEIC.json", "IMG_1.MP4.json")

    assert found == {"IMG_1.MP4": ["IMG_1.MP4.json", "IMG_1.HEIC.json"]}


def test_names_that_are_cut_cost_no_more_in_a_large_folder() -> None:
    videos = [f"{LONG[:47]}({number}).mp4" for number in range(3000)]
    files = [f"{LONG[:46]}({number}).json" for number in range(3000)]

    found = owners(videos, *files)  # in a second or so, or the test times out

    assert found[videos[7]] == [files[7]]


# spellings


@pytest.mark.parametrize(
    ("video", "companion"),
    [
        ("Fête café", "Fête café"),
        ("MOVIE", "movie"),
        ("film", "FILM"),
        ("ÉTÉ", "été"),
        ("Straße", "STRASSE"),
        ("İzmir", "izmir"),
        ("\u0130zmir", "I\u0307zmir"),
        ("Ⅳ", "ⅳ"),
        ("한글", "한글"),
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_in_another_spelling_is_the_same_name(video: str, companion: str, form: str) -> None:
    other = "NFD" if form == "NFC" else "NFC"
    film = unicodedata.normalize(form, video) + ".MP4"
    stem = unicodedata.normalize(other, companion)
    names = [stem + end for end in (".toml", ".nfo", ".fr.srt", "-poster.jpg", ".info.json")]
    names.append(stem + ".mp4.json")

    owned = owners(["a/" + film, "a/z.mp4"], *("a/" + name for name in names))

    assert {path.removeprefix("a/") for path in owned["a/" + film]} == set(names)
    assert list(owned) == ["a/" + film]
    assert between(film, stem + ".fr.srt") == "fr"


def test_what_has_the_very_name_comes_before_what_is_only_spelled_like_it() -> None:
    composed, decomposed = "é.mp4", unicodedata.normalize("NFD", "é.mp4")
    films = ["Movie.mp4", "MOVIE.mp4", composed, decomposed, "Maße.mp4", "Masse.mp4"]
    files = ["Movie.toml", "movie.toml", "MASSE.toml", "maße.toml"]
    files += [composed.replace("mp4", "toml"), decomposed.replace("mp4", "toml")]

    owned = owners(films, *files)

    assert owned["Movie.mp4"] == ["Movie.toml"]
    assert owned["MOVIE.mp4"] == ["movie.toml"]  # of several, the first
    assert owned[composed] == [composed.replace("mp4", "toml")]
    assert owned[decomposed] == [decomposed.replace("mp4", "toml")]
    assert owned["Maße.mp4"] == ["maße.toml"]
    assert owned["Masse.mp4"] == ["MASSE.toml"]


@given(st.text(), st.text())
def test_any_two_names_are_one_name_or_two_both_ways(first: str, other: str) -> None:
    assert level_of(first, first) == 0
    assert level_of(first, other) == level_of(other, first)
    names = NameIndex()
    names.add(first, "film")
    assert bool(names.find(other)[1]) is (level_of(first, other) is not None)
