"""Decodes text and JSON as real programs write them."""

import codecs
import json

from generator.adapters.media_worker.video_file import UnusableFileError

_BOMS = (  # UTF-32 first: its marks begin like those of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Encodings that may be declared and cannot be detected. Other codecs are slow or not for text.
_DECLARABLE = frozenset(
    {"cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258"}
    | {f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16)}
    | {"koi8-r", "koi8-u", "mac-roman", "cp437", "cp850", "cp866", "cp874"}
    | {"shift_jis", "cp932", "euc_jp", "gb2312", "gbk", "gb18030", "big5", "euc_kr", "cp949"}
)
_PREFIX_CHARACTERS = 4096  # characters
_UNPRINTABLE = dict.fromkeys({*range(32)} - {*b"\t\n\v\f\r\x1a\x1b"})
_MAX_UNPRINTABLE = 0.1  # of text
_MAX_INT = 20  # digits


def decode_text(content: bytes, declared: str = "") -> str:
    """Return the text without a byte order mark, with line feeds only.

    UTF-16 and UTF-32 are recognized by their marks, UTF-16 also by its zeros, UTF-8 by validity;
    the rest is as declared, else Windows-1252, which includes Latin-1.

    Raises:
        UnusableFileError: it is not text.
    """
    text = _decode(content, declared)
    start = text[:_PREFIX_CHARACTERS]
    printable = len(start.translate(_UNPRINTABLE))
    if "\0" in text or len(start) - printable > _MAX_UNPRINTABLE * len(start):
        raise UnusableFileError("is not text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def json_in(content: bytes) -> object:
    """Return the value of JSON; anything after it is ignored.

    Integers that are too long for any field are None; NaN and infinities are kept.

    Raises:
        UnusableFileError: it is not JSON.
    """
    text = decode_text(content).lstrip()
    if not text:
        raise UnusableFileError("is empty")
    try:
        value: object = _DECODER.raw_decode(text)[0]
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UnusableFileError(f"is not valid JSON ({place})") from error
    return value


def _decode(content: bytes, declared: str) -> str:
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    zeros = [byte == 0 for byte in content[:4]]
    if zeros == [False, True, False, True]:
        return content.decode("utf-16-le", "replace")
    if zeros == [True, False, True, False]:
        return content.decode("utf-16-be", "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return _decode_8_bit(content, declared)


def _decode_8_bit(content: bytes, declared: str) -> str:
    encoding = _allowed_codec(declared)
    if not encoding:
        text = content.decode("utf-8", "replace")
        damaged = text.count("\ufffd")
        beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
        if beyond_ascii > 2 * damaged:  # damaged UTF-8
            return text
    return content.decode(encoding or "cp1252", "replace")


def _allowed_codec(declared: str) -> str:
    try:
        name = codecs.lookup(declared).name
    except (LookupError, ValueError):
        return ""
    return name if name in _DECLARABLE else ""


def _parse_int(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MAX_INT else None


_DECODER = json.JSONDecoder(parse_int=_parse_int, strict=False)
