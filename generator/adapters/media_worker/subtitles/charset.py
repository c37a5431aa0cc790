# ruff: noqa: RUF001 - letters of many languages
"""Charsets: the text that bytes of no declared encoding are.

UTF is known by marks, by zeros and by being valid. Of what is older, text in Latin letters is what
it reads like in one of the languages that its encodings were made for; charset-normalizer, which
takes half of Western Europe for Windows-1250, tells the other scripts apart.
"""

import codecs
import re
from collections.abc import Iterator, Sequence
from math import log
from typing import NamedTuple
from unicodedata import normalize

from generator.adapters.media_worker.video_file import UnusableFileError

_MARKS = (  # of 32 bits first: theirs begin like those of 16
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
_MARKS_OF_ALL = frozenset("…“”„‚‘’‹›«»–—¡¿\xa0°·•´§™€£ºª×♪")
_VIETNAMESE = "cp1258"  # accents follow their letters
_CYRILLIC = ("cp1251", "koi8_r", "cp866", "iso8859_5")
_LIKELIHOOD = {  # of Russian letters, from how many of a thousand they are
    letter: log(count)
    for count, letters in (
        (110, "о"), (80, "еаи"), (65, "нт"), (50, "срвлі"), (30, "кмдпу"), (18, "яыьгзб"),
        (11, "чйхж"), (6, "шюц"), (3, "щэфъёїє"),
    )
    for letter in letters
}  # fmt: skip
_UNLIKELY = log(0.1)  # any other sign
_MOSTLY, _HARDLY = 0.6, 0.03  # small letters among them
_SHOUTED, _TURNED = 4.0, 20.0  # what it costs to have none, or some: small for large is KOI8
_OTHERS = {  # by language; the likelier first
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
_ALL_OTHERS = tuple(
    dict.fromkeys(name for language in _OTHERS for name in _OTHERS[language] if language != "vi")
)
_LATIN_SHARE = 0.4  # of letters beyond ASCII at most: French has 5 %, Czech 20 %, Greek over 60 %
_TOLD_SHARE = 0.65  # where the name tells a language of Latin letters
_READS_WELL = 0.9  # of them, in the letters of one language
_HOME = 0.03  # that Western European text may read worse: one strange sign is no other alphabet
_HEBREW = re.compile(rb"[\xe0-\xfa]")
_NOT_HEBREW = re.compile(rb"[\xc0-\xdf\xfb-\xff]")  # capitals and the like of other alphabets
_ENOUGH_HEBREW, _MOST_STRANGE = 200, 0.005  # letters; of them
_NOISE = 0.6  # that charset-normalizer bears; its own limit refuses some short texts
_SAMPLE_BYTES = 1 << 16
_SLIPS = 10  # a tenth of what is beyond ASCII may be damaged in UTF-8
_LOOKED_AT = 4096
_MOST_CONTROL = 0.02  # of text
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_ASCII_LETTER = re.compile(rb"[A-Za-z]")


class _Rating(NamedTuple):
    share: float
    encoding: str
    language: str


_UNREAD = _Rating(0, "cp1252", "")


def decode_subtitles(content: bytes, language: str = "") -> str:
    """Return the text without a byte order mark, every line ended by a line feed alone.

    Args:
        content: any bytes.
        language: a BCP 47 tag, believed where the text may be in it.

    Raises:
        UnfitError: it is no text.
    """
    (text,) = texts_of([content], language)
    if len(_CONTROL.findall(text)) > _MOST_CONTROL * len(text):
        raise UnusableFileError("is not text")
    return text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")


def texts_of(pieces: Sequence[bytes], language: str) -> list[str]:
    """Return the texts that pieces of one encoding are, as they are."""
    encoding = _encoding_of(b"\n".join(pieces), language.partition("-")[0].lower())
    texts = [piece.decode(encoding, "replace") for piece in pieces]
    return [normalize("NFC", text) for text in texts] if encoding == _VIETNAMESE else texts


def _encoding_of(content: bytes, language: str) -> str:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    start = content[:_LOOKED_AT]
    if start.count(0) * 4 > len(start):
        is_little = start[1::2].count(0) >= start[::2].count(0)
        return "utf-16-le" if is_little else "utf-16-be"
    if _is_in(content, "utf-8"):
        return "utf-8"
    text = content.decode("utf-8", "replace")
    beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
    if text.count("\ufffd") * _SLIPS < beyond_ascii:
        return "utf-8"
    sample = b"\n".join(line for line in content.splitlines() if not line.isascii())
    if len(sample) > _SAMPLE_BYTES:  # cut between letters of more than one byte, if it can be
        sample = sample[:_SAMPLE_BYTES].rpartition(b"\n")[0] or sample
    return _older(sample, language)


def _older(sample: bytes, language: str) -> str:
    """Return in which encoding from before UTF a text is, of which no line is ASCII."""
    likely = _OTHERS.get(language, ())
    beyond_ascii = sum(byte > 0x7F for byte in sample)  # noqa: PLR2004 - the last of ASCII
    in_ascii = len(_ASCII_LETTER.findall(sample))
    if language == "vi" and _is_in(sample, _VIETNAMESE):
        return _VIETNAMESE
    is_told = not likely and any(language in spoken for spoken in _LATIN.values())
    most = _TOLD_SHARE if is_told else _LATIN_SHARE
    if beyond_ascii < most * (beyond_ascii + in_ascii):
        return _of_latin(sample, language)
    if not likely and _seems_hebrew(sample):
        return "cp1255"
    for encodings in (likely, _ALL_OTHERS):
        if len(encodings) == 1 and _is_in(sample, encodings[0]):
            return encodings[0]
        from charset_normalizer import from_bytes  # noqa: PLC0415 (few files need it)

        found = encodings and from_bytes(sample, cp_isolation=list(encodings), threshold=_NOISE)
        best = found and found.best()
        if best:
            return _of_cyrillic(sample) if best.encoding in _CYRILLIC else best.encoding
    return next((name for name in likely if _is_in(sample, name)), "cp1252")


def _of_cyrillic(sample: bytes) -> str:
    """Return the Cyrillic encoding in which letters are as frequent as they are, and small."""

    def likelihood(encoding: str) -> float:
        letters = [one for one in sample.decode(encoding, "replace") if not one.isascii()]
        small = sum(map(str.islower, letters)) / len(letters)
        told = sum(_LIKELIHOOD.get(one.lower(), _UNLIKELY) for one in letters)
        return told - (0 if small > _MOSTLY else _SHOUTED if small < _HARDLY else _TURNED)

    return max(_CYRILLIC, key=likelihood)


def _seems_hebrew(sample: bytes) -> bool:
    """Tell whether letters are but those of Hebrew, which all other alphabets have as well."""
    letters = len(_HEBREW.findall(sample))
    return letters > _ENOUGH_HEBREW and len(_NOT_HEBREW.findall(sample)) < _MOST_STRANGE * letters


def _of_latin(sample: bytes, language: str) -> str:
    """Return the encoding in which most letters belong to one language; the told one is asked."""
    rated = [one for one in _rated(sample) if one.language == language]
    if not rated or max(rated).share < _READS_WELL:
        rated = list(_rated(sample))
    return max(rated, key=_share, default=_UNREAD).encoding


def _rated(sample: bytes) -> Iterator[_Rating]:
    """Yield how much of a text beyond ASCII is in the letters of each language."""
    for encodings, spoken in _LATIN.items():
        for encoding in encodings:
            if not _is_in(sample, encoding):
                continue
            beyond_ascii = [one for one in sample.decode(encoding).lower() if not one.isascii()]
            marks = sum(one in _MARKS_OF_ALL for one in beyond_ascii)
            home = _HOME * (encoding == "cp1252")
            for language, letters in spoken.items():
                known = marks + sum(one in letters for one in beyond_ascii)
                yield _Rating(known / len(beyond_ascii) + home, encoding, language)


def _share(rating: _Rating) -> float:
    return rating.share


def _is_in(sample: bytes, encoding: str) -> bool:
    try:
        sample.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
