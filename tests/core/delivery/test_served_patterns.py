"""What nginx is told of patterns, read as bytes by Python, as far as Python's engine goes."""

import re

from hypothesis import assume, example, given
from hypothesis import strategies as st

from generator.core.delivery.media_url_patterns import refused
from generator.core.library.file_filter import compile_filter

letters = st.characters(exclude_categories=["Cs"])
EDGES = (
    "\x01\x7f\x80\u07ff\u0800\u0fff\u1000\ud7ff\ue000\uffff\U00010000\U0003ffff\U00040000\U0010ffff"
)


def of_one_letter(pattern: str) -> re.Pattern[bytes]:
    """Return the expression of a pattern that matches a name of one letter."""
    *_, (_, expression) = refused("", [pattern])
    inner = expression.split(r"^(?:[^/]+/)*")[1].removesuffix(r"(?:/|\z)")
    return re.compile(inner.replace("(?!(?1))", "(?!)").encode())  # bytes that are no text


@given(
    first=letters | st.sampled_from(EDGES),
    last=letters | st.sampled_from(EDGES),
    letter=letters | st.sampled_from(EDGES),
)
@example("\x80", "\u07ff", "\u0100")
def test_a_range_of_letters_is_the_same_range_as_bytes(first: str, last: str, letter: str) -> None:
    assume(not {first, last} & set("!]-/[\\"))
    pattern = f"[{first}-{last}]"

    name = f"{letter}.mp4"
    right = not compile_filter([f"{pattern}.mp4"]).takes_file(name)
    assume(compile_filter().takes_file(name) and letter != "/")

    assert (of_one_letter(pattern).fullmatch(letter.encode()) is not None) is right
    inside = (chr(code) for code in (ord(first), ord(last), (ord(first) + ord(last)) // 2))
    for one in inside:
        if first <= one <= last and not "\ud800" <= one <= "\udfff" and one != "/":
            assert of_one_letter(pattern).fullmatch(one.encode())


def test_a_pattern_is_told_beside_its_expression_without_breaking_the_line() -> None:
    *_, (about, _) = refused("", ["a\nb; } \xe9"])

    assert about.isascii()
    assert "\n" not in about
