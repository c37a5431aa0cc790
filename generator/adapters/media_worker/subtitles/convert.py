"""Converts subtitle files of all formats to WebVTT.

SubRip and WebVTT are parsed here: pysubs2 drops lines that are only a number, and takes words in
braces for tags and comments for text, so it only reads the other formats.
"""

import re
from collections.abc import Callable, Iterator
from itertools import islice, takewhile

from generator.adapters.media_worker.subtitles.ass import AssScript, markup_of, merge_cues
from generator.adapters.media_worker.subtitles.charset import decode_subtitles
from generator.adapters.media_worker.subtitles.timestamps import TIMINGS, span_s
from generator.adapters.media_worker.video_file import UnusableFileError
from generator.core.media.subtitle_names import language_in
from generator.core.media.webvtt import Cue, write_cues

MAX_BYTES = 5 << 20
MAX_CUES = 50_000  # ten hours of speech have 15,000

_WITHOUT_CUES = write_cues(())
_SIGNATURE = "WEBVTT"
_SCRIPT = re.compile(
    r"^[ \t]*(?:\[(?:script info|v4\+? styles|events)\]|dialogue:)", re.IGNORECASE | re.MULTILINE
)
_MICRODVD = re.compile(r"\s*\{\d+\}[ \t]*\{\d*\}")
_TTML = re.compile(r"<(?:\w{1,20}:)?tt[\s>]")
_SCRIPTS = ("ass", "ssa")
_PS_MARKER = b"\0\0\1\xba"  # MPEG-PS: VobSub
_LOOKED_AT = 10_000  # characters
# A malformed line of timings: the text below it has no time.
_BROKEN_TIMINGS = re.compile(r"\s*-?\d[\d:.,]*\s*-->")
_SBV_TIMINGS = re.compile(
    r"^(\d{1,3}:\d\d:\d\d\.\d{1,3}),(\d{1,3}:\d\d:\d\d\.\d{1,3})[ \t]*$", re.MULTILINE | re.ASCII
)
_OVERRIDES = re.compile(r"\{(\\[^{}]*)\}")
_WORD_OR_OVERRIDES = re.compile(r"\{[^{}]*\}|[^\s{}<>]+")  # overrides, which are kept, or words
_PATH = re.compile(r"[\"'(]*(?:[A-Za-z]:\\|\\\\)|\{")  # a Windows path: C:\new
_ESCAPE = re.compile(r"\\[Nnh]")
_FONT_OVERRIDE = re.compile(r"\\([biu])([01])(?!\d)")
_TOP_ALIGNMENT = re.compile(r"\\an[789]")


def to_webvtt(name: str, content: bytes) -> bytes:
    """Convert a subtitle file to WebVTT.

    The format is detected by content first, then by name: SubRip, WebVTT, SubStation Alpha,
    MicroDVD with a frame rate, YouTube's .sbv and TTML.

    Args:
        name: of the file, without its folder.
        content: any bytes.

    Raises:
        UnusableFileError: it is too large, not text, or has no subtitles; no other error is raised.
    """
    if len(content) > MAX_BYTES:
        raise UnusableFileError(f"is larger than {MAX_BYTES >> 20} MB, and is not read")
    if content.startswith(_PS_MARKER):
        raise UnusableFileError("holds subtitles as pictures (VobSub), which browsers cannot show")
    text = decode_subtitles(content, language_in(name))
    return encode_webvtt(_reader(name.rpartition(".")[2].lower(), text)(text))


def encode_webvtt(cues: Iterator[Cue]) -> bytes:
    """Write cues as WebVTT.

    Raises:
        UnusableFileError: there are no visible ones, or too many.
    """
    first_cues = list(islice(cues, MAX_CUES + 1))
    if len(first_cues) > MAX_CUES:
        raise UnusableFileError(f"holds more than {MAX_CUES:,} subtitles, too many for browsers")
    content = write_cues(first_cues)
    if content == _WITHOUT_CUES:
        raise UnusableFileError("holds no subtitles that can be read")
    if len(content) > MAX_BYTES * 2:
        raise UnusableFileError(f"would be larger than {MAX_BYTES >> 19} MB as WebVTT")
    return content


def _reader(suffix: str, text: str) -> Callable[[str], Iterator[Cue]]:
    """Return the parser for a text."""
    start = text[:_LOOKED_AT]
    if start.lstrip().startswith(_SIGNATURE):
        return _webvtt
    if _SCRIPT.search(start) and (suffix in _SCRIPTS or "-->" not in start):
        return _substation
    if start.lstrip().startswith("<") and _TTML.search(start):
        return _ttml
    if _MICRODVD.match(start):
        return _microdvd
    return _webvtt if suffix == "vtt" else subrip


def subrip(text: str) -> Iterator[Cue]:
    """Yield the cues of SubRip; an empty line does not end a text, as in most players."""
    text = _SBV_TIMINGS.sub(r"\1 --> \2", text)
    for timings, lines in _timed_blocks(text):
        shown = "\n".join(lines)
        yield _cue(timings, *from_subrip(shown))


def from_subrip(text: str) -> tuple[str, str]:
    """Return the text of one SubRip cue as markup, and its settings.

    Converters leave line breaks and hard spaces of SubStation, which players support.
    """
    if "\\" in text:
        text = _WORD_OR_OVERRIDES.sub(_unescape, text)
    if "{\\" not in text:
        return text, ""
    settings = "line:0" if _TOP_ALIGNMENT.search(text) else ""
    return _OVERRIDES.sub(_as_tags, text), settings


def _unescape(word: re.Match[str]) -> str:
    if _PATH.match(word[0]):
        return word[0]
    return _ESCAPE.sub(lambda special: "\xa0" if special[0][1] == "h" else "\n", word[0])


def _as_tags(overrides: re.Match[str]) -> str:
    return "".join(
        f"<{letter}>" if number == "1" else f"</{letter}>"
        for letter, number in _FONT_OVERRIDE.findall(overrides[1])
    )


def _webvtt(text: str) -> Iterator[Cue]:
    """Yield the cues of WebVTT; a text ends at an empty line, and the rest is ignored."""
    for timings, lines in _timed_blocks(text):
        shown = "\n".join(takewhile(bool, lines))
        yield _cue(timings, shown, timings.groups()[-1])


def _cue(timings: re.Match[str], text: str, settings: str) -> Cue:
    start_s, end_s = span_s(timings)
    return Cue(start_s, end_s, text, settings)


def _timed_blocks(text: str) -> Iterator[tuple[re.Match[str], list[str]]]:
    """Yield each line of timings with the lines up to the next."""
    timings: re.Match[str] | None = None
    lines: list[str] = []
    for line in text.split("\n"):
        begins = TIMINGS.match(line) if "->" in line else None
        if begins is None and not ("->" in line and _BROKEN_TIMINGS.match(line)):
            lines.append(line)
            continue
        if timings is not None:
            yield timings, _without_number(lines, is_last=False)
        timings, lines = begins, []
    if timings is not None:
        yield timings, _without_number(lines, is_last=True)


def _without_number(lines: list[str], *, is_last: bool) -> list[str]:
    """Return lines without the number of the next cue, which is right before its timings."""
    if is_last:
        while lines and not lines[-1].strip():
            lines.pop()
    is_number = bool(lines) and lines[-1].strip().isdecimal()
    if is_number and not (is_last and (len(lines) == 1 or lines[-2].strip())):
        lines.pop()
    return lines


def _substation(text: str) -> Iterator[Cue]:
    yield from merge_cues(AssScript().cues(text))


def _microdvd(text: str) -> Iterator[Cue]:
    yield from _by_pysubs2(text, "microdvd", "is timed in frames, but has no frame rate")


def _ttml(text: str) -> Iterator[Cue]:
    from defusedxml import ElementTree  # noqa: PLC0415 (few files need it)

    reason = "is an unsupported kind of TTML"
    try:
        ElementTree.fromstring(text)
    except MemoryError:
        raise
    except Exception as error:
        raise UnusableFileError("is not valid XML, or declares entities") from error
    yield from _by_pysubs2(text, "ttml", reason)


def _by_pysubs2(text: str, kind: str, reason: str) -> Iterator[Cue]:
    import pysubs2  # noqa: PLC0415 (few files need it)

    try:
        subs = pysubs2.SSAFile.from_string(text, kind)
    except MemoryError:
        raise
    except Exception as error:  # it may raise anything
        raise UnusableFileError(reason) from error
    for event in subs:
        yield Cue(event.start / 1000, event.end / 1000, markup_of(event.text))
