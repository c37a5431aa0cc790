"""Tags: one spelling each, whatever they are made of, and none that nobody can see."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api_lambda.events import tag_names, tags_to_remove
from generator.adapters.catalogue import Catalogue
from generator.core.formatting import escape_controls, normalize_tag
from generator.core.model import Event, EventKind, VideoId

TEXTS = st.text(st.characters(), max_size=12)
INVISIBLE = (
    "\u200c\u200d\u034f\u115f\u1160\u17b4\u2800\u3164\ufe0f\uffa0\U000e0100 \u3000\u00ad\u202e"
)


@given(TEXTS)
@example("J\u030c")
@example("T\u0308 W\u030a")
@example("\u0130#")
@example("\u1e9e\ufb03")
@example("\u200d#x")
def test_the_spelling_of_a_spelling_is_itself(text: str) -> None:
    tag = normalize_tag(text)

    assert normalize_tag(tag) == tag
    assert tag == unicodedata.normalize("NFC", tag).strip()


def test_the_spelling_of_every_letter_with_every_accent_is_itself() -> None:
    letters = [chr(n) for n in range(0x250) if chr(n).isalpha()]
    for accent in map(chr, range(0x300, 0x370)):
        for letter in letters:
            tag = normalize_tag(letter + accent)
            assert normalize_tag(tag) == tag


@given(st.text(INVISIBLE, max_size=6))
def test_what_nobody_sees_is_no_tag(text: str) -> None:
    assert normalize_tag(text) == ""
    assert normalize_tag("#" + text) == ""


@pytest.mark.parametrize(
    "tag", ["\U0001f468\u200d\U0001f469", "\u0645\u06cc\u200c\u062e\u0648", "\u2764\ufe0f"]
)
def test_joiners_stay_where_they_join(tag: str) -> None:
    assert normalize_tag(tag) == tag


@pytest.mark.parametrize("shown", ["j\u030c", "t\u0308", "w\u030a", "\u200d", "fjord"])
def test_a_tag_can_be_taken_off_by_what_is_shown(shown: str) -> None:
    with Catalogue(Path(":memory:")) as catalogue:
        connection = catalogue._connection  # noqa: SLF001 (as a former version left it)
        connection.execute(
            "INSERT INTO video (id, slug, root, path, title, added_at, recorded_at, size_bytes,"
            " mtime_ns, fingerprint, container)"
            " VALUES (1, 'a', '', 'a.mp4', 'a', 0, 0, 0, 0, '', '')"
        )
        connection.execute("INSERT INTO tag VALUES (1, ?, 'folder', 0)", (shown,))
        assert catalogue.stats([VideoId(1)])[0].tags == (shown,)

        value: dict[str, object] = {"names": list(tags_to_remove(shown))}
        catalogue.append([Event("x", EventKind.UNTAGGED, 1, "owner", VideoId(1), value)])

        assert catalogue.stats([VideoId(1)])[0].tags == ()


def test_what_is_taken_in_another_spelling_is_told_in_its_own() -> None:
    assert tags_to_remove(" #FJORD ") == ("fjord",)
    assert tag_names(["\u200d", "#", "a"]) == ("a",)


@given(TEXTS)
def test_what_is_escaped_steers_no_terminal(text: str) -> None:
    for character in escape_controls(text):
        steers = unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        assert not steers or character in "\n\t\u200c\u200d"


def test_an_escape_tells_what_it_stands_for() -> None:
    assert escape_controls("F\u00fc\x1b[31m\udcff\u202e\n") == "F\u00fc\\x1b[31m\\xff\\u202e\n"
