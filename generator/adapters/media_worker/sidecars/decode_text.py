"""From bytes to text and from text to JSON, as people's programs really write them."""

import codecs
import json

from generator.adapters.media_worker.video_file import UnusableFileError

_MARKS = (  # of 32 bits first: theirs begin like those of 16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What may be declared and is not told by the bytes themselves. Others are slow or not about text.
_DECLARABLE = frozenset(
    {"cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258"}
    | {f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16)}
    | {"koi8-r", "koi8-u", "mac-roman", "cp437", "cp850", "cp866", "cp874"}
    | {"shift_jis", "cp932", "euc_jp", "gb2312", "gbk", "gb18030", "big5", "euc_kr", "cp949"}
)
_LOOKED_AT = 4096  # characters
_UNPRINTABLE = dict.fromkeys({*range(32)} - {*b"\t\n\v\f\r\x1a\x1b"})
_MOST_UNPRINTABLE = 0.1  # of text
_LONGEST_WHOLE = 20  # digits


def decode_text(content: bytes, declared: str = "") -> str:
    """Return the text without a byte order mark, every line ended by a line feed alone.

    UTF-16 and UTF-32 are known by their marks, UTF-16 also by its zeros, UTF-8 by being it; what
    is left is as declared, else Windows-1252, which holds Latin-1.

    Raises:
        UnfitError: it is no text.
    """
    text = _decoded(content, declared)
    start = text[:_LOOKED_AT]
    printable = len(start.translate(_UNPRINTABLE))
    if "\0" in text or len(start) - printable > _MOST_UNPRINTABLE * len(start):
        raise UnusableFileError("is not text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def json_in(content: bytes) -> object:
    """Return the value that JSON holds; what stands behind it is not looked at.

    Whole numbers that no field could mean are None; NaN and infinities are what they are.

    Raises:
        UnfitError: it is no JSON.
    """
    text = decode_text(content).lstrip()
    if not text:
        raise UnusableFileError("is empty")
    try:
        value: object = _DECODER.raw_decode(text)[0]
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UnusableFileError(f"is not sound JSON ({place})") from error
    return value


def _decoded(content: bytes, declared: str) -> str:
    for mark, encoding in _MARKS:
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
        return _of_eight_bits(content, declared)


def _of_eight_bits(content: bytes, declared: str) -> str:
    encoding = _known(declared)
    if not encoding:
        text = content.decode("utf-8", "replace")
        damaged = text.count("\ufffd")
        beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
        if beyond_ascii > 2 * damaged:  # UTF-8 with a slip
            return text
    return content.decode(encoding or "cp1252", "replace")


def _known(declared: str) -> str:
    try:
        name = codecs.lookup(declared).name
    except (LookupError, ValueError):
        return ""
    return name if name in _DECLARABLE else ""


def _whole(digits: str) -> int | None:
    return int(digits) if len(digits) <= _LONGEST_WHOLE else None


_DECODER = json.JSONDecoder(parse_int=_whole, strict=False)
