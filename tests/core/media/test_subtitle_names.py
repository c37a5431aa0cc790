"""What the names of subtitles say."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.core.media.subtitle_names import (
    SubtitleSuffix,
    language_in,
    suffix_of,
    suffix_of_stream,
)

TAG = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|\d{3}))?|")
CODES = {
    "de": ["de", "deu", "ger", "DE", "German", "deutsch"],
    "en": ["en", "eng", "ENG", "English"],
    "fr": ["fr", "fra", "fre", "French", "Français"],
    "el": ["el", "ell", "gre", "Greek", "Ελληνικά"],
    "zh": ["zh", "zho", "chi", "Chinese", "中文"],
    "pt-BR": ["pt-BR", "pt_br", "por-BR", "pob", "Brazilian Portuguese", "Português (Brasil)"],
    "zh-Hans": ["zh-Hans", "zh_hans", "chs", "Simplified Chinese", "Chinese (Simplified)"],
    "es-419": ["es-419", "spa-419", "Latin American Spanish"],
    "hi": ["hin", "Hindi", "हिन्दी"],
    "nb": ["nb", "nob", "Norsk Bokmål"],
    "cy": ["cy", "cym", "wel"],
    "bo": ["bo", "bod", "tib"],
    "fil": ["fil", "Filipino"],
}
FLAGS = {"forced": ["forced", "Forced", "foreign"], "sdh": ["sdh", "SDH", "cc", "hoh"]}


@pytest.mark.parametrize(
    ("middle", "suffix"),
    [
        ("", SubtitleSuffix("", forced=False, sdh=False, label="Subtitles")),
        ("en", SubtitleSuffix("en", forced=False, sdh=False, label="English")),
        ("en.forced", SubtitleSuffix("en", forced=True, sdh=False, label="English (forced)")),
        ("forced.en", SubtitleSuffix("en", forced=True, sdh=False, label="English (forced)")),
        ("en-forced", SubtitleSuffix("en", forced=True, sdh=False, label="English (forced)")),
        ("eng.sdh", SubtitleSuffix("en", forced=False, sdh=True, label="English (SDH)")),
        ("English (SDH)", SubtitleSuffix("en", forced=False, sdh=True, label="English (SDH)")),
        ("en[cc]", SubtitleSuffix("en", forced=False, sdh=True, label="English (SDH)")),
        (
            "de.forced.sdh",
            SubtitleSuffix("de", forced=True, sdh=True, label="Deutsch (forced, SDH)"),
        ),
        ("pt-BR", SubtitleSuffix("pt-BR", forced=False, sdh=False, label="Português (Brasil)")),
        (
            "pt-BR.cc",
            SubtitleSuffix("pt-BR", forced=False, sdh=True, label="Português (Brasil, SDH)"),
        ),
        ("en-GB", SubtitleSuffix("en-GB", forced=False, sdh=False, label="English (GB)")),
        ("cc", SubtitleSuffix("", forced=False, sdh=True, label="Subtitles (SDH)")),
        ("default", SubtitleSuffix("", forced=False, sdh=False, label="Subtitles")),
        ("2", SubtitleSuffix("", forced=False, sdh=False, label="Subtitles")),
        ("ger.2", SubtitleSuffix("de", forced=False, sdh=False, label="Deutsch")),
        ("und", SubtitleSuffix("", forced=False, sdh=False, label="Subtitles")),
        ("en.de", SubtitleSuffix("en", forced=False, sdh=False, label="English (Deutsch)")),
        ("commentary", SubtitleSuffix("", forced=False, sdh=False, label="commentary")),
        (
            "en.commentary",
            SubtitleSuffix("en", forced=False, sdh=False, label="English (commentary)"),
        ),
        ("Director's cut", SubtitleSuffix("", forced=False, sdh=False, label="Director's cut")),
        ("2020.1080p.en", SubtitleSuffix("en", forced=False, sdh=False, label="English (1080p)")),
    ],
)
def test_what_stands_before_the_suffix_is_understood(middle: str, suffix: SubtitleSuffix) -> None:
    assert suffix_of(middle) == suffix


@pytest.mark.parametrize(
    ("middle", "language", "sdh"),
    [("hi", "hi", False), ("en.hi", "en", True), ("hi.en", "en", True), ("en_hi", "en", True)],
)
def test_hi_alone_is_hindi_and_beside_a_language_for_the_hearing_impaired(
    middle: str, language: str, *, sdh: bool
) -> None:
    suffix = suffix_of(middle)

    assert suffix is not None
    assert (suffix.language, suffix.sdh) == (language, sdh)


@pytest.mark.parametrize(
    ("middle", "note"),
    [
        ("en-orig", "original"), ("en-nP7-2PuUl7o", "nP7-2PuUl7o"), ("en-OR3dEYe2", "OR3dEYe2"),
        ("en.auto", "auto"), ("en-de", "translated from Deutsch"),
    ],
)  # fmt: skip
def test_what_yt_dlp_puts_behind_a_language_tells_tracks_apart(middle: str, note: str) -> None:
    assert suffix_of(middle) == SubtitleSuffix(
        "en", forced=False, sdh=False, label=f"English ({note})"
    )


@pytest.mark.parametrize(
    ("middle", "language"),
    [
        ("de-en", "de"), ("fr-FR-en", "fr-FR"), ("zh-Hans-en", "zh-Hans"), ("es-419-en", "es-419"),
        ("de-es", "de"), ("nan-en", "nan"), ("ja-zh-Hans", "ja"), ("iw-ar", "he"),
    ],
)  # fmt: skip
def test_a_translation_is_in_the_language_it_was_made_in(middle: str, language: str) -> None:
    suffix = suffix_of(middle)

    assert suffix is not None
    assert suffix.language == language
    assert "translated from" in suffix.label


@pytest.mark.parametrize(
    ("middle", "language"),
    [
        ("fr-ca", "fr-CA"), ("pt-br", "pt-BR"), ("zh-tw", "zh-TW"), ("de-DE", "de-DE"),
        ("zh-hans-cn", "zh-Hans-CN"), ("sr-Latn-RS", "sr-Latn-RS"), ("es-419", "es-419"),
        ("nan", "nan"), ("iw", "he"), ("en_US", "en-US"), ("pt-PT", "pt-PT"),
    ],
)  # fmt: skip
def test_a_region_is_no_language_it_was_translated_from(middle: str, language: str) -> None:
    suffix = suffix_of(middle)

    assert suffix is not None
    assert suffix.language == language
    assert "translated" not in suffix.label


@pytest.mark.parametrize("middle", ["live_chat", "en.live_chat", "rechat", "danmaku"])
def test_chats_are_no_subtitles(middle: str) -> None:
    assert suffix_of(middle) is None


@pytest.mark.parametrize("middle", ["s01e02", "S1E2.en", "the.one.where.nobody.knows.en"])
def test_subtitles_that_name_another_episode_or_say_too_much_are_not_taken(middle: str) -> None:
    assert suffix_of(middle) is None


@given(
    st.sampled_from([(tag, one) for tag, names in CODES.items() for one in names]),
    st.sets(st.sampled_from(["forced", "sdh"])),
    st.data(),
)
def test_codes_names_and_flags_are_understood_in_any_order(
    told: tuple[str, str], marks: set[str], data: st.DataObject
) -> None:
    tag, name = told
    flags = [data.draw(st.sampled_from(FLAGS[mark])) for mark in sorted(marks)]
    parts = data.draw(st.permutations([name, *flags, *data.draw(st.sampled_from([[], ["2"]]))]))

    suffix = suffix_of(".".join(parts))

    assert suffix is not None
    assert (suffix.language, suffix.forced, suffix.sdh) == (tag, "forced" in marks, "sdh" in marks)
    assert ("forced" in suffix.label, "SDH" in suffix.label) == (suffix.forced, suffix.sdh)


names = st.text(st.characters(codec=None), max_size=60) | st.lists(
    st.sampled_from(
        ["en", "hi", "forced", ".", "-", "_", "(", ")", " ", "2", "pt-BR", "\n", "\ud800", "x"]
    ),
    max_size=12,
).map("".join)


@given(names)
def test_any_name_gives_a_tag_and_a_label_of_one_line_or_nothing(middle: str) -> None:
    suffix = suffix_of(middle)

    if suffix is not None:
        sound(suffix)


@given(names, names, st.sampled_from([(False, False), (True, False), (False, True)]))
def test_whatever_a_container_says_gives_a_tag_and_a_label_of_one_line(
    language: str, title: str, marks: tuple[bool, bool]
) -> None:
    forced, sdh = marks
    suffix = suffix_of_stream(language, title, forced=forced, sdh=sdh)

    sound(suffix)
    assert suffix.forced >= forced
    assert suffix.sdh >= sdh


def sound(suffix: SubtitleSuffix) -> None:
    assert TAG.fullmatch(suffix.language)
    assert suffix.label.strip()
    assert suffix.label.isprintable() or "\u200d" in suffix.label or "\u200c" in suffix.label
    assert len(suffix.label) <= 80
    suffix.label.encode()


@pytest.mark.parametrize(
    ("language", "title", "suffix"),
    [
        ("eng", "", SubtitleSuffix("en", forced=False, sdh=False, label="English")),
        ("hi", "", SubtitleSuffix("hi", forced=False, sdh=False, label="हिन्दी")),
        ("ger", "Für alle", SubtitleSuffix("de", forced=False, sdh=False, label="Für alle")),
        ("fre", "SDH", SubtitleSuffix("fr", forced=False, sdh=True, label="Français (SDH)")),
        (
            "und",
            "English (SDH)",
            SubtitleSuffix("en", forced=False, sdh=True, label="English (SDH)"),
        ),
        (
            "por",
            "Brazilian",
            SubtitleSuffix("pt-BR", forced=False, sdh=False, label="Português (Brasil)"),
        ),
        ("eng", "English", SubtitleSuffix("en", forced=False, sdh=False, label="English")),
        ("", "", SubtitleSuffix("", forced=False, sdh=False, label="Subtitles")),
        ("klingon", "\n", SubtitleSuffix("", forced=False, sdh=False, label="Subtitles")),
        (" ENG\n", "", SubtitleSuffix("en", forced=False, sdh=False, label="English")),
        ("", "x" * 99, SubtitleSuffix("", forced=False, sdh=False, label="x" * 80)),
    ],
)
def test_a_stream_is_named_by_its_title_where_that_says_more_than_the_language(
    language: str, title: str, suffix: SubtitleSuffix
) -> None:
    assert suffix_of_stream(language, title, forced=False, sdh=False) == suffix


def test_marks_of_a_stream_are_told_in_its_label() -> None:
    found = suffix_of_stream("eng", "", forced=True, sdh=True)

    assert found == SubtitleSuffix("en", forced=True, sdh=True, label="English (forced, SDH)")


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("film.de.srt", "de"),
        ("film.de.forced.2.srt", "de"),
        ("de.srt", ""),
        ("film.srt", ""),
        ("a.rus.film.srt", ""),
        ("film.pt-BR.sdh.ass", "pt-BR"),
        ("film.hi.srt", ""),
        ("", ""),
        ("\ud800.\ud801.srt", ""),
    ],
)
def test_the_language_of_a_file_is_told_at_the_end_of_its_name(name: str, language: str) -> None:
    assert language_in(name) == language
