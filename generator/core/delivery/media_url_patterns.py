r"""Which files of a library are served, as regular expressions on bytes: for nginx, with PCRE.

The rule itself is the scan's, `FileFilter.takes_file_at`; here it is written for an engine that
sees URLs as bytes. "Any one letter" of a pattern is then a whole sequence of UTF-8, or a byte that
is part of none, as Python decodes names. Nothing here is quoted for a file yet.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from generator.core.library.file_filter import (
    DOWNLOAD_FOLDER,
    SYSTEM_FOLDERS,
    UNFINISHED,
    VIDEO_SUFFIXES,
    Dialect,
    expressions,
)

_LONGER = (  # sequences of UTF-8 that have more than a byte (RFC 3629, section 4)
    r"[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    r"|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}"
    r"|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
# Named by their numbers: nginx makes a variable of each name.
_DEFINITIONS = rf"(?(DEFINE)({_LONGER})((?>[\x00-\x2e\x30-\x7f]|(?1)|[\x80-\xff])))"
_LONGER_CALL, _LETTER_CALL = "(?1)", "(?2)"
_FOLDERS = "(?:[^/]+/)*"
_SPANS = (  # code points whose sequences are of one length, without surrogates
    (0, 0x7F),
    (0x80, 0x7FF),
    (0x800, 0xD7FF),
    (0xE000, 0xFFFF),
    (0x10000, 0x10FFFF),
)
_LONE = (0xDC80, 0xDCFF)  # how Python decodes bytes that are not UTF-8 (PEP 383)
_LOWEST, _HIGHEST = 0x80, 0xBF  # of a byte that continues a sequence


def allowed(front: str) -> str:
    """Return the expression for the URL path of a video; `front` is that of its root."""
    suffixes = "|".join(sorted(VIDEO_SUFFIXES))
    return rf"^{front}(?:[^/.][^/]*/)*[^/.][^/]*\.(?i:{suffixes})\z"


def refused(front: str, ignore: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield a label and an expression for what is not served though it is named like a video.

    Raises:
        SettingsError: a pattern of `ignore` can match nothing.
    """
    systems = "|".join(re.escape(name) for name in sorted(SYSTEM_FOLDERS))
    yield "folders of systems", rf"^{front}{_FOLDERS}(?i:{systems})/"
    yield "downloads of Safari's", rf"^{front}{_FOLDERS}[^/]*{re.escape(DOWNLOAD_FOLDER)}/"
    unfinished = "|".join(re.escape(end) for end in UNFINISHED)
    yield "films that are being put together", rf"^{front}{_FOLDERS}[^/]*(?:{unfinished})\.[^/.]*\z"
    for pattern in ignore:
        yield f"ignore: {pattern!a}", _of_pattern(front, pattern)


def _of_pattern(front: str, pattern: str) -> str:
    is_plain = not re.search("[?\\[\ud800-\udfff]", pattern)
    parsed = expressions(pattern, _PLAIN if is_plain else _BYTES)
    definitions = "" if is_plain else _DEFINITIONS
    folders = "" if parsed.by_path else _FOLDERS
    end = "/" if parsed.folders_only else r"(?:/|\z)"
    return f"{definitions}^{front}{folders}(?:{'|'.join(parsed.spellings)}){end}"


def _letters(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join(rf"\x{byte:02x}" for byte in text.encode("utf-8", "surrogateescape"))
    return re.escape(text) if text.isprintable() else "".join(rf"\x{b:02x}" for b in text.encode())


def _members(ranges: Sequence[tuple[str, str]], negated: bool) -> str:  # noqa: FBT001 (of a Dialect)
    sequences = "|".join(one for first, last in ranges for one in _sequences(ord(first), ord(last)))
    if negated:
        return f"(?!{sequences}){_LETTER_CALL}" if sequences else _LETTER_CALL
    return f"(?!/)(?:{sequences})" if sequences else "(?!)"


def _sequences(first: int, last: int) -> Iterator[str]:
    """Yield expressions that together match the code points from `first` to `last` as bytes."""
    for lowest, highest in _SPANS:
        low, high = max(first, lowest), min(last, highest)
        if low <= high:
            yield from _split(chr(low).encode(), chr(high).encode())
    low, high = max(first, _LONE[0]), min(last, _LONE[1])
    if low <= high:
        yield rf"(?!{_LONGER_CALL})" + _span(low - 0xDC00, high - 0xDC00)


def _split(low: bytes, high: bytes) -> Iterator[str]:
    """Yield the same for sequences of one length, by their first byte."""
    rest = len(low) - 1
    if not rest:
        yield _span(low[0], high[0])
        return
    if low[0] == high[0]:
        yield from (_span(low[0], low[0]) + one for one in _split(low[1:], high[1:]))
        return
    lowest, highest = bytes([_LOWEST]) * rest, bytes([_HIGHEST]) * rest
    begin, end = low[0], high[0]
    if low[1:] != lowest:
        yield from (_span(begin, begin) + one for one in _split(low[1:], highest))
        begin += 1
    if high[1:] != highest:
        yield from (_span(end, end) + one for one in _split(lowest, high[1:]))
        end -= 1
    if begin <= end:
        yield _span(begin, end) + _span(_LOWEST, _HIGHEST) * rest


def _span(low: int, high: int) -> str:
    return rf"[\x{low:02x}-\x{high:02x}]"


# Patterns of nothing but letters and stars need not know where a letter ends: UTF-8 of one letter
# never begins within another.
_PLAIN = Dialect("[^/]", "(?s:.+)", _letters, _members)
_BYTES = Dialect(_LETTER_CALL, "(?s:.+)", _letters, _members)
