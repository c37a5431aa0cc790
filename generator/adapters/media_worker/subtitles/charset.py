# ruff: noqa: RUF001 - letters of many languages
"""Detects the encoding of subtitle files, which declare none.

UTF is recognized by byte order marks, zeros and validity. Of legacy encodings, those for Latin
letters are rated by the letters of their languages; charset-normalizer, which misdetects much of
Western Europe as Windows-1250, detects the other scripts.
"""

import codecs
import re
from collections.abc import Iterator, Sequence
from math import log
from typing import NamedTuple
from unicodedata import normalize

from generator.adapters.media_worker.video_file import UnusableFileError

_BOMS = (  # UTF-32 first: its marks begin like those of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SCANDINAVIAN = "æøåéòôäö"
_SOUTH_SLAVIC = "čćđšž"
_LATIN = {  # by encoding, the letters of its languages beyond ASCII
    ("cp1252",): {
        "fr": "àâæçéèêëîïôœùûüÿ",
        "de": "äöüß",
        "es": "áéíñóúüç",
        "pt": "áâãàçéêíóôõúü",
        "it": "àèéìíîòóùú",
        "ca": "àçèéíïòóúü",
        "sv": "åäöé",
        "fi": "äöåé",
        **dict.fromkeys(("da", "no", "nb", "nn"), _SCANDINAVIAN),
        "is": "áðéíóúýþæö",
        "nl": "éëïöüóáè",
        "en": "éèçñïöêô",
    },
    ("cp1250", "iso8859_2"): {
        "pl": "ąćęłńóśźż",
        "cs": "áčďéěíňóřšťúůýž",
        "sk": "áäčďéíĺľňóôŕšťúýž",
        "hu": "áéíóöőúüű",
        **dict.fromkeys(("hr", "sl", "bs", "sr"), _SOUTH_SLAVIC),
        "sq": "ëç",
        "ro": "ăâîşţéö",
    },
    ("cp1257",): {"lt": "ąčęėįšųūž", "lv": "āčēģīķļņšūž", "et": "äõöüšž"},
    ("cp1254",): {"tr": "çğıöşüâîû", "az": "çğıöşü"},
}
_COMMON_MARKS = frozenset("…“”„‚‘’‹›«»–—¡¿\xa0°·•´§™€£ºª×♪")
_VIETNAMESE = "cp1258"  # with combining accents
_CYRILLIC = ("cp1251", "koi8_r", "cp866", "iso8859_5")
_LIKELIHOOD = {  # log of the frequency of Russian letters, in thousandths
    letter: log(count)
    for count, letters in (
        (110, "о"), (80, "еаи"), (65, "нт"), (50, "срвлі"), (30, "кмдпу"), (18, "яыьгзб"),
        (11, "чйхж"), (6, "шюц"), (3, "щэфъёїє"),
    )
    for letter in letters
}  # fmt: skip
_UNLIKELY = log(0.1)  # any other character
_MOSTLY, _HARDLY = 0.6, 0.03  # share of lower case letters
_NO_SMALL_COST, _SOME_SMALL_COST = (
    4.0,
    20.0,
)  # penalty for no lower case, or some: swapped case means KOI8
_BY_LANGUAGE = {  # by language; the most likely first
    **dict.fromkeys(("ru", "uk", "be", "bg", "mk", "sr", "mn", "kk", "ky"), _CYRILLIC),
    "el": ("cp1253", "iso8859_7"),
    "he": ("cp1255",),
    "yi": ("cp1255",),
    **dict.fromkeys(("ar", "fa", "ur"), ("cp1256",)),
    "th": ("cp874",),
    "ja": ("cp932", "euc_jp"),
    "ko": ("cp949",),
    "zh": ("gb18030", "big5"),
    "yue": ("big5", "gb18030"),
    "vi": (_VIETNAMESE,),
}
_ALL_BUT_LATIN = tuple(
    dict.fromkeys(
        name for language in _BY_LANGUAGE for name in _BY_LANGUAGE[language] if language != "vi"
    )
)
_LATIN_SHARE = 0.4  # most letters beyond ASCII: French has 5 %, Czech 20 %, Greek over 60 %
_TAGGED_LATIN_SHARE = 0.65  # if the file name has a language with Latin letters
_GOOD_SHARE = 0.9  # share of them that are letters of one language
_WESTERN_BONUS = 0.03  # bonus of Western Europe: one odd character is not another alphabet
_HEBREW = re.compile(rb"[\xe0-\xfa]")
_NOT_HEBREW = re.compile(rb"[\xc0-\xdf\xfb-\xff]")  # capitals etc. of other alphabets
_MIN_HEBREW, _MAX_STRANGE = 200, 0.005  # letters; share of others
_NOISE = 0.6  # threshold of charset-normalizer; its default rejects some short texts
_SAMPLE_BYTES = 1 << 16
_DAMAGE_DIVISOR = 10  # in UTF-8, a tenth of the characters beyond ASCII may be damaged
_PREFIX_BYTES = 4096
_MAX_CONTROL = 0.02  # of text
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_ASCII_LETTER = re.compile(rb"[A-Za-z]")


class _Rating(NamedTuple):
    share: float
    encoding: str
    language: str


_FALLBACK = _Rating(0, "cp1252", "")


def decode_subtitles(content: bytes, language: str = "") -> str:
    """Return the text without a byte order mark, with line feeds only.

    Args:
        content: any bytes.
        language: a BCP 47 tag, as a hint.

    Raises:
        UnusableFileError: it is not text.
    """
    (text,) = texts_of([content], language)
    if len(_CONTROL.findall(text)) > _MAX_CONTROL * len(text):
        raise UnusableFileError("is not text")
    return text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")


def texts_of(pieces: Sequence[bytes], language: str) -> list[str]:
    """Decode pieces of one encoding; line ends stay."""
    encoding = _encoding_of(b"\n".join(pieces), language.partition("-")[0].lower())
    texts = [piece.decode(encoding, "replace") for piece in pieces]
    return [normalize("NFC", text) for text in texts] if encoding == _VIETNAMESE else texts


def _encoding_of(content: bytes, language: str) -> str:
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return encoding
    start = content[:_PREFIX_BYTES]
    if start.count(0) * 4 > len(start):
        is_little = start[1::2].count(0) >= start[::2].count(0)
        return "utf-16-le" if is_little else "utf-16-be"
    if _is_in(content, "utf-8"):
        return "utf-8"
    text = content.decode("utf-8", "replace")
    beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
    if text.count("\ufffd") * _DAMAGE_DIVISOR < beyond_ascii:
        return "utf-8"
    sample = b"\n".join(line for line in content.splitlines() if not line.isascii())
    if len(sample) > _SAMPLE_BYTES:  # cut between multibyte characters, if possible
        sample = sample[:_SAMPLE_BYTES].rpartition(b"\n")[0] or sample
    return _legacy_encoding(sample, language)


def _legacy_encoding(sample: bytes, language: str) -> str:
    """Return the legacy encoding of text without ASCII-only lines."""
    likely = _BY_LANGUAGE.get(language, ())
    beyond_ascii = sum(byte > 0x7F for byte in sample)  # noqa: PLR2004 - the last of ASCII
    in_ascii = len(_ASCII_LETTER.findall(sample))
    if language == "vi" and _is_in(sample, _VIETNAMESE):
        return _VIETNAMESE
    is_latin_language = not likely and any(language in spoken for spoken in _LATIN.values())
    limit = _TAGGED_LATIN_SHARE if is_latin_language else _LATIN_SHARE
    if beyond_ascii < limit * (beyond_ascii + in_ascii):
        return _latin_encoding(sample, language)
    if not likely and _seems_hebrew(sample):
        return "cp1255"
    for encodings in (likely, _ALL_BUT_LATIN):
        if len(encodings) == 1 and _is_in(sample, encodings[0]):
            return encodings[0]
        from charset_normalizer import from_bytes  # noqa: PLC0415 (few files need it)

        matches = encodings and from_bytes(sample, cp_isolation=list(encodings), threshold=_NOISE)
        best = matches and matches.best()
        if best:
            return _cyrillic_encoding(sample) if best.encoding in _CYRILLIC else best.encoding
    return next((name for name in likely if _is_in(sample, name)), "cp1252")


def _cyrillic_encoding(sample: bytes) -> str:
    """Return the Cyrillic encoding with the most likely letters, mostly in lower case."""

    def likelihood(encoding: str) -> float:
        letters = [letter for letter in sample.decode(encoding, "replace") if not letter.isascii()]
        small = sum(map(str.islower, letters)) / len(letters)
        score = sum(_LIKELIHOOD.get(letter.lower(), _UNLIKELY) for letter in letters)
        return score - (
            0 if small > _MOSTLY else _NO_SMALL_COST if small < _HARDLY else _SOME_SMALL_COST
        )

    return max(_CYRILLIC, key=likelihood)


def _seems_hebrew(sample: bytes) -> bool:
    """Return whether nearly all letters are in the range of Hebrew, which others share."""
    letters = len(_HEBREW.findall(sample))
    return letters > _MIN_HEBREW and len(_NOT_HEBREW.findall(sample)) < _MAX_STRANGE * letters


def _latin_encoding(sample: bytes, language: str) -> str:
    """Return the encoding in which most letters are of one language, if possible `language`."""
    ratings = [rating for rating in _ratings(sample) if rating.language == language]
    if not ratings or max(ratings).share < _GOOD_SHARE:
        ratings = list(_ratings(sample))
    return max(ratings, key=_share, default=_FALLBACK).encoding


def _ratings(sample: bytes) -> Iterator[_Rating]:
    """Yield the share of characters beyond ASCII that are letters of each language."""
    for encodings, spoken in _LATIN.items():
        for encoding in encodings:
            if not _is_in(sample, encoding):
                continue
            beyond_ascii = [
                character
                for character in sample.decode(encoding).lower()
                if not character.isascii()
            ]
            marks = sum(character in _COMMON_MARKS for character in beyond_ascii)
            bonus = _WESTERN_BONUS * (encoding == "cp1252")
            for language, letters in spoken.items():
                matching = marks + sum(character in letters for character in beyond_ascii)
                yield _Rating(matching / len(beyond_ascii) + bonus, encoding, language)


def _share(rating: _Rating) -> float:
    return rating.share


def _is_in(sample: bytes, encoding: str) -> bool:
    try:
        sample.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
